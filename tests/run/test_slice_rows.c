// Slices as rows: what goes out comes back, and what is no such table is refused.
#include "batch/batch.h"
#include "harness/check.h"
#include "run/slice_rows.h"

enum { ARENA_BYTES = 1024 * 1024, NEEDED = 9 };

// A table of one row that a test bends.
typedef struct Given {
    struct ArrowArray array;
    struct ArrowSchema schema;
    bool given;
} Given;

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *ret_schema)
{
    Given *given = stream->private_data;
    *ret_schema = given->schema;
    given->schema = (struct ArrowSchema){0};
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *ret_array)
{
    Given *given = stream->private_data;
    *ret_array = given->array;
    given->array = (struct ArrowArray){0};
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return "broken";
}

static void given_done(Given *given)
{
    arrow_array_done(&given->array);
    arrow_schema_done(&given->schema);
}

// A row as run_slices() tells it; `columns` says under which names and types.
static bool make(const Column *columns, int64_t slice, Given *given, Error *err)
{
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    TRY(batch_builder_new(columns, NEEDED, &builder, err) && batch_row_begin(builder, err));
    const int64_t numbers[NEEDED] = {0, 0, 0, slice, 2, 0, 0, -5, 7};
    const char *const texts[NEEDED] = {"run", "historic", "calls", "", "", "{\"a\":1}", "UTC"};
    for (size_t i = 0; i < NEEDED; i++)
        TRY(columns[i].type == COLUMN_INT64
                ? batch_set_int64(builder, i, numbers[i], err)
                : batch_set_str(builder, i, str_from(texts[i] == NULL ? "" : texts[i]), err));
    return batch_row_end(builder, err) && batch_builder_finish(builder, &given->array, err) &&
           batch_schema(columns, NEEDED, &given->schema, err);
}

static bool read(Given *given, Arena *arena, SliceRow **ret_rows, size_t *ret_count, Error *err)
{
    struct ArrowArrayStream stream = {.get_schema = get_schema,
                                      .get_next = get_next,
                                      .get_last_error = get_last_error,
                                      .private_data = given};
    return slice_rows_read(&stream, arena, ret_rows, ret_count, err);
}

TEST(a_row_comes_back_as_it_went_out_whatever_fails)
{
    FAULTS() {
        Error err = {0};
        SliceRow *rows = NULL;
        size_t count = 0;
        CLEANUP(given_done) Given given = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        const bool ok = arena != NULL && make(slice_rows_columns, 3, &given, &err) &&
                        read(&given, arena, &rows, &count, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_INT((int64_t)count, ok ? 1 : 0);
        if (!ok)
            continue;
        CHECK_STR(rows[0].run, STR("run"));
        CHECK_STR(rows[0].stream, STR("calls"));
        CHECK_STR(rows[0].partition, STR("{\"a\":1}"));
        CHECK_INT(rows[0].slice, 3);
        CHECK_INT(rows[0].reading, 2);
        CHECK_INT(rows[0].from_us, -5);
        CHECK_INT(rows[0].to_us, 7);
    }
}

TEST(columns_are_found_by_name)
{
    Column turned[NEEDED];
    memcpy(turned, slice_rows_columns, sizeof(turned));
    turned[0] = slice_rows_columns[2]; // "stream" first, so that its text is "run"
    turned[2] = slice_rows_columns[0];
    Error err = {0};
    SliceRow *rows = NULL;
    size_t count = 0;
    CLEANUP(given_done) Given given = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    CHECK_OK(make(turned, 3, &given, &err) && read(&given, arena, &rows, &count, &err), &err);
    CHECK_STR(rows[0].stream, STR("run"));
    CHECK_STR(rows[0].run, STR("calls"));
}

TEST(what_is_no_table_of_slices_is_refused)
{
    static const struct {
        const char *name;
        size_t column;
        Column instead;
        int64_t slice;
    } cases[] = {
        {"a column is missing", 1, {.name = {"mood", 4}, .type = COLUMN_STRING}, 3},
        {"a text is a number", 2, {.name = {"stream", 6}, .type = COLUMN_INT64}, 3},
        {"a number is a text", 4, {.name = {"reading", 7}, .type = COLUMN_STRING}, 3},
        {"a number is negative", 3, {.name = {"slice", 5}, .type = COLUMN_INT64}, -1},
        {"a number is too large",
         3,
         {.name = {"slice", 5}, .type = COLUMN_INT64},
         PLAN_SLICES_MAX + 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_row(cases[i].name);
        Column bent[NEEDED];
        memcpy(bent, slice_rows_columns, sizeof(bent));
        bent[cases[i].column] = cases[i].instead;
        Error err = {0};
        SliceRow *rows = NULL;
        size_t count = 0;
        CLEANUP(given_done) Given given = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CHECK(make(bent, cases[i].slice, &given, &err));
        CHECK(!read(&given, arena, &rows, &count, &err));
        CHECK_INT(err.code, ERROR_DATA);
    }
}
