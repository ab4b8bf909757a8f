#include "connector/machine.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static bool raise_as(Machine *machine, TemplateOutcome outcome, Error *err, const char *format,
                     va_list args) PRINTF_LIKE(4, 0);
static bool raise_as(Machine *machine, TemplateOutcome outcome, Error *err, const char *format,
                     va_list args)
{
    char message[200];
    (void)vsnprintf(message, sizeof(message), format, args);
    machine->raised = outcome;
    return error_set(err, ERROR_DATA, "%s", message);
}

bool raise_type(Machine *machine, Error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)raise_as(machine, TEMPLATE_TYPE_ERROR, err, format, args);
    va_end(args);
    return false;
}

bool raise_undefined(Machine *machine, Error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)raise_as(machine, TEMPLATE_UNDEFINED, err, format, args);
    va_end(args);
    return false;
}

bool raise_value(Machine *machine, Error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)raise_as(machine, TEMPLATE_OK, err, format, args);
    va_end(args);
    return false;
}

bool machine_step(Machine *machine, Error *err)
{
    if (++machine->steps > MACHINE_STEPS_MAX)
        return error_set(err, ERROR_LIMIT, "takes more than %d steps", (int)MACHINE_STEPS_MAX);
    return true;
}

// --- arguments

// The index of parameter `name` in "a,b,c", or SIZE_MAX.
static size_t parameter_index(const char *parameters, Str name)
{
    Str rest = str_from(parameters);
    for (size_t i = 0; rest.size > 0; i++) {
        if (str_equal(str_split_next(&rest, ','), name))
            return i;
    }
    return SIZE_MAX;
}

static size_t parameter_count(const char *parameters)
{
    size_t count = parameters[0] == '\0' ? 0 : 1;
    for (; *parameters != '\0'; parameters++)
        count += *parameters == ',';
    return count;
}

static bool bind(Machine *machine, const Function *function, Arguments *arguments, Error *err)
{
    const size_t most = parameter_count(function->parameters);
    assert(most <= ARGUMENTS_MAX);
    if (arguments->count > most)
        return raise_type(machine, err, "%s() takes at most %zu arguments, %zu were given",
                          function->name, most, arguments->count);
    for (size_t i = 0; i < arguments->count; i++) {
        arguments->values[i] = arguments->items[i];
        arguments->given[i] = true;
    }
    for (size_t i = 0; i < arguments->named_count; i++) {
        const Local *named = &arguments->named[i];
        const size_t index = parameter_index(function->parameters, named->name);
        if (index == SIZE_MAX || arguments->given[index])
            return raise_type(machine, err, "%s() has no free argument '" STR_FMT "'",
                              function->name, STR_ARG(named->name));
        arguments->values[index] = named->value;
        arguments->given[index] = true;
    }
    for (size_t i = 0; i < function->required; i++) {
        if (!arguments->given[i])
            return raise_type(machine, err, "%s() misses an argument", function->name);
    }
    return true;
}

bool function_call(Machine *machine, const Function *function, Arguments *arguments,
                   Value *ret_value, Error *err)
{
    if (function->parameters[0] != '*')
        TRY(bind(machine, function, arguments, err));
    return function->run(machine, arguments, ret_value, err);
}

// --- conversions

bool machine_take(Machine *machine, const Buf *buf, Value *ret_value, Error *err)
{
    Str text = {0};
    TRY(arena_copy_str(machine->arena, buf_str(buf), &text, err));
    *ret_value = value_str(text);
    return true;
}

bool machine_str(Machine *machine, Value value, Str *ret_text, Error *err)
{
    if (value.kind == VALUE_STR) {
        *ret_text = value.text;
        return true;
    }
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    return value_write_str(value, &text, err) &&
           arena_copy_str(machine->arena, buf_str(&text), ret_text, err);
}

static bool characters(Machine *machine, Str text, const Value **ret_items, size_t *ret_count,
                       Error *err)
{
    const size_t count = value_count(value_str(text));
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t from = at;
        TRY(machine_step(machine, err));
        for (at++; at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80;)
            at++;
        items[i] = value_str(str_slice(text, from, at - from));
    }
    *ret_items = items;
    *ret_count = count;
    return true;
}

bool machine_items(Machine *machine, Value value, const Value **ret_items, size_t *ret_count,
                   Error *err)
{
    if (value.kind == VALUE_STR)
        return characters(machine, value.text, ret_items, ret_count, err);
    if (value.kind == VALUE_UNDEFINED) {
        *ret_count = 0;
        return true;
    }
    const bool mapping = value_is_mapping(value);
    if (!mapping && !value_is_sequence(value))
        return raise_type(machine, err, "'%s' object is not iterable", value_type(value));
    if (!mapping && value.kind != VALUE_JSON) {
        *ret_items = value.list.items;
        *ret_count = value.list.count;
        return true;
    }
    const size_t count = value_count(value);
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(items != NULL);
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (size_t i = 0; value_next(&iter, &pair); i++) {
        TRY(machine_step(machine, err));
        items[i] = mapping ? pair.key : pair.value;
    }
    *ret_items = items;
    *ret_count = count;
    return true;
}
