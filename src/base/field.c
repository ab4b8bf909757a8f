#include "base/field.h"

#include "base/time.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

// A table has at most FIELDS_MAX rows; a finding names what is allowed in at most LIST_BYTES_MAX
// bytes, and members of the file by their first NAME_BYTES_MAX.
enum { FIELDS_MAX = 128, LIST_BYTES_MAX = 300, NAME_BYTES_MAX = 64, POINTER_BYTES_MAX = 512 };

// What reading one table shares.
typedef struct Reader {
    const Field *fields;
    FieldPlace place;
    Arena *arena;
    char *target;
    Findings *findings;
    Error *err;
} Reader;

// --- findings

// "<place>: <pointer>/<name>", the name escaped as RFC 6901 asks; `name` may be empty.
static Str place_of(const Reader *reader, Str name, char text[POINTER_BYTES_MAX])
{
    name = str_slice(name, 0, NAME_BYTES_MAX);
    char escaped[2 * NAME_BYTES_MAX + 1];
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        escaped[size++] = c == '~' || c == '/' ? '~' : c;
        if (c == '~' || c == '/')
            escaped[size++] = c == '~' ? '0' : '1';
    }
    const bool inside = reader->place.pointer.size > 0 || name.size > 0;
    const int written =
        snprintf(text, POINTER_BYTES_MAX, STR_FMT "%s" STR_FMT "%s" STR_FMT,
                 STR_ARG(reader->place.file), reader->place.file.size > 0 && inside ? ": " : "",
                 STR_ARG(reader->place.pointer), name.size > 0 ? "/" : "", (int)size, escaped);
    const size_t most = POINTER_BYTES_MAX - 1;
    return (Str){text, (size_t)written < most ? (size_t)written : most};
}

static void complain(const Reader *reader, Str name, const char *what, Str fix)
{
    char text[POINTER_BYTES_MAX];
    findings_add(reader->findings, place_of(reader, name, text), str_from(what), fix);
}

// "did you mean '...'", or "one of: ..." where nothing is near.
static Str suggestion(Str name, const Str *names, size_t count, char text[LIST_BYTES_MAX])
{
    const Str nearest = findings_nearest(name, names, count);
    if (nearest.data != NULL) {
        (void)snprintf(text, LIST_BYTES_MAX, "did you mean '" STR_FMT "'?", STR_ARG(nearest));
        return str_from(text);
    }
    size_t size = (size_t)snprintf(text, LIST_BYTES_MAX, "known here: ");
    for (size_t i = 0; i < count; i++) {
        const size_t room = LIST_BYTES_MAX - size;
        const int written =
            snprintf(text + size, room, "%s" STR_FMT, i == 0 ? "" : ", ", STR_ARG(names[i]));
        if ((size_t)written >= room)
            return (Str){text, LIST_BYTES_MAX - 1};
        size += (size_t)written;
    }
    return (Str){text, size};
}

// --- values

static bool in_range(const Field *field, double value)
{
    return (field->low == 0 && field->high == 0) || (value >= field->low && value <= field->high);
}

static void complain_of_range(const Reader *reader, const Field *field)
{
    char what[100];
    (void)snprintf(what, sizeof(what), "must lie between %.15g and %.15g", field->low, field->high);
    complain(reader, str_from(field->name), what, (Str){NULL, 0});
}

// Copies a value of the member's own type to its place, whatever its alignment and qualifiers.
static void put(const Reader *reader, const Field *field, const void *value, size_t size)
{
    memcpy(reader->target + field->offset, value, size);
}

static bool put_str(const Reader *reader, const Field *field, Str text)
{
    Str copy = {0};
    TRY(arena_copy_str(reader->arena, text, &copy, reader->err));
    put(reader, field, &copy, sizeof(copy));
    return true;
}

bool field_parse_size(Str text, uint64_t *ret_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    int64_t count = 0;
    if (!str_to_int64(str_slice(text, 0, digits), &count))
        return false;
    const Str unit = str_slice(text, digits, text.size);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (unit.size > 0 && !str_equal(unit, str_from(units[i])))
            continue;
        const unsigned shift = (unsigned)i * 10;
        if ((uint64_t)count > (uint64_t)INT64_MAX >> shift)
            return false;
        *ret_bytes = (uint64_t)count << shift;
        return true;
    }
    return false;
}

static size_t list_choices(const Field *field, Str names[FIELDS_MAX])
{
    size_t count = 0;
    for (; field->choices[count] != NULL; count++) {
        assert(count < FIELDS_MAX);
        names[count] = str_from(field->choices[count]);
    }
    return count;
}

static bool choose(const Field *field, Str text, int *ret_index)
{
    for (int i = 0; field->choices[i] != NULL; i++) {
        if (str_equal(text, str_from(field->choices[i]))) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static bool read_text(const Reader *reader, const Field *field, yyjson_val *value)
{
    const Str name = str_from(field->name);
    const Str text = json_str(value);
    if (!yyjson_is_str(value))
        complain(reader, name, "is not a string", (Str){NULL, 0});
    else if (str_find_char(text, '\0') < text.size)
        complain(reader, name, "holds a NUL", (Str){NULL, 0});
    else
        return put_str(reader, field, text);
    return true;
}

static void read_int(const Reader *reader, const Field *field, yyjson_val *value)
{
    const Str name = str_from(field->name);
    if (!yyjson_is_int(value)) {
        complain(reader, name, yyjson_is_raw(value) ? "is out of range" : "is not a whole number",
                 (Str){NULL, 0});
        return;
    }
    const int64_t number = yyjson_get_sint(value);
    if (yyjson_is_uint(value) && yyjson_get_uint(value) > (uint64_t)INT64_MAX)
        complain(reader, name, "is out of range", (Str){NULL, 0});
    else if (!in_range(field, (double)number))
        complain_of_range(reader, field);
    else
        put(reader, field, &number, sizeof(number));
}

static void read_double(const Reader *reader, const Field *field, yyjson_val *value)
{
    double number = 0;
    if (!json_to_double(value, &number) || !isfinite(number))
        complain(reader, str_from(field->name), "is not a number", (Str){NULL, 0});
    else if (!in_range(field, number))
        complain_of_range(reader, field);
    else
        put(reader, field, &number, sizeof(number));
}

static void read_bool(const Reader *reader, const Field *field, yyjson_val *value)
{
    const bool yes = yyjson_get_bool(value);
    if (!yyjson_is_bool(value))
        complain(reader, str_from(field->name), "is not true or false", (Str){NULL, 0});
    else
        put(reader, field, &yes, sizeof(yes));
}

static void read_size(const Reader *reader, const Field *field, yyjson_val *value)
{
    uint64_t bytes = yyjson_get_uint(value);
    if (!yyjson_is_uint(value) &&
        !(yyjson_is_str(value) && field_parse_size(json_str(value), &bytes)))
        complain(reader, str_from(field->name), "is not a size", STR("write it as \"512MiB\""));
    else if (!in_range(field, (double)bytes))
        complain_of_range(reader, field);
    else
        put(reader, field, &bytes, sizeof(bytes));
}

static void read_duration(const Reader *reader, const Field *field, yyjson_val *value)
{
    Duration duration = {0};
    const Str name = str_from(field->name);
    if (!yyjson_is_str(value) || !duration_parse(json_str(value), &duration))
        complain(reader, name, "is not a duration", STR("write it as \"PT30S\" or \"P2D\""));
    else if (duration.months != 0)
        complain(reader, name, "has months or years, whose length varies", STR("write it in days"));
    else
        put(reader, field, &duration.us, sizeof(duration.us));
}

static void read_choice(const Reader *reader, const Field *field, yyjson_val *value)
{
    int index = 0;
    if (yyjson_is_str(value) && choose(field, json_str(value), &index)) {
        put(reader, field, &index, sizeof(index));
        return;
    }
    Str names[FIELDS_MAX];
    const size_t count = list_choices(field, names);
    char text[LIST_BYTES_MAX];
    complain(reader, str_from(field->name), "is none of the choices",
             suggestion(json_str(value), names, count, text));
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool read_struct(const Reader *reader, const Field *field, yyjson_val *value)
{
    char text[POINTER_BYTES_MAX];
    const Str base = reader->place.pointer;
    const int size = snprintf(text, sizeof(text), STR_FMT "/%s", STR_ARG(base), field->name);
    assert(size > 0 && (size_t)size < sizeof(text));
    return field_read(field->fields, value, (FieldPlace){reader->place.file, {text, (size_t)size}},
                      reader->arena, reader->target + field->offset, reader->findings, reader->err);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool read_value(const Reader *reader, const Field *field, yyjson_val *value)
{
    switch (field->kind) {
    case FIELD_KIND_STR:
    case FIELD_KIND_SECRET:
        return read_text(reader, field, value);
    case FIELD_KIND_STRUCT:
        return read_struct(reader, field, value);
    case FIELD_KIND_INT:
        read_int(reader, field, value);
        break;
    case FIELD_KIND_DOUBLE:
        read_double(reader, field, value);
        break;
    case FIELD_KIND_BOOL:
        read_bool(reader, field, value);
        break;
    case FIELD_KIND_SIZE:
        read_size(reader, field, value);
        break;
    case FIELD_KIND_DURATION:
        read_duration(reader, field, value);
        break;
    case FIELD_KIND_CHOICE:
        read_choice(reader, field, value);
        break;
    case FIELD_KIND_JSON:
        put(reader, field, &value, sizeof(yyjson_val *));
        break;
    }
    return true;
}

// --- fallbacks

// A fallback that does not parse is a bug in the table: the test of its module would not get past
// here.
static bool put_fallback(const Reader *reader, const Field *field)
{
    const Str text = str_from(field->fallback);
    Duration duration = {0};
    int64_t number = 0;
    double real = 0;
    uint64_t bytes = 0;
    int index = 0;
    bool ok = true;
    switch (field->kind) {
    case FIELD_KIND_STR:
    case FIELD_KIND_SECRET:
        return put_str(reader, field, text);
    case FIELD_KIND_INT:
        ok = str_to_int64(text, &number);
        put(reader, field, &number, sizeof(number));
        break;
    case FIELD_KIND_DOUBLE:
        ok = str_to_double(text, &real);
        put(reader, field, &real, sizeof(real));
        break;
    case FIELD_KIND_BOOL: {
        const bool yes = str_equal(text, STR("true"));
        ok = yes || str_equal(text, STR("false"));
        put(reader, field, &yes, sizeof(yes));
        break;
    }
    case FIELD_KIND_SIZE:
        ok = field_parse_size(text, &bytes);
        put(reader, field, &bytes, sizeof(bytes));
        break;
    case FIELD_KIND_DURATION:
        ok = duration_parse(text, &duration) && duration.months == 0;
        put(reader, field, &duration.us, sizeof(duration.us));
        break;
    case FIELD_KIND_CHOICE:
        ok = choose(field, text, &index);
        put(reader, field, &index, sizeof(index));
        break;
    case FIELD_KIND_JSON:
    case FIELD_KIND_STRUCT:
        ok = false;
        break;
    }
    assert(ok);
    (void)ok;
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool put_fallbacks(const Reader *reader)
{
    for (const Field *field = reader->fields; field->name != NULL; field++) {
        if (field->kind == FIELD_KIND_STRUCT) {
            Reader inner = *reader;
            inner.fields = field->fields;
            inner.target += field->offset;
            TRY(put_fallbacks(&inner));
        } else if (field->fallback != NULL) {
            TRY(put_fallback(reader, field));
        }
    }
    return true;
}

// --- tables

static size_t list_names(const Field *fields, Str names[FIELDS_MAX])
{
    size_t count = 0;
    for (; fields[count].name != NULL; count++) {
        assert(count < FIELDS_MAX);
        names[count] = str_from(fields[count].name);
    }
    return count;
}

// The row of `name`, or `count`.
static size_t find_row(const Str *names, size_t count, Str name)
{
    size_t row = 0;
    while (row < count && !str_equal(name, names[row]))
        row++;
    return row;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool read_members(const Reader *reader, yyjson_val *object)
{
    Str names[FIELDS_MAX];
    bool given[FIELDS_MAX] = {false};
    const size_t count = list_names(reader->fields, names);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key = yyjson_obj_iter_next(&iter); key != NULL;
         key = yyjson_obj_iter_next(&iter)) {
        const Str name = json_str(key);
        const size_t row = find_row(names, count, name);
        char text[LIST_BYTES_MAX];
        if (row == count)
            complain(reader, name, "is not known", suggestion(name, names, count, text));
        else if (given[row])
            complain(reader, name, "is given twice", (Str){NULL, 0});
        else
            TRY(read_value(reader, &reader->fields[row], yyjson_obj_iter_get_val(key)));
        if (row < count)
            given[row] = true;
    }
    for (size_t i = 0; i < count; i++) {
        const char *help = reader->fields[i].help == NULL ? "" : reader->fields[i].help;
        if (reader->fields[i].required && !given[i])
            complain(reader, names[i], "is missing", str_from(help));
    }
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
bool field_read(const Field *fields, yyjson_val *object, FieldPlace place, Arena *arena,
                void *target, Findings *findings, Error *err)
{
    const Reader reader = {fields, place, arena, target, findings, err};
    TRY(put_fallbacks(&reader));
    if (!yyjson_is_obj(object)) {
        complain(&reader, (Str){NULL, 0}, "is not an object", (Str){NULL, 0});
        return true;
    }
    return read_members(&reader, object);
}

static bool is_reference(Str text)
{
    return (str_starts_with(text, STR("${env:")) || str_starts_with(text, STR("${file:"))) &&
           str_find_char(text, '}') == text.size - 1;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
void field_refuse_plain_secrets(const Field *fields, yyjson_val *object, FieldPlace place,
                                Findings *findings)
{
    const Reader reader = {.fields = fields, .place = place, .findings = findings};
    for (const Field *field = fields; field->name != NULL; field++) {
        const Str name = str_from(field->name);
        yyjson_val *value = json_get(object, name);
        if (value == NULL)
            continue;
        if (field->kind == FIELD_KIND_STRUCT) {
            char text[POINTER_BYTES_MAX];
            (void)snprintf(text, sizeof(text), STR_FMT "/%s", STR_ARG(place.pointer), field->name);
            const FieldPlace inside = {place.file, str_from(text)};
            field_refuse_plain_secrets(field->fields, value, inside, findings);
        } else if (field->kind == FIELD_KIND_SECRET && !is_reference(json_str(value))) {
            complain(
                &reader, name, "is a secret in plain text",
                STR("write \"${env:NAME}\" or \"${file:PATH}\", and renew it: it has been seen"));
        }
    }
}

// --- JSON Schema

// Whether `text` is to be written without quotes: a fallback of such a kind is JSON as it stands.
static bool is_bare(const Field *field)
{
    int64_t ignored = 0;
    return field->kind == FIELD_KIND_INT || field->kind == FIELD_KIND_DOUBLE ||
           field->kind == FIELD_KIND_BOOL ||
           (field->kind == FIELD_KIND_SIZE && str_to_int64(str_from(field->fallback), &ignored));
}

static bool write_range(const Field *field, Buf *out, Error *err)
{
    if (field->low == 0 && field->high == 0)
        return true;
    return buf_printf(out, err, ",\"minimum\":%.15g,\"maximum\":%.15g", field->low, field->high);
}

static bool write_choices(const Field *field, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("\"enum\":["), err));
    for (size_t i = 0; field->choices[i] != NULL; i++) {
        if (i > 0)
            TRY(buf_append_char(out, ',', err));
        TRY(json_write_str(str_from(field->choices[i]), out, err));
    }
    return buf_append_char(out, ']', err);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool write_kind(const Field *field, Buf *out, Error *err)
{
    switch (field->kind) {
    case FIELD_KIND_STR:
        return buf_append(out, STR("\"type\":\"string\""), err);
    case FIELD_KIND_SECRET:
        return buf_append(
            out, STR("\"type\":\"string\",\"pattern\":\"^\\\\$\\\\{(env|file):[^}]+\\\\}$\""), err);
    case FIELD_KIND_INT:
        return buf_append(out, STR("\"type\":\"integer\""), err) && write_range(field, out, err);
    case FIELD_KIND_DOUBLE:
        return buf_append(out, STR("\"type\":\"number\""), err) && write_range(field, out, err);
    case FIELD_KIND_BOOL:
        return buf_append(out, STR("\"type\":\"boolean\""), err);
    case FIELD_KIND_SIZE: // a pattern concerns strings only, a range numbers only
        return buf_append(out,
                          STR("\"type\":[\"integer\",\"string\"],"
                              "\"pattern\":\"^[0-9]+(B|KiB|MiB|GiB|TiB)?$\""),
                          err) &&
               write_range(field, out, err);
    case FIELD_KIND_DURATION:
        return buf_append(out,
                          STR("\"type\":\"string\",\"pattern\":\"^P(?=.)([0-9]+W)?([0-9]+D)?"
                              "(T(?=.)([0-9]+H)?([0-9]+M)?([0-9]+([.,][0-9]+)?S)?)?$\""),
                          err);
    case FIELD_KIND_CHOICE:
        return write_choices(field, out, err);
    case FIELD_KIND_STRUCT:
    case FIELD_KIND_JSON:
        break;
    }
    return true;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
static bool write_property(const Field *field, Buf *out, Error *err)
{
    TRY(json_write_str(str_from(field->name), out, err));
    TRY(buf_append(out, STR(":{"), err));
    const size_t start = out->size;
    TRY(write_kind(field, out, err));
    if (field->help != NULL) {
        TRY(buf_append(out, out->size > start ? STR(",\"description\":") : STR("\"description\":"),
                       err));
        TRY(json_write_str(str_from(field->help), out, err));
    }
    if (field->fallback != NULL) {
        TRY(buf_append(out, out->size > start ? STR(",\"default\":") : STR("\"default\":"), err));
        TRY(is_bare(field) ? buf_append(out, str_from(field->fallback), err)
                           : json_write_str(str_from(field->fallback), out, err));
    }
    if (field->kind == FIELD_KIND_STRUCT) {
        if (out->size > start)
            TRY(buf_append_char(out, ',', err));
        // The nested object's own keywords belong among this property's: its braces are cut off.
        const size_t inner = out->size;
        TRY(field_write_schema(field->fields, out, err));
        memmove(out->data + inner, out->data + inner + 1, out->size - inner - 2);
        out->size -= 2;
    }
    return buf_append_char(out, '}', err);
}

static bool write_required(const Field *fields, Buf *out, Error *err)
{
    bool any = false;
    for (const Field *field = fields; field->name != NULL; field++) {
        if (!field->required)
            continue;
        TRY(buf_append(out, any ? STR(",") : STR(",\"required\":["), err));
        TRY(json_write_str(str_from(field->name), out, err));
        any = true;
    }
    return !any || buf_append_char(out, ']', err);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the tables, which are constants
bool field_write_schema(const Field *fields, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"type\":\"object\",\"properties\":{"), err));
    for (const Field *field = fields; field->name != NULL; field++) {
        if (field > fields)
            TRY(buf_append_char(out, ',', err));
        TRY(write_property(field, out, err));
    }
    TRY(buf_append_char(out, '}', err));
    TRY(write_required(fields, out, err));
    return buf_append(out, STR(",\"additionalProperties\":false}"), err);
}
