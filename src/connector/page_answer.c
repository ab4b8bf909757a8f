// What an answer holds: records, another place to ask, or a refusal; and which page comes next.
#include "connector/page_parts.h"

#include "net/url.h"

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
        page_add_pair(pairs, &count, header->name, value_str(header->value));
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

// Why a redirect is not followed; {NULL, 0} = it is. As net/fetch_answer.c and run/fetch.c have it
// for what the fetcher follows: headers and bodies of a manifest may hold keys, so they stay at
// home, and what another origin shows to a stranger is not what we may see.
static Str refuse_target(const PageReader *reader, const HttpRequest *request, Str target)
{
    Url from = {0}, to = {0};
    if (reader->redirects > REDIRECTS_MAX || !url_split(target, &to) ||
        !url_split(request->url, &from))
        return STR("too many redirects, or one to nowhere");
    if (str_equal_ignoring_case(from.scheme, STR("https")) &&
        !str_equal_ignoring_case(to.scheme, STR("https")))
        return STR("redirected from https to plain http: refused");
    const bool is_plain = str_equal(request->method, STR("GET")) && !reader->is_get &&
                          request->body.size == 0 &&
                          auth_spec_is_none(reader->stream->requester->auth);
    if (!is_plain && !url_same_origin(request->url, target))
        return STR("redirected to another origin, where no credential goes: if the API has moved, "
                   "change the connector");
    return (Str){NULL, 0};
}

static bool follow(PageReader *reader, const HttpResponse *response, Arena *arena,
                   PageOutcome *outcome, Error *err)
{
    Str target = {0};
    HttpRequest request = {0};
    bool more = false;
    TRY(page_reader_request(reader, arena, &request, &more, err));
    TRY(url_join(request.url, http_header(response, STR("Location")), arena, &target, err));
    reader->redirects++;
    outcome->reason = refuse_target(reader, &request, target);
    if (outcome->reason.size > 0) {
        outcome->verdict = PAGE_FAILED;
        reader->done = true;
        return true;
    }
    reader->foreign = reader->foreign || !url_same_origin(request.url, target);
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
    TRY(page_request_frame(reader, arena, &frame, err) && value_text(token, arena, &path, err));
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
    TRY(page_slice_frame(reader, &frame, err));
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
    reader->foreign = false;
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
    TRY(page_slice_frame(reader, &frame, err));
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
        outcome->wait_is_asked = wait.asked;
        outcome->verdict = verdict->action == ACTION_RETRY ? PAGE_RETRY : PAGE_LIMITED;
        outcome->wait_is_too_long = wait.too_long;
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
