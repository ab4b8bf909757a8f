// Discover: from sampled records to a draft of their contract, for a person to go through.
#pragma once

#include "contract/contract.h"

// Members beyond are not looked at, and stay in _overflow.
enum { DISCOVER_MEMBERS_MAX = BATCH_COLUMNS_MAX - 50 };

typedef struct Discovery Discovery;

// Lives in `arena`. Memory grows with the distinct members, not with the records.
bool discovery_new(Arena *arena, Discovery **ret_discovery, Error *err) MUST_USE;

// Looks at one record; what is no object is passed over.
bool discovery_add(Discovery *discovery, yyjson_val *record, Error *err) MUST_USE;

typedef struct DiscoverOptions {
    Str stream;
    Str total_pointer; // empty = none known
    Str cursor_field;  // the member that windows are cut by; empty = none
    const Str *partition_fields;
    size_t partition_count;
} DiscoverOptions;

// Writes the draft: a type for every member that ever had a value (objects and arrays are json),
// times, dates, telephone numbers and amounts recognised by what all their texts look like, and a
// guess of the key. Where no member can be the key, "key" is empty and contract_open() says so.
bool discovery_write(const Discovery *discovery, const DiscoverOptions *options, Buf *out,
                     Error *err) MUST_USE;
