// Python's two ways to format: "%s of %d" % (a, b), and "{} of {1:>5}".format(a, b).

#include "connector/machine.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH_MAX = 10000, PRECISION_MAX = 100, NUMBER_BYTES = 512 };

// [[fill]align][sign][#][0][width][,][.precision][type]
typedef struct Spec {
    char fill, align, sign, type;
    bool alternate, commas;
    int width, precision; // precision -1 = none
} Spec;

static bool is_among(char c, const char *characters)
{
    return c != '\0' && strchr(characters, c) != NULL;
}

static bool is_integer(Value value)
{
    return value.kind == VALUE_INT || value.kind == VALUE_BOOL;
}

static int64_t to_integer(Value value)
{
    return value.kind == VALUE_BOOL ? value.boolean : value.integer;
}

// Puts `body` (behind `prefix`, a sign or "0x") into the spec's width.
static bool write_padded(const Spec *spec, Str prefix, Str body, char align, Buf *out, Error *err)
{
    const size_t count = value_count(value_str(prefix)) + value_count(value_str(body));
    const size_t room = (size_t)spec->width > count ? (size_t)spec->width - count : 0;
    const size_t before = align == '>' ? room : align == '^' ? room / 2 : 0;
    const size_t inside = align == '=' ? room : 0;
    for (size_t i = 0; i < before; i++)
        TRY(buf_append_char(out, spec->fill, err));
    TRY(buf_append(out, prefix, err));
    for (size_t i = 0; i < inside; i++)
        TRY(buf_append_char(out, spec->fill, err));
    TRY(buf_append(out, body, err));
    for (size_t i = before + inside; i < room; i++)
        TRY(buf_append_char(out, spec->fill, err));
    return true;
}

// Digits with a comma before each third of the whole part.
static size_t add_commas(const char *digits, size_t size, char *text)
{
    size_t whole = 0;
    while (whole < size && digits[whole] >= '0' && digits[whole] <= '9')
        whole++;
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0)
            text[count++] = ',';
        text[count++] = digits[i];
    }
    return count;
}

static bool write_number(const Spec *spec, bool negative, const char *base, const char *digits,
                         size_t size, Buf *out, Error *err)
{
    char prefix[8];
    char text[NUMBER_BYTES * 2];
    assert(size < NUMBER_BYTES);
    const char *sign = negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
    const int prefix_size = snprintf(prefix, sizeof(prefix), "%s%s", sign, base);
    if (spec->commas)
        size = add_commas(digits, size, text);
    else
        memcpy(text, digits, size);
    return write_padded(spec, (Str){prefix, (size_t)prefix_size}, (Str){text, size},
                        spec->align == '\0' ? '>' : spec->align, out, err);
}

static bool write_integer(const Spec *spec, int64_t integer, Buf *out, Error *err)
{
    char digits[72];
    const bool negative = integer < 0;
    uint64_t rest = negative ? 0 - (uint64_t)integer : (uint64_t)integer;
    unsigned base = 10;
    const char *prefix = "";
    if (spec->type == 'x' || spec->type == 'X') {
        base = 16;
        prefix = spec->alternate ? (spec->type == 'x' ? "0x" : "0X") : "";
    } else if (spec->type == 'o' || spec->type == 'b') {
        base = spec->type == 'o' ? 8 : 2;
        prefix = spec->alternate ? (spec->type == 'o' ? "0o" : "0b") : "";
    }
    const char *alphabet = spec->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t at = sizeof(digits);
    do {
        digits[--at] = alphabet[rest % base];
        rest /= base;
    } while (rest > 0);
    return write_number(spec, negative, prefix, digits + at, sizeof(digits) - at, out, err);
}

static bool write_float(const Spec *spec, double number, Buf *out, Error *err)
{
    char digits[NUMBER_BYTES];
    const double size = fabs(number);
    const int precision = spec->precision < 0 ? 6 : spec->precision;
    int count = 0;
    switch (spec->type) {
    case 'f':
    case 'F':
        count = snprintf(digits, sizeof(digits), "%.*f", precision, size);
        break;
    case 'e':
        count = snprintf(digits, sizeof(digits), "%.*e", precision, size);
        break;
    case 'E':
        count = snprintf(digits, sizeof(digits), "%.*E", precision, size);
        break;
    case '%':
        count = snprintf(digits, sizeof(digits), "%.*f%%", precision, size * 100);
        break;
    case 'g':
        count = snprintf(digits, sizeof(digits), "%.*g", precision, size);
        break;
    case 'G':
        count = snprintf(digits, sizeof(digits), "%.*G", precision, size);
        break;
    default:
        if (spec->precision >= 0) {
            count = snprintf(digits, sizeof(digits), "%.*g", precision, size);
            break;
        }
        count = (int)value_format_float(size, digits).size;
        break;
    }
    if (count < 0 || (size_t)count >= sizeof(digits))
        return error_set(err, ERROR_LIMIT, "a number of more than %d digits", (int)NUMBER_BYTES);
    return write_number(spec, signbit(number) != 0, "", digits, (size_t)count, out, err);
}

static Str clip(Str text, int precision)
{
    if (precision < 0)
        return text;
    size_t at = 0;
    for (int i = 0; i < precision && at < text.size; i++) {
        for (at++; at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80;)
            at++;
    }
    return str_slice(text, 0, at);
}

static bool write_text(const Spec *spec, Str text, char align, Buf *out, Error *err)
{
    return write_padded(spec, STR(""), clip(text, spec->precision),
                        spec->align == '\0' ? align : spec->align, out, err);
}

static bool parse_number(Str *format, int most, int *ret_number, bool *ret_ok)
{
    int number = 0;
    bool any = false;
    while (format->size > 0 && format->data[0] >= '0' && format->data[0] <= '9') {
        number = number * 10 + (format->data[0] - '0');
        *format = str_slice(*format, 1, format->size);
        any = true;
        if (number > most) {
            *ret_ok = false;
            return false;
        }
    }
    if (any)
        *ret_number = number;
    return any;
}

static bool skip(Str *format, char c)
{
    const bool found = format->size > 0 && format->data[0] == c;
    *format = str_slice(*format, found ? 1 : 0, format->size);
    return found;
}

// --- "..." % value

typedef struct Percent {
    Machine *machine;
    Value value;
    size_t used; // items of a tuple
    Buf *out;
} Percent;

static bool next_argument(Percent *percent, Value *ret_value, Error *err)
{
    const bool tuple = percent->value.kind == VALUE_TUPLE;
    const size_t count = tuple ? percent->value.list.count : 1;
    if (percent->used == count)
        return raise_type(percent->machine, err, "not enough arguments for format string");
    *ret_value = tuple ? percent->value.list.items[percent->used] : percent->value;
    percent->used++;
    return true;
}

static bool write_conversion(Percent *percent, Spec *spec, Value value, Error *err)
{
    Machine *machine = percent->machine;
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    if (spec->type == 's' || spec->type == 'r') {
        TRY(spec->type == 's' ? value_write_str(value, &text, err)
                              : value_write_repr(value, &text, err));
        spec->fill = ' ';
        return write_text(spec, buf_str(&text), '>', percent->out, err);
    }
    const bool integer = is_among(spec->type, "diuxXo");
    if (!integer && !is_among(spec->type, "feEgGF"))
        return raise_value(machine, err, "unsupported format character '%c'", spec->type);
    if (value.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "an argument of a format is undefined");
    if (!is_integer(value) && value.kind != VALUE_FLOAT)
        return raise_type(machine, err, "%%%c format: a real number is required, not %s",
                          spec->type, value_type(value));
    if (!integer)
        return write_float(spec,
                           value.kind == VALUE_FLOAT ? value.number : (double)to_integer(value),
                           percent->out, err);
    if (is_integer(value))
        return write_integer(spec, to_integer(value), percent->out, err);
    if (!(fabs(value.number) < 9.2e18))
        return error_set(err, ERROR_LIMIT, "an integer beyond 64 bits");
    return write_integer(spec, (int64_t)value.number, percent->out, err);
}

// From behind the '%'.
static bool percent_one(Percent *percent, Str *format, Error *err)
{
    Spec spec = {.fill = ' ', .precision = -1};
    Value value = value_undefined();
    bool named = false;
    if (skip(format, '(')) {
        const size_t size = str_find_char(*format, ')');
        if (!value_is_mapping(percent->value))
            return raise_type(percent->machine, err, "format requires a mapping");
        value = value_get(percent->value, str_slice(*format, 0, size));
        if (value.kind == VALUE_UNDEFINED || size == format->size)
            return raise_value(percent->machine, err, "a format names a key that is not there");
        *format = str_slice(*format, size + 1, format->size);
        named = true;
    }
    for (; format->size > 0 && is_among(format->data[0], "-0+ #");
         *format = str_slice(*format, 1, format->size)) {
        const char flag = format->data[0];
        if (flag == '-')
            spec.align = '<';
        else if (flag == '0')
            spec.fill = '0';
        else if (flag == '#')
            spec.alternate = true;
        else if (spec.sign != '+')
            spec.sign = flag;
    }
    bool ok = true;
    (void)parse_number(format, WIDTH_MAX, &spec.width, &ok);
    if (ok && skip(format, '.') && !parse_number(format, PRECISION_MAX, &spec.precision, &ok))
        spec.precision = 0;
    if (!ok || format->size == 0)
        return raise_value(percent->machine, err, "a broken format");
    spec.type = format->data[0];
    *format = str_slice(*format, 1, format->size);
    if (spec.type == '%')
        return buf_append_char(percent->out, '%', err);
    if (spec.align == '<')
        spec.fill = ' ';
    else if (spec.fill == '0')
        spec.align = '=';
    TRY(named || next_argument(percent, &value, err));
    if ((spec.type == 's' || spec.type == 'r') && spec.align == '=')
        spec.align = '>';
    return write_conversion(percent, &spec, value, err);
}

bool format_percent(Machine *machine, Str format, Value value, Value *ret_value, Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    Percent percent = {.machine = machine, .value = value, .out = &out};
    while (format.size > 0) {
        const size_t plain = str_find_char(format, '%');
        TRY(machine_step(machine, err) && buf_append(&out, str_slice(format, 0, plain), err));
        format = str_slice(format, plain, format.size);
        if (!skip(&format, '%'))
            break;
        TRY(percent_one(&percent, &format, err));
    }
    const bool tuple = value.kind == VALUE_TUPLE;
    if (!value_is_mapping(value) && percent.used < (tuple ? value.list.count : 1))
        return raise_type(machine, err, "not all arguments converted during string formatting");
    return machine_take(machine, &out, ret_value, err);
}

// --- "...".format()

typedef struct Braces {
    Machine *machine;
    const Arguments *arguments;
    size_t next; // automatic numbering
    Buf *out;
} Braces;

static bool find_argument(Braces *braces, Str name, Value *ret_value, Error *err)
{
    const Arguments *arguments = braces->arguments;
    int64_t index = 0;
    if (name.size == 0 || str_to_int64(name, &index)) {
        const size_t at = name.size == 0 ? braces->next++ : (size_t)index;
        if (at >= arguments->count)
            return raise_value(braces->machine, err, "a format names argument %zu of %zu", at,
                               arguments->count);
        *ret_value = arguments->items[at];
        return true;
    }
    for (size_t i = 0; i < arguments->named_count; i++) {
        if (str_equal(arguments->named[i].name, name)) {
            *ret_value = arguments->named[i].value;
            return true;
        }
    }
    return raise_value(braces->machine, err, "a format names '" STR_FMT "', which is not there",
                       STR_ARG(name));
}

// "name", "0.attribute", "name[key]"
static bool find_field(Braces *braces, Str path, Value *ret_value, Error *err)
{
    size_t size = 0;
    while (size < path.size && path.data[size] != '.' && path.data[size] != '[')
        size++;
    TRY(find_argument(braces, str_slice(path, 0, size), ret_value, err));
    path = str_slice(path, size, path.size);
    while (path.size > 0) {
        const bool item = skip(&path, '[');
        if (!item)
            (void)skip(&path, '.');
        size = 0;
        while (size < path.size &&
               (item ? path.data[size] != ']' : path.data[size] != '.' && path.data[size] != '['))
            size++;
        const Str name = str_slice(path, 0, size);
        path = str_slice(path, size + (item ? 1 : 0), path.size);
        int64_t index = 0;
        const Value key = item && str_to_int64(name, &index) ? value_int(index) : value_str(name);
        TRY(machine_step(braces->machine, err));
        TRY(item ? operator_item(braces->machine, *ret_value, key, ret_value, err)
                 : operator_attribute(braces->machine, *ret_value, name, ret_value, err));
    }
    return true;
}

static bool is_align(char c)
{
    return c == '<' || c == '>' || c == '^' || c == '=';
}

static bool parse_spec(Str format, Spec *spec)
{
    bool ok = true;
    *spec = (Spec){.fill = ' ', .precision = -1};
    if (format.size > 1 && is_align(format.data[1])) {
        spec->fill = format.data[0];
        spec->align = format.data[1];
        format = str_slice(format, 2, format.size);
    } else if (format.size > 0 && is_align(format.data[0])) {
        spec->align = format.data[0];
        format = str_slice(format, 1, format.size);
    }
    if (skip(&format, '+'))
        spec->sign = '+';
    else if (skip(&format, ' '))
        spec->sign = ' ';
    else
        (void)skip(&format, '-');
    spec->alternate = skip(&format, '#');
    if (format.size > 0 && format.data[0] == '0' && spec->align == '\0') {
        spec->fill = '0';
        spec->align = '=';
    }
    (void)parse_number(&format, WIDTH_MAX, &spec->width, &ok);
    spec->commas = skip(&format, ',');
    if (skip(&format, '.') && !parse_number(&format, PRECISION_MAX, &spec->precision, &ok))
        return false;
    if (format.size == 1) {
        spec->type = format.data[0];
        format.size = 0;
    }
    return ok && format.size == 0;
}

static bool write_by_spec(Braces *braces, Value value, Str format, Error *err)
{
    if (format.size == 0)
        return value_write_str(value, braces->out, err);
    Machine *machine = braces->machine;
    if (value.kind == VALUE_DATETIME || value.kind == VALUE_DATE) {
        Value text = value_undefined();
        TRY(datetime_strftime(machine, value, format, &text, err));
        return buf_append(braces->out, text.text, err);
    }
    Spec spec;
    if (!parse_spec(format, &spec))
        return raise_value(machine, err, "invalid format specifier '" STR_FMT "'", STR_ARG(format));
    const bool number = is_integer(value) || value.kind == VALUE_FLOAT;
    if (value.kind == VALUE_STR && (spec.type == '\0' || spec.type == 's'))
        return write_text(&spec, value.text, '<', braces->out, err);
    if (is_integer(value) && (spec.type == '\0' || is_among(spec.type, "dxXobn")))
        return write_integer(&spec, to_integer(value), braces->out, err);
    if (number && (spec.type == '\0' || is_among(spec.type, "feEgGF%")))
        return write_float(&spec,
                           value.kind == VALUE_FLOAT ? value.number : (double)to_integer(value),
                           braces->out, err);
    if (value.kind == VALUE_STR || number)
        return raise_value(machine, err, "unknown format code '%c' for '%s'", spec.type,
                           value_type(value));
    return raise_type(machine, err, "unsupported format string passed to %s.__format__",
                      value_type(value));
}

// From behind the '{' to behind the '}'.
static bool braces_one(Braces *braces, Str *format, Error *err)
{
    const size_t size = str_find_char(*format, '}');
    Str field = str_slice(*format, 0, size);
    if (size == format->size || str_find_char(field, '{') < field.size)
        return raise_value(braces->machine, err, "a format with a '{' that nothing closes");
    *format = str_slice(*format, size + 1, format->size);
    const size_t colon = str_find_char(field, ':');
    const Str spec = str_slice(field, colon + 1, field.size);
    field = str_slice(field, 0, colon);
    char conversion = '\0';
    if (field.size > 1 && field.data[field.size - 2] == '!') {
        conversion = field.data[field.size - 1];
        field.size -= 2;
    }
    Value value = value_undefined();
    TRY(find_field(braces, field, &value, err));
    if (conversion == '\0')
        return write_by_spec(braces, value, spec, err);
    CLEANUP(buf_done) Buf text = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(conversion == 's' ? value_write_str(value, &text, err)
                          : value_write_repr(value, &text, err));
    return write_by_spec(braces, value_str(buf_str(&text)), spec, err);
}

bool format_braces(Machine *machine, Str format, const Arguments *arguments, Value *ret_value,
                   Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    Braces braces = {.machine = machine, .arguments = arguments, .out = &out};
    while (format.size > 0) {
        size_t plain = 0;
        while (plain < format.size && format.data[plain] != '{' && format.data[plain] != '}')
            plain++;
        TRY(machine_step(machine, err) && buf_append(&out, str_slice(format, 0, plain), err));
        format = str_slice(format, plain, format.size);
        if (format.size == 0)
            break;
        const char c = format.data[0];
        format = str_slice(format, 1, format.size);
        if (skip(&format, c))
            TRY(buf_append_char(&out, c, err)); // doubled: itself
        else if (c == '}')
            return raise_value(machine, err, "a format with a single '}'");
        else
            TRY(braces_one(&braces, &format, err));
    }
    return machine_take(machine, &out, ret_value, err);
}
