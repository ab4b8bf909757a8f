// Plan: which windows each mode reads, in the partitions' own days.
#include "one_stream.h"

enum { ARENA_BYTES = 32 * 1024 * 1024, MARKS = 1 };
#define HOUR_US (INT64_C(3600) * 1000000)

typedef struct Planning {
    Arena *arena;
    Job job;
    Plan plan;
    PlanStream stream;
    PlanPartition partition;
    PlanKnowledge knowledge;
    Watermark mark;
} Planning;

static void begin(Planning *planning, const char *cursor, const char *zone, RunMode mode)
{
    Error err = {0};
    *planning = (Planning){0};
    planning->arena = arena_new(ARENA_BYTES, &err);
    CHECK(planning->arena != NULL);
    char manifest[4096];
    (void)snprintf(manifest, sizeof(manifest), ONE_STREAM("s", "%s"), cursor);
    planning->plan = (Plan){.mode = mode, .streams = &planning->stream, .stream_count = 1};
    planning->stream = (PlanStream){.partitions = &planning->partition, .partition_count = 1};
    CHECK_OK(one_stream_open(manifest, planning->arena, &planning->stream.stream, &err), &err);
    plan_bind_cursor(&planning->stream);
    CHECK_OK(stream_partition_from_key(planning->stream.stream, STR("{}"), planning->arena,
                                       &planning->partition.partition, &err),
             &err);
    planning->job.modes[MODE_INCREMENTAL].lookback_us = 2 * DAY_US;
    CHECK_OK(plan_bind_partition(&planning->job, planning->stream.stream, str_from(zone),
                                 planning->arena, &planning->partition, &err),
             &err);
}

static void done(Planning *planning)
{
    arena_free(planning->arena);
}

static int64_t at(const char *text)
{
    int64_t us = 0;
    CHECK(time_parse_iso(str_from(text), &us));
    return us;
}

static bool cut(Planning *planning, const char *now, Error *err)
{
    return plan_slices(&planning->job, &planning->plan, &planning->stream, &planning->knowledge,
                       at(now), planning->arena, err);
}

static void check_window(const Planning *planning, size_t index, const char *from, const char *to)
{
    char text[TIME_TEXT_BYTES];
    CHECK(index < planning->stream.slice_count);
    date_format((int32_t)(planning->stream.slices[index].from_us / DAY_US), text);
    CHECK_STR(str_from(text), str_from(from));
    date_format((int32_t)(planning->stream.slices[index].to_us / DAY_US), text);
    CHECK_STR(str_from(text), str_from(to));
}

// A zone that cannot be read is not one that nobody knows: days would be those of another.
TEST(no_zone_is_taken_for_another)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(done) Planning planning = {0};
        PlanPartition partition = {0};
        planning.arena = arena_new(ARENA_BYTES, &err);
        const bool ok =
            planning.arena != NULL &&
            one_stream_open(ONE_STREAM("s", CURSOR("P1D", "P1D")), planning.arena,
                            &planning.stream.stream, &err) &&
            stream_partition_from_key(planning.stream.stream, STR("{}"), planning.arena,
                                      &partition.partition, &err) &&
            plan_bind_partition(&planning.job, planning.stream.stream, STR("America/New_York"),
                                planning.arena, &partition, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || partition.zone != NULL);
    }
}

// As notes of another machine's run may name.
TEST(a_zone_that_this_machine_does_not_know_is_refused)
{
    CLEANUP(done) Planning planning = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "", MODE_HISTORIC);
    Error err = {0};
    CHECK(!plan_bind_zone(&planning.job, STR("Mars/Olympus_Mons"), planning.arena,
                          &planning.partition, &err));
    CHECK(err.code == ERROR_NOT_FOUND);
}

TEST(a_day_is_as_long_as_the_partitions_zone_has_it)
{
    static const struct {
        const char *name, *zone, *day, *from, *to;
    } rows[] = {
        {"plain", "America/New_York", "2026-03-07", "2026-03-07T05:00:00Z", "2026-03-08T05:00:00Z"},
        {"23 hours", "America/New_York", "2026-03-08", "2026-03-08T05:00:00Z",
         "2026-03-09T04:00:00Z"},
        {"25 hours", "America/New_York", "2026-11-01", "2026-11-01T04:00:00Z",
         "2026-11-02T05:00:00Z"},
        {"half hours", "Asia/Kolkata", "2026-03-08", "2026-03-07T18:30:00Z",
         "2026-03-08T18:30:00Z"},
        {"midnight is skipped", "America/Santiago", "2025-09-07", "2025-09-07T04:00:00Z",
         "2025-09-08T03:00:00Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Planning planning;
        Error err = {0};
        begin(&planning, CURSOR("P1D", "P1D"), rows[i].zone, MODE_HISTORIC);
        planning.plan.asked.from = str_from(rows[i].day);
        planning.plan.asked.to = str_from(rows[i].day);
        CHECK_OK(cut(&planning, "2026-12-01T00:00:00Z", &err), &err);
        CHECK_INT((int64_t)planning.stream.slice_count, 1);
        check_window(&planning, 0, rows[i].day, rows[i].day);
        int64_t from_us = 0;
        int64_t to_us = 0;
        plan_slice_bounds(&planning.stream, &planning.stream.slices[0], &from_us, &to_us);
        CHECK_INT(from_us, at(rows[i].from));
        CHECK_INT(to_us, at(rows[i].to));
        CHECK(plan_slice_is_closed(&planning.stream, &planning.stream.slices[0], to_us));
        CHECK(!plan_slice_is_closed(&planning.stream, &planning.stream.slices[0], to_us - 1));
        done(&planning);
    }
}

TEST(historic_reads_both_ends_and_ends_yesterday_by_itself)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "America/New_York", MODE_HISTORIC);
    planning.plan.asked.from = STR("2026-03-08");
    // Still the 10th in New York.
    CHECK_OK(cut(&planning, "2026-03-11T03:00:00Z", &err), &err);
    CHECK_INT((int64_t)planning.stream.slice_count, 2);
    check_window(&planning, 0, "2026-03-08", "2026-03-08");
    check_window(&planning, 1, "2026-03-09", "2026-03-09");
    planning.plan.asked.to = STR("2026-03-07");
    CHECK(!cut(&planning, "2026-03-11T03:00:00Z", &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("is after the last"));
    err = (Error){0};
    planning.plan.asked.from = STR("");
    CHECK(!cut(&planning, "2026-03-11T03:00:00Z", &err));
    CHECK_CONTAINS(str_from(err.message), STR("--from"));
    done(&planning);
}

TEST(months_are_whole_months)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1M", "P1D"), "UTC", MODE_HISTORIC);
    planning.plan.asked.from = STR("2025-12-20");
    planning.plan.asked.to = STR("2026-02-01");
    CHECK_OK(cut(&planning, "2026-03-11T03:00:00Z", &err), &err);
    CHECK_INT((int64_t)planning.stream.slice_count, 3);
    check_window(&planning, 0, "2025-12-01", "2025-12-31");
    check_window(&planning, 1, "2026-01-01", "2026-01-31");
    check_window(&planning, 2, "2026-02-01", "2026-02-28");
    done(&planning);
}

TEST(incremental_reads_from_the_mark_less_the_lookback_through_tomorrow)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_INCREMENTAL);
    planning.mark = (Watermark){STR("s"), STR("{}"), at("2026-03-09T10:00:00Z")};
    planning.knowledge = (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
    CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
    CHECK_INT((int64_t)planning.stream.slice_count, 5);
    check_window(&planning, 0, "2026-03-07", "2026-03-07");
    check_window(&planning, 4, "2026-03-11", "2026-03-11");

    // A partition without a mark is filled from where history begins.
    planning.knowledge = (PlanKnowledge){0};
    planning.job.modes[MODE_HISTORIC].from = STR("2026-03-01");
    CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
    check_window(&planning, 0, "2026-03-01", "2026-03-01");
    CHECK_INT((int64_t)planning.stream.slice_count, 11);
    done(&planning);
}

// Days that a person chose.
TEST(incremental_reads_no_further_than_it_is_asked_to)
{
    static const struct {
        const char *name, *from, *to, *first, *last;
        int64_t slices;
    } rows[] = {
        {"from", "2026-03-05", "", "2026-03-05", "2026-03-11", 7},
        {"from and to", "2026-03-05", "2026-03-06", "2026-03-05", "2026-03-06", 2},
        {"to", "", "2026-03-08", "2026-03-07", "2026-03-08", 2},
        {"to a day that has not come", "", "2027-01-01", "2026-03-07", "2026-03-11", 5},
        {"to a day before the mark", "", "2026-03-06", "", "", 0},
        {"from a day after the last", "2026-03-06", "2026-03-05", NULL, NULL, 0},
        {"from a day that has not come", "2026-03-12", "", NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Planning planning;
        Error err = {0};
        begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_INCREMENTAL);
        planning.mark = (Watermark){STR("s"), STR("{}"), at("2026-03-09T10:00:00Z")};
        planning.knowledge =
            (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
        planning.plan.asked =
            (PlanRequest){.from = str_from(rows[i].from), .to = str_from(rows[i].to)};
        CHECK(cut(&planning, "2026-03-10T12:00:00Z", &err) == (rows[i].first != NULL));
        CHECK_INT(err.code, rows[i].first != NULL ? ERROR_NONE : ERROR_JOB);
        CHECK_INT((int64_t)planning.stream.slice_count, rows[i].slices);
        if (rows[i].slices > 0) {
            check_window(&planning, 0, rows[i].first, rows[i].first);
            check_window(&planning, (size_t)rows[i].slices - 1, rows[i].last, rows[i].last);
        }
        done(&planning);
    }
}

// Windows read by a clock that was ahead would be left out until that time has come.
TEST(a_watermark_of_the_future_ends_the_run_before_it_asks)
{
    static const struct {
        const char *name, *mark;
        bool ok;
    } rows[] = {
        {"as far as clocks may differ", "2026-03-10T12:15:00Z", true},
        {"further", "2026-03-10T12:15:01Z", false},
        {"a year", "2027-03-10T12:00:00Z", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Planning planning;
        Error err = {0};
        begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_INCREMENTAL);
        planning.mark = (Watermark){STR("s"), STR("{}"), at(rows[i].mark)};
        planning.knowledge =
            (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
        CHECK(cut(&planning, "2026-03-10T12:00:00Z", &err) == rows[i].ok);
        CHECK_INT(err.code, rows[i].ok ? ERROR_NONE : ERROR_DATA);
        if (!rows[i].ok)
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].mark));
        done(&planning);
    }
}

// Somebody has set it: the windows of half a century would be read, one by one.
TEST(a_watermark_without_a_time_ends_the_run_before_it_asks)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_INCREMENTAL);
    planning.mark = (Watermark){STR("s"), STR("{}"), 0};
    planning.knowledge = (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
    CHECK(!cut(&planning, "2026-03-10T12:00:00Z", &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message), STR("without a time for {}"));
    CHECK_CONTAINS(str_from(err.message), STR("pawl state rewind --stream s --to DAY"));
    done(&planning);
}

TEST(a_watermark_that_lies_far_back_is_told_with_what_it_costs)
{
    static const struct {
        const char *name, *mark, *from;
        int64_t marks, windows;
    } rows[] = {
        {"a year", "2025-03-09T12:00:00Z", "", 0, 0},
        {"more than a year", "2025-03-09T11:59:59Z", "", 1, 370},
        {"fifteen years", "2011-03-10T00:00:00Z", "", 1, 5483},
        {"of no matter: the range was given", "2011-03-10T00:00:00Z", "2026-03-01", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Planning planning;
        Error err = {0};
        begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_INCREMENTAL);
        planning.plan.asked.from = str_from(rows[i].from);
        planning.mark = (Watermark){STR("s"), STR("{}"), at(rows[i].mark)};
        planning.knowledge =
            (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
        CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
        CHECK_INT((int64_t)planning.stream.far.marks, rows[i].marks);
        CHECK_INT((int64_t)planning.stream.far.windows, rows[i].windows);
        Str text = {0};
        CHECK_OK(plan_describe_far(&planning.stream, planning.arena, &text, &err), &err);
        if (rows[i].marks > 0) {
            CHECK_CONTAINS(text, str_from(rows[i].mark));
            CHECK_CONTAINS(text, STR("windows are read because of them"));
        }
        done(&planning);
    }
}

TEST(rehydration_reads_what_was_read_long_enough_ago)
{
    static const struct {
        const char *name, *day, *read;
        bool due;
    } rows[] = {
        {"read yesterday, within reach", "2026-03-05", "2026-03-09T11:00:00Z", true},
        {"read an hour ago", "2026-03-05", "2026-03-10T11:00:00Z", false},
        {"read exactly a day ago", "2026-03-05", "2026-03-09T12:00:00Z", true},
        {"beyond the reach of every rule", "2026-01-05", "2026-01-06T00:00:00Z", false},
        {"today is still open", "2026-03-10", "2026-03-09T11:00:00Z", false},
        {"within reach of the monthly rule alone, read lately", "2026-02-15",
         "2026-03-01T00:00:00Z", false},
        {"within reach of the monthly rule alone, read long ago", "2026-02-15",
         "2026-02-10T00:00:00Z", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Planning planning;
        Error err = {0};
        int32_t day = 0;
        CHECK(date_parse(str_from(rows[i].day), &day));
        begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_REHYDRATION);
        planning.job.modes[MODE_REHYDRATION].rules[0] =
            (RehydrationRule){.every = {.us = DAY_US}, .back = {.us = 14 * DAY_US}};
        planning.job.modes[MODE_REHYDRATION].rules[1] =
            (RehydrationRule){.every = {.months = 1}, .back = {.months = 2}};
        planning.job.modes[MODE_REHYDRATION].rule_count = 2;
        const LoadSlice slice = {.partition_key = STR("{}"),
                                 .from_us = day * DAY_US,
                                 .to_us = day * DAY_US,
                                 .fetched_us = at(rows[i].read)};
        planning.knowledge = (PlanKnowledge){.slices = &slice, .slice_count = 1};
        CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
        CHECK_INT((int64_t)planning.stream.slice_count, rows[i].due ? 1 : 0);
        done(&planning);
    }
}

// Every partition finds its own windows and its own mark among those of all, in whatever order the
// warehouse names them.
enum { MANY = 300, DAYS = 14 };

static void begin_many(Planning *planning, RunMode mode, PlanPartition *partitions,
                       char keys[MANY][16])
{
    begin(planning, CURSOR("P1D", "P1D"), "UTC", mode);
    for (int p = 0; p < MANY; p++) {
        (void)snprintf(keys[p], sizeof(keys[p]), "{\"p\":%d}", p);
        partitions[p] = planning->partition;
        partitions[p].partition.key = str_from(keys[p]);
    }
    planning->stream.partitions = partitions;
    planning->stream.partition_count = MANY;
}

TEST(each_of_many_partitions_finds_its_own_readings)
{
    static PlanPartition partitions[MANY];
    static char keys[MANY][16];
    static LoadSlice readings[MANY * DAYS];
    Planning planning;
    Error err = {0};
    begin_many(&planning, MODE_REHYDRATION, partitions, keys);
    planning.job.modes[MODE_REHYDRATION].rules[0] =
        (RehydrationRule){.every = {.us = DAY_US}, .back = {.us = DAYS * DAY_US}};
    planning.job.modes[MODE_REHYDRATION].rule_count = 1;
    int32_t first = 0;
    CHECK(date_parse(STR("2026-02-25"), &first));
    // The latest first. Of every third partition and of every second day the reading is old.
    for (int i = 0; i < MANY * DAYS; i++) {
        const int n = MANY * DAYS - 1 - i;
        const int32_t day = first + n / MANY;
        const bool old = n % MANY % 3 == 0 && n / MANY % 2 == 0;
        readings[i] =
            (LoadSlice){.partition_key = str_from(keys[n % MANY]),
                        .from_us = day * DAY_US,
                        .to_us = day * DAY_US,
                        .fetched_us = at(old ? "2026-03-08T00:00:00Z" : "2026-03-12T00:00:00Z")};
    }
    planning.knowledge = (PlanKnowledge){.slices = readings, .slice_count = MANY * DAYS};
    CHECK_OK(cut(&planning, "2026-03-12T00:00:00Z", &err), &err);
    // The window of 26 February is the first that the rule reaches.
    CHECK_INT((int64_t)planning.stream.slice_count, MANY / 3 * (DAYS / 2 - 1));
    for (size_t i = 0; i < planning.stream.slice_count; i++) {
        CHECK_INT(planning.stream.slices[i].partition % 3, 0);
        CHECK_INT((planning.stream.slices[i].from_us / DAY_US - first) % 2, 0);
    }
    done(&planning);
}

TEST(each_of_many_partitions_finds_its_own_mark)
{
    static PlanPartition partitions[MANY];
    static char keys[MANY][16];
    static Watermark marks[MANY * 2];
    Planning planning;
    Error err = {0};
    begin_many(&planning, MODE_INCREMENTAL, partitions, keys);
    planning.job.modes[MODE_INCREMENTAL].lookback_us = 0;
    int32_t first = 0;
    CHECK(date_parse(STR("2026-02-25"), &first));
    for (int i = 0; i < MANY; i++) {
        const int p = MANY - 1 - i;
        marks[2 * i] = (Watermark){STR("s"), str_from(keys[p]), (first + p % DAYS) * DAY_US};
        marks[2 * i + 1] = (Watermark){STR("other"), str_from(keys[p]), 0};
    }
    planning.knowledge = (PlanKnowledge){.watermarks = marks, .watermark_count = 2 * MANY};
    CHECK_OK(cut(&planning, "2026-03-12T00:00:00Z", &err), &err);
    bool seen[MANY] = {false};
    for (size_t i = 0; i < planning.stream.slice_count; i++) {
        const PlanSlice *slice = &planning.stream.slices[i];
        if (!seen[slice->partition])
            CHECK_INT(slice->from_us, (first + (int)slice->partition % DAYS) * DAY_US);
        seen[slice->partition] = true;
    }
    for (int p = 0; p < MANY; p++)
        CHECK(seen[p]);
    done(&planning);
}

TEST(a_stream_without_windows_is_one_slice)
{
    Planning planning;
    Error err = {0};
    begin(&planning, "", "UTC", MODE_HISTORIC);
    CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
    CHECK_INT((int64_t)planning.stream.slice_count, 1);
    CHECK(!plan_slice_is_closed(&planning.stream, &planning.stream.slices[0], INT64_MAX));
    done(&planning);
}

TEST(a_plan_is_read_back_as_it_was_written)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "America/New_York", MODE_HISTORIC);
    planning.plan.asked.from = STR("2026-03-01");
    planning.plan.asked.to = STR("2026-03-03");
    planning.plan.asked.stream = STR("s");
    planning.plan.asked.account = STR("17");
    CHECK_OK(cut(&planning, "2026-03-10T12:00:00Z", &err), &err);
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(plan_write(&planning.plan, &text, &err), &err);
    PlanStream stream = {.stream = planning.stream.stream, .cursor = planning.stream.cursor};
    Plan plan = {.streams = &stream, .stream_count = 1};
    yyjson_val *streams = NULL;
    CHECK_OK(plan_read_request(buf_str(&text), &plan, planning.arena, &streams, &err), &err);
    CHECK_INT(plan.mode, MODE_HISTORIC);
    CHECK_STR(plan.asked.from, STR("2026-03-01"));
    CHECK_STR(plan.asked.stream, STR("s"));
    CHECK_STR(plan.asked.account, STR("17"));
    CHECK_OK(plan_read_streams(streams, &planning.job, &plan, planning.arena, &err), &err);
    CHECK(plan.resumed);
    CHECK_STR(plan.asked.to, STR("2026-03-03"));
    CHECK_INT((int64_t)stream.slice_count, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(stream.slices[i].from_us, planning.stream.slices[i].from_us);
    CHECK_STR(stream.partitions[0].zone_name, STR("America/New_York"));
    done(&planning);
}

// Windows that not all partitions share, in the order in which they were cut.
TEST(ranges_of_partitions_are_read_back)
{
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_REHYDRATION);
    PlanPartition partitions[5];
    for (size_t i = 0; i < 5; i++)
        partitions[i] = planning.partition;
    PlanSlice slices[] = {{0, 1, 2}, {1, 1, 2}, {4, 1, 2}, {0, 3, 4},
                          {2, 3, 4}, {3, 3, 4}, {3, 5, 6}, {3, 1, 2}};
    planning.stream.partitions = partitions;
    planning.stream.partition_count = 5;
    planning.stream.slices = slices;
    planning.stream.slice_count = sizeof(slices) / sizeof(slices[0]);
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(plan_write(&planning.plan, &text, &err), &err);
    CHECK_CONTAINS(buf_str(&text),
                   STR("\"windows\":[[1,2,0,2,4,1],[3,4,0,1,2,2],[5,6,3,1],[1,2,3,1]]"));
    PlanStream stream = {.stream = planning.stream.stream, .cursor = planning.stream.cursor};
    Plan plan = {.streams = &stream, .stream_count = 1};
    yyjson_val *streams = NULL;
    CHECK_OK(plan_read_request(buf_str(&text), &plan, planning.arena, &streams, &err), &err);
    CHECK_OK(plan_read_streams(streams, &planning.job, &plan, planning.arena, &err), &err);
    CHECK_INT((int64_t)stream.slice_count, 8);
    for (size_t i = 0; i < 8; i++) {
        CHECK_INT(stream.slices[i].partition, slices[i].partition);
        CHECK_INT(stream.slices[i].from_us, slices[i].from_us);
        CHECK_INT(stream.slices[i].to_us, slices[i].to_us);
    }
    done(&planning);
}

TEST(a_damaged_plan_is_refused)
{
    static const char *const windows[] = {"[1,2]",     "[1,2,0]",     "[1,2,1,1]",
                                          "[1,2,0,2]", "[1,2,0,0]",   "[1,2,-1,1]",
                                          "7",         "[1,2,0,1,0]", "[1,2,0,9999999999999]"};
    Planning planning;
    Error err = {0};
    begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_HISTORIC);
    Plan plan = {.streams = &planning.stream, .stream_count = 1};
    yyjson_val *streams = NULL;
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        check_row(windows[i]);
        char json[256];
        (void)snprintf(
            json, sizeof(json),
            "{\"version\":2,\"mode\":\"historic\",\"streams\":[{\"stream\":\"s\",\"partitions\":"
            "[{\"key\":\"{}\",\"zone\":\"UTC\"}],\"windows\":[%s]}]}",
            windows[i]);
        CHECK_OK(plan_read_request(str_from(json), &plan, planning.arena, &streams, &err), &err);
        CHECK(!plan_read_streams(streams, &planning.job, &plan, planning.arena, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), STR("window 0"));
        err = (Error){0};
    }
    CHECK(!plan_read_request(STR("{\"version\":1}"), &plan, planning.arena, &streams, &err));
    CHECK_CONTAINS(str_from(err.message), STR("another version"));
    done(&planning);
}

TEST(a_plan_survives_every_fault)
{
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        Planning planning;
        Error err = {0};
        begin(&planning, CURSOR("P1D", "P1D"), "UTC", MODE_REHYDRATION);
        planning.plan.asked.from = STR("2026-03-01");
        planning.plan.asked.to = STR("2026-03-03");
        planning.mark = (Watermark){STR("s"), STR("{}"), at("2026-03-09T10:00:00Z")};
        planning.knowledge =
            (PlanKnowledge){.watermarks = &planning.mark, .watermark_count = MARKS};
        PlanStream stream = {.stream = planning.stream.stream, .cursor = planning.stream.cursor};
        Plan plan = {.streams = &stream, .stream_count = 1};
        CLEANUP(buf_done) Buf text = {0};
        yyjson_val *streams = NULL;
        fault_arm(nth);
        const bool ok = cut(&planning, "2026-03-10T12:00:00Z", &err) &&
                        plan_write(&planning.plan, &text, &err) &&
                        plan_read_request(buf_str(&text), &plan, planning.arena, &streams, &err) &&
                        plan_read_streams(streams, &planning.job, &plan, planning.arena, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(plan.resumed == ok);
        CHECK(!ok || stream.slice_count == 3);
        done(&planning);
    }
}
