// Fetch: the one place that talks to the API, for all slices of a run: connections, rate budget,
// credentials.
//
// Opened by the run, used for single questions while it plans (partitions), then handed to the
// pipeline, which lets it run on a thread of its own. A thin layer over net/fetcher.h that knows
// streams and slices.
#pragma once

#include "base/queue.h"
#include "run/slice.h"

typedef struct Fetch Fetch;

// What time it was here, and there by an answer's Date; of all answers the one that comes closest
// to us, since a cache may have kept others for a while.
typedef struct FetchClock {
    bool told;
    int64_t here_us, there_us;
} FetchClock;

typedef struct FetchOptions {
    const Job *job;
    RunMode mode; // its priority
    const Connector *connector;
    Env *env;
    Str connect_to; // tests; empty = none
    Arena *arena;   // outlives the fetch
    // What earlier runs learnt of the rate, FETCH_LANES_MAX by stream_auth_id(); NULL = nothing
    const RateLearnt *learnt;
    FetchClock *clock; // filled in; read it when the thread has ended. NULL = not asked for
} FetchOptions;

bool fetch_open(const FetchOptions *options, Fetch **ret_fetch, Error *err) MUST_USE;

// Sends one request with the credentials of `stream` and waits for its answer. Not after
// fetch_start().
bool fetch_exchange(Fetch *fetch, const Stream *stream, const HttpRequest *request,
                    HttpExchange **ret_exchange, Error *err) MUST_USE;

// Starts the thread: from now on tasks come by fetch_put() and go to `answered`, with their
// exchange or their error.
bool fetch_start(Fetch *fetch, const Plan *plan, Queue *answered, Error *err) MUST_USE;

// Hands over a task that wants an answer. From any thread.
bool fetch_put(Fetch *fetch, SliceTask *task, Error *err) MUST_USE;

// Which part of the rate budget this run may use, (0, 1]. From any thread.
void fetch_set_share(Fetch *fetch, double part);

// What was learnt of the rate of a credential, all of it from refusals in this process or before.
// False when nothing was (yet). From any thread.
bool fetch_learnt(Fetch *fetch, size_t auth_id, RateLearnt *ret_learnt);

// The answer speaks of what all requests of the credential share.
bool fetch_is_limit(const PageOutcome *outcome, const HttpResponse *response);

// How long to wait before a request whose answer is PAGE_RETRY or PAGE_LIMITED goes out once more.
typedef struct RetryWait {
    int64_t us; // the longest of the job's own rule, the manifest's and what the answer asks for
    int64_t hold_us; // for the other requests of the credential, where it is a limit that asks in
                     // words that the fetcher does not know
} RetryWait;

// `attempts`: answers of that kind so far. ERROR_BUSY where the wait is beyond all patience.
bool fetch_retry_wait(const RetryPolicy *policy, int64_t attempts, const PageOutcome *outcome,
                      const HttpResponse *response, Env *env, RetryWait *ret_wait,
                      Error *err) MUST_USE;

// False when the thread could not go on; `err` says why.
bool fetch_check(Fetch *fetch, Error *err) MUST_USE;

// The end comes in three steps, because tasks and answers are shared with the workers:
void fetch_stop(Fetch *fetch); // ends the thread; fetch_put() still takes, nobody answers
void fetch_drain(
    Fetch *fetch); // frees the tasks it holds, or puts them into `answered` where that is open
void fetch_close(
    Fetch *fetch); // frees the rest; every answer must have been freed before. NULL is fine
void fetch_closep(Fetch **fetch); // for CLEANUP(): all three
