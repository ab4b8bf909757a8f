#include "connector/progress.h"

#include <assert.h>
#include <stdlib.h>

enum { SLICES_MAX = 4 * 1024 * 1024, SLICES_FIRST = 32 };

#define SECONDS_MAX (INT64_C(400) * 366 * 86400)

// ------------------------------------------------------------------------ spans

static int compare_spans(const void *a, const void *b)
{
    const Span *first = a, *second = b;
    if (first->start.us != second->start.us)
        return first->start.us < second->start.us ? -1 : 1;
    if (first->end.us != second->end.us)
        return first->end.us < second->end.us ? -1 : 1;
    return 0;
}

// One span follows another when not more than a granule lies between them.
static Instant increment(const TimeCursor *cursor, Instant instant)
{
    if (cursor->has_granularity)
        return instant_add(instant, cursor->granularity, 1);
    instant.us += 1000;
    return instant;
}

static void join_newest(Span *into, const Span *from)
{
    if (!from->has_newest || (into->has_newest && into->newest.us >= from->newest.us))
        return;
    into->newest = from->newest;
    into->has_newest = true;
}

static void merge_spans(Progress *progress)
{
    if (progress->count < 2)
        return;
    qsort(progress->spans, progress->count, sizeof *progress->spans, compare_spans);
    size_t kept = 0;
    for (size_t i = 1; i < progress->count; i++) {
        Span *last = &progress->spans[kept];
        const Span *span = &progress->spans[i];
        if (increment(progress->cursor, last->end).us < span->start.us) {
            progress->spans[++kept] = *span;
            continue;
        }
        if (span->end.us > last->end.us)
            last->end = span->end;
        join_newest(last, span);
    }
    progress->count = kept + 1;
}

static bool add_span(Progress *progress, Span span, Arena *arena, Error *err)
{
    if (progress->count == progress->capacity) {
        size_t room = progress->capacity == 0 ? 4 : progress->capacity * 2;
        Span *spans = arena_alloc_array(arena, room, sizeof *spans, err);
        TRY(spans != NULL);
        if (progress->count > 0)
            memcpy(spans, progress->spans, progress->count * sizeof *spans);
        progress->spans = spans;
        progress->capacity = room;
    }
    progress->spans[progress->count++] = span;
    return true;
}

bool progress_init(Progress *progress, const TimeCursor *cursor, yyjson_val *state,
                   int64_t lookback_seconds, Arena *arena, Error *err)
{
    *progress = (Progress){.cursor = cursor, .start = cursor->start, .legacy = state};
    yyjson_val *value = json_get(state, cursor->field);
    Instant at = {0};
    if (value != NULL) {
        if (!time_cursor_parse(cursor, value_json(value), arena, &at))
            return error_set(err, ERROR_DATA, "state: '" STR_FMT "' fits no datetime format",
                             STR_ARG(cursor->field));
        const Duration back = {.us = lookback_seconds < SECONDS_MAX
                                         ? lookback_seconds * US_PER_SECOND
                                         : SECONDS_MAX * US_PER_SECOND};
        if (lookback_seconds > 0)
            at = instant_add(at, back, -1);
        if (at.us >= progress->start.us)
            progress->start = at;
    }
    Span first = {.start = cursor->start,
                  .end = progress->start,
                  .newest = progress->start,
                  .has_newest = true};
    return add_span(progress, first, arena, err);
}

// ------------------------------------------------------------------------ slices

static bool add_slice(const Progress *progress, Instant from, Instant to, Arena *arena,
                      TimeSlices *slices, Error *err)
{
    if (slices->count == SLICES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d slices: choose a longer step", SLICES_MAX);
    if (slices->count == slices->capacity) {
        size_t room = slices->capacity == 0 ? SLICES_FIRST : slices->capacity * 2;
        TimeSlice *items = arena_alloc_array(arena, room, sizeof *items, err);
        TRY(items != NULL);
        if (slices->count > 0)
            memcpy(items, slices->items, slices->count * sizeof *items);
        slices->items = items;
        slices->capacity = room;
    }
    // A slice is what its text says: formats may be coarser than the instants they came from.
    const TimeCursor *cursor = progress->cursor;
    TimeSlice slice = {0};
    Str text = {0};
    TRY(time_cursor_format(cursor, from, arena, &text, err));
    if (!time_cursor_parse(cursor, value_str(text), arena, &slice.from))
        slice.from = from;
    TRY(time_cursor_format(cursor, to, arena, &text, err));
    if (!time_cursor_parse(cursor, value_str(text), arena, &slice.to))
        slice.to = to;
    slices->items[slices->count++] = slice;
    return true;
}

static Instant less_granule(const TimeCursor *cursor, Instant instant)
{
    return cursor->has_granularity ? instant_add(instant, cursor->granularity, -1) : instant;
}

static bool split_steps(const Progress *progress, Instant lower, Instant upper, bool upper_is_end,
                        Arena *arena, TimeSlices *slices, Error *err)
{
    const TimeCursor *cursor = progress->cursor;
    for (bool last = false; !last;) {
        Instant next = instant_add(lower, cursor->step, 1);
        last = next.us >= upper.us;
        if (last)
            next = upper;
        if (lower.us >= next.us)
            break;
        Instant to = !upper_is_end || !last ? less_granule(cursor, next) : next;
        TRY(add_slice(progress, lower, to, arena, slices, err));
        lower = next;
    }
    return true;
}

static bool split(const Progress *progress, Instant lower, Instant upper, bool upper_is_end,
                  Arena *arena, TimeSlices *slices, Error *err)
{
    const TimeCursor *cursor = progress->cursor;
    if (lower.us > upper.us || (lower.us == upper.us && !cursor->has_granularity))
        return true;
    if (upper.us < cursor->start.us)
        return true;
    if (lower.us < cursor->start.us)
        lower = cursor->start;
    if (lower.us > upper.us ||
        (lower.us == upper.us && (cursor->compares_strictly || !upper_is_end)))
        return true;
    bool one = !cursor->has_step || instant_add(lower, cursor->step, 1).us >= upper.us;
    if (!one)
        return split_steps(progress, lower, upper, upper_is_end, arena, slices, err);
    Instant to = upper_is_end ? upper : less_granule(cursor, upper);
    return add_slice(progress, lower, to, arena, slices, err);
}

bool progress_slices(Progress *progress, Instant end, Arena *arena, TimeSlices *ret_slices,
                     Error *err)
{
    assert(progress->count > 0);
    merge_spans(progress);
    const TimeCursor *cursor = progress->cursor;
    TimeSlices slices = {0};
    if (cursor->start.us < progress->spans[0].start.us)
        TRY(split(progress, cursor->start, progress->spans[0].start, false, arena, &slices, err));
    for (size_t i = 0; i + 1 < progress->count; i++) {
        Instant from = progress->spans[i].end;
        if (cursor->has_granularity)
            from = instant_add(from, cursor->granularity, 1);
        TRY(split(progress, from, progress->spans[i + 1].start, false, arena, &slices, err));
    }
    Instant from = progress->spans[progress->count - 1].end;
    if (cursor->has_lookback)
        from = instant_add(from, cursor->lookback, -1);
    TRY(split(progress, from, end, true, arena, &slices, err));
    *ret_slices = slices;
    return true;
}

// ------------------------------------------------------------------------ reading

void progress_observe(Progress *progress, yyjson_val *record, Arena *scratch)
{
    Instant at = {0};
    Value value =
        yyjson_is_obj(record) ? time_cursor_value(progress->cursor, record) : value_undefined();
    if (!time_cursor_parse(progress->cursor, value, scratch, &at))
        return;
    if (!progress->has_newest || progress->newest.us < at.us)
        progress->newest = at;
    progress->has_newest = true;
}

bool progress_close(Progress *progress, const TimeSlice *slice, Arena *arena, Error *err)
{
    Span span = {.start = slice->from,
                 .end = slice->to,
                 .newest = progress->newest,
                 .has_newest = progress->has_newest};
    progress->has_newest = false;
    TRY(add_span(progress, span, arena, err));
    merge_spans(progress);
    return true;
}

bool progress_value(const Progress *progress, Arena *arena, Str *ret_text, Error *err)
{
    const Span *first = &progress->spans[0];
    for (size_t i = 1; i < progress->count; i++) {
        if (compare_spans(&progress->spans[i], first) < 0)
            first = &progress->spans[i];
    }
    return time_cursor_format(progress->cursor, first->has_newest ? first->newest : first->start,
                              arena, ret_text, err);
}

// What the state held besides the cursor's value stays in it.
static bool write_legacy(const Progress *progress, Buf *out, Error *err)
{
    size_t index, count;
    yyjson_val *key, *item;
    if (progress->legacy == NULL)
        return true;
    yyjson_obj_foreach(progress->legacy, index, count, key, item)
    {
        if (str_equal(json_str(key), progress->cursor->field))
            continue;
        TRY(json_write_str(json_str(key), out, err));
        TRY(buf_append_char(out, ':', err));
        TRY(json_write(item, out, err));
        TRY(buf_append_char(out, ',', err));
    }
    return true;
}

bool progress_write(const Progress *progress, Arena *arena, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '{', err));
    TRY(write_legacy(progress, out, err));
    Str text = {0};
    TRY(progress_value(progress, arena, &text, err));
    TRY(json_write_str(progress->cursor->field, out, err));
    TRY(buf_append_char(out, ':', err));
    TRY(json_write_str(text, out, err));
    return buf_append_char(out, '}', err);
}

int64_t progress_lowest_us(const Progress *progress)
{
    const TimeCursor *cursor = progress->cursor;
    if (!cursor->has_lookback)
        return progress->start.us;
    int64_t lower = instant_add(progress->start, cursor->lookback, -1).us;
    int64_t floor = progress->start.us < cursor->start.us ? progress->start.us : cursor->start.us;
    return lower > floor ? lower : floor;
}
