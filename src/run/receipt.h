// Receipt: what an erasure took away, and what has to be waited for, as JSON. It names nobody. That
// of `pawl forget` goes to who asked for it; those of redactions lie in the landing store, under
// "<job>/receipts/", where `pawl status` finds them.
#pragma once

#include "base/out.h"
#include "run/forget.h"
#include "store/store.h"

// `kind`: "phone", "email", "id"; or "redacted", where the source took the content away.
void receipt_write(JsonOut *out, const Job *job, Str kind, bool dry_run,
                   const ForgetReport *report);

// The path is the report's.
bool receipt_put(const Job *job, Store *store, Str kind, const ForgetReport *report,
                 Error *err) MUST_USE;

// A receipt of the landing store, as far as people are told of it.
typedef struct ReceiptNote {
    Str path, kind;
    int64_t at_us;
    int64_t rows; // of all tables
    Str json;     // all of it
    Str *waits;   // "lake: files of older versions, ..."
    size_t wait_count;
} ReceiptNote;

typedef struct ReceiptNotes {
    ReceiptNote *items; // the caller's; newest first
    size_t room;        // of them
    size_t count;
    int64_t total; // how many there are, shown or not
} ReceiptNotes;

// The newest ones, as many as `notes` has room for.
bool receipts_read(const Job *job, Store *store, Arena *arena, ReceiptNotes *notes,
                   Error *err) MUST_USE;
