#include "run/share.h"

#include "harness/check.h"

// Runs that come and go on one store; every row is a moment and the parts that each run then has,
// in percent.
TEST(runs_share_the_rate_by_priority)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1024 * 1024, &err);
    Findings *findings = arena_alloc(arena, sizeof(*findings), &err);
    CHECK(findings != NULL);
    findings->arena = arena;
    CLEANUP(store_close) Store store = {0};
    CHECK_OK(store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env, arena,
                        findings, &err),
             &err);

    Share daily = {0};
    Share backfill = {0};
    Share monthly = {0};
    Share elsewhere = {0};
    CHECK_OK(share_open(&daily, &store,
                        &(ShareMember){STR("api"), STR("ctm"), STR("incremental"), RATE_HIGH},
                        arena, &err),
             &err);
    CHECK_OK(share_open(&backfill, &store,
                        &(ShareMember){STR("api"), STR("ctm"), STR("historic"), RATE_LOW}, arena,
                        &err),
             &err);
    CHECK_OK(share_open(&monthly, &store,
                        &(ShareMember){STR("api"), STR("ctm"), STR("rehydration"), RATE_LOW}, arena,
                        &err),
             &err);
    CHECK_OK(share_open(&elsewhere, &store,
                        &(ShareMember){STR("another api"), STR("x"), STR("historic"), RATE_LOW},
                        arena, &err),
             &err);

    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK(backfill.part == 1.0);
    CHECK_OK(share_refresh(&elsewhere, &err), &err);
    CHECK(elsewhere.part == 1.0);

    CHECK_OK(share_refresh(&daily, &err), &err);
    CHECK(daily.part == 0.8);
    // Looked at a moment ago: not again before its time.
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK(backfill.part == 1.0);
    test_clock_us += SHARE_REFRESH_US;
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK_INT((int64_t)(backfill.part * 100 + 0.5), 20);

    CHECK_OK(share_refresh(&monthly, &err), &err);
    CHECK_INT((int64_t)(monthly.part * 100 + 0.5), 10);

    // The daily job dies without a word: its time runs out.
    test_clock_us += SHARE_TTL_US;
    CHECK_OK(share_refresh(&monthly, &err), &err);
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK_INT((int64_t)(backfill.part * 100 + 0.5), 50);

    share_close(&monthly);
    test_clock_us += SHARE_REFRESH_US;
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK(backfill.part == 1.0);
    share_close(&backfill);
    share_close(&daily);
    share_close(&elsewhere);
}

// Not to know who else is there costs the run nothing but that.
TEST(a_share_survives_every_fault)
{
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(1024 * 1024, &err);
        Findings *findings = arena_alloc(arena, sizeof(*findings), &err);
        CHECK(findings != NULL);
        findings->arena = arena;
        CLEANUP(store_close) Store store = {0};
        CHECK_OK(store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                            arena, findings, &err),
                 &err);
        Share daily = {0};
        Share backfill = {0};
        CHECK_OK(share_open(&daily, &store,
                            &(ShareMember){STR("api"), STR("ctm"), STR("incremental"), RATE_HIGH},
                            arena, &err) &&
                     share_refresh(&daily, &err),
                 &err);
        fault_arm(nth);
        const bool ok =
            share_open(&backfill, &store,
                       &(ShareMember){STR("api"), STR("ctm"), STR("historic"), RATE_LOW}, arena,
                       &err) &&
            share_refresh(&backfill, &err);
        const bool fired = fault_disarm();
        CHECK(ok || fired);
        CHECK(ok == (err.code == ERROR_NONE));
        // A note that could not be read counted as nobody.
        const int64_t part = (int64_t)(backfill.part * 100 + 0.5);
        CHECK(!ok || part == 20 || (fired && part == 100));
        share_close(&backfill);
        share_close(&daily);
    }
}
