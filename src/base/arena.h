// Arena: memory that lives and dies together. One per run, one per page, one per request.
//
// An arena hands out pieces of larger blocks, so a small allocation costs an addition. It belongs
// to one thread at a time.
#pragma once

#include "base/error.h"
#include "base/str.h"

typedef struct Arena Arena;

// Owned by the caller; free with arena_free(). `limit_bytes` bounds all it will ever hand out.
Arena *arena_new(size_t limit_bytes, Error *err) MUST_USE;
void arena_free(Arena *arena);   // NULL is fine
void arena_freep(Arena **arena); // for CLEANUP()

// Like arena_free(), after overwriting everything: for arenas that held a secret.
void arena_wipe(Arena *arena);

// Everything handed out becomes invalid. What was needed stays, or comes back as one block, so that
// a page arena settles into no allocation at all.
void arena_reset(Arena *arena);

// Zeroed, aligned for any type, valid until the arena is freed or reset. NULL with ERROR_LIMIT.
void *arena_alloc(Arena *arena, size_t size, Error *err) MUST_USE;

// Like arena_alloc(), but not zeroed: for bytes that are filled at once anyway.
void *arena_alloc_raw(Arena *arena, size_t size, Error *err) MUST_USE;

// Makes a piece longer or shorter, in place where it is the last one handed out. What is new is not
// zeroed. NULL with ERROR_LIMIT leaves the piece as it is.
void *arena_resize(Arena *arena, void *piece, size_t old_size, size_t size, Error *err) MUST_USE;

// `count` items of `size` bytes; the product cannot overflow. NULL with ERROR_LIMIT.
void *arena_alloc_array(Arena *arena, size_t count, size_t size, Error *err) MUST_USE;

// A copy that lives in the arena, with a NUL behind it that its size does not count.
bool arena_copy_str(Arena *arena, Str text, Str *ret_copy, Error *err) MUST_USE;

// printf into the arena, NUL-terminated like arena_copy_str().
bool arena_printf(Arena *arena, Str *ret_text, Error *err, const char *format, ...)
    PRINTF_LIKE(4, 5) MUST_USE;

// Bytes handed out so far.
size_t arena_used_bytes(const Arena *arena);
