// Load: puts whole slices of one stream into the warehouse, once.
//
// Decides the fate of every row (new, changed, unchanged, older than what is stored, doubled within
// the load), hands the warehouse only what must be written, and closes with ledger and watermark in
// the same transaction.
#pragma once

#include "run/log_book.h"
#include "run/slice.h"

// Stored rows of a slice's window that the slice did not show.
typedef struct Vanished {
    Key128 *keys;
    size_t count;
    size_t stored; // live rows of the window
} Vanished;

typedef struct LoadTask {
    const SliceContext *context;
    const PlanStream *stream;
    uint32_t ordinal;
    uint64_t epoch;
    SliceTask **slices; // in plan order; owned until load_task_free()
    size_t slice_count;
    SliceTask **confirmations; // rehydration: a second reading of slices[i], or NULL
    Watermark *watermarks;     // what this load proves; NULL when the mode moves none
    size_t watermark_count;
    bool only_where_none; // historic: a standing watermark is left alone
    bool accept_deletes;
    LogBook *log; // rows for ETL_LOG that go along; NULL = none. Owned.
    Arena *arena;

    // result
    Error err;
    bool found; // the ledger had it already
    int64_t rows_in, distinct, inserted, updated, unchanged, deleted, quarantined, overflowed;
    int64_t held_back;  // rows that vanished but were not marked
    Vanished *vanished; // of each slice; NULL unless load_look_for_vanished() ran
    bool *
        wants_confirmation; // set by load_look_for_vanished(): slices[i] lacks rows that are stored
    int64_t started_us, ended_us;
} LoadTask;

bool load_task_new(const SliceContext *context, const PlanStream *stream, uint32_t ordinal,
                   size_t slice_count, LoadTask **ret_task, Error *err) MUST_USE;
void load_task_free(LoadTask *task); // with its slices

// SHA-256 over the checksums of all pages of all slices in order: what the ledger keeps of the
// content.
Sha256 load_checksum(const LoadTask *task);

// Rehydration only, before load_execute(): finds the slices whose windows hold stored rows that the
// slice did not show.
bool load_look_for_vanished(LoadTask *task, Warehouse *warehouse, bool *ret_any,
                            Error *err) MUST_USE;

bool load_execute(LoadTask *task, Warehouse *warehouse, Error *err) MUST_USE;
