#include "connector/value.h"

#include <assert.h>
#include <stdio.h>

Value value_none(void)
{
    return (Value){.kind = VALUE_NONE};
}

Value value_undefined(void)
{
    return (Value){.kind = VALUE_UNDEFINED};
}

Value value_bool(bool boolean)
{
    return (Value){.kind = VALUE_BOOL, .boolean = boolean};
}

Value value_int(int64_t integer)
{
    return (Value){.kind = VALUE_INT, .integer = integer};
}

Value value_float(double number)
{
    return (Value){.kind = VALUE_FLOAT, .number = number};
}

Value value_str(Str text)
{
    return (Value){.kind = VALUE_STR, .text = text};
}

Value value_list(const Value *items, size_t count)
{
    return (Value){.kind = VALUE_LIST, .list = {items, count}};
}

Value value_dict(const ValuePair *pairs, size_t count)
{
    return (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
}

Value value_object(const ValueObject *object)
{
    assert(value_is_mapping(object->members));

    return (Value){.kind = VALUE_OBJECT, .object = object};
}

// A number that was left as text: an integer beyond 64 bits, or a float with more digits than a
// double has (or beyond one, which Python reads as infinity).
static Value raw_number(yyjson_val *json)
{
    const Str text = {yyjson_get_raw(json), yyjson_get_len(json)};
    const bool integer = str_find_char(text, '.') == text.size &&
                         str_find_char(text, 'e') == text.size &&
                         str_find_char(text, 'E') == text.size;
    if (integer)
        return (Value){.kind = VALUE_BIGINT, .text = text};
    Value value = value_float(0);
    (void)json_to_double(json, &value.number); // it is a number
    value.sent = json;
    return value;
}

Value value_json(yyjson_val *json)
{
    switch (yyjson_get_type(json)) {
    case YYJSON_TYPE_NULL:
        return value_none();
    case YYJSON_TYPE_BOOL:
        return value_bool(yyjson_get_bool(json));
    case YYJSON_TYPE_STR:
        return value_str(json_str(json));
    case YYJSON_TYPE_RAW:
        return raw_number(json);
    case YYJSON_TYPE_NUM:
        if (yyjson_is_real(json))
            return value_float(yyjson_get_real(json));
        if (yyjson_is_uint(json) && yyjson_get_uint(json) > INT64_MAX)
            return (Value){.kind = VALUE_BIGINT, .text = {NULL, yyjson_get_uint(json)}};
        return value_int(yyjson_get_sint(json));
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        return (Value){.kind = VALUE_JSON, .json = json};
    default:
        return value_undefined();
    }
}

// What an object is apart from its attributes.
static Value plain(Value value)
{
    return value.kind == VALUE_OBJECT ? value.object->members : value;
}

const char *value_type(Value value)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
        return "Undefined";
    case VALUE_NONE:
        return "NoneType";
    case VALUE_BOOL:
        return "bool";
    case VALUE_INT:
    case VALUE_BIGINT:
        return "int";
    case VALUE_FLOAT:
        return "float";
    case VALUE_STR:
        return "str";
    case VALUE_LIST:
        return "list";
    case VALUE_TUPLE:
        return "tuple";
    case VALUE_DICT:
    case VALUE_OBJECT:
        return "dict";
    case VALUE_JSON:
        return yyjson_is_arr(value.json) ? "list" : "dict";
    case VALUE_DATETIME:
        return "datetime.datetime";
    case VALUE_DATE:
        return "datetime.date";
    case VALUE_TIMEDELTA:
        return "datetime.timedelta";
    case VALUE_GENERATOR:
        return "generator";
    case VALUE_FUNCTION:
        return "builtin_function_or_method";
    }
    return "object";
}

bool value_is_mapping(Value value)
{
    return value.kind == VALUE_DICT || value.kind == VALUE_OBJECT ||
           (value.kind == VALUE_JSON && yyjson_is_obj(value.json));
}

bool value_is_sequence(Value value)
{
    return value.kind == VALUE_LIST || value.kind == VALUE_TUPLE || value.kind == VALUE_GENERATOR ||
           (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
}

bool value_is_true(Value value)
{
    value = plain(value);
    switch (value.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return value.boolean;
    case VALUE_INT:
        return value.integer != 0;
    case VALUE_FLOAT:
        return value.number != 0;
    case VALUE_STR:
        return value.text.size > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return value.list.count > 0;
    case VALUE_DICT:
        return value.dict.count > 0;
    case VALUE_JSON:
        return yyjson_get_len(value.json) > 0;
    case VALUE_TIMEDELTA:
        return value.integer != 0 || value.offset_seconds != 0;
    case VALUE_OBJECT:
    case VALUE_BIGINT:
    case VALUE_DATETIME:
    case VALUE_DATE:
    case VALUE_GENERATOR:
    case VALUE_FUNCTION:
        break;
    }
    return true;
}

static size_t code_points(Str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}

size_t value_count(Value value)
{
    value = plain(value);
    switch (value.kind) {
    case VALUE_STR:
        return code_points(value.text);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_GENERATOR:
        return value.list.count;
    case VALUE_DICT:
        return value.dict.count;
    case VALUE_JSON:
        return yyjson_get_len(value.json);
    case VALUE_UNDEFINED:
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_BIGINT:
    case VALUE_FLOAT:
    case VALUE_OBJECT:
    case VALUE_DATETIME:
    case VALUE_DATE:
    case VALUE_TIMEDELTA:
    case VALUE_FUNCTION:
        break;
    }
    return 0;
}

Value value_item(Value value, size_t index)
{
    if (value.kind == VALUE_JSON)
        return value_json(yyjson_arr_get(value.json, index));
    if (!value_is_sequence(value) || index >= value.list.count)
        return value_undefined();
    return value.list.items[index];
}

Value value_get(Value value, Str key)
{
    value = plain(value);
    if (value.kind == VALUE_JSON)
        return value_json(json_get(value.json, key));
    if (value.kind != VALUE_DICT)
        return value_undefined();
    for (size_t i = 0; i < value.dict.count; i++) {
        const ValuePair *pair = &value.dict.pairs[i];
        if (pair->key.kind == VALUE_STR && str_equal(pair->key.text, key))
            return pair->value;
    }
    return value_undefined();
}

Value value_get_key(Value value, Value key)
{
    value = plain(value);
    if (key.kind == VALUE_STR)
        return value_get(value, key.text);
    if (value.kind != VALUE_DICT) // JSON has no other keys than strings
        return value_undefined();
    for (size_t i = 0; i < value.dict.count; i++) {
        if (value_equal(value.dict.pairs[i].key, key))
            return value.dict.pairs[i].value;
    }
    return value_undefined();
}

ValuePair value_pair(Value value, size_t index)
{
    ValuePair pair = {value_undefined(), value_undefined()};
    ValueIter iter = value_iterate(value);
    if (iter.value.kind == VALUE_DICT)
        iter.index = index; // no need to walk there
    else
        for (size_t i = 0; i < index && value_next(&iter, &pair); i++) {
        }
    if (!value_is_mapping(value) || !value_next(&iter, &pair))
        return (ValuePair){value_undefined(), value_undefined()};
    return pair;
}

ValueIter value_iterate(Value value)
{
    ValueIter iter = {.value = plain(value)};
    if (iter.value.kind == VALUE_JSON && yyjson_is_obj(iter.value.json))
        iter.object = yyjson_obj_iter_with(iter.value.json);
    else if (iter.value.kind == VALUE_JSON)
        iter.array = yyjson_arr_iter_with(iter.value.json);
    return iter;
}

bool value_next(ValueIter *iter, ValuePair *ret_pair)
{
    const Value value = iter->value;
    if (value.kind == VALUE_JSON && yyjson_is_obj(value.json)) {
        yyjson_val *key = yyjson_obj_iter_next(&iter->object);
        if (key == NULL)
            return false;
        *ret_pair = (ValuePair){value_json(key), value_json(yyjson_obj_iter_get_val(key))};
        return true;
    }
    if (value.kind == VALUE_JSON) {
        yyjson_val *item = yyjson_arr_iter_next(&iter->array);
        if (item == NULL)
            return false;
        *ret_pair = (ValuePair){value_undefined(), value_json(item)};
        return true;
    }
    const size_t index = iter->index++;
    if (value.kind == VALUE_DICT && index < value.dict.count) {
        *ret_pair = value.dict.pairs[index];
        return true;
    }
    if (!value_is_sequence(value) || index >= value.list.count)
        return false;
    *ret_pair = (ValuePair){value_undefined(), value.list.items[index]};
    return true;
}

// --- equality

static bool is_number(Value value)
{
    return value.kind == VALUE_BOOL || value.kind == VALUE_INT || value.kind == VALUE_FLOAT ||
           value.kind == VALUE_BIGINT;
}

static bool int_equals_float(int64_t integer, double number)
{
    // Beyond 2^53 the cast of the integer would round, so the float is cast instead.
    return number >= -9223372036854775808.0 && number < 9223372036854775808.0 &&
           (double)(int64_t)number == number && (int64_t)number == integer;
}

static Str bigint_digits(Value value, char buffer[24])
{
    if (value.text.data != NULL)
        return value.text;
    const int size = snprintf(buffer, 24, "%llu", (unsigned long long)value.text.size);
    return (Str){buffer, (size_t)size};
}

static bool numbers_equal(Value a, Value b)
{
    if (a.kind == VALUE_BOOL)
        a = value_int(a.boolean);
    if (b.kind == VALUE_BOOL)
        b = value_int(b.boolean);
    if (a.kind == VALUE_BIGINT || b.kind == VALUE_BIGINT) {
        char buffers[2][24];
        return a.kind == b.kind &&
               str_equal(bigint_digits(a, buffers[0]), bigint_digits(b, buffers[1]));
    }
    if (a.kind == VALUE_INT && b.kind == VALUE_INT)
        return a.integer == b.integer;
    if (a.kind == VALUE_FLOAT && b.kind == VALUE_FLOAT)
        return a.number == b.number;
    return a.kind == VALUE_INT ? int_equals_float(a.integer, b.number)
                               : int_equals_float(b.integer, a.number);
}

static bool sequences_equal(Value a, Value b)
{
    if (value_count(a) != value_count(b))
        return false;
    ValueIter left = value_iterate(a);
    ValueIter right = value_iterate(b);
    ValuePair x, y;
    while (value_next(&left, &x) && value_next(&right, &y)) {
        if (!value_equal(x.value, y.value))
            return false;
    }
    return true;
}

static bool mappings_equal(Value a, Value b)
{
    if (value_count(a) != value_count(b))
        return false;
    ValueIter left = value_iterate(a);
    ValuePair pair;
    while (value_next(&left, &pair)) {
        const Value other = value_get_key(b, pair.key);
        if (other.kind == VALUE_UNDEFINED || !value_equal(pair.value, other))
            return false;
    }
    return true;
}

bool value_equal(Value a, Value b)
{
    a = plain(a);
    b = plain(b);
    if (is_number(a) && is_number(b))
        return numbers_equal(a, b);
    if (value_is_mapping(a) && value_is_mapping(b))
        return mappings_equal(a, b);
    if (value_is_sequence(a) && value_is_sequence(b))
        return (a.kind == VALUE_TUPLE) == (b.kind == VALUE_TUPLE) && sequences_equal(a, b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case VALUE_STR:
        return str_equal(a.text, b.text);
    case VALUE_DATETIME:
        return a.integer == b.integer &&
               (a.offset_seconds == VALUE_NAIVE) == (b.offset_seconds == VALUE_NAIVE);
    case VALUE_TIMEDELTA:
        return a.integer == b.integer && a.offset_seconds == b.offset_seconds;
    case VALUE_DATE:
        return a.integer == b.integer;
    case VALUE_FUNCTION:
        return a.function == b.function;
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return true;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_BIGINT:
    case VALUE_FLOAT:
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
    case VALUE_JSON:
    case VALUE_OBJECT:
    case VALUE_GENERATOR:
        break;
    }
    return false;
}

// --- copies

static bool copy_items(Value value, Arena *arena, Value *ret_copy, Error *err)
{
    const size_t count = value_count(value);
    Value *items = arena_alloc_array(arena, count, sizeof(*items), err);
    TRY(items != NULL);
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (size_t i = 0; value_next(&iter, &pair); i++)
        TRY(value_copy(pair.value, arena, &items[i], err));
    *ret_copy = value_list(items, count);
    if (value.kind == VALUE_TUPLE || value.kind == VALUE_GENERATOR)
        ret_copy->kind = value.kind;
    return true;
}

static bool copy_pairs(Value value, Arena *arena, Value *ret_copy, Error *err)
{
    const size_t count = value_count(value);
    ValuePair *pairs = arena_alloc_array(arena, count, sizeof(*pairs), err);
    TRY(pairs != NULL);
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (size_t i = 0; value_next(&iter, &pair); i++)
        TRY(value_copy(pair.key, arena, &pairs[i].key, err) &&
            value_copy(pair.value, arena, &pairs[i].value, err));
    *ret_copy = value_dict(pairs, count);
    return true;
}

static bool copy_sent(yyjson_val *sent, Arena *arena, yyjson_val **ret_copy, Error *err)
{
    Str text = {yyjson_get_raw(sent), yyjson_get_len(sent)};
    yyjson_val *copy = arena_alloc(arena, sizeof(*copy), err);
    TRY(copy != NULL && arena_copy_str(arena, text, &text, err));
    copy->tag = YYJSON_TYPE_RAW;
    yyjson_set_raw(copy, text.data, text.size);
    *ret_copy = copy;
    return true;
}

bool value_copy(Value value, Arena *arena, Value *ret_copy, Error *err)
{
    if (value_is_mapping(value))
        return copy_pairs(value, arena, ret_copy, err);
    if (value_is_sequence(value))
        return copy_items(value, arena, ret_copy, err);
    Value copy = value;
    if (value.kind == VALUE_STR || (value.kind == VALUE_BIGINT && value.text.data != NULL))
        TRY(arena_copy_str(arena, value.text, &copy.text, err));
    if (value.kind == VALUE_FLOAT && value.sent != NULL)
        TRY(copy_sent(value.sent, arena, &copy.sent, err));
    *ret_copy = copy;
    return true;
}
