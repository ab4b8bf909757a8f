#include "lake/landing.h"

#include "base/kill.h"
#include "lake/known_pages.h"
#include "lake/landing_path.h"
#include "lake/seal.h"
#include "lake/slice_file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    FILE_BYTES_MAX = LANDING_BODY_BYTES_MAX + PAGE_NOTE_BYTES_MAX + 64,
    VERIFY_ARENA_BYTES = LANDING_BODY_BYTES_MAX + 1024 * 1024,
    FINISH_ARENA_BYTES = 256 * 1024 * 1024,
    SEAL_BYTES_MAX = LANDING_NOTE_BYTES_MAX + 1024,
    ROWS_BYTES_MAX = 256 * 1024 * 1024,
    ROWS_ARENA_BYTES = 64 * 1024 * 1024,
};

static const Str manifest_file = {"slice.json", 10};
static const char note_kind[] = "note";

bool landing_open(const LandingOptions *options, Arena *arena, Landing **ret_landing, Error *err)
{
    assert(options->store != NULL);

    Landing *landing = arena_alloc(arena, sizeof(*landing), err);
    TRY(landing != NULL);
    landing->store = options->store;
    landing->coder.level = options->compression;
    landing->file.limit_bytes = (size_t)2 * LANDING_BODY_BYTES_MAX;
    landing->before.limit_bytes = FILE_BYTES_MAX;
    landing->rows_file.limit_bytes = ROWS_BYTES_MAX;
    TRY(path_append_name(&landing->runs, options->job, err) &&
        path_append(&landing->runs, STR("runs"), err));
    *ret_landing = landing;
    return true;
}

void landing_close(Landing *landing)
{
    if (landing == NULL)
        return;
    page_coder_done(&landing->coder);
    buf_done(&landing->file);
    buf_done(&landing->before);
    buf_done(&landing->rows_file);
    arena_free(landing->rows_arena);
}

void landing_closep(Landing **landing)
{
    landing_close(*landing);
}

// Puts the path in front of a message, quoted.
static void quote(const Path *path, char where[WHERE_BYTES])
{
    (void)snprintf(where, WHERE_BYTES, "'%s'", path->text);
}

// --- pages

static bool same_page(const PageNote *note, const SliceName *name, uint32_t page)
{
    return str_equal(note->stream, name->stream) &&
           str_equal(note->partition_key, name->partition_key) && note->slice == name->slice &&
           note->reading == name->reading && note->page == page;
}

bool landing_read_page(Landing *landing, const Path *path, const SliceName *name, uint32_t page,
                       Arena *arena, ReadPage *ret_page, Error *err)
{
    buf_clear(&landing->file);
    TRY(store_read_into(landing->store, path_str(path), FILE_BYTES_MAX, &landing->file, err));
    char where[WHERE_BYTES];
    quote(path, where);
    PageNote note = {0};
    Str body = {NULL, 0};
    TRY(page_file_read(&landing->coder, buf_str(&landing->file), where, arena, &note, &body, err));
    if (!same_page(&note, name, page))
        return error_set(err, ERROR_DATA,
                         "%s: holds another page: slice %" PRIu32 ", page %" PRIu32, where,
                         note.slice, note.page);
    *ret_page = (ReadPage){.body = body, .info = note.info};
    return true;
}

bool landing_is_there(Landing *landing, const Path *path, bool *ret_there, Error *err)
{
    char byte = 0;
    size_t got = 0;
    if (store_read(landing->store, path_str(path), 0, &byte, 1, &got, err)) {
        *ret_there = true;
        return true;
    }
    if (err->code != ERROR_NOT_FOUND)
        return false;
    *err = (Error){0};
    *ret_there = false;
    return true;
}

static bool slice_is_whole(Landing *landing, const SliceName *name, bool *ret_whole, Error *err)
{
    Path path;
    return path_of_slice(landing, name, &path, err) && path_append(&path, manifest_file, err) &&
           landing_is_there(landing, &path, ret_whole, err);
}

bool landing_get_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                      Str *ret_body, PageInfo *ret_info, Error *err)
{
    Path folder;
    TRY(path_of_slice(landing, name, &folder, err));
    Error damage = {0};
    for (int i = 0; i < 2; i++) {
        const bool is_gzip = landing->gzip_first != (i == 1);
        Path path = folder;
        TRY(path_append_page(&path, page, is_gzip, err));
        ReadPage read = {0};
        if (landing_read_page(landing, &path, name, page, arena, &read, err)) {
            landing->gzip_first = is_gzip;
            *ret_body = read.body;
            *ret_info = read.info;
            return true;
        }
        if (err->code != ERROR_NOT_FOUND && err->code != ERROR_DATA)
            return error_context(err, "landing");
        if (err->code == ERROR_DATA)
            damage = *err;
        *err = (Error){0};
    }
    bool whole = false;
    TRY(damage.code == ERROR_NONE || slice_is_whole(landing, name, &whole, err));
    if (whole) {
        *err = damage;
        return error_context(err, "landing");
    }
    return error_set(err, ERROR_NOT_FOUND, "landing '%s': page %" PRIu32 " is not landed",
                     folder.text, page);
}

// Tells whether a page that stands where we want to land one must stay: it is whole, or its slice
// is.
static bool must_stay(Landing *landing, const Path *path, const SliceName *name, uint32_t page,
                      bool *ret_must, Error *err)
{
    TRY(slice_is_whole(landing, name, ret_must, err));
    if (*ret_must)
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(VERIFY_ARENA_BYTES, err);
    TRY(arena != NULL);
    ReadPage read = {0};
    *ret_must = landing_read_page(landing, path, name, page, arena, &read, err);
    if (!*ret_must && err->code != ERROR_DATA && err->code != ERROR_NOT_FOUND)
        return false;
    *err = (Error){0};
    return true;
}

static bool conflict(const Path *path, Error *err)
{
    return error_set(err, ERROR_CONFLICT, "landing '%s': the page is there already", path->text);
}

// Writes the page, over a torn one if need be. `other` is where it would stand with the other
// compression.
static bool place_page(Landing *landing, const Path *path, const Path *other, const SliceName *name,
                       uint32_t page, Str file, Error *err)
{
    bool there = false;
    bool must = false;
    if (!landing->is_fresh)
        TRY(landing_is_there(landing, other, &there, err));
    if (there) {
        TRY(must_stay(landing, other, name, page, &must, err));
        if (must)
            return conflict(other, err);
        TRY(store_remove(landing->store, path_str(other), err));
    }
    if (store_create(landing->store, path_str(path), file, STORE_LAZY, err))
        return true;
    if (err->code != ERROR_CONFLICT)
        return false;
    *err = (Error){0};
    TRY(must_stay(landing, path, name, page, &must, err));
    if (must)
        return conflict(path, err);
    return store_put(landing->store, path_str(path), file, STORE_LAZY, err);
}

void landing_expect_nothing(Landing *landing)
{
    landing->is_fresh = true;
}

void landing_use_known(Landing *landing, const KnownPages *known)
{
    landing->known = known;
}

// The page as it was compressed when it was landed before, in landing->before; empty where none is
// known, or where its file is gone. What it claims to be is for the caller to check.
static Str find_known(Landing *landing, size_t body_bytes, const Key128 *hash, KnownPage *ret_page)
{
    Error why = {0};
    Path path = {.text = ""};
    Str packed = {0};
    buf_clear(&landing->before);
    if (body_bytes < KNOWN_BYTES_MIN || !known_pages_find(landing->known, hash, ret_page) ||
        !path_append(&path, ret_page->folder, &why) ||
        !path_append_page(&path, ret_page->number, false, &why) ||
        !store_read_into(landing->store, path_str(&path), FILE_BYTES_MAX, &landing->before, &why) ||
        !page_file_find_page(buf_str(&landing->before), path.text, &packed, &why))
        return (Str){0};
    return packed;
}

// Fills `file` with a page that came uncompressed.
static bool pack_page(Landing *landing, PageNote *note, Str body, Buf *file, Error *err)
{
    KnownPage page = {0};
    Str packed = {0};
    if (landing->known != NULL) {
        note->info.body_hash = content_hash(body);
        packed = find_known(landing, body.size, &note->info.body_hash, &page);
    }
    if (packed.size > 0) {
        TRY(page_file_write(&landing->coder, note, body, packed, HTTP_ENCODING_ZSTD, file, err));
        if (memcmp(note->info.page_sha256.bytes, page.sum.bytes, SHA256_BYTES) == 0) {
            landing->found = page;
            return true;
        }
        buf_clear(file); // damaged, or another page by now
    }
    return page_file_write(&landing->coder, note, body, (Str){0}, HTTP_ENCODING_IDENTITY, file,
                           err);
}

bool landing_was_known(const Landing *landing, Str *ret_folder, uint32_t *ret_page)
{
    *ret_folder = landing->found.folder;
    *ret_page = landing->found.number;
    return landing->found.folder.size > 0;
}

bool landing_put_rows(Landing *landing, const SliceName *name, const KnownRows *rows, Error *err)
{
    Path path;
    CLEANUP(buf_done) Buf bytes = {.limit_bytes = ROWS_BYTES_MAX};
    return path_of_slice(landing, name, &path, err) && path_append(&path, ROWS_FILE, err) &&
           known_rows_write(rows, &bytes, err) &&
           store_put(landing->store, path_str(&path), buf_str(&bytes), STORE_LAZY, err);
}

static bool read_rows(Landing *landing, Str folder, Error *err)
{
    Path path = {.text = ""};
    if (landing->rows_arena == NULL)
        landing->rows_arena = arena_new(ROWS_ARENA_BYTES, err);
    TRY(landing->rows_arena != NULL);
    arena_reset(landing->rows_arena);
    buf_clear(&landing->rows_file);
    return path_append(&path, folder, err) && path_append(&path, ROWS_FILE, err) &&
           store_read_into(landing->store, path_str(&path), ROWS_BYTES_MAX, &landing->rows_file,
                           err) &&
           known_rows_read(buf_str(&landing->rows_file), path.text, landing->rows_arena,
                           &landing->rows, err);
}

bool landing_find_rows(Landing *landing, Str folder, const KnownRows **ret_rows)
{
    Error why = {0};
    // The pages of a slice come one after the other.
    if (!str_equal(folder, landing->rows_folder)) {
        landing->rows_there = read_rows(landing, folder, &why);
        landing->rows_folder = folder; // lives as long as what is known
    }
    *ret_rows = &landing->rows;
    return landing->rows_there;
}

bool landing_put_page(Landing *landing, const SliceName *name, uint32_t page, const PageBody *body,
                      PageInfo *info, Error *err)
{
    const bool is_gzip = body->encoded.size > 0 && body->encoding == HTTP_ENCODING_GZIP;
    Path path;
    TRY(path_of_slice(landing, name, &path, err));
    Path other = path;
    TRY(path_append_page(&path, page, is_gzip, err) &&
        path_append_page(&other, page, !is_gzip, err));
    PageNote note = {.stream = name->stream,
                     .partition_key = name->partition_key,
                     .slice = name->slice,
                     .reading = name->reading,
                     .page = page,
                     .info = *info};
    CLEANUP(buf_done) Buf file = landing->file;
    landing->file = (Buf){.limit_bytes = file.limit_bytes}; // place_page() may read into it
    landing->found = (KnownPage){0}; // what came compressed is not looked for
    buf_clear(&file);
    TRY(body->encoded.size > 0 ? page_file_write(&landing->coder, &note, body->plain, body->encoded,
                                                 body->encoding, &file, err)
                               : pack_page(landing, &note, body->plain, &file, err));

    char label[LABEL_BYTES];
    path_label(name, label, sizeof(label));
    kill_point("page put, %s page %" PRIu32, label, page);
    TRY(place_page(landing, &path, &other, name, page, buf_str(&file), err));
    kill_point("page was put, %s page %" PRIu32, label, page);
    landing->gzip_first = is_gzip;
    *info = note.info;
    buf_done(&landing->file);
    landing->file = file; // its memory serves the next page
    file = (Buf){0};
    return true;
}

// --- slices

typedef enum Seen { SEEN_NOT, SEEN_OTHER_SIZE, SEEN_ZSTD, SEEN_GZIP } Seen;

typedef struct Finder {
    const SliceManifest *manifest;
    size_t folder_size;
    unsigned char *seen; // a Seen for each page
} Finder;

static bool find_page(void *visitor, const StoreEntry *entry)
{
    Finder *finder = visitor;
    const Str part = str_slice(entry->path, finder->folder_size + 1, entry->path.size);
    uint32_t page = 0;
    bool is_gzip = false;
    if (entry->is_folder || !path_parse_page(part, &page, &is_gzip) ||
        page >= finder->manifest->page_count)
        return true;
    if (entry->size == finder->manifest->pages[page].stored_bytes)
        finder->seen[page] = is_gzip ? SEEN_GZIP : SEEN_ZSTD;
    else if (finder->seen[page] == SEEN_NOT)
        finder->seen[page] = SEEN_OTHER_SIZE;
    return true;
}

// The paths of a slice's pages, as they lie in the store.
static bool find_pages(Landing *landing, const Path *folder, const SliceManifest *manifest,
                       Arena *arena, Str *ret_paths, Error *err)
{
    Finder finder = {.manifest = manifest, .folder_size = folder->size};
    finder.seen = arena_alloc(arena, (size_t)manifest->page_count + 1, err);
    TRY(finder.seen != NULL);
    TRY(store_list(landing->store, path_str(folder), STORE_SHALLOW, find_page, &finder, err));
    for (uint32_t i = 0; i < manifest->page_count; i++) {
        if (finder.seen[i] == SEEN_NOT)
            return error_set(err, ERROR_NOT_FOUND, "landing '%s': page %" PRIu32 " is not landed",
                             folder->text, i);
        if (finder.seen[i] == SEEN_OTHER_SIZE)
            return error_set(err, ERROR_DATA,
                             "landing '%s': page %" PRIu32 " has not the size it was landed with",
                             folder->text, i);
        Path path = *folder;
        TRY(path_append_page(&path, i, finder.seen[i] == SEEN_GZIP, err) &&
            arena_copy_str(arena, path_str(&path), &ret_paths[i], err));
    }
    return true;
}

static bool prepare_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                          Arena *arena, Str *ret_pages, StoreFile *ret_file, Error *err)
{
    Path path;
    TRY(path_of_slice(landing, name, &path, err));
    TRY(find_pages(landing, &path, manifest, arena, ret_pages, err));
    TRY(path_append(&path, manifest_file, err));
    CLEANUP(buf_done) Buf text = {.limit_bytes = SEAL_BYTES_MAX};
    TRY(slice_file_write(name, manifest, &text, err));
    char label[LABEL_BYTES];
    path_label(name, label, sizeof(label));
    ret_file->event = STR("slice manifest");
    return arena_copy_str(arena, path_str(&path), &ret_file->path, err) &&
           arena_copy_str(arena, buf_str(&text), &ret_file->bytes, err) &&
           arena_copy_str(arena, str_from(label), &ret_file->object, err);
}

bool landing_finish_slices(Landing *landing, const SliceName *names, const SliceManifest *manifests,
                           size_t count, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(FINISH_ARENA_BYTES, err);
    TRY(arena != NULL);
    size_t page_count = 0;
    for (size_t i = 0; i < count; i++)
        page_count += manifests[i].page_count;
    Str *pages = arena_alloc_array(arena, page_count + 1, sizeof(*pages), err);
    TRY(pages != NULL);
    StoreFile *files = arena_alloc_array(arena, count + 1, sizeof(*files), err);
    TRY(files != NULL);
    Str *next = pages;
    for (size_t i = 0; i < count; i++) {
        TRY(prepare_slice(landing, &names[i], &manifests[i], arena, next, &files[i], err));
        next += manifests[i].page_count;
    }
    if (!store_publish(landing->store, pages, page_count, files, count, err))
        return error_context(err, "landing");
    return true;
}

bool landing_finish_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                          Error *err)
{
    return landing_finish_slices(landing, name, manifest, 1, err);
}

bool landing_rewrite_slice(Landing *landing, const SliceName *name, const SliceManifest *manifest,
                           Error *err)
{
    Path path;
    TRY(path_of_slice(landing, name, &path, err) && path_append(&path, manifest_file, err));
    CLEANUP(buf_done) Buf text = {.limit_bytes = SEAL_BYTES_MAX};
    TRY(slice_file_write(name, manifest, &text, err));
    char label[LABEL_BYTES];
    path_label(name, label, sizeof(label));
    kill_point("slice manifest rewrite, %s", label);
    TRY(store_put(landing->store, path_str(&path), buf_str(&text), 0, err));
    kill_point("slice manifest was rewritten, %s", label);
    return true;
}

bool landing_get_slice(Landing *landing, const SliceName *name, Arena *arena,
                       SliceManifest *ret_manifest, Error *err)
{
    Path path;
    TRY(path_of_slice(landing, name, &path, err) && path_append(&path, manifest_file, err));
    buf_clear(&landing->file);
    TRY(store_read_into(landing->store, path_str(&path), SEAL_BYTES_MAX, &landing->file, err));
    char where[WHERE_BYTES];
    quote(&path, where);
    SliceName found = {0};
    SliceManifest manifest = {0};
    TRY(slice_file_read(buf_str(&landing->file), where, arena, &found, &manifest, err));
    if (!str_equal(found.stream, name->stream) ||
        !str_equal(found.partition_key, name->partition_key) || found.slice != name->slice ||
        found.reading != name->reading)
        return error_set(err, ERROR_DATA, "%s: is the manifest of another slice, %" PRIu32, where,
                         found.slice);
    *ret_manifest = manifest;
    return true;
}

// --- notes

static bool write_note(Landing *landing, Str run, Str name, Str json, bool replace, Error *err)
{
    if (json.size == 0 || json.size > LANDING_NOTE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "landing, note '" STR_FMT "': not of 1 to %d bytes",
                         STR_ARG(name), LANDING_NOTE_BYTES_MAX);
    Path path;
    TRY(path_of_run(landing, run, &path, err) && path_append(&path, name, err));
    CLEANUP(buf_done) Buf text = {.limit_bytes = SEAL_BYTES_MAX};
    TRY(seal_write(note_kind, json, &text, err));
    kill_point("note put, " STR_FMT, STR_ARG(name));
    TRY(replace ? store_put(landing->store, path_str(&path), buf_str(&text), 0, err)
                : store_create(landing->store, path_str(&path), buf_str(&text), 0, err));
    kill_point("note was put, " STR_FMT, STR_ARG(name));
    return true;
}

bool landing_create_note(Landing *landing, Str run, Str name, Str json, Error *err)
{
    return write_note(landing, run, name, json, false, err);
}

bool landing_put_note(Landing *landing, Str run, Str name, Str json, Error *err)
{
    return write_note(landing, run, name, json, true, err);
}

bool landing_get_note(Landing *landing, Str run, Str name, Arena *arena, Str *ret_json, Error *err)
{
    Path path;
    TRY(path_of_run(landing, run, &path, err) && path_append(&path, name, err));
    CLEANUP(buf_done) Buf text = {.limit_bytes = SEAL_BYTES_MAX + 1};
    TRY(store_read_into(landing->store, path_str(&path), SEAL_BYTES_MAX, &text, err));
    char where[WHERE_BYTES];
    quote(&path, where);
    Str json = {NULL, 0};
    return seal_read(note_kind, buf_str(&text), where, &json, err) &&
           arena_copy_str(arena, json, ret_json, err);
}

bool landing_find_note(Landing *landing, Str run, Str name, Arena *arena, Str *ret_json,
                       bool *ret_there, Error *err)
{
    Error missing = {0};
    *ret_there = landing_get_note(landing, run, name, arena, ret_json, &missing);
    if (*ret_there || missing.code == ERROR_NOT_FOUND)
        return true;
    *err = missing;
    return false;
}
