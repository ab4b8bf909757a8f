#include "api/handle.h"

#include "base/kill.h"
#include "run/check.h"
#include "run/parts.h"

#include <stdlib.h>

const char *pawl_version(void)
{
    return PAWL_VERSION;
}

// --- errors

_Static_assert((int)ERROR_JOB == PAWL_ERROR_JOB && (int)ERROR_DATA == PAWL_ERROR_DATA &&
                   (int)ERROR_ACCESS == PAWL_ERROR_ACCESS &&
                   (int)ERROR_NOT_FOUND == PAWL_ERROR_NOT_FOUND &&
                   (int)ERROR_CONFLICT == PAWL_ERROR_CONFLICT &&
                   (int)ERROR_BUSY == PAWL_ERROR_BUSY && (int)ERROR_IO == PAWL_ERROR_IO &&
                   (int)ERROR_LIMIT == PAWL_ERROR_LIMIT && (int)ERROR_STOPPED == PAWL_ERROR_STOPPED,
               "numbers that programs were compiled with");

static ErrorCode known_code(int32_t code)
{
    return code >= PAWL_ERROR_NONE && code <= PAWL_ERROR_STOPPED ? (ErrorCode)code : ERROR_IO;
}

const char *pawl_error_name(int32_t code)
{
    return error_code_name(known_code(code));
}

const char *pawl_error_advice(int32_t code)
{
    return error_code_advice(known_code(code));
}

int pawl_error_exit(int32_t code)
{
    return error_code_exit(known_code(code));
}

// --- handles

// The names of a test's kill point are process-wide, as kill -9 is; nobody else sets them.
__attribute__((constructor)) static void listen_to_tests(void)
{
    const char *kill_at = getenv("PAWL_TEST_KILL_AT");
    const char *list = getenv("PAWL_TEST_KILL_LIST");
    if (kill_at != NULL || list != NULL)
        kill_init(kill_at, list);
}

static int64_t shifted_now_us(void *state)
{
    const PawlJob *job = state;
    Env system;
    env_init_system(&system);
    return system.now_us(system.state) + job->shift_us;
}

// Tests set the time at which the process starts; it then goes on as usual.
static void shift_clock(PawlJob *job)
{
    const char *text = getenv("PAWL_TEST_NOW");
    int64_t now_us = 0;
    if (text == NULL || !time_parse_iso(str_from(text), &now_us))
        return;
    job->shift_us = now_us - job->env.now_us(job->env.state);
    job->env.now_us = shifted_now_us;
    job->env.state = job;
}

void handle_keep(PawlJob *job)
{
    atomic_fetch_add(&job->holders, 1);
}

void handle_drop(PawlJob *job)
{
    if (job != NULL && atomic_fetch_sub(&job->holders, 1) == 1)
        arena_wipe(job->arena); // of the handle too
}

static void drop_handle(PawlJob **job)
{
    handle_drop(*job);
}

static bool new_handle(PawlJob **ret_job, Error *err)
{
    Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    PawlJob *job = arena_alloc(arena, sizeof(*job), err);
    if (job == NULL) {
        arena_free(arena);
        return false;
    }
    job->arena = arena;
    atomic_store(&job->holders, 1);
    env_init_system(&job->env);
    shift_clock(job);
    *ret_job = job;
    return true;
}

static bool open_job(PawlJob *job, const char *path, const char *environment, Findings *findings,
                     Error *err)
{
    if (path == NULL)
        return error_set(err, ERROR_JOB, "no job file was given");
    Str own = {0};
    TRY(arena_copy_str(job->arena, str_from(path), &own, err));
    const JobOptions options = {.environment = str_from(environment == NULL ? "" : environment)};
    return job_open(own.data, &options, &job->env, job->arena, findings, &job->job, err);
}

static bool new_findings(Arena *arena, Findings **ret_findings, Error *err)
{
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    *ret_findings = findings;
    return true;
}

bool pawl_job_open(const char *path, const char *environment, PawlJob **ret_job, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    CLEANUP(drop_handle) PawlJob *job = NULL;
    TRY(new_handle(&job, err));
    Findings *findings = NULL;
    TRY(new_findings(job->arena, &findings, err));
    TRY(open_job(job, path, environment, findings, err) && findings_check(findings, err));
    CLEANUP(buf_done) Buf text = {0};
    TRY(json_write(job->job->shown, &text, err));
    TRY(arena_copy_str(job->arena, buf_str(&text), &job->text, err));
    *ret_job = job;
    job = NULL;
    return true;
}

void pawl_job_close(PawlJob *job)
{
    handle_drop(job);
}

const char *pawl_job_text(const PawlJob *job)
{
    return job->text.data;
}

void pawl_job_stop(PawlJob *job)
{
    atomic_store(&job->env.stop, true);
}

// --- check

#define LITERAL(text)          \
    {                          \
        text, sizeof(text) - 1 \
    } // STR() is no constant

static const Column check_columns[] = {
    {.name = LITERAL("status"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("place"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("what"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("fix"), .type = COLUMN_STRING, .required = true},
};
enum { CHECK_COLUMNS = sizeof(check_columns) / sizeof(check_columns[0]) };

// A table of one batch that is made before it is asked for.
typedef struct OneBatch {
    struct ArrowArray array;
} OneBatch;

static bool next_only(void *state, struct ArrowArray *ret_array, Error *err)
{
    (void)err;
    OneBatch *one = state;
    *ret_array = one->array;
    one->array = (struct ArrowArray){0};
    return true;
}

static void close_only(void *state)
{
    arrow_array_done(&((OneBatch *)state)->array);
}

// Makes the finished rows of `builder` a stream.
static bool export_rows(BatchBuilder *builder, const Column *columns, size_t count,
                        struct ArrowArrayStream *ret_stream, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    OneBatch *one = arena_alloc(arena, sizeof(*one), err);
    TRY(one != NULL);
    TRY(batch_builder_finish(builder, &one->array, err));
    const Table table = {.columns = columns,
                         .column_count = count,
                         .next = next_only,
                         .close = close_only,
                         .state = one,
                         .arena = arena};
    arena = NULL;
    return table_export(&table, ret_stream, err);
}

static bool add_texts(BatchBuilder *builder, const Str *texts, size_t count, Error *err)
{
    TRY(batch_row_begin(builder, err));
    for (size_t i = 0; i < count; i++)
        TRY(batch_set_str(builder, i, texts[i], err));
    return batch_row_end(builder, err);
}

static bool add_items(BatchBuilder *builder, const Findings *findings, const CheckReport *report,
                      Error *err)
{
    static const char *const statuses[] = {
        [CHECK_GOOD] = "ok", [CHECK_NOTE] = "note", [CHECK_FAULT] = "fault"};
    for (size_t i = 0; i < findings->count && i < FINDINGS_MAX; i++) {
        const Finding *item = &findings->items[i];
        const Str texts[CHECK_COLUMNS] = {STR("fault"), item->place, item->what, item->fix};
        TRY(add_texts(builder, texts, CHECK_COLUMNS, err));
    }
    for (size_t i = 0; i < report->count; i++) {
        const CheckItem *item = &report->items[i];
        const Str texts[CHECK_COLUMNS] = {str_from(statuses[item->status]), item->what, item->text,
                                          STR("")};
        TRY(add_texts(builder, texts, CHECK_COLUMNS, err));
    }
    return true;
}

bool pawl_check(const char *path, const char *environment, bool offline,
                struct ArrowArrayStream *ret_items, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    CLEANUP(drop_handle) PawlJob *job = NULL;
    TRY(new_handle(&job, err));
    Findings *findings = NULL;
    TRY(new_findings(job->arena, &findings, err));
    CheckReport *report = arena_alloc(job->arena, sizeof(*report), err);
    TRY(report != NULL);
    // As with `pawl check`, what can be looked at is, although the job file has faults.
    TRY(open_job(job, path, environment, findings, err));
    const CheckOptions options = {.offline = offline};
    TRY(check_job(job->job, &options, &job->env, job->arena, findings, report, err));
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    TRY(batch_builder_new(check_columns, CHECK_COLUMNS, &builder, err));
    return add_items(builder, findings, report, err) &&
           export_rows(builder, check_columns, CHECK_COLUMNS, ret_items, err);
}

// --- tables

static const Column table_columns[] = {
    {.name = LITERAL("stream"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("target"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("schema"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("table"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("window_column"), .type = COLUMN_STRING, .required = true},
    {.name = LITERAL("key_columns"), .type = COLUMN_JSON, .required = true},
    {.name = LITERAL("partition_columns"), .type = COLUMN_JSON, .required = true},
    {.name = LITERAL("columns"), .type = COLUMN_JSON, .required = true},
};
enum { TABLE_COLUMNS = sizeof(table_columns) / sizeof(table_columns[0]) };

static bool write_names(const Str *names, size_t count, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '[', err));
    for (size_t i = 0; i < count; i++)
        TRY((i == 0 || buf_append_char(out, ',', err)) && json_write_str(names[i], out, err));
    return buf_append_char(out, ']', err);
}

static bool write_columns(const TableSpec *table, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '[', err));
    for (size_t i = 0; i < table->column_count; i++) {
        const Column *column = &table->columns[i];
        TRY(buf_printf(out, err, "%s{\"name\":", i > 0 ? "," : "") &&
            json_write_str(column->name, out, err) &&
            buf_printf(out, err, ",\"type\":\"%s\",\"required\":%s", column_type_name(column->type),
                       column->required ? "true" : "false"));
        if (column->type == COLUMN_DECIMAL)
            TRY(buf_printf(out, err, ",\"precision\":%d,\"scale\":%d", column->precision,
                           column->scale));
        TRY(buf_append_char(out, '}', err));
    }
    return buf_append_char(out, ']', err);
}

static bool add_table(BatchBuilder *builder, const PlanStream *stream, Error *err)
{
    const ContractInfo *info = contract_info(stream->contract);
    CLEANUP(buf_done) Buf target = {0};
    CLEANUP(buf_done) Buf keys = {0};
    CLEANUP(buf_done) Buf partition = {0};
    CLEANUP(buf_done) Buf columns = {0};
    TRY(buf_printf(&target, err, STR_FMT "." STR_FMT, STR_ARG(stream->table.schema),
                   STR_ARG(stream->table.name)));
    TRY(write_names(info->key_columns, info->key_count, &keys, err));
    TRY(write_names(info->partition_columns, info->partition_count, &partition, err));
    TRY(write_columns(&stream->table, &columns, err));
    const Str texts[TABLE_COLUMNS] = {
        stream_name(stream->stream), buf_str(&target), stream->table.schema, stream->table.name,
        info->window_column,         buf_str(&keys),   buf_str(&partition),  buf_str(&columns)};
    return add_texts(builder, texts, TABLE_COLUMNS, err);
}

bool pawl_tables(PawlJob *job, struct ArrowArrayStream *ret_tables, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    CLEANUP(arena_freep) Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Findings *findings = NULL;
    TRY(new_findings(arena, &findings, err));
    CLEANUP(job_parts_close) JobParts parts = {0};
    TRY(job_parts_open(job->job, STR(""), &job->env, arena, findings, &parts, err));
    TRY(findings_check(findings, err));
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    TRY(batch_builder_new(table_columns, TABLE_COLUMNS, &builder, err));
    for (size_t i = 0; i < parts.stream_count; i++)
        TRY(add_table(builder, &parts.streams[i], err));
    return export_rows(builder, table_columns, TABLE_COLUMNS, ret_tables, err);
}
