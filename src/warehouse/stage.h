// StageFiles: where a warehouse finds files that pawl puts for it, and what pawl keeps beside them.
//
// A driver whose warehouse reads from storage (Snowflake's external stage) gets these from run/,
// which opens the store that the job names. Paths are those of store.h, relative to the stage's
// root; so are the errors.
#pragma once

#include "base/arena.h"

typedef struct StageFiles {
    bool (*put)(void *state, Str path, Str bytes, Error *err);
    bool (*create)(void *state, Str path, Str bytes, Error *err); // ERROR_CONFLICT: it is there
    bool (*read)(void *state, Str path, size_t limit_bytes, Arena *arena, Str *ret_bytes,
                 Error *err);
    bool (*list)(void *state, Str folder, bool (*visit)(void *visitor, Str path), void *visitor,
                 Error *err);
    bool (*remove)(void *state, Str path, Error *err);
    void (*close)(void *state);
    void *state; // NULL = there are none
} StageFiles;
