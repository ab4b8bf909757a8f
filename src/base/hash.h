// Hash: SHA-256 and the identifiers made from it; XXH3 for content that is compared only.
#pragma once

#include "base/env.h"
#include "base/str.h"

enum { SHA256_BYTES = 32, KEY_BYTES = 16, UUID_TEXT_BYTES = 36 };

typedef struct Sha256 {
    unsigned char bytes[SHA256_BYTES];
} Sha256;

// 128 bits: _row_key, the first of a SHA-256, and _row_hash, an XXH3.
typedef struct Key128 {
    unsigned char bytes[KEY_BYTES];
} Key128;

// A running digest. init, add any number of times, finish once; done() in any case. One thread at a
// time.
typedef struct Hasher {
    void *context; // EVP_MD_CTX
} Hasher;

bool hasher_init(Hasher *hasher, Error *err) MUST_USE;
void hasher_start(
    Hasher *hasher); // begins a new digest; an initialised hasher is reused for millions
void hasher_add(Hasher *hasher, Str bytes);
Sha256 hasher_finish(Hasher *hasher);
void hasher_done(Hasher *hasher); // for CLEANUP()

Sha256 sha256(Str bytes);
Key128 key128(const Sha256 *hash);

// XXH3's 128 bits, as `xxhsum -H2` prints them. It tells two versions of one thing apart at the
// speed of memory; who must not be able to make two that agree needs sha256().
Key128 content_hash(Str bytes);

int key128_compare(const void *a, const void *b); // for qsort() and bsearch()

// Lower-case hexadecimal; `text` gets 2 * size + 1 bytes, NUL included.
void hex_encode(const unsigned char *bytes, size_t size, char *text);
bool hex_decode(Str text, unsigned char *bytes,
                size_t size); // false unless exactly 2 * size digits

// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and NUL.
void uuid_format(const unsigned char bytes[KEY_BYTES], char text[UUID_TEXT_BYTES + 1]);

// UUID version 7 (RFC 9562): sorts by creation time, which makes run ids readable in a listing.
void uuid_new(Env *env, char text[UUID_TEXT_BYTES + 1]);

// When it was made, in microseconds; 0 for one that is no version 7 (RFC 9562, 5.7: its first 48
// bits are milliseconds).
int64_t uuid_time_us(Str uuid);
