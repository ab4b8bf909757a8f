#include "connector/reading.h"

typedef bool (*PartitionFn)(void *context, const Partition *partition, Error *err);

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
    return reading_observe(delivery->reading, delivery->progress, record, err);
}

// A failed slice of the stream asked for is remembered, and the next one read; a parent's ends all.
static bool survive(Reading *reading, bool is_parent, Error *why, Error *err)
{
    reading->is_open = true;
    if (is_parent || why->code == ERROR_STOPPED || why->code == ERROR_LIMIT) {
        *err = *why;
        return false;
    }
    reading_say(reading->sync, "ERROR", str_from(why->message));
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
    TRY(reading_cursor_end(reading, &end, err));
    TRY(progress_slices(progress, end, reading->arena, &slices, err));
    *ret_whole = slices.count > 0;
    for (size_t i = 0; i < slices.count; i++) {
        const TimeSlice *slice = &slices.items[i];
        Delivery delivery = {reading, progress, consumer->each, consumer->context};
        Error why = {0};
        if (!reading_read_slice(reading, partition, slice, progress, deliver, &delivery, &why)) {
            progress->has_newest = false;
            *ret_whole = false;
            TRY(survive(reading, consumer->is_parent, &why, err));
            continue;
        }
        TRY(progress_close(progress, slice, reading->arena, err));
        if (!reading_is_partitioned(reading->stream) && !consumer->is_parent)
            TRY(reading_checkpoint(reading, err));
    }
    return true;
}

static bool read_whole(Consumer *consumer, const Partition *partition, Error *err)
{
    Reading *reading = consumer->reading;
    Delivery delivery = {reading, NULL, consumer->each, consumer->context};
    Error why = {0};
    if (reading_read_slice(reading, partition, NULL, NULL, deliver, &delivery, &why))
        return true;
    return survive(reading, consumer->is_parent, &why, err);
}

static bool begin_partition(Reading *reading, const Partition *partition,
                            PartitionState **ret_state, Error *err)
{
    PartitionState *state = NULL;
    TRY(reading_find_partition(reading, partition->key, &state, err));
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
    return reading_note_parents(reading, state->sequence, err);
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
        reading_raise_global(reading, value);
    }
    reading_release_parents(reading);
    return consumer->is_parent || reading_checkpoint_seldom(reading, err);
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
    if (parent->stream->cursor.exists && reading_is_partitioned(parent->stream) &&
        parent->saw_records)
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

// The members of both; of equal ones those of `a`.
static bool merge_fields(yyjson_val *a, yyjson_val *b, Arena *arena, yyjson_val **ret_merged,
                         Error *err)
{
    size_t count = 0, index, size;
    yyjson_val *key, *item;
    if (a == NULL || b == NULL) {
        *ret_merged = a == NULL ? b : a;
        return true;
    }
    size_t room = yyjson_obj_size(a) + yyjson_obj_size(b);
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
    if (!reading_is_partitioned(stream)) {
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
    if (reading->stream->cursor.exists && reading_is_partitioned(reading->stream) &&
        !reading->is_open) {
        Env *env = reading->sync->host->env;
        if (reading->saw_records) {
            int64_t took = env->monotonic_us(env->state) - reading->started_us;
            reading->global = reading->new_global;
            reading->lookback_seconds = (took + US_PER_SECOND - 1) / US_PER_SECOND;
        }
        TRY(reading_parents_text(reading, &reading->parent_state, err));
    }
    return reading_checkpoint(reading, err);
}

bool sync_stream(const Connector *connector, const Stream *stream, yyjson_val *state,
                 const SyncHost *host, Error *err)
{
    TRY(stream_check(stream, err));
    CLEANUP(arena_freep) Arena *cache = arena_new(SYNC_CACHE_BYTES_MAX * (size_t)2, err);
    TRY(cache != NULL);
    Sync sync = {.connector = connector, .host = host, .cache_arena = cache};
    CLEANUP(reading_freep) Reading *reading = NULL;
    TRY(reading_open(&sync, stream, state, &reading, err));
    Consumer consumer = {.reading = reading, .each = to_host, .context = reading};
    TRY(read_stream(&consumer, err));
    TRY(finish(reading, err));
    if (reading->failure.code == ERROR_NONE)
        return true;
    *err = reading->failure;
    return false;
}
