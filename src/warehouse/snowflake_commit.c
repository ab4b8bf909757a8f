// A load's end: COPY INTO staging tables, then everything in one transaction of one request.
//
// Each statement of the transaction guards itself. The first takes the table's own row in
// <table>__PAWL, provided that nothing has changed since the load was decided on; the others do
// nothing unless that row is ours and the ledger lacks the load. So a transaction that runs again,
// or too late, commits nothing. JSON lands as text and becomes a VARIANT in the MERGE: a COPY that
// matches columns by name takes no expressions.
#include "warehouse/snowflake_state.h"

#include <assert.h>
#include <stdio.h>

enum { TYPE_BYTES = 64, FILES_A_COPY = 1000 };

// --- staging

bool snowflake_staging_prefix(Buf *out, const TableSpec *table, const char *kind, Error *err)
{
    char hex[2 * SHA256_BYTES + 1];
    CLEANUP(buf_done) Buf target = {0};
    TRY(snowflake_table(&target, table, "", err));
    const Sha256 hash = sha256(buf_str(&target));
    hex_encode(hash.bytes, SHA256_BYTES, hex);
    return buf_append(out, table->name, err) &&
           buf_printf(out, err, "__%s_%.*s_", kind, SNOWFLAKE_HASH_DIGITS, hex);
}

// "PAWL"."CALLS__STAGE_<digits of the target>_<of the load>_<epoch>": the same for the same load
// and epoch, so that an attempt replaces what the one before it left. It lies in the driver's own
// schema: in the target's, whoever may read future tables would read its rows, which no policy
// masks.
static bool append_staging_table(SnowflakeWarehouse *db, Buf *out, const char *kind, Error *err)
{
    char hex[2 * SHA256_BYTES + 1];
    const Sha256 hash = sha256(db->load.id);
    hex_encode(hash.bytes, SHA256_BYTES, hex);
    CLEANUP(buf_done) Buf name = {0};
    return snowflake_staging_prefix(&name, db->load.spec->table, kind, err) &&
           buf_printf(&name, err, "%.*s_%llu", SNOWFLAKE_HASH_DIGITS, hex,
                      (unsigned long long)db->load.spec->epoch) &&
           snowflake_own(db, out, "@", err) && snowflake_name(out, buf_str(&name), err);
}

// A staging table, and the staged files whose rows it gets.
typedef struct Staging {
    const char *kind;
    const Column *columns;
    size_t column_count;
    const Str *paths;
    size_t path_count;
} Staging;

static bool append_staging(SnowflakeWarehouse *db, SnowflakeBatch *batch, const Staging *staging,
                           Error *err)
{
    Buf *sql = &batch->sql;
    TRY(buf_append(sql, STR("CREATE OR REPLACE TRANSIENT TABLE "), err) &&
        append_staging_table(db, sql, staging->kind, err) && buf_append(sql, STR(" ("), err));
    for (size_t i = 0; i < staging->column_count; i++) {
        const Column *column = &staging->columns[i];
        char type[TYPE_BYTES];
        snowflake_type_name(column, type, sizeof(type));
        TRY(snowflake_name(sql, column->name, err) &&
            buf_printf(sql, err, " %s%s", column->type == COLUMN_JSON ? "VARCHAR" : type,
                       i + 1 < staging->column_count ? ", " : ") DATA_RETENTION_TIME_IN_DAYS = 0"));
    }
    TRY(snowflake_batch_end(batch, err));
    const size_t folder_size = sizeof(SNOWFLAKE_LOADS); // and its '/'
    const Str *paths = staging->paths;
    for (size_t i = 0; i < staging->path_count; i += FILES_A_COPY) {
        TRY(buf_append(sql, STR("COPY INTO "), err) &&
            append_staging_table(db, sql, staging->kind, err) &&
            buf_printf(sql, err, " FROM @" STR_FMT "/" SNOWFLAKE_LOADS "/ FILES = (",
                       STR_ARG(db->stage.name)));
        for (size_t k = i; k < staging->path_count && k < i + FILES_A_COPY; k++)
            TRY((k == i || buf_append(sql, STR(", "), err)) &&
                snowflake_literal(sql, str_slice(paths[k], folder_size, paths[k].size), err));
        // Without a NULL_IF of its own a text of \N would become NULL.
        TRY(buf_append(sql,
                       STR(") FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE"
                           " BINARY_AS_TEXT = FALSE NULL_IF = ())"
                           " MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT"),
                       err) &&
            snowflake_batch_end(batch, err));
    }
    return true;
}

// What the ledger gets, as rows: (kind, stream, partition_key, from_us, to_us, fetched_us, total,
// landed, skipped).
enum { LEDGER_COLUMNS = 9 };

static DuckValue text_value(Str text)
{
    return duck_text(text.data == NULL ? STR("") : text);
}

static bool put_ledger(SnowflakeWarehouse *db, const LoadCommit *commit, Error *err)
{
    static const DuckColumn columns[LEDGER_COLUMNS] = {
        DUCK_TEXT("KIND"),        DUCK_TEXT("STREAM"),       DUCK_TEXT("PARTITION_KEY"),
        DUCK_INT64("FROM_US"),    DUCK_INT64("TO_US"),       DUCK_INT64("FETCHED_US"),
        DUCK_INT64("TOTAL_ROWS"), DUCK_INT64("LANDED_ROWS"), DUCK_INT64("SKIPPED")};
    static const DuckValue none = {.kind = DUCK_NULL};
    const LoadSpec *spec = db->load.spec;
    const size_t count = spec->slice_count + commit->watermark_count;
    DuckValue *cells =
        arena_alloc_array(db->loading, count + 1, sizeof(*cells) * LEDGER_COLUMNS, err);
    TRY(cells != NULL);
    for (size_t i = 0; i < spec->slice_count; i++) {
        const LoadSlice *slice = &spec->slices[i];
        const bool whole = slice->from_us == 0 && slice->to_us == 0;
        const DuckValue row[LEDGER_COLUMNS] = {duck_text(STR("slice")),
                                               text_value(spec->stream),
                                               text_value(slice->partition_key),
                                               whole ? none : duck_int64(slice->from_us),
                                               whole ? none : duck_int64(slice->to_us),
                                               duck_int64(slice->fetched_us),
                                               slice->total < 0 ? none : duck_int64(slice->total),
                                               duck_int64(slice->rows),
                                               duck_int64(slice->skipped)};
        memcpy(&cells[i * LEDGER_COLUMNS], row, sizeof(row));
    }
    for (size_t i = 0; i < commit->watermark_count; i++) {
        const Watermark *mark = &commit->watermarks[i];
        const DuckValue row[LEDGER_COLUMNS] = {duck_text(STR("watermark")),
                                               text_value(mark->stream),
                                               text_value(mark->partition_key),
                                               duck_int64(mark->us),
                                               none,
                                               none,
                                               none,
                                               none,
                                               none};
        memcpy(&cells[(spec->slice_count + i) * LEDGER_COLUMNS], row, sizeof(row));
    }
    DuckGrid grid = {columns, LEDGER_COLUMNS, cells, count, 0};
    const DuckRows rows = duck_grid_rows(&grid);
    return snowflake_put_rows(db, "ledger", "*", &rows, &db->load.ledger, NULL, err);
}

typedef struct GoneFeed {
    const SnowflakeGone *gone;
    size_t next; // in its keys
} GoneFeed;

static bool fill_gone(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)err;
    GoneFeed *feed = state;
    duckdb_vector texts = duckdb_data_chunk_get_vector(chunk, 0);
    int64_t *times = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    size_t filled = 0;
    while (feed->gone != NULL && filled < DUCK_VECTOR_ROWS) {
        if (feed->next == feed->gone->count) {
            feed->gone = feed->gone->next;
            feed->next = 0;
            continue;
        }
        char hex[2 * KEY_BYTES + 1];
        hex_encode(feed->gone->keys[feed->next++].bytes, KEY_BYTES, hex);
        times[filled] = feed->gone->fetched_us;
        duckdb_vector_assign_string_element_len(texts, filled++, hex, sizeof(hex) - 1);
    }
    *ret_rows = filled;
    return true;
}

// A key that two slices lack is marked by the later reading.
static bool put_gone(SnowflakeWarehouse *db, Error *err)
{
    static const DuckColumn columns[] = {DUCK_TEXT("row_key"), DUCK_INT64("fetched_us")};
    if (db->load.gone_count == 0)
        return true;
    GoneFeed feed = {.gone = db->load.gone};
    const DuckRows rows = {.columns = columns,
                           .column_count = 2,
                           .rows_total = db->load.gone_count,
                           .fill = fill_gone,
                           .state = &feed};
    return snowflake_put_rows(db, "gone", "row_key AS \"ROW_KEY\", fetched_us AS \"FETCHED_US\"",
                              &rows, &db->load.gone_path, NULL, err);
}

bool snowflake_stage_load(SnowflakeWarehouse *db, const LoadCommit *commit, Error *err)
{
    const SnowflakeLoad *load = &db->load;
    const TableSpec *table = load->spec->table;
    TRY(put_ledger(db, commit, err) && put_gone(db, err));
    duck_close(&db->duck); // gives its memory back before the wait
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    const Staging rows = {"STAGE", table->columns, table->column_count, &load->rows, 1};
    const Staging quarantine = {"QSTAGE", table->quarantine_columns, table->quarantine_count,
                                load->quarantine, load->quarantine_count};
    TRY(load->rows.size == 0 || append_staging(db, &batch, &rows, err));
    TRY(load->quarantine_count == 0 || append_staging(db, &batch, &quarantine, err));
    if (batch.count == 0)
        return true;
    kill_point("copy, " STR_FMT " load %u", STR_ARG(load->spec->stream), load->spec->ordinal);
    SnowflakeResult result = {0};
    return snowflake_batch_run(db, &batch, false, &result, err);
}

void snowflake_drop_staging(SnowflakeWarehouse *db)
{
    static const char *const kinds[] = {"STAGE", "QSTAGE"};
    const bool there[] = {db->load.rows.size > 0, db->load.quarantine_count > 0};
    Error ignored = {0}; // the next prepare() drops what is left over
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    SnowflakeResult result = {0};
    for (size_t i = 0; i < 2; i++) {
        if (there[i] && !(buf_append(&batch.sql, STR("DROP TABLE IF EXISTS "), &ignored) &&
                          append_staging_table(db, &batch.sql, kinds[i], &ignored) &&
                          snowflake_batch_end(&batch, &ignored)))
            return;
    }
    (void)!snowflake_batch_run(db, &batch, true, &result, &ignored);
}

// --- the transaction

typedef struct Transaction {
    SnowflakeWarehouse *db;
    SnowflakeBatch batch;
    Buf guard; // true when the table's row is ours and the load is not in
    char holder[UUID_TEXT_BYTES + 1];
} Transaction;

static void transaction_done(Transaction *transaction)
{
    snowflake_batch_done(&transaction->batch);
    buf_done(&transaction->guard);
}

static bool add_simple(Transaction *tx, const char *text, Error *err)
{
    return buf_append(&tx->batch.sql, str_from(text), err) && snowflake_batch_end(&tx->batch, err);
}

static bool make_guard(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    uuid_new(db->env, tx->holder);
    return buf_append(&tx->guard, STR("EXISTS (SELECT 1 FROM "), err) &&
           snowflake_table(&tx->guard, db->load.spec->table, "__PAWL", err) &&
           buf_printf(&tx->guard, err, " WHERE \"HOLDER\" = '%s')", tx->holder) &&
           snowflake_own(db, &tx->guard,
                         " AND NOT EXISTS (SELECT 1 FROM @\"PAWL_LOAD\" WHERE \"LOAD_ID\" = ^)",
                         err);
}

static bool add_guard(Transaction *tx, const char *before, Error *err)
{
    return buf_append(&tx->batch.sql, str_from(before), err) &&
           buf_append(&tx->batch.sql, buf_str(&tx->guard), err);
}

// Takes the table's row, or not: everything that follows depends on it.
static bool add_taking(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const LoadSpec *spec = db->load.spec;
    Buf *sql = &tx->batch.sql;
    TRY(buf_append(sql, STR("UPDATE "), err) && snowflake_table(sql, spec->table, "__PAWL", err) &&
        buf_printf(sql, err,
                   " SET \"VERSION\" = \"VERSION\" + 1, \"HOLDER\" = '%s', \"UPDATED_AT\" ="
                   " CURRENT_TIMESTAMP() WHERE \"VERSION\" = %lld",
                   tx->holder, (long long)db->load.version));
    TRY(snowflake_own(db, sql,
                      " AND NOT EXISTS (SELECT 1 FROM @\"PAWL_LOAD\" WHERE \"LOAD_ID\" = ^)"
                      " AND NOT EXISTS (SELECT 1 FROM @\"PAWL_STATE\" WHERE \"KIND\" = 'epoch'"
                      " AND \"JOB\" = ",
                      err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(" AND \"MODE\" = "), err) &&
        snowflake_literal(sql, spec->mode, err) &&
        buf_printf(sql, err, " AND \"EPOCH\" > %llu)", (unsigned long long)spec->epoch));
    // Not a row more or less than were put: COPY was run once, for one file.
    if (db->load.rows.size > 0)
        TRY(buf_append(sql, STR(" AND (SELECT COUNT(*) FROM "), err) &&
            append_staging_table(db, sql, "STAGE", err) &&
            buf_printf(sql, err, ") = %lld", (long long)db->load.row_count));
    return snowflake_batch_end(&tx->batch, err);
}

static bool add_epoch(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const LoadSpec *spec = db->load.spec;
    Buf *sql = &tx->batch.sql;
    TRY(snowflake_own(db, sql,
                      "INSERT INTO @\"PAWL_STATE\" (\"KIND\", \"JOB\", \"MODE\", \"EPOCH\","
                      " \"UPDATED_AT\") SELECT 'epoch', ",
                      err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, spec->mode, err) &&
        buf_printf(sql, err, ", %llu, ", (unsigned long long)spec->epoch) &&
        snowflake_literal_time(sql, db->load.now_us, err) && add_guard(tx, " WHERE ", err));
    TRY(snowflake_own(db, sql,
                      " AND NOT EXISTS (SELECT 1 FROM @\"PAWL_STATE\" WHERE \"KIND\" = 'epoch'"
                      " AND \"JOB\" = ",
                      err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(" AND \"MODE\" = "), err) &&
        snowflake_literal(sql, spec->mode, err) &&
        buf_printf(sql, err, " AND \"EPOCH\" >= %llu)", (unsigned long long)spec->epoch));
    return snowflake_batch_end(&tx->batch, err);
}

// A string that is no JSON after all stays one: nothing is lost.
static bool append_value(Buf *sql, const Column *column, Error *err)
{
    if (column->type != COLUMN_JSON)
        return snowflake_name(sql, column->name, err);
    return buf_append(sql, STR("COALESCE(TRY_PARSE_JSON("), err) &&
           snowflake_name(sql, column->name, err) &&
           buf_append(sql, STR(", 'd'), TO_VARIANT("), err) &&
           snowflake_name(sql, column->name, err) && buf_append(sql, STR("))"), err);
}

// _run_id, _load_id, _loaded_at as they are in every row of the load.
static bool append_driver_values(SnowflakeWarehouse *db, Buf *sql, bool named, Error *err)
{
    TRY(snowflake_literal(sql, db->load.spec->run, err) &&
        buf_append(sql, named ? STR(" AS \"_RUN_ID\", ") : STR(", "), err) &&
        snowflake_literal(sql, db->load.id, err) &&
        buf_append(sql, named ? STR(" AS \"_LOAD_ID\", ") : STR(", "), err) &&
        snowflake_literal_time(sql, db->load.now_us, err));
    return buf_append(sql, named ? STR(" AS \"_LOADED_AT\"") : STR(""), err);
}

static const char driver_names[] = "\"_RUN_ID\", \"_LOAD_ID\", \"_LOADED_AT\"";

// (SELECT <columns>, <driver's> FROM <staging> WHERE <guard>)
static bool add_staged(Transaction *tx, const char *kind, const Column *columns, size_t count,
                       Error *err)
{
    Buf *sql = &tx->batch.sql;
    TRY(buf_append(sql, STR("SELECT "), err));
    for (size_t i = 0; i < count; i++)
        TRY(append_value(sql, &columns[i], err) && buf_append(sql, STR(" AS "), err) &&
            snowflake_name(sql, columns[i].name, err) && buf_append(sql, STR(", "), err));
    return append_driver_values(tx->db, sql, true, err) && buf_append(sql, STR(" FROM "), err) &&
           append_staging_table(tx->db, sql, kind, err) && add_guard(tx, " WHERE ", err);
}

static bool append_names(Buf *sql, const char *before, const Column *columns, size_t count,
                         Error *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(buf_append(sql, str_from(before), err) && snowflake_name(sql, columns[i].name, err) &&
            buf_append(sql, STR(", "), err));
    return true;
}

// A row is replaced only by one that is at least as fresh; which ones to write was decided by hash
// before they were staged, at the version that the transaction found standing.
static bool add_merge(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const TableSpec *table = db->load.spec->table;
    Buf *sql = &tx->batch.sql;
    if (db->load.rows.size == 0)
        return true;
    TRY(buf_append(sql, STR("MERGE INTO "), err) && snowflake_table(sql, table, "", err) &&
        buf_append(sql, STR(" AS t USING ("), err) &&
        add_staged(tx, "STAGE", table->columns, table->column_count, err) &&
        buf_append(sql,
                   STR(") AS s ON t.\"_ROW_KEY\" = s.\"_ROW_KEY\" WHEN MATCHED AND"
                       " (t.\"_FETCHED_AT\" IS NULL OR s.\"_FETCHED_AT\" >= t.\"_FETCHED_AT\") "
                       "THEN UPDATE SET "),
                   err));
    for (size_t i = 0; i < table->column_count; i++)
        TRY(snowflake_name(sql, table->columns[i].name, err) &&
            buf_append(sql, STR(" = s."), err) &&
            snowflake_name(sql, table->columns[i].name, err) && buf_append(sql, STR(", "), err));
    TRY(buf_append(sql,
                   STR("\"_RUN_ID\" = s.\"_RUN_ID\", \"_LOAD_ID\" = s.\"_LOAD_ID\","
                       " \"_LOADED_AT\" = s.\"_LOADED_AT\", \"_DELETED_AT\" = NULL"
                       " WHEN NOT MATCHED THEN INSERT ("),
                   err) &&
        append_names(sql, "", table->columns, table->column_count, err) &&
        buf_printf(sql, err, "%s) VALUES (", driver_names) &&
        append_names(sql, "s.", table->columns, table->column_count, err) &&
        buf_append(sql, STR("s.\"_RUN_ID\", s.\"_LOAD_ID\", s.\"_LOADED_AT\")"), err));
    return snowflake_batch_end(&tx->batch, err);
}

static bool add_quarantine(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const TableSpec *table = db->load.spec->table;
    Buf *sql = &tx->batch.sql;
    if (db->load.quarantine_count == 0)
        return true;
    return buf_append(sql, STR("INSERT INTO "), err) &&
           snowflake_table(sql, table, "__QUARANTINE", err) && buf_append(sql, STR(" ("), err) &&
           append_names(sql, "", table->quarantine_columns, table->quarantine_count, err) &&
           buf_printf(sql, err, "%s) ", driver_names) &&
           add_staged(tx, "QSTAGE", table->quarantine_columns, table->quarantine_count, err) &&
           snowflake_batch_end(&tx->batch, err);
}

static bool add_gone(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    Buf *sql = &tx->batch.sql;
    if (db->load.gone_path.size == 0)
        return true;
    TRY(buf_append(sql, STR("UPDATE "), err) &&
        snowflake_table(sql, db->load.spec->table, "", err) &&
        buf_append(sql,
                   STR(" AS t SET \"_DELETED_AT\" = k.\"AT\", \"_FETCHED_AT\" = k.\"AT\","
                       " \"_RUN_ID\" = "),
                   err) &&
        snowflake_literal(sql, db->load.spec->run, err) &&
        buf_append(sql, STR(", \"_LOAD_ID\" = "), err) &&
        snowflake_literal(sql, db->load.id, err) &&
        buf_append(sql, STR(", \"_LOADED_AT\" = "), err) &&
        snowflake_literal_time(sql, db->load.now_us, err));
    // Of a key that two slices lack, the later reading marks.
    TRY(buf_printf(sql, err,
                   " FROM (SELECT TO_BINARY($1:\"ROW_KEY\"::VARCHAR, 'HEX') AS \"ROW_KEY\","
                   " MAX(TO_TIMESTAMP_TZ($1:\"FETCHED_US\"::NUMBER(19,0), 6)) AS \"AT\" FROM"
                   " @" STR_FMT "/" STR_FMT " GROUP BY 1) AS k WHERE t.\"_ROW_KEY\" ="
                   " k.\"ROW_KEY\" AND t.\"_DELETED_AT\" IS NULL AND"
                   " (t.\"_FETCHED_AT\" IS NULL OR t.\"_FETCHED_AT\" <= k.\"AT\")",
                   STR_ARG(db->stage.name), STR_ARG(db->load.gone_path)) &&
        add_guard(tx, " AND ", err));
    return snowflake_batch_end(&tx->batch, err);
}

// FROM @stage/ledger WHERE kind = ...
static bool add_from_ledger(Transaction *tx, const char *kind, Error *err)
{
    const SnowflakeWarehouse *db = tx->db;
    return buf_printf(&tx->batch.sql, err,
                      " FROM @" STR_FMT "/" STR_FMT " WHERE $1:\"KIND\"::VARCHAR = '%s'",
                      STR_ARG(db->stage.name), STR_ARG(db->load.ledger), kind);
}

static bool add_slices(Transaction *tx, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    Buf *sql = &tx->batch.sql;
    if (db->load.spec->slice_count == 0)
        return true;
    return snowflake_own(db, sql,
                         "INSERT INTO @\"PAWL_SLICE\" (\"TARGET\", \"STREAM\","
                         " \"PARTITION_KEY\", \"WINDOW_FROM\", \"WINDOW_TO\", \"FETCHED_AT\","
                         " \"TOTAL_ROWS\", \"LANDED_ROWS\", \"SKIPPED\", \"LOAD_ID\","
                         " \"LOADED_AT\") SELECT ",
                         err) &&
           snowflake_literal(sql, db->load.target, err) &&
           snowflake_own(db, sql,
                         ", $1:\"STREAM\"::VARCHAR, $1:\"PARTITION_KEY\"::VARCHAR,"
                         " TO_TIMESTAMP_TZ($1:\"FROM_US\"::NUMBER(19,0), 6),"
                         " TO_TIMESTAMP_TZ($1:\"TO_US\"::NUMBER(19,0), 6),"
                         " TO_TIMESTAMP_TZ($1:\"FETCHED_US\"::NUMBER(19,0), 6),"
                         " $1:\"TOTAL_ROWS\"::NUMBER(19,0), $1:\"LANDED_ROWS\"::NUMBER(19,0),"
                         " $1:\"SKIPPED\"::NUMBER(19,0) = 1, ^, ",
                         err) &&
           snowflake_literal_time(sql, db->load.now_us, err) && add_from_ledger(tx, "slice", err) &&
           add_guard(tx, " AND ", err) && snowflake_batch_end(&tx->batch, err);
}

// Forward only: a mark is added where it is greater than the one that stands, of which readers take
// the greatest.
static bool add_watermarks(Transaction *tx, const LoadCommit *commit, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const LoadSpec *spec = db->load.spec;
    Buf *sql = &tx->batch.sql;
    if (commit->watermark_count == 0)
        return true;
    TRY(snowflake_own(db, sql,
                      "INSERT INTO @\"PAWL_STATE\" (\"KIND\", \"JOB\", \"TARGET\", \"STREAM\","
                      " \"PARTITION_KEY\", \"WATERMARK\", \"UPDATED_AT\", \"SEQUENCE\")"
                      " SELECT 'watermark', ",
                      err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, db->load.target, err) &&
        buf_append(sql, STR(", r.\"STREAM\", r.\"PARTITION_KEY\", r.\"AT\", "), err) &&
        snowflake_literal_time(sql, db->load.now_us, err));
    TRY(buf_printf(sql, err, ", %lld", (long long)db->load.version + 1) &&
        buf_append(sql,
                   STR(" FROM (SELECT $1:\"STREAM\"::VARCHAR AS \"STREAM\","
                       " $1:\"PARTITION_KEY\"::VARCHAR AS \"PARTITION_KEY\","
                       " MAX(TO_TIMESTAMP_TZ($1:\"FROM_US\"::NUMBER(19,0), 6)) AS \"AT\""),
                   err) &&
        add_from_ledger(tx, "watermark", err));
    TRY(snowflake_own(db, sql,
                      " GROUP BY 1, 2) AS r LEFT JOIN (SELECT \"STREAM\", \"PARTITION_KEY\","
                      " \"WATERMARK\" FROM @\"PAWL_WATERMARK\" WHERE \"JOB\" = ",
                      err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(" AND \"TARGET\" = "), err) &&
        snowflake_literal(sql, db->load.target, err) &&
        buf_append(sql,
                   STR(") AS w ON w.\"STREAM\" = r.\"STREAM\" AND w.\"PARTITION_KEY\" ="
                       " r.\"PARTITION_KEY\" WHERE (w.\"WATERMARK\" IS NULL OR"
                       " GREATEST(w.\"WATERMARK\", r.\"AT\") > w.\"WATERMARK\")"),
                   err) &&
        add_guard(tx, " AND ", err));
    return snowflake_batch_end(&tx->batch, err);
}

// Last: the other guards look for it.
static bool add_load(Transaction *tx, const LoadCommit *commit, Error *err)
{
    SnowflakeWarehouse *db = tx->db;
    const LoadSpec *spec = db->load.spec;
    Buf *sql = &tx->batch.sql;
    char checksum[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, checksum);
    TRY(snowflake_own(db, sql,
                      "INSERT INTO @\"PAWL_LOAD\" (\"RUN_ID\", \"STREAM\", \"LOAD_ORDINAL\","
                      " \"LOAD_ID\", \"JOB\", \"MODE\", \"TARGET\", \"CHECKSUM\", \"EPOCH\","
                      " \"ROWS_INSERTED\", \"ROWS_UPDATED\", \"ROWS_UNCHANGED\","
                      " \"ROWS_DELETED\", \"ROWS_QUARANTINED\", \"LOADED_AT\","
                      " \"TABLE_VERSION\") SELECT ",
                      err) &&
        snowflake_literal(sql, spec->run, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, spec->stream, err) &&
        buf_printf(sql, err, ", %u, ", spec->ordinal) && snowflake_own(db, sql, "^, ", err) &&
        snowflake_literal(sql, spec->job, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, spec->mode, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, db->load.target, err));
    TRY(buf_printf(sql, err, ", '%s', %llu, %lld, %lld, %lld, %lld, %lld, ", checksum,
                   (unsigned long long)spec->epoch, (long long)commit->inserted,
                   (long long)commit->updated, (long long)commit->unchanged,
                   (long long)commit->deleted, (long long)commit->quarantined) &&
        snowflake_literal_time(sql, db->load.now_us, err) &&
        buf_printf(sql, err, ", %lld", (long long)db->load.version + 1) &&
        add_guard(tx, " WHERE ", err));
    return snowflake_batch_end(&tx->batch, err);
}

// A request goes on when its client is dead. Whoever holds a table's row now commits or rolls back
// before we get it; whoever comes later finds another version than it was decided on.
bool snowflake_settle(void *state, const TableSpec *tables, size_t count, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(snowflake_begin_call(db, err));
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    char holder[UUID_TEXT_BYTES + 1];
    uuid_new(db->env, holder);
    TRY(snowflake_lock_timeout(db, &batch, err));
    for (size_t i = 0; i < count; i++)
        TRY(buf_append(&batch.sql, STR("UPDATE "), err) &&
            snowflake_table(&batch.sql, &tables[i], "__PAWL", err) &&
            buf_printf(&batch.sql, err,
                       " SET \"VERSION\" = \"VERSION\" + 1, \"HOLDER\" = '%s', \"UPDATED_AT\" ="
                       " CURRENT_TIMESTAMP()",
                       holder) &&
            snowflake_batch_end(&batch, err));
    SnowflakeResult result = {0};
    TRY(snowflake_batch_run(db, &batch, false, &result, err));
    // What they have staged can go nowhere any more.
    return snowflake_drop_left(db, tables, count, INT64_MAX, err);
}

enum { TAKING_STATEMENT = 3 };

bool snowflake_run_transaction(SnowflakeWarehouse *db, const LoadCommit *commit, bool *ret_done,
                               Error *err)
{
    CLEANUP(transaction_done) Transaction tx = {.db = db};
    TRY(make_guard(&tx, err));
    TRY(snowflake_lock_timeout(db, &tx.batch, err) &&
        add_simple(&tx, "ALTER SESSION SET ERROR_ON_NONDETERMINISTIC_MERGE = TRUE", err) &&
        add_simple(&tx, "BEGIN", err));
    assert(tx.batch.count == TAKING_STATEMENT);
    TRY(add_taking(&tx, err) && add_epoch(&tx, err) && add_merge(&tx, err) &&
        add_quarantine(&tx, err) && add_gone(&tx, err) && add_slices(&tx, err) &&
        add_watermarks(&tx, commit, err) && add_load(&tx, commit, err) &&
        add_simple(&tx, "COMMIT", err));
    SnowflakeResult result = {0};
    SnowflakeResult taken = {0};
    int64_t rows = 0;
    TRY(snowflake_batch_run(db, &tx.batch, false, &result, err) &&
        snowflake_child(db->api, &result, TAKING_STATEMENT, db->scratch, &taken, err) &&
        snowflake_changed(&taken, &rows, err));
    *ret_done = rows > 0;
    return true;
}
