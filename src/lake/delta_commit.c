// Commits and checkpoints: what is put into _delta_log.
#include "base/kill.h"
#include "lake/delta_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HINT_BYTES = 200 };

// --- the text of a commit

static bool write_member(const char *name, Str text, Buf *out, Error *err)
{
    return buf_printf(out, err, ",\"%s\":", name) && json_write_str(text, out, err);
}

// Never a blind append, though a load may remove nothing: its keys were looked up. Under
// WriteSerializable (Databricks' default) a MERGE that read before us takes no notice of blind
// appends, and would put in a second row of a key that both found missing.
static bool write_info(const Delta *delta, const DeltaCommit *commit, Buf *out, Error *err)
{
    TRY(buf_printf(out, err,
                   "{\"commitInfo\":{\"timestamp\":%lld,\"operation\":\"%s\","
                   "\"operationParameters\":{},\"isolationLevel\":\"Serializable\","
                   "\"isBlindAppend\":false,\"engineInfo\":\"pawl/" PAWL_VERSION "\"",
                   (long long)delta_now_ms(delta), commit->operation));
    if (commit->table->log.version >= 0)
        TRY(buf_printf(out, err, ",\"readVersion\":%lld", (long long)commit->table->log.version));
    TRY(buf_printf(out, err,
                   ",\"operationMetrics\":{\"numTargetRowsInserted\":\"%lld\","
                   "\"numTargetRowsUpdated\":\"%lld\",\"numTargetRowsDeleted\":\"%lld\","
                   "\"numTargetFilesAdded\":\"%zu\",\"numTargetFilesRemoved\":\"%zu\"}",
                   (long long)commit->rows_inserted, (long long)commit->rows_updated,
                   (long long)commit->rows_deleted, commit->add_count, commit->remove_count));
    if (commit->note.size > 0)
        TRY(write_member("userMetadata", commit->note, out, err));
    return buf_append(out, STR("}}\n"), err);
}

static bool write_add(const DeltaAdd *add, int64_t now_ms, bool data_change, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"add\":{\"path\":"), err) && json_write_str(add->name, out, err));
    TRY(buf_printf(out, err,
                   ",\"partitionValues\":{},\"size\":%llu,\"modificationTime\":%lld,"
                   "\"dataChange\":%s",
                   (unsigned long long)add->size, (long long)now_ms,
                   data_change ? "true" : "false"));
    return write_member("stats", add->stats, out, err) && buf_append(out, STR("}}\n"), err);
}

static bool write_remove(const DeltaFile *file, int64_t now_ms, bool data_change, Buf *out,
                         Error *err)
{
    TRY(buf_append(out, STR("{\"remove\":{\"path\":"), err) &&
        json_write_str(file->path, out, err));
    return buf_printf(out, err,
                      ",\"deletionTimestamp\":%lld,\"dataChange\":%s,"
                      "\"extendedFileMetadata\":true,\"partitionValues\":{},\"size\":%llu}}\n",
                      (long long)now_ms, data_change ? "true" : "false",
                      (unsigned long long)file->size);
}

static bool write_commit(const Delta *delta, const DeltaCommit *commit, Buf *out, Error *err)
{
    const DeltaLog *log = &commit->table->log;
    const int64_t now_ms = delta_now_ms(delta);
    TRY(write_info(delta, commit, out, err));
    if (commit->protocol.size > 0)
        TRY(buf_printf(out, err, "{\"protocol\":" STR_FMT "}\n", STR_ARG(commit->protocol)));
    if (commit->metadata.size > 0)
        TRY(buf_append(out, STR("{\"metaData\":"), err) && buf_append(out, commit->metadata, err) &&
            buf_append(out, STR("}\n"), err));
    if (commit->app.size > 0) {
        TRY(buf_append(out, STR("{\"txn\":{\"appId\":"), err) &&
            json_write_str(commit->app, out, err));
        TRY(buf_printf(out, err, ",\"version\":1,\"lastUpdated\":%lld}}\n", (long long)now_ms));
    }
    for (size_t i = 0; i < commit->remove_count; i++)
        TRY(write_remove(&log->files[commit->removes[i]], now_ms, commit->data_change, out, err));
    for (size_t i = 0; i < commit->add_count; i++)
        TRY(write_add(&commit->adds[i], now_ms, commit->data_change, out, err));
    return true;
}

// --- putting it

// After an error nobody knows whether the commit is there: the log tells.
static bool is_in(const DeltaCommit *commit)
{
    const DeltaLog *log = &commit->table->log;
    if (commit->app.size > 0)
        return delta_log_find_txn(log, commit->app) != NULL;
    for (size_t i = log->file_count; commit->add_count > 0 && i-- > 0;) {
        if (str_equal(log->files[i].path, commit->adds[0].name))
            return true;
    }
    return false;
}

bool delta_commit(Delta *delta, const DeltaCommit *commit, DeltaOutcome *ret_outcome, Error *err)
{
    DeltaLog *log = &commit->table->log;
    CLEANUP(buf_done) Buf text = {.limit_bytes = DELTA_COMMIT_BYTES_MAX};
    Str path = {0};
    TRY(delta_log_path(log, log->version + 1, "json", delta->work, &path, err));
    TRY(write_commit(delta, commit, &text, err));
    Str *lazy = arena_alloc_array(delta->work, commit->add_count + 1, sizeof(*lazy), err);
    TRY(lazy != NULL);
    for (size_t i = 0; i < commit->add_count; i++)
        lazy[i] = commit->adds[i].path;
    const StoreFile file = {.path = path,
                            .bytes = buf_str(&text),
                            .event = STR("lake commit"),
                            .object = commit->label};
    Error failed = {0};
    // The files are durable before the commit that names them is there.
    const bool put = store_publish(delta->store, lazy, commit->add_count, &file, 1, &failed);
    if (!put && failed.code != ERROR_CONFLICT && failed.code != ERROR_IO) {
        *err = failed;
        return false;
    }
    const int64_t before = log->version;
    commit->table->is_open = delta_log_update(log, err);
    TRY(commit->table->is_open);
    if (put || is_in(commit)) {
        *ret_outcome = DELTA_COMMITTED;
        return true;
    }
    if (failed.code != ERROR_CONFLICT || log->version == before) {
        *err = failed;
        return false;
    }
    *ret_outcome = DELTA_OVERTAKEN;
    return true;
}

// --- checkpoints

// The rows of a checkpoint as (kind, JSON of the action's members).
typedef struct Rows {
    const DeltaLog *log;
    int64_t now_ms, keep_ms; // removes younger than that stay
    size_t next;             // 0 protocol, 1 metaData, then files, then transactions
    Arena *arena;
} Rows;

enum { KIND_PROTOCOL, KIND_METADATA, KIND_FILE, KIND_TXN, FIRST_FILE = 2 };

// A file that went is named as long as somebody may want it, or vacuum would take it too early.
static Rows rows_of(const Delta *delta, const DeltaLog *log)
{
    const int64_t keep_ms = delta->options.retention_us / 1000;
    return (Rows){.log = log,
                  .now_ms = delta_now_ms(delta),
                  .keep_ms = keep_ms > log->file_retention_ms ? keep_ms : log->file_retention_ms,
                  .arena = delta->work};
}

static bool next_row(Rows *rows, const char **ret_kind, Str *ret_json, Error *err)
{
    const DeltaLog *log = rows->log;
    *ret_kind = NULL;
    while (*ret_kind == NULL && rows->next < FIRST_FILE + log->file_count + log->txn_count) {
        const size_t i = rows->next++;
        if (i < FIRST_FILE) {
            *ret_kind = i == 0 ? "protocol" : "metaData";
            *ret_json = i == 0 ? log->protocol : log->metadata;
            continue;
        }
        if (i < FIRST_FILE + log->file_count) {
            const DeltaFile *file = &log->files[i - FIRST_FILE];
            *ret_json = file->action;
            if (file->live || file->time_ms + rows->keep_ms > rows->now_ms)
                *ret_kind = file->live ? "add" : "remove";
            continue;
        }
        const DeltaTxn *txn = &log->txns[i - FIRST_FILE - log->file_count];
        if (log->txn_retention_ms >= 0 && txn->updated_ms > 0 &&
            txn->updated_ms + log->txn_retention_ms < rows->now_ms)
            continue;
        CLEANUP(buf_done) Buf text = {0};
        TRY(buf_append(&text, STR("{\"appId\":"), err) && json_write_str(txn->app, &text, err) &&
            buf_printf(&text, err, ",\"version\":%lld", (long long)txn->version));
        if (txn->updated_ms > 0)
            TRY(buf_printf(&text, err, ",\"lastUpdated\":%lld", (long long)txn->updated_ms));
        TRY(buf_append_char(&text, '}', err));
        TRY(arena_copy_str(rows->arena, buf_str(&text), ret_json, err));
        *ret_kind = "txn";
    }
    return true;
}

static bool fill_rows(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    Rows *rows = state;
    duckdb_vector kinds = duckdb_data_chunk_get_vector(chunk, 0);
    duckdb_vector texts = duckdb_data_chunk_get_vector(chunk, 1);
    size_t count = 0;
    for (; count < DUCK_VECTOR_ROWS; count++) {
        const char *kind = NULL;
        Str json = {0};
        TRY(next_row(rows, &kind, &json, err));
        if (kind == NULL)
            break;
        duckdb_vector_assign_string_element(kinds, count, kind);
        duckdb_vector_assign_string_element_len(texts, count, json.data, json.size);
    }
    *ret_rows = count;
    return true;
}

// The columns that the protocol wants of a checkpoint of version 1, each a struct or null. An add
// in a checkpoint changes no data.
static const char checkpoint_sql[] =
    "COPY (SELECT"
    " CASE WHEN kind = 'txn' THEN json_transform(a, '{\"appId\":\"VARCHAR\","
    "\"version\":\"BIGINT\",\"lastUpdated\":\"BIGINT\"}') END AS txn,"
    " CASE WHEN kind = 'add' THEN json_transform(json_merge_patch(a, '{\"dataChange\":false}'), "
    "'{\"path\":\"VARCHAR\",\"partitionValues\":\"MAP(VARCHAR,VARCHAR)\",\"size\":\"BIGINT\","
    "\"modificationTime\":\"BIGINT\",\"dataChange\":\"BOOLEAN\","
    "\"tags\":\"MAP(VARCHAR,VARCHAR)\",\"stats\":\"VARCHAR\"}') END AS add,"
    " CASE WHEN kind = 'remove' THEN json_transform(json_merge_patch(a, "
    "'{\"dataChange\":false}'), '{\"path\":\"VARCHAR\",\"deletionTimestamp\":\"BIGINT\","
    "\"dataChange\":\"BOOLEAN\",\"extendedFileMetadata\":\"BOOLEAN\","
    "\"partitionValues\":\"MAP(VARCHAR,VARCHAR)\",\"size\":\"BIGINT\"}') END AS remove,"
    " CASE WHEN kind = 'metaData' THEN json_transform(a, '{\"id\":\"VARCHAR\",\"name\":\"VARCHAR\","
    "\"description\":\"VARCHAR\",\"format\":{\"provider\":\"VARCHAR\","
    "\"options\":\"MAP(VARCHAR,VARCHAR)\"},\"schemaString\":\"VARCHAR\","
    "\"partitionColumns\":[\"VARCHAR\"],\"configuration\":\"MAP(VARCHAR,VARCHAR)\","
    "\"createdTime\":\"BIGINT\"}') END AS \"metaData\","
    " CASE WHEN kind = 'protocol' THEN json_transform(a, '{\"minReaderVersion\":\"INTEGER\","
    "\"minWriterVersion\":\"INTEGER\"%s}') END AS protocol"
    " FROM (SELECT kind, text::JSON AS a FROM pawl_rows())) TO ";

static bool write_checkpoint_file(Delta *delta, const DeltaLog *log, const char *local, Error *err)
{
    static const DuckColumn columns[] = {DUCK_TEXT("kind"), DUCK_TEXT("text")};
    // Lists of features belong to protocol 3/7 alone.
    const bool lists = str_find(log->protocol, STR("Features")) < log->protocol.size;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(&sql, err, checkpoint_sql,
                   lists ? ",\"readerFeatures\":[\"VARCHAR\"],\"writerFeatures\":[\"VARCHAR\"]"
                         : ""));
    TRY(delta_sql_text(str_from(local), &sql, err) &&
        buf_append(&sql, STR(" (FORMAT parquet, CODEC zstd, PARQUET_VERSION V1)"), err) &&
        buf_append_char(&sql, '\0', err));
    Rows state = rows_of(delta, log);
    const DuckRows rows = {.columns = columns,
                           .column_count = 2,
                           .rows_total = log->file_count + log->txn_count + FIRST_FILE,
                           .fill = fill_rows,
                           .state = &state};
    const DuckStatement statement = {.sql = sql.data, .rows = &rows};
    return duck_run(&delta->duck, &statement, NULL, err);
}

static bool put_hint(Delta *delta, const DeltaTable *table, size_t actions, uint64_t size,
                     Error *err)
{
    char text[HINT_BYTES];
    Str path = {0};
    const long long version = (long long)table->log.version;
    (void)snprintf(text, sizeof(text), "{\"version\":%lld,\"size\":%zu,\"sizeInBytes\":%llu}",
                   version, actions, (unsigned long long)size);
    TRY(arena_printf(delta->work, &path, err, STR_FMT "/_delta_log/_last_checkpoint",
                     STR_ARG(table->folder)));
    kill_point("lake hint put, " STR_FMT " version %lld", STR_ARG(table->folder), version);
    TRY(store_put(delta->store, path, str_from(text), 0, err));
    kill_point("lake hint was put, " STR_FMT " version %lld", STR_ARG(table->folder), version);
    return true;
}

// How many rows the checkpoint has: a reader may size its memory by it.
static bool count_actions(Delta *delta, const DeltaLog *log, size_t *ret_count, Error *err)
{
    Rows rows = rows_of(delta, log);
    *ret_count = 0;
    for (;;) {
        const char *kind = NULL;
        Str ignored = {0};
        TRY(next_row(&rows, &kind, &ignored, err));
        if (kind == NULL)
            return true;
        ++*ret_count;
    }
}

static bool put_checkpoint(Delta *delta, DeltaTable *table, Error *err)
{
    DeltaLog *log = &table->log;
    Str path = {0};
    size_t actions = 0;
    CLEANUP(buf_done) Buf bytes = {0};
    char local[DELTA_LOCAL_BYTES];
    (void)snprintf(local, sizeof(local), "%.400s/out-checkpoint", delta->scratch);
    TRY(count_actions(delta, log, &actions, err));
    TRY(delta_log_path(log, log->version, "checkpoint.parquet", delta->work, &path, err));
    TRY(write_checkpoint_file(delta, log, local, err));
    const int fd = open(local, O_RDONLY | O_CLOEXEC);
    struct stat info = {0};
    bool ok = fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0 &&
              buf_reserve(&bytes, (size_t)info.st_size, err);
    while (ok && bytes.size < (size_t)info.st_size) {
        const ssize_t got = read(fd, bytes.data + bytes.size, (size_t)info.st_size - bytes.size);
        ok = got > 0;
        bytes.size += ok ? (size_t)got : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(local);
    if (!ok)
        return error_set(err, ERROR_IO,
                         "lake table " STR_FMT ": its checkpoint could not be read back",
                         STR_ARG(table->folder));
    Error there = {0};
    kill_point("lake checkpoint put, " STR_FMT " version %lld", STR_ARG(table->folder),
               (long long)log->version);
    // Another writer's checkpoint of this version says the same.
    if (!store_create(delta->store, path, buf_str(&bytes), 0, &there) &&
        there.code != ERROR_CONFLICT) {
        *err = there;
        return false;
    }
    kill_point("lake checkpoint was put, " STR_FMT " version %lld", STR_ARG(table->folder),
               (long long)log->version);
    TRY(put_hint(delta, table, actions, bytes.size, err));
    log->checkpoint = log->version;
    return true;
}

bool delta_checkpoint(Delta *delta, DeltaTable *table, Error *err)
{
    enum { LOG_BYTES_LARGE = 64 * 1024 * 1024 };
    DeltaLog *log = &table->log;
    const int64_t due =
        log->checkpoint < 0 ? DELTA_CHECKPOINT_EVERY : log->checkpoint + DELTA_CHECKPOINT_EVERY;
    if (log->version < due)
        return true;
    TRY(put_checkpoint(delta, table, err));
    // What commits replaced stays in the log's arena: a large one is read anew from the checkpoint.
    if (arena_used_bytes(log->arena) < LOG_BYTES_LARGE)
        return true;
    delta_log_close(log);
    table->is_open = delta_log_open(log, err);
    return table->is_open;
}

// --- metaData

bool delta_metadata_text(Delta *delta, const DeltaLog *log, Str schema_json, Str *ret_text,
                         Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    if (log->version < 0) {
        char id[UUID_TEXT_BYTES + 1];
        uuid_new(delta->env, id);
        TRY(buf_printf(&text, err,
                       "{\"id\":\"%s\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"
                       "\"partitionColumns\":[],\"configuration\":{"
                       "\"delta.setTransactionRetentionDuration\":\"interval 30 days\"},"
                       "\"createdTime\":%lld,\"schemaString\":",
                       id, (long long)delta_now_ms(delta)));
        TRY(json_write_str(schema_json, &text, err) && buf_append_char(&text, '}', err));
        return arena_copy_str(delta->work, buf_str(&text), ret_text, err);
    }
    yyjson_doc *doc = NULL;
    TRY(json_parse(log->metadata, "metaData", delta->work, &doc, err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    TRY(buf_append(&text, STR("{\"schemaString\":"), err) &&
        json_write_str(schema_json, &text, err));
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, count, name, value)
    {
        if (str_equal(json_str(name), STR("schemaString")))
            continue;
        TRY(buf_append_char(&text, ',', err) && json_write_str(json_str(name), &text, err) &&
            buf_append_char(&text, ':', err) && json_write(value, &text, err));
    }
    TRY(buf_append_char(&text, '}', err));
    return arena_copy_str(delta->work, buf_str(&text), ret_text, err);
}

void delta_bound_keys(DeltaSchema *schema, const DeltaTableSpec *table)
{
    for (size_t i = 0; i < schema->count; i++) {
        DeltaField *field = &schema->fields[i];
        for (size_t k = 0; k < table->key_count && !field->text_bounds; k++)
            field->text_bounds = str_equal(field->name, table->key_columns[k]);
    }
}

void delta_bound_as_before(DeltaSchema *schema, const DeltaLog *log, const uint32_t *files,
                           size_t count, Arena *scratch)
{
    for (size_t i = 0; i < schema->count; i++)
        schema->fields[i].text_bounds = true;
    for (size_t i = 0; i < count; i++) {
        const Str stats = log->files[files[i]].stats;
        yyjson_doc *doc = NULL;
        Error broken = {0}; // stats that cannot be read bound nothing
        if (stats.size > 0)
            (void)!json_parse(stats, "stats", scratch, &doc, &broken);
        delta_stats_narrow(yyjson_doc_get_root(doc), schema);
    }
}
