// Job: what a person may get wrong in a job file, and what pawl makes of a right one.
#include "base/file.h"
#include "harness/check.h"
#include "run/job.h"

#include <string.h>

enum { ARENA_BYTES = 16 * 1024 * 1024, TEXT_BYTES = 8192 };

static const char *variable(void *state, const char *name)
{
    (void)state;
    return strcmp(name, "SET") == 0 ? "hush" : NULL;
}

static void world(Env *env)
{
    *env = (Env){.now_us = test_env.now_us,
                 .monotonic_us = test_env.monotonic_us,
                 .sleep_us = test_env.sleep_us,
                 .random = test_env.random,
                 .variable = variable};
}

typedef struct Opened {
    Arena *arena;
    Findings *findings;
    Job *job;
    Env env;
    Error err;
    bool ok;
} Opened;

static void put(const char *name, const char *text)
{
    char path[256];
    Error err = {0};
    (void)snprintf(path, sizeof(path), "%s/%s", test_folder(), name);
    CHECK_OK(file_write(path, str_from(text), &err), &err);
}

static void open_job(Opened *opened, const char *text, const char *environment)
{
    char path[256];
    *opened = (Opened){0};
    world(&opened->env);
    opened->arena = arena_new(ARENA_BYTES, &opened->err);
    CHECK(opened->arena != NULL);
    opened->findings = arena_alloc(opened->arena, sizeof(Findings), &opened->err);
    CHECK(opened->findings != NULL);
    opened->findings->arena = opened->arena;
    put("job.json", text);
    (void)snprintf(path, sizeof(path), "%s/job.json", test_folder());
    const JobOptions options = {.environment = str_from(environment)};
    opened->ok = job_open(path, &options, &opened->env, opened->arena, opened->findings,
                          &opened->job, &opened->err);
}

static void close_job(Opened *opened)
{
    arena_wipe(opened->arena);
}

// Whether some finding has `place` at the end of its place and `text` in what it says.
static bool has_finding(const Opened *opened, const char *place, const char *text)
{
    for (size_t i = 0; i < opened->findings->count && i < FINDINGS_MAX; i++) {
        const Finding *finding = &opened->findings->items[i];
        if (str_ends_with(finding->place, str_from(place)) &&
            (str_find(finding->what, str_from(text)) < finding->what.size ||
             str_find(finding->fix, str_from(text)) < finding->fix.size))
            return true;
    }
    return false;
}

#define GOOD                                                                                      \
    "\"name\": \"j\", \"connector\": \"m.yaml\", \"streams\": {\"s\": {\"contract\": \"c.json\"," \
    " \"target\": \"a.b\"}}, \"landing\": {\"path\": \"lake\"}, \"warehouse\": {\"driver\":"      \
    " \"duckdb\", \"path\": \"x.duckdb\"}"

TEST(a_right_job_has_what_it_says_and_defaults_for_the_rest)
{
    Opened opened;
    open_job(&opened,
             "{" GOOD ", \"modes\": {\"rehydration\": {\"windows\": [{\"every\": \"P1M\","
             " \"back\": \"P2M\"}]}, \"incremental\": {\"lookback\": \"PT36H\"}},"
             " \"timezone\": \"America/New_York\"}",
             "");
    CHECK_OK(opened.ok, &opened.err);
    CHECK_INT((int64_t)opened.findings->count, 0);
    const Job *job = opened.job;
    CHECK_STR(job->name, STR("j"));
    CHECK_INT((int64_t)job->stream_count, 1);
    CHECK_STR(job->streams[0].schema, STR("a"));
    CHECK_STR(job->streams[0].table, STR("b"));
    CHECK(job->streams[0].enabled);
    CHECK_INT(job->modes[MODE_INCREMENTAL].lookback_us, INT64_C(36) * 3600 * 1000000);
    CHECK_INT((int64_t)job->modes[MODE_REHYDRATION].rule_count, 1);
    CHECK_INT(job->modes[MODE_REHYDRATION].rules[0].back.months, 2);
    CHECK_INT((int64_t)job->limits.memory_bytes, 512 * 1024 * 1024);
    CHECK_INT(job->limits.connections, 8);
    CHECK_INT(job->retry.attempts, 3);
    CHECK_INT(zone_offset_at(job->timezone, 0), -5 * 3600);
    // Relative paths start at the job file.
    CHECK(str_starts_with(job->connector_path, str_from(test_folder())));
    close_job(&opened);
}

TEST(every_fault_of_a_job_is_told_at_once)
{
    Opened opened;
    open_job(
        &opened,
        "{\"nmae\": \"j\", \"connector\": \"m.yaml\", \"streams\": {\"s\": {\"contract\": 7,"
        " \"target\": \"nodot\", \"enabeld\": true}}, \"modes\": {\"historc\": {},"
        " \"historic\": {\"from\": \"2025-02-30\"}, \"incremental\": {\"lookback\": \"2 days\"},"
        " \"rehydration\": {\"windows\": [{\"evry\": \"P1D\", \"back\": \"P2D\"}]}},"
        " \"landing\": {\"retention\": \"ever\"}, \"warehouse\": {},"
        " \"limits\": {\"conections\": 4, \"memory\": \"a lot\"},"
        " \"retry\": {\"attempts\": 0}, \"timezone\": \"America/New_Yrok\","
        " \"config\": {\"client_secret\": \"plain\", \"x\": \"${env:UNSET}\"}}",
        "");
    CHECK_OK(opened.ok, &opened.err);
    static const struct {
        const char *place, *text;
    } expected[] = {
        {"/nmae", "name"},
        {"/name", "missing"},
        {"/streams/s/contract", "is not a string"},
        {"/streams/s", "schema.table"},
        {"/streams/s/enabeld", "enabled"},
        {"/modes", "historic"},
        {"/modes/historic", "is not a day"},
        {"/modes/incremental", "is not a duration"},
        {"/modes/rehydration/windows/0/evry", "every"},
        {"/landing/retention", "is not a duration"},
        {"/warehouse/driver", "missing"},
        {"/limits/conections", "connections"},
        {"/limits/memory", ""},
        {"/retry/attempts", ""},
        {"/timezone", "America/New_York"},
        {"/config/client_secret", "secret"},
        {"/config/x", "UNSET is not set"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        check_row(expected[i].place);
        CHECK(has_finding(&opened, expected[i].place, expected[i].text));
    }
    close_job(&opened);
}

TEST(two_streams_do_not_share_a_table)
{
    Opened opened;
    open_job(&opened,
             "{\"name\": \"j\", \"connector\": \"c.yaml\", \"modes\": {\"incremental\": {}},"
             " \"warehouse\": {\"driver\": \"duckdb\", \"path\": \"x\"}, \"streams\": {"
             "\"a\": {\"contract\": \"a.json\", \"target\": \"s.t\"},"
             "\"b\": {\"contract\": \"b.json\", \"target\": \"s.u\"},"
             "\"c\": {\"contract\": \"c.json\", \"target\": \"S.T\"}}}",
             "");
    CHECK(has_finding(&opened, "/streams/c", "target 'S.T' is that of 'a'"));
    CHECK(!has_finding(&opened, "/streams/b", "is that of"));
    close_job(&opened);
}

TEST(a_secret_in_plain_text_is_refused_and_never_quoted)
{
    static const char *const members[] = {"client_secret", "password", "api_key", "token",
                                          "refresh_token"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        check_row(members[i]);
        char text[TEXT_BYTES];
        char place[64];
        (void)snprintf(text, sizeof(text), "{" GOOD ", \"config\": {\"%s\": \"hunter2-canary\"}}",
                       members[i]);
        (void)snprintf(place, sizeof(place), "/config/%s", members[i]);
        Opened opened;
        open_job(&opened, text, "");
        CHECK(has_finding(&opened, place, "secret"));
        CLEANUP(buf_done) Buf printed = {0};
        CHECK_OK(findings_print(opened.findings, &printed, &opened.err), &opened.err);
        CHECK_INT((int64_t)str_find(buf_str(&printed), STR("hunter2-canary")),
                  (int64_t)printed.size);
        close_job(&opened);
    }
}

TEST(a_secret_by_reference_is_resolved_and_shown_as_stars)
{
    Opened opened;
    put("secret.txt", "from a file\n");
    open_job(&opened,
             "{" GOOD ", \"config\": {\"client_secret\": \"${env:SET}\", \"password\":"
             " \"${file:secret.txt}\", \"plain\": 1}}",
             "");
    CHECK_OK(opened.ok, &opened.err);
    CHECK_INT((int64_t)opened.findings->count, 0);
    CHECK_STR(json_str(json_get(opened.job->config, STR("client_secret"))), STR("hush"));
    CHECK_STR(json_str(json_get(opened.job->config, STR("password"))), STR("from a file"));
    yyjson_val *shown = json_get(opened.job->shown, STR("config"));
    CHECK_STR(json_str(json_get(shown, STR("client_secret"))), STR("***"));
    CHECK_STR(json_str(json_get(shown, STR("password"))), STR("***"));
    close_job(&opened);
}

TEST(an_environment_is_laid_over_the_job)
{
    Error err = {0};
    char folder[256];
    (void)snprintf(folder, sizeof(folder), "%s/environments", test_folder());
    CHECK_OK(file_make_folder(folder, &err), &err);
    put("environments/dev.json",
        "{\"limits\": {\"connections\": 2}, \"timezone\": null, \"name\": \"j-dev\"}");
    put("environments/leak.json", "{\"config\": {\"password\": \"plain\"}}");
    Opened opened;
    open_job(&opened,
             "{" GOOD ", \"limits\": {\"connections\": 9, \"burst\": 7},"
             " \"timezone\": \"America/New_York\"}",
             "dev");
    CHECK_OK(opened.ok, &opened.err);
    CHECK_STR(opened.job->name, STR("j-dev"));
    CHECK_INT(opened.job->limits.connections, 2);
    CHECK_INT((int64_t)opened.job->limits.burst, 7);
    CHECK_STR(opened.job->timezone_name, STR("UTC"));
    close_job(&opened);

    open_job(&opened, "{" GOOD "}", "leak");
    CHECK(has_finding(&opened, "/config/password", "secret"));
    close_job(&opened);

    open_job(&opened, "{" GOOD "}", "none");
    CHECK(!opened.ok);
    CHECK_INT(opened.err.code, ERROR_NOT_FOUND);
    CHECK_CONTAINS(str_from(opened.err.message), STR("environment 'none'"));
    close_job(&opened);
}

TEST(what_is_no_json_is_told_with_its_line)
{
    Opened opened;
    open_job(&opened, "{\n \"name\": oops\n}", "");
    CHECK(!opened.ok);
    CHECK_INT(opened.err.code, ERROR_JOB);
    CHECK_CONTAINS(str_from(opened.err.message), STR("line 2"));
    close_job(&opened);
    open_job(&opened, "[]", "");
    CHECK(!opened.ok || opened.findings->count > 0);
    close_job(&opened);
}

TEST(partitions_are_let_in_by_include_and_exclude)
{
    Opened opened;
    open_job(&opened,
             "{" GOOD ", \"partitions\": {\"account_id\": {\"include\": [\"*\"], \"exclude\":"
             " [17, \"x\"]}, \"user\": {\"include\": [1]}}}",
             "");
    CHECK_OK(opened.ok, &opened.err);
    static const struct {
        const char *field, *value;
        bool admitted;
    } rows[] = {{"account_id", "1", true}, {"account_id", "17", false}, {"account_id", "x", false},
                {"user", "1", true},       {"user", "2", false},        {"other", "2", true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].value);
        CHECK(job_partition_admits(job_find_partition(opened.job, str_from(rows[i].field)),
                                   str_from(rows[i].value)) == rows[i].admitted);
    }
    close_job(&opened);
}

TEST(opening_a_job_survives_every_fault)
{
    put("faults.json", "{" GOOD ", \"config\": {\"client_secret\": \"${env:SET}\"}}");
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/faults.json", test_folder());
    Env env;
    world(&env);
    FAULTS() {
        Error err = {0};
        Job *job = NULL;
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Findings findings = {.arena = arena};
        const JobOptions options = {0};
        const bool ok =
            arena != NULL && job_open(path, &options, &env, arena, &findings, &job, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK(ok == (job != NULL));
    }
}
