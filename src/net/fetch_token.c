// One token for all that wait in a lane.
#include "net/fetch_parts.h"

#include <inttypes.h>

bool fetch_send_token_request(Fetcher *fetcher, FetchLane *lane, RateTicket ticket, Error *err)
{
    TRY(http_client_send(fetcher->client, &lane->token_request, lane, err));
    lane->token_under_way = true;
    lane->token_again = false;
    lane->token_ticket = ticket;
    lane->token_tries++;
    lane->counts.tokens++;
    lane->counts.attempts++;
    return true;
}

void fetch_forget_token_request(FetchLane *lane)
{
    arena_wipe(lane->token_arena);
    lane->token_arena = NULL;
    lane->token_again = false;
    lane->token_tries = 0;
}

// A token request that is to be repeated, once its time has come.
void fetch_repeat_token(Fetcher *fetcher, FetchLane *lane, int64_t now_us, int64_t *wait_us)
{
    int64_t rate_wait_us = 0;
    RateTicket ticket = {0};
    if (!lane->token_again)
        return;
    if (lane->token_due_us > now_us) {
        fetch_least(wait_us, lane->token_due_us - now_us);
        return;
    }
    if (!http_client_has_room(fetcher->client))
        return;
    if (!rate_take(&lane->rate, RATE_HIGH, now_us, &ticket, &rate_wait_us)) {
        fetch_least(wait_us, rate_wait_us);
        return;
    }
    Error err = {0};
    if (fetch_send_token_request(fetcher, lane, ticket, &err))
        return;
    fetch_forget_token_request(lane);
    fetch_fail_lane(fetcher, lane, &err);
}

static bool retry_token(Fetcher *fetcher, FetchLane *lane, const HttpExchange *exchange)
{
    const HttpResponse *response = &exchange->response;
    const bool error = exchange->err.code != ERROR_NONE;
    const bool refused = !error && response->status == 429;
    const bool untouched = refused || (error && !exchange->maybe_acted);
    int64_t asked_us = 0;
    if (error ? exchange->err.code != ERROR_IO : !retry_is_transient_status(response->status))
        return false;
    if (lane->token_tries >= (uint64_t)lane->token_retry.attempts ||
        !(untouched || lane->token_request.repeatable))
        return false;
    int64_t wait_us = fetch_backoff_us(fetcher, &lane->token_retry, lane->token_tries);
    if (!error && retry_after_us(response, fetcher->env->now_us(fetcher->env->state), &asked_us) &&
        asked_us > wait_us)
        wait_us = asked_us;
    if (wait_us > FETCH_WAIT_US_MAX)
        return false;
    lane->token_again = true;
    lane->token_due_us = fetch_monotonic_us(fetcher) + wait_us;
    lane->counts.retry_wait_us += wait_us;
    return true;
}

void fetch_take_token_answer(Fetcher *fetcher, FetchLane *lane, HttpExchange *exchange)
{
    lane->token_under_way = false;
    lane->counts.wire_bytes += exchange->response.wire_bytes;
    if (exchange->err.code == ERROR_NONE)
        fetch_tell_rate(fetcher, lane, lane->token_ticket, &exchange->response);
    if (retry_token(fetcher, lane, exchange)) {
        http_exchange_free(exchange);
        return;
    }
    Error err = exchange->err;
    const bool ok =
        err.code == ERROR_NONE && lane->auth.answer(lane->auth.state, &exchange->response, &err);
    const uint32_t tries = lane->token_tries;
    lane->generation++;
    http_exchange_free(exchange);
    fetch_forget_token_request(lane);
    if (ok)
        return;
    // A refusal after tries that were not answered is another thing than a wrong credential.
    if (tries > 1)
        error_context(&err, "token, asked for %" PRIu32 " times", tries);
    else
        error_context(&err, "token");
    fetch_fail_lane(fetcher, lane, &err);
}
