#include "script.h"

#include "base/time.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
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
    CHECK(token.repeatable);
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
    CHECK(token.repeatable); // see auth_oauth_request(): giving up would lose r1 for good
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
    CHECK(token.repeatable);
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
        "https://x.com, authenticator: \"#/definitions/two\"}}}\n"
        "  - {type: DeclarativeStream, name: e, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "\"https://{{ stream_slice['host'] }}.com\", authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: f, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "\"https://{{ stream_slice['host'] }}.com\", authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: g, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "\"HTTPS://X.com:443/v3\", authenticator: \"#/definitions/one\"}}}\n"
        "  - {type: DeclarativeStream, name: h, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/selector\", requester: {type: HttpRequester, url_base: "
        "\"http://x.com:443\", authenticator: \"#/definitions/one\"}}}\n";
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, config, &err), &err);
    CHECK_OK(findings_check(script.findings, &err), &err);
    // The first of those that share one gives it its number. An address that a slice has a say in
    // is nobody else's; neither is another protocol.
    static const size_t wanted[] = {0, 0, 2, 3, 4, 5, 0, 7};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        CHECK_INT((int64_t)stream_auth_id(connector_stream(script.connector, i)),
                  (int64_t)wanted[i]);
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

// ------------------------------------------------------------------------ where a token goes

TEST(an_api_key_goes_into_the_body_or_stays_away)
{
    const struct {
        const char *name, *extra, *authenticator, *type, *body;
    } rows[] = {
        {"into a form", "        http_method: POST\n        request_body_data: {a: 1}\n",
         "body_data", "application/x-www-form-urlencoded", "a=1&token=t"},
        {"into JSON", "        http_method: POST\n        request_body_json: {a: 1}\n", "body_json",
         "application/json", "{\"a\": 1, \"token\": \"t\"}"},
        {"into JSON that was empty", "        http_method: POST\n", "body_json", "application/json",
         "{\"token\": \"t\"}"},
        {"nowhere without a body", "        http_method: DELETE\n", "body_json", NULL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char authenticator[400];
        CLEANUP(signed_done) Signed signs;
        (void)snprintf(authenticator, sizeof authenticator,
                       "          type: ApiKeyAuthenticator\n          api_token: t\n"
                       "          inject_into: {type: RequestOption, inject_into: %s, field_name: "
                       "token}\n",
                       rows[i].authenticator);
        signed_open(&signs, authenticator, rows[i].extra);
        HttpRequest token = {0};
        CHECK_INT(apply(&signs, &token), AUTH_READY);
        if (rows[i].type != NULL)
            CHECK_STR(header_of(&signs.script.request, "Content-Type"), str_from(rows[i].type));
        CHECK_STR(signs.script.request.body, str_from(rows[i].body));
    }
}

TEST(no_authenticator_adds_nothing)
{
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs, "          type: NoAuth\n", "");
    HttpRequest token = {0};
    CHECK(auth_is_none(signs.auth));
    CHECK_INT(apply(&signs, &token), AUTH_READY);
    CHECK_INT((int64_t)signs.script.request.header_count, 0);

    CLEANUP(signed_done) Signed other;
    signed_open(&other, "          type: BearerAuthenticator\n          api_token: x\n", "");
    CHECK(!auth_is_none(other.auth));
}

// ------------------------------------------------------------------------ tokens in the config

static const char given[] =
    "{\"token\":\"given\",\"expires\":\"2024-03-01T00:00:00Z\",\"credentials\":{\"access_token\":"
    "\"kept\",\"refresh_token\":\"r7\",\"token_expiry_date\":\"2024-03-01T00:00:00Z\"}}";

TEST(a_token_of_the_config_is_used_until_it_ends)
{
    const struct {
        const char *name, *more, *now, *header, *body;
    } rows[] = {
        {"no end point: for ever", "access_token_value: \"{{ config['token'] }}\"",
         "2999-01-01T00:00:00Z", "Bearer given", NULL},
        {"until its date",
         "token_refresh_endpoint: https://id.example.com/t, access_token_value: \"{{ "
         "config['token'] }}\", token_expiry_date: \"{{ config['expires'] }}\"",
         "2024-02-29T00:00:00Z", "Bearer given", NULL},
        {"not after its date",
         "token_refresh_endpoint: https://id.example.com/t, client_id: c, client_secret: s, "
         "access_token_value: \"{{ config['token'] }}\", token_expiry_date: \"{{ "
         "config['expires'] }}\"",
         "2024-03-02T00:00:00Z", "", "grant_type=refresh_token&client_id=c&client_secret=s"},
        {"one that rotates",
         "token_refresh_endpoint: https://id.example.com/t, refresh_token_updater: {}",
         "2024-02-29T00:00:00Z", "Bearer kept", NULL},
        {"one that rotated",
         "token_refresh_endpoint: https://id.example.com/t, client_id: c, client_secret: s, "
         "refresh_token_updater: {}",
         "2024-03-02T00:00:00Z", "",
         "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r7"},
        {"one that is not there",
         "token_refresh_endpoint: https://id.example.com/t, client_id: c, client_secret: s, "
         "refresh_token_updater: {refresh_token_config_path: [none], access_token_config_path: "
         "[none]}",
         "2024-02-29T00:00:00Z", "",
         "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token="},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[3000];
        Error err = {0};
        int64_t now_us = 0;
        Auth *auth = NULL;
        (void)snprintf(
            manifest, sizeof manifest,
            ONE_STREAM("        authenticator: {type: OAuthAuthenticator, %s}\n", "", ""),
            rows[i].more);
        CLEANUP(script_done) Script script;
        CHECK_OK(script_open(&script, manifest, given, &err), &err);
        CHECK_OK(findings_check(script.findings, &err), &err);
        CHECK_OK(script_begin(&script, "s", NULL, NULL, &err), &err);
        CHECK_OK(connector_auth(script.connector, script.stream, script.arena, &auth, &err), &err);
        CHECK(time_parse_iso(str_from(rows[i].now), &now_us));
        test_clock_us = now_us;
        Str line = {0};
        HttpRequest token = {0};
        AuthStep step = AUTH_READY;
        CHECK_OK(script_ask(&script, &line, &err), &err);
        CHECK_OK(auth_apply(auth, &script.request, script.page, &token, &step, &err), &err);
        CHECK_INT(step, rows[i].body == NULL ? AUTH_READY : AUTH_NEED_TOKEN);
        CHECK_STR(header_of(&script.request, "Authorization"), str_from(rows[i].header));
        if (rows[i].body != NULL)
            CHECK_STR(token.body, str_from(rows[i].body));
        auth_free(auth);
        test_clock_us = 0;
    }
}

TEST(a_token_request_carries_what_the_manifest_adds)
{
    CLEANUP(signed_done) Signed signs;
    signed_open(&signs,
                "          type: OAuthAuthenticator\n"
                "          token_refresh_endpoint: https://id.example.com/token\n"
                "          client_id: c\n          client_secret: s\n"
                "          grant_type: client_credentials\n"
                "          refresh_request_body: {audience: \"{{ config['user'] }}\", grant_type: "
                "other}\n"
                "          refresh_request_headers: {Authorization: Basic eA==, X-None: \"{{ None "
                "}}\", X-Of: a}\n",
                "");
    HttpRequest token = {0};
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    // Who says who it is in a header does not say so in the body; what is there is not replaced.
    CHECK_STR(token.body, STR("grant_type=client_credentials&audience=me"));
    CHECK_STR(header_of(&token, "Authorization"), STR("Basic eA=="));
    CHECK_STR(header_of(&token, "X-Of"), STR("a"));
    CHECK_STR(header_of(&token, "X-None"), STR(""));
}

TEST(a_token_lives_as_long_as_its_answer_says)
{
    const struct {
        const char *name, *format, *answer;
        int64_t life_s;
    } rows[] = {
        {"a number", "", "{\"access_token\":\"t\",\"expires_in\":60}", 60},
        {"a text", "", "{\"access_token\":\"t\",\"expires_in\":\"90\"}", 90},
        {"nothing: an hour", "", "{\"access_token\":\"t\"}", 3600},
        {"nonsense: an hour", "", "{\"access_token\":\"t\",\"expires_in\":\"soon\"}", 3600},
        {"for ever: an hour", "", "{\"access_token\":\"t\",\"expires_in\":1e300}", 3600},
        {"a date", "          token_expiry_date_format: \"%Y-%m-%dT%H:%M:%SZ\"\n",
         "{\"access_token\":\"t\",\"expires_in\":\"1970-01-01T00:02:00Z\"}", 120},
        {"no date: an hour", "          token_expiry_date_format: \"%Y-%m-%dT%H:%M:%SZ\"\n",
         "{\"access_token\":\"t\",\"expires_in\":\"soon\"}", 3600},
        {"in a list", "", "{\"data\":[{\"a\":1},{\"access_token\":\"t\",\"expires_in\":60}]}", 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char authenticator[600];
        CLEANUP(signed_done) Signed signs;
        HttpRequest token = {0};
        (void)snprintf(authenticator, sizeof authenticator,
                       OAUTH "          grant_type: client_credentials\n%s", rows[i].format);
        test_clock_us = 0;
        signed_open(&signs, authenticator, "");
        CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
        answer_token(&signs, 200, rows[i].answer, ERROR_NONE);
        test_clock_us = rows[i].life_s * 1000000;
        CHECK_INT(apply(&signs, &token), AUTH_READY);
        test_clock_us++;
        CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
        test_clock_us = 0;
    }
}

TEST(a_token_too_deep_in_its_answer_is_not_found)
{
    CLEANUP(signed_done) Signed signs;
    HttpRequest token = {0};
    signed_open(&signs, OAUTH "          grant_type: client_credentials\n", "");
    CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
    answer_token(&signs, 200,
                 "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"access_token\":\"t\"}}}}}}}",
                 ERROR_ACCESS);
    answer_token(&signs, 200, "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"access_token\":\"t\"}}}}}}",
                 ERROR_NONE);
}

TEST(a_login_has_a_credential_of_its_own)
{
    const struct {
        const char *name, *login, *use, *header, *value, *used;
    } rows[] = {
        {"bearer", "{type: BearerAuthenticator, api_token: b}", "{type: Bearer}", "Authorization",
         "Bearer b", "Bearer sid"},
        {"key",
         "{type: ApiKeyAuthenticator, api_token: k, inject_into: {type: RequestOption, "
         "inject_into: "
         "header, field_name: X-Key}}",
         "{type: Bearer}", "X-Key", "k", "Bearer sid"},
        {"none", "{type: NoAuth}", "{type: Bearer}", "Authorization", "", "Bearer sid"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char authenticator[1200];
        CLEANUP(signed_done) Signed signs;
        HttpRequest token = {0};
        (void)snprintf(authenticator, sizeof authenticator,
                       "          type: SessionTokenAuthenticator\n"
                       "          session_token_path: [sid]\n"
                       "          login_requester: {type: HttpRequester, url_base: "
                       "https://api.example.com, path: login, authenticator: %s}\n"
                       "          request_authentication: %s\n",
                       rows[i].login, rows[i].use);
        signed_open(&signs, authenticator, "");
        CHECK_INT(apply(&signs, &token), AUTH_NEED_TOKEN);
        CHECK_STR(token.url, STR("https://api.example.com/login"));
        CHECK_STR(header_of(&token, rows[i].header), str_from(rows[i].value));
        answer_token(&signs, 200, "{\"other\":1}", ERROR_ACCESS);
        answer_token(&signs, 200, "{\"sid\":\"sid\"}", ERROR_NONE);
        CHECK_INT(apply(&signs, &token), AUTH_READY);
        CHECK_STR(header_of(&signs.script.request, "Authorization"), str_from(rows[i].used));
    }
}

// ------------------------------------------------------------------------ tokens of ours

static EVP_PKEY *make_key(bool is_ec)
{
    EVP_PKEY *key = is_ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    CHECK(key != NULL);
    return key;
}

// The private key as PEM with "\n" written out, for a config in JSON; `passphrase` may be NULL.
static void write_pem(EVP_PKEY *key, const char *passphrase, char text[6000])
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(bio != NULL);
    CHECK(PEM_write_bio_PKCS8PrivateKey(
              bio, key, passphrase == NULL ? NULL : EVP_aes_256_cbc(), passphrase,
              passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL) == 1);
    char *bytes = NULL;
    const long size = BIO_get_mem_data(bio, &bytes);
    size_t at = 0;
    for (long i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            text[at++] = '\\';
            text[at++] = 'n';
        } else {
            text[at++] = bytes[i];
        }
    }
    text[at] = '\0';
    BIO_free(bio);
}

static size_t decode_base64url(Str text, unsigned char *bytes)
{
    char padded[4000];
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++)
        padded[size++] = text.data[i] == '-' ? '+' : text.data[i] == '_' ? '/' : text.data[i];
    size_t missing = 0;
    for (; size % 4 != 0; missing++)
        padded[size++] = '=';
    const int got = EVP_DecodeBlock(bytes, (const unsigned char *)padded, (int)size);
    CHECK(got > 0);
    return (size_t)got - missing;
}

// RFC 7515: the signature is of "header.payload"; RFC 7518, 3.4: EC's is two numbers, 3.5: PSS's
// salt is as long as the digest.
static bool is_signed_by(EVP_PKEY *key, const char *algorithm, Str token)
{
    unsigned char signature[600];
    unsigned char der[600];
    Str rest = token;
    const Str header = str_split_next(&rest, '.');
    const Str payload = str_split_next(&rest, '.');
    const size_t text_size = header.size + 1 + payload.size;
    size_t size = decode_base64url(rest, signature);
    const unsigned char *bytes = signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    CHECK(EVP_DigestVerifyInit(context, &options, EVP_sha256(), NULL, key) == 1);
    if (algorithm[0] == 'P') {
        CHECK(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 32) == 1);
    } else if (algorithm[0] == 'E') {
        CHECK_INT((int64_t)size, 64);
        ECDSA_SIG *pair = ECDSA_SIG_new();
        CHECK(ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL),
                             BN_bin2bn(signature + 32, 32, NULL)) == 1);
        unsigned char *to = der;
        size = (size_t)i2d_ECDSA_SIG(pair, &to);
        bytes = der;
        ECDSA_SIG_free(pair);
    }
    const bool ok =
        EVP_DigestVerify(context, bytes, size, (const unsigned char *)token.data, text_size) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

// What auth_apply() says to a config whose "pem" is this, and the token that it made.
static bool make_token(const char *members, const char *pem, Str *ret_token, Script *script,
                       Error *err)
{
    char manifest[3000];
    char json[7000];
    Auth *auth = NULL;
    Str line = {0};
    HttpRequest ignored = {0};
    AuthStep step = AUTH_READY;
    (void)snprintf(json, sizeof json, "{\"pem\":\"%s\"}", pem);
    (void)snprintf(manifest, sizeof manifest,
                   ONE_STREAM("        authenticator: {type: JwtAuthenticator, secret_key: \"{{ "
                              "config['pem'] }}\", %s}\n",
                              "", ""),
                   members);
    CHECK_OK(script_open(script, manifest, json, err), err);
    CHECK_OK(findings_check(script->findings, err), err);
    CHECK_OK(script_begin(script, "s", NULL, NULL, err), err);
    CHECK_OK(connector_auth(script->connector, script->stream, script->arena, &auth, err), err);
    CHECK_OK(script_ask(script, &line, err), err);
    const bool ok = auth_apply(auth, &script->request, script->page, &ignored, &step, err);
    *ret_token = header_of(&script->request, "Authorization");
    auth_free(auth);
    return ok;
}

TEST(tokens_of_ours_are_signed_as_their_algorithm_says)
{
    const struct {
        const char *algorithm, *passphrase;
    } rows[] = {{"RS256", NULL}, {"PS256", NULL}, {"ES256", NULL}, {"RS256", "open sesame"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].algorithm);
        Error err = {0};
        char pem[6000];
        char members[200];
        Str token = {0};
        Script script = {0};
        EVP_PKEY *key = make_key(rows[i].algorithm[0] == 'E');
        write_pem(key, rows[i].passphrase, pem);
        (void)snprintf(members, sizeof members, "algorithm: %s%s%s", rows[i].algorithm,
                       rows[i].passphrase == NULL ? "" : ", passphrase: ",
                       rows[i].passphrase == NULL ? "" : rows[i].passphrase);
        CHECK_OK(make_token(members, pem, &token, &script, &err), &err);
        CHECK(is_signed_by(key, rows[i].algorithm, token));
        EVP_PKEY_free(key);
        script_done(&script);
    }
}

TEST(a_token_of_ours_says_what_the_manifest_says)
{
    Error err = {0};
    Str token = {0};
    Script script = {0};
    unsigned char bytes[1000];
    test_clock_us = INT64_C(1000) * 1000000;
    CHECK_OK(make_token("algorithm: HS256, header_prefix: Token, base64_encode_secret_key: true, "
                        "token_duration: 60, jwt_headers: {kid: k1, typ: at, cty: c}, jwt_payload: "
                        "{iss: i, sub: s, aud: a}, additional_jwt_headers: {x: 1}, "
                        "additional_jwt_payload: {y: \"{{ [1] }}\"}",
                        "secret", &token, &script, &err),
             &err);
    test_clock_us = 0;
    Str rest = str_slice(token, sizeof("Token ") - 1, token.size);
    CHECK(str_starts_with(token, STR("Token ")));
    size_t size = decode_base64url(str_split_next(&rest, '.'), bytes);
    CHECK_STR(((Str){(char *)bytes, size}),
              STR("{\"x\":1,\"kid\":\"k1\",\"typ\":\"at\",\"cty\":\"c\",\"alg\":\"HS256\"}"));
    size = decode_base64url(str_split_next(&rest, '.'), bytes);
    CHECK_STR(((Str){(char *)bytes, size}), STR("{\"y\":[1],\"iss\":\"i\",\"sub\":\"s\",\"aud\":"
                                                "\"a\",\"iat\":1000,\"exp\":1060,\"nbf\":1000}"));
    // RFC 2104 with the secret in base64: "secret" is "c2VjcmV0".
    const Str text = str_slice(token, sizeof("Token ") - 1, (size_t)(rest.data - token.data) - 7);
    unsigned char expected[32];
    CHECK(HMAC(EVP_sha256(), "c2VjcmV0", 8, (const unsigned char *)text.data, text.size, expected,
               NULL) != NULL);
    CHECK_INT((int64_t)decode_base64url(rest, bytes), 32);
    CHECK(memcmp(bytes, expected, 32) == 0);
    script_done(&script);
}

TEST(a_key_that_does_not_fit_is_refused_without_a_word_of_it)
{
    EVP_PKEY *rsa = make_key(false);
    EVP_PKEY *ec = make_key(true);
    char rsa_pem[6000];
    char ec_pem[6000];
    char locked_pem[6000];
    write_pem(rsa, NULL, rsa_pem);
    write_pem(ec, NULL, ec_pem);
    write_pem(rsa, "open sesame", locked_pem);
    const struct {
        const char *name, *members, *pem, *says;
    } rows[] = {
        {"EC for RSA", "algorithm: RS256", ec_pem, "no private RSA key in PEM"},
        {"RSA for EC", "algorithm: ES256", rsa_pem, "no private EC key in PEM"},
        {"no PEM", "algorithm: RS256", "canary", "no private RSA key in PEM"},
        {"locked", "algorithm: RS256", locked_pem, "no private RSA key in PEM"},
        {"wrong passphrase", "algorithm: RS256, passphrase: shut", locked_pem,
         "that the passphrase opens"},
        {"curve too large for it", "algorithm: ES512", ec_pem, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        Str token = {0};
        Script script = {0};
        const bool ok = make_token(rows[i].members, rows[i].pem, &token, &script, &err);
        CHECK(ok == (rows[i].says[0] == '\0'));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "canary") == NULL);
        script_done(&script);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}
