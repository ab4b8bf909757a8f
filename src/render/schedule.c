#include "render/schedule.h"

// Cron's week begins on Sunday, as Quartz's does; systemd's ranges begin on Monday.
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"};

// How a set is written: what stands for all, what between the ends of a range, and how a member
// looks.
typedef struct SetStyle {
    int first, last;
    const char *all, *to;
    const char *const *names; // NULL = digits
    int digits;               // at least
} SetStyle;

static bool holds(uint64_t set, int i)
{
    return (set >> i & 1) != 0;
}

static bool write_member(const SetStyle *style, int i, Buf *out, Error *err)
{
    if (style->names != NULL)
        return buf_append(out, str_from(style->names[i]), err);
    return buf_printf(out, err, "%0*d", style->digits, i);
}

// Three or more in a row become a range.
static bool write_set(uint64_t set, const SetStyle *style, Buf *out, Error *err)
{
    int missing = 0;
    for (int i = style->first; i <= style->last; i++)
        missing += !holds(set, i);
    if (missing == 0)
        return buf_append(out, str_from(style->all), err);
    const char *comma = "";
    for (int i = style->first; i <= style->last; i++) {
        if (!holds(set, i))
            continue;
        int end = i;
        while (end < style->last && holds(set, end + 1))
            end++;
        TRY(buf_append(out, str_from(comma), err) && write_member(style, i, out, err));
        comma = ",";
        if (end < i + 2)
            continue;
        TRY(buf_append(out, str_from(style->to), err) && write_member(style, end, out, err));
        i = end;
    }
    return true;
}

bool schedule_write_quartz(const Cron *cron, Buf *out, Error *err)
{
    static const SetStyle minutes = {0, 59, "*", "-", NULL, 1};
    static const SetStyle hours = {0, 23, "*", "-", NULL, 1};
    static const SetStyle days = {1, 31, "*", "-", NULL, 1};
    static const SetStyle months = {1, 12, "*", "-", NULL, 1};
    static const SetStyle weekdays = {0, 6, "*", "-", weekday_names, 0};
    const bool all_days = cron->days == CRON_ALL_DAYS;
    const bool all_weekdays = cron->weekdays == CRON_ALL_WEEKDAYS;
    if (!all_days && !all_weekdays)
        return error_set(err, ERROR_JOB,
                         "a schedule with both a day of month and a day of week has no Quartz "
                         "expression: give one of them");
    TRY(buf_append(out, STR("0 "), err) && write_set(cron->minutes, &minutes, out, err) &&
        buf_append_char(out, ' ', err) && write_set(cron->hours, &hours, out, err) &&
        buf_append_char(out, ' ', err));
    if (all_weekdays)
        TRY(write_set(cron->days, &days, out, err));
    else
        TRY(buf_append_char(out, '?', err));
    TRY(buf_append_char(out, ' ', err) && write_set(cron->months, &months, out, err) &&
        buf_append_char(out, ' ', err));
    if (all_weekdays)
        return buf_append_char(out, '?', err);
    return write_set(cron->weekdays, &weekdays, out, err);
}

// "OnCalendar=Mon..Fri *-*-* 06:15:00 America/New_York"
static bool write_line(const Cron *cron, bool by_day, bool by_weekday, Str zone, Buf *out,
                       Error *err)
{
    static const SetStyle minutes = {0, 59, "*", "..", NULL, 2};
    static const SetStyle hours = {0, 23, "*", "..", NULL, 2};
    static const SetStyle days = {1, 31, "*", "..", NULL, 2};
    static const SetStyle months = {1, 12, "*", "..", NULL, 2};
    static const SetStyle weekdays = {1, 7, "", "..", weekday_names, 0};
    TRY(buf_append(out, STR("OnCalendar="), err));
    if (by_weekday && cron->weekdays != CRON_ALL_WEEKDAYS)
        TRY(write_set(cron->weekdays | (cron->weekdays & 1) << 7, &weekdays, out, err) &&
            buf_append_char(out, ' ', err));
    TRY(buf_append(out, STR("*-"), err) && write_set(cron->months, &months, out, err) &&
        buf_append_char(out, '-', err) &&
        write_set(by_day ? cron->days : CRON_ALL_DAYS, &days, out, err) &&
        buf_append_char(out, ' ', err) && write_set(cron->hours, &hours, out, err) &&
        buf_append_char(out, ':', err) && write_set(cron->minutes, &minutes, out, err));
    return buf_printf(out, err, ":00 " STR_FMT "\n", STR_ARG(zone));
}

bool schedule_write_calendar(const Cron *cron, Str zone, Buf *out, Error *err)
{
    if (cron->any_day || cron->any_weekday)
        return write_line(cron, true, true, zone, out, err);
    return write_line(cron, true, false, zone, out, err) &&
           write_line(cron, false, true, zone, out, err);
}
