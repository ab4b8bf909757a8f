// Server: a scripted HTTP server on loopback: expects exactly these requests, answers exactly these
// bytes, or stalls, cuts, resets, drips. It runs in a thread of its own; nothing in it waits for
// time to pass.
//
// A script is a table of steps. A request takes the first step not yet used whose `request` it
// starts with; one that fits none, or breaks its step's expectations, fails the test when
// server_stop() is called, as do steps that nobody used.
#pragma once

#include "base/str.h"

typedef enum ServerThen {
    SERVER_KEEP,  // wait for the next request on this connection
    SERVER_CLOSE, // orderly end
    SERVER_RESET, // RST: what was not yet read is lost
    SERVER_STALL, // say nothing more, keep the connection open
} ServerThen;

enum { SERVER_TEXTS_MAX = 8 };

typedef struct ServerStep {
    const char *request;                 // its beginning: "GET /a?b=1 HTTP/1.1"; NULL = any
    const char *has[SERVER_TEXTS_MAX];   // texts that the request must hold, body included
    const char *lacks[SERVER_TEXTS_MAX]; // texts that it must not hold
    Str answer;                          // as it goes over the wire, status line and all
    ServerThen then;
    size_t drip_bytes; // send in pieces of so many bytes, each a packet of its own; 0 = at once
    bool many;         // any number of requests, even none, take this step
    bool unread;       // answer as soon as the headers are there, without reading the body
} ServerStep;

typedef struct Server Server;

// Both copy the steps and abort the test when they cannot start. The TLS server shows a self-signed
// certificate for "localhost" only: server_certificate().
Server *server_start(const ServerStep *steps, size_t count);
Server *server_start_tls(const ServerStep *steps, size_t count);
// More steps, for a server that is already running.
void server_add(Server *server, const ServerStep *steps, size_t count);

int server_port(const Server *server);

// Waits until so many requests have come in all.
void server_wait_requests(Server *server, size_t count);
size_t server_requests(Server *server);    // so far
size_t server_connections(Server *server); // accepted so far

// Path of a file with the certificate that a TLS server shows, for HttpOptions.ca_file.
const char *server_certificate(const Server *server);

void server_stop(Server *server); // checks the script; NULL is fine
void server_stopp(Server **server);

// "http://127.0.0.1:PORT/path", valid until the next 8 calls.
const char *server_url(const Server *server, const char *path);

#define SERVER_STEPS(array)  (array), sizeof(array) / sizeof((array)[0])
#define ANSWER_EMPTY(status) STR("HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n")
