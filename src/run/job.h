// Job: what to do now: connector, contracts, mode, range, destination; one JSON file.
//
// A job is read in four steps: the file; `environments/<env>.json` laid over it (RFC 7396); a look
// for secrets in plain text; `${env:NAME}` and `${file:PATH}` replaced. Relative paths start at the
// job file. Immutable once opened.
#pragma once

#include "base/env.h"
#include "base/field.h"
#include "base/time.h"
#include "net/retry.h"
#include "run/job_partition.h"
#include "run/secret.h"

typedef enum RunMode { MODE_HISTORIC, MODE_INCREMENTAL, MODE_REHYDRATION, MODE_COUNT } RunMode;
const char *run_mode_name(RunMode mode); // "historic"
bool run_mode_parse(Str name, RunMode *ret_mode);

enum { JOB_BYTES_MAX = 1024 * 1024, JOB_STREAMS_MAX = 100, JOB_RULES_MAX = 16 };

typedef struct JobStream {
    Str name;
    Str contract_path; // absolute, or relative to the working directory as the job's own path is
    Str schema, table; // of "target": "ctm.calls"
    bool enabled;
} JobStream;

// Windows not older than `back` are read again when their last reading is older than `every`.
typedef struct RehydrationRule {
    Duration every;
    Duration back;
} RehydrationRule;

typedef struct JobMode {
    bool given;   // the job file has it
    Str from, to; // dates, "yesterday", "today"; empty = unbounded
    int64_t lookback_us;
    int priority; // RatePriority
    Str schedule; // cron expression, for `pawl serve` and render
    RehydrationRule rules[JOB_RULES_MAX];
    size_t rule_count;
} JobMode;

typedef struct JobLimits {
    double requests_per_second;
    double burst;
    int64_t connections;
    uint64_t memory_bytes;
    uint64_t page_bytes;
    int64_t timeout_us;
    int64_t load_rows;
} JobLimits;

typedef struct Job {
    Str path;
    Str folder; // of the job file
    Str name;
    Str environment; // "" = none
    Str connector_path;
    yyjson_val *config; // secrets resolved
    JobStream streams[JOB_STREAMS_MAX];
    size_t stream_count;
    JobPartition partitions[JOB_PARTITIONS_MAX];
    size_t partition_count;
    JobMode modes[MODE_COUNT];
    Str landing_store;
    yyjson_val *landing_options; // what is left for the store's own fields
    Duration landing_retention;
    int64_t landing_compression;
    Str forget_key;  // secret; empty = none
    Str privacy_key; // likewise
    Str lake_store;  // empty = the job has no lake
    Str lake_scratch;
    yyjson_val *lake_options; // what is left for the store's own fields
    Duration lake_retention;
    Str warehouse_driver;
    yyjson_val *warehouse_options;
    JobLimits limits;
    RetryPolicy retry;
    Str timezone_name;
    const Zone *timezone;
    bool allow_http; // plain http to hosts that are not loopback
    Str ca_file;
    yyjson_val *shown;      // the effective job with every secret as ***
    yyjson_val *unresolved; // with the references that it is written with
    VaultSecrets *vaults;   // what those to vaults became
} Job;

typedef struct JobOptions {
    Str environment;          // --env; empty = none
    const SecretNotes *notes; // NULL = look up what the job refers to (run/secret.h)
} JobOptions;

// Everything wrong is in `findings` (place = "<path>: <pointer>"); the job is usable only when
// findings_check() says so. ERROR_NOT_FOUND when there is no such file. `arena` holds secrets: free
// it with arena_wipe().
bool job_open(const char *path, const JobOptions *options, Env *env, Arena *arena,
              Findings *findings, Job **ret_job, Error *err) MUST_USE;

// The member at `pointer` as it is now, where something of it is kept in a file (${file:}):
// somebody may have rotated it there since. NULL where there is no such file. ERROR_JOB when one
// cannot be read. Threads may share the job; `arena` holds secrets then.
bool job_read_again(const Job *job, Str pointer, Env *env, Arena *arena, yyjson_val **ret_value,
                    Error *err) MUST_USE;

// The rows that read a job file, for its schema (job_schema.c).
typedef struct JobTables {
    const Field *job, *stream, *partition, *landing, *lake, *rule;
    const Field *modes[MODE_COUNT];
} JobTables;
const JobTables *job_tables(void);

// Writes the JSON Schema of a job file (draft 2020-12), as schemas/job.schema.json holds it.
bool job_write_schema(Buf *out, Error *err) MUST_USE;
// The same of the contracts that it names, as schemas/contract.schema.json.
bool job_write_contract_schema(Buf *out, Error *err) MUST_USE;

// Nothing said where the job does not name the field.
const JobPartition *job_find_partition(const Job *job, Str field);
const JobStream *job_find_stream(const Job *job, Str name);
