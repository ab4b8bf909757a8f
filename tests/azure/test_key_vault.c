// Secrets in key vaults: where references lead, what is asked, and what a refusal says. Whole runs
// with them are in tests/e2e/test_azure.py.
#include "azure/key_vault.h"

#include "harness/check.h"
#include "harness/server.h"

TEST(references_lead_to_their_vault_and_to_no_other_host)
{
#define VERSION "0123456789abcdef0123456789abcdef"
    const struct {
        const char *reference;
        const char *url;      // NULL = refused
        const char *resource; // or what the refusal says
    } rows[] = {
        {"my-vault/ctm", "https://my-vault.vault.azure.net/secrets/ctm?api-version=7.4",
         "https://vault.azure.net"},
        {"v/Name-1/" VERSION,
         "https://v.vault.azure.net/secrets/Name-1/" VERSION "?api-version=7.4",
         "https://vault.azure.net"},
        {"https://v.vault.azure.cn/n", "https://v.vault.azure.cn/secrets/n?api-version=7.4",
         "https://vault.azure.cn"},
        {"https://v.vault.usgovcloudapi.net/n/" VERSION,
         "https://v.vault.usgovcloudapi.net/secrets/n/" VERSION "?api-version=7.4",
         "https://vault.usgovcloudapi.net"},
        {"http://127.0.0.1:8080/n", "http://127.0.0.1:8080/secrets/n?api-version=7.4",
         "https://vault.azure.net"},
        {"", NULL, "is no vault's name"},
        {"vault", NULL, "is no secret's name"},
        {"vault/", NULL, "is no secret's name"},
        {"vault/a_b", NULL, "is no secret's name"},
        {"a.b/n", NULL, "is no vault's name"},
        {"v@evil/n", NULL, "is no vault's name"},
        {"vault/n/latest", NULL, "is no version"},
        {"vault/n/" VERSION "/x", NULL, "is no version"},
        {"vault/n?x=1", NULL, "is no secret's name"},
        {"http://v.vault.azure.net/n", NULL, "is no host of Azure Key Vault"},
        {"https://evil.example.com/n", NULL, "is no host of Azure Key Vault"},
        {"https://v.vault.azure.net.evil.com/n", NULL, "is no host of Azure Key Vault"},
        {"https://a.b.vault.azure.net/n", NULL, "is no host of Azure Key Vault"},
        {"https://u:p@127.0.0.1/n", NULL, "is no URL"},
        {"ftp://127.0.0.1/n", NULL, "is no URL"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].reference);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024, &err);
        KeyVaultSecret secret = {0};
        const bool ok = key_vault_parse(str_from(rows[i].reference), arena, &secret, &err);
        CHECK(ok == (rows[i].url != NULL));
        if (ok) {
            CHECK_STR(secret.url, str_from(rows[i].url));
            CHECK_STR(secret.resource, str_from(rows[i].resource));
        } else {
            CHECK_INT(err.code, ERROR_JOB);
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].resource));
        }
    }
}

// ------------------------------------------------------------------------ reading

static const char *authority; // of the identity's tokens

static const char *look_up(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "AZURE_TENANT_ID") == 0        ? "t"
           : strcmp(name, "AZURE_CLIENT_ID") == 0      ? "app"
           : strcmp(name, "AZURE_AUTHORITY_HOST") == 0 ? authority
                                                       : NULL;
}

#define ANSWER(status, body) \
    STR("HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body)
#define TOKEN(text)                                                                        \
    {                                                                                      \
        .request = "POST /t/oauth2/v2.0/token",                                            \
        .has = {"scope=https%3A%2F%2Fvault.azure.net%2F.default"},                         \
        .answer = ANSWER("200 OK", "{\"expires_in\":3600,\"access_token\":\"" text "\"}"), \
        .then = SERVER_CLOSE                                                               \
    }
#define SECRET(token, answered)                                                                  \
    {                                                                                            \
        .request = "GET /secrets/ctm?api-version=7.4",                                           \
        .has = {"Authorization: Bearer " token, "Accept: application/json"}, .answer = answered, \
        .then = SERVER_CLOSE                                                                     \
    }

// Asks the vault that the script plays for the secret "ctm".
static bool get_secret(const ServerStep *steps, size_t count, Arena *arena, Str *ret_value,
                       Error *err)
{
    CLEANUP(server_stopp) Server *server = server_start(steps, count);
    authority = server_url(server, "/");
    Env env = test_env;
    env.variable = look_up;
    CLEANUP(identity_closep) Identity *identity = NULL;
    const IdentityOptions options = {.client_secret = STR("canary")};
    KeyVaultSecret secret = {0};
    Str reference = {0};
    CHECK_OK(arena_printf(arena, &reference, err, "%s", server_url(server, "/ctm")), err);
    CHECK_OK(key_vault_parse(reference, arena, &secret, err), err);
    CHECK_OK(identity_open(&options, &env, &identity, err), err);
    return key_vault_get(&secret, identity, &env, arena, ret_value, err);
}

TEST(a_secret_is_read_with_a_token_for_the_vault)
{
    const ServerStep steps[] = {TOKEN("t1"),
                                SECRET("t1", ANSWER("200 OK", "{\"value\":\"s3\",\"id\":\"x\"}"))};
    Error err = {0};
    Str value = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024, &err);
    CHECK_OK(get_secret(steps, 2, arena, &value, &err), &err);
    CHECK_STR(value, STR("s3"));
}

TEST(a_token_that_a_vault_does_not_take_is_renewed_once)
{
    const ServerStep steps[] = {TOKEN("t1"), SECRET("t1", ANSWER("401 Unauthorized", "{}")),
                                TOKEN("t2"), SECRET("t2", ANSWER("200 OK", "{\"value\":\"s\"}"))};
    Error err = {0};
    Str value = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024, &err);
    CHECK_OK(get_secret(steps, 4, arena, &value, &err), &err);
    CHECK_STR(value, STR("s"));
}

TEST(a_vault_that_refuses_is_told_with_what_to_do)
{
    const struct {
        const char *name;
        Str answer;
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"missing", ANSWER("404 Not Found", "{\"error\":{\"code\":\"SecretNotFound\"}}"),
         ERROR_NOT_FOUND, "has no secret 'ctm' (SecretNotFound)"},
        {"no role",
         ANSWER("403 Forbidden", "{\"error\":{\"code\":\"Forbidden\",\"innererror\":"
                                 "{\"code\":\"ForbiddenByRbac\"}}}"),
         ERROR_ACCESS, "(ForbiddenByRbac): give it the role 'Key Vault Secrets User'"},
        {"firewall",
         ANSWER("403 Forbidden", "{\"error\":{\"innererror\":{\"code\":"
                                 "\"ForbiddenByFirewall\"}}}"),
         ERROR_ACCESS, "admit this network in the vault's firewall"},
        {"without a word", ANSWER("403 Forbidden", "<html>canary</html>"), ERROR_ACCESS,
         "(no error code)"},
        {"odd", ANSWER("400 Bad Request", "{\"error\":{\"code\":\"no \\u000a code\"}}"), ERROR_DATA,
         "status 400, no error code"},
        {"no value", ANSWER("200 OK", "{\"canary\":1}"), ERROR_DATA, "the answer holds no value"},
        {"no text", ANSWER("200 OK", "{\"value\":5}"), ERROR_DATA, "the answer holds no value"},
        {"no JSON", ANSWER("200 OK", "canary"), ERROR_DATA, "the answer holds no value"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {TOKEN("t1"), SECRET("t1", rows[i].answer)};
        Error err = {0};
        Str value = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024, &err);
        CHECK(!get_secret(steps, 2, arena, &value, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
        CHECK(strstr(err.message, "canary") == NULL);
    }
}
