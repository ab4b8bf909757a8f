#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { DISTANCE_BYTES_MAX = 64, NUMBER_BYTES_MAX = 400 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_equal_ignoring_case(Str a, Str b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

int str_compare(Str a, Str b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

size_t str_find_char(Str text, char c)
{
    const char *found = text.size == 0 ? NULL : memchr(text.data, c, text.size);
    return found == NULL ? text.size : (size_t)(found - text.data);
}

size_t str_find(Str text, Str needle)
{
    if (needle.size == 0)
        return 0;
    for (size_t i = 0; i + needle.size <= text.size; i++) {
        i += str_find_char(str_slice(text, i, text.size), needle.data[0]);
        if (i + needle.size <= text.size && memcmp(text.data + i, needle.data, needle.size) == 0)
            return i;
    }
    return text.size;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

Str str_trim(Str text)
{
    while (text.size > 0 && is_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

Str str_split_next(Str *rest, char separator)
{
    size_t at = str_find_char(*rest, separator);
    Str head = {rest->data, at};
    if (at == rest->size)
        *rest = (Str){NULL, 0};
    else
        *rest = (Str){rest->data + at + 1, rest->size - at - 1};
    return head;
}

bool str_to_int64(Str text, int64_t *ret_value)
{
    size_t i = 0;
    bool negative = false;
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        negative = text.data[0] == '-';
        i = 1;
    }
    if (i == text.size)
        return false;
    uint64_t value = 0;
    const uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        const uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    // Negating in unsigned arithmetic is defined for INT64_MIN too.
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

// strtod() accepts more ("inf", "0x1p3", leading blanks) than a JSON number may hold, hence the
// check.
static bool looks_like_number(Str text)
{
    bool digit = false;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c >= '0' && c <= '9')
            digit = true;
        else if (c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E')
            return false;
    }
    return digit;
}

bool str_to_double(Str text, double *ret_value)
{
    char copy[NUMBER_BYTES_MAX + 1];
    if (text.size == 0 || text.size > NUMBER_BYTES_MAX || !looks_like_number(text))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end = NULL;
    errno = 0;
    // The program never calls setlocale, so the decimal point is '.'.
    double value = strtod(copy, &end);
    if (end != copy + text.size || !isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t str_distance(Str a, Str b)
{
    if (a.size > DISTANCE_BYTES_MAX || b.size > DISTANCE_BYTES_MAX)
        return DISTANCE_BYTES_MAX;
    // Three rows of the optimal string alignment table.
    size_t rows[3][DISTANCE_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *earlier = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            const bool same = lower(a.data[i - 1]) == lower(b.data[j - 1]);
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && lower(a.data[i - 1]) == lower(b.data[j - 2]) &&
                lower(a.data[i - 2]) == lower(b.data[j - 1]))
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

// The length of the sequence that starts with `lead` and the range its second byte must lie in.
static size_t utf8_sequence(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *ret_low = 0xA0;
        if (lead == 0xED)
            *ret_high = 0x9F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *ret_low = 0x90;
        if (lead == 0xF4)
            *ret_high = 0x8F;
        return 4;
    }
    return 0;
}

// True when the eight bytes at `bytes` are all ASCII, which most text is.
static bool is_ascii8(const char *bytes)
{
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof(word));
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

size_t str_utf8_size(Str text)
{
    size_t i = 0;
    while (i < text.size) {
        if (text.size - i >= 8 && is_ascii8(text.data + i)) {
            i += 8;
            continue;
        }
        unsigned char low = 0;
        unsigned char high = 0;
        const size_t size = utf8_sequence((unsigned char)text.data[i], &low, &high);
        if (size == 0 || size > text.size - i)
            return i;
        for (size_t k = 1; k < size; k++) {
            const unsigned char c = (unsigned char)text.data[i + k];
            if (k == 1 ? c < low || c > high : c < 0x80 || c > 0xBF)
                return i;
        }
        i += size;
    }
    return i;
}

size_t str_encode_utf8(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

bool str_is_utf8(Str text)
{
    return str_utf8_size(text) == text.size;
}
