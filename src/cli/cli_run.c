#include "cli/cli.h"
#include "cli/open.h"
#include "cli/view.h"
#include "run/event_log.h"
#include "run/run.h"

#include <stdio.h>

static void print_report(const Cli *cli, const Job *job, const RunReport *report)
{
    const PipelineReport *p = &report->pipeline;
    const double seconds = (double)report->elapsed_us / 1e6;
    if (cli->json) {
        (void)printf(
            "{\"run\":\"%s\",\"resumed\":%s,\"rows\":%lld,\"inserted\":%lld,\"updated\":%lld,"
            "\"unchanged\":%lld,\"deleted\":%lld,\"quarantined\":%lld,\"overflowed\":%lld,"
            "\"forgotten\":%lld,\"deletes_held_back\":%lld,\"deletes_unconfirmed\":%lld,"
            "\"slices\":%lld,\"slices_failed\":%lld,\"loads\":%lld,\"pages\":%lld,\"bytes\":%lld,"
            "\"requests\":%lld,\"retries\":%lld,\"seconds\":%.3f}\n",
            report->run, report->resumed ? "true" : "false", (long long)p->records,
            (long long)p->inserted, (long long)p->updated, (long long)p->unchanged,
            (long long)p->deleted, (long long)p->quarantined, (long long)p->overflowed,
            (long long)p->forgotten, (long long)p->held_back, (long long)p->unconfirmed,
            (long long)p->slices, (long long)p->slices_failed, (long long)p->loads,
            (long long)p->pages, (long long)p->bytes, (long long)p->requests, (long long)p->retries,
            seconds);
        return;
    }
    (void)printf(
        "%lld rows read: %lld new, %lld changed, %lld unchanged, %lld deleted, %lld quarantined\n"
        "%lld slices in %lld loads, %lld requests, %.1f MB, %.1f s\n",
        (long long)p->records, (long long)p->inserted, (long long)p->updated,
        (long long)p->unchanged, (long long)p->deleted, (long long)p->quarantined,
        (long long)p->slices, (long long)p->loads, (long long)p->requests, (double)p->bytes / 1e6,
        seconds);
    const long long vanished = p->held_back + p->unconfirmed;
    if (vanished > 0)
        (void)printf("%lld rows seem to have vanished at the source and were not marked: see the "
                     "warnings\n",
                     vanished);
    if (p->slices_failed > 0)
        (void)printf("%lld slices of %lld partitions failed; first: " STR_FMT
                     "\nnext: mend that, then run the same "
                     "command again\n",
                     (long long)p->slices_failed, (long long)p->partitions_failed,
                     STR_ARG(p->first_failure));
    else
        (void)printf("next: pawl status " STR_FMT "\n", STR_ARG(job->path));
}

bool cli_read_run_options(const Cli *cli, RunOptions *options, Error *err)
{
    const Args *args = &cli->args;
    const Str mode = args_get(args, "mode");
    if (!run_mode_parse(mode, &options->mode))
        return error_set(err, ERROR_JOB,
                         "--mode is historic, incremental or rehydration%s" STR_FMT "%s",
                         mode.size > 0 ? ", not '" : "", STR_ARG(mode), mode.size > 0 ? "'" : "");
    options->from = args_get(args, "from");
    options->to = args_get(args, "to");
    options->stream = args_get(args, "stream");
    options->account = args_get(args, "account");
    options->connect_to = args_get(args, "test-connect-to");
    options->accept_deletes = args_has(args, "accept-deletes");
    options->start_over = args_has(args, "start-over");
    return args_wait_us(args, &options->lease_wait_us, err);
}

// As long as the landed pages of a run are kept, so is what it told.
static void expire_events(const Job *job, Str folder, Env *env, Arena *arena, Error *err)
{
    const Duration kept = job->landing_retention;
    if (err->code == ERROR_NONE && (kept.months > 0 || kept.us > 0))
        (void)!event_log_expire(folder, time_before(env->now_us(env->state), kept), arena, err);
}

bool cli_run(Cli *cli, Error *err)
{
    RunOptions options = {0};
    TRY(cli_read_run_options(cli, &options, err));
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));

    View view;
    view_init(&view, cli->json, cli->env);
    Str folder = {0};
    TRY(cli_state_folder(cli, job, arena, &folder, err));
    CLEANUP(event_log_close) EventLog log;
    event_log_init(&log, folder, view_sink(&view));
    const EventSink sink = event_log_sink(&log);
    RunReport report = {0};
    const bool ok = run_execute(job, &options, cli->env, &sink, arena, &report, err);
    view_end(&view);
    if (!report.clock_ahead)
        expire_events(job, folder, cli->env, arena, &log.err);
    if (log.err.code != ERROR_NONE && !cli->json)
        (void)fprintf(stderr, "warning: events were not kept: %s\n", log.err.message);
    if (!ok) {
        if (report.run[0] != '\0' && !cli->json)
            (void)fprintf(stderr,
                          "pawl: run %s stopped; what was landed stays, the same command goes on "
                          "from there\n",
                          report.run);
        return false;
    }
    print_report(cli, job, &report);
    if (report.pipeline.slices_failed == 0)
        return true;
    return error_set(err, report.pipeline.failure, "%lld slices failed: " STR_FMT,
                     (long long)report.pipeline.slices_failed,
                     STR_ARG(report.pipeline.first_failure));
}
