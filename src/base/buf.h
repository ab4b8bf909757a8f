// Buf: bytes that grow, for output whose size is not known beforehand.
//
// Starts as {0}, {.limit_bytes = n} or {.secret = true}; emptied with buf_done(). After a failed
// append the buffer holds what it held before.
#pragma once

#include "base/error.h"
#include "base/str.h"

typedef struct Buf {
    char *data;
    size_t size;
    size_t capacity;
    size_t limit_bytes; // most it may grow to; 0 = BUF_LIMIT_BYTES
    bool secret;        // memory is wiped before it is given up: at the end, and where it grows
} Buf;

enum { BUF_LIMIT_BYTES = 1024 * 1024 * 1024 };

// Makes room for `size` more bytes. ERROR_LIMIT when the limit or the memory is reached.
bool buf_reserve(Buf *buf, size_t size, Error *err) MUST_USE;
bool buf_append(Buf *buf, Str bytes, Error *err) MUST_USE;
bool buf_append_char(Buf *buf, char c, Error *err) MUST_USE;
bool buf_printf(Buf *buf, Error *err, const char *format, ...) PRINTF_LIKE(3, 4) MUST_USE;
void buf_clear(Buf *buf); // keeps the memory
void buf_done(Buf *buf);  // for CLEANUP(); keeps limit and secrecy

static inline Str buf_str(const Buf *buf)
{
    return (Str){buf->data, buf->size};
}
