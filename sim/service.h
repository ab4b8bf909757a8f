// Service: the API itself, without a socket: a request goes in, an answer comes out.
//
// Threads share a Service; each brings its own Answer. World, Auth and Tally have their own locks.
#pragma once

#include "auth.h"
#include "base/env.h"
#include "limit.h"
#include "page.h"
#include "tally.h"
#include "trouble.h"
#include "world.h"

enum {
    ANSWER_HEADERS_MAX = 8,
    SERVICE_BODY_BYTES_MAX = 1024 * 1024 * 1024,
    REQUEST_BODY_BYTES_MAX = 64 * 1024 * 1024
};

typedef struct ServicePlan {
    WorldPlan world;
    AuthPlan auth;
    LimitPlan limit;
    int64_t latency_us;        // added to every answer of the API
    int64_t agents_latency_us; // added to those of /agents/...
    int64_t tick_s;            // the world's clock moves by so much with every request for calls
    uint32_t cap;              // see PagePlan
    bool after_is_capped;
    bool world_date; // answers are dated by the world's clock instead of the machine's
    bool control;    // /_sim/... answers
    Str faults;      // script, as JSON text; may be empty
} ServicePlan;

typedef struct Service {
    ServicePlan plan;
    Env *env;
    Arena *arena;
    World world;
    Auth auth;
    Limit limit;
    Tally tally;
    Troubles troubles;
    Str stranger_origin; // another origin that counts who comes with credentials
    atomic_bool stop;    // somebody asked for the end
} Service;

typedef struct Request {
    Str method, target; // "GET", "/api/v1/accounts?page=2"
    Str host, authorization;
    bool is_secure; // it came by https, to a proxy that says so
    Str body;
    bool to_stranger; // came in at the other origin
} Request;

typedef struct AnswerHeader {
    const char *name;
    Str value;
} AnswerHeader;

typedef struct Answer {
    Arena *arena; // of the caller; reset between requests
    Buf body;     // of the caller; cleared by service_answer()
    int status;
    const char *content_type;
    int64_t date_us; // as its Date header has it
    AnswerHeader headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    Trouble trouble; // how to send it badly; kind NONE = well
} Answer;

bool service_init(Service *service, const ServicePlan *plan, Env *env, Error *err) MUST_USE;
void service_done(Service *service);

// Replaces the fault script (see trouble.h) by one in JSON text.
bool service_set_faults(Service *service, Str script, Error *err) MUST_USE;

// Moves the world's clock.
bool service_advance(Service *service, int64_t seconds, Error *err) MUST_USE;

// How long the answer is held back: asked before the request is worked on, so that what is answered
// is the state at the end of the wait.
int64_t service_delay_us(const Service *service, const Request *request);

// False only when memory ran out, or a body is larger than SERVICE_BODY_BYTES_MAX.
bool service_answer(Service *service, const Request *request, Answer *answer, Error *err) MUST_USE;

// For those who write parts of an answer (control.c).
bool answer_header(Answer *answer, const char *name, Str value, Error *err) MUST_USE;
bool answer_date(Answer *answer, const char *name, int64_t us, Error *err) MUST_USE;
bool answer_error(Answer *answer, int status, Error *err, const char *format, ...)
    PRINTF_LIKE(4, 5) MUST_USE;
