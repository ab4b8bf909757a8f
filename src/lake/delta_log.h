// Delta log: what a table is at one version: protocol, schema, files, transactions; read from the
// newest checkpoint and the commits behind it (<table>/_delta_log/), and kept up with new ones.
//
// A table whose newest version asks its writers or readers for anything but appendOnly and column
// invariants (protocol 1/2, or 7 with no more features than those) is refused by name: ERROR_JOB.
// So are partitioned tables and files that are not below the table.
#pragma once

#include "duck/duck.h"
#include "lake/delta_schema.h"
#include "store/store.h"

enum {
    DELTA_COMMIT_BYTES_MAX = 64 * 1024 * 1024,
    DELTA_LOG_BYTES_MAX = 256 * 1024 * 1024, // of one table in memory
    DELTA_NAME_BYTES = 64,                   // of a file's name in _delta_log
};

typedef struct DeltaFile {
    Str path;   // as the log writes it (percent-encoded)
    Str action; // members of its last add or remove, as JSON
    Str stats;  // of an add; empty = none
    uint64_t size;
    int64_t time_ms; // written (add), deleted (remove)
    int64_t version; // of the commit that said so; that of the checkpoint where it came from there
    bool live;       // add; otherwise remove
} DeltaFile;

typedef struct DeltaTxn {
    Str app;
    int64_t version;
    int64_t updated_ms; // 0 = not told
} DeltaTxn;

typedef struct DeltaLog {
    // set before delta_log_open()
    Store *store;
    Duck *duck;          // reads checkpoints; open
    Str folder;          // of the table, "ctm/calls"
    const char *scratch; // local path without an ending, for a copy of a checkpoint

    // the table
    int64_t version;                            // -1 = there is none
    int64_t checkpoint;                         // version of the newest; -1 = none
    Str protocol, metadata;                     // members, as JSON
    int64_t protocol_version, metadata_version; // of the commits that said so
    Str schema_json;
    DeltaSchema schema;
    int64_t log_retention_ms, file_retention_ms;
    bool has_file_retention;  // told by the table; otherwise the protocol's week
    bool keeps_log;           // delta.enableExpiredLogCleanup = false
    int64_t txn_retention_ms; // -1 = for ever
    DeltaFile *files; // live ones and removed ones, in the order in which they were first seen
    size_t file_count;
    DeltaTxn *txns;
    size_t txn_count;

    // private
    int64_t settled; // what is asked of writers was looked at up to this version
    Arena *arena;
    Arena *scratch_arena;
    uint32_t *slots; // hash of path -> index + 1
    size_t slot_mask;
    size_t file_room, txn_room;
} DeltaLog;

// Reads the newest version. No table there is fine: version -1.
bool delta_log_open(DeltaLog *log, Error *err) MUST_USE;
void delta_log_close(DeltaLog *log); // keeps what was set before open

// Takes in commits that came since.
bool delta_log_update(DeltaLog *log, Error *err) MUST_USE;
// Judges what they brought; part of opening and of taking in (delta_terms.c).
bool delta_log_settle(DeltaLog *log, Error *err) MUST_USE;
// Whether the commit of log->version is still there. When others have cut it off behind a
// checkpoint, those that follow it may be gone as well: then the log is to be opened anew.
bool delta_log_stands(DeltaLog *log, bool *ret_stands, Error *err) MUST_USE;

const DeltaTxn *delta_log_find_txn(const DeltaLog *log, Str app); // or NULL

// "ctm/calls/_delta_log/00000000000000000007.json"; `ending` "json" or "checkpoint.parquet".
bool delta_log_path(const DeltaLog *log, int64_t version, const char *ending, Arena *arena,
                    Str *ret_path, Error *err) MUST_USE;
// Whether a file is named by where it lies, which is not for this table to keep or to remove.
bool delta_log_is_outside(Str path);
// Where the file of an action lies in the store. ERROR_JOB for one that is outside.
bool delta_log_file_path(const DeltaLog *log, Str path, Arena *arena, Str *ret_path,
                         Error *err) MUST_USE;

// Copies a file of the store to local disk.
bool delta_copy_out(Store *store, Str path, const char *local, Error *err) MUST_USE;

// `text` as a SQL literal.
bool delta_sql_text(Str text, Buf *out, Error *err) MUST_USE;

// What a name in _delta_log is.
typedef enum DeltaNameKind {
    DELTA_NAME_OTHER,
    DELTA_NAME_COMMIT,
    DELTA_NAME_CHECKPOINT
} DeltaNameKind;
typedef struct DeltaName {
    DeltaNameKind kind;
    int64_t version;
    uint32_t part, parts; // of a checkpoint in several files; else 1, 1
} DeltaName;
DeltaName delta_log_parse_name(Str name);
