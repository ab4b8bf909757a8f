#include "run/end_note.h"

#include "base/json.h"

static const Str note_name = {"end.json", 8};

static bool write_streams(const EndNote *note, Buf *out, Error *err)
{
    TRY(buf_append(out, STR(",\"streams\":["), err));
    for (size_t i = 0; i < note->stream_count; i++) {
        const StreamLoads *stream = &note->streams[i];
        TRY(buf_printf(out, err, "%s{\"stream\":", i > 0 ? "," : "") &&
            json_write_str(stream->stream, out, err) &&
            buf_printf(out, err, ",\"loads\":%u,\"slices\":%zu}", stream->loads, stream->slices));
    }
    return buf_append_char(out, ']', err);
}

bool end_note_put(Landing *landing, Str run, const EndNote *note, int64_t now_us, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_append(&text, STR("{\"version\":1,\"status\":"), err) &&
        json_write_str(note->status, &text, err) &&
        buf_printf(&text, err, ",\"ended_us\":%lld", (long long)now_us));
    if (note->streams != NULL)
        TRY(write_streams(note, &text, err));
    return buf_append_char(&text, '}', err) &&
           landing_put_note(landing, run, note_name, buf_str(&text), err);
}

static bool read_streams(yyjson_val *list, Arena *arena, EndNote *note, Error *err)
{
    if (!yyjson_is_arr(list))
        return true; // an older run's
    note->stream_count = yyjson_arr_size(list);
    note->streams = arena_alloc_array(arena, note->stream_count + 1, sizeof(*note->streams), err);
    TRY(note->streams != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        note->streams[i] =
            (StreamLoads){.stream = json_str(json_get(item, STR("stream"))),
                          .loads = (uint32_t)yyjson_get_uint(json_get(item, STR("loads"))),
                          .slices = (size_t)yyjson_get_uint(json_get(item, STR("slices")))};
    }
    return true;
}

bool end_note_read(Landing *landing, Str run, Arena *arena, EndNote *ret_note, bool *ret_there,
                   Error *err)
{
    Str json = {0};
    if (!landing_find_note(landing, run, note_name, arena, &json, ret_there, err))
        return error_remedy(err, ERROR_DATA,
                            "restore it, or remove it: its run then goes on where it ended");
    if (!*ret_there)
        return true;
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, "end.json", arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    *ret_note = (EndNote){.status = json_str(json_get(root, STR("status")))};
    return read_streams(json_get(root, STR("streams")), arena, ret_note, err);
}

const StreamLoads *end_note_stream(const EndNote *note, Str stream)
{
    for (size_t i = 0; i < note->stream_count; i++) {
        if (str_equal(note->streams[i].stream, stream))
            return &note->streams[i];
    }
    return NULL;
}
