// The store in a container of an Azure storage account, ADLS Gen2 included.
//
// Only the Blob end point is used. A blob appears whole or not at all and is durable once the
// service has said so, so STORE_LAZY changes nothing and publish() needs no help.
//
// Whether a creation was ours is told by a name that each writing carries in the blob's metadata:
// after a request whose answer was lost, or that curl had to send twice, "it exists" may be about
// what we have just made ourselves.
#include "store/adls.h"

#include "base/file.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

enum {
    READ_AHEAD_BYTES = 4 * 1024 * 1024,
    PROBE_BYTES = 4096, // who asks for less wants to know whether it is there
    BLOCKS_MAX = 50000, // of a blob
    BLOCK_ID_TEXT = 48,
    RANGE_TEXT = 64,
    UPLOADS_MAX = 3,
    ARENA_BYTES = 512 * 1024 * 1024,
};

static const Str write_header = {"x-ms-meta-pawlwrite", 19};

static const char *const auth_names[] = {
    "default", "key", "sas", "client_secret", "federated", "managed_identity", NULL};

// clang-format off
static const Field adls_fields[] = {
    {"account",       FIELD_STR(Adls, account),        .required = true, .help = "the storage account's name"},
    {"container",     FIELD_STR(Adls, container),      .required = true, .help = "the container; it must exist"},
    {"prefix",        FIELD_STR(Adls, prefix),         .help = "folder in the container below which everything lies"},
    {"endpoint",      FIELD_STR(Adls, endpoint),       .help = "the Blob end point, where it is not https://<account>.blob.core.windows.net"},
    {"auth",          FIELD_CHOICE(Adls, auth, auth_names), .fallback = "default", .help = "how to prove who we are; default: the key or SAS that is given, else a client secret, a federated token, the managed identity"},
    {"account_key",   FIELD_SECRET(Adls, account_key), .help = "the account's shared key"},
    {"sas_token",     FIELD_SECRET(Adls, sas_token),   .help = "a shared access signature (account, service or user delegation)"},
    {"tenant_id",     FIELD_STR(Adls, tenant_id),      .help = "the Entra tenant; else AZURE_TENANT_ID"},
    {"client_id",     FIELD_STR(Adls, client_id),      .help = "the app or the user-assigned identity; else AZURE_CLIENT_ID"},
    {"client_secret", FIELD_SECRET(Adls, client_secret), .help = "the app's secret; else AZURE_CLIENT_SECRET"},
    {"token_file",    FIELD_STR(Adls, token_file),     .help = "file with the federated token; else AZURE_FEDERATED_TOKEN_FILE"},
    {"authority",     FIELD_STR(Adls, authority),      .help = "the login host of a sovereign cloud; else AZURE_AUTHORITY_HOST"},
    {"ca_file",       FIELD_STR(Adls, ca_file),        .help = "certificates to trust instead of the system's"},
    {"block_bytes",   FIELD_SIZE(Adls, block_bytes, 64 * 1024, 100 * 1024 * 1024), .fallback = "8MiB", .help = "larger files go up in blocks of this size, several at once"},
    {"connections",   FIELD_INT(Adls, connections, 1, 32), .fallback = "4", .help = "requests at once for one file"},
    {0},
};
// clang-format on

// --- opening

static Str trim_slashes(Str text)
{
    while (text.size > 0 && text.data[text.size - 1] == '/')
        text.size--;
    while (text.size > 0 && text.data[0] == '/')
        text = str_slice(text, 1, text.size);
    return text;
}

static bool open_client(Adls *adls, Str folder, Arena *arena, Error *err)
{
    Str ca_file = adls->ca_file;
    if (ca_file.size > 0 && folder.size > 0)
        TRY(file_join(arena, folder, ca_file, &ca_file, err));
    const BlobOptions options = {
        .account = adls->account,
        .container = adls->container,
        .endpoint = adls->endpoint,
        .auth = (BlobAuth)adls->auth,
        .account_key = adls->account_key,
        .sas_token = adls->sas_token,
        .identity = {.tenant_id = adls->tenant_id,
                     .client_id = adls->client_id,
                     .client_secret = adls->client_secret,
                     .token_file = adls->token_file,
                     .authority = adls->authority,
                     .ca_file = ca_file,
                     .folder = folder},
        .connections = (size_t)adls->connections,
    };
    return blob_client_open(&options, adls->env, &adls->client, err);
}

static bool adls_open(void *state, Str folder, Env *env, Error *err)
{
    Adls *adls = state;
    adls->env = env;
    adls->prefix = trim_slashes(adls->prefix);
    if (adls->prefix.size > 0)
        TRY(store_check_path(adls->prefix, err));
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)64 * 1024, err);
    TRY(arena != NULL);
    if (!open_client(adls, folder, arena, err))
        return error_context(err, "adls store");
    return true;
}

static void adls_close(void *state)
{
    Adls *adls = state;
    blob_client_close(adls->client);
    buf_done(&adls->window.bytes);
}

bool adls_name(const Adls *adls, Str path, AdlsName *ret_name, Error *err)
{
    const int size = snprintf(ret_name->text, sizeof(ret_name->text), STR_FMT "%s" STR_FMT,
                              STR_ARG(adls->prefix),
                              adls->prefix.size > 0 && path.size > 0 ? "/" : "", STR_ARG(path));
    if (size < 0 || (size_t)size > BLOB_NAME_BYTES_MAX)
        return error_set(err, ERROR_LIMIT,
                         "path '" STR_FMT "': longer than %d bytes with its prefix", STR_ARG(path),
                         BLOB_NAME_BYTES_MAX);
    ret_name->size = (size_t)size;
    return true;
}

void adls_new_id(Env *env, char ret_id[ADLS_ID_TEXT + 1])
{
    const uint64_t a = env->random(env->state);
    const uint64_t b = env->random(env->state);
    (void)snprintf(ret_id, ADLS_ID_TEXT + 1, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(a >> 32),
                   (unsigned)(a >> 16 & 0xFFFF), (unsigned)(a & 0xFFF), (unsigned)(b >> 52),
                   (unsigned long long)(b & 0xFFFFFFFFFFFF));
}

// --- reading

// "bytes 0-99/1234": where the range starts, and the file's size.
static bool read_range(const HttpResponse *response, uint64_t *ret_start, uint64_t *ret_total)
{
    static const Str unit = {"bytes ", 6};
    const Str range = http_header(response, STR("Content-Range"));
    const size_t dash = str_find_char(range, '-');
    const size_t slash = str_find_char(range, '/');
    int64_t start = 0;
    int64_t total = 0;
    if (!str_starts_with(range, unit) || dash > slash ||
        !str_to_int64(str_slice(range, unit.size, dash - unit.size), &start) || start < 0 ||
        !str_to_int64(str_slice(range, slash + 1, range.size), &total) || total < 0)
        return false;
    *ret_start = (uint64_t)start;
    *ret_total = (uint64_t)total;
    return true;
}

static bool is_folder(const HttpResponse *response)
{
    return str_equal_ignoring_case(http_header(response, STR("x-ms-meta-hdi_isfolder")),
                                   STR("true")) ||
           str_equal(http_header(response, STR("x-ms-resource-type")), STR("directory"));
}

static bool not_there(Str path, Error *err)
{
    return error_set(err, ERROR_NOT_FOUND, "'" STR_FMT "': no such file", STR_ARG(path));
}

// Keeps what came, and of which state of the file it is.
static bool fill_window(AdlsWindow *window, Str path, uint64_t offset, const BlobAnswer *answer,
                        Error *err)
{
    const HttpResponse *response = answer->response;
    const Str etag = http_header(response, STR("ETag"));
    window->path[0] = '\0';
    buf_clear(&window->bytes);
    uint64_t start = 0;
    uint64_t total = response->body.size;
    if ((response->status == 206 && !read_range(response, &start, &total)) || start != offset)
        return error_set(err, ERROR_DATA, "'" STR_FMT "': the answer is not the range asked for",
                         STR_ARG(path));
    TRY(buf_append(&window->bytes, response->body, err));
    window->start = offset;
    window->next = offset;
    window->total = total;
    window->etag[0] = '\0';
    if (etag.size < sizeof(window->etag))
        (void)snprintf(window->etag, sizeof(window->etag), STR_FMT, STR_ARG(etag));
    (void)snprintf(window->path, sizeof(window->path), STR_FMT, STR_ARG(path));
    return true;
}

// Reads on from where the last read ended: then it must be the same state of the file.
static bool goes_on(const AdlsWindow *window, Str path, uint64_t offset)
{
    return offset > 0 && offset == window->next && str_equal(str_from(window->path), path);
}

static bool fetch_window(Adls *adls, Str path, uint64_t offset, size_t size, Error *err)
{
    AdlsWindow *window = &adls->window;
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    const uint64_t wanted = size < PROBE_BYTES || size > READ_AHEAD_BYTES ? size : READ_AHEAD_BYTES;
    char range[RANGE_TEXT];
    (void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, offset, offset + wanted - 1);
    char etag[sizeof(window->etag)];
    memcpy(etag, window->etag, sizeof(etag));
    BlobRequest request = {.method = STR("GET"),
                           .name = adls_name_str(&name),
                           .answer_bytes_max = (size_t)wanted + BLOB_ANSWER_BYTES_MAX};
    blob_request_header(&request, STR("x-ms-range"), str_from(range));
    const bool on = goes_on(window, path, offset) && etag[0] != '\0';
    if (on)
        blob_request_header(&request, STR("If-Match"), str_from(etag));
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    const int status = answer.response->status;
    if (status == 416) { // at or beyond the end
        window->path[0] = '\0';
        buf_clear(&window->bytes);
        window->start = offset;
        window->total = offset;
        return true;
    }
    if (status == 412 && on)
        return error_set(err, ERROR_CONFLICT, "'" STR_FMT "': was replaced while it was read",
                         STR_ARG(path));
    if (status != 200 && status != 206)
        return blob_refused(adls->client, &request, &answer, err);
    if (is_folder(answer.response))
        return not_there(path, err);
    return fill_window(window, path, offset, &answer, err);
}

static bool adls_read(void *state, Str path, uint64_t offset, char *bytes, size_t size,
                      size_t *ret_got, Error *err)
{
    Adls *adls = state;
    AdlsWindow *window = &adls->window;
    const bool on = goes_on(window, path, offset);
    const bool at_end = on && offset >= window->total;
    if (!at_end && !(on && offset < window->start + window->bytes.size))
        TRY(fetch_window(adls, path, offset, size, err));
    const Str piece =
        at_end ? (Str){NULL, 0}
               : str_slice(buf_str(&window->bytes), (size_t)(offset - window->start), size);
    if (piece.size > 0)
        memcpy(bytes, piece.data, piece.size);
    window->next = offset + piece.size;
    *ret_got = piece.size;
    return true;
}

// --- writing

// What one writing needs at every step.
typedef struct Upload {
    Adls *adls;
    Str path;
    Str name;
    Str bytes;
    bool create; // ERROR_CONFLICT when it exists
    char id[ADLS_ID_TEXT + 1];
} Upload;

// Does something lie there, and is it what we have just written?
static bool look_there(const Upload *upload, bool *ret_there, bool *ret_ours, Error *err)
{
    const BlobRequest request = {.method = STR("HEAD"), .name = upload->name};
    BlobAnswer answer = {0};
    TRY(blob_send(upload->adls->client, &request, &answer, err));
    const int status = answer.response->status;
    if (status != 200 && status != 404)
        return blob_refused(upload->adls->client, &request, &answer, err);
    *ret_there = status == 200;
    *ret_ours = status == 200 &&
                str_equal(http_header(answer.response, write_header), str_from(upload->id));
    return true;
}

static bool judge_write(const Upload *upload, const BlobRequest *request, const BlobAnswer *answer,
                        Error *err)
{
    const int status = answer->response->status;
    if (status == 201)
        return true;
    const bool exists = upload->create && (status == 409 || status == 412);
    if (!exists)
        return blob_refused(upload->adls->client, request, answer, err);
    Error refused = {0}; // the answer goes with the next request
    (void)blob_refused(upload->adls->client, request, answer, &refused);
    bool there = false;
    bool ours = false;
    TRY(look_there(upload, &there, &ours, err));
    if (ours)
        return true;
    // 409 has other reasons as well: a container that is being deleted, a folder's name that is a
    // file's. Who believed that it exists would go on without it.
    if (!there) {
        *err = refused;
        err->code = ERROR_IO;
        return false;
    }
    return error_set(err, ERROR_CONFLICT, "'" STR_FMT "': exists", STR_ARG(upload->path));
}

// The request that makes the blob appear.
static BlobRequest final_request(const Upload *upload)
{
    BlobRequest request = {.method = STR("PUT"), .name = upload->name};
    blob_request_header(&request, write_header, str_from(upload->id));
    if (upload->create)
        blob_request_header(&request, STR("If-None-Match"), STR("*"));
    return request;
}

// What is written after somebody said to stop, as a disk would take it: what a run has to say of
// its end. Briefly, and once.
static bool put_whole(const Upload *upload, Error *err)
{
    BlobRequest request = final_request(upload);
    request.is_last_word = atomic_load(&upload->adls->env->stop);
    if (request.is_last_word) {
        request.timeout_ms = ADLS_LAST_WORD_MS;
        request.retry_within_us = 1;
    }
    request.body = upload->bytes;
    blob_request_header(&request, STR("x-ms-blob-type"), STR("BlockBlob"));
    BlobAnswer answer = {0};
    TRY(blob_send(upload->adls->client, &request, &answer, err));
    return judge_write(upload, &request, &answer, err);
}

// Base64 without padding, all of one length: the first 8 letters are the writing's own, so that two
// writers of one blob do not mix their blocks.
static Str block_id(const Upload *upload, size_t index, char text[BLOCK_ID_TEXT])
{
    const int size = snprintf(text, BLOCK_ID_TEXT, "%.8s%08zu", upload->id, index);
    assert(size == 16);
    return (Str){text, (size_t)size};
}

static bool put_blocks(const Upload *upload, size_t block_bytes, size_t count, Arena *arena,
                       Error *err)
{
    BlobRequest *requests = arena_alloc_array(arena, count, sizeof(*requests), err);
    BlobAnswer *answers = arena_alloc_array(arena, count, sizeof(*answers), err);
    char(*ids)[BLOCK_ID_TEXT] = arena_alloc_array(arena, count, sizeof(*ids), err);
    TRY(requests != NULL && answers != NULL && ids != NULL);
    for (size_t i = 0; i < count; i++) {
        requests[i] = (BlobRequest){.method = STR("PUT"),
                                    .name = upload->name,
                                    .body = str_slice(upload->bytes, i * block_bytes, block_bytes)};
        blob_request_pair(&requests[i], STR("comp"), STR("block"));
        blob_request_pair(&requests[i], STR("blockid"), block_id(upload, i, ids[i]));
    }
    TRY(blob_send_all(upload->adls->client, requests, count, answers, err));
    for (size_t i = 0; i < count; i++) {
        if (answers[i].response->status != 201)
            return blob_refused(upload->adls->client, &requests[i], &answers[i], err);
    }
    return true;
}

// *ret_lost: another writer of the same blob has thrown our blocks away by committing his.
static bool commit_blocks(const Upload *upload, size_t count, bool *ret_lost, Error *err)
{
    CLEANUP(buf_done) Buf list = {0};
    TRY(buf_printf(&list, err, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>"));
    for (size_t i = 0; i < count; i++) {
        char id[BLOCK_ID_TEXT];
        TRY(buf_printf(&list, err, "<Latest>" STR_FMT "</Latest>",
                       STR_ARG(block_id(upload, i, id))));
    }
    TRY(buf_printf(&list, err, "</BlockList>"));
    BlobRequest request = final_request(upload);
    request.body = buf_str(&list);
    blob_request_pair(&request, STR("comp"), STR("blocklist"));
    BlobAnswer answer = {0};
    TRY(blob_send(upload->adls->client, &request, &answer, err));
    *ret_lost = answer.response->status == 400 && str_equal(answer.code, STR("InvalidBlockList"));
    if (!*ret_lost)
        return judge_write(upload, &request, &answer, err);
    // Our own commit may be what took them, when its answer was lost.
    bool there = false;
    bool ours = false;
    TRY(look_there(upload, &there, &ours, err));
    *ret_lost = !ours;
    return true;
}

static bool put_in_blocks(const Upload *upload, Error *err)
{
    const size_t least = upload->bytes.size / BLOCKS_MAX + 1;
    const size_t wanted = (size_t)upload->adls->block_bytes;
    const size_t block_bytes = wanted > least ? wanted : least;
    const size_t count = (upload->bytes.size + block_bytes - 1) / block_bytes;
    for (int i = 0; i < UPLOADS_MAX; i++) {
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, err);
        TRY(arena != NULL);
        bool lost = false;
        TRY(put_blocks(upload, block_bytes, count, arena, err));
        TRY(commit_blocks(upload, count, &lost, err));
        if (!lost)
            return true;
    }
    return error_set(err, ERROR_CONFLICT, "'" STR_FMT "': somebody else writes it all the time",
                     STR_ARG(upload->path));
}

static bool write_blob(Adls *adls, Str path, Str bytes, bool create, Error *err)
{
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    Upload upload = {
        .adls = adls, .path = path, .name = adls_name_str(&name), .bytes = bytes, .create = create};
    adls_new_id(adls->env, upload.id);
    if (bytes.size > adls->block_bytes)
        return put_in_blocks(&upload, err);
    return put_whole(&upload, err);
}

static bool adls_create(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    (void)flags;
    return write_blob(state, path, bytes, true, err);
}

static bool adls_put(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    (void)flags;
    return write_blob(state, path, bytes, false, err);
}

static bool adls_remove(void *state, Str path, Error *err)
{
    Adls *adls = state;
    AdlsName name;
    TRY(adls_name(adls, path, &name, err));
    BlobRequest request = {.method = STR("DELETE"), .name = adls_name_str(&name)};
    blob_request_header(&request, STR("x-ms-delete-snapshots"), STR("include"));
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    const int status = answer.response->status;
    const bool gone = status == 404 && !str_equal(answer.code, STR("ContainerNotFound"));
    return status == 202 || status == 200 || gone ||
           blob_refused(adls->client, &request, &answer, err);
}

const StoreDriver store_adls = {
    .name = "adls",
    .summary = "a container of an Azure storage account (Blob or ADLS Gen2)",
    .fields = adls_fields,
    .state_size = sizeof(Adls),
    .open = adls_open,
    .read = adls_read,
    .create = adls_create,
    .put = adls_put,
    .remove = adls_remove,
    .list = adls_list,
    .lease_take = adls_lease_take,
    .lease_renew = adls_lease_renew,
    .lease_release = adls_lease_release,
    .close = adls_close,
    .features = STORE_REMOTE,
};
