// Slice, known rows: a page that comes back byte for byte (lake/known_pages.h) is not shaped again.
// What its rows were when it came before lies beside it (lake/known_rows.h): their keys and hashes,
// which is all that a load of unchanged rows needs. Where a load needs more of such a row after all
// (the warehouse holds another version by now, or has lost it), slice_shape_again() makes it from
// the landed page.
//
// A page gives the same rows only while all that has a part in them is the same: this version of
// pawl, manifest, config, contract, partition (with what templates see of its parent), zone and
// window, and no clock (PageOutcome.repeats).
// For src/run/slice*.c only.
#pragma once

#include "run/slice.h"

// Before the first page: what makes rows of this slice's pages.
bool slice_known_begin(SliceTask *task, Error *err) MUST_USE;

// After a page was landed and noted: takes its rows from beside the page that it repeats, instead
// of slice_shape_page(). *ret_taken = false: they are not known. `outcome` is what was left in it.
bool slice_known_take(SliceTask *task, SliceWorker *worker, const PageOutcome *outcome,
                      bool *ret_taken, Error *err) MUST_USE;

// After a page was shaped: whether and as what the next run may know its rows. `before` and `after`
// are the slice's counts, `whole` is false where a record was left out.
bool slice_known_note(SliceTask *task, const PageOutcome *outcome, const ShapeCounts *before,
                      bool whole, Error *err) MUST_USE;

// Notes which unknown paths the page has that this shaper was given last. They go along with its
// rows, since a shaper that is not asked meets none.
bool slice_known_note_drift(SliceTask *task, const Shaper *shaper, Error *err) MUST_USE;

// Once the slice is whole. Failing costs the next run time, nothing else.
void slice_known_write(const SliceTask *task, Landing *landing);
