#include "lake/delta_schema.h"

#include <stdio.h>

enum { TYPE_BYTES = 32 };

// Spark's names of the types that a column of ours may have.
static void type_of(const Column *column, char text[TYPE_BYTES])
{
    static const char *const names[] = {
        [COLUMN_STRING] = "string", [COLUMN_JSON] = "string",     [COLUMN_INT64] = "long",
        [COLUMN_DOUBLE] = "double", [COLUMN_BOOLEAN] = "boolean", [COLUMN_TIMESTAMP] = "timestamp",
        [COLUMN_DATE] = "date",     [COLUMN_KEY] = "binary",
    };
    if (column->type == COLUMN_DECIMAL)
        (void)snprintf(text, TYPE_BYTES, "decimal(%d,%d)", column->precision, column->scale);
    else
        (void)snprintf(text, TYPE_BYTES, "%s", names[column->type]);
}

// "decimal(18,4)" and nothing behind it: the text becomes part of statements.
static bool is_decimal(Str type)
{
    enum { DIGITS_MAX = 38 };
    const size_t head = sizeof("decimal(") - 1;
    if (!str_starts_with(type, STR("decimal(")) || !str_ends_with(type, STR(")")))
        return false;
    Str rest = str_slice(type, head, type.size - 1 - head);
    int64_t precision = 0;
    int64_t scale = 0;
    return str_to_int64(str_split_next(&rest, ','), &precision) && rest.data != NULL &&
           str_to_int64(rest, &scale) && precision >= 1 && precision <= DIGITS_MAX && scale >= 0 &&
           scale <= precision;
}

// The DuckDB type of a Spark type. A timestamp always has its zone: Spark writes INT96, which
// DuckDB reads without one.
static const char *duck_type(Str type)
{
    static const struct {
        const char *spark, *duck;
    } names[] = {
        {"string", "VARCHAR"},
        {"long", "BIGINT"},
        {"integer", "INTEGER"},
        {"short", "SMALLINT"},
        {"byte", "TINYINT"},
        {"double", "DOUBLE"},
        {"float", "FLOAT"},
        {"boolean", "BOOLEAN"},
        {"binary", "BLOB"},
        {"date", "DATE"},
        {"timestamp", "TIMESTAMP WITH TIME ZONE"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_equal(type, str_from(names[i].spark)))
            return names[i].duck;
    }
    // Spark and DuckDB write decimals alike; the text has a NUL behind it.
    return is_decimal(type) ? type.data : NULL;
}

// What a column's metadata may ask of writers (Delta protocol: column invariants, generated
// columns, identity columns, column mapping).
static const char *duty_of(yyjson_val *metadata)
{
    static const char *const duties[] = {"delta.invariants", "delta.generationExpression",
                                         "delta.identity.start", "delta.columnMapping.id",
                                         "delta.columnMapping.physicalName"};
    for (size_t i = 0; i < sizeof(duties) / sizeof(duties[0]); i++) {
        if (json_get(metadata, str_from(duties[i])) != NULL)
            return duties[i];
    }
    return NULL;
}

static bool read_field(yyjson_val *item, Arena *arena, DeltaField *field, Error *err)
{
    const Str name = json_str(json_get(item, STR("name")));
    if (name.data == NULL)
        return error_set(err, ERROR_DATA, "schemaString: a field without a name");
    const char *duty = duty_of(json_get(item, STR("metadata")));
    if (duty != NULL)
        return error_set(err, ERROR_JOB, "column '" STR_FMT "' has %s, which pawl does not know",
                         STR_ARG(name), duty);
    TRY(arena_copy_str(arena, name, &field->name, err));
    field->never_null = yyjson_is_false(json_get(item, STR("nullable")));
    const Str type = json_str(json_get(item, STR("type")));
    if (type.data != NULL)
        TRY(arena_copy_str(arena, type, &field->type, err));
    field->duck = duck_type(field->type);
    // Its files could not be written anew without losing something.
    return field->duck != NULL ||
           error_set(err, ERROR_JOB,
                     "column '" STR_FMT "' has a type that pawl does not write: name another table",
                     STR_ARG(name));
}

static bool parse(Str json, Arena *arena, yyjson_val **ret_fields, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, "schemaString", arena, &doc, err));
    *ret_fields = json_get(yyjson_doc_get_root(doc), STR("fields"));
    if (!yyjson_is_arr(*ret_fields))
        return error_set(err, ERROR_DATA, "schemaString: it has no fields");
    return true;
}

bool delta_schema_read(Str json, Arena *arena, DeltaSchema *ret_schema, Error *err)
{
    yyjson_val *fields = NULL;
    TRY(parse(json, arena, &fields, err));
    DeltaSchema schema = {0};
    schema.fields = arena_alloc_array(arena, yyjson_arr_size(fields) + 1, sizeof(DeltaField), err);
    TRY(schema.fields != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(fields, i, count, item)
    {
        TRY(read_field(item, arena, &schema.fields[i], err));
    }
    schema.count = count;
    *ret_schema = schema;
    return true;
}

const DeltaField *delta_schema_find(const DeltaSchema *schema, Str name)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (str_equal_ignoring_case(schema->fields[i].name, name))
            return &schema->fields[i];
    }
    return NULL;
}

// Without column mapping the name in the file is the column's own, and Spark refuses these in it.
static bool check_name(Str name, Error *err)
{
    const Str refused = STR(" ,;{}()\n\t=");
    for (size_t i = 0; i < name.size; i++) {
        if (str_find_char(refused, name.data[i]) < refused.size)
            return error_set(err, ERROR_JOB,
                             "column '" STR_FMT
                             "': a Delta table allows no blank and none of ,;{}()= "
                             "in a name",
                             STR_ARG(name));
    }
    return true;
}

static bool write_field(const Column *column, Buf *out, Error *err)
{
    char type[TYPE_BYTES];
    type_of(column, type);
    TRY(check_name(column->name, err));
    TRY(buf_append(out, STR("{\"name\":"), err) && json_write_str(column->name, out, err));
    TRY(buf_printf(out, err, ",\"type\":\"%s\",\"nullable\":true,\"metadata\":{", type));
    if (column->comment.size > 0)
        TRY(buf_append(out, STR("\"comment\":"), err) && json_write_str(column->comment, out, err));
    return buf_append(out, STR("}}"), err);
}

static bool check_type(const DeltaField *field, const Column *column, Error *err)
{
    char type[TYPE_BYTES];
    type_of(column, type);
    if (str_equal(field->type, str_from(type)))
        return true;
    return error_set(err, ERROR_JOB,
                     "column '" STR_FMT "' is %s there and %s in the contract: name another table, "
                     "or bring it to the new type",
                     STR_ARG(column->name), field->type.size > 0 ? field->type.data : "nested",
                     type);
}

bool delta_schema_check_nulls(const DeltaSchema *schema, const Column *columns, size_t count,
                              Error *err)
{
    for (size_t i = 0; i < schema->count; i++) {
        const DeltaField *field = &schema->fields[i];
        bool filled = !field->never_null;
        for (size_t k = 0; k < count && !filled; k++)
            filled = columns[k].required && str_equal_ignoring_case(columns[k].name, field->name);
        if (!filled)
            return error_set(err, ERROR_JOB,
                             "column '" STR_FMT "' is NOT NULL there and not a required one of the "
                             "contract: let it be null, or make it required in the contract",
                             STR_ARG(field->name));
    }
    return true;
}

bool delta_schema_extend(Str json, const Column *columns, size_t count, Arena *arena, Str *ret_json,
                         bool *ret_changed, Error *err)
{
    DeltaSchema standing = {0};
    yyjson_val *fields = NULL;
    if (json.size > 0)
        TRY(delta_schema_read(json, arena, &standing, err) && parse(json, arena, &fields, err));

    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_append(&text, STR("{\"type\":\"struct\",\"fields\":["), err));
    size_t i = 0;
    size_t total = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(fields, i, total, item)
    {
        TRY(i == 0 || buf_append_char(&text, ',', err));
        TRY(json_write(item, &text, err));
    }
    bool changed = json.size == 0;
    for (i = 0; i < count; i++) {
        const DeltaField *field = delta_schema_find(&standing, columns[i].name);
        if (field != NULL) {
            TRY(check_type(field, &columns[i], err));
            continue;
        }
        changed = true;
        TRY(total++ == 0 || buf_append_char(&text, ',', err));
        TRY(write_field(&columns[i], &text, err));
    }
    TRY(buf_append(&text, STR("]}"), err));
    if (changed)
        TRY(arena_copy_str(arena, buf_str(&text), ret_json, err));
    else
        *ret_json = json;
    *ret_changed = changed;
    return true;
}
