// The rows of a person in the warehouse: found by the columns and paths that the contract names,
// decided by the same rules as records, erased in one transaction.
#pragma once

#include "run/forget.h"
#include "run/purge.h"

typedef struct ForgetRows {
    const Job *job;
    JobParts *parts;
    Exclusive *exclusive;
    const Forgotten *forgotten;
    PersonKind kind;
    Str text;                    // normalised
    const PurgedRows *purged;    // by stream: rows that were made of purged records
    const ForgetReport *earlier; // of attempts before, see forget_note.h
    bool dry_run;
} ForgetRows;

// Fills tables, left_tables and their counts. What went or will go is noted before it goes.
bool forget_rows(const ForgetRows *rows, ForgetReport *report, Error *err) MUST_USE;

// Fills left_tables alone.
bool forget_find_left(Warehouse *warehouse, Arena *arena, ForgetReport *report,
                      Error *err) MUST_USE;
