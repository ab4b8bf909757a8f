// Template: the Jinja2 subset that low-code manifests use, compiled once and evaluated often.
//
// Real tokenizer, parser and evaluator; the reference's sandbox limits hold (no attribute of an
// object but those that attribute_find() knows). What a template may see is a scope of named
// values.
#pragma once

#include "base/env.h"
#include "connector/value.h"

typedef struct Template Template;

// One named value of a scope. A lookup that finds no name is a hard error (undeclared variable).
typedef struct ScopeEntry {
    Str name;
    Value value;
} ScopeEntry;

typedef struct Scope {
    const ScopeEntry *entries;
    size_t count;
    Env *env; // now_utc() and friends
} Scope;

// Compiles `source`. ERROR_JOB "<place>: template: ..., column 12" on a syntax error or an unknown
// filter or function.
bool template_compile(Str source, Str place, Arena *arena, const Template **ret_template,
                      Error *err) MUST_USE;

// True when the source holds no expression at all: evaluation is the identity.
bool template_is_plain(const Template *template);

typedef enum TemplateOutcome {
    TEMPLATE_OK,
    TEMPLATE_UNDEFINED,  // UndefinedError: the caller's default applies
    TEMPLATE_TYPE_ERROR, // Python's TypeError: the raw template text applies
} TemplateOutcome;

// Renders to text (before any literal evaluation).
bool template_render(const Template *template, const Scope *scope, Arena *arena, Str *ret_text,
                     TemplateOutcome *ret_outcome, Error *err) MUST_USE;

// The reference's InterpolatedString and friends: render, then literal evaluation, then the default
// where undefined or empty.
bool template_eval_string(const Template *template, const Scope *scope, Arena *arena,
                          Value *ret_value, Error *err) MUST_USE;
// InterpolatedMapping/Nested values: default None.
bool template_eval_member(const Template *template, const Scope *scope, Arena *arena,
                          Value *ret_value, Error *err) MUST_USE;
// InterpolatedBoolean: only False, None, 0, 0.0, '', 'False', 'false', '{}', '[]', '()', '0', '0.0'
// and empty containers are false.
bool template_eval_bool(const Template *template, const Scope *scope, Arena *arena, bool *ret_value,
                        Error *err) MUST_USE;
