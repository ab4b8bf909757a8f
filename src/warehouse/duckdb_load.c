// A load: one transaction from fence to commit.
#include "warehouse/duckdb_state.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

// Batches whose strings a chunk may point at: enough pages of 150 rows to fill it, for DuckDB
// samples each chunk for its statistics, and a short one as thoroughly as a full one. Where batches
// give a few rows only, chunks are small: that costs less than holding more of them.
enum { HELD_MAX = 16 };

bool duck_warehouse_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    TRY(duck_warehouse_begin_call(db, err) && duck_warehouse_fit_load(db, spec, err));
    arena_reset(db->loading);
    Str checksum = {0};
    char wanted[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, wanted);
    DuckWarehouseLoad load = {.spec = spec, .now_us = db->env->now_us(db->env->state)};
    TRY(arena_printf(db->loading, &load.id, err, STR_FMT "/" STR_FMT "/%u", STR_ARG(spec->run),
                     STR_ARG(spec->stream), spec->ordinal));
    TRY(sql_target(db->loading, spec->table, &load.target, err));

    TRY(duck_run_sql(&db->duck, "BEGIN", err));
    db->load = load;
    if (!duck_warehouse_fence(db, spec->job, spec->mode, spec->epoch, err) ||
        !duck_warehouse_find_load(db, spec->run, spec->stream, spec->ordinal, &checksum, err) ||
        !duck_warehouse_mark_skipped(db, spec, err)) {
        duck_warehouse_load_abort(db);
        return false;
    }
    if (checksum.data == NULL) {
        *ret_loaded = false;
        return true;
    }
    if (!str_equal(checksum, str_from(wanted))) {
        duck_warehouse_load_abort(db);
        return error_set(err, ERROR_DATA,
                         "load " STR_FMT ": it is in the ledger with another content (checksum "
                         "%.8s there, %.8s here)",
                         STR_ARG(load.id), checksum.data, wanted);
    }
    // The epoch stays, so that the run before this one is shut out from now on.
    if (!duck_run_sql(&db->duck, "COMMIT", err)) {
        db->load.broken = true;
        duck_warehouse_load_abort(db);
        return false;
    }
    db->load = (DuckWarehouseLoad){0};
    *ret_loaded = true;
    return true;
}

void duck_warehouse_load_abort(void *state)
{
    DuckWarehouse *db = state;
    if (db->load.spec == NULL)
        return;
    Error err = {0};
    if (duck_is_open(&db->duck) && (db->load.broken || !duck_run_sql(&db->duck, "ROLLBACK", &err)))
        duck_close(&db->duck);
    db->load = (DuckWarehouseLoad){0};
}

// Keys as rows: (position BIGINT, key UUID).
typedef struct KeyFeed {
    const Key128 *keys;
    size_t count;
    size_t next;
} KeyFeed;

static const DuckColumn key_columns[] = {{.name = "position", .type = DUCKDB_TYPE_BIGINT},
                                         {.name = "key", .type = DUCKDB_TYPE_UUID}};

static bool fill_keys(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)err;
    KeyFeed *feed = state;
    size_t rows = feed->count - feed->next;
    rows = rows < DUCK_VECTOR_ROWS ? rows : DUCK_VECTOR_ROWS;
    int64_t *positions = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    duckdb_hugeint *uuids = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    for (size_t i = 0; i < rows; i++) {
        positions[i] = (int64_t)(feed->next + i);
        uuids[i] = duck_uuid(feed->keys[feed->next + i].bytes);
    }
    feed->next += rows;
    *ret_rows = rows;
    return true;
}

static DuckRows key_rows(KeyFeed *feed)
{
    return (DuckRows){.columns = key_columns,
                      .column_count = 2,
                      .rows_total = feed->count,
                      .fill = fill_keys,
                      .state = feed};
}

// `before` <table> `after` as SQL, in scratch.
static bool table_sql(DuckWarehouse *db, const char *before, const char *after,
                      const char **ret_sql, Error *err)
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

static bool take_matches(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    (void)err;
    MatchedRow *rows = visitor;
    const duckdb_hugeint *hashes = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        MatchedRow *row = &rows[duck_get_int64(chunk, 0, i)];
        row->found = true;
        if (!duck_is_null(chunk, 1, i))
            duck_uuid_bytes(hashes[i], row->hash.bytes);
        row->fetched_us = duck_is_null(chunk, 2, i) ? INT64_MIN : duck_get_int64(chunk, 2, i);
        row->deleted = duck_get_bool(chunk, 3, i);
    }
    return true;
}

bool duck_warehouse_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                               Error *err)
{
    DuckWarehouse *db = state;
    assert(db->load.spec != NULL);
    arena_reset(db->scratch);
    memset(ret_rows, 0, count * sizeof(*ret_rows));
    if (count == 0)
        return true;
    TRY(env_check_stop(db->env, err));
    KeyFeed feed = {.keys = keys, .count = count};
    const DuckRows rows = key_rows(&feed);
    DuckStatement query = {.rows = &rows};
    TRY(table_sql(db,
                  "SELECT r.position, t._row_hash, t._fetched_at, t._deleted_at IS NOT NULL FROM ",
                  " AS t JOIN pawl_rows() AS r ON t._row_key = r.key", &query.sql, err));
    return duck_query(&db->duck, &query, take_matches, ret_rows, err);
}

// The rows of a RowSource as chunks, for one thread or several of DuckDB, and the keys of those
// whose stored rows have to go.
typedef struct RowFeed {
    const TableSpec *table;
    Env *env;
    size_t key_column;

    pthread_mutex_t lock; // of all that follows
    RowSource *source;
    bool ended;
    Key128 *replaced;
    size_t replaced_count, replaced_room;
} RowFeed;

// One thread's share: the batches that its last chunk points at, and the rows left of the last one.
typedef struct FeedPart {
    RowFeed *feed;
    uint32_t *rows; // of the batch in hand
    size_t row_room;
    size_t count, next;
    bool ended;
    struct ArrowArray held[HELD_MAX]; // the last one is in hand
    size_t held_count;
} FeedPart;

static void part_release(FeedPart *part, size_t keep)
{
    assert(keep <= part->held_count);
    const size_t gone = part->held_count - keep;
    for (size_t i = 0; i < gone; i++)
        arrow_array_done(&part->held[i]);
    for (size_t i = 0; i < keep; i++)
        part->held[i] = part->held[gone + i];
    part->held_count = keep;
}

static void part_done(FeedPart *part)
{
    part_release(part, 0);
    free(part->rows);
}

// Notes the keys of a batch that replace a stored one.
static bool note_replaced(RowFeed *feed, const RowSelection *selection, Error *err)
{
    const struct ArrowArray *child = selection->array->children[feed->key_column];
    const unsigned char *keys = child->buffers[1];
    const size_t offset = (size_t)(selection->array->offset + child->offset);
    for (size_t i = 0; i < selection->count; i++) {
        if (!selection->replaces[i])
            continue;
        if (feed->replaced_count == feed->replaced_room)
            return error_set(err, ERROR_DATA, "load: more rows replace others than was said");
        memcpy(feed->replaced[feed->replaced_count++].bytes,
               keys + (offset + selection->rows[i]) * KEY_BYTES, KEY_BYTES);
    }
    return true;
}

// The next batch, with the feed locked.
static bool take_batch(FeedPart *part, Error *err)
{
    RowFeed *feed = part->feed;
    RowSelection selection = {0};
    if (!feed->ended)
        TRY(feed->source->next(feed->source->state, &selection, err));
    feed->ended = selection.array == NULL;
    part->ended = feed->ended;
    part->next = 0;
    part->count = 0;
    if (part->ended || selection.count == 0)
        return true;
    TRY(note_replaced(feed, &selection, err));
    if (selection.count > part->row_room) {
        uint32_t *rows = realloc(part->rows, selection.count * sizeof(*rows));
        if (rows == NULL)
            return error_set(err, ERROR_LIMIT, "load: out of memory");
        part->rows = rows;
        part->row_room = selection.count;
    }
    memcpy(part->rows, selection.rows, selection.count * sizeof(*part->rows));
    part->count = selection.count;
    ArrowArrayMove(selection.array, &part->held[part->held_count++]);
    return true;
}

static bool part_next(FeedPart *part, Error *err)
{
    TRY(env_check_stop(part->feed->env, err));
    (void)pthread_mutex_lock(&part->feed->lock);
    const bool ok = take_batch(part, err);
    if (!ok)
        part->feed->ended = true;
    (void)pthread_mutex_unlock(&part->feed->lock);
    return ok;
}

static bool fill_rows(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    FeedPart *part = state;
    const TableSpec *table = part->feed->table;
    // What the chunk before pointed at has been consumed; the batch in hand may have rows left.
    part_release(part, part->next < part->count ? 1 : 0);
    size_t filled = 0;
    while (filled < DUCK_VECTOR_ROWS && !part->ended) {
        size_t count = part->count - part->next;
        if (count == 0 && part->held_count == HELD_MAX)
            break;
        if (count == 0) {
            TRY(part_next(part, err));
            continue;
        }
        count = count < DUCK_VECTOR_ROWS - filled ? count : DUCK_VECTOR_ROWS - filled;
        const struct ArrowArray *array = &part->held[part->held_count - 1];
        const DuckRange range = {array, part->rows, part->next, count};
        TRY(duck_fill(chunk, filled, table->columns, table->column_count, &range, err));
        part->next += count;
        filled += count;
    }
    *ret_rows = filled;
    return true;
}

static bool insert_sql(DuckWarehouse *db, const char *suffix, const Column *columns, size_t count,
                       const char **ret_sql, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("INSERT INTO "), err));
    TRY(sql_table(&sql, db->load.spec->table, suffix, err));
    TRY(buf_append(&sql, STR(" ("), err));
    for (size_t i = 0; i < count; i++) {
        TRY(sql_name(&sql, columns[i].name, err));
        TRY(buf_append(&sql, STR(", "), err));
    }
    TRY(buf_append(&sql, STR("_run_id, _load_id, _loaded_at) SELECT *, ?, ?, ? FROM pawl_rows()"),
                   err));
    Str text = {0};
    TRY(arena_copy_str(db->scratch, buf_str(&sql), &text, err));
    *ret_sql = text.data;
    return true;
}

// The stored rows that new ones stand for. They are deleted rather than updated: an UPDATE of all
// columns writes every row group again that holds one of them, a DELETE only their marks.
static bool delete_replaced(DuckWarehouse *db, const RowFeed *feed, Error *err)
{
    if (feed->replaced_count == 0)
        return true;
    KeyFeed keys = {.keys = feed->replaced, .count = feed->replaced_count};
    const DuckRows rows = key_rows(&keys);
    const DuckValue values[] = {duck_text(db->load.id)};
    DuckStatement statement = {.values = values, .value_count = 1, .rows = &rows};
    TRY(table_sql(db, "DELETE FROM ",
                  " WHERE _load_id <> ? AND _row_key IN (SELECT key FROM pawl_rows())",
                  &statement.sql, err));
    int64_t gone = 0;
    TRY(duck_run(&db->duck, &statement, &gone, err));
    if (gone != (int64_t)feed->replaced_count)
        return error_set(
            err, ERROR_DATA,
            "load " STR_FMT ": %zu rows replace others, but %lld were there: rows of " STR_FMT
            " were doubled by hand; `pawl audit JOB --table " STR_FMT " --repair` mends them",
            STR_ARG(db->load.id), feed->replaced_count, (long long)gone, STR_ARG(db->load.target),
            STR_ARG(db->load.target));
    return true;
}

static bool key_column_of(const TableSpec *table, size_t *ret_column, Error *err)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_equal(table->columns[i].name, STR("_row_key"))) {
            *ret_column = i;
            return true;
        }
    }
    return error_set(err, ERROR_JOB, "table " STR_FMT ": it has no column _row_key",
                     STR_ARG(table->name));
}

// Inserts what `parts` yield, each on a thread of its own.
static bool insert_rows(DuckWarehouse *db, FeedPart *parts, size_t count, size_t rows_total,
                        Error *err)
{
    const TableSpec *table = db->load.spec->table;
    DuckColumn *columns = NULL;
    TRY(duck_columns(table->columns, table->column_count, db->scratch, &columns, err));
    void *states[WRITERS_MAX];
    for (size_t i = 0; i < count; i++)
        states[i] = &parts[i];
    const DuckRows rows = {.columns = columns,
                           .column_count = table->column_count,
                           .rows_total = rows_total,
                           .fill = fill_rows,
                           .states = states,
                           .state_count = count};
    const DuckValue values[] = {duck_text(db->load.spec->run), duck_text(db->load.id),
                                duck_time(db->load.now_us)};
    DuckStatement statement = {.values = values, .value_count = 3, .rows = &rows};
    TRY(insert_sql(db, "", table->columns, table->column_count, &statement.sql, err));
    // Rows that may come in any order are gathered by each thread, and less than a row group of
    // them is then appended a second time.
    if (db->threads_now > 1)
        TRY(duck_run_sql(&db->duck,
                         count > 1 ? "SET preserve_insertion_order = false"
                                   : "SET preserve_insertion_order = true",
                         err));
    return duck_run(&db->duck, &statement, NULL, err);
}

static size_t writers_for(const DuckWarehouse *db, size_t rows)
{
    const size_t groups = rows / DUCKDB_ROW_GROUP_ROWS;
    const size_t most = (size_t)(db->writers < db->threads_now ? db->writers : db->threads_now);
    return groups < 1 ? 1 : groups < most ? groups : most;
}

bool duck_warehouse_load_write(void *state, RowSource *source, Error *err)
{
    DuckWarehouse *db = state;
    const TableSpec *table = db->load.spec->table;
    arena_reset(db->scratch);
    RowFeed feed = {.table = table,
                    .env = db->env,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .source = source,
                    .replaced_room = source->replaces_total};
    TRY(key_column_of(table, &feed.key_column, err));
    feed.replaced = arena_alloc_array(db->scratch, source->replaces_total, sizeof(Key128), err);
    TRY(feed.replaced != NULL || source->replaces_total == 0);
    FeedPart parts[WRITERS_MAX] = {0};
    const size_t count = writers_for(db, source->rows_total);
    for (size_t i = 0; i < count; i++)
        parts[i].feed = &feed;
    const bool ok = insert_rows(db, parts, count, source->rows_total, err);
    for (size_t i = 0; i < count; i++)
        part_done(&parts[i]);
    return ok && delete_replaced(db, &feed, err);
}

// One array as chunks.
typedef struct ArrayFeed {
    struct ArrowArray array;
    const Column *columns;
    size_t column_count;
    size_t next;
} ArrayFeed;

static void array_feed_done(ArrayFeed *feed)
{
    arrow_array_done(&feed->array);
}

static bool fill_array(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    ArrayFeed *feed = state;
    size_t rows = (size_t)feed->array.length - feed->next;
    rows = rows < DUCK_VECTOR_ROWS ? rows : DUCK_VECTOR_ROWS;
    const DuckRange range = {.array = &feed->array, .first = feed->next, .count = rows};
    TRY(duck_fill(chunk, 0, feed->columns, feed->column_count, &range, err));
    feed->next += rows;
    *ret_rows = rows;
    return true;
}

bool duck_warehouse_load_write_quarantine(void *state, struct ArrowArray *array, Error *err)
{
    DuckWarehouse *db = state;
    const TableSpec *table = db->load.spec->table;
    arena_reset(db->scratch);
    CLEANUP(array_feed_done)
    ArrayFeed feed = {.columns = table->quarantine_columns,
                      .column_count = table->quarantine_count};
    ArrowArrayMove(array, &feed.array);
    if (table->quarantine_count == 0)
        return error_set(err, ERROR_JOB, "table " STR_FMT ": it has no quarantine",
                         STR_ARG(table->name));
    DuckColumn *columns = NULL;
    TRY(duck_columns(feed.columns, feed.column_count, db->scratch, &columns, err));
    const DuckRows rows = {.columns = columns,
                           .column_count = feed.column_count,
                           .rows_total = (size_t)feed.array.length,
                           .fill = fill_array,
                           .state = &feed};
    const DuckValue values[] = {duck_text(db->load.spec->run), duck_text(db->load.id),
                                duck_time(db->load.now_us)};
    DuckStatement statement = {.values = values, .value_count = 3, .rows = &rows};
    TRY(insert_sql(db, "__quarantine", feed.columns, feed.column_count, &statement.sql, err));
    return duck_run(&db->duck, &statement, NULL, err);
}

bool duck_warehouse_load_mark_deleted(void *state, const Key128 *keys, size_t count,
                                      int64_t fetched_us, int64_t *ret_marked, Error *err)
{
    DuckWarehouse *db = state;
    arena_reset(db->scratch);
    if (count == 0) {
        *ret_marked = 0;
        return true;
    }
    KeyFeed feed = {.keys = keys, .count = count};
    const DuckRows rows = key_rows(&feed);
    const DuckValue values[] = {duck_time(fetched_us),         duck_time(fetched_us),
                                duck_text(db->load.spec->run), duck_text(db->load.id),
                                duck_time(db->load.now_us),    duck_time(fetched_us)};
    DuckStatement statement = {.values = values, .value_count = 6, .rows = &rows};
    TRY(table_sql(db, "UPDATE ",
                  " SET _deleted_at = ?, _fetched_at = ?, _run_id = ?, _load_id = ?,"
                  " _loaded_at = ? WHERE _deleted_at IS NULL AND"
                  " (_fetched_at IS NULL OR _fetched_at <= ?)"
                  " AND _row_key IN (SELECT key FROM pawl_rows())",
                  &statement.sql, err));
    return duck_run(&db->duck, &statement, ret_marked, err);
}

// A checkpoint may merge row groups only once a table holds more than a fifth of replaced rows:
// each time it would find a partly filled group between full ones, where a load ended, and write
// four groups anew to have three. Row groups without any row left are dropped in any case. What
// goes wrong here is for the next load to find.
static void allow_vacuum(DuckWarehouse *db)
{
    CLEANUP(buf_done) Buf sql = {0};
    Error ignored = {0};
    int64_t wasteful = 0;
    bool found = false;
    if (!buf_append(&sql,
                    STR("SELECT CAST(coalesce(max(rowid), -1) + 1 > count(*) * 5 // 4 AS BIGINT) "
                        "FROM "),
                    &ignored) ||
        !sql_table(&sql, db->load.spec->table, "", &ignored) ||
        !buf_append_char(&sql, '\0', &ignored))
        return;
    const DuckStatement statement = {.sql = sql.data};
    if (duck_query_int64(&db->duck, &statement, &wasteful, &found, &ignored) && wasteful == 1)
        (void)!duck_run_sql(&db->duck, "SET max_vacuum_tasks = 100", &ignored);
}

bool duck_warehouse_load_commit(void *state, const LoadCommit *commit, Error *err)
{
    DuckWarehouse *db = state;
    const LoadSpec *spec = db->load.spec;
    arena_reset(db->scratch);
    TRY(env_check_stop(db->env, err));
    TRY(duck_warehouse_write_ledger(db, commit, err));
    kill_point("commit, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
    db->load.broken = true;
    if (!duck_run_sql(&db->duck, "COMMIT", err))
        return error_context(err, "load " STR_FMT, STR_ARG(db->load.id));
    kill_point("committed, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
    if (commit->updated > 0)
        allow_vacuum(db);
    db->load = (DuckWarehouseLoad){0};
    return true;
}
