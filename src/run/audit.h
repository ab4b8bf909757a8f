// Audit: a table against the API, slice by slice: what is missing, doubled, stale or vanished.
//
// Reads both sides and writes nothing, unless it is to repair: a foreign table gets missing rows
// inserted and stale cells updated, a slice a transaction; one of pawl's own is left to a
// rehydration of the days that differ (the caller's), after surplus copies of rows were taken out.
#pragma once

#include "run/foreign.h"
#include "run/job.h"

typedef enum AuditProblem {
    AUDIT_MISSING,
    AUDIT_DOUBLED,
    AUDIT_STALE,
    AUDIT_VANISHED,
    AUDIT_PROBLEMS
} AuditProblem;
const char *audit_problem_name(AuditProblem problem);

// One row that differs.
typedef struct AuditFinding {
    AuditProblem problem;
    Str stream, partition, day; // the slice's first day; empty where the stream has no window
    const Str *key_names;
    Str *key; // values as text, by key_names
    size_t key_count;
    Str columns; // of a stale row: those that differ, "notes,tag_list"; "" where only a hash tells
} AuditFinding;

// One slice, after it was compared.
typedef struct AuditSlice {
    Str stream, partition, day;
    int64_t api_rows, table_rows;
    int64_t found[AUDIT_PROBLEMS];
    bool moving; // the API's total moved or did not match: what seems to have vanished is not
                 // counted
    size_t done, total;
} AuditSlice;

typedef struct AuditOptions {
    ForeignOptions table;
    Str stream; // empty = the one whose target or name fits the table
    Str from, to, account;
    Str connect_to; // tests
    bool repair;
    // False ends the audit with `err`.
    bool (*finding)(void *state, const AuditFinding *finding, Error *err);
    bool (*slice)(void *state, const AuditSlice *slice, Error *err);
    void *state;
} AuditOptions;

typedef struct AuditReport {
    Str stream;
    const char *feed; // see Foreign
    ForeignKind kind;
    size_t compared_columns;
    int64_t slices, api_rows, table_rows, forgotten, unreadable, requests;
    int64_t slices_moving, partitions_refused;
    int64_t found[AUDIT_PROBLEMS];
    int64_t inserted, updated, removed; // repaired
    Str first_day, last_day;            // that differ; of the slices' windows
} AuditReport;

// ERROR_NOT_FOUND: no such table; ERROR_JOB: the stream or a column must be named. Differences are
// no error.
bool audit_execute(const Job *job, const AuditOptions *options, Env *env, Arena *arena,
                   AuditReport *ret_report, Error *err) MUST_USE;
