// Field: one row says how a JSON member becomes a struct member. Reading, defaults, "did you mean",
// `--help`, the reference manual and the JSON schema all come from the same rows.
#pragma once

#include "base/findings.h"
#include "base/json.h"

#include <stddef.h>

typedef enum FieldKind {
    FIELD_KIND_STR,    // Str
    FIELD_KIND_SECRET, // Str; printed as ***; must come from ${env:} or ${file:}, never from plain
                       // text
    FIELD_KIND_INT,    // int64_t within [low, high]
    FIELD_KIND_DOUBLE, // double within [low, high]
    FIELD_KIND_BOOL,   // bool
    FIELD_KIND_SIZE,   // uint64_t bytes: 1024, "64KiB", "512MiB", "2GiB"
    FIELD_KIND_DURATION, // int64_t microseconds: "PT1S", "P2D" (no months or years)
    FIELD_KIND_CHOICE,   // int: index into `choices`
    FIELD_KIND_JSON,     // yyjson_val *: the member as it is, looked at by its owner
    FIELD_KIND_STRUCT,   // a nested struct described by `fields`
} FieldKind;

typedef struct Field Field;
struct Field {
    const char *name; // NULL ends the table
    FieldKind kind;
    size_t offset;
    double low, high;           // both 0 = any
    const char *const *choices; // NULL-terminated
    const Field *fields;
    bool required;
    const char *fallback; // as it would be written in JSON, strings without quotes; NULL = zero
    const char *help;     // one line, lower case
};

// clang-format off
#define FIELD_STR(type, member)            FIELD_KIND_STR,      offsetof(type, member), 0, 0, NULL, NULL
#define FIELD_SECRET(type, member)         FIELD_KIND_SECRET,   offsetof(type, member), 0, 0, NULL, NULL
#define FIELD_INT(type, member, lo, hi)    FIELD_KIND_INT,      offsetof(type, member), lo, hi, NULL, NULL
#define FIELD_DOUBLE(type, member, lo, hi) FIELD_KIND_DOUBLE,   offsetof(type, member), lo, hi, NULL, NULL
#define FIELD_BOOL(type, member)           FIELD_KIND_BOOL,     offsetof(type, member), 0, 0, NULL, NULL
#define FIELD_SIZE(type, member, lo, hi)   FIELD_KIND_SIZE,     offsetof(type, member), lo, hi, NULL, NULL
#define FIELD_DURATION(type, member)       FIELD_KIND_DURATION, offsetof(type, member), 0, 0, NULL, NULL
#define FIELD_CHOICE(type, member, list)   FIELD_KIND_CHOICE,   offsetof(type, member), 0, 0, list, NULL
#define FIELD_JSON(type, member)           FIELD_KIND_JSON,     offsetof(type, member), 0, 0, NULL, NULL
#define FIELD_STRUCT(type, member, rows)   FIELD_KIND_STRUCT,   offsetof(type, member), 0, 0, NULL, rows
// clang-format on

// Where an object stands, as findings say it: "<file>: <pointer>".
typedef struct FieldPlace {
    Str file;
    Str pointer; // "" = the whole file
} FieldPlace;

// Fills `target` from `object` by `fields`. Everything wrong goes to `findings`: unknown members
// (with the nearest known name), members given twice, wrong kinds, values out of range, missing
// required ones. Strings are copied into `arena` with a NUL behind them; JSON members stay in their
// document. A member that is wrong or missing gets its fallback, an absent struct the fallbacks of
// its own rows. False only when memory runs out.
//
// ${env:NAME} and ${file:PATH} are not looked at: run/ resolves them before. So secrets arrive as
// plain text here, and no finding ever quotes a string.
bool field_read(const Field *fields, yyjson_val *object, FieldPlace place, Arena *arena,
                void *target, Findings *findings, Error *err) MUST_USE;

// What a job file gives a driver: the object that the driver's fields describe.
typedef struct DriverOptions {
    yyjson_val *object;
    Str place; // of the object, for findings
} DriverOptions;

// Called with the members as they stand in the file: adds a finding for each secret that is plain
// text instead of a reference "${env:NAME}" or "${file:PATH}".
void field_refuse_plain_secrets(const Field *fields, yyjson_val *object, FieldPlace place,
                                Findings *findings);

// The parts of a table that are useful alone: "512MiB" -> bytes; false when it is not a size (a
// whole number, perhaps with B, KiB, MiB, GiB or TiB).
bool field_parse_size(Str text, uint64_t *ret_bytes);

// Writes `fields` as the JSON Schema (draft 2020-12) of an object, for schemas/*.schema.json and
// `pawl help`. Unknown members are refused there too: a table whose files name their "$schema" has
// a row for it.
bool field_write_schema(const Field *fields, Buf *out, Error *err) MUST_USE;
