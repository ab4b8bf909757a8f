#include "base/file.h"
#include "base/time.h"

#include "harness/check.h"

#include <stdlib.h>
#include <time.h>

enum { RUN_BYTES = 16 * 1024 * 1024, FILE_BYTES_MAX = 256 * 1024, HOUR = 3600 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const Zone *opened(const char *name, Arena *arena)
{
    Error err = {0};
    const Zone *zone = NULL;
    CHECK_OK(zone_open(str_from(name), arena, &zone, &err), &err);
    return zone;
}

static int64_t instant(const char *text)
{
    int64_t us = 0;
    CHECK(time_parse_iso(str_from(text), &us));
    return us;
}

TEST(utc_needs_no_file)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1, &err); // not even memory
    const Zone *const zones[] = {NULL, opened("", arena), opened("UTC", arena)};
    for (size_t i = 0; i < COUNT(zones); i++) {
        CHECK_INT(zone_offset_at(zones[i], instant("2025-07-01T00:00:00Z")), 0);
        CHECK_INT(zone_date_at(zones[i], -1), -1);
        CHECK_INT(zone_start_of_date(zones[i], 1), US_PER_DAY);
        const Civil civil = {.year = 1970, .month = 1, .day = 2, .microsecond = 5};
        CHECK_INT(zone_us_from_local(zones[i], civil), US_PER_DAY + 5);
    }
}

// The second before a change and the change itself, as governments decreed them.
TEST(offsets_change_when_the_law_says)
{
    const struct {
        const char *zone, *change;
        int32_t before, after;
    } rows[] = {
        {"America/New_York", "1883-11-18T17:00:00Z", -(4 * HOUR + 56 * 60 + 2), -5 * HOUR},
        {"America/New_York", "2006-04-02T07:00:00Z", -5 * HOUR, -4 * HOUR}, // first Sunday of April
        {"America/New_York", "2007-03-11T07:00:00Z", -5 * HOUR, -4 * HOUR}, // then second of March
        {"America/New_York", "2025-03-09T07:00:00Z", -5 * HOUR, -4 * HOUR},
        {"America/New_York", "2025-11-02T06:00:00Z", -4 * HOUR, -5 * HOUR},
        {"America/New_York", "2040-03-11T07:00:00Z", -5 * HOUR, -4 * HOUR}, // by the footer
        {"America/New_York", "2040-11-04T06:00:00Z", -4 * HOUR, -5 * HOUR},
        {"America/New_York", "2500-03-14T07:00:00Z", -5 * HOUR, -4 * HOUR}, // the 1st is a Monday
        {"America/Los_Angeles", "2025-03-09T10:00:00Z", -8 * HOUR, -7 * HOUR},
        {"Europe/Berlin", "2025-03-30T01:00:00Z", HOUR, 2 * HOUR},
        {"Europe/Berlin", "2050-03-27T01:00:00Z", HOUR, 2 * HOUR},
        {"Europe/Dublin", "2025-03-30T01:00:00Z", 0, HOUR}, // its summer time counts as standard
        {"Europe/Dublin", "2040-10-28T01:00:00Z", HOUR, 0},
        {"Australia/Lord_Howe", "2025-04-05T15:00:00Z", 11 * HOUR, 10 * HOUR + 1800},
        {"Australia/Lord_Howe", "2025-10-04T15:30:00Z", 10 * HOUR + 1800, 11 * HOUR},
        {"Australia/Lord_Howe", "2040-03-31T15:00:00Z", 11 * HOUR, 10 * HOUR + 1800},
        {"Australia/Lord_Howe", "2040-10-06T15:30:00Z", 10 * HOUR + 1800, 11 * HOUR},
        {"Asia/Kathmandu", "1985-12-31T18:30:00Z", 5 * HOUR + 1800, 5 * HOUR + 2700},
        {"Pacific/Apia", "2011-12-30T10:00:00Z", -10 * HOUR, 14 * HOUR}, // across the date line
        {"America/Sao_Paulo", "2018-11-04T03:00:00Z", -3 * HOUR, -2 * HOUR},
        {"America/Nuuk", "2040-03-25T01:00:00Z", -2 * HOUR,
         -1 * HOUR},                                               // a rule with negative hours
        {"Asia/Gaza", "2090-03-25T00:00:00Z", 2 * HOUR, 3 * HOUR}, // one of more than a day
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].change);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = opened(rows[i].zone, arena);
        const int64_t us = instant(rows[i].change);
        CHECK_INT(zone_offset_at(zone, us - 1), rows[i].before);
        CHECK_INT(zone_offset_at(zone, us), rows[i].after);
    }
}

TEST(zones_without_changes_keep_their_offset)
{
    const struct {
        const char *zone;
        int32_t offset;
    } rows[] = {{"Asia/Kathmandu", 5 * HOUR + 2700}, {"Asia/Tokyo", 9 * HOUR},
                {"America/Phoenix", -7 * HOUR},      {"Etc/GMT+5", -5 * HOUR},
                {"Asia/Kolkata", 5 * HOUR + 1800},   {"Pacific/Kiritimati", 14 * HOUR}};
    const char *const times[] = {"2000-01-01T00:00:00Z", "2025-07-01T00:00:00Z",
                                 "2039-07-01T00:00:00Z", "9999-12-31T23:59:59Z"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].zone);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        for (size_t k = 0; k < COUNT(times); k++)
            CHECK_INT(zone_offset_at(opened(rows[i].zone, arena), instant(times[k])),
                      rows[i].offset);
    }
}

TEST(local_times_become_instants)
{
    const struct {
        const char *name, *zone, *local, *expected;
    } rows[] = {
        {"winter", "America/New_York", "2025-01-15 12:00", "2025-01-15T17:00:00Z"},
        {"summer", "America/New_York", "2025-07-15 12:00", "2025-07-15T16:00:00Z"},
        {"just before the gap", "America/New_York", "2025-03-09 01:59", "2025-03-09T06:59:00Z"},
        {"skipped: the offset before", "America/New_York", "2025-03-09 02:30",
         "2025-03-09T07:30:00Z"},
        {"first after the gap", "America/New_York", "2025-03-09 03:00", "2025-03-09T07:00:00Z"},
        {"twice: the first", "America/New_York", "2025-11-02 01:30", "2025-11-02T05:30:00Z"},
        {"last that is twice", "America/New_York", "2025-11-02 01:59", "2025-11-02T05:59:00Z"},
        {"first after the overlap", "America/New_York", "2025-11-02 02:00", "2025-11-02T07:00:00Z"},
        {"skipped, by the footer", "America/New_York", "2040-03-11 02:30", "2040-03-11T07:30:00Z"},
        {"twice, by the footer", "America/New_York", "2040-11-04 01:30", "2040-11-04T05:30:00Z"},
        {"after, by the footer", "America/New_York", "2040-11-04 02:00", "2040-11-04T07:00:00Z"},
        {"half an hour skipped", "Australia/Lord_Howe", "2025-10-05 02:15", "2025-10-04T15:45:00Z"},
        {"half an hour twice", "Australia/Lord_Howe", "2025-04-06 01:45", "2025-04-05T14:45:00Z"},
        {"south, in summer, by the footer", "Australia/Lord_Howe", "2040-01-01 00:00",
         "2039-12-31T13:00:00Z"},
        {"a whole day skipped", "Pacific/Apia", "2011-12-30 12:00", "2011-12-30T22:00:00Z"},
        {"local mean time", "America/New_York", "1850-01-01 00:00", "1850-01-01T04:56:02Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        int64_t us = 0;
        bool has_zone = true;
        CHECK(time_parse(str_from(rows[i].local), STR("%Y-%m-%d %H:%M"),
                         opened(rows[i].zone, arena), &us, &has_zone));
        CHECK(!has_zone);
        CHECK_INT(us, instant(rows[i].expected));
    }
}

TEST(days_start_at_their_first_instant)
{
    const struct {
        const char *zone, *date, *expected;
    } rows[] = {
        {"America/New_York", "2025-05-01", "2025-05-01T04:00:00Z"},
        {"America/New_York", "2025-03-09", "2025-03-09T05:00:00Z"},
        {"America/New_York", "2025-03-10", "2025-03-10T04:00:00Z"}, // a day of 23 hours
        {"America/New_York", "2025-11-03", "2025-11-03T05:00:00Z"}, // one of 25
        {"Asia/Kathmandu", "2025-05-01", "2025-04-30T18:15:00Z"},
        {"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"}, // midnight was skipped
        {"America/Sao_Paulo", "2018-02-18",
         "2018-02-18T03:00:00Z"}, // 23 h came twice the day before
        {"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z"},
        {"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"}, // never was
        {"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"},
        {"Africa/Cairo", "2040-04-27", "2040-04-26T22:00:00Z"}, // skipped, by the footer
        // 23:30 became 00:30: the day began half an hour late
        {"America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].date);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = opened(rows[i].zone, arena);
        int32_t date = 0;
        CHECK(date_parse(str_from(rows[i].date), &date));
        const int64_t us = zone_start_of_date(zone, date);
        CHECK_INT(us, instant(rows[i].expected));
        CHECK(zone_date_at(zone, us) >= date);
        CHECK(zone_date_at(zone, us - 1) < date);
    }
}

// The zone names of zone.tab, one a call.
static Str next_zone(Str *table)
{
    while (table->data != NULL) {
        Str line = str_split_next(table, '\n');
        if (line.size == 0 || line.data[0] == '#')
            continue;
        (void)str_split_next(&line, '\t');
        (void)str_split_next(&line, '\t');
        return str_split_next(&line, '\t');
    }
    return (Str){NULL, 0};
}

static void check_against_the_c_library(const Zone *zone, int64_t seconds)
{
    struct tm local;
    const time_t time = seconds;
    CHECK(localtime_r(&time, &local) != NULL);
    const int64_t us = seconds * US_PER_SECOND;
    CHECK_INT(zone_offset_at(zone, us), local.tm_gmtoff);
    CHECK_INT(zone_date_at(zone, us),
              date_from_civil(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday));

    // Back again: the same instant, or the first of two with that local time.
    const Civil civil = civil_from_us(us + zone_offset_at(zone, us) * US_PER_SECOND);
    const int64_t back = zone_us_from_local(zone, civil);
    CHECK(back <= us);
    CHECK_INT(back + zone_offset_at(zone, back) * US_PER_SECOND, us_from_civil(civil));
    const int32_t date = zone_date_at(zone, us);
    const int64_t start = zone_start_of_date(zone, date);
    CHECK(start <= us && zone_date_at(zone, start) == date && zone_date_at(zone, start - 1) < date);
}

// Every zone of the world, at steps that meet no calendar, against another implementation.
TEST(all_zones_agree_with_the_c_library)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Str table = {0};
    CHECK_OK(file_read("/usr/share/zoneinfo/zone.tab", FILE_BYTES_MAX, arena, &table, &err), &err);
    int zones = 0;
    for (Str name = next_zone(&table); name.data != NULL; name = next_zone(&table), zones++) {
        char text[80];
        (void)snprintf(text, sizeof(text), STR_FMT, STR_ARG(name));
        check_row(text);
        CLEANUP(arena_freep) Arena *own = arena_new(RUN_BYTES, &err);
        const Zone *zone = opened(text, own);
        CHECK(setenv("TZ", text, 1) == 0);
        tzset();
        // 1850 to 2150; 44 days less 334 seconds each
        for (int64_t seconds = INT64_C(-3786825600); seconds < INT64_C(5680281600);
             seconds += 3801234)
            check_against_the_c_library(zone, seconds);
    }
    CHECK(zones > 300);
}

TEST(unknown_zones_are_refused_by_name)
{
    const struct {
        const char *zone, *expected;
    } rows[] = {
        {"America/New_Yrok",
         "zone 'America/New_Yrok': no such time zone; did you mean 'America/New_York'"},
        {"europe/berlin", "zone 'europe/berlin': no such time zone; did you mean 'Europe/Berlin'"},
        {"Mars/Olympus", "zone 'Mars/Olympus': no such time zone"},
        {"../../../etc/passwd", "zone '../../../etc/passwd': no such time zone"},
        {"/etc/passwd", "zone '/etc/passwd': no such time zone"},
        {"zone.tab", "zone 'zone.tab': no such time zone"},
        {"America", "zone 'America': no such time zone"},
        {"leapseconds", "zone 'leapseconds': zone file: not a TZif file"},
        {"A23456789B23456789C23456789D23456789E23456789F23456789G23456789H23456789",
         "zone 'A23456789B23456789C23456789D23456789E23456789F23456789G23456789H': no such"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].zone);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = NULL;
        CHECK(!zone_open(str_from(rows[i].zone), arena, &zone, &err));
        CHECK(zone == NULL);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].expected));
    }
}

// --- hand-made files

typedef struct Change {
    int64_t at;
    unsigned char type;
} Change;

static void put(Buf *out, uint64_t value, int size)
{
    Error err = {0};
    for (int i = size - 1; i >= 0; i--)
        CHECK(buf_append_char(out, (char)(unsigned char)(value >> (8 * i)), &err));
}

static void put_block(Buf *out, char version, int time_size, const Change *changes, size_t count,
                      const int32_t *offsets, size_t types)
{
    Error err = {0};
    CHECK(buf_append(out, STR("TZif"), &err));
    CHECK(buf_append_char(out, version, &err));
    for (int i = 0; i < 15; i++)
        put(out, 0, 1);
    put(out, 0, 4);
    put(out, 0, 4);
    put(out, 0, 4);
    put(out, count, 4);
    put(out, types, 4);
    put(out, 4, 4);
    for (size_t i = 0; i < count; i++)
        put(out, (uint64_t)changes[i].at, time_size);
    for (size_t i = 0; i < count; i++)
        put(out, changes[i].type, 1);
    for (size_t i = 0; i < types; i++) {
        put(out, (uint64_t)offsets[i], 4);
        put(out, 0, 2);
    }
    CHECK(buf_append(out, STR("LMT\0"), &err));
}

static const Change two_changes[] = {{-1000, 1}, {1000, 0}};
static const int32_t two_offsets[] = {-3600, 7200};

static Buf zone_file(const char *footer)
{
    Error err = {0};
    Buf out = {0};
    put_block(&out, '2', 4, NULL, 0, two_offsets, 1);
    put_block(&out, '2', 8, two_changes, 2, two_offsets, 2);
    CHECK(buf_printf(&out, &err, "\n%s\n", footer));
    return out;
}

TEST(old_files_have_a_table_only)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf file = {0};
    put_block(&file, '\0', 4, two_changes, 2, two_offsets, 2);
    const Zone *zone = NULL;
    CHECK_OK(zone_parse(buf_str(&file), arena, &zone, &err), &err);
    CHECK_INT(zone_offset_at(zone, -1001 * US_PER_SECOND), -3600);
    CHECK_INT(zone_offset_at(zone, -1000 * US_PER_SECOND), 7200);
    CHECK_INT(zone_offset_at(zone, 1000 * US_PER_SECOND), -3600);
    CHECK_INT(zone_offset_at(zone, INT64_MAX), -3600);
    CHECK_INT(zone_offset_at(zone, INT64_MIN), -3600);
}

TEST(footers_are_posix_rules)
{
    const int64_t january = instant("2030-01-15T00:00:00Z");
    const int64_t july = instant("2030-07-15T00:00:00Z");
    const struct {
        const char *footer;
        int32_t january, july; // offsets
    } rows[] = {
        {"", -3600, -3600}, // the last of the table
        {"UTC0", 0, 0},
        {"<+0545>-5:45", 20700, 20700},
        {"ABC+12:34:56", -45296, -45296},
        {"EST5EDT,M3.2.0,M11.1.0", -5 * HOUR, -4 * HOUR},
        {"EST5EDT4,M3.2.0/2,M11.1.0/2:00:00", -5 * HOUR, -4 * HOUR},
        {"<-03>3<-01>1,J60,J300", -3 * HOUR, -1 * HOUR},
        {"AAA-10BBB,J300,J60", 11 * HOUR, 10 * HOUR}, // south
        {"AAA0BBB,59/0,299/0", 0, HOUR},
        {"XXX3EDT4,0/0,J365/23", -4 * HOUR, -4 * HOUR}, // summer all year: RFC 8536, section 3.3.1
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 0, HOUR},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].footer);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(buf_done) Buf file = zone_file(rows[i].footer);
        const Zone *zone = NULL;
        CHECK_OK(zone_parse(buf_str(&file), arena, &zone, &err), &err);
        CHECK_INT(zone_offset_at(zone, january), rows[i].january);
        CHECK_INT(zone_offset_at(zone, july), rows[i].july);
        (void)zone_offset_at(zone, INT64_MAX);
        CHECK_INT(zone_offset_at(zone, INT64_MIN), -3600);
    }
}

// Day 60 of "J" is 1 March in every year; of the plain form it is 1 March but in leap years 29
// February.
TEST(julian_days_skip_the_leap_day)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf julian = zone_file("AAA0BBB,J60/0,J300");
    CLEANUP(buf_done) Buf plain = zone_file("AAA0BBB,59/0,J300");
    const Zone *zone = NULL;
    CHECK_OK(zone_parse(buf_str(&julian), arena, &zone, &err), &err);
    CHECK_INT(zone_offset_at(zone, instant("2028-02-29T23:59:59Z")), 0);
    CHECK_INT(zone_offset_at(zone, instant("2028-03-01T00:00:00Z")), HOUR);
    CHECK_INT(zone_offset_at(zone, instant("2030-03-01T00:00:00Z")), HOUR);
    CHECK_OK(zone_parse(buf_str(&plain), arena, &zone, &err), &err);
    CHECK_INT(zone_offset_at(zone, instant("2028-02-28T23:59:59Z")), 0);
    CHECK_INT(zone_offset_at(zone, instant("2028-02-29T00:00:00Z")), HOUR);
    CHECK_INT(zone_offset_at(zone, instant("2030-02-28T23:59:59Z")), 0);
}

TEST(wrong_footers_are_refused)
{
    const char *const rows[] = {
        "E5",
        "EST",
        "EST25",
        "EST5EDT",
        "EST5EDT,M3.2.0",
        "<EST5",
        "<AB>5",
        "EST5:60",
        "EST5EDT,M13.1.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0",
        "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.1.7,M11.1.0",
        "EST5EDT,J0,J300",
        "EST5EDT,366,J300",
        "EST5EDT,J60/168,J300",
        "EST5EDT,J60,J300x",
        "EST5EDT J60,J300",
        "EST5EDT,J60/,J300",
        "EST5ED,J60,J300",
        "EST5:00:99",
        "EST5EDT25,J60,J300",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i]);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(buf_done) Buf file = zone_file(rows[i]);
        const Zone *zone = NULL;
        CHECK(!zone_parse(buf_str(&file), arena, &zone, &err));
        CHECK_INT(err.code, ERROR_DATA);
    }
}

TEST(wrong_tables_are_refused)
{
    const struct {
        const char *name;
        Change changes[2];
        int32_t offsets[2];
    } rows[] = {
        {"descending", {{5, 0}, {4, 1}}, {0, 3600}},
        {"twice", {{5, 0}, {5, 1}}, {0, 3600}},
        {"no such type", {{5, 0}, {6, 2}}, {0, 3600}},
        {"offset too large", {{5, 0}, {6, 1}}, {0, 93600}},
        {"first offset too small", {{5, 1}, {6, 1}}, {-93600, 0}},
        {"before the big bang", {{INT64_MIN, 0}, {6, 1}}, {0, 3600}},
        {"too late", {{5, 0}, {INT64_MAX, 1}}, {0, 3600}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(buf_done) Buf file = {0};
        put_block(&file, '2', 4, NULL, 0, two_offsets, 1);
        put_block(&file, '2', 8, rows[i].changes, 2, rows[i].offsets, 2);
        CHECK(buf_append(&file, STR("\nUTC0\n"), &err));
        const Zone *zone = NULL;
        CHECK(!zone_parse(buf_str(&file), arena, &zone, &err));
        CHECK_INT(err.code, ERROR_DATA);
    }
}

// No file that ends too early is taken, and none that counts more than it holds.
TEST(cut_and_lying_files_are_refused)
{
    CLEANUP(buf_done) Buf file = zone_file("EST5EDT,M3.2.0,M11.1.0");
    for (size_t size = 0; size < file.size; size++) {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = NULL;
        CHECK(!zone_parse((Str){file.data, size}, arena, &zone, &err));
        CHECK_INT(err.code, ERROR_DATA);
    }
    const size_t second =
        44 + 6 + 4; // where the wide header starts: header, one type, four letters
    for (size_t at = 20; at < 44; at++) {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = NULL;
        file.data[second + at] ^= (char)0x7F;
        CHECK(!zone_parse(buf_str(&file), arena, &zone, &err));
        file.data[second + at] ^= (char)0x7F;
    }
}

TEST(zones_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Zone *zone = NULL;
        const bool ok = arena != NULL && zone_open(STR("Europe/Berlin"), arena, &zone, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (zone != NULL));
        if (arena != NULL && ok)
            CHECK(!zone_open(STR("Europe/Berln"), arena, &zone, &err));
    }
}
