// Memo: what was written is read again, or nothing is; and which windows count as the same.
#include "run/memo.h"

#include "harness/check.h"

enum { ARENA_BYTES = 1024 * 1024 };

static const Watermark marks[] = {{{"calls", 5}, {"\"1001\"", 6}, 5}, {{"calls", 5}, {"b", 1}, -7}};

static const LoadSlice reading = {.partition_key = {"\"1001\"", 6},
                                  .from_us = 10,
                                  .to_us = 20,
                                  .fetched_us = 25,
                                  .total = -1,
                                  .rows = 3};

static Memo example(MemoStream *stream, MemoWindow windows[2])
{
    windows[0] = (MemoWindow){STR("a"), 10, 20, {{1}}};
    windows[1] = (MemoWindow){STR("a"), 20, 30, {{2}}};
    *stream = (MemoStream){.stream = STR("calls"),
                           .marks = marks,
                           .mark_count = 2,
                           .readings = &reading,
                           .reading_count = 1,
                           .windows = windows,
                           .window_count = 2};
    return (Memo){.mark = STR("PAWL_LOAD 7\n"),
                  .at_us = 123,
                  .alone = true,
                  .streams = stream,
                  .stream_count = 1};
}

static bool open_memory(Store *store, Arena *arena, Error *err)
{
    return store_open(store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env, arena,
                      NULL, err);
}

TEST(a_memo_comes_back_whole_or_not_at_all)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    MemoStream stream;
    MemoWindow windows[2];
    const Memo memo = example(&stream, windows);
    Memo again = {0};
    bool there = true;
    CHECK_OK(open_memory(&store, arena, &err), &err);
    CHECK_OK(memo_read(&store, STR("ctm"), MODE_INCREMENTAL, arena, &again, &there, &err), &err);
    CHECK(!there);
    CHECK_OK(memo_write(&store, STR("ctm"), MODE_INCREMENTAL, &memo, &err) &&
                 memo_read(&store, STR("ctm"), MODE_INCREMENTAL, arena, &again, &there, &err),
             &err);
    CHECK(there);
    CHECK_STR(again.mark, memo.mark);
    CHECK_INT(again.at_us, 123);
    CHECK(memo_stream(&again, STR("accounts")) == NULL);
    const MemoStream *calls = memo_stream(&again, STR("calls"));
    CHECK(calls != NULL);
    CHECK_INT((int64_t)calls->mark_count, 2);
    CHECK_STR(calls->marks[0].partition_key, STR("\"1001\""));
    CHECK_INT(calls->marks[1].us, -7);
    CHECK(again.alone);
    CHECK_INT((int64_t)calls->reading_count, 1);
    CHECK_STR(calls->readings[0].partition_key, reading.partition_key);
    CHECK_INT(calls->readings[0].to_us, 20);
    CHECK_INT(calls->readings[0].fetched_us, 25);
    CHECK_INT(calls->readings[0].total, -1);
    CHECK_INT(calls->readings[0].rows, 3);
    CHECK_INT((int64_t)calls->window_count, 2);
    CHECK_INT(key128_compare(&calls->windows[1].digest, &windows[1].digest), 0);
    CHECK_INT(calls->windows[1].from_us, 20);
    // Of another mode there is none, and one that is damaged is none.
    CHECK_OK(memo_read(&store, STR("ctm"), MODE_HISTORIC, arena, &again, &there, &err), &err);
    CHECK(!there);
    CLEANUP(buf_done) Buf bytes = {0};
    const Str path = STR("ctm/memo/incremental.json");
    CHECK_OK(store_read_into(&store, path, ARENA_BYTES, &bytes, &err), &err);
    bytes.data[bytes.size - 20] ^= 1;
    CHECK_OK(store_put(&store, path, buf_str(&bytes), 0, &err) &&
                 memo_read(&store, STR("ctm"), MODE_INCREMENTAL, arena, &again, &there, &err),
             &err);
    CHECK(!there);
}

TEST(a_window_is_the_same_by_its_digest)
{
    MemoStream stream;
    MemoWindow windows[2];
    (void)example(&stream, windows);
    static const struct {
        const char *name;
        MemoWindow window;
        bool known, same;
    } rows[] = {
        {"as it was", {{"a", 1}, 10, 20, {{1}}}, true, true},
        {"other rows", {{"a", 1}, 10, 20, {{9}}}, true, false},
        {"its rows are gone", {{"a", 1}, 10, 20, {{0}}}, true, false},
        {"the digest of another window", {{"a", 1}, 10, 20, {{2}}}, true, false},
        {"a new window", {{"a", 1}, 30, 40, {{1}}}, false, false},
        {"another partition", {{"b", 1}, 10, 20, {{1}}}, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        bool known = false;
        CHECK(memo_has(&stream, &rows[i].window, &known) == rows[i].same);
        CHECK(known == rows[i].known);
    }
}

TEST(a_memo_that_cannot_be_kept_is_none)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(store_close) Store store = {0};
        MemoStream stream;
        MemoWindow windows[2];
        const Memo memo = example(&stream, windows);
        Memo again = {0};
        bool there = false;
        const bool ok =
            arena != NULL && open_memory(&store, arena, &err) &&
            memo_write(&store, STR("ctm"), MODE_INCREMENTAL, &memo, &err) &&
            memo_read(&store, STR("ctm"), MODE_INCREMENTAL, arena, &again, &there, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!there || again.stream_count == 1);
    }
}
