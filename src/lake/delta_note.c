// Notes: the readings of loads that are in the lake and, for all the ledger knows, nowhere else.
//
//   <table>/_pawl/<job>.<mode>.json
//   {"version":1,"loads":[{"run":"...","stream":"...","ordinal":3,
//                          "slices":[["<partition key>",from_us,to_us,fetched_us],...]}]}
//
// Put before the commit of the load, so that no commit is without; a note whose load is not in the
// table speaks of nothing. One that the ledger has goes with the next load of its mode.
#include "base/kill.h"
#include "lake/delta_parts.h"

#include <stdio.h>

enum { NOTE_BYTES_MAX = 16 * 1024 * 1024, NOTES_MAX = 1000 };

bool delta_load_name(const DeltaLoad *load, Arena *arena, Str *ret_name, Error *err)
{
    return arena_printf(arena, ret_name, err, "pawl/" STR_FMT "/" STR_FMT "/%u", STR_ARG(load->run),
                        STR_ARG(load->stream), load->ordinal);
}

// One load of a note.
typedef struct Noted {
    DeltaLoad load; // run, stream, ordinal
    yyjson_val *slices;
} Noted;

static bool read_note(Delta *delta, Str path, yyjson_val **ret_loads, Error *err)
{
    Str text = {0};
    Error missing = {0};
    *ret_loads = NULL;
    if (!store_read_all(delta->store, path, NOTE_BYTES_MAX, delta->work, &text, &missing)) {
        if (missing.code == ERROR_NOT_FOUND)
            return true;
        *err = missing;
        return false;
    }
    yyjson_doc *doc = NULL;
    TRY(json_parse(text, "lake note", delta->work, &doc, err));
    *ret_loads = json_get(yyjson_doc_get_root(doc), STR("loads"));
    return true;
}

static Noted noted_from(yyjson_val *item)
{
    return (Noted){.load = {.run = json_str(json_get(item, STR("run"))),
                            .stream = json_str(json_get(item, STR("stream"))),
                            .ordinal = (uint32_t)yyjson_get_uint(json_get(item, STR("ordinal")))},
                   .slices = json_get(item, STR("slices"))};
}

static bool is_same(const DeltaLoad *a, const DeltaLoad *b)
{
    return str_equal(a->run, b->run) && str_equal(a->stream, b->stream) && a->ordinal == b->ordinal;
}

// A reading of the same or a wider window saw these rows as well (as the ledger has it).
static void mark_overtaken(const Noted *noted, const DeltaLoad *load, bool *skipped)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(noted->slices, i, count, item)
    {
        const Str key = json_str(yyjson_arr_get(item, 0));
        const int64_t from_us = yyjson_get_sint(yyjson_arr_get(item, 1));
        const int64_t to_us = yyjson_get_sint(yyjson_arr_get(item, 2));
        const int64_t fetched_us = yyjson_get_sint(yyjson_arr_get(item, 3));
        for (size_t k = 0; k < load->slice_count; k++) {
            const DeltaSlice *slice = &load->slices[k];
            const bool none = slice->from_us == 0 && slice->to_us == 0;
            const bool noted_none = from_us == 0 && to_us == 0;
            if (fetched_us > slice->fetched_us && none == noted_none && from_us <= slice->from_us &&
                to_us >= slice->to_us && str_equal(key, slice->partition_key))
                skipped[k] = true;
        }
    }
}

typedef struct Names {
    Delta *delta;
    Str *paths;
    size_t count;
    Error err;
} Names;

static bool take_name(void *visitor, const StoreEntry *entry)
{
    Names *names = visitor;
    if (names->count < NOTES_MAX && str_ends_with(entry->path, STR(".json")) &&
        arena_copy_str(names->delta->work, entry->path, &names->paths[names->count], &names->err))
        names->count++;
    return names->err.code == ERROR_NONE;
}

bool delta_note_overtaken(Delta *delta, DeltaTable *table, const DeltaLoad *load, bool *skipped,
                          Error *err)
{
    Str folder = {0};
    Names names = {.delta = delta};
    names.paths = arena_alloc_array(delta->work, NOTES_MAX, sizeof(Str), err);
    TRY(names.paths != NULL);
    TRY(arena_printf(delta->work, &folder, err, STR_FMT "/_pawl", STR_ARG(table->folder)));
    TRY(store_list(delta->store, folder, STORE_SHALLOW, take_name, &names, err));
    if (names.err.code != ERROR_NONE)
        return error_set(err, names.err.code, "%s", names.err.message);
    for (size_t i = 0; i < names.count; i++) {
        yyjson_val *loads = NULL;
        size_t k = 0;
        size_t count = 0;
        yyjson_val *item = NULL;
        TRY(read_note(delta, names.paths[i], &loads, err));
        yyjson_arr_foreach(loads, k, count, item)
        {
            const Noted noted = noted_from(item);
            Str app = {0};
            TRY(delta_load_name(&noted.load, delta->work, &app, err));
            if (!is_same(&noted.load, load) && str_equal(noted.load.stream, load->stream) &&
                delta_log_find_txn(&table->log, app) != NULL)
                mark_overtaken(&noted, load, skipped);
        }
    }
    return true;
}

static bool write_noted(const DeltaLoad *load, yyjson_val *slices, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"run\":"), err) && json_write_str(load->run, out, err));
    TRY(buf_append(out, STR(",\"stream\":"), err) && json_write_str(load->stream, out, err));
    TRY(buf_printf(out, err, ",\"ordinal\":%u,\"slices\":", load->ordinal));
    if (slices != NULL)
        return json_write(slices, out, err) && buf_append_char(out, '}', err);
    for (size_t i = 0; i < load->slice_count; i++) {
        const DeltaSlice *slice = &load->slices[i];
        TRY(buf_append_char(out, i == 0 ? '[' : ',', err) && buf_append_char(out, '[', err) &&
            json_write_str(slice->partition_key, out, err));
        TRY(buf_printf(out, err, ",%lld,%lld,%lld]", (long long)slice->from_us,
                       (long long)slice->to_us, (long long)slice->fetched_us));
    }
    return buf_append(out, load->slice_count == 0 ? STR("[]}") : STR("]}"), err);
}

// Names of jobs are of a person's choice: what may not stand in a path becomes '_', and a checksum
// tells two such names apart.
static bool note_path(Delta *delta, const DeltaTable *table, const DeltaLoad *load, Str *ret_path,
                      Error *err)
{
    char job[64];
    char sum[2 * SHA256_BYTES + 1];
    const Str name = str_slice(load->job, 0, sizeof(job) - 1);
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        job[i] = plain ? c : '_';
    }
    const Sha256 hash = sha256(load->job);
    hex_encode(hash.bytes, SHA256_BYTES, sum);
    return arena_printf(delta->work, ret_path, err, STR_FMT "/_pawl/%.*s-%.8s." STR_FMT ".json",
                        STR_ARG(table->folder), (int)name.size, job, sum, STR_ARG(load->mode));
}

bool delta_note_put(Delta *delta, DeltaTable *table, const DeltaLoad *load, Error *err)
{
    Str path = {0};
    yyjson_val *loads = NULL;
    CLEANUP(buf_done) Buf text = {.limit_bytes = NOTE_BYTES_MAX};
    TRY(note_path(delta, table, load, &path, err));
    TRY(read_note(delta, path, &loads, err));
    TRY(buf_append(&text, STR("{\"version\":1,\"loads\":["), err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(loads, i, count, item)
    {
        const Noted noted = noted_from(item);
        Str app = {0};
        bool known = is_same(&noted.load, load);
        TRY(delta_load_name(&noted.load, delta->work, &app, err));
        // Given up before its commit, it never happened.
        known = known || delta_log_find_txn(&table->log, app) == NULL;
        if (!known && load->in_ledger != NULL)
            TRY(load->in_ledger(load->state, noted.load.run, noted.load.stream, noted.load.ordinal,
                                &known, err));
        if (known)
            continue;
        TRY(write_noted(&noted.load, noted.slices, &text, err) && buf_append_char(&text, ',', err));
    }
    TRY(write_noted(load, NULL, &text, err) && buf_append(&text, STR("]}"), err));
    kill_point("lake note put, " STR_FMT " load %u", STR_ARG(load->stream), load->ordinal);
    TRY(store_put(delta->store, path, buf_str(&text), 0, err));
    kill_point("lake note was put, " STR_FMT " load %u", STR_ARG(load->stream), load->ordinal);
    return true;
}
