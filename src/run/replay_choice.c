#include "run/replay_choice.h"

#include "run/load_note.h"
#include "run/match.h"

#include <assert.h>

static size_t count_chosen(const PlanStream *stream)
{
    size_t count = 0;
    for (size_t i = 0; i < stream->slice_count; i++)
        count += stream->replayed[i] != 0 ? 1 : 0;
    return count;
}

// Without an end that tells how many loads there were, the first that has no note is taken for the
// end of them. One that is damaged is as good as none: what it named is found as without notes.
static bool choose_noted(ReplayChoice *choice, const StreamLoads *loads, Error *err)
{
    PlanStream *stream = choice->stream;
    bool there = true;
    for (uint32_t ordinal = 0; loads != NULL ? ordinal < loads->loads : there; ordinal++) {
        LoadNote note = {0};
        Error damaged = {0};
        if (!load_note_read(choice->landing, choice->run, stream, ordinal, choice->arena, &note,
                            &damaged)) {
            // Whole, but of another plan: then it is not the note that is wrong.
            if (damaged.code != ERROR_DATA || note.there)
                return error_set(err, damaged.code, "%s", damaged.message);
            note = (LoadNote){.there = true};
            choice->damaged = true;
        }
        there = note.there;
        for (size_t i = 0; i < note.count; i++) {
            stream->replayed[note.slices[i]] = note.readings[i];
            stream->accepted[note.slices[i]] = note.accepts_deletes;
        }
    }
    return true;
}

// --- without notes

typedef struct Look {
    const PlanStream *stream;
    uint32_t *taken; // of each slice: the first reading that adds up; 0 = none
    uint32_t *last;  // the last that is whole
    bool *open;      // that one was read while the slice was still growing
} Look;

static bool look_at(void *visitor, const LandedSlice *slice, Error *err)
{
    (void)err;
    Look *look = visitor;
    const SliceName *name = &slice->name;
    if (slice->manifest == NULL || name->slice >= look->stream->slice_count)
        return true;
    const PlanSlice *plan = &look->stream->slices[name->slice];
    if (!str_equal(name->partition_key, look->stream->partitions[plan->partition].partition.key))
        return true;
    if (look->taken[name->slice] == 0 && match_adds_up(look->stream, slice->manifest))
        look->taken[name->slice] = name->reading;
    look->last[name->slice] = name->reading;
    look->open[name->slice] =
        !plan_slice_is_closed(look->stream, plan, slice->manifest->fetched_us);
    return true;
}

// A reading that adds up went into a load, and what was read after it only confirmed deletions;
// where none does, the run took the last one, if it took any.
static bool choose_landed(ReplayChoice *choice, bool loaded_all, Error *err)
{
    PlanStream *stream = choice->stream;
    Look look = {.stream = stream};
    look.taken = arena_alloc_array(choice->arena, stream->slice_count + 1, sizeof(uint32_t), err);
    look.last = arena_alloc_array(choice->arena, stream->slice_count + 1, sizeof(uint32_t), err);
    look.open = arena_alloc_array(choice->arena, stream->slice_count + 1, sizeof(bool), err);
    TRY(look.taken != NULL && look.last != NULL && look.open != NULL);
    TRY(landing_visit_slices(choice->landing, choice->run, stream_name(stream->stream), look_at,
                             &look, err));
    for (size_t i = 0; i < stream->slice_count; i++) {
        if (stream->replayed[i] != 0)
            continue;
        if (look.taken[i] != 0)
            stream->replayed[i] = look.taken[i];
        else if (look.last[i] != 0 && (loaded_all || look.open[i]))
            stream->replayed[i] = look.last[i];
        else if (loaded_all)
            stream->replayed[i] = 1; // which fails, and says what of it is not landed
    }
    return true;
}

bool replay_choose(ReplayChoice *choice, Error *err)
{
    PlanStream *stream = choice->stream;
    const EndNote *end = choice->end;
    const StreamLoads *loads =
        end == NULL ? NULL : end_note_stream(end, stream_name(stream->stream));
    choice->damaged = false;
    choice->unnoted = 0;
    choice->missing = 0;
    stream->replayed =
        arena_alloc_array(choice->arena, stream->slice_count + 1, sizeof(uint32_t), err);
    stream->accepted = arena_alloc_array(choice->arena, stream->slice_count + 1, sizeof(bool), err);
    TRY(stream->replayed != NULL && stream->accepted != NULL);
    TRY(choose_noted(choice, loads, err));
    const size_t noted = count_chosen(stream);
    if (noted == stream->slice_count || (loads != NULL && noted >= loads->slices))
        return true;
    const bool done = end != NULL && str_equal(end->status, STR("done"));
    TRY(choose_landed(choice, done, err));
    const size_t chosen = count_chosen(stream);
    assert(chosen >= noted);
    if (loads != NULL && chosen < loads->slices)
        choice->missing = loads->slices - chosen;
    // An older end does not tell a run that lost its notes from an incremental one that found
    // nothing new and made no load. To load what that one read does no harm.
    if (loads != NULL || choice->damaged ||
        (done && (noted > 0 || choice->mode != MODE_INCREMENTAL)))
        choice->unnoted = chosen - noted;
    return true;
}
