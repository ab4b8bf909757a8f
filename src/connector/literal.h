// Literal: the escapes that Python's strings and templates share.
#pragma once

#include "base/arena.h"

// What stands between the quotes of a Python string, its escapes resolved. *ret_ok = false when an
// escape is broken (\x4, \ud800, \N{...}). False when memory runs out.
bool literal_unescape(Str text, Arena *arena, Str *ret_text, bool *ret_ok, Error *err) MUST_USE;
