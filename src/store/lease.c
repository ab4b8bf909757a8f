#include "store/lease.h"

#include "base/kill.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

enum { HOST_BYTES = 65 };

static Str lease_path(const Lease *lease)
{
    return str_from(lease->path);
}

bool lease_take(Lease *lease, Store *store, Str path, Str run, int64_t ttl_us, Error *err)
{
    assert(lease->store == NULL);
    assert(ttl_us >= LEASE_TTL_US_MIN);
    assert(ttl_us <= LEASE_TTL_US_MAX);

    TRY(store_check_path(path, err));
    char host[HOST_BYTES] = "";
    if (gethostname(host, sizeof(host)) != 0)
        (void)snprintf(host, sizeof(host), "unknown");
    host[HOST_BYTES - 1] = '\0'; // POSIX leaves open whether a long name ends

    Lease taken = {.ttl_us = ttl_us, .renewed_at_us = store->env->now_us(store->env->state)};
    (void)snprintf(taken.path, sizeof(taken.path), STR_FMT, STR_ARG(path));
    (void)snprintf(taken.holder, sizeof(taken.holder), "%s/%ld/" STR_FMT, host, (long)getpid(),
                   STR_ARG(run));
    kill_point("lease put, %s", taken.path);
    if (!store->driver->lease_take(store->state, path, str_from(taken.holder), ttl_us, &taken.epoch,
                                   err)) {
        (void)error_context(err, "lease '%s'", taken.path);
        return error_remedy(err, ERROR_DATA,
                            "restore it, or remove it: should the warehouse know of a higher epoch "
                            "than the next run, that run says which to write");
    }
    kill_point("lease was put, %s", taken.path);
    *lease = taken;
    lease->store = store;
    return true;
}

bool lease_renew(Lease *lease, Error *err)
{
    assert(lease->store != NULL);

    Store *store = lease->store;
    const int64_t now_us = store->env->now_us(store->env->state);
    const int64_t elapsed_us = now_us - lease->renewed_at_us;
    if (elapsed_us >= 0 && elapsed_us < lease->ttl_us / 3)
        return true;
    if (!store->driver->lease_renew(store->state, lease_path(lease), str_from(lease->holder),
                                    lease->epoch, lease->ttl_us, err))
        return error_context(err, "lease '%s'", lease->path);
    lease->renewed_at_us = now_us;
    return true;
}

void lease_release(Lease *lease)
{
    if (lease->store == NULL)
        return;
    Error ignored = {0};
    (void)lease->store->driver->lease_release(lease->store->state, lease_path(lease),
                                              str_from(lease->holder), lease->epoch, &ignored);
    *lease = (Lease){0};
}
