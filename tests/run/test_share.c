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

    // The monthly one dies while the clock is a day ahead: that counts no longer than it was.
    test_clock_us += SHARE_LEARNT_US;
    CHECK_OK(share_refresh(&monthly, &err), &err);
    test_clock_us -= SHARE_LEARNT_US - SHARE_REFRESH_US;
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK(backfill.part == 1.0);

    share_close(&monthly);
    test_clock_us += SHARE_REFRESH_US;
    CHECK_OK(share_refresh(&backfill, &err), &err);
    CHECK(backfill.part == 1.0);
    share_close(&backfill);
    share_close(&daily);
    share_close(&elsewhere);
}

typedef struct Notes {
    Arena *arena;
    Store store;
    Share share;
} Notes;

static void notes_open(Notes *notes)
{
    Error err = {0};
    *notes = (Notes){.arena = arena_new(1024 * 1024, &err)};
    Findings *findings = arena_alloc(notes->arena, sizeof(*findings), &err);
    CHECK(findings != NULL);
    findings->arena = notes->arena;
    CHECK_OK(store_open(&notes->store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                        notes->arena, findings, &err),
             &err);
    const ShareMember member = {STR("api"), STR("ctm"), STR("historic"), RATE_LOW};
    CHECK_OK(share_open(&notes->share, &notes->store, &member, notes->arena, &err), &err);
}

static void notes_done(Notes *notes)
{
    share_close(&notes->share);
    store_close(&notes->store);
    arena_free(notes->arena);
}

// What the next run of `api` begins with, for credential `auth_id`; 0 = nothing.
static double recalled(Notes *notes, Str api, size_t auth_id)
{
    Error err = {0};
    CLEANUP(share_close) Share next = {0};
    const ShareMember member = {api, STR("ctm"), STR("incremental"), RATE_HIGH};
    CHECK_OK(share_open(&next, &notes->store, &member, notes->arena, &err) &&
                 share_recall_rates(&next, &err),
             &err);
    CHECK(next.learnt[auth_id].per_second == 0 || next.learnt[auth_id].burst_most == 22.5);
    return next.learnt[auth_id].per_second;
}

TEST(the_next_run_knows_what_was_learnt_for_a_day)
{
    Error err = {0};
    CLEANUP(notes_done) Notes notes;
    notes_open(&notes);
    CHECK(recalled(&notes, STR("api"), 0) == 0);

    const RateLearnt learnt = {.per_second = 19.625, .burst_seen = 20, .burst_most = 22.5};
    CHECK_OK(share_note_rate(&notes.share, 3, &learnt, &err), &err);
    CHECK(recalled(&notes, STR("api"), 3) == 19.625);
    CHECK(recalled(&notes, STR("api"), 0) == 0);
    CHECK(recalled(&notes, STR("another api"), 3) == 0);
    // It is no run: the whole rate is there for who comes.
    CHECK_OK(share_refresh(&notes.share, &err), &err);
    CHECK(notes.share.part == 1.0);

    // To have used it all day makes it no younger; to have learnt it anew does.
    test_clock_us += SHARE_LEARNT_US / 2;
    CHECK_OK(share_note_rate(&notes.share, 3, &learnt, &err), &err);
    const RateLearnt other = {.per_second = 8, .burst_seen = 20, .burst_most = 22.5};
    CHECK_OK(share_note_rate(&notes.share, 0, &other, &err), &err);
    test_clock_us += SHARE_LEARNT_US / 2 - 1;
    CHECK(recalled(&notes, STR("api"), 3) == 19.625);
    test_clock_us += 1;
    CHECK(recalled(&notes, STR("api"), 3) == 0);
    CHECK(recalled(&notes, STR("api"), 0) == 8);
    CHECK_OK(share_note_rate(&notes.share, FETCH_LANES_MAX, &other, &err), &err); // no such lane
}

TEST(a_learnt_rate_that_makes_no_sense_is_none)
{
    const struct {
        const char *name, *note;
    } rows[] = {
        {"no JSON", "{"},
        {"nothing", ""},
        {"no lanes", "{\"version\":1}"},
        {"no such lane",
         "{\"lanes\":[{\"auth\":64,\"at_us\":%lld,\"per_second\":5,\"burst_seen\":1,"
         "\"burst_most\":22.5}]}"},
        {"no rate",
         "{\"lanes\":[{\"auth\":0,\"at_us\":%lld,\"burst_seen\":1,\"burst_most\":22.5}]}"},
        {"negative", "{\"lanes\":[{\"auth\":0,\"at_us\":%lld,\"per_second\":-5,\"burst_seen\":1,"
                     "\"burst_most\":22.5}]}"},
        {"infinite", "{\"lanes\":[{\"auth\":0,\"at_us\":%lld,\"per_second\":1e999,\"burst_seen\":1,"
                     "\"burst_most\":22.5}]}"},
        {"learnt tomorrow",
         "{\"lanes\":[{\"auth\":0,\"at_us\":9000000000000000000,\"per_second\":5,"
         "\"burst_seen\":1,\"burst_most\":22.5}]}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(notes_done) Notes notes;
        CLEANUP(buf_done) Buf note = {0};
        notes_open(&notes);
        const char *mark = strstr(rows[i].note, "%lld");
        const size_t head = mark == NULL ? strlen(rows[i].note) : (size_t)(mark - rows[i].note);
        CHECK_OK(buf_append(&note, (Str){rows[i].note, head}, &err), &err);
        if (mark != NULL)
            CHECK_OK(buf_printf(&note, &err, "%lld%s", (long long)test_clock_us, mark + 4), &err);
        CHECK_OK(store_put(&notes.store, notes.share.learnt_path, buf_str(&note), STORE_LAZY, &err),
                 &err);
        CHECK(recalled(&notes, STR("api"), 0) == 0);
        // And is written over.
        const RateLearnt learnt = {.per_second = 5, .burst_seen = 1, .burst_most = 22.5};
        CHECK_OK(share_note_rate(&notes.share, 0, &learnt, &err), &err);
        CHECK(recalled(&notes, STR("api"), 0) == 5);
    }
}

TEST(learnt_rates_survive_every_fault)
{
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        Error err = {0};
        const RateLearnt learnt = {.per_second = 5, .burst_seen = 1, .burst_most = 22.5};
        CLEANUP(notes_done) Notes notes;
        notes_open(&notes);
        fault_arm(nth);
        const bool noted = share_note_rate(&notes.share, 0, &learnt, &err);
        const bool ok = noted && share_recall_rates(&notes.share, &err);
        const bool fired = fault_disarm();
        CHECK(ok || fired);
        CHECK(ok == (err.code == ERROR_NONE));
    }
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
