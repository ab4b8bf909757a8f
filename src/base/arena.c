#include "base/arena.h"

#include "base/fault.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = alignof(max_align_t) };

typedef struct Block {
    struct Block *next;
    size_t size; // bytes behind this header
    size_t used;
    alignas(max_align_t) char bytes[];
} Block;

struct Arena {
    Block *blocks; // the first is the one that is being filled
    size_t limit_bytes;
    size_t used_bytes;
    size_t first_bytes; // size of the first block: what the last round needed in several
};

Arena *arena_new(size_t limit_bytes, Error *err)
{
    assert(limit_bytes > 0);

    Arena *arena = fault_here() ? NULL : calloc(1, sizeof(*arena));
    if (arena == NULL) {
        error_set(err, ERROR_LIMIT, "arena: out of memory");
        return NULL;
    }
    arena->limit_bytes = limit_bytes;
    return arena;
}

void arena_free(Arena *arena)
{
    if (arena == NULL)
        return;
    for (Block *block = arena->blocks; block != NULL;) {
        Block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

void arena_freep(Arena **arena)
{
    arena_free(*arena);
}

void arena_wipe(Arena *arena)
{
    if (arena == NULL)
        return;
    for (Block *block = arena->blocks; block != NULL; block = block->next) {
        // Through a volatile pointer, or the compiler may drop writes to memory that is freed next.
        // All of the block: a reset or a resize may have left a secret behind what is used now.
        volatile char *bytes = block->bytes;
        for (size_t i = 0; i < block->size; i++)
            bytes[i] = 0;
    }
    arena_free(arena);
}

void arena_reset(Arena *arena)
{
    arena->used_bytes = 0;
    Block *block = arena->blocks;
    if (block != NULL && block->next == NULL) {
        block->used = 0;
        return;
    }
    // Several blocks: the next round gets one that is as large as all of them.
    arena->first_bytes = 0;
    while (block != NULL) {
        Block *next = block->next;
        arena->first_bytes += block->size;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
}

static Block *arena_grow(Arena *arena, size_t size)
{
    // Doubling keeps the number of blocks small; a large piece gets a block of its own size.
    size_t room = arena->blocks == NULL ? BLOCK_BYTES : arena->blocks->size * 2;
    if (room > (size_t)1024 * 1024)
        room = (size_t)1024 * 1024;
    if (arena->blocks == NULL && room < arena->first_bytes)
        room = arena->first_bytes;
    if (room < size)
        room = size;
    if (room > SIZE_MAX - sizeof(Block) || fault_here())
        return NULL;
    Block *block = malloc(sizeof(*block) + room);
    if (block == NULL)
        return NULL;
    *block = (Block){.next = arena->blocks, .size = room};
    arena->blocks = block;
    return block;
}

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void *arena_alloc_raw(Arena *arena, size_t size, Error *err)
{
    assert(arena != NULL);

    const size_t left = arena->limit_bytes - arena->used_bytes;
    const size_t rounded = round_up(size);
    if (size > left || rounded < size) {
        error_set(err, ERROR_LIMIT, "arena: %zu bytes asked, %zu of %zu left", size, left,
                  arena->limit_bytes);
        return NULL;
    }
    Block *block = arena->blocks;
    if (block == NULL || block->size - block->used < rounded)
        block = arena_grow(arena, rounded);
    if (block == NULL) {
        error_set(err, ERROR_LIMIT, "arena: out of memory for %zu bytes", size);
        return NULL;
    }
    void *piece = block->bytes + block->used;
    block->used += rounded;
    arena->used_bytes += size;
    return piece;
}

void *arena_alloc(Arena *arena, size_t size, Error *err)
{
    void *piece = arena_alloc_raw(arena, size, err);
    if (piece != NULL)
        memset(piece, 0, size);
    return piece;
}

void *arena_resize(Arena *arena, void *piece, size_t old_size, size_t size, Error *err)
{
    assert(piece != NULL);

    Block *block = arena->blocks;
    const size_t old_rounded = round_up(old_size);
    const size_t rounded = round_up(size);
    const bool last = (char *)piece + old_rounded == block->bytes + block->used;
    if (size <= old_size && !last)
        return piece;
    const size_t left = arena->limit_bytes - (arena->used_bytes - old_size);
    if (last && size <= left && rounded >= size &&
        rounded <= block->size - (block->used - old_rounded)) {
        block->used = block->used - old_rounded + rounded;
        arena->used_bytes = arena->used_bytes - old_size + size;
        return piece;
    }
    void *moved = arena_alloc_raw(arena, size, err);
    if (moved != NULL)
        memcpy(moved, piece, old_size < size ? old_size : size);
    return moved;
}

void *arena_alloc_array(Arena *arena, size_t count, size_t size, Error *err)
{
    assert(size > 0);

    if (count > SIZE_MAX / size) {
        error_set(err, ERROR_LIMIT, "arena: %zu items of %zu bytes", count, size);
        return NULL;
    }
    return arena_alloc(arena, count * size, err);
}

bool arena_copy_str(Arena *arena, Str text, Str *ret_copy, Error *err)
{
    char *copy = arena_alloc(arena, text.size + 1, err);
    TRY(copy != NULL);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    *ret_copy = (Str){copy, text.size};
    return true;
}

bool arena_printf(Arena *arena, Str *ret_text, Error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);

    char *text = arena_alloc(arena, (size_t)size + 1, err);
    TRY(text != NULL);
    va_start(args, format);
    (void)vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    *ret_text = (Str){text, (size_t)size};
    return true;
}

size_t arena_used_bytes(const Arena *arena)
{
    return arena->used_bytes;
}
