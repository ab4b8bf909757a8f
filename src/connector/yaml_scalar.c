#include "connector/yaml_scalar.h"

#include <math.h>

enum { NUMBER_BYTES_MAX = 400 };

static bool is_one_of(Str text, const char *words)
{
    Str rest = str_from(words);
    while (rest.data != NULL) {
        if (str_equal(text, str_split_next(&rest, ' ')))
            return true;
    }
    return false;
}

static bool is_digit(char c, int base)
{
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
        return true;
    return c >= '0' && c < '0' + (base < 10 ? base : 10);
}

// The length of a run of digits and '_'.
static size_t run_of_digits(Str text, int base)
{
    size_t i = 0;
    while (i < text.size && (text.data[i] == '_' || is_digit(text.data[i], base)))
        i++;
    return i;
}

static Str without_sign(Str text)
{
    const bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    return str_slice(text, sign ? 1 : 0, text.size);
}

// The ":59" groups of a sexagesimal number; 0 when there are none.
static size_t run_of_groups(Str text)
{
    size_t i = 0;
    while (i + 1 < text.size && text.data[i] == ':' && is_digit(text.data[i + 1], 10)) {
        const bool two =
            i + 2 < text.size && is_digit(text.data[i + 1], 6) && is_digit(text.data[i + 2], 10);
        i += two ? 3 : 2;
    }
    return i;
}

static bool looks_like_int(Str text)
{
    const Str body = without_sign(text);
    if (body.size == 0)
        return false;
    if (body.data[0] == '0') {
        if (body.size == 1)
            return true;
        const char mark = body.data[1];
        if (mark == 'b' || mark == 'x') {
            const Str digits = str_slice(body, 2, body.size);
            return digits.size > 0 && run_of_digits(digits, mark == 'b' ? 2 : 16) == digits.size;
        }
        return run_of_digits(body, 8) == body.size;
    }
    if (!is_digit(body.data[0], 10))
        return false;
    const size_t digits = run_of_digits(body, 10);
    const Str groups = str_slice(body, digits, body.size);
    return run_of_groups(groups) == groups.size;
}

// "e+5" and the like; the sign is needed.
static bool is_exponent(Str text)
{
    if (text.size < 3 || (text.data[0] != 'e' && text.data[0] != 'E') ||
        (text.data[1] != '+' && text.data[1] != '-'))
        return false;
    for (size_t i = 2; i < text.size; i++) {
        if (!is_digit(text.data[i], 10))
            return false;
    }
    return true;
}

static bool looks_like_float(Str text)
{
    const Str body = without_sign(text);
    if (is_one_of(body, ".inf .Inf .INF") || is_one_of(text, ".nan .NaN .NAN"))
        return true;
    if (body.size == 0)
        return false;
    if (body.data[0] == '.') {
        const bool digit = text.data[0] == '.' && body.size > 1 && is_digit(body.data[1], 10);
        const Str rest = str_slice(body, 1, body.size);
        const Str tail = str_slice(rest, run_of_digits(rest, 10), rest.size);
        return digit && (tail.size == 0 || is_exponent(tail));
    }
    if (!is_digit(body.data[0], 10))
        return false;
    size_t i = run_of_digits(body, 10);
    const size_t groups = run_of_groups(str_slice(body, i, body.size));
    i += groups;
    if (i == body.size || body.data[i] != '.')
        return false;
    i++;
    i += run_of_digits(str_slice(body, i, body.size), 10);
    return i == body.size || (groups == 0 && is_exponent(str_slice(body, i, body.size)));
}

ScalarKind yaml_resolve(Str text)
{
    if (is_one_of(text, "~ null Null NULL") || text.size == 0)
        return SCALAR_NULL;
    if (is_one_of(text, "yes Yes YES no No NO true True TRUE false False FALSE on On ON off Off "
                        "OFF"))
        return SCALAR_BOOL;
    if (looks_like_int(text))
        return SCALAR_INT;
    return looks_like_float(text) ? SCALAR_FLOAT : SCALAR_STR;
}

// `text` without '_' and '+', lower case; false when it is longer than any number we read.
static bool clean_number(Str text, char clean[NUMBER_BYTES_MAX + 1], Str *ret_clean)
{
    if (text.size > NUMBER_BYTES_MAX)
        return false;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c != '_' && !(c == '+' && i == 0))
            clean[size++] = (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
    }
    clean[size] = '\0';
    *ret_clean = (Str){clean, size};
    return true;
}

static int digit_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

// Digits in `base`, or base 60 groups; false on overflow of 64 bits.
static bool read_digits(Str digits, uint64_t base, uint64_t *ret_value)
{
    uint64_t value = 0;
    uint64_t group = 0;
    for (size_t i = 0; i < digits.size; i++) {
        const char c = digits.data[i];
        if (c == ':') {
            if (__builtin_add_overflow(value, group, &value) ||
                __builtin_mul_overflow(value, (uint64_t)60, &value))
                return false;
            group = 0;
            continue;
        }
        if (__builtin_mul_overflow(group, base, &group) ||
            __builtin_add_overflow(group, (uint64_t)digit_value(c), &group))
            return false;
    }
    return !__builtin_add_overflow(value, group, ret_value);
}

static void set_text(yyjson_val *value, Str text)
{
    // The text is the node's, NUL-terminated by arena_copy_str().
    unsafe_yyjson_set_strn(value, text.data, text.size);
}

static void set_int(yyjson_val *value, Str text)
{
    char buffer[NUMBER_BYTES_MAX + 1];
    Str clean = {0};
    if (!clean_number(text, buffer, &clean)) {
        unsafe_yyjson_set_strn(value, text.data, text.size);
        return;
    }
    const bool minus = clean.size > 0 && clean.data[0] == '-';
    Str digits = str_slice(clean, minus ? 1 : 0, clean.size);
    uint64_t base = 10;
    if (str_starts_with(digits, STR("0b")) || str_starts_with(digits, STR("0x"))) {
        base = digits.data[1] == 'b' ? 2 : 16;
        digits = str_slice(digits, 2, digits.size);
    } else if (digits.size > 1 && digits.data[0] == '0') {
        base = 8;
    }
    uint64_t number = 0;
    const bool fits = read_digits(digits, base, &number);
    const uint64_t most_negative = (uint64_t)INT64_MAX + 1;
    if (digits.size == 0 || !fits || (minus && number > most_negative)) {
        // Wider than 64 bits (or "0x_"): the digits themselves are what nobody can misread.
        set_text(value, text);
    } else if (minus && number > 0) {
        unsafe_yyjson_set_sint(value, number == most_negative ? INT64_MIN : -(int64_t)number);
    } else {
        unsafe_yyjson_set_uint(value, number);
    }
}

static void set_float(yyjson_val *value, Str text)
{
    char buffer[NUMBER_BYTES_MAX + 1];
    Str clean = {0};
    if (!clean_number(text, buffer, &clean)) {
        set_text(value, text);
        return;
    }
    const bool minus = clean.data[0] == '-';
    Str rest = str_slice(clean, minus ? 1 : 0, clean.size);
    double number = 0;
    if (str_equal(rest, STR(".nan")))
        number = (double)NAN;
    else if (str_equal(rest, STR(".inf")))
        number = (double)INFINITY;
    else {
        while (rest.data != NULL) {
            double group = 0;
            (void)str_to_double(str_split_next(&rest, ':'), &group); // it looked like one
            number = number * 60 + group;
        }
    }
    unsafe_yyjson_set_real(value, minus ? -number : number);
}

void yaml_set_scalar(yyjson_val *value, ScalarKind kind, Str text)
{
    switch (kind) {
    case SCALAR_NULL:
        unsafe_yyjson_set_null(value);
        break;
    case SCALAR_BOOL:
        unsafe_yyjson_set_bool(value, is_one_of(text, "yes Yes YES true True TRUE on On ON"));
        break;
    case SCALAR_INT:
        set_int(value, text);
        break;
    case SCALAR_FLOAT:
        set_float(value, text);
        break;
    case SCALAR_STR:
        set_text(value, text);
        break;
    }
}
