// DDL: the ledger, the tables of the contracts, and views.
#include "warehouse/duckdb_state.h"

#include "base/json.h"
#include "base/kill.h"
#include "duck/overflow.h"

#include <assert.h>

enum { TYPE_BYTES = 64 };

static bool append_column(Buf *out, const Column *column, Error *err)
{
    char type[TYPE_BYTES];
    duck_type_name(column, type, sizeof(type));
    TRY(sql_name(out, column->name, err));
    // JSON repeats its names in every row: zstd makes it a fifth of what DuckDB's own choice does,
    // in no more time.
    return buf_printf(out, err, " %s%s", type,
                      column->type == COLUMN_JSON ? " USING COMPRESSION zstd" : "");
}

static bool append_columns(Buf *out, const Column *columns, size_t count, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        const bool is_key = str_equal(columns[i].name, STR("_row_key"));
        TRY(append_column(out, &columns[i], err));
        TRY(buf_append(out, is_key ? STR(" NOT NULL, ") : STR(", "), err));
    }
    return true;
}

static bool run_buf(DuckWarehouse *db, Buf *sql, Error *err)
{
    TRY(buf_append_char(sql, '\0', err));
    return duck_run_sql(&db->duck, sql->data, err);
}

// No NOT NULL either, but for the key: what a contract requires may change, and evolve can add no
// such column to rows that stand.
static bool create_table(DuckWarehouse *db, const TableSpec *table, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("CREATE SCHEMA IF NOT EXISTS "), err));
    TRY(sql_name(&sql, table->schema, err));
    TRY(buf_append(&sql, STR("; CREATE TABLE IF NOT EXISTS "), err));
    TRY(sql_table(&sql, table, "", err));
    TRY(buf_append(&sql, STR(" ("), err));
    TRY(append_columns(&sql, table->columns, table->column_count, err));
    TRY(append_columns(&sql, sql_driver_columns, SQL_DRIVER_COLUMNS, err));
    sql.size -= 2;
    TRY(buf_append_char(&sql, ')', err));
    if (table->quarantine_count > 0) {
        TRY(buf_append(&sql, STR("; CREATE TABLE IF NOT EXISTS "), err));
        TRY(sql_table(&sql, table, "__quarantine", err));
        TRY(buf_append(&sql, STR(" ("), err));
        TRY(append_columns(&sql, table->quarantine_columns, table->quarantine_count, err));
        TRY(append_columns(&sql, sql_driver_columns, SQL_DRIVER_COLUMNS - 1, err));
        sql.size -= 2;
        TRY(buf_append_char(&sql, ')', err));
    }
    return run_buf(db, &sql, err);
}

// Adds a missing column, or says that it is missing.
static bool add_column(DuckWarehouse *db, const TableSpec *table, const Column *column, Error *err)
{
    if (!table->evolve)
        return error_set(err, ERROR_JOB,
                         "table " STR_FMT "." STR_FMT ": it stands without column '" STR_FMT
                         "' of the contract, whose evolution adds none",
                         STR_ARG(table->schema), STR_ARG(table->name), STR_ARG(column->name));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("ALTER TABLE "), err));
    TRY(sql_table(&sql, table, "", err));
    TRY(buf_append(&sql, STR(" ADD COLUMN IF NOT EXISTS "), err));
    TRY(append_column(&sql, column, err));
    return run_buf(db, &sql, err);
}

static bool comment_on(DuckWarehouse *db, const TableSpec *table, const Column *column, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("COMMENT ON COLUMN "), err));
    TRY(sql_table(&sql, table, "", err));
    TRY(buf_append_char(&sql, '.', err));
    TRY(sql_name(&sql, column->name, err));
    TRY(buf_append(&sql, STR(" IS '"), err));
    for (size_t i = 0; i < column->comment.size; i++) {
        if (column->comment.data[i] == '\'')
            TRY(buf_append_char(&sql, '\'', err));
        TRY(buf_append_char(&sql, column->comment.data[i], err));
    }
    TRY(buf_append_char(&sql, '\'', err));
    return run_buf(db, &sql, err);
}

// What stands of a table, to compare the contract with.
typedef struct Standing {
    const TableSpec *table;
    bool *there;     // [column_count + SQL_DRIVER_COLUMNS]
    bool *commented; // its comment is the contract's
    Error *err;
} Standing;

static const Column *column_at(const TableSpec *table, size_t i)
{
    return i < table->column_count ? &table->columns[i]
                                   : &sql_driver_columns[i - table->column_count];
}

static bool note_column(const Standing *standing, duckdb_data_chunk chunk, size_t row, Error *err)
{
    const TableSpec *table = standing->table;
    const Str name = duck_get_text(chunk, 0, row);
    const Str type = duck_get_text(chunk, 1, row);
    for (size_t i = 0; i < table->column_count + SQL_DRIVER_COLUMNS; i++) {
        const Column *column = column_at(table, i);
        if (!str_equal_ignoring_case(column->name, name))
            continue;
        char wanted[TYPE_BYTES];
        duck_type_name(column, wanted, sizeof(wanted));
        if (!str_equal(type, str_from(wanted)))
            return error_set(err, ERROR_JOB,
                             "table " STR_FMT "." STR_FMT ": its column '" STR_FMT "' is " STR_FMT
                             ", the contract says %s",
                             STR_ARG(table->schema), STR_ARG(table->name), STR_ARG(name),
                             STR_ARG(type), wanted);
        standing->there[i] = true;
        standing->commented[i] = str_equal(duck_get_text(chunk, 2, row), column->comment);
    }
    return true;
}

static bool note_columns(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    for (size_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++)
        TRY(note_column(visitor, chunk, row, err));
    return true;
}

// A row whose key somebody took away would come in again beside itself: no load finds it. Tables
// are made with NOT NULL there, but earlier ones stand without. Where no row lacks its key, DuckDB
// knows that from its statistics: it reads nothing.
static bool check_keys(DuckWarehouse *db, const TableSpec *table, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    int64_t rows = 0;
    bool found = false;
    TRY(buf_append(&sql, STR("SELECT count(*) FROM "), err) && sql_table(&sql, table, "", err) &&
        buf_append(&sql, STR(" WHERE _row_key IS NULL"), err) && buf_append_char(&sql, '\0', err));
    const DuckStatement statement = {.sql = sql.data};
    TRY(duck_query_int64(&db->duck, &statement, &rows, &found, err));
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    return rows == 0 ||
           error_set(err, ERROR_DATA,
                     "table " STR_FMT ": %lld rows have no _row_key (set to NULL by hand?), and "
                     "would come in again: `pawl audit JOB --table " STR_FMT
                     " --repair` over their days gives it back",
                     STR_ARG(target), (long long)rows, STR_ARG(target));
}

static bool prepare_table(DuckWarehouse *db, const TableSpec *table, Error *err)
{
    TRY(create_table(db, table, err));
    const size_t count = table->column_count + SQL_DRIVER_COLUMNS;
    Standing standing = {.table = table,
                         .there = arena_alloc_array(db->scratch, count, sizeof(bool), err),
                         .commented = arena_alloc_array(db->scratch, count, sizeof(bool), err)};
    TRY(standing.there != NULL && standing.commented != NULL);
    const DuckValue values[] = {duck_text(table->schema), duck_text(table->name)};
    const DuckStatement query = {
        .sql = "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns()"
               " WHERE database_name = current_database() AND schema_name = ? AND table_name = ?",
        .values = values,
        .value_count = 2};
    TRY(duck_query(&db->duck, &query, note_columns, &standing, err));
    for (size_t i = 0; i < count; i++) {
        if (!standing.there[i])
            TRY(add_column(db, table, column_at(table, i), err));
        if (!standing.commented[i])
            TRY(comment_on(db, table, column_at(table, i), err));
    }
    return check_keys(db, table, err);
}

// Views name their tables without a schema; DuckDB looks them up in the view's own, so that they
// hold in whatever program and by whatever name the file is opened.
static bool use_schema(DuckWarehouse *db, Str schema, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("USE "), err));
    TRY(sql_name(&sql, STR(DUCKDB_DATABASE_NAME), err));
    TRY(buf_append_char(&sql, '.', err));
    TRY(sql_name(&sql, schema, err));
    return run_buf(db, &sql, err);
}

static bool run_in_schema(DuckWarehouse *db, Str schema, const char *sql, Error *err)
{
    TRY(use_schema(db, schema, err));
    const bool ok = duck_run_sql(&db->duck, sql, err);
    Error restoring = {0};
    if (!use_schema(db, STR("main"), ok ? err : &restoring))
        return false;
    return ok;
}

static bool prepare_ledger(DuckWarehouse *db, Error *err)
{
    CLEANUP(buf_done) Buf schema = {0};
    TRY(buf_append(&schema, STR("CREATE SCHEMA IF NOT EXISTS "), err));
    TRY(sql_name(&schema, db->schema, err));
    TRY(run_buf(db, &schema, err));
    const char *ledger = NULL;
    TRY(duck_warehouse_own(db, sql_create_ledger, &ledger, err));
    TRY(duck_run_sql(&db->duck, ledger, err));
    CLEANUP(buf_done) Buf health = {0};
    TRY(buf_printf(&health, err, "CREATE OR REPLACE VIEW pipeline_health AS %s",
                   sql_select_health));
    TRY(buf_append_char(&health, '\0', err));
    return run_in_schema(db, db->schema, health.data, err);
}

// All within one transaction: a run killed here leaves either nothing or everything.
static bool in_transaction(DuckWarehouse *db,
                           bool (*work)(DuckWarehouse *db, const void *what, size_t count,
                                        Error *err),
                           const void *what, size_t count, Error *err)
{
    TRY(duck_run_sql(&db->duck, "BEGIN", err));
    if (work(db, what, count, err) && duck_run_sql(&db->duck, "COMMIT", err))
        return true;
    Error rollback = {0};
    if (!duck_run_sql(&db->duck, "ROLLBACK", &rollback))
        duck_close(&db->duck);
    return false;
}

static bool prepare_all(DuckWarehouse *db, const void *what, size_t count, Error *err)
{
    const TableSpec *tables = what;
    TRY(prepare_ledger(db, err));
    for (size_t i = 0; i < count; i++)
        TRY(prepare_table(db, &tables[i], err));
    return true;
}

bool duck_warehouse_prepare_tables(void *state, const TableSpec *tables, size_t count, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    kill_point("warehouse prepare");
    TRY(in_transaction(db, prepare_all, tables, count, err));
    kill_point("warehouse prepared");
    return true;
}

bool duck_warehouse_check(void *state, const TableSpec *tables, size_t count, Findings *findings,
                          Error *err)
{
    DuckWarehouse *db = state;
    (void)findings;
    TRY(duck_warehouse_begin_call(db, err));
    for (size_t i = 0; i < count; i++) {
        const DuckValue values[] = {duck_text(tables[i].schema), duck_text(tables[i].name)};
        const DuckStatement query = {
            .sql = "SELECT count(*) FROM duckdb_columns() WHERE database_name = current_database()"
                   " AND schema_name = ? AND table_name = ? AND column_name = '_row_key'",
            .values = values,
            .value_count = 2};
        int64_t there = 0;
        bool found = false;
        TRY(duck_query_int64(&db->duck, &query, &there, &found, err) &&
            (there == 0 || check_keys(db, &tables[i], err)));
    }
    return true;
}

static bool create_all_views(DuckWarehouse *db, const void *what, size_t count, Error *err)
{
    const ViewSpec *views = what;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_done) Buf sql = {0};
        TRY(buf_append(&sql, STR("CREATE OR REPLACE VIEW "), err));
        TRY(sql_name(&sql, views[i].name, err));
        TRY(buf_append(&sql, STR(" AS "), err));
        TRY(buf_append(&sql, views[i].select, err));
        TRY(buf_append_char(&sql, '\0', err));
        if (!run_in_schema(db, views[i].schema, sql.data, err))
            return error_context(err, "view " STR_FMT "." STR_FMT, STR_ARG(views[i].schema),
                                 STR_ARG(views[i].name));
    }
    return true;
}

bool duck_warehouse_create_views(void *state, const ViewSpec *views, size_t count, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    return in_transaction(db, create_all_views, views, count, err);
}

// --- a path of _overflow becomes a column

typedef struct Promoted {
    const TableSpec *table;
    const Column *column;
    Str path;
    int64_t rows;
} Promoted;

static bool update_from_overflow(DuckWarehouse *db, Promoted *promoted, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(duck_overflow_done) DuckOverflow overflow = {0};
    char type[TYPE_BYTES];
    duck_type_name(promoted->column, type, sizeof(type));
    TRY(duck_overflow_init(&overflow, promoted->path, promoted->column, type, err));
    TRY(buf_append(&sql, STR("UPDATE "), err) && sql_table(&sql, promoted->table, "", err) &&
        buf_append(&sql, STR(" SET "), err) && sql_name(&sql, promoted->column->name, err) &&
        buf_printf(&sql, err, " = " STR_FMT ", _overflow = " STR_FMT " WHERE " STR_FMT,
                   STR_ARG(buf_str(&overflow.value)), STR_ARG(buf_str(&overflow.left)),
                   STR_ARG(buf_str(&overflow.moves))) &&
        buf_append_char(&sql, '\0', err));
    const DuckStatement statement = {.sql = sql.data};
    return duck_run(&db->duck, &statement, &promoted->rows, err);
}

static bool promote(DuckWarehouse *db, const void *what, size_t count, Error *err)
{
    (void)count;
    Promoted *promoted = *(Promoted *const *)what;
    TableSpec table = *promoted->table;
    table.evolve = true; // a person asked for it
    TRY(add_column(db, &table, promoted->column, err) &&
        comment_on(db, &table, promoted->column, err));
    return update_from_overflow(db, promoted, err);
}

bool duck_warehouse_promote(void *state, const TableSpec *table, const Column *column, Str path,
                            int64_t *ret_rows, Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (path.size < 2 || path.data[0] != '/')
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is no path such as /foo/bar",
                         STR_ARG(path));
    TRY(duck_warehouse_begin_call(db, err));
    Promoted promoted = {.table = table, .column = column, .path = path};
    Promoted *const what = &promoted;
    TRY(in_transaction(db, promote, &what, 1, err));
    *ret_rows = promoted.rows;
    return true;
}
