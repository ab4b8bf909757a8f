#include "query.h"

#include "harness/check.h"

enum { ARENA_BYTES = 1024 * 1024 };

TEST(paths_lose_their_prefix_and_suffix)
{
    const struct {
        const char *target, *resource;
        bool is_api;
        int word_count;
    } rows[] = {
        {"/api/v1/accounts", "/accounts", true, 1},
        {"/api/v1/accounts.json?page=2", "/accounts", true, 1},
        {"/api/v1/accounts/1001/calls/5/sale.json", "/accounts/1001/calls/5/sale", true, 5},
        {"/oauth2/token", "/oauth2/token", false, 2},
        {"/", "/", false, 0},
        {"", "", false, 0},
        {"//a///b/", "//a///b/", false, 2},
        {"/1/2/3/4/5/6/7/8/9/10", "/1/2/3/4/5/6/7/8/9/10", false, QUERY_WORDS_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].target);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Query query;
        CHECK_OK(query_parse(str_from(rows[i].target), arena, &query, &err), &err);
        CHECK_STR(query.resource, str_from(rows[i].resource));
        CHECK_INT(query.is_api, rows[i].is_api);
        CHECK_INT((int64_t)query.word_count, rows[i].word_count);
    }
}

TEST(parameters_are_decoded_and_judged)
{
    const struct {
        const char *target, *wrong;
        int64_t page, per_page;
        const char *after;
    } rows[] = {
        {"/x?page=3&per_page=150", NULL, 3, 150, ""},
        {"/x?per_page=151", NULL, 1, 151, ""},
        {"/x", NULL, 1, 10, ""},
        {"/x?page=0", "page", 0, 10, ""},
        {"/x?page=a", "page", 1, 10, ""},
        {"/x?start_date=2026-02-30", "start_date", 1, 10, ""},
        {"/x?end_date=x", "end_date", 1, 10, ""},
        {"/x?after=a%2Bb+c%zz&&page", NULL, 1, 10, "a+b c%zz"},
        {"/x?page=&after=%", NULL, 1, 10, "%"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].target);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Query query;
        CHECK_OK(query_parse(str_from(rows[i].target), arena, &query, &err), &err);
        CHECK_STR(str_from(query.wrong == NULL ? "" : query.wrong),
                  str_from(rows[i].wrong == NULL ? "" : rows[i].wrong));
        CHECK_INT(query.page, rows[i].page);
        CHECK_INT(query.per_page, rows[i].per_page);
        CHECK_STR(query.after, str_from(rows[i].after));
    }
}

TEST(running_out_of_memory_is_an_error)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Query query = {0};
        const bool ok = arena != NULL && query_parse(STR("/x?after=b&page=1"), arena, &query, &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
}
