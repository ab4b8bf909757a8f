// The real clock, which tests can push forward: what waits for a minute is tested in no time.
#pragma once

#include "harness/check.h"

#include <pthread.h>

static atomic_llong net_skipped_us;
static Env net_system;

static int64_t net_now_us(void *state)
{
    return net_system.now_us(state) + atomic_load(&net_skipped_us);
}

static int64_t net_monotonic_us(void *state)
{
    return net_system.monotonic_us(state) + atomic_load(&net_skipped_us);
}

static const char *net_variable(void *state, const char *name)
{
    (void)state;
    (void)name;
    return NULL;
}

static inline void net_env_init(Env *env)
{
    env_init_system(&net_system);
    env_init_system(env);
    env->now_us = net_now_us;
    env->monotonic_us = net_monotonic_us;
    env->variable = net_variable;
}

static inline void net_skip_ms(int64_t ms)
{
    (void)atomic_fetch_add(&net_skipped_us, ms * 1000);
}
