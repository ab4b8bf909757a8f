// Dates in templates: Python's datetime, date and timedelta, as far as manifests use them.

#include "connector/machine.h"

#include "base/time.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DIRECTIVE_BYTES_MAX = 16, PIECE_BYTES_MAX = 256, YEAR_MAX = 9999 };

static int64_t local_us(Value value)
{
    if (value.kind == VALUE_DATE)
        return value.integer * US_PER_DAY;
    return value.offset_seconds == VALUE_NAIVE
               ? value.integer
               : value.integer + value.offset_seconds * US_PER_SECOND;
}

static bool is_naive(Value value)
{
    return value.kind == VALUE_DATE || value.offset_seconds == VALUE_NAIVE;
}

// --- strftime

static struct tm broken_down(int64_t us)
{
    const Civil civil = civil_from_us(us);
    const int32_t date = date_from_us(us);
    return (struct tm){
        .tm_year = civil.year - 1900,
        .tm_mon = civil.month - 1,
        .tm_mday = civil.day,
        .tm_hour = civil.hour,
        .tm_min = civil.minute,
        .tm_sec = civil.second,
        .tm_wday = (date_weekday(date) + 1) % 7,
        .tm_yday = date - date_from_civil(civil.year, 1, 1),
    };
}

static bool write_offset(Value value, Buf *out, Error *err)
{
    if (is_naive(value))
        return true;
    const int seconds = abs(value.offset_seconds);
    TRY(buf_printf(out, err, "%c%02d%02d", value.offset_seconds < 0 ? '-' : '+', seconds / 3600,
                   seconds / 60 % 60));
    return seconds % 60 == 0 || buf_printf(out, err, "%02d", seconds % 60);
}

static bool write_zone_name(Value value, Buf *out, Error *err)
{
    if (is_naive(value))
        return true;
    const int minutes = abs(value.offset_seconds) / 60;
    TRY(buf_append(out, STR("UTC"), err));
    return minutes == 0 || buf_printf(out, err, "%c%02d:%02d", value.offset_seconds < 0 ? '-' : '+',
                                      minutes / 60, minutes % 60);
}

// One directive, "%d" or, with glibc's flags, "%-d". strftime(3) knows them all, and needs no zone
// for what is left to it.
static bool write_directive(Value value, const struct tm *parts, Str directive, Buf *out,
                            Error *err)
{
    char format[DIRECTIVE_BYTES_MAX + 2];
    char piece[PIECE_BYTES_MAX];
    const char kind = directive.data[directive.size - 1];
    const int64_t us = local_us(value);
    if (directive.size == 2 && kind == 'f')
        return buf_printf(out, err, "%06d", (int)civil_from_us(us).microsecond);
    if (directive.size == 2 && kind == 'z')
        return write_offset(value, out, err);
    if (directive.size == 2 && kind == 'Z')
        return write_zone_name(value, out, err);
    // C reads %s in the zone of the machine, which is nobody's intention: UTC here.
    if (directive.size == 2 && kind == 's')
        return buf_printf(out, err, "%lld",
                          (long long)((us - civil_from_us(us).microsecond) / US_PER_SECOND));
    // A format that is not constant: each directive came from a template and is one of C's own.
    memcpy(format, directive.data, directive.size);
    format[directive.size] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t size = strftime(piece, sizeof(piece), format, parts);
#pragma GCC diagnostic pop
    return buf_append(out, (Str){piece, size}, err);
}

// The bytes of the directive at the start of `text`: '%', flags, width, modifier, letter.
static size_t directive_size(Str text)
{
    size_t i = 1;
    while (i < text.size && strchr("_-0^#", text.data[i]) != NULL && text.data[i] != '\0')
        i++;
    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9')
        i++;
    if (i < text.size && (text.data[i] == 'E' || text.data[i] == 'O'))
        i++;
    return i < text.size && i < DIRECTIVE_BYTES_MAX ? i + 1 : 0;
}

bool datetime_strftime(Machine *machine, Value value, Str format, Value *ret_value, Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    const struct tm parts = broken_down(local_us(value));
    while (format.size > 0) {
        const size_t plain = str_find_char(format, '%');
        TRY(buf_append(&out, str_slice(format, 0, plain), err));
        format = str_slice(format, plain, format.size);
        if (format.size == 0)
            break;
        const size_t size = directive_size(format);
        if (size == 0)
            TRY(buf_append_char(&out, '%', err)); // a lone one at the end stands for itself
        else
            TRY(write_directive(value, &parts, str_slice(format, 0, size), &out, err));
        format = str_slice(format, size == 0 ? 1 : size, format.size);
    }
    return machine_take(machine, &out, ret_value, err);
}

// --- shifts

static bool out_of_range(Machine *machine, Error *err)
{
    return raise_value(machine, err, "date value out of range");
}

// As isodate does: the day is clipped to the new month's length.
static bool add_months(Machine *machine, int64_t *us, int32_t months, Error *err)
{
    Civil civil = civil_from_us(*us);
    const int64_t month = (int64_t)civil.year * 12 + civil.month - 1 + months;
    if (month < 12 || month / 12 > YEAR_MAX)
        return out_of_range(machine, err);
    civil.year = (int)(month / 12);
    civil.month = (int)(month % 12) + 1;
    const int last = date_days_in_month(civil.year, civil.month);
    civil.day = civil.day > last ? last : civil.day;
    *us = us_from_civil(civil);
    return true;
}

bool datetime_shift(Machine *machine, Value value, Value delta, int sign, Value *ret_value,
                    Error *err)
{
    int64_t local = local_us(value);
    const int64_t offset = value.kind == VALUE_DATETIME ? local - value.integer : 0;
    if (delta.offset_seconds != 0)
        TRY(add_months(machine, &local, sign * delta.offset_seconds, err));
    int64_t change = delta.integer;
    if (value.kind == VALUE_DATE) {
        // A date takes whole days only, rounded down as timedelta.days is.
        change -= ((change % US_PER_DAY) + US_PER_DAY) % US_PER_DAY;
    }
    const int64_t first = us_from_civil((Civil){.year = 1, .month = 1, .day = 1});
    const int64_t last =
        us_from_civil((Civil){.year = YEAR_MAX, .month = 12, .day = 31}) + US_PER_DAY;
    if (change > last - first || change < first - last)
        return out_of_range(machine, err);
    local += sign * change;
    if (local < first || local >= last)
        return out_of_range(machine, err);
    *ret_value = value;
    ret_value->integer = value.kind == VALUE_DATE ? date_from_us(local) : local - offset;
    return true;
}

// --- ISO 8601, as dateutil.parser.isoparse() reads it

typedef struct IsoReader {
    Str text;
    size_t at;
    Civil civil;
    int32_t offset_seconds;
    bool next_day; // 24:00
} IsoReader;

static bool read_number(IsoReader *reader, size_t digits, int *ret_number)
{
    int number = 0;
    if (reader->text.size - reader->at < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        const char c = reader->text.data[reader->at + i];
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    reader->at += digits;
    *ret_number = number;
    return true;
}

static bool skip(IsoReader *reader, char c)
{
    const bool found = reader->at < reader->text.size && reader->text.data[reader->at] == c;
    reader->at += found ? 1 : 0;
    return found;
}

static bool at_end(const IsoReader *reader)
{
    return reader->at == reader->text.size;
}

// YYYY, YYYY-MM, YYYY-MM-DD, YYYYMMDD
static bool read_common_date(IsoReader *reader)
{
    if (at_end(reader))
        return true;
    const bool dashes = skip(reader, '-');
    TRY(read_number(reader, 2, &reader->civil.month));
    if (at_end(reader))
        return dashes; // YYYYMM would read as a date of YYMMDD elsewhere: not allowed
    return (!dashes || skip(reader, '-')) && read_number(reader, 2, &reader->civil.day);
}

static void set_date(IsoReader *reader, int32_t date)
{
    const Civil civil = civil_from_us(date * US_PER_DAY);
    reader->civil.year = civil.year;
    reader->civil.month = civil.month;
    reader->civil.day = civil.day;
}

// YYYY-Www-D, YYYYWwwD, YYYY-Www, YYYYWww
static bool read_week_date(IsoReader *reader, bool dashes)
{
    int week = 0;
    int day = 1;
    TRY(read_number(reader, 2, &week));
    const size_t mark = reader->at;
    if (!at_end(reader) && (skip(reader, '-') != dashes || !read_number(reader, 1, &day))) {
        reader->at = mark;
        return false;
    }
    if (week < 1 || week > 53 || day < 1 || day > 7)
        return false;
    const int32_t fourth = date_from_civil(reader->civil.year, 1, 4); // always in week 1
    set_date(reader, fourth - date_weekday(fourth) + (week - 1) * 7 + day - 1);
    return true;
}

// YYYY-DDD, YYYYDDD
static bool read_ordinal_date(IsoReader *reader)
{
    int day = 0;
    TRY(read_number(reader, 3, &day));
    const int last = date_days_in_month(reader->civil.year, 2) == 29 ? 366 : 365;
    if (day < 1 || day > last)
        return false;
    set_date(reader, date_from_civil(reader->civil.year, 1, 1) + day - 1);
    return true;
}

static bool read_date(IsoReader *reader)
{
    TRY(read_number(reader, 4, &reader->civil.year) && reader->civil.year > 0);
    const IsoReader start = *reader;
    if (read_common_date(reader))
        return true;
    *reader = start;
    const bool dashes = skip(reader, '-');
    if (skip(reader, 'W'))
        return read_week_date(reader, dashes);
    return read_ordinal_date(reader);
}

// Z, +HH, +HHMM, +HH:MM
static bool read_zone(IsoReader *reader)
{
    if (skip(reader, 'Z') || skip(reader, 'z'))
        return true;
    const bool minus = skip(reader, '-');
    if (!minus && !skip(reader, '+'))
        return false;
    int hours = 0;
    int minutes = 0;
    TRY(read_number(reader, 2, &hours));
    if (!at_end(reader)) {
        (void)skip(reader, ':');
        TRY(read_number(reader, 2, &minutes));
    }
    reader->offset_seconds = (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static bool zone_ahead(const IsoReader *reader)
{
    const char c = at_end(reader) ? '\0' : reader->text.data[reader->at];
    return c == 'Z' || c == 'z' || c == '+' || c == '-';
}

static bool read_fraction(IsoReader *reader)
{
    if (!skip(reader, '.') && !skip(reader, ','))
        return true;
    int32_t unit = 100000;
    const size_t from = reader->at;
    for (int digit = 0; !at_end(reader) && !zone_ahead(reader); unit /= 10) {
        TRY(read_number(reader, 1, &digit));
        reader->civil.microsecond += digit * unit;
    }
    return reader->at > from;
}

// HH, HH:MM, HHMM, HH:MM:SS, HHMMSS, with a fraction and a zone
static bool read_time(IsoReader *reader)
{
    Civil *civil = &reader->civil;
    TRY(read_number(reader, 2, &civil->hour));
    if (!at_end(reader) && !zone_ahead(reader)) {
        const bool colons = skip(reader, ':');
        TRY(read_number(reader, 2, &civil->minute));
        if (!at_end(reader) && !zone_ahead(reader))
            TRY((!colons || skip(reader, ':')) && read_number(reader, 2, &civil->second) &&
                read_fraction(reader));
    }
    if (!at_end(reader))
        TRY(read_zone(reader));
    reader->next_day = civil->hour == 24;
    if (reader->next_day) {
        TRY(civil->minute == 0 && civil->second == 0 && civil->microsecond == 0);
        civil->hour = 0;
    }
    return at_end(reader) && civil->hour < 24 && civil->minute < 60 && civil->second < 60;
}

bool datetime_parse_iso(Str text, Value *ret_value)
{
    IsoReader reader = {.text = text, .civil = {.month = 1, .day = 1}};
    TRY(read_date(&reader));
    const Civil *civil = &reader.civil;
    TRY(civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
        civil->day <= date_days_in_month(civil->year, civil->month));
    if (!at_end(&reader)) {
        reader.at++; // any one character may stand between date and time
        TRY(read_time(&reader));
    }
    const int64_t us = us_from_civil(reader.civil) + (reader.next_day ? US_PER_DAY : 0) -
                       reader.offset_seconds * US_PER_SECOND;
    *ret_value = (Value){.kind = VALUE_DATETIME, .integer = us};
    return true;
}

// --- attributes and methods

bool datetime_attribute(Value value, Str name, Value *ret_value)
{
    if (value.kind == VALUE_TIMEDELTA) {
        int64_t rest = value.integer % US_PER_DAY;
        rest += rest < 0 ? US_PER_DAY : 0;
        if (str_equal(name, STR("days")))
            *ret_value = value_int((value.integer - rest) / US_PER_DAY);
        else if (str_equal(name, STR("seconds")))
            *ret_value = value_int(rest / US_PER_SECOND);
        else if (str_equal(name, STR("microseconds")))
            *ret_value = value_int(rest % US_PER_SECOND);
        else
            return false;
        return true;
    }
    const Civil civil = civil_from_us(local_us(value));
    const struct {
        Str name;
        int number;
        bool of_date;
    } parts[] = {
        {STR("year"), civil.year, true},
        {STR("month"), civil.month, true},
        {STR("day"), civil.day, true},
        {STR("hour"), civil.hour, false},
        {STR("minute"), civil.minute, false},
        {STR("second"), civil.second, false},
        {STR("microsecond"), civil.microsecond, false},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!str_equal(name, parts[i].name) || (value.kind == VALUE_DATE && !parts[i].of_date))
            continue;
        *ret_value = value_int(parts[i].number);
        return true;
    }
    return false;
}

static bool method_strftime(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    if (arguments->values[0].kind != VALUE_STR)
        return raise_type(machine, err, "strftime() argument 1 must be str, not %s",
                          value_type(arguments->values[0]));
    return datetime_strftime(machine, arguments->self, arguments->values[0].text, ret_value, err);
}

static bool method_isoformat(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    CLEANUP(buf_done) Buf out = {0};
    if (arguments->self.kind == VALUE_DATE) {
        TRY(value_write_str(arguments->self, &out, err));
        return machine_take(machine, &out, ret_value, err);
    }
    char separator = 'T';
    if (arguments->given[0]) {
        const Value given = arguments->values[0];
        if (given.kind != VALUE_STR || given.text.size != 1)
            return raise_type(machine, err, "isoformat() argument 1 must be a character");
        separator = given.text.data[0];
    }
    const Value timespec = arguments->values[1];
    TRY(value_write_iso(arguments->self, separator, &out, err));
    if (!arguments->given[1] ||
        (timespec.kind == VALUE_STR && str_equal(timespec.text, STR("auto"))))
        return machine_take(machine, &out, ret_value, err);
    // "seconds": cut the fraction out of what was written.
    Str text = buf_str(&out);
    if (timespec.kind != VALUE_STR || !str_equal(timespec.text, STR("seconds")))
        return raise_value(machine, err, "isoformat(): only timespec 'seconds' is supported");
    const bool fraction = text.size > 19 && text.data[19] == '.';
    Str whole = {0};
    TRY(arena_printf(machine->arena, &whole, err, STR_FMT STR_FMT, STR_ARG(str_slice(text, 0, 19)),
                     STR_ARG(str_slice(text, fraction ? 26 : 19, text.size))));
    *ret_value = value_str(whole);
    return true;
}

static bool method_timestamp(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    (void)machine;
    (void)err;
    // A naive one is read in the machine's zone by Python; here that is UTC.
    *ret_value = value_float((double)arguments->self.integer / (double)US_PER_SECOND);
    return true;
}

static bool method_date(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)err;
    *ret_value = (Value){.kind = VALUE_DATE, .integer = date_from_us(local_us(arguments->self))};
    return true;
}

static bool method_weekday(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    (void)machine;
    (void)err;
    *ret_value = value_int(date_weekday(date_from_us(local_us(arguments->self))));
    return true;
}

static bool method_isoweekday(Machine *machine, const Arguments *arguments, Value *ret_value,
                              Error *err)
{
    TRY(method_weekday(machine, arguments, ret_value, err));
    ret_value->integer++;
    return true;
}

static bool method_total_seconds(Machine *machine, const Arguments *arguments, Value *ret_value,
                                 Error *err)
{
    (void)machine;
    (void)err;
    *ret_value = value_float((double)arguments->self.integer / (double)US_PER_SECOND);
    return true;
}

// replace(year=..., tzinfo is not offered)
static bool method_replace(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    const Value self = arguments->self;
    const int64_t local = local_us(self);
    const int64_t offset = self.kind == VALUE_DATETIME ? local - self.integer : 0;
    Civil civil = civil_from_us(local);
    int *parts[] = {&civil.year,   &civil.month,  &civil.day,        &civil.hour,
                    &civil.minute, &civil.second, &civil.microsecond};
    static const int lows[] = {1, 1, 1, 0, 0, 0, 0};
    static const int highs[] = {YEAR_MAX, 12, 31, 23, 59, 59, 999999};
    const size_t count = self.kind == VALUE_DATE ? 3 : sizeof(parts) / sizeof(parts[0]);
    for (size_t i = 0; i < ARGUMENTS_MAX; i++) {
        if (!arguments->given[i])
            continue;
        if (i >= count || arguments->values[i].kind != VALUE_INT)
            return raise_type(machine, err, "replace(): an argument that is not an integer");
        const int64_t number = arguments->values[i].integer;
        if (number < lows[i] || number > highs[i])
            return out_of_range(machine, err);
        *parts[i] = (int)number;
    }
    if (civil.day > date_days_in_month(civil.year, civil.month))
        return raise_value(machine, err, "day is out of range for month");
    const int64_t us = us_from_civil(civil);
    *ret_value = self;
    ret_value->integer = self.kind == VALUE_DATE ? date_from_us(us) : us - offset;
    return true;
}

const Function *datetime_method_find(Value value, Str name)
{
    static const struct {
        Function function;
        bool of_datetime, of_date, of_delta;
    } methods[] = {
        {{"strftime", "format", 1, method_strftime}, true, true, false},
        {{"isoformat", "sep,timespec", 0, method_isoformat}, true, true, false},
        {{"timestamp", "", 0, method_timestamp}, true, false, false},
        {{"date", "", 0, method_date}, true, false, false},
        {{"weekday", "", 0, method_weekday}, true, true, false},
        {{"isoweekday", "", 0, method_isoweekday}, true, true, false},
        {{"replace", "year,month,day,hour,minute,second,microsecond", 0, method_replace},
         true,
         true,
         false},
        {{"total_seconds", "", 0, method_total_seconds}, false, false, true},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        const bool fits = value.kind == VALUE_DATETIME ? methods[i].of_datetime
                          : value.kind == VALUE_DATE   ? methods[i].of_date
                                                       : methods[i].of_delta;
        if (fits && str_equal(name, str_from(methods[i].function.name)))
            return &methods[i].function;
    }
    return NULL;
}
