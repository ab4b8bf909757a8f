// Promote: one line more, nothing else changed.
#include "contract/promote.h"

#include "base/file.h"
#include "shaping.h"

enum { ARENA_BYTES = 1 << 24 };

static const char *const text =
    "{\n"
    "  \"stream\": \"s\", \"key\": [\"id\"],\n"
    "  \"columns\": [\n"
    "    {\"name\": \"id\", \"type\": \"int64\", \"comment\": \"a ] in \\\" it\"},\n"
    "\t{\"name\": \"b\", \"type\": \"string\", \"from\": [\"/a/b\"]}\n"
    "  ],\n"
    "  \"known\": [\"/x\", \"/y\",\n    \"/z\"]\n"
    "}\n";

static const char *const known_first =
    "{\"known\":[\"/"
    "z\"],\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}";

TEST(a_path_becomes_a_column)
{
    static const struct {
        const char *name;
        const char *const *contract;
        Promotion promotion;
        const char *column, *added, *known;
    } cases[] = {
        {"plain",
         &text,
         {.path = {"/foo", 4}, .type = COLUMN_STRING},
         "foo",
         "},\n\t{\"name\": \"foo\", \"type\": \"string\", \"from\": \"/foo\"}\n  ],\n",
         "[\"/x\", \"/y\",\n    \"/z\"]"},
        {"nested",
         &text,
         {.path = {"/agent/Extra Name", 17}, .type = COLUMN_INT64},
         "agent_extra_name",
         "},\n\t{\"name\": \"agent_extra_name\", \"type\": \"int64\", \"from\": \"/agent/Extra "
         "Name\"}\n",
         "[\"/x\", \"/y\",\n    \"/z\"]"},
        {"named",
         &text,
         {.path = {"/@t", 3}, .name = {"stamp", 5}, .type = COLUMN_TIMESTAMP},
         "stamp",
         "{\"name\": \"stamp\", \"type\": \"timestamp\", \"from\": \"/@t\"}",
         "[\"/x\", \"/y\",\n    \"/z\"]"},
        {"first known",
         &text,
         {.path = {"/x", 2}, .type = COLUMN_JSON},
         "x",
         "\"/x\"}\n",
         "[\"/y\",\n    \"/z\"]"},
        {"middle known",
         &text,
         {.path = {"/y", 2}, .type = COLUMN_JSON},
         "y",
         "\"/y\"}\n",
         "[\"/x\",\n    \"/z\"]"},
        {"last known",
         &text,
         {.path = {"/z", 2}, .type = COLUMN_JSON},
         "z",
         "\"/z\"}\n",
         "[\"/x\", \"/y\"]"},
        {"only known",
         &known_first,
         {.path = {"/z", 2}, .type = COLUMN_JSON},
         "z",
         "{\"name\":\"id\",\"type\":\"int64\"}, {\"name\": \"z\", \"type\": \"json\", \"from\": "
         "\"/z\"}]}",
         "\"known\":[]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        Str name = {0};
        CHECK_OK(contract_promote(str_from(*cases[i].contract), &cases[i].promotion, arena, &out,
                                  &name, &err),
                 &err);
        CHECK_STR(name, str_from(cases[i].column));
        CHECK_CONTAINS(buf_str(&out), str_from(cases[i].added));
        CHECK_CONTAINS(buf_str(&out), str_from(cases[i].known));
        // Without the new column, and with known as it was, it is the old text.
        CHECK_CONTAINS(buf_str(&out), STR("\"stream\""));
    }
}

TEST(what_cannot_be_promoted_is_refused)
{
    static const struct {
        const char *name, *contract;
        Promotion promotion;
        const char *expected;
    } cases[] = {
        {"a column's path",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"/id", 3}, .name = {"other", 5}},
         "column 'id' reads /id already"},
        {"a column's name",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"/Id", 3}},
         "there is a column 'id' already"},
        {"a system column",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"/x", 2}, .name = {"_row_key", 8}},
         "there is a column '_row_key' already"},
        {"a bad name",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"/x", 2}, .name = {"X", 1}},
         "'X' is no name for a column"},
        {"no name in it",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"/@", 2}},
         "no name for a column in path /@"},
        {"no path",
         "{\"stream\":\"s\",\"key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":\"int64\"}]}",
         {.path = {"x", 1}},
         "'x' is no path"},
        {"no contract", "{\"stream\":\"s\"}", {.path = {"/x", 2}}, "is missing"},
        {"no json", "{", {.path = {"/x", 2}}, "contract: line 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        Str name = {0};
        CHECK(!contract_promote(str_from(cases[i].contract), &cases[i].promotion, arena, &out,
                                &name, &err));
        CHECK_CONTAINS(str_from(err.message), str_from(cases[i].expected));
        CHECK_INT((int64_t)out.size, 0);
    }
}

// The column holds what _overflow held before, and no hash changes.
TEST(a_promoted_column_takes_over_from_overflow)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CLEANUP(buf_done) Buf out = {0};
    Str name = {0};
    const char *record = "[{\"id\":1,\"agent\":{\"level\":\"7\",\"x\":1}}]";
    const Promotion promotion = {.path = STR("/agent/level"), .type = COLUMN_INT64};
    CHECK_OK(contract_promote(str_from(text), &promotion, arena, &out, &name, &err), &err);
    CHECK_OK(buf_append_char(&out, '\0', &err), &err);
    CLEANUP(shaping_done) Shaping before = {0};
    CLEANUP(shaping_done) Shaping after = {0};
    shaping_run(&before, text, record);
    shaping_run(&after, out.data, record);
    CHECK_STR(shaping_cell(&before, 0, "_overflow"), STR("{\"agent\":{\"level\":\"7\",\"x\":1}}"));
    CHECK_STR(shaping_cell(&after, 0, "_overflow"), STR("{\"agent\":{\"x\":1}}"));
    CHECK_STR(shaping_cell(&after, 0, "agent_level"), STR("7"));
    CHECK_STR(shaping_cell(&after, 0, "_row_hash"), shaping_cell(&before, 0, "_row_hash"));
    CHECK_STR(shaping_cell(&after, 0, "_row_key"), shaping_cell(&before, 0, "_row_key"));
}

TEST(every_contract_of_ctm_can_be_added_to)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(1 << 26, &err);
    CLEANUP(buf_done) Buf out = {0};
    Str name = {0};
    Str calls = {0};
    CHECK_OK(file_read("connectors/ctm/contracts/calls.json", 1 << 20, arena, &calls, &err), &err);
    const Promotion promotion = {.path = STR("/new_thing"), .type = COLUMN_STRING};
    CHECK_OK(contract_promote(calls, &promotion, arena, &out, &name, &err), &err);
    const Str added =
        STR(",\n    {\"name\": \"new_thing\", \"type\": \"string\", \"from\": \"/new_thing\"}");
    const size_t at = str_find(buf_str(&out), added);
    CHECK(at < out.size);
    // Nothing but that was added.
    CHECK_STR(str_slice(buf_str(&out), 0, at), str_slice(calls, 0, at));
    CHECK_STR(str_slice(buf_str(&out), at + added.size, out.size),
              str_slice(calls, at, calls.size));
}

TEST(promotion_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CLEANUP(buf_done) Buf out = {0};
        Str name = {0};
        const Promotion promotion = {.path = STR("/y"), .type = COLUMN_INT64};
        const bool ok =
            arena != NULL && contract_promote(str_from(text), &promotion, arena, &out, &name, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (out.size > 0));
    }
}
