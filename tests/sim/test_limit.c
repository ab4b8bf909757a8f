#include "limit.h"

#include "harness/check.h"

enum { ARENA_BYTES = 1024 * 1024 };
#define MS INT64_C(1000)

TEST(a_full_bucket_empties_and_fills_at_its_rate)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Limit limit;
    const LimitPlan plan = {.rate = 10, .burst = 3, .credentials = 2};
    CHECK_OK(limit_init(&limit, &plan, arena, &err), &err);
    int64_t wait = 0;
    const int64_t start = 5000 * MS;
    for (int i = 0; i < 3; i++)
        CHECK(limit_take(&limit, 0, start, &wait));
    CHECK(!limit_take(&limit, 0, start, &wait));
    CHECK_INT(wait / MS, 100);
    CHECK(limit_take(&limit, 1, start, &wait)); // another credential has its own
    CHECK(!limit_take(&limit, 0, start + 99 * MS, &wait));
    CHECK(limit_take(&limit, 0, start + 101 * MS, &wait));
    CHECK(!limit_take(&limit, 0, start + 101 * MS, &wait));
    // A long rest fills no more than the bucket.
    for (int i = 0; i < 3; i++)
        CHECK(limit_take(&limit, 0, start + 60000 * MS, &wait));
    CHECK(!limit_take(&limit, 0, start + 60000 * MS, &wait));
    limit_done(&limit);
}

TEST(a_rate_of_zero_is_no_limit)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Limit limit;
    const LimitPlan plan = {.credentials = 1};
    CHECK_OK(limit_init(&limit, &plan, arena, &err), &err);
    int64_t wait = 0;
    for (int i = 0; i < 1000; i++)
        CHECK(limit_take(&limit, 0, 0, &wait));
    limit_set(&limit, 1, 1);
    CHECK(limit_take(&limit, 0, 0, &wait));
    CHECK(!limit_take(&limit, 0, 0, &wait));
    limit_done(&limit);
}
