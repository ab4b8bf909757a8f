// Rows of a table that is taken over, as loads of ours.
#include "run/adopt_parts.h"

#include <stdlib.h>

enum { LOAD_ARENA_BYTES = 1024 * 1024 * 1024 };

typedef struct Feed {
    ShapedBatch **batches;
    uint32_t **selected;
    size_t *counts;
    size_t batch_count, next;
    bool *replaces; // all false
} Feed;

static bool next_rows(void *state, RowSelection *ret_selection, Error *err)
{
    Feed *feed = state;
    (void)err;
    *ret_selection = (RowSelection){0};
    while (feed->next < feed->batch_count) {
        const size_t i = feed->next++;
        if (feed->counts[i] == 0)
            continue;
        *ret_selection = (RowSelection){.array = &feed->batches[i]->array,
                                        .rows = feed->selected[i],
                                        .replaces = feed->replaces,
                                        .count = feed->counts[i]};
        return true;
    }
    return true;
}

// One load in hand.
typedef struct Load {
    Adoption *adoption;
    Arena *arena;
    uint32_t ordinal;
    size_t first, count; // slices
    LoadSlice *slices;
    ForeignRows *read; // of each slice
    ForeignRow *rows;  // those that count, in their batches' order
    size_t row_count;
    Watermark *marks;
    size_t mark_count;
    int64_t inserted;
} Load;

static int compare_places(const void *a, const void *b)
{
    const ForeignRow *left = a;
    const ForeignRow *right = b;
    if (left->batch != right->batch)
        return left->batch < right->batch ? -1 : 1;
    return (left->row > right->row) - (left->row < right->row);
}

// Of each key the latest row, if the feed believes it alive.
static size_t choose_rows(Adoption *adoption, ForeignRow *rows, size_t count)
{
    AdoptReport *report = adoption->report;
    size_t kept = 0;
    if (count > 0)
        qsort(rows, count, sizeof(*rows), foreign_compare_rows);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && key128_compare(&rows[i].key, &rows[i + 1].key) == 0)
            report->doubled++;
        else if (rows[i].deleted)
            report->deleted++;
        else
            rows[kept++] = rows[i];
    }
    return kept;
}

static bool read_slice(Load *load, size_t i, Error *err)
{
    Adoption *adoption = load->adoption;
    const PlanSlice *slice = &adoption->stream->slices[load->first + i];
    ForeignRows *read = &load->read[i];
    ForeignWindow window = {.slice = slice};
    plan_slice_bounds(adoption->stream, slice, &window.from_us, &window.to_us);
    TRY(env_check_stop(adoption->env, err) && exclusive_renew(&adoption->exclusive, err) &&
        foreign_read(&adoption->foreign, &window, adoption->shaper, load->arena, read, err));
    size_t inside = 0;
    for (size_t r = 0; r < read->count; r++) {
        if (read->items[r].inside)
            read->items[inside++] = read->items[r];
    }
    read->count = choose_rows(adoption, read->items, inside);
    adoption->report->forgotten += read->forgotten;
    adoption->report->unreadable += read->unreadable;
    LoadSlice *told = &load->slices[i];
    *told =
        (LoadSlice){.partition_key = adoption->stream->partitions[slice->partition].partition.key,
                    .from_us = slice->from_us,
                    .to_us = slice->to_us,
                    .fetched_us = INT64_MAX,
                    .total = -1,
                    .rows = (int64_t)read->count};
    for (size_t r = 0; r < read->count; r++) {
        const int64_t synced_us =
            read->items[r].synced_us == INT64_MIN ? 0 : read->items[r].synced_us;
        told->fetched_us = synced_us < told->fetched_us ? synced_us : told->fetched_us;
    }
    told->fetched_us = told->fetched_us == INT64_MAX ? 0 : told->fetched_us;
    if (adoption->options->progress != NULL)
        adoption->options->progress(adoption->options->progress_state, load->first + i + 1,
                                    adoption->stream->slice_count);
    return true;
}

static bool gather_rows(Load *load, Error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++)
        count += load->read[i].count;
    load->rows = arena_alloc_array(load->arena, count + 1, sizeof(ForeignRow), err);
    TRY(load->rows != NULL);
    for (size_t i = 0; i < load->count; i++) {
        if (load->read[i].count > 0)
            memcpy(load->rows + load->row_count, load->read[i].items,
                   load->read[i].count * sizeof(ForeignRow));
        load->row_count += load->read[i].count;
    }
    return true;
}

// Rows whose key pawl has already stay as they are: what it read itself is better.
static bool drop_known(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    Key128 *keys = arena_alloc_array(load->arena, load->row_count + 1, sizeof(Key128), err);
    MatchedRow *matched =
        arena_alloc_array(load->arena, load->row_count + 1, sizeof(MatchedRow), err);
    TRY(keys != NULL && matched != NULL);
    for (size_t i = 0; i < load->row_count; i++)
        keys[i] = load->rows[i].key;
    TRY(warehouse->driver->load_match(warehouse->state, keys, load->row_count, matched, err));
    size_t kept = 0;
    for (size_t i = 0; i < load->row_count; i++) {
        if (!matched[i].found)
            load->rows[kept++] = load->rows[i];
    }
    load->adoption->report->known += (int64_t)(load->row_count - kept);
    load->row_count = kept;
    load->inserted = (int64_t)kept;
    return true;
}

static bool write_rows(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    if (load->row_count == 0)
        return true;
    qsort(load->rows, load->row_count, sizeof(*load->rows), compare_places);
    Feed feed = {0};
    feed.batches = arena_alloc_array(load->arena, load->row_count, sizeof(ShapedBatch *), err);
    feed.selected = arena_alloc_array(load->arena, load->row_count, sizeof(uint32_t *), err);
    feed.counts = arena_alloc_array(load->arena, load->row_count, sizeof(size_t), err);
    feed.replaces = arena_alloc_array(load->arena, load->row_count, sizeof(bool), err);
    uint32_t *rows = arena_alloc_array(load->arena, load->row_count, sizeof(uint32_t), err);
    TRY(feed.batches != NULL && feed.selected != NULL && feed.counts != NULL &&
        feed.replaces != NULL && rows != NULL);
    for (size_t i = 0; i < load->row_count; i++) {
        if (i == 0 || load->rows[i].batch != load->rows[i - 1].batch) {
            feed.batches[feed.batch_count] = load->rows[i].batch;
            feed.selected[feed.batch_count++] = &rows[i];
        }
        rows[i] = (uint32_t)load->rows[i].row;
        feed.counts[feed.batch_count - 1]++;
    }
    RowSource source = {.next = next_rows, .state = &feed, .rows_total = load->row_count};
    return warehouse->driver->load_write(warehouse->state, &source, err);
}

// With the last load, in its transaction, each partition gets a watermark where none stands: the
// other tool's own state, or the latest time of its rows.
static bool find_marks(Load *load, Error *err)
{
    Adoption *adoption = load->adoption;
    PlanStream *stream = adoption->stream;
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const int64_t now_us = adoption->env->now_us(adoption->env->state);
    Watermark *standing = NULL;
    size_t count = 0;
    load->marks =
        arena_alloc_array(load->arena, stream->partition_count + 1, sizeof(Watermark), err);
    TRY(load->marks != NULL &&
        warehouse->driver->read_watermarks(warehouse->state, adoption->job->name, &stream->table,
                                           load->arena, &standing, &count, err));
    for (uint32_t i = 0; i < stream->partition_count; i++) {
        const Str key = stream->partitions[i].partition.key;
        bool stands = false;
        for (size_t k = 0; k < count && !stands; k++)
            stands = str_equal(standing[k].partition_key, key) &&
                     str_equal(standing[k].stream, stream_name(stream->stream));
        int64_t first_us = 0;
        int64_t us = adoption->has_state ? adoption->state_us[i] : INT64_MIN;
        bool any = us != INT64_MIN;
        const PlanSlice slice = {.partition = i};
        if (!stands && !any && stream->cursor.exists)
            TRY(foreign_range(&adoption->foreign, &slice, &first_us, &us, &any, err));
        if (!stands && any)
            load->marks[load->mark_count++] =
                (Watermark){stream_name(stream->stream), key, us < now_us ? us : now_us};
    }
    return true;
}

static bool commit_load(Load *load, Error *err)
{
    const Adoption *adoption = load->adoption;
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const LoadSpec spec = {.table = &adoption->stream->table,
                           .job = adoption->job->name,
                           .mode = STR("adopt"),
                           .run = str_from(adoption->plan.run),
                           .stream = stream_name(adoption->stream->stream),
                           .ordinal = load->ordinal,
                           .checksum = sha256(adoption->options->table.table),
                           .epoch = adoption->exclusive.leases[0].epoch,
                           .slices = load->slices,
                           .slice_count = load->count};
    bool loaded = false;
    TRY(warehouse->driver->load_begin(warehouse->state, &spec, &loaded, err));
    if (loaded)
        return true;
    const bool ok = drop_known(load, err) && write_rows(load, err);
    const LoadCommit commit = {
        .watermarks = load->marks, .watermark_count = load->mark_count, .inserted = load->inserted};
    if (ok && warehouse->driver->load_commit(warehouse->state, &commit, err))
        return true;
    warehouse->driver->load_abort(warehouse->state);
    return false;
}

static void done_reading(Load *load)
{
    for (size_t i = 0; load->read != NULL && i < load->count; i++)
        foreign_rows_done(&load->read[i]);
}

static bool make_load(Adoption *adoption, uint32_t ordinal, size_t first, size_t count, bool last,
                      Error *err)
{
    const Warehouse *warehouse = &adoption->parts.warehouse;
    bool has = false;
    TRY(warehouse->driver->has_load(warehouse->state, str_from(adoption->plan.run),
                                    stream_name(adoption->stream->stream), ordinal, &has, err));
    if (has)
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(LOAD_ARENA_BYTES, err);
    TRY(arena != NULL);
    CLEANUP(done_reading)
    Load load = {
        .adoption = adoption, .arena = arena, .ordinal = ordinal, .first = first, .count = count};
    load.slices = arena_alloc_array(arena, count + 1, sizeof(LoadSlice), err);
    load.read = arena_alloc_array(arena, count + 1, sizeof(ForeignRows), err);
    TRY(load.slices != NULL && load.read != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(read_slice(&load, i, err));
    TRY(gather_rows(&load, err) && (!last || find_marks(&load, err)) && commit_load(&load, err));
    adoption->report->adopted += load.inserted;
    adoption->report->loads++;
    adoption->report->watermarks += (int64_t)load.mark_count;
    return true;
}

bool adopt_make_loads(Adoption *adoption, Error *err)
{
    const size_t slices = adoption->stream->slice_count;
    uint32_t ordinal = 0;
    for (size_t first = 0; first < slices; first += adoption->slices_a_load, ordinal++) {
        const size_t left = slices - first;
        const size_t count = left < adoption->slices_a_load ? left : adoption->slices_a_load;
        TRY(make_load(adoption, ordinal, first, count, count == left, err));
    }
    return true;
}
