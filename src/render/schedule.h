// Schedule: a job's cron expression as other schedulers write it.
#pragma once

#include "base/buf.h"
#include "run/cron.h"

// Quartz, as Databricks takes it: seconds first, Sunday is day 1 (names are written, so that nobody
// has to count), and one of the two day fields is "?". Quartz cannot say "day of month or day of
// week": ERROR_JOB.
bool schedule_write_quartz(const Cron *cron, Buf *out, Error *err) MUST_USE;

// systemd's OnCalendar, in `zone`; of "day of month or day of week" one line each.
bool schedule_write_calendar(const Cron *cron, Str zone, Buf *out, Error *err) MUST_USE;
