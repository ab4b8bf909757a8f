#include "run/pipeline.h"

#include "base/kill.h"
#include "base/queue.h"
#include "base/thread.h"
#include "run/fetch.h"
#include "run/match.h"

#include <assert.h>
#include <stdio.h>

enum {
    WORKERS = 2, // as many as there is work for the processor
    // Where each page and manifest waits for somebody far away, more of them wait side by side.
    REMOTE_WORKERS = 8,
    REMOTE_SEALERS = 4,
    LOADS_AHEAD = 2, // loads handed to the writer and not finished
    NOTE_BYTES_MAX = 16 * 1024 * 1024,
    TICK_MS = 100,
    WRITER_PAUSE_MS = 100, // without a load, before the warehouse's file is let go
    PAGE_ARENA_BYTES = 1024 * 1024 * 1024,
    DRIFT_PATHS_MAX = 100, // of a stream; the shaper knows no more of one slice
    DRIFT_TEXT_BYTES = 400,
};

#define WAREHOUSE_HOLD_US INT64_C(5000000)

// Of limits.memory: shaped rows may fill so much before new slices wait for the writer, and a load
// ends there even when it has fewer rows than limits.load_rows.
enum { BATCH_SHARE_PERCENT = 22, LOAD_SHARE_PERCENT = 20 };

typedef enum SliceState {
    STATE_WAITING,
    STATE_ACTIVE,
    STATE_WHOLE, // read and shaped, not in a load yet
    STATE_LOADING,
    STATE_LOADED,
    STATE_FAILED,
} SliceState;

// A load that an earlier attempt fixed: its slices and the readings that count.
typedef struct FixedLoad {
    uint32_t ordinal;
    uint32_t *slices;
    uint32_t *readings;
    size_t count;
} FixedLoad;

typedef struct StreamState {
    unsigned char *states; // SliceState of each slice
    uint32_t *readings;    // which reading to begin with; 0 = the first
    SliceTask **whole;     // STATE_WHOLE: the task
    size_t next_start;     // slices before it are started or settled
    size_t next_gather;    // slices before it are in a load, or settled
    FixedLoad *fixed;
    size_t fixed_count;
    size_t fixed_next;
    uint32_t next_ordinal;      // of the next load
    Str drift[DRIFT_PATHS_MAX]; // unknown paths that were told
    size_t drift_count;
} StreamState;

typedef struct Pipeline {
    const PipelineOptions *options;
    Env *env;
    Arena *arena;
    SliceContext context;
    RunCounters counters;
    StreamState *streams;
    Queue *to_work;  // SliceTask*
    Queue *to_seal;  // SliceTask* that are read and shaped
    Queue *to_main;  // SliceTask* that ended
    Queue *to_write; // LoadTask*
    Queue *written;  // LoadTask* that ended
    pthread_t workers[REMOTE_WORKERS];
    pthread_t writer;
    pthread_t sealers[REMOTE_SEALERS];
    int worker_count;
    bool writer_runs;
    int sealer_count;
    size_t active;        // slices that were started and have not come back
    atomic_size_t sealed; // of those, the ones that nothing is asked for any more
    size_t active_max;    // of the others
    size_t loads_under_way;
    size_t unsettled;                      // slices not loaded and not failed
    LoadTask *confirming[LOADS_AHEAD + 1]; // loads that wait for second readings
    size_t confirming_count;
    PipelineReport report;
    LogBook *log; // goes along with the next load
    bool rests;   // what was read so far is what the memo says
    Error held;   // why loads wait for a later run; code NONE = none does
    int64_t progress_us;
    Error err; // the first that stops the run
} Pipeline;

// --- worker threads

// Passes a task on to where it wants to go. Queues are as large as the number of tasks, so nothing
// blocks.
static void pass_on(Pipeline *pipeline, SliceTask *task, SliceWant want)
{
    if (want == SLICE_WANTS_ANSWER && fetch_put(pipeline->options->fetch, task, &task->err))
        return;
    task->sealed = want == SLICE_WANTS_SEAL;
    if (task->sealed)
        atomic_fetch_add(&pipeline->sealed, 1);
    if (!queue_put(want == SLICE_WANTS_SEAL ? pipeline->to_seal : pipeline->to_main, task))
        slice_free(task);
}

static void work(Pipeline *pipeline, SliceTask *task, SliceWorker *worker)
{
    const SliceWant want = task->opened ? slice_go_on(task, worker) : slice_begin(task, worker);
    pass_on(pipeline, task, want);
}

static void *worker_main(void *state)
{
    Pipeline *pipeline = state;
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    SliceWorker worker = {.store = &store};
    worker.page_arena = arena_new(PAGE_ARENA_BYTES, &err);
    const size_t streams = pipeline->options->plan->stream_count;
    if (arena != NULL)
        worker.shapers = arena_alloc_array(arena, streams + 1, sizeof(Shaper *), &err);
    const bool ok = worker.shapers != NULL && worker.page_arena != NULL &&
                    pipeline->options->open_landing(pipeline->options->state, arena, &store,
                                                    &worker.landing, &err);
    for (;;) {
        SliceTask *task = queue_take(pipeline->to_work, -1);
        if (task == NULL)
            break;
        if (ok) {
            work(pipeline, task, &worker);
            continue;
        }
        task->err = err;
        pass_on(pipeline, task, SLICE_HAS_FAILED);
    }
    for (size_t i = 0; worker.shapers != NULL && i < streams; i++)
        shaper_free(worker.shapers[i]);
    landing_close(worker.landing);
    arena_free(worker.page_arena);
    return NULL;
}

// --- seal thread

// Makes whole what has gathered while the disk was busy with those before: the slower the disk, the
// more at once.
static void *sealer_main(void *state)
{
    Pipeline *pipeline = state;
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    const bool ok = arena != NULL && pipeline->options->open_landing(pipeline->options->state,
                                                                     arena, &store, &landing, &err);
    for (;;) {
        SliceTask *tasks[SLICE_SEAL_MAX];
        size_t count = 0;
        tasks[count] = queue_take(pipeline->to_seal, -1);
        while (tasks[count] != NULL && ++count < SLICE_SEAL_MAX)
            tasks[count] = queue_take(pipeline->to_seal, 0);
        if (count == 0)
            break;
        if (ok)
            slice_seal(tasks, count, landing);
        for (size_t i = 0; i < count; i++) {
            if (!ok)
                tasks[i]->err = err;
            if (!queue_put(pipeline->to_main, tasks[i]))
                slice_free(tasks[i]);
        }
    }
    return NULL;
}

// --- write thread

static bool write_load(Pipeline *pipeline, LoadTask *load, Error *err)
{
    const PipelineOptions *options = pipeline->options;
    const Warehouse *warehouse = options->warehouse;
    load->held =
        warehouse->driver->may_load != NULL && !warehouse->driver->may_load(warehouse->state, err);
    if (load->held)
        return false;
    if (options->plan->mode == MODE_REHYDRATION && load->vanished == NULL) {
        bool any = false;
        TRY(load_look_for_vanished(load, options->warehouse, &any, err));
        if (any)
            return true; // comes back when the second readings are there
    } else if (load->vanished != NULL) {
        bool more = false;
        TRY(load_confirm(load, &more, err));
        if (more)
            return true;
    }
    return load_execute(load, options->warehouse, err);
}

// The log is not worth a run: what cannot be written now goes back with the load and is kept.
static void write_log(Pipeline *pipeline, LoadTask *load)
{
    Error later = {0};
    if (load->log != NULL && !pipeline->options->warehouse->driver->logs_once_a_run)
        (void)!log_book_write(load->log, pipeline->options->warehouse, &later);
}

// Lets go of the warehouse's file when nothing is to be written for a moment, or after a while in
// any case: others may want it. Not after every load, since what was cached of keys and hashes
// would be read again.
static bool let_go(Pipeline *pipeline, int64_t *held_since_us, bool now, Error *err)
{
    const int64_t now_us = pipeline->env->monotonic_us(pipeline->env->state);
    if (*held_since_us == 0 || (!now && now_us - *held_since_us < WAREHOUSE_HOLD_US))
        return true;
    *held_since_us = 0;
    return pipeline->options->warehouse->driver->idle(pipeline->options->warehouse->state, err);
}

static void *writer_main(void *state)
{
    Pipeline *pipeline = state;
    int64_t held_since_us = 0;
    for (;;) {
        LoadTask *load = queue_take(pipeline->to_write, WRITER_PAUSE_MS);
        Error idle = {0};
        if (load == NULL) {
            // A file that cannot be closed will say so when it is opened for the next load.
            (void)!let_go(pipeline, &held_since_us, true, &idle);
            if (queue_is_closed(pipeline->to_write))
                break;
            continue;
        }
        if (held_since_us == 0)
            held_since_us = pipeline->env->monotonic_us(pipeline->env->state);
        if (env_check_stop(pipeline->env, &load->err) && write_load(pipeline, load, &load->err))
            write_log(pipeline, load);
        if (!let_go(pipeline, &held_since_us, load->err.code != ERROR_NONE, &idle) &&
            load->err.code == ERROR_NONE)
            load->err = idle;
        if (!queue_put(pipeline->written, load))
            load_task_free(load);
    }
    return NULL;
}

// --- events

static void emit(Pipeline *pipeline, Event event)
{
    event.at_us = pipeline->env->now_us(pipeline->env->state);
    event.run = str_from(pipeline->options->plan->run);
    event.job = pipeline->options->job->name;
    event.mode = str_from(plan_mode_name(pipeline->options->plan));
    pipeline->options->sink->emit(pipeline->options->sink->state, &event);
}

static Event slice_event(EventKind kind, const SliceTask *task)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    Event event = {.kind = kind, EVENT_NONE};
    event.stream = stream_name(task->stream->stream);
    event.partition = task->stream->partitions[slice->partition].value;
    event.slice = task->ordinal;
    return event;
}

static void emit_progress(Pipeline *pipeline, bool now)
{
    const int64_t us = pipeline->env->monotonic_us(pipeline->env->state);
    if (!now && us - pipeline->progress_us < 500000)
        return;
    pipeline->progress_us = us;
    RunCounters *counters = &pipeline->counters;
    Event event = {.kind = EVENT_PROGRESS, EVENT_NONE};
    event.rows = atomic_load(&counters->rows);
    event.pages = atomic_load(&counters->pages);
    event.bytes = atomic_load(&counters->bytes);
    event.requests = atomic_load(&counters->requests);
    event.retries = atomic_load(&counters->retries);
    event.wait_us = atomic_load(&counters->wait_us);
    event.inserted = pipeline->report.inserted;
    event.updated = pipeline->report.updated;
    event.total = pipeline->report.slices;
    event.done = pipeline->report.slices - (int64_t)pipeline->unsettled;
    emit(pipeline, event);
}

// --- ETL_LOG

static EtlLogRow log_row(const Pipeline *pipeline, const char *stage, const PlanStream *stream)
{
    EtlLogRow row = {ETL_LOG_NONE};
    row.run = str_from(pipeline->options->plan->run);
    row.job = pipeline->options->job->name;
    row.mode = str_from(plan_mode_name(pipeline->options->plan));
    row.stage = str_from(stage);
    row.stream = stream_name(stream->stream);
    row.status = STR("ok");
    return row;
}

static void log_error(Pipeline *pipeline, EtlLogRow *row, const Error *why)
{
    Error ignored = {0};
    if (why->code == ERROR_NONE)
        return;
    row->status = STR("failed");
    if (!log_book_error_json(pipeline->log, why, &row->error_json, &ignored))
        row->error_json = STR("{}");
}

static void log_slice(Pipeline *pipeline, const SliceTask *task)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    EtlLogRow row = log_row(pipeline, task->confirms ? "confirm" : "read", task->stream);
    row.partition_key = task->stream->partitions[slice->partition].partition.key;
    row.slice = task->ordinal;
    row.rows_in = task->counts.records;
    row.rows_landed = task->manifest.distinct_keys;
    row.rows_quarantined = task->counts.quarantined;
    row.rows_overflowed = task->counts.overflowed;
    row.bytes = (int64_t)task->bytes;
    row.requests = task->requests;
    row.attempts = task->requests + task->retries;
    row.wait_us = task->waited_us;
    row.started_us = task->started_us;
    row.duration_us = task->ended_us - task->started_us;
    log_error(pipeline, &row, &task->err);
    log_book_add(pipeline->log, &row);
}

static void log_load(Pipeline *pipeline, const LoadTask *load)
{
    EtlLogRow row = log_row(pipeline, "merge", load->stream);
    row.load = load->ordinal;
    row.rows_in = load->rows_in;
    row.rows_landed = load->distinct;
    row.rows_inserted = load->inserted;
    row.rows_updated = load->updated;
    row.rows_unchanged = load->unchanged;
    row.rows_deleted = load->deleted;
    row.rows_quarantined = load->quarantined;
    row.rows_overflowed = load->overflowed;
    row.started_us = load->started_us;
    row.duration_us = load->ended_us - load->started_us;
    log_error(pipeline, &row, &load->err);
    log_book_add(pipeline->log, &row);
}

// --- starting slices

static bool has_memory(Pipeline *pipeline)
{
    const uint64_t share = pipeline->options->job->limits.memory_bytes / 100 * BATCH_SHARE_PERCENT;
    // Without a load at the writer, waiting would be for ever: the load in hand needs its slices.
    return pipeline->loads_under_way == 0 ||
           atomic_load(&pipeline->counters.batch_bytes) < (long long)share;
}

static bool start_slice(Pipeline *pipeline, uint32_t stream, uint32_t ordinal, uint32_t reading,
                        uint32_t looks, bool confirms, Error *err)
{
    SliceTask *task = NULL;
    TRY(slice_new(&pipeline->context, stream, ordinal, reading, &task, err));
    task->looks = looks;
    task->confirms = confirms;
    if (!queue_put(pipeline->to_work, task)) {
        slice_free(task);
        return error_set(err, ERROR_STOPPED, "stopped on request");
    }
    pipeline->active++;
    return true;
}

static bool start_more(Pipeline *pipeline, Error *err)
{
    for (uint32_t s = 0; s < pipeline->options->plan->stream_count; s++) {
        StreamState *state = &pipeline->streams[s];
        const PlanStream *stream = &pipeline->options->plan->streams[s];
        while (state->next_start < stream->slice_count) {
            const size_t i = state->next_start;
            if (pipeline->active - atomic_load(&pipeline->sealed) >= pipeline->active_max ||
                !has_memory(pipeline))
                return true;
            state->next_start++;
            if (state->states[i] != STATE_WAITING)
                continue;
            // What is landed already needs no right any more; it may even be in a load that is
            // fixed.
            if (stream->partitions[stream->slices[i].partition].broken && state->readings[i] == 0) {
                state->states[i] = STATE_FAILED;
                pipeline->report.slices_failed++;
                pipeline->unsettled--;
                continue;
            }
            const uint32_t reading = state->readings[i] == 0 ? 1 : state->readings[i];
            state->states[i] = STATE_ACTIVE;
            TRY(start_slice(pipeline, s, (uint32_t)i, reading, 0, false, err));
        }
    }
    return true;
}

// --- gathering loads

static bool note_load(Pipeline *pipeline, const LoadTask *load, Error *err)
{
    if (plan_is_replay(pipeline->options->plan))
        return true; // killed, it begins anew
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"version\":1,\"ordinal\":%u,\"slices\":[", load->ordinal));
    for (size_t i = 0; i < load->slice_count; i++)
        TRY(buf_printf(&text, err, "%s[%u,%u]", i > 0 ? "," : "", load->slices[i]->ordinal,
                       load->slices[i]->reading));
    TRY(buf_printf(&text, err, "]}"));
    char name[256];
    (void)snprintf(name, sizeof(name), STR_FMT "/loads/%06u.json",
                   STR_ARG(stream_name(load->stream->stream)), load->ordinal);
    Error there = {0};
    if (landing_create_note(pipeline->options->landing, str_from(pipeline->options->plan->run),
                            str_from(name), buf_str(&text), &there) ||
        there.code == ERROR_CONFLICT)
        return true; // the same one: a fixed load is only ever gathered as it was fixed
    *err = there;
    return false;
}

// Notes the partitions that lack a slice between `from` and `to`: no later one proves anything.
static void find_gaps(const Pipeline *pipeline, uint32_t s, size_t from, size_t to, bool *gaps)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    const unsigned char *states = pipeline->streams[s].states;
    for (size_t i = from; i < to; i++) {
        if (states[i] != STATE_LOADING && states[i] != STATE_LOADED)
            gaps[stream->slices[i].partition] = true;
    }
}

static bool is_last_of_partition(const PlanStream *stream, uint32_t ordinal)
{
    for (size_t i = ordinal + 1; i < stream->slice_count; i++) {
        if (stream->slices[i].partition == stream->slices[ordinal].partition)
            return false;
    }
    return true;
}

// The furthest each partition of the load has come without a gap. A gap may have been left by an
// earlier attempt too, whose failures are not known any more.
static bool prove_watermarks(Pipeline *pipeline, LoadTask *load, Error *err)
{
    const RunMode mode = pipeline->options->plan->mode;
    const uint32_t s = load->slices[0]->stream_index;
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    // An incremental run over days that a person chose proves nothing about those before them.
    const bool chosen = mode == MODE_INCREMENTAL && pipeline->options->plan->asked.to.size > 0;
    if (mode == MODE_REHYDRATION || chosen || pipeline->options->plan->keeps_watermarks)
        return true;
    load->watermarks =
        arena_alloc_array(load->arena, load->slice_count + 1, sizeof(Watermark), err);
    bool *gaps = arena_alloc_array(load->arena, stream->partition_count + 1, sizeof(bool), err);
    TRY(load->watermarks != NULL && gaps != NULL);
    load->only_where_none = mode == MODE_HISTORIC;
    size_t looked = 0;
    for (size_t i = 0; i < load->slice_count; i++) {
        const SliceTask *slice = load->slices[i];
        const PlanSlice *plan = &stream->slices[slice->ordinal];
        find_gaps(pipeline, s, looked, slice->ordinal, gaps);
        looked = slice->ordinal;
        // Historic sets one only when the partition's last slice is in.
        if (gaps[plan->partition] ||
            (mode == MODE_HISTORIC && !is_last_of_partition(stream, slice->ordinal)))
            continue;
        int64_t from_us = 0;
        int64_t to_us = 0;
        plan_slice_bounds(stream, plan, &from_us, &to_us);
        const int64_t fetched_us = slice->manifest.fetched_us;
        const int64_t mark_us = !stream->cursor.exists || fetched_us < to_us ? fetched_us : to_us;
        load->watermarks[load->watermark_count++] =
            (Watermark){.stream = stream_name(stream->stream),
                        .partition_key = stream->partitions[plan->partition].partition.key,
                        .us = mark_us};
    }
    return true;
}

static bool send_load(Pipeline *pipeline, LoadTask *load, Error *err)
{
    TRY(note_load(pipeline, load, err));
    TRY(prove_watermarks(pipeline, load, err));
    load->epoch = pipeline->options->epoch;
    load->accept_deletes = pipeline->options->accept_deletes;
    load->lake = pipeline->options->lake;
    load->log = pipeline->log;
    pipeline->log = NULL;
    TRY(log_book_new(&pipeline->log, err));
    pipeline->loads_under_way++;
    if (!queue_put(pipeline->to_write, load))
        return error_set(err, ERROR_STOPPED, "stopped on request");
    return true;
}

// Moves the given slices, all whole, into a new load.
static bool make_load(Pipeline *pipeline, uint32_t s, uint32_t ordinal, const uint32_t *slices,
                      size_t count, Error *err)
{
    StreamState *state = &pipeline->streams[s];
    LoadTask *load = NULL;
    TRY(load_task_new(&pipeline->context, &pipeline->options->plan->streams[s], ordinal, count,
                      &load, err));
    for (size_t i = 0; i < count; i++) {
        load->slices[i] = state->whole[slices[i]];
        state->whole[slices[i]] = NULL;
        state->states[slices[i]] = STATE_LOADING;
    }
    if (send_load(pipeline, load, err))
        return true;
    load_task_free(load);
    return false;
}

// Loads that an earlier attempt fixed come first, exactly as they were.
static bool gather_fixed(Pipeline *pipeline, uint32_t s, bool *ret_wait, Error *err)
{
    StreamState *state = &pipeline->streams[s];
    *ret_wait = false;
    while (state->fixed_next < state->fixed_count) {
        const FixedLoad *fixed = &state->fixed[state->fixed_next];
        for (size_t i = 0; i < fixed->count; i++) {
            if (state->states[fixed->slices[i]] == STATE_FAILED)
                return error_set(err, ERROR_DATA,
                                 "load %u: slice %u was landed whole but cannot be read",
                                 fixed->ordinal, fixed->slices[i]);
            if (state->states[fixed->slices[i]] != STATE_WHOLE) {
                *ret_wait = true;
                return true;
            }
        }
        if (pipeline->loads_under_way >= LOADS_AHEAD) {
            *ret_wait = true;
            return true;
        }
        state->fixed_next++;
        TRY(make_load(pipeline, s, fixed->ordinal, fixed->slices, fixed->count, err));
    }
    return true;
}

// Consecutive whole slices up to about limits.load_rows rows; a failed slice is passed over.
static bool gather_next(Pipeline *pipeline, uint32_t s, bool *ret_made, Error *err)
{
    StreamState *state = &pipeline->streams[s];
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    *ret_made = false;
    const JobLimits *limits = &pipeline->options->job->limits;
    const LoadBounds bounds = {.rows_unit = pipeline->options->warehouse->driver->rows_unit,
                               .rows_max = limits->load_rows,
                               .bytes_max = limits->memory_bytes / 100 * LOAD_SHARE_PERCENT};
    int64_t rows = 0;
    uint64_t bytes = 0;
    size_t count = 0;
    size_t i = state->next_gather;
    for (; i < stream->slice_count && rows < bounds.rows_max && bytes < bounds.bytes_max; i++) {
        if (state->states[i] == STATE_WAITING || state->states[i] == STATE_ACTIVE)
            return true;
        if (state->states[i] != STATE_WHOLE)
            continue;
        if (load_ends_before(&bounds, rows, bytes, state->whole[i]->manifest.records))
            break;
        rows += state->whole[i]->manifest.records;
        bytes += state->whole[i]->batch_bytes;
        count++;
    }
    if (count == 0) {
        state->next_gather = i;
        return true;
    }
    uint32_t *slices = arena_alloc_array(pipeline->arena, count, sizeof(*slices), err);
    TRY(slices != NULL);
    size_t filled = 0;
    for (size_t k = state->next_gather; k < i; k++) {
        if (state->states[k] == STATE_WHOLE)
            slices[filled++] = (uint32_t)k;
    }
    state->next_gather = i;
    *ret_made = true;
    return make_load(pipeline, s, state->next_ordinal++, slices, count, err);
}

// Nothing of it differs from what the warehouse holds, so nothing is told to it.
static void settle_resting(Pipeline *pipeline)
{
    Event event = {.kind = EVENT_WAREHOUSE_RESTS, EVENT_NONE};
    for (uint32_t s = 0; s < pipeline->options->plan->stream_count; s++) {
        StreamState *state = &pipeline->streams[s];
        for (size_t i = 0; i < pipeline->options->plan->streams[s].slice_count; i++) {
            pipeline->report.unchanged += state->whole[i]->manifest.distinct_keys;
            pipeline->report.overflowed += state->whole[i]->counts.overflowed;
            slice_free(state->whole[i]);
            state->whole[i] = NULL;
            state->states[i] = STATE_LOADED;
        }
    }
    pipeline->unsettled = 0;
    pipeline->options->memo->rests = true;
    event.rows = pipeline->report.unchanged;
    emit(pipeline, event);
}

// While all that was read is as the last run left it, no load begins: it may turn out that none is
// needed. Rows that wait for that fill no more than their share of memory.
static bool may_rest(Pipeline *pipeline)
{
    const uint64_t share = pipeline->options->job->limits.memory_bytes / 100 * BATCH_SHARE_PERCENT;
    pipeline->rests =
        pipeline->rests && atomic_load(&pipeline->counters.batch_bytes) < (long long)share;
    if (!pipeline->rests)
        return false;
    for (uint32_t s = 0; s < pipeline->options->plan->stream_count; s++) {
        for (size_t i = 0; i < pipeline->options->plan->streams[s].slice_count; i++) {
            if (pipeline->streams[s].states[i] != STATE_WHOLE)
                return true;
        }
    }
    settle_resting(pipeline);
    return true;
}

static bool gather(Pipeline *pipeline, Error *err)
{
    if (may_rest(pipeline))
        return true;
    for (uint32_t s = 0; s < pipeline->options->plan->stream_count; s++) {
        bool wait = false;
        TRY(gather_fixed(pipeline, s, &wait, err));
        bool made = !wait;
        while (made && pipeline->loads_under_way < LOADS_AHEAD)
            TRY(gather_next(pipeline, s, &made, err));
    }
    return true;
}

// --- slices that ended

static void partition_failed(Pipeline *pipeline, SliceTask *task)
{
    PlanStream *stream = &pipeline->options->plan->streams[task->stream_index];
    PlanPartition *partition = &stream->partitions[stream->slices[task->ordinal].partition];
    if (!partition->broken) {
        pipeline->report.partitions_failed++;
        Event event = slice_event(EVENT_PARTITION_FAILED, task);
        event.text = str_from(task->err.message);
        emit(pipeline, event);
        Error ignored = {0};
        char name[SLICE_TEXT_BYTES];
        match_name_slice(task, name);
        if (pipeline->report.failure == ERROR_NONE) {
            pipeline->report.failure = task->err.code;
            (void)!arena_printf(pipeline->arena, &pipeline->report.first_failure, &ignored,
                                "%s: %s", name, task->err.message);
        }
    }
    partition->broken = true;
    pipeline->rests = false;
    pipeline->streams[task->stream_index].states[task->ordinal] = STATE_FAILED;
    pipeline->report.slices_failed++;
    pipeline->unsettled--;
}

static bool is_new_drift(const StreamState *state, Str path)
{
    for (size_t i = 0; i < state->drift_count; i++) {
        if (str_equal(state->drift[i], path))
            return false;
    }
    return state->drift_count < DRIFT_PATHS_MAX;
}

// Tells of fields that the contract does not know, each once a run.
static void tell_drift(Pipeline *pipeline, const SliceTask *task)
{
    StreamState *state = &pipeline->streams[task->stream_index];
    const Str *paths = task->drift;
    const size_t count = task->drift_count;
    char text[DRIFT_TEXT_BYTES] = "";
    size_t size = 0;
    Error ignored = {0};
    for (size_t i = 0; i < count; i++) {
        if (!is_new_drift(state, paths[i]) ||
            !arena_copy_str(pipeline->arena, paths[i], &state->drift[state->drift_count], &ignored))
            continue;
        state->drift_count++;
        if (size + paths[i].size + 3 > sizeof(text))
            continue;
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s" STR_FMT,
                                 size > 0 ? ", " : "", STR_ARG(paths[i]));
    }
    if (size == 0)
        return;
    Event event = slice_event(EVENT_DRIFT, task);
    event.text = (Str){text, size};
    event.overflowed = task->counts.overflowed;
    emit(pipeline, event);
}

static bool read_again(Pipeline *pipeline, SliceTask *task, Error *err)
{
    Event event = slice_event(EVENT_SLICE_READ_AGAIN, task);
    event.rows = task->manifest.distinct_keys;
    event.total = task->manifest.last_total;
    emit(pipeline, event);
    return start_slice(pipeline, task->stream_index, task->ordinal, task->reading + 1,
                       task->looks + (task->resumed ? 0 : 1), task->confirms, err);
}

static bool settle_confirmation(Pipeline *pipeline, SliceTask *task, Error *err)
{
    for (size_t l = 0; l < pipeline->confirming_count; l++) {
        LoadTask *load = pipeline->confirming[l];
        bool missing = false;
        for (size_t i = 0; i < load->slice_count; i++) {
            if (task != NULL && load->slices[i]->ordinal == task->ordinal &&
                load->slices[i]->stream == task->stream) {
                load->confirmations[i] = task;
                task = NULL;
            }
            missing = missing || (load->wants_confirmation[i] && load->confirmations[i] == NULL);
        }
        if (missing)
            continue;
        pipeline->confirming[l] = pipeline->confirming[--pipeline->confirming_count];
        l--;
        if (!queue_put(pipeline->to_write, load))
            return error_set(err, ERROR_STOPPED, "stopped on request");
    }
    slice_free(task);
    return true;
}

static bool settle_whole(Pipeline *pipeline, SliceTask *task, Error *err)
{
    StreamState *state = &pipeline->streams[task->stream_index];
    char name[SLICE_TEXT_BYTES];
    switch (match_slice(task, pipeline->env->now_us(pipeline->env->state))) {
    case MATCH_READ_AGAIN: {
        const bool ok = read_again(pipeline, task, err);
        slice_free(task);
        return ok;
    }
    case MATCH_NEVER:
        match_name_slice(task, name);
        (void)match_fail(task, name, err);
        slice_free(task);
        return false;
    case MATCH_OPEN: {
        Event open = slice_event(EVENT_SLICE_OPEN, task);
        open.rows = task->manifest.distinct_keys;
        open.total = task->manifest.last_total;
        emit(pipeline, open);
        break;
    }
    case MATCH_AGREES:
        break;
    }
    if (pipeline->options->memo != NULL) {
        bool same = false;
        if (!memo_run_take(pipeline->options->memo, task, &same, err)) {
            slice_free(task);
            return false;
        }
        pipeline->rests = pipeline->rests && same;
    }
    tell_drift(pipeline, task);
    pipeline->report.forgotten += left_out_distinct(&task->left_out);
    Event event = slice_event(task->resumed ? EVENT_SLICE_RESUMED : EVENT_SLICE_READ, task);
    event.rows = task->counts.rows;
    event.pages = task->manifest.page_count;
    event.bytes = (int64_t)task->bytes;
    event.requests = task->requests;
    event.retries = task->retries;
    event.duration_us = task->ended_us - task->started_us;
    emit(pipeline, event);
    state->states[task->ordinal] = STATE_WHOLE;
    state->whole[task->ordinal] = task;
    return true;
}

static bool settle_slice(Pipeline *pipeline, SliceTask *task, Error *err)
{
    pipeline->active--;
    if (task->sealed)
        atomic_fetch_sub(&pipeline->sealed, 1);
    atomic_fetch_add(&pipeline->counters.wait_us, task->waited_us);
    log_slice(pipeline, task);
    if (task->confirms)
        return settle_confirmation(pipeline, task, err);
    if (task->err.code == ERROR_NONE)
        return settle_whole(pipeline, task, err);
    if (match_fails_alone(task)) {
        partition_failed(pipeline, task);
        slice_free(task);
        return true;
    }
    *err = task->err;
    char name[SLICE_TEXT_BYTES];
    match_name_slice(task, name);
    (void)error_context(err, "%s", name);
    slice_free(task);
    return false;
}

// --- loads that ended

static bool start_confirmations(Pipeline *pipeline, LoadTask *load, Error *err)
{
    assert(pipeline->confirming_count <= LOADS_AHEAD);
    pipeline->confirming[pipeline->confirming_count++] = load;
    for (size_t i = 0; i < load->slice_count; i++) {
        if (!load->wants_confirmation[i])
            continue;
        const SliceTask *slice = load->slices[i];
        TRY(start_slice(pipeline, slice->stream_index, slice->ordinal, load->next_readings[i], 0,
                        true, err));
    }
    return true;
}

static void count_load(Pipeline *pipeline, const LoadTask *load)
{
    PipelineReport *report = &pipeline->report;
    report->loads++;
    report->loads_found += load->found ? 1 : 0;
    if (pipeline->options->memo != NULL && (load->found || load->outrun))
        pipeline->options->memo->unsure = true;
    report->inserted += load->inserted;
    report->updated += load->updated;
    report->unchanged += load->unchanged;
    report->deleted += load->deleted;
    report->quarantined += load->quarantined;
    report->overflowed += load->overflowed;
    report->held_back += load->held_back;
    report->unconfirmed += load->unconfirmed;
    Event event = {.kind = load->found ? EVENT_LOAD_FOUND : EVENT_LOAD_COMMITTED, EVENT_NONE};
    event.stream = stream_name(load->stream->stream);
    event.load = load->ordinal;
    event.rows = load->distinct;
    event.inserted = load->inserted;
    event.updated = load->updated;
    event.unchanged = load->unchanged;
    event.deleted = load->deleted;
    event.quarantined = load->quarantined;
    event.overflowed = load->overflowed;
    event.duration_us = load->ended_us - load->started_us;
    emit(pipeline, event);
    if (load->held_back > 0) {
        event.kind = EVENT_DELETES_HELD_BACK;
        event.rows = load->held_back;
        emit(pipeline, event);
    }
    if (load->unconfirmed > 0) {
        event.kind = EVENT_DELETES_UNCONFIRMED;
        event.rows = load->unconfirmed;
        event.text = str_from(load->unconfirmed_why.message);
        emit(pipeline, event);
    }
}

// Rows that the warehouse did not take wait in the landing store.
static void keep_log(Pipeline *pipeline, LogBook *log)
{
    Error lost = {0};
    if (log != NULL &&
        !log_book_keep(log, pipeline->options->store, pipeline->options->job->name,
                       str_from(pipeline->options->plan->run), pipeline->env, &lost)) {
        Event event = {.kind = EVENT_WAITING, EVENT_NONE};
        event.text = str_from(lost.message);
        emit(pipeline, event);
    }
}

// A load that the warehouse takes no more today: its pages stay landed and its run stays open,
// while reading goes on.
static void hold_load(Pipeline *pipeline, LoadTask *load)
{
    if (pipeline->held.code == ERROR_NONE)
        pipeline->held = load->err;
    pipeline->unsettled -= load->slice_count;
    pipeline->loads_under_way--;
    log_load(pipeline, load);
    load_task_free(load);
}

static bool settle_load(Pipeline *pipeline, LoadTask *load, Error *err)
{
    keep_log(pipeline, load->log);
    if (load->held) {
        hold_load(pipeline, load);
        return true;
    }
    if (load->err.code != ERROR_NONE) {
        log_load(pipeline, load);
        *err = load->err;
        (void)error_context(err, STR_FMT ", load %u", STR_ARG(stream_name(load->stream->stream)),
                            load->ordinal);
        load_task_free(load);
        return false;
    }
    for (size_t i = 0; i < load->slice_count; i++) {
        if (load->wants_confirmation[i])
            return start_confirmations(pipeline, load, err);
    }
    StreamState *state = &pipeline->streams[load->slices[0]->stream_index];
    for (size_t i = 0; i < load->slice_count; i++)
        state->states[load->slices[i]->ordinal] = STATE_LOADED;
    pipeline->unsettled -= load->slice_count;
    pipeline->loads_under_way--;
    log_load(pipeline, load);
    count_load(pipeline, load);
    load_task_free(load);
    return true;
}

// --- what an earlier attempt left

static bool read_fixed_load(Pipeline *pipeline, uint32_t s, uint32_t ordinal, bool *ret_there,
                            Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    StreamState *state = &pipeline->streams[s];
    char name[256];
    (void)snprintf(name, sizeof(name), STR_FMT "/loads/%06u.json",
                   STR_ARG(stream_name(stream->stream)), ordinal);
    Str json = {0};
    Error missing = {0};
    *ret_there =
        landing_get_note(pipeline->options->landing, str_from(pipeline->options->plan->run),
                         str_from(name), pipeline->arena, &json, &missing);
    if (!*ret_there && missing.code == ERROR_NOT_FOUND)
        return true;
    if (!*ret_there) {
        *err = missing;
        return false;
    }
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, name, pipeline->arena, &doc, err));
    yyjson_val *slices = json_get(yyjson_doc_get_root(doc), STR("slices"));
    FixedLoad fixed = {.ordinal = ordinal, .count = yyjson_arr_size(slices)};
    fixed.slices = arena_alloc_array(pipeline->arena, fixed.count + 1, sizeof(uint32_t), err);
    fixed.readings = arena_alloc_array(pipeline->arena, fixed.count + 1, sizeof(uint32_t), err);
    TRY(fixed.slices != NULL && fixed.readings != NULL);
    for (size_t i = 0; i < fixed.count; i++) {
        yyjson_val *item = yyjson_arr_get(slices, i);
        fixed.slices[i] = (uint32_t)yyjson_get_uint(yyjson_arr_get(item, 0));
        fixed.readings[i] = (uint32_t)yyjson_get_uint(yyjson_arr_get(item, 1));
        if (fixed.slices[i] >= stream->slice_count)
            return error_set(err, ERROR_DATA, "%s: slice %u is not in the plan", name,
                             fixed.slices[i]);
        state->readings[fixed.slices[i]] = fixed.readings[i];
    }
    bool has = false;
    const WarehouseDriver *driver = pipeline->options->warehouse->driver;
    TRY(driver->has_load(pipeline->options->warehouse->state,
                         str_from(pipeline->options->plan->run), stream_name(stream->stream),
                         ordinal, &has, err));
    if (has) {
        for (size_t i = 0; i < fixed.count; i++)
            state->states[fixed.slices[i]] = STATE_LOADED;
        pipeline->unsettled -= fixed.count;
        return true;
    }
    FixedLoad *all = arena_alloc_array(pipeline->arena, state->fixed_count + 1, sizeof(*all), err);
    TRY(all != NULL);
    if (state->fixed_count > 0)
        memcpy(all, state->fixed, state->fixed_count * sizeof(*all));
    all[state->fixed_count++] = fixed;
    state->fixed = all;
    return true;
}

// Of a replay: what is not to be loaded again is settled.
static void choose_replayed(Pipeline *pipeline, const PlanStream *stream, StreamState *state)
{
    for (size_t i = 0; i < stream->slice_count; i++) {
        state->readings[i] = stream->replayed[i];
        if (stream->replayed[i] != 0)
            continue;
        state->states[i] = STATE_LOADED;
        pipeline->unsettled--;
        pipeline->report.slices--;
    }
}

// A slice that was read again but is in no load yet: its latest reading counts.
static bool find_reading(Pipeline *pipeline, uint32_t s, uint32_t ordinal, Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    const PlanSlice *slice = &stream->slices[ordinal];
    const SliceName name = {.run = str_from(pipeline->options->plan->run),
                            .stream = stream_name(stream->stream),
                            .partition_key = stream->partitions[slice->partition].partition.key,
                            .slice = ordinal};
    uint32_t last = 1;
    TRY(match_last_reading(pipeline->options->landing, &name, pipeline->arena, &last, err));
    if (last > 1)
        pipeline->streams[s].readings[ordinal] = last;
    return true;
}

static bool prepare_stream(Pipeline *pipeline, uint32_t s, Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    StreamState *state = &pipeline->streams[s];
    state->states = arena_alloc(pipeline->arena, stream->slice_count + 1, err);
    state->readings =
        arena_alloc_array(pipeline->arena, stream->slice_count + 1, sizeof(uint32_t), err);
    state->whole =
        arena_alloc_array(pipeline->arena, stream->slice_count + 1, sizeof(SliceTask *), err);
    TRY(state->states != NULL && state->readings != NULL && state->whole != NULL);
    pipeline->unsettled += stream->slice_count;
    if (plan_is_replay(pipeline->options->plan)) {
        choose_replayed(pipeline, stream, state);
        return true;
    }
    if (!pipeline->options->plan->resumed)
        return true;
    for (bool there = true; there; state->next_ordinal += there ? 1 : 0)
        TRY(read_fixed_load(pipeline, s, state->next_ordinal, &there, err));
    for (uint32_t i = 0; i < stream->slice_count; i++) {
        if (state->states[i] == STATE_WAITING && state->readings[i] == 0)
            TRY(find_reading(pipeline, s, i, err));
    }
    return true;
}

// --- start, loop, stop

static bool start_some(Pipeline *pipeline, pthread_t *threads, int wanted, void *(*run)(void *),
                       int *ret_count, Error *err)
{
    for (; *ret_count < wanted; (*ret_count)++)
        TRY(thread_start(&threads[*ret_count], run, pipeline, err));
    return true;
}

static bool start_threads(Pipeline *pipeline, Error *err)
{
    const Job *job = pipeline->options->job;
    // What a kill costs is one page for each slice under way, so there are no more of them than
    // connections: one that a worker has in hand leaves its connection idle for that moment.
    pipeline->active_max = (size_t)job->limits.connections;
    const size_t tasks_max = pipeline->active_max + 4096;
    pipeline->to_work = queue_new(tasks_max, err);
    pipeline->to_seal = queue_new(tasks_max, err);
    pipeline->to_main = queue_new(tasks_max, err);
    pipeline->to_write = queue_new(LOADS_AHEAD * 2 + 2, err);
    pipeline->written = queue_new(LOADS_AHEAD * 2 + 2, err);
    TRY(pipeline->to_work != NULL && pipeline->to_seal != NULL && pipeline->to_main != NULL &&
        pipeline->to_write != NULL && pipeline->written != NULL);
    TRY(fetch_start(pipeline->options->fetch, pipeline->options->plan, pipeline->to_work, err));
    const bool remote = (pipeline->options->store->driver->features & STORE_REMOTE) != 0;
    TRY(start_some(pipeline, pipeline->workers, remote ? REMOTE_WORKERS : WORKERS, worker_main,
                   &pipeline->worker_count, err));
    TRY(start_some(pipeline, pipeline->sealers, remote ? REMOTE_SEALERS : 1, sealer_main,
                   &pipeline->sealer_count, err));
    int writers = 0;
    TRY(start_some(pipeline, &pipeline->writer, 1, writer_main, &writers, err));
    pipeline->writer_runs = true;
    return true;
}

static void stop_threads(Pipeline *pipeline)
{
    fetch_stop(pipeline->options->fetch);
    if (pipeline->to_work != NULL)
        queue_close(pipeline->to_work);
    for (int i = 0; i < pipeline->worker_count; i++)
        (void)pthread_join(pipeline->workers[i], NULL);
    if (pipeline->to_seal != NULL)
        queue_close(pipeline->to_seal);
    for (int i = 0; i < pipeline->sealer_count; i++)
        (void)pthread_join(pipeline->sealers[i], NULL);
    fetch_drain(pipeline->options->fetch);
    if (pipeline->to_write != NULL)
        queue_close(pipeline->to_write);
    if (pipeline->writer_runs)
        (void)pthread_join(pipeline->writer, NULL);
}

// Everything that is still in a queue or waits for a load, after the threads are gone.
static void free_rest(Pipeline *pipeline)
{
    Queue *slices[] = {pipeline->to_work, pipeline->to_seal, pipeline->to_main};
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
        for (SliceTask *task; slices[i] != NULL && (task = queue_take(slices[i], 0)) != NULL;)
            slice_free(task);
        queue_free(slices[i]);
    }
    Queue *loads[] = {pipeline->to_write, pipeline->written};
    for (size_t i = 0; i < 2; i++) {
        for (LoadTask *load; loads[i] != NULL && (load = queue_take(loads[i], 0)) != NULL;)
            load_task_free(load);
        queue_free(loads[i]);
    }
    for (size_t i = 0; i < pipeline->confirming_count; i++)
        load_task_free(pipeline->confirming[i]);
    for (uint32_t s = 0; pipeline->streams != NULL && s < pipeline->options->plan->stream_count;
         s++) {
        const size_t count = pipeline->options->plan->streams[s].slice_count;
        for (size_t i = 0; pipeline->streams[s].whole != NULL && i < count; i++)
            slice_free(pipeline->streams[s].whole[i]);
    }
}

static bool drain(Pipeline *pipeline, Error *err)
{
    // Wait for whichever comes first: slices come much more often, so loads are looked at between
    // them.
    SliceTask *task = queue_take(pipeline->to_main, pipeline->active > 0 ? 5 : 0);
    for (; task != NULL; task = queue_take(pipeline->to_main, 0))
        TRY(settle_slice(pipeline, task, err));
    LoadTask *load = queue_take(pipeline->written, pipeline->active > 0 ? 0 : TICK_MS);
    for (; load != NULL; load = queue_take(pipeline->written, 0))
        TRY(settle_load(pipeline, load, err));
    return true;
}

static bool loop(Pipeline *pipeline, Error *err)
{
    while (pipeline->unsettled > 0) {
        TRY(env_check_stop(pipeline->env, err) && fetch_check(pipeline->options->fetch, err));
        // Before the first request: it tells which share of the rate is ours.
        TRY(pipeline->options->tick(pipeline->options->state, err));
        TRY(start_more(pipeline, err));
        TRY(drain(pipeline, err));
        TRY(gather(pipeline, err));
        emit_progress(pipeline, false);
    }
    return true;
}

bool pipeline_run(const PipelineOptions *options, Env *env, Arena *arena,
                  PipelineReport *ret_report, Error *err)
{
    Pipeline pipeline = {.options = options, .env = env, .arena = arena};
    pipeline.context = (SliceContext){.job = options->job,
                                      .plan = options->plan,
                                      .env = env,
                                      .counters = &pipeline.counters,
                                      .forgotten = options->forgotten};
    pipeline.streams =
        arena_alloc_array(arena, options->plan->stream_count + 1, sizeof(StreamState), err);
    pipeline.log = *options->log;
    pipeline.rests = options->memo != NULL && options->memo->memo != NULL;
    bool ok = pipeline.streams != NULL;
    for (uint32_t s = 0; ok && s < options->plan->stream_count; s++) {
        pipeline.report.slices += (int64_t)options->plan->streams[s].slice_count;
        ok = prepare_stream(&pipeline, s, err);
    }
    // Loads that were looked for have opened the warehouse: others may want it until the first one.
    Warehouse *warehouse = options->warehouse;
    ok = ok && warehouse->driver->idle(warehouse->state, err) && start_threads(&pipeline, err) &&
         loop(&pipeline, err);
    stop_threads(&pipeline);
    free_rest(&pipeline);
    fetch_close(options->fetch);
    *options->log = pipeline.log;
    if (ok && pipeline.held.code != ERROR_NONE) {
        *err = pipeline.held;
        ok = false;
    }
    if (ok)
        emit_progress(&pipeline, true);
    RunCounters *counters = &pipeline.counters;
    pipeline.report.records = atomic_load(&counters->records);
    pipeline.report.pages = atomic_load(&counters->pages);
    pipeline.report.bytes = atomic_load(&counters->bytes);
    pipeline.report.stored_bytes = atomic_load(&counters->stored_bytes);
    pipeline.report.requests = atomic_load(&counters->requests);
    pipeline.report.retries = atomic_load(&counters->retries);
    pipeline.report.wait_us = atomic_load(&counters->wait_us);
    *ret_report = pipeline.report;
    return ok;
}
