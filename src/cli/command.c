#include "cli/command.h"

#include "base/findings.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 64 };

static const CommandOption common[] = {
    {"json", NULL, "results as JSON, for programs"},
    {"help", NULL, "this text"},
    {NULL, NULL, NULL},
};

Str args_get(const Args *args, const char *name)
{
    for (size_t i = args->option_count; i > 0; i--) {
        if (str_equal(args->options[i - 1].name, str_from(name)))
            return args->options[i - 1].value;
    }
    return (Str){NULL, 0};
}

bool args_has(const Args *args, const char *name)
{
    return args_get(args, name).data != NULL;
}

bool args_wait_us(const Args *args, int64_t *ret_us, Error *err)
{
    enum { WAIT_S_MAX = 1000000 };
    const Str wait = args_get(args, "wait");
    double seconds = 0;
    if (wait.data != NULL &&
        !(str_to_double(wait, &seconds) && seconds >= 0 && seconds <= WAIT_S_MAX))
        return error_set(err, ERROR_JOB, "--wait: '" STR_FMT "' is no number of seconds up to %d",
                         STR_ARG(wait), WAIT_S_MAX);
    *ret_us = (int64_t)(seconds * 1e6);
    return true;
}

// Commands of two words ("state show") match before those of one.
static const Command *find_command(int argc, char **argv, int *ret_words)
{
    for (int words = 2; words >= 1; words--) {
        if (argc <= words)
            continue;
        for (const Command *command = commands; command->name != NULL; command++) {
            const char *blank = strchr(command->name, ' ');
            if ((blank != NULL) != (words == 2))
                continue;
            const size_t first =
                blank == NULL ? strlen(command->name) : (size_t)(blank - command->name);
            if (strlen(argv[1]) != first || strncmp(argv[1], command->name, first) != 0 ||
                (blank != NULL && strcmp(argv[2], blank + 1) != 0))
                continue;
            *ret_words = words;
            return command;
        }
    }
    return NULL;
}

static const CommandOption *find_option(const Command *command, Str name)
{
    const CommandOption *const lists[] = {command->options, common};
    for (size_t l = 0; l < 2; l++) {
        for (const CommandOption *option = lists[l]; option->name != NULL; option++) {
            if (str_equal(name, str_from(option->name)))
                return option;
        }
    }
    return NULL;
}

static bool unknown_option(const Command *command, Str name, Error *err)
{
    Str names[NAMES_MAX];
    size_t count = 0;
    const CommandOption *const lists[] = {command->options, common};
    for (size_t l = 0; l < 2; l++) {
        for (const CommandOption *option = lists[l]; option->name != NULL; option++)
            names[count++] = str_from(option->name);
    }
    const Str nearest = findings_nearest(name, names, count);
    if (nearest.size > 0)
        return error_set(err, ERROR_JOB, "%s: no option --" STR_FMT "; did you mean --" STR_FMT "?",
                         command->name, STR_ARG(name), STR_ARG(nearest));
    return error_set(err, ERROR_JOB, "%s: no option --" STR_FMT "; see pawl %s --help",
                     command->name, STR_ARG(name), command->name);
}

// One "--name", "--name=value" or "--name value"; *i is left on its last word.
static bool parse_option(const Command *command, int argc, char **argv, int *i, Args *args,
                         Error *err)
{
    Str name = str_from(argv[*i] + 2);
    Str value = {NULL, 0};
    const size_t equals = str_find_char(name, '=');
    if (equals < name.size) {
        value = str_slice(name, equals + 1, name.size);
        name = str_slice(name, 0, equals);
    }
    const CommandOption *option = find_option(command, name);
    if (option == NULL)
        return unknown_option(command, name, err);
    if (option->value == NULL && value.data != NULL)
        return error_set(err, ERROR_JOB, "%s: --%s takes no value", command->name, option->name);
    if (option->value != NULL && value.data == NULL) {
        if (*i + 1 >= argc)
            return error_set(err, ERROR_JOB, "%s: --%s needs a %s", command->name, option->name,
                             option->value);
        value = str_from(argv[++*i]);
    }
    if (args->option_count == ARGS_OPTIONS_MAX)
        return error_set(err, ERROR_JOB, "%s: more than %d options", command->name,
                         ARGS_OPTIONS_MAX);
    args->options[args->option_count].name = name;
    args->options[args->option_count++].value = option->value == NULL ? STR("") : value;
    return true;
}

// "state" alone: the commands that begin so.
static bool half_command(const char *word, Error *err)
{
    const Str first = str_from(word);
    for (const Command *command = commands; command->name != NULL; command++) {
        const Str name = str_from(command->name);
        if (first.size == 0 || !str_starts_with(name, first) || name.data[first.size] != ' ')
            continue;
        const char *more = err->code == ERROR_NONE ? "" : ", ";
        if (err->code == ERROR_NONE)
            (void)error_set(err, ERROR_JOB, "'%s' needs a second word: ", word);
        const size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof(err->message) - used, "%s" STR_FMT, more,
                       STR_ARG(str_slice(name, first.size + 1, name.size)));
    }
    return err->code != ERROR_NONE;
}

static bool unknown_command(const char *word, Error *err)
{
    if (half_command(word, err))
        return false;
    Str names[NAMES_MAX];
    size_t count = 0;
    for (const Command *command = commands; command->name != NULL && count < NAMES_MAX; command++)
        names[count++] = str_from(command->name);
    const Str nearest = findings_nearest(str_from(word), names, count);
    if (nearest.size > 0)
        return error_set(err, ERROR_JOB, "no command '%s'; did you mean 'pawl " STR_FMT "'?", word,
                         STR_ARG(nearest));
    return error_set(err, ERROR_JOB, "no command '%s'; 'pawl help' lists them", word);
}

bool args_parse(int argc, char **argv, const Command **ret_command, Args *ret_args, bool *ret_help,
                Error *err)
{
    *ret_command = NULL;
    *ret_args = (Args){0};
    *ret_help = argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
    if (*ret_help)
        return true;
    int words = 0;
    const Command *command = find_command(argc, argv, &words);
    // "help", or "help state show": the same as --help behind the rest.
    if (command == NULL && strcmp(argv[1], "help") == 0) {
        *ret_help = true;
        *ret_command = find_command(argc - 1, argv + 1, &words);
        return argc == 2 || *ret_command != NULL || unknown_command(argv[2], err);
    }
    if (command == NULL)
        return unknown_command(argv[1], err);
    *ret_command = command;
    for (int i = words + 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0) {
            *ret_help = true;
        } else if (strncmp(argv[i], "--", 2) == 0) {
            TRY(parse_option(command, argc, argv, &i, ret_args, err));
        } else if (ret_args->positional_count == command->positional_max) {
            return error_set(err, ERROR_JOB, "%s: what is '%s'? usage: pawl %s %s", command->name,
                             argv[i], command->name, command->usage);
        } else {
            ret_args->positional[ret_args->positional_count++] = str_from(argv[i]);
        }
    }
    *ret_help = *ret_help || args_has(ret_args, "help");
    if (!*ret_help && ret_args->positional_count < command->positional_min)
        return error_set(err, ERROR_JOB, "usage: pawl %s %s", command->name, command->usage);
    return true;
}

bool option_is_for_tests(const CommandOption *option)
{
    return strncmp(option->name, "test-", 5) == 0;
}

bool help_write_general(Buf *out, Error *err)
{
    TRY(buf_printf(out, err,
                   "pawl " PAWL_VERSION ": moves a REST API into a warehouse, exactly once.\n\n"
                   "usage: pawl COMMAND ... (pawl COMMAND --help says more)\n\n"));
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary == NULL)
            continue;
        TRY(buf_printf(out, err, "  %-18s %s\n", command->name, command->summary));
    }
    TRY(buf_printf(out, err, "\nexit status: 0 done"));
#define X(name, exit_status, retry, advice) \
    if ((exit_status) > 0)                  \
        TRY(buf_printf(out, err, "\n  %2d  %s", exit_status, advice));
    ERROR_CODES(X)
#undef X
    return buf_printf(out, err,
                      "\n\nfirst steps: pawl check JOB, then pawl plan JOB --mode historic\n");
}

bool help_write_command(const Command *command, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, "usage: pawl %s %s\n", command->name, command->usage));
    if (command->summary != NULL)
        TRY(buf_printf(out, err, "\n%s\n", command->summary));
    if (command->about != NULL)
        TRY(buf_printf(out, err, "\n%s\n", command->about));
    TRY(buf_printf(out, err, "\noptions:\n"));
    const CommandOption *const lists[] = {command->options, common};
    for (size_t l = 0; l < 2; l++) {
        for (const CommandOption *option = lists[l]; option->name != NULL; option++) {
            char left[64];
            (void)snprintf(left, sizeof(left), "--%s%s%s", option->name,
                           option->value == NULL ? "" : " ",
                           option->value == NULL ? "" : option->value);
            TRY(buf_printf(out, err, "  %-24s %s\n", left, option->help));
        }
    }
    if (command->examples != NULL)
        TRY(buf_printf(out, err, "\nexamples:\n%s\n", command->examples));
    return true;
}
