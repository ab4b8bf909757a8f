#include "duck/parquet.h"

#include "duck/duck.h"

int duck_parquet_rows(uint64_t memory_bytes)
{
    enum { MEMORY_BYTES_PER_ROW = 16 * 1024 };
    const uint64_t fit = memory_bytes / MEMORY_BYTES_PER_ROW / DUCK_VECTOR_ROWS * DUCK_VECTOR_ROWS;
    if (fit < DUCK_VECTOR_ROWS)
        return DUCK_VECTOR_ROWS;
    return fit < DUCK_PARQUET_ROWS_MAX ? (int)fit : DUCK_PARQUET_ROWS_MAX;
}

// Pages of version 1 are what every reader has; so is zstd. Each column of text has a dictionary
// while it is written: of DuckDB's megabyte, sixty would be all the memory that there is.
bool duck_parquet_options(uint64_t memory_bytes, Buf *out, Error *err)
{
    return buf_printf(out, err,
                      "FORMAT parquet, CODEC zstd, PARQUET_VERSION V1, ROW_GROUP_SIZE %d,"
                      " STRING_DICTIONARY_PAGE_SIZE_LIMIT 131072",
                      duck_parquet_rows(memory_bytes));
}
