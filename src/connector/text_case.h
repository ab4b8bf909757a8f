// Text case: upper and lower case of code points, for the scripts that names in data are written
// in.
//
// ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; others keep their case. No locale.
#pragma once

#include "base/buf.h"

#include <stdint.h>

uint32_t code_upper(uint32_t code);
uint32_t code_lower(uint32_t code);
bool code_is_letter(uint32_t code); // of those scripts; beyond them every code point counts as one

// Reads a code point at `*at` and moves behind it; a byte that is not UTF-8 counts as itself.
uint32_t code_next(Str text, size_t *at);

typedef enum TextCase {
    CASE_UPPER,
    CASE_LOWER,
    CASE_SWAP,
    CASE_CAPITAL, // the first letter upper, the rest lower
    CASE_TITLE,   // that for each word
} TextCase;

// str.upper(), .lower(), .swapcase(), .capitalize(), .title().
bool text_change_case(Str text, TextCase to, Buf *out, Error *err) MUST_USE;
