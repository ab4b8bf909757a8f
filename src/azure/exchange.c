#include "azure/exchange.h"

#include <assert.h>

const RetryPolicy azure_retry = {.attempts = 5,
                                 .initial_us = INT64_C(500) * 1000,
                                 .factor = 3,
                                 .max_us = INT64_C(20) * 1000 * 1000};

// The metadata service says 410 while it is updated, and is there again within 70 seconds
// (Microsoft's "use a managed identity to acquire an access token", retry guidance): the waits
// between five tries are as long together.
#define GONE_WAIT_US INT64_C(18000000)

static int64_t now_us(const AzureSender *sender)
{
    return sender->env->monotonic_us(sender->env->state);
}

void azure_call_done(AzureCall *call)
{
    http_exchange_free(call->exchange);
    call->exchange = NULL;
}

Str azure_error_code(const HttpResponse *response)
{
    const Str code = http_header(response, STR("x-ms-error-code"));
    for (size_t i = 0; i < code.size; i++) {
        const char c = code.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return STR("");
    }
    return code.size > AZURE_CODE_BYTES_MAX ? STR("") : code;
}

static bool start(const AzureSender *sender, AzureCall *call, Error *err)
{
    call->request.header_count = call->header_count;
    if (sender->authorize != NULL)
        TRY(sender->authorize(sender->state, call, call->renewed && call->due_us == 0, err));
    TRY(http_client_send(sender->client, &call->request, call, err));
    call->under_way = true;
    call->tries++;
    return true;
}

// Another try, after as long as our rule and the far side ask for; false when there were enough, or
// when that is longer than anybody waits.
static bool again(const AzureSender *sender, AzureCall *call, int64_t asked_us, int64_t end_us)
{
    if (call->tries >= sender->policy.attempts || asked_us > RETRY_WAIT_US_MAX)
        return false;
    Env *env = sender->env;
    int64_t wait_us = retry_backoff_us(&sender->policy, call->tries, env->random(env->state));
    wait_us = asked_us > wait_us ? asked_us : wait_us;
    call->due_us = now_us(sender) + wait_us;
    return call->due_us < end_us;
}

static bool asks_again(const AzureSender *sender, const HttpResponse *response)
{
    return retry_is_transient_status(response->status) ||
           (sender->retries_404 && (response->status == 404 || response->status == 410));
}

// What becomes of a call whose exchange is here: done, or due once more. False: it failed for good.
static bool judge(const AzureSender *sender, AzureCall *call, HttpExchange *exchange,
                  int64_t end_us, Error *err)
{
    call->under_way = false;
    if (exchange->err.code != ERROR_NONE) {
        call->uncertain = call->uncertain || exchange->maybe_acted;
        const bool more = exchange->err.code == ERROR_IO && again(sender, call, 0, end_us);
        if (!more)
            *err = exchange->err;
        http_exchange_free(exchange);
        return more;
    }
    const HttpResponse *response = &exchange->response;
    bool more = false;
    if (response->status == 401 && !call->renewed && !sender->answers_401) {
        call->renewed = true;
        call->due_us = 0; // start() takes this for "with a new token"
        more = true;
    } else if (asks_again(sender, response)) {
        int64_t asked_us = 0;
        (void)retry_after_us(response, sender->env->now_us(sender->env->state), &asked_us);
        if (response->status == 410 && asked_us < GONE_WAIT_US)
            asked_us = GONE_WAIT_US;
        call->uncertain = call->uncertain || response->status >= 500;
        more = again(sender, call, asked_us, end_us);
    }
    if (more) {
        http_exchange_free(exchange);
        return true;
    }
    call->exchange = exchange;
    call->done = true;
    return true;
}

// Starts what is due. *ret_wait_us = until the next one is; INT64_MAX when all are under way.
static bool start_due(const AzureSender *sender, AzureCall *calls, size_t count, size_t *under_way,
                      int64_t *ret_wait_us, Error *err)
{
    const int64_t now = now_us(sender);
    int64_t wait_us = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        AzureCall *call = &calls[i];
        if (call->done || call->under_way)
            continue;
        if (call->due_us > now) {
            wait_us = call->due_us - now < wait_us ? call->due_us - now : wait_us;
            continue;
        }
        if (!http_client_has_room(sender->client))
            break;
        TRY(start(sender, call, err));
        (*under_way)++;
    }
    *ret_wait_us = wait_us;
    return true;
}

static bool send_all(const AzureSender *sender, AzureCall *calls, size_t count, Error *err)
{
    const int64_t end_us =
        sender->retry_within_us > 0 ? now_us(sender) + sender->retry_within_us : INT64_MAX;
    size_t left = count;
    size_t under_way = 0; // or finished, and not fetched from the client yet
    while (left > 0) {
        int64_t wait_us = 0;
        TRY(start_due(sender, calls, count, &under_way, &wait_us, err));
        if (under_way == 0) {
            TRY(env_wait(sender->env, wait_us, err));
            continue;
        }
        HttpExchange *exchange = NULL;
        TRY(http_client_wait_us(sender->client, wait_us, &exchange, err));
        if (exchange == NULL)
            continue;
        under_way--;
        AzureCall *call = exchange->tag;
        TRY(judge(sender, call, exchange, end_us, err));
        left -= call->done ? 1 : 0;
    }
    return true;
}

// Nothing of a failed round may be under way, or its requests would be gone before it is.
static void break_off(const AzureSender *sender, AzureCall *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (calls[i].under_way)
            http_client_cancel(sender->client, &calls[i]);
        azure_call_done(&calls[i]);
    }
    for (;;) {
        Error ignored = {0};
        HttpExchange *exchange = NULL;
        // Finished ones are handed out even when we are to stop.
        if (!http_client_wait_us(sender->client, 0, &exchange, &ignored) || exchange == NULL)
            return;
        http_exchange_free(exchange);
    }
}

bool azure_send(const AzureSender *sender, AzureCall *calls, size_t count, Error *err)
{
    assert(count <= AZURE_CALLS_MAX);
    for (size_t i = 0; i < count; i++) {
        assert(calls[i].exchange == NULL);
        calls[i].header_count = calls[i].request.header_count;
    }
    if (send_all(sender, calls, count, err))
        return true;
    break_off(sender, calls, count);
    return false;
}
