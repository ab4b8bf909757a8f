// Forgotten: who a record is about, in whatever spelling, and what stays of it.
#include "contract/forgotten.h"

#include "shaping.h"

static const char contract_text[] =
    "{\"stream\":\"calls\",\"key\":[\"account\",\"id\"],\"window_column\":\"at\","
    "\"redacted\":\"/redacted\",\"person\":{\"/emails/*\":\"email\",\"/legs/*/to\":\"phone\","
    "\"/visitor\":\"id\"},\"columns\":["
    "{\"name\":\"account\",\"type\":\"int64\",\"from_partition\":\"account\"},"
    "{\"name\":\"id\",\"type\":\"int64\"},"
    "{\"name\":\"at\",\"type\":\"timestamp\",\"from\":\"/unix\",\"formats\":[\"epoch_s\"]},"
    "{\"name\":\"phone\",\"type\":\"string\",\"from\":[\"/number\",\"/caller~1number\"],"
    "\"phone\":\"US\",\"person\":\"phone\"}]}";

typedef struct Rig {
    Shaping shaping;
    Forgotten *forgotten;
} Rig;

static void rig_done(Rig *rig)
{
    shaping_done(&rig->shaping);
}

static Str salt(void)
{
    return STR("0123456789abcdef0123456789abcdef");
}

// A list of one phone, one address and one id.
static void rig_open(Rig *rig)
{
    Error err = {0};
    shaping_open(&rig->shaping, contract_text);
    const ForgottenSets none = {0};
    Forgotten *empty = NULL;
    CHECK_OK(forgotten_new(salt(), STR("pepper"), &none, rig->shaping.arena, &empty, &err), &err);
    const Key128 people[] = {forgotten_hash_person(empty, PERSON_PHONE, STR("+15551234567")),
                             forgotten_hash_person(empty, PERSON_EMAIL, STR("ann@example.com")),
                             forgotten_hash_person(empty, PERSON_ID, STR("V-17"))};
    const ForgottenSets sets = {.people = people, .person_count = 3};
    CHECK_OK(forgotten_new(salt(), STR("pepper"), &sets, rig->shaping.arena, &rig->forgotten, &err),
             &err);
}

static yyjson_val *parse(Rig *rig, const char *text)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(str_from(text), "record", rig->shaping.arena, &doc, &err), &err);
    return yyjson_doc_get_root(doc);
}

TEST(spellings_of_a_person_become_one)
{
    static const struct {
        const char *name;
        PersonKind kind;
        const char *written, *country, *expected; // NULL = refused
    } cases[] = {
        {"E.164", PERSON_PHONE, "+15551234567", "US", "+15551234567"},
        {"national", PERSON_PHONE, "(555) 123-4567", "US", "+15551234567"},
        {"without a country", PERSON_PHONE, "+15551234567", NULL, "+15551234567"},
        {"national without a country", PERSON_PHONE, "5551234567", NULL, NULL},
        {"no number", PERSON_PHONE, "anonymous", "US", NULL},
        {"out of a web page", PERSON_PHONE,
         "\xe2\x80\xaa+1\xc2\xa0"
         "555\xe2\x80\x91"
         "123 4567\xe2\x80\xac",
         "US", "+15551234567"},
        {"an RFC 3966 link", PERSON_PHONE, "tel:+1-555-123-4567", NULL, "+15551234567"},
        {"x", PERSON_PHONE, "(555) 123-4567 x12", "US", "+15551234567"},
        {"ext.", PERSON_PHONE, "555-123-4567, Ext. 12", "US", "+15551234567"},
        {"ext=", PERSON_PHONE, "tel:+15551234567;ext=12", "US", "+15551234567"},
        {"an extension of no digits", PERSON_PHONE, "555-123-4567 x", "US", NULL},
        {"an extension that is none", PERSON_PHONE, "555-123-4567 x123456789", "US", NULL},
        {"two numbers", PERSON_PHONE, "555-123-4567, 555-123-4568", "US", NULL},
        {"address", PERSON_EMAIL, " Ann@Example.COM ", NULL, "ann@example.com"},
        {"a tag", PERSON_EMAIL, "Ann+News@example.com", NULL, "ann+news@example.com"},
        {"a name before it", PERSON_EMAIL, "\"Lee, Ann\" <Ann@example.com>", NULL,
         "ann@example.com"},
        {"a link", PERSON_EMAIL, "mailto:ann@example.com", NULL, "ann@example.com"},
        {"a space that is none", PERSON_EMAIL,
         "\xc2\xa0"
         "ann@example.com\xe2\x80\x8b",
         NULL, "ann@example.com"},
        {"two addresses", PERSON_EMAIL, "ann@example.com; bob@example.com", NULL, NULL},
        {"a sentence", PERSON_EMAIL, "write to ann@example.com", NULL, NULL},
        {"no address", PERSON_EMAIL, "ann", NULL, NULL},
        {"id as it is", PERSON_ID, "V-17", NULL, "V-17"},
        {"empty", PERSON_ID, "", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        char text[PERSON_TEXT_BYTES] = "";
        const PhoneCountry *country =
            cases[i].country == NULL ? NULL : phone_country(str_from(cases[i].country));
        const bool ok = person_normalise(cases[i].kind, str_from(cases[i].written), country, text);
        CHECK(ok == (cases[i].expected != NULL));
        CHECK_STR(str_from(ok ? text : ""),
                  str_from(cases[i].expected == NULL ? "" : cases[i].expected));
    }
}

TEST(a_record_is_known_by_its_person_paths_only)
{
    static const struct {
        const char *name, *record;
        bool expected;
    } cases[] = {
        {"column", "{\"id\":1,\"number\":\"555-123-4567\"}", true},
        {"second path, escaped", "{\"id\":1,\"caller/number\":\"+1 555 123 4567\"}", true},
        {"a number", "{\"id\":1,\"number\":5551234567}", true},
        {"a double", "{\"id\":1,\"number\":5551234567.0}", true},
        {"with an extension", "{\"id\":1,\"number\":\"555-123-4567 x12\"}", true},
        {"one of two addresses", "{\"emails\":[\"bob@x.org, Ann <ann@example.com>\"]}", true},
        {"a sentence", "{\"emails\":[\"not ann@example.com\"]}", false},
        {"an element", "{\"id\":1,\"emails\":[\"bob@x.org\",\"ANN@example.com\"]}", true},
        {"below elements",
         "{\"id\":1,\"legs\":[{\"to\":\"+15550000000\"},{\"to\":\"+15551234567\"}]}", true},
        {"id", "{\"id\":1,\"visitor\":\"V-17\"}", true},
        {"the first of two members", "{\"visitor\":\"V-17\",\"visitor\":\"V-18\"}", true},
        {"the last of two members", "{\"visitor\":\"V-18\",\"visitor\":\"V-17\"}", true},
        {"below the last of two members", "{\"emails\":[],\"emails\":[\"ann@example.com\"]}", true},
        {"an id of another case", "{\"id\":1,\"visitor\":\"v-17\"}", false},
        {"the id's text at another path", "{\"id\":1,\"agent\":\"V-17\"}", false},
        {"mentioned in passing", "{\"id\":1,\"notes\":\"+15551234567\"}", false},
        {"somebody else", "{\"id\":1,\"number\":\"+15551234568\"}", false},
        {"no object", "[1]", false},
        {"nulls", "{\"id\":1,\"number\":null,\"emails\":null}", false},
    };
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        CHECK(forgotten_matches(rig.forgotten, rig.shaping.contract,
                                parse(&rig, cases[i].record)) == cases[i].expected);
    }
}

TEST(a_mention_anywhere_is_found_when_asked_for)
{
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    yyjson_val *record = parse(&rig, "{\"a\":[{\"b\":\"(555) 123-4567\"}]}");
    CHECK(forgotten_mentions(rig.forgotten, rig.shaping.contract, record));
    CHECK(!forgotten_mentions(rig.forgotten, rig.shaping.contract, parse(&rig, "{\"a\":[1]}")));
}

TEST(a_stub_keeps_what_paging_may_need_and_nobody)
{
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    Error err = {0};
    yyjson_val *partition = parse(&rig, "{\"account\":7}");
    yyjson_val *record =
        parse(&rig, "{\"id\":1,\"unix\":1700000000,\"number\":\"+15551234567\",\"notes\":\"x\"}");
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(
        forgotten_write_stub(rig.forgotten, rig.shaping.contract, record, partition, &out, &err),
        &err);
    yyjson_val *stub = parse(&rig, (buf_append_char(&out, '\0', &err) ? out.data : ""));
    CHECK(yyjson_obj_size(stub) == 3);
    CHECK_INT(yyjson_get_int(json_get(stub, STR("id"))), 1);
    CHECK_INT(yyjson_get_int(json_get(stub, STR("unix"))), 1700000000);
    Key128 token;
    Key128 again;
    CHECK(forgotten_is_stub(stub, &token));
    CHECK(!forgotten_is_stub(record, &again));
    // The same for an edited record with this key, another for another account's.
    yyjson_val *edited = parse(&rig, "{\"id\":1,\"number\":\"+15551234567\",\"notes\":\"y\"}");
    CHECK_OK(forgotten_token(rig.forgotten, rig.shaping.contract, edited, partition, &again, &err),
             &err);
    CHECK_INT(key128_compare(&token, &again), 0);
    CHECK_OK(forgotten_token(rig.forgotten, rig.shaping.contract, edited,
                             parse(&rig, "{\"account\":8}"), &again, &err),
             &err);
    CHECK(key128_compare(&token, &again) != 0);
}

// Two records with one key text would be one to whoever erases: each redaction would take both.
TEST(keys_of_any_kind_of_value_tell_records_apart)
{
    static const struct {
        const char *record, *key;
    } cases[] = {
        {"{\"id\":12}", "7\n12\n"},
        {"{\"id\":12.0}", "7\n12\n"},
        {"{\"id\":\"12\"}", "7\n12\n"},
        {"{\"id\":-12.0}", "7\n-12\n"},
        {"{\"id\":-0.0}", "7\n0\n"},
        {"{\"id\":9007199254740992.0}", "7\n9007199254740992\n"},
        {"{\"id\":-9223372036854775808}", "7\n-9223372036854775808\n"},
        {"{\"id\":18446744073709551615}", "7\n18446744073709551615\n"},
        {"{\"id\":12.5}", "7\n12.5\n"},
        {"{\"id\":1e300}", "7\n1e+300\n"},
        {"{\"id\":12345678901234567890123}", "7\n12345678901234567890123\n"},
        {"{\"id\":true}", "7\ntrue\n"},
        {"{\"id\":{\"b\":1,\"a\":[2.0]}}", "7\n{\"a\":[2],\"b\":1}\n"},
        {"{\"id\":null}", "7\n\n"},
        {"{}", "7\n\n"},
    };
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    Error err = {0};
    yyjson_val *partition = parse(&rig, "{\"account\":7.0}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].record);
        CLEANUP(buf_done) Buf key = {0};
        CHECK_OK(contract_write_key(rig.shaping.contract, parse(&rig, cases[i].record), partition,
                                    &key, &err),
                 &err);
        CHECK_STR(buf_str(&key), str_from(cases[i].key));
    }
}

TEST(redaction_is_a_true_at_its_path)
{
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    const Contract *contract = rig.shaping.contract;
    CHECK(contract_is_redacted(contract, parse(&rig, "{\"redacted\":true}")));
    CHECK(!contract_is_redacted(contract, parse(&rig, "{\"redacted\":false}")));
    CHECK(!contract_is_redacted(contract, parse(&rig, "{\"redacted\":\"true\"}")));
    Error err = {0};
    CHECK_OK(
        shaping_add(&rig.shaping,
                    STR("[{\"id\":1,\"redacted\":true},{\"id\":2,\"redacted\":false},{\"id\":3}]"),
                    "{\"account\":7}", &err),
        &err);
    CHECK_INT(shaper_counts(rig.shaping.shaper)->redacted, 1);
}

TEST(what_asks_for_erasure_is_named)
{
    CLEANUP(rig_done) Rig rig = {0};
    rig_open(&rig);
    Error err = {0};
    Str *pointers = NULL;
    size_t count = 0;
    CHECK_OK(
        contract_erasure_pointers(rig.shaping.contract, rig.shaping.arena, &pointers, &count, &err),
        &err);
    CHECK_INT((int64_t)count, 3);
    CHECK_STR(pointers[0], STR("/columns/3/person"));
    CHECK_STR(pointers[1], STR("/person"));
    CHECK_STR(pointers[2], STR("/redacted"));
}

TEST(faults_of_person_members_are_named)
{
    static const struct {
        const char *name, *member, *expected;
    } cases[] = {
        {"kind", "\"person\":{\"/a\":\"fax\"}", "c.json: /person, path /a: is no kind of name"},
        {"path", "\"person\":{\"a\":\"id\"}", "c.json: /person, path a: is not a path"},
        {"no object", "\"person\":[]", "c.json: /person: is not an object"},
        {"redacted", "\"redacted\":\"a\"", "c.json: /redacted: is not a path"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(SHAPING_BYTES, &err);
        CLEANUP(buf_done) Buf text = {0};
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(buf_printf(&text, &err,
                            "{\"stream\":\"s\",%s,\"key\":[\"id\"],\"columns\":[{\"name\":\"id\","
                            "\"type\":\"int64\"}]}",
                            cases[i].member),
                 &err);
        Findings findings = {.arena = arena};
        Contract *contract = NULL;
        CHECK_OK(contract_read(buf_str(&text), "c.json", arena, &findings, &contract, &err), &err);
        CHECK_OK(findings_print(&findings, &out, &err), &err);
        CHECK(str_starts_with(buf_str(&out), str_from(cases[i].expected)));
    }
}
