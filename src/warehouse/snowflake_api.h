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

#include "net/retry.h"
#include "warehouse/secrets.h"
#include "warehouse/snowflake_jwt.h"
#include "warehouse/snowflake_result.h"

enum { SNOWFLAKE_KEYS_MAX = 2, SNOWFLAKE_STATEMENTS_MAX = 2000 };

typedef enum SnowflakeAuth { SNOWFLAKE_KEYPAIR, SNOWFLAKE_OAUTH, SNOWFLAKE_PAT } SnowflakeAuth;

typedef struct SnowflakeOptions {
    Str url; // "https://<account>.snowflakecomputing.com"
    Str account, user;
    SnowflakeAuth auth;
    Str private_keys[SNOWFLAKE_KEYS_MAX]; // PEM; the second one while keys are being rotated
    Str passphrase;
    Str token; // OAuth or programmatic access token
    Str database, schema, warehouse, role;
    const WarehouseSecrets *secrets; // asked for the token when it is refused; NULL = nobody is
    Str ca_file;                     // empty = the system's
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

// Runs it and waits for its end. The result lives in `arena`.
bool snowflake_run(SnowflakeApi *api, const SnowflakeStatement *statement, Arena *arena,
                   SnowflakeResult *ret_result, Error *err) MUST_USE;

// The result of statement `index` of a request of several.
bool snowflake_child(SnowflakeApi *api, const SnowflakeResult *result, size_t index, Arena *arena,
                     SnowflakeResult *ret_child, Error *err) MUST_USE;

// All rows of a result, partition by partition.
bool snowflake_rows(SnowflakeApi *api, const SnowflakeResult *result, SnowflakeVisit *visit,
                    void *visitor, Error *err) MUST_USE;
