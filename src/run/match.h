// Match: what a slice that was read is worth: whether it agrees with the source's own total, and
// how far its failure reaches. One set of rules for whoever reads slices: a run, or an executor.
#pragma once

#include "run/slice.h"

typedef enum Match {
    MATCH_AGREES,
    MATCH_READ_AGAIN, // as the next reading
    MATCH_OPEN,       // still growing, outside the totals seen: the next run looks again
    MATCH_NEVER,      // match_fail() says why
} Match;

// Reconciliation of one whole slice.
Match match_slice(const SliceTask *task, int64_t now_us);
bool match_fail(const SliceTask *task, const char *name, Error *err); // always false

// True when a whole reading agrees with the source's own total, or the source tells none; false as
// well where pages before and after a kill speak of different sets.
bool match_adds_up(const PlanStream *stream, const SliceManifest *manifest);

// True when only a slice with one total on all pages and as many keys can show that rows are gone:
// and this one is such a slice. Without totals it is one whose end the source has shown: no answer
// was passed over.
bool match_shows_all(const SliceTask *task);

// What concerns one partition stays there; what concerns the disk, the job or the person stops the
// run.
bool match_fails_alone(const SliceTask *task);

// The latest reading of a slice that is whole in the landing store; 1 where it was not read again.
// `name` is that of any reading.
bool match_last_reading(Landing *landing, const SliceName *name, Arena *arena,
                        uint32_t *ret_reading, Error *err) MUST_USE;

// A slice as people name it: "calls of 1001, slice 4, 2026-03-05".
enum { SLICE_TEXT_BYTES = 200 };
void match_name_slice(const SliceTask *task, char text[SLICE_TEXT_BYTES]);
