// Preview: what a run would do, without doing it.
#pragma once

#include "run/parts.h"
#include "run/run.h"

// Makes the plan of a run that does not happen: asks for partitions, reads the ledger, writes
// nothing. `plan` has the mode, its range and the streams of `parts`.
bool preview_plan(JobParts *parts, const RunOptions *options, const EventSink *sink, Plan *plan,
                  Error *err) MUST_USE;

// What `pawl plan` shows of one stream of a run that does not happen.
typedef struct Preview {
    Str stream;
    int64_t partitions, slices;
    int64_t sampled;  // slices asked for their total
    int64_t rows;     // estimated from them; -1 = the source tells no totals
    int64_t requests; // estimated
    int64_t bytes;    // of bodies, estimated; -1 = unknown
    int64_t loads;
    Str warning; // empty = none
} Preview;

typedef struct Previews {
    Preview *items;
    size_t count;
} Previews;

// Asks for partitions and for the first page of a few slices of each stream; writes nothing
// anywhere. Previews come in `arena`.
bool preview_make(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
                  Arena *arena, Previews *ret_previews, Error *err) MUST_USE;
