#include "warehouse/snowflake_api.h"

#include "base/hash.h"
#include "warehouse/snowflake_error.h"

#include <assert.h>
#include <stdlib.h>

// Snowflake takes tokens of an hour; ours are renewed before they end, with room for a clock that
// is a little wrong.
#define JWT_LIFE_US   (INT64_C(55) * 60 * 1000000)
#define JWT_EARLY_US  (INT64_C(5) * 60 * 1000000)
#define POLL_FIRST_US (INT64_C(20) * 1000)
#define POLL_LAST_US  (INT64_C(2) * 1000000)

enum {
    ATTEMPTS = 8,
    SCRATCH_BYTES_MAX = 512 * 1024 * 1024,
    TOKEN_BYTES_MAX = 64 * 1024,
    ROTATED_BYTES_MAX = 1024 * 1024,    // a file with a token, read and looked through
    BODY_BYTES_MAX = 128 * 1024 * 1024, // of one partition
    REQUEST_TIMEOUT_MS = 120 * 1000,    // Snowflake itself answers within 45 s
    CANCEL_TIMEOUT_MS = 5 * 1000,
    URL_BYTES = 600,
};

struct SnowflakeApi {
    const SnowflakeOptions *options;
    Env *env;
    HttpClient *client;
    SnowflakeKey *keys[SNOWFLAKE_KEYS_MAX];
    size_t key_count, key_index;
    Arena *tokens; // the token in use, wiped when it is renewed
    Str token;     // empty = to be made
    int64_t token_until_us;
    Arena *scratch; // of one exchange
    SnowflakeUsage usage;
};

// --- tokens

static bool make_token(SnowflakeApi *api, Error *err)
{
    const SnowflakeOptions *options = api->options;
    const int64_t now_us = api->env->now_us(api->env->state);
    if (options->auth != SNOWFLAKE_KEYPAIR) {
        if (api->token.size == 0)
            api->token = options->token;
        return true;
    }
    if (api->token.size > 0 && now_us < api->token_until_us - JWT_EARLY_US)
        return true;
    arena_wipe(api->tokens);
    api->token = (Str){0};
    api->tokens = arena_new(TOKEN_BYTES_MAX, err);
    TRY(api->tokens != NULL);
    const SnowflakeClaims claims = {.account = options->account,
                                    .user = options->user,
                                    .from_us = now_us,
                                    .life_us = JWT_LIFE_US};
    TRY(snowflake_jwt_make(api->keys[api->key_index], &claims, api->tokens, &api->token, err));
    api->token_until_us = now_us + JWT_LIFE_US;
    return true;
}

// A token that was given is as good as its file: somebody may have put another one there. One that
// cannot be read right now is as the old one.
static bool read_token_again(SnowflakeApi *api)
{
    const WarehouseSecrets *secrets = api->options->secrets;
    Error ignored = {0};
    Str token = {0};
    Arena *arena = secrets == NULL ? NULL : arena_new(ROTATED_BYTES_MAX, &ignored);
    if (arena == NULL || !secrets->read(secrets->state, "token", arena, &token, &ignored) ||
        token.size == 0 || str_equal(token, api->token)) {
        arena_wipe(arena);
        return false;
    }
    arena_wipe(api->tokens);
    api->tokens = arena;
    api->token = token;
    return true;
}

// After a 401. While keys are being rotated the other one may be the one that Snowflake knows.
static bool renew_token(SnowflakeApi *api, size_t *renewals)
{
    if (api->options->auth != SNOWFLAKE_KEYPAIR)
        return (*renewals)++ == 0 && read_token_again(api);
    if (*renewals > api->key_count)
        return false;
    if (*renewals > 0) // the same key with a new token first
        api->key_index = (api->key_index + 1) % api->key_count;
    api->token.size = 0;
    ++*renewals;
    return true;
}

static Str token_kind(const SnowflakeApi *api)
{
    switch (api->options->auth) {
    case SNOWFLAKE_OAUTH:
        return STR("OAUTH");
    case SNOWFLAKE_PAT:
        return STR("PROGRAMMATIC_ACCESS_TOKEN");
    case SNOWFLAKE_KEYPAIR:
        break;
    }
    return STR("KEYPAIR_JWT");
}

// --- one exchange, tried until it is answered

typedef struct Call {
    Str method;
    const char *path;  // behind the URL of the account
    const char *again; // appended to it from the second attempt on
    Str body;
} Call;

// What every request says: who asks, and how the answer is to come.
static bool add_headers(SnowflakeApi *api, HttpRequest *request, Arena *arena, Error *err)
{
    Str bearer = {0};
    return make_token(api, err) &&
           arena_printf(arena, &bearer, err, "Bearer " STR_FMT, STR_ARG(api->token)) &&
           http_request_add_header(request, STR("Authorization"), bearer, err) &&
           http_request_add_header(request, STR("X-Snowflake-Authorization-Token-Type"),
                                   token_kind(api), err) &&
           http_request_add_header(request, STR("Accept"), STR("application/json"), err);
}

static bool send_once(SnowflakeApi *api, const Call *call, int attempt, HttpResponse *ret_response,
                      Error *err)
{
    char url[URL_BYTES];
    const int size = snprintf(url, sizeof(url), STR_FMT "%s%s", STR_ARG(api->options->url),
                              call->path, attempt > 1 ? call->again : "");
    if (size < 0 || (size_t)size >= sizeof(url))
        return error_set(err, ERROR_JOB, "snowflake: the URL is too long");
    arena_reset(api->scratch);
    HttpRequest request = {.method = call->method,
                           .url = str_from(url),
                           .body = call->body,
                           .body_bytes_max = BODY_BYTES_MAX,
                           .timeout_ms = REQUEST_TIMEOUT_MS,
                           .repeatable = attempt > 1}; // "retry=true" says so from then on
    TRY(add_headers(api, &request, api->scratch, err));
    if (call->body.size > 0)
        TRY(http_request_add_header(&request, STR("Content-Type"), STR("application/json"), err));
    api->usage.requests++;
    return http_client_fetch(api->client, &request, api->scratch, ret_response, err);
}

static bool passes(const HttpResponse *response)
{
    return response->status != 408 && retry_is_transient_status(response->status);
}

// Whatever the final answer's status is. It lives in scratch, until the next exchange.
static bool exchange(SnowflakeApi *api, const Call *call, HttpResponse *ret_response, Error *err)
{
    static const RetryPolicy policy = {ATTEMPTS, INT64_C(500) * 1000, 2.0, INT64_C(30) * 1000000};
    size_t renewals = 0;
    for (int attempt = 1;; attempt++) {
        Error failed = {0};
        HttpResponse response = {0};
        const bool answered = send_once(api, call, attempt, &response, &failed);
        if (!answered && failed.code != ERROR_IO) {
            *err = failed;
            return false;
        }
        if (answered && response.status == 401 && renew_token(api, &renewals))
            continue;
        if (answered && !passes(&response)) {
            *ret_response = response;
            return true;
        }
        if (attempt >= ATTEMPTS) {
            if (answered)
                return error_set(err, ERROR_IO, "snowflake: status %d, %d times", response.status,
                                 attempt);
            *err = failed;
            return error_context(err, "snowflake, attempt %d", attempt);
        }
        int64_t wait_us = retry_backoff_us(&policy, attempt, api->env->random(api->env->state));
        int64_t asked_us = 0;
        if (answered && retry_after_us(&response, api->env->now_us(api->env->state), &asked_us) &&
            asked_us > wait_us)
            wait_us = asked_us;
        TRY(env_wait(api->env, wait_us, err));
    }
}

// --- statements

static bool write_member(Buf *out, const char *name, Str value, Error *err)
{
    return value.size == 0 ||
           (buf_printf(out, err, ",\"%s\":", name) && json_write_str(value, out, err));
}

static bool write_body(const SnowflakeApi *api, const SnowflakeStatement *statement, Buf *out,
                       Error *err)
{
    const SnowflakeOptions *options = api->options;
    TRY(buf_append(out, STR("{\"statement\":"), err) && json_write_str(statement->sql, out, err));
    TRY(buf_printf(out, err, ",\"timeout\":%lld",
                   (long long)(options->statement_timeout_us / 1000000)));
    TRY(write_member(out, "database", options->database, err) &&
        write_member(out, "schema", options->schema, err) &&
        write_member(out, "warehouse", options->warehouse, err) &&
        write_member(out, "role", options->role, err));
    // Instants are shown and read in UTC, and cast to text as a whole (the default leaves out the
    // microseconds), keys as digits, and results come whole, whatever the user's own settings are.
    TRY(buf_append(out,
                   STR(",\"parameters\":{\"TIMEZONE\":\"UTC\",\"ROWS_PER_RESULTSET\":\"0\","
                       "\"BINARY_OUTPUT_FORMAT\":\"HEX\",\"DATE_OUTPUT_FORMAT\":\"YYYY-MM-DD\","
                       "\"TIMESTAMP_NTZ_OUTPUT_FORMAT\":\"YYYY-MM-DD HH24:MI:SS.FF6\","
                       "\"TIMESTAMP_LTZ_OUTPUT_FORMAT\":\"YYYY-MM-DD HH24:MI:SS.FF6TZH:TZM\","
                       "\"TIMESTAMP_TZ_OUTPUT_FORMAT\":\"YYYY-MM-DD HH24:MI:SS.FF6TZH:TZM\""),
                   err) &&
        write_member(out, "QUERY_TAG", statement->tag, err));
    // Said for one statement too: an account whose own setting is 0 would run as many as there are.
    TRY(buf_printf(out, err, ",\"MULTI_STATEMENT_COUNT\":\"%zu\"", statement->count));
    return buf_append(out, STR("}}"), err);
}

// Best effort, on a client whose environment does not stop: whoever is stopped says goodbye.
static void cancel(SnowflakeApi *api, Str handle)
{
    Error err = {0};
    Env env;
    env_init_system(&env);
    char url[URL_BYTES];
    const int size = snprintf(url, sizeof(url), STR_FMT "/api/v2/statements/" STR_FMT "/cancel",
                              STR_ARG(api->options->url), STR_ARG(handle));
    HttpClient *client = NULL;
    const HttpOptions options = {.connections = 1, .ca_file = api->options->ca_file};
    if (size < 0 || (size_t)size >= sizeof(url) || !http_client_new(&options, &env, &client, &err))
        return;
    Arena *arena = arena_new(TOKEN_BYTES_MAX, &err);
    HttpRequest request = {
        .method = STR("POST"), .url = str_from(url), .timeout_ms = CANCEL_TIMEOUT_MS};
    HttpResponse response = {0};
    if (arena != NULL && add_headers(api, &request, arena, &err))
        (void)!http_client_fetch(client, &request, arena, &response, &err);
    http_client_free(client);
    arena_wipe(arena); // held the token in a header
}

// Asks for `path` until it is no longer 202.
static bool poll(SnowflakeApi *api, const char *path, HttpResponse *ret_response, Error *err)
{
    const Call call = {.method = STR("GET"), .path = path, .again = ""};
    int64_t wait_us = POLL_FIRST_US;
    for (;;) {
        TRY(env_wait(api->env, wait_us, err));
        TRY(exchange(api, &call, ret_response, err));
        if (ret_response->status != 202)
            return true;
        wait_us = wait_us * 3 / 2 < POLL_LAST_US ? wait_us * 3 / 2 : POLL_LAST_US;
    }
}

static bool handle_of(SnowflakeApi *api, const HttpResponse *response, Arena *arena,
                      Str *ret_handle, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(response->body, "snowflake", api->scratch, &doc, err));
    const Str handle = json_str(json_get(yyjson_doc_get_root(doc), STR("statementHandle")));
    if (handle.size == 0 || handle.size > UUID_TEXT_BYTES)
        return error_set(err, ERROR_DATA, "snowflake: an answer without a statement handle");
    for (size_t i = 0; i < handle.size; i++) {
        const char c = handle.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
              c == '-'))
            return error_set(err, ERROR_DATA, "snowflake: a statement handle that is no UUID");
    }
    return arena_copy_str(arena, handle, ret_handle, err);
}

static void status_path(Str handle, size_t partition, char path[URL_BYTES])
{
    if (partition > 0)
        (void)snprintf(path, URL_BYTES, "/api/v2/statements/" STR_FMT "?partition=%zu",
                       STR_ARG(handle), partition);
    else
        (void)snprintf(path, URL_BYTES, "/api/v2/statements/" STR_FMT, STR_ARG(handle));
}

// Waits for a statement that Snowflake has taken; cancels it where we are stopped.
static bool await_end(SnowflakeApi *api, Str handle, HttpResponse *ret_response, Error *err)
{
    char path[URL_BYTES];
    status_path(handle, 0, path);
    const bool ok = poll(api, path, ret_response, err);
    if (!ok && err->code == ERROR_STOPPED)
        cancel(api, handle);
    return ok;
}

static bool run_statement(SnowflakeApi *api, const SnowflakeStatement *statement, Arena *arena,
                          HttpResponse *ret_response, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    char path[URL_BYTES];
    uuid_new(api->env, id);
    // What may take long is not waited for within the request: its handle comes at once, so that it
    // can be cancelled.
    (void)snprintf(path, sizeof(path), "/api/v2/statements?requestId=%s&async=%s", id,
                   statement->light ? "false" : "true");
    CLEANUP(buf_done) Buf body = {0};
    TRY(write_body(api, statement, &body, err));
    const Call call = {
        .method = STR("POST"), .path = path, .again = "&retry=true", .body = buf_str(&body)};
    TRY(exchange(api, &call, ret_response, err));
    if (ret_response->status == 202) {
        Str handle = {0};
        TRY(handle_of(api, ret_response, arena, &handle, err) &&
            await_end(api, handle, ret_response, err));
    }
    return ret_response->status == 200 ||
           snowflake_tell_failure(api->options->auth, ret_response, api->scratch, err);
}

bool snowflake_run(SnowflakeApi *api, const SnowflakeStatement *statement, Arena *arena,
                   SnowflakeResult *ret_result, Error *err)
{
    assert(statement->count >= 1);
    if (statement->count > SNOWFLAKE_STATEMENTS_MAX)
        return error_set(err, ERROR_LIMIT, "snowflake: %zu statements in one request, %d at most",
                         statement->count, SNOWFLAKE_STATEMENTS_MAX);
    const int64_t started_us = api->env->monotonic_us(api->env->state);
    HttpResponse response = {0};
    const bool ok = run_statement(api, statement, arena, &response, err);
    if (!statement->light) {
        api->usage.statements += (int64_t)statement->count;
        api->usage.warehouse_us += api->env->monotonic_us(api->env->state) - started_us;
    }
    return ok && snowflake_result_read(&response, arena, ret_result, err);
}

// --- results

bool snowflake_child(SnowflakeApi *api, const SnowflakeResult *result, size_t index, Arena *arena,
                     SnowflakeResult *ret_child, Error *err)
{
    if (index >= result->child_count)
        return error_set(err, ERROR_DATA, "snowflake: statement %zu of a request has no handle",
                         index + 1);
    char path[URL_BYTES];
    HttpResponse response = {0};
    status_path(result->children[index], 0, path);
    const Call call = {.method = STR("GET"), .path = path, .again = ""};
    TRY(exchange(api, &call, &response, err));
    if (response.status == 202)
        TRY(poll(api, path, &response, err));
    if (response.status != 200)
        return snowflake_tell_failure(api->options->auth, &response, api->scratch, err);
    return snowflake_result_read(&response, arena, ret_child, err);
}

static bool read_partition(SnowflakeApi *api, const SnowflakeResult *result, size_t partition,
                           Arena *arena, yyjson_val **ret_rows, Error *err)
{
    char path[URL_BYTES];
    HttpResponse response = {0};
    yyjson_doc *doc = NULL;
    status_path(result->handle, partition, path);
    const Call call = {.method = STR("GET"), .path = path, .again = ""};
    TRY(exchange(api, &call, &response, err));
    if (response.status != 200)
        return snowflake_tell_failure(api->options->auth, &response, api->scratch, err);
    TRY(json_parse(response.body, "snowflake", arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    *ret_rows = yyjson_is_arr(root) ? root : json_get(root, STR("data"));
    return yyjson_is_arr(*ret_rows) ||
           error_set(err, ERROR_DATA, "snowflake: partition %zu holds no rows", partition);
}

bool snowflake_rows(SnowflakeApi *api, const SnowflakeResult *result, SnowflakeVisit *visit,
                    void *visitor, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(arena != NULL);
    Str *cells = arena_alloc_array(arena, result->column_count + 1, sizeof(*cells), err);
    TRY(cells != NULL);
    CLEANUP(arena_freep) Arena *page = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(page != NULL);
    bool more = true;
    yyjson_val *rows = result->rows;
    for (size_t i = 0; i < result->partition_count && more; i++) {
        arena_reset(page);
        if (i > 0)
            TRY(read_partition(api, result, i, page, &rows, err));
        TRY(snowflake_result_visit(rows, result, cells, visit, visitor, &more, err));
    }
    return true;
}

// --- the api

static bool open_keys(SnowflakeApi *api, Error *err)
{
    const SnowflakeOptions *options = api->options;
    if (options->auth != SNOWFLAKE_KEYPAIR)
        return options->token.size > 0 ||
               error_set(err, ERROR_JOB, "snowflake: this auth needs a token");
    for (size_t i = 0; i < SNOWFLAKE_KEYS_MAX; i++) {
        if (options->private_keys[i].size == 0)
            continue;
        TRY(snowflake_key_new(options->private_keys[i], options->passphrase,
                              &api->keys[api->key_count], err));
        api->key_count++;
    }
    return api->key_count > 0 ||
           error_set(err, ERROR_JOB, "snowflake: auth keypair needs a private_key");
}

static bool open_api(SnowflakeApi *api, Error *err)
{
    TRY(open_keys(api, err));
    api->tokens = arena_new(TOKEN_BYTES_MAX, err);
    TRY(api->tokens != NULL);
    api->scratch = arena_new(SCRATCH_BYTES_MAX, err);
    TRY(api->scratch != NULL);
    const HttpOptions options = {.connections = 2, .ca_file = api->options->ca_file};
    return http_client_new(&options, api->env, &api->client, err);
}

bool snowflake_api_new(const SnowflakeOptions *options, Env *env, SnowflakeApi **ret_api,
                       Error *err)
{
    // calloc: it owns a client and keys, and outlives the arenas of single calls.
    SnowflakeApi *api = calloc(1, sizeof(*api));
    if (api == NULL)
        return error_set(err, ERROR_LIMIT, "snowflake: out of memory");
    api->options = options;
    api->env = env;
    if (!open_api(api, err)) {
        snowflake_api_free(api);
        return false;
    }
    *ret_api = api;
    return true;
}

void snowflake_api_free(SnowflakeApi *api)
{
    if (api == NULL)
        return;
    http_client_free(api->client);
    for (size_t i = 0; i < api->key_count; i++)
        snowflake_key_free(api->keys[i]);
    arena_wipe(api->tokens);
    arena_wipe(api->scratch); // held the token in a header
    free(api);
}

SnowflakeUsage snowflake_usage(const SnowflakeApi *api)
{
    return api->usage;
}
