// Text: how instants and spans are shown to people, and JSON to programs.
#pragma once

#include "base/json.h"
#include "base/time.h"

enum { SPAN_BYTES = 32 };

// "2 days 3 h", "2 h 05 min", "12 s".
void text_span(int64_t us, char text[SPAN_BYTES]);

// An object or array that is being written: members follow one another with commas.
typedef struct JsonOut {
    Buf text;
    Error *err;
    bool failed;
    bool comma;
} JsonOut;

void out_open(JsonOut *out, const char *name, char bracket); // name NULL in an array
void out_close(JsonOut *out, char bracket);
void out_str(JsonOut *out, const char *name, Str value);
void out_int(JsonOut *out, const char *name, int64_t value);
void out_bool(JsonOut *out, const char *name, bool value);
void out_time(JsonOut *out, const char *name, int64_t us); // INT64_MIN = null
void out_json(JsonOut *out, const char *name, Str json);   // empty = null
bool out_print(JsonOut *out);                              // to standard output, as one line
void out_done(JsonOut *out);                               // for CLEANUP()
