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
    const Node *node;  // what the contract says of the path
    Str text;          // its canonical text, privacy applied; size 0 = not written yet
    bool odd;          // strings in it may hold NUL or bytes that are not UTF-8
    bool kept;         // must stay in _overflow
    bool taken;        // a column holds it
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

// Inline, since shape does nothing else so often: appends a string with quotes when nothing in it
// needs care (printable ASCII without '"' and '\'); false, with nothing appended, when something
// does, or when the room (see TEXT_SLACK) is not there.
enum { TEXT_SLACK = 16 };

static inline uint64_t text_load64(const char *bytes)
{
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

// Non-zero when a byte of `word` is below 0x20, above 0x7E, '"' or '\'. May also name a clean byte
// next to such a one; what it lets pass is clean.
static inline uint64_t text_odd_bytes(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = UINT64_C(0x8080808080808080);
    const uint64_t quote = word ^ (ones * '"');
    const uint64_t slash = word ^ (ones * '\\');
    return ((word - ones * 0x20) | (quote - ones) | (slash - ones) | (word + ones) | word) & high;
}

static inline bool text_put_plain(Buf *out, Str sent)
{
    if (out->capacity - out->size < sent.size + TEXT_SLACK)
        return false;
    char *to = out->data + out->size;
    const char *from = sent.data;
    size_t left = sent.size;
    *to++ = '"';
    for (; left >= 8; left -= 8, from += 8, to += 8) {
        const uint64_t word = text_load64(from);
        if (text_odd_bytes(word) != 0)
            return false;
        memcpy(to, &word, 8);
    }
    if (left > 0 && sent.size >= 8) {
        // The last eight bytes again: cheaper than one by one.
        const uint64_t word = text_load64(from + left - 8);
        if (text_odd_bytes(word) != 0)
            return false;
        memcpy(to + left - 8, &word, 8);
    } else if (left > 0) {
        char few[8] = "        ";
        for (size_t i = 0; i < left; i++)
            few[i] = from[i];
        const uint64_t word = text_load64(few);
        if (text_odd_bytes(word) != 0)
            return false;
        memcpy(to, &word, 8);
    }
    to[left] = '"';
    out->size += sent.size + 2;
    return true;
}
