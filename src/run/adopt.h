// Adopt: takes over a table that another tool's feed has filled: its rows become pawl's, with keys,
// watermarks and readings in the ledger, and a view stays under the old name.
//
// A load is a transaction and is known by the ledger; what was decided is noted in the landing
// store before the first one. So the same command goes on where it was killed, and does nothing
// twice.
#pragma once

#include "run/foreign.h"
#include "run/job.h"

typedef struct AdoptOptions {
    ForeignOptions table;
    Str stream; // empty = the one whose target or name fits the table
    Str state;  // file; empty = watermarks by the table's own times
    Str connect_to;
    int64_t wait_us;
    void (*progress)(void *state, size_t done, size_t total); // slices; may be NULL
    void *progress_state;
} AdoptOptions;

typedef struct AdoptReport {
    Str stream, target, before; // "ctm.calls", "<schema>.<name>__before_pawl"
    const char *feed;
    bool already;  // an earlier call did all of it
    bool has_view; // under the old name
    bool exact;    // _row_hash is that of the source's records
    int64_t table_rows;
    int64_t adopted, known, doubled, deleted, unreadable, forgotten;
    int64_t left_out; // rows that no slice holds: other accounts, no time
    int64_t loads, watermarks;
} AdoptReport;

bool adopt_execute(const Job *job, const AdoptOptions *options, Env *env, Arena *arena,
                   AdoptReport *ret_report, Error *err) MUST_USE;
