// SliceRead: one slice read from the API, page after page, for whoever compares rather than loads:
// nothing is landed.
#pragma once

#include "run/fetch.h"

typedef struct SliceReader {
    const Job *job;
    Env *env;
    Fetch *fetch;               // not started
    const Forgotten *forgotten; // NULL = nobody
    Arena *page_arena;          // of one page
    Arena *request_arena;
} SliceReader;

// What a slice showed. Batches belong to whoever reads: slice_rows_done().
typedef struct SliceRows {
    ShapedBatch **batches;
    size_t batch_count, room;
    size_t rows;
    int64_t total;       // the source's own, of the last page; -1 = it told none
    bool totals_moved;   // not the same on every page
    int64_t quarantined; // records without a usable key
    LeftOut left_out;    // of forgotten people
    int64_t requests;
} SliceRows;

// Lists live in `arena`. Retries as the job says; ERROR_ACCESS when the partition is refused.
bool slice_read(SliceReader *reader, const PlanStream *stream, const PlanSlice *slice,
                Shaper *shaper, Arena *arena, SliceRows *ret_rows, Error *err) MUST_USE;
void slice_rows_done(SliceRows *rows); // for CLEANUP()

// Takes over what the shaper holds, as another batch.
bool slice_rows_take(SliceRows *rows, Shaper *shaper, Arena *arena, Error *err) MUST_USE;
