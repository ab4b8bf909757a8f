// Programs run over texts.

#include "connector/regex.h"

#include "base/buf.h"
#include "connector/regex_program.h"
#include "connector/text_case.h"

#include <assert.h>

enum { STACK_BYTES_MAX = 32 * 1024 * 1024 };

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
        const size_t slot = (size_t)op->a * 2;
        const size_t start = matcher->slots[slot];
        const size_t end = matcher->slots[slot + 1];
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
    stack = matcher.stack; // NOLINT(clang-analyzer-deadcode.DeadStores): CLEANUP frees it
    return ok;
}
