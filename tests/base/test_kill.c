#include "base/kill.h"

#include "base/file.h"
#include "harness/check.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_BYTES = 64 * 1024 };

static void three_points(void)
{
    for (int page = 1; page <= 3; page++)
        kill_point("page put, slice %d, page %d", 7, page);
}

// How a child ends that passes three points: the signal, or 0.
static int signal_of(const char *kill_at, const char *list_path)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        kill_init(kill_at, list_path);
        three_points();
        exit(EXIT_SUCCESS); // not _exit: coverage is written at exit
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(nothing_happens_unless_asked_for)
{
    CHECK(!kill_armed);
    three_points();
    kill_init(NULL, NULL);
    CHECK(!kill_armed);
    kill_init("", "");
    CHECK(!kill_armed);
    three_points();
}

TEST(the_named_point_kills)
{
    CHECK_INT(signal_of("page put, slice 7, page 2", NULL), SIGKILL);
    CHECK_INT(signal_of("page put, slice 7, page 4", NULL), 0);
    CHECK_INT(signal_of("page put, slice 7, page", NULL), 0); // whole names only
}

TEST(points_are_listed_up_to_the_killing_one)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/list", test_folder());
    Str list = {0};
    CHECK_INT(signal_of(NULL, path), 0);
    CHECK_OK(file_read(path, RUN_BYTES, arena, &list, &err), &err);
    CHECK_STR(list, STR("page put, slice 7, page 1\npage put, slice 7, page 2\n"
                        "page put, slice 7, page 3\n"));
    CHECK_OK(file_remove(path, &err), &err);
    CHECK_INT(signal_of("page put, slice 7, page 2", path), SIGKILL);
    CHECK_OK(file_read(path, RUN_BYTES, arena, &list, &err), &err);
    CHECK_STR(list, STR("page put, slice 7, page 1\n"));
}
