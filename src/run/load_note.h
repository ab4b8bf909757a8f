// LoadNote: which slices make up a load of a run, and which reading of each: the note
// "<stream>/loads/<ordinal>.json" in the landing store, put before anything of the load is staged.
#pragma once

#include "run/plan.h"

typedef struct LoadNote {
    bool there; // false: no such load was fixed, or its note is gone
    uint32_t ordinal;
    uint32_t *slices;   // ordinals in the plan of the stream
    uint32_t *readings; // of each
    size_t count;
    bool accepts_deletes; // its run was told to believe however many had vanished
} LoadNote;

// One that is there stays: it is the same, for a load that is fixed is only ever gathered so.
bool load_note_create(Landing *landing, Str run, const PlanStream *stream, const LoadNote *note,
                      Error *err) MUST_USE;

// In place of the one that is there: another attempt may be told something else to believe.
bool load_note_put(Landing *landing, Str run, const PlanStream *stream, const LoadNote *note,
                   Error *err) MUST_USE;

// Lists live in `arena`.
bool load_note_read(Landing *landing, Str run, const PlanStream *stream, uint32_t ordinal,
                    Arena *arena, LoadNote *ret_note, Error *err) MUST_USE;
