// SnowflakeResult: what a statement gave: columns, and rows in partitions, the first of which comes
// along.
#pragma once

#include "base/json.h"
#include "net/http.h"

enum { SNOWFLAKE_COLUMNS_MAX = 1100 };

typedef enum SnowflakeType {
    SNOWFLAKE_TEXT, // and what has no line of its own: as Snowflake writes it
    SNOWFLAKE_FIXED,
    SNOWFLAKE_REAL,
    SNOWFLAKE_BOOLEAN,
    SNOWFLAKE_DATE,      // days since 1970
    SNOWFLAKE_TIMESTAMP, // seconds since 1970 with a fraction; of _TZ the offset's minutes behind
    SNOWFLAKE_BINARY,    // hexadecimal
} SnowflakeType;

typedef struct SnowflakeColumn {
    Str name;
    SnowflakeType type;
} SnowflakeColumn;

typedef struct SnowflakeResult {
    Str handle;
    const SnowflakeColumn *columns;
    size_t column_count;
    size_t partition_count;
    yyjson_val *rows;    // of partition 0
    const Str *children; // handles of the statements of a request of several, in order
    size_t child_count;
} SnowflakeResult;

// Of the answer to a statement that has ended. It lives in `arena`.
bool snowflake_result_read(const HttpResponse *response, Arena *arena, SnowflakeResult *ret_result,
                           Error *err) MUST_USE;

// A row: cells as Snowflake writes them, {NULL, 0} = NULL. Ends it by returning false, with `err`
// set when that is a failure.
typedef bool SnowflakeVisit(void *visitor, const Str *cells, size_t count, Error *err);

// The rows of one partition. `cells` has room for a row; *ret_more = false: the visitor has seen
// enough.
bool snowflake_result_visit(yyjson_val *rows, const SnowflakeResult *result, Str *cells,
                            SnowflakeVisit *visit, void *visitor, bool *ret_more,
                            Error *err) MUST_USE;

// The cell of a row in the column of that name, as SHOW names them; {NULL, 0} where there is none.
Str snowflake_cell(const SnowflakeResult *result, const Str *cells, const char *name);

// Rows that a DML statement inserted, updated and deleted, together.
bool snowflake_changed(const SnowflakeResult *result, int64_t *ret_rows, Error *err) MUST_USE;

// A cell of SNOWFLAKE_TIMESTAMP as microseconds.
bool snowflake_time_us(Str cell, int64_t *ret_us);
