// Retention: what goes because of its age when a run is over: landed pages, files of the lake that
// no version needs. That they did, or why they did not, is on record; it fails no run.
#pragma once

#include "run/fetch.h"
#include "run/log_book.h"
#include "run/parts.h"

// False where nothing was looked at, since this machine's clock is ahead of the source's by more
// than a day: `ret_why` names both times. Then nothing else may be removed by its age either.
bool retention_apply(JobParts *parts, const Plan *plan, const FetchClock *clock, LogBook *log,
                     Error *ret_why) MUST_USE;
