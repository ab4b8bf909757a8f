// Promoting: a path that lived in _overflow becomes a column, in the contract and, for the past, in
// the lake and the warehouse.
#pragma once

#include "contract/promote.h"
#include "run/job.h"

typedef struct PromoteOptions {
    Str contract_path;
    Promotion promotion;
    const Job *job; // whose tables to fill; NULL = only the contract is edited
} PromoteOptions;

typedef struct PromoteReport {
    Str column;
    size_t tables;     // that got the column
    int64_t rows;      // filled from _overflow
    int64_t lake_rows; // likewise, of the lake
} PromoteReport;

// The lake first, then the warehouse, the file last: killed in between, the same call does the
// rest. Texts live in `arena`. ERROR_JOB when the contract is wrong, or the path has a column
// already.
bool promote_path(const PromoteOptions *options, Env *env, Arena *arena, PromoteReport *ret_report,
                  Error *err) MUST_USE;
