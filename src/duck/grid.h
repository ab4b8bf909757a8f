// Grid: a few rows of values as DuckRows, for ledgers and logs.
#pragma once

#include "duck/duck.h"

// DUCK_TEXT goes into VARCHAR columns, DUCK_INT64 into BIGINT, DUCK_TIME into TIMESTAMP_TZ,
// DUCK_NULL anywhere. Texts are copied.
typedef struct DuckGrid {
    const DuckColumn *columns;
    size_t column_count;
    const DuckValue *values; // row after row
    size_t row_count;
    size_t next; // row to hand out next; starts as 0
} DuckGrid;

// `grid` must outlive the statement that reads it.
DuckRows duck_grid_rows(DuckGrid *grid);
