#include "duck/arrow.h"

#include "base/buf.h"
#include "harness/check.h"

// One column of each type, and each decimal width.
// clang-format off
static const Column columns[] = {
    {.name = {"s", 1},   .type = COLUMN_STRING},
    {.name = {"j", 1},   .type = COLUMN_JSON},
    {.name = {"n", 1},   .type = COLUMN_INT64},
    {.name = {"f", 1},   .type = COLUMN_DOUBLE},
    {.name = {"b", 1},   .type = COLUMN_BOOLEAN},
    {.name = {"t", 1},   .type = COLUMN_TIMESTAMP},
    {.name = {"d", 1},   .type = COLUMN_DATE},
    {.name = {"k", 1},   .type = COLUMN_KEY},
    {.name = {"d4", 2},  .type = COLUMN_DECIMAL, .precision = 4, .scale = 1},
    {.name = {"d9", 2},  .type = COLUMN_DECIMAL, .precision = 9, .scale = 2},
    {.name = {"d18", 3}, .type = COLUMN_DECIMAL, .precision = 18, .scale = 3},
    {.name = {"d38", 3}, .type = COLUMN_DECIMAL, .precision = 38, .scale = 4},
};
// clang-format on
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), ROWS = 10, ARENA_BYTES = 1024 * 1024 };

// Row i says i everywhere, -i in decimals; every third row is null but for its number.
static void make_array(struct ArrowArray *ret_array)
{
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CHECK_OK(batch_builder_new(columns, COLUMNS, &builder, &err), &err);
    for (int64_t i = 0; i < ROWS; i++) {
        char text[40];
        (void)snprintf(text, sizeof(text), i % 2 == 0 ? "%lld" : "text %lld, and some more",
                       (long long)i);
        const uint64_t minus[2] = {(uint64_t)-i, i == 0 ? 0 : UINT64_MAX};
        const Key128 key = {{0, (unsigned char)i}};
        CHECK_OK(batch_row_begin(builder, &err), &err);
        CHECK_OK(batch_set_int64(builder, 2, i, &err), &err);
        if (i % 3 != 0) {
            CHECK_OK(batch_set_str(builder, 0, str_from(text), &err), &err);
            CHECK_OK(batch_set_str(builder, 1, STR("{\"a\":[1]}"), &err), &err);
            CHECK_OK(batch_set_double(builder, 3, (double)i / 2, &err), &err);
            CHECK_OK(batch_set_bool(builder, 4, i % 2 == 0, &err), &err);
            CHECK_OK(batch_set_int64(builder, 5, i * 1000000, &err), &err);
            CHECK_OK(batch_set_int64(builder, 6, i, &err), &err);
            CHECK_OK(batch_set_key(builder, 7, &key, &err), &err);
            for (size_t column = 8; column < COLUMNS; column++)
                CHECK_OK(batch_set_decimal(builder, column, minus, &err), &err);
        }
        CHECK_OK(batch_row_end(builder, &err), &err);
    }
    CHECK_OK(batch_builder_finish(builder, ret_array, &err), &err);
}

typedef struct Feed {
    const struct ArrowArray *array;
    const uint32_t *rows;
    size_t first, count;
    size_t column_count;
    bool given;
} Feed;

// In two pieces, so that the second begins within the chunk.
static bool fill(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    Feed *feed = state;
    *ret_rows = feed->given ? 0 : feed->count;
    if (feed->given)
        return true;
    feed->given = true;
    const size_t half = feed->count / 2;
    const DuckRange one = {feed->array, feed->rows, feed->first, half};
    const DuckRange other = {feed->array, feed->rows, feed->first + half, feed->count - half};
    return duck_fill(chunk, 0, columns, feed->column_count, &one, err) &&
           duck_fill(chunk, half, columns, feed->column_count, &other, err);
}

static bool take_texts(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    Buf *out = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
        TRY(buf_append(out, duck_get_text(chunk, 0, i), err));
    return true;
}

// Reads `feed` by a query of one text column and compares it.
static void check_query(Feed *feed, const char *sql, Str expected)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(duck_close) Duck duck = {0};
    CHECK_OK(duck_open(&duck, &(DuckOptions){0}, &err), &err);
    DuckColumn *types = NULL;
    CHECK_OK(duck_columns(columns, COLUMNS, arena, &types, &err), &err);
    const DuckRows rows = {.columns = types,
                           .column_count = COLUMNS,
                           .rows_total = feed->count,
                           .fill = fill,
                           .state = feed};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(duck_query(&duck, &(DuckStatement){.sql = sql, .rows = &rows}, take_texts, &out, &err),
             &err);
    CHECK_STR(buf_str(&out), expected);
}

#define ALL_AS_TEXT \
    "SELECT concat_ws('|', s, j, n, f, b, t, d, k, d4, d9, d18, d38) || ' ' FROM pawl_rows()"

TEST(every_type_arrives)
{
    CLEANUP(arrow_array_done) struct ArrowArray array = {0};
    make_array(&array);
    Feed feed = {.array = &array, .first = 1, .count = 3, .column_count = COLUMNS};
    check_query(
        &feed, ALL_AS_TEXT,
        STR("text 1, and some more|{\"a\":[1]}|1|0.5|false|1970-01-01 00:00:01+00|1970-01-02|"
            "00010000-0000-0000-0000-000000000000|-0.1|-0.01|-0.001|-0.0001 "
            "2|{\"a\":[1]}|2|1.0|true|1970-01-01 00:00:02+00|1970-01-03|"
            "00020000-0000-0000-0000-000000000000|-0.2|-0.02|-0.002|-0.0002 3 "));
    CHECK(array.release != NULL);
}

TEST(types_are_named_as_duckdb_names_them)
{
    CLEANUP(arrow_array_done) struct ArrowArray array = {0};
    make_array(&array);
    Feed feed = {.array = &array, .count = 1, .column_count = COLUMNS};
    char sql[1024], expected[512];
    size_t sql_size = 0, expected_size = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        char type[64];
        duck_type_name(&columns[i], type, sizeof(type));
        sql_size +=
            (size_t)snprintf(sql + sql_size, sizeof(sql) - sql_size, "%stypeof(" STR_FMT ") || '|'",
                             i == 0 ? "SELECT " : " || ", STR_ARG(columns[i].name));
        expected_size += (size_t)snprintf(expected + expected_size,
                                          sizeof(expected) - expected_size, "%s|", type);
    }
    (void)snprintf(sql + sql_size, sizeof(sql) - sql_size, " FROM pawl_rows()");
    check_query(&feed, sql, str_from(expected));
}

TEST(picked_rows_of_a_sliced_array_arrive)
{
    CLEANUP(arrow_array_done) struct ArrowArray array = {0};
    make_array(&array);
    // As another producer might slice: the struct by 2, one of its children by 1 more.
    array.offset = 2;
    array.length = 7;
    array.children[2]->offset = 1;
    static const uint32_t rows[] = {0, 2, 3, 6};
    Feed feed = {.array = &array, .rows = rows, .count = 4, .column_count = COLUMNS};
    check_query(
        &feed,
        "SELECT concat_ws('|', coalesce(s, '-'), n, coalesce(d38, 0)) || ' ' FROM pawl_rows()",
        STR("2|3|-0.0002 4|5|-0.0004 text 5, and some more|6|-0.0005 8|9|-0.0008 "));
    Feed rest = {.array = &array, .first = 5, .count = 2, .column_count = COLUMNS};
    check_query(&rest, "SELECT concat_ws('|', coalesce(s, '-'), n) || ' ' FROM pawl_rows()",
                STR("text 7, and some more|8 8|9 "));
}

TEST(a_batch_of_other_columns_is_refused)
{
    CLEANUP(arrow_array_done) struct ArrowArray array = {0};
    make_array(&array);
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CHECK_OK(duck_open(&duck, &(DuckOptions){0}, &err), &err);
    DuckColumn *types = NULL;
    CHECK_OK(duck_columns(columns, COLUMNS, arena, &types, &err), &err);
    Feed feed = {.array = &array, .count = 1, .column_count = COLUMNS - 1};
    const DuckRows rows = {
        .columns = types, .column_count = COLUMNS, .rows_total = 1, .fill = fill, .state = &feed};
    CHECK(!duck_run(&duck, &(DuckStatement){.sql = "SELECT * FROM pawl_rows()", .rows = &rows},
                    NULL, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_STR(str_from(err.message), STR("batch: 12 columns where the table has 11"));
}
