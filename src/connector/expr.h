// Expr: one templated field of a component, and the names it may see when it is evaluated.
#pragma once

#include "connector/node.h"
#include "connector/template.h"

enum {
    FRAME_NAMES_MAX = 48, // names of one evaluation, extra fields of a slice included
};

// The names of one evaluation. The first entry is kept for `parameters`, which belong to the
// expression.
typedef struct Frame {
    ScopeEntry entries[FRAME_NAMES_MAX];
    size_t count;
    Env *env;
} Frame;

void frame_init(Frame *frame, Env *env, Value config);
// ERROR_LIMIT beyond FRAME_NAMES_MAX. A name given twice keeps its last value.
bool frame_set(Frame *frame, Str name, Value value, Error *err) MUST_USE;

// Compiled once with the stream. `exists` = false: the field is missing.
typedef struct Expr {
    bool exists;
    const Template *template; // NULL: a constant
    Value constant;           // a scalar, list or map that is no text
    Str source;
    Value parameters; // $parameters of the component it belongs to
} Expr;

// Which kinds of literals a rendered text may become; the text stays otherwise.
typedef enum ExprKinds {
    EXPR_ANY,
    EXPR_TEXT,         // str only
    EXPR_TEXT_OR_LIST, // request parameters
    EXPR_INT,
    EXPR_FLOAT,
    EXPR_BOOL,
} ExprKinds;

// Compiles field `name` of `component`, or a node of it. A fault is ERROR_JOB "<file>:<line>: ...".
bool expr_bind(const Node *component, const Node *node, Str file, Arena *arena, Expr *ret_expr,
               Error *err) MUST_USE;
bool expr_bind_field(const Node *component, Str name, Str file, Arena *arena, Expr *ret_expr,
                     Error *err) MUST_USE;
Expr expr_constant(Value value);

// The reference's InterpolatedString: the default is the template itself.
bool expr_value(const Expr *expr, Frame *frame, Arena *arena, Value *ret_value,
                Error *err) MUST_USE;
// str() of it.
bool expr_text(const Expr *expr, Frame *frame, Arena *arena, Str *ret_text, Error *err) MUST_USE;
bool expr_bool(const Expr *expr, Frame *frame, Arena *arena, bool *ret_value, Error *err) MUST_USE;
// A member of a mapping: None where undefined or empty; kinds as `kinds` says.
bool expr_member(const Expr *expr, Frame *frame, ExprKinds kinds, Arena *arena, Value *ret_value,
                 Error *err) MUST_USE;

// Like expr_value(), with kinds.
bool expr_typed(const Expr *expr, Frame *frame, ExprKinds kinds, Arena *arena, Value *ret_value,
                Error *err) MUST_USE;

// str(value) in `arena`.
bool value_text(Value value, Arena *arena, Str *ret_text, Error *err) MUST_USE;

// A value tree whose texts are templates, evaluated member by member (InterpolatedNestedMapping).
typedef struct ExprTree ExprTree;
struct ExprTree {
    NodeKind kind;
    Expr scalar;
    size_t count;
    Expr *keys;      // of a map
    ExprTree *items; // of a map or list
};

bool expr_tree_bind(const Node *component, const Node *node, Str file, Arena *arena,
                    ExprTree *ret_tree, Error *err) MUST_USE;
// Members that evaluate to None are left out of maps.
bool expr_tree_value(const ExprTree *tree, Frame *frame, Arena *arena, Value *ret_value,
                     Error *err) MUST_USE;
