#include "connector/sync.h"

#include "script.h"

#include <string.h>

// What the far side answers: rows are served in order for each address, the last one again and
// again.
typedef struct Answer {
    const char *line; // "GET https://..."
    int status;       // 0 = the network fails
    const char *body;
} Answer;

typedef struct Host {
    const Answer *answers;
    size_t served[16];
    Buf log;     // one line a request
    Buf records; // one line a record
    Buf state;   // the last one
    size_t states;
    int64_t waited_us;
} Host;

static bool exchange(void *state, const HttpRequest *request, Arena *arena,
                     HttpResponse *ret_response, Error *err)
{
    Host *host = state;
    char line[400];
    snprintf(line, sizeof line, STR_FMT " " STR_FMT, STR_ARG(request->method),
             STR_ARG(request->url));
    TRY(buf_printf(&host->log, err, "%s\n", line));
    const Answer *found = NULL;
    for (size_t i = 0; host->answers[i].line != NULL; i++) {
        bool last = host->answers[i + 1].line == NULL ||
                    strcmp(host->answers[i + 1].line, host->answers[i].line) != 0;
        if (strcmp(host->answers[i].line, line) != 0 || (host->served[i] > 0 && !last))
            continue;
        host->served[i]++;
        found = &host->answers[i];
        break;
    }
    if (found == NULL)
        return error_set(err, ERROR_DATA, "unexpected request %s", line);
    if (found->status == 0)
        return error_set(err, ERROR_IO, "the network fails");
    *ret_response = (HttpResponse){.status = found->status};
    return arena_copy_str(arena, str_from(found->body), &ret_response->body, err);
}

static bool wait_for(void *state, int64_t wait_us, Error *err)
{
    (void)err;
    Host *host = state;
    host->waited_us += wait_us;
    return true;
}

static bool put_record(void *state, const Stream *stream, yyjson_val *record, Error *err)
{
    Host *host = state;
    TRY(buf_printf(&host->records, err, STR_FMT " ", STR_ARG(stream_name(stream))));
    TRY(json_write(record, &host->records, err));
    return buf_append_char(&host->records, '\n', err);
}

static bool put_state(void *state, const Stream *stream, Str json, Error *err)
{
    (void)stream;
    Host *host = state;
    host->states++;
    buf_clear(&host->state);
    return buf_append(&host->state, json, err);
}

static void put_log(void *state, const char *level, Str text)
{
    (void)state;
    (void)level;
    (void)text;
}

static void host_done(Host *host)
{
    buf_done(&host->log);
    buf_done(&host->records);
    buf_done(&host->state);
}

static bool sync_with(Host *host, const char *manifest, const char *state, Error *err)
{
    CLEANUP(script_done) Script script = {0};
    TRY(script_open(&script, manifest, "{\"x\":[\"p\",\"q\"]}", err));
    TRY(findings_check(script.findings, err));
    yyjson_doc *doc = NULL;
    if (state != NULL)
        TRY(json_parse(str_from(state), "state", script.arena, &doc, err));
    const Stream *stream = NULL;
    TRY(connector_find_stream(script.connector, STR("s"), &stream, err));
    const SyncHost sync = {.state = host,
                           .exchange = exchange,
                           .wait = wait_for,
                           .record = put_record,
                           .checkpoint = put_state,
                           .log = put_log,
                           .env = &test_env};
    return sync_stream(script.connector, stream, yyjson_doc_get_root(doc), &sync, err);
}

static void check_sync(const char *manifest, const char *state, const Answer *answers,
                       const char *log, const char *records, const char *final)
{
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK_OK(sync_with(&host, manifest, state, &err), &err);
    CHECK_STR(buf_str(&host.log), str_from(log));
    CHECK_STR(buf_str(&host.records), str_from(records));
    CHECK_STR(buf_str(&host.state), str_from(final));
}

#define PATH "        path: \"t/{{ stream_partition.get('k', '') }}\"\n"

TEST(a_stream_without_cursor_says_so_in_its_state)
{
    static const Answer answers[] = {
        {"GET https://api.example.com/v1/t/", 200, "{\"items\":[{\"a\":1},{\"a\":2}]}"},
        {NULL, 0, NULL}};
    check_sync(ONE_STREAM(PATH, "", ""), NULL, answers, "GET https://api.example.com/v1/t/\n",
               "s {\"a\":1}\ns {\"a\":2}\n", "{\"__ab_no_cursor_state_message\":true}");
}

TEST(trouble_is_retried_with_growing_waits)
{
    static const Answer answers[] = {{"GET https://api.example.com/v1/t/", 0, ""},
                                     {"GET https://api.example.com/v1/t/", 503, ""},
                                     {"GET https://api.example.com/v1/t/", 429, ""},
                                     {"GET https://api.example.com/v1/t/", 200, "{\"items\":[1]}"},
                                     {NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK_OK(sync_with(&host, ONE_STREAM(PATH, "", ""), NULL, &err), &err);
    CHECK_STR(buf_str(&host.records), STR("s 1\n"));
    CHECK_INT(host.waited_us, (1 + 1 + 2) * 1000000);
}

TEST(trouble_without_end_is_given_up)
{
    static const Answer answers[] = {{"GET https://api.example.com/v1/t/", 500, ""},
                                     {NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK(!sync_with(&host, ONE_STREAM(PATH, "", ""), NULL, &err));
    CHECK_INT(err.code, ERROR_IO);
    CHECK(host.served[0] == 6);
}

#define LIST                                                                             \
    "      partition_router: {type: ListPartitionRouter, cursor_field: k, values: \"{{ " \
    "config['x'] }}\"}\n"
#define CURSOR                                                                                    \
    "    incremental_sync:\n      type: DatetimeBasedCursor\n      cursor_field: at\n"            \
    "      datetime_format: \"%Y-%m-%d\"\n      start_datetime: \"2025-01-01\"\n"                 \
    "      end_datetime: \"2025-01-02\"\n      step: P1D\n      cursor_granularity: P1D\n"        \
    "      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: " \
    "from}\n"

TEST(each_partition_has_a_state_of_its_own)
{
    static const Answer answers[] = {{"GET https://api.example.com/v1/t/p?from=2025-01-01", 200,
                                      "{\"items\":[{\"at\":\"2025-01-01\"}]}"},
                                     {"GET https://api.example.com/v1/t/q?from=2025-01-01", 200,
                                      "{\"items\":[{\"at\":\"2025-01-02\"}]}"},
                                     {NULL, 0, NULL}};
    check_sync(ONE_STREAM(PATH, LIST, CURSOR), NULL, answers,
               "GET https://api.example.com/v1/t/p?from=2025-01-01\n"
               "GET https://api.example.com/v1/t/q?from=2025-01-01\n",
               "s {\"at\":\"2025-01-01\"}\ns {\"at\":\"2025-01-02\"}\n",
               "{\"use_global_cursor\":false,\"states\":["
               "{\"partition\":{\"k\":\"p\"},\"cursor\":{\"at\":\"2025-01-01\"}},"
               "{\"partition\":{\"k\":\"q\"},\"cursor\":{\"at\":\"2025-01-02\"}}],"
               "\"state\":{\"at\":\"2025-01-02\"},\"lookback_window\":0}");
}

TEST(a_new_partition_begins_with_the_global_state)
{
    static const Answer answers[] = {
        {"GET https://api.example.com/v1/t/p?from=2025-01-02", 200, "{\"items\":[]}"},
        {"GET https://api.example.com/v1/t/q?from=2025-01-01", 200, "{\"items\":[]}"},
        {NULL, 0, NULL}};
    check_sync(ONE_STREAM(PATH, LIST, CURSOR),
               "{\"use_global_cursor\":false,\"states\":[{\"partition\":{\"k\":\"p\"},\"cursor\":{"
               "\"at\":\"2025-01-02\"}}],"
               "\"state\":{\"at\":\"2025-01-02\"},\"lookback_window\":86400}",
               answers,
               "GET https://api.example.com/v1/t/p?from=2025-01-02\n"
               "GET https://api.example.com/v1/t/q?from=2025-01-01\n",
               "",
               "{\"use_global_cursor\":false,\"states\":["
               "{\"partition\":{\"k\":\"p\"},\"cursor\":{\"at\":\"2025-01-02\"}},"
               "{\"partition\":{\"k\":\"q\"},\"cursor\":{\"at\":\"2025-01-01\"}}],"
               "\"state\":{\"at\":\"2025-01-02\"},\"lookback_window\":86400}");
}

TEST(one_failing_partition_does_not_stop_the_others)
{
    static const Answer answers[] = {{"GET https://api.example.com/v1/t/p", 403, "{}"},
                                     {"GET https://api.example.com/v1/t/q", 200, "{\"items\":[7]}"},
                                     {NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK(!sync_with(&host, ONE_STREAM(PATH, LIST, ""), NULL, &err));
    CHECK_INT(err.code, ERROR_ACCESS);
    CHECK_STR(buf_str(&host.records), STR("s 7\n"));
}

#define PARENT(more)                                                                             \
    "      partition_router:\n        type: SubstreamPartitionRouter\n"                          \
    "        parent_stream_configs:\n          - type: ParentStreamConfig\n"                     \
    "            parent_key: id\n            partition_field: k\n"                               \
    "            stream:\n              type: DeclarativeStream\n              name: p\n"        \
    "              retriever:\n                type: SimpleRetriever\n"                          \
    "                requester: {type: HttpRequester, url_base: \"https://api.example.com\", "   \
    "path: p}\n"                                                                                 \
    "                record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, " \
    "field_path: []}}\n" more

TEST(parents_are_read_first_and_once)
{
    static const Answer answers[] = {
        {"GET https://api.example.com/p", 200, "[{\"id\":1},{\"x\":1},{\"id\":2},{\"id\":null}]"},
        {"GET https://api.example.com/v1/t/1", 200, "{\"items\":[\"a\"]}"},
        {"GET https://api.example.com/v1/t/2", 404, "{}"},
        {NULL, 0, NULL}};
    check_sync(ONE_STREAM(PATH
                          "        error_handler: {type: DefaultErrorHandler, response_filters: "
                          "[{type: HttpResponseFilter, http_codes: [404], action: IGNORE}]}\n",
                          PARENT(""), ""),
               NULL, answers,
               "GET https://api.example.com/p\nGET https://api.example.com/v1/t/1\n"
               "GET https://api.example.com/v1/t/2\n",
               "s \"a\"\n", "{\"__ab_no_cursor_state_message\":true}");
}

TEST(a_product_of_routers_reads_every_pair)
{
    static const Answer answers[] = {{"GET https://api.example.com/v1/a/1", 200, "{}"},
                                     {"GET https://api.example.com/v1/a/2", 200, "{}"},
                                     {"GET https://api.example.com/v1/b/1", 200, "{}"},
                                     {"GET https://api.example.com/v1/b/2", 200, "{}"},
                                     {NULL, 0, NULL}};
    check_sync(
        ONE_STREAM("        path: \"{{ stream_slice['l'] }}/{{ stream_slice['n'] }}\"\n",
                   "      partition_router:\n"
                   "        - {type: ListPartitionRouter, cursor_field: l, values: [a, b]}\n"
                   "        - {type: ListPartitionRouter, cursor_field: n, values: [1, 2]}\n",
                   ""),
        NULL, answers,
        "GET https://api.example.com/v1/a/1\nGET https://api.example.com/v1/a/2\n"
        "GET https://api.example.com/v1/b/1\nGET https://api.example.com/v1/b/2\n",
        "", "{\"__ab_no_cursor_state_message\":true}");
}

TEST(an_unsupported_stream_is_refused_by_name_and_place)
{
    static const Answer answers[] = {{NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK(!sync_with(&host,
                     "streams:\n  - type: DeclarativeStream\n    name: s\n    retriever:\n      "
                     "type: AsyncRetriever\n",
                     NULL, &err));
    CHECK_STR(str_from(err.message),
              STR("stream 's': m.yaml:5: not supported yet: AsyncRetriever"));
}

TEST(syncing_survives_every_fault)
{
    static const Answer answers[] = {{"GET https://api.example.com/p", 200, "[{\"id\":1}]"},
                                     {"GET https://api.example.com/v1/t/1?from=2025-01-01", 200,
                                      "{\"items\":[{\"at\":\"2025-01-01\"}]}"},
                                     {NULL, 0, NULL}};
    FAULTS() {
        Error err = {0};
        CLEANUP(host_done) Host host = {.answers = answers};
        bool ok = sync_with(&host, ONE_STREAM(PATH, PARENT(""), CURSOR), NULL, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        if (ok)
            CHECK_STR(buf_str(&host.records), STR("s {\"at\":\"2025-01-01\"}\n"));
    }
}

// ------------------------------------------------------------------------ tokens, caches, bounds

#define SIGNED                                                                        \
    PATH "        authenticator: {type: OAuthAuthenticator, token_refresh_endpoint: " \
         "\"https://id.example.com/t\", client_id: c, client_secret: s, grant_type: " \
         "client_credentials}\n"

TEST(a_token_is_fetched_first_and_tried_for_again)
{
    static const Answer answers[] = {
        {"POST https://id.example.com/t", 503, ""},
        {"POST https://id.example.com/t", 0, NULL},
        {"POST https://id.example.com/t", 200, "{\"access_token\":\"t\",\"expires_in\":60}"},
        {"GET https://api.example.com/v1/t/", 200, "{\"items\":[{\"i\":1}]}"},
        {NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK_OK(sync_with(&host, ONE_STREAM(SIGNED, "", ""), NULL, &err), &err);
    CHECK_STR(buf_str(&host.log),
              STR("POST https://id.example.com/t\nPOST https://id.example.com/t\n"
                  "POST https://id.example.com/t\nGET https://api.example.com/v1/t/\n"));
    CHECK_STR(buf_str(&host.records), STR("s {\"i\":1}\n"));
    CHECK_INT(host.waited_us, 3 * 1000000); // one second, then two
}

TEST(a_token_that_is_not_given_ends_the_sync)
{
    const struct {
        const char *name;
        Answer answers[2];
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"refused", {{"POST https://id.example.com/t", 401, ""}}, ERROR_ACCESS, "was refused"},
        {"busy for ever", {{"POST https://id.example.com/t", 503, ""}}, ERROR_BUSY, "HTTP 503"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(host_done) Host host = {.answers = rows[i].answers};
        CHECK(!sync_with(&host, ONE_STREAM(SIGNED, "", ""), NULL, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}

// The reference's client-side cursor drops what is older than the state, and what lies behind the
// end.
TEST(a_client_side_cursor_drops_what_lies_outside)
{
    static const Answer answers[] = {
        {"GET https://api.example.com/v1", 200,
         "{\"items\":[{\"at\":\"2025-01-01\"},{\"at\":\"2025-01-03\"},{\"at\":\"2025-01-05\"},"
         "{\"at\":\"2025-02-01\"},{\"at\":\"no date\"},{\"none\":1}]}"},
        {NULL, 0, NULL}};
    static const char manifest[] = ONE_STREAM(
        "", "",
        "    incremental_sync:\n      type: DatetimeBasedCursor\n      cursor_field: at\n"
        "      datetime_format: \"%Y-%m-%d\"\n      start_datetime: \"2025-01-01\"\n"
        "      end_datetime: \"2025-01-31\"\n      is_client_side_incremental: true\n");
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK_OK(sync_with(&host, manifest, "{\"at\":\"2025-01-03\"}", &err), &err);
    CHECK_STR(buf_str(&host.records), STR("s {\"at\":\"2025-01-03\"}\ns {\"at\":\"2025-01-05\"}\n"
                                          "s {\"at\":\"no date\"}\ns {\"none\":1}\n"));
}

// Both streams read the same mother: her pages are asked for once.
TEST(pages_of_a_parent_are_asked_for_once)
{
    static const char manifest[] =
        "definitions:\n  all: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: "
        "[items]}}\n  mother: {type: DeclarativeStream, name: m, retriever: {type: "
        "SimpleRetriever, record_selector: \"#/definitions/all\", requester: {type: "
        "HttpRequester, url_base: \"https://x.com/m\"}}}\n"
        "streams:\n"
        "  - {type: DeclarativeStream, name: s, retriever: {type: SimpleRetriever, "
        "record_selector: \"#/definitions/all\", requester: {type: HttpRequester, url_base: "
        "\"https://x.com/s/{{ stream_partition.a }}{{ stream_partition.b }}\"}, "
        "partition_router: [{type: SubstreamPartitionRouter, parent_stream_configs: [{type: "
        "ParentStreamConfig, stream: \"#/definitions/mother\", parent_key: id, partition_field: "
        "a}]}, {type: SubstreamPartitionRouter, parent_stream_configs: [{type: ParentStreamConfig, "
        "stream: \"#/definitions/mother\", parent_key: id, partition_field: b}]}]}}\n"
        "  - \"#/definitions/mother\"\n";
    static const Answer answers[] = {
        {"GET https://x.com/m", 200, "{\"items\":[{\"id\":1},{\"id\":2}]}"},
        {"GET https://x.com/s/11", 200, "{\"items\":[{\"i\":11}]}"},
        {"GET https://x.com/s/12", 200, "{\"items\":[{\"i\":12}]}"},
        {"GET https://x.com/s/21", 200, "{\"items\":[{\"i\":21}]}"},
        {"GET https://x.com/s/22", 200, "{\"items\":[{\"i\":22}]}"},
        {NULL, 0, NULL}};
    Error err = {0};
    CLEANUP(host_done) Host host = {.answers = answers};
    CHECK_OK(sync_with(&host, manifest, NULL, &err), &err);
    CHECK_STR(buf_str(&host.records),
              STR("s {\"i\":11}\ns {\"i\":12}\ns {\"i\":21}\ns {\"i\":22}\n"));
    size_t mothers = 0;
    for (Str rest = buf_str(&host.log); rest.data != NULL;)
        mothers += str_equal(str_split_next(&rest, '\n'), STR("GET https://x.com/m"));
    CHECK_INT((int64_t)mothers, 1);
}
