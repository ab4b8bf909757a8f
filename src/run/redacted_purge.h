// What redacted.h keeps in the landing store, done: older copies of redacted records leave the
// landed pages.
#pragma once

#include "run/forget.h"
#include "run/forget_list.h"
#include "run/purge.h"

// Where notes wait. Those of a run that is not over wait on, but for the run that is ending now.
typedef struct RedactedNotes {
    const Job *job;
    Landing *landing;
    Store *store; // its
    Str ending;   // that run, when all of its slices are loaded; empty = none
} RedactedNotes;

typedef struct RedactedPurge {
    const Job *job;
    JobParts *parts;      // of all streams or of those at hand: what concerns others waits
    Warehouse *warehouse; // what it keeps of replaced rows, its caller has written anew
    Exclusive *exclusive;
    ForgetList *list;
    Str run;    // for the receipt; empty = `pawl forget`
    Str ending; // as in RedactedNotes
    // Result. Its `receipt` is empty where nothing was there to do.
    ForgetReport report;
    int64_t pages_unreadable; // for whose sake notes wait on: the most that one of them met
} RedactedPurge;

// The receipt is put, then the notes go, when all of it is done: who is killed in between does it
// again, with another receipt.
bool redacted_purge(RedactedPurge *purge, Error *err) MUST_USE;

// Whether anything waits that can be done now.
bool redacted_waits(const RedactedNotes *where, bool *ret_waits, Error *err) MUST_USE;
