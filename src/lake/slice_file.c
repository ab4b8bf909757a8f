#include "lake/slice_file.h"

#include "lake/members.h"
#include "lake/seal.h"

#include <inttypes.h>

static const char kind[] = "slice";

static bool write_page(const PageInfo *page, Buf *out, Error *err)
{
    char hash[2 * SHA256_BYTES + 1];
    hex_encode(page->page_sha256.bytes, SHA256_BYTES, hash);
    return buf_printf(
        out, err,
        "{\"fetched_us\":%" PRId64 ",\"total\":%" PRId64 ",\"records\":%" PRId64
        ",\"body_bytes\":%" PRIu64 ",\"stored_bytes\":%" PRIu64 ",\"page_sha256\":\"%s\"}",
        page->fetched_us, page->total, page->records, page->body_bytes, page->stored_bytes, hash);
}

static const char *word(bool value)
{
    return value ? "true" : "false";
}

static bool write_body(const SliceName *name, const SliceManifest *manifest, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"stream\":"), err) && json_write_str(name->stream, out, err) &&
        buf_append(out, STR(",\"partition\":"), err) &&
        json_write_str(name->partition_key, out, err) &&
        buf_printf(out, err,
                   ",\"slice\":%" PRIu32 ",\"reading\":%" PRIu32 ",\"from_us\":%" PRId64
                   ",\"to_us\":%" PRId64 ",\"fetched_us\":%" PRId64 ",\"first_total\":%" PRId64
                   ",\"last_total\":%" PRId64 ",\"totals_moved\":%s,\"in_one_go\":%s"
                   ",\"records\":%" PRId64 ",\"distinct_keys\":%" PRId64 ",\"pages\":[",
                   name->slice, name->reading, manifest->from_us, manifest->to_us,
                   manifest->fetched_us, manifest->first_total, manifest->last_total,
                   word(manifest->totals_moved), word(manifest->in_one_go), manifest->records,
                   manifest->distinct_keys));
    for (uint32_t i = 0; i < manifest->page_count; i++) {
        TRY(buf_append(out, i == 0 ? STR("\n") : STR(",\n"), err) &&
            write_page(&manifest->pages[i], out, err));
    }
    return buf_append(out, STR("]}"), err);
}

bool slice_file_write(const SliceName *name, const SliceManifest *manifest, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf body = {0};
    return write_body(name, manifest, &body, err) && seal_write(kind, buf_str(&body), out, err);
}

static bool read_page(yyjson_val *value, const char *where, PageInfo *ret_page, Error *err)
{
    Members members;
    PageInfo page = {0};
    int64_t body_bytes = 0;
    int64_t stored_bytes = 0;
    TRY(members_begin(&members, value, where, err) &&
        members_int(&members, "fetched_us", INT64_MIN, INT64_MAX, &page.fetched_us, err) &&
        members_int(&members, "total", -1, INT64_MAX, &page.total, err) &&
        members_int(&members, "records", -1, INT64_MAX, &page.records, err) &&
        members_int(&members, "body_bytes", 0, LANDING_BODY_BYTES_MAX, &body_bytes, err) &&
        members_int(&members, "stored_bytes", 0, INT64_MAX, &stored_bytes, err) &&
        members_hash(&members, "page_sha256", &page.page_sha256, err) &&
        members_end(&members, err));
    page.body_bytes = (uint64_t)body_bytes;
    page.stored_bytes = (uint64_t)stored_bytes;
    *ret_page = page;
    return true;
}

static bool read_pages(yyjson_val *array, const char *where, Arena *arena, SliceManifest *manifest,
                       Error *err)
{
    const size_t count = yyjson_arr_size(array);
    if (count > UINT32_MAX)
        return error_set(err, ERROR_DATA, "%s: too many pages", where);
    manifest->pages = arena_alloc_array(arena, count, sizeof(PageInfo), err);
    TRY(manifest->pages != NULL);
    size_t i = 0;
    size_t max = 0;
    yyjson_val *value = NULL;
    yyjson_arr_foreach(array, i, max, value) TRY(read_page(value, where, &manifest->pages[i], err));
    manifest->page_count = (uint32_t)count;
    return true;
}

static bool read_body(yyjson_val *root, const char *where, Arena *arena, SliceName *name,
                      SliceManifest *manifest, Error *err)
{
    Members members;
    yyjson_val *pages = NULL;
    TRY(members_begin(&members, root, where, err) &&
        members_str(&members, "stream", &name->stream, err) &&
        members_str(&members, "partition", &name->partition_key, err) &&
        members_uint32(&members, "slice", 0, &name->slice, err) &&
        members_uint32(&members, "reading", 1, &name->reading, err) &&
        members_int(&members, "from_us", INT64_MIN, INT64_MAX, &manifest->from_us, err) &&
        members_int(&members, "to_us", manifest->from_us, INT64_MAX, &manifest->to_us, err) &&
        members_int(&members, "fetched_us", INT64_MIN, INT64_MAX, &manifest->fetched_us, err) &&
        members_int(&members, "first_total", -1, INT64_MAX, &manifest->first_total, err) &&
        members_int(&members, "last_total", -1, INT64_MAX, &manifest->last_total, err) &&
        members_bool(&members, "totals_moved", &manifest->totals_moved, err) &&
        members_bool(&members, "in_one_go", &manifest->in_one_go, err) &&
        members_int(&members, "records", 0, INT64_MAX, &manifest->records, err) &&
        members_int(&members, "distinct_keys", 0, INT64_MAX, &manifest->distinct_keys, err) &&
        members_array(&members, "pages", &pages, err) && members_end(&members, err));
    return read_pages(pages, where, arena, manifest, err);
}

bool slice_file_read(Str bytes, const char *where, Arena *arena, SliceName *ret_name,
                     SliceManifest *ret_manifest, Error *err)
{
    Str body = {NULL, 0};
    yyjson_doc *doc = NULL;
    TRY(seal_read(kind, bytes, where, &body, err) && json_parse(body, where, arena, &doc, err));
    SliceName name = *ret_name;
    SliceManifest manifest = {0};
    TRY(read_body(yyjson_doc_get_root(doc), where, arena, &name, &manifest, err));
    *ret_name = name;
    *ret_manifest = manifest;
    return true;
}
