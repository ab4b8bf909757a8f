#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/status.h"

#include <stdio.h>

enum { MARKS_SHOWN = 8, ERROR_SHOWN = 160 };

static void put_stream(JsonOut *out, const Status *status, const StatusStream *stream)
{
    out_open(out, NULL, '{');
    out_str(out, "stream", stream->stream);
    out_str(out, "target", stream->target);
    out_time(out, "fresh_until", stream->fresh_until_us);
    if (stream->fresh_until_us != INT64_MIN)
        out_int(out, "lag_seconds", (status->now_us - stream->fresh_until_us) / US_PER_SECOND);
    out_time(out, "last_loaded_at", stream->last_loaded_us);
    out_open(out, "watermarks", '[');
    for (size_t k = 0; k < stream->mark_count; k++) {
        out_open(out, NULL, '{');
        out_str(out, "partition", stream->marks[k].partition_key);
        out_time(out, "watermark", stream->marks[k].us);
        out_close(out, '}');
    }
    out_close(out, ']');
    out_close(out, '}');
}

static void put_run(JsonOut *out, const StatusRun *run)
{
    out_open(out, NULL, '{');
    out_str(out, "run", run->run);
    out_str(out, "mode", run->mode);
    out_str(out, "status", run->status);
    out_time(out, "started_at", run->started_us);
    out_int(out, "duration_us", run->duration_us);
    out_int(out, "rows", run->rows);
    out_int(out, "inserted", run->inserted);
    out_int(out, "updated", run->updated);
    out_int(out, "unchanged", run->unchanged);
    out_int(out, "deleted", run->deleted);
    if (run->warehouse_us >= 0) {
        out_int(out, "warehouse_us", run->warehouse_us);
        out_int(out, "warehouse_statements", run->warehouse_statements);
    }
    out_json(out, "error", run->error);
    out_close(out, '}');
}

static void put_failure(JsonOut *out, const StatusFailure *failure)
{
    out_open(out, NULL, '{');
    out_str(out, "stream", failure->stream);
    out_str(out, "partition", failure->partition);
    out_str(out, "mode", failure->mode);
    out_int(out, "slices", failure->slices);
    out_time(out, "at", failure->at_us);
    out_json(out, "error", failure->error);
    out_close(out, '}');
}

static bool print_json(const Status *status, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    out_open(&out, NULL, '{');
    out_time(&out, "now", status->now_us);
    out_str(&out, "warehouse", status->blind.size > 0 ? status->blind : STR("ok"));
    out_open(&out, "streams", '[');
    for (size_t i = 0; i < status->stream_count; i++)
        put_stream(&out, status, &status->streams[i]);
    out_close(&out, ']');
    out_open(&out, "runs", '[');
    for (size_t i = 0; i < status->run_count; i++)
        put_run(&out, &status->runs[i]);
    out_close(&out, ']');
    out_int(&out, "runs_90d", status->runs_90d);
    out_int(&out, "runs_ok_90d", status->runs_ok_90d);
    out_open(&out, "failures", '[');
    for (size_t i = 0; i < status->failure_count; i++)
        put_failure(&out, &status->failures[i]);
    out_close(&out, ']');
    out_open(&out, "unfinished", '[');
    for (size_t i = 0; i < status->unfinished_count; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "run", status->unfinished[i].run);
        out_str(&out, "mode", str_from(run_mode_name(status->unfinished[i].mode)));
        out_time(&out, "created_at", status->unfinished[i].created_us);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    out_int(&out, "receipts_total", status->receipts_total);
    out_open(&out, "receipts", '[');
    for (size_t i = 0; i < status->receipt_count; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "path", status->receipts[i].path);
        out_json(&out, "receipt", status->receipts[i].json);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    out_json(&out, "last_event", status->last_event);
    out_close(&out, '}');
    return out_print(&out);
}

static void print_streams(const Status *status)
{
    (void)printf("%-20s %-24s %-22s %-12s %s\n", "stream", "table", "fresh until (UTC)", "lag",
                 "last load (UTC)");
    for (size_t i = 0; i < status->stream_count; i++) {
        const StatusStream *stream = &status->streams[i];
        char fresh[TIME_TEXT_BYTES] = "never read";
        char loaded[TIME_TEXT_BYTES] = "never";
        char lag[SPAN_BYTES] = "";
        if (stream->fresh_until_us != INT64_MIN) {
            time_format_iso(stream->fresh_until_us / US_PER_SECOND * US_PER_SECOND, fresh);
            text_span(status->now_us - stream->fresh_until_us, lag);
        }
        if (stream->last_loaded_us != INT64_MIN)
            time_format_iso(stream->last_loaded_us / US_PER_SECOND * US_PER_SECOND, loaded);
        (void)printf("%-20.*s %-24.*s %-22s %-12s %s\n", STR_ARG(stream->stream),
                     STR_ARG(stream->target), fresh, lag, loaded);
        if (stream->mark_count < 2)
            continue;
        int64_t latest_us = stream->fresh_until_us;
        for (size_t k = 0; k < stream->mark_count; k++) {
            char text[TIME_TEXT_BYTES];
            latest_us = stream->marks[k].us > latest_us ? stream->marks[k].us : latest_us;
            time_format_iso(stream->marks[k].us, text);
            if (stream->mark_count <= MARKS_SHOWN)
                (void)printf("    %-16.*s %s\n", STR_ARG(stream->marks[k].partition_key), text);
        }
        char last[TIME_TEXT_BYTES];
        time_format_iso(latest_us, last);
        if (stream->mark_count > MARKS_SHOWN)
            (void)printf("    %zu partitions, from %s to %s\n", stream->mark_count, fresh, last);
    }
}

static void print_runs(const Status *status)
{
    if (status->run_count == 0)
        return;
    (void)printf("\n%-38s %-12s %-8s %-22s %10s %10s %10s %8s\n", "last runs", "mode", "status",
                 "began (UTC)", "took", "new", "changed", "deleted");
    for (size_t i = 0; i < status->run_count; i++) {
        const StatusRun *run = &status->runs[i];
        char began[TIME_TEXT_BYTES];
        char took[SPAN_BYTES];
        time_format_iso(run->started_us / US_PER_SECOND * US_PER_SECOND, began);
        text_span(run->duration_us, took);
        (void)printf("%-38.*s %-12.*s %-8.*s %-22s %10s %10lld %10lld %8lld\n", STR_ARG(run->run),
                     STR_ARG(run->mode), STR_ARG(run->status), began, took,
                     (long long)run->inserted, (long long)run->updated, (long long)run->deleted);
        if (run->warehouse_us >= 0)
            (void)printf("    warehouse: %.1f s, %lld statements, %lld rows\n",
                         (double)run->warehouse_us / 1e6, (long long)run->warehouse_statements,
                         (long long)run->inserted + run->updated);
        if (run->error.size > 0)
            (void)printf("    " STR_FMT "\n", STR_ARG(str_slice(run->error, 0, ERROR_SHOWN)));
    }
    if (status->runs_90d > 0)
        (void)printf("90 days: %lld of %lld runs ended well (%.1f %%)\n",
                     (long long)status->runs_ok_90d, (long long)status->runs_90d,
                     100.0 * (double)status->runs_ok_90d / (double)status->runs_90d);
}

static void print_open(const Status *status, const Job *job)
{
    for (size_t i = 0; i < status->failure_count; i++) {
        const StatusFailure *failure = &status->failures[i];
        (void)printf(
            "\nopen failure: " STR_FMT " of " STR_FMT ", %lld slices (" STR_FMT "): " STR_FMT "\n",
            STR_ARG(failure->stream), STR_ARG(failure->partition), (long long)failure->slices,
            STR_ARG(failure->mode), STR_ARG(str_slice(failure->error, 0, ERROR_SHOWN)));
    }
    for (size_t i = 0; i < status->unfinished_count; i++)
        (void)printf("\nunfinished: " STR_FMT " run " STR_FMT "; pawl run " STR_FMT
                     " --mode %s goes on with it\n",
                     STR_ARG(str_from(run_mode_name(status->unfinished[i].mode))),
                     STR_ARG(status->unfinished[i].run), STR_ARG(job->path),
                     run_mode_name(status->unfinished[i].mode));
}

// The newest says what waits; the others only that they are there.
static void print_receipts(const Status *status)
{
    for (size_t i = 0; i < status->receipt_count; i++) {
        const ReceiptNote *note = &status->receipts[i];
        char at[TIME_TEXT_BYTES];
        time_format_iso(note->at_us / US_PER_SECOND * US_PER_SECOND, at);
        (void)printf(
            "%sredacted by the source: %lld records, older copies purged %s, receipt " STR_FMT "\n",
            i == 0 ? "\n" : "", (long long)note->rows, at, STR_ARG(note->path));
        for (size_t k = 0; i == 0 && k < note->wait_count; k++)
            (void)printf("    waits: " STR_FMT "\n", STR_ARG(note->waits[k]));
    }
    if (status->receipts_total > (int64_t)status->receipt_count)
        (void)printf("%lld older receipts lie beside them\n",
                     (long long)status->receipts_total - (long long)status->receipt_count);
}

static void print_next(const Status *status, const Job *job)
{
    const bool nothing_yet = status->blind.size > 0 && status->unfinished_count == 0;
    const bool trouble = status->failure_count > 0 || status->trouble.code != ERROR_NONE;
    (void)printf("\nnext: pawl %s " STR_FMT "%s\n", trouble ? "check" : "run", STR_ARG(job->path),
                 trouble       ? ""
                 : nothing_yet ? " --mode historic"
                               : " --mode incremental");
}

static void print_people(const Status *status, const Job *job)
{
    if (status->blind.size > 0)
        (void)printf("the warehouse was not asked: " STR_FMT
                     "\nwhat follows is what the landing store and the state folder know\n\n",
                     STR_ARG(status->blind));
    else
        print_streams(status);
    print_runs(status);
    print_open(status, job);
    print_receipts(status);
    if (status->blind.size > 0 && status->last_event.size > 0)
        (void)printf("\nlast event: " STR_FMT "\n", STR_ARG(status->last_event));
    print_next(status, job);
}

bool cli_status(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    Str folder = {0};
    TRY(cli_state_folder(cli, job, arena, &folder, err));
    Status *status = NULL;
    TRY(status_read(job, folder, cli->env, arena, findings, &status, err));
    if (cli->json)
        TRY(print_json(status, err));
    else
        print_people(status, job);
    *err = status->trouble;
    return err->code == ERROR_NONE;
}
