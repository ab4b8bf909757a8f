// Listing blobs, in the order of their names' bytes.
//
// A hierarchical namespace lists in an order of its own ('/' before everything), so the whole list
// is taken and sorted. Directories and their markers are no files.
#include "store/adls.h"

#include "azure/blob_list.h"

#include <stdlib.h>

enum { ENTRIES_FIRST = 256, LIST_ROUNDS_MAX = 1000 * 1000 };

typedef struct Entries {
    Arena *arena;
    StoreEntry *items;
    size_t count, capacity;
    size_t skipped; // of the names: the prefix and '/'
} Entries;

static bool take_entry(void *visitor, const BlobEntry *entry, Error *err)
{
    Entries *entries = visitor;
    if (entry->is_folder && !entry->is_prefix)
        return true;
    if (entries->count == entries->capacity) {
        const size_t size = entries->capacity * sizeof(StoreEntry);
        const size_t more = entries->capacity == 0 ? ENTRIES_FIRST * sizeof(StoreEntry) : 2 * size;
        StoreEntry *items = entries->items == NULL
                                ? arena_alloc(entries->arena, more, err)
                                : arena_resize(entries->arena, entries->items, size, more, err);
        TRY(items != NULL);
        entries->items = items;
        entries->capacity = more / sizeof(StoreEntry);
    }
    // A common prefix keeps its '/' while it is sorted.
    const Str path = str_slice(entry->name, entries->skipped, entry->name.size);
    if (path.size > 0)
        entries->items[entries->count++] = (StoreEntry){.path = path,
                                                        .size = entry->size,
                                                        .modified_us = entry->modified_us,
                                                        .is_folder = entry->is_prefix};
    return true;
}

static bool list_part(Adls *adls, Str prefix, unsigned flags, Str marker, Entries *entries,
                      Str *ret_marker, Error *err)
{
    BlobRequest request = {.method = STR("GET")};
    blob_request_pair(&request, STR("restype"), STR("container"));
    blob_request_pair(&request, STR("comp"), STR("list"));
    blob_request_pair(&request, STR("include"), STR("metadata"));
    if (prefix.size > 0)
        blob_request_pair(&request, STR("prefix"), prefix);
    if ((flags & STORE_SHALLOW) != 0)
        blob_request_pair(&request, STR("delimiter"), STR("/"));
    if (marker.size > 0)
        blob_request_pair(&request, STR("marker"), marker);
    BlobAnswer answer = {0};
    TRY(blob_send(adls->client, &request, &answer, err));
    if (answer.response->status != 200)
        return blob_refused(adls->client, &request, &answer, err);
    return blob_list_read(answer.response->body, entries->arena, take_entry, entries, ret_marker,
                          err);
}

static bool list_all(Adls *adls, Str folder, unsigned flags, Entries *entries, Error *err)
{
    AdlsName prefix;
    TRY(adls_name(adls, folder, &prefix, err));
    if (prefix.size > 0 && prefix.size < BLOB_NAME_BYTES_MAX)
        prefix.text[prefix.size++] = '/';
    entries->skipped = adls->prefix.size > 0 ? adls->prefix.size + 1 : 0;
    Str marker = {NULL, 0};
    for (int round = 0; round < LIST_ROUNDS_MAX; round++) {
        TRY(env_check_stop(adls->env, err));
        TRY(list_part(adls, adls_name_str(&prefix), flags, marker, entries, &marker, err));
        if (marker.size == 0)
            return true;
    }
    return error_set(err, ERROR_LIMIT, "list '" STR_FMT "': does not end", STR_ARG(folder));
}

static int compare_entries(const void *a, const void *b)
{
    return str_compare(((const StoreEntry *)a)->path, ((const StoreEntry *)b)->path);
}

bool adls_list(void *state, Str folder, unsigned flags, StoreVisit *visit, void *visitor,
               Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(ADLS_LIST_BYTES_MAX, err);
    TRY(arena != NULL);
    Entries entries = {.arena = arena};
    TRY(list_all(state, folder, flags, &entries, err));
    if (entries.count > 0)
        qsort(entries.items, entries.count, sizeof(StoreEntry), compare_entries);
    for (size_t i = 0; i < entries.count; i++) {
        StoreEntry *entry = &entries.items[i];
        // The same prefix may come in two parts of the list.
        if (i > 0 && str_equal(entry->path, entries.items[i - 1].path))
            continue;
        StoreEntry shown = *entry;
        shown.path.size -= shown.is_folder ? 1 : 0;
        if (!visit(visitor, &shown))
            break;
    }
    return true;
}
