// What a manifest says of itself, by the Airbyte protocol's SPEC and CATALOG: a catalog's primary
// key is a list of paths, its cursor a path.
#include "script.h"

#define HEAD \
    "version: 1.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [b]}\n"
#define READS                                                                        \
    "retriever: {type: SimpleRetriever, requester: {type: HttpRequester, url_base: " \
    "\"https://x.com\"}, record_selector: {type: RecordSelector, extractor: {type: " \
    "DpathExtractor, field_path: []}}}"
#define STREAM(name, members) "  - {type: DeclarativeStream, name: " name ", " members READS "}\n"
#define CATALOG(name, schema, sync, key, resumable)                               \
    "{\"name\":\"" name "\",\"json_schema\":" schema ",\"supported_sync_modes\":" \
    "[\"full_refresh\"" sync key ",\"is_resumable\":" resumable ",\"is_file_based\":false}"

TEST(a_stream_describes_itself)
{
    // clang-format off
    static const struct {
        const char *name, *members, *expected;
    } rows[] = {
        {"plain", "", CATALOG("s", "{}", "]", "", "false")},
        {"schema", "schema_loader: {type: InlineSchemaLoader, schema: {type: object}}, ",
         CATALOG("s", "{\"type\": \"object\"}", "]", "", "false")},
        {"key is a field", "primary_key: id, ",
         CATALOG("s", "{}", "]", ",\"source_defined_primary_key\":[[\"id\"]]", "false")},
        {"key is fields", "primary_key: [a, b], ",
         CATALOG("s", "{}", "]", ",\"source_defined_primary_key\":[[\"a\"],[\"b\"]]", "false")},
        {"key is paths", "primary_key: [[a, b], c], ",
         CATALOG("s", "{}", "]", ",\"source_defined_primary_key\":[[\"a\",\"b\"],[\"c\"]]", "false")},
        {"empty key", "primary_key: [], ", CATALOG("s", "{}", "]", "", "false")},
        {"cursor", "incremental_sync: {type: DatetimeBasedCursor, cursor_field: at, datetime_format: \"%Y\", "
                   "start_datetime: \"2024\"}, ",
         CATALOG("s", "{}", ",\"incremental\"],\"source_defined_cursor\":true,\"default_cursor_field\":[\"at\"]",
                 "", "true")},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        char manifest[2000];
        Error err = {0};
        (void)snprintf(manifest, sizeof manifest, HEAD "streams:\n" STREAM("s", "%s"),
                       rows[i].members);
        CLEANUP(script_done) Script script;
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(script_open(&script, manifest, "{}", &err), &err);
        CHECK_OK(findings_check(script.findings, &err), &err);
        CHECK_OK(
            stream_write_catalog(connector_stream(script.connector, 0), script.arena, &out, &err),
            &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
}

TEST(the_streams_that_tell_whether_it_works_are_those_of_check)
{
    Error err = {0};
    CLEANUP(script_done) Script script;
    CHECK_OK(script_open(&script, HEAD "streams:\n" STREAM("a", "") STREAM("b", ""), "{}", &err),
             &err);
    const Stream **streams = NULL;
    size_t count = 0;
    CHECK_OK(connector_checked_streams(script.connector, script.arena, &streams, &count, &err),
             &err);
    CHECK_INT((int64_t)count, 1);
    CHECK_STR(stream_name(streams[0]), STR("b"));

    CLEANUP(script_done) Script other;
    CHECK_OK(script_open(&other, HEAD "streams:\n" STREAM("a", ""), "{}", &err), &err);
    CHECK(!connector_checked_streams(other.connector, other.arena, &streams, &count, &err));
    CHECK_CONTAINS(str_from(err.message), STR("'b'"));
}

static bool write_spec(const char *manifest, Arena *arena, Buf *out, Error *err)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/manifest.yaml", test_folder());
    Findings findings = {.arena = arena};
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fputs(manifest, file) >= 0);
    CHECK(fclose(file) == 0);
    return connector_write_spec(path, arena, &findings, out, err);
}

TEST(a_manifest_tells_what_it_is_to_be_configured_with)
{
    // clang-format off
    static const struct {
        const char *name, *manifest, *expected, *says;
    } rows[] = {
        {"form", HEAD "spec: {type: Spec, connection_specification: {type: object, properties: {k: {type: string}}}}\n",
         "{\"connectionSpecification\":{\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"string\"}}}}", NULL},
        {"everything", HEAD "spec: {type: Spec, connection_specification: {}, documentation_url: \"https://d\", "
         "advanced_auth: {auth_flow_type: oauth2.0}}\n",
         "{\"connectionSpecification\":{},\"documentationUrl\":\"https://d\","
         "\"advanced_auth\":{\"auth_flow_type\": \"oauth2.0\"}}", NULL},
        {"none", HEAD, NULL, "the manifest has no spec"},
        {"no manifest", "a: [", NULL, "manifest.yaml"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(SCRIPT_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        CHECK(arena != NULL);
        CHECK(write_spec(rows[i].manifest, arena, &out, &err) == (rows[i].says == NULL));
        if (rows[i].says == NULL)
            CHECK_STR(buf_str(&out), str_from(rows[i].expected));
        else
            CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}

TEST(describing_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(script_done) Script script = {0};
        CLEANUP(buf_done) Buf out = {0};
        const Stream **streams = NULL;
        size_t count = 0;
        const bool ok =
            script_open(&script,
                        HEAD "streams:\n" STREAM("b", "primary_key: [a, [b, c]], schema_loader: "
                                                      "{type: InlineSchemaLoader, schema: {type: "
                                                      "object}}, "),
                        "{}", &err) &&
            stream_write_catalog(connector_stream(script.connector, 0), script.arena, &out, &err) &&
            connector_checked_streams(script.connector, script.arena, &streams, &count, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_INT((int64_t)count, ok ? 1 : 0);
    }
}
