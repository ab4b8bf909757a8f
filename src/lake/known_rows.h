// KnownRows: what the pages of a slice became, kept beside them: keys and hashes of their rows. A
// page that comes back byte for byte need not be shaped to see that all of its rows are known.
//
// A cache, as known_pages.h is: <slice>/rows.bin, written when the slice is whole and not made
// durable. Where it is missing, damaged or made by something else, pages are shaped as ever. It
// goes with the pages: when they expire, and before one of them is rewritten, since keys are made
// of what people send.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"

enum { KNOWN_DRIFT_MAX = 128, KNOWN_DRIFT_WORDS = KNOWN_DRIFT_MAX / 64 };

// A page of the slice. `there` is false where its rows are not worth knowing or not to be known:
// it is small, a record was refused, redacted or left out, or the clock had a part in them.
typedef struct KnownRowsPage {
    bool there;
    Key128 body; // content_hash() of the page: rows of another one are not its own
    uint32_t rows;
    int64_t records, overflowed, misfits;
    uint64_t bytes;                    // of the batch that the rows were
    uint64_t drift[KNOWN_DRIFT_WORDS]; // a bit for each of KnownRows.drift: the page has it
    const Key128 *keys;
    const Key128 *hashes;
} KnownRowsPage;

typedef struct KnownRows {
    Key128 made_by; // of all that made rows of the pages; other rows may come of anything else
    const KnownRowsPage *pages;
    uint32_t page_count;
    const Str *drift; // unknown paths of its pages, at most KNOWN_DRIFT_MAX
    uint32_t drift_count;
} KnownRows;

bool known_rows_write(const KnownRows *rows, Buf *out, Error *err) MUST_USE;

// Keys, hashes and paths stay in `bytes`, the lists live in `arena`. ERROR_DATA, with `where` in
// front, when anything differs from what known_rows_write() wrote.
bool known_rows_read(Str bytes, const char *where, Arena *arena, KnownRows *ret_rows,
                     Error *err) MUST_USE;
