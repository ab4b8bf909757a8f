// Erasure in the landing: pages are replaced by ones that hold less.
//
// A new page is always zstd. Where the old one is gzip, both stand for a moment, and after a kill
// until somebody erases again: so whoever erases looks at the old one for as long as it is there.
#include "base/kill.h"
#include "lake/landing_path.h"

#include <inttypes.h>

// Where a page stands, or would.
typedef struct Places {
    Path folder, zstd, gzip;
    bool zstd_there, gzip_there;
} Places;

static bool find_places(Landing *landing, const SliceName *name, uint32_t page, Places *places,
                        Error *err)
{
    TRY(path_of_slice(landing, name, &places->folder, err));
    places->zstd = places->folder;
    places->gzip = places->folder;
    TRY(path_append_page(&places->zstd, page, false, err) &&
        path_append_page(&places->gzip, page, true, err) &&
        landing_is_there(landing, &places->zstd, &places->zstd_there, err) &&
        landing_is_there(landing, &places->gzip, &places->gzip_there, err));
    return places->zstd_there || places->gzip_there ||
           error_set(err, ERROR_NOT_FOUND, "landing '%s': page %" PRIu32 " is not landed",
                     places->folder.text, page);
}

bool landing_get_oldest_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                             OldestPage *ret_page, Error *err)
{
    Places places = {0};
    ReadPage read = {0};
    TRY(find_places(landing, name, page, &places, err));
    bool ok = places.gzip_there &&
              landing_read_page(landing, &places.gzip, name, page, arena, &read, err);
    if (!ok && places.zstd_there && (err->code == ERROR_NONE || err->code == ERROR_DATA)) {
        *err = (Error){0};
        ok = landing_read_page(landing, &places.zstd, name, page, arena, &read, err);
    }
    if (!ok)
        return error_context(err, "landing");
    *ret_page = (OldestPage){
        .body = read.body, .info = read.info, .twice = places.zstd_there && places.gzip_there};
    return true;
}

// The new page once more, behind the old one's end: that makes the end last, where a crash of the
// machine might bring the old page back. A slice that is not whole has no manifest whose writing
// would do it.
static bool remove_gzip(Landing *landing, const Places *places, Str zstd, Error *err)
{
    return store_remove(landing->store, path_str(&places->gzip), err) &&
           store_put(landing->store, path_str(&places->zstd), zstd, 0, err);
}

bool landing_keep_newest_page(Landing *landing, const SliceName *name, uint32_t page, Arena *arena,
                              PageInfo *ret_info, Error *err)
{
    Places places = {0};
    ReadPage read = {0};
    TRY(find_places(landing, name, page, &places, err));
    const Path *path = places.zstd_there ? &places.zstd : &places.gzip;
    if (!landing_read_page(landing, path, name, page, arena, &read, err))
        return error_context(err, "landing");
    if (places.zstd_there && places.gzip_there)
        TRY(remove_gzip(landing, &places, buf_str(&landing->file), err));
    *ret_info = read.info;
    return true;
}

// The old page goes last: until then it is what a reader may find.
bool landing_rewrite_page(Landing *landing, const SliceName *name, uint32_t page, Str body,
                          PageInfo *info, Error *err)
{
    Places places = {0};
    TRY(find_places(landing, name, page, &places, err));
    PageNote note = {.stream = name->stream,
                     .partition_key = name->partition_key,
                     .slice = name->slice,
                     .reading = name->reading,
                     .page = page,
                     .info = *info};
    CLEANUP(buf_done) Buf file = {.limit_bytes = landing->file.limit_bytes};
    TRY(page_file_write(&landing->coder, &note, body, (Str){0}, HTTP_ENCODING_IDENTITY, &file,
                        err));
    char label[LABEL_BYTES];
    path_label(name, label, sizeof(label));
    kill_point("page rewrite, %s page %" PRIu32, label, page);
    Path rows = places.folder;
    TRY(path_append(&rows, ROWS_FILE, err) && store_remove(landing->store, path_str(&rows), err));
    TRY(store_put(landing->store, path_str(&places.zstd), buf_str(&file), 0, err));
    kill_point("page was rewritten, %s page %" PRIu32, label, page);
    TRY(!places.gzip_there || remove_gzip(landing, &places, buf_str(&file), err));
    *info = note.info;
    return true;
}
