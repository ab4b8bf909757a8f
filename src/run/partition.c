#include "run/partition.h"

enum {
    LEVELS_MAX = 8,
    PAGE_ARENA_BYTES = 1024 * 1024 * 1024,
    REQUEST_ARENA_BYTES = 1024 * 1024,
    FIRST = 64
};

static bool discover(const DiscoverOptions *options, PlanStream *stream, int level, Error *err);

// Partitions as they are found, with a hash table over their keys: places + 1, 0 = free.
typedef struct Found {
    PlanStream *stream;
    size_t capacity;
    uint32_t *table; // twice the capacity, a power of two
    // Partitions in a time zone that is unknown here, and the first of them.
    size_t zoneless;
    Str zone_name, zoneless_value;
} Found;

static uint32_t *place_of(const Found *found, Str key)
{
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    const size_t mask = 2 * found->capacity - 1;
    size_t i = (size_t)(hash ^ (hash >> 32)) & mask;
    while (found->table[i] != 0 &&
           !str_equal(found->stream->partitions[found->table[i] - 1].partition.key, key))
        i = (i + 1) & mask;
    return &found->table[i];
}

static bool grow(Found *found, Arena *arena, Error *err)
{
    PlanStream *stream = found->stream;
    const size_t room = found->capacity == 0 ? FIRST : found->capacity * 2;
    PlanPartition *all = arena_alloc_array(arena, room, sizeof(*all), err);
    uint32_t *table = arena_alloc_array(arena, 2 * room, sizeof(*table), err);
    TRY(all != NULL && table != NULL);
    if (stream->partition_count > 0)
        memcpy(all, stream->partitions, stream->partition_count * sizeof(*all));
    stream->partitions = all;
    found->capacity = room;
    found->table = table;
    for (size_t i = 0; i < stream->partition_count; i++)
        *place_of(found, all[i].partition.key) = (uint32_t)i + 1;
    return true;
}

static bool add_partition(const DiscoverOptions *options, Found *found,
                          const PlanPartition *partition, Error *err)
{
    PlanStream *stream = found->stream;
    if (stream->partition_count == PLAN_PARTITIONS_MAX)
        return error_set(err, ERROR_LIMIT, STR_FMT ": more than %d partitions",
                         STR_ARG(stream_name(stream->stream)), PLAN_PARTITIONS_MAX);
    if (stream->partition_count == found->capacity)
        TRY(grow(found, options->arena, err));
    stream->partitions[stream->partition_count] = *partition;
    *place_of(found, partition->partition.key) = (uint32_t)++stream->partition_count;
    return true;
}

static bool is_known(const Found *found, Str key)
{
    return found->capacity > 0 && *place_of(found, key) != 0;
}

// As the job translates it. A name that is unknown here leaves the job's own zone, with an empty
// name.
static bool try_zone(const DiscoverOptions *options, const JobPartition *said, yyjson_val *name,
                     PlanPartition *partition, Str *ret_unknown, Error *err)
{
    const Str zone = job_partition_zone(said, json_str(name));
    if (plan_bind_zone(options->job, zone, options->arena, partition, err))
        return true;
    if (ret_unknown->size == 0)
        *ret_unknown = zone;
    if (err->code != ERROR_NOT_FOUND)
        return false;
    *err = (Error){0};
    return true;
}

// Where the parent's record names the zone of the partition it stands for, or else its own.
// *ret_unknown: what it says where that is no zone.
static bool bind_zone(const DiscoverOptions *options, const JobPartition *said, Str parent_zone,
                      yyjson_val *record, PlanPartition *partition, Str *ret_unknown, Error *err)
{
    static const Str usual[] = {
        {"/time_zone", 10}, {"/timezone", 9}, {"/tz", 3}, {"/timezone_hint", 14}};
    *ret_unknown = (Str){0};
    if (said->timezone_from.size > 0)
        return try_zone(options, said, json_pointer(record, said->timezone_from), partition,
                        ret_unknown, err);
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && partition->zone_name.size == 0; i++)
        TRY(try_zone(options, said, json_pointer(record, usual[i]), partition, ret_unknown, err));
    if (partition->zone_name.size > 0)
        *ret_unknown = (Str){0};
    return partition->zone_name.size > 0 || ret_unknown->size > 0 ||
           plan_bind_zone(options->job, parent_zone, options->arena, partition, err);
}

static bool take_record(const DiscoverOptions *options, Found *found, const PlanPartition *parent,
                        yyjson_val *record, Error *err)
{
    const PlanStream *stream = found->stream;
    PlanPartition partition = {0};
    bool ok = false;
    TRY(stream_partition_from_record(stream->stream, &parent->partition, record, options->arena,
                                     &partition.partition, &ok, err));
    if (!ok || is_known(found, partition.partition.key))
        return true;
    const Str field = stream_partition_field(stream->stream);
    const JobPartition *said = job_find_partition(options->job, field);
    Str unknown = {0};
    TRY(plan_bind_partition(options->job, stream->stream, STR(""), options->arena, &partition,
                            err) &&
        bind_zone(options, said, parent->zone_name, record, &partition, &unknown, err));
    const bool outermost = stream_parent(stream_parent(stream->stream)) == NULL;
    if (!job_partition_admits(said, partition.value) ||
        (outermost && options->only_value.size > 0 &&
         !str_equal(options->only_value, partition.value)))
        return true;
    if (unknown.size > 0 && found->zoneless++ == 0)
        TRY(arena_copy_str(options->arena, unknown, &found->zone_name, err) &&
            arena_copy_str(options->arena, partition.value, &found->zoneless_value, err));
    return add_partition(options, found, &partition, err);
}

// One parent slice, all its pages.
typedef struct ParentRead {
    const DiscoverOptions *options;
    const PlanStream *parent;
    const PlanSlice *slice;
    Found *found;
    Arena *page_arena;
    Arena *request_arena;
} ParentRead;

static bool understand(ParentRead *read, PageReader *reader, const HttpExchange *exchange,
                       int64_t *attempts, bool *ret_again, bool *ret_end, Error *err)
{
    PageOutcome outcome = {0};
    arena_reset(read->page_arena);
    TRY(page_reader_answer(reader, &exchange->response, read->page_arena, &outcome, err));
    const PlanPartition *parent = &read->parent->partitions[read->slice->partition];
    *ret_again = outcome.verdict == PAGE_RETRY || outcome.verdict == PAGE_LIMITED;
    *ret_end = outcome.verdict == PAGE_IGNORED;
    if (*ret_again && ++*attempts < read->options->job->retry.attempts) {
        Env *env = read->options->env;
        RetryWait wait = {0};
        TRY(fetch_retry_wait(&read->options->job->retry, *attempts, &outcome, &exchange->response,
                             env, &wait, err));
        return env_wait(env, wait.us, err);
    }
    if (*ret_again)
        return error_set(err, ERROR_IO, STR_FMT " (status %d, tried %lld times)",
                         STR_ARG(outcome.reason), exchange->response.status, (long long)*attempts);
    if (outcome.verdict == PAGE_FAILED || outcome.verdict == PAGE_DENIED)
        return error_set(err, outcome.verdict == PAGE_DENIED ? ERROR_ACCESS : ERROR_DATA,
                         STR_FMT " (status %d)", STR_ARG(outcome.reason),
                         exchange->response.status);
    for (size_t i = 0; i < outcome.record_count; i++)
        TRY(take_record(read->options, read->found, parent, outcome.records[i], err));
    return true;
}

static bool read_parent(ParentRead *read, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(arena != NULL);
    const Window window = {.from_us = read->slice->from_us, .to_us = read->slice->to_us};
    const PlanPartition *parent = &read->parent->partitions[read->slice->partition];
    CLEANUP(page_reader_freep) PageReader *reader = NULL;
    TRY(page_reader_new(read->parent->stream, &parent->partition,
                        read->parent->cursor.exists ? &window : NULL, arena, &reader, err));
    HttpRequest request = {0};
    bool again = false;
    bool end = false;
    for (int64_t attempts = 0; !end;) {
        bool more = true;
        if (!again) {
            arena_reset(read->request_arena);
            request = (HttpRequest){0};
            attempts = 0;
            TRY(page_reader_request(reader, read->request_arena, &request, &more, err));
        }
        if (!more)
            return true;
        AnswerCache *cache = read->options->cache;
        const Stream *parent_stream = read->parent->stream;
        CLEANUP(http_exchange_freep) HttpExchange *fresh = NULL;
        const HttpExchange *answer = answer_cache_find(cache, parent_stream, &request);
        if (answer == NULL) {
            TRY(fetch_exchange(read->options->fetch, parent_stream, &request, &fresh, err));
            answer = fresh;
        }
        TRY(understand(read, reader, answer, &attempts, &again, &end, err));
        if (fresh != NULL && !again)
            TRY(answer_cache_keep(cache, parent_stream, &request, &fresh, err));
    }
    return true;
}

// Days that are cut in another zone than the source's hold other rows than it shows of them: what
// lies at their ends would seem to have vanished. Where the job says itself where the zone stands,
// that is an error; a member that only looks like a zone is told.
static bool judge_zones(const DiscoverOptions *options, const Found *found, Error *err)
{
    if (found->zoneless == 0)
        return true;
    const Stream *stream = found->stream->stream;
    const Str field = stream_partition_field(stream);
    Str text = {0};
    TRY(arena_printf(options->arena, &text, err,
                     "%zu of %zu " STR_FMT " are in a time zone that is unknown here, " STR_FMT
                     " in '" STR_FMT "': name the IANA zone under /partitions/" STR_FMT
                     "/timezones of the job, or install tzdata",
                     found->zoneless, found->stream->partition_count, STR_ARG(field),
                     STR_ARG(found->zoneless_value), STR_ARG(found->zone_name), STR_ARG(field)));
    if (job_find_partition(options->job, field)->timezone_from.size > 0)
        return error_set(err, ERROR_JOB, STR_FMT ": " STR_FMT, STR_ARG(stream_name(stream)),
                         STR_ARG(text));
    Event event = {.kind = EVENT_ZONES_UNKNOWN, EVENT_NONE};
    event.at_us = options->env->now_us(options->env->state);
    event.stream = stream_name(stream);
    event.total = (int64_t)found->zoneless;
    TRY(arena_printf(options->arena, &event.text, err,
                     STR_FMT "; until then their days are cut in the job's own", STR_ARG(text)));
    options->sink->emit(options->sink->state, &event);
    return true;
}

static bool read_parents(const DiscoverOptions *options, PlanStream *parent, PlanStream *stream,
                         Error *err)
{
    CLEANUP(arena_freep) Arena *page_arena = arena_new(PAGE_ARENA_BYTES, err);
    CLEANUP(arena_freep) Arena *request_arena = arena_new(REQUEST_ARENA_BYTES, err);
    TRY(page_arena != NULL && request_arena != NULL);
    Found found = {.stream = stream};
    for (size_t i = 0; i < parent->slice_count; i++) {
        ParentRead read = {.options = options,
                           .parent = parent,
                           .slice = &parent->slices[i],
                           .found = &found,
                           .page_arena = page_arena,
                           .request_arena = request_arena};
        TRY(env_check_stop(options->env, err));
        if (read_parent(&read, err))
            continue;
        const PlanPartition *partition = &parent->partitions[parent->slices[i].partition];
        const Str name = stream_name(parent->stream);
        if (partition->value.size > 0)
            (void)error_context(err, STR_FMT " of '" STR_FMT "'", STR_ARG(name),
                                STR_ARG(partition->value));
        else
            (void)error_context(err, STR_FMT, STR_ARG(name));
        // Refused for one partition of several: the others go on.
        if (err->code != ERROR_ACCESS || parent->partition_count == 1)
            return false;
        Event event = {.kind = EVENT_PARTITION_FAILED, EVENT_NONE};
        event.at_us = options->env->now_us(options->env->state);
        event.stream = stream_name(stream->stream);
        event.partition = partition->value;
        event.text = str_from(err->message);
        options->sink->emit(options->sink->state, &event);
        *err = (Error){0};
    }
    return judge_zones(options, &found, err);
}

// NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX bounds the depth
static bool discover_by_parent(const DiscoverOptions *options, PlanStream *stream, int level,
                               Error *err)
{
    PlanStream parent = {.stream = stream_parent(stream->stream)};
    plan_bind_cursor(&parent);
    TRY(discover(options, &parent, level + 1, err));
    Plan plan = *options->plan;
    // A parent is always read as a first reading would be: what matters is which partitions there
    // are now, not which of its own windows are due.
    const PlanKnowledge nothing = {0};
    if (plan.mode == MODE_REHYDRATION)
        plan.mode = MODE_INCREMENTAL;
    TRY(plan_slices(options->job, &plan, &parent, &nothing,
                    options->env->now_us(options->env->state), options->arena, err));
    return read_parents(options, &parent, stream, err);
}

// NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX bounds the depth
static bool discover(const DiscoverOptions *options, PlanStream *stream, int level, Error *err)
{
    if (level > LEVELS_MAX)
        return error_set(err, ERROR_JOB, STR_FMT ": parents nested deeper than %d levels",
                         STR_ARG(stream_name(stream->stream)), LEVELS_MAX);
    stream->partition_count = 0;
    if (stream_parent(stream->stream) != NULL)
        return discover_by_parent(options, stream, level, err);
    Found found = {.stream = stream};
    PlanPartition whole = {0};
    TRY(stream_partition_from_key(stream->stream, STR("{}"), options->arena, &whole.partition,
                                  err));
    TRY(plan_bind_partition(options->job, stream->stream, STR(""), options->arena, &whole, err));
    return add_partition(options, &found, &whole, err);
}

bool partition_discover(const DiscoverOptions *options, PlanStream *stream, Error *err)
{
    TRY(discover(options, stream, 0, err));
    Event event = {.kind = EVENT_PARTITIONS_FOUND, EVENT_NONE};
    event.at_us = options->env->now_us(options->env->state);
    event.stream = stream_name(stream->stream);
    event.total = (int64_t)stream->partition_count;
    options->sink->emit(options->sink->state, &event);
    return true;
}

bool partition_check_named(const PlanStream *streams, size_t count, Str account, Error *err)
{
    if (account.size == 0)
        return true;
    bool parted = false; // a stream that has no accounts is read as a whole
    for (size_t i = 0; i < count; i++) {
        if (stream_parent(streams[i].stream) == NULL)
            continue;
        parted = true;
        if (streams[i].partition_count > 0)
            return true;
    }
    if (!parted)
        return true;
    return error_set(err, ERROR_NOT_FOUND,
                     "no stream of this run has an account '" STR_FMT
                     "': is it spelt so, visible to this credential, and admitted by the job's "
                     "partitions?",
                     STR_ARG(account));
}

bool partition_check_any(const PlanStream *stream, const PlanKnowledge *knowledge, Error *err)
{
    const Stream *parent = stream_parent(stream->stream);
    if (stream->partition_count > 0 || parent == NULL || stream_parent(parent) != NULL)
        return true;
    size_t before = 0;
    for (size_t i = 0; i < knowledge->watermark_count; i++)
        before += str_equal(knowledge->watermarks[i].stream, stream_name(stream->stream)) ? 1 : 0;
    if (before == 0)
        return true;
    return error_set(err, ERROR_DATA,
                     STR_FMT
                     ": the source shows not one " STR_FMT ", where %zu were read before: is "
                     "the credential the right one, and does the job's 'partitions' admit any?",
                     STR_ARG(stream_name(stream->stream)),
                     STR_ARG(stream_partition_field(stream->stream)), before);
}
