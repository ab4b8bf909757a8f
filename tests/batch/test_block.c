// Block: memory that outlives its users is given to the next one that it fits, within bounds.
#include "batch/block.h"
#include "harness/check.h"

enum { SIZE = 300 * 1024 };

#ifndef __SANITIZE_ADDRESS__ // which wants to see each block freed

TEST(a_block_that_everybody_left_serves_the_next)
{
    Block *first = block_new(SIZE);
    struct ArrowBuffer buffer = block_buffer(first, BLOCK_ALIGNMENT, 100);
    block_leave(first);
    Block *second = block_new(SIZE);
    CHECK(second != first); // the buffer still uses it
    ArrowBufferReset(&buffer);
    Block *third = block_new(SIZE - 100);
    CHECK(third == first);
    block_leave(second);
    block_leave(third);
}

TEST(no_block_serves_a_batch_much_smaller_or_larger)
{
    Block *block = block_new(SIZE);
    block_leave(block);
    Block *small = block_new(SIZE / 3);
    Block *large = block_new(3 * SIZE);
    CHECK(small != block && large != block);
    block_leave(small);
    block_leave(large);
}

TEST(what_is_kept_is_bounded)
{
    Block *blocks[8] = {NULL};
    enum { COUNT = sizeof(blocks) / sizeof(*blocks), LARGE = BLOCKS_KEPT_BYTES_MAX / 5 };
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = block_new(LARGE);
    for (size_t i = 0; i < COUNT; i++)
        block_leave(blocks[i]);
    CHECK(blocks_kept_bytes() <= BLOCKS_KEPT_BYTES_MAX);
    CHECK(blocks_kept_bytes() > BLOCKS_KEPT_BYTES_MAX - LARGE);
}

TEST(nothing_is_kept_where_nobody_wants_it)
{
    Block *before = block_new(SIZE);
    Block *after = block_new(SIZE);
    block_leave(before);
    CHECK(blocks_kept_bytes() >= SIZE);
    blocks_keep(false);
    CHECK_INT((int64_t)blocks_kept_bytes(), 0);
    block_leave(after);
    CHECK_INT((int64_t)blocks_kept_bytes(), 0);
    blocks_keep(true);
    Block *again = block_new(SIZE);
    block_leave(again);
    CHECK(blocks_kept_bytes() >= SIZE);
}

#endif

TEST(blocks_and_their_buffers_are_aligned)
{
    Block *block = block_new(SIZE);
    CHECK_INT((int64_t)((uintptr_t)block_bytes(block) % BLOCK_ALIGNMENT), 0);
    memset(block_bytes(block), 1, SIZE);
    struct ArrowBuffer buffer = block_buffer(block, SIZE - BLOCK_ALIGNMENT, BLOCK_ALIGNMENT);
    CHECK(buffer.data == block_bytes(block) + SIZE - BLOCK_ALIGNMENT);
    ArrowBufferReset(&buffer);
    block_leave(block);
}
