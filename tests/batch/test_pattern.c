// Pattern: by POSIX's expressions, which are a third reader of them beside PostgreSQL's and RE2.
#include "batch/pattern.h"

#include "batch/promotable.h"
#include "harness/check.h"

#include <regex.h>

static bool matches(const Column *column, const char *text)
{
    char pattern[PATTERN_BYTES];
    regex_t regex;
    pattern_of(column, pattern);
    CHECK_INT(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    const bool does = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return does;
}

TEST(what_moves_matches)
{
    for (size_t i = 0; i < PROMOTABLES; i++) {
        char text[64];
        const Str json = str_from(promotable[i].json);
        const bool quoted = json.data[0] == '"';
        const Str inner = quoted ? str_slice(json, 1, json.size - 2) : json;
        (void)snprintf(text, sizeof(text), STR_FMT, STR_ARG(inner));
        check_row(promotable[i].json);
        if (promotable[i].value != NULL)
            CHECK(matches(&promotable[i].column, text));
    }
}

TEST(what_a_cast_would_change_does_not)
{
    static const struct {
        Column column;
        const char *text;
        bool matches;
    } rows[] = {
        {TO_INT64, "12.7", false},
        {TO_INT64, "1_000", false},
        {TO_INT64, "12\n", false},
        {TO_DECIMAL, "1.239", false},
        {TO_DECIMAL, "1.", false},
        {TO_WHOLE, "12.5", false},
        {{.type = COLUMN_DECIMAL, .precision = 38, .scale = 38},
         "0.00000000000000000000000000000000000001",
         true},
        {TO_BOOLEAN, "yes", false},
        {TO_DATE, "0000-01-01", false},
        {TO_DATE, "0001-01-01", true},
        {TO_DATE, "2025-13-01", false},
        {TO_TIMESTAMP, "2025-05-01 23:59:59.9999990-0330", true},
        {TO_TIMESTAMP, "2025-05-01 23:59:60Z", false},
        {TO_TIMESTAMP, "2025-05-01 23:59:59.9999999Z", false},
        {TO_TIMESTAMP, "2025-05-01 23:59:59", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].text);
        CHECK(matches(&rows[i].column, rows[i].text) == rows[i].matches);
    }
}

TEST(every_text_is_one_for_a_column_of_text)
{
    static const ColumnType types[] = {COLUMN_STRING, COLUMN_JSON, COLUMN_KEY};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char pattern[PATTERN_BYTES] = "x";
        pattern_of(&(Column){.name = STR("c"), .type = types[i]}, pattern);
        CHECK_STR(str_from(pattern), STR(""));
        CHECK_STR(str_from(pattern_range(types[i])), STR(""));
    }
}
