// The DuckDB driver's state, shared by its files: duckdb.c (connection), duckdb_tables.c (DDL),
// duckdb_load.c (a load), duckdb_ledger.c (ledger, log).
#pragma once

#include "base/kill.h"
#include "duck/arrow.h"
#include "duck/grid.h"
#include "warehouse/sql.h"
#include "warehouse/warehouse.h"

// What SQL calls the database file while we have it open. Never written into a view, since other
// programs know the file by another name.
#define DUCKDB_DATABASE_NAME "pawl_file"

#define DUCKDB_STORAGE_VERSION "v1.2.0" // the first that has zstd

// A row group is held raw until it is full. One of DuckDB's usual 122,880 rows of 2 KB would not
// fit into the memory that a run may have, and would be spilled, read again, and only then be
// written (docs/performance-duckdb.md has the numbers).
enum { DUCKDB_ROW_GROUP_ROWS = 10 * DUCK_VECTOR_ROWS };

enum {
    WRITERS_MAX = 4,                       // threads that write one load
    SCRATCH_BYTES_MAX = 256 * 1024 * 1024, // keys and ledger rows of one call
    LOCK_LOOK_US = 100 * 1000,
};

typedef struct DuckWarehouseLoad {
    const LoadSpec *spec; // NULL = no load is open
    Str id;               // "<run>/<stream>/<ordinal>"
    Str target;
    int64_t now_us;
    bool broken; // COMMIT failed: what the connection believes is not to be trusted
} DuckWarehouseLoad;

typedef struct DuckWarehouse {
    // From the job file.
    Str path;
    Str schema; // of the ledger, ETL_LOG and PIPELINE_HEALTH
    int64_t lock_wait_us;
    int64_t threads; // 0 = one, and more for a load with memory to spare

    Env *env;
    uint64_t memory_bytes;
    Arena *lasting; // the path
    Arena *loading; // of one load
    Arena *scratch; // of one call
    Duck duck;
    int threads_now; // of the open file
    int writers;     // of them may write the load in hand
    DuckWarehouseLoad load;
} DuckWarehouse;

// Opens the file unless it is open, waiting for its lock; empties the scratch arena.
bool duck_warehouse_begin_call(DuckWarehouse *db, Error *err) MUST_USE;

// As many threads and as much memory as the next load may have. No transaction may be open.
bool duck_warehouse_fit_load(DuckWarehouse *db, const LoadSpec *spec, Error *err) MUST_USE;

// Makes the database file that `options` name, when it is not there, whole or not at all; removes
// what an attempt that was cut off left behind. ERROR_BUSY while another process makes it.
bool duck_warehouse_create_file(const DuckOptions *options, Error *err) MUST_USE;

// sql_expand() with the ledger's schema, in scratch.
bool duck_warehouse_own(DuckWarehouse *db, const char *text, const char **ret_sql,
                        Error *err) MUST_USE;

// The rest of the driver.
bool duck_warehouse_prepare_tables(void *state, const TableSpec *tables, size_t count, Error *err);
bool duck_warehouse_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                          Error *err);
bool duck_warehouse_create_views(void *state, const ViewSpec *views, size_t count, Error *err);
bool duck_warehouse_promote(void *state, const TableSpec *table, const Column *column, Str path,
                            int64_t *ret_rows, Error *err);
bool duck_warehouse_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err);
bool duck_warehouse_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                               Error *err);
bool duck_warehouse_load_write(void *state, RowSource *source, Error *err);
bool duck_warehouse_load_write_quarantine(void *state, struct ArrowArray *array, Error *err);
bool duck_warehouse_load_mark_deleted(void *state, const Key128 *keys, size_t count,
                                      int64_t fetched_us, int64_t *ret_marked, Error *err);
bool duck_warehouse_load_commit(void *state, const LoadCommit *commit, Error *err);
void duck_warehouse_load_abort(void *state);
bool duck_warehouse_window_keys(void *state, const KeyWindow *window, Arena *arena,
                                Key128 **ret_keys, size_t *ret_count, Error *err);
bool duck_warehouse_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                                    Watermark **ret_marks, size_t *ret_count, Error *err);
bool duck_warehouse_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                                LoadSlice **ret_slices, size_t *ret_count, Error *err);
bool duck_warehouse_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                             Error *err);
bool duck_warehouse_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                                  const Watermark *mark, uint64_t epoch, Error *err);
bool duck_warehouse_execute(void *state, const char *what, const Str *statements, size_t count,
                            int64_t *ret_changed, Error *err);
bool duck_warehouse_compact(void *state, Error *err);
bool duck_warehouse_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err);

// Ledger writes within an open transaction.
bool duck_warehouse_fence(DuckWarehouse *db, Str job, Str mode, uint64_t epoch,
                          Error *err) MUST_USE;
bool duck_warehouse_mark_skipped(DuckWarehouse *db, const LoadSpec *spec, Error *err) MUST_USE;
bool duck_warehouse_write_ledger(DuckWarehouse *db, const LoadCommit *commit, Error *err) MUST_USE;
bool duck_warehouse_find_load(DuckWarehouse *db, Str run, Str stream, uint32_t ordinal,
                              Str *ret_checksum,
                              Error *err) MUST_USE; // {NULL, 0} = not there
