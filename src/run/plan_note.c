// The plan as a document: run.json in the landing store.
//
// Slices go window by window with the partitions in their order, so a window is written once, with
// the ranges of partitions that are read in it: [from, to, first, count, first, count...]. 5,000
// accounts over 548 days are 20 KB that way, where one entry a slice would be 120 MB.
#include "run/plan.h"

#include <stdio.h>

enum { VERSION = 2 };

static bool write_partition(const PlanPartition *partition, Buf *out, Error *err)
{
    return buf_printf(out, err, "{\"key\":") &&
           json_write_str(partition->partition.key, out, err) &&
           buf_printf(out, err, ",\"zone\":") && json_write_str(partition->zone_name, out, err) &&
           buf_append_char(out, '}', err);
}

static bool write_slices(const PlanStream *stream, Buf *out, Error *err)
{
    for (size_t i = 0; i < stream->slice_count;) {
        const PlanSlice *first = &stream->slices[i];
        TRY(buf_printf(out, err, "%s[%lld,%lld", i > 0 ? "," : "", (long long)first->from_us,
                       (long long)first->to_us));
        while (i < stream->slice_count && stream->slices[i].from_us == first->from_us &&
               stream->slices[i].to_us == first->to_us) {
            const uint32_t partition = stream->slices[i].partition;
            uint32_t count = 0;
            do {
                count++;
                i++;
            } while (i < stream->slice_count && stream->slices[i].partition == partition + count &&
                     stream->slices[i].from_us == first->from_us &&
                     stream->slices[i].to_us == first->to_us);
            TRY(buf_printf(out, err, ",%u,%u", partition, count));
        }
        TRY(buf_append_char(out, ']', err));
    }
    return true;
}

static bool write_stream(const PlanStream *stream, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"stream\":"));
    TRY(json_write_str(stream_name(stream->stream), out, err));
    TRY(buf_printf(out, err, ",\"partitions\":["));
    for (size_t i = 0; i < stream->partition_count; i++) {
        if (i > 0)
            TRY(buf_append_char(out, ',', err));
        TRY(write_partition(&stream->partitions[i], out, err));
    }
    return buf_printf(out, err, "],\"windows\":[") && write_slices(stream, out, err) &&
           buf_printf(out, err, "]}");
}

bool plan_write(const Plan *plan, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "{\"version\":%d,\"run\":\"%s\",\"mode\":\"%s\",\"created_us\":%lld",
                   VERSION, plan->run, run_mode_name(plan->mode), (long long)plan->created_us));
    const struct {
        const char *name;
        Str text;
    } asked[] = {{"from", plan->asked.from},
                 {"to", plan->asked.to},
                 {"only_stream", plan->asked.stream},
                 {"only_account", plan->asked.account}};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        TRY(buf_printf(out, err, ",\"%s\":", asked[i].name) &&
            json_write_str(asked[i].text, out, err));
    TRY(buf_printf(out, err, ",\"streams\":["));
    for (size_t i = 0; i < plan->stream_count; i++) {
        if (i > 0)
            TRY(buf_append_char(out, ',', err));
        TRY(write_stream(&plan->streams[i], out, err));
    }
    return buf_printf(out, err, "]}");
}

static bool read_partitions(yyjson_val *array, const Job *job, PlanStream *stream, Arena *arena,
                            Error *err)
{
    stream->partition_count = yyjson_arr_size(array);
    stream->partitions =
        arena_alloc_array(arena, stream->partition_count + 1, sizeof(*stream->partitions), err);
    TRY(stream->partitions != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, i, count, item)
    {
        PlanPartition *partition = &stream->partitions[i];
        TRY(stream_partition_from_key(stream->stream, json_str(json_get(item, STR("key"))), arena,
                                      &partition->partition, err));
        TRY(plan_bind_partition(job, stream->stream, json_str(json_get(item, STR("zone"))), arena,
                                partition, err));
    }
    return true;
}

// Counts the slices of a window, and writes them where `slices` is not NULL.
static bool read_window(yyjson_val *window, size_t partitions, PlanSlice *slices, size_t *count)
{
    const size_t size = yyjson_arr_size(window);
    if (size < 4 || size % 2 != 0)
        return false;
    for (size_t i = 2; i < size; i += 2) {
        const uint64_t first = yyjson_get_uint(yyjson_arr_get(window, i));
        const uint64_t many = yyjson_get_uint(yyjson_arr_get(window, i + 1));
        if (first >= partitions || many == 0 || many > partitions - first ||
            many > PLAN_SLICES_MAX - *count)
            return false;
        for (uint64_t k = 0; slices != NULL && k < many; k++)
            slices[*count + k] = (PlanSlice){.partition = (uint32_t)(first + k),
                                             .from_us = yyjson_get_sint(yyjson_arr_get(window, 0)),
                                             .to_us = yyjson_get_sint(yyjson_arr_get(window, 1))};
        *count += many;
    }
    return true;
}

static bool read_slices(yyjson_val *windows, PlanStream *stream, Arena *arena, Error *err)
{
    stream->slices = NULL;
    for (int pass = 0; pass < 2; pass++) {
        size_t i = 0;
        size_t ignored = 0;
        yyjson_val *window = NULL;
        stream->slice_count = 0;
        yyjson_arr_foreach(windows, i, ignored, window)
        {
            if (!read_window(window, stream->partition_count, stream->slices, &stream->slice_count))
                return error_set(err, ERROR_DATA, "run.json: window %zu is damaged", i);
        }
        if (pass > 0)
            break;
        stream->slices =
            arena_alloc_array(arena, stream->slice_count + 1, sizeof(*stream->slices), err);
        TRY(stream->slices != NULL);
    }
    return true;
}

static PlanStream *find_stream(Plan *plan, Str name)
{
    for (size_t i = 0; i < plan->stream_count; i++) {
        if (str_equal(stream_name(plan->streams[i].stream), name))
            return &plan->streams[i];
    }
    return NULL;
}

bool plan_find(Landing *landing, Str run, Arena *arena, Str *ret_json, bool *ret_there, Error *err)
{
    return landing_find_note(landing, run, STR("run.json"), arena, ret_json, ret_there, err) ||
           error_remedy(err, ERROR_DATA,
                        "restore it, or move the run's folder away: the next run reads anew what "
                        "is not loaded");
}

bool plan_read_request(Str json, Plan *plan, Arena *arena, yyjson_val **ret_streams, Error *err)
{
    yyjson_doc *doc = NULL;
    TRY(json_parse(json, "run.json", arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (yyjson_get_int(json_get(root, STR("version"))) != VERSION)
        return error_set(err, ERROR_DATA, "run.json: written by another version of pawl");
    if (!run_mode_parse(json_str(json_get(root, STR("mode"))), &plan->mode))
        return error_set(err, ERROR_DATA, "run.json: it names no mode");
    plan->created_us = yyjson_get_sint(json_get(root, STR("created_us")));
    plan->asked = (PlanRequest){.from = json_str(json_get(root, STR("from"))),
                                .to = json_str(json_get(root, STR("to"))),
                                .stream = json_str(json_get(root, STR("only_stream"))),
                                .account = json_str(json_get(root, STR("only_account")))};
    *ret_streams = json_get(root, STR("streams"));
    return true;
}

bool plan_read_streams(yyjson_val *streams, const Job *job, Plan *plan, Arena *arena, Error *err)
{
    size_t i = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(streams, i, count, item)
    {
        const Str name = json_str(json_get(item, STR("stream")));
        PlanStream *stream = find_stream(plan, name);
        if (stream == NULL)
            return error_set(err, ERROR_JOB,
                             "run.json: stream '" STR_FMT "' is not in the job any more",
                             STR_ARG(name));
        TRY(read_partitions(json_get(item, STR("partitions")), job, stream, arena, err));
        TRY(read_slices(json_get(item, STR("windows")), stream, arena, err));
    }
    plan->resumed = true;
    return true;
}
