// Rig: a warehouse under test, and a small stand-in for what run/ does around a load: the rows of a
// load are deduplicated, matched, their fates decided, and those that changed are written.
#pragma once

#include "harness/check.h"
#include "warehouse/warehouse.h"

enum { RIG_ROWS_MAX = 10000, RIG_ARENA_BYTES = 64 * 1024 * 1024, RIG_OPTIONS_BYTES = 1000 };

typedef struct RigRow {
    int64_t id;
    const char *name; // the content
} RigRow;

// A reading of one window: what a slice brings.
typedef struct RigReading {
    const char *partition;
    int64_t from_us, to_us;
    int64_t fetched_us;
    const RigRow *rows;
    size_t count;
    const int64_t *gone; // ids to mark as deleted
    size_t gone_count;
} RigReading;

typedef struct RigLoad {
    const char *mode; // NULL = "incremental"
    const char *run;
    uint32_t ordinal;
    uint64_t epoch;
    const char *content; // the checksum is of this
    const RigReading *readings;
    size_t count;
    const Watermark *watermarks;
    size_t watermark_count;
    uint64_t spare_bytes;
    size_t fails_at; // its rows end with an error before this batch; 0 = never
} RigLoad;

typedef struct RigResult {
    bool loaded; // it was in the ledger already
    int64_t inserted, updated, unchanged, deleted;
    size_t skipped;
} RigResult;

typedef struct Rig {
    Warehouse warehouse;
    const WarehouseDriver *driver;
    void *state;
    Arena *arena;
    Findings findings;
} Rig;

extern const TableSpec rig_table;
extern const TableSpec rig_table_wider;  // with one column more, "extra", which it may add
extern const TableSpec rig_table_frozen; // the same, which it may not add

// Opens `driver` at `path` without preparing anything. `options` = more JSON members or "".
void rig_open(Rig *rig, const WarehouseDriver *driver, const char *path, const char *options);
// The same with all its members: "\"path\": ...".
void rig_open_with(Rig *rig, const WarehouseDriver *driver, const char *options);
void rig_open_within(Rig *rig, const WarehouseDriver *driver, const char *options,
                     uint64_t memory_bytes);
void rig_prepare(Rig *rig);
void rig_close(Rig *rig); // for CLEANUP()

// False with `err` set; nothing is open then.
bool rig_load(Rig *rig, const RigLoad *load, RigResult *ret_result, Error *err);

// The parts: rows of one load to be written, and the spec of a load.
LoadSpec rig_spec(const RigLoad *load, LoadSlice *slices);

// All cells of a query: columns parted by '|', rows by a blank, NULL as "-".
Str rig_query(Rig *rig, const char *sql);

Key128 rig_key(int64_t id);
void rig_array(const RigRow *rows, size_t count, int64_t fetched_us, struct ArrowArray *ret_array);
