// Claim: a database file is open once in a process.
//
// DuckDB locks its file with fcntl(), which keeps other processes out but knows nothing of a second
// opening in the same one: each would write over what the other has committed.
#pragma once

#include "base/error.h"

#include <sys/types.h>

// Zero claims nothing. It must not be moved while it does.
typedef struct Claim {
    struct Claim *next;
    dev_t device;
    ino_t file;
} Claim;

// ERROR_BUSY where another claim of this process has the file, by whatever path. A file that is not
// there yet is nobody's.
bool claim_take(Claim *claim, const char *path, Error *err) MUST_USE;
void claim_drop(Claim *claim); // once the file is closed; zero is fine
