#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "cli/view.h"
#include "run/preview.h"

#include <stdio.h>

static bool print_json(const Preview *previews, size_t count, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    out_open(&out, NULL, '{');
    out_open(&out, "streams", '[');
    for (size_t i = 0; i < count; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "stream", previews[i].stream);
        out_int(&out, "partitions", previews[i].partitions);
        out_int(&out, "slices", previews[i].slices);
        out_int(&out, "rows", previews[i].rows);
        out_int(&out, "requests", previews[i].requests);
        out_int(&out, "bytes", previews[i].bytes);
        out_int(&out, "loads", previews[i].loads);
        if (previews[i].warning.size > 0)
            out_str(&out, "warning", previews[i].warning);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    out_close(&out, '}');
    return out_print(&out);
}

static void print_table(const Job *job, RunMode mode, const Preview *previews, size_t count)
{
    int64_t requests = 0;
    (void)printf("%-20s %10s %8s %12s %10s %10s %6s\n", "stream", "partitions", "slices",
                 "rows about", "requests", "MB", "loads");
    for (size_t i = 0; i < count; i++) {
        const Preview *p = &previews[i];
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
    for (size_t i = 0; i < count; i++) {
        if (previews[i].warning.size > 0)
            (void)fprintf(stderr, "warning: " STR_FMT ": " STR_FMT "\n",
                          STR_ARG(previews[i].stream), STR_ARG(previews[i].warning));
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
    Previews previews = {0};
    TRY(preview_make(job, &options, cli->env, &event_sink_none, arena, &previews, err));
    if (cli->json)
        return print_json(previews.items, previews.count, err);
    print_table(job, options.mode, previews.items, previews.count);
    return true;
}
