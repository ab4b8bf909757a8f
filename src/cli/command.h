// Command: one row says what a word of the command line is, takes and does. `--help`, the manual,
// shell completion and the check for misspelt options all read these rows.
#pragma once

#include "base/buf.h"
#include "base/env.h"

enum { ARGS_OPTIONS_MAX = 32, ARGS_POSITIONAL_MAX = 8, COMMAND_OPTIONS_MAX = 20 };

typedef struct CommandOption {
    const char *name;  // "mode", without dashes; NULL ends the list
    const char *value; // "MODE" when it takes one, else NULL
    const char *help;
} CommandOption;

// What stood on the command line, checked against the command's rows.
typedef struct Args {
    Str positional[ARGS_POSITIONAL_MAX];
    size_t positional_count;
    struct {
        Str name;
        Str value;
    } options[ARGS_OPTIONS_MAX];
    size_t option_count;
} Args;

typedef struct Command Command;

// What every command gets. Messages for people go to stderr, results to stdout.
typedef struct Cli {
    Env *env;
    const Command *command;
    Args args;
    bool json; // --json
} Cli;

struct Command {
    const char *name;    // "run", "state show"
    const char *usage;   // "JOB --mode MODE"
    const char *summary; // one line; NULL = not among the commands that are listed
    const char *about;   // paragraphs; may be NULL
    size_t positional_min, positional_max;
    CommandOption options[COMMAND_OPTIONS_MAX];
    const char *examples; // may be NULL
    bool (*run)(Cli *cli, Error *err);
};

extern const Command commands[]; // ends with a NULL name

// {NULL, 0} when it was not given; flags have the value "".
Str args_get(const Args *args, const char *name);
bool args_has(const Args *args, const char *name);
// --wait, which is in seconds; 0 where it is not given.
bool args_wait_us(const Args *args, int64_t *ret_us, Error *err) MUST_USE;

// Finds the command and checks its arguments. ERROR_JOB says what is wrong and the nearest right
// word. *ret_help: the person asked for help on *ret_command (NULL = in general).
bool args_parse(int argc, char **argv, const Command **ret_command, Args *ret_args, bool *ret_help,
                Error *err) MUST_USE;

// What only tests use is shown nowhere but in --help.
bool option_is_for_tests(const CommandOption *option);

bool help_write_general(Buf *out, Error *err) MUST_USE;
bool help_write_command(const Command *command, Buf *out, Error *err) MUST_USE;
