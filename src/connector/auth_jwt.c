// JSON Web Tokens (RFC 7519) that we sign ourselves, for APIs that know our key.
#include "connector/auth_parts.h"

#include "base/fault.h"
#include "net/jwt.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

enum {
    SIGNATURE_BYTES_MAX = 2048, // of an RSA key of 16,384 bits
    COORDINATE_BYTES_MAX = 66,  // ES512
};

typedef enum JwtFamily { FAMILY_HMAC, FAMILY_RSA, FAMILY_PSS, FAMILY_EC } JwtFamily;

typedef struct JwtMethod {
    JwtFamily family;
    const EVP_MD *digest;
    int coordinate_size; // FAMILY_EC
} JwtMethod;

// RFC 7518, 3.1.
static bool find_method(Str algorithm, JwtMethod *ret_method, Error *err)
{
    static const struct {
        const char *name;
        JwtFamily family;
    } families[] = {{"HS", FAMILY_HMAC}, {"RS", FAMILY_RSA}, {"PS", FAMILY_PSS}, {"ES", FAMILY_EC}};
    const Str bits = str_slice(algorithm, 2, algorithm.size);
    JwtMethod method = {0};
    if (str_equal(bits, STR("256")))
        method = (JwtMethod){.digest = EVP_sha256(), .coordinate_size = 32};
    else if (str_equal(bits, STR("384")))
        method = (JwtMethod){.digest = EVP_sha384(), .coordinate_size = 48};
    else if (str_equal(bits, STR("512")))
        method = (JwtMethod){.digest = EVP_sha512(), .coordinate_size = COORDINATE_BYTES_MAX};
    for (size_t i = 0; i < 4 && method.digest != NULL; i++) {
        if (!str_equal(str_slice(algorithm, 0, 2), str_from(families[i].name)))
            continue;
        method.family = families[i].family;
        *ret_method = method;
        return true;
    }
    return error_set(err, ERROR_JOB, "not supported yet: JWT algorithm " STR_FMT,
                     STR_ARG(algorithm));
}

bool auth_jwt_check(Str algorithm, Error *err)
{
    JwtMethod ignored;
    return find_method(algorithm, &ignored, err);
}

// ------------------------------------------------------------------------ signing

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static bool read_key(Str pem, Str passphrase, JwtFamily family, EVP_PKEY **ret_key, Error *err)
{
    EVP_PKEY *key = jwt_read_key(pem, passphrase);
    if (key != NULL &&
        EVP_PKEY_get_base_id(key) == (family == FAMILY_EC ? EVP_PKEY_EC : EVP_PKEY_RSA)) {
        *ret_key = key;
        return true;
    }
    EVP_PKEY_free(key);
    return error_set(err, ERROR_ACCESS, "JWT: secret_key is no private %s key in PEM%s",
                     family == FAMILY_EC ? "EC" : "RSA",
                     passphrase.size > 0 ? " that the passphrase opens" : "");
}

// OpenSSL's DER, as the two numbers one behind the other (RFC 7518, 3.4).
static bool flatten_ec(const JwtMethod *method, unsigned char *bytes, size_t *size, Error *err)
{
    const unsigned char *at = bytes;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)*size);
    const int part = method->coordinate_size;
    const bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), bytes, part) == part &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(pair), bytes + part, part) == part;
    ECDSA_SIG_free(pair);
    *size = (size_t)part * 2;
    return ok || error_set(err, ERROR_ACCESS, "JWT: the key does not fit the algorithm");
}

static bool sign_with_key(const JwtMethod *method, EVP_PKEY *key, Str text, unsigned char *bytes,
                          size_t *size, Error *err)
{
    CLEANUP(free_context) EVP_MD_CTX *context = fault_here() ? NULL : EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL; // the context's own
    bool ok =
        context != NULL && EVP_DigestSignInit(context, &options, method->digest, NULL, key) == 1;
    if (ok && method->family == FAMILY_PSS)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok &&
         EVP_DigestSign(context, bytes, size, (const unsigned char *)text.data, text.size) == 1;
    if (!ok)
        return error_set(err, ERROR_ACCESS, "JWT: the key cannot sign");
    return method->family != FAMILY_EC || flatten_ec(method, bytes, size, err);
}

static bool sign(const JwtMethod *method, Str secret, Str passphrase, Str text,
                 unsigned char *bytes, size_t *size, Error *err)
{
    if (method->family == FAMILY_HMAC) {
        unsigned written = 0;
        if (fault_here() ||
            HMAC(method->digest, secret.data, (int)secret.size, (const unsigned char *)text.data,
                 text.size, bytes, &written) == NULL)
            return error_set(err, ERROR_LIMIT, "JWT: out of memory");
        *size = written;
        return true;
    }
    CLEANUP(free_key) EVP_PKEY *key = NULL;
    return read_key(secret, passphrase, method->family, &key, err) &&
           sign_with_key(method, key, text, bytes, size, err);
}

// ------------------------------------------------------------------------ what it says

static bool put_name(Str name, Buf *out, Error *err)
{
    return (out->size <= 1 || buf_append_char(out, ',', err)) && json_write_str(name, out, err) &&
           buf_append_char(out, ':', err);
}

static bool put_map(const ExprMap *map, Frame *frame, Arena *arena, Buf *out, Error *err)
{
    for (size_t i = 0; i < map->count; i++) {
        Str name = {0};
        Value value = value_none();
        TRY(expr_text(&map->pairs[i].key, frame, arena, &name, err) &&
            expr_value(&map->pairs[i].value, frame, arena, &value, err));
        TRY(put_name(name, out, err) && value_write_json(value, out, err));
    }
    return true;
}

// Claims first to last but one; those that the manifest leaves out are left out.
static bool put_claims(const JwtSpec *jwt, int first, int end, Frame *frame, Arena *arena, Buf *out,
                       Error *err)
{
    static const char *const names[JWT_CLAIM_COUNT] = {"kid", "typ", "cty", "iss", "sub", "aud"};
    for (int i = first; i < end; i++) {
        Str text = {0};
        if (!jwt->claims[i].exists)
            continue;
        TRY(expr_text(&jwt->claims[i], frame, arena, &text, err));
        TRY(put_name(str_from(names[i]), out, err) && json_write_str(text, out, err));
    }
    return true;
}

static bool write_token(const Auth *auth, Frame *frame, Arena *arena, Buf *token, Error *err)
{
    const JwtSpec *jwt = &auth->spec->jwt;
    const long long now_s = (long long)(auth_now_us(auth) / 1000000);
    CLEANUP(buf_done) Buf header = {0};
    CLEANUP(buf_done) Buf payload = {0};
    TRY(buf_append_char(&header, '{', err) && put_map(&jwt->headers, frame, arena, &header, err) &&
        put_claims(jwt, JWT_KID, JWT_ISS, frame, arena, &header, err) &&
        put_name(STR("alg"), &header, err) && json_write_str(jwt->algorithm, &header, err) &&
        buf_append_char(&header, '}', err));
    TRY(buf_append_char(&payload, '{', err) &&
        put_map(&jwt->payload, frame, arena, &payload, err) &&
        put_claims(jwt, JWT_ISS, JWT_CLAIM_COUNT, frame, arena, &payload, err) &&
        put_name(STR("iat"), &payload, err) &&
        buf_printf(&payload, err, "%lld,\"exp\":%lld,\"nbf\":%lld}", now_s,
                   now_s + (long long)jwt->life_seconds, now_s));
    return jwt_append_base64url(token, buf_str(&header), err) && buf_append_char(token, '.', err) &&
           jwt_append_base64url(token, buf_str(&payload), err);
}

static bool secret_of(const Auth *auth, Frame *frame, Arena *arena, Str *ret_secret, Error *err)
{
    bool is_base64 = false;
    TRY(expr_text(&auth->spec->secret, frame, arena, ret_secret, err));
    if (auth->spec->jwt.is_base64.exists)
        TRY(expr_bool(&auth->spec->jwt.is_base64, frame, arena, &is_base64, err));
    if (!is_base64)
        return true;
    unsigned char *text = arena_alloc(arena, ret_secret->size / 3 * 4 + 5, err);
    TRY(text != NULL);
    const int size =
        EVP_EncodeBlock(text, (const unsigned char *)ret_secret->data, (int)ret_secret->size);
    *ret_secret = (Str){(const char *)text, (size_t)size};
    return true;
}

bool auth_jwt_make(const Auth *auth, Arena *arena, Str *ret_token, Error *err)
{
    const JwtSpec *jwt = &auth->spec->jwt;
    JwtMethod method = {0};
    Frame frame;
    Str secret = {0}, passphrase = STR(""), prefix = STR("");
    unsigned char signature[SIGNATURE_BYTES_MAX];
    size_t size = sizeof(signature);
    CLEANUP(buf_done) Buf token = {.secret = true};
    auth_frame(auth, &frame);
    TRY(find_method(jwt->algorithm, &method, err));
    TRY(secret_of(auth, &frame, arena, &secret, err));
    if (jwt->passphrase.exists)
        TRY(expr_text(&jwt->passphrase, &frame, arena, &passphrase, err));
    if (jwt->prefix.exists)
        TRY(expr_text(&jwt->prefix, &frame, arena, &prefix, err));
    TRY(write_token(auth, &frame, arena, &token, err));
    TRY(sign(&method, secret, passphrase, buf_str(&token), signature, &size, err));
    TRY(buf_append_char(&token, '.', err) &&
        jwt_append_base64url(&token, (Str){(const char *)signature, size}, err));
    return arena_printf(arena, ret_token, err, STR_FMT "%s" STR_FMT, STR_ARG(prefix),
                        prefix.size > 0 ? " " : "", STR_ARG(buf_str(&token)));
}
