// Yaml: what is written is read back as what was meant.
#include "harness/check.h"
#include "render/yaml.h"

#include <string.h>

TEST(levels_items_and_blocks)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Yaml yaml = {.out = &out, .err = &err};
    yaml_comment(&yaml, "made");
    yaml_open(&yaml, "a");
    yaml_text(&yaml, "b", "c");
    yaml_open(&yaml, "list");
    yaml_item(&yaml, "one");
    yaml_item_open(&yaml);
    yaml_int(&yaml, "x", -3);
    yaml_bool(&yaml, "y", false);
    yaml_open(&yaml, "z");
    yaml_item_printf(&yaml, "%d", 7);
    yaml_close(&yaml);
    yaml_item_close(&yaml);
    yaml_close(&yaml);
    yaml_lines(&yaml, "script", "first\n\n  second: #\n");
    yaml_close(&yaml);
    yaml_printf(&yaml, "end", "%s-%d", "n", 1);
    CHECK(yaml_done(&yaml));
    CHECK_STR(buf_str(&out), STR("# made\n"
                                 "a:\n"
                                 "  b: c\n"
                                 "  list:\n"
                                 "    - one\n"
                                 "    - x: -3\n"
                                 "      \"y\": false\n"
                                 "      z:\n"
                                 "        - \"7\"\n"
                                 "  script: |\n"
                                 "    first\n"
                                 "\n"
                                 "      second: #\n"
                                 "end: n-1\n"));
}

TEST(text_that_could_be_anything_else_is_quoted)
{
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"plain words", "plain words"},
        {"${var.x}/a", "${var.x}/a"},
        {"./dev test", "./dev test"},
        {"http://a:8", "http://a:8"},
        {"", "\"\""},
        {"yes", "\"yes\""},
        {"Off", "\"Off\""},
        {"null", "\"null\""},
        {"12", "\"12\""},
        {"0 15 * * * ?", "\"0 15 * * * ?\""},
        {"2025-05-01", "\"2025-05-01\""},
        {"1:30", "\"1:30\""},
        {".5", "\".5\""},
        {"*", "\"*\""},
        {"{{a}}", "\"{{a}}\""},
        {"- a", "\"- a\""},
        {"a: b", "\"a: b\""},
        {"a:", "\"a:\""},
        {"a #b", "\"a #b\""},
        {"a ", "\"a \""},
        {" a", "\" a\""},
        {"a\nb", "\"a\\nb\""},
        {"say \"x\"", "say \"x\""},
        {"\"x\"", "\"\\\"x\\\"\""},
        {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].text);
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        CLEANUP(buf_done) Buf expected = {0};
        Yaml yaml = {.out = &out, .err = &err};
        yaml_text(&yaml, "k", rows[i].text);
        CHECK(yaml_done(&yaml));
        CHECK(buf_printf(&expected, &err, "k: %s\n", rows[i].written));
        CHECK_STR(buf_str(&out), buf_str(&expected));
    }
}

TEST(a_value_is_whole_or_the_file_fails)
{
    static char wide[1100];
    memset(wide, 'a', sizeof(wide) - 1);
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Yaml yaml = {.out = &out, .err = &err};
    yaml_printf(&yaml, "fits", "%.1023s", wide);
    CHECK(yaml_done(&yaml));
    yaml_printf(&yaml, "does_not", "%.1024s", wide);
    CHECK(!yaml_done(&yaml));
    CHECK_INT(err.code, ERROR_LIMIT);
}

TEST(a_failure_sticks)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        Yaml yaml = {.out = &out, .err = &err};
        yaml_open(&yaml, "a");
        yaml_text(&yaml, "b", "\"c\"");
        yaml_close(&yaml);
        CHECK(yaml_done(&yaml) == (err.code == ERROR_NONE));
    }
}
