// Calendar: when the calls of one account happen.
//
// Calls are numbered from 0 in the order in which they happen. A day has as many as its weekday,
// the season and chance give it, spread by the hour; call k of n happens near the k/n quantile of
// its day, so that the moment of a call is arithmetic and the order needs no sorting. Immutable
// once made: threads share it.
//
// `calls` calls happen on the account's local days [from, to). Behind them the same rate goes on,
// from `resume_at` (which all accounts of a world share) for up to CALENDAR_DAYS_BEYOND days.
#pragma once

#include "base/arena.h"
#include "base/time.h"

enum { CALENDAR_DAYS_BEYOND = 1100, CALENDAR_QUANTILES = 1024 };
#define CALENDAR_CALLS_MAX 80000000 // of one account, those to come included

typedef struct CalendarDay {
    int64_t start;  // epoch seconds of the first instant
    int32_t length; // seconds: 23 to 25 hours
    int32_t offset; // seconds east of UTC at the start
    bool shifts;    // the offset changes on this day
    float opens;    // the quantile of the day before which nothing happens
    uint32_t first; // number of the day's first call
} CalendarDay;

typedef struct Calendar {
    const Zone *zone;
    uint64_t seed;
    CalendarDay *days; // day_count + 1: the last one only says where the last day ends
    size_t day_count;
    int32_t first_date;
    float quantiles[CALENDAR_QUANTILES + 1]; // share of calls -> share of the day gone by
} Calendar;

typedef struct CalendarPlan {
    uint64_t seed;
    int32_t from, to; // dates
    uint32_t calls;
    int64_t resume_at; // epoch seconds
} CalendarPlan;

bool calendar_init(Calendar *calendar, const Zone *zone, const CalendarPlan *plan, Arena *arena,
                   Error *err) MUST_USE;

// The day (index into days) on which call `index` happens.
size_t calendar_day_of(const Calendar *calendar, uint32_t index);

// Epoch second of call `index`, which happens on day `day`.
int64_t calendar_moment(const Calendar *calendar, size_t day, uint32_t index);

// How many calls happen before `moment` (epoch seconds).
uint32_t calendar_count_before(const Calendar *calendar, int64_t moment);

// Seconds east of UTC at `moment`, which lies on day `day`.
int32_t calendar_offset(const Calendar *calendar, size_t day, int64_t moment);

// Number of all calls, those to come included, and the moment behind the last one.
uint32_t calendar_count(const Calendar *calendar);
int64_t calendar_end(const Calendar *calendar);
