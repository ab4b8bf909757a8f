// Files: from the store to the local disk, through DuckDB, and back.
#include "base/file.h"
#include "base/hash.h"
#include "base/kill.h"
#include "duck/parquet.h"
#include "lake/delta_parts.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char scratch_prefix[] = "pawl-lake-";

int64_t delta_now_ms(const Delta *delta)
{
    return delta->env->now_us(delta->env->state) / 1000;
}

// --- the folder for temporary files

// Removes a folder and what lies in it, one level of folders deep: DuckDB's is the only one.
// NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it
static void remove_folder(const char *folder, int depth)
{
    char path[2 * DELTA_LOCAL_BYTES];
    DIR *stream = opendir(folder);
    if (stream == NULL)
        return;
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (unlink(path) != 0 && depth > 0)
            remove_folder(path, depth - 1);
    }
    (void)closedir(stream);
    (void)rmdir(folder);
}

// What killed processes left: nobody holds the lock of their folder any more.
static void remove_orphans(const char *parent)
{
    char folder[2 * DELTA_LOCAL_BYTES];
    char lock[2 * DELTA_LOCAL_BYTES + 8];
    DIR *stream = opendir(parent);
    if (stream == NULL)
        return;
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        Error held = {0};
        int fd = -1;
        if (strncmp(entry->d_name, scratch_prefix, sizeof(scratch_prefix) - 1) != 0)
            continue;
        (void)snprintf(folder, sizeof(folder), "%s/%s", parent, entry->d_name);
        (void)snprintf(lock, sizeof(lock), "%s/lock", folder);
        // Without a lock file it is being made right now, or is not ours.
        if (!file_exists(lock) || !file_lock(lock, &fd, &held))
            continue;
        remove_folder(folder, 1);
        file_unlock(fd);
    }
    (void)closedir(stream);
}

static bool make_scratch(Delta *delta, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    char lock[DELTA_LOCAL_BYTES + 8];
    const char *parent = delta->options.scratch.data;
    if (delta->options.scratch.size == 0)
        parent = delta->env->variable(delta->env->state, "TMPDIR");
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if (strlen(parent) > DELTA_LOCAL_BYTES - 100)
        return error_set(err, ERROR_LIMIT, "lake: the path of the temporary folder is too long");
    remove_orphans(parent);
    uuid_new(delta->env, id);
    (void)snprintf(delta->scratch, sizeof(delta->scratch), "%s/%s%s", parent, scratch_prefix, id);
    (void)snprintf(delta->log_copy, sizeof(delta->log_copy), "%.400s/checkpoint", delta->scratch);
    (void)snprintf(delta->duck_temp, sizeof(delta->duck_temp), "%.400s/duckdb", delta->scratch);
    (void)snprintf(lock, sizeof(lock), "%s/lock", delta->scratch);
    // Between its making and its lock somebody else may take it for an orphan.
    enum { TRIES = 10 };
    for (int i = 0; i < TRIES; i++) {
        TRY(file_make_folder(delta->scratch, err));
        Error taken = {0};
        if (file_lock(lock, &delta->lock, &taken) && file_exists(lock))
            return true;
        file_unlock(delta->lock);
        delta->lock = -1;
        if (taken.code != ERROR_NONE && taken.code != ERROR_BUSY && taken.code != ERROR_NOT_FOUND)
            return error_set(err, taken.code, "%s", taken.message);
    }
    return error_set(err, ERROR_BUSY, "lake: '%s' could not be locked", delta->scratch);
}

bool delta_open(const DeltaOptions *options, Arena *arena, Delta **ret_delta, Error *err)
{
    Delta *delta = arena_alloc(arena, sizeof(*delta), err);
    TRY(delta != NULL);
    *delta = (Delta){.options = *options,
                     .store = options->store,
                     .env = options->env,
                     .arena = arena,
                     .lock = -1};
    TRY(arena_copy_str(arena, options->scratch, &delta->options.scratch, err));
    delta->work = arena_new(DELTA_WORK_BYTES_MAX, err);
    delta->copy_arena = arena_new((size_t)16 * 1024 * 1024, err);
    if (delta->work == NULL || delta->copy_arena == NULL || !make_scratch(delta, err)) {
        delta_close(delta);
        return false;
    }
    *ret_delta = delta;
    return true;
}

void delta_close(Delta *delta)
{
    if (delta == NULL)
        return;
    for (DeltaTable *table = delta->tables; table != NULL; table = table->next)
        delta_log_close(&table->log);
    duck_close(&delta->duck);
    if (delta->lock >= 0) {
        remove_folder(delta->scratch, 1);
        file_unlock(delta->lock);
    }
    arena_free(delta->work);
    arena_free(delta->copy_arena);
    delta->work = NULL;
    delta->copy_arena = NULL;
    delta->tables = NULL;
    delta->lock = -1;
}

bool delta_need_duck(Delta *delta, Error *err)
{
    if (duck_is_open(&delta->duck))
        return true;
    CLEANUP(buf_done) Buf settings = {0};
    TRY(buf_append(&settings, STR("SET temp_directory = "), err) &&
        delta_sql_text(str_from(delta->duck_temp), &settings, err) &&
        buf_append_char(&settings, '\0', err));
    const DuckOptions options = {.memory_bytes = delta->options.memory_bytes,
                                 .temp_folder = delta->duck_temp,
                                 .settings = settings.data};
    return duck_open(&delta->duck, &options, err);
}

static bool read_log(DeltaTable *table, Error *err)
{
    bool stands = false;
    if (table->is_open)
        TRY(delta_log_update(&table->log, err) && delta_log_stands(&table->log, &stands, err));
    if (stands)
        return true;
    // What was half read when an error came, here or behind a commit, is read again from the start.
    delta_log_close(&table->log);
    return delta_log_open(&table->log, err);
}

bool delta_open_table(Delta *delta, Str schema, Str name, DeltaTable **ret_table, Error *err)
{
    TRY(delta_need_duck(delta, err));
    Str folder = {0};
    TRY(arena_printf(delta->work, &folder, err, STR_FMT "/" STR_FMT, STR_ARG(schema),
                     STR_ARG(name)));
    DeltaTable *table = delta->tables;
    while (table != NULL && !str_equal(table->folder, folder))
        table = table->next;
    if (table == NULL) {
        table = arena_alloc(delta->arena, sizeof(*table), err);
        TRY(table != NULL && arena_copy_str(delta->arena, folder, &table->folder, err));
        table->log = (DeltaLog){.store = delta->store,
                                .duck = &delta->duck,
                                .folder = table->folder,
                                .scratch = delta->log_copy};
        table->next = delta->tables;
        delta->tables = table;
    }
    const bool ok = read_log(table, err);
    table->is_open = ok;
    if (!ok)
        delta_log_close(&table->log);
    *ret_table = table;
    return ok;
}

// --- local copies

static DeltaCopy *find_copy(Delta *delta, Str path)
{
    for (size_t i = 0; i < DELTA_CACHE_MAX; i++) {
        if (delta->copies[i].path.size > 0 && str_equal(delta->copies[i].path, path))
            return &delta->copies[i];
    }
    return NULL;
}

static void drop_copy(DeltaCopy *copy)
{
    if (copy->path.size > 0)
        (void)unlink(copy->local);
    *copy = (DeltaCopy){0};
}

static void drop_copies(Delta *delta)
{
    for (size_t i = 0; i < DELTA_CACHE_MAX; i++)
        drop_copy(&delta->copies[i]);
    arena_reset(delta->copy_arena);
}

// A place for a copy of `size` bytes: the least used ones go.
static DeltaCopy *make_room(Delta *delta, uint64_t size)
{
    for (;;) {
        uint64_t sum = size;
        DeltaCopy *oldest = NULL;
        DeltaCopy *empty = NULL;
        for (size_t i = 0; i < DELTA_CACHE_MAX; i++) {
            DeltaCopy *copy = &delta->copies[i];
            sum += copy->size;
            if (copy->path.size == 0)
                empty = copy;
            else if (oldest == NULL || copy->used < oldest->used)
                oldest = copy;
        }
        if (empty != NULL && (sum <= DELTA_CACHE_BYTES || oldest == NULL))
            return empty;
        drop_copy(oldest);
    }
}

bool delta_local_copy(Delta *delta, const DeltaTable *table, const DeltaFile *file,
                      const char **ret_local, Error *err)
{
    Str path = {0};
    TRY(delta_log_file_path(&table->log, file->path, delta->work, &path, err));
    DeltaCopy *copy = find_copy(delta, path);
    if (copy == NULL) {
        // Paths of copies that went stay in their arena: begin anew before it is full.
        if (arena_used_bytes(delta->copy_arena) > (size_t)8 * 1024 * 1024)
            drop_copies(delta);
        copy = make_room(delta, file->size);
        char local[DELTA_LOCAL_BYTES];
        (void)snprintf(local, sizeof(local), "%.400s/in-%llu.parquet", delta->scratch,
                       (unsigned long long)delta->files_made++);
        if (!delta_copy_out(delta->store, path, local, err))
            return error_context(err, "lake table " STR_FMT, STR_ARG(table->folder));
        memcpy(copy->local, local, sizeof(local));
        copy->size = file->size;
        if (!arena_copy_str(delta->copy_arena, path, &copy->path, err)) {
            (void)unlink(local);
            *copy = (DeltaCopy){0};
            return false;
        }
    }
    copy->used = ++delta->clock;
    *ret_local = copy->local;
    return true;
}

// --- SQL

bool delta_sql_name(Str name, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '"', err));
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"')
            TRY(buf_append_char(out, '"', err));
        TRY(buf_append_char(out, name.data[i], err));
    }
    return buf_append_char(out, '"', err);
}

// A union with no rows of all columns gives those that the file lacks, without asking it.
bool delta_select_file(const DeltaSchema *schema, const char *local, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("SELECT "), err));
    for (size_t i = 0; i < schema->count; i++) {
        const DeltaField *field = &schema->fields[i];
        TRY(i == 0 || buf_append(out, STR(", "), err));
        TRY(buf_append(out, STR("CAST(f."), err) && delta_sql_name(field->name, out, err));
        TRY(buf_printf(out, err, " AS %s) AS ", field->duck) &&
            delta_sql_name(field->name, out, err));
    }
    TRY(buf_append(out, STR(" FROM (SELECT "), err));
    for (size_t i = 0; i < schema->count; i++) {
        const DeltaField *field = &schema->fields[i];
        TRY(i == 0 || buf_append(out, STR(", "), err));
        TRY(buf_printf(out, err, "NULL::%s AS ", field->duck) &&
            delta_sql_name(field->name, out, err));
    }
    return buf_append(out, STR(" WHERE false UNION ALL BY NAME SELECT * FROM read_parquet("),
                      err) &&
           delta_sql_text(str_from(local), out, err) && buf_append(out, STR(")) AS f"), err);
}

// --- new files

typedef struct StatsVisit {
    Arena *arena;
    DeltaFileStats stats;
} StatsVisit;

static bool take_stats(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    StatsVisit *visit = visitor;
    return duckdb_data_chunk_get_size(chunk) == 0 ||
           delta_stats_take(chunk, visit->arena, &visit->stats, err);
}

static bool write_local(Delta *delta, const DuckStatement *select, const char *local,
                        DeltaFileStats *ret_stats, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("COPY ("), err) && buf_append(&sql, str_from(select->sql), err) &&
        buf_append(&sql, STR(") TO "), err) && delta_sql_text(str_from(local), &sql, err));
    TRY(buf_append(&sql, STR(" ("), err) &&
        duck_parquet_options(delta->options.memory_bytes, &sql, err) &&
        buf_append(&sql, STR(", RETURN_STATS true, USE_TMP_FILE false)"), err) &&
        buf_append_char(&sql, '\0', err));
    DuckStatement copy = *select;
    copy.sql = sql.data;
    StatsVisit visit = {.arena = delta->work};
    TRY(duck_query(&delta->duck, &copy, take_stats, &visit, err));
    *ret_stats = visit.stats;
    return true;
}

// Puts a local file by mapping it: what it holds is the kernel's to keep or to drop, not ours.
static bool put_local(Delta *delta, const char *local, Str path, Error *err)
{
    const int fd = open(local, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_error(err, "open", local);
    struct stat info;
    bool ok = fstat(fd, &info) == 0 && info.st_size > 0;
    void *bytes = MAP_FAILED;
    if (ok)
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    ok = bytes != MAP_FAILED || file_error(err, "map", local);
    if (ok) {
        ok = store_create(delta->store, path, (Str){bytes, (size_t)info.st_size}, STORE_LAZY, err);
        (void)munmap(bytes, (size_t)info.st_size);
    }
    (void)close(fd);
    return ok;
}

bool delta_write_file(Delta *delta, DeltaTable *table, const DeltaWrite *write, DeltaAdd *ret_add,
                      Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    char local[DELTA_LOCAL_BYTES];
    uuid_new(delta->env, id);
    (void)snprintf(local, sizeof(local), "%.400s/out-%llu.parquet", delta->scratch,
                   (unsigned long long)delta->files_made++);
    DeltaAdd add = {0};
    DeltaFileStats stats = {0};
    bool ok = write_local(delta, write->select, local, &stats, err);
    if (ok && stats.rows > 0) {
        CLEANUP(buf_done) Buf text = {0};
        add.size = stats.size;
        add.rows = stats.rows;
        kill_point("lake file put, " STR_FMT " file %zu", STR_ARG(write->label), write->number);
        ok = arena_printf(delta->work, &add.name, err, "part-%s.zstd.parquet", id) &&
             arena_printf(delta->work, &add.path, err, STR_FMT "/" STR_FMT, STR_ARG(table->folder),
                          STR_ARG(add.name)) &&
             delta_stats_write(&stats, write->schema, &text, err) &&
             arena_copy_str(delta->work, buf_str(&text), &add.stats, err) &&
             put_local(delta, local, add.path, err);
        kill_point("lake file was put, " STR_FMT " file %zu", STR_ARG(write->label), write->number);
    }
    (void)unlink(local);
    TRY(ok);
    *ret_add = add;
    return true;
}

void delta_remove_adds(Delta *delta, const DeltaAdd *adds, size_t count)
{
    Error ignored = {0};
    for (size_t i = 0; i < count; i++) {
        if (adds[i].path.size > 0)
            (void)!store_remove(delta->store, adds[i].path, &ignored);
    }
}
