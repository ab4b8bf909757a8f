// Template nodes: what a template is after parsing. Immutable, in the arena it was compiled into.
#pragma once

#include "connector/template.h"

enum {
    TEMPLATE_BYTES_MAX = 1024 * 1024, // of a source
    TEMPLATE_DEPTH_MAX = 100,         // of expressions and statements in each other
    TEMPLATE_TERMS_MAX = 100 * 1000,  // in one template
    TEMPLATE_NAMES_MAX = 64,          // variables that one template may mention
};

// --- tokens

typedef enum TokenKind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_PRINT_BEGIN, // {{
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN, // {%
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING, // `text` is what the quotes enclose, escapes resolved
    TOKEN_NUMBER, // `value`
    TOKEN_OPERATOR,
} TokenKind;

typedef struct Token {
    TokenKind kind;
    Str text;
    Value value;
    size_t at; // byte of the source
} Token;

typedef struct Tokens {
    Token *items;
    size_t count;
} Tokens;

// `source` with line ends as '\n' and without a last one, as Jinja reads it.
bool template_normalise(Str source, Arena *arena, Str *ret_source, Error *err) MUST_USE;

// The tokens of a normalised source, the last being TOKEN_END. ERROR_JOB "column 12: ...".
bool template_tokenise(Str source, Arena *arena, Tokens *ret_tokens, Error *err) MUST_USE;

// --- expressions

typedef enum TermKind {
    TERM_CONST,     // constant
    TERM_NAME,      // name
    TERM_LIST,      // items
    TERM_TUPLE,     // items
    TERM_DICT,      // items: key, value, key, value ...
    TERM_CONDITION, // items: test, then, else (may be NULL)
    TERM_AND,       // items: two
    TERM_OR,
    TERM_NOT,     // items: one
    TERM_COMPARE, // items: operands; operators[i] stands between i and i + 1
    TERM_BINARY,  // items: two; operators[0]
    TERM_NEGATE,
    TERM_POSITIVE,
    TERM_CONCAT,    // items joined by ~
    TERM_ATTRIBUTE, // items[0].name
    TERM_ITEM,      // items[0][items[1]]
    TERM_SLICE,     // only within TERM_ITEM; items: start, stop, step (each may be NULL)
    TERM_CALL,      // items[0](items[1], ..., keywords)
    TERM_FILTER,    // items[0] | function(items[1], ..., keywords)
    TERM_TEST,      // items[0] is function(items[1], ...)
} TermKind;

typedef enum Operator {
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_FLOOR,
    OPERATOR_REMAINDER,
    OPERATOR_POWER,
    OPERATOR_EQUAL,
    OPERATOR_NOT_EQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
    OPERATOR_NOT_IN,
} Operator;

typedef struct Function Function;
typedef struct Term Term;

typedef struct Keyword {
    Str name;
    const Term *term;
} Keyword;

struct Term {
    TermKind kind;
    Value constant;
    Str name;
    const Term **items;
    size_t count;
    const Operator *operators;
    const Keyword *keywords;
    size_t keyword_count;
    const Function *function;
};

// --- statements

typedef enum StepKind {
    STEP_TEXT,  // text
    STEP_PRINT, // term
    STEP_IF,    // term, body, otherwise
    STEP_FOR,   // names in term if filter (may be NULL): body, otherwise
    STEP_SET,   // names = term; without a term: names[0] = what body prints
} StepKind;

typedef struct Step Step;

typedef struct Steps {
    const Step **items;
    size_t count;
} Steps;

struct Step {
    StepKind kind;
    Str text;
    const Term *term;
    const Term *filter;
    const Str *names;
    size_t name_count;
    bool unpack;    // names are a tuple
    bool uses_loop; // the body mentions `loop`
    Steps body;
    Steps otherwise;
};

struct Template {
    Str source;
    Str normalised;
    Str place;
    Steps steps;
    Str *names; // what the scope must offer
    size_t name_count;
    bool plain;      // evaluation is the identity
    bool is_text;    // holds no tag: renders to `normalised`
    bool uses_state; // mentions stream_state, which the reference refuses
};

// Parses `source` (normalised) into `template`, which gets steps and names.
bool template_parse(Str source, Arena *arena, Template *template, Error *err) MUST_USE;
