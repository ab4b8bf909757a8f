// Shape: records in, rows out; what does not fit is kept, and two records that differ never hash
// alike.
#include "shaping.h"

#define KEY_ID "\"stream\":\"s\",\"key\":[\"id\"],"
#define ID     "{\"name\":\"id\",\"type\":\"int64\"}"

// A table of one record and one column beside the key.
typedef struct Case {
    const char *name;
    const char *column;   // its contract, without the name
    const char *members;  // of the record, beside the id
    const char *expected; // its cell
    const char *overflow;
} Case;

static void run_case(const Case *one)
{
    check_row(one->name);
    char contract[1000];
    char records[2000];
    (void)snprintf(contract, sizeof(contract),
                   "{" KEY_ID "\"columns\":[" ID ",{\"name\":\"c\",%s}]}", one->column);
    (void)snprintf(records, sizeof(records), "[{\"id\":1%s%s}]", one->members[0] ? "," : "",
                   one->members);
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(&shaping, contract, records);
    CHECK_INT((int64_t)shaping.batch->rows, 1);
    CHECK_STR(shaping_cell(&shaping, 0, "c"), str_from(one->expected));
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"), str_from(one->overflow));
}

// clang-format off
static const Case casts[] = {
    {"text",               "\"type\":\"string\"", "\"c\":\"x\"", "x", "null"},
    {"empty text",         "\"type\":\"string\"", "\"c\":\"\"", "", "null"},
    {"text from integer",  "\"type\":\"string\"", "\"c\":17", "17", "null"},
    {"text from double",   "\"type\":\"string\"", "\"c\":1.50", "1.5", "null"},
    {"text from boolean",  "\"type\":\"string\"", "\"c\":true", "true", "null"},
    {"text from object",   "\"type\":\"string\"", "\"c\":{\"b\":1,\"a\":2}", "null", "{\"c\":{\"a\":2,\"b\":1}}"},
    {"null",               "\"type\":\"string\"", "\"c\":null", "null", "null"},
    {"absent",             "\"type\":\"string\"", "", "null", "null"},
    {"unknown member",     "\"type\":\"string\"", "\"d\":[1,2.0]", "null", "{\"d\":[1,2]}"},
    {"integer",            "\"type\":\"int64\"", "\"c\":-9223372036854775808", "-9223372036854775808", "null"},
    {"integer from text",  "\"type\":\"int64\"", "\"c\":\" 12 \"", "12", "null"},
    {"integer from 12.0",  "\"type\":\"int64\"", "\"c\":12.0", "12", "null"},
    {"integer from \"12.0\"", "\"type\":\"int64\"", "\"c\":\"12.0\"", "12", "null"},
    {"integer from 12.5",  "\"type\":\"int64\"", "\"c\":12.5", "null", "{\"c\":12.5}"},
    {"integer too large",  "\"type\":\"int64\"", "\"c\":9223372036854775808", "null", "{\"c\":9223372036854775808}"},
    {"integer from words", "\"type\":\"int64\"", "\"c\":\"abc\"", "null", "{\"c\":\"abc\"}"},
    {"integer from blank", "\"type\":\"int64\"", "\"c\":\" \"", "null", "null"},
    {"integer from bool",  "\"type\":\"int64\"", "\"c\":true", "null", "{\"c\":true}"},
    {"double",             "\"type\":\"double\"", "\"c\":0.25", "0.25", "null"},
    {"double from text",   "\"type\":\"double\"", "\"c\":\"-1e2\"", "-100", "null"},
    {"double 1e400",       "\"type\":\"double\"", "\"c\":1e400", "null", "{\"c\":1e400}"},
    {"decimal",            "\"type\":\"decimal\"", "\"c\":\"279.42\"", "27942", "null"},
    {"decimal from number","\"type\":\"decimal\"", "\"c\":0.1", "10", "null"},
    {"decimal negative",   "\"type\":\"decimal\"", "\"c\":\"-0.01\"", "-1", "null"},
    {"decimal zeros",      "\"type\":\"decimal\"", "\"c\":\"1.5000\"", "150", "null"},
    {"decimal too fine",   "\"type\":\"decimal\"", "\"c\":\"0.001\"", "null", "{\"c\":\"0.001\"}"},
    {"decimal too large",  "\"type\":\"decimal\",\"precision\":4", "\"c\":\"100\"", "null", "{\"c\":\"100\"}"},
    {"decimal, exponent",  "\"type\":\"decimal\"", "\"c\":\"1.2e1\"", "1200", "null"},
    {"boolean",            "\"type\":\"boolean\"", "\"c\":false", "false", "null"},
    {"boolean from 1",     "\"type\":\"boolean\"", "\"c\":1", "true", "null"},
    {"boolean from text",  "\"type\":\"boolean\"", "\"c\":\"True\"", "true", "null"},
    {"boolean from 2",     "\"type\":\"boolean\"", "\"c\":2", "null", "{\"c\":2}"},
    {"time, iso",          "\"type\":\"timestamp\"", "\"c\":\"1970-01-01T00:00:01.5Z\"", "1500000", "null"},
    {"time, epoch",        "\"type\":\"timestamp\",\"formats\":[\"epoch_s\"]", "\"c\":2", "2000000", "null"},
    {"time, epoch text",   "\"type\":\"timestamp\",\"formats\":[\"iso\",\"epoch_s\"]", "\"c\":\"2.5\"", "2500000", "null"},
    {"time, epoch ms",     "\"type\":\"timestamp\",\"formats\":[\"epoch_ms\"]", "\"c\":1793497787799", "1793497787799000", "null"},
    {"time, second format","\"type\":\"timestamp\",\"formats\":[\"iso\",\"%Y-%m-%d %I:%M %p %z\"]", "\"c\":\"1970-01-01 01:30 AM -04:00\"", "19800000000", "null"},
    {"time, column's zone","\"type\":\"timestamp\",\"formats\":[\"%Y-%m-%d %I:%M %p\"],\"zone\":\"America/New_York\"", "\"c\":\"2012-08-17 10:24 AM\"", "1345213440000000", "null"},
    {"time, no format",    "\"type\":\"timestamp\"", "\"c\":5", "null", "{\"c\":5}"},
    {"time, year 10000",   "\"type\":\"timestamp\",\"formats\":[\"epoch_s\"]", "\"c\":253402300800", "null", "{\"c\":253402300800}"},
    {"date",               "\"type\":\"date\"", "\"c\":\"1970-02-01\"", "31", "null"},
    {"date, impossible",   "\"type\":\"date\"", "\"c\":\"1970-02-30\"", "null", "{\"c\":\"1970-02-30\"}"},
    {"date from time",     "\"type\":\"date\",\"zone\":\"America/New_York\"", "\"c\":\"1970-01-02T01:00:00Z\"", "0", "null"},
    {"json",               "\"type\":\"json\"", "\"c\":{\"z\":[1,{}],\"a\":null}", "{\"a\":null,\"z\":[1,{}]}", "null"},
    {"json scalar",        "\"type\":\"json\"", "\"c\":\"x\\\"y\"", "\"x\\\"y\"", "null"},
    {"phone",              "\"type\":\"string\",\"phone\":\"US\"", "\"c\":\"(555) 234-5678\"", "+15552345678", "null"},
    {"phone, none",        "\"type\":\"string\",\"phone\":\"US\"", "\"c\":\"anonymous\"", "null", "{\"c\":\"anonymous\"}"},
    {"phone, blank",       "\"type\":\"string\",\"phone\":\"US\"", "\"c\":\"\"", "null", "null"},
    {"ms",                 "\"type\":\"double\",\"unit\":\"ms\"", "\"c\":1500", "1.5", "null"},
    {"ms, integer",        "\"type\":\"int64\",\"unit\":\"ms\"", "\"c\":15000", "15", "null"},
    {"ms, odd integer",    "\"type\":\"int64\",\"unit\":\"ms\"", "\"c\":1500", "null", "{\"c\":1500}"},
    {"ms, decimal",        "\"type\":\"decimal\",\"unit\":\"ms\"", "\"c\":1510", "151", "null"},
    {"ms if over: is",     "\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/d\"}", "\"d\":60,\"c\":13000", "13", "{\"c\":13000,\"d\":60}"},
    {"ms if over: is not", "\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/d\"}", "\"d\":60,\"c\":13", "13", "{\"d\":60}"},
    {"ms if over, less",   "\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/d\",\"less\":\"/e\"}", "\"d\":60,\"e\":50,\"c\":13", "0.012999999999999999", "{\"c\":13,\"d\":60,\"e\":50}"},
    {"ms if over, limit",  "\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/d\",\"or_over\":10}", "\"d\":null,\"c\":13", "0.012999999999999999", "{\"c\":13}"},
    {"first path",         "\"type\":\"string\",\"from\":[\"/a/id\",\"/b\"]", "\"a\":{\"id\":\"x\"},\"b\":\"x\"", "x", "null"},
    {"second path",        "\"type\":\"string\",\"from\":[\"/a/id\",\"/b\"]", "\"a\":{\"id\":null},\"b\":\"y\"", "y", "null"},
    {"paths disagree",     "\"type\":\"string\",\"from\":[\"/a/id\",\"/b\"]", "\"a\":{\"id\":\"x\"},\"b\":\"y\"", "x", "{\"b\":\"y\"}"},
    {"paths agree as cast","\"type\":\"int64\",\"from\":[\"/a/id\",\"/b\"]", "\"a\":{\"id\":\"7\"},\"b\":7.0", "7", "null"},
    {"first does not fit", "\"type\":\"int64\",\"from\":[\"/a/id\",\"/b\"]", "\"a\":{\"id\":\"x\"},\"b\":7", "7", "{\"a\":{\"id\":\"x\"}}"},
    {"rest of an object",  "\"type\":\"string\",\"from\":\"/a/id\"", "\"a\":{\"z\":1,\"id\":\"x\",\"n\":null,\"m\":{\"k\":null}}", "x", "{\"a\":{\"m\":{\"k\":null},\"z\":1}}"},
    {"no object at all",   "\"type\":\"string\",\"from\":\"/a/id\"", "\"a\":\"x\"", "null", "{\"a\":\"x\"}"},
    {"names with slashes", "\"type\":\"string\",\"from\":\"/a~1b~0\"", "\"a/b~\":\"x\"", "x", "null"},
};
// clang-format on

TEST(values_become_cells_or_stay_in_overflow)
{
    for (size_t i = 0; i < sizeof(casts) / sizeof(casts[0]); i++)
        run_case(&casts[i]);
}

static const char *const plain =
    "{" KEY_ID "\"columns\":[" ID ",{\"name\":\"c\",\"type\":\"string\"}]}";

// The hash of the first row that `records` gives.
static Str hash_of(const char *contract, Str records, Arena *arena)
{
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, contract);
    CHECK_OK(shaping_add(&shaping, records, NULL, &err), &err);
    shaping_take(&shaping);
    Str kept = {0};
    CHECK(shaping.batch->rows > 0);
    CHECK_OK(arena_copy_str(arena, shaping_cell(&shaping, 0, "_row_hash"), &kept, &err), &err);
    return kept;
}

// The first 32 digits of `printf TEXT | sha256sum`, worked out by hand.
TEST(the_hash_is_that_of_the_canonical_text)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    CHECK_STR(hash_of(plain, STR("[{\"z\":null,\"id\":1,\"c\":\"x\",\"a\":{\"y\":2.50,\"x\":[]}}]"),
                      arena),
              STR("402f359f22fc9d93dde1b6cc7b3e36fc"));
    CHECK_STR(hash_of(plain, STR("[{\"id\":1}]"), arena), STR("037c9214eef74cc3887f3a4f085b4e17"));
}

TEST(member_order_nulls_and_number_style_do_not_change_the_hash)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    const Str first =
        hash_of(plain, STR("[{\"id\":1,\"c\":\"x\",\"d\":{\"a\":1,\"b\":2}}]"), arena);
    CHECK_STR(hash_of(plain,
                      STR("[{\"d\":{\"b\":2.0,\"a\":1e0},\"e\":null,\"c\":\"\\u0078\",\"id\":1}]"),
                      arena),
              first);
}

TEST(promoting_a_member_does_not_change_the_hash)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    const Str record = STR("[{\"id\":1,\"c\":\"x\",\"d\":\"7\"}]");
    CHECK_STR(hash_of("{" KEY_ID "\"columns\":[" ID ",{\"name\":\"d\",\"type\":\"int64\"}]}",
                      record, arena),
              hash_of(plain, record, arena));
}

TEST(records_that_differ_hash_differently)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    const Str records[] = {
        STR("[{\"id\":1}]"),
        STR("[{\"id\":\"1\"}]"),
        STR("[{\"id\":1,\"c\":\"\"}]"),
        STR("[{\"id\":1,\"c\":\"\\ufffd\"}]"),
        STR("[{\"id\":1,\"c\":\"\\u0000\"}]"),
        STR("[{\"id\":1,\"c\":\"\xff\"}]"),
        STR("[{\"id\":1,\"c\":\"\xfe\"}]"),
        STR("[{\"id\":1,\"d\":{}}]"),
        STR("[{\"id\":1,\"d\":[]}]"),
        STR("[{\"id\":1,\"d\":{\"a\":null}}]"),
        STR("[{\"id\":1,\"d\":\"a\",\"d\":\"b\"}]"),
        STR("[{\"id\":1,\"d\":\"b\"}]"),
        STR("[{\"id\":1,\"d\":\"b\",\"$others\":[]}]"),
        STR("[{\"id\":1,\"\xff\":1}]"),
        STR("[{\"id\":1,\"\xfe\":1}]"),
    };
    const size_t count = sizeof(records) / sizeof(records[0]);
    Str hashes[sizeof(records) / sizeof(records[0])];
    for (size_t i = 0; i < count; i++) {
        hashes[i] = hash_of(plain, records[i], arena);
        for (size_t j = 0; j < i; j++)
            CHECK(!str_equal(hashes[i], hashes[j]));
    }
}

TEST(volatile_paths_are_not_hashed_but_kept)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    const char *contract = "{" KEY_ID "\"volatile\":[\"/v\",\"/o/v\",\"/l/*/v\"],\"columns\":[" ID
                           ",{\"name\":\"o\",\"type\":\"json\"}]}";
    const Str first = hash_of(
        contract, STR("[{\"id\":1,\"v\":1,\"o\":{\"v\":1,\"w\":2},\"l\":[{\"v\":1}]}]"), arena);
    CHECK_STR(
        hash_of(contract, STR("[{\"id\":1,\"o\":{\"v\":3,\"w\":2},\"l\":[{\"v\":9}]}]"), arena),
        first);
    CHECK(!str_equal(
        hash_of(contract, STR("[{\"id\":1,\"o\":{\"v\":3,\"w\":3},\"l\":[{\"v\":9}]}]"), arena),
        first));

    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(&shaping, contract,
                "[{\"id\":1,\"v\":1,\"o\":{\"v\":1,\"w\":2},\"l\":[{\"v\":1}]}]");
    CHECK_STR(shaping_cell(&shaping, 0, "o"), STR("{\"v\":1,\"w\":2}"));
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"), STR("{\"l\":[{\"v\":1}],\"v\":1}"));
}

TEST(keys_follow_the_documented_text)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(&shaping,
                "{\"stream\":\"s\",\"key\":[\"a\",\"b\",\"c\"],\"columns\":["
                "{\"name\":\"c\",\"type\":\"date\"},{\"name\":\"b\",\"type\":\"string\"},"
                "{\"name\":\"a\",\"type\":\"int64\"}]}",
                "[{\"a\":123,\"b\":\"h\xc3\xa9llo\",\"c\":\"2025-05-01\"},"
                "{\"a\":\"123\",\"b\":\"h\\u00e9llo\",\"c\":\"2025-05-01\"},{\"a\":12,\"b\":\"3\","
                "\"c\":\"2025-05-01\"}]");
    CHECK_STR(shaping_cell(&shaping, 0, "_row_key"), STR("452a9087aa4633d8875383616d4fe13c"));
    CHECK_STR(shaping_cell(&shaping, 1, "_row_key"), STR("452a9087aa4633d8875383616d4fe13c"));
    CHECK(memcmp(&shaping.batch->keys[0], &shaping.batch->keys[2], sizeof(Key128)) != 0);
    CHECK_INT(shaping.batch->fetched_us[2], SHAPING_FETCHED);
}

TEST(a_record_without_its_key_goes_to_quarantine)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(
        &shaping, plain,
        "[{\"id\":1},{\"id\":null,\"c\":\"x\"},{\"id\":\"abc\"},17,{\"c\":\"y\"},{\"id\":2}]");
    CHECK_INT((int64_t)shaping.batch->rows, 2);
    CHECK_INT(shaping.batch->quarantine.length, 4);
    CHECK_STR(shaping_cell(&shaping, 1, "id"), STR("2"));
    CHECK_STR(shaping_refused(&shaping, 0, 0), STR("null key"));
    CHECK_STR(shaping_refused(&shaping, 0, 1), STR("/id"));
    CHECK_STR(shaping_refused(&shaping, 0, 2), STR("{\"c\":\"x\",\"id\":null}"));
    CHECK_STR(shaping_refused(&shaping, 2, 0), STR("is not an object"));
    CHECK_STR(shaping_refused(&shaping, 2, 2), STR("17"));
    const ShapeCounts *counts = shaper_counts(shaping.shaper);
    CHECK_INT(counts->records, 6);
    CHECK_INT(counts->rows, 2);
    CHECK_INT(counts->quarantined, 4);
    CHECK_INT(counts->misfits, 0);
}

TEST(the_partition_fills_key_columns)
{
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping,
                 "{\"stream\":\"s\",\"key\":[\"account_id\",\"id\"],\"columns\":[" ID
                 ",{\"name\":\"account_id\",\"type\":\"int64\",\"from_partition\":\"account\","
                 "\"from\":\"/account_id\"}]}");
    CHECK_OK(
        shaping_add(&shaping,
                    STR("[{\"id\":1},{\"id\":2,\"account_id\":7},{\"id\":3,\"account_id\":8}]"),
                    "{\"account\":\"7\"}", &err),
        &err);
    CHECK_OK(shaping_add(&shaping, STR("[{\"id\":4,\"account_id\":9}]"), NULL, &err), &err);
    shaping_take(&shaping);
    const char *const accounts[] = {"7", "7", "7", "9"};
    const char *const overflows[] = {"null", "null", "{\"account_id\":8}", "null"};
    for (size_t i = 0; i < 4; i++) {
        CHECK_STR(shaping_cell(&shaping, i, "account_id"), str_from(accounts[i]));
        CHECK_STR(shaping_cell(&shaping, i, "_overflow"), str_from(overflows[i]));
    }
    const ContractInfo *info = contract_info(shaping.contract);
    CHECK_INT((int64_t)info->partition_count, 1);
    CHECK_STR(info->partition_columns[0], STR("account_id"));
}
