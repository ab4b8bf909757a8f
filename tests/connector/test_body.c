// Body: CSV and gzip. What is expected of CSV was written by Python's csv.DictReader.
#include "script.h"

#include <zlib.h>

#define WITH_DECODER                                                                            \
    "version: 1.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [s]}\n"  \
    "streams:\n  - type: DeclarativeStream\n    name: s\n    retriever:\n"                      \
    "      type: SimpleRetriever\n      decoder: %s\n"                                          \
    "      requester: {type: HttpRequester, url_base: \"https://api.example.com\", path: /s}\n" \
    "      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, "          \
    "field_path: []}}\n"

static void open_with(Script *script, const char *decoder)
{
    Error err = {0};
    Str line = {0};
    char manifest[2048];
    (void)snprintf(manifest, sizeof(manifest), WITH_DECODER, decoder);
    CHECK_OK(script_open(script, manifest, "{}", &err), &err);
    CHECK_OK(findings_check(script->findings, &err), &err);
    CHECK_OK(script_begin(script, "s", NULL, NULL, &err), &err);
    CHECK_OK(script_ask(script, &line, &err), &err);
}

static Str pack(Str text, char *room, size_t size)
{
    z_stream stream = {0};
    CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CLEANUP(buf_done) Buf copy = {0}; // zlib's pointer is not const
    Error err = {0};
    CHECK_OK(buf_append(&copy, text, &err), &err);
    stream.next_in = (Bytef *)copy.data;
    stream.avail_in = (uInt)copy.size;
    stream.next_out = (Bytef *)room;
    stream.avail_out = (uInt)size;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    const Str packed = {room, size - stream.avail_out};
    (void)deflateEnd(&stream);
    return packed;
}

static bool answer(Script *script, Str body, Error *err)
{
    const HttpResponse response = {.status = 200, .body = body};
    return page_reader_answer(script->reader, &response, script->page, &script->outcome, err);
}

static void check_body(Script *script, Str body, const char *records)
{
    Error err = {0};
    CHECK_OK(answer(script, body, &err), &err);
    CHECK_INT(script->outcome.verdict, PAGE_RECORDS);
    CLEANUP(buf_done) Buf out = {0};
    CHECK(buf_append_char(&out, '[', &err));
    for (size_t i = 0; i < script->outcome.record_count; i++)
        CHECK((i == 0 || buf_append_char(&out, ',', &err)) &&
              json_write(script->outcome.records[i], &out, &err));
    CHECK(buf_append_char(&out, ']', &err));
    CHECK_STR(buf_str(&out), str_from(records));
}

TEST(rows_of_csv_are_records)
{
    static const struct {
        const char *name, *options, *body, *records;
    } rows[] = {
        // clang-format off
        {"plain", "", "a,b\n1,x\n2,y\n",
         "[{\"a\":\"1\",\"b\":\"x\"},{\"a\":\"2\",\"b\":\"y\"}]"},
        {"no end of the last line", "", "a,b\n1,x",
         "[{\"a\":\"1\",\"b\":\"x\"}]"},
        {"lines end as in DOS", "", "a,b\r\n1,x\r\n",
         "[{\"a\":\"1\",\"b\":\"x\"}]"},
        {"lines end as they did on a Macintosh", "", "a,b\r1,x\r",
         "[{\"a\":\"1\",\"b\":\"x\"}]"},
        {"quotes", "", "a,\"b \"\"c\"\"\"\n\"1,2\",\"x\r\ny\"\n",
         "[{\"a\":\"1,2\",\"b \\\"c\\\"\":\"x\\ny\"}]"},
        {"a quote within a cell", "", "a,b\nx\"y,\"x\"y\"z\n",
         "[{\"a\":\"x\\\"y\",\"b\":\"xy\\\"z\"}]"},
        {"a quote that never ends", "", "a,b\n1,\"x\n",
         "[{\"a\":\"1\",\"b\":\"x\\n\"}]"},
        {"blank lines", "", "a,b\n\n1,x\n\n\n2,y\n\n",
         "[{\"a\":\"1\",\"b\":\"x\"},{\"a\":\"2\",\"b\":\"y\"}]"},
        {"too few and too many cells", "", "a,b\n1\n1,2,3,4\n",
         "[{\"a\":\"1\",\"b\":null},{\"a\":\"1\",\"b\":\"2\",\"null\":[\"3\",\"4\"]}]"},
        {"empty cells", "", "a,b\n,\n\"\",\"\"\n",
         "[{\"a\":\"\",\"b\":\"\"},{\"a\":\"\",\"b\":\"\"}]"},
        {"tabs", ", delimiter: \"\\\\t\"", "a\tb\n1,2\tx\n",
         "[{\"a\":\"1,2\",\"b\":\"x\"}]"},
        {"semicolons and words for null", ", delimiter: \";\", set_values_to_none: [\"NULL\", \"-\"]", "a;b;c\nNULL;-;NULLs\n",
         "[{\"a\":null,\"b\":null,\"c\":\"NULLs\"}]"},
        {"Latin 1", ", encoding: iso-8859-1", "stra\337e\nM\374ller\n",
         "[{\"stra\303\237e\":\"M\303\274ller\"}]"},
        {"a byte order mark", ", encoding: utf-8-sig", "\357\273\277a\n1\n",
         "[{\"a\":\"1\"}]"},
        {"names only", "", "a,b\n",
         "[]"},
        {"nothing", "", "",
         "[]"},
        // clang-format on
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        char decoder[256];
        (void)snprintf(decoder, sizeof(decoder), "{type: CsvDecoder%s}", rows[i].options);
        CLEANUP(script_done) Script script;
        open_with(&script, decoder);
        check_body(&script, str_from(rows[i].body), rows[i].records);
    }
}

TEST(a_packed_body_is_unpacked_and_a_plain_one_read_as_it_is)
{
    static const struct {
        const char *decoder, *body, *records;
    } rows[] = {
        {"{type: GzipDecoder, decoder: {type: CsvDecoder}}", "a\n1\n", "[{\"a\":\"1\"}]"},
        {"{type: GzipDecoder, decoder: {type: JsonDecoder}}", "[{\"a\":1}]", "[{\"a\":1}]"},
        {"{type: GzipDecoder, decoder: {type: JsonlDecoder}}", "{\"a\":1}\n{\"a\":2}\n",
         "[{\"a\":1},{\"a\":2}]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].decoder);
        char room[1024];
        CLEANUP(script_done) Script packed;
        open_with(&packed, rows[i].decoder);
        check_body(&packed, pack(str_from(rows[i].body), room, sizeof(room)), rows[i].records);
        CLEANUP(script_done) Script plain;
        open_with(&plain, rows[i].decoder);
        check_body(&plain, str_from(rows[i].body), rows[i].records);
    }
}

TEST(a_body_that_is_cut_off_is_no_records)
{
    char room[1024];
    Error err = {0};
    CLEANUP(script_done) Script script;
    open_with(&script, "{type: GzipDecoder, decoder: {type: CsvDecoder}}");
    const Str packed = pack(STR("a,b\n1,2\n3,4\n"), room, sizeof(room));
    CHECK_OK(answer(&script, str_slice(packed, 0, packed.size - 4), &err), &err);
    CHECK(script.outcome.verdict != PAGE_RECORDS);
    CHECK_INT((int64_t)script.outcome.record_count, 0);
}

TEST(what_is_not_read_yet_is_named)
{
    static const struct {
        const char *decoder, *message;
    } rows[] = {
        {"{type: XmlDecoder}", "not supported yet: XmlDecoder"},
        {"{type: GzipDecoder, decoder: {type: ZipfileDecoder, decoder: {type: CsvDecoder}}}",
         "not supported yet: ZipfileDecoder"},
        {"{type: CsvDecoder, encoding: utf-16}", "not supported yet: encoding utf-16"},
        {"{type: CsvDecoder, delimiter: \"--\"}", "'--' is no delimiter"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].decoder);
        Error err = {0};
        char manifest[2048];
        (void)snprintf(manifest, sizeof(manifest), WITH_DECODER, rows[i].decoder);
        CLEANUP(script_done) Script script;
        CHECK_OK(script_open(&script, manifest, "{}", &err), &err);
        CHECK_OK(connector_find_stream(script.connector, STR("s"), &script.stream, &err), &err);
        CHECK(!stream_check(script.stream, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].message));
    }
}

TEST(bodies_survive_every_fault)
{
    char room[1024];
    const Str packed = pack(STR("a;b\n1;\"x\"\"y\"\n\n2\n"), room, sizeof(room));
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        CLEANUP(script_done) Script script;
        open_with(&script, "{type: GzipDecoder, decoder: {type: CsvDecoder, delimiter: \";\"}}");
        Error err = {0};
        fault_arm(nth);
        const bool ok = answer(&script, packed, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || script.outcome.record_count == 2);
    }
}
