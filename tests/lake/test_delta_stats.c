// What a commit says of a file, by the protocol's "Per-file Statistics": a bound that is wrong
// would make readers miss rows, so that what cannot be said right is left out.
#include "lake/delta_stats.h"

#include "base/time.h"
#include "harness/check.h"
#include "lake/delta_log.h"

enum { TEST_BYTES = 1024 * 1024 };

#define TEN     "aaaaaaaaaa"
#define THIRTY  TEN TEN TEN
#define HIGHEST "\xF4\x8F\xBF\xBF" // U+10FFFF

static yyjson_val *parse(Arena *arena, const char *text)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(str_from(text), "stats", arena, &doc, &err), &err);
    return yyjson_doc_get_root(doc);
}

TEST(bounds_are_what_readers_agree_on)
{
    // clang-format off
    static const struct {
        const char *name, *type, *duck, *min, *max, *low, *high; // NULL = left out
    } rows[] = {
        {"whole numbers", "long", "BIGINT", "-5", "7", "-5", "7"},
        {"decimals", "decimal(18,2)", "DECIMAL(18,2)", "1.50", "2.00", "1.50", "2.00"},
        {"infinity is no JSON", "double", "DOUBLE", "-inf", "1.0", NULL, NULL},
        {"above a double there may be NaN", "double", "DOUBLE", "1.0", "2.0", "1.0", NULL},
        {"days", "date", "DATE", "2026-01-01", "2026-12-31", "\"2026-01-01\"", "\"2026-12-31\""},
        {"no days", "date", "DATE", "infinity", "x", NULL, NULL},
        {"times are cut to the millisecond", "timestamp", "TIMESTAMP WITH TIME ZONE", "2026-01-01 00:00:00.123456+00",
         "2026-01-01 00:00:01+00", "\"2026-01-01T00:00:00.123Z\"", "\"2026-01-01T00:00:01.000Z\""},
        {"times elsewhere", "timestamp", "TIMESTAMP WITH TIME ZONE", "2026-01-01 00:00:00+01", "x", NULL, NULL},
        {"short texts", "string", "VARCHAR", "a", "\303\251", "\"a\"", "\"\303\251\""},
        {"texts are cut to 32 characters", "string", "VARCHAR", THIRTY "aab", THIRTY "aab", "\"" THIRTY "aa\"",
         "\"" THIRTY "aa" HIGHEST "\""},
        {"characters, not bytes", "string", "VARCHAR", THIRTY "\303\251\303\251\303\251", THIRTY "b",
         "\"" THIRTY "\303\251\303\251\"", "\"" THIRTY "b\""},
        {"nothing lies above the highest character", "string", "VARCHAR", "a", THIRTY "aa" HIGHEST, "\"a\"", NULL},
        {"texts that are none", "string", "VARCHAR", "\377", "\377", NULL, NULL},
        {"bytes have no order", "binary", "BLOB", "a", "b", NULL, NULL},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CLEANUP(buf_done) Buf expected = {0};
        DeltaField field = {STR("f"), str_from(rows[i].type), rows[i].duck, .text_bounds = true};
        DeltaColumnStats column = {STR("F"), str_from(rows[i].min), str_from(rows[i].max),
                                   STR("3")};
        const DeltaSchema schema = {&field, 1};
        const DeltaFileStats stats = {.rows = 9, .columns = &column, .count = 1};
        CHECK_OK(delta_stats_write(&stats, &schema, &out, &err), &err);
        CHECK(buf_printf(
            &expected, &err,
            "{\"numRecords\":9,\"minValues\":{%s%s},\"maxValues\":{%s%s},"
            "\"nullCount\":{\"f\":3}}",
            rows[i].low == NULL ? "" : "\"f\":", rows[i].low == NULL ? "" : rows[i].low,
            rows[i].high == NULL ? "" : "\"f\":", rows[i].high == NULL ? "" : rows[i].high));
        CHECK_STR(buf_str(&out), buf_str(&expected));
    }
}

TEST(a_column_of_which_nothing_is_known_is_left_out)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    DeltaField fields[] = {{STR("a"), STR("long"), "BIGINT", .text_bounds = true},
                           {STR("b"), STR("string"), "VARCHAR", .text_bounds = false},
                           {STR("c"), STR("long"), "BIGINT", .text_bounds = true}};
    DeltaColumnStats columns[] = {{STR("a"), {0}, STR("1"), {0}},
                                  {STR("b"), STR("x"), STR("y"), STR("0")}};
    const DeltaSchema schema = {fields, 3};
    const DeltaFileStats stats = {.rows = 1, .columns = columns, .count = 2};
    CHECK_OK(delta_stats_write(&stats, &schema, &out, &err), &err);
    CHECK_STR(buf_str(&out),
              STR("{\"numRecords\":1,\"minValues\":{},\"maxValues\":{},\"nullCount\":{\"b\":0}}"));
}

TEST(texts_bound_a_file_where_they_did_before)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
    DeltaField fields[] = {{STR("a"), STR("string"), "VARCHAR", .text_bounds = true},
                           {STR("b"), STR("string"), "VARCHAR", .text_bounds = true},
                           {STR("c"), STR("string"), "VARCHAR", .text_bounds = false}};
    DeltaSchema schema = {fields, 3};
    delta_stats_narrow(parse(arena, "{\"minValues\":{\"a\":\"x\",\"b\":5,\"c\":\"y\"}}"), &schema);
    CHECK(fields[0].text_bounds);
    CHECK(!fields[1].text_bounds);
    CHECK(!fields[2].text_bounds);
    delta_stats_narrow(NULL, &schema);
    CHECK(!fields[0].text_bounds);
}

TEST(a_file_is_passed_over_only_when_its_times_lie_outside)
{
    // The window is [2026-01-02, 2026-01-03).
    static const struct {
        const char *name, *stats;
        bool may;
    } rows[] = {
        {"no stats", "{}", true},
        {"no times", "{\"minValues\":{\"t\":5},\"maxValues\":{\"t\":\"soon\"}}", true},
        {"later", "{\"minValues\":{\"t\":\"2026-01-03T00:00:00.000Z\"}}", false},
        {"until the end", "{\"minValues\":{\"t\":\"2026-01-02T23:59:59.999Z\"}}", true},
        {"earlier", "{\"maxValues\":{\"t\":\"2026-01-01T23:59:59.998Z\"}}", false},
        {"earlier by less than what was cut",
         "{\"maxValues\":{\"t\":\"2026-01-01T23:59:59.999Z\"}}", false},
        {"from the beginning", "{\"maxValues\":{\"t\":\"2026-01-02T00:00:00.000Z\"}}", true},
        {"around",
         "{\"minValues\":{\"t\":\"2026-01-01T00:00:00Z\"},\"maxValues\":{\"t\":"
         "\"2026-02-01T00:00:00Z\"}}",
         true},
    };
    Error err = {0};
    int64_t from_us = 0;
    int64_t to_us = 0;
    CHECK(time_parse_iso(STR("2026-01-02T00:00:00Z"), &from_us));
    CHECK(time_parse_iso(STR("2026-01-03T00:00:00Z"), &to_us));
    CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK(delta_stats_may_hold_time(parse(arena, rows[i].stats), STR("t"), from_us, to_us) ==
              rows[i].may);
    }
}

// Rows (5, 2026-01-01) and (9, no day).
TEST(a_box_meets_the_files_that_may_hold_its_rows)
{
    static const struct {
        const char *name, *stats;
        bool meets;
    } rows[] = {
        {"no stats", "{}", true},
        {"around", "{\"minValues\":{\"n\":1},\"maxValues\":{\"n\":10}}", true},
        {"below", "{\"minValues\":{\"n\":1},\"maxValues\":{\"n\":4}}", false},
        {"above", "{\"minValues\":{\"n\":10},\"maxValues\":{\"n\":20}}", false},
        {"between the rows", "{\"minValues\":{\"n\":6},\"maxValues\":{\"n\":8}}", false},
        {"beyond int64", "{\"minValues\":{\"n\":18446744073709551615}}", true},
        {"the day does not count, as a row lacks it",
         "{\"minValues\":{\"n\":9,\"d\":\"2030-01-01\"},\"maxValues\":{\"n\":9}}", true},
    };
    static const int64_t numbers[] = {5, 9};
    static const int32_t days[] = {20454, 0};
    static const uint8_t first_only[] = {1};
    const void *number_buffers[] = {NULL, numbers};
    const void *day_buffers[] = {first_only, days};
    struct ArrowArray number = {.length = 2, .n_buffers = 2, .buffers = number_buffers};
    struct ArrowArray day = {.length = 2, .null_count = 1, .n_buffers = 2, .buffers = day_buffers};
    struct ArrowArray *children[] = {&number, &day};
    const struct ArrowArray batch = {.length = 2, .n_children = 2, .children = children};
    const DeltaBoxColumn columns[] = {
        {STR("d"), 1, COLUMN_DATE}, {STR("x"), 0, COLUMN_DOUBLE}, {STR("n"), 0, COLUMN_INT64}};
    const DeltaBoxRow box_rows[] = {{&batch, 0}, {&batch, 1}};
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
    DeltaBox *box = NULL;
    CHECK_OK(delta_box_new(columns, 3, box_rows, 2, arena, &box, &err), &err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK(delta_box_may_meet(box, parse(arena, rows[i].stats)) == rows[i].meets);
    }
    CHECK_OK(delta_box_new(columns, 3, NULL, 0, arena, &box, &err), &err);
    CHECK(!delta_box_may_meet(box, parse(arena, "{}")));
}

TEST(a_files_path_is_read_as_an_address)
{
    static const struct {
        const char *path, *expected; // NULL = refused
    } rows[] = {
        {"part-1.parquet", "t/part-1.parquet"},
        {"a%20b%2Fc", "t/a b/c"},
        {"%c3%A9", "t/\303\251"},
        {"100%", "t/100%"},
        {"%zz%4", "t/%zz%4"},
        {"/elsewhere", NULL},
        {"abfss://c@a.dfs.core.windows.net/x", NULL},
        {"file:/elsewhere", NULL},
        {"s3a:x", NULL},
        {"1:x", "t/1:x"}, // a scheme begins with a letter
        {"a b:x", "t/a b:x"},
        {"day=1/t=00:00", "t/day=1/t=00:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].path);
        Error err = {0};
        Str path = {0};
        const DeltaLog log = {.folder = STR("t")};
        CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
        const bool ok = delta_log_file_path(&log, str_from(rows[i].path), arena, &path, &err);
        CHECK(ok == (rows[i].expected != NULL));
        if (ok)
            CHECK_STR(path, str_from(rows[i].expected));
        else
            CHECK_INT(err.code, ERROR_JOB);
    }
}
