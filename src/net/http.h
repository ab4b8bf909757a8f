// Http: requests and answers as values, and the client that exchanges them (libcurl multi, one
// thread).
//
// The client knows nothing of retries, credentials or rates: it sends exactly one request and
// reports exactly one answer or one transport error. Redirects are answers like any other; who
// follows one decides first whether credentials may go along. Header values and URLs may hold
// secrets: nothing here logs them.
#pragma once

#include "base/arena.h"
#include "base/env.h"

enum {
    HTTP_HEADERS_MAX = 64,
    HTTP_HEADER_BYTES_MAX = 64 * 1024,       // all headers of one answer
    HTTP_BODY_BYTES_MAX = 256 * 1024 * 1024, // default bound of a decoded body
};

typedef struct HttpHeader {
    Str name; // as written; compared ignoring case
    Str value;
} HttpHeader;

// Borrowed by http_client_send() until the answer arrives.
typedef struct HttpRequest {
    Str method; // "GET"
    Str url;    // absolute, already encoded (RFC 3986)
    HttpHeader headers[HTTP_HEADERS_MAX];
    size_t header_count;
    Str body;              // empty = none
    size_t body_bytes_max; // most the answer's decoded body may hold; 0 = HTTP_BODY_BYTES_MAX
    int64_t timeout_ms;    // whole exchange; 0 = the client's default
    bool keep_encoded;     // also keep the body as it came over the wire, for landing
} HttpRequest;

typedef enum HttpEncoding {
    HTTP_ENCODING_IDENTITY,
    HTTP_ENCODING_GZIP,
    HTTP_ENCODING_ZSTD
} HttpEncoding;

typedef struct HttpResponse {
    int status;
    HttpHeader *headers; // last value of the final answer's headers, in order
    size_t header_count;
    Str body;    // decoded
    Str encoded; // as received, when keep_encoded and the server compressed it; else empty
    HttpEncoding encoding; // of `encoded`
    int64_t sent_at_us; // env clock when the request was handed to the network: a row's _fetched_at
    int64_t elapsed_us;
    uint64_t wire_bytes; // body bytes received
} HttpResponse;

// {NULL, 0} when there is none.
Str http_header(const HttpResponse *response, Str name);

// Appends a header; ERROR_LIMIT beyond HTTP_HEADERS_MAX, ERROR_DATA for a name or value with CR, LF
// or NUL.
bool http_request_add_header(HttpRequest *request, Str name, Str value, Error *err) MUST_USE;

bool http_text_is_token(Str text); // RFC 9110 5.6.2: a method or a header's name
bool http_text_is_line(Str text);  // no CR, LF or NUL

typedef struct HttpOptions {
    size_t connections; // at most this many at once, to all hosts together
    int64_t timeout_ms; // default for a whole exchange
    int64_t connect_timeout_ms;
    int64_t stall_timeout_ms; // no byte for so long = ERROR_IO
    bool allow_http;          // plain http to a host that is not loopback
    Str connect_to; // "127.0.0.1:PORT": every request goes there as plain HTTP with its own Host
                    // (tests)
    Str ca_file;    // empty = the system's
    Str user_agent;
    size_t memory_bytes_max; // all bodies under way together
} HttpOptions;

typedef struct HttpClient HttpClient;

// An answer that came, or the reason why none did (err.code != ERROR_NONE; ERROR_IO = may be tried
// again). Its memory is its own: http_exchange_free().
typedef struct HttpExchange {
    void *tag; // as given to http_client_send()
    const HttpRequest *request;
    HttpResponse response;
    Error err;
    Arena *arena;
    // private to the client behind here
    struct HttpClient *client;
    void *easy;
} HttpExchange;

bool http_client_new(const HttpOptions *options, Env *env, HttpClient **ret_client,
                     Error *err) MUST_USE;
void http_client_free(HttpClient *client); // breaks off what is under way; NULL is fine
void http_client_freep(HttpClient **client);

// Starts a request. ERROR_BUSY when `connections` are under way. Never blocks.
bool http_client_send(HttpClient *client, const HttpRequest *request, void *tag,
                      Error *err) MUST_USE;

// Waits at most `timeout_ms` for a finished exchange; *ret_exchange = NULL when none finished in
// time or http_client_wake() was called.
bool http_client_wait(HttpClient *client, int timeout_ms, HttpExchange **ret_exchange,
                      Error *err) MUST_USE;

size_t http_client_under_way(const HttpClient *client);
void http_client_wake(HttpClient *client); // from any thread
void http_exchange_free(HttpExchange *exchange);

// One request, one answer, waiting for it: for tokens, checks, small tools. The response lives in
// `arena`.
bool http_client_fetch(HttpClient *client, const HttpRequest *request, Arena *arena,
                       HttpResponse *ret_response, Error *err) MUST_USE;
