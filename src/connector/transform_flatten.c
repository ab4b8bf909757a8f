// FlattenFields and DpathFlattenFields: members of inner objects become the record's own.
#include "connector/transform.h"

enum { FIELDS_MAX = 65536 }; // of a record, flat or still to be

// ------------------------------------------------------------------------ all the way down

// What is still to be looked at, and under which name it would stand.
typedef struct Pending {
    Value value;
    Str name;
} Pending;

typedef struct Flattening {
    Arena *arena;
    bool lists;
    bool with_parent; // once a list was met, every name says where it comes from
    Pending *stack;
    size_t depth, room;
    ValuePair *pairs;
    size_t count, capacity;
} Flattening;

static bool push(Flattening *flat, Value value, Str name, Error *err)
{
    if (flat->depth == FIELDS_MAX)
        return error_set(err, ERROR_LIMIT, "FlattenFields: more than %d fields", FIELDS_MAX);
    if (flat->depth == flat->room) {
        const size_t room = flat->room == 0 ? 64 : flat->room * 2;
        Pending *stack = arena_alloc_array(flat->arena, room, sizeof(*stack), err);
        TRY(stack != NULL);
        if (flat->depth > 0)
            memcpy(stack, flat->stack, flat->depth * sizeof(*stack));
        flat->stack = stack;
        flat->room = room;
    }
    flat->stack[flat->depth++] = (Pending){value, name};
    return true;
}

static size_t find_name(const Flattening *flat, Str name)
{
    size_t i = 0;
    while (i < flat->count && !str_equal(flat->pairs[i].key.text, name))
        i++;
    return i;
}

static bool keep(Flattening *flat, Str name, Value value, Error *err)
{
    const size_t at = find_name(flat, name);
    if (at == flat->count && flat->count == flat->capacity) {
        const size_t room = flat->capacity == 0 ? 64 : flat->capacity * 2;
        ValuePair *pairs = arena_alloc_array(flat->arena, room, sizeof(*pairs), err);
        TRY(pairs != NULL);
        if (flat->count > 0)
            memcpy(pairs, flat->pairs, flat->count * sizeof(*pairs));
        flat->pairs = pairs;
        flat->capacity = room;
    }
    flat->count += at == flat->count ? 1 : 0;
    flat->pairs[at] = (ValuePair){value_str(name), value};
    return true;
}

static bool push_members(Flattening *flat, const Pending *outer, Error *err)
{
    Value dict = outer->value;
    ValuePair *pairs = NULL;
    TRY(dict_open(dict, 0, flat->arena, &dict, &pairs, err));
    for (size_t i = 0; i < dict.dict.count; i++) {
        Str name = {0};
        TRY(value_text(pairs[i].key, flat->arena, &name, err));
        if (flat->with_parent || find_name(flat, name) < flat->count)
            TRY(arena_printf(flat->arena, &name, err, STR_FMT "." STR_FMT, STR_ARG(outer->name),
                             STR_ARG(name)));
        TRY(push(flat, pairs[i].value, name, err));
    }
    return true;
}

static bool push_items(Flattening *flat, const Pending *outer, Error *err)
{
    const size_t count = value_count(outer->value);
    for (size_t i = 0; i < count; i++) {
        Str name = {0};
        flat->with_parent = true;
        TRY(arena_printf(flat->arena, &name, err, STR_FMT ".%zu", STR_ARG(outer->name), i));
        TRY(push(flat, value_item(outer->value, i), name, err));
    }
    return true;
}

// The order is the reference's: what comes last is taken first, and that decides which of two equal
// names gets its parent's before it.
bool transform_flatten(const Transform *transform, Value *record, Arena *arena, Error *err)
{
    Flattening flat = {.arena = arena, .lists = transform->flattens_lists};
    TRY(push(&flat, *record, STR("_"), err));
    while (flat.depth > 0) {
        const Pending next = flat.stack[--flat.depth];
        if (is_dict(next.value))
            TRY(push_members(&flat, &next, err));
        else if (is_list(next.value) && flat.lists)
            TRY(push_items(&flat, &next, err));
        else
            TRY(keep(&flat, next.name, next.value, err));
    }
    *record = (Value){.kind = VALUE_DICT, .dict = {flat.pairs, flat.count}};
    return true;
}

// ------------------------------------------------------------------------ at one path

// What the path leads to first; undefined where it leads nowhere.
static bool first_match(Value value, const Str *path, size_t count, Arena *arena, Value *ret_value,
                        Error *err)
{
    *ret_value = count == 0 ? value : value_undefined();
    if (count == 0 || (!is_list(value) && !is_dict(value)))
        return true;
    if (!str_equal(path[0], STR("*")))
        return first_match(value_at_path(value, path, 1), path + 1, count - 1, arena, ret_value,
                           err);
    ValuePair *pairs = NULL;
    if (is_dict(value))
        TRY(dict_open(value, 0, arena, &value, &pairs, err));
    const size_t size = value_count(value);
    for (size_t i = 0; i < size && ret_value->kind == VALUE_UNDEFINED; i++)
        TRY(first_match(pairs != NULL ? pairs[i].value : value_item(value, i), path + 1, count - 1,
                        arena, ret_value, err));
    return true;
}

static bool rename_keys(const Transform *transform, Frame *frame, Arena *arena, Value *dict,
                        ValuePair **ret_pairs, Error *err)
{
    Str before = STR(""), after = STR("");
    if (transform->before.exists)
        TRY(expr_text(&transform->before, frame, arena, &before, err));
    if (transform->after.exists)
        TRY(expr_text(&transform->after, frame, arena, &after, err));
    TRY(dict_open(*dict, 0, arena, dict, ret_pairs, err));
    for (size_t i = 0; before.size + after.size > 0 && i < dict->dict.count; i++) {
        Str name = {0};
        TRY(value_text((*ret_pairs)[i].key, arena, &name, err) &&
            arena_printf(arena, &name, err, STR_FMT STR_FMT STR_FMT, STR_ARG(before), STR_ARG(name),
                         STR_ARG(after)));
        (*ret_pairs)[i].key = value_str(name);
    }
    return true;
}

// True when the record has a member of one of these names already.
static bool conflicts(Value record, const Value *dict)
{
    for (size_t i = 0; i < dict->dict.count; i++) {
        const Value *key = &dict->dict.pairs[i].key;
        if (key->kind == VALUE_STR && value_get(record, key->text).kind != VALUE_UNDEFINED)
            return true;
    }
    return false;
}

bool transform_flatten_at(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                          Error *err)
{
    Str path[PATH_PARTS_MAX];
    for (size_t i = 0; i < transform->path_count; i++)
        TRY(expr_text(&transform->path[i], frame, arena, &path[i], err));
    Value found = value_undefined();
    TRY(first_match(*record, path, transform->path_count, arena, &found, err));
    if (!is_dict(found))
        return true;
    ValuePair *pairs = NULL;
    TRY(rename_keys(transform, frame, arena, &found, &pairs, err));
    if (transform->replaces_record && found.dict.count > 0) {
        *record = found;
        return true;
    }
    if (conflicts(*record, &found))
        return true;
    if (transform->deletes_origin)
        TRY(transform_remove_at(path, transform->path_count, record, arena, err));
    for (size_t i = 0; i < found.dict.count; i++)
        TRY(value_set_at(record, &pairs[i].key.text, 1, pairs[i].value, arena, err));
    return true;
}
