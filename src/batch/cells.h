// Cells: single values of a batch's columns, for people and for comparing.
#pragma once

#include "base/buf.h"
#include "batch/batch.h"

bool cell_is_null(const struct ArrowArray *child, size_t row);

// Appends the value as text: times as ISO 8601, decimals with their point, booleans as true and
// false. Nothing for a null.
bool cell_write(const Column *column, const struct ArrowArray *child, size_t row, Buf *out,
                Error *err) MUST_USE;

// Whether both hold the same; a null and an empty text do, since not every table can tell them
// apart.
bool cell_equal(const Column *column, const struct ArrowArray *a, size_t a_row,
                const struct ArrowArray *b, size_t b_row);

// The instant of a timestamp, or the first one (UTC) of a date. False for a null.
bool cell_time(const Column *column, const struct ArrowArray *child, size_t row, int64_t *ret_us);
