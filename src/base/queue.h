// Queue: the only way in which threads hand things to each other. Bounded, first in first out.
//
// Holds pointers; who takes one owns it. Any number of threads may put and take.
#pragma once

#include "base/error.h"

#include <stddef.h>

typedef struct Queue Queue;

Queue *queue_new(size_t capacity, Error *err) MUST_USE;
void queue_free(
    Queue *queue); // NULL is fine; what is still in it belongs to the caller, who takes it first
void queue_freep(Queue **queue);

// Waits while the queue is full. False when it was closed: the item stays the caller's.
bool queue_put(Queue *queue, void *item) MUST_USE;

// Does not wait: false when the queue is full or closed.
bool queue_put_now(Queue *queue, void *item) MUST_USE;

// Waits at most `timeout_ms` (-1 = for ever) for an item. NULL when none came in time, or when the
// queue is closed and empty.
void *queue_take(Queue *queue, int timeout_ms);

// Wakes everybody who waits. Items already in it can still be taken; new ones are refused.
void queue_close(Queue *queue);

bool queue_is_closed(Queue *queue);
size_t queue_count(Queue *queue);
