#include "base/field.h"

#include "harness/check.h"

#include <stdlib.h>

enum { RUN_BYTES = 4 * 1024 * 1024 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

typedef struct Retry {
    int64_t attempts;
    int64_t initial_us;
    double factor;
} Retry;

typedef struct Target {
    Str schema, name, token;
    int64_t connections;
    double rate;
    bool verify;
    uint64_t memory_bytes;
    int64_t wait_us;
    int mode;
    yyjson_val *streams;
    Retry retry;
} Target;

static const char *const modes[] = {"historic", "incremental", "rehydration", NULL};

// clang-format off
static const Field retry_fields[] = {
    {"attempts", FIELD_INT(Retry, attempts, 1, 10),    .fallback = "3"},
    {"initial",  FIELD_DURATION(Retry, initial_us),    .fallback = "PT1S"},
    {"factor",   FIELD_DOUBLE(Retry, factor, 1, 8),    .fallback = "2"},
    {0},
};
static const Field fields[] = {
    {"$schema",     FIELD_STR(Target, schema),                   .help = "for editors"},
    {"name",        FIELD_STR(Target, name),                     .required = true, .help = "names the job"},
    {"token",       FIELD_SECRET(Target, token),                 .help = "read from the environment"},
    {"connections", FIELD_INT(Target, connections, 1, 64),       .fallback = "8"},
    {"rate",        FIELD_DOUBLE(Target, rate, 0.1, 1000),       .fallback = "0.5"},
    {"verify",      FIELD_BOOL(Target, verify),                  .fallback = "true"},
    {"memory",      FIELD_SIZE(Target, memory_bytes, 1024, 1e12), .fallback = "512MiB"},
    {"wait",        FIELD_DURATION(Target, wait_us),             .fallback = "PT1M"},
    {"mode",        FIELD_CHOICE(Target, mode, modes),           .fallback = "incremental"},
    {"streams",     FIELD_JSON(Target, streams), .help = "as is"},
    {"retry",       FIELD_STRUCT(Target, retry, retry_fields),   .help = "after a failure"},
    {0},
};
// clang-format on

typedef struct Case {
    Arena *arena;
    Findings findings;
    Target target;
    Buf printed;
    Error err;
} Case;

static void case_done(Case *test)
{
    buf_done(&test->printed);
    arena_free(test->arena);
}

// Reads `text` by the table; what was found is in `printed`.
static void read_case(Case *test, const char *text)
{
    test->arena = arena_new(RUN_BYTES, &test->err);
    test->findings.arena = test->arena;
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(str_from(text), "t", test->arena, &doc, &test->err), &test->err);
    CHECK_OK(field_read(fields, yyjson_doc_get_root(doc), (FieldPlace){STR("job.json"), STR("")},
                        test->arena, &test->target, &test->findings, &test->err),
             &test->err);
    CHECK_OK(findings_print(&test->findings, &test->printed, &test->err), &test->err);
}

TEST(members_fill_the_struct)
{
    CLEANUP(case_done) Case test = {0};
    read_case(
        &test,
        "{\"$schema\":\"s\",\"name\":\"ctm\",\"token\":\"hush\",\"connections\":64,\"rate\":5,"
        "\"verify\":false,\"memory\":2048,\"wait\":\"P2DT1S\",\"mode\":\"rehydration\","
        "\"streams\":{\"calls\":[1]},\"retry\":{\"attempts\":5,\"factor\":1.5}}");
    CHECK_STR(buf_str(&test.printed), STR(""));
    const Target *target = &test.target;
    CHECK_STR(target->schema, STR("s"));
    CHECK_STR(target->name, STR("ctm"));
    CHECK(target->name.data[3] == '\0');
    CHECK_STR(target->token, STR("hush"));
    CHECK_INT(target->connections, 64);
    CHECK(target->rate == 5);
    CHECK(!target->verify);
    CHECK_INT((int64_t)target->memory_bytes, 2048);
    CHECK_INT(target->wait_us, INT64_C(172801) * 1000000);
    CHECK_INT(target->mode, 2);
    CHECK_INT((int64_t)yyjson_obj_size(target->streams), 1);
    CHECK_INT(target->retry.attempts, 5);
    CHECK_INT(target->retry.initial_us, 1000000); // the nested fallback
    CHECK(target->retry.factor == 1.5);
}

TEST(absent_members_get_their_fallback)
{
    CLEANUP(case_done) Case test = {0};
    read_case(&test, "{\"name\":\"\"}");
    CHECK_STR(buf_str(&test.printed), STR(""));
    const Target *target = &test.target;
    CHECK_STR(target->name, STR(""));
    CHECK(target->token.data == NULL);
    CHECK_INT(target->connections, 8);
    CHECK(target->rate == 0.5);
    CHECK(target->verify);
    CHECK_INT((int64_t)target->memory_bytes, INT64_C(512) * 1024 * 1024);
    CHECK_INT(target->wait_us, INT64_C(60) * 1000000);
    CHECK_INT(target->mode, 1);
    CHECK(target->streams == NULL);
    CHECK_INT(target->retry.attempts, 3);
    CHECK(target->retry.factor == 2);
}

TEST(what_is_wrong_is_said)
{
    const struct {
        const char *text; // behind {"name":"n",
        const char *expected;
    } rows[] = {
        {"\"conections\":1}", "job.json: /conections: is not known; did you mean 'connections'?\n"},
        {"\"a~b/c\":1}", "job.json: /a~0b~1c: is not known; known here: $schema, name, token, "
                         "connections, rate, verify, "
                         "memory, wait, mode, streams, retry\n"},
        {"\"name\":\"m\"}", "job.json: /name: is given twice\n"},
        {"\"token\":5}", "job.json: /token: is not a string\n"},
        {"\"$schema\":null}", "job.json: /$schema: is not a string\n"},
        {"\"$schema\":\"a\\u0000b\"}", "job.json: /$schema: holds a NUL\n"},
        {"\"connections\":0}", "job.json: /connections: must lie between 1 and 64\n"},
        {"\"connections\":65}", "job.json: /connections: must lie between 1 and 64\n"},
        {"\"connections\":-9223372036854775808}",
         "job.json: /connections: must lie between 1 and 64\n"},
        {"\"connections\":18446744073709551615}", "job.json: /connections: is out of range\n"},
        {"\"connections\":1e400}", "job.json: /connections: is out of range\n"},
        {"\"connections\":8.0}", "job.json: /connections: is not a whole number\n"},
        {"\"connections\":\"8\"}", "job.json: /connections: is not a whole number\n"},
        {"\"rate\":0}", "job.json: /rate: must lie between 0.1 and 1000\n"},
        {"\"rate\":1e400}", "job.json: /rate: is not a number\n"},
        {"\"rate\":true}", "job.json: /rate: is not a number\n"},
        {"\"verify\":0}", "job.json: /verify: is not true or false\n"},
        {"\"memory\":\"512MB\"}", "job.json: /memory: is not a size; write it as \"512MiB\"\n"},
        {"\"memory\":-1}", "job.json: /memory: is not a size; write it as \"512MiB\"\n"},
        {"\"memory\":\"1KiB\",\"wait\":\"P1M\"}",
         "job.json: /wait: has months or years, whose length varies; write it in days\n"},
        {"\"memory\":1023}", "job.json: /memory: must lie between 1024 and 1000000000000\n"},
        {"\"wait\":\"1s\"}",
         "job.json: /wait: is not a duration; write it as \"PT30S\" or \"P2D\"\n"},
        {"\"wait\":60}", "job.json: /wait: is not a duration; write it as \"PT30S\" or \"P2D\"\n"},
        {"\"mode\":\"incramental\"}",
         "job.json: /mode: is none of the choices; did you mean 'incremental'?\n"},
        {"\"mode\":\"x\"}",
         "job.json: /mode: is none of the choices; known here: historic, incremental, "
         "rehydration\n"},
        {"\"mode\":[1,2,3,4,5,6,7,8,9]}",
         "job.json: /mode: is none of the choices; known here: historic, "
         "incremental, rehydration\n"},
        {"\"retry\":[]}", "job.json: /retry: is not an object\n"},
        {"\"retry\":{\"atempts\":3}}",
         "job.json: /retry/atempts: is not known; did you mean 'attempts'?\n"},
        {"\"retry\":{\"attempts\":11}}", "job.json: /retry/attempts: must lie between 1 and 10\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        char text[300];
        (void)snprintf(text, sizeof(text), "{\"name\":\"n\",%s", rows[i].text);
        CLEANUP(case_done) Case test = {0};
        read_case(&test, text);
        CHECK_STR(buf_str(&test.printed), str_from(rows[i].expected));
        // What is wrong leaves the fallback in place.
        CHECK_STR(test.target.name, STR("n"));
        CHECK_INT(test.target.connections, 8);
        CHECK_INT(test.target.mode, 1);
        CHECK_INT(test.target.retry.attempts, 3);
    }
}

TEST(every_fault_is_reported_at_once)
{
    CLEANUP(case_done) Case test = {0};
    read_case(&test, "{\"connections\":0,\"nmae\":\"n\",\"verify\":1}");
    CHECK_STR(buf_str(&test.printed), STR("job.json: /connections: must lie between 1 and 64\n"
                                          "job.json: /nmae: is not known; did you mean 'name'?\n"
                                          "job.json: /verify: is not true or false\n"
                                          "job.json: /name: is missing; names the job\n"));
}

TEST(what_is_no_object_is_refused)
{
    const char *const rows[] = {"[]", "5", "null", "\"name\""};
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(case_done) Case test = {0};
        read_case(&test, rows[i]);
        CHECK_STR(buf_str(&test.printed), STR("job.json: is not an object\n"));
    }
}

// Long and hostile names are cut, not trusted.
TEST(long_names_are_cut)
{
    char text[3000];
    memset(text, '~', sizeof(text));
    memcpy(text, "{\"name\":\"n\",\"", 13);
    memcpy(text + sizeof(text) - 5, "\":1}", 5);
    CLEANUP(case_done) Case test = {0};
    read_case(&test, text);
    CHECK_INT((int64_t)test.findings.count, 1);
    CHECK_INT((int64_t)test.findings.items[0].place.size, (int64_t)strlen("job.json: /") + 2 * 64);
}

TEST(plain_secrets_are_refused)
{
    typedef struct Outer {
        Target target;
        Str password;
    } Outer;
    const Field outer[] = {{"password", FIELD_SECRET(Outer, password), .help = NULL},
                           {"target", FIELD_STRUCT(Outer, target, fields), .help = NULL},
                           {0}};
    const struct {
        const char *text, *expected;
    } rows[] = {
        {"{}", ""},
        {"{\"password\":\"${env:P}\",\"target\":{\"token\":\"${file:/run/t}\"}}", ""},
        {"{\"password\":\"canary\"}", "j: /password: is a secret in plain text"},
        {"{\"target\":{\"token\":\"canary\"}}", "j: /target/token: is a secret in plain text"},
        {"{\"password\":\"\"}", "is a secret in plain text"},
        {"{\"password\":\"${env:\"}", "is a secret in plain text"},
        {"{\"password\":\"${env:P}canary\"}", "is a secret in plain text"},
        {"{\"password\":\"canary${env:P}\"}", "is a secret in plain text"},
        {"{\"password\":\"${env:P}${env:Q}\"}", "is a secret in plain text"},
        {"{\"password\":[1,2,3,4,5,6,7,8]}", "is a secret in plain text"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        CLEANUP(case_done) Case test = {0};
        test.arena = arena_new(RUN_BYTES, &test.err);
        test.findings.arena = test.arena;
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse(str_from(rows[i].text), "t", test.arena, &doc, &test.err), &test.err);
        field_refuse_plain_secrets(outer, yyjson_doc_get_root(doc), (FieldPlace){STR("j"), STR("")},
                                   &test.findings);
        CHECK_OK(findings_print(&test.findings, &test.printed, &test.err), &test.err);
        CHECK_CONTAINS(buf_str(&test.printed),
                       str_from(rows[i].expected[0] == '\0' ? "" : rows[i].expected));
        CHECK((test.findings.count == 0) == (rows[i].expected[0] == '\0'));
        CHECK(str_find(buf_str(&test.printed), STR("canary")) == test.printed.size);
    }
}

TEST(sizes_are_parsed)
{
    const struct {
        Str text;
        bool ok;
        uint64_t bytes;
    } rows[] = {
        {STR("0"), true, 0},
        {STR("1024"), true, 1024},
        {STR("7B"), true, 7},
        {STR("64KiB"), true, 65536},
        {STR("512MiB"), true, 536870912},
        {STR("2GiB"), true, UINT64_C(2147483648)},
        {STR("1TiB"), true, UINT64_C(1099511627776)},
        {STR("8388607TiB"), true, UINT64_C(9223370937343148032)},
        {STR("8388608TiB"), false, 0},
        {STR("9223372036854775807"), true, INT64_MAX},
        {STR("9223372036854775808"), false, 0},
        {STR(""), false, 0},
        {STR("MiB"), false, 0},
        {STR("1.5GiB"), false, 0},
        {STR("-1"), false, 0},
        {STR("+1"), false, 0},
        {STR("1 MiB"), false, 0},
        {STR("1MB"), false, 0},
        {STR("1mib"), false, 0},
        {STR("1MiBs"), false, 0},
        {{NULL, 0}, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text.data == NULL ? "NULL" : rows[i].text.data);
        uint64_t bytes = 0;
        CHECK(field_parse_size(rows[i].text, &bytes) == rows[i].ok);
        CHECK(bytes == rows[i].bytes);
    }
}

TEST(the_schema_says_what_the_table_says)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(field_write_schema(fields, &out, &err), &err);
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(buf_str(&out), "schema", arena, &doc, &err), &err);
    const struct {
        const char *pointer, *expected;
    } rows[] = {
        {"/type", "\"object\""},
        {"/required", "[\"name\"]"},
        {"/additionalProperties", "false"},
        {"/properties/name", "{\"type\":\"string\",\"description\":\"names the job\"}"},
        {"/properties/token/pattern", "\"^\\\\$\\\\{(env|file):[^}]+\\\\}$\""},
        {"/properties/connections",
         "{\"type\":\"integer\",\"minimum\":1,\"maximum\":64,\"default\":8}"},
        {"/properties/rate",
         "{\"type\":\"number\",\"minimum\":0.1,\"maximum\":1000,\"default\":0.5}"},
        {"/properties/verify", "{\"type\":\"boolean\",\"default\":true}"},
        {"/properties/memory/type", "[\"integer\",\"string\"]"},
        {"/properties/memory/default", "\"512MiB\""},
        {"/properties/wait/default", "\"PT1M\""},
        {"/properties/mode",
         "{\"enum\":[\"historic\",\"incremental\",\"rehydration\"],\"default\":\"incremental\"}"},
        {"/properties/streams", "{\"description\":\"as is\"}"},
        {"/properties/retry/description", "\"after a failure\""},
        {"/properties/retry/type", "\"object\""},
        {"/properties/retry/properties/attempts",
         "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10,\"default\":3}"},
        {"/properties/retry/additionalProperties", "false"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].pointer);
        yyjson_val *found = json_pointer(yyjson_doc_get_root(doc), str_from(rows[i].pointer));
        CHECK(found != NULL);
        CLEANUP(buf_done) Buf text = {0};
        CHECK_OK(json_write(found, &text, &err), &err);
        CHECK_STR(buf_str(&text), str_from(rows[i].expected));
    }
}

// Rows without a range take any number; texts may have fallbacks too.
TEST(rows_may_leave_everything_open)
{
    typedef struct Open {
        int64_t count;
        Str text;
    } Open;
    const Field open[] = {{"count", FIELD_INT(Open, count, 0, 0), .help = "any"},
                          {"text", FIELD_STR(Open, text), .fallback = "a \"text\""},
                          {0}};
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Findings findings = {.arena = arena};
    Open target = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(STR("{\"count\":-9223372036854775808}"), "t", arena, &doc, &err), &err);
    CHECK_OK(field_read(open, yyjson_doc_get_root(doc), (FieldPlace){STR(""), STR("/at")}, arena,
                        &target, &findings, &err),
             &err);
    CHECK_INT((int64_t)findings.count, 0);
    CHECK_INT(target.count, INT64_MIN);
    CHECK_STR(target.text, STR("a \"text\""));
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(field_write_schema(open, &out, &err), &err);
    CHECK_CONTAINS(buf_str(&out), STR("\"count\":{\"type\":\"integer\",\"description\":\"any\"}"));
    CHECK_CONTAINS(buf_str(&out), STR("\"default\":\"a \\\"text\\\"\""));
}

// What is known is listed as far as there is room.
TEST(long_lists_are_cut)
{
    typedef struct One {
        int value;
    } One;
    static const char *const choices[] = {
        "alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha_alpha",
        "bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo_bravo",
        "delta_delta_delta_delta_delta_delta_delta_delta_delta_delta_delta_delta_delta_delta_delta",
        "gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma_gamma",
        NULL};
    const Field one[] = {{"value", FIELD_CHOICE(One, value, choices), .help = NULL}, {0}};
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    Findings findings = {.arena = arena};
    One target = {.value = 3};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(STR("{\"value\":\"x\"}"), "t", arena, &doc, &err), &err);
    CHECK_OK(field_read(one, yyjson_doc_get_root(doc), (FieldPlace){STR(""), STR("")}, arena,
                        &target, &findings, &err),
             &err);
    CHECK_INT((int64_t)findings.count, 1);
    CHECK_INT((int64_t)findings.items[0].fix.size, 299);
    CHECK_INT(target.value, 3); // without a fallback it stays as it was
}

TEST(an_empty_table_has_a_schema_too)
{
    const Field none[] = {{0}};
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(field_write_schema(none, &out, &err), &err);
    CHECK_STR(buf_str(&out),
              STR("{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"));
}

TEST(fields_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        Findings findings = {.arena = arena};
        Target target = {0};
        yyjson_doc *doc = NULL;
        const bool ok =
            arena != NULL && json_parse(STR("{\"name\":\"n\",\"x\":1}"), "t", arena, &doc, &err) &&
            field_read(fields, yyjson_doc_get_root(doc), (FieldPlace){STR("j"), STR("")}, arena,
                       &target, &findings, &err) &&
            field_write_schema(fields, &out, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || findings.count == 1);
    }
}

// Strings may outgrow the arena; a finding about it would help nobody, so it is an error.
TEST(a_full_arena_is_an_error)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(arena_freep) Arena *small = arena_new(40, &err);
    Findings findings = {.arena = arena};
    Target target = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(STR("{\"name\":\"a name that is longer than forty bytes altogether\"}"),
                        "t", arena, &doc, &err),
             &err);
    CHECK(!field_read(fields, yyjson_doc_get_root(doc), (FieldPlace){STR("j"), STR("")}, small,
                      &target, &findings, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}
