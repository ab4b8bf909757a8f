// Jwt: what whoever signs a token of his own (RFC 7519) needs: base64url, and private keys in PEM.
#pragma once

#include "base/buf.h"

#include <openssl/types.h>

// RFC 7515: base64 of RFC 4648 section 5 without padding.
bool jwt_append_base64url(Buf *out, Str bytes, Error *err) MUST_USE;

// PKCS#8, encrypted with `passphrase` or not, or PKCS#1. NULL where no key is that it opens; the
// caller knows what to say of it, and frees the key.
EVP_PKEY *jwt_read_key(Str pem, Str passphrase);
