// Slice: reads one slice from its first page to its last: what to ask, what came back, landing,
// shaping. No network and no thread of its own: it is told of answers and says what it wants next.
//
// A SliceTask belongs to one thread at a time and is handed on through queues. Its memory does not
// grow with its pages but for the shaped rows, which count against the run's budget.
#pragma once

#include "base/queue.h"
#include "net/fetcher.h"
#include "run/forget_page.h"
#include "run/plan.h"
#include "run/redacted.h"

#include <stdatomic.h>

enum {
    SLICE_PAGES_MAX = 100000,
    SLICE_LOOKS_MAX =
        3, // first, again because it did not match, once more because totals moved meanwhile
    SLICE_ARENA_BYTES = 64 * 1024 * 1024,
    SLICE_SEAL_MAX = 64, // slices that become whole in one go
};

// Counters that the progress line reads while workers add to them.
typedef struct RunCounters {
    atomic_llong pages, records, rows, bytes, stored_bytes, requests, retries, wait_us;
    atomic_llong batch_bytes; // of shaped rows that are not in the warehouse yet
} RunCounters;

// What all slices of a run share; read-only but for the counters.
typedef struct SliceContext {
    const Job *job;
    const Plan *plan;
    Env *env;
    RunCounters *counters;
    const Forgotten *forgotten; // people who are left out; NULL = nobody
    const atomic_bool *reads;   // slices are being read, or wait to be
    bool notes_rows;            // rows of whole slices are noted for the next run
    atomic_bool *knows_rows;    // and those noted before may be taken (slice_known.h); NULL = false
} SliceContext;

// What a worker thread owns and lends to the task in hand.
typedef struct SliceWorker {
    Landing *landing;  // NULL: pages are shaped and forgotten
    Store *store;      // the landing's
    Arena *page_arena; // reset for every page
    Shaper **shapers;  // of each stream of the plan; made when first used
} SliceWorker;

typedef enum SliceWant {
    SLICE_WANTS_ANSWER, // send task->fetch, give it to slice_go_on() when it is done
    SLICE_WANTS_SEAL,   // read and shaped: slice_seal() makes it whole in the landing store
    SLICE_IS_DONE,      // whole, or read from the landing store
    SLICE_HAS_FAILED,   // task->err says why; what was landed stays
} SliceWant;

// What was noted of one page.
typedef struct SlicePages {
    PageInfo *items;
    size_t count, capacity;
} SlicePages;

typedef struct SliceTask {
    const SliceContext *context;
    const PlanStream *stream;
    uint32_t stream_index;
    uint32_t ordinal; // in the plan of its stream
    uint32_t reading; // from 1
    uint32_t looks;   // readings of this slice that this attempt has asked for before this one
    bool confirms;    // a second look for deletions: keys count, rows do not

    FetchTask fetch; // while SLICE_WANTS_ANSWER: the request in hand; afterwards its answer
    Queue *answered; // where it goes then
    const struct Fetch *fetched_by;
    bool sealed;      // its last page is here: SLICE_WANTS_SEAL
    int64_t attempts; // answers to the request in hand that asked for another try

    // result
    Error err;
    bool denied; // 401 or 403: the partition, not the run
    bool ours;   // it failed at our side, say a full disk: the run, not the partition
    bool cut;    // its last answer was passed over: whether that was all the source did not say
    SliceManifest manifest;
    ShapedBatch **batches;
    size_t batch_count;
    uint64_t batch_bytes; // memory of the rows that wait
    ShapeCounts counts;
    LeftOut left_out; // records of forgotten people
    RedactedKeys redacted;
    Str *drift; // unknown paths of its pages, at most KNOWN_DRIFT_MAX
    size_t drift_count;
    int64_t requests, retries, waited_us, started_us, ended_us;
    uint64_t bytes;

    // private to slice_known.c
    Key128 made_by;
    KnownRowsPage *page_rows; // of each page
    size_t page_rows_room;
    bool has_rows;                          // some of them are there
    uint64_t page_drift[KNOWN_DRIFT_WORDS]; // of `drift` what the page in hand has
    uint32_t pages_known;                   // whose rows were taken as noted

    // private to slice*.c
    Arena *arena;         // lives as long as the reading
    Arena *request_arena; // lives as long as the request in hand
    PageReader *reader;
    SlicePages pages;
    size_t batch_capacity;
    bool resumed; // at least one page came from the landing store
    bool opened;
} SliceTask;

bool slice_new(const SliceContext *context, uint32_t stream_index, uint32_t ordinal,
               uint32_t reading, SliceTask **ret_task, Error *err) MUST_USE;
void slice_free(SliceTask *task); // with batches that nobody took; NULL is fine

// Begins: uses pages that are landed already, then says what is missing.
SliceWant slice_begin(SliceTask *task, SliceWorker *worker);

// Goes on with what came of task->fetch: an answer, or the reason why there is none.
SliceWant slice_go_on(SliceTask *task, SliceWorker *worker);

// Makes the slices durable and whole, all at once: flushing the disk for many costs little more
// than for one. Those that fail say so in task->err.
void slice_seal(SliceTask **tasks, size_t count, Landing *landing);

// Rows of which only keys and hashes are known (ShapedBatch.keys_only) get the rest, from the
// landed pages, one of which is in memory at a time. Who fails may have filled in some.
bool slice_shape_again(SliceTask *task, SliceWorker *worker, Error *err) MUST_USE;

// Gives the shaped rows back to the budget and frees them: after the load, or when the reading is
// void.
void slice_drop_batches(SliceTask *task);

// Moves the rows shaped so far out as ShapedBatch * behind one another; the receiver frees them.
bool slice_take_batches(SliceTask *task, Buf *ret_batches, Error *err) MUST_USE;

SliceName slice_name(const SliceTask *task);

// How many records the slice has, as one of its pages tells it; -1 = it does not.
int64_t slice_page_total(const PlanStream *stream, const PageOutcome *outcome);
