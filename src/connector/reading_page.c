#include "connector/reading.h"

enum { TOKEN_TRIES = 6, WAIT_FIRST_S = 1, PAGES_FIRST = 64 };

void reading_say(const Sync *sync, const char *level, Str text)
{
    sync->host->log(sync->host->state, level, text);
}

// Says why the same is asked for again, and waits for its time to come.
static bool wait_to_repeat(const Sync *sync, Str why, int64_t attempt, int64_t attempts_max,
                           int64_t wait_us, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, STR_FMT "; try %lld of %lld follows in %.1f s", STR_ARG(why),
                   (long long)attempt + 1, (long long)attempts_max, (double)wait_us / 1e6));
    reading_say(sync, "INFO", buf_str(&text));
    return sync->host->wait(sync->host->state, wait_us, err);
}

static bool fetch_token(Reading *reading, const HttpRequest *request, Error *err)
{
    const SyncHost *host = reading->sync->host;
    for (int64_t i = 0;; i++) {
        CLEANUP(arena_freep) Arena *arena = arena_new(SYNC_PAGE_BYTES_MAX, err);
        TRY(arena != NULL);
        HttpResponse response = {0};
        Error why = {0};
        if (host->exchange(host->state, request, arena, &response, &why) &&
            auth_answer(reading->auth, &response, &why))
            return true;
        bool again = (why.code == ERROR_IO || why.code == ERROR_BUSY) && i + 1 < TOKEN_TRIES;
        if (!again) {
            *err = why;
            return error_context(err, "token");
        }
        TRY(wait_to_repeat(reading->sync, str_from(why.message), i + 1, TOKEN_TRIES,
                           US_PER_SECOND * WAIT_FIRST_S << i, err));
    }
}

static bool authorize(Reading *reading, HttpRequest *request, Arena *arena, Error *err)
{
    HttpRequest token = {0};
    AuthStep step = AUTH_READY;
    TRY(auth_apply(reading->auth, request, arena, &token, &step, err));
    if (step == AUTH_READY)
        return true;
    TRY(fetch_token(reading, &token, err));
    TRY(auth_apply(reading->auth, request, arena, &token, &step, err));
    if (step != AUTH_READY)
        return error_set(err, ERROR_ACCESS, "token: it had expired when it came");
    return true;
}

static bool cache_key(const HttpRequest *request, Arena *arena, Str *ret_key, Error *err)
{
    CLEANUP(buf_done) Buf key = {0};
    TRY(buf_printf(&key, err, STR_FMT " " STR_FMT "\n", STR_ARG(request->method),
                   STR_ARG(request->url)));
    for (size_t i = 0; i < request->header_count; i++)
        TRY(buf_printf(&key, err, STR_FMT ":" STR_FMT "\n", STR_ARG(request->headers[i].name),
                       STR_ARG(request->headers[i].value)));
    return arena_copy_str(arena, buf_str(&key), ret_key, err);
}

static const HttpResponse *find_page(const Sync *sync, Str key)
{
    for (size_t i = 0; i < sync->page_count; i++) {
        if (str_equal(sync->pages[i].key, key))
            return &sync->pages[i].response;
    }
    return NULL;
}

static bool keep_page(Sync *sync, Str key, const HttpResponse *response, Error *err)
{
    if (response->status != 200 || sync->page_bytes + response->body.size > SYNC_CACHE_BYTES_MAX)
        return true;
    if (sync->page_count == sync->page_capacity) {
        size_t room = sync->page_capacity == 0 ? PAGES_FIRST : sync->page_capacity * 2;
        CachedPage *pages = arena_alloc_array(sync->cache_arena, room, sizeof *pages, err);
        TRY(pages != NULL);
        if (sync->page_count > 0)
            memcpy(pages, sync->pages, sync->page_count * sizeof *pages);
        sync->pages = pages;
        sync->page_capacity = room;
    }
    CachedPage page = {.response = *response};
    Arena *arena = sync->cache_arena;
    TRY(arena_copy_str(arena, key, &page.key, err));
    TRY(arena_copy_str(arena, response->body, &page.response.body, err));
    page.response.headers =
        arena_alloc_array(arena, response->header_count + 1, sizeof(HttpHeader), err);
    TRY(page.response.headers != NULL);
    for (size_t i = 0; i < response->header_count; i++) {
        TRY(arena_copy_str(arena, response->headers[i].name, &page.response.headers[i].name, err));
        TRY(arena_copy_str(arena, response->headers[i].value, &page.response.headers[i].value,
                           err));
    }
    sync->page_bytes += response->body.size;
    sync->pages[sync->page_count++] = page;
    return true;
}

static bool ask(Reading *reading, const HttpRequest *request, Arena *arena,
                HttpResponse *ret_response, Error *err)
{
    Sync *sync = reading->sync;
    Str key = {NULL, 0};
    bool cached = reading->stream->use_cache && str_equal(request->method, STR("GET"));
    if (cached) {
        TRY(cache_key(request, arena, &key, err));
        const HttpResponse *page = find_page(sync, key);
        if (page != NULL) {
            *ret_response = *page;
            return true;
        }
    }
    TRY(sync->host->exchange(sync->host->state, request, arena, ret_response, err));
    return !cached || keep_page(sync, key, ret_response, err);
}

// How long to wait before the next try; the reference adds a second to what a manifest says.
static int64_t wait_of(const PageOutcome *outcome, int64_t attempt)
{
    if (outcome != NULL && outcome->wait_us >= 0)
        return outcome->wait_us + US_PER_SECOND;
    int64_t steps = attempt - 1 < 10 ? attempt - 1 : 10;
    return (int64_t)(WAIT_FIRST_S * US_PER_SECOND) << steps;
}

// A transport error counts as a try, too.
static bool ask_until_answered(Reading *reading, PageReader *reader, const HttpRequest *request,
                               HttpResponse *ret_response, Error *err)
{
    int64_t most = page_reader_attempts_max(reader);
    for (int64_t attempt = 1;; attempt++) {
        Error why = {0};
        if (ask(reading, request, reading->page_arena, ret_response, &why))
            return true;
        if ((why.code != ERROR_IO && why.code != ERROR_BUSY) || attempt >= most) {
            *err = why;
            return false;
        }
        TRY(wait_to_repeat(reading->sync, str_from(why.message), attempt, most,
                           wait_of(NULL, attempt), err));
    }
}

static bool fail(const Reading *reading, const PageOutcome *outcome, Error *err)
{
    ErrorCode code = outcome->verdict == PAGE_DENIED ? ERROR_ACCESS : ERROR_DATA;
    if (outcome->verdict == PAGE_RETRY || outcome->verdict == PAGE_LIMITED)
        code = ERROR_IO;
    const char *more =
        outcome->wait_is_too_long ? ", and asks for a longer wait than the manifest allows" : "";
    return error_set(err, code, "stream '" STR_FMT "': " STR_FMT "%s",
                     STR_ARG(reading->stream->name), STR_ARG(outcome->reason), more);
}

// One page, with the tries it takes. *ret_outcome holds records or is a verdict that ends the
// slice.
static bool read_page(Reading *reading, PageReader *reader, bool *ret_more,
                      PageOutcome *ret_outcome, Error *err)
{
    const Sync *sync = reading->sync;
    for (;;) {
        TRY(env_check_stop(sync->host->env, err));
        arena_reset(reading->page_arena);
        HttpRequest request = {0};
        TRY(page_reader_request(reader, reading->page_arena, &request, ret_more, err));
        if (!*ret_more)
            return true;
        TRY(authorize(reading, &request, reading->page_arena, err));
        HttpResponse response = {0};
        PageOutcome outcome = {0};
        TRY(ask_until_answered(reading, reader, &request, &response, err));
        TRY(page_reader_answer(reader, &response, reading->page_arena, &outcome, err));
        bool again = outcome.verdict == PAGE_RETRY || outcome.verdict == PAGE_LIMITED;
        if (outcome.verdict == PAGE_REDIRECT)
            continue;
        if (!again || outcome.wait_is_too_long || outcome.attempt >= outcome.attempts_max) {
            *ret_outcome = outcome;
            return again ? fail(reading, &outcome, err) : true;
        }
        TRY(wait_to_repeat(sync, outcome.reason, outcome.attempt, outcome.attempts_max,
                           wait_of(&outcome, outcome.attempt), err));
    }
}

static bool read_pages(Reading *reading, PageReader *reader, RecordFn each, void *context,
                       Error *err)
{
    for (;;) {
        bool more = false;
        PageOutcome outcome = {0};
        TRY(read_page(reading, reader, &more, &outcome, err));
        if (!more || outcome.verdict == PAGE_IGNORED)
            return true;
        if (outcome.verdict == PAGE_FAILED && outcome.record_count == 0)
            return fail(reading, &outcome, err);
        if (outcome.verdict == PAGE_DENIED)
            return fail(reading, &outcome, err);
        for (size_t i = 0; i < outcome.record_count; i++)
            TRY(each(context, outcome.records[i], err));
        if (outcome.verdict == PAGE_FAILED)
            return fail(reading, &outcome, err);
    }
}

bool reading_cursor_end(const Reading *reading, Instant *ret_end, Error *err)
{
    const Stream *stream = reading->stream;
    Frame frame;
    frame_init(&frame, stream->connector->env, stream->connector->config);
    return time_cursor_end(&stream->cursor, &frame, reading->scratch, ret_end, err);
}

bool reading_read_slice(Reading *reading, const Partition *partition, const TimeSlice *slice,
                        const Progress *progress, RecordFn each, void *context, Error *err)
{
    arena_reset(reading->slice_arena);
    Window window = {0};
    if (slice != NULL)
        window = (Window){slice->from.us, slice->to.us, slice->from.offset_seconds};
    PageReader *reader = NULL;
    TRY(page_reader_new(reading->stream, partition, slice == NULL ? NULL : &window,
                        reading->slice_arena, &reader, err));
    const TimeCursor *cursor = &reading->stream->cursor;
    bool ok = true;
    if (progress != NULL && (cursor->is_client_side || cursor->is_data_feed)) {
        Instant end = {0};
        ok = reading_cursor_end(reading, &end, err);
        page_reader_set_bounds(reader, progress_lowest_us(progress), end.us);
    }
    ok = ok && read_pages(reading, reader, each, context, err);
    page_reader_free(reader);
    return ok;
}
