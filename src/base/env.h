// Env: what code may see of the world. Production fills it from the system, tests by hand.
#pragma once

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

typedef struct Env {
    int64_t (*now_us)(void *state);                         // since 1970-01-01 UTC
    int64_t (*monotonic_us)(void *state);                   // for durations and deadlines
    void (*sleep_us)(void *state, int64_t duration_us);     // may return early
    uint64_t (*random)(void *state);                        // for jitter and ids, never for secrets
    const char *(*variable)(void *state, const char *name); // NULL when not set
    void *state;
    atomic_bool stop; // set by a signal or a deadline; looked at in every wait
} Env;

// Fills `env` from the system: clock, getrandom(), getenv().
void env_init_system(Env *env);

// Waits until `duration_us` have passed. ERROR_STOPPED within 100 ms of env->stop being set.
bool env_wait(Env *env, int64_t duration_us, Error *err) MUST_USE;

// ERROR_STOPPED when somebody asked the program to stop.
bool env_check_stop(Env *env, Error *err) MUST_USE;
