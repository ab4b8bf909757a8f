#include "run/log_book.h"

#include "base/json.h"

#include <assert.h>
#include <stdio.h>

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

static const char *code_name(ErrorCode code)
{
    static const char *const names[] = {
#define X(name, exit_status, retry, advice) #name,
        ERROR_CODES(X)
#undef X
    };
    return names[code];
}

bool log_book_error_json(LogBook *book, const Error *why, Str *ret_json, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"code\":\"%s\",\"message\":", code_name(why->code)));
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

static bool write_row(const EtlLogRow *row, Buf *out, Error *err)
{
    const struct {
        const char *name;
        Str text;
    } texts[] = {{"run", row->run},       {"job", row->job},
                 {"mode", row->mode},     {"stage", row->stage},
                 {"stream", row->stream}, {"partition", row->partition_key},
                 {"status", row->status}, {"error", row->error_json}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        TRY(buf_printf(out, err, "%s\"%s\":", i > 0 ? "," : "{", texts[i].name));
        TRY(json_write_str(texts[i].text, out, err));
    }
    const struct {
        const char *name;
        int64_t number;
    } numbers[] = {{"slice", row->slice},
                   {"load", row->load},
                   {"rows_in", row->rows_in},
                   {"rows_landed", row->rows_landed},
                   {"rows_inserted", row->rows_inserted},
                   {"rows_updated", row->rows_updated},
                   {"rows_unchanged", row->rows_unchanged},
                   {"rows_deleted", row->rows_deleted},
                   {"rows_quarantined", row->rows_quarantined},
                   {"rows_overflowed", row->rows_overflowed},
                   {"bytes", row->bytes},
                   {"requests", row->requests},
                   {"attempts", row->attempts},
                   {"wait_us", row->wait_us},
                   {"started_us", row->started_us},
                   {"duration_us", row->duration_us}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        TRY(buf_printf(out, err, ",\"%s\":%lld", numbers[i].name, (long long)numbers[i].number));
    return buf_append_char(out, '}', err);
}

bool log_book_keep(LogBook *book, Landing *landing, Str run, Env *env, Error *err)
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
    char name[64];
    (void)snprintf(name, sizeof(name), "etl_log/%lld.json", (long long)env->now_us(env->state));
    TRY(landing_put_note(landing, run, str_from(name), buf_str(&text), err));
    book->count = 0;
    return true;
}
