// Http: requests and answers as values, and the client that exchanges them (libcurl multi, one
// thread).
//
// The client knows nothing of retries, credentials or rates: it sends exactly one request and
// reports exactly one answer or one transport error. Redirects are answers like any other; who
// follows one decides first whether credentials may go along. Header values and URLs may hold
// secrets: nothing here logs them, and errors name the host only.
#pragma once

#include "base/arena.h"
#include "base/env.h"

enum {
    HTTP_HEADERS_MAX = 64,                   // of a request
    HTTP_ANSWER_HEADERS_MAX = 256,           // of an answer
    HTTP_HEADER_BYTES_MAX = 64 * 1024,       // all headers of one answer, interim ones included
    HTTP_BODY_BYTES_MAX = 256 * 1024 * 1024, // default bound of a decoded body
    HTTP_BODY_PADDING = 4,                   // zero bytes behind a body, which yyjson may read
    HTTP_CONNECTIONS_MAX = 256,
};

typedef struct HttpHeader {
    Str name; // as written; compared ignoring case
    Str value;
} HttpHeader;

// Borrowed by http_client_send() until the exchange is freed.
typedef struct HttpRequest {
    Str method; // "GET"
    Str url;    // absolute, already encoded (RFC 3986)
    HttpHeader headers[HTTP_HEADERS_MAX];
    size_t header_count;
    Str body;              // empty = none
    size_t body_bytes_max; // most the answer's decoded body may hold; 0 = HTTP_BODY_BYTES_MAX
    int64_t timeout_ms;    // whole exchange; 0 = the client's default
    bool keep_encoded;     // also keep the body as it came over the wire, for landing
    bool repeatable; // harmless to send twice although its method is not (a request id says so)
} HttpRequest;

typedef enum HttpEncoding {
    HTTP_ENCODING_IDENTITY,
    HTTP_ENCODING_GZIP,
    HTTP_ENCODING_ZSTD
} HttpEncoding;

typedef struct HttpResponse {
    int status;
    HttpHeader *headers; // of the final answer, in order, a repeated one each time; no trailers
    size_t header_count;
    Str body;    // decoded; HTTP_BODY_PADDING zero bytes stand behind it
    Str encoded; // as received, less padding behind it, when keep_encoded and the server compressed
                 // it; else empty
    HttpEncoding encoding; // of `encoded`, and of the body on the wire
    int64_t sent_at_us; // env clock when the request was handed to the network: a row's _fetched_at
    int64_t elapsed_us;
    uint64_t wire_bytes; // body bytes received
} HttpResponse;

// The first of that name; {NULL, 0} when there is none.
Str http_header(const HttpResponse *response, Str name);

// Leaves only what may go along to another origin, nothing that says who we are: any header of a
// manifest may hold a key, and so may the body, so only headers that never do are kept.
void http_request_strip(HttpRequest *request);

// Appends a header; ERROR_LIMIT beyond HTTP_HEADERS_MAX, ERROR_DATA for a name or value with CR, LF
// or NUL.
bool http_request_add_header(HttpRequest *request, Str name, Str value, Error *err) MUST_USE;

bool http_text_is_token(Str text); // RFC 9110 5.6.2: a method or a header's name
bool http_text_is_line(Str text);  // no CR, LF or NUL

// Zero means the default in parentheses.
typedef struct HttpOptions {
    size_t connections;         // at most this many at once, to all hosts together (8)
    int64_t timeout_ms;         // default for a whole exchange (10 minutes)
    int64_t connect_timeout_ms; // (30 s)
    int64_t stall_timeout_ms;   // no byte for so long = ERROR_IO (60 s)
    bool allow_http;            // plain http to a host that is not loopback
    bool secret;                // bodies hold secrets: overwritten before their memory goes
    bool direct;                // never through a proxy (a machine's own metadata service)
    Str connect_to; // "127.0.0.1:PORT": every request goes there as plain HTTP with its own Host
                    // (tests); refused when it is not loopback
    Str ca_file;    // empty = http_system_ca_file()
    Str user_agent; // (pawl/VERSION)
    size_t memory_bytes_max; // all bodies that are not yet freed, together (512 MiB)
    // http_client_fetch() says so each time that it has waited for `tell_ms` more; 0 = never.
    int64_t tell_ms;
    void (*tell)(void *state, const HttpRequest *request, int64_t waited_us);
    void *tell_state;
} HttpOptions;

// The file with the certificates that this machine trusts: SSL_CERT_FILE, else where its system
// keeps them; empty where that is unknown.
Str http_system_ca_file(const Env *env);

typedef struct HttpClient HttpClient;

// An answer that came, or the reason why none did (err.code != ERROR_NONE; ERROR_IO = may be tried
// again). Any thread may own it and call http_exchange_free(), which hands its buffers back to the
// client for the next answers; the client must outlive it.
typedef struct HttpExchange {
    void *tag; // as given to http_client_send()
    const HttpRequest *request;
    HttpResponse response; // only `sent_at_us` and `elapsed_us` are set when there is an error
    Error err;
    bool maybe_acted; // with an error: the request may have reached the far side
    Arena *arena;     // of the headers; the owner may use what is left of it
} HttpExchange;

// Proxies come from the environment as curl has it: https_proxy, HTTPS_PROXY, http_proxy,
// all_proxy, ALL_PROXY, no_proxy, NO_PROXY; never for loopback. TLS is 1.2 or later and always
// verified.
bool http_client_new(const HttpOptions *options, Env *env, HttpClient **ret_client,
                     Error *err) MUST_USE;
void http_client_free(HttpClient *client); // breaks off what is under way; NULL is fine
void http_client_freep(HttpClient **client);

// Starts a request; never blocks. ERROR_BUSY when `connections` are under way, or when the answers
// that are not yet freed fill the memory: http_client_wait() returns when some of it is free again.
// ERROR_DATA for a URL, method or header that may not go over the wire, ERROR_ACCESS for plain http
// to a host that is not loopback.
bool http_client_send(HttpClient *client, const HttpRequest *request, void *tag,
                      Error *err) MUST_USE;

// Waits at most `timeout_ms` for a finished exchange; *ret_exchange = NULL when none finished in
// time or http_client_wake() was called. ERROR_STOPPED within 100 ms of env->stop.
bool http_client_wait(HttpClient *client, int timeout_ms, HttpExchange **ret_exchange,
                      Error *err) MUST_USE;

// The same in microseconds, for those who pace requests.
bool http_client_wait_us(HttpClient *client, int64_t timeout_us, HttpExchange **ret_exchange,
                         Error *err) MUST_USE;

// Would http_client_send() find a connection and memory? When it is memory that lacks, freeing an
// exchange ends the next wait.
bool http_client_has_room(HttpClient *client);

// Breaks off what was sent with `tag`: it finishes with ERROR_STOPPED.
void http_client_cancel(HttpClient *client, const void *tag);

// Whether waits look at env->stop. They do, but for what has to be said before a program ends.
void http_client_heed_stop(HttpClient *client, bool heeds);

size_t http_client_under_way(const HttpClient *client);
void http_client_wake(HttpClient *client); // from any thread
void http_exchange_free(HttpExchange *exchange);
void http_exchange_freep(HttpExchange **exchange); // for CLEANUP()

// One request, one answer, waiting for it: for tokens, checks, small tools. The response lives in
// `arena`.
bool http_client_fetch(HttpClient *client, const HttpRequest *request, Arena *arena,
                       HttpResponse *ret_response, Error *err) MUST_USE;
