// Transform: what a manifest does to each record, one file for each kind of change: transform.c
// (binding, AddFields), transform_remove.c, transform_keys.c, transform_flatten.c. record.c holds
// what they share. Nobody else includes this.
#pragma once

#include "connector/engine.h"

typedef enum TransformKind {
    TRANSFORM_ADD,
    TRANSFORM_REMOVE,
    TRANSFORM_LOWER,
    TRANSFORM_REPLACE,
    TRANSFORM_SNAKE,
    TRANSFORM_FLATTEN,
    TRANSFORM_FLATTEN_AT,
} TransformKind;

typedef struct AddedField {
    Str path[PATH_PARTS_MAX];
    size_t path_count;
    Expr value;
    ExprKinds kinds;
} AddedField;

typedef struct Pointer {
    Str path[PATH_PARTS_MAX];
    size_t count;
} Pointer;

struct Transform {
    TransformKind kind;
    Expr condition;
    AddedField *fields;
    Pointer *pointers;
    size_t count; // of either
    Expr before;  // KeysReplace; DpathFlattenFields: what stands before and behind a key
    Expr after;
    Expr path[PATH_PARTS_MAX]; // DpathFlattenFields
    size_t path_count;
    bool flattens_lists;  // FlattenFields
    bool deletes_origin;  // DpathFlattenFields
    bool replaces_record; // likewise
};

static inline bool is_dict(Value value)
{
    return value.kind == VALUE_DICT || (value.kind == VALUE_JSON && yyjson_is_obj(value.json));
}

static inline bool is_list(Value value)
{
    return value.kind == VALUE_LIST || (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
}

// --- record.c: records are changed by copying what lies on the way to the change

// A copy, one level deep, with room for `extra` more; its pairs may be written.
bool dict_open(Value value, size_t extra, Arena *arena, Value *ret_dict, ValuePair **ret_pairs,
               Error *err) MUST_USE;
bool list_open(Value value, size_t count, Arena *arena, Value *ret_list, Value **ret_items,
               Error *err) MUST_USE;
// dpath.new(): makes what lacks on the way.
bool value_set_at(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                  Error *err) MUST_USE;

// --- the other kinds

bool transform_remove(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                      Error *err) MUST_USE;
// Takes away what lies at the path, which may hold '*'.
bool transform_remove_at(const Str *path, size_t count, Value *record, Arena *arena,
                         Error *err) MUST_USE;
bool transform_lower(Value *record, Arena *arena, Error *err) MUST_USE;
bool transform_replace(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                       Error *err) MUST_USE;
bool transform_snake(Value *record, Arena *arena, Error *err) MUST_USE;
bool transform_flatten(const Transform *transform, Value *record, Arena *arena,
                       Error *err) MUST_USE;
bool transform_flatten_at(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                          Error *err) MUST_USE;
