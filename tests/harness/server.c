#include "server.h"

#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, REQUEST_BYTES_MAX = 1024 * 1024, STEPS_MAX = 256 };

typedef struct Connection {
    int fd; // -1 = free
    SSL *ssl;
    char *bytes; // received, not yet answered
    size_t size;
    bool stalled;
} Connection;

struct Server {
    ServerStep steps[STEPS_MAX];
    size_t step_count;
    bool used[STEPS_MAX];
    int listener;
    int port;
    int wake[2];
    SSL_CTX *tls;
    char certificate[128];
    pthread_t thread;
    Connection connections[CONNECTIONS_MAX];
    pthread_mutex_t mutex; // of what follows
    pthread_cond_t changed;
    size_t request_count;
    size_t connection_count;
    char complaint[2048];
};

static void complain(Server *server, const char *format, ...) PRINTF_LIKE(2, 3);
static void complain(Server *server, const char *format, ...)
{
    (void)pthread_mutex_lock(&server->mutex);
    if (server->complaint[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(server->complaint, sizeof(server->complaint), format, args);
        va_end(args);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

// --- TLS ---

static void make_certificate(Server *server)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_version(certificate, X509_VERSION_3);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    if (X509_sign(certificate, key, EVP_sha256()) == 0)
        abort();

    server->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(server->tls, certificate);
    SSL_CTX_use_PrivateKey(server->tls, key);
    (void)snprintf(server->certificate, sizeof(server->certificate), "%s/server.pem",
                   test_folder());
    FILE *file = fopen(server->certificate, "w");
    if (file == NULL || PEM_write_X509(file, certificate) != 1)
        abort();
    (void)fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

// --- bytes ---

static ssize_t receive(Connection *connection, char *bytes, size_t size)
{
    if (connection->ssl != NULL)
        return SSL_read(connection->ssl, bytes, (int)size);
    return recv(connection->fd, bytes, size, 0);
}

// False when the client has gone, or the test is over.
static bool wait_writable(const Server *server, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT},
                            {.fd = server->wake[0], .events = POLLIN}};
    return poll(fds, 2, -1) > 0 && fds[1].revents == 0 && (fds[0].revents & POLLERR) == 0;
}

static bool send_piece(const Server *server, Connection *connection, Str piece)
{
    while (piece.size > 0) {
        ssize_t sent =
            connection->ssl != NULL
                ? SSL_write(connection->ssl, piece.data, (int)piece.size)
                : send(connection->fd, piece.data, piece.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0 && (connection->ssl != NULL || errno != EAGAIN))
            return false;
        if (sent <= 0 && !wait_writable(server, connection->fd))
            return false;
        if (sent > 0)
            piece = str_slice(piece, (size_t)sent, piece.size);
    }
    return true;
}

static bool send_answer(const Server *server, Connection *connection, const ServerStep *step)
{
    Str rest = step->answer;
    while (rest.size > 0) {
        const size_t size = step->drip_bytes == 0 ? rest.size : step->drip_bytes;
        if (!send_piece(server, connection, str_slice(rest, 0, size)))
            return false;
        rest = str_slice(rest, size, rest.size);
    }
    return true;
}

static void end_connection(Connection *connection, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    SSL_free(connection->ssl);
    (void)close(connection->fd);
    free(connection->bytes);
    *connection = (Connection){.fd = -1};
}

// --- requests ---

static Str header_of(Str head, Str name)
{
    while (head.data != NULL) {
        Str value = str_split_next(&head, '\n');
        const Str key = str_split_next(&value, ':');
        if (value.data != NULL && str_equal_ignoring_case(key, name))
            return str_trim(value);
    }
    return (Str){0};
}

// The size of the first whole request in `bytes`, or 0 while more has to come.
static size_t whole_request(Str bytes, bool headers_suffice)
{
    const size_t end = str_find(bytes, STR("\r\n\r\n"));
    if (end == bytes.size)
        return 0;
    const size_t head = end + 4;
    int64_t length = 0;
    (void)str_to_int64(header_of(str_slice(bytes, 0, head), STR("Content-Length")), &length);
    if (headers_suffice)
        return head;
    return bytes.size - head >= (size_t)length ? head + (size_t)length : 0;
}

static ServerStep *find_step(Server *server, Str request)
{
    ServerStep *found = NULL;
    (void)pthread_mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->step_count && found == NULL; i++) {
        ServerStep *step = &server->steps[i];
        if (server->used[i] && !step->many)
            continue;
        if (step->request == NULL || str_starts_with(request, str_from(step->request)))
            found = step;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return found;
}

static bool contains(Str text, const char *part)
{
    return str_find(text, str_from(part)) < text.size;
}

static void check_step(Server *server, const ServerStep *step, Str request)
{
    for (size_t i = 0; i < SERVER_TEXTS_MAX && step->has[i] != NULL; i++)
        if (!contains(request, step->has[i]))
            complain(server, "the request lacks '%s':\n" STR_FMT, step->has[i], STR_ARG(request));
    for (size_t i = 0; i < SERVER_TEXTS_MAX && step->lacks[i] != NULL; i++)
        if (contains(request, step->lacks[i]))
            complain(server, "the request holds '%s':\n" STR_FMT, step->lacks[i], STR_ARG(request));
}

static void count_request(Server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->request_count++;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

// Answers one request; false when the connection is over.
static bool answer(Server *server, Connection *connection, ServerStep *step, Str request)
{
    if (step == NULL) {
        complain(server, "nobody expected this request:\n" STR_FMT, STR_ARG(request));
        count_request(server);
        return false;
    }
    server->used[step - server->steps] = true;
    check_step(server, step, request);
    count_request(server);
    const bool sent = send_answer(server, connection, step);
    connection->stalled = step->then == SERVER_STALL;
    if (sent && (step->then == SERVER_KEEP || step->then == SERVER_STALL))
        return true;
    end_connection(connection, step->then == SERVER_RESET);
    return false;
}

static void read_requests(Server *server, Connection *connection)
{
    if (connection->bytes == NULL)
        connection->bytes = malloc(REQUEST_BYTES_MAX);
    const ssize_t got = receive(connection, connection->bytes + connection->size,
                                REQUEST_BYTES_MAX - connection->size);
    if (got <= 0) {
        end_connection(connection, false);
        return;
    }
    connection->size += (size_t)got;
    while (!connection->stalled) {
        const Str bytes = {connection->bytes, connection->size};
        ServerStep *step = find_step(server, bytes);
        const size_t size = whole_request(bytes, step != NULL && step->unread);
        if (size == 0)
            return;
        if (!answer(server, connection, step, str_slice(bytes, 0, size))) {
            if (connection->fd >= 0)
                end_connection(connection, false);
            return;
        }
        connection->size -= size;
        memmove(connection->bytes, connection->bytes + size, connection->size);
    }
}

static void accept_one(Server *server)
{
    const int fd = accept(server->listener, NULL, NULL);
    size_t i = 0;
    while (i < CONNECTIONS_MAX && server->connections[i].fd >= 0)
        i++;
    if (fd < 0 || i == CONNECTIONS_MAX)
        abort();
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    Connection *connection = &server->connections[i];
    *connection = (Connection){.fd = fd};
    (void)pthread_mutex_lock(&server->mutex);
    server->connection_count++;
    (void)pthread_mutex_unlock(&server->mutex);
    if (server->tls == NULL)
        return;
    connection->ssl = SSL_new(server->tls);
    SSL_set_fd(connection->ssl, fd);
    if (SSL_accept(connection->ssl) != 1) // a client that does not trust us leaves here
        end_connection(connection, false);
}

static void *serve(void *user)
{
    Server *server = user;
    for (;;) {
        struct pollfd fds[CONNECTIONS_MAX + 2] = {{.fd = server->wake[0], .events = POLLIN},
                                                  {.fd = server->listener, .events = POLLIN}};
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            fds[i + 2] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
        if (poll(fds, CONNECTIONS_MAX + 2, -1) < 0)
            continue;
        if (fds[0].revents != 0)
            return NULL;
        if (fds[1].revents != 0)
            accept_one(server);
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            if (server->connections[i].fd >= 0 && server->connections[i].fd == fds[i + 2].fd &&
                fds[i + 2].revents != 0)
                read_requests(server, &server->connections[i]);
    }
}

// --- life ---

static Server *start(const ServerStep *steps, size_t count, bool tls)
{
    (void)signal(SIGPIPE, SIG_IGN); // OpenSSL writes to sockets whose client has left
    Server *server = calloc(1, sizeof(*server));
    if (server == NULL || count > STEPS_MAX)
        abort();
    for (size_t i = 0; i < count; i++)
        server->steps[i] = steps[i];
    server->step_count = count;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
    (void)pthread_mutex_init(&server->mutex, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    if (tls)
        make_certificate(server);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (const struct sockaddr *)&address, size) != 0 ||
        listen(server->listener, CONNECTIONS_MAX) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) != 0 ||
        pipe(server->wake) != 0 || pthread_create(&server->thread, NULL, serve, server) != 0)
        abort();
    server->port = ntohs(address.sin_port);
    return server;
}

Server *server_start(const ServerStep *steps, size_t count)
{
    return start(steps, count, false);
}

Server *server_start_tls(const ServerStep *steps, size_t count)
{
    return start(steps, count, true);
}

void server_add(Server *server, const ServerStep *steps, size_t count)
{
    (void)pthread_mutex_lock(&server->mutex);
    if (server->step_count + count > STEPS_MAX)
        abort();
    for (size_t i = 0; i < count; i++)
        server->steps[server->step_count++] = steps[i];
    (void)pthread_mutex_unlock(&server->mutex);
}

int server_port(const Server *server)
{
    return server->port;
}

const char *server_certificate(const Server *server)
{
    return server->certificate;
}

void server_wait_requests(Server *server, size_t count)
{
    (void)pthread_mutex_lock(&server->mutex);
    while (server->request_count < count)
        (void)pthread_cond_wait(&server->changed, &server->mutex);
    (void)pthread_mutex_unlock(&server->mutex);
}

size_t server_requests(Server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    const size_t count = server->request_count;
    (void)pthread_mutex_unlock(&server->mutex);
    return count;
}

size_t server_connections(Server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    const size_t count = server->connection_count;
    (void)pthread_mutex_unlock(&server->mutex);
    return count;
}

static void check_script(const Server *server)
{
    if (server->complaint[0] != '\0') {
        (void)fprintf(stderr, "server: %s\n", server->complaint);
        abort();
    }
    for (size_t i = 0; i < server->step_count; i++) {
        if (server->used[i] || server->steps[i].many)
            continue;
        (void)fprintf(stderr, "server: step %zu (%s) was never asked for\n", i,
                      server->steps[i].request == NULL ? "any" : server->steps[i].request);
        abort();
    }
}

void server_stop(Server *server)
{
    if (server == NULL)
        return;
    if (write(server->wake[1], "", 1) != 1)
        abort();
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (server->connections[i].fd >= 0)
            end_connection(&server->connections[i], false);
    (void)close(server->listener);
    (void)close(server->wake[0]);
    (void)close(server->wake[1]);
    SSL_CTX_free(server->tls);
    check_script(server);
    (void)pthread_mutex_destroy(&server->mutex);
    (void)pthread_cond_destroy(&server->changed);
    free(server);
}

void server_stopp(Server **server)
{
    server_stop(*server);
}

const char *server_url(const Server *server, const char *path)
{
    static char urls[8][256];
    static size_t next = 0;
    char *url = urls[next++ % 8];
    (void)snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%d%s", server->port, path);
    return url;
}
