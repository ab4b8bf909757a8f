// Run: one execution of a job in one mode, from the lease to the last load; or the rest of one that
// was killed.
#pragma once

#include "run/pipeline.h"

typedef struct RunOptions {
    RunMode mode;
    Str from, to;    // dates; empty = as the job says
    Str stream;      // only this one; empty = all that are enabled
    Str account;     // only this value of the outermost partition field; empty = all
    bool start_over; // give up an unfinished run of this mode instead of going on with it
    bool accept_deletes;
    int64_t lease_wait_us; // to wait for another run of the same job and mode; 2 s at least
    Str connect_to;        // tests; empty = none
} RunOptions;

typedef struct RunReport {
    char run[UUID_TEXT_BYTES + 1];
    bool resumed;
    bool other_unfinished; // why it failed: a run of this mode that asked for something else
    PipelineReport pipeline;
    int64_t elapsed_us;
    bool clock_ahead; // of the source's: nothing may be removed by its age
} RunReport;

// ERROR_BUSY: another run of this job and mode is going on. On other errors everything landed so
// far stays, and the next call goes on from there. `arena` holds what the report points to.
bool run_execute(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
                 Arena *arena, RunReport *ret_report, Error *err) MUST_USE;

// The same in steps, for an engine that reads the slices elsewhere: begin, land them (reader.h),
// finish, which finds them landed and only asks for what is missing.
typedef struct Run Run;

// Takes the lease and plans, or goes on with an unfinished run. `options`, `sink` and `arena`
// outlive the run.
bool run_begin(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
               Arena *arena, Run **ret_run, Error *err) MUST_USE;
const Plan *run_plan(const Run *run); // of all streams, as it was noted
// At least every ten seconds until run_finish(): keeps the lease. ERROR_CONFLICT: it was lost.
bool run_keep(Run *run, Error *err) MUST_USE;
// A row for ETL_LOG; run, job and mode are filled in.
void run_log(Run *run, const EtlLogRow *row);
bool run_finish(Run *run, RunReport *ret_report, Error *err) MUST_USE;
void run_close(Run *run); // one that is not finished stays open for the next; NULL is fine
