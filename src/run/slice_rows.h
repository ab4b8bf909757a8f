// SliceRows: slices as rows of a table, each of which says all that its reader must know. So a plan
// can leave the process that made it: to Python, to the executors of a Spark cluster, and back.
#pragma once

#include "batch/batch.h"
#include "run/plan.h"

enum { SLICE_ROWS_COLUMNS = 14 };
extern const Column slice_rows_columns[SLICE_ROWS_COLUMNS];

// Walks the slices of a plan, a batch at a time. Starts as {0}.
typedef struct SliceCursor {
    size_t stream, slice; // the next one
} SliceCursor;

// *ret_array without release: there are no more.
bool slice_cursor_next(SliceCursor *cursor, const Plan *plan, Arena *arena,
                       struct ArrowArray *ret_array, Error *err) MUST_USE;

// What is read back of a row; the other columns are for people and engines.
typedef struct SliceRow {
    Str run, mode, stream; // run: empty = the plan of a run that does not happen
    Str partition, zone;
    uint32_t slice;   // its number in the run's plan
    uint32_t reading; // 0 = not said
    int64_t from_us, to_us;
} SliceRow;

// Reads all rows of `rows`, whose columns are found by name and may come in any order. They are
// copied into `arena`. Does not release the stream. ERROR_DATA when it is no such table.
bool slice_rows_read(struct ArrowArrayStream *rows, Arena *arena, SliceRow **ret_rows,
                     size_t *ret_count, Error *err) MUST_USE;

// The text of each partition column's value, in the contract's order; NULL where the partition
// lacks one, for then the slice's rows cannot be told from others'.
bool slice_partition_values(const PlanStream *stream, const PlanSlice *slice, Arena *arena,
                            Str **ret_values, Error *err) MUST_USE;
