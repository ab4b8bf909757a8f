// Machine: what evaluates a template: the state of one evaluation, and how filters, tests, methods
// and macros are called.
#pragma once

#include "connector/template_node.h"

enum {
    MACHINE_STEPS_MAX = 1000 * 1000,      // terms evaluated and items visited in one evaluation
    MACHINE_BYTES_MAX = 16 * 1024 * 1024, // of one text
    MACHINE_LOCALS_MAX = 256,             // variables set by a template at one time
    EVAL_DEPTH_MAX = 400,                 // of terms in each other
    ARGUMENTS_MAX = 8,                    // of a function with named parameters
};

typedef struct Local {
    Str name;
    Value value;
} Local;

typedef struct Machine {
    const Template *template;
    const Scope *scope;
    Arena *arena;
    Buf *out; // where statements print
    Local *locals;
    size_t local_count;
    size_t frame; // first local of the innermost loop body
    size_t steps;
    size_t depth;
    TemplateOutcome raised; // why the evaluation stopped, where a default can stand in
} Machine;

// Python's exceptions. All return false. TypeError and UndefinedError are soft: the caller of the
// template has a default for them; the rest (ValueError, KeyError, ...) ends the sync.
bool raise_type(Machine *machine, Error *err, const char *format, ...) PRINTF_LIKE(3, 4);
bool raise_undefined(Machine *machine, Error *err, const char *format, ...) PRINTF_LIKE(3, 4);
bool raise_value(Machine *machine, Error *err, const char *format, ...) PRINTF_LIKE(3, 4);

// The scope's value of a name; stream_interval and stream_partition are stream_slice.
bool scope_find(const Scope *scope, Str name, Value *ret_value);

// One unit of work. ERROR_LIMIT when an evaluation takes too many.
bool machine_step(Machine *machine, Error *err) MUST_USE;

// --- functions

typedef struct Arguments {
    Value self;                  // what a filter, test or method works on
    Value values[ARGUMENTS_MAX]; // by the order of `parameters`
    bool given[ARGUMENTS_MAX];
    const Value *items; // positional ones as they came, for functions with any number
    size_t count;
    const Local *named; // keywords as they came, for functions that take any
    size_t named_count;
} Arguments;

struct Function {
    const char *name;
    const char *parameters; // "start,stop": those beyond `required` are optional; "*" = any number
    size_t required;
    bool (*run)(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err);
};

// A VALUE_FUNCTION points at one of these.
typedef struct Bound {
    const Function *function;
    Value self;
} Bound;

// Binds arguments, as they came, to parameters (a TypeError when they do not fit) and runs the
// function.
bool function_call(Machine *machine, const Function *function, Arguments *arguments,
                   Value *ret_value, Error *err) MUST_USE;

// The function of that name in a table that ends with {NULL}; NULL when there is none.
static inline const Function *function_find(const Function *table, Str name)
{
    for (; table->name != NULL; table++) {
        if (str_equal(str_from(table->name), name))
            return table;
    }
    return NULL;
}

const Function *filter_find(Str name); // NULL when there is none
const Function *test_find(Str name);
const Function *macro_find(Str name);

// value.name: a method, an attribute, or undefined. *ret_found = false when it has none of that
// name.
bool attribute_find(Machine *machine, Value value, Str name, Value *ret_value, bool *ret_found,
                    Error *err) MUST_USE;
const Function *str_method_find(Str name);
bool method_unsupported(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err);

// --- operations that several of them share

bool operator_apply(Machine *machine, Operator op, Value left, Value right, Value *ret_value,
                    Error *err) MUST_USE;
bool operator_compare(Machine *machine, Operator op, Value left, Value right, bool *ret_holds,
                      Error *err) MUST_USE;
// Jinja's environment.getattr() and getitem().
bool operator_attribute(Machine *machine, Value value, Str name, Value *ret_value,
                        Error *err) MUST_USE;
bool operator_item(Machine *machine, Value value, Value key, Value *ret_value, Error *err) MUST_USE;
bool operator_slice(Machine *machine, Value value, const Value bounds[3], Value *ret_value,
                    Error *err) MUST_USE;

// list(value): the items of a sequence, keys of a mapping, characters of a str. A TypeError for the
// rest.
bool machine_items(Machine *machine, Value value, const Value **ret_items, size_t *ret_count,
                   Error *err) MUST_USE;

// str(value) in the arena.
bool machine_str(Machine *machine, Value value, Str *ret_text, Error *err) MUST_USE;
// The bytes of `buf` as a str value in the arena.
bool machine_take(Machine *machine, const Buf *buf, Value *ret_value, Error *err) MUST_USE;

// '%d items' % value, and '{} items'.format(...).
bool format_percent(Machine *machine, Str format, Value value, Value *ret_value,
                    Error *err) MUST_USE;
bool format_braces(Machine *machine, Str format, const Arguments *arguments, Value *ret_value,
                   Error *err) MUST_USE;

// Dates.
bool datetime_strftime(Machine *machine, Value value, Str format, Value *ret_value,
                       Error *err) MUST_USE;
// value + sign * delta, where value is a datetime or date and delta a timedelta.
bool datetime_shift(Machine *machine, Value value, Value delta, int sign, Value *ret_value,
                    Error *err) MUST_USE;
// dateutil's isoparse(), UTC where no zone is named. False (err untouched) when it is not ISO 8601.
bool datetime_parse_iso(Str text, Value *ret_value);
bool datetime_attribute(Value value, Str name, Value *ret_value);
const Function *datetime_method_find(Value value, Str name);
