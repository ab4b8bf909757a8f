// SnowflakeApi: Snowflake's SQL API v2: statements sent, waited for, cancelled; results read.
//
// A statement has a request id: after an answer that was lost it is sent again under the same id,
// and Snowflake gives the first one's result instead of running it twice. Everything else that may
// pass (429, 5xx, a token that ended) is tried again with jitter. What the SQL itself did wrong is
// ERROR_JOB (it does not fit the tables), ERROR_ACCESS (a right or an object is missing),
// ERROR_DATA (values, a MERGE that is not deterministic), ERROR_BUSY (a lock), with Snowflake's own
// words.
//
// An api belongs to one thread at a time. env->stop cancels the statement that is under way.
#pragma once

#include "base/json.h"
#include "net/retry.h"
#include "warehouse/snowflake_jwt.h"

enum { SNOWFLAKE_KEYS_MAX = 2, SNOWFLAKE_COLUMNS_MAX = 1100, SNOWFLAKE_STATEMENTS_MAX = 2000 };

typedef enum SnowflakeAuth { SNOWFLAKE_KEYPAIR, SNOWFLAKE_OAUTH, SNOWFLAKE_PAT } SnowflakeAuth;

typedef struct SnowflakeOptions {
    Str url; // "https://<account>.snowflakecomputing.com"
    Str account, user;
    SnowflakeAuth auth;
    Str private_keys[SNOWFLAKE_KEYS_MAX]; // PEM; the second one while keys are being rotated
    Str passphrase;
    Str token; // OAuth or programmatic access token
    Str database, schema, warehouse, role;
    Str ca_file; // empty = the system's
    int64_t statement_timeout_us;
} SnowflakeOptions;

typedef struct SnowflakeApi SnowflakeApi;

// `options` must outlive the api.
bool snowflake_api_new(const SnowflakeOptions *options, Env *env, SnowflakeApi **ret_api,
                       Error *err) MUST_USE;
void snowflake_api_free(SnowflakeApi *api); // NULL is fine

// What the statements have cost so far, as seen from here.
typedef struct SnowflakeUsage {
    int64_t statements;   // those that keep a warehouse awake
    int64_t warehouse_us; // how long they ran
    int64_t requests;
} SnowflakeUsage;
SnowflakeUsage snowflake_usage(const SnowflakeApi *api);

typedef struct SnowflakeStatement {
    Str sql;
    size_t count; // statements in it, parted by ';'
    bool light;   // needs no warehouse: DDL, SHOW
    Str tag;      // QUERY_TAG
} SnowflakeStatement;

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

// Runs it and waits for its end. The result lives in `arena`.
bool snowflake_run(SnowflakeApi *api, const SnowflakeStatement *statement, Arena *arena,
                   SnowflakeResult *ret_result, Error *err) MUST_USE;

// The result of statement `index` of a request of several.
bool snowflake_child(SnowflakeApi *api, const SnowflakeResult *result, size_t index, Arena *arena,
                     SnowflakeResult *ret_child, Error *err) MUST_USE;

// Rows of a result, partition by partition; cells as Snowflake writes them, {NULL, 0} = NULL.
// `visit` ends it by returning false, with `err` set when that is a failure.
typedef bool SnowflakeVisit(void *visitor, const Str *cells, size_t count, Error *err);
bool snowflake_rows(SnowflakeApi *api, const SnowflakeResult *result, SnowflakeVisit *visit,
                    void *visitor, Error *err) MUST_USE;

// Rows that a DML statement inserted, updated and deleted, together.
bool snowflake_changed(const SnowflakeResult *result, int64_t *ret_rows, Error *err) MUST_USE;

// A cell of SNOWFLAKE_TIMESTAMP as microseconds.
bool snowflake_time_us(Str cell, int64_t *ret_us);
