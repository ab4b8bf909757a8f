#include "connector/engine.h"

#include "net/url.h"

// ------------------------------------------------------------------------ binding

bool bind_is(const Node *component, const char *type)
{
    return str_equal(node_type(component), str_from(type));
}

bool bind_text(const Binder *binder, const Node *component, Str field, Str fallback, Str *ret_text,
               Error *err)
{
    Expr expr = {0};
    TRY(expr_bind_field(component, field, binder->file, binder->arena, &expr, err));
    *ret_text = fallback;
    if (!expr.exists)
        return true;
    Frame frame;
    frame_init(&frame, binder->env, binder->config);
    Value value = value_none();
    TRY(expr_value(&expr, &frame, binder->arena, &value, err));
    if (!value_is_true(value))
        return true;
    return value_text(value, binder->arena, ret_text, err);
}

static bool bind_parts(Binder *binder, Stream *stream, Error *err)
{
    const Node *retriever = node_get(stream->node, STR("retriever"));
    if (node_is_null(retriever))
        return bind_missing(binder, stream->node, "retriever", err);
    if (!bind_is(retriever, "SimpleRetriever"))
        return bind_unsupported(binder, retriever, err);
    TRY(requester_bind(binder, node_get(retriever, STR("requester")), &stream->requester, err));
    TRY(paginator_bind(binder, node_get(retriever, STR("paginator")), &stream->paginator, err));
    TRY(selector_bind(binder, stream->node, retriever, &stream->selector, err));
    TRY(time_cursor_bind(binder, node_get(stream->node, STR("incremental_sync")), &stream->cursor,
                         err));
    TRY(routers_bind(binder, node_get(retriever, STR("partition_router")), &stream->routers,
                     &stream->router_count, err));
    stream->skips_slicer_options = node_is_true(
        node_get(retriever, STR("ignore_stream_slicer_parameters_on_paginated_requests")));
    stream->use_cache = stream->requester->use_cache;
    const Node *migrations = node_get(stream->node, STR("state_migrations"));
    if (node_is_true(migrations))
        return bind_unsupported(
            binder, migrations->kind == NODE_LIST ? migrations->items[0] : migrations, err);
    return true;
}

bool stream_bind(Binder *binder, const Node *node, Stream **ret_stream, Error *err)
{
    Stream *stream = arena_alloc(binder->arena, sizeof *stream, err);
    TRY(stream != NULL);
    stream->connector = binder->connector;
    stream->node = node;
    stream->name = node_text(node_get(node, STR("name")));
    Error problem = {0};
    bool ok = bind_is(node, "DeclarativeStream") ? bind_parts(binder, stream, &problem)
                                                 : bind_unsupported(binder, node, &problem);
    if (!ok && problem.code == ERROR_LIMIT && binder->depth > 0) {
        *err = problem;
        return false;
    }
    stream->problem = problem;
    *ret_stream = stream;
    return true;
}

// ------------------------------------------------------------------------ facts

Str stream_name(const Stream *stream)
{
    return stream->name;
}

Key128 stream_digest(const Stream *stream)
{
    return stream->connector->digest;
}

bool stream_check(const Stream *stream, Error *err)
{
    if (stream->problem.code == ERROR_NONE)
        return true;
    *err = stream->problem;
    return error_context(err, "stream '" STR_FMT "'", STR_ARG(stream->name));
}

CursorInfo stream_cursor(const Stream *stream)
{
    const TimeCursor *cursor = &stream->cursor;
    if (!cursor->exists)
        return (CursorInfo){0};
    return (CursorInfo){.exists = true,
                        .field = cursor->field,
                        .step = cursor->step,
                        .granularity = cursor->granularity};
}

size_t stream_auth_id(const Stream *stream)
{
    return stream->auth_id;
}

// ------------------------------------------------------------------------ reader

struct PageReader {
    const Stream *stream;
    Arena *arena;
    Value slice;
    yyjson_val *extra;
    Value token; // none on a first page without one
    Buf token_text;
    Buf redirect;
    size_t redirects;
    bool is_get; // a redirect turned the method into GET
    bool done;
    int64_t attempts;
    bool has_bounds;
    int64_t from_us;
    int64_t to_us;
};

static void add_pair(ValuePair *pairs, size_t *count, Str key, Value value)
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
        add_pair(pairs, &count, pair.key.text, pair.value);
    }
    add_pair(pairs, &count, STR("partition"), fields);
    add_pair(pairs, &count, STR("cursor_slice"), times);
    add_pair(pairs, &count, STR("extra_fields"), extra);
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

static bool slice_frame(const PageReader *reader, Frame *frame, Error *err)
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

static bool request_frame(const PageReader *reader, Arena *arena, Frame *frame, Error *err)
{
    TRY(slice_frame(reader, frame, err));
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

// ------------------------------------------------------------------------ asking

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
    TRY(request_frame(reader, arena, &frame, err));
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

// ------------------------------------------------------------------------ understanding

// The links of a Link header as requests.Response.links gives them: by rel, each a map with its
// url.
static bool links_value(Str header, Arena *arena, Value *ret_value, Error *err)
{
    enum { LINKS_MAX = 16 };
    ValuePair *pairs = arena_alloc_array(arena, LINKS_MAX, sizeof *pairs, err);
    TRY(pairs != NULL);
    size_t count = 0;
    Str rest = header;
    while (rest.data != NULL && count < LINKS_MAX) {
        size_t open = str_find_char(rest, '<');
        rest = str_slice(rest, open + 1, rest.size);
        size_t close = str_find_char(rest, '>');
        if (open == rest.size || close == rest.size)
            break;
        Str url = str_slice(rest, 0, close);
        rest = str_slice(rest, close + 1, rest.size);
        size_t next = str_find(rest, STR(", <"));
        size_t tight = str_find(rest, STR(",<"));
        Str params = str_slice(rest, 0, next < tight ? next : tight);
        size_t at = str_find(params, STR("rel="));
        Str rel = str_slice(params, at + 4, params.size);
        rel = str_slice(rel, 0, str_find_char(rel, ';'));
        rel = str_trim(rel);
        if (rel.size >= 2 && (rel.data[0] == '"' || rel.data[0] == '\''))
            rel = str_slice(rel, 1, rel.size - 2);
        ValuePair *inner = arena_alloc_array(arena, 2, sizeof *inner, err);
        TRY(inner != NULL);
        inner[0] = (ValuePair){value_str(STR("url")), value_str(url)};
        inner[1] = (ValuePair){value_str(STR("rel")), value_str(rel)};
        pairs[count++] = (ValuePair){value_str(at < params.size ? rel : url),
                                     (Value){.kind = VALUE_DICT, .dict = {inner, 2}}};
    }
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}

static bool headers_value(const HttpResponse *response, bool with_links, Arena *arena,
                          Value *ret_value, Error *err)
{
    size_t room = response->header_count + 1, count = 0;
    ValuePair *pairs = arena_alloc_array(arena, room + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    for (size_t i = 0; i < response->header_count; i++) {
        const HttpHeader *header = &response->headers[i];
        add_pair(pairs, &count, header->name, value_str(header->value));
    }
    if (with_links) {
        Value links = value_none();
        TRY(links_value(http_header(response, STR("Link")), arena, &links, err));
        size_t i = 0;
        while (i < count && !str_equal(pairs[i].key.text, STR("link")))
            i++;
        pairs[i] = (ValuePair){value_str(STR("link")), links};
        count += i == count;
    }
    *ret_value = (Value){.kind = VALUE_DICT, .dict = {pairs, count}};
    return true;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool follow(PageReader *reader, const HttpResponse *response, Arena *arena,
                   PageOutcome *outcome, Error *err)
{
    Str target = {0};
    HttpRequest request = {0};
    bool more = false;
    TRY(page_reader_request(reader, arena, &request, &more, err));
    TRY(url_join(request.url, http_header(response, STR("Location")), arena, &target, err));
    Url parts = {0};
    if (++reader->redirects > REDIRECTS_MAX || !url_split(target, &parts)) {
        outcome->verdict = PAGE_FAILED;
        outcome->reason = STR("too many redirects, or one to nowhere");
        reader->done = true;
        return true;
    }
    if (response->status == 303 ||
        (response->status < 303 && str_equal(request.method, STR("POST"))))
        reader->is_get = true;
    buf_clear(&reader->redirect);
    TRY(buf_append(&reader->redirect, target, err));
    outcome->verdict = PAGE_REDIRECT;
    outcome->wait_us = 0;
    return true;
}

static bool in_bounds(const PageReader *reader, yyjson_val *record, Arena *arena)
{
    Instant at = {0};
    if (!reader->has_bounds || !yyjson_is_obj(record))
        return true;
    const TimeCursor *cursor = &reader->stream->cursor;
    // What has no readable cursor value is assumed to be new.
    if (!time_cursor_parse(cursor, time_cursor_value(cursor, record), arena, &at))
        return true;
    return at.us >= reader->from_us && at.us <= reader->to_us;
}

static void drop_outside(const PageReader *reader, yyjson_val **records, size_t *count,
                         Arena *arena)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (in_bounds(reader, records[i], arena))
            records[kept++] = records[i];
    }
    *count = kept;
}

static bool keep_token(PageReader *reader, Value token, Error *err)
{
    if (token.kind == VALUE_STR) {
        // The old text may be what the new one was made from.
        Buf text = {0};
        if (!buf_append(&text, token.text, err)) {
            buf_done(&text);
            return false;
        }
        buf_done(&reader->token_text);
        reader->token_text = text;
        reader->token = value_str(buf_str(&reader->token_text));
        return true;
    }
    return value_copy(token, reader->arena, &reader->token, err);
}

// Why a page may not be asked for, by the address that would go out: what stands in the token is
// joined, stripped and encoded first ("//host", a blank before "http:"). {NULL, 0} = it may.
static bool look_at_next(const PageReader *reader, Value token, Arena *arena, Str *ret_reason,
                         Error *err)
{
    const Requester *requester = reader->stream->requester;
    *ret_reason = (Str){NULL, 0};
    if (!reader->stream->paginator.token_is_path || !value_is_true(token))
        return true;
    Frame frame;
    Str path = {0}, url = {0};
    HttpRequest first = {0}, next = {0};
    Options *none = arena_alloc(arena, sizeof *none, err);
    TRY(none != NULL);
    TRY(request_frame(reader, arena, &frame, err) && value_text(token, arena, &path, err));
    TRY(requester_url(requester, (Str){NULL, 0}, &frame, arena, &url, err) &&
        requester_finish(requester, url, none, arena, &first, err));
    TRY(requester_url(requester, path, &frame, arena, &url, err));
    Error why = {0};
    if (!requester_finish(requester, url, none, arena, &next, &why)) {
        if (why.code != ERROR_JOB)
            return error_set(err, why.code, "%s", why.message);
        *ret_reason = STR("the next page is no http address");
    } else if (!url_same_origin(first.url, next.url)) {
        *ret_reason = STR("the next page lies on another origin");
    }
    return true;
}

static bool turn_page(PageReader *reader, const Decoded *decoded, const HttpResponse *response,
                      const RecordList *extracted, PageOutcome *outcome, Arena *arena, Error *err)
{
    const Paginator *paginator = &reader->stream->paginator;
    size_t count = outcome->record_count;
    yyjson_val *last = count > 0 ? outcome->records[count - 1] : NULL;
    reader->done = true;
    if (paginator->kind == PAGES_NONE)
        return true;
    if (reader->stream->cursor.is_data_feed && last != NULL && !in_bounds(reader, last, arena))
        return true;
    PageView page = {.response = (Value){.kind = VALUE_DICT},
                     .last_record = last == NULL ? value_none() : value_json(last),
                     .emitted = count,
                     .extracted = extracted->count,
                     .last_token = reader->token};
    if (decoded->body_count > 0)
        page.response = value_json(decoded->bodies[0]);
    TRY(headers_value(response, true, arena, &page.headers, err));
    Frame frame;
    TRY(slice_frame(reader, &frame, err));
    Value token = value_none();
    TRY(paginator_next(paginator, &page, &frame, arena, &token, err));
    if (token.kind == VALUE_NONE)
        return true;
    Str reason = {0};
    TRY(look_at_next(reader, token, arena, &reason, err));
    if (paginator->kind == PAGES_CURSOR && value_equal(token, reader->token))
        reason = STR("the next page is the page just read");
    if (reason.size > 0) {
        outcome->verdict = PAGE_FAILED;
        outcome->reason = reason;
        return true;
    }
    reader->done = false;
    reader->attempts = 0;
    reader->redirects = 0;
    reader->is_get = false;
    buf_clear(&reader->redirect);
    return keep_token(reader, token, err);
}

// The clock and the dice as templates see them, and whether any of them looked.
typedef struct Witness {
    Env env;
    Env *real;
    bool asked;
} Witness;

static int64_t witness_now_us(void *state)
{
    Witness *witness = state;
    witness->asked = true;
    return witness->real->now_us(witness->real->state);
}

static uint64_t witness_random(void *state)
{
    Witness *witness = state;
    witness->asked = true;
    return witness->real->random(witness->real->state);
}

static bool read_records(PageReader *reader, const HttpResponse *response, const Decoded *decoded,
                         Arena *arena, PageOutcome *outcome, Error *err)
{
    const Stream *stream = reader->stream;
    RecordList records = {0};
    TRY(selector_extract(&stream->selector, decoded, arena, &records, err));
    const RecordList extracted = records;
    Frame frame;
    TRY(slice_frame(reader, &frame, err));
    TRY(frame_set(&frame, STR("next_page_token"), value_none(), err));
    Witness witness = {.env = {.now_us = witness_now_us, .random = witness_random},
                       .real = frame.env};
    witness.env.state = &witness;
    frame.env = &witness.env;
    bool filters =
        reader->has_bounds && stream->cursor.is_client_side && !stream->cursor.is_data_feed;
    if (filters && !stream->selector.transform_first)
        drop_outside(reader, records.items, &records.count, arena);
    TRY(selector_refine(&stream->selector, &records, &frame, arena, err));
    if (filters)
        drop_outside(reader, records.items, &records.count, arena);
    outcome->verdict = PAGE_RECORDS;
    outcome->doc = decoded->doc;
    outcome->records = records.items;
    outcome->record_count = records.count;
    outcome->repeats = !witness.asked;
    TRY(turn_page(reader, decoded, response, &extracted, outcome, arena, err));
    // A feed's page is looked at whole before what is old is dropped from it.
    if (stream->cursor.is_data_feed)
        drop_outside(reader, outcome->records, &outcome->record_count, arena);
    return true;
}

static bool describe(const HttpResponse *response, Str message, Arena *arena, Str *ret_reason,
                     Error *err)
{
    message = str_slice(message, 0, 300);
    return arena_printf(arena, ret_reason, err, "HTTP %d%s" STR_FMT, response->status,
                        message.size > 0 ? ": " : "", STR_ARG(message));
}

static bool refuse(PageReader *reader, const HttpResponse *response, const ErrorVerdict *verdict,
                   Frame *frame, Arena *arena, PageOutcome *outcome, Error *err)
{
    TRY(describe(response, verdict->message, arena, &outcome->reason, err));
    const ErrorRules *rules = reader->stream->requester->errors;
    ErrorWait wait = {0};
    switch (verdict->action) {
    case ACTION_RETRY:
    case ACTION_LIMITED:
        TRY(error_rules_wait(rules, response, reader->attempts, frame, arena, &wait, err));
        outcome->wait_us = wait.us;
        outcome->verdict = verdict->action == ACTION_RETRY ? PAGE_RETRY : PAGE_LIMITED;
        if (wait.too_long)
            outcome->verdict = PAGE_FAILED;
        return true;
    case ACTION_IGNORE:
    case ACTION_SUCCESS:
        reader->done = true;
        outcome->verdict = PAGE_IGNORED;
        return true;
    case ACTION_NONE:
    case ACTION_FAIL:
    case ACTION_RESET:
    case ACTION_REFRESH:
        break;
    }
    bool denied = response->status == 401 || response->status == 403;
    outcome->verdict = denied ? PAGE_DENIED : PAGE_FAILED;
    return true;
}

static bool judge(PageReader *reader, const HttpResponse *response, yyjson_val *root, Frame *frame,
                  Arena *arena, ErrorVerdict *ret_verdict, Error *err)
{
    const Value empty = {.kind = VALUE_DICT};
    Value headers = value_none();
    frame_init(frame, reader->stream->connector->env, reader->stream->connector->config);
    TRY(headers_value(response, false, arena, &headers, err));
    TRY(frame_set(frame, STR("response"), root == NULL ? empty : value_json(root), err));
    TRY(frame_set(frame, STR("headers"), headers, err));
    TRY(frame_set(frame, STR("request_url"), value_str(STR("")), err));
    return error_rules_judge(reader->stream->requester->errors, response, root, frame, arena,
                             ret_verdict, err);
}

bool page_reader_answer(PageReader *reader, const HttpResponse *response, Arena *page_arena,
                        PageOutcome *ret_outcome, Error *err)
{
    PageOutcome outcome = {.verdict = PAGE_FAILED, .wait_us = -1};
    outcome.attempt = ++reader->attempts;
    outcome.attempts_max = page_reader_attempts_max(reader);
    if (is_redirect(response->status) && http_header(response, STR("Location")).size > 0) {
        reader->attempts--;
        TRY(follow(reader, response, page_arena, &outcome, err));
        *ret_outcome = outcome;
        return true;
    }
    Decoded decoded = {0};
    bool readable = false;
    Str why = {NULL, 0};
    TRY(body_decode(&reader->stream->selector.format, response->body, page_arena, &decoded,
                    &readable, &why, err));
    Frame frame;
    ErrorVerdict verdict = {0};
    TRY(judge(reader, response, decoded.root, &frame, page_arena, &verdict, err));
    bool fine = response->status < 400 &&
                (verdict.action == ACTION_SUCCESS || verdict.action == ACTION_IGNORE);
    if (fine && readable) {
        TRY(read_records(reader, response, &decoded, page_arena, &outcome, err));
    } else if (fine) {
        // Half a body or a proxy's page: it may be whole the next time.
        outcome.verdict = PAGE_RETRY;
        TRY(describe(response, why, page_arena, &outcome.reason, err));
    } else {
        TRY(refuse(reader, response, &verdict, &frame, page_arena, &outcome, err));
    }
    *ret_outcome = outcome;
    return true;
}
