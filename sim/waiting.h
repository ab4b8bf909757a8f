// Waiting: wakes suspended connections when their time has come.
//
// One thread, one lock. What waits is an opaque pointer with a function to call on it.
#pragma once

#include "base/arena.h"
#include "base/env.h"

#include <pthread.h>

enum { WAITING_MAX = 8192 };

typedef struct WaitingItem {
    int64_t due_us; // by env->monotonic_us
    void (*wake)(void *item);
    void *item;
} WaitingItem;

typedef struct Waiting {
    Env *env;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    WaitingItem *items; // unordered: there are never many
    size_t count;
    bool running, stopped;
} Waiting;

bool waiting_start(Waiting *waiting, Env *env, Arena *arena, Error *err) MUST_USE;

// Wakes everything that still waits and ends the thread; from then on waiting_add() refuses. done()
// frees the rest, once nobody can call waiting_add() any more.
void waiting_stop(Waiting *waiting);
void waiting_done(Waiting *waiting);

// Calls `wake(item)` on the waiting thread after `delay_us`. False when too many wait, or after
// waiting_stop().
bool waiting_add(Waiting *waiting, int64_t delay_us, void (*wake)(void *item), void *item) MUST_USE;
