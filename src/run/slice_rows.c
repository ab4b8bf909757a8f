#include "run/slice_rows.h"

#include <stdio.h>

enum { TEXT_BYTES_MAX = 64 * 1024 };

#define LITERAL(text)          \
    {                          \
        text, sizeof(text) - 1 \
    } // STR() is no constant

// clang-format off
const Column slice_rows_columns[SLICE_ROWS_COLUMNS] = {
    {LITERAL("run"),       COLUMN_STRING, .required = true, .comment = LITERAL("the run's id; empty = it does not happen")},
    {LITERAL("mode"),      COLUMN_STRING, .required = true, .comment = LITERAL("historic, incremental or rehydration")},
    {LITERAL("stream"),    COLUMN_STRING, .required = true, .comment = LITERAL("of the connector")},
    {LITERAL("slice"),     COLUMN_INT64,  .required = true, .comment = LITERAL("its number in the plan of its stream")},
    {LITERAL("reading"),   COLUMN_INT64,  .required = true, .comment = LITERAL("which reading; 0 = the latest, or the first")},
    {LITERAL("partition"), COLUMN_STRING, .required = true, .comment = LITERAL("the partition's key, canonical JSON")},
    {LITERAL("zone"),      COLUMN_STRING, .required = true, .comment = LITERAL("of the partition; empty = the job's")},
    {LITERAL("from_us"),   COLUMN_INT64,  .required = true, .comment = LITERAL("the window, as the connector is asked for it")},
    {LITERAL("to_us"),     COLUMN_INT64,  .required = true, .comment = LITERAL("its end, included; both 0 = none")},
    {LITERAL("value"),     COLUMN_STRING, .required = true, .comment = LITERAL("the partition, for people")},
    {LITERAL("window"),    COLUMN_STRING, .required = true, .comment = LITERAL("the window, for people")},
    {LITERAL("begins_us"), COLUMN_INT64,  .required = true, .comment = LITERAL("the instants between which its rows lie")},
    {LITERAL("ends_us"),   COLUMN_INT64,  .required = true, .comment = LITERAL("excluded")},
    {LITERAL("values"),    COLUMN_JSON,   .comment = LITERAL("of the table's partition columns, as texts; null = one is missing")},
};
// clang-format on

// Whether each field of a partition, those of its parents included, has a column in the contract:
// rows of other partitions would be taken for its own otherwise.
// NOLINTNEXTLINE(misc-no-recursion): a level for each parent stream
static bool is_bound(const ContractInfo *info, yyjson_val *fields, Str pointer, bool *ret_bound,
                     Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    *ret_bound = true;
    yyjson_obj_foreach(fields, i, count, name, value)
    {
        CLEANUP(buf_done) Buf path = {0};
        TRY(buf_printf(&path, err, STR_FMT "/" STR_FMT, STR_ARG(pointer), STR_ARG(json_str(name))));
        bool found = false;
        if (yyjson_is_obj(value))
            TRY(is_bound(info, value, buf_str(&path), &found, err));
        for (size_t k = 0; k < info->partition_count && !found; k++) {
            const Str place = info->partition_fields[k];
            found = str_equal(place, buf_str(&path)) ||
                    (pointer.size == 0 && str_equal(place, json_str(name)));
        }
        *ret_bound = *ret_bound && found;
    }
    return true;
}

bool slice_partition_values(const PlanStream *stream, const PlanSlice *slice, Arena *arena,
                            Str **ret_values, Error *err)
{
    const ContractInfo *info = contract_info(stream->contract);
    yyjson_val *fields = stream->partitions[slice->partition].partition.fields;
    Str *values = arena_alloc_array(arena, info->partition_count + 1, sizeof(Str), err);
    TRY(values != NULL);
    *ret_values = NULL;
    bool bound = false;
    TRY(is_bound(info, fields, STR(""), &bound, err));
    if (!bound)
        return true;
    for (size_t i = 0; i < info->partition_count; i++) {
        const Str place = info->partition_fields[i];
        yyjson_val *value =
            place.data[0] == '/' ? json_pointer(fields, place) : json_get(fields, place);
        if (value == NULL || yyjson_is_null(value))
            return true;
        values[i] = json_str(value);
        if (yyjson_is_str(value))
            continue;
        CLEANUP(buf_done) Buf text = {0};
        TRY(json_write(value, &text, err));
        TRY(arena_copy_str(arena, buf_str(&text), &values[i], err));
    }
    *ret_values = values;
    return true;
}

// --- writing

static bool write_values(const PlanStream *stream, const PlanSlice *slice, BatchBuilder *builder,
                         size_t column, Arena *arena, Error *err)
{
    Str *values = NULL;
    TRY(slice_partition_values(stream, slice, arena, &values, err));
    if (values == NULL)
        return true;
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_append_char(&text, '[', err));
    for (size_t i = 0; i < contract_info(stream->contract)->partition_count; i++) {
        if (i > 0)
            TRY(buf_append_char(&text, ',', err));
        TRY(json_write_str(values[i], &text, err));
    }
    TRY(buf_append_char(&text, ']', err));
    return batch_set_str(builder, column, buf_str(&text), err);
}

static bool write_window(const PlanStream *stream, const PlanSlice *slice, BatchBuilder *builder,
                         size_t column, Error *err)
{
    char text[2 * TIME_TEXT_BYTES + 8] = "";
    char from[TIME_TEXT_BYTES];
    char to[TIME_TEXT_BYTES];
    if (stream->cursor.exists) {
        date_format((int32_t)(slice->from_us / US_PER_DAY), from);
        date_format((int32_t)(slice->to_us / US_PER_DAY), to);
        (void)snprintf(text, sizeof(text), "%s%s%s", from, strcmp(from, to) == 0 ? "" : " to ",
                       strcmp(from, to) == 0 ? "" : to);
    }
    return batch_set_str(builder, column, str_from(text), err);
}

static bool write_row(BatchBuilder *builder, const Plan *plan, const PlanStream *stream,
                      uint32_t ordinal, Arena *arena, Error *err)
{
    const PlanSlice *slice = &stream->slices[ordinal];
    const PlanPartition *partition = &stream->partitions[slice->partition];
    int64_t begins_us = 0;
    int64_t ends_us = 0;
    plan_window_bounds(stream, slice, &begins_us, &ends_us);
    size_t column = 0;
    return batch_row_begin(builder, err) &&
           batch_set_str(builder, column++, str_from(plan->run), err) &&
           batch_set_str(builder, column++, str_from(run_mode_name(plan->mode)), err) &&
           batch_set_str(builder, column++, stream_name(stream->stream), err) &&
           batch_set_int64(builder, column++, plan_slice_number(stream, ordinal), err) &&
           batch_set_int64(builder, column++, 0, err) &&
           batch_set_str(builder, column++, partition->partition.key, err) &&
           batch_set_str(builder, column++, partition->zone_name, err) &&
           batch_set_int64(builder, column++, slice->from_us, err) &&
           batch_set_int64(builder, column++, slice->to_us, err) &&
           batch_set_str(builder, column++, partition->value, err) &&
           write_window(stream, slice, builder, column++, err) &&
           batch_set_int64(builder, column++, begins_us, err) &&
           batch_set_int64(builder, column++, ends_us, err) &&
           write_values(stream, slice, builder, column, arena, err) && batch_row_end(builder, err);
}

bool slice_cursor_next(SliceCursor *cursor, const Plan *plan, Arena *arena,
                       struct ArrowArray *ret_array, Error *err)
{
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    TRY(batch_builder_new(slice_rows_columns, SLICE_ROWS_COLUMNS, &builder, err));
    while (cursor->stream < plan->stream_count && batch_builder_rows(builder) < BATCH_ROWS) {
        const PlanStream *stream = &plan->streams[cursor->stream];
        if (cursor->slice == stream->slice_count) {
            cursor->stream++;
            cursor->slice = 0;
            continue;
        }
        TRY(write_row(builder, plan, stream, (uint32_t)cursor->slice++, arena, err));
    }
    return batch_builder_rows(builder) == 0 || batch_builder_finish(builder, ret_array, err);
}

// --- reading

// The columns of SliceRow, in this order; `at` says where the table has them.
enum { RUN, MODE, STREAM, SLICE, READING, PARTITION, ZONE, FROM, TO, NEEDED };

typedef struct RowReader {
    struct ArrowSchema schema;
    struct ArrowArrayView view;
    int64_t at[NEEDED];
    Arena *arena;
    SliceRow *rows;
    size_t count, capacity;
} RowReader;

static void row_reader_done(RowReader *reader)
{
    ArrowArrayViewReset(&reader->view);
    arrow_schema_done(&reader->schema);
}

static bool find_columns(RowReader *reader, Error *err)
{
    struct ArrowError why = {0};
    if (reader->schema.n_children == 0 || strcmp(reader->schema.format, "+s") != 0)
        return error_set(err, ERROR_DATA, "slices: not a table");
    if (ArrowArrayViewInitFromSchema(&reader->view, &reader->schema, &why) != NANOARROW_OK)
        return error_set(err, ERROR_DATA, "slices: %s", why.message);
    for (size_t i = 0; i < NEEDED; i++) {
        const Str name = slice_rows_columns[i].name;
        reader->at[i] = -1;
        for (int64_t k = 0; k < reader->schema.n_children; k++) {
            const char *other = reader->schema.children[k]->name;
            if (other != NULL && str_equal(str_from(other), name))
                reader->at[i] = k;
        }
        if (reader->at[i] < 0)
            return error_set(err, ERROR_DATA, "slices: there is no column '" STR_FMT "'",
                             STR_ARG(name));
    }
    return true;
}

static bool is_text(const struct ArrowArrayView *cells)
{
    return cells->storage_type == NANOARROW_TYPE_STRING ||
           cells->storage_type == NANOARROW_TYPE_LARGE_STRING ||
           cells->storage_type == NANOARROW_TYPE_STRING_VIEW;
}

static bool get_text(RowReader *reader, size_t column, int64_t row, Str *ret_text, Error *err)
{
    const struct ArrowArrayView *cells = reader->view.children[reader->at[column]];
    if (!is_text(cells) || ArrowArrayViewIsNull(cells, row))
        return error_set(err, ERROR_DATA, "slices: '" STR_FMT "' of row %lld is no text",
                         STR_ARG(slice_rows_columns[column].name), (long long)row);
    const struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(cells, row);
    if (text.size_bytes > TEXT_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "slices: '" STR_FMT "' of row %lld is too long",
                         STR_ARG(slice_rows_columns[column].name), (long long)row);
    return arena_copy_str(reader->arena, (Str){text.data, (size_t)text.size_bytes}, ret_text, err);
}

static bool get_int(RowReader *reader, size_t column, int64_t row, int64_t low, int64_t high,
                    int64_t *ret_value, Error *err)
{
    const struct ArrowArrayView *cells = reader->view.children[reader->at[column]];
    const bool good =
        cells->storage_type == NANOARROW_TYPE_INT64 || cells->storage_type == NANOARROW_TYPE_INT32;
    const int64_t value = good && !ArrowArrayViewIsNull(cells, row)
                              ? ArrowArrayViewGetIntUnsafe(cells, row)
                              : low - 1;
    if (value < low || value > high)
        return error_set(err, ERROR_DATA, "slices: '" STR_FMT "' of row %lld is no such number",
                         STR_ARG(slice_rows_columns[column].name), (long long)row);
    *ret_value = value;
    return true;
}

static bool read_row(RowReader *reader, int64_t row, SliceRow *ret_row, Error *err)
{
    int64_t slice = 0;
    int64_t reading = 0;
    TRY(get_text(reader, RUN, row, &ret_row->run, err));
    TRY(get_text(reader, MODE, row, &ret_row->mode, err));
    TRY(get_text(reader, STREAM, row, &ret_row->stream, err));
    TRY(get_int(reader, SLICE, row, 0, PLAN_SLICES_MAX, &slice, err));
    TRY(get_int(reader, READING, row, 0, INT32_MAX, &reading, err));
    TRY(get_text(reader, PARTITION, row, &ret_row->partition, err));
    TRY(get_text(reader, ZONE, row, &ret_row->zone, err));
    TRY(get_int(reader, FROM, row, INT64_MIN + 1, INT64_MAX, &ret_row->from_us, err));
    TRY(get_int(reader, TO, row, INT64_MIN + 1, INT64_MAX, &ret_row->to_us, err));
    ret_row->slice = (uint32_t)slice;
    ret_row->reading = (uint32_t)reading;
    return true;
}

static bool make_room(RowReader *reader, size_t more, Error *err)
{
    if (reader->count + more > PLAN_SLICES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d slices at once", PLAN_SLICES_MAX);
    if (reader->count + more <= reader->capacity)
        return true;
    const size_t room = (reader->count + more) * 2;
    SliceRow *rows = arena_alloc_array(reader->arena, room, sizeof(*rows), err);
    TRY(rows != NULL);
    if (reader->count > 0)
        memcpy(rows, reader->rows, reader->count * sizeof(*rows));
    reader->rows = rows;
    reader->capacity = room;
    return true;
}

static bool read_batch(RowReader *reader, struct ArrowArray *array, Error *err)
{
    struct ArrowError why = {0};
    if (ArrowArrayViewSetArray(&reader->view, array, &why) != NANOARROW_OK)
        return error_set(err, ERROR_DATA, "slices: %s", why.message);
    TRY(make_room(reader, (size_t)array->length, err));
    for (int64_t row = 0; row < array->length; row++)
        TRY(read_row(reader, row + array->offset, &reader->rows[reader->count++], err));
    return true;
}

static bool stream_failed(struct ArrowArrayStream *rows, int code, Error *err)
{
    const char *why = rows->get_last_error(rows);
    return error_set(err, ERROR_IO, "slices: %s", why != NULL ? why : strerror(code));
}

bool slice_rows_read(struct ArrowArrayStream *rows, Arena *arena, SliceRow **ret_rows,
                     size_t *ret_count, Error *err)
{
    CLEANUP(row_reader_done) RowReader reader = {.arena = arena};
    ArrowArrayViewInitFromType(&reader.view, NANOARROW_TYPE_UNINITIALIZED);
    int code = rows->get_schema(rows, &reader.schema);
    if (code != 0)
        return stream_failed(rows, code, err);
    TRY(find_columns(&reader, err));
    for (;;) {
        CLEANUP(arrow_array_done) struct ArrowArray array = {0};
        code = rows->get_next(rows, &array);
        if (code != 0)
            return stream_failed(rows, code, err);
        if (array.release == NULL)
            break;
        TRY(read_batch(&reader, &array, err));
    }
    *ret_rows = reader.rows;
    *ret_count = reader.count;
    return true;
}
