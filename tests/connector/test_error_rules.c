// What an answer that is no page means, and how long to wait, as the manifest says it.
#include "script.h"

#define HANDLER           "        error_handler:\n          type: DefaultErrorHandler\n"
#define WAITS(strategies) HANDLER "          backoff_strategies: [" strategies "]\n"
#define FILTER(members)                                                                        \
    HANDLER "          response_filters: [{type: HttpResponseFilter, error_message_contains: " \
            "needle, action: IGNORE" members "}]\n"

static void open_handler(Script *script, const char *handler)
{
    char manifest[3000];
    Error err = {0};
    (void)snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""), handler);
    CHECK_OK(script_open(script, manifest, "{\"wait\":\"3\"}", &err), &err);
    CHECK_OK(findings_check(script->findings, &err), &err);
    CHECK_OK(script_begin(script, "s", NULL, NULL, &err), &err);
    check_ask(script, "GET https://api.example.com/v1");
}

TEST(a_wait_comes_from_the_manifest_or_from_a_header)
{
    // clang-format off
    static const struct {
        const char *name, *handler, *header, *value;
        PageVerdict verdict;
        double wait_s; // -1: it does not say
    } rows[] = {
        {"constant", WAITS("{type: ConstantBackoffStrategy, backoff_time_in_seconds: 1.5}"), "a", "", PAGE_RETRY, 1.5},
        {"constant from the config",
         WAITS("{type: ConstantBackoffStrategy, backoff_time_in_seconds: \"{{ config['wait'] }}\"}"), "a", "",
         PAGE_RETRY, 3},
        {"exponential has a factor of its own", WAITS("{type: ExponentialBackoffStrategy}"), "a", "", PAGE_RETRY, 10},
        {"no number of seconds",
         WAITS("{type: ConstantBackoffStrategy, backoff_time_in_seconds: \"{{ [1] }}\"}"), "a", "", PAGE_RETRY, -1},
        {"nothing to wait", WAITS("{type: ConstantBackoffStrategy, backoff_time_in_seconds: 0}"), "a", "", PAGE_RETRY, -1},
        {"until a time", WAITS("{type: WaitUntilTimeFromHeader, header: X-Reset}"), "x-reset", "1030", PAGE_RETRY, 30},
        {"until a time that is past", WAITS("{type: WaitUntilTimeFromHeader, header: X-Reset}"), "x-reset", "900",
         PAGE_RETRY, -1},
        {"until a time, at least", WAITS("{type: WaitUntilTimeFromHeader, header: X-Reset, min_wait: 60}"), "x-reset",
         "1030", PAGE_RETRY, 60},
        {"at least, without a time", WAITS("{type: WaitUntilTimeFromHeader, header: X-Reset, min_wait: 60}"), "other",
         "1030", PAGE_RETRY, 60},
        {"neither a time nor a least wait", WAITS("{type: WaitUntilTimeFromHeader, header: X-Reset}"), "other", "1030",
         PAGE_RETRY, -1},
        {"a header with words", WAITS("{type: WaitTimeFromHeader, header: X-Wait, regex: \"[0-9]+\"}"), "x-wait",
         "12 s", PAGE_RETRY, 12},
        {"words that do not fit", WAITS("{type: WaitTimeFromHeader, header: X-Wait, regex: \"[0-9]+\"}"), "x-wait",
         "soon", PAGE_RETRY, -1},
        {"a pattern that is none", WAITS("{type: WaitTimeFromHeader, header: X-Wait, regex: \"(\"}"), "x-wait", "12",
         PAGE_RETRY, 12},
        // test_env's dice always show 4.
        {"with jitter",
         WAITS("{type: ConstantBackoffStrategy, backoff_time_in_seconds: 2, jitter_range_in_seconds: 1}"), "a", "",
         PAGE_RETRY, 2.000004},
        {"with jitter of less than the dice",
         WAITS("{type: ExponentialBackoffStrategy, factor: 1, jitter_range_in_seconds: 0.0000015}"), "a", "",
         PAGE_RETRY, 2},
        {"never longer than a year", WAITS("{type: WaitTimeFromHeader, header: X-Wait}"), "x-wait", "1e12", PAGE_RETRY,
         365.0 * 86400},
        {"the second where the first says nothing",
         WAITS("{type: WaitTimeFromHeader, header: X-Wait}, {type: ConstantBackoffStrategy, backoff_time_in_seconds: 2}"),
         "other", "1", PAGE_RETRY, 2},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        test_clock_us = INT64_C(1000) * 1000000;
        CLEANUP(script_done) Script script;
        open_handler(&script, rows[i].handler);
        CHECK_OK(script_answer_with(&script, 503, "", rows[i].header, rows[i].value, &err), &err);
        CHECK_INT(script.outcome.verdict, rows[i].verdict);
        CHECK_INT(script.outcome.wait_us,
                  rows[i].wait_s < 0 ? -1 : (int64_t)(rows[i].wait_s * 1000000));
        test_clock_us = 0;
    }
}

// It is told with the wait, and who waits decides.
TEST(a_wait_may_be_longer_than_the_manifest_allows)
{
    // clang-format off
    static const struct {
        const char *handler, *value;
        double wait_s;
        bool too_long;
    } rows[] = {
        {WAITS("{type: WaitTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 10}"), "9.9", 9.9, false},
        {WAITS("{type: WaitTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 10}"), "10", 10, true},
        {WAITS("{type: WaitTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 0}"), "1", 1, true},
        {WAITS("{type: WaitTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 0}"), "0", -1, false},
        {WAITS("{type: WaitUntilTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 30}"), "1029", 29, false},
        {WAITS("{type: WaitUntilTimeFromHeader, header: X-Wait, max_waiting_time_in_seconds: 30}"), "1030", 30, true},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].value);
        Error err = {0};
        test_clock_us = INT64_C(1000) * 1000000;
        CLEANUP(script_done) Script script;
        open_handler(&script, rows[i].handler);
        CHECK_OK(script_answer_with(&script, 503, "", "x-wait", rows[i].value, &err), &err);
        CHECK_INT(script.outcome.verdict, PAGE_RETRY);
        CHECK_INT(script.outcome.wait_us,
                  rows[i].wait_s < 0 ? -1 : (int64_t)(rows[i].wait_s * 1000000));
        CHECK_INT(script.outcome.wait_is_too_long, rows[i].too_long);
        CHECK_INT(script.outcome.wait_is_asked, rows[i].wait_s >= 0);
        test_clock_us = 0;
    }
}

TEST(exponential_waits_double)
{
    CLEANUP(script_done) Script script;
    Error err = {0};
    open_handler(&script, WAITS("{type: ExponentialBackoffStrategy, factor: 3}"));
    for (int64_t attempt = 1; attempt <= 4; attempt++) {
        CHECK_OK(script_answer(&script, 500, "", &err), &err);
        CHECK_INT(script.outcome.wait_us, (INT64_C(3) << attempt) * 1000000);
        check_ask(&script, "GET https://api.example.com/v1");
    }
}

TEST(a_message_is_found_wherever_bodies_hold_it)
{
    // clang-format off
    static const struct {
        const char *name, *body;
        PageVerdict verdict;
    } rows[] = {
        {"text", "{\"message\":\"a needle\"}", PAGE_IGNORED},
        {"below", "{\"error\":{\"detail\":\"a needle\"}}", PAGE_IGNORED},
        {"in a list", "{\"errors\":[\"hay\",{\"msg\":\"needle\"}]}", PAGE_IGNORED},
        {"list at the top", "[{\"reason\":\"hay\"},{\"reason\":\"needle\"}]", PAGE_IGNORED},
        {"number", "{\"error\":5}", PAGE_FAILED},
        {"nowhere known", "{\"other\":\"needle\"}", PAGE_FAILED},
        {"empty", "{\"message\":\"\",\"error\":\"needle\"}", PAGE_IGNORED},
        {"no JSON", "a needle", PAGE_IGNORED},
        {"nothing", "", PAGE_FAILED},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(script_done) Script script;
        open_handler(&script, FILTER(""));
        CHECK_OK(script_answer(&script, 400, rows[i].body, &err), &err);
        CHECK_INT(script.outcome.verdict, rows[i].verdict);
    }
}

// The first handler that has a word decides, but one that fails or limits lets the others speak.
TEST(several_handlers_are_asked_in_turn)
{
#define HANDLES(members) "{type: DefaultErrorHandler, " members "}"
#define ON(code, action) \
    "response_filters: [{type: HttpResponseFilter, http_codes: [" code "], action: " action "}]"
    static const char handler[] =
        "        error_handler:\n          type: CompositeErrorHandler\n          error_handlers: "
        "[" HANDLES(ON("400", "FAIL")) ", " HANDLES(ON("400", "IGNORE")) ", " HANDLES(
            ON("401, \"404\"", "RETRY")) "]\n";
    const struct {
        int status;
        PageVerdict verdict;
    } rows[] = {{400, PAGE_IGNORED}, {401, PAGE_RETRY}, {404, PAGE_RETRY}, {200, PAGE_RECORDS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Error err = {0};
        CLEANUP(script_done) Script script;
        open_handler(&script, handler);
        CHECK_OK(script_answer(&script, rows[i].status, "{\"items\":[]}", &err), &err);
        CHECK_INT(script.outcome.verdict, rows[i].verdict);
    }
}

TEST(a_filter_without_an_action_says_nothing)
{
    Error err = {0};
    CLEANUP(script_done) Script script;
    open_handler(&script, HANDLER "          response_filters: [{type: HttpResponseFilter, "
                                  "http_codes: [500], predicate: \"\"}]\n");
    CHECK_OK(script_answer(&script, 500, "", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_RETRY);
}

TEST(waiting_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        Str line = {0};
        char manifest[3000];
        CLEANUP(script_done) Script script = {0};
        (void)snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""),
                       WAITS("{type: WaitTimeFromHeader, header: X-Wait, regex: \"[0-9]+\"}"));
        const bool ok = script_open(&script, manifest, "{}", &err) &&
                        script_begin(&script, "s", NULL, NULL, &err) &&
                        script_ask(&script, &line, &err) &&
                        script_answer_with(&script, 503, "", "x-wait", "12 s", &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || script.outcome.wait_us == 12000000);
    }
}
