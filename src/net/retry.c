#include "net/retry.h"

#include "base/time.h"

#include <assert.h>

int64_t retry_backoff_us(const RetryPolicy *policy, int64_t attempt, uint64_t random)
{
    assert(attempt >= 1);
    assert(policy->initial_us >= 0 && policy->max_us >= 0);

    double ceiling = (double)policy->initial_us;
    for (int64_t i = 1; i < attempt && ceiling < (double)policy->max_us && policy->factor > 1; i++)
        ceiling *= policy->factor;
    const uint64_t most =
        ceiling < (double)policy->max_us ? (uint64_t)ceiling : (uint64_t)policy->max_us;
    return (int64_t)(random % (most + 1));
}

bool retry_too_long(int64_t wait_us, Error *err)
{
    const bool is_short = wait_us < 120 * US_PER_SECOND;
    (void)error_set(err, ERROR_BUSY, "the far side asks to wait %lld %s",
                    (long long)(wait_us / (is_short ? 1000000 : 60000000)),
                    is_short ? "seconds" : "minutes");
    err->retry_after_ms = wait_us / 1000 < INT32_MAX ? (int32_t)(wait_us / 1000) : INT32_MAX;
    return false;
}

// --- dates ---

// Takes digits off the front: between 1 and `digits_max` of them.
static bool take_number(Str *text, size_t digits_max, int *ret_number)
{
    int number = 0;
    size_t i = 0;
    while (i < text->size && i < digits_max && text->data[i] >= '0' && text->data[i] <= '9')
        number = number * 10 + (text->data[i++] - '0');
    if (i == 0)
        return false;
    *text = str_slice(*text, i, text->size);
    *ret_number = number;
    return true;
}

static bool take(Str *text, Str part)
{
    if (!str_starts_with(*text, part))
        return false;
    *text = str_slice(*text, part.size, text->size);
    return true;
}

static bool take_month(Str *text, int *ret_month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (take(text, (Str){names + (size_t)i * 3, 3})) {
            *ret_month = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_clock(Str *text, Civil *civil)
{
    return take_number(text, 2, &civil->hour) && take(text, STR(":")) &&
           take_number(text, 2, &civil->minute) && take(text, STR(":")) &&
           take_number(text, 2, &civil->second);
}

// "06 Nov 1994 08:49:37 GMT", and with '-' and two digits of the year as RFC 850 wrote it.
static bool parse_day_first(Str text, int64_t now_us, Civil *civil)
{
    if (!take_number(&text, 2, &civil->day))
        return false;
    const bool old = take(&text, STR("-"));
    const Str between = old ? STR("-") : STR(" ");
    if (!(old || take(&text, STR(" "))) || !take_month(&text, &civil->month) ||
        !take(&text, between))
        return false;
    const size_t before = text.size;
    if (!take_number(&text, 4, &civil->year))
        return false;
    if (before - text.size == 2) {
        // More than 50 years ahead means the most recent such year in the past.
        const int this_year = civil_from_us(now_us).year;
        civil->year += this_year / 100 * 100;
        civil->year -= civil->year > this_year + 50 ? 100 : 0;
    }
    return take(&text, STR(" ")) && take_clock(&text, civil) && str_equal(text, STR(" GMT"));
}

// asctime's "Nov  6 08:49:37 1994".
static bool parse_month_first(Str text, Civil *civil)
{
    if (!take_month(&text, &civil->month) || !take(&text, STR(" ")))
        return false;
    (void)take(&text, STR(" "));
    return take_number(&text, 2, &civil->day) && take(&text, STR(" ")) &&
           take_clock(&text, civil) && take(&text, STR(" ")) &&
           take_number(&text, 4, &civil->year) && text.size == 0;
}

bool http_date_parse(Str text, int64_t now_us, int64_t *ret_us)
{
    // The name of the day is not compared with the date: a wrong one does no harm.
    const size_t comma = str_find_char(text, ',');
    Civil civil = {0};
    bool ok = false;
    if (comma < text.size) {
        text = str_slice(text, comma + 1, text.size);
        ok = take(&text, STR(" ")) && parse_day_first(text, now_us, &civil);
    } else {
        ok = text.size > 4 && text.data[3] == ' ' &&
             parse_month_first(str_slice(text, 4, text.size), &civil);
    }
    // 60 is a leap second.
    if (!ok || civil.year < 1 || civil.day < 1 ||
        civil.day > date_days_in_month(civil.year, civil.month) || civil.hour > 23 ||
        civil.minute > 59 || civil.second > 60)
        return false;
    *ret_us = us_from_civil(civil);
    return true;
}

bool retry_after_us(const HttpResponse *response, int64_t now_us, int64_t *ret_wait_us)
{
    const Str text = str_trim(http_header(response, STR("Retry-After")));
    double seconds = 0;
    int64_t then_us = 0;
    int64_t wait_us = 0;
    if (text.size == 0)
        return false;
    if (str_to_double(text, &seconds)) {
        if (!(seconds >= 0)) // NaN too
            return false;
        const double most = (double)RETRY_AFTER_US_MAX / 1e6;
        wait_us = seconds < most ? (int64_t)(seconds * 1e6) : RETRY_AFTER_US_MAX;
    } else if (http_date_parse(text, now_us, &then_us)) {
        // Both dates are the far side's: its clock and ours need not agree.
        int64_t sent_us = 0;
        if (http_date_parse(str_trim(http_header(response, STR("Date"))), now_us, &sent_us))
            now_us = sent_us;
        wait_us = then_us > now_us ? then_us - now_us : 0;
    } else {
        return false;
    }
    *ret_wait_us = wait_us < RETRY_AFTER_US_MAX ? wait_us : RETRY_AFTER_US_MAX;
    return true;
}

bool retry_is_safe_method(Str method)
{
    return str_equal(method, STR("GET")) || str_equal(method, STR("HEAD")) ||
           str_equal(method, STR("OPTIONS")) || str_equal(method, STR("PUT")) ||
           str_equal(method, STR("DELETE"));
}

bool retry_is_transient_status(int status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
           status == 503 || status == 504;
}
