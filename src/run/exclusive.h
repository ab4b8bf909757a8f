// Exclusive: a job without any run, for what must not meet one (forget, adopt): the leases of all
// modes and one of its own.
#pragma once

#include "run/job.h"
#include "store/lease.h"

enum { EXCLUSIVE_LEASES = MODE_COUNT + 3 };

typedef struct Exclusive {
    Lease leases[EXCLUSIVE_LEASES]; // the first is its own: its epoch fences what is written
} Exclusive;

// Starts as {0}. `mode` is the one whose lease the caller holds (MODE_COUNT = none). ERROR_BUSY
// after `wait_us`; then none is held.
bool exclusive_take(Exclusive *exclusive, const Job *job, Store *store, Env *env, RunMode mode,
                    int64_t wait_us, Error *err) MUST_USE;
bool exclusive_renew(Exclusive *exclusive, Error *err) MUST_USE; // see lease_renew()
void exclusive_release(Exclusive *exclusive);                    // for CLEANUP()

// One repair of a job at a time (audit --repair): two would each insert what both find missing, and
// who is forgotten while one reads on must not come back with it. ERROR_BUSY.
bool exclusive_take_repair(Lease *lease, const Job *job, Store *store, Env *env,
                           Error *err) MUST_USE;
