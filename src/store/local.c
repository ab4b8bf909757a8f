// The store on a local disk (or one that several machines mount).
//
// A file is written below .store/tmp first and then linked to its name, which fails where the name
// is taken and never shows half a file. The scratch folder of each Store is locked while the Store
// lives; what a killed process left is known by its missing lock, and removed by the next Store
// that writes.
//
// Durability was chosen by measurement (ext4, 50 KB files): fdatasync costs about 0.5 ms a file,
// syncfs 0.15 ms a file when it covers a few hundred, but at least 3 ms, and it also waits for what
// others wrote. So publish() flushes a few files one by one and many with syncfs. To begin writing
// early with sync_file_range() only moves the cost into the caller, and neither O_TMPFILE nor
// rename() is faster than link() and unlink().
#define _GNU_SOURCE // syncfs; NOLINT(bugprone-reserved-identifier): glibc names it so

#include "store/local.h"

#include "base/file.h"
#include "base/kill.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
    FLUSH_ONE_BY_ONE_MAX = 24, // files; above, syncfs is faster
    SCRATCH_TRIES_MAX = 100,
};

static const char tmp_folder[] = ".store/tmp";

// clang-format off
static const Field local_fields[] = {
    {"path", FIELD_STR(Local, path), .required = true, .help = "folder that holds the files; created when missing"},
    {0},
};
// clang-format on

static bool local_open(void *state, Str folder, Env *env, Error *err)
{
    Local *local = state;
    local->env = env;
    local->scratch_fd = -1;
    if (local->path.size == 0)
        return error_set(err, ERROR_JOB, "local store: 'path' is missing");
    const bool joined = folder.size > 0 && local->path.data[0] != '/';
    const int size =
        snprintf(local->root, sizeof(local->root), STR_FMT "%s" STR_FMT,
                 STR_ARG(joined ? folder : STR("")), joined ? "/" : "", STR_ARG(local->path));
    // Below the root there must be room for the longest path and for our own names.
    if (size < 0 || size > PATH_MAX - STORE_PATH_BYTES_MAX - 100)
        return error_set(err, ERROR_JOB, "local store: 'path' is too long");
    return true;
}

bool local_name(const Local *local, Str path, char ret_name[PATH_MAX], Error *err)
{
    const int size = snprintf(ret_name, PATH_MAX, "%s/" STR_FMT, local->root, STR_ARG(path));
    if (size < 0 || size >= PATH_MAX)
        return error_set(err, ERROR_LIMIT, "path '" STR_FMT "': too long", STR_ARG(path));
    return true;
}

// --- the scratch folder

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// Removes a scratch folder that nobody has locked. Whatever goes wrong is left to the next one.
static void sweep_one(int parent_fd, const char *name)
{
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    DIR *folder = flock(fd, LOCK_EX | LOCK_NB) == 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        (void)close(fd);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (!is_dots(entry->d_name))
            (void)unlinkat(fd, entry->d_name, 0);
    }
    (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
    (void)closedir(folder);
}

static void sweep(const char *tmp)
{
    DIR *folder = opendir(tmp);
    if (folder == NULL)
        return;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (!is_dots(entry->d_name))
            sweep_one(dirfd(folder), entry->d_name);
    }
    (void)closedir(folder);
}

// Makes and locks one folder. *ret_fd = -1: another Store was in the way, try another name.
static bool claim_scratch(const char *name, int *ret_fd, Error *err)
{
    *ret_fd = -1;
    if (local_fault() || mkdir(name, 0700) != 0)
        return errno == EEXIST || file_error(err, "make folder", name);
    const int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    // Between mkdir() and flock() a sweeper may have taken it for litter.
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 &&
        status.st_nlink > 0)
        *ret_fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return true;
}

// Makes the root and our scratch folder in it, before the first write.
static bool prepare(Local *local, Error *err)
{
    if (local->scratch_fd >= 0)
        return true;
    char tmp[PATH_MAX];
    TRY(local_name(local, str_from(tmp_folder), tmp, err));
    TRY(file_make_folder(tmp, err));
    const uint64_t start = local->env->random(local->env->state);
    for (uint64_t i = 0; i < SCRATCH_TRIES_MAX; i++) {
        char relative[64];
        const unsigned long long number = start + i;
        const int size = snprintf(relative, sizeof(relative), "%s/%016llx", tmp_folder, number);
        TRY(local_name(local, (Str){relative, (size_t)size}, local->scratch, err));
        TRY(claim_scratch(local->scratch, &local->scratch_fd, err));
        if (local->scratch_fd < 0)
            continue;
        sweep(tmp);
        return true;
    }
    return error_set(err, ERROR_IO, "local store '%s': no scratch folder could be made", tmp);
}

static void scratch_name(const Local *local, uint64_t number, char ret_name[PATH_MAX])
{
    const int size =
        snprintf(ret_name, PATH_MAX, "%s/%llu", local->scratch, (unsigned long long)number);
    assert(size < PATH_MAX); // local_open() left room
    (void)size;
}

static bool flush_fd(int fd, const char *name, Error *err)
{
    if (local_fault() || fdatasync(fd) != 0)
        return file_error(err, "flush", name);
    return true;
}

static bool write_fd(int fd, Str bytes, const char *name, Error *err)
{
    while (bytes.size > 0) {
        const ssize_t put = local_fault() ? -1 : write(fd, bytes.data, bytes.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return file_error(err, "write", name);
        bytes = str_slice(bytes, (size_t)put, bytes.size);
    }
    return true;
}

// Writes scratch file `number`; `name` is what it is going to be, for messages.
static bool scratch_write(const Local *local, uint64_t number, Str bytes, bool flush,
                          const char *name, Error *err)
{
    char scratch[PATH_MAX];
    scratch_name(local, number, scratch);
    CLEANUP(local_close_fd)
    int fd = local_fault() ? -1 : open(scratch, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(err, "create", name);
    if (write_fd(fd, bytes, name, err) && (!flush || flush_fd(fd, name, err)))
        return true;
    (void)unlink(scratch);
    return false;
}

typedef enum Naming { NAME_NEW, NAME_OVER } Naming;

static int give_name(const char *scratch, const char *name, Naming naming)
{
    if (local_fault())
        return -1;
    return naming == NAME_NEW ? link(scratch, name) : rename(scratch, name);
}

// Makes the folders between the root and file `name`. Unlike file_make_folder() it flushes nothing:
// flush_names() does, once for many.
static bool make_folders(const Local *local, const char *name, Error *err)
{
    char part[PATH_MAX];
    for (size_t i = strlen(local->root) + 1; name[i] != '\0'; i++) {
        if (name[i] != '/')
            continue;
        memcpy(part, name, i);
        part[i] = '\0';
        if (local_fault() || (mkdir(part, 0700) != 0 && errno != EEXIST))
            return file_error(err, "make folder", part);
    }
    return true;
}

// Gives scratch file `number` its name, making the folders it needs, and drops it where that fails.
static bool scratch_name_it(const Local *local, uint64_t number, const char *name, Naming naming,
                            Error *err)
{
    char scratch[PATH_MAX];
    scratch_name(local, number, scratch);
    bool named = give_name(scratch, name, naming) == 0;
    if (!named && errno == ENOENT) {
        if (!make_folders(local, name, err)) {
            (void)unlink(scratch);
            return false;
        }
        named = give_name(scratch, name, naming) == 0;
    }
    if (!named)
        file_error(err, "create", name);
    if (!named || naming == NAME_NEW)
        (void)unlink(scratch);
    return named;
}

// --- durable names

static bool flush_folder(const char *name, Error *err)
{
    CLEANUP(local_close_fd)
    int fd = local_fault() ? -1 : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || local_fault() || fsync(fd) != 0)
        return file_error(err, "flush folder", name);
    return true;
}

static bool is_known(const Local *local, const char *folder)
{
    for (size_t i = 0; i < LOCAL_FOLDERS_KNOWN; i++) {
        if (strcmp(local->known[i], folder) == 0)
            return true;
    }
    return false;
}

// Makes the names in `folder` durable, and the names of the folders on the way to it. POSIX
// promises a new folder's own name only once the folder above was flushed.
static bool flush_names(Local *local, Str folder, Error *err)
{
    char name[PATH_MAX];
    (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(folder));
    TRY(flush_folder(name, err));
    const size_t root_size = strlen(local->root);
    while (strlen(name) > root_size && !is_known(local, name)) {
        name[file_folder(str_from(name)).size] = '\0';
        TRY(flush_folder(name, err));
    }
    if (strlen(name) <= root_size && !is_known(local, local->root)) {
        const Str above = file_folder(str_from(local->root));
        char parent[PATH_MAX];
        (void)snprintf(parent, sizeof(parent), STR_FMT, STR_ARG(above));
        TRY(flush_folder(parent, err));
        (void)snprintf(local->known[local->known_next], PATH_MAX, "%s", local->root);
        local->known_next = (local->known_next + 1) % LOCAL_FOLDERS_KNOWN;
    }
    (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(folder));
    if (!is_known(local, name)) {
        memcpy(local->known[local->known_next], name, sizeof(name));
        local->known_next = (local->known_next + 1) % LOCAL_FOLDERS_KNOWN;
    }
    return true;
}

// --- single files

bool local_read(void *state, Str path, uint64_t offset, char *bytes, size_t size, size_t *ret_got,
                Error *err)
{
    char name[PATH_MAX];
    TRY(local_name(state, path, name, err));
    // Without O_NONBLOCK a named pipe in a file's place would be waited for until somebody writes.
    CLEANUP(local_close_fd)
    int fd = local_fault() ? -1 : open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return file_error(err, "open", name);
    ssize_t got = -1;
    do
        got = local_fault() ? -1 : pread(fd, bytes, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EISDIR)
        return error_set(err, ERROR_NOT_FOUND, "read '%s': it is a folder", name);
    if (got < 0 && errno == ESPIPE)
        return error_set(err, ERROR_DATA, "read '%s': it is a pipe, not a file", name);
    if (got < 0)
        return file_error(err, "read", name);
    *ret_got = (size_t)got;
    return true;
}

static bool write_file(void *state, Str path, Str bytes, unsigned flags, Naming naming, Error *err)
{
    Local *local = state;
    const bool durable = (flags & STORE_LAZY) == 0;
    char name[PATH_MAX];
    TRY(local_name(local, path, name, err));
    TRY(prepare(local, err));
    const uint64_t number = local->scratch_count++;
    TRY(scratch_write(local, number, bytes, durable, name, err));
    TRY(scratch_name_it(local, number, name, naming, err));
    return !durable || flush_names(local, file_folder(str_from(name)), err);
}

static bool local_create(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    return write_file(state, path, bytes, flags, NAME_NEW, err);
}

bool local_put(void *state, Str path, Str bytes, unsigned flags, Error *err)
{
    return write_file(state, path, bytes, flags, NAME_OVER, err);
}

static bool local_remove(void *state, Str path, Error *err)
{
    char name[PATH_MAX];
    TRY(local_name(state, path, name, err));
    if (local_fault() || (unlink(name) != 0 && errno != ENOENT && errno != ENOTDIR))
        return file_error(err, "remove", name);
    return true;
}

// --- publish

typedef struct Publication {
    Local *local;
    const Str *lazy;
    size_t lazy_count;
    const StoreFile *files;
    size_t file_count;
    uint64_t first_number; // scratch file of files[0]; the others follow
    bool all_at_once;      // flush with syncfs
} Publication;

static bool publish_write(const Publication *work, size_t *ret_written, Error *err)
{
    for (size_t i = 0; i < work->file_count; i++) {
        char name[PATH_MAX];
        TRY(local_name(work->local, work->files[i].path, name, err));
        TRY(scratch_write(work->local, work->first_number + i, work->files[i].bytes,
                          !work->all_at_once, name, err));
        *ret_written = i + 1;
    }
    return true;
}

// The system tells of a failed flush once and then takes the file for clean, although only its
// memory holds it. Nobody was promised these files, so rather than trust them we let them be
// fetched again.
static bool drop_lazy(const Publication *work)
{
    for (size_t i = 0; i < work->lazy_count; i++) {
        char name[PATH_MAX];
        Error ignored = {0};
        if (local_name(work->local, work->lazy[i], name, &ignored))
            (void)unlink(name);
    }
    return false;
}

static bool flush_everything(const Publication *work, Error *err)
{
    const Local *local = work->local;
    if (local_fault() || syncfs(local->scratch_fd) != 0)
        return file_error(err, "flush", local->root);
    return true;
}

static bool publish_flush_lazy(const Publication *work, Error *err)
{
    if (work->all_at_once)
        return flush_everything(work, err) || drop_lazy(work);
    Str last_folder = {NULL, 0};
    for (size_t i = 0; i < work->lazy_count; i++) {
        char name[PATH_MAX];
        TRY(local_name(work->local, work->lazy[i], name, err));
        CLEANUP(local_close_fd) int fd = local_fault() ? -1 : open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return file_error(err, "open", name);
        if (!flush_fd(fd, name, err))
            return drop_lazy(work);
        const Str folder = file_folder(work->lazy[i]);
        if (!str_equal(folder, last_folder))
            TRY(flush_names(work->local, file_folder(str_from(name)), err));
        last_folder = folder;
    }
    return true;
}

static bool publish_name(const Publication *work, size_t *ret_named, Error *err)
{
    for (size_t i = 0; i < work->file_count; i++) {
        const StoreFile *file = &work->files[i];
        char name[PATH_MAX];
        TRY(local_name(work->local, file->path, name, err));
        kill_point(STR_FMT " put, " STR_FMT, STR_ARG(file->event), STR_ARG(file->object));
        *ret_named = i + 1; // whether it works or not, its scratch file is gone
        TRY(scratch_name_it(work->local, work->first_number + i, name, NAME_NEW, err));
        kill_point(STR_FMT " was put, " STR_FMT, STR_ARG(file->event), STR_ARG(file->object));
    }
    return true;
}

static bool publish_flush_names(const Publication *work, Error *err)
{
    if (work->all_at_once)
        return flush_everything(work, err);
    Str last_folder = {NULL, 0};
    for (size_t i = 0; i < work->file_count; i++) {
        const Str folder = file_folder(work->files[i].path);
        if (str_equal(folder, last_folder))
            continue;
        last_folder = folder;
        char name[PATH_MAX];
        TRY(local_name(work->local, work->files[i].path, name, err));
        TRY(flush_names(work->local, file_folder(str_from(name)), err));
    }
    return true;
}

static bool local_publish(void *state, const Str *lazy, size_t lazy_count, const StoreFile *files,
                          size_t file_count, Error *err)
{
    Local *local = state;
    TRY(prepare(local, err));
    const Publication work = {
        .local = local,
        .lazy = lazy,
        .lazy_count = lazy_count,
        .files = files,
        .file_count = file_count,
        .first_number = local->scratch_count,
        .all_at_once = lazy_count + file_count > FLUSH_ONE_BY_ONE_MAX,
    };
    local->scratch_count += file_count;
    size_t written = 0;
    size_t named = 0;
    if (publish_write(&work, &written, err) && publish_flush_lazy(&work, err) &&
        publish_name(&work, &named, err))
        return publish_flush_names(&work, err);
    for (size_t i = named; i < written; i++) {
        char scratch[PATH_MAX];
        scratch_name(local, work.first_number + i, scratch);
        (void)unlink(scratch);
    }
    return false;
}

static void local_close(void *state)
{
    Local *local = state;
    local_lease_close(local);
    if (local->scratch_fd < 0)
        return;
    (void)rmdir(local->scratch); // before the lock goes, or a sweeper would meet it half removed
    (void)close(local->scratch_fd);
}

const StoreDriver store_local = {
    .name = "local",
    .summary = "a folder on this machine's disk, or on one that several machines mount",
    .fields = local_fields,
    .state_size = sizeof(Local),
    .open = local_open,
    .read = local_read,
    .create = local_create,
    .put = local_put,
    .remove = local_remove,
    .list = local_list,
    .lease_take = local_lease_take,
    .lease_renew = local_lease_renew,
    .lease_release = local_lease_release,
    .close = local_close,
    .publish = local_publish,
};
