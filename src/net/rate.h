// Rate: one token bucket for each (host, credential), with priorities, that learns from 429.
//
// Pure bookkeeping on times that the caller gives: no clock, no thread. Processes share a bucket by
// each taking a share of its rate (a lease in the landing store; see run/).
//
// Learning takes the far side for a token bucket of unknown rate and size. A refusal is the one
// moment at which we know what is in it: nothing. So what is accepted between two refusals, over
// the time between them, is its rate, to one token in either direction: the longer the baseline,
// the sharper. rate.c tells the phases. After they are through, the rate stays below the far
// side's, and refusals end.
#pragma once

#include "base/error.h"

#include <stdint.h>

typedef enum RatePriority { RATE_LOW, RATE_HIGH } RatePriority;

typedef enum RatePhase {
    RATE_FREE,    // never refused: as fast as configured
    RATE_MEASURE, // between refusals, counting
    RATE_SEARCH, // counting was not enough: trying rates between one that held and one that did not
    RATE_HOLD,   // learnt
} RatePhase;

// What was learnt of a far side, for a process that comes later.
typedef struct RateLearnt {
    double per_second; // 0 = nothing
    double burst_seen; // what its bucket brought at least, after a wait
    double burst_most; // and what it holds at most
} RateLearnt;

typedef struct RateLimit {
    double per_second; // as configured; 0 = no limit but what is learnt
    double burst;      // bucket size, at least 1
    double share;      // (0, 1]: this process's part of per_second
    // private
    double tokens;
    double learnt; // per second, after what refusals taught; 0 = nothing yet
    bool alone;    // no other process had a share while it was being learnt
    bool whole;    // so it is the far side's rate, of which we have our share
    RatePhase phase;
    int64_t refilled_at_us;
    int64_t blocked_until_us;
    int64_t pause_us;       // our own, when the far side names none
    uint64_t taken;         // tokens taken
    uint64_t refused;       // of them
    uint64_t episode_end;   // refusals of earlier tokens belong to the episode in hand
    int64_t first_us;       // first token
    uint64_t mark_count;    // accepted when measuring began (a refusal)
    int64_t mark_us;        // and when that was
    uint64_t last_count;    // accepted at the last refusal
    double burst_seen;      // what the far side's bucket brought at least, after a wait
    double burst_most;      // and what it holds at most
    double opening_count;   // accepted before the first refusal
    double opening_us;      // and how long that took
    double pause_total_us;  // since measuring began
    int measured;           // refusals since then
    bool suspect;           // the far side's bucket may have run full during the waits
    double low, high;       // rates that held, that did not (0 = none yet)
    bool fresh;             // the rate in hand has not been used yet
    bool after_wait;        // it began after a refusal's wait
    int64_t since_us;       // when it first was
    uint64_t since_count;   // accepted before
    int64_t probe_after_us; // how long to hold before asking whether more is allowed by now
} RateLimit;

// A token that was taken; handed back with the answer.
typedef struct RateTicket {
    uint64_t sequence;
    int64_t taken_at_us;
} RateTicket;

void rate_init(RateLimit *rate, double per_second, double burst, int64_t now_us);

// Takes a token, or tells when to ask again (*ret_wait_us > 0). A RATE_LOW caller leaves a token
// for high ones.
bool rate_take(RateLimit *rate, RatePriority priority, int64_t now_us, RateTicket *ret_ticket,
               int64_t *ret_wait_us);

// The far side said "too many": learn a lower rate, and wait out `retry_after_us` (0 = it did not
// say).
void rate_refused(RateLimit *rate, RateTicket ticket, int64_t retry_after_us, int64_t now_us);

// It said how long in words that only the connector reads, once the refusal was noted: no token
// before that.
void rate_hold(RateLimit *rate, int64_t wait_us, int64_t now_us);

// The far side answered normally.
void rate_accepted(RateLimit *rate, RateTicket ticket, int64_t now_us);

// What is allowed now, per second; 0 = no limit is known.
double rate_now(const RateLimit *rate);

// This process's part, (0, 1], of what is configured and of what was learnt alone.
void rate_set_share(RateLimit *rate, double share);

// False while there is nothing that others could begin with: not through, or learnt beside others.
bool rate_learnt(const RateLimit *rate, RateLearnt *ret_learnt);

// Begins with what another process learnt, as if it had been learnt now: held, and after a while
// asked for a little more. Before the first token.
void rate_resume(RateLimit *rate, const RateLearnt *learnt, int64_t now_us);
