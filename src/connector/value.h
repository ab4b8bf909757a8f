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
    VALUE_BIGINT, // beyond 64 bits: compares and prints, does not compute
    VALUE_FLOAT,
    VALUE_STR,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,     // keeps insertion order; keys are values (mostly strings)
    VALUE_JSON,     // a yyjson object or array, read through the same calls as list and dict
    VALUE_OBJECT,   // a dict with attributes beside its members: stream_slice, last_record
    VALUE_DATETIME, // microseconds and offset (or naive)
    VALUE_DATE,
    VALUE_TIMEDELTA,
    VALUE_GENERATOR, // what map() and its kin give: a list that is always true and has no length
    VALUE_FUNCTION,  // bound method or macro; only ever called
} ValueKind;

typedef struct Value Value;
typedef struct ValuePair ValuePair;
typedef struct ValueObject ValueObject;

struct Value {
    ValueKind kind;
    union {
        bool boolean;
        int64_t integer; // int; days of date; microseconds of timedelta and of datetime (UTC, or
                         // local where it is naive)
        struct {
            double number;    // float
            yyjson_val *sent; // float: the raw JSON it was read from, NULL where `number` says all
        };
        Str text;         // str; bigint: its digits, or {NULL, n} for an n that a uint64_t can hold
        yyjson_val *json; // VALUE_JSON
        struct {
            const Value *items;
            size_t count;
        } list; // list, tuple, generator
        struct {
            const ValuePair *pairs;
            size_t count;
        } dict;
        const ValueObject *object;
        const void *function;
    };
    int32_t offset_seconds; // datetime: east of UTC, VALUE_NAIVE = none; timedelta: months, since
                            // isodate keeps those apart
};

struct ValuePair {
    Value key;
    Value value;
};

struct ValueObject {
    Value members;               // dict or JSON object: what ['name'] sees first
    const ValuePair *attributes; // what .name sees first: partition, cursor_slice, extra_fields
    size_t attribute_count;
};

#define VALUE_NAIVE INT32_MIN

enum { VALUE_FLOAT_BYTES = 32 };

Value value_none(void);
Value value_undefined(void);
Value value_bool(bool boolean);
Value value_int(int64_t integer);
Value value_float(double number);
Value value_str(Str text);
Value value_list(const Value *items, size_t count);
Value value_dict(const ValuePair *pairs, size_t count);
Value value_object(const ValueObject *object);
Value value_json(yyjson_val *json); // scalars become their own kind; NULL is undefined

const char *value_type(Value value); // as Python names it: "str", "dict", "NoneType"
bool value_is_mapping(Value value);  // dict, JSON object, object
bool value_is_sequence(Value value); // list, tuple, generator, JSON array

bool value_is_true(Value value); // Python's truth
// Python's ==: 1 == 1.0 == True, lists by items, dicts by members.
bool value_equal(Value a, Value b);

size_t value_count(Value value); // len() of str (code points), sequence, mapping; 0 otherwise
Value value_item(Value value, size_t index);     // of a sequence; undefined outside
Value value_get(Value value, Str key);           // of a mapping; undefined when missing
Value value_get_key(Value value, Value key);     // the same with a key of any kind (1 == 1.0)
ValuePair value_pair(Value value, size_t index); // of a mapping, in order; costs O(index) for JSON

// Goes through a mapping's pairs or a sequence's items (then `pair.key` is undefined), each in
// O(1).
typedef struct ValueIter {
    Value value;
    size_t index;
    yyjson_obj_iter object;
    yyjson_arr_iter array;
} ValueIter;
ValueIter value_iterate(Value value);
bool value_next(ValueIter *iter, ValuePair *ret_pair); // false at the end

// str(value) and repr(value) as Python 3 prints them ({'a': True, 'b': None}, 1.0, 1e+16, 'it\'s'
// rules).
bool value_write_str(Value value, Buf *out, Error *err) MUST_USE;
bool value_write_repr(Value value, Buf *out, Error *err) MUST_USE;

// isoformat() of a datetime: "2024-03-01T12:34:56.789123+00:00", microseconds only where there are.
bool value_write_iso(Value datetime, char separator, Buf *out, Error *err) MUST_USE;

// repr() of a float: the shortest text that reads back the same, at least one decimal.
Str value_format_float(double number, char text[VALUE_FLOAT_BYTES]);

// Byte for byte what Python's json.dumps() writes: ", " and ": ", non-ASCII escaped. ERROR_DATA for
// what JSON cannot hold.
bool value_write_json(Value value, Buf *out, Error *err) MUST_USE;

// Reads text as Python's ast.literal_eval does ('123' -> 123, '[1, "a"]', "{'a': None}", '1_000',
// '0x10', '1,2'). False when it is not a literal: then `err` is untouched and the caller keeps the
// text; only when memory ran out `err` says so.
bool value_parse_literal(Str text, Arena *arena, Value *ret_value, Error *err) MUST_USE;

// A deep copy into `arena`; JSON becomes list and dict.
bool value_copy(Value value, Arena *arena, Value *ret_copy, Error *err) MUST_USE;
