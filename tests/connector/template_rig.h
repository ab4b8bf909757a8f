// A scope of values to render templates in, and tables of sources and what they render to.
#pragma once

#include "connector/template.h"

#include "harness/check.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RUN_BYTES = 64 * 1024 * 1024 };

// 2024-03-01T12:34:56.789123Z
static const int64_t now_us = INT64_C(1709296496789123);

static const char scope_json[] =
    "{\"config\": {\"start_date\": \"2024-01-15\", \"tags\": [\"a\", \"b\"], \"region\": \"EU\","
    "   \"limit\": \"50\", \"empty\": \"\", \"flag\": true, \"nested\": {\"key\": \"v\"}},"
    " \"record\": {\"id\": 7, \"name\": \"Ann\", \"amount\": 12.5, \"none\": null, \"items\": 5,"
    "   \"nodes\": [{\"id\": 1, \"kind\": \"x\"}, {\"id\": 2, \"kind\": \"y\"}, {\"id\": 3}],"
    "   \"obj\": {\"a\": 1, \"b\": [true, null, \"it's\"]}, \"when\": \"2024-01-02T03:04:05Z\","
    "   \"big\": 18446744073709551615},"
    " \"response\": {\"next\": \"https://h/p?page=2&c=x\", \"total\": 3, \"data\": [{\"id\": 5}],"
    "   \"_links\": {}},"
    " \"headers\": {\"Link\": \"<https://h/a?after=Q1>; rel=\\\"next\\\", <https://h/b>\","
    "   \"link\": {\"next\": {\"url\": \"u\"}}},"
    " \"stream_slice\": {\"start_time\": \"2024-01-01T00:00:00+0000\", \"account_id\": 17}}";

// The scope of all tests: a value for each member of scope_json.
typedef struct Fixture {
    Arena *arena;
    ScopeEntry entries[10];
    Scope scope;
} Fixture;

static inline bool fixture_open(Fixture *fixture, Error *err)
{
    *fixture = (Fixture){.arena = arena_new(RUN_BYTES, err)};
    yyjson_doc *doc = NULL;
    if (fixture->arena == NULL ||
        !json_parse(str_from(scope_json), "scope", fixture->arena, &doc, err))
        return false;
    yyjson_obj_iter iter = yyjson_obj_iter_with(yyjson_doc_get_root(doc));
    size_t count = 0;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL; count++)
        fixture->entries[count] =
            (ScopeEntry){json_str(key), value_json(yyjson_obj_iter_get_val(key))};
    fixture->scope = (Scope){fixture->entries, count, &test_env};
    test_clock_us = now_us;
    return true;
}

static inline void fixture_done(Fixture *fixture)
{
    arena_free(fixture->arena);
}

typedef struct Row {
    const char *source;
    const char *expected; // or "<error>", "<type error>", "<undefined>"
} Row;

static inline Str render(Fixture *fixture, Str source)
{
    Error err = {0};
    const Template *template = NULL;
    TemplateOutcome outcome = TEMPLATE_OK;
    Str text = {0};
    if (!template_compile(source, STR("p"), fixture->arena, &template, &err) ||
        !template_render(template, &fixture->scope, fixture->arena, &text, &outcome, &err)) {
        CHECK(err.code != ERROR_NONE);
        return STR("<error>");
    }
    CHECK_INT(err.code, ERROR_NONE);
    return outcome == TEMPLATE_OK          ? text
           : outcome == TEMPLATE_UNDEFINED ? STR("<undefined>")
                                           : STR("<type error>");
}

static inline void check_rows(const Row *rows, size_t count)
{
    Error err = {0};
    CLEANUP(fixture_done) Fixture fixture;
    CHECK_OK(fixture_open(&fixture, &err), &err);
    for (size_t i = 0; i < count; i++) {
        check_row(rows[i].source);
        CHECK_STR(render(&fixture, str_from(rows[i].source)), str_from(rows[i].expected));
    }
}
