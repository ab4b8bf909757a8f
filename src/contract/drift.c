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

void drift_turn_page(Drift *drift)
{
    memset(drift->here, 0, sizeof(drift->here));
}

static size_t find_reported(const Drift *drift, Str path)
{
    size_t i = 0;
    while (i < drift->count && !str_equal(drift->paths[i], path))
        i++;
    return i;
}

// Remembers an unknown path as *ret_path, if there is room; under freeze the record is refused.
static bool report(Drift *drift, Str parent, Str name, yyjson_val *value, uint8_t *ret_path,
                   Error *err)
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
    const size_t index = find_reported(drift, buf_str(&path)); // names are forgotten, paths are not
    if (index == DRIFT_MAX)
        return true;
    if (index == drift->count) {
        TRY(arena_copy_str(drift->arena, buf_str(&path), &drift->paths[index], err));
        drift->types[index] = type_of(value);
        drift->count++;
    }
    drift->here[index] = true;
    *ret_path = (uint8_t)(index + 1);
    return true;
}

bool drift_name(Drift *drift, Name *name, yyjson_val *value, Error *err)
{
    if (name->drift_path > 0)
        drift->here[name->drift_path - 1] = true;
    else
        TRY(report(drift, STR(""), name_text(name), value, &name->drift_path, err));
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
        const NestedDrift *nested = &drift->nested[i];
        if (nested->parent != parent || !str_equal(nested->name, name))
            continue;
        if (nested->path > 0)
            drift->here[nested->path - 1] = true;
        return true;
    }
    if (drift->nested_count == DRIFT_MAX || name.size > NAME_BYTES_MAX)
        return true;
    CLEANUP(buf_done) Buf path = {0};
    bool found = false;
    TRY(find_path(drift->contract->root, parent, &path, &found, err));
    uint8_t reported = 0;
    TRY(report(drift, buf_str(&path), name, value, &reported, err));
    if (drift->contract->info.evolution == EVOLUTION_FREEZE)
        return true;
    NestedDrift *nested = &drift->nested[drift->nested_count];
    TRY(arena_copy_str(drift->arena, name, &nested->name, err));
    nested->parent = parent;
    nested->path = reported;
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
