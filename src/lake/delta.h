// Delta: the rows of every load as a Delta Lake table, one commit a load, beside the warehouse and
// by the same rules.
//
// A table lies in <schema>/<table>/ below the store's root, has one row a key (the keys of a load
// are looked up in the files that may hold them; files that do are written anew) and protocol 1/2,
// so that every reader of Delta tables reads it. Whoever else writes to it is respected: each
// commit is put only where none is, and one that was overtaken is checked against what came
// between, and made again where that matters.
//
// Exactly once: a commit holds txn("pawl/<run>/<stream>/<ordinal>"), so a load is in whole or not
// at all, and delta_load() of one that is in does nothing. A load goes into the lake before it goes
// into the warehouse; who is killed in between repeats the second half only. Until that happened
// the ledger does not know of its readings, so the lake keeps them in
// <table>/_pawl/<job>.<mode>.json: a late load of older readings is measured against both.
//
// A Delta belongs to one thread at a time; several on one store are fine. Kill points: "lake file
// put", "lake note put", "lake commit put", "lake checkpoint put", "lake hint put", each also as
// "... was put", with the table and the load or version behind a comma.
#pragma once

#include "batch/batch.h"
#include "store/store.h"

enum { DELTA_CHECKPOINT_EVERY = 10, DELTA_KEEP_DAYS = 7 };

typedef struct Delta Delta;

typedef struct DeltaOptions {
    Store *store; // borrowed
    Env *env;
    Str scratch;           // local folder for temporary files; empty = $TMPDIR or /tmp
    uint64_t memory_bytes; // for DuckDB
    int64_t retention_us;  // files that no version since then needs are removed by delta_keep()
} DeltaOptions;

// Cheap: makes the folder for temporary files, and removes those of processes that are gone. The
// Delta lives in `arena`.
bool delta_open(const DeltaOptions *options, Arena *arena, Delta **ret_delta, Error *err) MUST_USE;
void delta_close(Delta *delta); // NULL is fine

// Which table, and what the lake must know of it. All of it is borrowed for the call.
typedef struct DeltaTableSpec {
    Str schema, name;
    const Column *columns; // of the arrays; _row_key, _row_hash and _fetched_at among them
    size_t column_count;
    const Str *key_columns; // the business key: which files may hold a key is known by them
    size_t key_count;
    Str window_column; // empty = none
} DeltaTableSpec;

// Whether loads can go into the table: it is not there yet, or fits. ERROR_JOB names what does not.
bool delta_check(Delta *delta, const DeltaTableSpec *table, Error *err) MUST_USE;

// Some rows of an array; no key comes twice in a load.
typedef struct DeltaRows {
    const struct ArrowArray *array; // spec.columns; only read
    const Key128 *keys;             // of each row of the array; these three likewise
    const Key128 *hashes;
    const int64_t *fetched_us;
    const uint32_t *rows; // which of them, ascending
    size_t count;
    size_t slice; // index into DeltaLoad.slices
} DeltaRows;

// A reading of a window, with what vanished from it.
typedef struct DeltaSlice {
    Str partition_key;
    int64_t from_us, to_us; // both 0 = none
    int64_t fetched_us;
    bool skipped; // a later reading is in: neither rows nor deletions count
    const Key128 *vanished;
    size_t vanished_count;
    int64_t vanished_us; // how old the knowledge counts: rows that are fresher stay
    int64_t vanished_from_us, vanished_to_us; // where window_column of those lies
} DeltaSlice;

typedef struct DeltaLoad {
    DeltaTableSpec table;
    Str job, mode, run, stream;
    uint32_t ordinal;
    bool rewrites; // rows with the same hash are written as well
    const DeltaRows *rows;
    size_t rows_count;
    const DeltaSlice *slices;
    size_t slice_count;
    // Whether the warehouse's ledger has a load: then it knows its readings.
    bool (*in_ledger)(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_is, Error *err);
    void *state;
} DeltaLoad;

typedef struct DeltaReport {
    bool found;      // the table had this load already
    int64_t version; // of the commit
    int64_t inserted, updated, unchanged, deleted;
    int64_t files_added, files_removed;
} DeltaReport;

// Merges the rows as the warehouse does: a key that is not there is inserted; one that is, replaced
// where the row is at least as fresh and its hash differs (or it was marked deleted); vanished rows
// that are live and not fresher are marked. Makes the table where there is none, adds columns that
// it lacks.
bool delta_load(Delta *delta, const DeltaLoad *load, DeltaReport *ret_report, Error *err) MUST_USE;

// A row that has to go.
typedef struct DeltaErased {
    Key128 key;
    const Key128 *hash; // only with this _row_hash; NULL = whatever the row says
} DeltaErased;

// Takes these rows out of the table, and counts them. The files that held them go
// with delta_keep(), when the retention is over. A table that is not there has none.
bool delta_erase(Delta *delta, Str schema, Str name, const DeltaErased *rows, size_t count,
                 int64_t *ret_rows, Error *err) MUST_USE;

// Makes a column of a path of _overflow (contract promote): adds the column, fills it in rows whose
// value fits and takes that out of their _overflow, in one commit. *ret_rows counts them. Where all
// of that is done, or there is no table, nothing is written.
bool delta_promote(Delta *delta, const DeltaTableSpec *table, const Column *column, Str path,
                   int64_t *ret_rows, Error *err) MUST_USE;

typedef struct DeltaKept {
    int64_t files_compacted; // small ones that became one
    int64_t files_removed;   // that no version within the retention needs
    uint64_t bytes_removed;
    int64_t log_files_removed;
} DeltaKept;

// Keeps a table in shape: puts small files together, writes a checkpoint where one is due, removes
// files that no version within the retention needs, and commits older than
// delta.logRetentionDuration that a checkpoint stands for. `dry` only counts the files. Adds to
// *kept.
bool delta_keep(Delta *delta, Str schema, Str name, bool dry, DeltaKept *kept, Error *err) MUST_USE;
