// Manifests that cannot be bound: what is wrong is said in the words of the language, with its
// line; what pawl does not speak yet is named, never passed over.
#include "script.h"

#define DOC(members)                                                                           \
    "version: 1.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [s]}\n" \
    "streams:\n  - {type: DeclarativeStream, name: s, " members "}\n"
#define SELECTOR \
    "record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}"
#define SELECT(members)      "record_selector: {type: RecordSelector, " members "}"
#define REQUEST(members)     "requester: {type: HttpRequester, url_base: \"https://x.com\"" members "}"
#define RETRIEVE(members)    "retriever: {type: SimpleRetriever, " members "}"
#define READS                RETRIEVE(SELECTOR ", " REQUEST(""))
#define WITH(members)        DOC(RETRIEVE(SELECTOR ", " REQUEST("") ", " members))
#define REQUESTS(members)    DOC(RETRIEVE(SELECTOR ", " REQUEST(", " members)))
#define SELECTS(members)     DOC(RETRIEVE(SELECT(members) ", " REQUEST("")))
#define HANDLES(members)     REQUESTS("error_handler: {type: DefaultErrorHandler, " members "}")
#define ANSWERS(members)     HANDLES("response_filters: [{type: HttpResponseFilter, " members "}]")
#define WAITS(strategy)      HANDLES("backoff_strategies: [" strategy "]")
#define SIGNS(authenticator) REQUESTS("authenticator: {type: " authenticator "}")
#define CURSOR(members)                                                                     \
    DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: at, datetime_format: " \
        "\"%Y-%m-%d\", start_datetime: \"2024-01-01\", " members "}, " READS)
#define PAGES(members) \
    WITH("paginator: {type: DefaultPaginator, pagination_strategy: {" members "}}")
#define SPLITS(router) WITH("partition_router: {" router "}")
#define PARENT(members)                                                      \
    SPLITS("type: SubstreamPartitionRouter, parent_stream_configs: [{type: " \
           "ParentStreamConfig, " members "}]")
#define MOTHER "stream: {type: DeclarativeStream, name: m, " READS "}"

// What is wrong with the manifest: of the file (a finding), or of its one stream.
static Str problem_of(const char *manifest, char text[600])
{
    Error err = {0};
    CLEANUP(script_done) Script script;
    text[0] = '\0';
    if (!script_open(&script, manifest, "{\"kind\":\"b\"}", &err)) {
        (void)snprintf(text, 600, "%s", err.message);
        return str_from(text);
    }
    for (size_t i = 0; i < script.findings->count; i++) {
        const size_t at = strlen(text);
        (void)snprintf(text + at, 600 - at, "%s" STR_FMT ": " STR_FMT, i > 0 ? "; " : "",
                       STR_ARG(script.findings->items[i].place),
                       STR_ARG(script.findings->items[i].what));
    }
    const Stream *stream = NULL;
    if (text[0] == '\0' && connector_find_stream(script.connector, STR("s"), &stream, &err) &&
        !stream_check(stream, &err))
        (void)snprintf(text, 600, "%s", err.message);
    return str_from(text);
}

TEST(what_a_component_lacks_is_named)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *says;
    } rows[] = {
        {"retriever", DOC("primary_key: id"), "DeclarativeStream needs 'retriever'"},
        {"requester", DOC(RETRIEVE(SELECTOR)), "a retriever lacks its requester"},
        {"address", DOC(RETRIEVE(SELECTOR ", requester: {type: HttpRequester}")),
         "HttpRequester needs 'url_base'"},
        {"selector", DOC(RETRIEVE(REQUEST(""))), "SimpleRetriever needs 'record_selector'"},
        {"extractor", SELECTS("record_filter: {type: RecordFilter, condition: x}"),
         "RecordSelector needs 'extractor'"},
        {"path", SELECTS("extractor: {type: DpathExtractor}"), "DpathExtractor needs 'field_path'"},
        {"cursor field", DOC("incremental_sync: {type: DatetimeBasedCursor, datetime_format: x}, " READS),
         "DatetimeBasedCursor needs 'cursor_field'"},
        {"cursor format", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x}, " READS),
         "DatetimeBasedCursor needs 'datetime_format'"},
        {"cursor start", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x, datetime_format: x}, "
         READS), "DatetimeBasedCursor needs 'start_datetime'"},
        {"MinMaxDatetime", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x, datetime_format: "
         "\"%Y\", start_datetime: {type: MinMaxDatetime}}, " READS), "MinMaxDatetime needs 'datetime'"},
        {"strategy", WITH("paginator: {type: DefaultPaginator}"),
         "DefaultPaginator needs 'pagination_strategy'"},
        {"cursor value", PAGES("type: CursorPagination"), "CursorPagination needs 'cursor_value'"},
        {"list's field", SPLITS("type: ListPartitionRouter, values: [a]"),
         "ListPartitionRouter needs 'cursor_field'"},
        {"list's values", SPLITS("type: ListPartitionRouter, cursor_field: a"),
         "ListPartitionRouter needs 'values'"},
        {"parents", SPLITS("type: SubstreamPartitionRouter"),
         "SubstreamPartitionRouter needs 'parent_stream_configs'"},
        {"parent's stream", PARENT("parent_key: id, partition_field: p"),
         "ParentStreamConfig needs 'stream'"},
        {"parent's key", PARENT(MOTHER ", partition_field: p"), "ParentStreamConfig needs 'parent_key'"},
        {"partition's field", PARENT(MOTHER ", parent_key: id"),
         "ParentStreamConfig needs 'partition_field'"},
        {"extra fields", PARENT(MOTHER ", parent_key: id, partition_field: p, extra_fields: [a]"),
         "ParentStreamConfig needs 'extra_fields'"},
        {"user", SIGNS("BasicHttpAuthenticator"), "BasicHttpAuthenticator needs 'username'"},
        {"bearer", SIGNS("BearerAuthenticator"), "BearerAuthenticator needs 'api_token'"},
        {"key's place", SIGNS("ApiKeyAuthenticator, api_token: x"), "ApiKeyAuthenticator needs 'inject_into'"},
        {"choice", SIGNS("SelectiveAuthenticator"),
         "SelectiveAuthenticator needs 'authenticator_selection_path'"},
        {"JWT's key", SIGNS("JwtAuthenticator, algorithm: HS256"), "JwtAuthenticator needs 'secret_key'"},
        {"session's path", SIGNS("SessionTokenAuthenticator, login_requester: {type: HttpRequester, url_base: x}"),
         "SessionTokenAuthenticator needs 'session_token_path'"},
        {"session's use", SIGNS("SessionTokenAuthenticator, session_token_path: [a], login_requester: {type: "
         "HttpRequester, url_base: x}"), "SessionTokenAuthenticator needs 'request_authentication'"},
        {"wait's header", WAITS("{type: WaitTimeFromHeader}"), "WaitTimeFromHeader needs 'header'"},
        {"handlers", REQUESTS("error_handler: {type: CompositeErrorHandler, error_handlers: []}"),
         "CompositeErrorHandler needs 'error_handlers'"},
    };
    // clang-format on
    char text[600];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_CONTAINS(problem_of(rows[i].manifest, text), str_from(rows[i].says));
        CHECK_CONTAINS(str_from(text), STR("m.yaml:"));
    }
}

TEST(what_pawl_does_not_speak_is_named)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *says;
    } rows[] = {
        {"retriever", DOC("retriever: {type: CustomRetriever}"), "CustomRetriever"},
        {"state migrations", DOC("state_migrations: [{type: CustomStateMigration}], " READS), "CustomStateMigration"},
        {"requester", DOC(RETRIEVE(SELECTOR ", requester: {type: CustomRequester}")), "CustomRequester"},
        {"selector", DOC(RETRIEVE("record_selector: {type: CustomRecordExtractor}, " REQUEST(""))),
         "CustomRecordExtractor"},
        {"extractor", SELECTS("extractor: {type: ResponseToFileExtractor}"), "ResponseToFileExtractor"},
        {"expander", SELECTS("extractor: {type: DpathExtractor, field_path: [], record_expander: {type: "
         "RecordExpander}}"), "RecordExpander"},
        {"filter", SELECTS("extractor: {type: DpathExtractor, field_path: []}, record_filter: {type: "
         "CustomRecordFilter}"), "CustomRecordFilter"},
        {"normalization", SELECTS("extractor: {type: DpathExtractor, field_path: []}, schema_normalization: {type: "
         "CustomSchemaNormalization}"), "CustomSchemaNormalization"},
        {"cursor", DOC("incremental_sync: {type: CustomIncrementalSync}, " READS), "CustomIncrementalSync"},
        {"start", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x, datetime_format: x, "
         "start_datetime: {type: CustomTime}}, " READS), "CustomTime"},
        {"clamping", CURSOR("clamping: {target: DAY}"), "not supported yet: clamping"},
        {"paginator", WITH("paginator: {type: CustomPaginator}"), "CustomPaginator"},
        {"strategy", PAGES("type: CustomPaginationStrategy"), "CustomPaginationStrategy"},
        {"router", SPLITS("type: CustomPartitionRouter"), "CustomPartitionRouter"},
        {"parent", SPLITS("type: SubstreamPartitionRouter, parent_stream_configs: [{type: CustomParent}]"),
         "CustomParent"},
        {"lazy reads", PARENT(MOTHER ", parent_key: id, partition_field: p, lazy_read_pointer: [a]"),
         "not supported yet: lazy_read_pointer"},
        {"authenticator", SIGNS("LegacySessionTokenAuthenticator"), "LegacySessionTokenAuthenticator"},
        {"profile assertion", SIGNS("OAuthAuthenticator, use_profile_assertion: true"),
         "not supported yet: profile_assertion"},
        {"JWT algorithm", SIGNS("JwtAuthenticator, secret_key: k, algorithm: EdDSA"),
         "not supported yet: JWT algorithm EdDSA"},
        {"error handler", REQUESTS("error_handler: {type: CustomErrorHandler}"), "CustomErrorHandler"},
        {"response filter", HANDLES("response_filters: [{type: CustomFilter}]"), "CustomFilter"},
        {"action", ANSWERS("action: EXPLODE"), "not supported yet: action EXPLODE"},
        {"backoff", WAITS("{type: CustomBackoffStrategy}"), "CustomBackoffStrategy"},
        {"body", REQUESTS("http_method: POST, request_body: {type: RequestBodyOdd, value: {}}"), "RequestBodyOdd"},
        {"query properties", REQUESTS("fetch_properties_from_endpoint: {type: PropertiesFromEndpoint}"), "not supported yet: QueryProperties"},
        {"parameter", REQUESTS("request_parameters: {p: {type: QueryProperties}}"), "QueryProperties"},
        {"decoder", WITH("decoder: {type: XmlDecoder}"), "XmlDecoder"},
    };
    // clang-format on
    char text[600];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_CONTAINS(problem_of(rows[i].manifest, text), str_from(rows[i].says));
        CHECK_CONTAINS(str_from(text), STR("m.yaml:"));
    }
}

TEST(what_makes_no_sense_is_said)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *says;
    } rows[] = {
        {"untyped partition router", SPLITS("a: 1"), "a component lacks its type"},
        {"untyped retriever", DOC("retriever: {a: 1}"), "a retriever lacks its requester"},
        {"unknown type", DOC("retriever: {type: NoSuchThing}"), "NoSuchThing"},
        {"no streams", "version: 1.0.0\ntype: DeclarativeSource\n", "a manifest needs 'streams'"},
        {"step alone", CURSOR("step: P1D"), "step and cursor_granularity go together"},
        {"granularity alone", CURSOR("cursor_granularity: P1D"), "step and cursor_granularity go together"},
        {"step", CURSOR("step: soon, cursor_granularity: P1D"), "step 'soon' is no ISO 8601 duration"},
        {"lookback", CURSOR("lookback_window: 5"), "lookback_window '5' is no ISO 8601 duration"},
        {"start in another format", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x, "
         "datetime_format: \"%Y-%m-%d\", start_datetime: \"yesterday\"}, " READS),
         "time 'yesterday' does not fit the format '%Y-%m-%d'"},
        {"empty start", DOC("incremental_sync: {type: DatetimeBasedCursor, cursor_field: x, datetime_format: "
         "\"%Y-%m-%d\", start_datetime: \"{{ config['none'] }}\"}, " READS),
         "a start or end time of the manifest is empty"},
        {"max_retries", HANDLES("max_retries: many"), "max_retries is no whole number"},
        {"http_code", ANSWERS("http_codes: [teapot]"), "an http_code is a number"},
        {"page_size", PAGES("type: PageIncrement, page_size: many"), "page_size is no whole number"},
        {"start_from_page", PAGES("type: PageIncrement, start_from_page: soon"), "start_from_page is no whole number"},
        {"page_size below 0", PAGES("type: PageIncrement, page_size: -1"),
         "m.yaml:5: PageIncrement needs 'page_size' of at least 1, not -1"},
        {"page_size 0", PAGES("type: OffsetIncrement, page_size: 0"),
         "m.yaml:5: OffsetIncrement needs 'page_size' of at least 1, not 0"},
        {"page_size as a text", PAGES("type: CursorPagination, cursor_value: x, page_size: \"-5\""),
         "m.yaml:5: CursorPagination needs 'page_size' of at least 1, not -5"},
        {"page_size of the config", PAGES("type: PageIncrement, page_size: \"{{ config['n'] or 0 }}\""),
         "m.yaml:5: page_size is 0 with this config: give at least 1"},
        {"headers", REQUESTS("request_headers: [a]"), "'request_headers' is a map or a text"},
        {"session's life", SIGNS("SessionTokenAuthenticator, session_token_path: [a], expiration_duration: soon, "
         "login_requester: {type: HttpRequester, url_base: x}, request_authentication: {type: Bearer}"),
         "expiration_duration is no duration"},
        {"chosen by nothing", SIGNS("SelectiveAuthenticator, authenticator_selection_path: [none], authenticators: "
         "{a: {type: NoAuth}, b: {type: NoAuth}}"), "the config lacks 'none': one of a, b"},
        {"chosen wrongly", SIGNS("SelectiveAuthenticator, authenticator_selection_path: [kind], authenticators: "
         "{a: {type: NoAuth}}"), "no authenticator 'b': one of a"},
    };
    // clang-format on
    char text[600];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_CONTAINS(problem_of(rows[i].manifest, text), str_from(rows[i].says));
    }
}

TEST(a_path_longer_than_its_maximum_is_refused)
{
    const struct {
        const char *name, *before, *item, *after, *says;
    } rows[] = {
        {"field_path", "extractor: {type: DpathExtractor, field_path: [", "a, ", "]}",
         "field_path longer than"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        char text[600];
        CLEANUP(buf_done) Buf manifest = {0};
        CHECK(buf_append(&manifest,
                         STR("version: 1.0.0\ntype: DeclarativeSource\nstreams:\n"
                             "  - {type: DeclarativeStream, name: s, retriever: {type: "
                             "SimpleRetriever, " REQUEST("") ", record_selector: {type: "
                                                             "RecordSelector, "),
                         &err));
        CHECK(buf_append(&manifest, str_from(rows[i].before), &err));
        for (int part = 0; part < 100; part++)
            CHECK(buf_append(&manifest, str_from(rows[i].item), &err));
        CHECK(buf_append(&manifest, str_from(rows[i].after), &err));
        CHECK(buf_append(&manifest, STR("}}}\n"), &err) && buf_append_char(&manifest, '\0', &err));
        CHECK_CONTAINS(problem_of(manifest.data, text), str_from(rows[i].says));
    }
}

TEST(an_unknown_stream_is_told_with_the_nearest)
{
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, DOC(READS), "{}", &err), &err);
    const Stream *stream = NULL;
    CHECK(!connector_find_stream(script.connector, STR("z"), &stream, &err));
    CHECK_INT(err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(err.message), STR("'z'"));
    CHECK_INT((int64_t)connector_stream_count(script.connector), 1);
}
