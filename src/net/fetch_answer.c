// What an answer, or its absence, means: repeat, follow, finish.
#include "net/fetch_parts.h"

#include "net/url.h"

int64_t fetch_backoff_us(const Fetcher *fetcher, const RetryPolicy *policy, uint32_t tries)
{
    return retry_backoff_us(policy, tries > 0 ? tries : 1,
                            fetcher->env->random(fetcher->env->state));
}

static void repeat_at(Fetcher *fetcher, FetchTask *task, int64_t wait_us)
{
    fetch_forget_credential(task);
    task->due_us = fetch_monotonic_us(fetcher) + wait_us;
    task->retry_wait_us += wait_us;
    task->lane->counts.retry_wait_us += wait_us;
    fetch_return_waiting(fetcher, task);
}

static bool has_tries(const FetchTask *task)
{
    return task->retry != NULL && task->tries < (uint64_t)task->retry->attempts;
}

static bool is_harmless(const FetchTask *task)
{
    return task->request.repeatable || retry_is_safe_method(task->request.method);
}

// No answer came. True when the task was sent back to wait.
static bool retry_error(Fetcher *fetcher, FetchTask *task, const HttpExchange *exchange)
{
    task->tries++;
    if (exchange->err.code != ERROR_IO || !has_tries(task) ||
        (exchange->maybe_acted && !is_harmless(task)))
        return false;
    repeat_at(fetcher, task, fetch_backoff_us(fetcher, task->retry, task->tries));
    return true;
}

// A 401 for a token that looked good: get a new one. When the token has changed since the request
// was sent, the new one has not been tried yet. Whom the far side refuses with a token that nobody
// used before is meant himself; a token that others used first may have ended after so many
// requests.
static bool retry_unauthorized(Fetcher *fetcher, FetchTask *task)
{
    FetchLane *lane = task->lane;
    if (task->foreign || lane->auth.expire == NULL || task->renewals >= FETCH_RENEWALS_MAX ||
        (task->renewals > 0 && task->tries_token))
        return false;
    task->renewals++;
    if (task->generation == lane->generation) {
        lane->auth.expire(lane->auth.state);
        lane->generation++;
    }
    repeat_at(fetcher, task, 0);
    return true;
}

// 429 and the like, when the submitter leaves them to us.
static bool retry_answer(Fetcher *fetcher, FetchTask *task, const HttpResponse *response)
{
    const bool refused = response->status == 429;
    int64_t wait_us = 0;
    int64_t asked_us = 0;
    if (!task->retry_answers || task->retry == NULL)
        return false;
    if (refused) {
        // The budget says when; waiting for one's turn is no failed attempt.
        if (task->retry->attempts <= 1 || ++task->refusals > FETCH_REFUSALS_MAX)
            return false;
    } else {
        task->tries++;
        if (!has_tries(task) || !is_harmless(task))
            return false;
        wait_us = fetch_backoff_us(fetcher, task->retry, task->tries);
    }
    const int64_t now_us = fetcher->env->now_us(fetcher->env->state);
    if (retry_after_us(response, now_us, &asked_us) && asked_us > wait_us)
        wait_us = asked_us;
    if (wait_us > FETCH_WAIT_US_MAX)
        return false;
    repeat_at(fetcher, task, wait_us);
    return true;
}

static bool is_redirect(const FetchTask *task, const HttpResponse *response)
{
    const int status = response->status;
    return task->redirects_max > 0 &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           (str_equal(task->request.method, STR("GET")) ||
            str_equal(task->request.method, STR("HEAD"))) &&
           http_header(response, STR("Location")).size > 0;
}

static bool follow(FetchTask *task, const HttpResponse *response, Error *err)
{
    const int most =
        task->redirects_max < FETCH_REDIRECTS_MAX ? task->redirects_max : FETCH_REDIRECTS_MAX;
    if (task->redirects >= (uint32_t)most)
        return error_set(err, ERROR_DATA, "redirected more than %d times", most);
    if (task->hops == NULL)
        task->hops = arena_new(FETCH_ATTEMPT_BYTES_MAX, err);
    TRY(task->hops != NULL);
    Str target = {0};
    TRY(url_join(task->url, http_header(response, STR("Location")), task->hops, &target, err));
    target = str_slice(target, 0, str_find_char(target, '#'));
    Url from = {0};
    Url to = {0};
    if (!url_split(target, &to) || !url_split(task->url, &from))
        return error_set(err, ERROR_DATA, "redirected to what is no http or https URL");
    if (str_equal_ignoring_case(from.scheme, STR("https")) &&
        !str_equal_ignoring_case(to.scheme, STR("https")))
        return error_set(err, ERROR_ACCESS, "redirected from https to plain http: refused");
    task->redirects++;
    task->url = target;
    // Foreign for good: who came back from another origin may have been sent by it.
    task->foreign = task->foreign || !url_same_origin(task->request.url, target);
    return true;
}

// True when the task goes on instead of being done.
static bool goes_on(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange, Error *err)
{
    const HttpResponse *response = &exchange->response;
    if (exchange->err.code != ERROR_NONE) {
        if (retry_error(fetcher, task, exchange))
            return true;
        *err = exchange->err;
        return false;
    }
    if (response->status == 401)
        return retry_unauthorized(fetcher, task);
    if (retry_is_transient_status(response->status))
        return retry_answer(fetcher, task, response);
    if (!is_redirect(task, response))
        return false;
    if (!follow(task, response, err))
        return false;
    repeat_at(fetcher, task, 0);
    return true;
}

static void take_answer(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange)
{
    fetch_remove_under_way(fetcher, task);
    task->wire_bytes += exchange->response.wire_bytes;
    task->lane->counts.wire_bytes += exchange->response.wire_bytes;
    if (exchange->err.code == ERROR_NONE && !task->foreign)
        fetch_tell_rate(fetcher, task->lane, task->ticket, &exchange->response);
    if (goes_on(fetcher, task, exchange, &task->err)) {
        http_exchange_free(exchange);
        return;
    }
    if (task->err.code != ERROR_NONE) {
        http_exchange_free(exchange);
        exchange = NULL;
    }
    fetch_finish(fetcher, task, exchange);
}

// Tells the lane's budget what its token was worth.
void fetch_tell_rate(Fetcher *fetcher, FetchLane *lane, RateTicket ticket,
                     const HttpResponse *response)
{
    const int64_t now_us = fetch_monotonic_us(fetcher);
    int64_t asked_us = 0;
    if (response->status != 429) {
        rate_accepted(&lane->rate, ticket, now_us);
        return;
    }
    (void)retry_after_us(response, fetcher->env->now_us(fetcher->env->state), &asked_us);
    rate_refused(&lane->rate, ticket, asked_us, now_us);
    lane->counts.refused++;
}

static FetchLane *lane_of(const Fetcher *fetcher, const void *tag)
{
    for (size_t i = 0; i < fetcher->lane_count; i++)
        if (fetcher->lanes[i] == tag)
            return fetcher->lanes[i];
    return NULL;
}

void fetch_take_exchange(Fetcher *fetcher, HttpExchange *exchange)
{
    FetchLane *lane = lane_of(fetcher, exchange->tag);
    if (lane != NULL)
        fetch_take_token_answer(fetcher, lane, exchange);
    else
        take_answer(fetcher, exchange->tag, exchange);
}
