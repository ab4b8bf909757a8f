// Redacted: records whose content the source took away. The warehouse's row goes with the load that
// brings the redacted record; older copies in landed pages are purged after the run.
//
// Which records that concerns is kept in the landing store before their slice is whole
// ("<job>/redacted/..."), and stays there until the purge is done: a killed run leaves nothing.
#pragma once

#include "connector/connector.h"
#include "contract/forgotten.h"
#include "lake/landing.h"

typedef struct RedactedKeys {
    Str *keys; // contract_write_key()
    size_t count, room;
} RedactedKeys;

// Notes the page's redacted records, but for those whose older copies are gone already.
bool redacted_note(RedactedKeys *keys, const Contract *contract, const Forgotten *forgotten,
                   const PageOutcome *outcome, yyjson_val *partition, Arena *arena,
                   Error *err) MUST_USE;

// Keeps them in the store: those of one reading of a slice.
bool redacted_keep(const RedactedKeys *keys, Store *store, Str job, const SliceName *name,
                   const SliceManifest *manifest, Error *err) MUST_USE;
