#include "azure/shared_key.h"

#include "base/fault.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

enum { PAIRS_MAX = 16, BASE64_BYTES_MAX = 4 * SHARED_KEY_BYTES_MAX / 3 + 4 };

bool shared_key_read(SharedKey *key, Str base64, Error *err)
{
    unsigned char bytes[BASE64_BYTES_MAX];
    const Str text = str_trim(base64);
    int size = -1;
    if (text.size > 0 && text.size % 4 == 0 && text.size / 4 * 3 <= SHARED_KEY_BYTES_MAX)
        size = EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)text.size);
    if (size <= 0)
        return error_set(err, ERROR_JOB,
                         "account_key: is no base64 of a storage account's key (copy 'Key', not "
                         "'Connection string')");
    // OpenSSL counts the padding as bytes.
    for (size_t i = text.size; i > 0 && text.data[i - 1] == '=' && size > 0; i--)
        size--;
    memcpy(key->bytes, bytes, (size_t)size);
    key->size = (size_t)size;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return true;
}

void shared_key_wipe(SharedKey *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}

static Str header_of(const HttpRequest *request, Str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_ignoring_case(request->headers[i].name, name))
            return str_trim(request->headers[i].value);
    }
    return STR("");
}

static int compare_headers(const void *a, const void *b)
{
    return str_compare(((const HttpHeader *)a)->name, ((const HttpHeader *)b)->name);
}

static int compare_pairs(const void *a, const void *b)
{
    return str_compare(((const UrlPair *)a)->name, ((const UrlPair *)b)->name);
}

static bool add_line(Buf *out, Str text, Error *err)
{
    return buf_append(out, text, err) && buf_append_char(out, '\n', err);
}

// The eleven headers that have a line of their own, whether they are sent or not.
static bool add_standard_headers(const HttpRequest *request, Buf *out, Error *err)
{
    static const char *const names[] = {"Content-MD5",         "Content-Type", "",
                                        "If-Modified-Since",   "If-Match",     "If-None-Match",
                                        "If-Unmodified-Since", "Range",        NULL};
    TRY(add_line(out, request->method, err));
    TRY(add_line(out, header_of(request, STR("Content-Encoding")), err));
    TRY(add_line(out, header_of(request, STR("Content-Language")), err));
    if (request->body.size > 0)
        TRY(buf_printf(out, err, "%zu", request->body.size));
    TRY(buf_append_char(out, '\n', err));
    // The empty name is Date, which stays empty where x-ms-date says it.
    for (size_t i = 0; names[i] != NULL; i++)
        TRY(add_line(out, names[i][0] == '\0' ? STR("") : header_of(request, str_from(names[i])),
                     err));
    return true;
}

bool shared_key_text(Str account, const HttpRequest *request, Str path, const UrlPair *pairs,
                     size_t pair_count, Buf *out, Error *err)
{
    assert(pair_count <= PAIRS_MAX);
    TRY(add_standard_headers(request, out, err));
    HttpHeader ours[HTTP_HEADERS_MAX];
    size_t count = 0;
    // All ours are written in lower case, as they are signed.
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_starts_with(request->headers[i].name, STR("x-ms-")))
            ours[count++] = request->headers[i];
    }
    qsort(ours, count, sizeof(*ours), compare_headers);
    for (size_t i = 0; i < count; i++)
        TRY(buf_append(out, ours[i].name, err) && buf_append_char(out, ':', err) &&
            add_line(out, str_trim(ours[i].value), err));

    TRY(buf_append_char(out, '/', err) && buf_append(out, account, err) &&
        buf_append(out, path, err));
    UrlPair sorted[PAIRS_MAX];
    if (pair_count > 0)
        memcpy(sorted, pairs, pair_count * sizeof(*sorted));
    qsort(sorted, pair_count, sizeof(*sorted), compare_pairs);
    for (size_t i = 0; i < pair_count; i++)
        TRY(buf_append_char(out, '\n', err) && buf_append(out, sorted[i].name, err) &&
            buf_append_char(out, ':', err) && buf_append(out, sorted[i].value, err));
    return true;
}

bool shared_key_sign(const SharedKey *key, Str account, Str text, Arena *arena,
                     Str *ret_authorization, Error *err)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_size = 0;
    if (fault_here() || HMAC(EVP_sha256(), key->bytes, (int)key->size,
                             (const unsigned char *)text.data, text.size, mac, &mac_size) == NULL)
        return error_set(err, ERROR_LIMIT, "sign: out of memory");
    unsigned char base64[4 * EVP_MAX_MD_SIZE / 3 + 8];
    (void)EVP_EncodeBlock(base64, mac, (int)mac_size);
    return arena_printf(arena, ret_authorization, err, "SharedKey " STR_FMT ":%s", STR_ARG(account),
                        (const char *)base64);
}
