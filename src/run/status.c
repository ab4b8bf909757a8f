#include "run/status.h"

#include "run/drivers.h"
#include "run/end_note.h"
#include "run/event_log.h"
#include "run/state.h"

#include <stdio.h>

enum { RUNS_LOOKED_AT_MAX = 1000 };

// One question to the warehouse; `take` gets each row.
typedef struct Asker {
    const Job *job;
    Warehouse *warehouse;
    Arena *arena;
    Status *status;
    Error *err;
    bool failed;
} Asker;

static bool ask(Asker *asker, const char *sql, bool (*take)(void *, const Str *, size_t))
{
    CLEANUP(buf_done) Buf text = {0};
    const SqlDialect *dialect = asker->warehouse->driver->dialect;
    const bool upper = dialect != NULL && dialect->upper_names; // no quotes mean the same name
    for (const char *c = sql; *c != '\0'; c++) {
        if (*c == '@') { // the schema of the ledger
            const Str schema = json_str(json_get(asker->job->warehouse_options, STR("schema")));
            if (schema.size > 0)
                TRY(buf_printf(&text, asker->err, upper ? STR_FMT "." : "\"" STR_FMT "\".",
                               STR_ARG(schema)));
        } else if (*c == '$') { // the job's name
            TRY(buf_append_char(&text, '\'', asker->err));
            for (size_t i = 0; i < asker->job->name.size; i++) {
                if (asker->job->name.data[i] == '\'')
                    TRY(buf_append_char(&text, '\'', asker->err));
                TRY(buf_append_char(&text, asker->job->name.data[i], asker->err));
            }
            TRY(buf_append_char(&text, '\'', asker->err));
        } else {
            TRY(buf_append_char(&text, *c, asker->err));
        }
    }
    const Warehouse *warehouse = asker->warehouse;
    return warehouse->driver->query(warehouse->state, buf_str(&text), take, asker, asker->err) &&
           !asker->failed;
}

static int64_t number(Str cell, int64_t otherwise)
{
    int64_t value = 0;
    return cell.data != NULL && str_to_int64(cell, &value) ? value : otherwise;
}

static bool keep(Asker *asker, Str cell, Str *ret_text)
{
    *ret_text = STR("");
    asker->failed = asker->failed || (cell.data != NULL &&
                                      !arena_copy_str(asker->arena, cell, ret_text, asker->err));
    return !asker->failed;
}

// Instants as microseconds, in words that every warehouse has.
#define MICROSECONDS(column) "CAST(extract(epoch FROM " column ") * 1000000 AS BIGINT)"

static const char loads_sql[] = "SELECT stream, " MICROSECONDS(
    "max(loaded_at)") " AS us FROM @pawl_load WHERE job = $ GROUP BY stream";

static bool take_load(void *visitor, const Str *cells, size_t count)
{
    Asker *asker = visitor;
    for (size_t i = 0; count == 2 && i < asker->status->stream_count; i++) {
        if (str_equal(asker->status->streams[i].stream, cells[0]))
            asker->status->streams[i].last_loaded_us = number(cells[1], INT64_MIN);
    }
    return true;
}

static const char runs_sql[] = "SELECT run_id, mode, status, error, " MICROSECONDS(
    "started_at") " AS us, duration_us,"
                  " rows_in, rows_inserted, rows_updated, rows_unchanged, rows_deleted FROM "
                  "@etl_log"
                  " WHERE job = $ AND stage = 'run' ORDER BY started_at DESC, logged_at DESC LIMIT "
                  "10";

static bool take_run(void *visitor, const Str *cells, size_t count)
{
    Asker *asker = visitor;
    Status *status = asker->status;
    if (count != 11 || status->run_count == STATUS_RUNS_MAX)
        return false;
    StatusRun *run = &status->runs[status->run_count++];
    *run = (StatusRun){.started_us = number(cells[4], 0),
                       .duration_us = number(cells[5], 0),
                       .rows = number(cells[6], 0),
                       .inserted = number(cells[7], 0),
                       .updated = number(cells[8], 0),
                       .unchanged = number(cells[9], 0),
                       .deleted = number(cells[10], 0),
                       .warehouse_us = -1,
                       .warehouse_statements = -1};
    return keep(asker, cells[0], &run->run) && keep(asker, cells[1], &run->mode) &&
           keep(asker, cells[2], &run->status) && keep(asker, cells[3], &run->error);
}

// A run that was killed and went on has several.
static const char usage_sql[] =
    "SELECT run_id, CAST(sum(duration_us) AS BIGINT) AS us, CAST(sum(requests) AS BIGINT) AS n"
    " FROM @etl_log WHERE job = $ AND stage = 'warehouse' GROUP BY run_id";

static bool take_usage(void *visitor, const Str *cells, size_t count)
{
    Asker *asker = visitor;
    Status *status = asker->status;
    for (size_t i = 0; count == 3 && i < status->run_count; i++) {
        if (!str_equal(status->runs[i].run, cells[0]))
            continue;
        status->runs[i].warehouse_us = number(cells[1], -1);
        status->runs[i].warehouse_statements = number(cells[2], -1);
    }
    return true;
}

static bool take_rate(void *visitor, const Str *cells, size_t count)
{
    Asker *asker = visitor;
    if (count == 2) {
        asker->status->runs_90d = number(cells[0], 0);
        asker->status->runs_ok_90d = number(cells[1], 0);
    }
    return true;
}

// A slice that failed is mended by a later attempt of the same run, or by a later run of its mode
// that read the partition: its watermark did not move meanwhile.
static const char failures_sql[] =
    "SELECT f.stream, f.partition_key, f.mode, max(CAST(f.error AS VARCHAR)) AS "
    "error, " MICROSECONDS(
        "max(f.started_at)") " AS us, count(DISTINCT f.slice_ordinal) AS slices"
                             " FROM @etl_log AS f WHERE f.job = $ AND f.stage = 'read' AND "
                             "f.status = 'failed'"
                             " AND NOT EXISTS (SELECT 1 FROM @etl_log AS o WHERE o.job = f.job AND "
                             "o.stage = 'read'"
                             " AND o.status = 'ok' AND o.stream = f.stream AND o.mode = f.mode"
                             " AND o.partition_key = f.partition_key AND (o.run_id > f.run_id OR "
                             "(o.run_id = f.run_id"
                             " AND o.slice_ordinal = f.slice_ordinal AND o.started_at >= "
                             "f.started_at)))"
                             " GROUP BY f.stream, f.partition_key, f.mode ORDER BY us DESC";

static bool take_failure(void *visitor, const Str *cells, size_t count)
{
    Asker *asker = visitor;
    Status *status = asker->status;
    if (count != 6 || status->failure_count == STATUS_FAILURES_MAX)
        return false;
    StatusFailure *failure = &status->failures[status->failure_count++];
    *failure = (StatusFailure){.at_us = number(cells[4], 0), .slices = number(cells[5], 0)};
    return keep(asker, cells[0], &failure->stream) && keep(asker, cells[1], &failure->partition) &&
           keep(asker, cells[2], &failure->mode) && keep(asker, cells[3], &failure->error);
}

static bool ask_rate(Asker *asker)
{
    char sql[256];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) AS runs, count(CASE WHEN status = 'ok' THEN 1 END) AS ok"
                   " FROM @etl_log WHERE job = $ AND stage = 'run'"
                   " AND extract(epoch FROM started_at) > %lld",
                   (long long)((asker->status->now_us - 90 * US_PER_DAY) / US_PER_SECOND));
    return ask(asker, sql, take_rate);
}

static bool read_marks(const JobParts *parts, Status *status, Error *err)
{
    StateMark *marks = NULL;
    size_t count = 0;
    TRY(state_marks(parts, STR(""), &marks, &count, err));
    for (size_t s = 0; s < status->stream_count; s++) {
        StatusStream *stream = &status->streams[s];
        stream->marks = arena_alloc_array(parts->arena, count + 1, sizeof(Watermark), err);
        TRY(stream->marks != NULL);
        for (size_t i = 0; i < count; i++) {
            if (!str_equal(marks[i].mark.stream, stream->stream))
                continue;
            stream->marks[stream->mark_count++] =
                (Watermark){marks[i].mark.stream, marks[i].value, marks[i].mark.us};
            if (stream->fresh_until_us == INT64_MIN || marks[i].mark.us < stream->fresh_until_us)
                stream->fresh_until_us = marks[i].mark.us;
        }
    }
    return true;
}

static bool ask_warehouse(JobParts *parts, Status *status, Error *err)
{
    Asker asker = {.job = parts->job,
                   .warehouse = &parts->warehouse,
                   .arena = parts->arena,
                   .status = status,
                   .err = err};
    return read_marks(parts, status, err) && ask(&asker, loads_sql, take_load) &&
           ask(&asker, runs_sql, take_run) && ask_rate(&asker) &&
           (parts->warehouse.driver->usage == NULL || ask(&asker, usage_sql, take_usage)) &&
           ask(&asker, failures_sql, take_failure);
}

// --- the landing store

static bool note_unfinished(const JobParts *parts, Str run, bool seen[MODE_COUNT], Status *status,
                            Error *err)
{
    Str json = {0};
    EndNote end = {0};
    bool there = false;
    TRY(plan_find(parts->landing, run, parts->arena, &json, &there, err));
    if (!there)
        return true;
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, "run.json", parts->arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    RunMode mode = MODE_HISTORIC;
    if (!run_mode_parse(json_str(json_get(root, STR("mode"))), &mode) || seen[mode])
        return true;
    seen[mode] = true;
    TRY(end_note_read(parts->landing, run, parts->arena, &end, &there, err));
    if (there)
        return true;
    status->unfinished[status->unfinished_count++] = (StatusUnfinished){
        .run = run, .mode = mode, .created_us = yyjson_get_sint(json_get(root, STR("created_us")))};
    return true;
}

static void note_trouble(Status *status, const char *what, const Error *why)
{
    if (status->trouble.code != ERROR_NONE)
        return;
    status->trouble = *why;
    (void)!error_context(&status->trouble, "%s", what);
}

// A damaged note hides its own run only.
static size_t read_unfinished(const JobParts *parts, Status *status)
{
    Str *runs = NULL;
    size_t count = 0;
    bool seen[MODE_COUNT] = {false};
    Error why = {0};
    if (!landing_list_runs(parts->landing, parts->arena, &runs, &count, &why))
        note_trouble(status, "the landing store could not be read", &why);
    for (size_t i = 0; i < count && i < RUNS_LOOKED_AT_MAX; i++) {
        why = (Error){0};
        if (note_unfinished(parts, runs[count - 1 - i], seen, status, &why))
            continue;
        note_trouble(status, "the landing store could not be read", &why);
        if (why.code != ERROR_DATA)
            break;
    }
    return count;
}

// Before the first run there is no file, or no ledger in the database, which says so in its own
// words as for every wrong name.
static bool look_into_warehouse(JobParts *parts, size_t runs_landed, Status *status, Error *err)
{
    Error why = {0};
    const bool there = job_has_warehouse(parts->job);
    if (there && ask_warehouse(parts, status, &why))
        return true;
    if (!there || (runs_landed == 0 && why.code == ERROR_JOB)) {
        status->blind = STR("there is none yet: no run has come so far");
        return true;
    }
    note_trouble(status, "the warehouse could not be read", &why);
    return arena_copy_str(parts->arena, str_from(why.message), &status->blind, err);
}

bool status_read(const Job *job, Str state_folder, Env *env, Arena *arena, Findings *findings,
                 Status **ret_status, Error *err)
{
    Status *status = arena_alloc(arena, sizeof(*status), err);
    TRY(status != NULL);
    status->now_us = env->now_us(env->state);
    CLEANUP(job_parts_close) JobParts parts = {0};
    const Job *looking = NULL;
    TRY(job_to_look(job, arena, &looking, err));
    TRY(job_parts_open(looking, STR(""), env, arena, findings, &parts, err));
    if (findings->count > 0)
        return findings_check(findings, err);
    status->failures = arena_alloc_array(arena, STATUS_FAILURES_MAX, sizeof(StatusFailure), err);
    status->streams = arena_alloc_array(arena, parts.stream_count + 1, sizeof(StatusStream), err);
    TRY(status->failures != NULL && status->streams != NULL);
    for (size_t i = 0; i < parts.stream_count; i++) {
        StatusStream *stream = &status->streams[status->stream_count++];
        *stream = (StatusStream){.stream = parts.streams[i].target->name,
                                 .fresh_until_us = INT64_MIN,
                                 .last_loaded_us = INT64_MIN};
        TRY(arena_printf(arena, &stream->target, err, STR_FMT "." STR_FMT,
                         STR_ARG(parts.streams[i].table.schema),
                         STR_ARG(parts.streams[i].table.name)));
    }
    const size_t runs_landed = read_unfinished(&parts, status);
    TRY(look_into_warehouse(&parts, runs_landed, status, err));
    Error why = {0};
    ReceiptNotes receipts = {.items = status->receipts, .room = STATUS_RECEIPTS_MAX};
    if (!receipts_read(job, &parts.store, arena, &receipts, &why))
        note_trouble(status, "the receipts could not be read", &why);
    why = (Error){0};
    status->receipt_count = receipts.count;
    status->receipts_total = receipts.total;
    if (!event_log_last(state_folder, arena, &status->last_event, &why))
        note_trouble(status, "the newest events could not be read", &why);
    *ret_status = status;
    return true;
}
