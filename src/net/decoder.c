#include "net/decoder.h"

#include "base/fault.h"

#include <assert.h>

enum {
    GZIP_ONLY = 16 + MAX_WBITS, // inflateInit2: gzip, neither zlib nor raw deflate
    ZSTD_WINDOW_LOG_MAX = 23,   // RFC 9659: a content coding's window is at most 8 MB
    MAGIC_BYTES = 2,            // RFC 1952 2.3.1: a member begins with 1F 8B
    STEP_BYTES = 64 * 1024, // least room given to a decoder, so that it is not called for crumbs
};

bool decoder_find_encoding(Str content_encoding, HttpEncoding *ret_encoding)
{
    const Str name = str_trim(content_encoding);
    if (name.size == 0 || str_equal_ignoring_case(name, STR("identity")))
        *ret_encoding = HTTP_ENCODING_IDENTITY;
    else if (str_equal_ignoring_case(name, STR("gzip")) ||
             str_equal_ignoring_case(name, STR("x-gzip")))
        *ret_encoding = HTTP_ENCODING_GZIP;
    else if (str_equal_ignoring_case(name, STR("zstd")))
        *ret_encoding = HTTP_ENCODING_ZSTD;
    else
        return false;
    return true;
}

bool decoder_begin(Decoder *decoder, HttpEncoding encoding, size_t bytes_max, Error *err)
{
    decoder->encoding = encoding;
    decoder->bytes_max = bytes_max;
    decoder->began = false;
    decoder->complete = false;
    decoder->padded = false;
    decoder->seen = 0;
    decoder->whole = 0;
    if (encoding == HTTP_ENCODING_GZIP && !decoder->gzip_ready) {
        if (fault_here() || inflateInit2(&decoder->gzip, GZIP_ONLY) != Z_OK)
            return error_set(err, ERROR_LIMIT, "gzip: out of memory");
        decoder->gzip_ready = true;
    } else if (encoding == HTTP_ENCODING_GZIP) {
        (void)inflateReset(&decoder->gzip);
    }
    if (encoding == HTTP_ENCODING_ZSTD && decoder->zstd == NULL) {
        decoder->zstd = fault_here() ? NULL : ZSTD_createDCtx();
        if (decoder->zstd == NULL)
            return error_set(err, ERROR_LIMIT, "zstd: out of memory");
        (void)ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    } else if (encoding == HTTP_ENCODING_ZSTD) {
        (void)ZSTD_DCtx_reset(decoder->zstd, ZSTD_reset_session_only);
    }
    return true;
}

static bool too_long(const Decoder *decoder, Error *err)
{
    return error_set(err, ERROR_LIMIT, "body longer than %zu bytes", decoder->bytes_max);
}

// Makes room for the next piece of output; one byte over the bound is how we learn that it is too
// long.
static bool make_room(const Decoder *decoder, Buf *out, size_t *ret_room, Error *err)
{
    if (out->size > decoder->bytes_max)
        return too_long(decoder, err);
    const size_t most = decoder->bytes_max + 1 - out->size;
    if (out->capacity - out->size < STEP_BYTES)
        TRY(buf_reserve(out, most < STEP_BYTES ? most : STEP_BYTES, err));
    const size_t room = out->capacity - out->size;
    *ret_room = room < most ? room : most;
    return true;
}

// What zlib refused was no member: it stands behind one, and ended where its magic should.
static bool is_padding(const Decoder *decoder)
{
    return decoder->whole > 0 && decoder->gzip.total_in <= MAGIC_BYTES;
}

static bool write_gzip(Decoder *decoder, Str bytes, Buf *out, Error *err)
{
    z_stream *gzip = &decoder->gzip;
    decoder->seen += bytes.size;
    if (decoder->padded)
        return true;
    // zlib does not write through next_in; only its old signature says it might.
    gzip->next_in = (z_const Bytef *)(uintptr_t)bytes.data;
    gzip->avail_in = (uInt)bytes.size;
    bool full = true; // output room ran out: more may be waiting inside
    while (gzip->avail_in > 0 || (full && !decoder->complete)) {
        if (decoder->complete) // RFC 1952 2.2: members may follow each other
            (void)inflateReset(gzip);
        size_t room = 0;
        TRY(make_room(decoder, out, &room, err));
        gzip->next_out = (Bytef *)out->data + out->size;
        gzip->avail_out = (uInt)(room < UINT32_MAX ? room : UINT32_MAX);
        const uInt before = gzip->avail_out;
        const int result = inflate(gzip, Z_NO_FLUSH);
        out->size += before - gzip->avail_out;
        decoder->padded = result == Z_DATA_ERROR && is_padding(decoder);
        if (decoder->padded)
            return true;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return error_set(err, ERROR_IO, "bad gzip: %s",
                             gzip->msg == NULL ? "broken data" : gzip->msg);
        decoder->complete = result == Z_STREAM_END;
        if (decoder->complete)
            decoder->whole = decoder->seen - gzip->avail_in;
        full = gzip->avail_out == 0;
    }
    return true;
}

static bool write_zstd(Decoder *decoder, Str bytes, Buf *out, Error *err)
{
    ZSTD_inBuffer in = {.src = bytes.data, .size = bytes.size};
    bool full = true;
    while (in.pos < in.size || (full && !decoder->complete)) {
        size_t room = 0;
        TRY(make_room(decoder, out, &room, err));
        ZSTD_outBuffer piece = {.dst = out->data + out->size, .size = room};
        const size_t result = ZSTD_decompressStream(decoder->zstd, &piece, &in);
        out->size += piece.pos;
        if (ZSTD_isError(result))
            return error_set(err, ERROR_IO, "bad zstd: %s", ZSTD_getErrorName(result));
        decoder->complete = result == 0;
        full = piece.pos == piece.size;
    }
    return true;
}

static bool write_identity(const Decoder *decoder, Str bytes, Buf *out, Error *err)
{
    if (bytes.size > decoder->bytes_max - out->size)
        return too_long(decoder, err);
    return buf_append(out, bytes, err);
}

bool decoder_write(Decoder *decoder, Str bytes, Buf *out, Error *err)
{
    assert(bytes.size <= UINT32_MAX);

    if (bytes.size == 0)
        return true;
    decoder->began = true;
    if (decoder->encoding == HTTP_ENCODING_GZIP)
        TRY(write_gzip(decoder, bytes, out, err));
    else if (decoder->encoding == HTTP_ENCODING_ZSTD)
        TRY(write_zstd(decoder, bytes, out, err));
    else
        TRY(write_identity(decoder, bytes, out, err));
    if (out->size > decoder->bytes_max)
        return too_long(decoder, err);
    return true;
}

bool decoder_end(Decoder *decoder, Error *err)
{
    if (!decoder->began || decoder->complete || decoder->encoding == HTTP_ENCODING_IDENTITY)
        return true;
    // A byte alone is no member that was cut either.
    if (decoder->whole > 0 && (decoder->padded || decoder->seen - decoder->whole < MAGIC_BYTES))
        return true;
    return error_set(err, ERROR_IO, "truncated %s",
                     decoder->encoding == HTTP_ENCODING_GZIP ? "gzip" : "zstd");
}

size_t decoder_coded_size(const Decoder *decoder, size_t size)
{
    return decoder->encoding == HTTP_ENCODING_GZIP ? decoder->whole : size;
}

void decoder_done(Decoder *decoder)
{
    if (decoder->gzip_ready)
        (void)inflateEnd(&decoder->gzip);
    (void)ZSTD_freeDCtx(decoder->zstd);
    *decoder = (Decoder){0};
}
