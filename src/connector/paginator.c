#include "connector/engine.h"

// ------------------------------------------------------------------------ binding

// An expression's value with the config alone. `name` is that of its field.
static bool integer_of(const Binder *binder, const Expr *expr, const char *name, const Node *node,
                       int64_t *ret_number, Error *err)
{
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    Value value = value_none();
    TRY(expr_value(expr, &frame, binder->arena, &value, err));
    if (value.kind == VALUE_STR && str_to_int64(value.text, ret_number))
        return true;
    if (value.kind != VALUE_INT)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: %s is no whole number",
                         STR_ARG(binder->file), node->line, name);
    *ret_number = value.integer;
    return true;
}

// No page is ever shorter than such a size, so the pages would only end with an empty one, if the
// API has one. The manifest's own number is a fault of the file, one from the config is not.
static bool check_page_size(const Binder *binder, const Paginator *paginator, const Node *node,
                            Error *err)
{
    const long long size = paginator->page_size;
    if (size > 0)
        return true;
    const Str source = paginator->page_size_expr.source;
    if (str_find(source, STR("{{")) < source.size)
        return error_set(err, ERROR_JOB,
                         STR_FMT ":%u: page_size is %lld with this config: give "
                                 "at least 1",
                         STR_ARG(binder->file), node->line, size);
    return error_set(err, ERROR_JOB,
                     STR_FMT ":%u: " STR_FMT " needs 'page_size' of at least 1, "
                             "not %lld",
                     STR_ARG(binder->file), node->line, STR_ARG(node_type(node)), size);
}

static bool bind_page_size(const Binder *binder, const Node *node, Paginator *paginator, Error *err)
{
    Expr *expr = &paginator->page_size_expr;
    TRY(expr_bind_field(node, STR("page_size"), binder->file, binder->arena, expr, err));
    if (!expr->exists)
        return true;
    // OffsetIncrement may compute it from a response, which is not here yet; then the size option
    // is left out of requests until it can be said.
    bool late = paginator->kind == PAGES_OFFSET &&
                str_find(expr->source, STR("response")) < expr->source.size;
    if (late)
        return true;
    paginator->has_page_size = true;
    return integer_of(binder, expr, "page_size", node, &paginator->page_size, err) &&
           check_page_size(binder, paginator, node, err);
}

static bool bind_first_page(const Binder *binder, const Node *node, Paginator *paginator,
                            Error *err)
{
    Expr start = {0};
    TRY(expr_bind_field(node, STR("start_from_page"), binder->file, binder->arena, &start, err));
    paginator->inject_first = node_is_true(node_get(node, STR("inject_on_first_request")));
    if (!start.exists)
        return true;
    return integer_of(binder, &start, "start_from_page", node, &paginator->start_from_page, err);
}

static bool bind_cursor(const Binder *binder, const Node *node, Paginator *paginator, Error *err)
{
    paginator->kind = PAGES_CURSOR;
    TRY(expr_bind_field(node, STR("cursor_value"), binder->file, binder->arena,
                        &paginator->cursor_value, err));
    if (!paginator->cursor_value.exists)
        return bind_missing(binder, node, "cursor_value", err);
    return expr_bind_field(node, STR("stop_condition"), binder->file, binder->arena,
                           &paginator->stop_condition, err);
}

static bool bind_strategy(const Binder *binder, const Node *node, Paginator *paginator, Error *err)
{
    if (bind_is(node, "CursorPagination"))
        TRY(bind_cursor(binder, node, paginator, err));
    else if (bind_is(node, "PageIncrement"))
        paginator->kind = PAGES_NUMBER;
    else if (bind_is(node, "OffsetIncrement"))
        paginator->kind = PAGES_OFFSET;
    else
        return bind_unsupported(binder, node, err);
    if (paginator->kind != PAGES_CURSOR)
        TRY(bind_first_page(binder, node, paginator, err));
    return bind_page_size(binder, node, paginator, err);
}

bool paginator_bind(const Binder *binder, const Node *node, Paginator *ret_paginator, Error *err)
{
    Paginator paginator = {0};
    if (node_is_null(node) || bind_is(node, "NoPagination")) {
        *ret_paginator = paginator;
        return true;
    }
    if (!bind_is(node, "DefaultPaginator"))
        return bind_unsupported(binder, node, err);
    const Node *strategy = node_get(node, STR("pagination_strategy"));
    if (node_is_null(strategy))
        return bind_missing(binder, node, "pagination_strategy", err);
    TRY(bind_strategy(binder, strategy, &paginator, err));
    TRY(request_option_bind(node, STR("page_size_option"), binder->file, binder->arena,
                            &paginator.size_option, err));
    const Node *token = node_get(node, STR("page_token_option"));
    if (bind_is(token, "RequestPath"))
        paginator.token_is_path = true;
    else
        TRY(request_option_bind(node, STR("page_token_option"), binder->file, binder->arena,
                                &paginator.token_option, err));
    *ret_paginator = paginator;
    return true;
}

// ------------------------------------------------------------------------ pages

Value paginator_first_token(const Paginator *paginator)
{
    if (!paginator->inject_first)
        return value_none();
    return value_int(paginator->kind == PAGES_NUMBER ? paginator->start_from_page : 0);
}

static bool next_cursor(const Paginator *paginator, const PageView *page, Frame *frame,
                        Arena *arena, Value *ret_token, Error *err)
{
    Value size = paginator->has_page_size ? value_int(paginator->page_size) : value_none();
    TRY(frame_set(frame, STR("response"), page->response, err));
    TRY(frame_set(frame, STR("headers"), page->headers, err));
    TRY(frame_set(frame, STR("last_record"), page->last_record, err));
    TRY(frame_set(frame, STR("last_page_size"), value_int((int64_t)page->emitted), err));
    TRY(frame_set(frame, STR("page_size"), size, err));
    bool stop = false;
    if (paginator->stop_condition.exists)
        TRY(expr_bool(&paginator->stop_condition, frame, arena, &stop, err));
    Value token = value_none();
    if (!stop)
        TRY(expr_value(&paginator->cursor_value, frame, arena, &token, err));
    *ret_token = value_is_true(token) ? token : value_none();
    return true;
}

// The size as far as it can be said with this page at hand; 0 = none.
static bool requested_size(const Paginator *paginator, const PageView *page, Frame *frame,
                           Arena *arena, int64_t *ret_size, Error *err)
{
    *ret_size = paginator->page_size;
    if (paginator->has_page_size || !paginator->page_size_expr.exists)
        return true;
    TRY(frame_set(frame, STR("response"), page->response, err));
    Value value = value_none();
    TRY(expr_value(&paginator->page_size_expr, frame, arena, &value, err));
    *ret_size = value.kind == VALUE_INT ? value.integer : 0;
    return *ret_size >= 0 ||
           error_set(err, ERROR_DATA, "page_size '" STR_FMT "' is %lld for this page",
                     STR_ARG(paginator->page_size_expr.source), (long long)*ret_size);
}

static bool next_number(const Paginator *paginator, const PageView *page, Frame *frame,
                        Arena *arena, Value *ret_token, Error *err)
{
    int64_t size = 0;
    TRY(requested_size(paginator, page, frame, arena, &size, err));
    int64_t count = (int64_t)page->extracted;
    *ret_token = value_none();
    if (count == 0 || (size > 0 && count < size))
        return true;
    bool first = page->last_token.kind != VALUE_INT;
    int64_t step = paginator->kind == PAGES_NUMBER ? 1 : count;
    int64_t last = first ? 0 : page->last_token.integer;
    if (first && paginator->kind == PAGES_NUMBER)
        last = paginator->start_from_page;
    // Offset 0 is the first page, and a token 0 would end the pages; neither can come out here.
    *ret_token = value_int(last + step);
    return true;
}

bool paginator_next(const Paginator *paginator, const PageView *page, Frame *frame, Arena *arena,
                    Value *ret_token, Error *err)
{
    if (paginator->kind == PAGES_CURSOR)
        return next_cursor(paginator, page, frame, arena, ret_token, err);
    if (paginator->kind == PAGES_NUMBER || paginator->kind == PAGES_OFFSET)
        return next_number(paginator, page, frame, arena, ret_token, err);
    *ret_token = value_none();
    return true;
}

bool paginator_options(const Paginator *paginator, Value token, Frame *frame, Arena *arena,
                       Options *options, Error *err)
{
    if (token.kind != VALUE_NONE)
        TRY(options_inject(options, &paginator->token_option, token, CLASH_IS_ERROR, frame, arena,
                           err));
    if (!paginator->has_page_size)
        return true;
    return options_inject(options, &paginator->size_option, value_int(paginator->page_size),
                          CLASH_IS_ERROR, frame, arena, err);
}
