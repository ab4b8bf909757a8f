// Pipeline: drives the slices of a plan through fetch, land, shape and load, each on its own
// threads.
//
//   caller's thread   starts slices in order, gathers whole ones into loads, reports progress
//   fetch thread      all connections; rate budget; credentials
//   worker threads    understand answers, land pages, shape rows (slice.h)
//   write thread      one load after the other into the warehouse (load.h)
//
// Things move between them through bounded queues only. New slices wait while shaped rows fill
// their share of limits.memory and a load is being written: then the writer is what all wait for.
#pragma once

#include "lake/known_pages.h"
#include "run/end_note.h"
#include "run/event.h"
#include "run/fetch.h"
#include "run/load.h"
#include "run/memo.h"

typedef struct PipelineOptions {
    const Job *job;
    Plan *plan;
    Fetch *fetch;         // closed when the pipeline ends
    Landing *landing;     // of the caller's thread
    KnownPages *known;    // likewise; takes in what is landed. NULL = none
    bool knows_rows;      // the warehouse should hold what earlier runs noted of rows
    Store *store;         // likewise
    Warehouse *warehouse; // used by the write thread while the pipeline runs
    Delta *lake;          // likewise; NULL = none
    uint64_t epoch;
    bool accept_deletes;
    MemoRun *memo;              // NULL = loads are always made
    const Forgotten *forgotten; // people who are left out; NULL = nobody
    Str connect_to;             // tests; empty = none
    const EventSink *sink;
    LogBook **log; // replaced: rows that no load took along are in it afterwards
    // Opens a landing store of its own for each worker.
    bool (*open_landing)(void *state, Arena *arena, Store *ret_store, Landing **ret_landing,
                         Error *err);
    // Called about ten times a second: renews what must not run out. An error stops the run.
    bool (*tick)(void *state, Error *err);
    // Asked once where all that was read is as the memo says: whether the loads may be left out.
    bool (*may_rest)(void *state, bool *ret_may, Error *err);
    void *state;
} PipelineOptions;

typedef struct PipelineReport {
    int64_t slices, slices_failed, loads, loads_found;
    int64_t records, inserted, updated, unchanged, deleted, quarantined, overflowed;
    int64_t held_back, unconfirmed; // rows that vanished at the source and were not marked (load.h)
    int64_t pages, bytes, stored_bytes, requests, retries, wait_us;
    int64_t forgotten; // records of forgotten people, left out
    int64_t partitions_failed;
    int64_t slices_left_out; // of partitions that the job admits no more; not in `slices`
    Str first_failure;       // of a partition; empty = none. Lives in `arena`.
    ErrorCode failure;       // its kind
    StreamLoads *streams;    // of the plan, earlier attempts included. They live in `arena`.
} PipelineReport;

// Reads and loads everything in the plan that is not in the warehouse yet. A partition that fails
// alone is counted, not returned; everything else stops the run with `err`, all that was landed
// staying where it is.
bool pipeline_run(const PipelineOptions *options, Env *env, Arena *arena,
                  PipelineReport *ret_report, Error *err) MUST_USE;
