// Rows of a table that is taken over, as loads of ours.
//
// A feed that only appends has a row of a key for each change, and where the change moved the time
// by which slices are cut, they lie in several slices: of one load, of which the latest counts, or
// of several. Then the later load replaces what an earlier one brought, if its row is the fresher.
#include "run/adopt_parts.h"
#include "warehouse/sql.h"

#include <stdlib.h>

enum { LOAD_ARENA_BYTES = 1024 * 1024 * 1024, KEYS_A_QUERY = 1000 };

typedef struct Feed {
    ShapedBatch **batches;
    uint32_t **selected;
    size_t *counts;
    bool **replaces;
    size_t batch_count, next;
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
                                        .replaces = feed->replaces[i],
                                        .count = feed->counts[i]};
        return true;
    }
    return true;
}

// A row that may count. What compares ForeignRows compares these, since one comes first.
typedef struct Candidate {
    ForeignRow row;
    size_t slice; // of the load
    bool own;     // an earlier load of this adoption has brought a row of its key
    bool replaces;
} Candidate;

// One load in hand.
typedef struct Load {
    Adoption *adoption;
    Arena *arena;
    uint32_t ordinal;
    size_t first, count; // slices
    LoadSlice *slices;
    ForeignRows *read; // of each slice
    Candidate *rows;   // those that count; from write_rows() on in their batches' order
    size_t row_count;
    Key128 *gone; // what an earlier load brought, and the feed has taken for deleted since
    size_t gone_count;
    int64_t gone_us;
    Watermark *marks;
    size_t mark_count;
    int64_t inserted, replaced, deleted;
} Load;

static int compare_places(const void *a, const void *b)
{
    const ForeignRow *left = a;
    const ForeignRow *right = b;
    if (left->batch != right->batch)
        return left->batch < right->batch ? -1 : 1;
    return (left->row > right->row) - (left->row < right->row);
}

// Of each key the latest row of the slice, whether the feed believes it alive or not.
static size_t choose_rows(AdoptReport *report, ForeignRow *rows, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(rows, count, sizeof(*rows), foreign_compare_rows);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && key128_compare(&rows[i].key, &rows[i + 1].key) == 0)
            report->doubled++;
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
    read->count = choose_rows(adoption->report, read->items, inside);
    adoption->report->forgotten += read->forgotten;
    adoption->report->unreadable += read->unreadable;
    LoadSlice *told = &load->slices[i];
    *told =
        (LoadSlice){.partition_key = adoption->stream->partitions[slice->partition].partition.key,
                    .from_us = slice->from_us,
                    .to_us = slice->to_us,
                    .fetched_us = INT64_MAX,
                    .total = -1};
    for (size_t r = 0; r < read->count; r++) {
        if (read->items[r].deleted)
            continue;
        told->rows++;
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

// The latest row of each key over all slices of the load.
static bool gather_rows(Load *load, Error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++)
        count += load->read[i].count;
    load->rows = arena_alloc_array(load->arena, count + 1, sizeof(Candidate), err);
    TRY(load->rows != NULL);
    count = 0;
    for (size_t i = 0; i < load->count; i++) {
        for (size_t r = 0; r < load->read[i].count; r++)
            load->rows[count++] = (Candidate){.row = load->read[i].items[r], .slice = i};
    }
    if (count > 0)
        qsort(load->rows, count, sizeof(*load->rows), foreign_compare_rows);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count &&
            key128_compare(&load->rows[i].row.key, &load->rows[i + 1].row.key) == 0)
            load->adoption->report->doubled++;
        else
            load->rows[load->row_count++] = load->rows[i];
    }
    return true;
}

typedef struct OwnKeys {
    Load *load;
    size_t first, end; // of the rows, by key
} OwnKeys;

static bool note_own(void *visitor, const Str *cells, size_t columns)
{
    const OwnKeys *own = visitor;
    Candidate key = {0};
    (void)columns;
    if (!sql_read_key(cells[0], &key.row.key))
        return true;
    for (size_t low = own->first, high = own->end; low < high;) {
        const size_t middle = low + (high - low) / 2;
        Candidate *row = &own->load->rows[middle];
        const int order = key128_compare(&row->row.key, &key.row.key);
        if (order == 0) {
            row->own = true;
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return true;
}

// Asked before the load begins, since within one a driver answers nothing else; the leases keep
// everybody else away.
static bool find_own(Load *load, Error *err)
{
    const Adoption *adoption = load->adoption;
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const SqlDialect *dialect = warehouse->driver->dialect;
    if (load->ordinal == 0 || adoption->foreign.synced == NULL) // nothing is fresher then
        return true;
    for (size_t first = 0; first < load->row_count; first += KEYS_A_QUERY) {
        const size_t left = load->row_count - first;
        OwnKeys own = {load, first, first + (left < KEYS_A_QUERY ? left : KEYS_A_QUERY)};
        CLEANUP(buf_done) Buf sql = {0};
        TRY(buf_append(&sql, STR("SELECT _row_key FROM "), err) &&
            sql_own_table(dialect, &sql, &adoption->stream->table, "", err) &&
            buf_append(&sql, STR(" WHERE _run_id = "), err) &&
            sql_literal(dialect, &sql, str_from(adoption->plan.run), err) &&
            buf_append(&sql, STR(" AND _row_key IN ("), err));
        for (size_t i = own.first; i < own.end; i++)
            TRY((i == own.first || buf_append(&sql, STR(", "), err)) &&
                sql_key(dialect, &sql, &load->rows[i].row.key, err));
        TRY(buf_append_char(&sql, ')', err) &&
            warehouse->driver->query(warehouse->state, buf_str(&sql), note_own, &own, err));
    }
    return true;
}

// What becomes of a row, now that it is known what stands under its key; true when it is written.
static bool is_written(Load *load, Candidate *row, const MatchedRow *stored)
{
    AdoptReport *report = load->adoption->report;
    const bool fresher = stored->found && row->own && stored->fetched_us < row->row.synced_us;
    if (row->row.deleted) {
        report->deleted++;
        if (fresher && !stored->deleted) {
            load->gone[load->gone_count++] = row->row.key;
            load->gone_us = row->row.synced_us > load->gone_us ? row->row.synced_us : load->gone_us;
        }
        return false;
    }
    row->replaces = fresher;
    load->inserted += stored->found ? 0 : 1;
    load->replaced += fresher ? 1 : 0;
    if (stored->found && row->own)
        report->doubled++;
    else if (stored->found)
        report->known++;
    return !stored->found || fresher;
}

// Rows whose key pawl has read itself stay as they are: that is better. So does what a later
// reading of a window did not show: it is in, and the window is skipped.
static bool drop_known(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    size_t kept = 0;
    for (size_t i = 0; i < load->row_count; i++) {
        if (!load->slices[load->rows[i].slice].skipped)
            load->rows[kept++] = load->rows[i];
    }
    load->adoption->report->known += (int64_t)(load->row_count - kept);
    load->row_count = kept;
    Key128 *keys = arena_alloc_array(load->arena, load->row_count + 1, sizeof(Key128), err);
    MatchedRow *matched =
        arena_alloc_array(load->arena, load->row_count + 1, sizeof(MatchedRow), err);
    load->gone = arena_alloc_array(load->arena, load->row_count + 1, sizeof(Key128), err);
    TRY(keys != NULL && matched != NULL && load->gone != NULL);
    for (size_t i = 0; i < load->row_count; i++)
        keys[i] = load->rows[i].row.key;
    TRY(warehouse->driver->load_match(warehouse->state, keys, load->row_count, matched, err));
    kept = 0;
    for (size_t i = 0; i < load->row_count; i++) {
        if (is_written(load, &load->rows[i], &matched[i]))
            load->rows[kept++] = load->rows[i];
    }
    load->row_count = kept;
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
    feed.replaces = arena_alloc_array(load->arena, load->row_count, sizeof(bool *), err);
    uint32_t *rows = arena_alloc_array(load->arena, load->row_count, sizeof(uint32_t), err);
    bool *replaces = arena_alloc_array(load->arena, load->row_count, sizeof(bool), err);
    TRY(feed.batches != NULL && feed.selected != NULL && feed.counts != NULL &&
        feed.replaces != NULL && rows != NULL && replaces != NULL);
    for (size_t i = 0; i < load->row_count; i++) {
        const ForeignRow *row = &load->rows[i].row;
        if (i == 0 || row->batch != load->rows[i - 1].row.batch) {
            feed.batches[feed.batch_count] = row->batch;
            feed.replaces[feed.batch_count] = &replaces[i];
            feed.selected[feed.batch_count++] = &rows[i];
        }
        rows[i] = (uint32_t)row->row;
        replaces[i] = load->rows[i].replaces;
        feed.counts[feed.batch_count - 1]++;
    }
    RowSource source = {.next = next_rows,
                        .state = &feed,
                        .rows_total = load->row_count,
                        .replaces_total = (size_t)load->replaced};
    return warehouse->driver->load_write(warehouse->state, &source, err);
}

static bool mark_gone(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    return load->gone_count == 0 ||
           warehouse->driver->load_mark_deleted(warehouse->state, load->gone, load->gone_count,
                                                load->gone_us, &load->deleted, err);
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
    const bool ok = drop_known(load, err) && write_rows(load, err) && mark_gone(load, err);
    const LoadCommit commit = {.watermarks = load->marks,
                               .watermark_count = load->mark_count,
                               .inserted = load->inserted,
                               .updated = load->replaced,
                               .deleted = load->deleted};
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
    TRY(gather_rows(&load, err) && find_own(&load, err) && (!last || find_marks(&load, err)) &&
        commit_load(&load, err));
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
