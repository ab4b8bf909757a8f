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
    const Str *partition_columns; // the columns that hold the partition's values, "account_id"
    const Str
        *partition_fields; // and where in the partition each is: "account_id", or a JSON pointer
                           // "/parent_slice/account_id"
    size_t partition_count;
    Key128 digest; // of the file and the privacy key: while it stays, so do the rows of a record
} ContractInfo;
const ContractInfo *contract_info(const Contract *contract);

// Path number `index` (from 0) that column `column` is read from; false when it has not as many.
bool contract_column_path(const Contract *contract, size_t column, size_t index, Str *ret_path);

// Makes "privacy": "hash" an HMAC-SHA-256 under `key`, which must live as long; without it a plain
// SHA-256, which anybody can try all telephone numbers against. The same key must be used for ever:
// joins and _row_hash depend on it. Before the first shaper is made; empty = none.
void contract_set_privacy_key(Contract *contract, Str key);

// The JSON Schema of a contract file (draft 2020-12), as schemas/contract.schema.json holds it.
bool contract_write_schema(Buf *out, Error *err) MUST_USE;

// What happened to a slice's records, for ETL_LOG and reconciliation.
// Whether the window column holds days rather than instants.
bool contract_window_is_date(const Contract *contract);

typedef struct ShapeCounts {
    int64_t records;     // handed in
    int64_t rows;        // shaped
    int64_t quarantined; // null or unusable key
    int64_t overflowed;  // rows with anything in _overflow
    int64_t misfits;     // values that did not fit their column's type
    int64_t redacted;    // rows whose content the source took away
} ShapeCounts;

// Rows with what the merge needs of each at hand. Freed by shaped_batch_free().
typedef struct ShapedBatch {
    struct ArrowArray array; // contract_columns()
    const Key128 *keys;   // of each row; these three lie in the array's own buffers, so that they
    const Key128 *hashes; // live as long as the array does, wherever it was moved
    const int64_t *fetched_us;
    size_t rows;
    size_t bytes;                 // of all buffers, for the memory budget
    struct ArrowArray quarantine; // contract_quarantine_columns(); length may be 0
    // Refused records that a stored row may be of: their keys, and how many nobody can tell the key
    // of. (One that lacks its key is no row's.)
    const Key128 *refused_keys;
    size_t refused_count, refused_unknown;
    bool keys_only; // see shaped_batch_known()
    Arena *arena;   // of the batch itself
} ShapedBatch;

// Rows of which no more is known than their keys and hashes: keys_only is true, and of `array` and
// `quarantine` release is NULL.
bool shaped_batch_known(const Key128 *keys, const Key128 *hashes, size_t rows, int64_t fetched_us,
                        ShapedBatch **ret_batch, Error *err) MUST_USE;
void shaped_batch_free(ShapedBatch *batch);   // NULL is fine
void shaped_batch_freep(ShapedBatch **batch); // for CLEANUP()

typedef struct Shaper Shaper;

// `zone` is that of times which name none and whose column has none either (NULL = UTC).
bool shaper_new(const Contract *contract, const Zone *zone, Shaper **ret_shaper,
                Error *err) MUST_USE;
void shaper_free(Shaper *shaper);
void shaper_freep(Shaper **shaper); // for CLEANUP()

// From now on: slices of another account have another zone.
void shaper_set_zone(Shaper *shaper, const Zone *zone);

// Records made of a table's rows: times may also be written as databases write them
// ("2026-03-05 10:20:30.5+00"; without a zone they are UTC). `hashes` = false: the rows hold not
// all that their source had, so that _row_hash is unknown: zero, and different from any other; and
// what the contract requires may lack.
void shaper_set_table(Shaper *shaper, bool hashes);

// From now on: records may lack what the contract requires, but for their key.
void shaper_set_lenient(Shaper *shaper);

// Such a time, an ISO one, or an epoch.
bool table_time_parse(Str text, int64_t *ret_us);
// Seconds, milliseconds or microseconds since 1970, told apart by their size: of 1973 to 2103.
bool table_epoch_parse(Str text, int64_t *ret_us, int64_t *ret_unit_us);

// Appends the records of one page. `partition` is an object with the slice's partition fields (NULL
// = none): a contract may fill key columns from it ("from_partition"). Fails only for lack of
// memory, and with ERROR_DATA under evolution freeze; rows appended before stay.
bool shaper_add(Shaper *shaper, yyjson_val *const *records, size_t count, yyjson_val *partition,
                int64_t fetched_us, Error *err) MUST_USE;

// True when a batch's worth of rows is there: another page as large as the largest so far would not
// fit into BATCH_ROWS. (A single page of more than BATCH_ROWS records makes a longer batch.)
bool shaper_is_full(const Shaper *shaper);

// Hands over what was appended since the last call (maybe no rows). NULL only with an error.
bool shaper_take(Shaper *shaper, ShapedBatch **ret_batch, Error *err) MUST_USE;

// Counts since the shaper was made; and the unknown paths seen, for the drift event ("/foo/bar", at
// most 100), of which shaper_drift_here() has those of the page added last. Under evolution evolve
// each of them may become a column: shaper_drift_types() has the type of the first value seen under
// each path, contract_promote() (contract/promote.h) writes it into the file.
const ShapeCounts *shaper_counts(const Shaper *shaper);
const Str *shaper_drift_paths(const Shaper *shaper, size_t *ret_count);
const bool *shaper_drift_here(const Shaper *shaper); // by the paths
const ColumnType *shaper_drift_types(const Shaper *shaper);
