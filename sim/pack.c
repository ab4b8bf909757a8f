#include "pack.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 1, GZIP_LEVEL = 1, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 9, LIST_MAX = 32 };

void packer_done(Packer *packer)
{
    ZSTD_freeCCtx(packer->zstd);
    if (packer->gzip != NULL)
        (void)deflateEnd(packer->gzip);
    free(packer->gzip); // zlib wants the caller's own memory
    buf_done(&packer->out);
    *packer = (Packer){0};
}

static bool is_refused(Str parameters)
{
    const Str weight = str_trim(parameters);
    double value = 1;
    return str_starts_with(weight, STR("q=")) &&
           str_to_double(str_slice(weight, 2, SIZE_MAX), &value) && value <= 0;
}

PackKind pack_choose(Str accept_encoding)
{
    PackKind best = PACK_NONE;
    Str rest = accept_encoding;
    for (int i = 0; i < LIST_MAX && rest.data != NULL; i++) {
        Str parameters = str_split_next(&rest, ',');
        const Str coding = str_trim(str_split_next(&parameters, ';'));
        if (parameters.data != NULL && is_refused(parameters))
            continue;
        if (str_equal_ignoring_case(coding, STR("zstd")))
            best = PACK_ZSTD;
        else if (str_equal_ignoring_case(coding, STR("gzip")) && best == PACK_NONE)
            best = PACK_GZIP;
    }
    return best;
}

const char *pack_name(PackKind kind)
{
    return kind == PACK_ZSTD ? "zstd" : "gzip";
}

static bool pack_zstd(Packer *packer, Str bytes, Error *err)
{
    if (packer->zstd == NULL)
        packer->zstd = ZSTD_createCCtx();
    if (packer->zstd == NULL)
        return error_set(err, ERROR_LIMIT, "zstd: out of memory");
    TRY(buf_reserve(&packer->out, ZSTD_compressBound(bytes.size), err));
    const size_t size = ZSTD_compressCCtx(packer->zstd, packer->out.data, packer->out.capacity,
                                          bytes.data, bytes.size, ZSTD_LEVEL);
    if (ZSTD_isError(size))
        return error_set(err, ERROR_IO, "zstd: %s", ZSTD_getErrorName(size));
    packer->out.size = size;
    return true;
}

static bool begin_gzip(Packer *packer, Error *err)
{
    if (packer->gzip != NULL)
        return deflateReset(packer->gzip) == Z_OK;
    z_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || deflateInit2(stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                                       Z_DEFAULT_STRATEGY) != Z_OK) {
        free(stream);
        return error_set(err, ERROR_LIMIT, "gzip: out of memory");
    }
    packer->gzip = stream;
    return true;
}

static bool pack_gzip(Packer *packer, Str bytes, Error *err)
{
    TRY(begin_gzip(packer, err));
    z_stream *stream = packer->gzip;
    TRY(buf_reserve(&packer->out, deflateBound(stream, bytes.size), err));
    assert(bytes.size < UINT_MAX && packer->out.capacity < UINT_MAX);
    stream->next_in = (Bytef *)(uintptr_t)bytes.data; // only read; zlib's type predates const
    stream->avail_in = (unsigned)bytes.size;
    stream->next_out = (Bytef *)packer->out.data;
    stream->avail_out = (unsigned)packer->out.capacity;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return error_set(err, ERROR_IO, "gzip: %s",
                         stream->msg == NULL ? "not finished" : stream->msg);
    packer->out.size = stream->total_out;
    return true;
}

bool packer_pack(Packer *packer, PackKind kind, Str bytes, Str *ret_packed, Error *err)
{
    buf_clear(&packer->out);
    if (kind == PACK_ZSTD)
        TRY(pack_zstd(packer, bytes, err));
    else
        TRY(pack_gzip(packer, bytes, err));
    *ret_packed = buf_str(&packer->out);
    return true;
}
