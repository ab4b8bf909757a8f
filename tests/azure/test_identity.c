// Tokens: from whom, how they are asked for, how long they are kept, and that nothing of what is
// secret gets into a message.
#include "azure/identity.h"

#include "harness/check.h"
#include "harness/server.h"

#include "base/file.h"

typedef struct Variables {
    const char *names[8];
    const char *values[8];
} Variables;

static const Variables *variables;

static const char *look_up(void *state, const char *name)
{
    (void)state;
    for (size_t i = 0; i < 8 && variables->names[i] != NULL; i++) {
        if (strcmp(variables->names[i], name) == 0)
            return variables->values[i];
    }
    return NULL;
}

// The tests' clock with an environment of our own.
static Env env_with(const Variables *set)
{
    variables = set;
    Env env = test_env;
    env.variable = look_up;
    return env;
}

#define JSON(text) \
    STR("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" text)
#define TOKEN(text, seconds) \
    JSON("{\"token_type\":\"Bearer\",\"expires_in\":" seconds ",\"access_token\":\"" text "\"}")

static Str token_of(Identity *identity, bool renew)
{
    Error err = {0};
    Str token = {NULL, 0};
    CHECK_OK(identity_token(identity, STR("https://storage.azure.com"), renew, &token, &err), &err);
    return token;
}

TEST(a_client_secret_is_exchanged_for_a_token)
{
    const ServerStep steps[] = {
        {.request = "POST /tenant-1/oauth2/v2.0/token HTTP/1.1",
         .has = {"grant_type=client_credentials", "client_id=app-1", "client_secret=s%26cret+1",
                 "scope=https%3A%2F%2Fstorage.azure.com%2F.default",
                 "Content-Type: application/x-www-form-urlencoded"},
         .answer = TOKEN("token-1", "3600"),
         .then = SERVER_CLOSE},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    const Variables set = {{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST"},
                           {"tenant-1", "app-1", server_url(server, "/")}};
    Env env = env_with(&set);
    Error err = {0};
    CLEANUP(identity_closep) Identity *identity = NULL;
    const IdentityOptions options = {.client_secret = STR("s&cret 1")};
    CHECK_OK(identity_open(&options, &env, &identity, &err), &err);
    CHECK_STR(identity_name(identity), STR("client app-1 (client secret)"));
    CHECK_STR(token_of(identity, false), STR("token-1"));
    CHECK_STR(token_of(identity, false), STR("token-1")); // kept
}

TEST(a_federated_token_is_read_anew_each_time)
{
    const ServerStep steps[] = {
        {.request = "POST /t/oauth2/v2.0/token",
         .has = {"client_assertion=first.jwt", "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%"
                                               "3Aclient-assertion-type%3Ajwt-bearer"},
         .lacks = {"client_secret"},
         .answer = TOKEN("token-1", "\"3600\""),
         .then = SERVER_CLOSE},
        {.request = "POST /t/oauth2/v2.0/token",
         .has = {"client_assertion=second.jwt"},
         .answer = TOKEN("token-2", "3600"),
         .then = SERVER_CLOSE},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/token", test_folder());
    const Variables set = {{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST",
                            "AZURE_FEDERATED_TOKEN_FILE"},
                           {"t", "app-1", server_url(server, ""), path}};
    Env env = env_with(&set);
    Error err = {0};
    CHECK_OK(file_write(path, STR("first.jwt\n"), &err), &err);
    CLEANUP(identity_closep) Identity *identity = NULL;
    CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
    CHECK_STR(token_of(identity, false), STR("token-1"));
    CHECK_OK(file_write(path, STR("second.jwt\n"), &err), &err);
    CHECK_STR(token_of(identity, true), STR("token-2"));
}

TEST(tokens_are_renewed_five_minutes_early_or_when_refused)
{
    const ServerStep steps[] = {
        {.request = "GET "
                    "/metadata/identity/oauth2/"
                    "token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com HTTP",
         .has = {"Metadata: true"},
         .answer = TOKEN("token-1", "\"3600\""),
         .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = TOKEN("token-2", "\"3600\""), .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = TOKEN("token-3", "\"60\""), .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = TOKEN("token-4", "\"60\""), .then = SERVER_CLOSE},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    const Variables set = {{"AZURE_POD_IDENTITY_AUTHORITY_HOST"}, {server_url(server, "")}};
    Env env = env_with(&set);
    Error err = {0};
    CLEANUP(identity_closep) Identity *identity = NULL;
    CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
    CHECK_STR(identity_name(identity), STR("the managed identity of this machine"));
    CHECK_STR(token_of(identity, false), STR("token-1"));
    test_clock_us += INT64_C(3299) * 1000000;
    CHECK_STR(token_of(identity, false), STR("token-1"));
    test_clock_us += INT64_C(2) * 1000000;
    CHECK_STR(token_of(identity, false), STR("token-2"));
    CHECK_STR(token_of(identity, true), STR("token-3"));
    CHECK_STR(token_of(identity, false), STR("token-3")); // a short one is used for a moment
    test_clock_us += INT64_C(6) * 1000000;
    CHECK_STR(token_of(identity, false), STR("token-4"));
}

TEST(app_service_and_user_assigned_identities)
{
    const ServerStep steps[] = {
        {.request = "GET "
                    "/msi/"
                    "token?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com&client_"
                    "id=user-1 HTTP",
         .has = {"X-IDENTITY-HEADER: header-1"},
         .lacks = {"Metadata"},
         .answer = JSON("{\"access_token\":\"token-1\",\"expires_on\":\"1700003600\"}"),
         .then = SERVER_CLOSE},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    const Variables set = {{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID"},
                           {server_url(server, "/msi/token"), "header-1", "user-1"}};
    Env env = env_with(&set);
    Error err = {0};
    CLEANUP(identity_closep) Identity *identity = NULL;
    CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
    CHECK_STR(token_of(identity, false), STR("token-1"));
}

TEST(what_is_transient_is_asked_again)
{
    const ServerStep steps[] = {
        {.request = "GET /metadata",
         .answer = STR("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: "
                       "0\r\nConnection: close\r\n\r\n"),
         .then = SERVER_CLOSE},
        {.request = "GET /metadata",
         .answer = STR("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
         .then = SERVER_CLOSE},
        {.request = "GET /metadata",
         .answer = STR("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
         .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = TOKEN("token-1", "3600"), .then = SERVER_CLOSE},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    const Variables set = {{"AZURE_POD_IDENTITY_AUTHORITY_HOST"}, {server_url(server, "")}};
    Env env = env_with(&set);
    Error err = {0};
    CLEANUP(identity_closep) Identity *identity = NULL;
    CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
    const int64_t before_us = test_clock_us;
    CHECK_STR(token_of(identity, false), STR("token-1"));
    CHECK(test_clock_us - before_us >= 3000000);
}

// 410: it is being updated, and will be there again within 70 seconds.
TEST(a_metadata_service_that_is_updated_is_waited_for)
{
    const Str gone = STR("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const ServerStep steps[] = {
        {.request = "GET /metadata", .answer = gone, .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = gone, .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = gone, .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = gone, .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = TOKEN("token-1", "3600"), .then = SERVER_CLOSE},
        {.request = "GET /metadata", .answer = gone, .then = SERVER_CLOSE, .many = true},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    const Variables set = {{"AZURE_POD_IDENTITY_AUTHORITY_HOST"}, {server_url(server, "")}};
    Env env = env_with(&set);
    Error err = {0};
    Str token = {NULL, 0};
    CLEANUP(identity_closep) Identity *identity = NULL;
    CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
    const int64_t before_us = test_clock_us;
    CHECK_STR(token_of(identity, false), STR("token-1"));
    CHECK(test_clock_us - before_us >= 70000000);
    // Longer than that, and it is worth another run, not another identity.
    CHECK(!identity_token(identity, STR("https://storage.azure.com"), true, &token, &err));
    CHECK_INT(err.code, ERROR_BUSY);
}

TEST(refusals_name_the_code_and_nothing_secret)
{
    const struct {
        const char *name;
        Str answer;
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"a wrong secret",
         STR("HTTP/1.1 401 Unauthorized\r\nConnection: "
             "close\r\n\r\n{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: "
             "Invalid client secret 'hush-hush' provided.\"}"),
         ERROR_ACCESS, "invalid_client, AADSTS7000215 (status 401): renew"},
        {"no JSON", STR("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nhush-hush"),
         ERROR_ACCESS, "the authority says no (status 403)"},
        {"a strange error",
         STR("HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n{\"error\":\"hush-hush!\"}"),
         ERROR_ACCESS, "says no (status 400)"},
        {"no token", JSON("{\"hush-hush\":1}"), ERROR_DATA, "the answer holds none"},
        {"a token with a line end", JSON("{\"access_token\":\"hush-hush\\n\",\"expires_in\":1}"),
         ERROR_DATA, "the answer holds none"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep step = {.request = "POST", .answer = rows[i].answer, .then = SERVER_CLOSE};
        CLEANUP(server_stopp) Server *server = server_start(&step, 1);
        const Variables set = {
            {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST", "AZURE_CLIENT_SECRET"},
            {"t", "app-1", server_url(server, ""), "hush-hush"}};
        Env env = env_with(&set);
        Error err = {0};
        Str token = {NULL, 0};
        CLEANUP(identity_closep) Identity *identity = NULL;
        CHECK_OK(identity_open(&(IdentityOptions){0}, &env, &identity, &err), &err);
        CHECK(!identity_token(identity, STR("https://storage.azure.com"), false, &token, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "hush") == NULL);
    }
}

TEST(what_is_not_set_is_named)
{
    const Variables none = {{NULL}, {NULL}};
    const struct {
        IdentityOptions options;
        const char *says;
    } rows[] = {
        {{.kind = IDENTITY_CLIENT_SECRET}, "tenant_id (or AZURE_TENANT_ID) is not set"},
        {{.kind = IDENTITY_CLIENT_SECRET, .tenant_id = STR("t")}, "client_id (or AZURE_CLIENT_ID)"},
        {{.kind = IDENTITY_CLIENT_SECRET, .tenant_id = STR("t"), .client_id = STR("c")},
         "client_secret (or AZURE_CLIENT_SECRET)"},
        {{.kind = IDENTITY_FEDERATED, .tenant_id = STR("t"), .client_id = STR("c")},
         "token_file (or AZURE_FEDERATED_TOKEN_FILE)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Env env = env_with(&none);
        Error err = {0};
        CLEANUP(identity_closep) Identity *identity = NULL;
        CHECK(!identity_open(&rows[i].options, &env, &identity, &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}

TEST(every_fault_is_survived)
{
    const ServerStep step = {
        .request = "POST", .answer = TOKEN("token-1", "3600"), .then = SERVER_CLOSE, .many = true};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    const Variables set = {
        {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST", "AZURE_CLIENT_SECRET"},
        {"t", "app-1", server_url(server, ""), "hush-hush"}};
    Env env = env_with(&set);
    int rounds = 0;
    FAULTS() {
        rounds++;
        Error err = {0};
        Str token = {NULL, 0};
        CLEANUP(identity_closep) Identity *identity = NULL;
        const bool ok =
            identity_open(&(IdentityOptions){0}, &env, &identity, &err) &&
            identity_token(identity, STR("https://storage.azure.com"), false, &token, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_STR(token, ok ? STR("token-1") : STR(""));
    }
    CHECK(rounds > 10);
}
