// The columns of a Delta table as its log says them, and what is added to them.
#include "lake/delta_schema.h"

#include "harness/check.h"

enum { TEST_BYTES = 1024 * 1024 };

#define FIELDS(list)      "{\"type\":\"struct\",\"fields\":[" list "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type ",\"metadata\":{}}"
#define DUTY(member) \
    FIELDS("{\"name\":\"a\",\"type\":\"long\",\"metadata\":{\"" member "\":\"x\"}}")

TEST(each_type_of_spark_has_one_of_duckdb)
{
    static const struct {
        const char *spark, *duck;
    } rows[] = {{"string", "VARCHAR"},
                {"long", "BIGINT"},
                {"integer", "INTEGER"},
                {"short", "SMALLINT"},
                {"byte", "TINYINT"},
                {"double", "DOUBLE"},
                {"float", "FLOAT"},
                {"boolean", "BOOLEAN"},
                {"binary", "BLOB"},
                {"date", "DATE"},
                {"decimal(18,4)", "decimal(18,4)"},
                {"timestamp", "TIMESTAMP WITH TIME ZONE"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].spark);
        Error err = {0};
        char json[300];
        DeltaSchema schema = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
        (void)snprintf(json, sizeof json, FIELDS(FIELD("A", "\"%s\"")), rows[i].spark);
        CHECK_OK(delta_schema_read(str_from(json), arena, &schema, &err), &err);
        CHECK_INT((int64_t)schema.count, 1);
        CHECK_STR(str_from(delta_schema_find(&schema, STR("a"))->duck), str_from(rows[i].duck));
        CHECK(delta_schema_find(&schema, STR("b")) == NULL);
    }
}

TEST(a_schema_that_asks_for_more_is_refused_by_name)
{
    // clang-format off
    static const struct {
        const char *name, *json;
        ErrorCode code;
        const char *says;
    } rows[] = {
        {"no JSON", "{", ERROR_DATA, "schemaString"},
        {"no fields", "{}", ERROR_DATA, "it has no fields"},
        {"no name", FIELDS("{\"type\":\"long\"}"), ERROR_DATA, "a field without a name"},
        {"nested", FIELDS(FIELD("a", "{\"type\":\"array\"}")), ERROR_JOB, "column 'a' has a type that pawl does not write"},
        {"a decimal with something behind it", FIELDS(FIELD("a", "\"decimal(1,1)) AS x, (SELECT 1)\"")), ERROR_JOB, "does not write"},
        {"a decimal without its scale", FIELDS(FIELD("a", "\"decimal(10)\"")), ERROR_JOB, "does not write"},
        {"a decimal of too many digits", FIELDS(FIELD("a", "\"decimal(39,2)\"")), ERROR_JOB, "does not write"},
        {"invariant", DUTY("delta.invariants"), ERROR_JOB, "column 'a' has delta.invariants"},
        {"generated", DUTY("delta.generationExpression"), ERROR_JOB, "delta.generationExpression"},
        {"identity", DUTY("delta.identity.start"), ERROR_JOB, "delta.identity.start"},
        {"mapped", DUTY("delta.columnMapping.physicalName"), ERROR_JOB, "delta.columnMapping.physicalName"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        DeltaSchema schema = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
        CHECK(!delta_schema_read(str_from(rows[i].json), arena, &schema, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}

TEST(columns_that_lack_are_appended)
{
    const Column columns[] = {
        {.name = STR("id"), .type = COLUMN_INT64},
        {.name = STR("price"), .type = COLUMN_DECIMAL, .precision = 18, .scale = 4},
        {.name = STR("day"), .type = COLUMN_DATE},
    };
    Error err = {0};
    Str json = {0};
    bool changed = false;
    DeltaSchema schema = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
    CHECK_OK(delta_schema_extend(STR(""), columns, 2, arena, &json, &changed, &err), &err);
    CHECK(changed);
    CHECK_OK(delta_schema_read(json, arena, &schema, &err), &err);
    CHECK_STR(delta_schema_find(&schema, STR("price"))->type, STR("decimal(18,4)"));
    const Str before = json;
    CHECK_OK(delta_schema_extend(before, columns, 2, arena, &json, &changed, &err), &err);
    CHECK(!changed);
    CHECK_STR(json, before);
    CHECK_OK(delta_schema_extend(before, columns, 3, arena, &json, &changed, &err), &err);
    CHECK(changed);
    CHECK_OK(delta_schema_read(json, arena, &schema, &err), &err);
    CHECK_INT((int64_t)schema.count, 3);
    CHECK_STR(schema.fields[2].name, STR("day"));
}

TEST(a_column_that_does_not_fit_is_refused)
{
    const struct {
        const char *name;
        Column column;
        const char *says;
    } rows[] = {
        {"another type", {.name = STR("a"), .type = COLUMN_STRING}, "column 'a'"},
        {"a blank", {.name = STR("b c"), .type = COLUMN_STRING}, "column 'b c'"},
        {"a bracket", {.name = STR("b(c"), .type = COLUMN_STRING}, "column 'b(c'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        Error err = {0};
        Str json = {0};
        bool changed = false;
        CLEANUP(arena_freep) Arena *arena = arena_new(TEST_BYTES, &err);
        CHECK(!delta_schema_extend(STR(FIELDS(FIELD("a", "\"long\""))), &rows[i].column, 1, arena,
                                   &json, &changed, &err));
        CHECK_INT(err.code, ERROR_JOB);
        CHECK_CONTAINS(str_from(err.message), str_from(rows[i].says));
    }
}
