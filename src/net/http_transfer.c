// What is received, and into which buffers.
#include "net/http_parts.h"

#include "base/fault.h"

#include <stdlib.h>

enum { ARENA_BYTES_MAX = 1024 * 1024 }; // an exchange's headers, both ways, and its URL

// --- buffers ---

static size_t transfer_bytes(const Transfer *transfer)
{
    return transfer->body.capacity + transfer->encoded.capacity;
}

static void overwrite(Buf *buf)
{
    volatile char *bytes = buf->data; // or the compiler may drop writes to memory that goes next
    for (size_t i = 0; i < buf->capacity; i++)
        bytes[i] = 0;
}

// For good, memory and all.
static void drop_transfer(Transfer *transfer)
{
    if (transfer->client->options.secret) {
        overwrite(&transfer->body);
        overwrite(&transfer->encoded);
    }
    (void)atomic_fetch_sub(&transfer->client->held_bytes, transfer_bytes(transfer));
    buf_done(&transfer->body);
    buf_done(&transfer->encoded);
    arena_free(transfer->exchange.arena);
    free(transfer);
}

void http_drop_idle(HttpClient *client)
{
    Transfer *transfer = queue_take(client->idle, 0);
    for (; transfer != NULL; transfer = queue_take(client->idle, 0))
        drop_transfer(transfer);
}

Transfer *http_transfer_new(HttpClient *client, Error *err)
{
    Transfer *transfer = queue_take(client->idle, 0);
    if (transfer == NULL) {
        transfer = fault_here() ? NULL : calloc(1, sizeof(*transfer));
        if (transfer == NULL) {
            error_set(err, ERROR_LIMIT, "http: out of memory");
            return NULL;
        }
        transfer->client = client;
        transfer->exchange.arena = arena_new(ARENA_BYTES_MAX, err);
        if (transfer->exchange.arena == NULL) {
            free(transfer);
            return NULL;
        }
    }
    (void)atomic_fetch_add(&client->in_hand, 1);
    return transfer;
}

void http_exchange_free(HttpExchange *exchange)
{
    if (exchange == NULL)
        return;
    Transfer *transfer = (Transfer *)exchange;
    HttpClient *client = transfer->client;
    Arena *arena = exchange->arena;
    arena_reset(arena);
    *exchange = (HttpExchange){.arena = arena};
    buf_clear(&transfer->body);
    buf_clear(&transfer->encoded);
    // One page of exceptional size must not occupy memory for good.
    const size_t share = client->options.memory_bytes_max / (2 * client->options.connections);
    if (transfer_bytes(transfer) > share || !queue_put_now(client->idle, transfer))
        drop_transfer(transfer);
    (void)atomic_fetch_sub(&client->in_hand, 1);
    if (atomic_exchange(&client->starved, false))
        http_client_wake(client);
}

void http_exchange_freep(HttpExchange **exchange)
{
    http_exchange_free(*exchange);
}

// Is there room for so many bytes more? Idle buffers give way first.
static bool within_memory(HttpClient *client, size_t more, Error *err)
{
    const size_t max = client->options.memory_bytes_max;
    if (atomic_load(&client->held_bytes) + more > max)
        http_drop_idle(client);
    if (atomic_load(&client->held_bytes) + more > max)
        return error_set(err, ERROR_LIMIT, "bodies under way take more than %zu bytes of memory",
                         max);
    return true;
}

bool http_grow(HttpClient *client, Buf *buf, size_t size, Error *err)
{
    const size_t before = buf->capacity;
    if (size <= before - buf->size)
        return true;
    TRY(within_memory(client, size - (before - buf->size), err));
    TRY(buf_reserve(buf, size, err));
    (void)atomic_fetch_add(&client->held_bytes, buf->capacity - before);
    return true;
}

// --- receiving ---

static void touch(Slot *slot)
{
    slot->last_byte_us = http_monotonic_us(slot->client);
}

// An answer begins: forget what an interim one (1xx) said.
void http_restart_headers(Slot *slot)
{
    HttpResponse *response = &slot->transfer->exchange.response;
    response->header_count = 0;
    slot->content_length = SIZE_MAX;
    slot->content_encoding = (Str){0};
    slot->headers_over = false;
}

static bool keep_header(Slot *slot, Str line, Error *err)
{
    HttpExchange *exchange = &slot->transfer->exchange;
    HttpResponse *response = &exchange->response;
    const size_t colon = str_find_char(line, ':');
    if (colon == line.size || line.data[0] == ' ' || line.data[0] == '\t')
        return true; // a folded line (obsolete, RFC 9112 5.2) says nothing that we act upon
    if (response->header_count == HTTP_ANSWER_HEADERS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d headers", HTTP_ANSWER_HEADERS_MAX);
    if (response->headers == NULL)
        response->headers = arena_alloc_array(exchange->arena, HTTP_ANSWER_HEADERS_MAX,
                                              sizeof(*response->headers), err);
    TRY(response->headers != NULL);

    Str copy = {0};
    TRY(arena_copy_str(exchange->arena, line, &copy, err));
    const HttpHeader header = {str_trim(str_slice(copy, 0, colon)),
                               str_trim(str_slice(copy, colon + 1, copy.size))};
    response->headers[response->header_count++] = header;
    int64_t length = 0;
    if (str_equal_ignoring_case(header.name, STR("Content-Length")) &&
        str_to_int64(header.value, &length) && length >= 0)
        slot->content_length = (size_t)length;
    if (str_equal_ignoring_case(header.name, STR("Content-Encoding")))
        slot->content_encoding = header.value;
    return true;
}

// The blank line behind the final answer's headers: now we know what the body will be.
static bool finish_headers(Slot *slot, Error *err)
{
    Transfer *transfer = slot->transfer;
    HttpResponse *response = &transfer->exchange.response;
    slot->headers_over = true;
    if (!decoder_find_encoding(slot->content_encoding, &response->encoding))
        return error_set(err, ERROR_DATA, "content-encoding '" STR_FMT "' was not asked for",
                         STR_ARG(str_slice(slot->content_encoding, 0, 40)));
    TRY(decoder_begin(&slot->decoder, response->encoding, slot->body_bytes_max, err));
    if (slot->head || slot->content_length == SIZE_MAX)
        return true;
    if (slot->content_length > slot->body_bytes_max)
        return error_set(err, ERROR_LIMIT, "body of %zu bytes is longer than %zu",
                         slot->content_length, slot->body_bytes_max);
    const bool plain = response->encoding == HTTP_ENCODING_IDENTITY;
    if (!plain && !transfer->exchange.request->keep_encoded)
        return true;
    return http_grow(slot->client, plain ? &transfer->body : &transfer->encoded,
                     slot->content_length + HTTP_BODY_PADDING, err);
}

static bool take_header(Slot *slot, Str line, Error *err)
{
    HttpResponse *response = &slot->transfer->exchange.response;
    slot->header_bytes += line.size;
    if (slot->header_bytes > HTTP_HEADER_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "headers longer than %d bytes", HTTP_HEADER_BYTES_MAX);
    if (slot->headers_over && response->status >= 200)
        return true; // a trailer
    while (line.size > 0 && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    if (str_starts_with(line, STR("HTTP/"))) {
        http_restart_headers(slot);
        long status = 0;
        (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
        response->status = (int)status;
        return true;
    }
    if (line.size > 0)
        return keep_header(slot, line, err);
    return response->status < 200 || finish_headers(slot, err);
}

// NOLINTNEXTLINE(readability-non-const-parameter): what libcurl calls
size_t http_on_header(char *data, size_t size, size_t count, void *user)
{
    Slot *slot = user;
    touch(slot);
    // Anything but the size makes curl give up; the reason waits in the exchange.
    return take_header(slot, (Str){data, size * count}, &slot->transfer->exchange.err)
               ? size * count
               : 0;
}

static bool take_body(Slot *slot, Str bytes, Error *err)
{
    HttpClient *client = slot->client;
    Transfer *transfer = slot->transfer;
    HttpResponse *response = &transfer->exchange.response;
    if (!slot->headers_over) // HTTP/0.9 is off, so curl would not do this
        return error_set(err, ERROR_IO, "a body without headers");
    response->wire_bytes += bytes.size;
    if (response->wire_bytes > slot->body_bytes_max)
        return error_set(err, ERROR_LIMIT, "body longer than %zu bytes", slot->body_bytes_max);
    if (response->encoding == HTTP_ENCODING_IDENTITY)
        return http_grow(client, &transfer->body, bytes.size + HTTP_BODY_PADDING, err) &&
               decoder_write(&slot->decoder, bytes, &transfer->body, err);
    if (transfer->exchange.request->keep_encoded) {
        TRY(http_grow(client, &transfer->encoded, bytes.size, err));
        TRY(buf_append(&transfer->encoded, bytes, err));
    }
    // The decoder grows the body by itself; what that took is booked afterwards.
    const size_t before = transfer->body.capacity;
    const bool ok = decoder_write(&slot->decoder, bytes, &transfer->body, err);
    (void)atomic_fetch_add(&client->held_bytes, transfer->body.capacity - before);
    return ok && within_memory(client, 0, err);
}

// NOLINTNEXTLINE(readability-non-const-parameter): what libcurl calls
size_t http_on_body(char *data, size_t size, size_t count, void *user)
{
    Slot *slot = user;
    touch(slot);
    return take_body(slot, (Str){data, size * count}, &slot->transfer->exchange.err) ? size * count
                                                                                     : 0;
}

// Uploads make progress too: without this a long one would look like a stall.
int http_on_progress(void *user, curl_off_t download_total, curl_off_t downloaded,
                     curl_off_t upload_total, curl_off_t uploaded)
{
    (void)download_total;
    (void)downloaded;
    (void)upload_total;
    Slot *slot = user;
    if (uploaded > slot->uploaded_bytes)
        touch(slot);
    slot->uploaded_bytes = uploaded;
    return 0;
}
