#include "cli/view.h"

#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 20, DRIFT_SHOWN = 120, LINE_BYTES = 2048 };

void view_init(View *view, bool json, Env *env)
{
    *view = (View){.terminal = isatty(STDERR_FILENO) == 1,
                   .json = json,
                   .env = env,
                   .started_us = env->monotonic_us(env->state)};
}

void view_end(View *view)
{
    if (view->shown > 0)
        (void)fprintf(stderr, "\r\033[K");
    view->shown = 0;
}

static void show_progress(View *view, const Event *event)
{
    const double seconds =
        (double)(view->env->monotonic_us(view->env->state) - view->started_us) / 1e6;
    const double share = event->total > 0 ? (double)event->done / (double)event->total : 0;
    char bar[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < (int)(share * BAR_CELLS) ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    char eta[32] = "";
    if (share > 0.01 && share < 1) {
        const long left = (long)(seconds / share * (1 - share)) + 1;
        (void)snprintf(eta, sizeof(eta), "  %ld:%02ld left", left / 60, left % 60);
    }
    (void)fprintf(
        stderr,
        "\r\033[K[%s] %lld/%lld slices  %lld rows  %.0f rows/s  %.1f MB/s  %lld requests  "
        "%lld retries%s",
        bar, (long long)event->done, (long long)event->total, (long long)event->rows,
        seconds > 0 ? (double)event->rows / seconds : 0,
        seconds > 0 ? (double)event->bytes / 1e6 / seconds : 0, (long long)event->requests,
        (long long)event->retries, eta);
    (void)fflush(stderr);
    view->shown = 1;
}

// One line for a person, in place of the moving one.
PRINTF_LIKE(2, 3) static void say(View *view, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    text_plain(line,
               size < 0                      ? 0
               : (size_t)size < sizeof(line) ? (size_t)size
                                             : sizeof(line) - 1,
               false);
    view_end(view);
    (void)fprintf(stderr, "%s\n", size < 0 ? "" : line);
}

// Rows that seem to be gone, and were not marked.
static void say_vanished(View *view, const Event *event)
{
    if (event->kind == EVENT_DELETES_HELD_BACK)
        say(view,
            "warning: " STR_FMT ": %lld rows vanished at the source, too many to believe: none was "
            "marked; run again with --accept-deletes if it is true",
            STR_ARG(event->stream), (long long)event->rows);
    else
        say(view,
            "warning: " STR_FMT
            ": %lld rows seem to have vanished at the source, and the second reading "
            "could not confirm it: none was marked; the next rehydration looks again: " STR_FMT,
            STR_ARG(event->stream), (long long)event->rows, STR_ARG(event->text));
}

static void say_note(View *view, const Event *event)
{
    if (event->kind == EVENT_REDACTED)
        say(view,
            "note: the source redacted %lld records, their older copies went; what keeps some for "
            "a while is in the receipt " STR_FMT " of the landing store",
            (long long)event->rows, STR_ARG(event->text));
    else
        say(view,
            "note: " STR_FMT ": the contract does not know " STR_FMT
            ": kept in _overflow; pawl contract promote makes a column of one",
            STR_ARG(event->stream), STR_ARG(str_slice(event->text, 0, DRIFT_SHOWN)));
}

// What a person wants to see of an event; the rest is in the log.
static void show_line(View *view, const Event *event)
{
    switch (event->kind) {
    case EVENT_RUN_STARTED:
        say(view, "run " STR_FMT " (" STR_FMT ", " STR_FMT ")", STR_ARG(event->run),
            STR_ARG(event->mode), STR_ARG(event->text));
        break;
    case EVENT_PARTITION_FAILED:
        say(view, "warning: " STR_FMT " of " STR_FMT " failed, the others go on: " STR_FMT,
            STR_ARG(event->stream), STR_ARG(event->partition), STR_ARG(event->text));
        break;
    case EVENT_DELETES_HELD_BACK:
    case EVENT_DELETES_UNCONFIRMED:
        say_vanished(view, event);
        break;
    case EVENT_SLICE_OPEN:
        say(view,
            "warning: " STR_FMT " of " STR_FMT
            ", slice %lld: %lld rows read, the source says %lld; the next run looks again",
            STR_ARG(event->stream), STR_ARG(event->partition), (long long)event->slice,
            (long long)event->rows, (long long)event->total);
        break;
    case EVENT_REDACTED:
    case EVENT_DRIFT:
        say_note(view, event);
        break;
    case EVENT_WAITING:
        say(view, "waiting for " STR_FMT, STR_ARG(event->text));
        break;
    case EVENT_NOTES_MISSING:
        say(view,
            "warning: " STR_FMT " of run " STR_FMT
            ": notes of its loads are gone; %lld slices are those that were landed whole",
            STR_ARG(event->stream), STR_ARG(event->run), (long long)event->done);
        break;
    case EVENT_CLOCK_AHEAD:
        say(view, "warning: " STR_FMT, STR_ARG(event->text));
        break;
    case EVENT_ZONES_UNKNOWN:
    case EVENT_MARKS_FAR_BACK:
    case EVENT_PARTITIONS_LEFT_OUT:
        say(view, "warning: " STR_FMT ": " STR_FMT, STR_ARG(event->stream), STR_ARG(event->text));
        break;
    case EVENT_PARTITIONS_FOUND:
    case EVENT_PLAN_MADE:
    case EVENT_SLICE_READ:
    case EVENT_SLICE_RESUMED:
    case EVENT_SLICE_READ_AGAIN:
    case EVENT_LOAD_COMMITTED:
    case EVENT_LOAD_FOUND:
    case EVENT_WAREHOUSE_RESTS:
    case EVENT_PROGRESS:
    case EVENT_RUN_ENDED:
        break;
    }
}

static void emit(void *state, const Event *event)
{
    View *view = state;
    if (view->terminal && !view->json) {
        if (event->kind == EVENT_PROGRESS)
            show_progress(view, event);
        else
            show_line(view, event);
        return;
    }
    CLEANUP(buf_done) Buf line = {0};
    Error ignored = {0};
    if (event_write_json(event, &line, &ignored))
        (void)fprintf(stderr, STR_FMT "\n", STR_ARG(buf_str(&line)));
}

EventSink view_sink(View *view)
{
    return (EventSink){.emit = emit, .state = view};
}
