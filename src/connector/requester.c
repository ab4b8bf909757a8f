#include "connector/engine.h"

#include "net/url.h"

// ------------------------------------------------------------------------ binding

static bool bind_map(const Binder *binder, const Node *component, Str field, ExprMap *map,
                     Error *err)
{
    const Node *node = node_get(component, field);
    if (node_is_null(node))
        return true;
    if (node->kind == NODE_SCALAR)
        return expr_bind(component, node, binder->file, binder->arena, &map->text, err);
    if (node->kind == NODE_LIST)
        return error_set(err, ERROR_JOB, STR_FMT ":%u: '" STR_FMT "' is a map or a text",
                         STR_ARG(binder->file), node->line, STR_ARG(field));
    map->pairs = arena_alloc_array(binder->arena, node->count + 1, sizeof *map->pairs, err);
    TRY(map->pairs != NULL);
    for (size_t i = 0; i < node->count; i++) {
        const NodeMember *member = &node->members[i];
        if (bind_is(member->node, "QueryProperties"))
            return bind_unsupported(binder, member->node, err);
        if (str_equal(member->key, STR("$parameters")))
            continue;
        Node key = {
            .kind = NODE_SCALAR, .line = member->node->line, .scalar = value_str(member->key)};
        ExprPair *pair = &map->pairs[map->count++];
        TRY(expr_bind(component, &key, binder->file, binder->arena, &pair->key, err));
        TRY(expr_bind(component, member->node, binder->file, binder->arena, &pair->value, err));
        if (!pair->value.exists)
            pair->value = expr_constant(value_none());
    }
    return true;
}

static bool bind_json(const Binder *binder, const Node *component, const Node *node,
                      Requester *requester, Error *err)
{
    if (node_is_null(node))
        return true;
    requester->has_json = true;
    return expr_tree_bind(component, node, binder->file, binder->arena, &requester->json, err);
}

static bool bind_body(const Binder *binder, const Node *node, Requester *requester, Error *err)
{
    const Node *body = node_get(node, STR("request_body"));
    if (!node_is_null(body)) {
        if (bind_is(body, "RequestBodyUrlEncodedForm") || bind_is(body, "RequestBodyPlainText"))
            return bind_map(binder, body, STR("value"), &requester->form, err);
        if (bind_is(body, "RequestBodyJsonObject") || bind_is(body, "RequestBodyGraphQL"))
            return bind_json(binder, node, node_get(body, STR("value")), requester, err);
        return bind_unsupported(binder, body, err);
    }
    TRY(bind_map(binder, node, STR("request_body_data"), &requester->form, err));
    return bind_json(binder, node, node_get(node, STR("request_body_json")), requester, err);
}

bool requester_bind(const Binder *binder, const Node *node, const Requester **ret_requester,
                    Error *err)
{
    if (node_is_null(node))
        return error_set(err, ERROR_JOB, STR_FMT ": a retriever lacks its requester",
                         STR_ARG(binder->file));
    if (!bind_is(node, "HttpRequester"))
        return bind_unsupported(binder, node, err);
    if (!node_is_null(node_get(node, STR("fetch_properties_from_endpoint"))) ||
        !node_is_null(node_get(node, STR("query_properties"))))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: QueryProperties",
                         STR_ARG(binder->file), node->line);
    Requester *requester = arena_alloc(binder->arena, sizeof *requester, err);
    TRY(requester != NULL);
    TRY(expr_bind_field(node, STR("url"), binder->file, binder->arena, &requester->url, err));
    TRY(expr_bind_field(node, STR("url_base"), binder->file, binder->arena, &requester->url_base,
                        err));
    TRY(expr_bind_field(node, STR("path"), binder->file, binder->arena, &requester->path, err));
    if (!requester->url.exists && !requester->url_base.exists)
        return bind_missing(binder, node, "url_base", err);
    Str method = node_text(node_get(node, STR("http_method")));
    requester->method = method.size > 0 ? method : STR("GET");
    TRY(bind_map(binder, node, STR("request_parameters"), &requester->query, err));
    TRY(bind_map(binder, node, STR("request_headers"), &requester->headers, err));
    TRY(bind_body(binder, node, requester, err));
    requester->use_cache = node_is_true(node_get(node, STR("use_cache")));
    TRY(auth_spec_bind(binder, node_get(node, STR("authenticator")), &requester->auth, err));
    TRY(error_rules_bind(binder, node_get(node, STR("error_handler")), &requester->errors, err));
    *ret_requester = requester;
    return true;
}

// ------------------------------------------------------------------------ address

static bool text_or_empty(const Expr *expr, Frame *frame, Arena *arena, Str *ret_text, Error *err)
{
    *ret_text = STR("");
    return expr->exists ? expr_text(expr, frame, arena, ret_text, err) : true;
}

bool requester_url(const Requester *requester, Str path, Frame *frame, Arena *arena, Str *ret_url,
                   Error *err)
{
    Str base = {0}, url = {0};
    TRY(text_or_empty(&requester->url_base, frame, arena, &base, err));
    TRY(text_or_empty(&requester->url, frame, arena, &url, err));
    if (base.size == 0)
        base = url;
    if (path.size == 0) {
        TRY(text_or_empty(&requester->path, frame, arena, &path, err));
        while (path.size > 0 && path.data[0] == '/')
            path = str_slice(path, 1, path.size);
    }
    if (path.size == 0) {
        *ret_url = base;
        return true;
    }
    if (!str_ends_with(base, STR("/")))
        TRY(arena_printf(arena, &base, err, STR_FMT "/", STR_ARG(base)));
    return url_join(base, path, arena, ret_url, err);
}

// ------------------------------------------------------------------------ options

static bool add_map(const ExprMap *map, OptionPlace place, Frame *frame, Arena *arena,
                    Options *options, Error *err)
{
    ExprKinds kinds = place == OPTION_HEADER ? EXPR_ANY : EXPR_TEXT_OR_LIST;
    for (size_t i = 0; i < map->count; i++) {
        Value key = value_none(), value = value_none();
        TRY(expr_member(&map->pairs[i].key, frame, EXPR_TEXT, arena, &key, err));
        TRY(expr_member(&map->pairs[i].value, frame, kinds, arena, &value, err));
        if (value.kind == VALUE_NONE)
            continue;
        Str name = {0};
        TRY(value_text(key, arena, &name, err));
        TRY(options_add(options, place, name, value, CLASH_IS_ERROR, err));
    }
    return true;
}

// A text may hold a mapping (Python's literal), else it is a body as it is.
static bool add_text(const Expr *expr, OptionPlace place, Frame *frame, Arena *arena,
                     Options *options, Error *err)
{
    Value value = value_none();
    TRY(expr_value(expr, frame, arena, &value, err));
    if (value.kind == VALUE_DICT || (value.kind == VALUE_JSON && yyjson_is_obj(value.json))) {
        for (size_t i = 0; i < value_count(value); i++) {
            ValuePair pair = value_pair(value, i);
            Str name = {0};
            TRY(value_text(pair.key, arena, &name, err));
            if (pair.value.kind != VALUE_NONE)
                TRY(options_add(options, place, name, pair.value, CLASH_IS_ERROR, err));
        }
        return true;
    }
    if (place == OPTION_FORM)
        return value_text(value, arena, &options->text, err);
    return true;
}

static bool add_part(const ExprMap *map, OptionPlace place, Frame *frame, Arena *arena,
                     Options *options, Error *err)
{
    if (map->text.exists)
        return add_text(&map->text, place, frame, arena, options, err);
    return add_map(map, place, frame, arena, options, err);
}

bool requester_options(const Requester *requester, Frame *frame, Arena *arena, Options *options,
                       Error *err)
{
    TRY(add_part(&requester->query, OPTION_QUERY, frame, arena, options, err));
    TRY(add_part(&requester->headers, OPTION_HEADER, frame, arena, options, err));
    TRY(add_part(&requester->form, OPTION_FORM, frame, arena, options, err));
    if (!requester->has_json)
        return true;
    Value json = value_none();
    TRY(expr_tree_value(&requester->json, frame, arena, &json, err));
    return options_merge_json(options, json, arena, err);
}

// ------------------------------------------------------------------------ putting together

// Blanks and the like may stand in a path or query that a template wrote; they go out encoded. What
// is encoded already stays as it is.
static bool write_clean(Str text, Buf *out, Error *err)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = c > ' ' && c < 127 && strchr("\"<>\\^`{|}", c) == NULL;
        if (plain)
            TRY(buf_append_char(out, (char)c, err));
        else
            TRY(buf_printf(out, err, "%%%02X", c));
    }
    return true;
}

bool requester_finish(const Requester *requester, Str url, const Options *options, Arena *arena,
                      HttpRequest *ret_request, Error *err)
{
    size_t hash = str_find_char(url, '#');
    url = str_slice(url, 0, hash);
    size_t mark = str_find_char(url, '?');
    Str old_query = str_slice(url, mark + 1, url.size);
    CLEANUP(buf_done) Buf query = {0};
    TRY(options_write_query(&options->query, old_query, &query, err));

    CLEANUP(buf_done) Buf whole = {0};
    TRY(write_clean(str_slice(url, 0, mark), &whole, err));
    if (old_query.size > 0 || query.size > 0)
        TRY(buf_append_char(&whole, '?', err));
    TRY(write_clean(old_query, &whole, err));
    if (old_query.size > 0 && query.size > 0)
        TRY(buf_append_char(&whole, '&', err));
    TRY(buf_append(&whole, buf_str(&query), err));

    Url parts = {0};
    if (!url_split(buf_str(&whole), &parts))
        return error_set(err, ERROR_JOB, "request: '" STR_FMT "' is not an http address",
                         STR_ARG(str_slice(url, 0, mark)));
    if (parts.user.size > 0)
        return error_set(err, ERROR_JOB, "request: the address of host '" STR_FMT "' holds a user",
                         STR_ARG(parts.host));
    HttpRequest request = {.method = requester->method};
    TRY(arena_copy_str(arena, buf_str(&whole), &request.url, err));
    TRY(options_fill_request(options, arena, &request, err));
    *ret_request = request;
    return true;
}
