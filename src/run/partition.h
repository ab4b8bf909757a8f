// Partition: finds the partitions of a stream by reading its parents, level by level.
#pragma once

#include "run/answer_cache.h"
#include "run/event.h"
#include "run/fetch.h"
#include "run/plan.h"

typedef struct DiscoverOptions {
    const Job *job;
    const Plan *plan; // mode and range: a parent with a date window is read over the run's own, or
                      // over all of the job's history where a rehydration goes by its rules
    Fetch *fetch;
    Env *env;
    AnswerCache *cache; // what parents answered, for the next stream; NULL = nothing is kept
    Arena *arena;       // what is found lives here
    Str only_value;     // --account: of the outermost partition field; empty = all
    const EventSink *sink;
} DiscoverOptions;

// Fills partitions of `stream`. A parent partition that is refused (403) is passed over and
// reported; any other failure is returned with the parent's name.
bool partition_discover(const DiscoverOptions *options, PlanStream *stream, Error *err) MUST_USE;

// ERROR_NOT_FOUND where --account names a value that none of the streams has, all discovered: a
// misspelt one would read nothing, and look like success.
bool partition_check_named(const PlanStream *streams, size_t count, Str account,
                           Error *err) MUST_USE;

// ERROR_DATA where the outermost parent shows no partition at all, while the ledger knows some: a
// run of nothing would end well, and go on doing so.
bool partition_check_any(const PlanStream *stream, const PlanKnowledge *knowledge,
                         Error *err) MUST_USE;
