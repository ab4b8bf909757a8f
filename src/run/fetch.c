#include "run/fetch.h"

#include "base/thread.h"

#include <assert.h>

enum { STEP_MS = 200, LANES_MAX = FETCH_LANES_MAX, CONFIG_BYTES_MAX = 16 * 1024 * 1024 };

// The lane of all streams that authenticate alike.
typedef struct Lane {
    const Fetch *fetch;
    size_t auth_id;
    Auth *auth;
    Arena *rotated; // the config, read again after a 401; NULL = it was not
    FetchLane *lane;
} Lane;

struct Fetch {
    FetchOptions options;
    HttpClient *client;
    Fetcher *fetcher;
    Lane lanes[LANES_MAX];
    size_t lane_count;
    Queue *answered;
    pthread_t thread;
    bool runs;
    atomic_bool stopping;
    // By stream_auth_id(), in millionths; written by the fetch thread. A reader may meet one of two
    // learnt rates with the other's burst, which matters to nobody.
    struct {
        atomic_llong per_second, burst_seen, burst_most;
    } learnt[LANES_MAX];
    atomic_int share_permille; // of the rate budget; 0 = not told
    int share_set;             // what the lanes have
    atomic_bool failed;        // the thread ended by itself; `err` says why
    Error err;
};

bool fetch_open(const FetchOptions *options, Fetch **ret_fetch, Error *err)
{
    Fetch *fetch = arena_alloc(options->arena, sizeof(*fetch), err);
    TRY(fetch != NULL);
    const Job *job = options->job;
    fetch->options = *options;
    const HttpOptions http = {.connections = (size_t)job->limits.connections,
                              .timeout_ms = job->limits.timeout_us / 1000,
                              .allow_http = job->allow_http,
                              .connect_to = options->connect_to,
                              .ca_file = job->ca_file,
                              .memory_bytes_max = job->limits.memory_bytes / 4};
    TRY(http_client_new(&http, options->env, &fetch->client, err));
    if (fetcher_new(fetch->client, options->env, &fetch->fetcher, err)) {
        *ret_fetch = fetch;
        return true;
    }
    http_client_free(fetch->client);
    return false;
}

void fetch_stop(Fetch *fetch)
{
    if (!fetch->runs)
        return;
    atomic_store(&fetch->stopping, true);
    fetcher_wake(fetch->fetcher);
    (void)pthread_join(fetch->thread, NULL);
    fetch->runs = false;
}

void fetch_drain(Fetch *fetch)
{
    fetcher_free(fetch->fetcher);
    fetch->fetcher = NULL;
}

void fetch_close(Fetch *fetch)
{
    if (fetch == NULL)
        return;
    assert(!fetch->runs && fetch->fetcher == NULL);
    http_client_free(fetch->client);
    for (size_t i = 0; i < fetch->lane_count; i++) {
        auth_free(fetch->lanes[i].auth);
        arena_wipe(fetch->lanes[i].rotated);
    }
}

void fetch_closep(Fetch **fetch)
{
    if (*fetch == NULL)
        return;
    fetch_stop(*fetch);
    fetch_drain(*fetch);
    fetch_close(*fetch);
}

// --- credentials: connector.h's words in those of net/fetcher.h

static bool apply(void *state, HttpRequest *request, Arena *arena, HttpRequest *ret_token_request,
                  FetchAuthStep *ret_step, Error *err)
{
    const Lane *lane = state;
    AuthStep step = AUTH_READY;
    TRY(auth_apply(lane->auth, request, arena, ret_token_request, &step, err));
    *ret_step = step == AUTH_READY ? FETCH_AUTH_READY : FETCH_AUTH_NEED_TOKEN;
    return true;
}

static bool answer(void *state, const HttpResponse *response, Error *err)
{
    const Lane *lane = state;
    return auth_answer(lane->auth, response, err);
}

// Who keeps a token in a file mostly does so because somebody renews it there while it is in use. A
// file that cannot be read right now leaves things as they are: the far side says no again.
static void read_config_again(Lane *lane)
{
    const FetchOptions *options = &lane->fetch->options;
    Error ignored = {0};
    yyjson_val *config = NULL;
    Arena *arena = arena_new(CONFIG_BYTES_MAX, &ignored);
    if (arena == NULL)
        return;
    if (!job_read_again(options->job, STR("/config"), options->env, arena, &config, &ignored) ||
        config == NULL) {
        arena_wipe(arena);
        return;
    }
    auth_set_config(lane->auth, config);
    arena_wipe(lane->rotated);
    lane->rotated = arena;
}

static void expire(void *state)
{
    Lane *lane = state;
    auth_expire(lane->auth);
    read_config_again(lane);
}

static bool find_lane(Fetch *fetch, const Stream *stream, FetchLane **ret_lane, Error *err)
{
    const size_t id = stream_auth_id(stream);
    for (size_t i = 0; i < fetch->lane_count; i++) {
        if (fetch->lanes[i].auth_id == id) {
            *ret_lane = fetch->lanes[i].lane;
            return true;
        }
    }
    if (fetch->lane_count == LANES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d authenticators in use", LANES_MAX);
    Lane *lane = &fetch->lanes[fetch->lane_count];
    *lane = (Lane){.fetch = fetch, .auth_id = id};
    TRY(connector_auth(fetch->options.connector, stream, fetch->options.arena, &lane->auth, err));
    fetch->lane_count++;
    const Job *job = fetch->options.job;
    FetchLaneOptions options = {
        .requests_per_second = job->limits.requests_per_second,
        .burst = job->limits.burst,
        .auth = {.state = lane, .apply = apply, .answer = answer, .expire = expire},
        .token_retry = job->retry};
    if (fetch->options.learnt != NULL && id < LANES_MAX)
        options.learnt = fetch->options.learnt[id];
    TRY(fetcher_add_lane(fetch->fetcher, &options, &lane->lane, err));
    *ret_lane = lane->lane;
    return true;
}

// What all requests of a run have in common.
static void fill_task(const Fetch *fetch, FetchLane *lane, FetchTask *task)
{
    const Job *job = fetch->options.job;
    task->lane = lane;
    task->priority = (RatePriority)job->modes[fetch->options.mode].priority;
    // Answers are understood by the connector's own rules, so only what never was answered is
    // repeated below us.
    task->retry = &job->retry;
    task->redirects_max = FETCH_REDIRECTS_MAX;
    task->request.keep_encoded = true;
    task->request.body_bytes_max = job->limits.page_bytes;
    task->request.timeout_ms = job->limits.timeout_us / 1000;
}

// Another origin was asked without our credential, so what it shows is not what we may see: an
// empty list from there would look like a day without rows. Only what needs no credential may move.
static bool refuse_foreign(const Fetch *fetch, FetchTask *task, Error *err)
{
    if (task->exchange == NULL || !task->foreign)
        return true;
    for (size_t i = 0; i < fetch->lane_count; i++) {
        if (fetch->lanes[i].lane == task->lane && auth_is_none(fetch->lanes[i].auth))
            return true;
    }
    http_exchange_free(task->exchange);
    task->exchange = NULL;
    return error_set(err, ERROR_DATA,
                     "redirected to another origin, where no credential goes: if the API has "
                     "moved, change the connector");
}

static void note_clock(FetchClock *clock, const FetchTask *task)
{
    int64_t there_us = 0;
    if (clock == NULL || task->exchange == NULL || task->foreign)
        return;
    const HttpResponse *response = &task->exchange->response;
    const int64_t here_us = response->sent_at_us;
    if (!http_date_parse(http_header(response, STR("Date")), here_us, &there_us) ||
        (clock->told && here_us - there_us >= clock->here_us - clock->there_us))
        return;
    *clock = (FetchClock){true, here_us, there_us};
}

// --- single questions

bool fetch_exchange(Fetch *fetch, const Stream *stream, const HttpRequest *request,
                    HttpExchange **ret_exchange, Error *err)
{
    assert(!fetch->runs);

    FetchLane *lane = NULL;
    TRY(find_lane(fetch, stream, &lane, err));
    FetchTask task = {.request = *request};
    fill_task(fetch, lane, &task);
    TRY(fetcher_run(fetch->fetcher, &task, err) && refuse_foreign(fetch, &task, err));
    note_clock(fetch->options.clock, &task);
    *ret_exchange = task.exchange;
    return true;
}

// --- the same question once more

// What the answer asks for in a header that only the manifest reads; 0 = nothing.
static int64_t manifest_header_us(const PageOutcome *outcome, int64_t told_us)
{
    if (!outcome->wait_is_asked || outcome->wait_us <= told_us)
        return 0;
    // As the CDK does: such headers count in whole seconds, often by a clock that is not ours.
    return outcome->wait_us + US_PER_SECOND;
}

static int64_t longest_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool fetch_is_limit(const PageOutcome *outcome, const HttpResponse *response)
{
    return outcome->verdict == PAGE_LIMITED || response->status == 429;
}

bool fetch_retry_wait(const RetryPolicy *policy, int64_t attempts, const PageOutcome *outcome,
                      const HttpResponse *response, Env *env, RetryWait *ret_wait, Error *err)
{
    assert(outcome->verdict == PAGE_RETRY || outcome->verdict == PAGE_LIMITED);

    const int64_t own_us = retry_backoff_us(policy, attempts, env->random(env->state));
    int64_t told_us = 0;
    (void)retry_after_us(response, env->now_us(env->state), &told_us);
    const int64_t header_us = manifest_header_us(outcome, told_us);
    const int64_t theirs_us = longest_of(longest_of(told_us, header_us), outcome->wait_us);
    if (theirs_us > RETRY_WAIT_US_MAX)
        return retry_too_long(theirs_us, err);
    if (outcome->wait_is_too_long) {
        (void)retry_too_long(theirs_us, err);
        return error_context(err, "longer than the manifest allows");
    }
    // What the manifest only guesses is for the one request: the others would lose a minute to each
    // refusal from which the budget learns. The Retry-After of a 429 the budget knows already.
    const int64_t asked_us = response->status == 429 ? header_us : longest_of(told_us, header_us);
    *ret_wait = (RetryWait){.us = longest_of(own_us, theirs_us),
                            .hold_us = fetch_is_limit(outcome, response) ? asked_us : 0};
    return true;
}

// --- the thread

static void slice_answered(FetchTask *task)
{
    SliceTask *slice = task->tag;
    (void)!refuse_foreign(slice->fetched_by, task, &task->err);
    note_clock(slice->fetched_by->options.clock, task);
    slice->requests += task->attempts;
    slice->retries += task->attempts > 0 ? task->attempts - 1 : 0;
    slice->waited_us += task->rate_wait_us + task->retry_wait_us;
    if (!queue_put(slice->answered, slice))
        slice_free(slice);
}

void fetch_set_share(Fetch *fetch, double part)
{
    const int permille = (int)(part * 1000);
    atomic_store(&fetch->share_permille, permille > 0 ? permille : 1);
}

// Lanes belong to the fetch thread.
static void apply_share(Fetch *fetch)
{
    const int permille = atomic_load(&fetch->share_permille);
    if (permille == fetch->share_set || permille == 0)
        return;
    fetch->share_set = permille;
    for (size_t i = 0; i < fetch->lane_count; i++)
        fetcher_lane_set_share(fetch->lanes[i].lane, permille / 1000.0);
}

static void publish_learnt(Fetch *fetch)
{
    for (size_t i = 0; i < fetch->lane_count; i++) {
        const Lane *lane = &fetch->lanes[i];
        RateLearnt learnt = {0};
        if (lane->auth_id >= LANES_MAX || !fetcher_lane_learnt(lane->lane, &learnt))
            continue;
        atomic_store(&fetch->learnt[lane->auth_id].burst_seen,
                     (long long)(learnt.burst_seen * 1e6));
        atomic_store(&fetch->learnt[lane->auth_id].burst_most,
                     (long long)(learnt.burst_most * 1e6));
        atomic_store(&fetch->learnt[lane->auth_id].per_second,
                     (long long)(learnt.per_second * 1e6));
    }
}

bool fetch_learnt(Fetch *fetch, size_t auth_id, RateLearnt *ret_learnt)
{
    if (auth_id >= LANES_MAX || atomic_load(&fetch->learnt[auth_id].per_second) == 0)
        return false;
    ret_learnt->per_second = (double)atomic_load(&fetch->learnt[auth_id].per_second) / 1e6;
    ret_learnt->burst_seen = (double)atomic_load(&fetch->learnt[auth_id].burst_seen) / 1e6;
    ret_learnt->burst_most = (double)atomic_load(&fetch->learnt[auth_id].burst_most) / 1e6;
    return true;
}

static void *fetch_main(void *state)
{
    Fetch *fetch = state;
    while (!atomic_load(&fetch->stopping)) {
        apply_share(fetch);
        publish_learnt(fetch);
        if (fetcher_step(fetch->fetcher, STEP_MS, &fetch->err))
            continue;
        atomic_store(&fetch->failed, true);
        break;
    }
    return NULL;
}

bool fetch_start(Fetch *fetch, const Plan *plan, Queue *answered, Error *err)
{
    fetch->answered = answered;
    FetchLane *ignored = NULL;
    // Lanes are made before the thread runs, since it alone may make them afterwards.
    for (size_t i = 0; i < plan->stream_count; i++)
        TRY(find_lane(fetch, plan->streams[i].stream, &ignored, err));
    fetch->runs = thread_start(&fetch->thread, fetch_main, fetch, err);
    return fetch->runs;
}

bool fetch_check(Fetch *fetch, Error *err)
{
    if (!atomic_load(&fetch->failed))
        return true;
    *err = fetch->err;
    return false;
}

bool fetch_put(Fetch *fetch, SliceTask *task, Error *err)
{
    FetchLane *lane = NULL;
    TRY(find_lane(fetch, task->stream->stream, &lane, err));
    fill_task(fetch, lane, &task->fetch);
    task->fetch.tag = task;
    task->fetch.done = slice_answered;
    task->answered = fetch->answered;
    task->fetched_by = fetch;
    return fetcher_submit(fetch->fetcher, &task->fetch, err);
}
