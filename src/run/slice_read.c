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

// One slice on its way from pages to rows.
typedef struct Reading {
    SliceReader *reader;
    PageReader *pages;
    const PlanStream *stream;
    const PlanSlice *slice;
    Shaper *shaper;
    Arena *arena;
    SliceRows *rows;
    int64_t attempts; // of the request in hand
    bool again;       // it is asked once more
    bool end;         // the slice is read
} Reading;

static bool take_page(Reading *reading, const PageOutcome *outcome, int64_t fetched_us, Error *err)
{
    SliceReader *reader = reading->reader;
    const PlanStream *stream = reading->stream;
    SliceRows *rows = reading->rows;
    yyjson_val *partition = stream->partitions[reading->slice->partition].partition.fields;
    const int64_t total = slice_page_total(stream, outcome);
    rows->totals_moved = rows->totals_moved || (rows->batch_count > 0 && total != rows->total);
    rows->total = total;
    PageOutcome kept = *outcome;
    Str ignored = {0};
    const ForgetPage page = {.forgotten = reader->forgotten,
                             .stream = stream->stream,
                             .contract = stream->contract,
                             .partition = partition};
    if (reader->forgotten != NULL)
        TRY(forget_page(&page, outcome, reader->page_arena, &rows->left_out, &kept, &ignored, err));
    TRY(shaper_add(reading->shaper, kept.records, kept.record_count, partition, fetched_us, err));
    return slice_rows_take(rows, reading->shaper, reading->arena, err);
}

// The request in hand once more, after a wait; false when it was tried often enough.
static bool wait_for_retry(SliceReader *reader, const PageOutcome *outcome,
                           const HttpResponse *response, int64_t attempts, Error *err)
{
    const RetryPolicy *policy = &reader->job->retry;
    if (attempts >= policy->attempts)
        return error_set(err, ERROR_IO, STR_FMT " (status %d, tried %lld times)",
                         STR_ARG(outcome->reason), response->status, (long long)attempts);
    RetryWait wait = {0};
    TRY(fetch_retry_wait(policy, attempts, outcome, response, reader->env, &wait, err));
    return env_wait(reader->env, wait.us, err);
}

// One answer: what it holds, and what is next.
static bool understand(Reading *reading, const HttpResponse *response, PageOutcome *outcome,
                       Error *err)
{
    SliceReader *reader = reading->reader;
    arena_reset(reader->page_arena);
    TRY(page_reader_answer(reading->pages, response, reader->page_arena, outcome, err));
    reading->again = false;
    switch (outcome->verdict) {
    case PAGE_RECORDS:
    case PAGE_REDIRECT:
        return true;
    case PAGE_IGNORED:
        reading->end = true;
        return true;
    case PAGE_RETRY:
    case PAGE_LIMITED:
        reading->again = true;
        return wait_for_retry(reader, outcome, response, ++reading->attempts, err);
    case PAGE_DENIED:
        return error_set(err, ERROR_ACCESS, STR_FMT " (status %d)", STR_ARG(outcome->reason),
                         response->status);
    case PAGE_FAILED:
        break;
    }
    return error_set(err, ERROR_DATA, STR_FMT " (status %d)", STR_ARG(outcome->reason),
                     response->status);
}

static bool read_pages(Reading *reading, Error *err)
{
    SliceReader *reader = reading->reader;
    HttpRequest request = {0};
    for (int page = 0; page < PAGES_MAX; page++) {
        bool more = true;
        if (!reading->again) {
            arena_reset(reader->request_arena);
            request = (HttpRequest){0};
            reading->attempts = 0;
            TRY(page_reader_request(reading->pages, reader->request_arena, &request, &more, err));
        }
        if (!more)
            return true;
        TRY(env_check_stop(reader->env, err));
        CLEANUP(http_exchange_freep) HttpExchange *exchange = NULL;
        TRY(fetch_exchange(reader->fetch, reading->stream->stream, &request, &exchange, err));
        reading->rows->requests++;
        PageOutcome outcome = {0};
        TRY(understand(reading, &exchange->response, &outcome, err));
        if (outcome.verdict == PAGE_RECORDS)
            TRY(take_page(reading, &outcome, exchange->response.sent_at_us, err));
        if (reading->end)
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
    *ret_rows = (SliceRows){.total = -1, .left_out = {.arena = arena}};
    shaper_set_zone(shaper, partition->zone);
    TRY(page_reader_new(stream->stream, &partition->partition,
                        stream->cursor.exists ? &window : NULL, arena, &pages, err));
    Reading reading = {.reader = reader,
                       .pages = pages,
                       .stream = stream,
                       .slice = slice,
                       .shaper = shaper,
                       .arena = arena,
                       .rows = ret_rows};
    if (read_pages(&reading, err))
        return true;
    slice_rows_done(ret_rows);
    return error_context(err, STR_FMT " of '" STR_FMT "'", STR_ARG(stream_name(stream->stream)),
                         STR_ARG(partition->value));
}
