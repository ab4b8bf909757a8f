// Overflow: which path moves out of which document, by DuckDB itself.
#include "duck/overflow.h"

#include "duck/duck.h"
#include "harness/check.h"

static const Column text_column = {.name = {"c", 1}, .type = COLUMN_STRING};
static const Column number_column = {.name = {"c", 1}, .type = COLUMN_INT64};

static bool take_cell(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    return duckdb_data_chunk_get_size(chunk) == 0 ||
           buf_append(visitor, duck_get_text(chunk, 0, 0), err);
}

// "value left", or "stays".
static void ask(Duck *duck, const char *document, const DuckOverflow *overflow, Buf *ret_text)
{
    Error err = {0};
    CLEANUP(buf_done) Buf sql = {0};
    CHECK_OK(buf_printf(&sql, &err,
                        "SELECT CASE WHEN " STR_FMT " THEN CAST(" STR_FMT
                        " AS VARCHAR) || ' ' || coalesce(" STR_FMT ", '-') ELSE 'stays' END"
                        " FROM (SELECT '%s' AS _overflow)",
                        STR_ARG(buf_str(&overflow->moves)), STR_ARG(buf_str(&overflow->value)),
                        STR_ARG(buf_str(&overflow->left)), document),
             &err);
    CHECK_OK(buf_append_char(&sql, '\0', &err), &err);
    CHECK_OK(duck_query(duck, &(DuckStatement){.sql = sql.data}, take_cell, ret_text, &err), &err);
}

TEST(a_path_moves_where_it_names_members_and_fits)
{
    static const struct {
        const char *path, *type, *document, *expected;
        ColumnType column;
    } rows[] = {
        {"/a", "VARCHAR", "{\"a\":\"x\"}", "x -", COLUMN_STRING},
        {"/a/b", "BIGINT", "{\"d\":2,\"a\":{\"b\":\"7\",\"c\":1}}", "7 {\"d\":2,\"a\":{\"c\":1}}",
         COLUMN_INT64},
        {"/a/b", "BIGINT", "{\"a\":{\"b\":\"x\"}}", "stays", COLUMN_INT64},
        {"/a/0", "VARCHAR", "{\"a\":[\"x\"]}", "stays", COLUMN_STRING},
        {"/a/0", "VARCHAR", "{\"a\":{\"0\":\"x\"}}", "x {\"a\":{}}", COLUMN_STRING},
        {"/a/b", "VARCHAR", "{\"a\":\"b\"}", "stays", COLUMN_STRING},
        {"/it's~1a", "VARCHAR", "{\"other\":1}", "stays", COLUMN_STRING},
        {"/a", "JSON", "{\"a\":[1,{\"b\":null}]}", "[1,{\"b\":null}] -", COLUMN_JSON},
    };
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    CHECK_OK(duck_open(&duck, &(DuckOptions){.memory_bytes = 0}, &err), &err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].document);
        CLEANUP(buf_done) Buf text = {0};
        CLEANUP(duck_overflow_done) DuckOverflow overflow = {0};
        const Column column = {.name = STR("c"), .type = rows[i].column};
        CHECK_OK(duck_overflow_init(&overflow, str_from(rows[i].path), &column, rows[i].type, &err),
                 &err);
        ask(&duck, rows[i].document, &overflow, &text);
        CHECK_STR(buf_str(&text), str_from(rows[i].expected));
    }
}

TEST(what_is_no_path_is_refused)
{
    static const char *const paths[] = {"", "/", "a", "a/b"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        Error err = {0};
        CLEANUP(duck_overflow_done) DuckOverflow overflow = {0};
        check_row(paths[i]);
        CHECK(!duck_overflow_init(&overflow, str_from(paths[i]), &text_column, "VARCHAR", &err));
        CHECK_INT(err.code, ERROR_JOB);
    }
}

TEST(overflow_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(duck_overflow_done) DuckOverflow overflow = {0};
        const bool ok = duck_overflow_init(&overflow, STR("/a/b"), &number_column, "BIGINT", &err);
        CHECK(ok == (err.code == ERROR_NONE));
    }
}
