// A warehouse that may sleep on: what the run before this one left there, and what this one leaves.
#include "run/exclusive.h"
#include "run/run_parts.h"
#include "run/unfinished.h"

static bool ask_mark(Run *run, WarehouseMark *ret_mark, Error *err)
{
    const JobParts *parts = &run->parts;
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, run->arena, &tables, err));
    return parts->warehouse.driver->mark(parts->warehouse.state, tables, parts->stream_count,
                                         run->arena, ret_mark, err);
}

// An incremental run over what nobody chose may leave the warehouse asleep, since its watermarks do
// not move then, so that the next one reads all of it again. So may the other modes, where nobody
// else can have an older reading of what they read in hand. One that goes on with another's loads,
// or instead of them, tells the warehouse of its epoch, which shuts the other out; one that is told
// to accept deletions may have more to say than it reads.
static bool may_ask(const Run *run)
{
    const PlanRequest *asked = &run->plan.asked;
    const bool chosen = asked->from.size + asked->to.size + asked->account.size > 0;
    return run->parts.warehouse.driver->mark != NULL &&
           !(run->plan.mode == MODE_INCREMENTAL && chosen);
}

bool run_look_for_memo(Run *run, Error *err)
{
    run->mark = (WarehouseMark){.text = STR(""), .loads = -1};
    if (!may_ask(run))
        return true;
    TRY(ask_mark(run, &run->mark, err));
    if (run->plan.resumed || run->options->start_over || run->options->accept_deletes ||
        run->mark.loads < 0)
        return true;
    bool there = false;
    TRY(memo_read(&run->parts.store, run->job->name, run->plan.mode, run->arena, &run->memo, &there,
                  err));
    const int64_t age_us = run->env->now_us(run->env->state) - run->memo.at_us;
    there = there && str_equal(run->memo.mark, run->mark.text) && age_us >= 0 &&
            age_us < run->mark.rest_us;
    for (size_t i = 0; i < run->plan.stream_count; i++)
        there = there && memo_stream(&run->memo, stream_name(run->plan.streams[i].stream)) != NULL;
    run->memo_run.memo = there ? &run->memo : NULL;
    run->memo_run.reads_again = run->plan.mode == MODE_INCREMENTAL;
    return true;
}

bool run_read_knowledge(Run *run, const PlanStream *stream, PlanKnowledge *ret_knowledge,
                        Error *err)
{
    if (run->memo_run.memo == NULL)
        return job_parts_read_knowledge(&run->parts, run->plan.mode, stream, ret_knowledge, err);
    const MemoStream *known = memo_stream(&run->memo, stream_name(stream->stream));
    *ret_knowledge = (PlanKnowledge){.watermarks = known->marks,
                                     .watermark_count = known->mark_count,
                                     .slices = known->readings,
                                     .slice_count = known->reading_count};
    return true;
}

// With the leases of all others in hand nobody who reads is at work, and what another run left
// behind, which may be loaded yet, is a run that is not over. Whoever begins later reads later.
// Last the mark: all that was committed up to here shows in it.
static bool is_alone(Run *run, bool *ret_alone, Error *err)
{
    WarehouseMark now = {0};
    bool beside = true;
    CLEANUP(exclusive_release) Exclusive others = {0};
    *ret_alone = false;
    TRY(exclusive_take(&others, run->job, &run->parts.store, run->env, run->plan.mode, 0, err) &&
        unfinished_beside(run->parts.landing, run->plan.mode, run->memo.at_us - PLAN_SKEW_US_MAX,
                          run->arena, &beside, err) &&
        ask_mark(run, &now, err));
    *ret_alone = !beside && str_equal(now.text, run->mark.text);
    return true;
}

bool run_may_rest(void *state, bool *ret_may, Error *err)
{
    Run *run = state;
    size_t slices = 0;
    for (size_t i = 0; i < run->plan.stream_count; i++)
        slices += run->plan.streams[i].slice_count;
    *ret_may = run->memo_run.reads_again || slices == 0;
    Error unknown = {0}; // who cannot tell loads
    if (!*ret_may && run->memo.alone && !is_alone(run, ret_may, &unknown))
        *ret_may = false;
    return env_check_stop(run->env, err);
}

// Whether an older reading of the windows of this run can still come from elsewhere.
static bool note_alone(Run *run, Memo *memo, Error *err)
{
    bool shared = true;
    bool beside = true;
    TableSpec *tables = NULL;
    const Warehouse *warehouse = &run->parts.warehouse;
    TRY(job_parts_tables(&run->parts, run->arena, &tables, err) &&
        warehouse->driver->is_shared(warehouse->state, run->job->name, tables,
                                     run->parts.stream_count, &shared, err) &&
        unfinished_beside(run->parts.landing, run->plan.mode, INT64_MIN, run->arena, &beside, err));
    memo->alone = !shared && !beside;
    return true;
}

bool run_note_memo(Run *run, Error *err)
{
    const PipelineReport *report = &run->report.pipeline;
    const Plan *plan = &run->plan;
    WarehouseMark now = {0};
    Memo memo = {.at_us = run->env->now_us(run->env->state), .stream_count = plan->stream_count};
    TRY(plan->mode == MODE_INCREMENTAL || note_alone(run, &memo, err));
    TRY(ask_mark(run, &now, err));
    if (now.loads - run->mark.loads != report->loads - report->loads_found)
        return true;
    memo.mark = now.text;
    memo.streams = arena_alloc_array(run->arena, plan->stream_count + 1, sizeof(MemoStream), err);
    TRY(memo.streams != NULL);
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanKnowledge knowledge = {0};
        MemoStream *stream = &memo.streams[i];
        TRY(job_parts_read_knowledge(&run->parts, plan->mode, &plan->streams[i], &knowledge, err) &&
            memo_run_windows(&run->memo_run, plan, i, run->arena, stream, err));
        stream->marks = knowledge.watermarks;
        stream->mark_count = knowledge.watermark_count;
        stream->readings = knowledge.slices;
        stream->reading_count = knowledge.slice_count;
    }
    return memo_write(&run->parts.store, run->job->name, plan->mode, &memo, err);
}
