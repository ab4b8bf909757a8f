// A load: one transaction from fence to commit.
#include "warehouse/pg_copy.h"
#include "warehouse/postgres_state.h"

#include <assert.h>
#include <stdio.h>

enum {
    COPY_BYTES = 256 * 1024, // what is sent at once
    COPY_BYTES_MAX = 512 * 1024 * 1024,
    STAGE_RUN_BYTES = 36,
    STAGE_HASH_BYTES = 6,
    LOAD_FIELDS = 3, // _run_id, _load_id, _loaded_at
};

static bool resolve(PgWarehouse *db, const LoadSpec *spec, Str *ret_checksum, Error *err)
{
    return pg_warehouse_fence(db, spec->job, spec->mode, spec->epoch, err) &&
           pg_warehouse_lock(db, db->load.target, err) &&
           pg_warehouse_find_load(db, spec->run, spec->stream, spec->ordinal, ret_checksum, err);
}

// The server ends a transaction that is idle for five minutes, for its client may have vanished
// with its machine. The lake's merge may take longer, and would have to be done again, and again:
// it gets what one statement may take, which is how long the job is ready to wait for one step.
static bool allow_pause(PgWarehouse *db, Error *err)
{
    enum { SQL_BYTES = 100 };
    char sql[SQL_BYTES];
    if (db->statement_timeout_us > 0 && db->statement_timeout_us <= PG_IDLE_US)
        return true;
    (void)snprintf(sql, sizeof(sql), "SET LOCAL idle_in_transaction_session_timeout = %lld",
                   (long long)pg_statement_limit_ms(db));
    return pg_script(&db->pg, sql, err);
}

bool pg_warehouse_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    arena_reset(db->loading);
    Str checksum = {0};
    char wanted[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, wanted);
    PgWarehouseLoad load = {.spec = spec, .now_us = db->env->now_us(db->env->state)};
    TRY(arena_printf(db->loading, &load.id, err, STR_FMT "/" STR_FMT "/%u", STR_ARG(spec->run),
                     STR_ARG(spec->stream), spec->ordinal));
    TRY(sql_target(db->loading, spec->table, &load.target, err));

    TRY(pg_warehouse_begin(db, err));
    db->load = load;
    if ((spec->pauses && !allow_pause(db, err)) || !resolve(db, spec, &checksum, err) ||
        !pg_warehouse_mark_skipped(db, spec, err)) {
        pg_warehouse_load_abort(db);
        return error_context(err, "load " STR_FMT, STR_ARG(load.id));
    }
    if (checksum.data == NULL) {
        *ret_loaded = false;
        return true;
    }
    if (!str_equal(checksum, str_from(wanted))) {
        pg_warehouse_load_abort(db);
        return error_set(err, ERROR_DATA,
                         "load " STR_FMT ": it is in the ledger with another content (checksum "
                         "%.8s there, %.8s here)",
                         STR_ARG(load.id), checksum.data, wanted);
    }
    // The epoch stays, so that the run before this one is shut out from now on.
    db->load = (PgWarehouseLoad){0};
    TRY(pg_warehouse_end(db, true, err));
    *ret_loaded = true;
    return true;
}

// `before` <table> `after` as SQL, in scratch.
static bool table_sql(PgWarehouse *db, const char *before, const char *after, const char **ret_sql,
                      Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, str_from(before), err));
    TRY(sql_table(&sql, db->load.spec->table, "", err));
    TRY(buf_append(&sql, str_from(after), err));
    Str text = {0};
    TRY(arena_copy_str(db->scratch, buf_str(&sql), &text, err));
    *ret_sql = text.data;
    return true;
}

static bool take_match(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    MatchedRow *match = (MatchedRow *)visitor + pg_get_int64(result, row, 0) - 1;
    match->found = true;
    if (!PQgetisnull(result, row, 1))
        pg_get_key(result, row, 1, &match->hash);
    match->fetched_us = PQgetisnull(result, row, 2) ? INT64_MIN : pg_get_time(result, row, 2);
    if (match->fetched_us == INT64_MAX) // nobody has read it at the end of all times
        match->fetched_us = INT64_MIN;
    match->deleted = pg_get_bool(result, row, 3);
    return true;
}

bool pg_warehouse_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                             Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec != NULL);
    arena_reset(db->scratch);
    memset(ret_rows, 0, count * sizeof(*ret_rows));
    PgStatement query = {0};
    TRY(table_sql(db,
                  "SELECT r.position, t._row_hash, t._fetched_at, t._deleted_at IS NOT NULL FROM "
                  "unnest($1) WITH ORDINALITY AS r(key, position) JOIN ",
                  " AS t ON t._row_key = r.key", &query.sql, err));
    for (size_t at = 0; at < count; at += PG_KEYS_MAX) {
        query.keys = keys + at;
        query.key_count = count - at < PG_KEYS_MAX ? count - at : PG_KEYS_MAX;
        TRY(pg_query(&db->pg, &query, take_match, ret_rows + at, err));
    }
    return true;
}

// --- rows

// Rows on their way: encoded into a buffer that is sent when it is full.
typedef struct Copier {
    PgWarehouse *db;
    PgCopy copy;
    Buf out;
    Buf load_fields; // the last fields of every row: _run_id, _load_id, _loaded_at
} Copier;

static void copier_done(Copier *copier)
{
    buf_done(&copier->out);
    buf_done(&copier->load_fields);
}

static bool copier_init(Copier *copier, PgWarehouse *db, const Column *columns, size_t count,
                        size_t tail_fields, Error *err)
{
    *copier = (Copier){.db = db, .out = {.limit_bytes = COPY_BYTES_MAX}};
    TRY(pg_copy_init(&copier->copy, columns, count, tail_fields, db->scratch, err));
    return pg_copy_text(&copier->load_fields, db->load.spec->run, err) &&
           pg_copy_text(&copier->load_fields, db->load.id, err) &&
           pg_copy_time(&copier->load_fields, db->load.now_us, err) &&
           buf_append(&copier->out, pg_copy_head, err);
}

static bool copier_send(Copier *copier, Error *err)
{
    TRY(pg_copy_put(&copier->db->pg, buf_str(&copier->out), err));
    buf_clear(&copier->out);
    return true;
}

static bool copier_row(Copier *copier, size_t row, Str tail, Error *err)
{
    TRY(pg_copy_row(&copier->copy, row, tail, &copier->out, err));
    return copier->out.size < COPY_BYTES || copier_send(copier, err);
}

static bool copier_end(Copier *copier, size_t rows_total, Error *err)
{
    int64_t rows = 0;
    TRY(buf_append(&copier->out, pg_copy_foot, err) && copier_send(copier, err) &&
        pg_copy_end(&copier->db->pg, &rows, err));
    if (rows != (int64_t)rows_total)
        return error_set(err, ERROR_DATA, "load " STR_FMT ": %zu rows were sent, %lld arrived",
                         STR_ARG(copier->db->load.id), rows_total, (long long)rows);
    return true;
}

static bool append_names(Buf *sql, const Column *columns, size_t count, const char *prefix,
                         Error *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(buf_printf(sql, err, "%s%s", i > 0 ? ", " : "", prefix) &&
            sql_name(sql, columns[i].name, err));
    return true;
}

// COPY into a table of the contract with the load's own three columns behind the batch's.
static bool copy_into(PgWarehouse *db, const char *suffix, const Column *columns, size_t count,
                      Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("COPY "), err) && sql_table(&sql, db->load.spec->table, suffix, err) &&
        buf_append(&sql, STR(" ("), err) && append_names(&sql, columns, count, "", err) &&
        buf_append(&sql, STR(", _run_id, _load_id, _loaded_at) FROM STDIN WITH (FORMAT binary)"),
                   err) &&
        buf_append_char(&sql, '\0', err));
    return pg_copy_begin(&db->pg, sql.data, err);
}

// All rows of the source. Each gets `tails[replaces]` behind its columns.
static bool copy_source(Copier *copier, RowSource *source, const Str tails[2], Error *err)
{
    for (;;) {
        RowSelection selection = {0};
        TRY(env_check_stop(copier->db->env, err) && source->next(source->state, &selection, err));
        if (selection.array == NULL)
            return true;
        CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
        ArrowArrayMove(selection.array, &array);
        pg_copy_take(&copier->copy, &array);
        for (size_t i = 0; i < selection.count; i++)
            TRY(copier_row(copier, selection.rows[i], tails[selection.replaces[i] ? 1 : 0], err));
    }
}

// Rows that are all new go where they belong at once: the target's lock keeps what was matched
// true.
static bool write_new(PgWarehouse *db, RowSource *source, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    CLEANUP(copier_done) Copier copier = {0};
    TRY(copier_init(&copier, db, table->columns, table->column_count, LOAD_FIELDS, err));
    TRY(copy_into(db, "", table->columns, table->column_count, err));
    const Str tails[2] = {buf_str(&copier.load_fields), buf_str(&copier.load_fields)};
    if (!copy_source(&copier, source, tails, err)) {
        pg_copy_abort(&db->pg);
        return false;
    }
    return copier_end(&copier, source->rows_total, err);
}

// --- by a staging table

// Named by run and load. It is made and dropped in the load's own transaction, so that nobody else
// ever sees it and a killed run leaves none.
static bool stage_name(PgWarehouse *db, Buf *out, Error *err)
{
    const Sha256 hash = sha256(db->load.id);
    char digits[2 * STAGE_HASH_BYTES + 1];
    hex_encode(hash.bytes, STAGE_HASH_BYTES, digits);
    CLEANUP(buf_done) Buf name = {0};
    const Str run = str_slice(db->load.spec->run, 0, STAGE_RUN_BYTES);
    TRY(buf_printf(&name, err, "stage_%.*s_%s", (int)str_utf8_size(run), run.data, digits));
    TRY(sql_name(out, db->schema, err) && buf_append_char(out, '.', err));
    return sql_name(out, buf_str(&name), err);
}

static bool make_stage(PgWarehouse *db, Str stage, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(&sql, err, "CREATE UNLOGGED TABLE " STR_FMT " AS SELECT ", STR_ARG(stage)) &&
        append_names(&sql, table->columns, table->column_count, "", err) &&
        buf_append(&sql, STR(", false AS _replaces FROM "), err) &&
        sql_table(&sql, table, "", err) && buf_append(&sql, STR(" WITH NO DATA"), err));
    return pg_warehouse_run_buf(db, &sql, err);
}

static bool fill_stage(PgWarehouse *db, Str stage, RowSource *source, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(buf_done) Buf is_new = {0};
    CLEANUP(buf_done) Buf replaces = {0};
    CLEANUP(copier_done) Copier copier = {0};
    TRY(copier_init(&copier, db, table->columns, table->column_count, 1, err));
    TRY(pg_copy_bool(&is_new, false, err) && pg_copy_bool(&replaces, true, err));
    TRY(buf_printf(&sql, err, "COPY " STR_FMT " FROM STDIN WITH (FORMAT binary)", STR_ARG(stage)) &&
        buf_append_char(&sql, '\0', err) && pg_copy_begin(&db->pg, sql.data, err));
    const Str tails[2] = {buf_str(&is_new), buf_str(&replaces)};
    if (!copy_source(&copier, source, tails, err)) {
        pg_copy_abort(&db->pg);
        return false;
    }
    return copier_end(&copier, source->rows_total, err);
}

// A row that is not as it was matched (somebody else wrote the table) matches neither branch, and
// is missed when they are counted.
static bool merge_sql(PgWarehouse *db, Str stage, Buf *sql, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    TRY(buf_append(sql, STR("MERGE INTO "), err) && sql_table(sql, table, "", err) &&
        buf_printf(sql, err,
                   " AS t USING " STR_FMT " AS s ON t._row_key = s._row_key"
                   " WHEN MATCHED AND s._replaces THEN UPDATE SET ",
                   STR_ARG(stage)));
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_equal(table->columns[i].name, STR("_row_key")))
            continue;
        TRY(sql_name(sql, table->columns[i].name, err) && buf_append(sql, STR(" = s."), err) &&
            sql_name(sql, table->columns[i].name, err) && buf_append(sql, STR(", "), err));
    }
    TRY(buf_append(sql,
                   STR("_run_id = $1, _load_id = $2, _loaded_at = $3, _deleted_at = NULL"
                       " WHEN NOT MATCHED AND NOT s._replaces THEN INSERT ("),
                   err) &&
        append_names(sql, table->columns, table->column_count, "", err) &&
        buf_append(sql, STR(", _run_id, _load_id, _loaded_at) VALUES ("), err) &&
        append_names(sql, table->columns, table->column_count, "s.", err));
    return buf_append(sql, STR(", $1, $2, $3)"), err) && buf_append_char(sql, '\0', err);
}

static bool merge_stage(PgWarehouse *db, Str stage, size_t rows_total, Error *err)
{
    CLEANUP(buf_done) Buf merge = {0};
    CLEANUP(buf_done) Buf drop = {0};
    TRY(merge_sql(db, stage, &merge, err));
    const PgValue values[] = {pg_value_text(db->load.spec->run), pg_value_text(db->load.id),
                              pg_value_time(db->load.now_us)};
    int64_t rows = 0;
    TRY(pg_run(&db->pg, &(PgStatement){.sql = merge.data, .values = values, .value_count = 3},
               &rows, err));
    if (rows != (int64_t)rows_total)
        return error_set(err, ERROR_CONFLICT,
                         "load " STR_FMT ": %zu rows to merge, but %lld were: somebody else writes"
                         " this table",
                         STR_ARG(db->load.id), rows_total, (long long)rows);
    TRY(buf_printf(&drop, err, "DROP TABLE " STR_FMT, STR_ARG(stage)));
    return pg_warehouse_run_buf(db, &drop, err);
}

bool pg_warehouse_load_write(void *state, RowSource *source, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec != NULL);
    arena_reset(db->scratch);
    if (source->replaces_total == 0) {
        TRY(write_new(db, source, err));
    } else {
        CLEANUP(buf_done) Buf name = {0};
        TRY(stage_name(db, &name, err));
        const Str stage = buf_str(&name);
        TRY(make_stage(db, stage, err) && fill_stage(db, stage, source, err));
        kill_point("staged, " STR_FMT " load %u", STR_ARG(db->load.spec->stream),
                   db->load.spec->ordinal);
        TRY(merge_stage(db, stage, source->rows_total, err));
    }
    kill_point("written, " STR_FMT " load %u", STR_ARG(db->load.spec->stream),
               db->load.spec->ordinal);
    return true;
}

bool pg_warehouse_load_write_quarantine(void *state, struct ArrowArray *array, Error *err)
{
    PgWarehouse *db = state;
    const TableSpec *table = db->load.spec->table;
    arena_reset(db->scratch);
    CLEANUP(arrow_array_done) struct ArrowArray moved = {.release = NULL};
    ArrowArrayMove(array, &moved);
    if (table->quarantine_count == 0)
        return error_set(err, ERROR_JOB, "table " STR_FMT ": it has no quarantine",
                         STR_ARG(table->name));
    CLEANUP(copier_done) Copier copier = {0};
    TRY(copier_init(&copier, db, table->quarantine_columns, table->quarantine_count, LOAD_FIELDS,
                    err));
    TRY(copy_into(db, "__quarantine", table->quarantine_columns, table->quarantine_count, err));
    pg_copy_take(&copier.copy, &moved);
    for (size_t row = 0; row < (size_t)moved.length; row++) {
        if (copier_row(&copier, row, buf_str(&copier.load_fields), err))
            continue;
        pg_copy_abort(&db->pg);
        return false;
    }
    return copier_end(&copier, (size_t)moved.length, err);
}

bool pg_warehouse_load_mark_deleted(void *state, const Key128 *keys, size_t count,
                                    int64_t fetched_us, int64_t *ret_marked, Error *err)
{
    PgWarehouse *db = state;
    arena_reset(db->scratch);
    const PgValue values[] = {pg_value_time(fetched_us), pg_value_text(db->load.spec->run),
                              pg_value_text(db->load.id), pg_value_time(db->load.now_us)};
    PgStatement statement = {.values = values, .value_count = 4};
    TRY(table_sql(db, "UPDATE ",
                  " SET _deleted_at = $1, _fetched_at = $1, _run_id = $2, _load_id = $3,"
                  " _loaded_at = $4 WHERE _deleted_at IS NULL AND"
                  " (_fetched_at IS NULL OR _fetched_at <= $1)"
                  " AND _row_key = ANY ($5)",
                  &statement.sql, err));
    int64_t marked = 0;
    for (size_t at = 0; at < count; at += PG_KEYS_MAX) {
        int64_t rows = 0;
        statement.keys = keys + at;
        statement.key_count = count - at < PG_KEYS_MAX ? count - at : PG_KEYS_MAX;
        TRY(pg_run(&db->pg, &statement, &rows, err));
        marked += rows;
    }
    *ret_marked = marked;
    return true;
}

// --- commit

// The connection broke after COMMIT was sent, so it may have happened. The fence's row is locked
// until the server is done with the old transaction; then the ledger knows.
static bool ask_whether_committed(PgWarehouse *db, const LoadSpec *spec, Error *err)
{
    const PgWarehouseLoad load = db->load;
    Str checksum = {0};
    Error why = {0};
    db->load = (PgWarehouseLoad){0};
    if (!pg_warehouse_begin(db, &why))
        return false;
    db->load = load;
    const bool known = resolve(db, spec, &checksum, &why);
    const bool committed = known && checksum.data != NULL;
    pg_warehouse_load_abort(db);
    if (known && !committed)
        (void)error_context(err, "not committed");
    return committed;
}

bool pg_warehouse_load_commit(void *state, const LoadCommit *commit, Error *err)
{
    PgWarehouse *db = state;
    const LoadSpec *spec = db->load.spec;
    arena_reset(db->scratch);
    TRY(env_check_stop(db->env, err));
    TRY(pg_warehouse_write_ledger(db, commit, err));
    kill_point("commit, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
    if (!pg_script(&db->pg, "COMMIT", err) &&
        (pg_is_open(&db->pg) || err->code != ERROR_IO || !ask_whether_committed(db, spec, err)))
        return error_context(err, "load " STR_FMT "/" STR_FMT "/%u", STR_ARG(spec->run),
                             STR_ARG(spec->stream), spec->ordinal);
    kill_point("committed, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
    *err = (Error){0};
    db->load = (PgWarehouseLoad){0};
    return true;
}
