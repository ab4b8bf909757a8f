// Bytes: short pieces of memory, read and copied without a call. A row has a hundred of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BYTES_SLACK = 16 };

// "0" to "9", whatever the locale.
static inline bool byte_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

// What JSON's numbers are made of.
static inline bool byte_is_of_number(char c)
{
    return byte_is_digit(c) || c == '.' || c == '-' || c == '+' || (c | 0x20) == 'e';
}

// Up to eight bytes as one word, the first the least significant; zeros behind.
static inline uint64_t bytes_load(const char *bytes, size_t size)
{
    uint64_t word = 0;
    uint32_t low = 0;
    uint32_t high = 0;
    if (size >= 8) {
        memcpy(&word, bytes, 8);
    } else if (size >= 4) {
        // Both halves; where they overlap they agree.
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + size - 4, 4);
        word = low | (uint64_t)high << (8 * (size - 4));
    } else if (size > 0) {
        word = (uint64_t)(unsigned char)bytes[0] |
               (uint64_t)(unsigned char)bytes[size / 2] << (8 * (size / 2)) |
               (uint64_t)(unsigned char)bytes[size - 1] << (8 * (size - 1));
    }
    return word;
}

// Copies `size` bytes and writes at most BYTES_SLACK - 1 more behind them.
static inline void bytes_copy(char *to, const char *from, size_t size)
{
    struct {
        char bytes[16];
    } first, last;
    if (size > 2 * sizeof(first)) {
        memcpy(to, from, size);
    } else if (size >= sizeof(first)) {
        // Both ends; where they overlap they agree.
        memcpy(&first, from, sizeof(first));
        memcpy(&last, from + size - sizeof(last), sizeof(last));
        memcpy(to, &first, sizeof(first));
        memcpy(to + size - sizeof(last), &last, sizeof(last));
    } else {
        const uint64_t word = bytes_load(from, size);
        memcpy(to, &word, 8);
        if (size > 8) {
            const uint64_t end = bytes_load(from + size - 8, 8);
            memcpy(to + size - 8, &end, 8);
        }
    }
}
