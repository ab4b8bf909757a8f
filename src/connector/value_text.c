// Values as text: str(), repr() and json.dumps().

#include "connector/value.h"

#include "base/time.h"
#include "connector/text_case.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// --- floats

// The digits and the decimal exponent of the shortest text that reads back as `number`.
static size_t shortest_digits(double number, char digits[20], int *ret_exponent)
{
    char text[VALUE_FLOAT_BYTES];
    // 17 digits always suffice (IEEE 754), and of fewer than 15 the rest is zeros, but for the
    // subnormal numbers, which hold less.
    for (int precision = number < 2.3e-308 ? 0 : 14; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    size_t count = 0;
    size_t i = 0;
    for (; text[i] != 'e'; i++) {
        if (text[i] != '.')
            digits[count++] = text[i];
    }
    *ret_exponent = (int)strtol(text + i + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

// 1234.0, 0.00012
static size_t write_fixed(const char *digits, size_t count, int exponent, char *text)
{
    size_t size = 0;
    if (exponent < 0) {
        text[size++] = '0';
        text[size++] = '.';
        for (int i = -1; i > exponent; i--)
            text[size++] = '0';
        memcpy(text + size, digits, count);
        return size + count;
    }
    for (size_t i = 0; i <= (size_t)exponent; i++)
        text[size++] = i < count ? digits[i] : '0';
    text[size++] = '.';
    if (count <= (size_t)exponent + 1)
        text[size++] = '0';
    for (size_t i = (size_t)exponent + 1; i < count; i++)
        text[size++] = digits[i];
    return size;
}

Str value_format_float(double number, char text[VALUE_FLOAT_BYTES])
{
    if (isnan(number) || isinf(number)) {
        const char *name = isnan(number) ? "nan" : number < 0 ? "-inf" : "inf";
        (void)snprintf(text, VALUE_FLOAT_BYTES, "%s", name);
        return str_from(text);
    }
    size_t size = 0;
    if (signbit(number))
        text[size++] = '-';
    char digits[20] = {0};
    int exponent = 0;
    const size_t count = shortest_digits(fabs(number), digits, &exponent);
    // Python's repr() changes to an exponent below 1e-4 and from 1e16 on.
    if (exponent >= -4 && exponent < 16) {
        size += write_fixed(digits, count, exponent, text + size);
        return (Str){text, size};
    }
    text[size++] = digits[0];
    if (count > 1) {
        text[size++] = '.';
        memcpy(text + size, digits + 1, count - 1);
        size += count - 1;
    }
    size += (size_t)snprintf(text + size, VALUE_FLOAT_BYTES - size, "e%c%02d",
                             exponent < 0 ? '-' : '+', abs(exponent));
    return (Str){text, size};
}

// --- characters

// False for what repr() escapes: controls, formats, private use, separators other than the blank.
// Unassigned characters are not listed: repr() of them differs from Python's, but reads back the
// same.
static bool is_printable(uint32_t code)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        {0x00, 0x1F},       {0x7F, 0xA0},       {0xAD, 0xAD},        {0x600, 0x605},
        {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},      {0x890, 0x891},
        {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},    {0x2000, 0x200F},
        {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},    {0xD800, 0xF8FF},
        {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},    {0x110BD, 0x110BD},
        {0x1BCA0, 0x1BCA3}, {0xE0000, 0xE00FF}, {0xE01F0, 0x10FFFF},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (code >= ranges[i].from && code <= ranges[i].to)
            return false;
    }
    return true;
}

static bool write_escape(uint32_t code, Buf *out, Error *err)
{
    if (code == '\n')
        return buf_append(out, STR("\\n"), err);
    if (code == '\r')
        return buf_append(out, STR("\\r"), err);
    if (code == '\t')
        return buf_append(out, STR("\\t"), err);
    if (code <= 0xFF)
        return buf_printf(out, err, "\\x%02" PRIx32, code);
    if (code <= 0xFFFF)
        return buf_printf(out, err, "\\u%04" PRIx32, code);
    return buf_printf(out, err, "\\U%08" PRIx32, code);
}

static bool write_str_repr(Str text, Buf *out, Error *err)
{
    const bool has_single = str_find_char(text, '\'') < text.size;
    const bool has_double = str_find_char(text, '"') < text.size;
    const char quote = has_single && !has_double ? '"' : '\'';
    TRY(buf_append_char(out, quote, err));
    size_t kept = 0; // start of what can be copied as it is
    for (size_t at = 0; at < text.size;) {
        const size_t from = at;
        const uint32_t code = code_next(text, &at);
        const bool slash = code == '\\' || code == (uint32_t)(unsigned char)quote;
        if (!slash && is_printable(code))
            continue;
        TRY(buf_append(out, str_slice(text, kept, from - kept), err));
        kept = at;
        if (slash)
            TRY(buf_append_char(out, '\\', err) && buf_append_char(out, (char)code, err));
        else
            TRY(write_escape(code, out, err));
    }
    return buf_append(out, str_slice(text, kept, text.size), err) &&
           buf_append_char(out, quote, err);
}

// --- dates

static int64_t local_us(Value datetime)
{
    return datetime.offset_seconds == VALUE_NAIVE
               ? datetime.integer
               : datetime.integer + (int64_t)datetime.offset_seconds * US_PER_SECOND;
}

static bool write_offset(int32_t seconds, Buf *out, Error *err)
{
    const int size = abs(seconds);
    TRY(buf_printf(out, err, "%c%02d:%02d", seconds < 0 ? '-' : '+', size / 3600, size / 60 % 60));
    return size % 60 == 0 || buf_printf(out, err, ":%02d", size % 60);
}

bool value_write_iso(Value datetime, char separator, Buf *out, Error *err)
{
    assert(datetime.kind == VALUE_DATETIME);

    const Civil civil = civil_from_us(local_us(datetime));
    TRY(buf_printf(out, err, "%04d-%02d-%02d%c%02d:%02d:%02d", civil.year, civil.month, civil.day,
                   separator, civil.hour, civil.minute, civil.second));
    if (civil.microsecond != 0)
        TRY(buf_printf(out, err, ".%06d", (int)civil.microsecond));
    return datetime.offset_seconds == VALUE_NAIVE ||
           write_offset(datetime.offset_seconds, out, err);
}

static bool write_date(Value date, Buf *out, Error *err)
{
    char text[TIME_TEXT_BYTES];
    date_format((int32_t)date.integer, text);
    return buf_append(out, str_from(text), err);
}

// "-1 day, 0:00:10": days may be negative, the rest never is.
static bool write_timedelta(Value delta, Buf *out, Error *err)
{
    const int64_t us_per_day = US_PER_DAY;
    int64_t days = delta.integer / us_per_day;
    int64_t rest = delta.integer % us_per_day;
    if (rest < 0) {
        rest += us_per_day;
        days--;
    }
    // isodate's Duration names its years or months first.
    const int months = delta.offset_seconds;
    if (months != 0 && months % 12 == 0)
        TRY(buf_printf(out, err, "%d years, ", months / 12));
    else if (months != 0)
        TRY(buf_printf(out, err, "%d month%s, ", months, months <= 1 ? "" : "s"));
    if (days != 0)
        TRY(buf_printf(out, err, "%" PRId64 " day%s, ", days, days == 1 || days == -1 ? "" : "s"));
    const int64_t seconds = rest / US_PER_SECOND;
    TRY(buf_printf(out, err, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                   (int)(seconds % 60)));
    const int us = (int)(rest % US_PER_SECOND);
    return us == 0 || buf_printf(out, err, ".%06d", us);
}

static bool write_datetime_repr(Value value, Buf *out, Error *err)
{
    const Civil civil = civil_from_us(local_us(value));
    TRY(buf_printf(out, err, "datetime.datetime(%d, %d, %d, %d, %d", civil.year, civil.month,
                   civil.day, civil.hour, civil.minute));
    if (civil.second != 0 || civil.microsecond != 0)
        TRY(buf_printf(out, err, ", %d", civil.second));
    if (civil.microsecond != 0)
        TRY(buf_printf(out, err, ", %d", (int)civil.microsecond));
    const char *zone = value.offset_seconds == VALUE_NAIVE ? "" : ", tzinfo=datetime.timezone.utc";
    return buf_printf(out, err, "%s)", zone);
}

// --- str() and repr()

static bool write_bigint(Value value, Buf *out, Error *err)
{
    if (value.text.data != NULL)
        return buf_append(out, value.text, err);
    return buf_printf(out, err, "%zu", value.text.size);
}

static bool write_items(Value value, const char *open, const char *close, Buf *out, Error *err)
{
    TRY(buf_append(out, str_from(open), err));
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (bool first = true; value_next(&iter, &pair); first = false) {
        if (!first)
            TRY(buf_append(out, STR(", "), err));
        TRY(value_write_repr(pair.value, out, err));
    }
    return buf_append(out, str_from(close), err);
}

static bool write_pairs(Value value, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '{', err));
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (bool first = true; value_next(&iter, &pair); first = false) {
        if (!first)
            TRY(buf_append(out, STR(", "), err));
        TRY(value_write_repr(pair.key, out, err) && buf_append(out, STR(": "), err) &&
            value_write_repr(pair.value, out, err));
    }
    return buf_append_char(out, '}', err);
}

static bool write_container(Value value, Buf *out, Error *err)
{
    if (value_is_mapping(value))
        return write_pairs(value, out, err);
    if (value.kind == VALUE_GENERATOR)
        return buf_append(out, STR("<generator object>"), err);
    if (value.kind == VALUE_TUPLE)
        return write_items(value, "(", value.list.count == 1 ? ",)" : ")", out, err);
    return write_items(value, "[", "]", out, err);
}

bool value_write_str(Value value, Buf *out, Error *err)
{
    char text[VALUE_FLOAT_BYTES];
    switch (value.kind) {
    case VALUE_UNDEFINED:
        return true;
    case VALUE_NONE:
        return buf_append(out, STR("None"), err);
    case VALUE_BOOL:
        return buf_append(out, value.boolean ? STR("True") : STR("False"), err);
    case VALUE_INT:
        return buf_printf(out, err, "%" PRId64, value.integer);
    case VALUE_BIGINT:
        return write_bigint(value, out, err);
    case VALUE_FLOAT:
        return buf_append(out, value_format_float(value.number, text), err);
    case VALUE_STR:
        return buf_append(out, value.text, err);
    case VALUE_DATETIME:
        return value_write_iso(value, ' ', out, err);
    case VALUE_DATE:
        return write_date(value, out, err);
    case VALUE_TIMEDELTA:
        return write_timedelta(value, out, err);
    case VALUE_FUNCTION:
        return buf_append(out, STR("<built-in function>"), err);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
    case VALUE_JSON:
    case VALUE_OBJECT:
    case VALUE_GENERATOR:
        break;
    }
    return write_container(value, out, err);
}

static bool write_date_repr(Value value, Buf *out, Error *err)
{
    const Civil civil = civil_from_us(value.integer * US_PER_DAY);
    return buf_printf(out, err, "datetime.date(%d, %d, %d)", civil.year, civil.month, civil.day);
}

bool value_write_repr(Value value, Buf *out, Error *err)
{
    if (value.kind == VALUE_STR)
        return write_str_repr(value.text, out, err);
    if (value.kind == VALUE_UNDEFINED)
        return buf_append(out, STR("Undefined"), err);
    if (value.kind == VALUE_DATETIME)
        return write_datetime_repr(value, out, err);
    if (value.kind == VALUE_DATE)
        return write_date_repr(value, out, err);
    return value_write_str(value, out, err);
}

// --- JSON

static bool write_json_unit(uint32_t unit, Buf *out, Error *err)
{
    return buf_printf(out, err, "\\u%04" PRIx32, unit);
}

static bool write_json_escape(uint32_t code, Buf *out, Error *err)
{
    static const char shorts[] = "\"\\\n\r\t\f\b";
    static const char letters[] = "\"\\nrtfb";
    const char *found = code < 0x80 && code != 0 ? strchr(shorts, (int)code) : NULL;
    if (found != NULL)
        return buf_append_char(out, '\\', err) &&
               buf_append_char(out, letters[found - shorts], err);
    if (code <= 0xFFFF)
        return write_json_unit(code, out, err);
    code -= 0x10000;
    return write_json_unit(0xD800 + (code >> 10), out, err) &&
           write_json_unit(0xDC00 + (code & 0x3FF), out, err);
}

static bool write_json_str(Str text, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '"', err));
    size_t kept = 0;
    for (size_t at = 0; at < text.size;) {
        const size_t from = at;
        const uint32_t code = code_next(text, &at);
        if (code >= ' ' && code < 0x7F && code != '"' && code != '\\')
            continue;
        if (code == 0x7F) // the one control that json.dumps() leaves alone
            continue;
        TRY(buf_append(out, str_slice(text, kept, from - kept), err) &&
            write_json_escape(code, out, err));
        kept = at;
    }
    return buf_append(out, str_slice(text, kept, text.size), err) && buf_append_char(out, '"', err);
}

static bool write_json_key(Value key, Buf *out, Error *err)
{
    if (key.kind == VALUE_STR)
        return write_json_str(key.text, out, err);
    if (key.kind != VALUE_NONE && key.kind != VALUE_BOOL && key.kind != VALUE_INT &&
        key.kind != VALUE_BIGINT && key.kind != VALUE_FLOAT)
        return error_set(err, ERROR_DATA, "a key of type %s cannot be JSON", value_type(key));
    return buf_append_char(out, '"', err) && value_write_json(key, out, err) &&
           buf_append_char(out, '"', err);
}

static bool write_json_container(Value value, Buf *out, Error *err)
{
    const bool mapping = value_is_mapping(value);
    TRY(buf_append_char(out, mapping ? '{' : '[', err));
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (bool first = true; value_next(&iter, &pair); first = false) {
        if (!first)
            TRY(buf_append(out, STR(", "), err));
        if (mapping)
            TRY(write_json_key(pair.key, out, err) && buf_append(out, STR(": "), err));
        TRY(value_write_json(pair.value, out, err));
    }
    return buf_append_char(out, mapping ? '}' : ']', err);
}

bool value_write_json(Value value, Buf *out, Error *err)
{
    switch (value.kind) {
    case VALUE_NONE:
        return buf_append(out, STR("null"), err);
    case VALUE_BOOL:
        return buf_append(out, value.boolean ? STR("true") : STR("false"), err);
    case VALUE_STR:
        return write_json_str(value.text, out, err);
    case VALUE_FLOAT:
        if (!isfinite(value.number))
            return error_set(err, ERROR_DATA, "JSON has no number that is not finite");
        return value_write_str(value, out, err);
    case VALUE_INT:
    case VALUE_BIGINT:
        return value_write_str(value, out, err);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
    case VALUE_JSON:
    case VALUE_OBJECT:
        return write_json_container(value, out, err);
    case VALUE_UNDEFINED:
    case VALUE_DATETIME:
    case VALUE_DATE:
    case VALUE_TIMEDELTA:
    case VALUE_GENERATOR:
    case VALUE_FUNCTION:
        break;
    }
    return error_set(err, ERROR_DATA, "a value of type %s cannot be JSON", value_type(value));
}
