// links: pawl_lake
//
// A Delta log that somebody else wrote: the first byte of an input tells whether the rest is a
// commit, a schema, or the statistics of a file.
#include "lake/delta_log.h"
#include "lake/delta_stats.h"

#include <stdlib.h>

enum { RUN_BYTES = 256 * 1024 * 1024 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void read_commit(Str text, Arena *arena)
{
    Error err = {0};
    Env env;
    env_init_system(&env);
    CLEANUP(store_close) Store store = {0};
    must(store_open(&store, &store_memory, (DriverOptions){NULL, STR("fuzz")}, &env, arena, NULL,
                    &err));
    must(store_create(&store, STR("a/b/_delta_log/00000000000000000000.json"), text, 0, &err));
    DeltaLog log = {.store = &store, .folder = STR("a/b"), .scratch = "/nowhere"};
    if (!delta_log_open(&log, &err)) {
        must(err.code == ERROR_DATA || err.code == ERROR_JOB || err.code == ERROR_LIMIT);
        return;
    }
    must(log.version == 0 && log.schema.count == 0 ? true : log.schema.fields != NULL);
    for (size_t i = 0; i < log.file_count; i++)
        must(log.files[i].path.size > 0);
    delta_log_close(&log);
}

static void read_schema(Str json, Arena *arena)
{
    Error err = {0};
    DeltaSchema schema = {0};
    const Column column = {.name = STR("_row_key"), .type = COLUMN_KEY};
    Str longer = {0};
    Str same = {0};
    bool changed = false;
    if (!delta_schema_read(json, arena, &schema, &err) ||
        !delta_schema_extend(json, &column, 1, arena, &longer, &changed, &err))
        return;
    // What was extended once has the column.
    must(delta_schema_extend(longer, &column, 1, arena, &same, &changed, &err) && !changed);
}

static void read_stats(Str json, Arena *arena)
{
    Error err = {0};
    yyjson_doc *doc = NULL;
    if (!json_parse(json, "fuzz", arena, &doc, &err))
        return;
    yyjson_val *stats = yyjson_doc_get_root(doc);
    (void)delta_stats_may_hold_time(stats, STR("at"), 0, 1000000);
    DeltaField field = {.name = STR("at")};
    DeltaSchema schema = {.fields = &field, .count = 1};
    delta_stats_narrow(stats, &schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    if (size == 0)
        return 0;
    CLEANUP(arena_freep) Arena *arena = arena_new(RUN_BYTES, &err);
    must(arena != NULL);
    const Str input = {(const char *)data + 1, size - 1};
    if (data[0] == 'c')
        read_commit(input, arena);
    else if (data[0] == 's')
        read_schema(input, arena);
    else
        read_stats(input, arena);
    return 0;
}
