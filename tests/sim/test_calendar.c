#include "calendar.h"

#include "harness/check.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };
#define DAY INT64_C(86400)

static int32_t date(const char *text)
{
    int32_t result = 0;
    CHECK(date_parse(str_from(text), &result));
    return result;
}

// A calendar of March 2026 with `calls` calls.
static void make(const char *zone_name, uint32_t calls, int64_t resume_at, Arena *arena,
                 Calendar *ret_calendar)
{
    Error err = {0};
    const Zone *zone = NULL;
    CHECK_OK(zone_open(str_from(zone_name), arena, &zone, &err), &err);
    const CalendarPlan plan = {7, date("2026-03-01"), date("2026-04-01"), calls, resume_at};
    CHECK_OK(calendar_init(ret_calendar, zone, &plan, arena, &err), &err);
}

static int64_t moment_of(const Calendar *calendar, uint32_t index)
{
    return calendar_moment(calendar, calendar_day_of(calendar, index), index);
}

TEST(the_planned_days_hold_exactly_the_planned_calls)
{
    const struct {
        const char *zone;
        uint32_t calls;
    } rows[] = {
        {"UTC", 1}, {"America/New_York", 1000}, {"Asia/Kolkata", 99999}, {"Australia/Sydney", 31}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].zone);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Calendar calendar;
        make(rows[i].zone, rows[i].calls, INT64_MIN, arena, &calendar);
        const int64_t end = zone_start_of_date(calendar.zone, date("2026-04-01")) / 1000000;
        CHECK_INT(calendar_count_before(&calendar, end), rows[i].calls);
        CHECK(calendar_count(&calendar) > rows[i].calls); // life goes on
    }
}

TEST(calls_come_in_order_on_their_own_days)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Calendar calendar;
    make("America/New_York", 20000, INT64_MIN, arena, &calendar);
    int64_t last = INT64_MIN;
    for (uint32_t i = 0; i < 20000; i++) {
        const size_t day = calendar_day_of(&calendar, i);
        const int64_t moment = calendar_moment(&calendar, day, i);
        CHECK(moment >= last);
        CHECK_INT(zone_date_at(calendar.zone, moment * 1000000),
                  calendar.first_date + (int64_t)day);
        CHECK_INT(calendar_offset(&calendar, day, moment),
                  zone_offset_at(calendar.zone, moment * 1000000));
        last = moment;
    }
}

TEST(counting_before_a_moment_is_the_reverse_of_the_moment)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Calendar calendar;
    make("Europe/London", 5000, INT64_MIN, arena, &calendar);
    for (uint32_t i = 1; i < 5000; i++) {
        const int64_t moment = moment_of(&calendar, i);
        CHECK(calendar_count_before(&calendar, moment + 1) > i);
        CHECK(calendar_count_before(&calendar, moment) <= i);
        if (moment_of(&calendar, i - 1) < moment)
            CHECK_INT(calendar_count_before(&calendar, moment), i);
    }
    CHECK_INT(calendar_count_before(&calendar, INT64_MIN), 0);
    CHECK_INT(calendar_count_before(&calendar, INT64_MAX), calendar_count(&calendar));
}

TEST(the_day_of_the_clock_change_is_an_hour_shorter)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Calendar calendar;
    make("America/New_York", 3100, INT64_MIN, arena, &calendar);
    CHECK_INT(calendar.days[7].length, DAY - 3600); // 8 March 2026
    CHECK(calendar.days[7].shifts);
    CHECK_INT(calendar.days[8].length, DAY);
}

TEST(nothing_happens_between_the_planned_days_and_the_resumption)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Calendar calendar;
    const int64_t end =
        1774976400; // 2026-04-01 in Sydney ends March at 13:00 UTC, Honolulu 21 hours later
    const int64_t resume_at = end + 21 * 3600;
    make("Australia/Sydney", 31000, resume_at, arena, &calendar);
    CHECK_INT(calendar_count_before(&calendar, resume_at), 31000);
    CHECK(moment_of(&calendar, 31000) >= resume_at);
    CHECK(moment_of(&calendar, 31000) < resume_at + DAY);
}

TEST(more_calls_than_ids_are_refused)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Zone *zone = NULL;
    CHECK_OK(zone_open(STR("UTC"), arena, &zone, &err), &err);
    const CalendarPlan plan = {7, 0, 1, CALENDAR_CALLS_MAX + 1, INT64_MIN};
    Calendar calendar;
    CHECK(!calendar_init(&calendar, zone, &plan, arena, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}
