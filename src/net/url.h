// Url: splitting, joining and encoding addresses (RFC 3986), and the question whether two share an
// origin.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

typedef struct Url {
    Str scheme;   // "https"
    Str user;     // "user:password" of the authority; refused by those who send requests
    Str host;     // without port; IPv6 without brackets
    Str port;     // as written; empty = the scheme's
    Str path;     // from '/'; may be empty
    Str query;    // behind '?', without it
    Str fragment; // behind '#'
} Url;

// Parts point into `text`. False when it is not an absolute http(s) URL, and when it holds what
// other readers of URLs understand in another way: control characters, blanks or backslashes, a
// host with anything but letters, digits, '.', '-' and '_'. So what an origin check has seen is
// what is dialled.
bool url_split(Str text, Url *ret_url);

// The port a connection goes to: as written, or the scheme's.
int url_port(const Url *url);

// Scheme, host (ignoring case) and effective port agree: credentials of one may go to the other.
// False when either is not a URL.
bool url_same_origin(Str a, Str b);

// RFC 3986 section 5.2, as Python's urllib.parse.urljoin does it. ERROR_DATA when brackets in the
// authority do not match.
bool url_join(Str base, Str reference, Arena *arena, Str *ret_url, Error *err) MUST_USE;

// Percent-encoding as Python's quote_plus (blank -> '+', "_.-~" kept) and its reverse. What is not
// a percent sequence stays as it is.
bool url_quote_plus(Str text, Buf *out, Error *err) MUST_USE;
bool url_unquote_plus(Str text, Buf *out, Error *err) MUST_USE;

// Python's quote(text, safe): blank -> "%20"; letters, digits, "_.-~" and the bytes of `safe` kept.
bool url_quote(Str text, Str safe, Buf *out, Error *err) MUST_USE;

// True for 127.0.0.0/8, ::1 and localhost.
bool url_host_is_loopback(Str host);
