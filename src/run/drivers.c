#include "run/drivers.h"

// Of limits.memory; the rest is for pages under way, shaped rows (pipeline.c) and the program
// itself.
enum { WAREHOUSE_SHARE_PERCENT = 36, NAMES_MAX = 16 };

static const StoreDriver *const stores[] = {&store_local, &store_memory, NULL};
static const WarehouseDriver *const warehouses[] = {&warehouse_duckdb, NULL};

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
    const Str nearest = findings_nearest(name, names, count);
    findings_addf(findings, place, nearest.size > 0 ? nearest : names[0],
                  "there is no %s '" STR_FMT "'", kind, STR_ARG(name));
}

bool job_open_landing(const Job *job, Env *env, Arena *arena, Findings *findings, Store *ret_store,
                      Landing **ret_landing, Error *err)
{
    Str place = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ": /landing", STR_ARG(job->path)));
    Str names[NAMES_MAX];
    size_t count = 0;
    for (; stores[count] != NULL; count++) {
        names[count] = str_from(stores[count]->name);
        if (!str_equal(names[count], job->landing_store))
            continue;
        ret_store->folder = job->folder;
        TRY(store_open(ret_store, stores[count], job->landing_options, place, env, arena, findings,
                       err));
        const LandingOptions options = {
            .store = ret_store, .job = job->name, .compression = (int)job->landing_compression};
        return landing_open(&options, arena, ret_landing, err);
    }
    unknown_driver(job->landing_store, names, count, place, "store", findings);
    return true;
}

bool job_open_warehouse(const Job *job, Env *env, Arena *arena, Findings *findings,
                        Warehouse *ret_warehouse, Error *err)
{
    Str place = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ": /warehouse", STR_ARG(job->path)));
    Str names[NAMES_MAX];
    size_t count = 0;
    for (; warehouses[count] != NULL; count++) {
        names[count] = str_from(warehouses[count]->name);
        if (str_equal(names[count], job->warehouse_driver))
            return warehouse_open(
                ret_warehouse, warehouses[count], job->warehouse_options, place, job->folder, env,
                job->limits.memory_bytes / 100 * WAREHOUSE_SHARE_PERCENT, arena, findings, err);
    }
    unknown_driver(job->warehouse_driver, names, count, place, "warehouse", findings);
    return true;
}
