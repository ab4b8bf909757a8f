#include "run/match.h"

#include <stdio.h>

static bool has_total(const PlanStream *stream, const SliceManifest *manifest)
{
    return contract_info(stream->contract)->total_pointer.size == 0 || manifest->last_total >= 0;
}

bool match_adds_up(const PlanStream *stream, const SliceManifest *manifest)
{
    return (manifest->in_one_go || !manifest->totals_moved) && has_total(stream, manifest) &&
           (manifest->last_total < 0 || manifest->distinct_keys == manifest->last_total);
}

Match match_slice(const SliceTask *task, int64_t now_us)
{
    const SliceManifest *manifest = &task->manifest;
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    // Pages before and after the kill speak of different sets.
    if (!manifest->in_one_go && manifest->totals_moved)
        return MATCH_READ_AGAIN;
    if (match_adds_up(task->stream, manifest))
        return MATCH_AGREES;
    // The run itself was judged when it read them.
    if (plan_is_replay(task->context->plan))
        return MATCH_AGREES;
    const int64_t low =
        manifest->first_total < manifest->last_total ? manifest->first_total : manifest->last_total;
    const int64_t high =
        manifest->first_total < manifest->last_total ? manifest->last_total : manifest->first_total;
    const bool between = has_total(task->stream, manifest) && manifest->distinct_keys >= low &&
                         manifest->distinct_keys <= high;
    if (!plan_slice_is_closed(task->stream, slice, now_us))
        return between ? MATCH_AGREES : MATCH_OPEN;
    // What an earlier attempt landed was true then: this one judges by what it has asked itself.
    // Totals that move while a day is read are not held against it as soon.
    const uint32_t most = manifest->totals_moved ? SLICE_LOOKS_MAX : 2;
    return task->resumed || task->looks + 1 < most ? MATCH_READ_AGAIN : MATCH_NEVER;
}

bool match_fail(const SliceTask *task, const char *name, Error *err)
{
    const SliceManifest *manifest = &task->manifest;
    if (manifest->last_total < 0)
        return error_set(err, ERROR_DATA, "%s: no total at " STR_FMT " of the answer, twice", name,
                         STR_ARG(contract_info(task->stream->contract)->total_pointer));
    return error_set(err, ERROR_DATA, "%s: the source says %lld rows and shows %lld, twice%s", name,
                     (long long)manifest->last_total, (long long)manifest->distinct_keys,
                     manifest->last_total > manifest->distinct_keys
                         ? " (does it cap the rows of one question?)"
                         : "");
}

bool match_shows_all(const SliceTask *task)
{
    const SliceManifest *manifest = &task->manifest;
    const bool tells_totals = contract_info(task->stream->contract)->total_pointer.size > 0;
    return task->err.code == ERROR_NONE && !manifest->totals_moved && manifest->page_count > 0 &&
           (tells_totals ? manifest->last_total == manifest->distinct_keys : !task->cut);
}

bool match_fails_alone(const SliceTask *task)
{
    if (task->ours)
        return false;
    switch (task->err.code) {
    case ERROR_ACCESS:
        return task->denied;
    case ERROR_NOT_FOUND:
    case ERROR_DATA:
    case ERROR_IO:
    case ERROR_LIMIT: // a page too large, too many pages
        return true;
    case ERROR_NONE:
    case ERROR_JOB:
    case ERROR_CONFLICT:
    case ERROR_BUSY:
    case ERROR_STOPPED:
        break;
    }
    return false;
}

bool match_last_reading(Landing *landing, const SliceName *name, Arena *arena,
                        uint32_t *ret_reading, Error *err)
{
    SliceName look = *name;
    uint32_t last = 1;
    for (look.reading = 2; look.reading < UINT32_MAX; look.reading++) {
        SliceManifest manifest = {0};
        Error missing = {0};
        if (landing_get_slice(landing, &look, arena, &manifest, &missing))
            last = look.reading;
        else if (missing.code == ERROR_NOT_FOUND)
            break;
        else
            return error_set(err, missing.code, "%s", missing.message);
    }
    *ret_reading = last;
    return true;
}

void match_name_slice(const SliceTask *task, char text[SLICE_TEXT_BYTES])
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    const Str partition = task->stream->partitions[slice->partition].value;
    const int size = snprintf(text, SLICE_TEXT_BYTES, STR_FMT "%s" STR_FMT ", slice %u",
                              STR_ARG(stream_name(task->stream->stream)),
                              partition.size > 0 ? " of " : "", STR_ARG(partition), task->ordinal);
    if (!task->stream->cursor.exists || size < 0 || size >= SLICE_TEXT_BYTES)
        return;
    const int64_t day_us = INT64_C(86400) * 1000000;
    char from[TIME_TEXT_BYTES];
    char to[TIME_TEXT_BYTES];
    date_format((int32_t)(slice->from_us / day_us), from);
    date_format((int32_t)(slice->to_us / day_us), to);
    const bool one_day = strcmp(from, to) == 0;
    (void)snprintf(text + size, SLICE_TEXT_BYTES - (size_t)size, ", %s%s%s", from,
                   one_day ? "" : " to ", one_day ? "" : to);
}
