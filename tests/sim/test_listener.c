// The whole simulator through a real socket, asked by a client that nobody here wrote: libcurl.

#include "base/json.h"
#include "listener.h"

#include "harness/check.h"

#include <curl/curl.h>

enum { ARENA_BYTES = 256 * 1024 * 1024, URL_BYTES = 1024, TIMEOUT_MS = 20000, TOGETHER = 8 };

typedef struct Fixture {
    Env env;
    Service service;
    Listener listener;
    CURL *curl;
    Arena *arena;
    Buf body;
    char headers[4096];
    long status;
    CURLcode result;
} Fixture;

static void begin_with(Fixture *fixture, ServicePlan plan, ListenerPlan listener_plan)
{
    Error err = {0};
    *fixture = (Fixture){0};
    env_init_system(&fixture->env);
    plan.control = true;
    plan.world = (WorldPlan){.seed = 7, .calls = 2000, .accounts = 2, .now = WORLD_NOW_DEFAULT};
    CHECK(date_parse(STR("2026-01-01"), &plan.world.from));
    CHECK(date_parse(STR("2026-02-01"), &plan.world.to));
    plan.auth = (AuthPlan){.access_key = STR("sim-key"),
                           .secret = STR("sim-secret"),
                           .client_id = STR("id"),
                           .client_secret = STR("secret"),
                           .expires_in_s = 60};
    CHECK_OK(service_init(&fixture->service, &plan, &fixture->env, &err), &err);
    CHECK_OK(listener_start(&fixture->listener, &fixture->service, &listener_plan, &err), &err);
    fixture->curl = curl_easy_init();
    fixture->arena = arena_new(ARENA_BYTES, &err);
    CHECK(fixture->curl != NULL && fixture->arena != NULL);
}

static void begin(Fixture *fixture)
{
    begin_with(fixture, (ServicePlan){0}, (ListenerPlan){.threads = 2, .compress = true});
}

static void end(Fixture *fixture)
{
    curl_easy_cleanup(fixture->curl);
    listener_stop(&fixture->listener);
    service_done(&fixture->service);
    buf_done(&fixture->body);
    arena_free(fixture->arena);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *state)
{
    Error err = {0};
    Fixture *fixture = state;
    CHECK_OK(buf_append(&fixture->body, (Str){bytes, size * count}, &err), &err);
    return size * count;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *state)
{
    Fixture *fixture = state;
    const size_t used = strlen(fixture->headers);
    (void)snprintf(fixture->headers + used, sizeof(fixture->headers) - used, "%.*s",
                   (int)(size * count), bytes);
    return size * count;
}

static void prepare(Fixture *fixture, CURL *curl, const char *url)
{
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_USERPWD, "sim-key:sim-secret");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, fixture);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, fixture);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    buf_clear(&fixture->body);
    fixture->headers[0] = '\0';
}

static void perform(Fixture *fixture)
{
    fixture->result = curl_easy_perform(fixture->curl);
    fixture->status = 0;
    curl_easy_getinfo(fixture->curl, CURLINFO_RESPONSE_CODE, &fixture->status);
}

static const char *url_of(const Fixture *fixture, const char *path, char *url)
{
    (void)snprintf(url, URL_BYTES, "http://127.0.0.1:%d%s", fixture->listener.port, path);
    return url;
}

static void get(Fixture *fixture, const char *path)
{
    char url[URL_BYTES];
    prepare(fixture, fixture->curl, url_of(fixture, path, url));
    perform(fixture);
}

static void post(Fixture *fixture, const char *path, const char *body)
{
    char url[URL_BYTES];
    prepare(fixture, fixture->curl, url_of(fixture, path, url));
    curl_easy_setopt(fixture->curl, CURLOPT_POSTFIELDS, body);
    perform(fixture);
}

static yyjson_val *parsed(Fixture *fixture)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    arena_reset(fixture->arena);
    CHECK_OK(json_parse(buf_str(&fixture->body), "body", fixture->arena, &doc, &err), &err);
    return yyjson_doc_get_root(doc);
}

static int64_t number(Fixture *fixture, const char *pointer)
{
    yyjson_val *value = (yyjson_val *)(uintptr_t)json_pointer(parsed(fixture), str_from(pointer));
    CHECK(yyjson_is_int(value));
    return yyjson_get_sint(value);
}

#define CALLS_PATH "/api/v1/accounts/1001/calls?per_page=100"

TEST(a_client_reads_all_pages_in_any_coding)
{
    const char *const codings[] = {"identity", "gzip", "zstd"};
    CLEANUP(buf_done) Buf first = {0};
    Fixture fixture;
    begin(&fixture);
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        check_row(codings[i]);
        Error err = {0};
        CLEANUP(buf_done) Buf all = {0};
        char url[URL_BYTES];
        (void)url_of(&fixture, CALLS_PATH, url);
        size_t calls = 0;
        int64_t total = 0;
        while (url[0] != '\0') {
            prepare(&fixture, fixture.curl, url);
            curl_easy_setopt(fixture.curl, CURLOPT_ACCEPT_ENCODING, codings[i]);
            perform(&fixture);
            CHECK_INT(fixture.result, CURLE_OK);
            CHECK_INT(fixture.status, 200);
            CHECK_CONTAINS(str_from(fixture.headers),
                           i == 0 ? STR("Content-Length") : STR("Content-Encoding"));
            CHECK_OK(buf_append(&all, buf_str(&fixture.body), &err), &err);
            yyjson_val *page = parsed(&fixture);
            calls += yyjson_arr_size(json_get(page, STR("calls")));
            total = yyjson_get_sint(json_get(page, STR("total_entries")));
            (void)snprintf(url, sizeof(url), STR_FMT,
                           STR_ARG(json_str(json_get(page, STR("next_page")))));
        }
        CHECK_INT((int64_t)calls, total);
        CHECK(calls > 1000);
        if (i == 0)
            CHECK_OK(buf_append(&first, buf_str(&all), &err), &err);
        CHECK_STR(buf_str(&all), buf_str(&first));
    }
    end(&fixture);
}

TEST(answers_are_dated_by_the_machine_or_the_world)
{
    const Str of_the_world = STR("Date: Sun, 01 Feb 2026 "); // where the world's clock stands
    for (int world = 0; world < 2; world++) {
        Fixture fixture;
        begin_with(&fixture, (ServicePlan){.world_date = world == 1}, (ListenerPlan){.threads = 1});
        get(&fixture, CALLS_PATH);
        const Str headers = str_from(fixture.headers);
        const size_t at = str_find(headers, STR("Date: "));
        CHECK(at < headers.size);
        const Str behind = str_slice(headers, at + 1, headers.size);
        CHECK(str_find(behind, STR("Date: ")) == behind.size); // one only
        CHECK((str_find(headers, of_the_world) < headers.size) == (world == 1));
        end(&fixture);
    }
}

TEST(every_trouble_looks_as_announced)
{
    const struct {
        const char *trouble;
        CURLcode result;
        long status;
        const char *header, *body; // a part of each
    } rows[] = {
        {"\"do\":503,\"retry_after\":3", CURLE_OK, 503, "Retry-After: 3", "status 503"},
        {"\"do\":429,\"retry_after\":\"date\"", CURLE_OK, 429, " GMT", "rate limit"},
        {"\"do\":429", CURLE_OK, 429, "429", "rate limit"},
        {"\"do\":500,\"body\":\"\"", CURLE_OK, 500, "500", "status 500"},
        {"\"do\":\"error_200\",\"variant\":\"errors\"", CURLE_OK, 200, "200", "{\"errors\":[\""},
        {"\"do\":\"error_200\",\"variant\":\"status\"", CURLE_OK, 200, "200",
         "{\"status\":\"error\""},
        {"\"do\":\"error_200\"", CURLE_OK, 200, "200", "{\"success\":false}"},
        {"\"do\":\"html\"", CURLE_OK, 200, "text/html", "<!DOCTYPE html>"},
        {"\"do\":\"invalid_json\"", CURLE_OK, 200, "200", ",,}]"},
        {"\"do\":\"redirect\"", CURLE_OK, 302, "Location: http://127.0.0.1:", "redirected"},
        {"\"do\":\"redirect\",\"status\":307,\"to\":\"http://example.com/\"", CURLE_OK, 307,
         "Location: http://example.com/", ""},
        {"\"do\":\"expired\"", CURLE_OK, 401, "invalid_token", "expired"},
        {"\"do\":\"next_elsewhere\",\"to\":\"http://example.com/2\"", CURLE_OK, 200, "200",
         "\"next_page\":\"http://example.com/2\""},
        {"\"do\":\"huge\",\"bytes\":1000000", CURLE_OK, 200, "200", "xxxxxxxx\"}"},
        {"\"do\":\"poison\",\"variant\":\"nul\"", CURLE_OK, 200, "200", "before\\u0000behind"},
        {"\"do\":\"poison\",\"variant\":\"surrogate\"", CURLE_OK, 200, "200", "\\ud83d surrogate"},
        {"\"do\":\"poison\",\"variant\":\"utf8\"", CURLE_OK, 200, "200", "S\xe3o Paulo"},
        {"\"do\":\"poison\",\"variant\":\"number\"", CURLE_OK, 200, "200",
         "\"billed_amount\":1e400"},
        {"\"do\":\"poison\",\"variant\":\"duplicate\"", CURLE_OK, 200, "200",
         "\"notes\":\"second\""},
        {"\"do\":\"poison\",\"variant\":\"deep\",\"count\":5", CURLE_OK, 200, "200",
         "\"legs\":[[[[[]]]]]"},
        {"\"do\":\"delay\",\"ms\":5", CURLE_OK, 200, "200", "\"calls\""},
        {"\"do\":\"timeout\",\"ms\":5", CURLE_GOT_NOTHING, 0, "", ""},
        {"\"do\":\"drip\",\"bytes\":100000,\"ms\":1", CURLE_OK, 200, "200", "\"stats\":{}}"},
        {"\"do\":\"reset\"", CURLE_RECV_ERROR, 0, "", ""},
        {"\"do\":\"reset_body\",\"bytes\":1000", CURLE_RECV_ERROR, 200, "200", ""},
        {"\"do\":\"truncate\"", CURLE_PARTIAL_FILE, 200, "200", "\"calls\""},
        {"\"do\":\"length_long\"", CURLE_PARTIAL_FILE, 200, "200", "\"stats\":{}}"},
        {"\"do\":\"length_short\"", CURLE_OK, 200, "200", "\"calls\""},
        {"\"do\":\"bad_gzip\"", CURLE_BAD_CONTENT_ENCODING, 200, "Content-Encoding: gzip", ""},
    };
    Fixture fixture;
    begin(&fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].trouble);
        char script[256], url[URL_BYTES];
        (void)snprintf(script, sizeof(script),
                       "[{\"match\":{\"path\":\"/accounts/1001/calls\"},%s}]", rows[i].trouble);
        post(&fixture, "/_sim/faults", script);
        CHECK_INT(fixture.status, 200);
        prepare(&fixture, fixture.curl, url_of(&fixture, CALLS_PATH, url));
        curl_easy_setopt(fixture.curl, CURLOPT_ACCEPT_ENCODING, "gzip");
        curl_easy_setopt(fixture.curl, CURLOPT_FRESH_CONNECT,
                         1L); // or curl tries a reused connection again
        perform(&fixture);
        CHECK_INT(fixture.result, rows[i].result);
        CHECK_INT(fixture.status, rows[i].status);
        CHECK_CONTAINS(str_from(fixture.headers), str_from(rows[i].header));
        CHECK_CONTAINS(buf_str(&fixture.body), str_from(rows[i].body));
    }
    get(&fixture, CALLS_PATH); // and all is well again
    CHECK_INT(fixture.status, 200);
    CHECK_INT((int64_t)yyjson_arr_size(json_get(parsed(&fixture), STR("calls"))), 100);
    end(&fixture);
}

TEST(totals_pages_and_caps_lie_when_told_to)
{
    Fixture fixture;
    begin(&fixture);
    get(&fixture, CALLS_PATH);
    const int64_t total = number(&fixture, "/total_entries");
    const int64_t newest = number(&fixture, "/calls/0/id");
    post(&fixture, "/_sim/faults",
         "[{\"do\":\"total\",\"count\":-3},{\"do\":\"shift\",\"count\":2},{\"do\":\"next_self\"},"
         "{\"do\":\"cap\",\"count\":200,\"times\":3}]");
    get(&fixture, CALLS_PATH);
    CHECK_INT(number(&fixture, "/total_entries"), total - 3);
    get(&fixture, CALLS_PATH "&page=1");
    CHECK_INT(number(&fixture, "/total_entries"), total + 2);
    CHECK_INT(number(&fixture, "/calls/2/id"), newest);
    get(&fixture, CALLS_PATH "&page=1");
    CHECK(str_ends_with(json_str(json_get(parsed(&fixture), STR("next_page"))),
                        STR(CALLS_PATH "&page=1")));
    get(&fixture, CALLS_PATH "&page=2");
    CHECK_INT(fixture.status, 200);
    const Str next = json_str(json_get(parsed(&fixture), STR("next_page")));
    char after[URL_BYTES];
    (void)snprintf(after, sizeof(after), STR_FMT,
                   STR_ARG(str_slice(next, str_find(next, STR("/api/")), SIZE_MAX)));
    get(&fixture, CALLS_PATH "&page=3");
    CHECK_INT(fixture.status, 400);
    CHECK_CONTAINS(buf_str(&fixture.body), STR("no rows beyond 200"));
    get(&fixture, after); // the cursor goes on
    CHECK_INT(fixture.status, 200);
    CHECK_INT(number(&fixture, "/page"), 3);
    end(&fixture);
}

TEST(the_stranger_sees_who_brings_credentials)
{
    Fixture fixture;
    begin(&fixture);
    post(&fixture, "/_sim/faults", "[{\"do\":\"redirect\",\"times\":2}]");
    for (int carry = 0; carry < 2; carry++) {
        char url[URL_BYTES];
        prepare(&fixture, fixture.curl, url_of(&fixture, CALLS_PATH, url));
        curl_easy_setopt(fixture.curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(fixture.curl, CURLOPT_UNRESTRICTED_AUTH, (long)carry);
        perform(&fixture);
        CHECK_INT(fixture.status, 200);
    }
    get(&fixture, "/_sim/stats");
    CHECK_INT(number(&fixture, "/stranger/requests"), 2);
    CHECK_INT(number(&fixture, "/stranger/with_credentials"), 1);
    end(&fixture);
}

TEST(the_world_is_moved_and_changed_through_its_control)
{
    Fixture fixture;
    char path[256], body[512];
    begin(&fixture);
    get(&fixture, "/_sim/truth?account=1001");
    const int64_t calls = number(&fixture, "/calls");
    post(&fixture, "/_sim/clock", "{\"now\":\"2026-02-10T00:00:00Z\"}");
    CHECK_INT(number(&fixture, "/unix_time"), 1770681600);
    get(&fixture, "/_sim/truth?account=1001");
    CHECK(number(&fixture, "/calls") > calls);
    post(&fixture, "/_sim/clock", "{\"advance\":\"x\"}");
    CHECK_INT(fixture.status, 400);

    post(&fixture, "/_sim/mutate",
         "{\"account\":1001,\"do\":\"insert\",\"unix_time\":2147483700,\"set\":{\"notes\":\"late\"}"
         "}");
    const int64_t id = number(&fixture, "/ids/0");
    (void)snprintf(path, sizeof(path), "/api/v1/accounts/1001/calls/%" PRId64 ".json", id);
    get(&fixture, path);
    CHECK_CONTAINS(buf_str(&fixture.body), STR("\"notes\":\"late\""));
    (void)snprintf(
        body, sizeof(body),
        "[{\"account\":1001,\"id\":%" PRId64 ",\"do\":\"edit\",\"set\":{\"notes\":\"B\"}},"
        "{\"account\":1001,\"id\":%" PRId64 ",\"do\":\"poison\",\"variant\":\"duplicate\"},"
        "{\"account\":1001,\"id\":%" PRId64 ",\"do\":\"delete\"}]",
        id, id, id);
    post(&fixture, "/_sim/mutate", body);
    CHECK_INT(fixture.status, 200);
    get(&fixture, path);
    CHECK_INT(fixture.status, 404);
    post(&fixture, "/_sim/mutate",
         "{\"account\":1001,\"do\":\"delete\",\"start_date\":\"2026-01-05\",\"end_date\":\"2026-01-"
         "06\",\"limit\":3}");
    CHECK_INT((int64_t)yyjson_arr_size(json_get(parsed(&fixture), STR("ids"))), 3);
    post(&fixture, "/_sim/mutate", "{\"account\":1001,\"do\":\"melt\",\"limit\":1}");
    CHECK_INT(fixture.status, 400);

    post(&fixture, "/_sim/forbid", "{\"account\":1001,\"from\":\"2026-02-11T00:00:00Z\"}");
    get(&fixture, CALLS_PATH);
    CHECK_INT(fixture.status, 200);
    post(&fixture, "/_sim/clock", "{\"advance\":86400}");
    get(&fixture, CALLS_PATH);
    CHECK_INT(fixture.status, 403);
    end(&fixture);
}

TEST(too_many_requests_are_told_to_wait)
{
    Fixture fixture;
    begin(&fixture);
    post(&fixture, "/_sim/limit", "{\"rate\":0.001,\"burst\":2}");
    for (int i = 0; i < 3; i++) {
        get(&fixture, "/api/v1/accounts");
        CHECK_INT(fixture.status, i < 2 ? 200 : 429);
    }
    CHECK_CONTAINS(str_from(fixture.headers), STR("Retry-After: 1000"));
    get(&fixture, "/_sim/log?since=3");
    CHECK_INT(number(&fixture, "/0/status"), 429);
    end(&fixture);
}

// Requests that are held back do not hold back each other.
TEST(many_requests_wait_at_once)
{
    Fixture fixture;
    begin_with(&fixture, (ServicePlan){.latency_us = 50 * 1000}, (ListenerPlan){.threads = 1});
    CURLM *multi = curl_multi_init();
    CURL *handles[TOGETHER];
    char url[URL_BYTES];
    (void)url_of(&fixture, "/api/v1/accounts", url);
    for (int i = 0; i < TOGETHER; i++) {
        handles[i] = curl_easy_init();
        prepare(&fixture, handles[i], url);
        curl_multi_add_handle(multi, handles[i]);
    }
    int running = 1;
    while (running > 0) {
        CHECK_INT(curl_multi_perform(multi, &running), CURLM_OK);
        CHECK_INT(curl_multi_poll(multi, NULL, 0, 1000, NULL), CURLM_OK);
    }
    for (int i = 0; i < TOGETHER; i++) {
        curl_multi_remove_handle(multi, handles[i]);
        curl_easy_cleanup(handles[i]);
    }
    curl_multi_cleanup(multi);
    get(&fixture, "/_sim/stats");
    CHECK_INT(number(&fixture, "/by_status/200"), TOGETHER);
    CHECK(number(&fixture, "/most_at_once") > TOGETHER / 2);
    end(&fixture);
}

TEST(stopping_does_not_wait_for_what_hangs)
{
    Fixture fixture;
    char url[URL_BYTES];
    begin(&fixture);
    post(&fixture, "/_sim/faults", "[{\"do\":\"timeout\"}]");
    prepare(&fixture, fixture.curl, url_of(&fixture, CALLS_PATH, url));
    curl_easy_setopt(fixture.curl, CURLOPT_TIMEOUT_MS, 50L);
    perform(&fixture);
    CHECK_INT(fixture.result, CURLE_OPERATION_TIMEDOUT);
    post(&fixture, "/_sim/shutdown", "{}");
    CHECK(atomic_load(&fixture.service.stop));
    end(&fixture);
}

TEST(a_taken_port_is_named)
{
    Fixture fixture;
    Error err = {0};
    Listener second;
    begin(&fixture);
    const ListenerPlan plan = {.port = fixture.listener.port, .threads = 1};
    CHECK(!listener_start(&second, &fixture.service, &plan, &err));
    CHECK_CONTAINS(str_from(err.message), STR("listener: cannot listen on 127.0.0.1:"));
    listener_stop(&second);
    end(&fixture);
}
