// Listing a local folder in the order of the paths' bytes.
#include "store/local.h"

#include "base/file.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LIST_BYTES_MAX = 1024 * 1024 * 1024, NAMES_FIRST = 64 };

typedef struct Name {
    Str text; // a folder's ends in '/', which also puts it where its files belong
    uint64_t size;
    int64_t modified_us;
} Name;

typedef struct Names {
    Name *items;
    size_t count;
    size_t capacity;
} Names;

typedef struct Lister {
    Arena *arena;
    unsigned flags;
    StoreVisit *visit;
    void *visitor;
    bool ended;
    char path[STORE_PATH_BYTES_MAX +
              2]; // of the folder in hand, from the store's root; "" or "a/b/"
    size_t path_size;
} Lister;

static int compare_names(const void *a, const void *b)
{
    return str_compare(((const Name *)a)->text, ((const Name *)b)->text);
}

static bool add_name(Lister *lister, Names *names, const char *text, const struct stat *status,
                     Error *err)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity == 0 ? NAMES_FIRST : names->capacity * 2;
        const size_t size = capacity * sizeof(Name);
        Name *items = names->items == NULL
                          ? arena_alloc(lister->arena, size, err)
                          : arena_resize(lister->arena, names->items,
                                         names->capacity * sizeof(Name), size, err);
        TRY(items != NULL);
        names->items = items;
        names->capacity = capacity;
    }
    Name *name = &names->items[names->count];
    *name = (Name){.size = (uint64_t)status->st_size,
                   .modified_us = (int64_t)status->st_mtim.tv_sec * 1000000 +
                                  (int64_t)status->st_mtim.tv_nsec / 1000};
    TRY(arena_printf(lister->arena, &name->text, err, "%s%s", text,
                     S_ISDIR(status->st_mode) ? "/" : ""));
    names->count++;
    return true;
}

static bool is_ours(const Lister *lister, const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           (lister->path_size == 0 && strcmp(name, ".store") == 0);
}

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        (void)closedir(*folder);
}

// The names in the folder `place` of the disk, sorted. One that has gone meanwhile has none.
static bool read_names(Lister *lister, const char *place, Names *names, Error *err)
{
    CLEANUP(close_folder) DIR *folder = local_fault() ? NULL : opendir(place);
    if (folder == NULL)
        return errno == ENOENT || errno == ENOTDIR || file_error(err, "list", place);
    for (;;) {
        errno = 0;
        const struct dirent *entry = local_fault() ? NULL : readdir(folder);
        if (entry == NULL && errno != 0)
            return file_error(err, "list", place);
        if (entry == NULL)
            break;
        struct stat status;
        if (is_ours(lister, entry->d_name) ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
            continue; // not ours, not a file, or gone since it was read
        TRY(add_name(lister, names, entry->d_name, &status, err));
    }
    if (names->count > 0)
        qsort(names->items, names->count, sizeof(Name), compare_names);
    return true;
}

// Appends `name` to the lister's path; false when it is longer than a path may be (not one of
// ours).
static bool enter(Lister *lister, Str name)
{
    if (lister->path_size + name.size > STORE_PATH_BYTES_MAX + 1)
        return false;
    memcpy(lister->path + lister->path_size, name.data, name.size);
    lister->path_size += name.size;
    lister->path[lister->path_size] = '\0';
    return true;
}

static bool list_folder(const Local *local, Lister *lister, int depth, Error *err);

// NOLINTNEXTLINE(misc-no-recursion): list_folder() bounds the depth
static bool visit_name(const Local *local, Lister *lister, const Name *name, int depth, Error *err)
{
    const size_t before = lister->path_size;
    if (!enter(lister, name->text))
        return true;
    const bool is_folder = str_ends_with(name->text, STR("/"));
    bool ok = true;
    if (is_folder && (lister->flags & STORE_SHALLOW) == 0) {
        ok = list_folder(local, lister, depth + 1, err);
    } else {
        const Str path = {lister->path, lister->path_size - (is_folder ? 1 : 0)};
        StoreEntry entry = {.path = path, .is_folder = is_folder};
        if (!is_folder) {
            entry.size = name->size;
            entry.modified_us = name->modified_us;
        }
        lister->ended = !lister->visit(lister->visitor, &entry);
    }
    lister->path_size = before;
    lister->path[before] = '\0';
    return ok;
}

// NOLINTNEXTLINE(misc-no-recursion): LOCAL_DEPTH_MAX bounds the depth
static bool list_folder(const Local *local, Lister *lister, int depth, Error *err)
{
    if (depth > LOCAL_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "list '%s': folders nested more than %d deep",
                         lister->path, LOCAL_DEPTH_MAX);
    char place[PATH_MAX];
    TRY(local_name(local, (Str){lister->path, lister->path_size}, place, err));
    Names names = {0};
    TRY(read_names(lister, place, &names, err));
    for (size_t i = 0; i < names.count && !lister->ended; i++)
        TRY(visit_name(local, lister, &names.items[i], depth, err));
    return true;
}

bool local_list(void *state, Str folder, unsigned flags, StoreVisit *visit, void *visitor,
                Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(LIST_BYTES_MAX, err);
    TRY(arena != NULL);
    Lister lister = {.arena = arena, .flags = flags, .visit = visit, .visitor = visitor};
    if (folder.size > 0) {
        const bool entered = enter(&lister, folder) && enter(&lister, STR("/"));
        assert(entered); // store_list() checked the path
        (void)entered;
    }
    return list_folder(state, &lister, 0, err);
}
