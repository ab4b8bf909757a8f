// The plan of a run: that of one which was not finished, or a new one.
#include "base/kill.h"
#include "run/partition.h"
#include "run/run_parts.h"
#include "run/unfinished.h"
#include "run/views.h"

#include <stdio.h>

// --- an unfinished run

// Whether this command names anything that the run was not planned with. What it does not name
// stays as it was planned.
static bool same_request(const RunOptions *options, const PlanRequest *asked)
{
    const struct {
        Str now, then;
    } pairs[] = {{options->from, asked->from},
                 {options->to, asked->to},
                 {options->stream, asked->stream},
                 {options->account, asked->account}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (pairs[i].now.size > 0 && !str_equal(pairs[i].now, pairs[i].then))
            return false;
    }
    return true;
}

static bool resume(Run *run, Str id, Str json, Error *err)
{
    if (run->options->start_over)
        return unfinished_give_up(run->parts.landing, id, run->env->now_us(run->env->state), err);
    Plan *plan = &run->plan;
    (void)snprintf(plan->run, sizeof(plan->run), STR_FMT, STR_ARG(id));
    yyjson_val *streams = NULL;
    TRY(plan_read_request(json, plan, run->arena, &streams, err));
    TRY(unfinished_describe(&plan->asked, run->arena, &run->planned_with, err));
    run->report.other_unfinished = !same_request(run->options, &plan->asked);
    if (run->report.other_unfinished)
        return error_set(err, ERROR_JOB,
                         "an unfinished %s run (%s) was planned %s" STR_FMT
                         ": finish it with the same options or with none of them, or give it up "
                         "with --start-over",
                         run_mode_name(plan->mode), plan->run,
                         run->planned_with.size > 0 ? "with" : "without options",
                         STR_ARG(run->planned_with));
    TRY(plan_read_streams(streams, run->job, plan, run->arena, err));
    run->report.resumed = true;
    return true;
}

// --- what a run wants of the warehouse first

// What an earlier run could not write. Not worth this run: it waits on where that fails.
static void deliver_log(Run *run)
{
    Error later = {0};
    if (run->parts.warehouse.driver->logs_once_a_run)
        return; // they go with this run's own
    (void)!log_book_deliver(&run->parts.store, run->job->name, &run->parts.warehouse, &later);
}

static bool prepare_warehouse(Run *run, Error *err)
{
    const JobParts *parts = &run->parts;
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, run->arena, &tables, err));
    const Plan *plan = &run->plan;
    if (parts->warehouse.driver->name_run != NULL)
        TRY(parts->warehouse.driver->name_run(parts->warehouse.state, str_from(plan->run),
                                              run->job->name, str_from(run_mode_name(plan->mode)),
                                              err));
    TRY(parts->warehouse.driver->prepare(parts->warehouse.state, tables, parts->stream_count, err));
    TRY(views_create(&run->parts, err));
    deliver_log(run);
    return true;
}

// --- a new one

static bool tell_far(Run *run, const PlanStream *stream, Error *err)
{
    Event event = {.kind = EVENT_MARKS_FAR_BACK, EVENT_NONE};
    if (stream->far.marks == 0)
        return true;
    event.stream = stream_name(stream->stream);
    event.total = (int64_t)stream->far.windows;
    TRY(plan_describe_far(stream, run->arena, &event.text, err));
    run_emit(run, event);
    return true;
}

static bool make_plan(Run *run, Error *err)
{
    Plan *plan = &run->plan;
    uuid_new(run->env, plan->run);
    plan->created_us = run->env->now_us(run->env->state);
    plan->asked = (PlanRequest){.from = run->options->from,
                                .to = run->options->to,
                                .stream = run->options->stream,
                                .account = run->options->account};
    int64_t slices = 0;
    CLEANUP(answer_cache_done)
    AnswerCache cache = answer_cache(run->job, run->arena);
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        const DiscoverOptions discover = {.job = run->job,
                                          .plan = plan,
                                          .fetch = run->fetch,
                                          .env = run->env,
                                          .cache = &cache,
                                          .arena = run->arena,
                                          .only_value = run->options->account,
                                          .sink = run->sink};
        TRY(partition_discover(&discover, stream, err));
    }
    answer_cache_done(&cache);
    TRY(partition_check_named(plan->streams, plan->stream_count, plan->asked.account, err));
    // The warehouse is opened only now: others may want the file while the source is asked.
    TRY(prepare_warehouse(run, err) && run_look_for_memo(run, err));
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        PlanKnowledge knowledge = {0};
        TRY(run_read_knowledge(run, stream, &knowledge, err) &&
            partition_check_any(stream, &knowledge, err));
        TRY(plan_slices(run->job, plan, stream, &knowledge, plan->created_us, run->arena, err) &&
            tell_far(run, stream, err));
        run->knows_rows = run->knows_rows || knowledge.watermark_count > 0;
        slices += (int64_t)stream->slice_count;
    }
    CLEANUP(buf_done) Buf text = {0};
    TRY(plan_write(plan, &text, err));
    kill_point("run note, %s", run_mode_name(plan->mode));
    TRY(landing_create_note(run->parts.landing, str_from(plan->run), STR("run.json"),
                            buf_str(&text), err));
    kill_point("run noted, %s", run_mode_name(plan->mode));
    Event event = {.kind = EVENT_PLAN_MADE, EVENT_NONE};
    event.total = slices;
    run_emit(run, event);
    return true;
}

// --- either of them

bool run_make_or_resume_plan(Run *run, Error *err)
{
    Str id = {0};
    Str json = {0};
    TRY(unfinished_find(run->parts.landing, run->options->mode, run->env->now_us(run->env->state),
                        run->arena, &id, &json, err));
    if (id.size > 0)
        TRY(resume(run, id, json, err));
    Event event = {.kind = EVENT_RUN_STARTED, EVENT_NONE};
    event.text = STR("new");
    if (run->report.resumed) {
        event.text = STR("resumed");
        if (run->planned_with.size > 0)
            TRY(arena_printf(run->arena, &event.text, err, "resumed, as planned with" STR_FMT,
                             STR_ARG(run->planned_with)));
        run_emit(run, event);
        return prepare_warehouse(run, err) && run_look_for_memo(run, err);
    }
    TRY(make_plan(run, err));
    run_emit(run, event);
    return true;
}
