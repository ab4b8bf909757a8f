// A pattern becomes a program for a small machine that goes forward by its instructions and back by
// a stack of choices. Jumps are relative, so that a repeated part is a copy of itself.

#include "connector/regex.h"

#include "base/buf.h"
#include "connector/text_case.h"

#include <assert.h>

enum {
    PROGRAM_MAX = 20000, // instructions
    RANGES_MAX = 128,    // of one class
    STACK_BYTES_MAX = 32 * 1024 * 1024,
    MARKS_MAX = 64,               // loops that could turn without moving
    SLOTS = REGEX_GROUPS_MAX * 2, // group starts and ends
    NO_LIMIT = -1,
};

typedef enum OpCode {
    OP_CODE,       // the code point `a`
    OP_ANY,        // any code point; unless `a`, no line end
    OP_CLASS,      // one of `class`
    OP_SPLIT,      // goes on at +a, and if that fails at +b
    OP_JUMP,       // +a
    OP_SAVE,       // the position into slot a
    OP_MARK,       // the position into mark a
    OP_LOOP,       // back to +b, unless the position has not moved since mark a
    OP_START,      // ^ (a: after any line end)
    OP_END,        // $ (a: before any line end)
    OP_TEXT_START, // \A
    OP_TEXT_END,   // \Z
    OP_BOUNDARY,   // \b; a: \B
    OP_BACK,       // what group a matched
    OP_LOOK,       // lookahead up to +b; a: negative
    OP_MATCH,
} OpCode;

typedef struct Range {
    uint32_t from, to;
} Range;

typedef struct Class {
    bool negated;
    bool digits, not_digits, words, not_words, spaces, not_spaces;
    Range *ranges;
    size_t count;
} Class;

typedef struct Instruction {
    OpCode code;
    int32_t a, b;
    const Class *class;
} Instruction;

struct Regex {
    const Instruction *program;
    size_t group_count;
    bool ignore_case;
};

// --- compilation

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

// --- matching

// A choice to come back to, or (with `restore`) a slot or mark to put back on the way.
typedef struct Choice {
    const Instruction *instruction;
    size_t position; // or the old content
    size_t *restore;
} Choice;

typedef struct Matcher {
    const Regex *regex;
    Str text;
    size_t slots[SLOTS];
    size_t marks[MARKS_MAX];
    Buf stack; // of Choice
    size_t steps;
    size_t depth;     // of lookaheads
    size_t forbidden; // an empty match must not stand here; SIZE_MAX = it may anywhere
} Matcher;

static bool push(Matcher *matcher, Choice choice, Error *err)
{
    return buf_append(&matcher->stack, (Str){(const char *)&choice, sizeof(choice)}, err);
}

// Goes back to the last choice above `base`; false when there is none.
static bool pop(Matcher *matcher, size_t base, const Instruction **instruction, size_t *position)
{
    while (matcher->stack.size > base) {
        Choice choice;
        matcher->stack.size -= sizeof(choice);
        memcpy(&choice, matcher->stack.data + matcher->stack.size, sizeof(choice));
        if (choice.restore != NULL) {
            *choice.restore = choice.position;
            continue;
        }
        *instruction = choice.instruction;
        *position = choice.position;
        return true;
    }
    return false;
}

static bool set_cell(Matcher *matcher, size_t *cell, size_t value, Error *err)
{
    TRY(push(matcher, (Choice){NULL, *cell, cell}, err));
    *cell = value;
    return true;
}

static bool is_digit(uint32_t code)
{
    return code >= '0' && code <= '9';
}

static bool is_word(uint32_t code)
{
    return code == '_' || is_digit(code) || code_is_letter(code);
}

static bool is_space(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r') || (code >= 0x1C && code <= 0x1F) ||
           code == 0x85 || code == 0xA0 || code == 0x2028 || code == 0x2029 || code == 0x3000;
}

static bool in_ranges(const Class *class, uint32_t code)
{
    for (size_t i = 0; i < class->count; i++) {
        if (code >= class->ranges[i].from && code <= class->ranges[i].to)
            return true;
    }
    return false;
}

static bool class_has(const Class *class, uint32_t code, bool ignore_case)
{
    bool has = (class->digits && is_digit(code)) || (class->not_digits && !is_digit(code)) ||
               (class->words && is_word(code)) || (class->not_words && !is_word(code)) ||
               (class->spaces && is_space(code)) || (class->not_spaces && !is_space(code)) ||
               in_ranges(class, code);
    if (!has && ignore_case)
        has = in_ranges(class, code_lower(code)) || in_ranges(class, code_upper(code));
    return has != class->negated;
}

static bool is_word_at(Str text, size_t at, bool before)
{
    if (before) {
        if (at == 0)
            return false;
        for (at--; at > 0 && ((unsigned char)text.data[at] & 0xC0) == 0x80;)
            at--;
    }
    return at < text.size && is_word(code_next(text, &at));
}

// Whether an assertion holds at `position`.
static bool holds(const Instruction *op, Str text, size_t position)
{
    const bool after_line = position > 0 && text.data[position - 1] == '\n';
    const bool before_line = position < text.size && text.data[position] == '\n';
    if (op->code == OP_START)
        return position == 0 || (op->a && after_line);
    if (op->code == OP_END)
        return position == text.size || (before_line && (op->a || position + 1 == text.size));
    if (op->code == OP_TEXT_START)
        return position == 0;
    if (op->code == OP_TEXT_END)
        return position == text.size;
    return (is_word_at(text, position, true) != is_word_at(text, position, false)) != (op->a != 0);
}

// Takes what one instruction matches; false when it does not match.
static bool consume(const Matcher *matcher, const Instruction *op, size_t *position)
{
    const Str text = matcher->text;
    if (op->code == OP_BACK) {
        const size_t start = matcher->slots[op->a * 2];
        const size_t end = matcher->slots[op->a * 2 + 1];
        if (start == SIZE_MAX || end == SIZE_MAX)
            return false;
        const Str group = str_slice(text, start, end - start);
        if (!str_starts_with(str_slice(text, *position, text.size), group))
            return false;
        *position += group.size;
        return true;
    }
    if (*position >= text.size)
        return false;
    const uint32_t code = code_next(text, position);
    const bool ignore_case = matcher->regex->ignore_case;
    if (op->code == OP_ANY)
        return op->a || code != '\n';
    if (op->code == OP_CLASS)
        return class_has(op->class, code, ignore_case);
    return code == (uint32_t)op->a ||
           (ignore_case && code_lower(code) == code_lower((uint32_t)op->a));
}

static bool match_at(Matcher *matcher, const Instruction *op, size_t position, size_t *ret_end,
                     bool *ret_found, Error *err);

static bool look(Matcher *matcher, const Instruction *op, size_t position, bool *ret_holds,
                 Error *err)
{
    size_t end = 0;
    bool found = false;
    const size_t base = matcher->stack.size;
    assert(matcher->depth < REGEX_DEPTH_MAX);
    matcher->depth++;
    TRY(match_at(matcher, op + 1, position, &end, &found, err));
    matcher->depth--;
    // Choices inside are given up; what it captured stays, to be put back with the rest.
    size_t kept = base;
    for (size_t at = base; at < matcher->stack.size; at += sizeof(Choice)) {
        Choice choice;
        memcpy(&choice, matcher->stack.data + at, sizeof(choice));
        if (choice.restore == NULL)
            continue;
        memcpy(matcher->stack.data + kept, &choice, sizeof(choice));
        kept += sizeof(choice);
    }
    matcher->stack.size = kept;
    *ret_holds = found != (op->a != 0);
    return true;
}

// One instruction; *op moves on. *ret_ok = false: go back to the last choice.
static bool step(Matcher *matcher, const Instruction **op, size_t *position, bool *ret_ok,
                 Error *err)
{
    const Instruction *now = *op;
    int32_t go = 1;
    *ret_ok = true;
    switch (now->code) {
    case OP_CODE:
    case OP_ANY:
    case OP_CLASS:
    case OP_BACK:
        *ret_ok = consume(matcher, now, position);
        break;
    case OP_SPLIT:
        TRY(push(matcher, (Choice){now + now->b, *position, NULL}, err));
        go = now->a;
        break;
    case OP_JUMP:
        go = now->a;
        break;
    case OP_SAVE:
        TRY(set_cell(matcher, &matcher->slots[now->a], *position, err));
        break;
    case OP_MARK:
        TRY(set_cell(matcher, &matcher->marks[now->a], *position, err));
        break;
    case OP_LOOP:
        go = matcher->marks[now->a] == *position ? 1 : now->b;
        break;
    case OP_START:
    case OP_END:
    case OP_TEXT_START:
    case OP_TEXT_END:
    case OP_BOUNDARY:
        *ret_ok = holds(now, matcher->text, *position);
        break;
    case OP_LOOK:
        TRY(look(matcher, now, *position, ret_ok, err));
        go = now->b;
        break;
    case OP_MATCH:
        *ret_ok = false; // empty where it must not be
        break;
    }
    *op = now + go;
    return true;
}

static bool match_at(Matcher *matcher, const Instruction *op, size_t position, size_t *ret_end,
                     bool *ret_found, Error *err)
{
    const size_t base = matcher->stack.size;
    *ret_found = false;
    const size_t start = position;
    for (;;) {
        bool ok = false;
        if (op->code == OP_MATCH &&
            (matcher->depth > 0 || position > start || start != matcher->forbidden))
            break;
        if (++matcher->steps > REGEX_STEPS_MAX)
            return error_set(err, ERROR_LIMIT, "regular expression: takes more than %d steps",
                             (int)REGEX_STEPS_MAX);
        TRY(step(matcher, &op, &position, &ok, err));
        if (!ok && !pop(matcher, base, &op, &position))
            return true;
    }
    *ret_found = true;
    *ret_end = position;
    return true;
}

static bool search(Matcher *matcher, size_t from, RegexMatch *ret_match, bool *ret_found,
                   Error *err)
{
    const Str text = matcher->text;
    for (size_t start = from;;) {
        for (size_t i = 0; i < SLOTS; i++)
            matcher->slots[i] = SIZE_MAX;
        matcher->stack.size = 0;
        TRY(match_at(matcher, matcher->regex->program, start, &matcher->slots[1], ret_found, err));
        if (*ret_found) {
            matcher->slots[0] = start;
            break;
        }
        if (start >= text.size)
            return true;
        (void)code_next(text, &start);
    }
    for (size_t i = 0; i < REGEX_GROUPS_MAX; i++) {
        const bool whole =
            matcher->slots[i * 2] != SIZE_MAX && matcher->slots[i * 2 + 1] != SIZE_MAX;
        ret_match->start[i] = whole ? matcher->slots[i * 2] : SIZE_MAX;
        ret_match->end[i] = whole ? matcher->slots[i * 2 + 1] : SIZE_MAX;
    }
    ret_match->group_count = matcher->regex->group_count;
    return true;
}

bool regex_search(const Regex *regex, Str text, size_t from, bool must_move, RegexMatch *ret_match,
                  bool *ret_found, Error *err)
{
    CLEANUP(buf_done) Buf stack = {.limit_bytes = STACK_BYTES_MAX};
    Matcher matcher = {
        .regex = regex, .text = text, .stack = stack, .forbidden = must_move ? from : SIZE_MAX};
    const bool ok = search(&matcher, from, ret_match, ret_found, err);
    stack = matcher.stack;
    return ok;
}
