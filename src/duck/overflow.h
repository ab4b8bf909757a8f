// Overflow: what takes a path out of the column _overflow and makes a value of it, as SQL. The
// warehouse's tables and the lake's files promote paths by the same expressions, so that they get
// the same rows.
#pragma once

#include "base/buf.h"
#include "batch/batch.h"

// Expressions over a column _overflow that is JSON or its text.
typedef struct DuckOverflow {
    Buf value; // what lies at the path, as the type wanted
    Buf left;  // _overflow without it; NULL when nothing is left
    Buf moves; // whether there is something, and it fits
} DuckOverflow;

// `path` as the contract has it, "/a/b"; ERROR_JOB when it is none. `type` is DuckDB's name of the
// column's. JSON stays JSON, everything else is read from its text, and fits when the text is a
// value of the column as it stands (batch/pattern.h).
bool duck_overflow_init(DuckOverflow *overflow, Str path, const Column *column, const char *type,
                        Error *err) MUST_USE;
void duck_overflow_done(DuckOverflow *overflow); // for CLEANUP()
