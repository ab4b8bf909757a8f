// Duck: DuckDB as a library: one database file, one connection, SQL, and rows from C as a table.
//
// A Duck belongs to one thread at a time. Errors carry DuckDB's own first line; a full disk or
// memory limit is ERROR_LIMIT, a file that another process holds ERROR_BUSY (the message names the
// process) as one that is open in this one (claim.h), a missing right ERROR_ACCESS, a transaction
// that lost ERROR_CONFLICT, SQL that does not fit the tables ERROR_JOB, values that do not fit
// ERROR_DATA, the rest ERROR_IO.
#pragma once

#include "base/env.h"
#include "base/error.h"
#include "base/str.h"
#include "duck/claim.h"

#include <duckdb.h>
#include <stdatomic.h>

enum {
    DUCK_PARAMETERS_MAX = 64,
    DUCK_VECTOR_ROWS = 2048, // rows of a chunk; a row group is a multiple of it
};

// Rows that the SQL function pawl_rows() yields while a statement runs: how anything from C gets
// into DuckDB. DuckDB calls fill() on the thread that runs the statement, unless there are
// `states`.
typedef struct DuckColumn {
    const char *name;
    duckdb_type type; // DUCKDB_TYPE_DECIMAL takes precision and scale
    uint8_t precision, scale;
    bool is_json; // VARCHAR that counts as JSON; its text is not looked at
} DuckColumn;

// Initialisers of a DuckColumn, for tables of columns.
#define DUCK_TEXT(column)                             \
    {                                                 \
        .name = (column), .type = DUCKDB_TYPE_VARCHAR \
    }
#define DUCK_INT64(column)                           \
    {                                                \
        .name = (column), .type = DUCKDB_TYPE_BIGINT \
    }
#define DUCK_TIME(column)                                  \
    {                                                      \
        .name = (column), .type = DUCKDB_TYPE_TIMESTAMP_TZ \
    }

typedef struct DuckRows {
    const DuckColumn *columns;
    size_t column_count;
    size_t rows_total; // expected; decides on which side of a join they go
    // Fills `chunk` with at most DUCK_VECTOR_ROWS rows; *ret_rows = 0 ends them. What strings point
    // at must stay until the next call, or until the statement ends.
    bool (*fill)(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err);
    void *state;
    // Where fill() may run on several threads at once: a state for each, instead of `state`. DuckDB
    // takes as many of them as it has threads; the rows come in no order then.
    void *const *states;
    size_t state_count; // 0 = `state`
} DuckRows;

typedef struct Duck {
    duckdb_database database; // NULL = closed
    duckdb_connection connection;
    Claim claim;              // of its file
    const DuckRows *rows;     // what pawl_rows() yields now
    Error *rows_error;        // why fill() failed first, in its own words
    atomic_size_t rows_taken; // of rows->states
    atomic_flag rows_failed;  // whoever sets it may write rows_error
} Duck;

typedef struct DuckOptions {
    const char *path; // NULL = in memory
    const char *name; // what SQL calls the database, whatever the file's name
    bool read_only;
    int threads;             // 0 = 1
    uint64_t memory_bytes;   // 0 = DuckDB's own choice
    const char *temp_folder; // where it spills; NULL = "<path>.tmp"
    int row_group_rows;  // of tables made or grown now, a multiple of DUCK_VECTOR_ROWS; 0 = 122,880
    const char *storage; // format of a new file: "v1.2.0" and up can be read by DuckDB 1.2 and up
    const char *settings; // more SQL to run first, or NULL
} DuckOptions;

// How many threads run a statement from now on, and how much memory they may use together.
bool duck_set_threads(Duck *duck, int threads, uint64_t memory_bytes, Error *err) MUST_USE;

// On failure nothing is open. DuckDB keeps the address of `duck`: it must not be moved while open.
bool duck_open(Duck *duck, const DuckOptions *options, Error *err) MUST_USE;
void duck_close(Duck *duck); // writes a checkpoint first; zero is fine
static inline bool duck_is_open(const Duck *duck)
{
    return duck->database != NULL;
}

// A value for a `?` of a statement.
typedef enum DuckKind { DUCK_NULL, DUCK_TEXT, DUCK_INT64, DUCK_TIME } DuckKind;
typedef struct DuckValue {
    DuckKind kind;
    int64_t number; // DUCK_TIME: microseconds since 1970 UTC
    Str text;
} DuckValue;
static inline DuckValue duck_text(Str text)
{
    return (DuckValue){.kind = DUCK_TEXT, .text = text};
}
static inline DuckValue duck_int64(int64_t number)
{
    return (DuckValue){.kind = DUCK_INT64, .number = number};
}
static inline DuckValue duck_time(int64_t us)
{
    return (DuckValue){.kind = DUCK_TIME, .number = us};
}

typedef struct DuckStatement {
    const char *sql; // several statements in one text only without values
    const DuckValue *values;
    size_t value_count;
    const DuckRows *rows; // for pawl_rows() in it; NULL = none
    // A query of unknown length: its rows are handed on as they come, none is kept, and env->stop
    // ends it at any moment. NULL = the whole result is in memory before the first row is seen.
    Env *env;
} DuckStatement;

// Runs SQL whose result nobody wants. *ret_changed (NULL is fine) gets the rows that it changed.
bool duck_run(Duck *duck, const DuckStatement *statement, int64_t *ret_changed,
              Error *err) MUST_USE;
bool duck_run_sql(Duck *duck, const char *sql, Error *err) MUST_USE;

// Runs a query and hands its chunks to `visit`, which stops it by returning false with `err` set.
bool duck_query(Duck *duck, const DuckStatement *statement,
                bool (*visit)(void *visitor, duckdb_data_chunk chunk, Error *err), void *visitor,
                Error *err) MUST_USE;

// The one cell of a query of one BIGINT: *ret_found = false when there is no row, or when it is
// null.
bool duck_query_int64(Duck *duck, const DuckStatement *statement, int64_t *ret_value,
                      bool *ret_found, Error *err) MUST_USE;

// Cells of a chunk, by the column's own type.
bool duck_is_null(duckdb_data_chunk chunk, size_t column, size_t row);
Str duck_get_text(duckdb_data_chunk chunk, size_t column, size_t row);      // valid as the chunk is
int64_t duck_get_int64(duckdb_data_chunk chunk, size_t column, size_t row); // BIGINT, TIMESTAMP
bool duck_get_bool(duckdb_data_chunk chunk, size_t column, size_t row);

// UUIDs are hugeints with the first bit turned, so that they sort as their bytes do.
duckdb_hugeint duck_uuid(const unsigned char bytes[16]);
void duck_uuid_bytes(duckdb_hugeint uuid, unsigned char bytes[16]);
