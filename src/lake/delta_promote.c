// A path of _overflow becomes a column: files that hold it are written anew, and one commit brings
// them with the column.
#include "duck/overflow.h"
#include "lake/delta_parts.h"

enum { ATTEMPTS_MAX = 100, CALL_BYTES = 1024 * 1024 }; // each lost one is another's success

typedef struct Promoting {
    Delta *delta;
    DeltaTable *table;
    const DeltaTableSpec *spec;
    const Column *column;
    Str path;
    Str label;
    // of the attempt in hand
    Str schema_json; // with the column
    bool schema_changed;
    DeltaSchema schema;
    DuckOverflow overflow;
    DeltaAdd *adds;
    size_t add_count;
    uint32_t *removes;
    size_t remove_count;
    int64_t rows;
} Promoting;

static void promoting_done(Promoting *promoting)
{
    duck_overflow_done(&promoting->overflow);
}

static bool fit_schema(Promoting *promoting, Error *err)
{
    Arena *work = promoting->delta->work;
    const DeltaTableSpec *spec = promoting->spec;
    if (!delta_schema_extend(promoting->table->log.schema_json, promoting->column, 1, work,
                             &promoting->schema_json, &promoting->schema_changed, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(promoting->table->folder));
    TRY(delta_schema_read(promoting->schema_json, work, &promoting->schema, err));
    delta_bound_keys(&promoting->schema, spec);
    const DeltaField *field = delta_schema_find(&promoting->schema, promoting->column->name);
    if (field == NULL || delta_schema_find(&promoting->schema, STR("_overflow")) == NULL)
        return error_set(err, ERROR_JOB, "lake table " STR_FMT ": it has no column _overflow",
                         STR_ARG(promoting->table->folder));
    duck_overflow_done(&promoting->overflow);
    return duck_overflow_init(&promoting->overflow, promoting->path, promoting->column, field->duck,
                              err);
}

static bool count_rows(Promoting *promoting, const char *local, int64_t *ret_rows, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    bool found = false;
    TRY(buf_append(&sql, STR("SELECT count(*) FROM ("), err) &&
        delta_select_file(&promoting->schema, local, &sql, err) &&
        buf_append(&sql, STR(") AS t WHERE "), err) &&
        buf_append(&sql, buf_str(&promoting->overflow.moves), err) &&
        buf_append_char(&sql, '\0', err));
    const DuckStatement query = {.sql = sql.data};
    return duck_query_int64(&promoting->delta->duck, &query, ret_rows, &found, err);
}

// CASE WHEN <moves> THEN <otherwise> ELSE <name> END AS <name>
static bool append_choice(const Promoting *promoting, Str then, Str name, Buf *sql, Error *err)
{
    return buf_append(sql, STR("CASE WHEN "), err) &&
           buf_append(sql, buf_str(&promoting->overflow.moves), err) &&
           buf_append(sql, STR(" THEN "), err) && buf_append(sql, then, err) &&
           buf_append(sql, STR(" ELSE t."), err) && delta_sql_name(name, sql, err) &&
           buf_append(sql, STR(" END AS "), err) && delta_sql_name(name, sql, err);
}

static bool write_anew(Promoting *promoting, uint32_t index, const char *local, Error *err)
{
    const DeltaField *field = delta_schema_find(&promoting->schema, promoting->column->name);
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SELECT t.* REPLACE ("), err) &&
        append_choice(promoting, buf_str(&promoting->overflow.value), field->name, &sql, err) &&
        buf_append(&sql, STR(", "), err) &&
        append_choice(promoting, buf_str(&promoting->overflow.left), STR("_overflow"), &sql, err) &&
        buf_append(&sql, STR(") FROM ("), err) &&
        delta_select_file(&promoting->schema, local, &sql, err) &&
        buf_append(&sql, STR(") AS t"), err) && buf_append_char(&sql, '\0', err));
    const DuckStatement select = {.sql = sql.data};
    const DeltaWrite write = {.select = &select,
                              .schema = &promoting->schema,
                              .label = promoting->label,
                              .number = promoting->add_count};
    DeltaAdd *add = &promoting->adds[promoting->add_count];
    TRY(delta_write_file(promoting->delta, promoting->table, &write, add, err));
    promoting->add_count++;
    promoting->removes[promoting->remove_count++] = index;
    return true;
}

// Everything from the log as it is now to files that wait for their commit. A file without the path
// stays: readers take a column that it lacks for null.
static bool make(Promoting *promoting, Error *err)
{
    Delta *delta = promoting->delta;
    const DeltaLog *log = &promoting->table->log;
    arena_reset(delta->work);
    promoting->add_count = promoting->remove_count = 0;
    promoting->rows = 0;
    TRY(fit_schema(promoting, err) && delta_need_duck(delta, err));
    promoting->adds = arena_alloc_array(delta->work, log->file_count + 1, sizeof(DeltaAdd), err);
    promoting->removes = arena_alloc_array(delta->work, log->file_count + 1, sizeof(uint32_t), err);
    TRY(promoting->adds != NULL && promoting->removes != NULL);
    for (size_t i = 0; i < log->file_count; i++) {
        const char *local = NULL;
        int64_t rows = 0;
        if (!log->files[i].live)
            continue;
        TRY(env_check_stop(delta->env, err) &&
            delta_local_copy(delta, promoting->table, &log->files[i], &local, err) &&
            count_rows(promoting, local, &rows, err));
        if (rows > 0)
            TRY(write_anew(promoting, (uint32_t)i, local, err));
        promoting->rows += rows;
    }
    return true;
}

static bool try_commit(Promoting *promoting, DeltaOutcome *ret_outcome, Error *err)
{
    DeltaCommit commit = {.table = promoting->table,
                          .operation = "UPDATE",
                          .label = promoting->label,
                          .data_change = true,
                          .adds = promoting->adds,
                          .add_count = promoting->add_count,
                          .removes = promoting->removes,
                          .remove_count = promoting->remove_count,
                          .rows_updated = promoting->rows};
    if (promoting->schema_changed)
        TRY(delta_metadata_text(promoting->delta, &promoting->table->log, promoting->schema_json,
                                &commit.metadata, err));
    return delta_commit(promoting->delta, &commit, ret_outcome, err);
}

// Another's commit may have brought rows that hold the path, or taken files that we have written
// anew: then all is made again.
static bool promote_until_in(Promoting *promoting, Error *err)
{
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        DeltaOutcome outcome = DELTA_OVERTAKEN;
        TRY(make(promoting, err));
        if (promoting->remove_count == 0 && !promoting->schema_changed)
            return true;
        TRY(env_check_stop(promoting->delta->env, err) && try_commit(promoting, &outcome, err));
        if (outcome == DELTA_COMMITTED)
            return true;
        delta_remove_adds(promoting->delta, promoting->adds, promoting->add_count);
    }
    return error_set(err, ERROR_BUSY,
                     "lake table " STR_FMT ": other writers were first %d times in a row",
                     STR_ARG(promoting->table->folder), ATTEMPTS_MAX);
}

bool delta_promote(Delta *delta, const DeltaTableSpec *table, const Column *column, Str path,
                   int64_t *ret_rows, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES, err);
    TRY(call != NULL);
    CLEANUP(promoting_done)
    Promoting promoting = {.delta = delta, .spec = table, .column = column, .path = path};
    TRY(arena_printf(call, &promoting.label, err, STR_FMT " promotion", STR_ARG(table->name)));
    arena_reset(delta->work);
    TRY(delta_open_table(delta, table->schema, table->name, &promoting.table, err));
    *ret_rows = 0;
    if (promoting.table->log.version < 0)
        return true;
    TRY(promote_until_in(&promoting, err));
    *ret_rows = promoting.rows;
    Error later = {0}; // a checkpoint that fails is written by the next one
    (void)!delta_checkpoint(delta, promoting.table, &later);
    return true;
}
