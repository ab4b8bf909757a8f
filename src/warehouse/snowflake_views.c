// Views: made anew only when their text has changed or they no longer fit their tables, since that
// takes away tags and policies that hang on them.
#include "warehouse/snowflake_state.h"

#include <assert.h>

// One statement without a warehouse. Views name their tables without a schema: Snowflake looks them
// up in the view's own.
static bool run_light(SnowflakeWarehouse *db, Str schema, const Buf *sql,
                      SnowflakeResult *ret_result, Error *err)
{
    const Str own_schema = db->options.schema;
    CLEANUP(buf_done) Buf quoted = {0};
    TRY(snowflake_name(&quoted, schema, err));
    db->options.schema = str_slice(buf_str(&quoted), 1, quoted.size - 2);
    const SnowflakeStatement statement = {
        .sql = buf_str(sql), .count = 1, .light = true, .tag = db->tag};
    const bool ok = snowflake_run(db->api, &statement, db->scratch, ret_result, err);
    db->options.schema = own_schema;
    return ok;
}

static bool append_view(Buf *sql, const ViewSpec *view, Error *err)
{
    return snowflake_name(sql, view->schema, err) && buf_append_char(sql, '.', err) &&
           snowflake_name(sql, view->name, err);
}

// --- those that stand

typedef struct Looking {
    const SnowflakeResult *result; // of SHOW VIEWS
    Str name, comment;
    bool found;
} Looking;

static bool take_view(void *visitor, const Str *cells, size_t count, Error *err)
{
    Looking *looking = visitor;
    (void)count;
    (void)err;
    // '_' in a pattern fits more than that name.
    if (str_equal(snowflake_cell(looking->result, cells, "name"), looking->name))
        looking->found =
            looking->comment.data == NULL ||
            str_equal(snowflake_cell(looking->result, cells, "comment"), looking->comment);
    return true;
}

bool snowflake_find_view(SnowflakeWarehouse *db, Str schema, Str name, Str comment, bool *ret_found,
                         Error *err)
{
    CLEANUP(buf_done) Buf quoted = {0};
    CLEANUP(buf_done) Buf sql = {0};
    SnowflakeResult result = {0};
    TRY(snowflake_name(&quoted, name, err));
    const Str own_name = str_slice(buf_str(&quoted), 1, quoted.size - 2);
    TRY(buf_append(&sql, STR("SHOW VIEWS LIKE "), err) && snowflake_literal(&sql, own_name, err) &&
        buf_append(&sql, STR(" IN SCHEMA "), err) && snowflake_name(&sql, schema, err) &&
        run_light(db, schema, &sql, &result, err));
    Looking looking = {.result = &result, .name = own_name, .comment = comment};
    TRY(snowflake_rows(db->api, &result, take_view, &looking, err));
    *ret_found = looking.found;
    return true;
}

// A view of `SELECT *` fails once its table has another column: it is asked for as well.
static bool stands(SnowflakeWarehouse *db, const ViewSpec *view, bool *ret_stands, Error *err)
{
    char mark[SQL_VIEW_MARK_BYTES];
    sql_mark_view(view->select, mark);
    TRY(snowflake_find_view(db, view->schema, view->name, str_from(mark), ret_stands, err));
    if (!*ret_stands)
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    SnowflakeResult result = {0};
    TRY(buf_append(&sql, STR("EXPLAIN USING TEXT SELECT * FROM "), err) &&
        append_view(&sql, view, err));
    if (run_light(db, view->schema, &sql, &result, err))
        return true;
    if (err->code != ERROR_JOB)
        return false;
    *err = (Error){0};
    *ret_stands = false;
    return true;
}

// --- making them

static bool try_text(SnowflakeWarehouse *db, const ViewSpec *view, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    SnowflakeResult result = {0};
    return buf_append(&sql, STR("EXPLAIN USING TEXT "), err) &&
           buf_append(&sql, view->select, err) && run_light(db, view->schema, &sql, &result, err);
}

// COPY GRANTS: who was given a right on the view keeps it.
static bool make(SnowflakeWarehouse *db, const ViewSpec *view, Error *err)
{
    char mark[SQL_VIEW_MARK_BYTES];
    CLEANUP(buf_done) Buf sql = {0};
    SnowflakeResult result = {0};
    sql_mark_view(view->select, mark);
    return buf_append(&sql, STR("CREATE OR REPLACE VIEW "), err) && append_view(&sql, view, err) &&
           buf_printf(&sql, err, " COPY GRANTS COMMENT = '%s' AS ", mark) &&
           buf_append(&sql, view->select, err) && run_light(db, view->schema, &sql, &result, err);
}

typedef enum Step { STEP_LOOK, STEP_TRY, STEP_MAKE, STEPS } Step;

static bool take_step(SnowflakeWarehouse *db, Step step, const ViewSpec *view, bool *stands_now,
                      Error *err)
{
    if (step == STEP_LOOK)
        return stands(db, view, stands_now, err);
    if (*stands_now)
        return true;
    return step == STEP_TRY ? try_text(db, view, err) : make(db, view, err);
}

// Each text is tried first (EXPLAIN), since DDL cannot be rolled back: one that does not fit takes
// none of its fellows along.
bool snowflake_make_views(SnowflakeWarehouse *db, const ViewSpec *views, size_t count, Error *err)
{
    bool *stand = arena_alloc_array(db->scratch, count + 1, sizeof(bool), err);
    TRY(stand != NULL);
    for (Step step = STEP_LOOK; step < STEPS; step++) {
        for (size_t i = 0; i < count; i++) {
            if (!take_step(db, step, &views[i], &stand[i], err))
                return error_context(err, "view " STR_FMT "." STR_FMT, STR_ARG(views[i].schema),
                                     STR_ARG(views[i].name));
        }
    }
    return true;
}

bool snowflake_create_views(void *state, const ViewSpec *views, size_t count, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    return snowflake_begin_call(db, err) && snowflake_make_views(db, views, count, err);
}
