// Rows on their way into the stage: Parquet, written by DuckDB into a file of this machine, then
// put into the store behind the stage.
#include "warehouse/snowflake_state.h"

#include "base/file.h"
#include "duck/parquet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 1024 * 1024 * 1024,
    MEMORY_BYTES_MIN = 64 * 1000 * 1000,
    FOLDER_BYTES = 256,
};

// A folder that only we may look into, removed with its one file.
typedef struct TempFile {
    char folder[FOLDER_BYTES];
    char path[FOLDER_BYTES + 16];
} TempFile;

static void temp_done(TempFile *temp)
{
    if (temp->folder[0] == '\0')
        return;
    (void)unlink(temp->path);
    (void)rmdir(temp->folder);
}

static bool temp_open(TempFile *temp, const Env *env, Error *err)
{
    const char *base = env->variable(env->state, "TMPDIR");
    const int size = snprintf(temp->folder, sizeof(temp->folder), "%s/pawl-stage-XXXXXX",
                              base == NULL || base[0] == '\0' ? "/tmp" : base);
    if (size < 0 || (size_t)size >= sizeof(temp->folder) || strchr(temp->folder, '\'') != NULL) {
        temp->folder[0] = '\0';
        return error_set(err, ERROR_JOB, "TMPDIR: too long, or with a quote in it");
    }
    if (mkdtemp(temp->folder) == NULL) {
        temp->folder[0] = '\0';
        return file_error(err, "create a folder in", base == NULL ? "/tmp" : base);
    }
    (void)snprintf(temp->path, sizeof(temp->path), "%s/f.parquet", temp->folder);
    return true;
}

static uint64_t memory_of(const SnowflakeWarehouse *db)
{
    return db->memory_bytes < MEMORY_BYTES_MIN ? MEMORY_BYTES_MIN : db->memory_bytes;
}

static bool open_duck(SnowflakeWarehouse *db, Error *err)
{
    if (duck_is_open(&db->duck))
        return true;
    const DuckOptions options = {.name = "pawl_stage", .threads = 1, .memory_bytes = memory_of(db)};
    return duck_open(&db->duck, &options, err);
}

static bool upload(SnowflakeWarehouse *db, const TempFile *temp, const char *kind, Str *ret_path,
                   Error *err)
{
    SnowflakeLoad *load = &db->load;
    if (load->staged_count == SNOWFLAKE_STAGED_MAX)
        return error_set(err, ERROR_LIMIT, "load " STR_FMT ": more than %d staged files",
                         STR_ARG(load->id), SNOWFLAKE_STAGED_MAX);
    Str path = {0};
    Str bytes = {0};
    TRY(arena_printf(db->loading, &path, err, SNOWFLAKE_LOADS "/" STR_FMT "-%s-%zu.parquet",
                     STR_ARG(load->files), kind, load->staged_count));
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)FILE_BYTES_MAX + 4096, err);
    TRY(arena != NULL);
    TRY(file_read(temp->path, FILE_BYTES_MAX, arena, &bytes, err));
    load->staged[load->staged_count++] = path; // also when it fails: it may be there
    kill_point("stage put, %s " STR_FMT " load %u", kind, STR_ARG(load->spec->stream),
               load->spec->ordinal);
    if (!db->files->put(db->files->state, path, bytes, err))
        return error_context(err, "stage " STR_FMT, STR_ARG(db->stage.name));
    *ret_path = path;
    return true;
}

bool snowflake_put_rows(SnowflakeWarehouse *db, const char *kind, const char *select,
                        const DuckRows *rows, Str *ret_path, int64_t *ret_rows, Error *err)
{
    if (db->files == NULL)
        return error_set(err, ERROR_JOB, "warehouse: loads need a \"stage\"");
    TRY(open_duck(db, err));
    CLEANUP(temp_done) TempFile temp = {0};
    TRY(temp_open(&temp, db->env, err));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(&sql, err, "COPY (SELECT %s FROM pawl_rows()) TO '%s' (", select, temp.path) &&
        duck_parquet_options(memory_of(db), &sql, err) && buf_append_char(&sql, ')', err) &&
        buf_append_char(&sql, '\0', err));
    const DuckStatement statement = {.sql = sql.data, .rows = rows};
    TRY(duck_run(&db->duck, &statement, ret_rows, err));
    return upload(db, &temp, kind, ret_path, err);
}

// What DuckDB must do to a column so that Snowflake's COPY finds it by name and by type: plain
// binary instead of UUID, plain text instead of JSON.
static bool append_select(Buf *out, const Column *columns, size_t count, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_done) Buf name = {0};
        TRY(sql_name(&name, columns[i].name, err));
        if (columns[i].type == COLUMN_KEY)
            TRY(buf_printf(out, err, "unhex(replace(CAST(" STR_FMT " AS VARCHAR), '-', ''))",
                           STR_ARG(buf_str(&name))));
        else if (columns[i].type == COLUMN_JSON)
            TRY(buf_printf(out, err, "CAST(" STR_FMT " AS VARCHAR)", STR_ARG(buf_str(&name))));
        else
            TRY(buf_append(out, buf_str(&name), err));
        TRY(buf_append(out, STR(" AS "), err) && snowflake_name(out, columns[i].name, err));
        if (i + 1 < count)
            TRY(buf_append(out, STR(", "), err));
    }
    return buf_append_char(out, '\0', err);
}

// Says of `rows` what its columns are, and in `select` what the stage gets of them.
static bool describe_rows(SnowflakeWarehouse *db, const Column *columns, size_t count, Buf *select,
                          DuckRows *rows, Error *err)
{
    DuckColumn *duck = NULL;
    TRY(append_select(select, columns, count, err) &&
        duck_columns(columns, count, db->scratch, &duck, err));
    rows->columns = duck;
    rows->column_count = count;
    return true;
}

// The batch in hand; its strings are pointed at until the next chunk.
typedef struct SourceFeed {
    RowSource *source;
    const TableSpec *table;
    Env *env;
    RowSelection current;
    size_t next;
    struct ArrowArray array;
} SourceFeed;

static void source_feed_done(SourceFeed *feed)
{
    arrow_array_done(&feed->array);
}

static bool fill_from_source(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    SourceFeed *feed = state;
    *ret_rows = 0;
    while (feed->next == feed->current.count) {
        TRY(env_check_stop(feed->env, err));
        source_feed_done(feed);
        feed->array = (struct ArrowArray){0};
        feed->next = 0;
        feed->current = (RowSelection){0};
        TRY(feed->source->next(feed->source->state, &feed->current, err));
        if (feed->current.array == NULL)
            return true;
        ArrowArrayMove(feed->current.array, &feed->array);
    }
    const size_t left = feed->current.count - feed->next;
    const size_t count = left < DUCK_VECTOR_ROWS ? left : DUCK_VECTOR_ROWS;
    const DuckRange range = {&feed->array, feed->current.rows, feed->next, count};
    TRY(duck_fill(chunk, 0, feed->table->columns, feed->table->column_count, &range, err));
    feed->next += count;
    *ret_rows = count;
    return true;
}

bool snowflake_put_source(SnowflakeWarehouse *db, RowSource *source, Str *ret_path,
                          int64_t *ret_rows, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    CLEANUP(source_feed_done)
    SourceFeed feed = {.source = source, .table = table, .env = db->env};
    DuckRows rows = {.rows_total = source->rows_total, .fill = fill_from_source, .state = &feed};
    CLEANUP(buf_done) Buf select = {0};
    return describe_rows(db, table->columns, table->column_count, &select, &rows, err) &&
           snowflake_put_rows(db, "rows", select.data, &rows, ret_path, ret_rows, err);
}

typedef struct ArrayFeed {
    struct ArrowArray array;
    const TableSpec *table;
    size_t next;
} ArrayFeed;

static void array_feed_done(ArrayFeed *feed)
{
    arrow_array_done(&feed->array);
}

static bool fill_from_array(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    ArrayFeed *feed = state;
    size_t rows = (size_t)feed->array.length - feed->next;
    rows = rows < DUCK_VECTOR_ROWS ? rows : DUCK_VECTOR_ROWS;
    const DuckRange range = {.array = &feed->array, .first = feed->next, .count = rows};
    TRY(duck_fill(chunk, 0, feed->table->quarantine_columns, feed->table->quarantine_count, &range,
                  err));
    feed->next += rows;
    *ret_rows = rows;
    return true;
}

bool snowflake_put_array(SnowflakeWarehouse *db, struct ArrowArray *array, Str *ret_path,
                         int64_t *ret_rows, Error *err)
{
    const TableSpec *table = db->load.spec->table;
    CLEANUP(array_feed_done) ArrayFeed feed = {.table = table};
    ArrowArrayMove(array, &feed.array);
    if (table->quarantine_count == 0)
        return error_set(err, ERROR_JOB, "table " STR_FMT ": it has no quarantine",
                         STR_ARG(table->name));
    DuckRows rows = {
        .rows_total = (size_t)feed.array.length, .fill = fill_from_array, .state = &feed};
    CLEANUP(buf_done) Buf select = {0};
    return describe_rows(db, table->quarantine_columns, table->quarantine_count, &select, &rows,
                         err) &&
           snowflake_put_rows(db, "quarantine", select.data, &rows, ret_path, ret_rows, err);
}

// Keys go as text: what a VARIANT of staged binary is, Snowflake's manual leaves open.
typedef struct KeyFeed {
    const Key128 *keys;
    size_t count, next;
} KeyFeed;

static bool fill_keys(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)err;
    KeyFeed *feed = state;
    size_t rows = feed->count - feed->next;
    rows = rows < DUCK_VECTOR_ROWS ? rows : DUCK_VECTOR_ROWS;
    int64_t *positions = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    duckdb_vector texts = duckdb_data_chunk_get_vector(chunk, 1);
    for (size_t i = 0; i < rows; i++) {
        char hex[2 * KEY_BYTES + 1];
        hex_encode(feed->keys[feed->next + i].bytes, KEY_BYTES, hex);
        positions[i] = (int64_t)(feed->next + i);
        duckdb_vector_assign_string_element_len(texts, i, hex, sizeof(hex) - 1);
    }
    feed->next += rows;
    *ret_rows = rows;
    return true;
}

bool snowflake_put_keys(SnowflakeWarehouse *db, const Key128 *keys, size_t count, Str *ret_path,
                        Error *err)
{
    static const DuckColumn columns[] = {DUCK_INT64("position"), DUCK_TEXT("row_key")};
    KeyFeed feed = {.keys = keys, .count = count};
    const DuckRows rows = {.columns = columns,
                           .column_count = 2,
                           .rows_total = count,
                           .fill = fill_keys,
                           .state = &feed};
    SnowflakeLoad *load = &db->load;
    if (load->key_count == SNOWFLAKE_STAGED_MAX)
        return error_set(err, ERROR_LIMIT, "load " STR_FMT ": more than %d files of keys",
                         STR_ARG(load->id), SNOWFLAKE_STAGED_MAX);
    TRY(snowflake_put_rows(db, "keys", "position AS \"POSITION\", row_key AS \"ROW_KEY\"", &rows,
                           ret_path, NULL, err));
    load->keys[load->key_count++] = *ret_path;
    return true;
}

void snowflake_remove_staged(SnowflakeWarehouse *db)
{
    for (size_t i = 0; i < db->load.staged_count; i++) {
        Error ignored = {0}; // prepare() removes what is left over
        (void)!db->files->remove(db->files->state, db->load.staged[i], &ignored);
    }
    db->load.staged_count = 0;
}

// --- what killed loads left

// "loads/<uuid>-rows-0.parquet", with earlier versions "loads/<uuid>/rows-0.parquet": of a UUID of
// version 7 the first 48 bits are the millisecond it was made in.
static bool made_before(Str path, int64_t us)
{
    unsigned char bytes[6];
    char digits[13];
    const Str name = str_slice(path, sizeof(SNOWFLAKE_LOADS), path.size);
    if (name.size <= UUID_TEXT_BYTES ||
        (name.data[UUID_TEXT_BYTES] != '-' && name.data[UUID_TEXT_BYTES] != '/'))
        return false;
    (void)snprintf(digits, sizeof(digits), "%.8s%.4s", name.data, name.data + 9);
    if (!hex_decode(str_from(digits), bytes, sizeof(bytes)))
        return false;
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        ms = ms << 8 | bytes[i];
    return ms < us / 1000;
}

enum { LEFT_FILES_MAX = 1000 }; // the rest goes with the next run

typedef struct LeftFiles {
    Arena *arena;
    int64_t before_us;
    Str paths[LEFT_FILES_MAX];
    size_t count;
} LeftFiles;

static bool note_left(void *visitor, Str path)
{
    LeftFiles *left = visitor;
    Error ignored = {0};
    if (!made_before(path, left->before_us))
        return true;
    return left->count < LEFT_FILES_MAX &&
           arena_copy_str(left->arena, path, &left->paths[left->count], &ignored) &&
           ++left->count > 0;
}

void snowflake_remove_left(SnowflakeWarehouse *db)
{
    Error ignored = {0}; // whoever prepares next tries again
    LeftFiles *left = arena_alloc(db->scratch, sizeof(*left), &ignored);
    if (db->files == NULL || left == NULL)
        return;
    left->arena = db->scratch;
    left->before_us = db->env->now_us(db->env->state) - SNOWFLAKE_LEFT_AFTER_US;
    (void)!db->files->list(db->files->state, STR(SNOWFLAKE_LOADS), note_left, left, &ignored);
    for (size_t i = 0; i < left->count; i++)
        (void)!db->files->remove(db->files->state, left->paths[i], &ignored);
}
