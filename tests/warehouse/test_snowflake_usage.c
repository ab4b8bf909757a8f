// The day's cap: what a process and its fellows have used since midnight UTC.
#include "warehouse/snowflake_state.h"

#include "base/time.h"
#include "harness/check.h"
#include "harness/server.h"

enum { ARENA_BYTES = 16 * 1024 * 1024, FILES_MAX = 8, PATH_BYTES = 128, TEXT_BYTES = 256 };

#define SECOND INT64_C(1000000)

// The stage's files, in memory.
typedef struct Files {
    char paths[FILES_MAX][PATH_BYTES];
    char texts[FILES_MAX][TEXT_BYTES];
    size_t count;
    size_t lists; // how often they were listed
} Files;

static bool put(void *state, Str path, Str bytes, Error *err)
{
    (void)err;
    Files *files = state;
    size_t at = 0;
    while (at < files->count && !str_equal(str_from(files->paths[at]), path))
        at++;
    CHECK(at < FILES_MAX && path.size < PATH_BYTES && bytes.size < TEXT_BYTES);
    files->count = at == files->count ? at + 1 : files->count;
    (void)snprintf(files->paths[at], PATH_BYTES, STR_FMT, STR_ARG(path));
    (void)snprintf(files->texts[at], TEXT_BYTES, STR_FMT, STR_ARG(bytes));
    return true;
}

static bool read_file(void *state, Str path, size_t limit_bytes, Arena *arena, Str *ret_bytes,
                      Error *err)
{
    (void)limit_bytes;
    const Files *files = state;
    for (size_t i = 0; i < files->count; i++) {
        if (str_equal(str_from(files->paths[i]), path))
            return arena_copy_str(arena, str_from(files->texts[i]), ret_bytes, err);
    }
    return error_set(err, ERROR_NOT_FOUND, "no such file");
}

static bool list(void *state, Str folder, bool (*visit)(void *visitor, Str path), void *visitor,
                 Error *err)
{
    (void)err;
    Files *files = state;
    files->lists++;
    for (size_t i = 0; i < files->count; i++) {
        if (str_starts_with(str_from(files->paths[i]), folder) &&
            !visit(visitor, str_from(files->paths[i])))
            return true;
    }
    return true;
}

typedef struct Rig {
    Env env;
    Files files;
    StageFiles stage;
    Server *server;
    SnowflakeWarehouse db;
} Rig;

static void rig_done(Rig *rig)
{
    snowflake_api_free(rig->db.api);
    server_stop(rig->server);
    arena_free(rig->db.scratch);
}

// The warehouse is busy for `seconds`: Snowflake answers so long after it was asked.
#define BUSY(seconds)                                                                             \
    {.request = "POST ",                                                                          \
     .answer =                                                                                    \
         STR("HTTP/1.1 429 Too Many\r\nConnection: close\r\nRetry-After: " seconds "\r\n\r\n{}"), \
     .then = SERVER_CLOSE},                                                                       \
    {                                                                                             \
        .request = "POST ",                                                                       \
        .answer = STR("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"code\":\"090001\","         \
                      "\"statementHandle\":\"01b2c3d4-0000-4000-8000-000000000001\",\"data\":[]," \
                      "\"resultSetMetaData\":{\"rowType\":[],\"partitionInfo\":[{}]}}"),          \
        .then = SERVER_CLOSE                                                                      \
    }

static void rig_init(Rig *rig, const ServerStep *steps, size_t count)
{
    Error err = {0};
    *rig = (Rig){.stage = {.put = put, .read = read_file, .list = list}};
    rig->env = test_env;
    rig->stage.state = &rig->files;
    rig->server = server_start(steps, count);
    rig->db = (SnowflakeWarehouse){.options = {.auth = SNOWFLAKE_OAUTH,
                                               .token = STR("t"),
                                               .statement_timeout_us = 3600 * SECOND},
                                   .daily_seconds = 100,
                                   .env = &rig->env,
                                   .files = &rig->stage,
                                   .others_us = -1};
    rig->db.options.url = str_from(server_url(rig->server, ""));
    rig->db.scratch = arena_new(ARENA_BYTES, &err);
    CHECK(rig->db.scratch != NULL);
    CHECK_OK(snowflake_api_new(&rig->db.options, &rig->env, &rig->db.api, &err), &err);
}

static void work(Rig *rig)
{
    Error err = {0};
    SnowflakeResult result = {0};
    const SnowflakeStatement statement = {.sql = STR("SELECT 1"), .count = 1};
    CHECK_OK(snowflake_run(rig->db.api, &statement, rig->db.scratch, &result, &err), &err);
    snowflake_note_usage(&rig->db);
}

static void others_used(Rig *rig, const char *path, int64_t seconds)
{
    Error err = {0};
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "{\"warehouse_us\":%lld}", (long long)(seconds * SECOND));
    CHECK(put(&rig->files, str_from(path), str_from(text), &err));
}

// Seconds that our own file of that day has; -1 = there is none.
static int64_t own_seconds(Rig *rig, const char *day)
{
    char path[PATH_BYTES];
    Error err = {0};
    Str text = {0};
    yyjson_doc *doc = NULL;
    (void)snprintf(path, sizeof(path), "usage/%s/%s.json", day, rig->db.process);
    if (!read_file(&rig->files, str_from(path), TEXT_BYTES, rig->db.scratch, &text, &err))
        return -1;
    CHECK_OK(json_parse(text, "usage", rig->db.scratch, &doc, &err), &err);
    return yyjson_get_sint(json_get(yyjson_doc_get_root(doc), STR("warehouse_us"))) / SECOND;
}

TEST(a_run_over_midnight_begins_the_new_day_at_nothing)
{
    const ServerStep steps[] = {BUSY("40"), BUSY("30"), BUSY("5")};
    Error err = {0};
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, SERVER_STEPS(steps));
    test_clock_us = us_from_civil((Civil){2026, 3, 11, 23, 59, 0, 0});
    others_used(&rig, "usage/2026-03-11/another.json", 50);
    CHECK_OK(snowflake_may_load(&rig.db, &err), &err);
    work(&rig);
    CHECK_INT(own_seconds(&rig, "2026-03-11"), 40);
    work(&rig);
    // What ran over midnight is the old day's.
    CHECK_INT(own_seconds(&rig, "2026-03-11"), 70);
    CHECK_INT(own_seconds(&rig, "2026-03-12"), 0);
    CHECK_OK(snowflake_may_load(&rig.db, &err), &err);
    work(&rig);
    CHECK_INT(own_seconds(&rig, "2026-03-11"), 70);
    CHECK_INT(own_seconds(&rig, "2026-03-12"), 5);
}

TEST(what_others_use_meanwhile_counts_after_a_while)
{
    const ServerStep steps[] = {BUSY("40")};
    Error err = {0};
    CLEANUP(rig_done) Rig rig;
    rig_init(&rig, SERVER_STEPS(steps));
    test_clock_us = us_from_civil((Civil){2026, 3, 11, 12, 0, 0, 0});
    CHECK_OK(snowflake_may_load(&rig.db, &err), &err);
    work(&rig);
    others_used(&rig, "usage/2026-03-11/another.json", 61);
    CHECK_OK(snowflake_may_load(&rig.db, &err), &err);
    CHECK_INT((int64_t)rig.files.lists, 1);
    test_clock_us += 300 * SECOND;
    CHECK(!snowflake_may_load(&rig.db, &err));
    CHECK_INT(err.code, ERROR_LIMIT);
}
