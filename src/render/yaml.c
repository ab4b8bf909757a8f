#include "render/yaml.h"

#include "base/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { YAML_VALUE_BYTES = 1024, YAML_DEPTH_MAX = 32 };

static void append(Yaml *yaml, Str text)
{
    yaml->failed = yaml->failed || !buf_append(yaml->out, text, yaml->err);
}

static void begin(Yaml *yaml)
{
    assert(yaml->depth >= 0 && yaml->depth < YAML_DEPTH_MAX);
    const int indent = yaml->depth - (yaml->item ? 1 : 0);
    for (int i = 0; i < indent; i++)
        append(yaml, STR("  "));
    if (yaml->item)
        append(yaml, STR("- "));
    yaml->item = false;
}

// Words that some reader of YAML takes for a truth value or for nothing.
static bool is_reserved(Str text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on",
                                        "off",  "null",  "y",   "n",  NULL};
    for (size_t i = 0; words[i] != NULL; i++) {
        if (str_equal_ignoring_case(text, str_from(words[i])))
            return true;
    }
    return false;
}

static bool is_plain(Str text)
{
    if (text.size == 0 || is_reserved(text) || text.data[text.size - 1] == ' ' ||
        text.data[text.size - 1] == ':')
        return false;
    const char first = text.data[0];
    const bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
    if (!letter && first != '/' && first != '$' && first != '_' &&
        !str_starts_with(text, STR("./")))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    }
    return str_find(text, STR(": ")) == text.size && str_find(text, STR(" #")) == text.size;
}

// A text in quotes of JSON is one of YAML too.
static void scalar(Yaml *yaml, Str text)
{
    if (is_plain(text))
        append(yaml, text);
    else
        yaml->failed = yaml->failed || !json_write_str(text, yaml->out, yaml->err);
}

static void begin_member(Yaml *yaml, const char *name)
{
    begin(yaml);
    scalar(yaml, str_from(name));
    append(yaml, STR(":"));
}

void yaml_comment(Yaml *yaml, const char *text)
{
    assert(!yaml->item);
    begin(yaml);
    append(yaml, STR("# "));
    append(yaml, str_from(text));
    append(yaml, STR("\n"));
}

void yaml_blank(Yaml *yaml)
{
    append(yaml, STR("\n"));
}

void yaml_open(Yaml *yaml, const char *name)
{
    begin_member(yaml, name);
    append(yaml, STR("\n"));
    yaml->depth++;
}

void yaml_close(Yaml *yaml)
{
    yaml->depth--;
}

void yaml_item_open(Yaml *yaml)
{
    yaml->item = true;
    yaml->depth++;
}

void yaml_item_close(Yaml *yaml)
{
    yaml->depth--;
}

void yaml_str(Yaml *yaml, const char *name, Str value)
{
    begin_member(yaml, name);
    append(yaml, STR(" "));
    scalar(yaml, value);
    append(yaml, STR("\n"));
}

void yaml_text(Yaml *yaml, const char *name, const char *value)
{
    yaml_str(yaml, name, str_from(value));
}

// vsnprintf into `text`; what does not fit is a failure, never a cut.
static Str format_value(Yaml *yaml, char text[YAML_VALUE_BYTES], const char *format, va_list list)
    PRINTF_LIKE(3, 0);
static Str format_value(Yaml *yaml, char text[YAML_VALUE_BYTES], const char *format, va_list list)
{
    const int size = vsnprintf(text, YAML_VALUE_BYTES, format, list);
    if (size >= 0 && size < YAML_VALUE_BYTES)
        return (Str){text, (size_t)size};
    if (!yaml->failed)
        yaml->failed = !error_set(yaml->err, ERROR_LIMIT, "yaml: a value over %d bytes",
                                  (int)YAML_VALUE_BYTES);
    return STR("");
}

void yaml_printf(Yaml *yaml, const char *name, const char *format, ...)
{
    char text[YAML_VALUE_BYTES];
    va_list list;
    va_start(list, format);
    const Str value = format_value(yaml, text, format, list);
    va_end(list);
    yaml_str(yaml, name, value);
}

static void raw(Yaml *yaml, const char *name, const char *value)
{
    begin_member(yaml, name);
    append(yaml, STR(" "));
    append(yaml, str_from(value));
    append(yaml, STR("\n"));
}

void yaml_int(Yaml *yaml, const char *name, int64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    raw(yaml, name, text);
}

void yaml_bool(Yaml *yaml, const char *name, bool value)
{
    raw(yaml, name, value ? "true" : "false");
}

void yaml_item(Yaml *yaml, const char *value)
{
    yaml_item_open(yaml);
    begin(yaml);
    scalar(yaml, str_from(value));
    append(yaml, STR("\n"));
    yaml_item_close(yaml);
}

void yaml_item_printf(Yaml *yaml, const char *format, ...)
{
    char text[YAML_VALUE_BYTES];
    va_list list;
    va_start(list, format);
    const Str value = format_value(yaml, text, format, list);
    va_end(list);
    yaml_item_open(yaml);
    begin(yaml);
    scalar(yaml, value);
    append(yaml, STR("\n"));
    yaml_item_close(yaml);
}

void yaml_lines(Yaml *yaml, const char *name, const char *lines)
{
    begin_member(yaml, name);
    append(yaml, STR(" |\n"));
    yaml->depth++;
    for (Str rest = str_from(lines); rest.size > 0;) {
        const Str line = str_split_next(&rest, '\n');
        if (line.size > 0)
            begin(yaml);
        append(yaml, line);
        append(yaml, STR("\n"));
    }
    yaml->depth--;
}

bool yaml_done(const Yaml *yaml)
{
    return !yaml->failed;
}
