#include "base/buf.h"

#include "base/fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 256 };

// realloc() that wipes what it gives up.
static char *move_secret(Buf *buf, size_t capacity)
{
    char *data = malloc(capacity);
    if (data != NULL && buf->data != NULL) {
        memcpy(data, buf->data, buf->size);
        explicit_bzero(buf->data, buf->capacity);
        free(buf->data);
    }
    return data;
}

bool buf_reserve(Buf *buf, size_t size, Error *err)
{
    const size_t limit = buf->limit_bytes == 0 ? BUF_LIMIT_BYTES : buf->limit_bytes;
    if (size > limit - buf->size)
        return error_set(err, ERROR_LIMIT, "buffer: longer than %zu bytes", limit);
    const size_t needed = buf->size + size;
    if (needed <= buf->capacity)
        return true;

    size_t capacity = buf->capacity == 0 ? FIRST_BYTES : buf->capacity * 2;
    if (capacity < needed)
        capacity = needed;
    if (capacity > limit)
        capacity = limit;
    char *data = fault_here()  ? NULL
                 : buf->secret ? move_secret(buf, capacity)
                               : realloc(buf->data, capacity);
    if (data == NULL)
        return error_set(err, ERROR_LIMIT, "buffer: out of memory for %zu bytes", capacity);
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

bool buf_append(Buf *buf, Str bytes, Error *err)
{
    if (bytes.size == 0)
        return true;
    TRY(buf_reserve(buf, bytes.size, err));
    memcpy(buf->data + buf->size, bytes.data, bytes.size);
    buf->size += bytes.size;
    return true;
}

bool buf_append_char(Buf *buf, char c, Error *err)
{
    return buf_append(buf, (Str){&c, 1}, err);
}

bool buf_printf(Buf *buf, Error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);

    TRY(buf_reserve(buf, (size_t)size + 1, err));
    va_start(args, format);
    (void)vsnprintf(buf->data + buf->size, (size_t)size + 1, format, args);
    va_end(args);
    buf->size += (size_t)size;
    return true;
}

void buf_clear(Buf *buf)
{
    buf->size = 0;
}

void buf_done(Buf *buf)
{
    if (buf->secret && buf->data != NULL)
        explicit_bzero(buf->data, buf->capacity);
    free(buf->data);
    *buf = (Buf){.limit_bytes = buf->limit_bytes, .secret = buf->secret};
}
