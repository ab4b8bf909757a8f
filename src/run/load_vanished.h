// Rows that seem to have been deleted at the source: stored in the window of a slice that was read
// whole and does not show them. load.h finds and confirms them before the load; this is what comes
// of them within it.
#pragma once

#include "run/load.h"

// Takes out what has only moved to another slice of the load, and what is too much to be true.
bool load_settle_vanished(LoadTask *task, Error *err) MUST_USE;

// How old the knowledge counts that rows of slices[index] are gone. Rows that are fresher stay.
int64_t load_vanished_us(const LoadTask *task, size_t index);

bool load_mark_vanished(LoadTask *task, const LoadSlice *slices, Warehouse *warehouse,
                        Error *err) MUST_USE;
