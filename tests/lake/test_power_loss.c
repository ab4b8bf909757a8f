// Kill the landing at every kill point and at every change it makes on the disk, with the power
// gone as well: each object is there whole or not at all, each promise is kept, and the next run
// completes.
#define _GNU_SOURCE // unshare

#include "shim/landing_work.h"

#include "harness/check.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POINTS_MAX = 400, POINT_BYTES = 128 };

// Sanitizers look at each line of code, for which a part of the moments is enough; they start
// slowly.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { EVERY = 11 };
#else
enum { EVERY = 1 };
#endif

typedef struct Setting {
    const char *names;   // POWER_NAMES; NULL = the library is not loaded, a plain kill -9
    const char *kill_at; // a kill point, or NULL
    long at;             // POWER_AT, or 0
} Setting;

typedef struct Promises {
    bool slices[WORK_SLICES];
    bool notes[3];
    bool state, erased;
    uint64_t epoch;
} Promises;

static const char *in_folder(const char *relative)
{
    static char path[4][256];
    static int next = 0;
    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof(path[next]), "%s/%s", test_folder(), relative);
    return path[next];
}

static char home[PATH_MAX]; // the folder of this test

static void find_home(void)
{
    const ssize_t size = readlink("/proc/self/exe", home, sizeof(home) - 1);
    CHECK(size > 0);
    home[size] = '\0';
    *strrchr(home, '/') = '\0';
}

// A file that is built beside this test.
static void beside(const char *name, char path[PATH_MAX])
{
    const int length = snprintf(path, PATH_MAX, "%s/%s", home, name);
    CHECK(length > 0 && length < PATH_MAX && access(path, R_OK) == 0);
}

static void set(const char *name, const char *value)
{
    CHECK((value == NULL ? unsetenv(name) : setenv(name, value, 1)) == 0);
}

static void become_victim(const Setting *setting, int output)
{
    char victim[PATH_MAX];
    char library[PATH_MAX];
    char number[32];
    beside("landing_victim", victim);
    beside("libpower_loss.so", library);
    (void)snprintf(number, sizeof(number), "%ld", setting->at);
    set("POWER_ROOT", in_folder("disk"));
    set("POWER_SHADOW", in_folder("shadow"));
    set("POWER_NAMES", setting->names);
    set("POWER_AT", setting->at > 0 ? number : NULL);
    set("POWER_COUNT", in_folder("count"));
    set("PAWL_TEST_KILL_AT", setting->kill_at);
    set("PAWL_TEST_KILL_LIST", in_folder("points"));
    set("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0");
    set("LD_PRELOAD", setting->names != NULL ? library : NULL);
    if (dup2(output, STDOUT_FILENO) < 0)
        _exit(99);
    (void)execl(victim, victim, in_folder("disk/lake"), (char *)NULL);
    _exit(98);
}

static void note_promise(Promises *promises, const char *what, unsigned number)
{
    if (strcmp(what, "slice") == 0 && number < WORK_SLICES)
        promises->slices[number] = true;
    else if (strcmp(what, "note") == 0 && number < 3)
        promises->notes[number] = true;
    else if (strcmp(what, "state") == 0)
        promises->state = true;
    else if (strcmp(what, "erased") == 0)
        promises->erased = true;
    else if (strcmp(what, "lease") == 0)
        promises->epoch = number;
    else
        CHECK(!"a promise that is known");
}

// Runs the victim; true when it came to its end, false when it was killed.
static bool run_victim(const Setting *setting, Promises *promises)
{
    int output[2];
    CHECK(pipe(output) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        become_victim(setting, output[1]);
    (void)close(output[1]);
    FILE *lines = fdopen(output[0], "r");
    char line[64];
    char what[64];
    unsigned number = 0;
    while (fgets(line, sizeof(line), lines) != NULL) {
        CHECK(sscanf(line, "%63s %u", what, &number) == 2);
        note_promise(promises, what, number);
    }
    (void)fclose(lines);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return !WIFSIGNALED(status);
}

static void check_slice(Work *work, uint32_t slice, bool promised)
{
    Error err = {0};
    const SliceName name = work_slice(slice);
    SliceManifest manifest = {0};
    arena_reset(work->scratch);
    const bool whole = landing_get_slice(work->landing, &name, work->scratch, &manifest, &err);
    CHECK(whole || err.code == ERROR_NOT_FOUND);
    CHECK(whole || !promised);
    for (uint32_t page = 0; page < WORK_PAGES; page++) {
        Str body = {NULL, 0};
        PageInfo info = {0};
        char text[WORK_BODY_BYTES];
        err = (Error){0};
        const bool there =
            landing_get_page(work->landing, &name, page, work->scratch, &body, &info, &err);
        CHECK(there || (!whole && err.code == ERROR_NOT_FOUND));
        if (there)
            CHECK(str_equal(body, work_body(slice, page, text)));
        if (there)
            CHECK_INT(info.fetched_us, work_info(slice, page).fetched_us);
    }
}

static void check_note(Work *work, const char *name, bool promised)
{
    Error err = {0};
    Str json = {NULL, 0};
    const bool there =
        landing_get_note(work->landing, STR(WORK_RUN), str_from(name), work->scratch, &json, &err);
    CHECK(there || (!promised && err.code == ERROR_NOT_FOUND));
    if (there)
        CHECK_STR(json, STR(WORK_NOTE));
}

// What was erased stays so: the page as the server had packed it does not come back.
static void check_erased(Work *work)
{
    Error err = {0};
    const SliceName name = work_slice(WORK_SLICES);
    OldestPage page = {0};
    char text[WORK_BODY_BYTES];
    arena_reset(work->scratch);
    CHECK_OK(landing_get_oldest_page(work->landing, &name, 0, work->scratch, &page, &err), &err);
    CHECK(!page.twice);
    CHECK(str_equal(page.body, work_body(WORK_SLICES, 1, text)));
}

// Whole or not there, and there when it was promised.
static void check_lake(const Promises *promises)
{
    Error err = {0};
    Work work = {0};
    CHECK_OK(work_open(&work, in_folder("disk/lake"), &err), &err);
    for (uint32_t slice = 0; slice < WORK_SLICES; slice++)
        check_slice(&work, slice, promises->slices[slice]);
    for (size_t i = 0; i < 3; i++)
        check_note(&work, work_notes[i], promises->notes[i]);
    check_note(&work, "state.json", promises->state);
    if (promises->erased)
        check_erased(&work);
    Lease lease = {0};
    CHECK_OK(lease_take(&lease, &work.store, STR(WORK_LEASE), STR("test"), LEASE_TTL_US_MIN, &err),
             &err);
    CHECK(lease.epoch > promises->epoch);
    lease_release(&lease);
    work_close(&work);
}

static void start_afresh(void)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "cd %s && rm -rf disk shadow points && mkdir disk shadow", test_folder());
    CHECK(system(command) == 0); // NOLINT(cert-env33-c): a path of ours
}

// A disk in memory, of this process and its children, where that is allowed: hundreds of runs then
// do not wait for the real one. What is tested is the same.
static void use_memory(void)
{
    find_home(); // below a chroot the kernel names it otherwise from another namespace
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return;
    (void)mount("none", test_folder(), "tmpfs", 0, "size=64m");
}

static void leave_memory(void)
{
    (void)umount2(test_folder(), MNT_DETACH);
}

// One death, and the run after it. Returns whether there was a death.
static bool die_and_resume(const Setting *setting)
{
    start_afresh();
    Promises promises = {0};
    if (run_victim(setting, &promises))
        return false;
    check_lake(&promises);
    const Setting undisturbed = {.names = setting->names};
    CHECK(run_victim(&undisturbed, &promises));
    for (uint32_t slice = 0; slice < WORK_SLICES; slice++)
        CHECK(promises.slices[slice]);
    check_lake(&promises);
    return true;
}

static int read_points(char points[POINTS_MAX][POINT_BYTES])
{
    start_afresh();
    Promises promises = {0};
    const Setting undisturbed = {0};
    CHECK(run_victim(&undisturbed, &promises));
    FILE *list = fopen(in_folder("points"), "r");
    CHECK(list != NULL);
    int count = 0;
    while (count < POINTS_MAX && fgets(points[count], POINT_BYTES, list) != NULL) {
        points[count][strcspn(points[count], "\n")] = '\0';
        count++;
    }
    (void)fclose(list);
    return count;
}

static char points[POINTS_MAX][POINT_BYTES];

static void sweep_points(const char *names, int every)
{
    use_memory();
    const int count = read_points(points);
    CHECK(count > WORK_SLICES * (WORK_PAGES + 1) * 2);
    CHECK(count < POINTS_MAX);
    for (int i = 0; i < count; i += every) {
        check_row(points[i]);
        const Setting setting = {.names = names, .kill_at = points[i]};
        CHECK(die_and_resume(&setting));
    }
    leave_memory();
}

TEST(kill_points_are_the_same_in_every_run)
{
    use_memory();
    static char again[POINTS_MAX][POINT_BYTES];
    const int count = read_points(points);
    CHECK_INT(read_points(again), count);
    for (int i = 0; i < count; i++) {
        CHECK_STR(str_from(again[i]), str_from(points[i]));
        for (int k = 0; k < i; k++)
            CHECK(strcmp(points[i], points[k]) != 0);
    }
    leave_memory();
}

TEST(a_kill_at_each_point_loses_nothing_promised)
{
    sweep_points(NULL, EVERY);
}

TEST(power_lost_at_each_point_loses_nothing_promised)
{
    sweep_points("strict", 5 * EVERY); // each change is taken below
}

static void sweep_changes(const char *names, int every)
{
    use_memory();
    long at = 1;
    Setting setting = {.names = names, .at = at};
    for (; die_and_resume(&setting); setting.at = at += every)
        check_row(names);
    CHECK(at > 120); // as many changes there are at least; the last round found no more
    leave_memory();
}

TEST(power_lost_before_each_change_with_strict_names)
{
    sweep_changes("strict", EVERY);
}

TEST(power_lost_before_each_change_with_a_journal)
{
    sweep_changes("kernel", 3 * EVERY); // loses no more than strict names do
}

// What a crash leaves of lazily written files: their names, and not all of their bytes.
TEST(power_lost_before_each_change_with_torn_files)
{
    sweep_changes("kept", EVERY);
}
