// Receipts in the landing store: the newest are found, in their order, with what they wait for.
#include "run/receipt.h"

#include "harness/check.h"

#include <stdio.h>

enum { RUN_BYTES = 1024 * 1024, NOTES_MAX = 5 };

static const char *const remains[] = {"dead rows until VACUUM", NULL};

static bool put_receipts(const Job *job, Store *store, size_t count, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "ctm/receipts/%02zu.json", i);
        const Key128 key = {{1}};
        ForgetTable table = {
            .target = STR("ctm.calls"), .rows = (int64_t)i, .keys = &key, .key_count = 1};
        const ForgetReport report = {.run = STR("r"),
                                     .receipt = str_from(path),
                                     .tables = &table,
                                     .table_count = 1,
                                     .has_lake = true,
                                     .remains = remains,
                                     .at_us = 1000000};
        TRY(receipt_put(job, store, STR("redacted"), &report, err));
    }
    return true;
}

TEST(the_newest_receipts_come_first)
{
    static const struct {
        const char *name;
        size_t written;
        int64_t expected[NOTES_MAX]; // their numbers
        size_t count;
    } cases[] = {
        {"none", 0, {0}, 0},
        {"some", 3, {2, 1, 0}, 3},
        {"all that are shown", 5, {4, 3, 2, 1, 0}, 5},
        {"more than are shown", 8, {7, 6, 5, 4, 3}, 5},
        {"twice as many", 10, {9, 8, 7, 6, 5}, 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Error err = {0};
        const Job job = {.name = STR("ctm")};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(store_close) Store store = {0};
        CHECK_OK(store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                            arena, NULL, &err),
                 &err);
        CHECK_OK(put_receipts(&job, &store, cases[i].written, &err), &err);
        ReceiptNote notes[NOTES_MAX];
        ReceiptNotes read = {.items = notes, .room = NOTES_MAX};
        CHECK_OK(receipts_read(&job, &store, arena, &read, &err), &err);
        CHECK_INT((int64_t)read.count, (int64_t)cases[i].count);
        CHECK_INT(read.total, (int64_t)cases[i].written);
        for (size_t k = 0; k < read.count; k++)
            CHECK_INT(notes[k].rows, cases[i].expected[k]);
        if (read.count == 0)
            continue;
        CHECK_STR(notes[0].kind, STR("redacted"));
        CHECK_INT(notes[0].at_us, 1000000);
        CHECK_INT((int64_t)notes[0].wait_count, 3);
        CHECK_STR(notes[0].waits[0], STR("warehouse: dead rows until VACUUM"));
    }
}

TEST(receipts_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        const Job job = {.name = STR("ctm")};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(store_close) Store store = {0};
        ReceiptNote notes[NOTES_MAX];
        ReceiptNotes read = {.items = notes, .room = NOTES_MAX};
        const bool ok = arena != NULL &&
                        store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")},
                                   &test_env, arena, NULL, &err) &&
                        put_receipts(&job, &store, 2, &err) &&
                        receipts_read(&job, &store, arena, &read, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (read.count == 2));
    }
}
