#include "base/file.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static ErrorCode code_from_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: // nothing can have such a name
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_CONFLICT;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERROR_ACCESS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERROR_LIMIT;
    default:
        return ERROR_IO;
    }
}

bool file_error(Error *err, const char *what, const char *path)
{
    const int number = errno;
    return error_set(err, code_from_errno(number), "%s '%s': %s", what, path, strerror(number));
}

// A fault of the test loop looks like a disk that failed.
static bool faulty(void)
{
    if (!fault_here())
        return false;
    errno = EIO;
    return true;
}

bool file_read(const char *path, size_t limit_bytes, Arena *arena, Str *ret_bytes, Error *err)
{
    CLEANUP(close_fd) int fd = faulty() ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return file_error(err, "open", path);
    // A pipe has no size to trust, and opening one without O_NONBLOCK would wait for a writer.
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_NOT_FOUND, "open '%s': not a regular file", path);
    if ((uint64_t)status.st_size > limit_bytes)
        return error_set(err, ERROR_LIMIT, "read '%s': longer than %zu bytes", path, limit_bytes);

    const size_t size = (size_t)status.st_size;
    char *bytes = arena_alloc(arena, size + 1, err);
    TRY(bytes != NULL);
    size_t filled = 0;
    while (filled < size) {
        const ssize_t got = faulty() ? -1 : read(fd, bytes + filled, size - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_error(err, "read", path);
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    *ret_bytes = (Str){bytes, filled};
    return true;
}

static bool write_all(int fd, Str bytes, const char *path, Error *err)
{
    while (bytes.size > 0) {
        const ssize_t put = faulty() ? -1 : write(fd, bytes.data, bytes.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_error(err, "write", path);
        bytes = str_slice(bytes, (size_t)put, bytes.size);
    }
    if (faulty() || fsync(fd) != 0)
        return file_error(err, "flush", path);
    return true;
}

static bool sync_folder(const char *path, Error *err)
{
    const Str folder = file_folder(str_from(path));
    char name[PATH_MAX];
    (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(folder));
    CLEANUP(close_fd) int fd = faulty() ? -1 : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return file_error(err, "flush folder", name);
    return true;
}

// Writes a temporary sibling of `path`; its name is returned in `scratch`.
static bool write_scratch(const char *path, Str bytes, char scratch[PATH_MAX], Error *err)
{
    const int size = snprintf(scratch, PATH_MAX, "%s.XXXXXX", path);
    if (size < 0 || size >= PATH_MAX)
        return error_set(err, ERROR_LIMIT, "write: path longer than %d bytes", PATH_MAX);
    CLEANUP(close_fd) int fd = faulty() ? -1 : mkstemp(scratch);
    if (fd < 0)
        return file_error(err, "create", path);
    if (!write_all(fd, bytes, path, err)) {
        (void)unlink(scratch);
        return false;
    }
    return true;
}

bool file_write(const char *path, Str bytes, Error *err)
{
    char scratch[PATH_MAX];
    TRY(write_scratch(path, bytes, scratch, err));
    if (faulty() || rename(scratch, path) != 0) {
        file_error(err, "rename to", path);
        (void)unlink(scratch);
        return false;
    }
    return sync_folder(path, err);
}

static bool move_in(const char *scratch, const char *path, Error *err)
{
    // link() fails where rename() would silently replace.
    const bool linked = !faulty() && link(scratch, path) == 0;
    if (!linked)
        file_error(err, "create", path);
    (void)unlink(scratch);
    return linked && sync_folder(path, err);
}

bool file_create(const char *path, Str bytes, Error *err)
{
    char scratch[PATH_MAX];
    TRY(write_scratch(path, bytes, scratch, err));
    return move_in(scratch, path, err);
}

bool file_move_in(const char *scratch, const char *path, Error *err)
{
    CLEANUP(close_fd) int fd = faulty() ? -1 : open(scratch, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return file_error(err, "flush", scratch);
    return move_in(scratch, path, err);
}

bool file_move_over(const char *scratch, const char *path, Error *err)
{
    CLEANUP(close_fd) int fd = faulty() ? -1 : open(scratch, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return file_error(err, "flush", scratch);
    if (faulty() || rename(scratch, path) != 0)
        return file_error(err, "rename", path);
    return sync_folder(path, err);
}

// Creates one folder below a folder that is there. Whether it survives a crash is up to its parent.
static bool make_one_folder(const char *path, Error *err)
{
    if (!faulty() && mkdir(path, 0700) == 0)
        return sync_folder(path, err);
    struct stat status;
    if (errno == EEXIST && stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return true;
        errno = ENOTDIR;
    }
    return file_error(err, "make folder", path);
}

bool file_make_folder(const char *path, Error *err)
{
    char part[PATH_MAX];
    const size_t size = strlen(path);
    if (size >= sizeof(part))
        return error_set(err, ERROR_LIMIT, "make folder: path longer than %d bytes", PATH_MAX);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        TRY(make_one_folder(part, err));
    }
    return true;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_remove(const char *path, Error *err)
{
    if (faulty() || (unlink(path) != 0 && errno != ENOENT))
        return file_error(err, "remove", path);
    return true;
}

bool file_join(Arena *arena, Str folder, Str relative, Str *ret_path, Error *err)
{
    if (str_starts_with(relative, STR("/")))
        return arena_copy_str(arena, relative, ret_path, err);
    return arena_printf(arena, ret_path, err, STR_FMT "/" STR_FMT, STR_ARG(folder),
                        STR_ARG(relative));
}

Str file_folder(Str path)
{
    for (size_t i = path.size; i > 0; i--) {
        if (path.data[i - 1] == '/')
            return i == 1 ? STR("/") : str_slice(path, 0, i - 1);
    }
    return STR(".");
}

bool file_lock(const char *path, int *ret_fd, Error *err)
{
    int fd = faulty() ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(err, "open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const bool busy = errno == EWOULDBLOCK;
        file_error(err, "lock", path);
        (void)close(fd);
        return busy ? error_set(err, ERROR_BUSY, "lock '%s': another process holds it", path)
                    : false;
    }
    *ret_fd = fd;
    return true;
}

void file_unlock(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}
