// Values cast to the types of a stream's schema. The expected records are what the CDK's
// TypeTransformer(DefaultSchemaNormalization) makes of the same; "nan", integers beyond 64 bits and
// 1e30 differ on purpose: they stay as they are, since JSON and pawl's integers cannot hold them.
#include "script.h"

static void check_normalized(const char *schema, const char *record, const char *expected)
{
    char manifest[2000];
    char body[600];
    char records[600];
    Error err = {0};
    (void)snprintf(manifest, sizeof manifest,
                   "version: 1.0.0\ntype: DeclarativeSource\n"
                   "check: {type: CheckStream, stream_names: [s]}\nstreams:\n"
                   "  - {type: DeclarativeStream, name: s, schema_loader: {type: "
                   "InlineSchemaLoader, schema: %s}, retriever: {type: SimpleRetriever, requester: "
                   "{type: HttpRequester, url_base: \"https://x.com\"}, record_selector: {type: "
                   "RecordSelector, schema_normalization: Default, extractor: {type: "
                   "DpathExtractor, field_path: [items]}}}}\n",
                   schema);
    (void)snprintf(body, sizeof body, "{\"items\":[%s]}", record);
    (void)snprintf(records, sizeof records, "[%s]", expected);
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, manifest, "{}", &err), &err);
    CHECK_OK(findings_check(script.findings, &err), &err);
    CHECK_OK(script_begin(&script, "s", NULL, NULL, &err), &err);
    check_ask(&script, "GET https://x.com");
    check_records(&script, body, records);
}

TEST(a_value_is_cast_to_its_type)
{
    // clang-format off
    static const struct {
        const char *type, *value, *expected;
    } rows[] = {
        {"\"string\"", "\"a\"", "\"a\""},
        {"\"string\"", "5", "\"5\""},
        {"\"string\"", "1.5", "\"1.5\""},
        {"\"string\"", "true", "\"True\""},
        {"\"string\"", "null", "\"None\""},
        {"\"string\"", "[1,\"x\"]", "\"[1, 'x']\""},
        {"\"string\"", "{\"a\":null}", "\"{'a': None}\""},
        {"[\"null\",\"string\"]", "null", "null"},
        {"[\"null\",\"string\"]", "5", "\"5\""},
        {"[\"string\",\"integer\"]", "5", "5"},
        {"\"number\"", "5", "5.0"},
        {"\"number\"", "true", "1.0"},
        {"\"number\"", "\"1.5\"", "1.5"},
        {"\"number\"", "\" 2 \"", "2.0"},
        {"\"number\"", "\"x\"", "\"x\""},
        {"\"number\"", "null", "null"},
        {"\"number\"", "[1]", "[1]"},
        {"\"integer\"", "1.9", "1"},
        {"\"integer\"", "-1.9", "-1"},
        {"\"integer\"", "false", "0"},
        {"\"integer\"", "\"7\"", "7"},
        {"\"integer\"", "\" 8 \"", "8"},
        {"\"integer\"", "\"7.5\"", "\"7.5\""},
        {"\"integer\"", "5", "5"},
        {"\"integer\"", "null", "null"},
        {"\"integer\"", "\"99999999999999999999\"", "\"99999999999999999999\""},
        {"\"boolean\"", "true", "true"},
        {"\"boolean\"", "\"yes\"", "true"},
        {"\"boolean\"", "\"N\"", "false"},
        {"\"boolean\"", "\" Off \"", "false"},
        {"\"boolean\"", "\"1\"", "true"},
        {"\"boolean\"", "\"maybe\"", "\"maybe\""},
        {"\"boolean\"", "\"a long text\"", "\"a long text\""},
        {"\"boolean\"", "5", "true"},
        {"\"boolean\"", "0", "false"},
        {"\"boolean\"", "[]", "false"},
        {"\"boolean\"", "null", "false"},
        {"[\"null\",\"boolean\"]", "null", "null"},
        {"\"null\"", "null", "null"},
        {"\"null\"", "5", "5"},
        {"\"array\"", "5", "[5]"},
        {"\"array\"", "\"a\"", "[\"a\"]"},
        {"\"array\"", "null", "[null]"},
        {"\"array\"", "[1]", "[1]"},
        {"\"array\"", "{\"a\":1}", "{\"a\":1}"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char schema[200];
        char record[200];
        char expected[200];
        (void)snprintf(schema, sizeof schema, "{type: object, properties: {f: {type: %s}}}",
                       rows[i].type);
        (void)snprintf(record, sizeof record, "{\"f\":%s}", rows[i].value);
        (void)snprintf(expected, sizeof expected, "{\"f\":%s}", rows[i].expected);
        check_row(record);
        check_normalized(schema, record, expected);
    }
}

TEST(what_lies_below_is_cast_too)
{
    // clang-format off
    static const struct {
        const char *name, *schema, *record, *expected;
    } rows[] = {
        {"members of objects", "{properties: {f: {type: object, properties: {g: {type: integer}}}}}",
         "{\"f\":{\"g\":\"5\",\"h\":\"6\"}}", "{\"f\":{\"g\":5,\"h\":\"6\"}}"},
        {"items of lists", "{properties: {f: {type: array, items: {type: string}}}}",
         "{\"f\":[1,null,\"x\"]}", "{\"f\":[\"1\",\"None\",\"x\"]}"},
        {"a lone item", "{properties: {f: {type: array, items: {type: [string]}}}}",
         "{\"f\":1}", "{\"f\":[\"1\"]}"},
        {"a lone item where objects belong", "{properties: {f: {type: array, items: {type: [\"null\", object]}}}}",
         "{\"f\":1}", "{\"f\":1}"},
        {"a lone item of one type", "{properties: {f: {type: array, items: {type: string}}}}",
         "{\"f\":1}", "{\"f\":1}"},
        {"objects in lists",
         "{properties: {f: {type: array, items: {type: object, properties: {g: {type: number}}}}}}",
         "{\"f\":[{\"g\":\"1\"},{\"g\":2},5]}", "{\"f\":[{\"g\":1.0},{\"g\":2.0},5]}"},
        {"what the schema does not name", "{properties: {f: {type: string}}}", "{\"other\":5}", "{\"other\":5}"},
        {"what it names without a type", "{properties: {f: {oneOf: [{type: string}]}}}", "{\"f\":5}", "{\"f\":5}"},
        {"no properties", "{type: object}", "{\"f\":5}", "{\"f\":5}"},
        {"no object", "{properties: {f: {type: string}}}", "5", "5"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        check_normalized(rows[i].schema, rows[i].record, rows[i].expected);
    }
}
