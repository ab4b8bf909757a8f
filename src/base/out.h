// Out: a JSON object or array while it is written. Members follow one another with commas; what
// fails is noted once, and the calls after it do nothing.
#pragma once

#include "base/buf.h"

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
void out_done(JsonOut *out);                               // for CLEANUP()
