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
    int64_t lease_wait_us; // how long to wait for another run of the same job and mode
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

// The parts that check, plan and run share. Everything lives in `arena`; closed by
// job_parts_close().
typedef struct JobParts {
    const Job *job;
    Env *env;
    Arena *arena;
    Store store;
    Landing *landing;
    Warehouse warehouse;
    Store lake_store;
    Delta *lake; // opened by lake_open() only; NULL = none
    Connector *connector;
    PlanStream *streams; // bound to connector and contract, without partitions and slices
    size_t stream_count;
} JobParts;

// Instead of a stream's name: those that are not enabled, too.
#define JOB_ALL_STREAMS "*"

// Opens connector, contracts, store and warehouse of the streams that are meant. What is wrong with
// files goes to `findings`.
bool job_parts_open(const Job *job, Str only_stream, Env *env, Arena *arena, Findings *findings,
                    JobParts *ret_parts, Error *err) MUST_USE;
void job_parts_close(JobParts *parts); // for CLEANUP()

// Those of its streams, as a warehouse wants them.
bool job_parts_tables(const JobParts *parts, Arena *arena, TableSpec **ret_tables,
                      Error *err) MUST_USE;

// For whoever loads: what keeps loads of these streams from going through is a finding.
bool job_parts_check_loads(const JobParts *parts, Findings *findings, Error *err) MUST_USE;

// What the warehouse knows that planning this mode needs. A warehouse that is not there yet knows
// nothing.
bool run_read_knowledge(const JobParts *parts, RunMode mode, const PlanStream *stream,
                        PlanKnowledge *ret_knowledge, Error *err) MUST_USE;

// Makes the plan of a run that does not happen: asks for partitions, reads the ledger, writes
// nothing. `plan` has the mode, its range and the streams of `parts`.
bool run_plan_dry(JobParts *parts, const RunOptions *options, const EventSink *sink, Plan *plan,
                  Error *err) MUST_USE;

// What `pawl plan` shows of one stream of a run that does not happen.
typedef struct RunPreview {
    Str stream;
    int64_t partitions, slices;
    int64_t sampled;  // slices asked for their total
    int64_t rows;     // estimated from them; -1 = the source tells no totals
    int64_t requests; // estimated
    int64_t bytes;    // of bodies, estimated; -1 = unknown
    int64_t loads;
    Str warning; // empty = none
} RunPreview;

typedef struct RunPreviews {
    RunPreview *items;
    size_t count;
} RunPreviews;

// Asks for partitions and for the first page of a few slices of each stream; writes nothing
// anywhere. Previews come in `arena`.
bool run_preview(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
                 Arena *arena, RunPreviews *ret_previews, Error *err) MUST_USE;
