#include "run/slice_known.h"

#include "lake/known_pages.h"
#include "run/slice_parts.h"

#include <assert.h>

enum {
    FIRST_PAGES = 8,
    KNOWN_SHARE = 4,
};

// To be raised whenever keys or hashes come out otherwise, or more rows or fewer.
#define SHAPING "pawl/" PAWL_VERSION " 1"

static bool add_digest(Buf *text, Key128 digest, Error *err)
{
    return buf_append(text, (Str){(const char *)digest.bytes, KEY_BYTES}, err);
}

bool slice_known_begin(SliceTask *task, Error *err)
{
    if (!task->context->notes_rows)
        return true;
    const PlanStream *stream = task->stream;
    const PlanSlice *slice = &stream->slices[task->ordinal];
    const PlanPartition *partition = &stream->partitions[slice->partition];
    const Str zone =
        partition->zone_name.size > 0 ? partition->zone_name : task->context->job->timezone_name;
    CLEANUP(buf_done) Buf text = {0};
    TRY(add_digest(&text, stream_digest(stream->stream), err) &&
        add_digest(&text, contract_info(stream->contract)->digest, err) &&
        buf_printf(&text, err, "%s\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%lld %lld\n", SHAPING,
                   STR_ARG(stream_name(stream->stream)), STR_ARG(partition->partition.key),
                   STR_ARG(zone), (long long)slice->from_us, (long long)slice->to_us) &&
        (partition->partition.extra == NULL || json_write(partition->partition.extra, &text, err)));
    task->made_by = content_hash(buf_str(&text));
    return true;
}

// --- drift

// The pages of a slice mostly have the same unknown paths in the same order, so the next one is
// looked for where the last one was found.
static size_t find_path(const SliceTask *task, Str path, size_t near)
{
    for (size_t i = 0; i < task->drift_count; i++) {
        const size_t at = (near + i) % task->drift_count;
        if (str_equal(task->drift[at], path))
            return at;
    }
    return task->drift_count;
}

static bool add_path(SliceTask *task, Str path, Error *err)
{
    if ((task->drift_count & (task->drift_count - 1)) == 0) { // 0, 1, 2, 4...: it is full
        const size_t room = task->drift_count == 0 ? 1 : 2 * task->drift_count;
        Str *drift = arena_alloc_array(task->arena, room, sizeof(Str), err);
        TRY(drift != NULL);
        if (task->drift_count > 0)
            memcpy(drift, task->drift, task->drift_count * sizeof(Str));
        task->drift = drift;
    }
    TRY(arena_copy_str(task->arena, path, &task->drift[task->drift_count], err));
    task->drift_count++;
    return true;
}

// The page in hand has this one. *near is where it stands, for the next one.
static bool note_path(SliceTask *task, Str path, size_t *near, Error *err)
{
    const size_t at = find_path(task, path, *near + 1);
    if (at == KNOWN_DRIFT_MAX)
        return true;
    TRY(at < task->drift_count || add_path(task, path, err));
    task->page_drift[at / 64] |= UINT64_C(1) << (at % 64);
    *near = at;
    return true;
}

bool slice_known_note_drift(SliceTask *task, const Shaper *shaper, Error *err)
{
    size_t count = 0;
    size_t near = SIZE_MAX;
    const Str *paths = shaper_drift_paths(shaper, &count);
    const bool *here = shaper_drift_here(shaper);
    memset(task->page_drift, 0, sizeof(task->page_drift));
    for (size_t i = 0; i < count; i++)
        TRY(!here[i] || note_path(task, paths[i], &near, err));
    return true;
}

// Likewise, of a page whose rows are taken.
static bool take_drift(SliceTask *task, const KnownRows *rows, const KnownRowsPage *page,
                       Error *err)
{
    size_t near = SIZE_MAX;
    memset(task->page_drift, 0, sizeof(task->page_drift));
    for (size_t i = 0; i < rows->drift_count; i++) {
        if ((page->drift[i / 64] >> (i % 64) & 1) != 0)
            TRY(note_path(task, rows->drift[i], &near, err));
    }
    return true;
}

// --- notes for the next run

// The page that was noted last, as one whose rows are not known.
static bool add_page(SliceTask *task, KnownRowsPage **ret_page, Error *err)
{
    const size_t count = task->pages.count;
    if (count > task->page_rows_room) {
        const size_t room = task->pages.capacity > FIRST_PAGES ? task->pages.capacity : FIRST_PAGES;
        KnownRowsPage *pages = arena_alloc_array(task->arena, room, sizeof(*pages), err);
        TRY(pages != NULL);
        if (task->page_rows_room > 0)
            memcpy(pages, task->page_rows, task->page_rows_room * sizeof(*pages));
        task->page_rows = pages;
        task->page_rows_room = room;
    }
    *ret_page = &task->page_rows[count - 1];
    return true;
}

// `page` becomes `as`, with the rows of the newest batch, which are those of the page noted last.
static void add_rows(SliceTask *task, KnownRowsPage *page, const KnownRowsPage *as)
{
    const ShapedBatch *batch = task->batches[task->batch_count - 1];
    *page = *as;
    page->there = true;
    memcpy(page->drift, task->page_drift, sizeof(page->drift));
    page->rows = (uint32_t)batch->rows;
    page->keys = batch->keys; // as long as the batch waits for its load
    page->hashes = batch->hashes;
    task->has_rows = true;
}

bool slice_known_note(SliceTask *task, const PageOutcome *outcome, const ShapeCounts *before,
                      bool whole, Error *err)
{
    static const Key128 none = {{0}};
    const PageInfo *info = &task->pages.items[task->pages.count - 1];
    const ShapeCounts *after = &task->counts;
    KnownRowsPage *page = NULL;
    if (!task->context->notes_rows)
        return true;
    TRY(add_page(task, &page, err));
    const int64_t rows = after->rows - before->rows;
    if (!whole || !outcome->repeats || rows == 0 || rows > UINT32_MAX ||
        info->body_bytes < KNOWN_BYTES_MIN || key128_compare(&info->body_hash, &none) == 0 ||
        after->quarantined > before->quarantined || after->redacted > before->redacted)
        return true;
    const KnownRowsPage as = {.body = info->body_hash,
                              .records = after->records - before->records,
                              .overflowed = after->overflowed - before->overflowed,
                              .misfits = after->misfits - before->misfits,
                              .bytes = task->batches[task->batch_count - 1]->bytes};
    add_rows(task, page, &as);
    return true;
}

void slice_known_write(const SliceTask *task, Landing *landing)
{
    if (!task->has_rows)
        return;
    const SliceName name = slice_name(task);
    assert(task->page_rows_room >= task->pages.count); // the last page was read in this attempt
    const KnownRows rows = {.made_by = task->made_by,
                            .pages = task->page_rows,
                            .page_count = (uint32_t)task->pages.count,
                            .drift = task->drift,
                            .drift_count = (uint32_t)task->drift_count};
    Error ignored = {0};
    (void)!landing_put_rows(landing, &name, &rows, &ignored);
}

// --- taking

static const KnownRowsPage *find_page(const SliceTask *task, SliceWorker *worker,
                                      const KnownRows **ret_rows)
{
    Str folder = {0};
    uint32_t number = 0;
    if (task->context->knows_rows == NULL || !atomic_load(task->context->knows_rows) ||
        worker->landing == NULL || !landing_was_known(worker->landing, &folder, &number) ||
        !landing_find_rows(worker->landing, folder, ret_rows) ||
        key128_compare(&(*ret_rows)->made_by, &task->made_by) != 0 ||
        number >= (*ret_rows)->page_count)
        return NULL;
    const KnownRowsPage *page = &(*ret_rows)->pages[number];
    const PageInfo *info = &task->pages.items[task->pages.count - 1];
    return page->there && key128_compare(&page->body, &info->body_hash) == 0 ? page : NULL;
}

bool slice_known_take(SliceTask *task, SliceWorker *worker, const PageOutcome *outcome,
                      bool *ret_taken, Error *err)
{
    const KnownRows *rows = NULL;
    const KnownRowsPage *known = find_page(task, worker, &rows);
    *ret_taken =
        known != NULL && outcome->repeats && known->records == (int64_t)outcome->record_count;
    if (!*ret_taken)
        return true;
    const PageInfo *info = &task->pages.items[task->pages.count - 1];
    ShapedBatch *batch = NULL;
    TRY(shaped_batch_known(known->keys, known->hashes, known->rows, info->fetched_us, &batch, err));
    // Of the budget for rows that wait it takes a part: the slice itself needs memory, and if its
    // rows must be made after all there must be room. Not all, or nothing would be read while a
    // load is compared.
    if (batch->bytes < known->bytes / KNOWN_SHARE)
        batch->bytes = known->bytes / KNOWN_SHARE;
    if (!slice_keep_batch(task, batch, err)) {
        shaped_batch_free(batch);
        return false;
    }
    // A load is as large as if its rows had been shaped.
    task->batch_bytes += known->bytes - batch->bytes;
    task->pages_known++;
    task->counts.records += known->records;
    task->counts.rows += known->rows;
    task->counts.overflowed += known->overflowed;
    task->counts.misfits += known->misfits;
    KnownRowsPage *page = NULL;
    TRY(take_drift(task, rows, known, err) && add_page(task, &page, err));
    add_rows(task, page, known);
    return true;
}

// --- made after all

static bool is_same_batch(const ShapedBatch *a, const ShapedBatch *b)
{
    return a->rows == b->rows && memcmp(a->keys, b->keys, a->rows * sizeof(*a->keys)) == 0 &&
           memcmp(a->hashes, b->hashes, a->rows * sizeof(*a->hashes)) == 0;
}

// A batch lies in its own arena: that stays.
static void swap_rows(ShapedBatch *a, ShapedBatch *b)
{
    const ShapedBatch first = *a;
    const ShapedBatch second = *b;
    *a = second;
    *b = first;
    a->arena = first.arena;
    b->arena = second.arena;
}

static bool other_rows(const SliceTask *again, Error *err)
{
    return error_set(err, ERROR_DATA,
                     "page %zu gives other rows than are noted beside it: remove the landing "
                     "store's pages.json",
                     again->pages.count);
}

// Moves rows of the page that `again` read last to the batches of `task` that lack them, the next
// of which is *next. Others may be with the warehouse already, or gone: they are not looked at.
static bool fill_in(SliceTask *task, SliceTask *again, size_t *next, Error *err)
{
    for (size_t i = 0; i < again->batch_count; i++, ++*next) {
        if (*next == task->batch_count)
            return other_rows(again, err);
        ShapedBatch *batch = task->batches[*next];
        if (!batch->keys_only)
            continue;
        if (!is_same_batch(batch, again->batches[i]))
            return other_rows(again, err);
        swap_rows(batch, again->batches[i]);
    }
    slice_drop_batches(again);
    return true;
}

// As many landed pages as there were. One more may have been asked for, and answered by nothing
// that is landed.
static bool read_landed(SliceTask *task, SliceTask *again, SliceWorker *worker, Error *err)
{
    size_t next = 0;
    again->opened = true;
    TRY(slice_open_reader(again, err));
    while (again->pages.count < task->pages.count) {
        bool more = false;
        bool there = false;
        TRY(slice_next_request(again, &more, err) &&
            (!more || slice_use_landed_page(again, worker, &there, err)));
        if (!there)
            return error_set(err, ERROR_NOT_FOUND, "page %zu is not landed any more",
                             again->pages.count + 1);
        TRY(fill_in(task, again, &next, err));
    }
    return next == task->batch_count || other_rows(again, err);
}

bool slice_shape_again(SliceTask *task, SliceWorker *worker, Error *err)
{
    SliceTask *again = NULL;
    TRY(slice_new(task->context, task->stream_index, task->ordinal, task->reading, &again, err));
    const bool ok = read_landed(task, again, worker, err);
    slice_free(again);
    return ok;
}
