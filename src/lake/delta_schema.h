// Delta schema: the columns of a Delta table as its log tells them (schemaString, Spark's JSON),
// and how ours are written so.
//
// Only what stands at the top matters here: a nested column of somebody else's is carried along as
// it is. Names compare without case, as every reader of Parquet takes them.
#pragma once

#include "base/json.h"
#include "batch/batch.h"

typedef struct DeltaField {
    Str name;
    Str type;         // "long", "decimal(18,4)"
    const char *duck; // what DuckDB calls it
    bool never_null;  // "nullable": false
    bool text_bounds; // its texts may stand in stats; false unless set by who writes files
} DeltaField;

typedef struct DeltaSchema {
    DeltaField *fields;
    size_t count;
} DeltaSchema;

// Lives in `arena`. ERROR_DATA for text that is no schema; ERROR_JOB for a column that asks its
// writers for something we cannot do (an invariant, a generated value, a nested type), by name.
bool delta_schema_read(Str json, Arena *arena, DeltaSchema *ret_schema, Error *err) MUST_USE;

// The schema with those of `columns` appended that it lacks. *ret_changed = false: it had all of
// them, and *ret_json is `json`. `json` may be empty: no table yet. A column that stands with
// another type, or whose name Parquet readers refuse, is ERROR_JOB.
bool delta_schema_extend(Str json, const Column *columns, size_t count, Arena *arena, Str *ret_json,
                         bool *ret_changed, Error *err) MUST_USE;

// Whether rows with a value for each required one of `columns` are rows of the table. ERROR_JOB
// names a column that is never null there and might get a null.
bool delta_schema_check_nulls(const DeltaSchema *schema, const Column *columns, size_t count,
                              Error *err) MUST_USE;

const DeltaField *delta_schema_find(const DeltaSchema *schema, Str name); // or NULL
