#include "run/event_log.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_BYTES = 64 * 1024, NAME_BYTES_MAX = 255 };

void event_log_init(EventLog *log, Str folder, EventSink next)
{
    *log = (EventLog){.next = next, .fd = -1};
    if (folder.size >= sizeof(log->folder))
        (void)error_set(&log->err, ERROR_LIMIT, "state folder: its path is too long");
    else
        memcpy(log->folder, folder.data, folder.size);
}

void event_log_close(EventLog *log)
{
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
}

static bool open_for(EventLog *log, Str run, Error *err)
{
    if (log->fd >= 0 && str_equal(run, str_from(log->run)))
        return true;
    event_log_close(log);
    char path[EVENT_LOG_PATH_BYTES + 64];
    TRY(file_make_folder(log->folder, err));
    (void)snprintf(path, sizeof(path), "%s/events-" STR_FMT ".jsonl", log->folder, STR_ARG(run));
    log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log->fd < 0)
        return file_error(err, "open", path);
    (void)snprintf(log->run, sizeof(log->run), STR_FMT, STR_ARG(run));
    return true;
}

static bool append(EventLog *log, const Event *event, Error *err)
{
    CLEANUP(buf_done) Buf line = {0};
    TRY(open_for(log, event->run, err));
    TRY(event_write_json(event, &line, err) && buf_append_char(&line, '\n', err));
    // One write a line, appended: lines of two processes do not mix.
    if (write(log->fd, line.data, line.size) != (ssize_t)line.size)
        return file_error(err, "write events to", log->folder);
    return true;
}

static void emit(void *state, const Event *event)
{
    EventLog *log = state;
    log->next.emit(log->next.state, event);
    if (event->run.size > 0 && event->run.size <= UUID_TEXT_BYTES && log->err.code == ERROR_NONE)
        (void)!append(log, event, &log->err);
}

EventSink event_log_sink(EventLog *log)
{
    return (EventSink){.emit = emit, .state = log};
}

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        (void)closedir(*folder);
}

// Names of runs' files: "events-<run>.jsonl". Ids of runs sort by age, and so do the names.
static bool is_log_name(Str name)
{
    return str_starts_with(name, STR("events-")) && str_ends_with(name, STR(".jsonl")) &&
           name.size <= NAME_BYTES_MAX;
}

// Calls `visit` for each file of a run in the folder, in no order.
static bool visit_files(Str folder, bool (*visit)(void *state, const char *name, Error *err),
                        void *state, Error *err)
{
    char path[EVENT_LOG_PATH_BYTES];
    (void)snprintf(path, sizeof(path), STR_FMT, STR_ARG(folder));
    CLEANUP(close_folder) DIR *listing = opendir(path);
    if (listing == NULL)
        return errno == ENOENT || file_error(err, "open", path);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        struct stat status; // pipes and folders are none of ours, whatever they are called
        if (is_log_name(str_from(entry->d_name)) &&
            fstatat(dirfd(listing), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode))
            TRY(visit(state, entry->d_name, err));
    }
    return true;
}

static bool take_newest(void *state, const char *name, Error *err)
{
    (void)err;
    char *newest = state;
    if (strcmp(name, newest) > 0)
        memcpy(newest, name, strlen(name) + 1);
    return true;
}

typedef struct NameList {
    Arena *arena;
    char **names;
    size_t count, capacity;
} NameList;

static bool add_name(void *state, const char *name, Error *err)
{
    NameList *list = state;
    if (list->count == list->capacity) {
        const size_t room = list->capacity == 0 ? 64 : list->capacity * 2;
        char **names = arena_alloc_array(list->arena, room, sizeof(*names), err);
        TRY(names != NULL);
        if (list->count > 0)
            memcpy(names, list->names, list->count * sizeof(*names));
        list->names = names;
        list->capacity = room;
    }
    char *copy = arena_alloc(list->arena, strlen(name) + 1, err);
    TRY(copy != NULL);
    memcpy(copy, name, strlen(name) + 1);
    list->names[list->count++] = copy;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The first 48 bits of a run's id (UUID version 7) are the milliseconds at which it began.
static bool began_before(const char *name, int64_t us)
{
    static const char digits_of_hex[] = "0123456789abcdef";
    int64_t ms = 0;
    const char *id = name + strlen("events-");
    for (int digits = 0; digits < 12; id++) {
        if (*id == '-')
            continue;
        const char *found = *id == '\0' ? NULL : strchr(digits_of_hex, *id);
        if (found == NULL)
            return false; // none of ours
        ms = ms * 16 + (found - digits_of_hex);
        digits++;
    }
    return ms < us / 1000;
}

bool event_log_expire(Str folder, int64_t before_us, Arena *arena, Error *err)
{
    NameList list = {.arena = arena};
    TRY(visit_files(folder, add_name, &list, err));
    if (list.count <= EVENT_LOGS_KEPT)
        return true;
    qsort(list.names, list.count, sizeof(*list.names), compare_names);
    for (size_t i = 0; i < list.count - EVENT_LOGS_KEPT; i++) {
        char path[EVENT_LOG_PATH_BYTES + NAME_BYTES_MAX + 2];
        if (!began_before(list.names[i], before_us))
            continue;
        (void)snprintf(path, sizeof(path), STR_FMT "/%s", STR_ARG(folder), list.names[i]);
        TRY(file_remove(path, err));
    }
    return true;
}

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

bool event_log_last(Str folder, Arena *arena, Str *ret_line, Error *err)
{
    char name[NAME_BYTES_MAX + 1] = "";
    *ret_line = STR("");
    TRY(visit_files(folder, take_newest, name, err));
    if (name[0] == '\0')
        return true;
    Str path = {0};
    TRY(arena_printf(arena, &path, err, STR_FMT "/%s", STR_ARG(folder), name));
    CLEANUP(close_fd) const int fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return file_error(err, "open", path.data);
    const off_t size = lseek(fd, 0, SEEK_END);
    char *bytes = arena_alloc(arena, TAIL_BYTES, err);
    TRY(bytes != NULL);
    const ssize_t got = pread(fd, bytes, TAIL_BYTES, size > TAIL_BYTES ? size - TAIL_BYTES : 0);
    if (got < 0)
        return file_error(err, "read", path.data);
    // A line without its end is still being written, or was cut by a kill.
    Str text = {bytes, (size_t)got};
    while (text.size > 0 && text.data[text.size - 1] != '\n')
        text.size--;
    size_t start = text.size > 0 ? text.size - 1 : 0;
    while (start > 0 && bytes[start - 1] != '\n')
        start--;
    *ret_line = str_trim(str_slice(text, start, text.size));
    return true;
}
