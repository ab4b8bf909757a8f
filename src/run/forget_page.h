// ForgetPage: one page without the records of forgotten people: for those who shape it, and as
// bytes for the landing store.
#pragma once

#include "connector/connector.h"
#include "contract/forgotten.h"

// What was left out of a slice's pages, for its counts. Starts with its arena only, in which the
// tokens live.
typedef struct LeftOut {
    Arena *arena;
    Key128 *tokens; // of the records' keys
    size_t count, room;
    size_t stubs; // that were put in place of records
} LeftOut;

typedef struct ForgetPage {
    const Forgotten *forgotten;
    const Stream *stream;
    const Contract *contract;
    yyjson_val *partition;
    // Besides: records for which this says so (NULL = none). Only records that the page itself
    // holds, not what a manifest made of them.
    bool (*also)(void *state, yyjson_val *record, yyjson_val *partition, bool *ret_also,
                 Error *err);
    void *state;
} ForgetPage;

// Sorts `outcome` out: *ret_kept are the records to be shaped, *ret_body the page as it is to be
// landed, {NULL, 0} when it may stay as it is. Both live in `arena`. ERROR_DATA where somebody may
// have to go from a page that cannot be written anew (job_check_erasure() refuses such streams).
bool forget_page(const ForgetPage *page, const PageOutcome *outcome, Arena *arena, LeftOut *left,
                 PageOutcome *ret_kept, Str *ret_body, Error *err) MUST_USE;

// How many different records were left out.
int64_t left_out_distinct(const LeftOut *left);
