// Block: the memory that the buffers of one batch share. A few that nobody uses any more are kept
// for the next batch, for the whole process: the kernel gives and takes memory page by page, which
// for a run of millions of rows is a part of its time.
#pragma once

#include "base/error.h"

#include <nanoarrow/nanoarrow.h>

typedef struct Block Block;

enum {
    BLOCK_ALIGNMENT = 64,
    BLOCKS_KEPT_MAX = 256,
    BLOCKS_KEPT_BYTES_MAX = 64 * 1024 * 1024,
};

// Of at least `size` bytes, whose contents are undefined; block_leave() in any case. NULL for lack
// of memory.
Block *block_new(size_t size);

uint8_t *block_bytes(Block *block); // aligned to BLOCK_ALIGNMENT

// The last user's leaving frees the block or keeps it.
void block_leave(Block *block);

// Frees what is kept and keeps nothing from now on, or (`keep`) does so again: for when no batch
// will be made for a while.
void blocks_keep(bool keep);

// Memory that is kept now, at most BLOCKS_KEPT_BYTES_MAX.
size_t blocks_kept_bytes(void);

// `size` bytes at `at` as a buffer, which is another user of the block until it is reset.
struct ArrowBuffer block_buffer(Block *block, size_t at, size_t size);
