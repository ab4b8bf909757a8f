// A file that holds nothing of what was deleted, and SQL as each system reads it.
#include "base/file.h"
#include "rig.h"

#include <string.h>

static void fresh(Rig *rig, const WarehouseDriver *driver, char path[128])
{
    static int databases = 0;
    (void)snprintf(path, 128, "%s/execute-%d.duckdb", test_folder(), databases++);
    check_row(driver->name);
    rig_open(rig, driver, path, "");
    rig_prepare(rig);
}

static const RigRow rows[] = {{1, "canary-of-one"}, {2, "two"}, {3, "three"}};

static void load(Rig *rig)
{
    const RigReading reading = {
        .partition = "a", .from_us = 1, .to_us = 2, .fetched_us = 5, .rows = rows, .count = 3};
    RigResult result = {0};
    Error err = {0};
    CHECK_OK(rig_load(rig, &(RigLoad){.run = "r", .epoch = 1, .readings = &reading, .count = 1},
                      &result, &err),
             &err);
}

#define NAMES "SELECT id, name FROM shop.\"or\"\"ders\" ORDER BY id"

static bool file_holds(const char *path, Str needle)
{
    Error err = {0};
    Str bytes = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(64 * 1024 * 1024, &err);
    CHECK_OK(file_read(path, 32 * 1024 * 1024, arena, &bytes, &err), &err);
    return str_find(bytes, needle) < bytes.size;
}

TEST(a_compacted_file_holds_nothing_of_what_was_deleted)
{
    CLEANUP(rig_close) Rig rig = {0};
    char path[128];
    fresh(&rig, &warehouse_duckdb, path);
    load(&rig);
    Error err = {0};
    const ViewSpec view = {STR("shop"), STR("names"), STR("SELECT name FROM \"or\"\"ders\"")};
    CHECK_OK(rig.driver->create_views(rig.state, &view, 1, &err), &err);
    const Str comment_query =
        STR("SELECT string_agg(comment, '|' ORDER BY column_index) FROM duckdb_columns() WHERE "
            "table_name = 'or\"ders'");
    char comments[2000];
    (void)snprintf(comments, sizeof(comments), STR_FMT,
                   STR_ARG(rig_query(&rig, comment_query.data)));
    CHECK_OK(rig.driver->idle(rig.state, &err), &err);
    CHECK(file_holds(path, STR("canary-of-one"))); // else the test proves nothing

    const Str erase = STR("DELETE FROM shop.\"or\"\"ders\" WHERE id = 1");
    CHECK_OK(rig.driver->execute(rig.state, "test", &erase, 1, NULL, &err) &&
                 rig.driver->compact(rig.state, &err) && rig.driver->idle(rig.state, &err),
             &err);
    CHECK(!file_holds(path, STR("canary-of-one")));
    CHECK_STR(rig_query(&rig, NAMES), STR("2|two 3|three"));
    CHECK_STR(rig_query(&rig, "SELECT name FROM shop.names ORDER BY name"), STR("three two"));
    CHECK_STR(rig_query(&rig, comment_query.data), str_from(comments));
    CHECK_STR(rig_query(&rig, "SELECT count(*) FROM pawl_load"), STR("1"));
}

TEST(literals_and_keys_are_written_as_each_system_reads_them)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(sql_literal(&sql_dialect_duckdb, &out, STR("it's \\n"), &err), &err);
    CHECK_STR(buf_str(&out), STR("'it''s \\n'"));
    buf_clear(&out);
    CHECK_OK(sql_literal(&sql_dialect_snowflake, &out, STR("it's \\n"), &err), &err);
    CHECK_STR(buf_str(&out), STR("'it''s \\\\n'"));
    buf_clear(&out);
    CHECK_OK(sql_literal(&sql_dialect_postgres, &out, (Str){NULL, 0}, &err), &err);
    CHECK_STR(buf_str(&out), STR("NULL"));
    Key128 key;
    Key128 again;
    CHECK(sql_read_key(STR("00112233-4455-6677-8899-aabbccddeeff"), &key));
    CHECK(sql_read_key(STR("00112233445566778899AABBCCDDEEFF"), &again));
    CHECK_INT(key128_compare(&key, &again), 0);
    CHECK(!sql_read_key(STR("0011"), &key));
    buf_clear(&out);
    CHECK_OK(sql_key(&sql_dialect_snowflake, &out, &key, &err), &err);
    CHECK_STR(buf_str(&out), STR("TO_BINARY('00112233445566778899aabbccddeeff', 'HEX')"));
}

TEST(what_lies_in_json_is_asked_for_step_by_step)
{
    const struct {
        const SqlDialect *dialect;
        const char *one, *two;
    } forms[] = {
        {&sql_dialect_duckdb, "json_extract_string(CAST(r AS JSON), '/id')",
         "json_extract_string(CAST(r AS JSON), '/agent/id')"},
        {&sql_dialect_postgres, "jsonb_extract_path_text(CAST(r AS JSONB), 'id')",
         "jsonb_extract_path_text(CAST(r AS JSONB), 'agent', 'id')"},
        {&sql_dialect_snowflake, "CAST(GET_PATH(r, 'id') AS VARCHAR)",
         "CAST(GET_PATH(r, 'agent.id') AS VARCHAR)"},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        Error err = {0};
        CLEANUP(buf_done) Buf out = {0};
        check_row(forms[i].one);
        CHECK_OK(forms[i].dialect->json_text(&out, STR("r"), STR("/id"), &err), &err);
        CHECK_STR(buf_str(&out), str_from(forms[i].one));
        buf_clear(&out);
        CHECK_OK(forms[i].dialect->json_text(&out, STR("r"), STR("/agent/id"), &err), &err);
        CHECK_STR(buf_str(&out), str_from(forms[i].two));
    }
}
