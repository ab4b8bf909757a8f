#include "connector/node.h"

#include "connector/component.h"
#include "harness/check.h"

enum { RUN_BYTES = 64 * 1024 * 1024 };

typedef struct Loaded {
    Arena *arena;
    Findings findings;
    const Node *root;
} Loaded;

static bool load(Loaded *loaded, const char *yaml, Error *err)
{
    *loaded = (Loaded){.arena = arena_new(RUN_BYTES, err)};
    TRY(loaded->arena != NULL);
    loaded->findings.arena = loaded->arena;
    return manifest_load(str_from(yaml), STR("m.yaml"), loaded->arena, &loaded->findings,
                         &loaded->root, err);
}

static void loaded_done(Loaded *loaded)
{
    arena_free(loaded->arena);
}

// The node at a path of keys ("a/b"), as Python prints it.
static void check_at(const Loaded *loaded, const char *path, const char *repr)
{
    const Node *node = loaded->root;
    Str rest = str_from(path);
    while (rest.data != NULL && node != NULL) {
        Str key = str_split_next(&rest, '/');
        int64_t index = 0;
        if (node->kind == NODE_LIST && str_to_int64(key, &index))
            node = (size_t)index < node->count ? node->items[index] : NULL;
        else
            node = node_get(node, key);
    }
    Error err = {0};
    Value value = value_none();
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(node_value(node, loaded->arena, &value, &err), &err);
    CHECK_OK(value_write_repr(value, &out, &err), &err);
    CHECK_STR(buf_str(&out), str_from(repr));
}

static void check_finding(const Loaded *loaded, size_t index, const char *place, const char *what)
{
    CHECK(index < loaded->findings.count);
    CHECK_STR(loaded->findings.items[index].place, str_from(place));
    CHECK_CONTAINS(loaded->findings.items[index].what, str_from(what));
}

// ------------------------------------------------------------------------ references

TEST(references_are_resolved_as_the_reference_does)
{
    const struct {
        const char *name, *yaml, *path, *repr;
    } rows[] = {
        {"plain", "a: 1\nb: \"#/a\"\n", "b", "1"},
        {"nested", "a: {b: [1, 2]}\nc: \"#/a/b/1\"\n", "c", "2"},
        {"key with a slash first", "a/b: 1\na: {b: 2}\nc: \"#/a/b\"\n", "c", "1"},
        {"of a reference", "a: \"#/b\"\nb: {c: 3}\nd: \"#/a/c\"\n", "d", "None"},
        {"$ref overlaid", "a: {x: 1, y: {p: 1, q: 2}}\nb: {$ref: \"#/a\", y: {p: 9}, z: 3}\n", "b",
         "{'x': 1, 'y': {'p': 9}, 'z': 3}"},
        {"$ref to no map", "a: [1]\nb: {$ref: \"#/a\", z: 3}\n", "b", "[1]"},
        {"in lists", "a: 5\nb: [\"#/a\", {c: \"#/a\"}]\n", "b", "[5, {'c': 5}]"},
        {"config stays", "a: 5\nb: {config_overrides: {x: \"#/a\"}}\n", "b",
         "{'config_overrides': {'x': '#/a'}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(loaded_done) Loaded loaded;
        CHECK_OK(load(&loaded, rows[i].yaml, &err), &err);
        // The fourth is what nobody can resolve: a path through a text.
        if (i != 3)
            CHECK(loaded.findings.count == 0);
        check_at(&loaded, rows[i].path, rows[i].repr);
    }
}

TEST(references_to_nothing_and_circles_are_told_with_their_line)
{
    Error err = {0};
    CLEANUP(loaded_done) Loaded loaded;
    CHECK_OK(load(&loaded, "a: \"#/no/such\"\nb:\n  c: \"#/b\"\nd: \"#/d\"\n", &err), &err);
    CHECK(loaded.findings.count == 3);
    check_finding(&loaded, 0, "m.yaml:1", "no such reference '#/no/such'");
    check_finding(&loaded, 1, "m.yaml:3", "circular reference '#/b'");
    check_finding(&loaded, 2, "m.yaml:4", "circular reference '#/d'");
}

// ------------------------------------------------------------------------ types and parameters

TEST(parameters_go_down_and_fill_what_is_empty)
{
    static const char yaml[] = "streams:\n"
                               "  - type: DeclarativeStream\n"
                               "    $parameters: {name: calls, path: /calls, page: 5}\n"
                               "    retriever:\n"
                               "      requester:\n"
                               "        url_base: https://x\n"
                               "        path: \"\"\n"
                               "        $parameters: {page: 6}\n"
                               "      record_selector:\n"
                               "        extractor: {field_path: [a]}\n"
                               "    schema_loader:\n"
                               "      type: InlineSchemaLoader\n"
                               "      schema: {type: object, properties: {type: {type: string}}}\n";
    Error err = {0};
    CLEANUP(loaded_done) Loaded loaded;
    CHECK_OK(load(&loaded, yaml, &err), &err);
    CHECK(loaded.findings.count == 0);
    check_at(&loaded, "type", "'DeclarativeSource'");
    check_at(&loaded, "streams/0/name", "'calls'");
    check_at(&loaded, "streams/0/retriever/type", "'SimpleRetriever'");
    check_at(&loaded, "streams/0/retriever/requester/type", "'HttpRequester'");
    check_at(&loaded, "streams/0/retriever/requester/path", "'/calls'");
    check_at(&loaded, "streams/0/retriever/requester/$parameters/page", "6");
    check_at(&loaded, "streams/0/retriever/record_selector/extractor/type", "'DpathExtractor'");
    check_at(&loaded, "streams/0/retriever/record_selector/$parameters/page", "5");
    // A JSON schema is no component.
    check_at(&loaded, "streams/0/schema_loader/schema",
             "{'type': 'object', 'properties': {'type': {'type': 'string'}}}");
}

TEST(a_parameter_named_like_a_field_is_not_put_into_itself)
{
    Error err = {0};
    CLEANUP(loaded_done) Loaded loaded;
    CHECK_OK(
        load(&loaded,
             "streams:\n  - $parameters: {retriever: {type: SimpleRetriever}, k: 1}\n    name: s\n",
             &err),
        &err);
    check_at(&loaded, "streams/0/retriever/k", "1");
    check_at(&loaded, "streams/0/retriever/retriever", "None");
}

TEST(slips_of_the_hand_are_told_once_with_the_nearest_name)
{
    static const char yaml[] = "definitions:\n"
                               "  r:\n"
                               "    type: HttpRequester\n"
                               "    url_bse: x\n"
                               "streams:\n"
                               "  - {name: a, retriever: {requester: \"#/definitions/r\"}}\n"
                               "  - {name: b, retriever: {requester: \"#/definitions/r\"}}\n"
                               "  - {name: c, something_else: 1}\n";
    Error err = {0};
    CLEANUP(loaded_done) Loaded loaded;
    CHECK_OK(load(&loaded, yaml, &err), &err);
    CHECK(loaded.findings.count == 1);
    check_finding(&loaded, 0, "m.yaml:4", "HttpRequester has no field 'url_bse'");
    CHECK_CONTAINS(loaded.findings.items[0].fix, STR("'url_base'"));
    CHECK_STR(component_nearest(STR("HttpRequestor")), STR("HttpRequester"));
    CHECK(component_is_known(STR("AsyncRetriever")));
    CHECK(!component_is_known(STR("Nonsense")));
}

TEST(what_is_no_manifest_is_refused)
{
    const struct {
        const char *name, *yaml, *message;
    } rows[] = {
        {"no yaml", "a: [1", "m.yaml:"},
        {"a list", "- a\n", "a manifest is a map"},
        {"a text", "hello\n", "a manifest is a map"},
        {"nothing", "", "a manifest is a map"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(loaded_done) Loaded loaded;
        CHECK(!load(&loaded, rows[i].yaml, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].message));
    }
}

// A definition that doubles with each of forty levels would need a terabyte.
TEST(references_that_multiply_hit_a_limit_instead_of_the_memory)
{
    CLEANUP(buf_done) Buf yaml = {0};
    Error err = {0};
    CHECK_OK(buf_append(&yaml, STR("streams: [\"#/a0\"]\n"), &err), &err);
    for (int i = 0; i < 40; i++)
        CHECK_OK(
            buf_printf(
                &yaml, &err,
                "a%d: {type: T, l: {type: T, $ref: \"#/a%d\"}, r: {type: T, $ref: \"#/a%d\"}}\n", i,
                i + 1, i + 1),
            &err);
    CHECK_OK(buf_append(&yaml, STR("a40: {type: T}\n"), &err), &err);
    CHECK_OK(buf_append_char(&yaml, '\0', &err), &err);
    CLEANUP(loaded_done) Loaded loaded;
    CHECK(!load(&loaded, yaml.data, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

TEST(loading_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(loaded_done) Loaded loaded;
        bool ok = load(&loaded, "streams:\n  - {$parameters: {a: 1}, name: \"#/n\"}\nn: x\n", &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (loaded.root != NULL));
    }
}
