// Statements of others in one transaction, and the file written anew.
#include "warehouse/duckdb_state.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>

static void roll_back(DuckWarehouse *db)
{
    Error err = {0};
    if (!duck_run_sql(&db->duck, "ROLLBACK", &err))
        duck_close(&db->duck);
}

bool duck_warehouse_execute(void *state, const char *what, const Str *statements, size_t count,
                            int64_t *ret_changed, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    TRY(duck_run_sql(&db->duck, "BEGIN", err));
    for (size_t i = 0; i < count; i++) {
        const DuckStatement statement = {.sql = statements[i].data};
        int64_t changed = 0;
        if (!duck_run(&db->duck, &statement, &changed, err)) {
            roll_back(db);
            return false;
        }
        if (ret_changed != NULL)
            ret_changed[i] = changed;
    }
    kill_point("execute, %s", what);
    if (!duck_run_sql(&db->duck, "COMMIT", err)) {
        roll_back(db);
        return false;
    }
    kill_point("executed, %s", what);
    return true;
}

// A deleted row stays in its segment until the row group is written again, and in the file's free
// blocks after that: only another file holds nothing of it. It takes the old one's place while that
// is still locked, so that nobody comes in between.
bool duck_warehouse_compact(void *state, Error *err)
{
    DuckWarehouse *db = state;
    char fresh[PATH_MAX];
    char wal[PATH_MAX];
    if (db->path.size + sizeof(".compact.wal") > PATH_MAX)
        return error_set(err, ERROR_LIMIT, "compact: path longer than %d bytes", PATH_MAX);
    (void)snprintf(fresh, sizeof(fresh), STR_FMT ".compact", STR_ARG(db->path));
    (void)snprintf(wal, sizeof(wal), STR_FMT ".compact.wal", STR_ARG(db->path));
    TRY(duck_warehouse_begin_call(db, err));
    TRY(file_remove(fresh, err) && file_remove(wal, err));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("CHECKPOINT " DUCKDB_DATABASE_NAME "; ATTACH '"), err));
    for (const char *c = fresh; *c != '\0'; c++)
        TRY((*c != '\'' || buf_append_char(&sql, '\'', err)) && buf_append_char(&sql, *c, err));
    TRY(buf_printf(&sql, err,
                   "' AS pawl_fresh (STORAGE_VERSION '%s', ROW_GROUP_SIZE %d);"
                   "COPY FROM DATABASE " DUCKDB_DATABASE_NAME " TO pawl_fresh;"
                   "DETACH pawl_fresh",
                   DUCKDB_STORAGE_VERSION, (int)DUCKDB_ROW_GROUP_ROWS) &&
        buf_append_char(&sql, '\0', err));
    kill_point("warehouse compact");
    if (!duck_run_sql(&db->duck, sql.data, err)) {
        duck_close(&db->duck);
        Error ignored = {0};
        (void)!(file_remove(fresh, &ignored) && file_remove(wal, &ignored));
        return error_context(err, "compact");
    }
    kill_point("warehouse swap");
    const bool ok = file_move_over(fresh, db->path.data, err);
    duck_close(&db->duck);
    kill_point("warehouse swapped");
    return ok;
}
