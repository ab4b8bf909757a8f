#include "run/job.h"

#include "base/file.h"
#include "net/rate.h"
#include "run/cron.h"
#include "run/drivers.h"
#include "run/secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const mode_names[MODE_COUNT + 1] = {"historic", "incremental", "rehydration",
                                                       NULL};
static const char *const priority_names[] = {"low", "high", NULL};

// --- the tables: what may stand in a job file

typedef struct RetryFields {
    int64_t attempts, initial_us, max_us;
    double factor;
} RetryFields;

typedef struct RawJob {
    Str schema; // "$schema": for editors only
    Str name, connector, timezone, ca_file, privacy_key;
    bool allow_http;
    yyjson_val *config, *partitions, *streams, *modes, *landing;
    yyjson_val *warehouse, *lake;
    JobLimits limits;
    RetryFields retry;
} RawJob;

typedef struct RawMode {
    Str from, to, lookback, schedule;
    int priority;
    yyjson_val *windows;
} RawMode;

typedef struct RawStream {
    Str contract, target;
    bool enabled;
} RawStream;

typedef struct RawLanding {
    Str store, retention;
    int64_t compression;
    Str forget_key;
} RawLanding;

// clang-format off
static const Field limit_fields[] = {
    {"requests_per_second", FIELD_DOUBLE(JobLimits, requests_per_second, 0, 100000), .fallback = "5", .help = "most requests a second to the API; 0 = no limit"},
    {"burst",       FIELD_DOUBLE(JobLimits, burst, 1, 100000),        .fallback = "5", .help = "requests that may go out at once after a pause"},
    {"connections", FIELD_INT(JobLimits, connections, 1, 256),        .fallback = "8", .help = "requests under way at the same time"},
    {"memory",      FIELD_SIZE(JobLimits, memory_bytes, 128e6, 1e12), .fallback = "512MiB", .help = "most memory a run may use"},
    {"page",        FIELD_SIZE(JobLimits, page_bytes, 1024, 2e9),     .fallback = "64MiB", .help = "largest answer accepted"},
    {"timeout",     FIELD_DURATION(JobLimits, timeout_us),            .fallback = "PT2M", .help = "longest a request may take"},
    {"load_rows",   FIELD_INT(JobLimits, load_rows, 1, 10000000),     .fallback = "122880", .help = "rows a load aims at; the default is one row group of DuckDB"},
    {0},
};

static const Field retry_fields[] = {
    {"attempts", FIELD_INT(RetryFields, attempts, 1, 100),   .fallback = "3", .help = "tries in all"},
    {"initial",  FIELD_DURATION(RetryFields, initial_us),    .fallback = "PT1S", .help = "first wait; each wait is drawn from zero to the bound"},
    {"factor",   FIELD_DOUBLE(RetryFields, factor, 1, 10),   .fallback = "2", .help = "growth of the bound"},
    {"max",      FIELD_DURATION(RetryFields, max_us),        .fallback = "PT1M", .help = "longest bound; a Retry-After may ask for more"},
    {0},
};

static const Field mode_fields_historic[] = {
    {"from",     FIELD_STR(RawMode, from),                       .help = "first day, 2025-05-01"},
    {"to",       FIELD_STR(RawMode, to), .fallback = "yesterday", .help = "last day: a date, yesterday or today"},
    {"priority", FIELD_CHOICE(RawMode, priority, priority_names), .fallback = "low", .help = "share of the rate budget"},
    {"schedule", FIELD_STR(RawMode, schedule),                   .help = "cron expression for serve and render"},
    {0},
};
static const Field mode_fields_incremental[] = {
    {"lookback", FIELD_STR(RawMode, lookback), .fallback = "P2D", .help = "how far behind the watermark a run begins"},
    {"priority", FIELD_CHOICE(RawMode, priority, priority_names), .fallback = "high", .help = "share of the rate budget"},
    {"schedule", FIELD_STR(RawMode, schedule),                   .help = "cron expression for serve and render"},
    {0},
};
static const Field mode_fields_rehydration[] = {
    {"windows",  FIELD_JSON(RawMode, windows),                   .help = "list of {every, back}: days not older than back are read again when last read before every"},
    {"priority", FIELD_CHOICE(RawMode, priority, priority_names), .fallback = "low", .help = "share of the rate budget"},
    {"schedule", FIELD_STR(RawMode, schedule),                   .help = "cron expression for serve and render"},
    {0},
};
static const Field *const mode_fields[MODE_COUNT] = {mode_fields_historic, mode_fields_incremental, mode_fields_rehydration};

typedef struct RawRule { Str every, back; } RawRule;
static const Field rule_fields[] = {
    {"every", FIELD_STR(RawRule, every), .required = true, .help = "read a window again when its last reading is older"},
    {"back",  FIELD_STR(RawRule, back),  .required = true, .help = "how far back windows are looked at"},
    {0},
};

static const Field stream_fields[] = {
    {"contract", FIELD_STR(RawStream, contract), .required = true, .help = "path of the contract"},
    {"target",   FIELD_STR(RawStream, target),   .required = true, .help = "schema.table in the warehouse"},
    {"enabled",  FIELD_BOOL(RawStream, enabled), .fallback = "true", .help = "false: the stream is left out unless asked for by --stream"},
    {0},
};

static const Field landing_fields[] = {
    {"store",       FIELD_STR(RawLanding, store),    .fallback = "local", .help = "store driver"},
    {"retention",   FIELD_STR(RawLanding, retention), .fallback = "P90D", .help = "how long pages are kept"},
    {"compression", FIELD_INT(RawLanding, compression, -7, 19), .fallback = "1", .help = "zstd level of pages that came uncompressed"},
    {"forget_key",  FIELD_SECRET(RawLanding, forget_key), .help = "hashes the list of forgotten people, beside its salt; the same for ever"},
    {0},
};

typedef struct RawLake {
    Str store, retention, scratch;
    int format;
} RawLake;
static const char *const lake_formats[] = {"delta", NULL};
static const Field lake_fields[] = {
    {"format",    FIELD_CHOICE(RawLake, format, lake_formats), .required = true, .help = "what the tables are"},
    {"store",     FIELD_STR(RawLake, store),     .fallback = "local", .help = "store driver"},
    {"retention", FIELD_STR(RawLake, retention), .fallback = "P7D", .help = "how long files that newer versions replaced are kept for readers"},
    {"temp",      FIELD_STR(RawLake, scratch),   .help = "folder for temporary files; otherwise $TMPDIR or /tmp"},
    {0},
};

static const Field job_fields[] = {
    {"$schema",    FIELD_STR(RawJob, schema),        .help = "for editors"},
    {"name",       FIELD_STR(RawJob, name),          .required = true, .help = "names the job in ETL_LOG and the landing store"},
    {"connector",  FIELD_STR(RawJob, connector),     .required = true, .help = "path of the connector's manifest"},
    {"config",     FIELD_JSON(RawJob, config),       .help = "the connector's configuration; secrets as ${env:NAME}"},
    {"partitions", FIELD_JSON(RawJob, partitions),   .help = "which partitions to read, by partition field"},
    {"streams",    FIELD_JSON(RawJob, streams),      .required = true, .help = "stream name -> contract and target"},
    {"modes",      FIELD_JSON(RawJob, modes),        .help = "historic, incremental, rehydration"},
    {"landing",    FIELD_JSON(RawJob, landing),      .required = true, .help = "where pages are kept"},
    {"warehouse",  FIELD_JSON(RawJob, warehouse),    .required = true, .help = "where rows go"},
    {"lake",       FIELD_JSON(RawJob, lake),         .help = "tables of open format that get every load as well"},
    {"limits",     FIELD_STRUCT(RawJob, limits, limit_fields), .help = "rates and sizes"},
    {"retry",      FIELD_STRUCT(RawJob, retry, retry_fields),  .help = "what happens after a failed request"},
    {"timezone",   FIELD_STR(RawJob, timezone),      .fallback = "UTC", .help = "IANA zone of partitions that do not tell their own"},
    {"allow_http", FIELD_BOOL(RawJob, allow_http),   .fallback = "false", .help = "plain http to hosts that are not loopback"},
    {"ca_file",    FIELD_STR(RawJob, ca_file),       .help = "certificates to trust instead of the system's"},
    {"privacy_key", FIELD_SECRET(RawJob, privacy_key), .help = "makes the contracts' \"privacy\": \"hash\" an HMAC; the same for ever"},
    {0},
};
// clang-format on

const JobTables *job_tables(void)
{
    static const JobTables tables = {
        .job = job_fields,
        .stream = stream_fields,
        .partition = job_partition_fields,
        .landing = landing_fields,
        .lake = lake_fields,
        .rule = rule_fields,
        .modes = {mode_fields_historic, mode_fields_incremental, mode_fields_rehydration}};
    return &tables;
}

const char *run_mode_name(RunMode mode)
{
    assert(mode < MODE_COUNT);
    return mode_names[mode];
}

bool run_mode_parse(Str name, RunMode *ret_mode)
{
    for (int i = 0; i < MODE_COUNT; i++) {
        if (str_equal(name, str_from(mode_names[i]))) {
            *ret_mode = (RunMode)i;
            return true;
        }
    }
    return false;
}

// --- reading

// What each step of reading shares.
typedef struct Reader {
    Job *job;
    Env *env;
    Arena *arena;
    Findings *findings;
} Reader;

static Str place_of(const Reader *reader, const char *pointer)
{
    return findings_place(reader->findings, reader->job->path, str_from(pointer));
}

static void parse_duration_member(Reader *reader, Str text, const char *pointer, Duration *ret)
{
    // One that is missing was told already.
    if (text.size > 0 && !duration_parse(text, ret))
        findings_addf(reader->findings, place_of(reader, pointer),
                      STR("write an ISO 8601 duration such as P2D, PT1H or P1M"),
                      "'" STR_FMT "' is not a duration", STR_ARG(text));
}

static void check_day(Reader *reader, Str text, const char *pointer)
{
    int32_t date = 0;
    if (text.size == 0 || str_equal(text, STR("yesterday")) || str_equal(text, STR("today")) ||
        date_parse(text, &date))
        return;
    findings_addf(reader->findings, place_of(reader, pointer),
                  STR("write it as 2025-05-01, yesterday or today"), "'" STR_FMT "' is not a day",
                  STR_ARG(text));
}

static bool read_rules(Reader *reader, yyjson_val *windows, JobMode *mode, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    if (windows != NULL && !yyjson_is_arr(windows))
        findings_add(reader->findings, place_of(reader, "/modes/rehydration/windows"),
                     STR("is not a list"), STR("write [{\"every\": \"P1M\", \"back\": \"P2M\"}]"));
    yyjson_arr_foreach(windows, i, count, item)
    {
        if (i == JOB_RULES_MAX) {
            findings_addf(reader->findings, place_of(reader, "/modes/rehydration/windows"), STR(""),
                          "has more than %d rules", JOB_RULES_MAX);
            break;
        }
        char pointer[64];
        (void)snprintf(pointer, sizeof(pointer), "/modes/rehydration/windows/%zu", i);
        RawRule raw = {0};
        TRY(field_read(rule_fields, item, (FieldPlace){reader->job->path, str_from(pointer)},
                       reader->arena, &raw, reader->findings, err));
        parse_duration_member(reader, raw.every, pointer, &mode->rules[i].every);
        parse_duration_member(reader, raw.back, pointer, &mode->rules[i].back);
        mode->rule_count = i + 1;
    }
    return true;
}

static bool read_mode(Reader *reader, RunMode which, yyjson_val *object, Error *err)
{
    JobMode *mode = &reader->job->modes[which];
    RawMode raw = {.priority = which == MODE_INCREMENTAL ? RATE_HIGH : RATE_LOW};
    char pointer[64];
    (void)snprintf(pointer, sizeof(pointer), "/modes/%s", mode_names[which]);
    if (object != NULL)
        TRY(field_read(mode_fields[which], object,
                       (FieldPlace){reader->job->path, str_from(pointer)}, reader->arena, &raw,
                       reader->findings, err));
    mode->given = object != NULL;
    mode->from = raw.from;
    mode->to = raw.to;
    mode->priority = raw.priority;
    mode->schedule = raw.schedule;
    Cron cron = {0};
    Error problem = {0};
    if (raw.schedule.size > 0 && !cron_parse(raw.schedule, &cron, &problem))
        findings_addf(reader->findings, place_of(reader, pointer), STR(""), "schedule: %s",
                      problem.message);
    check_day(reader, raw.from, pointer);
    check_day(reader, raw.to, pointer);
    Duration lookback = {.us = INT64_C(2) * 86400 * 1000000};
    if (raw.lookback.size > 0)
        parse_duration_member(reader, raw.lookback, pointer, &lookback);
    // A month of lookback counts 31 days: never too little is read.
    mode->lookback_us = lookback.us + (int64_t)lookback.months * 31 * 86400 * 1000000;
    return read_rules(reader, raw.windows, mode, err);
}

static bool read_modes(Reader *reader, yyjson_val *modes, Error *err)
{
    static const Str names[MODE_COUNT] = {
        {"historic", 8}, {"incremental", 11}, {"rehydration", 11}};
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(modes, i, count, name, member)
    {
        RunMode ignored = MODE_HISTORIC;
        if (run_mode_parse(json_str(name), &ignored))
            continue;
        findings_addf(reader->findings, place_of(reader, "/modes"),
                      STR("write historic, incremental or rehydration"),
                      "there is no mode '" STR_FMT "'", STR_ARG(json_str(name)));
    }
    for (int mode = 0; mode < MODE_COUNT; mode++)
        TRY(read_mode(reader, (RunMode)mode, json_get(modes, names[mode]), err));
    return true;
}

static bool read_stream(Reader *reader, yyjson_val *name, yyjson_val *object, Error *err)
{
    Job *job = reader->job;
    Str pointer = {0};
    TRY(arena_printf(reader->arena, &pointer, err, "/streams/" STR_FMT, STR_ARG(json_str(name))));
    if (job->stream_count == JOB_STREAMS_MAX)
        return error_set(err, ERROR_JOB, STR_FMT ": more than %d streams", STR_ARG(job->path),
                         JOB_STREAMS_MAX);
    RawStream raw = {0};
    TRY(field_read(stream_fields, object, (FieldPlace){job->path, pointer}, reader->arena, &raw,
                   reader->findings, err));
    JobStream *stream = &job->streams[job->stream_count++];
    TRY(arena_copy_str(reader->arena, json_str(name), &stream->name, err));
    if (raw.contract.size > 0)
        TRY(file_join(reader->arena, job->folder, raw.contract, &stream->contract_path, err));
    stream->enabled = raw.enabled;
    const size_t dot = str_find_char(raw.target, '.');
    stream->schema = str_slice(raw.target, 0, dot);
    stream->table = str_slice(raw.target, dot + 1, raw.target.size);
    if (raw.target.size > 0 && (stream->schema.size == 0 || stream->table.size == 0))
        findings_addf(reader->findings, place_of(reader, pointer.data), STR("write schema.table"),
                      "target '" STR_FMT "' is not schema.table", STR_ARG(raw.target));
    for (size_t i = 0; i + 1 < job->stream_count && raw.target.size > 0; i++) {
        if (str_equal_ignoring_case(job->streams[i].schema, stream->schema) &&
            str_equal_ignoring_case(job->streams[i].table, stream->table))
            findings_addf(reader->findings, place_of(reader, pointer.data),
                          STR("a table of its own"),
                          "target '" STR_FMT "' is that of '" STR_FMT "'", STR_ARG(raw.target),
                          STR_ARG(job->streams[i].name));
    }
    return true;
}

static bool read_streams(Reader *reader, yyjson_val *streams, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(streams, i, count, name, member) TRY(read_stream(reader, name, member, err));
    if (count == 0)
        findings_add(reader->findings, place_of(reader, "/streams"), STR("names no stream"),
                     STR("name at least one"));
    return true;
}

// "landing", "lake" and "warehouse" hold the core's own members and the driver's: the driver's
// table checks the rest. `ours` says which half is wanted: the members that `names` lists, or the
// others.
static bool pick_members(const Reader *reader, yyjson_val *object, const char *const *names,
                         bool ours, yyjson_val **ret_object, Error *err)
{
    return json_pick(object, names, ours, reader->arena, ret_object, err);
}

static bool read_landing(Reader *reader, yyjson_val *landing, Error *err)
{
    static const char *const ours[] = {"store", "retention", "compression", "forget_key", NULL};
    Job *job = reader->job;
    yyjson_val *core = NULL;
    TRY(pick_members(reader, landing, ours, true, &core, err));
    TRY(pick_members(reader, landing, ours, false, &job->landing_options, err));
    RawLanding raw = {0};
    TRY(field_read(landing_fields, core, (FieldPlace){job->path, STR("/landing")}, reader->arena,
                   &raw, reader->findings, err));
    job->landing_store = raw.store;
    job->landing_compression = raw.compression;
    job->forget_key = raw.forget_key;
    parse_duration_member(reader, raw.retention, "/landing/retention", &job->landing_retention);
    return true;
}

static bool read_lake(Reader *reader, yyjson_val *lake, Error *err)
{
    static const char *const ours[] = {"format", "store", "retention", "temp", NULL};
    Job *job = reader->job;
    if (lake == NULL)
        return true;
    yyjson_val *core = NULL;
    TRY(pick_members(reader, lake, ours, true, &core, err));
    TRY(pick_members(reader, lake, ours, false, &job->lake_options, err));
    RawLake raw = {0};
    TRY(field_read(lake_fields, core, (FieldPlace){job->path, STR("/lake")}, reader->arena, &raw,
                   reader->findings, err));
    job->lake_store = raw.store;
    parse_duration_member(reader, raw.retention, "/lake/retention", &job->lake_retention);
    return raw.scratch.size == 0 ||
           file_join(reader->arena, job->folder, raw.scratch, &job->lake_scratch, err);
}

static bool read_warehouse(Reader *reader, yyjson_val *warehouse, Error *err)
{
    static const char *const ours[] = {"driver", NULL};
    Job *job = reader->job;
    yyjson_val *driver = json_get(warehouse, STR("driver"));
    if (!yyjson_is_str(driver))
        findings_add(reader->findings, place_of(reader, "/warehouse/driver"), STR("is missing"),
                     STR("write \"driver\": \"duckdb\""));
    else
        TRY(arena_copy_str(reader->arena, json_str(driver), &job->warehouse_driver, err));
    return pick_members(reader, warehouse, ours, false, &job->warehouse_options, err);
}

static bool read_zone(Reader *reader, Str name, Error *err)
{
    Job *job = reader->job;
    job->timezone_name = name;
    Error problem = {0};
    if (zone_open(name, reader->arena, &job->timezone, &problem))
        return true;
    findings_addf(reader->findings, place_of(reader, "/timezone"), STR(""), "%s", problem.message);
    return zone_open(STR("UTC"), reader->arena, &job->timezone, err);
}

static bool read_job(Reader *reader, yyjson_val *root, Error *err)
{
    Job *job = reader->job;
    RawJob raw = {0};
    TRY(field_read(job_fields, root, (FieldPlace){job->path, STR("")}, reader->arena, &raw,
                   reader->findings, err));
    job->name = raw.name;
    job->config = raw.config;
    job->limits = raw.limits;
    job->allow_http = raw.allow_http;
    job->ca_file = raw.ca_file;
    job->privacy_key = raw.privacy_key;
    job->retry = (RetryPolicy){.attempts = raw.retry.attempts,
                               .initial_us = raw.retry.initial_us,
                               .factor = raw.retry.factor,
                               .max_us = raw.retry.max_us};
    TRY(file_join(reader->arena, job->folder, raw.connector, &job->connector_path, err));
    TRY(read_zone(reader, raw.timezone, err));
    TRY(read_modes(reader, raw.modes, err));
    TRY(read_streams(reader, raw.streams, err));
    TRY(job_partitions_read(raw.partitions, job->path, reader->arena, reader->findings,
                            job->partitions, &job->partition_count, err));
    TRY(read_landing(reader, raw.landing, err));
    TRY(read_lake(reader, raw.lake, err));
    return read_warehouse(reader, raw.warehouse, err);
}

// Of a driver's own secrets, each told once, whatever its name already gave away.
static void refuse_of_fields(const Field *fields, yyjson_val *object, Str place, Str pointer,
                             Findings *findings)
{
    for (size_t i = 0; fields != NULL && fields[i].name != NULL; i++) {
        const Field row[] = {fields[i], {0}};
        if (!secret_is_secret_name(str_from(fields[i].name)))
            field_refuse_plain_secrets(row, object, (FieldPlace){place, pointer}, findings);
    }
}

// Secrets written out, by their names and by what the drivers' tables say.
static void refuse_secrets(yyjson_val *root, Str path, Findings *findings)
{
    secret_refuse_plain(root, path, STR(""), findings);
    yyjson_val *landing = json_get(root, STR("landing"));
    yyjson_val *warehouse = json_get(root, STR("warehouse"));
    yyjson_val *lake = json_get(root, STR("lake"));
    yyjson_val *staged = json_get(json_get(warehouse, STR("stage")), STR("files"));
    for (const StoreDriver *const *driver = drivers_stores(); *driver != NULL; driver++) {
        if (str_equal(json_str(json_get(landing, STR("store"))), str_from((*driver)->name)))
            refuse_of_fields((*driver)->fields, landing, path, STR("/landing"), findings);
        if (str_equal(json_str(json_get(lake, STR("store"))), str_from((*driver)->name)))
            refuse_of_fields((*driver)->fields, lake, path, STR("/lake"), findings);
        if (str_equal(json_str(json_get(staged, STR("store"))), str_from((*driver)->name)))
            refuse_of_fields((*driver)->fields, staged, path, STR("/warehouse/stage/files"),
                             findings);
    }
    for (const WarehouseDriver *const *driver = drivers_warehouses(); *driver != NULL; driver++) {
        if (str_equal(json_str(json_get(warehouse, STR("driver"))), str_from((*driver)->name)))
            refuse_of_fields((*driver)->fields, warehouse, path, STR("/warehouse"), findings);
    }
}

// Lays environments/<env>.json, beside or one above the job's folder, over the job (RFC 7396).
static bool lay_environment(Reader *reader, yyjson_val *root, yyjson_val **ret_root, Error *err)
{
    Job *job = reader->job;
    *ret_root = root;
    if (job->environment.size == 0)
        return true;
    Str text = {0};
    Str path = {0};
    TRY(arena_printf(reader->arena, &path, err, STR_FMT "/../environments/" STR_FMT ".json",
                     STR_ARG(job->folder), STR_ARG(job->environment)));
    if (!file_exists(path.data))
        TRY(arena_printf(reader->arena, &path, err, STR_FMT "/environments/" STR_FMT ".json",
                         STR_ARG(job->folder), STR_ARG(job->environment)));
    if (!file_read(path.data, JOB_BYTES_MAX, reader->arena, &text, err))
        return error_context(err, "environment '" STR_FMT "'", STR_ARG(job->environment));
    yyjson_doc *patch = NULL;
    TRY(json_parse(text, path.data, reader->arena, &patch, err));
    refuse_secrets(yyjson_doc_get_root(patch), path, reader->findings);

    yyjson_mut_doc *merged = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *value =
        merged == NULL ? NULL : yyjson_merge_patch(merged, root, yyjson_doc_get_root(patch));
    char *written = NULL;
    size_t size = 0;
    if (value != NULL) {
        yyjson_mut_doc_set_root(merged, value);
        written = yyjson_mut_write(merged, 0, &size);
    }
    yyjson_mut_doc_free(merged);
    if (written == NULL)
        return error_set(err, ERROR_LIMIT, "job: out of memory");
    yyjson_doc *doc = NULL;
    const bool ok = json_parse((Str){written, size}, path.data, reader->arena, &doc, err);
    free(written); // yyjson's own, from its default allocator
    TRY(ok);
    *ret_root = yyjson_doc_get_root(doc);
    return true;
}

bool job_open(const char *path, const JobOptions *options, Env *env, Arena *arena,
              Findings *findings, Job **ret_job, Error *err)
{
    Job *job = arena_alloc(arena, sizeof(*job), err);
    TRY(job != NULL);
    TRY(arena_copy_str(arena, str_from(path), &job->path, err));
    TRY(arena_copy_str(arena, file_folder(job->path), &job->folder, err));
    TRY(arena_copy_str(arena, options->environment, &job->environment, err));
    Reader reader = {.job = job, .env = env, .arena = arena, .findings = findings};

    Str text = {0};
    TRY(file_read(path, JOB_BYTES_MAX, arena, &text, err));
    yyjson_doc *doc = NULL;
    if (!json_parse(text, path, arena, &doc, err)) {
        err->code = ERROR_JOB;
        return false;
    }
    refuse_secrets(yyjson_doc_get_root(doc), job->path, findings);
    yyjson_val *root = NULL;
    TRY(lay_environment(&reader, yyjson_doc_get_root(doc), &root, err));
    yyjson_val *resolved = NULL;
    job->unresolved = root;
    job->vaults = arena_alloc(arena, sizeof(*job->vaults), err);
    TRY(job->vaults != NULL);
    const SecretOptions secrets = {.place = job->path,
                                   .folder = job->folder,
                                   .notes = options->notes,
                                   .vaults = job->vaults,
                                   .env = env,
                                   .findings = findings};
    TRY(secret_resolve(root, &secrets, arena, &resolved, &job->shown, err));
    TRY(read_job(&reader, resolved, err));
    *ret_job = job;
    return true;
}

bool job_read_again(const Job *job, Str pointer, Env *env, Arena *arena, yyjson_val **ret_value,
                    Error *err)
{
    *ret_value = NULL;
    yyjson_val *written = json_pointer(job->unresolved, pointer);
    if (!secret_names_file(written))
        return true;
    VaultSecrets vaults = *job->vaults;
    Findings findings = {.arena = arena};
    const SecretOptions secrets = {.place = job->path,
                                   .folder = job->folder,
                                   .vaults = &vaults,
                                   .env = env,
                                   .findings = &findings};
    yyjson_val *shown = NULL;
    yyjson_val *value = NULL;
    TRY(secret_resolve(written, &secrets, arena, &value, &shown, err) &&
        findings_check(&findings, err));
    *ret_value = value;
    return true;
}

const JobStream *job_find_stream(const Job *job, Str name)
{
    for (size_t i = 0; i < job->stream_count; i++) {
        if (str_equal(job->streams[i].name, name))
            return &job->streams[i];
    }
    return NULL;
}

const JobPartition *job_find_partition(const Job *job, Str field)
{
    static const JobPartition nothing = {0};
    for (size_t i = 0; i < job->partition_count; i++) {
        if (str_equal(job->partitions[i].field, field))
            return &job->partitions[i];
    }
    return &nothing;
}
