#include "run/drivers.h"

#include "base/file.h"
#include "run/stage.h"

#include <assert.h>
#include <string.h>

// Of limits.memory; the rest is for pages under way, shaped rows (pipeline.c), the lake (lake.c)
// and the program itself.
enum {
    WAREHOUSE_SHARE_PERCENT = 20,
    WIDE_SHARE_PERCENT = 50,           // at most, where its tables have many columns
    WIDE_SHARE_PERCENT_WITH_LAKE = 30, // likewise
    NAMES_MAX = 16,
    MIB = 1024 * 1024,
};

static const StoreDriver *const stores[] = {&store_local, &store_adls, &store_memory, NULL};
static const WarehouseDriver *const warehouses[] = {&warehouse_duckdb, &warehouse_postgres,
                                                    &warehouse_snowflake, NULL};

const StoreDriver *const *drivers_stores(void)
{
    return stores;
}

const WarehouseDriver *const *drivers_warehouses(void)
{
    return warehouses;
}

// One sentence for a driver name that nobody has.
static void unknown_driver(Str name, const Str *names, size_t count, Str place, const char *kind,
                           Findings *findings)
{
    assert(count > 0);
    const Str nearest = findings_nearest(name, names, count);
    findings_addf(findings, place, nearest.size > 0 ? nearest : names[0],
                  "there is no %s '" STR_FMT "'", kind, STR_ARG(name));
}

bool job_open_store(const Job *job, const StoreWanted *wanted, Env *env, Arena *arena,
                    Findings *findings, Store *ret_store, Error *err)
{
    Str names[NAMES_MAX];
    size_t count = 0;
    for (; stores[count] != NULL; count++) {
        names[count] = str_from(stores[count]->name);
        if (!str_equal(names[count], wanted->driver))
            continue;
        ret_store->folder = job->folder;
        return store_open(ret_store, stores[count], wanted->options, env, arena, findings, err);
    }
    unknown_driver(wanted->driver, names, count, wanted->options.place, "store", findings);
    return true;
}

bool job_open_landing(const Job *job, Env *env, Arena *arena, Findings *findings, Store *ret_store,
                      Landing **ret_landing, Error *err)
{
    Str place = {0};
    const size_t before = findings->count;
    TRY(arena_printf(arena, &place, err, STR_FMT ": /landing", STR_ARG(job->path)));
    const StoreWanted wanted = {job->landing_store, {job->landing_options, place}};
    TRY(job_open_store(job, &wanted, env, arena, findings, ret_store, err));
    if (findings->count > before)
        return true;
    const LandingOptions options = {
        .store = ret_store, .job = job->name, .compression = (int)job->landing_compression};
    return landing_open(&options, arena, ret_landing, err);
}

static const WarehouseDriver *find_warehouse(Str name)
{
    for (size_t i = 0; warehouses[i] != NULL; i++) {
        if (str_equal(name, str_from(warehouses[i]->name)))
            return warehouses[i];
    }
    return NULL;
}

static uint64_t share_of(const Job *job, uint64_t percent)
{
    return job->limits.memory_bytes / 100 * percent;
}

WarehouseRoom job_warehouse_room(const Job *job, size_t columns)
{
    const WarehouseDriver *driver = find_warehouse(job->warehouse_driver);
    if (driver == NULL)
        return (WarehouseRoom){0};
    const bool has_lake = job->lake_store.size > 0;
    const uint64_t percent = has_lake ? WIDE_SHARE_PERCENT_WITH_LAKE : WIDE_SHARE_PERCENT;
    const uint64_t usual = share_of(job, WAREHOUSE_SHARE_PERCENT);
    const uint64_t most = share_of(job, percent);
    WarehouseRoom room = {.least = columns * driver->column_bytes_least,
                          .enough = columns * driver->column_bytes_enough};
    room.granted = room.enough <= usual ? usual : room.enough < most ? room.enough : most;
    if (room.granted < driver->memory_bytes_min)
        room.granted = driver->memory_bytes_min;
    room.limit_enough = (room.enough / percent + 1) * 100;
    return room;
}

bool job_check_columns(const Job *job, Str stream, size_t columns, Arena *arena, Findings *findings,
                       Error *err)
{
    const WarehouseRoom room = job_warehouse_room(job, columns);
    if (room.least <= room.granted)
        return true;
    Str place = {0};
    Str what = {0};
    Str fix = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ": /limits/memory", STR_ARG(job->path)) &&
        arena_printf(arena, &what, err,
                     "no load of the %zu columns of stream '" STR_FMT "' goes through in " STR_FMT
                     " with less than %llu MiB; of these %llu MiB it gets %llu",
                     columns, STR_ARG(stream), STR_ARG(job->warehouse_driver),
                     (unsigned long long)(room.least / MIB),
                     (unsigned long long)(job->limits.memory_bytes / MIB),
                     (unsigned long long)(room.granted / MIB)) &&
        arena_printf(arena, &fix, err, "give %lluMiB, or name fewer columns",
                     (unsigned long long)(room.limit_enough / MIB + 1)));
    findings_add(findings, place, what, fix);
    return true;
}

typedef struct Rotated {
    const Job *job;
    Env *env;
} Rotated;

static bool read_option_again(void *state, const char *option, Arena *arena, Str *ret_text,
                              Error *err)
{
    const Rotated *rotated = state;
    Str pointer = {0};
    yyjson_val *value = NULL;
    TRY(arena_printf(arena, &pointer, err, "/warehouse/%s", option) &&
        job_read_again(rotated->job, pointer, rotated->env, arena, &value, err));
    *ret_text = json_str(value);
    return true;
}

static bool give_secrets(const Job *job, const Warehouse *warehouse, Env *env, Arena *arena,
                         Error *err)
{
    if (warehouse->driver->use_secrets == NULL)
        return true;
    Rotated *rotated = arena_alloc(arena, sizeof(*rotated), err);
    WarehouseSecrets *secrets = arena_alloc(arena, sizeof(*secrets), err);
    TRY(rotated != NULL && secrets != NULL);
    *rotated = (Rotated){job, env};
    *secrets = (WarehouseSecrets){read_option_again, rotated};
    warehouse->driver->use_secrets(warehouse->state, secrets);
    return true;
}

bool job_open_warehouse(const Job *job, size_t columns, Env *env, Arena *arena, Findings *findings,
                        Warehouse *ret_warehouse, Error *err)
{
    Str place = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ": /warehouse", STR_ARG(job->path)));
    const WarehouseOptions options = {.driver = {job->warehouse_options, place},
                                      .base_folder = job->folder,
                                      .memory_bytes = job_warehouse_room(job, columns).granted};
    Str names[NAMES_MAX];
    size_t count = 0;
    for (; warehouses[count] != NULL; count++) {
        names[count] = str_from(warehouses[count]->name);
        if (!str_equal(names[count], job->warehouse_driver))
            continue;
        TRY(warehouse_open(ret_warehouse, warehouses[count], &options, env, arena, findings, err) &&
            give_secrets(job, ret_warehouse, env, arena, err));
        return ret_warehouse->driver->use_stage == NULL ||
               json_get(job->warehouse_options, STR("stage")) == NULL ||
               stage_open(job, stores, env, arena, findings, ret_warehouse, err);
    }
    unknown_driver(job->warehouse_driver, names, count, place, "warehouse", findings);
    return true;
}

static bool has_field(const Field *fields, const char *name)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0)
            return true;
    }
    return false;
}

// Drivers whose warehouse is a file have a "path", those that may wait for others a "lock_wait".

bool job_has_warehouse(const Job *job)
{
    CLEANUP(arena_freep) Arena *arena = NULL;
    Error ignored = {0};
    Str path = {0};
    const WarehouseDriver *driver = find_warehouse(job->warehouse_driver);
    const Str given = json_str(json_get(job->warehouse_options, STR("path")));
    if (driver == NULL || !has_field(driver->fields, "path") || given.size == 0)
        return true;
    arena = arena_new((size_t)64 * 1024, &ignored);
    return arena == NULL || !file_join(arena, job->folder, given, &path, &ignored) ||
           file_exists(path.data);
}

bool job_to_look(const Job *job, Arena *arena, const Job **ret_job, Error *err)
{
    const WarehouseDriver *driver = find_warehouse(job->warehouse_driver);
    *ret_job = job;
    if (driver == NULL || !has_field(driver->fields, "lock_wait"))
        return true;
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"lock_wait\":\"PT1S\""));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(job->warehouse_options, i, count, name, member)
    {
        if (str_equal(json_str(name), STR("lock_wait")))
            continue;
        TRY(buf_append_char(&text, ',', err) && json_write_str(json_str(name), &text, err) &&
            buf_append_char(&text, ':', err) && json_write(member, &text, err));
    }
    TRY(buf_append_char(&text, '}', err));
    yyjson_doc *doc = NULL;
    TRY(json_parse(buf_str(&text), "job", arena, &doc, err));
    Job *copy = arena_alloc(arena, sizeof(*copy), err);
    TRY(copy != NULL);
    *copy = *job;
    copy->warehouse_options = yyjson_doc_get_root(doc);
    *ret_job = copy;
    return true;
}

// What names the limit that all runs with this connector and config share; secrets are *** in it.
bool job_open_share(const Job *job, RunMode mode, Str who, Store *store, Arena *arena,
                    Share *ret_share, Error *err)
{
    CLEANUP(buf_done) Buf api = {0};
    TRY(buf_append(&api, job->connector_path, err));
    yyjson_val *config = json_get(job->shown, STR("config"));
    if (config != NULL)
        TRY(json_write_canonical(config, &api, err));
    Str name = {0};
    TRY(arena_printf(arena, &name, err, "%s%s" STR_FMT, run_mode_name(mode),
                     who.size > 0 ? "-" : "", STR_ARG(who)));
    const ShareMember member = {.api = buf_str(&api),
                                .job = job->name,
                                .mode = name,
                                .priority = (RatePriority)job->modes[mode].priority};
    return share_open(ret_share, store, &member, arena, err);
}
