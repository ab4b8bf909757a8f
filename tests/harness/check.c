#include "check.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

Test *tests = NULL;

// Tests of one thread move this clock by hand; it moves by itself only when something sleeps.
int64_t test_clock_us = INT64_C(1700000000) * 1000000;

static int64_t test_now_us(void *state)
{
    (void)state;
    return test_clock_us;
}

static void test_sleep_us(void *state, int64_t duration_us)
{
    (void)state;
    test_clock_us += duration_us;
}

static uint64_t test_random(void *state)
{
    (void)state;
    return 4;
}

static const char *test_variable(void *state, const char *name)
{
    (void)state;
    (void)name;
    return NULL;
}

Env test_env = {.now_us = test_now_us,
                .monotonic_us = test_now_us,
                .sleep_us = test_sleep_us,
                .random = test_random,
                .variable = test_variable};

static const char *row = "";

void check_row(const char *name)
{
    row = name;
}

static void fail(const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: %s%s", file, line, row, row[0] == '\0' ? "" : ": ");
}

void check(bool ok, const char *file, int line, const char *text)
{
    if (ok)
        return;
    fail(file, line);
    (void)fprintf(stderr, "not true: %s\n", text);
    abort();
}

void check_ok(bool ok, const Error *err, const char *file, int line, const char *text)
{
    if (ok)
        return;
    fail(file, line);
    (void)fprintf(stderr, "%s failed: %s\n", text, err->message);
    abort();
}

void check_int(int64_t actual, int64_t expected, const char *file, int line, const char *text)
{
    if (actual == expected)
        return;
    fail(file, line);
    (void)fprintf(stderr, "%s is %" PRId64 ", expected %" PRId64 "\n", text, actual, expected);
    abort();
}

void check_str(Str actual, Str expected, const char *file, int line, const char *text)
{
    if (str_equal(actual, expected))
        return;
    fail(file, line);
    (void)fprintf(stderr, "%s is '" STR_FMT "', expected '" STR_FMT "'\n", text, STR_ARG(actual),
                  STR_ARG(expected));
    abort();
}

void check_contains(Str text, Str part, const char *file, int line, const char *name)
{
    if (str_find(text, part) < text.size || part.size == 0)
        return;
    fail(file, line);
    (void)fprintf(stderr, "%s is '" STR_FMT "', which lacks '" STR_FMT "'\n", name, STR_ARG(text),
                  STR_ARG(part));
    abort();
}

const char *test_folder(void)
{
    static char folder[64];
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof(folder), "/tmp/pawl-test-XXXXXX");
        if (mkdtemp(folder) == NULL)
            abort();
    }
    return folder;
}

static void remove_test_folder(const char *folder)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "chmod -R u+w %s && rm -rf %s", folder, folder);
    if (system(command) !=
        0) // NOLINT(cert-env33-c,concurrency-mt-unsafe): a path of ours, one thread
        (void)fprintf(stderr, "could not remove %s\n", folder);
}

// Each test in a process of its own: one that aborts, leaks or hangs says so and the rest still
// run.
static bool run_apart(const Test *test)
{
    (void)fflush(stdout);
    const char *folder = test_folder();
    const pid_t child = fork();
    if (child == 0) {
        test->run();
        (void)fflush(stdout);
        exit(EXIT_SUCCESS); // not _exit: the leak checker runs at exit
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    remove_test_folder(folder);
    if (mkdir(folder, 0700) != 0) // fresh for the next test
        return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// With a name, runs that one test in this process, for a debugger: ./test_store
// read_all_stops_at_the_limit
int main(int argc, char **argv)
{
    int passed = 0;
    int failed = 0;
    for (Test *test = tests; test != NULL; test = test->next) {
        if (argc > 1 && strcmp(argv[1], test->name) != 0)
            continue;
        bool ok = true;
        if (argc > 1)
            test->run();
        else
            ok = run_apart(test);
        (void)printf("%s %s\n", ok ? "ok  " : "FAIL", test->name);
        passed += ok ? 1 : 0;
        failed += ok ? 0 : 1;
    }
    remove_test_folder(test_folder());
    (void)printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
