// LogBook: no row of ETL_LOG is lost between a warehouse that is down and the next run.
#include "harness/check.h"
#include "run/log_book.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, ROWS_MAX = 64 };

// A warehouse that remembers what it was given, or refuses.
static EtlLogRow taken[ROWS_MAX];
static char taken_stage[ROWS_MAX][32];
static size_t taken_count;
static bool is_down;
static size_t appends, appends_max; // 0 = as many as one likes

static bool append_log(void *state, const EtlLogRow *rows, size_t count, Error *err)
{
    (void)state;
    if (is_down || (appends_max > 0 && appends == appends_max))
        return error_set(err, ERROR_BUSY, "held by another");
    appends++;
    for (size_t i = 0; i < count; i++) {
        taken[taken_count] = rows[i];
        (void)snprintf(taken_stage[taken_count++], 32, STR_FMT, STR_ARG(rows[i].stage));
    }
    return true;
}

static bool count_file(void *visitor, const StoreEntry *entry)
{
    (void)entry;
    ++*(size_t *)visitor;
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

static size_t kept_files(Store *store)
{
    Error err = {0};
    size_t count = 0;
    CHECK_OK(store_list(store, STR("j/etl_log"), 0, count_file, &count, &err), &err);
    return count;
}

// However many wait, each is written once, and what was written is out of the store, also where the
// warehouse takes some of them only.
TEST(many_rows_that_wait_come_in_batches)
{
    enum { FILES = 10, ROWS_A_FILE = 3, BATCH = 7 };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(store_close) Store store = {0};
    CLEANUP(log_book_freep) LogBook *book = NULL;
    Warehouse warehouse = {.driver = &driver};
    taken_count = appends = appends_max = 0;
    is_down = false;
    CHECK_OK(store_open(&store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env, arena,
                        NULL, &err),
             &err);
    CHECK_OK(log_book_new(&book, &err), &err);
    for (int i = 0; i < FILES; i++) {
        char run[16];
        (void)snprintf(run, sizeof(run), "r%d", i);
        for (int k = 0; k < ROWS_A_FILE; k++)
            add(book, "read", i * ROWS_A_FILE + k);
        CHECK_OK(log_book_keep(book, &store, STR("j"), str_from(run), &test_env, &err), &err);
    }
    CHECK_INT((int64_t)kept_files(&store), FILES);

    // Its own row with two files, and two batches of three files each: the first that reach seven
    // rows.
    add(book, "finish", -1);
    appends_max = 3;
    CHECK(!log_book_write_all(book, &store, STR("j"), &warehouse, BATCH, &err));
    CHECK_INT((int64_t)taken_count, 1 + 8 * ROWS_A_FILE);
    CHECK_INT((int64_t)kept_files(&store), FILES - 8);
    CHECK_INT((int64_t)log_book_count(book), 0);

    err = (Error){0};
    appends_max = 0;
    CHECK_OK(log_book_write_all(book, &store, STR("j"), &warehouse, BATCH, &err), &err);
    CHECK_INT((int64_t)appends, 3 + 1);
    CHECK_INT((int64_t)kept_files(&store), 0);
    CHECK_INT((int64_t)taken_count, 1 + FILES * ROWS_A_FILE);
    bool seen[FILES * ROWS_A_FILE] = {false};
    CHECK_STR(str_from(taken_stage[0]), STR("finish"));
    for (size_t i = 1; i < taken_count; i++) {
        CHECK(!seen[taken[i].rows_in]);
        seen[taken[i].rows_in] = true;
    }
    CHECK_OK(log_book_write_all(book, &store, STR("j"), &warehouse, BATCH, &err), &err);
    CHECK_INT((int64_t)appends, 4); // nothing to say
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
             log_book_write_all(book, &store, STR("j"), &warehouse, 1, &err) &&
             log_book_deliver(&store, STR("j"), &warehouse, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || taken_count <= 1);
    }
}
