// What becomes of a page of a slice: landed, noted, and made into rows, which wait for their load.
#include "run/slice_known.h"
#include "run/slice_parts.h"

enum { FIRST_PAGES = 8, FIRST_BATCHES = 4 };

// --- rows that wait for their load

bool slice_keep_batch(SliceTask *task, ShapedBatch *batch, Error *err)
{
    if (task->batch_count == task->batch_capacity) {
        const size_t room = task->batch_capacity == 0 ? FIRST_BATCHES : task->batch_capacity * 2;
        ShapedBatch **batches = arena_alloc_array(task->arena, room, sizeof(ShapedBatch *), err);
        TRY(batches != NULL);
        if (task->batch_count > 0)
            memcpy(batches, task->batches, task->batch_count * sizeof(ShapedBatch *));
        task->batches = batches;
        task->batch_capacity = room;
    }
    atomic_fetch_add(&task->context->counters->batch_bytes, (long long)batch->bytes);
    task->batch_bytes += batch->bytes;
    task->batches[task->batch_count++] = batch;
    return true;
}

void slice_drop_batches(SliceTask *task)
{
    for (size_t i = 0; i < task->batch_count; i++) {
        atomic_fetch_sub(&task->context->counters->batch_bytes, (long long)task->batches[i]->bytes);
        shaped_batch_free(task->batches[i]);
    }
    task->batch_count = 0;
}

bool slice_take_batches(SliceTask *task, Buf *ret_batches, Error *err)
{
    const Str taken = {(const char *)task->batches, task->batch_count * sizeof(ShapedBatch *)};
    TRY(buf_append(ret_batches, taken, err));
    for (size_t i = 0; i < task->batch_count; i++)
        atomic_fetch_sub(&task->context->counters->batch_bytes, (long long)task->batches[i]->bytes);
    task->batch_count = 0;
    return true;
}

// --- pages

bool slice_note_page(SliceTask *task, const PageInfo *info, Error *err)
{
    SlicePages *pages = &task->pages;
    if (pages->count == SLICE_PAGES_MAX)
        return error_set(err, ERROR_LIMIT, "slice has more than %d pages", SLICE_PAGES_MAX);
    if (pages->count == pages->capacity) {
        const size_t room = pages->capacity == 0 ? FIRST_PAGES : pages->capacity * 2;
        PageInfo *items = arena_alloc_array(task->arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (pages->count > 0)
            memcpy(items, pages->items, pages->count * sizeof(*items));
        pages->items = items;
        pages->capacity = room;
    }
    SliceManifest *manifest = &task->manifest;
    if (pages->count == 0) {
        manifest->fetched_us = info->fetched_us;
        manifest->first_total = info->total;
    } else if (info->total != manifest->last_total) {
        manifest->totals_moved = true;
    }
    manifest->last_total = info->total;
    manifest->records += info->records;
    pages->items[pages->count++] = *info;
    return true;
}

int64_t slice_page_total(const PlanStream *stream, const PageOutcome *outcome)
{
    const Str pointer = contract_info(stream->contract)->total_pointer;
    if (pointer.size == 0 || outcome->doc == NULL)
        return -1;
    yyjson_val *total = json_pointer(yyjson_doc_get_root(outcome->doc), pointer);
    return yyjson_is_int(total) ? yyjson_get_sint(total) : -1;
}

static bool find_shaper(SliceTask *task, SliceWorker *worker, Shaper **ret_shaper, Error *err)
{
    Shaper **shaper = &worker->shapers[task->stream_index];
    if (*shaper == NULL)
        TRY(shaper_new(task->stream->contract, NULL, shaper, err));
    shaper_set_zone(*shaper, slice_partition(task)->zone);
    *ret_shaper = *shaper;
    return true;
}

static void add_counts(ShapeCounts *counts, const ShapeCounts *before, const ShapeCounts *after)
{
    counts->records += after->records - before->records;
    counts->rows += after->rows - before->rows;
    counts->quarantined += after->quarantined - before->quarantined;
    counts->overflowed += after->overflowed - before->overflowed;
    counts->misfits += after->misfits - before->misfits;
    counts->redacted += after->redacted - before->redacted;
}

static bool note_redacted(SliceTask *task, const Shaper *shaper, const ShapeCounts *before,
                          const PageOutcome *outcome, Error *err)
{
    return shaper_counts(shaper)->redacted == before->redacted ||
           redacted_note(&task->redacted, task->stream->contract, task->context->forgotten, outcome,
                         slice_partition(task)->partition.fields, task->arena, err);
}

// A page becomes a batch of its own. Shapers belong to the worker, which has one a stream: so the
// rows that wait take just their own size, and the buffers in which they grow stay warm.
bool slice_shape_page(SliceTask *task, SliceWorker *worker, const PageOutcome *outcome,
                      int64_t fetched_us, Error *err)
{
    Shaper *shaper = NULL;
    TRY(find_shaper(task, worker, &shaper, err));
    const ShapeCounts before = *shaper_counts(shaper);
    ShapedBatch *batch = NULL;
    const bool ok = shaper_add(shaper, outcome->records, outcome->record_count,
                               slice_partition(task)->partition.fields, fetched_us, err) &&
                    slice_known_note_drift(task, shaper, err) &&
                    note_redacted(task, shaper, &before, outcome, err) &&
                    shaper_take(shaper, &batch, err);
    add_counts(&task->counts, &before, shaper_counts(shaper));
    if (!ok) {
        // It holds rows of this page, and the next page may be another slice's.
        shaper_free(shaper);
        worker->shapers[task->stream_index] = NULL;
        return false;
    }
    const bool wanted = batch->rows > 0 || batch->quarantine.length > 0;
    if (wanted && slice_keep_batch(task, batch, err))
        return true;
    shaped_batch_free(batch);
    return !wanted;
}

bool slice_leave_out(SliceTask *task, SliceWorker *worker, PageOutcome *outcome, Str *body,
                     Error *err)
{
    const ForgetPage page = {.forgotten = task->context->forgotten,
                             .stream = task->stream->stream,
                             .contract = task->stream->contract,
                             .partition = slice_partition(task)->partition.fields};
    *body = (Str){0};
    if (page.forgotten == NULL)
        return true;
    const PageOutcome whole = *outcome;
    return forget_page(&page, &whole, worker->page_arena, &task->left_out, outcome, body, err);
}

bool slice_land_page(SliceTask *task, SliceWorker *worker, const HttpResponse *response,
                     const PageOutcome *outcome, Str without, PageInfo *ret_info, Error *err)
{
    const bool as_it_came = without.data == NULL;
    const SliceName name = slice_name(task);
    PageInfo info = {.fetched_us = response->sent_at_us,
                     .total = slice_page_total(task->stream, outcome),
                     .records = (int64_t)outcome->record_count};
    if (worker->landing != NULL)
        TRY(landing_put_page(worker->landing, &name, (uint32_t)task->pages.count,
                             &(PageBody){.plain = as_it_came ? response->body : without,
                                         .encoded = as_it_came ? response->encoded : (Str){0},
                                         .encoding = response->encoding},
                             &info, err));
    RunCounters *counters = task->context->counters;
    atomic_fetch_add(&counters->pages, 1);
    atomic_fetch_add(&counters->bytes, (long long)response->body.size);
    atomic_fetch_add(&counters->stored_bytes, (long long)info.stored_bytes);
    *ret_info = info;
    return true;
}
