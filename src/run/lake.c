#include "run/lake.h"

#include "run/drivers.h"
#include "run/load_vanished.h"

#include <stdlib.h>

// Of limits.memory, for DuckDB while it writes a file; beside the warehouse's share (drivers.c).
enum { LAKE_SHARE_PERCENT = 20 };
#define LAKE_BYTES_MIN (UINT64_C(48) * 1024 * 1024) // less does not write a file anew

bool job_open_lake(const Job *job, Env *env, Arena *arena, Findings *findings, Store *ret_store,
                   Delta **ret_delta, Error *err)
{
    *ret_delta = NULL;
    if (job->lake_store.size == 0)
        return true;
    Str place = {0};
    const size_t before = findings->count;
    TRY(arena_printf(arena, &place, err, STR_FMT ": /lake", STR_ARG(job->path)));
    const StoreWanted wanted = {job->lake_store, {job->lake_options, place}};
    TRY(job_open_store(job, &wanted, env, arena, findings, ret_store, err));
    if (findings->count > before)
        return true;
    const Duration kept = job->lake_retention;
    const uint64_t share = job->limits.memory_bytes / 100 * LAKE_SHARE_PERCENT;
    const DeltaOptions options = {.store = ret_store,
                                  .env = env,
                                  .scratch = job->lake_scratch,
                                  .memory_bytes = share > LAKE_BYTES_MIN ? share : LAKE_BYTES_MIN,
                                  // A month counts 31 days: nothing goes too early.
                                  .retention_us = kept.us + (int64_t)kept.months * 31 * US_PER_DAY};
    return delta_open(&options, arena, ret_delta, err);
}

static DeltaTableSpec table_spec(const PlanStream *stream)
{
    const ContractInfo *info = contract_info(stream->contract);
    return (DeltaTableSpec){.schema = stream->table.schema,
                            .name = stream->table.name,
                            .columns = stream->table.columns,
                            .column_count = stream->table.column_count,
                            .key_columns = info->key_columns,
                            .key_count = info->key_count,
                            .window_column = info->window_column};
}

bool lake_open(JobParts *parts, Findings *findings, Error *err)
{
    TRY(job_open_lake(parts->job, parts->env, parts->arena, findings, &parts->lake_store,
                      &parts->lake, err));
    TRY(findings_check(findings, err));
    for (size_t i = 0; parts->lake != NULL && i < parts->stream_count; i++) {
        const DeltaTableSpec spec = table_spec(&parts->streams[i]);
        TRY(delta_check(parts->lake, &spec, err));
    }
    return true;
}

bool lake_check_stream(JobParts *parts, const JobStream *target, Error *err)
{
    Findings findings = {.arena = parts->arena};
    Contract *contract = NULL;
    PlanStream stream = {.target = target};
    TRY(contract_open(target->contract_path.data, parts->arena, &findings, &contract, err));
    if (findings.count > 0)
        return true; // told before, with all that is wrong
    stream.contract = contract;
    stream.table = (TableSpec){.schema = target->schema, .name = target->table};
    stream.table.columns = contract_columns(contract, &stream.table.column_count);
    const DeltaTableSpec spec = table_spec(&stream);
    return delta_check(parts->lake, &spec, err);
}

static bool in_ledger(void *state, Str run, Str stream, uint32_t ordinal, bool *ret_is, Error *err)
{
    Warehouse *warehouse = state;
    return warehouse->driver->has_load(warehouse->state, run, stream, ordinal, ret_is, err);
}

bool lake_write_load(LoadTask *task, const DeltaRows *rows, size_t count, const LoadSlice *slices,
                     Warehouse *warehouse, Error *err)
{
    const SliceContext *context = task->context;
    DeltaSlice *readings =
        arena_alloc_array(task->arena, task->slice_count + 1, sizeof(*readings), err);
    TRY(readings != NULL);
    for (size_t i = 0; i < task->slice_count; i++) {
        const LoadSlice *slice = &slices[i];
        const PlanSlice *plan = &task->stream->slices[task->slices[i]->ordinal];
        readings[i] = (DeltaSlice){.partition_key = slice->partition_key,
                                   .from_us = slice->from_us,
                                   .to_us = slice->to_us,
                                   .fetched_us = slice->fetched_us,
                                   .skipped = slice->skipped};
        if (task->vanished == NULL)
            continue;
        readings[i].vanished = task->vanished[i].keys;
        readings[i].vanished_count = task->vanished[i].count;
        readings[i].vanished_us = load_vanished_us(task, i);
        if (task->stream->cursor.exists)
            plan_window_bounds(task->stream, plan, &readings[i].vanished_from_us,
                               &readings[i].vanished_to_us);
    }
    const DeltaLoad load = {.table = table_spec(task->stream),
                            .job = context->job->name,
                            .mode = str_from(plan_mode_name(context->plan)),
                            .run = str_from(context->plan->run),
                            .stream = stream_name(task->stream->stream),
                            .ordinal = task->ordinal,
                            .rewrites = context->plan->rewrites,
                            .rows = rows,
                            .rows_count = count,
                            .slices = readings,
                            .slice_count = task->slice_count,
                            .in_ledger = in_ledger,
                            .state = warehouse};
    DeltaReport report = {0};
    return delta_load(task->lake, &load, &report, err);
}

bool lake_erase(JobParts *parts, const PlanStream *stream, const Key128 *keys, size_t count,
                const PurgedRows *purged, int64_t *ret_rows, Error *err)
{
    DeltaErased *rows =
        arena_alloc_array(parts->arena, count + purged->count + 1, sizeof(*rows), err);
    TRY(rows != NULL);
    size_t filled = 0;
    for (size_t i = 0; i < count; i++)
        rows[filled++] = (DeltaErased){.key = keys[i]};
    // The ledger may not know them yet: a load that was killed before the warehouse had it.
    for (size_t i = 0; i < purged->count; i++) {
        const PurgedRow *row = &purged->items[i];
        if (bsearch(&row->key, keys, count, sizeof(*keys), key128_compare) == NULL)
            rows[filled++] = (DeltaErased){.key = row->key, .hash = &row->hash};
    }
    *ret_rows = 0;
    return filled == 0 || delta_erase(parts->lake, stream->table.schema, stream->table.name, rows,
                                      filled, ret_rows, err);
}

static void close_delta(Delta **delta)
{
    delta_close(*delta);
}

bool lake_promote(const Job *job, const LakePromotion *promotion, Env *env, Arena *arena,
                  int64_t *ret_rows, Error *err)
{
    const JobStream *target = promotion->target;
    Findings findings = {.arena = arena};
    CLEANUP(store_close) Store store = {0};
    CLEANUP(close_delta) Delta *delta = NULL;
    *ret_rows = 0;
    TRY(job_open_lake(job, env, arena, &findings, &store, &delta, err) &&
        findings_check(&findings, err));
    if (delta == NULL)
        return true;
    PlanStream stream = {.target = target, .contract = promotion->contract};
    stream.table = (TableSpec){.schema = target->schema, .name = target->table};
    stream.table.columns = contract_columns(stream.contract, &stream.table.column_count);
    const DeltaTableSpec spec = table_spec(&stream);
    return delta_promote(delta, &spec, promotion->column, promotion->path, ret_rows, err);
}

static bool keep_tables(JobParts *parts, DeltaKept *ret_kept, Error *err)
{
    for (size_t i = 0; i < parts->stream_count; i++)
        TRY(delta_keep(parts->lake, parts->streams[i].table.schema, parts->streams[i].table.name,
                       false, ret_kept, err));
    return true;
}

void lake_keep_after(JobParts *parts, const Plan *plan, LogBook *log)
{
    if (parts->lake == NULL)
        return;
    const int64_t now_us = parts->env->now_us(parts->env->state);
    DeltaKept kept = {0};
    Error why = {0};
    const bool ok = keep_tables(parts, &kept, &why);
    if (ok && kept.files_compacted + kept.files_removed + kept.log_files_removed == 0)
        return;
    EtlLogRow row = {.run = str_from(plan->run),
                     .job = parts->job->name,
                     .mode = str_from(plan_mode_name(plan)),
                     .stage = STR("lake"),
                     .status = ok ? STR("ok") : STR("failed"),
                     ETL_LOG_NONE};
    row.bytes = (int64_t)kept.bytes_removed;
    row.started_us = now_us;
    row.duration_us = parts->env->now_us(parts->env->state) - now_us;
    Error ignored = {0};
    if (!ok && !log_book_error_json(log, &why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(log, &row);
}
