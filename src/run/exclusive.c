#include "run/exclusive.h"

#include "base/hash.h"

#define LOOK_US INT64_C(500000)

static const char repair_name[] = "repair";

// In one order everywhere, so that two of a kind do not wait for each other.
static const char *lease_name(size_t i)
{
    if (i == 0)
        return "alone";
    if (i <= MODE_COUNT)
        return run_mode_name((RunMode)(i - 1));
    return i == MODE_COUNT + 1 ? "replay" : repair_name;
}

static bool take_one(Lease *lease, const Job *job, Store *store, Env *env, const char *name,
                     int64_t deadline_us, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(env, id);
    TRY(store_path_printf(path, err, STR_FMT "/leases/%s.json", STR_ARG(job->name), name));
    while (!lease_take(lease, store, str_from(path), str_from(id), LEASE_TTL_US_MAX, err)) {
        if (err->code != ERROR_BUSY)
            return false;
        if (env->monotonic_us(env->state) >= deadline_us)
            return error_context(err, "a run of this job is going on");
        *err = (Error){0};
        TRY(env_wait(env, LOOK_US, err));
    }
    return true;
}

bool exclusive_take(Exclusive *exclusive, const Job *job, Store *store, Env *env, RunMode mode,
                    int64_t wait_us, Error *err)
{
    const int64_t deadline_us = env->monotonic_us(env->state) + wait_us;
    for (size_t i = 0; i < EXCLUSIVE_LEASES; i++) {
        if (i == (size_t)mode + 1 && mode != MODE_COUNT)
            continue;
        if (take_one(&exclusive->leases[i], job, store, env, lease_name(i), deadline_us, err))
            continue;
        exclusive_release(exclusive);
        return false;
    }
    return true;
}

bool exclusive_renew(Exclusive *exclusive, Error *err)
{
    for (size_t i = 0; i < EXCLUSIVE_LEASES; i++) {
        if (exclusive->leases[i].store != NULL)
            TRY(lease_renew(&exclusive->leases[i], err));
    }
    return true;
}

void exclusive_release(Exclusive *exclusive)
{
    for (size_t i = EXCLUSIVE_LEASES; i > 0; i--)
        lease_release(&exclusive->leases[i - 1]);
}

bool exclusive_take_repair(Lease *lease, const Job *job, Store *store, Env *env, Error *err)
{
    return take_one(lease, job, store, env, repair_name, 0, err);
}
