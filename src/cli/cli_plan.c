#include "cli/cli.h"
#include "cli/open.h"
#include "cli/view.h"
#include "run/run.h"

#include <stdio.h>

static void quiet(void *state, const Event *event)
{
    (void)state;
    (void)event;
}

static void print_json(const RunPreview *previews, size_t count)
{
    (void)printf("{\"streams\":[");
    for (size_t i = 0; i < count; i++)
        (void)printf("%s{\"stream\":\"" STR_FMT
                     "\",\"partitions\":%lld,\"slices\":%lld,\"rows\":%lld,"
                     "\"requests\":%lld,\"bytes\":%lld,\"loads\":%lld}",
                     i > 0 ? "," : "", STR_ARG(previews[i].stream),
                     (long long)previews[i].partitions, (long long)previews[i].slices,
                     (long long)previews[i].rows, (long long)previews[i].requests,
                     (long long)previews[i].bytes, (long long)previews[i].loads);
    (void)printf("]}\n");
}

static void print_table(const Job *job, RunMode mode, const RunPreview *previews, size_t count)
{
    int64_t requests = 0;
    (void)printf("%-20s %10s %8s %12s %10s %10s %6s\n", "stream", "partitions", "slices",
                 "rows about", "requests", "MB", "loads");
    for (size_t i = 0; i < count; i++) {
        const RunPreview *p = &previews[i];
        char rows[32] = "?";
        char megabytes[32] = "?";
        if (p->rows >= 0)
            (void)snprintf(rows, sizeof(rows), "%lld", (long long)p->rows);
        if (p->bytes >= 0)
            (void)snprintf(megabytes, sizeof(megabytes), "%.1f", (double)p->bytes / 1e6);
        (void)printf("%-20.*s %10lld %8lld %12s %10lld %10s %6lld\n", STR_ARG(p->stream),
                     (long long)p->partitions, (long long)p->slices, rows, (long long)p->requests,
                     megabytes, (long long)p->loads);
        requests += p->requests;
    }
    if (job->limits.requests_per_second > 0)
        (void)printf("at %g requests a second: about %.1f minutes\n",
                     job->limits.requests_per_second,
                     (double)requests / job->limits.requests_per_second / 60);
    (void)printf("nothing was written; next: pawl run " STR_FMT " --mode %s\n", STR_ARG(job->path),
                 run_mode_name(mode));
}

bool cli_plan(Cli *cli, Error *err)
{
    RunOptions options = {0};
    TRY(cli_read_run_options(cli, &options, err));
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    const EventSink sink = {.emit = quiet};
    RunPreviews previews = {0};
    TRY(run_preview(job, &options, cli->env, &sink, arena, &previews, err));
    if (cli->json)
        print_json(previews.items, previews.count);
    else
        print_table(job, options.mode, previews.items, previews.count);
    return true;
}
