#include "run/preview.h"

#include "run/partition.h"

enum { SAMPLES_MAX = 8, PAGE_ARENA_BYTES = 1024 * 1024 * 1024 };

typedef struct Sampler {
    const Job *job;
    Env *env;
    Fetch *fetch;
    Arena *page_arena;
    int64_t totals, sampled, records, bytes, unknown;
} Sampler;

// Asks for the first page of one slice. A refusal is no error here: the run itself would go on with
// the others.
static bool sample_slice(Sampler *sampler, const PlanStream *stream, const PlanSlice *slice,
                         Error *err)
{
    const Window window = {.from_us = slice->from_us, .to_us = slice->to_us};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(arena != NULL);
    CLEANUP(page_reader_freep) PageReader *reader = NULL;
    TRY(page_reader_new(stream->stream, &stream->partitions[slice->partition].partition,
                        stream->cursor.exists ? &window : NULL, arena, &reader, err));
    HttpRequest request = {0};
    bool more = false;
    TRY(page_reader_request(reader, arena, &request, &more, err));
    if (!more)
        return true;
    CLEANUP(http_exchange_freep) HttpExchange *exchange = NULL;
    TRY(fetch_exchange(sampler->fetch, stream->stream, &request, &exchange, err));
    PageOutcome outcome = {0};
    arena_reset(sampler->page_arena);
    TRY(page_reader_answer(reader, &exchange->response, sampler->page_arena, &outcome, err));
    if (outcome.verdict != PAGE_RECORDS)
        return true;
    sampler->sampled++;
    sampler->records += (int64_t)outcome.record_count;
    sampler->bytes += (int64_t)exchange->response.body.size;
    const int64_t total = slice_page_total(stream, &outcome);
    if (total < 0)
        sampler->unknown++;
    else
        sampler->totals += total;
    return true;
}

static void estimate(const Sampler *sampler, Preview *preview)
{
    preview->sampled = sampler->sampled;
    preview->requests = preview->slices;
    preview->rows = -1;
    preview->bytes = -1;
    preview->loads = preview->slices > 0 ? 1 : 0;
    if (sampler->sampled == 0 || sampler->unknown > 0)
        return;
    preview->rows = sampler->totals * preview->slices / sampler->sampled;
    // The first page of a slice that has several is full; so many rows come with one request.
    const int64_t per_page = sampler->records > 0 ? sampler->records / sampler->sampled : 0;
    if (per_page > 0 && preview->rows / per_page > preview->requests)
        preview->requests = preview->rows / per_page;
    if (sampler->records > 0)
        preview->bytes =
            (int64_t)((double)preview->rows * (double)sampler->bytes / (double)sampler->records);
    const int64_t load_rows = sampler->job->limits.load_rows;
    preview->loads = (preview->rows + load_rows - 1) / load_rows;
}

static bool preview_stream(const DiscoverOptions *discover, Plan *plan, JobParts *parts,
                           PlanStream *stream, Preview *preview, Error *err)
{
    const Job *job = discover->job;
    Env *env = discover->env;
    TRY(partition_discover(discover, stream, err));
    PlanKnowledge knowledge = {0};
    TRY(job_parts_read_knowledge(parts, plan->mode, stream, &knowledge, err));
    TRY(plan_slices(job, plan, stream, &knowledge, plan->created_us, parts->arena, err));
    *preview = (Preview){.stream = stream_name(stream->stream),
                         .partitions = (int64_t)stream->partition_count,
                         .slices = (int64_t)stream->slice_count,
                         .warning = STR("")};
    if (stream->far.marks > 0)
        TRY(plan_describe_far(stream, parts->arena, &preview->warning, err));
    CLEANUP(arena_freep) Arena *page_arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(page_arena != NULL);
    Sampler sampler = {.job = job, .env = env, .fetch = discover->fetch, .page_arena = page_arena};
    const size_t samples = stream->slice_count < SAMPLES_MAX ? stream->slice_count : SAMPLES_MAX;
    for (size_t i = 0; i < samples; i++) {
        TRY(env_check_stop(env, err));
        // Spread evenly: the first days of a year are not like the last.
        TRY(sample_slice(&sampler, stream, &stream->slices[i * stream->slice_count / samples],
                         err));
    }
    estimate(&sampler, preview);
    return true;
}

bool preview_plan(JobParts *parts, const RunOptions *options, const EventSink *sink, Plan *plan,
                  Error *err)
{
    const FetchOptions fetch_options = {.job = parts->job,
                                        .mode = options->mode,
                                        .connector = parts->connector,
                                        .env = parts->env,
                                        .connect_to = options->connect_to,
                                        .arena = parts->arena};
    CLEANUP(fetch_closep) Fetch *fetch = NULL;
    TRY(fetch_open(&fetch_options, &fetch, err));
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        const DiscoverOptions discover = {.job = parts->job,
                                          .plan = plan,
                                          .fetch = fetch,
                                          .env = parts->env,
                                          .arena = parts->arena,
                                          .only_value = options->account,
                                          .sink = sink};
        TRY(partition_discover(&discover, stream, err));
        PlanKnowledge knowledge = {0};
        TRY(job_parts_read_knowledge(parts, plan->mode, stream, &knowledge, err));
        TRY(plan_slices(parts->job, plan, stream, &knowledge, plan->created_us, parts->arena, err));
    }
    TRY(partition_check_named(plan->streams, plan->stream_count, options->account, err));
    return parts->warehouse.driver->idle(parts->warehouse.state, err);
}

bool preview_make(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
                  Arena *arena, Previews *ret_previews, Error *err)
{
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    CLEANUP(job_parts_close) JobParts parts = {0};
    TRY(job_parts_open(job, options->stream, env, arena, findings, &parts, err));
    TRY(findings_check(findings, err));
    Plan plan = {.mode = options->mode,
                 .asked = {.from = options->from, .to = options->to},
                 .created_us = env->now_us(env->state),
                 .streams = parts.streams,
                 .stream_count = parts.stream_count};
    const FetchOptions fetch_options = {.job = job,
                                        .mode = options->mode,
                                        .connector = parts.connector,
                                        .env = env,
                                        .connect_to = options->connect_to,
                                        .arena = arena};
    CLEANUP(fetch_closep) Fetch *fetch = NULL;
    TRY(fetch_open(&fetch_options, &fetch, err));
    Preview *previews = arena_alloc_array(arena, parts.stream_count + 1, sizeof(*previews), err);
    TRY(previews != NULL);
    CLEANUP(answer_cache_done) AnswerCache cache = answer_cache(job, arena);
    const DiscoverOptions discover = {.job = job,
                                      .plan = &plan,
                                      .fetch = fetch,
                                      .env = env,
                                      .cache = &cache,
                                      .arena = arena,
                                      .only_value = options->account,
                                      .sink = sink};
    for (size_t i = 0; i < parts.stream_count; i++)
        TRY(preview_stream(&discover, &plan, &parts, &parts.streams[i], &previews[i], err));
    TRY(partition_check_named(parts.streams, parts.stream_count, options->account, err));
    *ret_previews = (Previews){previews, parts.stream_count};
    return true;
}
