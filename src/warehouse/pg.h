// Pg: a PostgreSQL server as its client sees it: one connection, SQL, and rows into it and out of
// it, by libpq in its non-blocking mode.
//
// A Pg belongs to one thread at a time. Every wait looks at env->stop: then the server is told to
// cancel, the connection is closed, and the call is ERROR_STOPPED. A connection that breaks is
// closed too, with ERROR_IO; whoever needs it again opens it again. Errors carry the server's first
// line, never its DETAIL or CONTEXT, since those quote rows.
#pragma once

#include "base/env.h"
#include "base/hash.h"
#include "base/str.h"

#include <libpq-fe.h>

enum {
    PG_PARAMETERS_MAX = 64,
    // Keys of one statement: all of a load, since the server may read the whole table once for
    // each.
    PG_KEYS_MAX = 128 * 1024,
    PG_SERVER_OLDEST = 150000, // MERGE
};

typedef enum PgType {
    PG_TEXT,
    PG_INT64,
    PG_TIME, // microseconds since 1970 here, TIMESTAMP WITH TIME ZONE there
    PG_BOOL,
} PgType;

typedef struct PgValue {
    PgType type;
    bool is_null;
    Str text;
    int64_t number; // int64, time, bool
} PgValue;

PgValue pg_value_text(Str text);
PgValue pg_value_int64(int64_t value);
PgValue pg_value_time(int64_t us);
PgValue pg_value_bool(bool value);
PgValue pg_value_null(PgType type);

// Rows of values as parameters: each column becomes an array, for unnest().
typedef struct PgGrid {
    const PgType *types;
    size_t column_count;
    const PgValue *cells; // row by row
    size_t row_count;
} PgGrid;

// Parameters are numbered in this order: values, columns of the grid, keys (uuid[]).
typedef struct PgStatement {
    const char *sql;
    const PgValue *values;
    size_t value_count;
    const PgGrid *grid;
    const Key128 *keys; // NULL = none
    size_t key_count;   // at most PG_KEYS_MAX
} PgStatement;

typedef struct Pg {
    Env *env;
    PGconn *connection; // NULL = closed
} Pg;

typedef struct PgOptions {
    const char *const *names; // as libpq calls them; NULL ends both lists
    const char *const *values;
    int64_t timeout_us; // of connecting
} PgOptions;

// Connects. A wrong password is ERROR_ACCESS, a database that is not there ERROR_NOT_FOUND, a
// server that starts or is full ERROR_BUSY, one that does not answer ERROR_IO, one that is too old
// or not in UTF-8 ERROR_JOB.
bool pg_open(Pg *pg, Env *env, const PgOptions *options, Error *err) MUST_USE;
void pg_close(Pg *pg);
static inline bool pg_is_open(const Pg *pg)
{
    return pg->connection != NULL;
}

// SQL without parameters or rows to read, perhaps several statements: one round trip.
bool pg_script(Pg *pg, const char *sql, Error *err) MUST_USE;

// One statement; *ret_rows (or NULL) = how many rows it wrote.
bool pg_run(Pg *pg, const PgStatement *statement, int64_t *ret_rows, Error *err) MUST_USE;

// One statement with rows in binary; `visit` gets each row.
typedef bool PgVisit(void *visitor, const PGresult *result, int row, Error *err);
bool pg_query(Pg *pg, const PgStatement *statement, PgVisit *visit, void *visitor,
              Error *err) MUST_USE;
// The same, the rows as the server writes them for people.
bool pg_query_text(Pg *pg, const PgStatement *statement, PgVisit *visit, void *visitor,
                   Error *err) MUST_USE;

// Cells of binary rows. The text stays as long as the row does.
Str pg_get_text(const PGresult *result, int row, int column); // {NULL, 0} = null
int64_t pg_get_int64(const PGresult *result, int row, int column);
// Infinity, and what lies behind our last moment, is INT64_MAX; -infinity INT64_MIN.
int64_t pg_get_time(const PGresult *result, int row, int column);
bool pg_get_bool(const PGresult *result, int row, int column);
void pg_get_key(const PGresult *result, int row, int column, Key128 *ret_key);

// COPY ... FROM STDIN: begin, put any number of times, end. After a failure of any of them nothing
// of the COPY is open.
bool pg_copy_begin(Pg *pg, const char *sql, Error *err) MUST_USE;
bool pg_copy_put(Pg *pg, Str bytes, Error *err) MUST_USE;
bool pg_copy_end(Pg *pg, int64_t *ret_rows, Error *err) MUST_USE;
// Gives an open COPY up, since the rows' own source failed: the transaction is void.
void pg_copy_abort(Pg *pg);

// What an SQLSTATE means to us.
ErrorCode pg_error_code(const char *sqlstate);
