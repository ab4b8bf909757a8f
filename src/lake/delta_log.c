#include "lake/delta_log.h"

#include "base/file.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    VERSION_DIGITS = 20,
    PART_DIGITS = 10,
    PARTS_MAX = 1000,
    COPY_BYTES = 256 * 1024,
    WHERE_BYTES = 200,
};

// --- names

static bool parse_digits(Str text, size_t digits, int64_t *ret_number)
{
    if (text.size != digits)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return str_to_int64(text, ret_number);
}

DeltaName delta_log_parse_name(Str name)
{
    DeltaName parsed = {.part = 1, .parts = 1};
    const Str rest = str_slice(name, VERSION_DIGITS, name.size);
    int64_t part = 0;
    int64_t parts = 0;
    if (!parse_digits(str_slice(name, 0, VERSION_DIGITS), VERSION_DIGITS, &parsed.version))
        return parsed;
    if (str_equal(rest, STR(".json")))
        parsed.kind = DELTA_NAME_COMMIT;
    if (str_equal(rest, STR(".checkpoint.parquet")))
        parsed.kind = DELTA_NAME_CHECKPOINT;
    // ".checkpoint.0000000001.0000000003.parquet": what older Spark wrote of large tables.
    const size_t head = sizeof(".checkpoint.") - 1;
    const Str first = str_slice(rest, head, PART_DIGITS);
    const Str second = str_slice(rest, head + PART_DIGITS + 1, PART_DIGITS);
    if (rest.size == head + (size_t)2 * PART_DIGITS + sizeof(".parquet") &&
        str_starts_with(rest, STR(".checkpoint.")) && str_ends_with(rest, STR(".parquet")) &&
        parse_digits(first, PART_DIGITS, &part) && parse_digits(second, PART_DIGITS, &parts) &&
        part >= 1 && parts <= PARTS_MAX && part <= parts) {
        parsed.kind = DELTA_NAME_CHECKPOINT;
        parsed.part = (uint32_t)part;
        parsed.parts = (uint32_t)parts;
    }
    return parsed;
}

bool delta_log_path(const DeltaLog *log, int64_t version, const char *ending, Arena *arena,
                    Str *ret_path, Error *err)
{
    return arena_printf(arena, ret_path, err, STR_FMT "/_delta_log/%020lld.%s",
                        STR_ARG(log->folder), (long long)version, ending);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Absolute ones come from shallow clones: "abfss://...", and "file:/..." as Hadoop writes it.
bool delta_log_is_outside(Str path)
{
    for (size_t i = 0; i < path.size; i++) {
        const char c = path.data[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (i > 0 && c == ':')
            return true;
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return i == 0 && c == '/';
    }
    return false;
}

bool delta_log_file_path(const DeltaLog *log, Str path, Arena *arena, Str *ret_path, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    if (delta_log_is_outside(path))
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT ": its file '" STR_FMT
                         "' lies outside of it, which pawl does not know how to keep",
                         STR_ARG(log->folder), STR_ARG(path));
    TRY(buf_append(&text, log->folder, err) && buf_append_char(&text, '/', err));
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        if (c == '%' && i + 2 < path.size && hex_digit(path.data[i + 1]) >= 0 &&
            hex_digit(path.data[i + 2]) >= 0) {
            c = (char)(hex_digit(path.data[i + 1]) * 16 + hex_digit(path.data[i + 2]));
            i += 2;
        }
        TRY(buf_append_char(&text, c, err));
    }
    return arena_copy_str(arena, buf_str(&text), ret_path, err);
}

// --- files and transactions

static size_t hash_of(Str path)
{
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (size_t i = 0; i < path.size; i++)
        hash = (hash ^ (unsigned char)path.data[i]) * UINT64_C(1099511628211);
    return (size_t)hash;
}

static size_t slot_of(const DeltaLog *log, Str path)
{
    size_t slot = hash_of(path) & log->slot_mask;
    while (log->slots[slot] != 0 && !str_equal(log->files[log->slots[slot] - 1].path, path))
        slot = (slot + 1) & log->slot_mask;
    return slot;
}

static bool grow_files(DeltaLog *log, Error *err)
{
    const size_t room = log->file_room == 0 ? 64 : log->file_room * 2;
    DeltaFile *files = arena_alloc_array(log->arena, room, sizeof(*files), err);
    uint32_t *slots = arena_alloc_array(log->arena, room * 2, sizeof(*slots), err);
    TRY(files != NULL && slots != NULL);
    if (log->file_count > 0)
        memcpy(files, log->files, log->file_count * sizeof(*files));
    log->files = files;
    log->slots = slots;
    log->slot_mask = room * 2 - 1;
    log->file_room = room;
    for (size_t i = 0; i < log->file_count; i++)
        log->slots[slot_of(log, files[i].path)] = (uint32_t)i + 1;
    return true;
}

static bool put_file(DeltaLog *log, const DeltaFile *file, Error *err)
{
    if (log->file_count == log->file_room)
        TRY(grow_files(log, err));
    const size_t slot = slot_of(log, file->path);
    DeltaFile copy = *file;
    if (log->slots[slot] != 0) {
        copy.path = log->files[log->slots[slot] - 1].path;
    } else {
        TRY(arena_copy_str(log->arena, file->path, &copy.path, err));
        log->slots[slot] = (uint32_t)++log->file_count;
    }
    TRY(arena_copy_str(log->arena, file->action, &copy.action, err));
    if (file->stats.size > 0)
        TRY(arena_copy_str(log->arena, file->stats, &copy.stats, err));
    log->files[log->slots[slot] - 1] = copy;
    return true;
}

const DeltaTxn *delta_log_find_txn(const DeltaLog *log, Str app)
{
    // Ours are among the last.
    for (size_t i = log->txn_count; i-- > 0;) {
        if (str_equal(log->txns[i].app, app))
            return &log->txns[i];
    }
    return NULL;
}

static bool put_txn(DeltaLog *log, const DeltaTxn *txn, Error *err)
{
    for (size_t i = 0; i < log->txn_count; i++) {
        if (str_equal(log->txns[i].app, txn->app)) {
            log->txns[i].version = txn->version;
            log->txns[i].updated_ms = txn->updated_ms;
            return true;
        }
    }
    if (log->txn_count == log->txn_room) {
        const size_t room = log->txn_room == 0 ? 64 : log->txn_room * 2;
        DeltaTxn *txns = arena_alloc_array(log->arena, room, sizeof(*txns), err);
        TRY(txns != NULL);
        if (log->txn_count > 0)
            memcpy(txns, log->txns, log->txn_count * sizeof(*txns));
        log->txns = txns;
        log->txn_room = room;
    }
    DeltaTxn *copy = &log->txns[log->txn_count];
    *copy = *txn;
    TRY(arena_copy_str(log->arena, txn->app, &copy->app, err));
    log->txn_count++;
    return true;
}

// --- actions

static bool json_copy(yyjson_val *value, Arena *arena, Str *ret_text, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    return json_write(value, &text, err) && arena_copy_str(arena, buf_str(&text), ret_text, err);
}

static bool apply_file(DeltaLog *log, yyjson_val *action, bool live, int64_t version, Error *err)
{
    yyjson_val *vector = json_get(action, STR("deletionVector"));
    if (vector != NULL && !yyjson_is_null(vector))
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT
                         ": it has deletion vectors, which pawl does not know",
                         STR_ARG(log->folder));
    CLEANUP(buf_done) Buf text = {0};
    TRY(json_write(action, &text, err));
    const DeltaFile file = {.path = json_str(json_get(action, STR("path"))),
                            .action = buf_str(&text),
                            .stats = live ? json_str(json_get(action, STR("stats"))) : (Str){0},
                            .size = yyjson_get_uint(json_get(action, STR("size"))),
                            .time_ms = yyjson_get_sint(json_get(
                                action, live ? STR("modificationTime") : STR("deletionTimestamp"))),
                            .version = version,
                            .live = live};
    if (file.path.size == 0)
        return error_set(err, ERROR_DATA,
                         "lake table " STR_FMT ": version %lld: a file without path",
                         STR_ARG(log->folder), (long long)version);
    return put_file(log, &file, err);
}

static yyjson_val *member(yyjson_val *root, Str name)
{
    yyjson_val *value = json_get(root, name);
    return yyjson_is_obj(value) ? value : NULL; // a checkpoint's row holds null for the others
}

static bool apply(DeltaLog *log, yyjson_val *root, int64_t version, Error *err)
{
    yyjson_val *action = member(root, STR("add"));
    if (action != NULL)
        TRY(apply_file(log, action, true, version, err));
    action = member(root, STR("remove"));
    if (action != NULL)
        TRY(apply_file(log, action, false, version, err));
    action = member(root, STR("protocol"));
    if (action != NULL) {
        TRY(json_copy(action, log->arena, &log->protocol, err));
        log->protocol_version = version;
    }
    action = member(root, STR("metaData"));
    if (action != NULL) {
        TRY(json_copy(action, log->arena, &log->metadata, err));
        log->metadata_version = version;
    }
    // Its files stand elsewhere, whatever the protocol has become since.
    if (member(root, STR("sidecar")) != NULL)
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT
                         ": it has a checkpoint with sidecars, which pawl does not know",
                         STR_ARG(log->folder));
    action = member(root, STR("txn"));
    if (action == NULL)
        return true;
    const DeltaTxn txn = {.app = json_str(json_get(action, STR("appId"))),
                          .version = yyjson_get_sint(json_get(action, STR("version"))),
                          .updated_ms = yyjson_get_sint(json_get(action, STR("lastUpdated")))};
    return put_txn(log, &txn, err);
}

static bool apply_text(DeltaLog *log, Str line, int64_t version, Error *err)
{
    char where[WHERE_BYTES];
    (void)snprintf(where, sizeof(where), "lake table " STR_FMT ": version %lld",
                   STR_ARG(log->folder), (long long)version);
    arena_reset(log->scratch_arena);
    yyjson_doc *doc = NULL;
    return json_parse(line, where, log->scratch_arena, &doc, err) &&
           apply(log, yyjson_doc_get_root(doc), version, err);
}

static bool read_commit(DeltaLog *log, int64_t version, Error *err)
{
    arena_reset(log->scratch_arena);
    Str path = {0};
    TRY(delta_log_path(log, version, "json", log->scratch_arena, &path, err));
    CLEANUP(buf_done) Buf text = {0};
    TRY(store_read_into(log->store, path, DELTA_COMMIT_BYTES_MAX, &text, err));
    Str rest = buf_str(&text);
    while (rest.data != NULL) {
        const Str line = str_trim(str_split_next(&rest, '\n'));
        if (line.size > 0)
            TRY(apply_text(log, line, version, err));
    }
    log->version = version;
    return true;
}

// --- checkpoints

bool delta_copy_out(Store *store, Str path, const char *local, Error *err)
{
    CLEANUP(buf_done) Buf bytes = {0};
    TRY(buf_reserve(&bytes, COPY_BYTES, err));
    const int fd = open(local, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(err, "create", local);
    uint64_t offset = 0;
    bool ok = true;
    for (size_t got = 1; ok && got > 0; offset += got) {
        got = 0;
        ok = store_read(store, path, offset, bytes.data, COPY_BYTES, &got, err);
        for (size_t done = 0; ok && done < got;) {
            const ssize_t wrote = write(fd, bytes.data + done, got - done);
            if (wrote <= 0)
                ok = file_error(err, "write", local);
            else
                done += (size_t)wrote;
        }
    }
    if (close(fd) != 0 && ok)
        ok = file_error(err, "close", local);
    if (!ok)
        (void)unlink(local);
    return ok;
}

bool delta_sql_text(Str text, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '\'', err));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'')
            TRY(buf_append_char(out, '\'', err));
        TRY(buf_append_char(out, text.data[i], err));
    }
    return buf_append_char(out, '\'', err);
}

static bool take_rows(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    DeltaLog *log = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
        TRY(apply_text(log, duck_get_text(chunk, 0, i), log->checkpoint, err));
    return true;
}

// Every row of a checkpoint is one action; as JSON it is what a commit's line is.
static bool read_checkpoint_file(DeltaLog *log, const char *ending, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    Str path = {0};
    arena_reset(log->scratch_arena);
    TRY(delta_log_path(log, log->checkpoint, ending, log->scratch_arena, &path, err));
    TRY(delta_copy_out(log->store, path, log->scratch, err));
    bool ok = buf_append(&sql, STR("SELECT to_json(c)::VARCHAR FROM read_parquet("), err) &&
              delta_sql_text(str_from(log->scratch), &sql, err) &&
              buf_append(&sql, STR(") AS c"), err) && buf_append_char(&sql, '\0', err);
    const DuckStatement query = {.sql = sql.data};
    ok = ok && duck_query(log->duck, &query, take_rows, log, err);
    (void)unlink(log->scratch);
    return ok || error_context(err, "lake table " STR_FMT ": checkpoint of version %lld",
                               STR_ARG(log->folder), (long long)log->checkpoint);
}

static bool read_checkpoint(DeltaLog *log, uint32_t parts, Error *err)
{
    for (uint32_t part = 1; part <= parts; part++) {
        char ending[DELTA_NAME_BYTES];
        if (parts == 1)
            (void)snprintf(ending, sizeof(ending), "checkpoint.parquet");
        else
            (void)snprintf(ending, sizeof(ending), "checkpoint.%010u.%010u.parquet", part, parts);
        TRY(read_checkpoint_file(log, ending, err));
    }
    log->version = log->checkpoint;
    return true;
}

// --- the whole

// What lies in _delta_log: the newest whole checkpoint, and the newest commit.
typedef struct Listing {
    size_t folder_size;
    int64_t checkpoint;
    uint32_t parts;
    int64_t counting; // the checkpoint in several files that is being counted
    uint32_t counting_parts, counted;
    int64_t newest;
} Listing;

static bool list_name(void *visitor, const StoreEntry *entry)
{
    Listing *listing = visitor;
    const DeltaName name =
        delta_log_parse_name(str_slice(entry->path, listing->folder_size, entry->path.size));
    if (name.kind == DELTA_NAME_COMMIT && name.version > listing->newest)
        listing->newest = name.version;
    if (name.kind != DELTA_NAME_CHECKPOINT)
        return true;
    if (name.version != listing->counting || name.parts != listing->counting_parts)
        listing->counted = 0;
    listing->counting = name.version;
    listing->counting_parts = name.parts;
    if (++listing->counted == name.parts && name.version >= listing->checkpoint) {
        listing->checkpoint = name.version;
        listing->parts = name.parts;
    }
    return true;
}

static bool read_all(DeltaLog *log, Error *err)
{
    Str folder = {0};
    TRY(arena_printf(log->arena, &folder, err, STR_FMT "/_delta_log", STR_ARG(log->folder)));
    Listing listing = {
        .folder_size = folder.size + 1, .checkpoint = -1, .counting = -1, .newest = -1};
    TRY(store_list(log->store, folder, STORE_SHALLOW, list_name, &listing, err));
    log->version = log->settled = -1;
    log->checkpoint = listing.checkpoint;
    if (listing.checkpoint >= 0)
        TRY(read_checkpoint(log, listing.parts, err));
    bool there = true;
    while (there && log->version < listing.newest)
        there = read_commit(log, log->version + 1, err);
    if (!there && err->code == ERROR_NOT_FOUND)
        return error_set(err, ERROR_DATA,
                         "lake table " STR_FMT
                         ": its log lacks version %lld, and has no checkpoint "
                         "behind it that pawl reads (one of version 2 it does not)",
                         STR_ARG(log->folder), (long long)(log->version + 1));
    return there;
}

bool delta_log_open(DeltaLog *log, Error *err)
{
    assert(log->arena == NULL);
    log->arena = arena_new(DELTA_LOG_BYTES_MAX, err);
    log->scratch_arena = arena_new(2 * (size_t)DELTA_COMMIT_BYTES_MAX, err);
    if (log->arena != NULL && log->scratch_arena != NULL && read_all(log, err) &&
        delta_log_update(log, err))
        return true;
    delta_log_close(log);
    return false;
}

void delta_log_close(DeltaLog *log)
{
    arena_free(log->arena);
    arena_free(log->scratch_arena);
    *log = (DeltaLog){.store = log->store,
                      .duck = log->duck,
                      .folder = log->folder,
                      .scratch = log->scratch,
                      .version = -1,
                      .settled = -1,
                      .checkpoint = -1};
}

bool delta_log_update(DeltaLog *log, Error *err)
{
    for (;;) {
        Error missing = {0};
        if (read_commit(log, log->version + 1, &missing))
            continue;
        if (missing.code == ERROR_NOT_FOUND)
            return delta_log_settle(log, err);
        *err = missing;
        return false;
    }
}

bool delta_log_stands(DeltaLog *log, bool *ret_stands, Error *err)
{
    Str path = {0};
    Error missing = {0};
    char byte = 0;
    size_t got = 0;
    arena_reset(log->scratch_arena);
    *ret_stands = true;
    if (log->version < 0)
        return true;
    TRY(delta_log_path(log, log->version, "json", log->scratch_arena, &path, err));
    if (store_read(log->store, path, 0, &byte, 1, &got, &missing))
        return true;
    *ret_stands = false;
    if (missing.code == ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}
