// Which parts of a body are records, and what happens to them before anybody sees them.
#include "script.h"

#define DOC(stream, selector)                                                                  \
    "version: 1.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [s]}\n" \
    "streams:\n  - {type: DeclarativeStream, name: s, " stream                                 \
    "retriever: {type: SimpleRetriever, requester: {type: HttpRequester, url_base: "           \
    "\"https://x.com\"}, record_selector: {type: RecordSelector, " selector "}}}\n"
#define PATH(path) "extractor: {type: DpathExtractor, field_path: [" path "]}"
#define ADD(path, value) \
    "transformations: [{type: AddFields, fields: [{path: [" path "], value: " value "}]}], "

static void check_selected(const char *manifest, const char *body, const char *records)
{
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, "{\"part\":\"b\",\"on\":\"\"}", &err), &err);
    CHECK_OK(findings_check(script.findings, &err), &err);
    CHECK_OK(script_begin(&script, "s", NULL, NULL, &err), &err);
    check_ask(&script, "GET https://x.com");
    check_records(&script, body, records);
}

TEST(records_lie_where_the_path_leads)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *body, *records;
    } rows[] = {
        {"members", DOC("", PATH("a, b")), "{\"a\":{\"b\":[{\"i\":1},{\"i\":2}]}}", "[{\"i\":1},{\"i\":2}]"},
        {"an object is one record", DOC("", PATH("a")), "{\"a\":{\"i\":1}}", "[{\"i\":1}]"},
        {"an item", DOC("", PATH("a, \"1\"")), "{\"a\":[{\"i\":1},{\"i\":2}]}", "[{\"i\":2}]"},
        {"no such item", DOC("", PATH("a, x")), "{\"a\":[{\"i\":1}]}", "[]"},
        {"nothing", DOC("", PATH("a, b")), "{\"a\":5}", "[]"},
        {"a part from the config", DOC("", PATH("a, \"{{ config['part'] }}\"")), "{\"a\":{\"b\":[{\"i\":1}]}}",
         "[{\"i\":1}]"},
        {"glob over members", DOC("", PATH("a, \"*\"")), "{\"a\":{\"x\":{\"i\":1},\"y\":{\"i\":2}}}",
         "[{\"i\":1},{\"i\":2}]"},
        {"glob over items", DOC("", PATH("a, \"*\", r")), "{\"a\":[{\"r\":{\"i\":1}},{\"no\":1},{\"r\":{\"i\":3}}]}",
         "[{\"i\":1},{\"i\":3}]"},
        {"each item of a list is a body", DOC("", PATH("r")), "[{\"r\":{\"i\":1}},{\"no\":1},{\"r\":{\"i\":3}}]",
         "[{\"i\":1},{\"i\":3}]"},
        {"glob over a scalar", DOC("", PATH("a, \"*\"")), "{\"a\":5}", "[]"},
        {"a filter without condition", DOC("", PATH("a") ", record_filter: {type: RecordFilter, condition: \"\"}"),
         "{\"a\":[{\"i\":1}]}", "[{\"i\":1}]"},
        {"filtered first", DOC(ADD("x", "1"), PATH("a") ", record_filter: {type: RecordFilter, condition: \"{{ "
         "record.x is defined }}\"}"), "{\"a\":[{\"i\":1}]}", "[]"},
        {"transformed first", DOC(ADD("x", "1"), PATH("a") ", transform_before_filtering: true, record_filter: {type: "
         "RecordFilter, condition: \"{{ record.x is defined }}\"}"), "{\"a\":[{\"i\":1}]}", "[{\"i\":1,\"x\":1}]"},
        {"schemas may come in a list", DOC("schema_loader: [{type: InlineSchemaLoader, schema: {properties: {i: {type: "
         "string}}}}], ", PATH("a") ", schema_normalization: Default"), "{\"a\":[{\"i\":1}]}", "[{\"i\":\"1\"}]"},
        {"and may be none", DOC("schema_loader: [], ", PATH("a") ", schema_normalization: Default"),
         "{\"a\":[{\"i\":1}]}", "[{\"i\":1}]"},
        {"no normalization", DOC("", PATH("a") ", schema_normalization: None"), "{\"a\":[{\"i\":1}]}", "[{\"i\":1}]"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        check_selected(rows[i].manifest, rows[i].body, rows[i].records);
    }
}

TEST(fields_are_added_where_their_path_leads)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *record, *result;
    } rows[] = {
        {"below a list", DOC(ADD("l, \"0\", x", "1"), PATH("")), "{\"l\":[{\"a\":1}]}", "[{\"l\":[{\"a\":1,\"x\":1}]}]"},
        {"behind its end", DOC(ADD("l, \"2\"", "\"{{ 'v' }}\""), PATH("")), "{\"l\":[1]}", "[{\"l\":[1,null,\"v\"]}]"},
        {"a list where there was none", DOC(ADD("n, \"1\", x", "1"), PATH("")), "{\"a\":0}", "[{\"a\":0,\"n\":[null,{\"x\":1}]}]"},
        {"a list in a new list", DOC(ADD("l, \"1\", \"0\"", "1"), PATH("")), "{\"l\":[0]}", "[{\"l\":[0,[1]]}]"},
        {"a number", DOC(ADD("x", "\"{{ 1.5 }}\""), PATH("")), "{\"a\":0}", "[{\"a\":0,\"x\":1.5}]"},
        {"a number of another type",
         DOC("transformations: [{type: AddFields, fields: [{path: [x], value: \"{{ 1.5 }}\", value_type: number}, "
             "{path: [y], value: \"{{ 1.5 }}\", value_type: integer}, {path: [z], value: \"{{ true }}\", value_type: "
             "boolean}, {path: [u], value: \"{{ 2 }}\", value_type: integer}]}], ", PATH("")),
         "{\"a\":0}", "[{\"a\":0,\"x\":1.5,\"y\":\"1.5\",\"z\":true,\"u\":2}]"},
        {"an integer that nothing holds", DOC(ADD("x", "\"{{ record.big }}\""), PATH("")),
         "{\"big\":18446744073709551615}", "[{\"big\":18446744073709551615,\"x\":18446744073709551615}]"},
        {"an integer of many digits", DOC(ADD("x", "\"{{ '123456789012345678901' }}\""), PATH("")), "{\"a\":0}",
         "[{\"a\":0,\"x\":123456789012345678901}]"},
        {"keys that are no texts", DOC(ADD("x", "\"{{ {1: 'a', None: 'b'} }}\""), PATH("")), "{\"a\":0}",
         "[{\"a\":0,\"x\":{\"1\":\"a\",\"null\":\"b\"}}]"},
        {"a date", DOC(ADD("x", "\"{{ str_to_datetime('2024-01-02') }}\""), PATH("")), "{\"a\":0}",
         "[{\"a\":0,\"x\":\"2024-01-02 00:00:00+00:00\"}]"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        check_selected(rows[i].manifest, rows[i].record, rows[i].result);
    }
}

TEST(a_field_below_what_is_no_container_is_an_error)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *record, *says;
    } rows[] = {
        {"a scalar", DOC(ADD("a, x", "1"), PATH("")), "{\"a\":5}", "a field lies below 'x', which holds a plain value"},
        {"a name in a list", DOC(ADD("a, x", "1"), PATH("")), "{\"a\":[1]}", "a list has no member 'x'"},
        {"an item too far", DOC(ADD("a, \"99999999\"", "1"), PATH("")), "{\"a\":[1]}", "a path names item 100000000 of a list"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(script_done) Script script;
        CHECK_OK(script_open(&script, rows[i].manifest, "{}", &err), &err);
        CHECK_OK(script_begin(&script, "s", NULL, NULL, &err), &err);
        check_ask(&script, "GET https://x.com");
        CHECK(!script_answer(&script, 200, rows[i].record, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}
