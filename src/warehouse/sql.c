#include "warehouse/sql.h"

#include "base/hash.h"

#include <stdio.h>

const Column sql_driver_columns[SQL_DRIVER_COLUMNS] = {
    {.name = {"_run_id", 7}, .type = COLUMN_STRING, .comment = {"run that wrote the row", 22}},
    {.name = {"_load_id", 8}, .type = COLUMN_STRING, .comment = {"run/stream/ordinal", 18}},
    {.name = {"_loaded_at", 10}, .type = COLUMN_TIMESTAMP, .comment = {"when it was written", 19}},
    {.name = {"_deleted_at", 11},
     .type = COLUMN_TIMESTAMP,
     .comment = {"the reading that no longer found it at the source", 49}},
};

bool sql_name(Buf *out, Str name, Error *err)
{
    TRY(buf_append_char(out, '"', err));
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"')
            TRY(buf_append_char(out, '"', err));
        TRY(buf_append_char(out, name.data[i], err));
    }
    return buf_append_char(out, '"', err);
}

bool sql_own_table(const SqlDialect *dialect, Buf *out, const TableSpec *table, const char *suffix,
                   Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    return buf_append(&name, table->name, err) && buf_append(&name, str_from(suffix), err) &&
           sql_own_name(dialect, out, table->schema, err) && buf_append_char(out, '.', err) &&
           sql_own_name(dialect, out, buf_str(&name), err);
}

bool sql_table(Buf *out, const TableSpec *table, const char *suffix, Error *err)
{
    static const SqlDialect as_spelled = {0};
    return sql_own_table(&as_spelled, out, table, suffix, err);
}

bool sql_target(Arena *arena, const TableSpec *table, Str *ret_target, Error *err)
{
    return arena_printf(arena, ret_target, err, STR_FMT "." STR_FMT, STR_ARG(table->schema),
                        STR_ARG(table->name));
}

bool sql_expand(Arena *arena, const char *text, Str schema, const char **ret_sql, Error *err)
{
    CLEANUP(buf_done) Buf out = {0};
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != '@') {
            TRY(buf_append_char(&out, *c, err));
            continue;
        }
        TRY(sql_name(&out, schema, err));
        TRY(buf_append_char(&out, '.', err));
    }
    Str sql = {0};
    TRY(arena_copy_str(arena, buf_str(&out), &sql, err));
    *ret_sql = sql.data;
    return true;
}

// No keys and no indexes: DuckDB would load an index whole, Snowflake enforces none, and every
// writer is fenced and looks before it writes.
const char sql_create_ledger[] =
    "CREATE TABLE IF NOT EXISTS @pawl_load ("
    "run_id VARCHAR, stream VARCHAR, load_ordinal BIGINT, load_id VARCHAR, job VARCHAR,"
    " mode VARCHAR, target VARCHAR, checksum VARCHAR, epoch BIGINT, rows_inserted BIGINT,"
    " rows_updated BIGINT, rows_unchanged BIGINT, rows_deleted BIGINT, rows_quarantined BIGINT,"
    " loaded_at TIMESTAMP WITH TIME ZONE);"
    "CREATE TABLE IF NOT EXISTS @pawl_slice ("
    "target VARCHAR, stream VARCHAR, partition_key VARCHAR,"
    " window_from TIMESTAMP WITH TIME ZONE, window_to TIMESTAMP WITH TIME ZONE,"
    " fetched_at TIMESTAMP WITH TIME ZONE, total_rows BIGINT, landed_rows BIGINT,"
    " skipped BOOLEAN, load_id VARCHAR, loaded_at TIMESTAMP WITH TIME ZONE);"
    "CREATE TABLE IF NOT EXISTS @pawl_state ("
    "kind VARCHAR, job VARCHAR, mode VARCHAR, target VARCHAR, stream VARCHAR,"
    " partition_key VARCHAR, epoch BIGINT, watermark TIMESTAMP WITH TIME ZONE,"
    " updated_at TIMESTAMP WITH TIME ZONE);"
    "CREATE TABLE IF NOT EXISTS @etl_log ("
    "run_id VARCHAR, job VARCHAR, mode VARCHAR, stage VARCHAR, stream VARCHAR,"
    " partition_key VARCHAR, slice_ordinal BIGINT, load_ordinal BIGINT, status VARCHAR,"
    " rows_in BIGINT, rows_landed BIGINT, rows_inserted BIGINT, rows_updated BIGINT,"
    " rows_unchanged BIGINT, rows_deleted BIGINT, rows_quarantined BIGINT, rows_overflowed BIGINT,"
    " bytes BIGINT, requests BIGINT, attempts BIGINT, wait_us BIGINT,"
    " started_at TIMESTAMP WITH TIME ZONE, duration_us BIGINT, error JSON,"
    " logged_at TIMESTAMP WITH TIME ZONE)";

// One row a job and stream: how fresh it is, how often its runs of the last 90 days ended well. A
// run that is still going has no row of stage 'run' yet and counts for nothing.
const char sql_select_health[] =
    "WITH loads AS (SELECT job, stream, target, max(loaded_at) AS last_loaded_at"
    " FROM pawl_load GROUP BY job, stream, target),"
    " marks AS (SELECT job, stream, target, min(watermark) AS fresh_until,"
    " count(*) AS partitions FROM pawl_state WHERE kind = 'watermark'"
    " GROUP BY job, stream, target),"
    " runs AS (SELECT job, run_id, mode, status, started_at,"
    " row_number() OVER (PARTITION BY job ORDER BY started_at DESC, logged_at DESC) AS age"
    " FROM etl_log WHERE stage = 'run'),"
    " rates AS (SELECT job, count(*) AS runs_90d,"
    " sum(CASE WHEN status = 'ok' THEN 1 ELSE 0 END) AS runs_ok_90d"
    " FROM runs WHERE started_at > CURRENT_TIMESTAMP - INTERVAL '90 days' GROUP BY job)"
    " SELECT coalesce(loads.job, marks.job) AS job, coalesce(loads.stream, marks.stream) AS stream,"
    " coalesce(loads.target, marks.target) AS target, marks.partitions, marks.fresh_until,"
    " CAST(extract(epoch FROM CURRENT_TIMESTAMP - marks.fresh_until) / 60 AS BIGINT)"
    " AS minutes_behind, loads.last_loaded_at, rates.runs_90d, rates.runs_ok_90d,"
    " CAST(100.0 * rates.runs_ok_90d / rates.runs_90d AS DECIMAL(5,2)) AS success_percent_90d,"
    " last_run.run_id AS last_run_id, last_run.mode AS last_run_mode,"
    " last_run.status AS last_run_status, last_run.started_at AS last_run_started_at"
    " FROM loads FULL JOIN marks ON marks.job = loads.job AND marks.stream = loads.stream"
    " AND marks.target = loads.target"
    " LEFT JOIN rates ON rates.job = coalesce(loads.job, marks.job)"
    " LEFT JOIN runs AS last_run ON last_run.job = coalesce(loads.job, marks.job)"
    " AND last_run.age = 1";

void sql_mark_view(Str select, char mark[SQL_VIEW_MARK_BYTES])
{
    char digits[2 * SHA256_BYTES + 1];
    const Sha256 hash = sha256(select);
    hex_encode(hash.bytes, SHA256_BYTES, digits);
    (void)snprintf(mark, SQL_VIEW_MARK_BYTES, "pawl: %.16s", digits);
}
