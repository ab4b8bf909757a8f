// Cells: values of a batch as text, and whether two are the same.
#include "batch/cells.h"

#include "harness/check.h"

#include <string.h>

#define NAME(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }

static const Column columns[] = {
    {.name = NAME("text"), .type = COLUMN_STRING},
    {.name = NAME("count"), .type = COLUMN_INT64},
    {.name = NAME("share"), .type = COLUMN_DOUBLE},
    {.name = NAME("price"), .type = COLUMN_DECIMAL, .precision = 38, .scale = 2},
    {.name = NAME("open"), .type = COLUMN_BOOLEAN},
    {.name = NAME("at"), .type = COLUMN_TIMESTAMP},
    {.name = NAME("day"), .type = COLUMN_DATE},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static void add(BatchBuilder *builder, const char *text, int64_t count, double share,
                const uint64_t price[2], bool open, int64_t at_us, int64_t day)
{
    Error err = {0};
    CHECK_OK(
        batch_row_begin(builder, &err) && batch_set_str(builder, 0, str_from(text), &err) &&
            batch_set_int64(builder, 1, count, &err) && batch_set_double(builder, 2, share, &err) &&
            batch_set_decimal(builder, 3, price, &err) && batch_set_bool(builder, 4, open, &err) &&
            batch_set_int64(builder, 5, at_us, &err) && batch_set_int64(builder, 6, day, &err) &&
            batch_row_end(builder, &err),
        &err);
}

static Str row_text(const struct ArrowArray *array, size_t row, Buf *out)
{
    Error err = {0};
    buf_clear(out);
    for (size_t i = 0; i < COLUMNS; i++)
        CHECK_OK((i == 0 || buf_append_char(out, '|', &err)) &&
                     cell_write(&columns[i], array->children[i], row, out, &err),
                 &err);
    return buf_str(out);
}

TEST(cells_are_written_as_people_write_them)
{
    // -12.5 cents-exact, 10^20 + 1/100, and zero, in two's complement.
    static const uint64_t less[2] = {(uint64_t)-1250, UINT64_MAX};
    static const uint64_t large[2] = {UINT64_C(1864712049423024129), 542};
    static const uint64_t none[2] = {0, 0};
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(batch_builder_new(columns, COLUMNS, &builder, &err), &err);
    add(builder, "a", -7, 0.1, less, true, 1500000, 20517);
    add(builder, "", INT64_MAX, 1e21, large, false, 0, 0);
    CHECK_OK(batch_row_begin(builder, &err) && batch_row_end(builder, &err), &err);
    add(builder, "a", -7, 0.1, none, true, 1500000, 20517);
    struct ArrowArray array = {0};
    CHECK_OK(batch_builder_finish(builder, &array, &err), &err);
    CHECK_STR(row_text(&array, 0, &out),
              STR("a|-7|0.1|-12.50|true|1970-01-01T00:00:01.500000Z|2026-03-05"));
    CHECK_STR(row_text(&array, 1, &out),
              STR("|9223372036854775807|1e+21|100000000000000000000.01|false|1970-01-01T00:00:00Z|"
                  "1970-01-01"));
    CHECK_STR(row_text(&array, 2, &out), STR("||||||"));
    CHECK_STR(row_text(&array, 3, &out), STR("a|-7|0.1|0.00|true|1970-01-01T00:00:01.500000Z|"
                                             "2026-03-05"));
    for (size_t i = 0; i < COLUMNS; i++) {
        CHECK(cell_equal(&columns[i], array.children[i], 0, array.children[i], 3) == (i != 3));
        CHECK(!cell_equal(&columns[i], array.children[i], 0, array.children[i], 1));
        // An empty text is a null: exports cannot tell them apart.
        CHECK(cell_equal(&columns[i], array.children[i], 1, array.children[i], 2) == (i == 0));
        CHECK(cell_is_null(array.children[i], 2));
    }
    int64_t us = 0;
    CHECK(cell_time(&columns[6], array.children[6], 0, &us));
    CHECK_INT(us, INT64_C(1772668800000000));
    CHECK(!cell_time(&columns[5], array.children[5], 2, &us));
    array.release(&array);
}
