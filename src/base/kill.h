// Kill points: named moments at which a crash test lets the process die, as kill -9 would.
//
// A point stands wherever a run touches the outside world: just before and just after it. Its name
// says the event and the ordinal of the object ("page put, slice 3, page 2"), never a count of
// calls, so that it is the same moment in every run whatever the threads do. Costs one load when no
// test asked for it.
#pragma once

#include "base/error.h"

// Reads PAWL_TEST_KILL_AT (die at the point of this name; "stop:NAME" stands still there until
// SIGCONT) and PAWL_TEST_KILL_LIST (append each name
// passed to this file). Called once, at start.
void kill_init(const char *kill_at, const char *list_path);

void kill_point_slow(const char *format, ...) PRINTF_LIKE(1, 2);
extern bool kill_armed;

#define kill_point(...)                   \
    do {                                  \
        if (kill_armed)                   \
            kill_point_slow(__VA_ARGS__); \
    } while (0)
