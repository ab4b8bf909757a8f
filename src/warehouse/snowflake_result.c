#include "warehouse/snowflake_result.h"

static SnowflakeType type_of(Str name)
{
    static const struct {
        const char *name;
        SnowflakeType type;
    } types[] = {
        {"fixed", SNOWFLAKE_FIXED},
        {"real", SNOWFLAKE_REAL},
        {"boolean", SNOWFLAKE_BOOLEAN},
        {"date", SNOWFLAKE_DATE},
        {"timestamp_tz", SNOWFLAKE_TIMESTAMP},
        {"timestamp_ltz", SNOWFLAKE_TIMESTAMP},
        {"timestamp_ntz", SNOWFLAKE_TIMESTAMP},
        {"binary", SNOWFLAKE_BINARY},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_equal_ignoring_case(name, str_from(types[i].name)))
            return types[i].type;
    }
    return SNOWFLAKE_TEXT;
}

static bool read_columns(yyjson_val *metadata, Arena *arena, SnowflakeResult *result, Error *err)
{
    yyjson_val *types = json_get(metadata, STR("rowType"));
    const size_t count = yyjson_arr_size(types);
    if (count > SNOWFLAKE_COLUMNS_MAX)
        return error_set(err, ERROR_LIMIT, "snowflake: a result of %zu columns", count);
    SnowflakeColumn *columns = arena_alloc_array(arena, count + 1, sizeof(*columns), err);
    TRY(columns != NULL);
    size_t i = 0;
    size_t n = 0;
    yyjson_val *type = NULL;
    yyjson_arr_foreach(types, i, n, type)
    {
        columns[i].name = json_str(json_get(type, STR("name")));
        columns[i].type = type_of(json_str(json_get(type, STR("type"))));
    }
    const size_t partitions = yyjson_arr_size(json_get(metadata, STR("partitionInfo")));
    result->columns = columns;
    result->column_count = count;
    result->partition_count = partitions == 0 ? 1 : partitions;
    return true;
}

bool snowflake_result_read(const HttpResponse *response, Arena *arena, SnowflakeResult *ret_result,
                           Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(response->body, "snowflake", arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    SnowflakeResult result = {.handle = json_str(json_get(root, STR("statementHandle"))),
                              .rows = json_get(root, STR("data"))};
    TRY(read_columns(json_get(root, STR("resultSetMetaData")), arena, &result, err));
    yyjson_val *handles = json_get(root, STR("statementHandles"));
    const size_t count = yyjson_arr_size(handles);
    Str *children = arena_alloc_array(arena, count + 1, sizeof(*children), err);
    TRY(children != NULL);
    size_t i = 0;
    size_t n = 0;
    yyjson_val *handle = NULL;
    yyjson_arr_foreach(handles, i, n, handle) children[i] = json_str(handle);
    result.children = children;
    result.child_count = count;
    *ret_result = result;
    return true;
}

bool snowflake_result_visit(yyjson_val *rows, const SnowflakeResult *result, Str *cells,
                            SnowflakeVisit *visit, void *visitor, bool *ret_more, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *row = NULL;
    yyjson_arr_foreach(rows, i, count, row)
    {
        size_t k = 0;
        size_t cell_count = 0;
        yyjson_val *cell = NULL;
        if (yyjson_arr_size(row) != result->column_count)
            return error_set(err, ERROR_DATA, "snowflake: a row of %zu cells, expected %zu",
                             yyjson_arr_size(row), result->column_count);
        yyjson_arr_foreach(row, k, cell_count, cell) cells[k] = json_str(cell);
        if (!visit(visitor, cells, cell_count, err)) {
            *ret_more = false;
            return err->code == ERROR_NONE;
        }
    }
    return true;
}

Str snowflake_cell(const SnowflakeResult *result, const Str *cells, const char *name)
{
    for (size_t i = 0; i < result->column_count; i++) {
        if (str_equal(result->columns[i].name, str_from(name)))
            return cells[i];
    }
    return (Str){NULL, 0};
}

bool snowflake_changed(const SnowflakeResult *result, int64_t *ret_rows, Error *err)
{
    int64_t sum = 0;
    yyjson_val *row = yyjson_arr_get_first(result->rows);
    for (size_t i = 0; i < result->column_count; i++) {
        int64_t rows = 0;
        if (!str_starts_with(result->columns[i].name, STR("number of rows ")))
            continue; // "number of multi-joined rows updated" are counted already
        if (!str_to_int64(json_str(yyjson_arr_get(row, i)), &rows))
            return error_set(err, ERROR_DATA, "snowflake: a count of rows that is no number");
        sum += rows;
    }
    *ret_rows = sum;
    return true;
}

bool snowflake_time_us(Str cell, int64_t *ret_us)
{
    Str rest = cell;
    Str number = str_split_next(&rest, ' '); // the offset behind it changes no instant
    const size_t point = str_find_char(number, '.');
    int64_t seconds = 0;
    if (!str_to_int64(str_slice(number, 0, point), &seconds))
        return false;
    if (point == number.size) { // nanoseconds, as the manual's own example has them
        enum { SECONDS_DIGITS_MAX = 12 };
        *ret_us = number.size > SECONDS_DIGITS_MAX ? seconds / 1000 : seconds * 1000000;
        return true;
    }
    const Str fraction = str_slice(number, point + 1, number.size);
    int64_t micros = 0;
    for (size_t i = 0; i < 6; i++) {
        const char c = i < fraction.size ? fraction.data[i] : '0';
        if (c < '0' || c > '9')
            return false;
        micros = micros * 10 + (c - '0');
    }
    const bool negative = number.data[0] == '-';
    *ret_us = seconds * 1000000 + (negative ? -micros : micros);
    return true;
}
