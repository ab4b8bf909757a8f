#include "run/load_note.h"

#include <stdio.h>

enum { NAME_BYTES = LANDING_NAME_BYTES_MAX + 32 };

static void name_note(const PlanStream *stream, uint32_t ordinal, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, STR_FMT "/loads/%06u.json",
                   STR_ARG(stream_name(stream->stream)), ordinal);
}

static bool write_note(const LoadNote *note, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"version\":1,\"ordinal\":%u,\"slices\":[", note->ordinal));
    for (size_t i = 0; i < note->count; i++)
        TRY(buf_printf(out, err, "%s[%u,%u]", i > 0 ? "," : "", note->slices[i],
                       note->readings[i]));
    return buf_printf(out, err, "]%s}", note->accepts_deletes ? ",\"accepts_deletes\":true" : "");
}

bool load_note_create(Landing *landing, Str run, const PlanStream *stream, const LoadNote *note,
                      Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(write_note(note, &text, err));
    char name[NAME_BYTES];
    name_note(stream, note->ordinal, name);
    Error there = {0};
    if (landing_create_note(landing, run, str_from(name), buf_str(&text), &there) ||
        there.code == ERROR_CONFLICT)
        return true;
    *err = there;
    return false;
}

bool load_note_put(Landing *landing, Str run, const PlanStream *stream, const LoadNote *note,
                   Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    char name[NAME_BYTES];
    name_note(stream, note->ordinal, name);
    return write_note(note, &text, err) &&
           landing_put_note(landing, run, str_from(name), buf_str(&text), err);
}

static bool parse(Str json, const char *name, const PlanStream *stream, Arena *arena,
                  LoadNote *note, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, name, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *slices = json_get(root, STR("slices"));
    note->accepts_deletes = yyjson_get_bool(json_get(root, STR("accepts_deletes")));
    note->count = yyjson_arr_size(slices);
    note->slices = arena_alloc_array(arena, note->count + 1, sizeof(uint32_t), err);
    note->readings = arena_alloc_array(arena, note->count + 1, sizeof(uint32_t), err);
    TRY(note->slices != NULL && note->readings != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(slices, i, count, item)
    {
        note->slices[i] = (uint32_t)yyjson_get_uint(yyjson_arr_get(item, 0));
        note->readings[i] = (uint32_t)yyjson_get_uint(yyjson_arr_get(item, 1));
        if (note->slices[i] >= stream->slice_count)
            return error_set(err, ERROR_DATA, "%s: slice %u is not in the plan", name,
                             note->slices[i]);
    }
    return true;
}

bool load_note_read(Landing *landing, Str run, const PlanStream *stream, uint32_t ordinal,
                    Arena *arena, LoadNote *ret_note, Error *err)
{
    char name[NAME_BYTES];
    name_note(stream, ordinal, name);
    Str json = {0};
    bool there = false;
    TRY(landing_find_note(landing, run, str_from(name), arena, &json, &there, err));
    *ret_note = (LoadNote){.there = there, .ordinal = ordinal};
    return !there || parse(json, name, stream, arena, ret_note, err);
}
