// Batch: rows become Arrow arrays that any reader takes.
#include "batch/batch.h"
#include "harness/check.h"

enum { TYPES = COLUMN_KEY + 1 };

static const Column columns[TYPES] = {
    {.name = {"string", 6}, .type = COLUMN_STRING},
    {.name = {"int64", 5}, .type = COLUMN_INT64, .required = true},
    {.name = {"double", 6}, .type = COLUMN_DOUBLE},
    {.name = {"decimal", 7}, .type = COLUMN_DECIMAL, .precision = 18, .scale = 4},
    {.name = {"boolean", 7}, .type = COLUMN_BOOLEAN},
    {.name = {"timestamp", 9}, .type = COLUMN_TIMESTAMP},
    {.name = {"date", 4}, .type = COLUMN_DATE},
    {.name = {"json", 4}, .type = COLUMN_JSON},
    {.name = {"key", 3}, .type = COLUMN_KEY},
};

// Row `i` has every column where `i` is not a multiple of three, else only the required one.
static bool add_row(BatchBuilder *builder, int64_t i, Error *err)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "row %" PRIi64, i);
    const uint64_t words[2] = {(uint64_t)-i, i == 0 ? 0 : UINT64_MAX};
    Key128 key = {{(unsigned char)i}};
    TRY(batch_row_begin(builder, err));
    TRY(batch_set_int64(builder, COLUMN_INT64, i, err));
    if (i % 3 == 0)
        return batch_row_end(builder, err);
    TRY(batch_set_str(builder, COLUMN_STRING, STR("replaced by the next"), err));
    TRY(batch_set_str(builder, COLUMN_STRING, str_from(text), err));
    TRY(batch_set_double(builder, COLUMN_DOUBLE, (double)i / 2, err));
    TRY(batch_set_decimal(builder, COLUMN_DECIMAL, words, err));
    TRY(batch_set_bool(builder, COLUMN_BOOLEAN, i % 2 == 0, err));
    TRY(batch_set_int64(builder, COLUMN_TIMESTAMP, i * 1000000, err));
    TRY(batch_set_int64(builder, COLUMN_DATE, i, err));
    TRY(batch_set_str(builder, COLUMN_JSON, STR("{}"), err));
    TRY(batch_set_key(builder, COLUMN_KEY, &key, err));
    return batch_row_end(builder, err);
}

static void check_rows(const struct ArrowArray *array, const struct ArrowSchema *schema,
                       int64_t first, int64_t count)
{
    struct ArrowArrayView view;
    CHECK_INT(ArrowArrayViewInitFromSchema(&view, schema, NULL), NANOARROW_OK);
    CHECK_INT(ArrowArrayViewSetArray(&view, array, NULL), NANOARROW_OK);
    CHECK_INT(ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, NULL), NANOARROW_OK);
    CHECK_INT(array->length, count);
    for (int64_t row = 0; row < count; row++) {
        const int64_t i = first + row;
        for (size_t column = 0; column < TYPES; column++)
            CHECK_INT(ArrowArrayViewIsNull(view.children[column], row),
                      i % 3 == 0 && column != COLUMN_INT64);
        CHECK_INT(ArrowArrayViewGetIntUnsafe(view.children[COLUMN_INT64], row), i);
        if (i % 3 == 0)
            continue;
        char text[32];
        (void)snprintf(text, sizeof(text), "row %" PRIi64, i);
        const struct ArrowStringView string =
            ArrowArrayViewGetStringUnsafe(view.children[COLUMN_STRING], row);
        CHECK_STR(((Str){string.data, (size_t)string.size_bytes}), str_from(text));
        CHECK(ArrowArrayViewGetDoubleUnsafe(view.children[COLUMN_DOUBLE], row) == (double)i / 2);
        struct ArrowDecimal decimal;
        ArrowDecimalInit(&decimal, 128, 18, 4);
        ArrowArrayViewGetDecimalUnsafe(view.children[COLUMN_DECIMAL], row, &decimal);
        CHECK_INT(ArrowDecimalGetIntUnsafe(&decimal), -i);
        CHECK_INT(ArrowArrayViewGetIntUnsafe(view.children[COLUMN_BOOLEAN], row), i % 2 == 0);
        CHECK_INT(ArrowArrayViewGetIntUnsafe(view.children[COLUMN_TIMESTAMP], row), i * 1000000);
        CHECK_INT(ArrowArrayViewGetIntUnsafe(view.children[COLUMN_DATE], row), i);
        const struct ArrowBufferView key =
            ArrowArrayViewGetBytesUnsafe(view.children[COLUMN_KEY], row);
        CHECK_INT(key.size_bytes, KEY_BYTES);
        CHECK_INT(key.data.as_uint8[0], (unsigned char)i);
    }
    ArrowArrayViewReset(&view);
}

TEST(rows_come_back_as_they_were_set)
{
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
    CHECK_OK(batch_builder_new(columns, TYPES, &builder, &err), &err);
    CHECK_OK(batch_schema(columns, TYPES, &schema, &err), &err);
    // More than the first buffers hold; then fewer, so that the second batch reuses no old value.
    const int64_t sizes[] = {3000, 100, 0, 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int64_t row = 0; row < sizes[i]; row++)
            CHECK_OK(add_row(builder, row + (int64_t)i, &err), &err);
        CHECK_INT((int64_t)batch_builder_rows(builder), sizes[i]);
        CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
        CHECK_OK(batch_builder_finish(builder, &array, &err), &err);
        check_rows(&array, &schema, (int64_t)i, sizes[i]);
    }
}

TEST(an_undone_row_leaves_no_trace)
{
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
    CHECK_OK(batch_builder_new(columns, TYPES, &builder, &err), &err);
    CHECK_OK(batch_schema(columns, TYPES, &schema, &err), &err);
    for (int64_t row = 0; row < 10; row++) {
        CHECK_OK(batch_row_begin(builder, &err), &err);
        CHECK_OK(batch_set_str(builder, COLUMN_STRING, STR("gone"), &err), &err);
        CHECK_OK(batch_set_bool(builder, COLUMN_BOOLEAN, true, &err), &err);
        CHECK_OK(batch_set_int64(builder, COLUMN_DATE, 5, &err), &err);
        batch_row_undo(builder);
        CHECK_OK(add_row(builder, row, &err), &err);
    }
    CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
    CHECK_OK(batch_builder_finish(builder, &array, &err), &err);
    check_rows(&array, &schema, 0, 10);
}

TEST(the_schema_says_what_the_columns_are)
{
    Error err = {0};
    CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
    CHECK_OK(batch_schema(columns, TYPES, &schema, &err), &err);
    const char *const formats[TYPES] = {"u",       "l",   "g", "d:18,4", "b",
                                        "tsu:UTC", "tdD", "u", "w:16"};
    CHECK_STR(str_from(schema.format), STR("+s"));
    for (size_t i = 0; i < TYPES; i++) {
        CHECK_STR(str_from(schema.children[i]->name), columns[i].name);
        CHECK_STR(str_from(schema.children[i]->format), str_from(formats[i]));
        CHECK_INT(schema.children[i]->flags & ARROW_FLAG_NULLABLE,
                  i == COLUMN_INT64 ? 0 : ARROW_FLAG_NULLABLE);
    }
}

TEST(too_many_columns_are_refused)
{
    Error err = {0};
    static Column many[BATCH_COLUMNS_MAX + 1];
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CHECK(!batch_builder_new(many, BATCH_COLUMNS_MAX + 1, &builder, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
    CHECK_OK(batch_builder_new(many, BATCH_COLUMNS_MAX, &builder, &(Error){0}), &err);
}

TEST(a_date_that_no_date_is_is_refused)
{
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CHECK_OK(batch_builder_new(columns, TYPES, &builder, &err), &err);
    CHECK_OK(batch_row_begin(builder, &err), &err);
    CHECK(!batch_set_int64(builder, COLUMN_DATE, INT64_C(1) << 40, &err));
    CHECK_INT(err.code, ERROR_DATA);
    batch_row_undo(builder);
}

// Whatever fails, rows set before are still there, and nothing leaks.
TEST(a_batch_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
        CLEANUP(arrow_schema_done) struct ArrowSchema schema = {.release = NULL};
        CLEANUP(arrow_array_done) struct ArrowArray array = {.release = NULL};
        bool ok = batch_builder_new(columns, TYPES, &builder, &err) &&
                  batch_schema(columns, TYPES, &schema, &err);
        for (int64_t row = 0; ok && row < 200; row++) {
            ok = add_row(builder, row, &err);
            if (!ok)
                CHECK_INT((int64_t)batch_builder_rows(builder), row);
        }
        ok = ok && batch_builder_finish(builder, &array, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        if (ok)
            check_rows(&array, &schema, 0, 200);
        CHECK(ok || array.release == NULL);
    }
}
