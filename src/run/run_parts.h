// The run's insides, for src/run/run*.c only: what its parts know of a run in hand.
#pragma once

#include "run/forget_list.h"
#include "run/parts.h"
#include "run/run.h"
#include "run/share.h"
#include "store/lease.h"

struct Run {
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
};

void run_emit(Run *run, Event event); // time, run, job and mode are filled in

// --- its plan (run_plan.c)

// Goes on with an unfinished run of this mode, or plans a new one, and prepares the warehouse for
// it.
bool run_make_or_resume_plan(Run *run, Error *err) MUST_USE;

// --- a warehouse that may sleep on (run_memo.c)

// Once the warehouse is prepared: whether the run before this one left a memo that still holds.
bool run_look_for_memo(Run *run, Error *err) MUST_USE;

// As job_parts_read_knowledge(), or from the memo where one holds.
bool run_read_knowledge(Run *run, const PlanStream *stream, PlanKnowledge *ret_knowledge,
                        Error *err) MUST_USE;

// For the pipeline. Incremental: always. Else where no older reading of what was read can be loaded
// behind it by anybody.
bool run_may_rest(void *state, bool *ret_may, Error *err) MUST_USE;

// What this run leaves, for the next one. Only where nobody else committed anything meanwhile.
bool run_note_memo(Run *run, Error *err) MUST_USE;

// --- its end (run_end.c)

// After the last load: what is too old or was redacted goes, then the run is over.
bool run_wind_up(Run *run, Error *err) MUST_USE;

// The row of the run as a whole, and every row that no load took along. A warehouse that cannot be
// written does not make a good run bad: the rows wait in the landing store.
void run_close_log(Run *run, const Error *why);
