// JsonNumber: the text of numbers, and those of a document that no double holds. Internal to
// base/json: others meet such a number as a raw value.
//
// A double holds a number when its shortest text says the same, digit by digit: 2.50 and 1e3, but
// not 12345678901234567.89 (which would be 12345678901234568) or 1e-400 (which would be 0).
#pragma once

#include "base/json.h"

enum { JSON_NUMBER_BYTES = 64 };

// The shortest text that reads as `number` again, with a point or an exponent (1.0, 1e21).
Str json_number_shortest(double number, char bytes[JSON_NUMBER_BYTES]);

// Makes the double `value`, which was read of `text`, a raw value in `arena` if it does not hold
// what was sent.
bool json_number_keep_sent(yyjson_val *value, Str text, Arena *arena, Error *err) MUST_USE;

// The same for every double of `doc`, which was read of `bytes`: looks through all of them.
bool json_number_keep_all(Str bytes, yyjson_doc *doc, Arena *arena, Error *err) MUST_USE;
