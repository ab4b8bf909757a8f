// Reading: one stream being read by sync.h, with its state: the stream that was asked for, or a
// parent of it. Private to sync.c and the files beside it.
//
// reading.c opens one and keeps its state, reading_page.c asks for its pages, sync.c goes through
// its partitions and slices.
#pragma once

#include "connector/progress.h"
#include "connector/sync.h"

enum {
    SYNC_BYTES_MAX = 1024 * 1024 * 1024, // states, partitions and slices of one stream
    SYNC_PAGE_BYTES_MAX = 1024 * 1024 * 1024,
    SYNC_READINGS_MAX = 64,
};

// One page of a parent, kept for its other children.
typedef struct CachedPage {
    Str key;
    HttpResponse response;
} CachedPage;

typedef struct Sync {
    const Connector *connector;
    const SyncHost *host;
    Arena *cache_arena;
    CachedPage *pages;
    size_t page_count;
    size_t page_capacity;
    size_t page_bytes;
    struct Reading *readings[SYNC_READINGS_MAX]; // those that brought an Auth of their own
    size_t reading_count;
} Sync;

// A partition that has a state of its own, or only its key (seen already).
typedef struct PartitionState {
    Str key;
    Progress progress;
    bool has_progress;
    bool seen;    // in this run
    bool is_open; // a slice of it failed, or is not read yet
    size_t sequence;
} PartitionState;

// What a child has to know of its parents once the partitions up to `sequence` are done.
typedef struct ParentState {
    Str json;
    size_t sequence;
} ParentState;

// One stream being read: the one that was asked for, or a parent of it.
typedef struct Reading {
    Sync *sync;
    const Stream *stream;
    Arena *arena;       // lives as long as the reading
    Arena *slice_arena; // of one slice
    Arena *page_arena;  // of one page
    Arena *scratch;
    Auth *auth;
    bool owns_auth;
    Progress progress; // of a stream without partitions
    PartitionState **partitions;
    size_t partition_count;
    size_t partition_capacity;
    size_t *table; // hash of keys -> index + 1
    size_t table_size;
    size_t sequence;
    bool use_global;
    Str global;     // cursor value that new partitions begin with
    Str new_global; // the highest seen in this run
    int64_t lookback_seconds;
    int64_t started_us;
    bool saw_records;
    bool is_open; // a slice failed
    int64_t emitted_us;
    ParentState *parent_states;
    size_t parent_state_first;
    size_t parent_state_count;
    size_t parent_state_capacity;
    Str parent_state; // of closed partitions
    struct Reading **parents;
    size_t parent_count;
    yyjson_val *state;
    Error failure; // the first one of a slice
} Reading;

typedef bool (*RecordFn)(void *context, yyjson_val *record, Error *err);

bool reading_open(Sync *sync, const Stream *stream, yyjson_val *state, Reading **ret_reading,
                  Error *err) MUST_USE;
void reading_freep(Reading **reading); // its parents, too; for CLEANUP()

bool reading_is_partitioned(const Stream *stream);
// The state of the partition with that key; made where there is none yet.
bool reading_find_partition(Reading *reading, Str key, PartitionState **ret_state,
                            Error *err) MUST_USE;

void reading_say(const Sync *sync, const char *level, Str text);
bool reading_cursor_end(const Reading *reading, Instant *ret_end, Error *err) MUST_USE;
// All pages of one slice; `each` gets the records.
bool reading_read_slice(Reading *reading, const Partition *partition, const TimeSlice *slice,
                        const Progress *progress, RecordFn each, void *context,
                        Error *err) MUST_USE;

// A record was handed on: `progress` and the stream's own state take note. NULL: no cursor.
bool reading_observe(Reading *reading, Progress *progress, yyjson_val *record, Error *err) MUST_USE;
void reading_raise_global(Reading *reading, Str value);
bool reading_checkpoint(Reading *reading, Error *err) MUST_USE;
// States of many partitions are long, so they go out every ten minutes only.
bool reading_checkpoint_seldom(Reading *reading, Error *err) MUST_USE;

// The parents' states as JSON; empty where they do not count.
bool reading_parents_text(const Reading *reading, Str *ret_text, Error *err) MUST_USE;
// What the parents' states are when partition `sequence` begins; kept once all up to it are done.
bool reading_note_parents(Reading *reading, size_t sequence, Error *err) MUST_USE;
void reading_release_parents(Reading *reading);
