// Event and EventLog: what is written of a run while it goes on.
#include "base/file.h"
#include "base/json.h"
#include "harness/check.h"
#include "run/event_log.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BYTES = 4 * 1024 * 1024 };
#define RUN "019cde0e-39d3-73f1-a523-2dd6af03c487"

TEST(an_event_says_what_applies_and_nothing_else)
{
    Error err = {0};
    CLEANUP(buf_done) Buf out = {0};
    Event event = {.kind = EVENT_SLICE_READ, EVENT_NONE};
    event.at_us = INT64_C(1773252000000000);
    event.stream = STR("calls");
    event.slice = 0;
    event.rows = 5;
    event.text = STR("say \"x\"");
    CHECK_OK(event_write_json(&event, &out, &err), &err);
    CHECK_STR(buf_str(&out), STR("{\"event\":\"slice_read\",\"at\":\"2026-03-11T18:00:00Z\","
                                 "\"stream\":\"calls\",\"text\":\"say \\\"x\\\"\",\"slice\":0,"
                                 "\"rows\":5}"));
}

TEST(every_kind_of_event_has_a_name_in_lower_case)
{
    for (int kind = EVENT_RUN_STARTED; kind <= EVENT_RUN_ENDED; kind++) {
        const Str name = str_from(event_name((EventKind)kind));
        CHECK(name.size > 0);
        for (size_t i = 0; i < name.size; i++)
            CHECK((name.data[i] >= 'a' && name.data[i] <= 'z') || name.data[i] == '_');
    }
    CHECK_STR(str_from(event_name(EVENT_LOAD_COMMITTED)), STR("load_committed"));
}

static void count(void *state, const Event *event)
{
    (void)event;
    ++*(int *)state;
}

static Str read_log(Arena *arena, const char *run)
{
    char path[512];
    Error err = {0};
    Str text = {0};
    (void)snprintf(path, sizeof(path), "%s/state/events-%s.jsonl", test_folder(), run);
    CHECK_OK(file_read(path, 1 << 20, arena, &text, &err), &err);
    return text;
}

TEST(events_of_a_run_are_lines_of_its_file_and_go_on_to_the_next_sink)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    char folder[256];
    (void)snprintf(folder, sizeof(folder), "%s/state", test_folder());
    int seen = 0;
    CLEANUP(event_log_close) EventLog log;
    event_log_init(&log, str_from(folder), (EventSink){.emit = count, .state = &seen});
    const EventSink sink = event_log_sink(&log);
    Event event = {.kind = EVENT_WAITING, EVENT_NONE};
    sink.emit(sink.state, &event); // before the run has an id: nowhere to keep it
    event.run = STR(RUN);
    event.kind = EVENT_RUN_STARTED;
    sink.emit(sink.state, &event);
    event.kind = EVENT_RUN_ENDED;
    event.rows = 3;
    sink.emit(sink.state, &event);
    CHECK_INT(log.err.code, ERROR_NONE);
    CHECK_INT(seen, 3);
    Str text = read_log(arena, RUN);
    CHECK_CONTAINS(str_split_next(&text, '\n'), STR("run_started"));
    CHECK_CONTAINS(str_split_next(&text, '\n'), STR("\"rows\":3"));
    CHECK_INT((int64_t)text.size, 0);

    Str last = {0};
    CHECK_OK(event_log_last(str_from(folder), arena, &last, &err), &err);
    CHECK_CONTAINS(last, STR("run_ended"));
}

TEST(the_last_event_is_that_of_the_newest_run_and_whole)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    char path[512];
    Str last = {0};
    CHECK_OK(event_log_last(STR("/nowhere/at/all"), arena, &last, &err), &err);
    CHECK_INT((int64_t)last.size, 0);
    const struct {
        const char *name, *text;
    } files[] = {{"events-01.jsonl", "{\"a\":1}\n"},
                 {"events-02.jsonl", "{\"b\":1}\n{\"b\":2}\n{\"b\":"}, // cut by a kill
                 {"other.jsonl", "{\"c\":1}\n"}};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", test_folder(), files[i].name);
        CHECK_OK(file_write(path, str_from(files[i].text), &err), &err);
    }
    CHECK_OK(event_log_last(str_from(test_folder()), arena, &last, &err), &err);
    CHECK_STR(last, STR("{\"b\":2}"));
}

static void put_log(const char *name)
{
    Error err = {0};
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", test_folder(), name);
    CHECK_OK(file_write(path, STR("{}\n"), &err), &err);
}

static bool is_there(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", test_folder(), name);
    return file_exists(path);
}

// 2026-03-11T18:00:00.000Z is 0x019cde0e3900 milliseconds after 1970.
// Opening a pipe would wait for whoever writes to it.
TEST(what_is_no_file_is_passed_over)
{
    Error err = {0};
    Str line = {0};
    char path[512];
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    (void)snprintf(path, sizeof(path), "%s/events-" RUN ".jsonl", test_folder());
    CHECK_OK(file_write(path, STR("{\"event\":\"one\"}\n"), &err), &err);
    (void)snprintf(path, sizeof(path), "%s/events-f19cde0e.jsonl", test_folder());
    CHECK(mkfifo(path, 0600) == 0);
    (void)snprintf(path, sizeof(path), "%s/events-f29cde0e.jsonl", test_folder());
    CHECK(mkdir(path, 0700) == 0);
    CHECK_OK(event_log_last(str_from(test_folder()), arena, &line, &err), &err);
    CHECK_STR(line, STR("{\"event\":\"one\"}"));
    CHECK_OK(event_log_expire(str_from(test_folder()), INT64_MAX, arena, &err), &err);
}

TEST(old_files_go_but_the_newest_stay)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        if (arena == NULL)
            continue;
        const int nth = fault_nth;
        fault_arm(0);
        char name[128];
        // Two runs before that moment, and one more than are kept in any case from it on.
        put_log("events-019cde0e-38fe-7000-8000-000000000000.jsonl");
        put_log("events-019cde0e-38ff-7000-8000-000000000000.jsonl");
        for (int i = 0; i < EVENT_LOGS_KEPT - 1; i++) {
            (void)snprintf(name, sizeof(name),
                           "events-019cde0e-390%x-7%03d-8000-000000000000.jsonl", i % 16, i);
            put_log(name);
        }
        put_log("events-of-another-kind.jsonl");
        put_log("other.jsonl");
        CHECK_OK(event_log_expire(STR("/nowhere/at/all"), INT64_MAX, arena, &err), &err);
        fault_arm(nth);
        const bool ok =
            event_log_expire(str_from(test_folder()), INT64_C(1773252000000000), arena, &err);
        CHECK(ok == !fault_disarm());
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(is_there("other.jsonl"));
        CHECK(is_there(name));
        if (!ok)
            continue;
        CHECK(!is_there("events-019cde0e-38fe-7000-8000-000000000000.jsonl"));
        CHECK(!is_there("events-019cde0e-38ff-7000-8000-000000000000.jsonl"));
    }
}

TEST(files_of_runs_that_began_later_stay)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    char name[128];
    for (int i = 0; i < EVENT_LOGS_KEPT + 2; i++) {
        (void)snprintf(name, sizeof(name), "events-019cde0e-%04x-7000-8000-000000000000.jsonl",
                       0x38ff + i);
        put_log(name);
    }
    CHECK_OK(event_log_expire(str_from(test_folder()), INT64_C(1773252000000000), arena, &err),
             &err);
    CHECK(!is_there("events-019cde0e-38ff-7000-8000-000000000000.jsonl"));
    CHECK(
        is_there("events-019cde0e-3900-7000-8000-000000000000.jsonl")); // one too many, but not old
    CHECK_OK(event_log_expire(str_from(test_folder()), INT64_MAX, arena, &err), &err);
    CHECK(!is_there("events-019cde0e-3900-7000-8000-000000000000.jsonl"));
    CHECK(is_there("events-019cde0e-3901-7000-8000-000000000000.jsonl"));
}

TEST(a_folder_that_cannot_be_made_costs_the_log_not_the_run)
{
    char folder[256];
    Error err = {0};
    (void)snprintf(folder, sizeof(folder), "%s/file", test_folder());
    CHECK_OK(file_write(folder, STR("not a folder"), &err), &err);
    int seen = 0;
    CLEANUP(event_log_close) EventLog log;
    event_log_init(&log, str_from(folder), (EventSink){.emit = count, .state = &seen});
    const EventSink sink = event_log_sink(&log);
    Event event = {.kind = EVENT_RUN_STARTED, EVENT_NONE};
    event.run = STR(RUN);
    sink.emit(sink.state, &event);
    sink.emit(sink.state, &event);
    CHECK_INT(seen, 2);
    CHECK(log.err.code != ERROR_NONE);
}

// What cannot be kept is known, and costs the run nothing: the next sink hears everything.
TEST(an_event_log_survives_every_fault)
{
    FAULTS() {
        const int nth = fault_nth;
        char folder[256];
        (void)snprintf(folder, sizeof(folder), "%s/fault-%d", test_folder(), nth);
        int seen = 0;
        CLEANUP(event_log_close) EventLog log;
        event_log_init(&log, str_from(folder), (EventSink){.emit = count, .state = &seen});
        const EventSink sink = event_log_sink(&log);
        Event event = {.kind = EVENT_RUN_STARTED, EVENT_NONE};
        event.run = STR(RUN);
        sink.emit(sink.state, &event);
        event.kind = EVENT_RUN_ENDED;
        sink.emit(sink.state, &event);
        CHECK((log.err.code == ERROR_NONE) == !fault_disarm());
        CHECK_INT(seen, 2);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Str last = {0};
        CHECK_OK(event_log_last(str_from(folder), arena, &last, &err), &err);
        if (log.err.code == ERROR_NONE)
            CHECK_CONTAINS(last, STR("run_ended"));
    }
}
