#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/drivers.h"
#include "run/state.h"

#include <stdio.h>

static bool print_marks_json(const StateMark *marks, size_t count, Str given_up, Error *err)
{
    CLEANUP(out_done) JsonOut out = {.err = err};
    out_open(&out, NULL, '{');
    out_open(&out, "watermarks", '[');
    for (size_t i = 0; i < count; i++) {
        out_open(&out, NULL, '{');
        out_str(&out, "stream", marks[i].mark.stream);
        out_str(&out, "partition", marks[i].value);
        out_time(&out, "watermark", marks[i].mark.us);
        if (marks[i].before_us != INT64_MIN)
            out_time(&out, "before", marks[i].before_us);
        out_close(&out, '}');
    }
    out_close(&out, ']');
    if (given_up.size > 0)
        out_str(&out, "given_up", given_up);
    out_close(&out, '}');
    return out_print(&out);
}

bool cli_state_show(Cli *cli, Error *err)
{
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    const Job *looking = NULL;
    TRY(job_to_look(job, arena, &looking, err));
    CLEANUP(job_parts_close) JobParts parts = {0};
    TRY(job_parts_open(looking, args_get(&cli->args, "stream"), cli->env, arena, findings, &parts,
                       err));
    TRY(cli_check_findings(findings, err));
    StateMark *marks = NULL;
    size_t count = 0;
    if (job_has_warehouse(job))
        TRY(state_marks(&parts, args_get(&cli->args, "account"), &marks, &count, err));
    if (cli->json)
        return print_marks_json(marks, count, STR(""), err);
    (void)printf("%-20s %-20s %s\n", "stream", "partition", "watermark");
    for (size_t i = 0; i < count; i++) {
        char text[TIME_TEXT_BYTES];
        time_format_iso(marks[i].mark.us, text);
        (void)printf("%-20.*s %-20.*s %s\n", STR_ARG(marks[i].mark.stream), STR_ARG(marks[i].value),
                     text);
    }
    if (count == 0)
        (void)printf("no watermark yet\nnext: pawl run " STR_FMT " --mode historic\n",
                     STR_ARG(job->path));
    else
        (void)printf("next: pawl status " STR_FMT ", or pawl state rewind " STR_FMT
                     " --stream S --to DAY\n",
                     STR_ARG(job->path), STR_ARG(job->path));
    return true;
}

static void print_moved(const Rewound *rewound, const Job *job)
{
    const StateMark *marks = rewound->marks;
    size_t moved = 0;
    if (rewound->given_up.size > 0)
        (void)printf("the unfinished incremental run " STR_FMT " (planned %s" STR_FMT
                     ") is given up: it would have moved them forward again\n",
                     STR_ARG(rewound->given_up),
                     rewound->planned_with.size > 0 ? "with" : "without options",
                     STR_ARG(rewound->planned_with));
    for (size_t i = 0; i < rewound->count; i++) {
        char before[TIME_TEXT_BYTES];
        char after[TIME_TEXT_BYTES];
        time_format_iso(marks[i].mark.us, after);
        if (marks[i].before_us == INT64_MIN) {
            (void)printf(STR_FMT " %-16.*s stays at %s, which is not later\n",
                         STR_ARG(marks[i].mark.stream), STR_ARG(marks[i].value), after);
            continue;
        }
        moved++;
        time_format_iso(marks[i].before_us, before);
        (void)printf(STR_FMT " %-16.*s %s -> %s\n", STR_ARG(marks[i].mark.stream),
                     STR_ARG(marks[i].value), before, after);
    }
    (void)printf("%zu watermarks moved back, on record in ETL_LOG\nnext: pawl run " STR_FMT
                 " --mode incremental reads from there again\n",
                 moved, STR_ARG(job->path));
}

bool cli_state_rewind(Cli *cli, Error *err)
{
    const RewindOptions options = {.stream = args_get(&cli->args, "stream"),
                                   .account = args_get(&cli->args, "account"),
                                   .to = args_get(&cli->args, "to")};
    if (options.stream.size == 0 || options.to.size == 0)
        return error_set(err, ERROR_JOB, "state rewind needs --stream and --to");
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    TRY(cli_open_job(cli, arena, &job, err));
    TRY(cli_need_warehouse(job, err));
    Rewound rewound = {0};
    TRY(state_rewind(job, &options, cli->env, arena, &rewound, err));
    if (cli->json)
        return print_marks_json(rewound.marks, rewound.count, rewound.given_up, err);
    print_moved(&rewound, job);
    return true;
}
