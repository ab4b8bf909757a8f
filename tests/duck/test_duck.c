#include "duck/duck.h"

#include "duck/grid.h"
#include "harness/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void open_memory(Duck *duck)
{
    Error err = {0};
    CHECK_OK(duck_open(duck, &(DuckOptions){.memory_bytes = 64 * 1000 * 1000}, &err), &err);
}

static int64_t number(Duck *duck, const char *sql)
{
    Error err = {0};
    int64_t value = 0;
    bool found = false;
    CHECK_OK(duck_query_int64(duck, &(DuckStatement){.sql = sql}, &value, &found, &err), &err);
    CHECK(found);
    return value;
}

TEST(values_arrive_by_their_kind)
{
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    CHECK_OK(
        duck_run_sql(&duck, "CREATE TABLE t (a VARCHAR, b BIGINT, c TIMESTAMPTZ, d VARCHAR)", &err),
        &err);
    const DuckValue values[] = {duck_text(STR("it's\0 long enough not to be inlined")),
                                duck_int64(INT64_MIN),
                                duck_time(INT64_C(2147483648000001)),
                                {.kind = DUCK_NULL}};
    int64_t changed = 0;
    CHECK_OK(duck_run(&duck,
                      &(DuckStatement){.sql = "INSERT INTO t VALUES (?, ?, ?, ?)",
                                       .values = values,
                                       .value_count = 4},
                      &changed, &err),
             &err);
    CHECK_INT(changed, 1);
    CHECK_INT(number(&duck,
                     "SELECT count(*) FROM t WHERE strlen(a) = 35 AND b = -9223372036854775808"
                     " AND c = TIMESTAMPTZ '2038-01-19 03:14:08.000001+00' AND d IS NULL"),
              1);
    int64_t value = 7;
    bool found = true;
    CHECK_OK(duck_query_int64(&duck, &(DuckStatement){.sql = "SELECT b FROM t WHERE b = 0"}, &value,
                              &found, &err),
             &err);
    CHECK(!found);
    CHECK_OK(duck_query_int64(&duck, &(DuckStatement){.sql = "SELECT NULL::BIGINT"}, &value, &found,
                              &err),
             &err);
    CHECK(!found);
}

TEST(errors_say_what_may_be_done)
{
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    static const struct {
        const char *name;
        const char *sql;
        ErrorCode code;
    } rows[] = {
        {"syntax", "SELEKT 1", ERROR_JOB},
        {"no such table", "SELECT * FROM nowhere", ERROR_JOB},
        {"no such column", "SELECT nothing FROM range(1)", ERROR_JOB},
        {"conversion", "SELECT CAST('a' || range AS BIGINT) FROM range(1)", ERROR_DATA},
        {"range", "SELECT CAST(range + 300 AS TINYINT) FROM range(1)", ERROR_DATA},
        {"constraint", "CREATE TABLE n (a INTEGER NOT NULL); INSERT INTO n VALUES (NULL)",
         ERROR_DATA},
        {"memory",
         "SET temp_directory = ''; SELECT count(*) FROM (SELECT range AS a, uuid() AS u FROM "
         "range(5000000)) GROUP BY a, u",
         ERROR_LIMIT},
        {"memory, as commits and checkpoints tell it",
         "SELECT error('Out of Memory Error: Allocation failure')", ERROR_LIMIT},
        {"memory, as a commit tells it too",
         "SELECT error('Failed to commit: failed to pin block of size 256.0 KiB')", ERROR_LIMIT},
        {"file", "ATTACH '/nowhere/at/all.duckdb' AS x", ERROR_IO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Error err = {0};
        check_row(rows[i].name);
        CHECK(!duck_run_sql(&duck, rows[i].sql, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), STR("duckdb: "));
        CHECK(strchr(err.message, '\n') == NULL);
    }
}

TEST(nothing_is_fetched_from_elsewhere)
{
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    CHECK_INT(
        number(&duck,
               "SELECT count(*) FROM duckdb_settings() WHERE name IN ('autoload_known_extensions',"
               " 'autoinstall_known_extensions') AND value = 'false'"),
        2);
    // What we need is linked in.
    CHECK_INT(number(&duck, "SELECT count(*) FROM duckdb_extensions() WHERE loaded AND "
                            "extension_name IN ('icu', 'json', 'parquet')"),
              3);
    CHECK(!duck_run_sql(&duck, "SELECT * FROM 'https://127.0.0.1:1/x.parquet'", &err));
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, size, file) == size);
    CHECK_INT(fclose(file), 0);
}

// Not a failure that a scheduler may try again: a person must act, and is told how.
TEST(a_damaged_file_is_data_that_a_person_must_restore)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/ours.duckdb", test_folder());
    static char bytes[1024 * 1024];
    const DuckOptions options = {.path = path, .name = "ours"};
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    CHECK_OK(duck_open(&duck, &options, &err), &err);
    CHECK_OK(duck_run_sql(&duck, "CREATE TABLE t AS SELECT hash(range) FROM range(9000)", &err),
             &err);
    duck_close(&duck);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    const size_t size = fread(bytes, 1, sizeof(bytes), file);
    CHECK_INT(fclose(file), 0);
    CHECK(size > 20000 && size < sizeof(bytes));

    enum { EMPTY, TEXT, SQLITE, FLIPPED, CUT, KINDS };
    static const char *const names[KINDS] = {"empty", "text", "SQLite", "flipped", "cut"};
    for (int kind = 0; kind < KINDS; kind++) {
        check_row(names[kind]);
        static char damaged[sizeof(bytes)];
        memcpy(damaged, bytes, size);
        if (kind == TEXT)
            memset(damaged, 'x', size);
        if (kind == SQLITE)
            memcpy(damaged, "SQLite format 3", 16);
        if (kind == FLIPPED)
            damaged[12300] ^= 1;
        write_bytes(path, damaged, kind == EMPTY ? 0 : kind == CUT ? size / 3 : size);
        err = (Error){0};
        CHECK(!duck_open(&duck, &options, &err) ||
              !duck_run_sql(&duck, "INSERT INTO t SELECT max(hash) FROM t", &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), STR("restore it, or move it away and replay"));
        duck_close(&duck);
    }
}

// A file named like a schema in it: opened by its own name, "ctm.calls" would be ambiguous.
TEST(a_file_is_known_by_our_name_for_it)
{
    Error err = {0};
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/it's ctm.duckdb", test_folder());
    const DuckOptions options = {
        .path = path, .name = "ours", .row_group_rows = 2048, .storage = "v1.2.0"};
    CLEANUP(duck_close) Duck duck = {0};
    CHECK_OK(duck_open(&duck, &options, &err), &err);
    CHECK_OK(duck_run_sql(
                 &duck,
                 "CREATE SCHEMA ctm; CREATE TABLE ctm.calls AS SELECT range AS id FROM range(5000)",
                 &err),
             &err);
    duck_close(&duck);
    CHECK(!duck_is_open(&duck));
    char wal[160];
    (void)snprintf(wal, sizeof(wal), "%s.wal", path);
    CHECK(access(wal, F_OK) != 0); // all is in the file itself

    CHECK_OK(duck_open(&duck, &options, &err), &err); // its format is not named again
    CHECK_INT(number(&duck, "SELECT count(*) FROM ctm.calls"), 5000);
    CHECK_INT(
        number(&duck, "SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('ctm.calls')"),
        3);
    duck_close(&duck);

    const DuckOptions reading = {.path = path, .name = "ours", .read_only = true};
    CHECK_OK(duck_open(&duck, &reading, &err), &err);
    CHECK_INT(number(&duck, "SELECT count(*) FROM ours.ctm.calls"), 5000);
    CHECK(!duck_run_sql(&duck, "DELETE FROM ctm.calls", &err));
    CHECK_INT(err.code, ERROR_ACCESS);
}

// What each of two had committed, the other would write over.
TEST(a_file_is_open_once_in_a_process)
{
    Error err = {0};
    char path[128];
    char other_path[128];
    (void)snprintf(path, sizeof(path), "%s/once.duckdb", test_folder());
    (void)snprintf(other_path, sizeof(other_path), "%s/other.duckdb", test_folder());
    CHECK(symlink(path, other_path) == 0);
    const DuckOptions options = {.path = path, .name = "ours"};
    const DuckOptions others = {.path = other_path, .name = "ours"};
    CLEANUP(duck_close) Duck first = {0};
    CLEANUP(duck_close) Duck second = {0};
    CHECK_OK(duck_open(&first, &options, &err), &err); // makes it
    CHECK_OK(duck_run_sql(&first, "CREATE TABLE t (a BIGINT)", &err), &err);
    const DuckOptions *ways[] = {&options, &others};
    for (size_t i = 0; i < 2; i++) {
        CHECK(!duck_open(&second, ways[i], &err));
        CHECK_INT(err.code, ERROR_BUSY);
        CHECK(!duck_is_open(&second));
    }
    duck_close(&first);
    CHECK_OK(duck_open(&second, &others, &err), &err);
    CHECK_INT(number(&second, "SELECT count(*) FROM t"), 0);
}

TEST(a_path_that_is_too_long_is_refused)
{
    Error err = {0};
    static char path[5000];
    memset(path, 'x', sizeof(path) - 1);
    Duck duck = {0};
    CHECK(!duck_open(&duck, &(DuckOptions){.path = path, .name = "ours"}, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK(!duck_is_open(&duck));
    duck_close(&duck);
}

TEST(a_grid_of_any_length_is_read_whole)
{
    enum { ROWS = 5000, COLUMNS = 3 };
    static const DuckColumn columns[COLUMNS] = {{.name = "t", .type = DUCKDB_TYPE_VARCHAR},
                                                {.name = "n", .type = DUCKDB_TYPE_BIGINT},
                                                {.name = "at", .type = DUCKDB_TYPE_TIMESTAMP_TZ}};
    static DuckValue values[ROWS * COLUMNS];
    for (int i = 0; i < ROWS; i++) {
        values[i * COLUMNS] = i % 2 == 0 ? duck_text(STR("a text that is not short"))
                                         : (DuckValue){.kind = DUCK_NULL};
        values[i * COLUMNS + 1] = duck_int64(i);
        values[i * COLUMNS + 2] = duck_time(i);
    }
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    for (int count = 0; count <= ROWS; count += count == 2048   ? 1
                                                : count == 2049 ? ROWS - 2049
                                                                : 2048) {
        DuckGrid grid = {columns, COLUMNS, values, (size_t)count, 0};
        const DuckRows rows = duck_grid_rows(&grid);
        int64_t value = 0;
        bool found = false;
        CHECK_OK(duck_query_int64(
                     &duck,
                     &(DuckStatement){.sql = "SELECT count(*) + 10000 * count(t) + 100000000 * "
                                             "CAST(coalesce(sum(n), 0) AS BIGINT) FROM pawl_rows()",
                                      .rows = &rows},
                     &value, &found, &err),
                 &err);
        const int64_t n = count;
        CHECK_INT(value, n + 10000 * ((n + 1) / 2) + 100000000 * (n * (n - 1) / 2));
    }
}

static bool fill_nothing(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)chunk;
    (void)ret_rows;
    ++*(int *)state;
    return error_set(err, ERROR_STOPPED, "the reason of its own");
}

TEST(rows_that_fail_say_why_in_their_own_words)
{
    static const DuckColumn columns[] = {{.name = "n", .type = DUCKDB_TYPE_BIGINT}};
    Error err = {0};
    int calls = 0;
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    const DuckRows rows = {.columns = columns,
                           .column_count = 1,
                           .rows_total = 10,
                           .fill = fill_nothing,
                           .state = &calls};
    CHECK(!duck_run(&duck, &(DuckStatement){.sql = "SELECT * FROM pawl_rows()", .rows = &rows},
                    NULL, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK_STR(str_from(err.message), STR("the reason of its own"));
    CHECK_INT(calls, 1);
    // Without rows there is no such table.
    CHECK(!duck_run(&duck, &(DuckStatement){.sql = "SELECT * FROM pawl_rows()"}, NULL, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

// Numbers from 0 on, for as many threads as want some.
typedef struct Numbers {
    pthread_mutex_t lock;
    pthread_cond_t second_is_here;
    int64_t next, end;
    size_t threads;   // that came
    int64_t fails_at; // -1 = never
} Numbers;

typedef struct NumbersPart {
    Numbers *numbers;
    bool came;
    atomic_flag busy;
} NumbersPart;

// The first thread waits for a second one, so that a test fails where none comes.
static void come(NumbersPart *part)
{
    Numbers *numbers = part->numbers;
    numbers->threads += part->came ? 0 : 1;
    part->came = true;
    (void)pthread_cond_broadcast(&numbers->second_is_here);
    struct timespec deadline;
    CHECK(clock_gettime(CLOCK_REALTIME, &deadline) == 0);
    deadline.tv_sec += 30;
    while (numbers->threads < 2)
        CHECK(pthread_cond_timedwait(&numbers->second_is_here, &numbers->lock, &deadline) == 0);
}

static bool fill_numbers(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    NumbersPart *part = state;
    Numbers *numbers = part->numbers;
    CHECK(!atomic_flag_test_and_set(&part->busy)); // a state is one thread's at a time
    (void)pthread_mutex_lock(&numbers->lock);
    come(part);
    const int64_t first = numbers->next;
    const int64_t left = numbers->end - first;
    const int64_t rows = left < DUCK_VECTOR_ROWS ? left : DUCK_VECTOR_ROWS;
    numbers->next += rows;
    (void)pthread_mutex_unlock(&numbers->lock);
    int64_t *values = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    for (int64_t i = 0; i < rows; i++)
        values[i] = first + i;
    *ret_rows = (size_t)rows;
    atomic_flag_clear(&part->busy);
    return numbers->fails_at < 0 || first < numbers->fails_at ||
           error_set(err, ERROR_STOPPED, "the reason of its own");
}

static bool insert_numbers(Duck *duck, Numbers *numbers, Error *err)
{
    enum { PARTS = 2 };
    static const DuckColumn columns[] = {{.name = "n", .type = DUCKDB_TYPE_BIGINT}};
    NumbersPart parts[PARTS] = {{.numbers = numbers}, {.numbers = numbers}};
    void *states[PARTS] = {&parts[0], &parts[1]};
    const DuckRows rows = {.columns = columns,
                           .column_count = 1,
                           .rows_total = (size_t)numbers->end,
                           .fill = fill_numbers,
                           .states = states,
                           .state_count = PARTS};
    return duck_run(
        duck, &(DuckStatement){.sql = "INSERT INTO t SELECT * FROM pawl_rows()", .rows = &rows},
        NULL, err);
}

TEST(rows_may_be_filled_by_several_threads)
{
    enum { ROWS = 300000 };
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    open_memory(&duck);
    CHECK_OK(duck_set_threads(&duck, 2, 128 * 1000 * 1000, &err), &err);
    CHECK_OK(duck_run_sql(&duck, "SET preserve_insertion_order = false; CREATE TABLE t (n BIGINT)",
                          &err),
             &err);
    Numbers numbers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                       .second_is_here = PTHREAD_COND_INITIALIZER,
                       .end = ROWS,
                       .fails_at = -1};
    CHECK_OK(insert_numbers(&duck, &numbers, &err), &err);
    CHECK_INT(number(&duck, "SELECT count(DISTINCT n) FROM t"), ROWS);
    CHECK_INT(number(&duck, "SELECT count(*) FROM t WHERE n BETWEEN 0 AND 299999"), ROWS);
    CHECK_INT(number(&duck, "SELECT current_setting('threads')"), 2);

    numbers = (Numbers){.lock = PTHREAD_MUTEX_INITIALIZER,
                        .second_is_here = PTHREAD_COND_INITIALIZER,
                        .end = ROWS,
                        .fails_at = ROWS / 2};
    CHECK(!insert_numbers(&duck, &numbers, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK_STR(str_from(err.message), STR("the reason of its own"));
    CHECK_INT(number(&duck, "SELECT count(*) FROM t"), ROWS);
}

TEST(uuids_sort_as_their_bytes_do)
{
    static const unsigned char low[16] = {0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const unsigned char high[16] = {0xff, 1, 2,  3,  4,  5,  6,  7,
                                           8,    9, 10, 11, 12, 13, 14, 0xfe};
    unsigned char back[16];
    CHECK(duck_uuid(low).upper < duck_uuid(high).upper);
    duck_uuid_bytes(duck_uuid(low), back);
    CHECK(memcmp(back, low, 16) == 0);
    duck_uuid_bytes(duck_uuid(high), back);
    CHECK(memcmp(back, high, 16) == 0);
}

TEST(a_duck_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(duck_close) Duck duck = {0};
        const DuckValue values[] = {duck_int64(1)};
        const bool ok =
            duck_open(&duck, &(DuckOptions){0}, &err) &&
            duck_run_sql(&duck, "CREATE TABLE t (a BIGINT)", &err) &&
            duck_run(&duck,
                     &(DuckStatement){
                         .sql = "INSERT INTO t VALUES (?)", .values = values, .value_count = 1},
                     NULL, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok || err.message[0] != '\0');
    }
}
