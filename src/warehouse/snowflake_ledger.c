// Reads of the ledger, marks set by hand, and ETL_LOG.
#include "warehouse/list.h"
#include "warehouse/snowflake_state.h"

#include <assert.h>

enum { LOG_ROWS_A_STATEMENT = 500, PARTITION_FIELDS_MAX = 16, TYPE_BYTES = 64 };

// " WHERE|AND "<column>" = 'text'"
static bool append_equal(Buf *sql, const char *before, Str text, Error *err)
{
    return buf_printf(sql, err, "%s = ", before) && snowflake_literal(sql, text, err);
}

static bool cell_us(Str cell, int64_t otherwise, int64_t *ret_us, Error *err)
{
    *ret_us = otherwise;
    return cell.data == NULL || snowflake_time_us(cell, ret_us) ||
           error_set(err, ERROR_DATA, "snowflake: a time that cannot be read");
}

static int64_t cell_number(Str cell, int64_t otherwise)
{
    int64_t number = 0;
    return cell.data != NULL && str_to_int64(cell, &number) ? number : otherwise;
}

// --- at the beginning of a load

typedef struct StandingTaker {
    SnowflakeStanding standing;
    const LoadSpec *spec;
    Arena *arena;
} StandingTaker;

// A later reading of a wider window saw these rows as well.
static bool note_reading(const LoadSpec *spec, const Str *cells, Error *err)
{
    int64_t from_us = 0;
    int64_t to_us = 0;
    int64_t fetched_us = 0;
    TRY(cell_us(cells[3], 0, &from_us, err) && cell_us(cells[4], 0, &to_us, err) &&
        cell_us(cells[5], 0, &fetched_us, err));
    const bool whole = cells[3].data == NULL;
    for (size_t i = 0; i < spec->slice_count; i++) {
        LoadSlice *slice = &spec->slices[i];
        const bool slice_whole = slice->from_us == 0 && slice->to_us == 0;
        const bool around =
            whole ? slice_whole
                  : !slice_whole && from_us <= slice->from_us && to_us >= slice->to_us;
        if (around && fetched_us > slice->fetched_us && str_equal(slice->partition_key, cells[1]))
            slice->skipped = true;
    }
    return true;
}

static bool take_standing(void *visitor, const Str *cells, size_t count, Error *err)
{
    StandingTaker *taker = visitor;
    SnowflakeStanding *standing = &taker->standing;
    assert(count == 6);
    (void)count;
    switch (cells[0].size == 0 ? '\0' : cells[0].data[0]) {
    case 'v':
        standing->version = cell_number(cells[2], -1);
        return true;
    case 'e':
        standing->epoch = cell_number(cells[2], -1);
        return true;
    case 'l':
        return arena_copy_str(taker->arena, cells[1], &standing->checksum, err);
    case 's':
        return note_reading(taker->spec, cells, err);
    default:
        return error_set(err, ERROR_DATA, "snowflake: a row of the ledger of no known kind");
    }
}

static int64_t earliest_reading_us(const LoadSpec *spec)
{
    int64_t us = INT64_MAX;
    for (size_t i = 0; i < spec->slice_count; i++)
        us = spec->slices[i].fetched_us < us ? spec->slices[i].fetched_us : us;
    return us;
}

static bool append_readings(SnowflakeWarehouse *db, const LoadSpec *spec, Str target, Buf *sql,
                            Error *err)
{
    if (spec->slice_count == 0)
        return true;
    return snowflake_own(db, sql,
                         " UNION ALL SELECT 's', \"PARTITION_KEY\", NULL, \"WINDOW_FROM\","
                         " \"WINDOW_TO\", \"FETCHED_AT\" FROM @\"PAWL_SLICE\" WHERE ",
                         err) &&
           append_equal(sql, "\"TARGET\"", target, err) &&
           append_equal(sql, " AND \"STREAM\"", spec->stream, err) &&
           buf_append(sql, STR(" AND NOT \"SKIPPED\" AND \"FETCHED_AT\" > "), err) &&
           snowflake_literal_time(sql, earliest_reading_us(spec), err);
}

// One question for all of it.
bool snowflake_read_standing(SnowflakeWarehouse *db, const LoadSpec *spec,
                             SnowflakeStanding *ret_standing, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    Str target = {0};
    TRY(sql_target(db->scratch, spec->table, &target, err));
    TRY(buf_append(&sql,
                   STR("SELECT 'v' AS \"KIND\", NULL::VARCHAR AS \"TEXT\", \"VERSION\" AS"
                       " \"NUMBER\", NULL::TIMESTAMP_TZ AS \"FROM_AT\", NULL::TIMESTAMP_TZ AS"
                       " \"TO_AT\", NULL::TIMESTAMP_TZ AS \"AT\" FROM "),
                   err) &&
        snowflake_table(&sql, spec->table, "__PAWL", err));
    TRY(snowflake_own(db, &sql,
                      " UNION ALL SELECT 'e', NULL, MAX(\"EPOCH\"), NULL, NULL, NULL FROM"
                      " @\"PAWL_STATE\" WHERE \"KIND\" = 'epoch'",
                      err) &&
        append_equal(&sql, " AND \"JOB\"", spec->job, err) &&
        append_equal(&sql, " AND \"MODE\"", spec->mode, err));
    TRY(snowflake_own(db, &sql,
                      " UNION ALL SELECT 'l', \"CHECKSUM\", NULL, NULL, NULL, NULL FROM"
                      " @\"PAWL_LOAD\" WHERE ",
                      err) &&
        append_equal(&sql, "\"RUN_ID\"", spec->run, err) &&
        append_equal(&sql, " AND \"STREAM\"", spec->stream, err) &&
        buf_printf(&sql, err, " AND \"LOAD_ORDINAL\" = %u", spec->ordinal));
    TRY(append_readings(db, spec, target, &sql, err));
    for (size_t i = 0; i < spec->slice_count; i++)
        spec->slices[i].skipped = false;
    StandingTaker taker = {
        .standing = {.version = -1, .epoch = -1}, .spec = spec, .arena = db->loading};
    TRY(snowflake_query(db, &sql, take_standing, &taker, err));
    if (taker.standing.version < 0)
        return error_set(err, ERROR_JOB, "table " STR_FMT "__PAWL has no row: it was not prepared",
                         STR_ARG(target));
    *ret_standing = taker.standing;
    return true;
}

bool snowflake_write_epoch(SnowflakeWarehouse *db, const LoadSpec *spec, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    return snowflake_own(db, &sql,
                         "INSERT INTO @\"PAWL_STATE\" (\"KIND\", \"JOB\", \"MODE\", \"EPOCH\","
                         " \"UPDATED_AT\") SELECT 'epoch', ",
                         err) &&
           snowflake_literal(&sql, spec->job, err) && buf_append(&sql, STR(", "), err) &&
           snowflake_literal(&sql, spec->mode, err) &&
           buf_printf(&sql, err, ", %llu, ", (unsigned long long)spec->epoch) &&
           snowflake_literal_time(&sql, db->load.now_us, err) &&
           snowflake_query(db, &sql, NULL, NULL, err);
}

// Before the first run there is no ledger to ask, and nothing in it: `pawl plan` comes first. Its
// views are made last, so where this one is all of it is.
static bool query_ledger(SnowflakeWarehouse *db, const Buf *sql, SnowflakeVisit *visit,
                         void *visitor, Error *err)
{
    const Str view = STR("PAWL_WATERMARK");
    if (!db->has_ledger)
        TRY(snowflake_find_view(db, db->options.schema, view, (Str){NULL, 0}, &db->has_ledger,
                                err));
    return !db->has_ledger || snowflake_query(db, sql, visit, visitor, err);
}

static bool take_any(void *visitor, const Str *cells, size_t count, Error *err)
{
    (void)cells;
    (void)count;
    (void)err;
    *(bool *)visitor = true;
    return true;
}

bool snowflake_has_load(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_has,
                        Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    bool has = false;
    TRY(snowflake_own(db, &sql, "SELECT \"LOAD_ID\" FROM @\"PAWL_LOAD\" WHERE ", err) &&
        append_equal(&sql, "\"RUN_ID\"", run, err) &&
        append_equal(&sql, " AND \"STREAM\"", stream, err) &&
        buf_printf(&sql, err, " AND \"LOAD_ORDINAL\" = %u", ordinal));
    TRY(query_ledger(db, &sql, take_any, &has, err));
    *ret_has = has;
    return true;
}

// --- without waking the warehouse

typedef struct Marking {
    Buf *text;
    const SnowflakeResult *result;
    int64_t loads;
} Marking;

// PAWL_LOAD only grows, so no mark comes twice.
static bool take_shown(void *visitor, const Str *cells, size_t count, Error *err)
{
    static const char *const told[] = {"schema_name", "name", "created_on", "rows", "bytes"};
    Marking *marking = visitor;
    bool is_load = false;
    for (size_t k = 0; k < sizeof(told) / sizeof(told[0]); k++) {
        for (size_t c = 0; c < count; c++) {
            if (!str_equal(marking->result->columns[c].name, str_from(told[k])))
                continue;
            TRY(buf_append(marking->text, cells[c], err) &&
                buf_append_char(marking->text, ' ', err));
            is_load = is_load || (k == 1 && str_equal(cells[c], STR("PAWL_LOAD")));
            if (is_load && k == 3)
                marking->loads = cell_number(cells[c], -1);
        }
    }
    return buf_append_char(marking->text, '\n', err);
}

// SHOW TABLES is answered by the cloud services alone.
bool snowflake_mark(void *state, const TableSpec *tables, size_t count, Arena *arena,
                    WarehouseMark *ret_mark, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    *ret_mark = (WarehouseMark){.text = STR(""), .loads = -1, .rest_us = db->rest_us};
    if (db->rest_us == 0)
        return true;
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    TRY(snowflake_show_tables(&batch, STR("PAWL\\_%"), db->options.schema, err));
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_done) Buf name = {0};
        // `_` and `%` in a name fit more than that name, which does no harm here.
        TRY(snowflake_name(&name, tables[i].name, err) &&
            snowflake_show_tables(&batch, str_slice(buf_str(&name), 1, name.size - 2),
                                  tables[i].schema, err));
    }
    SnowflakeResult result = {0};
    CLEANUP(buf_done) Buf text = {0};
    Marking marking = {.text = &text, .loads = -1};
    TRY(snowflake_batch_run(db, &batch, true, &result, err));
    for (size_t i = 0; i < batch.count; i++) {
        SnowflakeResult shown = {0};
        if (batch.count > 1)
            TRY(snowflake_child(db->api, &result, i, db->scratch, &shown, err));
        marking.result = batch.count > 1 ? &shown : &result;
        TRY(snowflake_rows(db->api, marking.result, take_shown, &marking, err));
    }
    ret_mark->loads = marking.loads;
    return arena_copy_str(arena, buf_str(&text), &ret_mark->text, err);
}

bool snowflake_is_shared(void *state, Str job, const TableSpec *tables, size_t count,
                         bool *ret_shared, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    *ret_shared = false;
    TRY(snowflake_own(db, &sql, "SELECT \"LOAD_ID\" FROM @\"PAWL_LOAD\" WHERE \"JOB\" <> ", err) &&
        snowflake_literal(&sql, job, err) && buf_append(&sql, STR(" AND \"TARGET\" IN ("), err));
    for (size_t i = 0; i < count; i++) {
        Str target = {0};
        TRY(sql_target(db->scratch, &tables[i], &target, err) &&
            (i == 0 || buf_append(&sql, STR(", "), err)) && snowflake_literal(&sql, target, err));
    }
    return buf_append(&sql, STR(") LIMIT 1"), err) &&
           query_ledger(db, &sql, take_any, ret_shared, err);
}

// --- lists

static bool take_watermark(void *visitor, const Str *cells, size_t count, Error *err)
{
    List *list = visitor;
    assert(count == 3);
    (void)count;
    Watermark *mark = list_add(list, sizeof(*mark), err);
    return mark != NULL && arena_copy_str(list->arena, cells[0], &mark->stream, err) &&
           arena_copy_str(list->arena, cells[1], &mark->partition_key, err) &&
           cell_us(cells[2], 0, &mark->us, err);
}

bool snowflake_read_watermarks(void *state, Str job, const TableSpec *table, Arena *arena,
                               Watermark **ret_marks, size_t *ret_count, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    Str target = {0};
    List list = {.arena = arena};
    TRY(sql_target(db->scratch, table, &target, err));
    TRY(snowflake_own(db, &sql,
                      "SELECT \"STREAM\", \"PARTITION_KEY\", \"WATERMARK\" FROM"
                      " @\"PAWL_WATERMARK\" WHERE ",
                      err) &&
        append_equal(&sql, "\"JOB\"", job, err) &&
        append_equal(&sql, " AND \"TARGET\"", target, err) &&
        buf_append(&sql, STR(" ORDER BY \"STREAM\", \"PARTITION_KEY\""), err));
    TRY(query_ledger(db, &sql, take_watermark, &list, err));
    *ret_marks = list.items;
    *ret_count = list.count;
    return true;
}

static bool take_slice(void *visitor, const Str *cells, size_t count, Error *err)
{
    List *list = visitor;
    assert(count == 6);
    (void)count;
    LoadSlice *slice = list_add(list, sizeof(*slice), err);
    TRY(slice != NULL);
    *slice = (LoadSlice){.total = cell_number(cells[4], -1), .rows = cell_number(cells[5], 0)};
    return arena_copy_str(list->arena, cells[0], &slice->partition_key, err) &&
           cell_us(cells[1], 0, &slice->from_us, err) && cell_us(cells[2], 0, &slice->to_us, err) &&
           cell_us(cells[3], 0, &slice->fetched_us, err);
}

bool snowflake_read_slices(void *state, const TableSpec *table, Str stream, Arena *arena,
                           LoadSlice **ret_slices, size_t *ret_count, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    Str target = {0};
    List list = {.arena = arena};
    TRY(sql_target(db->scratch, table, &target, err));
    TRY(snowflake_own(db, &sql,
                      "SELECT \"PARTITION_KEY\", \"WINDOW_FROM\", \"WINDOW_TO\", \"FETCHED_AT\","
                      " \"TOTAL_ROWS\", \"LANDED_ROWS\" FROM @\"PAWL_SLICE\" WHERE ",
                      err) &&
        append_equal(&sql, "\"TARGET\"", target, err) &&
        append_equal(&sql, " AND \"STREAM\"", stream, err) &&
        buf_append(&sql,
                   STR(" AND NOT \"SKIPPED\" QUALIFY ROW_NUMBER() OVER (PARTITION BY"
                       " \"PARTITION_KEY\", \"WINDOW_FROM\", \"WINDOW_TO\" ORDER BY"
                       " \"FETCHED_AT\" DESC, \"LOADED_AT\" DESC) = 1"
                       " ORDER BY \"PARTITION_KEY\", \"WINDOW_FROM\", \"WINDOW_TO\""),
                   err));
    TRY(query_ledger(db, &sql, take_slice, &list, err));
    *ret_slices = list.items;
    *ret_count = list.count;
    return true;
}

static bool take_key(void *visitor, const Str *cells, size_t count, Error *err)
{
    List *list = visitor;
    assert(count == 1);
    (void)count;
    Key128 *key = list_add(list, sizeof(*key), err);
    return key != NULL &&
           (hex_decode(cells[0], key->bytes, KEY_BYTES) ||
            error_set(err, ERROR_DATA, "snowflake: a _row_key that is not of 16 bytes"));
}

static const Column *column_named(const TableSpec *table, Str name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_equal(table->columns[i].name, name))
            return &table->columns[i];
    }
    return NULL;
}

// `<column> = <value of its type>`, so that Snowflake can skip micro-partitions.
static bool append_partition(Buf *sql, const TableSpec *table, Str name, Str value, Error *err)
{
    const Column *column = column_named(table, name);
    if (column == NULL)
        return error_set(err, ERROR_JOB,
                         "table " STR_FMT ": it has no partition column '" STR_FMT "'",
                         STR_ARG(table->name), STR_ARG(name));
    char type[TYPE_BYTES];
    snowflake_type_name(column, type, sizeof(type));
    TRY(buf_append(sql, STR(" AND "), err) && snowflake_name(sql, name, err) &&
        buf_append(sql, STR(" = "), err));
    if (column->type == COLUMN_DATE)
        return buf_append(sql, STR("TO_DATE("), err) && snowflake_literal(sql, value, err) &&
               buf_append(sql, STR(", 'YYYY-MM-DD')"), err);
    return snowflake_literal(sql, value, err) && buf_printf(sql, err, "::%s", type);
}

bool snowflake_window_keys(void *state, const KeyWindow *window, Arena *arena, Key128 **ret_keys,
                           size_t *ret_count, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (window->partition_count > PARTITION_FIELDS_MAX)
        return error_set(err, ERROR_LIMIT, "window: more than %d partition fields",
                         PARTITION_FIELDS_MAX);
    TRY(snowflake_begin_call(db, err));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SELECT \"_ROW_KEY\" FROM "), err) &&
        snowflake_table(&sql, window->table, "", err) &&
        buf_append(&sql,
                   STR(" WHERE \"_DELETED_AT\" IS NULL AND (\"_FETCHED_AT\" IS NULL OR "
                       "\"_FETCHED_AT\" <= "),
                   err) &&
        snowflake_literal_time(&sql, window->fetched_us, err) && buf_append_char(&sql, ')', err));
    if (window->window_column.size > 0)
        // A date is its first instant, in UTC: the session's time zone is.
        TRY(buf_append(&sql, STR(" AND "), err) &&
            snowflake_name(&sql, window->window_column, err) &&
            buf_append(&sql, STR("::TIMESTAMP_TZ >= "), err) &&
            snowflake_literal_time(&sql, window->from_us, err) &&
            buf_append(&sql, STR(" AND "), err) &&
            snowflake_name(&sql, window->window_column, err) &&
            buf_append(&sql, STR("::TIMESTAMP_TZ < "), err) &&
            snowflake_literal_time(&sql, window->to_us, err));
    for (size_t i = 0; i < window->partition_count; i++)
        TRY(append_partition(&sql, window->table, window->partition_columns[i],
                             window->partition_values[i], err));
    List list = {.arena = arena};
    TRY(snowflake_query(db, &sql, take_key, &list, err));
    *ret_keys = list.items;
    *ret_count = list.count;
    return true;
}

// --- a mark set by hand

typedef struct Rewind {
    Str job, mode;
    const TableSpec *table;
    const Watermark *mark;
    uint64_t epoch;
    char holder[UUID_TEXT_BYTES + 1];
} Rewind;

static bool append_rewind(SnowflakeWarehouse *db, const Rewind *rewind, SnowflakeBatch *batch,
                          Error *err)
{
    const TableSpec *table = rewind->table;
    const Watermark *mark = rewind->mark;
    const Str holder = str_from(rewind->holder);
    Buf *sql = &batch->sql;
    const int64_t now_us = db->env->now_us(db->env->state);
    CLEANUP(buf_done) Buf held = {0};
    Str target = {0};
    TRY(sql_target(db->scratch, table, &target, err));
    TRY(buf_append(&held, STR(" FROM "), err) && snowflake_table(&held, table, "__PAWL", err) &&
        append_equal(&held, " WHERE \"HOLDER\"", holder, err));
    TRY(snowflake_lock_timeout(db, batch, err) && buf_append(sql, STR("BEGIN"), err) &&
        snowflake_batch_end(batch, err));
    TRY(buf_append(sql, STR("UPDATE "), err) && snowflake_table(sql, table, "__PAWL", err) &&
        append_equal(sql, " SET \"VERSION\" = \"VERSION\" + 1, \"HOLDER\"", holder, err) &&
        snowflake_own(db, sql,
                      " WHERE NOT EXISTS (SELECT 1 FROM @\"PAWL_STATE\" WHERE \"KIND\" = 'epoch'",
                      err) &&
        append_equal(sql, " AND \"JOB\"", rewind->job, err) &&
        append_equal(sql, " AND \"MODE\"", rewind->mode, err) &&
        buf_printf(sql, err, " AND \"EPOCH\" > %llu)", (unsigned long long)rewind->epoch) &&
        snowflake_batch_end(batch, err));
    TRY(snowflake_own(db, sql,
                      "INSERT INTO @\"PAWL_STATE\" (\"KIND\", \"JOB\", \"MODE\", \"EPOCH\","
                      " \"UPDATED_AT\") SELECT 'epoch', ",
                      err) &&
        snowflake_literal(sql, rewind->job, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, rewind->mode, err) &&
        buf_printf(sql, err, ", %llu, ", (unsigned long long)rewind->epoch) &&
        snowflake_literal_time(sql, now_us, err) && buf_append(sql, buf_str(&held), err) &&
        snowflake_batch_end(batch, err));
    TRY(snowflake_own(db, sql,
                      "INSERT INTO @\"PAWL_STATE\" (\"KIND\", \"JOB\", \"TARGET\", \"STREAM\","
                      " \"PARTITION_KEY\", \"WATERMARK\", \"UPDATED_AT\", \"SEQUENCE\")"
                      " SELECT 'rewind', ",
                      err) &&
        snowflake_literal(sql, rewind->job, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, target, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, mark->stream, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal(sql, mark->partition_key, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal_time(sql, mark->us, err) && buf_append(sql, STR(", "), err) &&
        snowflake_literal_time(sql, now_us, err) && buf_append(sql, STR(", \"VERSION\""), err) &&
        buf_append(sql, buf_str(&held), err) && snowflake_batch_end(batch, err));
    return buf_append(sql, STR("COMMIT"), err) && snowflake_batch_end(batch, err);
}

bool snowflake_set_watermark(void *state, Str job, Str mode, const TableSpec *table,
                             const Watermark *mark, uint64_t epoch, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(snowflake_begin_call(db, err));
    Rewind rewind = {.job = job, .mode = mode, .table = table, .mark = mark, .epoch = epoch};
    uuid_new(db->env, rewind.holder);
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    TRY(append_rewind(db, &rewind, &batch, err));
    SnowflakeResult result = {0};
    SnowflakeResult taken = {0};
    int64_t changed = 0;
    TRY(snowflake_batch_run(db, &batch, false, &result, err) &&
        snowflake_child(db->api, &result, 2, db->scratch, &taken, err) &&
        snowflake_changed(&taken, &changed, err));
    return changed > 0 || error_set(err, ERROR_CONFLICT,
                                    "job " STR_FMT ", mode " STR_FMT
                                    ": another run has taken over (ours is epoch %llu)",
                                    STR_ARG(job), STR_ARG(mode), (unsigned long long)epoch);
}

// --- ETL_LOG

static bool append_text(Buf *sql, Str text, Error *err)
{
    TRY(text.size == 0 ? buf_append(sql, STR("NULL"), err) : snowflake_literal(sql, text, err));
    return buf_append(sql, STR(", "), err);
}

static bool append_count(Buf *sql, int64_t count, Error *err)
{
    return count < 0 ? buf_append(sql, STR("NULL, "), err)
                     : buf_printf(sql, err, "%lld, ", (long long)count);
}

static bool append_log_row(Buf *sql, const EtlLogRow *row, Error *err)
{
    const Str texts[] = {row->run,    row->job,           row->mode,  row->stage,
                         row->stream, row->partition_key, row->status};
    const int64_t counts[] = {row->slice,           row->load,          row->rows_in,
                              row->rows_landed,     row->rows_inserted, row->rows_updated,
                              row->rows_unchanged,  row->rows_deleted,  row->rows_quarantined,
                              row->rows_overflowed, row->bytes,         row->requests,
                              row->attempts,        row->wait_us,       row->duration_us};
    TRY(buf_append_char(sql, '(', err));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TRY(append_text(sql, texts[i], err));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        TRY(append_count(sql, counts[i], err));
    TRY(append_text(sql, row->error_json, err));
    if (row->started_us < 0)
        TRY(buf_append(sql, STR("NULL::VARCHAR"), err));
    else
        TRY(snowflake_time_text(sql, row->started_us, err));
    return buf_append_char(sql, ')', err);
}

static bool append_rows(SnowflakeWarehouse *db, const EtlLogRow *rows, size_t count, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(snowflake_own(db, &sql,
                      "INSERT INTO @\"ETL_LOG\" (\"RUN_ID\", \"JOB\", \"MODE\", \"STAGE\","
                      " \"STREAM\", \"PARTITION_KEY\", \"STATUS\", \"SLICE_ORDINAL\","
                      " \"LOAD_ORDINAL\", \"ROWS_IN\", \"ROWS_LANDED\", \"ROWS_INSERTED\","
                      " \"ROWS_UPDATED\", \"ROWS_UNCHANGED\", \"ROWS_DELETED\","
                      " \"ROWS_QUARANTINED\", \"ROWS_OVERFLOWED\", \"BYTES\", \"REQUESTS\","
                      " \"ATTEMPTS\", \"WAIT_US\", \"DURATION_US\", \"ERROR\", \"STARTED_AT\","
                      " \"LOGGED_AT\") SELECT column1, column2, column3, column4, column5,"
                      " column6, column7, column8, column9, column10, column11, column12,"
                      " column13, column14, column15, column16, column17, column18, column19,"
                      " column20, column21, column22, PARSE_JSON(column23),"
                      " TO_TIMESTAMP_TZ(column24, '" SNOWFLAKE_TIME_FORMAT "'),"
                      " CURRENT_TIMESTAMP() FROM VALUES ",
                      err));
    for (size_t i = 0; i < count; i++)
        TRY((i == 0 || buf_append(&sql, STR(", "), err)) && append_log_row(&sql, &rows[i], err));
    return snowflake_query(db, &sql, NULL, NULL, err);
}

bool snowflake_append_log(void *state, const EtlLogRow *rows, size_t count, Error *err)
{
    SnowflakeWarehouse *db = state;
    if (count == 0)
        return true;
    TRY(snowflake_begin_call(db, err));
    kill_point("log append");
    for (size_t i = 0; i < count; i += LOG_ROWS_A_STATEMENT)
        TRY(append_rows(db, rows + i,
                        count - i < LOG_ROWS_A_STATEMENT ? count - i : LOG_ROWS_A_STATEMENT, err));
    kill_point("log appended");
    return true;
}
