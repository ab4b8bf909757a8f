#include "run/source.h"

#include "base/file.h"
#include "harness/check.h"
#include "harness/server.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 1024 * 1024, PATH_BYTES = 256 };

#define LOOK_US (INT64_C(3) * 1000000)

// Two streams, the first cut into days.
static const char manifest[] = "version: 6.0.0\n"
                               "type: DeclarativeSource\n"
                               "check: {type: CheckStream, stream_names: [a]}\n"
                               "definitions:\n"
                               "  retriever:\n"
                               "    type: SimpleRetriever\n"
                               "    record_selector: {type: RecordSelector, extractor: {type: "
                               "DpathExtractor, field_path: [items]}}\n"
                               "    requester: {type: HttpRequester, url_base: \"{{ config['url'] "
                               "}}\", path: \"{{ parameters['p'] }}\"}\n"
                               "streams:\n"
                               "  - type: DeclarativeStream\n"
                               "    name: a\n"
                               "    $parameters: {p: a}\n"
                               "    retriever: {$ref: \"#/definitions/retriever\"}\n"
                               "    incremental_sync:\n"
                               "      type: DatetimeBasedCursor\n"
                               "      cursor_field: at\n"
                               "      datetime_format: \"%Y-%m-%d\"\n"
                               "      start_datetime: \"2026-03-01\"\n"
                               "      end_datetime: \"{{ config['end'] }}\"\n"
                               "      step: P1D\n"
                               "      cursor_granularity: P1D\n"
                               "      start_time_option: {type: RequestOption, inject_into: "
                               "request_parameter, field_name: from}\n"
                               "  - type: DeclarativeStream\n"
                               "    name: b\n"
                               "    $parameters: {p: b}\n"
                               "    retriever: {$ref: \"#/definitions/retriever\"}\n";

// A clock that goes on by three seconds whenever it is looked at: ten minutes pass in a few.
static Env world;
static int64_t flown_us;

static int64_t now_us(void *state)
{
    (void)state;
    flown_us += LOOK_US;
    return INT64_C(1775001600000000) + flown_us; // 2026-04-01
}

static void sleep_us(void *state, int64_t duration_us)
{
    (void)state;
    flown_us += duration_us;
}

static const char *path_of(const char *name)
{
    static char paths[4][PATH_BYTES];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_BYTES, "%s/%s", test_folder(), name);
    return path;
}

static void pass_time(Env *env)
{
    env_init_system(env);
    env->now_us = now_us;
    env->monotonic_us = now_us;
    env->sleep_us = sleep_us;
    flown_us = 0;
}

static void write_files(const Server *server, const char *end)
{
    Error err = {0};
    char config[PATH_BYTES];
    (void)snprintf(config, sizeof(config), "{\"url\": \"%s\", \"end\": \"%s\"}",
                   server_url(server, "/"), end);
    CHECK_OK(file_write(path_of("m.yaml"), str_from(manifest), &err), &err);
    CHECK_OK(file_write(path_of("config.json"), str_from(config), &err), &err);
}

static bool read_source(const Server *server, const char *end, Arena *arena, Str *ret_output,
                        Error *err)
{
    pass_time(&world);
    write_files(server, end);
    const SourceReadOptions options = {
        .manifest = path_of("m.yaml"),
        .config = path_of("config.json"),
        .output_fd = open(path_of("output"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)};
    CHECK(options.output_fd >= 0);
    const bool ok = source_read(&options, &world, err);
    CHECK(close(options.output_fd) == 0);
    Error why = {0};
    CHECK_OK(file_read(path_of("output"), OUTPUT_BYTES, arena, ret_output, &why), &why);
    return ok;
}

// Each slice of each stream would wait for six minutes of its own, and nobody would know.
TEST(a_silent_source_is_told_of_and_given_up)
{
    const ServerStep steps[] = {{.many = true, .then = SERVER_STALL}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(OUTPUT_BYTES * 2, &err);
    Str output = {0};
    CHECK(!read_source(server, "2026-03-31", arena, &output, &err));
    CHECK_INT(err.code, ERROR_IO);
    CHECK_CONTAINS(str_from(err.message), STR("minutes, given up: GET 127.0.0.1: no byte came"));
    CHECK_CONTAINS(output, STR("\"level\":\"INFO\",\"message\":\"waits for GET 127.0.0.1 since "
                               "2026-04-01T00:0"));
    CHECK_CONTAINS(output, STR("; try 2 of 6 follows in 1.0 s"));
    CHECK_CONTAINS(output, STR("\"failure_type\":\"transient_error\",\"message\":\"no answer for"));
    CHECK(str_find(output, STR("\"name\":\"b\"")) == output.size);
    CHECK(server_requests(server) > 6); // it was not the first slice that gave up
    CHECK(server_requests(server) < 12);
}

TEST(an_answer_ends_the_silence)
{
    const ServerStep silence = {.request = "GET /a?from=2026-03-01", .then = SERVER_STALL};
    const ServerStep later = {.request = "GET /a?from=2026-03-02", .then = SERVER_STALL};
    const Str answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"items\":[]}");
    const ServerStep steps[] = {silence,
                                silence,
                                silence,
                                silence,
                                silence,
                                {.request = "GET /a?from=2026-03-01", .answer = answer},
                                later,
                                later,
                                later,
                                later,
                                later,
                                {.request = "GET /a?from=2026-03-02", .answer = answer},
                                {.request = "GET /b", .answer = answer}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(OUTPUT_BYTES * 2, &err);
    Str output = {0};
    CHECK_OK(read_source(server, "2026-03-03", arena, &output, &err), &err);
    CHECK(flown_us > INT64_C(600) * 1000000); // silent for longer than it bears in one go
}

static void hear(void *state, Str text)
{
    Error err = {0};
    CHECK_OK(buf_append(state, text, &err) && buf_append_char(state, '\n', &err), &err);
}

// A draft's reader takes no messages, but a person sits before it.
TEST(who_drafts_a_contract_hears_what_is_waited_for)
{
    const ServerStep steps[] = {{.many = true, .then = SERVER_STALL}};
    CLEANUP(server_stopp) Server *server = server_start(SERVER_STEPS(steps));
    CLEANUP(buf_done) Buf heard = {0};
    CLEANUP(buf_done) Buf draft = {0};
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(OUTPUT_BYTES, &err);
    pass_time(&world);
    write_files(server, "2026-03-31");
    const SourceReadOptions options = {.manifest = path_of("m.yaml"),
                                       .config = path_of("config.json"),
                                       .tell = hear,
                                       .tell_state = &heard};
    SourceDraft found = {0};
    CHECK(!source_discover(&options, STR("b"), &world, arena, &draft, &found, &err));
    CHECK_INT(err.code, ERROR_IO);
    CHECK_CONTAINS(buf_str(&heard), STR("waits for GET 127.0.0.1 since 2026-04-01T00:0"));
    CHECK_CONTAINS(buf_str(&heard), STR("; try 2 of 6 follows in 1.0 s\n"));
    CHECK(draft.size == 0);
}
