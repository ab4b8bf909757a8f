#include "trouble.h"

#include "harness/check.h"

enum { ARENA_BYTES = 16 * 1024 * 1024 };

static bool set(Troubles *troubles, Str script, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    TRY(json_parse(script, "script", arena, &doc, err));
    return troubles_set(troubles, yyjson_doc_get_root(doc), err);
}

// What befalls a GET of `target`.
static TroubleKind ask(Troubles *troubles, const char *target)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Query query;
    Trouble trouble;
    CHECK_OK(query_parse(str_from(target), arena, &query, &err), &err);
    CHECK_OK(troubles_ask(troubles, STR("GET"), &query, arena, &trouble, &err), &err);
    return trouble.kind;
}

static void begin(Troubles *troubles, const char *script)
{
    Error err = {0};
    CHECK_OK(troubles_init(troubles, 7, &err), &err);
    CHECK_OK(set(troubles, str_from(script), &err), &err);
}

TEST(an_entry_strikes_what_it_matches_as_often_as_it_says)
{
    Troubles troubles;
    begin(
        &troubles,
        "[{\"match\":{\"path\":\"/accounts/1001/calls\",\"page\":2,\"nth\":2},\"do\":\"reset\"},"
        "{\"match\":{\"path\":\"/accounts/"
        "*\",\"account\":1002,\"from_nth\":3},\"times\":2,\"do\":403},"
        "{\"match\":{\"start_date\":\"2026-10-01\",\"after\":true},\"times\":0,\"do\":\"html\"}]");
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1001/calls?page=1"), TROUBLE_NONE);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1001/calls?page=2"), TROUBLE_NONE);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1001/calls.json?page=2"), TROUBLE_RESET);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1001/calls?page=2"), TROUBLE_NONE);

    CHECK_INT(ask(&troubles, "/api/v1/accounts/1002/users"), TROUBLE_NONE);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1002/users"), TROUBLE_NONE);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1002/calls"), TROUBLE_STATUS);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1002/calls"), TROUBLE_STATUS);
    CHECK_INT(ask(&troubles, "/api/v1/accounts/1002/calls"), TROUBLE_NONE);

    for (int i = 0; i < 5; i++)
        CHECK_INT(ask(&troubles, "/api/v1/x?start_date=2026-10-01&after=y"), TROUBLE_HTML);
    CHECK_INT(ask(&troubles, "/api/v1/x?start_date=2026-10-01"), TROUBLE_NONE);
    CHECK_INT(ask(&troubles, "/api/v1/x?start_date=2026-10-02&after=y"), TROUBLE_NONE);
    troubles_done(&troubles);
}

TEST(a_rate_strikes_about_so_often_and_every_time_the_same)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Str script;
    CHECK_OK(troubles_script_of_rates(STR("503=0.1,reset=0.05"), arena, &script, &err), &err);
    int counts[2] = {0};
    uint64_t patterns[2] = {0};
    for (int round = 0; round < 2; round++) {
        Troubles troubles;
        CHECK_OK(troubles_init(&troubles, 7, &err), &err);
        CHECK_OK(set(&troubles, script, &err), &err);
        for (int i = 0; i < 2000; i++) {
            const TroubleKind kind = ask(&troubles, "/api/v1/accounts");
            counts[round] += kind == TROUBLE_STATUS;
            patterns[round] = patterns[round] * 31 + kind;
        }
        troubles_done(&troubles);
    }
    CHECK(counts[0] > 150 && counts[0] < 250);
    CHECK(patterns[0] == patterns[1]);
    CHECK(!troubles_script_of_rates(STR("503"), arena, &script, &err));
}

TEST(a_wrong_script_is_refused_and_the_old_one_stays)
{
    const struct {
        const char *script, *message;
    } rows[] = {
        {"{}", "faults: the script is not an array"},
        {"[1]", "faults: entry 0 is not an object"},
        {"[{}]", "faults: entry 0 has no \"do\""},
        {"[{\"do\":\"rest\"}]", "faults: entry 0: no trouble is called 'rest'"},
        {"[{\"do\":\"reset\"},{\"do\":\"reset\",\"tmes\":1}]", "faults: entry 1: no member 'tmes'"},
        {"[{\"do\":\"reset\",\"match\":{\"pth\":\"x\"}}]", "faults: entry 0: no member 'pth'"},
        {"[{\"do\":\"reset\",\"times\":\"x\"}]", "faults: entry 0: times is not a whole number"},
        {"[{\"do\":\"reset\",\"match\":{\"path\":[]}}]", "faults: entry 0: path is not a text"},
        {"[{\"do\":\"reset\",\"rate\":2}]", "faults: entry 0: rate is not between 0 and 1"},
        {"[{\"do\":\"huge\",\"bytes\":600000000}]",
         "faults: entry 0: at most 536870912 bytes and a count of 1000000"},
        {"[{\"do\":\"poison\",\"variant\":\"hemlock\"}]",
         "faults: entry 0: no poison is called 'hemlock': take nul, surrogate, utf8, number, "
         "bigint, duplicate or deep"},
    };
    Troubles troubles;
    begin(&troubles, "[{\"do\":\"reset\",\"times\":0}]");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].script);
        Error err = {0};
        CHECK(!set(&troubles, str_from(rows[i].script), &err));
        CHECK_STR(str_from(err.message), str_from(rows[i].message));
        CHECK_INT(ask(&troubles, "/x"), TROUBLE_RESET);
    }
    troubles_done(&troubles);
}

TEST(what_was_done_can_be_read)
{
    Troubles troubles;
    Error err = {0};
    begin(&troubles, "[{\"match\":{\"page\":2},\"do\":\"reset\",\"retry_after\":7}]");
    (void)ask(&troubles, "/x?page=2");
    (void)ask(&troubles, "/x?page=2");
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(troubles_write(&troubles, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("[{\"entry\":{\"match\":{\"page\":2},\"do\":\"reset\",\"retry_"
                                 "after\":7},\"matched\":2,\"done\":1}]"));
    troubles_done(&troubles);
}

TEST(poisons_are_what_their_names_say)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Poison poison;
    CHECK_OK(trouble_poison(STR("deep"), 3, arena, &poison, &err), &err);
    CHECK_STR(poison.value, STR("[[[]]]"));
    CHECK_OK(trouble_poison(STR("utf8"), 0, arena, &poison, &err), &err);
    CHECK(!str_is_utf8(poison.value));
    CHECK_OK(trouble_poison(STR("duplicate"), 0, arena, &poison, &err), &err);
    CHECK(poison.second.size > 0);
}

TEST(running_out_of_memory_leaves_the_old_script)
{
    FAULTS() {
        Error err = {0};
        Troubles troubles = {0};
        const bool ok =
            troubles_init(&troubles, 7, &err) && set(&troubles, STR("[{\"do\":\"503\"}]"), &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok || troubles.count == 0);
        troubles_done(&troubles);
    }
}
