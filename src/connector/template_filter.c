// Filters: Jinja's own, as far as manifests use them, and the reference's (hash, hmac, base64,
// regex). Those of text are here, and the table of all.

#include "connector/template_filter.h"

#include "connector/regex.h"
#include "connector/text_case.h"
#include "net/url.h"

#include <assert.h>
#include <stdlib.h>

// --- methods of str

bool filter_subject_str(Machine *machine, const Arguments *arguments, Str *ret_text, Error *err)
{
    const Value self = arguments->self;
    if (self.kind == VALUE_UNDEFINED)
        return raise_undefined(machine, err, "a filter's subject is undefined");
    if (self.kind != VALUE_STR)
        return raise_value(machine, err, "'%s' object has no attribute 'encode'", value_type(self));
    *ret_text = self.text;
    return true;
}

// Runs a method of str on str(subject), with the filter's own arguments.
static bool by_method(Machine *machine, const char *method, const Arguments *arguments,
                      Value *ret_value, Error *err)
{
    const Function *function = str_method_find(str_from(method));
    assert(function != NULL);
    Arguments copy = *arguments;
    copy.self.kind = VALUE_STR;
    TRY(machine_str(machine, arguments->self, &copy.self.text, err));
    return function->run(machine, &copy, ret_value, err);
}

#define METHOD_FILTER(name, method)                                                              \
    static bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                            \
        return by_method(machine, method, arguments, ret_value, err);                            \
    }
METHOD_FILTER(filter_lower, "lower")
METHOD_FILTER(filter_upper, "upper")
METHOD_FILTER(filter_capitalize, "capitalize")
METHOD_FILTER(filter_trim, "strip")
METHOD_FILTER(filter_replace_text, "replace")

// Jinja's words begin behind blanks, dashes and opening brackets, unlike those of str.title().
static bool filter_title(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str text = {0};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(machine_str(machine, arguments->self, &text, err));
    while (text.size > 0) {
        size_t size = 0;
        while (size < text.size && strchr("-({[< \t\n\v\f\r", text.data[size]) == NULL)
            size++;
        TRY(text_change_case(str_slice(text, 0, size), CASE_CAPITAL, &out, err) &&
            buf_append(&out, str_slice(text, size, 1), err));
        text = str_slice(text, size + 1, text.size);
    }
    return machine_take(machine, &out, ret_value, err);
}

static bool filter_center(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Arguments copy = *arguments;
    if (!copy.given[0])
        copy.values[0] = value_int(80);
    copy.given[0] = true;
    return by_method(machine, "center", &copy, ret_value, err);
}

// Old and new are made text first, unlike with the method.
static bool filter_replace(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    Arguments copy = *arguments;
    for (size_t i = 0; i < 2; i++) {
        copy.values[i].kind = VALUE_STR;
        TRY(machine_str(machine, arguments->values[i], &copy.values[i].text, err));
    }
    return filter_replace_text(machine, &copy, ret_value, err);
}

// --- text

static bool filter_format(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Str format = {0};
    if (arguments->named_count > 0)
        return raise_value(machine, err, "format: named arguments are not supported");
    TRY(machine_str(machine, arguments->self, &format, err));
    const Value tuple = {.kind = VALUE_TUPLE, .list = {arguments->items, arguments->count}};
    return format_percent(machine, format, tuple, ret_value, err);
}

static bool filter_safe(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    ret_value->kind = VALUE_STR;
    return machine_str(machine, arguments->self, &ret_value->text, err);
}

static bool filter_escape(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Str text = {0};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(machine_str(machine, arguments->self, &text, err));
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : NULL;
        TRY(entity == NULL ? buf_append_char(&out, c, err)
                           : buf_append(&out, str_from(entity), err));
    }
    return machine_take(machine, &out, ret_value, err);
}

static bool filter_truncate(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    Str end = {0};
    Str text = {0};
    const int64_t length = argument_as_int(arguments, 0, 255);
    const int64_t leeway = argument_as_int(arguments, 3, 5);
    TRY(filter_subject_str(machine, arguments, &text, err) &&
        argument_as_str(machine, arguments, 2, STR("..."), &end, err));
    const int64_t end_count = (int64_t)value_count(value_str(end));
    if (length < end_count || leeway < 0 || length > MACHINE_BYTES_MAX ||
        leeway > MACHINE_BYTES_MAX)
        return raise_value(machine, err, "truncate: a length or leeway that makes no sense");
    if ((int64_t)value_count(arguments->self) <= length + leeway) {
        *ret_value = arguments->self;
        return true;
    }
    const Value bounds[3] = {value_none(), value_int(length - end_count), value_none()};
    TRY(operator_slice(machine, arguments->self, bounds, ret_value, err));
    Str kept = ret_value->text;
    if (!argument_is_true(arguments, 1)) { // not inside a word
        size_t blank = kept.size;
        while (blank > 0 && kept.data[blank - 1] != ' ')
            blank--;
        kept = blank > 0 ? str_slice(kept, 0, blank - 1) : kept;
    }
    Str joined = {0};
    TRY(arena_printf(machine->arena, &joined, err, STR_FMT STR_FMT, STR_ARG(kept), STR_ARG(end)));
    *ret_value = value_str(joined);
    return true;
}

static bool filter_indent(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Str text = {0};
    Str indention = STR("    ");
    CLEANUP(buf_done) Buf blanks = {.limit_bytes = MACHINE_BYTES_MAX};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(filter_subject_str(machine, arguments, &text, err));
    if (arguments->given[0] && arguments->values[0].kind == VALUE_STR)
        indention = arguments->values[0].text;
    if (arguments->given[0] && arguments->values[0].kind == VALUE_INT) {
        for (int64_t i = 0; i < arguments->values[0].integer; i++)
            TRY(buf_append_char(&blanks, ' ', err));
        indention = buf_str(&blanks);
    }
    Str rest = text;
    for (size_t i = 0; rest.data != NULL; i++) {
        const Str line = str_split_next(&rest, '\n');
        const bool indented = i == 0 ? argument_is_true(arguments, 1)
                                     : line.size > 0 || argument_is_true(arguments, 2);
        TRY(machine_step(machine, err) && (i == 0 || buf_append_char(&out, '\n', err)) &&
            (!indented || buf_append(&out, indention, err)) && buf_append(&out, line, err));
    }
    return machine_take(machine, &out, ret_value, err);
}

static bool filter_wordcount(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    Str text = {0};
    int64_t count = 0;
    bool inside = false;
    TRY(machine_str(machine, arguments->self, &text, err));
    for (size_t at = 0; at < text.size;) {
        const uint32_t code = code_next(text, &at);
        const bool word = code == '_' || (code >= '0' && code <= '9') || code_is_letter(code);
        count += word && !inside ? 1 : 0;
        inside = word;
    }
    *ret_value = value_int(count);
    return true;
}

static bool quote(Machine *machine, Value value, bool for_query, Buf *out, Error *err)
{
    Str text = {0};
    TRY(machine_str(machine, value, &text, err));
    if (!for_query)
        return url_quote(text, STR("/"), out, err);
    return url_quote_plus(text, out, err);
}

static bool filter_urlencode(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    const Value self = arguments->self;
    if (!value_is_mapping(self) && !value_is_sequence(self))
        return quote(machine, self, false, &out, err) &&
               machine_take(machine, &out, ret_value, err);
    ValueIter iter = value_iterate(self);
    ValuePair pair;
    for (bool first = true; value_next(&iter, &pair); first = false) {
        if (!value_is_mapping(self)) {
            if (!value_is_sequence(pair.value))
                return raise_type(machine, err, "cannot unpack non-iterable %s object",
                                  value_type(pair.value));
            if (value_count(pair.value) != 2)
                return raise_value(machine, err, "urlencode: a list of something but pairs");
            pair = (ValuePair){value_item(pair.value, 0), value_item(pair.value, 1)};
        }
        TRY(machine_step(machine, err) && (first || buf_append_char(&out, '&', err)) &&
            quote(machine, pair.key, true, &out, err) && buf_append_char(&out, '=', err) &&
            quote(machine, pair.value, true, &out, err));
    }
    return machine_take(machine, &out, ret_value, err);
}

// --- JSON

static bool json_text(Machine *machine, Value value, Buf *out, Error *err)
{
    if (value_write_json(value, out, err))
        return true;
    if (err->code == ERROR_DATA) // json.dumps() raises a TypeError
        machine->raised = TEMPLATE_TYPE_ERROR;
    return false;
}

// The reference's own: what is no str becomes JSON in triple quotes, which the literal evaluation
// of the result takes off again.
static bool filter_string(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    if (arguments->self.kind == VALUE_STR) {
        *ret_value = arguments->self;
        return true;
    }
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    return buf_append(&out, STR("\"\"\""), err) && json_text(machine, arguments->self, &out, err) &&
           buf_append(&out, STR("\"\"\""), err) && machine_take(machine, &out, ret_value, err);
}

static int compare_pairs(const void *left, const void *right)
{
    const ValuePair *a = left;
    const ValuePair *b = right;
    return str_compare(a->key.text, b->key.text);
}

// A copy with the members of dicts in the order of their keys.
static bool sort_members(Machine *machine, Value value, Value *ret_value, Error *err)
{
    TRY(machine_step(machine, err));
    *ret_value = value;
    if (!value_is_mapping(value) && !value_is_sequence(value))
        return true;
    const size_t count = value_count(value);
    const bool mapping = value_is_mapping(value);
    ValuePair *pairs = arena_alloc_array(machine->arena, count, sizeof(*pairs), err);
    Value *items = arena_alloc_array(machine->arena, count, sizeof(*items), err);
    TRY(pairs != NULL && items != NULL);
    ValueIter iter = value_iterate(value);
    ValuePair pair;
    for (size_t i = 0; value_next(&iter, &pair); i++) {
        if (mapping && pair.key.kind != VALUE_STR)
            return raise_value(machine, err, "tojson: a key that is not a str");
        TRY(sort_members(machine, pair.value, &items[i], err));
        pairs[i] = (ValuePair){pair.key, items[i]};
    }
    if (mapping)
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
    *ret_value = mapping ? value_dict(pairs, count) : value_list(items, count);
    return true;
}

static bool filter_tojson(Machine *machine, const Arguments *arguments, Value *ret_value,
                          Error *err)
{
    Value sorted = value_undefined();
    CLEANUP(buf_done) Buf json = {.limit_bytes = MACHINE_BYTES_MAX};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(sort_members(machine, arguments->self, &sorted, err) &&
        json_text(machine, sorted, &json, err));
    for (size_t i = 0; i < json.size; i++) {
        const char c = json.data[i];
        const bool html = c == '<' || c == '>' || c == '&' || c == '\'';
        TRY(html ? buf_printf(&out, err, "\\u%04x", (unsigned)c) : buf_append_char(&out, c, err));
    }
    return machine_take(machine, &out, ret_value, err);
}

// --- regular expressions

static bool compile_pattern(Machine *machine, Value pattern, const Regex **ret_regex, Error *err)
{
    if (pattern.kind != VALUE_STR)
        return raise_type(machine, err, "first argument must be string or compiled pattern");
    return regex_compile(pattern.text, machine->arena, ret_regex, err);
}

static bool filter_regex_search(Machine *machine, const Arguments *arguments, Value *ret_value,
                                Error *err)
{
    Str text = {0};
    const Regex *regex = NULL;
    RegexMatch match;
    bool found = false;
    if (arguments->self.kind != VALUE_STR)
        return raise_type(machine, err, "expected string or bytes-like object");
    text = arguments->self.text;
    TRY(compile_pattern(machine, arguments->values[0], &regex, err) &&
        regex_search(regex, text, 0, false, &match, &found, err));
    *ret_value = value_str(STR(""));
    if (found && match.group_count > 0)
        *ret_value =
            match.start[1] == SIZE_MAX
                ? value_none()
                : value_str(str_slice(text, match.start[1], match.end[1] - match.start[1]));
    return true;
}

// The replacement's \1 and \g<1> stand for groups.
static bool expand(Machine *machine, Str replacement, Str text, const RegexMatch *match, Buf *out,
                   Error *err)
{
    for (size_t i = 0; i < replacement.size; i++) {
        const char c = replacement.data[i];
        if (c != '\\' || i + 1 == replacement.size) {
            TRY(buf_append_char(out, c, err));
            continue;
        }
        const char next = replacement.data[++i];
        size_t group = REGEX_GROUPS_MAX;
        if (next >= '0' && next <= '9') {
            group = (size_t)(next - '0');
        } else if (next == 'g' && i + 3 < replacement.size && replacement.data[i + 1] == '<' &&
                   replacement.data[i + 3] == '>') {
            group = (size_t)(replacement.data[i + 2] - '0');
            i += 3;
        } else if (next == 'n' || next == 't' || next == '\\') {
            TRY(buf_append_char(out, next == 'n' ? '\n' : next == 't' ? '\t' : '\\', err));
            continue;
        }
        if (group > match->group_count)
            return raise_value(machine, err,
                               "regex_replace: a broken reference in the replacement");
        if (match->start[group] != SIZE_MAX)
            TRY(buf_append(
                out, str_slice(text, match->start[group], match->end[group] - match->start[group]),
                err));
    }
    return true;
}

static bool filter_regex_replace(Machine *machine, const Arguments *arguments, Value *ret_value,
                                 Error *err)
{
    const Regex *regex = NULL;
    Str replacement = {0};
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    if (arguments->self.kind != VALUE_STR || arguments->values[1].kind != VALUE_STR)
        return raise_type(machine, err, "expected string or bytes-like object");
    const Str text = arguments->self.text;
    replacement = arguments->values[1].text;
    TRY(compile_pattern(machine, arguments->values[0], &regex, err));
    size_t at = 0;
    for (bool moved = true;;) {
        RegexMatch match;
        bool found = false;
        // Behind an empty match the next one may start at the same place, but not be empty too.
        TRY(machine_step(machine, err) &&
            regex_search(regex, text, at, !moved, &match, &found, err));
        if (!found)
            break;
        TRY(buf_append(&out, str_slice(text, at, match.start[0] - at), err) &&
            expand(machine, replacement, text, &match, &out, err));
        at = match.end[0];
        moved = match.end[0] > match.start[0];
    }
    return buf_append(&out, str_slice(text, at, text.size), err) &&
           machine_take(machine, &out, ret_value, err);
}

// clang-format off
static const Function filters[] = {
    {"abs", "", 0, filter_abs},                      {"attr", "name", 1, filter_attr},
    {"base64binascii_decode", "", 0, filter_base64binascii_decode},
    {"base64decode", "", 0, filter_base64decode},    {"base64encode", "", 0, filter_base64encode},
    {"batch", "linecount,fill_with", 1, filter_batch}, {"capitalize", "", 0, filter_capitalize},
    {"center", "width", 0, filter_center},           {"count", "", 0, filter_length},
    {"d", "default_value,boolean", 0, filter_default}, {"default", "default_value,boolean", 0, filter_default},
    {"dictsort", "case_sensitive,by,reverse", 0, filter_dictsort},
    {"e", "", 0, filter_escape},                     {"escape", "", 0, filter_escape},
    {"first", "", 0, filter_first},                  {"float", "default", 0, filter_float},
    {"format", "*", 0, filter_format},               {"hash", "hash_type,salt", 0, filter_hash},
    {"hmac", "key,hash_type", 1, filter_hmac},       {"indent", "width,first,blank", 0, filter_indent},
    {"int", "default,base", 0, filter_int},          {"items", "", 0, filter_items},
    {"join", "d,attribute", 0, filter_join},         {"last", "", 0, filter_last},
    {"length", "", 0, filter_length},                {"list", "", 0, filter_list},
    {"lower", "", 0, filter_lower},                  {"map", "*", 0, filter_map},
    {"max", "case_sensitive,attribute", 0, filter_max}, {"min", "case_sensitive,attribute", 0, filter_min},
    {"regex_replace", "regex,replacement", 2, filter_regex_replace},
    {"regex_search", "regex", 1, filter_regex_search},
    {"reject", "*", 0, filter_reject},               {"rejectattr", "*", 0, filter_rejectattr},
    {"replace", "old,new,count", 2, filter_replace}, {"reverse", "", 0, filter_reverse},
    {"round", "precision,method", 0, filter_round},  {"safe", "", 0, filter_safe},
    {"select", "*", 0, filter_select},               {"selectattr", "*", 0, filter_selectattr},
    {"sort", "reverse,case_sensitive,attribute", 0, filter_sort},
    {"string", "", 0, filter_string},                {"sum", "attribute,start", 0, filter_sum},
    {"title", "", 0, filter_title},                  {"tojson", "", 0, filter_tojson},
    {"trim", "chars", 0, filter_trim},               {"truncate", "length,killwords,end,leeway", 0, filter_truncate},
    {"unique", "case_sensitive,attribute", 0, filter_unique}, {"upper", "", 0, filter_upper},
    {"urlencode", "", 0, filter_urlencode},          {"wordcount", "", 0, filter_wordcount},
    {NULL, NULL, 0, NULL},
};
// clang-format on

const Function *filter_find(Str name)
{
    return function_find(filters, name);
}
