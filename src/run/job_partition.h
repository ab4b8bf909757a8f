// Job partition: what a job says of the partitions of one field: which are read, and in which time
// zone their days lie.
//
//   "partitions": {"account_id": {"include": ["*"], "exclude": [17],
//                                 "timezones": {"Eastern Time (US & Canada)": "America/New_York"}}}
#pragma once

#include "base/field.h"

enum { JOB_PARTITIONS_MAX = 16 };

typedef struct JobPartition {
    Str field;
    yyjson_val *include;   // array, or NULL = all; values are compared as text, * matches any
    yyjson_val *exclude;   // array, or NULL = none
    Str timezone_from;     // JSON pointer into the parent's record; empty = the usual places
    yyjson_val *timezones; // object: zone as the source names it -> IANA zone, or NULL
} JobPartition;

extern const Field job_partition_fields[];

// Reads the member `partitions` of the job at `path`; NULL has none. What is wrong in it goes to
// `findings`.
bool job_partitions_read(yyjson_val *partitions, Str path, Arena *arena, Findings *findings,
                         JobPartition ret_partitions[JOB_PARTITIONS_MAX], size_t *ret_count,
                         Error *err) MUST_USE;

// Whether a value passes include and exclude.
bool job_partition_admits(const JobPartition *partition, Str value);

// The IANA zone that is meant by what the source says.
Str job_partition_zone(const JobPartition *partition, Str name);
