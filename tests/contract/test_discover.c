// Discover: a draft that is a contract, and types that the samples fit.
#include "contract/discover.h"

#include "shaping.h"

enum { ARENA_BYTES = 1 << 26 };

static Discovery *look_at(const char *records, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    Discovery *discovery = NULL;
    CHECK_OK(json_parse_lenient(str_from(records), "t", arena, &doc, &err), &err);
    CHECK_OK(discovery_new(arena, &discovery, &err), &err);
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, item)
    {
        CHECK_OK(discovery_add(discovery, item, &err), &err);
    }
    return discovery;
}

TEST(types_are_those_that_all_values_fit)
{
    static const struct {
        const char *values, *expected; // of a member in several records; the line of the draft
    } cases[] = {
        {"\"m\":1|\"m\":2", "{\"name\": \"m\", \"type\": \"int64\"}"},
        {"\"m\":1|\"m\":2.5", "{\"name\": \"m\", \"type\": \"double\"}"},
        {"\"m\":1|\"m\":\"x\"", "{\"name\": \"m\", \"type\": \"string\"}"},
        {"\"m\":true|\"m\":null", "{\"name\": \"m\", \"type\": \"boolean\"}"},
        {"\"m\":true|\"m\":1", "{\"name\": \"m\", \"type\": \"string\"}"},
        {"\"m\":1e400|\"m\":1", "{\"name\": \"m\", \"type\": \"double\"}"},
        {"\"m\":{\"a\":1}|\"m\":1", "{\"name\": \"m\", \"type\": \"json\"}"},
        {"\"m\":[]|\"n\":1", "{\"name\": \"m\", \"type\": \"json\"}"},
        {"\"m\":\"2025-05-01\"|\"m\":\"\"", "{\"name\": \"m\", \"type\": \"date\"}"},
        {"\"m\":\"2025-05-01T10:00:00Z\"|\"m\":\"2024-05-01 23:48:10 -0400\"",
         "{\"name\": \"m\", \"type\": \"timestamp\", \"formats\": [\"iso\", \"%Y-%m-%d %H:%M:%S "
         "%z\"]}"},
        {"\"m\":\"2012-08-17 10:24 AM\"|\"m\":\"2013-05-01 11:48 PM -04:00\"",
         "{\"name\": \"m\", \"type\": \"timestamp\", \"formats\": [\"%Y-%m-%d %I:%M %p %z\", "
         "\"%Y-%m-%d %I:%M %p\"]}"},
        {"\"unix_time\":1714619890|\"unix_time\":1714619891",
         "{\"name\": \"unix_time\", \"type\": \"timestamp\", \"formats\": [\"epoch_s\"]}"},
        {"\"updated\":1714619890123|\"updated\":1714619890124",
         "{\"name\": \"updated\", \"type\": \"timestamp\", \"formats\": [\"epoch_ms\"]}"},
        {"\"agency\":1714619890|\"agency\":1714619891",
         "{\"name\": \"agency\", \"type\": \"int64\"}"},
        {"\"phone\":\"(555) 234-5678\"|\"phone\":\"+15552345678\"",
         "{\"name\": \"phone\", \"type\": \"string\", \"phone\": \"US\"}"},
        {"\"zip\":\"5552345678\"|\"zip\":\"5552345679\"",
         "{\"name\": \"zip\", \"type\": \"string\"}"},
        {"\"value\":\"279.42\"|\"value\":\"1\"",
         "{\"name\": \"value\", \"type\": \"decimal\", \"precision\": 18, \"scale\": 4}"},
        {"\"callerName\":\"x\"|\"a\":1",
         "{\"name\": \"caller_name\", \"type\": \"string\", \"from\": \"/callerName\"}"},
        {"\"@a/b~\":\"x\"|\"a\":1",
         "{\"name\": \"a_b\", \"type\": \"string\", \"from\": \"/@a~1b~0\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].expected);
        Error err = {0};
        char records[500];
        const Str values = str_from(cases[i].values);
        const size_t cut = str_find_char(values, '|');
        const Str second = str_slice(values, cut + 1, values.size);
        (void)snprintf(records, sizeof(records),
                       "[{\"id\":1,\"nil\":null," STR_FMT "},7,{\"id\":2," STR_FMT "}]", (int)cut,
                       values.data, STR_ARG(second));
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        const DiscoverOptions options = {.stream = STR("s")};
        CHECK_OK(discovery_write(look_at(records, arena), &options, &out, &err), &err);
        CHECK_CONTAINS(buf_str(&out), str_from(cases[i].expected));
        CHECK(str_find(buf_str(&out), STR("nil")) == out.size);
        CHECK_CONTAINS(buf_str(&out), STR("\"key\": [\"id\"]"));
        // The draft is a contract, and the samples fit it.
        CHECK_OK(buf_append_char(&out, '\0', &err), &err);
        CLEANUP(shaping_done) Shaping shaping = {0};
        shaping_run(&shaping, out.data, records);
        CHECK_INT(shaper_counts(shaping.shaper)->rows, 2);
        CHECK_INT(shaper_counts(shaping.shaper)->misfits, strstr(records, "1e400") != NULL ? 1 : 0);
    }
}

TEST(the_key_is_what_names_every_record)
{
    static const struct {
        const char *records, *expected;
    } cases[] = {
        {"[{\"sid\":\"a\",\"id\":1},{\"sid\":\"b\",\"id\":2}]",
         "\"key\": [\"account_id\", \"id\"]"},
        {"[{\"sid\":\"a\",\"id\":1},{\"sid\":\"b\",\"id\":1}]",
         "\"key\": [\"account_id\", \"sid\"]"},
        {"[{\"order_id\":\"a\",\"void\":1},{\"order_id\":\"b\",\"void\":2}]",
         "\"key\": [\"account_id\", \"order_id\"]"},
        {"[{\"id\":1},{\"id\":null}]", "\"key\": []"},
        {"[{\"id\":1.5},{\"id\":2}]", "\"key\": []"},
        {"[]", "\"key\": []"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].records);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        const Str fields[] = {STR("account_id")};
        const DiscoverOptions options = {
            .stream = STR("orders"), .partition_fields = fields, .partition_count = 1};
        CHECK_OK(discovery_write(look_at(cases[i].records, arena), &options, &out, &err), &err);
        CHECK_CONTAINS(buf_str(&out), str_from(cases[i].expected));
    }
}

TEST(a_draft_has_all_that_is_known_of_the_stream)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(buf_done) Buf out = {0};
    const Str fields[] = {STR("account_id")};
    const DiscoverOptions options = {.stream = STR("calls"),
                                     .total_pointer = STR("/total"),
                                     .cursor_field = STR("calledAt"),
                                     .partition_fields = fields,
                                     .partition_count = 1};
    Discovery *discovery = look_at(
        "[{\"account_id\":7,\"id\":1,\"calledAt\":\"2025-05-01\",\"called_at\":\"twice\"}]", arena);
    CHECK_OK(discovery_write(discovery, &options, &out, &err), &err);
    CHECK_STR(buf_str(&out),
              STR("{\n"
                  "  \"stream\": \"calls\",\n"
                  "  \"comment\": \"drafted from 1 records: go through types, key and privacy\",\n"
                  "  \"evolution\": \"overflow\",\n"
                  "  \"total_pointer\": \"/total\",\n"
                  "  \"window_column\": \"called_at\",\n"
                  "  \"key\": [\"account_id\", \"id\"],\n"
                  "  \"columns\": [\n"
                  "    {\"name\": \"account_id\", \"type\": \"int64\", \"from_partition\": "
                  "\"account_id\", \"from\": \"/account_id\"},\n"
                  "    {\"name\": \"id\", \"type\": \"int64\"},\n"
                  "    {\"name\": \"called_at\", \"type\": \"date\", \"from\": \"/calledAt\"}\n"
                  "  ]\n"
                  "}\n"));
}

TEST(members_beyond_the_limit_are_left_out)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(buf_done) Buf records = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(buf_append(&records, STR("[{\"id\":1"), &err), &err);
    for (int i = 0; i < DISCOVER_MEMBERS_MAX; i++)
        CHECK_OK(buf_printf(&records, &err, ",\"m%d\":1", i), &err);
    CHECK_OK(buf_append(&records, STR("}]"), &err), &err);
    CHECK_OK(buf_append_char(&records, '\0', &err), &err);
    const DiscoverOptions options = {.stream = STR("s")};
    CHECK_OK(discovery_write(look_at(records.data, arena), &options, &out, &err), &err);
    CHECK_OK(buf_append_char(&out, '\0', &err), &err);
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, out.data);
    size_t count = 0;
    (void)contract_columns(shaping.contract, &count);
    CHECK_INT((int64_t)count, DISCOVER_MEMBERS_MAX + 4);
}

TEST(discovery_survives_every_fault)
{
    yyjson_doc *doc = yyjson_read("{\"id\":1,\"aB\":\"2025-05-01\",\"c\":{}}", 34, 0);
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        Discovery *discovery = NULL;
        const DiscoverOptions options = {.stream = STR("s")};
        const bool ok = arena != NULL && discovery_new(arena, &discovery, &err) &&
                        discovery_add(discovery, yyjson_doc_get_root(doc), &err) &&
                        discovery_write(discovery, &options, &out, &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
    yyjson_doc_free(doc);
}
