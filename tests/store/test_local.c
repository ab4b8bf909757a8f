// What only the local disk can do wrong: processes that die, rights, a full disk, litter.
#define _GNU_SOURCE // unshare

#include "store/lease.h"

#include "base/kill.h"
#include "harness/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_BYTES = 16 * 1024 * 1024 };

typedef struct Place {
    Arena *arena;
    Store store;
} Place;

static void open_at(Place *place, const char *path)
{
    Error err = {0};
    place->arena = arena_new(RUN_BYTES, &err);
    CHECK(place->arena != NULL);
    Str json = {NULL, 0};
    yyjson_doc *doc = NULL;
    CHECK_OK(arena_printf(place->arena, &json, &err, "{\"path\":\"%s\"}", path) &&
                 json_parse(json, "options", place->arena, &doc, &err) &&
                 store_open(&place->store, &store_local,
                            (DriverOptions){yyjson_doc_get_root(doc), STR("options")}, &test_env,
                            place->arena, NULL, &err),
             &err);
}

static void close_place(Place *place)
{
    store_close(&place->store);
    arena_free(place->arena);
    *place = (Place){0};
}

static const char *in_folder(const char *relative)
{
    static char path[4][256];
    static int next = 0;
    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof(path[next]), "%s/%s", test_folder(), relative);
    return path[next];
}

static int count_files(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    int count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

// The only scratch folder below the store's.
static const char *place_of_scratch(void)
{
    static char path[512];
    const char *tmp = in_folder("lake/.store/tmp");
    DIR *folder = opendir(tmp);
    CHECK(folder != NULL);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.')
            (void)snprintf(path, sizeof(path), "%s/%s", tmp, entry->d_name);
    }
    (void)closedir(folder);
    return path;
}

// Waits for a child to write one byte, or to die.
static void wait_for_byte(int fd)
{
    char byte = 0;
    (void)!read(fd, &byte, 1);
}

static int end_of(pid_t child)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

TEST(options_are_checked)
{
    const struct {
        const char *name;
        const char *json;
        const char *expected;
    } rows[] = {
        {"no path", "{}", "path"},
        {"empty path", "{\"path\":\"\"}", "'path' is missing"},
        {"unknown member", "{\"path\":\"x\",\"pth\":1}", "pth"},
        {"wrong kind", "{\"path\":7}", "path"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse(str_from(rows[i].json), "options", arena, &doc, &err), &err);
        CLEANUP(store_close) Store store = {0};
        CHECK(!store_open(&store, &store_local,
                          (DriverOptions){yyjson_doc_get_root(doc), STR("job.json: /landing")},
                          &test_env, arena, NULL, &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].expected));
    }
}

TEST(a_path_that_leaves_no_room_is_refused)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf json = {0};
    CHECK_OK(buf_append(&json, STR("{\"path\":\"/"), &err), &err);
    for (int i = 0; i < 3500; i++)
        CHECK(buf_append_char(&json, 'x', &err));
    CHECK_OK(buf_append(&json, STR("\"}"), &err), &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(buf_str(&json), "options", arena, &doc, &err), &err);
    CLEANUP(store_close) Store store = {0};
    CHECK(!store_open(&store, &store_local, (DriverOptions){yyjson_doc_get_root(doc), STR("o")},
                      &test_env, arena, NULL, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

TEST(relative_paths_start_at_the_given_folder)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(STR("{\"path\":\"./deep/lake\"}"), "options", arena, &doc, &err), &err);
    CLEANUP(store_close) Store store = {.folder = str_from(test_folder())};
    CHECK_OK(store_open(&store, &store_local, (DriverOptions){yyjson_doc_get_root(doc), STR("o")},
                        &test_env, arena, NULL, &err),
             &err);
    CHECK_OK(store_create(&store, STR("a"), STR("x"), 0, &err), &err);
    CHECK(access(in_folder("deep/lake/a"), F_OK) == 0);
}

// Reading, listing and opening leave no trace: `pawl plan` promises to write nothing.
TEST(looking_creates_nothing)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    Error err = {0};
    char byte = 0;
    size_t got = 0;
    CHECK(!store_read(&place.store, STR("a"), 0, &byte, 1, &got, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    err = (Error){0};
    CHECK_OK(store_list(&place.store, STR(""), 0, NULL, NULL, &err), &err);
    CHECK_OK(store_remove(&place.store, STR("a/b"), &err), &err);
    CHECK(access(in_folder("lake"), F_OK) != 0);
}

TEST(only_the_owner_can_read)
{
    CLEANUP(close_place) Place place = {0};
    (void)umask(0);
    open_at(&place, in_folder("lake"));
    Error err = {0};
    const StoreFile file = {.path = STR("b/published"), .bytes = STR("x")};
    CHECK_OK(store_create(&place.store, STR("a/created"), STR("x"), STORE_LAZY, &err) &&
                 store_put(&place.store, STR("a/put"), STR("x"), 0, &err) &&
                 store_publish(&place.store, NULL, 0, &file, 1, &err),
             &err);
    const struct {
        const char *path;
        mode_t mode;
    } rows[] = {{"lake", 0700},
                {"lake/a", 0700},
                {"lake/.store", 0700},
                {"lake/.store/tmp", 0700},
                {"lake/a/created", 0600},
                {"lake/a/put", 0600},
                {"lake/b/published", 0600}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].path);
        struct stat status;
        CHECK(stat(in_folder(rows[i].path), &status) == 0);
        CHECK_INT(status.st_mode & 0777, rows[i].mode);
    }
}

// Several processes create the same files at once: each file is one writer's, and each has one
// winner.
TEST(of_several_writers_one_wins)
{
    enum { WRITERS = 4, FILES = 50, BYTES = 20000 };
    int go[2];
    int won[2];
    CHECK(pipe(go) == 0 && pipe(won) == 0);
    pid_t children[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        children[w] = fork();
        CHECK(children[w] >= 0);
        if (children[w] > 0)
            continue;
        char bytes[BYTES];
        memset(bytes, 'a' + w, sizeof(bytes));
        (void)close(go[1]);
        wait_for_byte(go[0]); // ends for all at once, when the parent closes its end
        Place place = {0};
        open_at(&place, in_folder("lake"));
        for (int i = 0; i < FILES; i++) {
            char path[32];
            Error err = {0};
            (void)snprintf(path, sizeof(path), "f/%d", i);
            const bool ok =
                store_create(&place.store, str_from(path), (Str){bytes, BYTES}, STORE_LAZY, &err);
            CHECK(ok || err.code == ERROR_CONFLICT);
            if (ok)
                CHECK(write(won[1], "w", 1) == 1);
        }
        close_place(&place);
        _exit(0);
    }
    (void)close(go[0]);
    (void)close(go[1]);
    for (int w = 0; w < WRITERS; w++)
        CHECK_INT(end_of(children[w]), 0);
    (void)close(won[1]);
    char marks[WRITERS * FILES];
    CHECK_INT(read(won[0], marks, sizeof(marks)), FILES);

    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    for (int i = 0; i < FILES; i++) {
        char path[32];
        Error err = {0};
        (void)snprintf(path, sizeof(path), "f/%d", i);
        Str bytes = {NULL, 0};
        CHECK_OK(store_read_all(&place.store, str_from(path), BYTES, place.arena, &bytes, &err),
                 &err);
        CHECK_INT((int64_t)bytes.size, BYTES);
        for (size_t k = 1; k < BYTES; k++)
            CHECK(bytes.data[k] == bytes.data[0]);
    }
}

TEST(litter_of_a_killed_writer_is_removed)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        Place place = {0};
        Error err = {0};
        open_at(&place, in_folder("lake"));
        kill_init("manifest put, x", NULL); // dies with its file written and not yet named
        const StoreFile file = {STR("f"), STR("x"), STR("manifest"), STR("x")};
        (void)!store_publish(&place.store, NULL, 0, &file, 1, &err);
        _exit(1);
    }
    CHECK(WIFSIGNALED(end_of(child)));
    CHECK_INT(count_files(in_folder("lake/.store/tmp")), 1);
    CHECK(access(in_folder("lake/f"), F_OK) != 0);

    // A Store that lives keeps what it has; a second one removes the dead one's only.
    CLEANUP(close_place) Place alive = {0};
    CLEANUP(close_place) Place place = {0};
    open_at(&alive, in_folder("lake"));
    open_at(&place, in_folder("lake"));
    Error err = {0};
    CHECK_OK(store_create(&alive.store, STR("a"), STR("x"), 0, &err), &err);
    CHECK_INT(count_files(in_folder("lake/.store/tmp")), 1);
    CHECK_OK(store_create(&place.store, STR("b"), STR("x"), 0, &err), &err);
    CHECK_INT(count_files(in_folder("lake/.store/tmp")), 2);
    CHECK_OK(store_create(&alive.store, STR("c"), STR("x"), 0, &err), &err);
    close_place(&alive);
    close_place(&place);
    CHECK_INT(count_files(in_folder("lake/.store/tmp")), 0);
}

static bool count_entry(void *visitor, const StoreEntry *entry)
{
    (void)entry;
    ++*(int *)visitor;
    return true;
}

TEST(only_files_and_folders_are_listed)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    Error err = {0};
    CHECK_OK(store_create(&place.store, STR("f/a"), STR("x"), 0, &err), &err);
    CHECK(symlink("/etc", in_folder("lake/f/b")) == 0);
    CHECK(mkfifo(in_folder("lake/f/c"), 0600) == 0);
    int count = 0;
    CHECK_OK(store_list(&place.store, STR("f"), 0, count_entry, &count, &err), &err);
    CHECK_INT(count, 1);
}

// Nobody writes into it: opened like a file it would be waited for for ever.
TEST(a_pipe_in_the_place_of_a_file_is_told_at_once)
{
    Place place = {0};
    open_at(&place, in_folder("lake"));
    Error err = {0};
    CHECK_OK(store_put(&place.store, STR("f/a"), STR("x"), 0, &err), &err);
    CHECK(mkfifo(in_folder("lake/f/c"), 0600) == 0);
    Str bytes = {0};
    CHECK(!store_read_all(&place.store, STR("f/c"), 100, place.arena, &bytes, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK(strstr(err.message, "lake/f/c': it is a pipe, not a file") != NULL);
    close_place(&place);
}

TEST(folders_nested_too_deep_are_refused)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    Error err = {0};
    char path[STORE_PATH_BYTES_MAX];
    size_t size = 0;
    for (int i = 0; i < 100; i++)
        size += (size_t)snprintf(path + size, sizeof(path) - size, "d/");
    path[size++] = 'f';
    CHECK_OK(store_create(&place.store, (Str){path, size}, STR("x"), 0, &err), &err);
    int count = 0;
    CHECK(!store_list(&place.store, STR(""), 0, count_entry, &count, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

// --- a disk of our own, small or read-only

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(fd);
    return ok;
}

// A namespace in which this process may mount, with or without being root.
static bool may_mount(void)
{
    char map[64];
    (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
    const bool own = unshare(CLONE_NEWNS) == 0 || (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                                                   write_text("/proc/self/uid_map", map));
    return own && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool mount_disk(const char *path, const char *size)
{
    CHECK(mkdir(path, 0700) == 0);
    if (may_mount() && mount("none", path, "tmpfs", 0, size) == 0)
        return true;
    (void)printf("skipped: this user may not mount a disk\n");
    return false;
}

TEST(a_full_disk_is_told_and_leaves_nothing_half_made)
{
    enum { BYTES = 20000, FILES_MAX = 20 };
    char disk[256];
    (void)snprintf(disk, sizeof(disk), "%s", in_folder("disk"));
    if (!mount_disk(disk, "size=128k"))
        return;
    static char bytes[BYTES];
    CLEANUP(close_place) Place place = {0};
    open_at(&place, disk);
    Error err = {0};
    int made = 0;
    char path[32];
    for (; made < FILES_MAX; made++) {
        (void)snprintf(path, sizeof(path), "f/%02d", made);
        if (!store_create(&place.store, str_from(path), (Str){bytes, BYTES}, STORE_LAZY, &err))
            break;
    }
    CHECK(made > 2 && made < FILES_MAX);
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_CONTAINS(str_from(err.message), str_from(path));
    CHECK_CONTAINS(str_from(err.message), STR("No space left"));

    const StoreFile files[] = {{.path = STR("g/1"), .bytes = STR("small")},
                               {.path = STR("g/2"), .bytes = {bytes, BYTES}}};
    CHECK(!store_publish(&place.store, NULL, 0, files, 2, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK(!store_put(&place.store, STR("f/00"), (Str){bytes, BYTES}, 0, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    err = (Error){0};
    int count = 0;
    CHECK_OK(store_list(&place.store, STR(""), 0, count_entry, &count, &err), &err);
    CHECK_INT(count, made);
    for (int i = 0; i < made; i++) {
        Str back = {NULL, 0};
        (void)snprintf(path, sizeof(path), "f/%02d", i);
        CHECK_OK(store_read_all(&place.store, str_from(path), BYTES, place.arena, &back, &err),
                 &err);
        CHECK_INT((int64_t)back.size, BYTES);
    }
    // Once there is room, the same store goes on.
    CHECK_OK(store_remove(&place.store, STR("f/01"), &err) &&
                 store_publish(&place.store, NULL, 0, files, 2, &err),
             &err);
}

TEST(a_read_only_disk_is_told)
{
    char disk[256];
    (void)snprintf(disk, sizeof(disk), "%s", in_folder("disk"));
    if (!mount_disk(disk, "size=128k"))
        return;
    CLEANUP(close_place) Place place = {0};
    open_at(&place, disk);
    Error err = {0};
    CHECK_OK(store_create(&place.store, STR("f/a"), STR("old"), 0, &err), &err);
    close_place(&place);
    CHECK(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    open_at(&place, disk);
    const StoreFile file = {.path = STR("f/c"), .bytes = STR("x")};
    Lease lease = {0};
    const bool ok[] = {
        store_create(&place.store, STR("f/b"), STR("x"), STORE_LAZY, &err) ||
            err.code != ERROR_ACCESS,
        store_put(&place.store, STR("f/a"), STR("x"), 0, &err) || err.code != ERROR_ACCESS,
        store_publish(&place.store, NULL, 0, &file, 1, &err) || err.code != ERROR_ACCESS,
        store_remove(&place.store, STR("f/a"), &err) || err.code != ERROR_ACCESS,
        lease_take(&lease, &place.store, STR("l"), STR("r"), LEASE_TTL_US_MIN, &err) ||
            err.code != ERROR_ACCESS,
    };
    for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++)
        CHECK(!ok[i]);
    CHECK_CONTAINS(str_from(err.message), str_from(disk));
    err = (Error){0};
    Str back = {NULL, 0};
    CHECK_OK(store_read_all(&place.store, STR("f/a"), 10, place.arena, &back, &err), &err);
    CHECK_STR(back, STR("old"));
}

// As many files as are flushed all at once.
TEST(publishing_many_survives_every_fault)
{
    enum { MANY = 30 };
    int round = 0;
    FAULTS() {
        round++;
        Error err = {0};
        CLEANUP(close_place) Place place = {0};
        fault_arm(0);
        open_at(&place, in_folder("lake"));
        Str lazy[MANY];
        StoreFile files[MANY];
        for (int i = 0; i < MANY; i++) {
            CHECK(arena_printf(place.arena, &lazy[i], &err, "%d/lazy/%d", round, i));
            CHECK(arena_printf(place.arena, &files[i].path, &err, "%d/whole/%d", round, i));
            files[i].bytes = STR("whole");
            CHECK(store_create(&place.store, lazy[i], STR("lazy"), STORE_LAZY, &err));
        }
        fault_arm(fault_nth);
        const bool ok = store_publish(&place.store, lazy, MANY, files, MANY, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        const bool fired = fault_disarm();
        err = (Error){0};
        for (int i = 0; i < MANY; i++) {
            Str bytes = {NULL, 0};
            const bool there =
                store_read_all(&place.store, files[i].path, 10, place.arena, &bytes, &err);
            CHECK(there || !ok);
            CHECK_STR(bytes, there ? STR("whole") : STR(""));
        }
        CHECK_INT(count_files(in_folder("lake/.store/tmp")), 1);
        CHECK_INT(count_files(place_of_scratch()), 0);
        if (fired)
            fault_arm(1), (void)fault_here(); // the loop asks whether there was a fault
    }
    CHECK(round > 2 * MANY);
}

// --- leases between processes

// A child that takes the lease, says so, and waits to be killed.
static pid_t start_holder(const char *folder, const char *run)
{
    int ready[2];
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        Place place = {0};
        Lease lease = {0};
        Error err = {0};
        open_at(&place, folder);
        CHECK_OK(lease_take(&lease, &place.store, STR("job/leases/historic"), str_from(run),
                            LEASE_TTL_US_MAX, &err),
                 &err);
        CHECK(write(ready[1], "r", 1) == 1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    wait_for_byte(ready[0]);
    (void)close(ready[0]);
    return child;
}

TEST(a_killed_holder_blocks_nobody_and_its_epoch_is_past)
{
    uint64_t last = 0;
    for (int i = 0; i < 3; i++) {
        const pid_t holder = start_holder(in_folder("lake"), "run-a");
        CLEANUP(close_place) Place place = {0};
        CLEANUP(lease_release) Lease lease = {0};
        open_at(&place, in_folder("lake"));
        Error err = {0};
        CHECK(!lease_take(&lease, &place.store, STR("job/leases/historic"), STR("run-b"),
                          LEASE_TTL_US_MIN, &err));
        CHECK_INT(err.code, ERROR_BUSY);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "/%ld/run-a", (long)holder);
        CHECK_CONTAINS(str_from(err.message), str_from(expected));
        CHECK(err.retry_after_ms >= 100 && err.retry_after_ms <= 5000);
        CHECK(kill(holder, SIGKILL) == 0);
        CHECK(WIFSIGNALED(end_of(holder)));

        err = (Error){0};
        CHECK_OK(lease_take(&lease, &place.store, STR("job/leases/historic"), STR("run-b"),
                            LEASE_TTL_US_MIN, &err),
                 &err);
        // The dead one had an epoch of its own in between.
        CHECK_INT((int64_t)lease.epoch, (int64_t)last + 2);
        last = lease.epoch;
    }
}

TEST(closing_the_store_lets_the_next_one_in)
{
    Place place = {0};
    Lease lease = {0};
    Error err = {0};
    open_at(&place, in_folder("lake"));
    CHECK_OK(lease_take(&lease, &place.store, STR("l"), STR("a"), LEASE_TTL_US_MIN, &err), &err);
    close_place(&place);
    CLEANUP(close_place) Place other = {0};
    CLEANUP(lease_release) Lease next = {0};
    open_at(&other, in_folder("lake"));
    CHECK_OK(lease_take(&next, &other.store, STR("l"), STR("b"), LEASE_TTL_US_MIN, &err), &err);
    CHECK_INT((int64_t)next.epoch, 2);
}

static void write_record(Place *place, const char *machine, int64_t until_us)
{
    Error err = {0};
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(buf_printf(&text, &err,
                        "{\"schema\":1,\"epoch\":41,\"holder\":\"far/7/run\",\"machine\":\"%s\","
                        "\"until_us\":%" PRId64 "}\n",
                        machine, until_us) &&
                 store_put(&place->store, STR("l"), buf_str(&text), 0, &err),
             &err);
}

// Its lock may not reach us, so a record of another machine holds until its time has passed.
TEST(a_record_of_another_machine_holds_for_its_time)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    write_record(&place, "another-boot-id", test_clock_us + 2000000);
    Lease lease = {0};
    Error err = {0};
    CHECK(!lease_take(&lease, &place.store, STR("l"), STR("run"), LEASE_TTL_US_MIN, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_INT(err.retry_after_ms, 2000);
    CHECK_CONTAINS(str_from(err.message), STR("far/7/run"));
    test_clock_us += 2000000;
    err = (Error){0};
    CHECK_OK(lease_take(&lease, &place.store, STR("l"), STR("run"), LEASE_TTL_US_MIN, &err), &err);
    CHECK_INT((int64_t)lease.epoch, 42);
    // And such a machine may take what we slept through.
    write_record(&place, "another-boot-id", test_clock_us + 2000000);
    test_clock_us += LEASE_TTL_US_MIN;
    CHECK(!lease_renew(&lease, &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    lease_release(&lease);
}

TEST(a_damaged_record_is_no_reason_to_start_again)
{
    static const char *const records[] = {
        "",
        "{}",
        "{\"schema\":1,\"epoch\":41,",
        "{\"schema\":1,\"epoch\":0,\"holder\":\"\",\"machine\":\"\",\"until_us\":1}",
        "{\"schema\":1,\"epoch\":-3,\"holder\":\"\",\"machine\":\"\",\"until_us\":1}",
        "{\"schema\":2,\"epoch\":41,\"holder\":\"\",\"machine\":\"\",\"until_us\":1}",
        "{\"schema\":1,\"epoch\":41,\"holder\":\"\",\"machine\":\"\",\"until_us\":1,\"x\":2}",
        "[]",
    };
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        check_row(records[i]);
        CLEANUP(close_place) Place place = {0};
        open_at(&place, in_folder("lake"));
        Lease lease = {0};
        Error err = {0};
        CHECK_OK(store_put(&place.store, STR("l"), str_from(records[i]), 0, &err), &err);
        CHECK(!lease_take(&lease, &place.store, STR("l"), STR("run"), LEASE_TTL_US_MIN, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), STR("lake/l"));
        CHECK_CONTAINS(str_from(err.message), STR("; restore it, or remove it: "));
    }
}

TEST(an_epoch_does_not_wrap_around)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    Lease lease = {0};
    Error err = {0};
    CHECK_OK(store_put(&place.store, STR("l"),
                       STR("{\"schema\":1,\"epoch\":18446744073709551615,\"holder\":\"\","
                           "\"machine\":\"\",\"until_us\":0}"),
                       0, &err),
             &err);
    CHECK(!lease_take(&lease, &place.store, STR("l"), STR("run"), LEASE_TTL_US_MIN, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

TEST(more_leases_than_places_are_refused)
{
    CLEANUP(close_place) Place place = {0};
    open_at(&place, in_folder("lake"));
    Error err = {0};
    Lease leases[17] = {{0}};
    int taken = 0;
    for (; taken < 17; taken++) {
        char path[16];
        (void)snprintf(path, sizeof(path), "l/%d", taken);
        if (!lease_take(&leases[taken], &place.store, str_from(path), STR("r"), LEASE_TTL_US_MIN,
                        &err))
            break;
    }
    CHECK_INT(taken, 16);
    CHECK_INT(err.code, ERROR_LIMIT);
    for (int i = 0; i < taken; i++)
        lease_release(&leases[i]);
}
