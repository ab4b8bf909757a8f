// Gathering: which whole slices become a load together, and how far a partition has come with them.
#include "one_stream.h"
#include "run/pipeline_parts.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, TEXT_BYTES = 200 };
#define PLANNED (2 * DAY_US + 3) // within the third day
#define FETCHED (PLANNED + 2)

// A pipeline without threads: three days of two partitions, 10 rows each.
typedef struct Rig {
    Arena *arena;
    Plan plan;
    PlanStream stream;
    ThreeDays days;
    Job job;
    WarehouseDriver driver;
    Warehouse warehouse;
    PipelineOptions options;
    Pipeline pipeline;
    StreamState state;
    unsigned char states[SLICES];
    SliceTask *whole[SLICES];
} Rig;

static SliceState state_of(char letter)
{
    switch (letter) {
    case 'w':
        return STATE_WAITING;
    case 'a':
        return STATE_ACTIVE;
    case 'f':
        return STATE_FAILED;
    case 'l':
        return STATE_LOADED;
    default:
        return STATE_WHOLE;
    }
}

static void rig_plan(Rig *rig, RunMode mode)
{
    three_days(&rig->days, &rig->stream);
    // A replay keeps no notes of its loads, so there is no landing.
    rig->plan = (Plan){.mode = mode,
                       .streams = &rig->stream,
                       .stream_count = 1,
                       .landed_run = "r",
                       .created_us = PLANNED};
}

// `states`: a letter for each slice: waiting, active, h (whole), failed, loaded.
static bool rig_open(Rig *rig, RunMode mode, const char *states, int64_t load_rows, Error *err)
{
    rig->arena = arena_new(ARENA_BYTES, err);
    TRY(rig->arena != NULL && one_stream_open(ONE_STREAM("s", CURSOR("P1D", "P1D")), rig->arena,
                                              &rig->stream.stream, err));
    rig_plan(rig, mode);
    rig->job.limits.load_rows = load_rows;
    rig->job.limits.memory_bytes = 1 << 30;
    rig->warehouse.driver = &rig->driver;
    rig->options =
        (PipelineOptions){.job = &rig->job, .plan = &rig->plan, .warehouse = &rig->warehouse};
    Pipeline *pipeline = &rig->pipeline;
    *pipeline = (Pipeline){
        .options = &rig->options, .env = &test_env, .arena = rig->arena, .streams = &rig->state};
    pipeline->context = (SliceContext){
        .job = &rig->job, .plan = &rig->plan, .env = &test_env, .counters = &pipeline->counters};
    rig->state = (StreamState){.states = rig->states, .whole = rig->whole};
    for (uint32_t i = 0; i < SLICES; i++) {
        rig->states[i] = (unsigned char)state_of(states[i]);
        if (rig->states[i] != STATE_WHOLE)
            continue;
        TRY(slice_new(&pipeline->context, 0, i, 1, &rig->whole[i], err));
        rig->whole[i]->manifest.records = 10;
        rig->whole[i]->manifest.fetched_us = FETCHED;
    }
    pipeline->to_write = queue_new(LOADS_AHEAD + 1, err);
    return pipeline->to_write != NULL && log_book_new(&pipeline->log, err);
}

static void rig_done(Rig *rig)
{
    Queue *loads = rig->pipeline.to_write;
    for (LoadTask *load; loads != NULL && (load = queue_take(loads, 0)) != NULL;)
        load_task_free(load);
    queue_free(loads);
    for (size_t i = 0; i < SLICES; i++)
        slice_free(rig->whole[i]);
    log_book_free(rig->pipeline.log);
    arena_free(rig->arena);
}

// "0 1|2 3": the slices of each load at the writer; with `marks` what they prove: "p1@86400".
static void tell_loads(Rig *rig, bool marks, char text[TEXT_BYTES])
{
    size_t size = 0;
    text[0] = '\0';
    for (LoadTask *load; (load = queue_take(rig->pipeline.to_write, 0)) != NULL;) {
        size += (size_t)snprintf(text + size, TEXT_BYTES - size, "%s", size > 0 ? "|" : "");
        for (size_t i = 0; i < (marks ? load->watermark_count : load->slice_count); i++) {
            const char *space = i > 0 ? " " : "";
            if (marks)
                size += (size_t)snprintf(text + size, TEXT_BYTES - size, "%s" STR_FMT "@%lld",
                                         space, STR_ARG(load->watermarks[i].partition_key),
                                         (long long)load->watermarks[i].us);
            else
                size += (size_t)snprintf(text + size, TEXT_BYTES - size, "%s%u", space,
                                         load->slices[i]->ordinal);
        }
        load_task_free(load);
    }
}

TEST(whole_slices_in_a_row_become_loads)
{
    static const struct {
        const char *name, *states;
        int64_t load_rows;
        const char *expected;
    } rows[] = {
        {"all that is left", "hhhhhh", 1000, "0 1 2 3 4 5"},
        {"waits for one that is read", "hhahhh", 1000, ""},
        {"waits for one that was not begun", "hhwhhh", 1000, ""},
        {"is full before that one", "hhahhh", 20, "0 1"},
        {"one row short of it", "hhahhh", 21, ""},
        {"no more than the writer may have ahead", "hhhhhh", 10, "0|1"},
        {"a failed one is passed over", "hfhhhh", 1000, "0 2 3 4 5"},
        {"loaded ones are passed over", "llhhhh", 20, "2 3|4 5"},
        {"nothing is left", "lfllff", 20, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        char told[TEXT_BYTES];
        CLEANUP(rig_done) Rig rig = {0};
        CHECK_OK(rig_open(&rig, MODE_INCREMENTAL, rows[i].states, rows[i].load_rows, &err), &err);
        CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
        tell_loads(&rig, false, told);
        CHECK_STR(str_from(told), str_from(rows[i].expected));
    }
}

TEST(a_replayed_load_holds_what_is_believed_alike)
{
    Error err = {0};
    char told[TEXT_BYTES];
    bool accepted[SLICES] = {false, true, true, false, false, false};
    CLEANUP(rig_done) Rig rig = {0};
    CHECK_OK(rig_open(&rig, MODE_REHYDRATION, "hhlhhh", 1000, &err), &err);
    rig.stream.accepted = accepted;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
        tell_loads(&rig, false, told);
        CHECK_STR(str_from(told), i == 0 ? STR("0|1") : STR("3 4 5"));
        rig.pipeline.loads_under_way = 0;
    }
}

// A gap keeps what lies behind it from proving anything, for its own partition only. A window that
// was still open when it was read is proven up to the reading.
TEST(a_load_proves_what_is_in_without_a_gap)
{
    static const struct {
        const char *name, *states, *to;
        RunMode mode;
        const char *expected;
    } rows[] = {
        {"incremental", "hhhhhh", "", MODE_INCREMENTAL,
         "p0@86400000000 p1@86400000000 p0@172800000000 p1@172800000000 p0@172800000005 "
         "p1@172800000005"},
        {"one failed", "hfhhhh", "", MODE_INCREMENTAL,
         "p0@86400000000 p0@172800000000 p0@172800000005"},
        {"failed in the middle", "llfhhh", "", MODE_INCREMENTAL, "p1@172800000000 p1@172800000005"},
        {"days that a person chose", "hhhhhh", "2026-01-01", MODE_INCREMENTAL, ""},
        {"historic, by the last slice only", "hhhhhh", "", MODE_HISTORIC,
         "p0@172800000005 p1@172800000005"},
        {"historic, one failed", "hfhhhh", "", MODE_HISTORIC, "p0@172800000005"},
        {"historic, one that had failed", "lhllll", "", MODE_HISTORIC, "p1@172800000003"},
        {"historic, two that had failed", "hhhlll", "", MODE_HISTORIC,
         "p0@172800000003 p1@172800000003"},
        {"historic, another that failed again", "fhllll", "", MODE_HISTORIC, "p1@172800000003"},
        {"rehydration", "hhhhhh", "", MODE_REHYDRATION, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        char told[TEXT_BYTES];
        CLEANUP(rig_done) Rig rig = {0};
        CHECK_OK(rig_open(&rig, rows[i].mode, rows[i].states, 1000, &err), &err);
        rig.plan.asked.to = str_from(rows[i].to);
        CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
        tell_loads(&rig, true, told);
        CHECK_STR(str_from(told), str_from(rows[i].expected));
    }
}

TEST(a_load_that_was_fixed_comes_first_as_it_was)
{
    Error err = {0};
    char told[TEXT_BYTES];
    CLEANUP(rig_done) Rig rig = {0};
    uint32_t slices[] = {0, 2};
    uint32_t readings[] = {1, 1};
    LoadNote fixed = {.ordinal = 0, .slices = slices, .readings = readings, .count = 2};
    CHECK_OK(rig_open(&rig, MODE_INCREMENTAL, "hhahhh", 1000, &err), &err);
    rig.state.fixed = &fixed;
    rig.state.fixed_count = 1;
    rig.state.next_ordinal = 1;
    CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
    tell_loads(&rig, false, told);
    CHECK_STR(str_from(told), STR(""));

    CHECK_OK(slice_new(&rig.pipeline.context, 0, 2, 1, &rig.whole[2], &err), &err);
    rig.states[2] = STATE_WHOLE;
    CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
    tell_loads(&rig, false, told);
    CHECK_STR(str_from(told), STR("0 2|1 3 4 5"));
    CHECK_INT(rig.state.next_ordinal, 2);
}

TEST(a_fixed_load_whose_slice_cannot_be_read_stops_the_run)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    uint32_t slices[] = {0, 2};
    LoadNote fixed = {.ordinal = 7, .slices = slices, .count = 2};
    CHECK_OK(rig_open(&rig, MODE_INCREMENTAL, "hhfhhh", 1000, &err), &err);
    rig.state.fixed = &fixed;
    rig.state.fixed_count = 1;
    CHECK(!pipeline_gather(&rig.pipeline, &err));
    CHECK_INT(err.code, ERROR_DATA);
    CHECK_STR(str_from(err.message), STR("load 7: slice 2 was landed whole but cannot be read"));
}

// A warehouse that does not take its first load, and says that it has the others.
typedef struct Refusing {
    bool held; // it takes none today, rather than failing
    int asked, begun;
} Refusing;

static bool refuse_first(void *state, Error *err)
{
    Refusing *refusing = state;
    return !refusing->held || refusing->asked++ > 0 ||
           error_set(err, ERROR_BUSY, "the cap is reached");
}

static bool fail_first(void *state, const LoadSpec *spec, bool *ret_found, Error *err)
{
    (void)spec;
    Refusing *refusing = state;
    *ret_found = true;
    return refusing->begun++ > 0 || refusing->held || error_set(err, ERROR_IO, "it went away");
}

static bool stay_idle(void *state, Error *err)
{
    (void)state;
    (void)err;
    return true;
}

TEST(what_follows_a_load_that_did_not_come_in_waits_with_it)
{
    for (int held = 0; held < 2; held++) {
        check_row(held != 0 ? "held" : "failed");
        Error err = {0};
        Refusing refusing = {.held = held != 0};
        CLEANUP(rig_done) Rig rig = {0};
        CHECK_OK(rig_open(&rig, MODE_INCREMENTAL, "hhhhhh", 30, &err), &err);
        rig.driver = (WarehouseDriver){
            .may_load = refuse_first, .load_begin = fail_first, .idle = stay_idle};
        rig.warehouse.state = &refusing;
        CHECK_OK(pipeline_gather(&rig.pipeline, &err), &err);
        queue_close(rig.pipeline.to_write);
        rig.pipeline.written = queue_new(LOADS_AHEAD + 1, &err);
        (void)pipeline_write_loads(&rig.pipeline);
        for (int i = 0; i < LOADS_AHEAD; i++) {
            LoadTask *load = queue_take(rig.pipeline.written, 0);
            CHECK_INT(load->err.code, refusing.held ? ERROR_BUSY : ERROR_IO);
            CHECK(load->held == refusing.held);
            load_task_free(load);
        }
        CHECK_INT(refusing.begun, refusing.held ? 0 : 1);
        queue_free(rig.pipeline.written);
    }
}

// Whatever holds the rows: the writer, or a disk that is slow to make their pages durable.
TEST(slices_wait_while_rows_fill_their_share_of_memory)
{
    Error err = {0};
    CLEANUP(rig_done) Rig rig = {0};
    CHECK_OK(rig_open(&rig, MODE_HISTORIC, "wwwwww", 100, &err), &err);
    Pipeline *pipeline = &rig.pipeline;
    pipeline->active_max = 2;
    CHECK(pipeline_may_start(pipeline));
    pipeline->active = 5;
    atomic_store(&pipeline->sealed, 4);
    CHECK(pipeline_may_start(pipeline)); // nothing is asked for any more for four of them
    atomic_store(&pipeline->counters.batch_bytes, (long long)rig.job.limits.memory_bytes);
    CHECK(!pipeline_may_start(pipeline));
    pipeline->active = 0;
    atomic_store(&pipeline->sealed, 0);
    pipeline->loads_under_way = 1;
    CHECK(!pipeline_may_start(pipeline));
    // The load in hand needs slices that were not started yet: waiting would be for ever.
    pipeline->loads_under_way = 0;
    CHECK(pipeline_may_start(pipeline));
    atomic_store(&pipeline->counters.batch_bytes, 0);
    pipeline->active = 2;
    CHECK(!pipeline_may_start(pipeline));
}

TEST(gathering_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        char told[TEXT_BYTES] = "";
        CLEANUP(rig_done) Rig rig = {0};
        const bool open = rig_open(&rig, MODE_INCREMENTAL, "hhhhhh", 30, &err);
        const bool ok = open && pipeline_gather(&rig.pipeline, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(!open || rig.pipeline.log != NULL);
        if (ok)
            tell_loads(&rig, false, told);
        CHECK_STR(str_from(told), ok ? STR("0 1 2|3 4 5") : STR(""));
    }
}
