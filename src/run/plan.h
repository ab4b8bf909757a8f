// Plan: what a run will ask for: streams, partitions and slices, in the order in which they are
// read and loaded.
//
// A plan is made once, put into the landing store before the first request of any slice, and read
// back by whoever resumes the run: so a resumed run asks for exactly the same slices.
#pragma once

#include "connector/connector.h"
#include "contract/contract.h"
#include "lake/landing.h"
#include "run/job.h"
#include "warehouse/warehouse.h"

enum { PLAN_SLICES_MAX = 5000000, PLAN_PARTITIONS_MAX = 200000, TAG_BYTES = 4 };

typedef struct PlanPartition {
    Partition partition;
    Str value; // of its own field as text, for people: "1001"
    Str zone_name;
    const Zone *zone; // in which the API reads dates
    char tag[TAG_BYTES +
             1];          // first hex digits of the key's SHA-256: names kill points and log lines
    bool broken;          // a slice of it failed in this attempt: later ones move no watermark
    bool keeps_watermark; // a replay's: one stood before it, which stays
} PlanPartition;

// A window as the connector is asked for it (connector.h: Window); both zero = the stream has none.
typedef struct PlanSlice {
    uint32_t partition;
    int64_t from_us, to_us;
} PlanSlice;

// Watermarks from which an incremental run reads more than a year: of a job that rested, or set by
// hand.
typedef struct PlanFar {
    size_t marks;    // 0 = none
    size_t windows;  // that are read because of them
    int64_t from_us; // the oldest of them
    Str value;       // of its partition
} PlanFar;

typedef struct PlanStream {
    const Stream *stream;
    const JobStream *target;
    const Contract *contract;
    TableSpec table;
    CursorInfo cursor; // step and granularity filled in where the manifest leaves them out
    PlanPartition *partitions;
    size_t partition_count;
    PlanSlice *slices;
    size_t slice_count;
    PlanFar far;
    uint32_t *numbers;  // of slices in the run's plan, where this is a part of it; else NULL
    uint32_t *replayed; // replay: which reading of each slice to load again, 0 = none; else NULL
    bool *accepted;     // likewise: its run was told to believe however many rows had vanished
} PlanStream;

// What a run was asked to cover; empty = all, or what the job says.
typedef struct PlanRequest {
    Str from, to; // days
    Str stream;   // only this one
    Str account;  // only this value of the outermost partition field
} PlanRequest;

typedef struct Plan {
    char run[UUID_TEXT_BYTES + 1];
    RunMode mode;
    int64_t created_us;
    PlanRequest asked;
    PlanStream *streams;
    size_t stream_count;
    bool resumed;
    // A replay: the run whose pages are loaded again under `run`, nothing being asked for; else "".
    char landed_run[UUID_TEXT_BYTES + 1];
    bool keeps_watermarks; // its loads prove none
    bool rewrites;         // rows of the same content are written again
} Plan;

static inline bool plan_is_replay(const Plan *plan)
{
    return plan->landed_run[0] != '\0';
}

// The number of a slice in its run's own plan, under which it is landed.
static inline uint32_t plan_slice_number(const PlanStream *stream, uint32_t ordinal)
{
    return stream->numbers == NULL ? ordinal : stream->numbers[ordinal];
}

// As ETL_LOG, events and the ledger call it: that of the run, or "replay".
const char *plan_mode_name(const Plan *plan);

// What the warehouse already knows, as far as planning needs it.
typedef struct PlanKnowledge {
    const Watermark *watermarks; // of this stream's table
    size_t watermark_count;
    const LoadSlice *slices; // latest reading of each window
    size_t slice_count;
} PlanKnowledge;

// The clocks of machines that share a job may differ by so much.
#define PLAN_SKEW_US_MAX (INT64_C(15) * 60 * 1000000)

// ERROR_DATA where the ledger holds a time of the future: this machine's clock is behind, or
// another one was ahead. Readings would lose against it until that time has come, without a word.
bool plan_check_clock(const char *what, int64_t us, int64_t now_us, Error *err) MUST_USE;

// Says what stream->far is about, and what to do.
bool plan_describe_far(const PlanStream *stream, Arena *arena, Str *ret_text, Error *err) MUST_USE;

// Fills stream->cursor from the connector.
void plan_bind_cursor(PlanStream *stream);

// Cuts the slices of one stream, window by window, partitions in their order within each. ERROR_JOB
// when the mode needs a range that nobody gave, ERROR_DATA for a watermark that cannot be true.
bool plan_slices(const Job *job, Plan *plan, PlanStream *stream, const PlanKnowledge *knowledge,
                 int64_t now_us, Arena *arena, Error *err) MUST_USE;

// The instants between which the rows of a slice lie, [from, to), in its partition's zone.
void plan_slice_bounds(const PlanStream *stream, const PlanSlice *slice, int64_t *ret_from_us,
                       int64_t *ret_to_us);
// The same as values of the contract's window column: a date is compared as the midnight, UTC, of
// its day. Dates and windows that are no whole days give an empty range: nobody knows which.
void plan_window_bounds(const PlanStream *stream, const PlanSlice *slice, int64_t *ret_from_us,
                        int64_t *ret_to_us);

// Whether the job wants nothing of a partition that lies before this slice.
bool plan_begins_history(const Job *job, const Plan *plan, const PlanStream *stream,
                         const PlanSlice *slice, bool *ret_begins, Error *err) MUST_USE;

// True when nothing new can appear in the slice any more at `now_us`.
bool plan_slice_is_closed(const PlanStream *stream, const PlanSlice *slice, int64_t now_us);

bool plan_write(const Plan *plan, Buf *out, Error *err) MUST_USE;

// The plan of a landed run as plan_write() wrote it. *ret_there = false: there is none.
bool plan_find(Landing *landing, Str run, Arena *arena, Str *ret_json, bool *ret_there,
               Error *err) MUST_USE;

// Reads what plan_write() wrote, in two steps: what the run was asked for, and then, with streams
// bound to connector and contracts that fit it, what it reads.
bool plan_read_request(Str json, Plan *plan, Arena *arena, yyjson_val **ret_streams,
                       Error *err) MUST_USE;
bool plan_read_streams(yyjson_val *streams, const Job *job, Plan *plan, Arena *arena,
                       Error *err) MUST_USE;

// Fills value, tag and zone of a partition whose `partition` is set. `zone_name` empty = the job's
// zone; ERROR_NOT_FOUND where this machine does not know it: days would be others.
bool plan_bind_partition(const Job *job, const Stream *stream, Str zone_name, Arena *arena,
                         PlanPartition *partition, Error *err) MUST_USE;
// Its zone alone.
bool plan_bind_zone(const Job *job, Str zone_name, Arena *arena, PlanPartition *partition,
                    Error *err) MUST_USE;
