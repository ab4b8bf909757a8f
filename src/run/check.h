// Check: everything that can be wrong before a run, looked for at once: files, stores, warehouse,
// credentials, the way to the API, the clock.
#pragma once

#include "run/job.h"

enum { CHECK_ITEMS_MAX = 64 };

typedef enum CheckStatus { CHECK_GOOD, CHECK_NOTE, CHECK_FAULT } CheckStatus;

typedef struct CheckItem {
    CheckStatus status;
    Str what; // "landing store"
    Str text; // "is writable"; never a secret
} CheckItem;

typedef struct CheckOptions {
    bool offline; // no request is sent
    Str connect_to;
} CheckOptions;

typedef struct CheckReport {
    CheckItem items[CHECK_ITEMS_MAX];
    size_t count;
    size_t faults;
    ErrorCode code; // of the first fault
    size_t streams;
} CheckReport;

// What is wrong with files goes to `findings`, which may hold some already; all else to the report.
// False only when memory runs out or a person stops it.
bool check_job(const Job *job, const CheckOptions *options, Env *env, Arena *arena,
               Findings *findings, CheckReport *report, Error *err) MUST_USE;
