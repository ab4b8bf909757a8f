// The DuckDB driver: one file, one connection, open only while somebody needs it.
#include "warehouse/duckdb_state.h"

#include "base/file.h"
#include "base/thread.h"

#include <assert.h>

enum {
    MEMORY_BYTES_MIN = 64 * 1000 * 1000, // a load of 50 columns fails below 48 MB
    // Blocks of 256 KiB that a column has in hand while rows are appended to a table and its last
    // row groups are written anew: 200 columns failed with 210 MB, 950 went through with 1,330.
    COLUMN_BYTES_LEAST = 650 * 1000,
    COLUMN_BYTES_ENOUGH = 1400 * 1000,
    // A row group of calls, raw and while it is compressed: two threads wrote them into temporary
    // files below 230 MB.
    WRITER_BYTES = 115 * 1000 * 1000,
};

// clang-format off
static const Field duck_warehouse_fields[] = {
    {"path",      FIELD_STR(DuckWarehouse, path),              .required = true, .help = "the database file"},
    {"schema",    FIELD_STR(DuckWarehouse, schema),            .fallback = "main", .help = "where the ledger, ETL_LOG and PIPELINE_HEALTH live"},
    {"lock_wait", FIELD_DURATION(DuckWarehouse, lock_wait_us), .fallback = "PT30S", .help = "how long to wait while another process has the file open"},
    {"threads",   FIELD_INT(DuckWarehouse, threads, 0, 64),    .fallback = "0", .help = "threads of DuckDB; 0 = one while the source is read, then one a processor as far as memory goes"},
    {0},
};
// clang-format on

static bool duck_warehouse_open(void *state, Env *env, Str base_folder, uint64_t memory_bytes,
                                Error *err)
{
    DuckWarehouse *db = state;
    db->env = env;
    db->memory_bytes = memory_bytes < MEMORY_BYTES_MIN ? MEMORY_BYTES_MIN : memory_bytes;
    db->lasting = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(db->lasting != NULL);
    db->loading = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(db->loading != NULL);
    db->scratch = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(db->scratch != NULL);
    Str path = {0};
    TRY(file_join(db->lasting, base_folder, db->path, &path, err));
    return arena_copy_str(db->lasting, path, &db->path, err);
}

static void duck_warehouse_close(void *state)
{
    DuckWarehouse *db = state;
    if (db->load.spec != NULL)
        duck_warehouse_load_abort(db);
    duck_close(&db->duck);
    arena_free(db->scratch);
    arena_free(db->loading);
    arena_free(db->lasting);
    db->scratch = NULL;
    db->loading = NULL;
    db->lasting = NULL;
}

static bool duck_warehouse_idle(void *state, Error *err)
{
    (void)err;
    DuckWarehouse *db = state;
    assert(db->load.spec == NULL);
    if (!duck_is_open(&db->duck))
        return true;
    kill_point("warehouse close");
    duck_close(&db->duck);
    kill_point("warehouse closed");
    return true;
}

static bool open_file(DuckWarehouse *db, Error *err)
{
    const DuckOptions options = {.path = db->path.data,
                                 .name = DUCKDB_DATABASE_NAME,
                                 .threads = db->threads > 0 ? (int)db->threads : 1,
                                 .memory_bytes = db->memory_bytes,
                                 .row_group_rows = DUCKDB_ROW_GROUP_ROWS,
                                 .storage = DUCKDB_STORAGE_VERSION,
                                 .settings = "SET write_buffer_row_group_count = 1; "
                                             "SET disabled_compression_methods = 'fsst'; "
                                             "SET max_vacuum_tasks = 0"};
    const int64_t deadline_us = db->env->monotonic_us(db->env->state) + db->lock_wait_us;
    kill_point("warehouse open");
    while (!duck_warehouse_create_file(&options, err) || !duck_open(&db->duck, &options, err)) {
        if (err->code != ERROR_BUSY)
            return false;
        if (db->env->monotonic_us(db->env->state) >= deadline_us)
            return error_context(err, "waited %lld s",
                                 (long long)(db->lock_wait_us / INT64_C(1000000)));
        Error waiting = {0};
        if (!env_wait(db->env, LOCK_LOOK_US, &waiting)) {
            *err = waiting;
            return false;
        }
        *err = (Error){0};
    }
    kill_point("warehouse opened");
    db->threads_now = options.threads;
    return true;
}

// How many threads can write with so much memory: none of them may want for what a column takes.
static int writers_in(const LoadSpec *spec, uint64_t bytes)
{
    const uint64_t columns = spec->table->column_count * (uint64_t)COLUMN_BYTES_ENOUGH;
    const uint64_t each = columns > WRITER_BYTES ? columns : WRITER_BYTES;
    const uint64_t writers = bytes / each;
    const int most = thread_processors() < WRITERS_MAX ? thread_processors() : WRITERS_MAX;
    return writers < 1 ? 1 : writers > (uint64_t)most ? most : (int)writers;
}

bool duck_warehouse_fit_load(DuckWarehouse *db, const LoadSpec *spec, Error *err)
{
    // Who asked for threads has asked for no more memory.
    if (db->threads > 0) {
        db->writers = writers_in(spec, db->memory_bytes);
        return true;
    }
    const uint64_t bytes = db->memory_bytes + spec->spare_bytes;
    const int writers = spec->spare_bytes > 0 ? writers_in(spec, bytes) : 1;
    db->writers = writers;
    if (writers == db->threads_now)
        return true;
    // DuckDB gives nothing back that it may still use.
    if (writers < db->threads_now) {
        duck_close(&db->duck);
        TRY(open_file(db, err));
    }
    if (writers == 1)
        return true;
    TRY(duck_set_threads(&db->duck, writers, bytes, err));
    db->threads_now = writers;
    return true;
}

bool duck_warehouse_begin_call(DuckWarehouse *db, Error *err)
{
    arena_reset(db->scratch);
    return duck_is_open(&db->duck) || open_file(db, err);
}

bool duck_warehouse_own(DuckWarehouse *db, const char *text, const char **ret_sql, Error *err)
{
    return sql_expand(db->scratch, text, db->schema, ret_sql, err);
}

typedef struct TextVisit {
    bool (*visit)(void *visitor, const Str *cells, size_t columns);
    void *visitor;
    Arena *arena;
    Str *cells; // of the row in hand
    bool stopped;
} TextVisit;

static bool visit_texts(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    TextVisit *text = visitor;
    const size_t columns = duckdb_data_chunk_get_column_count(chunk);
    if (text->cells == NULL)
        text->cells = arena_alloc_array(text->arena, columns, sizeof(*text->cells), err);
    Str *cells = text->cells;
    TRY(cells != NULL);
    for (size_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++) {
        for (size_t i = 0; i < columns; i++)
            cells[i] = duck_is_null(chunk, i, row) ? (Str){NULL, 0} : duck_get_text(chunk, i, row);
        text->stopped = !text->visit(text->visitor, cells, columns);
        if (text->stopped)
            return false;
    }
    return true;
}

static bool duck_warehouse_query(void *state, Str sql,
                                 bool (*visit)(void *visitor, const Str *cells, size_t columns),
                                 void *visitor, Error *err)
{
    DuckWarehouse *db = state;
    TRY(duck_warehouse_begin_call(db, err));
    Str text = {0};
    // As a subquery it cannot be anything but a query, and every cell becomes text.
    TRY(arena_printf(db->scratch, &text, err,
                     "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" STR_FMT "\n)", STR_ARG(sql)));
    TextVisit texts = {.visit = visit, .visitor = visitor, .arena = db->scratch};
    const DuckStatement statement = {.sql = text.data, .env = db->env};
    // Whoever has seen enough ends the query; that is no fault.
    return duck_query(&db->duck, &statement, visit_texts, &texts, err) || texts.stopped;
}

const WarehouseDriver warehouse_duckdb = {
    .name = "duckdb",
    .summary = "a DuckDB file on this machine",
    .fields = duck_warehouse_fields,
    .state_size = sizeof(DuckWarehouse),
    .rows_unit = DUCKDB_ROW_GROUP_ROWS,
    .column_bytes_least = COLUMN_BYTES_LEAST,
    .column_bytes_enough = COLUMN_BYTES_ENOUGH,
    .memory_bytes_min = MEMORY_BYTES_MIN,
    .open = duck_warehouse_open,
    .close = duck_warehouse_close,
    .idle = duck_warehouse_idle,
    .prepare = duck_warehouse_prepare_tables,
    .create_views = duck_warehouse_create_views,
    .check = duck_warehouse_check,
    .promote = duck_warehouse_promote,
    .load_begin = duck_warehouse_load_begin,
    .load_match = duck_warehouse_load_match,
    .load_write = duck_warehouse_load_write,
    .load_write_quarantine = duck_warehouse_load_write_quarantine,
    .load_mark_deleted = duck_warehouse_load_mark_deleted,
    .load_commit = duck_warehouse_load_commit,
    .load_abort = duck_warehouse_load_abort,
    .window_keys = duck_warehouse_window_keys,
    .read_watermarks = duck_warehouse_read_watermarks,
    .read_slices = duck_warehouse_read_slices,
    .has_load = duck_warehouse_has_load,
    .set_watermark = duck_warehouse_set_watermark,
    .append_log = duck_warehouse_append_log,
    .query = duck_warehouse_query,
    .dialect = &sql_dialect_duckdb,
    .execute = duck_warehouse_execute,
    .compact = duck_warehouse_compact,
};
