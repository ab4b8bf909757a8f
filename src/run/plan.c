#include "run/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FAR_US (366 * US_PER_DAY)

enum { FIRST_SLICES = 256 };

const char *plan_mode_name(const Plan *plan)
{
    return plan_is_replay(plan) ? "replay" : run_mode_name(plan->mode);
}

// --- windows

static int64_t floor_to(int64_t us, int64_t step_us)
{
    const int64_t rest = us % step_us;
    return us - (rest < 0 ? rest + step_us : rest);
}

void plan_bind_cursor(PlanStream *stream)
{
    stream->cursor = stream_cursor(stream->stream);
    CursorInfo *cursor = &stream->cursor;
    // Windows must be the same in every run, so a manifest that reads everything in one go is read
    // by days.
    if (cursor->exists && cursor->step.months == 0 && cursor->step.us == 0) {
        cursor->step = (Duration){.us = US_PER_DAY};
        if (cursor->granularity.us == 0 || cursor->granularity.us > US_PER_DAY)
            cursor->granularity = (Duration){.us = US_PER_DAY};
    }
    if (cursor->exists && cursor->granularity.us == 0)
        cursor->granularity.us = 1000000;
}

// True when windows are whole days, which the API reads in the partition's own zone.
static bool is_by_days(const PlanStream *stream)
{
    return stream->cursor.step.months > 0 || stream->cursor.granularity.us >= US_PER_DAY;
}

// The start of the window that holds `us` (by days: a date as midnight UTC).
static int64_t window_start(const PlanStream *stream, int64_t us)
{
    const Duration step = stream->cursor.step;
    if (step.months == 0)
        return floor_to(us, step.us);
    const Civil civil = civil_from_us(us);
    const int month0 = (civil.year * 12 + civil.month - 1) / step.months * step.months;
    return date_from_civil(month0 / 12, month0 % 12 + 1, 1) * US_PER_DAY;
}

static int64_t window_next(const PlanStream *stream, int64_t start_us)
{
    const Duration step = stream->cursor.step;
    if (step.months == 0)
        return start_us + step.us;
    return date_add_duration((int32_t)(start_us / US_PER_DAY), step, 1) * US_PER_DAY;
}

void plan_slice_bounds(const PlanStream *stream, const PlanSlice *slice, int64_t *ret_from_us,
                       int64_t *ret_to_us)
{
    const PlanPartition *partition = &stream->partitions[slice->partition];
    if (!stream->cursor.exists) {
        *ret_from_us = 0;
        *ret_to_us = 0;
    } else if (is_by_days(stream)) {
        const int32_t last = (int32_t)(floor_to(slice->to_us, US_PER_DAY) / US_PER_DAY);
        *ret_from_us = zone_start_of_date(partition->zone, (int32_t)(slice->from_us / US_PER_DAY));
        *ret_to_us = zone_start_of_date(partition->zone, last + 1);
    } else {
        *ret_from_us = slice->from_us;
        *ret_to_us = slice->to_us + stream->cursor.granularity.us;
    }
}

void plan_window_bounds(const PlanStream *stream, const PlanSlice *slice, int64_t *ret_from_us,
                        int64_t *ret_to_us)
{
    plan_slice_bounds(stream, slice, ret_from_us, ret_to_us);
    if (!stream->cursor.exists || !contract_window_is_date(stream->contract))
        return;
    if (is_by_days(stream)) {
        *ret_from_us = floor_to(slice->from_us, US_PER_DAY);
        *ret_to_us = floor_to(slice->to_us, US_PER_DAY) + US_PER_DAY;
    } else {
        *ret_to_us = *ret_from_us;
    }
}

bool plan_slice_is_closed(const PlanStream *stream, const PlanSlice *slice, int64_t now_us)
{
    int64_t from_us = 0;
    int64_t to_us = 0;
    plan_slice_bounds(stream, slice, &from_us, &to_us);
    return stream->cursor.exists && to_us <= now_us;
}

// --- what the warehouse knows, sorted: thousands of partitions and years of windows are looked up

typedef struct Known {
    const Watermark **marks;    // of this stream, by partition
    const LoadSlice **readings; // by partition and window
    size_t mark_count, reading_count;
} Known;

static int compare_marks(const void *a, const void *b)
{
    const Watermark *const *first = a;
    const Watermark *const *second = b;
    return str_compare((*first)->partition_key, (*second)->partition_key);
}

static int compare_readings(const void *a, const void *b)
{
    const LoadSlice *const *first = a;
    const LoadSlice *const *second = b;
    const LoadSlice *x = *first;
    const LoadSlice *y = *second;
    if (x->from_us != y->from_us)
        return x->from_us < y->from_us ? -1 : 1;
    if (x->to_us != y->to_us)
        return x->to_us < y->to_us ? -1 : 1;
    return str_compare(x->partition_key, y->partition_key);
}

static bool sort_knowledge(const PlanKnowledge *knowledge, Str stream, Arena *arena,
                           Known *ret_known, Error *err)
{
    Known known = {0};
    known.marks =
        arena_alloc_array(arena, knowledge->watermark_count + 1, sizeof(*known.marks), err);
    known.readings =
        arena_alloc_array(arena, knowledge->slice_count + 1, sizeof(*known.readings), err);
    TRY(known.marks != NULL && known.readings != NULL);
    for (size_t i = 0; i < knowledge->watermark_count; i++) {
        if (str_equal(knowledge->watermarks[i].stream, stream))
            known.marks[known.mark_count++] = &knowledge->watermarks[i];
    }
    for (size_t i = 0; i < knowledge->slice_count; i++)
        known.readings[known.reading_count++] = &knowledge->slices[i];
    qsort(known.marks, known.mark_count, sizeof(*known.marks), compare_marks);
    qsort(known.readings, known.reading_count, sizeof(*known.readings), compare_readings);
    *ret_known = known;
    return true;
}

static const Watermark *find_watermark(const Known *known, Str key)
{
    const Watermark wanted = {.partition_key = key};
    const Watermark *pointer = &wanted;
    const Watermark **found =
        bsearch(&pointer, known->marks, known->mark_count, sizeof(*known->marks), compare_marks);
    return found == NULL ? NULL : *found;
}

static int64_t last_reading_us(const Known *known, Str key, int64_t from_us, int64_t to_us)
{
    const LoadSlice wanted = {.partition_key = key, .from_us = from_us, .to_us = to_us};
    const LoadSlice *pointer = &wanted;
    const LoadSlice **found = bsearch(&pointer, known->readings, known->reading_count,
                                      sizeof(*known->readings), compare_readings);
    return found == NULL ? INT64_MIN : (*found)->fetched_us;
}

bool plan_check_clock(const char *what, int64_t us, int64_t now_us, Error *err)
{
    if (us <= now_us + PLAN_SKEW_US_MAX)
        return true;
    char then[TIME_TEXT_BYTES];
    char now[TIME_TEXT_BYTES];
    time_format_iso(us, then);
    time_format_iso(now_us, now);
    return error_set(err, ERROR_DATA,
                     "the clock: the ledger has a %s of %s, and this machine says that it is %s: "
                     "set the clock; was it wrong when that was loaded, see the runbook",
                     what, then, now);
}

// pawl writes no mark without a time, nor one of 1970: who takes it at its word reads half a
// century.
static bool check_mark(const Watermark *mark, int64_t now_us, Error *err)
{
    if (mark->us <= 0)
        return error_set(err, ERROR_DATA,
                         "the ledger has a watermark without a time for " STR_FMT
                         ": somebody has set it to NULL; pawl state rewind --stream " STR_FMT
                         " --to DAY gives it one",
                         STR_ARG(mark->partition_key), STR_ARG(mark->stream));
    return plan_check_clock("watermark", mark->us, now_us, err);
}

static bool check_marks(const Known *known, Str stream, int64_t now_us, Error *err)
{
    for (size_t i = 0; i < known->mark_count; i++) {
        if (!check_mark(known->marks[i], now_us, err))
            return error_context(err, STR_FMT, STR_ARG(stream));
    }
    return true;
}

bool plan_describe_far(const PlanStream *stream, Arena *arena, Str *ret_text, Error *err)
{
    const PlanFar *far = &stream->far;
    char from[TIME_TEXT_BYTES];
    time_format_iso(far->from_us, from);
    return arena_printf(arena, ret_text, err,
                        "%zu watermarks lie more than a year back, the oldest at %s (" STR_FMT
                        "): %zu of %zu windows are read because of them; did somebody set them by "
                        "hand, set them right (see the runbook) and run with --start-over",
                        far->marks, from, STR_ARG(far->value), far->windows, stream->slice_count);
}

// --- ranges

// The range one partition is read over, as window starts. Empty when first > last.
typedef struct Range {
    int64_t first_us;
    int64_t last_us; // a window that starts here is the last
    bool far;        // it begins at a mark that lies far back
} Range;

// An instant as the stream's windows count: by days the local date as midnight UTC, else itself.
static int64_t as_window_time(const PlanStream *stream, const PlanPartition *partition, int64_t us)
{
    return is_by_days(stream) ? zone_date_at(partition->zone, us) * US_PER_DAY : us;
}

static bool day_of(const PlanStream *stream, const PlanPartition *partition, Str text,
                   int64_t now_us, int64_t *ret_us, Error *err)
{
    const int64_t today_us = zone_date_at(partition->zone, now_us) * US_PER_DAY;
    int32_t date = 0;
    if (str_equal(text, STR("today")))
        *ret_us = today_us;
    else if (str_equal(text, STR("yesterday")))
        *ret_us = today_us - US_PER_DAY;
    else if (date_parse(text, &date))
        *ret_us = date * US_PER_DAY;
    else
        return error_set(err, ERROR_JOB,
                         "'" STR_FMT "' is not a day: write 2025-05-01, yesterday or today",
                         STR_ARG(text));
    if (!is_by_days(stream))
        *ret_us = zone_start_of_date(partition->zone, (int32_t)(*ret_us / US_PER_DAY));
    return true;
}

// Whose range it is, and when it is asked for.
typedef struct RangeFor {
    const Job *job;
    const Plan *plan;
    const PlanStream *stream;
    const PlanPartition *partition;
    const Known *known;
    int64_t now_us;
} RangeFor;

static bool last_of_day(const RangeFor *of, Str day, int64_t *ret_us, Error *err)
{
    TRY(day_of(of->stream, of->partition, day, of->now_us, ret_us, err));
    *ret_us += is_by_days(of->stream) ? 0 : US_PER_DAY - 1;
    return true;
}

static bool check_order(const Range *range, Str from, Str to, Error *err)
{
    return range->first_us <= range->last_us ||
           error_set(err, ERROR_JOB, "the first day, " STR_FMT ", is after the last, " STR_FMT,
                     STR_ARG(from), STR_ARG(to.size > 0 ? to : STR("tomorrow")));
}

static bool range_given(const RangeFor *of, Range *ret_range, Error *err)
{
    const JobMode *historic = &of->job->modes[MODE_HISTORIC];
    const Str from = of->plan->asked.from.size > 0 ? of->plan->asked.from : historic->from;
    Str to = of->plan->asked.to.size > 0 ? of->plan->asked.to : historic->to;
    if (from.size == 0)
        return error_set(err, ERROR_JOB,
                         "no first day: give --from 2025-05-01, or modes.historic.from in the job");
    if (to.size == 0)
        to = STR("yesterday");
    return day_of(of->stream, of->partition, from, of->now_us, &ret_range->first_us, err) &&
           last_of_day(of, to, &ret_range->last_us, err) && check_order(ret_range, from, to, err);
}

static void note_far(PlanFar *far, const RangeFor *of, const Watermark *mark)
{
    if (far->marks++ > 0 && far->from_us <= mark->us)
        return;
    far->from_us = mark->us;
    far->value = of->partition->value;
}

// Through tomorrow: clocks and zones differ by less than a day, and a day too much costs one
// request. Or through the day that was asked for.
static bool last_incremental(const RangeFor *of, int64_t *ret_last_us, Error *err)
{
    const PlanStream *stream = of->stream;
    const Str asked = of->plan->asked.to;
    int64_t last_us = 0;
    *ret_last_us =
        as_window_time(stream, of->partition, of->now_us) + (is_by_days(stream) ? US_PER_DAY : 0);
    if (asked.size == 0)
        return true;
    TRY(last_of_day(of, asked, &last_us, err));
    *ret_last_us = last_us < *ret_last_us ? last_us : *ret_last_us;
    return true;
}

// From the watermark less the lookback.
static bool range_incremental(const RangeFor *of, PlanFar *far, Range *ret_range, Error *err)
{
    const PlanStream *stream = of->stream;
    const JobMode *mode = &of->job->modes[MODE_INCREMENTAL];
    const PlanRequest *asked = &of->plan->asked;
    TRY(last_incremental(of, &ret_range->last_us, err));
    if (asked->from.size > 0)
        return day_of(stream, of->partition, asked->from, of->now_us, &ret_range->first_us, err) &&
               check_order(ret_range, asked->from, asked->to, err);
    const Watermark *mark = find_watermark(of->known, of->partition->partition.key);
    if (mark != NULL) {
        ret_range->first_us = as_window_time(stream, of->partition, mark->us - mode->lookback_us);
        ret_range->far = mark->us < of->now_us - FAR_US;
        if (ret_range->far)
            note_far(far, of, mark);
        return true;
    }
    // A partition seen for the first time is filled from the beginning.
    const Str first = of->job->modes[MODE_HISTORIC].from;
    if (first.size > 0)
        return day_of(stream, of->partition, first, of->now_us, &ret_range->first_us, err);
    ret_range->first_us = as_window_time(stream, of->partition, of->now_us - mode->lookback_us);
    return true;
}

// A closed window that some rule reaches and whose last reading is older than that rule allows. A
// window that was never read is not due: rehydration reads again, historic and incremental read
// first.
static bool is_due(const Job *job, const PlanStream *stream, const Known *known,
                   const PlanSlice *slice, int64_t now_us)
{
    const JobMode *mode = &job->modes[MODE_REHYDRATION];
    const Str key = stream->partitions[slice->partition].partition.key;
    const int64_t read_us = last_reading_us(known, key, slice->from_us, slice->to_us);
    if (read_us == INT64_MIN)
        return false;
    if (!stream->cursor.exists)
        return true;
    int64_t from_us = 0;
    int64_t to_us = 0;
    plan_slice_bounds(stream, slice, &from_us, &to_us);
    if (to_us > now_us)
        return false;
    for (size_t i = 0; i < mode->rule_count; i++) {
        if (to_us > time_before(now_us, mode->rules[i].back) &&
            read_us <= time_before(now_us, mode->rules[i].every))
            return true;
    }
    return false;
}

static bool range_rehydration(const RangeFor *of, Range *ret_range, Error *err)
{
    if (of->plan->asked.from.size > 0 || of->plan->asked.to.size > 0)
        return range_given(of, ret_range, err);
    const JobMode *mode = &of->job->modes[MODE_REHYDRATION];
    if (mode->rule_count == 0)
        return error_set(
            err, ERROR_JOB,
            "no windows: give --from and --to, or modes.rehydration.windows in the job");
    int64_t first_us = of->now_us;
    for (size_t i = 0; i < mode->rule_count; i++) {
        const int64_t back_us = time_before(of->now_us, mode->rules[i].back);
        first_us = back_us < first_us ? back_us : first_us;
    }
    ret_range->first_us = as_window_time(of->stream, of->partition, first_us);
    ret_range->last_us = as_window_time(of->stream, of->partition, of->now_us);
    return true;
}

bool plan_begins_history(const Job *job, const Plan *plan, const PlanStream *stream,
                         const PlanSlice *slice, bool *ret_begins, Error *err)
{
    const Str first = job->modes[MODE_HISTORIC].from;
    *ret_begins = !stream->cursor.exists || first.size == 0;
    if (*ret_begins)
        return true;
    int64_t first_us = 0;
    TRY(day_of(stream, &stream->partitions[slice->partition], first, plan->created_us, &first_us,
               err));
    *ret_begins = slice->from_us <= window_start(stream, first_us);
    return true;
}

static bool range_of(const RangeFor *of, PlanFar *far, Range *ret_range, Error *err)
{
    switch (of->plan->mode) {
    case MODE_HISTORIC:
        return range_given(of, ret_range, err);
    case MODE_INCREMENTAL:
        return range_incremental(of, far, ret_range, err);
    case MODE_REHYDRATION:
        return range_rehydration(of, ret_range, err);
    case MODE_COUNT:
        break;
    }
    assert(false);
    return false;
}

// --- slices

static bool add_slice(PlanStream *stream, size_t *capacity, const PlanSlice *slice, Arena *arena,
                      Error *err)
{
    if (stream->slice_count == PLAN_SLICES_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ": more than %d slices: take a shorter range",
                         STR_ARG(stream_name(stream->stream)), PLAN_SLICES_MAX);
    if (stream->slice_count == *capacity) {
        const size_t room = *capacity == 0 ? FIRST_SLICES : *capacity * 2;
        PlanSlice *slices = arena_alloc_array(arena, room, sizeof(*slices), err);
        TRY(slices != NULL);
        if (stream->slice_count > 0)
            memcpy(slices, stream->slices, stream->slice_count * sizeof(*slices));
        stream->slices = slices;
        *capacity = room;
    }
    stream->slices[stream->slice_count++] = *slice;
    return true;
}

static bool plan_whole(const Job *job, const Plan *plan, PlanStream *stream, const Known *known,
                       int64_t now_us, Arena *arena, Error *err)
{
    size_t capacity = 0;
    for (uint32_t i = 0; i < stream->partition_count; i++) {
        const PlanSlice slice = {.partition = i};
        if (plan->mode == MODE_REHYDRATION && !is_due(job, stream, known, &slice, now_us))
            continue;
        TRY(add_slice(stream, &capacity, &slice, arena, err));
    }
    return true;
}

bool plan_slices(const Job *job, Plan *plan, PlanStream *stream, const PlanKnowledge *knowledge,
                 int64_t now_us, Arena *arena, Error *err)
{
    stream->slice_count = 0;
    stream->far = (PlanFar){0};
    Known known = {0};
    TRY(sort_knowledge(knowledge, stream_name(stream->stream), arena, &known, err) &&
        check_marks(&known, stream_name(stream->stream), now_us, err));
    if (!stream->cursor.exists)
        return plan_whole(job, plan, stream, &known, now_us, arena, err);

    Range *ranges = arena_alloc_array(arena, stream->partition_count + 1, sizeof(*ranges), err);
    TRY(ranges != NULL);
    int64_t start_us = INT64_MAX;
    int64_t end_us = INT64_MIN;
    for (size_t i = 0; i < stream->partition_count; i++) {
        const RangeFor of = {job, plan, stream, &stream->partitions[i], &known, now_us};
        TRY(range_of(&of, &stream->far, &ranges[i], err));
        ranges[i].first_us = window_start(stream, ranges[i].first_us);
        start_us = ranges[i].first_us < start_us ? ranges[i].first_us : start_us;
        end_us = ranges[i].last_us > end_us ? ranges[i].last_us : end_us;
    }
    const bool by_rules =
        plan->mode == MODE_REHYDRATION && plan->asked.from.size == 0 && plan->asked.to.size == 0;
    size_t capacity = 0;
    // Window by window, so that all partitions advance together and rows of one time lie close to
    // each other.
    for (int64_t us = start_us; us <= end_us; us = window_next(stream, us)) {
        const int64_t to_us = window_next(stream, us) - stream->cursor.granularity.us;
        for (uint32_t i = 0; i < stream->partition_count; i++) {
            if (us < ranges[i].first_us || us > ranges[i].last_us)
                continue;
            const PlanSlice slice = {.partition = i, .from_us = us, .to_us = to_us};
            if (by_rules && !is_due(job, stream, &known, &slice, now_us))
                continue;
            TRY(add_slice(stream, &capacity, &slice, arena, err));
            stream->far.windows += ranges[i].far ? 1 : 0;
        }
    }
    return true;
}

// --- partitions

bool plan_bind_partition(const Job *job, const Stream *stream, Str zone_name, Arena *arena,
                         PlanPartition *partition, Error *err)
{
    const Str field = stream_partition_field(stream);
    yyjson_val *value = field.size == 0 ? NULL : json_get(partition->partition.fields, field);
    partition->value = STR("");
    if (yyjson_is_str(value)) {
        partition->value = json_str(value);
    } else if (value != NULL) {
        CLEANUP(buf_done) Buf text = {0};
        TRY(json_write(value, &text, err));
        TRY(arena_copy_str(arena, buf_str(&text), &partition->value, err));
    }
    const Sha256 hash = sha256(partition->partition.key);
    char hex[2 * SHA256_BYTES + 1];
    hex_encode(hash.bytes, SHA256_BYTES, hex);
    memcpy(partition->tag, hex, TAG_BYTES);
    partition->tag[TAG_BYTES] = '\0';
    return plan_bind_zone(job, zone_name, arena, partition, err);
}

bool plan_bind_zone(const Job *job, Str zone_name, Arena *arena, PlanPartition *partition,
                    Error *err)
{
    partition->zone_name = STR("");
    partition->zone = job->timezone;
    if (zone_name.size == 0)
        return true;
    const Zone *zone = NULL;
    TRY(zone_open(zone_name, arena, &zone, err));
    partition->zone = zone;
    return arena_copy_str(arena, zone_name, &partition->zone_name, err);
}
