#include "azure/key_vault.h"

#include "base/json.h"
#include "net/url.h"

enum {
    VAULT_BYTES_MAX = 24,
    NAME_BYTES_MAX = 127,
    VERSION_BYTES = 32,
    ANSWER_BYTES_MAX = 256 * 1024,
    ANSWER_ARENA_BYTES = 4 * 1024 * 1024,
    TIMEOUT_MS = 30 * 1000,
    CONNECT_TIMEOUT_MS = 10 * 1000,
};

static const char interface_version[] = "7.4";

// --- references

static bool is_made_of(Str text, size_t size_max)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-'))
            return false;
    }
    return text.size > 0 && text.size <= size_max;
}

static bool is_hex(Str text)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9')))
            return false;
    }
    return text.size == VERSION_BYTES;
}

// The vaults of Microsoft's clouds. A token for them must go to nobody else.
static bool is_vault_host(Str host, Str *ret_domain)
{
    static const char *const domains[] = {"vault.azure.net", "vault.azure.cn",
                                          "vault.usgovcloudapi.net", NULL};
    const size_t dot = str_find_char(host, '.');
    const Str domain = str_slice(host, dot + 1, host.size);
    if (!is_made_of(str_slice(host, 0, dot), VAULT_BYTES_MAX))
        return false;
    for (size_t i = 0; domains[i] != NULL; i++) {
        if (str_equal_ignoring_case(domain, str_from(domains[i]))) {
            *ret_domain = str_from(domains[i]);
            return true;
        }
    }
    return false;
}

// Splits a vault that is a URL off the front: "https://host:1/name" -> "https://host:1", "name".
static bool split_url(Str *rest, Str *ret_origin, Str *ret_domain, Error *err)
{
    Url url = {0};
    const size_t scheme = str_find(*rest, STR("://")) + 3;
    const size_t size = scheme + str_find_char(str_slice(*rest, scheme, rest->size), '/');
    const Str origin = str_slice(*rest, 0, size);
    if (!url_split(origin, &url) || url.user.size > 0 || url.query.size > 0)
        return error_set(err, ERROR_JOB, "the vault's address is no URL");
    *ret_domain = STR("vault.azure.net");
    const bool https = str_equal_ignoring_case(url.scheme, STR("https"));
    if (!url_host_is_loopback(url.host) && !(https && is_vault_host(url.host, ret_domain)))
        return error_set(err, ERROR_JOB,
                         "'" STR_FMT
                         "' is no host of Azure Key Vault (https://NAME.vault.azure.net "
                         "or a sovereign cloud's)",
                         STR_ARG(str_slice(url.host, 0, 100)));
    *ret_origin = origin;
    *rest = str_slice(*rest, size + 1, rest->size);
    return true;
}

bool key_vault_parse(Str reference, Arena *arena, KeyVaultSecret *ret_secret, Error *err)
{
    KeyVaultSecret secret = {0};
    Str rest = reference;
    Str origin = {NULL, 0};
    Str domain = STR("vault.azure.net");
    const bool is_url = str_find(rest, STR("://")) < rest.size;
    if (is_url) {
        TRY(split_url(&rest, &origin, &domain, err));
        secret.vault = origin;
    } else {
        secret.vault = str_split_next(&rest, '/');
        if (!is_made_of(secret.vault, VAULT_BYTES_MAX))
            return error_set(err, ERROR_JOB,
                             "'" STR_FMT "' is no vault's name (up to 24 letters, digits, dashes)",
                             STR_ARG(str_slice(secret.vault, 0, 60)));
        TRY(arena_printf(arena, &origin, err, "https://" STR_FMT ".vault.azure.net",
                         STR_ARG(secret.vault)));
    }
    secret.name = rest.data == NULL ? STR("") : str_split_next(&rest, '/');
    secret.version = rest.data == NULL ? STR("") : rest;
    if (!is_made_of(secret.name, NAME_BYTES_MAX))
        return error_set(err, ERROR_JOB,
                         "'" STR_FMT "' is no secret's name (letters, digits, dashes)",
                         STR_ARG(str_slice(secret.name, 0, 60)));
    if (rest.data != NULL && !is_hex(secret.version))
        return error_set(err, ERROR_JOB,
                         "what follows '" STR_FMT "/' is no version (32 hex digits)",
                         STR_ARG(secret.name));
    TRY(arena_printf(arena, &secret.url, err,
                     STR_FMT "/secrets/" STR_FMT "%s" STR_FMT "?api-version=%s", STR_ARG(origin),
                     STR_ARG(secret.name), secret.version.size > 0 ? "/" : "",
                     STR_ARG(secret.version), interface_version));
    TRY(arena_printf(arena, &secret.resource, err, "https://" STR_FMT, STR_ARG(domain)));
    *ret_secret = secret;
    return true;
}

// --- reading

typedef struct Asker {
    const KeyVaultSecret *secret;
    Identity *identity;
    Arena *arena;
} Asker;

static bool authorize(void *state, AzureCall *call, bool renew, Error *err)
{
    const Asker *asker = state;
    Str token = {0};
    Str value = {0};
    return identity_token(asker->identity, asker->secret->resource, renew, &token, err) &&
           arena_printf(asker->arena, &value, err, "Bearer " STR_FMT, STR_ARG(token)) &&
           http_request_add_header(&call->request, STR("Authorization"), value, err);
}

// The service's inner code ("ForbiddenByRbac", "ForbiddenByFirewall"), or its code.
static Str error_word(yyjson_val *root)
{
    yyjson_val *error = json_get(root, STR("error"));
    const Str inner = json_str(json_get(json_get(error, STR("innererror")), STR("code")));
    const Str code = json_str(json_get(error, STR("code")));
    if (is_made_of(inner, AZURE_CODE_BYTES_MAX))
        return inner;
    return is_made_of(code, AZURE_CODE_BYTES_MAX) ? code : STR("no error code");
}

static bool refuse(const KeyVaultSecret *secret, const Identity *identity, int status, Str word,
                   Error *err)
{
    if (status == 404)
        return error_set(err, ERROR_NOT_FOUND,
                         "vault " STR_FMT " has no secret '" STR_FMT "' (" STR_FMT ")",
                         STR_ARG(secret->vault), STR_ARG(secret->name), STR_ARG(word));
    if (status == 401 || status == 403)
        return error_set(err, ERROR_ACCESS,
                         "vault " STR_FMT " does not show '" STR_FMT "' to " STR_FMT " (" STR_FMT
                         "): %s",
                         STR_ARG(secret->vault), STR_ARG(secret->name),
                         STR_ARG(identity_name(identity)), STR_ARG(word),
                         str_equal(word, STR("ForbiddenByFirewall"))
                             ? "admit this network in the vault's firewall"
                             : "give it the role 'Key Vault Secrets User' on this vault");
    return error_set(err, retry_is_transient_status(status) ? ERROR_BUSY : ERROR_DATA,
                     "vault " STR_FMT ", secret '" STR_FMT "': status %d, " STR_FMT,
                     STR_ARG(secret->vault), STR_ARG(secret->name), status, STR_ARG(word));
}

static bool read_answer(const KeyVaultSecret *secret, const Identity *identity,
                        const HttpResponse *response, Arena *scratch, Arena *arena, Str *ret_value,
                        Error *err)
{
    yyjson_doc *doc = NULL;
    Error unread = {0};
    yyjson_val *root = json_parse(response->body, "key vault", scratch, &doc, &unread)
                           ? yyjson_doc_get_root(doc)
                           : NULL;
    if (response->status != 200)
        return refuse(secret, identity, response->status, error_word(root), err);
    yyjson_val *value = json_get(root, STR("value"));
    if (!yyjson_is_str(value) || json_str(value).size > KEY_VAULT_SECRET_BYTES_MAX)
        return error_set(err, ERROR_DATA,
                         "vault " STR_FMT ", secret '" STR_FMT "': the answer holds no value",
                         STR_ARG(secret->vault), STR_ARG(secret->name));
    return arena_copy_str(arena, json_str(value), ret_value, err);
}

static void wipe(Arena **arena)
{
    arena_wipe(*arena);
}

bool key_vault_get(const KeyVaultSecret *secret, Identity *identity, Env *env, Arena *arena,
                   Str *ret_value, Error *err)
{
    CLEANUP(wipe) Arena *scratch = arena_new(ANSWER_ARENA_BYTES, err);
    TRY(scratch != NULL);
    CLEANUP(http_client_freep) HttpClient *client = NULL;
    const HttpOptions options = {
        .connections = 1, .timeout_ms = TIMEOUT_MS, .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    TRY(http_client_new(&options, env, &client, err));
    Asker asker = {.secret = secret, .identity = identity, .arena = scratch};
    const AzureSender sender = {.client = client,
                                .env = env,
                                .policy = azure_retry,
                                .authorize = authorize,
                                .state = &asker};
    CLEANUP(azure_call_done)
    AzureCall call = {
        .request = {.method = STR("GET"), .url = secret->url, .body_bytes_max = ANSWER_BYTES_MAX}};
    TRY(http_request_add_header(&call.request, STR("Accept"), STR("application/json"), err));
    if (!azure_send(&sender, &call, 1, err))
        return error_context(err, "vault " STR_FMT ", secret '" STR_FMT "'", STR_ARG(secret->vault),
                             STR_ARG(secret->name));
    return read_answer(secret, identity, &call.exchange->response, scratch, arena, ret_value, err);
}
