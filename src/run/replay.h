// Replay: shape and load again what was landed, without asking the API anything.
//
// Each landed run is loaded once more, as it was: the same slices, each in the reading that its
// loads used (replay_choice.h), with the times at which its pages were fetched. The rules that make
// a late backfill harmless make a replay so: what is older than what the warehouse holds is passed
// over. A replay has a lease of its own (job, "replay"), so that scheduled runs go on meanwhile.
#pragma once

#include "run/pipeline.h"

typedef struct ReplayOptions {
    Str from, to; // days; windows that touch them. Empty = everything, and watermarks come back too
    Str stream;   // empty = all
    bool rewrite; // rows whose content is the same are written again: the contract reads them anew
} ReplayOptions;

typedef struct ReplayReport {
    int64_t runs;      // loaded again
    int64_t expired;   // runs whose pages are gone
    int64_t unplanned; // runs that landed something, and whose plan is gone
    int64_t unnoted;   // slices whose loads have no note any more: chosen by what is landed whole
    int64_t missing;   // slices that were loaded once and cannot be told any more
    Str first_missing; // in `arena`
    PipelineReport pipeline;
    int64_t elapsed_us;
} ReplayReport;

bool replay_execute(const Job *job, const ReplayOptions *options, Env *env, const EventSink *sink,
                    Arena *arena, ReplayReport *ret_report, Error *err) MUST_USE;
