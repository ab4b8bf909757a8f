// HttpClient: libcurl's multi interface behind the promises of http.h: sending, waiting, finishing.
#include "net/http_parts.h"

#include "base/fault.h"
#include "base/file.h"

#include <assert.h>
#include <stdio.h>

enum {
    DEFAULT_CONNECTIONS = 8,
    DEFAULT_TIMEOUT_MS = 10 * 60 * 1000,
    DEFAULT_CONNECT_TIMEOUT_MS = 30 * 1000,
    DEFAULT_STALL_TIMEOUT_MS = 60 * 1000,
    DEFAULT_MEMORY_BYTES = 512 * 1024 * 1024,
    ARENA_BYTES_MAX = 1024 * 1024, // slots and copies of the options
    POLL_MS_MAX = 50,              // longest wait without a look at env->stop
    IDLE_TRANSFERS_MAX = 4 * HTTP_CONNECTIONS_MAX,
    CONNECT_TO_BYTES_MAX = 64,
};

// --- sending ---

static Slot *free_slot(HttpClient *client)
{
    size_t i = 0;
    while (client->slots[i].transfer != NULL)
        i++;
    assert(i < client->options.connections);
    return &client->slots[i];
}

// Room for one more body like the last ones? With nothing in hand the answer is yes: a client must
// be able to go on.
static bool has_memory(const HttpClient *client)
{
    const size_t in_hand = atomic_load(&client->in_hand);
    return in_hand == 0 ||
           (in_hand + 1) * client->typical_bytes <= client->options.memory_bytes_max;
}

bool http_client_has_room(HttpClient *client)
{
    if (client->under_way == client->options.connections)
        return false;
    if (has_memory(client))
        return true;
    // Asked again after the flag is up, so that a buffer freed in between is not missed.
    atomic_store(&client->starved, true);
    return has_memory(client);
}

static bool refuse_busy(HttpClient *client, Error *err)
{
    if (http_client_has_room(client))
        return true;
    if (client->under_way == client->options.connections)
        return error_set(err, ERROR_BUSY, "http: all %zu connections are busy",
                         client->options.connections);
    return error_set(err, ERROR_BUSY, "http: answers in hand fill the memory");
}

static void start_clock(Slot *slot, const HttpRequest *request)
{
    HttpClient *client = slot->client;
    const int64_t timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : client->options.timeout_ms;
    slot->started_us = http_monotonic_us(client);
    slot->last_byte_us = slot->started_us;
    slot->deadline_us = slot->started_us + timeout_ms * 1000;
    slot->transfer->exchange.response.sent_at_us = client->env->now_us(client->env->state);
}

static bool start(HttpClient *client, const HttpRequest *request, void *tag,
                  Transfer **ret_transfer, Error *err)
{
    Url url = {0};
    TRY(http_check_request(client, request, &url, err));
    TRY(refuse_busy(client, err));
    Transfer *transfer = http_transfer_new(client, err);
    TRY(transfer != NULL);
    transfer->exchange.tag = tag;
    transfer->exchange.request = request;

    Slot *slot = free_slot(client);
    slot->transfer = transfer;
    slot->header_bytes = 0;
    slot->uploaded_bytes = 0;
    slot->body_bytes_max =
        request->body_bytes_max > 0 ? request->body_bytes_max : HTTP_BODY_BYTES_MAX;
    slot->error_text[0] = '\0';
    http_restart_headers(slot);
    bool ok = http_configure(slot, &url, err);
    if (ok) {
        start_clock(slot, request);
        ok = !fault_here() && curl_multi_add_handle(client->multi, slot->easy) == CURLM_OK;
        if (!ok)
            error_set(err, ERROR_LIMIT, "http: out of memory");
    }
    if (!ok) {
        slot->transfer = NULL;
        http_exchange_free(&transfer->exchange);
        return false;
    }
    client->under_way++;
    *ret_transfer = transfer;
    return true;
}

bool http_client_send(HttpClient *client, const HttpRequest *request, void *tag, Error *err)
{
    Transfer *transfer = NULL;
    return start(client, request, tag, &transfer, err);
}

// --- finishing ---

static ErrorCode code_of(CURLcode result)
{
    // Not an enum switch: curl has a hundred codes, and the rest are all the network's.
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        return ERROR_ACCESS;
    if (result == CURLE_SSL_CACERT_BADFILE)
        return ERROR_JOB;
    if (result == CURLE_OUT_OF_MEMORY)
        return ERROR_LIMIT;
    if (result == CURLE_URL_MALFORMAT)
        return ERROR_DATA;
    return ERROR_IO; // UNSUPPORTED_PROTOCOL too: our own check has seen the scheme, so it is
                     // garbage
}

static bool judge(Slot *slot, CURLcode result, Error *err)
{
    Transfer *transfer = slot->transfer;
    HttpResponse *response = &transfer->exchange.response;
    if (err->code != ERROR_NONE) // a callback gave up
        return false;
    if (result != CURLE_OK)
        return error_set(err, code_of(result), "%s",
                         slot->error_text[0] != '\0' ? slot->error_text
                                                     : curl_easy_strerror(result));
    if (!slot->headers_over) // curl takes such an answer for an empty body
        return error_set(err, ERROR_IO, "the answer ends within its headers");
    TRY(decoder_end(&slot->decoder, err));
    TRY(http_grow(slot->client, &transfer->body, HTTP_BODY_PADDING, err));
    memset(transfer->body.data + transfer->body.size, 0, HTTP_BODY_PADDING);
    response->body = buf_str(&transfer->body);
    response->encoded = str_slice(buf_str(&transfer->encoded), 0,
                                  decoder_coded_size(&slot->decoder, transfer->encoded.size));
    return true;
}

static void note_size(HttpClient *client, const Transfer *transfer)
{
    const size_t bytes = transfer->body.size + transfer->encoded.size;
    client->typical_bytes -= client->typical_bytes / 16;
    if (bytes > client->typical_bytes)
        client->typical_bytes = bytes;
}

// Takes the exchange off its slot and puts it where http_client_wait() finds it.
static void finish(Slot *slot, CURLcode result)
{
    HttpClient *client = slot->client;
    Transfer *transfer = slot->transfer;
    HttpExchange *exchange = &transfer->exchange;
    HttpResponse *response = &exchange->response;
    long request_bytes = 0;
    (void)curl_easy_getinfo(slot->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    (void)curl_multi_remove_handle(client->multi, slot->easy);
    response->elapsed_us = http_monotonic_us(client) - slot->started_us;
    if (judge(slot, result, &exchange->err)) {
        note_size(client, transfer);
    } else {
        exchange->maybe_acted = request_bytes > 0;
        *response =
            (HttpResponse){.sent_at_us = response->sent_at_us, .elapsed_us = response->elapsed_us};
        Url url = {0};
        (void)url_split(exchange->request->url, &url);
        error_context(&exchange->err, STR_FMT " " STR_FMT, STR_ARG(exchange->request->method),
                      STR_ARG(url.host));
    }
    curl_easy_reset(slot->easy); // it points at headers in the exchange's arena
    http_wipe_request(slot);
    slot->transfer = NULL;
    client->under_way--;
    transfer->next_ready = NULL;
    if (client->ready_first == NULL)
        client->ready_first = transfer;
    else
        client->ready_last->next_ready = transfer;
    client->ready_last = transfer;
}

static void break_off(Slot *slot, ErrorCode code, const char *what, int64_t after_us)
{
    error_set(&slot->transfer->exchange.err, code, "%s after %.1f s", what, (double)after_us / 1e6);
    finish(slot, CURLE_OK);
}

// Ends what takes too long; *ret_next_us = how long until the next one may.
static void enforce_deadlines(HttpClient *client, int64_t *ret_next_us)
{
    const int64_t now_us = http_monotonic_us(client);
    const int64_t stall_us = client->options.stall_timeout_ms * 1000;
    int64_t next_us = (int64_t)POLL_MS_MAX * 1000;
    for (size_t i = 0; i < client->options.connections; i++) {
        Slot *slot = &client->slots[i];
        if (slot->transfer == NULL)
            continue;
        const int64_t stalls_us = slot->last_byte_us + stall_us;
        if (now_us >= slot->deadline_us) {
            break_off(slot, ERROR_IO, "no complete answer", now_us - slot->started_us);
        } else if (now_us >= stalls_us) {
            break_off(slot, ERROR_IO, "no byte came: given up", now_us - slot->last_byte_us);
        } else {
            const int64_t end_us = stalls_us < slot->deadline_us ? stalls_us : slot->deadline_us;
            next_us = end_us - now_us < next_us ? end_us - now_us : next_us;
        }
    }
    *ret_next_us = next_us;
}

static bool perform(HttpClient *client, Error *err)
{
    int running = 0;
    const CURLMcode code = curl_multi_perform(client->multi, &running);
    if (code != CURLM_OK)
        return error_set(err, ERROR_IO, "http: %s", curl_multi_strerror(code));
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(client->multi, &left); message != NULL;
         message = curl_multi_info_read(client->multi, &left)) {
        const CURLcode result = message->data.result; // `message` ends with the handle's removal
        char *slot = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        finish((Slot *)(void *)slot, result);
    }
    return true;
}

// Sleeps until something happens, or `left_us` are over.
static bool sleep_a_little(HttpClient *client, int64_t left_us, Error *err)
{
    // curl waits in milliseconds. Rounded up they would cost a request that is due every 50 ms a
    // hundredth of its rate, so the last part of one is slept without looking at the sockets.
    if (left_us < 1000) {
        client->env->sleep_us(client->env->state, left_us);
        return true;
    }
    const CURLMcode code = curl_multi_poll(client->multi, NULL, 0, (int)(left_us / 1000), NULL);
    if (code != CURLM_OK)
        return error_set(err, ERROR_IO, "http: %s", curl_multi_strerror(code));
    return true;
}

// Goes on until something is ready, the time is over, or somebody woke us.
static bool advance(HttpClient *client, int64_t timeout_us, Error *err)
{
    const int64_t start_us = http_monotonic_us(client);
    while (client->ready_first == NULL) {
        TRY(client->ignores_stop || env_check_stop(client->env, err));
        TRY(perform(client, err));
        int64_t wait_us = 0;
        enforce_deadlines(client, &wait_us);
        if (client->ready_first != NULL || atomic_exchange(&client->woken, false))
            return true;
        const int64_t left_us = timeout_us - (http_monotonic_us(client) - start_us);
        if (left_us <= 0)
            return true;
        TRY(sleep_a_little(client, left_us < wait_us ? left_us : wait_us, err));
    }
    return true;
}

void http_client_heed_stop(HttpClient *client, bool heeds)
{
    client->ignores_stop = !heeds;
}

bool http_client_wait(HttpClient *client, int timeout_ms, HttpExchange **ret_exchange, Error *err)
{
    return http_client_wait_us(client, (int64_t)timeout_ms * 1000, ret_exchange, err);
}

bool http_client_wait_us(HttpClient *client, int64_t timeout_us, HttpExchange **ret_exchange,
                         Error *err)
{
    assert(timeout_us >= 0);

    TRY(advance(client, timeout_us, err));
    Transfer *transfer = client->ready_first;
    if (transfer != NULL) {
        client->ready_first = transfer->next_ready;
        if (client->ready_first == NULL)
            client->ready_last = NULL;
    }
    *ret_exchange = transfer == NULL ? NULL : &transfer->exchange;
    return true;
}

void http_client_cancel(HttpClient *client, const void *tag)
{
    for (size_t i = 0; i < client->options.connections; i++) {
        Slot *slot = &client->slots[i];
        if (slot->transfer != NULL && slot->transfer->exchange.tag == tag)
            break_off(slot, ERROR_STOPPED, "cancelled",
                      http_monotonic_us(client) - slot->started_us);
    }
}

size_t http_client_under_way(const HttpClient *client)
{
    return client->under_way;
}

void http_client_wake(HttpClient *client)
{
    atomic_store(&client->woken, true);
    (void)curl_multi_wakeup(client->multi);
}

// --- one exchange ---

static bool copy_response(const HttpResponse *from, Arena *arena, HttpResponse *ret_to, Error *err)
{
    HttpResponse to = *from;
    to.headers = arena_alloc_array(arena, from->header_count + 1, sizeof(*to.headers), err);
    TRY(to.headers != NULL);
    for (size_t i = 0; i < from->header_count; i++) {
        TRY(arena_copy_str(arena, from->headers[i].name, &to.headers[i].name, err));
        TRY(arena_copy_str(arena, from->headers[i].value, &to.headers[i].value, err));
    }
    char *body = arena_alloc(arena, from->body.size + HTTP_BODY_PADDING, err); // zeroed
    TRY(body != NULL);
    memcpy(body, from->body.data, from->body.size);
    to.body = (Str){body, from->body.size};
    if (from->encoded.size > 0)
        TRY(arena_copy_str(arena, from->encoded, &to.encoded, err));
    *ret_to = to;
    return true;
}

// Takes `transfer` out of those that are ready; false when it is not among them.
static bool take_ready(HttpClient *client, const Transfer *transfer)
{
    Transfer *before = NULL;
    for (Transfer *at = client->ready_first; at != NULL; before = at, at = at->next_ready) {
        if (at != transfer)
            continue;
        if (before == NULL)
            client->ready_first = at->next_ready;
        else
            before->next_ready = at->next_ready;
        if (client->ready_last == at)
            client->ready_last = before;
        return true;
    }
    return false;
}

// Waits for this one while others may finish too: those stay ready for http_client_wait().
static bool wait_for(HttpClient *client, const Transfer *transfer, Error *err)
{
    const HttpOptions *options = &client->options;
    const int64_t start_us = http_monotonic_us(client);
    const int64_t step_us = options->tell_ms > 0 ? options->tell_ms * 1000 : INT64_MAX;
    int64_t told_us = start_us;
    while (!take_ready(client, transfer)) {
        // advance() returns at once while others are ready, so they step aside meanwhile.
        Transfer *first = client->ready_first;
        Transfer *last = client->ready_last;
        client->ready_first = NULL;
        client->ready_last = NULL;
        const bool ok = advance(client, step_us, err);
        if (first != NULL) {
            last->next_ready = client->ready_first;
            client->ready_last = client->ready_last == NULL ? last : client->ready_last;
            client->ready_first = first;
        }
        TRY(ok);
        const int64_t now_us = http_monotonic_us(client);
        if (now_us - told_us < step_us)
            continue;
        told_us = now_us;
        options->tell(options->tell_state, transfer->exchange.request, now_us - start_us);
    }
    return true;
}

bool http_client_fetch(HttpClient *client, const HttpRequest *request, Arena *arena,
                       HttpResponse *ret_response, Error *err)
{
    Transfer *transfer = NULL;
    // The tag is an address that nobody else can have given.
    TRY(start(client, request, &transfer, &transfer, err));
    bool ok = wait_for(client, transfer, err);
    if (!ok) {
        http_client_cancel(client, &transfer);
        (void)take_ready(client, transfer);
    } else if (transfer->exchange.err.code != ERROR_NONE) {
        *err = transfer->exchange.err;
        ok = false;
    } else {
        ok = copy_response(&transfer->exchange.response, arena, ret_response, err);
    }
    http_exchange_free(&transfer->exchange);
    return ok;
}

// --- the client ---

static void fill_defaults(HttpOptions *options)
{
    if (options->connections == 0)
        options->connections = DEFAULT_CONNECTIONS;
    if (options->connections > HTTP_CONNECTIONS_MAX)
        options->connections = HTTP_CONNECTIONS_MAX;
    if (options->timeout_ms == 0)
        options->timeout_ms = DEFAULT_TIMEOUT_MS;
    if (options->connect_timeout_ms == 0)
        options->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
    if (options->stall_timeout_ms == 0)
        options->stall_timeout_ms = DEFAULT_STALL_TIMEOUT_MS;
    if (options->memory_bytes_max == 0)
        options->memory_bytes_max = DEFAULT_MEMORY_BYTES;
    if (options->user_agent.size == 0)
        options->user_agent = STR("pawl/" PAWL_VERSION);
}

static bool init_connect_to(HttpClient *client, Error *err)
{
    const Str target = client->options.connect_to;
    char text[CONNECT_TO_BYTES_MAX];
    Url url = {0};
    const int size = snprintf(text, sizeof(text), "http://" STR_FMT, STR_ARG(target));
    if (size < 0 || (size_t)size >= sizeof(text) || !url_split(str_from(text), &url) ||
        !url_host_is_loopback(url.host))
        return error_set(err, ERROR_JOB, "http: connect_to is not a loopback address with a port");
    (void)snprintf(text, sizeof(text), "::" STR_FMT, STR_ARG(target));
    client->connect_to = fault_here() ? NULL : curl_slist_append(NULL, text);
    if (client->connect_to == NULL)
        return error_set(err, ERROR_LIMIT, "http: out of memory");
    return true;
}

// curl knows one place of the certificates that a machine trusts: that of the machine it was built
// on. Others keep them elsewhere.
Str http_system_ca_file(const Env *env)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu
        "/etc/pki/tls/certs/ca-bundle.crt",   // RHEL, Fedora
        "/etc/ssl/ca-bundle.pem",             // SUSE
        "/etc/ssl/cert.pem",                  // Alpine
    };
    const char *given = env->variable(env->state, "SSL_CERT_FILE");
    if (given != NULL && given[0] != '\0')
        return str_from(given);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (file_exists(places[i]))
            return str_from(places[i]);
    }
    return STR("");
}

static bool init_options(HttpClient *client, const HttpOptions *options, Error *err)
{
    client->options = *options;
    fill_defaults(&client->options);
    HttpOptions *own = &client->options;
    const Str ca_file = own->ca_file.size > 0 ? own->ca_file : http_system_ca_file(client->env);
    TRY(arena_copy_str(client->arena, ca_file, &own->ca_file, err));
    TRY(arena_copy_str(client->arena, own->user_agent, &own->user_agent, err));
    TRY(arena_copy_str(client->arena, own->connect_to, &own->connect_to, err));
    if (!http_text_is_line(own->user_agent))
        return error_set(err, ERROR_JOB, "http: a line end in the user agent");
    return own->connect_to.size == 0 || init_connect_to(client, err);
}

static bool init_multi(HttpClient *client, Error *err)
{
    const long connections = (long)client->options.connections;
    client->multi = fault_here() ? NULL : curl_multi_init();
    if (client->multi == NULL ||
        curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK)
        return error_set(err, ERROR_LIMIT, "http: out of memory");
    client->slots =
        arena_alloc_array(client->arena, (size_t)connections, sizeof(*client->slots), err);
    TRY(client->slots != NULL);
    for (long i = 0; i < connections; i++)
        client->slots[i].client = client;
    client->idle = queue_new(IDLE_TRANSFERS_MAX, err);
    return client->idle != NULL;
}

bool http_client_new(const HttpOptions *options, Env *env, HttpClient **ret_client, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES_MAX, err);
    TRY(arena != NULL);
    HttpClient *client = arena_alloc(arena, sizeof(*client), err);
    TRY(client != NULL);
    client->env = env;
    client->arena = arena;
    if (fault_here() || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERROR_LIMIT, "http: curl cannot start");
    arena = NULL; // the client's from here on
    if (!init_options(client, options, err) || !init_multi(client, err)) {
        http_client_free(client);
        return false;
    }
    *ret_client = client;
    return true;
}

void http_client_free(HttpClient *client)
{
    if (client == NULL)
        return;
    for (size_t i = 0; client->slots != NULL && i < client->options.connections; i++) {
        Slot *slot = &client->slots[i];
        if (slot->transfer != NULL)
            break_off(slot, ERROR_STOPPED, "client closed",
                      http_monotonic_us(client) - slot->started_us);
        curl_easy_cleanup(slot->easy);
        decoder_done(&slot->decoder);
    }
    while (client->ready_first != NULL) {
        Transfer *transfer = client->ready_first;
        client->ready_first = transfer->next_ready;
        http_exchange_free(&transfer->exchange);
    }
    assert(atomic_load(&client->in_hand) == 0); // exchanges hand their buffers back to us
    if (client->idle != NULL)
        http_drop_idle(client);
    queue_free(client->idle);
    (void)curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->connect_to);
    curl_global_cleanup();
    arena_free(client->arena);
}

void http_client_freep(HttpClient **client)
{
    http_client_free(*client);
}
