// Keys and tokens of Snowflake, judged by OpenSSL's own reading of them.
#include "warehouse/snowflake_jwt.h"

#include "base/json.h"
#include "harness/check.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum { ARENA_BYTES = 1024 * 1024, PEM_BYTES = 8192 };

// PKCS#8, encrypted where there is a passphrase.
static Str new_pem(EVP_PKEY *key, const char *passphrase, char pem[PEM_BYTES])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char secret[64] = "";
    (void)snprintf(secret, sizeof(secret), "%s", passphrase);
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, secret[0] == '\0' ? NULL : EVP_aes_256_cbc(),
                                        secret, (int)strlen(secret), NULL, NULL) == 1);
    const int size = BIO_read(bio, pem, PEM_BYTES);
    CHECK(size > 0);
    BIO_free(bio);
    return (Str){pem, (size_t)size};
}

// RFC 7515: base64url without padding -> bytes.
static size_t decode(Str text, unsigned char *bytes)
{
    char padded[4096];
    size_t size = 0;
    for (; size < text.size; size++)
        padded[size] = text.data[size] == '-'   ? '+'
                       : text.data[size] == '_' ? '/'
                                                : text.data[size];
    size_t missing = 0;
    for (; size % 4 != 0; missing++)
        padded[size++] = '=';
    const int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)padded, (int)size);
    CHECK(decoded > 0);
    return (size_t)decoded - missing;
}

TEST(a_token_is_signed_by_the_key_and_says_who_and_how_long)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    char pem[PEM_BYTES];
    unsigned char bytes[4096];
    SnowflakeKey *key = NULL;
    CHECK_OK(snowflake_key_new(new_pem(pkey, "open sesame", pem), STR("open sesame"), &key, &err),
             &err);
    Str token = {0};
    const SnowflakeClaims asked = {.account = STR("xy12345.eu-central-1"),
                                   .user = STR("loader"),
                                   .from_us = INT64_C(1700000000000000),
                                   .life_us = INT64_C(3300000000)};
    CHECK_OK(snowflake_jwt_make(key, &asked, arena, &token, &err), &err);
    Str rest = token;
    const Str header = str_split_next(&rest, '.');
    const Str claims = str_split_next(&rest, '.');
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse((Str){(char *)bytes, decode(claims, bytes)}, "claims", arena, &doc, &err),
             &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    char issuer[200];
    (void)snprintf(issuer, sizeof(issuer), "XY12345.LOADER.%s", snowflake_key_fingerprint(key));
    CHECK_STR(json_str(json_get(root, STR("iss"))), str_from(issuer));
    CHECK_STR(json_str(json_get(root, STR("sub"))), STR("XY12345.LOADER"));
    CHECK_INT(yyjson_get_sint(json_get(root, STR("iat"))), 1700000000);
    CHECK_INT(yyjson_get_sint(json_get(root, STR("exp"))), 1700003300);

    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const size_t size = decode(rest, bytes);
    CHECK(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, pkey) == 1);
    CHECK(EVP_DigestVerify(context, bytes, size, (const unsigned char *)token.data,
                           header.size + 1 + claims.size) == 1);
    EVP_MD_CTX_free(context);
    snowflake_key_free(key);
    EVP_PKEY_free(pkey);
}

TEST(what_is_no_fit_key_is_refused_without_a_word_of_it)
{
    EVP_PKEY *good = EVP_RSA_gen(2048);
    EVP_PKEY *small = EVP_RSA_gen(1024);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char pem[4][PEM_BYTES];
    const struct {
        const char *name;
        Str pem, passphrase;
    } rows[] = {
        {"a wrong passphrase", new_pem(good, "right", pem[0]), STR("wrong")},
        {"no passphrase", new_pem(good, "right", pem[1]), STR("")},
        {"a small key", new_pem(small, "", pem[2]), STR("")},
        {"another kind of key", new_pem(other, "", pem[3]), STR("")},
        {"no key", STR("-----BEGIN NOTHING-----"), STR("")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        SnowflakeKey *key = NULL;
        CHECK(!snowflake_key_new(rows[i].pem, rows[i].passphrase, &key, &err));
        CHECK_INT(err.code, ERROR_ACCESS);
        CHECK(key == NULL);
        CHECK(strstr(err.message, "wrong") == NULL && strstr(err.message, "BEGIN") == NULL);
    }
    EVP_PKEY_free(good);
    EVP_PKEY_free(small);
    EVP_PKEY_free(other);
}

TEST(a_token_survives_every_fault)
{
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    char pem[PEM_BYTES];
    const Str text = new_pem(pkey, "", pem);
    const SnowflakeClaims claims = {.account = STR("a-b"), .user = STR("u"), .life_us = 1000000};
    FAULTS() {
        Error err = {0};
        SnowflakeKey *key = NULL;
        Str token = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        const bool ok = arena != NULL && snowflake_key_new(text, STR(""), &key, &err) &&
                        snowflake_jwt_make(key, &claims, arena, &token, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (token.size > 0));
        snowflake_key_free(key);
    }
    EVP_PKEY_free(pkey);
}
