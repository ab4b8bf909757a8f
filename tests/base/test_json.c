#include "base/json.h"

#include "harness/check.h"

#include <stdlib.h>

enum { RUN_BYTES = 8 * 1024 * 1024 };

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// Parses `text` and writes it again; the message stands in for text that is refused.
static Str written(Str text, bool canonical, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    CLEANUP(buf_done) Buf out = {0};
    Str copy = {0};
    if (json_parse(text, "t", arena, &doc, &err)) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        CHECK_OK(canonical ? json_write_canonical(root, &out, &err) : json_write(root, &out, &err),
                 &err);
        CHECK_OK(arena_copy_str(arena, buf_str(&out), &copy, &err), &err);
    } else {
        CHECK_OK(arena_copy_str(arena, str_from(err.message), &copy, &(Error){0}), &err);
    }
    return copy;
}

TEST(parse_names_the_place_of_an_error)
{
    const struct {
        const char *name;
        Str text;
        const char *expected; // what the message starts with
    } rows[] = {
        {"nothing", STR(""), "t: empty, which is not JSON"},
        {"blanks", STR("  \n"), "t: line 1, column 1: "},
        {"missing value", STR("{\n  \"a\": 1,\n  \"b\": }"), "t: line 3, column 8: "},
        {"behind the document", STR("{} x"), "t: line 1, column 4: "},
        {"two documents", STR("1 2"), "t: line 1, column 3: "},
        {"trailing comma", STR("[1,]"), "t: line 1, column 3: "},
        {"comment", STR("[1 // one\n]"), "t: line 1, column 4: "},
        {"not a number", STR("[NaN]"), "t: line 1, column 2: "},
        {"leading zero", STR("[01]"), "t: line 1, column 2: "},
        {"single quotes", STR("['a']"), "t: line 1, column 2: "},
        {"cut in a string", STR("[\"abc"), "t: line 1, column "},
        {"invalid UTF-8", STR("[\"\xC3\x28\"]"), "t: line 1, column 3: "},
        {"NUL in a string", STR("[\"a\0b\"]"), "t: line 1, column "},
        {"lone surrogate", STR("[\"\\ud800\"]"), "t: line 1, column "},
        {"UTF-16", STR("\xFF\xFE[\0]\0"), "t: line 1, column 1: UTF-16"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        CHECK(!json_parse(rows[i].text, "t", arena, &doc, &err));
        CHECK(doc == NULL);
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_STR(str_slice(str_from(err.message), 0, strlen(rows[i].expected)),
                  str_from(rows[i].expected));
    }
}

TEST(parse_skips_a_byte_order_mark)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CHECK_STR(written(STR("\xEF\xBB\xBF{}"), false, arena), STR("{}"));
    CHECK_STR(written(STR("\xEF\xBB\xBF"), false, arena), STR("t: empty, which is not JSON"));
}

static Str nested(char open, size_t depth, char close, Arena *arena)
{
    Error err = {0};
    const size_t unit = open == '{' ? 5 : 1; // {"a":
    char *text = arena_alloc(arena, depth * (unit + 1) + 1, &err);
    CHECK(text != NULL);
    for (size_t i = 0; i < depth; i++)
        memcpy(text + i * unit, open == '{' ? "{\"a\":" : "[", unit);
    text[depth * unit] = '7';
    memset(text + depth * unit + 1, close, depth);
    return (Str){text, depth * (unit + 1) + 1};
}

TEST(depth_is_bounded)
{
    const struct {
        const char *name;
        char open;
        size_t depth;
        bool ok;
    } rows[] = {
        {"arrays at the limit", '[', JSON_DEPTH_MAX, true},
        {"arrays one deeper", '[', JSON_DEPTH_MAX + 1, false},
        {"objects at the limit", '{', JSON_DEPTH_MAX, true},
        {"objects one deeper", '{', JSON_DEPTH_MAX + 1, false},
        {"ten thousand", '[', 10000, false},
        {"a hundred thousand", '{', 100000, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(16 * RUN_BYTES, &err);
        const char close = rows[i].open == '{' ? '}' : ']';
        const Str text = nested(rows[i].open, rows[i].depth, close, arena);
        const Str out = written(text, true, arena);
        CHECK_STR(out, rows[i].ok ? text : STR("t: nested more than 512 deep"));
    }
}

// Breadth is not depth: many containers side by side stay one level deep each.
TEST(depth_counts_levels_only)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    CLEANUP(buf_done) Buf text = {0};
    CHECK_OK(buf_append_char(&text, '[', &err), &err);
    for (int i = 0; i < 2000; i++)
        CHECK_OK(buf_append(&text, i == 0 ? STR("[[],{}]") : STR(",[[],{}]"), &err), &err);
    CHECK_OK(buf_append_char(&text, ']', &err), &err);
    CHECK_STR(written(buf_str(&text), false, arena), buf_str(&text));
}

TEST(writing_is_compact_and_canonical)
{
    const struct {
        const char *name;
        Str text, plain, canonical;
    } rows[] = {
        {"scalars", STR(" [ null , true , false ] "), STR("[null,true,false]"),
         STR("[null,true,false]")},
        {"empty containers", STR("{\"a\":{},\"b\":[]}"), STR("{\"a\":{},\"b\":[]}"),
         STR("{\"a\":{},\"b\":[]}")},
        {"members sorted at every level",
         STR("{\"b\":{\"d\":1,\"c\":2},\"a\":[{\"f\":3,\"e\":4}]}"),
         STR("{\"b\":{\"d\":1,\"c\":2},\"a\":[{\"f\":3,\"e\":4}]}"),
         STR("{\"a\":[{\"e\":4,\"f\":3}],\"b\":{\"c\":2,\"d\":1}}")},
        {"names that begin alike",
         STR("{\"tracking_number_id\":1,\"tracking_number\":2,\"tracking_numbea\":3,\"\":4}"),
         STR("{\"tracking_number_id\":1,\"tracking_number\":2,\"tracking_numbea\":3,\"\":4}"),
         STR("{\"\":4,\"tracking_numbea\":3,\"tracking_number\":2,\"tracking_number_id\":1}")},
        {"bytes, not letters", STR("{\"\xC3\xA9\":1,\"z\":2,\"A\":3,\"a\\u0000\":4,\"a\":5}"),
         STR("{\"\xC3\xA9\":1,\"z\":2,\"A\":3,\"a\\u0000\":4,\"a\":5}"),
         STR("{\"A\":3,\"a\":5,\"a\\u0000\":4,\"z\":2,\"\xC3\xA9\":1}")},
        {"duplicates keep their order", STR("{\"b\":1,\"a\":2,\"b\":0,\"a\":3}"),
         STR("{\"b\":1,\"a\":2,\"b\":0,\"a\":3}"), STR("{\"a\":2,\"a\":3,\"b\":1,\"b\":0}")},
        {"shortest escapes", STR("\"\\u0041\\/\\u000a\\u001f\\u007f\\\"\\\\\\b\\f\\r\\t\""),
         STR("\"A/\\n\\u001f\x7f\\\"\\\\\\b\\f\\r\\t\""),
         STR("\"A/\\n\\u001f\x7f\\\"\\\\\\b\\f\\r\\t\"")},
        {"a surrogate pair becomes UTF-8", STR("\"\\ud83d\\ude00 \\u20ac\""),
         STR("\"\xF0\x9F\x98\x80 \xE2\x82\xAC\""), STR("\"\xF0\x9F\x98\x80 \xE2\x82\xAC\"")},
        {"integers as they are", STR("[0,-1,9223372036854775807,-9223372036854775808]"),
         STR("[0,-1,9223372036854775807,-9223372036854775808]"),
         STR("[0,-1,9223372036854775807,-9223372036854775808]")},
        {"the largest unsigned", STR("18446744073709551615"), STR("18446744073709551615"),
         STR("18446744073709551615")},
        {"too large for any integer", STR("[18446744073709551616,-9223372036854775809]"),
         STR("[18446744073709551616,-9223372036854775809]"),
         STR("[18446744073709551616,-9223372036854775809]")},
        {"too large for a double", STR("[1e400,-1E+400]"), STR("[1e400,-1E+400]"),
         STR("[1e400,-1E+400]")},
        {"whole doubles", STR("[1.0,-0.0,100.00,1E2]"), STR("[1.0,-0.0,100.0,100.0]"),
         STR("[1,0,100,100]")},
        // RFC 8785, section 3.2.2, less 333333333.33333329, which would lose a digit.
        {"the RFC's numbers",
         STR("[333333333.3333333,1E30,4.50,2e-3,0.000000000000000000000000001]"),
         STR("[333333333.3333333,1e30,4.5,0.002,1e-27]"),
         STR("[333333333.3333333,1e+30,4.5,0.002,1e-27]")},
        {"the RFC's string", STR("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\""),
         STR("\"\xE2\x82\xAC$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""),
         STR("\"\xE2\x82\xAC$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CHECK_STR(written(rows[i].text, false, arena), rows[i].plain);
        CHECK_STR(written(rows[i].text, true, arena), rows[i].canonical);
        // Canonical text is its own canonical text.
        CHECK_STR(written(rows[i].canonical, true, arena), rows[i].canonical);
    }
}

// RFC 8785, appendix B: bits of a double and what ECMAScript prints.
TEST(doubles_are_written_as_ecmascript_does)
{
    const struct {
        uint64_t bits;
        const char *expected;
    } rows[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].expected);
        Error err = {0};
        yyjson_val value = {.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL};
        memcpy(&value.uni.f64, &rows[i].bits, sizeof(rows[i].bits));
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(json_write_canonical(&value, &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
}

TEST(an_infinite_double_is_refused)
{
    Error err = {0};
    yyjson_val value = {.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL};
    const uint64_t infinity = 0x7ff0000000000000;
    memcpy(&value.uni.f64, &infinity, sizeof(infinity));
    CLEANUP(buf_done) Buf out = {0};
    CHECK(!json_write(&value, &out, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_INT((int64_t)out.size, 0);
}

// Objects on both sides of what is sorted without memory, in the worst order: descending.
TEST(large_objects_are_sorted_too)
{
    for (int count = 30; count <= 200; count += 85) {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        CLEANUP(buf_done) Buf text = {0};
        CLEANUP(buf_done) Buf expected = {0};
        for (int i = 0; i < count; i++) {
            const int down = count - 1 - i;
            CHECK_OK(buf_printf(&text, &err, "%c\"member_%03d\":%d", i == 0 ? '{' : ',', down, i),
                     &err);
            CHECK_OK(
                buf_printf(&expected, &err, "%c\"member_%03d\":%d", i == 0 ? '{' : ',', i, down),
                &err);
        }
        CHECK_OK(buf_append_char(&text, '}', &err), &err);
        CHECK_OK(buf_append_char(&expected, '}', &err), &err);
        CHECK_STR(written(buf_str(&text), true, arena), buf_str(&expected));
    }
}

// RFC 6901, section 5.
TEST(pointers_follow_the_rfc)
{
    const Str text =
        STR("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
            "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,\"~1\":9}");
    const struct {
        const char *pointer;
        const char *expected; // NULL = nothing there
    } rows[] = {
        {"/foo", "[\"bar\",\"baz\"]"},
        {"/foo/0", "\"bar\""},
        {"/foo/1", "\"baz\""},
        {"/", "0"},
        {"/a~1b", "1"},
        {"/c%d", "2"},
        {"/e^f", "3"},
        {"/g|h", "4"},
        {"/i\\j", "5"},
        {"/k\"l", "6"},
        {"/ ", "7"},
        {"/m~0n", "8"},
        {"/~01", "9"},
        {"/foo/2", NULL},
        {"/foo/-", NULL},
        {"/foo/00", NULL},
        {"/foo/01", NULL},
        {"/foo/x", NULL},
        {"/foo/99999999999999999999", NULL},
        {"/foo/0/x", NULL},
        {"/nothing", NULL},
        {"foo", NULL},
        {"/m~2n", NULL},
        {"/m~", NULL},
    };
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(text, "t", arena, &doc, &err), &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK(json_pointer(root, STR("")) == root);
    CHECK(json_pointer(root, (Str){NULL, 0}) == root);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].pointer);
        yyjson_val *found = json_pointer(root, str_from(rows[i].pointer));
        CHECK((found != NULL) == (rows[i].expected != NULL));
        if (found == NULL)
            continue;
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(json_write(found, &out, &err), &err);
        CHECK_STR(buf_str(&out), str_from(rows[i].expected));
    }
}

TEST(names_become_steps_of_a_pointer_and_back)
{
    static const struct {
        const char *name, *step;
    } rows[] = {
        {"", ""}, {"a", "a"}, {"a/b", "a~1b"}, {"m~n", "m~0n"}, {"~1", "~01"}, {"/~/", "~1~0~1"},
    };
    Error err = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        CLEANUP(buf_done) Buf step = {0};
        CLEANUP(buf_done) Buf name = {0};
        CHECK_OK(json_write_step(str_from(rows[i].name), &step, &err), &err);
        CHECK_STR(buf_str(&step), str_from(rows[i].step));
        CHECK_OK(json_read_step(buf_str(&step), &name, &err), &err);
        CHECK_STR(buf_str(&name), str_from(rows[i].name));
    }
    // A '~' that nothing follows is no escape.
    CLEANUP(buf_done) Buf name = {0};
    CHECK_OK(json_read_step(STR("a~"), &name, &err), &err);
    CHECK_STR(buf_str(&name), STR("a~"));
}

TEST(members_are_found_by_name)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(
        json_parse(STR("{\"a\\u0000b\":\"x\\u0000y\",\"a\":1,\"a\":2}"), "t", arena, &doc, &err),
        &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_STR(json_str(json_get(root, STR("a\0b"))), STR("x\0y"));
    CHECK_INT(yyjson_get_int(json_get(root, STR("a"))), 1); // of duplicates the first
    CHECK(json_get(root, STR("b")) == NULL);
    CHECK(json_get(NULL, STR("b")) == NULL);
    CHECK(json_get(json_get(root, STR("a")), STR("b")) == NULL);
}

TEST(strings_are_escaped_and_mended)
{
    const struct {
        const char *name;
        Str text, expected;
    } rows[] = {
        {"nothing", STR(""), STR("\"\"")},
        {"no bytes at all", {NULL, 0}, STR("\"\"")},
        {"plain", STR("caller, who waits"), STR("\"caller, who waits\"")},
        {"escape in the first eight", STR("a\"bcdefghijk"), STR("\"a\\\"bcdefghijk\"")},
        {"escape in the second eight", STR("abcdefghijk\\l"), STR("\"abcdefghijk\\\\l\"")},
        {"escape behind the last eight", STR("abcdefgh\n"), STR("\"abcdefgh\\n\"")},
        {"control", STR("\0\x01\x1f"), STR("\"\\u0000\\u0001\\u001f\"")},
        {"bytes near the escapes", STR("!#[]\x7f !#[]\x7f "), STR("\"!#[]\x7f !#[]\x7f \"")},
        {"UTF-8", STR("\xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80"),
         STR("\"\xC3\xA9t\xC3\xA9 \xF0\x9F\x98\x80\"")},
        {"a stray byte",
         STR("a\xFF"
             "b"),
         STR("\"a\xEF\xBF\xBD"
             "b\"")},
        {"cut sequence at the end", STR("ab\xE2\x82"), STR("\"ab\xEF\xBF\xBD\xEF\xBF\xBD\"")},
        {"all wrong", STR("\x80\xC0"), STR("\"\xEF\xBF\xBD\xEF\xBF\xBD\"")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CHECK_OK(json_write_str(rows[i].text, &out, &err), &err);
        CHECK_STR(buf_str(&out), rows[i].expected);
    }
}

// One of every byte, at every position of a word, against the plain rule.
TEST(every_byte_is_escaped_wherever_it_stands)
{
    for (int c = 0; c < 128; c++) {
        for (size_t at = 0; at < 17; at++) {
            Error err = {0};
            char text[17];
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            CLEANUP(buf_done) Buf out = {0};
            CHECK_OK(json_write_str((Str){text, sizeof(text)}, &out, &err), &err);
            const bool short_form = strchr("\b\t\n\f\r\"\\", c) != NULL && c != 0;
            const size_t size = c < 0x20 || short_form ? (short_form ? 2 : 6) : 1;
            CHECK_INT((int64_t)out.size, (int64_t)(sizeof(text) - 1 + size + 2));
        }
    }
}

TEST(place_counts_lines_and_bytes)
{
    const struct {
        Str text;
        size_t offset, line, column;
    } rows[] = {
        {STR(""), 0, 1, 1},          {STR("abc"), 2, 1, 3},    {STR("a\nbc"), 1, 1, 2},
        {STR("a\nbc"), 2, 2, 1},     {STR("a\n\nb"), 3, 3, 1}, {STR("a\nbc"), 99, 2, 3},
        {STR("\xC3\xA9x"), 2, 1, 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t line = 0;
        size_t column = 0;
        json_place(rows[i].text, rows[i].offset, &line, &column);
        CHECK_INT((int64_t)line, (int64_t)rows[i].line);
        CHECK_INT((int64_t)column, (int64_t)rows[i].column);
    }
}

TEST(a_full_arena_is_a_limit_not_bad_data)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(64, &err);
    yyjson_doc *doc = NULL;
    CHECK(!json_parse(STR("[1,2,3,4,5,6,7,8,9,10,11,12,13,14]"), "page 3", arena, &doc, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_CONTAINS(str_from(err.message), STR("page 3: arena: "));
}

TEST(a_full_buffer_keeps_what_it_held)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(STR("{\"b\":[1,2,3],\"a\":\"0123456789\"}"), "t", arena, &doc, &err), &err);
    for (size_t limit = 4; limit < 4 + 30; limit++) {
        CLEANUP(buf_done) Buf out = {.limit_bytes = limit};
        CHECK_OK(buf_append(&out, STR("kept"), &err), &err);
        CHECK(!json_write_canonical(yyjson_doc_get_root(doc), &out, &err)); // 30 bytes
        CHECK_STR(buf_str(&out), STR("kept"));
        CHECK_INT(err.code, ERROR_LIMIT);
        CHECK(!json_write_str(STR("0123456789012345678901234567890"), &out, &err));
        CHECK_STR(buf_str(&out), STR("kept"));
    }
}

TEST(json_survives_every_fault)
{
    CLEANUP(buf_done) Buf text = {0};
    Error ignored = {0};
    for (int i = 40; i > 0; i--)
        CHECK(buf_printf(&text, &ignored, "%c\"m%02d\":\"%0600d\"", i == 40 ? '{' : ',', i, i));
    CHECK(buf_append_char(&text, '}', &ignored));
    FAULTS() {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        const bool ok = arena != NULL && json_parse(buf_str(&text), "t", arena, &doc, &err) &&
                        json_write_canonical(yyjson_doc_get_root(doc), &out, &err) &&
                        json_write_str(STR("a\xFFz"), &out, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok || err.code == ERROR_LIMIT);
    }
}

TEST(what_others_send_need_not_be_utf8)
{
    const struct {
        const char *name;
        Str text, expected; // the string in the array
        bool plain;         // nothing in it needs care
    } cases[] = {
        {"plain", STR("[\"abc\"]"), STR("abc"), true},
        {"utf-8", STR("[\"h\xC3\xA9\"]"), STR("h\xC3\xA9"), true},
        {"stray byte", STR("[\"h\xE9\"]"), STR("h\xE9"), false},
        {"cut short", STR("[\"h\xC3\"]"), STR("h\xC3"), false},
        {"surrogate as bytes", STR("[\"\xED\xA0\x80\"]"), STR("\xED\xA0\x80"), false},
        {"lone high", STR("[\"a\\uD800b\"]"),
         STR("a\xED\xA0\x80"
             "b"),
         false},
        {"lone low", STR("[\"\\udfff\"]"), STR("\xED\xBF\xBF"), false},
        {"two highs", STR("[\"\\uD83D\\uD83D\\uDE00\"]"), STR("\xED\xA0\xBD\xF0\x9F\x98\x80"),
         false},
        {"high, then a word", STR("[\"\\ud800\\n\"]"), STR("\xED\xA0\x80\n"), false},
        {"a backslash before it", STR("[\"\\\\ud800\\udc00\"]"), STR("\\ud800\xED\xB0\x80"), false},
        {"at the end", STR("[\"\\ud800\"]"), STR("\xED\xA0\x80"), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse_lenient(cases[i].text, "t", arena, &doc, &err), &err);
        CHECK_INT(err.code, ERROR_NONE);
        yyjson_val *value = yyjson_arr_get_first(yyjson_doc_get_root(doc));
        CHECK_STR(json_str(value), cases[i].expected);
        CHECK_INT(yyjson_get_subtype(value) == YYJSON_SUBTYPE_NOESC, cases[i].plain);
    }
}

TEST(lenient_is_about_text_only)
{
    const Str texts[] = {STR("[\"\\ud800\""), STR("[\"\\x\"]"), STR("[1e]"), STR(""),
                         STR("[\"\\ud80\"]")};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        CHECK(!json_parse_lenient(texts[i], "t", arena, &doc, &err));
        CHECK_INT(err.code, ERROR_DATA);
    }
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        yyjson_doc *doc = NULL;
        const bool ok =
            arena != NULL && json_parse_lenient(STR("[\"\\ud800\"]"), "t", arena, &doc, &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
}

TEST(members_are_picked_by_name)
{
    static const char *const names[] = {"a", "c", NULL};
    FAULTS() {
        const int nth = fault_nth;
        fault_arm(0);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(1024 * 1024, &err);
        yyjson_doc *doc = NULL;
        CHECK_OK(json_parse(STR("{\"a\":1,\"b\":{\"x\":[1e400]},\"c\":\"t\",\"d\":null}"), "test",
                            arena, &doc, &err),
                 &err);
        yyjson_val *root = yyjson_doc_get_root(doc);
        yyjson_val *listed = NULL;
        yyjson_val *others = NULL;
        yyjson_val *none = NULL;
        fault_arm(nth);
        const bool ok = json_pick(root, names, true, arena, &listed, &err) &&
                        json_pick(root, names, false, arena, &others, &err) &&
                        json_pick(NULL, names, true, arena, &none, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        if (!ok)
            continue;
        CLEANUP(buf_done) Buf text = {0};
        CHECK(json_write(listed, &text, &err) && json_write(others, &text, &err) &&
              json_write(none, &text, &err));
        CHECK_STR(buf_str(&text), STR("{\"a\":1,\"c\":\"t\"}{\"b\":{\"x\":[1e400]},\"d\":null}{}"));
    }
}
