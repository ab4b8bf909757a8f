#include "run/run.h"

#include "run/drivers.h"
#include "run/lake.h"
#include "run/run_parts.h"

#include <assert.h>

void run_emit(Run *run, Event event)
{
    event.at_us = run->env->now_us(run->env->state);
    event.run = str_from(run->plan.run);
    event.job = run->job->name;
    event.mode = str_from(run_mode_name(run->options->mode));
    run->sink->emit(run->sink->state, &event);
}

// --- the lease: one run of a (job, mode) at a time, wherever it runs

// Who makes sure that he is alone (run_may_rest(), the purge of redacted copies) holds all leases
// for a moment: that is no reason to end.
#define LEASE_WAIT_US_MIN INT64_C(2000000)

static bool take_lease(Run *run, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(run->env, id);
    Str path = {0};
    TRY(arena_printf(run->arena, &path, err, STR_FMT "/leases/%s.json", STR_ARG(run->job->name),
                     run_mode_name(run->options->mode)));
    const int64_t wait_us = run->options->lease_wait_us > LEASE_WAIT_US_MIN
                                ? run->options->lease_wait_us
                                : LEASE_WAIT_US_MIN;
    const int64_t deadline_us = run->env->monotonic_us(run->env->state) + wait_us;
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
    TRY(run_make_or_resume_plan(run, err));
    memcpy(run->report.run, run->plan.run, sizeof(run->report.run));
    return true;
}

// Whether the warehouse shows all that was read, and nothing else of its windows.
static bool leaves_what_it_read(const Run *run)
{
    const PipelineReport *report = &run->report.pipeline;
    return !run->memo_run.rests && !run->memo_run.unsure && report->slices_failed == 0 &&
           report->slices_left_out == 0 && report->held_back == 0 && report->unconfirmed == 0;
}

static bool load(Run *run, Error *err)
{
    const bool remembers = run->mark.loads >= 0 && memo_fits(&run->plan);
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
                                     .may_rest = run_may_rest,
                                     .state = run};
    const bool ok = pipeline_run(&options, run->env, run->arena, &run->report.pipeline, err);
    run->fetch = NULL; // the pipeline has closed it
    TRY(ok);
    Error unknown = {0}; // without the pages the next run compresses them
    if (run->known != NULL)
        (void)!known_pages_write(run->known, store, run->job->name, &unknown);
    unknown = (Error){0}; // without a memo the next run asks the warehouse
    if (remembers && leaves_what_it_read(run))
        (void)!run_note_memo(run, &unknown);
    return run_wind_up(run, err);
}

// --- in one go, and in steps

static bool open_parts(Run *run, Error *err)
{
    CLEANUP(arena_freep) Arena *finding_arena = arena_new((size_t)1024 * 1024, err);
    TRY(finding_arena != NULL);
    Findings *findings = findings_new(finding_arena, err);
    TRY(findings != NULL);
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
    run_close_log(run, why);
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
    const Warehouse *warehouse = &run->parts.warehouse;
    // Others may want the warehouse until whoever reads is done.
    if (open_parts(run, err) && begin(run, err) && warehouse->driver->idle(warehouse->state, err)) {
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
