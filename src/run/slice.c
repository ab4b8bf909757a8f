#include "run/slice.h"

#include "run/fetch.h"
#include "run/slice_known.h"
#include "run/slice_parts.h"

#include <assert.h>

enum { REQUEST_ARENA_BYTES = 1024 * 1024 };

bool slice_new(const SliceContext *context, uint32_t stream_index, uint32_t ordinal,
               uint32_t reading, SliceTask **ret_task, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(SLICE_ARENA_BYTES, err);
    TRY(arena != NULL);
    SliceTask *task = arena_alloc(arena, sizeof(*task), err);
    TRY(task != NULL);
    *task = (SliceTask){.context = context,
                        .stream = &context->plan->streams[stream_index],
                        .stream_index = stream_index,
                        .ordinal = ordinal,
                        .reading = reading,
                        .manifest = {.first_total = -1, .last_total = -1, .in_one_go = true}};
    task->request_arena = arena_new(REQUEST_ARENA_BYTES, err);
    TRY(task->request_arena != NULL);
    task->arena = arena;
    task->left_out.arena = arena;
    arena = NULL;
    *ret_task = task;
    return true;
}

void slice_free(SliceTask *task)
{
    if (task == NULL)
        return;
    slice_drop_batches(task);
    http_exchange_free(task->fetch.exchange);
    page_reader_free(task->reader);
    arena_free(task->request_arena);
    arena_free(task->arena); // holds the task itself
}

SliceName slice_name(const SliceTask *task)
{
    const Plan *plan = task->context->plan;
    return (SliceName){.run = str_from(plan_is_replay(plan) ? plan->landed_run : plan->run),
                       .stream = stream_name(task->stream->stream),
                       .partition_key = slice_partition(task)->partition.key,
                       .slice = plan_slice_number(task->stream, task->ordinal),
                       .reading = task->reading};
}

static SliceWant fail(SliceTask *task)
{
    assert(task->err.code != ERROR_NONE);
    task->ended_us = task->context->env->now_us(task->context->env->state);
    return SLICE_HAS_FAILED;
}

// --- what is next

static SliceWant finish(SliceTask *task, SliceWorker *worker)
{
    if (slice_finish(task, worker, &task->err))
        return plan_is_replay(task->context->plan) || worker->landing == NULL ? SLICE_IS_DONE
                                                                              : SLICE_WANTS_SEAL;
    task->ours = true;
    return fail(task);
}

bool slice_next_request(SliceTask *task, bool *ret_more, Error *err)
{
    arena_reset(task->request_arena);
    task->fetch = (FetchTask){0};
    task->attempts = 0;
    return page_reader_request(task->reader, task->request_arena, &task->fetch.request, ret_more,
                               err);
}

static SliceWant next_want(SliceTask *task, SliceWorker *worker)
{
    bool more = false;
    if (!slice_next_request(task, &more, &task->err))
        return fail(task);
    if (more)
        return SLICE_WANTS_ANSWER;
    return finish(task, worker);
}

// --- pages that an earlier attempt landed

bool slice_use_landed_page(SliceTask *task, SliceWorker *worker, bool *ret_there, Error *err)
{
    const SliceName name = slice_name(task);
    Str body = {0};
    PageInfo info = {0};
    Error missing = {0};
    arena_reset(worker->page_arena);
    *ret_there = landing_get_page(worker->landing, &name, (uint32_t)task->pages.count,
                                  worker->page_arena, &body, &info, &missing);
    if (!*ret_there) {
        if (missing.code == ERROR_NOT_FOUND)
            return true;
        *err = missing;
        return false;
    }
    const HttpResponse response = {.status = 200, .body = body, .sent_at_us = info.fetched_us};
    PageOutcome outcome = {0};
    TRY(page_reader_answer(task->reader, &response, worker->page_arena, &outcome, err));
    if (outcome.verdict != PAGE_RECORDS && outcome.verdict != PAGE_IGNORED)
        return error_set(err, ERROR_DATA, "landed page %zu cannot be used again: " STR_FMT,
                         task->pages.count + 1, STR_ARG(outcome.reason));
    task->resumed = true;
    Str ignored = {0};
    return slice_note_page(task, &info, err) &&
           slice_leave_out(task, worker, &outcome, &ignored, err) &&
           slice_shape_page(task, worker, &outcome, info.fetched_us, err);
}

bool slice_open_reader(SliceTask *task, Error *err)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    const PlanPartition *partition = slice_partition(task);
    Window *window = arena_alloc(task->arena, sizeof(*window), err);
    TRY(window != NULL);
    *window = (Window){.from_us = slice->from_us, .to_us = slice->to_us};
    TRY(page_reader_new(task->stream->stream, &partition->partition,
                        task->stream->cursor.exists ? window : NULL, task->arena, &task->reader,
                        err));
    task->started_us = task->context->env->now_us(task->context->env->state);
    return slice_known_begin(task, err);
}

// An answer that the manifest passes over ends a slice and is not landed: that there was no page
// behind the last one only the note of the whole slice tells.
static bool was_all(SliceTask *task, SliceWorker *worker)
{
    const SliceName name = slice_name(task);
    SliceManifest landed = {0};
    Error ignored = {0};
    task->cut = landing_get_slice(worker->landing, &name, task->arena, &landed, &ignored) &&
                landed.page_count == task->pages.count;
    // Without a page only the note knows when that was; one from before it did was asked for after
    // the run was planned.
    if (task->cut && task->pages.count == 0)
        task->manifest.fetched_us =
            landed.fetched_us > 0 ? landed.fetched_us : task->context->plan->created_us;
    return task->cut;
}

SliceWant slice_begin(SliceTask *task, SliceWorker *worker)
{
    assert(!task->opened);

    task->opened = true;
    if (!slice_open_reader(task, &task->err))
        return fail(task);
    bool more = true;
    if (!slice_next_request(task, &more, &task->err))
        return fail(task);
    // Only a resumed run can find pages; a fresh one saves itself the look.
    bool there = task->context->plan->resumed;
    while (there && more) {
        if (!slice_use_landed_page(task, worker, &there, &task->err) ||
            (there && !slice_next_request(task, &more, &task->err)))
            return fail(task);
    }
    if (more && plan_is_replay(task->context->plan)) {
        if (was_all(task, worker))
            return finish(task, worker);
        (void)error_set(&task->err, ERROR_NOT_FOUND, "page %zu is not landed, or not any more",
                        task->pages.count + 1);
        return fail(task);
    }
    if (more)
        return SLICE_WANTS_ANSWER;
    return finish(task, worker);
}

// --- answers

// The same request once more, after as long as the far side and the job's own rule ask for.
static SliceWant retry_or_fail(SliceTask *task, const PageOutcome *outcome,
                               const HttpResponse *response)
{
    const SliceContext *context = task->context;
    const RetryPolicy *policy = &context->job->retry;
    task->attempts++;
    if (task->attempts >= policy->attempts) {
        (void)error_set(&task->err, ERROR_IO, "page %zu: " STR_FMT " (status %d, tried %lld times)",
                        task->pages.count + 1, STR_ARG(outcome->reason), response->status,
                        (long long)task->attempts);
        return fail(task);
    }
    RetryWait wait = {0};
    if (!fetch_retry_wait(policy, task->attempts, outcome, response, context->env, &wait,
                          &task->err)) {
        (void)error_context(&task->err, "page %zu: " STR_FMT " (status %d)", task->pages.count + 1,
                            STR_ARG(outcome->reason), response->status);
        // A limit is everybody's; other trouble may be this partition's alone.
        if (!fetch_is_limit(outcome, response))
            task->err.code = ERROR_IO;
        return fail(task);
    }
    // The task keeps its place in the rate budget's count: that is what was refused.
    task->fetch.limited = outcome->verdict == PAGE_LIMITED && response->status != 429;
    task->fetch.delay_us = wait.us;
    task->fetch.hold_us = wait.hold_us;
    task->retries++;
    atomic_fetch_add(&context->counters->retries, 1);
    return SLICE_WANTS_ANSWER;
}

// Of the page noted last. `whole`: no record was left out of it.
static bool make_rows(SliceTask *task, SliceWorker *worker, const PageOutcome *outcome, bool whole,
                      Error *err)
{
    bool taken = false;
    const ShapeCounts before = task->counts;
    const PageInfo *info = &task->pages.items[task->pages.count - 1];
    TRY(!whole || slice_known_take(task, worker, outcome, &taken, err));
    if (taken)
        return true;
    return slice_shape_page(task, worker, outcome, info->fetched_us, err) &&
           slice_known_note(task, outcome, &before, whole, err);
}

static SliceWant take_page(SliceTask *task, SliceWorker *worker, const HttpResponse *response,
                           const PageOutcome *outcome)
{
    PageInfo info = {0};
    PageOutcome kept = *outcome;
    Str without = {0};
    if (!slice_leave_out(task, worker, &kept, &without, &task->err) ||
        !slice_land_page(task, worker, response, outcome, without, &info, &task->err)) {
        task->ours = true;
        return fail(task);
    }
    if (!slice_note_page(task, &info, &task->err) ||
        !make_rows(task, worker, &kept, without.data == NULL, &task->err))
        return fail(task);
    task->bytes += info.body_bytes;
    atomic_fetch_add(&task->context->counters->records, (long long)outcome->record_count);
    return next_want(task, worker);
}

static SliceWant take_answer(SliceTask *task, SliceWorker *worker, const HttpResponse *response)
{
    PageOutcome outcome = {0};
    arena_reset(worker->page_arena);
    if (!page_reader_answer(task->reader, response, worker->page_arena, &outcome, &task->err))
        return fail(task);
    switch (outcome.verdict) {
    case PAGE_RECORDS:
        return take_page(task, worker, response, &outcome);
    case PAGE_RETRY:
    case PAGE_LIMITED:
        return retry_or_fail(task, &outcome, response);
    case PAGE_IGNORED:
        task->cut = true;
        return next_want(task, worker);
    case PAGE_REDIRECT:
        return next_want(task, worker);
    case PAGE_DENIED:
        task->denied = true;
        (void)error_set(&task->err, ERROR_ACCESS, "page %zu: " STR_FMT " (status %d)",
                        task->pages.count + 1, STR_ARG(outcome.reason), response->status);
        return fail(task);
    case PAGE_FAILED:
        break;
    }
    (void)error_set(&task->err, ERROR_DATA, "page %zu: " STR_FMT " (status %d)",
                    task->pages.count + 1, STR_ARG(outcome.reason), response->status);
    return fail(task);
}

SliceWant slice_go_on(SliceTask *task, SliceWorker *worker)
{
    assert(task->opened);

    RunCounters *counters = task->context->counters;
    atomic_fetch_add(&counters->requests, (long long)task->fetch.attempts);
    HttpExchange *exchange = task->fetch.exchange;
    task->fetch.exchange = NULL;
    if (exchange == NULL) {
        task->err = task->fetch.err;
        (void)error_context(&task->err, "page %zu", task->pages.count + 1);
        return fail(task);
    }
    const SliceWant want = take_answer(task, worker, &exchange->response);
    http_exchange_free(exchange);
    return want;
}
