#include "net/fetcher.h"

#include "base/fault.h"
#include "base/queue.h"
#include "net/url.h"

#include <assert.h>

enum {
    FETCHER_BYTES_MAX = 4 * 1024 * 1024, // itself and its lanes
    ATTEMPT_BYTES_MAX = 256 * 1024,      // a credential's header, a token request
    RUN_STEP_MS = 1000,
};

struct FetchLane {
    FetchAuth auth;
    RateLimit rate;
    RetryPolicy token_retry;
    FetchCounts counts;
    uint64_t generation; // of the token: grows when one is given up and when one comes
    bool token_under_way;
    Arena *token_arena;
    HttpRequest token_request;
    RateTicket token_ticket;
    uint32_t token_tries;
    uint64_t dry_pass;    // the pass over the waiting that found its budget empty
    int64_t token_due_us; // a failed token request is repeated then
    bool token_again;
};

struct Fetcher {
    HttpClient *client;
    Env *env;
    Arena *arena;
    Queue *inbox;
    FetchTask *waiting[2]; // by priority, each a list in the order of arrival
    FetchTask *waiting_last[2];
    FetchTask *under_way; // list of those whose request is out
    size_t pending;
    uint64_t pass;
    FetchLane *lanes[FETCH_LANES_MAX];
    size_t lane_count;
    atomic_bool cancelled; // some task was
};

static int64_t monotonic_us(const Fetcher *fetcher)
{
    return fetcher->env->monotonic_us(fetcher->env->state);
}

// --- lists ---

static void append_waiting(Fetcher *fetcher, FetchTask *task)
{
    FetchTask **last = &fetcher->waiting_last[task->priority];
    task->next = NULL;
    task->before = *last;
    if (*last == NULL)
        fetcher->waiting[task->priority] = task;
    else
        (*last)->next = task;
    *last = task;
    task->waiting = true;
}

// In front: what was sent already is older than all that wait.
static void return_waiting(Fetcher *fetcher, FetchTask *task)
{
    FetchTask **first = &fetcher->waiting[task->priority];
    task->before = NULL;
    task->next = *first;
    if (*first == NULL)
        fetcher->waiting_last[task->priority] = task;
    else
        (*first)->before = task;
    *first = task;
    task->waiting = true;
}

static void remove_waiting(Fetcher *fetcher, FetchTask *task)
{
    assert(task->waiting);
    if (task->before == NULL)
        fetcher->waiting[task->priority] = task->next;
    else
        task->before->next = task->next;
    if (task->next == NULL)
        fetcher->waiting_last[task->priority] = task->before;
    else
        task->next->before = task->before;
    task->waiting = false;
}

static void add_under_way(Fetcher *fetcher, FetchTask *task)
{
    task->before = NULL;
    task->next = fetcher->under_way;
    if (task->next != NULL)
        task->next->before = task;
    fetcher->under_way = task;
}

static void remove_under_way(Fetcher *fetcher, FetchTask *task)
{
    if (task->before == NULL)
        fetcher->under_way = task->next;
    else
        task->before->next = task->next;
    if (task->next != NULL)
        task->next->before = task->before;
}

// --- the end of a task ---

static void forget_credential(FetchTask *task)
{
    arena_wipe(task->arena);
    task->arena = NULL;
    task->sent.header_count = 0;
}

// On no list any more. `exchange` is NULL when task->err says why.
static void finish(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange)
{
    assert((exchange == NULL) == (task->err.code != ERROR_NONE));
    forget_credential(task);
    arena_free(task->hops);
    task->hops = NULL;
    task->exchange = exchange;
    if (exchange != NULL) {
        exchange->request = &task->request; // not the one with the credential
        exchange->tag = task->tag;
    }
    task->lane->counts.requests++;
    task->finished = true;
    fetcher->pending--;
    if (task->done != NULL)
        task->done(task);
}

static void fail_waiting(Fetcher *fetcher, FetchTask *task, const Error *why)
{
    remove_waiting(fetcher, task);
    task->err = *why;
    finish(fetcher, task, NULL);
}

// --- sending ---

// What goes along to another origin: nothing that says who we are. Any header of a manifest may
// hold a key, so only those that never do are kept.
static void strip_headers(HttpRequest *request)
{
    size_t kept = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        const HttpHeader header = request->headers[i];
        if (str_equal_ignoring_case(header.name, STR("Accept")) ||
            str_equal_ignoring_case(header.name, STR("Accept-Encoding")) ||
            str_equal_ignoring_case(header.name, STR("Accept-Language")))
            request->headers[kept++] = header;
    }
    request->header_count = kept;
}

static bool send_token_request(Fetcher *fetcher, FetchLane *lane, RateTicket ticket, Error *err)
{
    TRY(http_client_send(fetcher->client, &lane->token_request, lane, err));
    lane->token_under_way = true;
    lane->token_again = false;
    lane->token_ticket = ticket;
    lane->token_tries++;
    lane->counts.tokens++;
    lane->counts.attempts++;
    return true;
}

static void forget_token_request(FetchLane *lane)
{
    arena_wipe(lane->token_arena);
    lane->token_arena = NULL;
    lane->token_again = false;
    lane->token_tries = 0;
}

// Dresses the task for its next attempt. *ret_ready = false: a token has to be got first.
static bool authorize(Fetcher *fetcher, FetchTask *task, RateTicket ticket, bool *ret_ready,
                      Error *err)
{
    FetchLane *lane = task->lane;
    task->sent = task->request;
    task->sent.url = task->url;
    *ret_ready = true;
    if (task->foreign)
        strip_headers(&task->sent);
    if (task->foreign || lane->auth.apply == NULL)
        return true;
    FetchAuthStep step = FETCH_AUTH_READY;
    task->arena = arena_new(ATTEMPT_BYTES_MAX, err);
    TRY(task->arena != NULL);
    HttpRequest token_request = {0};
    TRY(lane->auth.apply(lane->auth.state, &task->sent, task->arena, &token_request, &step, err));
    task->generation = lane->generation;
    if (step == FETCH_AUTH_READY)
        return true;
    *ret_ready = false;
    forget_token_request(lane);
    lane->token_request = token_request;
    lane->token_arena = task->arena; // its strings live there
    task->arena = NULL;
    if (send_token_request(fetcher, lane, ticket, err))
        return true;
    forget_token_request(lane);
    return error_context(err, "token");
}

static void count_rate_wait(FetchTask *task, int64_t now_us)
{
    task->rate_wait_us += now_us - task->wished_us;
    task->lane->counts.rate_wait_us += now_us - task->wished_us;
    task->wished_us = 0;
}

// Sends one that is due and has its token of the rate budget.
static bool dispatch(Fetcher *fetcher, FetchTask *task, RateTicket ticket, Error *err)
{
    bool ready = false;
    TRY(authorize(fetcher, task, ticket, &ready, err));
    if (!ready)
        return true; // it goes on waiting, now for the lane's token
    TRY(http_client_send(fetcher->client, &task->sent, task, err));
    remove_waiting(fetcher, task);
    add_under_way(fetcher, task);
    task->ticket = ticket;
    task->attempts++;
    task->lane->counts.attempts++;
    return true;
}

static void least(int64_t *value, int64_t other)
{
    if (other < *value)
        *value = other;
}

// Takes a token from the lane's budget, or learns how long to wait. A wait beyond all patience
// ends the task.
static bool take_token(Fetcher *fetcher, FetchTask *task, int64_t now_us, RateTicket *ret_ticket,
                       int64_t *wait_us)
{
    int64_t rate_wait_us = 0;
    if (rate_take(&task->lane->rate, task->priority, now_us, ret_ticket, &rate_wait_us)) {
        count_rate_wait(task, now_us);
        return true;
    }
    task->lane->dry_pass = fetcher->pass; // nor is there one for those behind
    least(wait_us, rate_wait_us);
    if (rate_wait_us <= FETCH_WAIT_US_MAX)
        return false;
    Error err = {0};
    error_set(&err, ERROR_BUSY, "the far side asks to wait %lld minutes",
              (long long)(rate_wait_us / 60000000));
    err.retry_after_ms =
        rate_wait_us / 1000 < INT32_MAX ? (int32_t)(rate_wait_us / 1000) : INT32_MAX;
    fail_waiting(fetcher, task, &err);
    return false;
}

// Looks at one that waits. *ret_full: no connection is free, so it is no use to look at others.
static void consider(Fetcher *fetcher, FetchTask *task, int64_t now_us, int64_t *wait_us,
                     bool *ret_full)
{
    FetchLane *lane = task->lane;
    if (task->due_us > now_us) {
        least(wait_us, task->due_us - now_us);
        return;
    }
    if (lane->token_under_way || lane->token_again)
        return;
    if (!http_client_has_room(fetcher->client)) {
        *ret_full = true;
        return;
    }
    if (task->wished_us == 0)
        task->wished_us = now_us;
    RateTicket ticket = {0};
    if (lane->dry_pass == fetcher->pass || !take_token(fetcher, task, now_us, &ticket, wait_us))
        return;
    Error err = {0};
    if (!dispatch(fetcher, task, ticket, &err)) {
        forget_credential(task);
        fail_waiting(fetcher, task, &err);
    }
}

static void fail_lane(Fetcher *fetcher, const FetchLane *lane, const Error *why);

// A token request that is to be repeated, once its time has come.
static void repeat_token(Fetcher *fetcher, FetchLane *lane, int64_t now_us, int64_t *wait_us)
{
    int64_t rate_wait_us = 0;
    RateTicket ticket = {0};
    if (!lane->token_again)
        return;
    if (lane->token_due_us > now_us) {
        least(wait_us, lane->token_due_us - now_us);
        return;
    }
    if (!http_client_has_room(fetcher->client))
        return;
    if (!rate_take(&lane->rate, RATE_HIGH, now_us, &ticket, &rate_wait_us)) {
        least(wait_us, rate_wait_us);
        return;
    }
    Error err = {0};
    if (send_token_request(fetcher, lane, ticket, &err))
        return;
    forget_token_request(lane);
    fail_lane(fetcher, lane, &err);
}

// Sends all that may be sent now; *wait_us shrinks to the time until more may.
static void send_waiting(Fetcher *fetcher, int64_t *wait_us)
{
    const int64_t now_us = monotonic_us(fetcher);
    fetcher->pass++;
    for (size_t i = 0; i < fetcher->lane_count; i++)
        repeat_token(fetcher, fetcher->lanes[i], now_us, wait_us);
    bool full = false;
    for (int priority = RATE_HIGH; priority >= RATE_LOW && !full; priority--) {
        for (FetchTask *task = fetcher->waiting[priority], *next = NULL; task != NULL && !full;
             task = next) {
            next = task->next; // consider() may take this one off the list, and no other
            consider(fetcher, task, now_us, wait_us, &full);
        }
    }
}

// --- answers ---

static void repeat_at(Fetcher *fetcher, FetchTask *task, int64_t wait_us)
{
    forget_credential(task);
    task->due_us = monotonic_us(fetcher) + wait_us;
    task->retry_wait_us += wait_us;
    task->lane->counts.retry_wait_us += wait_us;
    return_waiting(fetcher, task);
}

static bool has_tries(const FetchTask *task)
{
    return task->retry != NULL && task->tries < (uint64_t)task->retry->attempts;
}

static bool is_harmless(const FetchTask *task)
{
    return task->request.repeatable || retry_is_safe_method(task->request.method);
}

static int64_t backoff_us(const Fetcher *fetcher, const RetryPolicy *policy, uint32_t tries)
{
    return retry_backoff_us(policy, tries > 0 ? tries : 1,
                            fetcher->env->random(fetcher->env->state));
}

// No answer came. True when the task was sent back to wait.
static bool retry_error(Fetcher *fetcher, FetchTask *task, const HttpExchange *exchange)
{
    task->tries++;
    if (exchange->err.code != ERROR_IO || !has_tries(task) ||
        (exchange->maybe_acted && !is_harmless(task)))
        return false;
    repeat_at(fetcher, task, backoff_us(fetcher, task->retry, task->tries));
    return true;
}

// A 401 for a token that looked good: get a new one, once. When the token has changed since the
// request was sent, the new one has not been tried yet.
static bool retry_unauthorized(Fetcher *fetcher, FetchTask *task)
{
    FetchLane *lane = task->lane;
    if (task->renewed || task->foreign || lane->auth.expire == NULL)
        return false;
    task->renewed = true;
    if (task->generation == lane->generation) {
        lane->auth.expire(lane->auth.state);
        lane->generation++;
    }
    repeat_at(fetcher, task, 0);
    return true;
}

// 429 and the like, when the submitter leaves them to us.
static bool retry_answer(Fetcher *fetcher, FetchTask *task, const HttpResponse *response)
{
    const bool refused = response->status == 429;
    int64_t wait_us = 0;
    int64_t asked_us = 0;
    if (!task->retry_answers || task->retry == NULL)
        return false;
    if (refused) {
        // The budget says when; waiting for one's turn is no failed attempt.
        if (task->retry->attempts <= 1 || ++task->refusals > FETCH_REFUSALS_MAX)
            return false;
    } else {
        task->tries++;
        if (!has_tries(task) || !is_harmless(task))
            return false;
        wait_us = backoff_us(fetcher, task->retry, task->tries);
    }
    const int64_t now_us = fetcher->env->now_us(fetcher->env->state);
    if (retry_after_us(response, now_us, &asked_us) && asked_us > wait_us)
        wait_us = asked_us;
    if (wait_us > FETCH_WAIT_US_MAX)
        return false;
    repeat_at(fetcher, task, wait_us);
    return true;
}

static bool is_redirect(const FetchTask *task, const HttpResponse *response)
{
    const int status = response->status;
    return task->redirects_max > 0 &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           (str_equal(task->request.method, STR("GET")) ||
            str_equal(task->request.method, STR("HEAD"))) &&
           http_header(response, STR("Location")).size > 0;
}

static bool follow(FetchTask *task, const HttpResponse *response, Error *err)
{
    const int most =
        task->redirects_max < FETCH_REDIRECTS_MAX ? task->redirects_max : FETCH_REDIRECTS_MAX;
    if (task->redirects >= (uint32_t)most)
        return error_set(err, ERROR_DATA, "redirected more than %d times", most);
    if (task->hops == NULL)
        task->hops = arena_new(ATTEMPT_BYTES_MAX, err);
    TRY(task->hops != NULL);
    Str target = {0};
    TRY(url_join(task->url, http_header(response, STR("Location")), task->hops, &target, err));
    target = str_slice(target, 0, str_find_char(target, '#'));
    Url from = {0};
    Url to = {0};
    if (!url_split(target, &to) || !url_split(task->url, &from))
        return error_set(err, ERROR_DATA, "redirected to what is no http or https URL");
    if (str_equal_ignoring_case(from.scheme, STR("https")) &&
        !str_equal_ignoring_case(to.scheme, STR("https")))
        return error_set(err, ERROR_ACCESS, "redirected from https to plain http: refused");
    task->redirects++;
    task->url = target;
    // Foreign for good: who came back from another origin may have been sent by it.
    task->foreign = task->foreign || !url_same_origin(task->request.url, target);
    return true;
}

// True when the task goes on instead of being done.
static bool goes_on(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange, Error *err)
{
    const HttpResponse *response = &exchange->response;
    if (exchange->err.code != ERROR_NONE) {
        if (retry_error(fetcher, task, exchange))
            return true;
        *err = exchange->err;
        return false;
    }
    if (response->status == 401)
        return retry_unauthorized(fetcher, task);
    if (retry_is_transient_status(response->status))
        return retry_answer(fetcher, task, response);
    if (!is_redirect(task, response))
        return false;
    if (!follow(task, response, err))
        return false;
    repeat_at(fetcher, task, 0);
    return true;
}

// Tells the lane's budget what its token was worth.
static void tell_rate(Fetcher *fetcher, FetchLane *lane, RateTicket ticket,
                      const HttpResponse *response)
{
    const int64_t now_us = monotonic_us(fetcher);
    int64_t asked_us = 0;
    if (response->status != 429) {
        rate_accepted(&lane->rate, ticket, now_us);
        return;
    }
    (void)retry_after_us(response, fetcher->env->now_us(fetcher->env->state), &asked_us);
    rate_refused(&lane->rate, ticket, asked_us, now_us);
    lane->counts.refused++;
}

static void take_answer(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange)
{
    remove_under_way(fetcher, task);
    task->wire_bytes += exchange->response.wire_bytes;
    task->lane->counts.wire_bytes += exchange->response.wire_bytes;
    if (exchange->err.code == ERROR_NONE && !task->foreign)
        tell_rate(fetcher, task->lane, task->ticket, &exchange->response);
    if (goes_on(fetcher, task, exchange, &task->err)) {
        http_exchange_free(exchange);
        return;
    }
    if (task->err.code != ERROR_NONE) {
        http_exchange_free(exchange);
        exchange = NULL;
    }
    finish(fetcher, task, exchange);
}

// --- tokens ---

// Everything that waits in this lane would fail for the same reason, one after the other.
static void fail_lane(Fetcher *fetcher, const FetchLane *lane, const Error *why)
{
    for (int priority = RATE_HIGH; priority >= RATE_LOW; priority--) {
        for (FetchTask *task = fetcher->waiting[priority], *next = NULL; task != NULL;
             task = next) {
            next = task->next;
            if (task->lane == lane)
                fail_waiting(fetcher, task, why);
        }
    }
}

static bool retry_token(Fetcher *fetcher, FetchLane *lane, const HttpExchange *exchange)
{
    const HttpResponse *response = &exchange->response;
    const bool error = exchange->err.code != ERROR_NONE;
    const bool refused = !error && response->status == 429;
    const bool untouched = refused || (error && !exchange->maybe_acted);
    int64_t asked_us = 0;
    if (error ? exchange->err.code != ERROR_IO : !retry_is_transient_status(response->status))
        return false;
    if (lane->token_tries >= (uint64_t)lane->token_retry.attempts ||
        !(untouched || lane->token_request.repeatable))
        return false;
    int64_t wait_us = backoff_us(fetcher, &lane->token_retry, lane->token_tries);
    if (!error && retry_after_us(response, fetcher->env->now_us(fetcher->env->state), &asked_us) &&
        asked_us > wait_us)
        wait_us = asked_us;
    if (wait_us > FETCH_WAIT_US_MAX)
        return false;
    lane->token_again = true;
    lane->token_due_us = monotonic_us(fetcher) + wait_us;
    lane->counts.retry_wait_us += wait_us;
    return true;
}

static void take_token_answer(Fetcher *fetcher, FetchLane *lane, HttpExchange *exchange)
{
    lane->token_under_way = false;
    lane->counts.wire_bytes += exchange->response.wire_bytes;
    if (exchange->err.code == ERROR_NONE)
        tell_rate(fetcher, lane, lane->token_ticket, &exchange->response);
    if (retry_token(fetcher, lane, exchange)) {
        http_exchange_free(exchange);
        return;
    }
    Error err = exchange->err;
    const bool ok =
        err.code == ERROR_NONE && lane->auth.answer(lane->auth.state, &exchange->response, &err);
    lane->generation++;
    http_exchange_free(exchange);
    forget_token_request(lane);
    if (ok)
        return;
    error_context(&err, "token");
    fail_lane(fetcher, lane, &err);
}

static FetchLane *lane_of(const Fetcher *fetcher, const void *tag)
{
    for (size_t i = 0; i < fetcher->lane_count; i++)
        if (fetcher->lanes[i] == tag)
            return fetcher->lanes[i];
    return NULL;
}

static void take_exchange(Fetcher *fetcher, HttpExchange *exchange)
{
    FetchLane *lane = lane_of(fetcher, exchange->tag);
    if (lane != NULL)
        take_token_answer(fetcher, lane, exchange);
    else
        take_answer(fetcher, exchange->tag, exchange);
}

// --- coming in ---

static void take_in(Fetcher *fetcher, FetchTask *task)
{
    const int64_t now_us = monotonic_us(fetcher);
    fetcher->pending++;
    if (task->limited)
        rate_refused(&task->lane->rate, task->ticket, task->delay_us, now_us);
    task->limited = false;
    task->due_us = now_us + task->delay_us;
    task->retry_wait_us += task->delay_us;
    task->lane->counts.retry_wait_us += task->delay_us;
    append_waiting(fetcher, task);
    if (atomic_load(&task->cancelled))
        atomic_store(&fetcher->cancelled, true); // it was still in the inbox then
}

bool fetcher_submit(Fetcher *fetcher, FetchTask *task, Error *err)
{
    assert(task->lane != NULL);
    assert(task->delay_us >= 0);

    const RateTicket ticket = task->ticket; // of the last time, for `limited`
    task->url = task->request.url;
    task->exchange = NULL;
    task->err = (Error){0};
    task->attempts = task->redirects = task->tries = task->refusals = 0;
    task->rate_wait_us = task->retry_wait_us = task->wished_us = 0;
    task->wire_bytes = 0;
    task->foreign = task->renewed = task->waiting = task->finished = false;
    task->arena = task->hops = NULL;
    task->ticket = ticket;
    atomic_store(&task->cancelled, false);
    if (!queue_put_now(fetcher->inbox, task))
        return error_set(err, ERROR_BUSY, "%d requests wait already", FETCH_WAITING_MAX);
    http_client_wake(fetcher->client);
    return true;
}

void fetcher_cancel(Fetcher *fetcher, FetchTask *task)
{
    atomic_store(&task->cancelled, true);
    atomic_store(&fetcher->cancelled, true);
    http_client_wake(fetcher->client);
}

static void drop_cancelled(Fetcher *fetcher)
{
    if (!atomic_exchange(&fetcher->cancelled, false))
        return;
    Error why = {0};
    error_set(&why, ERROR_STOPPED, "cancelled");
    for (int priority = RATE_HIGH; priority >= RATE_LOW; priority--) {
        for (FetchTask *task = fetcher->waiting[priority], *next = NULL; task != NULL;
             task = next) {
            next = task->next;
            if (atomic_load(&task->cancelled))
                fail_waiting(fetcher, task, &why);
        }
    }
    for (FetchTask *task = fetcher->under_way; task != NULL; task = task->next)
        if (atomic_load(&task->cancelled))
            http_client_cancel(fetcher->client, task);
}

static void take_inbox(Fetcher *fetcher)
{
    // What does not fit stays in the inbox, so that its bound is the bound of all.
    while (fetcher->pending < FETCH_WAITING_MAX) {
        FetchTask *task = queue_take(fetcher->inbox, 0);
        if (task == NULL)
            break;
        take_in(fetcher, task);
    }
    drop_cancelled(fetcher);
}

bool fetcher_step(Fetcher *fetcher, int timeout_ms, Error *err)
{
    int64_t wait_us = (int64_t)timeout_ms * 1000;
    take_inbox(fetcher);
    send_waiting(fetcher, &wait_us);
    HttpExchange *exchange = NULL;
    TRY(http_client_wait_us(fetcher->client, wait_us, &exchange, err));
    while (exchange != NULL) {
        take_exchange(fetcher, exchange);
        // The connection that became free is used again before its next answer is looked for.
        wait_us = 0;
        send_waiting(fetcher, &wait_us);
        TRY(http_client_wait_us(fetcher->client, 0, &exchange, err));
    }
    return true;
}

// Whatever came back from the client, without waiting for more.
static void collect(Fetcher *fetcher)
{
    Error ignored = {0};
    HttpExchange *exchange = NULL;
    while (http_client_wait_us(fetcher->client, 0, &exchange, &ignored) && exchange != NULL)
        take_exchange(fetcher, exchange);
}

bool fetcher_run(Fetcher *fetcher, FetchTask *task, Error *err)
{
    TRY(fetcher_submit(fetcher, task, err));
    while (!task->finished) {
        if (fetcher_step(fetcher, RUN_STEP_MS, err))
            continue;
        // It lives on the caller's stack, so it has to be over when we return.
        fetcher_cancel(fetcher, task);
        take_inbox(fetcher);
        collect(fetcher);
        assert(task->finished);
        http_exchange_free(task->exchange);
        task->exchange = NULL;
        return false;
    }
    if (task->err.code != ERROR_NONE) {
        *err = task->err;
        return false;
    }
    return true;
}

// --- life ---

bool fetcher_new(HttpClient *client, Env *env, Fetcher **ret_fetcher, Error *err)
{
    Arena *arena = arena_new(FETCHER_BYTES_MAX, err);
    TRY(arena != NULL);
    Fetcher *fetcher = arena_alloc(arena, sizeof(*fetcher), err);
    Queue *inbox = fetcher == NULL ? NULL : queue_new(FETCH_WAITING_MAX, err);
    if (inbox == NULL) {
        arena_free(arena);
        return false;
    }
    fetcher->client = client;
    fetcher->env = env;
    fetcher->arena = arena;
    fetcher->inbox = inbox;
    *ret_fetcher = fetcher;
    return true;
}

// Nothing is sent any more: what waits ends, what is under way is broken off.
static void end_all(Fetcher *fetcher)
{
    Error why = {0};
    error_set(&why, ERROR_STOPPED, "the fetcher was closed");
    queue_close(fetcher->inbox);
    for (FetchTask *task = queue_take(fetcher->inbox, 0); task != NULL;
         task = queue_take(fetcher->inbox, 0))
        take_in(fetcher, task);
    for (size_t i = 0; i < fetcher->lane_count; i++)
        http_client_cancel(fetcher->client, fetcher->lanes[i]);
    while (fetcher->pending > 0) {
        for (FetchTask *task = fetcher->under_way; task != NULL; task = task->next)
            http_client_cancel(fetcher->client, task);
        collect(fetcher); // some may have been answered, and want to be repeated
        for (size_t i = 0; i < fetcher->lane_count; i++)
            fail_lane(fetcher, fetcher->lanes[i], &why);
    }
    collect(fetcher);
}

void fetcher_free(Fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    end_all(fetcher);
    for (size_t i = 0; i < fetcher->lane_count; i++)
        forget_token_request(fetcher->lanes[i]);
    queue_free(fetcher->inbox);
    arena_free(fetcher->arena);
}

void fetcher_freep(Fetcher **fetcher)
{
    fetcher_free(*fetcher);
}

bool fetcher_add_lane(Fetcher *fetcher, const FetchLaneOptions *options, FetchLane **ret_lane,
                      Error *err)
{
    if (fetcher->lane_count == FETCH_LANES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d credentials", FETCH_LANES_MAX);
    FetchLane *lane = arena_alloc(fetcher->arena, sizeof(*lane), err);
    TRY(lane != NULL);
    lane->auth = options->auth;
    lane->token_retry = options->token_retry;
    rate_init(&lane->rate, options->requests_per_second, options->burst, monotonic_us(fetcher));
    if (options->share > 0)
        lane->rate.share = options->share;
    fetcher->lanes[fetcher->lane_count++] = lane;
    *ret_lane = lane;
    return true;
}

FetchCounts fetcher_lane_counts(const FetchLane *lane)
{
    return lane->counts;
}

double fetcher_lane_rate(const FetchLane *lane)
{
    return rate_now(&lane->rate);
}

void fetcher_lane_set_share(FetchLane *lane, double share)
{
    assert(share > 0 && share <= 1);
    lane->rate.share = share;
}

size_t fetcher_pending(const Fetcher *fetcher)
{
    return fetcher->pending;
}

void fetcher_wake(Fetcher *fetcher)
{
    http_client_wake(fetcher->client);
}
