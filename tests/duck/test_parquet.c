#include "duck/parquet.h"

#include "harness/check.h"

// DuckDB takes 2,048 rows at a time, and holds a row group of them while it writes it.
TEST(row_groups_fit_into_the_memory_that_there_is)
{
    static const struct {
        uint64_t memory_bytes;
        int expected;
    } rows[] = {{0, 2048},
                {64 * 1000 * 1000, 2048},
                {107 * 1000 * 1000, 6144},
                {400 * 1000 * 1000, DUCK_PARQUET_ROWS_MAX},
                {UINT64_C(1) << 40, DUCK_PARQUET_ROWS_MAX}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_INT(duck_parquet_rows(rows[i].memory_bytes), rows[i].expected);
    Error err = {0};
    CLEANUP(buf_done) Buf options = {0};
    CHECK_OK(duck_parquet_options(rows[2].memory_bytes, &options, &err), &err);
    CHECK(str_find(buf_str(&options), STR("ROW_GROUP_SIZE 6144,")) < options.size);
}
