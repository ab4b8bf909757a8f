// links: pawl_net
//
// The input is read as everything a far side can write into a header: a Retry-After, an HTTP date,
// a Link, a Location to be joined with what came before the first line end, a content coding and a
// compressed body.
#include "net/decoder.h"
#include "net/retry.h"
#include "net/url.h"

#include <stdlib.h>

enum { RUN_BYTES = 4 * 1024 * 1024, BODY_BYTES_MAX = 64 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool within(Str part, Str whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void try_headers(Str text)
{
    HttpHeader header = {STR("Retry-After"), text};
    const HttpResponse response = {.headers = &header, .header_count = 1};
    int64_t us = 0;
    if (retry_after_us(&response, INT64_C(1746057600000000), &us))
        must(us >= 0 && us <= RETRY_AFTER_US_MAX);
    (void)http_date_parse(text, INT64_C(1746057600000000), &us);
}

static void try_url(Str text)
{
    Url url = {0};
    if (!url_split(text, &url))
        return;
    must(url_port(&url) >= 0 && url_port(&url) <= 65535);
    must(url.host.size > 0 && within(url.host, text) && within(url.path, text));
    must(url_same_origin(text, text));
    (void)url_host_is_loopback(url.host);
}

static void try_join(Str base, Str reference, Arena *arena)
{
    Error err = {0};
    Str joined = {0};
    Url url = {0};
    // What was joined to a good URL by a path alone stays at its origin.
    if (!url_join(base, reference, arena, &joined, &err))
        return;
    try_url(joined);
    const bool rooted = reference.size > 1 && reference.data[0] == '/' && reference.data[1] != '/';
    if (rooted && url_split(base, &url) && url_split(joined, &url) &&
        str_find_char(reference, '\t') == reference.size &&
        str_find_char(reference, '\r') == reference.size)
        must(url_same_origin(base, joined));
}

static void try_quoting(Str text)
{
    Error err = {0};
    CLEANUP(buf_done) Buf quoted = {0};
    CLEANUP(buf_done) Buf back = {0};
    must(url_quote_plus(text, &quoted, &err) && url_unquote_plus(buf_str(&quoted), &back, &err));
    must(str_equal(buf_str(&back), text));
    buf_clear(&back);
    must(url_unquote_plus(text, &back, &err) && back.size <= text.size);
}

static bool decode(Decoder *decoder, HttpEncoding encoding, Str text, Buf *out)
{
    Error err = {0};
    must(decoder_begin(decoder, encoding, BODY_BYTES_MAX, &err));
    const size_t half = text.size / 2;
    const bool ok = decoder_write(decoder, str_slice(text, 0, half), out, &err) &&
                    decoder_write(decoder, str_slice(text, half, text.size), out, &err) &&
                    decoder_end(decoder, &err);
    must(ok == (err.code == ERROR_NONE));
    must(!ok || out->size <= BODY_BYTES_MAX);
    return ok;
}

static void try_body(HttpEncoding encoding, Str text)
{
    CLEANUP(decoder_done) Decoder decoder = {0};
    CLEANUP(buf_done) Buf out = {0};
    CLEANUP(buf_done) Buf again = {0};
    if (!decode(&decoder, encoding, text, &out))
        return;
    // What is kept of it says the same.
    const size_t coded = decoder_coded_size(&decoder, text.size);
    must(coded <= text.size && decode(&decoder, encoding, str_slice(text, 0, coded), &again));
    must(str_equal(buf_str(&out), buf_str(&again)));
    must(decoder_coded_size(&decoder, coded) == coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Str all = {(const char *)data, size};
    Str rest = all;
    const Str first = str_split_next(&rest, '\n');
    HttpEncoding encoding = HTTP_ENCODING_IDENTITY;
    try_headers(all);
    try_url(all);
    try_join(first, rest, arena);
    try_quoting(all);
    (void)decoder_find_encoding(first, &encoding);
    try_body(HTTP_ENCODING_GZIP, all);
    try_body(HTTP_ENCODING_ZSTD, all);
    try_body(encoding, rest);
    return 0;
}
