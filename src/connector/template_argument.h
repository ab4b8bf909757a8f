// Arguments: how filters and methods read what they were given. Python's own functions insist on a
// type, and say so; Jinja's filters take what comes.
#pragma once

#include "connector/machine.h"

// None stands for an argument that was left out.
static inline bool argument_is_missing(const Arguments *arguments, size_t index)
{
    return !arguments->given[index] || arguments->values[index].kind == VALUE_NONE;
}

static inline bool argument_is_true(const Arguments *arguments, size_t index)
{
    return arguments->given[index] && value_is_true(arguments->values[index]);
}

// A str, or a TypeError.
static inline bool argument_str(Machine *machine, const Arguments *arguments, size_t index,
                                Str *ret_text, Error *err)
{
    const Value value = arguments->values[index];
    if (value.kind != VALUE_STR)
        return raise_type(machine, err, "argument %zu must be str, not %s", index + 1,
                          value_type(value));
    *ret_text = value.text;
    return true;
}

// str() of it, or `fallback` where it is missing.
static inline bool argument_as_str(Machine *machine, const Arguments *arguments, size_t index,
                                   Str fallback, Str *ret_text, Error *err)
{
    *ret_text = fallback;
    return argument_is_missing(arguments, index) ||
           machine_str(machine, arguments->values[index], ret_text, err);
}

// An integer, `fallback` where it is missing, or a TypeError.
static inline bool argument_int(Machine *machine, const Arguments *arguments, size_t index,
                                int64_t fallback, int64_t *ret_integer, Error *err)
{
    const Value value = arguments->values[index];
    *ret_integer = fallback;
    if (argument_is_missing(arguments, index))
        return true;
    if (value.kind != VALUE_INT && value.kind != VALUE_BOOL)
        return raise_type(machine, err, "'%s' object cannot be interpreted as an integer",
                          value_type(value));
    *ret_integer = value.kind == VALUE_BOOL ? value.boolean : value.integer;
    return true;
}

// An integer; anything else counts as missing.
static inline int64_t argument_as_int(const Arguments *arguments, size_t index, int64_t fallback)
{
    const bool is_int = arguments->given[index] && arguments->values[index].kind == VALUE_INT;
    return is_int ? arguments->values[index].integer : fallback;
}
