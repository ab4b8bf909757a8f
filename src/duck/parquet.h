// Parquet files as DuckDB writes them within the memory of a run.
#pragma once

#include "base/buf.h"

enum { DUCK_PARQUET_ROWS_MAX = 20480 }; // of a row group

// Rows of a row group: so many of some kilobytes as fit into a part of `memory_bytes`, for DuckDB
// holds one while it writes it. Readers would rather have more.
int duck_parquet_rows(uint64_t memory_bytes);

// Appends COPY's options, without the parentheses: "FORMAT parquet, ...".
bool duck_parquet_options(uint64_t memory_bytes, Buf *out, Error *err) MUST_USE;
