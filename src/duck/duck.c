#include "duck/duck.h"

#include "base/fault.h"
#include "base/queue.h"
#include "base/thread.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

enum { SQL_BYTES = 4096, ATTACH_BYTES = 100, MESSAGE_BYTES = 400, ROW_GROUP_ROWS = 122880 };

// What DuckDB takes for zstd's level in its files, in place of 3 (the linker puts it there):
// `_overflow` comes out as small in half the time. Any DuckDB reads it, for no file names a level.
int duck_zstd_level(void) __asm__("__wrap__ZN11duckdb_zstd18ZSTD_defaultCLevelEv");
int duck_zstd_level(void)
{
    return 1;
}

// DuckDB calls them IO errors, but no second try mends them.
static bool tells_damage(const char *message)
{
    return strstr(message, "not a valid DuckDB database file") != NULL ||
           strstr(message, "Corrupt database file") != NULL ||
           strstr(message, "Could not read enough bytes from file") != NULL;
}

static ErrorCode code_of(duckdb_error_type type, const char *message)
{
    if (tells_damage(message))
        return ERROR_DATA;
    if (strstr(message, "No space left") != NULL || strstr(message, "File too large") != NULL ||
        strstr(message, "Out of Memory Error") != NULL || // in a commit it has another type
        strstr(message, "failed to pin block") != NULL)   // likewise, in other words
        return ERROR_LIMIT;
    if (strstr(message, "Could not set lock") != NULL)
        return ERROR_BUSY;
    if (strstr(message, "Permission denied") != NULL || strstr(message, "read-only") != NULL ||
        strstr(message, "Read-only file system") != NULL)
        return ERROR_ACCESS;
    switch ((int)type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        return ERROR_LIMIT;
    case DUCKDB_ERROR_TRANSACTION:
        return ERROR_CONFLICT;
    case DUCKDB_ERROR_PERMISSION:
        return ERROR_ACCESS;
    case DUCKDB_ERROR_CATALOG:
    case DUCKDB_ERROR_BINDER:
    case DUCKDB_ERROR_PARSER:
    case DUCKDB_ERROR_SYNTAX:
        return ERROR_JOB;
    case DUCKDB_ERROR_CONVERSION:
    case DUCKDB_ERROR_OUT_OF_RANGE:
    case DUCKDB_ERROR_CONSTRAINT:
    case DUCKDB_ERROR_INVALID_INPUT:
        return ERROR_DATA;
    case DUCKDB_ERROR_INTERRUPT:
        return ERROR_STOPPED;
    default:
        return ERROR_IO;
    }
}

// The first line of what DuckDB says; the rest repeats the SQL.
static bool fail(Error *err, duckdb_error_type type, const char *message)
{
    if (message == NULL)
        message = "no reason given";
    const int size = (int)strcspn(message, "\n");
    return error_set(err, code_of(type, message), "duckdb: %.*s%s",
                     size < MESSAGE_BYTES ? size : MESSAGE_BYTES, message,
                     tells_damage(message) ? "; restore it, or move it away and replay" : "");
}

static duckdb_logical_type logical_type(const DuckColumn *column)
{
    if (column->type == DUCKDB_TYPE_DECIMAL)
        return duckdb_create_decimal_type(column->precision, column->scale);
    duckdb_logical_type type = duckdb_create_logical_type(column->type);
    // DuckDB's JSON is a VARCHAR by this name; taking it as VARCHAR would parse each value again.
    if (column->is_json)
        duckdb_logical_type_set_alias(type, "JSON");
    return type;
}

static void rows_bind(duckdb_bind_info info)
{
    const Duck *duck = duckdb_bind_get_extra_info(info);
    if (duck->rows == NULL) {
        duckdb_bind_set_error(info, "pawl_rows() has no rows now");
        return;
    }
    for (size_t i = 0; i < duck->rows->column_count; i++) {
        duckdb_logical_type type = logical_type(&duck->rows->columns[i]);
        duckdb_bind_add_result_column(info, duck->rows->columns[i].name, type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_bind_set_cardinality(info, duck->rows->rows_total, true);
}

static void rows_init(duckdb_init_info info)
{
    Duck *duck = duckdb_init_get_extra_info(info);
    atomic_store(&duck->rows_taken, 0);
    duckdb_init_set_max_threads(info, duck->rows->state_count > 1 ? duck->rows->state_count : 1);
}

// Once for each thread that will fill.
static void rows_init_thread(duckdb_init_info info)
{
    Duck *duck = duckdb_init_get_extra_info(info);
    const DuckRows *rows = duck->rows;
    const size_t index = atomic_fetch_add(&duck->rows_taken, 1);
    if (rows->state_count == 0)
        duckdb_init_set_init_data(info, rows->state, NULL);
    else if (index < rows->state_count)
        duckdb_init_set_init_data(info, rows->states[index], NULL);
    else
        duckdb_init_set_error(info, "more threads than states");
}

static void rows_fill(duckdb_function_info info, duckdb_data_chunk chunk)
{
    Duck *duck = duckdb_function_get_extra_info(info);
    size_t rows = 0;
    Error err = {0};
    if (duck->rows == NULL ||
        !duck->rows->fill(duckdb_function_get_local_init_data(info), chunk, &rows, &err)) {
        if (!atomic_flag_test_and_set(&duck->rows_failed))
            *duck->rows_error = err;
        duckdb_function_set_error(info, "its rows failed");
        return;
    }
    assert(rows <= DUCK_VECTOR_ROWS);
    duckdb_data_chunk_set_size(chunk, rows);
}

static bool register_rows(Duck *duck, Error *err)
{
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_table_function_set_name(function, "pawl_rows");
    duckdb_table_function_set_extra_info(function, duck, NULL);
    duckdb_table_function_set_bind(function, rows_bind);
    duckdb_table_function_set_init(function, rows_init);
    duckdb_table_function_set_local_init(function, rows_init_thread);
    duckdb_table_function_set_function(function, rows_fill);
    const duckdb_state state = duckdb_register_table_function(duck->connection, function);
    duckdb_destroy_table_function(&function);
    if (state != DuckDBSuccess)
        return error_set(err, ERROR_IO, "duckdb: pawl_rows() could not be registered");
    return true;
}

static bool open_instance(Duck *duck, const DuckOptions *options, Error *err)
{
    duckdb_config config = NULL;
    char threads[16];
    (void)snprintf(threads, sizeof(threads), "%d", options->threads > 0 ? options->threads : 1);
    char memory[32];
    (void)snprintf(memory, sizeof(memory), "%lluB", (unsigned long long)options->memory_bytes);
    bool ok = duckdb_create_config(&config) == DuckDBSuccess &&
              duckdb_set_config(config, "threads", threads) == DuckDBSuccess &&
              duckdb_set_config(config, "autoload_known_extensions", "false") == DuckDBSuccess &&
              duckdb_set_config(config, "autoinstall_known_extensions", "false") == DuckDBSuccess;
    if (ok && options->memory_bytes > 0)
        ok = duckdb_set_config(config, "memory_limit", memory) == DuckDBSuccess;
    if (!ok) {
        duckdb_destroy_config(&config);
        return error_set(err, ERROR_IO, "duckdb: a setting was refused");
    }
    char *message = NULL;
    const duckdb_state state = duckdb_open_ext(NULL, &duck->database, config, &message);
    duckdb_destroy_config(&config);
    if (state != DuckDBSuccess) {
        (void)fail(err, DUCKDB_ERROR_IO, message);
        duckdb_free(message);
        return false;
    }
    if (duckdb_connect(duck->database, &duck->connection) != DuckDBSuccess)
        return error_set(err, ERROR_IO, "duckdb: could not connect");
    return true;
}

// `text` as a SQL literal; false when it does not fit.
static bool quote(const char *text, char *out, size_t room)
{
    size_t used = 0;
    out[used++] = '\'';
    for (; *text != '\0'; text++) {
        if (used + 4 > room)
            return false;
        if (*text == '\'')
            out[used++] = '\'';
        out[used++] = *text;
    }
    out[used++] = '\'';
    out[used] = '\0';
    return true;
}

// The type is named because DuckDB would otherwise look for an extension when a foreign file, of
// SQLite say, lies there.
static void attach_options(const DuckOptions *options, char *text, size_t room)
{
    const int rows = options->row_group_rows > 0 ? options->row_group_rows : ROW_GROUP_ROWS;
    assert(rows % DUCK_VECTOR_ROWS == 0);
    if (options->read_only)
        (void)snprintf(text, room, "TYPE duckdb, READ_ONLY");
    // Naming a format older than that of a file that is there would be refused.
    else if (options->storage != NULL && access(options->path, F_OK) != 0)
        (void)snprintf(text, room, "TYPE duckdb, ROW_GROUP_SIZE %d, STORAGE_VERSION '%s'", rows,
                       options->storage);
    else
        (void)snprintf(text, room, "TYPE duckdb, ROW_GROUP_SIZE %d", rows);
}

// The file is attached rather than opened, so that SQL knows it by a name of ours: opened as
// "ctm.duckdb" it would be called "ctm", and "ctm.calls" would no longer say whether ctm is the
// file or the schema.
static bool attach(Duck *duck, const DuckOptions *options, Error *err)
{
    if (options->path == NULL)
        return true;
    char path[SQL_BYTES / 4];
    char temp[SQL_BYTES / 4];
    char plain_temp[SQL_BYTES / 8];
    char sql[SQL_BYTES];
    const char *folder = options->temp_folder;
    if (folder == NULL) {
        (void)snprintf(plain_temp, sizeof(plain_temp), "%s.tmp", options->path);
        folder = plain_temp;
    }
    if (strlen(options->path) + 5 > sizeof(plain_temp) ||
        !quote(options->path, path, sizeof(path)) || !quote(folder, temp, sizeof(temp)))
        return error_set(err, ERROR_LIMIT, "duckdb: the path is too long");
    char attach[ATTACH_BYTES];
    attach_options(options, attach, sizeof(attach));
    (void)snprintf(sql, sizeof(sql), "SET temp_directory = %s; ATTACH %s AS %s (%s); USE %s", temp,
                   path, options->name, attach, options->name);
    return duck_run_sql(duck, sql, err);
}

// One that is not there yet is claimed once it is made.
static bool claim_file(Duck *duck, const DuckOptions *options, Error *err)
{
    return options->path == NULL || duck->claim.file != 0 ||
           claim_take(&duck->claim, options->path, err);
}

bool duck_open(Duck *duck, const DuckOptions *options, Error *err)
{
    assert(duck->database == NULL);
    assert(options->path == NULL || options->name != NULL);

    if (fault_here())
        return error_set(err, ERROR_IO, "duckdb: injected");
    const bool ok = claim_file(duck, options, err) && open_instance(duck, options, err) &&
                    register_rows(duck, err) && duck_run_sql(duck, "SET TimeZone = 'UTC'", err) &&
                    (options->settings == NULL || duck_run_sql(duck, options->settings, err)) &&
                    attach(duck, options, err) && claim_file(duck, options, err);
    if (!ok)
        duck_close(duck);
    return ok;
}

void duck_close(Duck *duck)
{
    if (duck->connection != NULL)
        duckdb_disconnect(&duck->connection);
    if (duck->database != NULL)
        duckdb_close(&duck->database);
    claim_drop(&duck->claim);
    *duck = (Duck){0};
}

bool duck_set_threads(Duck *duck, int threads, uint64_t memory_bytes, Error *err)
{
    char sql[100];
    (void)snprintf(sql, sizeof(sql), "SET memory_limit = '%lluB'; SET threads = %d",
                   (unsigned long long)memory_bytes, threads);
    return duck_run_sql(duck, sql, err);
}

bool duck_run_sql(Duck *duck, const char *sql, Error *err)
{
    assert(duck->connection != NULL);
    if (fault_here())
        return error_set(err, ERROR_IO, "duckdb: injected");
    duckdb_result result = {0};
    const bool ok = duckdb_query(duck->connection, sql, &result) == DuckDBSuccess;
    if (!ok)
        (void)fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result));
    duckdb_destroy_result(&result);
    return ok;
}

static duckdb_state bind(duckdb_prepared_statement prepared, idx_t index, const DuckValue *value)
{
    switch (value->kind) {
    case DUCK_NULL:
        return duckdb_bind_null(prepared, index);
    case DUCK_TEXT:
        return duckdb_bind_varchar_length(prepared, index, value->text.data, value->text.size);
    case DUCK_INT64:
        return duckdb_bind_int64(prepared, index, value->number);
    case DUCK_TIME:
        return duckdb_bind_timestamp_tz(prepared, index, (duckdb_timestamp){value->number});
    }
    return DuckDBError;
}

static bool prepare(Duck *duck, const DuckStatement *statement,
                    duckdb_prepared_statement *ret_prepared, Error *err)
{
    assert(statement->value_count <= DUCK_PARAMETERS_MAX);
    if (fault_here())
        return error_set(err, ERROR_IO, "duckdb: injected");
    duckdb_prepared_statement prepared = NULL;
    if (duckdb_prepare(duck->connection, statement->sql, &prepared) != DuckDBSuccess) {
        // A failed prepare has no error type of its own; what it lacks is in the SQL or the tables.
        (void)fail(err, DUCKDB_ERROR_BINDER, duckdb_prepare_error(prepared));
        duckdb_destroy_prepare(&prepared);
        return false;
    }
    for (size_t i = 0; i < statement->value_count; i++) {
        if (bind(prepared, i + 1, &statement->values[i]) == DuckDBSuccess)
            continue;
        duckdb_destroy_prepare(&prepared);
        return error_set(err, ERROR_IO, "duckdb: value %zu of a statement was refused", i + 1);
    }
    *ret_prepared = prepared;
    return true;
}

static bool execute_streaming(duckdb_prepared_statement prepared, duckdb_result *ret_result,
                              Error *err)
{
    duckdb_pending_result pending = NULL;
    bool ok = duckdb_pending_prepared_streaming(prepared, &pending) == DuckDBSuccess ||
              fail(err, DUCKDB_ERROR_BINDER, duckdb_pending_error(pending));
    if (ok) {
        duckdb_result result = {0};
        ok = duckdb_execute_pending(pending, &result) == DuckDBSuccess;
        if (ok) {
            *ret_result = result;
        } else {
            (void)fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result));
            duckdb_destroy_result(&result);
        }
    }
    duckdb_destroy_pending(&pending);
    return ok;
}

static bool execute_at_once(duckdb_prepared_statement prepared, duckdb_result *ret_result,
                            Error *err)
{
    duckdb_result result = {0};
    if (duckdb_execute_prepared(prepared, &result) == DuckDBSuccess) {
        *ret_result = result;
        return true;
    }
    (void)fail(err, duckdb_result_error_type(&result), duckdb_result_error(&result));
    duckdb_destroy_result(&result);
    return false;
}

static bool execute(Duck *duck, const DuckStatement *statement, duckdb_result *ret_result,
                    Error *err)
{
    Error rows_error = {0};
    duck->rows = statement->rows;
    duck->rows_error = &rows_error;
    atomic_flag_clear(&duck->rows_failed);
    duckdb_prepared_statement prepared = NULL;
    bool ok = prepare(duck, statement, &prepared, err);
    if (ok) {
        ok = statement->env != NULL ? execute_streaming(prepared, ret_result, err)
                                    : execute_at_once(prepared, ret_result, err);
        duckdb_destroy_prepare(&prepared);
    }
    duck->rows = NULL;
    duck->rows_error = NULL;
    if (!ok && rows_error.code != ERROR_NONE)
        *err = rows_error;
    return ok;
}

bool duck_run(Duck *duck, const DuckStatement *statement, int64_t *ret_changed, Error *err)
{
    duckdb_result result = {0};
    TRY(execute(duck, statement, &result, err));
    if (ret_changed != NULL)
        *ret_changed = (int64_t)duckdb_rows_changed(&result);
    duckdb_destroy_result(&result);
    return true;
}

static bool query(Duck *duck, const DuckStatement *statement,
                  bool (*visit)(void *visitor, duckdb_data_chunk chunk, Error *err), void *visitor,
                  Error *err)
{
    duckdb_result result = {0};
    TRY(execute(duck, statement, &result, err));
    bool ok = true;
    while (ok) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk == NULL) {
            // Rows that are made as they are fetched can fail in the middle.
            const char *why = duckdb_result_error(&result);
            ok = why == NULL || why[0] == '\0' || fail(err, duckdb_result_error_type(&result), why);
            break;
        }
        ok = visit(visitor, chunk, err) &&
             (statement->env == NULL || env_check_stop(statement->env, err));
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&result);
    return ok;
}

// Whoever waits for rows sees env->stop only when the next ones come, and that may take hours: a
// thread beside it looks, and interrupts DuckDB.
typedef struct Watch {
    Duck *duck;
    Env *env;
    Queue *end; // carries nothing; closed when the query is over
} Watch;

static void *watch(void *state)
{
    enum { LOOK_MS = 50 };
    Watch *watch = state;
    while (!queue_is_closed(watch->end)) {
        // Again and again: DuckDB forgets an interrupt that comes before the query began.
        if (atomic_load(&watch->env->stop))
            duckdb_interrupt(watch->duck->connection);
        (void)queue_take(watch->end, LOOK_MS);
    }
    return NULL;
}

bool duck_query(Duck *duck, const DuckStatement *statement,
                bool (*visit)(void *visitor, duckdb_data_chunk chunk, Error *err), void *visitor,
                Error *err)
{
    if (statement->env == NULL)
        return query(duck, statement, visit, visitor, err);
    CLEANUP(queue_freep) Queue *end = queue_new(1, err);
    TRY(end != NULL);
    Watch watching = {.duck = duck, .env = statement->env, .end = end};
    pthread_t watcher;
    TRY(thread_start(&watcher, watch, &watching, err));
    const bool ok = query(duck, statement, visit, visitor, err);
    queue_close(end);
    (void)pthread_join(watcher, NULL);
    // DuckDB says of an interrupt only that there was one.
    TRY(ok || env_check_stop(statement->env, err));
    return ok;
}

typedef struct Int64Cell {
    int64_t value;
    bool found;
} Int64Cell;

static bool take_int64(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    (void)err;
    Int64Cell *cell = visitor;
    if (duckdb_data_chunk_get_size(chunk) == 0 || duck_is_null(chunk, 0, 0))
        return true;
    cell->value = duck_get_int64(chunk, 0, 0);
    cell->found = true;
    return true;
}

bool duck_query_int64(Duck *duck, const DuckStatement *statement, int64_t *ret_value,
                      bool *ret_found, Error *err)
{
    Int64Cell cell = {0};
    TRY(duck_query(duck, statement, take_int64, &cell, err));
    *ret_value = cell.value;
    *ret_found = cell.found;
    return true;
}

bool duck_is_null(duckdb_data_chunk chunk, size_t column, size_t row)
{
    uint64_t *validity = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(chunk, column));
    return validity != NULL && !duckdb_validity_row_is_valid(validity, row);
}

Str duck_get_text(duckdb_data_chunk chunk, size_t column, size_t row)
{
    duckdb_string_t *texts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
    return (Str){duckdb_string_t_data(&texts[row]), duckdb_string_t_length(texts[row])};
}

int64_t duck_get_int64(duckdb_data_chunk chunk, size_t column, size_t row)
{
    const int64_t *numbers = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
    return numbers[row];
}

bool duck_get_bool(duckdb_data_chunk chunk, size_t column, size_t row)
{
    const bool *flags = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
    return flags[row];
}

static uint64_t read_big_endian(const unsigned char *bytes)
{
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof(word));
    return __builtin_bswap64(word);
}

duckdb_hugeint duck_uuid(const unsigned char bytes[16])
{
    return (duckdb_hugeint){.lower = read_big_endian(bytes + 8),
                            .upper = (int64_t)(read_big_endian(bytes) ^ (UINT64_C(1) << 63))};
}

void duck_uuid_bytes(duckdb_hugeint uuid, unsigned char bytes[16])
{
    const uint64_t high = __builtin_bswap64((uint64_t)uuid.upper ^ (UINT64_C(1) << 63));
    const uint64_t low = __builtin_bswap64(uuid.lower);
    memcpy(bytes, &high, sizeof(high));
    memcpy(bytes + 8, &low, sizeof(low));
}
