// Text: how instants and spans are shown to people, and JSON to programs.
#pragma once

#include "base/json.h"
#include "base/out.h"
#include "base/time.h"

enum { SPAN_BYTES = 32 };

// "2 days 3 h", "2 h 05 min", "12 s".
void text_span(int64_t us, char text[SPAN_BYTES]);

bool out_print(JsonOut *out); // to standard output, as one line
