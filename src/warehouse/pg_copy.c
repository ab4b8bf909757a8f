#include "warehouse/pg_copy.h"

#include "base/bytes.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

// Days and microseconds between 1970-01-01 and 2000-01-01, from which PostgreSQL counts.
#define PG_EPOCH_DAYS 10957
#define PG_EPOCH_US   INT64_C(946684800000000)

// The signature, flags and the length of an extension that there is not.
const Str pg_copy_head = {"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", 19};
const Str pg_copy_foot = {"\xff\xff", 2};

enum {
    SIZE_BYTES = 4,          // before each field
    NUMERIC_BASE = 10000,    // NUMERIC's digits
    NUMERIC_DIGITS = 4,      // decimal ones in each
    NUMERIC_GROUPS_MAX = 11, // 38 decimal digits, the point anywhere
    NUMERIC_HEAD_BYTES = 8,
    NUMERIC_MINUS = 0x4000,
    JSONB_VERSION = 1,
};

// A number whose literal is shorter than this and has an exponent of fewer digits fits JSONB.
enum { JSON_PLAIN_BYTES = 6000, EXPONENT_DIGITS = 4 };

static size_t fixed_bytes(ColumnType type)
{
    switch (type) {
    case COLUMN_STRING:
        return 0;
    case COLUMN_JSON:
    case COLUMN_BOOLEAN:
        return 1;
    case COLUMN_DATE:
        return sizeof(int32_t);
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
    case COLUMN_TIMESTAMP:
        return sizeof(int64_t);
    case COLUMN_DECIMAL:
        return NUMERIC_HEAD_BYTES + NUMERIC_GROUPS_MAX * sizeof(int16_t);
    case COLUMN_KEY:
        break;
    }
    return KEY_BYTES;
}

bool pg_copy_init(PgCopy *copy, const Column *columns, size_t count, size_t tail_fields,
                  Arena *arena, Error *err)
{
    assert(count + tail_fields <= INT16_MAX);
    *copy = (PgCopy){.column_count = count, .tail_fields = tail_fields, .row_bytes = 2};
    copy->columns = arena_alloc_array(arena, count, sizeof(PgCopyColumn), err);
    TRY(copy->columns != NULL || count == 0);
    for (size_t i = 0; i < count; i++) {
        copy->columns[i] = (PgCopyColumn){.type = columns[i].type, .scale = columns[i].scale};
        copy->row_bytes += SIZE_BYTES + fixed_bytes(columns[i].type);
    }
    return true;
}

void pg_copy_take(PgCopy *copy, const struct ArrowArray *array)
{
    assert(array->n_children == (int64_t)copy->column_count);
    for (size_t i = 0; i < copy->column_count; i++) {
        const struct ArrowArray *child = array->children[i];
        PgCopyColumn *column = &copy->columns[i];
        const bool has_text = column->type == COLUMN_STRING || column->type == COLUMN_JSON;
        column->offset = (size_t)(array->offset + child->offset);
        column->valid = child->null_count == 0 ? NULL : child->buffers[0];
        column->values = child->buffers[1];
        column->text = has_text ? child->buffers[2] : NULL;
    }
}

// --- fields, written where there is room

static char *put16(char *at, uint16_t value)
{
    const uint16_t big = htobe16(value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

static char *put32(char *at, uint32_t value)
{
    const uint32_t big = htobe32(value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

static char *put64(char *at, uint64_t value)
{
    const uint64_t big = htobe64(value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

// Divides a 128-bit magnitude by a small number; the remainder.
static uint32_t divide(uint64_t words[2], uint32_t by)
{
    if (words[1] == 0) {
        const uint32_t rest = (uint32_t)(words[0] % by);
        words[0] /= by;
        return rest;
    }
    uint64_t rest = words[1] % by;
    words[1] /= by;
    uint64_t part = rest << 32 | words[0] >> 32;
    const uint64_t high = part / by;
    rest = part % by;
    part = rest << 32 | (words[0] & UINT32_MAX);
    words[0] = high << 32 | part / by;
    return (uint32_t)(part % by);
}

// numeric_recv(): groups of four decimal digits, most significant first; weight = how many stand
// before the point, less one; sign; digits behind the point.
static char *put_numeric(char *at, const uint8_t *value, int scale)
{
    static const uint32_t tens[] = {1, 10, 100, 1000};
    uint64_t words[2]; // two's complement, low word first
    memcpy(words, value, sizeof(words));
    const bool minus = words[1] >> 63 != 0;
    if (minus) {
        words[0] = ~words[0] + 1;
        words[1] = ~words[1] + (words[0] == 0 ? 1 : 0);
    }
    uint16_t groups[NUMERIC_GROUPS_MAX + 1]; // least significant first
    int count = 0;
    const int behind = (scale + NUMERIC_DIGITS - 1) / NUMERIC_DIGITS; // groups behind the point
    const int odd = scale % NUMERIC_DIGITS;
    if (odd != 0)
        groups[count++] = (uint16_t)(divide(words, tens[odd]) * tens[NUMERIC_DIGITS - odd]);
    while (words[0] != 0 || words[1] != 0) {
        assert(count <= NUMERIC_GROUPS_MAX);
        groups[count++] = (uint16_t)divide(words, NUMERIC_BASE);
    }
    while (count > 0 && groups[count - 1] == 0)
        count--;
    int first = 0;
    while (first < count && groups[first] == 0)
        first++;
    const int weight = count == 0 ? 0 : count - behind - 1;
    at = put32(at, (uint32_t)(NUMERIC_HEAD_BYTES + 2 * (count - first)));
    at = put16(at, (uint16_t)(count - first));
    at = put16(at, (uint16_t)weight);
    at = put16(at, minus ? NUMERIC_MINUS : 0);
    at = put16(at, (uint16_t)scale);
    for (int i = count - 1; i >= first; i--)
        at = put16(at, groups[i]);
    return at;
}

static bool get_bit(const uint8_t *bits, size_t index)
{
    return (bits[index / 8] >> index % 8 & 1) != 0;
}

// A field that is not null and no text.
static char *put_fixed(char *at, const PgCopyColumn *column, size_t index)
{
    int64_t wide = 0;
    int32_t narrow = 0;
    switch (column->type) {
    case COLUMN_BOOLEAN:
        at = put32(at, 1);
        *at++ = get_bit(column->values, index) ? 1 : 0;
        return at;
    case COLUMN_DATE:
        memcpy(&narrow, column->values + index * sizeof(narrow), sizeof(narrow));
        return put32(put32(at, sizeof(narrow)), (uint32_t)(narrow - PG_EPOCH_DAYS));
    case COLUMN_TIMESTAMP:
        memcpy(&wide, column->values + index * sizeof(wide), sizeof(wide));
        return put64(put32(at, sizeof(wide)), (uint64_t)(wide - PG_EPOCH_US));
    case COLUMN_DECIMAL:
        return put_numeric(at, column->values + index * 2 * sizeof(wide), column->scale);
    case COLUMN_KEY:
        at = put32(at, KEY_BYTES);
        memcpy(at, column->values + index * KEY_BYTES, KEY_BYTES);
        return at + KEY_BYTES;
    case COLUMN_INT64:
    case COLUMN_DOUBLE: // both as eight bytes, most significant first
    case COLUMN_STRING:
    case COLUMN_JSON:
        break;
    }
    memcpy(&wide, column->values + index * sizeof(wide), sizeof(wide));
    return put64(put32(at, sizeof(wide)), (uint64_t)wide);
}

// --- numbers that JSONB cannot hold

// Whether a look at each number is due: the text is long, or holds what may be a large exponent.
static bool may_hold_huge_number(Str json)
{
    if (json.size >= JSON_PLAIN_BYTES)
        return true;
    for (size_t i = 1; i + EXPONENT_DIGITS < json.size; i++) {
        const char *c = json.data + i;
        if ((*c | 0x20) != 'e' || c[-1] < '0' || c[-1] > '9')
            continue;
        size_t at = i + 1 + (c[1] == '+' || c[1] == '-' ? 1 : 0);
        size_t digits = 0;
        while (at < json.size && json.data[at] >= '0' && json.data[at] <= '9' &&
               digits < EXPONENT_DIGITS) {
            at++;
            digits++;
        }
        if (digits == EXPONENT_DIGITS)
            return true;
    }
    return false;
}

// What numeric_in() takes: the value's first digit and its last one must lie within what NUMERIC
// may have. Judged by the literal's length and exponent, so a few that would fit are counted out.
static bool fits_jsonb(Str literal)
{
    enum { BEFORE_POINT_MAX = 131072, BEHIND_POINT_MAX = 16383 };
    size_t at = 0;
    while (at < literal.size && (literal.data[at] | 0x20) != 'e')
        at++;
    int64_t exponent = 0;
    if (at < literal.size) {
        const size_t sign = literal.data[at + 1] == '+' ? 2 : 1;
        if (!str_to_int64(str_slice(literal, at + sign, literal.size), &exponent))
            return false;
    }
    const Str digits = str_slice(literal, 0, at);
    const size_t point = str_find_char(digits, '.');
    const int64_t behind = point == digits.size ? 0 : (int64_t)(digits.size - point - 1);
    const int64_t limit = INT64_C(1000000);
    return exponent > -limit && exponent < limit && (int64_t)point + exponent <= BEFORE_POINT_MAX &&
           behind - exponent <= BEHIND_POINT_MAX;
}

// The text with each number that does not fit as a string.
static bool quote_huge_numbers(Str json, Buf *out, Error *err)
{
    size_t at = 0;
    while (at < json.size) {
        const size_t start = at;
        const char c = json.data[at];
        if (c == '"') {
            for (at++; at < json.size && json.data[at] != '"'; at++)
                at += json.data[at] == '\\' ? 1 : 0;
            at++;
        } else if (c == '-' || byte_is_digit(c)) {
            while (at < json.size && byte_is_of_number(json.data[at]))
                at++;
        } else {
            at++;
        }
        const Str piece = str_slice(json, start, at - start);
        if (!byte_is_of_number(c) || c == 'e' || c == 'E' || fits_jsonb(piece))
            TRY(buf_append(out, piece, err));
        else
            TRY(buf_append(out, STR("\"$number:"), err) && buf_append(out, piece, err) &&
                buf_append_char(out, '"', err));
    }
    return true;
}

// --- texts

static Str text_at(const PgCopyColumn *column, size_t index)
{
    int32_t offsets[2];
    memcpy(offsets, column->values + index * sizeof(int32_t), sizeof(offsets));
    if (column->text == NULL) // Arrow's buffer of nothing but empty texts
        return (Str){NULL, 0};
    return (Str){(const char *)column->text + offsets[0], (size_t)(offsets[1] - offsets[0])};
}

static bool append_odd_json(Str json, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf mended = {.limit_bytes = out->limit_bytes};
    TRY(quote_huge_numbers(json, &mended, err));
    TRY(buf_reserve(out, SIZE_BYTES + 1 + mended.size, err));
    (void)put32(out->data + out->size, (uint32_t)(mended.size + 1));
    out->data[out->size + SIZE_BYTES] = JSONB_VERSION;
    out->size += SIZE_BYTES + 1;
    return buf_append(out, buf_str(&mended), err);
}

static bool append_text(const PgCopyColumn *column, size_t index, size_t fixed, Buf *out,
                        Error *err)
{
    const Str text = text_at(column, index);
    const bool is_json = column->type == COLUMN_JSON;
    if (is_json && may_hold_huge_number(text)) {
        TRY(append_odd_json(text, out, err));
        return buf_reserve(out, fixed, err);
    }
    TRY(buf_reserve(out, fixed + text.size, err));
    char *at = put32(out->data + out->size, (uint32_t)(text.size + (is_json ? 1 : 0)));
    if (is_json)
        *at++ = JSONB_VERSION;
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    out->size = (size_t)(at - out->data) + text.size;
    return true;
}

// Room for all fixed parts of the row is there from the start, and made again behind each text.
bool pg_copy_row(const PgCopy *copy, size_t row, Str tail, Buf *out, Error *err)
{
    TRY(buf_reserve(out, copy->row_bytes, err));
    char *at = put16(out->data + out->size, (uint16_t)(copy->column_count + copy->tail_fields));
    out->size = (size_t)(at - out->data);
    for (size_t i = 0; i < copy->column_count; i++) {
        const PgCopyColumn *column = &copy->columns[i];
        const size_t index = column->offset + row;
        if (column->valid != NULL && !get_bit(column->valid, index)) {
            out->size = (size_t)(put32(out->data + out->size, UINT32_MAX) - out->data);
        } else if (column->text != NULL || column->type == COLUMN_STRING ||
                   column->type == COLUMN_JSON) {
            TRY(append_text(column, index, copy->row_bytes, out, err));
        } else {
            at = put_fixed(out->data + out->size, column, index);
            out->size = (size_t)(at - out->data);
        }
    }
    return buf_append(out, tail, err);
}

bool pg_copy_text(Buf *out, Str text, Error *err)
{
    TRY(buf_reserve(out, SIZE_BYTES, err));
    (void)put32(out->data + out->size, (uint32_t)text.size);
    out->size += SIZE_BYTES;
    return buf_append(out, text, err);
}

bool pg_copy_time(Buf *out, int64_t us, Error *err)
{
    TRY(buf_reserve(out, SIZE_BYTES + sizeof(us), err));
    (void)put64(put32(out->data + out->size, sizeof(us)), (uint64_t)(us - PG_EPOCH_US));
    out->size += SIZE_BYTES + sizeof(us);
    return true;
}

bool pg_copy_bool(Buf *out, bool value, Error *err)
{
    TRY(buf_reserve(out, SIZE_BYTES + 1, err));
    (void)put32(out->data + out->size, 1);
    out->data[out->size + SIZE_BYTES] = value ? 1 : 0;
    out->size += SIZE_BYTES + 1;
    return true;
}
