// The methods of str, but for those that split and join, and the table of all.

#include "connector/template_str.h"
#include "connector/text_case.h"

// --- case

static bool change_case(Machine *machine, const Arguments *arguments, TextCase to, Value *ret_value,
                        Error *err)
{
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    return text_change_case(arguments->self.text, to, &out, err) &&
           machine_take(machine, &out, ret_value, err);
}

#define CASE_METHOD(name, to)                                                                    \
    static bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                            \
        return change_case(machine, arguments, to, ret_value, err);                              \
    }
CASE_METHOD(str_upper, CASE_UPPER)
CASE_METHOD(str_lower, CASE_LOWER)
CASE_METHOD(str_swapcase, CASE_SWAP)
CASE_METHOD(str_capitalize, CASE_CAPITAL)
CASE_METHOD(str_title, CASE_TITLE)

// --- white space and edges

static bool is_among(uint32_t code, Str characters)
{
    for (size_t at = 0; at < characters.size;) {
        if (code_next(characters, &at) == code)
            return true;
    }
    return false;
}

size_t text_edge_before(Str text, Str characters)
{
    size_t at = 0;
    while (at < text.size) {
        size_t next = at;
        const uint32_t code = code_next(text, &next);
        const bool drop = characters.data == NULL
                              ? code == 0xA0 || (code < 0x80 && text_is_space((char)code))
                              : is_among(code, characters);
        if (!drop)
            break;
        at = next;
    }
    return at;
}

size_t text_edge_after(Str text, Str characters)
{
    size_t end = text.size;
    while (end > 0) {
        size_t from = end - 1;
        while (from > 0 && ((unsigned char)text.data[from] & 0xC0) == 0x80)
            from--;
        const Str last = str_slice(text, from, end - from);
        if (text_edge_before(last, characters) != last.size)
            break;
        end = from;
    }
    return text.size - end;
}

static bool strip_text(Machine *machine, const Arguments *arguments, bool before, bool after,
                       Value *ret_value, Error *err)
{
    Str text = arguments->self.text;
    Str characters = {NULL, 0};
    if (!argument_is_missing(arguments, 0)) {
        TRY(argument_str(machine, arguments, 0, &characters, err));
        if (characters.data == NULL)
            characters.data = "";
    }
    if (before)
        text = str_slice(text, text_edge_before(text, characters), text.size);
    if (after)
        text = str_slice(text, 0, text.size - text_edge_after(text, characters));
    *ret_value = value_str(text);
    return true;
}

static bool str_strip(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return strip_text(machine, arguments, true, true, ret_value, err);
}

static bool str_lstrip(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return strip_text(machine, arguments, true, false, ret_value, err);
}

static bool str_rstrip(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return strip_text(machine, arguments, false, true, ret_value, err);
}

static bool str_removeprefix(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    Str prefix = {0};
    TRY(argument_str(machine, arguments, 0, &prefix, err));
    const Str text = arguments->self.text;
    *ret_value =
        value_str(str_starts_with(text, prefix) ? str_slice(text, prefix.size, text.size) : text);
    return true;
}

static bool str_removesuffix(Machine *machine, const Arguments *arguments, Value *ret_value,
                             Error *err)
{
    Str suffix = {0};
    TRY(argument_str(machine, arguments, 0, &suffix, err));
    const Str text = arguments->self.text;
    *ret_value =
        value_str(str_ends_with(text, suffix) ? str_slice(text, 0, text.size - suffix.size) : text);
    return true;
}

// startswith() and endswith() take a tuple of texts too.
static bool has_edge(Machine *machine, const Arguments *arguments, bool start, Value *ret_value,
                     Error *err)
{
    const Value given = arguments->values[0];
    const Value *edges = &given;
    size_t count = 1;
    if (given.kind == VALUE_TUPLE) {
        edges = given.list.items;
        count = given.list.count;
    }
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (edges[i].kind != VALUE_STR)
            return raise_type(machine, err, "the first argument must be str or a tuple of str");
        found = found || (start ? str_starts_with(arguments->self.text, edges[i].text)
                                : str_ends_with(arguments->self.text, edges[i].text));
    }
    *ret_value = value_bool(found);
    return true;
}

static bool str_startswith(Machine *machine, const Arguments *arguments, Value *ret_value,
                           Error *err)
{
    return has_edge(machine, arguments, true, ret_value, err);
}

static bool str_endswith(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return has_edge(machine, arguments, false, ret_value, err);
}

// --- replacing and searching

static bool str_replace(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str old = {0};
    Str new = {0};
    int64_t most = 0;
    CLEANUP(buf_done) Buf out = {.limit_bytes = MACHINE_BYTES_MAX};
    TRY(argument_str(machine, arguments, 0, &old, err) &&
        argument_str(machine, arguments, 1, &new, err) &&
        argument_int(machine, arguments, 2, -1, &most, err));
    Str text = arguments->self.text;
    // An empty text to replace stands before each character, and at the end.
    for (; most != 0; most -= most > 0 ? 1 : 0) {
        const size_t at = old.size == 0 ? 0 : str_find(text, old);
        if (at == text.size && old.size > 0)
            break;
        TRY(machine_step(machine, err) && buf_append(&out, str_slice(text, 0, at), err) &&
            buf_append(&out, new, err));
        text = str_slice(text, at + old.size, text.size);
        if (old.size > 0)
            continue;
        if (text.size == 0)
            break;
        size_t next = 0;
        (void)code_next(text, &next);
        TRY(buf_append(&out, str_slice(text, 0, next), err));
        text = str_slice(text, next, text.size);
    }
    return buf_append(&out, text, err) && machine_take(machine, &out, ret_value, err);
}

size_t text_find_last(Str text, Str needle)
{
    for (size_t at = text.size + 1; at-- > 0;) {
        if (str_starts_with(str_slice(text, at, text.size), needle))
            return at;
    }
    return SIZE_MAX;
}

// Code points before byte `at`.
static int64_t index_of_byte(Str text, size_t at)
{
    return (int64_t)value_count(value_str(str_slice(text, 0, at)));
}

static bool find_in(Machine *machine, const Arguments *arguments, bool last, bool must,
                    Value *ret_value, Error *err)
{
    Str needle = {0};
    const Str text = arguments->self.text;
    TRY(argument_str(machine, arguments, 0, &needle, err));
    if (arguments->given[1] || arguments->given[2])
        return raise_value(machine, err, "find(): only the text to find is supported");
    size_t at = last ? text_find_last(text, needle) : str_find(text, needle);
    if (!last && at == text.size && needle.size > 0)
        at = SIZE_MAX;
    if (at == SIZE_MAX && must)
        return raise_value(machine, err, "substring not found");
    *ret_value = value_int(at == SIZE_MAX ? -1 : index_of_byte(text, at));
    return true;
}

static bool str_find_method(Machine *machine, const Arguments *arguments, Value *ret_value,
                            Error *err)
{
    return find_in(machine, arguments, false, false, ret_value, err);
}

static bool str_rfind(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return find_in(machine, arguments, true, false, ret_value, err);
}

static bool str_index(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return find_in(machine, arguments, false, true, ret_value, err);
}

static bool str_rindex(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return find_in(machine, arguments, true, true, ret_value, err);
}

static bool str_count(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    Str needle = {0};
    Str text = arguments->self.text;
    TRY(argument_str(machine, arguments, 0, &needle, err));
    int64_t count = 0;
    if (needle.size == 0)
        count = (int64_t)value_count(arguments->self) + 1;
    for (size_t at; needle.size > 0 && (at = str_find(text, needle)) < text.size; count++)
        text = str_slice(text, at + needle.size, text.size);
    *ret_value = value_int(count);
    return true;
}

// --- padding

static bool pad(Machine *machine, const Arguments *arguments, int64_t before_share, char fill,
                Value *ret_value, Error *err)
{
    int64_t width = 0;
    TRY(argument_int(machine, arguments, 0, 0, &width, err));
    if (arguments->given[1]) {
        Str given = {0};
        TRY(argument_str(machine, arguments, 1, &given, err));
        if (given.size != 1)
            return raise_type(machine, err, "the fill character must be one ASCII character");
        fill = given.data[0];
    }
    const int64_t count = (int64_t)value_count(arguments->self);
    if (width > MACHINE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "a text of more than %d bytes", (int)MACHINE_BYTES_MAX);
    const int64_t room = width > count ? width - count : 0;
    // center() of Python puts the odd blank to the left only where the width is odd.
    const int64_t before =
        before_share == 1 ? room / 2 + (room & width & 1) : room * before_share / 2;
    CLEANUP(buf_done) Buf out = {.limit_bytes = (size_t)MACHINE_BYTES_MAX * 2};
    for (int64_t i = 0; i < before; i++)
        TRY(buf_append_char(&out, fill, err));
    TRY(buf_append(&out, arguments->self.text, err));
    for (int64_t i = before; i < room; i++)
        TRY(buf_append_char(&out, fill, err));
    return machine_take(machine, &out, ret_value, err);
}

static bool str_ljust(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return pad(machine, arguments, 0, ' ', ret_value, err);
}

static bool str_center(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return pad(machine, arguments, 1, ' ', ret_value, err);
}

static bool str_rjust(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return pad(machine, arguments, 2, ' ', ret_value, err);
}

// Zeros go behind a sign.
static bool str_zfill(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    const Str text = arguments->self.text;
    const bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    if (!sign)
        return pad(machine, arguments, 2, '0', ret_value, err);
    Arguments unsigned_part = *arguments;
    unsigned_part.self = value_str(str_slice(text, 1, text.size));
    int64_t width = 0;
    TRY(argument_int(machine, arguments, 0, 0, &width, err));
    unsigned_part.values[0] = value_int(width - 1);
    TRY(pad(machine, &unsigned_part, 2, '0', ret_value, err));
    Str joined = {0};
    TRY(arena_printf(machine->arena, &joined, err, "%c" STR_FMT, text.data[0],
                     STR_ARG(ret_value->text)));
    *ret_value = value_str(joined);
    return true;
}

// --- questions

typedef enum Question {
    QUESTION_DIGIT,
    QUESTION_ALPHA,
    QUESTION_ALNUM,
    QUESTION_SPACE,
} Question;

static bool ask(const Arguments *arguments, Question question, Value *ret_value)
{
    const Str text = arguments->self.text;
    bool all = text.size > 0;
    for (size_t at = 0; at < text.size && all;) {
        const uint32_t code = code_next(text, &at);
        const bool digit = code >= '0' && code <= '9';
        const bool alpha = code_is_letter(code);
        if (question == QUESTION_SPACE)
            all = code < 0x80 && text_is_space((char)code);
        else
            all = (question != QUESTION_ALPHA && digit) || (question != QUESTION_DIGIT && alpha);
    }
    *ret_value = value_bool(all);
    return true;
}

#define QUESTION_METHOD(name, question)                                                          \
    static bool name(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err) \
    {                                                                                            \
        (void)machine;                                                                           \
        (void)err;                                                                               \
        return ask(arguments, question, ret_value);                                              \
    }
QUESTION_METHOD(str_isdigit, QUESTION_DIGIT)
QUESTION_METHOD(str_isalpha, QUESTION_ALPHA)
QUESTION_METHOD(str_isalnum, QUESTION_ALNUM)
QUESTION_METHOD(str_isspace, QUESTION_SPACE)

// All letters of one case, and at least one letter.
static bool is_case(const Arguments *arguments, bool upper, Value *ret_value)
{
    const Str text = arguments->self.text;
    bool right = false;
    bool wrong = false;
    for (size_t at = 0; at < text.size;) {
        const uint32_t code = code_next(text, &at);
        if (code_upper(code) == code_lower(code))
            continue;
        const bool fits = code == (upper ? code_upper(code) : code_lower(code));
        right = right || fits;
        wrong = wrong || !fits;
    }
    *ret_value = value_bool(right && !wrong);
    return true;
}

static bool str_isupper(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)err;
    return is_case(arguments, true, ret_value);
}

static bool str_islower(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    (void)machine;
    (void)err;
    return is_case(arguments, false, ret_value);
}

static bool str_format(Machine *machine, const Arguments *arguments, Value *ret_value, Error *err)
{
    return format_braces(machine, arguments->self.text, arguments, ret_value, err);
}

// clang-format off
static const Function str_methods[] = {
    {"capitalize", "", 0, str_capitalize},       {"casefold", "", 0, str_lower},
    {"center", "width,fillchar", 1, str_center}, {"count", "sub", 1, str_count},
    {"endswith", "suffix", 1, str_endswith},     {"find", "sub,start,end", 1, str_find_method},
    {"format", "*", 0, str_format},              {"index", "sub,start,end", 1, str_index},
    {"isalnum", "", 0, str_isalnum},             {"isalpha", "", 0, str_isalpha},
    {"isdecimal", "", 0, str_isdigit},           {"isdigit", "", 0, str_isdigit},
    {"islower", "", 0, str_islower},             {"isnumeric", "", 0, str_isdigit},
    {"isspace", "", 0, str_isspace},             {"isupper", "", 0, str_isupper},
    {"join", "iterable", 1, str_method_join},           {"ljust", "width,fillchar", 1, str_ljust},
    {"lower", "", 0, str_lower},                 {"lstrip", "chars", 0, str_lstrip},
    {"partition", "sep", 1, str_method_partition},      {"removeprefix", "prefix", 1, str_removeprefix},
    {"removesuffix", "suffix", 1, str_removesuffix},
    {"replace", "old,new,count", 2, str_replace}, {"rfind", "sub,start,end", 1, str_rfind},
    {"rindex", "sub,start,end", 1, str_rindex},  {"rjust", "width,fillchar", 1, str_rjust},
    {"rpartition", "sep", 1, str_method_rpartition},    {"rsplit", "sep,maxsplit", 0, str_method_rsplit},
    {"rstrip", "chars", 0, str_rstrip},          {"split", "sep,maxsplit", 0, str_method_split},
    {"splitlines", "", 0, str_method_splitlines},       {"startswith", "prefix", 1, str_startswith},
    {"strip", "chars", 0, str_strip},            {"swapcase", "", 0, str_swapcase},
    {"title", "", 0, str_title},                 {"upper", "", 0, str_upper},
    {"zfill", "width", 1, str_zfill},
    {"encode", "*", 0, method_unsupported},             {"expandtabs", "*", 0, method_unsupported},
    {"format_map", "*", 0, method_unsupported},         {"isascii", "*", 0, method_unsupported},
    {"isidentifier", "*", 0, method_unsupported},       {"isprintable", "*", 0, method_unsupported},
    {"istitle", "*", 0, method_unsupported},            {"maketrans", "*", 0, method_unsupported},
    {"translate", "*", 0, method_unsupported},
    {NULL, NULL, 0, NULL},
};
// clang-format on

const Function *str_method_find(Str name)
{
    return function_find(str_methods, name);
}
