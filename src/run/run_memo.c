// A warehouse that may sleep on: what the run before this one left there, and what this one leaves.
#include "run/run_parts.h"

static bool ask_mark(Run *run, WarehouseMark *ret_mark, Error *err)
{
    const JobParts *parts = &run->parts;
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, run->arena, &tables, err));
    return parts->warehouse.driver->mark(parts->warehouse.state, tables, parts->stream_count,
                                         run->arena, ret_mark, err);
}

// Only an incremental run over what nobody chose may leave the warehouse asleep: its watermarks do
// not move then, so the next one reads all of it again. One that goes on with another's loads, or
// instead of them, tells the warehouse of its epoch, which shuts the other out.
bool run_look_for_memo(Run *run, Error *err)
{
    const PlanRequest *asked = &run->plan.asked;
    run->mark = (WarehouseMark){.text = STR(""), .loads = -1};
    if (run->parts.warehouse.driver->mark == NULL || run->plan.mode != MODE_INCREMENTAL ||
        asked->from.size + asked->to.size > 0 || asked->account.size > 0)
        return true;
    TRY(ask_mark(run, &run->mark, err));
    if (run->plan.resumed || run->options->start_over || run->mark.loads < 0)
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
    return true;
}

bool run_read_knowledge(Run *run, const PlanStream *stream, PlanKnowledge *ret_knowledge,
                        Error *err)
{
    if (run->memo_run.memo == NULL)
        return job_parts_read_knowledge(&run->parts, run->plan.mode, stream, ret_knowledge, err);
    const MemoStream *known = memo_stream(&run->memo, stream_name(stream->stream));
    ret_knowledge->watermarks = known->marks;
    ret_knowledge->watermark_count = known->mark_count;
    return true;
}

bool run_note_memo(Run *run, Error *err)
{
    const PipelineReport *report = &run->report.pipeline;
    const Plan *plan = &run->plan;
    WarehouseMark now = {0};
    Memo memo = {.at_us = run->env->now_us(run->env->state), .stream_count = plan->stream_count};
    TRY(ask_mark(run, &now, err));
    if (now.loads - run->mark.loads != report->loads - report->loads_found)
        return true;
    memo.mark = now.text;
    memo.streams = arena_alloc_array(run->arena, plan->stream_count + 1, sizeof(MemoStream), err);
    TRY(memo.streams != NULL);
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanKnowledge knowledge = {0};
        TRY(job_parts_read_knowledge(&run->parts, plan->mode, &plan->streams[i], &knowledge, err) &&
            memo_run_windows(&run->memo_run, plan, i, run->arena, &memo.streams[i], err));
        memo.streams[i].marks = knowledge.watermarks;
        memo.streams[i].mark_count = knowledge.watermark_count;
    }
    return memo_write(&run->parts.store, run->job->name, plan->mode, &memo, err);
}
