// Sync: a whole stream, read one slice after the other, with its parents and its state, as
// Airbyte's CDK does it. Requests go through the host, so nothing here touches the network.
//
// `pawl source read` and the conformance cases use it. `pawl run` does not: it drives page readers
// itself, many at once.
#pragma once

#include "connector/connector.h"

enum {
    SYNC_CACHE_BYTES_MAX = 256 * 1024 * 1024, // pages of parents kept for their other children
    SYNC_PARTITIONS_MAX = 10000, // with a state of their own; beyond, one state serves all
};

typedef struct SyncHost {
    void *state;
    // One request, one answer, in `arena`. ERROR_IO and ERROR_BUSY may be tried again.
    bool (*exchange)(void *state, const HttpRequest *request, Arena *arena,
                     HttpResponse *ret_response, Error *err);
    bool (*wait)(void *state, int64_t wait_us, Error *err);
    bool (*record)(void *state, const Stream *stream, yyjson_val *record, Error *err);
    // `json` is the stream's state blob.
    bool (*checkpoint)(void *state, const Stream *stream, Str json, Error *err);
    void (*log)(void *state, const char *level, Str text);
    Env *env;
} SyncHost;

// Reads `stream` from `state` (the blob that checkpoint() was given, or NULL) to its end. A slice
// that fails does not stop the others; then the result is false with the first failure.
bool sync_stream(const Connector *connector, const Stream *stream, yyjson_val *state,
                 const SyncHost *host, Error *err) MUST_USE;
