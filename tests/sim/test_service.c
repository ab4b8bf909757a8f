#include "base/json.h"
#include "service.h"

#include "harness/check.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, CALLS = 3000, IDS_MAX = CALLS };

// A small world behind its service, asked without a socket.
typedef struct Fixture {
    Service service;
    Answer answer;
    Str authorization;
} Fixture;

#define AGENCY "Basic c2ltLWtleTpzaW0tc2VjcmV0"                 // sim-key:sim-secret
#define OWNER  "Basic c2ltLWtleS0xMDAxOnNpbS1zZWNyZXQtMTAwMQ==" // sim-key-1001:sim-secret-1001
#define WRONG  "Basic c2ltLWtleTp3cm9uZw=="                     // sim-key:wrong

static ServicePlan plan(void)
{
    ServicePlan result = {.control = true};
    result.world = (WorldPlan){.seed = 7, .calls = CALLS, .accounts = 3, .now = WORLD_NOW_DEFAULT};
    CHECK(date_parse(STR("2026-01-01"), &result.world.from));
    CHECK(date_parse(STR("2026-02-01"), &result.world.to));
    result.auth = (AuthPlan){.access_key = STR("sim-key"),
                             .secret = STR("sim-secret"),
                             .client_id = STR("id"),
                             .client_secret = STR("very secret"),
                             .expires_in_s = 60};
    return result;
}

static void begin(Fixture *fixture, const ServicePlan *service_plan)
{
    Error err = {0};
    *fixture = (Fixture){.authorization = STR(AGENCY)};
    CHECK_OK(service_init(&fixture->service, service_plan, &test_env, &err), &err);
    fixture->answer.arena = arena_new(ARENA_BYTES, &err);
    CHECK(fixture->answer.arena != NULL);
}

static void end(Fixture *fixture)
{
    arena_free(fixture->answer.arena);
    buf_done(&fixture->answer.body);
    service_done(&fixture->service);
}

// Asks and parses; the document lives until the next question.
static yyjson_val *ask(Fixture *fixture, const char *method, Str target, Str body)
{
    Error err = {0};
    arena_reset(fixture->answer.arena);
    Str copy;
    CHECK_OK(arena_copy_str(fixture->answer.arena, target, &copy, &err), &err);
    const Request request = {.method = str_from(method),
                             .target = copy,
                             .host = STR("sim.test"),
                             .authorization = fixture->authorization,
                             .body = body};
    CHECK_OK(service_answer(&fixture->service, &request, &fixture->answer, &err), &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(
        json_parse(buf_str(&fixture->answer.body), "answer", fixture->answer.arena, &doc, &err),
        &err);
    return yyjson_doc_get_root(doc);
}

static yyjson_val *get(Fixture *fixture, const char *target)
{
    return ask(fixture, "GET", str_from(target), (Str){NULL, 0});
}

// A text member, or "" where there is none.
static Str text_of(yyjson_val *object, const char *name)
{
    const Str text = json_str(json_get(object, str_from(name)));
    return text.data == NULL ? STR("") : text;
}

static int64_t integer(yyjson_val *object, const char *name)
{
    return yyjson_get_sint(json_get(object, str_from(name)));
}

// Follows next_page to the end; returns how many ids came, all different and newest first.
static size_t walk(Fixture *fixture, const char *first)
{
    static int64_t ids[IDS_MAX];
    char target[1024];
    size_t count = 0;
    int64_t last_time = INT64_MAX;
    (void)snprintf(target, sizeof(target), "%s", first);
    while (target[0] != '\0') {
        yyjson_val *page = get(fixture, target);
        CHECK_INT(fixture->answer.status, 200);
        size_t i, size;
        yyjson_val *call;
        yyjson_arr_foreach(json_get(page, STR("calls")), i, size, call)
        {
            CHECK(count < IDS_MAX);
            CHECK(integer(call, "unix_time") <= last_time);
            last_time = integer(call, "unix_time");
            ids[count++] = integer(call, "id");
            CHECK(count == 1 || ids[count - 1] < ids[count - 2]);
        }
        const Str next = json_str(json_get(page, STR("next_page")));
        const Str origin = STR("http://sim.test");
        CHECK(next.size == 0 || str_starts_with(next, origin));
        (void)snprintf(target, sizeof(target), STR_FMT,
                       STR_ARG(str_slice(next, origin.size, SIZE_MAX)));
    }
    return count;
}

TEST(following_next_page_yields_every_call_once)
{
    Fixture fixture;
    const ServicePlan service_plan = plan();
    begin(&fixture, &service_plan);
    size_t sum = 0;
    for (int account = 1001; account <= 1003; account++) {
        char target[128];
        (void)snprintf(target, sizeof(target),
                       "/api/v1/accounts/%d/calls.json?per_page=150&x=%%20y", account);
        const size_t count = walk(&fixture, target);
        CHECK_INT((int64_t)count, integer(get(&fixture, target), "total_entries"));
        sum += count;
    }
    CHECK_INT((int64_t)sum, CALLS);
    end(&fixture);
}

TEST(days_are_the_accounts_own_and_add_up)
{
    Fixture fixture;
    const ServicePlan service_plan = plan();
    begin(&fixture, &service_plan);
    int64_t sum = 0;
    for (int day = 1; day <= 31; day++) {
        char target[160];
        (void)snprintf(target, sizeof(target),
                       "/api/v1/accounts/1002/"
                       "calls?per_page=150&start_date=2026-01-%02d&end_date=2026-01-%02d",
                       day, day);
        yyjson_val *page = get(&fixture, target);
        const int64_t total = integer(page, "total_entries");
        size_t i, size;
        yyjson_val *call;
        // Los Angeles is eight hours behind in January, all month.
        const int64_t start = 1767254400 + (day - 1) * INT64_C(86400); // 2026-01-01T08:00:00Z
        yyjson_arr_foreach(json_get(page, STR("calls")), i, size, call)
        {
            CHECK(integer(call, "unix_time") >= start);
            CHECK(integer(call, "unix_time") < start + 86400);
        }
        sum += total;
    }
    CHECK_INT(sum, integer(get(&fixture, "/api/v1/accounts/1002/calls"), "total_entries"));
    end(&fixture);
}

TEST(keys_open_their_doors_only)
{
    const struct {
        const char *name, *authorization, *target;
        int status;
    } rows[] = {
        {"agency, accounts", AGENCY, "/api/v1/accounts", 200},
        {"agency, calls", AGENCY, "/api/v1/accounts/1002/calls", 200},
        {"owner, own", OWNER, "/api/v1/accounts/1001/calls", 200},
        {"owner, other", OWNER, "/api/v1/accounts/1002/calls", 403},
        {"wrong secret", WRONG, "/api/v1/accounts", 401},
        {"none", "", "/api/v1/accounts", 401},
        {"junk", "Basic *", "/api/v1/accounts", 401},
        {"unknown token", "Bearer sima.0.0", "/api/v1/accounts", 401},
        {"no such account", AGENCY, "/api/v1/accounts/999/calls", 404},
        {"no such thing", AGENCY, "/api/v1/accounts/1001/balloons", 404},
        {"page too large", AGENCY, "/api/v1/accounts/1001/calls?per_page=151", 400},
        {"bad date", AGENCY, "/api/v1/accounts/1001/calls?start_date=2026-02-30", 400},
        {"bad cursor", AGENCY, "/api/v1/accounts/1001/calls?after=x", 400},
        {"contacts", AGENCY, "/api/v1/accounts/1001/lists/10015000/contacts.json", 200},
        {"agents", AGENCY, "/api/v1/accounts/1001/agents/events", 200},
    };
    Fixture fixture;
    const ServicePlan service_plan = plan();
    begin(&fixture, &service_plan);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        fixture.authorization = str_from(rows[i].authorization);
        (void)get(&fixture, rows[i].target);
        CHECK_INT(fixture.answer.status, rows[i].status);
    }
    end(&fixture);
}

TEST(a_client_gets_a_token_and_a_replayed_refresh_ends_it)
{
    Fixture fixture;
    const ServicePlan service_plan = plan();
    begin(&fixture, &service_plan);
    fixture.authorization = (Str){NULL, 0};
    const Str form = STR("grant_type=client_credentials&client_id=id&client_secret=very%20secret");
    yyjson_val *token = ask(&fixture, "POST", STR("/oauth2/token"), form);
    CHECK_INT(integer(token, "expires_in"), 60);
    char bearer[128], again[256];
    (void)snprintf(bearer, sizeof(bearer), "Bearer " STR_FMT,
                   STR_ARG(text_of(token, "access_token")));
    (void)snprintf(
        again, sizeof(again),
        "grant_type=refresh_token&client_id=id&client_secret=very+secret&refresh_token=" STR_FMT,
        STR_ARG(text_of(token, "refresh_token")));

    fixture.authorization = str_from(bearer);
    (void)get(&fixture, "/api/v1/accounts");
    CHECK_INT(fixture.answer.status, 200);
    (void)ask(&fixture, "POST", STR("/oauth2/token"), str_from(again));
    CHECK_INT(fixture.answer.status, 200);
    yyjson_val *refused = ask(&fixture, "POST", STR("/oauth2/token"), str_from(again));
    CHECK_INT(fixture.answer.status, 400);
    CHECK_STR(json_str(json_get(refused, STR("error"))), STR("invalid_grant"));
    (void)get(&fixture, "/api/v1/accounts");
    CHECK_INT(fixture.answer.status, 401);
    end(&fixture);
}

TEST(a_token_ends_when_its_time_is_over)
{
    Fixture fixture;
    const ServicePlan service_plan = plan();
    begin(&fixture, &service_plan);
    const Str form = STR("grant_type=client_credentials&client_id=id&client_secret=very%20secret");
    fixture.authorization = (Str){NULL, 0};
    yyjson_val *token = ask(&fixture, "POST", STR("/oauth2/token"), form);
    char bearer[128];
    (void)snprintf(bearer, sizeof(bearer), "Bearer " STR_FMT,
                   STR_ARG(text_of(token, "access_token")));
    fixture.authorization = str_from(bearer);
    test_env.sleep_us(test_env.state, 59 * INT64_C(1000000));
    (void)get(&fixture, "/api/v1/accounts");
    CHECK_INT(fixture.answer.status, 200);
    test_env.sleep_us(test_env.state, INT64_C(1000000));
    (void)get(&fixture, "/api/v1/accounts");
    CHECK_INT(fixture.answer.status, 401);
    end(&fixture);
}

// Whatever allocation fails, the caller gets a reason, and nothing leaks.
TEST(running_out_of_memory_is_an_error)
{
    const Request request = {.method = STR("GET"),
                             .target =
                                 STR("/api/v1/accounts/1001/calls?exclude_fields=notes&per_page=3"),
                             .host = STR("sim.test"),
                             .authorization = STR(AGENCY)};
    ServicePlan service_plan = plan();
    service_plan.world.accounts = 1;
    service_plan.world.calls = 100;
    service_plan.faults = STR("[{\"do\":\"poison\",\"variant\":\"deep\",\"times\":0}]");
    FAULTS() {
        Error err = {0};
        Service service = {0};
        CLEANUP(buf_done) Buf body = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Answer answer = {.arena = arena};
        const bool ok = arena != NULL && service_init(&service, &service_plan, &test_env, &err) &&
                        service_answer(&service, &request, &answer, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        body = answer.body;
        service_done(&service);
    }
}
