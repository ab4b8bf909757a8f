#include "run/memo.h"

#include "base/kill.h"
#include "lake/seal.h"

#include <stdlib.h>

enum {
    MEMO_BYTES_MAX = 16 * 1024 * 1024,
    WINDOWS_MAX = 20000, // of a stream; one that has more is loaded every time
    PAIRS_BYTES_MAX = 256 * 1024 * 1024,
};

#define MEMO_KIND "memo"

static bool memo_path(Str job, RunMode mode, char path[STORE_PATH_BYTES_MAX + 1], Error *err)
{
    return store_path_printf(path, err, STR_FMT "/memo/%s.json", STR_ARG(job), run_mode_name(mode));
}

// --- reading

static bool read_marks(yyjson_val *list, Str name, Arena *arena, MemoStream *stream, Error *err)
{
    Watermark *marks = arena_alloc_array(arena, yyjson_arr_size(list) + 1, sizeof(*marks), err);
    TRY(marks != NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *item = yyjson_arr_get(list, i);
        marks[i] = (Watermark){.stream = json_str(yyjson_arr_get(item, 0)),
                               .partition_key = json_str(yyjson_arr_get(item, 1)),
                               .us = yyjson_get_sint(yyjson_arr_get(item, 2))};
    }
    *stream = (MemoStream){.stream = name, .marks = marks, .mark_count = yyjson_arr_size(list)};
    return true;
}

static bool read_readings(yyjson_val *list, Arena *arena, MemoStream *stream, Error *err)
{
    stream->reading_count = yyjson_arr_size(list);
    LoadSlice *readings =
        arena_alloc_array(arena, stream->reading_count + 1, sizeof(*readings), err);
    TRY(readings != NULL);
    for (size_t i = 0; i < stream->reading_count; i++) {
        yyjson_val *item = yyjson_arr_get(list, i);
        readings[i] = (LoadSlice){.partition_key = json_str(yyjson_arr_get(item, 0)),
                                  .from_us = yyjson_get_sint(yyjson_arr_get(item, 1)),
                                  .to_us = yyjson_get_sint(yyjson_arr_get(item, 2)),
                                  .fetched_us = yyjson_get_sint(yyjson_arr_get(item, 3)),
                                  .total = yyjson_get_sint(yyjson_arr_get(item, 4)),
                                  .rows = yyjson_get_sint(yyjson_arr_get(item, 5))};
    }
    stream->readings = readings;
    return true;
}

static bool read_windows(yyjson_val *list, Arena *arena, MemoStream *stream, Error *err)
{
    stream->window_count = yyjson_arr_size(list);
    stream->windows =
        arena_alloc_array(arena, stream->window_count + 1, sizeof(*stream->windows), err);
    TRY(stream->windows != NULL);
    for (size_t i = 0; i < stream->window_count; i++) {
        yyjson_val *item = yyjson_arr_get(list, i);
        MemoWindow *window = &stream->windows[i];
        *window = (MemoWindow){.partition_key = json_str(yyjson_arr_get(item, 0)),
                               .from_us = yyjson_get_sint(yyjson_arr_get(item, 1)),
                               .to_us = yyjson_get_sint(yyjson_arr_get(item, 2))};
        if (!hex_decode(json_str(yyjson_arr_get(item, 3)), window->digest.bytes, KEY_BYTES))
            return error_set(err, ERROR_DATA, "memo: a window without its digest");
    }
    return true;
}

static bool parse(Str bytes, const char *path, Arena *arena, Memo *memo, Error *err)
{
    Str body = {0};
    Str kept = {0};
    yyjson_doc *doc = NULL;
    TRY(seal_read(MEMO_KIND, bytes, path, &body, err) && arena_copy_str(arena, body, &kept, err) &&
        json_parse(kept, path, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *streams = json_get(root, STR("streams"));
    *memo = (Memo){.mark = json_str(json_get(root, STR("mark"))),
                   .at_us = yyjson_get_sint(json_get(root, STR("at_us"))),
                   .alone = yyjson_get_bool(json_get(root, STR("alone"))),
                   .stream_count = yyjson_arr_size(streams)};
    memo->streams = arena_alloc_array(arena, memo->stream_count + 1, sizeof(MemoStream), err);
    TRY(memo->streams != NULL);
    for (size_t i = 0; i < memo->stream_count; i++) {
        yyjson_val *item = yyjson_arr_get(streams, i);
        TRY(read_marks(json_get(item, STR("marks")), json_str(json_get(item, STR("stream"))), arena,
                       &memo->streams[i], err) &&
            read_readings(json_get(item, STR("readings")), arena, &memo->streams[i], err) &&
            read_windows(json_get(item, STR("windows")), arena, &memo->streams[i], err));
    }
    return true;
}

bool memo_read(Store *store, Str job, RunMode mode, Arena *arena, Memo *ret_memo, bool *ret_there,
               Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    CLEANUP(buf_done) Buf bytes = {0};
    Error why = {0};
    TRY(memo_path(job, mode, path, err));
    *ret_there = store_read_into(store, str_from(path), MEMO_BYTES_MAX, &bytes, &why) &&
                 parse(buf_str(&bytes), path, arena, ret_memo, &why);
    return true;
}

// --- writing

static bool write_stream(const MemoStream *stream, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"stream\":"), err) && json_write_str(stream->stream, out, err) &&
        buf_append(out, STR(",\"marks\":["), err));
    for (size_t i = 0; i < stream->mark_count; i++) {
        const Watermark *mark = &stream->marks[i];
        TRY(buf_append(out, i == 0 ? STR("[") : STR(",["), err) &&
            json_write_str(mark->stream, out, err) && buf_append_char(out, ',', err) &&
            json_write_str(mark->partition_key, out, err) &&
            buf_printf(out, err, ",%lld]", (long long)mark->us));
    }
    TRY(buf_append(out, STR("],\"readings\":["), err));
    for (size_t i = 0; i < stream->reading_count; i++) {
        const LoadSlice *reading = &stream->readings[i];
        TRY(buf_append(out, i == 0 ? STR("[") : STR(",["), err) &&
            json_write_str(reading->partition_key, out, err) &&
            buf_printf(out, err, ",%lld,%lld,%lld,%lld,%lld]", (long long)reading->from_us,
                       (long long)reading->to_us, (long long)reading->fetched_us,
                       (long long)reading->total, (long long)reading->rows));
    }
    TRY(buf_append(out, STR("],\"windows\":["), err));
    for (size_t i = 0; i < stream->window_count; i++) {
        const MemoWindow *window = &stream->windows[i];
        char hex[2 * KEY_BYTES + 1];
        hex_encode(window->digest.bytes, KEY_BYTES, hex);
        TRY(buf_append(out, i == 0 ? STR("[") : STR(",["), err) &&
            json_write_str(window->partition_key, out, err) &&
            buf_printf(out, err, ",%lld,%lld,\"%s\"]", (long long)window->from_us,
                       (long long)window->to_us, hex));
    }
    return buf_append(out, STR("]}"), err);
}

bool memo_write(Store *store, Str job, RunMode mode, const Memo *memo, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    CLEANUP(buf_done) Buf body = {0};
    CLEANUP(buf_done) Buf sealed = {0};
    TRY(memo_path(job, mode, path, err) &&
        buf_printf(&body, err, "{\"version\":1,\"at_us\":%lld,\"alone\":%s,\"mark\":",
                   (long long)memo->at_us, memo->alone ? "true" : "false") &&
        json_write_str(memo->mark, &body, err) && buf_append(&body, STR(",\"streams\":["), err));
    for (size_t i = 0; i < memo->stream_count; i++) {
        if (memo->streams[i].window_count > WINDOWS_MAX ||
            memo->streams[i].reading_count > WINDOWS_MAX)
            return true;
        TRY((i == 0 || buf_append_char(&body, ',', err)) &&
            write_stream(&memo->streams[i], &body, err));
    }
    TRY(buf_append(&body, STR("]}"), err) && seal_write(MEMO_KIND, buf_str(&body), &sealed, err));
    kill_point("memo put");
    TRY(store_put(store, str_from(path), buf_str(&sealed), 0, err));
    kill_point("memo was put");
    return true;
}

// --- comparing

typedef struct Pair {
    Key128 key, hash;
} Pair;

static int compare_pairs(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(Pair));
}

// Of the keys and hashes that a reading shows, whatever their order. *ret_any: it has rows at all.
static bool take_digest(const SliceTask *slice, Key128 *ret_digest, bool *ret_any, Error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < slice->batch_count; i++)
        count += slice->batches[i]->rows;
    CLEANUP(arena_freep) Arena *arena = arena_new(PAIRS_BYTES_MAX, err);
    TRY(arena != NULL);
    Pair *pairs = arena_alloc_array(arena, count + 1, sizeof(*pairs), err);
    TRY(pairs != NULL);
    size_t filled = 0;
    for (size_t i = 0; i < slice->batch_count; i++) {
        for (size_t k = 0; k < slice->batches[i]->rows; k++)
            pairs[filled++] = (Pair){slice->batches[i]->keys[k], slice->batches[i]->hashes[k]};
    }
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    const Sha256 hash = sha256((Str){(const char *)pairs, count * sizeof(*pairs)});
    *ret_digest = key128(&hash);
    *ret_any = count > 0;
    return true;
}

bool memo_fits(const Plan *plan)
{
    for (size_t i = 0; i < plan->stream_count; i++) {
        if (plan->streams[i].slice_count > WINDOWS_MAX)
            return false;
    }
    return true;
}

bool memo_run_new(const Plan *plan, Arena *arena, MemoRun *ret_run, Error *err)
{
    ret_run->digests = arena_alloc_array(arena, plan->stream_count + 1, sizeof(Key128 *), err);
    ret_run->taken = arena_alloc_array(arena, plan->stream_count + 1, sizeof(bool *), err);
    TRY(ret_run->digests != NULL && ret_run->taken != NULL);
    for (size_t i = 0; i < plan->stream_count; i++) {
        const size_t slices = plan->streams[i].slice_count + 1;
        ret_run->digests[i] = arena_alloc_array(arena, slices, sizeof(Key128), err);
        ret_run->taken[i] = arena_alloc_array(arena, slices, sizeof(bool), err);
        TRY(ret_run->digests[i] != NULL && ret_run->taken[i] != NULL);
    }
    return true;
}

static MemoWindow window_of(const PlanStream *stream, size_t ordinal, const Key128 *digest)
{
    const PlanSlice *slice = &stream->slices[ordinal];
    return (MemoWindow){.partition_key = stream->partitions[slice->partition].partition.key,
                        .from_us = slice->from_us,
                        .to_us = slice->to_us,
                        .digest = *digest};
}

bool memo_run_take(MemoRun *run, const SliceTask *slice, bool *ret_same, Error *err)
{
    Key128 *digest = &run->digests[slice->stream_index][slice->ordinal];
    bool any = false;
    TRY(take_digest(slice, digest, &any, err));
    run->taken[slice->stream_index][slice->ordinal] = true;
    const MemoWindow window = window_of(slice->stream, slice->ordinal, digest);
    *ret_same = false;
    if (run->memo == NULL || slice->counts.quarantined > 0)
        return true;
    bool known = false;
    *ret_same =
        memo_has(memo_stream(run->memo, stream_name(slice->stream->stream)), &window, &known) ||
        (!known && !any && run->reads_again);
    return true;
}

bool memo_run_windows(const MemoRun *run, const Plan *plan, size_t stream, Arena *arena,
                      MemoStream *ret_stream, Error *err)
{
    const PlanStream *of = &plan->streams[stream];
    ret_stream->stream = stream_name(of->stream);
    ret_stream->windows = arena_alloc_array(arena, of->slice_count + 1, sizeof(MemoWindow), err);
    TRY(ret_stream->windows != NULL);
    for (size_t i = 0; i < of->slice_count; i++) {
        if (run->taken[stream][i])
            ret_stream->windows[ret_stream->window_count++] =
                window_of(of, i, &run->digests[stream][i]);
    }
    return true;
}

const MemoStream *memo_stream(const Memo *memo, Str stream)
{
    for (size_t i = 0; i < memo->stream_count; i++) {
        if (str_equal(memo->streams[i].stream, stream))
            return &memo->streams[i];
    }
    return NULL;
}

bool memo_has(const MemoStream *stream, const MemoWindow *window, bool *ret_known)
{
    *ret_known = true;
    for (size_t i = 0; i < stream->window_count; i++) {
        const MemoWindow *known = &stream->windows[i];
        if (known->from_us == window->from_us && known->to_us == window->to_us &&
            str_equal(known->partition_key, window->partition_key))
            return key128_compare(&known->digest, &window->digest) == 0;
    }
    *ret_known = false;
    return false;
}
