#include "lake/delta_log.h"

#include "base/file.h"
#include "base/time.h"

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
    INTERVAL_PARTS_MAX = 10,
};

#define MS_PER_DAY          INT64_C(86400000)
#define INTERVAL_UNKNOWN_MS (36525 * MS_PER_DAY) // a century

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

bool delta_log_file_path(const DeltaLog *log, Str path, Arena *arena, Str *ret_path, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    // Absolute ones come from shallow clones: their files are not this table's to remove.
    if (str_starts_with(path, STR("/")) || str_find(path, STR("://")) < path.size)
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

// --- what we must not touch

static bool check_features(const DeltaLog *log, yyjson_val *list, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        const Str name = json_str(item);
        if (!str_equal(name, STR("appendOnly")) && !str_equal(name, STR("invariants")))
            return error_set(err, ERROR_JOB,
                             "lake table " STR_FMT ": it has the feature '" STR_FMT
                             "', which pawl does not know: drop the feature or name another table",
                             STR_ARG(log->folder), STR_ARG(name));
    }
    return true;
}

static bool check_protocol(const DeltaLog *log, yyjson_val *protocol, Error *err)
{
    enum { READER_PLAIN = 1, READER_FEATURES = 3, WRITER_PLAIN = 2, WRITER_FEATURES = 7 };
    const int64_t reader = yyjson_get_sint(json_get(protocol, STR("minReaderVersion")));
    const int64_t writer = yyjson_get_sint(json_get(protocol, STR("minWriterVersion")));
    if ((reader != READER_PLAIN && reader != READER_FEATURES) || writer < 1 ||
        (writer > WRITER_PLAIN && writer != WRITER_FEATURES))
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT ": its protocol is %lld/%lld, pawl knows 1/2: name "
                         "another table",
                         STR_ARG(log->folder), (long long)reader, (long long)writer);
    return check_features(log, json_get(protocol, STR("readerFeatures")), err) &&
           check_features(log, json_get(protocol, STR("writerFeatures")), err);
}

static bool refuse(const DeltaLog *log, Str property, Str value, Error *err)
{
    return error_set(err, ERROR_JOB,
                     "lake table " STR_FMT ": its property " STR_FMT " = '" STR_FMT
                     "' forbids what pawl does: change it or name another table",
                     STR_ARG(log->folder), STR_ARG(property), STR_ARG(value));
}

static bool check_properties(const DeltaLog *log, yyjson_val *properties, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(properties, i, count, name, value)
    {
        const Str property = json_str(name);
        const Str text = json_str(value);
        const bool on = str_equal_ignoring_case(text, STR("true"));
        if ((on && (str_equal(property, STR("delta.appendOnly")) ||
                    str_equal(property, STR("delta.enableChangeDataFeed")))) ||
            (str_equal(property, STR("delta.columnMapping.mode")) &&
             !str_equal(text, STR("none"))) ||
            str_starts_with(property, STR("delta.constraints.")))
            return refuse(log, property, text, err);
    }
    return true;
}

static Str next_word(Str *rest)
{
    *rest = str_trim(*rest);
    const size_t blank = str_find_char(*rest, ' ');
    const Str word = str_slice(*rest, 0, blank);
    *rest = str_slice(*rest, blank, rest->size);
    return word;
}

// One number and its unit, such as "2 days".
static bool interval_part(Str number_text, Str unit, int64_t *ret_ms)
{
    enum { NUMBER_MAX = 1000000 };
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"day", MS_PER_DAY}, {"hour", 3600000}, {"week", 7 * MS_PER_DAY},
                 {"minute", 60000},   {"second", 1000},  {"millisecond", 1}};
    int64_t number = 0;
    if (!str_to_int64(number_text, &number) || number < 0 || number > NUMBER_MAX)
        return false;
    if (str_ends_with(unit, STR("s")))
        unit.size--;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_equal_ignoring_case(unit, str_from(units[i].name))) {
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

// "interval 7 days", "interval 1 week 2 days": Spark's own writing of table properties. A text that
// says something else is a long time: what is kept too long can still be removed.
static int64_t interval_ms(yyjson_val *property, int64_t fallback)
{
    Str rest = str_trim(json_str(property));
    int64_t sum_ms = 0;
    int parts = 0;
    if (rest.size == 0)
        return fallback;
    Str word = next_word(&rest);
    if (str_equal_ignoring_case(word, STR("interval")))
        word = next_word(&rest);
    for (; word.size > 0 && parts < INTERVAL_PARTS_MAX; parts++) {
        int64_t ms = 0;
        if (!interval_part(word, next_word(&rest), &ms))
            return INTERVAL_UNKNOWN_MS;
        sum_ms += ms;
        word = next_word(&rest);
    }
    return word.size > 0 || parts == 0 || sum_ms > INTERVAL_UNKNOWN_MS ? INTERVAL_UNKNOWN_MS
                                                                       : sum_ms;
}

// --- actions

static bool json_copy(yyjson_val *value, Arena *arena, Str *ret_text, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    return json_write(value, &text, err) && arena_copy_str(arena, buf_str(&text), ret_text, err);
}

static bool apply_metadata(DeltaLog *log, yyjson_val *metadata, int64_t version, Error *err)
{
    yyjson_val *properties = json_get(metadata, STR("configuration"));
    if (yyjson_arr_size(json_get(metadata, STR("partitionColumns"))) > 0)
        return error_set(err, ERROR_JOB,
                         "lake table " STR_FMT
                         ": it is partitioned, which pawl does not write: name "
                         "another table",
                         STR_ARG(log->folder));
    TRY(check_properties(log, properties, err));
    TRY(json_copy(metadata, log->arena, &log->metadata, err));
    TRY(arena_copy_str(log->arena, json_str(json_get(metadata, STR("schemaString"))),
                       &log->schema_json, err));
    if (!delta_schema_read(log->schema_json, log->arena, &log->schema, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(log->folder));
    log->metadata_version = version;
    log->log_retention_ms =
        interval_ms(json_get(properties, STR("delta.logRetentionDuration")), 30 * MS_PER_DAY);
    log->file_retention_ms = interval_ms(
        json_get(properties, STR("delta.deletedFileRetentionDuration")), 7 * MS_PER_DAY);
    log->has_file_retention =
        json_get(properties, STR("delta.deletedFileRetentionDuration")) != NULL;
    log->keeps_log = str_equal_ignoring_case(
        json_str(json_get(properties, STR("delta.enableExpiredLogCleanup"))), STR("false"));
    log->txn_retention_ms =
        interval_ms(json_get(properties, STR("delta.setTransactionRetentionDuration")), -1);
    return true;
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
        TRY(check_protocol(log, action, err));
        TRY(json_copy(action, log->arena, &log->protocol, err));
        log->protocol_version = version;
    }
    action = member(root, STR("metaData"));
    if (action != NULL)
        TRY(apply_metadata(log, action, version, err));
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
    log->version = -1;
    log->checkpoint = listing.checkpoint;
    if (listing.checkpoint >= 0)
        TRY(read_checkpoint(log, listing.parts, err));
    while (log->version < listing.newest)
        TRY(read_commit(log, log->version + 1, err));
    if (log->version >= 0 && (log->protocol.size == 0 || log->metadata.size == 0))
        return error_set(err, ERROR_DATA,
                         "lake table " STR_FMT ": its log has no protocol or schema",
                         STR_ARG(log->folder));
    return true;
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
                      .checkpoint = -1};
}

bool delta_log_update(DeltaLog *log, Error *err)
{
    for (;;) {
        Error missing = {0};
        if (read_commit(log, log->version + 1, &missing))
            continue;
        if (missing.code == ERROR_NOT_FOUND)
            return true;
        *err = missing;
        return false;
    }
}
