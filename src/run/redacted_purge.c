#include "run/redacted_purge.h"

#include "run/drivers.h"
#include "run/end_note.h"
#include "run/forget_rows.h"
#include "run/load_note.h"
#include "run/receipt.h"
#include "warehouse/sql.h"

#include <stdio.h>

enum {
    NOTES_MAX = 10000,
    RUNS_MAX = 1000,
    NOTE_BYTES_MAX = 64 * 1024 * 1024,
    NOTE_ARENA_BYTES = 512 * 1024 * 1024,
    LOOK_ARENA_BYTES = 128 * 1024 * 1024,
};

#define NOTE_FOLDER "/redacted/"

// --- which notes can be done

// At most NOTES_MAX of at most RUNS_MAX runs at once; the rest is for the next run.
typedef struct Notes {
    Arena *arena;
    size_t folder_size; // of a path, up to the run's id
    Str *runs;          // each once, in the order of the listing
    size_t run_count;
    bool *settled;     // by run
    bool *unsure_runs; // likewise: over, and not all of it may be loaded
    Str *paths;        // notes of those that are settled
    bool *unsure;      // by path: of such a run
    size_t count;
    Error *err;
    bool failed;
} Notes;

// A note is named after its run.
static Str run_of(const Notes *notes, const StoreEntry *entry)
{
    return str_slice(entry->path, notes->folder_size, UUID_TEXT_BYTES);
}

static bool note_run(void *visitor, const StoreEntry *entry)
{
    Notes *notes = visitor;
    const Str run = run_of(notes, entry);
    if (notes->run_count > 0 && str_equal(notes->runs[notes->run_count - 1], run))
        return true;
    if (notes->run_count == RUNS_MAX)
        return false;
    notes->failed = !arena_copy_str(notes->arena, run, &notes->runs[notes->run_count], notes->err);
    notes->run_count += notes->failed ? 0 : 1;
    return !notes->failed;
}

static bool note_path(void *visitor, const StoreEntry *entry)
{
    Notes *notes = visitor;
    const Str run = run_of(notes, entry);
    size_t i = 0;
    while (i < notes->run_count && !str_equal(notes->runs[i], run))
        i++;
    if (i == notes->run_count || notes->count == NOTES_MAX)
        return false;
    if (!notes->settled[i])
        return true;
    notes->failed =
        !arena_copy_str(notes->arena, entry->path, &notes->paths[notes->count], notes->err);
    notes->unsure[notes->count] = notes->unsure_runs[i];
    notes->count += notes->failed ? 0 : 1;
    return !notes->failed;
}

// Whether what a run noted is in the tables by now. One that may go on has loads before it: who did
// its notes for it would say that a row's content is gone which still stands there, and the load
// that replaces the row would leave no note behind. Of a damaged run nobody knows.
static bool is_settled(const RedactedNotes *where, Str run, Arena *arena, bool *ret_settled,
                       bool *ret_unsure, Error *err)
{
    Landing *landing = where->landing;
    Str json = {0};
    EndNote end = {0};
    bool over = false;
    bool planned = false;
    Error why = {0};
    *ret_settled = str_equal(run, where->ending);
    if (*ret_settled)
        return true;
    const bool known =
        end_note_read(landing, run, arena, &end, &over, &why) &&
        (over || landing_find_note(landing, run, STR("run.json"), arena, &json, &planned, &why));
    // Without its plan no run goes on.
    *ret_settled = known && (over || !planned);
    *ret_unsure = *ret_settled && !str_equal(end.status, STR("done"));
    if (known || why.code == ERROR_DATA)
        return true;
    *err = why;
    return false;
}

static bool list_notes(const RedactedNotes *where, Arena *arena, Notes *notes, Error *err)
{
    const Str job = where->job->name;
    *notes = (Notes){.arena = arena, .err = err, .folder_size = job.size + strlen(NOTE_FOLDER)};
    notes->paths = arena_alloc_array(arena, NOTES_MAX, sizeof(Str), err);
    notes->runs = arena_alloc_array(arena, RUNS_MAX, sizeof(Str), err);
    notes->settled = arena_alloc_array(arena, RUNS_MAX, sizeof(bool), err);
    notes->unsure_runs = arena_alloc_array(arena, RUNS_MAX, sizeof(bool), err);
    notes->unsure = arena_alloc_array(arena, NOTES_MAX, sizeof(bool), err);
    TRY(notes->paths != NULL && notes->runs != NULL && notes->settled != NULL &&
        notes->unsure_runs != NULL && notes->unsure != NULL);
    Str folder = {0};
    TRY(arena_printf(arena, &folder, err, STR_FMT "/redacted", STR_ARG(job)) &&
        store_list(where->store, folder, 0, note_run, notes, err) && !notes->failed);
    for (size_t i = 0; i < notes->run_count; i++)
        TRY(is_settled(where, notes->runs[i], arena, &notes->settled[i], &notes->unsure_runs[i],
                       err));
    return notes->run_count == 0 ||
           (store_list(where->store, folder, 0, note_path, notes, err) && !notes->failed);
}

bool redacted_waits(const RedactedNotes *where, bool *ret_waits, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LOOK_ARENA_BYTES, err);
    TRY(arena != NULL);
    Notes notes;
    TRY(list_notes(where, arena, &notes, err));
    *ret_waits = notes.count > 0;
    return true;
}

// --- one note

// One note: which keys of which stream.
typedef struct Redaction {
    const Contract *contract;
    yyjson_val *keys;
} Redaction;

// A copy with one of the keys that still has its content.
static bool is_older_copy(void *state, yyjson_val *record, yyjson_val *partition, bool *ret_also,
                          Error *err)
{
    const Redaction *redaction = state;
    *ret_also = false;
    if (contract_is_redacted(redaction->contract, record))
        return true;
    CLEANUP(buf_done) Buf key = {0};
    TRY(contract_write_key(redaction->contract, record, partition, &key, err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(redaction->keys, i, count, item)
    {
        if (str_equal(json_str(item), buf_str(&key)))
            *ret_also = true;
    }
    return true;
}

// Index into the parts' streams; their count = the job does not have it, or not at hand.
static size_t find_stream(const JobParts *parts, Str name)
{
    size_t i = 0;
    while (i < parts->stream_count && !str_equal(stream_name(parts->streams[i].stream), name))
        i++;
    return i;
}

// The number in front of the last '-' of "<run>-<stream>-<partition>-<slice>-<reading>.json".
static bool slice_of(Str path, uint32_t *ret_slice)
{
    size_t end = path.size;
    while (end > 0 && path.data[end - 1] != '-')
        end--;
    size_t start = end > 0 ? end - 1 : 0;
    while (start > 0 && path.data[start - 1] != '-')
        start--;
    int64_t number = 0;
    if (end <= start + 1 || !str_to_int64(str_slice(path, start, end - 1 - start), &number) ||
        number < 0 || number > UINT32_MAX)
        return false;
    *ret_slice = (uint32_t)number;
    return true;
}

// Whether the slice that a note is of is in a load that the warehouse has.
static bool is_loaded(const RedactedPurge *purge, Str run, Str path, const PlanStream *stream,
                      bool *ret_loaded, Error *err)
{
    uint32_t slice = 0;
    PlanStream any = *stream;
    any.slice_count = SIZE_MAX; // its plan is not read
    *ret_loaded = false;
    if (!slice_of(path, &slice) || !job_has_warehouse(purge->job))
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(LOOK_ARENA_BYTES, err);
    TRY(arena != NULL);
    for (uint32_t ordinal = 0;; ordinal++) {
        LoadNote load = {0};
        arena_reset(arena);
        TRY(load_note_read(purge->parts->landing, run, &any, ordinal, arena, &load, err));
        if (!load.there)
            return true;
        for (size_t i = 0; i < load.count; i++) {
            if (load.slices[i] == slice)
                return purge->warehouse->driver->has_load(purge->warehouse->state, run,
                                                          stream_name(stream->stream), ordinal,
                                                          ret_loaded, err);
        }
    }
}

typedef struct NoteDone {
    bool done;   // the note may go
    bool listed; // its keys are on the list, and belong into the receipt
} NoteDone;

// `keys` by stream: those of the redacted records, as the list hashes them. Not done: the note
// stays, since its stream is not at hand or a page that may hold older copies cannot be read. Done
// and not listed: the older copies are gone from the pages, and whoever reads the record again
// notes it again, since the table does not have it yet.
static bool purge_note(RedactedPurge *purge, const Notes *notes, size_t at, yyjson_val *note,
                       ForgetSet *keys, NoteDone *ret_done, Error *err)
{
    JobParts *parts = purge->parts;
    const size_t index = find_stream(parts, json_str(json_get(note, STR("stream"))));
    ret_done->done = index < parts->stream_count;
    if (!ret_done->done)
        return true;
    const Contract *contract = parts->streams[index].contract;
    Redaction redaction = {.contract = contract, .keys = json_get(note, STR("keys"))};
    Purge pages = {.parts = parts,
                   .exclusive = purge->exclusive,
                   .forgotten = purge->list->forgotten,
                   .stream = json_str(json_get(note, STR("stream"))),
                   .partition_key = json_str(json_get(note, STR("partition"))),
                   .from_us = yyjson_get_sint(json_get(note, STR("from_us"))),
                   .to_us = yyjson_get_sint(json_get(note, STR("to_us"))),
                   .also = is_older_copy,
                   .state = &redaction};
    TRY(purge_pages(&pages, err));
    purge->report.pages += pages.pages_written;
    purge->report.pages_read += pages.pages_read;
    purge->report.records += pages.records;
    if (pages.pages_unreadable > purge->pages_unreadable)
        purge->pages_unreadable = pages.pages_unreadable;
    ret_done->done = pages.pages_unreadable == 0;
    ret_done->listed = ret_done->done;
    if (ret_done->done && notes->unsure[at])
        TRY(is_loaded(purge, str_slice(notes->paths[at], notes->folder_size, UUID_TEXT_BYTES),
                      notes->paths[at], &parts->streams[index], &ret_done->listed, err));
    if (!ret_done->listed)
        return true;
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(redaction.keys, i, count, item)
    {
        const Key128 hash = forgotten_hash_key(purge->list->forgotten,
                                               contract_info(contract)->stream, json_str(item));
        TRY(forget_set_add(&purge->list->redacted, &hash, parts->arena, err) &&
            forget_set_add(&keys[index], &hash, parts->arena, err));
    }
    return true;
}

// What waits, and where the receipt goes.
static bool complete_report(RedactedPurge *purge, const ForgetSet *keys, Error *err)
{
    JobParts *parts = purge->parts;
    ForgetReport *report = &purge->report;
    report->run = purge->run;
    report->at_us = parts->env->now_us(parts->env->state);
    report->has_warehouse = job_has_warehouse(purge->job);
    report->has_lake = purge->job->lake_store.size > 0;
    report->tables =
        arena_alloc_array(parts->arena, parts->stream_count + 1, sizeof(ForgetTable), err);
    TRY(report->tables != NULL);
    for (size_t i = 0; i < parts->stream_count; i++) {
        if (keys[i].count == 0)
            continue;
        ForgetTable *table = &report->tables[report->table_count++];
        *table = (ForgetTable){
            .rows = (int64_t)keys[i].count, .keys = keys[i].hashes, .key_count = keys[i].count};
        report->lake_rows += report->has_lake ? table->rows : 0;
        TRY(sql_target(parts->arena, &parts->streams[i].table, &table->target, err));
    }
    const WarehouseDriver *driver = purge->warehouse->driver;
    if (report->has_warehouse) {
        report->remains = driver->dialect == NULL ? NULL : driver->dialect->remains;
        report->compacted = driver->compact != NULL;
        TRY(forget_find_left(purge->warehouse, parts->arena, report, err));
    }
    char id[UUID_TEXT_BYTES + 1]; // of version 7: their order is that of time
    uuid_new(parts->env, id);
    return arena_printf(parts->arena, &report->receipt, err, STR_FMT "/receipts/%s.json",
                        STR_ARG(purge->job->name), id);
}

static bool put_receipt(RedactedPurge *purge, const ForgetSet *keys, Error *err)
{
    return complete_report(purge, keys, err) &&
           receipt_put(purge->job, &purge->parts->store, STR("redacted"), &purge->report, err);
}

bool redacted_purge(RedactedPurge *purge, Error *err)
{
    const Job *job = purge->job;
    JobParts *parts = purge->parts;
    CLEANUP(arena_freep) Arena *arena = arena_new(NOTE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Notes notes;
    purge->report = (ForgetReport){0};
    purge->pages_unreadable = 0;
    const RedactedNotes where = {job, parts->landing, &parts->store, purge->ending};
    TRY(list_notes(&where, arena, &notes, err));
    if (notes.count == 0)
        return true;
    TRY(forget_list_begin(job, parts->env, parts->arena, purge->list, err));
    bool any = false;
    NoteDone *done = arena_alloc_array(arena, notes.count, sizeof(NoteDone), err);
    ForgetSet *keys = arena_alloc_array(arena, parts->stream_count + 1, sizeof(ForgetSet), err);
    TRY(done != NULL && keys != NULL);
    for (size_t i = 0; i < notes.count; i++) {
        Str text = {0};
        yyjson_doc *doc = NULL;
        TRY(store_read_all(&parts->store, notes.paths[i], NOTE_BYTES_MAX, arena, &text, err) &&
            json_parse(text, "redacted", arena, &doc, err) &&
            purge_note(purge, &notes, i, yyjson_doc_get_root(doc), keys, &done[i], err));
        any = any || done[i].listed;
    }
    TRY(forget_list_renew(job, parts->arena, purge->list, err) &&
        forget_list_put(job, &parts->store, purge->list, err));
    TRY(!any || put_receipt(purge, keys, err));
    for (size_t i = 0; i < notes.count; i++)
        TRY(!done[i].done || store_remove(&parts->store, notes.paths[i], err));
    return true;
}
