// EndNote: that a run is over, and what of it was loaded: the note "end.json" in the landing store.
#pragma once

#include "lake/landing.h"

// What all attempts of a run have loaded of a stream. A run that found nothing new and rests has
// loaded nothing.
typedef struct StreamLoads {
    Str stream;
    uint32_t loads;
    size_t slices;
} StreamLoads;

typedef struct EndNote {
    Str status;           // "done", "partial" (slices failed or were left out), "given up"
    StreamLoads *streams; // NULL: it does not tell
    size_t stream_count;
} EndNote;

bool end_note_put(Landing *landing, Str run, const EndNote *note, int64_t now_us,
                  Error *err) MUST_USE;

// *ret_there = false: the run is not over. Lives in `arena`.
bool end_note_read(Landing *landing, Str run, Arena *arena, EndNote *ret_note, bool *ret_there,
                   Error *err) MUST_USE;

// NULL: it does not tell.
const StreamLoads *end_note_stream(const EndNote *note, Str stream);
