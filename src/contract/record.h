// Record: the record in hand as shape needs it: its members sorted, its canonical text, the values
// that columns ask for, and afterwards what no column took. Internal to src/contract/.
#pragma once

#include "contract/drift.h"

enum {
    OTHERS_MAX = 64, // members of one record that share a name with another
    PRESENT_WORDS = NAMES_MAX / 64,
};

// One member of the record in hand. Its text is bytes `start` to `end` of the record's text, its
// value's begins at `value_at`; what the hash does not see of it (volatile) is aside of that text.
typedef struct Entry {
    Name *name;
    yyjson_val *value;
    uint32_t start;
    uint32_t value_at;
    uint32_t end;
    bool aside;
    bool odd;
} Entry;

// A member that lost its place to a later one of the same name.
typedef struct Other {
    Name *name;
    yyjson_val *value;
} Other;

// Why a record cannot become a row. `reason` NULL = it can.
typedef struct Refusal {
    const char *reason;
    Str path;
} Refusal;

typedef struct Record {
    const Contract *contract;
    Drift *drift;
    Names names;
    Text text; // text.out: what _row_hash is taken over
    Buf aside; // what the hash does not see of it
    // Slots are by rank of the name; only those whose bit in `present` is set count.
    yyjson_val **slots;
    uint64_t present[PRESENT_WORDS];
    Entry *entries; // members in the order of their names
    size_t entry_count;
    Other others[OTHERS_MAX];
    size_t other_count;
    Sourced *sources; // by the contract's sources
    Refusal refusal;
} Record;

// Starts as {0}; record_done() in any case. Tables live in `arena`.
bool record_init(Record *record, const Contract *contract, Drift *drift, Arena *arena,
                 Error *err) MUST_USE;
void record_done(Record *record);

// Reads an object: refusal, or text, entries and sources. False only for lack of memory.
bool record_read(Record *record, yyjson_val *sent, Error *err) MUST_USE;

// The first reason counts.
void record_refuse(Record *record, const char *reason, Str path);

// Appends what canonical text could not hold, as members with a comma behind each; nothing mostly.
bool record_write_notes(const Record *record, Buf *out, Error *err) MUST_USE;

// Fills `overflow` with what columns left, an object, or with nothing where they took everything.
bool record_write_overflow(Record *record, Buf *overflow, Error *err) MUST_USE;
