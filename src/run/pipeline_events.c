// What a run tells: events while it goes on, rows of ETL_LOG about what ended.
#include "run/pipeline_parts.h"

// --- events

void pipeline_emit(Pipeline *pipeline, Event event)
{
    event.at_us = pipeline->env->now_us(pipeline->env->state);
    event.run = str_from(pipeline->options->plan->run);
    event.job = pipeline->options->job->name;
    event.mode = str_from(plan_mode_name(pipeline->options->plan));
    pipeline->options->sink->emit(pipeline->options->sink->state, &event);
}

Event pipeline_slice_event(EventKind kind, const SliceTask *task)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    Event event = {.kind = kind, EVENT_NONE};
    event.stream = stream_name(task->stream->stream);
    event.partition = task->stream->partitions[slice->partition].value;
    event.slice = task->ordinal;
    return event;
}

void pipeline_emit_progress(Pipeline *pipeline, bool now)
{
    const int64_t us = pipeline->env->monotonic_us(pipeline->env->state);
    if (!now && us - pipeline->progress_us < 500000)
        return;
    pipeline->progress_us = us;
    RunCounters *counters = &pipeline->counters;
    Event event = {.kind = EVENT_PROGRESS, EVENT_NONE};
    event.rows = atomic_load(&counters->rows);
    event.pages = atomic_load(&counters->pages);
    event.bytes = atomic_load(&counters->bytes);
    event.requests = atomic_load(&counters->requests);
    event.retries = atomic_load(&counters->retries);
    event.wait_us = atomic_load(&counters->wait_us);
    event.inserted = pipeline->report.inserted;
    event.updated = pipeline->report.updated;
    event.total = pipeline->report.slices;
    event.done = pipeline->report.slices - (int64_t)pipeline->unsettled;
    pipeline_emit(pipeline, event);
}

// --- ETL_LOG

static EtlLogRow log_row(const Pipeline *pipeline, const char *stage, const PlanStream *stream)
{
    EtlLogRow row = {ETL_LOG_NONE};
    row.run = str_from(pipeline->options->plan->run);
    row.job = pipeline->options->job->name;
    row.mode = str_from(plan_mode_name(pipeline->options->plan));
    row.stage = str_from(stage);
    row.stream = stream_name(stream->stream);
    row.status = STR("ok");
    return row;
}

static void log_error(Pipeline *pipeline, EtlLogRow *row, const Error *why)
{
    Error ignored = {0};
    if (why->code == ERROR_NONE)
        return;
    row->status = STR("failed");
    if (!log_book_error_json(pipeline->log, why, &row->error_json, &ignored))
        row->error_json = STR("{}");
}

void pipeline_log_slice(Pipeline *pipeline, const SliceTask *task)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    EtlLogRow row = log_row(pipeline, task->confirms ? "confirm" : "read", task->stream);
    row.partition_key = task->stream->partitions[slice->partition].partition.key;
    row.slice = task->ordinal;
    row.rows_in = task->counts.records;
    row.rows_landed = task->manifest.distinct_keys;
    row.rows_quarantined = task->counts.quarantined;
    row.rows_overflowed = task->counts.overflowed;
    row.bytes = (int64_t)task->bytes;
    row.requests = task->requests - task->retries;
    row.attempts = task->requests;
    row.wait_us = task->waited_us;
    row.started_us = task->started_us;
    row.duration_us = task->ended_us - task->started_us;
    log_error(pipeline, &row, &task->err);
    log_book_add(pipeline->log, &row);
}

void pipeline_log_load(Pipeline *pipeline, const LoadTask *load)
{
    EtlLogRow row = log_row(pipeline, "merge", load->stream);
    row.load = load->ordinal;
    row.rows_in = load->rows_in;
    row.rows_landed = load->distinct;
    row.rows_inserted = load->inserted;
    row.rows_updated = load->updated;
    row.rows_unchanged = load->unchanged;
    row.rows_deleted = load->deleted;
    row.rows_quarantined = load->quarantined;
    row.rows_overflowed = load->overflowed;
    row.started_us = load->started_us;
    row.duration_us = load->ended_us - load->started_us;
    log_error(pipeline, &row, &load->err);
    log_book_add(pipeline->log, &row);
}

// Rows that the warehouse did not take wait in the landing store.
void pipeline_keep_log(Pipeline *pipeline, LogBook *log)
{
    Error lost = {0};
    if (log != NULL &&
        !log_book_keep(log, pipeline->options->store, pipeline->options->job->name,
                       str_from(pipeline->options->plan->run), pipeline->env, &lost)) {
        Event event = {.kind = EVENT_WAITING, EVENT_NONE};
        event.text = str_from(lost.message);
        pipeline_emit(pipeline, event);
    }
}
