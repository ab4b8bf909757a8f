// FeedState: how far another tool had come: STATE of Airbyte (legacy, stream and per-partition) and
// of Singer (bookmarks, also the SDK's partitions), as a file.
#pragma once

#include "run/plan.h"

// The instants up to which `stream` was read, by partition of it; INT64_MIN where the file says
// nothing. A day is its first instant in the partition's zone. ERROR_DATA: no state of that stream
// can be found in it.
bool feed_state_read(const char *path, const PlanStream *stream, Arena *arena, int64_t **ret_us,
                     Error *err) MUST_USE;
