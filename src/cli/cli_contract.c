#include "base/file.h"
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/promote_path.h"
#include "run/source.h"

#include <stdio.h>

// --- contract promote

static bool read_type(Str name, ColumnType *ret_type, Error *err)
{
    static const ColumnType types[] = {COLUMN_STRING,  COLUMN_INT64,     COLUMN_DOUBLE,
                                       COLUMN_BOOLEAN, COLUMN_TIMESTAMP, COLUMN_DATE,
                                       COLUMN_JSON};
    *ret_type = COLUMN_STRING;
    if (name.size == 0)
        return true;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        *ret_type = types[i];
        if (str_equal(name, str_from(column_type_name(types[i]))))
            return true;
    }
    return error_set(err, ERROR_JOB,
                     "--type: '" STR_FMT "' is none of string, int64, double, boolean, timestamp, "
                     "date, json",
                     STR_ARG(name));
}

static bool print_promoted(const Cli *cli, const PromoteReport *report, const Job *job, Error *err)
{
    const bool has_lake = job != NULL && job->lake_store.size > 0;
    if (cli->json) {
        CLEANUP(out_done) JsonOut out = {.err = err};
        out_open(&out, NULL, '{');
        out_str(&out, "column", report->column);
        out_int(&out, "tables", (int64_t)report->tables);
        out_int(&out, "rows", report->rows);
        if (has_lake)
            out_int(&out, "lake_rows", report->lake_rows);
        out_close(&out, '}');
        return out_print(&out);
    }
    (void)printf(STR_FMT ": column '" STR_FMT "' added\n", STR_ARG(cli->args.positional[0]),
                 STR_ARG(report->column));
    if (job != NULL)
        (void)printf("%zu tables have it, %lld rows of the past filled from _overflow\n",
                     report->tables, (long long)report->rows);
    if (has_lake)
        (void)printf("%lld rows of the lake filled from _overflow\n", (long long)report->lake_rows);
    (void)printf("next: %s\n", job != NULL ? "pawl run fills it for what comes"
                                           : "give --job to add it to the table as well");
    return true;
}

bool cli_contract_promote(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    PromoteOptions options = {
        .promotion = {.path = cli->args.positional[1], .name = args_get(&cli->args, "name")}};
    TRY(read_type(args_get(&cli->args, "type"), &options.promotion.type, err));
    TRY(arena_copy_str(arena, cli->args.positional[0], &options.contract_path, err));
    const Str job_path = args_get(&cli->args, "job");
    Job *job = NULL;
    if (job_path.size > 0)
        TRY(cli_open_job_at(cli, job_path, arena, &job, err));
    options.job = job;
    PromoteReport report = {0};
    TRY(promote_path(&options, cli->env, arena, &report, err));
    return print_promoted(cli, &report, job, err);
}

// --- discover

static void tell_waiting(void *state, Str text)
{
    (void)state;
    (void)fprintf(stderr, STR_FMT "\n", STR_ARG(text));
}

bool cli_discover(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Str texts[4] = {cli->args.positional[0], args_get(&cli->args, "config"),
                    args_get(&cli->args, "test-connect-to"), args_get(&cli->args, "test-now")};
    if (texts[1].size == 0)
        return error_set(err, ERROR_JOB, "discover needs --config");
    for (size_t i = 0; i < 4; i++) {
        if (texts[i].data != NULL)
            TRY(arena_copy_str(arena, texts[i], &texts[i], err));
    }
    const SourceReadOptions options = {.manifest = texts[0].data,
                                       .config = texts[1].data,
                                       .connect_to = texts[2].data,
                                       .now = texts[3].data,
                                       .tell = tell_waiting};
    CLEANUP(buf_done) Buf text = {0};
    SourceDraft draft = {0};
    TRY(source_discover(&options, args_get(&cli->args, "stream"), cli->env, arena, &text, &draft,
                        err));
    const Str out = args_get(&cli->args, "out");
    Str path = {0};
    if (out.size == 0)
        (void)fwrite(text.data, 1, text.size, stdout);
    else // never over a contract that somebody has worked on
        TRY(arena_copy_str(arena, out, &path, err) && file_create(path.data, buf_str(&text), err));
    (void)fprintf(stderr,
                  "%zu records of " STR_FMT " looked at\nnext: go through key, types and comments, "
                  "then name the contract in a job's \"streams\" and pawl check it\n",
                  draft.records, STR_ARG(draft.stream));
    return true;
}
