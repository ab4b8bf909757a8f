#include "run/source_parts.h"

#include "base/file.h"
#include "base/time.h"
#include "connector/sync.h"
#include "contract/discover.h"
#include "net/http.h"
#include "net/url.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SOURCE_BYTES_MAX = 512 * 1024 * 1024, // manifest, config, catalog and state, made ready
    SOURCE_FILE_BYTES_MAX = 64 * 1024 * 1024,
    OUTPUT_BYTES = 256 * 1024, // written at once
    TELL_MS = 30 * 1000,       // how long it waits for an answer before it says so
};

#define SILENCE_US_MAX (INT64_C(600) * 1000000)

// ------------------------------------------------------------------------ output

bool source_flush(Source *source, Error *err)
{
    size_t done = 0;
    while (done < source->out.size) {
        ssize_t written = write(source->fd, source->out.data + done, source->out.size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return file_error(err, "write", "the output");
        done += (size_t)written;
    }
    buf_clear(&source->out);
    return true;
}

bool source_end_line(Source *source, Error *err)
{
    TRY(buf_append_char(&source->out, '\n', err));
    return source->out.size < OUTPUT_BYTES || source_flush(source, err);
}

static int64_t now_ms(Source *source)
{
    return source->clock.now_us(source->clock.state) / 1000;
}

static bool put_name(Source *source, const Stream *stream, Error *err)
{
    TRY(buf_append(&source->out, STR("{\"name\":"), err));
    TRY(json_write_str(stream_name(stream), &source->out, err));
    return buf_append_char(&source->out, '}', err);
}

// yyjson's own writer keeps 1.0 apart from 1, as whoever compares records with another reader's
// wants it. What it allocates is its own.
static bool put_json(Buf *out, yyjson_val *value, Error *err)
{
    size_t size = 0;
    char *text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &size);
    if (text == NULL) // text that is no UTF-8: our own writer mends it
        return json_write(value, out, err);
    bool ok = buf_append(out, (Str){text, size}, err);
    free(text);
    return ok;
}

static bool put_record(void *state, const Stream *stream, yyjson_val *record, Error *err)
{
    Source *source = state;
    Buf *out = &source->out;
    TRY(buf_append(out, STR("{\"type\":\"RECORD\",\"record\":{\"stream\":"), err));
    TRY(json_write_str(stream_name(stream), out, err));
    TRY(buf_append(out, STR(",\"data\":"), err));
    TRY(put_json(out, record, err));
    TRY(buf_printf(out, err, ",\"emitted_at\":%lld}}", (long long)now_ms(source)));
    return source_end_line(source, err);
}

static bool put_state(void *state, const Stream *stream, Str json, Error *err)
{
    Source *source = state;
    Buf *out = &source->out;
    TRY(buf_append(out,
                   STR("{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{"
                       "\"stream_descriptor\":"),
                   err));
    TRY(put_name(source, stream, err));
    TRY(buf_append(out, STR(",\"stream_state\":"), err));
    TRY(buf_append(out, json, err));
    TRY(buf_append(out, STR("}}}"), err));
    TRY(source_end_line(source, err));
    return source_flush(source, err); // a state is a promise: nothing before it may still lie here
}

void source_put_log(void *state, const char *level, Str text)
{
    Source *source = state;
    Error ignored = {0};
    if (source->tell != NULL) {
        source->tell(source->tell_state, text);
        return;
    }
    bool ok = buf_printf(&source->out, &ignored,
                         "{\"type\":\"LOG\",\"log\":{\"level\":\"%s\",\"message\":", level) &&
              json_write_str(text, &source->out, &ignored) &&
              buf_append(&source->out, STR("}}"), &ignored) && source_end_line(source, &ignored);
    (void)ok; // a log line that cannot be written stops nothing; the next record will say so
}

static bool put_status(Source *source, const Stream *stream, const char *status, Error *err)
{
    TRY(buf_printf(&source->out, err,
                   "{\"type\":\"TRACE\",\"trace\":{\"type\":\"STREAM_STATUS\",\"emitted_at\":%lld,"
                   "\"stream_status\":{\"stream_descriptor\":",
                   (long long)now_ms(source)));
    TRY(put_name(source, stream, err));
    TRY(buf_printf(&source->out, err, ",\"status\":\"%s\"}}}", status));
    return source_end_line(source, err);
}

static const char *failure_type(ErrorCode code)
{
    if (code == ERROR_IO || code == ERROR_BUSY || code == ERROR_CONFLICT)
        return "transient_error";
    return code == ERROR_JOB || code == ERROR_ACCESS ? "config_error" : "system_error";
}

bool source_put_error(Source *source, const Error *why, Error *err)
{
    TRY(buf_printf(&source->out, err,
                   "{\"type\":\"TRACE\",\"trace\":{\"type\":\"ERROR\",\"emitted_at\":%lld,"
                   "\"error\":{\"failure_type\":\"%s\",\"message\":",
                   (long long)now_ms(source), failure_type(why->code)));
    TRY(json_write_str(str_from(why->message), &source->out, err));
    TRY(buf_append(&source->out, STR("}}}"), err));
    return source_end_line(source, err);
}

// ------------------------------------------------------------------------ the world

static int64_t monotonic_us(const Source *source)
{
    return source->env->monotonic_us(source->env->state);
}

static void tell_waiting(void *state, const HttpRequest *request, int64_t waited_us)
{
    Source *source = state;
    Error ignored = {0};
    CLEANUP(buf_done) Buf text = {0};
    Url url = {0};
    char since[TIME_TEXT_BYTES];
    (void)url_split(request->url, &url);
    time_format_iso(source->env->now_us(source->env->state) - waited_us, since);
    if (!buf_printf(&text, &ignored, "waits for " STR_FMT " " STR_FMT " since %s (%.0f s)",
                    STR_ARG(request->method), STR_ARG(url.host), since, (double)waited_us / 1e6))
        return;
    source_put_log(source, "INFO", buf_str(&text));
    (void)!source_flush(source, &ignored); // who reads shall know now; a failure comes back below
}

bool source_exchange(void *state, const HttpRequest *request, Arena *arena,
                     HttpResponse *ret_response, Error *err)
{
    Source *source = state;
    const int64_t start_us = monotonic_us(source);
    if (http_client_fetch(source->client, request, arena, ret_response, err)) {
        source->silent_since_us = 0;
        return true;
    }
    if (source->silent_since_us == 0)
        source->silent_since_us = start_us;
    const int64_t silent_us = monotonic_us(source) - source->silent_since_us;
    if (err->code != ERROR_IO || silent_us < SILENCE_US_MAX)
        return false;
    source->gave_up = true;
    err->code = ERROR_STOPPED;
    return error_context(err, "no answer for %lld minutes, given up",
                         (long long)(silent_us / (60 * INT64_C(1000000))));
}

void source_name_failure(const Source *source, Error *err)
{
    if (source->gave_up && err->code == ERROR_STOPPED)
        err->code = ERROR_IO;
}

bool source_wait(void *state, int64_t wait_us, Error *err)
{
    Source *source = state;
    if (source->is_fixed)
        return env_check_stop(source->env, err);
    TRY(source_flush(source, err));
    return env_wait(source->env, wait_us, err);
}

static int64_t clock_now(void *state)
{
    const Source *source = state;
    return source->is_fixed ? source->fixed_us : source->env->now_us(source->env->state);
}

static int64_t clock_monotonic(void *state)
{
    const Source *source = state;
    return source->is_fixed ? 0 : source->env->monotonic_us(source->env->state);
}

static void clock_sleep(void *state, int64_t duration_us)
{
    const Source *source = state;
    if (!source->is_fixed)
        source->env->sleep_us(source->env->state, duration_us);
}

static uint64_t clock_random(void *state)
{
    const Source *source = state;
    return source->env->random(source->env->state);
}

static const char *clock_variable(void *state, const char *name)
{
    const Source *source = state;
    return source->env->variable(source->env->state, name);
}

static bool set_clock(Source *source, const char *now, Error *err)
{
    source->is_fixed = now != NULL && now[0] != '\0';
    if (source->is_fixed && !time_parse_iso(str_from(now), &source->fixed_us))
        return error_set(err, ERROR_JOB, "'%s' is no time like 2025-05-01T10:20:30Z", now);
    source->clock.now_us = clock_now;
    source->clock.monotonic_us = clock_monotonic;
    source->clock.sleep_us = clock_sleep;
    source->clock.random = clock_random;
    source->clock.variable = clock_variable;
    source->clock.state = source;
    return true;
}

// ------------------------------------------------------------------------ input

static bool read_json(Source *source, const char *path, yyjson_val **ret_root, Error *err)
{
    Str bytes = {0};
    yyjson_doc *doc = NULL;
    TRY(file_read(path, SOURCE_FILE_BYTES_MAX, source->arena, &bytes, err));
    TRY(json_parse(bytes, path, source->arena, &doc, err));
    *ret_root = yyjson_doc_get_root(doc);
    return true;
}

static bool open_connector(Source *source, const char *path, yyjson_val *config, Error *err)
{
    Findings findings = {.arena = source->arena};
    TRY(connector_open(path, config, &source->clock, source->arena, &findings, &source->connector,
                       err));
    for (size_t i = 0; i < findings.count && i < FINDINGS_MAX; i++) {
        const Finding *finding = &findings.items[i];
        CLEANUP(buf_done) Buf line = {0};
        TRY(buf_printf(&line, err, STR_FMT ": " STR_FMT "; " STR_FMT, STR_ARG(finding->place),
                       STR_ARG(finding->what), STR_ARG(finding->fix)));
        source_put_log(source, "ERROR", buf_str(&line));
    }
    return findings_check(&findings, err);
}

bool source_open(Source *source, const SourceReadOptions *options, Error *err)
{
    TRY(set_clock(source, options->now, err));
    source->arena = arena_new(SOURCE_BYTES_MAX, err);
    TRY(source->arena != NULL);
    yyjson_val *config = NULL;
    TRY(read_json(source, options->config, &config, err));
    if (options->catalog != NULL && options->catalog[0] != '\0')
        TRY(read_json(source, options->catalog, &source->catalog, err));
    if (options->state != NULL && options->state[0] != '\0')
        TRY(read_json(source, options->state, &source->state, err));
    HttpOptions http = {
        .connections = 1, .tell_ms = TELL_MS, .tell = tell_waiting, .tell_state = source};
    if (options->connect_to != NULL)
        http.connect_to = str_from(options->connect_to);
    TRY(http_client_new(&http, source->env, &source->client, err));
    return open_connector(source, options->manifest, config, err);
}

void source_close(Source *source)
{
    http_client_free(source->client);
    buf_done(&source->out);
    arena_wipe(source->arena); // the config may hold secrets
}

static yyjson_val *blob_of(yyjson_val *message, Str name)
{
    yyjson_val *inner = json_get(message, STR("state")); // a whole protocol message
    yyjson_val *stream = json_get(inner != NULL ? inner : message, STR("stream"));
    yyjson_val *descriptor = json_get(stream, STR("stream_descriptor"));
    if (!str_equal(json_str(json_get(descriptor, STR("name"))), name))
        return NULL;
    return json_get(stream, STR("stream_state"));
}

static yyjson_val *state_of(const Source *source, Str name)
{
    if (!yyjson_is_arr(source->state))
        return blob_of(source->state, name);
    size_t index, count;
    yyjson_val *item, *found = NULL;
    yyjson_arr_foreach(source->state, index, count, item)
    {
        yyjson_val *blob = blob_of(item, name);
        found = blob != NULL ? blob : found;
    }
    return found;
}

// ------------------------------------------------------------------------ reading

static bool read_stream(Source *source, const Stream *stream, Error *err)
{
    const SyncHost host = {.state = source,
                           .exchange = source_exchange,
                           .wait = source_wait,
                           .record = put_record,
                           .checkpoint = put_state,
                           .log = source_put_log,
                           .env = &source->clock};
    Error why = {0};
    TRY(put_status(source, stream, "STARTED", err));
    bool ok =
        sync_stream(source->connector, stream, state_of(source, stream_name(stream)), &host, &why);
    TRY(put_status(source, stream, ok ? "COMPLETE" : "INCOMPLETE", err));
    if (ok)
        return true;
    source_name_failure(source, &why);
    TRY(source_put_error(source, &why, err));
    *err = why;
    return false;
}

static bool read_one(Source *source, const Stream *stream, Error *first, Error *err)
{
    Error why = {0};
    if (read_stream(source, stream, &why))
        return true;
    if (first->code == ERROR_NONE)
        *first = why;
    if (why.code != ERROR_STOPPED && !source->gave_up)
        return true;
    *err = why;
    return false;
}

static bool read_catalog(Source *source, Error *first, Error *err)
{
    yyjson_val *streams = json_get(source->catalog, STR("streams"));
    if (!yyjson_is_arr(streams))
        return error_set(err, ERROR_JOB, "catalog: /streams is no list");
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(streams, index, count, item)
    {
        const Stream *stream = NULL;
        Str name = json_str(json_get(json_get(item, STR("stream")), STR("name")));
        TRY(connector_find_stream(source->connector, name, &stream, err));
        TRY(read_one(source, stream, first, err));
    }
    return true;
}

static bool read_all(Source *source, Error *err)
{
    Error first = {0};
    if (source->catalog != NULL)
        TRY(read_catalog(source, &first, err));
    size_t count = source->catalog != NULL ? 0 : connector_stream_count(source->connector);
    for (size_t i = 0; i < count; i++)
        TRY(read_one(source, connector_stream(source->connector, i), &first, err));
    if (first.code == ERROR_NONE)
        return true;
    *err = first;
    return false;
}

bool source_read(const SourceReadOptions *options, Env *env, Error *err)
{
    Source source = {.env = env, .fd = options->output_fd};
    Error ignored = {0};
    bool opened = source_open(&source, options, err);
    bool ok = opened && read_all(&source, err);
    if (!opened && !source_put_error(&source, err, &ignored))
        source_put_log(&source, "ERROR", str_from(err->message));
    Error why = {0};
    if (!source_flush(&source, &why) && ok) {
        *err = why;
        ok = false;
    }
    source_close(&source);
    return ok;
}
