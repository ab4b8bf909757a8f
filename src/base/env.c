#include "base/env.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { SLICE_US = 50 * 1000 };

static int64_t clock_us(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_now_us(void *state)
{
    (void)state;
    return clock_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *state)
{
    (void)state;
    return clock_us(CLOCK_MONOTONIC);
}

static void system_sleep_us(void *state, int64_t duration_us)
{
    (void)state;
    const struct timespec duration = {.tv_sec = duration_us / 1000000,
                                      .tv_nsec = duration_us % 1000000 * 1000};
    (void)nanosleep(&duration,
                    NULL); // an interrupted sleep is an early one, which callers allow for
}

static uint64_t system_random(void *state)
{
    (void)state;
    uint64_t value = 0;
    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
        value = (uint64_t)clock_us(CLOCK_MONOTONIC) * UINT64_C(0x9E3779B97F4A7C15);
    return value;
}

static const char *system_variable(void *state, const char *name)
{
    (void)state;
    return getenv(name);
}

void env_init_system(Env *env)
{
    env->now_us = system_now_us;
    env->monotonic_us = system_monotonic_us;
    env->sleep_us = system_sleep_us;
    env->random = system_random;
    env->variable = system_variable;
    env->state = NULL;
    atomic_init(&env->stop, false);
}

bool env_check_stop(Env *env, Error *err)
{
    if (atomic_load(&env->stop))
        return error_set(err, ERROR_STOPPED, "stopped on request");
    return true;
}

bool env_wait(Env *env, int64_t duration_us, Error *err)
{
    const int64_t deadline_us = env->monotonic_us(env->state) + duration_us;
    for (;;) {
        TRY(env_check_stop(env, err));
        const int64_t left_us = deadline_us - env->monotonic_us(env->state);
        if (left_us <= 0)
            return true;
        env->sleep_us(env->state, left_us < SLICE_US ? left_us : SLICE_US);
    }
}
