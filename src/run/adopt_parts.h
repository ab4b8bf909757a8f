// The insides of adopt.h, for src/run/adopt*.c only: what they know of a table that is taken over.
#pragma once

#include "run/adopt.h"
#include "run/exclusive.h"
#include "run/fetch.h"
#include "run/forget_list.h"

typedef struct Adoption {
    const Job *job;
    const AdoptOptions *options;
    Env *env;
    Arena *arena;
    JobParts parts;
    Exclusive exclusive;
    PlanStream *stream;
    Plan plan;
    Fetch *fetch;
    ForgetList forget;
    Foreign foreign;
    ForeignOptions table;     // as it stands now
    Str schema, name, before; // as the system spells them
    bool is_target, source_moved, has_state;
    int64_t *state_us; // by partition
    size_t slices_a_load;
    Shaper *shaper;
    AdoptReport *report;
} Adoption;

// The loads of all slices, slices_a_load each, but for those that an earlier call has made.
bool adopt_make_loads(Adoption *adoption, Error *err) MUST_USE;
