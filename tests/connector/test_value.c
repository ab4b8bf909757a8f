// Values as Python has them: what they print, what they equal, what reads as a literal.

#include "connector/value.h"

#include "harness/check.h"

#include <math.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RUN_BYTES = 64 * 1024 * 1024 };

static Str repr(Arena *arena, Value value)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Str text = {0};
    CHECK_OK(value_write_repr(value, &out, &err), &err);
    CHECK(arena_copy_str(arena, buf_str(&out), &text, &err));
    return text;
}

static Value from_json(Arena *arena, const char *json)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(str_from(json), "test", arena, &doc, &err), &err);
    return value_json(yyjson_doc_get_root(doc));
}

TEST(text_is_read_as_literal_eval_reads_it)
{
    // clang-format off
    static const struct {
        const char *text, *expected; // NULL = no literal
    } rows[] = {
        {"123", "123"}, {"-5", "-5"}, {"- 5", "-5"}, {"+5", "5"}, {"--5", NULL}, {"007", NULL}, {"000", "0"},
        {"1_000", "1000"}, {"1__0", NULL}, {"1_", NULL}, {"_1", NULL}, {"0x1F", "31"}, {"0o17", "15"},
        {"0b11", "3"}, {"0x", NULL}, {"0xg", NULL}, {"1.", "1.0"}, {".5", "0.5"}, {".", NULL}, {"1e3", "1000.0"},
        {"1e-5", "1e-05"}, {"1e400", "inf"}, {"1e", NULL}, {"1.5.2", NULL}, {"1j", NULL}, {"1+2", NULL},
        {"10/2", NULL}, {"2024-10-10", NULL}, {"12abc", NULL}, {"9223372036854775807", "9223372036854775807"},
        {"9223372036854775808", "9223372036854775808"}, {"-9223372036854775808", "-9223372036854775808"},
        {"123456789012345678901", "123456789012345678901"}, {"-123456789012345678901", "-123456789012345678901"},
        {"0xffffffffffffffff", "18446744073709551615"},
        {"True", "True"}, {"False", "False"}, {"None", "None"}, {"true", NULL}, {"null", NULL}, {"inf", NULL},
        {"'a'", "'a'"}, {"\"a\"", "'a'"}, {"'a", NULL}, {"'a' 'b'", "'ab'"}, {"'a'\n'b'", NULL},
        {"('a'\n'b')", "'ab'"}, {"u'x'", "'x'"}, {"r'\\n'", "'\\\\n'"}, {"b'x'", NULL}, {"f'x'", NULL},
        {"'''a\nb'''", "'a\\nb'"}, {"'a\nb'", NULL}, {"'\\x41\\u00e9\\101\\q\\'\\n'", "\"A\303\251A\\\\q'\\n\""},
        {"'\\ud800'", NULL}, {"'\\x4'", NULL}, {"'\\N{DASH}'", NULL}, {"''", "''"}, {"''''''", "''"},
        {"[]", "[]"}, {"[1, 2,]", "[1, 2]"}, {"[,]", NULL}, {"[1 2]", NULL}, {"[1, # c\n2]", "[1, 2]"},
        {"()", "()"}, {"(1)", "1"}, {"(1,)", "(1,)"}, {"(,)", NULL}, {"1,2", "(1, 2)"}, {"1,", "(1,)"}, {"1,,", NULL},
        {"{}", "{}"}, {"{'a': 1, 'a': 2}", "{'a': 2}"}, {"{1: 2, 1.0: 3, True: 4}", "{1: 4}"}, {"{[1]: 2}", NULL},
        {"{(1,): 2}", "{(1,): 2}"}, {"{'a'}", NULL}, {"{'a': 1", NULL}, {"{'a': true}", NULL}, {"{'a' 1}", NULL},
        {" 5", "5"}, {"5 ", "5"}, {"5\n", "5"}, {"\n5", "5"}, {"\n 5", NULL}, {"  \n5", "5"}, {"  \n 5", NULL}, {"# c\n5", "5"}, {"# c\n 5", NULL}, {"\n\n  \n5", "5"},
        {"5\n \n", "5"}, {"5\n ", NULL}, {"5\n # c", "5"}, {"5\n6", NULL}, {"5\n# c", "5"}, {"\r\n5", "5"}, {"5 # five", "5"}, {"# five", NULL}, {"", NULL}, {" ", NULL},
        {"1\n2", NULL}, {"\\\n1", "1"}, {"1;", NULL}, {"...", NULL}, {"\303\251", NULL}, {"-(1)", "-1"}, {"-'a'", NULL},
        {"-[1]", NULL}, {"[-1.5e3]", "[-1500.0]"}, {"(1, [2, {'a': (3,)}])", "(1, [2, {'a': (3,)}])"},
    };
    // clang-format on
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        Value value = value_undefined();
        const bool literal = value_parse_literal(str_from(rows[i].text), arena, &value, &err);
        CHECK_INT(err.code, ERROR_NONE);
        CHECK(literal == (rows[i].expected != NULL));
        if (literal)
            CHECK_STR(repr(arena, value), str_from(rows[i].expected));
    }
    Value value = value_undefined();
    CHECK(!value_parse_literal(STR("1\0"), arena, &value, &err));
}

TEST(literals_nest_to_a_limit)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    for (int depth = 200; depth <= 201; depth++) {
        CLEANUP(buf_done) Buf text = {0};
        for (int i = 0; i < depth; i++)
            CHECK(buf_append_char(&text, '[', &err));
        for (int i = 0; i < depth; i++)
            CHECK(buf_append_char(&text, ']', &err));
        Value value = value_undefined();
        CHECK(value_parse_literal(buf_str(&text), arena, &value, &err) == (depth == 200));
        CHECK_INT(err.code, ERROR_NONE);
    }
}

TEST(floats_print_as_short_as_they_read_back)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {100, "100.0"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {-1.5e-7, "-1.5e-07"},
        {1e100, "1e+100"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {(double)INFINITY, "inf"},
        {-(double)INFINITY, "-inf"},
        {(double)NAN, "nan"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[VALUE_FLOAT_BYTES];
        check_row(rows[i].text);
        CHECK_STR(value_format_float(rows[i].number, text), str_from(rows[i].text));
    }
}

// Both as JSON and as literals of Python, since the two have different kinds of containers.
TEST(equality_is_pythons)
{
    static const struct {
        const char *left, *right;
        bool equal;
    } rows[] = {
        {"1", "1.0", true},
        {"1", "true", true},
        {"0", "false", true},
        {"1", "\"1\"", false},
        {"null", "false", false},
        {"null", "null", true},
        {"[1, 2]", "[1.0, 2]", true},
        {"[1]", "[1, 2]", false},
        {"[]", "{}", false},
        {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true},
        {"{\"a\": 1}", "{\"a\": 2}", false},
        {"{\"a\": 1}", "{\"b\": 1}", false},
        {"{\"a\": [{\"b\": null}]}", "{\"a\": [{\"b\": null}]}", true},
        {"9007199254740993", "9007199254740992.0", false}, // a cast to double would say true
        {"18446744073709551615", "18446744073709551615", true},
        {"18446744073709551615", "-1", false},
        {"9223372036854775807", "9223372036854775808.0", false},
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].left);
        const Value left = from_json(arena, rows[i].left);
        const Value right = from_json(arena, rows[i].right);
        Value left_copy = value_undefined();
        Value right_copy = value_undefined();
        CHECK_OK(value_copy(left, arena, &left_copy, &err), &err);
        CHECK_OK(value_copy(right, arena, &right_copy, &err), &err);
        CHECK(value_equal(left, right) == rows[i].equal);
        CHECK(value_equal(right, left) == rows[i].equal);
        CHECK(value_equal(left, right_copy) == rows[i].equal);
        CHECK(value_equal(left_copy, right) == rows[i].equal);
    }
    const Value item = value_int(1);
    const Value tuple = {.kind = VALUE_TUPLE, .list = {&item, 1}};
    CHECK(!value_equal(tuple, value_list(&item, 1)));
    CHECK(!value_equal(value_float((double)NAN), value_float((double)NAN)));
}

TEST(json_is_what_json_dumps_writes)
{
    static const struct {
        const char *json, *expected;
    } rows[] = {
        {"{\"a\":[1,2.0,null,true,false],\"b\":{}}",
         "{\"a\": [1, 2.0, null, true, false], \"b\": {}}"},
        {"\"\\u00e9\\ud83d\\ude00 \\\"\\\\\\n\\u0001\\u007f/\"",
         "\"\\u00e9\\ud83d\\ude00 \\\"\\\\\\n\\u0001\x7f/\""},
        {"18446744073709551615", "18446744073709551615"},
        {"[]", "[]"},
        {"1e20", "1e+20"},
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].json);
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(value_write_json(from_json(arena, rows[i].json), &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
    // Keys that are no text, as json.dumps() writes them; and what it refuses.
    const ValuePair pairs[] = {{value_int(1), value_int(2)}, {value_none(), value_bool(true)}};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(value_write_json(value_dict(pairs, 2), &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("{\"1\": 2, \"null\": true}"));
    CHECK(!value_write_json(value_undefined(), &out, &err));
    CHECK_INT(err.code, ERROR_DATA);
    err = (Error){0};
    CHECK(!value_write_json(value_float((double)NAN), &out, &err));
    CHECK_INT(err.code, ERROR_DATA);
}

TEST(containers_of_both_makes_are_read_alike)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Value json = from_json(arena, "{\"a\": 1, \"b\": [5, \"x\"], \"c\": null}");
    Value copy = value_undefined();
    CHECK_OK(value_copy(json, arena, &copy, &err), &err);
    const ValueObject object = {copy, NULL, 0};
    const Value all[] = {json, copy, value_object(&object)};
    for (size_t i = 0; i < COUNT(all); i++) {
        CHECK(value_is_mapping(all[i]) && !value_is_sequence(all[i]) && value_is_true(all[i]));
        CHECK_INT((int64_t)value_count(all[i]), 3);
        CHECK_INT(value_get(all[i], STR("a")).integer, 1);
        CHECK_INT(value_get(all[i], STR("c")).kind, VALUE_NONE);
        CHECK_INT(value_get(all[i], STR("d")).kind, VALUE_UNDEFINED);
        CHECK_INT(value_get_key(all[i], value_int(1)).kind, VALUE_UNDEFINED);
        CHECK_STR(value_pair(all[i], 1).key.text, STR("b"));
        CHECK_INT(value_pair(all[i], 3).key.kind, VALUE_UNDEFINED);
        const Value list = value_get(all[i], STR("b"));
        CHECK(value_is_sequence(list) && !value_is_mapping(list));
        CHECK_STR(value_item(list, 1).text, STR("x"));
        CHECK_INT(value_item(list, 2).kind, VALUE_UNDEFINED);
        CHECK_STR(repr(arena, all[i]), STR("{'a': 1, 'b': [5, 'x'], 'c': None}"));
    }
    CHECK_INT((int64_t)value_count(value_str(STR("\303\251x"))), 2);
    CHECK_INT(value_item(value_str(STR("x")), 0).kind, VALUE_UNDEFINED);
    CHECK_INT(value_json(NULL).kind, VALUE_UNDEFINED);
}

TEST(truth_is_pythons)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    static const struct {
        const char *json;
        bool truth;
    } rows[] = {{"null", false}, {"false", false}, {"true", true},  {"0", false},
                {"0.0", false},  {"-1", true},     {"\"\"", false}, {"\"0\"", true},
                {"[]", false},   {"[0]", true},    {"{}", false},   {"{\"a\": 0}", true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].json);
        CHECK(value_is_true(from_json(arena, rows[i].json)) == rows[i].truth);
    }
    CHECK(!value_is_true(value_undefined()));
    CHECK(value_is_true((Value){.kind = VALUE_GENERATOR}));
    CHECK(value_is_true((Value){.kind = VALUE_DATE}));
    CHECK(!value_is_true((Value){.kind = VALUE_TIMEDELTA}));
}

// Python would round it; expressions do, records keep it.
TEST(a_float_remembers_digits_that_a_double_has_not)
{
    FAULTS() {
        Error err = {0};
        yyjson_doc *doc = NULL;
        Value copy = value_undefined();
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(arena_freep) Arena *page = arena_new(RUN_BYTES, &err);
        const bool ok = arena != NULL && page != NULL &&
                        json_parse(STR("12345678901234567.89"), "t", page, &doc, &err) &&
                        value_copy(value_json(yyjson_doc_get_root(doc)), arena, &copy, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        if (!ok)
            continue;
        arena_reset(page);
        CHECK_INT(copy.kind, VALUE_FLOAT);
        CHECK(copy.number == 12345678901234568.0);
        CHECK_STR(str_from(yyjson_get_raw(copy.sent)), STR("12345678901234567.89"));
    }
    CHECK(value_float(1).sent == NULL);
}

TEST(literals_and_copies_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        Value value = value_undefined();
        Value copy = value_undefined();
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        const Str text = STR("{'a': [1, 'x\\n' 'y', -123456789012345678901, (None,)]}");
        const bool ok = arena != NULL && value_parse_literal(text, arena, &value, &err) &&
                        value_copy(value, arena, &copy, &err) && value_write_json(copy, &out, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        if (ok)
            CHECK_STR(buf_str(&out),
                      STR("{\"a\": [1, \"x\\ny\", -123456789012345678901, [null]]}"));
    }
}
