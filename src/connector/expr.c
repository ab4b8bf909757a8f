#include "connector/expr.h"

#include <assert.h>
#include <stdio.h>

void frame_init(Frame *frame, Env *env, Value config)
{
    frame->count = 2;
    frame->env = env;
    frame->entries[0] = (ScopeEntry){.name = STR("parameters"), .value = value_none()};
    frame->entries[1] = (ScopeEntry){.name = STR("config"), .value = config};
}

bool frame_set(Frame *frame, Str name, Value value, Error *err)
{
    for (size_t i = 0; i < frame->count; i++) {
        if (str_equal(frame->entries[i].name, name)) {
            frame->entries[i].value = value;
            return true;
        }
    }
    if (frame->count == FRAME_NAMES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d names for one template", FRAME_NAMES_MAX);
    frame->entries[frame->count++] = (ScopeEntry){.name = name, .value = value};
    return true;
}

static Scope scope_of(Frame *frame, const Expr *expr)
{
    frame->entries[0].value = expr->parameters;
    return (Scope){.entries = frame->entries, .count = frame->count, .env = frame->env};
}

Expr expr_constant(Value value)
{
    return (Expr){.exists = true, .constant = value, .parameters = value_none()};
}

bool expr_bind(const Node *component, const Node *node, Str file, Arena *arena, Expr *ret_expr,
               Error *err)
{
    Expr expr = {0};
    if (node_is_null(node)) {
        *ret_expr = expr;
        return true;
    }
    expr.exists = true;
    TRY(node_value(node_get(component, STR("$parameters")), arena, &expr.parameters, err));
    // Without parameters the reference hands over an empty mapping.
    if (expr.parameters.kind == VALUE_NONE)
        expr.parameters = (Value){.kind = VALUE_DICT};
    if (node->kind != NODE_SCALAR || node->scalar.kind != VALUE_STR) {
        TRY(node_value(node, arena, &expr.constant, err));
        *ret_expr = expr;
        return true;
    }
    Str place = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ":%u", STR_ARG(file), node->line));
    expr.source = node->scalar.text;
    TRY(template_compile(expr.source, place, arena, &expr.template, err));
    *ret_expr = expr;
    return true;
}

bool expr_bind_field(const Node *component, Str name, Str file, Arena *arena, Expr *ret_expr,
                     Error *err)
{
    return expr_bind(component, node_get(component, name), file, arena, ret_expr, err);
}

bool expr_value(const Expr *expr, Frame *frame, Arena *arena, Value *ret_value, Error *err)
{
    assert(expr->exists);
    if (expr->template == NULL) {
        *ret_value = expr->constant;
        return true;
    }
    Scope scope = scope_of(frame, expr);
    return template_eval_string(expr->template, &scope, arena, ret_value, err);
}

bool value_text(Value value, Arena *arena, Str *ret_text, Error *err)
{
    if (value.kind == VALUE_STR) {
        *ret_text = value.text;
        return true;
    }
    CLEANUP(buf_done) Buf buf = {0};
    TRY(value_write_str(value, &buf, err));
    return arena_copy_str(arena, buf_str(&buf), ret_text, err);
}

bool expr_text(const Expr *expr, Frame *frame, Arena *arena, Str *ret_text, Error *err)
{
    Value value = value_none();
    TRY(expr_value(expr, frame, arena, &value, err));
    return value_text(value, arena, ret_text, err);
}

static bool constant_bool(Value value)
{
    if (value.kind != VALUE_STR)
        return value_is_true(value);
    static const char *const false_texts[] = {"", "False", "false", "{}", "[]", "()", "0", "0.0"};
    for (size_t i = 0; i < sizeof false_texts / sizeof false_texts[0]; i++) {
        if (str_equal(value.text, str_from(false_texts[i])))
            return false;
    }
    return true;
}

bool expr_bool(const Expr *expr, Frame *frame, Arena *arena, bool *ret_value, Error *err)
{
    assert(expr->exists);
    if (expr->template == NULL) {
        *ret_value = constant_bool(expr->constant);
        return true;
    }
    Scope scope = scope_of(frame, expr);
    return template_eval_bool(expr->template, &scope, arena, ret_value, err);
}

static bool is_kind(Value value, ExprKinds kinds)
{
    bool list = value.kind == VALUE_LIST || (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
    switch (kinds) {
    case EXPR_ANY:
        return true;
    case EXPR_TEXT:
        return value.kind == VALUE_STR;
    case EXPR_TEXT_OR_LIST:
        return value.kind == VALUE_STR || list;
    case EXPR_INT: // a Python bool is an int
        return value.kind == VALUE_INT || value.kind == VALUE_BIGINT || value.kind == VALUE_BOOL;
    case EXPR_FLOAT:
        return value.kind == VALUE_FLOAT;
    case EXPR_BOOL:
        return value.kind == VALUE_BOOL;
    }
    return true;
}

bool expr_member(const Expr *expr, Frame *frame, ExprKinds kinds, Arena *arena, Value *ret_value,
                 Error *err)
{
    assert(expr->exists);
    if (expr->template == NULL) {
        *ret_value = expr->constant;
        return true;
    }
    Scope scope = scope_of(frame, expr);
    if (kinds == EXPR_ANY)
        return template_eval_member(expr->template, &scope, arena, ret_value, err);

    Str text = {0};
    TemplateOutcome outcome = TEMPLATE_OK;
    TRY(template_render(expr->template, &scope, arena, &text, &outcome, err));
    if (outcome == TEMPLATE_TYPE_ERROR)
        text = expr->source;
    if (outcome == TEMPLATE_UNDEFINED || text.size == 0) {
        *ret_value = value_none();
        return true;
    }
    Value value = value_none();
    Error ignored = {0};
    bool literal = value_parse_literal(text, arena, &value, &ignored);
    *ret_value = literal && is_kind(value, kinds) ? value : value_str(text);
    return true;
}

bool expr_typed(const Expr *expr, Frame *frame, ExprKinds kinds, Arena *arena, Value *ret_value,
                Error *err)
{
    if (kinds == EXPR_ANY || expr->template == NULL)
        return expr_value(expr, frame, arena, ret_value, err);
    Value value = value_none();
    TRY(expr_member(expr, frame, kinds, arena, &value, err));
    // The default of a string is the string itself: empty, or undefined once more.
    if (value.kind == VALUE_NONE)
        TRY(expr_value(expr, frame, arena, &value, err));
    *ret_value = value;
    return true;
}

// ------------------------------------------------------------------------ trees

static bool bind_list(const Node *component, const Node *node, Str file, Arena *arena,
                      ExprTree *tree, Error *err)
{
    for (size_t i = 0; i < node->count; i++)
        TRY(expr_tree_bind(component, node->items[i], file, arena, &tree->items[i], err));
    return true;
}

static bool bind_map(const Node *component, const Node *node, Str file, Arena *arena,
                     ExprTree *tree, Error *err)
{
    tree->keys = arena_alloc_array(arena, node->count + 1, sizeof *tree->keys, err);
    TRY(tree->keys != NULL);
    tree->count = 0;
    for (size_t i = 0; i < node->count; i++) {
        const NodeMember *member = &node->members[i];
        // The parameters of a typed map below are no member that the manifest wrote.
        if (str_equal(member->key, STR("$parameters")))
            continue;
        Node key = {
            .kind = NODE_SCALAR, .line = member->node->line, .scalar = value_str(member->key)};
        TRY(expr_bind(component, &key, file, arena, &tree->keys[tree->count], err));
        TRY(expr_tree_bind(component, member->node, file, arena, &tree->items[tree->count], err));
        tree->count++;
    }
    return true;
}

bool expr_tree_bind(const Node *component, const Node *node, Str file, Arena *arena,
                    ExprTree *ret_tree, Error *err)
{
    ExprTree tree = {.kind = node->kind, .count = node->count};
    if (node->kind == NODE_SCALAR) {
        if (node_is_null(node))
            tree.scalar = expr_constant(value_none());
        else
            TRY(expr_bind(component, node, file, arena, &tree.scalar, err));
        *ret_tree = tree;
        return true;
    }
    tree.items = arena_alloc_array(arena, node->count + 1, sizeof *tree.items, err);
    TRY(tree.items != NULL);
    if (node->kind == NODE_LIST)
        TRY(bind_list(component, node, file, arena, &tree, err));
    else
        TRY(bind_map(component, node, file, arena, &tree, err));
    *ret_tree = tree;
    return true;
}

static bool tree_list(const ExprTree *tree, Frame *frame, Arena *arena, Value *ret_value,
                      Error *err)
{
    Value *items = arena_alloc_array(arena, tree->count + 1, sizeof *items, err);
    TRY(items != NULL);
    for (size_t i = 0; i < tree->count; i++)
        TRY(expr_tree_value(&tree->items[i], frame, arena, &items[i], err));
    *ret_value = (Value){.kind = VALUE_LIST, .list = {items, tree->count}};
    return true;
}

bool expr_tree_value(const ExprTree *tree, Frame *frame, Arena *arena, Value *ret_value, Error *err)
{
    if (tree->kind == NODE_SCALAR)
        return expr_member(&tree->scalar, frame, EXPR_ANY, arena, ret_value, err);
    if (tree->kind == NODE_LIST)
        return tree_list(tree, frame, arena, ret_value, err);
    ValuePair *pairs = arena_alloc_array(arena, tree->count + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    size_t count = 0;
    for (size_t i = 0; i < tree->count; i++) {
        TRY(expr_member(&tree->keys[i], frame, EXPR_ANY, arena, &pairs[count].key, err));
        TRY(expr_tree_value(&tree->items[i], frame, arena, &pairs[count].value, err));
        count += pairs[count].value.kind != VALUE_NONE;
    }
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}
