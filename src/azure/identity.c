#include "azure/identity.h"

#include "base/file.h"
#include "base/json.h"
#include "net/url.h"

#include <assert.h>
#include <stdio.h>

enum {
    OWN_BYTES_MAX = 256 * 1024,
    TOKEN_ARENA_BYTES = 1024 * 1024,
    TOKEN_BYTES_MAX = 64 * 1024,
    ANSWER_BYTES_MAX = 256 * 1024,
    FILE_BYTES_MAX = 64 * 1024,
    RESOURCES_MAX = 4,
    TOKEN_TIMEOUT_MS = 30 * 1000,
    METADATA_CONNECT_MS = 2000, // where there is no such service, nobody answers
    AADSTS_DIGITS_MAX = 10,
};

#define RENEW_EARLY_US  INT64_C(300000000)
#define USE_AT_LEAST_US INT64_C(5000000)
#define LIFE_US_MAX     (INT64_C(86400) * 1000000)

typedef struct Token {
    Str resource;
    Buf text;
    int64_t got_us; // monotonic
    int64_t end_us;
} Token;

struct Identity {
    Env *env;
    Arena *arena; // settings; wiped
    IdentityKind kind;
    Str tenant_id, client_id, client_secret, token_file, authority, ca_file;
    Str endpoint, endpoint_header; // of a managed identity
    bool is_app_service;
    Str name;
    HttpClient *client;
    Token tokens[RESOURCES_MAX];
    size_t token_count;
};

// --- settings

static Str variable(Env *env, const char *name)
{
    const char *value = env->variable(env->state, name);
    return value == NULL ? STR("") : str_trim(str_from(value));
}

// The job's word, else the environment's.
static bool setting(Identity *identity, Str given, const char *name, Str *ret_text, Error *err)
{
    const Str text = given.size > 0 ? given : variable(identity->env, name);
    return arena_copy_str(identity->arena, text, ret_text, err);
}

static Str without_slashes(Str text)
{
    while (text.size > 0 && text.data[text.size - 1] == '/')
        text.size--;
    return text;
}

static bool read_settings(Identity *identity, const IdentityOptions *options, Error *err)
{
    TRY(setting(identity, options->tenant_id, "AZURE_TENANT_ID", &identity->tenant_id, err));
    TRY(setting(identity, options->client_id, "AZURE_CLIENT_ID", &identity->client_id, err));
    TRY(setting(identity, options->client_secret, "AZURE_CLIENT_SECRET", &identity->client_secret,
                err));
    TRY(setting(identity, options->authority, "AZURE_AUTHORITY_HOST", &identity->authority, err));
    TRY(arena_copy_str(identity->arena, options->ca_file, &identity->ca_file, err));
    if (options->token_file.size > 0 && options->folder.size > 0)
        TRY(file_join(identity->arena, options->folder, options->token_file, &identity->token_file,
                      err));
    else
        TRY(setting(identity, options->token_file, "AZURE_FEDERATED_TOKEN_FILE",
                    &identity->token_file, err));
    identity->authority = without_slashes(identity->authority);
    if (identity->authority.size == 0)
        identity->authority = STR("https://login.microsoftonline.com");
    return true;
}

// App Service and its kin name an endpoint and a header; machines have the metadata service.
static bool read_endpoint(Identity *identity, Error *err)
{
    const Str endpoint = variable(identity->env, "IDENTITY_ENDPOINT");
    const Str header = variable(identity->env, "IDENTITY_HEADER");
    const Str metadata = variable(identity->env, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    identity->is_app_service = endpoint.size > 0 && header.size > 0;
    if (identity->is_app_service)
        return arena_copy_str(identity->arena, endpoint, &identity->endpoint, err) &&
               arena_copy_str(identity->arena, header, &identity->endpoint_header, err);
    return arena_printf(
        identity->arena, &identity->endpoint, err, STR_FMT "/metadata/identity/oauth2/token",
        STR_ARG(metadata.size > 0 ? without_slashes(metadata) : STR("http://169.254.169.254")));
}

static bool has_app(const Identity *identity)
{
    return identity->tenant_id.size > 0 && identity->client_id.size > 0;
}

static void choose(Identity *identity)
{
    if (identity->kind != IDENTITY_DEFAULT)
        return;
    if (has_app(identity) && identity->client_secret.size > 0)
        identity->kind = IDENTITY_CLIENT_SECRET;
    else if (has_app(identity) && identity->token_file.size > 0)
        identity->kind = IDENTITY_FEDERATED;
    else
        identity->kind = IDENTITY_MANAGED;
}

static bool check_settings(const Identity *identity, Error *err)
{
    if (identity->kind == IDENTITY_MANAGED)
        return true;
    const bool secret = identity->kind == IDENTITY_CLIENT_SECRET;
    const char *lacks = NULL;
    if (identity->tenant_id.size == 0)
        lacks = "tenant_id (or AZURE_TENANT_ID)";
    else if (identity->client_id.size == 0)
        lacks = "client_id (or AZURE_CLIENT_ID)";
    else if (secret && identity->client_secret.size == 0)
        lacks = "client_secret (or AZURE_CLIENT_SECRET)";
    else if (!secret && identity->token_file.size == 0)
        lacks = "token_file (or AZURE_FEDERATED_TOKEN_FILE)";
    if (lacks != NULL)
        return error_set(err, ERROR_JOB, "azure identity: %s is not set", lacks);
    return true;
}

static bool describe(Identity *identity, Error *err)
{
    Arena *arena = identity->arena;
    if (identity->kind == IDENTITY_MANAGED && identity->client_id.size == 0)
        return arena_copy_str(arena, STR("the managed identity of this machine"), &identity->name,
                              err);
    const char *kind = identity->kind == IDENTITY_MANAGED     ? "managed identity"
                       : identity->kind == IDENTITY_FEDERATED ? "federated token"
                                                              : "client secret";
    return arena_printf(arena, &identity->name, err, "client " STR_FMT " (%s)",
                        STR_ARG(identity->client_id), kind);
}

static bool open_client(Identity *identity, Error *err)
{
    // The metadata service speaks plain HTTP on an address that no route leads away from.
    const bool managed = identity->kind == IDENTITY_MANAGED;
    const HttpOptions options = {
        .connections = 1,
        .timeout_ms = TOKEN_TIMEOUT_MS,
        .connect_timeout_ms = managed ? METADATA_CONNECT_MS : 0,
        .allow_http = managed,
        .direct = managed,
        .secret = true,
        .ca_file = identity->ca_file,
    };
    return http_client_new(&options, identity->env, &identity->client, err);
}

bool identity_open(const IdentityOptions *options, Env *env, Identity **ret_identity, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(OWN_BYTES_MAX, err);
    TRY(arena != NULL);
    Identity *identity = arena_alloc(arena, sizeof(*identity), err);
    TRY(identity != NULL);
    *identity = (Identity){.env = env, .arena = arena, .kind = options->kind};
    arena = NULL; // the identity's from here on
    bool ok = read_settings(identity, options, err);
    choose(identity);
    ok = ok && check_settings(identity, err) && read_endpoint(identity, err) &&
         describe(identity, err) && open_client(identity, err);
    if (!ok) {
        identity_close(identity);
        return false;
    }
    *ret_identity = identity;
    return true;
}

static void forget_token(Token *token)
{
    buf_done(&token->text);
    token->end_us = 0;
}

void identity_close(Identity *identity)
{
    if (identity == NULL)
        return;
    for (size_t i = 0; i < identity->token_count; i++)
        forget_token(&identity->tokens[i]);
    http_client_free(identity->client);
    arena_wipe(identity->arena);
}

void identity_closep(Identity **identity)
{
    identity_close(*identity);
}

Str identity_name(const Identity *identity)
{
    return identity->name;
}

// --- asking

static bool add_form(Buf *body, const char *name, Str value, Error *err)
{
    return buf_printf(body, err, "%s%s=", body->size > 0 ? "&" : "", name) &&
           url_quote_plus(value, body, err);
}

// OAuth 2.0 client credentials, with a secret or with an assertion (RFC 7523).
static bool app_request(Identity *identity, Str resource, Arena *arena, HttpRequest *request,
                        Error *err)
{
    CLEANUP(buf_done) Buf body = {.limit_bytes = (size_t)2 * TOKEN_BYTES_MAX, .secret = true};
    Str scope = {0};
    TRY(arena_printf(arena, &scope, err, STR_FMT "/.default", STR_ARG(resource)));
    bool ok = add_form(&body, "grant_type", STR("client_credentials"), err) &&
              add_form(&body, "client_id", identity->client_id, err) &&
              add_form(&body, "scope", scope, err);
    if (ok && identity->kind == IDENTITY_CLIENT_SECRET) {
        ok = add_form(&body, "client_secret", identity->client_secret, err);
    } else if (ok) {
        Str assertion = {0};
        // Read each time: whoever wrote it writes a fresh one before it ends.
        ok = file_read(identity->token_file.data, FILE_BYTES_MAX, arena, &assertion, err) &&
             add_form(&body, "client_assertion_type",
                      STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), err) &&
             add_form(&body, "client_assertion", str_trim(assertion), err);
    }
    TRY(ok && arena_copy_str(arena, buf_str(&body), &request->body, err));
    request->method = STR("POST");
    request->repeatable = true; // a second token does no harm
    return arena_printf(arena, &request->url, err, STR_FMT "/" STR_FMT "/oauth2/v2.0/token",
                        STR_ARG(identity->authority), STR_ARG(identity->tenant_id)) &&
           http_request_add_header(request, STR("Content-Type"),
                                   STR("application/x-www-form-urlencoded"), err);
}

static bool managed_request(const Identity *identity, Str resource, Arena *arena,
                            HttpRequest *request, Error *err)
{
    CLEANUP(buf_done) Buf url = {.limit_bytes = TOKEN_BYTES_MAX};
    TRY(buf_append(&url, identity->endpoint, err) &&
        buf_printf(&url, err, "?api-version=%s&resource=",
                   identity->is_app_service ? "2019-08-01" : "2018-02-01") &&
        url_quote_plus(resource, &url, err));
    if (identity->client_id.size > 0)
        TRY(buf_printf(&url, err, "&client_id=") && url_quote_plus(identity->client_id, &url, err));
    TRY(arena_copy_str(arena, buf_str(&url), &request->url, err));
    request->method = STR("GET");
    if (identity->is_app_service)
        return http_request_add_header(request, STR("X-IDENTITY-HEADER"), identity->endpoint_header,
                                       err);
    return http_request_add_header(request, STR("Metadata"), STR("true"), err);
}

// --- answers

// The code that Entra puts in front of its description ("AADSTS7000215: ..."): it says all, and
// nothing that is secret.
static Str aadsts_code(Str description)
{
    const size_t start = str_find(description, STR("AADSTS"));
    size_t size = start < description.size ? 6 : 0;
    while (start + size < description.size && size < 6 + AADSTS_DIGITS_MAX && size > 0 &&
           description.data[start + size] >= '0' && description.data[start + size] <= '9')
        size++;
    return str_slice(description, start, size);
}

static bool is_word(Str text)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'))
            return false;
    }
    return text.size > 0 && text.size <= AZURE_CODE_BYTES_MAX;
}

static bool refuse(const Identity *identity, const HttpResponse *response, yyjson_val *root,
                   Error *err)
{
    const Str word = json_str(json_get(root, STR("error")));
    const Str code = aadsts_code(json_str(json_get(root, STR("error_description"))));
    const bool managed = identity->kind == IDENTITY_MANAGED;
    const bool transient = retry_is_transient_status(response->status) || response->status == 410;
    return error_set(
        err, transient ? ERROR_BUSY : ERROR_ACCESS,
        "no token for " STR_FMT ": the %s says " STR_FMT "%s" STR_FMT " (status %d)%s",
        STR_ARG(identity->name), managed ? "metadata service" : "authority",
        STR_ARG(is_word(word) ? word : STR("no")), code.size > 0 ? ", " : "", STR_ARG(code),
        response->status,
        transient ? ""
        : managed ? ": assign a managed identity to this machine, or set client_id to one that is"
                  : ": renew the secret or the federated credential of this app");
}

// A count of seconds, as a number or as text: the services disagree.
static int64_t read_seconds(yyjson_val *value)
{
    int64_t seconds = -1;
    if (yyjson_is_int(value))
        seconds = yyjson_get_sint(value);
    else if (yyjson_is_str(value) && !str_to_int64(json_str(value), &seconds))
        seconds = -1;
    return seconds;
}

static bool take_token(Identity *identity, Token *token, yyjson_val *root, Error *err)
{
    Env *env = identity->env;
    const Str text = json_str(json_get(root, STR("access_token")));
    int64_t seconds = read_seconds(json_get(root, STR("expires_in")));
    const int64_t until = read_seconds(json_get(root, STR("expires_on")));
    if (seconds < 0 && until >= 0)
        seconds = until - env->now_us(env->state) / 1000000;
    if (text.size == 0 || text.size > TOKEN_BYTES_MAX || !http_text_is_line(text) || seconds < 0)
        return error_set(err, ERROR_DATA, "no token for " STR_FMT ": the answer holds none",
                         STR_ARG(identity->name));
    const int64_t life_us = seconds < LIFE_US_MAX / 1000000 ? seconds * 1000000 : LIFE_US_MAX;
    forget_token(token);
    TRY(buf_append(&token->text, text, err));
    token->got_us = env->monotonic_us(env->state);
    token->end_us = token->got_us + life_us;
    return true;
}

static bool ask(Identity *identity, Token *token, Arena *arena, Error *err)
{
    AzureCall call = {0};
    const bool managed = identity->kind == IDENTITY_MANAGED;
    TRY(managed ? managed_request(identity, token->resource, arena, &call.request, err)
                : app_request(identity, token->resource, arena, &call.request, err));
    TRY(http_request_add_header(&call.request, STR("Accept"), STR("application/json"), err));
    call.request.body_bytes_max = ANSWER_BYTES_MAX;
    const AzureSender sender = {.client = identity->client,
                                .env = identity->env,
                                .policy = azure_retry,
                                .answers_401 = true,
                                .retries_404 = managed && !identity->is_app_service};
    if (!azure_send(&sender, &call, 1, err)) {
        const char *hint = managed && err->code == ERROR_IO
                               ? "; outside of Azure set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
                                 "AZURE_CLIENT_SECRET"
                               : "";
        const Error why = *err;
        return error_set(err, why.code, "no token for " STR_FMT ": %s%s", STR_ARG(identity->name),
                         why.message, hint);
    }
    const HttpResponse *response = &call.exchange->response;
    yyjson_doc *doc = NULL;
    Error unread = {0};
    yyjson_val *root =
        json_parse(response->body, "token", arena, &doc, &unread) ? yyjson_doc_get_root(doc) : NULL;
    const bool ok = response->status == 200 ? take_token(identity, token, root, err)
                                            : refuse(identity, response, root, err);
    azure_call_done(&call);
    return ok;
}

static bool find_token(Identity *identity, Str resource, Token **ret_token, Error *err)
{
    for (size_t i = 0; i < identity->token_count; i++) {
        *ret_token = &identity->tokens[i];
        if (str_equal(identity->tokens[i].resource, resource))
            return true;
    }
    if (identity->token_count == RESOURCES_MAX)
        return error_set(err, ERROR_LIMIT, "tokens for more than %d resources", RESOURCES_MAX);
    Token *token = &identity->tokens[identity->token_count];
    token->text.secret = true;
    TRY(arena_copy_str(identity->arena, resource, &token->resource, err));
    identity->token_count++;
    *ret_token = token;
    return true;
}

static void wipe(Arena **arena)
{
    arena_wipe(*arena);
}

bool identity_token(Identity *identity, Str resource, bool renew, Str *ret_token, Error *err)
{
    Token *token = NULL;
    TRY(find_token(identity, resource, &token, err));
    const int64_t now_us = identity->env->monotonic_us(identity->env->state);
    // One that lives for less than five minutes is good for a moment at least.
    const bool good = now_us < token->end_us - RENEW_EARLY_US ||
                      (now_us < token->end_us && now_us - token->got_us < USE_AT_LEAST_US);
    if (renew || token->text.size == 0 || !good) {
        CLEANUP(wipe) Arena *arena = arena_new(TOKEN_ARENA_BYTES, err);
        TRY(arena != NULL);
        TRY(ask(identity, token, arena, err));
    }
    *ret_token = buf_str(&token->text);
    return true;
}
