// KnownPages: what was landed before, by content, so that a page which comes back byte for byte is
// stored as it was compressed then. Compressing is what costs most of reading unchanged data again.
//
// A cache: <job>/pages.json, written when a run ends, in the landing store. Where it is missing,
// damaged or wrong, pages are compressed as ever. It holds hashes and paths only, no content; the
// page is taken from the file that the path names if that still holds what the hash says.
#pragma once

#include "lake/landing.h"

enum {
    KNOWN_PAGES_MAX = 200 * 1000, // of those, the ones landed last
    KNOWN_BYTES_MIN = 16 * 1024,  // of a body: less is compressed and shaped sooner than looked up
};

typedef struct KnownPage {
    Str folder; // of its slice, in the store
    uint32_t number;
    Sha256 sum; // of the page as it is stored there (PageInfo.page_sha256)
} KnownPage;

// Empty where there is nothing that can be read. `store` is used during the call only.
bool known_pages_open(Store *store, Str job, KnownPages **ret_known, Error *err) MUST_USE;
void known_pages_close(KnownPages *known); // NULL is fine

// What was landed with this body, before this run. Any thread may ask.
bool known_pages_find(const KnownPages *known, const Key128 *body, KnownPage *ret_page);

// Takes in the pages of a whole slice; those whose body_hash is zero are left out. One thread.
bool known_pages_add(KnownPages *known, const Landing *landing, const SliceName *name,
                     const SliceManifest *manifest, Error *err) MUST_USE;

// Replaces the file: this run's pages, then those from before that did not come again.
bool known_pages_write(const KnownPages *known, Store *store, Str job, Error *err) MUST_USE;
