#include "run/feed_state.h"

#include "base/file.h"

enum { STATE_BYTES_MAX = 64 * 1024 * 1024, DEPTH_MAX = 12 };

// --- the object that speaks of the stream

// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds the depth
static yyjson_val *find_stream(yyjson_val *value, Str stream, int depth)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    yyjson_val *found = NULL;
    if (depth > DEPTH_MAX)
        return NULL;
    if (yyjson_is_arr(value)) {
        // Of several messages the last one counts.
        yyjson_arr_foreach(value, i, count, item)
        {
            yyjson_val *here = find_stream(item, stream, depth + 1);
            found = here != NULL ? here : found;
        }
        return found;
    }
    if (!yyjson_is_obj(value))
        return NULL;
    // {"stream_descriptor": {"name": "calls"}, "stream_state": {...}}
    yyjson_val *descriptor = json_get(value, STR("stream_descriptor"));
    descriptor = descriptor != NULL ? descriptor : json_get(value, STR("streamDescriptor"));
    if (str_equal(json_str(json_get(descriptor, STR("name"))), stream)) {
        yyjson_val *state = json_get(value, STR("stream_state"));
        return state != NULL ? state : json_get(value, STR("streamState"));
    }
    found = json_get(value, stream);
    if (yyjson_is_ctn(found))
        return found;
    found = NULL;
    yyjson_obj_foreach(value, i, count, name, item)
    {
        yyjson_val *here = find_stream(item, stream, depth + 1);
        found = here != NULL ? here : found;
    }
    return found;
}

// --- instants

static bool instant_of(yyjson_val *value, const Zone *zone, int64_t *ret_us)
{
    int32_t date = 0;
    double number = 0;
    if (json_to_double(value, &number)) {
        if (!(number >= 1e8 && number < 1e15)) // no time of this century
            return false;
        *ret_us = (int64_t)(number > 1e11 ? number * 1e3 : number * 1e6);
        return true;
    }
    const Str text = json_str(value);
    if (date_parse(text, &date)) {
        *ret_us = zone_start_of_date(zone, date);
        return true;
    }
    // Digits alone may be anybody's id.
    return text.size > 10 && !str_to_double(text, &number) && table_time_parse(text, ret_us);
}

// The first instant below `value` that is not about which partition it is.
// NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX bounds the depth
static bool find_instant(yyjson_val *value, const Zone *zone, int depth, int64_t *ret_us)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    if (depth > DEPTH_MAX)
        return false;
    if (!yyjson_is_obj(value))
        return instant_of(value, zone, ret_us);
    yyjson_obj_foreach(value, i, count, name, item)
    {
        const Str member = json_str(name);
        // What follows is no cursor of this stream, or none to go on from.
        if (str_equal(member, STR("partition")) || str_equal(member, STR("context")) ||
            str_equal(member, STR("parent_state")) || str_equal(member, STR("progress_markers")))
            continue;
        if (find_instant(item, zone, depth + 1, ret_us))
            return true;
    }
    return false;
}

static bool is_text(yyjson_val *value, Str text)
{
    int64_t number = 0;
    if (yyjson_is_str(value))
        return str_equal(json_str(value), text);
    return yyjson_is_int(value) && str_to_int64(text, &number) && yyjson_get_sint(value) == number;
}

static bool names_partition(yyjson_val *context, Str value)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *item = NULL;
    yyjson_obj_foreach(context, i, count, name, item)
    {
        if (is_text(item, value))
            return true;
    }
    return false;
}

// "states" (Airbyte) or "partitions" (Singer's SDK): one object a partition; or members by its
// value, {"1001": "2026-03-01"}.
static bool find_partition(yyjson_val *state, const PlanPartition *partition, int64_t *ret_us)
{
    yyjson_val *list = json_get(state, STR("states"));
    list = list != NULL ? list : json_get(state, STR("partitions"));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        yyjson_val *context = json_get(item, STR("partition"));
        context = context != NULL ? context : json_get(item, STR("context"));
        if (names_partition(context, partition->value))
            return find_instant(item, partition->zone, 0, ret_us);
    }
    yyjson_val *own = json_get(state, partition->value);
    return own != NULL
               ? find_instant(own, partition->zone, 0, ret_us)
               : yyjson_arr_size(list) == 0 && find_instant(state, partition->zone, 0, ret_us);
}

// --- the file

// JSON, or a JSON document a line, of which the last that speaks of the stream counts.
static bool parse_file(Str text, Str stream, Arena *arena, yyjson_val **ret_state, Error *err)
{
    yyjson_doc *doc = NULL;
    Error whole = {0};
    *ret_state = NULL;
    if (json_parse(text, "state", arena, &doc, &whole)) {
        *ret_state = find_stream(yyjson_doc_get_root(doc), stream, 0);
        return true;
    }
    Str rest = text;
    while (rest.data != NULL) {
        const Str line = str_trim(str_split_next(&rest, '\n'));
        if (line.size == 0)
            continue;
        if (!json_parse(line, "state", arena, &doc, &whole)) {
            *err = whole;
            return false;
        }
        yyjson_val *state = find_stream(yyjson_doc_get_root(doc), stream, 0);
        *ret_state = state != NULL ? state : *ret_state;
    }
    return true;
}

bool feed_state_read(const char *path, const PlanStream *stream, Arena *arena, int64_t **ret_us,
                     Error *err)
{
    Str text = {0};
    yyjson_val *state = NULL;
    const Str name = stream_name(stream->stream);
    TRY(file_read(path, STATE_BYTES_MAX, arena, &text, err) &&
        parse_file(text, name, arena, &state, err));
    int64_t *us = arena_alloc_array(arena, stream->partition_count + 1, sizeof(*us), err);
    TRY(us != NULL);
    bool any = false;
    for (size_t i = 0; i < stream->partition_count; i++) {
        us[i] = INT64_MIN;
        any = (state != NULL && find_partition(state, &stream->partitions[i], &us[i])) || any;
    }
    if (!any)
        return error_set(err, ERROR_DATA, "%s: holds no state of stream '" STR_FMT "'", path,
                         STR_ARG(name));
    *ret_us = us;
    return true;
}
