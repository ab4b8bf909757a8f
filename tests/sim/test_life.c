#include "life.h"
#include "mix.h"

#include "harness/check.h"

enum { CALLS = 20000 };
#define DAY INT64_C(86400)

static const LifeRates rates = {LIFE_EDITS_PER_MILLION, LIFE_DELETES_PER_MILLION};

// How many of CALLS calls are tagged, scored, revised, transcribed, deleted `age_s` after they
// began.
typedef struct Census {
    int tagged, scored, revised, transcribed, deleted;
} Census;

static Census census(const LifeRates *with, int64_t age_s)
{
    Census result = {0};
    for (uint64_t i = 0; i < CALLS; i++) {
        const LifeCall call = {mix64(i), 1000000, 60};
        const Life life = life_at(&call, with, call.moment + age_s);
        result.tagged += life.tagged;
        result.scored += life.scored;
        result.revised += life.revised;
        result.transcribed += life.transcribed;
        result.deleted += life_deleted_at(call.bits, call.moment, with) <= call.moment + age_s;
    }
    return result;
}

TEST(in_the_end_as_much_has_happened_as_the_rates_say)
{
    const Census end = census(&rates, 90 * DAY);
    CHECK(end.tagged > CALLS / 5 * 0.9 && end.tagged < CALLS / 5 * 1.1);
    CHECK(end.scored > CALLS / 10 * 0.9 && end.scored < CALLS / 10 * 1.1);
    CHECK(end.revised > CALLS / 25 * 0.8 && end.revised < CALLS / 25 * 1.2);
    CHECK(end.deleted > 30 && end.deleted < 90); // three in a thousand
    CHECK_INT(end.transcribed, CALLS);
}

TEST(things_happen_one_after_the_other_and_none_before_the_call_is_over)
{
    const Census none = census(&rates, 59);
    CHECK_INT(none.tagged + none.scored + none.revised + none.transcribed + none.deleted, 0);
    const Census hour = census(&rates, 3599);
    CHECK_INT(hour.deleted, 0);
    CHECK(hour.transcribed > CALLS / 2 && hour.transcribed < CALLS); // one in eight comes late
    const Census week = census(&rates, 7 * DAY - 1);
    CHECK_INT(week.revised, 0);
    const Census month = census(&rates, 30 * DAY);
    CHECK(month.tagged >= week.tagged && month.scored > week.scored && month.revised > 0);
}

TEST(rates_of_zero_leave_calls_alone)
{
    const Census end = census(&(LifeRates){0, 0}, 90 * DAY);
    CHECK_INT(end.tagged + end.scored + end.revised + end.deleted, 0);
}
