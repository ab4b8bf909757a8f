// Page file: one landed page that speaks for itself.
//
// In front of the page as it was compressed stands a note: JSON, a line end, the SHA-256 of that
// JSON in hexadecimal, a line end. In a zstd file it is a skippable frame (RFC 8878, 3.1.2), in a
// gzip file the extra field "Pw" of an empty member (RFC 1952, 2.3.1.1), so that every tool for
// such files reads over it.
#pragma once

#include "lake/landing.h"

enum { PAGE_NOTE_BYTES_MAX = 32 * 1024 };

typedef struct PageNote {
    Str stream;
    Str partition_key;
    uint32_t slice;
    uint32_t reading;
    uint32_t page;
    PageInfo info; // stored_bytes is not written; a reader gets it from the file
} PageNote;

// Compressors and decompressors, kept for the next page. Starts as {.level = ...}; one thread at a
// time.
typedef struct PageCoder {
    int level;
    void *zstd_in;  // ZSTD_CCtx
    void *zstd_out; // ZSTD_DCtx
} PageCoder;

// Appends the file to `out`: `encoded` as it is, or `body` compressed when `encoded` is empty.
// Fills in body_bytes, stored_bytes and page_sha256.
bool page_file_write(PageCoder *coder, PageNote *note, Str body, Str encoded, HttpEncoding encoding,
                     Buf *out, Error *err) MUST_USE;

// Only what stands in front. `ret_size` is where the page begins.
bool page_file_read_note(Str file, const char *where, Arena *arena, PageNote *ret_note,
                         size_t *ret_size, Error *err) MUST_USE;

// The page as it is stored, without a look at its checksum or at what the note says.
bool page_file_find_page(Str file, const char *where, Str *ret_page, Error *err) MUST_USE;

// Reads and verifies all of it. ERROR_DATA, with `where` in front, for anything that was not
// written so.
bool page_file_read(PageCoder *coder, Str file, const char *where, Arena *arena, PageNote *ret_note,
                    Str *ret_body, Error *err) MUST_USE;

void page_coder_done(PageCoder *coder);
