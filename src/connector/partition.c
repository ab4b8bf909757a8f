#include "connector/engine.h"

// ------------------------------------------------------------------------ binding

static bool split_path(Str text, Str parts[PATH_PARTS_MAX], size_t *ret_count)
{
    size_t count = 0;
    Str rest = text;
    while (rest.data != NULL) {
        Str part = str_split_next(&rest, '/');
        if (part.size == 0 && count == 0 && rest.data != NULL)
            continue; // a leading slash
        if (count == PATH_PARTS_MAX)
            return false;
        parts[count++] = part;
    }
    *ret_count = count;
    return true;
}

static bool bind_extra(const Binder *binder, const Node *node, ParentRouter *parent, Error *err)
{
    const Node *list = node_get(node, STR("extra_fields"));
    size_t count = list != NULL && list->kind == NODE_LIST ? list->count : 0;
    Arena *arena = binder->arena;
    parent->extra = arena_alloc_array(arena, count + 1, sizeof *parent->extra, err);
    parent->extra_sizes = arena_alloc_array(arena, count + 1, sizeof(size_t), err);
    parent->extra_names = arena_alloc_array(arena, count + 1, sizeof(Str), err);
    TRY(parent->extra != NULL && parent->extra_sizes != NULL && parent->extra_names != NULL);
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    for (size_t i = 0; i < count; i++) {
        const Node *path = list->items[i];
        if (path->kind != NODE_LIST || path->count == 0 || path->count > PATH_PARTS_MAX)
            return bind_missing(binder, node, "extra_fields", err);
        CLEANUP(buf_done) Buf name = {0};
        for (size_t j = 0; j < path->count; j++) {
            Expr part = {0};
            TRY(expr_bind(node, path->items[j], binder->file, arena, &part, err));
            if (!part.exists)
                return bind_missing(binder, node, "extra_fields", err);
            TRY(expr_text(&part, &frame, arena, &parent->extra[i][j], err));
            TRY(j == 0 || buf_append_char(&name, '.', err));
            TRY(buf_append(&name, parent->extra[i][j], err));
        }
        parent->extra_sizes[i] = path->count;
        TRY(arena_copy_str(arena, buf_str(&name), &parent->extra_names[i], err));
        parent->extra_count++;
    }
    return true;
}

static bool bind_parent(Binder *binder, const Node *node, ParentRouter *parent, Error *err)
{
    if (!bind_is(node, "ParentStreamConfig"))
        return bind_unsupported(binder, node, err);
    if (node_is_true(node_get(node, STR("lazy_read_pointer"))))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: lazy_read_pointer",
                         STR_ARG(binder->file), node->line);
    Str key = {0};
    TRY(bind_text(binder, node, STR("parent_key"), STR(""), &key, err));
    TRY(bind_text(binder, node, STR("partition_field"), STR(""), &parent->partition_field, err));
    if (key.size == 0 || parent->partition_field.size == 0)
        return bind_missing(binder, node, key.size == 0 ? "parent_key" : "partition_field", err);
    if (!split_path(key, parent->parent_key, &parent->parent_key_count))
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: parent_key is too long",
                         STR_ARG(binder->file), node->line);
    TRY(request_option_bind(node, STR("request_option"), binder->file, binder->arena,
                            &parent->option, err));
    parent->is_incremental = node_is_true(node_get(node, STR("incremental_dependency")));
    TRY(bind_extra(binder, node, parent, err));

    const Node *stream = node_get(node, STR("stream"));
    if (node_is_null(stream))
        return bind_missing(binder, node, "stream", err);
    if (binder->depth >= STREAM_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: parents nest deeper than %d",
                         STR_ARG(binder->file), node->line, STREAM_DEPTH_MAX);
    Stream *bound = NULL;
    binder->depth++;
    bool ok = stream_bind(binder, stream, &bound, err);
    binder->depth--;
    TRY(ok);
    if (bound->problem.code != ERROR_NONE) {
        *err = bound->problem;
        return false;
    }
    // The reference reads a parent's page once for all its children, but not a grandparent's, and
    // not where the manifest says no.
    const Node *cache =
        node_get(node_get(node_get(stream, STR("retriever")), STR("requester")), STR("use_cache"));
    if (binder->depth == 0 && (node_is_null(cache) || node_is_true(cache)))
        bound->use_cache = true;
    parent->stream = bound;
    return true;
}

static bool bind_list(const Binder *binder, const Node *node, ListRouter *list, Error *err)
{
    TRY(bind_text(binder, node, STR("cursor_field"), STR(""), &list->field, err));
    if (list->field.size == 0)
        return bind_missing(binder, node, "cursor_field", err);
    const Node *values = node_get(node, STR("values"));
    if (node_is_null(values))
        return bind_missing(binder, node, "values", err);
    TRY(node_value(values, binder->arena, &list->values, err));
    if (values->kind == NODE_SCALAR) {
        Expr expr = {0};
        Frame frame;
        frame_init(&frame, binder->env, binder->config);
        TRY(expr_bind(node, values, binder->file, binder->arena, &expr, err));
        TRY(expr_value(&expr, &frame, binder->arena, &list->values, err));
    }
    return request_option_bind(node, STR("request_option"), binder->file, binder->arena,
                               &list->option, err);
}

static bool bind_router(Binder *binder, const Node *node, Router *router, Error *err)
{
    if (bind_is(node, "ListPartitionRouter")) {
        router->is_list = true;
        return bind_list(binder, node, &router->list, err);
    }
    if (!bind_is(node, "SubstreamPartitionRouter"))
        return bind_unsupported(binder, node, err);
    const Node *parents = node_get(node, STR("parent_stream_configs"));
    if (parents == NULL || parents->kind != NODE_LIST || parents->count == 0)
        return bind_missing(binder, node, "parent_stream_configs", err);
    if (parents->count > STREAM_PARENTS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: more than %d parents",
                         STR_ARG(binder->file), parents->line, STREAM_PARENTS_MAX);
    for (size_t i = 0; i < parents->count; i++) {
        TRY(bind_parent(binder, parents->items[i], &router->parents[i], err));
        router->parent_count++;
    }
    return true;
}

bool routers_bind(Binder *binder, const Node *node, Router **ret_routers, size_t *ret_count,
                  Error *err)
{
    *ret_count = 0;
    *ret_routers = NULL;
    if (node_is_null(node))
        return true;
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    Router *routers = arena_alloc_array(binder->arena, count + 1, sizeof *routers, err);
    TRY(routers != NULL);
    for (size_t i = 0; i < count; i++) {
        const Node *item = node->kind == NODE_LIST ? node->items[i] : node;
        TRY(bind_router(binder, item, &routers[i], err));
    }
    *ret_routers = routers;
    *ret_count = count;
    return true;
}

// ------------------------------------------------------------------------ requests

bool routers_options(const Router *routers, size_t count, Value slice, Frame *frame, Arena *arena,
                     Options *options, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        const Router *router = &routers[i];
        if (router->is_list) {
            Value value = value_get(slice, router->list.field);
            if (value_is_true(value))
                TRY(options_inject(options, &router->list.option, value, CLASH_KEEPS_FIRST, frame,
                                   arena, err));
        }
        for (size_t j = 0; j < router->parent_count; j++) {
            const ParentRouter *parent = &router->parents[j];
            Value value = value_get(slice, parent->partition_field);
            if (value_is_true(value))
                TRY(options_inject(options, &parent->option, value, CLASH_KEEPS_FIRST, frame, arena,
                                   err));
        }
    }
    return true;
}

// ------------------------------------------------------------------------ partitions

static bool partition_from_value(Value value, Arena *arena, Partition *ret_partition, Error *err)
{
    Partition partition = {0};
    TRY(record_close(value, arena, &partition.fields, err));
    CLEANUP(buf_done) Buf key = {0};
    TRY(json_write_canonical(partition.fields, &key, err));
    TRY(arena_copy_str(arena, buf_str(&key), &partition.key, err));
    *ret_partition = partition;
    return true;
}

static bool extra_of(const ParentRouter *parent, Value record, Arena *arena, yyjson_val **ret_extra,
                     Error *err)
{
    *ret_extra = NULL;
    if (parent->extra_count == 0)
        return true;
    ValuePair *pairs = arena_alloc_array(arena, parent->extra_count, sizeof *pairs, err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < parent->extra_count; i++) {
        Value value = value_at_path(record, parent->extra[i], parent->extra_sizes[i]);
        pairs[i].key = value_str(parent->extra_names[i]);
        pairs[i].value = value.kind == VALUE_UNDEFINED ? value_none() : value;
    }
    Value extra = {.kind = VALUE_DICT, .dict = {pairs, parent->extra_count}};
    return record_close(extra, arena, ret_extra, err);
}

bool parent_router_partition(const ParentRouter *parent, yyjson_val *parent_partition,
                             yyjson_val *record, Arena *arena, Partition *ret_partition,
                             bool *ret_ok, Error *err)
{
    Value whole = value_json(record);
    Value value = value_at_path(whole, parent->parent_key, parent->parent_key_count);
    *ret_ok = value.kind != VALUE_UNDEFINED && value.kind != VALUE_NONE;
    if (!*ret_ok)
        return true;
    ValuePair pairs[2] = {{value_str(parent->partition_field), value},
                          {value_str(STR("parent_slice")), value_json(parent_partition)}};
    if (parent_partition == NULL)
        pairs[1].value = (Value){.kind = VALUE_DICT};
    Value fields = {.kind = VALUE_DICT, .dict = {pairs, 2}};
    TRY(partition_from_value(fields, arena, ret_partition, err));
    return extra_of(parent, whole, arena, &ret_partition->extra, err);
}

static const ParentRouter *only_parent(const Stream *stream)
{
    if (stream->router_count != 1 || stream->routers[0].parent_count == 0)
        return NULL;
    return &stream->routers[0].parents[0];
}

const Stream *stream_parent(const Stream *stream)
{
    const ParentRouter *parent = only_parent(stream);
    if (parent == NULL)
        return NULL;
    // Its own copy of the parent is for reading in its wake; others know the one by that name.
    const Connector *connector = stream->connector;
    for (size_t i = 0; i < connector->stream_count; i++) {
        if (str_equal(connector->streams[i]->name, parent->stream->name))
            return connector->streams[i];
    }
    return parent->stream;
}

Str stream_partition_field(const Stream *stream)
{
    const ParentRouter *parent = only_parent(stream);
    return parent == NULL ? (Str){NULL, 0} : parent->partition_field;
}

bool stream_partition_from_record(const Stream *stream, const Partition *parent_partition,
                                  yyjson_val *record, Arena *arena, Partition *ret_partition,
                                  bool *ret_ok, Error *err)
{
    TRY(stream_check(stream, err));
    const ParentRouter *parent = only_parent(stream);
    if (parent == NULL)
        return error_set(err, ERROR_JOB, "stream '" STR_FMT "' has no parent stream",
                         STR_ARG(stream->name));
    yyjson_val *above = parent_partition == NULL ? NULL : parent_partition->fields;
    return parent_router_partition(parent, above, record, arena, ret_partition, ret_ok, err);
}

bool stream_partition_from_key(const Stream *stream, Str key, Arena *arena,
                               Partition *ret_partition, Error *err)
{
    (void)stream;
    yyjson_doc *doc = NULL;
    TRY(json_parse(key, "partition", arena, &doc, err));
    Partition partition = {.fields = yyjson_doc_get_root(doc)};
    if (!yyjson_is_obj(partition.fields))
        return error_set(err, ERROR_DATA, "partition '" STR_FMT "' is no object", STR_ARG(key));
    TRY(arena_copy_str(arena, key, &partition.key, err));
    *ret_partition = partition;
    return true;
}
