#include "run/retention.h"

#include "run/lake.h"

static void log_row(const JobParts *parts, const Plan *plan, LogBook *log, EtlLogRow row,
                    const Error *why)
{
    row.run = str_from(plan->run);
    row.job = parts->job->name;
    row.mode = str_from(plan_mode_name(plan));
    row.stage = STR("expire");
    row.status = why->code == ERROR_NONE ? STR("ok") : STR("failed");
    Error ignored = {0};
    if (why->code != ERROR_NONE && !log_book_error_json(log, why, &row.error_json, &ignored))
        row.error_json = STR("{}");
    log_book_add(log, &row);
}

static void expire_pages(const JobParts *parts, const Plan *plan, LogBook *log)
{
    const int64_t now_us = parts->env->now_us(parts->env->state);
    const Duration kept = parts->job->landing_retention;
    if (kept.months == 0 && kept.us == 0)
        return;
    uint64_t files = 0;
    uint64_t bytes = 0;
    Error why = {0};
    if (landing_expire(parts->landing, time_before(now_us, kept), &files, &bytes, &why) &&
        files == 0)
        return;
    EtlLogRow row = {ETL_LOG_NONE};
    row.bytes = (int64_t)bytes;
    row.started_us = now_us;
    row.duration_us = parts->env->now_us(parts->env->state) - now_us;
    log_row(parts, plan, log, row, &why);
}

// A clock that is a year ahead makes all that is kept look too old, and what another writer has
// just put into the lake look left behind. A day passes: many a server has its own zone in its
// Date.
static bool check_clock(const FetchClock *clock, Error *err)
{
    if (!clock->told || clock->here_us - clock->there_us <= US_PER_DAY)
        return true;
    char here[TIME_TEXT_BYTES];
    char there[TIME_TEXT_BYTES];
    time_format_iso(clock->here_us, here);
    time_format_iso(clock->there_us, there);
    return error_set(err, ERROR_DATA,
                     "the clock: this machine says that it is %s, the source that it is %s: "
                     "nothing was removed by its age; set the clock",
                     here, there);
}

bool retention_apply(JobParts *parts, const Plan *plan, const FetchClock *clock, LogBook *log,
                     Error *ret_why)
{
    if (check_clock(clock, ret_why)) {
        expire_pages(parts, plan, log);
        lake_keep_after(parts, plan, log);
        return true;
    }
    EtlLogRow row = {ETL_LOG_NONE};
    row.started_us = parts->env->now_us(parts->env->state);
    log_row(parts, plan, log, row, ret_why);
    return false;
}
