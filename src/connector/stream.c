#include "connector/engine.h"

// --- binding

bool bind_is(const Node *component, const char *type)
{
    return str_equal(node_type(component), str_from(type));
}

bool bind_text(const Binder *binder, const Node *component, Str field, Str fallback, Str *ret_text,
               Error *err)
{
    Expr expr = {0};
    TRY(expr_bind_field(component, field, binder->file, binder->arena, &expr, err));
    *ret_text = fallback;
    if (!expr.exists)
        return true;
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    Value value = value_none();
    TRY(expr_value(&expr, &frame, binder->arena, &value, err));
    if (!value_is_true(value))
        return true;
    return value_text(value, binder->arena, ret_text, err);
}

static bool bind_parts(Binder *binder, Stream *stream, Error *err)
{
    const Node *retriever = node_get(stream->node, STR("retriever"));
    if (node_is_null(retriever))
        return bind_missing(binder, stream->node, "retriever", err);
    if (!bind_is(retriever, "SimpleRetriever"))
        return bind_unsupported(binder, retriever, err);
    TRY(requester_bind(binder, node_get(retriever, STR("requester")), &stream->requester, err));
    TRY(paginator_bind(binder, node_get(retriever, STR("paginator")), &stream->paginator, err));
    TRY(selector_bind(binder, stream->node, retriever, &stream->selector, err));
    TRY(time_cursor_bind(binder, node_get(stream->node, STR("incremental_sync")), &stream->cursor,
                         err));
    TRY(routers_bind(binder, node_get(retriever, STR("partition_router")), &stream->routers,
                     &stream->router_count, err));
    stream->skips_slicer_options = node_is_true(
        node_get(retriever, STR("ignore_stream_slicer_parameters_on_paginated_requests")));
    stream->use_cache = stream->requester->use_cache;
    const Node *migrations = node_get(stream->node, STR("state_migrations"));
    if (node_is_true(migrations))
        return bind_unsupported(
            binder, migrations->kind == NODE_LIST ? migrations->items[0] : migrations, err);
    return true;
}

bool stream_bind(Binder *binder, const Node *node, Stream **ret_stream, Error *err)
{
    Stream *stream = arena_alloc(binder->arena, sizeof *stream, err);
    TRY(stream != NULL);
    stream->connector = binder->connector;
    stream->node = node;
    stream->name = node_text(node_get(node, STR("name")));
    Error problem = {0};
    bool ok = bind_is(node, "DeclarativeStream") ? bind_parts(binder, stream, &problem)
                                                 : bind_unsupported(binder, node, &problem);
    if (!ok && problem.code == ERROR_LIMIT && binder->depth > 0) {
        *err = problem;
        return false;
    }
    stream->problem = problem;
    *ret_stream = stream;
    return true;
}

// --- facts

Str stream_name(const Stream *stream)
{
    return stream->name;
}

Key128 stream_digest(const Stream *stream)
{
    return stream->connector->digest;
}

bool stream_is_plain_json(const Stream *stream)
{
    const BodyFormat *format = &stream->selector.format;
    return format->kind == BODY_JSON && !format->is_latin;
}

bool stream_check(const Stream *stream, Error *err)
{
    if (stream->problem.code == ERROR_NONE)
        return true;
    *err = stream->problem;
    return error_context(err, "stream '" STR_FMT "'", STR_ARG(stream->name));
}

CursorInfo stream_cursor(const Stream *stream)
{
    const TimeCursor *cursor = &stream->cursor;
    if (!cursor->exists)
        return (CursorInfo){0};
    return (CursorInfo){.exists = true,
                        .field = cursor->field,
                        .step = cursor->step,
                        .granularity = cursor->granularity};
}

size_t stream_auth_id(const Stream *stream)
{
    return stream->auth_id;
}
