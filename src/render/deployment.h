// Deployment: what a job file and its environments ask of a platform: schedules, zones, and which
// variables (most of them secrets) must be there.
//
// The variables themselves need not be set: which ones the job refers to is noted, none is looked
// up.
#pragma once

#include "run/cron.h"
#include "run/job.h"

enum { DEPLOY_ENVIRONMENTS_MAX = 8, DEPLOY_VARIABLES_MAX = 64 };

typedef struct DeployEnvironment {
    const char *name;
    Job *job;
    const char *variables[DEPLOY_VARIABLES_MAX]; // in the order of their names
    size_t variable_count;
    Cron schedules[MODE_COUNT]; // where the mode has a schedule
} DeployEnvironment;

typedef struct Deployment {
    const char *job_path; // from the release's root: "jobs/ctm.json"
    const char *key;      // the job's name as an identifier: "ctm"
    DeployEnvironment environments[DEPLOY_ENVIRONMENTS_MAX];
    size_t environment_count; // at least one; the first is where changes arrive first
} Deployment;

// `environments`: names with commas between them; empty = the job as it is, under the name "".
// Faults of the job are in `findings`, each once for each environment that has it. `env` gives the
// clock only.
bool deployment_open(Str job_path, Str environments, Env *env, Arena *arena, Findings *findings,
                     Deployment **ret_deployment, Error *err) MUST_USE;

bool deployment_has_mode(const Deployment *deployment, RunMode mode); // in the first environment
// All environments need this variable.
bool deployment_shares_variable(const Deployment *deployment, const char *name);
// The mode has the same schedule (or none) and zone in all environments.
bool deployment_shares_schedule(const Deployment *deployment, RunMode mode);
