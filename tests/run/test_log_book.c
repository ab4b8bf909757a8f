// LogBook: no row of ETL_LOG is lost between a warehouse that is down and the next run.
#include "harness/check.h"
#include "run/log_book.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, ROWS_MAX = 64 };

// A warehouse that remembers what it was given, or refuses.
static EtlLogRow taken[ROWS_MAX];
static char taken_stage[ROWS_MAX][32];
static size_t taken_count;
static bool is_down;

static bool append_log(void *state, const EtlLogRow *rows, size_t count, Error *err)
{
    (void)state;
    if (is_down)
        return error_set(err, ERROR_BUSY, "held by another");
    for (size_t i = 0; i < count; i++) {
        taken[taken_count] = rows[i];
        (void)snprintf(taken_stage[taken_count++], 32, STR_FMT, STR_ARG(rows[i].stage));
    }
    return true;
}

static const WarehouseDriver driver = {.name = "test", .append_log = append_log};

static void add(LogBook *book, const char *stage, int64_t rows)
{
    EtlLogRow row = {.run = STR("r1"), .job = STR("j"), .status = STR("ok"), ETL_LOG_NONE};
    row.stage = str_from(stage);
    row.rows_in = rows;
    log_book_add(book, &row);
}

TEST(rows_wait_in_the_store_and_come_once)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    CLEANUP(log_book_freep) LogBook *book = NULL;
    Warehouse warehouse = {.driver = &driver};
    taken_count = 0;
    CHECK_OK(store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env, arena,
                        NULL, &err),
             &err);
    CHECK_OK(log_book_new(&book, &err), &err);
    add(book, "read", 7);
    add(book, "merge", -1);
    is_down = true;
    CHECK(!log_book_write(book, &warehouse, &err));
    CHECK_INT((int64_t)log_book_count(book), 2);
    err = (Error){0};
    CHECK_OK(log_book_keep(book, &store, STR("j"), STR("r1"), &test_env, &err), &err);
    CHECK_INT((int64_t)log_book_count(book), 0);

    CHECK(!log_book_deliver(&store, STR("j"), &warehouse, &err));
    err = (Error){0};
    is_down = false;
    CHECK_OK(log_book_deliver(&store, STR("j"), &warehouse, &err), &err);
    CHECK_INT((int64_t)taken_count, 2);
    CHECK_STR(str_from(taken_stage[0]), STR("read"));
    CHECK_INT(taken[0].rows_in, 7);
    CHECK_INT(taken[0].bytes, -1);
    CHECK_INT(taken[1].rows_in, -1);
    CHECK_OK(log_book_deliver(&store, STR("j"), &warehouse, &err), &err);
    CHECK_INT((int64_t)taken_count, 2);
}

TEST(an_error_is_told_as_json_with_its_code)
{
    Error err = {0};
    Error why = {0};
    Str json = {0};
    CLEANUP(log_book_freep) LogBook *book = NULL;
    CHECK_OK(log_book_new(&book, &err), &err);
    (void)error_set(&why, ERROR_ACCESS, "page 1: \"no\"");
    CHECK_OK(log_book_error_json(book, &why, &json, &err), &err);
    CHECK_STR(json, STR("{\"code\":\"ACCESS\",\"message\":\"page 1: \\\"no\\\"\"}"));
}

TEST(keeping_and_delivering_survive_every_fault)
{
    is_down = false;
    FAULTS() {
        Error err = {0};
        taken_count = 0;
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(store_close) Store store = {0};
        CLEANUP(log_book_freep) LogBook *book = NULL;
        Warehouse warehouse = {.driver = &driver};
        bool ok = arena != NULL &&
                  store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                             arena, NULL, &err) &&
                  log_book_new(&book, &err);
        if (ok)
            add(book, "read", 1);
        ok = ok && log_book_keep(book, &store, STR("j"), STR("r1"), &test_env, &err) &&
             log_book_deliver(&store, STR("j"), &warehouse, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || taken_count <= 1);
    }
}
