// Python's ast.literal_eval(): the grammar of literals, and nothing that computes.
//
// Not read, hence left as text: bytes, sets, complex numbers, f-strings, "..." and \N{names}. What
// the reference would make of them (a bytes object, Ellipsis) could not be sent anywhere.

#include "connector/literal.h"
#include "connector/value.h"

#include <math.h>

enum { LITERAL_DEPTH_MAX = 200, DIGITS_MAX = 4300, NUMBER_BYTES_MAX = 400, ITEMS_FIRST = 8 };

// Every function here returns false for what is no literal, and leaves `err` alone; where memory
// ran out, `err` says so.
typedef struct Reader {
    Str text;
    size_t at;
    size_t depth; // of brackets: inside them a line may end anywhere
    Arena *arena;
    Error *err;
} Reader;

static bool read_value(Reader *reader, Value *ret_value);

static char peek(const Reader *reader, size_t ahead)
{
    const size_t at = reader->at + ahead;
    return at < reader->text.size ? reader->text.data[at] : '\0';
}

static bool at_end(const Reader *reader)
{
    return reader->at >= reader->text.size;
}

static void skip_comment(Reader *reader)
{
    while (!at_end(reader) && peek(reader, 0) != '\n')
        reader->at++;
}

// White space between tokens; inside brackets line ends too.
static void skip_space(Reader *reader)
{
    for (; !at_end(reader); reader->at++) {
        const char c = peek(reader, 0);
        const bool line = c == '\n' || c == '\r';
        if (c == '#') {
            skip_comment(reader);
            reader->at--;
        } else if (c == '\\' && (peek(reader, 1) == '\n')) {
            reader->at++;
        } else if (!(line && reader->depth > 0) && c != ' ' && c != '\t' && c != '\f') {
            return;
        }
    }
}

// --- numbers

static bool is_digit_of(char c, int base)
{
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
        return true;
    return c >= '0' && c < '0' + (base < 10 ? base : 10);
}

// Digits with single '_' between them, copied to `clean` without. False without any digit, with a
// '_' in a wrong place, or when there are too many.
static bool read_digit_run(Reader *reader, int base, char *clean, size_t room, size_t *size)
{
    bool digit = false; // the last character was one
    for (;; reader->at++) {
        const char c = peek(reader, 0);
        if (c == '_' && digit && !at_end(reader)) {
            digit = false;
            continue;
        }
        if (!is_digit_of(c, base))
            return digit;
        if (*size == room)
            return false;
        clean[(*size)++] = c;
        digit = true;
    }
}

static bool make_based(Reader *reader, int base, Value *ret_value)
{
    char digits[64];
    size_t size = 0;
    reader->at += 2;
    if (peek(reader, 0) == '_')
        reader->at++;
    TRY(read_digit_run(reader, base, digits, sizeof(digits), &size));
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        const char c = digits[i];
        const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value > INT64_MAX ? (Value){.kind = VALUE_BIGINT, .text = {NULL, value}}
                                   : value_int((int64_t)value);
    return true;
}

static bool make_decimal(Reader *reader, Str digits, Value *ret_value)
{
    int64_t number = 0;
    if (str_to_int64(digits, &number)) {
        *ret_value = value_int(number);
        return true;
    }
    while (digits.size > 1 && digits.data[0] == '0')
        digits = str_slice(digits, 1, digits.size);
    Value value = {.kind = VALUE_BIGINT};
    if (!arena_copy_str(reader->arena, digits, &value.text, reader->err))
        return false;
    *ret_value = value;
    return true;
}

static bool make_float(Str clean, Value *ret_value)
{
    double number = 0;
    if (!str_to_double(clean, &number)) {
        // The grammar was met, so it is too large.
        if (clean.size > NUMBER_BYTES_MAX)
            return false;
        number = (double)INFINITY;
    }
    *ret_value = value_float(number);
    return true;
}

// The part of a float behind its whole digits: ".5", "e-7". *ret_float tells whether there is one.
static bool read_fraction(Reader *reader, char *clean, size_t room, size_t *size, bool *ret_float)
{
    if (peek(reader, 0) == '.') {
        *ret_float = true;
        if (*size == room)
            return false;
        clean[(*size)++] = '.';
        reader->at++;
        if (is_digit_of(peek(reader, 0), 10))
            TRY(read_digit_run(reader, 10, clean, room, size));
    }
    const char mark = peek(reader, 0);
    if (mark != 'e' && mark != 'E')
        return true;
    *ret_float = true;
    if (room - *size < 2)
        return false;
    clean[(*size)++] = 'e';
    reader->at++;
    if (peek(reader, 0) == '-' || peek(reader, 0) == '+')
        clean[(*size)++] = reader->text.data[reader->at++];
    return read_digit_run(reader, 10, clean, room, size);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool read_number(Reader *reader, Value *ret_value)
{
    const char mark = (char)(peek(reader, 1) | 0x20);
    if (peek(reader, 0) == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
        TRY(make_based(reader, mark == 'x' ? 16 : mark == 'o' ? 8 : 2, ret_value));
        return !is_name_char(peek(reader, 0));
    }
    char clean[DIGITS_MAX];
    size_t size = 0;
    bool is_float = false;
    if (peek(reader, 0) != '.')
        TRY(read_digit_run(reader, 10, clean, sizeof(clean), &size));
    else if (!is_digit_of(peek(reader, 1), 10))
        return false;
    const size_t whole = size;
    TRY(read_fraction(reader, clean, sizeof(clean), &size, &is_float));
    if (is_name_char(peek(reader, 0))) // 1j, 1abc
        return false;
    if (is_float)
        return make_float((Str){clean, size}, ret_value);
    // "007" is a syntax error in Python 3, "000" is not.
    bool zero = true;
    for (size_t i = 0; i < whole; i++)
        zero = zero && clean[i] == '0';
    if (clean[0] == '0' && !zero)
        return false;
    return make_decimal(reader, (Str){clean, size}, ret_value);
}

// The sign stands before a number only.
static bool read_signed(Reader *reader, Value *ret_value)
{
    const bool minus = peek(reader, 0) == '-';
    reader->at++;
    skip_space(reader);
    Value value = value_undefined();
    size_t parentheses = 0;
    for (; peek(reader, 0) == '(' && parentheses < LITERAL_DEPTH_MAX; parentheses++) {
        reader->at++;
        reader->depth++;
        skip_space(reader);
    }
    if (!is_digit_of(peek(reader, 0), 10) && peek(reader, 0) != '.')
        return false;
    TRY(read_number(reader, &value));
    for (; parentheses > 0; parentheses--) {
        skip_space(reader);
        if (peek(reader, 0) != ')')
            return false;
        reader->at++;
        reader->depth--;
    }
    if (minus && value.kind == VALUE_INT) {
        value.integer = -value.integer;
    } else if (minus && value.kind == VALUE_FLOAT) {
        value = value_float(-value.number);
    } else if (minus) {
        CLEANUP(buf_done) Buf text = {0};
        if (!buf_append_char(&text, '-', reader->err) ||
            !value_write_str(value, &text, reader->err) ||
            !arena_copy_str(reader->arena, buf_str(&text), &value.text, reader->err))
            return false;
        if (str_equal(value.text, STR("-9223372036854775808")))
            value = value_int(INT64_MIN);
    }
    *ret_value = value;
    return true;
}

// --- strings

// `digits` hexadecimal digits at `text[*at]`.
static bool read_hex(Str text, size_t *at, size_t digits, uint32_t *ret_code)
{
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++, (*at)++) {
        if (*at >= text.size || !is_digit_of(text.data[*at], 16))
            return false;
        const char c = text.data[*at];
        code = code * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    *ret_code = code;
    return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

static uint32_t read_octal(Str text, size_t *at)
{
    uint32_t code = 0;
    for (size_t i = 0; i < 3 && *at < text.size && is_digit_of(text.data[*at], 8); i++, (*at)++)
        code = code * 8 + (uint32_t)(text.data[*at] - '0');
    return code;
}

// One escape, `text.data[*at]` being the character behind the backslash. Never writes more bytes
// than the escape has.
static bool unescape(Str text, size_t *at, char *out, size_t *size)
{
    static const char names[] = "abfnrtv\\'\"";
    static const char means[] = "\a\b\f\n\r\t\v\\'\"";
    const char c = text.data[*at];
    const char *found = c == '\0' ? NULL : strchr(names, c);
    if (found != NULL) {
        out[(*size)++] = means[found - names];
        (*at)++;
        return true;
    }
    if (c == '\n') { // a line that goes on
        (*at)++;
        return true;
    }
    uint32_t code = 0;
    if (is_digit_of(c, 8)) {
        code = read_octal(text, at);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        (*at)++;
        TRY(read_hex(text, at, c == 'x' ? 2 : c == 'u' ? 4 : 8, &code));
    } else if (c == 'N') {
        return false;
    } else {
        out[(*size)++] = '\\'; // an unknown escape stands for itself
        return true;
    }
    *size += str_encode_utf8(code, out + *size);
    return true;
}

bool literal_unescape(Str text, Arena *arena, Str *ret_text, bool *ret_ok, Error *err)
{
    char *out = arena_alloc(arena, text.size + 1, err);
    TRY(out != NULL);
    size_t size = 0;
    *ret_ok = true;
    for (size_t at = 0; at < text.size && *ret_ok;) {
        const char c = text.data[at++];
        if (c != '\\' || at == text.size)
            out[size++] = c;
        else
            *ret_ok = unescape(text, &at, out, &size);
    }
    *ret_text = (Str){out, size};
    return true;
}

// The body of a string, the opening quotes behind us.
static bool read_body(Reader *reader, char quote, bool triple, Str *ret_body)
{
    const size_t from = reader->at;
    for (; !at_end(reader); reader->at++) {
        const char c = peek(reader, 0);
        if (c == '\\') {
            reader->at++;
        } else if (c == '\n' && !triple) {
            return false;
        } else if (c == quote &&
                   (!triple || (peek(reader, 1) == quote && peek(reader, 2) == quote))) {
            *ret_body = str_slice(reader->text, from, reader->at - from);
            reader->at += triple ? 3 : 1;
            return true;
        }
    }
    return false;
}

static bool read_one_string(Reader *reader, Str *ret_text)
{
    const char prefix = (char)(peek(reader, 0) | 0x20);
    const bool raw = prefix == 'r';
    if (raw || prefix == 'u')
        reader->at++;
    const char quote = peek(reader, 0);
    const bool triple = peek(reader, 1) == quote && peek(reader, 2) == quote;
    reader->at += triple ? 3 : 1;
    Str body = {0};
    TRY(read_body(reader, quote, triple, &body));
    if (raw || str_find_char(body, '\\') == body.size) {
        if (!arena_copy_str(reader->arena, body, ret_text, reader->err))
            return false;
        return true;
    }
    bool ok = false;
    if (!literal_unescape(body, reader->arena, ret_text, &ok, reader->err))
        return false;
    return ok;
}

static bool string_ahead(const Reader *reader)
{
    const char c = peek(reader, 0);
    const char next = peek(reader, 1);
    const bool prefix = c == 'r' || c == 'R' || c == 'u' || c == 'U';
    return c == '\'' || c == '"' || (prefix && (next == '\'' || next == '"'));
}

// Strings side by side are one.
static bool read_string(Reader *reader, Value *ret_value)
{
    Str text = {0};
    TRY(read_one_string(reader, &text));
    for (skip_space(reader); string_ahead(reader); skip_space(reader)) {
        Str more = {0};
        TRY(read_one_string(reader, &more));
        if (!arena_printf(reader->arena, &text, reader->err, STR_FMT STR_FMT, STR_ARG(text),
                          STR_ARG(more)))
            return false;
    }
    *ret_value = value_str(text);
    return true;
}

// --- containers

typedef struct Items {
    Value *items;
    size_t count, room;
} Items;

static bool items_add(Reader *reader, Items *items, Value value)
{
    if (items->count == items->room) {
        const size_t room = items->room == 0 ? ITEMS_FIRST : items->room * 2;
        Value *grown = arena_alloc_array(reader->arena, room, sizeof(Value), reader->err);
        if (grown == NULL)
            return false;
        if (items->count > 0)
            memcpy(grown, items->items, items->count * sizeof(Value));
        items->items = grown;
        items->room = room;
    }
    items->items[items->count++] = value;
    return true;
}

// Items up to `close`; *ret_comma tells whether a comma was among them (which makes a tuple).
static bool read_items(Reader *reader, char close, Items *items, bool *ret_comma)
{
    for (;;) {
        skip_space(reader);
        if (peek(reader, 0) == close && !at_end(reader))
            return true;
        Value value = value_undefined();
        TRY(read_value(reader, &value) && items_add(reader, items, value));
        skip_space(reader);
        if (peek(reader, 0) != ',')
            return peek(reader, 0) == close;
        reader->at++;
        *ret_comma = true;
    }
}

static bool is_hashable(Value key)
{
    if (value_is_mapping(key) || key.kind == VALUE_LIST)
        return false;
    for (size_t i = 0; key.kind == VALUE_TUPLE && i < key.list.count; i++) {
        if (!is_hashable(key.list.items[i]))
            return false;
    }
    return true;
}

// Keys and values in turns become pairs; of equal keys the last value counts.
static bool make_dict(Reader *reader, const Items *items, Value *ret_value)
{
    const size_t room = items->count / 2;
    ValuePair *pairs = arena_alloc_array(reader->arena, room, sizeof(*pairs), reader->err);
    if (pairs == NULL)
        return false;
    size_t count = 0;
    for (size_t i = 0; i < items->count; i += 2) {
        const Value key = items->items[i];
        if (!is_hashable(key))
            return false;
        size_t at = 0;
        while (at < count && !value_equal(pairs[at].key, key))
            at++;
        if (at == count)
            pairs[count++].key = key;
        pairs[at].value = items->items[i + 1];
    }
    *ret_value = value_dict(pairs, count);
    return true;
}

static bool read_dict(Reader *reader, Value *ret_value)
{
    Items items = {0};
    for (;;) {
        skip_space(reader);
        if (peek(reader, 0) == '}')
            break;
        Value value = value_undefined();
        TRY(read_value(reader, &value) && items_add(reader, &items, value));
        skip_space(reader);
        if (peek(reader, 0) != ':')
            return false;
        reader->at++;
        TRY(read_value(reader, &value) && items_add(reader, &items, value));
        skip_space(reader);
        if (peek(reader, 0) == '}')
            break;
        if (peek(reader, 0) != ',')
            return false;
        reader->at++;
    }
    return make_dict(reader, &items, ret_value);
}

static bool read_bracket(Reader *reader, Value *ret_value)
{
    if (reader->depth == LITERAL_DEPTH_MAX)
        return false;
    const char open = peek(reader, 0);
    Items items = {0};
    bool comma = false;
    reader->at++;
    reader->depth++;
    if (open == '{')
        TRY(read_dict(reader, ret_value));
    else
        TRY(read_items(reader, open == '[' ? ']' : ')', &items, &comma));
    reader->at++;
    reader->depth--;
    if (open == '[')
        *ret_value = value_list(items.items, items.count);
    else if (open == '(' && items.count == 1 && !comma)
        *ret_value = items.items[0]; // only parentheses
    else if (open == '(')
        *ret_value = (Value){.kind = VALUE_TUPLE, .list = {items.items, items.count}};
    // "(,)" is no tuple.
    return !(comma && items.count == 0);
}

// --- the whole

static bool read_word(Reader *reader, Value *ret_value)
{
    const size_t from = reader->at;
    while (!at_end(reader) && is_name_char(peek(reader, 0)))
        reader->at++;
    const Str word = str_slice(reader->text, from, reader->at - from);
    if (str_equal(word, STR("None")))
        *ret_value = value_none();
    else if (str_equal(word, STR("True")) || str_equal(word, STR("False")))
        *ret_value = value_bool(word.data[0] == 'T');
    else
        return false;
    return true;
}

static bool read_value(Reader *reader, Value *ret_value)
{
    skip_space(reader);
    if (at_end(reader))
        return false;
    const char c = peek(reader, 0);
    if (c == '[' || c == '(' || c == '{')
        return read_bracket(reader, ret_value);
    if (string_ahead(reader))
        return read_string(reader, ret_value);
    if (c == '-' || c == '+')
        return read_signed(reader, ret_value);
    if (is_digit_of(c, 10) || c == '.')
        return read_number(reader, ret_value);
    return read_word(reader, ret_value);
}

// To the first line that holds something. It may be indented only if it is the very first: Python
// strips that one's blanks and calls any other "unexpected indent".
static bool skip_empty_lines(Reader *reader)
{
    for (bool first = true;; first = false) {
        const size_t line = reader->at;
        skip_space(reader);
        const bool indented = reader->at > line && peek(reader, 0) != '\f';
        const bool empty = peek(reader, 0) == '\n' || peek(reader, 0) == '\r';
        if (!empty)
            return first || !indented;
        reader->at++;
    }
}

// Behind the value only empty lines and comments may follow; blanks alone on a last line without
// its end are bad indentation again.
static bool skip_rest(Reader *reader)
{
    for (skip_space(reader); !at_end(reader);) {
        if (peek(reader, 0) != '\n' && peek(reader, 0) != '\r')
            return false;
        reader->at++;
        const size_t line = reader->at;
        while (peek(reader, 0) == ' ' || peek(reader, 0) == '\t')
            reader->at++;
        if (at_end(reader))
            return reader->at == line;
        if (peek(reader, 0) == '#')
            skip_comment(reader);
    }
    return true;
}

// A value, or several with commas between: a tuple without parentheses.
static bool read_all(Reader *reader, Value *ret_value)
{
    TRY(skip_empty_lines(reader));
    Items items = {0};
    bool comma = false;
    while (!at_end(reader)) {
        Value value = value_undefined();
        TRY(read_value(reader, &value) && items_add(reader, &items, value));
        skip_space(reader);
        if (peek(reader, 0) != ',')
            break;
        comma = true;
        reader->at++;
        skip_space(reader);
        const char c = peek(reader, 0);
        if (c == '\n' || c == '\r')
            break;
    }
    if (items.count == 0 || !skip_rest(reader))
        return false;
    *ret_value =
        comma ? (Value){.kind = VALUE_TUPLE, .list = {items.items, items.count}} : items.items[0];
    return true;
}

// Most texts are no literals: their first character tells, and nothing is allocated.
static bool could_be_literal(Str text)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
            continue;
        return (c >= '0' && c <= '9') || strchr("'\"[({-+.NTFrRuU#\\", c) != NULL;
    }
    return false;
}

bool value_parse_literal(Str text, Arena *arena, Value *ret_value, Error *err)
{
    // Python refuses source code with a NUL in it.
    if (!could_be_literal(text) || memchr(text.data, '\0', text.size) != NULL)
        return false;
    Reader reader = {.text = text, .arena = arena, .err = err};
    Value value = value_undefined();
    if (!read_all(&reader, &value))
        return false;
    *ret_value = value;
    return true;
}
