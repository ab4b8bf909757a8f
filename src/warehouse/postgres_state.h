// The PostgreSQL driver's state, shared by its files: postgres.c (connection, queries),
// postgres_tables.c (DDL), postgres_views.c, postgres_promote.c, postgres_load.c (a load),
// postgres_ledger.c (ledger, log), postgres_check.c (rights).
//
// Nothing outlives a transaction on the server: every setting is SET LOCAL, the one lock that is
// not a row's belongs to the transaction, and the staging table is made and dropped within it. So
// the driver works behind a pooler that gives each transaction another session, and a run that is
// killed leaves nothing behind.
#pragma once

#include "base/kill.h"
#include "warehouse/pg.h"
#include "warehouse/sql.h"
#include "warehouse/warehouse.h"

enum {
    PG_SCRATCH_BYTES_MAX = 256 * 1024 * 1024, // keys and ledger rows of one call
    PG_TYPE_BYTES = 64,
    PG_NAME_BYTES_MAX = 63, // a longer one is cut by the server, without an error
};

// A transaction that is idle for so long is ended by the server.
#define PG_IDLE_US INT64_C(300000000)

typedef struct PgWarehouseLoad {
    const LoadSpec *spec; // NULL = no load is open
    Str id;               // "<run>/<stream>/<ordinal>"
    Str target;
    int64_t now_us;
} PgWarehouseLoad;

typedef struct PgWarehouse {
    // From the job file.
    Str host, database, user, password;
    int64_t port;
    int sslmode;
    Str sslrootcert, sslcert, sslkey, sslpassword;
    Str schema; // of the ledger, ETL_LOG and PIPELINE_HEALTH
    int64_t lock_wait_us, statement_timeout_us, connect_timeout_us;

    Env *env;
    uint64_t memory_bytes;
    Str folder;     // where the job file is: certificates' paths start there
    Arena *lasting; // of the driver
    Arena *loading; // of one load
    Arena *scratch; // of one call
    Pg pg;
    bool was_open; // the server has answered before: a refused connection may be a restart
    PgWarehouseLoad load;
} PgWarehouse;

// Begins a transaction, opening the connection unless it is open; within a load, whose transaction
// goes on, only empties the scratch arena.
bool pg_warehouse_begin(PgWarehouse *db, Error *err) MUST_USE;
// Ends what begin() began: commits when `ok`, else rolls back and returns false. Within a load it
// only passes `ok` on.
bool pg_warehouse_end(PgWarehouse *db, bool ok, Error *err) MUST_USE;

// statement_timeout as the server counts it; 0 = no limit.
int64_t pg_statement_limit_ms(const PgWarehouse *db);

// sql_expand() with the ledger's schema, in scratch.
bool pg_warehouse_own(PgWarehouse *db, const char *text, const char **ret_sql, Error *err) MUST_USE;
// Runs or asks SQL of the ledger, '@' expanded.
bool pg_warehouse_run_own(PgWarehouse *db, PgStatement statement, int64_t *ret_rows,
                          Error *err) MUST_USE;
bool pg_warehouse_query_own(PgWarehouse *db, PgStatement statement, PgVisit *visit, void *visitor,
                            Error *err) MUST_USE;
// Runs `sql` (which gets its NUL).
bool pg_warehouse_run_buf(PgWarehouse *db, Buf *sql, Error *err) MUST_USE;

// Waits for whoever else changes `what` (a table, the DDL of a schema): held until the transaction
// ends.
bool pg_warehouse_lock(PgWarehouse *db, Str what, Error *err) MUST_USE;

// "numeric(18,4)", as format_type() writes it.
void pg_type_name(const Column *column, char text[PG_TYPE_BYTES]);

// The rest of the driver.
bool pg_warehouse_prepare(void *state, const TableSpec *tables, size_t count, Error *err);
bool pg_warehouse_create_views(void *state, const ViewSpec *views, size_t count, Error *err);
bool pg_warehouse_promote(void *state, const TableSpec *table, const Column *column, Str path,
                          int64_t *ret_rows, Error *err);
bool pg_warehouse_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                        Error *err);
bool pg_warehouse_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err);
bool pg_warehouse_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                             Error *err);
bool pg_warehouse_load_write(void *state, RowSource *source, Error *err);
bool pg_warehouse_load_write_quarantine(void *state, struct ArrowArray *array, Error *err);
bool pg_warehouse_load_mark_deleted(void *state, const Key128 *keys, size_t count,
                                    int64_t fetched_us, int64_t *ret_marked, Error *err);
bool pg_warehouse_load_commit(void *state, const LoadCommit *commit, Error *err);
void pg_warehouse_load_abort(void *state);
bool pg_warehouse_window_keys(void *state, const KeyWindow *window, Arena *arena, Key128 **ret_keys,
                              size_t *ret_count, Error *err);
bool pg_warehouse_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                                  Watermark **ret_marks, size_t *ret_count, Error *err);
bool pg_warehouse_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                              LoadSlice **ret_slices, size_t *ret_count, Error *err);
bool pg_warehouse_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                           Error *err);
bool pg_warehouse_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                                const Watermark *mark, uint64_t epoch, Error *err);
bool pg_warehouse_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err);

// Adds a column that a person asked for, with its comment.
bool pg_warehouse_add_column(PgWarehouse *db, const TableSpec *table, const Column *column,
                             Error *err) MUST_USE;

// Makes a view unless it stands with this very text; who may read it stays as it was.
bool pg_warehouse_make_view(PgWarehouse *db, Str schema, Str name, Str select, Error *err) MUST_USE;

// Ledger reads and writes within an open transaction.
bool pg_warehouse_fence(PgWarehouse *db, Str job, Str mode, uint64_t epoch, Error *err) MUST_USE;
bool pg_warehouse_mark_skipped(PgWarehouse *db, const LoadSpec *spec, Error *err) MUST_USE;
bool pg_warehouse_write_ledger(PgWarehouse *db, const LoadCommit *commit, Error *err) MUST_USE;
bool pg_warehouse_find_load(PgWarehouse *db, Str run, Str stream, uint32_t ordinal,
                            Str *ret_checksum, Error *err) MUST_USE; // {NULL, 0} = not there
