// Whole slices become loads: which of them together, and how far each partition has come with them.
#include "run/pipeline_parts.h"

// Of limits.memory: a load ends there even when it has fewer rows than limits.load_rows.
enum { LOAD_SHARE_PERCENT = 20 };

static bool note_load(Pipeline *pipeline, const LoadTask *load, const LoadNote *fixed, Error *err)
{
    if (plan_is_replay(pipeline->options->plan))
        return true; // killed, it begins anew
    LoadNote note = {.ordinal = load->ordinal,
                     .count = load->slice_count,
                     .accepts_deletes = load->accept_deletes};
    note.slices = arena_alloc_array(load->arena, note.count + 1, sizeof(uint32_t), err);
    note.readings = arena_alloc_array(load->arena, note.count + 1, sizeof(uint32_t), err);
    TRY(note.slices != NULL && note.readings != NULL);
    for (size_t i = 0; i < note.count; i++) {
        note.slices[i] = load->slices[i]->ordinal;
        note.readings[i] = load->slices[i]->reading;
    }
    const Str run = str_from(pipeline->options->plan->run);
    if (fixed != NULL && fixed->accepts_deletes != note.accepts_deletes)
        return load_note_put(pipeline->options->landing, run, load->stream, &note, err);
    return load_note_create(pipeline->options->landing, run, load->stream, &note, err);
}

static bool is_in(const StreamState *state, size_t slice)
{
    return state->states[slice] == STATE_LOADING || state->states[slice] == STATE_LOADED;
}

static void add_mark(const StreamState *state, LoadTask *load, size_t slice, int64_t fetched_us)
{
    const PlanStream *stream = load->stream;
    const PlanSlice *plan = &stream->slices[slice];
    int64_t from_us = 0;
    int64_t to_us = 0;
    if (stream->partitions[plan->partition].keeps_watermark)
        return;
    plan_slice_bounds(stream, plan, &from_us, &to_us);
    if (load->bases != NULL)
        load->bases[load->watermark_count] = state->bases[plan->partition];
    load->watermarks[load->watermark_count++] =
        (Watermark){.stream = stream_name(stream->stream),
                    .partition_key = stream->partitions[plan->partition].partition.key,
                    .us = !stream->cursor.exists || fetched_us < to_us ? fetched_us : to_us};
}

// The furthest each partition of the load has come without a gap. A gap may have been left by an
// earlier attempt too, whose failures are not known any more.
static bool prove_up_to_gaps(const StreamState *state, LoadTask *load, Error *err)
{
    const PlanStream *stream = load->stream;
    bool *gaps = arena_alloc_array(load->arena, stream->partition_count + 1, sizeof(bool), err);
    TRY(gaps != NULL);
    size_t looked = 0;
    for (size_t i = 0; i < load->slice_count; i++) {
        const SliceTask *slice = load->slices[i];
        for (; looked < slice->ordinal; looked++) {
            if (!is_in(state, looked))
                gaps[stream->slices[looked].partition] = true;
        }
        if (!gaps[stream->slices[slice->ordinal].partition])
            add_mark(state, load, slice->ordinal, slice->manifest.fetched_us);
    }
    return true;
}

// Partitions that are in as a whole with this load. Their last slice may be in since an earlier
// attempt, in which another one failed: of its reading no more is known then than that it began
// after the run was planned.
static bool prove_whole(const StreamState *state, int64_t planned_us, LoadTask *load, Error *err)
{
    const PlanStream *stream = load->stream;
    const size_t partitions = stream->partition_count + 1;
    bool *lacks = arena_alloc_array(load->arena, partitions, sizeof(bool), err);
    uint32_t *last = arena_alloc_array(load->arena, partitions, sizeof(uint32_t), err);
    int64_t *fetched_us = arena_alloc_array(load->arena, partitions, sizeof(int64_t), err);
    TRY(lacks != NULL && last != NULL && fetched_us != NULL);
    for (uint32_t i = 0; i < stream->slice_count; i++) {
        last[stream->slices[i].partition] = i;
        if (!is_in(state, i))
            lacks[stream->slices[i].partition] = true;
    }
    for (size_t i = 0; i < load->slice_count; i++) {
        const SliceTask *slice = load->slices[i];
        const uint32_t partition = stream->slices[slice->ordinal].partition;
        fetched_us[partition] =
            slice->ordinal == last[partition] ? slice->manifest.fetched_us : planned_us;
    }
    for (size_t i = 0; i < load->slice_count; i++) {
        const uint32_t partition = stream->slices[load->slices[i]->ordinal].partition;
        if (lacks[partition])
            continue;
        lacks[partition] = true; // told
        add_mark(state, load, last[partition], fetched_us[partition]);
    }
    return true;
}

// Days that a person chose prove nothing about those before them.
static bool find_bases(const Pipeline *pipeline, const PlanStream *stream, StreamState *state,
                       LoadTask *load, Error *err)
{
    load->bases = arena_alloc_array(load->arena, load->slice_count + 1, sizeof(MarkBasis), err);
    TRY(load->bases != NULL);
    if (state->bases != NULL)
        return true;
    const size_t partitions = stream->partition_count + 1;
    const PlanSlice **first = arena_alloc_array(load->arena, partitions, sizeof(*first), err);
    MarkBasis *bases = arena_alloc_array(pipeline->arena, partitions, sizeof(*bases), err);
    TRY(first != NULL && bases != NULL);
    for (size_t i = stream->slice_count; i > 0; i--)
        first[stream->slices[i - 1].partition] = &stream->slices[i - 1];
    for (size_t i = 0; i < stream->partition_count; i++) {
        int64_t to_us = 0;
        if (first[i] == NULL)
            continue;
        plan_slice_bounds(stream, first[i], &bases[i].from_us, &to_us);
        TRY(plan_begins_history(pipeline->options->job, pipeline->options->plan, stream, first[i],
                                &bases[i].begins, err));
    }
    state->bases = bases;
    return true;
}

static bool prove_watermarks(Pipeline *pipeline, LoadTask *load, Error *err)
{
    const Plan *plan = pipeline->options->plan;
    StreamState *state = &pipeline->streams[load->slices[0]->stream_index];
    // Up to a day that a person chose is a look, not how far the job has come.
    const bool chosen = plan->mode == MODE_INCREMENTAL && plan->asked.to.size > 0;
    if (plan->mode == MODE_REHYDRATION || chosen || plan->keeps_watermarks)
        return true;
    load->watermarks =
        arena_alloc_array(load->arena, load->slice_count + 1, sizeof(Watermark), err);
    TRY(load->watermarks != NULL);
    load->only_where_none = plan->mode == MODE_HISTORIC;
    if (plan->mode == MODE_HISTORIC)
        return prove_whole(state, plan->created_us, load, err);
    TRY(plan->asked.from.size == 0 || find_bases(pipeline, load->stream, state, load, err));
    return prove_up_to_gaps(state, load, err);
}

static bool accepts_deletes(const Pipeline *pipeline, const PlanStream *stream, size_t slice)
{
    return plan_is_replay(pipeline->options->plan)
               ? stream->accepted != NULL && stream->accepted[slice]
               : pipeline->options->accept_deletes;
}

static bool send_load(Pipeline *pipeline, LoadTask *load, const LoadNote *fixed, Error *err)
{
    load->accept_deletes = accepts_deletes(pipeline, load->stream, load->slices[0]->ordinal);
    TRY(note_load(pipeline, load, fixed, err));
    TRY(prove_watermarks(pipeline, load, err));
    load->epoch = pipeline->options->epoch;
    load->lake = pipeline->options->lake;
    LogBook *next = NULL; // the pipeline is never without one: the run's end writes into it
    TRY(log_book_new(&next, err));
    load->log = pipeline->log;
    pipeline->log = next;
    pipeline->loads_under_way++;
    if (!queue_put(pipeline->to_write, load))
        return error_set(err, ERROR_STOPPED, "stopped on request");
    return true;
}

// Moves the given slices, all whole, into a new load. `fixed`: its note, where there is one.
static bool make_load(Pipeline *pipeline, uint32_t s, uint32_t ordinal, const uint32_t *slices,
                      size_t count, const LoadNote *fixed, Error *err)
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
    if (send_load(pipeline, load, fixed, err))
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
        const LoadNote *fixed = &state->fixed[state->fixed_next];
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
        TRY(make_load(pipeline, s, fixed->ordinal, fixed->slices, fixed->count, fixed, err));
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
    size_t last = i;
    for (; i < stream->slice_count && rows < bounds.rows_max && bytes < bounds.bytes_max; i++) {
        if (state->states[i] == STATE_WAITING || state->states[i] == STATE_ACTIVE)
            return true;
        if (state->states[i] != STATE_WHOLE)
            continue;
        if (load_ends_before(&bounds, rows, bytes, state->whole[i]->manifest.records) ||
            (count > 0 &&
             accepts_deletes(pipeline, stream, i) != accepts_deletes(pipeline, stream, last)))
            break;
        last = i;
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
    return make_load(pipeline, s, state->next_ordinal++, slices, count, NULL, err);
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
    pipeline_emit(pipeline, event);
}

// While all that was read is as the last run left it, no load begins: it may turn out that none is
// needed. Rows that wait for that fill no more than their share of memory.
static bool rest_or_load(Pipeline *pipeline, Error *err)
{
    pipeline->rests = pipeline->rests && pipeline_has_room(pipeline);
    if (!pipeline->rests)
        return true;
    for (uint32_t s = 0; s < pipeline->options->plan->stream_count; s++) {
        for (size_t i = 0; i < pipeline->options->plan->streams[s].slice_count; i++) {
            const SliceState state = pipeline->streams[s].states[i];
            pipeline->rests = state != STATE_FAILED;
            if (state != STATE_WHOLE)
                return true;
        }
    }
    TRY(pipeline->options->may_rest(pipeline->options->state, &pipeline->rests, err));
    if (pipeline->rests)
        settle_resting(pipeline);
    return true;
}

bool pipeline_gather(Pipeline *pipeline, Error *err)
{
    TRY(rest_or_load(pipeline, err));
    if (pipeline->rests)
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
