// What a manifest says of its authenticators.
#include "connector/auth_parts.h"

static const struct {
    const char *field;
    const char *fallback;
} oauth_names[NAME_COUNT] = {
    {"client_id_name", "client_id"},         {"client_secret_name", "client_secret"},
    {"refresh_token_name", "refresh_token"}, {"grant_type_name", "grant_type"},
    {"access_token_name", "access_token"},   {"expires_in_name", "expires_in"},
};

typedef struct AuthBinder {
    const Binder *binder;
    const Node *node;
    Buf print;
} AuthBinder;

static bool note(AuthBinder *auth, const Expr *expr, Error *err)
{
    if (!expr->exists)
        return buf_append_char(&auth->print, '-', err);
    // What looks at parameters differs between streams.
    if (str_find(expr->source, STR("parameters")) < expr->source.size)
        TRY(buf_printf(&auth->print, err, "%p", (const void *)auth->node));
    TRY(buf_append(&auth->print, expr->source, err));
    if (expr->template == NULL)
        TRY(value_write_repr(expr->constant, &auth->print, err));
    return buf_append_char(&auth->print, '\n', err);
}

static bool field(AuthBinder *auth, const Node *node, const char *name, Expr *expr, Error *err)
{
    TRY(expr_bind_field(node, str_from(name), auth->binder->file, auth->binder->arena, expr, err));
    return note(auth, expr, err);
}

static bool required(AuthBinder *auth, const char *name, Expr *expr, Error *err)
{
    TRY(field(auth, auth->node, name, expr, err));
    return expr->exists || bind_missing(auth->binder, auth->node, name, err);
}

static bool option(AuthBinder *auth, const Node *node, RequestOption *option, Error *err)
{
    const Binder *binder = auth->binder;
    TRY(request_option_bind(node, STR("inject_into"), binder->file, binder->arena, option, err));
    if (!option->exists)
        return true;
    TRY(buf_printf(&auth->print, err, "%d", (int)option->place));
    if (option->path == NULL)
        return note(auth, &option->name, err);
    for (size_t i = 0; i < option->path_count; i++)
        TRY(note(auth, &option->path[i], err));
    return true;
}

static bool mapping(AuthBinder *auth, const char *name, ExprMap *map, Error *err)
{
    const Binder *binder = auth->binder;
    const Node *node = node_get(auth->node, str_from(name));
    if (node_is_null(node) || node->kind != NODE_MAP)
        return true;
    map->pairs = arena_alloc_array(binder->arena, node->count + 1, sizeof *map->pairs, err);
    TRY(map->pairs != NULL);
    for (size_t i = 0; i < node->count; i++) {
        const NodeMember *member = &node->members[i];
        if (str_equal(member->key, STR("$parameters")))
            continue;
        Node key = {.kind = NODE_SCALAR, .line = node->line, .scalar = value_str(member->key)};
        ExprPair *pair = &map->pairs[map->count];
        TRY(expr_bind(auth->node, &key, binder->file, binder->arena, &pair->key, err));
        TRY(expr_bind(auth->node, member->node, binder->file, binder->arena, &pair->value, err));
        TRY(note(auth, &pair->key, err));
        TRY(note(auth, &pair->value, err));
        map->count += pair->value.exists;
    }
    return true;
}

static bool config_path(const AuthBinder *auth, const Node *updater, const char *name,
                        const char *last, Str path[PATH_PARTS_MAX], size_t *ret_count, Error *err)
{
    const Node *list = node_get(updater, str_from(name));
    path[0] = STR("credentials");
    path[1] = str_from(last);
    *ret_count = 2;
    if (list == NULL || list->kind != NODE_LIST)
        return true;
    if (list->count > PATH_PARTS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: a path longer than %d",
                         STR_ARG(auth->binder->file), list->line, PATH_PARTS_MAX);
    for (size_t i = 0; i < list->count; i++)
        path[i] = node_text(list->items[i]);
    *ret_count = list->count;
    return true;
}

static bool bind_updater(AuthBinder *auth, OAuthSpec *oauth, Error *err)
{
    const Node *updater = node_get(auth->node, STR("refresh_token_updater"));
    if (node_is_null(updater))
        return true;
    oauth->is_single_use = true;
    TRY(config_path(auth, updater, "access_token_config_path", "access_token", oauth->token_path,
                    &oauth->token_path_count, err));
    TRY(config_path(auth, updater, "refresh_token_config_path", "refresh_token",
                    oauth->refresh_path, &oauth->refresh_path_count, err));
    return config_path(auth, updater, "token_expiry_date_config_path", "token_expiry_date",
                       oauth->expires_path, &oauth->expires_path_count, err);
}

static bool bind_oauth(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    OAuthSpec *oauth = &spec->oauth;
    const Node *node = auth->node;
    spec->kind = AUTH_OAUTH;
    if (node_is_true(node_get(node, STR("use_profile_assertion"))))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: not supported yet: profile_assertion",
                         STR_ARG(auth->binder->file), node->line);
    TRY(field(auth, node, "token_refresh_endpoint", &oauth->endpoint, err));
    for (size_t i = 0; i < NAME_COUNT; i++) {
        TRY(field(auth, node, oauth_names[i].field, &oauth->names[i], err));
        if (!oauth->names[i].exists)
            oauth->names[i] = expr_constant(value_str(str_from(oauth_names[i].fallback)));
    }
    TRY(field(auth, node, "client_id", &oauth->client_id, err));
    TRY(field(auth, node, "client_secret", &oauth->client_secret, err));
    TRY(field(auth, node, "refresh_token", &oauth->refresh_token, err));
    TRY(field(auth, node, "grant_type", &oauth->grant_type, err));
    if (!oauth->grant_type.exists)
        oauth->grant_type = expr_constant(value_str(STR("refresh_token")));
    TRY(field(auth, node, "access_token_value", &oauth->access_token, err));
    TRY(field(auth, node, "token_expiry_date", &oauth->expires_at, err));
    TRY(bind_updater(auth, oauth, err));
    TRY(mapping(auth, "refresh_request_body", &oauth->body, err));
    TRY(mapping(auth, "refresh_request_headers", &oauth->headers, err));
    TRY(node_value(node_get(node, STR("scopes")), auth->binder->arena, &oauth->scopes, err));
    oauth->in_query = node_is_true(node_get(node, STR("send_refresh_request_as_query_params")));
    oauth->expiry_is_time = node_is_true(node_get(node, STR("token_expiry_date_format")));
    return true;
}

static bool bind_session_path(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    const Node *path = node_get(auth->node, STR("session_token_path"));
    if (path == NULL || path->kind != NODE_LIST || path->count > PATH_PARTS_MAX)
        return bind_missing(auth->binder, auth->node, "session_token_path", err);
    for (size_t i = 0; i < path->count; i++)
        spec->session_path[spec->session_path_count++] = node_text(path->items[i]);
    return true;
}

static bool bind_session(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    const Binder *binder = auth->binder;
    const Node *node = auth->node, *use = node_get(node, STR("request_authentication"));
    spec->kind = AUTH_SESSION;
    TRY(requester_bind(binder, node_get(node, STR("login_requester")), &spec->login, err));
    TRY(bind_session_path(auth, spec, err));
    Str life = {0};
    TRY(bind_text(binder, node, STR("expiration_duration"), STR(""), &life, err));
    spec->has_life = life.size > 0;
    if (spec->has_life && !duration_parse(life, &spec->life))
        return error_set(err, ERROR_JOB, STR_FMT ":%u: expiration_duration is no duration",
                         STR_ARG(binder->file), node->line);
    if (node_is_null(use))
        return bind_missing(binder, node, "request_authentication", err);
    spec->session_is_bearer = bind_is(use, "Bearer");
    TRY(buf_printf(&auth->print, err, "session %p", (const void *)node));
    if (spec->session_is_bearer)
        return true;
    TRY(option(auth, use, &spec->option, err));
    return field(auth, use, "api_token", &spec->secret, err);
}

static bool bind_jwt(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    static const char *const claims[JWT_CLAIM_COUNT] = {"kid", "typ", "cty", "iss", "sub", "aud"};
    const Node *node = auth->node;
    const Node *headers = node_get(node, STR("jwt_headers"));
    const Node *payload = node_get(node, STR("jwt_payload"));
    const Node *life = node_get(node, STR("token_duration"));
    JwtSpec *jwt = &spec->jwt;
    spec->kind = AUTH_JWT;
    jwt->algorithm = node_text(node_get(node, STR("algorithm")));
    TRY(auth_jwt_check(jwt->algorithm, err) ||
        error_context(err, STR_FMT ":%u", STR_ARG(auth->binder->file), node->line));
    TRY(required(auth, "secret_key", &spec->secret, err) &&
        field(auth, node, "base64_encode_secret_key", &jwt->is_base64, err) &&
        field(auth, node, "passphrase", &jwt->passphrase, err) &&
        field(auth, node, "header_prefix", &jwt->prefix, err) &&
        mapping(auth, "additional_jwt_headers", &jwt->headers, err) &&
        mapping(auth, "additional_jwt_payload", &jwt->payload, err));
    for (int i = 0; i < JWT_CLAIM_COUNT; i++)
        TRY(field(auth, i < JWT_ISS ? headers : payload, claims[i], &jwt->claims[i], err));
    if (node_is_null(headers) || !jwt->claims[JWT_TYP].exists)
        jwt->claims[JWT_TYP] = expr_constant(value_str(STR("JWT")));
    jwt->life_seconds = 1200; // the specification's own
    if (life != NULL && life->kind == NODE_SCALAR && life->scalar.kind == VALUE_INT)
        jwt->life_seconds = life->scalar.integer;
    TRY(buf_printf(&auth->print, err, "%lld " STR_FMT, (long long)jwt->life_seconds,
                   STR_ARG(jwt->algorithm)));
    const Node *where = node_get(node, STR("request_option"));
    if (node_is_null(where))
        return true;
    const Binder *binder = auth->binder;
    TRY(request_option_bind(node, STR("request_option"), binder->file, binder->arena, &spec->option,
                            err));
    return buf_printf(&auth->print, err, "%p", (const void *)where);
}

static bool bind_api_key(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    spec->kind = AUTH_API_KEY;
    TRY(field(auth, auth->node, "api_token", &spec->secret, err));
    TRY(option(auth, auth->node, &spec->option, err));
    TRY(field(auth, auth->node, "header", &spec->header, err));
    return spec->option.exists || spec->header.exists ||
           bind_missing(auth->binder, auth->node, "inject_into", err);
}

static bool bind_kind(AuthBinder *auth, AuthSpec *spec, Error *err)
{
    const Node *node = auth->node;
    if (bind_is(node, "NoAuth"))
        return true;
    if (bind_is(node, "BasicHttpAuthenticator")) {
        spec->kind = AUTH_BASIC;
        TRY(required(auth, "username", &spec->user, err));
        return field(auth, node, "password", &spec->secret, err);
    }
    if (bind_is(node, "BearerAuthenticator")) {
        spec->kind = AUTH_BEARER;
        return required(auth, "api_token", &spec->secret, err);
    }
    if (bind_is(node, "ApiKeyAuthenticator"))
        return bind_api_key(auth, spec, err);
    if (bind_is(node, "OAuthAuthenticator"))
        return bind_oauth(auth, spec, err);
    if (bind_is(node, "JwtAuthenticator"))
        return bind_jwt(auth, spec, err);
    if (bind_is(node, "SessionTokenAuthenticator"))
        return bind_session(auth, spec, err);
    return bind_unsupported(auth->binder, node, err);
}

// The authenticator that the config chooses.
static bool choose(const Binder *binder, const Node *node, const Node **ret_node, Error *err)
{
    const Node *path = node_get(node, STR("authenticator_selection_path"));
    const Node *all = node_get(node, STR("authenticators"));
    if (path == NULL || path->kind != NODE_LIST || all == NULL || all->kind != NODE_MAP)
        return bind_missing(binder, node, "authenticator_selection_path", err);
    Str parts[PATH_PARTS_MAX];
    size_t count = 0;
    for (; count < path->count && count < PATH_PARTS_MAX; count++)
        parts[count] = node_text(path->items[count]);
    Value value = value_at_path(binder->config, parts, count);
    Str key = {0};
    CLEANUP(buf_done) Buf known = {0};
    for (size_t i = 0; i < all->count; i++)
        TRY(buf_printf(&known, err, "%s" STR_FMT, i > 0 ? ", " : "", STR_ARG(all->members[i].key)));
    if (value.kind == VALUE_UNDEFINED)
        return error_set(err, ERROR_JOB,
                         STR_FMT ":%u: the config lacks '" STR_FMT "': one of " STR_FMT,
                         STR_ARG(binder->file), node->line,
                         STR_ARG(count > 0 ? parts[count - 1] : STR("")), STR_ARG(buf_str(&known)));
    TRY(value_text(value, binder->arena, &key, err));
    const Node *chosen = node_get(all, key);
    if (chosen == NULL)
        return error_set(err, ERROR_JOB,
                         STR_FMT ":%u: no authenticator '" STR_FMT "': one of " STR_FMT,
                         STR_ARG(binder->file), node->line, STR_ARG(key), STR_ARG(buf_str(&known)));
    *ret_node = chosen;
    return true;
}

bool auth_spec_bind(const Binder *binder, const Node *node, const AuthSpec **ret_spec, Error *err)
{
    AuthSpec *spec = arena_alloc(binder->arena, sizeof *spec, err);
    TRY(spec != NULL);
    *ret_spec = spec;
    if (node_is_null(node))
        return true;
    for (int hops = 0; bind_is(node, "SelectiveAuthenticator") && hops < 4; hops++)
        TRY(choose(binder, node, &node, err));
    AuthBinder auth = {.binder = binder, .node = node};
    bool ok = buf_printf(&auth.print, err, STR_FMT "\n", STR_ARG(node_type(node))) &&
              bind_kind(&auth, spec, err) &&
              arena_copy_str(binder->arena, buf_str(&auth.print), &spec->fingerprint, err);
    buf_done(&auth.print);
    return ok;
}
