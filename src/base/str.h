// Str: a view of bytes that something else owns. Not NUL-terminated; never freed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Str {
    const char *data;
    size_t size;
} Str;

#define STR(literal) ((Str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s" // printf("got '" STR_FMT "'", STR_ARG(name))
#define STR_ARG(str) (int)(str).size, (str).data

static inline Str str_from(const char *text)
{
    return (Str){text, strlen(text)};
}

static inline bool str_equal(Str a, Str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool str_starts_with(Str text, Str prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

static inline bool str_ends_with(Str text, Str suffix)
{
    return text.size >= suffix.size &&
           (suffix.size == 0 ||
            memcmp(text.data + text.size - suffix.size, suffix.data, suffix.size) == 0);
}

// The part from `start`, at most `size` bytes; both are clipped to what is there.
static inline Str str_slice(Str text, size_t start, size_t size)
{
    if (text.data == NULL)
        return (Str){NULL, 0};
    if (start > text.size)
        start = text.size;
    if (size > text.size - start)
        size = text.size - start;
    return (Str){text.data + start, size};
}

// ASCII only, whatever the locale. HTTP header names and scheme names are compared so.
bool str_equal_ignoring_case(Str a, Str b);

// Orders like memcmp; of two that begin alike the shorter comes first.
int str_compare(Str a, Str b);

// Index of the first `c` or `text.size`.
size_t str_find_char(Str text, char c);

// Index of the first `needle` or `text.size`. An empty needle is found at once.
size_t str_find(Str text, Str needle);

// Without ASCII white space at both ends.
Str str_trim(Str text);

// Cuts `*rest` at the first `separator`: returns what stands before it and leaves in `*rest` what
// stands behind; without one, returns all and leaves `*rest` = {NULL, 0}. Loop while (rest.data !=
// NULL).
Str str_split_next(Str *rest, char separator);

// Whole text as a decimal integer with an optional sign; false on anything else or overflow.
bool str_to_int64(Str text, int64_t *ret_value);

// Whole text as a JSON-like number ("-1.5e3"); false on anything else. Never depends on the locale.
bool str_to_double(Str text, double *ret_value);

// Edit distance (insert, delete, replace, swap neighbours), ASCII case ignored, for "did you mean".
// Texts over 64 bytes count as far apart.
size_t str_distance(Str a, Str b);

// How many bytes from the start are well-formed UTF-8; text.size when all are.
size_t str_utf8_size(Str text);

// UTF-8 of a code point, or what it would be of half a surrogate pair; returns its size.
size_t str_encode_utf8(uint32_t code, char out[4]);

// True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool str_is_utf8(Str text);
