// Secret: what counts as one, and how references become values.
#include "base/file.h"
#include "base/json.h"
#include "harness/check.h"
#include "run/secret.h"

#include <string.h>

enum { ARENA_BYTES = 4 * 1024 * 1024 };

TEST(names_that_say_secret_are_secrets_and_others_are_not)
{
    static const char *const secret[] = {"client_secret", "password", "api_key",    "sas_token",
                                         "refresh_token", "Token",    "private_key"};
    static const char *const plain[] = {"key_columns", "client_id", "tokens_per_second",
                                        "base_url",    "keyword",   "secretary"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        check_row(secret[i]);
        CHECK(secret_is_secret_name(str_from(secret[i])));
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        check_row(plain[i]);
        CHECK(!secret_is_secret_name(str_from(plain[i])));
    }
}

static const char *variable(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "A") == 0       ? "va\"lue"
           : strcmp(name, "EMPTY") == 0 ? "\n"
           : strcmp(name, "LINES") == 0 ? " two\nlines \r\n\n"
                                        : NULL;
}

TEST(references_are_replaced_in_place)
{
    static const struct {
        const char *text, *value, *shown, *finding;
    } rows[] = {
        {"plain", "plain", "plain", NULL},
        {"${env:A}", "va\"lue", "***", NULL},
        {"x-${env:A}-y", "x-va\"lue-y", "***", NULL},
        {"${env:LINES}!", " two\nlines !", "***", NULL},
        {"${file:blanks}", " in blanks ", "***", NULL},
        {"${env:NONE}", "", "***", "NONE is not set"},
        {"${env:EMPTY}", "", "***", "${env:EMPTY} is empty"},
        {"${env:EMPTY}${env:EMPTY}", "", "***", "${env:EMPTY}${env:EMPTY} is empty"},
        {"x${env:EMPTY}", "x", "***", NULL},
        {"${file:/no/such/file}", "", "***", "/no/such/file"},
        {"${vault:A}", "", "***", "unknown reference"},
        {"${env:A", "", "", "without its }"},
        {"costs $5", "costs $5", "costs $5", NULL},
    };
    Env env = {.variable = variable};
    Error made = {0};
    char blanks[200];
    (void)snprintf(blanks, sizeof(blanks), "%s/blanks", test_folder());
    CHECK_OK(file_write(blanks, STR(" in blanks \r\n"), &made), &made);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].text);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf json = {0};
        yyjson_doc *doc = NULL;
        yyjson_val *value = NULL;
        yyjson_val *shown = NULL;
        Findings findings = {.arena = arena};
        CHECK_OK(buf_append(&json, STR("{\"m\":[{\"n\":"), &err) &&
                     json_write_str(str_from(rows[i].text), &json, &err) &&
                     buf_append(&json, STR("}]}"), &err) &&
                     json_parse(buf_str(&json), "test", arena, &doc, &err),
                 &err);
        const SecretOptions options = {.place = STR("f"),
                                       .folder = str_from(test_folder()),
                                       .env = &env,
                                       .findings = &findings};
        CHECK_OK(secret_resolve(yyjson_doc_get_root(doc), &options, arena, &value, &shown, &err),
                 &err);
        CHECK_INT((int64_t)findings.count, rows[i].finding == NULL ? 0 : 1);
        if (rows[i].finding != NULL) {
            CHECK_STR(findings.items[0].place, STR("f: /m/0/n"));
            CHECK_CONTAINS(findings.items[0].what, str_from(rows[i].finding));
            continue;
        }
        CHECK_STR(json_str(json_pointer(value, STR("/m/0/n"))), str_from(rows[i].value));
        CHECK_STR(json_str(json_pointer(shown, STR("/m/0/n"))), str_from(rows[i].shown));
    }
}

static bool note(void *state, Str reference, Error *err)
{
    return buf_printf(state, err, STR_FMT ";", STR_ARG(reference));
}

TEST(who_only_wants_to_know_the_references_gets_them_and_nothing_is_looked_up)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(buf_done) Buf noted = {0};
    const SecretNotes notes = {.note = note, .state = &noted};
    Findings findings = {.arena = arena};
    yyjson_doc *doc = NULL;
    yyjson_val *value = NULL;
    yyjson_val *shown = NULL;
    CHECK_OK(json_parse(STR("[\"a${env:NONE}b\", \"${file:/none}${keyvault:v/n}\"]"), "f", arena,
                        &doc, &err),
             &err);
    // No Env: whoever looked something up would fall over it.
    const SecretOptions options = {
        .place = STR("f"), .folder = STR("."), .notes = &notes, .findings = &findings};
    CHECK_OK(secret_resolve(yyjson_doc_get_root(doc), &options, arena, &value, &shown, &err), &err);
    CHECK_STR(buf_str(&noted), STR("env:NONE;file:/none;keyvault:v/n;"));
    CHECK_STR(json_str(yyjson_arr_get(value, 0)), STR("aplaceholderb"));
    CHECK_STR(json_str(yyjson_arr_get(shown, 1)), STR("***"));
    CHECK_INT((int64_t)findings.count, 0);
}

TEST(references_survive_every_fault)
{
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        Env env = {.variable = variable};
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Findings *findings = arena_alloc(arena, sizeof(*findings), &err);
        CHECK(findings != NULL);
        findings->arena = arena;
        yyjson_doc *doc = NULL;
        CHECK_OK(
            json_parse(
                STR("{\"a\":[\"x-${env:A}\",1,{\"b\":\"${env:NONE}\"}],\"password\":\"plain\"}"),
                "test", arena, &doc, &err),
            &err);
        yyjson_val *value = NULL;
        yyjson_val *shown = NULL;
        fault_arm(nth);
        const SecretOptions options = {
            .place = STR("job"), .folder = STR("."), .env = &env, .findings = findings};
        const bool ok =
            secret_resolve(yyjson_doc_get_root(doc), &options, arena, &value, &shown, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK((value != NULL) == ok);
        CHECK(!ok || findings->count == 1);
    }
}

TEST(what_is_kept_in_a_file_is_known_at_any_depth)
{
    static const struct {
        const char *json;
        bool file;
    } rows[] = {
        {"\"${file:token}\"", true},
        {"\"Bearer ${file:token}\"", true},
        {"\"${env:TOKEN}\"", false},
        {"\"file:token\"", false},
        {"{\"a\":[1,{\"b\":\"${file:/run/t}\"}],\"c\":null}", true},
        {"{\"a\":[1,{\"b\":\"x\"}],\"${file:no}\":null}", false},
        {"[]", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].json);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse(str_from(rows[i].json), "test", arena, &doc, &err), &err);
        CHECK_INT(secret_names_file(yyjson_doc_get_root(doc)), rows[i].file);
    }
    CHECK(!secret_names_file(NULL));
}
