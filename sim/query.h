// Query: what a request asks for: its path, cut into words, and its parameters.
//
// Texts are views of the request, or live in the arena where they had to be decoded.
#pragma once

#include "base/arena.h"

enum { QUERY_WORDS_MAX = 8, QUERY_PER_PAGE_DEFAULT = 10, QUERY_PER_PAGE_MAX = 150 };

typedef struct Query {
    Str path; // as sent, behind it the raw query
    Str raw;
    Str resource; // path less /api/v1 and .json: "/accounts/1001/calls"
    bool is_api;  // stood below /api/v1
    Str words[QUERY_WORDS_MAX];
    size_t word_count;

    int64_t page;     // from 1
    int64_t per_page; // as asked; 10 when not
    int32_t from, to; // start_date, end_date; INT32_MIN and INT32_MAX when not given
    Str after;
    Str exclude_fields;
    const char *wrong; // parameter that cannot be read, or NULL
} Query;

bool query_parse(Str target, Arena *arena, Query *ret_query, Error *err) MUST_USE;

// The value of parameter `name`, decoded; {NULL, 0} when it is not there.
bool query_parameter(Str raw, Str name, Arena *arena, Str *ret_value, Error *err) MUST_USE;

// The word at `index` as a number that may be an id, or -1.
int64_t query_id(const Query *query, size_t index);
