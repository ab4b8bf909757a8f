#include "run/replay.h"

#include "run/drivers.h"
#include "run/forget_list.h"
#include "run/lake.h"
#include "run/replay_choice.h"
#include "run/views.h"
#include "store/lease.h"

#include <stdio.h>
#include <stdlib.h>

// Watermarks of a stream that were there before the replay, by partition.
typedef struct Standing {
    Watermark *marks;
    size_t count;
} Standing;

typedef struct Replay {
    const Job *job;
    const ReplayOptions *options;
    Env *env;
    const EventSink *sink;
    Arena *arena;
    JobParts parts;
    Lease lease;
    ReplayReport *report;
    Plan plan; // of the run in hand, like what follows
    EndNote end;
    bool ended;
    LogBook *log;
    ForgetList forget;
    Standing *standing; // of each stream of the job
    int32_t first_day, last_day;
} Replay;

// --- which slices

static bool is_wanted(const Replay *replay, const PlanStream *stream, const PlanSlice *slice)
{
    if (!stream->cursor.exists)
        return true;
    int64_t from_us = 0;
    int64_t to_us = 0;
    const Zone *zone = stream->partitions[slice->partition].zone;
    plan_slice_bounds(stream, slice, &from_us, &to_us);
    return to_us > zone_start_of_date(zone, replay->first_day) &&
           from_us < zone_start_of_date(zone, replay->last_day + 1);
}

static void emit_unnoted(const Replay *replay, Str run, const ReplayChoice *choice)
{
    Event event = {.kind = EVENT_NOTES_MISSING, EVENT_NONE};
    event.at_us = replay->env->now_us(replay->env->state);
    event.run = run;
    event.job = replay->job->name;
    event.mode = STR("replay");
    event.stream = stream_name(choice->stream->stream);
    event.done = (int64_t)choice->unnoted;
    event.total = (int64_t)(choice->unnoted + choice->missing);
    replay->sink->emit(replay->sink->state, &event);
}

// Slices that the run had loaded and nobody can name: the others are loaded nevertheless.
static bool note_missing(Replay *replay, Str run, const ReplayChoice *choice, Error *err)
{
    ReplayReport *report = replay->report;
    report->missing += (int64_t)choice->missing;
    return report->first_missing.size > 0 ||
           arena_printf(replay->arena, &report->first_missing, err,
                        "run " STR_FMT ", " STR_FMT
                        ": %zu slices that it loaded are neither in a note of its loads nor landed "
                        "whole",
                        STR_ARG(run), STR_ARG(stream_name(choice->stream->stream)),
                        choice->missing);
}

static bool choose_slices(Replay *replay, Str run, PlanStream *stream, Error *err)
{
    ReplayChoice choice = {.landing = replay->parts.landing,
                           .run = run,
                           .end = replay->ended ? &replay->end : NULL,
                           .mode = replay->plan.mode,
                           .stream = stream,
                           .arena = replay->arena};
    if (replay->options->stream.size > 0 &&
        !str_equal(replay->options->stream, stream_name(stream->stream))) {
        stream->replayed =
            arena_alloc_array(replay->arena, stream->slice_count + 1, sizeof(uint32_t), err);
        return stream->replayed != NULL;
    }
    TRY(replay_choose(&choice, err));
    if (choice.unnoted + choice.missing > 0)
        emit_unnoted(replay, run, &choice);
    if (choice.missing > 0)
        TRY(note_missing(replay, run, &choice, err));
    replay->report->unnoted += (int64_t)choice.unnoted;
    for (size_t i = 0; i < stream->slice_count; i++) {
        if (!is_wanted(replay, stream, &stream->slices[i]))
            stream->replayed[i] = 0;
    }
    return true;
}

// --- watermarks that stand

static int compare_marks(const void *a, const void *b)
{
    const Watermark *first = a;
    const Watermark *second = b;
    return str_compare(first->partition_key, second->partition_key);
}

// What is replayed is nothing new: a watermark that stands behind it was put there by a person.
static bool read_standing(Replay *replay, Error *err)
{
    JobParts *parts = &replay->parts;
    replay->standing =
        arena_alloc_array(replay->arena, parts->stream_count + 1, sizeof(Standing), err);
    TRY(replay->standing != NULL);
    for (size_t i = 0; i < parts->stream_count; i++) {
        const PlanStream *stream = &parts->streams[i];
        Standing *standing = &replay->standing[i];
        size_t count = 0;
        TRY(parts->warehouse.driver->read_watermarks(parts->warehouse.state, replay->job->name,
                                                     &stream->table, replay->arena,
                                                     &standing->marks, &count, err));
        for (size_t k = 0; k < count; k++) {
            if (str_equal(standing->marks[k].stream, stream_name(stream->stream)))
                standing->marks[standing->count++] = standing->marks[k];
        }
        if (standing->count > 0)
            qsort(standing->marks, standing->count, sizeof(Watermark), compare_marks);
    }
    return true;
}

static void keep_standing(const Standing *standing, PlanStream *stream)
{
    for (size_t i = 0; standing->count > 0 && i < stream->partition_count; i++) {
        PlanPartition *partition = &stream->partitions[i];
        const Watermark wanted = {.partition_key = partition->partition.key};
        partition->keeps_watermark = bsearch(&wanted, standing->marks, standing->count,
                                             sizeof(Watermark), compare_marks) != NULL;
    }
}

// --- one landed run

static bool open_worker_landing(void *state, Arena *arena, Store *ret_store, Landing **ret_landing,
                                Error *err)
{
    Replay *replay = state;
    Findings findings = {.arena = arena};
    TRY(job_open_landing(replay->job, replay->env, arena, &findings, ret_store, ret_landing, err));
    return findings_check(&findings, err);
}

static bool renew_lease(void *state, Error *err)
{
    Replay *replay = state;
    return lease_renew(&replay->lease, err);
}

// Makes the plan of a landed run that of its replay: another id, the same slices.
static bool read_plan(Replay *replay, Str run, Str json, bool *ret_any, Error *err)
{
    const JobParts *parts = &replay->parts;
    Plan *plan = &replay->plan;
    *plan = (Plan){.stream_count = parts->stream_count};
    plan->streams =
        arena_alloc_array(replay->arena, parts->stream_count + 1, sizeof(PlanStream), err);
    TRY(plan->streams != NULL);
    memcpy(plan->streams, parts->streams, parts->stream_count * sizeof(PlanStream));
    yyjson_val *streams = NULL;
    TRY(plan_read_request(json, plan, replay->arena, &streams, err) &&
        plan_read_streams(streams, replay->job, plan, replay->arena, err));
    (void)snprintf(plan->landed_run, sizeof(plan->landed_run), STR_FMT, STR_ARG(run));
    uuid_new(replay->env, plan->run);
    plan->rewrites = replay->options->rewrite;
    *ret_any = false;
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        keep_standing(&replay->standing[i], stream);
        TRY(choose_slices(replay, run, stream, err));
        for (size_t k = 0; k < stream->slice_count; k++)
            *ret_any = *ret_any || stream->replayed[k] != 0;
    }
    return true;
}

static void add_report(PipelineReport *sum, const PipelineReport *one)
{
    sum->slices += one->slices;
    sum->slices_failed += one->slices_failed;
    sum->loads += one->loads;
    sum->inserted += one->inserted;
    sum->updated += one->updated;
    sum->unchanged += one->unchanged;
    sum->deleted += one->deleted;
    sum->quarantined += one->quarantined;
    sum->overflowed += one->overflowed;
    sum->forgotten += one->forgotten;
    sum->partitions_failed += one->partitions_failed;
    if (sum->first_failure.size == 0)
        sum->first_failure = one->first_failure;
}

static bool load_again(Replay *replay, PipelineReport *ret_report, Error *err)
{
    JobParts *parts = &replay->parts;
    const FetchOptions fetch_options = {.job = replay->job,
                                        .mode = replay->plan.mode,
                                        .connector = parts->connector,
                                        .env = replay->env,
                                        .arena = replay->arena};
    Fetch *fetch = NULL; // asked nothing; the pipeline closes it
    TRY(fetch_open(&fetch_options, &fetch, err));
    const PipelineOptions options = {.job = replay->job,
                                     .plan = &replay->plan,
                                     .fetch = fetch,
                                     .landing = parts->landing,
                                     .store = &parts->store,
                                     .warehouse = &parts->warehouse,
                                     .lake = parts->lake,
                                     .epoch = replay->lease.epoch,
                                     .forgotten = replay->forget.forgotten,
                                     .sink = replay->sink,
                                     .log = &replay->log,
                                     .open_landing = open_worker_landing,
                                     .tick = renew_lease,
                                     .state = replay};
    return pipeline_run(&options, replay->env, replay->arena, ret_report, err);
}

static void log_run(Replay *replay, const PipelineReport *report, int64_t started_us,
                    const Error *why)
{
    EtlLogRow row = {.run = str_from(replay->plan.run),
                     .job = replay->job->name,
                     .mode = STR("replay"),
                     .stage = STR("run"),
                     .status = why->code != ERROR_NONE     ? STR("failed")
                               : report->slices_failed > 0 ? STR("partial")
                                                           : STR("ok"),
                     ETL_LOG_NONE};
    row.rows_inserted = report->inserted;
    row.rows_updated = report->updated;
    row.rows_unchanged = report->unchanged;
    row.rows_deleted = report->deleted;
    row.rows_quarantined = report->quarantined;
    row.rows_overflowed = report->overflowed;
    row.started_us = started_us;
    row.duration_us = replay->env->now_us(replay->env->state) - started_us;
    Error ignored = {0};
    if (why->code != ERROR_NONE &&
        !log_book_error_json(replay->log, why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(replay->log, &row);
    if (!log_book_write(replay->log, &replay->parts.warehouse, &ignored))
        (void)!log_book_keep(replay->log, &replay->parts.store, replay->job->name, row.run,
                             replay->env, &ignored);
}

static bool see_any(void *visitor, const LandedSlice *slice, Error *err)
{
    (void)err;
    *(bool *)visitor = *(bool *)visitor || !slice->unknown;
    return true;
}

// Without its plan nothing of a run can be replayed; the others are. One that was killed before its
// plan was there has landed nothing.
static bool note_unplanned(Replay *replay, Str run, const char *why, Error *err)
{
    bool any = false;
    TRY(landing_visit_slices(replay->parts.landing, run, STR(""), see_any, &any, err));
    if (!any)
        return true;
    replay->report->unplanned++;
    return replay->report->first_missing.size > 0 ||
           arena_printf(replay->arena, &replay->report->first_missing, err, "run " STR_FMT ": %s",
                        STR_ARG(run), why);
}

static bool replay_run(Replay *replay, Str run, Error *err)
{
    ReplayReport *report = replay->report;
    Landing *landing = replay->parts.landing;
    Str json = {0};
    Str ignored = {0};
    bool there = false;
    bool expired = false;
    TRY(landing_find_note(landing, run, STR("expired.json"), replay->arena, &ignored, &expired,
                          err));
    if (expired) {
        report->expired++;
        return true;
    }
    Error damaged = {0};
    if (!plan_find(landing, run, replay->arena, &json, &there, &damaged)) {
        if (damaged.code == ERROR_DATA)
            return note_unplanned(replay, run, damaged.message, err);
        *err = damaged;
        return false;
    }
    if (!there)
        return note_unplanned(
            replay, run, "its run.json is not there, without which nothing of it can be replayed",
            err);
    bool any = false;
    TRY(end_note_read(landing, run, replay->arena, &replay->end, &replay->ended, err) &&
        read_plan(replay, run, json, &any, err));
    if (!any)
        return true;
    // Marks are proven by the whole of a run: one that left gaps, or is replayed in part, proves
    // none.
    replay->plan.keeps_watermarks = !replay->ended || !str_equal(replay->end.status, STR("done")) ||
                                    replay->options->from.size > 0 || replay->options->to.size > 0;
    PipelineReport one = {0};
    const int64_t started_us = replay->env->now_us(replay->env->state);
    const bool ok = load_again(replay, &one, err);
    log_run(replay, &one, started_us, err);
    add_report(&report->pipeline, &one);
    report->runs++;
    return ok || error_context(err, "replay of run " STR_FMT, STR_ARG(run));
}

// --- the whole

static bool read_day(Str text, const char *option, int32_t *day, Error *err)
{
    return text.size == 0 || date_parse(text, day) ||
           error_set(err, ERROR_JOB, "--%s: '" STR_FMT "' is not a day: write 2026-03-01", option,
                     STR_ARG(text));
}

static bool replay_all(Replay *replay, Error *err)
{
    JobParts *parts = &replay->parts;
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(replay->env, id);
    Str path = {0};
    TRY(arena_printf(replay->arena, &path, err, STR_FMT "/leases/replay.json",
                     STR_ARG(replay->job->name)));
    if (!lease_take(&replay->lease, &parts->store, path, str_from(id), LEASE_TTL_US_MAX, err))
        return err->code == ERROR_BUSY
                   ? error_context(err, "another replay of this job is going on")
                   : false;
    TRY(forget_list_read(replay->job, &parts->store, replay->arena, &replay->forget, err));
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, replay->arena, &tables, err));
    TRY(parts->warehouse.driver->prepare(parts->warehouse.state, tables, parts->stream_count, err));
    TRY(views_create(parts, err) && read_standing(replay, err));
    Str *runs = NULL;
    size_t count = 0;
    TRY(landing_list_runs(parts->landing, replay->arena, &runs, &count, err));
    for (size_t i = 0; i < count; i++)
        TRY(env_check_stop(replay->env, err) && replay_run(replay, runs[i], err));
    return true;
}

bool replay_execute(const Job *job, const ReplayOptions *options, Env *env, const EventSink *sink,
                    Arena *arena, ReplayReport *ret_report, Error *err)
{
    Replay replay = {.job = job,
                     .options = options,
                     .env = env,
                     .sink = sink,
                     .arena = arena,
                     .report = ret_report,
                     .first_day = date_from_civil(1, 1, 3),
                     .last_day = date_from_civil(9999, 12, 28)};
    TRY(read_day(options->from, "from", &replay.first_day, err) &&
        read_day(options->to, "to", &replay.last_day, err));
    if (replay.first_day > replay.last_day)
        return error_set(err, ERROR_JOB, "the first day, " STR_FMT ", is after the last, " STR_FMT,
                         STR_ARG(options->from), STR_ARG(options->to));
    if (options->stream.size > 0 && job_find_stream(job, options->stream) == NULL)
        return error_set(err, ERROR_JOB, "the job has no stream '" STR_FMT "'",
                         STR_ARG(options->stream));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    *ret_report = (ReplayReport){0};
    const int64_t started_us = env->monotonic_us(env->state);
    bool ok = job_parts_open(job, STR(""), env, arena, findings, &replay.parts, err) &&
              job_parts_check_loads(&replay.parts, findings, err) &&
              findings_check(findings, err) && lake_open(&replay.parts, findings, err) &&
              log_book_new(&replay.log, err) && replay_all(&replay, err);
    ret_report->elapsed_us = env->monotonic_us(env->state) - started_us;
    lease_release(&replay.lease);
    log_book_free(replay.log);
    job_parts_close(&replay.parts);
    return ok;
}
