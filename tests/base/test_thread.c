#include "base/thread.h"

#include "harness/check.h"

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
