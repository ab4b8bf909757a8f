// ReplayChoice: which slices of a landed run its replay loads, and which reading of each.
//
// Those that the run loaded, as the notes of its loads say. Where notes are gone or damaged, what
// was landed whole tells: a reading that the run took, or would have taken, is loaded, for a
// reading is true whenever it is loaded (fresher wins). So a replay may load a slice that its run
// had read and not loaded yet; it never leaves one out that the run had loaded.
#pragma once

#include "run/end_note.h"
#include "run/plan.h"

typedef struct ReplayChoice {
    Landing *landing;
    Str run;
    const EndNote *end; // NULL: the run did not come to its end
    RunMode mode;
    PlanStream *stream; // replayed[] and accepted[] are filled in
    Arena *arena;

    // result
    bool damaged;   // a note was there and could not be read
    size_t unnoted; // slices that the run had loaded, chosen without a note
    size_t missing; // slices that the run had loaded: neither noted nor landed whole
} ReplayChoice;

bool replay_choose(ReplayChoice *choice, Error *err) MUST_USE;
