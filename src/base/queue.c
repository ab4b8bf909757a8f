#include "base/queue.h"

#include "base/fault.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct Queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    size_t capacity;
    size_t first;
    size_t count;
    bool closed;
    void *items[];
};

Queue *queue_new(size_t capacity, Error *err)
{
    assert(capacity > 0);

    Queue *queue = fault_here() ? NULL : calloc(1, sizeof(*queue) + capacity * sizeof(void *));
    if (queue == NULL) {
        error_set(err, ERROR_LIMIT, "queue: out of memory");
        return NULL;
    }
    queue->capacity = capacity;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    // A wall clock that is set back must not stretch a wait.
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&queue->mutex, NULL);
    (void)pthread_cond_init(&queue->not_empty, &attributes);
    (void)pthread_cond_init(&queue->not_full, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return queue;
}

void queue_free(Queue *queue)
{
    if (queue == NULL)
        return;
    (void)pthread_cond_destroy(&queue->not_empty);
    (void)pthread_cond_destroy(&queue->not_full);
    (void)pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

void queue_freep(Queue **queue)
{
    queue_free(*queue);
}

static void put_locked(Queue *queue, void *item)
{
    queue->items[(queue->first + queue->count) % queue->capacity] = item;
    queue->count++;
    (void)pthread_cond_signal(&queue->not_empty);
}

bool queue_put(Queue *queue, void *item)
{
    assert(item != NULL);

    (void)pthread_mutex_lock(&queue->mutex);
    while (!queue->closed && queue->count == queue->capacity)
        (void)pthread_cond_wait(&queue->not_full, &queue->mutex);
    const bool open = !queue->closed;
    if (open)
        put_locked(queue, item);
    (void)pthread_mutex_unlock(&queue->mutex);
    return open;
}

bool queue_put_now(Queue *queue, void *item)
{
    assert(item != NULL);

    (void)pthread_mutex_lock(&queue->mutex);
    const bool room = !queue->closed && queue->count < queue->capacity;
    if (room)
        put_locked(queue, item);
    (void)pthread_mutex_unlock(&queue->mutex);
    return room;
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec deadline = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

void *queue_take(Queue *queue, int timeout_ms)
{
    const struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);
    void *item = NULL;
    int waited = 0;
    (void)pthread_mutex_lock(&queue->mutex);
    while (queue->count == 0 && !queue->closed && waited != ETIMEDOUT) {
        if (timeout_ms < 0)
            (void)pthread_cond_wait(&queue->not_empty, &queue->mutex);
        else
            waited = pthread_cond_timedwait(&queue->not_empty, &queue->mutex, &deadline);
    }
    if (queue->count > 0) {
        item = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->count--;
        (void)pthread_cond_signal(&queue->not_full);
    }
    (void)pthread_mutex_unlock(&queue->mutex);
    return item;
}

void queue_close(Queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    (void)pthread_cond_broadcast(&queue->not_empty);
    (void)pthread_cond_broadcast(&queue->not_full);
    (void)pthread_mutex_unlock(&queue->mutex);
}

bool queue_is_closed(Queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    const bool closed = queue->closed;
    (void)pthread_mutex_unlock(&queue->mutex);
    return closed;
}

size_t queue_count(Queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    const size_t count = queue->count;
    (void)pthread_mutex_unlock(&queue->mutex);
    return count;
}
