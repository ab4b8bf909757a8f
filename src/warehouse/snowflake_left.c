// What is left over: staging tables of loads that were killed, and rows of PAWL_STATE that later
// ones have replaced.
#include "warehouse/snowflake_state.h"

#include <assert.h>

enum { LEFT_TABLES_MAX = 1000, STATE_ROWS_MAX = 10000, SCHEMAS_MAX = 64 };

typedef struct LeftTables {
    SnowflakeWarehouse *db;
    const SnowflakeResult *result; // of SHOW TABLES
    const TableSpec *tables;       // whose staging tables are looked for
    size_t table_count;
    Str schema; // that is shown; empty = PAWL_STATE alone
    int64_t before_us;
    SnowflakeBatch *drops;
    int64_t state_rows;
} LeftTables;

// Whether `text` is "<12 digits>_<epoch>", behind a prefix: the load's id hashed
// (snowflake_commit.c).
static bool names_load(Str text)
{
    int64_t epoch = 0;
    return text.size > SNOWFLAKE_HASH_DIGITS + 1 && text.data[SNOWFLAKE_HASH_DIGITS] == '_' &&
           str_to_int64(str_slice(text, SNOWFLAKE_HASH_DIGITS + 1, text.size), &epoch);
}

static bool begins_with(Str name, Str prefix)
{
    return name.size >= prefix.size &&
           str_equal_ignoring_case(str_slice(name, 0, prefix.size), prefix);
}

// A staging table of `table`, in the schema that is shown. Earlier versions had them in the
// target's own, without its digits.
static bool is_staging(const LeftTables *left, const TableSpec *table, Str name, bool *ret_is,
                       Error *err)
{
    static const char *const kinds[] = {"STAGE", "QSTAGE"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !*ret_is; i++) {
        CLEANUP(buf_done) Buf prefix = {0};
        CLEANUP(buf_done) Buf former = {0};
        TRY(snowflake_staging_prefix(&prefix, table, kinds[i], err) &&
            buf_append(&former, table->name, err) && buf_printf(&former, err, "__%s_", kinds[i]));
        const bool ours = str_equal_ignoring_case(left->schema, left->db->options.schema) &&
                          begins_with(name, buf_str(&prefix)) &&
                          names_load(str_slice(name, prefix.size, name.size));
        *ret_is = ours || (str_equal_ignoring_case(left->schema, table->schema) &&
                           begins_with(name, buf_str(&former)) &&
                           names_load(str_slice(name, former.size, name.size)));
    }
    return true;
}

static bool take_table(void *visitor, const Str *cells, size_t count, Error *err)
{
    LeftTables *left = visitor;
    const Str name = snowflake_cell(left->result, cells, "name");
    int64_t created_us = 0;
    bool staging = false;
    (void)count;
    if (left->schema.size == 0) {
        (void)!str_to_int64(snowflake_cell(left->result, cells, "rows"), &left->state_rows);
        return true;
    }
    for (size_t i = 0; i < left->table_count && !staging; i++)
        TRY(is_staging(left, &left->tables[i], name, &staging, err));
    if (!staging || left->drops->count == LEFT_TABLES_MAX ||
        !snowflake_time_us(snowflake_cell(left->result, cells, "created_on"), &created_us) ||
        created_us >= left->before_us)
        return true;
    Buf *sql = &left->drops->sql;
    return buf_append(sql, STR("DROP TABLE IF EXISTS "), err) &&
           snowflake_name(sql, left->schema, err) && buf_append_char(sql, '.', err) &&
           sql_name(sql, name, err) && snowflake_batch_end(left->drops, err);
}

bool snowflake_show_tables(SnowflakeBatch *batch, Str pattern, Str schema, Error *err)
{
    return buf_append(&batch->sql, STR("SHOW TABLES LIKE "), err) &&
           snowflake_literal(&batch->sql, pattern, err) &&
           buf_append(&batch->sql, STR(" IN SCHEMA "), err) &&
           snowflake_name(&batch->sql, schema, err) && snowflake_batch_end(batch, err);
}

static bool is_among(const Str *schemas, size_t count, Str schema)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_ignoring_case(schemas[i], schema))
            return true;
    }
    return false;
}

bool snowflake_drop_left(SnowflakeWarehouse *db, const TableSpec *tables, size_t count,
                         int64_t before_us, Error *err)
{
    CLEANUP(snowflake_batch_done) SnowflakeBatch shows = {0};
    CLEANUP(snowflake_batch_done) SnowflakeBatch drops = {0};
    SnowflakeResult result = {0};
    Str schemas[SCHEMAS_MAX] = {db->options.schema};
    size_t schema_count = 1;
    for (size_t i = 0; i < count && schema_count < SCHEMAS_MAX; i++) {
        if (!is_among(schemas, schema_count, tables[i].schema))
            schemas[schema_count++] = tables[i].schema;
    }
    TRY(snowflake_show_tables(&shows, STR("PAWL\\_STATE"), db->options.schema, err));
    for (size_t i = 0; i < schema_count; i++)
        TRY(snowflake_show_tables(&shows, STR("%\\_\\_%STAGE\\_%"), schemas[i], err));
    TRY(snowflake_batch_run(db, &shows, true, &result, err));
    LeftTables left = {
        .db = db, .tables = tables, .table_count = count, .before_us = before_us, .drops = &drops};
    for (size_t i = 0; i < shows.count; i++) {
        SnowflakeResult shown = {0};
        TRY(snowflake_child(db->api, &result, i, db->scratch, &shown, err));
        left.result = &shown;
        left.schema = i == 0 ? STR("") : schemas[i - 1];
        TRY(snowflake_rows(db->api, left.result, take_table, &left, err));
    }
    db->state_is_long = left.state_rows > STATE_ROWS_MAX;
    return snowflake_batch_run(db, &drops, true, &result, err);
}

// Epochs below the highest; marks from before the last rewind, or below the one that stands.
// Inserts never wait for it, and nobody but another run that does the same deletes there.
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
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    SnowflakeResult result = {0};
    bool ok = snowflake_lock_timeout(db, &batch, &ignored);
    for (size_t i = 0; ok && i < sizeof(superseded) / sizeof(superseded[0]); i++)
        ok = snowflake_own(db, &batch.sql, superseded[i], &ignored) &&
             snowflake_batch_end(&batch, &ignored);
    (void)!(ok && snowflake_batch_run(db, &batch, false, &result, &ignored));
}
