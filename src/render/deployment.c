#include "render/deployment.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

typedef struct Note {
    Arena *arena;
    DeployEnvironment *environment;
} Note;

// Keeps `name` in its place; one that is there stays once.
static bool note_variable(Note *note, const char *name, Error *err)
{
    DeployEnvironment *environment = note->environment;
    size_t at = 0;
    while (at < environment->variable_count && strcmp(environment->variables[at], name) < 0)
        at++;
    if (at < environment->variable_count && strcmp(environment->variables[at], name) == 0)
        return true;
    if (environment->variable_count == DEPLOY_VARIABLES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d variables", DEPLOY_VARIABLES_MAX);
    memmove(&environment->variables[at + 1], &environment->variables[at],
            (environment->variable_count - at) * sizeof(environment->variables[0]));
    environment->variables[at] = name;
    environment->variable_count++;
    return true;
}

// A key vault is asked by pawl itself, wherever it runs: nothing to prepare but its identity.
static bool note_reference(void *state, Str reference, Error *err)
{
    Note *note = state;
    Str name = {0};
    if (!str_starts_with(reference, STR("env:")))
        return true;
    TRY(arena_copy_str(note->arena, str_slice(reference, 4, reference.size), &name, err));
    return note_variable(note, name.data, err);
}

static bool open_environment(Str job_path, Str name, Env *env, Arena *arena, Findings *findings,
                             DeployEnvironment *environment, Error *err)
{
    Str copy = {0};
    Str path = {0};
    TRY(arena_copy_str(arena, name, &copy, err) && arena_copy_str(arena, job_path, &path, err));
    environment->name = copy.data;
    Note note = {.arena = arena, .environment = environment};
    const SecretNotes notes = {.note = note_reference, .state = &note};
    const JobOptions options = {.environment = name, .notes = &notes};
    TRY(job_open(path.data, &options, env, arena, findings, &environment->job, err));
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        const Str schedule = environment->job->modes[mode].schedule;
        Error told = {0}; // a schedule that is wrong is among the findings
        if (schedule.size > 0 && !cron_parse(schedule, &environment->schedules[mode], &told) &&
            findings->count == 0)
            return error_set(err, told.code, "%s", told.message);
    }
    return true;
}

// The last two parts of the job's full path: a release holds jobs/ beside environments/.
static bool find_job_path(Str given, Arena *arena, const char **ret_path, Error *err)
{
    Str copy = {0};
    TRY(arena_copy_str(arena, given, &copy, err));
    char *full = realpath(copy.data, NULL); // the C library's own
    if (full == NULL)
        return file_error(err, "open", copy.data);
    Str path = str_from(full);
    size_t start = path.size;
    for (int slashes = 0; start > 0; start--) {
        slashes += path.data[start - 1] == '/';
        if (slashes == 2)
            break;
    }
    Str kept = {0};
    const bool ok = arena_copy_str(arena, str_slice(path, start, path.size), &kept, err);
    free(full);
    *ret_path = kept.data;
    return ok;
}

static bool make_key(Str name, Arena *arena, const char **ret_key, Error *err)
{
    char *key = arena_alloc(arena, name.size + 1, err);
    TRY(key != NULL);
    for (size_t i = 0; i < name.size; i++) {
        const char c = name.data[i];
        const bool word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        key[i] = word ? c : '_';
    }
    *ret_key = key;
    return true;
}

bool deployment_open(Str job_path, Str environments, Env *env, Arena *arena, Findings *findings,
                     Deployment **ret_deployment, Error *err)
{
    Deployment *deployment = arena_alloc(arena, sizeof(*deployment), err);
    TRY(deployment != NULL);
    TRY(find_job_path(job_path, arena, &deployment->job_path, err));
    for (Str rest = environments; rest.data != NULL;) {
        const Str name = str_trim(str_split_next(&rest, ','));
        if (name.size == 0 && environments.size > 0)
            return error_set(err, ERROR_JOB, "--env: an empty name; write --env dev,staging,prod");
        if (deployment->environment_count == DEPLOY_ENVIRONMENTS_MAX)
            return error_set(err, ERROR_LIMIT, "--env: more than %d environments",
                             DEPLOY_ENVIRONMENTS_MAX);
        TRY(open_environment(job_path, name, env, arena, findings,
                             &deployment->environments[deployment->environment_count++], err));
    }
    TRY(make_key(deployment->environments[0].job->name, arena, &deployment->key, err));
    *ret_deployment = deployment;
    return true;
}

bool deployment_has_mode(const Deployment *deployment, RunMode mode)
{
    return deployment->environments[0].job->modes[mode].given;
}

static bool has_variable(const DeployEnvironment *environment, const char *name)
{
    for (size_t i = 0; i < environment->variable_count; i++) {
        if (strcmp(environment->variables[i], name) == 0)
            return true;
    }
    return false;
}

bool deployment_shares_variable(const Deployment *deployment, const char *name)
{
    for (size_t i = 0; i < deployment->environment_count; i++) {
        if (!has_variable(&deployment->environments[i], name))
            return false;
    }
    return true;
}

bool deployment_shares_schedule(const Deployment *deployment, RunMode mode)
{
    const Job *first = deployment->environments[0].job;
    for (size_t i = 1; i < deployment->environment_count; i++) {
        const Job *other = deployment->environments[i].job;
        if (!str_equal(first->modes[mode].schedule, other->modes[mode].schedule) ||
            !str_equal(first->timezone_name, other->timezone_name))
            return false;
    }
    return true;
}
