#include "cli/open.h"

#include "base/file.h"
#include "run/drivers.h"

#include <stdio.h>

void arena_wipep(Arena **arena)
{
    arena_wipe(*arena);
}

bool cli_check_findings(const Findings *findings, Error *err)
{
    if (findings->count == 0)
        return true;
    CLEANUP(buf_done) Buf text = {0};
    TRY(findings_print(findings, &text, err));
    (void)fwrite(text.data, 1, text.size, stderr);
    return error_set(err, ERROR_JOB, "%zu fault%s found", findings->count,
                     findings->count == 1 ? "" : "s");
}

bool cli_open_job(Cli *cli, Arena *arena, Job **ret_job, Error *err)
{
    return cli_open_job_at(cli, cli->args.positional[0], arena, ret_job, err);
}

bool cli_open_job_at(Cli *cli, Str name, Arena *arena, Job **ret_job, Error *err)
{
    Str path = {0};
    TRY(arena_copy_str(arena, name, &path, err));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    const JobOptions options = {.environment = args_get(&cli->args, "env")};
    TRY(job_open(path.data, &options, cli->env, arena, findings, ret_job, err));
    return cli_check_findings(findings, err);
}

bool cli_need_warehouse(const Job *job, Error *err)
{
    return job_has_warehouse(job) ||
           error_set(err, ERROR_NOT_FOUND,
                     "there is no warehouse yet, nothing was loaded so far: pawl run " STR_FMT
                     " --mode historic",
                     STR_ARG(job->path));
}

bool cli_state_folder(const Cli *cli, const Job *job, Arena *arena, Str *ret_folder, Error *err)
{
    const Str given = args_get(&cli->args, "state");
    if (given.size > 0)
        return arena_copy_str(arena, given, ret_folder, err);
    return file_join(arena, job->folder, STR(".pawl"), ret_folder, err);
}
