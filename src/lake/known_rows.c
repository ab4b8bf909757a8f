#include "lake/known_rows.h"

#include <string.h>

// The file: the head, a PageHead for each page, the keys and then the hashes of each page that is
// there, each path behind its size (uint32_t), and the content_hash() of all that. Numbers are
// little-endian, as on every machine that pawl runs on.
typedef struct FileHead {
    char magic[8];
    Key128 made_by;
    uint32_t page_count;
    uint32_t drift_count;
} FileHead;

typedef struct PageHead {
    Key128 body;
    uint32_t there;
    uint32_t rows;
    int64_t records, overflowed, misfits;
    uint64_t bytes;
    uint64_t drift[KNOWN_DRIFT_WORDS];
} PageHead;

_Static_assert(sizeof(FileHead) == 32 && sizeof(PageHead) == 72, "written as they lie in memory");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "written as they lie in memory");

static const char magic[] = {'p', 'a', 'w', 'l', 'r', 'o', 'w', '3'};

static Str bytes_of(const void *data, size_t size)
{
    return (Str){data, size};
}

bool known_rows_write(const KnownRows *rows, Buf *out, Error *err)
{
    const size_t start = out->size;
    FileHead head = {
        .made_by = rows->made_by, .page_count = rows->page_count, .drift_count = rows->drift_count};
    memcpy(head.magic, magic, sizeof(magic));
    TRY(buf_append(out, bytes_of(&head, sizeof(head)), err));
    for (uint32_t i = 0; i < rows->page_count; i++) {
        const KnownRowsPage *page = &rows->pages[i];
        PageHead of_page = {.body = page->body,
                            .there = page->there ? 1 : 0,
                            .rows = page->there ? page->rows : 0,
                            .records = page->records,
                            .overflowed = page->overflowed,
                            .misfits = page->misfits,
                            .bytes = page->bytes};
        memcpy(of_page.drift, page->drift, sizeof(of_page.drift));
        TRY(buf_append(out, bytes_of(&of_page, sizeof(of_page)), err));
    }
    for (uint32_t i = 0; i < rows->page_count; i++) {
        const KnownRowsPage *page = &rows->pages[i];
        const size_t size = page->there ? page->rows * sizeof(Key128) : 0;
        TRY(buf_append(out, bytes_of(page->keys, size), err) &&
            buf_append(out, bytes_of(page->hashes, size), err));
    }
    for (uint32_t i = 0; i < rows->drift_count; i++) {
        const uint32_t size = (uint32_t)rows->drift[i].size;
        TRY(buf_append(out, bytes_of(&size, sizeof(size)), err) &&
            buf_append(out, rows->drift[i], err));
    }
    const Key128 sum = content_hash((Str){out->data + start, out->size - start});
    return buf_append(out, bytes_of(&sum, sizeof(sum)), err);
}

// Takes `size` bytes off the front of `rest`; NULL where there are fewer.
static const char *take(Str *rest, size_t size)
{
    if (size > rest->size)
        return NULL;
    const char *piece = rest->data;
    *rest = (Str){rest->data + size, rest->size - size};
    return piece;
}

static bool read_pages(Str *rest, KnownRowsPage *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *piece = take(rest, sizeof(PageHead));
        if (piece == NULL)
            return false;
        PageHead head;
        memcpy(&head, piece, sizeof(head));
        pages[i] = (KnownRowsPage){.there = head.there == 1,
                                   .body = head.body,
                                   .rows = head.rows,
                                   .records = head.records,
                                   .overflowed = head.overflowed,
                                   .misfits = head.misfits,
                                   .bytes = head.bytes};
        memcpy(pages[i].drift, head.drift, sizeof(head.drift));
    }
    for (uint32_t i = 0; i < count; i++) {
        const size_t size = pages[i].there ? pages[i].rows * sizeof(Key128) : 0;
        pages[i].keys = (const Key128 *)(const void *)take(rest, size);
        pages[i].hashes = (const Key128 *)(const void *)take(rest, size);
        if (pages[i].keys == NULL || pages[i].hashes == NULL)
            return false;
    }
    return true;
}

static bool read_paths(Str *rest, Str *paths, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = 0;
        const char *piece = take(rest, sizeof(size));
        if (piece == NULL)
            return false;
        memcpy(&size, piece, sizeof(size));
        piece = take(rest, size);
        if (piece == NULL)
            return false;
        paths[i] = (Str){piece, size};
    }
    return true;
}

// What stands between the head and the checksum.
static bool read_body(const FileHead *head, Str *rest, Arena *arena, KnownRows *rows,
                      bool *ret_good, Error *err)
{
    *ret_good =
        head->page_count <= rest->size / sizeof(PageHead) && head->drift_count <= KNOWN_DRIFT_MAX;
    if (!*ret_good)
        return true;
    KnownRowsPage *pages =
        arena_alloc_array(arena, (size_t)head->page_count + 1, sizeof(*pages), err);
    Str *paths = arena_alloc_array(arena, (size_t)head->drift_count + 1, sizeof(*paths), err);
    TRY(pages != NULL && paths != NULL);
    *ret_good = read_pages(rest, pages, head->page_count) &&
                read_paths(rest, paths, head->drift_count) && rest->size == 0;
    *rows = (KnownRows){.made_by = head->made_by,
                        .pages = pages,
                        .page_count = head->page_count,
                        .drift = paths,
                        .drift_count = head->drift_count};
    return true;
}

bool known_rows_read(Str bytes, const char *where, Arena *arena, KnownRows *ret_rows, Error *err)
{
    bool good = false;
    if (bytes.size >= sizeof(FileHead) + sizeof(Key128)) {
        Str rest = {bytes.data, bytes.size - sizeof(Key128)};
        const Key128 sum = content_hash(rest);
        FileHead head;
        memcpy(&head, take(&rest, sizeof(head)), sizeof(head));
        if (memcmp(&sum, bytes.data + bytes.size - sizeof(sum), sizeof(sum)) == 0 &&
            memcmp(head.magic, magic, sizeof(magic)) == 0)
            TRY(read_body(&head, &rest, arena, ret_rows, &good, err));
    }
    return good || error_set(err, ERROR_DATA, "%s: damaged", where);
}
