#define _GNU_SOURCE // CPU_COUNT; NOLINT(bugprone-reserved-identifier): glibc names it so
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

bool thread_start(pthread_t *ret_thread, void *(*body)(void *state), void *state, Error *err)
{
    // A new thread has the mask of the one that starts it.
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(ret_thread, NULL, body, state);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 || error_set(err, ERROR_LIMIT, "cannot start a thread: %s", strerror(code));
}

void thread_give_way(void)
{
    // Linux keeps a nice value for each thread, whatever POSIX says of processes (setpriority(2)).
    enum { NICER = 10 };
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
}

int thread_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    // Fails where there are more processors than a set has room for.
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return CPU_SETSIZE;
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}
