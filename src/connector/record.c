// Records as values: opened to be changed, closed to JSON again, and paths into them.
#include "connector/transform.h"

// ------------------------------------------------------------------------ own copies

bool dict_open(Value value, size_t extra, Arena *arena, Value *ret_dict, ValuePair **ret_pairs,
               Error *err)
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

bool list_open(Value value, size_t count, Arena *arena, Value *ret_list, Value **ret_items,
               Error *err)
{
    size_t have = value_count(value);
    if (count < have)
        count = have;
    if (count > (size_t)OPTIONS_MAX * 1024)
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
    return dict_open(record, 0, arena, ret_dict, &pairs, err);
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
        return value.sent != NULL ? yyjson_val_mut_copy(doc, value.sent)
                                  : yyjson_mut_real(doc, value.number);
    if (value.kind == VALUE_BIGINT)
        // Without digits the size is the number itself: see Value.
        return value.text.data == NULL ? yyjson_mut_uint(doc, value.text.size)
                                       : yyjson_mut_rawn(doc, value.text.data, value.text.size);
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

static bool set_in_dict(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                        Error *err)
{
    ValuePair *pairs = NULL;
    TRY(dict_open(*place, 1, arena, place, &pairs, err));
    size_t at = find_key(pairs, place->dict.count, path[0]);
    if (at == place->dict.count) {
        pairs[at] = (ValuePair){value_str(path[0]), empty_for(path + 1, count - 1)};
        place->dict.count++;
    }
    return value_set_at(&pairs[at].value, path + 1, count - 1, value, arena, err);
}

static bool set_in_list(Value *place, const Str *path, size_t count, Value value, Arena *arena,
                        Error *err)
{
    size_t index = 0;
    if (!index_of(path[0], &index))
        return error_set(err, ERROR_DATA, "a list has no member '" STR_FMT "'", STR_ARG(path[0]));
    Value *items = NULL;
    bool fresh = index >= value_count(*place);
    TRY(list_open(*place, index + 1, arena, place, &items, err));
    if (fresh)
        items[index] = empty_for(path + 1, count - 1);
    return value_set_at(&items[index], path + 1, count - 1, value, arena, err);
}

bool value_set_at(Value *place, const Str *path, size_t count, Value value, Arena *arena,
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
