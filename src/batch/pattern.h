// Pattern: which texts become values of a column without being changed, said to databases whose
// casts round, or read words such as 'yes' and 'now'. All of them fill a column from _overflow by
// these, so that the same values move everywhere; what does not fit stays where it was.
//
// Never looser than the shaper (contract/cast.h): no text moves whose value the column would have
// otherwise in a row that is loaded later.
#pragma once

#include "batch/batch.h"

enum { PATTERN_BYTES = 256 };

// A regular expression for the whole text, anchored, in what PostgreSQL, RE2 and Snowflake have in
// common; without quotes and backslashes, so it stands in a literal as it is. Empty = every text.
void pattern_of(const Column *column, char text[PATTERN_BYTES]);

// What the value must lie in as well, " BETWEEN x AND y", where some casts take more than the
// column's type may hold; empty = nothing.
const char *pattern_range(ColumnType type);
