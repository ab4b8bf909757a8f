#include "connector/engine.h"

enum { RECORDS_FIRST = 64 };

// ------------------------------------------------------------------------ binding

static bool bind_path(const Binder *binder, const Node *extractor, Selector *selector, Error *err)
{
    const Node *path = node_get(extractor, STR("field_path"));
    if (path == NULL || path->kind != NODE_LIST)
        return bind_missing(binder, extractor, "field_path", err);
    if (path->count > PATH_PARTS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ":%u: field_path longer than %d",
                         STR_ARG(binder->file), path->line, PATH_PARTS_MAX);
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    for (size_t i = 0; i < path->count; i++) {
        Expr part = {0};
        TRY(expr_bind(extractor, path->items[i], binder->file, binder->arena, &part, err));
        if (!part.exists)
            return bind_missing(binder, extractor, "field_path", err);
        Str *text = &selector->path[selector->path_count++];
        TRY(expr_text(&part, &frame, binder->arena, text, err));
        selector->has_glob = selector->has_glob || str_equal(*text, STR("*"));
    }
    return true;
}

static bool bind_normalization(const Binder *binder, const Node *node, Selector *selector,
                               Error *err)
{
    if (node_is_null(node) || str_equal(node_text(node), STR("None")))
        return true;
    if (!str_equal(node_text(node), STR("Default")))
        return bind_unsupported(binder, node, err);
    selector->normalize = true;
    return true;
}

static bool bind_schema(const Node *loader, Selector *selector)
{
    if (loader != NULL && loader->kind == NODE_LIST)
        loader = loader->count > 0 ? loader->items[0] : NULL;
    selector->schema = node_get(loader, STR("schema"));
    return true;
}

bool selector_bind(const Binder *binder, const Node *stream, const Node *retriever,
                   Selector *ret_selector, Error *err)
{
    const Node *node = node_get(retriever, STR("record_selector"));
    if (node_is_null(node))
        return bind_missing(binder, retriever, "record_selector", err);
    if (!bind_is(node, "RecordSelector"))
        return bind_unsupported(binder, node, err);
    const Node *extractor = node_get(node, STR("extractor"));
    if (node_is_null(extractor))
        return bind_missing(binder, node, "extractor", err);
    if (!bind_is(extractor, "DpathExtractor"))
        return bind_unsupported(binder, extractor, err);
    if (!node_is_null(node_get(extractor, STR("record_expander"))))
        return bind_unsupported(binder, node_get(extractor, STR("record_expander")), err);

    Selector selector = {0};
    TRY(body_bind(binder, node_get(retriever, STR("decoder")), &selector.format, err));
    TRY(bind_path(binder, extractor, &selector, err));
    const Node *filter = node_get(node, STR("record_filter"));
    if (!node_is_null(filter) && !bind_is(filter, "RecordFilter"))
        return bind_unsupported(binder, filter, err);
    TRY(expr_bind_field(filter, STR("condition"), binder->file, binder->arena, &selector.filter,
                        err));
    if (selector.filter.exists && selector.filter.source.size == 0 &&
        selector.filter.template != NULL)
        selector.filter.exists = false;
    TRY(transforms_bind(binder, node_get(stream, STR("transformations")), &selector.transforms,
                        &selector.transform_count, err));
    const Node *sync = node_get(stream, STR("incremental_sync"));
    const Node *order = node_get(node, STR("transform_before_filtering"));
    selector.transform_first = node_is_null(order)
                                   ? node_is_true(node_get(sync, STR("is_client_side_incremental")))
                                   : node_is_true(order);
    TRY(bind_normalization(binder, node_get(node, STR("schema_normalization")), &selector, err));
    (void)bind_schema(node_get(stream, STR("schema_loader")), &selector);
    *ret_selector = selector;
    return true;
}

// ------------------------------------------------------------------------ extracting

static bool record_list_add(RecordList *list, yyjson_val *record, Arena *arena, Error *err)
{
    if (list->count == list->capacity) {
        size_t room = list->capacity == 0 ? RECORDS_FIRST : list->capacity * 2;
        yyjson_val **items = arena_alloc_array(arena, room, sizeof(yyjson_val *), err);
        TRY(items != NULL);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(yyjson_val *));
        list->items = items;
        list->capacity = room;
    }
    list->items[list->count++] = record;
    return true;
}

static bool add_all(RecordList *list, yyjson_val *array, Arena *arena, Error *err)
{
    size_t size = yyjson_arr_size(array);
    if (list->capacity == 0) {
        list->items = arena_alloc_array(arena, size + 1, sizeof(yyjson_val *), err);
        TRY(list->items != NULL);
        list->capacity = size + 1;
    }
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        TRY(record_list_add(list, item, arena, err));
    }
    return true;
}

static yyjson_val *child(yyjson_val *value, Str part)
{
    if (yyjson_is_obj(value))
        return json_get(value, part);
    int64_t index = 0;
    if (!yyjson_is_arr(value) || !str_to_int64(part, &index) || index < 0)
        return NULL;
    return yyjson_arr_get(value, (size_t)index);
}

// dpath.values(): everything that the path with '*' matches is one record.
static bool extract_glob(yyjson_val *value, const Str *path, size_t count, RecordList *records,
                         Arena *arena, Error *err)
{
    if (count == 0)
        return record_list_add(records, value, arena, err);
    if (!str_equal(path[0], STR("*"))) {
        yyjson_val *next = child(value, path[0]);
        return next == NULL || extract_glob(next, path + 1, count - 1, records, arena, err);
    }
    size_t index, size;
    yyjson_val *key, *item;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, size, item)
        {
            TRY(extract_glob(item, path + 1, count - 1, records, arena, err));
        }
    } else if (yyjson_is_obj(value)) {
        yyjson_obj_foreach(value, index, size, key, item)
        {
            TRY(extract_glob(item, path + 1, count - 1, records, arena, err));
        }
    }
    return true;
}

static bool extract_one(const Selector *selector, yyjson_val *body, RecordList *records,
                        Arena *arena, Error *err)
{
    if (selector->has_glob)
        return extract_glob(body, selector->path, selector->path_count, records, arena, err);
    yyjson_val *found = body;
    for (size_t i = 0; i < selector->path_count && found != NULL; i++)
        found = child(found, selector->path[i]);
    if (found == NULL)
        return true;
    if (yyjson_is_arr(found))
        return add_all(records, found, arena, err);
    return !value_is_true(value_json(found)) || record_list_add(records, found, arena, err);
}

bool selector_extract(const Selector *selector, const Decoded *decoded, Arena *arena,
                      RecordList *ret_records, Error *err)
{
    RecordList records = {0};
    for (size_t i = 0; i < decoded->body_count; i++)
        TRY(extract_one(selector, decoded->bodies[i], &records, arena, err));
    *ret_records = records;
    return true;
}

// ------------------------------------------------------------------------ refining

static bool passes(const Selector *selector, yyjson_val *record, Frame *frame, Arena *arena,
                   bool *ret_yes, Error *err)
{
    TRY(frame_set(frame, STR("record"), value_json(record), err));
    return expr_bool(&selector->filter, frame, arena, ret_yes, err);
}

static bool filter_all(const Selector *selector, RecordList *records, Frame *frame, Arena *arena,
                       Error *err)
{
    if (!selector->filter.exists)
        return true;
    size_t kept = 0;
    for (size_t i = 0; i < records->count; i++) {
        bool yes = false;
        TRY(passes(selector, records->items[i], frame, arena, &yes, err));
        if (yes)
            records->items[kept++] = records->items[i];
    }
    records->count = kept;
    return true;
}

static bool transform_all(const Selector *selector, RecordList *records, Frame *frame, Arena *arena,
                          Error *err)
{
    if (selector->transform_count == 0)
        return true;
    for (size_t i = 0; i < records->count; i++) {
        if (!yyjson_is_obj(records->items[i]))
            continue;
        Value record = value_none();
        TRY(record_open(value_json(records->items[i]), arena, &record, err));
        TRY(transforms_apply(selector->transforms, selector->transform_count, &record, frame, arena,
                             err));
        TRY(record_close(record, arena, &records->items[i], err));
    }
    return true;
}

static bool normalize_all(const Selector *selector, RecordList *records, Arena *arena, Error *err)
{
    if (!selector->normalize || selector->schema == NULL)
        return true;
    for (size_t i = 0; i < records->count; i++) {
        if (!yyjson_is_obj(records->items[i]))
            continue;
        Value record = value_none();
        TRY(record_open(value_json(records->items[i]), arena, &record, err));
        TRY(normalize_record(selector->schema, &record, arena, err));
        TRY(record_close(record, arena, &records->items[i], err));
    }
    return true;
}

bool selector_refine(const Selector *selector, RecordList *records, Frame *frame, Arena *arena,
                     Error *err)
{
    if (selector->transform_first) {
        TRY(transform_all(selector, records, frame, arena, err));
        TRY(filter_all(selector, records, frame, arena, err));
    } else {
        TRY(filter_all(selector, records, frame, arena, err));
        TRY(transform_all(selector, records, frame, arena, err));
    }
    return normalize_all(selector, records, arena, err);
}
