#include "batch/block.h"
#include "run/match.h"
#include "run/pipeline_parts.h"

#include <assert.h>
#include <stdio.h>

enum {
    TICK_MS = 100,
    DRIFT_TEXT_BYTES = 400,
};

// Of limits.memory: shaped rows may fill so much before new slices wait for the writer.
enum { BATCH_SHARE_PERCENT = 22 };

bool pipeline_has_room(const Pipeline *pipeline)
{
    const uint64_t share = pipeline->options->job->limits.memory_bytes / 100 * BATCH_SHARE_PERCENT;
    return atomic_load(&pipeline->counters.batch_bytes) < (long long)share;
}

// Where nothing is under way, waiting for room would be for ever: the load in hand needs slices
// that were not started yet.
bool pipeline_may_start(const Pipeline *pipeline)
{
    if (pipeline->active - atomic_load(&pipeline->sealed) >= pipeline->active_max)
        return false;
    return (pipeline->active == 0 && pipeline->loads_under_way == 0) || pipeline_has_room(pipeline);
}

// --- starting slices

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
            if (!pipeline_may_start(pipeline))
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

// --- slices that ended

static void partition_failed(Pipeline *pipeline, SliceTask *task)
{
    PlanStream *stream = &pipeline->options->plan->streams[task->stream_index];
    PlanPartition *partition = &stream->partitions[stream->slices[task->ordinal].partition];
    if (!partition->broken) {
        pipeline->report.partitions_failed++;
        Event event = pipeline_slice_event(EVENT_PARTITION_FAILED, task);
        event.text = str_from(task->err.message);
        pipeline_emit(pipeline, event);
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
    Event event = pipeline_slice_event(EVENT_DRIFT, task);
    event.text = (Str){text, size};
    event.overflowed = task->counts.overflowed;
    pipeline_emit(pipeline, event);
}

static bool read_again(Pipeline *pipeline, SliceTask *task, Error *err)
{
    Event event = pipeline_slice_event(EVENT_SLICE_READ_AGAIN, task);
    event.rows = task->manifest.distinct_keys;
    event.total = task->manifest.last_total;
    pipeline_emit(pipeline, event);
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

// For the next run; without them it has more to compress.
static void remember_pages(Pipeline *pipeline, const SliceTask *task)
{
    const PipelineOptions *options = pipeline->options;
    const SliceName name = slice_name(task);
    Error ignored = {0};
    if (options->known != NULL)
        (void)!known_pages_add(options->known, options->landing, &name, &task->manifest, &ignored);
}

// What a fixed load holds was judged when it was gathered: judged by a later clock it would be read
// again, and the load would not be the one that its note names.
static Match judge(const Pipeline *pipeline, const SliceTask *task)
{
    const StreamState *state = &pipeline->streams[task->stream_index];
    if (state->is_fixed != NULL && state->is_fixed[task->ordinal] && task->requests == 0)
        return MATCH_AGREES;
    return match_slice(task, pipeline->env->now_us(pipeline->env->state));
}

static bool settle_whole(Pipeline *pipeline, SliceTask *task, Error *err)
{
    StreamState *state = &pipeline->streams[task->stream_index];
    remember_pages(pipeline, task);
    char name[SLICE_TEXT_BYTES];
    switch (judge(pipeline, task)) {
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
        Event open = pipeline_slice_event(EVENT_SLICE_OPEN, task);
        open.rows = task->manifest.distinct_keys;
        open.total = task->manifest.last_total;
        pipeline_emit(pipeline, open);
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
    Event event =
        pipeline_slice_event(task->resumed ? EVENT_SLICE_RESUMED : EVENT_SLICE_READ, task);
    event.rows = task->counts.rows;
    event.pages = task->manifest.page_count;
    event.pages_known = task->pages_known > 0 ? (int64_t)task->pages_known : -1;
    event.bytes = (int64_t)task->bytes;
    event.requests = task->requests;
    event.retries = task->retries;
    event.duration_us = task->ended_us - task->started_us;
    pipeline_emit(pipeline, event);
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
    pipeline_log_slice(pipeline, task);
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
    pipeline_emit(pipeline, event);
    if (load->held_back > 0) {
        event.kind = EVENT_DELETES_HELD_BACK;
        event.rows = load->held_back;
        pipeline_emit(pipeline, event);
    }
    if (load->unconfirmed > 0) {
        event.kind = EVENT_DELETES_UNCONFIRMED;
        event.rows = load->unconfirmed;
        event.text = str_from(load->unconfirmed_why.message);
        pipeline_emit(pipeline, event);
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
    pipeline_log_load(pipeline, load);
    load_task_free(load);
}

static bool settle_load(Pipeline *pipeline, LoadTask *load, Error *err)
{
    pipeline_keep_log(pipeline, load->log);
    if (load->held) {
        hold_load(pipeline, load);
        return true;
    }
    if (load->err.code != ERROR_NONE) {
        pipeline_log_load(pipeline, load);
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
    pipeline_log_load(pipeline, load);
    count_load(pipeline, load);
    load_task_free(load);
    return true;
}

// --- loop

static bool drain(Pipeline *pipeline, Error *err)
{
    // Wait for whichever comes first: slices come much more often, so loads are looked at between
    // them. Nobody waits for a load once slices have come, for they may begin the next one.
    SliceTask *task = queue_take(pipeline->to_main, pipeline->active > 0 ? 5 : 0);
    const bool came = task != NULL;
    for (; task != NULL; task = queue_take(pipeline->to_main, 0))
        TRY(settle_slice(pipeline, task, err));
    LoadTask *load = queue_take(pipeline->written, came || pipeline->active > 0 ? 0 : TICK_MS);
    for (; load != NULL; load = queue_take(pipeline->written, 0))
        TRY(settle_load(pipeline, load, err));
    return true;
}

static bool reads(const Pipeline *pipeline)
{
    const Plan *plan = pipeline->options->plan;
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        if (pipeline->streams[s].next_start < plan->streams[s].slice_count)
            return true;
    }
    return pipeline->active > 0;
}

// Whoever writes the last rows may have what reading needed.
static void note_reading(Pipeline *pipeline)
{
    const bool now = reads(pipeline);
    if (now == atomic_load(&pipeline->reads))
        return;
    atomic_store(&pipeline->reads, now);
    blocks_keep(now);
}

static bool loop(Pipeline *pipeline, Error *err)
{
    if (pipeline->unsettled == 0)
        TRY(pipeline_gather(pipeline, err)); // nothing to read: it may rest
    while (pipeline->unsettled > 0) {
        TRY(env_check_stop(pipeline->env, err) && fetch_check(pipeline->options->fetch, err));
        // Before the first request: it tells which share of the rate is ours.
        TRY(pipeline->options->tick(pipeline->options->state, err));
        TRY(start_more(pipeline, err));
        TRY(drain(pipeline, err));
        note_reading(pipeline);
        TRY(pipeline_gather(pipeline, err));
        pipeline_emit_progress(pipeline, false);
    }
    return true;
}

// For who reads the run's end: how many notes of loads there must be, and how many slices in them.
static bool count_loaded(const Pipeline *pipeline, StreamLoads **ret_streams, Error *err)
{
    const Plan *plan = pipeline->options->plan;
    StreamLoads *all =
        arena_alloc_array(pipeline->arena, plan->stream_count + 1, sizeof(*all), err);
    TRY(all != NULL);
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        const StreamState *state = &pipeline->streams[s];
        all[s] = (StreamLoads){.stream = stream_name(plan->streams[s].stream),
                               .loads = state->next_ordinal};
        // Without a load, what is settled rests.
        for (size_t i = 0; state->next_ordinal > 0 && i < plan->streams[s].slice_count; i++)
            all[s].slices += state->states[i] == STATE_LOADED ? 1 : 0;
    }
    *ret_streams = all;
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
                                      .forgotten = options->forgotten,
                                      // A lake compares rows with its own, and wants all of them.
                                      .notes_rows = options->known != NULL && options->lake == NULL,
                                      .reads = &pipeline.reads,
                                      .knows_rows = &pipeline.knows_rows};
    atomic_init(&pipeline.reads, true);
    atomic_init(&pipeline.knows_rows, options->knows_rows && pipeline.context.notes_rows);
    pipeline.streams =
        arena_alloc_array(arena, options->plan->stream_count + 1, sizeof(StreamState), err);
    pipeline.log = *options->log;
    pipeline.rests = options->memo != NULL && options->memo->memo != NULL;
    bool ok = pipeline.streams != NULL;
    for (uint32_t s = 0; ok && s < options->plan->stream_count; s++) {
        pipeline.report.slices += (int64_t)options->plan->streams[s].slice_count;
        ok = pipeline_resume_stream(&pipeline, s, err);
    }
    // The writer finds the warehouse open, as planning left it, lets go of it in a pause and leaves
    // it open at the end: each opening costs what was cached.
    ok = ok && pipeline_start_threads(&pipeline, err) && loop(&pipeline, err) &&
         count_loaded(&pipeline, &pipeline.report.streams, err);
    pipeline_stop_threads(&pipeline);
    blocks_keep(true);
    pipeline_free_rest(&pipeline);
    fetch_close(options->fetch);
    *options->log = pipeline.log;
    if (ok && pipeline.held.code != ERROR_NONE) {
        *err = pipeline.held;
        ok = false;
    }
    if (ok)
        pipeline_emit_progress(&pipeline, true);
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
