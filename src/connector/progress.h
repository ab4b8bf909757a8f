// Progress: how far a DatetimeBasedCursor has come: the spans of time that were read, and the
// slices that are left. One for a stream, or one for each of its partitions.
//
// The rules are the reference's, spans and all, so that its states can be read and are written
// alike.
#pragma once

#include "connector/engine.h"

typedef struct Span {
    Instant start;
    Instant end;
    Instant newest; // cursor value of the newest record seen
    bool has_newest;
} Span;

typedef struct Progress {
    const TimeCursor *cursor;
    Span *spans;
    size_t count;
    size_t capacity;
    Instant start;      // where this run begins: the state's value, or the configured start
    yyjson_val *legacy; // the state as it came
    bool has_newest;    // of the slice being read
    Instant newest;
} Progress;

typedef struct TimeSlice {
    Instant from;
    Instant to;
} TimeSlice;

typedef struct TimeSlices {
    TimeSlice *items;
    size_t count;
    size_t capacity;
} TimeSlices;

// `state` is {"<cursor field>": value}, empty or NULL. `lookback_seconds` moves its value back.
bool progress_init(Progress *progress, const TimeCursor *cursor, yyjson_val *state,
                   int64_t lookback_seconds, Arena *arena, Error *err) MUST_USE;
// What is left to read up to `end`, in order.
bool progress_slices(Progress *progress, Instant end, Arena *arena, TimeSlices *ret_slices,
                     Error *err) MUST_USE;
void progress_observe(Progress *progress, yyjson_val *record, Arena *scratch);
bool progress_close(Progress *progress, const TimeSlice *slice, Arena *arena, Error *err) MUST_USE;
// The value that the state holds for the cursor field.
bool progress_value(const Progress *progress, Arena *arena, Str *ret_text, Error *err) MUST_USE;
// Appends the state's JSON.
bool progress_write(const Progress *progress, Arena *arena, Buf *out, Error *err) MUST_USE;
// Records below are known already.
int64_t progress_lowest_us(const Progress *progress);
