// The ledger: loads, readings, watermarks and epochs, and ETL_LOG.
#include "warehouse/duckdb_state.h"
#include "warehouse/list.h"

#include <assert.h>

static const DuckValue no_value = {.kind = DUCK_NULL};

static DuckValue text_or_null(Str text)
{
    return text.size == 0 ? no_value : duck_text(text);
}

static DuckValue count_or_null(int64_t count)
{
    return count < 0 ? no_value : duck_int64(count);
}

// Runs SQL of the ledger, '@' expanded.
static bool run_own(DuckWarehouse *db, DuckStatement statement, Error *err)
{
    TRY(duck_warehouse_own(db, statement.sql, &statement.sql, err));
    return duck_run(&db->duck, &statement, NULL, err);
}

static bool query_own(DuckWarehouse *db, DuckStatement statement,
                      bool (*visit)(void *visitor, duckdb_data_chunk chunk, Error *err),
                      void *visitor, Error *err)
{
    TRY(duck_warehouse_own(db, statement.sql, &statement.sql, err));
    return duck_query(&db->duck, &statement, visit, visitor, err);
}

bool duck_warehouse_fence(DuckWarehouse *db, Str job, Str mode, uint64_t epoch, Error *err)
{
    assert(epoch <= INT64_MAX);
    const DuckValue names[] = {duck_text(job), duck_text(mode)};
    DuckStatement query = {.values = names, .value_count = 2};
    TRY(duck_warehouse_own(
        db, "SELECT max(epoch) FROM @pawl_state WHERE kind = 'epoch' AND job = ? AND mode = ?",
        &query.sql, err));
    int64_t stored = 0;
    bool found = false;
    TRY(duck_query_int64(&db->duck, &query, &stored, &found, err));
    if (found && stored > (int64_t)epoch)
        return warehouse_turned_away(&(LoadSpec){.job = job, .mode = mode, .epoch = epoch}, stored,
                                     err);
    if (found && stored == (int64_t)epoch)
        return true;
    const DuckValue values[] = {duck_int64((int64_t)epoch),
                                duck_time(db->env->now_us(db->env->state)), duck_text(job),
                                duck_text(mode)};
    return run_own(db,
                   (DuckStatement){
                       .sql = found ? "UPDATE @pawl_state SET epoch = ?, updated_at = ?"
                                      " WHERE kind = 'epoch' AND job = ? AND mode = ?"
                                    : "INSERT INTO @pawl_state (kind, epoch, updated_at, job, mode)"
                                      " VALUES ('epoch', ?, ?, ?, ?)",
                       .values = values,
                       .value_count = 4},
                   err);
}

typedef struct TextTaker {
    Arena *arena;
    Str text; // {NULL, 0} = no row
} TextTaker;

static bool take_text(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    TextTaker *taker = visitor;
    if (duckdb_data_chunk_get_size(chunk) == 0)
        return true;
    return arena_copy_str(taker->arena, duck_get_text(chunk, 0, 0), &taker->text, err);
}

bool duck_warehouse_find_load(DuckWarehouse *db, Str run, Str stream, uint32_t ordinal,
                              Str *ret_checksum, Error *err)
{
    const DuckValue values[] = {duck_text(run), duck_text(stream), duck_int64(ordinal)};
    TextTaker taker = {.arena = db->scratch};
    TRY(query_own(db,
                  (DuckStatement){.sql = "SELECT checksum FROM @pawl_load"
                                         " WHERE run_id = ? AND stream = ? AND load_ordinal = ?",
                                  .values = values,
                                  .value_count = 3},
                  take_text, &taker, err));
    *ret_checksum = taker.text;
    return true;
}

bool duck_warehouse_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                             Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    Str checksum = {0};
    TRY(duck_warehouse_find_load(db, run, stream, ordinal, &checksum, err));
    *ret_has = checksum.data != NULL;
    return true;
}

// A window of 0 to 0 is none.
static DuckValue window_edge(const LoadSlice *slice, int64_t us)
{
    return slice->from_us == 0 && slice->to_us == 0 ? no_value : duck_time(us);
}

static bool take_skipped(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    (void)err;
    LoadSlice *slices = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
        slices[duck_get_int64(chunk, 0, i)].skipped = true;
    return true;
}

bool duck_warehouse_mark_skipped(DuckWarehouse *db, const LoadSpec *spec, Error *err)
{
    static const DuckColumn columns[] = {DUCK_INT64("position"), DUCK_TEXT("partition_key"),
                                         DUCK_TIME("window_from"), DUCK_TIME("window_to"),
                                         DUCK_TIME("fetched_at")};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
    DuckValue *cells =
        arena_alloc_array(db->scratch, spec->slice_count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL || spec->slice_count == 0);
    for (size_t i = 0; i < spec->slice_count; i++) {
        LoadSlice *slice = &spec->slices[i];
        slice->skipped = false;
        DuckValue *cell = &cells[i * COLUMNS];
        cell[0] = duck_int64((int64_t)i);
        cell[1] = duck_text(slice->partition_key);
        cell[2] = window_edge(slice, slice->from_us);
        cell[3] = window_edge(slice, slice->to_us);
        cell[4] = duck_time(slice->fetched_us);
    }
    DuckGrid grid = {columns, COLUMNS, cells, spec->slice_count, 0};
    const DuckRows rows = duck_grid_rows(&grid);
    const DuckValue values[] = {duck_text(db->load.target), duck_text(spec->stream)};
    // A reading of a wider window saw these rows as well.
    return query_own(
        db,
        (DuckStatement){.sql = "SELECT DISTINCT r.position FROM pawl_rows() AS r"
                               " JOIN @pawl_slice AS s ON s.partition_key = r.partition_key"
                               " AND s.fetched_at > r.fetched_at AND"
                               " ((s.window_from <= r.window_from AND s.window_to >= r.window_to)"
                               " OR (s.window_from IS NULL AND r.window_from IS NULL))"
                               " WHERE s.target = ? AND s.stream = ? AND NOT s.skipped",
                        .values = values,
                        .value_count = 2,
                        .rows = &rows},
        take_skipped, spec->slices, err);
}

static bool write_slices(DuckWarehouse *db, Error *err)
{
    static const DuckColumn columns[] = {DUCK_TEXT("partition_key"), DUCK_TIME("window_from"),
                                         DUCK_TIME("window_to"),     DUCK_TIME("fetched_at"),
                                         DUCK_INT64("total_rows"),   DUCK_INT64("landed_rows"),
                                         DUCK_INT64("skipped")};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
    const LoadSpec *spec = db->load.spec;
    DuckValue *cells =
        arena_alloc_array(db->scratch, spec->slice_count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL || spec->slice_count == 0);
    for (size_t i = 0; i < spec->slice_count; i++) {
        const LoadSlice *slice = &spec->slices[i];
        DuckValue *cell = &cells[i * COLUMNS];
        cell[0] = duck_text(slice->partition_key);
        cell[1] = window_edge(slice, slice->from_us);
        cell[2] = window_edge(slice, slice->to_us);
        cell[3] = duck_time(slice->fetched_us);
        cell[4] = count_or_null(slice->total);
        cell[5] = duck_int64(slice->rows);
        cell[6] = duck_int64(slice->skipped);
    }
    DuckGrid grid = {columns, COLUMNS, cells, spec->slice_count, 0};
    const DuckRows rows = duck_grid_rows(&grid);
    const DuckValue values[] = {duck_text(db->load.target), duck_text(spec->stream),
                                duck_text(db->load.id), duck_time(db->load.now_us)};
    return run_own(
        db,
        (DuckStatement){
            .sql = "INSERT INTO @pawl_slice (target, stream, load_id, loaded_at, partition_key,"
                   " window_from, window_to, fetched_at, total_rows, landed_rows, skipped)"
                   " SELECT ?, ?, ?, ?, partition_key, window_from, window_to, fetched_at,"
                   " total_rows, landed_rows, skipped <> 0 FROM pawl_rows()",
            .values = values,
            .value_count = 4,
            .rows = &rows},
        err);
}

// Where `back` is false a standing watermark only moves forward.
static bool write_watermarks(DuckWarehouse *db, Str job, Str target, const Watermark *marks,
                             size_t count, bool back, Error *err)
{
    static const DuckColumn columns[] = {DUCK_TEXT("stream"), DUCK_TEXT("partition_key"),
                                         DUCK_TIME("watermark")};
    enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };
    if (count == 0)
        return true;
    DuckValue *cells = arena_alloc_array(db->scratch, count, sizeof(*cells) * COLUMNS, err);
    TRY(cells != NULL);
    for (size_t i = 0; i < count; i++) {
        cells[i * COLUMNS] = duck_text(marks[i].stream);
        cells[i * COLUMNS + 1] = duck_text(marks[i].partition_key);
        cells[i * COLUMNS + 2] = duck_time(marks[i].us);
    }
    DuckGrid grid = {columns, COLUMNS, cells, count, 0};
    const DuckRows rows = duck_grid_rows(&grid);
    const DuckValue values[] = {duck_text(job), duck_text(target), duck_int64(back),
                                duck_time(db->env->now_us(db->env->state))};
    return run_own(
        db,
        (DuckStatement){
            .sql = "MERGE INTO @pawl_state AS s USING (SELECT CAST(? AS VARCHAR) AS job,"
                   " CAST(? AS VARCHAR) AS target, CAST(? AS BIGINT) AS back,"
                   " CAST(? AS TIMESTAMPTZ) AS now, stream, partition_key,"
                   " max(watermark) AS watermark FROM pawl_rows() GROUP BY stream, partition_key)"
                   " AS r ON s.kind = 'watermark' AND s.job = r.job AND s.target = r.target"
                   " AND s.stream = r.stream AND s.partition_key = r.partition_key"
                   " WHEN MATCHED AND (r.watermark > s.watermark OR r.back = 1)"
                   " THEN UPDATE SET watermark = r.watermark, updated_at = r.now"
                   " WHEN NOT MATCHED THEN INSERT (kind, job, target, stream, partition_key,"
                   " watermark, updated_at) VALUES ('watermark', r.job, r.target, r.stream,"
                   " r.partition_key, r.watermark, r.now)",
            .values = values,
            .value_count = 4,
            .rows = &rows},
        err);
}

static bool write_load(DuckWarehouse *db, const LoadCommit *commit, Error *err)
{
    const LoadSpec *spec = db->load.spec;
    char checksum[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, checksum);
    const DuckValue values[] = {duck_text(spec->run),
                                duck_text(spec->stream),
                                duck_int64(spec->ordinal),
                                duck_text(db->load.id),
                                duck_text(spec->job),
                                duck_text(spec->mode),
                                duck_text(db->load.target),
                                duck_text(str_from(checksum)),
                                duck_int64((int64_t)spec->epoch),
                                duck_int64(commit->inserted),
                                duck_int64(commit->updated),
                                duck_int64(commit->unchanged),
                                duck_int64(commit->deleted),
                                duck_int64(commit->quarantined),
                                duck_time(db->load.now_us)};
    return run_own(
        db,
        (DuckStatement){
            .sql = "INSERT INTO @pawl_load (run_id, stream, load_ordinal, load_id, job, mode,"
                   " target, checksum, epoch, rows_inserted, rows_updated, rows_unchanged,"
                   " rows_deleted, rows_quarantined, loaded_at)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            .values = values,
            .value_count = sizeof(values) / sizeof(values[0])},
        err);
}

bool duck_warehouse_write_ledger(DuckWarehouse *db, const LoadCommit *commit, Error *err)
{
    TRY(write_load(db, commit, err));
    TRY(write_slices(db, err));
    return write_watermarks(db, db->load.spec->job, db->load.target, commit->watermarks,
                            commit->watermark_count, false, err);
}

bool duck_warehouse_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                                  const Watermark *mark, uint64_t epoch, Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(duck_warehouse_begin_call(db, err));
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    TRY(duck_run_sql(&db->duck, "BEGIN", err));
    if (duck_warehouse_fence(db, job, mode, epoch, err) &&
        write_watermarks(db, job, target, mark, 1, true, err) &&
        duck_run_sql(&db->duck, "COMMIT", err))
        return true;
    Error rollback = {0};
    if (!duck_run_sql(&db->duck, "ROLLBACK", &rollback))
        duck_close(&db->duck);
    return false;
}

static bool take_watermarks(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    List *list = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        Watermark *mark = list_add(list, sizeof(*mark), err);
        TRY(mark != NULL);
        TRY(arena_copy_str(list->arena, duck_get_text(chunk, 0, i), &mark->stream, err));
        TRY(arena_copy_str(list->arena, duck_get_text(chunk, 1, i), &mark->partition_key, err));
        mark->us = duck_is_null(chunk, 2, i) ? 0 : duck_get_int64(chunk, 2, i);
    }
    return true;
}

bool duck_warehouse_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                                    Watermark **ret_marks, size_t *ret_count, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    const DuckValue values[] = {duck_text(job), duck_text(target)};
    List list = {.arena = arena};
    TRY(query_own(db,
                  (DuckStatement){.sql = "SELECT stream, partition_key, watermark FROM @pawl_state"
                                         " WHERE kind = 'watermark' AND job = ? AND target = ?"
                                         " ORDER BY stream, partition_key",
                                  .values = values,
                                  .value_count = 2},
                  take_watermarks, &list, err));
    *ret_marks = list.items;
    *ret_count = list.count;
    return true;
}

static int64_t int64_or(duckdb_data_chunk chunk, size_t column, size_t row, int64_t otherwise)
{
    return duck_is_null(chunk, column, row) ? otherwise : duck_get_int64(chunk, column, row);
}

static bool take_slices(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    List *list = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        LoadSlice *slice = list_add(list, sizeof(*slice), err);
        TRY(slice != NULL);
        *slice = (LoadSlice){.from_us = int64_or(chunk, 1, i, 0),
                             .to_us = int64_or(chunk, 2, i, 0),
                             .fetched_us = duck_get_int64(chunk, 3, i),
                             .total = int64_or(chunk, 4, i, -1),
                             .rows = duck_get_int64(chunk, 5, i)};
        TRY(arena_copy_str(list->arena, duck_get_text(chunk, 0, i), &slice->partition_key, err));
    }
    return true;
}

bool duck_warehouse_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                                LoadSlice **ret_slices, size_t *ret_count, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    const DuckValue values[] = {duck_text(target), duck_text(stream)};
    List list = {.arena = arena};
    TRY(query_own(
        db,
        (DuckStatement){
            .sql = "SELECT partition_key, window_from, window_to, fetched_at, total_rows,"
                   " landed_rows FROM (SELECT *, row_number() OVER (PARTITION BY partition_key,"
                   " window_from, window_to ORDER BY fetched_at DESC, loaded_at DESC) AS age"
                   " FROM @pawl_slice WHERE target = ? AND stream = ? AND NOT skipped)"
                   " WHERE age = 1 ORDER BY partition_key, window_from, window_to",
            .values = values,
            .value_count = 2},
        take_slices, &list, err));
    *ret_slices = list.items;
    *ret_count = list.count;
    return true;
}

static bool take_keys(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    List *list = visitor;
    const duckdb_hugeint *uuids = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        Key128 *key = list_add(list, sizeof(*key), err);
        TRY(key != NULL);
        duck_uuid_bytes(uuids[i], key->bytes);
    }
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

enum { PARTITION_FIELDS_MAX = 16, TYPE_BYTES = 64 };

// `<column> = CAST(? AS <its type>)`: as the column's own type, so that DuckDB can skip row groups.
static bool append_partition(Buf *sql, const TableSpec *table, Str name, Error *err)
{
    const Column *column = column_named(table, name);
    if (column == NULL)
        return error_set(err, ERROR_JOB,
                         "table " STR_FMT ": it has no partition column '" STR_FMT "'",
                         STR_ARG(table->name), STR_ARG(name));
    char type[TYPE_BYTES];
    duck_type_name(column, type, sizeof(type));
    TRY(buf_append(sql, STR(" AND "), err));
    TRY(sql_name(sql, name, err));
    return buf_printf(sql, err, " = CAST(? AS %s)", type);
}

bool duck_warehouse_window_keys(void *state, const KeyWindow *window, Arena *arena,
                                Key128 **ret_keys, size_t *ret_count, Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (window->partition_count > PARTITION_FIELDS_MAX)
        return error_set(err, ERROR_LIMIT, "window: more than %d partition fields",
                         PARTITION_FIELDS_MAX);
    TRY(duck_warehouse_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    DuckValue values[PARTITION_FIELDS_MAX + 3];
    size_t count = 0;
    TRY(buf_append(&sql, STR("SELECT _row_key FROM "), err));
    TRY(sql_table(&sql, window->table, "", err));
    TRY(buf_append(&sql,
                   STR(" WHERE _deleted_at IS NULL AND (_fetched_at IS NULL OR _fetched_at <= ?)"),
                   err));
    values[count++] = duck_time(window->fetched_us);
    if (window->window_column.size > 0) {
        // A date is its first instant, in UTC: the connection's time zone is.
        TRY(buf_append(&sql, STR(" AND CAST("), err));
        TRY(sql_name(&sql, window->window_column, err));
        TRY(buf_append(&sql, STR(" AS TIMESTAMPTZ) >= ? AND CAST("), err));
        TRY(sql_name(&sql, window->window_column, err));
        TRY(buf_append(&sql, STR(" AS TIMESTAMPTZ) < ?"), err));
        values[count++] = duck_time(window->from_us);
        values[count++] = duck_time(window->to_us);
    }
    for (size_t i = 0; i < window->partition_count; i++) {
        TRY(append_partition(&sql, window->table, window->partition_columns[i], err));
        values[count++] = duck_text(window->partition_values[i]);
    }
    TRY(buf_append_char(&sql, '\0', err));
    List list = {.arena = arena};
    const DuckStatement query = {.sql = sql.data, .values = values, .value_count = count};
    TRY(duck_query(&db->duck, &query, take_keys, &list, err));
    *ret_keys = list.items;
    *ret_count = list.count;
    return true;
}

static const DuckColumn log_columns[] = {
    DUCK_TEXT("run_id"),
    DUCK_TEXT("job"),
    DUCK_TEXT("mode"),
    DUCK_TEXT("stage"),
    DUCK_TEXT("stream"),
    DUCK_TEXT("partition_key"),
    DUCK_INT64("slice_ordinal"),
    DUCK_INT64("load_ordinal"),
    DUCK_TEXT("status"),
    DUCK_INT64("rows_in"),
    DUCK_INT64("rows_landed"),
    DUCK_INT64("rows_inserted"),
    DUCK_INT64("rows_updated"),
    DUCK_INT64("rows_unchanged"),
    DUCK_INT64("rows_deleted"),
    DUCK_INT64("rows_quarantined"),
    DUCK_INT64("rows_overflowed"),
    DUCK_INT64("bytes"),
    DUCK_INT64("requests"),
    DUCK_INT64("attempts"),
    DUCK_INT64("wait_us"),
    DUCK_TIME("started_at"),
    DUCK_INT64("duration_us"),
    {.name = "error", .type = DUCKDB_TYPE_VARCHAR, .is_json = true},
};
enum { LOG_COLUMNS = sizeof(log_columns) / sizeof(log_columns[0]) };

static void log_cells(const EtlLogRow *row, DuckValue *cells)
{
    const DuckValue all[LOG_COLUMNS] = {
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
        row->started_us < 0 ? no_value : duck_time(row->started_us),
        count_or_null(row->duration_us),
        text_or_null(row->error_json),
    };
    memcpy(cells, all, sizeof(all));
}

bool duck_warehouse_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (count == 0)
        return true;
    TRY(duck_warehouse_begin_call(db, err));
    DuckValue *cells = arena_alloc_array(db->scratch, count, sizeof(*cells) * LOG_COLUMNS, err);
    TRY(cells != NULL);
    for (size_t i = 0; i < count; i++)
        log_cells(&rows[i], &cells[i * LOG_COLUMNS]);
    DuckGrid grid = {log_columns, LOG_COLUMNS, cells, count, 0};
    const DuckRows source = duck_grid_rows(&grid);
    const DuckValue values[] = {duck_time(db->env->now_us(db->env->state))};
    kill_point("log append");
    TRY(run_own(db,
                // By name: people add columns of their own to a log.
                (DuckStatement){.sql = "INSERT INTO @etl_log BY NAME SELECT *, ? AS logged_at"
                                       " FROM pawl_rows()",
                                .values = values,
                                .value_count = 1,
                                .rows = &source},
                err));
    kill_point("log appended");
    return true;
}
