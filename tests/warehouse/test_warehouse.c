// One suite for every driver: what a load promises.
#include "base/thread.h"
#include "batch/promotable.h"
#include "cluster.h"
#include "fixture.h"
#include "warehouse/sql.h"

#include <string.h>
#include <time.h>

__attribute__((constructor)) static void start_servers(void)
{
    if (!fixture_is_there())
        cluster_start();
}

// test_snowflake.py runs this program once more, with Snowflake's fixture.
static const WarehouseDriver *const *drivers(void)
{
    static const WarehouseDriver *const local[] = {&warehouse_duckdb, &warehouse_postgres, NULL};
    static const WarehouseDriver *const snowflake[] = {&warehouse_snowflake, NULL};
    return fixture_is_there() ? snowflake : local;
}

static int databases = 0;

// A new, prepared warehouse of the driver.
static void fresh(Rig *rig, const WarehouseDriver *driver)
{
    check_row(driver->name);
    if (driver == &warehouse_postgres) {
        char options[CLUSTER_OPTIONS_BYTES];
        cluster_fresh(options);
        rig_open_with(rig, driver, options);
    } else if (driver == &warehouse_snowflake) {
        fixture_open(rig, "");
    } else {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%d.duckdb", test_folder(), databases++);
        rig_open(rig, driver, path, "");
    }
    rig_prepare(rig);
}

// Runs its block once a driver, on a fresh warehouse.
#define ON_EACH_DRIVER(id)                              \
    static void id##_on(Rig *rig);                      \
    TEST(id)                                            \
    {                                                   \
        for (size_t i = 0; drivers()[i] != NULL; i++) { \
            CLEANUP(rig_close) Rig rig = {0};           \
            fresh(&rig, drivers()[i]);                  \
            id##_on(&rig);                              \
        }                                               \
    }                                                   \
    static void id##_on(Rig *rig)

#define ROWS(...)                          \
    .rows = (const RigRow[]){__VA_ARGS__}, \
    .count = sizeof((const RigRow[]){__VA_ARGS__}) / sizeof(RigRow)
#define ORDERS     "SELECT id, name FROM shop.\"or\"\"ders\" WHERE _deleted_at IS NULL ORDER BY id"
#define ALL_ORDERS "SELECT id, name, _deleted_at IS NOT NULL FROM shop.\"or\"\"ders\" ORDER BY id"

static RigResult load_ok(Rig *rig, const RigLoad *load)
{
    Error err = {0};
    RigResult result = {0};
    CHECK_OK(rig_load(rig, load, &result, &err), &err);
    return result;
}

// One reading of window 1 to 2 of partition "a" as a load of its own.
static RigResult read_window(Rig *rig, const char *run, int64_t fetched_us, const RigRow *rows,
                             size_t count)
{
    const RigReading reading = {.partition = "a",
                                .from_us = 1,
                                .to_us = 2,
                                .fetched_us = fetched_us,
                                .rows = rows,
                                .count = count};
    return load_ok(rig, &(RigLoad){.run = run, .epoch = 1, .readings = &reading, .count = 1});
}
#define READ(rig, run, fetched_us, ...)                                    \
    read_window((rig), (run), (fetched_us), (const RigRow[]){__VA_ARGS__}, \
                sizeof((const RigRow[]){__VA_ARGS__}) / sizeof(RigRow))

ON_EACH_DRIVER(rows_arrive_as_they_are)
{
    const RigResult result =
        READ(rig, "r1", 77000000, {1, "short"}, {2, "a name of more than twelve bytes"}, {4, ""});
    CHECK_INT(result.inserted, 3);
    CHECK_STR(
        rig_query(rig,
                  "SELECT id, account, name, amount, large, happened, day, ok, score, \"ta\"\"gs\","
                  " _overflow, _fetched_at FROM shop.\"or\"\"ders\" ORDER BY id"),
        STR("1|1|short|-|-|1970-01-01 00:00:01+00|-|-|-|-|-|1970-01-01 00:01:17+00 "
            "2|2|a name of more than twelve bytes|-2.5000|202824096036516704239472512860.16|"
            "1970-01-01 00:00:02+00|1970-01-03|false|0.5|[\"a longer tag\", 1]|-|1970-01-01 "
            "00:01:17+00 "
            "4|4||-2.5000|202824096036516704239472512860.16|1970-01-01 00:00:04+00|1970-01-05|true|"
            "0.5|[\"a longer tag\", 1]|-|1970-01-01 00:01:17+00"));
    char key[UUID_TEXT_BYTES + 1];
    uuid_format(rig_key(1).bytes, key);
    CHECK_STR(rig_query(rig, "SELECT _row_key FROM shop.\"or\"\"ders\" WHERE id = 1"),
              str_from(key));
    CHECK_STR(rig_query(rig, "SELECT DISTINCT _run_id, _load_id, _loaded_at IS NULL, _deleted_at "
                             "FROM shop.\"or\"\"ders\""),
              STR("r1|r1/orders/0|false|-"));
}

ON_EACH_DRIVER(content_that_goes_a_b_a_is_loaded_thrice)
{
    CHECK_INT(READ(rig, "r1", 10, {1, "A"}, {2, "other"}).inserted, 2);
    CHECK_INT(READ(rig, "r2", 20, {1, "B"}, {2, "other"}).updated, 1);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|B 2|other"));
    const RigResult third = READ(rig, "r3", 30, {1, "A"}, {2, "other"});
    CHECK_INT(third.updated, 1);
    CHECK_INT(third.unchanged, 1);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|A 2|other"));
    CHECK_STR(rig_query(rig, "SELECT count(*) FROM main.pawl_load"), STR("3"));
}

ON_EACH_DRIVER(a_load_counts_once)
{
    const RigReading reading = {
        .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5, ROWS({1, "A"})};
    const RigLoad load = {
        .run = "r1", .ordinal = 3, .epoch = 1, .content = "x", .readings = &reading, .count = 1};
    CHECK(!load_ok(rig, &load).loaded);
    CHECK(load_ok(rig, &load).loaded);
    Error err = {0};
    bool has = false;
    CHECK_OK(rig->driver->has_load(rig->state, STR("r1"), STR("orders"), 3, &has, &err), &err);
    CHECK(has);
    CHECK_OK(rig->driver->has_load(rig->state, STR("r1"), STR("orders"), 4, &has, &err), &err);
    CHECK(!has);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|A"));

    RigLoad other = load;
    other.content = "y";
    CHECK(!rig_load(rig, &other, NULL, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message), STR("r1/orders/3"));
    CHECK_CONTAINS(str_from(err.message), STR("another content"));
}

ON_EACH_DRIVER(a_lower_epoch_writes_nothing)
{
    const RigReading reading = {
        .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5, ROWS({1, "A"})};
    RigLoad load = {.run = "r1", .epoch = 7, .readings = &reading, .count = 1};
    (void)load_ok(rig, &load);
    Error err = {0};
    load.run = "r2";
    load.epoch = 6;
    CHECK(!rig_load(rig, &load, NULL, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK_STR(rig_query(rig, "SELECT count(*) FROM main.pawl_load"), STR("1"));

    // Another mode has a fence of its own; a higher epoch takes over, and shuts the lower one out.
    load.mode = "historic";
    (void)load_ok(rig, &load);
    load.mode = NULL;
    load.epoch = 8;
    (void)load_ok(rig, &load);
    load.run = "r3";
    load.epoch = 7;
    CHECK(!rig_load(rig, &load, NULL, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    const Watermark mark = {STR("orders"), STR("a"), 1};
    CHECK(!rig->driver->set_watermark(rig->state, STR("rig"), STR("incremental"), &rig_table, &mark,
                                      7, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
}

ON_EACH_DRIVER(an_older_reading_of_a_window_is_skipped)
{
    (void)READ(rig, "late", 50, {1, "new"});
    const RigReading readings[] = {
        {.partition = "a",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 40,
         ROWS({1, "old"}, {2, "gone since"})},
        {.partition = "a", .from_us = 2, .to_us = 3, .fetched_us = 41, ROWS({3, "another day"})},
        {.partition = "b",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 42,
         ROWS({4, "another account"})},
    };
    const RigResult result =
        load_ok(rig, &(RigLoad){.run = "replay", .epoch = 1, .readings = readings, .count = 3});
    CHECK_INT((int64_t)result.skipped, 1);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|new 3|another day 4|another account"));
    // A reading of the same time is this one again: a replay may mend what was shaped wrongly.
    CHECK_INT((int64_t)READ(rig, "same", 50, {1, "shaped anew"}).skipped, 0);
    CHECK_STR(rig_query(rig, "SELECT name FROM shop.\"or\"\"ders\" WHERE id = 1"),
              STR("shaped anew"));
}

// The row's own time cannot tell: the latest reading found it unchanged, and so did not touch it.
ON_EACH_DRIVER(a_reading_between_two_that_agree_undoes_nothing)
{
    (void)READ(rig, "r1", 10, {1, "A"});
    CHECK_INT(READ(rig, "r3", 30, {1, "A"}).unchanged, 1);
    (void)READ(rig, "r2", 20, {1, "B"});
    CHECK_STR(rig_query(rig, ORDERS), STR("1|A"));
}

ON_EACH_DRIVER(a_later_reading_of_a_wider_window_counts_too)
{
    const RigReading month = {
        .partition = "a", .from_us = 0, .to_us = 30, .fetched_us = 50, ROWS({1, "new"})};
    (void)load_ok(rig, &(RigLoad){.run = "month", .epoch = 1, .readings = &month, .count = 1});
    CHECK_INT((int64_t)READ(rig, "day", 40, {2, "gone since"}).skipped, 1);
    const RigReading wider = {
        .partition = "a", .from_us = 0, .to_us = 31, .fetched_us = 40, ROWS({3, "the day after"})};
    CHECK_INT((int64_t)load_ok(
                  rig, &(RigLoad){.run = "wider", .epoch = 1, .readings = &wider, .count = 1})
                  .skipped,
              0);
}

ON_EACH_DRIVER(streams_without_windows_have_readings_too)
{
    const RigReading later = {.partition = "", .fetched_us = 50, ROWS({1, "new"})};
    const RigReading earlier = {.partition = "", .fetched_us = 40, ROWS({1, "old"})};
    (void)load_ok(rig, &(RigLoad){.run = "r1", .epoch = 1, .readings = &later, .count = 1});
    CHECK_INT(
        (int64_t)load_ok(rig, &(RigLoad){.run = "r2", .epoch = 1, .readings = &earlier, .count = 1})
            .skipped,
        1);
}

ON_EACH_DRIVER(a_row_is_marked_deleted_and_comes_back)
{
    (void)READ(rig, "r1", 10, {1, "A"}, {2, "B"}, {3, "C"});
    const int64_t gone[] = {1, 3, 99};
    const RigReading second = {.partition = "a",
                               .from_us = 1,
                               .to_us = 2,
                               .fetched_us = 20,
                               ROWS({2, "B"}),
                               .gone = gone,
                               .gone_count = 3};
    CHECK_INT(
        load_ok(rig, &(RigLoad){.run = "r2", .epoch = 1, .readings = &second, .count = 1}).deleted,
        2);
    CHECK_STR(rig_query(rig, ALL_ORDERS), STR("1|A|true 2|B|false 3|C|true"));
    CHECK_STR(rig_query(rig, "SELECT _load_id, _deleted_at FROM shop.\"or\"\"ders\" WHERE id = 1"),
              STR("r2/orders/0|1970-01-01 00:00:00.00002+00"));
    // The same content, and yet it must be written.
    CHECK_INT(READ(rig, "r3", 30, {1, "A"}, {2, "B"}).updated, 1);
    CHECK_STR(rig_query(rig, ALL_ORDERS), STR("1|A|false 2|B|false 3|C|true"));
}

ON_EACH_DRIVER(a_fresher_row_is_not_marked)
{
    (void)READ(rig, "r1", 10, {1, "A"});
    const int64_t gone[] = {1};
    const RigReading other = {
        .partition = "b", .from_us = 1, .to_us = 2, .fetched_us = 9, .gone = gone, .gone_count = 1};
    CHECK_INT(
        load_ok(rig, &(RigLoad){.run = "r2", .epoch = 1, .readings = &other, .count = 1}).deleted,
        0);
    CHECK_STR(rig_query(rig, ALL_ORDERS), STR("1|A|false"));
}

static Str watermarks(Rig *rig)
{
    Error err = {0};
    Watermark *marks = NULL;
    size_t count = 0;
    CHECK_OK(rig->driver->read_watermarks(rig->state, STR("rig"), &rig_table, rig->arena, &marks,
                                          &count, &err),
             &err);
    CLEANUP(buf_done) Buf out = {0};
    for (size_t i = 0; i < count; i++)
        CHECK_OK(buf_printf(&out, &err, "%s" STR_FMT "/" STR_FMT "=%lld", i > 0 ? " " : "",
                            STR_ARG(marks[i].stream), STR_ARG(marks[i].partition_key),
                            (long long)marks[i].us),
                 &err);
    Str text = {0};
    CHECK_OK(arena_copy_str(rig->arena, buf_str(&out), &text, &err), &err);
    return text;
}

ON_EACH_DRIVER(watermarks_move_forward_only)
{
    const Watermark first[] = {{STR("orders"), STR("a"), 100}, {STR("orders"), STR("b"), 100}};
    const Watermark second[] = {{STR("orders"), STR("a"), 90},
                                {STR("orders"), STR("b"), 110},
                                {STR("orders"), STR("b"), 105},
                                {STR("orders"), STR("c"), 1}};
    (void)load_ok(rig,
                  &(RigLoad){.run = "r1", .epoch = 1, .watermarks = first, .watermark_count = 2});
    (void)load_ok(rig,
                  &(RigLoad){.run = "r2", .epoch = 1, .watermarks = second, .watermark_count = 4});
    CHECK_STR(watermarks(rig), STR("orders/a=100 orders/b=110 orders/c=1"));

    // By hand they may move back.
    Error err = {0};
    const Watermark back = {STR("orders"), STR("a"), 50};
    CHECK_OK(rig->driver->set_watermark(rig->state, STR("rig"), STR("incremental"), &rig_table,
                                        &back, 1, &err),
             &err);
    CHECK_STR(watermarks(rig), STR("orders/a=50 orders/b=110 orders/c=1"));
}

ON_EACH_DRIVER(an_aborted_load_leaves_nothing)
{
    Error err = {0};
    LoadSlice slices[1];
    const RigReading reading = {
        .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5, ROWS({1, "A"})};
    const RigLoad load = {.run = "r1", .epoch = 5, .readings = &reading, .count = 1};
    const LoadSpec spec = rig_spec(&load, slices);
    bool loaded = true;
    CHECK_OK(rig->driver->load_begin(rig->state, &spec, &loaded, &err), &err);
    rig->driver->load_abort(rig->state);
    rig->driver->load_abort(rig->state);
    // Not even its epoch.
    (void)load_ok(rig, &(RigLoad){.run = "r2", .epoch = 1, .readings = &reading, .count = 1});
    CHECK_STR(rig_query(rig, "SELECT run_id FROM main.pawl_load"), STR("r2"));
}

ON_EACH_DRIVER(the_latest_reading_of_each_window_is_known)
{
    (void)READ(rig, "r1", 10, {1, "A"});
    (void)READ(rig, "r2", 30, {1, "A"}, {2, "B"});
    (void)READ(rig, "r3", 20, {1, "A"}); // skipped
    const RigReading whole = {.partition = "b", .fetched_us = 40, ROWS({9, "Z"})};
    (void)load_ok(rig, &(RigLoad){.run = "r4", .epoch = 1, .readings = &whole, .count = 1});
    Error err = {0};
    LoadSlice *slices = NULL;
    size_t count = 0;
    CHECK_OK(rig->driver->read_slices(rig->state, &rig_table, STR("orders"), rig->arena, &slices,
                                      &count, &err),
             &err);
    CHECK_INT((int64_t)count, 2);
    CHECK_STR(slices[0].partition_key, STR("a"));
    CHECK_INT(slices[0].from_us, 1);
    CHECK_INT(slices[0].to_us, 2);
    CHECK_INT(slices[0].fetched_us, 30);
    CHECK_INT(slices[0].rows, 2);
    CHECK_INT(slices[0].total, 2);
    CHECK_STR(slices[1].partition_key, STR("b"));
    CHECK_INT(slices[1].from_us, 0);
    CHECK_INT(slices[1].to_us, 0);
    CHECK_OK(rig->driver->read_slices(rig->state, &rig_table, STR("other"), rig->arena, &slices,
                                      &count, &err),
             &err);
    CHECK_INT((int64_t)count, 0);
}

ON_EACH_DRIVER(the_keys_of_a_window_are_known)
{
    // Row `id` happened in second `id`, in account id % 10.
    (void)READ(rig, "r1", 10, {3, "A"}, {5, "B"}, {13, "C"}, {23, "D"}, {33, "E"});
    (void)READ(rig, "r2", 30, {13, "newer"});
    Error err = {0};
    Key128 *keys = NULL;
    size_t count = 0;
    const Str columns[] = {STR("account")};
    const Str values[] = {STR("3")};
    const KeyWindow window = {.table = &rig_table,
                              .window_column = STR("happened"),
                              .partition_columns = columns,
                              .partition_values = values,
                              .partition_count = 1,
                              .from_us = 3000000,
                              .to_us = 33000000,
                              .fetched_us = 20};
    CHECK_OK(rig->driver->window_keys(rig->state, &window, rig->arena, &keys, &count, &err), &err);
    CHECK_INT((int64_t)count, 2);
    const Key128 first = rig_key(3), second = rig_key(23);
    CHECK((memcmp(&keys[0], &first, sizeof(first)) == 0 &&
           memcmp(&keys[1], &second, sizeof(second)) == 0) ||
          (memcmp(&keys[1], &first, sizeof(first)) == 0 &&
           memcmp(&keys[0], &second, sizeof(second)) == 0));
    const KeyWindow all = {.table = &rig_table, .window_column = STR(""), .fetched_us = 99};
    CHECK_OK(rig->driver->window_keys(rig->state, &all, rig->arena, &keys, &count, &err), &err);
    CHECK_INT((int64_t)count, 5);
    const Str wrong[] = {STR("acount")};
    const KeyWindow misspelt = {.table = &rig_table,
                                .window_column = STR("happened"),
                                .partition_columns = wrong,
                                .partition_values = values,
                                .partition_count = 1,
                                .to_us = 1,
                                .fetched_us = 20};
    CHECK(!rig->driver->window_keys(rig->state, &misspelt, rig->arena, &keys, &count, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

ON_EACH_DRIVER(dates_of_2038_and_beyond_are_kept)
{
    // Row 2^31: its second is the first that 32 bits cannot hold.
    (void)READ(rig, "r1", INT64_C(4102444800000000), {INT64_C(2147483648), "far"});
    CHECK_STR(rig_query(rig, "SELECT happened, _fetched_at FROM shop.\"or\"\"ders\""),
              STR("2038-01-19 03:14:08+00|2100-01-01 00:00:00+00"));
}

ON_EACH_DRIVER(a_table_evolves_only_where_it_may)
{
    (void)READ(rig, "r1", 10, {1, "A"});
    Error err = {0};
    CHECK(!rig->driver->prepare(rig->state, &rig_table_frozen, 1, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("'extra'"));
    CHECK_OK(rig->driver->prepare(rig->state, &rig_table_wider, 1, &err), &err);
    CHECK_STR(rig_query(rig, "SELECT id, extra FROM shop.\"or\"\"ders\""), STR("1|-"));
    // Once it stands, nobody need add it; and who does not know it may go on.
    CHECK_OK(rig->driver->prepare(rig->state, &rig_table_frozen, 1, &err), &err);
    CHECK_INT(READ(rig, "r2", 20, {2, "B"}).inserted, 1);
}

ON_EACH_DRIVER(a_column_of_another_type_is_named)
{
    Column columns[32];
    memcpy(columns, rig_table.columns, rig_table.column_count * sizeof(Column));
    columns[2].type = COLUMN_INT64;
    TableSpec table = rig_table;
    table.columns = columns;
    Error err = {0};
    CHECK(!rig->driver->prepare(rig->state, &table, 1, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("'name'"));
}

ON_EACH_DRIVER(quarantined_records_commit_with_their_load)
{
    Error err = {0};
    LoadSlice slices[1];
    const RigLoad load = {.run = "r1", .epoch = 1};
    const LoadSpec spec = rig_spec(&load, slices);
    for (int i = 0; i < 2; i++) {
        CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
        struct ArrowArray array = {0};
        CHECK_OK(batch_builder_new(rig_table.quarantine_columns, 4, &builder, &err), &err);
        CHECK_OK(batch_row_begin(builder, &err), &err);
        CHECK_OK(batch_set_str(builder, 0, STR("no key"), &err), &err);
        CHECK_OK(batch_set_str(builder, 2, STR("{\"id\": null}"), &err), &err);
        CHECK_OK(batch_row_end(builder, &err), &err);
        CHECK_OK(batch_builder_finish(builder, &array, &err), &err);
        bool loaded = true;
        CHECK_OK(rig->driver->load_begin(rig->state, &spec, &loaded, &err), &err);
        CHECK_OK(rig->driver->load_write_quarantine(rig->state, &array, &err), &err);
        CHECK(array.release == NULL);
        if (i == 0)
            rig->driver->load_abort(rig->state);
        else
            CHECK_OK(rig->driver->load_commit(rig->state, &(LoadCommit){.quarantined = 1}, &err),
                     &err);
    }
    CHECK_STR(
        rig_query(rig,
                  "SELECT reason, path, record, _load_id FROM shop.\"or\"\"ders__quarantine\""),
        STR("no key|-|{\"id\": null}|r1/orders/0"));
    CHECK_STR(rig_query(rig, "SELECT rows_quarantined FROM main.pawl_load"), STR("1"));
}

ON_EACH_DRIVER(the_log_keeps_what_it_is_given)
{
    Error err = {0};
    const EtlLogRow rows[] = {
        {.run = STR("r1"),
         .job = STR("rig"),
         .mode = STR("incremental"),
         .stage = STR("load"),
         .stream = STR("orders"),
         .partition_key = STR("a"),
         .status = STR("ok"),
         .slice = 3,
         .load = 0,
         .rows_in = 7,
         .rows_landed = 7,
         .rows_inserted = 1,
         .rows_updated = 2,
         .rows_unchanged = 4,
         .rows_deleted = 0,
         .rows_quarantined = 0,
         .rows_overflowed = 5,
         .bytes = INT64_C(5000000000),
         .requests = 2,
         .attempts = 3,
         .wait_us = 1500000,
         .started_us = 1000000,
         .duration_us = 2000000},
        {.run = STR("r1"),
         .stage = STR("run"),
         .status = STR("failed"),
         .slice = -1,
         .load = -1,
         .rows_in = -1,
         .rows_landed = -1,
         .rows_inserted = -1,
         .rows_updated = -1,
         .rows_unchanged = -1,
         .rows_deleted = -1,
         .rows_quarantined = -1,
         .rows_overflowed = -1,
         .bytes = -1,
         .requests = -1,
         .attempts = -1,
         .wait_us = -1,
         .started_us = -1,
         .duration_us = -1,
         .error_json = STR("{\"code\":\"IO\"}")},
    };
    CHECK_OK(rig->driver->append_log(rig->state, rows, 2, &err), &err);
    CHECK_OK(rig->driver->append_log(rig->state, NULL, 0, &err), &err);
    CHECK_STR(
        rig_query(
            rig,
            "SELECT run_id, job, mode, stage, stream, partition_key, slice_ordinal, load_ordinal,"
            " status, rows_in, rows_landed, rows_inserted, rows_updated, rows_unchanged,"
            " rows_deleted, rows_quarantined, rows_overflowed, bytes, requests, attempts,"
            " wait_us, started_at, duration_us, error FROM main.etl_log ORDER BY stage"),
        STR("r1|rig|incremental|load|orders|a|3|0|ok|7|7|1|2|4|0|0|5|5000000000|2|3|1500000|"
            "1970-01-01 00:00:01+00|2000000|- "
            "r1|-|-|run|-|-|-|-|failed|-|-|-|-|-|-|-|-|-|-|-|-|-|-|{\"code\":\"IO\"}"));
}

ON_EACH_DRIVER(a_log_to_which_somebody_added_a_column_is_written_on)
{
    Error err = {0};
    const Str add = STR("ALTER TABLE main.etl_log ADD COLUMN team VARCHAR");
    CHECK_OK(rig->driver->execute(rig->state, "test", &add, 1, NULL, &err), &err);
    const EtlLogRow row = {.run = STR("r1"), .job = STR("rig"), .started_us = 0};
    CHECK_OK(rig->driver->append_log(rig->state, &row, 1, &err), &err);
    CHECK_STR(rig_query(rig, "SELECT run_id, team, logged_at IS NULL FROM main.etl_log"),
              STR("r1|-|false"));
}

ON_EACH_DRIVER(it_may_let_go_between_any_two_calls)
{
    Error err = {0};
    (void)READ(rig, "r1", 10, {1, "A"});
    CHECK_OK(rig->driver->idle(rig->state, &err), &err);
    CHECK_OK(rig->driver->idle(rig->state, &err), &err);
    (void)READ(rig, "r2", 20, {1, "B"});
    CHECK_OK(rig->driver->idle(rig->state, &err), &err);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|B"));
    rig_prepare(rig);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|B"));
}

ON_EACH_DRIVER(views_are_made_anew)
{
    Error err = {0};
    (void)READ(rig, "r1", 10, {1, "A"}, {2, "B"});
    const bool upper = fixture_is_there(); // where names in quotes are as Snowflake keeps them
    ViewSpec view = {STR("shop"), STR("how_many"),
                     upper ? STR("SELECT count(*) AS n FROM \"OR\"\"DERS\"")
                           : STR("SELECT count(*) AS n FROM \"or\"\"ders\"")};
    CHECK_OK(rig->driver->create_views(rig->state, &view, 1, &err), &err);
    CHECK_STR(rig_query(rig, "SELECT * FROM shop.how_many"), STR("2"));
    view.select = upper ? STR("SELECT max(id) AS largest FROM \"OR\"\"DERS\"")
                        : STR("SELECT max(id) AS largest FROM \"or\"\"ders\"");
    CHECK_OK(rig->driver->create_views(rig->state, &view, 1, &err), &err);
    CHECK_OK(rig->driver->idle(rig->state, &err), &err);
    CHECK_STR(rig_query(rig, "SELECT * FROM shop.how_many"), STR("2"));
    CHECK_STR(rig_query(rig, "SELECT largest FROM shop.how_many"), STR("2"));

    // A text that does not fit takes none of its fellows along.
    const ViewSpec views[] = {{STR("shop"), STR("fine"), STR("SELECT 1 AS one")},
                              {STR("shop"), STR("broken"), STR("SELECT nothing FROM nowhere")}};
    CHECK(!rig->driver->create_views(rig->state, views, 2, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("view shop.broken"));
    CHECK_CONTAINS(str_from(err.message), upper ? STR("NOWHERE") : STR("nowhere"));
    CHECK_STR(
        rig_query(rig, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'fine'"),
        STR("0"));
    rig_prepare(rig);
}

ON_EACH_DRIVER(health_tells_freshness_and_how_often_runs_end_well)
{
    Error err = {0};
    const int64_t minute_us = 60000000, day_us = 1440 * minute_us;
    const int64_t now_us = (int64_t)time(NULL) * 1000000; // the warehouse's own clock
    test_clock_us = now_us;
    const Watermark marks[] = {{STR("orders"), STR("a"), now_us - 30 * minute_us},
                               {STR("orders"), STR("b"), now_us - 90 * minute_us}};
    (void)load_ok(rig,
                  &(RigLoad){.run = "r1", .epoch = 1, .watermarks = marks, .watermark_count = 2});
    EtlLogRow runs[] = {
        {.run = STR("r1"),
         .job = STR("rig"),
         .mode = STR("incremental"),
         .stage = STR("run"),
         .status = STR("ok"),
         .started_us = now_us - 3 * day_us},
        {.run = STR("r2"),
         .job = STR("rig"),
         .mode = STR("incremental"),
         .stage = STR("run"),
         .status = STR("ok"),
         .started_us = now_us - 2 * day_us},
        {.run = STR("r3"),
         .job = STR("rig"),
         .mode = STR("historic"),
         .stage = STR("run"),
         .status = STR("failed"),
         .started_us = now_us - day_us},
        {.run = STR("r0"),
         .job = STR("rig"),
         .mode = STR("incremental"),
         .stage = STR("run"),
         .status = STR("failed"),
         .started_us = now_us - 91 * day_us},
        {.run = STR("r3"),
         .job = STR("rig"),
         .mode = STR("historic"),
         .stage = STR("read"),
         .status = STR("failed"),
         .started_us = now_us},
    };
    CHECK_OK(rig->driver->append_log(rig->state, runs, 5, &err), &err);
    CHECK_STR(rig_query(rig, "SELECT job, stream, target, partitions, minutes_behind BETWEEN 89 "
                             "AND 92, last_loaded_at IS NULL, runs_90d,"
                             " runs_ok_90d, success_percent_90d, last_run_id, last_run_mode, "
                             "last_run_status FROM main.pipeline_health"),
              STR("rig|orders|shop.or\"ders|2|true|false|3|2|66.67|r3|historic|failed"));
}

ON_EACH_DRIVER(queries_only_read)
{
    Error err = {0};
    (void)READ(rig, "r1", 10, {1, "A"});
    CHECK(
        !rig->driver->query(rig->state, STR("DELETE FROM shop.\"or\"\"ders\""), NULL, NULL, &err));
    CHECK(!rig->driver->query(rig->state, STR("SELECT 1); DROP TABLE shop.\"or\"\"ders\"; --"),
                              NULL, NULL, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|A"));
}

static bool stop_at_once(void *visitor, const Str *cells, size_t columns)
{
    CHECK_INT((int64_t)columns, 2);
    CHECK_STR(cells[1], STR("x"));
    ++*(int *)visitor;
    return false;
}

ON_EACH_DRIVER(a_reader_may_stop)
{
    Error err = {0};
    int visits = 0;
    CHECK_OK(rig->driver->query(rig->state,
                                STR("SELECT n, 'x' FROM generate_series(1, 10000) AS t(n)"),
                                stop_at_once, &visits, &err),
             &err);
    CHECK_INT(visits, 1);
}

// More rows than a chunk, of batches that end anywhere, some selected.
ON_EACH_DRIVER(batches_of_all_sizes_are_written_whole)
{
    static RigRow rows[RIG_ROWS_MAX];
    for (int i = 0; i < RIG_ROWS_MAX; i++)
        rows[i] = (RigRow){i + 1, i % 3 == 0 ? "first" : "a second one, which is longer"};
    RigReading readings[] = {
        {.partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 10, .rows = rows, .count = 2048},
        {.partition = "b",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 10,
         .rows = rows + 2048,
         .count = 1},
        {.partition = "c",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 10,
         .rows = rows + 2049,
         .count = 7951}};
    CHECK_INT(load_ok(rig, &(RigLoad){.run = "r1", .epoch = 1, .readings = readings, .count = 3})
                  .inserted,
              RIG_ROWS_MAX);
    CHECK_STR(rig_query(rig, "SELECT count(*), count(DISTINCT _row_key), sum(id), count(*) FILTER "
                             "(WHERE name = 'first') FROM shop.\"or\"\"ders\""),
              STR("10000|10000|50005000|3334"));
    for (int i = 0; i < RIG_ROWS_MAX; i += 7)
        rows[i].name = "changed";
    for (size_t i = 0; i < 3; i++)
        readings[i].fetched_us = 20;
    const RigResult second =
        load_ok(rig, &(RigLoad){.run = "r2", .epoch = 1, .readings = readings, .count = 3});
    CHECK_INT(second.updated, 1429);
    CHECK_INT(second.unchanged, 8571);
    CHECK_STR(
        rig_query(
            rig,
            "SELECT count(*), count(DISTINCT _row_key), sum(id), count(*) FILTER (WHERE name = "
            "'changed'),"
            " count(*) FILTER (WHERE id % 7 = 1 AND name = 'changed') FROM shop.\"or\"\"ders\""),
        STR("10000|10000|50005000|1429|1429"));
}

// ---- a random model of the protocol ----
//
// Runs read windows whose source changes meanwhile, load them in any order, twice, and again later.
// Whatever happens, the table must hold of each window what its latest loaded reading saw.

enum { KEYS = 6, WINDOWS = 3, LOADS_MAX = 64, TRIALS = 24, GONE = -1 };

typedef struct Snapshot {
    int window;
    int64_t time;
    int content[KEYS]; // GONE where the source did not have it
} Snapshot;

typedef struct ModelLoad {
    uint32_t ordinal;
    Snapshot slices[WINDOWS];
    size_t count;
} ModelLoad;

typedef struct Model {
    Rig *rig;
    int trial;
    uint64_t random;
    int64_t time;
    int source[KEYS];
    ModelLoad loads[LOADS_MAX]; // every one that was read
    bool pending[LOADS_MAX];
    size_t count;
    Snapshot truth[WINDOWS]; // time 0 = none
} Model;

static int dice(Model *model, int sides)
{
    model->random = model->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((model->random >> 33) % (uint64_t)sides);
}

static void change_source(Model *model)
{
    model->source[dice(model, KEYS)] = dice(model, 4) == 0 ? GONE : dice(model, 3);
}

static void read_windows(Model *model)
{
    if (model->count == LOADS_MAX)
        return;
    ModelLoad *load = &model->loads[model->count];
    *load = (ModelLoad){.ordinal = (uint32_t)model->count};
    const int wanted = 1 + dice(model, (1 << WINDOWS) - 1); // a set of windows, never empty
    for (int window = 0; window < WINDOWS; window++) {
        if ((wanted >> window & 1) == 0)
            continue;
        Snapshot *slice = &load->slices[load->count++];
        *slice = (Snapshot){.window = window, .time = ++model->time};
        for (int key = 0; key < KEYS; key++)
            slice->content[key] = key % WINDOWS == window ? model->source[key] : GONE;
        if (dice(model, 3) == 0)
            change_source(model);
    }
    model->pending[model->count++] = true;
}

static void commit_load(Model *model, const ModelLoad *load, uint32_t ordinal)
{
    static const char *const contents[] = {"v0", "v1", "v2"};
    char partition[16];
    (void)snprintf(partition, sizeof(partition), "trial %d", model->trial);
    RigRow rows[WINDOWS][KEYS];
    int64_t gone[WINDOWS][KEYS];
    RigReading readings[WINDOWS] = {0};
    for (size_t i = 0; i < load->count; i++) {
        const Snapshot *slice = &load->slices[i];
        readings[i] = (RigReading){.partition = partition,
                                   .from_us = 10 * slice->window,
                                   .to_us = 10 * slice->window + 10,
                                   .fetched_us = slice->time,
                                   .rows = rows[i],
                                   .gone = gone[i]};
        for (int key = slice->window; key < KEYS; key += WINDOWS) {
            const int64_t id = 100 * model->trial + key;
            if (slice->content[key] == GONE)
                gone[i][readings[i].gone_count++] = id;
            else
                rows[i][readings[i].count++] = (RigRow){id, contents[slice->content[key]]};
        }
    }
    const RigResult result = load_ok(model->rig, &(RigLoad){.run = partition,
                                                            .ordinal = ordinal,
                                                            .epoch = 1,
                                                            .readings = readings,
                                                            .count = load->count});
    for (size_t i = 0; i < load->count && !result.loaded; i++) {
        Snapshot *truth = &model->truth[load->slices[i].window];
        if (load->slices[i].time >= truth->time)
            *truth = load->slices[i];
    }
}

static void check_truth(Model *model)
{
    for (int window = 0; window < WINDOWS; window++) {
        for (int key = window; key < KEYS && model->truth[window].time > 0; key += WINDOWS) {
            char sql[160], row[64];
            (void)snprintf(row, sizeof(row), "trial %d, key %d", model->trial, key);
            check_row(row);
            (void)snprintf(
                sql, sizeof(sql),
                "SELECT name FROM shop.\"or\"\"ders\" WHERE id = %d AND _deleted_at IS NULL",
                100 * model->trial + key);
            static const Str contents[] = {{"v0", 2}, {"v1", 2}, {"v2", 2}};
            const int wanted = model->truth[window].content[key];
            CHECK_STR(rig_query(model->rig, sql), wanted == GONE ? STR("") : contents[wanted]);
        }
    }
}

static void one_trial(Rig *rig, int trial)
{
    static Model model;
    model = (Model){.rig = rig, .trial = trial, .random = (uint64_t)trial * 7919 + 1};
    uint32_t replays = LOADS_MAX;
    for (int step = 5 + dice(&model, 25); step > 0; step--) {
        model.time++;
        const int what = dice(&model, 20);
        const size_t some = model.count == 0 ? 0 : (size_t)dice(&model, (int)model.count);
        if (what < 8)
            change_source(&model);
        else if (what < 13 || model.count == 0)
            read_windows(&model);
        else if (model.pending[some]) {
            commit_load(&model, &model.loads[some], model.loads[some].ordinal);
            model.pending[some] = dice(&model, 3) == 0; // killed after its commit, and run again
        } else {
            commit_load(&model, &model.loads[some], replays++); // a replay
        }
    }
    for (size_t i = 0; i < model.count; i++) {
        if (model.pending[i])
            commit_load(&model, &model.loads[i], model.loads[i].ordinal);
    }
    check_truth(&model);
}

ON_EACH_DRIVER(the_table_holds_what_the_latest_readings_saw)
{
    // The fixture translates SQL before it runs it, 10 ms a statement.
    const int trials = fixture_is_there() ? TRIALS / 6 : TRIALS;
    for (int trial = 1; trial <= trials; trial++)
        one_trial(rig, trial);
}

ON_EACH_DRIVER(statements_happen_together_or_not_at_all)
{
    READ(rig, "r1", 5, {1, "one"}, {2, "two"}, {3, "three"});
    const Str good[] = {STR("DELETE FROM shop.\"or\"\"ders\" WHERE id < 3"),
                        STR("UPDATE shop.\"or\"\"ders\" SET name = 'III' WHERE id = 3")};
    const Str bad[] = {good[0], STR("UPDATE shop.nothing SET a = 1")};
    int64_t changed[2] = {0};
    Error err = {0};
    CHECK(!rig->driver->execute(rig->state, "test", bad, 2, changed, &err));
    CHECK(err.code != ERROR_NONE);
    CHECK_STR(rig_query(rig, ORDERS), STR("1|one 2|two 3|three"));
    err = (Error){0};
    CHECK_OK(rig->driver->execute(rig->state, "test", good, 2, changed, &err), &err);
    CHECK_INT(changed[0], 2);
    CHECK_INT(changed[1], 1);
    CHECK_STR(rig_query(rig, ORDERS), STR("3|III"));
}

// It would be no row's any more, and its record come in a second time.
ON_EACH_DRIVER(no_row_loses_its_key)
{
    READ(rig, "r1", 5, {1, "one"}, {2, "two"});
    const Str lose = STR("UPDATE shop.\"or\"\"ders\" SET _row_key = NULL WHERE id = 1");
    Error err = {0};
    CHECK(!rig->driver->execute(rig->state, "test", &lose, 1, NULL, &err));
    CHECK(err.code != ERROR_NONE);
    CHECK_STR(rig_query(rig, "SELECT count(*) FROM shop.\"or\"\"ders\" WHERE _row_key IS NULL"),
              STR("0"));
}

static void by_hand(Rig *rig, const char *sql)
{
    Error err = {0};
    const Str statement = str_from(sql);
    CHECK_OK(rig->driver->execute(rig->state, "test", &statement, 1, NULL, &err), &err);
}

// Nobody knows what such a row holds, or since when: the next reading does.
ON_EACH_DRIVER(a_row_without_its_hash_or_time_is_written_anew)
{
    static const struct {
        const char *name, *lose;
        int64_t updated;
    } rows[] = {
        {"hash", "UPDATE shop.\"or\"\"ders\" SET _row_hash = NULL WHERE id = 2", 1},
        {"time",
         "UPDATE shop.\"or\"\"ders\" SET name = 'edited', _row_hash = _row_key,"
         " _fetched_at = NULL WHERE id = 3",
         1},
        {"both", "UPDATE shop.\"or\"\"ders\" SET _row_hash = NULL, _fetched_at = NULL", 3},
        {"neither", "UPDATE shop.\"or\"\"ders\" SET name = name", 0},
    };
    READ(rig, "r0", 5, {1, "one"}, {2, "two"}, {3, "three"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char run[16];
        char row[64];
        (void)snprintf(row, sizeof(row), "%s: %s", rig->driver->name, rows[i].name);
        check_row(row);
        (void)snprintf(run, sizeof(run), "r%zu", i + 1);
        by_hand(rig, rows[i].lose);
        const RigResult result =
            READ(rig, run, (int64_t)(10 * (i + 1)), {1, "one"}, {2, "two"}, {3, "three"});
        CHECK_INT(result.inserted, 0);
        CHECK_INT(result.updated, rows[i].updated);
        CHECK_STR(rig_query(rig, ORDERS), STR("1|one 2|two 3|three"));
        CHECK_STR(rig_query(rig, "SELECT count(*) FROM shop.\"or\"\"ders\" WHERE _row_hash IS NULL"
                                 " OR _fetched_at IS NULL"),
                  STR("0"));
    }
    // One that vanished is found and marked.
    by_hand(rig, "UPDATE shop.\"or\"\"ders\" SET _fetched_at = NULL WHERE id = 1");
    const int64_t gone[] = {1};
    const RigReading reading = {.partition = "a",
                                .from_us = 1,
                                .to_us = 2,
                                .fetched_us = 90,
                                .gone = gone,
                                .gone_count = 1};
    const RigResult result =
        load_ok(rig, &(RigLoad){.run = "r9", .epoch = 1, .readings = &reading, .count = 1});
    CHECK_INT(result.deleted, 1);
    CHECK_STR(rig_query(rig, ORDERS), STR("2|two 3|three"));
}

// Sets _overflow of the row `id`.
static void keep(Rig *rig, int64_t id, const char *json)
{
    Error err = {0};
    CLEANUP(buf_done) Buf literal = {0};
    CLEANUP(buf_done) Buf sql = {0};
    const SqlDialect *dialect = rig->driver->dialect;
    CHECK_OK(sql_literal(dialect, &literal, str_from(json), &err), &err);
    CHECK_OK(buf_append(&sql, STR("UPDATE shop.\"or\"\"ders\" SET _overflow = "), &err), &err);
    CHECK_OK(sql_expression(&sql, dialect->json_value == NULL ? "%s" : dialect->json_value,
                            buf_str(&literal), &err),
             &err);
    CHECK_OK(buf_printf(&sql, &err, " WHERE id = %lld", (long long)id), &err);
    const Str statement = buf_str(&sql);
    CHECK_OK(rig->driver->execute(rig->state, "test", &statement, 1, NULL, &err), &err);
}

// Systems put blanks into JSON as they like.
static Str without_blanks(Rig *rig, Str text)
{
    Error err = {0};
    CHECK_OK(arena_copy_str(rig->arena, text, &text, &err), &err);
    char *to = (char *)(uintptr_t)text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != ' ')
            *to++ = text.data[i];
    }
    return (Str){text.data, (size_t)(to - text.data)};
}

// As the shaper reads them: a step is a member's name, also one of digits, never an index.
ON_EACH_DRIVER(promoted_paths_name_members_never_places_in_a_list)
{
    static const char *const kept[] = {"{\"a\":{\"b\":\"x\"}}",
                                       "{\"a\":[{\"b\":\"x\"},\"l\"]}",
                                       "{\"a\":{\"0\":{\"b\":\"y\"}}}",
                                       "{\"a\":{\"-1\":\"z\"}}",
                                       "{\"a\":\"t\"}",
                                       "{\"0\":[\"u\"]}"};
    enum { KEPT = sizeof(kept) / sizeof(kept[0]) };
    static const struct {
        const char *path;
        const char *expected[KEPT]; // NULL = nothing moves
        const char *left[KEPT];     // NULL = as it was
    } cases[] = {
        {"/a/b", {"x"}, {"{\"a\":{}}"}},
        {"/a/0", {[2] = "{\"b\":\"y\"}"}, {[2] = "{\"a\":{}}"}},
        {"/a/0/b", {[2] = "y"}, {[2] = "{\"a\":{\"0\":{}}}"}},
        {"/a/-1", {[3] = "z"}, {[3] = "{\"a\":{}}"}},
        {"/a/1", {NULL}, {NULL}},
        {"/0/0", {NULL}, {NULL}},
        {"/0", {[5] = "[\"u\"]"}, {[5] = "-"}},
    };
    READ(rig, "r1", 5, {0, "0"}, {1, "1"}, {2, "2"}, {3, "3"}, {4, "4"}, {5, "5"});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[16];
        char row[64];
        char sql[200];
        Error err = {0};
        int64_t moved = 0;
        int64_t expected = 0;
        for (size_t k = 0; k < KEPT; k++)
            keep(rig, (int64_t)k, kept[k]);
        (void)snprintf(name, sizeof(name), "p%zu", i);
        const Column column = {.name = str_from(name), .type = COLUMN_STRING};
        CHECK_OK(rig->driver->promote(rig->state, &rig_table, &column, str_from(cases[i].path),
                                      &moved, &err),
                 &err);
        for (size_t k = 0; k < KEPT; k++) {
            (void)snprintf(row, sizeof(row), "%s: %s of row %zu", rig->driver->name, cases[i].path,
                           k);
            check_row(row);
            const char *value = cases[i].expected[k];
            const char *left = cases[i].left[k];
            expected += value == NULL ? 0 : 1;
            (void)snprintf(sql, sizeof(sql), "SELECT %s FROM shop.\"or\"\"ders\" WHERE id = %zu",
                           name, k);
            CHECK_STR(without_blanks(rig, rig_query(rig, sql)),
                      str_from(value == NULL ? "-" : value));
            (void)snprintf(sql, sizeof(sql),
                           "SELECT _overflow FROM shop.\"or\"\"ders\" WHERE id = %zu", k);
            CHECK_STR(without_blanks(rig, rig_query(rig, sql)),
                      str_from(left == NULL ? kept[k] : left));
        }
        CHECK_INT(moved, expected);
    }
}

// What a cast would round, or read as something else, stays as it was sent.
ON_EACH_DRIVER(promoted_values_are_the_ones_that_were_sent)
{
    const bool is_snowflake = rig->driver == &warehouse_snowflake;
    const char *const types[] = {[COLUMN_INT64] = "BIGINT",
                                 [COLUMN_DOUBLE] = "DOUBLE PRECISION",
                                 [COLUMN_BOOLEAN] = "BOOLEAN",
                                 [COLUMN_DATE] = "DATE",
                                 [COLUMN_DECIMAL] = "NUMERIC(12,3)",
                                 [COLUMN_TIMESTAMP] =
                                     is_snowflake ? "TIMESTAMP_TZ" : "TIMESTAMPTZ"};
    RigRow rows[PROMOTABLES];
    for (size_t i = 0; i < PROMOTABLES; i++)
        rows[i] = (RigRow){(int64_t)i, "x"};
    (void)read_window(rig, "r1", 5, rows, PROMOTABLES);
    for (size_t first = 0; first < PROMOTABLES; first += promotable_count(first)) {
        char name[16];
        char path[17];
        char text[400];
        Error err = {0};
        int64_t moved = 0;
        int64_t expected = 0;
        (void)snprintf(name, sizeof(name), "p%zu", first);
        (void)snprintf(path, sizeof(path), "/%s", name);
        const size_t end = first + promotable_count(first);
        for (size_t i = first; i < end; i++) {
            (void)snprintf(text, sizeof(text), "{\"%s\":%s}", name, promotable[i].json);
            keep(rig, (int64_t)i, text);
            expected += promotable[i].value == NULL ? 0 : 1;
        }
        Column column = promotable[first].column;
        column.name = str_from(name);
        CHECK_OK(
            rig->driver->promote(rig->state, &rig_table, &column, str_from(path), &moved, &err),
            &err);
        for (size_t i = first; i < end; i++) {
            const char *value = promotable[i].value;
            char row[100];
            (void)snprintf(row, sizeof(row), "%s: %s as %s", rig->driver->name, promotable[i].json,
                           column_type_name(column.type));
            check_row(row);
            if (value == NULL)
                (void)snprintf(text, sizeof(text),
                               "SELECT count(*) FROM shop.\"or\"\"ders\" WHERE id = %zu AND"
                               " %s IS NULL AND _overflow IS NOT NULL",
                               i, name);
            else
                (void)snprintf(text, sizeof(text),
                               "SELECT count(*) FROM shop.\"or\"\"ders\" WHERE id = %zu AND"
                               " %s = CAST('%s' AS %s) AND _overflow IS NULL",
                               i, name, value, types[column.type]);
            CHECK_STR(rig_query(rig, text), STR("1"));
        }
        CHECK_INT(moved, expected);
    }
}

// --- DuckDB alone

enum { PACKED_ROWS = 30000, PACKED_LOADS = 3, PACKED_ROUNDS = 9 };

// Loads the rows whose id leaves `rest` when divided by PACKED_LOADS, but for `keeping` every
// tenth, under a name of their own, and lets go of the file.
static void load_third(Rig *rig, uint32_t ordinal, int rest, bool keeping, const char *name)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RIG_ARENA_BYTES, &err);
    RigRow *rows = arena_alloc_array(arena, PACKED_ROWS, sizeof(RigRow), &err);
    CHECK(rows != NULL);
    size_t count = 0;
    for (int64_t id = rest; id < PACKED_ROWS; id += PACKED_LOADS) {
        if (!keeping || id / PACKED_LOADS % 10 != 0)
            rows[count++] = (RigRow){id, name};
    }
    const RigReading reading = {"p", 0, 1, ordinal + 1, rows, count, NULL, 0};
    const RigLoad load = {.run = "run",
                          .ordinal = ordinal,
                          .epoch = 1,
                          .content = name,
                          .readings = &reading,
                          .count = 1};
    RigResult result = {0};
    CHECK_OK(rig_load(rig, &load, &result, &err), &err);
    CHECK_INT(result.inserted + result.updated, (int64_t)count);
    CHECK_OK(rig->driver->idle(rig->state, &err), &err);
}

// No row group loses all of its rows, so only merging them gives room back.
TEST(duckdb_packs_a_table_once_a_fifth_of_its_rows_was_replaced)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    if (fixture_is_there())
        return;
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, &warehouse_duckdb);
    for (uint32_t i = 0; i < PACKED_LOADS + PACKED_ROUNDS; i++)
        load_third(&rig, i, (int)(i % PACKED_LOADS), i >= PACKED_LOADS, names[i]);
    CHECK_STR(rig_query(&rig, "SELECT count(*), count(DISTINCT id) FROM shop.\"or\"\"ders\""),
              STR("30000|30000"));
    // What was replaced since it was packed last is there still.
    CHECK_STR(rig_query(&rig, "SELECT max(rowid) + 1 <= count(*) * 5 // 4 + 10000 FROM "
                              "shop.\"or\"\"ders\""),
              STR("true"));
}

enum { SPARE_READINGS = 8, SPARE_ROWS = 6000 }; // of a reading; together two row groups and more

// A load of all ids, whose rows bear `name` but for every third, which bear "kept".
static void load_with_spare(Rig *rig, uint32_t ordinal, const char *name, uint64_t spare_bytes,
                            size_t fails_at, bool ok)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RIG_ARENA_BYTES, &err);
    RigReading readings[SPARE_READINGS];
    for (int64_t i = 0; i < SPARE_READINGS; i++) {
        RigRow *rows = arena_alloc_array(arena, SPARE_ROWS, sizeof(RigRow), &err);
        CHECK(rows != NULL);
        for (int64_t k = 0; k < SPARE_ROWS; k++)
            rows[k] = (RigRow){i * SPARE_ROWS + k, k % 3 == 0 ? "kept" : name};
        readings[i] = (RigReading){"p", i, i + 1, ordinal + 1, rows, SPARE_ROWS, NULL, 0};
    }
    const RigLoad load = {.run = "run",
                          .ordinal = ordinal,
                          .epoch = 1,
                          .content = name,
                          .readings = readings,
                          .count = SPARE_READINGS,
                          .spare_bytes = spare_bytes,
                          .fails_at = fails_at};
    RigResult result = {0};
    CHECK(rig_load(rig, &load, &result, &err) == ok);
    if (!ok)
        CHECK_STR(str_from(err.message), STR("the rig's rows fail"));
}

static void check_rows(Rig *rig, const char *name)
{
    char sql[200];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT name, count(*), count(DISTINCT id), sum(id) FROM shop.\"or\"\"ders\" "
                   "WHERE (name = 'kept') = (id %% 3 = 0) GROUP BY name ORDER BY name = 'kept'");
    char expected[100];
    (void)snprintf(expected, sizeof(expected),
                   "%s|32000|32000|768000000 kept|16000|16000|383976000", name);
    CHECK_STR(rig_query(rig, sql), str_from(expected));
}

// With memory to spare several threads write a load: the same rows, and the next load has one
// again.
TEST(duckdb_writes_with_several_threads_where_there_is_room)
{
    enum { MB = 1000 * 1000, SPARE = 400 * MB };
    if (fixture_is_there())
        return;
    CLEANUP(rig_close) Rig rig = {0};
    fresh(&rig, &warehouse_duckdb);
    const char *threads = "SELECT current_setting('threads')";
    const char *several = thread_processors() > 1 ? "SELECT current_setting('threads') > 1"
                                                  : "SELECT current_setting('threads') = 1";
    load_with_spare(&rig, 0, "first", SPARE, 0, true);
    check_rows(&rig, "first");
    CHECK_STR(rig_query(&rig, several), STR("true"));
    // A source that fails in the middle leaves nothing, whatever the threads had by then.
    load_with_spare(&rig, 1, "second", SPARE, SPARE_READINGS / 2, false);
    check_rows(&rig, "first");
    load_with_spare(&rig, 1, "second", SPARE, 0, true);
    check_rows(&rig, "second");
    load_with_spare(&rig, 2, "third", 0, 0, true);
    check_rows(&rig, "third");
    CHECK_STR(rig_query(&rig, threads), STR("1"));
    load_with_spare(&rig, 3, "fourth", SPARE, 0, true);
    check_rows(&rig, "fourth");
}

// Threads that somebody asked for do not write a load for which there is no memory: 46 columns in
// 64 MB failed with four.
TEST(duckdb_writes_with_one_of_many_threads_where_there_is_no_room)
{
    if (fixture_is_there())
        return;
    enum { LITTLE = 128 * 1000 * 1000 };
    char options[200];
    (void)snprintf(options, sizeof(options), "\"path\": \"%s/threads.duckdb\", \"threads\": 4",
                   test_folder());
    CLEANUP(rig_close) Rig rig = {0};
    rig_open_within(&rig, &warehouse_duckdb, options, LITTLE);
    rig_prepare(&rig);
    load_with_spare(&rig, 0, "first", 0, 0, true);
    check_rows(&rig, "first");
    CHECK_STR(rig_query(&rig, "SELECT current_setting('threads')"), STR("4"));
    // What one thread writes keeps its order.
    CHECK_STR(rig_query(&rig, "SELECT current_setting('preserve_insertion_order')"), STR("true"));
}
