// The Snowflake driver's state, shared by its files: snowflake.c (connection, queries),
// snowflake_tables.c (DDL), snowflake_views.c (views), snowflake_rows.c (rows as Parquet in the
// stage), snowflake_load.c (a load), snowflake_commit.c (its transaction), snowflake_ledger.c
// (reads of the ledger, ETL_LOG), snowflake_left.c (what killed loads left), snowflake_usage.c
// (what a day has cost), snowflake_check.c (rights). snowflake_api.h sends the statements.
#pragma once

#include "base/kill.h"
#include "duck/arrow.h"
#include "duck/grid.h"
#include "warehouse/snowflake_api.h"
#include "warehouse/sql.h"
#include "warehouse/warehouse.h"

enum {
    SNOWFLAKE_SCRATCH_BYTES_MAX = 256 * 1024 * 1024, // keys and ledger rows of one call
    SNOWFLAKE_STAGED_MAX = 4096,                     // files of one load
};

// Keys that load_mark_deleted() was given.
typedef struct SnowflakeGone {
    const Key128 *keys;
    size_t count;
    int64_t fetched_us;
    struct SnowflakeGone *next;
} SnowflakeGone;

// A load between begin() and its end. Nothing is open in Snowflake meanwhile: what was read at the
// beginning is checked again within the transaction, by the table's version.
typedef struct SnowflakeLoad {
    const LoadSpec *spec; // NULL = no load is open
    Str id;               // "<run>/<stream>/<ordinal>"
    Str target;
    Str files;       // what names of its files in the stage begin with
    int64_t version; // of the table, when the load began
    int64_t now_us;
    Str staged[SNOWFLAKE_STAGED_MAX]; // paths, to be removed when it ends
    size_t staged_count;
    Str keys[SNOWFLAKE_STAGED_MAX]; // files of keys that were looked at
    size_t key_count;
    Str rows; // the file of rows to be merged; empty = none
    int64_t row_count;
    Str quarantine[SNOWFLAKE_STAGED_MAX];
    size_t quarantine_count;
    int64_t quarantined;
    struct SnowflakeGone *gone; // keys to be marked as deleted, newest first
    size_t gone_count;
    Str gone_path;
    Str ledger; // the file of its slices and watermarks
} SnowflakeLoad;

typedef struct SnowflakeStage {
    Str name;          // of the stage object: "CTM.LAND"
    yyjson_val *files; // the store behind it; run/ opens it
} SnowflakeStage;

typedef struct SnowflakeWarehouse {
    // From the job file.
    SnowflakeOptions options;
    int auth;
    Str private_key, private_key_2;
    SnowflakeStage stage;
    int64_t lock_timeout_us;
    int64_t daily_seconds; // 0 = no cap
    int64_t rest_us;
    bool has_ledger;    // it was seen, or made
    bool state_is_long; // PAWL_STATE has rows to be cleared away when the warehouse is awake

    Env *env;
    uint64_t memory_bytes;
    Arena *lasting;
    Arena *loading; // of one load
    Arena *scratch; // of one call
    SnowflakeApi *api;
    const StageFiles *files;
    Duck duck;                         // writes Parquet; open while a load is
    char process[UUID_TEXT_BYTES + 1]; // names our file among those of the day's usage
    int32_t usage_day;
    int64_t others_us;      // of the day's usage; -1 = not looked at
    int64_t others_read_us; // when, by the monotonic clock
    int64_t own_before_us;  // of our own usage, what is of days before
    int64_t statements_before;
    Str tag; // QUERY_TAG: names the run as soon as one is known
    Str tagged_run;
    SnowflakeLoad load;
} SnowflakeWarehouse;

// Names are upper case, so that people need no quotes.
bool snowflake_name(Buf *out, Str name, Error *err) MUST_USE;
// "CTM"."CALLS<suffix>"
bool snowflake_table(Buf *out, const TableSpec *table, const char *suffix, Error *err) MUST_USE;
// 'text', with what Snowflake reads as an escape escaped.
bool snowflake_literal(Buf *out, Str text, Error *err) MUST_USE;
// Always with a format: how a cast reads a text is a setting of the user's
// (TIMESTAMP_INPUT_FORMAT).
#define SNOWFLAKE_TIME_FORMAT "YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM"
bool snowflake_time_text(Buf *out, int64_t us, Error *err) MUST_USE;    // in quotes, as it says
bool snowflake_literal_time(Buf *out, int64_t us, Error *err) MUST_USE; // as TIMESTAMP_TZ
// "NUMBER(18,4)", "TIMESTAMP_TZ(6)", "VARIANT": the type in DDL.
void snowflake_type_name(const Column *column, char *text, size_t room);

// Appends `text` with each '@' become the ledger's schema and each '^' the load's own id.
bool snowflake_own(SnowflakeWarehouse *db, Buf *out, const char *text, Error *err) MUST_USE;

// Opens the api unless it is there, and empties the scratch arena.
bool snowflake_begin_call(SnowflakeWarehouse *db, Error *err) MUST_USE;

// Runs one statement and hands its rows to `visit` (NULL: nobody wants them).
bool snowflake_query(SnowflakeWarehouse *db, const Buf *sql, SnowflakeVisit *visit, void *visitor,
                     Error *err) MUST_USE;

// Several statements for one request.
typedef struct SnowflakeBatch {
    Buf sql;
    Buf ends; // where each statement ends in it: size_t
    size_t count;
} SnowflakeBatch;
void snowflake_batch_done(SnowflakeBatch *batch);                     // for CLEANUP()
bool snowflake_batch_end(SnowflakeBatch *batch, Error *err) MUST_USE; // behind each statement
// Before the first statement that changes rows: Snowflake waits half a day for a lock by itself.
bool snowflake_lock_timeout(const SnowflakeWarehouse *db, SnowflakeBatch *batch,
                            Error *err) MUST_USE;
// Light ones go one by one, so that they wake no warehouse: the first that fails ends it.
bool snowflake_batch_run(SnowflakeWarehouse *db, const SnowflakeBatch *batch, bool light,
                         SnowflakeResult *ret_result, Error *err) MUST_USE;

// --- snowflake_rows.c: files in the stage

#define SNOWFLAKE_LOADS "loads" // where they all lie in the stage
// Writes what `sql` says of pawl_rows() as Parquet into the stage, under the load's name; the path
// is noted for removal. *ret_rows (may be NULL) is how many.
bool snowflake_put_rows(SnowflakeWarehouse *db, const char *kind, const char *select,
                        const DuckRows *rows, Str *ret_path, int64_t *ret_rows,
                        Error *err) MUST_USE;
bool snowflake_put_source(SnowflakeWarehouse *db, RowSource *source, Str *ret_path,
                          int64_t *ret_rows, Error *err) MUST_USE;
bool snowflake_put_array(SnowflakeWarehouse *db, struct ArrowArray *array, Str *ret_path,
                         int64_t *ret_rows, Error *err) MUST_USE;
bool snowflake_put_keys(SnowflakeWarehouse *db, const Key128 *keys, size_t count, Str *ret_path,
                        Error *err) MUST_USE;
void snowflake_remove_staged(SnowflakeWarehouse *db);
// Files of loads that were killed days ago.
#define SNOWFLAKE_LEFT_AFTER_US (INT64_C(2) * 86400 * 1000000)
void snowflake_remove_left(SnowflakeWarehouse *db);

// --- snowflake_left.c

// Drops staging tables of these that were made before `before_us`, and looks how long PAWL_STATE
// is.
bool snowflake_drop_left(SnowflakeWarehouse *db, const TableSpec *tables, size_t count,
                         int64_t before_us, Error *err) MUST_USE;
// Adds a SHOW TABLES to the batch: `pattern` as LIKE has it.
bool snowflake_show_tables(SnowflakeBatch *batch, Str pattern, Str schema, Error *err) MUST_USE;
// After a load, whose warehouse is awake. Best effort.
void snowflake_shorten_state(SnowflakeWarehouse *db);

// --- snowflake_usage.c

bool snowflake_may_load(void *state, Error *err);
void snowflake_tell_usage(const void *state, int64_t *ret_us, int64_t *ret_statements);
// Notes in the stage's store what the day has cost so far. Best effort.
void snowflake_note_usage(SnowflakeWarehouse *db);

// --- snowflake_views.c

bool snowflake_make_views(SnowflakeWarehouse *db, const ViewSpec *views, size_t count,
                          Error *err) MUST_USE;
// Whether the view is there, with `comment` (NULL data: with any). SHOW wakes nobody.
bool snowflake_find_view(SnowflakeWarehouse *db, Str schema, Str name, Str comment, bool *ret_found,
                         Error *err) MUST_USE;

// --- snowflake_ledger.c

bool snowflake_mark(void *state, const TableSpec *tables, size_t count, Arena *arena,
                    WarehouseMark *ret_mark, Error *err);

// What the ledger says when a load begins, or again when its transaction found another version.
typedef struct SnowflakeStanding {
    int64_t version;
    int64_t epoch; // of (job, mode); -1 = none
    Str checksum;  // of this very load; {NULL, 0} = it is not in
} SnowflakeStanding;
bool snowflake_write_epoch(SnowflakeWarehouse *db, const LoadSpec *spec, Error *err) MUST_USE;
bool snowflake_read_standing(SnowflakeWarehouse *db, const LoadSpec *spec,
                             SnowflakeStanding *ret_standing, Error *err) MUST_USE;

// --- snowflake_commit.c

// "CALLS__STAGE_<digits of the target>_": what names of a table's staging tables begin with, alike
// for no two tables, whatever their schemas are.
enum { SNOWFLAKE_HASH_DIGITS = 12 };
bool snowflake_staging_prefix(Buf *out, const TableSpec *table, const char *kind,
                              Error *err) MUST_USE;
// Puts the ledger's rows and fills the staging tables.
bool snowflake_stage_load(SnowflakeWarehouse *db, const LoadCommit *commit, Error *err) MUST_USE;
// *ret_done = false: a guard held it back, and nothing has happened.
bool snowflake_run_transaction(SnowflakeWarehouse *db, const LoadCommit *commit, bool *ret_done,
                               Error *err) MUST_USE;
void snowflake_drop_staging(SnowflakeWarehouse *db);
bool snowflake_settle(void *state, const TableSpec *tables, size_t count, Error *err);

// --- the rest of the driver
bool snowflake_prepare(void *state, const TableSpec *tables, size_t count, Error *err);
bool snowflake_create_views(void *state, const ViewSpec *views, size_t count, Error *err);
bool snowflake_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                     Error *err);
bool snowflake_promote(void *state, const TableSpec *table, const Column *column, Str path,
                       int64_t *ret_rows, Error *err);
bool snowflake_name_run(void *state, Str run, Str job, Str mode, Error *err);
bool snowflake_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err);
bool snowflake_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                          Error *err);
bool snowflake_load_write(void *state, RowSource *source, Error *err);
bool snowflake_load_write_quarantine(void *state, struct ArrowArray *array, Error *err);
bool snowflake_load_mark_deleted(void *state, const Key128 *keys, size_t count, int64_t fetched_us,
                                 int64_t *ret_marked, Error *err);
bool snowflake_load_commit(void *state, const LoadCommit *commit, Error *err);
void snowflake_load_abort(void *state);
bool snowflake_window_keys(void *state, const KeyWindow *window, Arena *arena, Key128 **ret_keys,
                           size_t *ret_count, Error *err);
bool snowflake_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                               Watermark **ret_marks, size_t *ret_count, Error *err);
bool snowflake_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                           LoadSlice **ret_slices, size_t *ret_count, Error *err);
bool snowflake_is_shared(void *state, Str job, const TableSpec *tables, size_t count,
                         bool *ret_shared, Error *err);
bool snowflake_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                        Error *err);
bool snowflake_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                             const Watermark *mark, uint64_t epoch, Error *err);
bool snowflake_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err);
