// Rate: one token bucket for each (host, credential), with priorities, that learns from 429.
//
// Pure bookkeeping on times that the caller gives: no clock, no thread. Processes share a bucket by
// each taking a share of its rate (a lease in the landing store; see run/).
#pragma once

#include "base/error.h"

#include <stdint.h>

typedef enum RatePriority { RATE_LOW, RATE_HIGH } RatePriority;

typedef struct RateLimit {
    double per_second; // refill; 0 = no limit
    double burst;      // bucket size, at least 1
    double share;      // (0, 1]: this process's part
    // private
    double tokens;
    double learnt; // per_second after what 429s taught; grows back slowly
    int64_t refilled_at_us;
    int64_t blocked_until_us; // Retry-After
} RateLimit;

void rate_init(RateLimit *rate, double per_second, double burst, int64_t now_us);

// Takes a token, or tells when to ask again (*ret_wait_us > 0). A RATE_LOW caller leaves a token
// for high ones.
bool rate_take(RateLimit *rate, RatePriority priority, int64_t now_us, int64_t *ret_wait_us);

// The far side said "too many": learn a lower rate, and wait out `retry_after_us` (0 = it did not
// say).
void rate_refused(RateLimit *rate, int64_t retry_after_us, int64_t now_us);

// The far side answered normally: the learnt rate creeps back up.
void rate_accepted(RateLimit *rate, int64_t now_us);
