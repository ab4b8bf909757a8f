// Pen: writes text into room that the caller has made sure of, and returns where the text ends.
//
// A page must be written faster than the network takes it, so nothing here checks or terminates.
// Short texts are copied in whole blocks of PEN_BLOCK_BYTES, whatever their size: both the text
// (see Words) and the room need that many spare bytes behind them. The room for one record is
// RECORD_BYTES_MAX, far more than any record has.
#pragma once

#include "base/str.h"

enum { PEN_BLOCK_BYTES = 32 };

extern const char pen_two_digits[200]; // "00" .. "99"
extern const char pen_two_hex[512];    // "00" .. "ff"
extern const char pen_url_letters[64]; // base64url

#define PEN_LITERAL(at, literal) \
    (memcpy((at), "" literal, sizeof(literal) - 1), (at) + sizeof(literal) - 1)

// A text that has PEN_BLOCK_BYTES readable bytes behind it.
static inline char *pen_padded(char *at, Str text)
{
    size_t done = 0;
    do {
        memcpy(at + done, text.data + done, PEN_BLOCK_BYTES);
        done += PEN_BLOCK_BYTES;
    } while (done < text.size);
    return at + text.size;
}

// Any text; slower.
static inline char *pen_str(char *at, Str text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static inline char *pen_two(char *at, uint32_t below_100)
{
    memcpy(at, pen_two_digits + below_100 * (size_t)2, 2);
    return at + 2;
}

// The last `count` (1 to 20) decimal digits of `value`, with leading zeros.
static inline char *pen_digits(char *at, uint64_t value, int count)
{
    int left = count;
    for (; left >= 2; left -= 2) {
        memcpy(at + left - 2, pen_two_digits + value % 100 * 2, 2);
        value /= 100;
    }
    if (left == 1)
        at[0] = (char)('0' + value % 10);
    return at + count;
}

static inline char *pen_uint(char *at, uint64_t value)
{
    int count = 1;
    for (uint64_t rest = value; rest >= 10; rest /= 10)
        count++;
    return pen_digits(at, value, count);
}

static inline char *pen_int(char *at, int64_t value)
{
    if (value >= 0)
        return pen_uint(at, (uint64_t)value);
    *at = '-';
    return pen_uint(at + 1, (uint64_t)0 - (uint64_t)value);
}

// 16 hexadecimal digits.
static inline char *pen_hex16(char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        memcpy(at + i * 2, pen_two_hex + (value & 0xff) * 2, 2);
    return at + 16;
}

// 10 letters of base64url.
static inline char *pen_url10(char *at, uint64_t value)
{
    for (int i = 0; i < 10; i++, value >>= 6)
        at[i] = pen_url_letters[value & 63];
    return at + 10;
}
