// The ledger: loads, readings, watermarks and epochs, and ETL_LOG.
#include "warehouse/list.h"
#include "warehouse/postgres_state.h"

#include <assert.h>

static PgValue text_or_null(Str text)
{
    return text.size == 0 ? pg_value_null(PG_TEXT) : pg_value_text(text);
}

static PgValue count_or_null(int64_t count)
{
    return count < 0 ? pg_value_null(PG_INT64) : pg_value_int64(count);
}

static bool take_int64(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(int64_t *)visitor = pg_get_int64(result, row, 0);
    return true;
}

// The row stays locked until the transaction ends: who comes with another epoch waits for us, or we
// for him, and the lower one finds the higher.
bool pg_warehouse_fence(PgWarehouse *db, Str job, Str mode, uint64_t epoch, Error *err)
{
    assert(epoch <= INT64_MAX);
    const PgValue values[] = {pg_value_text(job), pg_value_text(mode),
                              pg_value_int64((int64_t)epoch),
                              pg_value_time(db->env->now_us(db->env->state))};
    int64_t rows = 0;
    TRY(pg_warehouse_run_own(
        db,
        (PgStatement){.sql = "INSERT INTO @pawl_state AS s (kind, job, mode, epoch, updated_at)"
                             " VALUES ('epoch', $1, $2, $3, $4)"
                             " ON CONFLICT (job, mode) WHERE kind = 'epoch'"
                             " DO UPDATE SET epoch = excluded.epoch,"
                             " updated_at = excluded.updated_at WHERE s.epoch <= excluded.epoch",
                      .values = values,
                      .value_count = 4},
        &rows, err));
    if (rows == 1)
        return true;
    int64_t stored = 0;
    TRY(pg_warehouse_query_own(db,
                               (PgStatement){.sql =
                                                 "SELECT epoch FROM @pawl_state"
                                                 " WHERE kind = 'epoch' AND job = $1 AND mode = $2",
                                             .values = values,
                                             .value_count = 2},
                               take_int64, &stored, err));
    return warehouse_turned_away(&(LoadSpec){.job = job, .mode = mode, .epoch = epoch}, stored,
                                 err);
}

typedef struct TextTaker {
    Arena *arena;
    Str text; // {NULL, 0} = no row
} TextTaker;

static bool take_text(void *visitor, const PGresult *result, int row, Error *err)
{
    TextTaker *taker = visitor;
    return arena_copy_str(taker->arena, pg_get_text(result, row, 0), &taker->text, err);
}

static const char find_load_sql[] = "SELECT checksum FROM @pawl_load"
                                    " WHERE run_id = $1 AND stream = $2 AND load_ordinal = $3";

bool pg_warehouse_find_load(PgWarehouse *db, Str run, Str stream, uint32_t ordinal,
                            Str *ret_checksum, Error *err)
{
    const PgValue values[] = {pg_value_text(run), pg_value_text(stream), pg_value_int64(ordinal)};
    TextTaker taker = {.arena = db->scratch};
    TRY(pg_warehouse_query_own(
        db, (PgStatement){.sql = find_load_sql, .values = values, .value_count = 3}, take_text,
        &taker, err));
    *ret_checksum = taker.text;
    return true;
}

static bool take_bool(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    *(bool *)visitor = pg_get_bool(result, row, 0);
    return true;
}

// Before the first run there is no ledger to ask, and nothing in it: `pawl plan` comes first.
static bool query_ledger(PgWarehouse *db, PgStatement query, PgVisit *visit, void *visitor,
                         Error *err)
{
    bool stands = db->load.spec != NULL;
    const PgValue values[] = {pg_value_text(db->schema)};
    const PgStatement look = {
        .sql = "SELECT count(*) = 3 FROM pg_catalog.pg_class AS c"
               " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1"
               " AND c.relname IN ('pawl_load', 'pawl_slice', 'pawl_state')",
        .values = values,
        .value_count = 1};
    TRY(pg_warehouse_begin(db, err));
    const bool ok = (stands || pg_query(&db->pg, &look, take_bool, &stands, err)) &&
                    (!stands || pg_warehouse_query_own(db, query, visit, visitor, err));
    return pg_warehouse_end(db, ok, err);
}

bool pg_warehouse_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                           Error *err)
{
    PgWarehouse *db = state;
    const PgValue values[] = {pg_value_text(run), pg_value_text(stream), pg_value_int64(ordinal)};
    TextTaker taker = {.arena = db->scratch};
    TRY(query_ledger(db, (PgStatement){.sql = find_load_sql, .values = values, .value_count = 3},
                     take_text, &taker, err));
    *ret_has = taker.text.data != NULL;
    return true;
}

// A window of 0 to 0 is none.
static PgValue window_edge(const LoadSlice *slice, int64_t us)
{
    return slice->from_us == 0 && slice->to_us == 0 ? pg_value_null(PG_TIME) : pg_value_time(us);
}

static bool take_skipped(void *visitor, const PGresult *result, int row, Error *err)
{
    (void)err;
    LoadSlice *slices = visitor;
    slices[pg_get_int64(result, row, 0)].skipped = true;
    return true;
}

bool pg_warehouse_mark_skipped(PgWarehouse *db, const LoadSpec *spec, Error *err)
{
    static const PgType types[] = {PG_INT64, PG_TEXT, PG_TIME, PG_TIME, PG_TIME};
    enum { COLUMNS = sizeof(types) / sizeof(types[0]) };
    PgValue *cells =
        arena_alloc_array(db->scratch, spec->slice_count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL || spec->slice_count == 0);
    for (size_t i = 0; i < spec->slice_count; i++) {
        LoadSlice *slice = &spec->slices[i];
        slice->skipped = false;
        PgValue *cell = &cells[i * COLUMNS];
        cell[0] = pg_value_int64((int64_t)i);
        cell[1] = pg_value_text(slice->partition_key);
        cell[2] = window_edge(slice, slice->from_us);
        cell[3] = window_edge(slice, slice->to_us);
        cell[4] = pg_value_time(slice->fetched_us);
    }
    const PgGrid grid = {types, COLUMNS, cells, spec->slice_count};
    const PgValue values[] = {pg_value_text(db->load.target), pg_value_text(spec->stream)};
    // A reading of a wider window saw these rows as well.
    return pg_warehouse_query_own(
        db,
        (PgStatement){.sql = "SELECT DISTINCT r.position FROM"
                             " unnest($3, $4, $5, $6, $7)"
                             " AS r(position, partition_key, window_from, window_to, fetched_at)"
                             " JOIN @pawl_slice AS s ON s.partition_key = r.partition_key"
                             " AND s.fetched_at > r.fetched_at AND"
                             " ((s.window_from <= r.window_from AND s.window_to >= r.window_to)"
                             " OR (s.window_from IS NULL AND r.window_from IS NULL))"
                             " WHERE s.target = $1 AND s.stream = $2 AND NOT s.skipped",
                      .values = values,
                      .value_count = 2,
                      .grid = &grid},
        take_skipped, spec->slices, err);
}

static bool write_slices(PgWarehouse *db, Error *err)
{
    static const PgType types[] = {PG_TEXT, PG_TIME, PG_TIME, PG_TIME, PG_INT64, PG_INT64, PG_BOOL};
    enum { COLUMNS = sizeof(types) / sizeof(types[0]) };
    const LoadSpec *spec = db->load.spec;
    PgValue *cells =
        arena_alloc_array(db->scratch, spec->slice_count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL || spec->slice_count == 0);
    for (size_t i = 0; i < spec->slice_count; i++) {
        const LoadSlice *slice = &spec->slices[i];
        PgValue *cell = &cells[i * COLUMNS];
        cell[0] = pg_value_text(slice->partition_key);
        cell[1] = window_edge(slice, slice->from_us);
        cell[2] = window_edge(slice, slice->to_us);
        cell[3] = pg_value_time(slice->fetched_us);
        cell[4] = count_or_null(slice->total);
        cell[5] = pg_value_int64(slice->rows);
        cell[6] = pg_value_bool(slice->skipped);
    }
    const PgGrid grid = {types, COLUMNS, cells, spec->slice_count};
    const PgValue values[] = {pg_value_text(db->load.target), pg_value_text(spec->stream),
                              pg_value_text(db->load.id), pg_value_time(db->load.now_us)};
    return pg_warehouse_run_own(
        db,
        (PgStatement){
            .sql = "INSERT INTO @pawl_slice (target, stream, load_id, loaded_at, partition_key,"
                   " window_from, window_to, fetched_at, total_rows, landed_rows, skipped)"
                   " SELECT $1, $2, $3, $4, r.* FROM unnest($5, $6, $7, $8, $9, $10, $11) AS r",
            .values = values,
            .value_count = 4,
            .grid = &grid},
        NULL, err);
}

// Where `back` is false a standing watermark only moves forward.
static bool write_watermarks(PgWarehouse *db, Str job, Str target, const Watermark *marks,
                             size_t count, bool back, Error *err)
{
    static const PgType types[] = {PG_TEXT, PG_TEXT, PG_TIME};
    enum { COLUMNS = sizeof(types) / sizeof(types[0]) };
    if (count == 0)
        return true;
    PgValue *cells = arena_alloc_array(db->scratch, count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL);
    for (size_t i = 0; i < count; i++) {
        cells[i * COLUMNS] = pg_value_text(marks[i].stream);
        cells[i * COLUMNS + 1] = pg_value_text(marks[i].partition_key);
        cells[i * COLUMNS + 2] = pg_value_time(marks[i].us);
    }
    const PgGrid grid = {types, COLUMNS, cells, count};
    const PgValue values[] = {pg_value_text(job), pg_value_text(target), pg_value_bool(back),
                              pg_value_time(db->env->now_us(db->env->state))};
    return pg_warehouse_run_own(
        db,
        (PgStatement){
            .sql = "INSERT INTO @pawl_state AS s (kind, job, target, stream, partition_key,"
                   " watermark, updated_at) SELECT 'watermark', $1, $2, r.stream,"
                   " r.partition_key, max(r.watermark), $4"
                   " FROM unnest($5, $6, $7) AS r(stream, partition_key, watermark)"
                   " GROUP BY r.stream, r.partition_key"
                   " ON CONFLICT (job, target, stream, partition_key) WHERE kind = 'watermark'"
                   " DO UPDATE SET watermark = excluded.watermark,"
                   " updated_at = excluded.updated_at"
                   " WHERE excluded.watermark > s.watermark OR $3",
            .values = values,
            .value_count = 4,
            .grid = &grid},
        NULL, err);
}

static bool write_load(PgWarehouse *db, const LoadCommit *commit, Error *err)
{
    const LoadSpec *spec = db->load.spec;
    char checksum[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, checksum);
    const PgValue values[] = {pg_value_text(spec->run),
                              pg_value_text(spec->stream),
                              pg_value_int64(spec->ordinal),
                              pg_value_text(db->load.id),
                              pg_value_text(spec->job),
                              pg_value_text(spec->mode),
                              pg_value_text(db->load.target),
                              pg_value_text(str_from(checksum)),
                              pg_value_int64((int64_t)spec->epoch),
                              pg_value_int64(commit->inserted),
                              pg_value_int64(commit->updated),
                              pg_value_int64(commit->unchanged),
                              pg_value_int64(commit->deleted),
                              pg_value_int64(commit->quarantined),
                              pg_value_time(db->load.now_us)};
    return pg_warehouse_run_own(
        db,
        (PgStatement){
            .sql = "INSERT INTO @pawl_load (run_id, stream, load_ordinal, load_id, job, mode,"
                   " target, checksum, epoch, rows_inserted, rows_updated, rows_unchanged,"
                   " rows_deleted, rows_quarantined, loaded_at)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            .values = values,
            .value_count = sizeof(values) / sizeof(values[0])},
        NULL, err);
}

bool pg_warehouse_write_ledger(PgWarehouse *db, const LoadCommit *commit, Error *err)
{
    TRY(write_load(db, commit, err));
    TRY(write_slices(db, err));
    return write_watermarks(db, db->load.spec->job, db->load.target, commit->watermarks,
                            commit->watermark_count, false, err);
}

bool pg_warehouse_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                                const Watermark *mark, uint64_t epoch, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    Str target = {0};
    TRY(pg_warehouse_begin(db, err));
    return pg_warehouse_end(db,
                            sql_target(db->scratch, table, &target, err) &&
                                pg_warehouse_fence(db, job, mode, epoch, err) &&
                                pg_warehouse_lock(db, target, err) &&
                                write_watermarks(db, job, target, mark, 1, true, err),
                            err);
}

static bool take_watermark(void *visitor, const PGresult *result, int row, Error *err)
{
    List *list = visitor;
    Watermark *mark = list_add(list, sizeof(*mark), err);
    TRY(mark != NULL);
    mark->us = PQgetisnull(result, row, 2) == 1 ? 0 : pg_get_time(result, row, 2);
    if (mark->us == INT64_MIN || mark->us == INT64_MAX) // somebody wanted it read anew
        mark->us = 0;
    return arena_copy_str(list->arena, pg_get_text(result, row, 0), &mark->stream, err) &&
           arena_copy_str(list->arena, pg_get_text(result, row, 1), &mark->partition_key, err);
}

bool pg_warehouse_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                                  Watermark **ret_marks, size_t *ret_count, Error *err)
{
    PgWarehouse *db = state;
    Str target = {0};
    TRY(sql_target(arena, table, &target, err));
    List list = {.arena = arena};
    const PgValue values[] = {pg_value_text(job), pg_value_text(target)};
    const PgStatement query = {.sql = "SELECT stream, partition_key, watermark FROM @pawl_state"
                                      " WHERE kind = 'watermark' AND job = $1 AND target = $2"
                                      " ORDER BY stream COLLATE \"C\", partition_key COLLATE \"C\"",
                               .values = values,
                               .value_count = 2};
    TRY(query_ledger(db, query, take_watermark, &list, err));
    *ret_marks = list.items;
    *ret_count = list.count;
    return true;
}

static int64_t time_or(const PGresult *result, int row, int column, int64_t otherwise)
{
    return PQgetisnull(result, row, column) == 1 ? otherwise : pg_get_time(result, row, column);
}

static bool take_slice(void *visitor, const PGresult *result, int row, Error *err)
{
    List *list = visitor;
    LoadSlice *slice = list_add(list, sizeof(*slice), err);
    TRY(slice != NULL);
    *slice = (LoadSlice){.from_us = time_or(result, row, 1, 0),
                         .to_us = time_or(result, row, 2, 0),
                         .fetched_us = pg_get_time(result, row, 3),
                         .total = pg_get_int64(result, row, 4),
                         .rows = pg_get_int64(result, row, 5)};
    return arena_copy_str(list->arena, pg_get_text(result, row, 0), &slice->partition_key, err);
}

bool pg_warehouse_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                              LoadSlice **ret_slices, size_t *ret_count, Error *err)
{
    PgWarehouse *db = state;
    Str target = {0};
    TRY(sql_target(arena, table, &target, err));
    List list = {.arena = arena};
    const PgValue values[] = {pg_value_text(target), pg_value_text(stream)};
    const PgStatement query = {
        .sql = "SELECT partition_key, window_from, window_to, fetched_at,"
               " coalesce(total_rows, -1), landed_rows FROM"
               " (SELECT DISTINCT ON (partition_key, window_from, window_to) * FROM @pawl_slice"
               " WHERE target = $1 AND stream = $2 AND NOT skipped"
               " ORDER BY partition_key, window_from, window_to, fetched_at DESC, loaded_at DESC)"
               " AS latest"
               " ORDER BY partition_key COLLATE \"C\", window_from, window_to",
        .values = values,
        .value_count = 2};
    TRY(query_ledger(db, query, take_slice, &list, err));
    *ret_slices = list.items;
    *ret_count = list.count;
    return true;
}

static bool take_key(void *visitor, const PGresult *result, int row, Error *err)
{
    List *list = visitor;
    Key128 *key = list_add(list, sizeof(*key), err);
    TRY(key != NULL);
    pg_get_key(result, row, 0, key);
    return true;
}

static const Column *column_named(const TableSpec *table, Str name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_equal(table->columns[i].name, name))
            return &table->columns[i];
    }
    return NULL;
}

enum { PARTITION_FIELDS_MAX = 16 };

// Compared as the column's own type, so that an index serves.
static bool append_comparison(Buf *sql, const TableSpec *table, Str name, const char *comparison,
                              size_t parameter, Error *err)
{
    const Column *column = column_named(table, name);
    if (column == NULL)
        return error_set(err, ERROR_JOB, "table " STR_FMT ": it has no column '" STR_FMT "'",
                         STR_ARG(table->name), STR_ARG(name));
    char type[PG_TYPE_BYTES];
    pg_type_name(column, type);
    return buf_append(sql, STR(" AND "), err) && sql_name(sql, name, err) &&
           buf_printf(sql, err, " %s CAST($%zu AS %s)", comparison, parameter, type);
}

// A date is its first instant, in UTC, as the transaction's time zone is: of the days that begin at
// or behind an instant, the first is that of a microsecond before, and one more.
static bool append_window(Buf *sql, const TableSpec *table, Str name, Error *err)
{
    const Column *column = column_named(table, name);
    if (column == NULL || column->type != COLUMN_DATE)
        return append_comparison(sql, table, name, ">=", 2, err) &&
               append_comparison(sql, table, name, "<", 3, err);
    return buf_append(sql, STR(" AND "), err) && sql_name(sql, name, err) &&
           buf_append(sql, STR(" > CAST($2 - interval '1 microsecond' AS date) AND "), err) &&
           sql_name(sql, name, err) &&
           buf_append(sql, STR(" <= CAST($3 - interval '1 microsecond' AS date)"), err);
}

bool pg_warehouse_window_keys(void *state, const KeyWindow *window, Arena *arena, Key128 **ret_keys,
                              size_t *ret_count, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (window->partition_count > PARTITION_FIELDS_MAX)
        return error_set(err, ERROR_LIMIT, "window: more than %d partition fields",
                         PARTITION_FIELDS_MAX);
    CLEANUP(buf_done) Buf sql = {0};
    PgValue values[PARTITION_FIELDS_MAX + 3];
    size_t count = 0;
    TRY(buf_append(&sql, STR("SELECT _row_key FROM "), err));
    TRY(sql_table(&sql, window->table, "", err));
    TRY(buf_append(&sql,
                   STR(" WHERE _deleted_at IS NULL AND (_fetched_at IS NULL OR _fetched_at <= $1)"),
                   err));
    values[count++] = pg_value_time(window->fetched_us);
    if (window->window_column.size > 0) {
        TRY(append_window(&sql, window->table, window->window_column, err));
        values[count++] = pg_value_time(window->from_us);
        values[count++] = pg_value_time(window->to_us);
    }
    for (size_t i = 0; i < window->partition_count; i++) {
        TRY(append_comparison(&sql, window->table, window->partition_columns[i], "=", count + 1,
                              err));
        values[count++] = pg_value_text(window->partition_values[i]);
    }
    TRY(buf_append_char(&sql, '\0', err) && pg_warehouse_begin(db, err));
    List list = {.arena = arena};
    const PgStatement query = {.sql = sql.data, .values = values, .value_count = count};
    TRY(pg_warehouse_end(db, pg_query(&db->pg, &query, take_key, &list, err), err));
    *ret_keys = list.items;
    *ret_count = list.count;
    return true;
}

static const PgType log_types[] = {
    PG_TEXT,  PG_TEXT,  PG_TEXT,  PG_TEXT,  PG_TEXT,  PG_TEXT,  PG_INT64, PG_INT64,
    PG_TEXT,  PG_INT64, PG_INT64, PG_INT64, PG_INT64, PG_INT64, PG_INT64, PG_INT64,
    PG_INT64, PG_INT64, PG_INT64, PG_INT64, PG_INT64, PG_TIME,  PG_INT64, PG_TEXT,
};
enum { LOG_COLUMNS = sizeof(log_types) / sizeof(log_types[0]) };

static void log_cells(const EtlLogRow *row, PgValue *cells)
{
    const PgValue all[LOG_COLUMNS] = {
        text_or_null(row->run),
        text_or_null(row->job),
        text_or_null(row->mode),
        text_or_null(row->stage),
        text_or_null(row->stream),
        text_or_null(row->partition_key),
        count_or_null(row->slice),
        count_or_null(row->load),
        text_or_null(row->status),
        count_or_null(row->rows_in),
        count_or_null(row->rows_landed),
        count_or_null(row->rows_inserted),
        count_or_null(row->rows_updated),
        count_or_null(row->rows_unchanged),
        count_or_null(row->rows_deleted),
        count_or_null(row->rows_quarantined),
        count_or_null(row->rows_overflowed),
        count_or_null(row->bytes),
        count_or_null(row->requests),
        count_or_null(row->attempts),
        count_or_null(row->wait_us),
        row->started_us < 0 ? pg_value_null(PG_TIME) : pg_value_time(row->started_us),
        count_or_null(row->duration_us),
        text_or_null(row->error_json),
    };
    memcpy(cells, all, sizeof(all));
}

static bool append_rows(PgWarehouse *db, const EtlLogRow *rows, size_t count, Error *err)
{
    PgValue *cells = arena_alloc_array(db->scratch, count, sizeof(*cells) * LOG_COLUMNS, err);
    TRY(cells != NULL);
    for (size_t i = 0; i < count; i++)
        log_cells(&rows[i], &cells[i * LOG_COLUMNS]);
    const PgGrid grid = {log_types, LOG_COLUMNS, cells, count};
    const PgValue values[] = {pg_value_time(db->env->now_us(db->env->state))};
    return pg_warehouse_run_own(
        db,
        (PgStatement){
            .sql = "INSERT INTO @etl_log (logged_at, run_id, job, mode, stage, stream,"
                   " partition_key, slice_ordinal, load_ordinal, status, rows_in, rows_landed,"
                   " rows_inserted, rows_updated, rows_unchanged, rows_deleted, rows_quarantined,"
                   " rows_overflowed, bytes, requests, attempts, wait_us, started_at, duration_us,"
                   " error) SELECT $1, r.c1, r.c2, r.c3, r.c4, r.c5, r.c6, r.c7, r.c8, r.c9,"
                   " r.c10, r.c11, r.c12, r.c13, r.c14, r.c15, r.c16, r.c17, r.c18, r.c19, r.c20,"
                   " r.c21, r.c22, r.c23, CAST(r.c24 AS json)"
                   " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
                   " $16, $17, $18, $19, $20, $21, $22, $23, $24, $25) AS r(c1, c2, c3, c4, c5,"
                   " c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21,"
                   " c22, c23, c24)",
            .values = values,
            .value_count = 1,
            .grid = &grid},
        NULL, err);
}

bool pg_warehouse_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err)
{
    PgWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (count == 0)
        return true;
    TRY(pg_warehouse_begin(db, err));
    kill_point("log append");
    TRY(pg_warehouse_end(db, append_rows(db, rows, count, err), err));
    kill_point("log appended");
    return true;
}
