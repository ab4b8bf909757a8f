// Delta stats: what a commit says of each file (number of rows, lowest and highest values, nulls),
// so that readers, ourselves included, need not open those that cannot hold what they look for.
//
// Rules of the protocol: only types that have an order readers agree on; texts cut to 32
// characters, the highest one with U+10FFFF behind so that it stays a bound; times cut to the
// millisecond.
#pragma once

#include "duck/duck.h"
#include "lake/delta_schema.h"

enum { DELTA_STATS_CHARACTERS = 32 };

// What DuckDB says of one column that it wrote, as text; data NULL = it did not say.
typedef struct DeltaColumnStats {
    Str name, min, max, nulls;
} DeltaColumnStats;

typedef struct DeltaFileStats {
    int64_t rows;
    uint64_t size;
    DeltaColumnStats *columns;
    size_t count;
} DeltaFileStats;

// Takes the one row of COPY ... (RETURN_STATS); for duck_query() through a small visitor.
bool delta_stats_take(duckdb_data_chunk chunk, Arena *arena, DeltaFileStats *ret_stats,
                      Error *err) MUST_USE;

// The stats as the JSON that an add holds as a string.
bool delta_stats_write(const DeltaFileStats *stats, const DeltaSchema *schema, Buf *out,
                       Error *err) MUST_USE;

// The rows of a load as intervals: which files can hold one of their keys? Columns of whole
// numbers, days and texts count, others bound nothing.
typedef struct DeltaBox DeltaBox;

typedef struct DeltaBoxColumn {
    Str name;
    size_t index; // among the columns of the arrays
    ColumnType type;
} DeltaBoxColumn;

typedef struct DeltaBoxRow {
    const struct ArrowArray *array;
    uint32_t row;
} DeltaBoxRow;

bool delta_box_new(const DeltaBoxColumn *columns, size_t column_count, const DeltaBoxRow *rows,
                   size_t row_count, Arena *arena, DeltaBox **ret_box, Error *err) MUST_USE;
// `stats`: the parsed stats of a file, or NULL. False only when no row of the box can be in the
// file.
bool delta_box_may_meet(const DeltaBox *box, yyjson_val *stats);

// Of the columns whose texts may stand in stats, leaves those that the stats of this file bound.
void delta_stats_narrow(yyjson_val *stats, DeltaSchema *schema);

// Whether a file may hold a time of [from_us, to_us) in `column`.
bool delta_stats_may_hold_time(yyjson_val *stats, Str column, int64_t from_us, int64_t to_us);
