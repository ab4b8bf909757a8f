// Deployment: what a job and its environments ask of a platform, and that rendering survives every
// fault.
#include "base/file.h"
#include "harness/check.h"
#include "render/render.h"

enum { ARENA_BYTES = 16 * 1024 * 1024 };

static const char job_text[] =
    "{\"name\": \"my-job\", \"connector\": \"m.yaml\", \"config\": {\"key\": "
    "\"${env:B}-${env:A}\", \"file\": "
    "\"${file:/none}\", \"vault\": \"${keyvault:v/n}\"}, \"streams\": {\"s\": {\"contract\": "
    "\"s.json\", "
    "\"target\": \"a.b\"}}, \"modes\": {\"historic\": {\"from\": \"2026-01-01\"}, \"incremental\": "
    "{\"schedule\": \"15 * * * *\"}}, \"landing\": {\"store\": \"local\", \"path\": \"l\"}, "
    "\"warehouse\": "
    "{\"driver\": \"duckdb\", \"path\": \"w\"}, \"timezone\": \"America/New_York\"}";

static void put(const char *path, Str text)
{
    Error err = {0};
    CHECK_OK(file_write(path, text, &err), &err);
}

// A job with the environments "one", which adds nothing, and "two", which asks for C and runs at
// other times.
static Str make_job(Arena *arena)
{
    Error err = {0};
    Str job = {0};
    Str one = {0};
    Str two = {0};
    const char *folder = test_folder();
    CHECK_OK(arena_printf(arena, &job, &err, "%s/job.json", folder), &err);
    CHECK_OK(arena_printf(arena, &one, &err, "%s/environments/one.json", folder), &err);
    CHECK_OK(arena_printf(arena, &two, &err, "%s/environments/two.json", folder), &err);
    Str environments = {0};
    CHECK_OK(arena_printf(arena, &environments, &err, "%s/environments", folder), &err);
    CHECK_OK(file_make_folder(environments.data, &err), &err);
    put(job.data, STR(job_text));
    put(one.data, STR("{}"));
    put(two.data, STR("{\"config\": {\"more\": \"${env:C}\"}, \"modes\": {\"incremental\": "
                      "{\"schedule\": \"0 6 * * *\"}}}"));
    return job;
}

TEST(references_are_noted_and_nothing_needs_to_be_set)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
    Findings findings = {.arena = arena};
    Deployment *deployment = NULL;
    const Str job = make_job(arena);
    CHECK_OK(deployment_open(job, STR("one, two"), &test_env, arena, &findings, &deployment, &err),
             &err);
    CHECK_INT((int64_t)findings.count, 0);
    CHECK_INT((int64_t)deployment->environment_count, 2);
    CHECK_STR(str_from(deployment->key), STR("my_job"));
    CHECK(str_ends_with(str_from(deployment->job_path), STR("/job.json")));
    CHECK(deployment->job_path[0] != '/');
    const DeployEnvironment *two = &deployment->environments[1];
    CHECK_INT((int64_t)two->variable_count, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK_STR(str_from(two->variables[i]), str_slice(STR("ABC"), i, 1));
    CHECK(deployment_shares_variable(deployment, "B"));
    CHECK(!deployment_shares_variable(deployment, "C"));
    CHECK(deployment_shares_schedule(deployment, MODE_HISTORIC));
    CHECK(!deployment_shares_schedule(deployment, MODE_INCREMENTAL));
    CHECK(deployment_has_mode(deployment, MODE_HISTORIC));
    CHECK(!deployment_has_mode(deployment, MODE_REHYDRATION));
}

TEST(environments_must_be_named_and_be_there)
{
    static const struct {
        const char *names;
        ErrorCode code;
    } rows[] = {
        {"one,", ERROR_JOB},
        {",one", ERROR_JOB},
        {"one,three", ERROR_NOT_FOUND},
        {"one,one,one,one,one,one,one,one,one", ERROR_LIMIT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].names);
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Findings findings = {.arena = arena};
        Deployment *deployment = NULL;
        const Str job = make_job(arena);
        CHECK(!deployment_open(job, str_from(rows[i].names), &test_env, arena, &findings,
                               &deployment, &err));
        CHECK_INT(err.code, rows[i].code);
        CHECK(deployment == NULL);
    }
}

TEST(rendering_survives_every_fault)
{
    Error ignored = {0};
    CLEANUP(arena_freep) Arena *kept = arena_new(ARENA_BYTES, &ignored);
    const Str job = make_job(kept);
    FAULTS() {
        Error err = {0};
        CLEANUP(arena_freep) Arena *arena = arena_new(ARENA_BYTES, &err);
        Findings findings = {.arena = arena};
        Deployment *deployment = NULL;
        Rendered bundle = {0};
        Rendered pipeline = {0};
        Rendered cron = {0};
        const bool ok =
            arena != NULL &&
            deployment_open(job, STR("one,two"), &test_env, arena, &findings, &deployment, &err) &&
            findings_check(&findings, &err) &&
            render_databricks(deployment, arena, &bundle, &err) &&
            render_azure(deployment, arena, &pipeline, &err) &&
            render_cron(deployment, STR("/opt/pawl"), arena, &cron, &err);
        CHECK(ok == (err.code == ERROR_NONE));
        CHECK_INT((int64_t)cron.count, ok ? 3 : 0);
        if (ok) {
            CHECK_INT((int64_t)bundle.count, 2);
            CHECK_CONTAINS(cron.files[0].text, STR("\n15 * * * * cd /opt/pawl "));
            CHECK_CONTAINS(cron.files[2].text,
                           STR("\nOnCalendar=*-*-* *:15:00 America/New_York\n"));
            CHECK_CONTAINS(pipeline.files[0].text, STR("\n  - stage: Two\n    dependsOn: One\n"));
        }
    }
}
