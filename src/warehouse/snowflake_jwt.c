#include "warehouse/snowflake_jwt.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/json.h"
#include "net/jwt.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    RSA_BITS_MIN = 2048,
    SIGNATURE_BYTES_MAX = 2048, // of a key of 16,384 bits
    FINGERPRINT_BYTES = 7 + 44 + 1,
    PEM_BYTES_MAX = 64 * 1024,
};

struct SnowflakeKey {
    EVP_PKEY *pkey;
    char fingerprint[FINGERPRINT_BYTES];
};

static bool fill_fingerprint(SnowflakeKey *key, Error *err)
{
    unsigned char *der = NULL;
    const int size = fault_here() ? -1 : i2d_PUBKEY(key->pkey, &der);
    if (size <= 0)
        return error_set(err, ERROR_LIMIT, "snowflake key: out of memory");
    const Sha256 hash = sha256((Str){(const char *)der, (size_t)size});
    OPENSSL_free(der);
    memcpy(key->fingerprint, "SHA256:", 7);
    (void)EVP_EncodeBlock((unsigned char *)key->fingerprint + 7, hash.bytes, SHA256_BYTES);
    return true;
}

bool snowflake_key_new(Str pem, Str passphrase, SnowflakeKey **ret_key, Error *err)
{
    if (pem.size > PEM_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "snowflake key: longer than %d bytes", PEM_BYTES_MAX);
    EVP_PKEY *pkey = jwt_read_key(pem, passphrase);
    if (pkey == NULL)
        return error_set(err, ERROR_ACCESS, "snowflake key: no private key in PEM that %s opens",
                         passphrase.size > 0 ? "this passphrase" : "without a passphrase");
    // OpenSSL owns the key; calloc, since it must outlive every arena of the driver's calls.
    SnowflakeKey *key = fault_here() ? NULL : calloc(1, sizeof(*key));
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return error_set(err, ERROR_LIMIT, "snowflake key: out of memory");
    }
    key->pkey = pkey;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA || EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN) {
        snowflake_key_free(key);
        return error_set(err, ERROR_ACCESS, "snowflake key: not RSA of %d bits or more",
                         RSA_BITS_MIN);
    }
    if (!fill_fingerprint(key, err)) {
        snowflake_key_free(key);
        return false;
    }
    *ret_key = key;
    return true;
}

void snowflake_key_free(SnowflakeKey *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

const char *snowflake_key_fingerprint(const SnowflakeKey *key)
{
    return key->fingerprint;
}

static bool copy_upper(Str text, Arena *arena, Str *ret_copy, Error *err)
{
    char *upper = arena_alloc(arena, text.size + 1, err);
    TRY(upper != NULL);
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    *ret_copy = (Str){upper, text.size};
    return true;
}

// The name that a token knows an account by: upper case, without the region of a locator.
static bool spell_account(Str account, Arena *arena, Str *ret_name, Error *err)
{
    // "xy12345.eu-central-1.azure" -> XY12345; "org-account" stays; "xy12345-code.global" -> the
    // part before the hyphen.
    const size_t global = str_find(account, STR(".global"));
    const size_t end = str_find_char(account, global < account.size ? '-' : '.');
    return copy_upper(str_slice(account, 0, end), arena, ret_name, err);
}

// `claims`: names as Snowflake spells them.
static bool append_claims(const SnowflakeKey *key, const SnowflakeClaims *claims, Buf *token,
                          Error *err)
{
    CLEANUP(buf_done) Buf subject = {0};
    CLEANUP(buf_done) Buf json = {0};
    TRY(buf_printf(&subject, err, STR_FMT "." STR_FMT, STR_ARG(claims->account),
                   STR_ARG(claims->user)));
    TRY(buf_append(&json, STR("{\"sub\":"), err) && json_write_str(buf_str(&subject), &json, err));
    TRY(buf_printf(&subject, err, ".%s", key->fingerprint));
    TRY(buf_append(&json, STR(",\"iss\":"), err) && json_write_str(buf_str(&subject), &json, err));
    TRY(buf_printf(&json, err, ",\"iat\":%lld,\"exp\":%lld}",
                   (long long)(claims->from_us / 1000000),
                   (long long)((claims->from_us + claims->life_us) / 1000000)));
    TRY(jwt_append_base64url(token, STR("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), err));
    TRY(buf_append_char(token, '.', err));
    return jwt_append_base64url(token, buf_str(&json), err);
}

static bool append_signature(const SnowflakeKey *key, Buf *token, Error *err)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    size_t size = sizeof(signature);
    EVP_MD_CTX *context = fault_here() ? NULL : EVP_MD_CTX_new();
    const bool ok = context != NULL &&
                    EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
                    EVP_DigestSign(context, signature, &size, (const unsigned char *)token->data,
                                   token->size) == 1;
    EVP_MD_CTX_free(context);
    if (!ok)
        return error_set(err, ERROR_LIMIT, "snowflake key: cannot sign");
    TRY(buf_append_char(token, '.', err));
    return jwt_append_base64url(token, (Str){(const char *)signature, size}, err);
}

bool snowflake_jwt_make(const SnowflakeKey *key, const SnowflakeClaims *claims, Arena *arena,
                        Str *ret_token, Error *err)
{
    CLEANUP(buf_done) Buf token = {0};
    SnowflakeClaims spelled = *claims;
    TRY(spell_account(claims->account, arena, &spelled.account, err) &&
        copy_upper(claims->user, arena, &spelled.user, err));
    TRY(append_claims(key, &spelled, &token, err));
    TRY(append_signature(key, &token, err));
    return arena_copy_str(arena, buf_str(&token), ret_token, err);
}
