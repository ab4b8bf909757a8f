#include "run/parts.h"

#include "contract/forgotten.h"
#include "run/drivers.h"

bool job_check_erasure(const JobStream *target, const Stream *stream, const Contract *contract,
                       Arena *arena, Findings *findings, Error *err)
{
    Str *pointers = NULL;
    size_t count = 0;
    if (stream_is_plain_json(stream))
        return true;
    TRY(contract_erasure_pointers(contract, arena, &pointers, &count, err));
    for (size_t i = 0; i < count; i++) {
        Str place = {0};
        TRY(arena_printf(arena, &place, err, STR_FMT ": " STR_FMT, STR_ARG(target->contract_path),
                         STR_ARG(pointers[i])));
        findings_addf(findings, place, STR("leave it out here, or ask the source for JSON"),
                      "nothing can be erased from landed pages of stream '" STR_FMT
                      "': they are not JSON in UTF-8",
                      STR_ARG(target->name));
    }
    return true;
}

static bool bind_stream(JobParts *parts, const JobStream *target, Findings *findings, Error *err)
{
    PlanStream *stream = &parts->streams[parts->stream_count];
    *stream = (PlanStream){.target = target};
    Error unknown = {0};
    if (!connector_find_stream(parts->connector, target->name, &stream->stream, &unknown) ||
        !stream_check(stream->stream, &unknown)) {
        Str place = {0};
        TRY(arena_printf(parts->arena, &place, err, STR_FMT ": /streams/" STR_FMT,
                         STR_ARG(parts->job->path), STR_ARG(target->name)));
        findings_add(findings, place, str_from(unknown.message), STR(""));
        return true;
    }
    plan_bind_cursor(stream);
    Contract *contract = NULL;
    const size_t before = findings->count;
    TRY(contract_open(target->contract_path.data, parts->arena, findings, &contract, err));
    if (findings->count == before)
        TRY(job_check_erasure(target, stream->stream, contract, parts->arena, findings, err));
    if (findings->count > before)
        return true;
    contract_set_privacy_key(contract, parts->job->privacy_key);
    stream->contract = contract;
    stream->table = (TableSpec){.schema = target->schema, .name = target->table};
    stream->table.columns = contract_columns(contract, &stream->table.column_count);
    stream->table.quarantine_columns = contract_quarantine_columns(&stream->table.quarantine_count);
    const ContractInfo *info = contract_info(contract);
    stream->table.evolve = info->evolution == EVOLUTION_EVOLVE;
    stream->table.partition_columns = info->partition_columns;
    stream->table.partition_count = info->partition_count;
    stream->table.window_column = info->window_column;
    parts->stream_count++;
    return true;
}

static bool bind_streams(JobParts *parts, Str only, Findings *findings, Error *err)
{
    const Job *job = parts->job;
    Str names[JOB_STREAMS_MAX];
    parts->streams =
        arena_alloc_array(parts->arena, job->stream_count + 1, sizeof(PlanStream), err);
    TRY(parts->streams != NULL);
    const bool all = str_equal(only, STR(JOB_ALL_STREAMS));
    bool found = all;
    for (size_t i = 0; i < job->stream_count; i++) {
        names[i] = job->streams[i].name;
        const bool named = only.size > 0 && str_equal(only, job->streams[i].name);
        found = found || named;
        if (all || (only.size > 0 ? named : job->streams[i].enabled))
            TRY(bind_stream(parts, &job->streams[i], findings, err));
    }
    if (only.size == 0 || found)
        return true;
    const Str nearest = findings_nearest(only, names, job->stream_count);
    return error_set(err, ERROR_JOB, "the job has no stream '" STR_FMT "'%s" STR_FMT "%s",
                     STR_ARG(only), nearest.size > 0 ? "; did you mean '" : "", STR_ARG(nearest),
                     nearest.size > 0 ? "'?" : "");
}

static size_t widest_table(const JobParts *parts)
{
    size_t most = 0;
    for (size_t i = 0; i < parts->stream_count; i++) {
        const size_t columns = parts->streams[i].table.column_count;
        most = columns > most ? columns : most;
    }
    return most;
}

bool job_parts_check_loads(const JobParts *parts, Findings *findings, Error *err)
{
    for (size_t i = 0; i < parts->stream_count; i++)
        TRY(job_check_columns(parts->job, parts->streams[i].target->name,
                              parts->streams[i].table.column_count, parts->arena, findings, err));
    return true;
}

bool job_parts_open(const Job *job, Str only_stream, Env *env, Arena *arena, Findings *findings,
                    JobParts *ret_parts, Error *err)
{
    *ret_parts = (JobParts){.job = job, .env = env, .arena = arena};
    JobParts *parts = ret_parts;
    TRY(connector_open(job->connector_path.data, job->config, env, arena, findings,
                       &parts->connector, err));
    if (findings->count > 0)
        return true;
    TRY(bind_streams(parts, only_stream, findings, err));
    TRY(job_open_landing(job, env, arena, findings, &parts->store, &parts->landing, err));
    return job_open_warehouse(job, widest_table(parts), env, arena, findings, &parts->warehouse,
                              err);
}

bool job_parts_tables(const JobParts *parts, Arena *arena, TableSpec **ret_tables, Error *err)
{
    TableSpec *tables = arena_alloc_array(arena, parts->stream_count + 1, sizeof(*tables), err);
    TRY(tables != NULL);
    for (size_t i = 0; i < parts->stream_count; i++)
        tables[i] = parts->streams[i].table;
    *ret_tables = tables;
    return true;
}

void job_parts_close(JobParts *parts)
{
    if (parts->landing != NULL)
        landing_close(parts->landing);
    store_close(&parts->store);
    warehouse_close(&parts->warehouse);
    delta_close(parts->lake);
    store_close(&parts->lake_store);
    *parts = (JobParts){0};
}

bool job_parts_read_knowledge(const JobParts *parts, RunMode mode, const PlanStream *stream,
                              PlanKnowledge *ret_knowledge, Error *err)
{
    if (!job_has_warehouse(parts->job))
        return true;
    const Warehouse *warehouse = &parts->warehouse;
    Watermark *marks = NULL;
    LoadSlice *slices = NULL;
    TRY(warehouse->driver->read_watermarks(warehouse->state, parts->job->name, &stream->table,
                                           parts->arena, &marks, &ret_knowledge->watermark_count,
                                           err));
    ret_knowledge->watermarks = marks;
    // Only rehydration asks when a window was last read.
    if (mode != MODE_REHYDRATION)
        return true;
    TRY(warehouse->driver->read_slices(warehouse->state, &stream->table,
                                       stream_name(stream->stream), parts->arena, &slices,
                                       &ret_knowledge->slice_count, err));
    ret_knowledge->slices = slices;
    return true;
}
