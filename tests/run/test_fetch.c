// Fetch: how long to wait before the same question goes out once more, and who else waits.
#include "harness/check.h"
#include "run/fetch.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SECOND      INT64_C(1000000)

// The job's own rule waits nothing here: the longest of the others counts.
TEST(a_wait_is_the_longest_of_all_and_has_an_end)
{
    const RetryPolicy policy = {.attempts = 3, .initial_us = 0, .factor = 2, .max_us = 0};
    const struct {
        const char *name, *retry_after;
        int64_t manifest_s; // -1: it does not say
        bool asked;         // by a header that the manifest reads
        bool ok;
        int64_t wait_s;
    } rows[] = {
        {"nobody says", "soon", -1, false, true, 0},
        {"Retry-After", "7", -1, false, true, 7},
        {"the manifest", "", 60, false, true, 60},
        {"the manifest, longer", "7", 60, false, true, 60},
        {"the manifest, shorter", "7", 5, false, true, 7},
        // Whole seconds of another clock: one more, as the CDK does.
        {"a header that the manifest reads", "", 60, true, true, 61},
        {"and it is Retry-After", "7", 7, true, true, 7},
        {"an hour", "3600", -1, false, true, 3600},
        {"longer than an hour", "3601", -1, false, false, 0},
        {"never", "1000000000000000000", -1, false, false, 0},
        {"an hour, by the manifest", "", 3600, false, true, 3600},
        {"longer, by the manifest", "", 3601, false, false, 0},
        {"longer, by a header", "", 3600, true, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        HttpHeader header = {STR("retry-after"), str_from(rows[i].retry_after)};
        const HttpResponse response = {.status = 503, .headers = &header, .header_count = 1};
        const PageOutcome outcome = {.verdict = PAGE_RETRY,
                                     .wait_us =
                                         rows[i].manifest_s < 0 ? -1 : rows[i].manifest_s * SECOND,
                                     .wait_is_asked = rows[i].asked};
        RetryWait wait = {.us = -1};
        Error err = {0};
        CHECK_INT(fetch_retry_wait(&policy, 1, &outcome, &response, &test_env, &wait, &err),
                  rows[i].ok);
        CHECK_INT(err.code, rows[i].ok ? ERROR_NONE : ERROR_BUSY);
        CHECK_INT(err.retry_after_ms > 3600000, !rows[i].ok);
        CHECK_INT(wait.us, rows[i].ok ? rows[i].wait_s * SECOND : -1);
        CHECK_INT(wait.hold_us, 0);
    }
}

TEST(a_wait_that_the_manifest_forbids_is_not_waited)
{
    const RetryPolicy policy = {.attempts = 3, .factor = 2};
    const HttpResponse response = {.status = 429};
    const PageOutcome outcome = {.verdict = PAGE_LIMITED,
                                 .wait_us = 90 * SECOND,
                                 .wait_is_asked = true,
                                 .wait_is_too_long = true};
    RetryWait wait = {0};
    Error err = {0};
    CHECK(!fetch_retry_wait(&policy, 1, &outcome, &response, &test_env, &wait, &err));
    CHECK_INT(err.code, ERROR_BUSY);
    CHECK_INT(err.retry_after_ms, 91000);
    CHECK_STR(str_from(err.message),
              STR("longer than the manifest allows: the far side asks to wait 91 seconds"));
}

TEST(the_jobs_own_rule_counts_where_it_is_the_longest)
{
    // test_env's dice always show 4.
    const RetryPolicy policy = {.attempts = 3, .initial_us = 5000, .factor = 1, .max_us = 5000};
    const PageOutcome outcome = {.verdict = PAGE_RETRY, .wait_us = 3};
    const HttpResponse response = {.status = 503};
    RetryWait wait = {0};
    Error err = {0};
    CHECK_OK(fetch_retry_wait(&policy, 1, &outcome, &response, &test_env, &wait, &err), &err);
    CHECK_INT(wait.us, 4);
}

// A limit is everybody's, and so is the time that its answer names. What the manifest thinks fit,
// or what other trouble asks for, is for the one request.
TEST(a_limit_that_says_how_long_holds_the_others_too)
{
    const RetryPolicy policy = {.attempts = 3, .factor = 2};
    const struct {
        const char *name, *retry_after;
        PageVerdict verdict;
        int status;
        int64_t manifest_s;
        bool asked;
        int64_t hold_s;
    } rows[] = {
        {"429 with a header of its own", "", PAGE_LIMITED, 429, 30, true, 31},
        {"429 that is called trouble", "", PAGE_RETRY, 429, 30, true, 31},
        // The fetcher reads that by itself, and sooner.
        {"429 with Retry-After", "30", PAGE_LIMITED, 429, -1, false, 0},
        {"429 with both", "30", PAGE_LIMITED, 429, 30, true, 0},
        {"429 with a header that asks for more", "7", PAGE_LIMITED, 429, 30, true, 31},
        {"a limit in other words", "30", PAGE_LIMITED, 403, -1, false, 30},
        {"a limit in other words, its own header", "", PAGE_LIMITED, 403, 30, true, 31},
        {"a guess", "", PAGE_LIMITED, 429, 30, false, 0},
        {"a guess beside the answer's word", "2", PAGE_LIMITED, 403, 30, false, 2},
        {"trouble", "30", PAGE_RETRY, 503, 30, true, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_row(rows[i].name);
        HttpHeader header = {STR("retry-after"), str_from(rows[i].retry_after)};
        const HttpResponse response = {
            .status = rows[i].status, .headers = &header, .header_count = 1};
        const PageOutcome outcome = {.verdict = rows[i].verdict,
                                     .wait_us =
                                         rows[i].manifest_s < 0 ? -1 : rows[i].manifest_s * SECOND,
                                     .wait_is_asked = rows[i].asked};
        RetryWait wait = {0};
        Error err = {0};
        CHECK_OK(fetch_retry_wait(&policy, 1, &outcome, &response, &test_env, &wait, &err), &err);
        CHECK(wait.us >= 30 * SECOND);
        CHECK_INT(wait.hold_us, rows[i].hold_s * SECOND);
    }
}
