// Memo: what the last run of a mode left in the warehouse, kept in the landing store: a mark that
// tells whether anybody has changed anything there since, what planning asks the ledger for, and of
// each window a digest of its keys and hashes. A run that finds nothing to read, or reads just that
// again, needs no load, and a warehouse that sleeps is left asleep. Such a run leaves nothing
// behind: its watermarks stay where they were, and windows that were due are due again.
#pragma once

#include "run/slice.h"
#include "store/store.h"
#include "warehouse/warehouse.h"

typedef struct MemoWindow {
    Str partition_key;
    int64_t from_us, to_us;
    Key128 digest;
} MemoWindow;

typedef struct MemoStream {
    Str stream;
    const Watermark *marks; // of the stream's table
    size_t mark_count;
    const LoadSlice *readings; // rehydration: the latest one of each window
    size_t reading_count;
    MemoWindow *windows;
    size_t window_count;
} MemoStream;

typedef struct Memo {
    Str mark;      // WarehouseMark.text when it was written
    int64_t at_us; // likewise
    bool alone;    // then no other job had loaded its tables, and no run of another mode was open
    MemoStream *streams;
    size_t stream_count;
} Memo;

// *ret_there = false where there is none that can be read: who asks can do without.
bool memo_read(Store *store, Str job, RunMode mode, Arena *arena, Memo *ret_memo, bool *ret_there,
               Error *err) MUST_USE;
bool memo_write(Store *store, Str job, RunMode mode, const Memo *memo, Error *err) MUST_USE;

// What a run compares with and what it finds.
typedef struct MemoRun {
    const Memo *memo; // knows all streams of the plan; NULL = none stands, digests are only taken
    bool reads_again; // the next run reads all of it again: windows without rows need no digest
    Key128 **digests; // [stream][slice]
    bool **taken;
    bool unsure; // the warehouse holds something else than what was read: nothing to remember
    bool rests;  // everything was as the memo says, and nothing was loaded
} MemoRun;
// Whether a memo can hold the plan's windows.
bool memo_fits(const Plan *plan);
bool memo_run_new(const Plan *plan, Arena *arena, MemoRun *ret_run, Error *err) MUST_USE;
// Of a slice that is whole. *ret_same: it shows what the memo says.
bool memo_run_take(MemoRun *run, const SliceTask *slice, bool *ret_same, Error *err) MUST_USE;
bool memo_run_windows(const MemoRun *run, const Plan *plan, size_t stream, Arena *arena,
                      MemoStream *ret_stream, Error *err) MUST_USE;

// NULL where the memo knows nothing of the stream.
const MemoStream *memo_stream(const Memo *memo, Str stream);
// Whether the reading of a window shows what it showed then. *ret_known = false: the memo does not
// know the window.
bool memo_has(const MemoStream *stream, const MemoWindow *window, bool *ret_known);
