// The manual page, pawl(1), from the table of commands.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#define PAGE_DATE "2026-11-22" // when its own words were last changed

// Text as roff takes it: a backslash and a hyphen escaped, a dot or quote at a line's start
// guarded.
static bool write_text(const char *text, Buf *out, Error *err)
{
    bool start = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (start && (*c == '.' || *c == '\''))
            TRY(buf_append(out, STR("\\&"), err));
        if (*c == '\\')
            TRY(buf_append(out, STR("\\e"), err));
        else if (*c == '-')
            TRY(buf_append(out, STR("\\-"), err));
        else
            TRY(buf_append_char(out, *c, err));
        start = *c == '\n';
    }
    return true;
}

static bool write_option(const CommandOption *option, Buf *out, Error *err)
{
    TRY(buf_append(out, STR(".TP\n\\fB"), err) && write_text("--", out, err) &&
        write_text(option->name, out, err) && buf_append(out, STR("\\fR"), err));
    if (option->value != NULL)
        TRY(buf_printf(out, err, " \\fI%s\\fR", option->value));
    return buf_append_char(out, '\n', err) && write_text(option->help, out, err) &&
           buf_append_char(out, '\n', err);
}

// Lines as they stand.
static bool write_example(const char *text, Buf *out, Error *err)
{
    return buf_append(out, STR(".PP\n.nf\n"), err) && write_text(text, out, err) &&
           buf_append(out, STR("\n.fi\n"), err);
}

static bool write_command(const Command *command, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, ".SS \"%s\"\n.B pawl %s\n", command->name, command->name) &&
        write_text(command->usage, out, err) && buf_append(out, STR("\n.PP\n"), err) &&
        write_text(command->summary, out, err) && buf_append(out, STR(".\n"), err));
    if (command->about != NULL)
        TRY(buf_append(out, STR(".PP\n"), err) && write_text(command->about, out, err) &&
            buf_append_char(out, '\n', err));
    for (const CommandOption *option = command->options; option->name != NULL; option++) {
        if (!option_is_for_tests(option))
            TRY(write_option(option, out, err));
    }
    return command->examples == NULL || write_example(command->examples, out, err);
}

static bool write_page(Buf *out, Error *err)
{
    TRY(buf_append(
        out,
        STR(".TH PAWL 1 " PAGE_DATE " \"pawl " PAWL_VERSION
            "\" \"User Commands\"\n.SH NAME\npawl \\- moves a "
            "REST API into a warehouse, exactly once\n.SH SYNOPSIS\n.B pawl\n.I COMMAND\n.RI "
            "[ ARGUMENT ...]\n.br\n.B pawl\n.I COMMAND\n.B \\-\\-help\n.SH DESCRIPTION\nA job "
            "file names a connector, contracts, modes and a warehouse. Watermarks never slip back, "
            "a "
            "row lands once, and any run can be killed and run again.\n.PP\nEvery command "
            "takes\n.B \\-\\-json\n(results for programs) and\n.BR \\-\\-help .\n.SH COMMANDS\n"),
        err));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary != NULL)
            TRY(write_command(command, out, err));
    }
    TRY(buf_append(out, STR(".SH EXIT STATUS\n.TP\n0\ndone\n"), err));
#define X(name, exit_status, retry, advice)                              \
    if ((exit_status) > 0)                                               \
        TRY(buf_printf(out, err, ".TP\n%d\n%s: ", exit_status, #name) && \
            write_text(advice, out, err) && buf_append_char(out, '\n', err));
    ERROR_CODES(X)
#undef X
    return buf_append(
        out,
        STR(".PP\nA scheduler may retry 6, 7, 8 and 10 blindly.\n.SH FILES\n.TP\n.I "
            "environments/NAME.json\nis laid over the job with\n.BR \\-\\-env .\n.TP\n.I "
            ".pawl/\nbeside the job file: events of runs, local leases.\n"),
        err);
}

bool cli_help_man(Cli *cli, Error *err)
{
    (void)cli;
    CLEANUP(buf_done) Buf out = {0};
    TRY(write_page(&out, err));
    (void)fwrite(out.data, 1, out.size, stdout);
    return true;
}
