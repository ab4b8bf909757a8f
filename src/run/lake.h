// Lake: the Delta tables beside the warehouse ("lake" in the job file), as the run sees them.
#pragma once

#include "lake/delta.h"
#include "run/load.h"
#include "run/parts.h"
#include "run/purge.h"

// Opens what the job's "lake" names; *ret_delta = NULL when it names none. What is wrong with the
// options goes to `findings`.
bool job_open_lake(const Job *job, Env *env, Arena *arena, Findings *findings, Store *ret_store,
                   Delta **ret_delta, Error *err) MUST_USE;

// Opens the lake of `parts` and looks whether every stream's table can take its loads, before
// anything is fetched.
bool lake_open(JobParts *parts, Findings *findings, Error *err) MUST_USE;

// Whether the table of one stream can take loads: for `pawl check`, whose streams are not bound.
bool lake_check_stream(JobParts *parts, const JobStream *target, Error *err) MUST_USE;

// Writes the rows of a load, inside the warehouse's transaction and before anything else of it.
// `rows` are those that no other row of the load stands for.
bool lake_write_load(LoadTask *task, const DeltaRows *rows, size_t count, const LoadSlice *slices,
                     Warehouse *warehouse, Error *err) MUST_USE;

// Takes rows out of the table of a stream: those of `keys` (sorted), and those that purged records
// have made.
bool lake_erase(JobParts *parts, const PlanStream *stream, const Key128 *keys, size_t count,
                const PurgedRows *purged, int64_t *ret_rows, Error *err) MUST_USE;

typedef struct LakePromotion {
    const JobStream *target;
    const Contract *contract;
    const Column *column; // of the contract
    Str path;             // such as /foo/bar
} LakePromotion;

// Makes a column of a path of _overflow in the table of one stream. A job without a lake has none.
bool lake_promote(const Job *job, const LakePromotion *promotion, Env *env, Arena *arena,
                  int64_t *ret_rows, Error *err) MUST_USE;

// After a run: small files, checkpoints, what nobody needs any more. On record, and no run's
// failure, for the next one does it.
void lake_keep_after(JobParts *parts, const Plan *plan, LogBook *log);
