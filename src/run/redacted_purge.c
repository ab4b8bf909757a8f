#include "run/redacted_purge.h"

#include <stdio.h>

enum { NOTES_MAX = 10000, NOTE_BYTES_MAX = 64 * 1024 * 1024, NOTE_ARENA_BYTES = 512 * 1024 * 1024 };

// At most NOTES_MAX at once; the rest is for the next run.
typedef struct Notes {
    Arena *arena;
    Str *paths;
    size_t count;
    Error *err;
    bool failed;
} Notes;

static bool note_path(void *visitor, const StoreEntry *entry)
{
    Notes *notes = visitor;
    if (notes->count == NOTES_MAX)
        return false;
    notes->failed =
        !arena_copy_str(notes->arena, entry->path, &notes->paths[notes->count], notes->err);
    notes->count += notes->failed ? 0 : 1;
    return !notes->failed;
}

static bool list_notes(const Job *job, Store *store, Arena *arena, Notes *notes, Error *err)
{
    *notes = (Notes){.arena = arena, .err = err};
    notes->paths = arena_alloc_array(arena, NOTES_MAX, sizeof(Str), err);
    TRY(notes->paths != NULL);
    Str folder = {0};
    TRY(arena_printf(arena, &folder, err, STR_FMT "/redacted", STR_ARG(job->name)));
    return store_list(store, folder, 0, note_path, notes, err) && !notes->failed;
}

bool redacted_waits(const Job *job, Store *store, bool *ret_waits, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)16 * 1024 * 1024, err);
    TRY(arena != NULL);
    Notes notes;
    TRY(list_notes(job, store, arena, &notes, err));
    *ret_waits = notes.count > 0;
    return true;
}

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

static const PlanStream *find_stream(const JobParts *parts, Str name)
{
    for (size_t i = 0; i < parts->stream_count; i++) {
        if (str_equal(stream_name(parts->streams[i].stream), name))
            return &parts->streams[i];
    }
    return NULL;
}

static bool purge_note(JobParts *parts, Exclusive *exclusive, ForgetList *list, yyjson_val *note,
                       int64_t *pages, bool *ret_done, Error *err)
{
    const PlanStream *stream = find_stream(parts, json_str(json_get(note, STR("stream"))));
    *ret_done = stream != NULL;
    if (stream == NULL)
        return true;
    Redaction redaction = {.contract = stream->contract, .keys = json_get(note, STR("keys"))};
    Purge purge = {.parts = parts,
                   .exclusive = exclusive,
                   .forgotten = list->forgotten,
                   .stream = json_str(json_get(note, STR("stream"))),
                   .partition_key = json_str(json_get(note, STR("partition"))),
                   .from_us = yyjson_get_sint(json_get(note, STR("from_us"))),
                   .to_us = yyjson_get_sint(json_get(note, STR("to_us"))),
                   .also = is_older_copy,
                   .state = &redaction};
    TRY(purge_pages(&purge, err));
    *pages += purge.pages_written;
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(redaction.keys, i, count, item)
    {
        const Key128 hash = forgotten_hash_key(
            list->forgotten, contract_info(stream->contract)->stream, json_str(item));
        TRY(forget_set_add(&list->redacted, &hash, parts->arena, err));
    }
    return true;
}

bool redacted_purge(const Job *job, JobParts *parts, Exclusive *exclusive, ForgetList *list,
                    int64_t *ret_pages, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(NOTE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Notes notes;
    *ret_pages = 0;
    TRY(list_notes(job, &parts->store, arena, &notes, err));
    if (notes.count == 0)
        return true;
    TRY(forget_list_begin(job, parts->env, parts->arena, list, err));
    bool *done = arena_alloc_array(arena, notes.count, sizeof(bool), err);
    TRY(done != NULL);
    for (size_t i = 0; i < notes.count; i++) {
        Str text = {0};
        yyjson_doc *doc = NULL;
        TRY(store_read_all(&parts->store, notes.paths[i], NOTE_BYTES_MAX, arena, &text, err) &&
            json_parse(text, "redacted", arena, &doc, err) &&
            purge_note(parts, exclusive, list, yyjson_doc_get_root(doc), ret_pages, &done[i], err));
    }
    TRY(forget_list_renew(job, parts->arena, list, err) &&
        forget_list_put(job, &parts->store, list, err));
    for (size_t i = 0; i < notes.count; i++)
        TRY(!done[i] || store_remove(&parts->store, notes.paths[i], err));
    return true;
}
