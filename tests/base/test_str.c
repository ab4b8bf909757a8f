#include "base/str.h"

#include "harness/check.h"

#include <math.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define NOTHING     ((Str){NULL, 0})

TEST(equality_and_order)
{
    CHECK(str_equal(NOTHING, STR("")));
    CHECK(str_equal(STR("a\0b"), STR("a\0b")));
    CHECK(!str_equal(STR("a\0b"), STR("a\0c")));
    CHECK(!str_equal(STR("a"), STR("ab")));
    CHECK(str_equal_ignoring_case(STR("Retry-After"), STR("rETRY-aFTER")));
    CHECK(!str_equal_ignoring_case(STR("retry"), STR("retrz")));
    CHECK(!str_equal_ignoring_case(STR("@"), STR("`")));               // 32 apart, yet no letters
    CHECK(!str_equal_ignoring_case(STR("\xC3\x84"), STR("\xC3\xA4"))); // ASCII only
    CHECK(str_equal_ignoring_case(NOTHING, NOTHING));
    CHECK(str_compare(STR("a"), STR("b")) < 0);
    CHECK(str_compare(STR("b"), STR("a")) > 0);
    CHECK(str_compare(STR("a"), STR("ab")) < 0);
    CHECK(str_compare(STR("\xFF"), STR("a")) > 0); // bytes are not signed
    CHECK(str_compare(NOTHING, STR("")) == 0);
    CHECK(str_compare(NOTHING, STR("a")) < 0);
}

TEST(starts_ends_and_slices)
{
    CHECK(str_starts_with(STR("abc"), STR("ab")));
    CHECK(str_starts_with(STR("abc"), NOTHING));
    CHECK(str_starts_with(NOTHING, NOTHING));
    CHECK(!str_starts_with(STR("ab"), STR("abc")));
    CHECK(str_ends_with(STR("abc"), STR("bc")));
    CHECK(str_ends_with(STR("abc"), NOTHING));
    CHECK(!str_ends_with(STR("bc"), STR("abc")));
    CHECK_STR(str_slice(STR("abcdef"), 2, 3), STR("cde"));
    CHECK_STR(str_slice(STR("abcdef"), 4, 99), STR("ef"));
    CHECK_STR(str_slice(STR("abcdef"), 99, 1), STR(""));
    CHECK_STR(str_slice(STR("abcdef"), 1, SIZE_MAX), STR("bcdef"));
    CHECK(str_slice(NOTHING, 3, 4).data == NULL);
    CHECK_STR(str_from(""), STR(""));
}

TEST(finding)
{
    const struct {
        Str text, needle;
        size_t expected;
    } rows[] = {
        {STR("abcabd"), STR("abd"), 3}, {STR("abc"), STR("abc"), 0}, {STR("abc"), STR("abcd"), 3},
        {STR("aaab"), STR("ab"), 2},    {STR("abc"), STR("x"), 3},   {STR("abc"), STR(""), 0},
        {STR("xa"), STR("ab"), 2},      {NOTHING, STR("a"), 0},      {NOTHING, NOTHING, 0},
        {STR("a\0b"), STR("\0b"), 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        CHECK_INT((int64_t)str_find(rows[i].text, rows[i].needle), (int64_t)rows[i].expected);
    CHECK_INT((int64_t)str_find_char(STR("abc"), 'c'), 2);
    CHECK_INT((int64_t)str_find_char(STR("abc"), 'x'), 3);
    CHECK_INT((int64_t)str_find_char(NOTHING, 'x'), 0);
}

TEST(trimming)
{
    CHECK_STR(str_trim(STR(" \t\r\n\v\fa b\n ")), STR("a b"));
    CHECK_STR(str_trim(STR(" \n ")), STR(""));
    CHECK_STR(str_trim(NOTHING), STR(""));
    CHECK_STR(str_trim(STR("\xC2\xA0x")), STR("\xC2\xA0x")); // no ASCII white space
}

TEST(splitting_yields_every_piece)
{
    const struct {
        Str text;
        const char *pieces[4];
        int count;
    } rows[] = {
        {STR("a,b,c"), {"a", "b", "c"}, 3},
        {STR("a"), {"a"}, 1},
        {STR(""), {""}, 1},
        {STR(","), {"", ""}, 2},
        {STR("a,,b"), {"a", "", "b"}, 3},
        {NOTHING, {NULL}, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Str rest = rows[i].text;
        int count = 0;
        while (rest.data != NULL) {
            CHECK(count < rows[i].count);
            CHECK_STR(str_split_next(&rest, ','), str_from(rows[i].pieces[count]));
            count++;
        }
        CHECK_INT(count, rows[i].count);
    }
}

TEST(integers)
{
    const struct {
        Str text;
        bool ok;
        int64_t value;
    } rows[] = {
        {STR("0"), true, 0},
        {STR("-0"), true, 0},
        {STR("+7"), true, 7},
        {STR("007"), true, 7},
        {STR("9223372036854775807"), true, INT64_MAX},
        {STR("9223372036854775808"), false, 0},
        {STR("-9223372036854775808"), true, INT64_MIN},
        {STR("-9223372036854775809"), false, 0},
        {STR("99999999999999999999999"), false, 0},
        {STR(""), false, 0},
        {NOTHING, false, 0},
        {STR("-"), false, 0},
        {STR("1x"), false, 0},
        {STR(" 1"), false, 0},
        {STR("1.0"), false, 0},
        {STR("--1"), false, 0},
        {STR("1\0"), false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 0;
        CHECK(str_to_int64(rows[i].text, &value) == rows[i].ok);
        CHECK_INT(value, rows[i].value);
    }
}

TEST(doubles)
{
    const struct {
        Str text;
        bool ok;
        double value;
    } rows[] = {
        {STR("-1.5e3"), true, -1500},
        {STR("0.1"), true, 0.1},
        {STR("1E2"), true, 100},
        {STR("5e-324"), true, 5e-324},
        {STR("1.7976931348623157e308"), true, 1.7976931348623157e308},
        {STR("1e-400"), true, 0},
        {STR("1e309"), false, 0},
        {STR("-1e309"), false, 0},
        {STR("inf"), false, 0},
        {STR("nan"), false, 0},
        {STR("0x10"), false, 0},
        {STR(" 1"), false, 0},
        {STR("1 "), false, 0},
        {STR("1,5"), false, 0},
        {STR(""), false, 0},
        {NOTHING, false, 0},
        {STR("e"), false, 0},
        {STR("1e"), false, 0},
        {STR("1.2.3"), false, 0},
        {STR("."), false, 0},
        {STR("--1"), false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text.size == 0 ? "empty" : rows[i].text.data);
        double value = 0;
        CHECK(str_to_double(rows[i].text, &value) == rows[i].ok);
        CHECK(fabs(value - rows[i].value) <= fabs(rows[i].value) * 1e-15);
    }
    char digits[402];
    memset(digits, '0', sizeof(digits));
    digits[0] = '1';
    digits[1] = '.';
    double value = 0;
    CHECK(str_to_double((Str){digits, 400}, &value)); // the longest, and one more
    CHECK(!str_to_double((Str){digits, 401}, &value));
}

TEST(distances)
{
    char longer[65];
    memset(longer, 'a', sizeof(longer));
    const struct {
        Str a, b;
        size_t expected;
    } rows[] = {
        {STR("memory"), STR("memory"), 0},
        {STR("memory"), STR("MEMORY"), 0},
        {STR("memory"), STR("memry"), 1},
        {STR("memory"), STR("memorry"), 1},
        {STR("memory"), STR("menory"), 1},
        {STR("memory"), STR("meomry"), 1},
        {STR("kitten"), STR("sitting"), 3},
        {STR("abc"), STR(""), 3},
        {NOTHING, NOTHING, 0},
        {STR("ca"), STR("abc"), 3}, // no edit of what was swapped
        {{longer, 64}, {longer, 64}, 0},
        {{longer, 65}, {longer, 65}, 64},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK_INT((int64_t)str_distance(rows[i].a, rows[i].b), (int64_t)rows[i].expected);
        CHECK_INT((int64_t)str_distance(rows[i].b, rows[i].a), (int64_t)rows[i].expected);
    }
}

// Unicode 15, table 3-7, and its neighbours.
TEST(utf8_is_checked)
{
    const struct {
        const char *name;
        Str text;
        size_t good; // bytes before the first wrong one
    } rows[] = {
        {"nothing", NOTHING, 0},
        {"ASCII", STR("plain text, long enough for words"), 33},
        {"two bytes, first", STR("\xC2\x80"), 2},
        {"two bytes, last", STR("\xDF\xBF"), 2},
        {"three bytes, first", STR("\xE0\xA0\x80"), 3},
        {"before the surrogates", STR("\xED\x9F\xBF"), 3},
        {"behind the surrogates", STR("\xEE\x80\x80"), 3},
        {"U+FFFF", STR("\xEF\xBF\xBF"), 3},
        {"four bytes, first", STR("\xF0\x90\x80\x80"), 4},
        {"U+10FFFF", STR("\xF4\x8F\xBF\xBF"), 4},
        {"NUL is a character", STR("\0"), 1},
        {"stray continuation", STR("a\x80"), 1},
        {"overlong slash", STR("\xC0\xAF"), 0},
        {"overlong two", STR("\xC1\xBF"), 0},
        {"overlong three", STR("\xE0\x9F\xBF"), 0},
        {"overlong four", STR("\xF0\x8F\xBF\xBF"), 0},
        {"high surrogate", STR("\xED\xA0\x80"), 0},
        {"low surrogate", STR("\xED\xBF\xBF"), 0},
        {"U+110000", STR("\xF4\x90\x80\x80"), 0},
        {"F5", STR("\xF5\x80\x80\x80"), 0},
        {"FE", STR("\xFE"), 0},
        {"FF", STR("\xFF"), 0},
        {"cut after one of two", STR("ab\xC3"), 2},
        {"cut after two of three", STR("\xE2\x82"), 0},
        {"cut after three of four", STR("\xF0\x9F\x98"), 0},
        {"second is ASCII", STR("\xC3("), 0},
        {"third is ASCII", STR("\xE2\x82("), 0},
        {"fourth is a lead", STR("\xF0\x9F\x98\xC3"), 0},
        {"wrong in the second word", STR("0123456789\xFF"), 10},
        {"wrong behind a word and a letter", STR("01234567\xC3\xA9\xFF"), 10},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        CHECK_INT((int64_t)str_utf8_size(rows[i].text), (int64_t)rows[i].good);
        CHECK(str_is_utf8(rows[i].text) == (rows[i].good == rows[i].text.size));
    }
}
