// Drivers: every store and warehouse that is built in, listed once.
#pragma once

#include "lake/landing.h"
#include "run/job.h"
#include "run/share.h"
#include "warehouse/warehouse.h"

const StoreDriver *const *drivers_stores(void);         // NULL-terminated
const WarehouseDriver *const *drivers_warehouses(void); // NULL-terminated

typedef struct StoreWanted {
    Str driver;
    DriverOptions options;
} StoreWanted;

// Opens a store by its driver's name; an unknown one is a finding.
bool job_open_store(const Job *job, const StoreWanted *wanted, Env *env, Arena *arena,
                    Findings *findings, Store *ret_store, Error *err) MUST_USE;

// Opens the landing store that the job names; the landing belongs to the calling thread.
bool job_open_landing(const Job *job, Env *env, Arena *arena, Findings *findings, Store *ret_store,
                      Landing **ret_landing, Error *err) MUST_USE;

// Opens the warehouse that the job names, with its share of limits.memory: more than usual where
// the widest table that is loaded has many columns (0 = nothing is loaded).
bool job_open_warehouse(const Job *job, size_t columns, Env *env, Arena *arena, Findings *findings,
                        Warehouse *ret_warehouse, Error *err) MUST_USE;

// What loads of so many columns take of the memory that the warehouse gets.
typedef struct WarehouseRoom {
    uint64_t granted;       // of limits.memory
    uint64_t least, enough; // WarehouseDriver.column_bytes_least, ..._enough
    uint64_t limit_enough;  // limits.memory that grants enough
} WarehouseRoom;

WarehouseRoom job_warehouse_room(const Job *job, size_t columns);

// A finding where limits.memory leaves the warehouse less than any load of so many columns takes.
bool job_check_columns(const Job *job, Str stream, size_t columns, Arena *arena, Findings *findings,
                       Error *err) MUST_USE;

// Joins those who share the rate budget of the job's API (share.h). `who` tells apart several
// members of one run; empty = the run itself.
bool job_open_share(const Job *job, RunMode mode, Str who, Store *store, Arena *arena,
                    Share *ret_share, Error *err) MUST_USE;

// False when the warehouse is a file that no run has made yet: asking it would make one.
bool job_has_warehouse(const Job *job);

// The same job for somebody who only looks: he waits a second for a warehouse that is held, not as
// long as a run would.
bool job_to_look(const Job *job, Arena *arena, const Job **ret_job, Error *err) MUST_USE;
