// The phases of learning:
//
// FREE: nothing is known. The first refusal, after `opening_count` accepted ones, starts
// MEASURE: wait as told, go on at full speed until the next refusal, and again, until enough was
//   accepted between the first refusal and the last. When the far side's bucket ran full during the
//   waits it accepted less than its rate, which shows in each wait bringing as much as it holds;
//   then what was measured is only a lower bound, and follows
// SEARCH: a rate that holds for long enough to empty the far side's bucket, were it too high, is
//   the new lower bound, one that is refused the upper; halve between them until they are close.
// HOLD: the lower bound. After a long while, ask for a little more: limits change.
#include "net/rate.h"

#include <assert.h>

static const int64_t PAUSE_US = 1000000;      // when the far side does not say how long
static const int64_t PAUSE_US_MAX = 60000000; // our own doubles up to here while nothing goes
static const int64_t PROBE_US = 600000000;    // first time to ask for more; doubles
static const int64_t PROBE_US_MAX = 3600000000;
static const double ENOUGH_COUNT = 80; // accepted between refusals: 1/80 either way
static const int CYCLES_MAX = 12;      // refusals after which fewer must do
static const double CLOSE = 1.03;      // SEARCH ends when high / low is below

void rate_init(RateLimit *rate, double per_second, double burst, int64_t now_us)
{
    assert(per_second >= 0);

    *rate = (RateLimit){.per_second = per_second,
                        .burst = burst >= 1 ? burst : 1,
                        .share = 1,
                        .refilled_at_us = now_us,
                        .pause_us = PAUSE_US,
                        .probe_after_us = PROBE_US};
    rate->tokens = rate->burst;
}

void rate_set_share(RateLimit *rate, double share)
{
    assert(share > 0 && share <= 1);

    rate->share = share;
    if (share < 1)
        rate->alone = false;
}

bool rate_learnt(const RateLimit *rate, RateLearnt *ret_learnt)
{
    if (rate->phase != RATE_HOLD || !rate->whole)
        return false;
    *ret_learnt = (RateLearnt){rate->learnt, rate->burst_seen, rate->burst_most};
    return true;
}

double rate_now(const RateLimit *rate)
{
    const double configured = rate->per_second * rate->share;
    const double learnt =
        rate->phase == RATE_MEASURE ? 0 : rate->learnt * (rate->whole ? rate->share : 1);
    if (configured > 0 && (learnt == 0 || configured < learnt))
        return configured;
    return learnt;
}

// Where nothing is configured, half of what the far side was seen to hold is the most we save up:
// it may not be full, and what we saw came in part through the refill.
static double burst_now(const RateLimit *rate)
{
    if (rate->per_second > 0 || rate->phase < RATE_SEARCH)
        return rate->burst;
    const double seen = rate->burst_seen / 2;
    return seen > rate->burst ? seen : rate->burst;
}

static void refill(RateLimit *rate, int64_t now_us)
{
    if (now_us <= rate->refilled_at_us) // a clock that was set back brings no tokens
        return;
    rate->tokens += (double)(now_us - rate->refilled_at_us) * rate_now(rate) / 1e6;
    const double burst = burst_now(rate);
    if (rate->tokens > burst)
        rate->tokens = burst;
    rate->refilled_at_us = now_us;
}

static void start_rate(RateLimit *rate, double per_second, int64_t now_us)
{
    rate->learnt = per_second;
    rate->fresh = true;
    rate->after_wait = false;
    rate->since_us = now_us;
}

static void hold(RateLimit *rate, int64_t now_us)
{
    rate->phase = RATE_HOLD;
    rate->whole = rate->alone;
    start_rate(rate, rate->low, now_us);
}

void rate_resume(RateLimit *rate, const RateLearnt *learnt, int64_t now_us)
{
    assert(rate->taken == 0);
    assert(learnt->per_second > 0);

    rate->low = learnt->per_second;
    rate->burst_seen = learnt->burst_seen;
    rate->burst_most = learnt->burst_most;
    rate->alone = true;
    hold(rate, now_us);
}

static void search_on(RateLimit *rate, int64_t now_us)
{
    rate->phase = RATE_SEARCH;
    if (rate->high == 0)
        start_rate(rate, (rate->learnt > rate->low ? rate->learnt : rate->low) * 1.5, now_us);
    else if (rate->high / rate->low < CLOSE)
        hold(rate, now_us);
    else
        start_rate(rate, (rate->low + rate->high) / 2, now_us);
}

// After a long time at a learnt rate, ask whether more is allowed by now.
static void probe(RateLimit *rate, int64_t now_us)
{
    if (rate->learnt == 0 || now_us - rate->since_us < rate->probe_after_us)
        return;
    rate->probe_after_us *= rate->probe_after_us * 2 <= PROBE_US_MAX ? 2 : 1;
    rate->low = rate->learnt;
    rate->high = rate->low * 1.1;
    rate->alone = rate->share == 1;
    search_on(rate, now_us);
}

// Did the rate in hand last so long that the far side's bucket would have run empty, were it a
// `gap` too high, and was it really used?
static void judge_rate(RateLimit *rate, int64_t now_us)
{
    double gap = 0.5; // coarse, until something is refused
    if (rate->high > 0)
        gap = (1 - rate->low / rate->learnt) / 2;
    if (gap < 0.01)
        gap = 0.01;
    const double held_us = (double)(now_us - rate->since_us);
    if (held_us < (rate->burst_most + 2) / (rate->learnt * gap) * 1e6)
        return;
    const double used = (double)(rate->taken - rate->refused - rate->since_count) / held_us * 1e6;
    if (used < rate->learnt * 0.95) {
        start_rate(rate, rate->learnt, now_us); // too little demand to tell
        return;
    }
    if (rate->learnt * (1 - gap) > rate->low)
        rate->low = rate->learnt * (1 - gap);
    search_on(rate, now_us);
}

bool rate_take(RateLimit *rate, RatePriority priority, int64_t now_us, RateTicket *ret_ticket,
               int64_t *ret_wait_us)
{
    refill(rate, now_us);
    if (now_us < rate->blocked_until_us) {
        *ret_wait_us = rate->blocked_until_us - now_us;
        return false;
    }
    if (rate->phase == RATE_HOLD)
        probe(rate, now_us);
    else if (rate->phase == RATE_SEARCH)
        judge_rate(rate, now_us);
    const double per_second = rate_now(rate);
    const double needed = priority == RATE_LOW && burst_now(rate) >= 2 ? 2 : 1;
    if (per_second > 0 && rate->tokens < needed) {
        *ret_wait_us = (int64_t)((needed - rate->tokens) / per_second * 1e6) + 1;
        return false;
    }
    if (per_second > 0)
        rate->tokens -= 1;
    if (rate->fresh) { // by now the refusals of the last episode have come in
        rate->fresh = false;
        rate->since_us = now_us;
        rate->since_count = rate->taken - rate->refused;
    }
    if (rate->taken == 0)
        rate->first_us = now_us;
    *ret_ticket = (RateTicket){.sequence = rate->taken++, .taken_at_us = now_us};
    return true;
}

static void begin_measure(RateLimit *rate, uint64_t accepted, int64_t at_us)
{
    rate->phase = RATE_MEASURE;
    rate->alone = rate->share == 1;
    rate->mark_count = accepted;
    rate->mark_us = at_us;
    rate->measured = 0;
    rate->pause_total_us = 0;
}

// One more refusal while measuring: is it enough to know the rate?
static void measure(RateLimit *rate, uint64_t accepted, RateTicket ticket, int64_t now_us)
{
    const double count = (double)(accepted - rate->mark_count);
    const double brought = (double)(accepted - rate->last_count);
    const double taken_us = (double)(ticket.taken_at_us - rate->mark_us);
    rate->measured++;
    if (brought > 0 && brought < rate->burst_seen)
        rate->burst_seen = brought;
    if (taken_us <= 0 || count < 2 || rate->measured < 2)
        return;
    // What the bucket held when we came, if it was full; no wait can have brought more.
    const double per_second = count / taken_us * 1e6;
    const double size = rate->opening_count - rate->opening_us * per_second / 1e6;
    const double waited_us = rate->pause_total_us / rate->measured;
    rate->suspect = waited_us * per_second / 1e6 > size * 0.7;
    if (!rate->suspect && count < ENOUGH_COUNT && rate->measured < CYCLES_MAX)
        return;
    rate->low = (count - 1) / taken_us * 1e6;
    rate->high = rate->suspect ? 0 : (count + 1) / taken_us * 1e6;
    rate->burst_most = rate->opening_count - rate->opening_us * rate->low / 1e6 + 1;
    if (rate->burst_most < rate->burst_seen)
        rate->burst_most = rate->burst_seen;
    rate->learnt = 0;
    if (!rate->suspect && count >= ENOUGH_COUNT)
        hold(rate, now_us);
    else
        search_on(rate, now_us);
}

// Where the waits fill the far side's bucket, it was full when this rate began, as it was when we
// came. What the slower of the two emptyings brought more, over what it took longer, is the refill.
static double refill_at_most(const RateLimit *rate, double count, double taken_us)
{
    const double longer_us = taken_us - rate->opening_us;
    return longer_us > 0 ? (count - rate->opening_count + 2) / longer_us * 1e6 : rate->high;
}

// A rate was refused. It began with at most `burst_most` in the far side's bucket, so what was
// accepted since then, less that, came in through the refill.
static void narrow(RateLimit *rate, uint64_t accepted, RateTicket ticket)
{
    const double taken_us = (double)(ticket.taken_at_us - rate->since_us);
    const double count = (double)accepted - (double)rate->since_count;
    rate->high = rate->learnt;
    if (taken_us <= 0)
        return;
    const double at_least = (count - rate->burst_most - 1) / taken_us * 1e6;
    const double at_most = refill_at_most(rate, count, taken_us);
    if (at_least > rate->low)
        rate->low = at_least;
    if (rate->suspect && rate->after_wait && at_most > rate->low && at_most < rate->high)
        rate->high = at_most;
}

static void learn(RateLimit *rate, uint64_t accepted, RateTicket ticket, int64_t now_us)
{
    if (rate->phase == RATE_FREE) {
        rate->opening_count = (double)accepted;
        rate->opening_us = (double)(ticket.taken_at_us - rate->first_us);
        rate->burst_seen = accepted > 0 ? (double)accepted : 1;
        begin_measure(rate, accepted, ticket.taken_at_us);
    } else if (rate->phase == RATE_MEASURE) {
        measure(rate, accepted, ticket, now_us);
    } else {
        if (rate->whole) { // no more: from here on it is ours alone that is learnt
            rate->learnt *= rate->share;
            rate->low *= rate->share;
            rate->alone = rate->share == 1;
            rate->whole = false;
        }
        narrow(rate, accepted, ticket);
        // A rate that held may do so no longer: then come down far enough to get out of it.
        if (rate->low >= rate->high)
            rate->low = rate->high * 0.9;
        // The first answer to the suspicion: when the refill is no faster than what was measured,
        // the waits brought all that they could.
        const bool cleared = rate->suspect && rate->measured > 0 && rate->high < rate->low * 1.15;
        rate->measured = 0;
        if (cleared && rate->phase == RATE_SEARCH)
            hold(rate, now_us);
        else
            search_on(rate, now_us);
        rate->suspect = rate->suspect && !cleared;
    }
}

void rate_refused(RateLimit *rate, RateTicket ticket, int64_t retry_after_us, int64_t now_us)
{
    refill(rate, now_us);
    const uint64_t accepted = ticket.sequence - rate->refused;
    const bool news = ticket.sequence >= rate->episode_end;
    rate->refused++;
    if (news) {
        rate->episode_end = rate->taken;
        const bool progress = rate->phase == RATE_FREE || accepted > rate->last_count;
        const int64_t twice = rate->pause_us * 2 < PAUSE_US_MAX ? rate->pause_us * 2 : PAUSE_US_MAX;
        rate->pause_us = progress ? PAUSE_US : twice;
        rate->tokens = 0;
        learn(rate, accepted, ticket, now_us);
        rate->after_wait = true;
        rate->last_count = accepted;
    }
    rate_hold(rate, retry_after_us > rate->pause_us ? retry_after_us : rate->pause_us, now_us);
}

void rate_hold(RateLimit *rate, int64_t wait_us, int64_t now_us)
{
    if (now_us + wait_us <= rate->blocked_until_us)
        return;
    const int64_t since_us = rate->blocked_until_us > now_us ? rate->blocked_until_us : now_us;
    rate->pause_total_us += (double)(now_us + wait_us - since_us);
    rate->blocked_until_us = now_us + wait_us;
}

void rate_accepted(RateLimit *rate, RateTicket ticket, int64_t now_us)
{
    (void)ticket;
    refill(rate, now_us);
}
