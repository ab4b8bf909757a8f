#include "batch/cells.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

enum { DECIMAL_BYTES = 48 };

static bool bit_at(const uint8_t *bits, size_t index)
{
    return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static size_t index_of(const struct ArrowArray *child, size_t row)
{
    return (size_t)child->offset + row;
}

bool cell_is_null(const struct ArrowArray *child, size_t row)
{
    return child->buffers[0] != NULL && !bit_at(child->buffers[0], index_of(child, row));
}

static Str text_at(const struct ArrowArray *child, size_t row)
{
    if (cell_is_null(child, row))
        return (Str){"", 0};
    const size_t index = index_of(child, row);
    const int32_t *offsets = child->buffers[1];
    const char *data = child->buffers[2];
    return (Str){data == NULL ? "" : data + offsets[index],
                 (size_t)(offsets[index + 1] - offsets[index])};
}

static const void *fixed_at(const struct ArrowArray *child, size_t row, size_t width)
{
    return (const char *)child->buffers[1] + index_of(child, row) * width;
}

static int64_t int64_at(const struct ArrowArray *child, size_t row)
{
    int64_t value = 0;
    memcpy(&value, fixed_at(child, row, sizeof(value)), sizeof(value));
    return value;
}

static int32_t int32_at(const struct ArrowArray *child, size_t row)
{
    int32_t value = 0;
    memcpy(&value, fixed_at(child, row, sizeof(value)), sizeof(value));
    return value;
}

// Divides by ten, digit by digit, in 32-bit steps: 128 bits without a type of that width.
static unsigned divide_by_ten(uint32_t words[4])
{
    uint64_t rest = 0;
    for (int i = 3; i >= 0; i--) {
        rest = rest << 32 | words[i];
        words[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
    return (unsigned)rest;
}

static bool write_decimal(const Column *column, const uint64_t given[2], Buf *out, Error *err)
{
    uint64_t low = given[0];
    uint64_t high = given[1];
    const bool negative = high >> 63 != 0;
    if (negative) {
        low = 0 - low;
        high = ~high + (low == 0 ? 1 : 0);
    }
    uint32_t words[4] = {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high,
                         (uint32_t)(high >> 32)};
    char text[DECIMAL_BYTES];
    size_t at = sizeof(text);
    int digits = 0;
    do {
        if (digits == column->scale && digits > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + divide_by_ten(words));
        digits++;
    } while (digits <= column->scale || (words[0] | words[1] | words[2] | words[3]) != 0);
    if (negative)
        text[--at] = '-';
    return buf_append(out, (Str){text + at, sizeof(text) - at}, err);
}

static bool write_double(double value, Buf *out, Error *err)
{
    char text[32];
    // The fewest digits that read back as the same.
    for (int digits = 15; digits <= 17; digits++) {
        double back = 0;
        const int size = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (str_to_double((Str){text, (size_t)size}, &back) && !(back < value) && !(back > value))
            break;
    }
    return buf_append(out, str_from(text), err);
}

bool cell_write(const Column *column, const struct ArrowArray *child, size_t row, Buf *out,
                Error *err)
{
    char text[TIME_TEXT_BYTES + UUID_TEXT_BYTES];
    uint64_t words[2];
    double number = 0;
    if (cell_is_null(child, row))
        return true;
    switch (column->type) {
    case COLUMN_STRING:
    case COLUMN_JSON:
        return buf_append(out, text_at(child, row), err);
    case COLUMN_INT64:
        return buf_printf(out, err, "%lld", (long long)int64_at(child, row));
    case COLUMN_DOUBLE:
        memcpy(&number, fixed_at(child, row, sizeof(number)), sizeof(number));
        return write_double(number, out, err);
    case COLUMN_DECIMAL:
        memcpy(words, fixed_at(child, row, sizeof(words)), sizeof(words));
        return write_decimal(column, words, out, err);
    case COLUMN_BOOLEAN:
        return buf_append(
            out, bit_at(child->buffers[1], index_of(child, row)) ? STR("true") : STR("false"), err);
    case COLUMN_TIMESTAMP:
        time_format_iso(int64_at(child, row), text);
        return buf_append(out, str_from(text), err);
    case COLUMN_DATE:
        date_format(int32_at(child, row), text);
        return buf_append(out, str_from(text), err);
    case COLUMN_KEY:
        uuid_format(fixed_at(child, row, KEY_BYTES), text);
        return buf_append(out, str_from(text), err);
    }
    return true;
}

bool cell_equal(const Column *column, const struct ArrowArray *a, size_t a_row,
                const struct ArrowArray *b, size_t b_row)
{
    if (column->type == COLUMN_STRING || column->type == COLUMN_JSON)
        return str_equal(text_at(a, a_row), text_at(b, b_row));
    if (cell_is_null(a, a_row) || cell_is_null(b, b_row))
        return cell_is_null(a, a_row) && cell_is_null(b, b_row);
    if (column->type == COLUMN_BOOLEAN)
        return bit_at(a->buffers[1], index_of(a, a_row)) ==
               bit_at(b->buffers[1], index_of(b, b_row));
    const size_t width = column->type == COLUMN_DATE                                    ? 4
                         : column->type == COLUMN_DECIMAL || column->type == COLUMN_KEY ? 16
                                                                                        : 8;
    return memcmp(fixed_at(a, a_row, width), fixed_at(b, b_row, width), width) == 0;
}

bool cell_time(const Column *column, const struct ArrowArray *child, size_t row, int64_t *ret_us)
{
    if (cell_is_null(child, row))
        return false;
    *ret_us = column->type == COLUMN_DATE ? (int64_t)int32_at(child, row) * 86400 * 1000000
                                          : int64_at(child, row);
    return true;
}
