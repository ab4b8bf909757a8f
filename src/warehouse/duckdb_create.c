// A new database file, made beside its place and linked into it when it is whole.
//
// DuckDB writes the first 12 KB of a file in place, and cannot open one of which it wrote a part: a
// disk that was full at that moment, or a kill, would leave a warehouse that somebody has to remove
// by hand.
//
// The scratch folder "<path>.new" holds a lock and the file. It is removed by whoever finishes; a
// leftover is emptied by whoever comes next.
#include "warehouse/duckdb_state.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct NewFile {
    char folder[PATH_MAX];
    char lock[PATH_MAX];
    char file[PATH_MAX];
    char wal[PATH_MAX];
    char old_wal[PATH_MAX]; // of a database that is gone
    int lock_fd;
} NewFile;

static void free_lock(NewFile *new)
{
    file_unlock(new->lock_fd);
    new->lock_fd = -1;
}

static bool name_parts(NewFile *new, const char *path, Error *err)
{
    if (strlen(path) + sizeof(".new/file.wal") > PATH_MAX)
        return error_set(err, ERROR_LIMIT, "create: path longer than %d bytes", PATH_MAX);
    (void)snprintf(new->folder, PATH_MAX, "%s.new", path);
    (void)snprintf(new->lock, PATH_MAX, "%s.new/lock", path);
    (void)snprintf(new->file, PATH_MAX, "%s.new/file", path);
    (void)snprintf(new->wal, PATH_MAX, "%s.new/file.wal", path);
    (void)snprintf(new->old_wal, PATH_MAX, "%s.wal", path);
    return true;
}

// Best effort: what stays is looked at again at the next opening.
static void remove_leftovers(const NewFile *new)
{
    (void)unlink(new->file);
    (void)unlink(new->wal);
    (void)unlink(new->lock);
    (void)rmdir(new->folder);
}

static bool make_file(const NewFile *new, const DuckOptions *options, Error *err)
{
    TRY(file_remove(new->file, err) && file_remove(new->wal, err));
    DuckOptions scratch = *options;
    scratch.path = new->file;
    Duck duck = {0};
    kill_point("warehouse create");
    TRY(duck_open(&duck, &scratch, err));
    duck_close(&duck);
    // Without its database a log means nothing, and would be taken for that of the new one.
    TRY(file_remove(new->old_wal, err));
    kill_point("warehouse link");
    // Somebody who knows nothing of us may have been first: then theirs it is.
    if (!file_move_in(new->file, options->path, err)) {
        if (err->code != ERROR_CONFLICT)
            return false;
        *err = (Error){0};
    }
    kill_point("warehouse linked");
    return true;
}

bool duck_warehouse_create_file(const DuckOptions *options, Error *err)
{
    CLEANUP(free_lock) NewFile new = {.lock_fd = -1};
    TRY(name_parts(&new, options->path, err));
    const bool there = file_exists(options->path);
    if (there && !file_exists(new.folder))
        return true;
    if (!there && mkdir(new.folder, 0700) != 0 && errno != EEXIST)
        return file_error(err, "create", options->path);
    if (!file_lock(new.lock, &new.lock_fd, err)) {
        if (!there)
            return false;
        *err = (Error){0}; // whoever holds it will tidy up
        return true;
    }
    // Whoever had the lock before may have finished.
    TRY(file_exists(options->path) || make_file(&new, options, err));
    remove_leftovers(&new);
    return true;
}
