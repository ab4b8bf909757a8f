// Findings: everything that is wrong with a file, collected so that a person can mend it in one go.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { FINDINGS_MAX = 100 };

typedef struct Finding {
    Str place; // "jobs/ctm.json: /modes/historic/from" or "manifest.yaml:12"
    Str what;  // "is not a date"
    Str fix;   // "write it as 2025-05-01"; may be empty
} Finding;

// Starts as {.arena = arena}, or by findings_new(), for it is large. More than FINDINGS_MAX are
// counted but not kept.
typedef struct Findings {
    Arena *arena;
    Finding items[FINDINGS_MAX];
    size_t count;
} Findings;

Findings *findings_new(Arena *arena, Error *err); // in the arena; NULL with an error

// "file: pointer", for a finding's place; the file alone when memory runs out.
Str findings_place(const Findings *findings, Str file, Str pointer);

// Each part is copied. Running out of memory drops the finding but still counts it.
void findings_add(Findings *findings, Str place, Str what, Str fix);
void findings_addf(Findings *findings, Str place, Str fix, const char *format, ...)
    PRINTF_LIKE(4, 5);

// True when nothing was found; otherwise ERROR_JOB with the first finding and how many more there
// are.
bool findings_check(const Findings *findings, Error *err) MUST_USE;

// "place: what; fix" a line.
bool findings_print(const Findings *findings, Buf *out, Error *err) MUST_USE;

// The candidate nearest to `name`, if it is near enough to be a slip of the hand: else {NULL, 0}.
Str findings_nearest(Str name, const Str *candidates, size_t count);
