// Filters of numbers: abs, int, float, round.

#include "connector/template_filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool filter_abs(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value self = arguments->self;
    if (self.kind == VALUE_FLOAT) {
        *ret_value = value_float(fabs(self.number));
        return true;
    }
    if (self.kind != VALUE_INT && self.kind != VALUE_BOOL)
        return raise_type(machine, err, "bad operand type for abs(): '%s'", value_type(self));
    const int64_t number = self.kind == VALUE_BOOL ? self.boolean : self.integer;
    if (number == INT64_MIN)
        return error_set(err, ERROR_LIMIT, "an integer beyond 64 bits");
    *ret_value = value_int(number < 0 ? -number : number);
    return true;
}

// float() of a text: blanks around it, "inf", "nan", single '_' between digits.
static bool parse_float(Str text, double *ret_number)
{
    char clean[64];
    size_t size = 0;
    text = str_trim(text);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '_' && i > 0 && i + 1 < text.size && text.data[i - 1] != '_')
            continue;
        if (size == sizeof(clean))
            return false;
        clean[size++] = text.data[i];
    }
    const Str number = {clean, size};
    if (str_to_double(number, ret_number))
        return true;
    const bool minus = str_starts_with(number, STR("-"));
    const Str name =
        str_slice(number, minus || str_starts_with(number, STR("+")) ? 1 : 0, number.size);
    if (str_equal_ignoring_case(name, STR("nan")))
        *ret_number = (double)NAN;
    else if (str_equal_ignoring_case(name, STR("inf")) ||
             str_equal_ignoring_case(name, STR("infinity")))
        *ret_number = minus ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    return true;
}

// int() of a text in a base: blanks, a sign, single '_' between digits, the base's own prefix.
static bool parse_int(Str text, int64_t base, int64_t *ret_integer)
{
    text = str_trim(text);
    const bool minus = str_starts_with(text, STR("-"));
    text = str_slice(text, minus || str_starts_with(text, STR("+")) ? 1 : 0, text.size);
    const char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : '\0';
    if (text.size > 2 && text.data[0] == '0' && mark != '\0' && (text.data[1] | 0x20) == mark)
        text = str_slice(text, 2, text.size);
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c == '_' && i > 0 && i + 1 < text.size && text.data[i - 1] != '_')
            continue;
        const char lower = (char)(c | 0x20);
        const int digit = c >= '0' && c <= '9'           ? c - '0'
                          : lower >= 'a' && lower <= 'z' ? lower - 'a' + 10
                                                         : 99;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    // Gathered below zero, where there is room for one more.
    if (text.size == 0 || (!minus && value == INT64_MIN))
        return false;
    *ret_integer = minus ? value : -value;
    return true;
}

static bool double_to_int(double number, Value *ret_value)
{
    if (!(fabs(number) < 9.2e18))
        return false;
    *ret_value = value_int((int64_t)number);
    return true;
}

bool filter_int(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value self = arguments->self;
    if (self.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "int of something undefined");
    const int64_t base = argument_as_int(arguments, 1, 10);
    if (base < 2 || base > 36)
        return raise_value(machine, err, "int() base must be >= 2 and <= 36");
    int64_t integer = 0;
    double number = 0;
    if (self.kind == VALUE_FLOAT && isfinite(self.number) && fabs(self.number) >= 9.2e18)
        return error_set(err, ERROR_LIMIT, "an integer beyond 64 bits");
    if (self.kind == VALUE_INT || self.kind == VALUE_BOOL || self.kind == VALUE_BIGINT)
        *ret_value = self.kind == VALUE_BOOL ? value_int(self.boolean) : self;
    else if (self.kind == VALUE_STR && parse_int(self.text, base, &integer))
        *ret_value = value_int(integer);
    else if (!((self.kind == VALUE_FLOAT && double_to_int(self.number, ret_value)) ||
               (self.kind == VALUE_STR && parse_float(self.text, &number) &&
                double_to_int(number, ret_value))))
        *ret_value = arguments->given[0] ? arguments->values[0] : value_int(0);
    return true;
}

bool filter_float(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Value self = arguments->self;
    double number = 0;
    if (self.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "float of something undefined");
    if (self.kind == VALUE_INT || self.kind == VALUE_BOOL)
        *ret_value = value_float(self.kind == VALUE_INT ? (double)self.integer : self.boolean);
    else if (self.kind == VALUE_FLOAT)
        *ret_value = self;
    else if (self.kind == VALUE_STR && parse_float(self.text, &number))
        *ret_value = value_float(number);
    else
        *ret_value = arguments->given[0] ? arguments->values[0] : value_float(0);
    return true;
}

bool filter_round(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Value self = arguments->self;
    const int64_t precision = argument_as_int(arguments, 0, 0);
    Str method = {0};
    if (self.kind == VALUE_BOOL)
        self = value_int(self.boolean);
    TRY(argument_as_str(machine, arguments, 1, STR("common"), &method, err));
    if (self.kind != VALUE_FLOAT && self.kind != VALUE_INT)
        return raise_type(machine, err, "type %s doesn't define __round__ method",
                          value_type(self));
    if (precision < 0 || precision > 20)
        return raise_value(machine, err, "round: a precision that is not supported");
    const bool common = str_equal(method, STR("common"));
    if (common && self.kind == VALUE_INT) {
        *ret_value = self;
        return true;
    }
    const double number = self.kind == VALUE_FLOAT ? self.number : (double)self.integer;
    if (common) {
        // printf rounds the exact decimal value to even, as Python does.
        char text[400];
        (void)snprintf(text, sizeof(text), "%.*f", (int)precision, number);
        *ret_value = value_float(strtod(text, NULL));
        return true;
    }
    const double scale = pow(10, (double)precision);
    if (str_equal(method, STR("ceil")))
        *ret_value = value_float(ceil(number * scale) / scale);
    else if (str_equal(method, STR("floor")))
        *ret_value = value_float(floor(number * scale) / scale);
    else
        return raise_value(machine, err, "method must be common, ceil or floor");
    return true;
}
