#include "connector/options.h"

#include "net/url.h"

#include <assert.h>

enum { JSON_MERGE_DEPTH_MAX = 64 };

// ------------------------------------------------------------------------ RequestOption

static bool bind_place(const Node *option, Str file, OptionPlace *ret_place, Error *err)
{
    static const char *const names[] = {"request_parameter", "header", "body_data", "body_json"};
    Str text = node_text(node_get(option, STR("inject_into")));
    for (size_t i = 0; i < 4; i++) {
        if (str_equal(text, str_from(names[i]))) {
            *ret_place = (OptionPlace)i;
            return true;
        }
    }
    return error_set(err, ERROR_JOB,
                     STR_FMT ":%u: inject_into '" STR_FMT "' is none of request_parameter, header, "
                             "body_data, body_json",
                     STR_ARG(file), option->line, STR_ARG(text));
}

bool request_option_bind(const Node *component, Str field, Str file, Arena *arena,
                         RequestOption *ret_option, Error *err)
{
    RequestOption option = {0};
    const Node *node = node_get(component, field);
    if (node_is_null(node)) {
        *ret_option = option;
        return true;
    }
    option.exists = true;
    TRY(bind_place(node, file, &option.place, err));
    const Node *path = node_get(node, STR("field_path"));
    if (path != NULL && path->kind == NODE_LIST && path->count > 0) {
        option.path = arena_alloc_array(arena, path->count, sizeof *option.path, err);
        TRY(option.path != NULL);
        option.path_count = path->count;
        for (size_t i = 0; i < path->count; i++)
            TRY(expr_bind(node, path->items[i], file, arena, &option.path[i], err));
        *ret_option = option;
        return true;
    }
    TRY(expr_bind_field(node, STR("field_name"), file, arena, &option.name, err));
    if (!option.name.exists)
        return error_set(err, ERROR_JOB,
                         STR_FMT ":%u: a RequestOption needs field_name or field_path",
                         STR_ARG(file), node->line);
    *ret_option = option;
    return true;
}

// ------------------------------------------------------------------------ adding

static OptionList *list_of(Options *options, OptionPlace place)
{
    assert(place != OPTION_JSON);
    if (place == OPTION_QUERY)
        return &options->query;
    return place == OPTION_HEADER ? &options->headers : &options->form;
}

static bool clash_error(Str key, Error *err)
{
    return error_set(err, ERROR_JOB, "request: '" STR_FMT "' is set by two components",
                     STR_ARG(key));
}

bool options_add(Options *options, OptionPlace place, Str key, Value value, OptionClash clash,
                 Error *err)
{
    OptionList *list = list_of(options, place);
    for (size_t i = 0; i < list->count; i++) {
        if (!str_equal(list->items[i].key, key))
            continue;
        if (clash == CLASH_IS_ERROR)
            return clash_error(key, err);
        if (clash == CLASH_REPLACES)
            list->items[i].value = value;
        return true;
    }
    if (list->count == OPTIONS_MAX)
        return error_set(err, ERROR_LIMIT, "request: more than %d options of one kind",
                         OPTIONS_MAX);
    list->items[list->count++] = (Option){.key = key, .value = value};
    return true;
}

static bool is_dict(Value value)
{
    return value.kind == VALUE_DICT || (value.kind == VALUE_JSON && yyjson_is_obj(value.json));
}

static bool merge(Value into, Value from, Arena *arena, size_t depth, Value *ret_value, Error *err);

// Where `key` stands among the pairs, or `count`.
static size_t find_pair(const ValuePair *pairs, size_t count, Value key)
{
    size_t i = 0;
    while (i < count && !value_equal(pairs[i].key, key))
        i++;
    return i;
}

static bool merge_pair(ValuePair *pairs, size_t *count, ValuePair from, Arena *arena, size_t depth,
                       Error *err)
{
    size_t at = find_pair(pairs, *count, from.key);
    if (at == *count) {
        pairs[(*count)++] = from;
        return true;
    }
    if (is_dict(pairs[at].value) && is_dict(from.value))
        return merge(pairs[at].value, from.value, arena, depth + 1, &pairs[at].value, err);
    if (value_equal(pairs[at].value, from.value))
        return true;
    return clash_error(from.key.kind == VALUE_STR ? from.key.text : STR("a key"), err);
}

static bool merge(Value into, Value from, Arena *arena, size_t depth, Value *ret_value, Error *err)
{
    if (depth > JSON_MERGE_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "request: body nests deeper than %d",
                         JSON_MERGE_DEPTH_MAX);
    size_t room = value_count(into) + value_count(from);
    ValuePair *pairs = arena_alloc_array(arena, room + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    size_t count = value_count(into);
    for (size_t i = 0; i < count; i++)
        pairs[i] = value_pair(into, i);
    size_t from_count = value_count(from);
    for (size_t i = 0; i < from_count; i++)
        TRY(merge_pair(pairs, &count, value_pair(from, i), arena, depth, err));
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}

bool options_merge_json(Options *options, Value json, Arena *arena, Error *err)
{
    if (!is_dict(json)) {
        // A list or a text replaces nothing: the reference takes it only when nobody else adds.
        if (value_is_true(json))
            options->json = json;
        return true;
    }
    if (!is_dict(options->json)) {
        options->json = json;
        return true;
    }
    return merge(options->json, json, arena, 0, &options->json, err);
}

static bool nest(const RequestOption *option, Value value, Frame *frame, Arena *arena,
                 Value *ret_json, Error *err)
{
    for (size_t i = option->path_count; i-- > 0;) {
        ValuePair *pair = arena_alloc(arena, sizeof *pair, err);
        TRY(pair != NULL);
        Str key = {0};
        TRY(expr_text(&option->path[i], frame, arena, &key, err));
        *pair = (ValuePair){.key = value_str(key), .value = value};
        value = (Value){.kind = VALUE_DICT, .dict = {pair, 1}};
    }
    *ret_json = value;
    return true;
}

bool options_inject(Options *options, const RequestOption *option, Value value, OptionClash clash,
                    Frame *frame, Arena *arena, Error *err)
{
    if (!option->exists)
        return true;
    if (option->place == OPTION_JSON) {
        RequestOption single = *option;
        if (single.path == NULL) {
            single.path = &single.name;
            single.path_count = 1;
        }
        Value json = value_none();
        TRY(nest(&single, value, frame, arena, &json, err));
        return options_merge_json(options, json, arena, err);
    }
    Str key = {0};
    TRY(expr_text(&option->name, frame, arena, &key, err));
    return options_add(options, option->place, key, value, clash, err);
}

// ------------------------------------------------------------------------ writing

// The first value of `key` in `query`, decoded into `out`. False when it is not there.
static bool query_first(Str query, Str key, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    Str rest = query;
    while (rest.data != NULL) {
        Str pair = str_split_next(&rest, '&');
        size_t equals = str_find_char(pair, '=');
        buf_clear(&name);
        if (!url_unquote_plus(str_slice(pair, 0, equals), &name, err))
            return false;
        // parse_qs leaves out what has no value.
        if (!str_equal(buf_str(&name), key) || equals + 1 >= pair.size)
            continue;
        buf_clear(out);
        return url_unquote_plus(str_slice(pair, equals + 1, pair.size), out, err);
    }
    return false;
}

bool query_has(Str query, Str key, Str value, Error *err)
{
    CLEANUP(buf_done) Buf found = {0};
    return query.size > 0 && query_first(query, key, &found, err) &&
           str_equal(buf_str(&found), value);
}

static bool write_pair(Str key, Value value, Buf *text, Buf *out, Error *err)
{
    if (value.kind == VALUE_NONE)
        return true;
    if (out->size > 0)
        TRY(buf_append_char(out, '&', err));
    TRY(url_quote_plus(key, out, err));
    TRY(buf_append_char(out, '=', err));
    buf_clear(text);
    TRY(value_write_str(value, text, err));
    return url_quote_plus(buf_str(text), out, err);
}

static bool is_sequence(Value value)
{
    return value.kind == VALUE_LIST || value.kind == VALUE_TUPLE ||
           (value.kind == VALUE_JSON && yyjson_is_arr(value.json));
}

bool options_write_query(const OptionList *list, Str less, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    for (size_t i = 0; i < list->count; i++) {
        const Option *option = &list->items[i];
        buf_clear(&text);
        TRY(value_write_str(option->value, &text, err));
        Error ignored = {0};
        if (query_has(less, option->key, buf_str(&text), &ignored))
            continue;
        if (!is_sequence(option->value)) {
            TRY(write_pair(option->key, option->value, &text, out, err));
            continue;
        }
        size_t count = value_count(option->value);
        for (size_t j = 0; j < count; j++)
            TRY(write_pair(option->key, value_item(option->value, j), &text, out, err));
    }
    return true;
}

// GET, too: some APIs are asked that way, and the reference sends it.
bool method_has_body(Str method)
{
    return str_equal(method, STR("GET")) || str_equal(method, STR("POST")) ||
           str_equal(method, STR("PUT")) || str_equal(method, STR("PATCH"));
}

static bool has_header(const HttpRequest *request, Str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_ignoring_case(request->headers[i].name, name))
            return true;
    }
    return false;
}

static bool fill_body(const Options *options, Arena *arena, HttpRequest *request, Error *err)
{
    bool json = value_is_true(options->json);
    bool form = options->form.count > 0 || options->text.size > 0;
    if (json && form)
        return error_set(err, ERROR_JOB, "request: both a JSON body and form data");
    if (!json && !form)
        return true;
    CLEANUP(buf_done) Buf body = {0};
    Str type = {NULL, 0};
    if (json) {
        TRY(value_write_json(options->json, &body, err));
        type = STR("application/json");
    } else if (options->text.size > 0) {
        TRY(buf_append(&body, options->text, err));
    } else {
        TRY(options_write_query(&options->form, (Str){NULL, 0}, &body, err));
        type = STR("application/x-www-form-urlencoded");
    }
    TRY(arena_copy_str(arena, buf_str(&body), &request->body, err));
    if (type.data != NULL && !has_header(request, STR("Content-Type")))
        TRY(http_request_add_header(request, STR("Content-Type"), type, err));
    return true;
}

bool options_fill_request(const Options *options, Arena *arena, HttpRequest *request, Error *err)
{
    for (size_t i = 0; i < options->headers.count; i++) {
        Str value = {0};
        TRY(value_text(options->headers.items[i].value, arena, &value, err));
        TRY(http_request_add_header(request, options->headers.items[i].key, value, err));
    }
    return method_has_body(request->method) ? fill_body(options, arena, request, err) : true;
}
