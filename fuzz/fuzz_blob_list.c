// links: pawl_azure
// The answer to List Blobs: whatever comes, it is read or refused.
#include "azure/blob_list.h"

#include <stddef.h>

enum { ARENA_BYTES = 16 * 1024 * 1024 };

static bool look(void *visitor, const BlobEntry *entry, Error *err)
{
    (void)err;
    *(size_t *)visitor += entry->name.size;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    size_t total = 0;
    Str marker = {NULL, 0};
    if (arena != NULL)
        (void)!blob_list_read((Str){(const char *)data, size}, arena, look, &total, &marker, &err);
    return 0;
}
