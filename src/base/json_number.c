#include "base/json_number.h"

#include "base/bytes.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

// Any DBL_DIG digits survive in a double, and no double needs more than DIGITS_MAX.
enum { DIGITS_MAX = 17 };

// --- the shortest text

// Hands yyjson the caller's stack, since it formats doubles but only into memory that it asks for.
static void *stack_malloc(void *context, size_t size)
{
    return size <= JSON_NUMBER_BYTES ? context : NULL;
}

static void *stack_realloc(void *context, void *piece, size_t old_size, size_t size)
{
    (void)context;
    (void)old_size;
    return size <= JSON_NUMBER_BYTES ? piece : NULL;
}

static void stack_free(void *context, void *piece)
{
    (void)context;
    (void)piece;
}

// NOLINTNEXTLINE(readability-non-const-parameter): yyjson writes there, which takes it for memory
Str json_number_shortest(double number, char bytes[JSON_NUMBER_BYTES])
{
    assert(isfinite(number));

    const yyjson_val value = {.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = number};
    const yyjson_alc allocator = {stack_malloc, stack_realloc, stack_free, bytes};
    size_t size = 0;
    yyjson_write_err failure = {0};
    const char *text = yyjson_val_write_opts(&value, 0, &allocator, &size, &failure);
    assert(text == bytes); // yyjson asks for 40 bytes
    return (Str){text, size};
}

bool json_to_double(yyjson_val *value, double *ret_number)
{
    if (yyjson_is_num(value)) {
        *ret_number = yyjson_get_num(value);
        return true;
    }
    if (!yyjson_is_raw(value))
        return false;
    // yyjson and json_number_keep_sent() put a NUL behind, and both know it for a number.
    *ret_number = strtod(yyjson_get_raw(value), NULL);
    return true;
}

// --- what a number says

// 0.DIGITS * 10^exponent, without zeros at either end; 0 has no digits.
typedef struct Digits {
    char digits[DIGITS_MAX];
    size_t count;
    int64_t exponent;
} Digits;

// Reads the digits in front of an exponent; false when they are more than DIGITS_MAX. *ret_size is
// where the exponent would stand.
static bool read_mantissa(Str text, Digits *ret_digits, size_t *ret_size)
{
    Digits read = {.count = 0};
    size_t zeros = 0; // since the last other digit
    bool point = false;
    size_t at = 0;
    for (; at < text.size && (byte_is_digit(text.data[at]) || text.data[at] == '.'); at++) {
        const char c = text.data[at];
        if (c == '.') {
            point = true;
            continue;
        }
        const bool leading = read.count == 0 && c == '0';
        if (leading == point)
            read.exponent += point ? -1 : 1;
        if (c == '0') {
            zeros += leading ? 0 : 1;
            continue;
        }
        if (read.count + zeros >= DIGITS_MAX)
            return false;
        memset(read.digits + read.count, '0', zeros);
        read.count += zeros;
        read.digits[read.count++] = c;
        zeros = 0;
    }
    *ret_digits = read;
    *ret_size = at;
    return true;
}

static bool read_digits(Str text, Digits *ret_digits)
{
    if (str_starts_with(text, STR("-")))
        text = str_slice(text, 1, text.size);
    size_t size = 0;
    TRY(read_mantissa(text, ret_digits, &size));
    int64_t exponent = 0;
    if (ret_digits->count == 0) {
        ret_digits->exponent = 0;
        return true;
    }
    if (size < text.size && !str_to_int64(str_slice(text, size + 1, text.size), &exponent))
        return false;
    // What is beyond 64 bits was refused above; far beyond what a double may have is far enough.
    const int64_t limit = INT64_MAX / 2;
    exponent = exponent > limit ? limit : exponent < -limit ? -limit : exponent;
    ret_digits->exponent += exponent;
    return true;
}

// True when `number`, which was read of `text`, says the same.
static bool is_held(double number, Str text)
{
    Digits sent;
    TRY(read_digits(text, &sent));
    if (sent.count == 0 || (sent.count <= DBL_DIG && fabs(number) >= DBL_MIN))
        return true;
    char bytes[JSON_NUMBER_BYTES];
    Digits held;
    TRY(read_digits(json_number_shortest(number, bytes), &held));
    return sent.count == held.count && sent.exponent == held.exponent &&
           memcmp(sent.digits, held.digits, sent.count) == 0;
}

// --- where numbers stand

// What is behind the string whose first quote is at the start.
static Str skip_string(Str rest)
{
    for (size_t at = 1; at < rest.size; at++) {
        const char *quote = memchr(rest.data + at, '"', rest.size - at);
        if (quote == NULL)
            break;
        const size_t from = at;
        at = (size_t)(quote - rest.data);
        size_t slashes = 0;
        while (at - slashes > from && rest.data[at - slashes - 1] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return str_slice(rest, at + 1, rest.size);
    }
    return (Str){0};
}

static Str next_number(Str *rest)
{
    Str left = *rest;
    while (left.size > 0 && left.data[0] != '-' && !byte_is_digit(left.data[0]))
        left = left.data[0] == '"' ? skip_string(left) : str_slice(left, 1, left.size);
    size_t size = 0;
    while (size < left.size && byte_is_of_number(left.data[size]))
        size++;
    *rest = str_slice(left, size, left.size);
    return str_slice(left, 0, size);
}

static bool has_exponent(Str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((text.data[i] | 0x20) == 'e')
            return true;
    }
    return false;
}

bool json_number_keep_sent(yyjson_val *value, Str text, Arena *arena, Error *err)
{
    assert(text.size > 0);

    Str sent = {0};
    // A double without an exponent has a point, so DBL_DIG digits at most.
    if ((text.size <= DBL_DIG + 1 && !has_exponent(text)) || is_held(value->uni.f64, text))
        return true;
    TRY(arena_copy_str(arena, text, &sent, err));
    yyjson_set_raw(value, sent.data, sent.size);
    return true;
}

bool json_number_keep_all(Str bytes, yyjson_doc *doc, Arena *arena, Error *err)
{
    // Values stand in the order of the text, so its nth number is the nth that is one.
    yyjson_val *end = doc->root + doc->val_read;
    for (yyjson_val *value = doc->root; value < end; value++) {
        if (!unsafe_yyjson_is_num(value) && !unsafe_yyjson_is_raw(value))
            continue;
        const Str text = next_number(&bytes);
        if (unsafe_yyjson_is_real(value))
            TRY(json_number_keep_sent(value, text, arena, err));
    }
    return true;
}
