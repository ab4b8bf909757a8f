// Arrow into DuckDB: columns of an ArrowArray copied into the vectors of a chunk, row by row
// picked.
//
// Why not duckdb_data_chunk_from_arrow(): it takes whole arrays only, while a load writes some rows
// of a batch, and it allocates a chunk for each. Here numbers are copied and strings are pointed
// at, so the array must live until DuckDB has consumed the chunk.
#pragma once

#include "base/arena.h"
#include "batch/batch.h"
#include "duck/duck.h"

// The DuckDB types of `columns`, in `arena`.
bool duck_columns(const Column *columns, size_t count, Arena *arena, DuckColumn **ret_columns,
                  Error *err) MUST_USE;

// "DECIMAL(18,4)", "TIMESTAMPTZ", "JSON": the type in DDL.
void duck_type_name(const Column *column, char *text, size_t room);

// `count` rows of an array: those whose indexes `rows` holds from `first` on, or, where it is NULL,
// `first` and those behind it.
typedef struct DuckRange {
    const struct ArrowArray *array;
    const uint32_t *rows;
    size_t first, count;
} DuckRange;

// Writes `range` of an array (a struct of `columns`) into `chunk` from row `at` on. The array must
// be what batch_schema() says; ERROR_DATA where it has other children.
bool duck_fill(duckdb_data_chunk chunk, size_t at, const Column *columns, size_t column_count,
               const DuckRange *range, Error *err) MUST_USE;
