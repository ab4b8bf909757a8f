#include "connector/yaml.h"

#include "harness/check.h"

#include <math.h>

enum { RUN_BYTES = 64 * 1024 * 1024 };

// The expected JSON is what PyYAML's safe_load followed by json.dumps() says.
static void check_json(const char *name, const char *yaml, const char *json)
{
    check_row(name);
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    YamlDoc *doc = NULL;
    CHECK_OK(yaml_load(str_from(yaml), STR("m.yaml"), arena, &doc, &err), &err);
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(json_write(yaml_root(doc), &out, &err), &err);
    CHECK_STR(buf_str(&out), str_from(json));
}

TEST(scalars_are_read_as_yaml_1_1_says)
{
    const struct {
        const char *yaml, *json;
    } rows[] = {
        {"", "null"},
        {"# only a comment", "null"},
        {"~", "null"},
        {"Null", "null"},
        {"nULL", "\"nULL\""},
        {"'null'", "\"null\""},
        {"a", "\"a\""},
        {"[yes, Yes, YES, true, True, on, ON]", "[true,true,true,true,true,true,true]"},
        {"[no, No, off, OFF, False, y, n]", "[false,false,false,false,false,\"y\",\"n\"]"},
        {"[0, -0, 12, -12, +12]", "[0,0,12,-12,12]"},
        {"[1_000, 1__0_, _1]", "[1000,10,\"_1\"]"},
        {"[010, 0o10, 08, 0x1F, -0x1f, 0b101]", "[8,\"0o10\",\"08\",31,-31,5]"},
        {"[1:30, 1:30:05, -1:30, 1:60, 0:30]", "[90,5405,-90,\"1:60\",\"0:30\"]"},
        {"[9223372036854775807, -9223372036854775808, 18446744073709551615]",
         "[9223372036854775807,-9223372036854775808,18446744073709551615]"},
        {"[1.5, -1.5, +1.5, .5, 1., 1_0.2_5]", "[1.5,-1.5,1.5,0.5,1.0,10.25]"},
        {"[1.5e+3, 1.5e-3, 1.5e3, 1e3, -.5]", "[1500.0,0.0015,\"1.5e3\",\"1e3\",\"-.5\"]"},
        {"[1:30.5, '1.5', 1.2.3, '']", "[90.5,\"1.5\",\"1.2.3\",\"\"]"},
        {"[2020-01-02, 2020-01-02T03:04:05Z, =]",
         "[\"2020-01-02\",\"2020-01-02T03:04:05Z\",\"=\"]"},
        {"[!!str 12, !!float 12, !!int '7', ! 5, !!null '']", "[\"12\",12.0,7,\"5\",null]"},
        {"\"a\\u00e4\\n\\x41\"", "\"a\xc3\xa4\\nA\""},
        {"|\n  a\n   b\n\n", "\"a\\n b\\n\""},
        {"|-\n  a\n", "\"a\""},
        {">\n  a\n  b\n\n  c\n", "\"a b\\nc\\n\""},
        {"a\n b", "\"a b\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_json(rows[i].yaml, rows[i].yaml, rows[i].json);
}

TEST(what_json_cannot_write_is_read_too)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    YamlDoc *doc = NULL;
    CHECK_OK(yaml_load(STR("[.inf, -.INF, .nan]"), STR("m"), arena, &doc, &err), &err);
    yyjson_val *root = yaml_root(doc);
    CHECK(isinf(yyjson_get_real(yyjson_arr_get(root, 0))));
    CHECK(yyjson_get_real(yyjson_arr_get(root, 1)) < 0);
    CHECK(isnan(yyjson_get_real(yyjson_arr_get(root, 2))));
    // Wider than 64 bits: the digits survive.
    CHECK_OK(yaml_load(STR("18446744073709551616"), STR("m"), arena, &doc, &err), &err);
    CHECK_STR(json_str(yaml_root(doc)), STR("18446744073709551616"));
}

TEST(mappings_keep_order_and_settle_equal_keys)
{
    const struct {
        const char *name, *yaml, *json;
    } rows[] = {
        {"order", "b: 1\na: 2\nc: [x, {}]\n", "{\"b\":1,\"a\":2,\"c\":[\"x\",{}]}"},
        {"no value", "a:\nb: ''\n", "{\"a\":null,\"b\":\"\"}"},
        {"the last of equal keys, at the first one's place", "a: 1\nb: 2\na: 3\n",
         "{\"a\":3,\"b\":2}"},
        {"keys that are no strings", "on: 1\n1: 2\n-0x10: 3\n~: 4\n'on': 5\n",
         "{\"true\":1,\"1\":2,\"-16\":3,\"null\":4,\"on\":5}"},
        {"equal keys among many",
         "a: 0\nb: 0\nc: 0\nd: 0\ne: 0\nf: 0\ng: 0\nh: 0\ni: 0\nj: 0\na: 1\nj: 2\n",
         "{\"a\":1,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":2}"},
        {"alias", "a: &x [1, 2]\nb: *x\n", "{\"a\":[1,2],\"b\":[1,2]}"},
        {"alias as key and as value", "a: &x 5\n*x : 1\nb: *x\n", "{\"a\":5,\"5\":1,\"b\":5}"},
        {"the later anchor", "a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}"},
        {"merge: own members win and come after", "a: &x {p: 1, q: 2}\nb:\n  q: 3\n  <<: *x\n",
         "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":3}}"},
        {"merge of a list: the earlier wins",
         "- &x {p: 1}\n- &y {p: 2, q: 2}\n- {<<: [*x, *y], r: 3}\n",
         "[{\"p\":1},{\"p\":2,\"q\":2},{\"p\":1,\"q\":2,\"r\":3}]"},
        {"merge of a merge", "- &x {p: 1}\n- &y {<<: *x, q: 2}\n- {<<: *y}\n",
         "[{\"p\":1},{\"p\":1,\"q\":2},{\"p\":1,\"q\":2}]"},
        {"quoted, it is a key", "'<<': 1\n", "{\"<<\":1}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_json(rows[i].name, rows[i].yaml, rows[i].json);
}

TEST(faults_name_their_line)
{
    const struct {
        const char *yaml, *message;
    } rows[] = {
        {"a: 1\nb: [1, 2\nc: 3\n", "m.yaml:3: did not find expected"},
        {"a: 1\n\tb: 2\n", "m.yaml:2: found a tab character"},
        {"a: *nobody\n", "m.yaml:1: no anchor has the name 'nobody'"},
        {"a: &x\n  - *x\n", "m.yaml:2: an alias stands inside what it stands for"},
        {"a: 1\n<<: 5\n", "m.yaml:2: '<<' wants a mapping or a list of mappings"},
        {"<<: [{a: 1},\n 5]\n", "m.yaml:2: '<<' wants a list of mappings only"},
        {"a: 1\n[1, 2]: 3\n", "m.yaml:2: a key must be a single value"},
        {"a: 1\n---\nb: 2\n", "m.yaml:2: a second document begins: one is allowed"},
        {"a: 1\nb: !thing x\n", "m.yaml:2: the tag '!thing' is not supported here"},
        {"a: 1\nb: !thing {}\n", "m.yaml:2: the tag '!thing' is not supported"},
        {"!!int x\n", "m.yaml:1: the tag 'tag:yaml.org,2002:int' is not supported here"},
        {"a: \xff\n", "m.yaml: byte 3: invalid leading UTF-8 octet"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].yaml);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        YamlDoc *doc = NULL;
        CHECK(!yaml_load(str_from(rows[i].yaml), STR("m.yaml"), arena, &doc, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].message));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK(doc == NULL);
    }
}

TEST(values_know_their_place)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    YamlDoc *doc = NULL;
    const Str yaml = STR("# a comment\n"
                         "first: &x\n"
                         "  - one\n"
                         "  - {deep: two}\n"
                         "second: *x\n"
                         "third:   3\n");
    CHECK_OK(yaml_load(yaml, STR("m"), arena, &doc, &err), &err);
    yyjson_val *root = yaml_root(doc);
    CHECK_INT((int64_t)yaml_line(doc, root), 2);
    yyjson_val *deep = json_get(yyjson_arr_get(json_get(root, STR("first")), 1), STR("deep"));
    CHECK_INT((int64_t)yaml_line(doc, deep), 4);
    CHECK_INT((int64_t)yaml_column(doc, deep), 12);
    // Through the alias the anchor's place is seen.
    CHECK_INT((int64_t)yaml_line(doc, yyjson_arr_get(json_get(root, STR("second")), 0)), 3);
    yyjson_obj_iter members = yyjson_obj_iter_with(root);
    (void)yyjson_obj_iter_next(&members);
    (void)yyjson_obj_iter_next(&members);
    yyjson_val *third = yyjson_obj_iter_next(&members);
    CHECK_STR(json_str(third), STR("third"));
    CHECK_INT((int64_t)yaml_line(doc, third), 6);
    CHECK_INT((int64_t)yaml_column(doc, yyjson_obj_iter_get_val(third)), 10);
    yyjson_val stranger = {0};
    CHECK_INT((int64_t)yaml_line(doc, &stranger), 0);
}

static void check_limit(const char *name, Str yaml, bool expected, const char *part)
{
    check_row(name);
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    YamlDoc *doc = NULL;
    const bool ok = yaml_load(yaml, STR("m"), arena, &doc, &err);
    CHECK(ok == expected);
    CHECK_INT(err.code, expected ? ERROR_NONE : ERROR_LIMIT);
    if (!expected)
        CHECK_CONTAINS(str_from(err.message), str_from(part));
}

TEST(limits_hold_one_past)
{
    Error err = {0};
    for (int more = 0; more <= 1; more++) {
        CLEANUP(buf_done) Buf deep = {0};
        for (int i = 0; i < YAML_DEPTH_MAX + more; i++)
            CHECK(buf_append_char(&deep, '[', &err));
        for (int i = 0; i < YAML_DEPTH_MAX + more; i++)
            CHECK(buf_append_char(&deep, ']', &err));
        check_limit("depth", buf_str(&deep), more == 0, "nested deeper than 200");

        // Ten levels of four aliases each: 4^10 is the limit, so the lists on the way pass it.
        CLEANUP(buf_done) Buf laughs = {0};
        CHECK(buf_printf(&laughs, &err, "- &a0 x\n"));
        const int levels = more == 0 ? 8 : 10;
        for (int i = 1; i <= levels; i++)
            CHECK(buf_printf(&laughs, &err, "- &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i - 1, i - 1,
                             i - 1, i - 1));
        check_limit("laughs", buf_str(&laughs), more == 0, "aliases expand to more values");
    }
    CLEANUP(buf_done) Buf large = {0};
    for (int i = 0; i < YAML_BYTES_MAX; i++)
        CHECK(buf_append_char(&large, '\n', &err));
    check_limit("size", buf_str(&large), true, "");
    CHECK(buf_append_char(&large, '\n', &err));
    check_limit("size", buf_str(&large), false, "larger than 16777216 bytes");

    CLEANUP(buf_done) Buf anchors = {0};
    for (int i = 0; i < 10001; i++)
        CHECK(buf_printf(&anchors, &err, "- &a%d x\n", i));
    check_limit("anchors", buf_str(&anchors), false, "more anchors than 10000");

    // 2,000 members copied 600 times.
    CLEANUP(buf_done) Buf merges = {0};
    CHECK(buf_printf(&merges, &err, "- &a\n"));
    for (int i = 0; i < 2000; i++)
        CHECK(buf_printf(&merges, &err, "  k%d: 0\n", i));
    for (int i = 0; i < 600; i++)
        CHECK(buf_printf(&merges, &err, "- <<: *a\n"));
    check_limit("merges", buf_str(&merges), false, "more values than 1048576");
}

TEST(load_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        YamlDoc *doc = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Str yaml = STR("a: &x {p: 1, 5: [2, 'three']}\nb: {<<: *x}\n");
        const bool ok = arena != NULL && yaml_load(yaml, STR("m"), arena, &doc, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (doc != NULL));
    }
}
