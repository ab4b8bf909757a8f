#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/drivers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CELLS_MAX = 1024, WIDTH_MAX = 40, ROWS_MAX = 1000 };

// Rows for people are kept until all are there, since a column is as wide as its widest cell; those
// for programs are written as they come, however many.
typedef struct Table {
    Arena *arena;
    Str *rows[ROWS_MAX];
    size_t columns, count;
    size_t widths[CELLS_MAX]; // in characters
    bool more;
    Buf line;
    Error *err;
} Table;

// What of a cell fits, on one line.
static bool take_cell(Table *table, Str cell, Str *ret_text, size_t *ret_width)
{
    size_t size = 0;
    size_t width = 0;
    for (; size < cell.size && width < WIDTH_MAX; width++) {
        size++;
        while (size < cell.size && ((unsigned char)cell.data[size] & 0xC0) == 0x80)
            size++;
    }
    char *text = arena_alloc(table->arena, size + 1, table->err);
    if (text == NULL)
        return false;
    if (size > 0)
        memcpy(text, cell.data, size);
    text_plain(text, size, false);
    *ret_text = (Str){text, size};
    *ret_width = width;
    return true;
}

static bool take_row(void *visitor, const Str *cells, size_t columns)
{
    Table *table = visitor;
    table->more = table->count == ROWS_MAX;
    if (table->more)
        return false;
    if (columns > CELLS_MAX)
        return error_set(table->err, ERROR_LIMIT, "more than %d columns: name fewer, or --json",
                         CELLS_MAX);
    Str *row = arena_alloc_array(table->arena, columns, sizeof(*row), table->err);
    if (row == NULL)
        return false;
    for (size_t i = 0; i < columns; i++) {
        size_t width = 0;
        if (!take_cell(table, cells[i], &row[i], &width))
            return false;
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
    }
    table->columns = columns;
    table->rows[table->count++] = row;
    return true;
}

// One JSON array a row, of strings and nulls.
static bool print_row_json(void *visitor, const Str *cells, size_t columns)
{
    Table *table = visitor;
    Error *err = table->err;
    Buf *line = &table->line;
    line->size = 0;
    for (size_t k = 0; k < columns; k++)
        TRY(buf_append_char(line, k == 0 ? '[' : ',', err) &&
            (cells[k].data == NULL ? buf_append(line, STR("null"), err)
                                   : json_write_str(cells[k], line, err)));
    TRY(buf_append(line, STR("]\n"), err));
    // `pawl query ... | head` has read what it wanted: that ends the query, and is no failure.
    return fwrite(line->data, 1, line->size, stdout) == line->size ||
           (errno != EPIPE && error_set(err, ERROR_IO, "standard output: %s", strerror(errno)));
}

static void print_people(const Table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        for (size_t k = 0; k < table->columns; k++) {
            const Str cell = table->rows[i][k];
            size_t width = 0;
            for (size_t c = 0; c < cell.size; c++)
                width += ((unsigned char)cell.data[c] & 0xC0) != 0x80;
            const size_t blanks = k + 1 < table->columns ? table->widths[k] - width : 0;
            (void)printf("%s" STR_FMT "%*s", k > 0 ? "  " : "", STR_ARG(cell), (int)blanks, "");
        }
        (void)printf("\n");
    }
    if (table->more)
        (void)fprintf(stderr,
                      "only the first %d rows; add a LIMIT or a narrower WHERE, or --json\n",
                      ROWS_MAX);
}

// As people type it: with a semicolon behind it.
static Str without_semicolon(Str sql)
{
    sql = str_trim(sql);
    while (str_ends_with(sql, STR(";")))
        sql = str_trim(str_slice(sql, 0, sql.size - 1));
    return sql;
}

bool cli_query(Cli *cli, Error *err)
{
    const Str sql = without_semicolon(cli->args.positional[1]);
    if (sql.size == 0)
        return error_set(err, ERROR_JOB, "query: the SQL is empty");
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    TRY(cli_need_warehouse(job, err));
    Findings *findings = findings_new(arena, err);
    Table *table = arena_alloc(arena, sizeof(*table), err);
    TRY(findings != NULL && table != NULL);
    *table = (Table){.arena = arena, .err = err};
    CLEANUP(warehouse_close) Warehouse warehouse = {0};
    TRY(job_open_warehouse(job, 0, cli->env, arena, findings, &warehouse, err));
    TRY(cli_check_findings(findings, err));
    const bool ok = warehouse.driver->query(warehouse.state, sql,
                                            cli->json ? print_row_json : take_row, table, err);
    buf_done(&table->line);
    // A visitor that failed only ends the query; the reason is here.
    TRY(ok && err->code == ERROR_NONE);
    if (!cli->json)
        print_people(table);
    return true;
}
