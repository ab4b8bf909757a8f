#include "base/thread.h"

#include "harness/check.h"

#include <signal.h>

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
