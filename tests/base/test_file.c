#include "base/file.h"

#include "harness/check.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUN_BYTES = 1024 * 1024 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next = 0;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", test_folder(), name);
    return path;
}

static int files_in(const char *folder)
{
    DIR *listing = opendir(folder);
    CHECK(listing != NULL);
    int count = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        count += entry->d_name[0] == '.' ? 0 : 1;
    CHECK(closedir(listing) == 0);
    return count;
}

static Str content(const char *path, Arena *arena)
{
    Error err = {0};
    Str bytes = {0};
    CHECK_OK(file_read(path, RUN_BYTES, arena, &bytes, &err), &err);
    return bytes;
}

TEST(files_are_read_up_to_a_limit)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Str bytes = {0};
    CHECK_OK(file_write(in_folder("f"), STR("01234\0abc"), &err), &err);
    CHECK_OK(file_read(in_folder("f"), 9, arena, &bytes, &err), &err);
    CHECK_STR(bytes, STR("01234\0abc"));
    CHECK(bytes.data[9] == '\0');
    CHECK(!file_read(in_folder("f"), 8, arena, &bytes, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_OK(file_write(in_folder("f"), STR(""), &err), &err);
    CHECK_OK(file_read(in_folder("f"), 0, arena, &bytes, &err), &err);
    CHECK_INT((int64_t)bytes.size, 0);
}

TEST(what_cannot_be_read_is_named)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Str bytes = {0};
    CHECK(!file_read(in_folder("none"), 9, arena, &bytes, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    CHECK_CONTAINS(str_from(err.message), STR("/none': No such file"));
    CHECK(!file_read(test_folder(), 9, arena, &bytes, &err));
    CHECK_CONTAINS(str_from(err.message), STR("not a regular file"));
    // A pipe nobody writes to: it must not be waited for.
    CHECK(mkfifo(in_folder("pipe"), 0600) == 0);
    CHECK(!file_read(in_folder("pipe"), 9, arena, &bytes, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
}

TEST(errno_becomes_a_code)
{
    const struct {
        int number;
        ErrorCode code;
    } rows[] = {{ENOENT, ERROR_NOT_FOUND}, {ENOTDIR, ERROR_NOT_FOUND},
                {EEXIST, ERROR_CONFLICT},  {ENAMETOOLONG, ERROR_NOT_FOUND},
                {EACCES, ERROR_ACCESS},    {EPERM, ERROR_ACCESS},
                {EROFS, ERROR_ACCESS},     {ENOSPC, ERROR_LIMIT},
                {EDQUOT, ERROR_LIMIT},     {EFBIG, ERROR_LIMIT},
                {EIO, ERROR_IO},           {EMFILE, ERROR_IO}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        Error err = {0};
        errno = rows[i].number;
        CHECK(!file_error(&err, "open", "p"));
        CHECK_INT(err.code, rows[i].code);
        CHECK(str_starts_with(str_from(err.message), STR("open 'p': ")));
    }
}

TEST(writing_replaces_and_creating_does_not)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CHECK_OK(file_create(in_folder("f"), STR("one"), &err), &err);
    CHECK(!file_create(in_folder("f"), STR("two"), &err));
    CHECK_INT(err.code, ERROR_CONFLICT);
    CHECK_STR(content(in_folder("f"), arena), STR("one"));
    CHECK_OK(file_write(in_folder("f"), STR("three"), &err), &err);
    CHECK_STR(content(in_folder("f"), arena), STR("three"));
    CHECK_INT(files_in(test_folder()), 1); // no temporary file is left
    struct stat status;
    CHECK(stat(in_folder("f"), &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK(!file_write(in_folder("none/f"), STR("x"), &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    char longer[PATH_MAX + 10];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK(!file_write(longer, STR("x"), &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK(!file_make_folder(longer, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

// Whatever fails, the file holds the old bytes or the new ones, and nothing else is left behind.
TEST(a_write_is_whole_or_not_at_all)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &(Error){0});
        if (arena == NULL)
            continue;
        (void)unlink(in_folder("f"));
        const bool created = file_create(in_folder("f"), STR("old"), &err);
        CHECK(created == (err.code == ERROR_NONE));
        const bool written = created && file_write(in_folder("f"), STR("new"), &err);
        CHECK(written == (err.code == ERROR_NONE));
        CHECK_INT(files_in(test_folder()), file_exists(in_folder("f")) ? 1 : 0);
        Str bytes = {0};
        if (!written || !file_read(in_folder("f"), RUN_BYTES, arena, &bytes, &err))
            continue;
        CHECK_STR(bytes, STR("new"));
    }
}

TEST(a_file_made_elsewhere_is_moved_in_once)
{
    FAULTS() {
        Error err = {0};
        const char *folder = in_folder("moved");
        char scratch[PATH_MAX], path[PATH_MAX];
        (void)snprintf(scratch, sizeof(scratch), "%s/scratch", folder);
        (void)snprintf(path, sizeof(path), "%s/path", folder);
        fault_arm(0);
        CHECK_OK(file_make_folder(folder, &err), &err);
        CHECK_OK(file_remove(path, &err), &err);
        CHECK_OK(file_write(scratch, STR("whole"), &err), &err);
        fault_arm(fault_nth);
        const bool ok = file_move_in(scratch, path, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || !file_exists(scratch));
        CHECK(!ok || file_exists(path));
        CHECK_OK(file_write(scratch, STR("second"), &err), &err);
        err = (Error){0};
        if (!ok)
            continue;
        CHECK(!file_move_in(scratch, path, &err));
        CHECK_INT(err.code, ERROR_CONFLICT);
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CHECK_STR(content(path, arena), STR("whole"));
    }
}

TEST(folders_are_made_with_their_parents)
{
    Error err = {0};
    CHECK_OK(file_make_folder(in_folder("a/b/c"), &err), &err);
    CHECK_OK(file_make_folder(in_folder("a/b/c/"), &err), &err);
    CHECK(file_exists(in_folder("a/b/c")));
    CHECK_OK(file_write(in_folder("a/f"), STR(""), &err), &err);
    CHECK(!file_make_folder(in_folder("a/f"), &err)); // a file stands there
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    CHECK(!file_make_folder(in_folder("a/f/g"), &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
    FAULTS() {
        Error failure = {0};
        const bool ok = file_make_folder(in_folder("x/y"), &failure);
        CHECK(ok == (failure.code == ERROR_NONE));
        CHECK(!ok || file_exists(in_folder("x/y")));
        (void)rmdir(in_folder("x/y"));
        (void)rmdir(in_folder("x"));
    }
}

TEST(removing_twice_is_fine)
{
    Error err = {0};
    CHECK_OK(file_write(in_folder("f"), STR(""), &err), &err);
    CHECK_OK(file_remove(in_folder("f"), &err), &err);
    CHECK(!file_exists(in_folder("f")));
    CHECK_OK(file_remove(in_folder("f"), &err), &err);
    CHECK_OK(file_make_folder(in_folder("d"), &err), &err);
    CHECK(!file_remove(in_folder("d"), &err));
}

TEST(paths_are_joined_and_cut)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Str path = {0};
    CHECK_OK(file_join(arena, STR("jobs"), STR("ctm.json"), &path, &err), &err);
    CHECK_STR(path, STR("jobs/ctm.json"));
    CHECK_OK(file_join(arena, STR("jobs"), STR("/etc/x"), &path, &err), &err);
    CHECK_STR(path, STR("/etc/x"));
    const struct {
        Str path, folder;
    } rows[] = {{STR("a/b.json"), STR("a")},  {STR("b.json"), STR(".")}, {STR("/b"), STR("/")},
                {STR("/a/b/c"), STR("/a/b")}, {STR("a/"), STR("a")},     {STR(""), STR(".")}};
    for (size_t i = 0; i < COUNT(rows); i++)
        CHECK_STR(file_folder(rows[i].path), rows[i].folder);
}

TEST(locks_exclude)
{
    Error err = {0};
    int first = -1;
    int second = -1;
    CHECK_OK(file_lock(in_folder("lock"), &first, &err), &err);
    CHECK(!file_lock(in_folder("lock"), &second, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_INT(second, -1);
    file_unlock(first);
    CHECK_OK(file_lock(in_folder("lock"), &second, &err), &err);
    file_unlock(second);
    file_unlock(-1);
    CHECK(!file_lock(in_folder("none/lock"), &second, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
}
