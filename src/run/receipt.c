#include "run/receipt.h"

#include "base/json.h"
#include "base/kill.h"
#include "base/time.h"

enum { RECEIPT_BYTES_MAX = 64 * 1024 * 1024, WAITS_MAX = 64 };

static void out_wait(JsonOut *out, Str where, const char *what)
{
    out_open(out, NULL, '{');
    out_str(out, "where", where);
    out_str(out, "what", str_from(what));
    out_close(out, '}');
}

static void out_waits(JsonOut *out, const ForgetReport *report)
{
    out_open(out, "waits", '[');
    for (const char *const *what = report->remains; what != NULL && *what != NULL; what++)
        out_wait(out, STR("warehouse"), *what);
    if (report->remains_of_search != NULL)
        out_wait(out, STR("warehouse"), report->remains_of_search);
    if (report->has_lake)
        out_wait(out, STR("lake"),
                 "files of older versions, until lake.retention is over and a run has removed "
                 "them");
    for (size_t i = 0; i < report->left_count; i++)
        out_wait(out, report->left_tables[i],
                 "a table that was taken over: drop it, or erase there by hand");
    out_wait(out, STR("landing"),
             "snapshots, soft-deleted versions and backups of the store until they expire");
    if (report->pages_of_others > 0) {
        out_open(out, NULL, '{');
        out_str(out, "where", STR("landing"));
        out_str(out, "what", STR("pages of streams that the job does not have any more"));
        out_int(out, "pages", report->pages_of_others);
        out_close(out, '}');
    }
    out_close(out, ']');
}

static void out_table(JsonOut *out, const ForgetTable *table)
{
    out_open(out, NULL, '{');
    out_str(out, "table", table->target);
    out_int(out, "rows", table->rows);
    out_int(out, "quarantined", table->refused);
    out_int(out, "mentions_left", table->mentions);
    if (table->key_count > 0) {
        out_open(out, "keys", '[');
        for (size_t i = 0; i < table->key_count; i++) {
            char hex[2 * KEY_BYTES + 1];
            hex_encode(table->keys[i].bytes, KEY_BYTES, hex);
            out_str(out, NULL, str_from(hex));
        }
        out_close(out, ']');
    }
    out_close(out, '}');
}

void receipt_write(JsonOut *out, const Job *job, Str kind, bool dry_run, const ForgetReport *report)
{
    out_open(out, NULL, '{');
    out_int(out, "receipt", 1);
    out_str(out, "job", job->name);
    out_time(out, "at", report->at_us);
    out_bool(out, "dry_run", dry_run);
    out_str(out, "kind", kind);
    if (report->run.size > 0)
        out_str(out, "run", report->run);
    if (report->person.size > 0) {
        out_str(out, "person", report->person);
        out_bool(out, "known_before", report->known);
    }
    out_open(out, "landing", '{');
    out_int(out, "pages_read", report->pages_read);
    out_int(out, "pages_rewritten", report->pages);
    out_int(out, "records", report->records);
    out_int(out, "pages_unreadable", report->pages_unreadable);
    out_close(out, '}');
    out_open(out, "tables", '[');
    for (size_t i = 0; i < report->table_count; i++)
        out_table(out, &report->tables[i]);
    out_close(out, ']');
    out_bool(out, "warehouse_rewritten", report->compacted);
    out_int(out, "lake_rows", report->lake_rows);
    out_waits(out, report);
    out_close(out, '}');
}

// --- in the landing store

bool receipt_put(const Job *job, Store *store, Str kind, const ForgetReport *report, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    receipt_write(&out, job, kind, false, report);
    TRY(!out.failed && buf_append_char(&out.text, '\n', err));
    kill_point("receipt put");
    TRY(store_put(store, report->receipt, buf_str(&out.text), 0, err));
    kill_point("receipt was put");
    return true;
}

// The last paths of a folder, in a ring.
typedef struct Newest {
    Arena *arena;
    ReceiptNote *notes;
    size_t notes_max;
    int64_t total;
    Error *err;
    bool failed;
} Newest;

static bool take_path(void *visitor, const StoreEntry *entry)
{
    Newest *newest = visitor;
    ReceiptNote *note = &newest->notes[(size_t)newest->total % newest->notes_max];
    *note = (ReceiptNote){0};
    newest->failed = !arena_copy_str(newest->arena, entry->path, &note->path, newest->err);
    newest->total += newest->failed ? 0 : 1;
    return !newest->failed;
}

static bool read_waits(yyjson_val *waits, Arena *arena, ReceiptNote *note, Error *err)
{
    note->waits = arena_alloc_array(arena, WAITS_MAX, sizeof(Str), err);
    TRY(note->waits != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(waits, i, count, item)
    {
        if (note->wait_count == WAITS_MAX)
            break;
        TRY(arena_printf(arena, &note->waits[note->wait_count++], err, STR_FMT ": " STR_FMT,
                         STR_ARG(json_str(json_get(item, STR("where")))),
                         STR_ARG(json_str(json_get(item, STR("what"))))));
    }
    return true;
}

static bool read_note(Store *store, Arena *arena, ReceiptNote *note, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(store_read_all(store, note->path, RECEIPT_BYTES_MAX, arena, &note->json, err) &&
        json_parse(note->json, "receipt", arena, &doc, err));
    note->json = str_trim(note->json);
    yyjson_val *root = yyjson_doc_get_root(doc);
    note->kind = json_str(json_get(root, STR("kind")));
    if (!time_parse_iso(json_str(json_get(root, STR("at"))), &note->at_us))
        return error_set(err, ERROR_DATA, "receipt " STR_FMT ": it does not say when",
                         STR_ARG(note->path));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *table = NULL;
    yyjson_arr_foreach(json_get(root, STR("tables")), i, count, table)
    {
        note->rows += yyjson_get_sint(json_get(table, STR("rows")));
    }
    return read_waits(json_get(root, STR("waits")), arena, note, err);
}

static void reverse(ReceiptNote *notes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const ReceiptNote other = notes[i];
        notes[i] = notes[count - 1 - i];
        notes[count - 1 - i] = other;
    }
}

bool receipts_read(const Job *job, Store *store, Arena *arena, ReceiptNotes *notes, Error *err)
{
    const size_t room = notes->room;
    Newest newest = {.arena = arena, .notes = notes->items, .notes_max = room, .err = err};
    Str folder = {0};
    TRY(arena_printf(arena, &folder, err, STR_FMT "/receipts", STR_ARG(job->name)));
    TRY(store_list(store, folder, 0, take_path, &newest, err) && !newest.failed);
    const size_t total = (size_t)newest.total;
    const size_t count = total < room ? total : room;
    // The ring is turned until its oldest comes first, then the other way round.
    const size_t oldest = total > room ? total % room : 0;
    reverse(notes->items, oldest);
    reverse(notes->items + oldest, count - oldest);
    for (size_t i = 0; i < count; i++)
        TRY(read_note(store, arena, &notes->items[i], err));
    notes->count = count;
    notes->total = newest.total;
    return true;
}
