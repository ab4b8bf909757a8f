// Handle: what stands behind the pointers of pawl.h, and how tables leave the library.
#pragma once

#include "batch/batch.h"
#include "pawl/pawl.h"
#include "run/job.h"
#include "run/run.h"

enum { HANDLE_ARENA_BYTES = 1024 * 1024 * 1024 };

struct PawlJob {
    Job *job;
    Env env;
    int64_t shift_us; // tests only: what PAWL_TEST_NOW adds to the clock
    Arena *arena;     // holds secrets; of the handle too
    Str text;
    atomic_int holders; // the one who opened it, its streams and runs
};

void handle_keep(PawlJob *job);
void handle_drop(PawlJob *job); // NULL is fine

// What the caller wants of a run.
bool handle_run_options(const PawlOptions *options, Arena *arena, RunOptions *ret_options,
                        Error *err) MUST_USE;

// Error and PawlError are one struct under two names.
static inline Error *handle_error(PawlError *err)
{
    _Static_assert(sizeof(PawlError) == sizeof(Error), "one layout");
    return (Error *)(void *)err;
}

// A table on its way out.
typedef struct Table {
    const Column *columns;
    size_t column_count;
    // The next rows, released by the receiver; none (release = NULL) = that was all.
    bool (*next)(void *state, struct ArrowArray *ret_array, Error *err);
    void (*close)(void *state); // may be NULL
    void *state;                // in `arena`
    Arena *arena;               // owned: freed after close()
    PawlJob *job;               // kept while the table is read; may be NULL
} Table;

// Makes `table` a stream; the table is the stream's from now on, also when this fails.
bool table_export(const Table *table, struct ArrowArrayStream *ret_stream, Error *err) MUST_USE;
