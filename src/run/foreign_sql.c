// What is asked of a foreign table, as SQL.
#include "run/foreign_parts.h"
#include "warehouse/sql.h"

enum { EXPRESSION_BYTES = 4000 };

#define DAY_US (INT64_C(86400) * 1000000)

typedef enum TimeClass { TIME_STAMP, TIME_NUMBER, TIME_TEXT } TimeClass;

static TimeClass class_of(const ForeignColumn *column)
{
    static const char *const numbers[] = {"INT",  "BIGINT", "NUMERIC", "DECIMAL", "DOUBLE",
                                          "REAL", "FLOAT",  "NUMBER",  "HUGEINT"};
    const Str type = column->type;
    if (str_starts_with(type, STR("TIMESTAMP")) || str_starts_with(type, STR("DATE")))
        return TIME_STAMP;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (str_find(type, str_from(numbers[i])) < type.size)
            return TIME_NUMBER;
    }
    return TIME_TEXT;
}

// The window and a day more on both sides: which rows lie inside is decided when their times are
// read, whatever zone the feed took them for.
static bool append_window(Buf *sql, Str expression, TimeClass class, const ForeignWindow *window,
                          Error *err)
{
    char from[TIME_TEXT_BYTES];
    char to[TIME_TEXT_BYTES];
    const long long low_s = (window->from_us - DAY_US) / 1000000;
    const long long high_s = (window->to_us + DAY_US) / 1000000;
    date_format(date_from_us(window->from_us) - 1, from);
    date_format(date_from_us(window->to_us) + 2, to);
    if (class == TIME_STAMP)
        return buf_printf(sql, err, STR_FMT " >= '%s' AND " STR_FMT " < '%s'", STR_ARG(expression),
                          from, STR_ARG(expression), to);
    if (class == TIME_NUMBER)
        return buf_printf(sql, err,
                          "(" STR_FMT " BETWEEN %lld AND %lld OR " STR_FMT
                          " BETWEEN %lld000 AND %lld000)",
                          STR_ARG(expression), low_s, high_s, STR_ARG(expression), low_s, high_s);
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

static bool append_time(const Foreign *foreign, const ForeignWindow *window, Buf *sql, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    CLEANUP(buf_done) Buf expression = {.limit_bytes = EXPRESSION_BYTES};
    if (window->from_us == window->to_us || info->window_column.size == 0)
        return true;
    TRY(buf_append(sql, STR(" AND "), err));
    if (foreign->kind == FOREIGN_RECORDS)
        return foreign_record_text(foreign, info->window_column, &expression, err) &&
               append_window(sql, buf_str(&expression), TIME_TEXT, window, err);
    return sql_name(&expression, foreign->window->name, err) &&
           append_window(sql, buf_str(&expression), class_of(foreign->window), window, err);
}

bool foreign_append_partition(const Foreign *foreign, const PlanSlice *slice, Buf *sql, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    yyjson_val *fields = foreign->stream->partitions[slice->partition].partition.fields;
    for (size_t i = 0; i < info->partition_count; i++) {
        const Str place = info->partition_fields[i];
        yyjson_val *value =
            place.data[0] == '/' ? json_pointer(fields, place) : json_get(fields, place);
        if (value == NULL || (foreign->kind != FOREIGN_RECORDS && foreign->partition[i] == NULL))
            continue;
        CLEANUP(buf_done) Buf text = {0};
        TRY(buf_append(sql, STR(" AND "), err));
        if (foreign->kind == FOREIGN_RECORDS)
            TRY(foreign_record_text(foreign, info->partition_columns[i], sql, err));
        else
            TRY(buf_append(sql, STR("CAST("), err) &&
                sql_name(sql, foreign->partition[i]->name, err) &&
                buf_printf(sql, err, " AS %s)", dialect->text_type));
        TRY(buf_append(sql, STR(" = "), err));
        if (yyjson_is_str(value))
            TRY(buf_append(&text, json_str(value), err));
        else
            TRY(json_write(value, &text, err));
        TRY(sql_literal(dialect, sql, buf_str(&text), err));
    }
    return true;
}

static bool select_cell(ForeignColumn *column, const SqlDialect *dialect, size_t *cells, Buf *sql,
                        Error *err)
{
    if (column == NULL || column->cell != SIZE_MAX)
        return true;
    column->cell = (*cells)++;
    return buf_append(sql, column->cell == 0 ? STR("CAST(") : STR(", CAST("), err) &&
           sql_name(sql, column->name, err) && buf_printf(sql, err, " AS %s)", dialect->text_type);
}

bool foreign_write_query(const Foreign *foreign, const ForeignWindow *window, Buf *sql, Error *err)
{
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    ForeignColumn *const special[] = {foreign->key,    foreign->hash,    foreign->record,
                                      foreign->synced, foreign->deleted, foreign->window};
    size_t cells = 0;
    for (size_t i = 0; i < foreign->column_count; i++)
        foreign->columns[i].cell = SIZE_MAX;
    TRY(buf_append(sql, STR("SELECT "), err));
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        TRY(select_cell(special[i], dialect, &cells, sql, err));
    for (size_t i = 0; i < foreign->order_count; i++)
        TRY(select_cell(foreign->order[i], dialect, &cells, sql, err));
    return buf_printf(sql, err, " FROM " STR_FMT " WHERE 1 = 1", STR_ARG(foreign->from)) &&
           foreign_append_partition(foreign, window->slice, sql, err) &&
           append_time(foreign, window, sql, err);
}
