#include "script.h"

#include <string.h>

// A stream with the given authenticator, and its Auth.
typedef struct Signed {
    Script script;
    Auth *auth;
} Signed;

static const char config[] =
    "{\"user\":\"me\",\"key\":\"k "
    "y\",\"kind\":\"b\",\"id\":\"cid\",\"secret\":\"s&c\",\"refresh\":\"r0\"}";

static void signed_open(Signed *signs, const char *authenticator, const char *extra)
{
    char manifest[4000];
    snprintf(manifest, sizeof manifest,
             ONE_STREAM("        path: t\n%s        authenticator:\n%s", "", ""), extra,
             authenticator);
    Error err = {0};
    *signs = (Signed){0};
    CHECK_OK(script_open(&signs->script, manifest, config, &err), &err);
    CHECK_OK(script_begin(&signs->script, "s", NULL, NULL, &err), &err);
    CHECK_OK(connector_auth(signs->script.connector, signs->script.stream, signs->script.arena,
                            &signs->auth, &err),
             &err);
}

static void signed_done(Signed *signs)
{
    auth_free(signs->auth);
    script_done(&signs->script);
}

static AuthStep apply(Signed *signs, HttpRequest *ret_token)
{
    Error err = {0};
    Str line = {0};
    AuthStep step = AUTH_READY;
    CHECK_OK(script_ask(&signs->script, &line, &err), &err);
    CHECK_OK(
        auth_apply(signs->auth, &signs->script.request, signs->script.page, ret_token, &step, &err),
        &err);
    return step;
}

static Str header_of(const HttpRequest *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_ignoring_case(request->headers[i].name, str_from(name)))
            return request->headers[i].value;
    }
    return STR("");
}

TEST(credentials_go_where_the_manifest_says)
{
    const struct {
        const char *name, *authenticator, *extra, *header, *value, *url, *body;
    } rows[] = {
        {"none", "          type: NoAuth\n", "", "Authorization", "",
         "https://api.example.com/v1/t", ""},
        {"basic",
         "          {type: BasicHttpAuthenticator, username: \"{{ config['user'] }}\", password: "
         "\"{{ config['key'] }}\"}\n",
         "", "Authorization", "Basic bWU6ayB5", "https://api.example.com/v1/t", ""},
        {"basic without password", "          {type: BasicHttpAuthenticator, username: me}\n", "",
         "Authorization", "Basic bWU6", "https://api.example.com/v1/t", ""},
        {"bearer", "          {type: BearerAuthenticator, api_token: \"{{ config['key'] }}\"}\n",
         "", "Authorization", "Bearer k y", "https://api.example.com/v1/t", ""},
        {"key in a header",
         "          {type: ApiKeyAuthenticator, api_token: \"{{ config['key'] }}\", inject_into: "
         "{type: RequestOption, inject_into: header, field_name: X-Key}}\n",
         "", "X-Key", "k y", "https://api.example.com/v1/t", ""},
        {"key in a header, old way",
         "          {type: ApiKeyAuthenticator, api_token: a, header: X-Key}\n", "", "X-Key", "a",
         "https://api.example.com/v1/t", ""},
        {"key in the query",
         "          {type: ApiKeyAuthenticator, api_token: \"{{ config['key'] }}\", inject_into: "
         "{type: RequestOption, inject_into: request_parameter, field_name: key}}\n",
         "        request_parameters: {a: 1}\n", "X-Key", "",
         "https://api.example.com/v1/t?a=1&key=k+y", ""},
        {"key in a JSON body",
         "          {type: ApiKeyAuthenticator, api_token: x, inject_into: {type: RequestOption, "
         "inject_into: body_json, field_path: [auth, key]}}\n",
         "        http_method: POST\n        request_body_json: {a: 1}\n", "Content-Type",
         "application/json", "https://api.example.com/v1/t",
         "{\"a\": 1, \"auth\": {\"key\": \"x\"}}"},
        {"key in a form",
         "          {type: ApiKeyAuthenticator, api_token: x, inject_into: {type: RequestOption, "
         "inject_into: body_data, field_name: key}}\n",
         "        http_method: POST\n        request_body_data: {a: 1}\n", "X-Key", "",
         "https://api.example.com/v1/t", "a=1&key=x"},
        {"selected",
         "          type: SelectiveAuthenticator\n          authenticator_selection_path: [kind]\n "
         "         authenticators: {a: {type: NoAuth}, b: {type: BearerAuthenticator, api_token: "
         "t}}\n",
         "", "Authorization", "Bearer t", "https://api.example.com/v1/t", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CLEANUP(signed_done) Signed signs;
        signed_open(&signs, rows[i].authenticator, rows[i].extra);
        HttpRequest token = {0};
        CHECK_INT(apply(&signs, &token), AUTH_READY);
        CHECK_STR(header_of(&signs.script.request, rows[i].header), str_from(rows[i].value));
        CHECK_STR(signs.script.request.url, str_from(rows[i].url));
        CHECK_STR(signs.script.request.body, str_from(rows[i].body));
    }
}

TEST(another_origin_never_gets_the_credential)
{
    static const char *const others[] = {"https://evil.example.com/v1/t",
                                         "http://api.example.com/v1/t",
                                         "https://api.example.com:444/v1/t"};
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs, "          {type: BearerAuthenticator, api_token: canary}\n", "");
    for (size_t i = 0; i < 3; i++) {
        check_row(others[i]);
        HttpRequest request = {.method = STR("GET"), .url = str_from(others[i])}, token = {0};
        AuthStep step = AUTH_NEED_TOKEN;
        Error err = {0};
        CHECK_OK(auth_apply(signs.auth, &request, signs.script.page, &token, &step, &err), &err);
        CHECK_INT(step, AUTH_READY);
        CHECK(request.header_count == 0);
    }
}

#define OAUTH                                                                                      \
    "          type: OAuthAuthenticator\n          token_refresh_endpoint: "                       \
    "https://id.example.com/token\n"                                                               \
    "          client_id: \"{{ config['id'] }}\"\n          client_secret: \"{{ config['secret'] " \
    "}}\"\n"

static void answer_token(Signed *signs, int status, const char *body, ErrorCode code)
{
    Error err = {0};
    HttpResponse response = {.status = status, .body = str_from(body)};
    bool ok = auth_answer(signs->auth, &response, &err);
    CHECK_INT(err.code, code);
    CHECK(ok == (code == ERROR_NONE));
    CHECK(strstr(err.message, "canary") == NULL);
}

TEST(tokens_are_fetched_used_and_renewed_when_they_expire)
{
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs,
                OAUTH "          grant_type: client_credentials\n          scopes: [a, b]\n", "");
    HttpRequest token = {0};
    test_clock_us = 0;
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    CHECK_STR(token.method, STR("POST"));
    CHECK_STR(token.url, STR("https://id.example.com/token"));
    CHECK_STR(
        token.body,
        STR("grant_type=client_credentials&client_id=cid&client_secret=s%26c&scopes=a&scopes=b"));
    answer_token(&signs, 200, "{\"access_token\":\"t1\",\"expires_in\":60}", ERROR_NONE);
    CHECK_INT(apply(&signs, &token), AUTH_READY);
    CHECK_STR(header_of(&signs.script.request, "Authorization"), STR("Bearer t1"));

    test_clock_us = 61 * 1000000;
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    answer_token(&signs, 200, "{\"data\":{\"access_token\":\"t2\",\"expires_in\":\"60\"}}",
                 ERROR_NONE);
    CHECK_INT(apply(&signs, &token), AUTH_READY);
    auth_expire(signs.auth);
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    test_clock_us = 0;
}

TEST(refresh_tokens_that_rotate_are_used_once)
{
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs, OAUTH "          refresh_token: \"{{ config['refresh'] }}\"\n", "");
    HttpRequest token = {0};
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    CHECK_STR(token.body,
              STR("grant_type=refresh_token&client_id=cid&client_secret=s%26c&refresh_token=r0"));
    answer_token(&signs, 200, "{\"access_token\":\"t1\",\"refresh_token\":\"r1\"}", ERROR_NONE);
    auth_expire(signs.auth);
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    CHECK_STR(token.body,
              STR("grant_type=refresh_token&client_id=cid&client_secret=s%26c&refresh_token=r1"));
}

TEST(token_answers_that_are_no_token_are_told_apart)
{
    const struct {
        const char *name;
        int status;
        const char *body;
        ErrorCode code;
    } rows[] = {
        {"too many", 429, "", ERROR_BUSY},
        {"trouble", 503, "canary", ERROR_BUSY},
        {"refused", 401, "canary", ERROR_ACCESS},
        {"redirect", 302, "", ERROR_ACCESS},
        {"no json", 200, "canary", ERROR_ACCESS},
        {"no token", 200, "{\"canary\":1}", ERROR_ACCESS},
        {"null", 200, "{\"access_token\":null}", ERROR_ACCESS},
    };
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs, OAUTH "          grant_type: client_credentials\n", "");
    HttpRequest token = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        answer_token(&signs, rows[i].status, rows[i].body, rows[i].code);
        CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    }
}

TEST(sessions_log_in_first)
{
    CLEANUP(signed_done) Signed signs;
    signed_open(
        &signs,
        "          type: SessionTokenAuthenticator\n          session_token_path: [data, sid]\n"
        "          expiration_duration: PT1M\n"
        "          login_requester: {type: HttpRequester, url_base: https://api.example.com, path: "
        "login, http_method: POST, "
        "request_body_json: {u: \"{{ config['user'] }}\"}, authenticator: {type: "
        "BasicHttpAuthenticator, username: a, password: b}}\n"
        "          request_authentication: {type: ApiKey, api_token: \"Session {{ session_token "
        "}}\", "
        "inject_into: {type: RequestOption, inject_into: header, field_name: X-Session}}\n",
        "");
    HttpRequest token = {0};
    test_clock_us = 0;
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    CHECK_STR(token.url, STR("https://api.example.com/login"));
    CHECK_STR(token.body, STR("{\"u\": \"me\"}"));
    CHECK_STR(header_of(&token, "Authorization"), STR("Basic YTpi"));
    answer_token(&signs, 200, "{\"data\":{\"sid\":42}}", ERROR_NONE);
    CHECK_INT(apply(&signs, &token), AUTH_READY);
    CHECK_STR(header_of(&signs.script.request, "X-Session"), STR("Session 42"));
    test_clock_us = 61 * 1000000;
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    test_clock_us = 0;
}

TEST(streams_share_an_auth_only_where_it_is_the_same)
{
    static const char manifest[] =
        "definitions:\n"
        "  selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}\n"
        "  one: {type: BearerAuthenticator, api_token: \"{{ config['key'] }}\"}\n"
        "  two: {type: BearerAuthenticator, api_token: \"{{ config['user'] }}\"}\n"
        "streams:\n"
        "  - {type: DeclarativeStream, name: a, $parameters: {p: 1}, retriever: {type: "
        "SimpleRetriever, record_selector: \"#/definitions/selector\", requester: {type: "
        "HttpRequester, url_base: https://x.com, authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: b, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "https://x.com/v2, authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: c, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "https://y.com, authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: d, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "https://x.com, authenticator: \"#/definitions/two\"}}}\n";
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, config, &err), &err);
    CHECK_OK(findings_check(script.findings, &err), &err);
    size_t ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = stream_auth_id(connector_stream(script.connector, i));
    CHECK(ids[0] == ids[1]);
    CHECK(ids[0] != ids[2]);
    CHECK(ids[0] != ids[3]);
}

TEST(signing_survives_every_fault)
{
    static const char manifest[] = ONE_STREAM(
        "        authenticator:\n" OAUTH "          grant_type: client_credentials\n", "", "");
    FAULTS() {
        Error err = {0};
        CLEANUP(script_done) Script script = {0};
        Auth *auth = NULL;
        Str line = {0};
        HttpRequest token = {0};
        AuthStep step = AUTH_READY;
        HttpResponse response = {.status = 200, .body = STR("{\"access_token\":\"t\"}")};
        bool ok = script_open(&script, manifest, config, &err) &&
                  script_begin(&script, "s", NULL, NULL, &err) &&
                  connector_auth(script.connector, script.stream, script.arena, &auth, &err) &&
                  script_ask(&script, &line, &err) &&
                  auth_apply(auth, &script.request, script.page, &token, &step, &err) &&
                  auth_answer(auth, &response, &err) &&
                  auth_apply(auth, &script.request, script.page, &token, &step, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_STR(header_of(&script.request, "Authorization"), ok ? STR("Bearer t") : STR(""));
        auth_free(auth);
    }
}

TEST(a_token_of_ours_survives_every_fault)
{
    static const char manifest[] =
        ONE_STREAM("        authenticator: {type: JwtAuthenticator, secret_key: \"{{ config['key'] "
                   "}}\", algorithm: "
                   "HS256, header_prefix: Bearer, jwt_payload: {iss: me}}\n",
                   "", "");
    FAULTS() {
        Error err = {0};
        CLEANUP(script_done) Script script = {0};
        Auth *auth = NULL;
        Str line = {0};
        HttpRequest token = {0};
        AuthStep step = AUTH_READY;
        const bool ok =
            script_open(&script, manifest, config, &err) &&
            script_begin(&script, "s", NULL, NULL, &err) &&
            connector_auth(script.connector, script.stream, script.arena, &auth, &err) &&
            script_ask(&script, &line, &err) &&
            auth_apply(auth, &script.request, script.page, &token, &step, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(str_starts_with(header_of(&script.request, "Authorization"), STR("Bearer ey")) == ok);
        auth_free(auth);
    }
}
