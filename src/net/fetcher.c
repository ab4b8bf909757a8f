// What comes in, the step, and the fetcher's life.
#include "net/fetch_parts.h"

#include <assert.h>

enum {
    FETCHER_BYTES_MAX = 4 * 1024 * 1024, // itself and its lanes
    RUN_STEP_MS = 1000,
};

// --- coming in ---

static void take_in(Fetcher *fetcher, FetchTask *task)
{
    const int64_t now_us = fetch_monotonic_us(fetcher);
    fetcher->pending++;
    if (task->limited)
        rate_refused(&task->lane->rate, task->ticket, task->hold_us, now_us);
    else if (task->hold_us > 0)
        rate_hold(&task->lane->rate, task->hold_us, now_us);
    task->limited = false;
    task->hold_us = 0;
    task->due_us = now_us + task->delay_us;
    task->retry_wait_us += task->delay_us;
    task->lane->counts.retry_wait_us += task->delay_us;
    fetch_append_waiting(fetcher, task);
    if (atomic_load(&task->cancelled))
        atomic_store(&fetcher->cancelled, true); // it was still in the inbox then
}

bool fetcher_submit(Fetcher *fetcher, FetchTask *task, Error *err)
{
    assert(task->lane != NULL);
    assert(task->delay_us >= 0 && task->hold_us >= 0);

    const RateTicket ticket = task->ticket; // of the last time, for `limited`
    task->url = task->request.url;
    task->exchange = NULL;
    task->err = (Error){0};
    task->attempts = task->redirects = task->tries = task->refusals = task->renewals = 0;
    task->rate_wait_us = task->retry_wait_us = task->wished_us = 0;
    task->wire_bytes = 0;
    task->foreign = task->waiting = task->finished = false;
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
                fetch_fail_waiting(fetcher, task, &why);
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
    fetch_send_waiting(fetcher, &wait_us);
    HttpExchange *exchange = NULL;
    TRY(http_client_wait_us(fetcher->client, wait_us, &exchange, err));
    while (exchange != NULL) {
        fetch_take_exchange(fetcher, exchange);
        // The connection that became free is used again before its next answer is looked for.
        wait_us = 0;
        fetch_send_waiting(fetcher, &wait_us);
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
        fetch_take_exchange(fetcher, exchange);
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
            fetch_fail_lane(fetcher, fetcher->lanes[i], &why);
    }
    collect(fetcher);
}

void fetcher_free(Fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    end_all(fetcher);
    for (size_t i = 0; i < fetcher->lane_count; i++)
        fetch_forget_token_request(fetcher->lanes[i]);
    queue_free(fetcher->inbox);
    arena_free(fetcher->arena);
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
    rate_init(&lane->rate, options->requests_per_second, options->burst,
              fetch_monotonic_us(fetcher));
    if (options->share > 0)
        rate_set_share(&lane->rate, options->share);
    if (options->learnt.per_second > 0)
        rate_resume(&lane->rate, &options->learnt, fetch_monotonic_us(fetcher));
    fetcher->lanes[fetcher->lane_count++] = lane;
    *ret_lane = lane;
    return true;
}

FetchCounts fetcher_lane_counts(const FetchLane *lane)
{
    return lane->counts;
}

void fetcher_lane_set_share(FetchLane *lane, double share)
{
    rate_set_share(&lane->rate, share);
}

bool fetcher_lane_learnt(const FetchLane *lane, RateLearnt *ret_learnt)
{
    return rate_learnt(&lane->rate, ret_learnt);
}

size_t fetcher_pending(const Fetcher *fetcher)
{
    return fetcher->pending;
}

void fetcher_wake(Fetcher *fetcher)
{
    http_client_wake(fetcher->client);
}
