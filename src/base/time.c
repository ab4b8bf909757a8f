#include "base/time.h"

#include <assert.h>
#include <stdio.h>

// The days of 0001-01-01 and 9999-12-31.
enum { DATE_MIN = -719162, DATE_MAX = 2932896, YEARS_MAX = 9999 };

#define US_MIN (DATE_MIN * US_PER_DAY)
#define US_MAX ((DATE_MAX + 1) * US_PER_DAY - 1)

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

// --- calendar

// Howard Hinnant's days_from_civil: years begin in March, so that the leap day comes last.
int32_t date_from_civil(int year, int month, int day)
{
    assert(month >= 1 && month <= 12);

    const int64_t march_year = (int64_t)year - (month <= 2 ? 1 : 0);
    const int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    const int64_t year_of_era = march_year - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int32_t)(era * 146097 + day_of_era - 719468);
}

static Civil civil_from_days(int64_t days)
{
    const int64_t shifted = days + 719468;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const int64_t day_of_era = shifted - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (Civil){
        .year = (int)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

Civil civil_from_us(int64_t us)
{
    const int64_t days = floor_divide(us, US_PER_DAY);
    int64_t left = us % US_PER_DAY;
    if (left < 0)
        left += US_PER_DAY;
    Civil civil = civil_from_days(days);
    civil.microsecond = (int32_t)(left % US_PER_SECOND);
    const int seconds = (int)(left / US_PER_SECOND);
    civil.hour = seconds / 3600;
    civil.minute = seconds / 60 % 60;
    civil.second = seconds % 60;
    return civil;
}

int64_t us_from_civil(Civil civil)
{
    const int64_t days = date_from_civil(civil.year, civil.month, civil.day);
    const int64_t seconds =
        days * 86400 + INT64_C(3600) * civil.hour + INT64_C(60) * civil.minute + civil.second;
    return seconds * US_PER_SECOND + civil.microsecond;
}

int32_t date_from_us(int64_t us)
{
    return (int32_t)floor_divide(us, US_PER_DAY);
}

int date_weekday(int32_t date)
{
    const int64_t since_monday = ((int64_t)date + 3) % 7; // 1970-01-01 was a Thursday
    return (int)(since_monday < 0 ? since_monday + 7 : since_monday);
}

int date_days_in_month(int year, int month)
{
    assert(month >= 1 && month <= 12);

    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

// --- ISO 8601 dates and times

// Takes `count` digits off the front of `*rest`.
static bool take_digits(Str *rest, size_t count, int *ret_value)
{
    if (rest->size < count)
        return false;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        const int digit = rest->data[i] - '0';
        if (digit < 0 || digit > 9)
            return false;
        value = value * 10 + digit;
    }
    *rest = (Str){rest->data + count, rest->size - count};
    *ret_value = value;
    return true;
}

static bool take_char(Str *rest, char c)
{
    if (rest->size == 0 || rest->data[0] != c)
        return false;
    *rest = (Str){rest->data + 1, rest->size - 1};
    return true;
}

static bool take_date(Str *rest, Civil *civil)
{
    return take_digits(rest, 4, &civil->year) && take_char(rest, '-') &&
           take_digits(rest, 2, &civil->month) && take_char(rest, '-') &&
           take_digits(rest, 2, &civil->day) && civil->year >= 1 && civil->month >= 1 &&
           civil->month <= 12 && civil->day >= 1 &&
           civil->day <= date_days_in_month(civil->year, civil->month);
}

// Digits of a fraction, at least one; those behind the microsecond are dropped.
static bool take_fraction(Str *rest, int32_t *ret_microsecond)
{
    int32_t value = 0;
    int32_t unit = 100000;
    size_t size = 0;
    while (size < rest->size && rest->data[size] >= '0' && rest->data[size] <= '9') {
        value += (rest->data[size] - '0') * unit;
        unit /= 10;
        size++;
    }
    *rest = str_slice(*rest, size, rest->size);
    *ret_microsecond = value;
    return size > 0;
}

static bool take_clock(Str *rest, Civil *civil)
{
    if (!take_digits(rest, 2, &civil->hour) || !take_char(rest, ':') ||
        !take_digits(rest, 2, &civil->minute))
        return false;
    if (take_char(rest, ':')) {
        if (!take_digits(rest, 2, &civil->second))
            return false;
        if ((take_char(rest, '.') || take_char(rest, ',')) &&
            !take_fraction(rest, &civil->microsecond))
            return false;
    }
    return civil->hour <= 23 && civil->minute <= 59 && civil->second <= 60;
}

// "Z", "+05", "+0530", "+05:30"
static bool take_offset(Str *rest, int *ret_seconds)
{
    *ret_seconds = 0;
    if (take_char(rest, 'Z') || take_char(rest, 'z'))
        return true;
    const int sign = take_char(rest, '-') ? -1 : 1;
    if (sign > 0 && !take_char(rest, '+'))
        return false;
    int hours = 0;
    int minutes = 0;
    if (!take_digits(rest, 2, &hours))
        return false;
    const bool colon = take_char(rest, ':');
    if ((colon || rest->size > 0) && !take_digits(rest, 2, &minutes))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return hours <= 23 && minutes <= 59;
}

bool date_parse(Str text, int32_t *ret_date)
{
    Civil civil = {0};
    if (!take_date(&text, &civil) || text.size > 0)
        return false;
    *ret_date = date_from_civil(civil.year, civil.month, civil.day);
    return true;
}

bool time_parse_iso(Str text, int64_t *ret_us)
{
    Civil civil = {0};
    int offset_seconds = 0;
    if (!take_date(&text, &civil))
        return false;
    if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
        return false;
    if (!take_clock(&text, &civil) || !take_offset(&text, &offset_seconds) || text.size > 0)
        return false;
    const int64_t us = us_from_civil(civil) - offset_seconds * US_PER_SECOND;
    if (us < US_MIN || us > US_MAX)
        return false;
    *ret_us = us;
    return true;
}

void date_format(int32_t date, char text[TIME_TEXT_BYTES])
{
    const Civil civil = civil_from_days(date);
    (void)snprintf(text, TIME_TEXT_BYTES, "%04d-%02d-%02d", civil.year, civil.month, civil.day);
}

static char *put_two(char *to, int value, char behind)
{
    *to++ = (char)('0' + value / 10);
    *to++ = (char)('0' + value % 10);
    *to++ = behind;
    return to;
}

void time_format_iso(int64_t us, char text[TIME_TEXT_BYTES])
{
    const Civil civil = civil_from_us(us);
    char *to = text;
    if (civil.year >= 0 && civil.year <= YEARS_MAX) {
        to = put_two(to, civil.year / 100, ' ') - 1;
        to = put_two(to, civil.year % 100, '-');
    } else {
        to += snprintf(text, TIME_TEXT_BYTES, "%d-", civil.year);
    }
    to = put_two(to, civil.month, '-');
    to = put_two(to, civil.day, 'T');
    to = put_two(to, civil.hour, ':');
    to = put_two(to, civil.minute, ':');
    to = put_two(to, civil.second, '.');
    if (civil.microsecond == 0) {
        to--;
    } else {
        to = put_two(to, civil.microsecond / 10000, ' ') - 1;
        to = put_two(to, civil.microsecond / 100 % 100, ' ') - 1;
        to = put_two(to, civil.microsecond % 100, ' ') - 1;
    }
    *to++ = 'Z';
    *to = '\0';
}

// --- durations

// "12." or "1.5S": the digits in front of a unit, and, where one is allowed, a fraction in
// microseconds.
static bool take_amount(Str *rest, int64_t *ret_whole, int32_t *ret_fraction,
                        bool *ret_has_fraction)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] >= '0' && rest->data[size] <= '9')
        size++;
    if (!str_to_int64(str_slice(*rest, 0, size), ret_whole))
        return false;
    *rest = str_slice(*rest, size, rest->size);
    *ret_has_fraction = take_char(rest, '.') || take_char(rest, ',');
    return !*ret_has_fraction || take_fraction(rest, ret_fraction);
}

static bool add_scaled(int64_t *total, int64_t amount, int64_t unit)
{
    int64_t product = 0;
    return !__builtin_mul_overflow(amount, unit, &product) &&
           !__builtin_add_overflow(*total, product, total);
}

bool duration_parse(Str text, Duration *ret_duration)
{
    // The order in which units may stand; each at most once. 'M' means months before the T, minutes
    // behind.
    static const struct {
        char unit;
        bool behind_t;
        int32_t months;
        int64_t us;
    } units[] = {
        {'Y', false, 12, 0},
        {'M', false, 1, 0},
        {'W', false, 0, 7 * US_PER_DAY},
        {'D', false, 0, US_PER_DAY},
        {'H', true, 0, 3600 * US_PER_SECOND},
        {'M', true, 0, 60 * US_PER_SECOND},
        {'S', true, 0, US_PER_SECOND},
    };
    const size_t unit_count = sizeof(units) / sizeof(units[0]);
    if (!take_char(&text, 'P'))
        return false;
    int64_t months = 0;
    int64_t us = 0;
    size_t next = 0;
    bool behind_t = false;
    do {
        if (!behind_t && take_char(&text, 'T'))
            behind_t = true;
        int64_t whole = 0;
        int32_t fraction = 0;
        bool has_fraction = false;
        if (!take_amount(&text, &whole, &fraction, &has_fraction) || text.size == 0)
            return false;
        while (next < unit_count &&
               (units[next].behind_t != behind_t || units[next].unit != text.data[0]))
            next++;
        // Only seconds may have a fraction: half a month is no fixed length.
        if (next == unit_count || (has_fraction && units[next].unit != 'S') ||
            !add_scaled(&months, whole, units[next].months) ||
            !add_scaled(&us, whole, units[next].us) || !add_scaled(&us, fraction, 1))
            return false;
        next++;
        text = str_slice(text, 1, text.size);
    } while (text.size > 0);
    if (months > INT64_C(12) * YEARS_MAX)
        return false;
    *ret_duration = (Duration){(int32_t)months, us};
    return true;
}

int32_t date_add_duration(int32_t date, Duration duration, int sign)
{
    assert(sign == 1 || sign == -1);

    Civil civil = civil_from_days(date);
    const int64_t months =
        (int64_t)civil.year * 12 + civil.month - 1 + (int64_t)sign * duration.months;
    const int64_t year = floor_divide(months, 12);
    const int month = (int)(months - year * 12) + 1;
    if (year < 1 || year > YEARS_MAX)
        return year < 1 ? DATE_MIN : DATE_MAX;
    const int last = date_days_in_month((int)year, month);
    const int64_t moved =
        (int64_t)date_from_civil((int)year, month, civil.day < last ? civil.day : last) +
        sign * (duration.us / US_PER_DAY);
    if (moved < DATE_MIN || moved > DATE_MAX)
        return moved < DATE_MIN ? DATE_MIN : DATE_MAX;
    return (int32_t)moved;
}

int64_t time_before(int64_t us, Duration duration)
{
    const int32_t date = date_from_us(us);
    const int32_t moved = date_add_duration(date, (Duration){.months = duration.months}, -1);
    return us - ((int64_t)date - moved) * US_PER_DAY - duration.us;
}
