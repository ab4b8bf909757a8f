// Shared key: signs a request with a storage account's key, as the Blob service wants it
// ("Authorize with Shared Key", version 2015-02-21 and later).
#pragma once

#include "base/buf.h"
#include "net/http.h"

enum { SHARED_KEY_BYTES_MAX = 128 };

typedef struct SharedKey {
    unsigned char bytes[SHARED_KEY_BYTES_MAX];
    size_t size;
} SharedKey;

// The key as the portal shows it, in base64. ERROR_JOB when it is none; the message does not show
// it.
bool shared_key_read(SharedKey *key, Str base64, Error *err) MUST_USE;
void shared_key_wipe(SharedKey *key);

typedef struct UrlPair {
    Str name, value; // not encoded
} UrlPair;

// What is signed. `path` is the URL's, as it goes over the wire; `pairs` the query, in any order.
// Headers: those of the request, of which x-ms-date must be one.
bool shared_key_text(Str account, const HttpRequest *request, Str path, const UrlPair *pairs,
                     size_t pair_count, Buf *out, Error *err) MUST_USE;

// The value of the Authorization header.
bool shared_key_sign(const SharedKey *key, Str account, Str text, Arena *arena,
                     Str *ret_authorization, Error *err) MUST_USE;
