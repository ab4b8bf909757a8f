// Template terms in the making: what the parsers of expressions build, and what they ask of one
// another.
#pragma once

#include "connector/template_parser.h"

// Parts of a term; starts as {0}.
typedef struct Terms {
    const Term **items;
    size_t count, room;
} Terms;

bool terms_add(Parser *parser, Terms *terms, const Term *term, Error *err) MUST_USE;

// NULL with an error; ERROR_LIMIT beyond TEMPLATE_TERMS_MAX in one template.
Term *term_new(Parser *parser, TermKind kind, Error *err);

// A term of these parts.
bool term_make_of(Parser *parser, TermKind kind, const Terms *parts, const Term **ret_term,
                  Error *err) MUST_USE;
bool term_make(Parser *parser, TermKind kind, const Term *const *parts, size_t count,
               const Term **ret_term, Error *err) MUST_USE;

bool term_make_const(Parser *parser, Value value, const Term **ret_term, Error *err) MUST_USE;

// A name, a constant, a list, a dict, or anything in parentheses (template_expression.c).
bool parser_read_primary(Parser *parser, const Term **ret_term, Error *err) MUST_USE;

// Attributes, subscripts and calls that follow *term, which becomes the whole; then filters and
// tests, which bind looser than a sign (template_postfix.c).
bool parser_read_postfix(Parser *parser, const Term **term, Error *err) MUST_USE;
bool parser_read_filters(Parser *parser, const Term **term, Error *err) MUST_USE;
