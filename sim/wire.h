// Wire: sends a body in ways that HTTP forbids, or too slowly.
//
// libmicrohttpd has room for all of it: a body may come from a callback that pauses, ends early or
// breaks the connection, and the socket is at hand for a reset and for bytes that no header speaks
// of. So no second HTTP server is needed.
#pragma once

#include "trouble.h"
#include "waiting.h"

struct MHD_Connection;
struct MHD_Response;

// The sending of one body; lives as long as its response.
typedef struct Wire {
    struct MHD_Connection *connection;
    Waiting *waiting;
    Str body;
    Trouble trouble;
    bool rested; // a pause of the drip is over
} Wire;

// True for the troubles that wire_response() acts out.
bool wire_is_bad(const Trouble *trouble);
struct MHD_Response *wire_response(Wire *wire); // NULL when memory ran out

// To be called when the response has been sent: adds the bytes that Content-Length kept quiet
// about.
void wire_sent(const Wire *wire);

// Breaks the connection with a RST.
void wire_reset(struct MHD_Connection *connection);

// Turns bytes in the middle of a gzip stream around.
void wire_break_gzip(Str packed);

// The trouble's `ms`, or `fallback`.
int64_t trouble_ms(const Trouble *trouble, int64_t fallback);
