#include "rig.h"

#include <string.h>

// clang-format off
static const Column columns[] = {
    {.name = {"id", 2},           .type = COLUMN_INT64, .comment = {"the source's own id", 19}},
    {.name = {"account", 7},      .type = COLUMN_INT64},
    {.name = {"name", 4},         .type = COLUMN_STRING},
    {.name = {"amount", 6},       .type = COLUMN_DECIMAL, .precision = 18, .scale = 4},
    {.name = {"large", 5},        .type = COLUMN_DECIMAL, .precision = 38, .scale = 2},
    {.name = {"happened", 8},     .type = COLUMN_TIMESTAMP},
    {.name = {"day", 3},          .type = COLUMN_DATE},
    {.name = {"ok", 2},           .type = COLUMN_BOOLEAN},
    {.name = {"score", 5},        .type = COLUMN_DOUBLE},
    {.name = {"ta\"gs", 5},       .type = COLUMN_JSON},
    {.name = {"_row_key", 8},     .type = COLUMN_KEY},
    {.name = {"_row_hash", 9},    .type = COLUMN_KEY},
    {.name = {"_overflow", 9},    .type = COLUMN_JSON},
    {.name = {"_fetched_at", 11}, .type = COLUMN_TIMESTAMP},
    {.name = {"extra", 5},        .type = COLUMN_STRING, .comment = {"it's new", 8}},
};
static const Column quarantine[] = {
    {.name = {"reason", 6},       .type = COLUMN_STRING},
    {.name = {"path", 4},         .type = COLUMN_STRING},
    {.name = {"record", 6},       .type = COLUMN_JSON},
    {.name = {"_fetched_at", 11}, .type = COLUMN_TIMESTAMP},
};
// clang-format on
enum {
    COLUMN_ID,
    COLUMN_ACCOUNT,
    COLUMN_NAME,
    COLUMN_AMOUNT,
    COLUMN_LARGE,
    COLUMN_HAPPENED,
    COLUMN_DAY,
    COLUMN_OK,
    COLUMN_SCORE,
    COLUMN_TAGS,
    COLUMN_ROW_KEY,
    COLUMN_ROW_HASH,
    COLUMN_OVERFLOW,
    COLUMN_FETCHED,
    COLUMNS
};

#define SPEC(count, evolves)                                                                       \
    {                                                                                              \
        .schema = {"shop", 4}, .name = {"or\"ders", 7}, .columns = columns, .column_count = count, \
        .evolve = evolves, .quarantine_columns = quarantine, .quarantine_count = 4,                \
    }
const TableSpec rig_table = SPEC(COLUMNS, false);
const TableSpec rig_table_wider = SPEC(COLUMNS + 1, true);
const TableSpec rig_table_frozen = SPEC(COLUMNS + 1, false);

enum { MEMORY_BYTES = 256 * 1000 * 1000 };

void rig_open(Rig *rig, const WarehouseDriver *driver, const char *path, const char *options)
{
    char all[RIG_OPTIONS_BYTES];
    (void)snprintf(all, sizeof(all), "\"path\": \"%s\"%s", path, options);
    rig_open_with(rig, driver, all);
}

void rig_open_with(Rig *rig, const WarehouseDriver *driver, const char *options)
{
    rig_open_within(rig, driver, options, MEMORY_BYTES);
}

void rig_open_within(Rig *rig, const WarehouseDriver *driver, const char *options,
                     uint64_t memory_bytes)
{
    Error err = {0};
    *rig = (Rig){.arena = arena_new(RIG_ARENA_BYTES, &err)};
    CHECK(rig->arena != NULL);
    rig->findings.arena = rig->arena;
    Str json = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(arena_printf(rig->arena, &json, &err, "{%s}", options), &err);
    CHECK_OK(json_parse(json, "rig", rig->arena, &doc, &err), &err);
    const WarehouseOptions opened = {.driver = {yyjson_doc_get_root(doc), STR("rig")},
                                     .base_folder = STR("/nowhere"),
                                     .memory_bytes = memory_bytes};
    CHECK_OK(warehouse_open(&rig->warehouse, driver, &opened, &test_env, rig->arena, &rig->findings,
                            &err),
             &err);
    rig->driver = driver;
    rig->state = rig->warehouse.state;
}

void rig_prepare(Rig *rig)
{
    Error err = {0};
    CHECK_OK(rig->driver->prepare(rig->state, &rig_table, 1, &err), &err);
}

void rig_close(Rig *rig)
{
    warehouse_close(&rig->warehouse);
    arena_free(rig->arena);
    *rig = (Rig){0};
}

static Key128 key_of_text(const char *kind, const char *text)
{
    char bytes[256];
    (void)snprintf(bytes, sizeof(bytes), "%s %s", kind, text);
    const Sha256 hash = sha256(str_from(bytes));
    return key128(&hash);
}

Key128 rig_key(int64_t id)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)id);
    return key_of_text("key", text);
}

static void add_row(BatchBuilder *builder, const RigRow *row, int64_t fetched_us)
{
    Error err = {0};
    const Key128 key = rig_key(row->id);
    const Key128 hash = key_of_text("hash", row->name);
    CHECK_OK(batch_row_begin(builder, &err), &err);
    CHECK_OK(batch_set_int64(builder, COLUMN_ID, row->id, &err), &err);
    CHECK_OK(batch_set_int64(builder, COLUMN_ACCOUNT, row->id % 10, &err), &err);
    CHECK_OK(batch_set_str(builder, COLUMN_NAME, str_from(row->name), &err), &err);
    CHECK_OK(batch_set_key(builder, COLUMN_ROW_KEY, &key, &err), &err);
    CHECK_OK(batch_set_key(builder, COLUMN_ROW_HASH, &hash, &err), &err);
    CHECK_OK(batch_set_int64(builder, COLUMN_FETCHED, fetched_us, &err), &err);
    CHECK_OK(batch_set_int64(builder, COLUMN_HAPPENED, row->id * 1000000, &err), &err);
    if (row->id % 2 == 0) {
        const uint64_t minus_2_5[2] = {(uint64_t)INT64_C(-25000), UINT64_MAX};
        const uint64_t huge[2] = {0, UINT64_C(1) << 40}; // 2^104
        CHECK_OK(batch_set_decimal(builder, COLUMN_AMOUNT, minus_2_5, &err), &err);
        CHECK_OK(batch_set_decimal(builder, COLUMN_LARGE, huge, &err), &err);
        CHECK_OK(batch_set_int64(builder, COLUMN_DAY, row->id % 10000, &err), &err);
        CHECK_OK(batch_set_bool(builder, COLUMN_OK, row->id % 4 == 0, &err), &err);
        CHECK_OK(batch_set_double(builder, COLUMN_SCORE, 0.5, &err), &err);
        CHECK_OK(batch_set_str(builder, COLUMN_TAGS, STR("[\"a longer tag\", 1]"), &err), &err);
    }
    CHECK_OK(batch_row_end(builder, &err), &err);
}

void rig_array(const RigRow *rows, size_t count, int64_t fetched_us, struct ArrowArray *ret_array)
{
    Error err = {0};
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    CHECK_OK(batch_builder_new(columns, COLUMNS, &builder, &err), &err);
    for (size_t i = 0; i < count; i++)
        add_row(builder, &rows[i], fetched_us);
    CHECK_OK(batch_builder_finish(builder, ret_array, &err), &err);
}

LoadSpec rig_spec(const RigLoad *load, LoadSlice *slices)
{
    for (size_t i = 0; i < load->count; i++) {
        const RigReading *reading = &load->readings[i];
        slices[i] = (LoadSlice){.partition_key = str_from(reading->partition),
                                .from_us = reading->from_us,
                                .to_us = reading->to_us,
                                .fetched_us = reading->fetched_us,
                                .total = (int64_t)reading->count,
                                .rows = (int64_t)reading->count};
    }
    return (LoadSpec){.table = &rig_table,
                      .job = STR("rig"),
                      .mode = str_from(load->mode == NULL ? "incremental" : load->mode),
                      .run = str_from(load->run),
                      .stream = STR("orders"),
                      .ordinal = load->ordinal,
                      .checksum = sha256(str_from(load->content == NULL ? "" : load->content)),
                      .epoch = load->epoch,
                      .slices = slices,
                      .slice_count = load->count,
                      .spare_bytes = load->spare_bytes};
}

// What is to be written: one batch a reading.
typedef struct RigSource {
    struct ArrowArray arrays[8];
    uint32_t *rows[8];
    bool *replaces[8];
    size_t counts[8];
    size_t count, next;
    size_t fails_at;
} RigSource;

static bool source_next(void *state, RowSelection *ret_selection, Error *err)
{
    RigSource *source = state;
    *ret_selection = (RowSelection){0};
    if (source->fails_at > 0 && source->next == source->fails_at)
        return error_set(err, ERROR_DATA, "the rig's rows fail");
    if (source->next == source->count)
        return true;
    const size_t i = source->next++;
    *ret_selection =
        (RowSelection){&source->arrays[i], source->rows[i], source->replaces[i], source->counts[i]};
    return true;
}

static void source_done(RigSource *source)
{
    for (size_t i = 0; i < source->count; i++)
        arrow_array_done(&source->arrays[i]);
}

static bool decide(Rig *rig, const RigReading *reading, RigSource *source, RowSource *rows,
                   RigResult *result, Error *err)
{
    const size_t at = source->count;
    Key128 *keys = arena_alloc_array(rig->arena, reading->count, sizeof(*keys), err);
    MatchedRow *matched = arena_alloc_array(rig->arena, reading->count, sizeof(*matched), err);
    source->rows[at] = arena_alloc_array(rig->arena, reading->count, sizeof(uint32_t), err);
    source->replaces[at] = arena_alloc_array(rig->arena, reading->count, sizeof(bool), err);
    for (size_t i = 0; i < reading->count; i++)
        keys[i] = rig_key(reading->rows[i].id);
    TRY(rig->driver->load_match(rig->state, keys, reading->count, matched, err));
    size_t count = 0;
    for (size_t i = 0; i < reading->count; i++) {
        const Key128 hash = key_of_text("hash", reading->rows[i].name);
        const bool same = memcmp(&hash, &matched[i].hash, sizeof(hash)) == 0;
        const bool fresh = reading->fetched_us >= matched[i].fetched_us;
        if (matched[i].found && (!fresh || (same && !matched[i].deleted))) {
            result->unchanged++;
            continue;
        }
        source->replaces[at][count] = matched[i].found;
        source->rows[at][count++] = (uint32_t)i;
        result->updated += matched[i].found;
        result->inserted += !matched[i].found;
        rows->replaces_total += matched[i].found;
    }
    rows->rows_total += count;
    source->counts[at] = count;
    rig_array(reading->rows, reading->count, reading->fetched_us, &source->arrays[at]);
    source->count++;
    return true;
}

static bool fill_load(Rig *rig, const RigLoad *load, const LoadSlice *slices, RigResult *result,
                      Error *err)
{
    CLEANUP(source_done) RigSource source = {.fails_at = load->fails_at};
    RowSource rows = {.next = source_next, .state = &source};
    for (size_t i = 0; i < load->count; i++) {
        if (slices[i].skipped)
            result->skipped++;
        else
            TRY(decide(rig, &load->readings[i], &source, &rows, result, err));
    }
    if (rows.rows_total > 0)
        TRY(rig->driver->load_write(rig->state, &rows, err));
    for (size_t i = 0; i < load->count; i++) {
        const RigReading *reading = &load->readings[i];
        if (slices[i].skipped || reading->gone_count == 0)
            continue;
        Key128 keys[16];
        CHECK(reading->gone_count <= 16);
        for (size_t j = 0; j < reading->gone_count; j++)
            keys[j] = rig_key(reading->gone[j]);
        int64_t marked = 0;
        TRY(rig->driver->load_mark_deleted(rig->state, keys, reading->gone_count,
                                           reading->fetched_us, &marked, err));
        result->deleted += marked;
    }
    const LoadCommit commit = {.watermarks = load->watermarks,
                               .watermark_count = load->watermark_count,
                               .inserted = result->inserted,
                               .updated = result->updated,
                               .unchanged = result->unchanged,
                               .deleted = result->deleted};
    return rig->driver->load_commit(rig->state, &commit, err);
}

bool rig_load(Rig *rig, const RigLoad *load, RigResult *ret_result, Error *err)
{
    LoadSlice slices[8];
    CHECK(load->count <= 8);
    const LoadSpec spec = rig_spec(load, slices);
    RigResult result = {0};
    TRY(rig->driver->load_begin(rig->state, &spec, &result.loaded, err));
    if (!result.loaded && !fill_load(rig, load, slices, &result, err)) {
        rig->driver->load_abort(rig->state);
        return false;
    }
    if (ret_result != NULL)
        *ret_result = result;
    return true;
}

static bool add_cells(void *visitor, const Str *cells, size_t count)
{
    Error err = {0};
    Buf *out = visitor;
    if (out->size > 0)
        CHECK_OK(buf_append_char(out, ' ', &err), &err);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            CHECK_OK(buf_append_char(out, '|', &err), &err);
        CHECK_OK(buf_append(out, cells[i].data == NULL ? STR("-") : cells[i], &err), &err);
    }
    return true;
}

Str rig_query(Rig *rig, const char *sql)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    CHECK_OK(rig->driver->query(rig->state, str_from(sql), add_cells, &out, &err), &err);
    Str text = {0};
    CHECK_OK(arena_copy_str(rig->arena, buf_str(&out), &text, &err), &err);
    return text;
}
