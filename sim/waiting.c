#include "waiting.h"

#include <string.h>
#include <time.h>

enum { NS_PER_US = 1000, US_PER_SECOND = 1000000 };

static int64_t now_us(const Waiting *waiting)
{
    return waiting->env->monotonic_us(waiting->env->state);
}

// Takes the items that are due (all of them at the end) and wakes them without the lock. Returns
// when the next one is due.
static int64_t wake_due(Waiting *waiting, int64_t now)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < waiting->count;) {
        if (waiting->running && waiting->items[i].due_us > now) {
            next = waiting->items[i].due_us < next ? waiting->items[i].due_us : next;
            i++;
            continue;
        }
        const WaitingItem item = waiting->items[i];
        waiting->items[i] = waiting->items[--waiting->count];
        (void)pthread_mutex_unlock(&waiting->lock);
        item.wake(item.item);
        (void)pthread_mutex_lock(&waiting->lock);
        next = INT64_MAX;
        i = 0; // others may have come and gone
    }
    return next;
}

static void *run(void *state)
{
    Waiting *waiting = state;
    (void)pthread_mutex_lock(&waiting->lock);
    while (waiting->running || waiting->count > 0) {
        const int64_t next = wake_due(waiting, now_us(waiting));
        if (!waiting->running)
            continue;
        if (next == INT64_MAX) {
            (void)pthread_cond_wait(&waiting->changed, &waiting->lock);
            continue;
        }
        const struct timespec until = {.tv_sec = next / US_PER_SECOND,
                                       .tv_nsec = next % US_PER_SECOND * NS_PER_US};
        (void)pthread_cond_timedwait(&waiting->changed, &waiting->lock, &until);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    return NULL;
}

bool waiting_start(Waiting *waiting, Env *env, Arena *arena, Error *err)
{
    *waiting = (Waiting){.env = env, .running = true};
    waiting->items = arena_alloc_array(arena, WAITING_MAX, sizeof(WaitingItem), err);
    TRY(waiting->items != NULL);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); // as the system's Env has it
    (void)pthread_cond_init(&waiting->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&waiting->lock, NULL);
    const int problem = pthread_create(&waiting->thread, NULL, run, waiting);
    if (problem != 0) {
        waiting->running = false;
        return error_set(err, ERROR_LIMIT, "waiting: no thread: %s", strerror(problem));
    }
    return true;
}

void waiting_stop(Waiting *waiting)
{
    if (!waiting->running)
        return;
    (void)pthread_mutex_lock(&waiting->lock);
    waiting->running = false;
    (void)pthread_cond_signal(&waiting->changed);
    (void)pthread_mutex_unlock(&waiting->lock);
    (void)pthread_join(waiting->thread, NULL);
    waiting->stopped = true;
}

void waiting_done(Waiting *waiting)
{
    if (!waiting->stopped)
        return;
    (void)pthread_cond_destroy(&waiting->changed);
    (void)pthread_mutex_destroy(&waiting->lock);
    *waiting = (Waiting){0};
}

bool waiting_add(Waiting *waiting, int64_t delay_us, void (*wake)(void *item), void *item)
{
    (void)pthread_mutex_lock(&waiting->lock);
    const bool ok = waiting->running && waiting->count < WAITING_MAX;
    if (ok)
        waiting->items[waiting->count++] = (WaitingItem){now_us(waiting) + delay_us, wake, item};
    (void)pthread_cond_signal(&waiting->changed);
    (void)pthread_mutex_unlock(&waiting->lock);
    return ok;
}
