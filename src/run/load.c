#include "run/load.h"

#include "run/lake.h"
#include "run/load_vanished.h"
#include "run/match.h"
#include "run/slice_rows.h"

#include <assert.h>
#include <stdlib.h>

enum { LOAD_ARENA_BYTES = 256 * 1024 * 1024 };

// Of limits.memory: what pages under way need, and a warehouse may have once there are none.
enum { READING_SHARE_PERCENT = 25 };

typedef enum Fate {
    FATE_UNKNOWN,
    FATE_NEW,
    FATE_CHANGED,
    FATE_UNCHANGED, // or older than what is stored, or of a slice that a later reading overtook
    FATE_DOUBLED,   // a later row of this load has the same key
} Fate;

bool load_ends_before(const LoadBounds *bounds, int64_t rows, uint64_t bytes, int64_t more)
{
    const int64_t unit = bounds->rows_unit;
    if (unit == 0 || rows == 0 || rows % unit + more <= unit)
        return false;
    const uint64_t unit_bytes = bytes / (uint64_t)rows * (uint64_t)unit;
    return rows + unit > bounds->rows_max || bytes + unit_bytes > bounds->bytes_max;
}

bool load_task_new(const SliceContext *context, const PlanStream *stream, uint32_t ordinal,
                   size_t slice_count, LoadTask **ret_task, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LOAD_ARENA_BYTES, err);
    TRY(arena != NULL);
    LoadTask *task = arena_alloc(arena, sizeof(*task), err);
    TRY(task != NULL);
    *task = (LoadTask){
        .context = context, .stream = stream, .ordinal = ordinal, .slice_count = slice_count};
    task->slices = arena_alloc_array(arena, slice_count + 1, sizeof(SliceTask *), err);
    task->confirmations = arena_alloc_array(arena, slice_count + 1, sizeof(SliceTask *), err);
    task->wants_confirmation = arena_alloc_array(arena, slice_count + 1, sizeof(bool), err);
    task->next_readings = arena_alloc_array(arena, slice_count + 1, sizeof(uint32_t), err);
    task->confirmed = arena_alloc_array(arena, slice_count + 1, sizeof(uint32_t), err);
    TRY(task->slices != NULL && task->confirmations != NULL && task->wants_confirmation != NULL &&
        task->next_readings != NULL && task->confirmed != NULL);
    task->arena = arena;
    arena = NULL;
    *ret_task = task;
    return true;
}

void load_task_free(LoadTask *task)
{
    if (task == NULL)
        return;
    for (size_t i = 0; i < task->slice_count; i++) {
        slice_free(task->slices[i]);
        slice_free(task->confirmations[i]);
    }
    log_book_free(task->log);
    arena_free(task->arena); // holds the task itself
}

// SHA-256 over the checksums of all pages of all slices in order: what the ledger keeps of the
// content.
static Sha256 load_checksum(const LoadTask *task)
{
    Error err = {0};
    CLEANUP(hasher_done) Hasher hasher = {0};
    if (!hasher_init(&hasher, &err))
        return (Sha256){0};
    hasher_start(&hasher);
    for (size_t i = 0; i < task->slice_count; i++) {
        const SliceManifest *manifest = &task->slices[i]->manifest;
        for (uint32_t page = 0; page < manifest->page_count; page++)
            hasher_add(&hasher,
                       (Str){(const char *)manifest->pages[page].page_sha256.bytes, SHA256_BYTES});
    }
    return hasher_finish(&hasher);
}

// --- rows of a load, flat

// Where row `row` of batch `batch` stands among all rows of the load, and what becomes of it.
typedef struct LoadRows {
    ShapedBatch **batches;
    size_t *first;      // index of each batch's first row
    uint32_t *slice_of; // of each batch: index into task->slices
    size_t batch_count;
    size_t count;
    unsigned char *fates; // Fate of each row
} LoadRows;

static bool gather(LoadTask *task, LoadRows *rows, Error *err)
{
    size_t batches = 0;
    for (size_t i = 0; i < task->slice_count; i++)
        batches += task->slices[i]->batch_count;
    rows->batches = arena_alloc_array(task->arena, batches + 1, sizeof(ShapedBatch *), err);
    rows->first = arena_alloc_array(task->arena, batches + 1, sizeof(size_t), err);
    rows->slice_of = arena_alloc_array(task->arena, batches + 1, sizeof(uint32_t), err);
    TRY(rows->batches != NULL && rows->first != NULL && rows->slice_of != NULL);
    for (size_t i = 0; i < task->slice_count; i++) {
        for (size_t k = 0; k < task->slices[i]->batch_count; k++) {
            ShapedBatch *batch = task->slices[i]->batches[k];
            rows->batches[rows->batch_count] = batch;
            rows->first[rows->batch_count] = rows->count;
            rows->slice_of[rows->batch_count++] = (uint32_t)i;
            rows->count += batch->rows;
        }
    }
    rows->fates = arena_alloc(task->arena, rows->count + 1, err);
    return rows->fates != NULL;
}

// An open-addressing table from key to the row that counts so far.
typedef struct KeyTable {
    const Key128 **keys;
    uint32_t *rows;
    int64_t *fetched_us;
    size_t mask;
} KeyTable;

static bool table_new(KeyTable *table, size_t count, Arena *arena, Error *err)
{
    size_t room = 16;
    while (room < count * 2)
        room *= 2;
    table->mask = room - 1;
    table->keys = arena_alloc_array(arena, room, sizeof(Key128 *), err);
    table->rows = arena_alloc_array(arena, room, sizeof(uint32_t), err);
    table->fetched_us = arena_alloc_array(arena, room, sizeof(int64_t), err);
    return table->keys != NULL && table->rows != NULL && table->fetched_us != NULL;
}

// The slot of a key: its own, or the free one where it belongs. Keys are already uniformly
// distributed.
static size_t table_slot(const KeyTable *table, const Key128 *key)
{
    uint64_t hash = 0;
    memcpy(&hash, key->bytes, sizeof(hash));
    size_t slot = (size_t)hash & table->mask;
    while (table->keys[slot] != NULL && memcmp(table->keys[slot], key, sizeof(*key)) != 0)
        slot = (slot + 1) & table->mask;
    return slot;
}

// Of several rows with one key the freshest counts; among equally fresh ones the last (page,
// index).
static bool drop_doubles(LoadTask *task, LoadRows *rows, Error *err)
{
    KeyTable table = {0};
    TRY(table_new(&table, rows->count, task->arena, err));
    for (size_t b = 0; b < rows->batch_count; b++) {
        const ShapedBatch *batch = rows->batches[b];
        if (batch->rows > 0 && rows->fates[rows->first[b]] == FATE_UNCHANGED) {
            task->distinct += (int64_t)batch->rows; // a slice that was overtaken
            task->unchanged += (int64_t)batch->rows;
            continue;
        }
        for (size_t i = 0; i < batch->rows; i++) {
            const uint32_t row = (uint32_t)(rows->first[b] + i);
            const size_t slot = table_slot(&table, &batch->keys[i]);
            if (table.keys[slot] == NULL) {
                task->distinct++;
            } else if (batch->fetched_us[i] < table.fetched_us[slot]) {
                rows->fates[row] = FATE_DOUBLED;
                continue;
            } else {
                rows->fates[table.rows[slot]] = FATE_DOUBLED;
            }
            table.keys[slot] = &batch->keys[i];
            table.rows[slot] = row;
            table.fetched_us[slot] = batch->fetched_us[i];
        }
    }
    return true;
}

static void skip_overtaken(LoadTask *task, LoadRows *rows, const LoadSlice *slices)
{
    for (size_t i = 0; i < task->slice_count; i++)
        task->outrun = task->outrun || slices[i].skipped;
    for (size_t b = 0; b < rows->batch_count; b++) {
        if (slices[rows->slice_of[b]].skipped)
            memset(rows->fates + rows->first[b], FATE_UNCHANGED, rows->batches[b]->rows);
    }
}

static Fate fate_of(const ShapedBatch *batch, size_t i, const MatchedRow *stored, bool rewrites)
{
    if (!stored->found)
        return FATE_NEW;
    if (batch->fetched_us[i] < stored->fetched_us)
        return FATE_UNCHANGED;
    if (!rewrites && !stored->deleted &&
        memcmp(&batch->hashes[i], &stored->hash, sizeof(Key128)) == 0)
        return FATE_UNCHANGED;
    return FATE_CHANGED;
}

static bool is_outrun(const ShapedBatch *batch, size_t i, const MatchedRow *stored)
{
    return stored->found && batch->fetched_us[i] < stored->fetched_us &&
           (stored->deleted || memcmp(&batch->hashes[i], &stored->hash, sizeof(Key128)) != 0);
}

// Asks the warehouse once for all keys that are still in question.
static bool decide(LoadTask *task, LoadRows *rows, Warehouse *warehouse, Error *err)
{
    Key128 *keys = arena_alloc_array(task->arena, rows->count + 1, sizeof(*keys), err);
    MatchedRow *stored = arena_alloc_array(task->arena, rows->count + 1, sizeof(*stored), err);
    TRY(keys != NULL && stored != NULL);
    size_t count = 0;
    for (size_t b = 0; b < rows->batch_count; b++) {
        for (size_t i = 0; i < rows->batches[b]->rows; i++) {
            if (rows->fates[rows->first[b] + i] == FATE_UNKNOWN)
                keys[count++] = rows->batches[b]->keys[i];
        }
    }
    if (count > 0)
        TRY(warehouse->driver->load_match(warehouse->state, keys, count, stored, err));
    const int64_t now_us = task->context->env->now_us(task->context->env->state);
    size_t next = 0;
    for (size_t b = 0; b < rows->batch_count; b++) {
        for (size_t i = 0; i < rows->batches[b]->rows; i++) {
            unsigned char *fate = &rows->fates[rows->first[b] + i];
            if (*fate != FATE_UNKNOWN)
                continue;
            const MatchedRow *match = &stored[next++];
            *fate =
                (unsigned char)fate_of(rows->batches[b], i, match, task->context->plan->rewrites);
            if (is_outrun(rows->batches[b], i, match)) {
                task->outrun = true;
                TRY(plan_is_replay(task->context->plan) ||
                    plan_check_clock("row", match->fetched_us, now_us, err));
            }
            task->inserted += *fate == FATE_NEW ? 1 : 0;
            task->updated += *fate == FATE_CHANGED ? 1 : 0;
            task->unchanged += *fate == FATE_UNCHANGED ? 1 : 0;
        }
    }
    return true;
}

// --- handing rows over

typedef struct Feed {
    LoadTask *task;
    LoadRows *rows;
    size_t next;
    uint32_t *selected;
    bool *replaces;
    size_t room;
    ShapedBatch *given; // handed out last
} Feed;

// Of this row's slice no more may be known than keys and hashes, because its page was there before:
// but the warehouse holds something else by now. So it may with the pages to come.
static bool feed_shape(Feed *feed, size_t b, Error *err)
{
    LoadTask *task = feed->task;
    if (!feed->rows->batches[b]->keys_only)
        return true;
    SliceTask *slice = task->slices[feed->rows->slice_of[b]];
    assert(task->worker != NULL);
    atomic_store(task->context->knows_rows, false);
    if (slice_shape_again(slice, task->worker, err))
        return true;
    char name[SLICE_TEXT_BYTES];
    match_name_slice(slice, name);
    return error_context(err, "%s", name);
}

static bool feed_next(void *state, RowSelection *ret_selection, Error *err)
{
    Feed *feed = state;
    *ret_selection = (RowSelection){0};
    // The driver is done with the batch before this one: its memory is free for new pages.
    if (feed->given != NULL) {
        atomic_fetch_sub(&feed->task->context->counters->batch_bytes,
                         (long long)feed->given->bytes);
        feed->given->bytes = 0;
        feed->given = NULL;
    }
    TRY(env_check_stop(feed->task->context->env, err));
    while (feed->next < feed->rows->batch_count) {
        const size_t b = feed->next++;
        ShapedBatch *batch = feed->rows->batches[b];
        if (batch->rows > feed->room) {
            feed->selected =
                arena_alloc_array(feed->task->arena, batch->rows, sizeof(uint32_t), err);
            feed->replaces = arena_alloc_array(feed->task->arena, batch->rows, sizeof(bool), err);
            TRY(feed->selected != NULL && feed->replaces != NULL);
            feed->room = batch->rows;
        }
        size_t count = 0;
        for (uint32_t i = 0; i < batch->rows; i++) {
            const unsigned char fate = feed->rows->fates[feed->rows->first[b] + i];
            if (fate != FATE_NEW && fate != FATE_CHANGED)
                continue;
            feed->selected[count] = i;
            feed->replaces[count++] = fate == FATE_CHANGED;
        }
        if (count == 0)
            continue;
        TRY(feed_shape(feed, b, err));
        *ret_selection = (RowSelection){.array = &batch->array,
                                        .rows = feed->selected,
                                        .replaces = feed->replaces,
                                        .count = count};
        feed->given = batch;
        return true;
    }
    return true;
}

static bool write_rows(LoadTask *task, LoadRows *rows, Warehouse *warehouse, Error *err)
{
    if (task->inserted + task->updated == 0)
        return true;
    Feed feed = {.task = task, .rows = rows};
    RowSource source = {.next = feed_next,
                        .state = &feed,
                        .rows_total = (size_t)(task->inserted + task->updated),
                        .replaces_total = (size_t)task->updated};
    return warehouse->driver->load_write(warehouse->state, &source, err);
}

static bool write_quarantine(LoadTask *task, LoadRows *rows, const LoadSlice *slices,
                             Warehouse *warehouse, Error *err)
{
    for (size_t b = 0; b < rows->batch_count; b++) {
        struct ArrowArray *array = &rows->batches[b]->quarantine;
        if (array->release == NULL || array->length == 0)
            continue;
        task->quarantined += array->length;
        if (slices[rows->slice_of[b]].skipped)
            continue;
        TRY(warehouse->driver->load_write_quarantine(warehouse->state, array, err));
    }
    return true;
}

// --- the transaction

static bool ledger_slices(LoadTask *task, LoadSlice **ret_slices, Error *err)
{
    LoadSlice *slices = arena_alloc_array(task->arena, task->slice_count + 1, sizeof(*slices), err);
    TRY(slices != NULL);
    for (size_t i = 0; i < task->slice_count; i++) {
        const SliceTask *slice = task->slices[i];
        const PlanSlice *plan = &task->stream->slices[slice->ordinal];
        slices[i] = (LoadSlice){
            .partition_key = task->stream->partitions[plan->partition].partition.key,
            .from_us = plan->from_us,
            .to_us = plan->to_us,
            .fetched_us = slice->manifest.fetched_us,
            .total = slice->manifest.last_total,
            .rows = slice->manifest.distinct_keys,
        };
        task->rows_in += slice->counts.records;
        task->overflowed += slice->counts.overflowed;
    }
    *ret_slices = slices;
    return true;
}

static const Watermark *find_standing(const Watermark *standing, size_t count,
                                      const Watermark *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(standing[i].stream, wanted->stream) &&
            str_equal(standing[i].partition_key, wanted->partition_key))
            return &standing[i];
    }
    return NULL;
}

// Historic sets a watermark only where there is none; days that a person chose move one only where
// nothing lies between it and them. Read inside the transaction, so nobody sets one meanwhile.
static bool choose_watermarks(LoadTask *task, Warehouse *warehouse, Error *err)
{
    if ((!task->only_where_none && task->bases == NULL) || task->watermark_count == 0)
        return true;
    Watermark *standing = NULL;
    size_t standing_count = 0;
    TRY(warehouse->driver->read_watermarks(warehouse->state, task->context->job->name,
                                           &task->stream->table, task->arena, &standing,
                                           &standing_count, err));
    size_t kept = 0;
    for (size_t i = 0; i < task->watermark_count; i++) {
        const Watermark *mark = find_standing(standing, standing_count, &task->watermarks[i]);
        const MarkBasis *basis = task->bases == NULL ? NULL : &task->bases[i];
        if (mark == NULL ? basis == NULL || basis->begins
                         : !task->only_where_none && mark->us >= basis->from_us)
            task->watermarks[kept++] = task->watermarks[i];
    }
    task->watermark_count = kept;
    return true;
}

// The same rows into the lake, before the warehouse: who dies in between finds them there
// (delta.h).
static bool write_lake(LoadTask *task, const LoadRows *rows, const LoadSlice *slices,
                       Warehouse *warehouse, Error *err)
{
    if (task->lake == NULL)
        return true;
    DeltaRows *parts = arena_alloc_array(task->arena, rows->batch_count + 1, sizeof(*parts), err);
    TRY(parts != NULL);
    for (size_t b = 0; b < rows->batch_count; b++) {
        const ShapedBatch *batch = rows->batches[b];
        uint32_t *chosen = arena_alloc_array(task->arena, batch->rows + 1, sizeof(*chosen), err);
        TRY(chosen != NULL);
        size_t count = 0;
        for (uint32_t i = 0; i < batch->rows; i++) {
            if (rows->fates[rows->first[b] + i] == FATE_UNKNOWN)
                chosen[count++] = i;
        }
        parts[b] = (DeltaRows){.array = &batch->array,
                               .keys = batch->keys,
                               .hashes = batch->hashes,
                               .fetched_us = batch->fetched_us,
                               .rows = chosen,
                               .count = count,
                               .slice = rows->slice_of[b]};
    }
    return lake_write_load(task, parts, rows->batch_count, slices, warehouse, err);
}

// A reading that is in already and is said to be of the future would win against all that come now.
static bool check_overtakers(LoadTask *task, const LoadSlice *slices, Warehouse *warehouse,
                             Error *err)
{
    size_t skipped = 0;
    for (size_t i = 0; i < task->slice_count; i++)
        skipped += slices[i].skipped ? 1 : 0;
    if (skipped == 0 || plan_is_replay(task->context->plan)) // what it loads is old by nature
        return true;
    const int64_t now_us = task->context->env->now_us(task->context->env->state);
    const Str stream = stream_name(task->stream->stream);
    LoadSlice *readings = NULL;
    size_t count = 0;
    TRY(warehouse->driver->read_slices(warehouse->state, &task->stream->table, stream, task->arena,
                                       &readings, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!plan_check_clock("reading", readings[i].fetched_us, now_us, err))
            return error_context(err, STR_FMT, STR_ARG(stream));
    }
    return true;
}

static bool fill_and_commit(LoadTask *task, LoadSlice *slices, Warehouse *warehouse, Error *err)
{
    TRY(check_overtakers(task, slices, warehouse, err));
    LoadRows rows = {0};
    TRY(gather(task, &rows, err));
    skip_overtaken(task, &rows, slices);
    TRY(drop_doubles(task, &rows, err));
    TRY(load_settle_vanished(task, err));
    TRY(write_lake(task, &rows, slices, warehouse, err));
    TRY(decide(task, &rows, warehouse, err));
    TRY(write_rows(task, &rows, warehouse, err));
    TRY(write_quarantine(task, &rows, slices, warehouse, err));
    TRY(load_mark_vanished(task, slices, warehouse, err));
    TRY(choose_watermarks(task, warehouse, err));
    // Every key that landed has exactly one fate; anything else is a bug that must not reach the
    // table.
    if (task->distinct != task->inserted + task->updated + task->unchanged)
        return error_set(
            err, ERROR_DATA,
            "load %u: %lld keys landed, but %lld inserted, %lld updated, %lld unchanged",
            task->ordinal, (long long)task->distinct, (long long)task->inserted,
            (long long)task->updated, (long long)task->unchanged);
    const LoadCommit commit = {.watermarks = task->watermarks,
                               .watermark_count = task->watermark_count,
                               .inserted = task->inserted,
                               .updated = task->updated,
                               .unchanged = task->unchanged,
                               .quarantined = task->quarantined,
                               .deleted = task->deleted};
    return warehouse->driver->load_commit(warehouse->state, &commit, err);
}

static uint64_t spare_bytes(const SliceContext *context)
{
    if (context->reads == NULL || atomic_load(context->reads))
        return 0;
    return context->job->limits.memory_bytes / 100 * READING_SHARE_PERCENT;
}

bool load_execute(LoadTask *task, Warehouse *warehouse, Error *err)
{
    const SliceContext *context = task->context;
    task->started_us = context->env->now_us(context->env->state);
    LoadSlice *slices = NULL;
    TRY(ledger_slices(task, &slices, err));
    const LoadSpec spec = {.table = &task->stream->table,
                           .job = context->job->name,
                           .mode = str_from(plan_mode_name(context->plan)),
                           .run = str_from(context->plan->run),
                           .stream = stream_name(task->stream->stream),
                           .ordinal = task->ordinal,
                           .checksum = load_checksum(task),
                           .epoch = task->epoch,
                           .slices = slices,
                           .slice_count = task->slice_count,
                           .spare_bytes = spare_bytes(context),
                           .pauses = task->lake != NULL};
    TRY(warehouse->driver->load_begin(warehouse->state, &spec, &task->found, err));
    if (!task->found && !fill_and_commit(task, slices, warehouse, err)) {
        warehouse->driver->load_abort(warehouse->state);
        return false;
    }
    for (size_t i = 0; i < task->slice_count; i++)
        slice_drop_batches(task->slices[i]);
    task->ended_us = context->env->now_us(context->env->state);
    return true;
}
