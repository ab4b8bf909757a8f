// Fetch: the one place that talks to the API, for all slices of a run: connections, rate budget,
// credentials.
//
// Opened by the run, used for single questions while it plans (partitions), then handed to the
// pipeline, which lets it run on a thread of its own.
#pragma once

#include "base/queue.h"
#include "run/slice.h"

typedef struct Fetch Fetch;

typedef struct FetchOptions {
    const Job *job;
    RunMode mode; // its priority
    const Connector *connector;
    Env *env;
    Str connect_to; // tests; empty = none
    Arena *arena;   // outlives the fetch
} FetchOptions;

bool fetch_open(const FetchOptions *options, Fetch **ret_fetch, Error *err) MUST_USE;

// Stops the thread and breaks off what is under way. Answers that came may still be owned by
// others.
void fetch_stop(Fetch *fetch);

// Frees everything, the tasks it holds too. Every answer must have been freed before. NULL is fine.
void fetch_close(Fetch *fetch);
void fetch_closep(Fetch **fetch); // for CLEANUP()

// Sends one request with the credentials of `stream` and waits for its answer. Not after
// fetch_start().
bool fetch_exchange(Fetch *fetch, const Stream *stream, const HttpRequest *request,
                    HttpExchange **ret_exchange, Error *err) MUST_USE;

// Starts the thread: from now on tasks come by fetch_put() and go to `answered` with their
// exchange.
bool fetch_start(Fetch *fetch, Queue *answered, size_t tasks_max, Error *err) MUST_USE;

// Hands over a task that wants an answer. From any thread. False when the fetch is being closed.
bool fetch_put(Fetch *fetch, SliceTask *task) MUST_USE;
