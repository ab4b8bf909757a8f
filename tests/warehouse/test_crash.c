// What a warehouse on this machine must stand: kill -9 anywhere, another process, no room, no
// right.
#include "base/file.h"
#include "base/kill.h"
#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POINTS_MAX = 64, PATH_BYTES = 160, TEXT_BYTES_MAX = 64 * 1024 };

#define ROWS(...)                          \
    .rows = (const RigRow[]){__VA_ARGS__}, \
    .count = sizeof((const RigRow[]){__VA_ARGS__}) / sizeof(RigRow)

// ---- kill -9 ----

// A run of three loads as run/ would make it, safe to be run again: it inserts, replaces, marks,
// moves watermarks and logs.
static void script(const char *path)
{
    Error err = {0};
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    rig_prepare(&rig);
    const int64_t gone[] = {3};
    const RigReading readings[] = {
        {.partition = "a",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 10,
         ROWS({1, "A"}, {2, "B"}, {3, "C"})},
        {.partition = "a",
         .from_us = 1,
         .to_us = 2,
         .fetched_us = 20,
         ROWS({1, "new"}, {2, "B"}),
         .gone = gone,
         .gone_count = 1},
        {.partition = "b", .from_us = 1, .to_us = 2, .fetched_us = 30, ROWS({7, "G"})},
    };
    for (uint32_t i = 0; i < 3; i++) {
        const Watermark mark = {STR("orders"), STR("a"), 100 + i};
        const RigLoad load = {.run = "run",
                              .ordinal = i,
                              .epoch = 1,
                              .readings = &readings[i],
                              .count = 1,
                              .watermarks = &mark,
                              .watermark_count = 1};
        CHECK_OK(rig_load(&rig, &load, NULL, &err), &err);
        CHECK_OK(rig.driver->idle(rig.state, &err), &err);
    }
    const EtlLogRow log = {.run = STR("run"), .stage = STR("run"), .status = STR("ok")};
    CHECK_OK(rig.driver->append_log(rig.state, &log, 1, &err), &err);
}

// Everything that a run must leave the same, whenever it was killed.
static void write_state(const char *path, const char *text_path)
{
    Error err = {0};
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    Str text = {0};
    CHECK_OK(arena_printf(
                 rig.arena, &text, &err, STR_FMT " / " STR_FMT " / " STR_FMT " / " STR_FMT,
                 STR_ARG(rig_query(
                     &rig, "SELECT * EXCLUDE (_loaded_at) FROM shop.\"or\"\"ders\" ORDER BY id")),
                 STR_ARG(rig_query(
                     &rig, "SELECT * EXCLUDE (loaded_at) FROM main.pawl_load ORDER BY load_id")),
                 STR_ARG(rig_query(
                     &rig, "SELECT * EXCLUDE (loaded_at) FROM main.pawl_slice ORDER BY load_id")),
                 STR_ARG(rig_query(
                     &rig, "SELECT * EXCLUDE (updated_at) FROM main.pawl_state ORDER BY ALL"))),
             &err);
    CHECK_OK(file_write(text_path, text, &err), &err);
}

// Runs `work` in a process of its own; the signal that ended it, 0 for a good end.
static int in_process(void (*work)(const char *path, const char *more), const char *path,
                      const char *more)
{
    (void)fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work(path, more);
        exit(EXIT_SUCCESS);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    CHECK_INT(WEXITSTATUS(status), EXIT_SUCCESS);
    return 0;
}

static void script_listing(const char *path, const char *list_path)
{
    kill_init(NULL, list_path);
    script(path);
}

static void script_killed(const char *path, const char *point)
{
    kill_init(point, NULL);
    script(path);
}

static void script_again(const char *path, const char *text_path)
{
    script(path);
    write_state(path, text_path);
}

static Str read_text(Arena *arena, const char *path)
{
    Error err = {0};
    Str text = {0};
    CHECK_OK(file_read(path, TEXT_BYTES_MAX, arena, &text, &err), &err);
    return text;
}

static bool seen_before(const Str *points, size_t count, Str point)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(points[i], point))
            return true;
    }
    return false;
}

static void path_in_folder(char path[PATH_BYTES], const char *name)
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", test_folder(), name);
}

TEST(killed_at_any_point_and_run_again_it_is_as_if_nothing_had_happened)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RIG_ARENA_BYTES, &err);
    char path[PATH_BYTES], list[PATH_BYTES], text[PATH_BYTES];
    path_in_folder(path, "undisturbed.duckdb");
    path_in_folder(list, "points");
    path_in_folder(text, "text");
    CHECK_INT(in_process(script_listing, path, list), 0);
    CHECK_INT(in_process(write_state, path, text), 0);
    const Str undisturbed = read_text(arena, text);
    CHECK_CONTAINS(undisturbed, STR("new"));

    Str points[POINTS_MAX];
    size_t count = 0;
    Str rest = read_text(arena, list);
    while (rest.data != NULL) {
        const Str point = str_split_next(&rest, '\n');
        if (point.size == 0 || seen_before(points, count, point))
            continue;
        CHECK(count < POINTS_MAX);
        points[count++] = point;
    }
    CHECK(seen_before(points, count, STR("commit, orders load 1")));
    CHECK(seen_before(points, count, STR("committed, orders load 2")));
    CHECK(seen_before(points, count, STR("warehouse create")));
    CHECK(seen_before(points, count, STR("warehouse link")));
    CHECK(seen_before(points, count, STR("warehouse linked")));
    CHECK(seen_before(points, count, STR("warehouse prepare")));
    CHECK(seen_before(points, count, STR("log appended")));

    for (size_t i = 0; i < count; i++) {
        char name[PATH_BYTES];
        (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(points[i]));
        check_row(name);
        char file[32];
        (void)snprintf(file, sizeof(file), "%zu.duckdb", i);
        path_in_folder(path, file);
        CHECK_INT(in_process(script_killed, path, name), SIGKILL);
        CHECK_INT(in_process(script_again, path, text), 0);
        CHECK_STR(read_text(arena, text), undisturbed);
    }
}

// ---- another process ----

// A process that has the file open until a byte comes (or the pipe closes).
typedef struct Holder {
    pid_t pid;
    int go;
} Holder;

static Holder hold(const char *path)
{
    int ready[2], go[2];
    CHECK(pipe(ready) == 0);
    CHECK(pipe(go) == 0);
    (void)fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0);
    char byte = 'x';
    if (child == 0) {
        (void)close(go[1]);
        CLEANUP(rig_close) Rig rig = {0};
        rig_open(&rig, &warehouse_duckdb, path, "");
        rig_prepare(&rig);
        CHECK(write(ready[1], &byte, 1) == 1);
        (void)!read(go[0], &byte, 1);
        rig_close(&rig);
        exit(EXIT_SUCCESS);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(go[0]);
    return (Holder){child, go[1]};
}

static void let_go(Holder *holder)
{
    if (holder->pid == 0)
        return;
    (void)close(holder->go);
    CHECK(waitpid(holder->pid, NULL, 0) == holder->pid);
    holder->pid = 0;
}

TEST(a_file_that_another_process_holds_is_waited_for_in_vain)
{
    char path[PATH_BYTES];
    path_in_folder(path, "held.duckdb");
    CLEANUP(let_go) Holder holder = hold(path);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, ", \"lock_wait\": \"PT7S\"");
    const int64_t start_us = test_clock_us;
    Error err = {0};
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    char who[32];
    (void)snprintf(who, sizeof(who), "PID %d", (int)holder.pid);
    CHECK_CONTAINS(str_from(err.message), str_from(who));
    CHECK_CONTAINS(str_from(err.message), STR("waited 7 s"));
    CHECK(test_clock_us - start_us >= 7000000);
    CHECK(test_clock_us - start_us < 8000000);
}

static Holder waited_for;
static int sleeps = 0;

static void sleep_and_let_go(void *state, int64_t duration_us)
{
    (void)state;
    test_clock_us += duration_us;
    if (++sleeps == 3)
        let_go(&waited_for);
}

TEST(a_file_that_another_process_lets_go_is_taken)
{
    char path[PATH_BYTES];
    path_in_folder(path, "held.duckdb");
    waited_for = hold(path);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    test_env.sleep_us = sleep_and_let_go;
    rig_prepare(&rig);
    CHECK(sleeps >= 3);
}

TEST(whoever_waits_can_be_stopped)
{
    char path[PATH_BYTES];
    path_in_folder(path, "held.duckdb");
    CLEANUP(let_go) Holder holder = hold(path);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    test_env.stop = true;
    Error err = {0};
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
}

TEST(a_process_that_was_killed_holds_nothing)
{
    char path[PATH_BYTES];
    path_in_folder(path, "held.duckdb");
    Holder holder = hold(path);
    CHECK(kill(holder.pid, SIGKILL) == 0);
    let_go(&holder);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, ", \"lock_wait\": \"PT0S\"");
    rig_prepare(&rig);
}

// ---- no room, no right ----

static void check_nothing_left_beside(const char *path)
{
    char left[PATH_BYTES + 8];
    (void)snprintf(left, sizeof(left), "%s.new", path);
    CHECK(!file_exists(left));
}

static bool load_many(Rig *rig, const char *run, Error *err)
{
    static RigRow rows[RIG_ROWS_MAX];
    static char names[RIG_ROWS_MAX][PATH_BYTES];
    for (int i = 0; i < RIG_ROWS_MAX; i++) {
        const Key128 noise = rig_key(i + 1000000);
        hex_encode(noise.bytes, sizeof(noise.bytes), names[i]);
        rows[i] = (RigRow){i, names[i]};
    }
    const RigReading reading = {.partition = "a",
                                .from_us = 1,
                                .to_us = 2,
                                .fetched_us = 10,
                                .rows = rows,
                                .count = RIG_ROWS_MAX};
    return rig_load(rig, &(RigLoad){.run = run, .epoch = 1, .readings = &reading, .count = 1}, NULL,
                    err);
}

TEST(a_full_disk_is_named_and_nothing_is_half_written)
{
    char path[PATH_BYTES];
    path_in_folder(path, "full.duckdb");
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    rig_prepare(&rig);
    Error err = {0};
    CHECK_OK(rig.driver->idle(rig.state, &err), &err);

    // A limit of the process's files stands for a full disk; EFBIG comes instead of the signal.
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit small = {.rlim_cur = 300 * 1024, .rlim_max = limit.rlim_max};
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(!load_many(&rig, "r1", &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_CONTAINS(str_from(err.message), STR("full.duckdb"));

    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\""), STR("0"));
    CHECK_OK(load_many(&rig, "r1", &err), &err);
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\""), STR("10000"));
}

// A file of which DuckDB could write a part only is one that it cannot open any more.
TEST(a_disk_that_is_full_at_the_first_byte_leaves_nothing_unreadable)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    const rlim_t rooms[] = {0, 100, 4096, 5000, 8192, 12000};
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char name[32], path[PATH_BYTES];
        (void)snprintf(name, sizeof(name), "room for %d bytes", (int)rooms[i]);
        check_row(name);
        (void)snprintf(name, sizeof(name), "%zu.duckdb", i);
        path_in_folder(path, name);
        CLEANUP(rig_close) Rig rig = {0};
        rig_open(&rig, &warehouse_duckdb, path, "");
        Error err = {0};
        CHECK(setrlimit(RLIMIT_FSIZE,
                        &(struct rlimit){.rlim_cur = rooms[i], .rlim_max = limit.rlim_max}) == 0);
        CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK_INT(err.code, ERROR_LIMIT);
        CHECK_CONTAINS(str_from(err.message), str_from(name));
        rig_prepare(&rig);
        CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\""), STR("0"));
        check_nothing_left_beside(path);
    }
}

// What a power cut may leave of an attempt, and a log whose database somebody removed.
TEST(leftovers_of_a_creation_are_not_in_the_way)
{
    char path[PATH_BYTES], left[PATH_BYTES];
    path_in_folder(path, "new.duckdb");
    Error err = {0};
    path_in_folder(left, "new.duckdb.new");
    CHECK(mkdir(left, 0700) == 0);
    const char *const names[] = {"new.duckdb.new/file", "new.duckdb.new/file.wal",
                                 "new.duckdb.new/lock", "new.duckdb.wal"};
    for (int i = 0; i < 4; i++) {
        path_in_folder(left, names[i]);
        CHECK_OK(file_write(left, STR("torn"), &err), &err);
    }
    {
        CLEANUP(rig_close) Rig rig = {0};
        rig_open(&rig, &warehouse_duckdb, path, "");
        rig_prepare(&rig);
        check_nothing_left_beside(path);
    }
    // Killed when all was done but tidying up: a second name of the standing file.
    path_in_folder(left, "new.duckdb.new");
    CHECK(mkdir(left, 0700) == 0);
    path_in_folder(left, "new.duckdb.new/file");
    CHECK(link(path, left) == 0);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\""), STR("0"));
    check_nothing_left_beside(path);
}

TEST(who_comes_while_another_creates_the_file_waits)
{
    char path[PATH_BYTES], name[PATH_BYTES];
    path_in_folder(path, "new.duckdb");
    path_in_folder(name, "new.duckdb.new");
    CHECK(mkdir(name, 0700) == 0);
    path_in_folder(name, "new.duckdb.new/lock");
    Error err = {0};
    int other = -1;
    CHECK_OK(file_lock(name, &other, &err), &err);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, ", \"lock_wait\": \"PT7S\"");
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_CONTAINS(str_from(err.message), STR("waited 7 s"));
    file_unlock(other);
    rig_prepare(&rig);
    check_nothing_left_beside(path);
}

// Root may write anywhere, so it is left first.
static void as_nobody(void)
{
    enum { NOBODY = 65534 };
    if (geteuid() == 0)
        CHECK(seteuid(NOBODY) == 0);
}

TEST(a_folder_or_file_without_the_right_to_write_is_named)
{
    char path[PATH_BYTES];
    path_in_folder(path, "mine.duckdb");
    {
        CLEANUP(rig_close) Rig rig = {0};
        rig_open(&rig, &warehouse_duckdb, path, "");
        rig_prepare(&rig);
    }
    CHECK(chmod(path, 0444) == 0);
    CHECK(chmod(test_folder(), 0555) == 0);
    as_nobody();
    const char *const files[] = {"mine.duckdb", "new.duckdb"};
    for (int i = 0; i < 2; i++) {
        check_row(files[i]);
        path_in_folder(path, files[i]);
        CLEANUP(rig_close) Rig rig = {0};
        rig_open(&rig, &warehouse_duckdb, path, "");
        Error err = {0};
        CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
        CHECK_INT(err.code, ERROR_ACCESS);
        CHECK_CONTAINS(str_from(err.message), str_from(files[i]));
    }
    CHECK(seteuid(getuid()) == 0); // the leak checker wants its rights back
}

TEST(a_file_that_is_no_database_is_refused)
{
    char path[PATH_BYTES];
    path_in_folder(path, "text.duckdb");
    Error err = {0};
    static const char text[] = "this has been a text for as long as it can remember";
    CHECK_OK(file_write(path, STR(text), &err), &err);
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
    CHECK_INT(err.code, ERROR_DATA); // no second try mends it
    CHECK_CONTAINS(str_from(err.message), STR("text.duckdb"));
    CHECK(!rig.driver->prepare(rig.state, &rig_table, 1, &err));
}

TEST(a_stopped_program_ends_its_load)
{
    char path[PATH_BYTES];
    path_in_folder(path, "stopped.duckdb");
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    rig_prepare(&rig);
    Error err = {0};
    test_env.stop = true;
    CHECK(!load_many(&rig, "r1", &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    test_env.stop = false;
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\""), STR("0"));
}

typedef struct OneBatch {
    struct ArrowArray array;
    bool given;
} OneBatch;

static bool give_batch(void *state, RowSelection *ret_selection, Error *err)
{
    (void)err;
    static const uint32_t rows[] = {0, 1};
    static const bool replaces[] = {true, false};
    OneBatch *batch = state;
    *ret_selection =
        batch->given ? (RowSelection){0} : (RowSelection){&batch->array, rows, replaces, 2};
    batch->given = true;
    return true;
}

// Every call of a load: replaces row 1, inserts `id`, marks row 2.
static bool whole_load(Rig *rig, const LoadSpec *spec, OneBatch *batch, int64_t id, Error *err)
{
    const Key128 keys[] = {rig_key(1), rig_key(2), rig_key(id)};
    const Watermark mark = {STR("orders"), STR("a"), id};
    MatchedRow matched[3];
    bool loaded = false;
    int64_t marked = 0;
    RowSource source = {give_batch, batch, 2, 1};
    const bool ok = rig->driver->load_begin(rig->state, spec, &loaded, err) && !loaded &&
                    rig->driver->load_match(rig->state, keys, 3, matched, err) &&
                    matched[0].found && matched[1].found && !matched[2].found &&
                    rig->driver->load_write(rig->state, &source, err) &&
                    rig->driver->load_mark_deleted(rig->state, &keys[1], 1, id, &marked, err) &&
                    rig->driver->load_commit(
                        rig->state, &(LoadCommit){.watermarks = &mark, .watermark_count = 1}, err);
    if (!ok)
        rig->driver->load_abort(rig->state);
    return ok;
}

// Whatever fails within a load, and whenever: a reason, nothing half done, and the next try is
// whole.
TEST(a_load_survives_every_fault)
{
    char path[PATH_BYTES];
    path_in_folder(path, "faults.duckdb");
    CLEANUP(rig_close) Rig rig = {0};
    rig_open(&rig, &warehouse_duckdb, path, "");
    rig_prepare(&rig);
    Error first = {0};
    const RigReading reading = {
        .partition = "a", .from_us = 1, .to_us = 2, ROWS({1, "one"}, {2, "two"})};
    CHECK_OK(rig_load(&rig,
                      &(RigLoad){.run = "first", .epoch = 1, .readings = &reading, .count = 1},
                      NULL, &first),
             &first);
    int64_t rows = 2;
    FAULTS() {
        fault_arm(0); // the rig checks what it allocates itself
        const int64_t id = 10 + fault_nth;
        char name[32];
        (void)snprintf(name, sizeof(name), "fault %d", fault_nth);
        check_row(name);
        LoadSlice slices[1];
        const RigReading window = {
            .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = fault_nth};
        const RigLoad load = {.run = "run",
                              .ordinal = (uint32_t)fault_nth,
                              .epoch = (uint64_t)fault_nth,
                              .readings = &window,
                              .count = 1};
        const LoadSpec spec = rig_spec(&load, slices);
        const RigRow written[] = {{1, name}, {id, "new"}};
        OneBatch batches[2] = {0};
        rig_array(written, 2, fault_nth, &batches[0].array);
        rig_array(written, 2, fault_nth, &batches[1].array);

        Error err = {0};
        fault_arm(fault_nth);
        const bool ok = whole_load(&rig, &spec, &batches[0], id, &err);
        const bool fired = fault_disarm();
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        CHECK(ok == !fired);
        bool has = false;
        CHECK_OK(rig.driver->has_load(rig.state, STR("run"), STR("orders"), (uint32_t)fault_nth,
                                      &has, &err),
                 &err);
        CHECK(has == ok);
        if (!ok) {
            CHECK_STR(rig_query(&rig, "SELECT count(*) FROM shop.\"or\"\"ders\" WHERE id = 1"),
                      STR("1"));
            err = (Error){0};
            CHECK_OK(whole_load(&rig, &spec, &batches[1], id, &err), &err);
        }
        rows++;
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "%lld|%s|true", (long long)rows, name);
        CHECK_STR(rig_query(&rig, "SELECT count(*), max(name) FILTER (id = 1), bool_or(_deleted_at "
                                  "IS NOT NULL) FILTER (id = 2)"
                                  " FROM shop.\"or\"\"ders\""),
                  str_from(expected));
        for (int i = 0; i < 2; i++)
            arrow_array_done(&batches[i].array);
    }
    CHECK(rows > 30);
}
