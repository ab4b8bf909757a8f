// HttpClient's parts, shared by the three files that make it: http_transfer.c (what is received,
// and into which buffers), http_easy.c (a request as curl's options), http_client.c (sending,
// waiting, finishing). Nobody else includes this.
//
// A Slot is one exchange under way: a curl handle, a decoder, what is being received. A Transfer is
// what the caller gets (HttpExchange) together with its buffers; freed ones come back through a
// queue, so that page after page is received into the same few buffers, whichever thread frees
// them.
#pragma once

#include "base/queue.h"
#include "net/decoder.h"
#include "net/http.h"
#include "net/url.h"

#include <curl/curl.h>

typedef struct Transfer {
    HttpExchange exchange; // first, so that a pointer to it is one to the transfer
    HttpClient *client;
    struct Transfer *next_ready;
    Buf body;
    Buf encoded;
} Transfer;

typedef struct Slot {
    HttpClient *client;
    Transfer *transfer; // NULL = free
    CURL *easy;
    Decoder decoder;
    struct curl_slist *header_lines; // in the transfer's arena, never freed by curl
    size_t header_bytes;
    size_t content_length; // SIZE_MAX = not said
    Str content_encoding;
    size_t body_bytes_max;
    int64_t started_us; // monotonic, as are the next two
    int64_t last_byte_us;
    int64_t deadline_us;
    curl_off_t uploaded_bytes;
    bool head;         // no body will follow, whatever the headers say
    bool headers_over; // of the final answer: what follows are trailers
    char error_text[CURL_ERROR_SIZE];
} Slot;

struct HttpClient {
    HttpOptions options;
    Env *env;
    Arena *arena; // copies of the options
    CURLM *multi;
    struct curl_slist *connect_to;
    Slot *slots; // options.connections of them
    size_t under_way;
    Transfer *ready_first; // finished, not yet handed out
    Transfer *ready_last;
    Queue *idle;              // transfers whose buffers wait for the next answer
    atomic_size_t held_bytes; // capacity of all body buffers
    atomic_size_t in_hand;    // transfers that are neither idle nor freed
    atomic_bool starved;      // a send was refused for lack of memory
    atomic_bool woken;
    bool ignores_stop;
    size_t typical_bytes; // what a body has been taking lately
};

static inline int64_t http_monotonic_us(const HttpClient *client)
{
    return client->env->monotonic_us(client->env->state);
}

// --- http_transfer.c

// A transfer from those that wait for work, or a new one. NULL with `err` set.
Transfer *http_transfer_new(HttpClient *client, Error *err);

// Gives the memory of idle buffers back.
void http_drop_idle(HttpClient *client);

// Makes room for `size` more bytes within the client's memory bound.
bool http_grow(HttpClient *client, Buf *buf, size_t size, Error *err) MUST_USE;

// An answer begins: forget what an interim one (1xx) said.
void http_restart_headers(Slot *slot);

// curl's callbacks; `user` is the slot.
size_t http_on_header(char *data, size_t size, size_t count, void *user);
size_t http_on_body(char *data, size_t size, size_t count, void *user);
int http_on_progress(void *user, curl_off_t download_total, curl_off_t downloaded,
                     curl_off_t upload_total, curl_off_t uploaded);

// --- http_easy.c

// ERROR_DATA or ERROR_ACCESS for what may not go over the wire.
bool http_check_request(const HttpClient *client, const HttpRequest *request, Url *ret_url,
                        Error *err) MUST_USE;

// Makes the slot's curl handle ready to send its transfer's request.
bool http_configure(Slot *slot, const Url *url, Error *err) MUST_USE;

// Forgets the request; its headers, which hold credentials, are overwritten.
void http_wipe_request(Slot *slot);
