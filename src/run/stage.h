// Stage: the store behind a warehouse's stage, as the files that its driver is handed. So warehouse
// and store never meet.
#pragma once

#include "run/job.h"
#include "store/store.h"
#include "warehouse/warehouse.h"

// Opens what the job's /warehouse/stage/files ({"store": "adls", ...}) names among `stores` and
// hands it to the warehouse, which closes it.
bool stage_open(const Job *job, const StoreDriver *const *stores, Env *env, Arena *arena,
                Findings *findings, Warehouse *warehouse, Error *err) MUST_USE;
