#include "connector/engine.h"

enum { RECORDS_FIRST = 64, LINES_MAX = 1024 * 1024 };

// ------------------------------------------------------------------------ binding

static bool bind_decoder(const Binder *binder, const Node *node, DecoderKind *ret_kind, Error *err)
{
    *ret_kind = DECODE_JSON;
    if (node_is_null(node) || bind_is(node, "JsonDecoder"))
        return true;
    if (bind_is(node, "JsonlDecoder"))
        *ret_kind = DECODE_JSONL;
    else if (bind_is(node, "IterableDecoder"))
        *ret_kind = DECODE_ITERABLE;
    else
        return bind_unsupported(binder, node, err);
    return true;
}

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
    TRY(bind_decoder(binder, node_get(retriever, STR("decoder")), &selector.decoder, err));
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

// ------------------------------------------------------------------------ decoding

static bool add_body(Decoded *decoded, size_t *room, yyjson_val *body, Arena *arena, Error *err)
{
    if (decoded->body_count == *room) {
        size_t more = *room == 0 ? RECORDS_FIRST : *room * 2;
        yyjson_val **bodies = arena_alloc_array(arena, more, sizeof(yyjson_val *), err);
        TRY(bodies != NULL);
        if (decoded->body_count > 0)
            memcpy(bodies, decoded->bodies, decoded->body_count * sizeof *bodies);
        decoded->bodies = bodies;
        *room = more;
    }
    decoded->bodies[decoded->body_count++] = body;
    return true;
}

static bool decode_json(Str body, Arena *arena, Decoded *decoded, bool *ret_ok, Str *ret_why,
                        Error *err)
{
    // An answer without a body means an empty object, as in the reference. Any other text that is
    // no JSON is not taken for "no records": that would lose rows.
    Str text = str_trim(body).size == 0 ? STR("{}") : body;
    Error why = {0};
    if (!json_parse_lenient(text, "body", arena, &decoded->doc, &why)) {
        if (why.code == ERROR_LIMIT) {
            *err = why;
            return false;
        }
        *ret_ok = false;
        return arena_printf(arena, ret_why, err, "%s", why.message);
    }
    decoded->root = yyjson_doc_get_root(decoded->doc);
    size_t room = 0;
    if (!yyjson_is_arr(decoded->root))
        return add_body(decoded, &room, decoded->root, arena, err);
    size_t index, count;
    yyjson_val *item;
    room = yyjson_arr_size(decoded->root);
    decoded->bodies = arena_alloc_array(arena, room + 1, sizeof(yyjson_val *), err);
    TRY(decoded->bodies != NULL);
    yyjson_arr_foreach(decoded->root, index, count, item)
    {
        decoded->bodies[decoded->body_count++] = item;
    }
    return true;
}

static bool decode_lines(DecoderKind kind, Str body, Arena *arena, Decoded *decoded, bool *ret_ok,
                         Str *ret_why, Error *err)
{
    size_t room = 0, number = 0;
    Str rest = body;
    CLEANUP(buf_done) Buf text = {0};
    while (rest.data != NULL) {
        Str line = str_split_next(&rest, '\n');
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        number++;
        if (line.size == 0)
            continue;
        buf_clear(&text);
        if (kind == DECODE_ITERABLE) {
            TRY(buf_append(&text, STR("{\"record\":"), err));
            TRY(json_write_str(line, &text, err));
            TRY(buf_append_char(&text, '}', err));
            line = buf_str(&text);
        }
        Error why = {0};
        yyjson_doc *doc = NULL;
        if (!json_parse(line, "line", arena, &doc, &why)) {
            *ret_ok = false;
            return arena_printf(arena, ret_why, err, "line %zu: %s", number, why.message);
        }
        TRY(add_body(decoded, &room, yyjson_doc_get_root(doc), arena, err));
        decoded->doc = doc;
    }
    return true;
}

bool selector_decode(const Selector *selector, Str body, Arena *arena, Decoded *ret_decoded,
                     bool *ret_ok, Str *ret_why, Error *err)
{
    *ret_decoded = (Decoded){0};
    *ret_ok = true;
    if (selector->decoder == DECODE_JSON)
        return decode_json(body, arena, ret_decoded, ret_ok, ret_why, err);
    return decode_lines(selector->decoder, body, arena, ret_decoded, ret_ok, ret_why, err);
}

// ------------------------------------------------------------------------ extracting

bool record_list_add(RecordList *list, yyjson_val *record, Arena *arena, Error *err)
{
    if (list->count == list->capacity) {
        size_t room = list->capacity == 0 ? RECORDS_FIRST : list->capacity * 2;
        yyjson_val **items = arena_alloc_array(arena, room, sizeof(yyjson_val *), err);
        TRY(items != NULL);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
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
