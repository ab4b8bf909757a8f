// A preloaded library that plays the loss of power: everything not flushed is gone when the process
// dies.
//
//   LD_PRELOAD=libpower_loss.so POWER_ROOT=/tmp/x/lake POWER_SHADOW=/tmp/x/shadow program...
//
// It follows what the program does below POWER_ROOT: bytes written and not yet fsynced, names made,
// moved or removed in folders not yet fsynced. When the program kills itself (a kill point: kill()
// of its own process with SIGKILL), all of that is undone first. Flushing is only recorded, never
// done, so that thousands of losses cost seconds.
//
//   POWER_AT=n         also dies before the nth change or flush below the root, counted from 1
//   POWER_COUNT=file   writes how many there were, at a regular end
//   POWER_NAMES=strict a name is kept once its folder was fsynced, and the folders above it
//   (default) POWER_NAMES=kernel a flush of anything keeps all names so far, as the journals of
//   ext4 and xfs do POWER_NAMES=kept   names are always kept, bytes are not: what a crash leaves of
//   files written lazily
//
// POWER_SHADOW is an empty folder on the same file system, outside the root. Not followed: fopen(),
// writev(), mmap(), and kills that come from outside. One process: children are not followed
// either.
#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { FILES_MAX = 20000, OPS_MAX = 100000 };

typedef struct Identity {
    dev_t device;
    ino_t inode;
} Identity;

// Bytes as they were when last flushed.
typedef struct Image {
    struct Image *next;
    off_t offset;
    size_t size;
    char bytes[];
} Image;

// A file with unflushed bytes. `fd` is our own: names may have changed by the time it is needed.
typedef struct File {
    Identity identity;
    int fd;
    off_t flushed_size;
    Image *images; // the last one first
} File;

typedef enum OpKind { OP_NAME, OP_UNNAME, OP_MOVE, OP_FOLDER, OP_UNFOLDER } OpKind;

// A change of names that is not durable yet.
typedef struct Op {
    OpKind kind;
    Identity folder; // whose flush makes it durable
    char *path;
    char *from;      // OP_MOVE
    unsigned shadow; // what was removed or replaced; 0 = nothing
} Op;

typedef enum Names { NAMES_STRICT, NAMES_KERNEL, NAMES_KEPT } Names;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root; // NULL = nothing is followed
static size_t root_size;
static const char *shadow;
static Names names;
static long die_at;
static long changes;
static File files[FILES_MAX];
static size_t file_count;
static Op ops[OPS_MAX];
static size_t op_count;
static unsigned shadow_count;

// The functions behind ours.
static struct {
    int (*openat)(int, const char *, int, ...);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    int (*ftruncate)(int, off_t);
    int (*fsync)(int);
    int (*linkat)(int, const char *, int, const char *, int);
    int (*renameat2)(int, const char *, int, const char *, unsigned);
    int (*unlinkat)(int, const char *, int);
    int (*mkdirat)(int, const char *, mode_t);
    int (*kill)(pid_t, int);
} real;

static void find(const char *name, void *place)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL)
        abort();
    memcpy(place, &symbol, sizeof(symbol)); // ISO C has no cast from data to function
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "power_loss: %s: %s\n", what, strerror(errno));
    abort();
}

// Also from the first call, which the constructor of another library may make before ours has run.
__attribute__((constructor)) static void start(void)
{
    static bool started;
    if (started)
        return;
    started = true;
    find("openat", &real.openat);
    find("write", &real.write);
    find("pwrite", &real.pwrite);
    find("ftruncate", &real.ftruncate);
    find("fsync", &real.fsync);
    find("linkat", &real.linkat);
    find("renameat2", &real.renameat2);
    find("unlinkat", &real.unlinkat);
    find("mkdirat", &real.mkdirat);
    find("kill", &real.kill);
    const char *mode = getenv("POWER_NAMES");
    const char *at = getenv("POWER_AT");
    shadow = getenv("POWER_SHADOW");
    root = shadow == NULL ? NULL : getenv("POWER_ROOT");
    root_size = root == NULL ? 0 : strlen(root);
    die_at = at == NULL ? 0 : atol(at);
    if (mode != NULL && strcmp(mode, "kernel") == 0)
        names = NAMES_KERNEL;
    if (mode != NULL && strcmp(mode, "kept") == 0)
        names = NAMES_KEPT;
}

__attribute__((destructor)) static void finish(void)
{
    const char *path = getenv("POWER_COUNT");
    const int fd =
        path == NULL ? -1 : real.openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return;
    char text[32];
    const int size = snprintf(text, sizeof(text), "%ld\n", changes);
    if (real.write(fd, text, (size_t)size) != size)
        fail("count");
    (void)close(fd);
}

// --- what is followed

static bool below_root(const char *path)
{
    return root != NULL && strncmp(path, root, root_size) == 0 &&
           (path[root_size] == '/' || path[root_size] == '\0');
}

// The absolute path; false when it is none of ours.
static bool resolve(int folder, const char *path, char full[PATH_MAX])
{
    start();
    if (root == NULL || path == NULL)
        return false;
    char base[PATH_MAX] = "";
    if (path[0] != '/' && folder == AT_FDCWD) {
        if (getcwd(base, sizeof(base)) == NULL)
            return false;
    } else if (path[0] != '/') {
        char link[64];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
        const ssize_t size = readlink(link, base, sizeof(base) - 1);
        if (size < 0)
            return false;
        base[size] = '\0';
    }
    const int size = snprintf(full, PATH_MAX, "%s%s%s", base, base[0] == '\0' ? "" : "/", path);
    return size > 0 && size < PATH_MAX && below_root(full);
}

static bool fd_is_ours(int fd)
{
    start();
    char link[64];
    char path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t size = root == NULL ? -1 : readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return false;
    path[size] = '\0'; // " (deleted)" behind a removed file does no harm
    return below_root(path);
}

static bool same(Identity a, Identity b)
{
    return a.device == b.device && a.inode == b.inode;
}

static Identity identity_of(const struct stat *status)
{
    return (Identity){status->st_dev, status->st_ino};
}

static Identity parent_of(const char *path)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    struct stat status;
    if (slash == NULL || slash == folder)
        return (Identity){0};
    *slash = '\0';
    return stat(folder, &status) == 0 ? identity_of(&status) : (Identity){0};
}

// --- the loss

static void shadow_name(unsigned number, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%u", shadow, number);
}

static void undo_file(const File *file)
{
    for (const Image *image = file->images; image != NULL; image = image->next) {
        if (real.pwrite(file->fd, image->bytes, image->size, image->offset) != (ssize_t)image->size)
            fail("undo write");
    }
    if (real.ftruncate(file->fd, file->flushed_size) != 0)
        fail("undo size");
}

// A name that is gone already was in a folder that was lost itself.
static void undo_op(const Op *op)
{
    char saved[PATH_MAX];
    shadow_name(op->kind == OP_FOLDER ? ++shadow_count : op->shadow, saved);
    switch (op->kind) {
    case OP_NAME:
        (void)real.unlinkat(AT_FDCWD, op->path, 0);
        break;
    case OP_UNNAME:
        (void)real.linkat(AT_FDCWD, saved, AT_FDCWD, op->path, 0);
        break;
    case OP_MOVE:
        (void)real.renameat2(AT_FDCWD, op->path, AT_FDCWD, op->from, 0);
        if (op->shadow != 0)
            (void)real.linkat(AT_FDCWD, saved, AT_FDCWD, op->path, 0);
        break;
    case OP_FOLDER:
        (void)real.renameat2(AT_FDCWD, op->path, AT_FDCWD, saved, 0);
        break;
    case OP_UNFOLDER:
        (void)real.mkdirat(AT_FDCWD, op->path, 0700);
        break;
    }
}

static void lose_power(void)
{
    for (size_t i = 0; i < file_count; i++)
        undo_file(&files[i]);
    for (size_t i = op_count; i > 0 && names != NAMES_KEPT; i--)
        undo_op(&ops[i - 1]);
    (void)real.kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

// Every change and flush passes here first. Other threads wait at the mutex, for ever if need be.
static void enter(bool ours)
{
    (void)pthread_mutex_lock(&mutex);
    if (ours && ++changes == die_at)
        lose_power();
}

static void leave(void)
{
    const int number = errno;
    (void)pthread_mutex_unlock(&mutex);
    errno = number;
}

// --- bytes

static File *find_file(Identity identity)
{
    for (size_t i = file_count; i > 0; i--) {
        if (same(files[i - 1].identity, identity))
            return &files[i - 1];
    }
    return NULL;
}

// The file behind `fd`, followed from now on: what it holds at this moment counts as flushed.
static File *follow(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return NULL;
    File *file = find_file(identity_of(&status));
    if (file != NULL)
        return file;
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const int own = real.openat(AT_FDCWD, link, O_RDWR | O_CLOEXEC);
    if (own < 0 || file_count == FILES_MAX)
        fail("follow");
    files[file_count] =
        (File){.identity = identity_of(&status), .fd = own, .flushed_size = status.st_size};
    return &files[file_count++];
}

// Keeps what is about to be overwritten or cut off.
static void keep_image(File *file, off_t offset, size_t size)
{
    if (file == NULL || offset >= file->flushed_size)
        return;
    if ((off_t)size > file->flushed_size - offset)
        size = (size_t)(file->flushed_size - offset);
    Image *image = malloc(sizeof(*image) + size);
    if (image == NULL)
        fail("keep");
    const ssize_t got = pread(file->fd, image->bytes, size, offset);
    image->size = got < 0 ? 0 : (size_t)got;
    image->offset = offset;
    image->next = file->images;
    file->images = image;
}

static void flush_file(Identity identity)
{
    File *file = find_file(identity);
    if (file == NULL)
        return;
    while (file->images != NULL) {
        Image *next = file->images->next;
        free(file->images);
        file->images = next;
    }
    (void)close(file->fd);
    *file = files[--file_count];
}

// --- names

static void drop_ops(bool all, Identity folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < op_count; i++) {
        if (!all && !same(ops[i].folder, folder)) {
            ops[kept++] = ops[i];
            continue;
        }
        free(ops[i].path);
        free(ops[i].from);
    }
    op_count = kept;
}

static void add_op(OpKind kind, const char *path, const char *from, unsigned saved)
{
    if (op_count == OPS_MAX)
        fail("too many changes of names");
    Op *op = &ops[op_count++];
    *op = (Op){.kind = kind, .folder = parent_of(path), .path = strdup(path), .shadow = saved};
    op->from = from == NULL ? NULL : strdup(from);
    if (op->path == NULL || (from != NULL && op->from == NULL))
        fail("name");
}

// Gives what is about to lose its name another one among the shadows; 0 when there is nothing.
static unsigned save(const char *path)
{
    char saved[PATH_MAX];
    shadow_name(++shadow_count, saved);
    return real.linkat(AT_FDCWD, path, AT_FDCWD, saved, 0) == 0 ? shadow_count : 0;
}

// --- the functions that programs call

static int open_any(int folder, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    if (!resolve(folder, path, full) || (flags & O_ACCMODE) == O_RDONLY)
        return real.openat(folder, path, flags, mode);
    struct stat status;
    const bool there = stat(full, &status) == 0;
    const bool changing = !there || ((flags & O_TRUNC) != 0 && status.st_size > 0);
    enter(changing);
    if (there && changing) {
        const int old = real.openat(AT_FDCWD, full, O_RDWR | O_CLOEXEC);
        if (old >= 0) {
            keep_image(follow(old), 0, SIZE_MAX / 2);
            (void)close(old);
        }
    }
    const int fd = real.openat(folder, path, flags, mode);
    if (fd >= 0 && !there) {
        (void)follow(fd);
        add_op(OP_NAME, full, NULL, 0);
    }
    leave();
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(args, unsigned) : 0;
}

#define OPEN(name)                                    \
    EXPORT int name(const char *path, int flags, ...) \
    {                                                 \
        va_list args;                                 \
        va_start(args, flags);                        \
        const mode_t mode = mode_of(flags, args);     \
        va_end(args);                                 \
        return open_any(AT_FDCWD, path, flags, mode); \
    }
#define OPENAT(name)                                              \
    EXPORT int name(int folder, const char *path, int flags, ...) \
    {                                                             \
        va_list args;                                             \
        va_start(args, flags);                                    \
        const mode_t mode = mode_of(flags, args);                 \
        va_end(args);                                             \
        return open_any(folder, path, flags, mode);               \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

// glibc's own calls open behind our back.
EXPORT int mkstemp(char *pattern)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char *end = pattern + strlen(pattern) - 6;
    static unsigned long last;
    for (int tries = 0; tries < 100; tries++) {
        unsigned long number = __atomic_add_fetch(&last, 2654435761UL, __ATOMIC_RELAXED) ^
                               (unsigned long)getpid() << 20;
        for (int i = 0; i < 6; i++, number /= 36)
            end[i] = letters[number % 36];
        const int fd = open_any(AT_FDCWD, pattern, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

EXPORT int mkstemp64(char *pattern)
{
    return mkstemp(pattern);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    const bool ours = fd_is_ours(fd);
    if (!ours)
        return real.write(fd, bytes, size);
    enter(true);
    const bool appending = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    const off_t offset = lseek(fd, 0, appending ? SEEK_END : SEEK_CUR);
    keep_image(follow(fd), offset, size);
    const ssize_t put = real.write(fd, bytes, size);
    leave();
    return put;
}

static ssize_t pwrite_any(int fd, const void *bytes, size_t size, off_t offset)
{
    const bool ours = fd_is_ours(fd);
    if (!ours)
        return real.pwrite(fd, bytes, size, offset);
    enter(true);
    keep_image(follow(fd), offset, size);
    const ssize_t put = real.pwrite(fd, bytes, size, offset);
    leave();
    return put;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite_any(fd, bytes, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return pwrite_any(fd, bytes, size, offset);
}

static int ftruncate_any(int fd, off_t size)
{
    if (!fd_is_ours(fd))
        return real.ftruncate(fd, size);
    enter(true);
    keep_image(follow(fd), size, SIZE_MAX / 2);
    const int result = real.ftruncate(fd, size);
    leave();
    return result;
}

EXPORT int ftruncate(int fd, off_t size)
{
    return ftruncate_any(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    return ftruncate_any(fd, size);
}

static int flush_any(int fd)
{
    struct stat status;
    if (!fd_is_ours(fd) || fstat(fd, &status) != 0)
        return real.fsync(fd);
    enter(true);
    if (S_ISREG(status.st_mode))
        flush_file(identity_of(&status));
    drop_ops(names == NAMES_KERNEL, identity_of(&status));
    leave();
    return 0;
}

EXPORT int fsync(int fd)
{
    return flush_any(fd);
}

EXPORT int fdatasync(int fd)
{
    return flush_any(fd);
}

static void flush_all(void)
{
    while (file_count > 0)
        flush_file(files[0].identity);
    drop_ops(true, (Identity){0});
}

EXPORT int syncfs(int fd)
{
    enter(fd_is_ours(fd));
    flush_all();
    leave();
    return 0;
}

EXPORT void sync(void)
{
    enter(root != NULL);
    flush_all();
    leave();
}

EXPORT int linkat(int from_folder, const char *from, int folder, const char *path, int flags)
{
    char full[PATH_MAX];
    if (!resolve(folder, path, full))
        return real.linkat(from_folder, from, folder, path, flags);
    enter(true);
    const int result = real.linkat(from_folder, from, folder, path, flags);
    if (result == 0)
        add_op(OP_NAME, full, NULL, 0);
    leave();
    return result;
}

EXPORT int link(const char *from, const char *path)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, path, 0);
}

EXPORT int renameat2(int from_folder, const char *from, int folder, const char *path,
                     unsigned flags)
{
    char full[PATH_MAX];
    char full_from[PATH_MAX];
    if (!resolve(folder, path, full) || !resolve(from_folder, from, full_from))
        return real.renameat2(from_folder, from, folder, path, flags);
    enter(true);
    const unsigned saved = save(full);
    const int result = real.renameat2(from_folder, from, folder, path, flags);
    if (result == 0)
        add_op(OP_MOVE, full, full_from, saved);
    leave();
    return result;
}

EXPORT int renameat(int from_folder, const char *from, int folder, const char *path)
{
    return renameat2(from_folder, from, folder, path, 0);
}

EXPORT int rename(const char *from, const char *path)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, path, 0);
}

EXPORT int unlinkat(int folder, const char *path, int flags)
{
    char full[PATH_MAX];
    if (!resolve(folder, path, full))
        return real.unlinkat(folder, path, flags);
    const bool is_folder = (flags & AT_REMOVEDIR) != 0;
    enter(true);
    const unsigned saved = is_folder ? 0 : save(full);
    const int result = real.unlinkat(folder, path, flags);
    if (result == 0)
        add_op(is_folder ? OP_UNFOLDER : OP_UNNAME, full, NULL, saved);
    leave();
    return result;
}

EXPORT int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

EXPORT int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int mkdirat(int folder, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    if (!resolve(folder, path, full))
        return real.mkdirat(folder, path, mode);
    struct stat status;
    enter(stat(full, &status) != 0);
    const int result = real.mkdirat(folder, path, mode);
    if (result == 0)
        add_op(OP_FOLDER, full, NULL, 0);
    leave();
    return result;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

EXPORT int kill(pid_t process, int number)
{
    start();
    if (root != NULL && process == getpid() && number == SIGKILL) {
        (void)pthread_mutex_lock(&mutex);
        lose_power();
    }
    return real.kill(process, number);
}
