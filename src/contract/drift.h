// Drift: members that a contract does not mention, and which of them a page has. Each is reported
// once a page, so that its other records cost nothing. Internal to src/contract/.
#pragma once

#include "contract/names.h"

enum { DRIFT_MAX = 100 };

// An unknown member below a known one, reported already.
typedef struct NestedDrift {
    const Node *parent;
    Str name;
    uint8_t path; // of Drift, from 1; 0 = it has none
} NestedDrift;

typedef struct Drift {
    const Contract *contract;
    Arena *arena; // where paths are kept
    Str paths[DRIFT_MAX];
    ColumnType types[DRIFT_MAX]; // of the first value seen
    bool here[DRIFT_MAX];        // the page has it
    size_t count;
    NestedDrift nested[DRIFT_MAX];
    size_t nested_count;
    Str frozen; // the first path that evolution freeze does not allow; cleared by each record
    const char *frozen_why;
} Drift;

// Another page begins: it has shown nothing yet.
void drift_turn_page(Drift *drift);

// An unknown member of the record itself (Name.drift), or of an object inside it.
bool drift_name(Drift *drift, Name *name, yyjson_val *value, Error *err) MUST_USE;
bool drift_nested(Drift *drift, const Node *parent, Str name, yyjson_val *value,
                  Error *err) MUST_USE;

// A value that does not fit its column: freeze does not allow it either.
void drift_misfit(Drift *drift, Str path);

// ERROR_DATA names the path that is frozen.
bool drift_check(const Drift *drift, Error *err) MUST_USE;
