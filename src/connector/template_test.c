// Tests: "x is defined", "x is divisibleby 3", and those that select() names.

#include "connector/machine.h"
#include "connector/text_case.h"

#include <math.h>

#define KIND_TEST(name, condition)                                                               \
    static bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                            \
        (void)machine;                                                                           \
        (void)err;                                                                               \
        const Value self = arguments->self;                                                      \
        *ret_value = value_bool(condition);                                                      \
        return true;                                                                             \
    }

static bool is_integer(Value value)
{
    return value.kind == VALUE_INT || value.kind == VALUE_BIGINT;
}

static bool is_text_case(Value value, bool upper)
{
    bool right = false;
    for (size_t at = 0; value.kind == VALUE_STR && at < value.text.size;) {
        const uint32_t code = code_next(value.text, &at);
        if (code_upper(code) == code_lower(code))
            continue;
        if (code != (upper ? code_upper(code) : code_lower(code)))
            return false;
        right = true;
    }
    return right;
}

KIND_TEST(test_defined, self.kind != VALUE_UNDEFINED)
KIND_TEST(test_undefined, self.kind == VALUE_UNDEFINED)
KIND_TEST(test_none, self.kind == VALUE_NONE)
KIND_TEST(test_boolean, self.kind == VALUE_BOOL)
KIND_TEST(test_true, self.kind == VALUE_BOOL && self.boolean)
KIND_TEST(test_false, self.kind == VALUE_BOOL && !self.boolean)
KIND_TEST(test_integer, is_integer(self))
KIND_TEST(test_float, self.kind == VALUE_FLOAT)
KIND_TEST(test_number, is_integer(self) || self.kind == VALUE_FLOAT || self.kind == VALUE_BOOL)
KIND_TEST(test_string, self.kind == VALUE_STR)
KIND_TEST(test_mapping, value_is_mapping(self))
KIND_TEST(test_sequence, self.kind == VALUE_STR || self.kind == VALUE_UNDEFINED ||
                             value_is_mapping(self) ||
                             (value_is_sequence(self) && self.kind != VALUE_GENERATOR))
KIND_TEST(test_iterable, self.kind == VALUE_STR || self.kind == VALUE_UNDEFINED ||
                             value_is_mapping(self) || value_is_sequence(self))
KIND_TEST(test_callable, self.kind == VALUE_FUNCTION || self.kind == VALUE_UNDEFINED)
KIND_TEST(test_lower, is_text_case(self, false))
KIND_TEST(test_upper, is_text_case(self, true))
KIND_TEST(test_escaped, false && self.kind == VALUE_STR)
KIND_TEST(test_filter, self.kind == VALUE_STR && filter_find(self.text) != NULL)
KIND_TEST(test_test, self.kind == VALUE_STR && test_find(self.text) != NULL)

// Identity, which for our values is the same kind and content; lists are never the same.
KIND_TEST(test_sameas, self.kind == arguments->values[0].kind && !value_is_sequence(self) &&
                           !value_is_mapping(self) && value_equal(self, arguments->values[0]))

static bool remainder_is(Machine *machine, Value value, Value by, int64_t wanted, Value *ret_value,
                         Error *err)
{
    TRY(operator_apply(machine, OPERATOR_REMAINDER, value, by, ret_value, err));
    *ret_value = value_bool(value_equal(*ret_value, value_int(wanted)));
    return true;
}

static bool test_odd(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return remainder_is(machine, arguments->self, value_int(2), 1, ret_value, err);
}

static bool test_even(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return remainder_is(machine, arguments->self, value_int(2), 0, ret_value, err);
}

static bool test_divisibleby(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    return remainder_is(machine, arguments->self, arguments->values[0], 0, ret_value, err);
}

static bool compare(Machine *machine, const Arguments *arguments, Operator op, Value *ret_value,
                    Error *err)
{
    bool result = false;
    TRY(operator_compare(machine, op, arguments->self, arguments->values[0], &result, err));
    *ret_value = value_bool(result);
    return true;
}

#define COMPARE_TEST(name, op)                                                                   \
    static bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                            \
        return compare(machine, arguments, op, ret_value, err);                                  \
    }
COMPARE_TEST(test_eq, OPERATOR_EQUAL)
COMPARE_TEST(test_ne, OPERATOR_NOT_EQUAL)
COMPARE_TEST(test_lt, OPERATOR_LESS)
COMPARE_TEST(test_le, OPERATOR_LESS_EQUAL)
COMPARE_TEST(test_gt, OPERATOR_GREATER)
COMPARE_TEST(test_ge, OPERATOR_GREATER_EQUAL)
COMPARE_TEST(test_in, OPERATOR_IN)

// clang-format off
static const Function tests[] = {
    {"boolean", "", 0, test_boolean},       {"callable", "", 0, test_callable}, {"defined", "", 0, test_defined},
    {"divisibleby", "num", 1, test_divisibleby}, {"escaped", "", 0, test_escaped}, {"even", "", 0, test_even},
    {"false", "", 0, test_false},           {"filter", "", 0, test_filter},     {"float", "", 0, test_float},
    {"in", "seq", 1, test_in},              {"integer", "", 0, test_integer},   {"iterable", "", 0, test_iterable},
    {"lower", "", 0, test_lower},           {"mapping", "", 0, test_mapping},   {"none", "", 0, test_none},
    {"number", "", 0, test_number},         {"odd", "", 0, test_odd},           {"sameas", "other", 1, test_sameas},
    {"sequence", "", 0, test_sequence},     {"string", "", 0, test_string},     {"test", "", 0, test_test},
    {"true", "", 0, test_true},             {"undefined", "", 0, test_undefined}, {"upper", "", 0, test_upper},
    {"==", "b", 1, test_eq}, {"eq", "b", 1, test_eq}, {"equalto", "b", 1, test_eq},
    {"!=", "b", 1, test_ne}, {"ne", "b", 1, test_ne},
    {"<", "b", 1, test_lt},  {"lt", "b", 1, test_lt}, {"lessthan", "b", 1, test_lt},
    {"<=", "b", 1, test_le}, {"le", "b", 1, test_le},
    {">", "b", 1, test_gt},  {"gt", "b", 1, test_gt}, {"greaterthan", "b", 1, test_gt},
    {">=", "b", 1, test_ge}, {"ge", "b", 1, test_ge},
    {NULL, NULL, 0, NULL},
};
// clang-format on

const Function *test_find(Str name)
{
    return function_find(tests, name);
}
