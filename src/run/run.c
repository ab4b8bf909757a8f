#include "run/run.h"

#include "base/kill.h"
#include "run/drivers.h"
#include "run/lake.h"
#include "run/partition.h"
#include "run/redacted_purge.h"
#include "run/retention.h"
#include "run/run_parts.h"
#include "run/views.h"

#include <assert.h>
#include <stdio.h>

void run_emit(Run *run, Event event)
{
    event.at_us = run->env->now_us(run->env->state);
    event.run = str_from(run->plan.run);
    event.job = run->job->name;
    event.mode = str_from(run_mode_name(run->options->mode));
    run->sink->emit(run->sink->state, &event);
}

// --- the lease: one run of a (job, mode) at a time, wherever it runs

static bool take_lease(Run *run, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(run->env, id);
    Str path = {0};
    TRY(arena_printf(run->arena, &path, err, STR_FMT "/leases/%s.json", STR_ARG(run->job->name),
                     run_mode_name(run->options->mode)));
    const int64_t deadline_us =
        run->env->monotonic_us(run->env->state) + run->options->lease_wait_us;
    for (bool said = false;; said = true) {
        if (lease_take(&run->lease, &run->parts.store, path, str_from(id), LEASE_TTL_US_MAX, err))
            return true;
        if (err->code != ERROR_BUSY)
            return false;
        if (run->env->monotonic_us(run->env->state) >= deadline_us)
            return error_context(err, "another run of this job and mode is going on");
        if (!said) {
            Event event = {.kind = EVENT_WAITING, EVENT_NONE};
            event.text = STR("another run of this job and mode");
            run_emit(run, event);
        }
        *err = (Error){0};
        TRY(env_wait(run->env, 500000, err));
    }
}

// What refusals taught, as soon as it is known: whoever is killed has learnt it for the next one.
static void note_rates(Run *run)
{
    for (size_t i = 0; i < FETCH_LANES_MAX; i++) {
        RateLearnt learnt = {0};
        Error untold = {0}; // then the next run learns for itself
        if (fetch_learnt(run->fetch, i, &learnt))
            (void)!share_note_rate(&run->share, i, &learnt, &untold);
    }
}

static bool renew(void *state, Error *err)
{
    Run *run = state;
    TRY(lease_renew(&run->lease, err));
    // Not to know who else is there is no reason to stop: the far side's 429s are the outer net.
    Error unknown = {0};
    if (share_refresh(&run->share, &unknown))
        fetch_set_share(run->fetch, run->share.part);
    note_rates(run);
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
static bool is_of_the_future(Str id, int64_t now_us)
{
    return uuid_time_us(id) > now_us + PLAN_SKEW_US_MAX;
}

// The newest run of this mode, if it is not over.
static bool find_unfinished(Run *run, Str *ret_id, Str *ret_json, Error *err)
{
    Str *runs = NULL;
    size_t count = 0;
    const int64_t now_us = run->env->now_us(run->env->state);
    *ret_id = STR("");
    TRY(landing_list_runs(run->parts.landing, run->arena, &runs, &count, err));
    for (size_t i = count; i > 0; i--) {
        Str json = {0};
        EndNote end = {0};
        bool there = false;
        TRY(plan_find(run->parts.landing, runs[i - 1], run->arena, &json, &there, err));
        if (!there || !has_mode(json, run->options->mode, run->arena))
            continue;
        TRY(end_note_read(run->parts.landing, runs[i - 1], run->arena, &end, &there, err));
        if (there && is_of_the_future(runs[i - 1], now_us))
            continue;
        if (!there) {
            *ret_id = runs[i - 1];
            *ret_json = json;
        }
        return true;
    }
    return true;
}

static bool put_end(Run *run, Str id, const EndNote *note, Error *err)
{
    return end_note_put(run->parts.landing, id, note, run->env->now_us(run->env->state), err);
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

static bool resume(Run *run, Str id, Str json, bool *ret_resumed, Error *err)
{
    if (run->options->start_over) {
        *ret_resumed = false;
        return put_end(run, id, &(EndNote){.status = STR("given up")}, err);
    }
    Plan *plan = &run->plan;
    (void)snprintf(plan->run, sizeof(plan->run), STR_FMT, STR_ARG(id));
    yyjson_val *streams = NULL;
    TRY(plan_read_request(json, plan, run->arena, &streams, err));
    TRY(describe_request(&plan->asked, run->arena, &run->planned_with, err));
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
    *ret_resumed = true;
    return true;
}

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

static bool make_plan(Run *run, Fetch *fetch, Error *err)
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
                                          .fetch = fetch,
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
    const Warehouse *warehouse = &run->parts.warehouse;
    TRY(warehouse->driver->idle(warehouse->state, err));
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

// --- the whole

static bool open_worker_landing(void *state, Arena *arena, Store *ret_store, Landing **ret_landing,
                                Error *err)
{
    Run *run = state;
    Findings findings = {.arena = arena};
    TRY(job_open_landing(run->job, run->env, arena, &findings, ret_store, ret_landing, err));
    TRY(findings_check(&findings, err));
    if (!run->plan.resumed)
        landing_expect_nothing(*ret_landing);
    landing_use_known(*ret_landing, run->known);
    return true;
}

static bool plan_or_resume(Run *run, Fetch *fetch, RunReport *report, Error *err)
{
    Str id = {0};
    Str json = {0};
    TRY(find_unfinished(run, &id, &json, err));
    if (id.size > 0)
        TRY(resume(run, id, json, &report->resumed, err));
    Event event = {.kind = EVENT_RUN_STARTED, EVENT_NONE};
    event.text = STR("new");
    if (report->resumed) {
        event.text = STR("resumed");
        if (run->planned_with.size > 0)
            TRY(arena_printf(run->arena, &event.text, err, "resumed, as planned with" STR_FMT,
                             STR_ARG(run->planned_with)));
        run_emit(run, event);
        return prepare_warehouse(run, err) && run_look_for_memo(run, err);
    }
    TRY(make_plan(run, fetch, err));
    run_emit(run, event);
    return true;
}

static bool end_run(Run *run, const RunReport *report, Error *err)
{
    const bool partial = report->pipeline.slices_failed > 0;
    // What failed for one partition is read again by the next incremental run, whose watermark did
    // not move. The other modes have no such net: their run stays open and goes on with what is
    // missing.
    if (partial && run->plan.mode != MODE_INCREMENTAL)
        return true;
    kill_point("run end, %s", run_mode_name(run->plan.mode));
    const EndNote note = {.status = partial ? STR("partial") : STR("done"),
                          .streams = report->pipeline.streams,
                          .stream_count = run->plan.stream_count};
    TRY(put_end(run, str_from(run->plan.run), &note, err));
    kill_point("run ended, %s", run_mode_name(run->plan.mode));
    return true;
}

// What is older than the job keeps it goes, unless the clock that says so is wrong.
static void expire(Run *run)
{
    Error why = {0};
    if (retention_apply(&run->parts, &run->plan, &run->clock, run->log, &why))
        return;
    run->report.clock_ahead = true;
    Event event = {.kind = EVENT_CLOCK_AHEAD, EVENT_NONE};
    event.text = str_from(why.message);
    run_emit(run, event);
}

// Where replaced rows stay in the warehouse's file until it is written anew. Before the notes go: a
// run that is killed here leaves them for the next.
static bool compact_warehouse(const Run *run, Error *err)
{
    const Warehouse *warehouse = &run->parts.warehouse;
    return warehouse->driver->compact == NULL || warehouse->driver->compact(warehouse->state, err);
}

static void tell_redacted(Run *run, const ForgetReport *report)
{
    Event event = {.kind = EVENT_REDACTED, EVENT_NONE};
    event.rows = 0;
    for (size_t i = 0; i < report->table_count; i++)
        event.rows += report->tables[i].rows;
    event.deleted = report->records;
    event.pages = report->pages;
    event.text = report->receipt;
    run_emit(run, event);
}

// Older copies of records that the source redacted. What cannot be done now, because another run is
// going on, waits in the landing store for the next one; that fails no run either.
static void purge_redacted(Run *run)
{
    bool waits = false;
    Error why = {0};
    CLEANUP(job_parts_close) JobParts all = {0};
    CLEANUP(exclusive_release) Exclusive exclusive = {0}; // in its store
    Findings findings = {.arena = run->arena};
    if (!redacted_waits(run->job, &run->parts.store, &waits, &why) || !waits ||
        !job_parts_open(run->job, STR(JOB_ALL_STREAMS), run->env, run->arena, &findings, &all,
                        &why) ||
        !findings_check(&findings, &why) ||
        !exclusive_take(&exclusive, run->job, &all.store, run->env, run->options->mode, 0, &why))
        return;
    EtlLogRow row = {.run = str_from(run->plan.run),
                     .job = run->job->name,
                     .mode = str_from(run_mode_name(run->plan.mode)),
                     .stage = STR("purge"),
                     ETL_LOG_NONE};
    row.started_us = run->env->now_us(run->env->state);
    RedactedPurge purge = {.job = run->job,
                           .parts = &all,
                           .warehouse = &run->parts.warehouse,
                           .exclusive = &exclusive,
                           .list = &run->forget,
                           .run = str_from(run->plan.run)};
    const bool ok = compact_warehouse(run, &why) && redacted_purge(&purge, &why);
    if (ok && purge.report.receipt.size > 0)
        tell_redacted(run, &purge.report);
    row.status = ok ? STR("ok") : STR("failed");
    row.rows_deleted = purge.report.records;
    row.duration_us = run->env->now_us(run->env->state) - row.started_us;
    Error ignored = {0};
    if (!ok && !log_book_error_json(run->log, &why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(run->log, &row);
}

static bool begin(Run *run, Error *err)
{
    const JobParts *parts = &run->parts;
    const RunOptions *options = run->options;
    TRY(take_lease(run, err));
    TRY(job_open_share(run->job, options->mode, STR(""), &run->parts.store, run->arena, &run->share,
                       err));
    TRY(forget_list_read(run->job, &run->parts.store, run->arena, &run->forget, err));
    const FetchOptions fetch_options = {.job = run->job,
                                        .mode = options->mode,
                                        .connector = parts->connector,
                                        .env = run->env,
                                        .connect_to = options->connect_to,
                                        .arena = run->arena,
                                        .learnt = run->share.learnt,
                                        .clock = &run->clock};
    // Without what others learnt, it is learnt again.
    Error unknown = {0};
    (void)!share_recall_rates(&run->share, &unknown);
    TRY(fetch_open(&fetch_options, &run->fetch, err));
    TRY(plan_or_resume(run, run->fetch, &run->report, err));
    memcpy(run->report.run, run->plan.run, sizeof(run->report.run));
    return parts->warehouse.driver->idle(parts->warehouse.state, err);
}

static bool load(Run *run, Error *err)
{
    const bool remembers = run->mark.loads >= 0;
    if (remembers)
        TRY(memo_run_new(&run->plan, run->arena, &run->memo_run, err));
    // A page that is far away is sooner compressed than fetched.
    Store *store = &run->parts.store;
    if ((store->driver->features & STORE_REMOTE) == 0)
        TRY(known_pages_open(store, run->job->name, &run->known, err));
    const PipelineOptions options = {.job = run->job,
                                     .plan = &run->plan,
                                     .fetch = run->fetch,
                                     .landing = run->parts.landing,
                                     .known = run->known,
                                     .knows_rows = run->knows_rows,
                                     .store = &run->parts.store,
                                     .warehouse = &run->parts.warehouse,
                                     .lake = run->parts.lake,
                                     .epoch = run->lease.epoch,
                                     .accept_deletes = run->options->accept_deletes,
                                     .memo = remembers ? &run->memo_run : NULL,
                                     .forgotten = run->forget.forgotten,
                                     .sink = run->sink,
                                     .log = &run->log,
                                     .open_landing = open_worker_landing,
                                     .tick = renew,
                                     .state = run};
    const bool ok = pipeline_run(&options, run->env, run->arena, &run->report.pipeline, err);
    run->fetch = NULL; // the pipeline has closed it
    TRY(ok);
    Error unknown = {0}; // without the pages the next run compresses them
    if (run->known != NULL)
        (void)!known_pages_write(run->known, store, run->job->name, &unknown);
    unknown = (Error){0}; // without a memo the next run asks the warehouse
    if (remembers && !run->memo_run.rests && !run->memo_run.unsure &&
        run->report.pipeline.slices_failed == 0)
        (void)!run_note_memo(run, &unknown);
    expire(run);
    purge_redacted(run);
    return end_run(run, &run->report, err);
}

// What the run has cost, where a warehouse's time does: pawl status shows it.
static void log_usage(Run *run, int64_t started_us)
{
    const Warehouse *warehouse = &run->parts.warehouse;
    if (warehouse->driver == NULL || warehouse->driver->usage == NULL)
        return;
    EtlLogRow row = {.run = str_from(run->plan.run),
                     .job = run->job->name,
                     .mode = str_from(run_mode_name(run->plan.mode)),
                     .stage = STR("warehouse"),
                     .status = STR("ok"),
                     ETL_LOG_NONE};
    row.started_us = started_us;
    warehouse->driver->usage(warehouse->state, &row.duration_us, &row.requests);
    log_book_add(run->log, &row);
}

// The row of the run as a whole, and every row that no load took along. A warehouse that cannot be
// written does not make a good run bad: the rows wait in the landing store.
static void close_log(Run *run, const RunReport *report, const Error *why)
{
    if (run->log == NULL || run->plan.run[0] == '\0')
        return;
    const PipelineReport *p = &report->pipeline;
    EtlLogRow row = {.run = str_from(run->plan.run),
                     .job = run->job->name,
                     .mode = str_from(run_mode_name(run->plan.mode)),
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
    row.started_us = run->env->now_us(run->env->state) - report->elapsed_us;
    Error ignored = {0};
    if (why->code != ERROR_NONE && !log_book_error_json(run->log, why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(run->log, &row);
    Warehouse *warehouse = &run->parts.warehouse;
    log_usage(run, row.started_us);
    // What a run that woke nobody has to say waits for one that does.
    const bool wakes = !run->memo_run.rests;
    if (!wakes ||
        !(warehouse->driver != NULL && warehouse->driver->logs_once_a_run
              ? log_book_write_all(run->log, &run->parts.store, run->job->name, warehouse, &ignored)
              : log_book_write(run->log, warehouse, &ignored)))
        (void)!log_book_keep(run->log, &run->parts.store, run->job->name, row.run, run->env,
                             &ignored);
}

// --- in one go, and in steps

static bool open_parts(Run *run, Error *err)
{
    CLEANUP(arena_freep) Arena *finding_arena = arena_new((size_t)1024 * 1024, err);
    TRY(finding_arena != NULL);
    Findings *findings = arena_alloc(finding_arena, sizeof(*findings), err);
    TRY(findings != NULL);
    findings->arena = finding_arena;
    TRY(job_parts_open(run->job, run->options->stream, run->env, run->arena, findings, &run->parts,
                       err));
    TRY(job_parts_check_loads(&run->parts, findings, err) && findings_check(findings, err) &&
        lake_open(&run->parts, findings, err) && log_book_new(&run->log, err));
    run->plan = (Plan){.mode = run->options->mode,
                       .streams = run->parts.streams,
                       .stream_count = run->parts.stream_count};
    return true;
}

static void end(Run *run, bool ok, const Error *why)
{
    RunReport *report = &run->report;
    run->ended = true;
    report->elapsed_us = run->env->monotonic_us(run->env->state) - run->started_us;
    if (run->log == NULL)
        return; // it never began
    fetch_closep(&run->fetch);
    run->fetch = NULL;
    known_pages_close(run->known);
    run->known = NULL;
    close_log(run, report, why);
    share_close(&run->share);
    lease_release(&run->lease);
    Event event = {.kind = EVENT_RUN_ENDED, EVENT_NONE};
    event.duration_us = report->elapsed_us;
    event.text = ok ? STR("done") : str_from(why->message);
    run_emit(run, event);
}

bool run_begin(const Job *job, const RunOptions *options, Env *env, const EventSink *sink,
               Arena *arena, Run **ret_run, Error *err)
{
    Run *run = arena_alloc(arena, sizeof(*run), err);
    TRY(run != NULL);
    *run = (Run){.job = job, .options = options, .env = env, .sink = sink, .arena = arena};
    run->started_us = env->monotonic_us(env->state);
    if (open_parts(run, err) && begin(run, err)) {
        *ret_run = run;
        return true;
    }
    end(run, false, err);
    run_close(run);
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
    Run run = {.job = job, .options = options, .env = env, .sink = sink, .arena = arena};
    run.started_us = env->monotonic_us(env->state);
    const bool ok = open_parts(&run, err) && begin(&run, err) && load(&run, err);
    end(&run, ok, err);
    *ret_report = run.report;
    run_close(&run);
    return ok;
}
