#include "run/event.h"

#include "base/json.h"
#include "base/time.h"

#include <assert.h>

static const char *const names[] = {
#define X(name, what) #name,
    EVENT_KINDS(X)
#undef X
};

enum { NAME_BYTES = 32, KIND_COUNT = sizeof(names) / sizeof(names[0]) };

const char *event_name(EventKind kind)
{
    // Lower-case copies, made on first use of each thread: the table above stays the one place of
    // names.
    static _Thread_local char lower[KIND_COUNT][NAME_BYTES];
    assert((size_t)kind < KIND_COUNT);
    char *text = lower[kind];
    for (size_t i = 0; text[0] == '\0' || i > 0; i++) {
        const char c = names[kind][i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c == '\0')
            break;
    }
    return text;
}

static void ignore(void *state, const Event *event)
{
    (void)state;
    (void)event;
}

const EventSink event_sink_none = {.emit = ignore};

static bool write_text(const char *name, Str text, Buf *out, Error *err)
{
    if (text.size == 0)
        return true;
    return buf_printf(out, err, ",\"%s\":", name) && json_write_str(text, out, err);
}

static bool write_number(const char *name, int64_t number, Buf *out, Error *err)
{
    if (number < 0)
        return true;
    return buf_printf(out, err, ",\"%s\":%lld", name, (long long)number);
}

bool event_write_json(const Event *event, Buf *out, Error *err)
{
    char at[TIME_TEXT_BYTES];
    time_format_iso(event->at_us, at);
    TRY(buf_printf(out, err, "{\"event\":\"%s\",\"at\":\"%s\"", event_name(event->kind), at));
    const struct {
        const char *name;
        Str text;
    } texts[] = {{"run", event->run},
                 {"job", event->job},
                 {"mode", event->mode},
                 {"stream", event->stream},
                 {"partition", event->partition},
                 {"text", event->text}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TRY(write_text(texts[i].name, texts[i].text, out, err));
    const struct {
        const char *name;
        int64_t number;
    } numbers[] = {
        {"slice", event->slice},
        {"load", event->load},
        {"rows", event->rows},
        {"inserted", event->inserted},
        {"updated", event->updated},
        {"unchanged", event->unchanged},
        {"deleted", event->deleted},
        {"quarantined", event->quarantined},
        {"overflowed", event->overflowed},
        {"bytes", event->bytes},
        {"pages", event->pages},
        {"pages_known", event->pages_known},
        {"requests", event->requests},
        {"retries", event->retries},
        {"wait_us", event->wait_us},
        {"duration_us", event->duration_us},
        {"done", event->done},
        {"total", event->total},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        TRY(write_number(numbers[i].name, numbers[i].number, out, err));
    return buf_append_char(out, '}', err);
}
