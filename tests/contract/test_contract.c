// Contract: every fault of a file at once, each with its place.
#include "base/file.h"
#include "shaping.h"

#include <stdlib.h>

#define ID "{\"name\":\"id\",\"type\":\"int64\"}"

// All findings of `text`, a line each.
static Str faults_of(const char *text, Arena *arena)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Contract *contract = NULL;
    Findings findings = {.arena = arena};
    CHECK_OK(contract_read(str_from(text), "c.json", arena, &findings, &contract, &err), &err);
    CHECK_OK(findings_print(&findings, &out, &err), &err);
    Str kept = {0};
    CHECK_OK(arena_copy_str(arena, buf_str(&out), &kept, &err), &err);
    return kept;
}

TEST(every_fault_is_named_with_its_place)
{
    static const struct {
        const char *name, *contract, *expected;
    } cases[] = {
        {"nothing wrong", "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID "]}", ""},
        {"empty", "{}", "c.json: /stream: is missing"},
        {"unknown member", "{\"stream\":\"s\",\"key\":[\"id\"],\"column\":[],\"columns\":[" ID "]}",
         "c.json: /column"},
        {"no columns", "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[]}",
         "c.json: /columns: is not an array of columns"},
        {"no column", "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID ",7]}",
         "c.json: /columns/1: is not an object"},
        {"type",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"in64\"}]}",
         "c.json: /columns/1/type"},
        {"name",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"_A\",\"type\":\"int64\"}]}",
         "c.json: /columns/1: '_A' is no name for a column"},
        {"name twice", "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID "," ID "]}",
         "c.json: /columns/1: 'id' is there twice"},
        {"key", "{\"stream\":\"s\",\"key\":[\"idd\"],\"columns\":[" ID "]}",
         "c.json: /key/0: 'idd' is no column; did you mean 'id'"},
        {"key type",
         "{\"stream\":\"s\",\"key\":[\"a\"],\"columns\":[{\"name\":\"a\",\"type\":\"double\"}]}",
         "c.json: /key/0: a key column cannot be double"},
        {"key twice",
         "{\"stream\":\"s\",\"key\":[\"id\",\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"double\"}]}",
         "c.json: /key/1: is named twice"},
        {"hidden key",
         "{\"stream\":\"s\",\"key\":[\"a\"],\"columns\":[{\"name\":\"a\",\"type\":\"string\","
         "\"privacy\":\"hash\"}]}",
         "c.json: /key/0: a key column cannot be hidden"},
        {"no key", "{\"stream\":\"s\",\"key\":[],\"columns\":[" ID "]}",
         "c.json: /key: is not an array of 1 to 16 columns"},
        {"path",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"from\":[\"/x\",\"y\"]}]}",
         "c.json: /columns/1/from/1: is not a path"},
        {"path twice",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"from\":[\"/x\",\"/x\"]}]}",
         "c.json: /columns/1/from/1: is named twice"},
        {"path with star",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"from\":\"/x/*\"}]}",
         "c.json: /columns/1/from: a column's path cannot hold *"},
        {"from",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"from\":7}]}",
         "c.json: /columns/1: from is neither"},
        {"format",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"timestamp\",\"formats\":[\"iso\",\"epoch\"]}]}",
         "c.json: /columns/1/formats/1: is no format of a time"},
        {"format of a number",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"formats\":[\"iso\"]}]}",
         "c.json: /columns/1: formats is for timestamps and dates"},
        {"zone",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"timestamp\",\"zone\":\"America/New_Yrok\"}]}",
         "America/New_York"},
        {"unit",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"double\",\"unit\":\"s\"}]}",
         "c.json: /columns/1/unit: is no unit"},
        {"unit member",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"double\",\"unit\":{\"ms_if_ovr\":\"/d\"}}]}",
         "did you mean 'ms_if_over'"},
        {"unit of a string",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"string\",\"unit\":\"ms\"}]}",
         "c.json: /columns/1/unit: unit is for"},
        {"phone",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"string\",\"phone\":\"XX\"}]}",
         "c.json: /columns/1: phone 'XX' is no country"},
        {"phone number",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"phone\":\"US\"}]}",
         "c.json: /columns/1: a phone number is a string"},
        {"scale",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"decimal\",\"precision\":4,\"scale\":5}]}",
         "c.json: /columns/1: scale 5 is more than precision 4"},
        {"precision",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"decimal\",\"precision\":39}]}",
         "c.json: /columns/1/precision"},
        {"hidden number",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"privacy\":\"mask\"}]}",
         "c.json: /columns/1: privacy mask gives a text"},
        {"dropped column",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"string\",\"privacy\":\"drop\"}]}",
         "c.json: /columns/1: a dropped column would always be null"},
        {"privacy",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"privacy\":{\"/x\":\"hide\"},\"columns\":[" ID "]}",
         "c.json: /privacy, path /x: is none of the choices; one of keep, mask, hash, drop"},
        {"privacy slip",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"privacy\":{\"/x\":\"hsah\"},\"columns\":[" ID "]}",
         "did you mean 'hash'"},
        {"privacy path",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"privacy\":{\"x\":\"hash\"},\"columns\":[" ID "]}",
         "c.json: /privacy, path x: is not a path"},
        {"dropped, but read",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"privacy\":{\"/x\":\"drop\"},\"columns\":[" ID
         ",{\"name\":\"a\",\"type\":\"int64\",\"from\":[\"/y\",\"/x\"]}]}",
         "c.json: /columns/1/from/1: column 'a' reads this path with privacy keep, which is drop "
         "elsewhere"},
        {"privacy kind", "{\"stream\":\"s\",\"key\":[\"id\"],\"privacy\":[],\"columns\":[" ID "]}",
         "c.json: /privacy: is not an object"},
        {"volatile",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"volatile\":[\"x\"],\"columns\":[" ID "]}",
         "c.json: /volatile/0: is not a path"},
        {"volatile kind",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"volatile\":\"/x\",\"columns\":[" ID "]}",
         "c.json: /volatile: is not an array of paths"},
        {"known", "{\"stream\":\"s\",\"key\":[\"id\"],\"known\":[7],\"columns\":[" ID "]}",
         "c.json: /known/0: is not a path"},
        {"window",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"window_column\":\"called\",\"columns\":[" ID "]}",
         "c.json: /window_column: 'called' is no column"},
        {"window type",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"window_column\":\"id\",\"columns\":[" ID "]}",
         "c.json: /window_column: 'id' is int64"},
        {"a window's column that no hash sees",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"window_column\":\"at\",\"volatile\":[\"/meta\"],"
         "\"columns\":[" ID ",{\"name\":\"at\",\"type\":\"timestamp\",\"from\":\"/meta/at\"}]}",
         "c.json: /window_column: 'at' comes from /meta/at, which _row_hash does not see"},
        {"total",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"total_pointer\":\"total\",\"columns\":[" ID "]}",
         "c.json: /total_pointer: is not a path"},
        {"evolution",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"evolution\":\"frozen\",\"columns\":[" ID "]}",
         "c.json: /evolution"},
    };
    Error err = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
        const Str faults = faults_of(cases[i].contract, arena);
        if (cases[i].expected[0] == '\0')
            CHECK_STR(faults, STR(""));
        else
            CHECK_CONTAINS(faults, str_from(cases[i].expected));
    }
}

TEST(all_faults_are_found_in_one_go)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
    const Str faults = faults_of(
        "{\"strem\":\"s\",\"key\":[\"x\"],\"columns\":[{\"name\":\"A\",\"type\":\"string\"},"
        "{\"name\":\"b\",\"type\":\"strin\",\"from\":\"b\"}],\"window_column\":\"c\"}",
        arena);
    const char *const parts[] = {"/strem",          "/stream", "/columns/0",    "/columns/1/type",
                                 "/columns/1/from", "/key/0",  "/window_column"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK_CONTAINS(faults, str_from(parts[i]));
}

TEST(what_is_no_contract_at_all_is_an_error)
{
    const char *const texts[] = {"", "[]", "{", "7"};
    for (size_t i = 0; i < 4; i++) {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
        Contract *contract = NULL;
        Findings findings = {.arena = arena};
        CHECK(!contract_read(str_from(texts[i]), "c.json", arena, &findings, &contract, &err));
        CHECK_CONTAINS(str_from(err.message), STR("c.json"));
    }
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
    Contract *contract = NULL;
    Findings findings = {.arena = arena};
    CHECK(!contract_open("nowhere/c.json", arena, &findings, &contract, &err));
    CHECK_INT(err.code, ERROR_NOT_FOUND);
}

TEST(a_contract_says_what_its_table_is)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, "{\"stream\":\"s\",\"key\":[\"b\",\"id\"],\"total_pointer\":\"/"
                           "n\",\"window_column\":\"at\","
                           "\"evolution\":\"evolve\",\"columns\":[" ID
                           ",{\"name\":\"at\",\"type\":\"timestamp\"},"
                           "{\"name\":\"b\",\"type\":\"string\",\"from_partition\":\"/parent/"
                           "b\",\"comment\":\"why\"}]}");
    const ContractInfo *info = contract_info(shaping.contract);
    CHECK_STR(info->stream, STR("s"));
    CHECK_STR(info->total_pointer, STR("/n"));
    CHECK_STR(info->window_column, STR("at"));
    CHECK_INT(info->evolution, EVOLUTION_EVOLVE);
    CHECK_INT((int64_t)info->key_count, 2);
    CHECK_STR(info->key_columns[0], STR("b"));
    CHECK_STR(info->partition_columns[0], STR("b"));
    CHECK_STR(info->partition_fields[0], STR("/parent/b"));
    size_t count = 0;
    const Column *columns = contract_columns(shaping.contract, &count);
    const char *const names[] = {"id",        "at",        "b",          "_row_key",
                                 "_row_hash", "_overflow", "_fetched_at"};
    const bool required[] = {true, false, true, true, true, false, true};
    CHECK_INT((int64_t)count, 7);
    for (size_t i = 0; i < count; i++) {
        CHECK_STR(columns[i].name, str_from(names[i]));
        CHECK_INT(columns[i].required, required[i]);
    }
    CHECK_STR(columns[2].comment, STR("why"));
    Error err = {0};
    CHECK_OK(shaping_add(&shaping, STR("[{\"id\":1}]"), "{\"parent\":{\"b\":\"x\"}}", &err), &err);
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "b"), STR("x"));
}

// Every contract that comes with pawl.
TEST(the_contracts_of_ctm_are_right)
{
    const char *const streams[] = {
        "accounts",          "calls",         "users", "sources",  "numbers",
        "receiving_numbers", "triggers",      "lists", "contacts", "call_settings",
        "webhooks",          "custom_fields", "sale"};
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        check_row(streams[i]);
        Error err = {0};
        char path[200];
        (void)snprintf(path, sizeof(path), "connectors/ctm/contracts/%s.json", streams[i]);
        CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
        Contract *contract = NULL;
        Findings findings = {.arena = arena};
        CHECK_OK(contract_open(path, arena, &findings, &contract, &err), &err);
        CHECK_OK(findings_check(&findings, &err), &err);
        CHECK_STR(contract_info(contract)->stream, str_from(streams[i]));
    }
}

// schemas/contract.schema.json is written by this test when PAWL_GOLDEN is set, and compared else.
TEST(the_schema_file_is_the_one_of_this_program)
{
    const char *path = "schemas/contract.schema.json";
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
    CLEANUP(buf_done) Buf compact = {0};
    CHECK_OK(contract_write_schema(&compact, &err), &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(buf_str(&compact), "schema", arena, &doc, &err), &err);
    size_t size = 0;
    char *text =
        yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, &size);
    CHECK(text != NULL);
    if (getenv("PAWL_GOLDEN") != NULL)
        CHECK_OK(file_write(path, (Str){text, size}, &err), &err);
    Str kept = {0};
    CHECK_OK(file_read(path, CONTRACT_BYTES_MAX, arena, &kept, &err), &err);
    CHECK_STR(kept, ((Str){text, size}));
    free(text);
}

TEST(a_contract_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
        Contract *contract = NULL;
        Findings findings = {.arena = arena};
        const bool ok = arena != NULL &&
                        contract_open("connectors/ctm/contracts/calls.json", arena, &findings,
                                      &contract, &err) &&
                        findings_check(&findings, &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
}
