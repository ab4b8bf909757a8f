#include "limit.h"

#include <assert.h>

#define US_PER_SECOND 1e6

bool limit_init(Limit *limit, const LimitPlan *plan, Arena *arena, Error *err)
{
    *limit = (Limit){.plan = *plan};
    limit->buckets = arena_alloc_array(arena, plan->credentials, sizeof(LimitBucket), err);
    TRY(limit->buckets != NULL);
    (void)pthread_mutex_init(&limit->lock, NULL);
    limit_set(limit, plan->rate, plan->burst);
    return true;
}

void limit_done(Limit *limit)
{
    if (limit->buckets != NULL)
        (void)pthread_mutex_destroy(&limit->lock);
    *limit = (Limit){0};
}

static bool take(Limit *limit, LimitBucket *bucket, int64_t now_us, int64_t *ret_wait_us)
{
    // Time that seems to go backwards between two threads fills nothing.
    if (now_us > bucket->filled_us && bucket->filled_us >= 0)
        bucket->tokens += (double)(now_us - bucket->filled_us) / US_PER_SECOND * limit->plan.rate;
    if (now_us > bucket->filled_us)
        bucket->filled_us = now_us;
    if (bucket->tokens > limit->plan.burst)
        bucket->tokens = limit->plan.burst;
    if (bucket->tokens < 1) {
        *ret_wait_us = (int64_t)((1 - bucket->tokens) / limit->plan.rate * US_PER_SECOND) + 1;
        return false;
    }
    bucket->tokens -= 1;
    return true;
}

bool limit_take(Limit *limit, uint32_t credential, int64_t now_us, int64_t *ret_wait_us)
{
    assert(credential < limit->plan.credentials);
    (void)pthread_mutex_lock(&limit->lock);
    const bool ok =
        limit->plan.rate <= 0 || take(limit, &limit->buckets[credential], now_us, ret_wait_us);
    (void)pthread_mutex_unlock(&limit->lock);
    return ok;
}

void limit_set(Limit *limit, double rate, double burst)
{
    (void)pthread_mutex_lock(&limit->lock);
    limit->plan.rate = rate;
    limit->plan.burst = burst < 1 ? 1 : burst;
    for (uint32_t i = 0; i < limit->plan.credentials; i++)
        limit->buckets[i] = (LimitBucket){limit->plan.burst, -1};
    (void)pthread_mutex_unlock(&limit->lock);
}
