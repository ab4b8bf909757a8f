#include "run/slice_read.h"

enum { FIRST_BATCHES = 16, PAGES_MAX = 100000 };

void slice_rows_done(SliceRows *rows)
{
    for (size_t i = 0; i < rows->batch_count; i++)
        shaped_batch_free(rows->batches[i]);
    rows->batch_count = 0;
    rows->rows = 0;
}

bool slice_rows_take(SliceRows *rows, Shaper *shaper, Arena *arena, Error *err)
{
    if (rows->batch_count == rows->room) {
        const size_t room = rows->room == 0 ? FIRST_BATCHES : 2 * rows->room;
        ShapedBatch **batches = arena_alloc_array(arena, room, sizeof(*batches), err);
        TRY(batches != NULL);
        if (rows->batch_count > 0)
            memcpy(batches, rows->batches, rows->batch_count * sizeof(*batches));
        rows->batches = batches;
        rows->room = room;
    }
    ShapedBatch *batch = NULL;
    TRY(shaper_take(shaper, &batch, err));
    rows->quarantined += batch->quarantine.release == NULL ? 0 : batch->quarantine.length;
    rows->batches[rows->batch_count++] = batch;
    rows->rows += batch->rows;
    return true;
}

static bool take_page(SliceReader *reader, const PlanStream *stream, const PlanSlice *slice,
                      const PageOutcome *outcome, int64_t fetched_us, Shaper *shaper, Arena *arena,
                      SliceRows *rows, Error *err)
{
    const Str pointer = contract_info(stream->contract)->total_pointer;
    yyjson_val *partition = stream->partitions[slice->partition].partition.fields;
    yyjson_val *total = pointer.size == 0 || outcome->doc == NULL
                            ? NULL
                            : json_pointer(yyjson_doc_get_root(outcome->doc), pointer);
    const int64_t told = yyjson_is_int(total) ? yyjson_get_sint(total) : -1;
    rows->totals_moved = rows->totals_moved || (rows->batch_count > 0 && told != rows->total);
    rows->total = told;
    PageOutcome kept = *outcome;
    Str ignored = {0};
    const ForgetPage page = {
        .forgotten = reader->forgotten, .contract = stream->contract, .partition = partition};
    if (reader->forgotten != NULL)
        TRY(forget_page(&page, outcome, reader->page_arena, arena, &rows->left_out, &kept, &ignored,
                        err));
    TRY(shaper_add(shaper, kept.records, kept.record_count, partition, fetched_us, err));
    return slice_rows_take(rows, shaper, arena, err);
}

// The request in hand once more, after a wait; false when it was tried often enough.
static bool wait_for_retry(SliceReader *reader, const PageOutcome *outcome,
                           const HttpResponse *response, int64_t attempts, Error *err)
{
    const RetryPolicy *policy = &reader->job->retry;
    Env *env = reader->env;
    if (attempts >= policy->attempts)
        return error_set(err, ERROR_IO, STR_FMT " (status %d, tried %lld times)",
                         STR_ARG(outcome->reason), response->status, (long long)attempts);
    int64_t wait_us = retry_backoff_us(policy, attempts, env->random(env->state));
    int64_t asked_us = 0;
    if (retry_after_us(response, env->now_us(env->state), &asked_us) && asked_us > wait_us)
        wait_us = asked_us;
    return env_wait(env, wait_us, err);
}

// One answer. *ret_again: ask the same once more; *ret_end: the slice is read.
static bool understand(SliceReader *reader, PageReader *pages, const HttpResponse *response,
                       PageOutcome *outcome, int64_t *attempts, bool *ret_again, bool *ret_end,
                       Error *err)
{
    arena_reset(reader->page_arena);
    TRY(page_reader_answer(pages, response, reader->page_arena, outcome, err));
    *ret_again = false;
    *ret_end = false;
    switch (outcome->verdict) {
    case PAGE_RECORDS:
    case PAGE_REDIRECT:
        return true;
    case PAGE_IGNORED:
        *ret_end = true;
        return true;
    case PAGE_RETRY:
    case PAGE_LIMITED:
        *ret_again = true;
        return wait_for_retry(reader, outcome, response, ++*attempts, err);
    case PAGE_DENIED:
        return error_set(err, ERROR_ACCESS, STR_FMT " (status %d)", STR_ARG(outcome->reason),
                         response->status);
    case PAGE_FAILED:
        break;
    }
    return error_set(err, ERROR_DATA, STR_FMT " (status %d)", STR_ARG(outcome->reason),
                     response->status);
}

static bool read_pages(SliceReader *reader, PageReader *pages, const PlanStream *stream,
                       const PlanSlice *slice, Shaper *shaper, Arena *arena, SliceRows *rows,
                       Error *err)
{
    HttpRequest request = {0};
    bool again = false;
    int64_t attempts = 0;
    for (int page = 0; page < PAGES_MAX; page++) {
        bool more = true;
        bool end = false;
        if (!again) {
            arena_reset(reader->request_arena);
            request = (HttpRequest){0};
            attempts = 0;
            TRY(page_reader_request(pages, reader->request_arena, &request, &more, err));
        }
        if (!more)
            return true;
        TRY(env_check_stop(reader->env, err));
        CLEANUP(http_exchange_freep) HttpExchange *exchange = NULL;
        TRY(fetch_exchange(reader->fetch, stream->stream, &request, &exchange, err));
        rows->requests++;
        PageOutcome outcome = {0};
        TRY(understand(reader, pages, &exchange->response, &outcome, &attempts, &again, &end, err));
        if (outcome.verdict == PAGE_RECORDS)
            TRY(take_page(reader, stream, slice, &outcome, exchange->response.sent_at_us, shaper,
                          arena, rows, err));
        if (end)
            return true;
    }
    return error_set(err, ERROR_LIMIT, "a slice of more than %d pages", PAGES_MAX);
}

bool slice_read(SliceReader *reader, const PlanStream *stream, const PlanSlice *slice,
                Shaper *shaper, Arena *arena, SliceRows *ret_rows, Error *err)
{
    const PlanPartition *partition = &stream->partitions[slice->partition];
    const Window window = {.from_us = slice->from_us, .to_us = slice->to_us};
    CLEANUP(page_reader_freep) PageReader *pages = NULL;
    *ret_rows = (SliceRows){.total = -1};
    shaper_set_zone(shaper, partition->zone);
    TRY(page_reader_new(stream->stream, &partition->partition,
                        stream->cursor.exists ? &window : NULL, arena, &pages, err));
    if (read_pages(reader, pages, stream, slice, shaper, arena, ret_rows, err))
        return true;
    slice_rows_done(ret_rows);
    return error_context(err, STR_FMT " of '" STR_FMT "'", STR_ARG(stream_name(stream->stream)),
                         STR_ARG(partition->value));
}
