// Json: reading by yyjson, and the two things it does not do: places for messages and canonical
// text.
//
// yyjson takes pointers to non-const values even to read them, so ours are not const either; nobody
// changes one.
//
// A document's memory belongs to an arena: nothing to free, but nothing outlives the arena either.
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <yyjson.h>

// Deeper documents are refused before anything recurses into them.
enum { JSON_DEPTH_MAX = 512 };

// The text of a string; {NULL, 0} for anything else.
static inline Str json_str(yyjson_val *value)
{
    const char *text = yyjson_get_str(value);
    // yyjson's length of an array is its number of items.
    return (Str){text, text == NULL ? 0 : yyjson_get_len(value)};
}

// Member `name` of an object, or NULL.
static inline yyjson_val *json_get(yyjson_val *object, Str name)
{
    return yyjson_obj_getn(object, name.data, name.size);
}

// Parses strict JSON. `bytes` is copied, so it may go. ERROR_DATA says "<where>: line 3, column 7:
// ...", for an error, a depth over JSON_DEPTH_MAX, or bytes behind the document; ERROR_LIMIT that
// the arena is full. Numbers that neither 64 bits nor a double hold digit by digit are kept raw
// (yyjson_is_raw), so that 1e400, 1e-400 and 12345678901234567.89 lose nothing; 2.50 is 2.5.
bool json_parse(Str bytes, const char *where, Arena *arena, yyjson_doc **ret_doc,
                Error *err) MUST_USE;

// Like json_parse(), for what others sent: bytes in strings that are not UTF-8 stay as they are,
// and a lone surrogate ("\ud800") becomes the three bytes that UTF-8 would give it, so that nothing
// is lost and one bad string does not cost a page. Such strings are left without
// YYJSON_SUBTYPE_NOESC: whoever finds it on a string may take the text for well-formed UTF-8
// without any escape. Costs nothing where all is well.
bool json_parse_lenient(Str bytes, const char *where, Arena *arena, yyjson_doc **ret_doc,
                        Error *err) MUST_USE;

// A number as a double, the nearest one where it was kept raw (1e400: infinity). False for anything
// else.
bool json_to_double(yyjson_val *value, double *ret_number);

// A new object in `arena` with those members of `object` that `names` lists (`listed`), or with the
// others. No text is made of them on the way: they may be secrets.
bool json_pick(yyjson_val *object, const char *const *names, bool listed, Arena *arena,
               yyjson_val **ret_object, Error *err) MUST_USE;

// The value at a JSON pointer (RFC 6901: "/a/b~1c/0", "" = root), or NULL.
yyjson_val *json_pointer(yyjson_val *root, Str pointer);

// A member's name as a step of a JSON pointer, without the '/' in front ("a/b~" <-> "a~1b~0"), and
// back; a '~' at the end stands for itself. Both append.
bool json_write_step(Str name, Buf *out, Error *err) MUST_USE;
bool json_read_step(Str step, Buf *out, Error *err) MUST_USE;

// RFC 8785-like canonical text: members sorted by their bytes (duplicates stay, in their order), no
// white space, shortest escapes, integers as they are, doubles in ECMAScript's shortest form
// (1.0 -> 1, 1e21 -> 1e+21). A raw number stays as it was sent. Recursion is bounded.
bool json_write_canonical(yyjson_val *value, Buf *out, Error *err) MUST_USE;

// Compact text, members in their order; a double stays one (1.0).
bool json_write(yyjson_val *value, Buf *out, Error *err) MUST_USE;

// `text` with quotes and escapes. Invalid UTF-8 becomes U+FFFD, since JSON text cannot hold it.
bool json_write_str(Str text, Buf *out, Error *err) MUST_USE;

// The line (from 1) and column (from 1, in bytes) of an offset.
void json_place(Str bytes, size_t offset, size_t *ret_line, size_t *ret_column);
