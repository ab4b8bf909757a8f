// Trouble: faults on request, by script or by rate, so that a client can be tried against a bad
// day.
//
// A script is a JSON array of entries; each request of the API is held against them in order, and
// the first that matches and is due decides:
//   {"match": {"path": "/accounts/1001/calls", "page": 2, "nth": 1}, "times": 1, "do": "reset"}
// What counts is the requests seen by an entry and the seed, never the wall clock: the same run
// meets the same troubles. Threads share Troubles: one lock.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "query.h"

#include <pthread.h>

enum { TROUBLES_MAX = 256, TROUBLE_BYTES_MAX = 512 * 1024 * 1024, TROUBLE_DEPTH_MAX = 1000000 };

// clang-format off
//    name               "do"             what it does
#define TROUBLE_KINDS(X)                                                                                              \
    X(NONE,              "none",           "nothing; keeps the entries behind it from being asked")                    \
    X(STATUS,            "status",         "answers `status` with `retry_after` and `body`")                           \
    X(ERROR_200,         "error_200",      "an error with status 200; `variant` success, error, errors or status")     \
    X(HTML,              "html",           "an HTML page with status 200")                                             \
    X(INVALID_JSON,      "invalid_json",   "cuts the JSON in the middle and closes it wrongly")                        \
    X(REDIRECT,          "redirect",       "302 to `to`, or to the other origin")                                      \
    X(EXPIRED,           "expired",        "401, as if the token had ended")                                           \
    X(NEXT_ELSEWHERE,    "next_elsewhere", "next_page leads to `to`, or to the other origin")                          \
    X(NEXT_SELF,         "next_self",      "next_page leads to the same page")                                         \
    X(SHIFT,             "shift",          "`count` new calls come in before the page is read")                        \
    X(TOTAL,             "total",          "total_entries is wrong by `count`")                                        \
    X(CAP,               "cap",            "no rows beyond `count` (10000); with variant after, by `after` neither")   \
    X(HUGE,              "huge",           "a text of `bytes` (200000000) in the first record")                        \
    X(POISON,            "poison",         "a bad member in the first record; `variant` names it")                     \
    X(DELAY,             "delay",          "answers after `ms`")                                                       \
    X(TIMEOUT,           "timeout",        "no answer; closes after `ms` (600000)")                                    \
    X(DRIP,              "drip",           "`bytes` (1000) every `ms` (100)")                                          \
    X(RESET,             "reset",          "resets the connection instead of answering")                               \
    X(RESET_BODY,        "reset_body",     "resets it in the middle of the body, or behind `bytes`")                   \
    X(TRUNCATE,          "truncate",       "closes it in the middle of the body, or behind `bytes`")                   \
    X(LENGTH_SHORT,      "length_short",   "Content-Length says `bytes` (100) less than is sent")                      \
    X(LENGTH_LONG,       "length_long",    "Content-Length says `bytes` (100) more, then closes")                      \
    X(BAD_GZIP,          "bad_gzip",       "Content-Encoding gzip with a broken stream")
// clang-format on

typedef enum TroubleKind {
#define X(name, text, help) TROUBLE_##name,
    TROUBLE_KINDS(X)
#undef X
        TROUBLE_KIND_COUNT
} TroubleKind;

// Texts live in the arena of whoever asked.
typedef struct Trouble {
    TroubleKind kind;
    int64_t status, count, bytes, ms; // -1 = not given
    Str retry_after;                  // as the header shall have it; {NULL, 0} = no header
    Str body, to, variant;            // size 0 = not given
} Trouble;

typedef struct TroubleEntry TroubleEntry;

typedef struct Troubles {
    pthread_mutex_t lock;
    Arena *arena; // of the entries; replaced with them
    TroubleEntry *entries;
    size_t count;
    uint64_t seed;
} Troubles;

bool troubles_init(Troubles *troubles, uint64_t seed, Error *err) MUST_USE;
void troubles_done(Troubles *troubles);

// Replaces all entries. ERROR_JOB says what is wrong with which entry; the old ones then stay.
bool troubles_set(Troubles *troubles, const yyjson_val *script, Error *err) MUST_USE;

// A script from "503=0.01,reset=0.001": each kind, or status, at a rate.
bool troubles_script_of_rates(Str rates, Arena *arena, Str *ret_script, Error *err) MUST_USE;

// What befalls this request; kind NONE = nothing. Counts it in every entry that matches.
bool troubles_ask(Troubles *troubles, Str method, const Query *query, Arena *arena,
                  Trouble *ret_trouble, Error *err) MUST_USE;

const char *trouble_name(TroubleKind kind); // "reset"

// The entries as JSON, with how often each was matched and done.
bool troubles_write(Troubles *troubles, Buf *out, Error *err) MUST_USE;

// The raw members of a poison, by name: "nul", "surrogate", "utf8", "number", "bigint",
// "duplicate", "deep" (nested `depth` times). False for an unknown name.
typedef struct Poison {
    Str name, value;
    Str second; // the same member once more, or {NULL, 0}
} Poison;
bool trouble_poison(Str name, int64_t depth, Arena *arena, Poison *ret_poison, Error *err) MUST_USE;
