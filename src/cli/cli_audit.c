#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "cli/view.h"
#include "run/audit.h"
#include "run/event_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Where the rows that differ go: a file that grows while the audit reads on.
typedef struct FindingsFile {
    FILE *file; // NULL = not wanted
    bool as_json;
    size_t count;
} FindingsFile;

typedef struct Shown {
    FindingsFile out;
    bool json, terminal;
    JsonOut *slices;
} Shown;

static void close_out(FindingsFile *out)
{
    if (out->file != NULL)
        (void)fclose(out->file);
    out->file = NULL;
}

// Of a short list the disk hears only now.
static bool end_out(FindingsFile *out, Error *err)
{
    FILE *file = out->file;
    if (file == NULL)
        return true;
    out->file = NULL;
    const bool ok = !out->as_json || fputs(out->count == 0 ? "[]\n" : "]\n", file) >= 0;
    return (fclose(file) == 0 && ok) || error_set(err, ERROR_IO, "--out: %s", strerror(errno));
}

static bool open_out(Str path, FindingsFile *out, Error *err)
{
    if (path.size == 0)
        return true;
    out->as_json = str_ends_with(path, STR(".json"));
    if (!out->as_json && !str_ends_with(path, STR(".csv")))
        return error_set(err, ERROR_JOB, "--out: '" STR_FMT "' ends in neither .csv nor .json",
                         STR_ARG(path));
    out->file = fopen(path.data, "we");
    if (out->file == NULL)
        return error_set(err, ERROR_IO, "--out '" STR_FMT "': %s", STR_ARG(path), strerror(errno));
    return true;
}

static bool write_out(FindingsFile *out, const Buf *text, Error *err)
{
    return fwrite(text->data, 1, text->size, out->file) == text->size ||
           error_set(err, ERROR_IO, "--out: %s", strerror(errno));
}

static bool csv_cell(Str text, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '"', err));
    for (size_t i = 0; i < text.size; i++)
        TRY((text.data[i] != '"' || buf_append_char(out, '"', err)) &&
            buf_append_char(out, text.data[i], err));
    return buf_append_char(out, '"', err);
}

static bool write_csv(FindingsFile *out, const AuditFinding *finding, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    if (out->count == 0) {
        TRY(buf_append(&text, STR("problem,stream,partition,day"), err));
        for (size_t i = 0; i < finding->key_count; i++)
            TRY(buf_printf(&text, err, "," STR_FMT, STR_ARG(finding->key_names[i])));
        TRY(buf_append(&text, STR(",columns\n"), err));
    }
    TRY(buf_printf(&text, err, "%s,", audit_problem_name(finding->problem)) &&
        csv_cell(finding->stream, &text, err) && buf_append_char(&text, ',', err) &&
        csv_cell(finding->partition, &text, err) &&
        buf_printf(&text, err, "," STR_FMT, STR_ARG(finding->day)));
    for (size_t i = 0; i < finding->key_count; i++)
        TRY(buf_append_char(&text, ',', err) && csv_cell(finding->key[i], &text, err));
    TRY(buf_append_char(&text, ',', err) && csv_cell(finding->columns, &text, err) &&
        buf_append_char(&text, '\n', err));
    out->count++;
    return write_out(out, &text, err);
}

static bool write_json(FindingsFile *out, const AuditFinding *finding, Error *err)
{
    CLEANUP(out_done) JsonOut json = {.err = err};
    out_open(&json, NULL, '{');
    out_str(&json, "problem", str_from(audit_problem_name(finding->problem)));
    out_str(&json, "stream", finding->stream);
    out_str(&json, "partition", finding->partition);
    out_str(&json, "day", finding->day);
    out_open(&json, "key", '{');
    for (size_t i = 0; i < finding->key_count; i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(finding->key_names[i]));
        out_str(&json, name, finding->key[i]);
    }
    out_close(&json, '}');
    out_str(&json, "columns", finding->columns);
    out_close(&json, '}');
    if (json.failed || fputs(out->count == 0 ? "[" : ",\n", out->file) < 0)
        return json.failed ? false : error_set(err, ERROR_IO, "--out: %s", strerror(errno));
    out->count++;
    return write_out(out, &json.text, err);
}

static bool show_finding(void *state, const AuditFinding *finding, Error *err)
{
    Shown *shown = state;
    if (shown->out.file == NULL)
        return true;
    return shown->out.as_json ? write_json(&shown->out, finding, err)
                              : write_csv(&shown->out, finding, err);
}

// --- slices

static bool show_slice(void *state, const AuditSlice *slice, Error *err)
{
    Shown *shown = state;
    int64_t differences = 0;
    (void)err;
    for (size_t i = 0; i < AUDIT_PROBLEMS; i++)
        differences += slice->found[i];
    if (shown->terminal)
        (void)fprintf(stderr, "\r\033[K%zu of %zu slices, " STR_FMT " " STR_FMT, slice->done,
                      slice->total, STR_ARG(slice->partition), STR_ARG(slice->day));
    if (shown->json) {
        out_open(shown->slices, NULL, '{');
        out_str(shown->slices, "partition", slice->partition);
        out_str(shown->slices, "day", slice->day);
        out_int(shown->slices, "api_rows", slice->api_rows);
        out_int(shown->slices, "table_rows", slice->table_rows);
        for (size_t i = 0; i < AUDIT_PROBLEMS; i++)
            out_int(shown->slices, audit_problem_name((AuditProblem)i), slice->found[i]);
        out_bool(shown->slices, "moving", slice->moving);
        out_close(shown->slices, '}');
        return !shown->slices->failed;
    }
    if (differences == 0 && !slice->moving)
        return true;
    if (shown->terminal)
        (void)fprintf(stderr, "\r\033[K");
    (void)printf("%-16.*s %-10.*s %9lld %9lld %8lld %8lld %8lld %8lld%s\n",
                 STR_ARG(slice->partition), STR_ARG(slice->day), (long long)slice->api_rows,
                 (long long)slice->table_rows, (long long)slice->found[AUDIT_MISSING],
                 (long long)slice->found[AUDIT_DOUBLED], (long long)slice->found[AUDIT_STALE],
                 (long long)slice->found[AUDIT_VANISHED],
                 slice->moving ? "  the API's total moves" : "");
    return true;
}

// --- the end

static bool differs(const AuditReport *report)
{
    return report->found[AUDIT_MISSING] + report->found[AUDIT_DOUBLED] +
               report->found[AUDIT_STALE] + report->found[AUDIT_VANISHED] >
           0;
}

static bool print_json(JsonOut *out, const AuditReport *report)
{
    out_close(out, ']');
    out_str(out, "stream", report->stream);
    out_str(out, "feed", str_from(report->feed));
    out_int(out, "columns_compared", (int64_t)report->compared_columns);
    out_int(out, "api_rows", report->api_rows);
    out_int(out, "table_rows", report->table_rows);
    for (size_t i = 0; i < AUDIT_PROBLEMS; i++)
        out_int(out, audit_problem_name((AuditProblem)i), report->found[i]);
    out_int(out, "forgotten", report->forgotten);
    out_int(out, "unreadable", report->unreadable);
    out_int(out, "slices_moving", report->slices_moving);
    out_int(out, "partitions_refused", report->partitions_refused);
    out_int(out, "requests", report->requests);
    out_int(out, "inserted", report->inserted);
    out_int(out, "updated", report->updated);
    out_int(out, "removed", report->removed);
    out_close(out, '}');
    return out_print(out);
}

static void print_people(const Cli *cli, const AuditReport *report)
{
    (void)printf(
        "%lld rows of the API, %lld of the table%s%s in %lld slices: %lld missing, %lld doubled, "
        "%lld stale, %lld vanished\n",
        (long long)report->api_rows, (long long)report->table_rows,
        report->feed[0] != '\0' ? ", filled by " : "", report->feed, (long long)report->slices,
        (long long)report->found[AUDIT_MISSING], (long long)report->found[AUDIT_DOUBLED],
        (long long)report->found[AUDIT_STALE], (long long)report->found[AUDIT_VANISHED]);
    if (report->kind == FOREIGN_COLUMNS)
        (void)printf("compared: %zu columns of the contract that the table has\n",
                     report->compared_columns);
    if (report->unreadable > 0)
        (void)printf("%lld rows of the table have no usable key\n", (long long)report->unreadable);
    if (report->partitions_refused > 0)
        (void)printf("%lld partitions were refused and not compared\n",
                     (long long)report->partitions_refused);
    if (report->inserted + report->updated > 0)
        (void)printf("repaired: %lld rows inserted, %lld updated\n", (long long)report->inserted,
                     (long long)report->updated);
    if (!differs(report))
        (void)printf("next: pawl audit " STR_FMT " --table " STR_FMT " again tomorrow%s\n",
                     STR_ARG(cli->args.positional[0]), STR_ARG(args_get(&cli->args, "table")),
                     report->kind == FOREIGN_OWN ? "" : ", or pawl adopt to take the table over");
}

// pawl's own tables are repaired by reading the days that differ again, through the ledger.
static bool rehydrate(Cli *cli, const Job *job, const AuditOptions *audit,
                      const AuditReport *report, Arena *arena, Error *err)
{
    Str folder = {0};
    TRY(cli_state_folder(cli, job, arena, &folder, err));
    View view;
    view_init(&view, cli->json, cli->env);
    CLEANUP(event_log_close) EventLog log;
    event_log_init(&log, folder, view_sink(&view));
    const EventSink sink = event_log_sink(&log);
    const RunOptions options = {.mode = MODE_REHYDRATION,
                                .from = report->first_day,
                                .to = report->last_day,
                                .stream = report->stream,
                                .account = audit->account,
                                .connect_to = audit->connect_to};
    const RunOptions unfinished = {.mode = MODE_REHYDRATION, .connect_to = audit->connect_to};
    RunReport run = {0};
    bool ok = run_execute(job, &options, cli->env, &sink, arena, &run, err);
    if (!ok && run.other_unfinished) {
        // Perhaps it stood still at the very rows that have just been taken out.
        *err = (Error){0};
        ok = run_execute(job, &unfinished, cli->env, &sink, arena, &run, err) &&
             run_execute(job, &options, cli->env, &sink, arena, &run, err);
    }
    view_end(&view);
    TRY(ok);
    if (!cli->json)
        (void)printf("repaired by reading the days that differ again: %lld new, %lld changed, %lld "
                     "marked as deleted\n",
                     (long long)run.pipeline.inserted, (long long)run.pipeline.updated,
                     (long long)run.pipeline.deleted);
    return true;
}

// As far as a repair can tell: of a table of pawl's the reading has done it.
static bool is_mended(const AuditReport *report)
{
    return report->kind == FOREIGN_OWN ||
           (report->found[AUDIT_DOUBLED] + report->found[AUDIT_VANISHED] == 0 &&
            report->found[AUDIT_MISSING] == report->inserted &&
            report->found[AUDIT_STALE] == report->updated);
}

static bool verdict(const Cli *cli, const AuditOptions *options, const AuditReport *report,
                    Error *err)
{
    if (!differs(report))
        return true;
    if (options->repair && is_mended(report)) {
        if (!cli->json)
            (void)printf("next: pawl audit " STR_FMT " --table " STR_FMT
                         " to see that nothing is left\n",
                         STR_ARG(cli->args.positional[0]), STR_ARG(options->table.table));
        return true;
    }
    return error_set(err, ERROR_DATA,
                     "the table differs from the API: %lld missing, %lld doubled, %lld stale, %lld "
                     "vanished%s",
                     (long long)report->found[AUDIT_MISSING],
                     (long long)report->found[AUDIT_DOUBLED], (long long)report->found[AUDIT_STALE],
                     (long long)report->found[AUDIT_VANISHED],
                     !options->repair ? "; --repair mends it, --out FILE lists the rows"
                     : report->kind == FOREIGN_RECORDS
                         ? "; a table of raw records is not repaired"
                         : "; of a table that is not pawl's only what is missing, or stale outside "
                           "of JSON columns, is mended");
}

static bool read_options(const Cli *cli, Arena *arena, AuditOptions *options, Str *out, Error *err)
{
    const struct {
        const char *name;
        Str *to;
    } texts[] = {{"table", &options->table.table},
                 {"key", &options->table.key},
                 {"map", &options->table.map},
                 {"stream", &options->stream},
                 {"from", &options->from},
                 {"to", &options->to},
                 {"account", &options->account},
                 {"test-connect-to", &options->connect_to},
                 {"out", out}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const Str given = args_get(&cli->args, texts[i].name);
        if (given.data != NULL)
            TRY(arena_copy_str(arena, given, texts[i].to, err));
    }
    options->repair = args_has(&cli->args, "repair");
    return options->table.table.size > 0 || error_set(err, ERROR_JOB, "audit needs --table");
}

static bool report_audit(Cli *cli, const Job *job, const AuditOptions *options,
                         const AuditReport *report, JsonOut *json, Arena *arena, Error *err)
{
    if (cli->json)
        TRY(print_json(json, report));
    else
        print_people(cli, report);
    if (options->repair && report->kind == FOREIGN_OWN && differs(report))
        TRY(rehydrate(cli, job, options, report, arena, err));
    return verdict(cli, options, report, err);
}

bool cli_audit(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    AuditOptions options = {.finding = show_finding, .slice = show_slice};
    Str out_path = {0};
    TRY(read_options(cli, arena, &options, &out_path, err) && cli_open_job(cli, arena, &job, err));
    CLEANUP(out_done) JsonOut json = {.err = err};
    Shown shown = {
        .json = cli->json, .terminal = isatty(STDERR_FILENO) == 1 && !cli->json, .slices = &json};
    options.state = &shown;
    TRY(open_out(out_path, &shown.out, err));
    out_open(&json, NULL, '{');
    out_open(&json, "slices", '[');
    if (!cli->json)
        (void)printf("%-16s %-10s %9s %9s %8s %8s %8s %8s\n", "partition", "day", "API", "table",
                     "missing", "doubled", "stale", "vanished");
    AuditReport report = {0};
    const bool ok =
        audit_execute(job, &options, cli->env, arena, &report, err) && end_out(&shown.out, err);
    close_out(&shown.out);
    if (shown.terminal)
        (void)fprintf(stderr, "\r\033[K");
    return ok && report_audit(cli, job, &options, &report, &json, arena, err);
}
