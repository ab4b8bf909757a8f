// Thread: starts one, deaf to signals: they are for the threads of whoever owns the process.
#pragma once

#include "base/error.h"

#include <pthread.h>

// Joined by the caller with pthread_join().
bool thread_start(pthread_t *ret_thread, void *(*body)(void *state), void *state,
                  Error *err) MUST_USE;

// The calling thread runs where others leave it a processor. For those of whom there are many,
// beside one whom everything waits for.
void thread_give_way(void);

// Processors that the calling thread may run on, 1 at least.
int thread_processors(void);
