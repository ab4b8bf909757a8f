// Patterns to programs, by recursive descent.

#include "connector/regex_program.h"

#include "connector/text_case.h"

#include <assert.h>

typedef struct Compiler {
    Str pattern;
    size_t at;
    Arena *arena;
    Instruction *program;
    size_t count, room;
    size_t groups, marks, depth;
    Str names[REGEX_GROUPS_MAX];
    bool ignore_case, dot_all, multiline;
} Compiler;

static bool parse_alternatives(Compiler *compiler, Error *err);

static bool fail(const Compiler *compiler, Error *err, const char *what)
{
    return error_set(err, ERROR_DATA, "regular expression: %s at %zu", what, compiler->at);
}

static bool at_end(const Compiler *compiler)
{
    return compiler->at >= compiler->pattern.size;
}

static char peek(const Compiler *compiler)
{
    return at_end(compiler) ? '\0' : compiler->pattern.data[compiler->at];
}

static bool skip(Compiler *compiler, const char *text)
{
    const Str rest = str_slice(compiler->pattern, compiler->at, compiler->pattern.size);
    if (!str_starts_with(rest, str_from(text)))
        return false;
    compiler->at += strlen(text);
    return true;
}

// Makes room for `count` instructions at `at`, what stands there moving back.
static bool insert(Compiler *compiler, size_t at, size_t count, Error *err)
{
    if (count == 0)
        return true;
    if (compiler->count + count > PROGRAM_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: too large");
    if (compiler->count + count > compiler->room) {
        const size_t room = (compiler->count + count) * 2;
        Instruction *grown = arena_alloc_array(compiler->arena, room, sizeof(*grown), err);
        TRY(grown != NULL);
        if (compiler->count > 0)
            memcpy(grown, compiler->program, compiler->count * sizeof(*grown));
        compiler->program = grown;
        compiler->room = room;
    }
    memmove(compiler->program + at + count, compiler->program + at,
            (compiler->count - at) * sizeof(*compiler->program));
    compiler->count += count;
    return true;
}

static bool emit(Compiler *compiler, OpCode code, int32_t a, int32_t b, Error *err)
{
    TRY(insert(compiler, compiler->count, 1, err));
    compiler->program[compiler->count - 1] = (Instruction){code, a, b, NULL};
    return true;
}

// --- classes

static bool add_range(Compiler *compiler, Class *class, uint32_t from, uint32_t to, Error *err)
{
    if (class->count == RANGES_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: a class of more than %d ranges",
                         (int)RANGES_MAX);
    if (from > to)
        return fail(compiler, err, "bad character range");
    class->ranges[class->count++] = (Range){from, to};
    return true;
}

// \d and its kin; false when `letter` is none of them.
static bool add_shorthand(Class *class, char letter)
{
    switch (letter) {
    case 'd':
        class->digits = true;
        break;
    case 'D':
        class->not_digits = true;
        break;
    case 'w':
        class->words = true;
        break;
    case 'W':
        class->not_words = true;
        break;
    case 's':
        class->spaces = true;
        break;
    case 'S':
        class->not_spaces = true;
        break;
    default:
        return false;
    }
    return true;
}

static bool read_hex(Compiler *compiler, size_t digits, uint32_t *ret_code, Error *err)
{
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++, compiler->at++) {
        const char c = peek(compiler);
        const char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            code = code * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            code = code * 16 + (uint32_t)(lower - 'a' + 10);
        else
            return fail(compiler, err, "incomplete escape");
    }
    *ret_code = code;
    return true;
}

// The code point of an escape that stands for one, the backslash behind us.
static bool read_escape(Compiler *compiler, uint32_t *ret_code, Error *err)
{
    static const char names[] = "abfnrtv0";
    static const char means[] = "\a\b\f\n\r\t\v";
    if (at_end(compiler))
        return fail(compiler, err, "bad escape (end of pattern)");
    const char c = peek(compiler);
    if (c == 'x' || c == 'u') {
        compiler->at++;
        return read_hex(compiler, c == 'x' ? 2 : 4, ret_code, err);
    }
    const char *found = c == '\0' ? NULL : strchr(names, c);
    if (found != NULL) {
        compiler->at++;
        *ret_code = (unsigned char)means[found - names];
        return true;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter)
        return fail(compiler, err, "bad escape");
    *ret_code = code_next(compiler->pattern, &compiler->at);
    return true;
}

// One end of a range, or a shorthand (*ret_code = UINT32_MAX).
static bool read_class_item(Compiler *compiler, Class *class, uint32_t *ret_code, Error *err)
{
    if (peek(compiler) != '\\') {
        *ret_code = code_next(compiler->pattern, &compiler->at);
        return true;
    }
    compiler->at++;
    *ret_code = UINT32_MAX;
    if (!at_end(compiler) && add_shorthand(class, peek(compiler))) {
        compiler->at++;
        return true;
    }
    return read_escape(compiler, ret_code, err);
}

static bool parse_class(Compiler *compiler, Error *err)
{
    Class *class = arena_alloc(compiler->arena, sizeof(*class), err);
    TRY(class != NULL);
    class->ranges = arena_alloc_array(compiler->arena, RANGES_MAX, sizeof(Range), err);
    TRY(class->ranges != NULL);
    class->negated = skip(compiler, "^");
    for (bool first = true; first || peek(compiler) != ']'; first = false) {
        if (at_end(compiler))
            return fail(compiler, err, "unterminated character set");
        uint32_t from = 0;
        TRY(read_class_item(compiler, class, &from, err));
        const Str rest = str_slice(compiler->pattern, compiler->at, 2);
        const bool range = rest.size == 2 && rest.data[0] == '-' && rest.data[1] != ']';
        uint32_t to = from;
        if (range) {
            compiler->at++;
            TRY(read_class_item(compiler, class, &to, err));
            if (from == UINT32_MAX || to == UINT32_MAX)
                return fail(compiler, err, "bad character range");
        }
        if (from != UINT32_MAX)
            TRY(add_range(compiler, class, from, to, err));
    }
    compiler->at++;
    TRY(emit(compiler, OP_CLASS, 0, 0, err));
    compiler->program[compiler->count - 1].class = class;
    return true;
}

static bool emit_shorthand(Compiler *compiler, char letter, bool *ret_done, Error *err)
{
    Class kind = {0};
    *ret_done = add_shorthand(&kind, letter);
    if (!*ret_done)
        return true;
    Class *class = arena_alloc(compiler->arena, sizeof(*class), err);
    TRY(class != NULL);
    *class = kind;
    TRY(emit(compiler, OP_CLASS, 0, 0, err));
    compiler->program[compiler->count - 1].class = class;
    return true;
}

// --- atoms

static bool parse_backslash(Compiler *compiler, Error *err)
{
    const char c = peek(compiler);
    bool done = false;
    TRY(emit_shorthand(compiler, c, &done, err));
    if (done) {
        compiler->at++;
        return true;
    }
    const OpCode ops[] = {OP_BOUNDARY, OP_BOUNDARY, OP_TEXT_START, OP_TEXT_END};
    const char *letters = "bBAZ";
    const char *found = c == '\0' ? NULL : strchr(letters, c);
    if (found != NULL) {
        compiler->at++;
        return emit(compiler, ops[found - letters], c == 'B', 0, err);
    }
    if (c >= '1' && c <= '9') {
        const size_t group = (size_t)(c - '0');
        if (group > compiler->groups)
            return fail(compiler, err, "invalid group reference");
        compiler->at++;
        return emit(compiler, OP_BACK, (int32_t)group, 0, err);
    }
    uint32_t code = 0;
    return read_escape(compiler, &code, err) && emit(compiler, OP_CODE, (int32_t)code, 0, err);
}

static bool close_group(Compiler *compiler, Error *err)
{
    return skip(compiler, ")") || fail(compiler, err, "missing ), unterminated subpattern");
}

static bool parse_capture(Compiler *compiler, Str name, Error *err)
{
    if (compiler->groups + 1 >= REGEX_GROUPS_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: more than %d groups",
                         (int)REGEX_GROUPS_MAX - 1);
    const size_t group = ++compiler->groups;
    compiler->names[group] = name;
    return emit(compiler, OP_SAVE, (int32_t)group * 2, 0, err) &&
           parse_alternatives(compiler, err) && close_group(compiler, err) &&
           emit(compiler, OP_SAVE, (int32_t)group * 2 + 1, 0, err);
}

static bool parse_look(Compiler *compiler, bool negative, Error *err)
{
    const size_t from = compiler->count;
    TRY(emit(compiler, OP_LOOK, negative, 0, err) && parse_alternatives(compiler, err) &&
        close_group(compiler, err) && emit(compiler, OP_MATCH, 0, 0, err));
    compiler->program[from].b = (int32_t)(compiler->count - from);
    return true;
}

// "(?i)" at the start of the pattern.
static bool parse_flags(Compiler *compiler, Error *err)
{
    if (compiler->at != 2)
        return fail(compiler, err, "unsupported group, or flags not at the start");
    for (; !at_end(compiler) && peek(compiler) != ')'; compiler->at++) {
        switch (peek(compiler)) {
        case 'i':
            compiler->ignore_case = true;
            break;
        case 's':
            compiler->dot_all = true;
            break;
        case 'm':
            compiler->multiline = true;
            break;
        case 'u':
        case 'a':
            break;
        default:
            return fail(compiler, err, "unknown flag");
        }
    }
    return close_group(compiler, err);
}

static bool read_group_name(Compiler *compiler, char end, Str *ret_name, Error *err)
{
    const Str rest = str_slice(compiler->pattern, compiler->at, compiler->pattern.size);
    const size_t size = str_find_char(rest, end);
    if (size == rest.size || size == 0)
        return fail(compiler, err, "bad group name");
    *ret_name = str_slice(rest, 0, size);
    compiler->at += size + 1;
    return true;
}

static bool parse_reference(Compiler *compiler, Error *err)
{
    Str name = {0};
    TRY(read_group_name(compiler, ')', &name, err));
    for (size_t i = 1; i <= compiler->groups; i++) {
        if (str_equal(compiler->names[i], name))
            return emit(compiler, OP_BACK, (int32_t)i, 0, err);
    }
    return fail(compiler, err, "unknown group name");
}

static bool parse_group(Compiler *compiler, Error *err)
{
    Str name = {0};
    if (!skip(compiler, "?"))
        return parse_capture(compiler, name, err);
    if (skip(compiler, ":"))
        return parse_alternatives(compiler, err) && close_group(compiler, err);
    if (skip(compiler, "="))
        return parse_look(compiler, false, err);
    if (skip(compiler, "!"))
        return parse_look(compiler, true, err);
    if (skip(compiler, "P<"))
        return read_group_name(compiler, '>', &name, err) && parse_capture(compiler, name, err);
    if (skip(compiler, "P="))
        return parse_reference(compiler, err);
    return parse_flags(compiler, err);
}

static bool parse_atom(Compiler *compiler, Error *err)
{
    const char c = peek(compiler);
    if (c == '*' || c == '+' || c == '?')
        return fail(compiler, err, "nothing to repeat");
    if (skip(compiler, "("))
        return parse_group(compiler, err);
    if (skip(compiler, "["))
        return parse_class(compiler, err);
    if (skip(compiler, "\\"))
        return parse_backslash(compiler, err);
    if (skip(compiler, "."))
        return emit(compiler, OP_ANY, compiler->dot_all, 0, err);
    if (skip(compiler, "^"))
        return emit(compiler, OP_START, compiler->multiline, 0, err);
    if (skip(compiler, "$"))
        return emit(compiler, OP_END, compiler->multiline, 0, err);
    uint32_t code = code_next(compiler->pattern, &compiler->at);
    return emit(compiler, OP_CODE, (int32_t)code, 0, err);
}

// --- repetition

// Wraps program[from..] so that it may be left out: then the program goes on at from + exit.
static bool make_optional(Compiler *compiler, size_t from, size_t exit, bool lazy, Error *err)
{
    const int32_t out = (int32_t)exit;
    TRY(insert(compiler, from, 1, err));
    compiler->program[from] = (Instruction){OP_SPLIT, lazy ? out : 1, lazy ? 1 : out, NULL};
    return true;
}

// Wraps program[from..] so that it repeats from no time on: SPLIT, MARK, body, LOOP.
static bool make_loop(Compiler *compiler, size_t from, bool lazy, Error *err)
{
    if (compiler->marks == MARKS_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: more than %d loops",
                         (int)MARKS_MAX);
    const int32_t mark = (int32_t)compiler->marks++;
    const int32_t size = (int32_t)(compiler->count - from);
    TRY(insert(compiler, from, 2, err));
    const int32_t exit = size + 3;
    compiler->program[from] = (Instruction){OP_SPLIT, lazy ? exit : 1, lazy ? 1 : exit, NULL};
    compiler->program[from + 1] = (Instruction){OP_MARK, mark, 0, NULL};
    return emit(compiler, OP_LOOP, mark, -(size + 2), err);
}

static bool copy_part(Compiler *compiler, size_t from, size_t size, Error *err)
{
    if (size == 0) // "(?:)*": nothing to copy, and maybe no program yet
        return true;
    const size_t to = compiler->count;
    TRY(insert(compiler, to, size, err));
    memcpy(compiler->program + to, compiler->program + from, size * sizeof(*compiler->program));
    return true;
}

// program[from..] at least `least` and at most `most` times.
static bool repeat(Compiler *compiler, size_t from, int least, int most, bool lazy, Error *err)
{
    const size_t size = compiler->count - from;
    if (least == 0 && most == 0) {
        compiler->count = from;
        return true;
    }
    // The first copy stands there already; the others follow it.
    for (int i = 1; i < least; i++)
        TRY(copy_part(compiler, from, size, err));
    if (most == NO_LIMIT) {
        const size_t loop = least == 0 ? from : compiler->count;
        if (least > 0)
            TRY(copy_part(compiler, from, size, err));
        return make_loop(compiler, loop, lazy, err);
    }
    // Leaving out one of the optional copies leaves out those behind it too.
    const size_t options = (size_t)(most - least);
    for (size_t i = 0; i < options; i++) {
        const bool first = least == 0 && i == 0;
        const size_t part = first ? from : compiler->count;
        if (!first)
            TRY(copy_part(compiler, from + (least == 0 ? 1 : 0), size, err));
        TRY(make_optional(compiler, part, (options - i) * (size + 1), lazy, err));
    }
    return true;
}

static bool read_count(Compiler *compiler, int *ret_count)
{
    int count = 0;
    const size_t from = compiler->at;
    for (; peek(compiler) >= '0' && peek(compiler) <= '9'; compiler->at++) {
        if (count <= REGEX_REPEAT_MAX)
            count = count * 10 + (peek(compiler) - '0');
    }
    if (compiler->at > from)
        *ret_count = count;
    return compiler->at > from;
}

// "{2}", "{2,}", "{,3}", "{2,3}"; anything else after a brace is plain text.
static bool read_braces(Compiler *compiler, int *ret_least, int *ret_most)
{
    const size_t from = compiler->at;
    int least = 0;
    int most = NO_LIMIT;
    compiler->at++;
    const bool has_least = read_count(compiler, &least);
    const bool comma = skip(compiler, ",");
    const bool has_most = comma && read_count(compiler, &most);
    if (!skip(compiler, "}") || (!has_least && !has_most)) {
        compiler->at = from;
        return false;
    }
    *ret_least = least;
    *ret_most = comma ? most : least;
    return true;
}

static bool parse_repetition(Compiler *compiler, size_t from, Error *err)
{
    int least = 0;
    int most = NO_LIMIT;
    const char c = peek(compiler);
    if (c == '{') {
        if (!read_braces(compiler, &least, &most))
            return true;
    } else if (c == '*' || c == '+' || c == '?') {
        compiler->at++;
        least = c == '+' ? 1 : 0;
        most = c == '?' ? 1 : NO_LIMIT;
    } else {
        return true;
    }
    const bool lazy = skip(compiler, "?");
    if (least > REGEX_REPEAT_MAX || most > REGEX_REPEAT_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: more than %d repetitions",
                         (int)REGEX_REPEAT_MAX);
    if (most != NO_LIMIT && least > most)
        return fail(compiler, err, "min repeat greater than max repeat");
    TRY(repeat(compiler, from, least, most, lazy, err));
    const char next = peek(compiler);
    if (next == '*' || next == '+' || next == '?')
        return fail(compiler, err, "multiple repeat");
    return true;
}

static bool parse_sequence(Compiler *compiler, Error *err)
{
    while (!at_end(compiler) && peek(compiler) != '|' && peek(compiler) != ')') {
        const size_t from = compiler->count;
        // A brace that repeats nothing is text.
        TRY(parse_atom(compiler, err) && parse_repetition(compiler, from, err));
    }
    return true;
}

static bool parse_alternatives(Compiler *compiler, Error *err)
{
    if (compiler->depth == REGEX_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: nested deeper than %d",
                         (int)REGEX_DEPTH_MAX);
    compiler->depth++;
    size_t from = compiler->count;
    int32_t chain = 0; // the last jump to the end; each leads to the one before it, in `b`
    TRY(parse_sequence(compiler, err));
    while (skip(compiler, "|")) {
        const int32_t size = (int32_t)(compiler->count - from);
        TRY(insert(compiler, from, 1, err));
        compiler->program[from] = (Instruction){OP_SPLIT, 1, size + 2, NULL};
        TRY(emit(compiler, OP_JUMP, 0, chain, err));
        chain = (int32_t)compiler->count - 1;
        from = compiler->count;
        TRY(parse_sequence(compiler, err));
    }
    while (chain > 0) {
        Instruction *jump = &compiler->program[chain];
        jump->a = (int32_t)compiler->count - chain;
        chain = jump->b;
    }
    compiler->depth--;
    return true;
}

bool regex_compile(Str pattern, Arena *arena, const Regex **ret_regex, Error *err)
{
    if (pattern.size > REGEX_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "regular expression: longer than %d bytes",
                         (int)REGEX_BYTES_MAX);
    Compiler compiler = {.pattern = pattern, .arena = arena};
    TRY(parse_alternatives(&compiler, err));
    if (!at_end(&compiler))
        return fail(&compiler, err, "unbalanced parenthesis");
    TRY(emit(&compiler, OP_MATCH, 0, 0, err));
    Regex *regex = arena_alloc(arena, sizeof(*regex), err);
    TRY(regex != NULL);
    *regex = (Regex){compiler.program, compiler.groups, compiler.ignore_case};
    *ret_regex = regex;
    return true;
}
