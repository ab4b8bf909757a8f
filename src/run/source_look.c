// What may be learnt about a source without reading it: a sample, whether it answers, what it
// offers.
#include "run/source_parts.h"

#include "contract/discover.h"

// ------------------------------------------------------------------------ sampling

enum { SAMPLE_RECORDS = 1000 };

typedef struct Sampler {
    Source source;
    Discovery *discovery; // NULL = records are only counted
    size_t count, wanted;
} Sampler;

static bool sample_record(void *state, const Stream *stream, yyjson_val *record, Error *err)
{
    (void)stream;
    Sampler *sampler = state;
    TRY(sampler->discovery == NULL || discovery_add(sampler->discovery, record, err));
    sampler->count++;
    return sampler->count < sampler->wanted || error_set(err, ERROR_STOPPED, "enough records");
}

static bool sample_exchange(void *state, const HttpRequest *request, Arena *arena,
                            HttpResponse *ret_response, Error *err)
{
    Sampler *sampler = state;
    return source_exchange(&sampler->source, request, arena, ret_response, err);
}

static bool sample_wait(void *state, int64_t wait_us, Error *err)
{
    Sampler *sampler = state;
    return source_wait(&sampler->source, wait_us, err);
}

static bool ignore_state(void *state, const Stream *stream, Str json, Error *err)
{
    (void)state;
    (void)stream;
    (void)json;
    (void)err;
    return true;
}

// What makes it wait is told; what failed comes back as the sample's failure, or does not matter.
static void tell_repetition(void *state, const char *level, Str text)
{
    Sampler *sampler = state;
    if (sampler->source.tell != NULL && strcmp(level, "INFO") == 0)
        source_put_log(&sampler->source, level, text);
}

static bool sample_stream(Sampler *sampler, const Stream *stream, Error *err)
{
    const SyncHost host = {.state = sampler,
                           .exchange = sample_exchange,
                           .wait = sample_wait,
                           .record = sample_record,
                           .checkpoint = ignore_state,
                           .log = tell_repetition,
                           .env = &sampler->source.clock};
    Error why = {0};
    if (!sync_stream(sampler->source.connector, stream, NULL, &host, &why) &&
        sampler->count < sampler->wanted) {
        source_name_failure(&sampler->source, &why);
        *err = why;
        return false;
    }
    return true;
}

static bool discover(Sampler *sampler, Str name, Arena *arena, Buf *out, SourceDraft *ret_draft,
                     Error *err)
{
    const Connector *connector = sampler->source.connector;
    if (connector_stream_count(connector) == 0)
        return error_set(err, ERROR_JOB, "the manifest has no stream");
    const Stream *stream = connector_stream(connector, 0);
    if (name.size > 0)
        TRY(connector_find_stream(connector, name, &stream, err));
    TRY(stream_check(stream, err));
    TRY(discovery_new(arena, &sampler->discovery, err));
    sampler->wanted = SAMPLE_RECORDS;
    TRY(sample_stream(sampler, stream, err));
    if (sampler->count == 0)
        return error_set(err, ERROR_NOT_FOUND, "stream '" STR_FMT "' has no records to draft from",
                         STR_ARG(stream_name(stream)));
    const Str field = stream_partition_field(stream);
    const DiscoverOptions options = {.stream = stream_name(stream),
                                     .cursor_field = stream_cursor(stream).field,
                                     .partition_fields = &field,
                                     .partition_count = field.size > 0 ? 1 : 0};
    ret_draft->records = sampler->count;
    return arena_copy_str(arena, stream_name(stream), &ret_draft->stream, err) &&
           discovery_write(sampler->discovery, &options, out, err);
}

static void tell_nobody(void *state, Str text)
{
    (void)state;
    (void)text;
}

bool source_discover(const SourceReadOptions *options, Str stream, Env *env, Arena *arena, Buf *out,
                     SourceDraft *ret_draft, Error *err)
{
    Sampler sampler = {.source = {.env = env,
                                  .fd = -1,
                                  .tell = options->tell != NULL ? options->tell : tell_nobody,
                                  .tell_state = options->tell_state}};
    const bool ok = source_open(&sampler.source, options, err) &&
                    discover(&sampler, stream, arena, out, ret_draft, err);
    source_close(&sampler.source);
    return ok;
}

// ------------------------------------------------------------------------ words of the protocol

// Ends a command: whatever went wrong goes out as a TRACE message, too.
static bool finish(Source *source, bool ok, Error *err)
{
    Error why = {0};
    if (!ok && !source_put_error(source, err, &why))
        source_put_log(source, "ERROR", str_from(err->message));
    why = (Error){0};
    if (!source_flush(source, &why) && ok) {
        *err = why;
        ok = false;
    }
    source_close(source);
    return ok;
}

static bool put_spec(Source *source, const char *manifest, Error *err)
{
    enum { SPEC_BYTES = 256 * 1024 * 1024 };
    source->arena = arena_new(SPEC_BYTES, err);
    TRY(source->arena != NULL);
    Findings findings = {.arena = source->arena};
    CLEANUP(buf_done) Buf spec = {0};
    TRY(connector_write_spec(manifest, source->arena, &findings, &spec, err));
    TRY(buf_append(&source->out, STR("{\"type\":\"SPEC\",\"spec\":"), err) &&
        buf_append(&source->out, buf_str(&spec), err) && buf_append_char(&source->out, '}', err));
    return source_end_line(source, err);
}

bool source_spec(const SourceReadOptions *options, Env *env, Error *err)
{
    Source source = {.env = env, .clock = *env, .fd = options->output_fd};
    return finish(&source, put_spec(&source, options->manifest, err), err);
}

static bool put_catalog(Source *source, Error *err)
{
    Buf *out = &source->out;
    TRY(buf_append(out, STR("{\"type\":\"CATALOG\",\"catalog\":{\"streams\":["), err));
    for (size_t i = 0; i < connector_stream_count(source->connector); i++)
        TRY((i == 0 || buf_append_char(out, ',', err)) &&
            stream_write_catalog(connector_stream(source->connector, i), source->arena, out, err));
    return buf_append(out, STR("]}}"), err) && source_end_line(source, err);
}

bool source_catalog(const SourceReadOptions *options, Env *env, Error *err)
{
    Source source = {.env = env, .fd = options->output_fd};
    return finish(&source, source_open(&source, options, err) && put_catalog(&source, err), err);
}

// One record, or none, without a failure: the stream answers.
static bool try_stream(Sampler *sampler, const Stream *stream, Error *err)
{
    sampler->count = 0;
    sampler->wanted = 1;
    return (stream_check(stream, err) && sample_stream(sampler, stream, err)) ||
           error_context(err, "stream " STR_FMT " is not available", STR_ARG(stream_name(stream)));
}

static bool try_streams(Sampler *sampler, Error *err)
{
    const Source *source = &sampler->source;
    const Stream **streams = NULL;
    size_t count = 0;
    TRY(connector_checked_streams(source->connector, source->arena, &streams, &count, err));
    for (size_t i = 0; i < count; i++)
        TRY(try_stream(sampler, streams[i], err));
    if (count > 0 || connector_stream_count(source->connector) == 0)
        return true;
    return try_stream(sampler, connector_stream(source->connector, 0), err);
}

bool source_check(const SourceReadOptions *options, Env *env, Error *err)
{
    Sampler sampler = {.source = {.env = env, .fd = options->output_fd}};
    Source *source = &sampler.source;
    const bool ok = source_open(source, options, err) && try_streams(&sampler, err);
    Error why = {0};
    const bool said =
        buf_printf(&source->out, &why,
                   "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"%s\"",
                   ok ? "SUCCEEDED" : "FAILED") &&
        (ok || (buf_append(&source->out, STR(",\"message\":"), &why) &&
                json_write_str(str_from(err->message), &source->out, &why))) &&
        buf_append(&source->out, STR("}}"), &why) && source_end_line(source, &why) &&
        source_flush(source, &why);
    source_close(source);
    if (ok && !said)
        *err = why;
    return ok && said;
}
