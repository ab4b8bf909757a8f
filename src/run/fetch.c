#include "run/fetch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { IDLE_MS = 50, TOKEN_ARENA_BYTES = 1024 * 1024, CREDENTIALS_MAX = 256 };

// What the requesters of one or more streams authenticate with.
typedef struct Credential {
    size_t id; // stream_auth_id()
    Auth *auth;
    bool token_under_way;
    Arena *token_arena;
    HttpRequest token_request;
} Credential;

// A task that waits for its time, for a token or for the rate budget.
typedef struct Waiting {
    SliceTask *task;
    int64_t due_us; // monotonic
} Waiting;

struct Fetch {
    FetchOptions options;
    HttpClient *client;
    RateLimit rate;
    RatePriority priority;
    Credential credentials[CREDENTIALS_MAX];
    size_t credential_count;
    Waiting *waiting;
    size_t waiting_count, waiting_max;
    Queue *incoming;
    Queue *answered;
    pthread_t thread;
    bool runs;
};

static int64_t monotonic_us(const Fetch *fetch)
{
    return fetch->options.env->monotonic_us(fetch->options.env->state);
}

bool fetch_open(const FetchOptions *options, Fetch **ret_fetch, Error *err)
{
    Fetch *fetch = arena_alloc(options->arena, sizeof(*fetch), err);
    TRY(fetch != NULL);
    const Job *job = options->job;
    fetch->options = *options;
    fetch->priority = (RatePriority)job->modes[options->mode].priority;
    rate_init(&fetch->rate, job->limits.requests_per_second, job->limits.burst,
              monotonic_us(fetch));
    const HttpOptions http = {.connections = (size_t)job->limits.connections,
                              .timeout_ms = job->limits.timeout_us / 1000,
                              .allow_http = job->allow_http,
                              .connect_to = options->connect_to,
                              .ca_file = job->ca_file,
                              .memory_bytes_max = job->limits.memory_bytes / 4};
    TRY(http_client_new(&http, options->env, &fetch->client, err));
    *ret_fetch = fetch;
    return true;
}

void fetch_stop(Fetch *fetch)
{
    if (fetch == NULL || !fetch->runs)
        return;
    queue_close(fetch->incoming);
    http_client_wake(fetch->client);
    (void)pthread_join(fetch->thread, NULL);
    fetch->runs = false;
}

void fetch_close(Fetch *fetch)
{
    if (fetch == NULL)
        return;
    fetch_stop(fetch);
    for (SliceTask *task;
         fetch->incoming != NULL && (task = queue_take(fetch->incoming, 0)) != NULL;)
        slice_free(task);
    for (size_t i = 0; i < fetch->waiting_count; i++)
        slice_free(fetch->waiting[i].task);
    queue_free(fetch->incoming);
    http_client_free(fetch->client);
    for (size_t i = 0; i < fetch->credential_count; i++) {
        auth_free(fetch->credentials[i].auth);
        arena_wipe(fetch->credentials[i].token_arena);
    }
}

void fetch_closep(Fetch **fetch)
{
    fetch_close(*fetch);
}

// --- credentials

static bool find_credential(Fetch *fetch, const Stream *stream, Credential **ret, Error *err)
{
    for (size_t i = 0; i < fetch->credential_count; i++) {
        if (fetch->credentials[i].id == stream_auth_id(stream)) {
            *ret = &fetch->credentials[i];
            return true;
        }
    }
    if (fetch->credential_count == CREDENTIALS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d authenticators", CREDENTIALS_MAX);
    Credential *credential = &fetch->credentials[fetch->credential_count];
    *credential = (Credential){.id = stream_auth_id(stream)};
    TRY(connector_auth(fetch->options.connector, stream, fetch->options.arena, &credential->auth,
                       err));
    credential->token_arena = arena_new(TOKEN_ARENA_BYTES, err);
    if (credential->token_arena == NULL) {
        auth_free(credential->auth);
        return false;
    }
    fetch->credential_count++;
    *ret = credential;
    return true;
}

// --- sending

typedef enum Sent { SENT, SENT_LATER, SENT_NEVER } Sent;

static Sent wait_for_token(Fetch *fetch, Credential *owner, Error *err)
{
    owner->token_request.timeout_ms = fetch->options.job->limits.timeout_us / 1000;
    if (!http_client_send(fetch->client, &owner->token_request, owner, err))
        return err->code == ERROR_BUSY ? SENT_LATER : SENT_NEVER;
    owner->token_under_way = true;
    return SENT_LATER;
}

// Sends the request of a task if budget, token and connections allow; otherwise says when to try
// again.
static Sent try_send(Fetch *fetch, SliceTask *task, int64_t *ret_wait_us, Error *err)
{
    Credential *credential = NULL;
    *ret_wait_us = IDLE_MS * 1000;
    if (!find_credential(fetch, task->stream->stream, &credential, err))
        return SENT_NEVER;
    if (credential->token_under_way)
        return SENT_LATER;
    if (http_client_under_way(fetch->client) >= (size_t)fetch->options.job->limits.connections)
        return SENT_LATER;
    if (!task->authorized) {
        AuthStep step = AUTH_READY;
        arena_reset(credential->token_arena);
        credential->token_request = (HttpRequest){0};
        // The credential goes onto a copy, so that a retry starts from the bare request.
        task->sent = task->request;
        if (!auth_apply(credential->auth, &task->sent, slice_request_arena(task),
                        &credential->token_request, &step, err))
            return SENT_NEVER;
        if (step == AUTH_NEED_TOKEN)
            return wait_for_token(fetch, credential, err);
        task->authorized = true;
    }
    if (!rate_take(&fetch->rate, fetch->priority, monotonic_us(fetch), &task->ticket, ret_wait_us))
        return SENT_LATER;
    if (http_client_send(fetch->client, &task->sent, task, err))
        return SENT;
    return err->code == ERROR_BUSY ? SENT_LATER : SENT_NEVER;
}

static void answer_error(Fetch *fetch, SliceTask *task, const Error *why)
{
    task->unanswered = *why;
    if (!queue_put(fetch->answered, task))
        slice_free(task);
}

static void send_due(Fetch *fetch, int64_t *ret_wait_us)
{
    const int64_t now_us = monotonic_us(fetch);
    size_t kept = 0;
    *ret_wait_us = IDLE_MS * 1000;
    for (size_t i = 0; i < fetch->waiting_count; i++) {
        Waiting waiting = fetch->waiting[i];
        int64_t wait_us = waiting.due_us - now_us;
        Error err = {0};
        Sent sent = SENT_LATER;
        if (wait_us <= 0)
            sent = try_send(fetch, waiting.task, &wait_us, &err);
        if (sent == SENT_NEVER)
            answer_error(fetch, waiting.task, &err);
        if (sent != SENT_LATER)
            continue;
        fetch->waiting[kept++] = waiting;
        *ret_wait_us = wait_us < *ret_wait_us ? wait_us : *ret_wait_us;
    }
    fetch->waiting_count = kept;
}

// --- receiving

static void take_token(Fetch *fetch, Credential *owner, HttpExchange *exchange)
{
    owner->token_under_way = false;
    Error err = exchange->err;
    if (err.code == ERROR_NONE && auth_answer(owner->auth, &exchange->response, &err))
        return;
    // Everybody who waits for this token learns why there is none; each tries again by the job's
    // own rule.
    (void)error_context(&err, "token request");
    size_t kept = 0;
    for (size_t i = 0; i < fetch->waiting_count; i++) {
        SliceTask *task = fetch->waiting[i].task;
        Credential *credential = NULL;
        Error ignored = {0};
        if (find_credential(fetch, task->stream->stream, &credential, &ignored) &&
            credential == owner && fetch->waiting[i].due_us <= monotonic_us(fetch))
            answer_error(fetch, task, &err);
        else
            fetch->waiting[kept++] = fetch->waiting[i];
    }
    fetch->waiting_count = kept;
}

// A 401 may only mean that the token ran out: once per request a fresh one is tried.
static bool try_fresh_token(Fetch *fetch, SliceTask *task, const HttpExchange *exchange)
{
    Credential *credential = NULL;
    Error ignored = {0};
    if (exchange->response.status != 401 || task->reauthorized ||
        !find_credential(fetch, task->stream->stream, &credential, &ignored))
        return false;
    auth_expire(credential->auth);
    task->reauthorized = true;
    task->authorized = false;
    fetch->waiting[fetch->waiting_count++] = (Waiting){task, 0};
    return true;
}

static bool is_token(Fetch *fetch, const void *tag)
{
    const char *first = (const char *)fetch->credentials;
    const char *last = (const char *)(fetch->credentials + CREDENTIALS_MAX);
    return (const char *)tag >= first && (const char *)tag < last;
}

static void take_exchange(Fetch *fetch, HttpExchange *exchange)
{
    if (is_token(fetch, exchange->tag)) {
        take_token(fetch, exchange->tag, exchange);
        http_exchange_free(exchange);
        return;
    }
    SliceTask *task = exchange->tag;
    if (exchange->err.code == ERROR_NONE && try_fresh_token(fetch, task, exchange)) {
        http_exchange_free(exchange);
        return;
    }
    if (exchange->err.code == ERROR_NONE && exchange->response.status < 400)
        rate_accepted(&fetch->rate, task->ticket, monotonic_us(fetch));
    task->exchange = exchange;
    if (!queue_put(fetch->answered, task))
        slice_free(task);
}

// --- the thread

static void take_incoming(Fetch *fetch)
{
    for (SliceTask *task; fetch->waiting_count < fetch->waiting_max &&
                          (task = queue_take(fetch->incoming, 0)) != NULL;) {
        if (task->limited)
            rate_refused(&fetch->rate, task->ticket, task->wait_us, monotonic_us(fetch));
        task->authorized = false;
        task->reauthorized = false;
        fetch->waiting[fetch->waiting_count++] =
            (Waiting){task, monotonic_us(fetch) + task->wait_us};
    }
}

static void *fetch_main(void *state)
{
    Fetch *fetch = state;
    Error err = {0};
    while (!atomic_load(&fetch->options.env->stop) && !queue_is_closed(fetch->incoming)) {
        int64_t wait_us = 0;
        take_incoming(fetch);
        send_due(fetch, &wait_us);
        HttpExchange *exchange = NULL;
        if (!http_client_wait(fetch->client, (int)(wait_us / 1000) + 1, &exchange, &err))
            break;
        while (exchange != NULL) {
            take_exchange(fetch, exchange);
            exchange = NULL;
            if (!http_client_wait(fetch->client, 0, &exchange, &err))
                break;
        }
    }
    return NULL;
}

bool fetch_start(Fetch *fetch, Queue *answered, size_t tasks_max, Error *err)
{
    fetch->answered = answered;
    fetch->waiting_max = tasks_max;
    fetch->waiting =
        arena_alloc_array(fetch->options.arena, tasks_max * 2, sizeof(*fetch->waiting), err);
    TRY(fetch->waiting != NULL);
    fetch->incoming = queue_new(tasks_max, err);
    TRY(fetch->incoming != NULL);
    fetch->runs = pthread_create(&fetch->thread, NULL, fetch_main, fetch) == 0;
    return fetch->runs || error_set(err, ERROR_LIMIT, "cannot start a thread");
}

bool fetch_put(Fetch *fetch, SliceTask *task)
{
    if (!queue_put(fetch->incoming, task))
        return false;
    http_client_wake(fetch->client);
    return true;
}

// --- single questions

static bool authorize_now(Fetch *fetch, Credential *credential, HttpRequest *request, Arena *arena,
                          Error *err)
{
    for (int round = 0; round < 2; round++) {
        HttpRequest token = {0};
        AuthStep step = AUTH_READY;
        HttpRequest bare = *request;
        TRY(auth_apply(credential->auth, &bare, arena, &token, &step, err));
        if (step == AUTH_READY) {
            *request = bare;
            return true;
        }
        HttpResponse response = {0};
        if (!http_client_fetch(fetch->client, &token, arena, &response, err) ||
            !auth_answer(credential->auth, &response, err))
            return error_context(err, "token request");
    }
    return error_set(err, ERROR_ACCESS, "the token that was just got is not accepted");
}

static bool exchange_once(Fetch *fetch, const HttpRequest *request, HttpExchange **ret_exchange,
                          Error *err)
{
    RateTicket ticket = {0};
    for (int64_t wait_us = 0;
         !rate_take(&fetch->rate, fetch->priority, monotonic_us(fetch), &ticket, &wait_us);)
        TRY(env_wait(fetch->options.env, wait_us, err));
    TRY(http_client_send(fetch->client, request, fetch, err));
    HttpExchange *exchange = NULL;
    while (exchange == NULL)
        TRY(http_client_wait(fetch->client, IDLE_MS, &exchange, err));
    if (exchange->err.code == ERROR_NONE) {
        *ret_exchange = exchange;
        return true;
    }
    *err = exchange->err;
    http_exchange_free(exchange);
    return false;
}

bool fetch_exchange(Fetch *fetch, const Stream *stream, const HttpRequest *request,
                    HttpExchange **ret_exchange, Error *err)
{
    assert(!fetch->runs);

    const RetryPolicy *policy = &fetch->options.job->retry;
    Credential *credential = NULL;
    TRY(find_credential(fetch, stream, &credential, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(TOKEN_ARENA_BYTES, err);
    TRY(arena != NULL);
    bool reauthorized = false;
    for (int64_t attempt = 1;; attempt++) {
        HttpRequest sent = *request;
        sent.timeout_ms = fetch->options.job->limits.timeout_us / 1000;
        bool ok = authorize_now(fetch, credential, &sent, arena, err) &&
                  exchange_once(fetch, &sent, ret_exchange, err);
        if (ok && (*ret_exchange)->response.status == 401 && !reauthorized) {
            auth_expire(credential->auth);
            reauthorized = true;
            http_exchange_free(*ret_exchange);
            continue;
        }
        if (ok)
            return true;
        if (err->code != ERROR_IO || attempt >= policy->attempts ||
            !retry_is_safe_method(request->method))
            return false;
        *err = (Error){0};
        Env *env = fetch->options.env;
        TRY(env_wait(env, retry_backoff_us(policy, attempt, env->random(env->state)), err));
    }
}
