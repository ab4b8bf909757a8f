// Decimal: exact, or not at all.
#include "contract/decimal.h"
#include "harness/check.h"

TEST(decimals_are_read_exactly)
{
    static const struct {
        const char *text;
        int precision, scale;
        bool fits;
        int64_t high;
        uint64_t low;
    } cases[] = {
        {"0", 18, 2, true, 0, 0},
        {"-0", 18, 2, true, 0, 0},
        {"12.5", 18, 2, true, 0, 1250},
        {"-12.50", 18, 2, true, -1, (uint64_t)-1250},
        {"+7", 18, 0, true, 0, 7},
        {".5", 18, 1, true, 0, 5},
        {"5.", 18, 1, true, 0, 50},
        {"1e3", 18, 2, true, 0, 100000},
        {"1500e-2", 18, 0, true, 0, 15},
        {"1501e-2", 18, 0, false, 0, 0},
        {"1E+2", 18, 0, true, 0, 100},
        {"0.1000000000000000055", 19, 19, true, 0, UINT64_C(1000000000000000055)},
        {"0.30", 18, 1, true, 0, 3},
        {"0.31", 18, 1, false, 0, 0},
        {"99.99", 4, 2, true, 0, 9999},
        {"100", 4, 2, false, 0, 0},
        {"0000000000000000000000000000000000000000001", 4, 2, true, 0, 100},
        {"18446744073709551616", 20, 0, true, 1, 0},
        {"-18446744073709551616", 20, 0, true, -1, 0},
        {"-18446744073709551617", 20, 0, true, -2, UINT64_MAX},
        // 10^38 - 1 = 0x4B3B4CA85A86C47A098A223FFFFFFFFF
        {"99999999999999999999999999999999999999", 38, 0, true, INT64_C(0x4B3B4CA85A86C47A),
         UINT64_C(0x098A223FFFFFFFFF)},
        {"100000000000000000000000000000000000000", 38, 0, false, 0, 0},
        {"1e37", 38, 0, true, INT64_C(0x0785EE10D5DA46D9), UINT64_C(0x00F436A000000000)},
        {"1e38", 38, 0, false, 0, 0},
        {"1e1000", 38, 0, false, 0, 0},
        {"0e1000", 38, 0, true, 0, 0},
        {"1e-1000", 38, 0, false, 0, 0},
        {"1e1001", 38, 0, false, 0, 0},
        {"1e99999999999999999999", 38, 0, false, 0, 0},
        {"", 38, 0, false, 0, 0},
        {"-", 38, 0, false, 0, 0},
        {".", 38, 0, false, 0, 0},
        {"1.2.3", 38, 4, false, 0, 0},
        {"1,000", 38, 0, false, 0, 0},
        {"1e", 38, 0, false, 0, 0},
        {"$5", 38, 0, false, 0, 0},
        {"NaN", 38, 0, false, 0, 0},
        {" 1", 38, 0, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].text);
        uint64_t words[2] = {1, 1};
        CHECK_INT(decimal_parse(str_from(cases[i].text), cases[i].precision, cases[i].scale, words),
                  cases[i].fits);
        if (!cases[i].fits)
            continue;
        CHECK(words[0] == cases[i].low);
        CHECK_INT((int64_t)words[1], cases[i].high);
    }
}

TEST(a_number_of_too_many_digits_is_none)
{
    char text[500];
    memset(text, '0', sizeof(text));
    uint64_t words[2];
    CHECK(decimal_parse((Str){text, 400}, 38, 0, words));
    CHECK(!decimal_parse((Str){text, 401}, 38, 0, words));
}

TEST(thousandths_are_exact_or_refused)
{
    uint64_t words[2];
    CHECK(decimal_parse(STR("-99999999999999999999999999999999999000"), 38, 0, words));
    CHECK(decimal_divide_1000(words));
    uint64_t expected[2];
    CHECK(decimal_parse(STR("-99999999999999999999999999999999999"), 38, 0, expected));
    CHECK(memcmp(words, expected, sizeof(words)) == 0);
    CHECK(decimal_parse(STR("1001"), 38, 0, words));
    CHECK(!decimal_divide_1000(words));
}
