#include "listener.h"

#include "pack.h"
#include "wire.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
    LISTENER_ARENA_BYTES = 16 * 1024 * 1024,
    EXCHANGE_ARENA_BYTES = 256 * 1024 * 1024,
    CONNECTION_BYTES = 64 * 1024,
    TIMEOUT_MS = 600000,
    DELAY_MS = 1000,
    US_PER_MS = 1000,
};

// One request and its answer.
struct Exchange {
    Listener *listener;
    Exchange *next; // in the pool
    struct MHD_Connection *connection;
    Arena *arena;
    Str target;
    Buf request_body;
    Answer answer;
    Packer packer;
    Wire wire;
    bool begun, waited, answered, counted;
    bool to_stranger;
};

// NULL when there are too many at once, or memory ran out.
static Exchange *take_exchange(Listener *listener)
{
    Error err = {0};
    (void)pthread_mutex_lock(&listener->lock);
    Exchange *exchange = listener->unused;
    if (exchange != NULL) {
        listener->unused = exchange->next;
    } else if (listener->exchange_count < LISTENER_EXCHANGES_MAX) {
        exchange = arena_alloc(listener->arena, sizeof(*exchange), &err);
        if (exchange != NULL)
            exchange->arena = arena_new(EXCHANGE_ARENA_BYTES, &err);
        if (exchange != NULL && exchange->arena == NULL)
            exchange = NULL;
        listener->exchange_count += exchange != NULL;
    }
    (void)pthread_mutex_unlock(&listener->lock);
    return exchange;
}

static void give_back_exchange(Exchange *exchange)
{
    Listener *listener = exchange->listener;
    arena_reset(exchange->arena);
    (void)pthread_mutex_lock(&listener->lock);
    exchange->next = listener->unused;
    listener->unused = exchange;
    (void)pthread_mutex_unlock(&listener->lock);
}

static void free_exchanges(Listener *listener)
{
    while (listener->unused != NULL) {
        Exchange *exchange = listener->unused;
        listener->unused = exchange->next;
        buf_done(&exchange->request_body);
        buf_done(&exchange->answer.body);
        packer_done(&exchange->packer);
        arena_free(exchange->arena);
    }
}

// Called with the raw request target, before libmicrohttpd decodes it: next_page must repeat the
// query as it came.
static void *begin_request(void *state, const char *target, struct MHD_Connection *connection)
{
    Exchange *exchange = take_exchange(state);
    if (exchange == NULL)
        return NULL;
    Error err = {0};
    exchange->listener = state;
    exchange->connection = connection;
    exchange->begun = exchange->waited = exchange->answered = exchange->counted =
        exchange->to_stranger = false;
    exchange->wire = (Wire){0};
    buf_clear(&exchange->request_body);
    exchange->request_body.limit_bytes = REQUEST_BODY_BYTES_MAX;
    exchange->answer.arena = exchange->arena;
    exchange->answer.body.limit_bytes = SERVICE_BODY_BYTES_MAX;
    if (!arena_copy_str(exchange->arena, str_from(target), &exchange->target, &err)) {
        give_back_exchange(exchange);
        return NULL;
    }
    return exchange;
}

static void end_request(void *state, struct MHD_Connection *connection, void **exchange_slot,
                        enum MHD_RequestTerminationCode reason)
{
    (void)state;
    (void)connection;
    Exchange *exchange = *exchange_slot;
    if (exchange == NULL)
        return;
    if (reason == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        wire_sent(&exchange->wire);
    if (exchange->counted)
        tally_leave(&exchange->listener->service->tally);
    give_back_exchange(exchange);
    *exchange_slot = NULL;
}

static Str header_of(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value == NULL ? (Str){NULL, 0} : str_from(value);
}

static void wake(void *connection)
{
    MHD_resume_connection(connection);
}

// Suspends the request; handle() is called again when the time is over.
static enum MHD_Result wait_for(Exchange *exchange, int64_t delay_us)
{
    exchange->waited = true;
    MHD_suspend_connection(exchange->connection);
    if (!waiting_add(&exchange->listener->waiting, delay_us, wake, exchange->connection))
        MHD_resume_connection(exchange->connection);
    return MHD_YES;
}

static enum MHD_Result queue_answer(Exchange *exchange, struct MHD_Response *response)
{
    const Answer *answer = &exchange->answer;
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", answer->content_type);
    for (size_t i = 0; i < answer->header_count; i++) // arena copies are NUL-terminated
        (void)MHD_add_response_header(response, answer->headers[i].name,
                                      answer->headers[i].value.data);
    const enum MHD_Result result =
        MHD_queue_response(exchange->connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

// Bodies stay the exchange's, which outlives the response.
static enum MHD_Result send_body(Exchange *exchange, Str body, PackKind coding)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.size, (char *)(uintptr_t)body.data, MHD_RESPMEM_PERSISTENT);
    if (response != NULL && coding != PACK_NONE)
        (void)MHD_add_response_header(response, "Content-Encoding", pack_name(coding));
    return queue_answer(exchange, response);
}

static enum MHD_Result send_well(Exchange *exchange)
{
    Str body = buf_str(&exchange->answer.body);
    PackKind coding = PACK_NONE;
    Error err = {0};
    if (exchange->listener->plan.compress)
        coding = pack_choose(header_of(exchange->connection, "Accept-Encoding"));
    if (coding != PACK_NONE && !packer_pack(&exchange->packer, coding, body, &body, &err)) {
        (void)fprintf(stderr, "ctm-sim: %s\n", err.message);
        return MHD_NO;
    }
    return send_body(exchange, body, coding);
}

// Sends as badly as the trouble wants.
static enum MHD_Result send_answer(Exchange *exchange)
{
    const Trouble *trouble = &exchange->answer.trouble;
    const Str body = buf_str(&exchange->answer.body);
    if (trouble->kind == TROUBLE_RESET) {
        wire_reset(exchange->connection);
        return MHD_NO;
    }
    if (trouble->kind == TROUBLE_TIMEOUT)
        return exchange->waited ? MHD_NO
                                : wait_for(exchange, trouble_ms(trouble, TIMEOUT_MS) * US_PER_MS);
    if (trouble->kind == TROUBLE_DELAY && !exchange->waited)
        return wait_for(exchange, trouble_ms(trouble, DELAY_MS) * US_PER_MS);
    if (trouble->kind == TROUBLE_BAD_GZIP) {
        Str packed;
        Error err = {0};
        if (!packer_pack(&exchange->packer, PACK_GZIP, body, &packed, &err))
            return MHD_NO;
        wire_break_gzip(packed);
        return send_body(exchange, packed, PACK_GZIP);
    }
    if (!wire_is_bad(trouble))
        return send_well(exchange);
    exchange->wire = (Wire){.connection = exchange->connection,
                            .waiting = &exchange->listener->waiting,
                            .body = body,
                            .trouble = *trouble};
    return queue_answer(exchange, wire_response(&exchange->wire));
}

static enum MHD_Result answer_request(Exchange *exchange, const char *method)
{
    Service *service = exchange->listener->service;
    const Request request = {
        .method = str_from(method),
        .target = exchange->target,
        .host = header_of(exchange->connection, "Host"),
        .is_secure = str_equal(header_of(exchange->connection, "X-Forwarded-Proto"), STR("https")),
        .authorization = header_of(exchange->connection, "Authorization"),
        .body = buf_str(&exchange->request_body),
        .to_stranger = exchange->to_stranger};
    if (exchange->answered) // and held back since
        return send_answer(exchange);
    const int64_t delay_us = exchange->waited ? 0 : service_delay_us(service, &request);
    if (delay_us > 0)
        return wait_for(exchange, delay_us);
    Error err = {0};
    if (!service_answer(service, &request, &exchange->answer, &err)) {
        (void)fprintf(stderr, "ctm-sim: %s\n", err.message);
        return MHD_NO;
    }
    exchange->answered = true;
    exchange->waited = false;
    return send_answer(exchange);
}

static enum MHD_Result handle(Listener *listener, struct MHD_Connection *connection,
                              const char *method, const char *upload, size_t *upload_size,
                              void **exchange_slot)
{
    Exchange *exchange = *exchange_slot;
    if (exchange == NULL)
        return MHD_NO;
    if (!exchange->begun) { // headers only; a body may follow
        exchange->begun = true;
        exchange->connection = connection;
        exchange->counted = !str_starts_with(exchange->target, STR("/_sim/"));
        if (exchange->counted)
            tally_enter(&listener->service->tally);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        Error err = {0};
        if (!buf_append(&exchange->request_body, (Str){upload, *upload_size}, &err))
            return MHD_NO;
        *upload_size = 0;
        return MHD_YES;
    }
    return answer_request(exchange, method);
}

// NOLINTNEXTLINE(readability-function-size): what libmicrohttpd calls
static enum MHD_Result handle_own(void *state, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **exchange_slot)
{
    (void)url;
    (void)version;
    return handle(state, connection, method, upload, upload_size, exchange_slot);
}

// The other origin: whoever comes here followed a redirect or a link, and is watched for
// credentials.
// NOLINTNEXTLINE(readability-function-size): what libmicrohttpd calls
static enum MHD_Result handle_stranger(void *state, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_size,
                                       void **exchange_slot)
{
    (void)url;
    (void)version;
    if (*exchange_slot != NULL)
        ((Exchange *)*exchange_slot)->to_stranger = true;
    return handle(state, connection, method, upload, upload_size, exchange_slot);
}

static struct MHD_Daemon *start_daemon(Listener *listener, uint16_t port,
                                       MHD_AccessHandlerCallback handler, uint16_t *ret_port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    // A pool of one is refused; the option is then the end of the list.
    const struct MHD_OptionItem pool[] = {
        {listener->plan.threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
         listener->plan.threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, handler,
        listener, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK, begin_request, listener,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        daemon == NULL ? NULL : MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info != NULL)
        *ret_port = info->port;
    return daemon;
}

bool listener_start(Listener *listener, Service *service, const ListenerPlan *plan, Error *err)
{
    *listener = (Listener){.service = service, .plan = *plan};
    listener->arena = arena_new(LISTENER_ARENA_BYTES, err);
    TRY(listener->arena != NULL);
    (void)pthread_mutex_init(&listener->lock, NULL);
    TRY(waiting_start(&listener->waiting, service->env, listener->arena, err));
    // The stranger first, which never asks for its own address: who listens for us may name it in
    // the first answer, from a thread that begins after it was written.
    listener->stranger = start_daemon(listener, 0, handle_stranger, &listener->stranger_port);
    if (listener->stranger == NULL)
        return error_set(err, ERROR_IO, "listener: cannot listen on a second port");
    TRY(arena_printf(service->arena, &service->stranger_origin, err, "http://127.0.0.1:%d",
                     listener->stranger_port));
    listener->daemon = start_daemon(listener, plan->port, handle_own, &listener->port);
    if (listener->daemon == NULL)
        return error_set(err, ERROR_IO, "listener: cannot listen on 127.0.0.1:%d", plan->port);
    return true;
}

void listener_stop(Listener *listener)
{
    if (listener->arena == NULL)
        return;
    // Connections that still wait must be woken before their daemon ends.
    waiting_stop(&listener->waiting);
    if (listener->daemon != NULL)
        MHD_stop_daemon(listener->daemon);
    if (listener->stranger != NULL)
        MHD_stop_daemon(listener->stranger);
    waiting_done(&listener->waiting);
    free_exchanges(listener);
    (void)pthread_mutex_destroy(&listener->lock);
    arena_free(listener->arena);
    *listener = (Listener){0};
}
