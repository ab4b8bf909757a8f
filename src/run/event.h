// Event: something that happened in a run. The console line, the JSON log and the dashboard are
// views of the same records; modules never print.
#pragma once

#include "base/buf.h"
#include "base/env.h"

// clang-format off
//    name                 what it says
#define EVENT_KINDS(X)                                                                                     \
    X(RUN_STARTED,         "a run began, or goes on")                                                      \
    X(PARTITIONS_FOUND,    "the partitions of a stream are known")                                         \
    X(PLAN_MADE,           "slices are cut; nothing was read yet")                                         \
    X(ZONES_UNKNOWN,       "partitions are in a time zone that nobody knows: their days are cut as the job's")      \
    X(MARKS_FAR_BACK,      "watermarks lie more than a year back: so many windows are read because of them") \
    X(SLICE_READ,          "a slice is whole in the landing store")                                        \
    X(SLICE_RESUMED,       "pages that an earlier attempt landed are used again")                          \
    X(SLICE_READ_AGAIN,    "a slice did not match the source's total, or its totals moved")                \
    X(SLICE_OPEN,          "a slice that is still growing lies outside the totals seen; the next run looks again") \
    X(PARTITION_FAILED,    "one partition failed; the others go on")                                       \
    X(PARTITIONS_LEFT_OUT, "slices that were planned are of partitions that the job admits no more")       \
    X(LOAD_COMMITTED,      "a load is in the warehouse")                                                   \
    X(LOAD_FOUND,          "a load was in the warehouse already")                                          \
    X(WAREHOUSE_RESTS,     "nothing new was read: no load was made, the watermarks stay")                  \
    X(DELETES_HELD_BACK,   "too many rows vanished: none was marked; --accept-deletes marks them")         \
    X(DELETES_UNCONFIRMED, "rows seem to have vanished, and the reading to confirm it failed: none was marked") \
    X(NOTES_MISSING,       "a run's notes of loads are gone: its replay loads what was landed whole")        \
    X(CLOCK_AHEAD,         "this machine's clock is ahead of the source's: nothing was removed by its age")  \
    X(DRIFT,               "fields that the contract does not know are kept in _overflow")                 \
    X(REDACTED,            "older copies of records that the source redacted are gone; a receipt tells what waits") \
    X(WAITING,             "something is waited for")                                                      \
    X(PROGRESS,            "counters, about once a second")                                                \
    X(RUN_ENDED,           "a run is over")
// clang-format on

typedef enum EventKind {
#define X(name, what) EVENT_##name,
    EVENT_KINDS(X)
#undef X
} EventKind;

const char *event_name(EventKind kind); // "run_started"

// Members that do not apply are -1 or empty. Borrowed for the time of the call.
typedef struct Event {
    EventKind kind;
    int64_t at_us;
    Str run, job, mode, stream, partition;
    int64_t slice, load;
    int64_t rows, inserted, updated, unchanged, deleted, quarantined, overflowed;
    int64_t bytes, pages, requests, retries, wait_us, duration_us;
    int64_t pages_known; // of them, those whose rows were noted when they came before
    int64_t done, total; // slices
    Str text;            // a reason or a name; never a value of a record, never a secret
} Event;

#define EVENT_NONE                                                                                \
    .slice = -1, .load = -1, .rows = -1, .inserted = -1, .updated = -1, .unchanged = -1,          \
    .deleted = -1, .quarantined = -1, .overflowed = -1, .bytes = -1, .pages = -1, .requests = -1, \
    .retries = -1, .wait_us = -1, .duration_us = -1, .pages_known = -1, .done = -1, .total = -1

// Called on the thread that runs the job, never on two at once.
typedef struct EventSink {
    void (*emit)(void *state, const Event *event);
    void *state;
} EventSink;

extern const EventSink event_sink_none; // for whoever shows nothing

// {"event":"slice_read","at":"2026-...","stream":"calls",...} without what does not apply.
bool event_write_json(const Event *event, Buf *out, Error *err) MUST_USE;
