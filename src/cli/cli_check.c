#include "cli/cli.h"
#include "cli/open.h"
#include "run/run.h"

#include <stdio.h>

bool cli_check(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    if (args_has(&cli->args, "show")) {
        CLEANUP(buf_done) Buf text = {0};
        TRY(json_write(job->shown, &text, err));
        (void)printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    }
    Findings *findings = arena_alloc(arena, sizeof(*findings), err);
    TRY(findings != NULL);
    findings->arena = arena;
    CLEANUP(job_parts_close) JobParts parts = {0};
    TRY(job_parts_open(job, STR(""), cli->env, arena, findings, &parts, err));
    TRY(cli_check_findings(findings, err));
    (void)printf("%zu streams, no fault found\nnext: pawl plan " STR_FMT " --mode historic\n",
                 parts.stream_count, STR_ARG(job->path));
    return true;
}
