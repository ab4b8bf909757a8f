// Fetcher: the engine of the one fetch thread: many requests, each sent when its rate budget, its
// credential and a free connection allow, repeated where that is safe, redirects followed without
// giving a credential away.
//
// One thread drives it with fetcher_step(); others hand requests in with fetcher_submit(), which
// wakes it. A task belongs to its submitter before fetcher_submit() and after `done` was called,
// to the fetcher in between. Every submitted task is done exactly once, also when the fetcher is
// freed. Callbacks run on the fetch thread and must not block.
#pragma once

#include "base/env.h"
#include "net/http.h"
#include "net/rate.h"
#include "net/retry.h"

enum {
    FETCH_WAITING_MAX = 4096, // submitted and not yet sent
    FETCH_LANES_MAX = 64,
    FETCH_REDIRECTS_MAX = 10,
    FETCH_REFUSALS_MAX = 20, // 429s that one task waits out, beside its attempts
    FETCH_RENEWALS_MAX = 20, // tokens that may end under one task
};

// A wait longer than this is not waited: the task ends with ERROR_BUSY, or with the answer that
// asked for it.
#define FETCH_WAIT_US_MAX RETRY_WAIT_US_MAX

typedef enum FetchAuthStep { FETCH_AUTH_READY, FETCH_AUTH_NEED_TOKEN } FetchAuthStep;

// Where the credentials of a lane come from. The functions have the shape of auth_apply(),
// auth_answer() and auth_expire() in connector.h. All may be NULL: no credential.
typedef struct FetchAuth {
    void *state;
    // Adds the credential to `request`, whose URL tells the origin it goes to; leaves it without
    // where that is not the credential's. FETCH_AUTH_NEED_TOKEN: `ret_token_request` goes first,
    // once for all that wait; then this is called again. It is sent again after a failure only
    // where it cannot have been acted upon, or is marked `repeatable`.
    bool (*apply)(void *state, HttpRequest *request, Arena *arena, HttpRequest *ret_token_request,
                  FetchAuthStep *ret_step, Error *err);
    bool (*answer)(void *state, const HttpResponse *response, Error *err);
    // A 401 came for the token in use. NULL where no new one can be got: then 401 is an answer.
    void (*expire)(void *state);
} FetchAuth;

typedef struct FetchCounts {
    uint64_t requests; // tasks done
    uint64_t attempts; // requests sent, repetitions, redirects and tokens included
    uint64_t refused;  // 429s among the answers
    uint64_t tokens;   // token requests
    uint64_t wire_bytes;
    int64_t rate_wait_us;  // that tasks waited for the rate budget
    int64_t retry_wait_us; // and for a retry's time to come
} FetchCounts;

// One (host, credential): its rate budget and its authentication.
typedef struct FetchLane FetchLane;

typedef struct FetchLaneOptions {
    double requests_per_second; // 0 = no limit but what 429s teach
    double burst;               // 0 = 1
    double share;               // 0 = all of it
    RateLearnt learnt;          // by an earlier process
    FetchAuth auth;
    RetryPolicy token_retry; // for token requests; {0} = never again
} FetchLaneOptions;

typedef struct FetchTask FetchTask;
struct FetchTask {
    // by the submitter; strings live until `done`
    HttpRequest request; // without credential
    FetchLane *lane;
    RatePriority priority;
    const RetryPolicy *retry; // NULL = never again
    bool retry_answers; // also after 429 and 408, 425, 5xx; else those are answers like any other
    bool limited;       // submitted again because an answer, which was no 429, said "too many"
    int64_t delay_us;   // not before this has passed
    int64_t hold_us;    // nor any other of its lane before this: what a limit's answer asked for
    int redirects_max;  // GET and HEAD follow so many; 0 = redirects are answers
    void *tag;
    void (*done)(FetchTask *task);

    // by the fetcher
    HttpExchange *exchange; // the answer, now the submitter's to free; NULL when there is an error
    Error err;
    uint32_t attempts; // requests sent for it
    uint32_t redirects;
    int64_t rate_wait_us;
    int64_t retry_wait_us;
    uint64_t wire_bytes; // of all attempts

    // private
    struct FetchTask *next, *before;
    HttpRequest sent; // with credential, of the attempt under way
    Arena *arena;     // of that credential; overwritten after the attempt
    Arena *hops;      // of redirected addresses
    Str url;          // where to go next: request.url, or a redirect's target
    bool foreign;     // that is another origin: no header and no credential goes along
    bool waiting;     // in the list of those to be sent
    bool finished;
    uint32_t tries; // attempts that the policy counts
    uint32_t refusals;
    uint32_t renewals;   // 401s that were answered with a new token
    uint64_t generation; // of the token it was sent with
    bool tries_token;    // it was the first that was sent with it
    RateTicket ticket;
    int64_t due_us;    // monotonic: not to be sent before
    int64_t wished_us; // since when it only waits for the rate budget; 0 = it does not
    atomic_bool cancelled;
};

typedef struct Fetcher Fetcher;

// Borrows `client`, whose exchanges it alone drives.
bool fetcher_new(HttpClient *client, Env *env, Fetcher **ret_fetcher, Error *err) MUST_USE;
void fetcher_free(Fetcher *fetcher); // what is not done ends with ERROR_STOPPED; NULL is fine

// Lives as long as the fetcher. Before the first step, or on the fetch thread.
bool fetcher_add_lane(Fetcher *fetcher, const FetchLaneOptions *options, FetchLane **ret_lane,
                      Error *err) MUST_USE;
FetchCounts fetcher_lane_counts(const FetchLane *lane); // fetch thread
void fetcher_lane_set_share(FetchLane *lane, double share);
bool fetcher_lane_learnt(const FetchLane *lane, RateLearnt *ret_learnt); // rate_learnt()

// From any thread, callbacks included; never blocks. ERROR_BUSY when FETCH_WAITING_MAX wait.
bool fetcher_submit(Fetcher *fetcher, FetchTask *task, Error *err) MUST_USE;

// From any thread: `task`, which must have been submitted and not be done, ends soon with
// ERROR_STOPPED, unless it is done before.
void fetcher_cancel(Fetcher *fetcher, FetchTask *task);

// Sends what may be sent, waits at most `timeout_ms` for something to happen, and deals with what
// did. ERROR_STOPPED within 100 ms of env->stop; other errors are those of the fetcher itself.
bool fetcher_step(Fetcher *fetcher, int timeout_ms, Error *err) MUST_USE;

size_t fetcher_pending(const Fetcher *fetcher); // taken in and not done; fetch thread
void fetcher_wake(Fetcher *fetcher);            // from any thread: ends a step's wait

// Submits and steps until it is done (others progress meanwhile); fetch thread. False with the
// task's error; then there is no exchange.
bool fetcher_run(Fetcher *fetcher, FetchTask *task, Error *err) MUST_USE;
