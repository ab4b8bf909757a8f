// Times by format: the directives of strftime and strptime that APIs use, without their locale.
#include "base/time.h"

#include <assert.h>
#include <stdio.h>

// The instants of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
#define US_MIN (INT64_C(-62135596800) * US_PER_SECOND)
#define US_MAX (INT64_C(253402300800) * US_PER_SECOND - 1)

// STR() is no constant expression, which a table must be made of.
#define NAME(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

// clang-format off
static const Str months[] = {
    NAME("January"), NAME("February"), NAME("March"), NAME("April"), NAME("May"), NAME("June"), NAME("July"),
    NAME("August"), NAME("September"), NAME("October"), NAME("November"), NAME("December"),
};
static const Str weekdays[] = {
    NAME("Monday"), NAME("Tuesday"), NAME("Wednesday"), NAME("Thursday"), NAME("Friday"), NAME("Saturday"),
    NAME("Sunday"),
};

// RFC 2822, section 4.3: the only zone names that mean one offset by a standard.
static const struct {
    Str name;
    int hours;
} zone_names[] = {
    {NAME("UTC"), 0},  {NAME("GMT"), 0},  {NAME("UT"), 0},   {NAME("Z"), 0},
    {NAME("EST"), -5}, {NAME("EDT"), -4}, {NAME("CST"), -6}, {NAME("CDT"), -5},
    {NAME("MST"), -7}, {NAME("MDT"), -6}, {NAME("PST"), -8}, {NAME("PDT"), -7},
};
// clang-format on

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

// --- reading

typedef struct Reader {
    const char *at;
    const char *end;
    Civil civil;
    int day_of_year; // 0 = not named
    int twelve;      // hour of %I, 0 = not named
    int half;        // 0 = not named or AM, 12 = PM
    int offset_seconds;
    bool has_zone;
    bool digits_follow; // the format goes on with digits of its own: %f must leave them alone
} Reader;

// At least `least`, at most `most` digits.
static inline bool read_digits(Reader *reader, int least, int most, int *ret_value)
{
    int value = 0;
    int count = 0;
    while (count < most && reader->at < reader->end) {
        const int digit = *reader->at - '0';
        if (digit < 0 || digit > 9)
            break;
        value = value * 10 + digit;
        reader->at++;
        count++;
    }
    *ret_value = value;
    return count >= least;
}

// One or two digits: nearly always two, which needs no loop.
static inline bool read_two(Reader *reader, int low, int high, int *ret_value)
{
    if (reader->end - reader->at >= 2) {
        const unsigned tens = (unsigned)(reader->at[0] - '0');
        const unsigned ones = (unsigned)(reader->at[1] - '0');
        if (tens <= 9 && ones <= 9) {
            reader->at += 2;
            *ret_value = (int)(tens * 10 + ones);
            return *ret_value >= low && *ret_value <= high;
        }
    }
    return read_digits(reader, 1, 2, ret_value) && *ret_value >= low && *ret_value <= high;
}

static inline bool read_year(Reader *reader, int *ret_year)
{
    const char *start = reader->at;
    int century = 0;
    int year = 0;
    if (!read_two(reader, 0, 99, &century) || !read_two(reader, 0, 99, &year) ||
        reader->at - start != 4)
        return false;
    *ret_year = century * 100 + year;
    return *ret_year >= 1;
}

// Up to nine digits behind the point; microseconds are kept.
static bool read_fraction(Reader *reader, int32_t *ret_microsecond)
{
    int32_t value = 0;
    int32_t unit = 100000;
    int count = 0;
    const int most = reader->digits_follow ? 6 : 9;
    while (count < most && reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        value += (*reader->at++ - '0') * unit;
        unit /= 10;
        count++;
    }
    *ret_microsecond = value;
    return count > 0;
}

static bool read_name(Reader *reader, Str name)
{
    const size_t left = (size_t)(reader->end - reader->at);
    if (left < name.size || !str_equal_ignoring_case((Str){reader->at, name.size}, name))
        return false;
    reader->at += name.size;
    return true;
}

// A full or a three-letter name; its index.
static bool read_name_of(Reader *reader, const Str *names, size_t count, int *ret_index)
{
    for (size_t i = 0; i < count; i++) {
        if (read_name(reader, names[i]) || read_name(reader, str_slice(names[i], 0, 3))) {
            *ret_index = (int)i;
            return true;
        }
    }
    return false;
}

static bool read_zone_name(Reader *reader)
{
    for (size_t i = 0; i < COUNT(zone_names); i++) {
        if (!read_name(reader, zone_names[i].name))
            continue;
        reader->offset_seconds = zone_names[i].hours * 3600;
        reader->has_zone = true;
        return true;
    }
    return false;
}

static bool read_char(Reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

// "Z", "+05", "+0530", "+05:30", each perhaps with seconds.
static bool read_offset(Reader *reader)
{
    reader->has_zone = true;
    if (read_char(reader, 'Z') || read_char(reader, 'z')) {
        reader->offset_seconds = 0;
        return true;
    }
    const int sign = read_char(reader, '-') ? -1 : 1;
    if (sign > 0 && !read_char(reader, '+'))
        return false;
    int part = 0;
    if (!read_digits(reader, 2, 2, &part) || part > 23)
        return false;
    int seconds = part * 3600;
    // Once a part is written with a colon it must be there; without one its digits tell.
    for (int unit = 60; unit > 0; unit /= 60) {
        const bool colon = read_char(reader, ':');
        const bool digit = reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
        if (!colon && !digit)
            break;
        if (!read_digits(reader, 2, 2, &part) || part > 59)
            return false;
        seconds += part * unit;
    }
    reader->offset_seconds = sign * seconds;
    return true;
}

static bool read_half(Reader *reader)
{
    if (read_name(reader, STR("PM")))
        reader->half = 12;
    else
        return read_name(reader, STR("AM"));
    return true;
}

static bool read_directive(Reader *reader, char directive)
{
    Civil *civil = &reader->civil;
    int index = 0;
    switch (directive) {
    case 'Y':
        return read_year(reader, &civil->year);
    case 'm':
        return read_two(reader, 1, 12, &civil->month);
    case 'd':
        return read_two(reader, 1, 31, &civil->day);
    case 'H':
        return read_two(reader, 0, 23, &civil->hour);
    case 'M':
        return read_two(reader, 0, 59, &civil->minute);
    case 'S':
        return read_two(reader, 0, 60, &civil->second);
    case 'f':
        return read_fraction(reader, &civil->microsecond);
    case 'z':
        return read_offset(reader);
    case 'Z':
        return read_zone_name(reader);
    case 'I':
        return read_two(reader, 1, 12, &reader->twelve);
    case 'p':
        return read_half(reader);
    case 'j':
        return read_digits(reader, 1, 3, &reader->day_of_year) && reader->day_of_year >= 1 &&
               reader->day_of_year <= 366;
    case 'y': // POSIX: 69 to 99 are of the twentieth century
        if (!read_digits(reader, 2, 2, &civil->year))
            return false;
        civil->year += civil->year < 69 ? 2000 : 1900;
        return true;
    case 'b':
    case 'B':
        if (!read_name_of(reader, months, COUNT(months), &index))
            return false;
        civil->month = index + 1;
        return true;
    case 'a':
    case 'A':
        return read_name_of(reader, weekdays, COUNT(weekdays), &index);
    case '%':
        return read_char(reader, '%');
    default:
        return false;
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// Walks `format` and the text together, to the end of both.
static bool read_by_format(Reader *reader, Str format)
{
    const char *at = format.data;
    const char *end = at + format.size;
    while (at < end) {
        const char c = *at++;
        if (c == '%') {
            if (at == end)
                return false;
            // %_ms: a fraction like %f
            const bool milliseconds = end - at >= 3 && memcmp(at, "_ms", 3) == 0;
            const char *next = at + (milliseconds ? 3 : 1);
            reader->digits_follow = next < end && *next >= '0' && *next <= '9';
            if (!read_directive(reader, milliseconds ? 'f' : *at))
                return false;
            at += milliseconds ? 3 : 1;
        } else if (is_space(c)) {
            if (reader->at == reader->end || !is_space(*reader->at))
                return false;
            while (reader->at < reader->end && is_space(*reader->at))
                reader->at++;
            while (at < end && is_space(*at))
                at++;
        } else if (!read_char(reader, c)) {
            return false;
        }
    }
    return reader->at == reader->end;
}

static bool in_range(int64_t us)
{
    return us >= US_MIN && us <= US_MAX;
}

// "1700000000.123456" in seconds; more digits than six are dropped.
static bool parse_float_seconds(Str text, int64_t *ret_us)
{
    const bool negative = text.size > 0 && text.data[0] == '-';
    const size_t point = str_find_char(text, '.');
    int64_t seconds = 0;
    int32_t fraction = 0;
    if (!str_to_int64(str_slice(text, 0, point), &seconds) || seconds < US_MIN / US_PER_SECOND ||
        seconds > US_MAX / US_PER_SECOND)
        return false;
    const Str digits = str_slice(text, point + 1, text.size);
    Reader reader = {.at = digits.data, .end = digits.data + digits.size};
    if (digits.size > 0 && (!read_fraction(&reader, &fraction) || reader.at != reader.end))
        return false;
    *ret_us = seconds * US_PER_SECOND + (negative ? -fraction : fraction);
    return true;
}

// Formats that are a count since 1970: how many microseconds one is, 0 for any other format.
static int64_t count_unit(Str format)
{
    if (str_equal(format, STR("%s")))
        return US_PER_SECOND;
    if (str_equal(format, STR("%ms")))
        return 1000;
    return str_equal(format, STR("%epoch_microseconds")) ? 1 : 0;
}

static bool finish(const Reader *reader, const Zone *zone, int64_t *ret_us)
{
    Civil civil = reader->civil;
    if (reader->twelve > 0)
        civil.hour = reader->twelve % 12 + reader->half;
    int64_t extra_days = 0;
    if (reader->day_of_year > 0) {
        extra_days = reader->day_of_year - 1;
        civil.month = 1;
        civil.day = 1;
        if (extra_days == 365 && date_days_in_month(civil.year, 2) == 28)
            return false;
    }
    if (civil.day > date_days_in_month(civil.year, civil.month))
        return false;
    if (extra_days > 0) {
        const Civil day = civil_from_us(us_from_civil(civil) + extra_days * US_PER_DAY);
        civil.month = day.month;
        civil.day = day.day;
    }
    const int64_t us = reader->has_zone
                           ? us_from_civil(civil) - reader->offset_seconds * US_PER_SECOND
                           : zone_us_from_local(zone, civil);
    if (!in_range(us))
        return false;
    *ret_us = us;
    return true;
}

bool time_parse_offset(Str text, Str format, const Zone *zone, int64_t *ret_us,
                       int32_t *ret_offset_seconds, bool *ret_has_zone)
{
    // A look at two bytes spares most formats the comparisons below.
    const bool counts = format.size >= 2 && format.size <= 19 && format.data[0] == '%' &&
                        (format.data[1] == 's' || format.data[1] == 'm' || format.data[1] == 'e');
    const int64_t unit = counts ? count_unit(format) : 0;
    if (unit > 0) {
        int64_t count = 0;
        if (!str_to_int64(text, &count) || count < US_MIN / unit || count > US_MAX / unit)
            return false;
        *ret_us = count * unit;
        *ret_offset_seconds = 0;
        *ret_has_zone = true;
        return true;
    }
    if (counts && str_equal(format, STR("%s_as_float"))) {
        if (!parse_float_seconds(text, ret_us))
            return false;
        *ret_offset_seconds = 0;
        *ret_has_zone = true;
        return true;
    }

    // Empty views may have no address, and arithmetic on NULL is undefined.
    if (text.size == 0 || format.size == 0)
        return false;
    Reader reader = {.at = text.data,
                     .end = text.data + text.size,
                     .civil = {.year = 1900, .month = 1, .day = 1}};
    if (!read_by_format(&reader, format) || !finish(&reader, zone, ret_us))
        return false;
    *ret_offset_seconds = reader.has_zone ? reader.offset_seconds : 0;
    *ret_has_zone = reader.has_zone;
    return true;
}

bool time_parse(Str text, Str format, const Zone *zone, int64_t *ret_us, bool *ret_has_zone)
{
    int32_t offset_seconds = 0;
    return time_parse_offset(text, format, zone, ret_us, &offset_seconds, ret_has_zone);
}

// --- writing

typedef struct Writer {
    int64_t us;
    Civil civil; // in the offset
    int32_t offset_seconds;
    Buf *out;
    Error *err;
} Writer;

static bool write_offset(Writer *writer, const char *colon)
{
    const int offset = writer->offset_seconds;
    const int minutes = (offset < 0 ? -offset : offset) / 60;
    return buf_printf(writer->out, writer->err, "%c%02d%s%02d", offset < 0 ? '-' : '+',
                      minutes / 60, colon, minutes % 60);
}

static bool write_zone_name(Writer *writer)
{
    TRY(buf_append(writer->out, STR("UTC"), writer->err));
    return writer->offset_seconds == 0 || write_offset(writer, ":");
}

static int32_t writer_date(const Writer *writer)
{
    return date_from_civil(writer->civil.year, writer->civil.month, writer->civil.day);
}

static bool write_directive(Writer *writer, char directive)
{
    const Civil *civil = &writer->civil;
    Buf *out = writer->out;
    Error *err = writer->err;
    const Str weekday = weekdays[date_weekday(writer_date(writer))];
    const Str month = months[civil->month - 1];
    switch (directive) {
    case 'Y':
        return buf_printf(out, err, "%04d", civil->year);
    case 'y':
        return buf_printf(out, err, "%02d", (civil->year % 100 + 100) % 100);
    case 'm':
        return buf_printf(out, err, "%02d", civil->month);
    case 'd':
        return buf_printf(out, err, "%02d", civil->day);
    case 'H':
        return buf_printf(out, err, "%02d", civil->hour);
    case 'I':
        return buf_printf(out, err, "%02d", (civil->hour + 11) % 12 + 1);
    case 'M':
        return buf_printf(out, err, "%02d", civil->minute);
    case 'S':
        return buf_printf(out, err, "%02d", civil->second);
    case 'f':
        return buf_printf(out, err, "%06d", (int)civil->microsecond);
    case 'p':
        return buf_append(out, civil->hour < 12 ? STR("AM") : STR("PM"), err);
    case 'z':
        return write_offset(writer, "");
    case 'Z':
        return write_zone_name(writer);
    case 'j':
        return buf_printf(out, err, "%03d",
                          (int)(writer_date(writer) - date_from_civil(civil->year, 1, 1) + 1));
    case 'b':
        return buf_append(out, str_slice(month, 0, 3), err);
    case 'B':
        return buf_append(out, month, err);
    case 'a':
        return buf_append(out, str_slice(weekday, 0, 3), err);
    case 'A':
        return buf_append(out, weekday, err);
    case '%':
        return buf_append_char(out, '%', err);
    default:
        return error_set(err, ERROR_JOB, "time format: no directive '%%%c'", directive);
    }
}

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

// Python's str(float) of the seconds: "1.0", "1.5", "-0.25".
static bool write_float_seconds(Writer *writer)
{
    const uint64_t us = writer->us < 0 ? 0 - (uint64_t)writer->us : (uint64_t)writer->us;
    int fraction = (int)(us % (uint64_t)US_PER_SECOND);
    int digits = 6;
    for (; digits > 1 && fraction % 10 == 0; digits--)
        fraction /= 10;
    return buf_printf(writer->out, writer->err, "%s%llu.%0*d", writer->us < 0 ? "-" : "",
                      (unsigned long long)(us / (uint64_t)US_PER_SECOND), digits, fraction);
}

static bool write_by_format(Writer *writer, Str format)
{
    for (size_t i = 0; i < format.size; i++) {
        if (format.data[i] != '%') {
            TRY(buf_append_char(writer->out, format.data[i], writer->err));
            continue;
        }
        const Str rest = str_slice(format, i + 1, format.size);
        if (rest.size == 0)
            return error_set(writer->err, ERROR_JOB, "time format: '%%' at the end");
        if (str_starts_with(rest, STR("_ms"))) {
            TRY(buf_printf(writer->out, writer->err, "%03d",
                           (int)(writer->civil.microsecond / 1000)));
            i += 3;
            continue;
        }
        TRY(write_directive(writer, rest.data[0]));
        i++;
    }
    return true;
}

bool time_format(int64_t us, int32_t offset_seconds, Str format, Buf *out, Error *err)
{
    assert(offset_seconds > -100000 && offset_seconds < 100000);

    int64_t local_us = 0;
    if (__builtin_add_overflow(us, offset_seconds * US_PER_SECOND, &local_us))
        local_us = us;
    Writer writer = {us, civil_from_us(local_us), offset_seconds, out, err};
    const int64_t unit = count_unit(format);
    if (unit > 0)
        return buf_printf(out, err, "%lld", (long long)floor_divide(us, unit));
    const size_t start = out->size;
    const bool ok = str_equal(format, STR("%s_as_float")) ? write_float_seconds(&writer)
                                                          : write_by_format(&writer, format);
    if (!ok)
        out->size = start;
    return ok;
}
