// What is asked of a foreign table, as SQL.
#include "batch/cells.h"
#include "run/foreign_parts.h"
#include "warehouse/sql.h"

enum { EXPRESSION_BYTES = 4000 };

typedef enum TimeClass { TIME_STAMP, TIME_NUMBER, TIME_TEXT } TimeClass;

static TimeClass class_of(const ForeignColumn *column)
{
    const Str type = column->type;
    if (str_starts_with(type, STR("TIMESTAMP")) || str_starts_with(type, STR("DATE")))
        return TIME_STAMP;
    return foreign_holds_numbers(column) ? TIME_NUMBER : TIME_TEXT;
}

// The window and a day more on both sides: which rows lie inside is decided when their times are
// read, whatever zone the feed took them for.
static bool append_window(Buf *sql, Str expression, TimeClass class, const ForeignWindow *window,
                          Error *err)
{
    char from[TIME_TEXT_BYTES];
    char to[TIME_TEXT_BYTES];
    const long long low_s = (window->from_us - US_PER_DAY) / 1000000;
    const long long high_s = (window->to_us + US_PER_DAY) / 1000000;
    date_format(date_from_us(window->from_us) - 1, from);
    date_format(date_from_us(window->to_us) + 2, to);
    if (class == TIME_STAMP)
        return buf_printf(sql, err, STR_FMT " >= '%s' AND " STR_FMT " < '%s'", STR_ARG(expression),
                          from, STR_ARG(expression), to);
    if (class == TIME_NUMBER)
        return buf_printf(sql, err,
                          "(" STR_FMT " BETWEEN %lld AND %lld OR " STR_FMT
                          " BETWEEN %lld000 AND %lld000 OR " STR_FMT
                          " BETWEEN %lld000000 AND %lld000000)",
                          STR_ARG(expression), low_s, high_s, STR_ARG(expression), low_s, high_s,
                          STR_ARG(expression), low_s, high_s);
    return buf_printf(sql, err,
                      "(substr(" STR_FMT ", 1, 10) BETWEEN '%s' AND '%s' OR " STR_FMT
                      " BETWEEN '%lld' AND '%lld')",
                      STR_ARG(expression), from, to, STR_ARG(expression), low_s, high_s);
}

// The text of a contract's column within the record: its first path that has one.
bool foreign_record_text(const Foreign *foreign, Str column, Buf *out, Error *err)
{
    const Column *columns = foreign->stream->table.columns;
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    CLEANUP(buf_done) Buf name = {0};
    size_t index = 0;
    while (!str_equal(columns[index].name, column))
        index++;
    TRY(sql_name(&name, foreign->record->name, err) && buf_append(out, STR("coalesce("), err));
    Str path = {0};
    for (size_t i = 0; contract_column_path(foreign->stream->contract, index, i, &path); i++)
        TRY((i == 0 || buf_append(out, STR(", "), err)) &&
            dialect->json_text(out, buf_str(&name), path, err));
    return buf_append(out, STR(", NULL)"), err);
}

bool foreign_write_time(const Foreign *foreign, Buf *sql, Error *err)
{
    const Str name = contract_info(foreign->stream->contract)->window_column;
    if (name.size == 0 || !foreign->stream->cursor.exists)
        return true;
    if (foreign->kind == FOREIGN_RECORDS)
        return foreign_record_text(foreign, name, sql, err);
    return sql_name(sql, foreign->window->name, err);
}

static TimeClass window_class(const Foreign *foreign)
{
    return foreign->kind == FOREIGN_RECORDS ? TIME_TEXT : class_of(foreign->window);
}

// Of texts a year and a hyphen, or digits of 1973 to 2103 since 1970.
bool foreign_append_plausible(const Foreign *foreign, Str time, Buf *sql, Error *err)
{
    switch (window_class(foreign)) {
    case TIME_STAMP:
        return buf_printf(sql, err, " AND " STR_FMT " >= '1973-03-04'", STR_ARG(time));
    case TIME_NUMBER:
        return buf_printf(sql, err, " AND " STR_FMT " >= 100000000", STR_ARG(time));
    case TIME_TEXT:
    default:
        return buf_printf(sql, err,
                          " AND (substr(" STR_FMT ", 5, 1) = '-' AND " STR_FMT
                          " BETWEEN '1973-03-04' AND '2999' OR substr(" STR_FMT
                          ", 5, 1) BETWEEN '0' AND '9' AND " STR_FMT " BETWEEN '1' AND '43')",
                          STR_ARG(time), STR_ARG(time), STR_ARG(time), STR_ARG(time));
    }
}

static bool append_time(const Foreign *foreign, const ForeignWindow *window, Buf *sql, Error *err)
{
    CLEANUP(buf_done) Buf expression = {.limit_bytes = EXPRESSION_BYTES};
    if (window->from_us == window->to_us)
        return true;
    TRY(foreign_write_time(foreign, &expression, err));
    return expression.size == 0 ||
           (buf_append(sql, STR(" AND "), err) &&
            append_window(sql, buf_str(&expression), window_class(foreign), window, err));
}

static bool is_integer(Str text)
{
    int64_t number = 0;
    return str_to_int64(text, &number) && text.data[0] != '+' &&
           (text.size == 1 || (text.data[0] != '0' && !str_starts_with(text, STR("-0"))));
}

// IN (values) of a text or, bare, of a number.
static bool append_values(const Foreign *foreign, const Str *values, size_t count, bool bare,
                          bool decimals, Buf *sql, Error *err)
{
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    TRY(buf_append(sql, STR(" IN ("), err));
    for (size_t i = 0; i < count; i++) {
        TRY((i == 0 || buf_append(sql, STR(", "), err)) &&
            (bare ? buf_append(sql, values[i], err) : sql_literal(dialect, sql, values[i], err)));
        // What a program that knows no integers made of one.
        if (decimals && is_integer(values[i]))
            TRY(buf_printf(sql, err, ", '" STR_FMT ".0'", STR_ARG(values[i])));
    }
    return buf_append_char(sql, ')', err);
}

bool foreign_append_in(const Foreign *foreign, const ForeignColumn *column, const Str *values,
                       size_t count, Buf *sql, Error *err)
{
    const char *text_type = foreign->warehouse->driver->dialect->text_type;
    bool bare = foreign_holds_numbers(column);
    for (size_t i = 0; i < count; i++)
        bare = bare && is_integer(values[i]);
    if (bare)
        return sql_name(sql, column->name, err) &&
               append_values(foreign, values, count, true, false, sql, err);
    const bool integers = column->column < foreign->stream->table.column_count &&
                          foreign->stream->table.columns[column->column].type == COLUMN_INT64;
    return buf_append(sql, STR("CAST("), err) && sql_name(sql, column->name, err) &&
           buf_printf(sql, err, " AS %s)", text_type) &&
           append_values(foreign, values, count, false, integers, sql, err);
}

bool foreign_append_partition(const Foreign *foreign, const PlanSlice *slice, Buf *sql, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    yyjson_val *fields = foreign->stream->partitions[slice->partition].partition.fields;
    for (size_t i = 0; i < info->partition_count; i++) {
        const Str place = info->partition_fields[i];
        yyjson_val *value =
            place.data[0] == '/' ? json_pointer(fields, place) : json_get(fields, place);
        if (value == NULL || (foreign->kind != FOREIGN_RECORDS && foreign->partition[i] == NULL))
            continue;
        CLEANUP(buf_done) Buf text = {0};
        if (yyjson_is_str(value))
            TRY(buf_append(&text, json_str(value), err));
        else
            TRY(json_write(value, &text, err));
        const Str written = buf_str(&text);
        TRY(buf_append(sql, STR(" AND "), err));
        if (foreign->kind == FOREIGN_RECORDS)
            TRY(foreign_record_text(foreign, info->partition_columns[i], sql, err) &&
                append_values(foreign, &written, 1, false, false, sql, err));
        else
            TRY(foreign_append_in(foreign, foreign->partition[i], &written, 1, sql, err));
    }
    return true;
}

static bool select_cell(const Foreign *foreign, ForeignColumn *column, size_t *cells, Buf *sql,
                        Error *err)
{
    if (column == NULL || column->cell != SIZE_MAX)
        return true;
    CLEANUP(buf_done) Buf name = {0};
    column->cell = (*cells)++;
    return buf_append(sql, column->cell == 0 ? STR("CAST(") : STR(", CAST("), err) &&
           sql_name(&name, column->name, err) &&
           sql_expression(sql,
                          foreign_is_nested(foreign, column)
                              ? foreign->warehouse->driver->dialect->nested_text
                              : "%s",
                          buf_str(&name), err) &&
           buf_printf(sql, err, " AS %s)", foreign->warehouse->driver->dialect->text_type);
}

static bool write_select(const Foreign *foreign, const ForeignWindow *window, Buf *sql, Error *err)
{
    ForeignColumn *const special[] = {foreign->key,    foreign->hash,    foreign->record,
                                      foreign->synced, foreign->deleted, foreign->window};
    size_t cells = 0;
    for (size_t i = 0; i < foreign->column_count; i++)
        foreign->columns[i].cell = SIZE_MAX;
    TRY(buf_append(sql, STR("SELECT "), err));
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        TRY(select_cell(foreign, special[i], &cells, sql, err));
    for (size_t i = 0; i < foreign->order_count; i++)
        TRY(select_cell(foreign, foreign->order[i], &cells, sql, err));
    return buf_printf(sql, err, " FROM " STR_FMT " WHERE 1 = 1", STR_ARG(foreign->from)) &&
           foreign_append_partition(foreign, window->slice, sql, err);
}

bool foreign_write_query(const Foreign *foreign, const ForeignWindow *window, Buf *sql, Error *err)
{
    return write_select(foreign, window, sql, err) && append_time(foreign, window, sql, err);
}

static const ForeignColumn *column_at(const Foreign *foreign, size_t index)
{
    for (size_t i = 0; i < foreign->order_count; i++) {
        if (foreign->order[i]->column == index)
            return foreign->order[i];
    }
    return NULL;
}

// One column of the key.
static bool append_key_column(const Foreign *foreign, size_t index, const ForeignKey *keys,
                              size_t count, Buf *sql, Error *err)
{
    const Column *column = &foreign->stream->table.columns[index];
    const ForeignColumn *own = column_at(foreign, index);
    CLEANUP(arena_freep) Arena *arena = arena_new(SLICE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Str *values = arena_alloc_array(arena, count, sizeof(Str), err);
    TRY(values != NULL);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_done) Buf text = {0};
        TRY(cell_write(column, keys[i].batch->array.children[index], keys[i].row, &text, err) &&
            arena_copy_str(arena, buf_str(&text), &values[i], err));
    }
    if (foreign->kind == FOREIGN_RECORDS)
        return buf_append(sql, STR(" AND "), err) &&
               foreign_record_text(foreign, column->name, sql, err) &&
               append_values(foreign, values, count, false, false, sql, err);
    return own == NULL || (buf_append(sql, STR(" AND "), err) &&
                           foreign_append_in(foreign, own, values, count, sql, err));
}

bool foreign_write_key_query(const Foreign *foreign, const ForeignWindow *window,
                             const ForeignKey *keys, size_t count, Buf *sql, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    const TableSpec *table = &foreign->stream->table;
    TRY(write_select(foreign, window, sql, err));
    if (foreign->kind == FOREIGN_OWN) {
        TRY(buf_append(sql, STR(" AND _row_key IN ("), err));
        for (size_t i = 0; i < count; i++)
            TRY((i == 0 || buf_append(sql, STR(", "), err)) &&
                sql_key(foreign->warehouse->driver->dialect, sql, &keys[i].key, err));
        return buf_append_char(sql, ')', err);
    }
    for (size_t i = 0; i < info->key_count; i++) {
        size_t index = 0;
        bool of_partition = false;
        while (!str_equal(table->columns[index].name, info->key_columns[i]))
            index++;
        for (size_t k = 0; k < info->partition_count; k++)
            of_partition =
                of_partition || str_equal(info->partition_columns[k], info->key_columns[i]);
        if (!of_partition)
            TRY(append_key_column(foreign, index, keys, count, sql, err));
    }
    return true;
}
