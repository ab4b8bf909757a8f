// JsonNumber: a number that a double holds becomes one; any other stays as it was sent.
#include "base/json_number.h"

#include "harness/check.h"

#include <math.h>

enum { RUN_BYTES = 8 * 1024 * 1024 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// What is left of a number: its text where it was kept raw, else what its double is written as.
static Str kept(Str number, bool *ret_raw, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CLEANUP(buf_done) Buf out = {0};
    Str copy = {0};
    CHECK_OK(json_parse(number, "t", arena, &doc, &err), &err);
    *ret_raw = yyjson_is_raw(yyjson_doc_get_root(doc));
    CHECK_OK(json_write_canonical(yyjson_doc_get_root(doc), &out, &err), &err);
    CHECK_OK(arena_copy_str(arena, buf_str(&out), &copy, &err), &err);
    return copy;
}

// The expected doubles are what Python's repr() and ECMAScript print, raw where Decimal(text) !=
// Decimal(repr(float(text))).
TEST(a_number_beyond_its_double_stays_as_it_was_sent)
{
    const struct {
        const char *sent;
        const char *expected; // NULL = raw, as sent
    } rows[] = {
        {"2.50", "2.5"},
        {"0.1", "0.1"},
        {"123456789012.345", "123456789012.345"},
        {"123456789012345.6", "123456789012345.6"}, // sixteen digits that a double holds
        {"0.30000000000000004", "0.30000000000000004"},
        {"2.50000000000000000000", "2.5"},
        {"0.00000000000000000000125", "1.25e-21"},
        {"1000000000000000000000000e-3", "1e+21"},
        {"100000000000000000000.0", "100000000000000000000"},
        {"1e22", "1e+22"},
        {"123456789012345678901234567890e-29", NULL},
        {"12345678901234567.89", NULL},
        {"-12345678901234567.89", NULL},
        {"12345678901234567.890", NULL},
        {"0.1234567890123456789", NULL},
        {"0.1000000000000000055511151231257827", NULL},
        {"333333333.33333329", NULL},
        {"9007199254740993.0", NULL},
        {"9007199254740992.0", "9007199254740992"},
        {"1.0000000000000000000000001", NULL},
        {"1234567890123456789e5", NULL},
        {"1234567890123456789E-5", NULL},
        {"1e400", NULL},
        {"1e-400", NULL},
        {"-1e-400", NULL},
        {"1e-99999999999999999999", NULL},
        {"5e-324", "5e-324"},
        {"4.9406564584124654e-324", NULL},
        {"1.2345e-320", NULL},
        {"0.0", "0"},
        {"-0.0", "0"},
        {"0e-400", "0"},
        {"0e99999999999999999999", "0"},
        {"0.00000000000000000000", "0"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].sent);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        bool raw = false;
        const Str out = kept(str_from(rows[i].sent), &raw, arena);
        CHECK_STR(out, str_from(rows[i].expected == NULL ? rows[i].sent : rows[i].expected));
        CHECK_INT(raw, rows[i].expected == NULL);
    }
}

// Numbers are found again by their order: whatever looks like one in a string must not count.
TEST(each_number_keeps_its_own_text)
{
    const struct {
        const char *name;
        Str text, expected;
    } rows[] = {
        {"between others", STR("[1,2.5,1.23456789012345678,-3,18446744073709551616,2.0]"),
         STR("[1,2.5,1.23456789012345678,-3,18446744073709551616,2]")},
        {"after strings of digits",
         STR("{\"1.5\":\"2.5\",\"a\":\"[3.14159265358979323846,\",\"b\":1.23456789012345678}"),
         STR("{\"1.5\":\"2.5\",\"a\":\"[3.14159265358979323846,\",\"b\":1.23456789012345678}")},
        {"after escapes",
         STR("{\"a\\\\\":\"\\\"1\\\\\\\"2\",\"b\":\"\\\\\",\"c\":1.23456789012345678,\"d\":\"\"}"),
         STR("{\"a\\\\\":\"\\\"1\\\\\\\"2\",\"b\":\"\\\\\",\"c\":1.23456789012345678,\"d\":\"\"}")},
        {"behind an escape, no name between",
         STR("[\"a\\n\",1,1.23456789012345678,[\"\\u0031\",1.5,1.23456789012345679]]"),
         STR("[\"a\\n\",1,1.23456789012345678,[\"1\",1.5,1.23456789012345679]]")},
        {"behind other numbers",
         STR("{\"a\":[18446744073709551616,-7,[2.50,{}],true,1.23456789012345678,1."
             "23456789012345679],"
             "\"b\":null}"),
         STR("{\"a\":[18446744073709551616,-7,[2.5,{}],true,1.23456789012345678,1."
             "23456789012345679],"
             "\"b\":null}")},
        {"names of any letters", STR("{\"\xC3\xA9\":1.23456789012345678,\"\":1.23456789012345679}"),
         STR("{\"\":1.23456789012345679,\"\xC3\xA9\":1.23456789012345678}")},
        {"white space", STR(" [\n1.23456789012345678\t,\r\n 1.23456789012345679 ] "),
         STR("[1.23456789012345678,1.23456789012345679]")},
        {"behind a byte order mark", STR("\xEF\xBB\xBF[1,1.23456789012345678]"),
         STR("[1,1.23456789012345678]")},
        {"beside a small one", STR("[0.0,7,1e-400]"), STR("[0,7,1e-400]")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        bool raw = false;
        CHECK_STR(kept(rows[i].text, &raw, arena), rows[i].expected);
    }
}

TEST(bad_strings_and_long_numbers_in_one_document)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf out = {0};
    yyjson_doc *doc = NULL;
    const Str text = STR("[\"\xC3\x28\\ud800\",1.23456789012345678,\"\\ud83d\\ude00\",0.5]");
    CHECK_OK(json_parse_lenient(text, "t", arena, &doc, &err), &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_OK(json_write_canonical(yyjson_arr_get(root, 1), &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("1.23456789012345678"));
    CHECK(yyjson_is_real(yyjson_arr_get(root, 3)));
}

TEST(every_number_has_a_nearest_double)
{
    const struct {
        const char *text;
        bool ok;
        double expected;
    } rows[] = {
        {"7", true, 7},
        {"-2.5", true, -2.5},
        {"18446744073709551616", true, 18446744073709551616.0},
        {"12345678901234567.89", true, 12345678901234567.89},
        {"-1e400", true, -HUGE_VAL},
        {"1e-400", true, 0},
        {"\"7\"", false, 0},
        {"null", false, 0},
        {"[7]", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        double number = 0;
        CHECK_OK(json_parse(str_from(rows[i].text), "t", arena, &doc, &err), &err);
        CHECK_INT(json_to_double(yyjson_doc_get_root(doc), &number), rows[i].ok);
        CHECK(number == rows[i].expected);
    }
    double number = 0;
    CHECK(!json_to_double(NULL, &number));
}

TEST(no_memory_for_a_number_is_an_error)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        const bool ok =
            arena != NULL && json_parse(STR("[1.23456789012345678]"), "t", arena, &doc, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (doc != NULL));
        if (ok)
            CHECK(yyjson_is_raw(yyjson_arr_get_first(yyjson_doc_get_root(doc))));
    }
}

TEST(no_room_for_a_number_is_the_arenas_limit)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(256 * 1024, &err);
    CLEANUP(buf_done) Buf text = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(buf_append(&text, STR("1."), &err), &err);
    for (size_t i = 0; i < 200 * 1024; i++)
        CHECK_OK(buf_append_char(&text, '1', &err), &err);
    CHECK(!json_parse(buf_str(&text), "t", arena, &doc, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}
