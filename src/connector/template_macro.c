// Macros: the functions that templates may call: now_utc(), format_datetime() and the reference's
// other ones.

#include "base/time.h"
#include "connector/machine.h"
#include "connector/text_case.h"
#include "net/url.h"

#include <assert.h>

static int64_t now_us(const Machine *machine)
{
    Env *env = machine->scope->env;
    return env->now_us(env->state);
}

static Value datetime_utc(int64_t us)
{
    return (Value){.kind = VALUE_DATETIME, .integer = us};
}

// Makes a str of an argument, as Python's own functions want it: a TypeError otherwise.
static bool want_str(Machine *machine, Value value, Str *ret_text, Error *err)
{
    if (value.kind != VALUE_STR)
        return raise_type(machine, err, "expected str, got %s", value_type(value));
    *ret_text = value.text;
    return true;
}

// --- now

static bool macro_now_utc(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    (void)arguments;
    (void)err;
    *ret_value = datetime_utc(now_us(machine));
    return true;
}

static bool macro_today_utc(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    (void)arguments;
    (void)err;
    *ret_value = (Value){.kind = VALUE_DATE, .integer = date_from_us(now_us(machine))};
    return true;
}

static bool macro_today_with_timezone(Machine *machine, const Arguments *arguments,
                                      Value *ret_value, Error *err)
{
    Str name = {0};
    const Zone *zone = NULL;
    if (arguments->values[0].kind != VALUE_STR) // pytz's error, unlike other functions' TypeError
        return raise_value(machine, err, "a time zone that is no str");
    name = arguments->values[0].text;
    TRY(zone_open(name, machine->arena, &zone, err));
    *ret_value = (Value){.kind = VALUE_DATE, .integer = zone_date_at(zone, now_us(machine))};
    return true;
}

static bool macro_day_delta(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    Str format = STR("%Y-%m-%dT%H:%M:%S.%f%z");
    const Value days = arguments->values[0];
    if (arguments->given[1])
        TRY(want_str(machine, arguments->values[1], &format, err));
    double count = 0;
    if (days.kind == VALUE_INT)
        count = (double)days.integer;
    else if (days.kind == VALUE_FLOAT)
        count = days.number;
    else
        return days.kind == VALUE_UNDEFINED
                   ? raise_type(machine, err, "day_delta: Undefined")
                   : raise_type(machine, err, "unsupported type for timedelta days component: %s",
                                value_type(days));
    if (!(count > -4e6 && count < 4e6))
        return raise_value(machine, err, "date value out of range");
    const Value delta = {.kind = VALUE_TIMEDELTA, .integer = (int64_t)(count * (double)US_PER_DAY)};
    Value moved = value_undefined();
    return datetime_shift(machine, datetime_utc(now_us(machine)), delta, 1, &moved, err) &&
           datetime_strftime(machine, moved, format, ret_value, err);
}

// --- reading and writing dates

static bool parse_iso(Machine *machine, Value value, Value *ret_value, Error *err)
{
    if (value.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "a date that is undefined");
    if (value_is_mapping(value) || value_is_sequence(value))
        return raise_value(machine, err, "a date that is a %s", value_type(value));
    Str text = {0};
    TRY(want_str(machine, value, &text, err));
    if (!datetime_parse_iso(text, ret_value))
        return raise_value(machine, err, "'" STR_FMT "' is not an ISO 8601 date",
                           STR_ARG(str_slice(text, 0, 60)));
    return true;
}

static bool macro_str_to_datetime(Machine *machine, const Arguments *arguments, Value *ret_value,
                                  Error *err)
{
    return parse_iso(machine, arguments->values[0], ret_value, err);
}

static bool macro_timestamp(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    const Value value = arguments->values[0];
    if (value.kind == VALUE_INT || value.kind == VALUE_BOOL) {
        *ret_value = value_int(value.kind == VALUE_BOOL ? value.boolean : value.integer);
        return true;
    }
    if (value.kind == VALUE_FLOAT) {
        if (!(value.number > -9e18 && value.number < 9e18))
            return raise_value(machine, err, "timestamp: not a number of seconds");
        *ret_value = value_int((int64_t)value.number);
        return true;
    }
    Value moment = value_undefined();
    TRY(parse_iso(machine, value, &moment, err));
    *ret_value = value_float((double)moment.integer / (double)US_PER_SECOND);
    return true;
}

static bool macro_duration(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    Str text = {0};
    Duration duration;
    TRY(want_str(machine, arguments->values[0], &text, err));
    const bool minus = str_starts_with(text, STR("-"));
    if (!duration_parse(
            str_slice(text, minus || str_starts_with(text, STR("+")) ? 1 : 0, text.size),
            &duration))
        return raise_value(machine, err, "unable to parse duration string '" STR_FMT "'",
                           STR_ARG(str_slice(text, 0, 60)));
    *ret_value = (Value){.kind = VALUE_TIMEDELTA,
                         .integer = minus ? -duration.us : duration.us,
                         .offset_seconds = minus ? -duration.months : duration.months};
    return true;
}

// strptime() of `text` in `format`; what names no zone is UTC.
static bool parse_by_format(Machine *machine, Str text, Str format, Value *ret_value, Error *err)
{
    int64_t us = 0;
    int32_t offset = 0;
    bool has_zone = false;
    if (!time_parse_offset(text, format, NULL, &us, &offset, &has_zone))
        return raise_value(machine, err,
                           "time data '" STR_FMT "' does not match format '" STR_FMT "'",
                           STR_ARG(str_slice(text, 0, 60)), STR_ARG(str_slice(format, 0, 60)));
    *ret_value = datetime_utc(us);
    ret_value->offset_seconds = offset;
    return true;
}

// The reference's own directives, which stand for the whole format; *ret_done tells whether one
// did.
static bool format_count(Machine *machine, Value moment, Str format, bool *ret_done,
                         Value *ret_value, Error *err)
{
    const int64_t us = moment.integer;
    Str text = {0};
    *ret_done = true;
    if (str_equal(format, STR("%s"))) {
        TRY(arena_printf(machine->arena, &text, err, "%lld", (long long)(us / US_PER_SECOND)));
    } else if (str_equal(format, STR("%ms"))) {
        TRY(arena_printf(machine->arena, &text, err, "%lld", (long long)(us / 1000)));
    } else if (str_equal(format, STR("%epoch_microseconds"))) {
        TRY(arena_printf(machine->arena, &text, err, "%lld", (long long)us));
    } else if (str_equal(format, STR("%s_as_float"))) {
        *ret_value = value_float((double)us / (double)US_PER_SECOND);
        TRY(machine_str(machine, *ret_value, &text, err));
    } else {
        *ret_done = false;
    }
    *ret_value = value_str(text);
    return true;
}

// "%_ms" anywhere: three digits.
static bool format_milliseconds(Machine *machine, Value moment, Str format, Str *ret_format,
                                Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    for (size_t at; (at = str_find(format, STR("%_ms"))) < format.size;) {
        const int ms = (int)(civil_from_us(moment.integer).microsecond / 1000);
        TRY(buf_append(&out, str_slice(format, 0, at), err) && buf_printf(&out, err, "%03d", ms));
        format = str_slice(format, at + 4, format.size);
    }
    return buf_append(&out, format, err) &&
           arena_copy_str(machine->arena, buf_str(&out), ret_format, err);
}

// A count since 1970 in the unit that the format names.
static bool moment_of_int(Machine *machine, Value value, Str input_format, Value *ret_moment,
                          Error *err)
{
    Str text = {0};
    return machine_str(machine, value, &text, err) &&
           parse_by_format(machine, text, input_format, ret_moment, err);
}

static bool macro_format_datetime(Machine *machine, const Arguments *arguments, Value *ret_value,
                                  Error *err)
{
    const Value value = arguments->values[0];
    Str format = {0};
    Str input_format = {NULL, 0};
    TRY(want_str(machine, arguments->values[1], &format, err));
    if (arguments->given[2] && value_is_true(arguments->values[2]))
        TRY(want_str(machine, arguments->values[2], &input_format, err));
    if (value.kind == VALUE_DATETIME)
        return datetime_strftime(machine, value, format, ret_value, err);
    Value moment = value_undefined();
    Str text = {0};
    if (value.kind == VALUE_INT || value.kind == VALUE_BOOL)
        TRY(moment_of_int(machine, value.kind == VALUE_BOOL ? value_int(value.boolean) : value,
                          input_format.size > 0 ? input_format : STR("%s"), &moment, err));
    else if (input_format.size > 0)
        TRY(want_str(machine, value, &text, err) &&
            parse_by_format(machine, text, input_format, &moment, err));
    else
        TRY(parse_iso(machine, value, &moment, err));
    bool done = false;
    TRY(format_count(machine, moment, format, &done, ret_value, err));
    if (done)
        return true;
    return format_milliseconds(machine, moment, format, &format, err) &&
           datetime_strftime(machine, moment, format, ret_value, err);
}

// --- the rest

static bool extreme(Machine *machine, const Arguments *arguments, Operator op, Value *ret_value,
                    Error *err)
{
    const Value *items = arguments->items;
    size_t count = arguments->count;
    if (arguments->named_count > 0 || count == 0)
        return raise_type(machine, err, "max and min take values, and no named arguments");
    if (count == 1)
        TRY(machine_items(machine, arguments->items[0], &items, &count, err));
    if (count == 0)
        return raise_value(machine, err, "max or min of an empty sequence");
    Value best = items[0];
    for (size_t i = 1; i < count; i++) {
        bool better = false;
        TRY(machine_step(machine, err) &&
            operator_compare(machine, op, items[i], best, &better, err));
        best = better ? items[i] : best;
    }
    *ret_value = best;
    return true;
}

static bool macro_max(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return extreme(machine, arguments, OPERATOR_GREATER, ret_value, err);
}

static bool macro_min(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return extreme(machine, arguments, OPERATOR_LESS, ret_value, err);
}

static bool macro_sanitize_url(Machine *machine, const Arguments *arguments, Value *ret_value,
                               Error *err)
{
    Str text = {0};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    return want_str(machine, arguments->values[0], &text, err) && url_quote_plus(text, &out, err) &&
           machine_take(machine, &out, ret_value, err);
}

static bool macro_camel_case_to_snake_case(Machine *machine, const Arguments *arguments,
                                           Value *ret_value, Error *err)
{
    Str text = {0};
    CLEANUP(buf_done) Buf parted = {.limit_bytes = MACHINE_BYTES_MAX};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(want_str(machine, arguments->values[0], &text, err));
    for (size_t i = 0; i < text.size; i++) {
        if (i > 0 && text.data[i] >= 'A' && text.data[i] <= 'Z')
            TRY(buf_append_char(&parted, '_', err));
        TRY(buf_append_char(&parted, text.data[i], err));
    }
    return text_change_case(buf_str(&parted), CASE_LOWER, &out, err) &&
           machine_take(machine, &out, ret_value, err);
}

// A version 4 UUID (RFC 9562).
static bool macro_generate_uuid(Machine *machine, const Arguments *arguments, Value *ret_value,
                                Error *err)
{
    (void)arguments;
    Env *env = machine->scope->env;
    const uint64_t high = (env->random(env->state) & ~UINT64_C(0xF000)) | 0x4000;
    const uint64_t low = (env->random(env->state) & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    Str text = {0};
    TRY(arena_printf(machine->arena, &text, err, "%08llx-%04llx-%04llx-%04llx-%012llx",
                     (unsigned long long)(high >> 32), (unsigned long long)(high >> 16 & 0xFFFF),
                     (unsigned long long)(high & 0xFFFF), (unsigned long long)(low >> 48),
                     (unsigned long long)(low & UINT64_C(0xFFFFFFFFFFFF))));
    *ret_value = value_str(text);
    return true;
}

// dict(a=1, b=2)
static bool macro_dict(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    if (arguments->count > 0)
        return raise_value(machine, err, "dict() takes named arguments only");
    ValuePair *pairs =
        arena_alloc_array(machine->arena, arguments->named_count, sizeof(*pairs), err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < arguments->named_count; i++)
        pairs[i] = (ValuePair){value_str(arguments->named[i].name), arguments->named[i].value};
    *ret_value = value_dict(pairs, arguments->named_count);
    return true;
}

static const Function macros[] = {
    {"camel_case_to_snake_case", "value", 1, macro_camel_case_to_snake_case},
    {"day_delta", "num_days,format", 1, macro_day_delta},
    {"dict", "*", 0, macro_dict},
    {"duration", "datestring", 1, macro_duration},
    {"format_datetime", "dt,format,input_format", 2, macro_format_datetime},
    {"generate_uuid", "", 0, macro_generate_uuid},
    {"max", "*", 0, macro_max},
    {"min", "*", 0, macro_min},
    {"now_utc", "", 0, macro_now_utc},
    {"sanitize_url", "value", 1, macro_sanitize_url},
    {"str_to_datetime", "s", 1, macro_str_to_datetime},
    {"timestamp", "dt", 1, macro_timestamp},
    {"today_utc", "", 0, macro_today_utc},
    {"today_with_timezone", "timezone", 1, macro_today_with_timezone},
    {NULL, NULL, 0, NULL},
};

const Function *macro_find(Str name)
{
    return function_find(macros, name);
}
