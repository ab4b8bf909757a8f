// Going through what was landed: runs, their slices, and what has outlived its retention.
#include "base/file.h"
#include "base/kill.h"
#include "lake/landing_path.h"
#include "lake/seal.h"
#include "lake/slice_file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WALK_ARENA_BYTES = 1024 * 1024 * 1024,
    SLICE_ARENA_BYTES = LANDING_BODY_BYTES_MAX,
    ITEMS_FIRST = 64,
    PAGES_MAX = 1000000, // of a slice; what has a higher number is none of ours
    NOTE_FILE_BYTES_MAX = PAGE_NOTE_BYTES_MAX + 64,
};

// A list that grows in an arena.
typedef struct Items {
    Arena *arena;
    void *items;
    size_t count;
    size_t capacity;
} Items;

static void *add_item(Items *list, size_t size, Error *err)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? ITEMS_FIRST : list->capacity * 2;
        void *items = list->items == NULL
                          ? arena_alloc(list->arena, capacity * size, err)
                          : arena_resize(list->arena, list->items, list->capacity * size,
                                         capacity * size, err);
        if (items == NULL)
            return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    return (char *)list->items + size * list->count++;
}

// --- runs

typedef struct RunCollector {
    Items runs; // Str
    size_t skipped;
    Error *err;
    bool failed;
} RunCollector;

static bool collect_run(void *visitor, const StoreEntry *entry)
{
    RunCollector *collector = visitor;
    char text[LANDING_NAME_BYTES_MAX];
    Str run = {NULL, 0};
    if (!entry->is_folder ||
        !path_parse_name(str_slice(entry->path, collector->skipped, entry->path.size), text, &run))
        return true;
    Str *place = add_item(&collector->runs, sizeof(Str), collector->err);
    collector->failed =
        place == NULL || !arena_copy_str(collector->runs.arena, run, place, collector->err);
    return !collector->failed;
}

bool landing_list_runs(Landing *landing, Arena *arena, Str **ret_runs, size_t *ret_count,
                       Error *err)
{
    RunCollector collector = {
        .runs = {.arena = arena}, .skipped = landing->runs.size + 1, .err = err};
    TRY(store_list(landing->store, path_str(&landing->runs), STORE_SHALLOW, collect_run, &collector,
                   err));
    if (collector.failed)
        return false;
    *ret_runs = collector.runs.items;
    *ret_count = collector.runs.count;
    return true;
}

// --- slices

// The folder of a slice, as the listing showed it.
typedef struct Folder {
    Str stream;
    Str partition; // its hash's digits
    uint32_t slice;
    uint32_t reading;
    uint32_t pages;    // files
    uint32_t page_end; // one behind the highest page
    Str first_page;    // path
    bool whole;
} Folder;

typedef struct FolderCollector {
    Items folders;  // Folder
    size_t skipped; // size of the run's path and '/'
    Error *err;
    bool failed;
} FolderCollector;

// "<stream>/<partition>/<slice>/<file>" in its parts; false for what is not a file of a slice.
static bool split_path(Str path, Folder *ret_folder, Str *ret_file)
{
    Str rest = path;
    ret_folder->stream = str_split_next(&rest, '/');
    ret_folder->partition = str_split_next(&rest, '/');
    const Str slice = str_split_next(&rest, '/');
    *ret_file = rest;
    return rest.data != NULL && path_is_partition(ret_folder->partition) &&
           path_parse_slice(slice, &ret_folder->slice, &ret_folder->reading);
}

static bool same_folder(const Folder *a, const Folder *b)
{
    return a->slice == b->slice && a->reading == b->reading &&
           str_equal(a->partition, b->partition) && str_equal(a->stream, b->stream);
}

static bool add_folder(FolderCollector *collector, const Folder *found)
{
    Arena *arena = collector->folders.arena;
    char text[LANDING_NAME_BYTES_MAX];
    Str name = {NULL, 0};
    if (!path_parse_name(found->stream, text, &name))
        return true;      // not one of ours
    Folder copy = *found; // whose texts belong to the listing
    if (!arena_copy_str(arena, found->stream, &copy.stream, collector->err) ||
        !arena_copy_str(arena, found->partition, &copy.partition, collector->err))
        return false;
    Folder *place = add_item(&collector->folders, sizeof(Folder), collector->err);
    if (place == NULL)
        return false;
    *place = copy;
    return true;
}

static bool collect_folder(void *visitor, const StoreEntry *entry)
{
    FolderCollector *collector = visitor;
    Folder found = {0};
    Str file = {NULL, 0};
    if (!split_path(str_slice(entry->path, collector->skipped, entry->path.size), &found, &file))
        return true;
    // A listing is in order, so what lies in one folder comes in one piece.
    Folder *folders = collector->folders.items;
    size_t count = collector->folders.count;
    if (count == 0 || !same_folder(&folders[count - 1], &found)) {
        collector->failed = !add_folder(collector, &found);
        if (collector->failed || collector->folders.count == count)
            return !collector->failed;
        folders = collector->folders.items;
        count++;
    }
    Folder *folder = &folders[count - 1];
    uint32_t page = 0;
    bool is_gzip = false;
    if (str_equal(file, STR("slice.json")))
        folder->whole = true;
    if (!path_parse_page(file, &page, &is_gzip) || page >= PAGES_MAX)
        return true;
    if (page >= folder->page_end)
        folder->page_end = page + 1;
    if (folder->pages++ == 0)
        collector->failed = !arena_copy_str(collector->folders.arena, entry->path,
                                            &folder->first_page, collector->err);
    return !collector->failed;
}

static int compare_folders(const void *a, const void *b)
{
    const Folder *left = a;
    const Folder *right = b;
    int order = str_compare(left->stream, right->stream);
    if (order == 0)
        order = str_compare(left->partition, right->partition);
    if (order == 0)
        order = (left->slice > right->slice) - (left->slice < right->slice);
    return order != 0 ? order : (left->reading > right->reading) - (left->reading < right->reading);
}

static bool list_folders(Landing *landing, const Path *run, Str stream, Arena *arena,
                         Folder **ret_folders, size_t *ret_count, Error *err)
{
    FolderCollector collector = {.folders = {.arena = arena}, .skipped = run->size + 1, .err = err};
    Path path = *run;
    if (stream.size > 0)
        TRY(path_append_name(&path, stream, err));
    TRY(store_list(landing->store, path_str(&path), 0, collect_folder, &collector, err));
    if (collector.failed)
        return false;
    // The listing has "00000009.2/" before "00000009/".
    if (collector.folders.count > 0)
        qsort(collector.folders.items, collector.folders.count, sizeof(Folder), compare_folders);
    *ret_folders = collector.folders.items;
    *ret_count = collector.folders.count;
    return true;
}

static bool folder_path(const Path *run, const Folder *folder, Path *ret_path, Error *err)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "%08" PRIu32, folder->slice);
    if (folder->reading > 1)
        size += snprintf(text + size, sizeof(text) - (size_t)size, ".%" PRIu32, folder->reading);
    *ret_path = *run;
    return path_append(ret_path, folder->stream, err) &&
           path_append(ret_path, folder->partition, err) &&
           path_append(ret_path, (Str){text, (size_t)size}, err);
}

static bool read_manifest(Landing *landing, const Path *run, const Folder *folder, Arena *arena,
                          LandedSlice *slice, SliceManifest *manifest, Error *err)
{
    Path path;
    Str bytes = {NULL, 0};
    TRY(folder_path(run, folder, &path, err) && path_append(&path, STR("slice.json"), err) &&
        store_read_all(landing->store, path_str(&path), LANDING_NOTE_BYTES_MAX, arena, &bytes,
                       err) &&
        slice_file_read(bytes, path.text, arena, &slice->name, manifest, err));
    slice->manifest = manifest;
    return true;
}

typedef struct PageLister {
    Items pages; // Str
    Error *err;
    bool failed;
} PageLister;

static bool list_page(void *visitor, const StoreEntry *entry)
{
    PageLister *lister = visitor;
    const Str name = str_slice(entry->path, file_folder(entry->path).size + 1, entry->path.size);
    uint32_t page = 0;
    bool is_gzip = false;
    if (entry->is_folder || !path_parse_page(name, &page, &is_gzip))
        return true;
    Str *place = add_item(&lister->pages, sizeof(Str), lister->err);
    lister->failed =
        place == NULL || !arena_copy_str(lister->pages.arena, entry->path, place, lister->err);
    return !lister->failed;
}

// What the page says of its slice; *ret_known = false when it is torn. `bytes` has room for
// NOTE_FILE_BYTES_MAX.
static bool read_note(Landing *landing, Str path, char *bytes, Arena *arena, LandedSlice *slice,
                      bool *ret_known, Error *err)
{
    size_t filled = 0;
    size_t got = 1;
    while (got > 0 && filled < NOTE_FILE_BYTES_MAX) {
        TRY(store_read(landing->store, path, filled, bytes + filled, NOTE_FILE_BYTES_MAX - filled,
                       &got, err));
        filled += got;
    }
    PageNote note = {0};
    size_t size = 0;
    *ret_known = page_file_read_note((Str){bytes, filled}, "page", arena, &note, &size, err);
    if (!*ret_known && err->code != ERROR_DATA)
        return false;
    *err = (Error){0};
    if (!*ret_known)
        return true;
    slice->name.stream = note.stream;
    slice->name.partition_key = note.partition_key;
    slice->name.slice = note.slice;
    slice->name.reading = note.reading;
    return true;
}

// A slice without a manifest: each of its pages knows whose it is, the first one mostly; a crash of
// the machine may have torn some. Where none can be read, the folder tells a part.
static bool read_any_note(Landing *landing, const Path *run_path, const Folder *folder,
                          Arena *arena, LandedSlice *slice, Error *err)
{
    bool known = false;
    char *bytes = arena_alloc_raw(arena, NOTE_FILE_BYTES_MAX, err);
    TRY(bytes != NULL && read_note(landing, folder->first_page, bytes, arena, slice, &known, err));
    Path path;
    PageLister lister = {.pages = {.arena = arena}, .err = err};
    if (!known && folder->pages > 1)
        TRY(folder_path(run_path, folder, &path, err) &&
            store_list(landing->store, path_str(&path), STORE_SHALLOW, list_page, &lister, err) &&
            !lister.failed);
    const Str *pages = lister.pages.items;
    for (size_t i = 1; i < lister.pages.count && !known; i++)
        TRY(read_note(landing, pages[i], bytes, arena, slice, &known, err));
    slice->unknown = !known;
    if (known)
        return true;
    char text[LANDING_NAME_BYTES_MAX];
    slice->name.slice = folder->slice;
    slice->name.reading = folder->reading;
    return path_parse_name(folder->stream, text, &slice->name.stream) &&
           arena_copy_str(arena, slice->name.stream, &slice->name.stream, err);
}

// What a folder says of its slice; *ret_any = false when it holds nothing of one.
static bool read_folder(Landing *landing, const Path *run_path, const Folder *folder, Arena *arena,
                        LandedSlice *slice, bool *ret_any, Error *err)
{
    slice->pages_found = folder->pages;
    slice->page_end = folder->page_end;
    *ret_any = folder->whole || folder->pages > 0;
    if (!folder->whole)
        return !*ret_any || read_any_note(landing, run_path, folder, arena, slice, err);
    SliceManifest *manifest = arena_alloc(arena, sizeof(*manifest), err); // the slice points at it
    TRY(manifest != NULL);
    return read_manifest(landing, run_path, folder, arena, slice, manifest, err);
}

bool landing_visit_slices(Landing *landing, Str run, Str stream, LandingVisit *visit, void *visitor,
                          Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(WALK_ARENA_BYTES, err);
    TRY(arena != NULL);
    CLEANUP(arena_freep) Arena *slice_arena = arena_new(SLICE_ARENA_BYTES, err);
    TRY(slice_arena != NULL);
    Path path;
    Folder *folders = NULL;
    size_t count = 0;
    TRY(path_of_run(landing, run, &path, err) &&
        list_folders(landing, &path, stream, arena, &folders, &count, err));
    for (size_t i = 0; i < count; i++) {
        arena_reset(slice_arena);
        LandedSlice slice = {.name = {.run = run}};
        bool any = false;
        TRY(read_folder(landing, &path, &folders[i], slice_arena, &slice, &any, err));
        TRY(!any || visit(visitor, &slice, err));
    }
    return true;
}

// --- retention

typedef struct Litter {
    Items pages; // Str
    uint64_t bytes;
    int64_t last_write_us;
    bool expired_already;
    size_t skipped;
    Error *err;
    bool failed;
} Litter;

static bool collect_litter(void *visitor, const StoreEntry *entry)
{
    Litter *litter = visitor;
    Folder folder = {0};
    Str file = {NULL, 0};
    uint32_t page = 0;
    bool is_gzip = false;
    if (entry->modified_us > litter->last_write_us)
        litter->last_write_us = entry->modified_us;
    if (!split_path(str_slice(entry->path, litter->skipped, entry->path.size), &folder, &file) ||
        (!path_parse_page(file, &page, &is_gzip) && !str_equal(file, ROWS_FILE)))
        return true;
    Str *place = add_item(&litter->pages, sizeof(Str), litter->err);
    litter->failed =
        place == NULL || !arena_copy_str(litter->pages.arena, entry->path, place, litter->err);
    litter->bytes += entry->size;
    return !litter->failed;
}

static bool remove_pages(Landing *landing, const Litter *litter, Error *err)
{
    const Str *pages = litter->pages.items;
    for (size_t i = 0; i < litter->pages.count; i++) {
        TRY(env_check_stop(landing->store->env, err));
        const Str object = str_slice(pages[i], litter->skipped, pages[i].size);
        kill_point("page remove, " STR_FMT, STR_ARG(object));
        TRY(store_remove(landing->store, pages[i], err));
        kill_point("page was removed, " STR_FMT, STR_ARG(object));
    }
    return true;
}

static bool expire_run(Landing *landing, Str run, int64_t before_us, uint64_t *files,
                       uint64_t *bytes, Error *err)
{
    if (uuid_time_us(run) >= before_us)
        return true; // what began later cannot have ended earlier
    Path path;
    TRY(path_of_run(landing, run, &path, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(WALK_ARENA_BYTES, err);
    TRY(arena != NULL);
    Str note = {NULL, 0};
    if (landing_get_note(landing, run, STR("expired.json"), arena, &note, err))
        return true;
    if (err->code != ERROR_NOT_FOUND)
        return false;
    *err = (Error){0};

    Litter litter = {.pages = {.arena = arena}, .skipped = path.size + 1, .err = err};
    TRY(store_list(landing->store, path_str(&path), 0, collect_litter, &litter, err));
    if (litter.failed)
        return false;
    if (litter.last_write_us >= before_us)
        return true;
    TRY(remove_pages(landing, &litter, err));
    char text[128];
    const int size = snprintf(text, sizeof(text), "{\"files\":%zu,\"bytes\":%" PRIu64 "}",
                              litter.pages.count, litter.bytes);
    TRY(landing_put_note(landing, run, STR("expired.json"), (Str){text, (size_t)size}, err));
    *files += litter.pages.count;
    *bytes += litter.bytes;
    return true;
}

bool landing_expire(Landing *landing, int64_t before_us, uint64_t *ret_files, uint64_t *ret_bytes,
                    Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(WALK_ARENA_BYTES, err);
    TRY(arena != NULL);
    Str *runs = NULL;
    size_t count = 0;
    TRY(landing_list_runs(landing, arena, &runs, &count, err));
    uint64_t files = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        TRY(expire_run(landing, runs[i], before_us, &files, &bytes, err));
    *ret_files = files;
    *ret_bytes = bytes;
    return true;
}
