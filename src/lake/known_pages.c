#include "lake/known_pages.h"

#include "lake/landing_path.h"
#include "lake/seal.h"

enum {
    FILE_BYTES_MAX = 64 * 1024 * 1024,
    ARENA_BYTES = 256 * 1024 * 1024,
    FIRST_PAGES = 256,
    FIRST_FOLDERS = 64,
};

#define KIND      "pages"
#define NOT_THERE UINT32_MAX // more than an enum holds

typedef struct Page {
    Key128 body;
    Sha256 sum;
    uint32_t folder; // index into folders
    uint32_t number;
    bool again; // of those from before: came back in this run
} Page;

// Pages in the order in which they were landed, and the folders of their slices.
typedef struct Pages {
    Page *items;
    size_t count, room;
    Str *folders;
    size_t folder_count, folder_room;
} Pages;

struct KnownPages {
    Arena *arena;
    Pages before;    // not changed while others may ask, but for `again`
    Pages landed;    // in this run
    uint32_t *table; // by body: index into before.items, or NOT_THERE
    size_t mask;
};

// --- lists

static bool add_folder(Pages *pages, Str folder, Arena *arena, Error *err)
{
    if (pages->folder_count == pages->folder_room) {
        const size_t room = pages->folder_room == 0 ? FIRST_FOLDERS : 2 * pages->folder_room;
        Str *folders = arena_alloc_array(arena, room, sizeof(*folders), err);
        TRY(folders != NULL);
        if (pages->folder_count > 0)
            memcpy(folders, pages->folders, pages->folder_count * sizeof(*folders));
        pages->folders = folders;
        pages->folder_room = room;
    }
    return arena_copy_str(arena, folder, &pages->folders[pages->folder_count++], err);
}

static bool add_page(Pages *pages, const Page *page, Arena *arena, Error *err)
{
    if (pages->count == pages->room) {
        const size_t room = pages->room == 0 ? FIRST_PAGES : 2 * pages->room;
        Page *items = arena_alloc_array(arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (pages->count > 0)
            memcpy(items, pages->items, pages->count * sizeof(*items));
        pages->items = items;
        pages->room = room;
    }
    pages->items[pages->count++] = *page;
    return true;
}

// --- by content

// The slot of a body: its own, or the free one where it belongs.
static uint32_t *slot_of(const KnownPages *known, const Key128 *body)
{
    uint64_t hash = 0;
    memcpy(&hash, body->bytes, sizeof(hash));
    size_t slot = (size_t)hash & known->mask;
    while (known->table[slot] != NOT_THERE &&
           key128_compare(&known->before.items[known->table[slot]].body, body) != 0)
        slot = (slot + 1) & known->mask;
    return &known->table[slot];
}

static bool make_table(KnownPages *known, Error *err)
{
    size_t room = 16;
    while (room < 2 * known->before.count)
        room *= 2;
    known->table = arena_alloc_raw(known->arena, room * sizeof(*known->table), err);
    TRY(known->table != NULL);
    known->mask = room - 1;
    for (size_t i = 0; i < room; i++)
        known->table[i] = NOT_THERE;
    for (size_t i = 0; i < known->before.count; i++) {
        uint32_t *slot = slot_of(known, &known->before.items[i].body);
        if (*slot == NOT_THERE) // empty pages are all alike
            *slot = (uint32_t)i;
    }
    return true;
}

bool known_pages_find(const KnownPages *known, const Key128 *body, KnownPage *ret_page)
{
    const uint32_t index = *slot_of(known, body);
    if (index == NOT_THERE)
        return false;
    const Page *page = &known->before.items[index];
    *ret_page = (KnownPage){
        .folder = known->before.folders[page->folder], .number = page->number, .sum = page->sum};
    return true;
}

// --- the file

static bool file_path(Str job, char path[STORE_PATH_BYTES_MAX + 1], Error *err)
{
    return store_path_printf(path, err, STR_FMT "/pages.json", STR_ARG(job));
}

static bool damaged(const char *path, Error *err)
{
    return error_set(err, ERROR_DATA, "%s: damaged", path);
}

static bool read_slice(KnownPages *known, yyjson_val *slice, const char *path, Error *err)
{
    yyjson_val *items = yyjson_arr_get(slice, 1);
    if (!yyjson_is_str(yyjson_arr_get(slice, 0)) || !yyjson_is_arr(items))
        return damaged(path, err);
    TRY(add_folder(&known->before, json_str(yyjson_arr_get(slice, 0)), known->arena, err));
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(items, index, count, item)
    {
        Page page = {.folder = (uint32_t)(known->before.folder_count - 1),
                     .number = (uint32_t)yyjson_get_uint(yyjson_arr_get(item, 0))};
        if (known->before.count == KNOWN_PAGES_MAX ||
            !hex_decode(json_str(yyjson_arr_get(item, 1)), page.body.bytes, KEY_BYTES) ||
            !hex_decode(json_str(yyjson_arr_get(item, 2)), page.sum.bytes, SHA256_BYTES))
            return damaged(path, err);
        TRY(add_page(&known->before, &page, known->arena, err));
    }
    return true;
}

static bool read_file(KnownPages *known, Store *store, const char *path, Error *err)
{
    CLEANUP(buf_done) Buf bytes = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(8 * (size_t)FILE_BYTES_MAX, err);
    TRY(arena != NULL);
    Str body = {0};
    yyjson_doc *doc = NULL;
    TRY(store_read_into(store, str_from(path), FILE_BYTES_MAX, &bytes, err) &&
        seal_read(KIND, buf_str(&bytes), path, &body, err) &&
        json_parse(body, path, arena, &doc, err));
    size_t index = 0;
    size_t count = 0;
    yyjson_val *slice = NULL;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, slice)
        TRY(read_slice(known, slice, path, err));
    return true;
}

bool known_pages_open(Store *store, Str job, KnownPages **ret_known, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    TRY(file_path(job, path, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, err);
    TRY(arena != NULL);
    KnownPages *known = arena_alloc(arena, sizeof(*known), err);
    TRY(known != NULL);
    known->arena = arena;
    Error why = {0};
    if (!read_file(known, store, path, &why))
        known->before = (Pages){0};
    TRY(make_table(known, err));
    arena = NULL;
    *ret_known = known;
    return true;
}

void known_pages_close(KnownPages *known)
{
    if (known != NULL)
        arena_free(known->arena);
}

bool known_pages_add(KnownPages *known, const Landing *landing, const SliceName *name,
                     const SliceManifest *manifest, Error *err)
{
    static const Key128 none = {{0}};
    Path folder;
    TRY(path_of_slice(landing, name, &folder, err));
    bool is_new = true;
    for (uint32_t i = 0; i < manifest->page_count; i++) {
        const PageInfo *info = &manifest->pages[i];
        if (key128_compare(&info->body_hash, &none) == 0)
            continue;
        TRY(!is_new || add_folder(&known->landed, path_str(&folder), known->arena, err));
        is_new = false;
        const Page page = {.body = info->body_hash,
                           .sum = info->page_sha256,
                           .folder = (uint32_t)(known->landed.folder_count - 1),
                           .number = i};
        TRY(add_page(&known->landed, &page, known->arena, err));
        const uint32_t index = *slot_of(known, &page.body);
        if (index != NOT_THERE)
            known->before.items[index].again = true;
    }
    return true;
}

// Appends those of the first `max` pages that are still worth knowing, with a comma behind each
// slice.
static bool write_pages(const Pages *pages, size_t max, Buf *out, Error *err)
{
    uint32_t folder = NOT_THERE;
    size_t written = 0;
    for (size_t i = 0; i < pages->count && written < max; i++) {
        const Page *page = &pages->items[i];
        if (page->again)
            continue;
        char body[2 * KEY_BYTES + 1];
        char sum[2 * SHA256_BYTES + 1];
        hex_encode(page->body.bytes, KEY_BYTES, body);
        hex_encode(page->sum.bytes, SHA256_BYTES, sum);
        if (page->folder != folder)
            TRY((folder == NOT_THERE || buf_append(out, STR("]],\n"), err)) &&
                buf_append_char(out, '[', err) &&
                json_write_str(pages->folders[page->folder], out, err) &&
                buf_append(out, STR(",["), err));
        TRY(buf_printf(out, err, "%s[%u,\"%s\",\"%s\"]", page->folder != folder ? "" : ",",
                       page->number, body, sum));
        folder = page->folder;
        written++;
    }
    return folder == NOT_THERE || buf_append(out, STR("]],\n"), err);
}

bool known_pages_write(const KnownPages *known, Store *store, Str job, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    TRY(file_path(job, path, err));
    const size_t landed =
        known->landed.count < KNOWN_PAGES_MAX ? known->landed.count : KNOWN_PAGES_MAX;
    CLEANUP(buf_done) Buf body = {.limit_bytes = FILE_BYTES_MAX};
    CLEANUP(buf_done) Buf bytes = {.limit_bytes = FILE_BYTES_MAX};
    TRY(buf_append_char(&body, '[', err) && write_pages(&known->landed, landed, &body, err) &&
        write_pages(&known->before, KNOWN_PAGES_MAX - landed, &body, err));
    if (str_ends_with(buf_str(&body), STR(",\n")))
        body.size -= 2;
    return buf_append_char(&body, ']', err) && seal_write(KIND, buf_str(&body), &bytes, err) &&
           store_put(store, str_from(path), buf_str(&bytes), STORE_LAZY, err);
}
