// The program that a regular expression becomes: a small machine that goes forward by its
// instructions and back by a stack of choices. Jumps are relative, so that a repeated part is a
// copy of itself.
#pragma once

#include "connector/regex.h"

enum {
    PROGRAM_MAX = 20000,          // instructions
    RANGES_MAX = 128,             // of one class
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
