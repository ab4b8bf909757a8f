// Open: how every command gets at its job, and what it says when the job is wrong.
#pragma once

#include "cli/command.h"
#include "run/job.h"

enum { CLI_ARENA_BYTES = 1024 * 1024 * 1024 };

// Opens the job named by the first argument, with --env. Findings are printed to stderr, one a
// line; then `err` counts them.
bool cli_open_job(Cli *cli, Arena *arena, Job **ret_job, Error *err) MUST_USE;

// The same for a job named by an option.
bool cli_open_job_at(Cli *cli, Str path, Arena *arena, Job **ret_job, Error *err) MUST_USE;

// ERROR_NOT_FOUND when the warehouse is a file that no run has made yet; says how to make it.
bool cli_need_warehouse(const Job *job, Error *err) MUST_USE;

// Prints findings, if any, and turns them into `err`.
bool cli_check_findings(const Findings *findings, Error *err) MUST_USE;

// --state, or ".pawl" beside the job file: where the events of runs are kept.
bool cli_state_folder(const Cli *cli, const Job *job, Arena *arena, Str *ret_folder,
                      Error *err) MUST_USE;

void arena_wipep(Arena **arena); // for CLEANUP(): job arenas hold secrets
