// Seal: a small JSON document with its version and its checksum around it, so that a flipped bit or
// a missing end is noticed before anybody acts on it:
//
//   {"schema":1,"kind":"slice","sha256":"<of the body's bytes>","body":<JSON>}
#pragma once

#include "base/arena.h"
#include "base/buf.h"

// `body` is one JSON value; `kind` a short word.
bool seal_write(const char *kind, Str body, Buf *out, Error *err) MUST_USE;

// The body as it was given, a part of `bytes`. ERROR_DATA, with `where` in front, when anything
// differs from what seal_write() wrote. Whether the body is JSON is for its reader to find out.
bool seal_read(const char *kind, Str bytes, const char *where, Str *ret_body, Error *err) MUST_USE;
