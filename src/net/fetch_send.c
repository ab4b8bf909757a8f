// Who goes next, and with which credential.
#include "net/fetch_parts.h"

// Dresses the task for its next attempt. *ret_ready = false: a token has to be got first.
static bool authorize(Fetcher *fetcher, FetchTask *task, RateTicket ticket, bool *ret_ready,
                      Error *err)
{
    FetchLane *lane = task->lane;
    task->sent = task->request;
    task->sent.url = task->url;
    *ret_ready = true;
    if (task->foreign)
        http_request_strip(&task->sent);
    if (task->foreign || lane->auth.apply == NULL)
        return true;
    FetchAuthStep step = FETCH_AUTH_READY;
    task->arena = arena_new(FETCH_ATTEMPT_BYTES_MAX, err);
    TRY(task->arena != NULL);
    HttpRequest token_request = {0};
    TRY(lane->auth.apply(lane->auth.state, &task->sent, task->arena, &token_request, &step, err));
    task->generation = lane->generation;
    if (step == FETCH_AUTH_READY) {
        task->tries_token = lane->tried != lane->generation;
        lane->tried = lane->generation;
        return true;
    }
    *ret_ready = false;
    fetch_forget_token_request(lane);
    lane->token_request = token_request;
    lane->token_arena = task->arena; // its strings live there
    task->arena = NULL;
    if (fetch_send_token_request(fetcher, lane, ticket, err))
        return true;
    fetch_forget_token_request(lane);
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
    fetch_remove_waiting(fetcher, task);
    fetch_add_under_way(fetcher, task);
    task->ticket = ticket;
    task->attempts++;
    task->lane->counts.attempts++;
    return true;
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
    if (rate_wait_us <= FETCH_WAIT_US_MAX) {
        task->lane->dry_pass = fetcher->pass; // nor is there one for those behind
        fetch_least(wait_us, rate_wait_us);
        return false;
    }
    Error err = {0};
    (void)retry_too_long(rate_wait_us, &err);
    fetch_fail_waiting(fetcher, task, &err);
    return false;
}

// Looks at one that waits. *ret_full: no connection is free, so it is no use to look at others.
static void consider(Fetcher *fetcher, FetchTask *task, int64_t now_us, int64_t *wait_us,
                     bool *ret_full)
{
    FetchLane *lane = task->lane;
    if (task->due_us > now_us) {
        fetch_least(wait_us, task->due_us - now_us);
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
        fetch_forget_credential(task);
        fetch_fail_waiting(fetcher, task, &err);
    }
}

// Sends all that may be sent now; *wait_us shrinks to the time until more may.
void fetch_send_waiting(Fetcher *fetcher, int64_t *wait_us)
{
    const int64_t now_us = fetch_monotonic_us(fetcher);
    fetcher->pass++;
    for (size_t i = 0; i < fetcher->lane_count; i++)
        fetch_repeat_token(fetcher, fetcher->lanes[i], now_us, wait_us);
    bool full = false;
    for (int priority = RATE_HIGH; priority >= RATE_LOW && !full; priority--) {
        for (FetchTask *task = fetcher->waiting[priority], *next = NULL; task != NULL && !full;
             task = next) {
            next = task->next; // consider() may take this one off the list, and no other
            consider(fetcher, task, now_us, wait_us, &full);
        }
    }
}
