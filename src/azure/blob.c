#include "azure/blob.h"

#include "base/hash.h"
#include "base/time.h"
#include "net/url.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

enum {
    OWN_BYTES_MAX = 256 * 1024,
    CALL_BYTES_MAX = 512 * 1024 * 1024,
    SMALL_BYTES = 512 * 1024, // an arena that grew beyond is not kept
    URL_BYTES_MAX = 64 * 1024,
    TRY_TIMEOUT_MS = 5 * 60 * 1000,
    CONNECT_TIMEOUT_MS = 10 * 1000,
    STALL_TIMEOUT_MS = 30 * 1000,
    ACCOUNT_BYTES_MAX = 24,
    CONTAINER_BYTES_MAX = 63,
    REQUEST_ID_BYTES_MAX = 40,
    ADVICE_BYTES = 330,
    DATE_BYTES = 40,
};

// The service takes a date that is a quarter of an hour off.
#define CLOCK_US_MAX INT64_C(600000000)

static const Str api_version = {"2023-11-03", 10};
static const Str resource = {"https://storage.azure.com", 25};

struct BlobClient {
    Env *env;
    Arena *arena; // settings; wiped
    Arena *calls; // of the calls in hand; wiped
    HttpClient *http;
    Str account;
    Str place;     // "account/container"
    Str base_url;  // "https://account.blob.core.windows.net/container"
    Str base_path; // "/container"
    BlobAuth auth; // never BLOB_AUTH_DEFAULT
    SharedKey key;
    Str sas;
    Identity *identity;
    AzureCall *items; // of the last send
    size_t item_count;
};

// What authorize() needs to know of a call.
typedef struct Target {
    const BlobRequest *request;
    Str path; // of the URL
} Target;

// --- opening

static bool is_name(Str text, size_t size_max, bool with_dash)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (with_dash && (c == '-' || c == '$'))))
            return false;
    }
    return text.size >= 3 && text.size <= size_max;
}

static bool check_names(const BlobOptions *options, Error *err)
{
    if (!is_name(options->account, ACCOUNT_BYTES_MAX, false))
        return error_set(err, ERROR_JOB,
                         "account '" STR_FMT "': is not 3 to 24 lower-case letters and digits",
                         STR_ARG(str_slice(options->account, 0, 40)));
    if (!is_name(options->container, CONTAINER_BYTES_MAX, true))
        return error_set(err, ERROR_JOB,
                         "container '" STR_FMT
                         "': is not 3 to 63 lower-case letters, digits and dashes",
                         STR_ARG(str_slice(options->container, 0, 80)));
    return true;
}

static bool read_endpoint(BlobClient *client, const BlobOptions *options, Error *err)
{
    Str endpoint = options->endpoint;
    while (endpoint.size > 0 && endpoint.data[endpoint.size - 1] == '/')
        endpoint.size--;
    if (endpoint.size == 0)
        TRY(arena_printf(client->arena, &endpoint, err, "https://" STR_FMT ".blob.core.windows.net",
                         STR_ARG(options->account)));
    Url url = {0};
    if (!url_split(endpoint, &url) || url.query.size > 0 || url.user.size > 0)
        return error_set(err, ERROR_JOB,
                         "endpoint: is not https://HOST (without the container, without a SAS)");
    TRY(arena_printf(client->arena, &client->base_url, err, STR_FMT "/" STR_FMT, STR_ARG(endpoint),
                     STR_ARG(options->container)));
    (void)url_split(client->base_url, &url);
    client->base_path = url.path;
    return arena_copy_str(client->arena, options->account, &client->account, err) &&
           arena_printf(client->arena, &client->place, err, STR_FMT "/" STR_FMT,
                        STR_ARG(options->account), STR_ARG(options->container));
}

static bool read_sas(BlobClient *client, Str sas, Error *err)
{
    sas = str_trim(sas);
    if (sas.size > 0 && sas.data[0] == '?')
        sas = str_slice(sas, 1, sas.size);
    const bool has_signature =
        str_starts_with(sas, STR("sig=")) || str_find(sas, STR("&sig=")) < sas.size;
    if (!has_signature || !http_text_is_line(sas) || str_find_char(sas, ' ') < sas.size)
        return error_set(err, ERROR_JOB,
                         "sas_token: is no SAS (the part of a signed URL behind '?', with sig=)");
    return arena_copy_str(client->arena, sas, &client->sas, err);
}

static bool open_identity(BlobClient *client, const BlobOptions *options, Error *err)
{
    IdentityOptions identity = options->identity;
    identity.kind = client->auth == BLOB_AUTH_CLIENT_SECRET ? IDENTITY_CLIENT_SECRET
                    : client->auth == BLOB_AUTH_FEDERATED   ? IDENTITY_FEDERATED
                    : client->auth == BLOB_AUTH_MANAGED     ? IDENTITY_MANAGED
                                                            : IDENTITY_DEFAULT;
    return identity_open(&identity, client->env, &client->identity, err);
}

static bool open_credential(BlobClient *client, const BlobOptions *options, Error *err)
{
    client->auth = options->auth;
    if (client->auth == BLOB_AUTH_DEFAULT && options->account_key.size > 0)
        client->auth = BLOB_AUTH_KEY;
    if (client->auth == BLOB_AUTH_DEFAULT && options->sas_token.size > 0)
        client->auth = BLOB_AUTH_SAS;
    if (client->auth == BLOB_AUTH_KEY)
        return shared_key_read(&client->key, options->account_key, err);
    if (client->auth == BLOB_AUTH_SAS)
        return read_sas(client, options->sas_token, err);
    return open_identity(client, options, err);
}

bool blob_client_open(const BlobOptions *options, Env *env, BlobClient **ret_client, Error *err)
{
    TRY(check_names(options, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(OWN_BYTES_MAX, err);
    TRY(arena != NULL);
    BlobClient *client = arena_alloc(arena, sizeof(*client), err);
    TRY(client != NULL);
    *client = (BlobClient){.env = env, .arena = arena};
    arena = NULL; // the client's from here on
    const HttpOptions http = {.connections = options->connections,
                              .timeout_ms = TRY_TIMEOUT_MS,
                              .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                              .stall_timeout_ms = STALL_TIMEOUT_MS,
                              .ca_file = options->identity.ca_file};
    if (!read_endpoint(client, options, err) || !open_credential(client, options, err) ||
        !http_client_new(&http, env, &client->http, err)) {
        blob_client_close(client);
        return false;
    }
    *ret_client = client;
    return true;
}

// Frees what the last call left.
static void forget_calls(BlobClient *client)
{
    for (size_t i = 0; i < client->item_count; i++)
        azure_call_done(&client->items[i]);
    client->item_count = 0;
}

void blob_client_close(BlobClient *client)
{
    if (client == NULL)
        return;
    forget_calls(client);
    http_client_free(client->http);
    identity_close(client->identity);
    shared_key_wipe(&client->key);
    arena_wipe(client->calls);
    arena_wipe(client->arena);
}

void blob_client_closep(BlobClient **client)
{
    blob_client_close(*client);
}

// --- requests

void blob_request_pair(BlobRequest *request, Str name, Str value)
{
    assert(request->pair_count < BLOB_PAIRS_MAX);
    request->pairs[request->pair_count++] = (UrlPair){name, value};
}

void blob_request_header(BlobRequest *request, Str name, Str value)
{
    assert(request->header_count < BLOB_HEADERS_MAX);
    request->headers[request->header_count++] = (HttpHeader){name, value};
}

static bool build_url(BlobClient *client, const BlobRequest *request, Str *ret_url, Str *ret_path,
                      Error *err)
{
    CLEANUP(buf_done) Buf url = {.limit_bytes = URL_BYTES_MAX};
    TRY(buf_append(&url, client->base_url, err));
    if (request->name.size > 0)
        TRY(buf_append_char(&url, '/', err) && url_quote(request->name, STR("/"), &url, err));
    const size_t host_size = client->base_url.size - client->base_path.size;
    const size_t path_size = url.size - host_size;
    for (size_t i = 0; i < request->pair_count; i++)
        TRY(buf_append_char(&url, i == 0 ? '?' : '&', err) &&
            url_quote(request->pairs[i].name, STR(""), &url, err) &&
            buf_append_char(&url, '=', err) &&
            url_quote(request->pairs[i].value, STR(""), &url, err));
    if (client->auth == BLOB_AUTH_SAS)
        TRY(buf_append_char(&url, request->pair_count == 0 ? '?' : '&', err) &&
            buf_append(&url, client->sas, err));
    TRY(arena_copy_str(client->calls, buf_str(&url), ret_url, err));
    OPENSSL_cleanse(url.data, url.size);
    *ret_path = str_slice(*ret_url, host_size, path_size);
    return true;
}

// RFC 9110's date, as x-ms-date wants it: "Fri, 26 Jun 2015 23:39:12 GMT".
static bool add_date(BlobClient *client, HttpRequest *request, Error *err)
{
    CLEANUP(buf_done) Buf text = {.limit_bytes = DATE_BYTES};
    Str date = {0};
    return time_format(client->env->now_us(client->env->state), 0, STR("%a, %d %b %Y %H:%M:%S GMT"),
                       &text, err) &&
           arena_copy_str(client->calls, buf_str(&text), &date, err) &&
           http_request_add_header(request, STR("x-ms-date"), date, err);
}

static bool authorize(void *state, AzureCall *call, bool renew, Error *err)
{
    BlobClient *client = state;
    const Target *target = call->tag;
    HttpRequest *request = &call->request;
    Str value = {0};
    if (client->auth == BLOB_AUTH_SAS)
        return true;
    TRY(add_date(client, request, err));
    if (client->auth == BLOB_AUTH_KEY) {
        CLEANUP(buf_done) Buf text = {.limit_bytes = URL_BYTES_MAX};
        TRY(shared_key_text(client->account, request, target->path, target->request->pairs,
                            target->request->pair_count, &text, err));
        TRY(shared_key_sign(&client->key, client->account, buf_str(&text), client->calls, &value,
                            err));
    } else {
        Str token = {0};
        TRY(identity_token(client->identity, resource, renew, &token, err));
        TRY(arena_printf(client->calls, &value, err, "Bearer " STR_FMT, STR_ARG(token)));
    }
    return http_request_add_header(request, STR("Authorization"), value, err);
}

static bool build(BlobClient *client, const BlobRequest *request, AzureCall *call, Target *target,
                  Error *err)
{
    assert(request->name.size <= BLOB_NAME_BYTES_MAX);
    target->request = request;
    call->tag = target;
    HttpRequest *http = &call->request;
    http->method = request->method;
    http->body = request->body;
    http->body_bytes_max =
        request->answer_bytes_max > 0 ? request->answer_bytes_max : BLOB_ANSWER_BYTES_MAX;
    http->timeout_ms = request->timeout_ms;
    TRY(build_url(client, request, &http->url, &target->path, err));
    TRY(http_request_add_header(http, STR("x-ms-version"), api_version, err));
    TRY(http_request_add_header(http, STR("Accept-Encoding"), STR("identity"), err));
    for (size_t i = 0; i < request->header_count; i++)
        TRY(http_request_add_header(http, request->headers[i].name, request->headers[i].value,
                                    err));
    return true;
}

static bool prepare(BlobClient *client, Error *err)
{
    forget_calls(client);
    if (client->calls != NULL && arena_used_bytes(client->calls) <= SMALL_BYTES) {
        arena_reset(client->calls);
        return true;
    }
    arena_wipe(client->calls);
    client->calls = arena_new(CALL_BYTES_MAX, err);
    return client->calls != NULL;
}

bool blob_send_all(BlobClient *client, const BlobRequest *requests, size_t count,
                   BlobAnswer *ret_answers, Error *err)
{
    assert(count > 0);
    TRY(prepare(client, err));
    AzureCall *calls = arena_alloc_array(client->calls, count, sizeof(*calls), err);
    Target *targets = arena_alloc_array(client->calls, count, sizeof(*targets), err);
    TRY(calls != NULL && targets != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(build(client, &requests[i], &calls[i], &targets[i], err));
    const AzureSender sender = {.client = client->http,
                                .env = client->env,
                                .policy = azure_retry,
                                .retry_within_us = requests[0].retry_within_us,
                                .answers_401 = client->identity == NULL,
                                .authorize = authorize,
                                .state = client};
    http_client_heed_stop(client->http, !requests[0].is_last_word);
    if (!azure_send(&sender, calls, count, err))
        return error_context(err, STR_FMT, STR_ARG(client->place));
    client->items = calls;
    client->item_count = count;
    for (size_t i = 0; i < count; i++) {
        const HttpResponse *response = &calls[i].exchange->response;
        ret_answers[i] = (BlobAnswer){.response = response,
                                      .code = azure_error_code(response),
                                      .uncertain = calls[i].uncertain};
    }
    return true;
}

bool blob_send(BlobClient *client, const BlobRequest *request, BlobAnswer *ret_answer, Error *err)
{
    return blob_send_all(client, request, 1, ret_answer, err);
}

// --- refusals

static bool is_code(const BlobAnswer *answer, const char *code)
{
    return str_equal(answer->code, str_from(code));
}

// How far the clock by which we sign is ahead of the service's; 0 = it did not say.
static int64_t clock_ahead_us(const BlobClient *client, const BlobAnswer *answer)
{
    const int64_t now_us = client->env->now_us(client->env->state);
    const Str date = str_trim(http_header(answer->response, STR("Date")));
    int64_t there_us = 0;
    return http_date_parse(date, now_us, &there_us) ? now_us - there_us : 0;
}

// What a person can do about a 401 or 403. Which right lacks is said by name.
static void advise(const BlobClient *client, const BlobAnswer *answer, char advice[ADVICE_BYTES])
{
    const int64_t ahead_us =
        client->auth == BLOB_AUTH_KEY && is_code(answer, "AuthenticationFailed")
            ? clock_ahead_us(client, answer)
            : 0;
    if (ahead_us > CLOCK_US_MAX || ahead_us < -CLOCK_US_MAX)
        (void)snprintf(advice, ADVICE_BYTES,
                       "set the clock of this machine, which is %lld minutes %s the service's",
                       (long long)(ahead_us > 0 ? ahead_us : -ahead_us) / 60000000,
                       ahead_us > 0 ? "ahead of" : "behind");
    else if (is_code(answer, "AuthorizationFailure") && client->identity != NULL)
        (void)snprintf(advice, ADVICE_BYTES,
                       "give " STR_FMT " the role 'Storage Blob Data Contributor' on this "
                       "container, or admit this network in the account's firewall",
                       STR_ARG(identity_name(client->identity)));
    else if (client->identity != NULL)
        (void)snprintf(
            advice, ADVICE_BYTES,
            "give " STR_FMT " the role 'Storage Blob Data Contributor' on this "
            "container (az role assignment create; it takes minutes to reach everywhere)",
            STR_ARG(identity_name(client->identity)));
    else if (client->auth == BLOB_AUTH_SAS)
        (void)snprintf(advice, ADVICE_BYTES,
                       "renew the SAS: it needs sp=racwdl (read, add, create, write, delete, list) "
                       "for this container, and must not have ended");
    else
        (void)snprintf(advice, ADVICE_BYTES,
                       "check account_key (was it rotated?), and that the account admits shared "
                       "keys and this network");
}

static bool no_container(const BlobClient *client, Error *err)
{
    return error_set(err, ERROR_JOB,
                     "container '" STR_FMT "' does not exist: create it (az storage container "
                     "create) or correct landing.container",
                     STR_ARG(client->place));
}

static ErrorCode code_of(int status)
{
    switch (status) {
    case 404:
        return ERROR_NOT_FOUND;
    case 409:
    case 412:
        return ERROR_CONFLICT;
    case 413:
    case 507:
        return ERROR_LIMIT;
    case 429:
    case 503:
        return ERROR_BUSY;
    default:
        return retry_is_transient_status(status) ? ERROR_IO : ERROR_DATA;
    }
}

bool blob_refused(const BlobClient *client, const BlobRequest *request, const BlobAnswer *answer,
                  Error *err)
{
    const HttpResponse *response = answer->response;
    const Str code = answer->code.size > 0 ? answer->code : STR("no error code");
    const Str id =
        str_slice(http_header(response, STR("x-ms-request-id")), 0, REQUEST_ID_BYTES_MAX);
    if (is_code(answer, "ContainerNotFound"))
        return no_container(client, err);
    if (response->status == 401 || response->status == 403) {
        char advice[ADVICE_BYTES];
        advise(client, answer, advice);
        return error_set(err, ERROR_ACCESS, "'" STR_FMT "': " STR_FMT " refused (" STR_FMT "): %s",
                         STR_ARG(client->place), STR_ARG(request->method), STR_ARG(code), advice);
    }
    const bool full =
        is_code(answer, "BlockCountExceedsLimit") || is_code(answer, "RequestBodyTooLarge");
    error_set(err, full ? ERROR_LIMIT : code_of(response->status),
              "'" STR_FMT "/" STR_FMT "': " STR_FMT " gives %d " STR_FMT "%s" STR_FMT,
              STR_ARG(client->place), STR_ARG(str_slice(request->name, 0, 200)),
              STR_ARG(request->method), response->status, STR_ARG(code),
              id.size > 0 ? ", request " : "", STR_ARG(id));
    int64_t wait_us = 0;
    if (err->code == ERROR_BUSY &&
        retry_after_us(response, client->env->now_us(client->env->state), &wait_us))
        err->retry_after_ms = (int32_t)(wait_us / 1000 < INT32_MAX ? wait_us / 1000 : INT32_MAX);
    return false;
}
