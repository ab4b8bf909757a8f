#include "net/fetcher.h"

#include "base/queue.h"
#include "harness/server.h"
#include "net_env.h"

#define COUNT(rows)     (sizeof(rows) / sizeof((rows)[0]))
#define OK_ANSWER(text) STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" text)

enum { LONG_MS = 60 * 1000 };

static const RetryPolicy three = {.attempts = 3, .initial_us = 1000, .factor = 2, .max_us = 4000};

typedef struct World {
    Env env;
    HttpClient *client;
    Fetcher *fetcher;
    FetchLane *lane;
    // a stand-in for the connector's authenticators
    const Server *tokens; // NULL = a fixed token
    int version;          // of the token; 0 = none
    int expired;
    bool again; // its token requests may be repeated
    char key[64];
    char token_url[256];
} World;

static bool fake_apply(void *state, HttpRequest *request, Arena *arena, HttpRequest *ret_token,
                       FetchAuthStep *ret_step, Error *err)
{
    World *world = state;
    Str value = {0};
    if (world->version == 0) {
        *ret_token = (HttpRequest){.method = STR("POST"),
                                   .url = str_from(world->token_url),
                                   .body = STR("secret=canary"),
                                   .repeatable = world->again};
        *ret_step = FETCH_AUTH_NEED_TOKEN;
        return true;
    }
    TRY(arena_printf(arena, &value, err, "Bearer canary-%d", world->version));
    *ret_step = FETCH_AUTH_READY;
    return http_request_add_header(request, STR("Authorization"), value, err);
}

static bool fake_answer(void *state, const HttpResponse *response, Error *err)
{
    World *world = state;
    if (response->status != 200)
        return error_set(err, ERROR_ACCESS, "the token was refused: HTTP %d", response->status);
    world->version = response->body.data[0] - '0';
    return true;
}

static void fake_expire(void *state)
{
    World *world = state;
    world->expired++;
    world->version = 0;
}

static const FetchLaneOptions no_auth = {0};

static void open_world(World *world, const HttpOptions *http, const FetchLaneOptions *lane)
{
    Error err = {0};
    net_env_init(&world->env);
    CHECK_OK(http_client_new(http, &world->env, &world->client, &err), &err);
    CHECK_OK(fetcher_new(world->client, &world->env, &world->fetcher, &err), &err);
    CHECK_OK(fetcher_add_lane(world->fetcher, lane, &world->lane, &err), &err);
}

static void close_world(World *world)
{
    fetcher_free(world->fetcher);
    http_client_free(world->client);
}

static FetchLaneOptions with_auth(World *world, int version, const Server *tokens)
{
    world->version = version;
    if (tokens != NULL)
        (void)snprintf(world->token_url, sizeof(world->token_url), "%s",
                       server_url(tokens, "/token"));
    return (FetchLaneOptions){
        .auth = {.state = world, .apply = fake_apply, .answer = fake_answer, .expire = fake_expire},
        .token_retry = three};
}

static FetchTask get(const World *world, const Server *server, const char *path)
{
    return (FetchTask){.request = {.method = STR("GET"), .url = str_from(server_url(server, path))},
                       .lane = world->lane,
                       .priority = RATE_HIGH,
                       .retry = &three,
                       .retry_answers = true};
}

static void submit(World *world, FetchTask *task)
{
    Error err = {0};
    CHECK_OK(fetcher_submit(world->fetcher, task, &err), &err);
}

static void step(World *world, int timeout_ms)
{
    Error err = {0};
    CHECK_OK(fetcher_step(world->fetcher, timeout_ms, &err), &err);
}

static void finish_all(World *world, FetchTask *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        while (!tasks[i].finished)
            step(world, LONG_MS);
}

static void expect_body(FetchTask *task, Str body)
{
    CHECK_STR(str_from(task->err.message), STR(""));
    CHECK_STR(task->exchange->response.body, body);
    http_exchange_free(task->exchange);
}

static void expect_error(const FetchTask *task, ErrorCode code, const char *message)
{
    CHECK(task->exchange == NULL);
    CHECK_INT(task->err.code, code);
    CHECK_CONTAINS(str_from(task->err.message), str_from(message));
    CHECK(strstr(task->err.message, "canary") == NULL);
}

// --- threads ---

typedef struct Worker {
    World *world;
    Server *server;
    Queue *answers;
} Worker;

static void hand_over(FetchTask *task)
{
    CHECK(queue_put_now(task->tag, task));
}

static void *ask_three_times(void *user)
{
    Worker *worker = user;
    for (int i = 0; i < 3; i++) {
        FetchTask task = get(worker->world, worker->server, "/");
        task.tag = worker->answers;
        task.done = hand_over;
        submit(worker->world, &task);
        CHECK(queue_take(worker->answers, LONG_MS) == &task);
        expect_body(&task, STR("a"));
    }
    atomic_store(&worker->world->env.stop, true);
    return NULL;
}

TEST(other_threads_ask_and_get_their_answers)
{
    const ServerStep steps[] = {{.answer = OK_ANSWER("a"), .many = true}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    Error err = {0};
    CLEANUP(queue_freep) Queue *answers = queue_new(4, &err);
    Worker worker = {&world, server, answers};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ask_three_times, &worker) == 0);
    while (fetcher_step(world.fetcher, LONG_MS, &err))
        continue;
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_INT((int64_t)fetcher_lane_counts(world.lane).requests, 3);
    close_world(&world);
}

// --- retries ---

TEST(what_may_be_repeated_is_repeated)
{
    const struct {
        const char *name;
        const char *method;
        ServerStep first;
        bool repeatable;
        bool repeated;
    } rows[] = {
        {"GET, reset", "GET", {.then = SERVER_RESET}, false, true},
        {"GET, cut",
         "GET",
         {.answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), .then = SERVER_CLOSE},
         false,
         true},
        {"POST, reset", "POST", {.then = SERVER_RESET}, false, false},
        {"POST that may be repeated, reset", "POST", {.then = SERVER_RESET}, true, true},
        {"GET, 503", "GET", {.answer = ANSWER_EMPTY("503 Busy")}, false, true},
        {"GET, 501", "GET", {.answer = ANSWER_EMPTY("501 No")}, false, false},
        {"POST, 503", "POST", {.answer = ANSWER_EMPTY("503 Busy")}, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {rows[i].first, {.answer = OK_ANSWER("b")}};
        CLEANUP(server_stopp) Server *server = server_start(steps, rows[i].repeated ? 2 : 1);
        World world = {0};
        open_world(&world, &(HttpOptions){0}, &no_auth);
        FetchTask task = get(&world, server, "/");
        task.request.method = str_from(rows[i].method);
        task.request.repeatable = rows[i].repeatable;
        submit(&world, &task);
        finish_all(&world, &task, 1);
        CHECK_INT(task.attempts, rows[i].repeated ? 2 : 1);
        if (rows[i].repeated)
            CHECK_STR(task.exchange->response.body, STR("b"));
        http_exchange_free(task.exchange);
        close_world(&world);
    }
}

TEST(attempts_are_bounded)
{
    const ServerStep steps[] = {{.then = SERVER_RESET},
                                {.then = SERVER_RESET},
                                {.then = SERVER_RESET},
                                {.answer = ANSWER_EMPTY("500 A")},
                                {.answer = ANSWER_EMPTY("500 B")},
                                {.answer = ANSWER_EMPTY("500 C")},
                                {.answer = ANSWER_EMPTY("500 D")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    FetchTask task = get(&world, server, "/");
    submit(&world, &task);
    finish_all(&world, &task, 1);
    expect_error(&task, ERROR_IO, "GET 127.0.0.1");
    CHECK_INT(task.attempts, 3);

    submit(&world, &task); // the same task once more: the last answer is handed out
    finish_all(&world, &task, 1);
    CHECK_INT(task.attempts, 3);
    CHECK_INT(task.exchange->response.status, 500);
    http_exchange_free(task.exchange);

    task.retry = NULL;
    submit(&world, &task);
    finish_all(&world, &task, 1);
    CHECK_INT(task.attempts, 1);
    http_exchange_free(task.exchange);
    close_world(&world);
}

// Steps until the server has been asked so often; then some more, in which nothing else is sent.
static void settle(World *world, Server *server, size_t requests)
{
    while (server_requests(server) < requests || http_client_under_way(world->client) > 0)
        step(world, 1);
    for (int i = 0; i < 3; i++)
        step(world, 0);
    CHECK_INT((int64_t)server_requests(server), (int64_t)requests);
}

TEST(retry_after_is_obeyed)
{
    const ServerStep steps[] = {
        {.request = "GET /a",
         .answer = STR("HTTP/1.1 503 Busy\r\nRetry-After: 30\r\n"
                       "Content-Length: 0\r\n\r\n")},
        {.request = "GET /a",
         .answer = STR("HTTP/1.1 429 Slow\r\nRetry-After: 60\r\n"
                       "Content-Length: 0\r\n\r\n")},
        {.request = "GET /a", .answer = OK_ANSWER("a")},
        {.request = "GET /b", .answer = OK_ANSWER("b")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    FetchTask tasks[2] = {get(&world, server, "/a"), get(&world, server, "/b")};
    submit(&world, &tasks[0]);
    settle(&world, server, 1);
    net_skip_ms(29 * 1000);
    settle(&world, server, 1);
    net_skip_ms(1500);
    settle(&world, server, 2);
    // A 429 speaks for all requests of the lane.
    submit(&world, &tasks[1]);
    settle(&world, server, 2);
    net_skip_ms(59 * 1000);
    settle(&world, server, 2);
    net_skip_ms(1500);
    finish_all(&world, tasks, 2);
    expect_body(&tasks[0], STR("a"));
    expect_body(&tasks[1], STR("b"));
    CHECK_INT((int64_t)fetcher_lane_counts(world.lane).refused, 1);
    CHECK(tasks[0].retry_wait_us >= 90000000);
    CHECK(tasks[1].rate_wait_us >= 59000000);
    close_world(&world);
}

TEST(a_wait_beyond_patience_ends_the_task)
{
    const ServerStep steps[] = {
        {.answer = STR("HTTP/1.1 429 Slow\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    FetchTask tasks[3] = {get(&world, server, "/a"), get(&world, server, "/b"),
                          get(&world, server, "/c")};
    submit(&world, &tasks[0]);
    finish_all(&world, tasks, 1);
    CHECK_INT(tasks[0].exchange->response.status, 429);
    http_exchange_free(tasks[0].exchange);
    submit(&world, &tasks[1]);
    submit(&world, &tasks[2]);
    step(&world, 0); // one is enough for all
    for (size_t i = 1; i < COUNT(tasks); i++) {
        expect_error(&tasks[i], ERROR_BUSY, "asks to wait 14");
        CHECK(tasks[i].err.retry_after_ms > 86000 * 1000);
    }
    close_world(&world);
}

// Some APIs say "too many" with another status, in the body: who understood it says so.
TEST(a_refusal_in_other_words_is_passed_on)
{
    const ServerStep steps[] = {
        {.request = "GET /a", .answer = ANSWER_EMPTY("403 Rate limit exceeded")},
        {.request = "GET /a", .answer = OK_ANSWER("a")},
        {.request = "GET /b", .answer = OK_ANSWER("b")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    FetchTask tasks[2] = {get(&world, server, "/a"), get(&world, server, "/b")};
    submit(&world, &tasks[0]);
    finish_all(&world, tasks, 1);
    http_exchange_free(tasks[0].exchange);
    tasks[0].limited = true;
    tasks[0].delay_us = tasks[0].hold_us = 10 * 1000000;
    submit(&world, &tasks[0]);
    submit(&world, &tasks[1]);
    settle(&world, server, 1);
    net_skip_ms(10001);
    finish_all(&world, tasks, 2);
    expect_body(&tasks[0], STR("a"));
    expect_body(&tasks[1], STR("b"));
    close_world(&world);
}

// Others say in a header of their own how long their 429 holds.
TEST(the_time_of_a_refusal_may_come_later)
{
    const ServerStep steps[] = {
        {.request = "GET /a", .answer = ANSWER_EMPTY("429 Slow down")},
        {.request = "GET /a", .answer = OK_ANSWER("a")},
        {.request = "GET /b", .answer = OK_ANSWER("b")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    FetchTask tasks[2] = {get(&world, server, "/a"), get(&world, server, "/b")};
    tasks[0].retry_answers = false;
    submit(&world, &tasks[0]);
    finish_all(&world, tasks, 1);
    http_exchange_free(tasks[0].exchange);
    tasks[0].delay_us = tasks[0].hold_us = 30 * 1000000;
    submit(&world, &tasks[0]);
    submit(&world, &tasks[1]);
    settle(&world, server, 1);
    net_skip_ms(29 * 1000);
    settle(&world, server, 1);
    net_skip_ms(1001);
    finish_all(&world, tasks, 2);
    expect_body(&tasks[0], STR("a"));
    expect_body(&tasks[1], STR("b"));
    CHECK_INT((int64_t)fetcher_lane_counts(world.lane).refused, 1);
    close_world(&world);
}

// --- the budget ---

TEST(requests_keep_their_distance)
{
    const ServerStep steps[] = {{.answer = OK_ANSWER("a"), .many = true}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &(FetchLaneOptions){.requests_per_second = 100});
    FetchTask tasks[21];
    const int64_t before_us = world.env.monotonic_us(world.env.state);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        tasks[i] = get(&world, server, "/");
        submit(&world, &tasks[i]);
    }
    finish_all(&world, tasks, COUNT(tasks));
    CHECK(world.env.monotonic_us(world.env.state) - before_us >= 200000);
    for (size_t i = 0; i < COUNT(tasks); i++)
        expect_body(&tasks[i], STR("a"));
    CHECK(fetcher_lane_counts(world.lane).rate_wait_us >= 200000);
    close_world(&world);
}

TEST(the_high_go_before_the_low)
{
    const ServerStep steps[] = {{.request = "GET /high", .answer = OK_ANSWER("h")},
                                {.request = "GET /low", .answer = OK_ANSWER("l")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){.connections = 1}, &no_auth);
    FetchTask tasks[2] = {get(&world, server, "/low"), get(&world, server, "/high")};
    tasks[0].priority = RATE_LOW;
    submit(&world, &tasks[0]);
    submit(&world, &tasks[1]);
    while (!tasks[0].finished && !tasks[1].finished)
        step(&world, LONG_MS);
    CHECK(tasks[1].finished);
    finish_all(&world, tasks, 2);
    expect_body(&tasks[0], STR("l"));
    expect_body(&tasks[1], STR("h"));
    close_world(&world);
}

// --- tokens ---

TEST(one_token_is_got_for_all_that_wait)
{
    const ServerStep steps[] = {
        {.request = "POST /token", .has = {"secret=canary"}, .answer = OK_ANSWER("7")},
        {.request = "GET /1", .has = {"Bearer canary-7\r\n"}, .answer = OK_ANSWER("a")},
        {.request = "GET /2", .has = {"Bearer canary-7\r\n"}, .answer = OK_ANSWER("a")},
        {.request = "GET /3", .has = {"Bearer canary-7\r\n"}, .answer = OK_ANSWER("a")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    const FetchLaneOptions lane = with_auth(&world, 0, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask tasks[3] = {get(&world, server, "/1"), get(&world, server, "/2"),
                          get(&world, server, "/3")};
    for (size_t i = 0; i < COUNT(tasks); i++)
        submit(&world, &tasks[i]);
    finish_all(&world, tasks, COUNT(tasks));
    for (size_t i = 0; i < COUNT(tasks); i++) {
        CHECK(tasks[i].exchange->request == &tasks[i].request); // the one without credential
        expect_body(&tasks[i], STR("a"));
    }
    const FetchCounts counts = fetcher_lane_counts(world.lane);
    CHECK_INT((int64_t)counts.tokens, 1);
    CHECK_INT((int64_t)counts.attempts, 4);
    close_world(&world);
}

// Two requests are out when the token dies: both come back with 401, one new token serves both.
TEST(a_token_that_died_is_renewed_once)
{
    const ServerStep steps[] = {
        {.request = "GET /1", .has = {"canary-1"}, .answer = ANSWER_EMPTY("401 No")},
        {.request = "GET /2", .has = {"canary-1"}, .answer = ANSWER_EMPTY("401 No")},
        {.request = "POST /token", .answer = OK_ANSWER("2")},
        {.request = "GET /1", .has = {"canary-2"}, .answer = OK_ANSWER("a")},
        {.request = "GET /2", .has = {"canary-2"}, .answer = OK_ANSWER("a")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    const FetchLaneOptions lane = with_auth(&world, 1, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask tasks[2] = {get(&world, server, "/1"), get(&world, server, "/2")};
    for (size_t i = 0; i < COUNT(tasks); i++)
        submit(&world, &tasks[i]);
    finish_all(&world, tasks, COUNT(tasks));
    for (size_t i = 0; i < COUNT(tasks); i++)
        expect_body(&tasks[i], STR("a"));
    CHECK_INT(world.expired, 1);
    close_world(&world);
}

TEST(a_second_401_is_the_answer)
{
    const ServerStep steps[] = {
        {.request = "GET /", .has = {"canary-1"}, .answer = ANSWER_EMPTY("401 No")},
        {.request = "POST /token", .answer = OK_ANSWER("2")},
        {.request = "GET /", .has = {"canary-2"}, .answer = ANSWER_EMPTY("401 No")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    const FetchLaneOptions lane = with_auth(&world, 1, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask task = get(&world, server, "/");
    submit(&world, &task);
    finish_all(&world, &task, 1);
    CHECK_INT(task.exchange->response.status, 401);
    http_exchange_free(task.exchange);
    close_world(&world);
}

TEST(a_token_that_cannot_be_got_fails_all_that_wait)
{
    const struct {
        const char *name;
        ServerStep first;
        ErrorCode code;
        const char *message;
        bool again;
    } rows[] = {
        {"refused",
         {.answer = ANSWER_EMPTY("400 invalid_grant")},
         ERROR_ACCESS,
         "token: the token was refused: HTTP 400",
         false},
        // It may have been used up: asking again with it could lock us out.
        {"reset", {.then = SERVER_RESET}, ERROR_IO, "token: POST 127.0.0.1", false},
        {"server error", {.answer = ANSWER_EMPTY("502 Bad")}, ERROR_ACCESS, "HTTP 502", false},
        {"too many", {.answer = ANSWER_EMPTY("429 Slow")}, ERROR_ACCESS, "HTTP 400", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const ServerStep steps[] = {rows[i].first, {.answer = ANSWER_EMPTY("400 x")}};
        CLEANUP(server_stopp) Server *server = server_start(steps, rows[i].again ? 2 : 1);
        World world = {0};
        const FetchLaneOptions lane = with_auth(&world, 0, server);
        open_world(&world, &(HttpOptions){0}, &lane);
        FetchTask tasks[2] = {get(&world, server, "/1"), get(&world, server, "/2")};
        submit(&world, &tasks[0]);
        submit(&world, &tasks[1]);
        if (rows[i].again) {
            settle(&world, server, 1);
            net_skip_ms(5000);
        }
        finish_all(&world, tasks, 2);
        for (size_t k = 0; k < COUNT(tasks); k++)
            expect_error(&tasks[k], rows[i].code, rows[i].message);
        close_world(&world);
    }
}

TEST(a_token_that_may_be_asked_for_again_is)
{
    const ServerStep no = {.request = "POST /token",
                           .has = {"secret=canary"},
                           .answer = STR("HTTP/1.1 503 Busy\r\nRetry-After: 30\r\n"
                                         "Content-Length: 0\r\n\r\n")};
    const ServerStep steps[] = {{.request = "POST /token", .then = SERVER_RESET},
                                no,
                                {.request = "POST /token", .answer = OK_ANSWER("7")},
                                {.has = {"Bearer canary-7\r\n"}, .answer = OK_ANSWER("a")},
                                {.has = {"Bearer canary-7\r\n"}, .answer = OK_ANSWER("b")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {.again = true};
    const FetchLaneOptions lane = with_auth(&world, 0, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask tasks[2] = {get(&world, server, "/1"), get(&world, server, "/2")};
    submit(&world, &tasks[0]);
    settle(&world, server, 2);
    net_skip_ms(29 * 1000);
    submit(&world, &tasks[1]); // waits with the first, and asks for nothing itself
    settle(&world, server, 2);
    net_skip_ms(1500);
    finish_all(&world, tasks, COUNT(tasks));
    expect_body(&tasks[0], STR("a"));
    expect_body(&tasks[1], STR("b"));
    CHECK_INT((int64_t)fetcher_lane_counts(world.lane).tokens, 3);
    CHECK(fetcher_lane_counts(world.lane).retry_wait_us >= 30000000);
    close_world(&world);
}

TEST(attempts_at_a_token_are_bounded)
{
    const ServerStep steps[] = {{.then = SERVER_RESET},
                                {.answer = ANSWER_EMPTY("502 Bad")},
                                {.answer = ANSWER_EMPTY("400 invalid_grant")},
                                {.answer = ANSWER_EMPTY("500 A")},
                                {.answer = ANSWER_EMPTY("500 B")},
                                {.answer = ANSWER_EMPTY("500 C")}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {.again = true};
    const FetchLaneOptions lane = with_auth(&world, 0, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask task = get(&world, server, "/");
    submit(&world, &task);
    finish_all(&world, &task, 1);
    expect_error(&task, ERROR_ACCESS, "token, asked for 3 times: the token was refused: HTTP 400");
    submit(&world, &task); // three more
    finish_all(&world, &task, 1);
    expect_error(&task, ERROR_ACCESS, "token, asked for 3 times: the token was refused: HTTP 500");
    CHECK_INT((int64_t)server_requests(server), 6);
    close_world(&world);
}

// --- redirects ---

static Str redirect_to(char *text, size_t size, const char *url)
{
    (void)snprintf(text, size, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                   url);
    return str_from(text);
}

// Not the credential, not a header of the manifest: nothing goes to another origin, nor to the own
// one when another sent us back.
TEST(a_redirect_carries_nothing_to_another_origin)
{
    char there[512];
    char back[512];
    ServerStep other_step = {
        .request = "GET /there", .lacks = {"canary", "X-Api-Key"}, .has = {"Accept: text/x\r\n"}};
    ServerStep steps[] = {
        {.request = "GET /a",
         .has = {"Bearer canary-1", "X-Api-Key: canary"},
         .answer = STR("HTTP/1.1 307 Same\r\nLocation: b?c=d#e\r\nContent-Length: 0\r\n\r\n")},
        {.request = "GET /b?c=d HTTP", .has = {"Bearer canary-1", "X-Api-Key: canary"}},
        {.request = "GET /back", .lacks = {"canary"}, .answer = OK_ANSWER("z")},
    };
    // Both have to run before either knows the other's port, so each is told afterwards.
    CLEANUP(server_stopp) Server *server = server_start(steps, 0);
    CLEANUP(server_stopp) Server *other = server_start(&other_step, 0);
    steps[1].answer = redirect_to(there, sizeof(there), server_url(other, "/there"));
    other_step.answer = redirect_to(back, sizeof(back), server_url(server, "/back"));
    server_add(server, SERVER_STEPS(steps));
    server_add(other, &other_step, 1);

    World world = {0};
    const FetchLaneOptions lane = with_auth(&world, 1, server);
    open_world(&world, &(HttpOptions){0}, &lane);
    FetchTask task = get(&world, server, "/a");
    task.redirects_max = 5;
    task.request.body = STR("key=canary");
    Error err = {0};
    CHECK_OK(http_request_add_header(&task.request, STR("X-Api-Key"), STR("canary"), &err), &err);
    CHECK_OK(http_request_add_header(&task.request, STR("Accept"), STR("text/x"), &err), &err);
    submit(&world, &task);
    finish_all(&world, &task, 1);
    expect_body(&task, STR("z"));
    CHECK_INT(task.redirects, 3);
    close_world(&world);
}

TEST(redirects_are_bounded_and_never_lose_tls)
{
    const struct {
        const char *name, *method, *location;
        int redirects_max;
        ErrorCode code; // ERROR_NONE: the redirect is the answer
        const char *message;
        bool many;
    } rows[] = {
        {"loop", "GET", "/", 3, ERROR_DATA, "redirected more than 3 times", true},
        {"to plain http", "GET", "http://api.example.com/", 3, ERROR_ACCESS,
         "redirected from https to plain http", false},
        {"to a file", "GET", "file:///etc/passwd", 3, ERROR_DATA, "no http or https URL", false},
        {"to a user", "GET", "https://canary@api.example.com/", 3, ERROR_DATA,
         "credentials in a URL", false},
        {"POST", "POST", "/", 3, ERROR_NONE, "", false},
        {"not wanted", "GET", "/", 0, ERROR_NONE, "", false},
        {"nowhere", "GET", "", 3, ERROR_NONE, "", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        char text[512];
        char target[32];
        const ServerStep one = {.answer = redirect_to(text, sizeof(text), rows[i].location),
                                .many = rows[i].many};
        CLEANUP(server_stopp) Server *server = server_start(&one, 1);
        (void)snprintf(target, sizeof(target), "127.0.0.1:%d", server_port(server));
        World world = {0};
        open_world(&world, &(HttpOptions){.connect_to = str_from(target)}, &no_auth);
        FetchTask task = get(&world, server, "/");
        task.request.method = str_from(rows[i].method);
        task.request.url = STR("https://api.example.com/");
        task.redirects_max = rows[i].redirects_max;
        submit(&world, &task);
        finish_all(&world, &task, 1);
        if (rows[i].code != ERROR_NONE) {
            expect_error(&task, rows[i].code, rows[i].message);
        } else {
            CHECK_INT(task.exchange->response.status, 302);
            http_exchange_free(task.exchange);
        }
        close_world(&world);
    }
}

// --- ends ---

TEST(tasks_are_cancelled_wherever_they_are)
{
    const ServerStep steps[] = {{.request = "GET /out", .then = SERVER_STALL}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){.connections = 1}, &no_auth);
    FetchTask tasks[3] = {get(&world, server, "/out"), get(&world, server, "/waits"),
                          get(&world, server, "/inbox")};
    submit(&world, &tasks[0]);
    submit(&world, &tasks[1]);
    while (server_requests(server) < 1)
        step(&world, 1);
    submit(&world, &tasks[2]);
    for (size_t i = 0; i < COUNT(tasks); i++)
        fetcher_cancel(world.fetcher, &tasks[i]);
    finish_all(&world, tasks, COUNT(tasks));
    for (size_t i = 0; i < COUNT(tasks); i++)
        expect_error(&tasks[i], ERROR_STOPPED, "cancelled");
    CHECK_INT((int64_t)fetcher_pending(world.fetcher), 0);
    close_world(&world);
}

TEST(closing_ends_every_task)
{
    const ServerStep steps[] = {{.many = true, .then = SERVER_STALL}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    const FetchLaneOptions lane = with_auth(&world, 0, server);
    open_world(&world, &(HttpOptions){.connections = 2}, &no_auth);
    Error err = {0};
    FetchLane *locked = NULL;
    CHECK_OK(fetcher_add_lane(world.fetcher, &lane, &locked, &err), &err);
    FetchTask tasks[3] = {get(&world, server, "/out"), get(&world, server, "/for-a-token"),
                          get(&world, server, "/inbox")};
    tasks[1].lane = locked;
    submit(&world, &tasks[0]);
    submit(&world, &tasks[1]);
    while (server_requests(server) < 2)
        step(&world, 1);
    submit(&world, &tasks[2]);
    close_world(&world);
    for (size_t i = 0; i < COUNT(tasks); i++)
        CHECK_INT(tasks[i].err.code, ERROR_STOPPED);
    fetcher_free(NULL);
}

TEST(run_returns_the_answer_or_the_reason)
{
    const ServerStep steps[] = {{.request = "GET /a", .answer = OK_ANSWER("a")},
                                {.request = "GET /b", .then = SERVER_RESET, .many = true}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    World world = {0};
    open_world(&world, &(HttpOptions){0}, &no_auth);
    Error err = {0};
    FetchTask task = get(&world, server, "/a");
    CHECK_OK(fetcher_run(world.fetcher, &task, &err), &err);
    expect_body(&task, STR("a"));
    task = get(&world, server, "/b");
    task.retry = NULL;
    CHECK(!fetcher_run(world.fetcher, &task, &err));
    CHECK_INT(err.code, ERROR_IO);

    atomic_store(&world.env.stop, true);
    err = (Error){0};
    task = get(&world, server, "/c");
    CHECK(!fetcher_run(world.fetcher, &task, &err));
    CHECK_INT(err.code, ERROR_STOPPED);
    CHECK_INT((int64_t)fetcher_pending(world.fetcher), 0);
    close_world(&world);
}

TEST(every_fault_is_survived)
{
    const ServerStep steps[] = {
        {.request = "POST /token", .answer = OK_ANSWER("7"), .many = true},
        {.request = "GET /a",
         .many = true,
         .has = {"Bearer canary-7\r\n"},
         .answer = STR("HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")},
        {.request = "GET /b", .many = true, .answer = OK_ANSWER("b")},
    };
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    FAULTS() {
        Error err = {0};
        World world = {0};
        net_env_init(&world.env);
        const FetchLaneOptions lane = with_auth(&world, 0, server);
        const bool opened = http_client_new(&(HttpOptions){0}, &world.env, &world.client, &err) &&
                            fetcher_new(world.client, &world.env, &world.fetcher, &err) &&
                            fetcher_add_lane(world.fetcher, &lane, &world.lane, &err);
        FetchTask task = get(&world, server, "/a");
        task.redirects_max = 1;
        const bool ok = opened && fetcher_run(world.fetcher, &task, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        CHECK(ok == (task.exchange != NULL));
        http_exchange_free(task.exchange);
        close_world(&world);
    }
}
