#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/adopt.h"

#include <stdio.h>
#include <unistd.h>

static void show_progress(void *state, size_t done, size_t total)
{
    (void)state;
    if (isatty(STDERR_FILENO) == 1)
        (void)fprintf(stderr, "\r\033[K%zu of %zu slices%s", done, total,
                      done == total ? "\n" : "");
}

static bool print_json(const AdoptReport *report, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    out_open(&out, NULL, '{');
    out_str(&out, "stream", report->stream);
    out_str(&out, "target", report->target);
    out_str(&out, "before", report->before);
    out_str(&out, "feed", str_from(report->feed));
    out_bool(&out, "already", report->already);
    out_bool(&out, "view", report->has_view);
    out_bool(&out, "hashes_exact", report->exact);
    out_int(&out, "table_rows", report->table_rows);
    out_int(&out, "adopted", report->adopted);
    out_int(&out, "known", report->known);
    out_int(&out, "doubled", report->doubled);
    out_int(&out, "deleted", report->deleted);
    out_int(&out, "unreadable", report->unreadable);
    out_int(&out, "forgotten", report->forgotten);
    out_int(&out, "left_out", report->left_out);
    out_int(&out, "loads", report->loads);
    out_int(&out, "watermarks", report->watermarks);
    out_close(&out, '}');
    return out_print(&out);
}

static void print_people(const Job *job, const AdoptReport *report)
{
    if (report->already) {
        (void)printf("it was taken over before: its rows are in " STR_FMT
                     "\nnext: pawl run " STR_FMT " --mode incremental\n",
                     STR_ARG(report->target), STR_ARG(job->path));
        return;
    }
    (void)printf("%lld rows of %s%stake their place in " STR_FMT
                 " (%lld loads, %lld watermarks); %lld were there, %lld were older copies, %lld "
                 "deleted\n",
                 (long long)report->adopted, report->feed, report->feed[0] != '\0' ? " " : "",
                 STR_ARG(report->target), (long long)report->loads, (long long)report->watermarks,
                 (long long)report->known, (long long)report->doubled, (long long)report->deleted);
    if (report->unreadable + report->left_out > 0)
        (void)printf("%lld rows without a usable key and %lld of other accounts or without a time "
                     "stay behind\n",
                     (long long)report->unreadable, (long long)report->left_out);
    if (!report->exact)
        (void)printf(
            "their content hashes are unknown: a rehydration of their days writes each once\n");
    if (report->has_view)
        (void)printf("the old table is " STR_FMT ", a view has its name\n",
                     STR_ARG(report->before));
    (void)printf("next: pawl audit " STR_FMT " --table " STR_FMT ", then pawl run " STR_FMT
                 " --mode incremental\n",
                 STR_ARG(job->path), STR_ARG(report->target), STR_ARG(job->path));
}

bool cli_adopt(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    AdoptOptions options = {.progress = show_progress};
    const struct {
        const char *name;
        Str *to;
    } texts[] = {{"table", &options.table.table}, {"key", &options.table.key},
                 {"map", &options.table.map},     {"stream", &options.stream},
                 {"state", &options.state},       {"test-connect-to", &options.connect_to}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const Str given = args_get(&cli->args, texts[i].name);
        if (given.data != NULL)
            TRY(arena_copy_str(arena, given, texts[i].to, err));
    }
    TRY(args_wait_us(&cli->args, &options.wait_us, err));
    if (options.table.table.size == 0)
        return error_set(err, ERROR_JOB, "adopt needs --table");
    Job *job = NULL;
    AdoptReport report = {0};
    TRY(cli_open_job(cli, arena, &job, err) &&
        adopt_execute(job, &options, cli->env, arena, &report, err));
    if (cli->json)
        return print_json(&report, err);
    print_people(job, &report);
    return true;
}
