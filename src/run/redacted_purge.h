// What redacted.h keeps in the landing store, done: older copies of redacted records leave the
// landed pages.
#pragma once

#include "run/forget_list.h"
#include "run/purge.h"

// `parts` of all streams or of those at hand: what concerns others waits. *ret_pages = pages
// written anew. The notes go when all of it is done.
bool redacted_purge(const Job *job, JobParts *parts, Exclusive *exclusive, ForgetList *list,
                    int64_t *ret_pages, Error *err) MUST_USE;

// Whether anything waits.
bool redacted_waits(const Job *job, Store *store, bool *ret_waits, Error *err) MUST_USE;
