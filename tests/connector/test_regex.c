// The expected groups are those of Python's re.search().

#include "connector/regex.h"

#include "base/buf.h"

#include "harness/check.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RUN_BYTES = 64 * 1024 * 1024 };

// "start-end" of each group, "-" for one that took no part; "none" where nothing matches.
static Str describe(Arena *arena, const RegexMatch *match, bool found)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Str text = {0};
    if (!found)
        return STR("none");
    for (size_t i = 0; i <= match->group_count; i++) {
        CHECK(i == 0 || buf_append_char(&out, ' ', &err));
        if (match->start[i] == SIZE_MAX)
            CHECK(buf_append_char(&out, '-', &err));
        else
            CHECK(buf_printf(&out, &err, "%zu-%zu", match->start[i], match->end[i]));
    }
    CHECK(arena_copy_str(arena, buf_str(&out), &text, &err));
    return text;
}

TEST(searches_find_what_python_finds)
{
    // clang-format off
    static const struct {
        const char *pattern, *text, *groups;
    } rows[] = {
        {"b",                     "abc",          "1-2"},
        {"x",                     "abc",          "none"},
        {"",                      "abc",          "0-0"},
        {"a|ab",                  "ab",           "0-1"}, // the first alternative, not the longest
        {"(foo|foobar)$",         "foobar",       "0-6 0-6"},
        {"(a)|(b)",               "b",            "0-1 - 0-1"},
        {"a*",                    "aaab",         "0-3"},
        {"a*?b",                  "aaab",         "0-4"},
        {"(a+?)(a*)",             "aaa",          "0-3 0-1 1-3"},
        {"a?b",                   "ab",           "0-2"},
        {"a{2}",                  "aaa",          "0-2"},
        {"a{2,}",                 "aaaa",         "0-4"},
        {"a{,2}",                 "aaaa",         "0-2"},
        {"a{2,3}?",               "aaaa",         "0-2"},
        {"(ab){2}",               "ababab",       "0-4 2-4"},
        {"(ab){0,2}c",            "ababc",        "0-5 2-4"},
        {"(ab){1,3}$",            "abab",         "0-4 2-4"},
        {"a{x}",                  "a{x}",         "0-4"}, // a brace that counts nothing is text
        {"(a*)*b",                "aab",          "0-3 2-2"},
        {"(a|b)*c",               "abac",         "0-4 2-3"},
        {"(?:a|b)+",              "xabba",        "1-5"},
        {"[abc]+",                "xxbcax",       "2-5"},
        {"[^abc]+",               "abxyc",        "2-4"},
        {"[a-c1-3]+",             "za2d",         "1-3"},
        {"[]a]+",                 "]a",           "0-2"},
        {"[a-]+",                 "-a-",          "0-3"},
        {"[\\d.]+",               "v1.25",        "1-5"},
        {"\\d+",                  "ab12",         "2-4"},
        {"\\D+",                  "12ab",         "2-4"},
        {"\\w+",                  " \303\251_1-", "1-5"},
        {"\\W",                   "a_1-",         "3-4"},
        {"\\s\\S",                "a b",          "1-3"},
        {"\\.",                   "a.b",          "1-2"},
        {".",                     "\n\303\251",   "1-3"},
        {"(?s).",                 "\nx",          "0-1"},
        {"^b",                    "a\nb",         "none"},
        {"(?m)^b",                "a\nb",         "2-3"},
        {"a$",                    "a\n",          "0-1"},
        {"a$",                    "a\nb",         "none"},
        {"(?m)a$",                "a\nb",         "0-1"},
        {"a\\Z",                  "a\n",          "none"},
        {"\\Ab",                  "ab",           "none"},
        {"\\bb\\w+",              "ab bc",        "3-5"},
        {"\\Bb",                  "b ab",         "3-4"},
        {"(?i)AbC",               "xaBc",         "1-4"},
        {"(?i)[a-c]+",            "ABC",          "0-3"},
        {"(?=.*y)x",              "x x y",        "0-1"},
        {"x(?!y)",                "xyxz",         "2-3"},
        {"(?=(a+))a*b\\1",        "aaab",         "none"},
        {"(?=(a+))",              "baaa",         "1-1 1-4"},
        {"(a)\\1",                "aba" "a",      "2-4 2-3"},
        {"(?P<n>x)(?P=n)",        "axx",          "1-3 1-2"},
        {"\\x41\\u00e9",          "A\303\251",    "0-3"},
        {"\\t\\n",                "\t\n",         "0-2"},
        {"<([^>]+)>; rel=\"next\"", "<a>; rel=\"next\"", "0-15 1-2"},
        {"[?&]c=(.*?)(?:&|$)",    "u?c=1&d=2",    "1-6 4-5"},
    };
    // clang-format on
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].pattern);
        const Regex *regex = NULL;
        RegexMatch match;
        bool found = false;
        CHECK_OK(regex_compile(str_from(rows[i].pattern), arena, &regex, &err), &err);
        CHECK_OK(regex_search(regex, str_from(rows[i].text), 0, false, &match, &found, &err), &err);
        CHECK_STR(describe(arena, &match, found), str_from(rows[i].groups));
    }
}

TEST(a_search_may_start_inside_and_be_told_to_move)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const Regex *regex = NULL;
    RegexMatch match;
    bool found = false;
    CHECK_OK(regex_compile(STR("a*"), arena, &regex, &err), &err);
    CHECK_OK(regex_search(regex, STR("baab"), 1, false, &match, &found, &err), &err);
    CHECK_STR(describe(arena, &match, found), STR("1-3"));
    CHECK_OK(regex_search(regex, STR("baab"), 0, true, &match, &found, &err), &err);
    CHECK_STR(describe(arena, &match, found), STR("1-3"));
    CHECK_OK(regex_search(regex, STR("b"), 1, true, &match, &found, &err), &err);
    CHECK(!found);
}

TEST(broken_patterns_say_where)
{
    static const struct {
        const char *pattern, *message;
    } rows[] = {
        {"(a", "missing ), unterminated subpattern at 2"},
        {"a)", "unbalanced parenthesis at 1"},
        {"[a", "unterminated character set at 2"},
        {"*a", "nothing to repeat at 0"},
        {"a**", "multiple repeat at 2"},
        {"a{3,2}", "min repeat greater than max repeat at 6"},
        {"[b-a]", "bad character range at 4"},
        {"[a-\\d]", "bad character range at 5"},
        {"\\", "bad escape (end of pattern) at 1"},
        {"\\y", "bad escape at 1"},
        {"\\x4", "incomplete escape at 3"},
        {"(a)\\2", "invalid group reference at 4"},
        {"(?P=n)", "unknown group name at 6"},
        {"(?P<n", "bad group name at 4"},
        {"a(?i)", "unsupported group, or flags not at the start at 3"},
        {"(?<=a)b", "unknown flag at 2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].pattern);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const Regex *regex = NULL;
        CHECK(!regex_compile(str_from(rows[i].pattern), arena, &regex, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].message));
    }
}

static Str repeat(Arena *arena, const char *part, int count)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Str text = {0};
    for (int i = 0; i < count; i++)
        CHECK(buf_append(&out, str_from(part), &err));
    CHECK(arena_copy_str(arena, buf_str(&out), &text, &err));
    return text;
}

TEST(limits_hold_one_past)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    const struct {
        const char *name;
        Str pattern;
        bool ok;
    } rows[] = {
        {"bytes", repeat(arena, "a", REGEX_BYTES_MAX), true},
        {"bytes", repeat(arena, "a", REGEX_BYTES_MAX + 1), false},
        {"groups", repeat(arena, "(a)", REGEX_GROUPS_MAX - 1), true},
        {"groups", repeat(arena, "(a)", REGEX_GROUPS_MAX), false},
        {"alternatives are not nested", repeat(arena, "a|", 500), true},
        {"depth", repeat(arena, "(?:", REGEX_DEPTH_MAX), false},
        {"repetitions", STR("a{1000}"), true},
        {"repetitions", STR("a{1001}"), false},
        {"repetitions of repetitions", STR("(?:a{1000}){1000}"), false},
        {"loops", repeat(arena, "a*", 65), false},
        {"ranges", STR("[a-z]"), true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        const Regex *regex = NULL;
        err = (Error){0};
        CHECK(regex_compile(rows[i].pattern, arena, &regex, &err) == rows[i].ok);
        CHECK(rows[i].ok || err.code == ERROR_LIMIT);
    }
    const Regex *regex = NULL;
    RegexMatch match;
    bool found = false;
    err = (Error){0};
    CHECK_OK(regex_compile(STR("(a|aa)+$"), arena, &regex, &err), &err);
    const Str text = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    CHECK(!regex_search(regex, text, 0, false, &match, &found, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}

TEST(compile_and_search_survive_every_fault)
{
    FAULTS() {
        Error err = {0};
        const Regex *regex = NULL;
        RegexMatch match;
        bool found = false;
        CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
        const bool ok = arena != NULL &&
                        regex_compile(STR("(?:(a[b-d]\\d)|x{1,3})*?(?=q)"), arena, &regex, &err) &&
                        regex_search(regex, STR("..ab1xxq"), 0, false, &match, &found, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(found == ok);
    }
}
