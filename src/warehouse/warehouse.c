#include "warehouse/warehouse.h"

#include <assert.h>

bool warehouse_open(Warehouse *warehouse, const WarehouseDriver *driver,
                    const WarehouseOptions *options, Env *env, Arena *arena, Findings *findings,
                    Error *err)
{
    assert(warehouse->driver == NULL);
    assert(driver->state_size > 0);

    void *state = arena_alloc(arena, driver->state_size, err);
    TRY(state != NULL);
    const size_t found = findings->count;
    TRY(field_read(driver->fields, options->driver.object,
                   (FieldPlace){options->driver.place, STR("")}, arena, state, findings, err));
    if (findings->count > found)
        return findings_check(findings, err);

    warehouse->driver = driver;
    warehouse->state = state;
    if (!driver->open(state, env, options->base_folder, options->memory_bytes, err)) {
        warehouse_close(warehouse);
        return error_context(err, "warehouse %s", driver->name);
    }
    return true;
}

// Epochs live in the landing store. Where that is new or was emptied they begin at 1 again, and
// each run would be turned away until they have caught up, after thousands of runs perhaps.
bool warehouse_turned_away(const LoadSpec *who, int64_t stored, Error *err)
{
    return error_set(err, ERROR_CONFLICT,
                     "job " STR_FMT ", mode " STR_FMT
                     ": another run has taken over (epoch %lld, ours is %llu). Is there none, then "
                     "the landing store is not the one of the runs before: write %lld for 'epoch' "
                     "into its " STR_FMT "/leases/" STR_FMT ".json",
                     STR_ARG(who->job), STR_ARG(who->mode), (long long)stored,
                     (unsigned long long)who->epoch, (long long)stored, STR_ARG(who->job),
                     STR_ARG(who->mode));
}

void warehouse_close(Warehouse *warehouse)
{
    if (warehouse->driver != NULL)
        warehouse->driver->close(warehouse->state);
    if (warehouse->stage.close != NULL)
        warehouse->stage.close(warehouse->stage.state);
    *warehouse = (Warehouse){0};
}

bool warehouse_use_stage(Warehouse *warehouse, const StageFiles *files, Error *err)
{
    assert(warehouse->stage.state == NULL);
    warehouse->stage = *files;
    return warehouse->driver->use_stage(warehouse->state, &warehouse->stage, err);
}
