// Replay: which reading of which slice is loaded again, with the notes of a run's loads and
// without.
#include "run/replay_choice.h"

#include "one_stream.h"
#include "run/load_note.h"

enum { ARENA_BYTES = 64 * 1024 * 1024, LOADS_MAX = 3 };
#define RUN STR("0199c0de-0000-7000-8000-000000000001")

// Three days of two partitions in a landing store in memory.
typedef struct Rig {
    Arena *arena;
    Store store;
    Landing *landing;
    PlanStream stream;
    ThreeDays days;
} Rig;

static bool open_stream(Rig *rig, Error *err)
{
    Contract *contract = NULL;
    Findings *findings = findings_new(rig->arena, err);
    TRY(findings != NULL);
    TRY(contract_open("connectors/ctm/contracts/calls.json", rig->arena, findings, &contract,
                      err) &&
        findings_check(findings, err));
    rig->stream.contract = contract;
    return one_stream_open(ONE_STREAM("s", CURSOR("P1D", "P1D")), rig->arena, &rig->stream.stream,
                           err);
}

static bool rig_open(Rig *rig, Error *err)
{
    rig->arena = arena_new(ARENA_BYTES, err);
    TRY(rig->arena != NULL && open_stream(rig, err));
    three_days(&rig->days, &rig->stream);
    const LandingOptions options = {.store = &rig->store, .job = STR("ctm")};
    return store_open(&rig->store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                      rig->arena, NULL, err) &&
           landing_open(&options, rig->arena, &rig->landing, err);
}

static void rig_done(Rig *rig)
{
    landing_close(rig->landing);
    store_close(&rig->store);
    arena_free(rig->arena);
}

typedef struct Reading {
    uint32_t number;
    bool adds_up, open, whole;
} Reading;

static bool land(Rig *rig, uint32_t slice, Reading reading, Error *err)
{
    const SliceName name = {.run = RUN,
                            .stream = STR("s"),
                            .partition_key = rig->days.partitions[slice % PARTITIONS].partition.key,
                            .slice = slice,
                            .reading = reading.number};
    const int64_t day = rig->days.slices[slice].from_us;
    PageInfo page = {.fetched_us = reading.open ? day + 1 : day + 2 * DAY_US, .total = 1};
    TRY(landing_put_page(rig->landing, &name, 0, &(PageBody){.plain = STR("{}")}, &page, err));
    const SliceManifest manifest = {.fetched_us = page.fetched_us,
                                    .first_total = 1,
                                    .last_total = 1,
                                    .in_one_go = true,
                                    .distinct_keys = reading.adds_up ? 1 : 0,
                                    .page_count = 1,
                                    .pages = &page};
    return !reading.whole || landing_finish_slice(rig->landing, &name, &manifest, err);
}

// A letter for each slice: 1 (the first reading adds up), 2 (the second only), c (both: the second
// confirmed deletions), x (does not add up), o (likewise, and the day was not over), p (a page, not
// whole), nothing landed otherwise.
static bool land_all(Rig *rig, const char *letters, Error *err)
{
    for (uint32_t i = 0; i < SLICES; i++) {
        const char letter = letters[i];
        Reading first = {.number = 1, .whole = letter != 'p', .open = letter == 'o'};
        first.adds_up = letter == '1' || letter == 'c';
        const Reading second = {.number = 2, .whole = true, .adds_up = true};
        TRY(letter == '.' || land(rig, i, first, err));
        TRY((letter != '2' && letter != 'c') || land(rig, i, second, err));
    }
    return true;
}

// "01 23 45": the slices of each load, all in their first reading; "-" is one whose note is gone.
static bool put_notes(Rig *rig, const char *text, Error *err)
{
    Str rest = str_from(text);
    for (uint32_t ordinal = 0; rest.size > 0; ordinal++) {
        const Str load = str_split_next(&rest, ' ');
        uint32_t slices[SLICES] = {0};
        uint32_t readings[SLICES] = {0};
        LoadNote note = {.ordinal = ordinal, .slices = slices, .readings = readings};
        for (size_t i = 0; i < load.size && load.data[0] != '-'; i++) {
            slices[note.count] = (uint32_t)(load.data[i] - '0');
            readings[note.count++] = 1;
        }
        TRY(note.count == 0 || load_note_create(rig->landing, RUN, &rig->stream, &note, err));
    }
    return true;
}

static bool put_end(Rig *rig, const char *status, int loads, int slices, Error *err)
{
    if (status == NULL)
        return true;
    StreamLoads stream = {STR("s"), (uint32_t)loads, (size_t)slices};
    EndNote note = {.status = str_from(status)};
    if (loads >= 0) {
        note.streams = &stream;
        note.stream_count = 1;
    }
    return end_note_put(rig->landing, RUN, &note, 5, err);
}

static bool choose(Rig *rig, RunMode mode, ReplayChoice *choice, EndNote *end, Error *err)
{
    bool there = false;
    TRY(end_note_read(rig->landing, RUN, rig->arena, end, &there, err));
    *choice = (ReplayChoice){.landing = rig->landing,
                             .run = RUN,
                             .end = there ? end : NULL,
                             .mode = mode,
                             .stream = &rig->stream,
                             .arena = rig->arena};
    return replay_choose(choice, err);
}

TEST(a_replay_loads_what_its_run_loaded)
{
    static const struct {
        const char *name;
        RunMode mode;
        const char *landed, *notes, *status;
        int loads, slices; // -1: end.json does not tell
        const char *chosen;
        int unnoted, missing;
    } rows[] = {
        {"as its notes say", MODE_HISTORIC, "11cc11", "012 345", "done", 2, 6, "111111", 0, 0},
        {"a run that rests", MODE_INCREMENTAL, "111111", "", "done", 0, 0, "000000", 0, 0},
        {"a failed slice is none", MODE_INCREMENTAL, "1x111p", "0234", "partial", 1, 4, "101110", 0,
         0},
        {"all notes are gone", MODE_HISTORIC, "12co11", "- -", "done", 2, 6, "121111", 6, 0},
        {"the first note is gone", MODE_HISTORIC, "222111", "- 345", "done", 2, 6, "222111", 3, 0},
        {"the last note is gone", MODE_HISTORIC, "111222", "012 -", "done", 2, 6, "111222", 3, 0},
        {"the last is gone, and the end does not tell", MODE_HISTORIC, "111x22", "012", "done", -1,
         -1, "111122", 3, 0},
        {"gone, and a slice too: it is asked for, and fails", MODE_HISTORIC, "111.p1", "-", "done",
         1, 6, "111111", 6, 0},
        {"of a partial run only what adds up", MODE_INCREMENTAL, "12x1o.", "- -", "partial", 2, 4,
         "120110", 4, 0},
        {"of a partial run one is not whole any more", MODE_INCREMENTAL, "11x1.p", "-", "partial",
         1, 4, "110100", 3, 1},
        {"an older run that may have rested", MODE_INCREMENTAL, "111111", "", "done", -1, -1,
         "111111", 0, 0},
        {"an older run that did not", MODE_INCREMENTAL, "111111", "0", "done", -1, -1, "111111", 5,
         0},
        {"a run that goes on", MODE_HISTORIC, "12x.p1", "0", NULL, -1, -1, "120001", 0, 0},
        {"a run that was given up", MODE_HISTORIC, "1xc.o1", "", "given up", -1, -1, "101011", 0,
         0},
        {"a stream that the run did not read", MODE_HISTORIC, "......", "", "given up", -1, -1,
         "000000", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        CLEANUP(rig_done) Rig rig = {0};
        ReplayChoice choice = {0};
        EndNote end = {0};
        CHECK_OK(rig_open(&rig, &err) && land_all(&rig, rows[i].landed, &err) &&
                     put_notes(&rig, rows[i].notes, &err) &&
                     put_end(&rig, rows[i].status, rows[i].loads, rows[i].slices, &err) &&
                     choose(&rig, rows[i].mode, &choice, &end, &err),
                 &err);
        char chosen[SLICES + 1] = "";
        for (size_t k = 0; k < SLICES; k++)
            chosen[k] = (char)('0' + rig.stream.replayed[k]);
        CHECK_STR(str_from(chosen), str_from(rows[i].chosen));
        CHECK_INT((int64_t)choice.unnoted, rows[i].unnoted);
        CHECK_INT((int64_t)choice.missing, rows[i].missing);
    }
}

// A slice that lies under another partition's name is nobody's.
TEST(what_was_landed_for_another_partition_is_passed_over)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    ReplayChoice choice = {0};
    EndNote end = {0};
    CHECK_OK(rig_open(&rig, &err) && land_all(&rig, "111111", &err), &err);
    rig.days.partitions[1].partition.key = STR("another");
    CHECK_OK(choose(&rig, MODE_HISTORIC, &choice, &end, &err), &err);
    CHECK_INT(rig.stream.replayed[2], 1);
    CHECK_INT(rig.stream.replayed[3], 0);
}

TEST(a_replay_believes_what_its_run_was_told_to)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    ReplayChoice choice = {0};
    EndNote end = {0};
    uint32_t slices[] = {2, 3};
    uint32_t readings[] = {1, 1};
    const LoadNote told = {
        .ordinal = 1, .slices = slices, .readings = readings, .count = 2, .accepts_deletes = true};
    CHECK_OK(rig_open(&rig, &err) && put_notes(&rig, "01 23 45", &err) &&
                 load_note_put(rig.landing, RUN, &rig.stream, &told, &err) &&
                 choose(&rig, MODE_REHYDRATION, &choice, &end, &err),
             &err);
    for (uint32_t i = 0; i < SLICES; i++) {
        CHECK_INT(rig.stream.replayed[i], 1);
        CHECK(rig.stream.accepted[i] == (i == 2 || i == 3));
    }
}

TEST(a_note_that_names_a_slice_outside_the_plan_is_damage)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    ReplayChoice choice = {0};
    EndNote end = {0};
    CHECK_OK(rig_open(&rig, &err) && put_notes(&rig, "06", &err), &err);
    CHECK(!choose(&rig, MODE_HISTORIC, &choice, &end, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_STR(str_from(err.message), STR("s/loads/000000.json: slice 6 is not in the plan"));
}

TEST(an_end_comes_back_as_it_was_written)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    EndNote end = {0};
    bool there = true;
    StreamLoads streams[] = {{STR("calls"), 3, 500}, {STR("\"done\""), 0, 0}};
    const EndNote note = {.status = STR("partial"), .streams = streams, .stream_count = 2};
    CHECK_OK(rig_open(&rig, &err) && end_note_read(rig.landing, RUN, rig.arena, &end, &there, &err),
             &err);
    CHECK(!there);
    CHECK_OK(end_note_put(rig.landing, RUN, &note, 7, &err) &&
                 end_note_read(rig.landing, RUN, rig.arena, &end, &there, &err),
             &err);
    CHECK(there);
    CHECK_STR(end.status, STR("partial"));
    CHECK_INT(end_note_stream(&end, STR("calls"))->loads, 3);
    CHECK_INT((int64_t)end_note_stream(&end, STR("calls"))->slices, 500);
    CHECK_INT((int64_t)end_note_stream(&end, STR("\"done\""))->slices, 0);
    CHECK(end_note_stream(&end, STR("accounts")) == NULL);
}

TEST(a_choice_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(rig_done) Rig rig = {0};
        ReplayChoice choice = {0};
        EndNote end = {0};
        const bool ok = rig_open(&rig, &err) && land_all(&rig, "12....", &err) &&
                        put_notes(&rig, "0", &err) && put_end(&rig, "partial", 2, 2, &err) &&
                        choose(&rig, MODE_INCREMENTAL, &choice, &end, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!ok || (choice.unnoted == 1 && rig.stream.replayed[1] == 2));
    }
}
