// DDL: the ledger and the tables of the contracts.
//
// Nothing is created where all stands, and nothing needs a right that is not used: PostgreSQL asks
// for the right to create even where IF NOT EXISTS would create nothing.
#include "warehouse/postgres_state.h"

#include <assert.h>
#include <stdio.h>

void pg_type_name(const Column *column, char text[PG_TYPE_BYTES])
{
    static const char *const names[] = {
        [COLUMN_STRING] = "text",
        [COLUMN_INT64] = "bigint",
        [COLUMN_DOUBLE] = "double precision",
        [COLUMN_DECIMAL] = "numeric",
        [COLUMN_BOOLEAN] = "boolean",
        [COLUMN_TIMESTAMP] = "timestamp with time zone",
        [COLUMN_DATE] = "date",
        [COLUMN_JSON] = "jsonb",
        [COLUMN_KEY] = "uuid",
    };
    if (column->type == COLUMN_DECIMAL)
        (void)snprintf(text, PG_TYPE_BYTES, "numeric(%d,%d)", column->precision, column->scale);
    else
        (void)snprintf(text, PG_TYPE_BYTES, "%s", names[column->type]);
}

// --- what stands

// A table or schema that the catalog knows; `mine` = the role may alter it.
typedef struct Relation {
    bool exists, mine;
} Relation;

static bool take_relation(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(Relation *)visitor = (Relation){true, pg_get_bool(result, row, 0)};
    return true;
}

static bool find_schema(PgWarehouse *db, Str schema, Relation *ret_found, Error *err)
{
    const PgValue values[] = {pg_value_text(schema)};
    const PgStatement query = {.sql = "SELECT pg_has_role(nspowner, 'USAGE') FROM"
                                      " pg_catalog.pg_namespace WHERE nspname = $1",
                               .values = values,
                               .value_count = 1};
    *ret_found = (Relation){0};
    return pg_query(&db->pg, &query, take_relation, ret_found, err);
}

static bool find_table(PgWarehouse *db, Str schema, Str name, Relation *ret_found, Error *err)
{
    const PgValue values[] = {pg_value_text(schema), pg_value_text(name)};
    const PgStatement query = {
        .sql = "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class AS c"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
               " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
        .values = values,
        .value_count = 2};
    *ret_found = (Relation){0};
    return pg_query(&db->pg, &query, take_relation, ret_found, err);
}

static bool check_name(Str name, Error *err)
{
    if (name.size > 0 && name.size <= PG_NAME_BYTES_MAX)
        return true;
    return error_set(err, ERROR_JOB, "'" STR_FMT "': a name in PostgreSQL has 1 to %d bytes",
                     STR_ARG(name), PG_NAME_BYTES_MAX);
}

static bool make_schema(PgWarehouse *db, Str schema, Error *err)
{
    Relation found = {0};
    TRY(check_name(schema, err) && find_schema(db, schema, &found, err));
    if (found.exists)
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("CREATE SCHEMA "), err) && sql_name(&sql, schema, err));
    return pg_warehouse_run_buf(db, &sql, err) ||
           error_context(err, "schema " STR_FMT, STR_ARG(schema));
}

// --- tables

static bool append_columns(Buf *sql, const Column *columns, size_t count, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        char type[PG_TYPE_BYTES];
        pg_type_name(&columns[i], type);
        TRY(check_name(columns[i].name, err) && sql_name(sql, columns[i].name, err) &&
            buf_printf(sql, err, " %s%s, ", type,
                       str_equal(columns[i].name, STR("_row_key")) ? " PRIMARY KEY" : ""));
    }
    return true;
}

// No NOT NULL but for the key: what a contract requires may change, and evolve can add no such
// column to rows that stand.
static bool create_table(PgWarehouse *db, const TableSpec *table, const char *suffix,
                         const Column *columns, size_t count, size_t driver_count, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("CREATE TABLE "), err) && sql_table(&sql, table, suffix, err) &&
        buf_append(&sql, STR(" ("), err) && append_columns(&sql, columns, count, err) &&
        append_columns(&sql, sql_driver_columns, driver_count, err));
    sql.size -= 2;
    return buf_append_char(&sql, ')', err) && pg_warehouse_run_buf(db, &sql, err);
}

// By partition and window, or each slice whose deletions are looked for would read the whole table.
static bool create_index(PgWarehouse *db, const TableSpec *table, Error *err)
{
    if (table->window_column.size == 0)
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("CREATE INDEX ON "), err) && sql_table(&sql, table, "", err) &&
        buf_append(&sql, STR(" ("), err));
    for (size_t i = 0; i < table->partition_count; i++)
        TRY(sql_name(&sql, table->partition_columns[i], err) && buf_append(&sql, STR(", "), err));
    return sql_name(&sql, table->window_column, err) && buf_append_char(&sql, ')', err) &&
           pg_warehouse_run_buf(db, &sql, err);
}

static bool comment_on(PgWarehouse *db, const TableSpec *table, const Column *column, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("COMMENT ON COLUMN "), err) && sql_table(&sql, table, "", err) &&
        buf_append_char(&sql, '.', err) && sql_name(&sql, column->name, err) &&
        buf_append(&sql, STR(" IS "), err) &&
        sql_literal(&sql_dialect_postgres, &sql, column->comment, err));
    return pg_warehouse_run_buf(db, &sql, err);
}

// Adds a missing column, or says that it is missing.
static bool add_column(PgWarehouse *db, const TableSpec *table, const Column *column, Error *err)
{
    if (!table->evolve)
        return error_set(err, ERROR_JOB,
                         "it stands without column '" STR_FMT
                         "' of the contract, whose evolution adds none",
                         STR_ARG(column->name));
    char type[PG_TYPE_BYTES];
    CLEANUP(buf_done) Buf sql = {0};
    pg_type_name(column, type);
    TRY(check_name(column->name, err) && buf_append(&sql, STR("ALTER TABLE "), err) &&
        sql_table(&sql, table, "", err) &&
        buf_append(&sql, STR(" ADD COLUMN IF NOT EXISTS "), err) &&
        sql_name(&sql, column->name, err) && buf_printf(&sql, err, " %s", type));
    return pg_warehouse_run_buf(db, &sql, err);
}

bool pg_warehouse_add_column(PgWarehouse *db, const TableSpec *table, const Column *column,
                             Error *err)
{
    TableSpec evolving = *table;
    evolving.evolve = true;
    return add_column(db, &evolving, column, err) && comment_on(db, table, column, err);
}

// What stands of a table, to compare the contract with.
typedef struct Standing {
    const TableSpec *table;
    bool *there;     // [column_count + SQL_DRIVER_COLUMNS]
    bool *commented; // its comment is the contract's
} Standing;

static const Column *column_at(const TableSpec *table, size_t i)
{
    return i < table->column_count ? &table->columns[i]
                                   : &sql_driver_columns[i - table->column_count];
}

static bool note_column(void *visitor, const PGresult *result, int row, Error *err)
{
    const Standing *standing = visitor;
    const TableSpec *table = standing->table;
    const Str name = pg_get_text(result, row, 0);
    const Str type = pg_get_text(result, row, 1);
    for (size_t i = 0; i < table->column_count + SQL_DRIVER_COLUMNS; i++) {
        const Column *column = column_at(table, i);
        if (!str_equal(column->name, name))
            continue;
        char wanted[PG_TYPE_BYTES];
        pg_type_name(column, wanted);
        if (!str_equal(type, str_from(wanted)))
            return error_set(err, ERROR_JOB,
                             "its column '" STR_FMT "' is " STR_FMT ", the contract says %s",
                             STR_ARG(name), STR_ARG(type), wanted);
        standing->there[i] = true;
        standing->commented[i] = str_equal(pg_get_text(result, row, 2), column->comment);
    }
    return true;
}

static bool compare_columns(PgWarehouse *db, const TableSpec *table, bool mine, Error *err)
{
    const size_t count = table->column_count + SQL_DRIVER_COLUMNS;
    Standing standing = {.table = table,
                         .there = arena_alloc_array(db->scratch, count, sizeof(bool), err),
                         .commented = arena_alloc_array(db->scratch, count, sizeof(bool), err)};
    TRY(standing.there != NULL && standing.commented != NULL);
    const PgValue values[] = {pg_value_text(table->schema), pg_value_text(table->name)};
    const PgStatement query = {
        .sql = "SELECT CAST(a.attname AS text), format_type(a.atttypid, a.atttypmod),"
               " coalesce(col_description(a.attrelid, a.attnum), '')"
               " FROM pg_catalog.pg_attribute AS a"
               " JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
               " WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
        .values = values,
        .value_count = 2};
    TRY(pg_query(&db->pg, &query, note_column, &standing, err));
    for (size_t i = 0; i < count; i++) {
        if (!standing.there[i])
            TRY(add_column(db, table, column_at(table, i), err));
        // Who only loads may not comment, and a comment is not worth a run.
        if (!standing.commented[i] && mine)
            TRY(comment_on(db, table, column_at(table, i), err));
    }
    return true;
}

static bool prepare_table(PgWarehouse *db, const TableSpec *table, Error *err)
{
    static const char suffix[] = "__quarantine";
    Relation found = {0};
    TRY(make_schema(db, table->schema, err) && check_name(table->name, err) &&
        find_table(db, table->schema, table->name, &found, err));
    if (!found.exists) {
        TRY(create_table(db, table, "", table->columns, table->column_count, SQL_DRIVER_COLUMNS,
                         err) &&
            create_index(db, table, err));
        found.mine = true;
    }
    TRY(compare_columns(db, table, found.mine, err));
    if (table->quarantine_count == 0)
        return true;
    Str name = {0};
    TRY(arena_printf(db->scratch, &name, err, STR_FMT "%s", STR_ARG(table->name), suffix) &&
        check_name(name, err) && find_table(db, table->schema, name, &found, err));
    return found.exists || create_table(db, table, suffix, table->quarantine_columns,
                                        table->quarantine_count, SQL_DRIVER_COLUMNS - 1, err);
}

// --- the ledger

// What the ledger's tables of every warehouse lack here: who comes second must find the first.
static const char create_indexes[] =
    "CREATE UNIQUE INDEX IF NOT EXISTS pawl_load_key ON @pawl_load (run_id, stream, load_ordinal);"
    "CREATE INDEX IF NOT EXISTS pawl_slice_window ON @pawl_slice"
    " (target, stream, partition_key, window_from);"
    "CREATE UNIQUE INDEX IF NOT EXISTS pawl_state_epoch ON @pawl_state (job, mode)"
    " WHERE kind = 'epoch';"
    "CREATE UNIQUE INDEX IF NOT EXISTS pawl_state_watermark ON @pawl_state"
    " (job, target, stream, partition_key) WHERE kind = 'watermark';"
    "CREATE INDEX IF NOT EXISTS etl_log_run ON @etl_log (job, stage, started_at)";

static bool take_count(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(int64_t *)visitor = pg_get_int64(result, row, 0);
    return true;
}

static bool ledger_stands(PgWarehouse *db, bool *ret_stands, Error *err)
{
    enum { LEDGER_RELATIONS = 9 }; // four tables, five indexes
    const PgValue values[] = {pg_value_text(db->schema)};
    const PgStatement query = {
        .sql = "SELECT count(*) FROM pg_catalog.pg_class AS c"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
               " WHERE n.nspname = $1 AND c.relname IN ('pawl_load', 'pawl_slice', 'pawl_state',"
               " 'etl_log', 'pawl_load_key', 'pawl_slice_window', 'pawl_state_epoch',"
               " 'pawl_state_watermark', 'etl_log_run')",
        .values = values,
        .value_count = 1};
    int64_t count = 0;
    TRY(pg_query(&db->pg, &query, take_count, &count, err));
    *ret_stands = count == LEDGER_RELATIONS;
    return true;
}

static bool prepare_ledger(PgWarehouse *db, Error *err)
{
    bool stands = false;
    TRY(make_schema(db, db->schema, err) && ledger_stands(db, &stands, err));
    const char *tables = NULL;
    const char *indexes = NULL;
    TRY(pg_warehouse_own(db, sql_create_ledger, &tables, err) &&
        pg_warehouse_own(db, create_indexes, &indexes, err));
    if (!stands && !(pg_script(&db->pg, tables, err) && pg_script(&db->pg, indexes, err)))
        return error_context(err, "ledger in schema " STR_FMT, STR_ARG(db->schema));
    return pg_warehouse_make_view(db, db->schema, STR("pipeline_health"),
                                  str_from(sql_select_health), err);
}

static bool prepare_all(PgWarehouse *db, const TableSpec *tables, size_t count, Error *err)
{
    TRY(pg_warehouse_lock(db, STR("the tables' definitions"), err) && prepare_ledger(db, err));
    for (size_t i = 0; i < count; i++) {
        if (!prepare_table(db, &tables[i], err))
            return error_context(err, "table " STR_FMT "." STR_FMT, STR_ARG(tables[i].schema),
                                 STR_ARG(tables[i].name));
    }
    return true;
}

// All within one transaction: a run killed here leaves either nothing or everything.
bool pg_warehouse_prepare(void *state, const TableSpec *tables, size_t count, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(pg_warehouse_begin(db, err));
    kill_point("warehouse prepare");
    TRY(pg_warehouse_end(db, prepare_all(db, tables, count, err), err));
    kill_point("warehouse prepared");
    return true;
}
