// Housekeeping: small files become large ones; what no version within the retention needs goes.
#include "lake/delta_parts.h"

#include <stdlib.h>

enum {
    SMALL_FILES_MIN = 8, // fewer are left alone: writing them again costs more than reading them
    TOGETHER_MAX = DELTA_CACHE_MAX, // all of them lie on the local disk at once
    REMOVE_MAX = 10000,             // files a call; the rest go next time
    CHANCES = 5,
};

// Whatever the retention: a file that no version names yet may be one that somebody is about to.
#define UNNAMED_KEEP_MS INT64_C(86400000)

// --- small files

// The first small files whose sum stays below a large one. 0: not worth it.
static size_t choose_small(const DeltaLog *log, uint32_t chosen[TOGETHER_MAX])
{
    uint64_t sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < log->file_count && count < TOGETHER_MAX; i++) {
        const DeltaFile *file = &log->files[i];
        if (!file->live || file->size >= DELTA_SMALL_BYTES || sum + file->size > DELTA_LARGE_BYTES)
            continue;
        sum += file->size;
        chosen[count++] = (uint32_t)i;
    }
    return count < SMALL_FILES_MIN ? 0 : count;
}

static bool put_together(Delta *delta, DeltaTable *table, const uint32_t *chosen, size_t count,
                         DeltaAdd *ret_add, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    Str label = {0};
    DeltaSchema schema = {0};
    TRY(delta_schema_read(table->log.schema_json, delta->work, &schema, err));
    delta_bound_as_before(&schema, &table->log, chosen, count, delta->work);
    for (size_t i = 0; i < count; i++) {
        const char *copy = NULL;
        TRY(delta_local_copy(delta, table, &table->log.files[chosen[i]], &copy, err));
        TRY(i == 0 || buf_append(&sql, STR(" UNION ALL "), err));
        TRY(delta_select_file(&schema, copy, &sql, err));
    }
    TRY(buf_append_char(&sql, '\0', err));
    TRY(arena_printf(delta->work, &label, err, STR_FMT " compaction", STR_ARG(table->folder)));
    const DuckStatement select = {.sql = sql.data};
    const DeltaWrite write = {.select = &select, .schema = &schema, .label = label};
    return delta_write_file(delta, table, &write, ret_add, err);
}

static bool still_there(const DeltaLog *log, int64_t schema_version, const uint32_t *chosen,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!log->files[chosen[i]].live)
            return false;
    }
    return log->metadata_version == schema_version;
}

static bool compact(Delta *delta, DeltaTable *table, DeltaKept *kept, Error *err)
{
    uint32_t chosen[TOGETHER_MAX];
    DeltaLog *log = &table->log;
    const size_t count = choose_small(log, chosen);
    if (count == 0)
        return true;
    DeltaAdd add = {0};
    const int64_t schema_version = log->metadata_version;
    TRY(put_together(delta, table, chosen, count, &add, err));
    DeltaCommit commit = {.table = table,
                          .operation = "OPTIMIZE",
                          .adds = &add,
                          .add_count = add.rows > 0 ? 1 : 0,
                          .removes = chosen,
                          .remove_count = count};
    TRY(arena_printf(delta->work, &commit.label, err, STR_FMT " compaction",
                     STR_ARG(table->folder)));
    for (int chance = 0; chance < CHANCES; chance++) {
        DeltaOutcome outcome = DELTA_OVERTAKEN;
        TRY(env_check_stop(delta->env, err) && delta_commit(delta, &commit, &outcome, err));
        if (outcome == DELTA_COMMITTED) {
            kept->files_compacted += (int64_t)count;
            return true;
        }
        if (!still_there(log, schema_version, chosen, count))
            break;
    }
    delta_remove_adds(delta, &add, commit.add_count); // there will be another day
    return true;
}

// --- files that nobody needs

typedef struct Sweep {
    Delta *delta;
    Str *needed; // paths in the store, sorted
    size_t needed_count;
    Str *left; // of files that a version named and no needed one does, likewise
    size_t left_count;
    size_t folder_size; // with its '/'
    int64_t before_us, unnamed_before_us;
    Str *going;
    size_t going_count;
    uint64_t bytes;
    Error err;
} Sweep;

static int compare_paths(const void *a, const void *b)
{
    return str_compare(*(const Str *)a, *(const Str *)b);
}

// Parts that begin with '_' or '.' are not data: logs, our notes, other people's things.
static bool is_hidden(Str relative)
{
    Str rest = relative;
    while (rest.data != NULL) {
        const Str part = str_split_next(&rest, '/');
        if (part.size > 0 && (part.data[0] == '_' || part.data[0] == '.'))
            return true;
    }
    return false;
}

static bool holds(const Str *paths, size_t count, Str path)
{
    return bsearch(&path, paths, count, sizeof(Str), compare_paths) != NULL;
}

static bool sweep_entry(void *visitor, const StoreEntry *entry)
{
    Sweep *sweep = visitor;
    const Str path = entry->path;
    if (is_hidden(str_slice(path, sweep->folder_size, path.size)) ||
        entry->modified_us >= sweep->before_us || holds(sweep->needed, sweep->needed_count, path) ||
        (entry->modified_us >= sweep->unnamed_before_us &&
         !holds(sweep->left, sweep->left_count, path)))
        return true;
    if (!arena_copy_str(sweep->delta->work, path, &sweep->going[sweep->going_count], &sweep->err))
        return false;
    sweep->bytes += entry->size;
    return ++sweep->going_count < REMOVE_MAX;
}

// What the log names: for readers of a version within the retention, who need what went since, or
// for nobody.
static bool sweep_names(Sweep *sweep, const DeltaLog *log, int64_t before_ms, Error *err)
{
    Arena *work = sweep->delta->work;
    sweep->needed = arena_alloc_array(work, log->file_count + 1, sizeof(Str), err);
    sweep->left = arena_alloc_array(work, log->file_count + 1, sizeof(Str), err);
    TRY(sweep->needed != NULL && sweep->left != NULL);
    for (size_t i = 0; i < log->file_count; i++) {
        const DeltaFile *file = &log->files[i];
        const bool needed = file->live || file->time_ms >= before_ms;
        if (!delta_log_is_outside(file->path))
            TRY(delta_log_file_path(log, file->path, work,
                                    needed ? &sweep->needed[sweep->needed_count++]
                                           : &sweep->left[sweep->left_count++],
                                    err));
    }
    qsort(sweep->needed, sweep->needed_count, sizeof(Str), compare_paths);
    qsort(sweep->left, sweep->left_count, sizeof(Str), compare_paths);
    return true;
}

static bool sweep_files(Delta *delta, DeltaTable *table, bool dry, DeltaKept *kept, Error *err)
{
    const DeltaLog *log = &table->log;
    int64_t keep_ms = delta->options.retention_us / 1000;
    if (log->has_file_retention && log->file_retention_ms > keep_ms)
        keep_ms = log->file_retention_ms;
    const int64_t now_ms = delta_now_ms(delta);
    const int64_t before_ms = now_ms - keep_ms;
    Sweep sweep = {.delta = delta,
                   .folder_size = table->folder.size + 1,
                   .before_us = before_ms * 1000,
                   .unnamed_before_us = (now_ms - UNNAMED_KEEP_MS) * 1000};
    sweep.going = arena_alloc_array(delta->work, REMOVE_MAX, sizeof(Str), err);
    TRY(sweep.going != NULL && sweep_names(&sweep, log, before_ms, err));
    TRY(store_list(delta->store, table->folder, 0, sweep_entry, &sweep, err));
    if (sweep.err.code != ERROR_NONE)
        return error_set(err, sweep.err.code, "%s", sweep.err.message);
    for (size_t i = 0; i < sweep.going_count && !dry; i++)
        TRY(env_check_stop(delta->env, err) && store_remove(delta->store, sweep.going[i], err));
    kept->files_removed += (int64_t)sweep.going_count;
    kept->bytes_removed += sweep.bytes;
    return true;
}

// --- old commits

typedef struct OldLog {
    Delta *delta;
    size_t folder_size;
    int64_t before_us;
    bool young_seen; // what comes behind is younger, whatever a clock says
    int64_t counting;
    uint32_t counting_parts, counted;
    int64_t checkpoint; // newest whole one not behind old_commit
    Str *paths;
    int64_t *versions;
    size_t count;
    Error err;
} OldLog;

static bool log_entry(void *visitor, const StoreEntry *entry)
{
    OldLog *old = visitor;
    const DeltaName name =
        delta_log_parse_name(str_slice(entry->path, old->folder_size, entry->path.size));
    if (name.kind == DELTA_NAME_OTHER)
        return true;
    old->young_seen = old->young_seen || entry->modified_us >= old->before_us;
    if (old->young_seen || old->count == REMOVE_MAX)
        return false;
    if (name.kind == DELTA_NAME_CHECKPOINT) {
        if (name.version != old->counting || name.parts != old->counting_parts)
            old->counted = 0;
        old->counting = name.version;
        old->counting_parts = name.parts;
        if (++old->counted == name.parts)
            old->checkpoint = name.version;
    }
    old->versions[old->count] = name.version;
    return arena_copy_str(old->delta->work, entry->path, &old->paths[old->count++], &old->err);
}

// Protocol, "Metadata Cleanup": everything before the newest checkpoint that is itself old enough.
static bool sweep_log(Delta *delta, DeltaTable *table, bool dry, DeltaKept *kept, Error *err)
{
    Str folder = {0};
    TRY(arena_printf(delta->work, &folder, err, STR_FMT "/_delta_log", STR_ARG(table->folder)));
    OldLog old = {.delta = delta,
                  .folder_size = folder.size + 1,
                  .before_us = (delta_now_ms(delta) - table->log.log_retention_ms) * 1000,
                  .counting = -1,
                  .checkpoint = -1};
    if (table->log.keeps_log)
        return true;
    old.paths = arena_alloc_array(delta->work, REMOVE_MAX, sizeof(Str), err);
    old.versions = arena_alloc_array(delta->work, REMOVE_MAX, sizeof(int64_t), err);
    TRY(old.paths != NULL && old.versions != NULL);
    TRY(store_list(delta->store, folder, STORE_SHALLOW, log_entry, &old, err));
    if (old.err.code != ERROR_NONE)
        return error_set(err, old.err.code, "%s", old.err.message);
    for (size_t i = 0; i < old.count && old.versions[i] < old.checkpoint; i++) {
        kept->log_files_removed++;
        if (!dry)
            TRY(env_check_stop(delta->env, err) && store_remove(delta->store, old.paths[i], err));
    }
    return true;
}

bool delta_keep(Delta *delta, Str schema, Str name, bool dry, DeltaKept *kept, Error *err)
{
    DeltaTable *table = NULL;
    arena_reset(delta->work);
    TRY(delta_open_table(delta, schema, name, &table, err));
    if (table->log.version < 0)
        return true;
    if (!dry)
        TRY(compact(delta, table, kept, err) && delta_checkpoint(delta, table, err));
    return sweep_files(delta, table, dry, kept, err) && sweep_log(delta, table, dry, kept, err);
}
