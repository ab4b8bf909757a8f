#include "lake/delta_rig.h"

#include <unistd.h>

static const Column columns[RIG_COLUMNS] = {
    {.name = {"account", 7}, .type = COLUMN_STRING},
    {.name = {"id", 2}, .type = COLUMN_INT64, .required = true},
    {.name = {"note", 4}, .type = COLUMN_STRING},
    {.name = {"called_at", 9}, .type = COLUMN_TIMESTAMP},
    {.name = {"_row_key", 8}, .type = COLUMN_KEY},
    {.name = {"_row_hash", 9}, .type = COLUMN_KEY},
    {.name = {"_fetched_at", 11}, .type = COLUMN_TIMESTAMP},
    {.name = {"_overflow", 9}, .type = COLUMN_JSON},
};
static const Str keys[] = {{"account", 7}, {"id", 2}};

// test_env, with names that differ: a lake makes many in one moment.
static uint64_t next_random(void *state)
{
    (void)state;
    static uint64_t count = 0;
    return ++count * UINT64_C(0x9E3779B97F4A7C15);
}
Env rig_env;

const DeltaTableSpec rig_table = {.schema = {"shop", 4},
                                  .name = {"calls", 5},
                                  .columns = columns,
                                  .column_count = RIG_COLUMNS,
                                  .key_columns = keys,
                                  .key_count = 2,
                                  .window_column = {"called_at", 9}};

Delta *rig_delta(Rig *rig, Store *store)
{
    Error err = {0};
    Delta *delta = NULL;
    const DeltaOptions options = {.store = store,
                                  .env = &rig_env,
                                  .scratch = str_from(test_folder()),
                                  .memory_bytes = 256 * 1024 * 1024,
                                  .retention_us = (int64_t)DELTA_KEEP_DAYS * 86400 * 1000000};
    CHECK_OK(delta_open(&options, rig->arena, &delta, &err), &err);
    return delta;
}

void rig_open(Rig *rig)
{
    Error err = {0};
    rig_env.now_us = test_env.now_us;
    rig_env.monotonic_us = test_env.monotonic_us;
    rig_env.sleep_us = test_env.sleep_us;
    rig_env.variable = test_env.variable;
    rig_env.state = test_env.state;
    rig_env.random = next_random;
    *rig = (Rig){.arena = arena_new(256 * 1024 * 1024, &err)};
    CHECK(rig->arena != NULL);
    CHECK_OK(store_open(&rig->store, &store_memory, (DriverOptions){NULL, STR("test")}, &rig_env,
                        rig->arena, NULL, &err),
             &err);
    rig->delta = rig_delta(rig, &rig->store);
}

void rig_close(Rig *rig)
{
    delta_close(rig->delta);
    store_close(&rig->store);
    arena_free(rig->arena);
}

Key128 rig_key(int64_t id)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "key %" PRIi64, id);
    const Sha256 hash = sha256(str_from(text));
    return key128(&hash);
}

static bool add_row(BatchBuilder *builder, const RigRow *row, Error *err)
{
    const Key128 key = rig_key(row->id);
    const Sha256 sum = sha256(str_from(row->note));
    const Key128 hash = key128(&sum);
    char overflow[64];
    (void)snprintf(overflow, sizeof(overflow), "{\"left\":{\"note\":\"%s\"}}", row->note);
    return batch_row_begin(builder, err) && batch_set_str(builder, 0, STR("one"), err) &&
           batch_set_int64(builder, 1, row->id, err) &&
           batch_set_str(builder, 2, str_from(row->note), err) &&
           batch_set_int64(builder, 3, row->id * 1000000, err) &&
           batch_set_key(builder, 4, &key, err) && batch_set_key(builder, 5, &hash, err) &&
           batch_set_int64(builder, 6, row->fetched_us, err) &&
           batch_set_str(builder, 7, str_from(overflow), err) && batch_row_end(builder, err);
}

static bool never(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_is, Error *err)
{
    (void)run;
    (void)stream;
    (void)ordinal;
    (void)err;
    *ret_is = ((const RigLoad *)state)->in_ledger;
    return true;
}

static bool load_array(Delta *delta, const RigLoad *load, struct ArrowArray *array, Arena *arena,
                       DeltaReport *ret_report, Error *err)
{
    uint32_t *rows = arena_alloc_array(arena, load->row_count + 1, sizeof(*rows), err);
    int64_t *times = arena_alloc_array(arena, load->row_count + 1, sizeof(*times), err);
    Key128 *gone = arena_alloc_array(arena, load->gone_count + 1, sizeof(*gone), err);
    TRY(rows != NULL && times != NULL && gone != NULL);
    for (size_t i = 0; i < load->row_count; i++) {
        rows[i] = (uint32_t)i;
        times[i] = load->rows[i].fetched_us;
    }
    for (size_t i = 0; i < load->gone_count; i++)
        gone[i] = rig_key(load->gone[i]);
    const DeltaSlice slice = {.partition_key = STR("{}"),
                              .from_us = load->from_us,
                              .to_us = load->to_us,
                              .fetched_us = load->fetched_us,
                              .skipped = load->skipped,
                              .vanished = gone,
                              .vanished_count = load->gone_count,
                              .vanished_us = load->fetched_us,
                              .vanished_from_us = load->from_us,
                              .vanished_to_us = load->to_us};
    const DeltaRows part = {.array = array,
                            .keys = array->children[4]->buffers[1],
                            .hashes = array->children[5]->buffers[1],
                            .fetched_us = times,
                            .rows = rows,
                            .count = load->row_count};
    RigLoad state = *load;
    const DeltaLoad full = {.table = rig_table,
                            .job = STR("a job"),
                            .mode = str_from(load->mode == NULL ? "incremental" : load->mode),
                            .run = str_from(load->run),
                            .stream = STR("calls"),
                            .ordinal = load->ordinal,
                            .rows = &part,
                            .rows_count = 1,
                            .slices = &slice,
                            .slice_count = 1,
                            .in_ledger = never,
                            .state = &state};
    return delta_load(delta, &full, ret_report, err);
}

bool rig_load(Delta *delta, const RigLoad *load, Arena *arena, DeltaReport *ret_report, Error *err)
{
    BatchBuilder *builder = NULL;
    TRY(batch_builder_new(columns, RIG_COLUMNS, &builder, err));
    bool ok = true;
    for (size_t i = 0; ok && i < load->row_count; i++)
        ok = add_row(builder, &load->rows[i], err);
    struct ArrowArray array = {0};
    ok = ok && batch_builder_finish(builder, &array, err);
    batch_builder_free(builder);
    ok = ok && load_array(delta, load, &array, arena, ret_report, err);
    arrow_array_done(&array);
    return ok;
}

DeltaReport rig_load_ok(Rig *rig, const RigLoad *load)
{
    Error err = {0};
    DeltaReport report = {0};
    CHECK_OK(rig_load(rig->delta, load, rig->arena, &report, &err), &err);
    return report;
}

void rig_log(Rig *rig, Duck *duck, DeltaLog *ret_log)
{
    Error err = {0};
    static char scratch[200];
    (void)snprintf(scratch, sizeof(scratch), "%s/rig", test_folder());
    CHECK_OK(duck_open(duck, &(DuckOptions){.memory_bytes = 0}, &err), &err);
    *ret_log = (DeltaLog){
        .store = &rig->store, .duck = duck, .folder = STR("shop/calls"), .scratch = scratch};
    CHECK_OK(delta_log_open(ret_log, &err), &err);
}

typedef struct Lines {
    Buf text;
} Lines;

static bool take_line(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    Lines *lines = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
        TRY((lines->text.size == 0 || buf_append_char(&lines->text, ' ', err)) &&
            buf_append(&lines->text, duck_get_text(chunk, 0, i), err));
    return true;
}

// Reads the live files by their names in the log, as any reader would.
static bool read_rows(Rig *rig, const DeltaLog *log, Duck *duck, const char *expression,
                      Lines *lines, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    size_t live = 0;
    TRY(buf_printf(&sql, err, "SELECT %s FROM read_parquet([", expression));
    for (size_t i = 0; i < log->file_count; i++) {
        Str path = {0};
        Str local = {0};
        if (!log->files[i].live)
            continue;
        TRY(delta_log_file_path(log, log->files[i].path, rig->arena, &path, err));
        TRY(arena_printf(rig->arena, &local, err, "%s/file-%zu", test_folder(), live));
        TRY(delta_copy_out(&rig->store, path, local.data, err));
        TRY(live++ == 0 || buf_append_char(&sql, ',', err));
        TRY(delta_sql_text(local, &sql, err));
    }
    if (live == 0)
        return true;
    TRY(buf_append(&sql, STR("], union_by_name = true) ORDER BY id, note"), err) &&
        buf_append_char(&sql, '\0', err));
    return duck_query(duck, &(DuckStatement){.sql = sql.data}, take_line, lines, err);
}

Str rig_rows(Rig *rig)
{
    return rig_rows_as(rig, "id || ':' || note || ':' || epoch_us(_fetched_at) || CASE WHEN"
                            " _deleted_at IS NULL THEN '' ELSE ':' || epoch_us(_deleted_at) END");
}

Str rig_rows_as(Rig *rig, const char *expression)
{
    Error err = {0};
    CLEANUP(duck_close) Duck duck = {0};
    DeltaLog log = {0};
    Lines lines = {0};
    Str text = {0};
    rig_log(rig, &duck, &log);
    CHECK_OK(read_rows(rig, &log, &duck, expression, &lines, &err), &err);
    CHECK_OK(arena_copy_str(rig->arena, buf_str(&lines.text), &text, &err), &err);
    buf_done(&lines.text);
    delta_log_close(&log);
    return text;
}
