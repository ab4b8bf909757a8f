#include "lake/seal.h"

#include "base/hash.h"

#include <assert.h>
#include <stdio.h>

enum { SCHEMA = 1, HEAD_BYTES = 160, HASH_TEXT_BYTES = 2 * SHA256_BYTES };

static const Str end = {"}\n", 2};

// Everything in front of the body, which a reader compares byte by byte.
static Str head(const char *kind, Str body, char text[HEAD_BYTES])
{
    char hash[HASH_TEXT_BYTES + 1];
    const Sha256 sum = sha256(body);
    hex_encode(sum.bytes, sizeof(sum.bytes), hash);
    const int size =
        snprintf(text, HEAD_BYTES,
                 "{\"schema\":%d,\"kind\":\"%s\",\"sha256\":\"%s\",\"body\":", SCHEMA, kind, hash);
    assert(size < HEAD_BYTES);
    return (Str){text, (size_t)size};
}

bool seal_write(const char *kind, Str body, Buf *out, Error *err)
{
    assert(body.size > 0);
    char text[HEAD_BYTES];
    return buf_append(out, head(kind, body, text), err) && buf_append(out, body, err) &&
           buf_append(out, end, err);
}

bool seal_read(const char *kind, Str bytes, const char *where, Str *ret_body, Error *err)
{
    char text[HEAD_BYTES];
    const Str any = head(kind, STR(""), text);
    if (bytes.size <= any.size + end.size || !str_ends_with(bytes, end))
        return error_set(err, ERROR_DATA, "%s: damaged: its end is missing", where);
    const Str body = str_slice(bytes, any.size, bytes.size - any.size - end.size);
    const Str expected = head(kind, body, text);
    if (str_starts_with(bytes, expected)) {
        *ret_body = body;
        return true;
    }
    // The first members tell a newer version, or another kind of file, from damage.
    const size_t common = sizeof("{\"schema\":1,") - 1;
    if (str_starts_with(bytes, STR("{\"schema\":")) &&
        !str_starts_with(bytes, str_slice(expected, 0, common)))
        return error_set(err, ERROR_DATA, "%s: not of schema %d; a newer pawl may have written it",
                         where, SCHEMA);
    return error_set(err, ERROR_DATA, "%s: damaged: its checksum does not match", where);
}
