// Template parser: what the parsers of expressions and of statements share.
#pragma once

#include "connector/machine.h"

typedef struct Parser {
    const Token *tokens;
    size_t at;
    Arena *arena;
    Template *template;
    size_t depth;
    size_t terms;
    // Names that statements have set so far; only the others are asked of the scope.
    Str declared[TEMPLATE_NAMES_MAX];
    size_t declared_count;
    bool loop_used; // the body in hand mentions `loop`
} Parser;

// Always false: ERROR_JOB "column 12: <what>, not '<token>'".
bool parser_fail(const Parser *parser, Error *err, const char *what);

// The token in hand, and questions about it. skip: moves on when the answer is yes.
const Token *parser_now(const Parser *parser);
bool parser_is_operator(const Parser *parser, const char *text);
bool parser_is_name(const Parser *parser, const char *name);
bool parser_is_name_at(const Parser *parser, size_t ahead, const char *name); // so many behind it
bool parser_skip_operator(Parser *parser, const char *text);
bool parser_skip_name(Parser *parser, const char *name);

// ERROR_JOB when something else stands there.
bool parser_expect_operator(Parser *parser, const char *text, Error *err) MUST_USE;
bool parser_expect_name(Parser *parser, Str *ret_name, Error *err) MUST_USE;
bool parser_expect_kind(Parser *parser, TokenKind kind, const char *what, Error *err) MUST_USE;

// One level deeper; the caller takes parser->depth back. ERROR_LIMIT at TEMPLATE_DEPTH_MAX.
bool parser_enter(Parser *parser, Error *err) MUST_USE;

// The scope must offer `name`, unless the template has set it or it is one of our functions.
bool parser_need_name(Parser *parser, Str name, Error *err) MUST_USE;

// --- expressions (template_expression.c)

bool parser_read_expression(Parser *parser, const Term **ret_term, Error *err) MUST_USE;

// Expressions with commas between, which make a tuple. `conditions`: "a if b" may stand there;
// `parentheses`: none at all makes an empty tuple.
bool parser_read_tuple(Parser *parser, bool conditions, bool parentheses, const Term **ret_term,
                       Error *err) MUST_USE;
