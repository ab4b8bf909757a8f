// Forget: erases a person from everything that pawl keeps of a job, and keeps the person out.
//
// In this order, so that a kill anywhere leaves nothing that could come back, or that nothing tells
// of any more: the list of forgotten people first, then the warehouse's rows, its file written
// anew, landed pages, and the receipt. The same command goes on where it was killed.
#pragma once

#include "contract/forgotten.h"
#include "run/job.h"

typedef struct ForgetTable {
    Str target;         // "ctm.calls"
    int64_t rows;       // that went, or would; of redactions: whose content went
    int64_t refused;    // likewise, of its quarantine
    int64_t mentions;   // rows of others that hold the value in some text: they stay
    const Key128 *keys; // of redactions: the list's hash of each row's key
    size_t key_count;
} ForgetTable;

// Of `pawl forget`, and of redactions: those have a run and keys instead of a person.
typedef struct ForgetReport {
    Str person;  // the list's hash of it: for the receipt, which names nobody
    bool known;  // was on the list already
    Str run;     // whose end it was; empty = `pawl forget`
    Str receipt; // of redactions: its path in the landing store; empty = there were none
    int64_t pages, pages_read, records; // of the landing store
    int64_t pages_unreadable, pages_of_others;
    ForgetTable *tables;
    size_t table_count;
    Str *left_tables; // "<name>__before_pawl": not pawl's to change
    size_t left_count;
    bool has_warehouse, compacted;
    bool has_lake;
    int64_t lake_rows;             // that went from it
    const char *const *remains;    // what the warehouse keeps by itself; NULL = nothing known
    const char *remains_of_search; // likewise, of the statements that looked for the person
    int64_t at_us;
} ForgetReport;

typedef struct ForgetOptions {
    PersonKind kind;
    Str value;
    bool dry_run; // looks and counts, writes nothing
    int64_t wait_us;
    void (*progress)(void *state, const char *what, size_t done, size_t total); // may be NULL
    void *progress_state;
    // Gives the receipt to who asked for it, also where pages cannot be read; may be NULL.
    bool (*receipt)(void *state, const ForgetReport *report, Error *err);
    void *receipt_state;
} ForgetOptions;

// ERROR_BUSY: a run of this job is going on. ERROR_JOB: no contract says where such a person
// stands, or the value is none. `arena` holds the report.
bool forget_execute(const Job *job, const ForgetOptions *options, Env *env, Arena *arena,
                    ForgetReport *ret_report, Error *err) MUST_USE;
