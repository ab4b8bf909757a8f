// WarehouseSecrets: options of a driver that somebody may rotate while they are in use.
//
// run/ gives them to drivers that ask (use_secrets()): only it knows that a token came from a file.
#pragma once

#include "base/arena.h"

typedef struct WarehouseSecrets {
    // What the option is by now; {NULL, 0} where it is kept in no file, so that it stays what it
    // was.
    bool (*read)(void *state, const char *option, Arena *arena, Str *ret_text, Error *err);
    void *state;
} WarehouseSecrets;
