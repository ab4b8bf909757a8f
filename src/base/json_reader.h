// JsonReader: the fast way from JSON text to yyjson's values, for text that is all in order.
// Internal to base/json.
//
// An API's records repeat their members' names in one order, so the name that follows another is
// predicted: reading one costs a comparison, and strings that need no change stay where they are.
// Anything out of the ordinary (an error, bytes that are not UTF-8, half a surrogate pair, too
// deep) is declined, so that yyjson stays the judge of it and the author of messages.
#pragma once

#include "base/json.h"

// Longer text is declined: its values and yyjson's together might not fit into an arena.
enum { JSON_READER_BYTES_MAX = 16 * 1024 * 1024 };

// Reads `bytes`, which is copied, into values as yyjson_read() with YYJSON_READ_BIGNUM_AS_RAW
// leaves them in memory, numbers that a double does not hold kept raw as by
// json_number_keep_sent(). *ret_doc = NULL: declined.
bool json_reader_read(Str bytes, Arena *arena, yyjson_doc **ret_doc, Error *err) MUST_USE;
