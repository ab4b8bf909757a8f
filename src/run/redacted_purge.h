// What redacted.h keeps in the landing store, done: older copies of redacted records leave the
// landed pages.
#pragma once

#include "run/forget.h"
#include "run/forget_list.h"
#include "run/purge.h"

typedef struct RedactedPurge {
    const Job *job;
    JobParts *parts;      // of all streams or of those at hand: what concerns others waits
    Warehouse *warehouse; // what it keeps of replaced rows, its caller has written anew
    Exclusive *exclusive;
    ForgetList *list;
    Str run; // for the receipt; empty = `pawl forget`
    // Result. Its `receipt` is empty where nothing was there to do.
    ForgetReport report;
} RedactedPurge;

// The receipt is put, then the notes go, when all of it is done: who is killed in between does it
// again, with another receipt.
bool redacted_purge(RedactedPurge *purge, Error *err) MUST_USE;

// Whether anything waits.
bool redacted_waits(const Job *job, Store *store, bool *ret_waits, Error *err) MUST_USE;
