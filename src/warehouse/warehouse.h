// Warehouse: where the rows end up, and the one transaction that makes a load count once.
//
// Drivers: duckdb, postgres, snowflake. A Warehouse belongs to one thread at a time. Why a load
// counts once is told in docs/decisions.md, 4 to 8; tests/warehouse runs one suite on every driver.
#pragma once

#include "base/env.h"
#include "base/field.h"
#include "batch/batch.h"
#include "warehouse/dialect.h"
#include "warehouse/secrets.h"
#include "warehouse/stage.h"

typedef struct Warehouse Warehouse;

typedef struct TableSpec {
    Str schema;            // "ctm"
    Str name;              // "calls"
    const Column *columns; // contract_columns()
    size_t column_count;
    bool evolve; // may add columns to a standing table; otherwise a missing one is ERROR_JOB that
                 // names it
    const Column *quarantine_columns; // contract_quarantine_columns(), of "<name>__quarantine"
    size_t quarantine_count;          // 0 = the table has none
    // What window_keys() looks by: an index serves it where the warehouse has such.
    const Str *partition_columns;
    size_t partition_count;
    Str window_column; // empty = none
} TableSpec;

// A view for people, made from files beside the connector (views.h reads them): the driver runs its
// text without knowing what it is about.
typedef struct ViewSpec {
    Str schema;
    Str name;
    Str select; // in the driver's dialect; table names unqualified, so that the schema may be any
} ViewSpec;

// One slice of a load, as the ledger keeps it (PAWL_SLICE).
typedef struct LoadSlice {
    Str partition_key;
    int64_t from_us, to_us; // window; both 0 = none
    int64_t fetched_us;     // reading time
    int64_t total;          // the source's own; -1 = none
    int64_t rows;           // distinct keys landed
    bool skipped; // set by load_begin(): a later reading of this window, or of one around it, is in
} LoadSlice;

typedef struct Watermark {
    Str stream;
    Str partition_key;
    int64_t us; // 0 = the ledger has none in this row: somebody has set it so
} Watermark;

typedef struct LoadSpec {
    const TableSpec *table;
    Str job, mode, run, stream;
    uint32_t ordinal; // the load is (run, stream, ordinal)
    Sha256 checksum;  // of its content; stored and verified, never its name
    uint64_t
        epoch; // fence of (job, mode): a lower one than the stored rolls back with ERROR_CONFLICT
    LoadSlice *slices;
    size_t slice_count;
    // Memory beyond its share that the driver may use up to the next load: nothing is read beside
    // this one, so that processors are free too. 0 = none.
    uint64_t spare_bytes;
    // Between load_begin() and load_write() the caller is busy elsewhere, for as long as a large
    // statement takes (the lake's merge).
    bool pauses;
} LoadSpec;

// What is stored under a key. A row that lost its _row_hash or _fetched_at by somebody's hand has
// no row's hash and is older than any, so that the next reading writes it anew.
typedef struct MatchedRow {
    bool found;
    bool deleted;
    Key128 hash;        // all zero = none
    int64_t fetched_us; // INT64_MIN = none
} MatchedRow;

// Rows to be written, in batches. `rows` (ascending, `count` of them) selects what to write of the
// batch; replaces[i] tells that rows[i] stands for a key that is stored already, whose row goes.
// Both stay until the next call of next(); no key comes twice in a load.
typedef struct RowSelection {
    struct ArrowArray *array; // its content is moved to the driver, who releases it when written
    const uint32_t *rows;
    const bool *replaces;
    size_t count; // may be 0
} RowSelection;
typedef struct RowSource {
    // At the end array = NULL. Called by one thread at a time, which need not be that of
    // load_write().
    bool (*next)(void *state, RowSelection *ret_selection, Error *err);
    void *state;
    size_t rows_total;     // exact: what next() will select
    size_t replaces_total; // exact
} RowSource;

typedef struct LoadCommit {
    const Watermark *watermarks; // moved forward only: GREATEST of stored and given
    size_t watermark_count;
    int64_t inserted, updated, unchanged, quarantined, deleted;
} LoadCommit;

// One row of ETL_LOG. Times in microseconds, -1 = does not apply. `error_json` holds paths and
// types, never values.
typedef struct EtlLogRow {
    Str run, job, mode, stage, stream, partition_key, status;
    int64_t slice, load; // ordinals
    int64_t rows_in, rows_landed, rows_inserted, rows_updated, rows_unchanged, rows_deleted,
        rows_quarantined, rows_overflowed;
    int64_t bytes, requests, attempts, wait_us, started_us, duration_us;
    Str error_json;
} EtlLogRow;

// Where window_keys() looks: one partition (its columns and their canonical values), and the window
// [from_us, to_us) of `window_column` (empty = all times). Rows fresher than `fetched_us` do not
// count.
typedef struct KeyWindow {
    const TableSpec *table;
    Str window_column;
    const Str *partition_columns, *partition_values;
    size_t partition_count;
    int64_t from_us, to_us;
    int64_t fetched_us;
} KeyWindow;

typedef struct WarehouseMark {
    Str text;        // never the same again once a load was committed
    int64_t loads;   // in the ledger, of all jobs
    int64_t rest_us; // how long the warehouse may rest
} WarehouseMark;

typedef struct WarehouseDriver {
    const char *name;
    const char *summary;
    const Field *fields;
    size_t state_size;
    // A load of a few rows less than a multiple of this costs least, since what remains of one is
    // written again when the next one comes. 0 = any size is as good.
    int64_t rows_unit;
    // What loads take of `memory_bytes` for each column of their table, even where it holds little:
    // with less than the first no run of some thousand rows went through, with the second all did
    // whose texts were short. 0 = nothing worth telling. A driver that is given less than
    // `memory_bytes_min` takes that.
    uint64_t column_bytes_least, column_bytes_enough;
    uint64_t memory_bytes_min;

    // Cheap: connects lazily. `memory_bytes` is the driver's share of limits.memory; relative paths
    // start at `base_folder`.
    bool (*open)(void *state, Env *env, Str base_folder, uint64_t memory_bytes, Error *err);
    void (*close)(void *state);
    // Gives up the connection (and DuckDB's file lock) until the next call needs it. Worth it
    // before a wait, not between two loads: opening again costs DuckDB what it had cached.
    bool (*idle)(void *state, Error *err);

    // Ledger, ETL_LOG, PIPELINE_HEALTH and the tables: created or evolved. Idempotent. ERROR_DATA
    // where rows of a table have no _row_key.
    bool (*prepare)(void *state, const TableSpec *tables, size_t count, Error *err);
    // Made anew, so that the text in the warehouse is the one given. Their tables must stand.
    bool (*create_views)(void *state, const ViewSpec *views, size_t count, Error *err);

    // What the credential may not do of all that a run with these tables would: one finding each,
    // with the statement that gives the right; ERROR_DATA: rows have lost what loads find them by.
    // Changes nothing. May be NULL.
    bool (*check)(void *state, const TableSpec *tables, size_t count, Findings *findings,
                  Error *err);

    // Adds `column` to the table where it lacks it, and fills it from what `_overflow` keeps under
    // the JSON pointer `path`: values that fit the column's type move, others stay. Counts rows.
    // May be NULL.
    bool (*promote)(void *state, const TableSpec *table, const Column *column, Str path,
                    int64_t *ret_rows, Error *err);

    // Asked before each load. False with ERROR_LIMIT when the job's cap of the day is used up:
    // pages are landed on, and what waits is loaded by a later run. NULL where nothing is capped.
    bool (*may_load)(void *state, Error *err);
    // How long this state's statements have kept the warehouse busy, and how many they were. NULL
    // where that costs nothing.
    void (*usage)(const void *state, int64_t *ret_us, int64_t *ret_statements);
    // What tells this state of the ledger and of these tables from every other, found without
    // waking a warehouse that sleeps; and how long it may be left asleep by runs that find nothing
    // new (0: never). NULL where asking the ledger costs nothing.
    bool (*mark)(void *state, const TableSpec *tables, size_t count, Arena *arena,
                 WarehouseMark *ret_mark, Error *err);
    // Whether other jobs have loaded these tables. NULL where mark() is.
    bool (*is_shared)(void *state, Str job, const TableSpec *tables, size_t count, bool *ret_shared,
                      Error *err);
    bool logs_once_a_run; // every statement costs: rows of ETL_LOG come once a run

    // One load. begin() opens the transaction, fences, and sets slices[].skipped; *ret_loaded =
    // true: the ledger has it already (with this checksum, else ERROR_DATA), nothing is open.
    // `spec` stays until commit() or abort(). Any failure later: abort(). A failed commit() may
    // have happened nevertheless: begin() of the same load tells.
    bool (*load_begin)(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err);
    bool (*load_match)(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                       Error *err);
    bool (*load_write)(void *state, RowSource *source, Error *err);
    bool (*load_write_quarantine)(void *state, struct ArrowArray *array, Error *err); // moved
    // Marks the live rows that are not fresher than `fetched_us`: _deleted_at and _fetched_at
    // become that time, so that an older reading cannot bring them back. Counts them.
    bool (*load_mark_deleted)(void *state, const Key128 *keys, size_t count, int64_t fetched_us,
                              int64_t *ret_marked, Error *err);
    bool (*load_commit)(void *state, const LoadCommit *commit, Error *err);
    void (*load_abort)(void *state);

    // Keys of the live rows in `window`: what a slice read whole should have shown. Outside a load.
    bool (*window_keys)(void *state, const KeyWindow *window, Arena *arena, Key128 **ret_keys,
                        size_t *ret_count, Error *err);

    // Ledger reads. Slices: the latest reading of each window of (table, stream).
    bool (*read_watermarks)(void *state, Str job, const TableSpec *table, Arena *arena,
                            Watermark **ret_marks, size_t *ret_count, Error *err);
    bool (*read_slices)(void *state, const TableSpec *table, Str stream, Arena *arena,
                        LoadSlice **ret_slices, size_t *ret_count, Error *err);
    bool (*has_load)(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has, Error *err);
    // By hand, on record: may move back (`pawl state rewind`). Fenced by epoch like a load.
    bool (*set_watermark)(void *state, Str job, Str mode, const TableSpec *table,
                          const Watermark *mark, uint64_t epoch, Error *err);

    // For drivers with an option "stage", between open() and the first other call: `files` stay
    // until close(). Otherwise NULL.
    bool (*use_stage)(void *state, const StageFiles *files, Error *err);

    // Likewise, for drivers that ask for a secret once more when it is refused. NULL otherwise.
    void (*use_secrets)(void *state, const WarehouseSecrets *secrets);

    // Whose calls follow, for systems that keep a note of who asked; load_begin() says it as well.
    // NULL where nobody asks.
    bool (*name_run)(void *state, Str run, Str job, Str mode, Error *err);

    bool (*append_log)(void *state, const EtlLogRow *rows, size_t count, Error *err);

    // Any read-only SQL as text rows, for reports, status and tests: calls `visit` for each row
    // with `columns` cells (data NULL = NULL), until it returns false.
    bool (*query)(void *state, Str sql,
                  bool (*visit)(void *visitor, const Str *cells, size_t columns), void *visitor,
                  Error *err);

    // For what is not a load (audit --repair, adopt, forget): these two, or neither. Statements in
    // this dialect, with a NUL behind each, as one transaction (where DDL commits by itself, it is
    // told apart by its callers' being fit to go on). `ret_changed` (may be NULL) counts the rows
    // of each. Kill points: "execute, <what>" before the commit, "executed, <what>" behind it.
    const SqlDialect *dialect;
    bool (*execute)(void *state, const char *what, const Str *statements, size_t count,
                    int64_t *ret_changed, Error *err);

    // Waits for loads of these tables whose transactions a process left behind when it was killed,
    // and lets none of them commit from now on. NULL where a transaction ends with its process.
    bool (*settle)(void *state, const TableSpec *tables, size_t count, Error *err);

    // Writes what is stored anew, so that nothing of rows that were deleted is left in it. NULL
    // where the system does that by itself (dialect->remains says when).
    bool (*compact)(void *state, Error *err);
} WarehouseDriver;

struct Warehouse {
    const WarehouseDriver *driver;
    void *state;
    StageFiles stage; // closed with it
};

extern const WarehouseDriver warehouse_duckdb;
extern const WarehouseDriver warehouse_postgres;
extern const WarehouseDriver warehouse_snowflake;

typedef struct WarehouseOptions {
    DriverOptions driver;  // the job file's "warehouse" object
    Str base_folder;       // what relative paths in it start from
    uint64_t memory_bytes; // what the warehouse may use of this machine's
} WarehouseOptions;

bool warehouse_open(Warehouse *warehouse, const WarehouseDriver *driver,
                    const WarehouseOptions *options, Env *env, Arena *arena, Findings *findings,
                    Error *err) MUST_USE;
// Hands the stage's files over, which are closed with the warehouse, also after a failure.
bool warehouse_use_stage(Warehouse *warehouse, const StageFiles *files, Error *err) MUST_USE;
void warehouse_close(Warehouse *warehouse); // for CLEANUP()

// For drivers: why the fence turned somebody away (ERROR_CONFLICT). Always false.
bool warehouse_turned_away(const LoadSpec *who, int64_t stored, Error *err);
