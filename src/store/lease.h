// Lease: who may work on something alone, and the number that outlives him.
//
// A lease is a file of the store. Each new holder gets a higher epoch than all before, whether they
// gave it back or died; who checks epochs (a warehouse's fence) is therefore safe from a holder
// that sleeps through the loss of its lease. Held until released, until its time to live has passed
// without a renewal, or, on a local disk, until the holder's process is gone; there a living
// process on the same machine keeps it even when it renews late. ERROR_BUSY says who holds it and
// sets err->retry_after_ms. Kill points: "lease put, <path>" and "lease was put, <path>".
#pragma once

#include "store/store.h"

typedef struct Lease {
    Store *store; // NULL = not held
    char path[STORE_PATH_BYTES_MAX + 1];
    char holder[STORE_HOLDER_BYTES_MAX + 1]; // "<host>/<process>/<run>"
    uint64_t epoch;
    int64_t ttl_us;
    int64_t renewed_at_us;
} Lease;

// Shorter ones are not kept by all stores, nor longer ones.
#define LEASE_TTL_US_MIN INT64_C(15000000)
#define LEASE_TTL_US_MAX INT64_C(60000000)

// `lease` starts as {0}. `ttl_us` lies between the two bounds.
bool lease_take(Lease *lease, Store *store, Str path, Str run, int64_t ttl_us, Error *err) MUST_USE;

// To be called often; writes once a third of the time has passed. ERROR_CONFLICT: it was lost, and
// whatever it protected must stop.
bool lease_renew(Lease *lease, Error *err) MUST_USE;

// Lets the next one in at once. A failure is of no consequence: the lease ends by itself.
void lease_release(Lease *lease); // for CLEANUP(); one that is not held is fine
