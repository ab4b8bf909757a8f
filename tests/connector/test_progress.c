#include "connector/progress.h"

#include "script.h"

// A stream whose cursor is written as `cursor`; the manifest's own rules fill it.
static void open_cursor(Script *script, const char *cursor)
{
    char manifest[3000];
    snprintf(manifest, sizeof manifest, ONE_STREAM("", "", "%s"), cursor);
    Error err = {0};
    CHECK_OK(script_open(script, manifest, "{}", &err), &err);
    CHECK_OK(script_begin(script, "s", NULL, NULL, &err), &err);
}

static yyjson_val *json_of(Script *script, const char *text)
{
    if (text == NULL)
        return NULL;
    Error err = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(str_from(text), "json", script->arena, &doc, &err), &err);
    return yyjson_doc_get_root(doc);
}

static Instant instant_of(Script *script, const char *text)
{
    Instant instant = {0};
    CHECK(time_cursor_parse(&script->stream->cursor, value_str(str_from(text)), script->arena,
                            &instant));
    return instant;
}

// "a..b c..d"
static void check_slices(Script *script, Progress *progress, const char *end, const char *expected)
{
    Error err = {0};
    TimeSlices slices = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(progress_slices(progress, instant_of(script, end), script->arena, &slices, &err),
             &err);
    for (size_t i = 0; i < slices.count; i++) {
        Str from = {0}, to = {0};
        const TimeCursor *cursor = &script->stream->cursor;
        CHECK_OK(time_cursor_format(cursor, slices.items[i].from, script->arena, &from, &err),
                 &err);
        CHECK_OK(time_cursor_format(cursor, slices.items[i].to, script->arena, &to, &err), &err);
        CHECK_OK(buf_printf(&out, &err, "%s" STR_FMT ".." STR_FMT, i > 0 ? " " : "", STR_ARG(from),
                            STR_ARG(to)),
                 &err);
    }
    CHECK_STR(buf_str(&out), str_from(expected));
}

#define DAYS                                                                           \
    "    incremental_sync:\n      type: DatetimeBasedCursor\n      cursor_field: at\n" \
    "      datetime_format: \"%%Y-%%m-%%d\"\n      start_datetime: \"2025-01-30\"\n"

// DAYS is a format: its percent signs are doubled.
static const char *days(const char *more)
{
    static char text[1500];
    snprintf(text, sizeof text, DAYS "%s", more);
    return text;
}

TEST(slices_cover_the_range_without_gap_or_overlap)
{
    const struct {
        const char *name, *cursor, *state, *end, *slices;
    } rows[] = {
        {"no step", "", NULL, "2025-02-03", "2025-01-30..2025-02-03"},
        {"a day each", "      step: P1D\n      cursor_granularity: P1D\n", NULL, "2025-02-01",
         "2025-01-30..2025-01-30 2025-01-31..2025-02-01"},
        {"a month", "      step: P1M\n      cursor_granularity: P1D\n", NULL, "2025-03-10",
         "2025-01-30..2025-02-27 2025-02-28..2025-03-10"},
        {"from the state", "", "{\"at\":\"2025-02-01\"}", "2025-02-03", "2025-02-01..2025-02-03"},
        {"lookback", "      lookback_window: P2D\n", "{\"at\":\"2025-02-02\"}", "2025-02-03",
         "2025-01-31..2025-02-03"},
        {"lookback ends at the start", "      lookback_window: P20D\n", "{\"at\":\"2025-02-02\"}",
         "2025-02-03", "2025-01-30..2025-02-03"},
        {"a state before the start", "", "{\"at\":\"2024-12-01\"}", "2025-02-01",
         "2025-01-30..2025-02-01"},
        {"nothing left", "", "{\"at\":\"2025-02-05\"}", "2025-02-03", ""},
        {"one unit left", "      step: P1D\n      cursor_granularity: P1D\n",
         "{\"at\":\"2025-02-03\"}", "2025-02-03", "2025-02-03..2025-02-03"},
        {"one unit, compared strictly",
         "      step: P1D\n      cursor_granularity: P1D\n      is_compare_strictly: true\n",
         "{\"at\":\"2025-02-03\"}", "2025-02-03", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CLEANUP(script_done) Script script;
        open_cursor(&script, days(rows[i].cursor));
        Error err = {0};
        Progress progress;
        CHECK_OK(progress_init(&progress, &script.stream->cursor, json_of(&script, rows[i].state),
                               0, script.arena, &err),
                 &err);
        check_slices(&script, &progress, rows[i].end, rows[i].slices);
    }
}

static void check_state(Script *script, const Progress *progress, const char *json)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(progress_write(progress, script->arena, &out, &err), &err);
    CHECK_STR(buf_str(&out), str_from(json));
}

static void close_day(Script *script, Progress *progress, const char *from, const char *to)
{
    Error err = {0};
    TimeSlice slice = {instant_of(script, from), instant_of(script, to)};
    CHECK_OK(progress_close(progress, &slice, script->arena, &err), &err);
}

TEST(the_state_is_the_newest_record_of_what_was_read_without_gap)
{
    CLEANUP(script_done) Script script;
    open_cursor(&script, days("      step: P1D\n      cursor_granularity: P1D\n"));
    Error err = {0};
    Progress progress;
    CHECK_OK(progress_init(&progress, &script.stream->cursor,
                           json_of(&script, "{\"old\":1,\"at\":\"2025-01-31\"}"), 0, script.arena,
                           &err),
             &err);
    check_state(&script, &progress, "{\"old\":1,\"at\":\"2025-01-31\"}");
    // Two days later first: the day between is not read yet, so the state stays.
    progress_observe(&progress, json_of(&script, "{\"at\":\"2025-02-02\"}"), script.page);
    close_day(&script, &progress, "2025-02-02", "2025-02-02");
    check_state(&script, &progress, "{\"old\":1,\"at\":\"2025-01-31\"}");
    // An empty day closes the gap.
    close_day(&script, &progress, "2025-02-01", "2025-02-01");
    check_state(&script, &progress, "{\"old\":1,\"at\":\"2025-02-02\"}");
}

TEST(records_without_a_readable_cursor_move_nothing)
{
    CLEANUP(script_done) Script script;
    open_cursor(&script, days(""));
    Error err = {0};
    Progress progress;
    CHECK_OK(progress_init(&progress, &script.stream->cursor, NULL, 0, script.arena, &err), &err);
    static const char *const records[] = {"{}", "{\"at\":null}", "{\"at\":\"soon\"}", "[1]",
                                          "{\"at\":\"2025-13-01\"}"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        progress_observe(&progress, json_of(&script, records[i]), script.page);
    close_day(&script, &progress, "2025-01-30", "2025-02-03");
    check_state(&script, &progress, "{\"at\":\"2025-01-30\"}");
}

TEST(a_state_nobody_can_read_is_refused)
{
    CLEANUP(script_done) Script script;
    open_cursor(&script, days(""));
    Error err = {0};
    Progress progress;
    CHECK(!progress_init(&progress, &script.stream->cursor, json_of(&script, "{\"at\":\"soon\"}"),
                         0, script.arena, &err));
    CHECK_INT(err.code, ERROR_DATA);
}

TEST(an_offset_is_kept_as_it_was_written)
{
    CLEANUP(script_done) Script script;
    open_cursor(&script,
                "    incremental_sync:\n      type: DatetimeBasedCursor\n      cursor_field: at\n"
                "      datetime_format: \"%Y-%m-%dT%H:%M:%S%z\"\n"
                "      start_datetime: \"2025-01-01T00:00:00+0000\"\n");
    Error err = {0};
    Progress progress;
    CHECK_OK(progress_init(&progress, &script.stream->cursor, NULL, 0, script.arena, &err), &err);
    progress_observe(&progress, json_of(&script, "{\"at\":\"2025-01-02T03:04:05+0200\"}"),
                     script.page);
    close_day(&script, &progress, "2025-01-01T00:00:00+0000", "2025-01-03T00:00:00+0000");
    check_state(&script, &progress, "{\"at\":\"2025-01-02T03:04:05+0200\"}");
}
