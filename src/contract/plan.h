// Plan: a contract as shape needs it: the table's columns, where the value of each is found, and
// what the contract says of the paths in between. Internal to src/contract/.
//
// Everything lives in the contract's arena and is immutable once contract_open() returns.
#pragma once

#include "base/field.h"
#include "contract/forgotten.h"

// Documented, named maxima of a contract file.
enum {
    CONTRACT_BYTES_MAX = 4 * 1024 * 1024,
    SOURCES_MAX = 8000,         // paths named by all columns together
    COLUMN_SOURCES_MAX = 32,    // of one column
    FORMATS_MAX = 32,           // of one column
    PATH_DEPTH_MAX = 32,        // members a path may step through
    COLUMN_NAME_BYTES_MAX = 63, // PostgreSQL's limit, the smallest
    KEY_COLUMNS_MAX = 16,
    PERSON_PATHS_MAX = 64,
};

// Columns that travel with the rows, behind the contract's own.
enum { SYSTEM_ROW_KEY, SYSTEM_ROW_HASH, SYSTEM_OVERFLOW, SYSTEM_FETCHED_AT, SYSTEM_COLUMNS };

typedef enum Privacy { PRIVACY_KEEP, PRIVACY_MASK, PRIVACY_HASH, PRIVACY_DROP } Privacy;

enum { NO_SOURCE = -1 };

// One step of the paths that a contract names: the record is the root, members hang below.
typedef struct Node Node;
struct Node {
    Str name;
    Node **members;
    size_t member_count;
    Node *any;  // "*": every element of an array, and every member without a node of its own
    int source; // which source this path is, or NO_SOURCE
    Privacy privacy;
    bool is_volatile;
    bool known;         // stays in _overflow on purpose: no drift
    bool sources_below; // what hangs below has sources, privacy or volatile paths
    bool privacy_below;
    bool volatile_below;
};

typedef enum FormatKind {
    FORMAT_ISO,
    FORMAT_EPOCH_S,
    FORMAT_EPOCH_MS,
    FORMAT_EPOCH_US,
    FORMAT_PATTERN,
} FormatKind;

typedef struct Format {
    FormatKind kind;
    Str pattern;
    int64_t resolution_us; // what it cannot tell apart: a minute, where no second is written
} Format;

// Milliseconds become seconds always, or only where the number is over a limit (see
// docs/contract.md).
typedef enum UnitKind { UNIT_NONE, UNIT_MS, UNIT_MS_IF_OVER } UnitKind;

typedef struct Unit {
    UnitKind kind;
    int source;   // the path whose number is the limit, or NO_SOURCE
    int less;     // the path whose number is taken off it, or NO_SOURCE
    double limit; // used when the first path holds no number
} Unit;

typedef struct ColumnPlan {
    const int *sources; // in the order of "from"
    size_t source_count;
    size_t index; // in contract_columns()
    ColumnType type;
    bool required;
    Privacy privacy;
    int precision, scale;
    const Format *formats;
    size_t format_count;
    Unit unit;
    const PhoneCountry *phone; // NULL = not a phone number
    const Zone *zone;          // NULL = the shaper's
    Str from_partition;        // empty = not from the partition
} ColumnPlan;

// The hot part of a plain column's plan: many fit into a cache line.
typedef struct PlainColumn {
    uint16_t source;
    uint16_t index; // in contract_columns()
    ColumnType type;
} PlainColumn;

typedef struct Source {
    Str path;
    const Node *node;
} Source;

// A path that tells about whom a record is, cut into its steps.
typedef struct PersonPath {
    PersonKind kind;
    const PhoneCountry *phone;
    const Str *steps; // "*" = any
    size_t step_count;
} PersonPath;

struct Contract {
    ContractInfo info;
    Str privacy_key; // secret; empty = none
    Column *columns; // with the system columns
    size_t column_count;
    // Of the contract's own columns: those of the key first, in the key's order; the plain ones
    // last.
    ColumnPlan *plans;
    size_t plan_count;
    size_t key_count;
    PlainColumn *plain; // the hot part of the last `plain_count` plans
    size_t plain_count;
    Source *sources;
    size_t source_count;
    size_t source_capacity;
    int redacted_source; // NO_SOURCE = the source redacts nothing
    PersonPath *person_paths;
    size_t person_path_count;
    PersonColumn *person_columns;
    size_t person_column_count;
    bool has_person_paths; // beside those of columns
    Node *root;
};

// Like contract_open(), from memory; `name` stands for the file in messages.
bool contract_read(Str bytes, const char *name, Arena *arena, Findings *findings,
                   Contract **ret_contract, Error *err) MUST_USE;

// What may stand in a contract and in one of its columns: schemas/contract.schema.json and the
// manual.
extern const Field contract_fields[];
extern const Field contract_column_fields[];
extern const Field contract_unit_fields[];

extern const Column contract_system_columns[SYSTEM_COLUMNS];

// The node of a member, or NULL. Few members have nodes, so this looks through them.
static inline const Node *node_member(const Node *node, Str name)
{
    for (size_t i = 0; i < node->member_count; i++) {
        if (str_equal(node->members[i]->name, name))
            return node->members[i];
    }
    return node->any;
}
