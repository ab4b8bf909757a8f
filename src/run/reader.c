#include "run/reader.h"

#include "run/drivers.h"
#include "run/forget_list.h"
#include "run/match.h"
#include "run/parts.h"

#include <assert.h>

enum {
    PAGE_ARENA_BYTES = 1024 * 1024 * 1024,
    REPORT_ARENA_BYTES = 64 * 1024,
    STEP_MS = 200,
    RESTARTS_MAX = 1000, // of a slice that another one is landing too: each finds one page more
    WHO_HEX = 8,
};

struct Reader {
    ReaderOptions options;
    Arena *arena;
    JobParts parts;
    Plan plan;
    RunCounters counters;
    SliceContext context;
    SliceWorker worker;
    Fetch *fetch;
    Queue *answered;
    ForgetList forget;
    Share share;
    int64_t looked_us; // when the share was first looked at; 0 = not yet
    size_t next_stream, next_slice;
    size_t active, active_max;
    Buf batches; // ShapedBatch *, handed out from `next_batch`
    size_t next_batch;
    SliceTask *sealing[SLICE_SEAL_MAX]; // LANDING: read, not yet made whole
    size_t sealing_count;
    SliceTask *sealed[SLICE_SEAL_MAX]; // whole, from `next_sealed`
    size_t sealed_count, next_sealed;
    SliceTask *ended; // LANDING: of the last report
    Arena *report_arena;
    int64_t restarts;
};

// --- a plan of the given slices

static PlanStream *find_stream(Reader *reader, Str name)
{
    for (size_t i = 0; i < reader->plan.stream_count; i++) {
        if (str_equal(stream_name(reader->plan.streams[i].stream), name))
            return &reader->plan.streams[i];
    }
    return NULL;
}

static bool check_row(const Reader *reader, const SliceRow *row, const SliceRow *first, Error *err)
{
    if (!str_equal(row->run, first->run) || !str_equal(row->mode, first->mode))
        return error_set(err, ERROR_DATA, "slices of two runs cannot be read together");
    if (row->run.size >= sizeof(reader->plan.run))
        return error_set(err, ERROR_DATA, "slices: '" STR_FMT "' is no run", STR_ARG(row->run));
    if (row->run.size == 0 && reader->options.way != READER_PASSING)
        return error_set(err, ERROR_JOB,
                         "these slices belong to no run, so nothing of them can be landed: begin "
                         "a run first");
    return true;
}

static bool add_slice(Reader *reader, PlanStream *stream, const SliceRow *row, Error *err)
{
    const size_t i = stream->slice_count;
    PlanPartition *partition = &stream->partitions[i];
    TRY(stream_partition_from_key(stream->stream, row->partition, reader->arena,
                                  &partition->partition, err));
    TRY(plan_bind_partition(reader->parts.job, stream->stream, row->zone, reader->arena, partition,
                            err));
    stream->slices[i] =
        (PlanSlice){.partition = (uint32_t)i, .from_us = row->from_us, .to_us = row->to_us};
    stream->numbers[i] = row->slice;
    stream->replayed[i] = row->reading;
    stream->partition_count = ++stream->slice_count;
    return true;
}

static bool make_room(Reader *reader, const SliceRow *rows, size_t count, Error *err)
{
    for (size_t s = 0; s < reader->plan.stream_count; s++) {
        PlanStream *stream = &reader->plan.streams[s];
        size_t own = 0;
        for (size_t i = 0; i < count; i++)
            own += str_equal(rows[i].stream, stream_name(stream->stream)) ? 1 : 0;
        stream->partitions =
            arena_alloc_array(reader->arena, own + 1, sizeof(*stream->partitions), err);
        stream->slices = arena_alloc_array(reader->arena, own + 1, sizeof(*stream->slices), err);
        stream->numbers = arena_alloc_array(reader->arena, own + 1, sizeof(uint32_t), err);
        stream->replayed = arena_alloc_array(reader->arena, own + 1, sizeof(uint32_t), err);
        TRY(stream->partitions != NULL && stream->slices != NULL && stream->numbers != NULL &&
            stream->replayed != NULL);
    }
    return true;
}

// A part of the run's plan: each slice keeps its number, so that it is landed under its own name.
static bool make_plan(Reader *reader, const SliceRow *rows, size_t count, Error *err)
{
    Plan *plan = &reader->plan;
    *plan = (Plan){.streams = reader->parts.streams, .stream_count = reader->parts.stream_count};
    TRY(make_room(reader, rows, count, err));
    if (count == 0)
        return true;
    if (!run_mode_parse(rows[0].mode, &plan->mode))
        return error_set(err, ERROR_DATA, "slices: '" STR_FMT "' is no mode",
                         STR_ARG(rows[0].mode));
    for (size_t i = 0; i < count; i++) {
        TRY(check_row(reader, &rows[i], &rows[0], err));
        PlanStream *stream = find_stream(reader, rows[i].stream);
        if (stream == NULL)
            return error_set(err, ERROR_JOB, "slices: stream '" STR_FMT "' is not read here",
                             STR_ARG(rows[i].stream));
        TRY(add_slice(reader, stream, &rows[i], err));
    }
    memcpy(plan->run, rows[0].run.data, rows[0].run.size);
    // Somebody may have been here before: a killed task, or its twin.
    plan->resumed = reader->options.way != READER_PASSING;
    if (reader->options.way == READER_LANDED)
        memcpy(plan->landed_run, plan->run, sizeof(plan->run));
    return true;
}

// --- open and close

// Whose rows the slices are, where nobody said.
static bool find_only_stream(const SliceRow *rows, size_t count, Str *ret_stream, Error *err)
{
    if (count == 0)
        return error_set(err, ERROR_JOB, "no slices and no stream: whose rows?");
    for (size_t i = 1; i < count; i++) {
        if (!str_equal(rows[i].stream, rows[0].stream))
            return error_set(err, ERROR_JOB,
                             "slices of '" STR_FMT "' and of '" STR_FMT
                             "', but a table has the rows of one stream: name it",
                             STR_ARG(rows[0].stream), STR_ARG(rows[i].stream));
    }
    *ret_stream = rows[0].stream;
    return true;
}

static bool open_parts(Reader *reader, const SliceRow *rows, size_t count, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)1024 * 1024, err);
    TRY(arena != NULL);
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    const ReaderOptions *options = &reader->options;
    Str only = options->stream;
    if (only.size == 0 && options->way != READER_LANDING)
        TRY(find_only_stream(rows, count, &only, err));
    TRY(job_parts_open(options->job, only, options->env, reader->arena, findings, &reader->parts,
                       err));
    return findings_check(findings, err);
}

static bool open_fetch(Reader *reader, Error *err)
{
    const ReaderOptions *options = &reader->options;
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(options->env, id);
    const Str who = {id + UUID_TEXT_BYTES - WHO_HEX, WHO_HEX};
    TRY(job_open_share(options->job, reader->plan.mode, who, &reader->parts.store, reader->arena,
                       &reader->share, err));
    // Without what runs before learnt, it is learnt again.
    Error unknown = {0};
    (void)!share_recall_rates(&reader->share, &unknown);
    const FetchOptions fetch_options = {.job = options->job,
                                        .mode = reader->plan.mode,
                                        .connector = reader->parts.connector,
                                        .env = options->env,
                                        .arena = reader->arena,
                                        .learnt = reader->share.learnt};
    TRY(fetch_open(&fetch_options, &reader->fetch, err));
    return fetch_start(reader->fetch, &reader->plan, reader->answered, err);
}

static bool open_reader(Reader *reader, const SliceRow *rows, size_t count, Error *err)
{
    TRY(open_parts(reader, rows, count, err));
    TRY(make_plan(reader, rows, count, err));
    TRY(forget_list_read(reader->options.job, &reader->parts.store, reader->arena, &reader->forget,
                         err));
    reader->context = (SliceContext){.job = reader->options.job,
                                     .plan = &reader->plan,
                                     .env = reader->options.env,
                                     .counters = &reader->counters,
                                     .forgotten = reader->forget.forgotten};
    reader->worker.page_arena = arena_new(PAGE_ARENA_BYTES, err);
    reader->report_arena = arena_new(REPORT_ARENA_BYTES, err);
    reader->worker.shapers =
        arena_alloc_array(reader->arena, reader->plan.stream_count + 1, sizeof(Shaper *), err);
    TRY(reader->worker.page_arena != NULL && reader->report_arena != NULL &&
        reader->worker.shapers != NULL);
    reader->worker.store = &reader->parts.store;
    if (reader->options.way != READER_PASSING)
        reader->worker.landing = reader->parts.landing;
    reader->active_max =
        reader->options.way == READER_LANDED ? 1 : (size_t)reader->options.job->limits.connections;
    reader->answered = queue_new(reader->active_max + 1, err);
    TRY(reader->answered != NULL);
    return reader->options.way == READER_LANDED || open_fetch(reader, err);
}

bool reader_open(const ReaderOptions *options, const SliceRow *rows, size_t count,
                 Reader **ret_reader, Error *err)
{
    Reader *reader = arena_alloc(options->arena, sizeof(*reader), err);
    TRY(reader != NULL);
    reader->options = *options;
    reader->arena = options->arena;
    if (open_reader(reader, rows, count, err)) {
        *ret_reader = reader;
        return true;
    }
    reader_close(reader);
    return false;
}

static void free_batches(Reader *reader)
{
    ShapedBatch **batches = (ShapedBatch **)(void *)reader->batches.data;
    for (size_t i = reader->next_batch; i < reader->batches.size / sizeof(*batches); i++)
        shaped_batch_free(batches[i]);
    buf_done(&reader->batches);
}

void reader_close(Reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->fetch != NULL) {
        fetch_stop(reader->fetch);
        fetch_drain(reader->fetch);
    }
    if (reader->answered != NULL) {
        for (SliceTask *task; (task = queue_take(reader->answered, 0)) != NULL;)
            slice_free(task);
        queue_free(reader->answered);
    }
    for (size_t i = 0; i < reader->sealing_count; i++)
        slice_free(reader->sealing[i]);
    for (size_t i = reader->next_sealed; i < reader->sealed_count; i++)
        slice_free(reader->sealed[i]);
    slice_free(reader->ended);
    free_batches(reader);
    for (size_t i = 0; reader->worker.shapers != NULL && i < reader->plan.stream_count; i++)
        shaper_free(reader->worker.shapers[i]);
    fetch_close(reader->fetch);
    share_close(&reader->share);
    arena_free(reader->worker.page_arena);
    arena_free(reader->report_arena);
    job_parts_close(&reader->parts);
}

const PlanStream *reader_stream(const Reader *reader)
{
    assert(reader->plan.stream_count == 1);
    return &reader->plan.streams[0];
}

// --- reading

// A reader sees its siblings once all have said that they are there. Until then it believes what it
// was told, so that those who begin together do not each take the whole rate.
static void refresh_share(Reader *reader)
{
    Error unknown = {0};
    if (!share_refresh(&reader->share, &unknown))
        return; // the far side's 429s are the outer net
    const int64_t now_us = reader->options.env->monotonic_us(reader->options.env->state);
    if (reader->looked_us == 0)
        reader->looked_us = now_us;
    double part = reader->share.part;
    const bool sees_all = now_us - reader->looked_us > SHARE_REFRESH_US;
    if (!sees_all && reader->options.siblings > 1 && part > 1.0 / (double)reader->options.siblings)
        part = 1.0 / (double)reader->options.siblings;
    fetch_set_share(reader->fetch, part);
}

static bool choose_reading(Reader *reader, const PlanStream *stream, uint32_t ordinal,
                           uint32_t *ret_reading, Error *err)
{
    *ret_reading = stream->replayed[ordinal] > 0 ? stream->replayed[ordinal] : 1;
    if (stream->replayed[ordinal] > 0 || reader->worker.landing == NULL)
        return true;
    // What the first one lacks, the later ones may have confirmed.
    if (reader->options.way == READER_LANDING && reader->plan.mode == MODE_REHYDRATION)
        return true;
    const PlanSlice *slice = &stream->slices[ordinal];
    const SliceName name = {.run = str_from(reader->plan.run),
                            .stream = stream_name(stream->stream),
                            .partition_key = stream->partitions[slice->partition].partition.key,
                            .slice = stream->numbers[ordinal]};
    return match_last_reading(reader->worker.landing, &name, reader->worker.page_arena, ret_reading,
                              err);
}

// Sends a task on, or says that it ended.
static void pass_on(Reader *reader, SliceTask *task, SliceWant want, SliceTask **ret_ended)
{
    *ret_ended = NULL;
    if (want == SLICE_WANTS_ANSWER && fetch_put(reader->fetch, task, &task->err))
        return;
    reader->active--;
    assert(reader->sealing_count < SLICE_SEAL_MAX);
    if (want == SLICE_WANTS_SEAL)
        reader->sealing[reader->sealing_count++] = task;
    else
        *ret_ended = task;
}

// Makes whole what was read while others were waited for, all at once.
static void seal(Reader *reader)
{
    assert(reader->next_sealed == reader->sealed_count);

    slice_seal(reader->sealing, reader->sealing_count, reader->worker.landing);
    memcpy(reader->sealed, reader->sealing, reader->sealing_count * sizeof(SliceTask *));
    reader->sealed_count = reader->sealing_count;
    reader->next_sealed = 0;
    reader->sealing_count = 0;
}

static bool start(Reader *reader, uint32_t stream, uint32_t ordinal, uint32_t reading,
                  uint32_t looks, SliceTask **ret_ended, Error *err)
{
    SliceTask *task = NULL;
    TRY(slice_new(&reader->context, stream, ordinal, reading, &task, err));
    task->looks = looks;
    reader->active++;
    pass_on(reader, task, slice_begin(task, &reader->worker), ret_ended);
    return true;
}

static bool is_broken(const PlanStream *stream, uint32_t ordinal)
{
    return stream->partitions[stream->slices[ordinal].partition].broken;
}

// Starts the next slice if there is room. *ret_ended: it ended at once.
static bool start_next(Reader *reader, bool *ret_started, SliceTask **ret_ended, Error *err)
{
    *ret_started = false;
    *ret_ended = NULL;
    for (; reader->next_stream < reader->plan.stream_count; reader->next_stream++) {
        const PlanStream *stream = &reader->plan.streams[reader->next_stream];
        while (reader->next_slice < stream->slice_count) {
            if (reader->active == reader->active_max)
                return true;
            const uint32_t ordinal = (uint32_t)reader->next_slice++;
            if (is_broken(stream, ordinal))
                continue;
            uint32_t reading = 1;
            TRY(choose_reading(reader, stream, ordinal, &reading, err));
            *ret_started = true;
            return start(reader, (uint32_t)reader->next_stream, ordinal, reading, 0, ret_ended,
                         err);
        }
        reader->next_slice = 0;
    }
    return true;
}

static bool take_rows(Reader *reader, SliceTask *task, Error *err)
{
    return reader->options.way == READER_LANDING || slice_take_batches(task, &reader->batches, err);
}

// Waits for an answer and goes on with its slice. Without any, slices that wait are sealed.
static bool go_on(Reader *reader, SliceTask **ret_ended, Error *err)
{
    SliceTask *task = NULL;
    if (reader->active > 0) {
        TRY(fetch_check(reader->fetch, err));
        refresh_share(reader);
        task = queue_take(reader->answered, reader->sealing_count > 0 ? 0 : STEP_MS);
    }
    if (reader->sealing_count == SLICE_SEAL_MAX || (task == NULL && reader->sealing_count > 0))
        seal(reader);
    if (task == NULL)
        return true;
    const SliceWant want = slice_go_on(task, &reader->worker);
    if (take_rows(reader, task, err)) {
        pass_on(reader, task, want, ret_ended);
        return true;
    }
    slice_free(task);
    reader->active--;
    return false;
}

// Goes on until a slice has ended or rows are there. *ret_ended = NULL without rows: all is read.
static bool step(Reader *reader, SliceTask **ret_ended, Error *err)
{
    *ret_ended = NULL;
    while (*ret_ended == NULL && reader->batches.size == 0) {
        TRY(env_check_stop(reader->options.env, err));
        if (reader->next_sealed < reader->sealed_count) {
            *ret_ended = reader->sealed[reader->next_sealed++];
            return true;
        }
        bool started = false;
        if (reader->sealing_count < SLICE_SEAL_MAX) // a slice that is landed already ends at once
            TRY(start_next(reader, &started, ret_ended, err));
        if (started)
            continue;
        if (reader->active == 0 && reader->sealing_count == 0)
            return true;
        TRY(go_on(reader, ret_ended, err));
    }
    return true;
}

static bool slice_failed(const SliceTask *task, Error *err)
{
    char name[SLICE_TEXT_BYTES];
    match_name_slice(task, name);
    *err = task->err;
    return error_context(err, "%s", name);
}

bool reader_next_batch(Reader *reader, ShapedBatch **ret_batch, Error *err)
{
    assert(reader->options.way != READER_LANDING);

    *ret_batch = NULL;
    while (reader->next_batch * sizeof(ShapedBatch *) == reader->batches.size) {
        buf_clear(&reader->batches);
        reader->next_batch = 0;
        SliceTask *ended = NULL;
        TRY(step(reader, &ended, err));
        const bool ok =
            ended == NULL || (ended->err.code == ERROR_NONE ? take_rows(reader, ended, err)
                                                            : slice_failed(ended, err));
        slice_free(ended);
        TRY(ok);
        if (ended == NULL && reader->batches.size == 0)
            return true;
    }
    *ret_batch = ((ShapedBatch **)(void *)reader->batches.data)[reader->next_batch++];
    return true;
}

// --- landing

static void break_partition(Reader *reader, const SliceTask *task)
{
    PlanStream *stream = &reader->plan.streams[task->stream_index];
    const Str key = stream->partitions[stream->slices[task->ordinal].partition].partition.key;
    for (size_t i = 0; i < stream->partition_count; i++) {
        if (str_equal(stream->partitions[i].partition.key, key))
            stream->partitions[i].broken = true;
    }
}

// A twin has landed a page that we were about to land: what is landed counts, so begin again with
// it.
static bool was_overtaken(Reader *reader, const SliceTask *task)
{
    return task->err.code == ERROR_CONFLICT && reader->restarts++ < RESTARTS_MAX;
}

// True when `task` is the last word about its slice; otherwise it was started once more and is
// freed.
static bool judge(Reader *reader, SliceTask *task, bool *ret_settled, SliceTask **ret_ended,
                  Error *err)
{
    uint32_t reading = task->reading;
    uint32_t looks = task->looks;
    char name[SLICE_TEXT_BYTES];
    *ret_settled = true;
    if (task->err.code != ERROR_NONE) {
        if (!was_overtaken(reader, task))
            return match_fails_alone(task) || slice_failed(task, err);
    } else {
        Env *env = reader->options.env;
        switch (match_slice(task, env->now_us(env->state))) {
        case MATCH_AGREES:
        case MATCH_OPEN:
            return true;
        case MATCH_NEVER:
            match_name_slice(task, name);
            return match_fail(task, name, err);
        case MATCH_READ_AGAIN:
            reading++;
            looks += task->resumed ? 0 : 1;
        }
    }
    *ret_settled = false;
    const uint32_t stream = task->stream_index;
    const uint32_t ordinal = task->ordinal;
    slice_free(task);
    return start(reader, stream, ordinal, reading, looks, ret_ended, err);
}

static bool fill_report(Reader *reader, const SliceTask *task, SliceReport *report, Error *err)
{
    const SliceManifest *manifest = &task->manifest;
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    const bool whole = task->err.code == ERROR_NONE;
    *report = (SliceReport){.stream = stream_name(task->stream->stream),
                            .value = task->stream->partitions[slice->partition].value,
                            .slice = plan_slice_number(task->stream, task->ordinal),
                            .reading = task->reading,
                            .whole = whole,
                            .shows_all = match_shows_all(task),
                            .in_one_go = manifest->in_one_go,
                            .records = manifest->records,
                            .keys = manifest->distinct_keys,
                            .quarantined = task->counts.quarantined,
                            .total = manifest->last_total,
                            .pages = (int64_t)task->pages.count,
                            .bytes = (int64_t)task->bytes,
                            .requests = task->requests,
                            .retries = task->retries,
                            .waited_us = task->waited_us,
                            .fetched_us = manifest->fetched_us,
                            .started_us = task->started_us,
                            .ended_us = task->ended_us};
    if (whole)
        return true;
    arena_reset(reader->report_arena);
    return arena_printf(reader->report_arena, &report->error, err, "%s: %s",
                        error_code_name(task->err.code), task->err.message);
}

bool reader_next_report(Reader *reader, SliceReport *ret_report, bool *ret_more, Error *err)
{
    assert(reader->options.way == READER_LANDING);

    slice_free(reader->ended);
    reader->ended = NULL;
    *ret_more = false;
    SliceTask *task = NULL;
    for (;;) {
        if (task == NULL)
            TRY(step(reader, &task, err));
        if (task == NULL)
            return true;
        bool settled = false;
        SliceTask *next = NULL;
        const bool ok = judge(reader, task, &settled, &next, err);
        if (!ok && settled)
            slice_free(task);
        TRY(ok);
        if (settled)
            break;
        task = next;
    }
    reader->ended = task;
    if (task->err.code != ERROR_NONE)
        break_partition(reader, task);
    slice_drop_batches(task);
    *ret_more = true;
    return fill_report(reader, task, ret_report, err);
}
