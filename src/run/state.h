// State: the watermarks of a job, to look at and to move back by hand.
#pragma once

#include "run/parts.h"

typedef struct StateMark {
    Watermark mark;
    Str value; // of the partition, for people: "1001"
    const PlanStream *stream;
    int64_t before_us; // of one that was moved; INT64_MIN = it was not
} StateMark;

// Watermarks of the streams of `parts`; of those only the partitions that have `account` somewhere
// in them, unless it is empty. They live in parts->arena.
bool state_marks(const JobParts *parts, Str account, StateMark **ret_marks, size_t *ret_count,
                 Error *err) MUST_USE;

typedef struct RewindOptions {
    Str stream;  // must be given
    Str account; // empty = all
    Str to;      // a day (its first instant in the job's zone) or an instant
} RewindOptions;

typedef struct Rewound {
    StateMark *marks; // all that were named, moved or not
    size_t count;
    Str given_up;     // the unfinished incremental run; empty = there was none
    Str planned_with; // its options, each after a space
} Rewound;

// Moves watermarks back, as the one who runs the job's incremental mode: ERROR_BUSY while a run
// does. Each is recorded in ETL_LOG. A mark that is not later than `to` stays, unless it has no
// time; a `to` before modes.historic.from (1970 where the job names no such day) is ERROR_JOB. An
// unfinished incremental run of the stream is given up first: going on with it would move them
// forward again.
bool state_rewind(const Job *job, const RewindOptions *options, Env *env, Arena *arena,
                  Rewound *ret_rewound, Error *err) MUST_USE;
