#include "net/rate.h"

#include "harness/check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { WORKERS = 8 };

static const int64_t START_US = INT64_C(1700000000) * 1000000;
static const int64_t LATENCY_US = 100000;

// A far side: a token bucket whose rate and size the client does not know.
typedef struct FarSide {
    double per_second, burst;
    double tokens;
    int64_t refilled_at_us;
    int64_t retry_after_us; // what it says; -1 = until a token is there, in whole seconds
} FarSide;

static bool far_side_accepts(FarSide *far, int64_t now_us)
{
    far->tokens += (double)(now_us - far->refilled_at_us) * far->per_second / 1e6;
    far->tokens = far->tokens > far->burst ? far->burst : far->tokens;
    far->refilled_at_us = now_us;
    if (far->tokens < 1)
        return false;
    far->tokens -= 1;
    return true;
}

static int64_t far_side_retry_after_us(const FarSide *far)
{
    if (far->retry_after_us >= 0)
        return far->retry_after_us;
    const double seconds = (1 - far->tokens) / far->per_second;
    return ((int64_t)seconds + 1) * 1000000;
}

typedef struct Outcome {
    int64_t last_us; // when the last page came, from the start
    int refused;
    int refused_after_learnt;
    int64_t learnt_at_us; // 0 = never
    int64_t pages_after_learnt;
} Outcome;

// Eight workers ask one after the other, each answer taking LATENCY_US: half there, half back.
static Outcome drive(RateLimit *rate, FarSide *far, int64_t from_us, int64_t pages)
{
    struct {
        bool busy, ok;
        int64_t back_us, retry_us;
        RateTicket ticket;
    } workers[WORKERS] = {0};
    Outcome outcome = {0};
    int64_t now_us = from_us;
    int64_t asked = 0;
    int64_t done = 0;
    while (done < pages) {
        int64_t next_us = INT64_MAX;
        for (int i = 0; i < WORKERS; i++) {
            if (workers[i].busy && workers[i].back_us <= now_us) {
                workers[i].busy = false;
                if (workers[i].ok) {
                    rate_accepted(rate, workers[i].ticket, now_us);
                    done++;
                    outcome.pages_after_learnt += outcome.learnt_at_us != 0 ? 1 : 0;
                } else {
                    rate_refused(rate, workers[i].ticket, workers[i].retry_us, now_us);
                    asked--;
                    outcome.refused++;
                    outcome.refused_after_learnt +=
                        outcome.learnt_at_us != 0 &&
                                workers[i].ticket.taken_at_us - from_us > outcome.learnt_at_us
                            ? 1
                            : 0;
                }
            }
            if (rate->phase == RATE_HOLD && outcome.learnt_at_us == 0)
                outcome.learnt_at_us = now_us - from_us;
            int64_t wait_us = INT64_MAX - now_us;
            if (!workers[i].busy && asked < pages &&
                rate_take(rate, RATE_HIGH, now_us, &workers[i].ticket, &wait_us)) {
                workers[i].busy = true;
                workers[i].ok = far_side_accepts(far, now_us);
                workers[i].retry_us = far_side_retry_after_us(far);
                workers[i].back_us = now_us + LATENCY_US;
                asked++;
            }
            const int64_t then_us = workers[i].busy ? workers[i].back_us : now_us + wait_us;
            next_us = then_us < next_us ? then_us : next_us;
        }
        if (done < pages)
            now_us = next_us;
    }
    outcome.last_us = now_us - from_us;
    return outcome;
}

TEST(a_configured_rate_is_kept_to_the_token)
{
    RateLimit rate = {0};
    rate_init(&rate, 20, 1, START_US);
    FarSide far = {.per_second = 20,
                   .burst = 1,
                   .tokens = 1,
                   .refilled_at_us = START_US,
                   .retry_after_us = 1000000};
    const Outcome outcome = drive(&rate, &far, START_US, 500);
    CHECK_INT(outcome.refused, 0);
    CHECK(outcome.last_us <= 25750000);
}

TEST(a_burst_is_used_and_refilled)
{
    RateLimit rate = {0};
    RateTicket ticket;
    int64_t wait_us = 0;
    rate_init(&rate, 10, 3, START_US);
    for (int i = 0; i < 3; i++)
        CHECK(rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    CHECK(!rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    CHECK(wait_us >= 100000 && wait_us <= 100002);
    CHECK(rate_take(&rate, RATE_HIGH, START_US + wait_us, &ticket, &wait_us));
    // A long idle time saves up no more than the burst.
    for (int i = 0; i < 3; i++)
        CHECK(rate_take(&rate, RATE_HIGH, START_US + 3600000000, &ticket, &wait_us));
    CHECK(!rate_take(&rate, RATE_HIGH, START_US + 3600000000, &ticket, &wait_us));
    // A clock that goes back gives nothing, and takes nothing.
    CHECK(!rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    CHECK(rate_take(&rate, RATE_HIGH, START_US + 3600100001, &ticket, &wait_us));
}

TEST(the_low_leave_a_token_for_the_high)
{
    RateLimit rate = {0};
    RateTicket ticket;
    int64_t wait_us = 0;
    rate_init(&rate, 1, 2, START_US);
    CHECK(rate_take(&rate, RATE_LOW, START_US, &ticket, &wait_us));
    CHECK(!rate_take(&rate, RATE_LOW, START_US, &ticket, &wait_us));
    CHECK(rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    CHECK(!rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    // Where the bucket holds one token only, the low must get it.
    rate_init(&rate, 1, 1, START_US);
    CHECK(rate_take(&rate, RATE_LOW, START_US, &ticket, &wait_us));
}

TEST(no_limit_is_no_limit)
{
    RateLimit rate = {0};
    RateTicket ticket;
    int64_t wait_us = 0;
    rate_init(&rate, 0, 0, START_US);
    for (int i = 0; i < 1000; i++)
        CHECK(rate_take(&rate, RATE_LOW, START_US, &ticket, &wait_us));
}

TEST(a_share_is_a_part_of_the_rate)
{
    RateLimit rate = {0};
    rate_init(&rate, 20, 1, START_US);
    rate_set_share(&rate, 0.25);
    FarSide far = {.per_second = 1e9, .burst = 1e9, .tokens = 1e9, .refilled_at_us = START_US};
    const Outcome outcome = drive(&rate, &far, START_US, 101);
    CHECK(outcome.last_us >= 20000000);
}

TEST(retry_after_is_waited_out)
{
    RateLimit rate = {0};
    RateTicket ticket;
    int64_t wait_us = 0;
    rate_init(&rate, 0, 1, START_US);
    CHECK(rate_take(&rate, RATE_HIGH, START_US, &ticket, &wait_us));
    rate_refused(&rate, ticket, 7000000, START_US + 10);
    CHECK(!rate_take(&rate, RATE_HIGH, START_US + 20, &ticket, &wait_us));
    CHECK_INT(wait_us, 6999990);
    CHECK(rate_take(&rate, RATE_HIGH, START_US + 7000010, &ticket, &wait_us));
    // Refused again and again without a word of how long: our own pause grows, up to a minute.
    int64_t now_us = START_US + 7000010;
    for (int i = 0; i < 20; i++) {
        rate_refused(&rate, ticket, 0, now_us);
        CHECK(!rate_take(&rate, RATE_HIGH, now_us, &ticket, &wait_us));
        CHECK(wait_us <= 60000000);
        now_us += wait_us;
        CHECK(rate_take(&rate, RATE_HIGH, now_us, &ticket, &wait_us));
    }
    rate_refused(&rate, ticket, 0, now_us);
    CHECK(!rate_take(&rate, RATE_HIGH, now_us, &ticket, &wait_us));
    CHECK_INT(wait_us, 60000000);
}

// Whatever the far side's bucket: the rate is found, at least 97 % of it is used from then on, and
// nothing is refused any more.
TEST(a_hidden_rate_is_learnt)
{
    const struct {
        const char *name;
        double per_second, burst;
        int64_t retry_after_us;
        double seconds;
    } rows[] = {
        {"20/s, a second's burst, Retry-After in whole seconds", 20, 20, -1, 590},
        {"20/s, a second's burst, Retry-After absent or 0", 20, 20, 0, 590},
        {"20/s, large burst", 20, 100, -1, 590},
        {"20/s, small burst", 20, 5, -1, 590},
        {"20/s, no burst", 20, 1, -1, 590},
        {"20/s, long Retry-After", 20, 40, 5000000, 1000},
        {"5/s, two seconds' burst", 5, 10, -1, 590},
        {"5/s, no burst", 5, 1, 0, 590},
        {"70/s, a second's burst", 70, 70, -1, 590},
        {"0.5/s", 0.5, 5, -1, 4200},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        RateLimit rate = {0};
        rate_init(&rate, 0, 1, START_US);
        FarSide far = {.per_second = rows[i].per_second,
                       .burst = rows[i].burst,
                       .tokens = rows[i].burst,
                       .refilled_at_us = START_US,
                       .retry_after_us = rows[i].retry_after_us};
        const int64_t pages = (int64_t)(rows[i].per_second * rows[i].seconds);
        const Outcome outcome = drive(&rate, &far, START_US, pages);
        const double after_us = (double)(outcome.last_us - outcome.learnt_at_us);
        const double reached = (double)outcome.pages_after_learnt / after_us * 1e6;
        CHECK(outcome.learnt_at_us > 0);
        CHECK_INT(outcome.refused_after_learnt, 0);
        CHECK(reached >= 0.97 * rows[i].per_second);
    }
}

// What one process learnt, the next one keeps from its first request on: nothing is refused, though
// the far side's bucket has filled up meanwhile.
TEST(a_rate_that_was_learnt_is_handed_on)
{
    const struct {
        const char *name;
        double per_second, burst;
        double seconds;
    } rows[] = {
        {"20/s, a second's burst", 20, 20, 590}, {"20/s, large burst", 20, 100, 590},
        {"20/s, no burst", 20, 1, 590},          {"5/s, two seconds' burst", 5, 10, 590},
        {"70/s, a second's burst", 70, 70, 590},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        RateLearnt learnt = {0};
        RateLimit rate = {0};
        rate_init(&rate, 0, 1, START_US);
        CHECK(!rate_learnt(&rate, &learnt));
        FarSide far = {.per_second = rows[i].per_second,
                       .burst = rows[i].burst,
                       .tokens = rows[i].burst,
                       .refilled_at_us = START_US,
                       .retry_after_us = -1};
        const int64_t pages = (int64_t)(rows[i].per_second * rows[i].seconds);
        const Outcome first = drive(&rate, &far, START_US, pages);
        CHECK(first.refused > 0);
        CHECK(rate_learnt(&rate, &learnt));

        const int64_t later_us = START_US + first.last_us + INT64_C(3600) * 1000000;
        rate_init(&rate, 0, 1, later_us);
        rate_resume(&rate, &learnt, later_us);
        const Outcome second = drive(&rate, &far, later_us, pages * 9 / 10);
        CHECK_INT(second.refused, 0);
        CHECK((double)(pages * 9 / 10) / (double)second.last_us * 1e6 >= 0.97 * rows[i].per_second);
    }
}

// Held for ten minutes, then a tenth more is tried, as by who learnt it himself.
TEST(a_rate_from_before_is_asked_for_more_and_gives_way)
{
    const RateLearnt learnt = {.per_second = 10, .burst_seen = 10, .burst_most = 12};
    RateLimit rate = {0};
    rate_init(&rate, 0, 1, START_US);
    rate_resume(&rate, &learnt, START_US);
    FarSide far = {.per_second = 13,
                   .burst = 10,
                   .tokens = 10,
                   .refilled_at_us = START_US,
                   .retry_after_us = -1};
    const Outcome first = drive(&rate, &far, START_US, 5900);
    CHECK_INT(first.refused, 0);
    CHECK(rate_now(&rate) == 10);
    const Outcome second = drive(&rate, &far, START_US + first.last_us, 80000);
    CHECK(rate_now(&rate) > 11 && rate_now(&rate) <= 13);
    far.per_second = 6;
    (void)drive(&rate, &far, START_US + first.last_us + second.last_us, 4000);
    CHECK(rate_now(&rate) > 5.8 && rate_now(&rate) <= 6);
}

// Beside others, what is learnt is what they leave: that is no news for later, and what was learnt
// alone is shared.
TEST(what_is_learnt_beside_others_is_not_handed_on)
{
    const RateLearnt before = {.per_second = 20, .burst_seen = 2, .burst_most = 3};
    RateLearnt learnt = {0};
    RateLimit rate = {0};
    rate_init(&rate, 0, 1, START_US);
    rate_resume(&rate, &before, START_US);
    rate_set_share(&rate, 0.25);
    CHECK(rate_now(&rate) == 5);
    CHECK(rate_learnt(&rate, &learnt) && learnt.per_second == 20);

    // The others take more than we leave them: only two a second are there.
    FarSide far = {
        .per_second = 2, .burst = 1, .tokens = 1, .refilled_at_us = START_US, .retry_after_us = -1};
    int64_t now_us = START_US;
    for (int i = 0; i < 100 && (rate.refused == 0 || rate.phase != RATE_HOLD); i++)
        now_us += drive(&rate, &far, now_us, 100).last_us;
    CHECK_INT(rate.phase, RATE_HOLD);
    CHECK(rate_now(&rate) > 1.9 && rate_now(&rate) <= 2);
    CHECK(!rate_learnt(&rate, &learnt));
    // Alone again, it is not more than was learnt until the next probe.
    rate_set_share(&rate, 1);
    CHECK(rate_now(&rate) <= 2);
}

// The promise for a slow API: 500 pages at a hidden 20 requests a second end within 3 % of the
// floor, the learning included.
TEST(learning_costs_no_time)
{
    RateLimit rate = {0};
    rate_init(&rate, 0, 1, START_US);
    FarSide far = {.per_second = 20,
                   .burst = 20,
                   .tokens = 20,
                   .refilled_at_us = START_US,
                   .retry_after_us = -1};
    const Outcome outcome = drive(&rate, &far, START_US, 500);
    CHECK(outcome.last_us <= 25750000);
}

// A limit that is lowered is found again, one that is raised is found in time.
TEST(a_limit_that_changes_is_followed)
{
    RateLimit rate = {0};
    rate_init(&rate, 0, 1, START_US);
    FarSide far = {.per_second = 20,
                   .burst = 20,
                   .tokens = 20,
                   .refilled_at_us = START_US,
                   .retry_after_us = -1};
    const Outcome first = drive(&rate, &far, START_US, 2000);
    CHECK(rate_now(&rate) > 19.4 && rate_now(&rate) <= 20);
    far.per_second = 10;
    const Outcome second = drive(&rate, &far, START_US + first.last_us, 4000);
    CHECK(rate_now(&rate) > 9.7 && rate_now(&rate) <= 10);
    far.per_second = 13;
    (void)drive(&rate, &far, START_US + first.last_us + second.last_us, 80000);
    CHECK(rate_now(&rate) > 11 && rate_now(&rate) <= 13); // a tenth at a time, an hour apart
}
