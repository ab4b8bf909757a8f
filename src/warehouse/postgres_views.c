// Views: made anew only when their text has changed, and without taking away who may read them.
#include "warehouse/postgres_state.h"

#include <assert.h>

// A view that stands, and what gives its rights back once it was dropped.
typedef struct OldView {
    Arena *arena;
    bool exists;
    Str comment;
    Str grants;
} OldView;

static bool take_old(void *visitor, const PGresult *result, int row, Error *err)
{
    OldView *old = visitor;
    old->exists = true;
    return arena_copy_str(old->arena, pg_get_text(result, row, 0), &old->comment, err) &&
           arena_copy_str(old->arena, pg_get_text(result, row, 1), &old->grants, err);
}

static bool find_view(PgWarehouse *db, Str schema, Str name, OldView *old, Error *err)
{
    const PgValue values[] = {pg_value_text(schema), pg_value_text(name)};
    const PgStatement query = {
        .sql = "SELECT coalesce(obj_description(c.oid, 'pg_class'), ''),"
               " coalesce((SELECT string_agg(format('GRANT %s ON %I.%I TO %s%s;',"
               " a.privilege_type, n.nspname, c.relname, CASE a.grantee WHEN 0 THEN 'PUBLIC'"
               " ELSE quote_ident(pg_get_userbyid(a.grantee)) END,"
               " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ' ')"
               " FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner), '')"
               " FROM pg_catalog.pg_class AS c"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
               " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'v'",
        .values = values,
        .value_count = 2};
    return pg_query(&db->pg, &query, take_old, old, err);
}

static bool create(PgWarehouse *db, const char *verb, Str view, Str select, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(&sql, err, "%s VIEW " STR_FMT " AS ", verb, STR_ARG(view)) &&
        buf_append(&sql, select, err));
    return pg_warehouse_run_buf(db, &sql, err);
}

// CREATE OR REPLACE keeps rights and whatever is built upon the view, but can only add columns;
// where it cannot, the view is made from nothing and its rights are given again.
static bool replace(PgWarehouse *db, Str view, Str select, Str grants, Error *err)
{
    TRY(pg_script(&db->pg, "SAVEPOINT pawl_view", err));
    if (create(db, "CREATE OR REPLACE", view, select, err))
        return pg_script(&db->pg, "RELEASE SAVEPOINT pawl_view", err);
    if (err->code != ERROR_JOB || !pg_is_open(&db->pg))
        return false;
    *err = (Error){0};
    CLEANUP(buf_done) Buf drop = {0};
    TRY(pg_script(&db->pg, "ROLLBACK TO SAVEPOINT pawl_view", err) &&
        buf_printf(&drop, err, "DROP VIEW " STR_FMT, STR_ARG(view)) &&
        pg_warehouse_run_buf(db, &drop, err) && create(db, "CREATE", view, select, err));
    return grants.size == 0 || pg_script(&db->pg, grants.data, err);
}

// The view's tables are named without a schema: the path finds them in the view's own, while it is
// made; PostgreSQL keeps which ones they were.
static bool set_path(PgWarehouse *db, Str schema, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SET LOCAL search_path = "), err) && sql_name(&sql, schema, err) &&
        buf_append(&sql, STR(", public"), err));
    return pg_warehouse_run_buf(db, &sql, err);
}

static bool make_view(PgWarehouse *db, Str schema, Str name, Str select, Error *err)
{
    char mark[SQL_VIEW_MARK_BYTES];
    OldView old = {.arena = db->scratch};
    CLEANUP(buf_done) Buf view = {0};
    CLEANUP(buf_done) Buf comment = {0};
    sql_mark_view(select, mark);
    TRY(find_view(db, schema, name, &old, err));
    if (old.exists && str_equal(old.comment, str_from(mark)))
        return true;
    TRY(sql_name(&view, schema, err) && buf_append_char(&view, '.', err) &&
        sql_name(&view, name, err) && set_path(db, schema, err));
    if (old.exists)
        TRY(replace(db, buf_str(&view), select, old.grants, err));
    else
        TRY(create(db, "CREATE", buf_str(&view), select, err));
    TRY(buf_printf(&comment, err, "COMMENT ON VIEW " STR_FMT " IS '%s'", STR_ARG(buf_str(&view)),
                   mark));
    return pg_warehouse_run_buf(db, &comment, err);
}

bool pg_warehouse_make_view(PgWarehouse *db, Str schema, Str name, Str select, Error *err)
{
    return make_view(db, schema, name, select, err) ||
           error_context(err, "view " STR_FMT "." STR_FMT, STR_ARG(schema), STR_ARG(name));
}

static bool make_views(PgWarehouse *db, const ViewSpec *views, size_t count, Error *err)
{
    TRY(pg_warehouse_lock(db, STR("the tables' definitions"), err));
    for (size_t i = 0; i < count; i++)
        TRY(pg_warehouse_make_view(db, views[i].schema, views[i].name, views[i].select, err));
    return true;
}

bool pg_warehouse_create_views(void *state, const ViewSpec *views, size_t count, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(pg_warehouse_begin(db, err));
    return pg_warehouse_end(db, make_views(db, views, count, err), err);
}
