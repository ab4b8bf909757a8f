#include "calendar.h"

#include "mix.h"

#include <assert.h>

enum { DAY_SECONDS = 86400, HOURS = 24, WEEKDAYS = 7 };
#define US_PER_SECOND INT64_C(1000000)

// Calls by hour of the day and by weekday (Monday first), as a service business sees them.
static const float hour_weights[HOURS] = {2,  1,  1,  1,  1,  3,  9,  26, 62, 88, 96, 92,
                                          78, 84, 90, 86, 80, 62, 40, 26, 18, 12, 7,  4};
static const double weekday_weights[WEEKDAYS] = {1.10, 1.04, 1.0, 0.98, 0.90, 0.38, 0.21};

static void fill_quantiles(Calendar *calendar)
{
    float sums[HOURS + 1] = {0};
    for (int hour = 0; hour < HOURS; hour++)
        sums[hour + 1] = sums[hour] + hour_weights[hour];

    int hour = 0;
    for (int i = 0; i <= CALENDAR_QUANTILES; i++) {
        const float target = sums[HOURS] * (float)i / CALENDAR_QUANTILES;
        while (hour < HOURS - 1 && sums[hour + 1] < target)
            hour++;
        const float within = (target - sums[hour]) / hour_weights[hour];
        calendar->quantiles[i] = ((float)hour + within) / HOURS;
    }
}

// Share of the day gone by when `share` of its calls have happened.
static float day_share(const Calendar *calendar, float share)
{
    const float place = share * CALENDAR_QUANTILES;
    int i = (int)place;
    if (i >= CALENDAR_QUANTILES)
        i = CALENDAR_QUANTILES - 1;
    const float low = calendar->quantiles[i], high = calendar->quantiles[i + 1];
    const float between = low + (high - low) * (place - (float)i);
    return between < high ? between
                          : high; // rounding must not bring a later call before an earlier one
}

// The reverse: share of the calls that happen in the first `share` of a day.
static float call_share(const Calendar *calendar, float share)
{
    int low = 0, high = CALENDAR_QUANTILES;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (calendar->quantiles[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return (float)low / CALENDAR_QUANTILES;
}

// How busy a day is, beside the others: weekday, a slow growth, summer, and luck.
static double day_weight(uint64_t seed, int32_t date, int32_t from)
{
    const double growth = 1.0 + 0.0004 * (date - from);
    const int day_of_year = date % 365;
    const double summer = day_of_year > 120 && day_of_year < 270 ? 1.12 : 0.97;
    const double luck = 0.9 + 0.2 * (double)(mix_pair(seed, (uint64_t)date) >> 40) / (1 << 24);
    return weekday_weights[date_weekday(date)] * growth * summer * luck;
}

static void fill_day(Calendar *calendar, CalendarDay *day, int32_t date, int64_t resume_at)
{
    day->start = zone_start_of_date(calendar->zone, date) / US_PER_SECOND;
    const int64_t end = zone_start_of_date(calendar->zone, date + 1) / US_PER_SECOND;
    day->length = (int32_t)(end - day->start);
    day->offset = zone_offset_at(calendar->zone, day->start * US_PER_SECOND);
    day->shifts = zone_offset_at(calendar->zone, (end - 1) * US_PER_SECOND) != day->offset;
    day->opens = 0;
    if (resume_at > day->start)
        day->opens =
            resume_at >= end
                ? 1
                : call_share(calendar, (float)(resume_at - day->start) / (float)day->length);
}

bool calendar_init(Calendar *calendar, const Zone *zone, const CalendarPlan *plan, Arena *arena,
                   Error *err)
{
    assert(plan->from < plan->to);
    const size_t planned = (size_t)(plan->to - plan->from);
    const size_t day_count = planned + CALENDAR_DAYS_BEYOND;
    *calendar = (Calendar){.zone = zone, .seed = plan->seed, .first_date = plan->from};
    calendar->days = arena_alloc_array(arena, day_count + 1, sizeof(CalendarDay), err);
    TRY(calendar->days != NULL);
    fill_quantiles(calendar);

    double total = 0;
    for (int32_t date = plan->from; date < plan->to; date++)
        total += day_weight(plan->seed, date, plan->from);

    double sum = 0;
    for (size_t i = 0; i <= day_count; i++) {
        const int32_t date = plan->from + (int32_t)i;
        CalendarDay *day = &calendar->days[i];
        fill_day(calendar, day, date, i < planned ? INT64_MIN : plan->resume_at);
        // Rounding the running sum, not each day, is what makes the planned days add up to `calls`
        // exactly.
        const double count = i == planned ? plan->calls : sum / total * plan->calls;
        if (count > CALENDAR_CALLS_MAX)
            break;
        day->first = (uint32_t)count;
        calendar->day_count = i;
        sum += day_weight(plan->seed, date, plan->from) * (1 - (double)day->opens);
    }
    if (calendar->day_count <= planned)
        return error_set(err, ERROR_LIMIT, "calendar: more than %d calls in one account",
                         CALENDAR_CALLS_MAX);
    return true;
}

size_t calendar_day_of(const Calendar *calendar, uint32_t index)
{
    assert(index < calendar_count(calendar));
    size_t low = 0, high = calendar->day_count;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (calendar->days[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t calendar_moment(const Calendar *calendar, size_t day, uint32_t index)
{
    const CalendarDay *today = &calendar->days[day];
    const uint32_t count = today[1].first - today->first;
    assert(index >= today->first && index - today->first < count);

    const float jitter = (float)(mix_pair(calendar->seed, index) >> 40) * 0x1p-24f;
    const float share = ((float)(index - today->first) + jitter) / (float)count;
    const float gone = day_share(calendar, today->opens + (1 - today->opens) * share);
    int32_t second = (int32_t)(gone * (float)today->length);
    if (second >= today->length)
        second = today->length - 1;
    return today->start + second;
}

uint32_t calendar_count_before(const Calendar *calendar, int64_t moment)
{
    size_t day = 0, high = calendar->day_count;
    if (moment <= calendar->days[0].start)
        return 0;
    if (moment >= calendar_end(calendar))
        return calendar_count(calendar);
    while (high - day > 1) {
        const size_t middle = (day + high) / 2;
        if (calendar->days[middle].start <= moment)
            day = middle;
        else
            high = middle;
    }
    uint32_t low = calendar->days[day].first, end = calendar->days[day + 1].first;
    while (low < end) {
        const uint32_t middle = low + (end - low) / 2;
        if (calendar_moment(calendar, day, middle) < moment)
            low = middle + 1;
        else
            end = middle;
    }
    return low;
}

int32_t calendar_offset(const Calendar *calendar, size_t day, int64_t moment)
{
    const CalendarDay *today = &calendar->days[day];
    return today->shifts ? zone_offset_at(calendar->zone, moment * US_PER_SECOND) : today->offset;
}

uint32_t calendar_count(const Calendar *calendar)
{
    return calendar->days[calendar->day_count].first;
}

int64_t calendar_end(const Calendar *calendar)
{
    return calendar->days[calendar->day_count].start;
}
