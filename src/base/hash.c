#include "base/hash.h"

#include "base/fault.h"

#include <assert.h>
#include <openssl/evp.h>

// As inline code: its library would be one more to load, and to bring along in the wheel.
#define XXH_INLINE_ALL
#include <xxhash.h>

static const char digits[] = "0123456789abcdef";

bool hasher_init(Hasher *hasher, Error *err)
{
    hasher->context = fault_here() ? NULL : EVP_MD_CTX_new();
    if (hasher->context == NULL)
        return error_set(err, ERROR_LIMIT, "hash: out of memory");
    if (EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1)
        return error_set(err, ERROR_IO, "hash: SHA-256 is not available");
    return true;
}

void hasher_start(Hasher *hasher)
{
    // A NULL type restarts with the algorithm already fetched, which is what makes small digests
    // cheap.
    const int ok = EVP_DigestInit_ex(hasher->context, NULL, NULL);
    assert(ok == 1);
    (void)ok;
}

void hasher_add(Hasher *hasher, Str bytes)
{
    const int ok = EVP_DigestUpdate(hasher->context, bytes.data, bytes.size);
    assert(ok == 1);
    (void)ok;
}

Sha256 hasher_finish(Hasher *hasher)
{
    Sha256 hash;
    const int ok = EVP_DigestFinal_ex(hasher->context, hash.bytes, NULL);
    assert(ok == 1);
    (void)ok;
    return hash;
}

void hasher_done(Hasher *hasher)
{
    EVP_MD_CTX_free(hasher->context);
    hasher->context = NULL;
}

Sha256 sha256(Str bytes)
{
    Sha256 hash;
    const int ok = EVP_Digest(bytes.data, bytes.size, hash.bytes, NULL, EVP_sha256(), NULL);
    assert(ok == 1);
    (void)ok;
    return hash;
}

Key128 key128(const Sha256 *hash)
{
    Key128 key;
    memcpy(key.bytes, hash->bytes, sizeof(key.bytes));
    return key;
}

Key128 content_hash(Str bytes)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data, bytes.size));
    Key128 key;
    memcpy(key.bytes, canonical.digest, sizeof(key.bytes));
    return key;
}

int key128_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(Key128));
}

void hex_encode(const unsigned char *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(Str text, unsigned char *bytes, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        const int high = digit_value(text.data[2 * i]);
        const int low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

void uuid_format(const unsigned char bytes[KEY_BYTES], char text[UUID_TEXT_BYTES + 1])
{
    char *out = text;
    for (size_t i = 0; i < KEY_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void uuid_new(Env *env, char text[UUID_TEXT_BYTES + 1])
{
    unsigned char bytes[KEY_BYTES];
    const uint64_t now_ms = (uint64_t)(env->now_us(env->state) / 1000);
    const uint64_t random[2] = {env->random(env->state), env->random(env->state)};
    memcpy(bytes, random, sizeof(bytes));
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(now_ms >> (8 * (5 - i)));
    bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0F));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3F));
    uuid_format(bytes, text);
}

int64_t uuid_time_us(Str uuid)
{
    enum { TIME_DIGITS = 12 };
    if (uuid.size != UUID_TEXT_BYTES || uuid.data[14] != '7')
        return 0;
    char text[TIME_DIGITS]; // a '-' stands behind the first eight
    memcpy(text, uuid.data, 8);
    memcpy(text + 8, uuid.data + 9, 4);
    unsigned char bytes[TIME_DIGITS / 2];
    if (!hex_decode((Str){text, sizeof(text)}, bytes, sizeof(bytes)))
        return 0;
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        ms = ms << 8 | bytes[i];
    return ms * 1000;
}
