#include "contract/text.h"

#include <assert.h>
#include <endian.h>
#include <math.h>
#include <stdlib.h>

// Objects of up to FEW_MEMBERS are sorted by insertion.
enum { FEW_MEMBERS = 32, MASK_DIGITS_MIN = 10, MASK_DIGITS_SHOWN = 4 };

typedef struct Member {
    uint64_t
        prefix; // first eight bytes of the name, most significant first: decides most comparisons
    yyjson_val *name;
} Member;

bool text_init(Text *text, Error *err)
{
    *text = (Text){.noting = true};
    return hasher_init(&text->hasher, err);
}

void text_done(Text *text)
{
    buf_done(&text->out);
    buf_done(&text->bytes);
    buf_done(&text->others);
    buf_done(&text->members);
    hasher_done(&text->hasher);
}

// --- strings

bool text_is_clean(Str sent)
{
    return memchr(sent.size > 0 ? sent.data : "x", '\0', sent.size) == NULL && str_is_utf8(sent);
}

bool text_clean(Str sent, Buf *out, Error *err)
{
    while (sent.size > 0) {
        size_t good = str_utf8_size(sent);
        const char *nul = memchr(sent.data, '\0', good);
        if (nul != NULL)
            good = (size_t)(nul - sent.data);
        TRY(buf_append(out, str_slice(sent, 0, good), err));
        if (good == sent.size)
            break;
        TRY(buf_append(out, STR("\xEF\xBF\xBD"), err));
        sent = str_slice(sent, good + 1, sent.size);
    }
    return true;
}

bool text_write_base64(Str bytes, Buf *out, Error *err)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    TRY(buf_reserve(out, (bytes.size + 2) / 3 * 4, err));
    for (size_t i = 0; i < bytes.size; i += 3) {
        const size_t left = bytes.size - i;
        uint32_t word = (uint32_t)(unsigned char)bytes.data[i] << 16;
        if (left > 1)
            word |= (uint32_t)(unsigned char)bytes.data[i + 1] << 8;
        if (left > 2)
            word |= (uint32_t)(unsigned char)bytes.data[i + 2];
        char four[4];
        for (int digit = 0; digit < 4; digit++)
            four[digit] = letters[(word >> (18 - 6 * digit)) & 63];
        if (left < 3)
            four[3] = '=';
        if (left < 2)
            four[2] = '=';
        TRY(buf_append(out, (Str){four, sizeof(four)}, err));
    }
    return true;
}

bool text_write_name(Str name, Buf *out, Error *err)
{
    if (text_is_clean(name)) {
        TRY(json_write_str(name, out, err));
    } else {
        TRY(buf_append(out, STR("\"$name:"), err));
        TRY(text_write_base64(name, out, err));
        TRY(buf_append_char(out, '"', err));
    }
    return buf_append_char(out, ':', err);
}

// --- notes

// One step of a JSON pointer inside a JSON string.
static bool write_step(const Place *place, Buf *out, Error *err)
{
    if (place->name.data == NULL)
        return buf_printf(out, err, "/%zu", place->index);
    CLEANUP(buf_done) Buf step = {0};
    CLEANUP(buf_done) Buf coded = {0};
    Str name = place->name;
    if (!text_is_clean(name)) {
        TRY(buf_append(&coded, STR("$name:"), err));
        TRY(text_write_base64(name, &coded, err));
        name = buf_str(&coded);
    }
    TRY(buf_append_char(&step, '/', err) && json_write_step(name, &step, err));
    // Without the quotes that json_write_str() puts around it.
    const size_t start = out->size;
    TRY(json_write_str(buf_str(&step), out, err));
    memmove(out->data + start, out->data + start + 1, out->size - start - 2);
    out->size -= 2;
    return true;
}

static bool write_pointer(const Place *place, Buf *out, Error *err)
{
    const Place *steps[JSON_DEPTH_MAX + 2];
    size_t count = 0;
    for (; place != NULL && count < sizeof(steps) / sizeof(steps[0]); place = place->up)
        steps[count++] = place;
    TRY(buf_append_char(out, '"', err));
    while (count > 0)
        TRY(write_step(steps[--count], out, err));
    return buf_append_char(out, '"', err);
}

static bool note_bytes(Text *text, Str sent, const Place *place, Error *err)
{
    if (!text->noting)
        return true;
    TRY(write_pointer(place, &text->bytes, err));
    TRY(buf_append(&text->bytes, STR(":\""), err));
    TRY(text_write_base64(sent, &text->bytes, err));
    return buf_append(&text->bytes, STR("\","), err);
}

// NOLINTNEXTLINE(misc-no-recursion): once, since `noting` is false below
bool text_note_other(Text *text, yyjson_val *value, const Node *node, const Place *place,
                     Error *err)
{
    if (!text->noting || (node != NULL && node->privacy == PRIVACY_DROP))
        return true;
    // Written behind the text, then moved: one writer is enough. Notes of the value itself would
    // stand in the middle of this one, so its odd strings are kept mended only.
    const size_t start = text->out.size;
    text->noting = false;
    const bool written = text_write(text, value, node, place, err);
    text->noting = true;
    TRY(written);
    Buf *others = &text->others;
    TRY(buf_append(others, STR("{\"path\":"), err));
    TRY(write_pointer(place, others, err));
    TRY(buf_append(others, STR(",\"value\":"), err));
    TRY(buf_append(others, (Str){text->out.data + start, text->out.size - start}, err));
    text->out.size = start;
    return buf_append(others, STR("},"), err);
}

// --- privacy

void text_set_privacy_key(Text *text, Str key)
{
    // RFC 2104: a key longer than a block is hashed first.
    Sha256 hashed;
    if (key.size > sizeof(text->inner_pad)) {
        hashed = sha256(key);
        key = (Str){(const char *)hashed.bytes, sizeof(hashed.bytes)};
    }
    text->keyed = key.size > 0;
    for (size_t i = 0; i < sizeof(text->inner_pad); i++) {
        const unsigned char byte = i < key.size ? (unsigned char)key.data[i] : 0;
        text->inner_pad[i] = byte ^ 0x36;
        text->outer_pad[i] = byte ^ 0x5C;
    }
}

static Sha256 keyed_hash(Text *text, Str plain)
{
    hasher_start(&text->hasher);
    if (text->keyed)
        hasher_add(&text->hasher, (Str){(const char *)text->inner_pad, sizeof(text->inner_pad)});
    hasher_add(&text->hasher, plain);
    const Sha256 inner = hasher_finish(&text->hasher);
    if (!text->keyed)
        return inner;
    hasher_start(&text->hasher);
    hasher_add(&text->hasher, (Str){(const char *)text->outer_pad, sizeof(text->outer_pad)});
    hasher_add(&text->hasher, (Str){(const char *)inner.bytes, sizeof(inner.bytes)});
    return hasher_finish(&text->hasher);
}

static bool mask(Str plain, Buf *out, Error *err)
{
    char last[MASK_DIGITS_SHOWN];
    size_t digits = 0;
    for (size_t i = plain.size; i > 0; i--) {
        const char c = plain.data[i - 1];
        if (c < '0' || c > '9')
            continue;
        if (digits < MASK_DIGITS_SHOWN)
            last[MASK_DIGITS_SHOWN - 1 - digits] = c;
        digits++;
    }
    TRY(buf_append(out, STR("***"), err));
    if (digits < MASK_DIGITS_MIN)
        return true;
    return buf_append(out, (Str){last, sizeof(last)}, err);
}

bool text_hide(Text *text, Privacy privacy, Str plain, Buf *out, Error *err)
{
    assert(privacy == PRIVACY_MASK || privacy == PRIVACY_HASH);

    if (privacy == PRIVACY_MASK)
        return mask(plain, out, err);
    const Sha256 hash = keyed_hash(text, plain);
    char hex[2 * KEY_BYTES + 1];
    hex_encode(hash.bytes, KEY_BYTES, hex);
    return buf_append(out, (Str){hex, sizeof(hex) - 1}, err);
}

// A hidden value is a JSON string, whatever it was; a null stays null.
static bool write_hidden(Text *text, yyjson_val *value, Privacy privacy, Error *err)
{
    CLEANUP(buf_done) Buf hidden = {0};
    CLEANUP(buf_done) Buf plain = {0};
    Str sent = json_str(value);
    if (!yyjson_is_str(value)) {
        TRY(json_write_canonical(value, &plain, err));
        sent = buf_str(&plain);
    }
    TRY(text_hide(text, privacy, sent, &hidden, err));
    return json_write_str(buf_str(&hidden), &text->out, err);
}

// --- values

static bool write_str(Text *text, yyjson_val *value, const Place *place, Error *err)
{
    const Str sent = {unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value)};
    if (text_is_plain(value)) {
        TRY(text_room(&text->out, sent.size + BYTES_SLACK + 2, err));
        text_put_plain(&text->out, value);
        return true;
    }
    if (text_is_clean(sent))
        return json_write_str(sent, &text->out, err);
    TRY(note_bytes(text, sent, place, err));
    CLEANUP(buf_done) Buf clean = {0};
    TRY(text_clean(sent, &clean, err));
    return json_write_str(buf_str(&clean), &text->out, err);
}

// Doubles that are a decimal number of at most fifteen digits, six of them behind the point, are
// most that APIs send. No two such numbers read as the same double, so the digits found here are
// the shortest.
static bool put_short_double(Buf *out, double value)
{
    const double size = fabs(value);
    const bool small = size < 1e9;
    if (!(size >= 1e-3 && size < 1e12))
        return false;
    uint64_t digits = (uint64_t)(size * (small ? 1e6 : 1e3) + 0.5);
    if ((double)digits / (small ? 1e6 : 1e3) != size)
        return false;
    unsigned places = small ? 6 : 3;
    for (; places > 0 && digits % 10 == 0; places--)
        digits /= 10;
    uint64_t one = 1;
    for (unsigned i = 0; i < places; i++)
        one *= 10;
    char *to = text_put_integer(out->data + out->size, digits / one, value < 0);
    if (places > 0) {
        *to = '.';
        uint64_t fraction = digits % one;
        for (unsigned i = places; i > 0; i--, fraction /= 10)
            to[i] = (char)('0' + fraction % 10);
        to += places + 1;
    }
    out->size = (size_t)(to - out->data);
    return true;
}

static bool write_number(Text *text, yyjson_val *value, Error *err)
{
    TRY(text_room(&text->out, (size_t)2 * TEXT_NUMBER_BYTES, err));
    if (unsafe_yyjson_is_real(value))
        return put_short_double(&text->out, value->uni.f64) ||
               json_write_canonical(value, &text->out, err);
    const bool negative = unsafe_yyjson_is_sint(value) && value->uni.i64 < 0;
    Buf *out = &text->out;
    const char *end = text_put_integer(out->data + out->size,
                                       negative ? 0 - value->uni.u64 : value->uni.u64, negative);
    out->size = (size_t)(end - out->data);
    return true;
}

static uint64_t name_prefix(yyjson_val *name)
{
    return be64toh(bytes_load(unsafe_yyjson_get_str(name), unsafe_yyjson_get_len(name)));
}

// Of two members with one name the earlier comes first.
static int member_compare(const void *left, const void *right)
{
    const Member *a = left;
    const Member *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    const int order = str_compare(json_str(a->name), json_str(b->name));
    return order != 0 ? order : (a->name > b->name) - (a->name < b->name);
}

// Insertion: a few members, which servers mostly send in the same order, and often sorted.
static void sort_few(Member *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const Member member = members[i];
        size_t at = i;
        for (; at > 0 && member_compare(&member, &members[at - 1]) < 0; at--)
            members[at] = members[at - 1];
        members[at] = member;
    }
}

// Sorts an object's members onto the stack; returns where they begin. The stack may move while they
// are written, so they are reached by index.
static bool push_members(Text *text, yyjson_val *object, size_t *ret_start, Error *err)
{
    const size_t count = unsafe_yyjson_get_len(object);
    TRY(buf_reserve(&text->members, (count + 1) * sizeof(Member), err)); // never nothing: NULL + 0
    const size_t start = text->members.size;
    Member *members = (Member *)(void *)(text->members.data + start);
    yyjson_val *name = object + 1;
    for (size_t i = 0; i < count; i++, name = unsafe_yyjson_get_next(name + 1))
        members[i] = (Member){name_prefix(name), name};
    if (count <= FEW_MEMBERS)
        sort_few(members, count);
    else
        qsort(members, count, sizeof(*members), member_compare);
    text->members.size += count * sizeof(Member);
    *ret_start = start;
    return true;
}

// True when the next member has the same name, which comes later and therefore wins.
static bool is_outdone(const Member *member, const Member *next)
{
    return member->prefix == next->prefix &&
           str_equal(json_str(member->name), json_str(next->name));
}

static bool write_value(Text *text, yyjson_val *value, const Node *node, const Place *place,
                        size_t depth, Error *err);

// Most values inside others are short and plain; false when this one is not, or has no room.
static inline bool write_simple(Buf *out, yyjson_val *value)
{
    const uint8_t kind = value->tag & YYJSON_TAG_MASK;
    const size_t size = unsafe_yyjson_get_len(value); // of a string
    const size_t room = out->capacity - out->size;
    if (kind == (YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC)) {
        if (room < size + BYTES_SLACK + 2)
            return false;
        text_put_plain(out, value);
        return true;
    }
    if (kind != (YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT) || room < TEXT_NUMBER_BYTES)
        return false;
    out->size =
        (size_t)(text_put_integer(out->data + out->size, value->uni.u64, false) - out->data);
    return true;
}

// A node that changes nothing, here or below, need not be carried on.
static const Node *interesting(const Text *text, const Node *node)
{
    if (node == NULL || node->privacy_below || node->volatile_below ||
        node->privacy != PRIVACY_KEEP || (text->remaining != NULL && node->sources_below))
        return node;
    return NULL;
}

// True for a member that is not to be written.
static bool is_left_out(const Text *text, const Node *node, yyjson_val *value)
{
    if (text->remaining != NULL && unsafe_yyjson_is_null(value))
        return true;
    if (node == NULL)
        return false;
    if (node->privacy == PRIVACY_DROP || (node->is_volatile && text->skip_volatile))
        return true;
    if (text->remaining == NULL || node->source == NO_SOURCE)
        return false;
    const Sourced *sourced = &text->remaining[node->source];
    return sourced->value == value && sourced->taken && !sourced->kept;
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_member(Text *text, yyjson_val *name, const Node *node, const Place *place,
                         size_t depth, Error *err)
{
    if (text_is_plain(name)) {
        Buf *out = &text->out;
        TRY(text_room(out, unsafe_yyjson_get_len(name) + BYTES_SLACK + 3, err));
        text_put_plain(out, name);
        out->data[out->size++] = ':';
    } else {
        TRY(text_write_name(json_str(name), &text->out, err));
    }
    if (node == NULL && write_simple(&text->out, name + 1))
        return true;
    return write_value(text, name + 1, node, place, depth, err);
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_members(Text *text, yyjson_val *object, const Node *node, const Place *place,
                          size_t start, size_t depth, Error *err)
{
    const size_t count = unsafe_yyjson_get_len(object);
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        const Member *member = (const Member *)(void *)(text->members.data + start) + i;
        yyjson_val *name = member->name;
        const Str sent = {unsafe_yyjson_get_str(name), unsafe_yyjson_get_len(name)};
        const Node *below = node == NULL ? NULL : node_member(node, sent);
        if (node != NULL && is_left_out(text, below, name + 1))
            continue;
        const Place here = {place, sent, 0};
        if (i + 1 < count && is_outdone(member, member + 1)) {
            TRY(text_note_other(text, name + 1, below, &here, err));
            continue;
        }
        const size_t before = text->out.size;
        if (!first)
            TRY(text_put_char(&text->out, ',', err));
        TRY(write_member(text, name, interesting(text, below), &here, depth, err));
        if (text->remaining != NULL && below != NULL && below->sources_below &&
            str_ends_with(buf_str(&text->out), STR(":{}")))
            text->out.size = before; // columns hold all of it
        else
            first = false;
    }
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_object(Text *text, yyjson_val *object, const Node *node, const Place *place,
                         size_t depth, Error *err)
{
    size_t start = 0;
    TRY(push_members(text, object, &start, err));
    TRY(text_put_char(&text->out, '{', err));
    const bool ok = write_members(text, object, node, place, start, depth, err);
    text->members.size = start;
    return ok && text_put_char(&text->out, '}', err);
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth
static bool write_array(Text *text, yyjson_val *array, const Node *node, const Place *place,
                        size_t depth, Error *err)
{
    const Node *below = node == NULL ? NULL : node->any;
    const bool dropped = below != NULL && (below->privacy == PRIVACY_DROP ||
                                           (below->is_volatile && text->skip_volatile));
    const size_t count = dropped ? 0 : unsafe_yyjson_get_len(array);
    TRY(text_put_char(&text->out, '[', err));
    yyjson_val *item = array + 1;
    for (size_t i = 0; i < count; i++, item = unsafe_yyjson_get_next(item)) {
        if (i > 0)
            TRY(text_put_char(&text->out, ',', err));
        if (node == NULL && write_simple(&text->out, item))
            continue;
        const Place here = {.up = place, .index = i};
        TRY(write_value(text, item, interesting(text, below), &here, depth, err));
    }
    return text_put_char(&text->out, ']', err);
}

// NOLINTNEXTLINE(misc-no-recursion): stops at JSON_DEPTH_MAX
static bool write_value(Text *text, yyjson_val *value, const Node *node, const Place *place,
                        size_t depth, Error *err)
{
    if (node != NULL && node->privacy != PRIVACY_KEEP && !unsafe_yyjson_is_null(value))
        return write_hidden(text, value, node->privacy, err);
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        return write_str(text, value, place, err);
    case YYJSON_TYPE_NUM:
        return write_number(text, value, err);
    case YYJSON_TYPE_NULL:
        return text_put_bytes(&text->out, "null", 4, err);
    case YYJSON_TYPE_BOOL:
        return buf_append(&text->out, unsafe_yyjson_is_true(value) ? STR("true") : STR("false"),
                          err);
    case YYJSON_TYPE_RAW:
        return buf_append(&text->out, (Str){value->uni.str, unsafe_yyjson_get_len(value)}, err);
    default:
        break;
    }
    if (depth == JSON_DEPTH_MAX)
        return error_set(err, ERROR_DATA, "nested more than %d deep", JSON_DEPTH_MAX);
    return unsafe_yyjson_is_obj(value) ? write_object(text, value, node, place, depth + 1, err)
                                       : write_array(text, value, node, place, depth + 1, err);
}

// NOLINTNEXTLINE(misc-no-recursion): write_value() bounds the depth, text_note_other() comes once
bool text_write(Text *text, yyjson_val *value, const Node *node, const Place *place, Error *err)
{
    assert(node == NULL || node->privacy != PRIVACY_DROP);

    const size_t members = text->members.size;
    const bool ok = write_value(text, value, node, place, 0, err);
    text->members.size = members;
    return ok;
}
