#include "connector/auth_parts.h"

#include "net/url.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PORT_ROOM = 16,                       // "://", ':', a port and the end
    LOGINS_BYTES_MAX = 256 * 1024 * 1024, // addresses of all streams
};

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

// The same as url_same_origin() sees it: "https://x.com:443".
static bool find_origin(const Stream *stream, Arena *arena, Str *ret_origin, Error *err)
{
    CLEANUP(arena_freep) Arena *scratch = arena_new(AUTH_BYTES_MAX, err);
    TRY(scratch != NULL);
    *ret_origin = STR("");
    Url url = {0};
    const Str address = constant_origin(stream, scratch);
    if (address.size == 0 || !url_split(address, &url))
        return true;
    const size_t room = url.scheme.size + url.host.size + PORT_ROOM;
    char *text = arena_alloc(arena, room, err);
    TRY(text != NULL);
    const int size = snprintf(text, room, STR_FMT "://" STR_FMT ":%d", STR_ARG(url.scheme),
                              STR_ARG(url.host), url_port(&url));
    for (int i = 0; i < size; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
    }
    *ret_origin = (Str){text, (size_t)size};
    return true;
}

// Whose credentials a stream uses, and for which address.
typedef struct Login {
    Str origin, fingerprint;
    size_t stream;
} Login;

static int compare_logins(const void *a, const void *b)
{
    const Login *left = a;
    const Login *right = b;
    int order = str_compare(left->origin, right->origin);
    if (order == 0)
        order = str_compare(left->fingerprint, right->fingerprint);
    return order != 0 ? order : (left->stream > right->stream) - (left->stream < right->stream);
}

static bool is_same_login(const Login *a, const Login *b)
{
    return str_equal(a->origin, b->origin) && str_equal(a->fingerprint, b->fingerprint);
}

// Sorted, since a manifest may have thousands of streams.
bool auth_set_ids(Connector *connector, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LOGINS_BYTES_MAX, err);
    TRY(arena != NULL);
    Login *logins = arena_alloc_array(arena, connector->stream_count + 1, sizeof(*logins), err);
    TRY(logins != NULL);
    size_t count = 0;
    for (size_t i = 0; i < connector->stream_count; i++) {
        Stream *stream = connector->streams[i];
        stream->auth_id = i;
        if (stream->problem.code != ERROR_NONE)
            continue;
        Login login = {.fingerprint = stream->requester->auth->fingerprint, .stream = i};
        TRY(find_origin(stream, arena, &login.origin, err));
        if (login.origin.size > 0)
            logins[count++] = login;
    }
    if (count > 0)
        qsort(logins, count, sizeof(*logins), compare_logins);
    for (size_t i = 1; i < count; i++) {
        if (is_same_login(&logins[i], &logins[i - 1]))
            connector->streams[logins[i].stream]->auth_id =
                connector->streams[logins[i - 1].stream]->auth_id;
    }
    return true;
}

bool connector_auth(const Connector *connector, const Stream *stream, Arena *arena, Auth **ret_auth,
                    Error *err)
{
    TRY(stream_check(stream, err));
    Auth *auth = arena_alloc(arena, sizeof *auth, err);
    TRY(auth != NULL);
    auth->connector = connector;
    auth->config = connector->config;
    auth->spec = stream->requester->auth;
    auth->origin = constant_origin(stream, arena);
    auth->token.secret = true;
    auth->refresh_token.secret = true;
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

void auth_free(Auth *auth)
{
    if (auth == NULL)
        return;
    buf_done(&auth->token);
    buf_done(&auth->refresh_token);
    arena_wipe(auth->secrets);
    auth->secrets = NULL;
}

void auth_expire(Auth *auth)
{
    auth->has_token = false;
}

void auth_set_config(Auth *auth, yyjson_val *config)
{
    auth->config = value_json(config);
}

// ------------------------------------------------------------------------ putting credentials in

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

bool auth_set_bearer(HttpRequest *request, Str token, Arena *arena, Error *err)
{
    Str value = {0};
    TRY(arena_printf(arena, &value, err, "Bearer " STR_FMT, STR_ARG(token)));
    return set_header(request, STR("Authorization"), value, err);
}

bool auth_set_basic(const Auth *auth, HttpRequest *request, Arena *arena, Error *err)
{
    Frame frame;
    auth_frame(auth, &frame);
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
    CLEANUP(buf_done) Buf url = {.secret = true};
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
        CLEANUP(buf_done) Buf body = {.secret = true};
        TRY(buf_append(&body, request->body, err));
        TRY(options_write_query(&own->form, (Str){NULL, 0}, &body, err));
        TRY(arena_copy_str(arena, buf_str(&body), &request->body, err));
        return set_header(request, STR("Content-Type"), STR("application/x-www-form-urlencoded"),
                          err);
    }
    CLEANUP(buf_done) Buf body = {.secret = true};
    TRY(value_write_json(options->json, &body, err));
    TRY(arena_copy_str(arena, buf_str(&body), &request->body, err));
    return set_header(request, STR("Content-Type"), STR("application/json"), err);
}

// Puts a token where the manifest's RequestOption wants it.
bool auth_inject(const Auth *auth, Str token, HttpRequest *request, Arena *arena, Error *err)
{
    Frame frame;
    auth_frame(auth, &frame);
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
    auth_frame(auth, &frame);
    Value token = value_none(), expires = value_none();
    if (oauth->is_single_use) {
        token = value_at_path(auth->config, oauth->token_path, oauth->token_path_count);
        expires = value_at_path(auth->config, oauth->expires_path, oauth->expires_path_count);
    } else if (oauth->access_token.exists && oauth->expires_at.exists) {
        TRY(expr_value(&oauth->access_token, &frame, arena, &token, err));
        TRY(expr_value(&oauth->expires_at, &frame, arena, &expires, err));
    }
    Str text = {0};
    int64_t at = 0;
    if (!value_is_true(token) || expires.kind != VALUE_STR || !time_parse_iso(expires.text, &at) ||
        at < auth_now_us(auth))
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
    auth_frame(auth, &frame);
    Str token = {0};
    if (!oauth->endpoint.exists && oauth->access_token.exists) {
        TRY(expr_text(&oauth->access_token, &frame, arena, &token, err));
        return auth_set_bearer(request, token, arena, err);
    }
    if (!auth->has_token && !auth->looked_at_config)
        TRY(take_given_token(auth, arena, err));
    auth->looked_at_config = true;
    if (!auth->has_token || auth_now_us(auth) > auth->expires_us) {
        *ret_step = AUTH_NEED_TOKEN;
        return auth_oauth_request(auth, arena, ret_token, err);
    }
    return auth_set_bearer(request, buf_str(&auth->token), arena, err);
}

// Made anew for each request: it lives for minutes, and signing costs less than remembering it
// right.
static bool apply_jwt(const Auth *auth, HttpRequest *request, Arena *arena, Error *err)
{
    Str token = {0};
    TRY(auth_jwt_make(auth, arena, &token, err));
    return auth->spec->option.exists ? auth_inject(auth, token, request, arena, err)
                                     : set_header(request, STR("Authorization"), token, err);
}

static bool apply_session(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token,
                          AuthStep *ret_step, Error *err)
{
    if (!auth->has_token || auth_now_us(auth) > auth->expires_us) {
        *ret_step = AUTH_NEED_TOKEN;
        return auth_login_request(auth, arena, ret_token, err);
    }
    Str token = buf_str(&auth->token);
    if (auth->spec->session_is_bearer)
        return auth_set_bearer(request, token, arena, err);
    Frame frame;
    auth_frame(auth, &frame);
    TRY(frame_set(&frame, STR("session_token"), value_str(token), err));
    if (auth->spec->secret.exists)
        TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
    return auth_inject(auth, token, request, arena, err);
}

bool auth_spec_is_none(const AuthSpec *spec)
{
    return spec->kind == AUTH_NONE;
}

bool auth_is_none(const Auth *auth)
{
    return auth_spec_is_none(auth->spec);
}

bool auth_apply(Auth *auth, HttpRequest *request, Arena *arena, HttpRequest *ret_token_request,
                AuthStep *ret_step, Error *err)
{
    *ret_step = AUTH_READY;
    if (auth->spec->kind == AUTH_NONE || !is_allowed(auth, request))
        return true;
    Frame frame;
    auth_frame(auth, &frame);
    Str token = {0};
    switch (auth->spec->kind) {
    case AUTH_NONE:
        return true;
    case AUTH_BASIC:
        return auth_set_basic(auth, request, arena, err);
    case AUTH_BEARER:
        TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
        return auth_set_bearer(request, token, arena, err);
    case AUTH_API_KEY:
        if (auth->spec->secret.exists)
            TRY(expr_text(&auth->spec->secret, &frame, arena, &token, err));
        return auth_inject(auth, token, request, arena, err);
    case AUTH_OAUTH:
        return apply_oauth(auth, request, arena, ret_token_request, ret_step, err);
    case AUTH_JWT:
        return apply_jwt(auth, request, arena, err);
    case AUTH_SESSION:
        return apply_session(auth, request, arena, ret_token_request, ret_step, err);
    }
    return true;
}
