// What is left over: staging tables of loads that were killed, and rows of PAWL_STATE that later
// ones have replaced.
#include "warehouse/snowflake_state.h"

#include <assert.h>

enum { LEFT_TABLES_MAX = 1000, STATE_ROWS_MAX = 10000, HASH_DIGITS = 12 };

typedef struct LeftTables {
    const SnowflakeResult *result; // of SHOW TABLES
    const TableSpec *table;        // whose staging tables are looked for; NULL = PAWL_STATE
    int64_t before_us;
    SnowflakeBatch *drops;
    int64_t state_rows;
} LeftTables;

// "<TABLE>__STAGE_<12 digits>_<epoch>", or __QSTAGE_: the load's id hashed (snowflake_commit.c).
static bool is_staging(Str name, Str table)
{
    static const char *const kinds[] = {"__STAGE_", "__QSTAGE_"};
    if (name.size < table.size || !str_equal_ignoring_case(str_slice(name, 0, table.size), table))
        return false;
    const Str suffix = str_slice(name, table.size, name.size);
    for (size_t i = 0; i < 2; i++) {
        const Str kind = str_from(kinds[i]);
        int64_t epoch = 0;
        if (str_starts_with(suffix, kind) && suffix.size > kind.size + HASH_DIGITS + 1 &&
            suffix.data[kind.size + HASH_DIGITS] == '_' &&
            str_to_int64(str_slice(suffix, kind.size + HASH_DIGITS + 1, suffix.size), &epoch))
            return true;
    }
    return false;
}

static bool take_table(void *visitor, const Str *cells, size_t count, Error *err)
{
    LeftTables *left = visitor;
    const Str name = snowflake_cell(left->result, cells, "name");
    int64_t created_us = 0;
    (void)count;
    if (left->table == NULL) {
        (void)!str_to_int64(snowflake_cell(left->result, cells, "rows"), &left->state_rows);
        return true;
    }
    if (!is_staging(name, left->table->name) || left->drops->count == LEFT_TABLES_MAX ||
        !snowflake_time_us(snowflake_cell(left->result, cells, "created_on"), &created_us) ||
        created_us >= left->before_us)
        return true;
    Buf *sql = &left->drops->sql;
    return buf_append(sql, STR("DROP TABLE IF EXISTS "), err) &&
           snowflake_name(sql, left->table->schema, err) && buf_append_char(sql, '.', err) &&
           sql_name(sql, name, err) && snowflake_batch_end(left->drops, err);
}

static bool add_show(SnowflakeBatch *batch, Str name, const char *behind, Str schema, Error *err)
{
    CLEANUP(buf_done) Buf quoted = {0};
    CLEANUP(buf_done) Buf pattern = {0};
    return snowflake_name(&quoted, name, err) &&
           buf_append(&pattern, str_slice(buf_str(&quoted), 1, quoted.size - 2), err) &&
           buf_append(&pattern, str_from(behind), err) &&
           buf_append(&batch->sql, STR("SHOW TABLES LIKE "), err) &&
           snowflake_literal(&batch->sql, buf_str(&pattern), err) &&
           buf_append(&batch->sql, STR(" IN SCHEMA "), err) &&
           snowflake_name(&batch->sql, schema, err) && snowflake_batch_end(batch, err);
}

bool snowflake_drop_left(SnowflakeWarehouse *db, const TableSpec *tables, size_t count,
                         int64_t before_us, Error *err)
{
    CLEANUP(snowflake_batch_done) SnowflakeBatch shows = {0};
    CLEANUP(snowflake_batch_done) SnowflakeBatch drops = {0};
    SnowflakeResult result = {0};
    TRY(add_show(&shows, STR("PAWL_STATE"), "", db->options.schema, err));
    for (size_t i = 0; i < count; i++)
        TRY(add_show(&shows, tables[i].name, "\\_\\_%STAGE\\_%", tables[i].schema, err));
    TRY(snowflake_batch_run(db, &shows, true, &result, err));
    LeftTables left = {.before_us = before_us, .drops = &drops};
    for (size_t i = 0; i < shows.count; i++) {
        SnowflakeResult shown = {0};
        if (shows.count > 1)
            TRY(snowflake_child(db->api, &result, i, db->scratch, &shown, err));
        left.result = shows.count > 1 ? &shown : &result;
        left.table = i == 0 ? NULL : &tables[i - 1];
        TRY(snowflake_rows(db->api, left.result, take_table, &left, err));
    }
    db->state_is_long = left.state_rows > STATE_ROWS_MAX;
    return snowflake_batch_run(db, &drops, true, &result, err);
}

// Epochs below the highest; marks from before the last rewind, or below the one that stands. Nobody
// else updates or deletes there, so nobody waits for it; inserts never do.
static const char *const superseded[] = {
    "DELETE FROM @\"PAWL_STATE\" AS s USING (SELECT \"JOB\", \"MODE\", MAX(\"EPOCH\") AS \"EPOCH\""
    " FROM @\"PAWL_STATE\" WHERE \"KIND\" = 'epoch' GROUP BY \"JOB\", \"MODE\") AS k"
    " WHERE s.\"KIND\" = 'epoch' AND s.\"JOB\" = k.\"JOB\" AND s.\"MODE\" = k.\"MODE\""
    " AND s.\"EPOCH\" < k.\"EPOCH\"",
    "DELETE FROM @\"PAWL_STATE\" AS s USING (SELECT \"JOB\", \"TARGET\", \"STREAM\","
    " \"PARTITION_KEY\", MAX(\"REWOUND\") AS \"REWOUND\", MAX(CASE WHEN \"SEQUENCE\" >= \"REWOUND\""
    " THEN \"WATERMARK\" END) AS \"MARK\" FROM (SELECT p.*, MAX(CASE WHEN \"KIND\" = 'rewind' THEN"
    " \"SEQUENCE\" ELSE 0 END) OVER (PARTITION BY \"JOB\", \"TARGET\", \"STREAM\","
    " \"PARTITION_KEY\") AS \"REWOUND\" FROM @\"PAWL_STATE\" AS p WHERE \"KIND\" IN"
    " ('watermark', 'rewind')) AS m GROUP BY \"JOB\", \"TARGET\", \"STREAM\", \"PARTITION_KEY\")"
    " AS k WHERE s.\"KIND\" IN ('watermark', 'rewind') AND s.\"JOB\" = k.\"JOB\" AND"
    " s.\"TARGET\" = k.\"TARGET\" AND s.\"STREAM\" = k.\"STREAM\" AND s.\"PARTITION_KEY\" ="
    " k.\"PARTITION_KEY\" AND (s.\"SEQUENCE\" < k.\"REWOUND\" OR (s.\"KIND\" = 'watermark' AND"
    " s.\"WATERMARK\" < k.\"MARK\"))",
};

void snowflake_shorten_state(SnowflakeWarehouse *db)
{
    Error ignored = {0}; // the next run finds it long again
    if (!db->state_is_long)
        return;
    db->state_is_long = false;
    for (size_t i = 0; i < sizeof(superseded) / sizeof(superseded[0]); i++) {
        CLEANUP(buf_done) Buf sql = {0};
        if (!snowflake_own(db, &sql, superseded[i], &ignored) ||
            !snowflake_query(db, &sql, NULL, NULL, &ignored))
            return;
    }
}
