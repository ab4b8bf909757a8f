// Purge: landed pages without the records that must go: of forgotten people, or copies older than
// the source's redaction. Pages and manifests are written anew, so that resume and replay still
// work; a kill in between leaves work for the next call, and nothing broken.
//
// Who erases rows as well looks first, erases what was found, and rewrites the pages last: what
// only they tell (rows whose columns are masked) is then still there after a kill.
#pragma once

#include "run/exclusive.h"
#include "run/forget_page.h"
#include "run/parts.h"

// A row as a purged record would have made it: what the table may still hold.
typedef struct PurgedRow {
    Key128 key, hash;
} PurgedRow;

typedef struct PurgedRows {
    PurgedRow *items;
    size_t count, room;
} PurgedRows;

// Slices with pages that hold such records, or with a manifest that does not fit them any more. The
// items' own manifests are NULL.
typedef struct PurgeSlices {
    LandedSlice *items;
    bool *whole;
    size_t count, room;
    int64_t pages_unreadable; // of them
} PurgeSlices;

typedef struct Purge {
    JobParts *parts; // of all streams
    Exclusive *exclusive;
    const Forgotten *forgotten;
    PurgedRows *rows; // by stream of the parts, or NULL = not wanted
    // Only slices of this stream and partition that touch the window; empty stream = all.
    Str stream, partition_key;
    int64_t from_us, to_us;
    bool (*also)(void *state, yyjson_val *record, yyjson_val *partition, bool *ret_also,
                 Error *err); // see ForgetPage
    void *state;
    // Called after each run, or of purge_slices() each slice: how many of them are done.
    void (*progress)(void *state, size_t done, size_t total);
    void *progress_state;
    // Result. pages_written: or would be.
    int64_t pages_read, pages_written, records, pages_unreadable, pages_of_others;
    PurgeSlices *look; // set within purge_look()
} Purge;

// Looks and rewrites in one go.
bool purge_pages(Purge *purge, Error *err) MUST_USE;
// Only looks. The slices last as long as the parts' arena.
bool purge_look(Purge *purge, PurgeSlices *ret_slices, Error *err) MUST_USE;
// Rewrites what purge_look() found.
bool purge_slices(Purge *purge, const PurgeSlices *slices, Error *err) MUST_USE;
