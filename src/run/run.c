#include "run/run.h"

#include "base/kill.h"
#include "run/drivers.h"
#include "run/lake.h"
#include "run/partition.h"
#include "run/parts.h"
#include "run/redacted_purge.h"
#include "run/retention.h"
#include "run/share.h"
#include "run/views.h"
#include "store/lease.h"

#include <assert.h>
#include <stdio.h>

// What one execution holds besides the job's parts.
typedef struct Run {
    const Job *job;
    const RunOptions *options;
    Env *env;
    const EventSink *sink;
    Arena *arena;
    JobParts parts;
    Plan plan;
    Lease lease;
    LogBook *log;
    ForgetList forget;
    Share share;
    WarehouseMark mark; // when the run began; loads -1 = not asked
    Memo memo;          // of the run before this one
    MemoRun memo_run;
    KnownPages *known; // NULL = not asked for
    bool knows_rows;   // a stream has been loaded before
    Fetch *fetch;      // until the pipeline has closed it
    FetchClock clock;
    Str planned_with; // a resumed run: the options that it keeps
    RunReport report;
    int64_t started_us;
    bool ended;
} Execution;

static void emit(Execution *execution, Event event)
{
    event.at_us = execution->env->now_us(execution->env->state);
    event.run = str_from(execution->plan.run);
    event.job = execution->job->name;
    event.mode = str_from(run_mode_name(execution->options->mode));
    execution->sink->emit(execution->sink->state, &event);
}

// --- the lease: one run of a (job, mode) at a time, wherever it runs

static bool take_lease(Execution *execution, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(execution->env, id);
    Str path = {0};
    TRY(arena_printf(execution->arena, &path, err, STR_FMT "/leases/%s.json",
                     STR_ARG(execution->job->name), run_mode_name(execution->options->mode)));
    const int64_t deadline_us =
        execution->env->monotonic_us(execution->env->state) + execution->options->lease_wait_us;
    for (bool said = false;; said = true) {
        if (lease_take(&execution->lease, &execution->parts.store, path, str_from(id),
                       LEASE_TTL_US_MAX, err))
            return true;
        if (err->code != ERROR_BUSY)
            return false;
        if (execution->env->monotonic_us(execution->env->state) >= deadline_us)
            return error_context(err, "another run of this job and mode is going on");
        if (!said) {
            Event event = {.kind = EVENT_WAITING, EVENT_NONE};
            event.text = STR("another run of this job and mode");
            emit(execution, event);
        }
        *err = (Error){0};
        TRY(env_wait(execution->env, 500000, err));
    }
}

// What refusals taught, as soon as it is known: whoever is killed has learnt it for the next one.
static void note_rates(Execution *execution)
{
    for (size_t i = 0; i < FETCH_LANES_MAX; i++) {
        RateLearnt learnt = {0};
        Error untold = {0}; // then the next run learns for itself
        if (fetch_learnt(execution->fetch, i, &learnt))
            (void)!share_note_rate(&execution->share, i, &learnt, &untold);
    }
}

static bool renew(void *state, Error *err)
{
    Execution *execution = state;
    TRY(lease_renew(&execution->lease, err));
    // Not to know who else is there is no reason to stop: the far side's 429s are the outer net.
    Error unknown = {0};
    if (share_refresh(&execution->share, &unknown))
        fetch_set_share(execution->fetch, execution->share.part);
    note_rates(execution);
    return true;
}

// --- an unfinished run, or a new one

static bool has_mode(Str json, RunMode mode, Arena *arena)
{
    yyjson_doc *doc = NULL;
    Error ignored = {0};
    if (!json_parse(json, "run.json", arena, &doc, &ignored))
        return false;
    return str_equal(json_str(json_get(yyjson_doc_get_root(doc), STR("mode"))),
                     str_from(run_mode_name(mode)));
}

// A run that ended before it began by today's clock: another clock was ahead. Which of the others
// is newer, its id does not tell.
static bool is_of_the_future(Str run, int64_t now_us)
{
    return uuid_time_us(run) > now_us + PLAN_SKEW_US_MAX;
}

// The newest run of this mode, if it is not over.
static bool find_unfinished(Execution *execution, Str *ret_run, Str *ret_json, Error *err)
{
    Str *runs = NULL;
    size_t count = 0;
    const int64_t now_us = execution->env->now_us(execution->env->state);
    *ret_run = STR("");
    TRY(landing_list_runs(execution->parts.landing, execution->arena, &runs, &count, err));
    for (size_t i = count; i > 0; i--) {
        Str json = {0};
        EndNote end = {0};
        bool there = false;
        TRY(plan_find(execution->parts.landing, runs[i - 1], execution->arena, &json, &there, err));
        if (!there || !has_mode(json, execution->options->mode, execution->arena))
            continue;
        TRY(end_note_read(execution->parts.landing, runs[i - 1], execution->arena, &end, &there,
                          err));
        if (there && is_of_the_future(runs[i - 1], now_us))
            continue;
        if (!there) {
            *ret_run = runs[i - 1];
            *ret_json = json;
        }
        return true;
    }
    return true;
}

static bool put_end(Execution *execution, Str run, const EndNote *note, Error *err)
{
    return end_note_put(execution->parts.landing, run, note,
                        execution->env->now_us(execution->env->state), err);
}

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

// As options of the command that planned it: " --from 2026-03-01 --stream calls".
static bool describe_request(const PlanRequest *asked, Arena *arena, Str *ret_text, Error *err)
{
    const struct {
        const char *option;
        Str value;
    } parts[] = {{"from", asked->from},
                 {"to", asked->to},
                 {"stream", asked->stream},
                 {"account", asked->account}};
    *ret_text = STR("");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].value.size > 0)
            TRY(arena_printf(arena, ret_text, err, STR_FMT " --%s " STR_FMT, STR_ARG(*ret_text),
                             parts[i].option, STR_ARG(parts[i].value)));
    }
    return true;
}

static bool resume(Execution *execution, Str run, Str json, bool *ret_resumed, Error *err)
{
    if (execution->options->start_over) {
        *ret_resumed = false;
        return put_end(execution, run, &(EndNote){.status = STR("given up")}, err);
    }
    Plan *plan = &execution->plan;
    (void)snprintf(plan->run, sizeof(plan->run), STR_FMT, STR_ARG(run));
    yyjson_val *streams = NULL;
    TRY(plan_read_request(json, plan, execution->arena, &streams, err));
    TRY(describe_request(&plan->asked, execution->arena, &execution->planned_with, err));
    execution->report.other_unfinished = !same_request(execution->options, &plan->asked);
    if (execution->report.other_unfinished)
        return error_set(err, ERROR_JOB,
                         "an unfinished %s run (%s) was planned %s" STR_FMT
                         ": finish it with the same options or with none of them, or give it up "
                         "with --start-over",
                         run_mode_name(plan->mode), plan->run,
                         execution->planned_with.size > 0 ? "with" : "without options",
                         STR_ARG(execution->planned_with));
    TRY(plan_read_streams(streams, execution->job, plan, execution->arena, err));
    *ret_resumed = true;
    return true;
}

// What an earlier run could not write. Not worth this run: it waits on where that fails.
static void deliver_log(Execution *execution)
{
    Error later = {0};
    if (execution->parts.warehouse.driver->logs_once_a_run)
        return; // they go with this run's own
    (void)!log_book_deliver(&execution->parts.store, execution->job->name,
                            &execution->parts.warehouse, &later);
}

static bool prepare_warehouse(Execution *execution, Error *err)
{
    const JobParts *parts = &execution->parts;
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, execution->arena, &tables, err));
    const Plan *plan = &execution->plan;
    if (parts->warehouse.driver->name_run != NULL)
        TRY(parts->warehouse.driver->name_run(parts->warehouse.state, str_from(plan->run),
                                              execution->job->name,
                                              str_from(run_mode_name(plan->mode)), err));
    TRY(parts->warehouse.driver->prepare(parts->warehouse.state, tables, parts->stream_count, err));
    TRY(views_create(&execution->parts, err));
    deliver_log(execution);
    return true;
}

// --- a warehouse that may sleep on

static bool ask_mark(Execution *execution, WarehouseMark *ret_mark, Error *err)
{
    const JobParts *parts = &execution->parts;
    TableSpec *tables = NULL;
    TRY(job_parts_tables(parts, execution->arena, &tables, err));
    return parts->warehouse.driver->mark(parts->warehouse.state, tables, parts->stream_count,
                                         execution->arena, ret_mark, err);
}

// Only an incremental run over what nobody chose may leave the warehouse asleep: its watermarks do
// not move then, so the next one reads all of it again. One that goes on with another's loads, or
// instead of them, tells the warehouse of its epoch, which shuts the other out.
static bool look_for_memo(Execution *execution, Error *err)
{
    const PlanRequest *asked = &execution->plan.asked;
    execution->mark = (WarehouseMark){.text = STR(""), .loads = -1};
    if (execution->parts.warehouse.driver->mark == NULL ||
        execution->plan.mode != MODE_INCREMENTAL || asked->from.size + asked->to.size > 0 ||
        asked->account.size > 0)
        return true;
    TRY(ask_mark(execution, &execution->mark, err));
    if (execution->plan.resumed || execution->options->start_over || execution->mark.loads < 0)
        return true;
    bool there = false;
    TRY(memo_read(&execution->parts.store, execution->job->name, execution->plan.mode,
                  execution->arena, &execution->memo, &there, err));
    const int64_t age_us = execution->env->now_us(execution->env->state) - execution->memo.at_us;
    there = there && str_equal(execution->memo.mark, execution->mark.text) && age_us >= 0 &&
            age_us < execution->mark.rest_us;
    for (size_t i = 0; i < execution->plan.stream_count; i++)
        there = there && memo_stream(&execution->memo,
                                     stream_name(execution->plan.streams[i].stream)) != NULL;
    execution->memo_run.memo = there ? &execution->memo : NULL;
    return true;
}

static bool read_knowledge(Execution *execution, const PlanStream *stream,
                           PlanKnowledge *ret_knowledge, Error *err)
{
    if (execution->memo_run.memo == NULL)
        return job_parts_read_knowledge(&execution->parts, execution->plan.mode, stream,
                                        ret_knowledge, err);
    const MemoStream *known = memo_stream(&execution->memo, stream_name(stream->stream));
    ret_knowledge->watermarks = known->marks;
    ret_knowledge->watermark_count = known->mark_count;
    return true;
}

// What this run leaves, for the next one. Only where nobody else committed anything meanwhile.
static bool note_memo(Execution *execution, Error *err)
{
    const PipelineReport *report = &execution->report.pipeline;
    const Plan *plan = &execution->plan;
    WarehouseMark now = {0};
    Memo memo = {.at_us = execution->env->now_us(execution->env->state),
                 .stream_count = plan->stream_count};
    TRY(ask_mark(execution, &now, err));
    if (now.loads - execution->mark.loads != report->loads - report->loads_found)
        return true;
    memo.mark = now.text;
    memo.streams =
        arena_alloc_array(execution->arena, plan->stream_count + 1, sizeof(MemoStream), err);
    TRY(memo.streams != NULL);
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanKnowledge knowledge = {0};
        TRY(job_parts_read_knowledge(&execution->parts, plan->mode, &plan->streams[i], &knowledge,
                                     err) &&
            memo_run_windows(&execution->memo_run, plan, i, execution->arena, &memo.streams[i],
                             err));
        memo.streams[i].marks = knowledge.watermarks;
        memo.streams[i].mark_count = knowledge.watermark_count;
    }
    return memo_write(&execution->parts.store, execution->job->name, plan->mode, &memo, err);
}

static bool tell_far(Execution *execution, const PlanStream *stream, Error *err)
{
    Event event = {.kind = EVENT_MARKS_FAR_BACK, EVENT_NONE};
    if (stream->far.marks == 0)
        return true;
    event.stream = stream_name(stream->stream);
    event.total = (int64_t)stream->far.windows;
    TRY(plan_describe_far(stream, execution->arena, &event.text, err));
    emit(execution, event);
    return true;
}

static bool make_plan(Execution *execution, Fetch *fetch, Error *err)
{
    Plan *plan = &execution->plan;
    uuid_new(execution->env, plan->run);
    plan->created_us = execution->env->now_us(execution->env->state);
    plan->asked = (PlanRequest){.from = execution->options->from,
                                .to = execution->options->to,
                                .stream = execution->options->stream,
                                .account = execution->options->account};
    int64_t slices = 0;
    CLEANUP(answer_cache_done)
    AnswerCache cache = answer_cache(execution->job, execution->arena);
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        const DiscoverOptions discover = {.job = execution->job,
                                          .plan = plan,
                                          .fetch = fetch,
                                          .env = execution->env,
                                          .cache = &cache,
                                          .arena = execution->arena,
                                          .only_value = execution->options->account,
                                          .sink = execution->sink};
        TRY(partition_discover(&discover, stream, err));
    }
    answer_cache_done(&cache);
    TRY(partition_check_named(plan->streams, plan->stream_count, plan->asked.account, err));
    // The warehouse is opened only now: others may want the file while the source is asked.
    TRY(prepare_warehouse(execution, err) && look_for_memo(execution, err));
    for (size_t i = 0; i < plan->stream_count; i++) {
        PlanStream *stream = &plan->streams[i];
        PlanKnowledge knowledge = {0};
        TRY(read_knowledge(execution, stream, &knowledge, err) &&
            partition_check_any(stream, &knowledge, err));
        TRY(plan_slices(execution->job, plan, stream, &knowledge, plan->created_us,
                        execution->arena, err) &&
            tell_far(execution, stream, err));
        execution->knows_rows = execution->knows_rows || knowledge.watermark_count > 0;
        slices += (int64_t)stream->slice_count;
    }
    const Warehouse *warehouse = &execution->parts.warehouse;
    TRY(warehouse->driver->idle(warehouse->state, err));
    CLEANUP(buf_done) Buf text = {0};
    TRY(plan_write(plan, &text, err));
    kill_point("run note, %s", run_mode_name(plan->mode));
    TRY(landing_create_note(execution->parts.landing, str_from(plan->run), STR("run.json"),
                            buf_str(&text), err));
    kill_point("run noted, %s", run_mode_name(plan->mode));
    Event event = {.kind = EVENT_PLAN_MADE, EVENT_NONE};
    event.total = slices;
    emit(execution, event);
    return true;
}

// --- the whole

static bool open_worker_landing(void *state, Arena *arena, Store *ret_store, Landing **ret_landing,
                                Error *err)
{
    Execution *execution = state;
    Findings findings = {.arena = arena};
    TRY(job_open_landing(execution->job, execution->env, arena, &findings, ret_store, ret_landing,
                         err));
    TRY(findings_check(&findings, err));
    if (!execution->plan.resumed)
        landing_expect_nothing(*ret_landing);
    landing_use_known(*ret_landing, execution->known);
    return true;
}

static bool plan_or_resume(Execution *execution, Fetch *fetch, RunReport *report, Error *err)
{
    Str run = {0};
    Str json = {0};
    TRY(find_unfinished(execution, &run, &json, err));
    if (run.size > 0)
        TRY(resume(execution, run, json, &report->resumed, err));
    Event event = {.kind = EVENT_RUN_STARTED, EVENT_NONE};
    event.text = STR("new");
    if (report->resumed) {
        event.text = STR("resumed");
        if (execution->planned_with.size > 0)
            TRY(arena_printf(execution->arena, &event.text, err, "resumed, as planned with" STR_FMT,
                             STR_ARG(execution->planned_with)));
        emit(execution, event);
        return prepare_warehouse(execution, err) && look_for_memo(execution, err);
    }
    TRY(make_plan(execution, fetch, err));
    emit(execution, event);
    return true;
}

static bool end_run(Execution *execution, const RunReport *report, Error *err)
{
    const bool partial = report->pipeline.slices_failed > 0;
    // What failed for one partition is read again by the next incremental run, whose watermark did
    // not move. The other modes have no such net: their run stays open and goes on with what is
    // missing.
    if (partial && execution->plan.mode != MODE_INCREMENTAL)
        return true;
    kill_point("run end, %s", run_mode_name(execution->plan.mode));
    const EndNote note = {.status = partial ? STR("partial") : STR("done"),
                          .streams = report->pipeline.streams,
                          .stream_count = execution->plan.stream_count};
    TRY(put_end(execution, str_from(execution->plan.run), &note, err));
    kill_point("run ended, %s", run_mode_name(execution->plan.mode));
    return true;
}

// What is older than the job keeps it goes, unless the clock that says so is wrong.
static void expire(Execution *execution)
{
    Error why = {0};
    if (retention_apply(&execution->parts, &execution->plan, &execution->clock, execution->log,
                        &why))
        return;
    execution->report.clock_ahead = true;
    Event event = {.kind = EVENT_CLOCK_AHEAD, EVENT_NONE};
    event.text = str_from(why.message);
    emit(execution, event);
}

// Where replaced rows stay in the warehouse's file until it is written anew. Before the notes go: a
// run that is killed here leaves them for the next.
static bool compact_warehouse(const Execution *execution, Error *err)
{
    const Warehouse *warehouse = &execution->parts.warehouse;
    return warehouse->driver->compact == NULL || warehouse->driver->compact(warehouse->state, err);
}

static void tell_redacted(Execution *execution, const ForgetReport *report)
{
    Event event = {.kind = EVENT_REDACTED, EVENT_NONE};
    event.rows = 0;
    for (size_t i = 0; i < report->table_count; i++)
        event.rows += report->tables[i].rows;
    event.deleted = report->records;
    event.pages = report->pages;
    event.text = report->receipt;
    emit(execution, event);
}

// Older copies of records that the source redacted. What cannot be done now, because another run is
// going on, waits in the landing store for the next one; that fails no run either.
static void purge_redacted(Execution *execution)
{
    bool waits = false;
    Error why = {0};
    CLEANUP(job_parts_close) JobParts all = {0};
    CLEANUP(exclusive_release) Exclusive exclusive = {0}; // in its store
    Findings findings = {.arena = execution->arena};
    if (!redacted_waits(execution->job, &execution->parts.store, &waits, &why) || !waits ||
        !job_parts_open(execution->job, STR(JOB_ALL_STREAMS), execution->env, execution->arena,
                        &findings, &all, &why) ||
        !findings_check(&findings, &why) ||
        !exclusive_take(&exclusive, execution->job, &all.store, execution->env,
                        execution->options->mode, 0, &why))
        return;
    EtlLogRow row = {.run = str_from(execution->plan.run),
                     .job = execution->job->name,
                     .mode = str_from(run_mode_name(execution->plan.mode)),
                     .stage = STR("purge"),
                     ETL_LOG_NONE};
    row.started_us = execution->env->now_us(execution->env->state);
    RedactedPurge purge = {.job = execution->job,
                           .parts = &all,
                           .warehouse = &execution->parts.warehouse,
                           .exclusive = &exclusive,
                           .list = &execution->forget,
                           .run = str_from(execution->plan.run)};
    const bool ok = compact_warehouse(execution, &why) && redacted_purge(&purge, &why);
    if (ok && purge.report.receipt.size > 0)
        tell_redacted(execution, &purge.report);
    row.status = ok ? STR("ok") : STR("failed");
    row.rows_deleted = purge.report.records;
    row.duration_us = execution->env->now_us(execution->env->state) - row.started_us;
    Error ignored = {0};
    if (!ok && !log_book_error_json(execution->log, &why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(execution->log, &row);
}

static bool begin(Execution *execution, Error *err)
{
    const JobParts *parts = &execution->parts;
    const RunOptions *options = execution->options;
    TRY(take_lease(execution, err));
    TRY(job_open_share(execution->job, options->mode, STR(""), &execution->parts.store,
                       execution->arena, &execution->share, err));
    TRY(forget_list_read(execution->job, &execution->parts.store, execution->arena,
                         &execution->forget, err));
    const FetchOptions fetch_options = {.job = execution->job,
                                        .mode = options->mode,
                                        .connector = parts->connector,
                                        .env = execution->env,
                                        .connect_to = options->connect_to,
                                        .arena = execution->arena,
                                        .learnt = execution->share.learnt,
                                        .clock = &execution->clock};
    // Without what others learnt, it is learnt again.
    Error unknown = {0};
    (void)!share_recall_rates(&execution->share, &unknown);
    TRY(fetch_open(&fetch_options, &execution->fetch, err));
    TRY(plan_or_resume(execution, execution->fetch, &execution->report, err));
    memcpy(execution->report.run, execution->plan.run, sizeof(execution->report.run));
    return parts->warehouse.driver->idle(parts->warehouse.state, err);
}

static bool load(Execution *execution, Error *err)
{
    const bool remembers = execution->mark.loads >= 0;
    if (remembers)
        TRY(memo_run_new(&execution->plan, execution->arena, &execution->memo_run, err));
    // A page that is far away is sooner compressed than fetched.
    Store *store = &execution->parts.store;
    if ((store->driver->features & STORE_REMOTE) == 0)
        TRY(known_pages_open(store, execution->job->name, &execution->known, err));
    const PipelineOptions options = {.job = execution->job,
                                     .plan = &execution->plan,
                                     .fetch = execution->fetch,
                                     .landing = execution->parts.landing,
                                     .known = execution->known,
                                     .knows_rows = execution->knows_rows,
                                     .store = &execution->parts.store,
                                     .warehouse = &execution->parts.warehouse,
                                     .lake = execution->parts.lake,
                                     .epoch = execution->lease.epoch,
                                     .accept_deletes = execution->options->accept_deletes,
                                     .memo = remembers ? &execution->memo_run : NULL,
                                     .forgotten = execution->forget.forgotten,
                                     .sink = execution->sink,
                                     .log = &execution->log,
                                     .open_landing = open_worker_landing,
                                     .tick = renew,
                                     .state = execution};
    const bool ok =
        pipeline_run(&options, execution->env, execution->arena, &execution->report.pipeline, err);
    execution->fetch = NULL; // the pipeline has closed it
    TRY(ok);
    Error unknown = {0}; // without the pages the next run compresses them
    if (execution->known != NULL)
        (void)!known_pages_write(execution->known, store, execution->job->name, &unknown);
    unknown = (Error){0}; // without a memo the next run asks the warehouse
    if (remembers && !execution->memo_run.rests && !execution->memo_run.unsure &&
        execution->report.pipeline.slices_failed == 0)
        (void)!note_memo(execution, &unknown);
    expire(execution);
    purge_redacted(execution);
    return end_run(execution, &execution->report, err);
}

// What the run has cost, where a warehouse's time does: pawl status shows it.
static void log_usage(Execution *execution, int64_t started_us)
{
    const Warehouse *warehouse = &execution->parts.warehouse;
    if (warehouse->driver == NULL || warehouse->driver->usage == NULL)
        return;
    EtlLogRow row = {.run = str_from(execution->plan.run),
                     .job = execution->job->name,
                     .mode = str_from(run_mode_name(execution->plan.mode)),
                     .stage = STR("warehouse"),
                     .status = STR("ok"),
                     ETL_LOG_NONE};
    row.started_us = started_us;
    warehouse->driver->usage(warehouse->state, &row.duration_us, &row.requests);
    log_book_add(execution->log, &row);
}

// The row of the run as a whole, and every row that no load took along. A warehouse that cannot be
// written does not make a good run bad: the rows wait in the landing store.
static void close_log(Execution *execution, const RunReport *report, const Error *why)
{
    if (execution->log == NULL || execution->plan.run[0] == '\0')
        return;
    const PipelineReport *p = &report->pipeline;
    EtlLogRow row = {.run = str_from(execution->plan.run),
                     .job = execution->job->name,
                     .mode = str_from(run_mode_name(execution->plan.mode)),
                     .stage = STR("run"),
                     .status = why->code != ERROR_NONE ? STR("failed")
                               : p->slices_failed > 0  ? STR("partial")
                                                       : STR("ok"),
                     .slice = -1,
                     .load = -1,
                     .rows_in = p->records,
                     .rows_landed = p->inserted + p->updated + p->unchanged,
                     .rows_inserted = p->inserted,
                     .rows_updated = p->updated,
                     .rows_unchanged = p->unchanged,
                     .rows_deleted = p->deleted,
                     .rows_quarantined = p->quarantined,
                     .rows_overflowed = p->overflowed,
                     .bytes = p->bytes,
                     .requests = p->requests,
                     .attempts = p->requests,
                     .wait_us = p->wait_us,
                     .duration_us = report->elapsed_us};
    row.started_us = execution->env->now_us(execution->env->state) - report->elapsed_us;
    Error ignored = {0};
    if (why->code != ERROR_NONE &&
        !log_book_error_json(execution->log, why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(execution->log, &row);
    Warehouse *warehouse = &execution->parts.warehouse;
    log_usage(execution, row.started_us);
    // What a run that woke nobody has to say waits for one that does.
    const bool wakes = !execution->memo_run.rests;
    if (!wakes || !(warehouse->driver != NULL && warehouse->driver->logs_once_a_run
                        ? log_book_write_all(execution->log, &execution->parts.store,
                                             execution->job->name, warehouse, &ignored)
                        : log_book_write(execution->log, warehouse, &ignored)))
        (void)!log_book_keep(execution->log, &execution->parts.store, execution->job->name, row.run,
                             execution->env, &ignored);
}

// --- in one go, and in steps

static bool open_parts(Execution *execution, Error *err)
{
    CLEANUP(arena_freep) Arena *finding_arena = arena_new((size_t)1024 * 1024, err);
    TRY(finding_arena != NULL);
    Findings *findings = arena_alloc(finding_arena, sizeof(*findings), err);
    TRY(findings != NULL);
    findings->arena = finding_arena;
    TRY(job_parts_open(execution->job, execution->options->stream, execution->env, execution->arena,
                       findings, &execution->parts, err));
    TRY(job_parts_check_loads(&execution->parts, findings, err) && findings_check(findings, err) &&
        lake_open(&execution->parts, findings, err) && log_book_new(&execution->log, err));
    execution->plan = (Plan){.mode = execution->options->mode,
                             .streams = execution->parts.streams,
                             .stream_count = execution->parts.stream_count};
    return true;
}

static void end(Execution *execution, bool ok, const Error *why)
{
    RunReport *report = &execution->report;
    execution->ended = true;
    report->elapsed_us =
        execution->env->monotonic_us(execution->env->state) - execution->started_us;
    if (execution->log == NULL)
        return; // it never began
    fetch_closep(&execution->fetch);
    execution->fetch = NULL;
    known_pages_close(execution->known);
    execution->known = NULL;
    close_log(execution, report, why);
    share_close(&execution->share);
    lease_release(&execution->lease);
    Event event = {.kind = EVENT_RUN_ENDED, EVENT_NONE};
    event.duration_us = report->elapsed_us;
    event.text = ok ? STR("done") : str_from(why->message);
    emit(execution, event);
}

bool run_begin(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
               Arena *arena, Run **ret_run, Error *err)
{
    Execution *execution = arena_alloc(arena, sizeof(*execution), err);
    TRY(execution != NULL);
    *execution =
        (Execution){.job = job, .options = options, .env = env, .sink = sink, .arena = arena};
    execution->started_us = env->monotonic_us(env->state);
    if (open_parts(execution, err) && begin(execution, err)) {
        *ret_run = execution;
        return true;
    }
    end(execution, false, err);
    run_close(execution);
    return false;
}

const Plan *run_plan(const Run *run)
{
    return &run->plan;
}

bool run_keep(Run *run, Error *err)
{
    return lease_renew(&run->lease, err);
}

void run_log(Run *run, const EtlLogRow *row)
{
    EtlLogRow own = *row;
    own.run = str_from(run->plan.run);
    own.job = run->job->name;
    own.mode = str_from(run_mode_name(run->plan.mode));
    log_book_add(run->log, &own);
}

bool run_finish(Run *run, RunReport *ret_report, Error *err)
{
    assert(!run->ended);

    // Others have landed slices meanwhile.
    run->plan.resumed = true;
    const bool ok = load(run, err);
    end(run, ok, err);
    *ret_report = run->report;
    return ok;
}

void run_close(Run *run)
{
    if (run == NULL)
        return;
    Error left = {0};
    if (!run->ended)
        end(run, error_set(&left, ERROR_STOPPED, "left before its end"), &left);
    // What was said of it since.
    if (run->log != NULL && log_book_count(run->log) > 0 &&
        !log_book_write(run->log, &run->parts.warehouse, &left))
        (void)!log_book_keep(run->log, &run->parts.store, run->job->name, str_from(run->plan.run),
                             run->env, &left);
    log_book_free(run->log);
    job_parts_close(&run->parts);
}

bool run_execute(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
                 Arena *arena, RunReport *ret_report, Error *err)
{
    Execution execution = {
        .job = job, .options = options, .env = env, .sink = sink, .arena = arena};
    execution.started_us = env->monotonic_us(env->state);
    const bool ok = open_parts(&execution, err) && begin(&execution, err) && load(&execution, err);
    end(&execution, ok, err);
    *ret_report = execution.report;
    run_close(&execution);
    return ok;
}
