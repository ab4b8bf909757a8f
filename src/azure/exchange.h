// Exchange: requests to an Azure service, sent again as the project's retry rules have it.
//
// Blocking: one thread sends one request, or a few at once, and waits for all. Sent again after a
// transport error or a transient status (429, 500, 502, 503, 504, 408), with full jitter, or as
// long as Retry-After asks; once more after a 401, with new credentials. A request must therefore
// be one that may act twice: who creates something looks at `uncertain` before it believes a "no".
#pragma once

#include "net/retry.h"

enum { AZURE_CALLS_MAX = 64 * 1024, AZURE_CODE_BYTES_MAX = 80 };

typedef struct AzureCall {
    HttpRequest request;    // without credentials
    HttpExchange *exchange; // the answer; azure_call_done() frees it
    bool uncertain;         // an earlier try may have acted
    const void *tag;        // the caller's
    // private to exchange.c
    size_t header_count; // of the request as it was given
    int64_t tries;
    int64_t due_us;
    bool renewed, under_way, done;
} AzureCall;

// Adds the credentials to a request that is about to be sent; `renew`: what it gave last time was
// refused. NULL where none are needed.
typedef bool AzureAuthorize(void *state, AzureCall *call, bool renew, Error *err);

typedef struct AzureSender {
    HttpClient *client;
    Env *env;
    RetryPolicy policy;
    int64_t retry_within_us; // no try begins later than this after the first; 0 = any
    bool answers_401;        // a 401 is an answer like any other
    bool retries_404;        // the instance metadata service says so while it starts
    AzureAuthorize *authorize;
    void *state;
} AzureSender;

// Five tries within about a minute.
extern const RetryPolicy azure_retry;

// Sends `count` calls, as many at once as the client has connections, and waits for all. True when
// each has an answer, whatever its status; false with the first error that is none: then none has.
bool azure_send(const AzureSender *sender, AzureCall *calls, size_t count, Error *err) MUST_USE;

void azure_call_done(AzureCall *call);

// The service's own name for what went wrong: x-ms-error-code, fit for a message ("" when it is
// none).
Str azure_error_code(const HttpResponse *response);
