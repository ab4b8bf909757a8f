// Cron: the five fields of a schedule in a job file ("15 * * * *", "0 6 * * mon-fri"), as sets.
//
// As in crontab(5): lists, ranges, steps and names; both 0 and 7 are Sunday; where day of month and
// day of week are both restricted, either counts.
#pragma once

#include "base/error.h"
#include "base/str.h"

#define CRON_ALL_DAYS     0xfffffffeU
#define CRON_ALL_WEEKDAYS 0x7fU

typedef struct Cron {
    uint64_t minutes;  // bit n = minute n
    uint32_t hours;    // bit n = hour n
    uint32_t days;     // bit n = day n of the month, from 1
    uint32_t months;   // bit n = month n, from 1
    uint32_t weekdays; // bit 0 = Sunday ... bit 6 = Saturday
    // The field began with *: then both must hold, as in cron, else either.
    bool any_day, any_weekday;
} Cron;

// ERROR_JOB says which field is wrong.
bool cron_parse(Str text, Cron *ret_cron, Error *err) MUST_USE;
