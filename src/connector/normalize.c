#include "connector/engine.h"

#include <math.h>

// Casts values to the types of the stream's JSON schema, as the reference's default normalisation
// does: what cannot be cast stays as it is.

enum { SCHEMA_DEPTH_MAX = 64 };

typedef struct Casting {
    Arena *arena;
    Error *err;
} Casting;

static bool normalize(Casting *casting, const Node *schema, Value *value, size_t depth);

// The one type besides null that the schema names, or {NULL, 0} where it names none or several.
static Str target_type(const Node *schema, bool *ret_null)
{
    const Node *type = node_get(schema, STR("type"));
    *ret_null = false;
    if (type == NULL || type->kind != NODE_LIST)
        return node_text(type);
    Str target = {NULL, 0};
    size_t count = 0;
    for (size_t i = 0; i < type->count; i++) {
        Str name = node_text(type->items[i]);
        bool null = str_equal(name, STR("null")) ||
                    (node_is_null(type->items[i]) && type->items[i] != NULL);
        *ret_null = *ret_null || null;
        if (!null) {
            target = name;
            count++;
        }
    }
    return count == 1 ? target : (Str){NULL, 0};
}

static Str lower_trimmed(Str text, char buffer[8])
{
    text = str_trim(text);
    if (text.size >= 8)
        return text;
    for (size_t i = 0; i < text.size; i++)
        buffer[i] =
            (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] | 32 : text.data[i]);
    return (Str){buffer, text.size};
}

static void cast_bool(Value *value)
{
    static const char *const words[2][6] = {{"n", "no", "f", "false", "off", "0"},
                                            {"y", "yes", "t", "true", "on", "1"}};
    if (value->kind != VALUE_STR) {
        *value = value_bool(value_is_true(*value));
        return;
    }
    char buffer[8];
    Str text = lower_trimmed(value->text, buffer);
    for (size_t i = 0; i < 12; i++) {
        if (str_equal(text, str_from(words[i / 6][i % 6]))) {
            *value = value_bool(i >= 6);
            return;
        }
    }
}

static void cast_number(Value *value)
{
    double number = 0;
    if (value->kind == VALUE_INT)
        *value = value_float((double)value->integer);
    else if (value->kind == VALUE_BOOL)
        *value = value_float(value->boolean ? 1 : 0);
    else if ((value->kind == VALUE_STR || value->kind == VALUE_BIGINT) &&
             str_to_double(str_trim(value->text), &number) && isfinite(number))
        *value = value_float(number);
}

static void cast_integer(Value *value)
{
    int64_t number = 0;
    if (value->kind == VALUE_FLOAT && fabs(value->number) < 9e18)
        *value = value_int((int64_t)value->number);
    else if (value->kind == VALUE_BOOL)
        *value = value_int(value->boolean ? 1 : 0);
    else if (value->kind == VALUE_STR && str_to_int64(str_trim(value->text), &number))
        *value = value_int(number);
}

static bool is_simple(Value value)
{
    return value.kind == VALUE_STR || value.kind == VALUE_INT || value.kind == VALUE_FLOAT ||
           value.kind == VALUE_BOOL || value.kind == VALUE_NONE || value.kind == VALUE_BIGINT;
}

// A lone value becomes a list of one where the schema wants a list of simple values.
static bool cast_array(Casting *casting, const Node *schema, Value *value)
{
    const Node *types = node_get(node_get(schema, STR("items")), STR("type"));
    if (!is_simple(*value) || (types != NULL && types->kind != NODE_LIST))
        return true;
    for (size_t i = 0; types != NULL && i < types->count; i++) {
        Str name = node_text(types->items[i]);
        if (str_equal(name, STR("object")) || str_equal(name, STR("array")))
            return true;
    }
    Value *items = arena_alloc(casting->arena, sizeof *items, casting->err);
    TRY(items != NULL);
    *items = *value;
    *value = (Value){.kind = VALUE_LIST, .list = {items, 1}};
    return true;
}

static bool cast(Casting *casting, const Node *schema, Value *value)
{
    bool null = false;
    Str type = target_type(schema, &null);
    if (value->kind == VALUE_NONE && (null || str_equal(type, STR("null"))))
        return true;
    if (str_equal(type, STR("string")) && value->kind != VALUE_STR) {
        Str text = {0};
        TRY(value_text(*value, casting->arena, &text, casting->err));
        *value = value_str(text);
    } else if (str_equal(type, STR("number"))) {
        cast_number(value);
    } else if (str_equal(type, STR("integer"))) {
        cast_integer(value);
    } else if (str_equal(type, STR("boolean"))) {
        cast_bool(value);
    } else if (str_equal(type, STR("array"))) {
        return cast_array(casting, schema, value);
    }
    return true;
}

static bool is_dict(Value value)
{
    return value.kind == VALUE_DICT || (value.kind == VALUE_JSON && yyjson_is_obj(value.json));
}

static bool is_list(Value value)
{
    return value.kind == VALUE_LIST || (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
}

static bool normalize_members(Casting *casting, const Node *properties, Value *value, size_t depth)
{
    size_t count = value_count(*value);
    ValuePair *pairs = arena_alloc_array(casting->arena, count + 1, sizeof *pairs, casting->err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < count; i++) {
        pairs[i] = value_pair(*value, i);
        const Node *schema =
            pairs[i].key.kind == VALUE_STR ? node_get(properties, pairs[i].key.text) : NULL;
        if (schema == NULL || schema->kind != NODE_MAP)
            continue;
        TRY(cast(casting, schema, &pairs[i].value));
        TRY(normalize(casting, schema, &pairs[i].value, depth + 1));
    }
    *value = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}

static bool normalize_items(Casting *casting, const Node *schema, Value *value, size_t depth)
{
    size_t count = value_count(*value);
    Value *items = arena_alloc_array(casting->arena, count + 1, sizeof *items, casting->err);
    TRY(items != NULL);
    for (size_t i = 0; i < count; i++) {
        items[i] = value_item(*value, i);
        TRY(cast(casting, schema, &items[i]));
        TRY(normalize(casting, schema, &items[i], depth + 1));
    }
    *value = (Value){.kind = VALUE_LIST, .list = {items, count}};
    return true;
}

// What lies below a value that was cast already.
static bool normalize(Casting *casting, const Node *schema, Value *value, size_t depth)
{
    if (depth > SCHEMA_DEPTH_MAX)
        return true;
    const Node *properties = node_get(schema, STR("properties"));
    const Node *items = node_get(schema, STR("items"));
    if (properties != NULL && properties->kind == NODE_MAP && is_dict(*value))
        return normalize_members(casting, properties, value, depth);
    if (items != NULL && items->kind == NODE_MAP && is_list(*value))
        return normalize_items(casting, items, value, depth);
    return true;
}

bool normalize_record(const Node *schema, Value *record, Arena *arena, Error *err)
{
    Casting casting = {.arena = arena, .err = err};
    return normalize(&casting, schema, record, 0);
}
