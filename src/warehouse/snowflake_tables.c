// DDL: the ledger and the tables of the contracts. None of it wakes a warehouse but a new __PAWL.
#include "batch/pattern.h"
#include "warehouse/snowflake_state.h"

#include <assert.h>
#include <stdio.h>

enum { TYPE_BYTES = 64, TABLES_A_REQUEST = 16 };

// As the other warehouses have them (sql.c), with Snowflake's types. PAWL_STATE only grows: rows
// are inserted, never updated, since an UPDATE would lock the micro-partitions of other jobs' rows;
// the newest counts. TABLE_VERSION is the count of loads that the table had seen (its __PAWL
// table).
static const char *const ledger[] = {
    "CREATE TABLE IF NOT EXISTS @\"PAWL_LOAD\" (\"RUN_ID\" VARCHAR, \"STREAM\" VARCHAR,"
    " \"LOAD_ORDINAL\" NUMBER(19,0), \"LOAD_ID\" VARCHAR, \"JOB\" VARCHAR, \"MODE\" VARCHAR,"
    " \"TARGET\" VARCHAR, \"CHECKSUM\" VARCHAR, \"EPOCH\" NUMBER(19,0),"
    " \"ROWS_INSERTED\" NUMBER(19,0), \"ROWS_UPDATED\" NUMBER(19,0),"
    " \"ROWS_UNCHANGED\" NUMBER(19,0), \"ROWS_DELETED\" NUMBER(19,0),"
    " \"ROWS_QUARANTINED\" NUMBER(19,0), \"LOADED_AT\" TIMESTAMP_TZ(6),"
    " \"TABLE_VERSION\" NUMBER(19,0))",
    "CREATE TABLE IF NOT EXISTS @\"PAWL_SLICE\" (\"TARGET\" VARCHAR, \"STREAM\" VARCHAR,"
    " \"PARTITION_KEY\" VARCHAR, \"WINDOW_FROM\" TIMESTAMP_TZ(6), \"WINDOW_TO\" TIMESTAMP_TZ(6),"
    " \"FETCHED_AT\" TIMESTAMP_TZ(6), \"TOTAL_ROWS\" NUMBER(19,0), \"LANDED_ROWS\" NUMBER(19,0),"
    " \"SKIPPED\" BOOLEAN, \"LOAD_ID\" VARCHAR, \"LOADED_AT\" TIMESTAMP_TZ(6))",
    "CREATE TABLE IF NOT EXISTS @\"PAWL_STATE\" (\"KIND\" VARCHAR, \"JOB\" VARCHAR,"
    " \"MODE\" VARCHAR, \"TARGET\" VARCHAR, \"STREAM\" VARCHAR, \"PARTITION_KEY\" VARCHAR,"
    " \"EPOCH\" NUMBER(19,0), \"WATERMARK\" TIMESTAMP_TZ(6), \"UPDATED_AT\" TIMESTAMP_TZ(6),"
    " \"SEQUENCE\" NUMBER(19,0))",
    "CREATE TABLE IF NOT EXISTS @\"ETL_LOG\" (\"RUN_ID\" VARCHAR, \"JOB\" VARCHAR,"
    " \"MODE\" VARCHAR, \"STAGE\" VARCHAR, \"STREAM\" VARCHAR, \"PARTITION_KEY\" VARCHAR,"
    " \"SLICE_ORDINAL\" NUMBER(19,0), \"LOAD_ORDINAL\" NUMBER(19,0), \"STATUS\" VARCHAR,"
    " \"ROWS_IN\" NUMBER(19,0), \"ROWS_LANDED\" NUMBER(19,0), \"ROWS_INSERTED\" NUMBER(19,0),"
    " \"ROWS_UPDATED\" NUMBER(19,0), \"ROWS_UNCHANGED\" NUMBER(19,0),"
    " \"ROWS_DELETED\" NUMBER(19,0), \"ROWS_QUARANTINED\" NUMBER(19,0),"
    " \"ROWS_OVERFLOWED\" NUMBER(19,0), \"BYTES\" NUMBER(19,0), \"REQUESTS\" NUMBER(19,0),"
    " \"ATTEMPTS\" NUMBER(19,0), \"WAIT_US\" NUMBER(19,0), \"STARTED_AT\" TIMESTAMP_TZ(6),"
    " \"DURATION_US\" NUMBER(19,0), \"ERROR\" VARIANT, \"LOGGED_AT\" TIMESTAMP_TZ(6))",
};
enum { LEDGER_STATEMENTS = sizeof(ledger) / sizeof(ledger[0]) };

// Each may read the ones before it.
static const struct {
    const char *name, *select;
} ledger_views[] = {
    // The watermarks that stand: the greatest since each was last set by hand.
    {"PAWL_WATERMARK",
     "SELECT \"JOB\", \"TARGET\", \"STREAM\","
     " \"PARTITION_KEY\", MAX(\"WATERMARK\") AS \"WATERMARK\" FROM (SELECT s.*, MAX(CASE WHEN"
     " \"KIND\" = 'rewind' THEN \"SEQUENCE\" ELSE 0 END) OVER (PARTITION BY \"JOB\", \"TARGET\","
     " \"STREAM\", \"PARTITION_KEY\") AS \"REWOUND\" FROM @\"PAWL_STATE\" AS s"
     " WHERE \"KIND\" IN ('watermark', 'rewind')) AS m WHERE \"SEQUENCE\" >= \"REWOUND\""
     " GROUP BY \"JOB\", \"TARGET\", \"STREAM\", \"PARTITION_KEY\""},
    {"PIPELINE_HEALTH",
     "WITH loads AS (SELECT job, stream, target, MAX(loaded_at) AS last_loaded_at"
     " FROM @\"PAWL_LOAD\" GROUP BY job, stream, target),"
     " marks AS (SELECT job, stream, target, MIN(watermark) AS fresh_until,"
     " COUNT(*) AS partitions FROM @\"PAWL_WATERMARK\" GROUP BY job, stream, target),"
     " runs AS (SELECT job, run_id, mode, status, started_at,"
     " ROW_NUMBER() OVER (PARTITION BY job ORDER BY started_at DESC, logged_at DESC) AS age"
     " FROM @\"ETL_LOG\" WHERE stage = 'run'),"
     " rates AS (SELECT job, COUNT(*) AS runs_90d,"
     " SUM(CASE WHEN status = 'ok' THEN 1 ELSE 0 END) AS runs_ok_90d"
     " FROM runs WHERE started_at > DATEADD('day', -90, CURRENT_TIMESTAMP()) GROUP BY job)"
     " SELECT COALESCE(loads.job, marks.job) AS job, COALESCE(loads.stream, marks.stream) AS "
     "stream,"
     " COALESCE(loads.target, marks.target) AS target, marks.partitions, marks.fresh_until,"
     " DATEDIFF('minute', marks.fresh_until, CURRENT_TIMESTAMP()) AS minutes_behind,"
     " loads.last_loaded_at, rates.runs_90d, rates.runs_ok_90d,"
     " CAST(100.0 * rates.runs_ok_90d / rates.runs_90d AS NUMBER(5,2)) AS success_percent_90d,"
     " last_run.run_id AS last_run_id, last_run.mode AS last_run_mode,"
     " last_run.status AS last_run_status, last_run.started_at AS last_run_started_at"
     " FROM loads FULL OUTER JOIN marks ON marks.job = loads.job AND marks.stream = loads.stream"
     " AND marks.target = loads.target"
     " LEFT JOIN rates ON rates.job = COALESCE(loads.job, marks.job)"
     " LEFT JOIN runs AS last_run ON last_run.job = COALESCE(loads.job, marks.job)"
     " AND last_run.age = 1"},
};
enum { LEDGER_VIEWS = sizeof(ledger_views) / sizeof(ledger_views[0]) };

static bool append_column(Buf *out, const Column *column, Error *err)
{
    char type[TYPE_BYTES];
    snowflake_type_name(column, type, sizeof(type));
    // The only constraint on a table that Snowflake enforces.
    TRY(snowflake_name(out, column->name, err) &&
        buf_printf(out, err, " %s%s", type,
                   str_equal(column->name, STR("_row_key")) ? " NOT NULL" : ""));
    if (column->comment.size == 0)
        return true;
    return buf_append(out, STR(" COMMENT "), err) && snowflake_literal(out, column->comment, err);
}

static bool append_table(SnowflakeBatch *batch, const TableSpec *table, const char *suffix,
                         const Column *columns, size_t count, size_t driver_count, Error *err)
{
    Buf *sql = &batch->sql;
    TRY(buf_append(sql, STR("CREATE TABLE IF NOT EXISTS "), err) &&
        snowflake_table(sql, table, suffix, err) && buf_append(sql, STR(" ("), err));
    for (size_t i = 0; i < count + driver_count; i++) {
        TRY(append_column(sql, i < count ? &columns[i] : &sql_driver_columns[i - count], err));
        TRY(buf_append(sql, i + 1 < count + driver_count ? STR(", ") : STR(")"), err));
    }
    return snowflake_batch_end(batch, err);
}

static bool append_tables(SnowflakeBatch *batch, const TableSpec *table, Error *err)
{
    return append_table(batch, table, "", table->columns, table->column_count, SQL_DRIVER_COLUMNS,
                        err) &&
           (table->quarantine_count == 0 ||
            append_table(batch, table, "__QUARANTINE", table->quarantine_columns,
                         table->quarantine_count, SQL_DRIVER_COLUMNS - 1, err));
}

// One row for each table that a load takes hold of first: who changes it, alone, may go on. It is a
// table of its own, so that loads of other tables are not held up.
static bool append_counter(SnowflakeWarehouse *db, SnowflakeBatch *batch, const TableSpec *table,
                           Error *err)
{
    Buf *sql = &batch->sql;
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    // Made anew it goes on from what the ledger knows: counted from 0, marks would be older than
    // those that were set by hand before. The ledger was made first.
    TRY(buf_append(sql, STR("CREATE TABLE IF NOT EXISTS "), err) &&
        snowflake_table(sql, table, "__PAWL", err) &&
        snowflake_own(db, sql,
                      " AS SELECT COALESCE(MAX(\"COUNT\"), 0)::NUMBER(19,0) AS \"VERSION\","
                      " ''::VARCHAR AS \"HOLDER\", CURRENT_TIMESTAMP()::TIMESTAMP_TZ(6) AS"
                      " \"UPDATED_AT\" FROM (SELECT \"SEQUENCE\" AS \"COUNT\" FROM"
                      " @\"PAWL_STATE\" WHERE \"TARGET\" = ",
                      err) &&
        snowflake_literal(sql, target, err) &&
        snowflake_own(db, sql,
                      " UNION ALL SELECT \"TABLE_VERSION\" FROM @\"PAWL_LOAD\" WHERE"
                      " \"TARGET\" = ",
                      err) &&
        snowflake_literal(sql, target, err) && buf_append(sql, STR(") AS seen"), err));
    return snowflake_batch_end(batch, err);
}

// --- counters that stand

typedef struct Counters {
    const SnowflakeResult *result; // of SHOW TABLES
    const TableSpec *tables;
    size_t count;
    bool *there; // [count]
} Counters;

static bool note_counter(void *visitor, const Str *cells, size_t cell_count, Error *err)
{
    Counters *counters = visitor;
    CLEANUP(buf_done) Buf shown = {0};
    (void)cell_count;
    TRY(sql_name(&shown, snowflake_cell(counters->result, cells, "schema_name"), err) &&
        buf_append_char(&shown, '.', err) &&
        sql_name(&shown, snowflake_cell(counters->result, cells, "name"), err));
    for (size_t i = 0; i < counters->count; i++) {
        CLEANUP(buf_done) Buf own = {0};
        TRY(snowflake_table(&own, &counters->tables[i], "__PAWL", err));
        counters->there[i] = counters->there[i] || str_equal(buf_str(&own), buf_str(&shown));
    }
    return true;
}

static bool show_counters(SnowflakeBatch *batch, const TableSpec *tables, size_t count, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        bool shown = false;
        for (size_t k = 0; k < i; k++)
            shown = shown || str_equal_ignoring_case(tables[k].schema, tables[i].schema);
        TRY(shown || snowflake_show_tables(batch, STR("%\\_\\_PAWL"), tables[i].schema, err));
    }
    return true;
}

// --- columns that stand

typedef struct Standing {
    const TableSpec *table;
    const SnowflakeResult *result; // of SHOW COLUMNS
    Arena *arena;
    bool *there; // [column_count + SQL_DRIVER_COLUMNS]
} Standing;

static const Column *column_at(const TableSpec *table, size_t i)
{
    return i < table->column_count ? &table->columns[i]
                                   : &sql_driver_columns[i - table->column_count];
}

// What SHOW COLUMNS calls the type.
static const char *kind_of(ColumnType type)
{
    switch (type) {
    case COLUMN_STRING:
        return "TEXT";
    case COLUMN_INT64:
    case COLUMN_DECIMAL:
        return "FIXED";
    case COLUMN_DOUBLE:
        return "REAL";
    case COLUMN_BOOLEAN:
        return "BOOLEAN";
    case COLUMN_TIMESTAMP:
        return "TIMESTAMP_TZ";
    case COLUMN_DATE:
        return "DATE";
    case COLUMN_JSON:
        return "VARIANT";
    case COLUMN_KEY:
        return "BINARY";
    }
    return "";
}

// {"type":"FIXED","precision":19,"scale":0,...}
static bool check_type(const Standing *standing, const Column *column, Str shown, Error *err)
{
    yyjson_doc *doc = NULL;
    char wanted[TYPE_BYTES];
    TRY(json_parse(shown, "SHOW COLUMNS", standing->arena, &doc, err));
    yyjson_val *type = yyjson_doc_get_root(doc);
    const Str kind = json_str(json_get(type, STR("type")));
    const bool fixed = str_equal(kind, STR("FIXED"));
    const int precision = column->type == COLUMN_INT64 ? 19 : column->precision;
    const int scale = column->type == COLUMN_INT64 ? 0 : column->scale;
    if (str_equal(kind, str_from(kind_of(column->type))) &&
        (!fixed || (yyjson_get_int(json_get(type, STR("precision"))) == precision &&
                    yyjson_get_int(json_get(type, STR("scale"))) == scale)))
        return true;
    snowflake_type_name(column, wanted, sizeof(wanted));
    return error_set(err, ERROR_JOB,
                     "table " STR_FMT "." STR_FMT ": its column '" STR_FMT "' is " STR_FMT
                     ", the contract says %s",
                     STR_ARG(standing->table->schema), STR_ARG(standing->table->name),
                     STR_ARG(column->name), STR_ARG(shown), wanted);
}

static bool note_column(void *visitor, const Str *cells, size_t count, Error *err)
{
    Standing *standing = visitor;
    const TableSpec *table = standing->table;
    const Str name = snowflake_cell(standing->result, cells, "column_name");
    const Str type = snowflake_cell(standing->result, cells, "data_type");
    (void)count;
    for (size_t i = 0; i < table->column_count + SQL_DRIVER_COLUMNS; i++) {
        if (!str_equal_ignoring_case(column_at(table, i)->name, name))
            continue;
        TRY(check_type(standing, column_at(table, i), type, err));
        standing->there[i] = true;
    }
    return true;
}

static bool append_missing(SnowflakeBatch *batch, const Standing *standing, Error *err)
{
    const TableSpec *table = standing->table;
    for (size_t i = 0; i < table->column_count + SQL_DRIVER_COLUMNS; i++) {
        if (standing->there[i])
            continue;
        const Column *column = column_at(table, i);
        if (!table->evolve)
            return error_set(err, ERROR_JOB,
                             "table " STR_FMT "." STR_FMT ": it stands without column '" STR_FMT
                             "' of the contract, whose evolution adds none",
                             STR_ARG(table->schema), STR_ARG(table->name), STR_ARG(column->name));
        TRY(buf_append(&batch->sql, STR("ALTER TABLE "), err) &&
            snowflake_table(&batch->sql, table, "", err) &&
            buf_append(&batch->sql, STR(" ADD COLUMN IF NOT EXISTS "), err) &&
            append_column(&batch->sql, column, err) && snowflake_batch_end(batch, err));
    }
    return true;
}

// Makes counters that are not there yet. The others are not even asked for: a table that is made of
// a query takes a warehouse, and of one that stands already the manual does not say.
static bool append_missing_counters(SnowflakeWarehouse *db, SnowflakeBatch *batch,
                                    Counters *counters, Error *err)
{
    for (size_t i = 0; i < counters->count; i++)
        TRY(counters->there[i] || append_counter(db, batch, &counters->tables[i], err));
    return true;
}

// Creates up to TABLES_A_REQUEST tables in one request, and looks what columns they have.
static bool prepare_some(SnowflakeWarehouse *db, const TableSpec *tables, size_t count, Error *err)
{
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    for (size_t i = 0; i < count; i++)
        TRY(append_tables(&batch, &tables[i], err));
    const size_t created = batch.count;
    for (size_t i = 0; i < count; i++) {
        TRY(buf_append(&batch.sql, STR("SHOW COLUMNS IN TABLE "), err) &&
            snowflake_table(&batch.sql, &tables[i], "", err) && snowflake_batch_end(&batch, err));
    }
    TRY(show_counters(&batch, tables, count, err));
    SnowflakeResult result = {0};
    TRY(snowflake_batch_run(db, &batch, true, &result, err));
    CLEANUP(snowflake_batch_done) SnowflakeBatch missing = {0};
    for (size_t i = 0; i < count; i++) {
        SnowflakeResult columns = {0};
        TRY(snowflake_child(db->api, &result, created + i, db->scratch, &columns, err));
        Standing standing = {.table = &tables[i], .result = &columns, .arena = db->scratch};
        standing.there = arena_alloc_array(db->scratch, tables[i].column_count + SQL_DRIVER_COLUMNS,
                                           sizeof(bool), err);
        TRY(standing.there != NULL);
        TRY(snowflake_rows(db->api, &columns, note_column, &standing, err));
        TRY(append_missing(&missing, &standing, err));
    }
    bool there[TABLES_A_REQUEST] = {false};
    Counters counters = {.tables = tables, .count = count, .there = there};
    for (size_t i = created + count; i < batch.count; i++) {
        SnowflakeResult shown = {0};
        TRY(snowflake_child(db->api, &result, i, db->scratch, &shown, err));
        counters.result = &shown;
        TRY(snowflake_rows(db->api, &shown, note_counter, &counters, err));
    }
    return append_missing_counters(db, &missing, &counters, err) &&
           snowflake_batch_run(db, &missing, true, &result, err);
}

static bool make_ledger(SnowflakeWarehouse *db, Error *err)
{
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    for (size_t i = 0; i < LEDGER_STATEMENTS; i++)
        TRY(snowflake_own(db, &batch.sql, ledger[i], err) && snowflake_batch_end(&batch, err));
    SnowflakeResult result = {0};
    TRY(snowflake_batch_run(db, &batch, true, &result, err));
    for (size_t i = 0; i < LEDGER_VIEWS; i++) {
        CLEANUP(buf_done) Buf select = {0};
        TRY(snowflake_own(db, &select, ledger_views[i].select, err));
        const ViewSpec view = {.schema = db->options.schema,
                               .name = str_from(ledger_views[i].name),
                               .select = buf_str(&select)};
        TRY(snowflake_make_views(db, &view, 1, err));
    }
    db->has_ledger = true;
    return true;
}

bool snowflake_prepare(void *state, const TableSpec *tables, size_t count, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    kill_point("warehouse prepare");
    TRY(make_ledger(db, err));
    for (size_t i = 0; i < count; i += TABLES_A_REQUEST)
        TRY(prepare_some(db, tables + i,
                         count - i < TABLES_A_REQUEST ? count - i : TABLES_A_REQUEST, err));
    snowflake_remove_left(db);
    Error ignored = {0}; // whoever prepares next tries again
    (void)!snowflake_drop_left(db, tables, count,
                               db->env->now_us(db->env->state) - SNOWFLAKE_LEFT_AFTER_US, &ignored);
    kill_point("warehouse prepared");
    return true;
}

// --- a path of _overflow becomes a column

enum { PATH_STEPS_MAX = 64 };

// ['a']['b'] for the first `count` steps of "/a/b", as a path behind a VARIANT.
static bool append_steps(Buf *out, const Str *steps, size_t count, Error *err)
{
    TRY(buf_append(out, STR("\"_OVERFLOW\""), err));
    for (size_t i = 0; i < count; i++)
        TRY(buf_append_char(out, '[', err) && snowflake_literal(out, steps[i], err) &&
            buf_append_char(out, ']', err));
    return true;
}

static bool split_steps(Str path, Arena *arena, Str steps[PATH_STEPS_MAX], size_t *ret_count,
                        Error *err)
{
    Str rest = str_slice(path, 1, path.size);
    for (*ret_count = 0; rest.data != NULL; (*ret_count)++) {
        CLEANUP(buf_done) Buf name = {0};
        if (*ret_count == PATH_STEPS_MAX)
            return error_set(err, ERROR_LIMIT, "path: more than %d steps", PATH_STEPS_MAX);
        TRY(json_read_step(str_split_next(&rest, '/'), &name, err) &&
            arena_copy_str(arena, buf_str(&name), &steps[*ret_count], err));
    }
    return true;
}

// The object at the path, and NULL where none is: unlike a cast, AS_OBJECT() never fails, whichever
// of a statement's parts Snowflake looks at first.
static bool append_object(Buf *out, const Str *steps, size_t count, Error *err)
{
    return buf_append(out, STR("AS_OBJECT("), err) && append_steps(out, steps, count, err) &&
           buf_append_char(out, ')', err);
}

// _OVERFLOW without what lies at the path. OBJECT_DELETE() takes members of one object only, so
// each object around it is put into the one around that again.
static bool append_without(Buf *out, const Str *steps, size_t count, Error *err)
{
    for (size_t i = 0; i + 1 < count; i++)
        TRY(buf_append(out, STR("OBJECT_INSERT("), err) && append_object(out, steps, i, err) &&
            buf_append(out, STR(", "), err) && snowflake_literal(out, steps[i], err) &&
            buf_append(out, STR(", "), err));
    TRY(buf_append(out, STR("OBJECT_DELETE("), err) && append_object(out, steps, count - 1, err) &&
        buf_append(out, STR(", "), err) && snowflake_literal(out, steps[count - 1], err) &&
        buf_append_char(out, ')', err));
    for (size_t i = 0; i + 1 < count; i++)
        TRY(buf_append(out, STR(", TRUE)"), err));
    return true;
}

// TRY_CAST() takes text only, so everything but JSON goes by its text. Alone it would round 12.7 to
// 13, and take 'yes' for true and digits for seconds since 1970. Of times it would take what the
// user's settings say; AUTO is what Snowflake itself reads.
static bool append_cast(Buf *out, const Column *column, const Str *steps, size_t count, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    CLEANUP(buf_done) Buf cast = {0};
    char type[TYPE_BYTES];
    char pattern[PATTERN_BYTES];
    if (column->type == COLUMN_JSON)
        return append_steps(out, steps, count, err);
    snowflake_type_name(column, type, sizeof(type));
    pattern_of(column, pattern);
    const char *range = pattern_range(column->type);
    TRY(append_steps(&text, steps, count, err) && buf_append(&text, STR("::VARCHAR"), err) &&
        (column->type == COLUMN_DATE || column->type == COLUMN_TIMESTAMP
             ? buf_printf(&cast, err, "TRY_TO_%s(" STR_FMT ", 'AUTO')",
                          column->type == COLUMN_DATE ? "DATE" : "TIMESTAMP_TZ",
                          STR_ARG(buf_str(&text)))
             : buf_printf(&cast, err, "TRY_CAST(" STR_FMT " AS %s)", STR_ARG(buf_str(&text)),
                          type)));
    if (pattern[0] == '\0')
        return buf_append(out, buf_str(&cast), err);
    TRY(buf_printf(out, err, "CASE WHEN REGEXP_LIKE(" STR_FMT ", '%s')", STR_ARG(buf_str(&text)),
                   pattern));
    if (range[0] != '\0')
        TRY(buf_printf(out, err, " AND " STR_FMT "%s", STR_ARG(buf_str(&cast)), range));
    return buf_printf(out, err, " THEN " STR_FMT " END", STR_ARG(buf_str(&cast)));
}

bool snowflake_promote(void *state, const TableSpec *table, const Column *column, Str path,
                       int64_t *ret_rows, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (path.size < 2 || path.data[0] != '/')
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is no path such as /foo/bar",
                         STR_ARG(path));
    Str steps[PATH_STEPS_MAX];
    size_t count = 0;
    TRY(snowflake_begin_call(db, err) && split_steps(path, db->scratch, steps, &count, err));
    assert(count > 0);
    CLEANUP(snowflake_batch_done) SnowflakeBatch add = {0};
    TRY(buf_append(&add.sql, STR("ALTER TABLE "), err) &&
        snowflake_table(&add.sql, table, "", err) &&
        buf_append(&add.sql, STR(" ADD COLUMN IF NOT EXISTS "), err) &&
        append_column(&add.sql, column, err) && snowflake_batch_end(&add, err));
    SnowflakeResult result = {0};
    TRY(snowflake_batch_run(db, &add, true, &result, err));
    CLEANUP(snowflake_batch_done) SnowflakeBatch update = {0};
    Buf *sql = &update.sql;
    TRY(snowflake_lock_timeout(db, &update, err) && buf_append(sql, STR("UPDATE "), err) &&
        snowflake_table(sql, table, "", err) && buf_append(sql, STR(" SET "), err) &&
        snowflake_name(sql, column->name, err) && buf_append(sql, STR(" = "), err) &&
        append_cast(sql, column, steps, count, err) &&
        buf_append(sql, STR(", \"_OVERFLOW\" = NULLIF("), err) &&
        append_without(sql, steps, count, err) &&
        buf_append(sql, STR(", OBJECT_CONSTRUCT()) WHERE \"_OVERFLOW\" IS NOT NULL AND "), err) &&
        buf_append_char(sql, '(', err) && append_cast(sql, column, steps, count, err) &&
        buf_append(sql, STR(") IS NOT NULL"), err));
    // What lies in an array stays: it has no members to be taken out.
    for (size_t i = 1; i < count; i++)
        TRY(buf_append(sql, STR(" AND "), err) && append_object(sql, steps, i, err) &&
            buf_append(sql, STR(" IS NOT NULL"), err));
    TRY(snowflake_batch_end(&update, err));
    SnowflakeResult updated = {0};
    return snowflake_batch_run(db, &update, false, &result, err) &&
           snowflake_child(db->api, &result, 1, db->scratch, &updated, err) &&
           snowflake_changed(&updated, ret_rows, err);
}
