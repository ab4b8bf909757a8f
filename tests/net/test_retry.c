#include "net/retry.h"

#include "harness/check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

// 1994-11-06T08:49:37Z, the moment of RFC 9110's examples.
static const int64_t RFC_MOMENT_US = INT64_C(784111777) * 1000000;

TEST(backoff_is_uniform_up_to_a_growing_ceiling)
{
    const RetryPolicy policy = {.attempts = 9, .initial_us = 1000, .factor = 2, .max_us = 5000};
    const struct {
        int64_t attempt;
        int64_t ceiling_us;
    } rows[] = {{1, 1000}, {2, 2000}, {3, 4000}, {4, 5000}, {5, 5000}, {INT64_MAX, 5000}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK_INT(retry_backoff_us(&policy, rows[i].attempt, 0), 0);
        CHECK_INT(retry_backoff_us(&policy, rows[i].attempt, (uint64_t)rows[i].ceiling_us),
                  rows[i].ceiling_us);
        CHECK_INT(retry_backoff_us(&policy, rows[i].attempt, (uint64_t)rows[i].ceiling_us + 1), 0);
        CHECK(retry_backoff_us(&policy, rows[i].attempt, UINT64_MAX) <= rows[i].ceiling_us);
    }
    const RetryPolicy flat = {.initial_us = 700, .factor = 1, .max_us = INT64_MAX};
    CHECK_INT(retry_backoff_us(&flat, INT64_MAX, 700), 700);
    const RetryPolicy steep = {.initial_us = 700, .factor = 1e300, .max_us = INT64_MAX};
    CHECK(retry_backoff_us(&steep, 50, UINT64_MAX) >= 0);
}

TEST(retry_after_is_read_in_all_its_forms)
{
    const struct {
        const char *text;
        bool ok;
        int64_t wait_us;
    } rows[] = {
        {"7", true, 7000000},
        {"0", true, 0},
        {"1.5", true, 1500000},
        {" 2 ", true, 2000000},
        {"99999999999999999999", true, RETRY_AFTER_US_MAX},
        {"1e400", false, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", true, 60000000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", true, 60000000},
        {"Sun Nov  6 08:49:37 1994", true, 60000000},
        {"Sun, 06 Nov 1994 08:48:07 GMT", true, 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", true, RETRY_AFTER_US_MAX},
        {"", false, 0},
        {"-5", false, 0},
        {"nan", false, 0},
        {"soon", false, 0},
        {"7 seconds", false, 0},
        {"Sun, 31 Feb 1994 08:49:37 GMT", false, 0},
        {"Sun, 06 Nov 1994 24:00:00 GMT", false, 0},
        {"Sun, 06 Nov 1994 08:49:37 PST", false, 0},
        {"Sun, 06 Nov 1994 08:49:37", false, 0},
        {"Sun, 00 Nov 1994 08:49:37 GMT", false, 0},
        {"Sun, 06 Foo 1994 08:49:37 GMT", false, 0},
        {"Sun Nov 6", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].text);
        HttpHeader header = {STR("retry-after"), str_from(rows[i].text)};
        const HttpResponse response = {.headers = &header, .header_count = 1};
        int64_t wait_us = -1;
        CHECK_INT(retry_after_us(&response, RFC_MOMENT_US - 60000000, &wait_us), rows[i].ok);
        CHECK_INT(wait_us, rows[i].ok ? rows[i].wait_us : -1);
    }
    const HttpResponse none = {0};
    int64_t wait_us = -1;
    CHECK(!retry_after_us(&none, RFC_MOMENT_US, &wait_us));

    // Its clock is years away from ours: what counts is how far its two dates lie apart.
    HttpHeader dates[] = {{STR("Date"), STR("Sun, 06 Nov 1994 08:49:07 GMT")},
                          {STR("Retry-After"), STR("Sun, 06 Nov 1994 08:49:37 GMT")}};
    const HttpResponse skewed = {.headers = dates, .header_count = 2};
    CHECK(retry_after_us(&skewed, INT64_C(1800000000000000), &wait_us));
    CHECK_INT(wait_us, 30000000);
}

TEST(two_digits_of_a_year_mean_the_nearest_past)
{
    const int64_t in_2026 = INT64_C(1790000000) * 1000000;
    int64_t us = 0;
    CHECK(http_date_parse(STR("Sunday, 06-Nov-94 08:49:37 GMT"), in_2026, &us));
    CHECK_INT(us, RFC_MOMENT_US);
    CHECK(http_date_parse(STR("Tuesday, 06-Nov-27 08:49:37 GMT"), in_2026, &us));
    CHECK(us > in_2026);
}

TEST(safe_methods_and_transient_statuses)
{
    CHECK(retry_is_safe_method(STR("GET")));
    CHECK(retry_is_safe_method(STR("DELETE")));
    CHECK(!retry_is_safe_method(STR("POST")));
    CHECK(!retry_is_safe_method(STR("PATCH")));
    CHECK(!retry_is_safe_method(STR("get"))); // methods are case-sensitive
    CHECK(retry_is_transient_status(429));
    CHECK(retry_is_transient_status(503));
    CHECK(!retry_is_transient_status(501));
    CHECK(!retry_is_transient_status(404));
    CHECK(!retry_is_transient_status(200));
}
