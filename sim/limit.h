// Limit: how fast a credential may ask: a token bucket.
//
// The bucket of each credential holds `burst` tokens at first and at most; `rate` tokens a second
// flow in, evenly. A request takes one; where there is less than one, it is refused (429) and takes
// none. Retry-After is the whole seconds until there will be one, rounded up. Threads share a
// Limit: one lock.
#pragma once

#include "base/arena.h"

#include <pthread.h>

typedef struct LimitPlan {
    double rate;          // requests a second; 0 = no limit
    double burst;         // bucket size
    uint32_t credentials; // how many buckets
} LimitPlan;

typedef struct LimitBucket {
    double tokens;
    int64_t filled_us;
} LimitBucket;

typedef struct Limit {
    LimitPlan plan;
    pthread_mutex_t lock;
    LimitBucket *buckets;
} Limit;

bool limit_init(Limit *limit, const LimitPlan *plan, Arena *arena, Error *err) MUST_USE;
void limit_done(Limit *limit);

// Takes a token. False when there is none: `*ret_wait_us` is how long until there will be.
bool limit_take(Limit *limit, uint32_t credential, int64_t now_us, int64_t *ret_wait_us);

// Changes rate and burst; buckets start full.
void limit_set(Limit *limit, double rate, double burst);
