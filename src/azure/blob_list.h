// Blob list: reads the answer to List Blobs, the only XML that pawl meets. Not a reader of XML at
// large: it knows the elements that the service writes, and takes the rest for text.
#pragma once

#include "base/arena.h"

typedef struct BlobEntry {
    Str name; // of the blob, or of a common prefix, which ends in '/'
    uint64_t size;
    int64_t modified_us;
    bool is_prefix;
    bool is_folder; // a marker or directory of a hierarchical namespace: no blob with bytes in it
} BlobEntry;

// Returns false, with `err` set, to end the reading.
typedef bool BlobVisit(void *visitor, const BlobEntry *entry, Error *err);

// Visits blobs and prefixes as they stand. What an entry points to lives in `arena`, as does the
// marker, with which the next part is asked for (empty = that was all). ERROR_DATA for what is no
// such answer.
bool blob_list_read(Str xml, Arena *arena, BlobVisit *visit, void *visitor, Str *ret_marker,
                    Error *err) MUST_USE;
