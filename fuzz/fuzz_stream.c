// links: pawl_connector
// A manifest is hostile until it is loaded, bound, and has asked its first question and understood
// an answer.
#include "connector/connector.h"

enum { FUZZ_BYTES = 64 * 1024 * 1024 };

static int64_t no_time(void *state)
{
    (void)state;
    return 0;
}

static uint64_t no_random(void *state)
{
    (void)state;
    return 4;
}

static const char *no_variable(void *state, const char *name)
{
    (void)state;
    (void)name;
    return NULL;
}

static bool read_stream(const Stream *stream, Arena *arena, Error *err)
{
    static const char *const bodies[] = {
        "{\"a\":[{\"id\":1,\"x\":null}],\"next\":\"https://a.b/c\"}", "[1]", "<html>"};
    PageReader *reader = NULL;
    const Window window = {0};
    TRY(page_reader_new(stream, NULL, &window, arena, &reader, err));
    bool more = true, ok = true;
    for (int i = 0; i < 3 && more && ok; i++) {
        HttpRequest request;
        PageOutcome outcome;
        HttpResponse response = {.status = i == 2 ? 500 : 200, .body = str_from(bodies[i])};
        ok = page_reader_request(reader, arena, &request, &more, err) &&
             (!more || page_reader_answer(reader, &response, arena, &outcome, err));
    }
    page_reader_free(reader);
    return ok;
}

static bool try_manifest(Str bytes, Arena *arena, Error *err)
{
    static Env env = {
        .now_us = no_time, .monotonic_us = no_time, .random = no_random, .variable = no_variable};
    yyjson_doc *config = NULL;
    Connector *connector = NULL;
    TRY(json_parse(STR("{\"k\":\"v\",\"n\":3}"), "config", arena, &config, err));
    Findings *findings = arena_alloc(arena, sizeof *findings, err);
    TRY(findings != NULL);
    findings->arena = arena;
    TRY(connector_open_bytes((ManifestText){STR("m.yaml"), bytes}, yyjson_doc_get_root(config),
                             &env, arena, findings, &connector, err));
    for (size_t i = 0; i < connector_stream_count(connector) && i < 4; i++) {
        Error ignored = {0};
        bool ok = read_stream(connector_stream(connector, i), arena, &ignored);
        (void)ok; // a stream that cannot be read says so; only crashes count
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error err = {0};
    Arena *arena = arena_new(FUZZ_BYTES, &err);
    if (arena == NULL)
        return 0;
    bool ok = try_manifest((Str){(const char *)data, size}, arena, &err);
    (void)ok;
    arena_free(arena);
    return 0;
}
