#include "contract/drift.h"

static ColumnType type_of(yyjson_val *value)
{
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        return COLUMN_BOOLEAN;
    case YYJSON_TYPE_NUM:
        return unsafe_yyjson_is_real(value) ? COLUMN_DOUBLE : COLUMN_INT64;
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        return COLUMN_JSON;
    default:
        return COLUMN_STRING;
    }
}

static bool write_path_step(Str name, Buf *path, Error *err)
{
    return buf_append_char(path, '/', err) && json_write_step(name, path, err);
}

// Remembers an unknown path; under freeze the record is refused.
static bool report(Drift *drift, Str parent, Str name, yyjson_val *value, Error *err)
{
    CLEANUP(buf_done) Buf sent = {0};
    CLEANUP(buf_done) Buf path = {0};
    TRY(buf_append(&sent, parent, err));
    TRY(write_path_step(name, &sent, err));
    TRY(text_clean(buf_str(&sent), &path, err));
    if (drift->contract->info.evolution == EVOLUTION_FREEZE) {
        if (drift->frozen.data != NULL)
            return true;
        drift->frozen_why = "is not in the contract";
        return arena_copy_str(drift->arena, buf_str(&path), &drift->frozen, err);
    }
    if (drift->count == DRIFT_MAX)
        return true;
    const size_t index = drift->count;
    TRY(arena_copy_str(drift->arena, buf_str(&path), &drift->paths[index], err));
    drift->types[index] = type_of(value);
    drift->count++;
    return true;
}

bool drift_name(Drift *drift, Name *name, yyjson_val *value, Error *err)
{
    TRY(report(drift, STR(""), name_text(name), value, err));
    if (drift->contract->info.evolution != EVOLUTION_FREEZE)
        names_reported(name);
    return true;
}

// The path of a node, found by walking down to it: only drift needs it.
// NOLINTNEXTLINE(misc-no-recursion): PATH_DEPTH_MAX bounds the depth
static bool find_path(const Node *from, const Node *wanted, Buf *path, bool *ret_found, Error *err)
{
    *ret_found = from == wanted;
    for (size_t i = 0; i < from->member_count && !*ret_found; i++) {
        const size_t size = path->size;
        TRY(write_path_step(from->members[i]->name, path, err));
        TRY(find_path(from->members[i], wanted, path, ret_found, err));
        if (!*ret_found)
            path->size = size;
    }
    return true;
}

bool drift_nested(Drift *drift, const Node *parent, Str name, yyjson_val *value, Error *err)
{
    for (size_t i = 0; i < drift->nested_count; i++) {
        if (drift->nested[i].parent == parent && str_equal(drift->nested[i].name, name))
            return true;
    }
    if (drift->nested_count == DRIFT_MAX || name.size > NAME_BYTES_MAX)
        return true;
    CLEANUP(buf_done) Buf path = {0};
    bool found = false;
    TRY(find_path(drift->contract->root, parent, &path, &found, err));
    TRY(report(drift, buf_str(&path), name, value, err));
    if (drift->contract->info.evolution == EVOLUTION_FREEZE)
        return true;
    NestedDrift *nested = &drift->nested[drift->nested_count];
    TRY(arena_copy_str(drift->arena, name, &nested->name, err));
    nested->parent = parent;
    drift->nested_count++;
    return true;
}

void drift_misfit(Drift *drift, Str path)
{
    if (drift->contract->info.evolution != EVOLUTION_FREEZE || drift->frozen.data != NULL)
        return;
    drift->frozen = path;
    drift->frozen_why = "holds a value that does not fit its column";
}

bool drift_check(const Drift *drift, Error *err)
{
    if (drift->frozen.data == NULL)
        return true;
    return error_set(err, ERROR_DATA, STR_FMT ": " STR_FMT " %s, and its evolution is freeze",
                     STR_ARG(drift->contract->info.stream), STR_ARG(drift->frozen),
                     drift->frozen_why);
}
