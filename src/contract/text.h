// Text: the canonical JSON text of a record's values, the one building brick of shape: _row_hash is
// taken over it, json columns and _overflow are copied from it.
//
// It is what json_write_canonical() writes (members sorted by their bytes, shortest escapes, no
// white space), but can be stored anywhere and hides what the contract hides:
// - privacy of a node replaces the value (mask, hash) or leaves the member out (drop);
// - bytes that are not UTF-8 and U+0000 become U+FFFD, and the string as it was sent goes to the
// notes;
// - of several members with one name the last is written, the others go to the notes;
// - a member whose name is not clean is called "$name:<base64 of its bytes>".
//
// The notes are what canonical text could not hold, so that text and notes together lose nothing:
// "bytes" holds members `"<pointer>":"<base64>"`, "others" items
// `{"path":"<pointer>","value":...}`.
#pragma once

#include "base/bytes.h"
#include "base/hash.h"
#include "contract/plan.h"

typedef struct Text {
    Buf out;
    Buf bytes;   // notes: `"/name":"AAA=",` with a comma behind each
    Buf others;  // notes: `{"path":"/name","value":1},` likewise
    Buf members; // a stack: the members of the objects being sorted
    Hasher hasher;
    unsigned char inner_pad[64]; // HMAC's, of the privacy key
    unsigned char outer_pad[64];
    bool keyed;
    bool noting;        // false: write the text only, its notes are taken already
    bool skip_volatile; // leave volatile members out
    const struct Sourced
        *remaining; // leave out what columns hold, and nulls beside it (NULL = all)
} Text;

// A value found under one of a contract's paths, for one record.
typedef struct Sourced {
    yyjson_val *value; // NULL = absent or null
    uint32_t at;   // where its text begins, privacy applied, in the record's text or in what was
    uint32_t size; // put aside of it; size 0 = a part of another value's
    bool aside;
    bool odd;   // strings in it may hold NUL or bytes that are not UTF-8
    bool kept;  // must stay in _overflow
    bool taken; // a column holds it
} Sourced;

// Where a value stands in its record, for the notes: a chain up to the record.
typedef struct Place {
    const struct Place *up; // NULL = the record itself
    Str name;               // of an object's member
    size_t index;           // of an array's element, where name.data is NULL
} Place;

bool text_init(Text *text, Error *err) MUST_USE;
void text_done(Text *text);

// Hashed values become HMAC-SHA-256 under `key` instead of plain SHA-256. An empty key undoes it.
void text_set_privacy_key(Text *text, Str key);

// Appends `value` (any depth up to JSON_DEPTH_MAX, else ERROR_DATA). `node` says what the contract
// says of it, NULL = nothing. Not for a value under PRIVACY_DROP.
bool text_write(Text *text, yyjson_val *value, const Node *node, const Place *place,
                Error *err) MUST_USE;

// Takes `value` to the notes: it lost its place to a later member of the same name.
bool text_note_other(Text *text, yyjson_val *value, const Node *node, const Place *place,
                     Error *err) MUST_USE;

// Appends `"name":` as text_write() would.
bool text_write_name(Str name, Buf *out, Error *err) MUST_USE;

// What privacy makes of a value's text: masks keep the last four digits of anything that holds ten
// or more; hashes are 32 hexadecimal digits.
bool text_hide(Text *text, Privacy privacy, Str plain, Buf *out, Error *err) MUST_USE;

// `sent` with everything that PostgreSQL or JSON refuses replaced by U+FFFD.
bool text_clean(Str sent, Buf *out, Error *err) MUST_USE;
bool text_is_clean(Str sent);

// Appends standard base64 with padding.
bool text_write_base64(Str bytes, Buf *out, Error *err) MUST_USE;

// --- inline, since shape does nothing else so often

enum { TEXT_NUMBER_BYTES = 32 };

static inline bool text_room(Buf *out, size_t size, Error *err)
{
    return out->capacity - out->size >= size || buf_reserve(out, size, err);
}

static inline bool text_put_char(Buf *out, char c, Error *err)
{
    TRY(text_room(out, 1, err));
    out->data[out->size++] = c;
    return true;
}

static inline bool text_put_bytes(Buf *out, const char *bytes, size_t size, Error *err)
{
    TRY(text_room(out, size, err));
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
    return true;
}

// yyjson marks strings that it found to be printable ASCII without escapes, so nobody has to look
// again.
static inline bool text_is_plain(yyjson_val *value)
{
    return (value->tag & YYJSON_TAG_MASK) == (YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC);
}

// Appends a plain string with quotes; the room is there (its size and BYTES_SLACK).
static inline void text_put_plain(Buf *out, yyjson_val *value)
{
    const size_t size = unsafe_yyjson_get_len(value);
    char *to = out->data + out->size;
    out->size += size + 2;
    *to = '"';
    bytes_copy(to + 1, value->uni.str, size);
    to[size + 1] = '"';
}

// Writes an integer and returns what is behind it; TEXT_NUMBER_BYTES are there.
static inline char *text_put_integer(char *to, uint64_t value, bool negative)
{
    size_t size = 1;
    for (uint64_t left = value; left >= 10; left /= 10)
        size++;
    if (negative)
        *to++ = '-';
    for (size_t i = size; i > 0; i--, value /= 10)
        to[i - 1] = (char)('0' + value % 10);
    return to + size;
}
