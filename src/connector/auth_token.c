// Tokens that somebody else makes: OAuth's token end point, a session's login.
#include "connector/auth_parts.h"

#include <assert.h>

enum {
    TOKEN_DEPTH_MAX = 5,       // how deep a token may lie in its answer
    TOKEN_LIFE_SECONDS = 3600, // where the answer does not say
};

static bool oauth_name(const Auth *auth, size_t index, Arena *arena, Str *ret_name, Error *err)
{
    Frame frame;
    auth_frame(auth, &frame);
    return expr_text(&auth->spec->oauth.names[index], &frame, arena, ret_name, err);
}

static bool add_arg(const Auth *auth, OptionList *list, size_t name, const Expr *expr, Arena *arena,
                    Error *err)
{
    Frame frame;
    auth_frame(auth, &frame);
    Value value = value_none();
    if (expr->exists)
        TRY(expr_value(expr, &frame, arena, &value, err));
    const OAuthSpec *oauth = &auth->spec->oauth;
    if (name == NAME_REFRESH_TOKEN && oauth->is_single_use) {
        value = value_at_path(auth->config, oauth->refresh_path, oauth->refresh_path_count);
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
    auth_frame(auth, &frame);
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
    auth_frame(auth, &frame);
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

bool auth_oauth_request(const Auth *auth, Arena *arena, HttpRequest *ret_request, Error *err)
{
    const OAuthSpec *oauth = &auth->spec->oauth;
    Frame frame;
    auth_frame(auth, &frame);
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
    TRY(requester_finish(&token, url, options, arena, ret_request, err));
    // Harmless where nothing is used up (client_credentials, password): a token more, which ends by
    // itself. A refresh token that works once may have been used up by a request whose answer was
    // lost, and who shows it again is taken for a thief: all tokens that came of it end (RFC 6749
    // 10.4, RFC 9700 4.14.2). But then its successor was in that answer, and we have nothing that
    // is left to lose: who gives up shows the same one in the next run. Where the far side never
    // acted, or forgives a repetition within seconds, as several do, the repetition saves the run.
    // Airbyte's CDK, Google's and Microsoft's libraries repeat after a 5xx, whatever the grant.
    ret_request->repeatable = true;
    return true;
}

bool auth_login_request(const Auth *auth, Arena *arena, HttpRequest *ret_request, Error *err)
{
    const Requester *login = auth->spec->login;
    Frame frame;
    auth_frame(auth, &frame);
    TRY(frame_set(&frame, STR("stream_slice"), value_none(), err));
    TRY(frame_set(&frame, STR("next_page_token"), value_none(), err));
    Str url = {0};
    TRY(requester_url(login, (Str){NULL, 0}, &frame, arena, &url, err));
    Options *options = arena_alloc(arena, sizeof *options, err);
    TRY(options != NULL);
    TRY(requester_options(login, &frame, arena, options, err));
    TRY(requester_finish(login, url, options, arena, ret_request, err));
    ret_request->repeatable = true; // a session more, which ends by itself
    // The login's own credential: one that needs no login itself.
    const Auth own = {.connector = auth->connector, .spec = login->auth, .config = auth->config};
    if (own.spec->kind == AUTH_BASIC)
        return auth_set_basic(&own, ret_request, arena, err);
    Str token = {0};
    if (own.spec->kind != AUTH_BEARER && own.spec->kind != AUTH_API_KEY)
        return true;
    if (own.spec->secret.exists)
        TRY(expr_text(&own.spec->secret, &frame, arena, &token, err));
    return own.spec->kind == AUTH_BEARER ? auth_set_bearer(ret_request, token, arena, err)
                                         : auth_inject(&own, token, ret_request, arena, err);
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

static void keep_life(Auth *auth, yyjson_val *life)
{
    const int64_t second = 1000000;
    int64_t now = auth_now_us(auth);
    auth->expires_us = now + TOKEN_LIFE_SECONDS * second;
    double seconds = 0;
    if (!json_to_double(life, &seconds) &&
        (!yyjson_is_str(life) || !str_to_double(json_str(life), &seconds)))
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
    buf_done(buf);
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
        return error_set(err, ERROR_ACCESS, "the answer lacks '" STR_FMT "'", STR_ARG(name));
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
    Instant now = {.us = auth_now_us(auth)};
    auth->expires_us = spec->has_life ? instant_add(now, spec->life, 1).us : INT64_MAX;
    auth->has_token = true;
    return true;
}

bool auth_answer(Auth *auth, const HttpResponse *response, Error *err)
{
    if (response->status == 429 || response->status >= 500)
        return error_set(err, ERROR_BUSY, "HTTP %d", response->status);
    if (response->status >= 300)
        return error_set(err, ERROR_ACCESS, "HTTP %d: the credential was refused",
                         response->status);
    CLEANUP(arena_freep) Arena *arena = arena_new(AUTH_BYTES_MAX, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    Error why = {0};
    if (!json_parse(response->body, "token", arena, &doc, &why))
        return error_set(err, ERROR_ACCESS, "the answer is no JSON");
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (auth->spec->kind == AUTH_OAUTH)
        return oauth_answer(auth, root, arena, err);
    return session_answer(auth, root, err);
}
