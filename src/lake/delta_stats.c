#include "lake/delta_stats.h"

#include "base/time.h"

#include <stdio.h>

// --- out of DuckDB

// The texts of a MAP(VARCHAR, ...) vector's keys or values.
static Str text_at(duckdb_vector vector, size_t row)
{
    uint64_t *validity = duckdb_vector_get_validity(vector);
    if (validity != NULL && !duckdb_validity_row_is_valid(validity, row))
        return (Str){0};
    duckdb_string_t *texts = duckdb_vector_get_data(vector);
    return (Str){duckdb_string_t_data(&texts[row]), duckdb_string_t_length(texts[row])};
}

// DuckDB writes the column as a quoted name: "a ""b""".
static bool copy_name(Str quoted, Arena *arena, Str *ret_name, Error *err)
{
    TRY(arena_copy_str(arena, quoted, ret_name, err));
    if (quoted.size < 2 || quoted.data[0] != '"')
        return true;
    char *out = arena_alloc(arena, quoted.size, err);
    TRY(out != NULL);
    size_t size = 0;
    for (size_t i = 1; i + 1 < quoted.size; i++) {
        if (quoted.data[i] == '"')
            i++;
        out[size++] = quoted.data[i];
    }
    *ret_name = (Str){out, size};
    return true;
}

static bool take_column(duckdb_vector properties, const duckdb_list_entry *range, Arena *arena,
                        DeltaColumnStats *column, Error *err)
{
    duckdb_vector child = duckdb_list_vector_get_child(properties);
    duckdb_vector names = duckdb_struct_vector_get_child(child, 0);
    duckdb_vector values = duckdb_struct_vector_get_child(child, 1);
    for (size_t i = range->offset; i < range->offset + range->length; i++) {
        const Str name = text_at(names, i);
        Str *to = str_equal(name, STR("min"))          ? &column->min
                  : str_equal(name, STR("max"))        ? &column->max
                  : str_equal(name, STR("null_count")) ? &column->nulls
                                                       : NULL;
        if (to != NULL)
            TRY(arena_copy_str(arena, text_at(values, i), to, err));
    }
    return true;
}

bool delta_stats_take(duckdb_data_chunk chunk, Arena *arena, DeltaFileStats *ret_stats, Error *err)
{
    enum { COLUMN_ROWS = 1, COLUMN_SIZE = 2, COLUMN_STATISTICS = 4, COLUMNS = 5 };
    if (duckdb_data_chunk_get_column_count(chunk) < COLUMNS ||
        duckdb_data_chunk_get_size(chunk) != 1)
        return error_set(err, ERROR_IO, "duckdb: COPY told no statistics of its file");
    const uint64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, COLUMN_ROWS));
    const uint64_t *size = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, COLUMN_SIZE));
    duckdb_vector map = duckdb_data_chunk_get_vector(chunk, COLUMN_STATISTICS);
    const duckdb_list_entry *entry = duckdb_vector_get_data(map);
    duckdb_vector child = duckdb_list_vector_get_child(map);
    duckdb_vector names = duckdb_struct_vector_get_child(child, 0);
    duckdb_vector values = duckdb_struct_vector_get_child(child, 1);
    const duckdb_list_entry *ranges = duckdb_vector_get_data(values);

    DeltaFileStats stats = {.rows = (int64_t)rows[0], .size = size[0], .count = entry->length};
    stats.columns = arena_alloc_array(arena, stats.count + 1, sizeof(*stats.columns), err);
    TRY(stats.columns != NULL);
    for (size_t i = 0; i < stats.count; i++) {
        TRY(copy_name(text_at(names, entry->offset + i), arena, &stats.columns[i].name, err));
        TRY(take_column(values, &ranges[entry->offset + i], arena, &stats.columns[i], err));
    }
    *ret_stats = stats;
    return true;
}

// --- into the log

// Writes nothing where the value bounds nothing: the readers must not be told a wrong bound.
typedef bool WriteBound(Str value, bool is_max, Buf *out, Error *err);

static bool write_number(Str value, bool is_max, Buf *out, Error *err)
{
    (void)is_max;
    double ignored = 0;
    // "inf" is no JSON; neither is a text without a digit in front.
    return !str_to_double(value, &ignored) || buf_append(out, value, err);
}

// Spark has NaN above all numbers; DuckDB passes it over, and tells of it for the last row group
// only. So nothing is said of what lies highest.
static bool write_double(Str value, bool is_max, Buf *out, Error *err)
{
    return is_max || write_number(value, is_max, out, err);
}

static bool write_day(Str value, bool is_max, Buf *out, Error *err)
{
    (void)is_max;
    int32_t ignored = 0;
    return !date_parse(value, &ignored) || json_write_str(value, out, err);
}

// DuckDB: "2026-01-01 00:00:00.123456+00".
static bool parse_time(Str value, int64_t *ret_us)
{
    char text[TIME_TEXT_BYTES];
    if (value.size + 4 > sizeof(text) || !str_ends_with(value, STR("+00")))
        return false;
    (void)snprintf(text, sizeof(text), STR_FMT ":00", STR_ARG(value));
    return time_parse_iso(str_from(text), ret_us);
}

static bool write_time(Str value, bool is_max, Buf *out, Error *err)
{
    (void)is_max; // both are cut downwards; readers know that (protocol, "Per-file Statistics")
    int64_t us = 0;
    if (!parse_time(value, &us))
        return true;
    const int64_t fraction = ((us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
    const Civil civil = civil_from_us(us);
    return buf_printf(out, err, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", civil.year, civil.month,
                      civil.day, civil.hour, civil.minute, civil.second, (int)(fraction / 1000));
}

static size_t cut_text(Str value)
{
    size_t size = 0;
    for (int i = 0; i < DELTA_STATS_CHARACTERS && size < value.size; i++) {
        size++;
        while (size < value.size && ((unsigned char)value.data[size] & 0xC0) == 0x80)
            size++;
    }
    return size;
}

static bool write_text(Str value, bool is_max, Buf *out, Error *err)
{
    static const char highest[] = "\xF4\x8F\xBF\xBF"; // U+10FFFF
    const size_t size = cut_text(value);
    if (!str_is_utf8(value))
        return true;
    if (size == value.size || !is_max)
        return json_write_str(str_slice(value, 0, size), out, err);
    // Where the next character is that one itself, a text cut so would be below.
    if (str_starts_with(str_slice(value, size, value.size), str_from(highest)))
        return true;
    char cut[(size_t)DELTA_STATS_CHARACTERS * 4 + sizeof(highest)];
    memcpy(cut, value.data, size);
    memcpy(cut + size, highest, sizeof(highest) - 1);
    return json_write_str((Str){cut, size + sizeof(highest) - 1}, out, err);
}

static WriteBound *bound_of(const DeltaField *field)
{
    static const struct {
        const char *duck;
        WriteBound *write;
    } writers[] = {
        {"BIGINT", write_number},
        {"INTEGER", write_number},
        {"SMALLINT", write_number},
        {"TINYINT", write_number},
        {"DOUBLE", write_double},
        {"FLOAT", write_double},
        {"DATE", write_day},
        {"VARCHAR", write_text},
        {"TIMESTAMP WITH TIME ZONE", write_time},
    };
    for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
        if (strcmp(field->duck, writers[i].duck) == 0)
            return writers[i].write;
    }
    return str_starts_with(field->type, STR("decimal(")) ? write_number : NULL;
}

static const DeltaColumnStats *find_column(const DeltaFileStats *stats, Str name)
{
    for (size_t i = 0; i < stats->count; i++) {
        if (str_equal_ignoring_case(stats->columns[i].name, name))
            return &stats->columns[i];
    }
    return NULL;
}

static bool write_bounds(const DeltaFileStats *stats, const DeltaSchema *schema, bool is_max,
                         Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf value = {0};
    bool any = false;
    for (size_t i = 0; i < schema->count; i++) {
        const DeltaField *field = &schema->fields[i];
        const DeltaColumnStats *column = find_column(stats, field->name);
        WriteBound *write = bound_of(field);
        if (column == NULL || write == NULL || (write == write_text && !field->text_bounds))
            continue;
        const Str text = is_max ? column->max : column->min;
        buf_clear(&value);
        if (text.data == NULL || column->min.data == NULL || column->max.data == NULL)
            continue;
        TRY(write(text, is_max, &value, err));
        if (value.size == 0)
            continue;
        TRY(!any || buf_append_char(out, ',', err));
        TRY(json_write_str(field->name, out, err) && buf_append_char(out, ':', err) &&
            buf_append(out, buf_str(&value), err));
        any = true;
    }
    return true;
}

static bool write_nulls(const DeltaFileStats *stats, const DeltaSchema *schema, Buf *out,
                        Error *err)
{
    bool any = false;
    for (size_t i = 0; i < schema->count; i++) {
        const DeltaField *field = &schema->fields[i];
        const DeltaColumnStats *column = find_column(stats, field->name);
        int64_t nulls = 0;
        if (column == NULL || !str_to_int64(column->nulls, &nulls))
            continue;
        TRY(!any || buf_append_char(out, ',', err));
        TRY(json_write_str(field->name, out, err));
        TRY(buf_printf(out, err, ":%lld", (long long)nulls));
        any = true;
    }
    return true;
}

bool delta_stats_write(const DeltaFileStats *stats, const DeltaSchema *schema, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"numRecords\":%lld,\"minValues\":{", (long long)stats->rows));
    TRY(write_bounds(stats, schema, false, out, err));
    TRY(buf_append(out, STR("},\"maxValues\":{"), err));
    TRY(write_bounds(stats, schema, true, out, err));
    TRY(buf_append(out, STR("},\"nullCount\":{"), err));
    TRY(write_nulls(stats, schema, out, err));
    return buf_append(out, STR("}}"), err);
}

// --- where may a key be?

enum { BOX_COLUMNS_MAX = 8 };

// A value of a row, or a bound of a file.
typedef struct Bound {
    bool is_known;
    int64_t number; // whole number or day
    Str text;
} Bound;

typedef struct Interval {
    Bound low, high;
} Interval;

struct DeltaBox {
    DeltaBoxColumn columns[BOX_COLUMNS_MAX];
    size_t column_count;
    const DeltaBoxRow *rows;
    size_t row_count;
    Interval all[BOX_COLUMNS_MAX]; // of all rows
};

static int compare(ColumnType type, const Bound *a, const Bound *b)
{
    if (type == COLUMN_STRING)
        return str_compare(a->text, b->text);
    return (a->number > b->number) - (a->number < b->number);
}

static Bound value_of(const DeltaBoxColumn *column, const DeltaBoxRow *row)
{
    const struct ArrowArray *child = row->array->children[column->index];
    const size_t i = (size_t)(row->array->offset + child->offset) + row->row;
    const uint8_t *valid = child->buffers[0];
    if (valid != NULL && child->null_count != 0 && (valid[i / 8] >> (i % 8) & 1) == 0)
        return (Bound){0};
    if (column->type == COLUMN_DATE)
        return (Bound){.is_known = true, .number = ((const int32_t *)child->buffers[1])[i]};
    if (column->type == COLUMN_INT64)
        return (Bound){.is_known = true, .number = ((const int64_t *)child->buffers[1])[i]};
    const int32_t *offsets = child->buffers[1];
    return (Bound){.is_known = true,
                   .text = {(const char *)child->buffers[2] + offsets[i],
                            (size_t)(offsets[i + 1] - offsets[i])}};
}

static Bound bound_from(ColumnType type, yyjson_val *value)
{
    Bound bound = {0};
    int32_t day = 0;
    if (type == COLUMN_STRING && yyjson_is_str(value)) {
        bound = (Bound){.is_known = true, .text = json_str(value)};
    } else if (type == COLUMN_INT64 && yyjson_is_int(value) &&
               (yyjson_is_sint(value) || yyjson_get_uint(value) <= INT64_MAX)) {
        bound = (Bound){.is_known = true, .number = yyjson_get_sint(value)};
    } else if (type == COLUMN_DATE && date_parse(json_str(value), &day)) {
        bound = (Bound){.is_known = true, .number = day};
    }
    return bound;
}

// A row that has no value there could be anywhere.
static bool is_within(ColumnType type, const Bound *value, const Interval *interval)
{
    return !value->is_known ||
           ((!interval->low.is_known || compare(type, value, &interval->low) >= 0) &&
            (!interval->high.is_known || compare(type, value, &interval->high) <= 0));
}

bool delta_box_new(const DeltaBoxColumn *columns, size_t column_count, const DeltaBoxRow *rows,
                   size_t row_count, Arena *arena, DeltaBox **ret_box, Error *err)
{
    DeltaBox *box = arena_alloc(arena, sizeof(*box), err);
    TRY(box != NULL);
    box->rows = rows;
    box->row_count = row_count;
    for (size_t c = 0; c < column_count && box->column_count < BOX_COLUMNS_MAX; c++) {
        const ColumnType type = columns[c].type;
        if (type != COLUMN_INT64 && type != COLUMN_DATE && type != COLUMN_STRING)
            continue;
        Interval *all = &box->all[box->column_count];
        bool whole = true;
        for (size_t i = 0; i < row_count; i++) {
            const Bound value = value_of(&columns[c], &rows[i]);
            whole = whole && value.is_known;
            if (!all->low.is_known || compare(type, &value, &all->low) < 0)
                all->low = value;
            if (!all->high.is_known || compare(type, &value, &all->high) > 0)
                all->high = value;
        }
        if (whole)
            box->columns[box->column_count++] = columns[c];
        else
            *all = (Interval){0};
    }
    *ret_box = box;
    return true;
}

bool delta_box_may_meet(const DeltaBox *box, yyjson_val *stats)
{
    yyjson_val *lows = json_get(stats, STR("minValues"));
    yyjson_val *highs = json_get(stats, STR("maxValues"));
    Interval file[BOX_COLUMNS_MAX];
    if (box->row_count == 0)
        return false;
    for (size_t c = 0; c < box->column_count; c++) {
        const DeltaBoxColumn *column = &box->columns[c];
        file[c].low = bound_from(column->type, json_get(lows, column->name));
        file[c].high = bound_from(column->type, json_get(highs, column->name));
        if ((file[c].low.is_known && compare(column->type, &box->all[c].high, &file[c].low) < 0) ||
            (file[c].high.is_known && compare(column->type, &box->all[c].low, &file[c].high) > 0))
            return false;
    }
    for (size_t i = 0; i < box->row_count; i++) {
        bool inside = true;
        for (size_t c = 0; inside && c < box->column_count; c++) {
            const Bound value = value_of(&box->columns[c], &box->rows[i]);
            inside = is_within(box->columns[c].type, &value, &file[c]);
        }
        if (inside)
            return true;
    }
    return false;
}

void delta_stats_narrow(yyjson_val *stats, DeltaSchema *schema)
{
    yyjson_val *lows = json_get(stats, STR("minValues"));
    for (size_t i = 0; i < schema->count; i++) {
        DeltaField *field = &schema->fields[i];
        field->text_bounds = field->text_bounds && yyjson_is_str(json_get(lows, field->name));
    }
}

bool delta_stats_may_hold_time(yyjson_val *stats, Str column, int64_t from_us, int64_t to_us)
{
    int64_t low = 0;
    int64_t high = 0;
    const Str low_text = json_str(json_get(json_get(stats, STR("minValues")), column));
    const Str high_text = json_str(json_get(json_get(stats, STR("maxValues")), column));
    if (low_text.size > 0 && time_parse_iso(low_text, &low) && low >= to_us)
        return false;
    // Cut to the millisecond: the highest may be up to 999 microseconds later.
    return !(high_text.size > 0 && time_parse_iso(high_text, &high) && high + 1000 <= from_us);
}
