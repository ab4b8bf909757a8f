#include "connector/sync.h"

#include "connector/progress.h"

#include <assert.h>

enum {
    SYNC_BYTES_MAX = 1024 * 1024 * 1024, // states, partitions and slices of one stream
    PAGE_BYTES_MAX = 1024 * 1024 * 1024,
    TOKEN_TRIES = 6,
    WAIT_FIRST_S = 1,
    TABLE_FIRST = 64,
    SYNC_READINGS_MAX = 64,
};

// One page of a parent, kept for its other children.
typedef struct CachedPage {
    Str key;
    HttpResponse response;
} CachedPage;

typedef struct Sync {
    const Connector *connector;
    const SyncHost *host;
    Arena *cache_arena;
    CachedPage *pages;
    size_t page_count;
    size_t page_capacity;
    size_t page_bytes;
    struct Reading *readings[SYNC_READINGS_MAX]; // those that brought an Auth of their own
    size_t reading_count;
} Sync;

// A partition that has a state of its own, or only its key (seen already).
typedef struct PartitionState {
    Str key;
    Progress progress;
    bool has_progress;
    bool seen;    // in this run
    bool is_open; // a slice of it failed, or is not read yet
    size_t sequence;
} PartitionState;

// What a child has to know of its parents once the partitions up to `sequence` are done.
typedef struct ParentState {
    Str json;
    size_t sequence;
} ParentState;

// One stream being read: the one that was asked for, or a parent of it.
typedef struct Reading {
    Sync *sync;
    const Stream *stream;
    Arena *arena;       // lives as long as the reading
    Arena *slice_arena; // of one slice
    Arena *page_arena;  // of one page
    Arena *scratch;
    Auth *auth;
    bool owns_auth;
    Progress progress; // of a stream without partitions
    PartitionState **partitions;
    size_t partition_count;
    size_t partition_capacity;
    size_t *table; // hash of keys -> index + 1
    size_t table_size;
    size_t sequence;
    bool use_global;
    Str global;     // cursor value that new partitions begin with
    Str new_global; // the highest seen in this run
    int64_t lookback_seconds;
    int64_t started_us;
    bool saw_records;
    bool is_open; // a slice failed
    int64_t emitted_us;
    ParentState *parent_states;
    size_t parent_state_first;
    size_t parent_state_count;
    size_t parent_state_capacity;
    Str parent_state; // of closed partitions
    struct Reading **parents;
    size_t parent_count;
    yyjson_val *state;
    Error failure; // the first one of a slice
} Reading;

typedef bool (*RecordFn)(void *context, yyjson_val *record, Error *err);
typedef bool (*PartitionFn)(void *context, const Partition *partition, Error *err);

// ------------------------------------------------------------------------ opening

static void reading_free(Reading *reading)
{
    if (reading == NULL)
        return;
    for (size_t i = 0; i < reading->parent_count; i++)
        reading_free(reading->parents[i]);
    if (reading->owns_auth)
        auth_free(reading->auth);
    arena_free(reading->scratch);
    arena_free(reading->page_arena);
    arena_free(reading->slice_arena);
    arena_free(reading->arena);
}

static void reading_freep(Reading **reading)
{
    reading_free(*reading);
}

static bool is_partitioned(const Stream *stream)
{
    return stream->router_count > 0;
}

static uint64_t hash_of(Str key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    return hash;
}

static size_t *table_slot(const Reading *reading, Str key)
{
    size_t at = (size_t)hash_of(key) & (reading->table_size - 1);
    while (reading->table[at] != 0 &&
           !str_equal(reading->partitions[reading->table[at] - 1]->key, key))
        at = (at + 1) & (reading->table_size - 1);
    return &reading->table[at];
}

static bool grow_table(Reading *reading, Error *err)
{
    size_t room = reading->partition_capacity == 0 ? TABLE_FIRST : reading->partition_capacity * 2;
    PartitionState **list = arena_alloc_array(reading->arena, room, sizeof *list, err);
    TRY(list != NULL);
    if (reading->partition_count > 0)
        memcpy(list, reading->partitions, reading->partition_count * sizeof *list);
    reading->partitions = list;
    reading->partition_capacity = room;
    reading->table_size = room * 2;
    reading->table = arena_alloc_array(reading->arena, reading->table_size, sizeof(size_t), err);
    TRY(reading->table != NULL);
    for (size_t i = 0; i < reading->partition_count; i++)
        *table_slot(reading, list[i]->key) = i + 1;
    return true;
}

static bool find_partition(Reading *reading, Str key, PartitionState **ret_state, Error *err)
{
    if (reading->partition_count == reading->partition_capacity)
        TRY(grow_table(reading, err));
    size_t *slot = table_slot(reading, key);
    if (*slot == 0) {
        PartitionState *state = arena_alloc(reading->arena, sizeof *state, err);
        TRY(state != NULL);
        TRY(arena_copy_str(reading->arena, key, &state->key, err));
        reading->partitions[reading->partition_count++] = state;
        *slot = reading->partition_count;
    }
    *ret_state = reading->partitions[*slot - 1];
    return true;
}

// The cursor's value as it is written now, whatever format the state has it in.
static bool keep_global(Reading *reading, yyjson_val *state, Error *err)
{
    const TimeCursor *cursor = &reading->stream->cursor;
    yyjson_val *value = json_get(state, cursor->field);
    Instant at = {0};
    if (value == NULL)
        return true;
    if (!time_cursor_parse(cursor, value_json(value), reading->arena, &at))
        return error_set(err, ERROR_DATA, "state: '" STR_FMT "' fits no datetime format",
                         STR_ARG(cursor->field));
    TRY(time_cursor_format(cursor, at, reading->arena, &reading->global, err));
    reading->new_global = reading->global;
    return true;
}

static bool load_partition(Reading *reading, yyjson_val *item, Error *err)
{
    CLEANUP(buf_done) Buf key = {0};
    yyjson_val *partition = json_get(item, STR("partition"));
    if (!yyjson_is_obj(partition))
        return error_set(err, ERROR_DATA, "state: a partition is no object");
    TRY(json_write_canonical(partition, &key, err));
    PartitionState *state = NULL;
    TRY(find_partition(reading, buf_str(&key), &state, err));
    state->has_progress = true;
    return progress_init(&state->progress, &reading->stream->cursor, json_get(item, STR("cursor")),
                         0, reading->arena, err);
}

static bool load_partitions(Reading *reading, yyjson_val *state, Error *err)
{
    yyjson_val *states = json_get(state, STR("states"));
    yyjson_val *global = json_get(state, STR("state"));
    if (states == NULL && global == NULL)
        return keep_global(reading, state, err);
    reading->use_global = yyjson_get_bool(json_get(state, STR("use_global_cursor")));
    yyjson_val *lookback = json_get(state, STR("lookback_window"));
    if (yyjson_is_num(lookback))
        reading->lookback_seconds = (int64_t)yyjson_get_num(lookback);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(states, index, count, item)
    {
        TRY(load_partition(reading, item, err));
    }
    if (global != NULL)
        TRY(keep_global(reading, global, err));
    yyjson_val *parents = json_get(state, STR("parent_state"));
    if (yyjson_is_obj(parents) && yyjson_obj_size(parents) > 0) {
        CLEANUP(buf_done) Buf text = {0};
        TRY(json_write(parents, &text, err));
        TRY(arena_copy_str(reading->arena, buf_str(&text), &reading->parent_state, err));
    }
    return true;
}

static bool load_state(Reading *reading, Error *err)
{
    const Stream *stream = reading->stream;
    if (!stream->cursor.exists)
        return true;
    if (!is_partitioned(stream))
        return progress_init(&reading->progress, &stream->cursor, reading->state, 0, reading->arena,
                             err);
    reading->use_global = stream->cursor.is_global;
    return reading->state == NULL || load_partitions(reading, reading->state, err);
}

// An incremental parent's state lies in its child's.
static yyjson_val *parent_state_of(const ParentRouter *parent, yyjson_val *state)
{
    if (!parent->is_incremental || !yyjson_is_obj(state))
        return NULL;
    yyjson_val *all = json_get(state, STR("parent_state"));
    yyjson_val *own = json_get(all, parent->stream->name);
    return own != NULL ? own : json_get(state, STR("state"));
}

static bool open_reading(Sync *sync, const Stream *stream, yyjson_val *state, Reading **ret_reading,
                         Error *err);

static bool open_parents(Reading *reading, Error *err)
{
    const Stream *stream = reading->stream;
    size_t room = 0;
    for (size_t i = 0; i < stream->router_count; i++)
        room += stream->routers[i].parent_count;
    reading->parents = arena_alloc_array(reading->arena, room + 1, sizeof(Reading *), err);
    TRY(reading->parents != NULL);
    for (size_t i = 0; i < stream->router_count; i++) {
        for (size_t j = 0; j < stream->routers[i].parent_count; j++) {
            const ParentRouter *parent = &stream->routers[i].parents[j];
            TRY(open_reading(reading->sync, parent->stream, parent_state_of(parent, reading->state),
                             &reading->parents[reading->parent_count], err));
            reading->parent_count++;
        }
    }
    return true;
}

// Each stream signs in by itself, as in the reference, unless that would burn a token of another.
static bool open_auth(Reading *reading, Error *err)
{
    Sync *sync = reading->sync;
    for (size_t i = 0; i < sync->reading_count; i++) {
        if (auth_is_shared(sync->readings[i]->stream, reading->stream)) {
            reading->auth = sync->readings[i]->auth;
            return true;
        }
    }
    TRY(connector_auth(sync->connector, reading->stream, reading->arena, &reading->auth, err));
    reading->owns_auth = true;
    if (sync->reading_count < SYNC_READINGS_MAX)
        sync->readings[sync->reading_count++] = reading;
    return true;
}

static bool fill_reading(Reading *reading, Error *err)
{
    Arena **arenas[] = {&reading->slice_arena, &reading->page_arena, &reading->scratch};
    for (size_t i = 0; i < 3; i++) {
        *arenas[i] = arena_new(PAGE_BYTES_MAX, err);
        TRY(*arenas[i] != NULL);
    }
    TRY(open_auth(reading, err));
    TRY(load_state(reading, err));
    return open_parents(reading, err);
}

static bool open_reading(Sync *sync, const Stream *stream, yyjson_val *state, Reading **ret_reading,
                         Error *err)
{
    Arena *arena = arena_new(SYNC_BYTES_MAX, err);
    TRY(arena != NULL);
    Reading *reading = arena_alloc(arena, sizeof *reading, err);
    if (reading == NULL) {
        arena_free(arena);
        return false;
    }
    Env *env = sync->host->env;
    *reading = (Reading){.sync = sync,
                         .stream = stream,
                         .arena = arena,
                         .state = state,
                         .emitted_us = INT64_MIN,
                         .started_us = env->monotonic_us(env->state)};
    if (!fill_reading(reading, err)) {
        reading_free(reading);
        return false;
    }
    *ret_reading = reading;
    return true;
}

// ------------------------------------------------------------------------ asking

static void say(const Sync *sync, const char *level, Str text)
{
    sync->host->log(sync->host->state, level, text);
}

static bool wait_seconds(const Sync *sync, int64_t seconds, Error *err)
{
    return sync->host->wait(sync->host->state, seconds * US_PER_SECOND, err);
}

static bool fetch_token(Reading *reading, const HttpRequest *request, Error *err)
{
    const SyncHost *host = reading->sync->host;
    for (int64_t i = 0;; i++) {
        CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_BYTES_MAX, err);
        TRY(arena != NULL);
        HttpResponse response = {0};
        Error why = {0};
        if (host->exchange(host->state, request, arena, &response, &why) &&
            auth_answer(reading->auth, &response, &why))
            return true;
        bool again = (why.code == ERROR_IO || why.code == ERROR_BUSY) && i + 1 < TOKEN_TRIES;
        if (!again) {
            *err = why;
            return false;
        }
        TRY(wait_seconds(reading->sync, WAIT_FIRST_S << i, err));
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
        size_t room = sync->page_capacity == 0 ? TABLE_FIRST : sync->page_capacity * 2;
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
        TRY(reading->sync->host->wait(reading->sync->host->state, wait_of(NULL, attempt), err));
    }
}

static bool fail(const Reading *reading, const PageOutcome *outcome, Error *err)
{
    ErrorCode code = outcome->verdict == PAGE_DENIED ? ERROR_ACCESS : ERROR_DATA;
    if (outcome->verdict == PAGE_RETRY || outcome->verdict == PAGE_LIMITED)
        code = ERROR_IO;
    return error_set(err, code, "stream '" STR_FMT "': " STR_FMT, STR_ARG(reading->stream->name),
                     STR_ARG(outcome->reason));
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
        if (!again || outcome.attempt >= outcome.attempts_max) {
            *ret_outcome = outcome;
            return again ? fail(reading, &outcome, err) : true;
        }
        say(sync, "INFO", outcome.reason);
        int64_t wait_us = wait_of(&outcome, outcome.attempt);
        TRY(sync->host->wait(sync->host->state, wait_us, err));
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

static bool cursor_end(const Reading *reading, Instant *ret_end, Error *err)
{
    const Stream *stream = reading->stream;
    Frame frame;
    frame_init(&frame, stream->connector->env, stream->connector->config);
    return time_cursor_end(&stream->cursor, &frame, reading->scratch, ret_end, err);
}

static bool read_slice(Reading *reading, const Partition *partition, const TimeSlice *slice,
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
        ok = cursor_end(reading, &end, err);
        page_reader_set_bounds(reader, progress_lowest_us(progress), end.us);
    }
    ok = ok && read_pages(reading, reader, each, context, err);
    page_reader_free(reader);
    return ok;
}

// ------------------------------------------------------------------------ state

static bool write_parents(const Reading *reading, Buf *out, Error *err);

static bool write_partitions(const Reading *reading, Buf *out, Error *err)
{
    bool first = true;
    TRY(buf_append(out, STR(",\"states\":["), err));
    for (size_t i = 0; i < reading->partition_count; i++) {
        const PartitionState *state = reading->partitions[i];
        if (!state->has_progress)
            continue;
        TRY(first || buf_append_char(out, ',', err));
        first = false;
        TRY(buf_printf(out, err, "{\"partition\":" STR_FMT ",\"cursor\":", STR_ARG(state->key)));
        TRY(progress_write(&state->progress, reading->scratch, out, err));
        TRY(buf_append_char(out, '}', err));
    }
    return buf_append_char(out, ']', err);
}

static bool write_partitioned(const Reading *reading, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"use_global_cursor\":%s", reading->use_global ? "true" : "false"));
    if (!reading->use_global)
        TRY(write_partitions(reading, out, err));
    if (reading->global.size > 0) {
        TRY(buf_append(out, STR(",\"state\":{"), err));
        TRY(json_write_str(reading->stream->cursor.field, out, err));
        TRY(buf_append_char(out, ':', err));
        TRY(json_write_str(reading->global, out, err));
        TRY(buf_append_char(out, '}', err));
    }
    TRY(buf_printf(out, err, ",\"lookback_window\":%lld", (long long)reading->lookback_seconds));
    if (reading->parent_state.size > 0)
        TRY(buf_printf(out, err, ",\"parent_state\":" STR_FMT, STR_ARG(reading->parent_state)));
    return buf_append_char(out, '}', err);
}

static bool write_state(const Reading *reading, Buf *out, Error *err)
{
    if (!reading->stream->cursor.exists)
        return buf_append(out, STR("{\"__ab_no_cursor_state_message\":true}"), err);
    if (is_partitioned(reading->stream))
        return write_partitioned(reading, out, err);
    return progress_write(&reading->progress, reading->scratch, out, err);
}

// The states of the parents that are read incrementally; nothing where routers are multiplied.
static bool write_parents(const Reading *reading, Buf *out, Error *err)
{
    const Stream *stream = reading->stream;
    if (stream->router_count != 1 || stream->routers[0].is_list)
        return true;
    bool first = true;
    TRY(buf_append_char(out, '{', err));
    for (size_t i = 0; i < reading->parent_count; i++) {
        if (!stream->routers[0].parents[i].is_incremental)
            continue;
        TRY(first || buf_append_char(out, ',', err));
        first = false;
        TRY(json_write_str(reading->parents[i]->stream->name, out, err));
        TRY(buf_append_char(out, ':', err));
        TRY(write_state(reading->parents[i], out, err));
    }
    return buf_append_char(out, '}', err);
}

static bool parents_text(const Reading *reading, Str *ret_text, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(write_parents(reading, &text, err));
    *ret_text = (Str){NULL, 0};
    return text.size == 0 || arena_copy_str(reading->arena, buf_str(&text), ret_text, err);
}

static bool checkpoint(Reading *reading, Error *err)
{
    const SyncHost *host = reading->sync->host;
    CLEANUP(buf_done) Buf json = {0};
    TRY(write_state(reading, &json, err));
    return host->checkpoint(host->state, reading->stream, buf_str(&json), err);
}

// States of many partitions are long, so they go out every ten minutes only.
static bool checkpoint_seldom(Reading *reading, Error *err)
{
    Env *env = reading->sync->host->env;
    int64_t now = env->now_us(env->state);
    if (reading->emitted_us != INT64_MIN && now - reading->emitted_us <= 600 * US_PER_SECOND)
        return true;
    reading->emitted_us = now;
    if (reading->use_global && reading->parent_state.size <= 2)
        return true;
    return checkpoint(reading, err);
}

static void raise_global(Reading *reading, Str value)
{
    if (reading->new_global.size == 0 || str_compare(reading->new_global, value) < 0)
        reading->new_global = value;
}

static bool observe(Reading *reading, Progress *progress, yyjson_val *record, Error *err)
{
    arena_reset(reading->scratch);
    if (progress == NULL)
        return true;
    const TimeCursor *cursor = &reading->stream->cursor;
    progress_observe(progress, record, reading->scratch);
    Instant at = {0};
    if (!is_partitioned(reading->stream) || !yyjson_is_obj(record) ||
        !time_cursor_parse(cursor, time_cursor_value(cursor, record), reading->scratch, &at))
        return true;
    Str text = {0};
    TRY(time_cursor_format(cursor, at, reading->scratch, &text, err));
    reading->saw_records = true;
    if (reading->new_global.size > 0 && str_compare(reading->new_global, text) >= 0)
        return true;
    return arena_copy_str(reading->arena, text, &reading->new_global, err);
}

// What of the parents' state is safe to keep: it holds once every partition that came before it is
// done.
static bool release_parent_states(Reading *reading)
{
    size_t oldest = SIZE_MAX;
    for (size_t i = 0; i < reading->partition_count; i++) {
        const PartitionState *state = reading->partitions[i];
        if (state->seen && state->is_open && state->sequence < oldest)
            oldest = state->sequence;
    }
    while (reading->parent_state_first < reading->parent_state_count) {
        const ParentState *next = &reading->parent_states[reading->parent_state_first];
        if (oldest <= next->sequence)
            break;
        reading->parent_state = next->json;
        reading->parent_state_first++;
    }
    return true;
}

static bool note_parent_state(Reading *reading, size_t sequence, Error *err)
{
    Str json = {NULL, 0};
    TRY(parents_text(reading, &json, err));
    if (json.size == 0)
        return true;
    if (reading->parent_state_count > reading->parent_state_first &&
        str_equal(reading->parent_states[reading->parent_state_count - 1].json, json))
        return true;
    if (reading->parent_state_count == reading->parent_state_capacity) {
        size_t room = reading->parent_state_capacity == 0 ? 16 : reading->parent_state_capacity * 2;
        ParentState *list = arena_alloc_array(reading->arena, room, sizeof *list, err);
        TRY(list != NULL);
        if (reading->parent_state_count > 0)
            memcpy(list, reading->parent_states, reading->parent_state_count * sizeof *list);
        reading->parent_states = list;
        reading->parent_state_capacity = room;
    }
    reading->parent_states[reading->parent_state_count++] = (ParentState){json, sequence};
    return true;
}

// ------------------------------------------------------------------------ slices of a partition

// What happens with each record of a stream: its cursor sees it, then whoever reads the stream.
typedef struct Delivery {
    Reading *reading;
    Progress *progress;
    RecordFn each;
    void *context;
} Delivery;

static bool deliver(void *context, yyjson_val *record, Error *err)
{
    Delivery *delivery = context;
    TRY(delivery->each(delivery->context, record, err));
    return observe(delivery->reading, delivery->progress, record, err);
}

// A failed slice of the stream asked for is remembered, and the next one read; a parent's ends all.
static bool survive(Reading *reading, bool is_parent, Error *why, Error *err)
{
    reading->is_open = true;
    if (is_parent || why->code == ERROR_STOPPED || why->code == ERROR_LIMIT) {
        *err = *why;
        return false;
    }
    say(reading->sync, "ERROR", str_from(why->message));
    if (reading->failure.code == ERROR_NONE)
        reading->failure = *why;
    return true;
}

typedef struct Consumer {
    Reading *reading;
    RecordFn each; // NULL: hand the records to the host
    void *context;
    bool is_parent;
} Consumer;

static bool read_time_slices(Consumer *consumer, const Partition *partition, Progress *progress,
                             bool *ret_whole, Error *err)
{
    Reading *reading = consumer->reading;
    Instant end = {0};
    TimeSlices slices = {0};
    TRY(cursor_end(reading, &end, err));
    TRY(progress_slices(progress, end, reading->arena, &slices, err));
    *ret_whole = slices.count > 0;
    for (size_t i = 0; i < slices.count; i++) {
        const TimeSlice *slice = &slices.items[i];
        Delivery delivery = {reading, progress, consumer->each, consumer->context};
        Error why = {0};
        if (!read_slice(reading, partition, slice, progress, deliver, &delivery, &why)) {
            progress->has_newest = false;
            *ret_whole = false;
            TRY(survive(reading, consumer->is_parent, &why, err));
            continue;
        }
        TRY(progress_close(progress, slice, reading->arena, err));
        if (!is_partitioned(reading->stream) && !consumer->is_parent)
            TRY(checkpoint(reading, err));
    }
    return true;
}

static bool read_whole(Consumer *consumer, const Partition *partition, Error *err)
{
    Reading *reading = consumer->reading;
    Delivery delivery = {reading, NULL, consumer->each, consumer->context};
    Error why = {0};
    if (read_slice(reading, partition, NULL, NULL, deliver, &delivery, &why))
        return true;
    return survive(reading, consumer->is_parent, &why, err);
}

static bool begin_partition(Reading *reading, const Partition *partition,
                            PartitionState **ret_state, Error *err)
{
    PartitionState *state = NULL;
    TRY(find_partition(reading, partition->key, &state, err));
    *ret_state = state;
    if (state->seen)
        return true;
    if (!state->has_progress) {
        yyjson_val *from = NULL;
        if (reading->global.size > 0) {
            CLEANUP(buf_done) Buf text = {0};
            yyjson_doc *doc = NULL;
            TRY(buf_append_char(&text, '{', err));
            TRY(json_write_str(reading->stream->cursor.field, &text, err));
            TRY(buf_append_char(&text, ':', err));
            TRY(json_write_str(reading->global, &text, err));
            TRY(buf_append_char(&text, '}', err));
            TRY(json_parse(buf_str(&text), "state", reading->arena, &doc, err));
            from = yyjson_doc_get_root(doc);
        }
        int64_t back = reading->global.size > 0 ? reading->lookback_seconds : 0;
        TRY(progress_init(&state->progress, &reading->stream->cursor, from, back, reading->arena,
                          err));
        state->has_progress = true;
    }
    state->sequence = reading->sequence++;
    return note_parent_state(reading, state->sequence, err);
}

static bool read_partition(void *context, const Partition *partition, Error *err)
{
    Consumer *consumer = context;
    Reading *reading = consumer->reading;
    if (!reading->stream->cursor.exists)
        return read_whole(consumer, partition, err);
    PartitionState *state = NULL;
    TRY(begin_partition(reading, partition, &state, err));
    if (state->seen)
        return true; // the second time in this run
    state->seen = state->is_open = true;
    if (reading->partition_count > SYNC_PARTITIONS_MAX)
        reading->use_global = true;
    bool whole = false;
    TRY(read_time_slices(consumer, partition, &state->progress, &whole, err));
    if (!whole)
        return true;
    state->is_open = false;
    if (!reading->use_global) {
        Str value = {0};
        TRY(progress_value(&state->progress, reading->arena, &value, err));
        raise_global(reading, value);
    }
    (void)release_parent_states(reading);
    return consumer->is_parent || checkpoint_seldom(reading, err);
}

// ------------------------------------------------------------------------ partitions

typedef struct ParentWalk {
    const ParentRouter *parent;
    Reading *reading;           // of the parent
    const Partition *partition; // of the parent
    Arena *arena;
    PartitionFn each;
    void *context;
} ParentWalk;

static bool walk_record(void *context, yyjson_val *record, Error *err)
{
    ParentWalk *walk = context;
    Partition partition = {0};
    bool there = false;
    yyjson_val *above = walk->partition == NULL ? NULL : walk->partition->fields;
    TRY(parent_router_partition(walk->parent, above, record, walk->arena, &partition, &there, err));
    return !there || walk->each(walk->context, &partition, err);
}

static bool read_stream(Consumer *consumer, Error *err);

// Parents are read in the partitions of their own parents, which are not known before.
typedef struct ParentConsumer {
    Consumer consumer; // first: it is what read_partition() gets
    ParentWalk walk;
} ParentConsumer;

static bool read_parent_partition(void *context, const Partition *partition, Error *err)
{
    ParentConsumer *parent = context;
    parent->walk.partition = partition;
    return read_partition(&parent->consumer, partition, err);
}

static bool each_partition(Reading *reading, PartitionFn each, void *context, Error *err);

static bool read_parent(Reading *child, const ParentRouter *router, Reading *parent,
                        PartitionFn each, void *context, Error *err)
{
    ParentConsumer consumer = {.walk = {.parent = router,
                                        .reading = parent,
                                        .arena = child->arena,
                                        .each = each,
                                        .context = context}};
    consumer.consumer = (Consumer){
        .reading = parent, .each = walk_record, .context = &consumer.walk, .is_parent = true};
    TRY(each_partition(parent, read_parent_partition, &consumer, err));
    // Read to its end: what it has seen is its state now.
    if (parent->stream->cursor.exists && is_partitioned(parent->stream) && parent->saw_records)
        parent->global = parent->new_global;
    return true;
}

// The partitions of one router, kept, for a product of several.
typedef struct PartitionList {
    Partition *items;
    size_t count;
    size_t capacity;
    Arena *arena;
} PartitionList;

static bool collect(void *context, const Partition *partition, Error *err)
{
    PartitionList *list = context;
    if (list->count == list->capacity) {
        size_t room = list->capacity == 0 ? 16 : list->capacity * 2;
        Partition *items = arena_alloc_array(list->arena, room, sizeof *items, err);
        TRY(items != NULL);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = room;
    }
    list->items[list->count++] = *partition;
    return true;
}

static bool list_partition(const ListRouter *list, size_t index, Arena *arena,
                           Partition *ret_partition, Error *err)
{
    ValuePair pair = {value_str(list->field), value_item(list->values, index)};
    Value fields = {.kind = VALUE_DICT, .dict = {&pair, 1}};
    Partition partition = {0};
    TRY(record_close(fields, arena, &partition.fields, err));
    CLEANUP(buf_done) Buf key = {0};
    TRY(json_write_canonical(partition.fields, &key, err));
    TRY(arena_copy_str(arena, buf_str(&key), &partition.key, err));
    *ret_partition = partition;
    return true;
}

static bool each_of_router(Reading *reading, const Router *router, Reading **parents,
                           PartitionFn each, void *context, Error *err)
{
    if (router->is_list) {
        for (size_t i = 0; i < value_count(router->list.values); i++) {
            Partition partition = {0};
            TRY(list_partition(&router->list, i, reading->arena, &partition, err));
            TRY(each(context, &partition, err));
        }
        return true;
    }
    for (size_t i = 0; i < router->parent_count; i++)
        TRY(read_parent(reading, &router->parents[i], parents[i], each, context, err));
    return true;
}

static bool merge_fields(yyjson_val *a, yyjson_val *b, Arena *arena, yyjson_val **ret_merged,
                         Error *err)
{
    size_t count = 0, room = yyjson_obj_size(a) + yyjson_obj_size(b), index, size;
    yyjson_val *key, *item;
    ValuePair *pairs = arena_alloc_array(arena, room + 1, sizeof *pairs, err);
    TRY(pairs != NULL);
    yyjson_obj_foreach(a, index, size, key, item)
    {
        pairs[count++] = (ValuePair){value_json(key), value_json(item)};
    }
    yyjson_obj_foreach(b, index, size, key, item)
    {
        if (json_get(a, json_str(key)) == NULL)
            pairs[count++] = (ValuePair){value_json(key), value_json(item)};
    }
    Value merged = {.kind = VALUE_DICT, .dict = {pairs, count}};
    return record_close(merged, arena, ret_merged, err);
}

static bool merge_partitions(const Partition *a, const Partition *b, Arena *arena,
                             Partition *ret_partition, Error *err)
{
    Partition partition = {0};
    TRY(merge_fields(a->fields, b->fields, arena, &partition.fields, err));
    if (a->extra != NULL || b->extra != NULL)
        TRY(merge_fields(a->extra, b->extra, arena, &partition.extra, err));
    CLEANUP(buf_done) Buf key = {0};
    TRY(json_write_canonical(partition.fields, &key, err));
    TRY(arena_copy_str(arena, buf_str(&key), &partition.key, err));
    *ret_partition = partition;
    return true;
}

static bool each_product(Reading *reading, const PartitionList *lists, size_t depth,
                         const Partition *above, PartitionFn each, void *context, Error *err)
{
    if (depth == reading->stream->router_count)
        return each(context, above, err);
    for (size_t i = 0; i < lists[depth].count; i++) {
        Partition partition = lists[depth].items[i];
        if (above != NULL)
            TRY(merge_partitions(above, &lists[depth].items[i], reading->arena, &partition, err));
        TRY(each_product(reading, lists, depth + 1, &partition, each, context, err));
    }
    return true;
}

static bool each_partition(Reading *reading, PartitionFn each, void *context, Error *err)
{
    const Stream *stream = reading->stream;
    if (!is_partitioned(stream)) {
        Consumer *consumer = context;
        if (!stream->cursor.exists)
            return read_whole(consumer, NULL, err);
        bool whole = false;
        return read_time_slices(consumer, NULL, &reading->progress, &whole, err);
    }
    if (stream->router_count == 1)
        return each_of_router(reading, &stream->routers[0], reading->parents, each, context, err);
    PartitionList *lists =
        arena_alloc_array(reading->arena, stream->router_count, sizeof *lists, err);
    TRY(lists != NULL);
    Reading **parents = reading->parents;
    for (size_t i = 0; i < stream->router_count; i++) {
        lists[i].arena = reading->arena;
        TRY(each_of_router(reading, &stream->routers[i], parents, collect, &lists[i], err));
        parents += stream->routers[i].parent_count;
    }
    return each_product(reading, lists, 0, NULL, each, context, err);
}

// ------------------------------------------------------------------------ the stream

static bool to_host(void *context, yyjson_val *record, Error *err)
{
    const Reading *reading = context;
    const SyncHost *host = reading->sync->host;
    return host->record(host->state, reading->stream, record, err);
}

static bool read_stream(Consumer *consumer, Error *err)
{
    Reading *reading = consumer->reading;
    Error why = {0};
    if (each_partition(reading, read_partition, consumer, &why))
        return true;
    return survive(reading, false, &why, err);
}

static bool finish(Reading *reading, Error *err)
{
    if (reading->stream->cursor.exists && is_partitioned(reading->stream) && !reading->is_open) {
        Env *env = reading->sync->host->env;
        if (reading->saw_records) {
            int64_t took = env->monotonic_us(env->state) - reading->started_us;
            reading->global = reading->new_global;
            reading->lookback_seconds = (took + US_PER_SECOND - 1) / US_PER_SECOND;
        }
        TRY(parents_text(reading, &reading->parent_state, err));
    }
    return checkpoint(reading, err);
}

bool sync_stream(const Connector *connector, const Stream *stream, yyjson_val *state,
                 const SyncHost *host, Error *err)
{
    TRY(stream_check(stream, err));
    CLEANUP(arena_freep) Arena *cache = arena_new(SYNC_CACHE_BYTES_MAX * (size_t)2, err);
    TRY(cache != NULL);
    Sync sync = {.connector = connector, .host = host, .cache_arena = cache};
    CLEANUP(reading_freep) Reading *reading = NULL;
    TRY(open_reading(&sync, stream, state, &reading, err));
    Consumer consumer = {.reading = reading, .each = to_host, .context = reading};
    TRY(read_stream(&consumer, err));
    TRY(finish(reading, err));
    if (reading->failure.code == ERROR_NONE)
        return true;
    *err = reading->failure;
    return false;
}
