// Contract: what a table must look like, and how each record of an API becomes one of its rows
// (shape).
//
// A contract is JSON (schemas/contract.schema.json). It is immutable once opened; threads may share
// it. A Shaper belongs to one thread at a time.
#pragma once

#include "base/findings.h"
#include "base/json.h"
#include "base/time.h"
#include "batch/batch.h"

typedef enum Evolution { EVOLUTION_OVERFLOW, EVOLUTION_EVOLVE, EVOLUTION_FREEZE } Evolution;

typedef struct Contract Contract;

// Reads and checks a contract as a whole; everything wrong goes to `findings` with its JSON
// pointer.
bool contract_open(const char *path, Arena *arena, Findings *findings, Contract **ret_contract,
                   Error *err) MUST_USE;

// All columns of the table in order: the contract's own, then the system columns that travel with
// the rows
// (_row_key, _row_hash, _overflow, _fetched_at). The warehouse adds _run_id, _load_id, _loaded_at,
// _deleted_at.
const Column *contract_columns(const Contract *contract, size_t *ret_count);

// Columns of the quarantine table: reason, path, record (JSON, privacy applied), _fetched_at.
const Column *contract_quarantine_columns(size_t *ret_count);

typedef struct ContractInfo {
    Str stream; // "calls"
    Evolution evolution;
    Str total_pointer; // where a page says how many rows its slice has ("/total_entries"); empty =
                       // nowhere
    Str window_column; // the column that decides in which window a row lies; empty = the stream has
                       // none
    const Str *key_columns;
    size_t key_count;
    const Str
        *partition_columns; // the column that holds each partition field's value, "account_id"
    size_t partition_count;
} ContractInfo;
const ContractInfo *contract_info(const Contract *contract);

// What happened to a slice's records, for ETL_LOG and reconciliation.
typedef struct ShapeCounts {
    int64_t records;     // handed in
    int64_t rows;        // shaped
    int64_t quarantined; // null or unusable key
    int64_t overflowed;  // rows with anything in _overflow
    int64_t misfits;     // values that did not fit their column's type
} ShapeCounts;

// Rows with what the merge needs of each at hand. Freed by shaped_batch_free().
typedef struct ShapedBatch {
    struct ArrowArray array; // contract_columns()
    Key128 *keys;
    Key128 *hashes;
    int64_t *fetched_us;
    size_t rows;
    size_t bytes;                 // of all buffers, for the memory budget
    struct ArrowArray quarantine; // contract_quarantine_columns(); length may be 0
} ShapedBatch;

void shaped_batch_free(ShapedBatch *batch); // NULL is fine

typedef struct Shaper Shaper;

bool shaper_new(const Contract *contract, const Zone *zone, Shaper **ret_shaper,
                Error *err) MUST_USE;
void shaper_free(Shaper *shaper);

// Appends the records of one page. `partition` is an object with the slice's partition fields (NULL
// = none): a contract may fill key columns from it ("from_partition"). Fails only for lack of
// memory, and with ERROR_DATA under evolution freeze.
bool shaper_add(Shaper *shaper, yyjson_val *const *records, size_t count, yyjson_val *partition,
                int64_t fetched_us, Error *err) MUST_USE;

// True when a batch's worth of rows is there.
bool shaper_is_full(const Shaper *shaper);

// Hands over what was appended since the last call (maybe no rows). NULL only with an error.
bool shaper_take(Shaper *shaper, ShapedBatch **ret_batch, Error *err) MUST_USE;

// Counts since the shaper was made; and the unknown paths seen, for the drift event ("/foo/bar", at
// most 100).
const ShapeCounts *shaper_counts(const Shaper *shaper);
const Str *shaper_drift_paths(const Shaper *shaper, size_t *ret_count);
