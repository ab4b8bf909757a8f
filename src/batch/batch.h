// Batch: rows as columns, in the Arrow C data interface: what shape hands to the warehouse, and
// what every reader (DuckDB, Spark, Python) takes without a copy.
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "base/str.h"

#include <nanoarrow/nanoarrow.h>

typedef enum ColumnType {
    COLUMN_STRING,    // Arrow utf8
    COLUMN_INT64,     // int64
    COLUMN_DOUBLE,    // float64
    COLUMN_DECIMAL,   // decimal128(precision, scale)
    COLUMN_BOOLEAN,   // bool
    COLUMN_TIMESTAMP, // timestamp[us, UTC]
    COLUMN_DATE,      // date32
    COLUMN_JSON,      // utf8 holding JSON; the warehouse's own JSON type
    COLUMN_KEY,       // fixed_size_binary(16): _row_key, _row_hash
} ColumnType;

const char *column_type_name(ColumnType type); // "string", as contracts write it

typedef struct Column {
    Str name;
    ColumnType type;
    int precision; // of decimals
    int scale;
    bool required; // never null
    Str comment;
} Column;

enum {
    BATCH_COLUMNS_MAX = 1000,
    BATCH_ROWS = 2048, // what a batch aims at: one DuckDB vector
};

// Columns being filled, row by row. Appending allocates only when a buffer doubles. A row is open
// between batch_row_begin() and batch_row_end(); a column not set in between is null.
// batch_row_undo() drops the open row.
typedef struct BatchBuilder BatchBuilder;

bool batch_builder_new(const Column *columns, size_t count, BatchBuilder **ret_builder,
                       Error *err) MUST_USE;
void batch_builder_free(BatchBuilder *builder);
void batch_builder_freep(BatchBuilder **builder);

bool batch_row_begin(BatchBuilder *builder, Error *err) MUST_USE;
bool batch_set_str(BatchBuilder *builder, size_t column, Str text,
                   Error *err) MUST_USE; // string and json
bool batch_set_int64(BatchBuilder *builder, size_t column, int64_t value,
                     Error *err) MUST_USE; // also timestamp, date
bool batch_set_double(BatchBuilder *builder, size_t column, double value, Error *err) MUST_USE;
bool batch_set_bool(BatchBuilder *builder, size_t column, bool value, Error *err) MUST_USE;
bool batch_set_decimal(BatchBuilder *builder, size_t column, const uint64_t words[2],
                       Error *err) MUST_USE; // two's complement, low word first
bool batch_set_key(BatchBuilder *builder, size_t column, const Key128 *key, Error *err) MUST_USE;
bool batch_row_end(BatchBuilder *builder, Error *err) MUST_USE;
void batch_row_undo(BatchBuilder *builder);

size_t batch_builder_rows(const BatchBuilder *builder);
size_t batch_builder_bytes(const BatchBuilder *builder);

// Moves the rows out as a struct array (released by the caller) and starts empty again.
bool batch_builder_finish(BatchBuilder *builder, struct ArrowArray *ret_array, Error *err) MUST_USE;

// The schema of those columns (released by the caller).
bool batch_schema(const Column *columns, size_t count, struct ArrowSchema *ret_schema,
                  Error *err) MUST_USE;

void arrow_array_done(struct ArrowArray *array); // for CLEANUP(): releases unless moved
void arrow_schema_done(struct ArrowSchema *schema);
