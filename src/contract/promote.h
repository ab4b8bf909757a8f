// Promote: a path that lived in _overflow becomes a column of its contract.
#pragma once

#include "contract/contract.h"

typedef struct Promotion {
    Str path;        // "/foo/bar", as contracts and drift events write it
    Str name;        // of the column; empty = made from the path: foo_bar
    ColumnType type; // of the column
} Promotion;

// Appends to `out` the text of a contract file with one more column, its layout and its other lines
// kept, and writes the column's name (where it was made) to *ret_name, in `arena`. The path leaves
// "known". ERROR_JOB when the text is no contract, when the path has a column already, or the name
// is taken.
bool contract_promote(Str text, const Promotion *promotion, Arena *arena, Buf *out, Str *ret_name,
                      Error *err) MUST_USE;
