// A merge's insides, for delta_merge.c (its course), delta_match.c and delta_rewrite.c only.
#pragma once

#include "lake/delta_parts.h"

enum { DELTA_DRIVER_COLUMNS = 4 }; // that every row gets besides those of its load

typedef enum Fate { FATE_LEFT, FATE_NEW, FATE_CHANGED } Fate;

// A key that is asked about: a row of the load, or one that vanished.
typedef struct Asked {
    const Key128 *key;
    int64_t fetched_us;  // of the row; of the reading that found it gone
    uint32_t block, row; // of a row
    unsigned char fate;  // of a row: Fate
    bool vanished;
    bool found, deleted; // stored; of several the freshest
    int64_t stored_us;
    Key128 hash;
    const Key128 *only_hash; // of a row to be erased; NULL = any
} Asked;

// Key `asked` stands in file `file`.
typedef struct Match {
    uint32_t asked, file;
    bool live;
    int64_t fetched_us;
} Match;

typedef struct Merge {
    Delta *delta;
    const DeltaLoad *load; // NULL: erase
    DeltaTable *table;
    DeltaReport report;
    Str label;
    Str app;
    Str load_id;
    Column *columns; // of the load, and the driver's
    size_t column_count;

    // of the attempt in hand
    bool *skipped;
    Asked *asked; // rows first, then the vanished
    size_t asked_count, row_count;
    Match *matches;
    size_t match_count, match_room;
    bool *looked; // of each file of the log: may hold one of our keys
    size_t looked_count;
    bool *touched; // of each file of the log: is written anew
    DeltaAdd *adds;
    size_t add_count;
    uint32_t *removes;
    size_t remove_count;
    DeltaBox *box;
    int64_t seen_version; // of the log that all this was made from
    Arena *call;          // what all attempts share
    Str schema_json;      // with our columns
    bool schema_changed;
    DeltaSchema schema;
} Merge;

// --- delta_match.c

// Of a load: its rows and the vanished, and the box of the rows' business keys.
bool merge_collect(Merge *merge, Error *err) MUST_USE;
bool merge_make_box(Merge *merge, Error *err) MUST_USE;

bool merge_choose_files(Merge *merge, Error *err) MUST_USE;
// Stats are a help: a file whose stats cannot be read may hold anything.
bool merge_file_may_hold(const Merge *merge, const DeltaFile *file, bool *ret_may,
                         Error *err) MUST_USE;
bool merge_match_all(Merge *merge, Error *err) MUST_USE;

// A statement over (position, key, fetched) of all that is asked, of rows that leave their files,
// or of what is marked as gone.
typedef enum KeyChoice { KEYS_ALL, KEYS_GONE, KEYS_MARKED } KeyChoice;
bool merge_run_with_keys(Merge *merge, KeyChoice choice, const char *sql, const DuckValue *values,
                         size_t value_count, Error *err) MUST_USE;

// --- delta_rewrite.c

bool merge_write_files(Merge *merge, Error *err) MUST_USE;
