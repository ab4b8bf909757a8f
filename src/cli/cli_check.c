#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/check.h"

#include <stdio.h>

static bool print_json(const Job *job, bool show, const CheckReport *report,
                       const Findings *findings, Error *err)
{
    static const char *const names[] = {"ok", "note", "fault"};
    CLEANUP(out_done) JsonOut out = {.err = err};
    CLEANUP(buf_done) Buf shown = {0};
    out_open(&out, NULL, '{');
    out_bool(&out, "ok", report->faults == 0 && findings->count == 0);
    out_int(&out, "streams", (int64_t)report->streams);
    if (show) {
        TRY(json_write(job->shown, &shown, err));
        out_json(&out, "job", buf_str(&shown));
    }
    out_open(&out, "findings", '[');
    for (size_t i = 0; i < findings->count && i < FINDINGS_MAX; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "place", findings->items[i].place);
        out_str(&out, "what", findings->items[i].what);
        out_str(&out, "fix", findings->items[i].fix);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    out_open(&out, "checks", '[');
    for (size_t i = 0; i < report->count; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "check", report->items[i].what);
        out_str(&out, "status", str_from(names[report->items[i].status]));
        out_str(&out, "text", report->items[i].text);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    out_close(&out, '}');
    return out_print(&out);
}

static bool print_people(const Job *job, bool show, const CheckReport *report,
                         const Findings *findings, Error *err)
{
    static const char *const marks[] = {"ok   ", "note ", "FAULT"};
    CLEANUP(buf_done) Buf text = {0};
    if (show)
        TRY(json_write(job->shown, &text, err) && buf_append_char(&text, '\n', err));
    if (text.size > 0) // nothing to show: there is no buffer to give to fwrite()
        (void)fwrite(text.data, 1, text.size, stdout);
    for (size_t i = 0; i < report->count; i++)
        (void)printf("%s " STR_FMT ": " STR_FMT "\n", marks[report->items[i].status],
                     STR_ARG(report->items[i].what), STR_ARG(report->items[i].text));
    buf_clear(&text);
    TRY(findings_print(findings, &text, err));
    (void)fflush(stdout);
    if (text.size > 0)
        (void)fwrite(text.data, 1, text.size, stderr);
    if (report->faults == 0 && findings->count == 0)
        (void)printf("%zu streams, no fault found\nnext: pawl plan " STR_FMT " --mode historic\n",
                     report->streams, STR_ARG(job->path));
    return true;
}

// Unlike other commands, check goes on with what can be looked at although the job file has faults.
bool cli_check(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Findings *findings = findings_new(arena, err);
    CheckReport *report = arena_alloc(arena, sizeof(*report), err);
    TRY(findings != NULL && report != NULL);
    Str path = {0};
    TRY(arena_copy_str(arena, cli->args.positional[0], &path, err));
    const JobOptions job_options = {.environment = args_get(&cli->args, "env")};
    Job *job = NULL;
    TRY(job_open(path.data, &job_options, cli->env, arena, findings, &job, err));
    const CheckOptions options = {.offline = args_has(&cli->args, "offline"),
                                  .connect_to = args_get(&cli->args, "test-connect-to")};
    TRY(check_job(job, &options, cli->env, arena, findings, report, err));
    const bool show = args_has(&cli->args, "show");
    TRY(cli->json ? print_json(job, show, report, findings, err)
                  : print_people(job, show, report, findings, err));
    const size_t faults = report->faults + findings->count;
    if (faults == 0)
        return true;
    return error_set(err, findings->count > 0 ? ERROR_JOB : report->code, "%zu fault%s found",
                     faults, faults == 1 ? "" : "s");
}
