// SnowflakeKey: the private key of a Snowflake user, and the tokens (JWT, RS256) that it signs.
//
// Snowflake knows the key by its fingerprint: SHA-256 over the DER of the public part. Nothing here
// is ever logged: errors name neither key, passphrase nor token.
#pragma once

#include "base/arena.h"

typedef struct SnowflakeKey SnowflakeKey;

// From PEM: PKCS#8, encrypted ("ENCRYPTED PRIVATE KEY", with `passphrase`) or not, or PKCS#1.
// ERROR_ACCESS for a wrong passphrase, anything but RSA, or less than 2048 bits.
bool snowflake_key_new(Str pem, Str passphrase, SnowflakeKey **ret_key, Error *err) MUST_USE;
void snowflake_key_free(SnowflakeKey *key); // NULL is fine

// "SHA256:<base64>", as DESC USER shows it (RSA_PUBLIC_KEY_FP).
const char *snowflake_key_fingerprint(const SnowflakeKey *key);

// Who a token is for, from when and how long it is valid (Snowflake takes an hour at most).
typedef struct SnowflakeClaims {
    Str account, user;
    int64_t from_us, life_us;
} SnowflakeClaims;
bool snowflake_jwt_make(const SnowflakeKey *key, const SnowflakeClaims *claims, Arena *arena,
                        Str *ret_token, Error *err) MUST_USE;
