// A path of _overflow becomes a column.
#include "batch/pattern.h"
#include "warehouse/postgres_state.h"

#include <assert.h>

enum { PATH_STEPS_MAX = 64 };

// PostgreSQL 15 has no cast that may fail, so a function of this transaction tries: `fits` gets
// what of `value` fits the column's type, or null. Stricter than a cast where a cast would change
// the value, or reads words such as 'now'.
static bool create_cast(PgWarehouse *db, const Column *column, Error *err)
{
    char type[PG_TYPE_BYTES];
    char pattern[PATTERN_BYTES];
    pg_type_name(column, type);
    pattern_of(column, pattern);
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(
        &sql, err,
        "CREATE FUNCTION pg_temp.pawl_fits(value text) RETURNS %s LANGUAGE plpgsql"
        " STABLE AS $pawl$ DECLARE fits %s; BEGIN IF value ~ '%s' THEN fits := value; END IF;"
        " RETURN fits; EXCEPTION WHEN data_exception THEN RETURN NULL; END $pawl$",
        type, type, pattern));
    return pg_warehouse_run_buf(db, &sql, err);
}

// "/a/b~1c" as ARRAY['a','b/c'].
static bool append_path(Buf *sql, Str path, Error *err)
{
    Str rest = str_slice(path, 1, path.size);
    TRY(buf_append(sql, STR("ARRAY["), err));
    for (size_t steps = 0; rest.data != NULL; steps++) {
        if (steps == PATH_STEPS_MAX)
            return error_set(err, ERROR_LIMIT, "path: more than %d steps", PATH_STEPS_MAX);
        CLEANUP(buf_done) Buf name = {0};
        TRY(json_read_step(str_split_next(&rest, '/'), &name, err));
        TRY((steps == 0 || buf_append_char(sql, ',', err)) &&
            sql_literal(&sql_dialect_postgres, sql, buf_str(&name), err));
    }
    return buf_append(sql, STR("]"), err);
}

// Each value around the path must be an object: a step names a member (docs/contract.md), while #>
// takes one of digits for the index of a list as well.
static bool append_objects_around(Buf *sql, Str path, Error *err)
{
    for (size_t i = 1; i < path.size; i++) {
        if (path.data[i] != '/')
            continue;
        TRY(buf_append(sql, STR(" AND jsonb_typeof(_overflow #> "), err) &&
            append_path(sql, str_slice(path, 0, i), err) &&
            buf_append(sql, STR(") = 'object'"), err));
    }
    return true;
}

static bool update_from_overflow(PgWarehouse *db, const TableSpec *table, const Column *column,
                                 Str path, int64_t *ret_rows, Error *err)
{
    const bool is_json = column->type == COLUMN_JSON;
    CLEANUP(buf_done) Buf steps = {0};
    CLEANUP(buf_done) Buf value = {0};
    CLEANUP(buf_done) Buf sql = {0};
    TRY(append_path(&steps, path, err));
    TRY(buf_printf(&value, err,
                   is_json ? "nullif(_overflow #> " STR_FMT ", 'null')"
                           : "pg_temp.pawl_fits(_overflow #>> " STR_FMT ")",
                   STR_ARG(buf_str(&steps))));
    TRY(buf_append(&sql, STR("UPDATE "), err) && sql_table(&sql, table, "", err) &&
        buf_append(&sql, STR(" SET "), err) && sql_name(&sql, column->name, err) &&
        buf_printf(&sql, err,
                   " = " STR_FMT ", _overflow = nullif(_overflow #- " STR_FMT ", '{}')"
                   " WHERE _overflow IS NOT NULL AND " STR_FMT " IS NOT NULL",
                   STR_ARG(buf_str(&value)), STR_ARG(buf_str(&steps)), STR_ARG(buf_str(&value))) &&
        append_objects_around(&sql, path, err) && buf_append_char(&sql, '\0', err));
    return pg_run(&db->pg, &(PgStatement){.sql = sql.data}, ret_rows, err);
}

static bool promote(PgWarehouse *db, const TableSpec *table, const Column *column, Str path,
                    int64_t *ret_rows, Error *err)
{
    const bool is_json = column->type == COLUMN_JSON;
    TRY(pg_warehouse_lock(db, STR("the tables' definitions"), err) &&
        pg_warehouse_add_column(db, table, column, err));
    if (!is_json)
        TRY(create_cast(db, column, err));
    TRY(update_from_overflow(db, table, column, path, ret_rows, err));
    return is_json || pg_script(&db->pg, "DROP FUNCTION pg_temp.pawl_fits(text)", err);
}

bool pg_warehouse_promote(void *state, const TableSpec *table, const Column *column, Str path,
                          int64_t *ret_rows, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (path.size < 2 || path.data[0] != '/')
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is no path such as /foo/bar",
                         STR_ARG(path));
    int64_t rows = 0;
    Str target = {0};
    TRY(pg_warehouse_begin(db, err));
    TRY(pg_warehouse_end(db,
                         sql_target(db->scratch, table, &target, err) &&
                             pg_warehouse_lock(db, target, err) &&
                             promote(db, table, column, path, &rows, err),
                         err));
    *ret_rows = rows;
    return true;
}
