#include "run/event_log.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

// Ids of runs sort by age, and so do the names.
static bool newest_file(Str folder, char name[NAME_BYTES_MAX + 1], Error *err)
{
    char path[EVENT_LOG_PATH_BYTES];
    name[0] = '\0';
    (void)snprintf(path, sizeof(path), STR_FMT, STR_ARG(folder));
    CLEANUP(close_folder) DIR *listing = opendir(path);
    if (listing == NULL)
        return errno == ENOENT || file_error(err, "open", path);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        const Str found = str_from(entry->d_name);
        if (str_starts_with(found, STR("events-")) && str_ends_with(found, STR(".jsonl")) &&
            found.size <= NAME_BYTES_MAX && strcmp(entry->d_name, name) > 0)
            memcpy(name, entry->d_name, found.size + 1);
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
    char name[NAME_BYTES_MAX + 1];
    *ret_line = STR("");
    TRY(newest_file(folder, name, err));
    if (name[0] == '\0')
        return true;
    Str path = {0};
    TRY(arena_printf(arena, &path, err, STR_FMT "/%s", STR_ARG(folder), name));
    CLEANUP(close_fd) const int fd = open(path.data, O_RDONLY | O_CLOEXEC);
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
