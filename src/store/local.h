// Local: what the files of the local disk's driver share. Nobody else includes it.
#pragma once

#include "base/fault.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum {
    LOCAL_LEASES_MAX = 16,
    LOCAL_FOLDERS_KNOWN = 16, // folders remembered to be durable
    LOCAL_DEPTH_MAX = 64,     // folders in each other
    LOCAL_FOLDER_BYTES_MAX = 512,
};

// A held lease: its lock ends with the process, whatever ends that.
typedef struct LocalLease {
    int lock_fd;
    uint64_t epoch; // 0 = this place is free
    char path[STORE_PATH_BYTES_MAX + 1];
} LocalLease;

typedef struct Local {
    Str path; // option
    Env *env;
    char root[PATH_MAX];
    // Files are written here first. The folder is locked as long as we live: unlocked ones are
    // litter.
    char scratch[PATH_MAX];
    int scratch_fd; // -1 = not made yet
    uint64_t scratch_count;
    // The last folders whose names, and those of all folders above them, are known to be durable.
    char known[LOCAL_FOLDERS_KNOWN][PATH_MAX];
    size_t known_next;
    LocalLease leases[LOCAL_LEASES_MAX];
} Local;

// A fault of the test loop looks like a disk that failed.
static inline bool local_fault(void)
{
    if (!fault_here())
        return false;
    errno = EIO;
    return true;
}

static inline void local_close_fd(const int *fd) // for CLEANUP()
{
    if (*fd >= 0)
        (void)close(*fd);
}

// The path in the file system.
bool local_name(const Local *local, Str path, char ret_name[PATH_MAX], Error *err) MUST_USE;

bool local_put(void *state, Str path, Str bytes, unsigned flags, Error *err);
bool local_read(void *state, Str path, uint64_t offset, char *bytes, size_t size, size_t *ret_got,
                Error *err);
bool local_list(void *state, Str folder, unsigned flags, StoreVisit *visit, void *visitor,
                Error *err);

bool local_lease_take(void *state, Str path, Str holder, int64_t ttl_us, uint64_t *ret_epoch,
                      Error *err);
bool local_lease_renew(void *state, Str path, Str holder, uint64_t epoch, int64_t ttl_us,
                       Error *err);
bool local_lease_release(void *state, Str path, Str holder, uint64_t epoch, Error *err);
void local_lease_close(Local *local);
