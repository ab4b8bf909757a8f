// A slice from page to page: what is asked for next.
#include "connector/page_parts.h"

void page_add_pair(ValuePair *pairs, size_t *count, Str key, Value value)
{
    for (size_t i = 0; i < *count; i++) {
        if (pairs[i].key.kind == VALUE_STR && str_equal(pairs[i].key.text, key))
            return;
    }
    pairs[(*count)++] = (ValuePair){value_str(key), value};
}

static bool window_value(const TimeCursor *cursor, const Window *window, Arena *arena,
                         Value *ret_value, Error *err)
{
    ValuePair *pairs = arena_alloc_array(arena, 2, sizeof *pairs, err);
    TRY(pairs != NULL);
    Str from = {0}, to = {0};
    Instant start = {window->from_us, window->offset_seconds};
    Instant end = {window->to_us, window->offset_seconds};
    TRY(time_cursor_format(cursor, start, arena, &from, err));
    TRY(time_cursor_format(cursor, end, arena, &to, err));
    pairs[0] = (ValuePair){value_str(cursor->start_key), value_str(from)};
    pairs[1] = (ValuePair){value_str(cursor->end_key), value_str(to)};
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, 2}};
    return true;
}

// What templates see as stream_slice: partition and window in one, and the three attributes that
// the reference's class has.
static bool slice_value(PageReader *reader, const Partition *partition, const Window *window,
                        Error *err)
{
    Value empty = {.kind = VALUE_DICT}, times = empty;
    Value fields =
        partition == NULL || partition->fields == NULL ? empty : value_json(partition->fields);
    Value extra = reader->extra == NULL ? empty : value_json(reader->extra);
    if (window != NULL && reader->stream->cursor.exists)
        TRY(window_value(&reader->stream->cursor, window, reader->arena, &times, err));
    size_t room = value_count(fields) + value_count(times) + 3, count = 0;
    ValuePair *pairs = arena_alloc_array(reader->arena, room, sizeof *pairs, err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < value_count(fields); i++)
        pairs[count++] = value_pair(fields, i);
    for (size_t i = 0; i < value_count(times); i++) {
        ValuePair pair = value_pair(times, i);
        page_add_pair(pairs, &count, pair.key.text, pair.value);
    }
    page_add_pair(pairs, &count, STR("partition"), fields);
    page_add_pair(pairs, &count, STR("cursor_slice"), times);
    page_add_pair(pairs, &count, STR("extra_fields"), extra);
    reader->slice = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}

bool page_reader_new(const Stream *stream, const Partition *partition, const Window *window,
                     Arena *arena, PageReader **ret_reader, Error *err)
{
    TRY(stream_check(stream, err));
    PageReader *reader = arena_alloc(arena, sizeof *reader, err);
    TRY(reader != NULL);
    reader->stream = stream;
    reader->arena = arena;
    reader->extra = partition == NULL ? NULL : partition->extra;
    reader->token = paginator_first_token(&stream->paginator);
    TRY(slice_value(reader, partition, window, err));
    *ret_reader = reader;
    return true;
}

void page_reader_free(PageReader *reader)
{
    if (reader == NULL)
        return;
    buf_done(&reader->token_text);
    buf_done(&reader->redirect);
}

void page_reader_freep(PageReader **reader)
{
    page_reader_free(*reader);
}

void page_reader_set_bounds(PageReader *reader, int64_t from_us, int64_t to_us)
{
    reader->has_bounds = true;
    reader->from_us = from_us;
    reader->to_us = to_us;
}

int64_t page_reader_attempts_max(const PageReader *reader)
{
    return error_rules_attempts(reader->stream->requester->errors);
}

bool page_slice_frame(const PageReader *reader, Frame *frame, Error *err)
{
    frame_init(frame, reader->stream->connector->env, reader->stream->connector->config);
    TRY(frame_set(frame, STR("stream_slice"), reader->slice, err));
    TRY(frame_set(frame, STR("stream_partition"), reader->slice, err));
    return frame_set(frame, STR("stream_interval"), reader->slice, err);
}

static bool token_value(const PageReader *reader, Arena *arena, Value *ret_value, Error *err)
{
    *ret_value = value_none();
    if (reader->token.kind == VALUE_NONE)
        return true;
    ValuePair *pair = arena_alloc(arena, sizeof *pair, err);
    TRY(pair != NULL);
    *pair = (ValuePair){value_str(STR("next_page_token")), reader->token};
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pair, 1}};
    return true;
}

bool page_request_frame(const PageReader *reader, Arena *arena, Frame *frame, Error *err)
{
    TRY(page_slice_frame(reader, frame, err));
    Value token = value_none();
    TRY(token_value(reader, arena, &token, err));
    TRY(frame_set(frame, STR("next_page_token"), token, err));
    if (reader->extra == NULL)
        return true;
    size_t index, count;
    yyjson_val *key, *item;
    yyjson_obj_foreach(reader->extra, index, count, key, item)
    {
        TRY(frame_set(frame, json_str(key), value_json(item), err));
    }
    return true;
}

// --- asking

static bool merge_list(Options *into, const OptionList *list, OptionPlace place, Error *err)
{
    for (size_t i = 0; i < list->count; i++)
        TRY(options_add(into, place, list->items[i].key, list->items[i].value, CLASH_IS_ERROR,
                        err));
    return true;
}

static bool slicer_options(const PageReader *reader, Frame *frame, Arena *arena, Options *options,
                           Error *err)
{
    const Stream *stream = reader->stream;
    const TimeCursor *cursor = &stream->cursor;
    Options *own = arena_alloc(arena, sizeof *own, err);
    TRY(own != NULL);
    TRY(routers_options(stream->routers, stream->router_count, reader->slice, frame, arena, own,
                        err));
    if (cursor->exists) {
        Value from = value_get(reader->slice, cursor->start_key);
        Value to = value_get(reader->slice, cursor->end_key);
        if (from.kind != VALUE_UNDEFINED)
            TRY(options_inject(own, &cursor->start_option, from, CLASH_REPLACES, frame, arena,
                               err));
        if (to.kind != VALUE_UNDEFINED)
            TRY(options_inject(own, &cursor->end_option, to, CLASH_REPLACES, frame, arena, err));
    }
    TRY(merge_list(options, &own->query, OPTION_QUERY, err));
    TRY(merge_list(options, &own->headers, OPTION_HEADER, err));
    TRY(merge_list(options, &own->form, OPTION_FORM, err));
    return options_merge_json(options, own->json, arena, err);
}

static bool all_options(const PageReader *reader, Frame *frame, Arena *arena, Options *options,
                        Error *err)
{
    const Stream *stream = reader->stream;
    TRY(requester_options(stream->requester, frame, arena, options, err));
    TRY(paginator_options(&stream->paginator, reader->token, frame, arena, options, err));
    if (stream->skips_slicer_options && reader->token.kind != VALUE_NONE)
        return true;
    return slicer_options(reader, frame, arena, options, err);
}

static bool redirected(const PageReader *reader, Arena *arena, HttpRequest *request, Error *err)
{
    if (reader->redirect.size == 0)
        return true;
    if (reader->is_get) {
        request->method = STR("GET");
        request->body = (Str){NULL, 0};
    }
    if (reader->foreign)
        http_request_strip(request);
    return arena_copy_str(arena, buf_str(&reader->redirect), &request->url, err);
}

bool page_reader_request(PageReader *reader, Arena *arena, HttpRequest *ret_request, bool *ret_more,
                         Error *err)
{
    if (reader->done) {
        *ret_more = false;
        return true;
    }
    const Stream *stream = reader->stream;
    Frame frame;
    TRY(page_request_frame(reader, arena, &frame, err));
    Str path = {NULL, 0}, url = {0};
    if (stream->paginator.token_is_path && value_is_true(reader->token))
        TRY(value_text(reader->token, arena, &path, err));
    TRY(requester_url(stream->requester, path, &frame, arena, &url, err));
    Options *options = arena_alloc(arena, sizeof *options, err);
    TRY(options != NULL);
    TRY(all_options(reader, &frame, arena, options, err));
    HttpRequest request = {0};
    TRY(requester_finish(stream->requester, url, options, arena, &request, err));
    TRY(redirected(reader, arena, &request, err));
    *ret_request = request;
    *ret_more = true;
    return true;
}
