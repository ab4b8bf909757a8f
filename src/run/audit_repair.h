// AuditRepair: the statements that mend one slice of a foreign table, or take surplus copies of
// rows out of one of pawl's own.
#pragma once

#include "run/foreign.h"

typedef struct AuditKeys {
    Key128 *items;
    size_t count, room;
} AuditKeys;

typedef struct AuditRepair {
    const Foreign *foreign;
    Env *env;
    Arena *arena;       // of the slice
    bool wanted;        // else nothing is done
    const Buf *differs; // names of the columns in which the row in hand differs
    Str *statements;
    size_t count, room;
    AuditKeys doubled[2]; // [1]: what the API shows
    int64_t inserted, updated, removed;
} AuditRepair;

bool audit_repair_insert(AuditRepair *repair, const ShapedBatch *batch, size_t row,
                         Error *err) MUST_USE;
bool audit_repair_update(AuditRepair *repair, const ShapedBatch *batch, size_t row,
                         const ForeignRow *old, Error *err) MUST_USE;
// Of pawl's own tables: rows of this key that lack it get it back.
bool audit_repair_key(AuditRepair *repair, const ForeignRow *row, Error *err) MUST_USE;
// Likewise: all copies but one go. `shown`: the API has the row, and a reading of its day is to
// write all of the copy that stays anew.
bool audit_repair_doubled(AuditRepair *repair, const Key128 *key, bool shown, Error *err) MUST_USE;
bool audit_repair_commit(AuditRepair *repair, Error *err) MUST_USE;
