#include "cli/cli.h"
#include "run/source.h"

#include <unistd.h>

enum { SOURCE_ARGS_BYTES = 64 * 1024 };

static bool copy_option(const Cli *cli, const char *name, Arena *arena, const char **ret_text,
                        Error *err)
{
    Str value = args_get(&cli->args, name), copy = {0};
    *ret_text = NULL;
    if (value.data == NULL)
        return true;
    TRY(arena_copy_str(arena, value, &copy, err));
    *ret_text = copy.data;
    return true;
}

static bool run(Cli *cli, bool needs_config,
                bool (*command)(const SourceReadOptions *options, Env *env, Error *err), Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(SOURCE_ARGS_BYTES, err);
    TRY(arena != NULL);
    SourceReadOptions options = {.output_fd = STDOUT_FILENO};
    const struct {
        const char *name;
        const char **value;
    } rows[] = {
        {"manifest", &options.manifest}, {"config", &options.config},
        {"catalog", &options.catalog},   {"state", &options.state},
        {"test-now", &options.now},      {"test-connect-to", &options.connect_to},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        TRY(copy_option(cli, rows[i].name, arena, rows[i].value, err));
    if (options.manifest == NULL || (needs_config && options.config == NULL))
        return error_set(err, ERROR_JOB, "%s needs --manifest%s", cli->command->name,
                         needs_config ? " and --config" : "");
    return command(&options, cli->env, err);
}

bool cli_source_read(Cli *cli, Error *err)
{
    return run(cli, true, source_read, err);
}

bool cli_source_check(Cli *cli, Error *err)
{
    return run(cli, true, source_check, err);
}

bool cli_source_discover(Cli *cli, Error *err)
{
    return run(cli, true, source_catalog, err);
}

bool cli_source_spec(Cli *cli, Error *err)
{
    return run(cli, false, source_spec, err);
}
