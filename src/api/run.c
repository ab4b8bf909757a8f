#include "api/handle.h"
#include "base/file.h"
#include "base/thread.h"
#include "run/event_log.h"
#include "run/slice_rows.h"

#include <stdio.h>

enum { KEEP_MS = 1000 };

// --- what is wanted, and what came of it

static bool copy_text(Arena *arena, const char *text, Str *ret_text, Error *err)
{
    return text == NULL || arena_copy_str(arena, str_from(text), ret_text, err);
}

bool handle_run_options(const PawlOptions *options, Arena *arena, RunOptions *ret_options,
                        Error *err)
{
    PawlOptions own = {0};
    if (options == NULL || options->size < sizeof(own.size))
        return error_set(err, ERROR_JOB, "options without their size");
    memcpy(&own, options, options->size < sizeof(own) ? options->size : sizeof(own));
    RunOptions result = {.start_over = own.start_over, .accept_deletes = own.accept_deletes};
    const Str mode = str_from(own.mode == NULL ? "" : own.mode);
    if (!run_mode_parse(mode, &result.mode))
        return error_set(err, ERROR_JOB,
                         "the mode is historic, incremental or rehydration%s" STR_FMT "%s",
                         mode.size > 0 ? ", not '" : "", STR_ARG(mode), mode.size > 0 ? "'" : "");
    if (!(own.wait_seconds >= 0 && own.wait_seconds <= 1e9))
        return error_set(err, ERROR_JOB, "wait_seconds is between 0 and a billion");
    result.lease_wait_us = (int64_t)(own.wait_seconds * 1e6);
    TRY(copy_text(arena, own.from, &result.from, err) && copy_text(arena, own.to, &result.to, err));
    TRY(copy_text(arena, own.stream, &result.stream, err) &&
        copy_text(arena, own.account, &result.account, err));
    *ret_options = result;
    return true;
}

static void copy_report(const RunReport *from, PawlReport *ret_report)
{
    const PipelineReport *p = &from->pipeline;
    PawlReport report = {
        .size = ret_report->size,
        .resumed = from->resumed,
        .slices = p->slices,
        .slices_failed = p->slices_failed,
        .partitions_failed = p->partitions_failed,
        .loads = p->loads,
        .loads_found = p->loads_found,
        .records = p->records,
        .inserted = p->inserted,
        .updated = p->updated,
        .unchanged = p->unchanged,
        .deleted = p->deleted,
        .held_back = p->held_back,
        .quarantined = p->quarantined,
        .overflowed = p->overflowed,
        .forgotten = p->forgotten,
        .pages = p->pages,
        .bytes = p->bytes,
        .requests = p->requests,
        .retries = p->retries,
        .elapsed_us = from->elapsed_us,
        .failure = (int32_t)p->failure,
    };
    (void)snprintf(report.run, sizeof(report.run), "%s", from->run);
    (void)snprintf(report.first_failure, sizeof(report.first_failure), STR_FMT,
                   STR_ARG(p->first_failure));
    memcpy(ret_report, &report, report.size < sizeof(report) ? report.size : sizeof(report));
}

// --- events

// Where the events of a run go: the state folder, for `pawl status` and the dashboard, and the
// caller.
typedef struct Listener {
    void (*on_event)(void *state, const char *json, size_t size);
    void *state;
    Buf text;
    EventLog log;
    EventSink sink;
} Listener;

static void tell(void *state, const Event *event)
{
    Listener *listener = state;
    Error ignored = {0};
    if (listener->on_event == NULL)
        return;
    buf_clear(&listener->text);
    if (event_write_json(event, &listener->text, &ignored) &&
        buf_append_char(&listener->text, '\0', &ignored))
        listener->on_event(listener->state, listener->text.data, listener->text.size - 1);
}

static bool listen(Listener *listener, const PawlJob *job, const PawlOptions *options, Arena *arena,
                   Error *err)
{
    const size_t needed = offsetof(PawlOptions, on_event_state) + sizeof(void *);
    if (options->size >= needed) {
        listener->on_event = options->on_event;
        listener->state = options->on_event_state;
    }
    Str folder = {0};
    TRY(file_join(arena, job->job->folder, STR(".pawl"), &folder, err));
    event_log_init(&listener->log, folder, (EventSink){.emit = tell, .state = listener});
    listener->sink = event_log_sink(&listener->log);
    return true;
}

static void stop_listening(Listener *listener)
{
    event_log_close(&listener->log);
    buf_done(&listener->text);
}

// --- in one go

static void wipe_arena(Arena **arena)
{
    arena_wipe(*arena);
}

static bool check_report(const PawlReport *report, Error *err)
{
    return report->size >= sizeof(report->size) ||
           error_set(err, ERROR_JOB, "a report without its size");
}

bool pawl_run(PawlJob *job, const PawlOptions *wanted, PawlReport *ret_report, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    TRY(check_report(ret_report, err));
    CLEANUP(wipe_arena) Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    RunOptions options = {0};
    TRY(handle_run_options(wanted, arena, &options, err));
    Listener *listener = arena_alloc(arena, sizeof(*listener), err);
    TRY(listener != NULL && listen(listener, job, wanted, arena, err));
    RunReport report = {0};
    const bool ok =
        run_execute(job->job, &options, &job->env, &listener->sink, arena, &report, err);
    stop_listening(listener);
    TRY(ok);
    copy_report(&report, ret_report);
    return true;
}

// --- in steps

// Between begin and finish the run belongs to the thread that keeps its lease; `mutex` lends it to
// the others for a moment.
struct PawlRun {
    PawlJob *job;
    Arena *arena;
    RunOptions options;
    Listener listener;
    Run *run;
    pthread_t keeper;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool kept; // the keeper runs
    bool stopping;
    bool finished;
    Error lost; // why the lease is not ours any more
};

static void *keep(void *state)
{
    PawlRun *run = state;
    (void)pthread_mutex_lock(&run->mutex);
    while (!run->stopping && run->lost.code == ERROR_NONE) {
        if (!run_keep(run->run, &run->lost))
            break;
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += KEEP_MS / 1000;
        (void)pthread_cond_timedwait(&run->wake, &run->mutex, &until);
    }
    (void)pthread_mutex_unlock(&run->mutex);
    return NULL;
}

static void stop_keeper(PawlRun *run)
{
    if (!run->kept)
        return;
    (void)pthread_mutex_lock(&run->mutex);
    run->stopping = true;
    (void)pthread_cond_signal(&run->wake);
    (void)pthread_mutex_unlock(&run->mutex);
    (void)pthread_join(run->keeper, NULL);
    run->kept = false;
}

static bool begin(PawlRun *run, const PawlOptions *wanted, Error *err)
{
    TRY(handle_run_options(wanted, run->arena, &run->options, err));
    TRY(listen(&run->listener, run->job, wanted, run->arena, err));
    TRY(run_begin(run->job->job, &run->options, &run->job->env, &run->listener.sink, run->arena,
                  &run->run, err));
    run->kept = thread_start(&run->keeper, keep, run, err);
    return run->kept;
}

bool pawl_run_begin(PawlJob *job, const PawlOptions *wanted, PawlRun **ret_run, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    PawlRun *run = arena_alloc(arena, sizeof(*run), err);
    if (run == NULL) {
        arena_free(arena);
        return false;
    }
    run->job = job;
    run->arena = arena;
    run->listener.log.fd = -1;
    (void)pthread_mutex_init(&run->mutex, NULL);
    (void)pthread_cond_init(&run->wake, NULL);
    handle_keep(job);
    if (begin(run, wanted, err)) {
        *ret_run = run;
        return true;
    }
    pawl_run_close(run);
    return false;
}

const char *pawl_run_id(const PawlRun *run)
{
    return run_plan(run->run)->run;
}

// Slices of a run are shown from the run's own memory; the stream must not outlive it.
typedef struct RunSlices {
    const Plan *plan;
    SliceCursor cursor;
    Arena *arena;
} RunSlices;

static bool next_slices(void *state, struct ArrowArray *ret_array, Error *err)
{
    RunSlices *slices = state;
    return slice_cursor_next(&slices->cursor, slices->plan, slices->arena, ret_array, err);
}

bool pawl_run_slices(PawlRun *run, struct ArrowArrayStream *ret_slices, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    RunSlices *slices = arena_alloc(arena, sizeof(*slices), err);
    if (slices == NULL) {
        arena_free(arena);
        return false;
    }
    *slices = (RunSlices){.plan = run_plan(run->run), .arena = arena};
    const Table table = {.columns = slice_rows_columns,
                         .column_count = SLICE_ROWS_COLUMNS,
                         .next = next_slices,
                         .state = slices,
                         .arena = arena,
                         .job = run->job};
    return table_export(&table, ret_slices, err);
}

bool pawl_run_check(PawlRun *run, PawlError *error)
{
    (void)pthread_mutex_lock(&run->mutex);
    *handle_error(error) = run->lost;
    (void)pthread_mutex_unlock(&run->mutex);
    return error->code == PAWL_ERROR_NONE;
}

static Str text_or_empty(const char *text)
{
    return str_from(text == NULL ? "" : text);
}

static bool error_text(const char *message, Buf *out, Error *err)
{
    if (message == NULL || message[0] == '\0')
        return true;
    return buf_printf(out, err, "{\"message\":") && json_write_str(str_from(message), out, err) &&
           buf_append_char(out, '}', err);
}

bool pawl_run_log(PawlRun *run, const PawlLogRow *row, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    if (row->size < sizeof(*row))
        return error_set(err, ERROR_JOB, "a row without its size");
    CLEANUP(buf_done) Buf why = {0};
    TRY(error_text(row->error, &why, err));
    EtlLogRow own = {ETL_LOG_NONE};
    own.stage = text_or_empty(row->stage);
    own.stream = text_or_empty(row->stream);
    own.status = text_or_empty(row->status);
    own.error_json = buf_str(&why);
    own.load = row->load;
    own.rows_in = row->rows_in;
    own.rows_inserted = row->rows_inserted;
    own.rows_updated = row->rows_updated;
    own.rows_unchanged = row->rows_unchanged;
    own.rows_deleted = row->rows_deleted;
    own.started_us = row->started_us;
    own.duration_us = row->duration_us;
    (void)pthread_mutex_lock(&run->mutex);
    run_log(run->run, &own);
    (void)pthread_mutex_unlock(&run->mutex);
    return true;
}

bool pawl_run_finish(PawlRun *run, PawlReport *ret_report, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    TRY(check_report(ret_report, err));
    stop_keeper(run);
    if (run->lost.code != ERROR_NONE) {
        *err = run->lost;
        return false;
    }
    if (run->finished)
        return error_set(err, ERROR_JOB, "the run was finished before");
    run->finished = true;
    RunReport report = {0};
    TRY(run_finish(run->run, &report, err));
    copy_report(&report, ret_report);
    return true;
}

void pawl_run_close(PawlRun *run)
{
    if (run == NULL)
        return;
    stop_keeper(run);
    run_close(run->run);
    stop_listening(&run->listener);
    (void)pthread_cond_destroy(&run->wake);
    (void)pthread_mutex_destroy(&run->mutex);
    PawlJob *job = run->job;
    arena_wipe(run->arena); // of the run too
    handle_drop(job);
}
