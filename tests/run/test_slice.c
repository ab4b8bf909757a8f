// Slice: what one slice leaves to the next that the same worker reads.
#include "contract/plan.h"
#include "one_stream.h"
#include "run/slice.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };
#define CONTRACT                                                                  \
    "{\"stream\":\"s\",\"key\":[\"id\"],\"redacted\":\"/redacted\",\"columns\":[" \
    "{\"name\":\"id\",\"type\":\"int64\"}]}"

// Slices whose pages are landed already, each of one record; and a worker.
typedef struct Rig {
    Arena *arena;
    Job job;
    Store store;
    Plan plan;
    PlanStream stream;
    ThreeDays days;
    RunCounters counters;
    SliceContext context;
    Shaper *shaper;
    SliceWorker worker;
} Rig;

static bool open_stream(Rig *rig, Error *err)
{
    Contract *contract = NULL;
    Findings *findings = findings_new(rig->arena, err);
    TRY(findings != NULL);
    TRY(contract_read(STR(CONTRACT), "c.json", rig->arena, findings, &contract, err) &&
        findings_check(findings, err));
    rig->stream.contract = contract;
    return one_stream_open(ONE_STREAM("s", CURSOR("P1D", "P1D")), rig->arena, &rig->stream.stream,
                           err);
}

static bool land(Rig *rig, uint32_t slice, Str body, Error *err)
{
    const SliceName name = {.run = STR("r"),
                            .stream = STR("s"),
                            .partition_key = rig->days.partitions[slice % PARTITIONS].partition.key,
                            .slice = slice,
                            .reading = 1};
    PageInfo page = {.fetched_us = 1, .total = -1, .records = 1};
    return landing_put_page(rig->worker.landing, &name, 0, &(PageBody){.plain = body}, &page, err);
}

static bool rig_open(Rig *rig, Error *err)
{
    rig->arena = arena_new(ARENA_BYTES, err);
    TRY(rig->arena != NULL && open_stream(rig, err));
    three_days(&rig->days, &rig->stream);
    rig->plan = (Plan){.run = "r", .streams = &rig->stream, .stream_count = 1, .resumed = true};
    rig->context = (SliceContext){
        .job = &rig->job, .plan = &rig->plan, .env = &test_env, .counters = &rig->counters};
    rig->worker.store = &rig->store;
    rig->worker.shapers = &rig->shaper;
    rig->worker.page_arena = arena_new(ARENA_BYTES, err);
    const LandingOptions options = {.store = &rig->store, .job = STR("j")};
    return rig->worker.page_arena != NULL &&
           store_open(&rig->store, &store_memory, (DriverOptions){NULL, STR("test")}, &test_env,
                      rig->arena, NULL, err) &&
           landing_open(&options, rig->arena, &rig->worker.landing, err);
}

static void rig_done(Rig *rig)
{
    landing_close(rig->worker.landing);
    store_close(&rig->store);
    shaper_free(rig->shaper);
    arena_free(rig->worker.page_arena);
    arena_free(rig->arena);
}

static void slice_freep(SliceTask **task)
{
    slice_free(*task);
}

// Where the first slice fails, the second still shows its own rows only.
TEST(a_slice_that_fails_leaves_no_rows_to_the_next)
{
    FAULTS() {
        Error err = {0};
        CLEANUP(rig_done) Rig rig = {0};
        CLEANUP(slice_freep) SliceTask *first = NULL;
        CLEANUP(slice_freep) SliceTask *second = NULL;
        if (!rig_open(&rig, &err) || !land(&rig, 0, STR("{\"id\":1,\"redacted\":true}"), &err) ||
            !land(&rig, 1, STR("{\"id\":2}"), &err) ||
            !slice_new(&rig.context, 0, 0, 1, &first, &err) ||
            !slice_new(&rig.context, 0, 1, 1, &second, &err)) {
            CHECK(err.code != ERROR_JOB);
            continue;
        }
        const bool failed = slice_begin(first, &rig.worker) == SLICE_HAS_FAILED;
        CHECK_INT(failed, first->err.code != ERROR_NONE);
        if (slice_begin(second, &rig.worker) == SLICE_HAS_FAILED)
            continue;
        CHECK_INT((int64_t)second->batch_count, 1);
        CHECK_INT((int64_t)second->batches[0]->rows, 1);
        CHECK_INT(second->counts.rows, 1);
        CHECK_INT(second->manifest.distinct_keys, 1);
    }
}
