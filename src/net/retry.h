// Retry: how long to wait, and what may be asked again at all.
#pragma once

#include "net/http.h"

typedef struct RetryPolicy {
    int64_t attempts;   // tries in all; 1 = never again
    int64_t initial_us; // first wait
    double factor;
    int64_t max_us; // longest wait by our own rule; a Retry-After may ask for more
} RetryPolicy;

// Longest Retry-After that retry_after_us() reports: a year. What says more means "never".
#define RETRY_AFTER_US_MAX (INT64_C(366) * 24 * 3600 * 1000000)

// Exponential with full jitter: uniform in [0, min(max, initial * factor^(attempt - 1))]. `attempt`
// counts from 1.
int64_t retry_backoff_us(const RetryPolicy *policy, int64_t attempt, uint64_t random);

// Retry-After in all its forms (RFC 9110 10.2.3): seconds ("7", "0", "1.5" as some send), an HTTP
// date in any of the three formats. False when there is none or it cannot be read. Never negative.
bool retry_after_us(const HttpResponse *response, int64_t now_us, int64_t *ret_wait_us);

// A wait longer than this is not waited: ERROR_BUSY.
#define RETRY_WAIT_US_MAX (INT64_C(3600) * 1000000)
bool retry_too_long(int64_t wait_us, Error *err); // that error; always false

// An HTTP date (RFC 9110 5.6.7) in any of its three formats. `now_us` tells the century of RFC
// 850's two digits.
bool http_date_parse(Str text, int64_t now_us, int64_t *ret_us);

// GET, HEAD, OPTIONS, PUT and DELETE are idempotent (RFC 9110 9.2.2): they may be sent again after
// a transport error that leaves open whether the far side acted.
bool retry_is_safe_method(Str method);

// 408, 425, 429, 500, 502, 503, 504.
bool retry_is_transient_status(int status);
