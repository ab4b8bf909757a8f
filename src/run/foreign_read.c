// The rows of one window of a foreign table.
#include "batch/cells.h"
#include "run/foreign_parts.h"
#include "warehouse/sql.h"

#include <assert.h>
#include <stdio.h>

enum { FIRST_ROWS = 256, DEPTH_MAX = 32 };

void foreign_rows_done(ForeignRows *rows)
{
    slice_rows_done(&rows->rows);
    rows->count = 0;
}

// --- a row as a record

typedef struct Reading {
    const Foreign *foreign;
    yyjson_val *partition;
    const ForeignWindow *window;
    Shaper *shaper;
    Arena *arena;     // of the rows
    Arena *row_arena; // of one
    ForeignRows *rows;
    size_t waiting; // rows that the shaper holds
    Buf text;
    Error *err;
    bool failed;
} Reading;

static bool write_step(Str step, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    return json_read_step(step, &name, err) && json_write_str(buf_str(&name), out, err) &&
           buf_append_char(out, ':', err);
}

static size_t split_path(Str path, Str steps[DEPTH_MAX])
{
    size_t count = 0;
    Str rest = str_slice(path, 1, path.size);
    while (rest.data != NULL && count < DEPTH_MAX)
        steps[count++] = str_split_next(&rest, '/');
    assert(count > 0); // columns without a path are not in the order
    return count;
}

static bool write_cell(Reading *reading, const ForeignColumn *column, Str cell, Error *err)
{
    yyjson_doc *doc = NULL;
    Error no_json = {0};
    if (column->is_json && cell.size > 0 &&
        json_parse_lenient(cell, "cell", reading->row_arena, &doc, &no_json))
        return buf_append(&reading->text, cell, err);
    return json_write_str(cell, &reading->text, err);
}

// Columns come in the order of their paths: what shares a beginning shares an object.
static bool write_record(Reading *reading, const Str *cells, Error *err)
{
    const Foreign *foreign = reading->foreign;
    Buf *out = &reading->text;
    Str open[DEPTH_MAX];
    size_t depth = 0;
    bool comma = false;
    buf_clear(out);
    TRY(buf_append_char(out, '{', err));
    for (size_t i = 0; i < foreign->order_count; i++) {
        const ForeignColumn *column = foreign->order[i];
        const Str cell = cells[column->cell];
        if (cell.data == NULL)
            continue;
        Str steps[DEPTH_MAX];
        const size_t count = split_path(column->path, steps);
        size_t same = 0;
        while (same < depth && same + 1 < count && str_equal(open[same], steps[same]))
            same++;
        for (; depth > same; depth--)
            TRY(buf_append_char(out, '}', err));
        for (; depth + 1 < count; depth++) {
            TRY((!comma || buf_append_char(out, ',', err)) && write_step(steps[depth], out, err) &&
                buf_append_char(out, '{', err));
            open[depth] = steps[depth];
            comma = false;
        }
        TRY((!comma || buf_append_char(out, ',', err)) && write_step(steps[count - 1], out, err) &&
            write_cell(reading, column, cell, err));
        comma = true;
    }
    for (; depth > 0; depth--)
        TRY(buf_append_char(out, '}', err));
    return buf_append_char(out, '}', err);
}

// --- rows

int foreign_compare_rows(const void *a, const void *b)
{
    const ForeignRow *left = a;
    const ForeignRow *right = b;
    const int by_key = key128_compare(&left->key, &right->key);
    return by_key != 0
               ? by_key
               : (left->synced_us > right->synced_us) - (left->synced_us < right->synced_us);
}

static bool add_row(ForeignRows *rows, const ForeignRow *row, Arena *arena, Error *err)
{
    if (rows->count == rows->room) {
        const size_t room = rows->room == 0 ? FIRST_ROWS : 2 * rows->room;
        ForeignRow *items = arena_alloc_array(arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (rows->count > 0)
            memcpy(items, rows->items, rows->count * sizeof(*items));
        rows->items = items;
        rows->room = room;
    }
    rows->items[rows->count++] = *row;
    return true;
}

// Gives the rows that waited their places in the batch.
static bool take_batch(Reading *reading, Error *err)
{
    ForeignRows *rows = reading->rows;
    if (reading->waiting == 0)
        return true;
    TRY(slice_rows_take(&rows->rows, reading->shaper, reading->arena, err));
    ShapedBatch *batch = rows->rows.batches[rows->rows.batch_count - 1];
    for (size_t i = 0; i < reading->waiting; i++) {
        ForeignRow *row = &rows->items[rows->count - reading->waiting + i];
        row->batch = batch;
        row->row = i;
        row->key =
            reading->foreign->kind == FOREIGN_OWN && !row->keyless ? row->key : batch->keys[i];
        row->hash = reading->foreign->kind == FOREIGN_OWN ? row->hash : batch->hashes[i];
    }
    reading->waiting = 0;
    return true;
}

static Str cell_of(const ForeignColumn *column, const Str *cells)
{
    return column == NULL ? (Str){NULL, 0} : cells[column->cell];
}

static bool is_deleted(Str cell)
{
    return cell.size > 0 && !str_equal_ignoring_case(cell, STR("false")) &&
           !str_equal_ignoring_case(cell, STR("f")) && !str_equal(cell, STR("0"));
}

static bool time_of(const char *text, int64_t *ret_us)
{
    int32_t date = 0;
    if (table_time_parse(str_from(text), ret_us))
        return true;
    // Whatever follows the day: a day more or less does not matter to who asks for a range.
    if (!date_parse(str_slice(str_from(text), 0, 10), &date))
        return false;
    *ret_us = date * US_PER_DAY;
    return true;
}

// A row of a window's surroundings is met again with its own: it counts there.
static void note_unreadable(Reading *reading, const Str *cells)
{
    char text[64];
    int64_t us = 0;
    const Str cell = cell_of(reading->foreign->window, cells);
    const bool has_time = cell.size > 0 && cell.size < sizeof(text);
    if (has_time)
        (void)snprintf(text, sizeof(text), STR_FMT, STR_ARG(cell));
    if (!has_time || !time_of(text, &us) ||
        (us >= reading->window->from_us && us < reading->window->to_us))
        reading->rows->unreadable++;
}

static bool take_row(Reading *reading, const Str *cells, Error *err)
{
    const Foreign *foreign = reading->foreign;
    ForeignRow row = {.deleted = is_deleted(cell_of(foreign->deleted, cells)),
                      .synced_us = INT64_MIN};
    arena_reset(reading->row_arena);
    if (foreign->kind == FOREIGN_RECORDS) {
        buf_clear(&reading->text);
        TRY(buf_append(&reading->text, cell_of(foreign->record, cells), err));
    } else {
        TRY(write_record(reading, cells, err));
    }
    yyjson_doc *doc = NULL;
    Error no_json = {0};
    if (!json_parse_lenient(buf_str(&reading->text), "row", reading->row_arena, &doc, &no_json)) {
        note_unreadable(reading, cells);
        return true;
    }
    if (foreign->kind == FOREIGN_OWN) {
        row.keyless = !sql_read_key(cell_of(foreign->key, cells), &row.key);
        if (!sql_read_key(cell_of(foreign->hash, cells), &row.hash))
            row.hash = (Key128){0}; // different from any other
    }
    int64_t synced_us = 0;
    if (foreign->synced != NULL && table_time_parse(cell_of(foreign->synced, cells), &synced_us))
        row.synced_us = synced_us;
    yyjson_val *record = yyjson_doc_get_root(doc);
    row.forgotten = foreign->forgotten != NULL &&
                    forgotten_matches(foreign->forgotten, foreign->stream->contract, record);
    const int64_t before = shaper_counts(reading->shaper)->rows;
    TRY(shaper_add(reading->shaper, &record, 1, reading->partition,
                   row.synced_us == INT64_MIN ? 0 : row.synced_us, err));
    if (shaper_counts(reading->shaper)->rows == before) {
        note_unreadable(reading, cells);
        return true;
    }
    TRY(add_row(reading->rows, &row, reading->arena, err));
    reading->waiting++;
    return !shaper_is_full(reading->shaper) || take_batch(reading, err);
}

static bool visit_row(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Reading *reading = visitor;
    reading->failed = !take_row(reading, cells, reading->err);
    return !reading->failed;
}

static void reading_done(Reading *reading)
{
    buf_done(&reading->text);
    arena_free(reading->row_arena);
}

// Whose own time lies in the window; forgotten people's rows go.
static void find_inside(const Foreign *foreign, const ForeignWindow *window, ForeignRows *rows)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    const Column *columns = foreign->stream->table.columns;
    size_t index = 0;
    while (index < foreign->stream->table.column_count &&
           !str_equal(columns[index].name, info->window_column))
        index++;
    for (size_t i = 0; i < rows->count; i++) {
        ForeignRow *row = &rows->items[i];
        int64_t us = 0;
        row->inside =
            window->from_us == window->to_us || info->window_column.size == 0 ||
            (cell_time(&columns[index], row->batch->array.children[index], row->row, &us) &&
             us >= window->from_us && us < window->to_us);
    }
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->items[i].forgotten)
            rows->forgotten += rows->items[i].inside ? 1 : 0;
        else
            rows->items[kept++] = rows->items[i];
    }
    rows->count = kept;
}

static bool read_rows(const Foreign *foreign, const ForeignWindow *window, const Buf *sql,
                      Shaper *shaper, Arena *arena, ForeignRows *rows, Error *err)
{
    const PlanPartition *partition = &foreign->stream->partitions[window->slice->partition];
    CLEANUP(reading_done)
    Reading reading = {.foreign = foreign,
                       .partition = partition->partition.fields,
                       .window = window,
                       .shaper = shaper,
                       .arena = arena,
                       .rows = rows,
                       .err = err};
    reading.row_arena = arena_new(SLICE_ARENA_BYTES, err);
    TRY(reading.row_arena != NULL);
    shaper_set_zone(shaper, partition->zone);
    const Warehouse *warehouse = foreign->warehouse;
    return (warehouse->driver->query(warehouse->state, buf_str(sql), visit_row, &reading, err) &&
            !reading.failed && take_batch(&reading, err)) ||
           error_context(err, "table " STR_FMT, STR_ARG(foreign->from));
}

bool foreign_read(const Foreign *foreign, const ForeignWindow *window, Shaper *shaper, Arena *arena,
                  ForeignRows *ret_rows, Error *err)
{
    *ret_rows = (ForeignRows){0};
    CLEANUP(buf_done) Buf sql = {0};
    if (foreign_write_query(foreign, window, &sql, err) &&
        read_rows(foreign, window, &sql, shaper, arena, ret_rows, err)) {
        find_inside(foreign, window, ret_rows);
        return true;
    }
    foreign_rows_done(ret_rows);
    return false;
}

// Of the rows from `first` on those that have one of the keys.
static void keep_keys(ForeignRows *rows, size_t first, const ForeignKey *keys, size_t count)
{
    size_t kept = first;
    for (size_t i = first; i < rows->count; i++) {
        size_t low = 0;
        for (size_t high = count; low < high;) {
            const size_t middle = low + (high - low) / 2;
            if (key128_compare(&keys[middle].key, &rows->items[i].key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < count && key128_compare(&keys[low].key, &rows->items[i].key) == 0)
            rows->items[kept++] = rows->items[i];
    }
    rows->count = kept;
}

bool foreign_read_keys(const Foreign *foreign, const ForeignWindow *window, const ForeignKeys *keys,
                       Shaper *shaper, Arena *arena, ForeignRows *rows, Error *err)
{
    for (size_t first = 0; first < keys->count; first += FOREIGN_KEYS_A_QUERY) {
        const ForeignKey *some = keys->items + first;
        const size_t left = keys->count - first;
        const size_t count = left < FOREIGN_KEYS_A_QUERY ? left : FOREIGN_KEYS_A_QUERY;
        const size_t before = rows->count;
        const int64_t unreadable = rows->unreadable;
        CLEANUP(buf_done) Buf sql = {0};
        TRY(foreign_write_key_query(foreign, window, some, count, &sql, err) &&
            read_rows(foreign, window, &sql, shaper, arena, rows, err));
        keep_keys(rows, before, some, count);
        rows->unreadable = unreadable; // whoever has no key has none of these
    }
    find_inside(foreign, window, rows);
    return true;
}

// --- the table as a whole

typedef struct Texts {
    char items[2][256];
    bool there[2];
} Texts;

static bool visit_texts(void *visitor, const Str *cells, size_t columns)
{
    Texts *texts = visitor;
    for (size_t i = 0; i < 2 && i < columns; i++) {
        texts->there[i] = cells[i].data != NULL && cells[i].size < sizeof(texts->items[i]);
        if (texts->there[i])
            (void)snprintf(texts->items[i], sizeof(texts->items[i]), STR_FMT, STR_ARG(cells[i]));
    }
    return false;
}

bool foreign_range(const Foreign *foreign, const PlanSlice *slice, int64_t *ret_first_us,
                   int64_t *ret_last_us, bool *ret_any, Error *err)
{
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    CLEANUP(buf_done) Buf time = {0};
    CLEANUP(buf_done) Buf sql = {0};
    *ret_any = false;
    TRY(foreign_write_time(foreign, &time, err));
    if (time.size == 0)
        return true;
    TRY(buf_printf(&sql, err,
                   "SELECT CAST(min(" STR_FMT ") AS %s), CAST(max(" STR_FMT ") AS %s) FROM " STR_FMT
                   " WHERE 1 = 1",
                   STR_ARG(buf_str(&time)), dialect->text_type, STR_ARG(buf_str(&time)),
                   dialect->text_type, STR_ARG(foreign->from)) &&
        foreign_append_plausible(foreign, buf_str(&time), &sql, err) &&
        (slice == NULL || foreign_append_partition(foreign, slice, &sql, err)));
    Texts texts = {0};
    TRY(foreign->warehouse->driver->query(foreign->warehouse->state, buf_str(&sql), visit_texts,
                                          &texts, err));
    *ret_any = texts.there[0] && texts.there[1] && time_of(texts.items[0], ret_first_us) &&
               time_of(texts.items[1], ret_last_us);
    return true;
}

bool foreign_check_times(const Foreign *foreign, bool needed, Error *err)
{
    CLEANUP(buf_done) Buf time = {0};
    CLEANUP(buf_done) Buf sql = {0};
    Texts texts = {0};
    int64_t rows = 0;
    int64_t first_us = 0;
    int64_t last_us = 0;
    bool any = false;
    TRY(foreign_write_time(foreign, &time, err));
    if (time.size == 0)
        return true;
    TRY(foreign_range(foreign, NULL, &first_us, &last_us, &any, err) &&
        foreign_count(foreign, &rows, err));
    if (any || rows == 0)
        return true;
    TRY(buf_printf(&sql, err, "SELECT CAST(max(" STR_FMT ") AS %s), '' FROM " STR_FMT,
                   STR_ARG(buf_str(&time)), foreign->warehouse->driver->dialect->text_type,
                   STR_ARG(foreign->from)) &&
        foreign->warehouse->driver->query(foreign->warehouse->state, buf_str(&sql), visit_texts,
                                          &texts, err));
    if (!texts.there[0] || texts.items[0][0] == '\0')
        return !needed || error_set(err, ERROR_JOB, "table " STR_FMT ": no row has a time",
                                    STR_ARG(foreign->from));
    return error_set(err, ERROR_JOB,
                     "table " STR_FMT ": no row's time can be read, such as '%.40s': it must be as "
                     "2026-03-05 10:20:30+00, or seconds, milliseconds or microseconds since 1970",
                     STR_ARG(foreign->from), texts.items[0]);
}

// --- units

static bool may_be_epoch(const Foreign *foreign, const ForeignColumn *column)
{
    const TableSpec *table = &foreign->stream->table;
    return column->path.size > 0 && column->column < table->column_count &&
           table->columns[column->column].type == COLUMN_TIMESTAMP && !foreign_holds_json(column) &&
           !str_starts_with(column->type, STR("TIMESTAMP")) &&
           !str_starts_with(column->type, STR("DATE"));
}

static bool visit_units(void *visitor, const Str *cells, size_t columns)
{
    Foreign *foreign = visitor;
    size_t cell = 0;
    for (size_t i = 0; i < foreign->column_count; i++) {
        int64_t us = 0;
        if (may_be_epoch(foreign, &foreign->columns[i]) && cell < columns)
            (void)!table_epoch_parse(cells[cell++], &us, &foreign->columns[i].unit_us);
    }
    return false;
}

bool foreign_know_units(Foreign *foreign, Error *err)
{
    const char *text_type = foreign->warehouse->driver->dialect->text_type;
    CLEANUP(buf_done) Buf sql = {0};
    for (size_t i = 0; i < foreign->column_count; i++) {
        if (may_be_epoch(foreign, &foreign->columns[i]))
            TRY(buf_append(&sql, sql.size == 0 ? STR("SELECT CAST(max(") : STR(", CAST(max("),
                           err) &&
                sql_name(&sql, foreign->columns[i].name, err) &&
                buf_printf(&sql, err, ") AS %s)", text_type));
    }
    return sql.size == 0 ||
           (buf_printf(&sql, err, " FROM " STR_FMT, STR_ARG(foreign->from)) &&
            foreign->warehouse->driver->query(foreign->warehouse->state, buf_str(&sql), visit_units,
                                              foreign, err));
}

bool foreign_count(const Foreign *foreign, int64_t *ret_rows, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    Texts texts = {0};
    TRY(buf_printf(&sql, err, "SELECT count(*) FROM " STR_FMT, STR_ARG(foreign->from)) &&
        foreign->warehouse->driver->query(foreign->warehouse->state, buf_str(&sql), visit_texts,
                                          &texts, err));
    return (texts.there[0] && str_to_int64(str_from(texts.items[0]), ret_rows)) ||
           error_set(err, ERROR_DATA, "the table's rows cannot be counted");
}

typedef struct Places {
    Str schema, name; // looked for
    bool upper;       // names without quotes mean upper-case ones
    ForeignPlace *best;
    int best_rank;
    Arena *arena;
    Error *err;
    bool failed;
} Places;

static bool is_upper(Str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 'a' && text.data[i] <= 'z')
            return false;
    }
    return true;
}

// That very name, then what SQL without quotes would mean, then any spelling.
static bool visit_place(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Places *places = visitor;
    const bool exact = str_equal(cells[0], places->schema) && str_equal(cells[1], places->name);
    const int rank = exact ? 3 : places->upper && is_upper(cells[0]) && is_upper(cells[1]) ? 2 : 1;
    if (rank <= places->best_rank)
        return true;
    places->best_rank = rank;
    places->failed = !arena_copy_str(places->arena, cells[0], &places->best->schema, places->err) ||
                     !arena_copy_str(places->arena, cells[1], &places->best->name, places->err) ||
                     !arena_copy_str(places->arena, cells[2], &places->best->type, places->err);
    return !places->failed;
}

bool foreign_find(Warehouse *warehouse, Str schema, Str name, Arena *arena, ForeignPlace *ret_place,
                  Error *err)
{
    const SqlDialect *dialect = warehouse->driver->dialect;
    CLEANUP(buf_done) Buf sql = {0};
    *ret_place = (ForeignPlace){.schema = STR(""), .name = STR(""), .type = STR("")};
    Places places = {.schema = schema,
                     .name = name,
                     .upper = dialect->upper_names,
                     .best = ret_place,
                     .arena = arena,
                     .err = err};
    return buf_append(&sql,
                      STR("SELECT table_schema, table_name, table_type FROM"
                          " information_schema.tables WHERE lower(table_schema) = lower("),
                      err) &&
           sql_literal(dialect, &sql, schema, err) &&
           buf_append(&sql, STR(") AND lower(table_name) = lower("), err) &&
           sql_literal(dialect, &sql, name, err) &&
           buf_append(&sql, STR(") ORDER BY table_schema, table_name"), err) &&
           warehouse->driver->query(warehouse->state, buf_str(&sql), visit_place, &places, err) &&
           !places.failed;
}
