#include "duck/grid.h"

#include <assert.h>

static void put(duckdb_vector vector, size_t row, const DuckValue *value)
{
    switch (value->kind) {
    case DUCK_NULL:
        duckdb_vector_ensure_validity_writable(vector);
        duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row);
        return;
    case DUCK_TEXT:
        duckdb_vector_assign_string_element_len(vector, row, value->text.data, value->text.size);
        return;
    case DUCK_INT64:
    case DUCK_TIME:
        ((int64_t *)duckdb_vector_get_data(vector))[row] = value->number;
        return;
    }
}

static bool fill(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)err;
    DuckGrid *grid = state;
    size_t rows = grid->row_count - grid->next;
    rows = rows < DUCK_VECTOR_ROWS ? rows : DUCK_VECTOR_ROWS;
    for (size_t column = 0; column < grid->column_count; column++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);
        for (size_t row = 0; row < rows; row++)
            put(vector, row, &grid->values[(grid->next + row) * grid->column_count + column]);
    }
    grid->next += rows;
    *ret_rows = rows;
    return true;
}

DuckRows duck_grid_rows(DuckGrid *grid)
{
    assert(grid->next == 0);
    return (DuckRows){.columns = grid->columns,
                      .column_count = grid->column_count,
                      .rows_total = grid->row_count,
                      .fill = fill,
                      .state = grid};
}
