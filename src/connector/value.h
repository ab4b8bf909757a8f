// Value: what a manifest's expressions compute with: Python's None, bool, int, float, str, list,
// dict, tuple, and the few extras that templates need. Immutable once made; memory belongs to an
// arena.
//
// JSON is wrapped, not copied: a value over a page's document costs nothing until somebody looks
// inside.
#pragma once

#include "base/json.h"

typedef enum ValueKind {
    VALUE_UNDEFINED, // Jinja's Undefined: prints as "", is false, most operations on it fail
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,    // 64 bits; a wider literal becomes VALUE_BIGINT
    VALUE_BIGINT, // decimal text; compares and prints, does not compute
    VALUE_FLOAT,
    VALUE_STR,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,     // keeps insertion order; keys are values (mostly strings)
    VALUE_JSON,     // a yyjson object or array, read through the same calls as list and dict
    VALUE_DATETIME, // microseconds and offset (or naive)
    VALUE_DATE,
    VALUE_TIMEDELTA,
    VALUE_FUNCTION, // bound method or macro; only ever called
} ValueKind;

typedef struct Value Value;
typedef struct ValuePair ValuePair;

struct Value {
    ValueKind kind;
    union {
        bool boolean;
        int64_t integer; // int; microseconds of datetime, timedelta; days of date
        double number;
        Str text;         // str, bigint
        yyjson_val *json; // VALUE_JSON
        struct {
            const Value *items;
            size_t count;
        } list; // list, tuple
        struct {
            const ValuePair *pairs;
            size_t count;
        } dict;
        const void *function;
    };
    int32_t offset_seconds; // datetime: east of UTC; VALUE_NAIVE = none
};

struct ValuePair {
    Value key;
    Value value;
};

#define VALUE_NAIVE INT32_MIN

Value value_none(void);
Value value_undefined(void);
Value value_bool(bool boolean);
Value value_int(int64_t integer);
Value value_float(double number);
Value value_str(Str text);
Value value_json(yyjson_val *json); // scalars become their own kind

bool value_is_true(Value value); // Python's truth
bool value_equal(Value a,
                 Value b); // Python's ==: 1 == 1.0 == True, lists by items, dicts by members

size_t value_count(Value value); // len() of str (code points), list, tuple, dict, JSON; 0 otherwise
Value value_item(Value value, size_t index);     // of list, tuple or JSON array; undefined outside
Value value_get(Value value, Str key);           // of dict or JSON object; undefined when missing
ValuePair value_pair(Value value, size_t index); // of dict or JSON object, in order

// str(value) and repr(value) as Python 3 prints them ({'a': True, 'b': None}, 1.0, 1e+16, 'it\'s'
// rules).
bool value_write_str(Value value, Buf *out, Error *err) MUST_USE;
bool value_write_repr(Value value, Buf *out, Error *err) MUST_USE;

// json.dumps-like JSON. ERROR_DATA for what JSON cannot hold.
bool value_write_json(Value value, Buf *out, Error *err) MUST_USE;

// Reads text as Python's ast.literal_eval does ('123' -> 123, '[1, "a"]', "{'a': None}", '1_000',
// '0x10', '1,2'). False when it is not a literal: the caller keeps the text.
bool value_parse_literal(Str text, Arena *arena, Value *ret_value, Error *err) MUST_USE;

// A deep copy into `arena`; JSON becomes list and dict.
bool value_copy(Value value, Arena *arena, Value *ret_copy, Error *err) MUST_USE;
