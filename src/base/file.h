// File: the few things we do to the local disk, durably.
//
// Errors name the path and what the system said. A full disk is ERROR_LIMIT, a missing right
// ERROR_ACCESS, a missing file ERROR_NOT_FOUND, an existing one where none may be ERROR_CONFLICT,
// the rest ERROR_IO.
#pragma once

#include "base/arena.h"

// Sets `err` from errno with those codes: "<what> '<path>': <reason>". Always false.
bool file_error(Error *err, const char *what, const char *path);

// Reads a whole file into `arena`, NUL behind it. More than `limit_bytes` is ERROR_LIMIT.
bool file_read(const char *path, size_t limit_bytes, Arena *arena, Str *ret_bytes,
               Error *err) MUST_USE;

// Replaces `path` whole or not at all: temporary file, fsync, rename, fsync of the folder.
bool file_write(const char *path, Str bytes, Error *err) MUST_USE;

// Like file_write(), but ERROR_CONFLICT when `path` exists (link(2), so of two writers one wins).
bool file_create(const char *path, Str bytes, Error *err) MUST_USE;

// The same for a file that somebody else wrote: `scratch`, on the same file system and closed by
// all, is flushed and becomes `path`; ERROR_CONFLICT when that exists. `scratch` is gone either
// way, unless it could not be flushed.
bool file_move_in(const char *scratch, const char *path, Error *err) MUST_USE;
// Likewise, but what stands at `path` is replaced.
bool file_move_over(const char *scratch, const char *path, Error *err) MUST_USE;

// Creates the folder and its parents, readable by the owner only; one that is there is fine.
bool file_make_folder(const char *path, Error *err) MUST_USE;

bool file_exists(const char *path);
bool file_remove(const char *path, Error *err) MUST_USE; // one that is not there is fine

// Joins `folder` and `relative` in `arena`; an absolute `relative` is returned as it is.
bool file_join(Arena *arena, Str folder, Str relative, Str *ret_path, Error *err) MUST_USE;

// The folder part of a path: "a/b.json" -> "a", "b.json" -> ".".
Str file_folder(Str path);

// Takes an exclusive lock on `path` (created when missing), kept until file_unlock() or the end of
// the process. ERROR_BUSY when another process, or another open in this one, holds it.
bool file_lock(const char *path, int *ret_fd, Error *err) MUST_USE;
void file_unlock(int fd); // -1 is fine
