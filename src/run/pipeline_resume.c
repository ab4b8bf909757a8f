// What an earlier attempt of the run left: loads that it fixed, readings that count.
#include "run/match.h"
#include "run/pipeline_parts.h"

#include <stdio.h>

enum { PARTITION_LEVELS_MAX = 8, NUMBER_BYTES = 32 };

static bool read_fixed_load(Pipeline *pipeline, uint32_t s, uint32_t ordinal, bool *ret_there,
                            Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    StreamState *state = &pipeline->streams[s];
    const Str run = str_from(pipeline->options->plan->run);
    LoadNote fixed = {0};
    TRY(load_note_read(pipeline->options->landing, run, stream, ordinal, pipeline->arena, &fixed,
                       err));
    *ret_there = fixed.there;
    if (!fixed.there)
        return true;
    for (size_t i = 0; i < fixed.count; i++) {
        state->readings[fixed.slices[i]] = fixed.readings[i];
        state->is_fixed[fixed.slices[i]] = true;
    }
    bool has = false;
    const WarehouseDriver *driver = pipeline->options->warehouse->driver;
    TRY(driver->has_load(pipeline->options->warehouse->state, run, stream_name(stream->stream),
                         ordinal, &has, err));
    if (has) {
        for (size_t i = 0; i < fixed.count; i++)
            state->states[fixed.slices[i]] = STATE_LOADED;
        pipeline->unsettled -= fixed.count;
        return true;
    }
    LoadNote *all = arena_alloc_array(pipeline->arena, state->fixed_count + 1, sizeof(*all), err);
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

// A slice that was read again but is in no load yet: its latest reading counts. A rehydration
// begins with the first: what that one lacks, the later ones may have confirmed.
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
        pipeline->streams[s].readings[ordinal] =
            pipeline->options->plan->mode == MODE_REHYDRATION ? 1 : last;
    return true;
}

// By what the job says today, for each of the fields that make it and its parents.
static bool is_admitted(const Job *job, const PlanPartition *partition)
{
    yyjson_val *fields = partition->partition.fields;
    for (int level = 0; fields != NULL && level < PARTITION_LEVELS_MAX; level++) {
        size_t i = 0;
        size_t count = 0;
        yyjson_val *name = NULL;
        yyjson_val *value = NULL;
        yyjson_obj_foreach(fields, i, count, name, value)
        {
            char number[NUMBER_BYTES];
            Str text = json_str(value);
            if (yyjson_is_int(value)) {
                (void)snprintf(number, sizeof(number), "%lld", (long long)yyjson_get_sint(value));
                text = str_from(number);
            }
            if (!yyjson_is_obj(value) &&
                !job_partition_admits(job_find_partition(job, json_str(name)), text))
                return false;
        }
        fields = json_get(fields, STR("parent_slice"));
    }
    return true;
}

static bool tell_left_out(Pipeline *pipeline, const PlanStream *stream, int64_t count, Str last,
                          Error *err)
{
    Event event = {.kind = EVENT_PARTITIONS_LEFT_OUT, EVENT_NONE};
    event.stream = stream_name(stream->stream);
    event.total = count;
    TRY(arena_printf(pipeline->arena, &event.text, err,
                     "%lld slices are left out, the last of " STR_FMT
                     ": 'partitions' of the job admit it no more",
                     (long long)count, STR_ARG(last)));
    pipeline_emit(pipeline, event);
    return true;
}

// Whoever takes an account out of the job does not want a run to wait for it. What is in a load
// that is fixed stays there.
static bool leave_out(Pipeline *pipeline, uint32_t s, Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    StreamState *state = &pipeline->streams[s];
    bool *out = arena_alloc_array(pipeline->arena, stream->partition_count + 1, sizeof(bool), err);
    TRY(out != NULL);
    for (size_t i = 0; i < stream->partition_count; i++)
        out[i] = !is_admitted(pipeline->options->job, &stream->partitions[i]);
    int64_t count = 0;
    Str last = {0};
    for (size_t i = 0; i < stream->slice_count; i++) {
        if (state->states[i] != STATE_WAITING || state->is_fixed[i] ||
            !out[stream->slices[i].partition])
            continue;
        state->states[i] = STATE_FAILED;
        pipeline->unsettled--;
        pipeline->report.slices--;
        count++;
        last = stream->partitions[stream->slices[i].partition].value;
    }
    pipeline->report.slices_left_out += count;
    return count == 0 || tell_left_out(pipeline, stream, count, last, err);
}

static bool resume(Pipeline *pipeline, uint32_t s, Error *err)
{
    const PlanStream *stream = &pipeline->options->plan->streams[s];
    StreamState *state = &pipeline->streams[s];
    state->is_fixed =
        arena_alloc_array(pipeline->arena, stream->slice_count + 1, sizeof(bool), err);
    TRY(state->is_fixed != NULL);
    for (bool there = true; there; state->next_ordinal += there ? 1 : 0)
        TRY(read_fixed_load(pipeline, s, state->next_ordinal, &there, err));
    TRY(leave_out(pipeline, s, err));
    for (uint32_t i = 0; i < stream->slice_count; i++) {
        if (state->states[i] == STATE_WAITING && state->readings[i] == 0)
            TRY(find_reading(pipeline, s, i, err));
    }
    return true;
}

bool pipeline_resume_stream(Pipeline *pipeline, uint32_t s, Error *err)
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
    return !pipeline->options->plan->resumed || resume(pipeline, s, err);
}
