// libpawl: a job file as a library: plan it, read it as Arrow, run it, or run it with many
// machines.
//
// Every table that goes in or out is an ArrowArrayStream (the Arrow C stream interface), which its
// receiver releases. Streams keep alive what they read from: a job may be closed before them.
//
// A PawlJob never changes and may be used by several threads at once. A stream and a PawlRun belong
// to one thread at a time. The library has no state but its handles', takes no signals, prints
// nothing, and never ends the process. Its own threads have all signals blocked; a program that is
// no server should ignore SIGPIPE, as everybody must who writes to sockets.
//
// Functions return false with `err` set when they fail, and write through `ret_*` only when they
// return true. Structs of options begin with their size, so that a newer library knows which
// members an older program has: fill it with sizeof, leave the rest zero. Texts are UTF-8; NULL and
// "" mean "as the job says".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PAWL_API __attribute__((visibility("default")))
#else
#define PAWL_API
#endif

struct ArrowArrayStream; // of the Arrow C stream interface

// --- errors

enum {
    PAWL_ERROR_NONE = 0,
    PAWL_ERROR_JOB = 1,       // edit the job file, or what was asked for
    PAWL_ERROR_DATA = 2,      // what was read is not what it should be
    PAWL_ERROR_ACCESS = 3,    // a credential, or a right, is missing
    PAWL_ERROR_NOT_FOUND = 4, // check the name
    PAWL_ERROR_CONFLICT = 5,  // another writer was first: read again, then retry
    PAWL_ERROR_BUSY = 6,      // wait retry_after_ms, then retry
    PAWL_ERROR_IO = 7,        // the network or a disk failed: retry
    PAWL_ERROR_LIMIT = 8,     // raise the limit that is named
    PAWL_ERROR_STOPPED = 9,   // pawl_job_stop()
};

typedef struct PawlError {
    int32_t code;           // PAWL_ERROR_*
    int32_t retry_after_ms; // asked for by the far side; 0 = it did not say
    char message[500];      // "where: what"; never a secret
} PawlError;

PAWL_API const char *pawl_version(void);              // "0.1.0"
PAWL_API const char *pawl_error_name(int32_t code);   // "ACCESS"
PAWL_API const char *pawl_error_advice(int32_t code); // what to do, in a few words
PAWL_API int pawl_error_exit(int32_t code);           // the exit status that `pawl` has for it

// --- a job

typedef struct PawlJob PawlJob;

// Reads the job file, with environments/<environment>.json laid over it. PAWL_ERROR_JOB tells the
// first fault and how many more there are; pawl_check() tells all.
PAWL_API bool pawl_job_open(const char *path, const char *environment, PawlJob **ret_job,
                            PawlError *err);
PAWL_API void pawl_job_close(PawlJob *job); // NULL is fine

// The effective job as JSON, secrets as ***. Lives as long as the job.
PAWL_API const char *pawl_job_text(const PawlJob *job);

// Makes everything that reads or runs this job end with PAWL_ERROR_STOPPED as soon as it safely
// can, for good. From any thread, and from a signal handler.
PAWL_API void pawl_job_stop(PawlJob *job);

// Looks for everything that can be wrong before a run: files, stores, warehouse, and, unless
// `offline`, credentials and the way to the API. A table: status ("ok", "note", "fault"), place,
// what, fix.
PAWL_API bool pawl_check(const char *path, const char *environment, bool offline,
                         struct ArrowArrayStream *ret_items, PawlError *err);

// What each stream of the job becomes: stream, target, schema and table (names), window_column,
// key_columns, partition_columns and columns (JSON; of columns: name, type, required).
PAWL_API bool pawl_tables(PawlJob *job, struct ArrowArrayStream *ret_tables, PawlError *err);

// --- reading

typedef struct PawlOptions {
    size_t size;           // sizeof(PawlOptions)
    const char *mode;      // "historic", "incremental" or "rehydration"; must be given
    const char *from, *to; // days, "yesterday", "today"
    const char *stream;    // only this one
    const char *account;   // only this value of the outermost partition field
    double wait_seconds;   // runs: to wait for another run of the same job and mode; 2 at least
    bool start_over;       // runs: give up an unfinished one instead of going on with it
    bool accept_deletes;   // runs: mark rows as deleted however many there are
    // Runs: gets each event as one line of JSON, without a newline, on the thread of the call.
    void (*on_event)(void *state, const char *json, size_t size);
    void *on_event_state;
} PawlOptions;

// The slices that a run would read, without running it: asks the API for its partitions and the
// warehouse for its watermarks, and writes nothing. Columns as docs/libpawl.md lists them.
PAWL_API bool pawl_plan(PawlJob *job, const PawlOptions *options,
                        struct ArrowArrayStream *ret_slices, PawlError *err);

typedef struct PawlReadOptions {
    size_t size;        // sizeof(PawlReadOptions)
    const char *stream; // whose rows; NULL = that of the slices
    int64_t siblings;   // how many readers begin together, this one included; 0 = 1
} PawlReadOptions;

// Rows of the given slices, which must be of one stream, as the API shows them now: typed by the
// contract, nothing kept, no total checked. `slices` are rows of pawl_plan() or pawl_run_slices(),
// all or some, in any order; they are read and released by the call, also when it fails.
PAWL_API bool pawl_read(PawlJob *job, struct ArrowArrayStream *slices,
                        const PawlReadOptions *options, struct ArrowArrayStream *ret_rows,
                        PawlError *err);

// --- running

typedef struct PawlReport {
    size_t size;  // sizeof(PawlReport), filled in by the caller
    char run[40]; // its id
    bool resumed;
    int64_t slices, slices_failed, partitions_failed, loads, loads_found;
    int64_t records, inserted, updated, unchanged, deleted, held_back, quarantined, overflowed,
        forgotten;
    int64_t pages, bytes, requests, retries, elapsed_us;
    char first_failure[500]; // of a partition; "" = none
    int32_t failure;         // its PAWL_ERROR_*
} PawlReport;

// One run, or the rest of one that was interrupted, as `pawl run` does it. Partitions that failed
// alone are counted in the report, not an error.
PAWL_API bool pawl_run(PawlJob *job, const PawlOptions *options, PawlReport *ret_report,
                       PawlError *err);

// --- running with many machines
//
// One process begins the run. Many land its slices, each on a machine of its own. The first one
// finishes: everything is found landed, and goes into the warehouse by the same rules, under the
// same names, as if one machine had read it. Killed at any moment, it is begun again and goes on.

typedef struct PawlRun PawlRun;

// Takes the lease of (job, mode) and plans the run, or goes on with an unfinished one. A thread of
// the library keeps the lease.
PAWL_API bool pawl_run_begin(PawlJob *job, const PawlOptions *options, PawlRun **ret_run,
                             PawlError *err);
PAWL_API const char *pawl_run_id(const PawlRun *run);
PAWL_API bool pawl_run_slices(PawlRun *run, struct ArrowArrayStream *ret_slices, PawlError *err);

// False with PAWL_ERROR_CONFLICT: the lease was lost, another one runs: stop.
PAWL_API bool pawl_run_check(PawlRun *run, PawlError *err);

// One row of ETL_LOG, written when the run ends. -1 = does not apply.
typedef struct PawlLogRow {
    size_t size;                         // sizeof(PawlLogRow)
    const char *stage, *stream, *status; // "ok" or "failed"
    const char *error;                   // of a failed one; never values of records
    int64_t load, rows_in, rows_inserted, rows_updated, rows_unchanged, rows_deleted;
    int64_t started_us, duration_us;
} PawlLogRow;
PAWL_API bool pawl_run_log(PawlRun *run, const PawlLogRow *row, PawlError *err);

// Loads what was landed, and reads what was not. At most once.
PAWL_API bool pawl_run_finish(PawlRun *run, PawlReport *ret_report, PawlError *err);
// Gives the lease back. A run that is not finished can be gone on with. NULL is fine.
PAWL_API void pawl_run_close(PawlRun *run);

// Reads slices of a run into the landing store, in any process on any machine: what is landed
// already is not asked for again, and two who land the same slice agree on its pages. One row for
// each slice, when it has ended; columns as docs/libpawl.md lists them. A partition that fails
// alone is a row with `whole` false, and its later slices are left out.
PAWL_API bool pawl_land(PawlJob *job, struct ArrowArrayStream *slices,
                        const PawlReadOptions *options, struct ArrowArrayStream *ret_reports,
                        PawlError *err);

// Rows of landed slices, in the order of `slices`; asks the API nothing. `reading` in the slices
// says which; 0 = the latest.
PAWL_API bool pawl_read_landed(PawlJob *job, struct ArrowArrayStream *slices,
                               const PawlReadOptions *options, struct ArrowArrayStream *ret_rows,
                               PawlError *err);

// The command line, for the program that comes with the library. The only function that listens to
// signals and prints.
PAWL_API int pawl_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
