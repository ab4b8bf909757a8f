// View: what people see of a run on a terminal, and what programs get.
#include "cli/view.h"
#include "harness/check.h"

#include <unistd.h>

enum { SHOWN_BYTES = 2000 };

// What an event makes the view write to stderr. A View that has none yet is made for a terminal.
static Str show(View *view, const Event *event, char text[SHOWN_BYTES])
{
    if (view->env == NULL) {
        view_init(view, false, &test_env);
        view->terminal = true;
    }
    int ends[2] = {-1, -1};
    const int own = dup(STDERR_FILENO);
    CHECK(own >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    const EventSink sink = view_sink(view);
    sink.emit(sink.state, event);
    (void)fflush(stderr);
    CHECK(dup2(own, STDERR_FILENO) == STDERR_FILENO);
    (void)close(own);
    (void)close(ends[1]);
    const ssize_t got = read(ends[0], text, SHOWN_BYTES);
    CHECK(got >= 0 && got < SHOWN_BYTES);
    (void)close(ends[0]);
    return (Str){text, (size_t)got};
}

static Event event_of(EventKind kind)
{
    Event event = {.kind = kind, EVENT_NONE};
    event.run = STR("019c");
    event.mode = STR("historic");
    event.stream = STR("calls");
    event.partition = STR("1001");
    event.slice = 3;
    event.rows = 7;
    event.done = 5;
    event.total = 9;
    event.text = STR("the text");
    return event;
}

TEST(people_see_what_they_may_have_to_act_on)
{
    static const struct {
        EventKind kind;
        const char *expected; // "" = nothing: it is in the log
    } rows[] = {
        {EVENT_RUN_STARTED, "run 019c (historic, the text)\n"},
        {EVENT_PARTITION_FAILED, "warning: calls of 1001 failed, the others go on: the text\n"},
        {EVENT_DELETES_HELD_BACK,
         "warning: calls: 7 rows vanished at the source, too many to believe: none was marked; "
         "run again with --accept-deletes if it is true\n"},
        {EVENT_DELETES_UNCONFIRMED,
         "warning: calls: 7 rows seem to have vanished at the source, and the second reading could "
         "not confirm it: none was marked; the next rehydration looks again: the text\n"},
        {EVENT_SLICE_OPEN, "warning: calls of 1001, slice 3: 7 rows read, the source says 9; "
                           "the next run looks again\n"},
        {EVENT_REDACTED,
         "note: the source redacted 7 records, their older copies went; what keeps some for a "
         "while is in the receipt the text of the landing store\n"},
        {EVENT_WAITING, "waiting for the text\n"},
        {EVENT_NOTES_MISSING, "warning: calls of run 019c: notes of its loads are gone; 5 slices "
                              "are those that were landed whole\n"},
        {EVENT_CLOCK_AHEAD, "warning: the text\n"},
        {EVENT_MARKS_FAR_BACK, "warning: calls: the text\n"},
        {EVENT_ZONES_UNKNOWN, "warning: calls: the text\n"},
        {EVENT_PARTITIONS_LEFT_OUT, "warning: calls: the text\n"},
        {EVENT_DRIFT, "note: calls: the contract does not know the text: kept in _overflow; "
                      "pawl contract promote makes a column of one\n"},
        {EVENT_PARTITIONS_FOUND, ""},
        {EVENT_PLAN_MADE, ""},
        {EVENT_SLICE_READ, ""},
        {EVENT_SLICE_RESUMED, ""},
        {EVENT_SLICE_READ_AGAIN, ""},
        {EVENT_LOAD_COMMITTED, ""},
        {EVENT_LOAD_FOUND, ""},
        {EVENT_WAREHOUSE_RESTS, ""},
        {EVENT_RUN_ENDED, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(event_name(rows[i].kind));
        View view = {0};
        char text[SHOWN_BYTES];
        const Event event = event_of(rows[i].kind);
        CHECK_STR(show(&view, &event, text), str_from(rows[i].expected));
    }
}

TEST(texts_of_an_api_move_no_cursor)
{
    View view = {0};
    char text[SHOWN_BYTES];
    Event event = event_of(EVENT_WAITING);
    event.text = STR("a\033[2Jb\r\n\tc\x7f"
                     "d\xc2\x9b"
                     "2Je \xc3\xa9\xc2\xa0");
    CHECK_STR(show(&view, &event, text), STR("waiting for a [2Jb   c d  2Je \xc3\xa9\xc2\xa0\n"));
}

TEST(progress_is_one_line_that_moves)
{
    static const struct {
        const char *name;
        int64_t after_s, done, total;
        const char *expected;
    } rows[] = {
        {"nothing is known yet", 0, 0, 0,
         "[....................] 0/0 slices  1000 rows  0 rows/s  0.0 MB/s  8 requests  1 retries"},
        {"a quarter", 10, 5, 20,
         "[#####...............] 5/20 slices  1000 rows  100 rows/s  0.2 MB/s  8 requests  "
         "1 retries  0:31 left"},
        {"minutes left", 100, 10, 20,
         "[##########..........] 10/20 slices  1000 rows  10 rows/s  0.0 MB/s  8 requests  "
         "1 retries  1:41 left"},
        {"too early to say", 10, 1, 200,
         "[....................] 1/200 slices  1000 rows  100 rows/s  0.2 MB/s  8 requests  "
         "1 retries"},
        {"all", 10, 20, 20,
         "[####################] 20/20 slices  1000 rows  100 rows/s  0.2 MB/s  8 requests  "
         "1 retries"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        View view = {0};
        char text[SHOWN_BYTES];
        const Event waiting = event_of(EVENT_WAITING);
        (void)show(&view, &waiting, text); // the view's time begins
        test_clock_us += rows[i].after_s * 1000000;
        Event event = event_of(EVENT_PROGRESS);
        event.done = rows[i].done;
        event.total = rows[i].total;
        event.rows = 1000;
        event.bytes = 2000000;
        event.requests = 8;
        event.retries = 1;
        const Str shown = show(&view, &event, text);
        CHECK_STR(str_slice(shown, 0, 4), STR("\r\033[K"));
        CHECK_STR(str_slice(shown, 4, shown.size), str_from(rows[i].expected));
        // What comes next takes its place, and need not clear it twice.
        CHECK_STR(show(&view, &waiting, text), STR("\r\033[Kwaiting for the text\n"));
        CHECK_STR(show(&view, &waiting, text), STR("waiting for the text\n"));
    }
}

TEST(programs_get_every_event_as_a_line_of_json)
{
    for (int i = 0; i < 2; i++) {
        check_row(i == 0 ? "no terminal" : "asked for");
        View view = {0};
        view_init(&view, i == 1, &test_env);
        view.terminal = i == 1;
        char text[SHOWN_BYTES];
        Event event = event_of(EVENT_PROGRESS);
        event.at_us = INT64_C(1773252000000000);
        CHECK_STR(show(&view, &event, text),
                  STR("{\"event\":\"progress\",\"at\":\"2026-03-11T18:00:00Z\",\"run\":\"019c\","
                      "\"mode\":\"historic\",\"stream\":\"calls\",\"partition\":\"1001\","
                      "\"text\":\"the text\",\"slice\":3,\"rows\":7,\"done\":5,\"total\":9}\n"));
    }
}
