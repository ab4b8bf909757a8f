// Fetcher's parts, shared by the four files that make it: fetch_list.c (tasks that wait, that are
// under way, that end), fetch_send.c (who goes next, with which credential), fetch_answer.c
// (repeating, following, finishing), fetch_token.c (one token for a lane). Nobody else includes
// this.
#pragma once

#include "net/fetcher.h"

#include "base/queue.h"

enum { FETCH_ATTEMPT_BYTES_MAX = 256 * 1024 }; // a credential's header, a token request, an address

struct FetchLane {
    FetchAuth auth;
    RateLimit rate;
    RetryPolicy token_retry;
    FetchCounts counts;
    uint64_t generation; // of the token: grows when one is given up and when one comes
    uint64_t tried;      // the generation that a request was sent with last
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

static inline int64_t fetch_monotonic_us(const Fetcher *fetcher)
{
    return fetcher->env->monotonic_us(fetcher->env->state);
}

static inline void fetch_least(int64_t *value, int64_t other)
{
    if (other < *value)
        *value = other;
}

// --- fetch_list.c ---

void fetch_append_waiting(Fetcher *fetcher, FetchTask *task);
void fetch_return_waiting(Fetcher *fetcher, FetchTask *task); // in front
void fetch_remove_waiting(Fetcher *fetcher, FetchTask *task);
void fetch_add_under_way(Fetcher *fetcher, FetchTask *task);
void fetch_remove_under_way(Fetcher *fetcher, FetchTask *task);
void fetch_forget_credential(FetchTask *task);

// The end of a task that is on no list. `exchange` is NULL when task->err says why.
void fetch_finish(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange);
void fetch_fail_waiting(Fetcher *fetcher, FetchTask *task, const Error *why);
void fetch_fail_lane(Fetcher *fetcher, const FetchLane *lane, const Error *why); // all that wait

// --- fetch_send.c ---

// Sends all that may be sent now; *wait_us shrinks to the time until more may.
void fetch_send_waiting(Fetcher *fetcher, int64_t *wait_us);

// --- fetch_answer.c ---

// Deals with what the client brought: a task's answer or a lane's token.
void fetch_take_exchange(Fetcher *fetcher, HttpExchange *exchange);
int64_t fetch_backoff_us(const Fetcher *fetcher, const RetryPolicy *policy, uint32_t tries);

// Tells the lane's budget what its ticket was worth.
void fetch_tell_rate(Fetcher *fetcher, FetchLane *lane, RateTicket ticket,
                     const HttpResponse *response);

// --- fetch_token.c ---

bool fetch_send_token_request(Fetcher *fetcher, FetchLane *lane, RateTicket ticket,
                              Error *err) MUST_USE;
void fetch_repeat_token(Fetcher *fetcher, FetchLane *lane, int64_t now_us, int64_t *wait_us);
void fetch_take_token_answer(Fetcher *fetcher, FetchLane *lane, HttpExchange *exchange);
void fetch_forget_token_request(FetchLane *lane);
