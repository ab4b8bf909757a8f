// Attributes of values, and the methods of dict, list and tuple.

#include "connector/machine.h"

// What Python has and templates have no use for: it is there, so that `x.encode` is not undefined,
// but calling it is an error that says so.
bool method_unsupported(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)ret_value;
    return error_set(err, ERROR_JOB, "a method of %s that is not supported",
                     value_type(arguments->self));
}

// --- dict and list

static bool dict_get(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value key = arguments->values[0];
    if (value_is_mapping(key) || value_type(key)[0] == 'l')
        return raise_type(machine, err, "unhashable type: '%s'", value_type(key));
    *ret_value = value_get_key(arguments->self, key);
    if (ret_value->kind == VALUE_UNDEFINED)
        *ret_value = arguments->given[1] ? arguments->values[1] : value_none();
    return true;
}

typedef enum View {
    VIEW_KEYS,
    VIEW_VALUES,
    VIEW_ITEMS,
} View;

static bool view(Machine *machine, const Arguments *arguments, View which, Value *ret_value,
                 Error *err)
{
    const size_t count = value_count(arguments->self);
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    ValueIter iter = value_iterate(arguments->self);
    ValuePair pair;
    for (size_t i = 0; value_next(&iter, &pair); i++) {
        TRY(machine_step(machine, err));
        items[i] = which == VIEW_KEYS ? pair.key : pair.value;
        if (which != VIEW_ITEMS)
            continue;
        Value *both = arena_alloc_array(machine->arena, 2, sizeof(*both), err);
        TRY(both != NULL);
        both[0] = pair.key;
        both[1] = pair.value;
        items[i] = (Value){.kind = VALUE_TUPLE, .list = {both, 2}};
    }
    *ret_value = value_list(items, count);
    return true;
}

static bool dict_keys(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return view(machine, arguments, VIEW_KEYS, ret_value, err);
}

static bool dict_values(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return view(machine, arguments, VIEW_VALUES, ret_value, err);
}

static bool dict_items(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return view(machine, arguments, VIEW_ITEMS, ret_value, err);
}

// Values never change, so a copy is the value itself.
static bool copy_method(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)err;
    *ret_value = arguments->self;
    return true;
}

static bool list_count(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    ValueIter iter = value_iterate(arguments->self);
    ValuePair pair;
    int64_t count = 0;
    while (value_next(&iter, &pair)) {
        TRY(machine_step(machine, err));
        count += value_equal(pair.value, arguments->values[0]) ? 1 : 0;
    }
    *ret_value = value_int(count);
    return true;
}

static bool list_index(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    ValueIter iter = value_iterate(arguments->self);
    ValuePair pair;
    for (int64_t i = 0; value_next(&iter, &pair); i++) {
        TRY(machine_step(machine, err));
        if (!value_equal(pair.value, arguments->values[0]))
            continue;
        *ret_value = value_int(i);
        return true;
    }
    return raise_value(machine, err, "the value is not in the list");
}

// clang-format off
static const Function dict_methods[] = {
    {"get", "key,default", 1, dict_get}, {"items", "", 0, dict_items},   {"keys", "", 0, dict_keys},
    {"values", "", 0, dict_values},      {"copy", "", 0, copy_method},   {"clear", "*", 0, method_unsupported},
    {"fromkeys", "*", 0, method_unsupported},   {"pop", "*", 0, method_unsupported},   {"popitem", "*", 0, method_unsupported},
    {"setdefault", "*", 0, method_unsupported}, {"update", "*", 0, method_unsupported},
    {NULL, NULL, 0, NULL},
};
static const Function list_methods[] = {
    {"count", "value", 1, list_count},  {"index", "value", 1, list_index}, {"copy", "", 0, copy_method},
    {"append", "*", 0, method_unsupported},    {"clear", "*", 0, method_unsupported},    {"extend", "*", 0, method_unsupported},
    {"insert", "*", 0, method_unsupported},    {"pop", "*", 0, method_unsupported},      {"remove", "*", 0, method_unsupported},
    {"reverse", "*", 0, method_unsupported},   {"sort", "*", 0, method_unsupported},
    {NULL, NULL, 0, NULL},
};
static const Function tuple_methods[] = {
    {"count", "value", 1, list_count},  {"index", "value", 1, list_index},
    {NULL, NULL, 0, NULL},
};
// clang-format on

static bool is_datetime(Value value)
{
    return value.kind == VALUE_DATETIME || value.kind == VALUE_DATE ||
           value.kind == VALUE_TIMEDELTA;
}

static const Function *method_of(Value value, Str name)
{
    if (value.kind == VALUE_STR)
        return str_method_find(name);
    if (value_is_mapping(value))
        return function_find(dict_methods, name);
    if (value.kind == VALUE_TUPLE)
        return function_find(tuple_methods, name);
    if (value_is_sequence(value) && value.kind != VALUE_GENERATOR)
        return function_find(list_methods, name);
    return is_datetime(value) ? datetime_method_find(value, name) : NULL;
}

// The attributes that an object has beside its members.
static bool object_attribute(const ValueObject *object, Str name, Value *ret_value)
{
    for (size_t i = 0; i < object->attribute_count; i++) {
        const ValuePair *pair = &object->attributes[i];
        if (pair->key.kind == VALUE_STR && str_equal(pair->key.text, name)) {
            *ret_value = pair->value;
            return true;
        }
    }
    return false;
}

static bool number_attribute(Value value, Str name, Value *ret_value)
{
    if (str_equal(name, STR("real")) ||
        (value.kind == VALUE_INT && str_equal(name, STR("numerator"))))
        *ret_value = value;
    else if (str_equal(name, STR("imag")))
        *ret_value = value.kind == VALUE_INT ? value_int(0) : value_float(0);
    else
        return false;
    return true;
}

bool attribute_find(Machine *machine, Value value, Str name, Value *ret_value, bool *ret_found,
                    Error *err)
{
    *ret_found = (value.kind == VALUE_OBJECT && object_attribute(value.object, name, ret_value)) ||
                 (is_datetime(value) && datetime_attribute(value, name, ret_value));
    if (!*ret_found && (value.kind == VALUE_INT || value.kind == VALUE_FLOAT))
        *ret_found = number_attribute(value, name, ret_value);
    if (*ret_found)
        return true;
    const Function *method = method_of(value, name);
    if (method == NULL)
        return true;
    Bound *bound = arena_alloc(machine->arena, sizeof(*bound), err);
    TRY(bound != NULL);
    *bound = (Bound){method, value};
    *ret_value = (Value){.kind = VALUE_FUNCTION, .function = bound};
    *ret_found = true;
    return true;
}
