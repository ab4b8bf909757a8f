#include "base/kill.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 256 };

// Written once before any thread starts; only test processes ever set them.
bool kill_armed = false;
static char kill_name[NAME_BYTES];
static int kill_signal = SIGKILL;
static int list_fd = -1;

void kill_init(const char *kill_at, const char *list_path)
{
    static const char stop[] = "stop:";
    kill_signal = SIGKILL;
    if (kill_at != NULL && strncmp(kill_at, stop, sizeof(stop) - 1) == 0) {
        kill_signal = SIGSTOP;
        kill_at += sizeof(stop) - 1;
    }
    if (kill_at != NULL && kill_at[0] != '\0')
        (void)snprintf(kill_name, sizeof(kill_name), "%s", kill_at);
    if (list_path != NULL && list_path[0] != '\0')
        list_fd = open(list_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    kill_armed = kill_name[0] != '\0' || list_fd >= 0;
}

void kill_point_slow(const char *format, ...)
{
    char name[NAME_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(name, sizeof(name) - 1, format, args);
    va_end(args);
    if (kill_name[0] != '\0' && strcmp(name, kill_name) == 0) {
        // To this very thread: a signal to the process may reach another one first, and this one
        // would go on for a moment.
        (void)raise(kill_signal);
        while (kill_signal == SIGKILL)
            (void)pause();
    }
    if (list_fd < 0)
        return;
    // One write a line: O_APPEND makes lines of several threads whole.
    size_t size = strlen(name);
    name[size++] = '\n';
    if (write(list_fd, name, size) != (ssize_t)size)
        kill_armed = false;
}
