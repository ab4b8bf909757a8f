// The threads that slices and loads pass through, and the queues between them.
#include "run/pipeline_parts.h"

#include "base/thread.h"

enum {
    WRITER_PAUSE_MS = 1000, // without a load, before the warehouse's file is let go
    PAGE_ARENA_BYTES = 1024 * 1024 * 1024,
};

#define WAREHOUSE_HOLD_US INT64_C(5000000)

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

// What a thread shapes rows with. Closed by close_worker(), whether or not this failed.
static bool open_worker(Pipeline *pipeline, Arena *arena, Store *store, SliceWorker *worker,
                        Error *err)
{
    const size_t streams = pipeline->options->plan->stream_count;
    *worker = (SliceWorker){.store = store};
    worker->page_arena = arena_new(PAGE_ARENA_BYTES, err);
    worker->shapers = arena_alloc_array(arena, streams + 1, sizeof(Shaper *), err);
    return worker->page_arena != NULL && worker->shapers != NULL &&
           pipeline->options->open_landing(pipeline->options->state, arena, store, &worker->landing,
                                           err);
}

static void close_worker(const Pipeline *pipeline, SliceWorker *worker)
{
    const size_t streams = pipeline->options->plan->stream_count;
    for (size_t i = 0; worker->shapers != NULL && i < streams; i++)
        shaper_free(worker->shapers[i]);
    landing_close(worker->landing);
    arena_free(worker->page_arena);
}

static void *worker_main(void *state)
{
    Pipeline *pipeline = state;
    // The one writer is what a backfill waits for: workers that shared its processor would fill
    // memory with rows that it has no time for, and then stand still.
    thread_give_way();
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    SliceWorker worker = {0};
    const bool ok = arena != NULL && open_worker(pipeline, arena, &store, &worker, &err);
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
    close_worker(pipeline, &worker);
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

// The first load that did not come in, and why. Those behind it stay out too, for their watermarks
// would pass over what is missing.
typedef struct Gap {
    Error why; // code NONE = there is none
    bool held;
} Gap;

static bool follows_gap(LoadTask *load, const Gap *gap)
{
    if (gap->why.code == ERROR_NONE)
        return false;
    load->err = gap->why;
    load->held = gap->held;
    return true;
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

void *pipeline_write_loads(void *state)
{
    Pipeline *pipeline = state;
    // Planning may have opened it.
    int64_t held_since_us = pipeline->env->monotonic_us(pipeline->env->state);
    Error cannot = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, &cannot);
    CLEANUP(store_close) Store store = {0};
    SliceWorker worker = {0};
    // Rows of which only keys are known may have to be made after all.
    const bool lends = atomic_load(&pipeline->knows_rows);
    const bool ok =
        !lends || (arena != NULL && open_worker(pipeline, arena, &store, &worker, &cannot));
    Gap gap = {0};
    for (;;) {
        LoadTask *load = queue_take(pipeline->to_write, WRITER_PAUSE_MS);
        Error idle = {0};
        if (load == NULL) {
            if (queue_is_closed(pipeline->to_write))
                break;
            // A file that cannot be closed will say so when it is opened for the next load.
            (void)!let_go(pipeline, &held_since_us, true, &idle);
            continue;
        }
        if (held_since_us == 0)
            held_since_us = pipeline->env->monotonic_us(pipeline->env->state);
        load->worker = lends ? &worker : NULL;
        if (!ok)
            load->err = cannot;
        else if (!follows_gap(load, &gap) && env_check_stop(pipeline->env, &load->err) &&
                 write_load(pipeline, load, &load->err))
            write_log(pipeline, load);
        if (!let_go(pipeline, &held_since_us, load->err.code != ERROR_NONE, &idle) &&
            load->err.code == ERROR_NONE)
            load->err = idle;
        gap = (Gap){load->err, load->held};
        if (!queue_put(pipeline->written, load))
            load_task_free(load);
    }
    close_worker(pipeline, &worker);
    return NULL;
}

// --- start and stop

static bool start_some(Pipeline *pipeline, pthread_t *threads, int wanted, void *(*run)(void *),
                       int *ret_count, Error *err)
{
    for (; *ret_count < wanted; (*ret_count)++)
        TRY(thread_start(&threads[*ret_count], run, pipeline, err));
    return true;
}

bool pipeline_start_threads(Pipeline *pipeline, Error *err)
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
    TRY(start_some(pipeline, &pipeline->writer, 1, pipeline_write_loads, &writers, err));
    pipeline->writer_runs = true;
    return true;
}

void pipeline_stop_threads(Pipeline *pipeline)
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
void pipeline_free_rest(Pipeline *pipeline)
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
