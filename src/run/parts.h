// JobParts: what is opened of a job before anything is asked of it: connector, contracts, stores,
// warehouse. Whoever checks, plans, runs or looks begins with it.
//
// Everything lives in `arena`; closed by job_parts_close().
#pragma once

#include "lake/delta.h"
#include "run/plan.h"

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

// A finding for each place of the contract that asks for pages to be written anew ("person",
// "redacted"), where those of the stream are not plain JSON: nothing could be erased from them.
bool job_check_erasure(const JobStream *target, const Stream *stream, const Contract *contract,
                       Arena *arena, Findings *findings, Error *err) MUST_USE;

// What the warehouse knows that planning this mode needs. A warehouse that is not there yet knows
// nothing.
bool job_parts_read_knowledge(const JobParts *parts, RunMode mode, const PlanStream *stream,
                              PlanKnowledge *ret_knowledge, Error *err) MUST_USE;
