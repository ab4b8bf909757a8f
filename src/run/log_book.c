#include "run/log_book.h"

#include "base/json.h"

#include <assert.h>
#include <stddef.h>

enum { BOOK_BYTES_MAX = 64 * 1024 * 1024, FIRST_ROWS = 64 };

struct LogBook {
    Arena *arena;
    EtlLogRow *rows;
    size_t count, capacity;
    size_t lost;
};

bool log_book_new(LogBook **ret_book, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(BOOK_BYTES_MAX, err);
    TRY(arena != NULL);
    LogBook *book = arena_alloc(arena, sizeof(*book), err);
    TRY(book != NULL);
    book->arena = arena;
    arena = NULL;
    *ret_book = book;
    return true;
}

void log_book_free(LogBook *book)
{
    if (book != NULL)
        arena_free(book->arena);
}

void log_book_freep(LogBook **book)
{
    log_book_free(*book);
}

static bool make_room(LogBook *book, Error *err)
{
    if (book->count < book->capacity)
        return true;
    const size_t room = book->capacity == 0 ? FIRST_ROWS : book->capacity * 2;
    EtlLogRow *rows = arena_alloc_array(book->arena, room, sizeof(*rows), err);
    TRY(rows != NULL);
    if (book->count > 0)
        memcpy(rows, book->rows, book->count * sizeof(*rows));
    book->rows = rows;
    book->capacity = room;
    return true;
}

static bool copy_row(LogBook *book, const EtlLogRow *row, Error *err)
{
    TRY(make_room(book, err));
    EtlLogRow copy = *row;
    Str *const texts[] = {&copy.run,    &copy.job,           &copy.mode,   &copy.stage,
                          &copy.stream, &copy.partition_key, &copy.status, &copy.error_json};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i]->size > 0)
            TRY(arena_copy_str(book->arena, *texts[i], texts[i], err));
    }
    book->rows[book->count++] = copy;
    return true;
}

void log_book_add(LogBook *book, const EtlLogRow *row)
{
    Error ignored = {0};
    if (!copy_row(book, row, &ignored))
        book->lost++;
}

size_t log_book_count(const LogBook *book)
{
    return book->count;
}

bool log_book_error_json(LogBook *book, const Error *why, Str *ret_json, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"code\":\"%s\",\"message\":", error_code_name(why->code)));
    TRY(json_write_str(str_from(why->message), &text, err));
    TRY(buf_append_char(&text, '}', err));
    return arena_copy_str(book->arena, buf_str(&text), ret_json, err);
}

bool log_book_write(LogBook *book, Warehouse *warehouse, Error *err)
{
    if (book->count == 0)
        return true;
    TRY(warehouse->driver->append_log(warehouse->state, book->rows, book->count, err));
    book->count = 0;
    return true;
}

// --- rows that wait

// Where each text and number of a row stands in the document: written and read by the same lists.
static const struct {
    const char *name;
    size_t offset;
} text_members[] = {
    {"run", offsetof(EtlLogRow, run)},       {"job", offsetof(EtlLogRow, job)},
    {"mode", offsetof(EtlLogRow, mode)},     {"stage", offsetof(EtlLogRow, stage)},
    {"stream", offsetof(EtlLogRow, stream)}, {"partition", offsetof(EtlLogRow, partition_key)},
    {"status", offsetof(EtlLogRow, status)}, {"error", offsetof(EtlLogRow, error_json)},
};
static const struct {
    const char *name;
    size_t offset;
} number_members[] = {
    {"slice", offsetof(EtlLogRow, slice)},
    {"load", offsetof(EtlLogRow, load)},
    {"rows_in", offsetof(EtlLogRow, rows_in)},
    {"rows_landed", offsetof(EtlLogRow, rows_landed)},
    {"rows_inserted", offsetof(EtlLogRow, rows_inserted)},
    {"rows_updated", offsetof(EtlLogRow, rows_updated)},
    {"rows_unchanged", offsetof(EtlLogRow, rows_unchanged)},
    {"rows_deleted", offsetof(EtlLogRow, rows_deleted)},
    {"rows_quarantined", offsetof(EtlLogRow, rows_quarantined)},
    {"rows_overflowed", offsetof(EtlLogRow, rows_overflowed)},
    {"bytes", offsetof(EtlLogRow, bytes)},
    {"requests", offsetof(EtlLogRow, requests)},
    {"attempts", offsetof(EtlLogRow, attempts)},
    {"wait_us", offsetof(EtlLogRow, wait_us)},
    {"started_us", offsetof(EtlLogRow, started_us)},
    {"duration_us", offsetof(EtlLogRow, duration_us)},
};
enum {
    TEXT_MEMBERS = sizeof(text_members) / sizeof(text_members[0]),
    NUMBER_MEMBERS = sizeof(number_members) / sizeof(number_members[0]),
    KEPT_BYTES_MAX = 64 * 1024 * 1024,
    KEPT_FILES_MAX = 1000, // a run; the rest goes with the next
    BATCH_BYTES = 16 * 1024 * 1024,
    LIST_BYTES = 4 * 1024 * 1024,
};

static bool write_row(const EtlLogRow *row, Buf *out, Error *err)
{
    for (size_t i = 0; i < TEXT_MEMBERS; i++) {
        Str text = {0};
        memcpy(&text, (const char *)row + text_members[i].offset, sizeof(text));
        TRY(buf_printf(out, err, "%s\"%s\":", i > 0 ? "," : "{", text_members[i].name));
        TRY(json_write_str(text, out, err));
    }
    for (size_t i = 0; i < NUMBER_MEMBERS; i++) {
        int64_t number = 0;
        memcpy(&number, (const char *)row + number_members[i].offset, sizeof(number));
        TRY(buf_printf(out, err, ",\"%s\":%lld", number_members[i].name, (long long)number));
    }
    return buf_append_char(out, '}', err);
}

static EtlLogRow read_row(yyjson_val *object)
{
    EtlLogRow row = {ETL_LOG_NONE};
    for (size_t i = 0; i < TEXT_MEMBERS; i++) {
        const Str text = json_str(json_get(object, str_from(text_members[i].name)));
        memcpy((char *)&row + text_members[i].offset, &text, sizeof(text));
    }
    for (size_t i = 0; i < NUMBER_MEMBERS; i++) {
        yyjson_val *value = json_get(object, str_from(number_members[i].name));
        const int64_t number = yyjson_is_int(value) ? yyjson_get_sint(value) : -1;
        memcpy((char *)&row + number_members[i].offset, &number, sizeof(number));
    }
    return row;
}

bool log_book_keep(LogBook *book, Store *store, Str job, Str run, Env *env, Error *err)
{
    if (book->count == 0)
        return true;
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"version\":1,\"rows\":["));
    for (size_t i = 0; i < book->count; i++) {
        if (i > 0)
            TRY(buf_append_char(&text, ',', err));
        TRY(write_row(&book->rows[i], &text, err));
    }
    TRY(buf_printf(&text, err, "]}"));
    char path[STORE_PATH_BYTES_MAX + 1];
    TRY(store_path_printf(path, err, STR_FMT "/etl_log/%lld-" STR_FMT ".json", STR_ARG(job),
                          (long long)env->now_us(env->state), STR_ARG(run)));
    TRY(store_put(store, str_from(path), buf_str(&text), 0, err));
    book->count = 0;
    return true;
}

typedef struct KeptFiles {
    Arena *arena;
    Str paths[KEPT_FILES_MAX];
    uint64_t sizes[KEPT_FILES_MAX];
    size_t count;
    Error *err;
    bool failed;
} KeptFiles;

static bool note_file(void *visitor, const StoreEntry *entry)
{
    KeptFiles *files = visitor;
    if (files->count == KEPT_FILES_MAX)
        return false;
    files->sizes[files->count] = entry->size;
    files->failed =
        !arena_copy_str(files->arena, entry->path, &files->paths[files->count], files->err);
    files->count += files->failed ? 0 : 1;
    return !files->failed;
}

static bool read_rows(Store *store, Str path, Arena *arena, EtlLogRow **ret_rows, size_t *ret_count,
                      Error *err)
{
    Str text = {0};
    yyjson_doc *doc = NULL;
    TRY(store_read_all(store, path, KEPT_BYTES_MAX, arena, &text, err));
    TRY(json_parse(text, "etl_log", arena, &doc, err));
    yyjson_val *list = json_get(yyjson_doc_get_root(doc), STR("rows"));
    EtlLogRow *rows = arena_alloc_array(arena, yyjson_arr_size(list) + 1, sizeof(*rows), err);
    TRY(rows != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item) rows[i] = read_row(item);
    *ret_rows = rows;
    *ret_count = count;
    return true;
}

static bool deliver_file(Store *store, Str path, Warehouse *warehouse, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(4 * (size_t)KEPT_BYTES_MAX, err);
    TRY(arena != NULL);
    EtlLogRow *rows = NULL;
    size_t count = 0;
    TRY(read_rows(store, path, arena, &rows, &count, err));
    TRY(warehouse->driver->append_log(warehouse->state, rows, count, err));
    return store_remove(store, path, err);
}

static bool list_kept(Store *store, Str job, Arena *arena, KeptFiles **ret_files, Error *err)
{
    KeptFiles *files = arena_alloc(arena, sizeof(*files), err);
    TRY(files != NULL);
    *files = (KeptFiles){.arena = arena, .err = err};
    Str folder = {0};
    TRY(arena_printf(arena, &folder, err, STR_FMT "/etl_log", STR_ARG(job)));
    TRY(store_list(store, folder, 0, note_file, files, err) && !files->failed);
    *ret_files = files;
    return true;
}

// Rows that one statement will bring: the book's own, then those of kept files.
typedef struct Batch {
    LogBook *book;
    Arena *arena; // the rows' texts
    EtlLogRow *rows;
    size_t count, room;
    size_t first_file; // up to the one in hand
    uint64_t bytes;
} Batch;

static bool batch_take(Batch *batch, const EtlLogRow *rows, size_t count, Error *err)
{
    if (batch->count + count > batch->room) {
        const size_t room = 2 * (batch->count + count);
        EtlLogRow *wider = arena_alloc_array(batch->arena, room, sizeof(*wider), err);
        TRY(wider != NULL);
        if (batch->count > 0)
            memcpy(wider, batch->rows, batch->count * sizeof(*wider));
        batch->rows = wider;
        batch->room = room;
    }
    if (count > 0)
        memcpy(batch->rows + batch->count, rows, count * sizeof(*rows));
    batch->count += count;
    return true;
}

static bool batch_add(Batch *batch, Store *store, Str path, Error *err)
{
    EtlLogRow *rows = NULL;
    size_t count = 0;
    return read_rows(store, path, batch->arena, &rows, &count, err) &&
           batch_take(batch, rows, count, err);
}

// Writes what is in hand, and takes its files, those before `end`, out of the store at once.
static bool batch_write(Batch *batch, Store *store, const KeptFiles *files, size_t end,
                        Warehouse *warehouse, Error *err)
{
    if (batch->count > 0)
        TRY(warehouse->driver->append_log(warehouse->state, batch->rows, batch->count, err));
    batch->book->count = 0;
    for (; batch->first_file < end; batch->first_file++)
        TRY(store_remove(store, files->paths[batch->first_file], err));
    arena_reset(batch->arena);
    *batch = (Batch){.book = batch->book, .arena = batch->arena, .first_file = end};
    return true;
}

static bool deliver_batches(LogBook *book, Store *store, const KeptFiles *files,
                            Warehouse *warehouse, size_t batch_rows, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(4 * (size_t)KEPT_BYTES_MAX, err);
    TRY(arena != NULL);
    Batch batch = {.book = book, .arena = arena};
    TRY(batch_take(&batch, book->rows, book->count, err));
    for (size_t i = 0; i < files->count; i++) {
        if (batch.count > 0 &&
            (batch.count >= batch_rows || batch.bytes + files->sizes[i] > BATCH_BYTES))
            TRY(batch_write(&batch, store, files, i, warehouse, err));
        if (!batch_add(&batch, store, files->paths[i], err)) {
            // A file that nobody can read keeps no run's own rows back.
            Error later = {0};
            (void)!batch_write(&batch, store, files, i, warehouse, &later);
            return false;
        }
        batch.bytes += files->sizes[i];
    }
    return batch_write(&batch, store, files, files->count, warehouse, err);
}

bool log_book_write_all(LogBook *book, Store *store, Str job, Warehouse *warehouse,
                        size_t batch_rows, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LIST_BYTES, err);
    TRY(arena != NULL);
    KeptFiles *files = NULL;
    return list_kept(store, job, arena, &files, err) &&
           deliver_batches(book, store, files, warehouse, batch_rows, err);
}

bool log_book_deliver(Store *store, Str job, Warehouse *warehouse, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LIST_BYTES, err);
    TRY(arena != NULL);
    KeptFiles *files = NULL;
    TRY(list_kept(store, job, arena, &files, err));
    for (size_t i = 0; i < files->count; i++)
        TRY(deliver_file(store, files->paths[i], warehouse, err));
    return true;
}
