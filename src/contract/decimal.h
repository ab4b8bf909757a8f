// Decimal: exact decimal numbers from text, as Arrow's decimal128 holds them.
#pragma once

#include "base/str.h"

enum { DECIMAL_PRECISION_MAX = 38 };

// Reads "-12.50", "1e3", ".5" or "5." as value * 10^scale in two's complement, low word first.
// False when it is no number, has more than `precision` digits, or digits behind `scale` that are
// not zero.
bool decimal_parse(Str text, int precision, int scale, uint64_t ret_words[2]);

// value / 1000, if `scale` leaves room for that: false when digits would be lost.
bool decimal_divide_1000(uint64_t words[2]);
