// A page reader under test: manifest in, requests out, answers in. No network.
#pragma once

#include "connector/connector.h"
#include "harness/check.h"

enum { SCRIPT_BYTES = 64 * 1024 * 1024 };

typedef struct Script {
    Arena *arena; // of connector and slice
    Arena *page;
    Connector *connector;
    const Stream *stream;
    PageReader *reader;
    HttpRequest request;
    PageOutcome outcome;
    Findings *findings;
} Script;

// Opens the manifest with a config (JSON); its faults stay in script->findings.
static inline bool script_open(Script *script, const char *manifest, const char *config, Error *err)
{
    *script = (Script){.arena = arena_new(SCRIPT_BYTES, err)};
    TRY(script->arena != NULL);
    script->page = arena_new(SCRIPT_BYTES, err);
    TRY(script->page != NULL);
    script->findings = arena_alloc(script->arena, sizeof *script->findings, err);
    TRY(script->findings != NULL);
    script->findings->arena = script->arena;
    yyjson_doc *doc = NULL;
    TRY(json_parse(str_from(config), "config", script->arena, &doc, err));
    return connector_open_bytes((ManifestText){STR("m.yaml"), str_from(manifest)},
                                yyjson_doc_get_root(doc), &test_env, script->arena,
                                script->findings, &script->connector, err);
}

static inline bool script_begin(Script *script, const char *stream, const Partition *partition,
                                const Window *window, Error *err)
{
    page_reader_free(script->reader);
    script->reader = NULL;
    TRY(connector_find_stream(script->connector, str_from(stream), &script->stream, err));
    return page_reader_new(script->stream, partition, window, script->arena, &script->reader, err);
}

static inline void script_done(Script *script)
{
    page_reader_free(script->reader);
    arena_free(script->page);
    arena_free(script->arena);
}

// The next request, as "GET https://host/path?query".
static inline bool script_ask(Script *script, Str *ret_line, Error *err)
{
    bool more = false;
    TRY(page_reader_request(script->reader, script->page, &script->request, &more, err));
    if (!more) {
        *ret_line = STR("no more");
        return true;
    }
    return arena_printf(script->page, ret_line, err, STR_FMT " " STR_FMT,
                        STR_ARG(script->request.method), STR_ARG(script->request.url));
}

static inline bool script_answer_with(Script *script, int status, const char *body,
                                      const char *name, const char *value, Error *err)
{
    HttpHeader header = {{NULL, 0}, {NULL, 0}};
    HttpResponse response = {.status = status, .body = str_from(body)};
    if (name != NULL) {
        header = (HttpHeader){str_from(name), str_from(value)};
        response.headers = &header;
        response.header_count = 1;
    }
    return page_reader_answer(script->reader, &response, script->page, &script->outcome, err);
}

static inline bool script_answer(Script *script, int status, const char *body, Error *err)
{
    return script_answer_with(script, status, body, NULL, NULL, err);
}

static inline void check_ask(Script *script, const char *line)
{
    Error err = {0};
    Str asked = {0};
    CHECK_OK(script_ask(script, &asked, &err), &err);
    CHECK_STR(asked, str_from(line));
}

// Answers 200 and compares the records, as a JSON list.
static inline void check_records(Script *script, const char *body, const char *json)
{
    Error err = {0};
    CHECK_OK(script_answer(script, 200, body, &err), &err);
    CHECK_INT(script->outcome.verdict, PAGE_RECORDS);
    CLEANUP(buf_done) Buf out = {0};
    CHECK(buf_append_char(&out, '[', &err));
    for (size_t i = 0; i < script->outcome.record_count; i++) {
        CHECK(i == 0 || buf_append_char(&out, ',', &err));
        CHECK(json_write(script->outcome.records[i], &out, &err));
    }
    CHECK(buf_append_char(&out, ']', &err));
    CHECK_STR(buf_str(&out), str_from(json));
}

// A manifest of one stream "s" around the given parts, which are indented for their places.
#define ONE_STREAM(requester, retriever, stream)                                               \
    "version: 1.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [s]}\n" \
    "streams:\n  - type: DeclarativeStream\n    name: s\n" stream                              \
    "    retriever:\n      type: SimpleRetriever\n      requester:\n"                          \
    "        type: HttpRequester\n        url_base: https://api.example.com/v1\n" requester    \
    "      record_selector:\n        type: RecordSelector\n        extractor:\n"               \
    "          type: DpathExtractor\n          field_path: [items]\n" retriever
