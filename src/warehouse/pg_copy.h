// PgCopy: rows of an Arrow batch as COPY's binary format, put behind each other in a buffer.
//
// One pass, nothing is allocated for a field. JSON goes into JSONB, whose numbers have at most
// 131,072 digits before the point and 16,383 behind it: one that has more becomes the string
// "$number:<as sent>", so that nothing is lost. Text holds no U+0000 and nothing but UTF-8: the
// contract's "$bytes" sees to that (docs/contract.md).
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "batch/batch.h"

typedef struct PgCopyColumn {
    ColumnType type;
    int scale;
    size_t offset; // of the array's first row
    const uint8_t *valid;
    const uint8_t *values;
    const uint8_t *text;
} PgCopyColumn;

// How rows are made; filled by init, then pointed at one batch after the other.
typedef struct PgCopy {
    PgCopyColumn *columns;
    size_t column_count;
    size_t tail_fields; // more fields behind those of the batch, given as bytes
    size_t row_bytes;   // most that a row takes, its texts apart
} PgCopy;

// What stands before the rows and behind them.
extern const Str pg_copy_head;
extern const Str pg_copy_foot;

bool pg_copy_init(PgCopy *copy, const Column *columns, size_t count, size_t tail_fields,
                  Arena *arena, Error *err) MUST_USE;

// The array stays the caller's, and must stay until the last row of it is written.
void pg_copy_take(PgCopy *copy, const struct ArrowArray *array);

// Appends one row; `tail` = its last fields, made by the functions below.
bool pg_copy_row(const PgCopy *copy, size_t row, Str tail, Buf *out, Error *err) MUST_USE;

bool pg_copy_text(Buf *out, Str text, Error *err) MUST_USE;
bool pg_copy_time(Buf *out, int64_t us, Error *err) MUST_USE;
bool pg_copy_bool(Buf *out, bool value, Error *err) MUST_USE;
