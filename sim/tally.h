// Tally: what was asked of the simulator, for tests to look at: counts and a log of the last
// requests.
//
// Threads share a Tally: one lock, taken a few times a request.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <pthread.h>

enum {
    TALLY_LOG_MAX = 16384,
    TALLY_TARGET_BYTES = 232,
    TALLY_PATHS_MAX = 512,
    TALLY_STATUS_MAX = 600
};

typedef struct TallyEntry {
    uint64_t number; // from 1
    uint64_t size;   // of the body
    int16_t status;
    int16_t credential;              // -1 = none
    const char *trouble;             // what befell it, or NULL
    char target[TALLY_TARGET_BYTES]; // "GET /api/v1/accounts?page=2", cut
} TallyEntry;

typedef struct TallyPath {
    char resource[96]; // "/accounts/1001/calls"
    uint64_t requests;
} TallyPath;

typedef struct Tally {
    pthread_mutex_t lock;
    uint64_t requests, bytes, rate_limited, stranger_requests, stranger_credentials;
    uint64_t statuses[TALLY_STATUS_MAX];
    uint32_t now, most; // requests being answered, and the most there were at once
    TallyPath *paths;
    size_t path_count;
    TallyEntry *log; // ring
} Tally;

bool tally_init(Tally *tally, Arena *arena, Error *err) MUST_USE;
void tally_done(Tally *tally);

// Around each request, waits and sending included: how many there are at once.
void tally_enter(Tally *tally);
void tally_leave(Tally *tally);

// Counts an answered request and puts it into the log.
typedef struct TallyRequest {
    Str method, target, resource;
    int status, credential;
    size_t size;
    const char *trouble; // what befell it, or NULL
    bool to_stranger, has_credential;
} TallyRequest;
void tally_count(Tally *tally, const TallyRequest *request);

void tally_clear(Tally *tally);

// The members of a JSON object, and the log from `since` on (numbers start at 1) as a JSON array.
bool tally_write(Tally *tally, Buf *out, Error *err) MUST_USE;
bool tally_write_log(Tally *tally, uint64_t since, Buf *out, Error *err) MUST_USE;
