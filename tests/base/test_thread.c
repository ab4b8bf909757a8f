#define _GNU_SOURCE // CPU_SET; NOLINT(bugprone-reserved-identifier): glibc names it so
#include "base/thread.h"

#include "harness/check.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

static void *look_at_signals(void *state)
{
    sigset_t blocked;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
    *(bool *)state = sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1;
    return NULL;
}

// Signals are the main thread's: whoever else took one would be interrupted in its wait.
TEST(threads_leave_signals_to_the_main_one)
{
    Error err = {0};
    pthread_t thread;
    bool blocked = false;
    sigset_t before;
    sigset_t after;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    CHECK_OK(thread_start(&thread, look_at_signals, &blocked, &err), &err);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(blocked);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    CHECK(sigismember(&after, SIGINT) == sigismember(&before, SIGINT));
}

static void *give_way(void *state)
{
    thread_give_way();
    *(int *)state = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

// The one that gives way is this thread, not those beside it.
TEST(a_thread_gives_way_alone)
{
    Error err = {0};
    pthread_t thread;
    const int before = getpriority(PRIO_PROCESS, 0);
    int nice = before;
    CHECK_OK(thread_start(&thread, give_way, &nice, &err), &err);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(nice > before || before == 19); // the most there is
    CHECK_INT(getpriority(PRIO_PROCESS, 0), before);
}

static void *count_on_one(void *state)
{
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    size_t first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
    *(int *)state = thread_processors();
    return NULL;
}

// Of a machine's processors a container or a job may have a few.
TEST(processors_are_those_that_the_thread_may_use)
{
    Error err = {0};
    pthread_t thread;
    int one = 0;
    CHECK_OK(thread_start(&thread, count_on_one, &one, &err), &err);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_INT(one, 1);
    CHECK(thread_processors() >= 1);
}
