// EventLog: the events of a run as JSON lines in the state folder, "events-<run>.jsonl", for
// whoever looks while the run holds the warehouse.
#pragma once

#include "base/hash.h"
#include "base/time.h"
#include "run/event.h"

enum { EVENT_LOG_PATH_BYTES = 4096, EVENT_LOGS_KEPT = 20 };

typedef struct EventLog {
    EventSink next; // gets every event first
    char folder[EVENT_LOG_PATH_BYTES];
    char run[UUID_TEXT_BYTES + 1];
    int fd;
    Error err; // the first failure; nothing is written after it. It stops no run.
} EventLog;

// `folder` is made with the first event that names a run.
void event_log_init(EventLog *log, Str folder, EventSink next);
EventSink event_log_sink(EventLog *log);
void event_log_close(EventLog *log); // for CLEANUP()

// Removes the files of runs that began before `before_us`, but for the newest EVENT_LOGS_KEPT of
// all. A folder that is not there is fine.
bool event_log_expire(Str folder, int64_t before_us, Arena *arena, Error *err) MUST_USE;

// The last line of the newest run's file; empty when there is none.
bool event_log_last(Str folder, Arena *arena, Str *ret_line, Error *err) MUST_USE;
