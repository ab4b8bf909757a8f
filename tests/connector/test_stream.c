#include "script.h"

#include "connector/engine.h"

static void open_one(Script *script, const char *manifest, const char *config)
{
    Error err = {0};
    CHECK_OK(script_open(script, manifest, config, &err), &err);
    CHECK_OK(findings_check(script->findings, &err), &err);
    CHECK_OK(script_begin(script, "s", NULL, NULL, &err), &err);
}

// ------------------------------------------------------------------------ requests

TEST(addresses_are_joined_as_the_reference_joins_them)
{
    const struct {
        const char *name, *requester, *line;
    } rows[] = {
        {"base and path", "        path: /things\n", "GET https://api.example.com/v1/things"},
        {"no path", "", "GET https://api.example.com/v1"},
        {"template", "        path: \"a/{{ config['x'] }}\"\n",
         "GET https://api.example.com/v1/a/7"},
        {"absolute path replaces", "        path: https://other.example.com/z\n",
         "GET https://other.example.com/z"},
        {"blank is encoded", "        path: a b\n", "GET https://api.example.com/v1/a%20b"},
        {"query",
         "        path: t\n        request_parameters: {a: 1, b: x y, c: \"{{ config['x'] }}\"}\n",
         "GET https://api.example.com/v1/t?a=1&b=x+y&c=7"},
        {"undefined member is left out",
         "        path: t\n        request_parameters: {a: \"{{ config['no'] }}\", b: 2}\n",
         "GET https://api.example.com/v1/t?b=2"},
        {"list repeats the key",
         "        path: t\n        request_parameters: {a: \"{{ ['p', 'q'] }}\"}\n",
         "GET https://api.example.com/v1/t?a=p&a=q"},
        {"bool is Python's", "        path: t\n        request_parameters: {a: true}\n",
         "GET https://api.example.com/v1/t?a=True"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[2000];
        snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""), rows[i].requester);
        CLEANUP(script_done) Script script;
        open_one(&script, manifest, "{\"x\":7}");
        check_ask(&script, rows[i].line);
    }
}

TEST(bodies_are_json_or_forms)
{
    const struct {
        const char *name, *requester, *body;
    } rows[] = {
        {"json",
         "        http_method: POST\n        request_body_json: {a: {b: \"{{ config['x'] }}\"}, n: "
         "\"{{ None }}\"}\n",
         "{\"a\": {\"b\": 7}}"},
        {"form", "        http_method: POST\n        request_body_data: {a: x y, b: 2}\n",
         "a=x+y&b=2"},
        {"text",
         "        http_method: POST\n        request_body_data: \"hello {{ config['x'] }}\"\n",
         "hello 7"},
        {"a text that is a mapping",
         "        http_method: POST\n        request_body_data: \"{'a': 1}\"\n", "a=1"},
        {"not with DELETE", "        http_method: DELETE\n        request_body_data: {a: 1}\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[2000];
        snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""), rows[i].requester);
        CLEANUP(script_done) Script script;
        open_one(&script, manifest, "{\"x\":7}");
        Error err = {0};
        Str line = {0};
        CHECK_OK(script_ask(&script, &line, &err), &err);
        CHECK_STR(script.request.body, str_from(rows[i].body));
    }
}

TEST(an_option_set_twice_is_refused)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM("        request_parameters: {limit: 5}\n",
                        "      paginator:\n        type: DefaultPaginator\n"
                        "        page_size_option: {type: RequestOption, inject_into: "
                        "request_parameter, field_name: limit}\n"
                        "        pagination_strategy: {type: PageIncrement, page_size: 2}\n",
                        ""),
             "{}");
    Error err = {0};
    Str line = {0};
    CHECK(!script_ask(&script, &line, &err));
    CHECK_CONTAINS(str_from(err.message), STR("limit"));
}

// ------------------------------------------------------------------------ pages

#define ADDS(value)                                                                         \
    ONE_STREAM("        path: t\n", "",                                                     \
               "    transformations: [{type: AddFields, fields: [{path: [x], value: " value \
               "}]}]\n")

TEST(records_that_the_clock_has_a_part_in_do_not_repeat)
{
    const struct {
        const char *name, *manifest;
        bool repeats;
    } rows[] = {
        {"nothing added", ONE_STREAM("        path: t\n", "", ""), true},
        {"config", ADDS("\"{{ config['x'] }}\""), true},
        {"the day", ADDS("\"{{ today_utc() }}\""), false},
        {"the moment", ADDS("\"{{ now_utc().year }}\""), false},
        {"tomorrow", ADDS("\"{{ day_delta(1) }}\""), false},
        {"an id", ADDS("\"{{ generate_uuid() }}\""), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CLEANUP(script_done) Script script;
        open_one(&script, rows[i].manifest, "{\"x\":7}");
        Error err = {0};
        Str line = {0};
        CHECK_OK(script_ask(&script, &line, &err), &err);
        CHECK_OK(script_answer(&script, 200, "{\"items\":[{\"a\":1}]}", &err), &err);
        CHECK_INT(script.outcome.verdict, PAGE_RECORDS);
        CHECK_INT(script.outcome.repeats, rows[i].repeats);
    }
}

TEST(another_manifest_or_config_has_another_digest)
{
    const char *const manifests[] = {ADDS("\"1\""), ADDS("\"2\""), ADDS("\"1\"")};
    const char *const configs[] = {"{\"x\":7}", "{\"x\":7}", "{\"x\":8}"};
    Key128 digests[4];
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(script_done) Script script;
        open_one(&script, manifests[i % 3], configs[i % 3]);
        digests[i] = stream_digest(script.stream);
    }
    CHECK(key128_compare(&digests[0], &digests[1]) != 0);
    CHECK(key128_compare(&digests[0], &digests[2]) != 0);
    CHECK(key128_compare(&digests[0], &digests[3]) == 0);
}

#define PAGES(option, strategy)                                                                \
    ONE_STREAM(                                                                                \
        "        path: t\n",                                                                   \
        "      paginator:\n        type: DefaultPaginator\n        page_token_option: " option \
        "\n        page_size_option: {type: RequestOption, inject_into: "                      \
        "request_parameter, field_name: n}\n        pagination_strategy: " strategy "\n",      \
        "")
#define IN_QUERY "{type: RequestOption, inject_into: request_parameter, field_name: p}"

TEST(pages_are_counted_until_one_is_short)
{
    CLEANUP(script_done) Script script;
    open_one(&script, PAGES(IN_QUERY, "{type: PageIncrement, page_size: 2, start_from_page: 1}"),
             "{}");
    check_ask(&script, "GET https://api.example.com/v1/t?n=2");
    check_records(&script, "{\"items\":[{\"a\":1},{\"a\":2}]}", "[{\"a\":1},{\"a\":2}]");
    check_ask(&script, "GET https://api.example.com/v1/t?p=2&n=2");
    check_records(&script, "{\"items\":[{\"a\":3}]}", "[{\"a\":3}]");
    check_ask(&script, "no more");
}

TEST(offsets_grow_by_what_came)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             PAGES(IN_QUERY, "{type: OffsetIncrement, page_size: \"{{ config['n'] }}\", "
                             "inject_on_first_request: true}"),
             "{\"n\":2}");
    check_ask(&script, "GET https://api.example.com/v1/t?p=0&n=2");
    check_records(&script, "{\"items\":[1,2]}", "[1,2]");
    check_ask(&script, "GET https://api.example.com/v1/t?p=2&n=2");
    check_records(&script, "{\"items\":[]}", "[]");
    check_ask(&script, "no more");
}

// Only the response can say how many were asked for; where it says nothing, an empty page is the
// last.
TEST(a_page_size_of_the_response_is_looked_at_page_by_page)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             PAGES(IN_QUERY, "{type: OffsetIncrement, page_size: \"{{ response['limit'] }}\"}"),
             "{}");
    check_ask(&script, "GET https://api.example.com/v1/t");
    check_records(&script, "{\"items\":[1,2],\"limit\":2}", "[1,2]");
    check_ask(&script, "GET https://api.example.com/v1/t?p=2");
    check_records(&script, "{\"items\":[3,4],\"limit\":0}", "[3,4]");
    check_ask(&script, "GET https://api.example.com/v1/t?p=4");
    check_records(&script, "{\"items\":[5],\"limit\":2}", "[5]");
    check_ask(&script, "no more");
}

TEST(a_page_size_of_the_response_that_is_below_0_fails)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             PAGES(IN_QUERY, "{type: OffsetIncrement, page_size: \"{{ response['limit'] }}\"}"),
             "{}");
    check_ask(&script, "GET https://api.example.com/v1/t");
    Error err = {0};
    CHECK(!script_answer(&script, 200, "{\"items\":[1,2],\"limit\":-1}", &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_CONTAINS(str_from(err.message),
                   STR("page_size '{{ response['limit'] }}' is -1 for this page"));
}

TEST(a_next_address_is_followed_without_doubling_its_query)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             PAGES("{type: RequestPath}", "{type: CursorPagination, page_size: 2, cursor_value: "
                                          "\"{{ response.get('next') }}\"}"),
             "{}");
    check_ask(&script, "GET https://api.example.com/v1/t?n=2");
    check_records(&script,
                  "{\"items\":[],\"next\":\"https://api.example.com/v1/t?n=2&after=x%2By\"}", "[]");
    check_ask(&script, "GET https://api.example.com/v1/t?n=2&after=x%2By");
    check_records(&script, "{\"items\":[],\"next\":null}", "[]");
    check_ask(&script, "no more");
}

TEST(a_next_address_elsewhere_or_back_to_itself_fails)
{
    const struct {
        const char *name, *next, *reason;
    } rows[] = {
        {"other host", "https://evil.example.com/v1/t", "another origin"},
        {"other protocol", "http://api.example.com/v1/t", "another origin"},
        {"other port", "https://api.example.com:8443/v1/t", "another origin"},
        // Joining strips and completes what url_split() takes for no address.
        {"its protocol left out", "//evil.example.com/v1/t", "another origin"},
        {"behind a blank", " https://evil.example.com/v1/t", "another origin"},
        {"with line ends", "ht\\ntps://evil.example.com/v1/t\\r\\n", "another origin"},
        {"behind a control character", "\\u0001https://evil.example.com/v1/t", "another origin"},
        {"no http", "file:///etc/passwd", "no http address"},
        {"with a user", "https://me@api.example.com/v1/t", "no http address"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CLEANUP(script_done) Script script;
        open_one(
            &script,
            PAGES(
                "{type: RequestPath}",
                "{type: CursorPagination, cursor_value: \"{{ response['next'] }}\", page_size: 1}"),
            "{}");
        check_ask(&script, "GET https://api.example.com/v1/t?n=1");
        char body[200];
        snprintf(body, sizeof body, "{\"items\":[],\"next\":\"%s\"}", rows[i].next);
        Error err = {0};
        CHECK_OK(script_answer(&script, 200, body, &err), &err);
        CHECK_INT(script.outcome.verdict, PAGE_FAILED);
        CHECK_CONTAINS(script.outcome.reason, str_from(rows[i].reason));
    }
    CLEANUP(script_done) Script script;
    open_one(&script,
             PAGES(IN_QUERY,
                   "{type: CursorPagination, cursor_value: \"{{ response['c'] }}\", page_size: 1}"),
             "{}");
    check_ask(&script, "GET https://api.example.com/v1/t?n=1");
    check_records(&script, "{\"items\":[],\"c\":\"k\"}", "[]");
    check_ask(&script, "GET https://api.example.com/v1/t?p=k&n=1");
    Error err = {0};
    CHECK_OK(script_answer(&script, 200, "{\"items\":[],\"c\":\"k\"}", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_FAILED);
}

TEST(links_and_last_records_turn_pages)
{
    CLEANUP(script_done) Script script;
    open_one(
        &script,
        PAGES("{type: RequestPath}",
              "{type: CursorPagination, cursor_value: \"{{ headers['link']['next']['url'] }}\", "
              "stop_condition: \"{{ 'next' not in headers['link'] }}\", page_size: 1}"),
        "{}");
    check_ask(&script, "GET https://api.example.com/v1/t?n=1");
    Error err = {0};
    CHECK_OK(script_answer_with(&script, 200, "{\"items\":[{}]}", "Link",
                                "<https://api.example.com/v1/t?n=1&page=2>; rel=\"next\", "
                                "<https://api.example.com/v1/t?page=9>; rel=\"last\"",
                                &err),
             &err);
    check_ask(&script, "GET https://api.example.com/v1/t?n=1&page=2");
    CHECK_OK(script_answer(&script, 200, "{\"items\":[{}]}", &err), &err);
    check_ask(&script, "no more");

    CLEANUP(script_done) Script second;
    open_one(&second,
             PAGES(IN_QUERY, "{type: CursorPagination, cursor_value: \"{{ last_record['id'] }}\", "
                             "stop_condition: \"{{ last_page_size < 2 }}\", page_size: 2}"),
             "{}");
    check_ask(&second, "GET https://api.example.com/v1/t?n=2");
    check_records(&second, "{\"items\":[{\"id\":1},{\"id\":5}]}", "[{\"id\":1},{\"id\":5}]");
    check_ask(&second, "GET https://api.example.com/v1/t?p=5&n=2");
    check_records(&second, "{\"items\":[{\"id\":6}]}", "[{\"id\":6}]");
    check_ask(&second, "no more");
}

// ------------------------------------------------------------------------ records

TEST(untouched_records_are_handed_out_as_they_lie_in_the_page)
{
    CLEANUP(script_done) Script script;
    open_one(&script, ONE_STREAM("", "", ""), "{}");
    check_ask(&script, "GET https://api.example.com/v1");
    check_records(&script, "{\"items\":[{\"a\":1},{\"b\":[1.5,null]}]}",
                  "[{\"a\":1},{\"b\":[1.5,null]}]");
    yyjson_val *items = json_get(yyjson_doc_get_root(script.outcome.doc), STR("items"));
    CHECK(script.outcome.records[0] == yyjson_arr_get(items, 0));
    CHECK(script.outcome.records[1] == yyjson_arr_get(items, 1));
    check_ask(&script, "no more");
}

TEST(bodies_of_every_shape_are_understood)
{
    const struct {
        const char *name, *body, *records;
    } rows[] = {
        {"missing", "{}", "[]"},
        {"null", "{\"items\":null}", "[]"},
        {"one object", "{\"items\":{\"a\":1}}", "[{\"a\":1}]"},
        {"empty object", "{\"items\":{}}", "[]"},
        {"list of bodies", "[{\"items\":[1]},{\"items\":[2]}]", "[1,2]"},
        {"empty body", "", "[]"},
        {"blank body", " \n", "[]"},
        {"plain", "7", "[]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CLEANUP(script_done) Script script;
        open_one(&script, ONE_STREAM("", "", ""), "{}");
        check_ask(&script, "GET https://api.example.com/v1");
        check_records(&script, rows[i].body, rows[i].records);
    }
}

TEST(records_are_filtered_and_transformed)
{
    const struct {
        const char *name, *stream, *record, *result;
    } rows[] = {
        {"add",
         "    transformations:\n      - type: AddFields\n        fields: [{path: [x, y], value: "
         "\"{{ record['a'] + 1 }}\"}]\n",
         "{\"a\":1}", "[{\"a\":1,\"x\":{\"y\":2}}]"},
        {"add text",
         "    transformations:\n      - type: AddFields\n        fields: [{path: [x], value: \"{{ "
         "record['a'] }}\", value_type: string}]\n",
         "{\"a\":1}", "[{\"a\":1,\"x\":\"1\"}]"},
        {"add object",
         "    transformations:\n      - type: AddFields\n        fields: [{path: [x], value: \"{{ "
         "record['o'] }}\"}]\n",
         "{\"o\":{\"k\":[1,null,true]}}",
         "[{\"o\":{\"k\":[1,null,true]},\"x\":{\"k\":[1,null,true]}}]"},
        {"digits beyond a double",
         "    transformations:\n      - type: AddFields\n        fields: [{path: [x], value: \"{{ "
         "record['a'] > 1 }}\"}, {path: [o, k], value: \"1\"}]\n",
         "{\"a\":1.23456789012345678,\"b\":1e-400,\"o\":{\"l\":12345678901234567.89}}",
         "[{\"a\":1.23456789012345678,\"b\":1e-400,\"o\":{\"l\":12345678901234567.89,\"k\":1},"
         "\"x\":true}]"},
        {"second sees first",
         "    transformations:\n      - type: AddFields\n        fields: [{path: [x], value: "
         "\"2\"}, {path: [y], value: \"{{ record['x'] * 3 }}\"}]\n",
         "{}", "[{\"x\":2,\"y\":6}]"},
        {"condition",
         "    transformations:\n      - type: AddFields\n        condition: \"{{ record['a'] == 2 "
         "}}\"\n        fields: [{path: [x], value: \"1\"}]\n",
         "{\"a\":1}", "[{\"a\":1}]"},
        {"remove",
         "    transformations:\n      - type: RemoveFields\n        field_pointers: [[a], [o, k], "
         "[no, such]]\n",
         "{\"a\":1,\"o\":{\"k\":1,\"l\":2},\"z\":0}", "[{\"o\":{\"l\":2},\"z\":0}]"},
        {"remove by glob",
         "    transformations:\n      - type: RemoveFields\n        field_pointers: [[\"*\", k]]\n",
         "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"m\":3},\"k\":4}",
         "[{\"a\":{},\"b\":{\"m\":3},\"k\":4}]"},
        {"remove from lists",
         "    transformations:\n      - type: RemoveFields\n        field_pointers: [[l, \"0\"], "
         "[l, \"2\"]]\n",
         "{\"l\":[1,2,3]}", "[{\"l\":[null,2]}]"},
        {"remove by condition",
         "    transformations:\n      - type: RemoveFields\n        condition: \"{{ property is "
         "none }}\"\n        field_pointers: [[\"**\"]]\n",
         "{\"a\":null,\"b\":{\"c\":null,\"d\":1}}", "[{\"b\":{\"d\":1}}]"},
        // From here to the next line: as the reference's own classes have it.
        {"snake",
         "    transformations: ["
         "{type: KeysToSnakeCase}"
         "]\n",
         "{\"NextPage\":1,\"pageURL2\":2,\"HTTPCode\":{\"innerKey\":3},\"a-b "
         "c\":4,\"_x_\":5,\"2nd\":6,\"a--2\":[{\"Kept\":7}],\"\":8,\"-\":9,\"A1b\":10}",
         "[{\"next_page\":1,\"page_url_2\":2,\"httpcode\":{\"inner_key\":3},\"a_b_c\":4,\"_x_\":5,"
         "\"_2_nd\":6,\"a_2\":[{\"Kept\":7}],\"\":9,\"a_1_b\":10}]"},
        {"flatten",
         "    transformations: ["
         "{type: FlattenFields}"
         "]\n",
         "{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"e\":[3,{\"f\":4}],\"g\":null}",
         "[{\"g\":null,\"e.1.f\":4,\"e.0\":3,\"a.c.d\":2,\"a.b\":1}]"},
        {"flatten without lists",
         "    transformations: ["
         "{type: FlattenFields, flatten_lists: false}"
         "]\n",
         "{\"a\":{\"b\":1},\"e\":[3,{\"f\":4}]}", "[{\"e\":[3,{\"f\":4}],\"b\":1}]"},
        {"flatten equal names",
         "    transformations: ["
         "{type: FlattenFields}"
         "]\n",
         "{\"id\":1,\"a\":{\"id\":2,\"b\":{\"id\":3}},\"c\":{\"id\":4}}",
         "[{\"id\":1,\"b.id\":3,\"a.id\":2}]"},
        {"flatten at a path",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a, b]}"
         "]\n",
         "{\"a\":{\"b\":{\"x\":1,\"y\":[2]},\"k\":3}}",
         "[{\"a\":{\"b\":{\"x\":1,\"y\":[2]},\"k\":3},\"x\":1,\"y\":[2]}]"},
        {"flatten at a path, origin goes",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a], delete_origin_value: true}"
         "]\n",
         "{\"a\":{\"x\":1},\"k\":3}", "[{\"k\":3,\"x\":1}]"},
        {"flatten at a path, the record goes",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a], replace_record: true}"
         "]\n",
         "{\"a\":{\"x\":1},\"k\":3}", "[{\"x\":1}]"},
        {"flatten at a path, a name is taken",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a], delete_origin_value: true}"
         "]\n",
         "{\"a\":{\"k\":1},\"k\":3}", "[{\"a\":{\"k\":1},\"k\":3}]"},
        {"flatten at a path, under other names",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a], key_transformation: {type: "
         "KeyTransformation, prefix: \"p_\", suffix: \"_s\"}}"
         "]\n",
         "{\"a\":{\"k\":1},\"k\":3}", "[{\"a\":{\"k\":1},\"k\":3,\"p_k_s\":1}]"},
        {"flatten at a glob",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a, \"*\", b]}"
         "]\n",
         "{\"a\":{\"x\":{\"c\":0},\"y\":{\"b\":{\"z\":1}}}}",
         "[{\"a\":{\"x\":{\"c\":0},\"y\":{\"b\":{\"z\":1}}},\"z\":1}]"},
        {"flatten at no path",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [none]}"
         "]\n",
         "{\"a\":1}", "[{\"a\":1}]"},
        {"flatten what is no object",
         "    transformations: ["
         "{type: DpathFlattenFields, field_path: [a]}"
         "]\n",
         "{\"a\":[1]}", "[{\"a\":[1]}]"},
        // ---
        {"lower", "    transformations:\n      - type: KeysToLower\n", "{\"Ab\":1}",
         "[{\"ab\":1}]"},
        {"replace", "    transformations:\n      - {type: KeysReplace, old: \" \", new: _}\n",
         "{\"a b\":{\"c d\":1}}", "[{\"a_b\":{\"c_d\":1}}]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[3000], body[500];
        snprintf(manifest, sizeof manifest, ONE_STREAM("", "", "%s"), rows[i].stream);
        snprintf(body, sizeof body, "{\"items\":[%s]}", rows[i].record);
        CLEANUP(script_done) Script script;
        open_one(&script, manifest, "{}");
        check_ask(&script, "GET https://api.example.com/v1");
        check_records(&script, body, rows[i].result);
    }
}

TEST(a_filter_keeps_what_its_condition_says)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM("",
                        "        record_filter: {type: RecordFilter, condition: \"{{ record['a'] > "
                        "config['least'] }}\"}\n",
                        ""),
             "{\"least\":1}");
    check_ask(&script, "GET https://api.example.com/v1");
    check_records(&script, "{\"items\":[{\"a\":1},{\"a\":2}]}", "[{\"a\":2}]");
}

// ------------------------------------------------------------------------ errors

#define HANDLER "        error_handler:\n          type: DefaultErrorHandler\n"

TEST(answers_are_judged_as_the_manifest_says)
{
    const struct {
        const char *name, *handler;
        int status;
        const char *body;
        PageVerdict verdict;
        int64_t wait_s;
    } rows[] = {
        {"built in: too many", "", 429, "{}", PAGE_LIMITED, -1},
        {"built in: trouble", "", 503, "", PAGE_RETRY, -1},
        {"built in: bad request", "", 400, "{}", PAGE_FAILED, -1},
        {"built in: denied", "", 403, "{}", PAGE_DENIED, -1},
        {"html instead of json", "", 200, "<html>", PAGE_RETRY, -1},
        {"cut body", "", 200, "{\"items\":[1", PAGE_RETRY, -1},
        {"ignore",
         HANDLER "          response_filters: [{type: HttpResponseFilter, http_codes: [404], "
                 "action: IGNORE}]\n",
         404, "", PAGE_IGNORED, -1},
        {"predicate",
         HANDLER
         "          response_filters: [{type: HttpResponseFilter, predicate: \"{{ 'error' in "
         "response }}\", action: FAIL, error_message: \"says {{ response['error'] }}\"}]\n",
         200, "{\"error\":\"x\"}", PAGE_FAILED, -1},
        {"contains",
         HANDLER "          response_filters: [{type: HttpResponseFilter, error_message_contains: "
                 "slow down, action: RATE_LIMITED}]\n",
         400, "{\"errors\":[{\"message\":\"please slow down\"}]}", PAGE_LIMITED, -1},
        {"constant",
         HANDLER "          backoff_strategies: [{type: ConstantBackoffStrategy, "
                 "backoff_time_in_seconds: 7}]\n",
         500, "", PAGE_RETRY, 7},
        {"exponential",
         HANDLER "          backoff_strategies: [{type: ExponentialBackoffStrategy, factor: 3}]\n",
         500, "", PAGE_RETRY, 6},
        {"a header that is not there",
         HANDLER "          backoff_strategies: [{type: WaitTimeFromHeader, header: Retry-After}, "
                 "{type: ConstantBackoffStrategy, backoff_time_in_seconds: 4}]\n",
         500, "", PAGE_RETRY, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[3000];
        snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""), rows[i].handler);
        CLEANUP(script_done) Script script;
        open_one(&script, manifest, "{}");
        check_ask(&script, "GET https://api.example.com/v1");
        Error err = {0};
        CHECK_OK(script_answer(&script, rows[i].status, rows[i].body, &err), &err);
        CHECK_INT(script.outcome.verdict, rows[i].verdict);
        CHECK_INT(script.outcome.wait_us, rows[i].wait_s < 0 ? -1 : rows[i].wait_s * 1000000);
        CHECK(script.outcome.record_count == 0);
    }
}

TEST(a_retried_request_is_the_same_and_counted)
{
    CLEANUP(script_done) Script script;
    open_one(&script, ONE_STREAM(HANDLER "          max_retries: 2\n", "", ""), "{}");
    Error err = {0};
    for (int attempt = 1; attempt <= 3; attempt++) {
        check_ask(&script, "GET https://api.example.com/v1");
        CHECK_OK(script_answer(&script, 500, "", &err), &err);
        CHECK_INT(script.outcome.attempt, attempt);
        CHECK_INT(script.outcome.attempts_max, 3);
    }
    check_ask(&script, "GET https://api.example.com/v1");
    check_records(&script, "{\"items\":[1]}", "[1]");
}

TEST(headers_say_how_long_to_wait)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM(HANDLER "          backoff_strategies: [{type: WaitTimeFromHeader, header: "
                                "X-Wait, regex: \"\\\\d+\", max_waiting_time_in_seconds: 60}]\n",
                        "", ""),
             "{}");
    Error err = {0};
    check_ask(&script, "GET https://api.example.com/v1");
    CHECK_OK(script_answer_with(&script, 429, "", "x-wait", "12 seconds", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_LIMITED);
    CHECK_INT(script.outcome.wait_us, 12000000);
    check_ask(&script, "GET https://api.example.com/v1");
    CHECK(!script.outcome.wait_is_too_long);
    CHECK_OK(script_answer_with(&script, 429, "", "x-wait", "61", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_LIMITED);
    CHECK(script.outcome.wait_is_too_long);
}

TEST(redirects_lead_to_a_new_request)
{
    CLEANUP(script_done) Script script;
    open_one(&script, ONE_STREAM("        path: t\n", "", ""), "{}");
    Error err = {0};
    check_ask(&script, "GET https://api.example.com/v1/t");
    CHECK_OK(script_answer_with(&script, 302, "", "Location", "/v2/t?x=1", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_REDIRECT);
    check_ask(&script, "GET https://api.example.com/v2/t?x=1");
    for (int i = 0; i < REDIRECTS_MAX; i++)
        CHECK_OK(script_answer_with(&script, 302, "", "Location", "/v2/t", &err), &err);
    CHECK_INT(script.outcome.verdict, PAGE_FAILED);
}

#define POSTS  "        http_method: POST\n        request_body_json: {key: canary}\n"
#define KEYED  "        request_headers: {X-Key: canary, Accept: text/x}\n"
#define BEARER "        authenticator: {type: BearerAuthenticator, api_token: canary}\n"
#define SAME   "https://API.example.com:443/v2"
#define OTHER  "https://other.example.com/v2"

// What says who we are goes nowhere else, and what another origin shows to a stranger is not taken
// for what we may see.
TEST(a_redirect_takes_nothing_to_another_origin)
{
    static const struct {
        const char *name, *requester;
        int status;
        const char *location, *line, *reason;
    } rows[] = {
        {"a POST at home", POSTS, 307, SAME, "POST " SAME, ""},
        {"a POST that becomes a GET", POSTS, 303, SAME, "GET " SAME, ""},
        {"a POST elsewhere", POSTS, 307, OTHER, "", "another origin"},
        {"a POST elsewhere, as GET", POSTS, 302, OTHER, "", "another origin"},
        {"another port", POSTS, 308, "https://api.example.com:444/", "", "another origin"},
        {"a scheme-less host", POSTS, 308, "//other.example.com/", "", "another origin"},
        {"out of TLS", POSTS, 307, "http://api.example.com/v1", "", "plain http"},
        {"a GET out of TLS", "", 302, "http://api.example.com/v1", "", "plain http"},
        {"a GET with a credential", BEARER, 302, OTHER, "", "another origin"},
        {"a GET with a body", "        request_body_json: {key: canary}\n", 302, OTHER, "",
         "another origin"},
        {"a GET that anybody may ask", KEYED, 302, OTHER, "GET " OTHER, ""},
        {"nowhere", "", 302, "mailto:me", "", "nowhere"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[3000];
        snprintf(manifest, sizeof manifest, ONE_STREAM("%s", "", ""), rows[i].requester);
        CLEANUP(script_done) Script script;
        open_one(&script, manifest, "{}");
        Error err = {0};
        Str line = {0};
        CHECK_OK(script_ask(&script, &line, &err), &err);
        CHECK_OK(
            script_answer_with(&script, rows[i].status, "", "Location", rows[i].location, &err),
            &err);
        CHECK_INT(script.outcome.verdict, rows[i].reason[0] == '\0' ? PAGE_REDIRECT : PAGE_FAILED);
        CHECK_CONTAINS(script.outcome.reason, str_from(rows[i].reason));
        if (rows[i].reason[0] != '\0')
            continue;
        check_ask(&script, rows[i].line);
        if (str_equal(str_from(rows[i].line), STR("GET " OTHER)))
            CHECK_INT((int64_t)script.request.header_count, 1);
    }
}

// Who came back from another origin may have been sent by it.
TEST(a_redirect_abroad_is_for_good_and_for_one_page)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM(KEYED,
                        "      paginator:\n        type: DefaultPaginator\n"
                        "        pagination_strategy: {type: PageIncrement, page_size: 1}\n",
                        ""),
             "{}");
    Error err = {0};
    check_ask(&script, "GET https://api.example.com/v1");
    CHECK_INT((int64_t)script.request.header_count, 2);
    CHECK_OK(script_answer_with(&script, 302, "", "Location", OTHER, &err), &err);
    check_ask(&script, "GET " OTHER);
    CHECK_INT((int64_t)script.request.header_count, 1);
    CHECK_OK(script_answer_with(&script, 302, "", "Location", "https://api.example.com/v1", &err),
             &err);
    check_ask(&script, "GET https://api.example.com/v1");
    CHECK_INT((int64_t)script.request.header_count, 1);
    CHECK_STR(script.request.headers[0].name, STR("Accept"));
    check_records(&script, "{\"items\":[1]}", "[1]");
    check_ask(&script, "GET https://api.example.com/v1");
    CHECK_INT((int64_t)script.request.header_count, 2);
}

// ------------------------------------------------------------------------ windows and partitions

#define CURSOR                                                                                    \
    "    incremental_sync:\n      type: DatetimeBasedCursor\n      cursor_field: at\n"            \
    "      datetime_format: \"%Y-%m-%d\"\n      start_datetime: \"2025-01-01\"\n"                 \
    "      step: P1D\n      cursor_granularity: P1D\n"                                            \
    "      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: " \
    "from}\n"                                                                                     \
    "      end_time_option: {type: RequestOption, inject_into: request_parameter, field_name: "   \
    "to}\n"

TEST(a_window_is_written_in_the_cursors_format)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM("        path: \"t/{{ stream_interval['start_time'] }}\"\n", "", CURSOR),
             "{}");
    Error err = {0};
    CursorInfo info = stream_cursor(script.stream);
    CHECK(info.exists);
    CHECK_STR(info.field, STR("at"));
    CHECK_INT(info.step.us, INT64_C(86400000000));
    const Window window = {.from_us = INT64_C(1735776000000000),
                           .to_us = INT64_C(1735862400000000)};
    CHECK_OK(script_begin(&script, "s", NULL, &window, &err), &err);
    check_ask(&script, "GET https://api.example.com/v1/t/2025-01-02?from=2025-01-02&to=2025-01-03");
}

#define PARENT                                                                                    \
    "      partition_router:\n        type: SubstreamPartitionRouter\n"                           \
    "        parent_stream_configs:\n          - type: ParentStreamConfig\n"                      \
    "            parent_key: id\n            partition_field: acc\n"                              \
    "            extra_fields: [[info, zone]]\n"                                                  \
    "            request_option: {type: RequestOption, inject_into: header, field_name: X-Acc}\n" \
    "            stream:\n              type: DeclarativeStream\n              name: p\n"         \
    "              retriever:\n                type: SimpleRetriever\n"                           \
    "                requester: {type: HttpRequester, url_base: \"https://api.example.com\"}\n"   \
    "                record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, "  \
    "field_path: []}}\n"

TEST(partitions_come_from_records_and_from_their_keys)
{
    CLEANUP(script_done) Script script;
    open_one(&script,
             ONE_STREAM("        path: \"a/{{ stream_partition['acc'] }}/{{ "
                        "stream_slice.extra_fields['info.zone'] }}\"\n",
                        PARENT, ""),
             "{}");
    CHECK_STR(stream_name(stream_parent(script.stream)), STR("p"));
    CHECK_STR(stream_partition_field(script.stream), STR("acc"));
    Error err = {0};
    yyjson_doc *doc = NULL;
    Partition partition = {0}, again = {0};
    bool there = false;
    CHECK_OK(json_parse(STR("[{\"id\":17,\"info\":{\"zone\":\"UTC\"}},{\"id\":null},{\"x\":1}]"),
                        "r", script.arena, &doc, &err),
             &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_OK(stream_partition_from_record(script.stream, NULL, yyjson_arr_get(root, 0),
                                          script.arena, &partition, &there, &err),
             &err);
    CHECK(there);
    CHECK_STR(partition.key, STR("{\"acc\":17,\"parent_slice\":{}}"));
    CHECK_OK(script_begin(&script, "s", &partition, NULL, &err), &err);
    check_ask(&script, "GET https://api.example.com/v1/a/17/UTC");
    CHECK(script.request.header_count == 1);
    CHECK_STR(script.request.headers[0].value, STR("17"));

    CHECK_OK(stream_partition_from_key(script.stream, partition.key, script.arena, &again, &err),
             &err);
    CHECK_STR(again.key, partition.key);
    for (size_t i = 1; i < 3; i++) {
        CHECK_OK(stream_partition_from_record(script.stream, NULL, yyjson_arr_get(root, i),
                                              script.arena, &partition, &there, &err),
                 &err);
        CHECK(!there);
    }
}

// ------------------------------------------------------------------------ faults

TEST(reading_survives_every_fault)
{
    const char *manifest = PAGES(
        IN_QUERY, "{type: CursorPagination, cursor_value: \"{{ response['c'] }}\", page_size: 2}");
    FAULTS() {
        Error err = {0};
        Str first = {0}, second = {0};
        CLEANUP(script_done) Script script = {0};
        bool ok = script_open(&script, manifest, "{}", &err) &&
                  script_begin(&script, "s", NULL, NULL, &err) &&
                  script_ask(&script, &first, &err) &&
                  script_answer(&script, 200, "{\"items\":[{\"a\":1}],\"c\":\"k\"}", &err) &&
                  script_ask(&script, &second, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_STR(second, ok ? STR("GET https://api.example.com/v1/t?p=k&n=2") : STR(""));
    }
}

TEST(a_config_that_lacks_what_is_required_is_told_at_once)
{
    static const char manifest[] =
        "spec: {type: Spec, connection_specification: {type: object, required: [a, b], properties: "
        "{a: "
        "{type: string}}}}\n"
        "streams:\n  - {type: DeclarativeStream, name: s, retriever: {type: SimpleRetriever, "
        "requester: "
        "{type: HttpRequester, url_base: https://x.com}, record_selector: {type: RecordSelector, "
        "extractor: {type: DpathExtractor, field_path: []}}}}\n";
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, "{\"a\":1}", &err), &err);
    CHECK(script.findings->count == 1);
    CHECK_STR(script.findings->items[0].what, STR("the config lacks 'b'"));
}

TEST(unknown_words_are_told_with_place_and_nearest_word)
{
    static const char manifest[] =
        "streams:\n  - type: DeclarativeStream\n    name: s\n    retriever:\n"
        "      type: SimpleRetreiver\n";
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, "{}", &err), &err);
    CHECK(script.findings->count == 1);
    CHECK_STR(script.findings->items[0].place, STR("m.yaml:5"));
    CHECK_CONTAINS(script.findings->items[0].what, STR("did you mean 'SimpleRetriever'"));
    const Stream *stream = NULL;
    CHECK(!connector_find_stream(script.connector, STR("x"), &stream, &err));
    CHECK_CONTAINS(str_from(err.message), STR("no stream 'x'"));
}
