#include "connector/engine.h"

enum { GLOB_DEPTH_MAX = 64 };

typedef enum TransformKind {
    TRANSFORM_ADD,
    TRANSFORM_REMOVE,
    TRANSFORM_LOWER,
    TRANSFORM_REPLACE,
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
    Expr before;  // KeysReplace
    Expr after;
};

// ------------------------------------------------------------------------ binding

static bool bind_path(const Binder *binder, const Node *owner, const Node *path,
                      Str parts[PATH_PARTS_MAX], size_t *ret_count, Error *err)
{
    if (path == NULL || path->kind != NODE_LIST || path->count == 0)
        return bind_missing(binder, owner, "path", err);
    if (path->count > PATH_PARTS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: a path longer than %d",
                         STR_ARG(binder->file), path->line, PATH_PARTS_MAX);
    for (size_t i = 0; i < path->count; i++) {
        Value part = value_none();
        TRY(node_value(path->items[i], binder->arena, &part, err));
        TRY(value_text(part, binder->arena, &parts[i], err));
    }
    *ret_count = path->count;
    return true;
}

static ExprKinds kinds_of(const Node *node)
{
    static const struct {
        const char *name;
        ExprKinds kinds;
    } rows[] = {{"string", EXPR_TEXT},
                {"integer", EXPR_INT},
                {"number", EXPR_FLOAT},
                {"boolean", EXPR_BOOL}};
    for (size_t i = 0; i < 4; i++) {
        if (str_equal(node_text(node), str_from(rows[i].name)))
            return rows[i].kinds;
    }
    return EXPR_ANY;
}

static bool bind_add(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    const Node *list = node_get(node, STR("fields"));
    if (list == NULL || list->kind != NODE_LIST)
        return bind_missing(binder, node, "fields", err);
    transform->fields = arena_alloc_array(binder->arena, list->count + 1, sizeof(AddedField), err);
    TRY(transform->fields != NULL);
    for (size_t i = 0; i < list->count; i++) {
        const Node *item = list->items[i];
        AddedField *field = &transform->fields[transform->count++];
        TRY(bind_path(binder, item, node_get(item, STR("path")), field->path, &field->path_count,
                      err));
        TRY(expr_bind_field(item, STR("value"), binder->file, binder->arena, &field->value, err));
        if (!field->value.exists)
            return bind_missing(binder, item, "value", err);
        field->kinds = kinds_of(node_get(item, STR("value_type")));
    }
    return true;
}

static bool bind_remove(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    const Node *list = node_get(node, STR("field_pointers"));
    if (list == NULL || list->kind != NODE_LIST)
        return bind_missing(binder, node, "field_pointers", err);
    transform->pointers = arena_alloc_array(binder->arena, list->count + 1, sizeof(Pointer), err);
    TRY(transform->pointers != NULL);
    for (size_t i = 0; i < list->count; i++) {
        Pointer *pointer = &transform->pointers[transform->count++];
        TRY(bind_path(binder, node, list->items[i], pointer->path, &pointer->count, err));
    }
    return true;
}

static bool bind_one(const Binder *binder, const Node *node, Transform *transform, Error *err)
{
    TRY(expr_bind_field(node, STR("condition"), binder->file, binder->arena, &transform->condition,
                        err));
    if (transform->condition.template != NULL && transform->condition.source.size == 0)
        transform->condition.exists = false;
    if (bind_is(node, "AddFields")) {
        transform->kind = TRANSFORM_ADD;
        return bind_add(binder, node, transform, err);
    }
    if (bind_is(node, "RemoveFields")) {
        transform->kind = TRANSFORM_REMOVE;
        return bind_remove(binder, node, transform, err);
    }
    if (bind_is(node, "KeysToLower")) {
        transform->kind = TRANSFORM_LOWER;
        return true;
    }
    if (!bind_is(node, "KeysReplace"))
        return bind_unsupported(binder, node, err);
    transform->kind = TRANSFORM_REPLACE;
    TRY(expr_bind_field(node, STR("old"), binder->file, binder->arena, &transform->before, err));
    TRY(expr_bind_field(node, STR("new"), binder->file, binder->arena, &transform->after, err));
    if (!transform->before.exists || !transform->after.exists)
        return bind_missing(binder, node, "old", err);
    return true;
}

bool transforms_bind(const Binder *binder, const Node *list, Transform **ret_transforms,
                     size_t *ret_count, Error *err)
{
    *ret_transforms = NULL;
    *ret_count = 0;
    if (list == NULL || list->kind != NODE_LIST || list->count == 0)
        return true;
    Transform *transforms = arena_alloc_array(binder->arena, list->count, sizeof *transforms, err);
    TRY(transforms != NULL);
    for (size_t i = 0; i < list->count; i++)
        TRY(bind_one(binder, list->items[i], &transforms[i], err));
    *ret_transforms = transforms;
    *ret_count = list->count;
    return true;
}

// ------------------------------------------------------------------------ own copies

static bool is_dict(Value value)
{
    return value.kind == VALUE_DICT || (value.kind == VALUE_JSON && yyjson_is_obj(value.json));
}

static bool is_list(Value value)
{
    return value.kind == VALUE_LIST || (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
}

// A copy, one level deep, with room for `extra` more; its pairs may be written.
static bool open_dict(Value value, size_t extra, Arena *arena, Value *ret_dict,
                      ValuePair **ret_pairs, Error *err)
{
    size_t count = value_count(value);
    ValuePair *pairs = arena_alloc_array(arena, count + extra + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    if (value.kind == VALUE_DICT) {
        if (count > 0)
            memcpy(pairs, value.dict.pairs, count * sizeof *pairs);
    } else {
        size_t index, size;
        yyjson_val *key, *item;
        yyjson_obj_foreach(value.json, index, size, key, item)
        {
            pairs[index] = (ValuePair){value_json(key), value_json(item)};
        }
    }
    *ret_dict = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    *ret_pairs = pairs;
    return true;
}

static bool open_list(Value value, size_t count, Arena *arena, Value *ret_list, Value **ret_items,
                      Error *err)
{
    size_t have = value_count(value);
    if (count < have)
        count = have;
    if (count > OPTIONS_MAX * 1024)
        return error_set(err, ERROR_LIMIT, "a path names item %zu of a list", count);
    Value *items = arena_alloc_array(arena, count + 1, sizeof *items, err);
    TRY(items != NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = i < have ? value_item(value, i) : value_none();
    *ret_list = (Value){.kind = VALUE_LIST, .list = {items, count}};
    *ret_items = items;
    return true;
}

bool record_open(Value record, Arena *arena, Value *ret_dict, Error *err)
{
    ValuePair *pairs = NULL;
    return open_dict(record, 0, arena, ret_dict, &pairs, err);
}

// ------------------------------------------------------------------------ back to JSON

static void *alc_malloc(void *state, size_t size)
{
    Error ignored = {0};
    return arena_alloc(state, size, &ignored);
}

static void *alc_realloc(void *state, void *old, size_t old_size, size_t size)
{
    void *bytes = alc_malloc(state, size);
    if (bytes != NULL && old != NULL)
        memcpy(bytes, old, old_size < size ? old_size : size);
    return bytes;
}

static void alc_free(void *state, void *bytes)
{
    (void)state;
    (void)bytes; // the arena owns it
}

static yyjson_mut_val *to_mut(yyjson_mut_doc *doc, Value value, size_t depth);

static yyjson_mut_val *list_to_mut(yyjson_mut_doc *doc, Value value, size_t depth)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    for (size_t i = 0; array != NULL && i < value.list.count; i++) {
        if (!yyjson_mut_arr_append(array, to_mut(doc, value.list.items[i], depth + 1)))
            return NULL;
    }
    return array;
}

static yyjson_mut_val *dict_to_mut(yyjson_mut_doc *doc, Value value, size_t depth)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    for (size_t i = 0; object != NULL && i < value.dict.count; i++) {
        const ValuePair *pair = &value.dict.pairs[i];
        Str name = {0};
        char number[32];
        if (pair->key.kind == VALUE_STR) {
            name = pair->key.text;
        } else if (pair->key.kind == VALUE_INT) {
            int size = snprintf(number, sizeof number, "%lld", (long long)pair->key.integer);
            name = (Str){number, (size_t)size};
        } else {
            name = pair->key.kind == VALUE_NONE ? STR("null") : STR("key");
        }
        if (!yyjson_mut_obj_add(object, yyjson_mut_strncpy(doc, name.data, name.size),
                                to_mut(doc, pair->value, depth + 1)))
            return NULL;
    }
    return object;
}

static yyjson_mut_val *text_to_mut(yyjson_mut_doc *doc, Value value)
{
    CLEANUP(buf_done) Buf text = {0};
    Error ignored = {0};
    if (!value_write_str(value, &text, &ignored))
        return NULL;
    return yyjson_mut_strncpy(doc, text.data == NULL ? "" : text.data, text.size);
}

// Kinds that JSON lacks are written as their text; what is nothing becomes null.
static yyjson_mut_val *to_mut(yyjson_mut_doc *doc, Value value, size_t depth)
{
    if (depth > JSON_DEPTH_MAX)
        return NULL;
    if (value.kind == VALUE_JSON)
        return yyjson_val_mut_copy(doc, value.json);
    if (value.kind == VALUE_STR)
        return yyjson_mut_strn(doc, value.text.data == NULL ? "" : value.text.data,
                               value.text.size);
    if (value.kind == VALUE_DICT)
        return dict_to_mut(doc, value, depth);
    if (value.kind == VALUE_LIST || value.kind == VALUE_TUPLE)
        return list_to_mut(doc, value, depth);
    if (value.kind == VALUE_INT)
        return yyjson_mut_sint(doc, value.integer);
    if (value.kind == VALUE_FLOAT)
        return yyjson_mut_real(doc, value.number);
    if (value.kind == VALUE_BIGINT)
        return yyjson_mut_rawn(doc, value.text.data, value.text.size);
    if (value.kind == VALUE_BOOL)
        return yyjson_mut_bool(doc, value.boolean);
    if (value.kind == VALUE_DATETIME || value.kind == VALUE_DATE || value.kind == VALUE_TIMEDELTA)
        return text_to_mut(doc, value);
    return yyjson_mut_null(doc);
}

bool record_close(Value dict, Arena *arena, yyjson_val **ret_json, Error *err)
{
    const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, arena};
    yyjson_mut_doc *mutable = yyjson_mut_doc_new(&alc);
    yyjson_mut_val *root = mutable == NULL ? NULL : to_mut(mutable, dict, 0);
    if (root == NULL)
        return error_set(err, ERROR_LIMIT, "no memory for a transformed record");
    yyjson_mut_doc_set_root(mutable, root);
    yyjson_doc *doc = yyjson_mut_doc_imut_copy(mutable, &alc);
    if (doc == NULL)
        return error_set(err, ERROR_LIMIT, "no memory for a transformed record");
    *ret_json = yyjson_doc_get_root(doc);
    return true;
}

// ------------------------------------------------------------------------ paths

static bool index_of(Str part, size_t *ret_index)
{
    int64_t number = 0;
    if (part.size == 0 || part.data[0] < '0' || part.data[0] > '9' || !str_to_int64(part, &number))
        return false;
    *ret_index = (size_t)number;
    return true;
}

Value value_at_path(Value value, const Str *path, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = 0;
        if (is_dict(value))
            value = value_get(value, path[i]);
        else if (is_list(value) && index_of(path[i], &index))
            value = value_item(value, index);
        else
            return value_undefined();
        if (value.kind == VALUE_UNDEFINED)
            return value;
    }
    return value;
}

static size_t find_key(const ValuePair *pairs, size_t count, Str key)
{
    size_t i = 0;
    while (i < count && !(pairs[i].key.kind == VALUE_STR && str_equal(pairs[i].key.text, key)))
        i++;
    return i;
}

static Value empty_for(const Str *rest, size_t count)
{
    size_t index = 0;
    if (count > 0 && index_of(rest[0], &index))
        return (Value){.kind = VALUE_LIST};
    return (Value){.kind = VALUE_DICT};
}

static bool set_at(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                   Error *err);

static bool set_in_dict(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                        Error *err)
{
    ValuePair *pairs = NULL;
    TRY(open_dict(*place, 1, arena, place, &pairs, err));
    size_t at = find_key(pairs, place->dict.count, path[0]);
    if (at == place->dict.count) {
        pairs[at] = (ValuePair){value_str(path[0]), empty_for(path + 1, count - 1)};
        place->dict.count++;
    }
    return set_at(&pairs[at].value, path + 1, count - 1, value, arena, err);
}

static bool set_in_list(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                        Error *err)
{
    size_t index = 0;
    if (!index_of(path[0], &index))
        return error_set(err, ERROR_DATA, "a list has no member '" STR_FMT "'", STR_ARG(path[0]));
    Value *items = NULL;
    bool fresh = index >= value_count(*place);
    TRY(open_list(*place, index + 1, arena, place, &items, err));
    if (fresh)
        items[index] = empty_for(path + 1, count - 1);
    return set_at(&items[index], path + 1, count - 1, value, arena, err);
}

// dpath.new(): makes what lacks on the way.
static bool set_at(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                   Error *err)
{
    if (count == 0) {
        *place = value;
        return true;
    }
    if (is_dict(*place))
        return set_in_dict(place, path, count, value, arena, err);
    if (is_list(*place))
        return set_in_list(place, path, count, value, arena, err);
    return error_set(err, ERROR_DATA, "a field lies below '" STR_FMT "', which holds a plain value",
                     STR_ARG(path[0]));
}

// ------------------------------------------------------------------------ removing

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
    TRY(open_dict(*place, 0, removal->arena, place, &pairs, err));
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
    TRY(open_list(*place, 0, removal->arena, place, &items, err));
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

static bool apply_remove(const Transform *transform, Value *record, Frame *frame, Arena *arena,
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

// ------------------------------------------------------------------------ adding, renaming

static bool apply_add(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                      Error *err)
{
    for (size_t i = 0; i < transform->count; i++) {
        const AddedField *field = &transform->fields[i];
        TRY(frame_set(frame, STR("record"), *record, err));
        Value value = value_none();
        TRY(expr_typed(&field->value, frame, field->kinds, arena, &value, err));
        bool wanted = true;
        if (transform->condition.exists) {
            TRY(frame_set(frame, STR("value"), value, err));
            TRY(expr_bool(&transform->condition, frame, arena, &wanted, err));
        }
        if (wanted)
            TRY(set_at(record, field->path, field->path_count, value, arena, err));
    }
    return true;
}

static bool lower_key(Value key, Arena *arena, Value *ret_key, Error *err)
{
    *ret_key = key;
    if (key.kind != VALUE_STR)
        return true;
    Str copy = {0};
    TRY(arena_copy_str(arena, key.text, &copy, err));
    char *bytes = (char *)(uintptr_t)copy.data; // ours since a line above
    for (size_t i = 0; i < copy.size; i++) {
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] = (char)(bytes[i] - 'A' + 'a');
    }
    *ret_key = value_str(copy);
    return true;
}

static bool apply_lower(Value *record, Arena *arena, Error *err)
{
    ValuePair *pairs = NULL;
    TRY(open_dict(*record, 0, arena, record, &pairs, err));
    for (size_t i = 0; i < record->dict.count; i++)
        TRY(lower_key(pairs[i].key, arena, &pairs[i].key, err));
    return true;
}

static bool replace_key(Value *key, Str before, Str after, Arena *arena, Error *err)
{
    if (key->kind != VALUE_STR || before.size == 0 || str_find(key->text, before) == key->text.size)
        return true;
    CLEANUP(buf_done) Buf out = {0};
    Str rest = key->text;
    for (size_t at; (at = str_find(rest, before)) < rest.size;) {
        TRY(buf_append(&out, str_slice(rest, 0, at), err));
        TRY(buf_append(&out, after, err));
        rest = str_slice(rest, at + before.size, rest.size);
    }
    TRY(buf_append(&out, rest, err));
    return arena_copy_str(arena, buf_str(&out), &key->text, err);
}

static bool replace_keys(Value *place, Str before, Str after, size_t depth, Arena *arena,
                         Error *err)
{
    if (!is_dict(*place) || depth > JSON_DEPTH_MAX)
        return true;
    ValuePair *pairs = NULL;
    TRY(open_dict(*place, 0, arena, place, &pairs, err));
    for (size_t i = 0; i < place->dict.count; i++) {
        TRY(replace_key(&pairs[i].key, before, after, arena, err));
        TRY(replace_keys(&pairs[i].value, before, after, depth + 1, arena, err));
    }
    return true;
}

static bool apply_replace(const Transform *transform, Value *record, Frame *frame, Arena *arena,
                          Error *err)
{
    Str before = {0}, after = {0};
    TRY(frame_set(frame, STR("record"), *record, err));
    TRY(expr_text(&transform->before, frame, arena, &before, err));
    TRY(expr_text(&transform->after, frame, arena, &after, err));
    return replace_keys(record, before, after, 0, arena, err);
}

bool transforms_apply(const Transform *transforms, size_t count, Value *record, Frame *frame,
                      Arena *arena, Error *err)
{
    for (size_t i = 0; i < count; i++) {
        const Transform *transform = &transforms[i];
        if (transform->kind == TRANSFORM_ADD)
            TRY(apply_add(transform, record, frame, arena, err));
        else if (transform->kind == TRANSFORM_REMOVE)
            TRY(apply_remove(transform, record, frame, arena, err));
        else if (transform->kind == TRANSFORM_LOWER)
            TRY(apply_lower(record, arena, err));
        else
            TRY(apply_replace(transform, record, frame, arena, err));
    }
    return true;
}
