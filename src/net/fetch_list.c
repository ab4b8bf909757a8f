// Tasks that wait, tasks whose request is out, and how they end.
#include "net/fetch_parts.h"

#include <assert.h>

void fetch_append_waiting(Fetcher *fetcher, FetchTask *task)
{
    FetchTask **last = &fetcher->waiting_last[task->priority];
    task->next = NULL;
    task->before = *last;
    if (*last == NULL)
        fetcher->waiting[task->priority] = task;
    else
        (*last)->next = task;
    *last = task;
    task->waiting = true;
}

// In front: what was sent already is older than all that wait. But behind those that lost more
// tokens: where a token ends after a few requests, the others would take it from them every time.
void fetch_return_waiting(Fetcher *fetcher, FetchTask *task)
{
    FetchTask *before = NULL;
    FetchTask *next = fetcher->waiting[task->priority];
    while (next != NULL && next->renewals > task->renewals) {
        before = next;
        next = next->next;
    }
    task->before = before;
    task->next = next;
    if (before == NULL)
        fetcher->waiting[task->priority] = task;
    else
        before->next = task;
    if (next == NULL)
        fetcher->waiting_last[task->priority] = task;
    else
        next->before = task;
    task->waiting = true;
}

void fetch_remove_waiting(Fetcher *fetcher, FetchTask *task)
{
    assert(task->waiting);
    if (task->before == NULL)
        fetcher->waiting[task->priority] = task->next;
    else
        task->before->next = task->next;
    if (task->next == NULL)
        fetcher->waiting_last[task->priority] = task->before;
    else
        task->next->before = task->before;
    task->waiting = false;
}

void fetch_add_under_way(Fetcher *fetcher, FetchTask *task)
{
    task->before = NULL;
    task->next = fetcher->under_way;
    if (task->next != NULL)
        task->next->before = task;
    fetcher->under_way = task;
}

void fetch_remove_under_way(Fetcher *fetcher, FetchTask *task)
{
    if (task->before == NULL)
        fetcher->under_way = task->next;
    else
        task->before->next = task->next;
    if (task->next != NULL)
        task->next->before = task->before;
}

void fetch_forget_credential(FetchTask *task)
{
    arena_wipe(task->arena);
    task->arena = NULL;
    task->sent.header_count = 0;
}

// On no list any more. `exchange` is NULL when task->err says why.
void fetch_finish(Fetcher *fetcher, FetchTask *task, HttpExchange *exchange)
{
    assert((exchange == NULL) == (task->err.code != ERROR_NONE));
    fetch_forget_credential(task);
    arena_free(task->hops);
    task->hops = NULL;
    task->exchange = exchange;
    if (exchange != NULL) {
        exchange->request = &task->request; // not the one with the credential
        exchange->tag = task->tag;
    }
    task->lane->counts.requests++;
    task->finished = true;
    fetcher->pending--;
    if (task->done != NULL)
        task->done(task);
}

void fetch_fail_waiting(Fetcher *fetcher, FetchTask *task, const Error *why)
{
    fetch_remove_waiting(fetcher, task);
    task->err = *why;
    fetch_finish(fetcher, task, NULL);
}

// Everything that waits in this lane would fail for the same reason, one after the other.
void fetch_fail_lane(Fetcher *fetcher, const FetchLane *lane, const Error *why)
{
    for (int priority = RATE_HIGH; priority >= RATE_LOW; priority--) {
        for (FetchTask *task = fetcher->waiting[priority], *next = NULL; task != NULL;
             task = next) {
            next = task->next;
            if (task->lane == lane)
                fetch_fail_waiting(fetcher, task, why);
        }
    }
}
