// Reader: what the parts of reading a contract file share: findings with their places (reader.c),
// paths (path.c) and columns (column.c). Internal to src/contract/.
//
// All calls are false only for lack of memory; what is wrong with the file goes to the findings.
#pragma once

#include "contract/plan.h"

typedef struct ColumnSpec {
    Str name;
    int type;
    int64_t precision;
    int64_t scale;
    bool required;
    Str comment;
    yyjson_val *from;
    Str from_partition;
    yyjson_val *formats;
    Str zone;
    yyjson_val *unit;
    Str phone;
    int privacy;
    int person;
} ColumnSpec;

// What all steps of reading one contract share.
typedef struct Reader {
    Contract *contract;
    Arena *arena;
    Findings *findings;
    Str file;
    Column *own;       // the contract's own columns, in the file's order
    ColumnSpec *specs; // likewise
    size_t own_count;
} Reader;

extern const char *const contract_privacies[]; // by Privacy
extern const char *const contract_persons[];   // by PersonKind
extern const char *const contract_types[];     // by ColumnType

// A finding at "<file>: <pointer>".
void reader_find(Reader *reader, Str pointer, Str fix, const char *format, ...) PRINTF_LIKE(4, 5);

// "did you mean 'x'", or nothing.
bool reader_suggest(Reader *reader, Str name, const Str *names, size_t count, Str *ret_fix,
                    Error *err) MUST_USE;

// "<parent>/<member>/<index>".
bool reader_pointer(Reader *reader, Str *ret_pointer, Error *err, Str parent, const char *member,
                    size_t index) MUST_USE;

// Whether a path is one; `stars` says whether steps may be *.
bool path_is_fine(Reader *reader, Str pointer, Str path, bool stars);

// The root of all paths.
bool path_root(Arena *arena, Node **ret_root, Error *err) MUST_USE;

// The member's name that a step of a path stands for.
bool path_read_step(Arena *arena, Str step, Str *ret_name, Error *err) MUST_USE;

// The node of a path, made with all that leads to it; and its source: columns that name one path
// share it.
bool path_node(Reader *reader, Str path, Node **ret_node, Error *err) MUST_USE;
bool path_source(Reader *reader, Str path, int *ret_source, Error *err) MUST_USE;

// Whether the path or anything above it is volatile. After path_read_volatile().
bool path_is_volatile(Reader *reader, Str path, bool *ret_is, Error *err) MUST_USE;

// The members "volatile", "known" and "privacy".
bool path_read_volatile(Reader *reader, yyjson_val *array, Error *err) MUST_USE;
bool path_read_known(Reader *reader, yyjson_val *array, Error *err) MUST_USE;
bool path_read_privacy(Reader *reader, yyjson_val *object, Error *err) MUST_USE;

// The member "columns".
bool column_read_all(Reader *reader, yyjson_val *array, Error *err) MUST_USE;

// The index of a column by name; reader->own_count with a finding where there is none.
bool column_find(Reader *reader, Str pointer, Str name, size_t *ret_index, Error *err) MUST_USE;

// "person" of the columns, which must have been read, and of the contract itself (may be NULL).
bool person_read(Reader *reader, yyjson_val *object, Error *err) MUST_USE;
