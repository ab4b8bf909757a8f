#include "change.h"
#include "world.h"

#include "harness/check.h"

enum { CALLS = 4000, DELETES_PER_MILLION = 100000, CALLS_MAX = CALLS * 2 };
#define DAY INT64_C(86400)

static WorldPlan plan_of(uint32_t deletes_per_million)
{
    WorldPlan plan = {.seed = 11,
                      .calls = CALLS,
                      .accounts = 2,
                      .now = WORLD_NOW_DEFAULT,
                      .rates = {LIFE_EDITS_PER_MILLION, deletes_per_million}};
    CHECK(date_parse(STR("2026-01-01"), &plan.from));
    CHECK(date_parse(STR("2026-03-01"), &plan.to));
    return plan;
}

static void begin(World *world, uint32_t deletes_per_million)
{
    Error err = {0};
    const WorldPlan plan = plan_of(deletes_per_million);
    CHECK_OK(world_init(world, &plan, &err), &err);
}

// All calls of the first account, newest first.
static size_t list(const World *world, Call *calls)
{
    const Selection selection = world_select(&world->accounts[0], INT32_MIN, INT32_MAX);
    Spot spot = selection_skip(&selection, 0);
    size_t count = 0;
    while (selection_next(&selection, &spot, &calls[count]))
        CHECK(++count < CALLS_MAX);
    CHECK_INT((int64_t)count, selection.total);
    return count;
}

static void insert(World *world, int64_t moment)
{
    Error err = {0};
    int64_t id = 0;
    CHECK_OK(change_insert(world, &world->accounts[0], 0, moment, &id, &err), &err);
}

TEST(without_deletions_every_planned_call_is_there)
{
    World world;
    begin(&world, 0);
    CHECK_INT(world_select(&world.accounts[0], INT32_MIN, INT32_MAX).total +
                  world_select(&world.accounts[1], INT32_MIN, INT32_MAX).total,
              CALLS);
    world_done(&world);
}

TEST(skipping_lands_where_walking_does)
{
    static Call calls[CALLS_MAX];
    World world;
    begin(&world, DELETES_PER_MILLION);
    // Inserted calls: in between, several at one second, in front of all, behind all, and far
    // ahead.
    const int64_t now = world.now;
    const int64_t moments[] = {
        now - 9 * DAY, now - 9 * DAY, now - 9 * DAY, now - 20 * DAY, now, now + DAY, 0, 2147483700};
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++)
        insert(&world, moments[i]);
    const size_t count = list(&world, calls);
    const Selection selection = world_select(&world.accounts[0], INT32_MIN, INT32_MAX);
    for (size_t skip = 0; skip < count; skip++) {
        Spot spot = selection_skip(&selection, (uint32_t)skip);
        Call call;
        CHECK_INT(selection_rank(&selection, spot), (int64_t)skip);
        CHECK(selection_next(&selection, &spot, &call));
        CHECK_INT(call.id, calls[skip].id);
        CHECK(skip == 0 || calls[skip].moment <= calls[skip - 1].moment);
    }
    Spot end = selection_skip(&selection, (uint32_t)count);
    Call call;
    CHECK(!selection_next(&selection, &end, &call));
    world_done(&world);
}

// `inserted` calls were put in before the spots were written.
static void check_spots(int inserted)
{
    static Call calls[CALLS_MAX];
    World world;
    Error err = {0};
    begin(&world, 0);
    const int64_t now = world.now;
    for (int i = 0; i < inserted; i++)
        insert(&world, now - i * DAY / 2);
    const size_t count = list(&world, calls);
    char texts[200][SPOT_TEXT_BYTES];
    size_t sizes[200];
    Selection selection = world_select(&world.accounts[0], INT32_MIN, INT32_MAX);
    for (uint32_t i = 0; i < 200; i++)
        sizes[i] = selection_write_spot(&selection, selection_skip(&selection, i), texts[i]);

    CHECK_OK(world_set_now(&world, now + 3 * DAY, &err), &err);
    for (int i = 0; i < 20; i++) // all newer than call 30
        insert(&world, calls[0].moment - i);
    CHECK(calls[30].moment < calls[0].moment - 20);
    selection = world_select(&world.accounts[0], INT32_MIN, INT32_MAX);
    CHECK(selection.total > count + 20);
    for (size_t i = 31; i < 200; i++) {
        Spot spot;
        Call call;
        CHECK(selection_read_spot(&selection, (Str){texts[i], sizes[i]}, &spot));
        CHECK(selection_next(&selection, &spot, &call));
        CHECK_INT(call.id, calls[i].id);
    }
    world_done(&world);
}

TEST(a_written_spot_goes_on_behind_the_same_call_whatever_comes_in)
{
    check_spots(0);
    check_spots(20);
}

TEST(a_spoilt_spot_is_refused)
{
    World world;
    begin(&world, 0);
    const Selection selection = world_select(&world.accounts[0], INT32_MIN, INT32_MAX);
    char text[SPOT_TEXT_BYTES];
    const size_t size = selection_write_spot(&selection, selection_skip(&selection, 5), text);
    Spot spot;
    CHECK(selection_read_spot(&selection, (Str){text, size}, &spot));
    CHECK(!selection_read_spot(&selection, (Str){text, size - 1}, &spot));
    text[3] = text[3] == '7' ? '8' : '7';
    CHECK(!selection_read_spot(&selection, (Str){text, size}, &spot));
    world_done(&world);
}

TEST(the_clock_brings_calls_and_takes_some_away)
{
    static Call before[CALLS_MAX], after[CALLS_MAX], again[CALLS_MAX];
    World world;
    Error err = {0};
    begin(&world, DELETES_PER_MILLION);
    const int64_t now = world.now;
    const size_t count = list(&world, before);
    CHECK_OK(world_set_now(&world, now + 7 * DAY, &err), &err);
    const size_t later = list(&world, after);
    size_t gone = 0, new_calls = 0;
    for (size_t i = 0; i < count; i++) {
        Call call;
        gone += !world_find(&world.accounts[0], before[i].id, &call);
    }
    for (size_t i = 0; i < later; i++)
        new_calls += after[i].moment > now;
    CHECK(gone > 0);
    CHECK(new_calls > 0);
    CHECK_INT((int64_t)(count - gone + new_calls), (int64_t)later);

    // Back in time everything is as it was.
    CHECK_OK(world_set_now(&world, now, &err), &err);
    CHECK_INT((int64_t)list(&world, again), (int64_t)count);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(again[i].id, before[i].id);
    world_done(&world);
}

TEST(a_call_is_deleted_restored_and_inserted_by_hand)
{
    static Call calls[CALLS_MAX], others[CALLS_MAX];
    World world;
    Error err = {0};
    begin(&world, 0);
    Account *account = &world.accounts[0];
    const size_t count = list(&world, calls);
    const int64_t id = calls[100].id;
    Call call;

    CHECK_OK(change_set_fate(&world, account, id, CHANGE_FATE_DELETED, &err), &err);
    CHECK(!world_find(account, id, &call));
    CHECK_INT((int64_t)list(&world, others), (int64_t)count - 1);
    CHECK_INT(others[100].id, calls[101].id);
    CHECK_OK(change_set_fate(&world, account, id, CHANGE_FATE_KEPT, &err), &err);
    CHECK(world_find(account, id, &call));
    CHECK_INT((int64_t)list(&world, others), (int64_t)count);

    int64_t inserted = 0;
    CHECK_OK(change_insert(&world, account, 5, calls[50].moment, &inserted, &err), &err);
    CHECK_INT(inserted, 5);
    CHECK_INT((int64_t)list(&world, others), (int64_t)count + 1);
    CHECK(!change_insert(&world, account, 5, 0, &inserted, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK(!change_insert(&world, account, id, 0, &inserted, &err));
    CHECK_OK(change_set_fate(&world, account, 5, CHANGE_FATE_DELETED, &err), &err);
    CHECK_INT((int64_t)list(&world, others), (int64_t)count);
    CHECK(!change_set_fate(&world, account, 6, CHANGE_FATE_DELETED, &err));
    world_done(&world);
}

TEST(bad_plans_are_refused)
{
    World world;
    Error err = {0};
    WorldPlan plan = plan_of(0);
    plan.accounts = 0;
    CHECK(!world_init(&world, &plan, &err));
    plan.accounts = WORLD_ACCOUNTS_MAX + 1;
    CHECK(!world_init(&world, &plan, &err));
    plan.accounts = 1;
    plan.to = plan.from;
    CHECK(!world_init(&world, &plan, &err));
}

TEST(the_clock_does_not_run_off_the_calendar)
{
    World world;
    Error err = {0};
    begin(&world, 0);
    const int64_t now = world.now;
    CHECK(!world_set_now(&world, now + 4000 * DAY, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_INT(world.now, now);
    world_done(&world);
}
