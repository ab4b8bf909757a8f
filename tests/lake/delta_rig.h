// A small table, loads of it made by hand, and a look at what the lake holds of it.
#pragma once

#include "harness/check.h"
#include "lake/delta.h"
#include "lake/delta_log.h"

enum { RIG_COLUMNS = 8, RIG_ROWS_MAX = 5000 };

// One row of a load. Its hash is made of `note`, its time `called_at` of `id`; `note` lies in
// _overflow as well, at /left/note.
typedef struct RigRow {
    int64_t id;
    const char *note;
    int64_t fetched_us;
} RigRow;

typedef struct Rig {
    Arena *arena;
    Store store;
    Delta *delta;
} Rig;

void rig_open(Rig *rig);
void rig_close(Rig *rig);
Delta *rig_delta(Rig *rig, Store *store); // another writer on the same store; closed by the caller

extern const DeltaTableSpec rig_table;
extern Env rig_env; // filled by rig_open()
Key128 rig_key(int64_t id);

// A load of `rows` read as one window [from_us, to_us) at `fetched_us`; `gone` vanished from it.
typedef struct RigLoad {
    const char *run, *mode;
    uint32_t ordinal;
    const RigRow *rows;
    size_t row_count;
    int64_t from_us, to_us, fetched_us;
    const int64_t *gone;
    size_t gone_count;
    bool skipped;
    bool in_ledger; // what the ledger says of any other load
} RigLoad;
bool rig_load(Delta *delta, const RigLoad *load, Arena *arena, DeltaReport *ret_report, Error *err);
DeltaReport rig_load_ok(Rig *rig, const RigLoad *load);

// What a reader sees: "id:note:fetched[:deleted]" a row, by id, blanks between.
Str rig_rows(Rig *rig);
Str rig_rows_as(Rig *rig, const char *expression); // another text a row
// The log as it is; closed by the caller with delta_log_close() and duck_close().
void rig_log(Rig *rig, Duck *duck, DeltaLog *ret_log);
