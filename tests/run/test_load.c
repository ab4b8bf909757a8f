// Load: where one ends.
#include "harness/check.h"
#include "run/load.h"

// Units of 100 rows, 10 bytes a row.
TEST(load_ends_where_it_fills_whole_units)
{
    static const struct {
        const char *name;
        LoadBounds bounds;
        int64_t rows, more;
        bool ends;
    } rows[] = {
        {"within a unit", {100, 1000, 2500}, 140, 30, false},
        {"fills a unit exactly", {100, 1000, 2500}, 170, 30, false},
        {"would begin a unit for which there is no room", {100, 1000, 2500}, 180, 30, true},
        {"would begin a unit for which there is room", {100, 1000, 2500}, 80, 30, false},
        {"rows are bounded too", {100, 200, 2500}, 180, 30, true},
        {"a slice larger than a unit", {100, 1000, 2500}, 190, 500, true},
        {"the first slice always fits", {100, 1000, 2500}, 0, 5000, false},
        {"no unit fits at all", {100, 1000, 500}, 40, 30, false},
        {"a warehouse that does not care", {0, 1000, 2500}, 180, 30, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        CHECK(load_ends_before(&rows[i].bounds, rows[i].rows, (uint64_t)rows[i].rows * 10,
                               rows[i].more) == rows[i].ends);
    }
}
