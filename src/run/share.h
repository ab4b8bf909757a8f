// Share: which part of the rate budget a run may use while others use the same API.
//
// Each run says in the landing store that it is there ("rate/<api>/<job>-<mode>.json": priority,
// until when) and looks who else is. Runs of high priority share four fifths of the rate when there
// are any of low priority beside them, all of it otherwise; those of low priority share the rest. A
// run that died is forgotten when its time is over.
//
// What refusals taught a run of the far side's rate lies beside that ("rate/<api>/learnt.json"), so
// that the next one begins there instead of being refused again. Limits change: it is believed for
// a day after it was learnt, and runs that only used it do not make it younger.
#pragma once

#include "net/fetcher.h"
#include "store/store.h"

#define SHARE_REFRESH_US INT64_C(5000000)  // how often a run looks
#define SHARE_TTL_US     INT64_C(20000000) // how long it is believed to be there
#define SHARE_SKEW_US    INT64_C(60000000) // what machines' clocks may differ by
#define SHARE_LEARNT_US  (INT64_C(24) * 3600 * 1000000)

typedef struct Share {
    Store *store;
    Str folder; // "rate/<api>"
    Str path;
    RatePriority priority;
    int64_t refreshed_us;
    double part; // (0, 1]
    // By stream_auth_id(): what is noted, and when it was learnt.
    RateLearnt learnt[FETCH_LANES_MAX];
    int64_t learnt_us[FETCH_LANES_MAX];
    Str learnt_path;
} Share;

typedef struct ShareMember {
    Str api; // what has one limit: all runs that give the same name share it
    Str job;
    Str mode;
    RatePriority priority;
} ShareMember;

// Strings are kept in `arena`.
bool share_open(Share *share, Store *store, const ShareMember *member, Arena *arena,
                Error *err) MUST_USE;

// Looks and says that we are there, at most every SHARE_REFRESH_US; share->part is then up to date.
bool share_refresh(Share *share, Error *err) MUST_USE;

// Reads what earlier runs learnt into share->learnt. A note that is not there or cannot be read is
// nothing learnt; an error is the store's.
bool share_recall_rates(Share *share, Error *err) MUST_USE;

// Notes what this run has learnt, where that is news.
bool share_note_rate(Share *share, size_t auth_id, const RateLearnt *learnt, Error *err) MUST_USE;

void share_close(Share *share); // for CLEANUP(): the others may have it all again
