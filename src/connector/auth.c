#include "connector/engine.h"

#include "net/url.h"

#include <assert.h>
#include <openssl/evp.h>

enum {
    AUTH_BYTES_MAX = 4 * 1024 * 1024, // of one Auth: tokens and what is made from them
    TOKEN_DEPTH_MAX = 5,              // how deep a token may lie in its answer
    TOKEN_LIFE_SECONDS = 3600,        // where the answer does not say
};

typedef enum AuthKind {
    AUTH_NONE,
    AUTH_BASIC,
    AUTH_BEARER,
    AUTH_API_KEY,
    AUTH_OAUTH,
    AUTH_SESSION,
} AuthKind;

typedef struct OAuthSpec {
    Expr endpoint;
    Expr names[7]; // see oauth_names
    Expr client_id;
    Expr client_secret;
    Expr refresh_token;
    Expr grant_type;
    Expr access_token;
    ExprMap body;
    ExprMap headers;
    Expr expires_at; // of the access token that the config brings along
    Value scopes;
    bool in_query;
    bool expiry_is_time;
    // Refresh tokens that are used once live in the config, which streams share.
    bool is_single_use;
    Str token_path[PATH_PARTS_MAX];
    size_t token_path_count;
    Str expires_path[PATH_PARTS_MAX];
    size_t expires_path_count;
    Str refresh_path[PATH_PARTS_MAX];
    size_t refresh_path_count;
} OAuthSpec;

enum {
    NAME_CLIENT_ID,
    NAME_CLIENT_SECRET,
    NAME_REFRESH_TOKEN,
    NAME_GRANT_TYPE,
    NAME_ACCESS_TOKEN,
    NAME_EXPIRES_IN,
    NAME_COUNT
};

static const struct {
    const char *field;
    const char *fallback;
} oauth_names[NAME_COUNT] = {
    {"client_id_name", "client_id"},         {"client_secret_name", "client_secret"},
    {"refresh_token_name", "refresh_token"}, {"grant_type_name", "grant_type"},
    {"access_token_name", "access_token"},   {"expires_in_name", "expires_in"},
};

struct AuthSpec {
    AuthKind kind;
    Expr user;
    Expr secret; // password, token, or the session's template
    RequestOption option;
    Expr header; // the old way to say where an API key goes
    OAuthSpec oauth;
    const Requester *login;
    Str session_path[PATH_PARTS_MAX];
    size_t session_path_count;
    bool has_life;
    Duration life;
    bool session_is_bearer;
    Str fingerprint; // equal for authenticators that give the same credential
};

struct Auth {
    const Connector *connector;
    const AuthSpec *spec;
    Str origin; // an address of the only origin that gets the credential; empty = not known
                // beforehand
    Arena *secrets;
    Buf token;
    Buf refresh_token;
    bool has_token;
    bool looked_at_config;
    int64_t expires_us;
};

// ------------------------------------------------------------------------ binding

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

// ------------------------------------------------------------------------ opening

// The stream's address as far as the config alone says it; empty when a slice has a say in it.
static Str constant_origin(const Stream *stream, Arena *arena)
{
    Frame frame;
    Error ignored = {0};
    Str url = {0};
    Url parts = {0};
    const Requester *requester = stream->requester;
    const Expr *expr = requester->url_base.exists ? &requester->url_base : &requester->url;
    if (str_find(expr->source, STR("stream_")) < expr->source.size ||
        str_find(expr->source, STR("next_page_token")) < expr->source.size)
        return (Str){NULL, 0};
    frame_init(&frame, stream->connector->env, stream->connector->config);
    if (!expr_text(expr, &frame, arena, &url, &ignored) || !url_split(url, &parts))
        return (Str){NULL, 0};
    return url;
}

bool auth_spec_equal(const Stream *a, const Stream *b, bool *ret_same, Error *err)
{
    *ret_same = false;
    if (!str_equal(a->requester->auth->fingerprint, b->requester->auth->fingerprint))
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(AUTH_BYTES_MAX, err);
    TRY(arena != NULL);
    Str first = constant_origin(a, arena), second = constant_origin(b, arena);
    *ret_same = first.size > 0 && second.size > 0 && url_same_origin(first, second);
    return true;
}

bool connector_auth(const Connector *connector, const Stream *stream, Arena *arena, Auth **ret_auth,
                    Error *err)
{
    TRY(stream_check(stream, err));
    Auth *auth = arena_alloc(arena, sizeof *auth, err);
    TRY(auth != NULL);
    auth->connector = connector;
    auth->spec = stream->requester->auth;
    auth->origin = constant_origin(stream, arena);
    auth->secrets = arena_new(AUTH_BYTES_MAX, err);
    TRY(auth->secrets != NULL);
    *ret_auth = auth;
    return true;
}

bool auth_is_shared(const Stream *a, const Stream *b)
{
    const AuthSpec *first = a->requester->auth, *second = b->requester->auth;
    return first->kind == AUTH_OAUTH && first->oauth.is_single_use &&
           str_equal(first->fingerprint, second->fingerprint);
}

static void wipe(Buf *buf)
{
    if (buf->data != NULL)
        OPENSSL_cleanse(buf->data, buf->capacity);
    buf_done(buf);
}

void auth_free(Auth *auth)
{
    if (auth == NULL)
        return;
    wipe(&auth->token);
    wipe(&auth->refresh_token);
    arena_wipe(auth->secrets);
    auth->secrets = NULL;
}

void auth_expire(Auth *auth)
{
    auth->has_token = false;
}

// ------------------------------------------------------------------------ putting credentials in

static void config_frame(const Auth *auth, Frame *frame)
{
    frame_init(frame, auth->connector->env, auth->connector->config);
}

static bool set_header(HttpRequest *request, Str name, Str value, Error *err)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_ignoring_case(request->headers[i].name, name)) {
            request->headers[i].value = value;
            return true;
        }
    }
    return http_request_add_header(request, name, value, err);
}

static bool set_bearer(HttpRequest *request, Str token, Arena *arena, Error *err)
{
    Str value = {0};
    TRY(arena_printf(arena, &value, err, "Bearer " STR_FMT, STR_ARG(token)));
    return set_header(request, STR("Authorization"), value, err);
}

static bool set_basic(const Auth *auth, HttpRequest *request, Arena *arena, Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    Str user = {0}, password = STR(""), pair = {0}, value = {0};
    TRY(expr_text(&auth->spec->user, &frame, arena, &user, err));
    if (auth->spec->secret.exists)
        TRY(expr_text(&auth->spec->secret, &frame, arena, &password, err));
    TRY(arena_printf(arena, &pair, err, STR_FMT ":" STR_FMT, STR_ARG(user), STR_ARG(password)));
    if (pair.size > HTTP_HEADER_BYTES_MAX / 2)
        return error_set(err, ERROR_LIMIT, "user and password are too long for a header");
    size_t room = (pair.size + 2) / 3 * 4 + 1;
    unsigned char *text = arena_alloc(arena, room, err);
    TRY(text != NULL);
    int size = EVP_EncodeBlock(text, (const unsigned char *)pair.data, (int)pair.size);
    TRY(arena_printf(arena, &value, err, "Basic %.*s", size, (const char *)text));
    return set_header(request, STR("Authorization"), value, err);
}

static bool add_query(HttpRequest *request, Str key, Str value, Arena *arena, Error *err)
{
    size_t mark = str_find_char(request->url, '?');
    Str query = str_slice(request->url, mark + 1, request->url.size);
    Error ignored = {0};
    if (query_has(query, key, value, &ignored))
        return true; // a next-page address that carries it already
    CLEANUP(buf_done) Buf url = {0};
    TRY(buf_append(&url, request->url, err));
    TRY(buf_append_char(&url, mark == request->url.size ? '?' : '&', err));
    TRY(url_quote_plus(key, &url, err));
    TRY(buf_append_char(&url, '=', err));
    TRY(url_quote_plus(value, &url, err));
    return arena_copy_str(arena, buf_str(&url), &request->url, err);
}

static bool add_to_body(const Options *own, OptionPlace place, HttpRequest *request, Arena *arena,
                        Error *err)
{
    Options *options = arena_alloc(arena, sizeof *options, err);
    TRY(options != NULL);
    if (place == OPTION_JSON && request->body.size > 0) {
        yyjson_doc *doc = NULL;
        TRY(json_parse(request->body, "request body", arena, &doc, err));
        TRY(options_merge_json(options, value_json(yyjson_doc_get_root(doc)), arena, err));
    }
    TRY(options_merge_json(options, own->json, arena, err));
    if (place == OPTION_FORM) {
        CLEANUP(buf_done) Buf body = {0};
        TRY(buf_append(&body, request->body, err));
        TRY(options_write_query(&own->form, (Str){NULL, 0}, &body, err));
        TRY(arena_copy_str(arena, buf_str(&body), &request->body, err));
        return set_header(request, STR("Content-Type"), STR("application/x-www-form-urlencoded"),
                          err);
    }
    CLEANUP(buf_done) Buf body = {0};
    TRY(value_write_json(options->json, &body, err));
    TRY(arena_copy_str(arena, buf_str(&body), &request->body, err));
    return set_header(request, STR("Content-Type"), STR("application/json"), err);
}

// Puts a token where the manifest's RequestOption wants it.
static bool inject(const Auth *auth, Str token, HttpRequest *request, Arena *arena, Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    const RequestOption *where = &auth->spec->option;
    Str name = {0};
    if (!where->exists) {
        TRY(expr_text(&auth->spec->header, &frame, arena, &name, err));
        return set_header(request, name, token, err);
    }
    if (where->place == OPTION_QUERY || where->place == OPTION_HEADER) {
        TRY(expr_text(&where->name, &frame, arena, &name, err));
        return where->place == OPTION_QUERY ? add_query(request, name, token, arena, err)
                                            : set_header(request, name, token, err);
    }
    if (!method_has_body(request->method))
        return true;
    Options *own = arena_alloc(arena, sizeof *own, err);
    TRY(own != NULL);
    TRY(options_inject(own, where, value_str(token), CLASH_IS_ERROR, &frame, arena, err));
    return add_to_body(own, where->place, request, arena, err);
}

// ------------------------------------------------------------------------ tokens

static bool oauth_name(const Auth *auth, size_t index, Arena *arena, Str *ret_name, Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    return expr_text(&auth->spec->oauth.names[index], &frame, arena, ret_name, err);
}

static bool add_arg(const Auth *auth, OptionList *list, size_t name, const Expr *expr, Arena *arena,
                    Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    Value value = value_none();
    if (expr->exists)
        TRY(expr_value(expr, &frame, arena, &value, err));
    const OAuthSpec *oauth = &auth->spec->oauth;
    if (name == NAME_REFRESH_TOKEN && oauth->is_single_use) {
        value =
            value_at_path(auth->connector->config, oauth->refresh_path, oauth->refresh_path_count);
        if (value.kind == VALUE_UNDEFINED)
            value = value_str(STR(""));
    }
    if (name == NAME_REFRESH_TOKEN && auth->refresh_token.size > 0)
        value = value_str(buf_str(&auth->refresh_token)); // the newest of a row of rotating ones
    Option *item = &list->items[list->count++];
    item->value = value;
    return oauth_name(auth, name, arena, &item->key, err);
}

static bool add_extra_args(const Auth *auth, OptionList *list, Arena *arena, Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    const ExprMap *map = &auth->spec->oauth.body;
    for (size_t i = 0; i < map->count && list->count < OPTIONS_MAX; i++) {
        Option item = {0};
        TRY(expr_text(&map->pairs[i].key, &frame, arena, &item.key, err));
        TRY(expr_member(&map->pairs[i].value, &frame, EXPR_ANY, arena, &item.value, err));
        bool there = false;
        for (size_t j = 0; j < list->count; j++)
            there = there || str_equal(list->items[j].key, item.key);
        if (!there)
            list->items[list->count++] = item;
    }
    return true;
}

static bool oauth_headers(const Auth *auth, Options *options, bool *ret_credentials, Arena *arena,
                          Error *err)
{
    Frame frame;
    config_frame(auth, &frame);
    const ExprMap *map = &auth->spec->oauth.headers;
    *ret_credentials = false;
    for (size_t i = 0; i < map->count; i++) {
        Value value = value_none();
        Str key = {0};
        TRY(expr_text(&map->pairs[i].key, &frame, arena, &key, err));
        TRY(expr_member(&map->pairs[i].value, &frame, EXPR_ANY, arena, &value, err));
        *ret_credentials = *ret_credentials || str_equal(key, STR("Authorization"));
        if (value.kind != VALUE_NONE)
            TRY(options_add(options, OPTION_HEADER, key, value, CLASH_REPLACES, err));
    }
    return true;
}

static bool oauth_request(const Auth *auth, Arena *arena, HttpRequest *ret_request, Error *err)
{
    const OAuthSpec *oauth = &auth->spec->oauth;
    Frame frame;
    config_frame(auth, &frame);
    Str url = {0};
    TRY(expr_text(&oauth->endpoint, &frame, arena, &url, err));
    Options *options = arena_alloc(arena, sizeof *options, err);
    TRY(options != NULL);
    bool in_header = false;
    TRY(oauth_headers(auth, options, &in_header, arena, err));
    OptionList *list = oauth->in_query ? &options->query : &options->form;
    TRY(add_arg(auth, list, NAME_GRANT_TYPE, &oauth->grant_type, arena, err));
    if (!in_header) {
        TRY(add_arg(auth, list, NAME_CLIENT_ID, &oauth->client_id, arena, err));
        TRY(add_arg(auth, list, NAME_CLIENT_SECRET, &oauth->client_secret, arena, err));
    }
    TRY(add_arg(auth, list, NAME_REFRESH_TOKEN, &oauth->refresh_token, arena, err));
    if (value_is_true(oauth->scopes))
        list->items[list->count++] = (Option){STR("scopes"), oauth->scopes};
    TRY(add_extra_args(auth, list, arena, err));
    const Requester token = {.method = STR("POST")};
    return requester_finish(&token, url, options, arena, ret_request, err);
}

static bool login_request(const Auth *auth, Arena *arena, HttpRequest *ret_request, Error *err)
{
    const Requester *login = auth->spec->login;
    Frame frame;
    config_frame(auth, &frame);
    TRY(frame_set(&frame, STR("stream_slice"), value_none(), err));
    TRY(frame_set(&frame, STR("next_page_token"), value_none(), err));
    Str url = {0};
    TRY(requester_url(login, (Str){NULL, 0}, &frame, arena, &url, err));
    Options *options = arena_alloc(arena, sizeof *options, err);
    TRY(options != NULL);
    TRY(requester_options(login, &frame, arena, options, err));
    TRY(requester_finish(login, url, options, arena, ret_request, err));
    // The login's own credential: one that needs no login itself.
    const Auth own = {.connector = auth->connector, .spec = login->auth};
    if (own.spec->kind == AUTH_BASIC)
        return set_basic(&own, ret_request, arena, err);
    Str token = {0};
    if (own.spec->kind != AUTH_BEARER && own.spec->kind != AUTH_API_KEY)
        return true;
    if (own.spec->secret.exists)
        TRY(expr_text(&own.spec->secret, &frame, arena, &token, err));
    return own.spec->kind == AUTH_BEARER ? set_bearer(ret_request, token, arena, err)
                                         : inject(&own, token, ret_request, arena, err);
}

// The first member `name`, wherever it lies.
static yyjson_val *find_member(yyjson_val *value, Str name, size_t depth)
{
    if (depth > TOKEN_DEPTH_MAX)
        return NULL;
    yyjson_val *found = json_get(value, name);
    if (found != NULL)
        return found;
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, index, count, key, item)
        {
            if (found == NULL)
                found = find_member(item, name, depth + 1);
        }
    } else if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, count, item)
        {
            if (found == NULL)
                found = find_member(item, name, depth + 1);
        }
    }
    return found;
}

static int64_t now_us(const Auth *auth)
{
    Env *env = auth->connector->env;
    return env->now_us(env->state);
}

static void keep_life(Auth *auth, yyjson_val *life)
{
    const int64_t second = 1000000;
    int64_t now = now_us(auth);
    auth->expires_us = now + TOKEN_LIFE_SECONDS * second;
    double seconds = 0;
    if (yyjson_is_num(life))
        seconds = yyjson_get_num(life);
    else if (!yyjson_is_str(life) || !str_to_double(json_str(life), &seconds))
        seconds = -1;
    if (auth->spec->oauth.expiry_is_time) {
        int64_t at = 0;
        if (yyjson_is_str(life) && time_parse_iso(json_str(life), &at))
            auth->expires_us = at;
        return;
    }
    if (seconds >= 0 && seconds < 1e9)
        auth->expires_us = now + (int64_t)(seconds * 1e6);
}

static bool keep_text(Buf *buf, yyjson_val *value, Error *err)
{
    wipe(buf);
    *buf = (Buf){0};
    if (yyjson_is_str(value))
        return buf_append(buf, json_str(value), err);
    return value_write_str(value_json(value), buf, err);
}

static bool oauth_answer(Auth *auth, yyjson_val *root, Arena *arena, Error *err)
{
    Str name = {0};
    TRY(oauth_name(auth, NAME_ACCESS_TOKEN, arena, &name, err));
    yyjson_val *token = find_member(root, name, 0);
    if (token == NULL || yyjson_is_null(token))
        return error_set(err, ERROR_ACCESS, "token: the answer lacks '" STR_FMT "'", STR_ARG(name));
    TRY(keep_text(&auth->token, token, err));
    TRY(oauth_name(auth, NAME_EXPIRES_IN, arena, &name, err));
    keep_life(auth, find_member(root, name, 0));
    TRY(oauth_name(auth, NAME_REFRESH_TOKEN, arena, &name, err));
    yyjson_val *next = find_member(root, name, 0);
    const OAuthSpec *oauth = &auth->spec->oauth;
    bool refreshes = oauth->refresh_token.exists || oauth->is_single_use;
    if (refreshes && yyjson_is_str(next) && yyjson_get_len(next) > 0)
        TRY(keep_text(&auth->refresh_token, next, err));
    auth->has_token = true;
    return true;
}

static bool session_answer(Auth *auth, yyjson_val *root, Error *err)
{
    const AuthSpec *spec = auth->spec;
    yyjson_val *token = root;
    for (size_t i = 0; i < spec->session_path_count && token != NULL; i++)
        token = json_get(token, spec->session_path[i]);
    if (token == NULL || yyjson_is_null(token))
        return error_set(err, ERROR_ACCESS, "login: the answer lacks its session token");
    TRY(keep_text(&auth->token, token, err));
    Instant now = {.us = now_us(auth)};
    auth->expires_us = spec->has_life ? instant_add(now, spec->life, 1).us : INT64_MAX;
    auth->has_token = true;
    return true;
}

bool auth_answer(Auth *auth, const HttpResponse *response, Error *err)
{
    if (response->status == 429 || response->status >= 500)
        return error_set(err, ERROR_BUSY, "token: HTTP %d", response->status);
    if (response->status >= 300)
        return error_set(err, ERROR_ACCESS, "token: HTTP %d: the credential was refused",
                         response->status);
    CLEANUP(arena_freep) Arena *arena = arena_new(AUTH_BYTES_MAX, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    Error why = {0};
    if (!json_parse(response->body, "token", arena, &doc, &why))
        return error_set(err, ERROR_ACCESS, "token: the answer is no JSON");
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (auth->spec->kind == AUTH_OAUTH)
        return oauth_answer(auth, root, arena, err);
    return session_answer(auth, root, err);
}

// ------------------------------------------------------------------------ applying

static bool is_allowed(const Auth *auth, const HttpRequest *request)
{
    return auth->origin.size == 0 || url_same_origin(auth->origin, request->url);
}

// An access token that the config holds is good until the time that it holds, too.
static bool take_given_token(Auth *auth, Arena *arena, Error *err)
{
    const OAuthSpec *oauth = &auth->spec->oauth;
    Frame frame;
    config_frame(auth, &frame);
    Value token = value_none(), expires = value_none();
    if (oauth->is_single_use) {
        Value config = auth->connector->config;
        token = value_at_path(config, oauth->token_path, oauth->token_path_count);
        expires = value_at_path(config, oauth->expires_path, oauth->expires_path_count);
    } else if (oauth->access_token.exists && oauth->expires_at.exists) {
        TRY(expr_value(&oauth->access_token, &frame, arena, &token, err));
        TRY(expr_value(&oauth->expires_at, &frame, arena, &expires, err));
    }
    Str text = {0};
    int64_t at = 0;
    if (!value_is_true(token) || expires.kind != VALUE_STR || !time_parse_iso(expires.text, &at) ||
        at < now_us(auth))
        return true;
    TRY(value_text(token, arena, &text, err));
    TRY(buf_append(&auth->token, text, err));
    auth->expires_us = at;
    auth->has_token = true;
    return true;
}

static bool apply_oauth(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token,
                        AuthStep *ret_step, Error *err)
{
    const OAuthSpec *oauth = &auth->spec->oauth;
    Frame frame;
    config_frame(auth, &frame);
    Str token = {0};
    if (!oauth->endpoint.exists && oauth->access_token.exists) {
        TRY(expr_text(&oauth->access_token, &frame, arena, &token, err));
        return set_bearer(request, token, arena, err);
    }
    if (!auth->has_token && !auth->looked_at_config)
        TRY(take_given_token(auth, arena, err));
    auth->looked_at_config = true;
    if (!auth->has_token || now_us(auth) > auth->expires_us) {
        *ret_step = AUTH_NEED_TOKEN;
        return oauth_request(auth, arena, ret_token, err);
    }
    return set_bearer(request, buf_str(&auth->token), arena, err);
}

static bool apply_session(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token,
                          AuthStep *ret_step, Error *err)
{
    if (!auth->has_token || now_us(auth) > auth->expires_us) {
        *ret_step = AUTH_NEED_TOKEN;
        return login_request(auth, arena, ret_token, err);
    }
    Str token = buf_str(&auth->token);
    if (auth->spec->session_is_bearer)
        return set_bearer(request, token, arena, err);
    Frame frame;
    config_frame(auth, &frame);
    TRY(frame_set(&frame, STR("session_token"), value_str(token), err));
    if (auth->spec->secret.exists)
        TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
    return inject(auth, token, request, arena, err);
}

bool auth_is_none(const Auth *auth)
{
    return auth->spec->kind == AUTH_NONE;
}

bool auth_apply(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token_request,
                AuthStep *ret_step, Error *err)
{
    *ret_step = AUTH_READY;
    if (auth->spec->kind == AUTH_NONE || !is_allowed(auth, request))
        return true;
    Frame frame;
    config_frame(auth, &frame);
    Str token = {0};
    switch (auth->spec->kind) {
    case AUTH_NONE:
        return true;
    case AUTH_BASIC:
        return set_basic(auth, request, arena, err);
    case AUTH_BEARER:
        TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
        return set_bearer(request, token, arena, err);
    case AUTH_API_KEY:
        if (auth->spec->secret.exists)
            TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
        return inject(auth, token, request, arena, err);
    case AUTH_OAUTH:
        return apply_oauth(auth, request, arena, ret_token_request, ret_step, err);
    case AUTH_SESSION:
        return apply_session(auth, request, arena, ret_token_request, ret_step, err);
    }
    return true;
}
