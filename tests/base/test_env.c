#include "base/env.h"

#include "harness/check.h"

#include <stdlib.h>

TEST(the_system_is_asked)
{
    Env env;
    env_init_system(&env);
    const int64_t now_us = env.now_us(env.state);
    CHECK(now_us > INT64_C(1700000000) * 1000000); // later than when this was written
    const int64_t before_us = env.monotonic_us(env.state);
    env.sleep_us(env.state, 1);
    CHECK(env.monotonic_us(env.state) >= before_us);
    CHECK(env.random(env.state) != env.random(env.state)); // once in 2^64 runs this is wrong
    CHECK(setenv("PAWL_TEST_VARIABLE", "x", 1) == 0);
    CHECK_STR(str_from(env.variable(env.state, "PAWL_TEST_VARIABLE")), STR("x"));
    CHECK(unsetenv("PAWL_TEST_VARIABLE") == 0);
    CHECK(env.variable(env.state, "PAWL_TEST_VARIABLE") == NULL);
    CHECK(!atomic_load(&env.stop));
}

TEST(waiting_takes_its_time)
{
    Error err = {0};
    const int64_t before_us = test_clock_us;
    CHECK_OK(env_wait(&test_env, 1234567, &err), &err);
    CHECK_INT(test_clock_us - before_us, 1234567);
    CHECK_OK(env_wait(&test_env, 0, &err), &err);
    CHECK_OK(env_wait(&test_env, -5, &err), &err);
    CHECK_INT(test_clock_us - before_us, 1234567);
}

// A clock whose every sleep ends early, and that is stopped after a second of them.
typedef struct Clock {
    Env *env;
    int64_t now_us, stop_at_us, longest_us;
} Clock;

static int64_t clock_now_us(void *state)
{
    return ((Clock *)state)->now_us;
}

static void clock_sleep_us(void *state, int64_t duration_us)
{
    Clock *clock = state;
    clock->now_us += duration_us / 2 + 1;
    if (duration_us > clock->longest_us)
        clock->longest_us = duration_us;
    if (clock->now_us >= clock->stop_at_us)
        atomic_store(&clock->env->stop, true);
}

TEST(waiting_ends_soon_after_a_stop)
{
    Error err = {0};
    Clock clock = {.stop_at_us = 1000000};
    Env env = {.monotonic_us = clock_now_us, .sleep_us = clock_sleep_us, .state = &clock};
    clock.env = &env;
    CHECK(!env_wait(&env, INT64_C(3600) * 1000000, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK(clock.longest_us <= 100000);
    CHECK(clock.now_us < 1100000);
    CHECK(!env_check_stop(&env, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
}

TEST(sleeps_that_end_early_are_made_up_for)
{
    Error err = {0};
    Clock clock = {.stop_at_us = INT64_MAX};
    Env env = {.monotonic_us = clock_now_us, .sleep_us = clock_sleep_us, .state = &clock};
    clock.env = &env;
    CHECK_OK(env_wait(&env, 500000, &err), &err);
    CHECK(clock.now_us >= 500000);
}
