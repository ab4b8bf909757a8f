#include "run/load_vanished.h"

#include "run/match.h"
#include "run/slice_rows.h"

#include <stdlib.h>

// Above both, vanished rows are a fault of the source rather than deletions.
enum { VANISHED_ROWS_FREE = 20, VANISHED_PERCENT_FREE = 1 };

// --- what a reading lacks

// Keys of one reading, sorted; those of refused records too, for they are there.
static bool sorted_keys(LoadTask *task, const SliceTask *slice, Key128 **ret_keys,
                        size_t *ret_count, Error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < slice->batch_count; i++)
        count += slice->batches[i]->rows + slice->batches[i]->refused_count;
    Key128 *keys = arena_alloc_array(task->arena, count + 1, sizeof(*keys), err);
    TRY(keys != NULL);
    size_t filled = 0;
    for (size_t i = 0; i < slice->batch_count; i++) {
        const ShapedBatch *batch = slice->batches[i];
        if (batch->rows > 0)
            memcpy(keys + filled, batch->keys, batch->rows * sizeof(*keys));
        filled += batch->rows;
        if (batch->refused_count > 0)
            memcpy(keys + filled, batch->refused_keys, batch->refused_count * sizeof(*keys));
        filled += batch->refused_count;
    }
    qsort(keys, count, sizeof(*keys), key128_compare);
    *ret_keys = keys;
    *ret_count = count;
    return true;
}

// Takes out of `keys` what `slice` holds; the rest moves together.
static bool subtract(LoadTask *task, const SliceTask *slice, Key128 *keys, size_t *count,
                     Error *err)
{
    Key128 *seen = NULL;
    size_t seen_count = 0;
    TRY(sorted_keys(task, slice, &seen, &seen_count, err));
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (bsearch(&keys[i], seen, seen_count, sizeof(*seen), key128_compare) == NULL)
            keys[kept++] = keys[i];
    }
    *count = kept;
    return true;
}

// Whether it is known of every record whose row it is.
static bool shows_all(const SliceTask *slice)
{
    for (size_t i = 0; i < slice->batch_count; i++) {
        if (slice->batches[i]->refused_unknown > 0)
            return false;
    }
    return match_shows_all(slice);
}

static bool find_vanished(LoadTask *task, size_t index, Warehouse *warehouse, Error *err)
{
    SliceTask *slice = task->slices[index];
    const PlanSlice *plan = &task->stream->slices[slice->ordinal];
    const ContractInfo *info = contract_info(task->stream->contract);
    Vanished *vanished = &task->vanished[index];
    if (!shows_all(slice) || (task->stream->cursor.exists && info->window_column.size == 0))
        return true;
    Str *values = NULL;
    TRY(slice_partition_values(task->stream, plan, task->arena, &values, err));
    if (values == NULL)
        return true;
    int64_t from_us = 0;
    int64_t to_us = 0;
    plan_window_bounds(task->stream, plan, &from_us, &to_us);
    if (task->stream->cursor.exists && from_us == to_us)
        return true;
    const bool has_window = task->stream->cursor.exists;
    const KeyWindow window = {.table = &task->stream->table,
                              .window_column = has_window ? info->window_column : STR(""),
                              .partition_columns = info->partition_columns,
                              .partition_values = values,
                              .partition_count = info->partition_count,
                              .from_us = from_us,
                              .to_us = to_us,
                              .fetched_us = load_vanished_us(task, index)};
    TRY(warehouse->driver->window_keys(warehouse->state, &window, task->arena, &vanished->keys,
                                       &vanished->count, err));
    vanished->stored = vanished->count;
    return subtract(task, slice, vanished->keys, &vanished->count, err);
}

bool load_look_for_vanished(LoadTask *task, Warehouse *warehouse, bool *ret_any, Error *err)
{
    *ret_any = false;
    task->vanished =
        arena_alloc_array(task->arena, task->slice_count + 1, sizeof(*task->vanished), err);
    TRY(task->vanished != NULL);
    for (size_t i = 0; i < task->slice_count; i++) {
        TRY(find_vanished(task, i, warehouse, err));
        task->wants_confirmation[i] = task->vanished[i].count > 0;
        task->next_readings[i] = task->slices[i]->reading + 1;
        *ret_any = *ret_any || task->wants_confirmation[i];
    }
    return true;
}

// A reading that failed, or that does not show all, says nothing about what is gone.
static void note_unconfirmed(LoadTask *task, Vanished *vanished, const SliceTask *again)
{
    if (task->unconfirmed == 0) {
        task->unconfirmed_why = again->err;
        if (again->err.code == ERROR_NONE)
            (void)error_set(
                &task->unconfirmed_why, ERROR_DATA,
                match_shows_all(again)
                    ? "slice %u: records were refused as a whole, so nobody knows whose "
                      "they are"
                    : "slice %u: the source's total moved while it was read",
                again->ordinal);
    }
    task->unconfirmed += (int64_t)vanished->count;
    vanished->count = 0;
}

// Keeps only what the other reading lacks too.
static bool confirm_vanished(LoadTask *task, size_t index, const SliceTask *again, Error *err)
{
    enum { READINGS_IN_ONE_GO = 2 };
    Vanished *vanished = &task->vanished[index];
    bool *wants = &task->wants_confirmation[index];
    task->next_readings[index] = again->reading + 1;
    // Pieces of it were there from a killed attempt: it says nothing, the next one will.
    if (again->err.code == ERROR_NONE && !again->manifest.in_one_go)
        return true;
    *wants = false;
    if (!shows_all(again)) {
        note_unconfirmed(task, vanished, again);
        return true;
    }
    TRY(subtract(task, again, vanished->keys, &vanished->count, err));
    const uint32_t first = task->slices[index]->manifest.in_one_go ? 1 : 0;
    *wants = vanished->count > 0 && first + ++task->confirmed[index] < READINGS_IN_ONE_GO;
    return true;
}

bool load_confirm(LoadTask *task, bool *ret_more, Error *err)
{
    *ret_more = false;
    for (size_t i = 0; i < task->slice_count; i++) {
        if (!task->wants_confirmation[i])
            continue;
        SliceTask *again = task->confirmations[i];
        task->confirmations[i] = NULL;
        const bool ok = confirm_vanished(task, i, again, err);
        slice_free(again);
        TRY(ok);
        *ret_more = *ret_more || task->wants_confirmation[i];
    }
    return true;
}

// --- what counts as deleted

// All vanished keys of the load, sorted, and which of them one of its slices shows.
typedef struct Moved {
    Key128 *keys;
    bool *shown;
    size_t count;
} Moved;

static bool collect(LoadTask *task, Moved *moved, Error *err)
{
    for (size_t i = 0; i < task->slice_count; i++)
        moved->count += task->vanished[i].count;
    moved->keys = arena_alloc_array(task->arena, moved->count + 1, sizeof(*moved->keys), err);
    moved->shown = arena_alloc_array(task->arena, moved->count + 1, sizeof(*moved->shown), err);
    TRY(moved->keys != NULL && moved->shown != NULL);
    size_t filled = 0;
    for (size_t i = 0; i < task->slice_count; i++) {
        const Vanished *vanished = &task->vanished[i];
        if (vanished->count > 0)
            memcpy(moved->keys + filled, vanished->keys, vanished->count * sizeof(Key128));
        filled += vanished->count;
    }
    qsort(moved->keys, moved->count, sizeof(Key128), key128_compare);
    return true;
}

static bool *place_of(const Moved *moved, const Key128 *key)
{
    const Key128 *found = bsearch(key, moved->keys, moved->count, sizeof(*found), key128_compare);
    return found == NULL ? NULL : &moved->shown[found - moved->keys];
}

static void note_shown(Moved *moved, const Key128 *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool *shown = place_of(moved, &keys[i]);
        if (shown != NULL)
            *shown = true;
    }
}

// A row that another slice of the load shows has moved there, as rows do whose window is that of
// their last change.
static bool keep_moved(LoadTask *task, Error *err)
{
    Moved moved = {0};
    TRY(collect(task, &moved, err));
    if (moved.count == 0)
        return true;
    for (size_t i = 0; i < task->slice_count; i++) {
        const SliceTask *slice = task->slices[i];
        for (size_t b = 0; b < slice->batch_count; b++) {
            note_shown(&moved, slice->batches[b]->keys, slice->batches[b]->rows);
            note_shown(&moved, slice->batches[b]->refused_keys, slice->batches[b]->refused_count);
        }
    }
    for (size_t i = 0; i < task->slice_count; i++) {
        Vanished *vanished = &task->vanished[i];
        size_t kept = 0;
        for (size_t k = 0; k < vanished->count; k++) {
            if (!*place_of(&moved, &vanished->keys[k]))
                vanished->keys[kept++] = vanished->keys[k];
        }
        vanished->count = kept;
    }
    return true;
}

// Nothing where too much is gone to be true.
static void hold_back(LoadTask *task, Vanished *vanished)
{
    if (!task->accept_deletes && vanished->count > VANISHED_ROWS_FREE &&
        vanished->count * 100 > vanished->stored * VANISHED_PERCENT_FREE) {
        task->held_back += (int64_t)vanished->count;
        vanished->count = 0;
    }
}

bool load_settle_vanished(LoadTask *task, Error *err)
{
    if (task->vanished == NULL)
        return true;
    TRY(keep_moved(task, err));
    for (size_t i = 0; i < task->slice_count; i++)
        hold_back(task, &task->vanished[i]);
    return true;
}

// Before any reading of the run: a window says nothing of rows that have moved to another one, and
// that may be in a later load, though it was read before.
int64_t load_vanished_us(const LoadTask *task, size_t index)
{
    const int64_t fetched_us = task->slices[index]->manifest.fetched_us;
    const int64_t planned_us = task->context->plan->created_us;
    return planned_us < fetched_us ? planned_us : fetched_us;
}

bool load_mark_vanished(LoadTask *task, const LoadSlice *slices, Warehouse *warehouse, Error *err)
{
    if (task->vanished == NULL)
        return true;
    for (size_t i = 0; i < task->slice_count; i++) {
        if (task->vanished[i].count == 0 || slices[i].skipped)
            continue;
        int64_t marked = 0;
        TRY(warehouse->driver->load_mark_deleted(warehouse->state, task->vanished[i].keys,
                                                 task->vanished[i].count, load_vanished_us(task, i),
                                                 &marked, err));
        task->deleted += marked;
    }
    return true;
}
