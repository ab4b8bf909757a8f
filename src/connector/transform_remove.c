// RemoveFields: the reference's dpath.delete(), globs and all.
#include "connector/transform.h"

enum { GLOB_DEPTH_MAX = 64 };

// fnmatch with '*' and '?' only.
static bool glob_matches(Str glob, Str text)
{
    size_t g = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.size) {
        if (g < glob.size && (glob.data[g] == '?' || glob.data[g] == text.data[t]) &&
            glob.data[g] != '*') {
            g++;
            t++;
        } else if (g < glob.size && glob.data[g] == '*') {
            star = g++;
            mark = t;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (g < glob.size && glob.data[g] == '*')
        g++;
    return g == glob.size;
}

static bool path_matches(const Str *glob, size_t glob_count, const Str *path, size_t count)
{
    if (glob_count == 0)
        return count == 0;
    if (str_equal(glob[0], STR("**"))) {
        for (size_t skip = 0; skip <= count; skip++) {
            if (path_matches(glob + 1, glob_count - 1, path + skip, count - skip))
                return true;
        }
        return false;
    }
    return count > 0 && glob_matches(glob[0], path[0]) &&
           path_matches(glob + 1, glob_count - 1, path + 1, count - 1);
}

typedef struct Removal {
    const Transform *transform;
    const Pointer *pointer;
    Frame *frame;
    Arena *arena;
    Str path[GLOB_DEPTH_MAX];
} Removal;

// With a condition every plain value is looked at, wherever the pointer points: so does the
// reference's dpath.delete().
static bool is_removed(Removal *removal, Value value, size_t depth, bool *ret_yes, Error *err)
{
    if (!removal->transform->condition.exists) {
        *ret_yes =
            path_matches(removal->pointer->path, removal->pointer->count, removal->path, depth);
        return true;
    }
    *ret_yes = false;
    if (is_dict(value) || is_list(value))
        return true;
    TRY(frame_set(removal->frame, STR("property"), value, err));
    return expr_bool(&removal->transform->condition, removal->frame, removal->arena, ret_yes, err);
}

static bool remove_below(Removal *removal, Value *place, size_t depth, Error *err);

static bool remove_from_dict(Removal *removal, Value *place, size_t depth, Error *err)
{
    ValuePair *pairs = NULL;
    TRY(dict_open(*place, 0, removal->arena, place, &pairs, err));
    size_t kept = 0;
    for (size_t i = 0; i < place->dict.count; i++) {
        bool gone = false;
        removal->path[depth] = pairs[i].key.kind == VALUE_STR ? pairs[i].key.text : STR("");
        TRY(is_removed(removal, pairs[i].value, depth + 1, &gone, err));
        if (gone)
            continue;
        TRY(remove_below(removal, &pairs[i].value, depth + 1, err));
        pairs[kept++] = pairs[i];
    }
    place->dict.count = kept;
    return true;
}

static bool remove_from_list(Removal *removal, Value *place, size_t depth, Error *err)
{
    Value *items = NULL;
    TRY(list_open(*place, 0, removal->arena, place, &items, err));
    size_t count = place->list.count;
    for (size_t i = 0; i < count; i++) {
        char text[24];
        bool gone = false;
        int size = snprintf(text, sizeof text, "%zu", i);
        TRY(arena_copy_str(removal->arena, (Str){text, (size_t)size}, &removal->path[depth], err));
        TRY(is_removed(removal, items[i], depth + 1, &gone, err));
        if (!gone)
            TRY(remove_below(removal, &items[i], depth + 1, err));
        else if (i + 1 == count)
            place->list.count--;
        else
            items[i] = value_none(); // the others keep their index
    }
    return true;
}

static bool remove_below(Removal *removal, Value *place, size_t depth, Error *err)
{
    if (depth + 1 >= GLOB_DEPTH_MAX)
        return true;
    if (is_dict(*place))
        return remove_from_dict(removal, place, depth, err);
    if (is_list(*place))
        return remove_from_list(removal, place, depth, err);
    return true;
}

static bool is_plain_pointer(const Pointer *pointer)
{
    for (size_t i = 0; i < pointer->count; i++) {
        Str part = pointer->path[i];
        if (str_find_char(part, '*') < part.size || str_find_char(part, '?') < part.size)
            return false;
    }
    return true;
}

bool transform_remove(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                      Error *err)
{
    for (size_t i = 0; i < transform->count; i++) {
        const Pointer *pointer = &transform->pointers[i];
        // Most records lack most of the fields: then nothing needs to be copied.
        if (!transform->condition.exists && is_plain_pointer(pointer) &&
            value_at_path(*record, pointer->path, pointer->count).kind == VALUE_UNDEFINED)
            continue;
        Removal removal = {
            .transform = transform, .pointer = pointer, .frame = frame, .arena = arena};
        TRY(remove_below(&removal, record, 0, err));
    }
    return true;
}

bool transform_remove_at(const Str *path, size_t count, Value *record, Arena *arena, Error *err)
{
    Pointer pointer = {.count = count};
    memcpy(pointer.path, path, count * sizeof(*path));
    const Transform transform = {.pointers = &pointer, .count = 1};
    return transform_remove(&transform, record, NULL, arena, err);
}
