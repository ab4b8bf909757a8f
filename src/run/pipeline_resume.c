// What an earlier attempt of the run left: loads that it fixed, readings that count.
#include "run/match.h"
#include "run/pipeline_parts.h"

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
    for (size_t i = 0; i < fixed.count; i++)
        state->readings[fixed.slices[i]] = fixed.readings[i];
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
