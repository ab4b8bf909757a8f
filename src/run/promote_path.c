#include "run/promote_path.h"

#include "base/file.h"
#include "run/drivers.h"
#include "run/lake.h"

#include <stdlib.h>
#include <string.h>

enum { CONTRACT_BYTES_MAX = 1024 * 1024 };

static bool is_same_file(const char *a, const char *b)
{
    char *real_a = realpath(a, NULL); // the C library's own memory
    char *real_b = realpath(b, NULL);
    const bool same = real_a != NULL && real_b != NULL && strcmp(real_a, real_b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

// Checks the new text as a whole, from a file beside the old one.
static bool open_text(const PromoteOptions *options, Str text, Arena *arena,
                      Contract **ret_contract, Error *err)
{
    Str path = {0};
    TRY(arena_printf(arena, &path, err, STR_FMT ".promoted", STR_ARG(options->contract_path)));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    TRY(file_write(path.data, text, err));
    const bool ok = contract_open(path.data, arena, findings, ret_contract, err) &&
                    findings_check(findings, err);
    Error left = {0};
    if (!file_remove(path.data, ok ? err : &left))
        return false;
    return ok;
}

static const Column *find_column(const Contract *contract, Str name)
{
    size_t count = 0;
    const Column *columns = contract_columns(contract, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_equal(columns[i].name, name))
            return &columns[i];
    }
    return NULL;
}

static bool fill_tables(const PromoteOptions *options, const Contract *contract, Env *env,
                        Arena *arena, PromoteReport *report, Error *err)
{
    const Job *job = options->job;
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    CLEANUP(warehouse_close) Warehouse warehouse = {0};
    TRY(job_open_warehouse(job, 0, env, arena, findings, &warehouse, err));
    TRY(findings_check(findings, err));
    if (warehouse.driver->promote == NULL)
        return error_set(err, ERROR_JOB, "warehouse %s cannot fill a column from _overflow",
                         warehouse.driver->name);
    const Column *column = find_column(contract, report->column);
    for (size_t i = 0; column != NULL && i < job->stream_count; i++) {
        const JobStream *stream = &job->streams[i];
        if (!is_same_file(stream->contract_path.data, options->contract_path.data))
            continue;
        TableSpec table = {.schema = stream->schema, .name = stream->table};
        table.columns = contract_columns(contract, &table.column_count);
        int64_t rows = 0;
        TRY(warehouse.driver->promote(warehouse.state, &table, column, options->promotion.path,
                                      &rows, err));
        report->rows += rows;
        report->tables++;
    }
    return true;
}

// Every stream whose table the contract describes.
static bool fill_lake(const PromoteOptions *options, const Contract *contract, Env *env,
                      Arena *arena, PromoteReport *report, Error *err)
{
    const Job *job = options->job;
    const Column *column = find_column(contract, report->column);
    for (size_t i = 0; column != NULL && i < job->stream_count; i++) {
        const JobStream *stream = &job->streams[i];
        if (!is_same_file(stream->contract_path.data, options->contract_path.data))
            continue;
        const LakePromotion promotion = {.target = stream,
                                         .contract = contract,
                                         .column = column,
                                         .path = options->promotion.path};
        int64_t rows = 0;
        TRY(lake_promote(job, &promotion, env, arena, &rows, err));
        report->lake_rows += rows;
    }
    return true;
}

bool promote_path(const PromoteOptions *options, Env *env, Arena *arena, PromoteReport *ret_report,
                  Error *err)
{
    Str text = {0};
    CLEANUP(buf_done) Buf changed = {0};
    TRY(file_read(options->contract_path.data, CONTRACT_BYTES_MAX, arena, &text, err));
    *ret_report = (PromoteReport){0};
    TRY(contract_promote(text, &options->promotion, arena, &changed, &ret_report->column, err));
    Contract *contract = NULL;
    TRY(open_text(options, buf_str(&changed), arena, &contract, err));
    if (options->job != NULL)
        TRY(fill_lake(options, contract, env, arena, ret_report, err));
    if (options->job != NULL && job_has_warehouse(options->job))
        TRY(fill_tables(options, contract, env, arena, ret_report, err));
    return file_write(options->contract_path.data, buf_str(&changed), err);
}
