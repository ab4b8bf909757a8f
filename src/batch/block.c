#include "batch/block.h"

#include "base/fault.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

// Sizes are rounded up to STEP_BYTES; what is smaller is not worth keeping.
enum { STEP_BYTES = 16 * 1024 };

struct Block {
    atomic_size_t users;
    size_t size;
    alignas(BLOCK_ALIGNMENT) uint8_t bytes[];
};

static struct {
    pthread_mutex_t mutex;
    Block *blocks[BLOCKS_KEPT_MAX];
    size_t count;
    size_t bytes;
    bool off;
} kept = {.mutex = PTHREAD_MUTEX_INITIALIZER};

// A sanitizer that looks for memory used after its end must see the end.
static bool may_keep(const Block *block)
{
#ifdef __SANITIZE_ADDRESS__
    (void)block;
    return false;
#else
    return !kept.off && kept.count < BLOCKS_KEPT_MAX && block->size >= STEP_BYTES &&
           block->size <= BLOCKS_KEPT_BYTES_MAX - kept.bytes;
#endif
}

// One that is large enough, and not so large that a batch would cost much more memory than it says.
static Block *take_kept(size_t size)
{
    Block *found = NULL;
    pthread_mutex_lock(&kept.mutex);
    for (size_t i = kept.count; i > 0; i--) {
        Block *block = kept.blocks[i - 1];
        if (block->size < size || block->size > size + size / 4 + STEP_BYTES)
            continue;
        found = block;
        kept.blocks[i - 1] = kept.blocks[--kept.count];
        kept.bytes -= block->size;
        break;
    }
    pthread_mutex_unlock(&kept.mutex);
    return found;
}

Block *block_new(size_t size)
{
    if (fault_here())
        return NULL;
    Block *block = take_kept(size);
    if (block == NULL) {
        const size_t step = size < STEP_BYTES ? BLOCK_ALIGNMENT : STEP_BYTES;
        const size_t rounded = (size + step - 1) / step * step;
        block = aligned_alloc(BLOCK_ALIGNMENT, sizeof(*block) + rounded);
        if (block == NULL)
            return NULL;
        block->size = rounded;
    }
    atomic_init(&block->users, 1);
    return block;
}

uint8_t *block_bytes(Block *block)
{
    return block->bytes;
}

void block_leave(Block *block)
{
    if (atomic_fetch_sub(&block->users, 1) != 1)
        return;
    pthread_mutex_lock(&kept.mutex);
    const bool keep = may_keep(block);
    if (keep) {
        kept.blocks[kept.count++] = block;
        kept.bytes += block->size;
    }
    pthread_mutex_unlock(&kept.mutex);
    if (!keep)
        free(block);
}

void blocks_keep(bool keep)
{
    pthread_mutex_lock(&kept.mutex);
    kept.off = !keep;
    while (!keep && kept.count > 0) {
        Block *block = kept.blocks[--kept.count];
        kept.bytes -= block->size;
        free(block);
    }
    pthread_mutex_unlock(&kept.mutex);
}

size_t blocks_kept_bytes(void)
{
    pthread_mutex_lock(&kept.mutex);
    const size_t bytes = kept.bytes;
    pthread_mutex_unlock(&kept.mutex);
    return bytes;
}

// NOLINTNEXTLINE(readability-non-const-parameter): what nanoarrow calls
static void buffer_release(struct ArrowBufferAllocator *allocator, uint8_t *data, int64_t size)
{
    (void)data;
    (void)size;
    block_leave(allocator->private_data);
}

struct ArrowBuffer block_buffer(Block *block, size_t at, size_t size)
{
    assert(at + size <= block->size);

    struct ArrowBuffer buffer;
    ArrowBufferInit(&buffer);
    buffer.data = block->bytes + at;
    buffer.size_bytes = (int64_t)size;
    buffer.capacity_bytes = (int64_t)size;
    buffer.allocator = ArrowBufferDeallocator(buffer_release, block);
    atomic_fetch_add(&block->users, 1);
    return buffer;
}
