// Status: how a job stands, from what the warehouse's ledger and log, the landing store and the
// state folder know. Reads only.
#pragma once

#include "run/job.h"
#include "run/receipt.h"
#include "warehouse/warehouse.h"

enum { STATUS_RUNS_MAX = 10, STATUS_FAILURES_MAX = 100, STATUS_RECEIPTS_MAX = 5 };

typedef struct StatusStream {
    Str stream, target;
    int64_t fresh_until_us; // the earliest watermark; INT64_MIN = none yet
    int64_t last_loaded_us; // INT64_MIN = never
    Watermark *marks;       // by partition; partition_key is the partition's value, for people
    size_t mark_count;
} StatusStream;

typedef struct StatusRun {
    Str run, mode, status, error; // error: JSON; empty = none
    int64_t started_us, duration_us;
    int64_t rows, inserted, updated, unchanged, deleted;
    int64_t warehouse_us, warehouse_statements; // -1 = costs nothing
} StatusRun;

typedef struct StatusFailure {
    Str stream, partition, mode, error;
    int64_t at_us;
    int64_t slices;
} StatusFailure;

typedef struct StatusUnfinished {
    Str run;
    RunMode mode;
    int64_t created_us;
} StatusUnfinished;

typedef struct Status {
    int64_t now_us;
    Str blind;     // why the warehouse could not be asked; empty = it was
    Error trouble; // what could not be read, warehouse first; code NONE = there is nothing yet
    StatusStream *streams;
    size_t stream_count;
    StatusRun runs[STATUS_RUNS_MAX]; // newest first
    size_t run_count;
    int64_t runs_90d, runs_ok_90d;
    StatusFailure *failures; // that no later reading has mended
    size_t failure_count;
    StatusUnfinished unfinished[MODE_COUNT];
    size_t unfinished_count;
    ReceiptNote receipts[STATUS_RECEIPTS_MAX]; // newest first
    size_t receipt_count;
    int64_t receipts_total;
    Str last_event; // of the newest run, one JSON object; empty = none
} Status;

// Everything lives in `arena`. What can be read is read: a warehouse that another process holds, or
// a damaged note in the landing store, is trouble for whoever asks to tell of, behind the rest.
bool status_read(const Job *job, Str state_folder, Env *env, Arena *arena, Findings *findings,
                 Status **ret_status, Error *err) MUST_USE;
