// A page reader's insides, for src/connector/page_*.c only.
#pragma once

#include "connector/engine.h"

struct PageReader {
    const Stream *stream;
    Arena *arena;
    Value slice;
    yyjson_val *extra;
    Value token; // none on a first page without one
    Buf token_text;
    Buf redirect;
    size_t redirects;
    bool is_get;  // a redirect turned the method into GET
    bool foreign; // one led to another origin, where nothing goes that says who we are
    bool done;
    int64_t attempts;
    bool has_bounds;
    int64_t from_us;
    int64_t to_us;
};

// A member of a map that templates see; the first of a name stays.
void page_add_pair(ValuePair *pairs, size_t *count, Str key, Value value);

// What templates see of the slice; and of the page that is asked for, too.
bool page_slice_frame(const PageReader *reader, Frame *frame, Error *err) MUST_USE;
bool page_request_frame(const PageReader *reader, Arena *arena, Frame *frame, Error *err) MUST_USE;
