#include "base/time.h"

#include "harness/check.h"

#include <stdlib.h>

enum { RUN_BYTES = 4 * 1024 * 1024 };

#define COUNT(rows)           (sizeof(rows) / sizeof((rows)[0]))
#define SECONDS(count)        ((int64_t)(count)*1000000)
#define MAY_1_2025            SECONDS(1746057600) // 2025-05-01T00:00:00Z, by `date -u -d 2025-05-01 +%s`
#define CLOCK(hour, min, sec) (SECONDS(1) * ((hour)*3600 + (min)*60 + (sec)))

// --- calendar

TEST(dates_count_from_1970)
{
    const struct {
        int year, month, day;
        int32_t date;
    } rows[] = {
        {1970, 1, 1, 0},      {1970, 1, 2, 1},      {1969, 12, 31, -1},      {2000, 2, 29, 11016},
        {2000, 3, 1, 11017},  {1900, 3, 1, -25508}, {1900, 2, 28, -25509},   {2025, 5, 1, 20209},
        {2038, 1, 19, 24855}, {1, 1, 1, -719162},   {9999, 12, 31, 2932896},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK_INT(date_from_civil(rows[i].year, rows[i].month, rows[i].day), rows[i].date);
        const Civil civil = civil_from_us(rows[i].date * SECONDS(86400));
        CHECK_INT(civil.year, rows[i].year);
        CHECK_INT(civil.month, rows[i].month);
        CHECK_INT(civil.day, rows[i].day);
    }
}

// Every day of ten thousand years, one after the other, by the rule a child learns.
TEST(the_calendar_walks_day_by_day)
{
    int year = 1;
    int month = 1;
    int day = 1;
    for (int32_t date = -719162; date <= 2932896; date++) {
        CHECK(date_from_civil(year, month, day) == date);
        const Civil civil = civil_from_us((int64_t)date * SECONDS(86400) + SECONDS(86400) - 1);
        CHECK(civil.year == year && civil.month == month && civil.day == day && civil.hour == 23 &&
              civil.minute == 59 && civil.second == 59 && civil.microsecond == 999999);
        if (++day <= date_days_in_month(year, month))
            continue;
        day = 1;
        if (++month <= 12)
            continue;
        month = 1;
        year++;
    }
    CHECK_INT(year, 10000);
}

TEST(instants_before_1970_have_positive_parts)
{
    const Civil civil = civil_from_us(-1);
    CHECK_INT(civil.year, 1969);
    CHECK_INT(civil.second, 59);
    CHECK_INT(civil.microsecond, 999999);
    CHECK_INT(us_from_civil(civil), -1);
    CHECK_INT(date_from_us(-1), -1);
    CHECK_INT(date_from_us(SECONDS(86400)), 1);
    CHECK_INT(us_from_civil(civil_from_us(INT64_MAX)), INT64_MAX);
}

TEST(weekdays_and_months)
{
    CHECK_INT(date_weekday(0), 3); // a Thursday
    CHECK_INT(date_weekday(-1), 2);
    CHECK_INT(date_weekday(-3), 0);
    CHECK_INT(date_weekday(-4), 6);
    CHECK_INT(date_weekday(20209), 3); // 2025-05-01
    CHECK_INT(date_days_in_month(2024, 2), 29);
    CHECK_INT(date_days_in_month(2023, 2), 28);
    CHECK_INT(date_days_in_month(1900, 2), 28);
    CHECK_INT(date_days_in_month(2000, 2), 29);
    CHECK_INT(date_days_in_month(2023, 4), 30);
    CHECK_INT(date_days_in_month(2023, 12), 31);
}

// --- ISO 8601

TEST(dates_are_parsed_strictly)
{
    const struct {
        Str text;
        bool ok;
    } rows[] = {
        {STR("2025-05-01"), true},
        {STR("0001-01-01"), true},
        {STR("9999-12-31"), true},
        {STR("2024-02-29"), true},
        {STR("2023-02-29"), false},
        {STR("2025-04-31"), false},
        {STR("2025-13-01"), false},
        {STR("2025-00-01"), false},
        {STR("2025-01-00"), false},
        {STR("0000-01-01"), false},
        {STR("2025-5-1"), false},
        {STR("20250501"), false},
        {STR("2025-05-01 "), false},
        {STR(" 2025-05-01"), false},
        {STR("2025-05-0a"), false},
        {STR("2025/05/01"), false},
        {STR("2025-05-1"), false},
        {STR("+025-05-01"), false},
        {STR(""), false},
        {{NULL, 0}, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text.size == 0 ? "empty" : rows[i].text.data);
        int32_t date = -1;
        CHECK(date_parse(rows[i].text, &date) == rows[i].ok);
        char text[TIME_TEXT_BYTES] = "";
        if (rows[i].ok)
            date_format(date, text);
        CHECK_STR(str_from(text), rows[i].ok ? rows[i].text : STR(""));
    }
}

TEST(iso_times_are_parsed)
{
    const struct {
        Str text;
        int64_t us;
    } rows[] = {
        {STR("2025-05-01T10:20:30Z"), MAY_1_2025 + CLOCK(10, 20, 30)},
        {STR("2025-05-01t10:20:30z"), MAY_1_2025 + CLOCK(10, 20, 30)},
        {STR("2025-05-01 10:20:30Z"), MAY_1_2025 + CLOCK(10, 20, 30)},
        {STR("2025-05-01T10:20Z"), MAY_1_2025 + CLOCK(10, 20, 0)},
        {STR("2025-05-01T10:20:30.5Z"), MAY_1_2025 + CLOCK(10, 20, 30) + 500000},
        {STR("2025-05-01T10:20:30,123456Z"), MAY_1_2025 + CLOCK(10, 20, 30) + 123456},
        {STR("2025-05-01T10:20:30.123456789Z"), MAY_1_2025 + CLOCK(10, 20, 30) + 123456},
        {STR("2025-05-01T10:20:30+02:00"), MAY_1_2025 + CLOCK(8, 20, 30)},
        {STR("2025-05-01T10:20:30-0400"), MAY_1_2025 + CLOCK(14, 20, 30)},
        {STR("2025-05-01T10:20:30+05"), MAY_1_2025 + CLOCK(5, 20, 30)},
        {STR("2025-05-01T00:00:00+05:45"), MAY_1_2025 - CLOCK(5, 45, 0)},
        {STR("2025-04-30T23:59:60Z"), MAY_1_2025}, // a leap second
        {STR("1969-12-31T23:59:59.999999Z"), -1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text.data);
        int64_t us = 0;
        CHECK(time_parse_iso(rows[i].text, &us));
        CHECK_INT(us, rows[i].us);
    }
}

TEST(iso_times_are_refused)
{
    const char *const rows[] = {
        "",
        "2025-05-01",
        "2025-05-01T",
        "2025-05-01T10:20:30",
        "2025-05-01T10Z",
        "2025-05-01T24:00:00Z",
        "2025-05-01T10:60:00Z",
        "2025-05-01T10:20:61Z",
        "2025-05-01T10:20:30.Z",
        "2025-05-01T10:20:30+",
        "2025-05-01T10:20:30+5",
        "2025-05-01T10:20:30+05:",
        "2025-05-01T10:20:30+05:3",
        "2025-05-01T10:20:30+24:00",
        "2025-05-01T10:20:30+05:60",
        "2025-05-01T10:20:30ZZ",
        "2025-05-01T10:20:30 Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "2025-05-01_10:20:30Z",
        "2025-02-30T10:20:30Z",
        "2025-05-01T10:20:3",
        "2025-05-01T1:20:30Z",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i]);
        int64_t us = 7;
        CHECK(!time_parse_iso(str_from(rows[i]), &us));
        CHECK_INT(us, 7);
    }
}

TEST(iso_times_are_formatted)
{
    const struct {
        int64_t us;
        const char *expected;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {MAY_1_2025 + CLOCK(10, 20, 30) + 120000, "2025-05-01T10:20:30.120000Z"},
        {SECONDS(-62135596800), "0001-01-01T00:00:00Z"},
        {SECONDS(253402300799), "9999-12-31T23:59:59Z"},
        {SECONDS(253402300800), "10000-01-01T00:00:00Z"},
        {INT64_MAX, "294247-01-10T04:00:54.775807Z"},
        {INT64_MIN, "-290308-12-21T19:59:05.224192Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[TIME_TEXT_BYTES];
        time_format_iso(rows[i].us, text);
        CHECK_STR(str_from(text), str_from(rows[i].expected));
    }
    char text[TIME_TEXT_BYTES];
    date_format(INT32_MIN, text);
    date_format(INT32_MAX, text);
    CHECK(strlen(text) < TIME_TEXT_BYTES);
}

// --- durations

TEST(durations_are_parsed)
{
    const struct {
        const char *text;
        int32_t months;
        int64_t us;
    } rows[] = {
        {"P2D", 0, SECONDS(2 * 86400)},
        {"PT1S", 0, SECONDS(1)},
        {"PT0S", 0, 0},
        {"PT1H30M", 0, SECONDS(5400)},
        {"P1M", 1, 0},
        {"PT1M", 0, SECONDS(60)},
        {"P1Y", 12, 0},
        {"P1W", 0, SECONDS(7 * 86400)},
        {"P1Y2M3W4DT5H6M7.5S", 14, SECONDS(25 * 86400 + 5 * 3600 + 6 * 60 + 7) + 500000},
        {"P1MT1M", 1, SECONDS(60)},
        {"PT0.000001S", 0, 1},
        {"PT0,25S", 0, 250000},
        {"P90D", 0, SECONDS(90 * 86400)},
        {"P9999Y", 9999 * 12, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        Duration duration = {0};
        CHECK(duration_parse(str_from(rows[i].text), &duration));
        CHECK_INT(duration.months, rows[i].months);
        CHECK_INT(duration.us, rows[i].us);
    }
}

TEST(durations_are_refused)
{
    const char *const rows[] = {
        "",
        "P",
        "PT",
        "P1",
        "1D",
        "P1DT",
        "PT1D",
        "P1H",
        "P1S",
        "PD",
        "P-1D",
        "P+1D",
        "P1D2D",
        "P1D1M",
        "PT1S1M",
        "P1.5D",
        "P0.5M",
        "PT1.S",
        "PT.5S",
        "P1DT1HT1M",
        "P1D ",
        "p1d",
        "P10000Y",
        "P99999999999999999999D",
        "P106751992D",
        "PT9223372036854775807S",
        "P1Y-2M",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i]);
        Duration duration = {7, 7};
        CHECK(!duration_parse(str_from(rows[i]), &duration));
        CHECK_INT(duration.months, 7);
    }
}

TEST(durations_move_dates)
{
    const struct {
        const char *date, *duration;
        int sign;
        const char *expected;
    } rows[] = {
        {"2025-01-31", "P1M", 1, "2025-02-28"},
        {"2024-01-31", "P1M", 1, "2024-02-29"},
        {"2025-03-31", "P1M", -1, "2025-02-28"},
        {"2025-01-15", "P1M", -1, "2024-12-15"},
        {"2025-12-31", "P2M", 1, "2026-02-28"},
        {"2024-02-29", "P1Y", 1, "2025-02-28"},
        {"2025-05-01", "P2D", -1, "2025-04-29"},
        {"2025-05-01", "P1W", 1, "2025-05-08"},
        {"2025-01-31", "P1M1D", 1, "2025-03-01"},
        {"2025-05-01", "PT36H", 1, "2025-05-02"},
        {"2025-05-01", "PT23H", 1, "2025-05-01"},
        {"2025-05-01", "P9999Y", 1, "9999-12-31"},
        {"2025-05-01", "P9999Y", -1, "0001-01-01"},
        {"2025-05-01", "P99999999D", 1, "9999-12-31"},
        {"2025-05-01", "P99999999D", -1, "0001-01-01"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].date);
        int32_t date = 0;
        Duration duration = {0};
        char text[TIME_TEXT_BYTES];
        CHECK(date_parse(str_from(rows[i].date), &date));
        CHECK(duration_parse(str_from(rows[i].duration), &duration));
        date_format(date_add_duration(date, duration, rows[i].sign), text);
        CHECK_STR(str_from(text), str_from(rows[i].expected));
    }
}

// --- formats

TEST(times_are_parsed_by_format)
{
    const struct {
        const char *text, *format;
        int64_t us;
        bool has_zone;
    } rows[] = {
        {"2025-05-01T10:20:30Z", "%Y-%m-%dT%H:%M:%SZ", MAY_1_2025 + CLOCK(10, 20, 30), false},
        {"2025-05-01T10:20:30Z", "%Y-%m-%dT%H:%M:%S%z", MAY_1_2025 + CLOCK(10, 20, 30), true},
        {"2025-05-01 10:20:30.25 +0530", "%Y-%m-%d %H:%M:%S.%f %z",
         MAY_1_2025 + CLOCK(4, 50, 30) + 250000, true},
        {"2025-05-01T10:20:30.123-04:00", "%Y-%m-%dT%H:%M:%S.%_ms%z",
         MAY_1_2025 + CLOCK(14, 20, 30) + 123000, true},
        {"2025-05-01T10:20:30.123456789Z", "%Y-%m-%dT%H:%M:%S.%fZ",
         MAY_1_2025 + CLOCK(10, 20, 30) + 123456, false},
        // as the call-tracking API writes called_at
        {"2025-05-01 10:20 AM -04:00", "%Y-%m-%d %I:%M %p %z", MAY_1_2025 + CLOCK(14, 20, 0), true},
        {"2025-05-01 12:20 AM -04:00", "%Y-%m-%d %I:%M %p %z", MAY_1_2025 + CLOCK(4, 20, 0), true},
        {"2025-05-01 12:20 pm -04:00", "%Y-%m-%d %I:%M %p %z", MAY_1_2025 + CLOCK(16, 20, 0), true},
        {"1:05 PM 5/1/2025", "%I:%M %p %m/%d/%Y", MAY_1_2025 + CLOCK(13, 5, 0), false},
        {"2025-05-01", "%Y-%m-%d", MAY_1_2025, false},
        {"20250501", "%Y%m%d", MAY_1_2025, false},
        {"05/01/25", "%m/%d/%y", MAY_1_2025, false},
        {"12/31/69", "%m/%d/%y", SECONDS(-86400), false},
        {"Thu, 01 May 2025 10:20:30 GMT", "%a, %d %b %Y %H:%M:%S %Z",
         MAY_1_2025 + CLOCK(10, 20, 30), true},
        {"thursday, 1 MAY 2025", "%A, %d %B %Y", MAY_1_2025, false},
        {"September 7, 2016", "%B %d, %Y", SECONDS(1473206400), false},
        {"Sept 7, 2016", "%bt %d, %Y", SECONDS(1473206400), false}, // %b takes three letters
        {"2025-121", "%Y-%j", MAY_1_2025, false},
        {"2024-366", "%Y-%j", SECONDS(1735603200), false}, // 2024-12-31
        {"2025-1", "%Y-%j", SECONDS(1735689600), false},
        {"10:20", "%H:%M", SECONDS(-2208988800) + CLOCK(10, 20, 0), false}, // 1900-01-01
        {"2025-05-01 10:20:30 EDT", "%Y-%m-%d %H:%M:%S %Z", MAY_1_2025 + CLOCK(14, 20, 30), true},
        {"2025-05-01 10:20:30 UTC", "%Y-%m-%d %H:%M:%S %Z", MAY_1_2025 + CLOCK(10, 20, 30), true},
        {"2025-05-01  \t10:20", "%Y-%m-%d %H:%M", MAY_1_2025 + CLOCK(10, 20, 0), false},
        {"2025-05-01 10:20", "%Y-%m-%d \t %H:%M", MAY_1_2025 + CLOCK(10, 20, 0), false},
        {"100%25-05-01", "100%%%y-%m-%d", MAY_1_2025, false},
        {"2025-05-01T10:20:30+05", "%Y-%m-%dT%H:%M:%S%z", MAY_1_2025 + CLOCK(5, 20, 30), true},
        {"2025-05-01T00:00:00-00:00:30", "%Y-%m-%dT%H:%M:%S%z", MAY_1_2025 + SECONDS(30), true},
        {"2025-04-30T23:59:60", "%Y-%m-%dT%H:%M:%S", MAY_1_2025, false},
        {"1746057600", "%s", MAY_1_2025, true},
        {"-1", "%s", SECONDS(-1), true},
        {"1746057600123", "%ms", MAY_1_2025 + 123000, true},
        {"1746057600123456", "%epoch_microseconds", MAY_1_2025 + 123456, true},
        {"1746057600.5", "%s_as_float", MAY_1_2025 + 500000, true},
        {"1746057600", "%s_as_float", MAY_1_2025, true},
        {"-0.25", "%s_as_float", -250000, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        int64_t us = 0;
        bool has_zone = !rows[i].has_zone;
        CHECK(time_parse(str_from(rows[i].text), str_from(rows[i].format), NULL, &us, &has_zone));
        CHECK_INT(us, rows[i].us);
        CHECK(has_zone == rows[i].has_zone);
    }
}

TEST(times_are_refused_by_format)
{
    const struct {
        const char *text, *format;
    } rows[] = {
        {"", "%Y"},
        {"2025", ""},
        {"2025-05-01", "%Y-%m"}, // text left
        {"2025-05", "%Y-%m-%d"}, // format left
        {"2025-05-01 ", "%Y-%m-%d"},
        {"2025-05-01", "%Y-%m-%d "},
        {"2025-05-01", "%Y-%m-%d%"}, // nothing behind the percent sign
        {"2025-05-01", "%Y-%m-%Q"},  // no such directive
        {"2025-02-29", "%Y-%m-%d"},
        {"2025-02-30", "%Y-%m-%d"},
        {"2025-13-01", "%Y-%m-%d"},
        {"0000-01-01", "%Y-%m-%d"},
        {"25-05-01", "%Y-%m-%d"},
        {"5-5-1", "%y-%m-%d"},
        {"205-05-01", "%Y-%m-%d"},
        {"2-05-01", "%Y-%m-%d"},
        {"202", "%Y"},
        {"2025-366", "%Y-%j"},
        {"2024-367", "%Y-%j"},
        {"24:00", "%H:%M"},
        {"13:00 PM", "%I:%M %p"},
        {"00:00 AM", "%I:%M %p"},
        {"10:00 XM", "%I:%M %p"},
        {"10:60", "%H:%M"},
        {"10:20:61", "%H:%M:%S"},
        {"10:20.", "%H:%M.%f"},
        {"Mai 1", "%b %d"},
        {"Donnerstag", "%A"},
        {"2025 CEST", "%Y %Z"}, // means different offsets in different places
        {"2025 +5", "%Y %z"},
        {"2025 +053", "%Y %z"},
        {"2025 +05:", "%Y %z"},
        {"2025 +0560", "%Y %z"},
        {"2025 0500", "%Y %z"},
        {"2025 +2400", "%Y %z"},
        {"0001-01-01 +0100", "%Y-%m-%d %z"}, // the year before the first
        {"9999-12-31 23:59 -0100", "%Y-%m-%d %H:%M %z"},
        {"1746057600.5", "%s"},
        {" 1746057600", "%s"},
        {"1746057600x", "%s"},
        {"", "%s"},
        {"1746057600123", "%s"}, // milliseconds are no year that we know
        {"9223372036854775807", "%s"},
        {"99999999999999999999", "%ms"},
        {"1746057600.", "%s_as_float "},
        {"1746057600.5x", "%s_as_float"},
        {".5", "%s_as_float"},
        {"1e9", "%s_as_float"},
        {"1746057600123", "%s_as_float"},
        {"1746057600", "%s%Y"}, // a count is a format of its own
        {"1746057600", "%epoch"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].format);
        int64_t us = 7;
        bool has_zone = true;
        CHECK(!time_parse(str_from(rows[i].text), str_from(rows[i].format), NULL, &us, &has_zone));
        CHECK_INT(us, 7);
        CHECK(has_zone);
    }
    int64_t us = 7;
    bool has_zone = true;
    CHECK(!time_parse((Str){NULL, 0}, STR("%s"), NULL, &us, &has_zone));
    CHECK(!time_parse((Str){NULL, 0}, STR("%Y"), NULL, &us, &has_zone));
    CHECK(!time_parse(STR("2025"), (Str){NULL, 0}, NULL, &us, &has_zone));
    CHECK(!time_parse((Str){NULL, 0}, STR("%s_as_float"), NULL, &us, &has_zone));
}

TEST(the_offset_of_a_text_is_told)
{
    const struct {
        const char *text, *format;
        int64_t us;
        int32_t offset_seconds;
        bool has_zone;
    } rows[] = {
        {"2025-05-01 10:20 -0400", "%Y-%m-%d %H:%M %z", MAY_1_2025 + CLOCK(14, 20, 0), -4 * 3600,
         true},
        {"2025-05-01 10:20 Z", "%Y-%m-%d %H:%M %z", MAY_1_2025 + CLOCK(10, 20, 0), 0, true},
        {"2025-05-01 10:20", "%Y-%m-%d %H:%M", MAY_1_2025 + CLOCK(10, 20, 0), 0, false},
        {"1746057600", "%s", MAY_1_2025, 0, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        int64_t us = 0;
        int32_t offset_seconds = 9;
        bool has_zone = !rows[i].has_zone;
        CHECK(time_parse_offset(str_from(rows[i].text), str_from(rows[i].format), NULL, &us,
                                &offset_seconds, &has_zone));
        CHECK_INT(us, rows[i].us);
        CHECK_INT(offset_seconds, rows[i].offset_seconds);
        CHECK(has_zone == rows[i].has_zone);
    }
    int64_t us = 7;
    int32_t offset_seconds = 9;
    bool has_zone = true;
    CHECK(!time_parse_offset(STR("2025 -04"), STR("%Y"), NULL, &us, &offset_seconds, &has_zone));
    CHECK(us == 7 && offset_seconds == 9 && has_zone);
}

// Texts are slices of a page: no byte behind the end may be read. Each prefix stands alone in
// memory of its own, where the sanitizer sees one byte too many.
TEST(no_byte_behind_the_end_is_read)
{
    const char *const formats[] = {
        "%Y-%m-%d %H:%M:%S.%f %z", "%a, %d %b %Y %I:%M %p %Z", "%s", "%s_as_float", "%Y-%j",
        "%Y-%m-%dT%H:%M:%S%z"};
    const char *const texts[] = {"2025-05-01 10:20:30.123456 +05:30",
                                 "Thu, 01 May 2025 10:20 AM EST", "1746057600.123456", "2025-121",
                                 "2025-05-01T10:20:30+05:30"};
    for (size_t i = 0; i < COUNT(formats); i++) {
        for (size_t k = 0; k < COUNT(texts); k++) {
            for (size_t size = 1; size <= strlen(texts[k]); size++) {
                char *text = malloc(size);
                CHECK(text != NULL);
                memcpy(text, texts[k], size);
                int64_t us = 0;
                bool has_zone = false;
                (void)time_parse((Str){text, size}, str_from(formats[i]), NULL, &us, &has_zone);
                (void)time_parse((Str){texts[k], strlen(texts[k])}, (Str){text, size}, NULL, &us,
                                 &has_zone);
                (void)time_parse_iso((Str){text, size}, &us);
                free(text);
            }
        }
    }
}

TEST(times_are_formatted)
{
    const int64_t us = MAY_1_2025 + CLOCK(1, 2, 3) + 45678;
    const struct {
        int64_t us;
        int32_t offset_seconds;
        const char *format, *expected;
    } rows[] = {
        {us, 0, "%Y-%m-%dT%H:%M:%S.%fZ", "2025-05-01T01:02:03.045678Z"},
        {us, 0, "%Y-%m-%dT%H:%M:%S.%_msZ", "2025-05-01T01:02:03.045Z"},
        {us, -4 * 3600, "%Y-%m-%d %H:%M:%S %z", "2025-04-30 21:02:03 -0400"},
        {us, 20700, "%H:%M%z %Z", "06:47+0545 UTC+05:45"},
        {us, -1800, "%z %Z", "-0030 UTC-00:30"},
        {us, 0, "%z %Z", "+0000 UTC"},
        {us, 0, "%a %A %b %B %y %j", "Thu Thursday May May 25 121"},
        {us, 0, "%I %p", "01 AM"},
        {us, 11 * 3600, "%I %p", "12 PM"},
        {us, 12 * 3600, "%I %p", "01 PM"},
        {us, 23 * 3600, "%I %p %d", "12 AM 02"},
        {us, 0, "100%% of\tit", "100% of\tit"},
        {us, 0, "", ""},
        {us, -4 * 3600, "%s", "1746061323"},
        {us, 0, "%ms", "1746061323045"},
        {us, 0, "%epoch_microseconds", "1746061323045678"},
        {us, 0, "%s_as_float", "1746061323.045678"},
        {MAY_1_2025, 0, "%s_as_float", "1746057600.0"},
        {-250000, 0, "%s_as_float", "-0.25"},
        {-1, 0, "%s", "-1"},
        {-1, 0, "%ms", "-1"},
        {SECONDS(-62135596800), 0, "%Y %y", "0001 01"},
        {INT64_MIN, -3600, "%d", "21"}, // no room for the offset: it is left out, nothing overflows
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].format);
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(
            time_format(rows[i].us, rows[i].offset_seconds, str_from(rows[i].format), &out, &err),
            &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
}

TEST(unknown_directives_are_named)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(buf_append(&out, STR("kept"), &err), &err);
    CHECK(!time_format(0, 0, STR("%Y-%Q"), &out, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("'%Q'"));
    CHECK(!time_format(0, 0, STR("%Y-%"), &out, &err));
    CHECK_CONTAINS(str_from(err.message), STR("'%' at the end"));
    CHECK_STR(buf_str(&out), STR("kept"));
}

TEST(formatting_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        const bool ok = time_format(MAY_1_2025, 0, STR("%A %B %Z %f"), &out, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_STR(buf_str(&out), ok ? STR("Thursday May UTC 000000") : STR(""));
    }
}

TEST(the_time_before_counts_months_by_the_calendar)
{
    static const struct {
        const char *at, *duration, *before;
    } rows[] = {
        {"2026-03-31T12:00:00Z", "P1M", "2026-02-28T12:00:00Z"},
        {"2026-03-31T12:00:00Z", "P1Y1M", "2025-02-28T12:00:00Z"},
        {"2026-03-31T12:00:00Z", "P1DT1H", "2026-03-30T11:00:00Z"},
        {"2026-01-01T00:00:00Z", "PT1S", "2025-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].duration);
        int64_t at_us = 0;
        int64_t before_us = 0;
        Duration duration = {0};
        CHECK(time_parse_iso(str_from(rows[i].at), &at_us));
        CHECK(time_parse_iso(str_from(rows[i].before), &before_us));
        CHECK(duration_parse(str_from(rows[i].duration), &duration));
        CHECK_INT(time_before(at_us, duration), before_us);
    }
}
