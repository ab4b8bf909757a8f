// Text: how instants and spans are shown to people, and JSON to programs.
#pragma once

#include "base/json.h"
#include "base/out.h"
#include "base/time.h"

enum { SPAN_BYTES = 32 };

// "2 days 3 h", "2 h 05 min", "12 s".
void text_span(int64_t us, char text[SPAN_BYTES]);

// What would move a terminal's cursor, or set its title, becomes blanks, in place: control
// characters, C1 ones in UTF-8 included. Names and messages come from an API. With `lines`, ends of
// lines stay.
void text_plain(char *text, size_t size, bool lines);

bool out_print(JsonOut *out); // to standard output, as one line
