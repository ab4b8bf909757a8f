// The merge: which files may hold the keys of a load, what becomes of each row, which files are
// written anew, and one commit for all of it.
#include "lake/delta_merge.h"

#include <assert.h>

enum {
    ATTEMPTS_MAX = 100, // each lost one is another writer's success
    CALL_BYTES = 16 * 1024 * 1024,
};

static const Column driver_columns[DELTA_DRIVER_COLUMNS] = {
    {.name = {"_run_id", 7},
     .type = COLUMN_STRING,
     .required = true,
     .comment = {"run that wrote the row", 22}},
    {.name = {"_load_id", 8},
     .type = COLUMN_STRING,
     .required = true,
     .comment = {"load that wrote the row", 23}},
    {.name = {"_loaded_at", 10},
     .type = COLUMN_TIMESTAMP,
     .required = true,
     .comment = {"when it was written", 19}},
    {.name = {"_deleted_at", 11},
     .type = COLUMN_TIMESTAMP,
     .comment = {"when the source was found without it", 36}},
};

// --- what becomes of them

static unsigned char fate_of(const Merge *merge, const Asked *asked)
{
    assert(merge->load != NULL); // an erasure has no rows
    if (!asked->found)
        return FATE_NEW;
    const Key128 *hash = &merge->load->rows[asked->block].hashes[asked->row];
    if (asked->fetched_us < asked->stored_us)
        return FATE_LEFT;
    if (!merge->load->rewrites && !asked->deleted && memcmp(hash, &asked->hash, sizeof(*hash)) == 0)
        return FATE_LEFT;
    return FATE_CHANGED;
}

static void decide(Merge *merge)
{
    DeltaReport *report = &merge->report;
    report->inserted = report->updated = report->unchanged = report->deleted = 0;
    for (size_t i = 0; i < merge->row_count; i++) {
        Asked *asked = &merge->asked[i];
        asked->fate = fate_of(merge, asked);
        report->inserted += asked->fate == FATE_NEW;
        report->updated += asked->fate == FATE_CHANGED;
        report->unchanged += asked->fate == FATE_LEFT;
    }
    for (size_t i = 0; i < merge->match_count; i++) {
        const Match *match = &merge->matches[i];
        const Asked *asked = &merge->asked[match->asked];
        const bool goes = merge->load == NULL || (asked->vanished && match->live &&
                                                  match->fetched_us <= asked->fetched_us);
        report->deleted += goes;
        if (goes || (!asked->vanished && asked->fate == FATE_CHANGED))
            merge->touched[match->file] = true;
    }
}

// --- one attempt

static bool fit_schema(Merge *merge, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    if (!delta_schema_extend(log->schema_json, merge->columns, merge->column_count,
                             merge->delta->work, &merge->schema_json, &merge->schema_changed, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(merge->table->folder));
    TRY(delta_schema_read(merge->schema_json, merge->delta->work, &merge->schema, err));
    if (merge->load != NULL &&
        !delta_schema_check_nulls(&merge->schema, merge->columns, merge->column_count, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(merge->table->folder));
    if (merge->load != NULL)
        delta_bound_keys(&merge->schema, &merge->load->table);
    return true;
}

// Slices of which later readings are in, in the warehouse or only here yet.
static bool find_skipped(const Merge *merge, bool **ret_skipped, Error *err)
{
    const DeltaLoad *load = merge->load;
    bool *skipped = arena_alloc_array(merge->delta->work, load->slice_count + 1, sizeof(bool), err);
    TRY(skipped != NULL);
    for (size_t i = 0; i < load->slice_count; i++)
        skipped[i] = load->slices[i].skipped;
    TRY(delta_note_overtaken(merge->delta, merge->table, load, skipped, err));
    *ret_skipped = skipped;
    return true;
}

// Everything from the log as it is now to files that wait for their commit.
static bool make(Merge *merge, Error *err)
{
    arena_reset(merge->delta->work);
    merge->seen_version = merge->table->log.version;
    merge->matches = NULL;
    merge->match_room = 0;
    TRY(fit_schema(merge, err));
    if (merge->load != NULL)
        TRY(find_skipped(merge, &merge->skipped, err) && merge_collect(merge, err) &&
            merge_make_box(merge, err));
    TRY(merge_choose_files(merge, err) && merge_match_all(merge, err));
    decide(merge);
    return merge_write_files(merge, err);
}

// What came between does not matter when it brought no other schema, took none of the files that we
// looked into, added none that may hold our keys (or brought such a one back), and was no later
// reading of our windows.
static bool still_holds(const Merge *merge, bool *ret_holds, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    bool holds = log->metadata_version <= merge->seen_version &&
                 log->protocol_version <= merge->seen_version;
    for (size_t i = 0; holds && i < log->file_count; i++) {
        const DeltaFile *file = &log->files[i];
        bool meets = i < merge->looked_count && merge->looked[i];
        if (file->version <= merge->seen_version)
            continue;
        if (!meets && file->live)
            TRY(merge_file_may_hold(merge, file, &meets, err));
        holds = !meets;
    }
    bool *skipped = NULL;
    if (holds && merge->load != NULL) {
        TRY(find_skipped(merge, &skipped, err));
        holds = memcmp(skipped, merge->skipped, merge->load->slice_count * sizeof(bool)) == 0;
    }
    *ret_holds = holds;
    return true;
}

static bool try_commit(Merge *merge, DeltaOutcome *ret_outcome, Error *err)
{
    DeltaCommit commit = {.table = merge->table,
                          .operation = merge->load != NULL ? "MERGE" : "DELETE",
                          .label = merge->label,
                          .note = merge->app,
                          .app = merge->app,
                          .data_change = true,
                          .adds = merge->adds,
                          .add_count = merge->add_count,
                          .removes = merge->removes,
                          .remove_count = merge->remove_count,
                          .rows_inserted = merge->report.inserted,
                          .rows_updated = merge->report.updated,
                          .rows_deleted = merge->report.deleted};
    if (merge->table->log.version < 0)
        commit.protocol = STR("{\"minReaderVersion\":1,\"minWriterVersion\":2}");
    if (merge->schema_changed)
        TRY(delta_metadata_text(merge->delta, &merge->table->log, merge->schema_json,
                                &commit.metadata, err));
    return delta_commit(merge->delta, &commit, ret_outcome, err);
}

// Makes and commits until it is in, or somebody else's commit says that it is.
static bool merge_until_in(Merge *merge, Error *err)
{
    bool made = false; // our files fit the log as it is
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        DeltaOutcome outcome = DELTA_OVERTAKEN;
        if (merge->app.size > 0 && delta_log_find_txn(&merge->table->log, merge->app) != NULL) {
            delta_remove_adds(merge->delta, merge->adds, merge->add_count);
            merge->report.found = true;
            return true;
        }
        if (made)
            TRY(still_holds(merge, &made, err));
        if (attempt > 0 && !made)
            delta_remove_adds(merge->delta, merge->adds, merge->add_count);
        if (!made)
            TRY(make(merge, err));
        made = true;
        if (merge->load == NULL && merge->remove_count == 0)
            return true; // nothing to erase
        TRY(env_check_stop(merge->delta->env, err) && try_commit(merge, &outcome, err));
        if (outcome == DELTA_COMMITTED) {
            merge->report.version = merge->table->log.version;
            merge->report.files_added = (int64_t)merge->add_count;
            merge->report.files_removed = (int64_t)merge->remove_count;
            return true;
        }
    }
    return error_set(err, ERROR_BUSY,
                     "lake table " STR_FMT ": other writers were first %d times in a row",
                     STR_ARG(merge->table->folder), ATTEMPTS_MAX);
}

static bool all_columns(Merge *merge, Error *err)
{
    const DeltaTableSpec *spec = &merge->load->table;
    merge->column_count = spec->column_count + DELTA_DRIVER_COLUMNS;
    merge->columns = arena_alloc_array(merge->call, merge->column_count, sizeof(Column), err);
    TRY(merge->columns != NULL);
    memcpy(merge->columns, spec->columns, spec->column_count * sizeof(Column));
    memcpy(merge->columns + spec->column_count, driver_columns, sizeof(driver_columns));
    return true;
}

bool delta_check(Delta *delta, const DeltaTableSpec *table, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES, err);
    TRY(call != NULL);
    arena_reset(delta->work);
    const DeltaLoad load = {.table = *table};
    Merge merge = {.delta = delta, .load = &load, .call = call};
    return delta_open_table(delta, table->schema, table->name, &merge.table, err) &&
           all_columns(&merge, err) && fit_schema(&merge, err);
}

bool delta_load(Delta *delta, const DeltaLoad *load, DeltaReport *ret_report, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES, err);
    TRY(call != NULL);
    arena_reset(delta->work);
    Merge merge = {.delta = delta, .load = load, .call = call};
    TRY(arena_printf(call, &merge.label, err, STR_FMT " load %u", STR_ARG(load->stream),
                     load->ordinal));
    TRY(delta_load_name(load, call, &merge.app, err));
    TRY(arena_printf(call, &merge.load_id, err, STR_FMT "/" STR_FMT "/%u", STR_ARG(load->run),
                     STR_ARG(load->stream), load->ordinal));
    TRY(all_columns(&merge, err));
    TRY(delta_open_table(delta, load->table.schema, load->table.name, &merge.table, err));
    if (delta_log_find_txn(&merge.table->log, merge.app) == NULL)
        TRY(delta_note_put(delta, merge.table, load, err));
    TRY(merge_until_in(&merge, err));
    // The load is in: a checkpoint that fails is written by the next one.
    Error later = {0};
    if (!merge.report.found)
        (void)!delta_checkpoint(delta, merge.table, &later);
    *ret_report = merge.report;
    return true;
}

bool delta_erase(Delta *delta, Str schema, Str name, const DeltaErased *rows, size_t count,
                 int64_t *ret_rows, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES + count * sizeof(Asked), err);
    TRY(call != NULL);
    arena_reset(delta->work);
    Merge merge = {.delta = delta, .call = call, .asked_count = count};
    merge.asked = arena_alloc_array(call, count + 1, sizeof(Asked), err);
    TRY(merge.asked != NULL);
    for (size_t i = 0; i < count; i++)
        merge.asked[i] = (Asked){.key = &rows[i].key, .only_hash = rows[i].hash, .vanished = true};
    TRY(arena_printf(call, &merge.label, err, STR_FMT " erasure", STR_ARG(name)));
    TRY(delta_open_table(delta, schema, name, &merge.table, err));
    if (merge.table->log.version >= 0)
        TRY(merge_until_in(&merge, err));
    *ret_rows = merge.report.deleted;
    return true;
}
