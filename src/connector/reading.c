#include "connector/reading.h"

#include <math.h>

enum { TABLE_FIRST = 64 };

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

void reading_freep(Reading **reading)
{
    reading_free(*reading);
}

bool reading_is_partitioned(const Stream *stream)
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
    PartitionState **list = arena_alloc_array(reading->arena, room, sizeof(PartitionState *), err);
    TRY(list != NULL);
    if (reading->partition_count > 0)
        memcpy(list, reading->partitions, reading->partition_count * sizeof(PartitionState *));
    reading->partitions = list;
    reading->partition_capacity = room;
    reading->table_size = room * 2;
    reading->table = arena_alloc_array(reading->arena, reading->table_size, sizeof(size_t), err);
    TRY(reading->table != NULL);
    for (size_t i = 0; i < reading->partition_count; i++)
        *table_slot(reading, list[i]->key) = i + 1;
    return true;
}

bool reading_find_partition(Reading *reading, Str key, PartitionState **ret_state, Error *err)
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
    TRY(reading_find_partition(reading, buf_str(&key), &state, err));
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
    if (yyjson_is_num(lookback) && fabs(yyjson_get_num(lookback)) < 1e12)
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
    if (!reading_is_partitioned(stream))
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
            TRY(reading_open(reading->sync, parent->stream, parent_state_of(parent, reading->state),
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
        *arenas[i] = arena_new(SYNC_PAGE_BYTES_MAX, err);
        TRY(*arenas[i] != NULL);
    }
    TRY(open_auth(reading, err));
    TRY(load_state(reading, err));
    return open_parents(reading, err);
}

bool reading_open(Sync *sync, const Stream *stream, yyjson_val *state, Reading **ret_reading,
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
    if (reading_is_partitioned(reading->stream))
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

bool reading_parents_text(const Reading *reading, Str *ret_text, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(write_parents(reading, &text, err));
    *ret_text = (Str){NULL, 0};
    return text.size == 0 || arena_copy_str(reading->arena, buf_str(&text), ret_text, err);
}

bool reading_checkpoint(Reading *reading, Error *err)
{
    const SyncHost *host = reading->sync->host;
    CLEANUP(buf_done) Buf json = {0};
    TRY(write_state(reading, &json, err));
    return host->checkpoint(host->state, reading->stream, buf_str(&json), err);
}

bool reading_checkpoint_seldom(Reading *reading, Error *err)
{
    Env *env = reading->sync->host->env;
    int64_t now = env->now_us(env->state);
    if (reading->emitted_us != INT64_MIN && now - reading->emitted_us <= 600 * US_PER_SECOND)
        return true;
    reading->emitted_us = now;
    if (reading->use_global && reading->parent_state.size <= 2)
        return true;
    return reading_checkpoint(reading, err);
}

void reading_raise_global(Reading *reading, Str value)
{
    if (reading->new_global.size == 0 || str_compare(reading->new_global, value) < 0)
        reading->new_global = value;
}

bool reading_observe(Reading *reading, Progress *progress, yyjson_val *record, Error *err)
{
    arena_reset(reading->scratch);
    if (progress == NULL)
        return true;
    const TimeCursor *cursor = &reading->stream->cursor;
    progress_observe(progress, record, reading->scratch);
    Instant at = {0};
    if (!reading_is_partitioned(reading->stream) || !yyjson_is_obj(record) ||
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
void reading_release_parents(Reading *reading)
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
}

bool reading_note_parents(Reading *reading, size_t sequence, Error *err)
{
    Str json = {NULL, 0};
    TRY(reading_parents_text(reading, &json, err));
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
