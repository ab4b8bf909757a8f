#include "cli/cli.h"
#include "cli/open.h"
#include "run/drivers.h"

#include <stdio.h>

enum { CELLS_MAX = 256, WIDTH_MAX = 40, ROWS_MAX = 1000 };

// Rows are kept until all are there, since a column is as wide as its widest cell.
typedef struct Table {
    Arena *arena;
    Str *rows[ROWS_MAX];
    size_t columns, count, left_out;
    size_t widths[CELLS_MAX];
    Error *err;
} Table;

static bool take_row(void *visitor, const Str *cells, size_t columns)
{
    Table *table = visitor;
    if (table->count == ROWS_MAX || columns > CELLS_MAX) {
        table->left_out++;
        return true;
    }
    Str *row = arena_alloc_array(table->arena, columns, sizeof(*row), table->err);
    if (row == NULL)
        return false;
    for (size_t i = 0; i < columns; i++) {
        const Str cell = cells[i];
        row[i] = cell;
        if (cell.data != NULL && !arena_copy_str(table->arena, cell, &row[i], table->err))
            return false;
        const size_t width = cell.size < WIDTH_MAX ? cell.size : WIDTH_MAX;
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
    }
    table->columns = columns;
    table->rows[table->count++] = row;
    return true;
}

// One JSON array a row, of strings and nulls.
static bool print_json(const Table *table, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    for (size_t i = 0; i < table->count; i++) {
        for (size_t k = 0; k < table->columns; k++)
            TRY(buf_append_char(&text, k == 0 ? '[' : ',', err) &&
                (table->rows[i][k].data == NULL ? buf_append(&text, STR("null"), err)
                                                : json_write_str(table->rows[i][k], &text, err)));
        TRY(buf_printf(&text, err, "]\n"));
    }
    if (text.size > 0) // no rows: there is no buffer to give to fwrite()
        (void)fwrite(text.data, 1, text.size, stdout);
    return true;
}

bool cli_query(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    Findings *findings = arena_alloc(arena, sizeof(*findings), err);
    Table *table = arena_alloc(arena, sizeof(*table), err);
    TRY(findings != NULL && table != NULL);
    findings->arena = arena;
    *table = (Table){.arena = arena, .err = err};
    CLEANUP(warehouse_close) Warehouse warehouse = {0};
    TRY(job_open_warehouse(job, cli->env, arena, findings, &warehouse, err));
    TRY(cli_check_findings(findings, err));
    TRY(warehouse.driver->query(warehouse.state, cli->args.positional[1], take_row, table, err));
    if (cli->json)
        return print_json(table, err);
    for (size_t i = 0; i < table->count; i++) {
        for (size_t k = 0; k < table->columns; k++) {
            const Str cell = str_slice(table->rows[i][k], 0, WIDTH_MAX);
            (void)printf("%s%-*.*s", k > 0 ? "  " : "",
                         k + 1 < table->columns ? (int)table->widths[k] : 0, STR_ARG(cell));
        }
        (void)printf("\n");
    }
    if (table->left_out > 0)
        (void)fprintf(stderr, "%zu more rows; add a LIMIT or a narrower WHERE\n", table->left_out);
    return true;
}
