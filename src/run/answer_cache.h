// AnswerCache: what the source answered while partitions were looked for, so that streams with the
// same parents (all of an account's) do not ask the same pages each for itself.
//
// Only while a run is planned, and only of one Fetch, before which it is freed. What was asked with
// other headers, or another credential, is another question.
#pragma once

#include "run/fetch.h"

typedef struct CachedAnswer CachedAnswer;

typedef struct AnswerCache {
    Arena *arena;       // of the entries
    uint64_t bytes_max; // of bodies; what does not fit is asked for again
    uint64_t bytes;
    CachedAnswer *first; // the latest first
} AnswerCache;

// An empty one, within its share of the job's memory.
static inline AnswerCache answer_cache(const Job *job, Arena *arena)
{
    return (AnswerCache){.arena = arena, .bytes_max = job->limits.memory_bytes / 16};
}
void answer_cache_done(AnswerCache *cache); // for CLEANUP()

// NULL = not asked yet. A cache that is NULL is always empty.
const HttpExchange *answer_cache_find(const AnswerCache *cache, const Stream *stream,
                                      const HttpRequest *request);

// Takes *exchange over and sets it to NULL, unless there is no room for it, or it answers what may
// not be asked once for all (no GET).
bool answer_cache_keep(AnswerCache *cache, const Stream *stream, const HttpRequest *request,
                       HttpExchange **exchange, Error *err) MUST_USE;
