// links: pawl_connector
//
// The input is a template, evaluated over a small scope; a Python literal, which must survive being
// printed and read again; and, cut at its first line end, a regular expression and what it
// searches.
#include "connector/regex.h"
#include "connector/template.h"

#include <stdlib.h>

enum { RUN_BYTES = 256 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int64_t now_us(void *state)
{
    (void)state;
    return INT64_C(1709296496789123);
}

static uint64_t random_bits(void *state)
{
    (void)state;
    return 42;
}

static void try_template(Str source, Arena *arena)
{
    static const char json[] =
        "{\"a\":[1,2.5,\"x\",null,true],\"b\":{\"c\":{\"d\":\"2024-01-02\"}}}";
    Error err = {0};
    yyjson_doc *doc = NULL;
    const Template *template = NULL;
    must(json_parse(str_from(json), "scope", arena, &doc, &err));
    if (!template_compile(source, STR("p"), arena, &template, &err)) {
        must(err.code != ERROR_NONE);
        return;
    }
    Env env = {.now_us = now_us, .random = random_bits};
    const Value value = value_json(yyjson_doc_get_root(doc));
    const ScopeEntry entries[] = {
        {STR("config"), value}, {STR("record"), value}, {STR("x"), value_get(value, STR("a"))}};
    const Scope scope = {entries, sizeof(entries) / sizeof(entries[0]), &env};
    Value result = value_undefined();
    const bool ok = template_eval_member(template, &scope, arena, &result, &err);
    must(ok == (err.code == ERROR_NONE));
    if (template_is_plain(template))
        must(ok && result.kind == VALUE_STR && str_equal(result.text, source));
}

// repr() of what was read must read as the same.
static void try_literal(Str text, Arena *arena)
{
    Error err = {0};
    Value value = value_undefined();
    Value again = value_undefined();
    CLEANUP(buf_done) Buf first = {0};
    CLEANUP(buf_done) Buf second = {0};
    if (!value_parse_literal(text, arena, &value, &err))
        return;
    must(value_write_repr(value, &first, &err));
    // "nan" and "inf" are what Python prints, and no literals.
    if (!value_parse_literal(buf_str(&first), arena, &again, &err)) {
        must(str_find(buf_str(&first), STR("inf")) < first.size ||
             str_find(buf_str(&first), STR("nan")) < first.size || err.code != ERROR_NONE ||
             !str_is_utf8(text));
        return;
    }
    must(value_write_repr(again, &second, &err));
    must(str_equal(buf_str(&first), buf_str(&second)));
    Value copy = value_undefined();
    must(!value_copy(value, arena, &copy, &err) || !value_equal(value, value) ||
         value_equal(copy, value));
}

static void try_regex(Str text, Arena *arena)
{
    Error err = {0};
    const Regex *regex = NULL;
    RegexMatch match;
    bool found = false;
    const Str pattern = str_slice(text, 0, str_find_char(text, '\n'));
    const Str subject = str_slice(text, pattern.size, text.size);
    if (!regex_compile(pattern, arena, &regex, &err) ||
        !regex_search(regex, subject, 0, text.size % 2 == 1, &match, &found, &err)) {
        must(err.code != ERROR_NONE);
        return;
    }
    for (size_t i = 0; found && i <= match.group_count; i++) {
        if (match.start[i] == SIZE_MAX)
            continue;
        // A lookahead may leave a group behind the match's end, but never outside the text.
        must(match.end[i] <= subject.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    const Str text = {(const char *)data, size};
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    must(arena != NULL);
    try_template(text, arena);
    try_literal(text, arena);
    try_regex(text, arena);
    return 0;
}
