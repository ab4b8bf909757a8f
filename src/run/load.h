// Load: puts whole slices of one stream into the warehouse, once.
//
// Decides the fate of every row (new, changed, unchanged, older than what is stored, doubled within
// the load), hands the warehouse only what must be written, and closes with ledger and watermark in
// the same transaction.
#pragma once

#include "lake/delta.h"
#include "run/log_book.h"
#include "run/slice.h"

// Stored rows of a slice's window that the slice did not show.
typedef struct Vanished {
    Key128 *keys;
    size_t count;
    size_t stored; // live rows of the window
} Vanished;

// What a watermark rests on: without a gap from there on.
typedef struct MarkBasis {
    int64_t from_us;
    bool begins; // nothing before it is wanted of a partition that has no watermark
} MarkBasis;

typedef struct LoadTask {
    const SliceContext *context;
    const PlanStream *stream;
    uint32_t ordinal;
    uint64_t epoch;
    SliceTask **slices; // in plan order; owned until load_task_free()
    size_t slice_count;
    SliceTask **confirmations; // rehydration: another reading of slices[i], or NULL
    uint32_t *next_readings;   // rehydration: which reading of slices[i] confirms next
    Watermark *watermarks;     // what this load proves; NULL when the mode moves none
    size_t watermark_count;
    bool only_where_none; // historic: a standing watermark is left alone
    MarkBasis *bases;     // of each watermark, where it must join on to what is in; NULL = it does
    bool accept_deletes;
    Delta *lake;         // written first; NULL = none
    SliceWorker *worker; // shapes rows again of which only keys are known; NULL = none are such
    LogBook *log;        // rows for ETL_LOG that go along; NULL = none. Owned.
    Arena *arena;

    // result
    Error err;
    bool found;  // the ledger had it already
    bool outrun; // some of it is older than what is stored, which differs
    bool held;   // the warehouse takes no more today: `err` says why, a later run loads it
    int64_t rows_in, distinct, inserted, updated, unchanged, deleted, quarantined, overflowed;
    int64_t held_back;        // rows that vanished but were not marked: too many to believe
    int64_t unconfirmed;      // likewise: the reading that should have confirmed it could not
    Error unconfirmed_why;    // the first of them
    Vanished *vanished;       // of each slice; NULL unless load_look_for_vanished() ran
    uint32_t *confirmed;      // readings in one go that agreed with slices[i]
    bool *wants_confirmation; // slices[i] lacks rows that are stored, and that is not proven yet
    int64_t started_us, ended_us;
} LoadTask;

// Where a load ends: at the first slice with which it has `rows_max` rows or `bytes_max` bytes.
typedef struct LoadBounds {
    int64_t rows_unit; // WarehouseDriver.rows_unit
    int64_t rows_max;
    uint64_t bytes_max;
} LoadBounds;

// True when a load of so many rows and bytes should rather end before a slice of `more` rows: with
// it, another unit would begin that the bounds do not let the load fill.
bool load_ends_before(const LoadBounds *bounds, int64_t rows, uint64_t bytes, int64_t more);

bool load_task_new(const SliceContext *context, const PlanStream *stream, uint32_t ordinal,
                   size_t slice_count, LoadTask **ret_task, Error *err) MUST_USE;
void load_task_free(LoadTask *task); // with its slices

// Rehydration only, before load_execute(): finds the slices whose windows hold stored rows that the
// slice did not show.
bool load_look_for_vanished(LoadTask *task, Warehouse *warehouse, bool *ret_any,
                            Error *err) MUST_USE;

// Takes in the second readings in `confirmations`. *ret_more: some slices want another one still.
bool load_confirm(LoadTask *task, bool *ret_more, Error *err) MUST_USE;

bool load_execute(LoadTask *task, Warehouse *warehouse, Error *err) MUST_USE;
