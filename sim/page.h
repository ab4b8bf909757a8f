// Page: the answers that hold a list, and how one leads to the next.
//
// {"calls":[...],"page":1,"per_page":150,"total_entries":T,"total_pages":P,"next_page":"absolute
// URL or null", ...}
#pragma once

#include "query.h"
#include "world.h"

// What a page may be asked to get wrong; zero = nothing.
typedef struct PageTwist {
    int64_t total_delta;  // total_entries lies by so many
    Str next_page;        // sent instead of the right one
    bool next_is_self;    // next_page leads to the same page
    int64_t huge_bytes;   // of a text in the first record
    const Change *poison; // set in the first record
} PageTwist;

typedef struct PagePlan {
    const World *world;
    const Query *query;
    Str origin;           // "http://127.0.0.1:8080"
    uint32_t cap;         // page-number paging refuses rows behind it; 0 = none
    bool after_is_capped; // `after` stops there as well
    PageTwist twist;
} PagePlan;

// What stopped a page from being written; the caller answers 400 with it.
typedef enum PageRefusal {
    PAGE_OK,
    PAGE_TOO_LARGE,
    PAGE_BEYOND_CAP,
    PAGE_BAD_PARAMETER,
    PAGE_BAD_AFTER
} PageRefusal;

// The calls of an account. Needs world_read().
bool page_write_calls(const PagePlan *plan, const Account *account, Buf *out,
                      PageRefusal *ret_refusal, Error *err) MUST_USE;

// A list that was made beforehand: `count` items, each written by `write`.
typedef struct PageList {
    const char *key; // "users"
    uint32_t count;
    bool cut_at_10; // per_page is silently no more than 10
    bool (*write)(const void *state, uint32_t index, Buf *out, Error *err);
    const void *state;
} PageList;
bool page_write_list(const PagePlan *plan, const PageList *list, Buf *out, PageRefusal *ret_refusal,
                     Error *err) MUST_USE;
