#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "cli/view.h"
#include "run/event_log.h"
#include "run/replay.h"

#include <stdio.h>

static bool print_json(const ReplayReport *report, Error *err)
{
    const PipelineReport *p = &report->pipeline;
    CLEANUP(out_done) JsonOut out = {.err = err};
    out_open(&out, NULL, '{');
    out_int(&out, "runs", report->runs);
    out_int(&out, "runs_expired", report->expired);
    out_int(&out, "runs_without_plan", report->unplanned);
    out_int(&out, "slices", p->slices);
    out_int(&out, "slices_failed", p->slices_failed);
    out_int(&out, "slices_without_note", report->unnoted);
    out_int(&out, "slices_missing", report->missing);
    out_int(&out, "loads", p->loads);
    out_int(&out, "inserted", p->inserted);
    out_int(&out, "updated", p->updated);
    out_int(&out, "unchanged", p->unchanged);
    out_int(&out, "deleted", p->deleted);
    out_int(&out, "quarantined", p->quarantined);
    out_int(&out, "overflowed", p->overflowed);
    out_int(&out, "forgotten", p->forgotten);
    out_close(&out, '}');
    return out_print(&out);
}

static void print_people(const ReplayReport *report, const Job *job)
{
    const PipelineReport *p = &report->pipeline;
    (void)printf("%lld runs replayed from the landing store in %.1f s: %lld new, %lld changed, "
                 "%lld unchanged, %lld deleted\n",
                 (long long)report->runs, (double)report->elapsed_us / 1e6, (long long)p->inserted,
                 (long long)p->updated, (long long)p->unchanged, (long long)p->deleted);
    if (report->expired > 0)
        (void)printf("%lld runs were left out: their pages are older than landing.retention and "
                     "gone\n",
                     (long long)report->expired);
    if (report->unnoted > 0)
        (void)printf("%lld slices were loaded although the notes of their loads are gone: they are "
                     "landed whole\n",
                     (long long)report->unnoted);
    (void)printf("next: pawl status " STR_FMT "\n", STR_ARG(job->path));
}

bool cli_replay(Cli *cli, Error *err)
{
    const ReplayOptions options = {.from = args_get(&cli->args, "from"),
                                   .to = args_get(&cli->args, "to"),
                                   .stream = args_get(&cli->args, "stream"),
                                   .rewrite = args_has(&cli->args, "rewrite")};
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    Str folder = {0};
    TRY(cli_state_folder(cli, job, arena, &folder, err));
    View view;
    view_init(&view, cli->json, cli->env);
    CLEANUP(event_log_close) EventLog log;
    event_log_init(&log, folder, view_sink(&view));
    const EventSink sink = event_log_sink(&log);
    ReplayReport report = {0};
    const bool ok = replay_execute(job, &options, cli->env, &sink, arena, &report, err);
    view_end(&view);
    TRY(ok);
    if (cli->json)
        TRY(print_json(&report, err));
    else
        print_people(&report, job);
    const PipelineReport *p = &report.pipeline;
    static const char remedy[] = "restore its folder, or read those days again with pawl run";
    if (p->slices_failed > 0)
        return error_set(err, ERROR_DATA, "%lld slices could not be replayed: " STR_FMT "; %s",
                         (long long)p->slices_failed, STR_ARG(p->first_failure), remedy);
    return report.missing + report.unplanned == 0 ||
           error_set(err, ERROR_DATA, STR_FMT "; %s", STR_ARG(report.first_missing), remedy);
}
