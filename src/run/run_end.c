// The end of a run: what goes with it, and what is on record of it.
#include "base/kill.h"
#include "run/redacted_purge.h"
#include "run/retention.h"
#include "run/run_parts.h"

// What is older than the job keeps it goes, unless the clock that says so is wrong.
static void expire(Run *run)
{
    const JobParts *parts = &run->parts;
    Error why = {0};
    // One request a file: others may want the warehouse meanwhile.
    if ((parts->store.driver->features & STORE_REMOTE) != 0)
        (void)!parts->warehouse.driver->idle(parts->warehouse.state, &why);
    why = (Error){0};
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
    // What a slice that failed has noted is not in the table.
    const bool whole = run->report.pipeline.slices_failed == 0;
    const RedactedNotes where = {.job = run->job,
                                 .landing = run->parts.landing,
                                 .store = &run->parts.store,
                                 .ending = whole ? str_from(run->plan.run) : STR("")};
    bool waits = false;
    Error why = {0};
    CLEANUP(job_parts_close) JobParts all = {0};
    CLEANUP(exclusive_release) Exclusive exclusive = {0}; // in its store
    Findings findings = {.arena = run->arena};
    if (!redacted_waits(&where, &waits, &why) || !waits ||
        !job_parts_open(run->job, STR(JOB_ALL_STREAMS), run->env, run->arena, &findings, &all,
                        &why) ||
        !findings_check(&findings, &why) ||
        !exclusive_take(&exclusive, run->job, &all.store, run->env, run->options->mode, 0, &why))
        return;
    EtlLogRow row = {.stage = STR("purge"), ETL_LOG_NONE};
    row.started_us = run->env->now_us(run->env->state);
    RedactedPurge purge = {.job = run->job,
                           .parts = &all,
                           .warehouse = &run->parts.warehouse,
                           .exclusive = &exclusive,
                           .list = &run->forget,
                           .run = str_from(run->plan.run),
                           .ending = where.ending};
    bool ok = compact_warehouse(run, &why) && redacted_purge(&purge, &why);
    if (ok && purge.report.receipt.size > 0)
        tell_redacted(run, &purge.report);
    if (ok && purge.pages_unreadable > 0)
        ok = error_set(&why, ERROR_DATA,
                       "landed pages that may hold older copies cannot be read: remove or restore "
                       "them; until then each run tries again");
    row.status = ok ? STR("ok") : STR("failed");
    row.rows_deleted = purge.report.records;
    row.duration_us = run->env->now_us(run->env->state) - row.started_us;
    Error ignored = {0};
    if (!ok && !log_book_error_json(run->log, &why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    run_log(run, &row);
}

static bool is_due_again(const Plan *plan)
{
    const PlanRequest *asked = &plan->asked;
    return plan->mode == MODE_INCREMENTAL ||
           (plan->mode == MODE_REHYDRATION && asked->from.size + asked->to.size == 0 &&
            asked->stream.size + asked->account.size == 0);
}

static bool end_run(Run *run, Error *err)
{
    const PipelineReport *report = &run->report.pipeline;
    const bool partial = report->slices_failed > 0 || report->slices_left_out > 0;
    // What failed for one partition is found again by the next run of what is due: its watermark
    // did not move, its windows are as old as they were. Days that a person chose have no such net:
    // their run stays open and goes on with what is missing.
    if (report->slices_failed > 0 && !is_due_again(&run->plan))
        return true;
    kill_point("run end, %s", run_mode_name(run->plan.mode));
    const EndNote note = {.status = partial ? STR("partial") : STR("done"),
                          .streams = report->streams,
                          .stream_count = run->plan.stream_count};
    TRY(end_note_put(run->parts.landing, str_from(run->plan.run), &note,
                     run->env->now_us(run->env->state), err));
    kill_point("run ended, %s", run_mode_name(run->plan.mode));
    return true;
}

bool run_wind_up(Run *run, Error *err)
{
    expire(run);
    purge_redacted(run);
    return end_run(run, err);
}

// --- ETL_LOG

// What the run has cost, where a warehouse's time does: pawl status shows it.
static void log_usage(Run *run, int64_t started_us)
{
    const Warehouse *warehouse = &run->parts.warehouse;
    if (warehouse->driver == NULL || warehouse->driver->usage == NULL)
        return;
    EtlLogRow row = {.stage = STR("warehouse"), .status = STR("ok"), ETL_LOG_NONE};
    row.started_us = started_us;
    warehouse->driver->usage(warehouse->state, &row.duration_us, &row.requests);
    run_log(run, &row);
}

void run_close_log(Run *run, const Error *why)
{
    const RunReport *report = &run->report;
    if (run->log == NULL || run->plan.run[0] == '\0')
        return;
    const PipelineReport *p = &report->pipeline;
    EtlLogRow row = {.stage = STR("run"),
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
                     .requests = p->requests - p->retries,
                     .attempts = p->requests,
                     .wait_us = p->wait_us,
                     .duration_us = report->elapsed_us};
    row.started_us = run->env->now_us(run->env->state) - report->elapsed_us;
    Error ignored = {0};
    if (why->code != ERROR_NONE && !log_book_error_json(run->log, why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    run_log(run, &row);
    Warehouse *warehouse = &run->parts.warehouse;
    log_usage(run, row.started_us);
    // What a run that woke nobody has to say waits for one that does.
    const bool wakes = !run->memo_run.rests;
    if (!wakes || !(warehouse->driver != NULL && warehouse->driver->logs_once_a_run
                        ? log_book_write_all(run->log, &run->parts.store, run->job->name, warehouse,
                                             LOG_BOOK_BATCH_ROWS, &ignored)
                        : log_book_write(run->log, warehouse, &ignored)))
        (void)!log_book_keep(run->log, &run->parts.store, run->job->name, str_from(run->plan.run),
                             run->env, &ignored);
}
