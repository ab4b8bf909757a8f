#include "base/buf.h"
#include "harness/server.h"
#include "net/http.h"
#include "net_env.h"

#include <arpa/inet.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { ARENA_BYTES = 64 * 1024 * 1024, LONG_MS = 60 * 1000 };

static HttpClient *new_client(const HttpOptions *options, Env *env)
{
    Error err = {0};
    HttpClient *client = NULL;
    net_env_init(env);
    CHECK_OK(http_client_new(options, env, &client, &err), &err);
    return client;
}

static HttpRequest get(const Server *server, const char *path)
{
    return (HttpRequest){.method = STR("GET"), .url = str_from(server_url(server, path))};
}

static HttpExchange *exchange(HttpClient *client, const HttpRequest *request)
{
    Error err = {0};
    HttpExchange *done = NULL;
    CHECK_OK(http_client_send(client, request, NULL, &err), &err);
    CHECK_OK(http_client_wait(client, LONG_MS, &done, &err), &err);
    CHECK(done != NULL);
    return done;
}

static void expect_body(HttpClient *client, const HttpRequest *request, Str body)
{
    HttpExchange *done = exchange(client, request);
    CHECK_STR(str_from(done->err.message), STR(""));
    CHECK_STR(done->response.body, body);
    http_exchange_free(done);
}

// --- answers as bytes ---

static Str answer_with(Arena *arena, const char *headers, Str body)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(buf_printf(&out, &err, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", body.size,
                        headers),
             &err);
    CHECK_OK(buf_append(&out, body, &err), &err);
    Str answer = {0};
    CHECK_OK(arena_copy_str(arena, buf_str(&out), &answer, &err), &err);
    return answer;
}

static Str gzip(Arena *arena, Str text)
{
    Error err = {0};
    z_stream stream = {0};
    CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const size_t room = deflateBound(&stream, text.size);
    char *bytes = arena_alloc(arena, room, &err);
    CHECK(bytes != NULL);
    stream.next_in = (z_const Bytef *)(uintptr_t)text.data;
    stream.avail_in = (uInt)text.size;
    stream.next_out = (Bytef *)bytes;
    stream.avail_out = (uInt)room;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    const Str packed = {bytes, stream.total_out};
    (void)deflateEnd(&stream);
    return packed;
}

static Str zstd(Arena *arena, Str text)
{
    Error err = {0};
    const size_t room = ZSTD_compressBound(text.size);
    char *bytes = arena_alloc(arena, room, &err);
    CHECK(bytes != NULL);
    return (Str){bytes, ZSTD_compress(bytes, room, text.data, text.size, 3)};
}

static Str many(Arena *arena, char c, size_t size)
{
    Error err = {0};
    char *bytes = arena_alloc(arena, size, &err);
    CHECK(bytes != NULL);
    memset(bytes, c, size);
    return (Str){bytes, size};
}

static Str joined(Arena *arena, Str a, Str b)
{
    Error err = {0};
    char *bytes = arena_alloc(arena, a.size + b.size, &err);
    CHECK(bytes != NULL);
    memcpy(bytes, a.data, a.size);
    memcpy(bytes + a.size, b.data, b.size);
    return (Str){bytes, a.size + b.size};
}

// --- what goes out, what comes in ---

TEST(a_get_brings_status_headers_and_body)
{
    const ServerStep steps[] = {
        {.request = "GET /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1",
         .has = {"User-Agent: pawl/", "Accept-Encoding: zstd, gzip\r\n", "X-One: 1\r\n",
                 "X-Empty:\r\n"},
         .lacks = {"Cookie", "Content-Type", "Content-Length", "Expect"},
         .answer = STR("HTTP/1.1 201 Made\r\nX-A: 1\r\nSet-Cookie: s=1\r\nx-a:  2 \r\nX-Empty:\r\n"
                       "Content-Length: 5\r\n\r\nhello")},
        {.request = "GET /b HTTP/1.1",
         .lacks = {"Cookie", "X-One"},
         .answer = STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: late\r\n\r\n")},
        {.request = "GET /c HTTP/1.1", .answer = ANSWER_EMPTY("204 Nothing")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    Error err = {0};

    HttpRequest request = get(server, "/a?b=1");
    CHECK_OK(http_request_add_header(&request, STR("X-One"), STR("1"), &err), &err);
    CHECK_OK(http_request_add_header(&request, STR("X-Empty"), STR(""), &err), &err);
    HttpExchange *done = exchange(client, &request);
    CHECK_STR(str_from(done->err.message), STR(""));
    CHECK_INT(done->response.status, 201);
    CHECK_INT((int64_t)done->response.header_count, 5);
    CHECK_STR(http_header(&done->response, STR("X-A")), STR("1"));
    CHECK_STR(done->response.headers[2].value, STR("2"));
    CHECK(http_header(&done->response, STR("X-Empty")).data != NULL);
    CHECK(http_header(&done->response, STR("X-None")).data == NULL);
    CHECK_STR(done->response.body, STR("hello"));
    CHECK(memcmp(done->response.body.data + 5, "\0\0\0\0", HTTP_BODY_PADDING) == 0);
    CHECK_INT((int64_t)done->response.wire_bytes, 5);
    CHECK(done->response.sent_at_us > 0);
    http_exchange_free(done);

    request = get(server, "/b");
    done = exchange(client, &request);
    CHECK_STR(done->response.body, STR("abcde"));
    CHECK(http_header(&done->response, STR("X-Trailer")).data == NULL);
    http_exchange_free(done);

    request = get(server, "/c");
    expect_body(client, &request, STR(""));
    CHECK_INT((int64_t)server_connections(server), 1);
}

TEST(bodies_go_out_as_they_are)
{
    const ServerStep steps[] = {
        {.request = "POST /t HTTP/1.1",
         .has = {"Content-Length: 3\r\n", "\r\n\r\na=1", "Content-Type: text/x\r\n"},
         .lacks = {"Expect", "Content-Length: 99"},
         .answer = ANSWER_EMPTY("200 OK")},
        {.request = "POST /e HTTP/1.1",
         .has = {"Content-Length: 0\r\n"},
         .lacks = {"Content-Type"},
         .answer = ANSWER_EMPTY("200 OK")},
        {.request = "PUT /p HTTP/1.1", .has = {"\r\n\r\nzz"}, .answer = ANSWER_EMPTY("200 OK")},
        {.request = "DELETE /d HTTP/1.1", .answer = ANSWER_EMPTY("200 OK")},
        {.request = "GET /g HTTP/1.1", .has = {"\r\n\r\n{}"}, .answer = ANSWER_EMPTY("200 OK")},
        {.request = "HEAD /h HTTP/1.1",
         .answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    Error err = {0};
    const struct {
        Str method, path, body;
    } rows[] = {{STR("POST"), STR("/t"), STR("a=1")}, {STR("POST"), STR("/e"), STR("")},
                {STR("PUT"), STR("/p"), STR("zz")},   {STR("DELETE"), STR("/d"), STR("")},
                {STR("GET"), STR("/g"), STR("{}")},   {STR("HEAD"), STR("/h"), STR("")}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].path.data);
        HttpRequest request = get(server, rows[i].path.data);
        request.method = rows[i].method;
        request.body = rows[i].body;
        if (i == 0) {
            CHECK_OK(http_request_add_header(&request, STR("Content-Type"), STR("text/x"), &err),
                     &err);
            CHECK_OK(http_request_add_header(&request, STR("Content-Length"), STR("99"), &err),
                     &err);
        }
        expect_body(client, &request, STR(""));
    }
}

TEST(interim_answers_are_passed_over)
{
    const ServerStep steps[] = {{.answer = STR("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
                                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    const HttpRequest request = get(server, "/");
    HttpExchange *done = exchange(client, &request);
    CHECK_INT(done->response.status, 200);
    CHECK_INT((int64_t)done->response.header_count, 1);
    CHECK_STR(done->response.body, STR("ok"));
    http_exchange_free(done);
}

TEST(compressed_bodies_are_decoded_and_kept_as_sent)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Str text = many(arena, 'x', 300000);
    const Str packed_gzip = gzip(arena, text);
    const Str packed_zstd = zstd(arena, text);
    const Str two = joined(arena, gzip(arena, str_slice(text, 0, 1000)),
                           gzip(arena, str_slice(text, 1000, text.size)));
    const struct {
        const char *name;
        const char *header;
        Str packed;
        HttpEncoding encoding;
        size_t drip_bytes;
    } rows[] = {
        {"gzip", "Content-Encoding: gzip\r\n", packed_gzip, HTTP_ENCODING_GZIP, 0},
        {"gzip in drops", "Content-Encoding: x-gzip\r\n", packed_gzip, HTTP_ENCODING_GZIP, 1},
        {"gzip, two members", "content-encoding: GZIP\r\n", two, HTTP_ENCODING_GZIP, 7},
        {"zstd", "Content-Encoding: zstd\r\n", packed_zstd, HTTP_ENCODING_ZSTD, 0},
        {"zstd in drops", "Content-Encoding: zstd\r\n", packed_zstd, HTTP_ENCODING_ZSTD, 1},
        {"plain", "", text, HTTP_ENCODING_IDENTITY, 0},
        {"identity", "Content-Encoding: identity\r\n", text, HTTP_ENCODING_IDENTITY, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const ServerStep step = {.answer = answer_with(arena, rows[i].header, rows[i].packed),
                                 .drip_bytes = rows[i].drip_bytes};
        CLEANUP(server_stopp) Server *server = server_start(&step, 1);
        Env env;
        CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
        HttpRequest request = get(server, "/");
        request.keep_encoded = true;
        HttpExchange *done = exchange(client, &request);
        CHECK_STR(str_from(done->err.message), STR(""));
        CHECK(str_equal(done->response.body, text));
        CHECK_INT(done->response.encoding, rows[i].encoding);
        CHECK(str_equal(done->response.encoded,
                        rows[i].encoding == HTTP_ENCODING_IDENTITY ? STR("") : rows[i].packed));
        CHECK_INT((int64_t)done->response.wire_bytes, (int64_t)rows[i].packed.size);
        http_exchange_free(done);
    }
}

// Servers pad, or end with a newline: curl refuses that, browsers and urllib3 do not.
TEST(what_stands_behind_gzip_is_passed_over)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Str text = many(arena, 'x', 300000);
    const Str packed = gzip(arena, text);
    const Str rows[] = {STR("junk"), STR("\n"),       STR("\r\n"),     (Str){"\0\0\0", 3},
                        STR("\x1f"), STR("\x1fjunk"), STR("\x8b\x1f"), many(arena, 0, 100000)};
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        check_row(rows[i / 2].data);
        const Str padded = joined(arena, packed, rows[i / 2]);
        const ServerStep step = {.answer = answer_with(arena, "Content-Encoding: gzip\r\n", padded),
                                 .drip_bytes = i % 2};
        CLEANUP(server_stopp) Server *server = server_start(&step, 1);
        Env env;
        CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
        HttpRequest request = get(server, "/");
        request.keep_encoded = true;
        HttpExchange *done = exchange(client, &request);
        CHECK_STR(str_from(done->err.message), STR(""));
        CHECK(str_equal(done->response.body, text));
        CHECK(str_equal(done->response.encoded, packed));
        CHECK_INT((int64_t)done->response.wire_bytes, (int64_t)padded.size);
        http_exchange_free(done);
    }
}

// What is wrong with an answer is said by name; only what may be right next time is ERROR_IO.
TEST(broken_answers_are_refused_by_name)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const char *gz = "Content-Encoding: gzip\r\n";
    const char *zs = "Content-Encoding: zstd\r\n";
    const Str text = many(arena, 'x', 100000);
    const Str packed = gzip(arena, text);
    const Str packed_zstd = zstd(arena, text);
    const Str bomb = gzip(arena, many(arena, 0, 3000000));
    const Str bomb_zstd = zstd(arena, many(arena, 0, 3000000));
    const Str ok = STR("HTTP/1.1 200 OK\r\n");
    Str headers_many = ok;
    for (int i = 0; i < HTTP_ANSWER_HEADERS_MAX; i++)
        headers_many = joined(arena, headers_many, STR("X-Y: z\r\n"));
    const Str headers_long =
        joined(arena, joined(arena, ok, STR("X-Y: ")), many(arena, 'z', HTTP_HEADER_BYTES_MAX));
    const Str end = STR("\r\nContent-Length: 0\r\n\r\n");
    const struct {
        const char *name;
        Str answer;
        ErrorCode code;
        const char *message;
    } rows[] = {
        {"truncated gzip", answer_with(arena, gz, str_slice(packed, 0, packed.size - 9)), ERROR_IO,
         "GET 127.0.0.1: truncated gzip"},
        {"a second member, cut",
         answer_with(arena, gz, joined(arena, packed, str_slice(packed, 0, 2))), ERROR_IO,
         "truncated gzip"},
        {"a second member of another method",
         answer_with(arena, gz, joined(arena, packed, STR("\x1f\x8b\x07zzzz"))), ERROR_IO,
         "bad gzip"},
        {"endless padding",
         joined(arena, STR("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
                joined(arena, packed, many(arena, 0, 1000000))),
         ERROR_LIMIT, "body longer than 1000000 bytes"},
        {"no gzip at all", answer_with(arena, gz, STR("<html>")), ERROR_IO, "bad gzip"},
        {"truncated zstd", answer_with(arena, zs, str_slice(packed_zstd, 0, packed_zstd.size - 1)),
         ERROR_IO, "truncated zstd"},
        {"no zstd at all", answer_with(arena, zs, STR("<html>")), ERROR_IO, "bad zstd"},
        {"gzip bomb", answer_with(arena, gz, bomb), ERROR_LIMIT, "longer than 1000000 bytes"},
        {"zstd bomb", answer_with(arena, zs, bomb_zstd), ERROR_LIMIT, "longer than 1000000 bytes"},
        {"unknown coding", answer_with(arena, "Content-Encoding: br\r\n", text), ERROR_DATA,
         "content-encoding 'br' was not asked for"},
        {"announced too long", STR("HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\nx"),
         ERROR_LIMIT, "body of 200000000 bytes is longer than 1000000"},
        {"too long", joined(arena, STR("HTTP/1.1 200 OK\r\n\r\n"), many(arena, 'x', 1000001)),
         ERROR_LIMIT, "body longer than 1000000 bytes"},
        {"too many headers", joined(arena, headers_many, STR("A: b\r\n\r\n")), ERROR_LIMIT,
         "more than 256 headers"},
        {"headers too long", joined(arena, headers_long, end), ERROR_LIMIT,
         "headers longer than 65536 bytes"},
        {"cut in the body", STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345"), ERROR_IO,
         "4 bytes remaining"},
        {"cut in a chunk", STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123"),
         ERROR_IO, "GET 127.0.0.1: "},
        {"cut in the headers", STR("HTTP/1.1 200 OK\r\nContent-"), ERROR_IO, "GET 127.0.0.1: "},
        {"nothing", STR(""), ERROR_IO, "Empty reply"},
        {"garbage", STR("\x16\x03\x01 what is this?\r\n\r\n"), ERROR_IO, "GET 127.0.0.1: "},
        {"HTTP/0.9", STR("<html>hello</html>"), ERROR_IO, "GET 127.0.0.1: "},
        {"bad chunk", STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), ERROR_IO,
         "GET 127.0.0.1: "},
        {"two lengths", STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: -5\r\n\r\nx"),
         ERROR_IO, "GET 127.0.0.1: "},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const ServerStep step = {.answer = rows[i].answer, .then = SERVER_CLOSE};
        CLEANUP(server_stopp) Server *server = server_start(&step, 1);
        Env env;
        CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
        HttpRequest request = get(server, "/secret?key=canary");
        request.body_bytes_max = 1000000;
        HttpExchange *done = exchange(client, &request);
        CHECK_INT(done->err.code, rows[i].code);
        CHECK_CONTAINS(str_from(done->err.message), str_from(rows[i].message));
        CHECK(strstr(done->err.message, "canary") == NULL);
        CHECK(done->maybe_acted);
        CHECK_INT((int64_t)done->response.body.size, 0);
        http_exchange_free(done);
    }
}

TEST(a_body_of_exactly_the_bound_is_fine)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Str text = many(arena, 'x', 100000);
    const ServerStep steps[] = {
        {.answer = answer_with(arena, "", text)},
        {.answer = answer_with(arena, "Content-Encoding: gzip\r\n", gzip(arena, text))},
        {.answer = answer_with(arena, "Content-Encoding: zstd\r\n", zstd(arena, text))}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    HttpRequest request = get(server, "/");
    request.body_bytes_max = text.size;
    for (size_t i = 0; i < COUNT(steps); i++)
        expect_body(client, &request, text);
}

TEST(a_reset_and_a_refused_connection_are_told_apart)
{
    const ServerStep step = {.answer = STR("HTTP/1.1 200 OK\r\n"), .then = SERVER_RESET};
    Server *server = server_start(&step, 1);
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    const HttpRequest request = get(server, "/");
    HttpExchange *done = exchange(client, &request);
    CHECK_INT(done->err.code, ERROR_IO);
    CHECK(done->maybe_acted);
    http_exchange_free(done);

    server_stop(server);
    done = exchange(client, &request);
    CHECK_INT(done->err.code, ERROR_IO);
    CHECK(!done->maybe_acted);
    http_exchange_free(done);
}

// --- time ---

TEST(stalls_and_deadlines_end_an_exchange)
{
    const struct {
        const char *name;
        Str answer;
        int64_t skip_ms;
        int64_t timeout_ms;
        const char *message;
    } rows[] = {
        {"no answer", STR(""), 5001, 0, "no byte came"},
        {"half an answer", STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), 5001, 0,
         "no byte came"},
        {"deadline", STR(""), 2000, 1500, "no complete answer"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const ServerStep step = {.answer = rows[i].answer, .then = SERVER_STALL};
        CLEANUP(server_stopp) Server *server = server_start(&step, 1);
        Env env;
        CLEANUP(http_client_freep)
        HttpClient *client = new_client(&(HttpOptions){.stall_timeout_ms = 5000}, &env);
        HttpRequest request = get(server, "/");
        request.timeout_ms = rows[i].timeout_ms;
        Error err = {0};
        HttpExchange *done = NULL;
        CHECK_OK(http_client_send(client, &request, NULL, &err), &err);
        while (server_requests(server) == 0) // the client sends only while it waits
            CHECK_OK(http_client_wait(client, 1, &done, &err), &err);
        CHECK(done == NULL);
        net_skip_ms(rows[i].skip_ms);
        CHECK_OK(http_client_wait(client, LONG_MS, &done, &err), &err);
        CHECK(done != NULL);
        CHECK_INT(done->err.code, ERROR_IO);
        CHECK_CONTAINS(str_from(done->err.message), str_from(rows[i].message));
        http_exchange_free(done);
    }
}

typedef struct Meddler {
    Server *server;
    HttpClient *client;
    Env *env;
    HttpExchange *done;
} Meddler;

static void *stop_once_asked(void *user)
{
    Meddler *meddler = user;
    server_wait_requests(meddler->server, 1);
    atomic_store(&meddler->env->stop, true);
    return NULL;
}

TEST(stop_ends_a_wait_within_100_ms)
{
    const ServerStep step = {.then = SERVER_STALL};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    const HttpRequest request = get(server, "/");
    Error err = {0};
    HttpExchange *done = NULL;
    CHECK_OK(http_client_send(client, &request, NULL, &err), &err);
    Meddler meddler = {.server = server, .env = &env};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stop_once_asked, &meddler) == 0);
    CHECK(!http_client_wait(client, LONG_MS, &done, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK(pthread_join(thread, NULL) == 0);

    const int64_t before_us = env.monotonic_us(env.state);
    CHECK(!http_client_wait(client, LONG_MS, &done, &err));
    CHECK(env.monotonic_us(env.state) - before_us < 100000);
}

static void *wake_it(void *user)
{
    Meddler *meddler = user;
    http_client_wake(meddler->client);
    return NULL;
}

TEST(a_wake_ends_a_wait)
{
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    Meddler meddler = {.client = client};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wake_it, &meddler) == 0);
    Error err = {0};
    HttpExchange *done = NULL;
    CHECK_OK(http_client_wait(client, INT32_MAX, &done, &err), &err);
    CHECK(done == NULL);
    CHECK(pthread_join(thread, NULL) == 0);
}

// --- bounds ---

TEST(no_more_than_the_connections_are_under_way)
{
    const ServerStep step = {.answer = ANSWER_EMPTY("200 OK"), .many = true};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    Env env;
    CLEANUP(http_client_freep)
    HttpClient *client = new_client(&(HttpOptions){.connections = 2}, &env);
    const HttpRequest request = get(server, "/");
    Error err = {0};
    int tags[3];
    for (int i = 0; i < 2; i++)
        CHECK_OK(http_client_send(client, &request, &tags[i], &err), &err);
    CHECK_INT((int64_t)http_client_under_way(client), 2);
    CHECK(!http_client_send(client, &request, &tags[2], &err));
    CHECK_INT(err.code, ERROR_BUSY);
    for (int i = 0; i < 2; i++) {
        HttpExchange *done = NULL;
        CHECK_OK(http_client_wait(client, LONG_MS, &done, &err), &err);
        CHECK(done->tag == &tags[0] || done->tag == &tags[1]);
        CHECK(done->request == &request);
        http_exchange_free(done);
    }
    CHECK_INT((int64_t)http_client_under_way(client), 0);
}

static void *free_it(void *user)
{
    Meddler *meddler = user;
    http_exchange_free(meddler->done);
    return NULL;
}

// Answers that a slow worker still holds keep new ones from being asked for; freeing one, in
// another thread, wakes the client.
TEST(answers_in_hand_are_bounded_by_memory)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Str text = many(arena, 'x', 400000);
    const ServerStep step = {.answer = answer_with(arena, "", text), .many = true};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    Env env;
    CLEANUP(http_client_freep)
    HttpClient *client =
        new_client(&(HttpOptions){.connections = 1, .memory_bytes_max = 1000000}, &env);
    const HttpRequest request = get(server, "/");
    HttpExchange *first = exchange(client, &request);
    HttpExchange *second = exchange(client, &request);
    CHECK(!http_client_send(client, &request, NULL, &err));
    CHECK_INT(err.code, ERROR_BUSY);

    Meddler meddler = {.done = first};
    const char *recycled = first->response.body.data;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_it, &meddler) == 0);
    HttpExchange *none = NULL;
    CHECK_OK(http_client_wait(client, INT32_MAX, &none, &err), &err); // woken, not timed out
    CHECK(none == NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    first = exchange(client, &request);
    CHECK(str_equal(first->response.body, text));
    CHECK(first->response.body.data == recycled); // the same buffer, not a new one
    http_exchange_free(first);
    http_exchange_free(second);
}

TEST(one_body_alone_cannot_exceed_the_memory)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const Str text = many(arena, 'x', 400000);
    const char *gz = "Content-Encoding: gzip\r\n";
    const ServerStep steps[] = {
        {.answer = answer_with(arena, "", text), .then = SERVER_CLOSE},
        {.answer = answer_with(arena, gz, gzip(arena, text)), .then = SERVER_CLOSE}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep)
    HttpClient *client = new_client(&(HttpOptions){.memory_bytes_max = 200000}, &env);
    const HttpRequest request = get(server, "/");
    for (size_t i = 0; i < COUNT(steps); i++) {
        HttpExchange *done = exchange(client, &request);
        CHECK_INT(done->err.code, ERROR_LIMIT);
        CHECK_CONTAINS(str_from(done->err.message), STR("more than 200000 bytes of memory"));
        http_exchange_free(done);
    }
}

TEST(requests_that_may_not_go_out_are_refused)
{
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    const struct {
        const char *url;
        ErrorCode code;
    } rows[] = {
        {"http://192.0.2.1/", ERROR_ACCESS},
        {"http://127.0.0.1.example.com/", ERROR_ACCESS},
        {"ftp://127.0.0.1/", ERROR_DATA},
        {"file:///etc/passwd", ERROR_DATA},
        {"https://u:p@127.0.0.1/", ERROR_DATA},
        {"https://127.0.0.1/a b", ERROR_DATA},
        {"https://127.0.0.1/\r\nX: y", ERROR_DATA},
        {"/relative", ERROR_DATA},
        {"", ERROR_DATA},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].url);
        Error err = {0};
        const HttpRequest request = {.method = STR("GET"), .url = str_from(rows[i].url)};
        CHECK(!http_client_send(client, &request, NULL, &err));
        CHECK_INT(err.code, rows[i].code);
    }
    Error err = {0};
    HttpRequest request = {.method = STR("GET / HTTP/1.1\r\nX"), .url = STR("https://127.0.0.1/")};
    CHECK(!http_client_send(client, &request, NULL, &err));
    CHECK_INT(err.code, ERROR_DATA);

    CHECK(!http_request_add_header(&request, STR("A"), STR("b\r\nc: d"), &err));
    CHECK(!http_request_add_header(&request, STR("A:"), STR("b"), &err));
    CHECK(!http_request_add_header(&request, STR(""), STR("b"), &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_INT((int64_t)request.header_count, 0);
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        CHECK_OK(http_request_add_header(&request, STR("A"), STR("b"), &err), &err);
    CHECK(!http_request_add_header(&request, STR("A"), STR("b"), &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

// --- origins, credentials, TLS ---

TEST(redirects_are_answers)
{
    const ServerStep step = {
        .answer = STR("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    const HttpRequest request = get(server, "/a");
    HttpExchange *done = exchange(client, &request);
    CHECK_INT(done->response.status, 302);
    CHECK_STR(http_header(&done->response, STR("location")), STR("/b"));
    http_exchange_free(done);
}

TEST(connect_to_keeps_the_host_header)
{
    const ServerStep steps[] = {
        {.request = "GET /x HTTP/1.1",
         .has = {"Host: api.example.com\r\n"},
         .answer = ANSWER_EMPTY("200 OK")},
        {.request = "GET /y HTTP/1.1",
         .has = {"Host: api.example.com:8443\r\n"},
         .answer = ANSWER_EMPTY("200 OK")},
        {.request = "GET /z HTTP/1.1",
         .has = {"Host: mine\r\n"},
         .lacks = {"api.example"},
         .answer = ANSWER_EMPTY("200 OK")},
        {.request = "GET /v6 HTTP/1.1",
         .has = {"Host: [2001:db8::1]\r\n"},
         .answer = ANSWER_EMPTY("200 OK")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    char target[32];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", server_port(server));
    Env env;
    CLEANUP(http_client_freep)
    HttpClient *client = new_client(&(HttpOptions){.connect_to = str_from(target)}, &env);
    HttpRequest request = {.method = STR("GET"), .url = STR("https://api.example.com/x")};
    expect_body(client, &request, STR(""));
    request.url = STR("https://api.example.com:8443/y");
    expect_body(client, &request, STR(""));
    request.url = STR("http://api.example.com/z");
    Error err = {0};
    CHECK_OK(http_request_add_header(&request, STR("Host"), STR("mine"), &err), &err);
    expect_body(client, &request, STR(""));
    const HttpRequest six = {.method = STR("GET"), .url = STR("https://[2001:db8::1]/v6")};
    expect_body(client, &six, STR(""));

    HttpClient *none = NULL;
    CHECK(!http_client_new(&(HttpOptions){.connect_to = STR("192.0.2.1:80")}, &env, &none, &err));
    CHECK_INT(err.code, ERROR_JOB);
}

TEST(tls_is_verified)
{
    const ServerStep step = {.answer = ANSWER_EMPTY("200 OK")};
    CLEANUP(server_stopp) Server *server = server_start_tls(&step, 1);
    const struct {
        const char *name, *host, *ca_file;
        ErrorCode code;
    } rows[] = {
        {"unknown issuer", "localhost", "", ERROR_ACCESS},
        {"another name", "127.0.0.1", server_certificate(server), ERROR_ACCESS},
        {"no such file", "localhost", "/nonexistent.pem", ERROR_JOB},
        {"trusted", "localhost", server_certificate(server), ERROR_NONE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Env env;
        CLEANUP(http_client_freep)
        HttpClient *client = new_client(&(HttpOptions){.ca_file = str_from(rows[i].ca_file)}, &env);
        char url[64];
        (void)snprintf(url, sizeof(url), "https://%s:%d/", rows[i].host, server_port(server));
        const HttpRequest request = {.method = STR("GET"), .url = str_from(url)};
        HttpExchange *done = exchange(client, &request);
        CHECK_INT(done->err.code, rows[i].code);
        CHECK(!done->maybe_acted);
        http_exchange_free(done);
    }
}

static char proxy_url[64];

static const char *with_proxy(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "https_proxy") == 0 ? proxy_url : NULL;
}

// The proxy learns the host, and nothing else.
TEST(a_proxy_sees_no_credential)
{
    const ServerStep step = {.request = "CONNECT api.example.com:443 HTTP/1.1",
                             .lacks = {"canary"},
                             .answer = ANSWER_EMPTY("502 No"),
                             .then = SERVER_CLOSE};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%d", server_port(server));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    env.variable = with_proxy;
    HttpRequest request = {.method = STR("GET"), .url = STR("https://api.example.com/?k=canary")};
    Error err = {0};
    CHECK_OK(http_request_add_header(&request, STR("Authorization"), STR("canary"), &err), &err);
    HttpExchange *done = exchange(client, &request);
    CHECK_INT(done->err.code, ERROR_IO);
    CHECK(strstr(done->err.message, "canary") == NULL);
    http_exchange_free(done);
}

// curl would send a POST again when a kept connection dies under it.
TEST(what_must_not_happen_twice_is_sent_once)
{
    const ServerStep steps[] = {{.request = "GET /", .answer = ANSWER_EMPTY("200 OK")},
                                {.request = "POST /token", .then = SERVER_CLOSE}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    HttpRequest request = get(server, "/");
    expect_body(client, &request, STR(""));
    request = get(server, "/token");
    request.method = STR("POST");
    request.body = STR("refresh_token=canary");
    HttpExchange *done = exchange(client, &request);
    CHECK_INT(done->err.code, ERROR_IO);
    CHECK(done->maybe_acted);
    http_exchange_free(done);
    CHECK_INT((int64_t)server_requests(server), 2);
    CHECK_INT((int64_t)server_connections(server), 2);
}

// --- fetch, cancel ---

TEST(fetch_leaves_other_exchanges_alone)
{
    const ServerStep steps[] = {
        {.request = "GET /slow", .then = SERVER_STALL},
        {.request = "GET /a", .answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")},
        {.request = "GET /b",
         .answer = STR("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\nb")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Env env;
    CLEANUP(http_client_freep) HttpClient *client = new_client(&(HttpOptions){0}, &env);
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    const HttpRequest slow = get(server, "/slow");
    const HttpRequest a = get(server, "/a");
    const HttpRequest b = get(server, "/b");
    int slow_tag = 0;
    int a_tag = 0;
    CHECK_OK(http_client_send(client, &slow, &slow_tag, &err), &err);
    CHECK_OK(http_client_send(client, &a, &a_tag, &err), &err);
    HttpResponse response = {0};
    CHECK_OK(http_client_fetch(client, &b, arena, &response, &err), &err);
    CHECK_STR(response.body, STR("b"));
    CHECK_STR(http_header(&response, STR("X")), STR("y"));

    HttpExchange *done = NULL;
    CHECK_OK(http_client_wait(client, LONG_MS, &done, &err), &err);
    CHECK(done->tag == &a_tag);
    http_exchange_free(done);
    http_client_cancel(client, &slow_tag);
    CHECK_OK(http_client_wait(client, LONG_MS, &done, &err), &err);
    CHECK(done->tag == &slow_tag);
    CHECK_INT(done->err.code, ERROR_STOPPED);
    http_exchange_free(done);
}

TEST(closing_breaks_off_what_is_under_way)
{
    const ServerStep step = {.many = true, .then = SERVER_STALL};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    Env env;
    HttpClient *client = new_client(&(HttpOptions){0}, &env);
    Error err = {0};
    const HttpRequest request = get(server, "/");
    HttpExchange *done = NULL;
    CHECK_OK(http_client_send(client, &request, NULL, &err), &err);
    CHECK_OK(http_client_wait(client, 0, &done, &err), &err);
    http_client_free(client);
    http_client_free(NULL);
    http_exchange_free(NULL);
}

TEST(every_fault_is_survived)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *texts = arena_new(ARENA_BYTES, &err);
    const Str text = many(texts, 'x', 200000);
    const char *zs = "Content-Encoding: zstd\r\n";
    const ServerStep step = {.answer = answer_with(texts, zs, zstd(texts, text)), .many = true};
    CLEANUP(server_stopp) Server *server = server_start(&step, 1);
    HttpRequest request = get(server, "/");
    request.keep_encoded = true;
    CHECK_OK(http_request_add_header(&request, STR("Authorization"), STR("x"), &err), &err);
    Env env;
    net_env_init(&env);
    FAULTS() {
        err = (Error){0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(http_client_freep) HttpClient *client = NULL;
        HttpResponse response = {0};
        const bool ok = arena != NULL && http_client_new(&(HttpOptions){0}, &env, &client, &err) &&
                        http_client_fetch(client, &request, arena, &response, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        CHECK(str_equal(response.body, ok ? text : STR("")));
    }
}
