// The slice's insides, for src/run/slice*.c only: what its parts ask of one another.
#pragma once

#include "run/slice.h"

static inline const PlanPartition *slice_partition(const SliceTask *task)
{
    return &task->stream->partitions[task->stream->slices[task->ordinal].partition];
}

// --- reading (slice.c)

// Before the first page.
bool slice_open_reader(SliceTask *task, Error *err) MUST_USE;

// Asks the reader for the next request. *ret_more = false: the slice is read.
bool slice_next_request(SliceTask *task, bool *ret_more, Error *err) MUST_USE;

// Feeds landed page `task->pages.count` to reader and shaper as if it had just come. *ret_there =
// false: not landed.
bool slice_use_landed_page(SliceTask *task, SliceWorker *worker, bool *ret_there,
                           Error *err) MUST_USE;

// --- what becomes of a page (slice_page.c)

// Takes the records of forgotten people out of what is shaped, and out of *body, the page as it is
// landed ({NULL, 0} = as it came).
bool slice_leave_out(SliceTask *task, SliceWorker *worker, PageOutcome *outcome, Str *body,
                     Error *err) MUST_USE;

// Puts a fresh page into the landing store before anything is made of it. `without` is *body of
// slice_leave_out().
bool slice_land_page(SliceTask *task, SliceWorker *worker, const HttpResponse *response,
                     const PageOutcome *outcome, Str without, PageInfo *ret_info,
                     Error *err) MUST_USE;

// Adds a landed page to those of the slice, and to its manifest's counts and totals.
bool slice_note_page(SliceTask *task, const PageInfo *info, Error *err) MUST_USE;

// Makes a batch of the page's records.
bool slice_shape_page(SliceTask *task, SliceWorker *worker, const PageOutcome *outcome,
                      int64_t fetched_us, Error *err) MUST_USE;

// Adds rows to those that wait, and to the budget.
bool slice_keep_batch(SliceTask *task, ShapedBatch *batch, Error *err) MUST_USE;

// --- its end (slice_end.c)

// After its last page: fills in the manifest. What only served to read is freed.
bool slice_finish(SliceTask *task, SliceWorker *worker, Error *err) MUST_USE;
