// The pipeline's insides, for src/run/pipeline*.c only: what its parts know of a run.
//
// All of it belongs to the caller's thread but for the queues and the atomic counters; what goes
// through a queue belongs to who took it.
#pragma once

#include "base/queue.h"
#include "run/load_note.h"
#include "run/pipeline.h"

#include <pthread.h>

enum {
    WORKERS = 2, // as many as there is work for the processor
    // Where each page and manifest waits for somebody far away, more of them wait side by side.
    REMOTE_WORKERS = 8,
    REMOTE_SEALERS = 4,
    LOADS_AHEAD = 2,       // loads handed to the writer and not finished
    DRIFT_PATHS_MAX = 100, // of a stream; the shaper knows no more of one slice
};

typedef enum SliceState {
    STATE_WAITING,
    STATE_ACTIVE,
    STATE_WHOLE, // read and shaped, not in a load yet
    STATE_LOADING,
    STATE_LOADED,
    STATE_FAILED,
} SliceState;

typedef struct StreamState {
    unsigned char *states; // SliceState of each slice
    uint32_t *readings;    // which reading to begin with; 0 = the first
    bool *is_fixed;        // in a load that an earlier attempt fixed; NULL = none is
    SliceTask **whole;     // STATE_WHOLE: the task
    size_t next_start;     // slices before it are started or settled
    size_t next_gather;    // slices before it are in a load, or settled
    LoadNote *fixed;       // loads that an earlier attempt fixed, and the ledger lacks
    size_t fixed_count;
    size_t fixed_next;
    uint32_t next_ordinal;      // of the next load
    MarkBasis *bases;           // of each partition, once asked for; NULL until then
    Str drift[DRIFT_PATHS_MAX]; // unknown paths that were told
    size_t drift_count;
} StreamState;

typedef struct Pipeline {
    const PipelineOptions *options;
    Env *env;
    Arena *arena;
    SliceContext context;
    RunCounters counters;
    StreamState *streams;
    Queue *to_work;  // SliceTask*
    Queue *to_seal;  // SliceTask* that are read and shaped
    Queue *to_main;  // SliceTask* that ended
    Queue *to_write; // LoadTask*
    Queue *written;  // LoadTask* that ended
    pthread_t workers[REMOTE_WORKERS];
    pthread_t writer;
    pthread_t sealers[REMOTE_SEALERS];
    int worker_count;
    bool writer_runs;
    int sealer_count;
    size_t active;        // slices that were started and have not come back
    atomic_size_t sealed; // of those, the ones that nothing is asked for any more
    size_t active_max;    // of the others
    size_t loads_under_way;
    size_t unsettled;                      // slices not loaded and not failed
    LoadTask *confirming[LOADS_AHEAD + 1]; // loads that wait for second readings
    size_t confirming_count;
    PipelineReport report;
    LogBook *log;           // goes along with the next load
    bool rests;             // what was read so far is what the memo says
    atomic_bool reads;      // slices are under way, or wait to be started
    atomic_bool knows_rows; // what was noted of rows that came before is worth asking
    Error held;             // why loads wait for a later run; code NONE = none does
    int64_t progress_us;
    Error err; // the first that stops the run
} Pipeline;

// Shaped rows fill less than their share of limits.memory.
bool pipeline_has_room(const Pipeline *pipeline);

// Whether another slice may be started now: slices whose pages a slow disk is still to make durable
// hold their rows like those that wait for the writer.
bool pipeline_may_start(const Pipeline *pipeline);

// --- events and ETL_LOG (pipeline_events.c)

void pipeline_emit(Pipeline *pipeline, Event event);
Event pipeline_slice_event(EventKind kind, const SliceTask *task);
void pipeline_emit_progress(Pipeline *pipeline, bool now); // twice a second, or `now`
void pipeline_log_slice(Pipeline *pipeline, const SliceTask *task);
void pipeline_log_load(Pipeline *pipeline, const LoadTask *load);
// Rows that the warehouse did not take wait in the landing store.
void pipeline_keep_log(Pipeline *pipeline, LogBook *log);

// --- threads (pipeline_threads.c)

bool pipeline_start_threads(Pipeline *pipeline, Error *err) MUST_USE;
void pipeline_stop_threads(Pipeline *pipeline);
// What the write thread does, until `to_write` is closed and empty.
void *pipeline_write_loads(void *state); // a Pipeline
// Everything that is still in a queue or waits for a load, after the threads are gone.
void pipeline_free_rest(Pipeline *pipeline);

// --- loads (pipeline_gather.c)

// Hands as many loads to the writer as are ready and have room.
bool pipeline_gather(Pipeline *pipeline, Error *err) MUST_USE;

// --- an earlier attempt (pipeline_resume.c)

// Makes a stream's state: all waits, but for what the run that is resumed has done.
bool pipeline_resume_stream(Pipeline *pipeline, uint32_t stream, Error *err) MUST_USE;
