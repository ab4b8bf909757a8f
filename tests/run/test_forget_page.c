// ForgetPage: a page without somebody's records, and all the others as they came.
#include "contract/plan.h"
#include "one_stream.h"
#include "run/forget_page.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };
#define CONTRACT                                                                         \
    "{\"stream\":\"s\",\"key\":[\"id\"],\"person\":{\"/email\":\"email\"},\"columns\":[" \
    "{\"name\":\"id\",\"type\":\"int64\"}]}"
#define MANIFEST(decoder) ONE_STREAM("s", "      decoder: " decoder "\n")

// A stream, and a list of one address.
typedef struct Rig {
    Arena *arena;
    const Stream *stream;
    Contract *contract;
    Forgotten *forgotten;
    PageReader *reader;
    LeftOut left;
} Rig;

static bool rig_open(Rig *rig, const char *manifest, Error *err)
{
    const Str salt = STR("0123456789abcdef0123456789abcdef");
    const ForgottenSets none = {0};
    Forgotten *empty = NULL;
    *rig = (Rig){.arena = arena_new(ARENA_BYTES, err)};
    TRY(rig->arena != NULL);
    rig->left.arena = rig->arena;
    Findings *findings = findings_new(rig->arena, err);
    TRY(findings != NULL &&
        contract_read(STR(CONTRACT), "c.json", rig->arena, findings, &rig->contract, err) &&
        findings_check(findings, err) && one_stream_open(manifest, rig->arena, &rig->stream, err) &&
        forgotten_new(salt, STR(""), &none, rig->arena, &empty, err));
    const Key128 ann = forgotten_hash_person(empty, PERSON_EMAIL, STR("ann@x.org"));
    const ForgottenSets sets = {.people = &ann, .person_count = 1};
    return forgotten_new(salt, STR(""), &sets, rig->arena, &rig->forgotten, err);
}

static void rig_done(Rig *rig)
{
    page_reader_free(rig->reader);
    arena_free(rig->arena);
}

// One page through it. *ret_body as forget_page() gives it.
static bool leave_out(Rig *rig, Str body, size_t *ret_kept, Str *ret_body, Error *err)
{
    const Partition *whole = &(Partition){.key = STR("{}")};
    const HttpResponse response = {.status = 200, .body = body};
    HttpRequest request = {0};
    bool more = false;
    PageOutcome outcome = {0};
    PageOutcome kept = {0};
    page_reader_free(rig->reader);
    rig->reader = NULL;
    TRY(page_reader_new(rig->stream, whole, NULL, rig->arena, &rig->reader, err) &&
        page_reader_request(rig->reader, rig->arena, &request, &more, err) &&
        page_reader_answer(rig->reader, &response, rig->arena, &outcome, err));
    CHECK_INT(outcome.verdict, PAGE_RECORDS);
    const ForgetPage page = {
        .forgotten = rig->forgotten, .stream = rig->stream, .contract = rig->contract};
    TRY(forget_page(&page, &outcome, rig->arena, &rig->left, &kept, ret_body, err));
    *ret_kept = kept.record_count;
    return true;
}

// A page is written anew as JSON in UTF-8: any other would lose all of its records that way, or
// have been looked at by its last line alone.
TEST(a_page_that_is_no_plain_json_is_not_rewritten)
{
    static const struct {
        const char *manifest, *body;
        bool plain;
    } cases[] = {
        {MANIFEST("{type: JsonDecoder}"), "[{\"id\":1,\"email\":\"ann@x.org\"},{\"id\":2}]", true},
        {MANIFEST("{type: GzipDecoder, decoder: {type: JsonDecoder}}"),
         "[{\"id\":1,\"email\":\"ann@x.org\"},{\"id\":2}]", true},
        {MANIFEST("{type: JsonlDecoder}"), "{\"id\":1,\"email\":\"ann@x.org\"}\n{\"id\":2}\n",
         false},
        {MANIFEST("{type: JsonlDecoder}"), "{\"id\":2}\n{\"id\":1,\"email\":\"ann@x.org\"}\n",
         false},
        {MANIFEST("{type: CsvDecoder}"), "id,email\n1,ann@x.org\n2,\n", false},
        {MANIFEST("{type: GzipDecoder, decoder: {type: CsvDecoder}}"),
         "id,email\n1,ann@x.org\n2,\n", false},
        {MANIFEST("{type: JsonDecoder, encoding: iso-8859-1}"),
         "[{\"id\":1,\"email\":\"ann@x.org\"},{\"id\":2,\"name\":\"J\xfcrgen\"}]", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].body);
        Error err = {0};
        CLEANUP(rig_done) Rig rig = {0};
        CHECK_OK(rig_open(&rig, cases[i].manifest, &err), &err);
        CHECK_INT(stream_is_plain_json(rig.stream), cases[i].plain);
        Str body = {0};
        size_t kept = 0;
        const bool ok = leave_out(&rig, str_from(cases[i].body), &kept, &body, &err);
        CHECK_INT(ok, cases[i].plain);
        CHECK_INT(err.code, cases[i].plain ? ERROR_NONE : ERROR_DATA);
        if (!ok)
            continue;
        CHECK_INT((int64_t)kept, 1);
        CHECK(str_starts_with(body, STR("[{\"_pawl_forgotten\":")));
        CHECK_CONTAINS(body, STR(",{\"id\":2}]"));
    }
}

// Replayed, they have the hashes that they had.
TEST(records_of_others_stay_as_they_came)
{
    static const char other[] =
        "{\"id\":2,\"n\xff\xfe\":\"v\xff\",\"\\ud800\":[\"\\ud800\",1.50,1e400,{\"q\\\"\":{}}],"
        "\"id\":3}";
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    CLEANUP(buf_done) Buf page = {0};
    CLEANUP(buf_done) Buf as_values = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(rig_open(&rig, MANIFEST("{type: JsonDecoder}"), &err) &&
                 buf_printf(&page, &err, "[{\"id\":1,\"email\":\"ann@x.org\"},%s]", other) &&
                 json_parse_lenient(str_from(other), "record", rig.arena, &doc, &err) &&
                 buf_append_char(&as_values, ',', &err) &&
                 json_write(yyjson_doc_get_root(doc), &as_values, &err) &&
                 buf_append_char(&as_values, ']', &err),
             &err);
    Str body = {0};
    size_t kept = 0;
    CHECK_OK(leave_out(&rig, buf_str(&page), &kept, &body, &err), &err);
    CHECK_INT((int64_t)kept, 1);
    CHECK(str_ends_with(body, buf_str(&as_values)));
    CHECK_CONTAINS(body, STR("\"n\xff\xfe\":\"v\xff\""));
}
