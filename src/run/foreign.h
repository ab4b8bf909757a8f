// Foreign: a table that somebody else fills (an Airbyte, Fivetran, dlt or Singer feed, a CSV
// export), read as if its rows were records: what a contract makes of the API's records it makes of
// these, and both can be compared cell by cell.
#pragma once

#include "run/parts.h"
#include "run/slice_read.h"

enum { FOREIGN_COLUMNS_MAX = 1000 };

typedef struct ForeignColumn {
    Str name;
    Str type;        // as the system calls it, upper case
    Str path;        // of a record: where its value belongs; empty = nobody asks for it
    bool is_json;    // the cell is JSON text, and what lies in it belongs there
    size_t column;   // of the contract, which it fills; SIZE_MAX = several, by what lies in it
    size_t cell;     // in the query; SIZE_MAX = not asked for
    int64_t unit_us; // it holds times since 1970 in these; 0 = it does not, or nobody asked
} ForeignColumn;

typedef enum ForeignKind {
    FOREIGN_OWN,     // pawl's: has _row_key and _row_hash
    FOREIGN_COLUMNS, // a column a field
    FOREIGN_RECORDS, // one column holds the record as it was sent
} ForeignKind;

typedef struct Foreign {
    Warehouse *warehouse;
    const PlanStream *stream;
    const Forgotten *forgotten; // whose rows are passed over; NULL = nobody's
    const char *feed;           // "Airbyte"; "" = none that is known
    ForeignKind kind;
    Str schema, name; // as the system spells them
    Str from;         // quoted, for SQL
    ForeignColumn *columns;
    size_t column_count;
    ForeignColumn *record;     // FOREIGN_RECORDS: where the record is
    ForeignColumn *key, *hash; // FOREIGN_OWN
    ForeignColumn **order;     // those with a path, by their paths
    size_t order_count;
    ForeignColumn *synced;  // when the feed wrote the row; NULL = unknown
    ForeignColumn *deleted; // a time or true when the feed believes the row gone; NULL = unknown
    ForeignColumn *window;  // NULL = the stream has none, or nobody knows
    ForeignColumn *partition[16]; // of each partition column; NULL = the table has none
    bool *compared;               // of the contract's columns: the table has it
    size_t compared_count;
} Foreign;

typedef struct ForeignOptions {
    Str table; // "schema.table"
    Str key;   // "account,call_id": columns of the contract's key, in its order; empty = guess
    Str map;   // "caller=/caller_number,agent=agent_name"; empty = guess
} ForeignOptions;

// A file, not a table.
bool foreign_is_csv(Str table);

// Which stream a table holds where nobody says it (`given` empty): by target, by name, or the only
// one.
bool foreign_choose_stream(const Job *job, Str table, Str given, Str *ret_stream,
                           Error *err) MUST_USE;

// Looks at the table. ERROR_NOT_FOUND: it is not there; ERROR_JOB: what cannot be guessed, by name.
bool foreign_open(const ForeignOptions *options, Warehouse *warehouse, const PlanStream *stream,
                  Arena *arena, Foreign *ret_foreign, Error *err) MUST_USE;

bool foreign_holds_json(const ForeignColumn *column);
// Lists and structs, which a cast to text does not make JSON of.
bool foreign_is_nested(const Foreign *foreign, const ForeignColumn *column);
bool foreign_holds_numbers(const ForeignColumn *column);

// The table was given another name.
bool foreign_move(Foreign *foreign, Str name, Arena *arena, Error *err) MUST_USE;

// What a row is besides its cells.
typedef struct ForeignRow {
    Key128 key, hash;
    bool keyless; // a table of ours, and its _row_key was taken away: key is what it would be
    bool deleted;
    bool forgotten;    // of a forgotten person: not among the rows that a reading returns
    bool inside;       // its own time lies in the window; so do all where there is none
    int64_t synced_us; // INT64_MIN = unknown
    ShapedBatch *batch;
    size_t row; // in the batch
} ForeignRow;

typedef struct ForeignRows {
    ForeignRow *items; // of one slice
    size_t count, room;
    SliceRows rows;     // what they point to
    int64_t unreadable; // rows without a usable key
    int64_t forgotten;  // rows of forgotten people
} ForeignRows;

// One partition's rows whose time lies in [from_us, to_us); from_us == to_us: all of them.
typedef struct ForeignWindow {
    const PlanSlice *slice;
    int64_t from_us, to_us;
} ForeignWindow;

// The rows of a window, and some around it.
bool foreign_read(const Foreign *foreign, const ForeignWindow *window, Shaper *shaper, Arena *arena,
                  ForeignRows *ret_rows, Error *err) MUST_USE;
void foreign_rows_done(ForeignRows *rows); // for CLEANUP()

// A row of the API that no row of a window has the key of.
typedef struct ForeignKey {
    Key128 key;
    const ShapedBatch *batch;
    size_t row;
} ForeignKey;

typedef struct ForeignKeys {
    ForeignKey *items; // sorted by key
    size_t count;
} ForeignKeys;

// Adds the partition's rows that have one of these keys, whatever their time, to those that
// foreign_read() gave.
bool foreign_read_keys(const Foreign *foreign, const ForeignWindow *window, const ForeignKeys *keys,
                       Shaper *shaper, Arena *arena, ForeignRows *rows, Error *err) MUST_USE;

// For qsort(): by key, the rows of a key in the order in which the feed wrote them.
int foreign_compare_rows(const void *a, const void *b);

// The first and the last time in the table, of one partition (NULL = of all), times before 1973
// aside. *ret_any = false where it has none that can be read.
bool foreign_range(const Foreign *foreign, const PlanSlice *slice, int64_t *ret_first_us,
                   int64_t *ret_last_us, bool *ret_any, Error *err) MUST_USE;

// ERROR_JOB where the table has rows, and all their times are of a kind that cannot be read; with
// `needed` also where none has a time.
bool foreign_check_times(const Foreign *foreign, bool needed, Error *err) MUST_USE;

// Finds the columns' units, by the latest time in each.
bool foreign_know_units(Foreign *foreign, Error *err) MUST_USE;

bool foreign_count(const Foreign *foreign, int64_t *ret_rows, Error *err) MUST_USE;

// What stands under a name, spelled as the system keeps it: that very spelling, or else one that
// differs in case. type: "" = nothing, else "BASE TABLE", "VIEW"...
typedef struct ForeignPlace {
    Str schema, name, type;
} ForeignPlace;
bool foreign_find(Warehouse *warehouse, Str schema, Str name, Arena *arena, ForeignPlace *ret_place,
                  Error *err) MUST_USE;

// column IN (values), which are texts of a contract's column: as numbers where the column holds
// some, since those may be written in several ways (1001, 1001.0).
bool foreign_append_in(const Foreign *foreign, const ForeignColumn *column, const Str *values,
                       size_t count, Buf *sql, Error *err) MUST_USE;

// "schema"."table".
bool foreign_name(Buf *out, Str schema, Str name, Error *err) MUST_USE;
