// The landing's names for things, from our values to paths and back. Inside src/lake only.
#pragma once

#include "lake/known_pages.h"
#include "lake/landing.h"
#include "lake/page_file.h"

typedef struct Path {
    char text[STORE_PATH_BYTES_MAX + 1];
    size_t size;
} Path;

struct Landing {
    Store *store;
    Path runs; // "<job>/runs"
    PageCoder coder;
    Buf file;                // the page in hand
    bool gzip_first;         // the last page was gzip, so the next one probably is
    bool is_fresh;           // see landing_expect_nothing()
    const KnownPages *known; // NULL = pages are always compressed
    Buf before;              // the file that a known page is taken from
    KnownPage found;         // where the page put last was landed before; no folder: nowhere
    Buf rows_file;           // that is read into `rows`
    Arena *rows_arena;       // of its lists; NULL until first used
    Str rows_folder;         // whose rows those are; none as yet: empty
    KnownRows rows;
    bool rows_there;
};

#define ROWS_FILE STR("rows.bin") // in a slice's folder

enum { PARTITION_DIGITS = 16, TAG_DIGITS = 4, WHERE_BYTES = STORE_PATH_BYTES_MAX + 3 };

static inline Str path_str(const Path *path)
{
    return (Str){path->text, path->size};
}

bool path_of_run(const Landing *landing, Str run, Path *ret_path, Error *err) MUST_USE;
bool path_of_stream(const Landing *landing, Str run, Str stream, Path *ret_path,
                    Error *err) MUST_USE;
bool path_of_slice(const Landing *landing, const SliceName *name, Path *ret_path,
                   Error *err) MUST_USE;
// `relative` is appended behind a '/', as it is.
bool path_append(Path *path, Str relative, Error *err) MUST_USE;
bool path_append_page(Path *path, uint32_t page, bool is_gzip, Error *err) MUST_USE;
// `name` with %XX for what may not stand in a part.
bool path_append_name(Path *path, Str name, Error *err) MUST_USE;

// The reverse of path_append_name(); `text` has room for LANDING_NAME_BYTES_MAX. False for a name
// that is not one of ours.
bool path_parse_name(Str part, char text[LANDING_NAME_BYTES_MAX], Str *ret_name);
bool path_parse_slice(Str part, uint32_t *ret_slice, uint32_t *ret_reading);
bool path_parse_page(Str part, uint32_t *ret_page, bool *ret_is_gzip);
bool path_is_partition(Str part);

typedef struct ReadPage {
    Str body;
    PageInfo info;
} ReadPage;

// One file of a page. ERROR_NOT_FOUND or ERROR_DATA. Leaves the file in landing->file.
bool landing_read_page(Landing *landing, const Path *path, const SliceName *name, uint32_t page,
                       Arena *arena, ReadPage *ret_page, Error *err) MUST_USE;
bool landing_is_there(Landing *landing, const Path *path, bool *ret_there, Error *err) MUST_USE;

// "calls 1f0c slice 3 reading 1": the same in every run.
void path_label(const SliceName *name, char *text, size_t size);
enum { LABEL_BYTES = LANDING_NAME_BYTES_MAX + 64 };
