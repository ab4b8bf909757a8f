// FeedState: how far another tool had come, in the forms that Airbyte and Singer write.
#include "run/feed_state.h"

#include "one_stream.h"

#include <unistd.h>

enum { ARENA_BYTES = 32 * 1024 * 1024 };

typedef struct World {
    PlanStream stream;
    PlanPartition partitions[PARTITIONS]; // 1001 reads days in New York, 1002 in UTC
    char path[200];
} World;

static bool open_world(World *world, const char *state, Arena *arena, Error *err)
{
    const Job job = {.name = STR("ctm")};
    world->stream = (PlanStream){.partitions = world->partitions, .partition_count = PARTITIONS};
    TRY(one_stream_open(ONE_STREAM("calls", ""), arena, &world->stream.stream, err));
    for (int i = 0; i < PARTITIONS; i++) {
        TRY(plan_bind_partition(&job, world->stream.stream,
                                i == 0 ? STR("America/New_York") : STR("UTC"), arena,
                                &world->partitions[i], err));
        world->partitions[i].value = i == 0 ? STR("1001") : STR("1002");
    }
    (void)snprintf(world->path, sizeof(world->path), "%s/state.json", test_folder());
    FILE *file = fopen(world->path, "wb");
    CHECK(file != NULL && fputs(state, file) >= 0 && fclose(file) == 0);
    return true;
}

static int64_t at(const char *text)
{
    int64_t us = INT64_MIN;
    CHECK(text == NULL || time_parse_iso(str_from(text), &us));
    return us;
}

TEST(every_form_of_state_is_understood)
{
    static const struct {
        const char *name, *state;
        const char *first, *second; // of 1001 and of 1002; NULL = nothing is said
    } rows[] = {
        {"legacy, one for all", "{\"calls\":{\"at\":\"2026-03-01T12:00:00Z\"},\"users\":{}}",
         "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"days are of the partition's zone", "{\"calls\":{\"at\":\"2026-03-01\"}}",
         "2026-03-01T05:00:00Z", "2026-03-01T00:00:00Z"},
        {"seconds and milliseconds", "{\"calls\":{\"1001\":1772366400,\"1002\":1772366400000}}",
         "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"a message",
         "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":"
         "{\"name\":\"calls\"},\"stream_state\":{\"states\":["
         "{\"partition\":{\"id\":1002},\"cursor\":{\"at\":\"2026-03-02T00:00:00Z\"}},"
         "{\"partition\":{\"id\":\"1001\"},\"cursor\":{\"at\":\"2026-03-01T00:00:00Z\"}}]}}}}",
         "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"a message of all streams",
         "{\"type\":\"STATE\",\"state\":{\"type\":\"GLOBAL\",\"global\":{\"shared_state\":{},"
         "\"stream_states\":[{\"stream_descriptor\":{\"name\":\"calls\"},\"stream_state\":"
         "{\"at\":\"2026-03-01T12:00:00Z\"}}]}}}",
         "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"one cursor for all partitions, beside the parent's",
         "{\"calls\":{\"lookback_window\":300,\"parent_state\":{\"accounts\":{\"created\":"
         "\"2020-01-01\"}},\"states\":[],\"state\":{\"at\":\"2026-03-01T12:00:00Z\"},"
         "\"use_global_cursor\":true}}",
         "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"Singer's SDK: what was read out of order is no place to go on from",
         "{\"bookmarks\":{\"calls\":{\"partitions\":[{\"context\":{\"id\":\"1001\"},"
         "\"progress_markers\":{\"replication_key_value\":\"2026-03-05T00:00:00Z\"},"
         "\"starting_replication_value\":\"2026-03-01T00:00:00Z\"}]}}}",
         "2026-03-01T00:00:00Z", NULL},
        {"as the platform's API spells it",
         "[{\"streamDescriptor\":{\"name\":\"users\"},\"streamState\":{\"at\":\"2020-01-01\"}},"
         "{\"streamDescriptor\":{\"name\":\"calls\"},\"streamState\":{\"at\":"
         "\"2026-03-01T12:00:00Z\"}}]",
         "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"},
        {"of several messages the last",
         "[{\"calls\":{\"at\":\"2026-03-01T00:00:00Z\"}},{\"calls\":{\"at\":"
         "\"2026-03-02T00:00:00Z\"}},{\"users\":{\"at\":\"2026-03-03T00:00:00Z\"}}]",
         "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"of several lines too",
         "{\"calls\":{\"at\":\"2026-03-01T00:00:00Z\"}}\n\n{\"calls\":{\"at\":"
         "\"2026-03-02T00:00:00Z\"}}\r\n{\"users\":{\"at\":\"2026-03-03T00:00:00Z\"}}\n",
         "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z"},
        {"Singer's SDK: what names the partition is no time of it",
         "{\"bookmarks\":{\"calls\":{\"partitions\":[{\"context\":{\"day\":\"2020-01-01\",\"id\":"
         "\"1001\"},\"replication_key_value\":\"2026-03-01T00:00:00Z\"}]}}}",
         "2026-03-01T00:00:00Z", NULL},
        {"a number that is no time is passed over",
         "{\"calls\":{\"page\":7,\"at\":\"2026-03-01T00:00:00Z\"}}", "2026-03-01T00:00:00Z",
         "2026-03-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        World world = {0};
        int64_t *us = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CHECK_OK(open_world(&world, rows[i].state, arena, &err), &err);
        CHECK_OK(feed_state_read(world.path, &world.stream, arena, &us, &err), &err);
        CHECK_INT(us[0], at(rows[i].first));
        CHECK_INT(us[1], at(rows[i].second));
    }
}

TEST(a_file_that_does_not_say_is_refused)
{
    static const struct {
        const char *name, *state;
    } rows[] = {
        {"empty", "{}"},
        {"another stream", "{\"bookmarks\":{\"users\":{\"at\":\"2026-03-01\"}}}"},
        {"no time",
         "{\"calls\":{\"page\":7,\"at\":\"soon\",\"more\":[\"2026-03-01\"],\"none\":null}}"},
        {"other partitions",
         "{\"calls\":{\"states\":[{\"partition\":{\"id\":1003},\"cursor\":{\"at\":"
         "\"2026-03-01\"}}]}}"},
        {"no JSON", "at 2026-03-01"},
        {"a line that was cut off", "{\"calls\":{\"at\":\"2026-03-01\"}}\n{\"calls\":{\"at\":"},
        {"too deep", "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
                     "{\"a\":{\"a\":{\"calls\":{\"at\":\"2026-03-01\"}}}}}}}}}}}}}}}"},
        {"a time too deep",
         "{\"calls\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
         "{\"a\":{\"a\":{\"a\":{\"a\":\"2026-03-01\"}}}}}}}}}}}}}}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        Error err = {0};
        World world = {0};
        int64_t *us = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        CHECK_OK(open_world(&world, rows[i].state, arena, &err), &err);
        CHECK(!feed_state_read(world.path, &world.stream, arena, &us, &err));
        CHECK_INT(err.code, ERROR_DATA);
        CHECK(us == NULL);
    }
}

TEST(feed_state_survives_every_fault)
{
    FAULTS() {
        Error err = {0};
        World world = {0};
        int64_t *us = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        const bool ok =
            arena != NULL &&
            open_world(&world, "{\"calls\":{\"at\":\"2026-03-01\"}}\n{}", arena, &err) &&
            feed_state_read(world.path, &world.stream, arena, &us, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (us != NULL));
    }
}
