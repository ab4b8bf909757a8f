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

#define DECIMAL_38_10 "\"type\":\"decimal\",\"precision\":38,\"scale\":10"

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
    {"unknown, empty",     "\"type\":\"string\"", "\"e\":{},\"d\":[],\"f\":[[],{}]", "null", "{\"d\":[],\"e\":{},\"f\":[[],{}]}"},
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
    {"decimal of digits that no double has",  DECIMAL_38_10, "\"c\":12345678901234567.89", "123456789012345678900000000", "null"},
    {"decimal, negative, exponent",           DECIMAL_38_10, "\"c\":-1234567890123456789012345e-10", "-1234567890123456789012345", "null"},
    {"decimal of 38 digits",                  DECIMAL_38_10, "\"c\":1234567890123456789012345678.0123456789", "12345678901234567890123456780123456789", "null"},
    {"decimal of a double",                   DECIMAL_38_10, "\"c\":0.30000000000000004", "null", "{\"c\":0.30000000000000004}"},
    {"decimal, too many digits to keep",      DECIMAL_38_10, "\"c\":0.1234567890123456789", "null", "{\"c\":0.1234567890123456789}"},
    {"decimal, next to nothing",              DECIMAL_38_10, "\"c\":1e-400", "null", "{\"c\":1e-400}"},
    {"decimal, zeros behind 38 digits",       DECIMAL_38_10, "\"c\":1.5000000000000000000000000000000000000000", "15000000000", "null"},
    {"decimal from ms, exactly",              DECIMAL_38_10 ",\"unit\":\"ms\"", "\"c\":12345678901234567890.1234567", "123456789012345678901234567", "null"},
    {"scale 19",           "\"type\":\"decimal\",\"precision\":20,\"scale\":19", "\"c\":0.1234567890123456789", "1234567890123456789", "null"},
    {"text of many digits", "\"type\":\"string\"", "\"c\":12345678901234567.890", "12345678901234567.890", "null"},
    {"json of many digits", "\"type\":\"json\"", "\"c\":[{\"b\":12345678901234567.89,\"a\":2.50}]", "[{\"a\":2.5,\"b\":12345678901234567.89}]", "null"},
    {"unknown, many digits", "\"type\":\"string\"", "\"d\":[12345678901234567.89,1e-400]", "null", "{\"d\":[12345678901234567.89,1e-400]}"},
    {"double of many digits", "\"type\":\"double\"", "\"c\":0.1000000000000000055511151231257827", "0.10000000000000001", "null"},
    {"double from ms by the look of many digits", "\"type\":\"double\",\"unit\":{\"ms_if_over\":\"/d\"}", "\"d\":60.0000000000000000001,\"c\":59", "59", "{\"d\":60.0000000000000000001}"},
    {"integer of many digits", "\"type\":\"int64\"", "\"c\":9007199254740993.0", "9007199254740993", "null"},
    {"integer and next to nothing", "\"type\":\"int64\"", "\"c\":1.0000000000000000001", "null", "{\"c\":1.0000000000000000001}"},
    {"time of many digits", "\"type\":\"timestamp\",\"formats\":[\"epoch_s\"]", "\"c\":1.5000000000000000001", "1500000", "null"},
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

// What `printf TEXT | xxhsum -H2` says.
TEST(the_hash_is_that_of_the_canonical_text)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    CHECK_STR(hash_of(plain, STR("[{\"z\":null,\"id\":1,\"c\":\"x\",\"a\":{\"y\":2.50,\"x\":[]}}]"),
                      arena),
              STR("af750624ebc59ac4528f785d064a7b0b"));
    CHECK_STR(hash_of(plain, STR("[{\"id\":1}]"), arena), STR("b740eaf9c9eebfb7273ee74bfb95edc4"));
}

// Digits that a double does not have are part of the content; zeros behind others are not.
TEST(the_hash_sees_every_digit_of_a_number)
{
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"[{\"id\":1,\"n\":12345678901234567.89}]", "[{\"id\":1,\"n\":12345678901234567.88}]",
         false},
        {"[{\"id\":1,\"n\":0.12345678901234567891}]", "[{\"id\":1,\"n\":0.12345678901234567892}]",
         false},
        {"[{\"id\":1,\"a\":[{\"n\":1e-400}]}]", "[{\"id\":1,\"a\":[{\"n\":0.0}]}]", false},
        {"[{\"id\":1,\"n\":2.5000000000000000000}]", "[{\"id\":1,\"n\":2.5}]", true},
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].one);
        const Str one = hash_of(plain, str_from(rows[i].one), arena);
        CHECK_INT(str_equal(one, hash_of(plain, str_from(rows[i].other), arena)), rows[i].same);
    }
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
    // What lacks its key can be of no row that is stored; "abc" and 17 may have been ids of others.
    CHECK_INT((int64_t)shaping.batch->refused_count, 0);
    CHECK_INT((int64_t)shaping.batch->refused_unknown, 2);
}

TEST(a_refused_record_tells_whose_row_it_would_be)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    const char *contract = "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[" ID
                           ",{\"name\":\"c\",\"type\":\"string\",\"required\":true}]}";
    shaping_run(&shaping, contract, "[{\"id\":1,\"c\":\"x\"},{\"id\":2},{\"id\":1},{\"c\":\"y\"}]");
    CHECK_INT((int64_t)shaping.batch->rows, 1);
    CHECK_INT(shaping.batch->quarantine.length, 3);
    CHECK_INT((int64_t)shaping.batch->refused_count, 2);
    CHECK_INT((int64_t)shaping.batch->refused_unknown, 0);
    CHECK(memcmp(&shaping.batch->refused_keys[0], &shaping.batch->keys[0], sizeof(Key128)) != 0);
    CHECK(memcmp(&shaping.batch->refused_keys[1], &shaping.batch->keys[0], sizeof(Key128)) == 0);
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->refused_count, 0);
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

// `count` members "m0" ... from `first` on, in an order of their own, as the inside of an object.
static void write_members(Buf *out, size_t first, size_t count, size_t step)
{
    Error err = {0};
    for (size_t i = 0; i < count; i++)
        CHECK_OK(buf_printf(out, &err, ",\"m%zu\":%zu", first + i * step % count, i), &err);
}

TEST(names_learned_in_the_middle_of_a_page_change_nothing)
{
    Error err = {0};
    CLEANUP(buf_done) Buf records = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    // The last record again has the members of the first, in another order.
    const size_t firsts[] = {0, 500, 200, 0};
    const size_t steps[] = {1, 1, 7, 11}; // without a divisor in common with 300
    for (size_t i = 0; i < 4; i++) {
        CHECK_OK(buf_printf(&records, &err, "%s{\"id\":%zu", i == 0 ? "[" : "},", i), &err);
        write_members(&records, firsts[i], 300, steps[i]);
    }
    CHECK_OK(buf_append(&records, STR("}]"), &err), &err);
    CHECK_OK(shaping_add(&shaping, buf_str(&records), NULL, &err), &err);
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->rows, 4);
    CHECK_INT(shaper_counts(shaping.shaper)->quarantined, 0);
    for (size_t i = 0; i < 4; i++) {
        const Str overflow = shaping_cell(&shaping, i, "_overflow");
        yyjson_doc *doc = yyjson_read(overflow.data, overflow.size, 0);
        CHECK_INT((int64_t)yyjson_obj_size(yyjson_doc_get_root(doc)), 300);
        CLEANUP(buf_done) Buf canonical = {0};
        CHECK_OK(json_write_canonical(yyjson_doc_get_root(doc), &canonical, &err), &err);
        CHECK_STR(overflow, buf_str(&canonical));
        yyjson_doc_free(doc);
    }
}

// The second page lies where the first one lay, with another name at the same address.
TEST(names_are_those_of_their_own_page)
{
    static const char *const pages[] = {"[{\"id\":1,\"ab\":1,\"cd\":2}]",
                                        "[{\"id\":2,\"cd\":3,\"ab\":4}]"};
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    for (size_t i = 0; i < 2; i++) {
        static char text[64];
        memset(text, 0, sizeof(text));
        memcpy(text, pages[i], strlen(pages[i]));
        yyjson_doc *doc = yyjson_read_opts(text, strlen(pages[i]), YYJSON_READ_INSITU, NULL, NULL);
        yyjson_val *record = yyjson_arr_get_first(yyjson_doc_get_root(doc));
        CHECK(json_str(record + 3).data ==
              text + strlen("[{\"id\":1,\"")); // behind "id" and its value
        CHECK_OK(shaper_add(shaping.shaper, &record, 1, NULL, SHAPING_FETCHED, &err), &err);
        yyjson_doc_free(doc);
    }
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"), STR("{\"ab\":1,\"cd\":2}"));
    CHECK_STR(shaping_cell(&shaping, 1, "_overflow"), STR("{\"ab\":4,\"cd\":3}"));
}

TEST(more_names_than_can_be_kept_are_forgotten_in_time)
{
    Error err = {0};
    CLEANUP(buf_done) Buf records = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    for (size_t page = 0; page < 12; page++) {
        buf_clear(&records);
        CHECK_OK(buf_printf(&records, &err, "[{\"id\":%zu", page), &err);
        write_members(&records, page * 10000, 4095, 1);
        CHECK_OK(buf_append(&records, STR("}]"), &err), &err);
        CHECK_OK(shaping_add(&shaping, buf_str(&records), NULL, &err), &err);
    }
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->rows, 12);
    size_t count = 0;
    (void)shaper_drift_paths(shaping.shaper, &count);
    CHECK_INT((int64_t)count, 100);
}

TEST(a_record_beyond_the_limits_goes_to_quarantine)
{
    Error err = {0};
    CLEANUP(buf_done) Buf records = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    CHECK_OK(buf_append(&records, STR("[{\"id\":1"), &err), &err);
    write_members(&records, 0, 4096, 1);
    CHECK_OK(buf_append(&records, STR("},{\"id\":2"), &err), &err);
    for (int i = 0; i < 70; i++)
        CHECK_OK(buf_append(&records, STR(",\"same\":1"), &err), &err);
    CHECK_OK(buf_append(&records, STR("},{\"id\":3,\""), &err), &err);
    for (int i = 0; i < 1025; i++)
        CHECK_OK(buf_append_char(&records, 'x', &err), &err);
    CHECK_OK(buf_append(&records, STR("\":1},{\"id\":4}]"), &err), &err);
    CHECK_OK(shaping_add(&shaping, buf_str(&records), NULL, &err), &err);
    shaping_take(&shaping);
    CHECK_STR(shaping_refused(&shaping, 0, 0), STR("more members than a record may have"));
    CHECK_STR(shaping_refused(&shaping, 1, 0), STR("more members share names than can be kept"));
    CHECK_STR(shaping_refused(&shaping, 2, 0), STR("a member's name is too long"));
    CHECK_INT((int64_t)shaping.batch->rows, 1);
    CHECK_STR(shaping_cell(&shaping, 0, "id"), STR("4"));
    CHECK_INT((int64_t)shaping.batch->refused_unknown, 3);
}

// What canonical text cannot hold is in the notes of _overflow.
TEST(odd_bytes_and_doubled_members_are_kept)
{
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    CHECK_OK(shaping_add(&shaping,
                         STR("[{\"id\":1,\"c\":\"a\\u0000b\"},{\"id\":2,\"c\":\"\xff\"},"
                             "{\"id\":3,\"c\":1,\"d\":1,\"c\":\"x\",\"d\":null},"
                             "{\"id\":4,\"o\":{\"l\":[\"\xff\"],\"k\":1,\"k\":2}},"
                             "{\"id\":5,\"\xff\":1,\"$bytes\":2}]"),
                         NULL, &err),
             &err);
    shaping_take(&shaping);
    const char *const cells[] = {"a\xef\xbf\xbd"
                                 "b",
                                 "\xef\xbf\xbd", "x", "null", "null"};
    const char *const overflows[] = {
        "{\"$bytes\":{\"/c\":\"YQBi\"}}",
        "{\"$bytes\":{\"/c\":\"/w==\"}}",
        "{\"d\":null,\"$others\":[{\"path\":\"/c\",\"value\":1},{\"path\":\"/d\",\"value\":1}]}",
        "{\"o\":{\"k\":2,\"l\":[\"\xef\xbf\xbd\"]},\"$bytes\":{\"/o/l/0\":\"/w==\"},"
        "\"$others\":[{\"path\":\"/o/k\",\"value\":1}]}",
        "{\"$name:/w==\":1,\"$others\":[{\"path\":\"/$bytes\",\"value\":2}]}",
    };
    for (size_t i = 0; i < 5; i++) {
        CHECK_STR(shaping_cell(&shaping, i, "c"), str_from(cells[i]));
        CHECK_STR(shaping_cell(&shaping, i, "_overflow"), str_from(overflows[i]));
    }
}

TEST(a_key_with_odd_bytes_is_unusable)
{
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(
        &shaping,
        "{\"stream\":\"s\",\"key\":[\"k\"],\"columns\":[{\"name\":\"k\",\"type\":\"string\"}]}");
    CHECK_OK(shaping_add(&shaping, STR("[{\"k\":\"a\\u0000\"},{\"k\":\"\"},{\"k\":\"\xc3\xa9\"}]"),
                         NULL, &err),
             &err);
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->rows, 2);
    CHECK_STR(shaping_refused(&shaping, 0, 0), STR("unusable key"));
}

TEST(drift_names_what_no_column_and_no_list_knows)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(
        &shaping,
        "{" KEY_ID "\"known\":[\"/k\",\"/a/k\"],\"columns\":[" ID
        ",{\"name\":\"b\",\"type\":\"string\",\"from\":\"/a/"
        "b\"},{\"name\":\"j\",\"type\":\"json\"}]}",
        "[{\"id\":1,\"k\":1,\"a\":{\"b\":\"x\",\"k\":1,\"new\":true},\"j\":{\"x\":1},\"n/m\":1.5},"
        "{\"id\":2,\"a\":{\"new\":false},\"n/m\":1,\"z\":null},{\"id\":3,\"z\":{}}]");
    size_t count = 0;
    const Str *paths = shaper_drift_paths(shaping.shaper, &count);
    const ColumnType *types = shaper_drift_types(shaping.shaper);
    CHECK_INT((int64_t)count, 3);
    CHECK_STR(paths[0], STR("/a/new"));
    CHECK_INT(types[0], COLUMN_BOOLEAN);
    CHECK_STR(paths[1], STR("/n~1m"));
    CHECK_INT(types[1], COLUMN_DOUBLE);
    CHECK_STR(paths[2], STR("/z"));
    CHECK_INT(types[2], COLUMN_JSON);
}

// What another page had is not this one's, and is told again when it comes back.
TEST(drift_is_known_page_by_page)
{
    static const struct {
        const char *records, *here;
    } pages[] = {
        {"[{\"id\":1,\"x\":1,\"a\":{\"b\":1,\"n\":1}},{\"id\":2,\"x\":1,\"y\":2}]", "/a/n /x /y"},
        {"[{\"id\":3,\"y\":null},{\"id\":4,\"x\":1}]", "/x"},
        {"[{\"id\":5,\"a\":{\"n\":null}}]", ""},
        {"[{\"id\":6},{\"id\":7,\"z\":1,\"a\":{\"n\":1}}]", "/a/n /z"},
        {"[{\"id\":8,\"y\":1}]", "/y"},
    };
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, "{" KEY_ID "\"columns\":[" ID
                           ",{\"name\":\"b\",\"type\":\"string\",\"from\":\"/a/b\"}]}");
    size_t count = 0;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        Error err = {0};
        CLEANUP(buf_done) Buf here = {0};
        check_row(pages[i].here);
        CHECK_OK(shaping_add(&shaping, str_from(pages[i].records), NULL, &err), &err);
        const Str *paths = shaper_drift_paths(shaping.shaper, &count);
        for (size_t k = 0; k < count; k++) {
            if (shaper_drift_here(shaping.shaper)[k])
                CHECK_OK((here.size == 0 || buf_append_char(&here, ' ', &err)) &&
                             buf_append(&here, paths[k], &err),
                         &err);
        }
        CHECK_STR(here.size > 0 ? buf_str(&here) : STR(""), str_from(pages[i].here));
    }
    CHECK_INT((int64_t)count, 4);
}

TEST(freeze_refuses_what_is_not_in_the_contract)
{
    static const struct {
        const char *name, *record, *expected;
    } cases[] = {
        {"member", "[{\"id\":1,\"secret\":\"s3cr3t\"}]",
         "s: /secret is not in the contract, and its evolution is freeze"},
        {"nested", "[{\"id\":1,\"a\":{\"z\":\"s3cr3t\"}}]",
         "s: /a/z is not in the contract, and its evolution is freeze"},
        {"misfit", "[{\"id\":1,\"c\":\"s3cr3t\"}]",
         "s: /c holds a value that does not fit its column, and its evolution is freeze"},
    };
    for (size_t i = 0; i < 3; i++) {
        check_row(cases[i].name);
        Error err = {0};
        CLEANUP(shaping_done) Shaping shaping = {0};
        shaping_open(&shaping,
                     "{" KEY_ID "\"evolution\":\"freeze\",\"known\":[\"/k\"],\"columns\":[" ID
                     ",{\"name\":\"c\",\"type\":\"int64\"},{\"name\":\"b\",\"type\":\"int64\","
                     "\"from\":\"/a/b\"}]}");
        CHECK_OK(
            shaping_add(&shaping, STR("[{\"id\":7,\"k\":1,\"c\":1,\"a\":{\"b\":2}}]"), NULL, &err),
            &err);
        CHECK(!shaping_add(&shaping, str_from(cases[i].record), NULL, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_STR(str_from(err.message), str_from(cases[i].expected));
        // Again: what was refused once is not known now. And what came before is still there.
        err = (Error){0};
        CHECK(!shaping_add(&shaping, str_from(cases[i].record), NULL, &err));
        CHECK_INT(err.code, ERROR_DATA);
        shaping_take(&shaping);
        CHECK_INT((int64_t)shaping.batch->rows, 1);
    }
}

// The first 32 digits of sha256("+15552345678"), of HMAC-SHA-256 under "key", worked out by hand.
TEST(privacy_holds_for_columns_overflow_hash_and_quarantine)
{
    const char *contract =
        "{" KEY_ID "\"privacy\":{\"/d\":\"drop\",\"/m\":\"mask\",\"/h\":\"hash\",\"/o/"
        "p\":\"mask\",\"/l/*/p\":\"drop\"},"
        "\"columns\":[" ID
        ",{\"name\":\"phone\",\"type\":\"string\",\"phone\":\"US\",\"privacy\":\"hash\"},"
        "{\"name\":\"tel\",\"type\":\"string\",\"from\":[\"/tel\",\"/"
        "tel2\"],\"privacy\":\"mask\"},{\"name\":\"o\",\"type\":\"json\"}]}";
    const Str record = STR(
        "[{\"id\":1,\"d\":\"secret\",\"m\":\"secret\",\"h\":\"(555) "
        "234-5678\",\"o\":{\"p\":\"secret\",\"q\":1},"
        "\"l\":[{\"p\":\"secret\",\"q\":2}],\"phone\":\"(555) 234-5678\",\"tel\":\"+1 (555) "
        "234-5678\",\"tel2\":\"secret\"},"
        "{\"d\":\"secret\",\"m\":{\"secret\":1},\"tel\":\"secret\",\"l\":[{\"p\":\"secret\"}]}]");
    Error err = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, contract);
    CHECK_OK(shaping_add(&shaping, record, NULL, &err), &err);
    shaping_take(&shaping);
    CHECK_STR(shaping_cell(&shaping, 0, "phone"), STR("8be7c551382f3ebb887bee2a0ebbe1d2"));
    CHECK_STR(shaping_cell(&shaping, 0, "tel"), STR("***5678"));
    CHECK_STR(shaping_cell(&shaping, 0, "o"), STR("{\"p\":\"***\",\"q\":1}"));
    CHECK_STR(shaping_cell(&shaping, 0, "_overflow"),
              STR("{\"h\":\"72146e4a3cf3180046ef6b695c3fd6cf\",\"l\":[{\"q\":2}],\"m\":\"***\","
                  "\"tel2\":\"***\"}"));
    CHECK_STR(shaping_refused(&shaping, 0, 2), STR("{\"l\":[{}],\"m\":\"***\",\"tel\":\"***\"}"));

    CLEANUP(shaping_done) Shaping keyed = {0};
    shaping_open(&keyed, contract);
    const Key128 before = contract_info(keyed.contract)->digest;
    contract_set_privacy_key(keyed.contract, STR("key"));
    CHECK(key128_compare(&contract_info(keyed.contract)->digest, &before) != 0);
    shaper_free(keyed.shaper);
    CHECK_OK(shaper_new(keyed.contract, NULL, &keyed.shaper, &err), &err);
    CHECK_OK(shaping_add(&keyed, record, NULL, &err), &err);
    shaping_take(&keyed);
    CHECK_STR(shaping_cell(&keyed, 0, "phone"), STR("a28b3fae06448937d34ccfa785412470"));
    CHECK_STR(shaping_cell(&keyed, 0, "tel"), STR("***5678"));
    CHECK(memcmp(&shaping.batch->hashes[0], &keyed.batch->hashes[0], sizeof(Key128)) != 0);
}

TEST(what_privacy_drops_does_not_change_the_hash)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    const char *contract = "{" KEY_ID "\"privacy\":{\"/d\":\"drop\"},\"columns\":[" ID "]}";
    CHECK_STR(hash_of(contract, STR("[{\"id\":1,\"d\":\"secret\"}]"), arena),
              hash_of(contract, STR("[{\"id\":1}]"), arena));
}

TEST(required_columns_are_never_null)
{
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_run(&shaping,
                "{" KEY_ID "\"columns\":[" ID
                ",{\"name\":\"c\",\"type\":\"int64\",\"required\":true}]}",
                "[{\"id\":1,\"c\":\"x\"},{\"id\":2},{\"id\":3,\"c\":4}]");
    CHECK_INT((int64_t)shaping.batch->rows, 1);
    CHECK_STR(shaping_refused(&shaping, 0, 0), STR("null in a required column"));
    CHECK_STR(shaping_refused(&shaping, 0, 1), STR("/c"));
}

TEST(batches_hold_at_most_a_vector_of_rows)
{
    Error err = {0};
    CLEANUP(buf_done) Buf page = {0};
    CLEANUP(shaping_done) Shaping shaping = {0};
    shaping_open(&shaping, plain);
    for (int i = 0; i < 150; i++)
        CHECK_OK(buf_printf(&page, &err, "%s{\"id\":%d}", i == 0 ? "[" : ",", i), &err);
    CHECK_OK(buf_append_char(&page, ']', &err), &err);
    int pages = 0;
    for (; !shaper_is_full(shaping.shaper); pages++)
        CHECK_OK(shaping_add(&shaping, buf_str(&page), NULL, &err), &err);
    CHECK_INT(pages, BATCH_ROWS / 150);
    shaping_take(&shaping);
    CHECK_INT((int64_t)shaping.batch->rows, pages * 150);
    CHECK(!shaper_is_full(shaping.shaper));
}

// Whatever fails, and whenever: a reason, no half a row, no leak.
TEST(shaping_survives_every_fault)
{
    const char *contract =
        "{" KEY_ID "\"volatile\":[\"/v\"],\"privacy\":{\"/h\":\"hash\"},\"columns\":[" ID
        ",{\"name\":\"c\",\"type\":\"string\",\"from\":[\"/a/c\",\"/c\"],\"phone\":\"US\"},"
        "{\"name\":\"t\",\"type\":\"timestamp\",\"zone\":\"America/"
        "New_York\"},{\"name\":\"j\",\"type\":\"json\"}]}";
    const char *text =
        "[{\"id\":1,\"v\":1,\"a\":{\"c\":\"555 234 "
        "5678\",\"d\":1.25},\"c\":\"x\\u0000\",\"j\":{\"b\":1,\"a\":[]},\"h\":\"y\"},"
        "{\"c\":\"no key\"},{\"id\":2,\"new\":1,\"new\":2}]";
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *records[3];
    for (size_t i = 0; i < 3; i++)
        records[i] = yyjson_arr_get(yyjson_doc_get_root(doc), i);
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(1 << 24, &err);
        CLEANUP(shaper_freep) Shaper *shaper = NULL;
        CLEANUP(shaped_batch_freep) ShapedBatch *batch = NULL;
        Contract *opened = NULL;
        Findings findings = {.arena = arena};
        bool ok = arena != NULL &&
                  contract_read(str_from(contract), "test", arena, &findings, &opened, &err) &&
                  findings_check(&findings, &err) && shaper_new(opened, NULL, &shaper, &err) &&
                  shaper_add(shaper, records, 3, NULL, 1, &err) &&
                  shaper_take(shaper, &batch, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (err.message[0] == '\0'));
        if (ok)
            CHECK_INT((int64_t)batch->rows, 2);
        if (shaper != NULL)
            CHECK(shaper_counts(shaper)->records ==
                  shaper_counts(shaper)->rows + shaper_counts(shaper)->quarantined);
    }
    yyjson_doc_free(doc);
}

// The vectors of docs/contract.md.
TEST(the_vectors_of_the_manual_hold)
{
    static const struct {
        const char *record, *hash;
    } rows[] = {
        {"[{\"id\":1,\"x\":null}]", "b740eaf9c9eebfb7273ee74bfb95edc4"},
        {"[{\"id\":1,\"n\":\"h\\u0022\\\\\\u0001\\u00e9\\/\"}]",
         "585a2ac695ced3357419199aa2f6af10"},
        {"[{\"id\":1,\"n\":12345678901234567.89}]", "6df2ccf3ea7f391f9c104e798432514e"},
        {"[{\"id\":1,\"a\":1e21,\"b\":-1e-3,\"c\":1e400}]", "3158c5896c6242c6e9601983b27838db"},
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 20, &err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_STR(hash_of(plain, str_from(rows[i].record), arena), str_from(rows[i].hash));

    static const struct {
        const char *columns, *key, *record, *expected;
    } keys[] = {
        {"{\"name\":\"a\",\"type\":\"int64\"},{\"name\":\"b\",\"type\":\"int64\"}", "\"a\",\"b\"",
         "[{\"a\":1001,\"b\":4000625014}]", "5d65b801ac34f154c7b5f9af3e1ff9b6"},
        {"{\"name\":\"a\",\"type\":\"int64\"},{\"name\":\"b\",\"type\":\"string\"}", "\"a\",\"b\"",
         "[{\"a\":1,\"b\":\"a:b\"}]", "3172d64561739bf0d6140012f31ca2ff"},
        {"{\"name\":\"a\",\"type\":\"int64\"}", "\"a\"", "[{\"a\":-9223372036854775808}]",
         "00fcade7a88c536a9338872369318cdf"},
        {"{\"name\":\"a\",\"type\":\"string\"}", "\"a\"", "[{\"a\":\"\"}]",
         "fb912574cecad54c6a0bc75b46172350"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char contract[300];
        (void)snprintf(contract, sizeof(contract),
                       "{\"stream\":\"s\",\"key\":[%s],\"columns\":[%s]}", keys[i].key,
                       keys[i].columns);
        CLEANUP(shaping_done) Shaping shaping = {0};
        shaping_run(&shaping, contract, keys[i].record);
        CHECK_STR(shaping_cell(&shaping, 0, "_row_key"), str_from(keys[i].expected));
    }
}
