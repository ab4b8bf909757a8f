#include "base/file.h"
#include "cli/cli.h"
#include "cli/open.h"
#include "cli/text.h"
#include "run/receipt.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE_BYTES = 400 };

static void show_progress(void *state, const char *what, size_t done, size_t total)
{
    (void)state;
    if (isatty(STDERR_FILENO) != 1)
        return;
    (void)fprintf(stderr, "\r\033[K%s: %zu of %zu%s", what, done, total, done == total ? "\n" : "");
}

// "-" is read from standard input, so that it need not stand in a list of processes.
static bool read_value(Str given, char line[VALUE_BYTES], Str *ret_value, Error *err)
{
    *ret_value = given;
    if (!str_equal(given, STR("-")))
        return true;
    if (fgets(line, VALUE_BYTES, stdin) == NULL)
        return error_set(err, ERROR_JOB, "forget: nothing came on standard input");
    *ret_value = str_trim(str_from(line));
    return true;
}

static bool read_options(const Cli *cli, char line[VALUE_BYTES], ForgetOptions *options, Error *err)
{
    static const PersonKind kinds[] = {PERSON_PHONE, PERSON_EMAIL, PERSON_ID};
    size_t given = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const Str value = args_get(&cli->args, person_kind_name(kinds[i]));
        if (value.data == NULL)
            continue;
        given++;
        options->kind = kinds[i];
        TRY(read_value(value, line, &options->value, err));
    }
    if (given != 1)
        return error_set(err, ERROR_JOB, "forget needs one of --phone, --email and --id");
    TRY(args_wait_us(&cli->args, &options->wait_us, err));
    options->dry_run = args_has(&cli->args, "dry-run");
    options->progress = show_progress;
    return true;
}

// A receipt that cannot be written would be missed when everything is erased. What stands at its
// path stays until there is another.
static bool try_receipt(Str path, Error *err)
{
    struct stat info;
    if (path.size == 0)
        return error_set(err, ERROR_JOB, "--receipt: names no file");
    if (stat(path.data, &info) == 0 && S_ISDIR(info.st_mode))
        return error_set(err, ERROR_JOB, "--receipt: '" STR_FMT "' is a folder", STR_ARG(path));
    if (file_create(path.data, STR(""), err))
        return file_remove(path.data, err);
    if (err->code != ERROR_CONFLICT)
        return error_context(err, "--receipt");
    *err = (Error){0};
    return true;
}

// --- what is told

static void print_people(const Job *job, const ForgetOptions *options, const ForgetReport *report,
                         Str receipt)
{
    const char *verb = options->dry_run ? "would be erased" : "erased";
    (void)printf("landing store: %lld records in %lld of %lld pages %s\n",
                 (long long)report->records, (long long)report->pages,
                 (long long)report->pages_read, verb);
    for (size_t i = 0; i < report->table_count; i++) {
        const ForgetTable *table = &report->tables[i];
        if (table->rows + table->refused + table->mentions == 0)
            continue;
        (void)printf(STR_FMT ": %lld rows and %lld quarantined ones %s", STR_ARG(table->target),
                     (long long)table->rows, (long long)table->refused, verb);
        if (table->mentions > 0)
            (void)printf("; %lld rows of others mention the value in some text",
                         (long long)table->mentions);
        (void)printf("\n");
    }
    for (const char *const *what = report->remains; what != NULL && *what != NULL; what++)
        (void)printf("waits: %s\n", *what);
    if (report->remains_of_search != NULL)
        (void)printf("waits: %s\n", report->remains_of_search);
    if (report->has_lake)
        (void)printf("lake: %lld rows %s\nwaits: files of its older versions, until lake.retention "
                     "is over and a run has removed them\n",
                     (long long)report->lake_rows, verb);
    for (size_t i = 0; i < report->left_count; i++)
        (void)printf("waits: table " STR_FMT ", taken over, still holds what it held\n",
                     STR_ARG(report->left_tables[i]));
    if (options->dry_run)
        (void)printf("nothing was written\nnext: the same command without --dry-run\n");
    else if (receipt.size > 0)
        (void)printf(
            "the person stays out of every later run and replay\nnext: file the receipt, " STR_FMT
            "\n",
            STR_ARG(receipt));
    else
        (void)printf(
            "the person stays out of every later run and replay\nnext: pawl status " STR_FMT "\n",
            STR_ARG(job->path));
}

typedef struct Giving {
    const Cli *cli;
    const Job *job;
    const ForgetOptions *options;
    Str file; // empty = none is wanted
} Giving;

static bool give_receipt(void *state, const ForgetReport *report, Error *err)
{
    const Giving *giving = state;
    const ForgetOptions *options = giving->options;
    CLEANUP(out_done) JsonOut out = {.err = err};
    receipt_write(&out, giving->job, str_from(person_kind_name(options->kind)), options->dry_run,
                  report);
    if (out.failed)
        return false;
    if (giving->file.size > 0)
        TRY(buf_append_char(&out.text, '\n', err) &&
            file_write(giving->file.data, buf_str(&out.text), err));
    if (!giving->cli->json)
        print_people(giving->job, options, report, giving->file);
    else if (giving->file.size > 0)
        (void)fwrite(out.text.data, 1, out.text.size, stdout);
    else
        TRY(out_print(&out));
    (void)fflush(stdout);
    return true;
}

bool cli_forget(Cli *cli, Error *err)
{
    char line[VALUE_BYTES];
    ForgetOptions options = {0};
    TRY(read_options(cli, line, &options, err));
    CLEANUP(arena_wipep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Job *job = NULL;
    Str receipt = args_get(&cli->args, "receipt");
    TRY(cli_open_job(cli, arena, &job, err));
    if (receipt.data != NULL)
        TRY(arena_copy_str(arena, receipt, &receipt, err) && try_receipt(receipt, err));
    Giving giving = {.cli = cli, .job = job, .options = &options, .file = receipt};
    options.receipt = give_receipt;
    options.receipt_state = &giving;
    ForgetReport report = {0};
    return forget_execute(job, &options, cli->env, arena, &report, err);
}
