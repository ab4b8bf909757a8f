// What the files of delta.h share. Inside src/lake only.
#pragma once

#include "lake/delta.h"
#include "lake/delta_log.h"
#include "lake/delta_stats.h"

enum {
    DELTA_LOCAL_BYTES = 512,                  // of a local path
    DELTA_WORK_BYTES_MAX = 512 * 1024 * 1024, // of one call
    DELTA_CACHE_MAX = 32,                     // local copies of files
};

// Of files that are put together: smaller ones count as small, and the result aims at the second.
#define DELTA_SMALL_BYTES UINT64_C(8388608)
#define DELTA_LARGE_BYTES UINT64_C(67108864)
#define DELTA_CACHE_BYTES UINT64_C(1073741824)

typedef struct DeltaTable {
    Str folder;
    DeltaLog log;
    bool is_open;
    struct DeltaTable *next;
} DeltaTable;

// A file of a table on the local disk.
typedef struct DeltaCopy {
    Str path; // in the store
    char local[DELTA_LOCAL_BYTES];
    uint64_t size;
    uint64_t used; // clock of the last use
} DeltaCopy;

struct Delta {
    DeltaOptions options;
    Store *store;
    Env *env;
    Arena *arena;                    // the caller's; lives as long as the Delta
    Arena *work;                     // of the call in hand
    Duck duck;                       // opened when first needed
    char scratch[DELTA_LOCAL_BYTES]; // our folder
    char log_copy[DELTA_LOCAL_BYTES];
    char duck_temp[DELTA_LOCAL_BYTES];
    int lock; // held while we live
    DeltaTable *tables;
    DeltaCopy copies[DELTA_CACHE_MAX];
    Arena *copy_arena; // their paths
    uint64_t clock;
    uint64_t files_made; // numbers local names
};

// A file that was written and put, to be added by a commit.
typedef struct DeltaAdd {
    Str name; // below the table
    Str path; // in the store
    Str stats;
    uint64_t size;
    int64_t rows;
} DeltaAdd;

// A commit in the making.
typedef struct DeltaCommit {
    DeltaTable *table;
    const char *operation;  // "MERGE"
    Str label;              // of kill points: "calls load 3"
    Str note;               // userMetadata; may be empty
    Str app;                // txn; empty = none
    Str protocol, metadata; // members to write; empty = as they are
    bool data_change;
    const DeltaAdd *adds;
    size_t add_count;
    const uint32_t *removes; // indexes into log.files
    size_t remove_count;
    int64_t rows_inserted, rows_updated, rows_deleted; // metrics
} DeltaCommit;

// --- delta_data.c: files

bool delta_need_duck(Delta *delta, Error *err) MUST_USE;
// The table, its log up to date.
bool delta_open_table(Delta *delta, Str schema, Str name, DeltaTable **ret_table,
                      Error *err) MUST_USE;
// A local copy of a file of the table, good until the next call with another file.
bool delta_local_copy(Delta *delta, const DeltaTable *table, const DeltaFile *file,
                      const char **ret_local, Error *err) MUST_USE;
typedef struct DeltaWrite {
    const DuckStatement *select;
    const DeltaSchema *schema;
    Str label;     // of the load, and
    size_t number; // of the file in it: what kill points call it
} DeltaWrite;

// Writes the rows of a select into a new file of the table and puts it, not durable before the
// commit. No rows: no file, ret_add->rows = 0.
bool delta_write_file(Delta *delta, DeltaTable *table, const DeltaWrite *write, DeltaAdd *ret_add,
                      Error *err) MUST_USE;
void delta_remove_adds(Delta *delta, const DeltaAdd *adds, size_t count); // as well as it can
// Appends `SELECT <schema's columns, cast> FROM <file>`: columns that the file lacks are null.
bool delta_select_file(const DeltaSchema *schema, const char *local, Buf *out, Error *err) MUST_USE;
bool delta_sql_name(Str name, Buf *out, Error *err) MUST_USE;
int64_t delta_now_ms(const Delta *delta);

// --- delta_commit.c

typedef enum DeltaOutcome { DELTA_COMMITTED, DELTA_OVERTAKEN } DeltaOutcome;
// Puts the commit as the next version. OVERTAKEN: another one is there, and the log is up to date.
bool delta_commit(Delta *delta, const DeltaCommit *commit, DeltaOutcome *ret_outcome,
                  Error *err) MUST_USE;
// The members of metaData: those that stand, with this schema; or new ones. Lives in delta->work.
bool delta_metadata_text(Delta *delta, const DeltaLog *log, Str schema_json, Str *ret_text,
                         Error *err) MUST_USE;
// Texts of the business key may stand in stats: which files hold a key is known by them.
void delta_bound_keys(DeltaSchema *schema, const DeltaTableSpec *table);
// For who does not know the key: the texts that all of these files bound may stand in the stats of
// what takes their place.
void delta_bound_as_before(DeltaSchema *schema, const DeltaLog *log, const uint32_t *files,
                           size_t count, Arena *scratch);
// Writes a checkpoint when one is due. Not worth a load: the caller may go on without.
bool delta_checkpoint(Delta *delta, DeltaTable *table, Error *err) MUST_USE;

// --- delta_note.c: readings that the ledger may not know yet

bool delta_note_overtaken(Delta *delta, DeltaTable *table, const DeltaLoad *load, bool *skipped,
                          Error *err) MUST_USE;
bool delta_note_put(Delta *delta, DeltaTable *table, const DeltaLoad *load, Error *err) MUST_USE;
bool delta_load_name(const DeltaLoad *load, Arena *arena, Str *ret_name, Error *err) MUST_USE;
