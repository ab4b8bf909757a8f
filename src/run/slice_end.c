// The end of a slice: what its manifest says, and when it is whole.
#include "run/slice_known.h"
#include "run/slice_parts.h"

#include <assert.h>
#include <stdlib.h>

// Keys of all rows of the slice, each once.
static bool count_distinct(SliceTask *task, int64_t *ret_count, Error *err)
{
    size_t rows = 0;
    for (size_t i = 0; i < task->batch_count; i++)
        rows += task->batches[i]->rows;
    Key128 *keys = arena_alloc_array(task->arena, rows + 1, sizeof(*keys), err);
    TRY(keys != NULL);
    size_t count = 0;
    for (size_t i = 0; i < task->batch_count; i++) {
        memcpy(keys + count, task->batches[i]->keys, task->batches[i]->rows * sizeof(*keys));
        count += task->batches[i]->rows;
    }
    qsort(keys, count, sizeof(*keys), key128_compare);
    int64_t distinct = count > 0 ? 1 : 0;
    for (size_t i = 1; i < count; i++)
        distinct += memcmp(&keys[i], &keys[i - 1], sizeof(*keys)) != 0 ? 1 : 0;
    *ret_count = distinct;
    return true;
}

// A reading that an earlier attempt finished is what that attempt noted of it; one that two
// attempts shared is not in one go.
static bool was_read_in_one_go(SliceTask *task, SliceWorker *worker, bool *ret_in_one_go,
                               Error *err)
{
    *ret_in_one_go = !task->resumed;
    if (!task->resumed || task->requests > 0)
        return true;
    const SliceName name = slice_name(task);
    SliceManifest landed = {0};
    Error missing = {0};
    if (landing_get_slice(worker->landing, &name, task->arena, &landed, &missing))
        *ret_in_one_go = landed.in_one_go;
    // The pages of a replay speak for themselves, and their run was judged when it read them.
    else if (missing.code == ERROR_DATA && plan_is_replay(task->context->plan))
        *ret_in_one_go = true;
    else if (missing.code != ERROR_NOT_FOUND)
        return error_set(err, missing.code, "%s", missing.message);
    return true;
}

bool slice_finish(SliceTask *task, SliceWorker *worker, Error *err)
{
    const PlanSlice *slice = &task->stream->slices[task->ordinal];
    SliceManifest *manifest = &task->manifest;
    manifest->from_us = slice->from_us;
    manifest->to_us = slice->to_us;
    TRY(was_read_in_one_go(task, worker, &manifest->in_one_go, err));
    manifest->page_count = (uint32_t)task->pages.count;
    manifest->pages = task->pages.items;
    if (manifest->fetched_us == 0)
        manifest->fetched_us = task->started_us; // no page tells it
    TRY(count_distinct(task, &manifest->distinct_keys, err));
    // What reads is not needed while the rows wait for their load.
    page_reader_free(task->reader);
    task->reader = NULL;
    manifest->distinct_keys += task->counts.quarantined + left_out_distinct(&task->left_out);
    atomic_fetch_add(&task->context->counters->rows, task->counts.rows);
    task->ended_us = task->context->env->now_us(task->context->env->state);
    const SliceName name = slice_name(task);
    if (!plan_is_replay(task->context->plan) && worker->landing != NULL && task->redacted.count > 0)
        return redacted_keep(&task->redacted, worker->store, task->context->job->name, &name,
                             manifest, err);
    return true;
}

// One slice whose manifest may be there already, put by an attempt that was killed afterwards.
static void seal_one(SliceTask *task, Landing *landing)
{
    const SliceName name = slice_name(task);
    if (landing_finish_slice(landing, &name, &task->manifest, &task->err))
        return;
    if (task->err.code == ERROR_CONFLICT)
        task->err = (Error){0};
    else
        task->ours = true;
}

void slice_seal(SliceTask **tasks, size_t count, Landing *landing)
{
    assert(count <= SLICE_SEAL_MAX);

    SliceName names[SLICE_SEAL_MAX] = {0};
    SliceManifest manifests[SLICE_SEAL_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        names[i] = slice_name(tasks[i]);
        manifests[i] = tasks[i]->manifest;
    }
    // What went wrong with one of them, and which are whole nevertheless, shows one by one.
    Error err = {0};
    const bool sealed = landing_finish_slices(landing, names, manifests, count, &err);
    for (size_t i = 0; i < count; i++) {
        if (!sealed)
            seal_one(tasks[i], landing);
        if (tasks[i]->err.code == ERROR_NONE)
            slice_known_write(tasks[i], landing);
        tasks[i]->ended_us = tasks[i]->context->env->now_us(tasks[i]->context->env->state);
    }
}
