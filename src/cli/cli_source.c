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

bool cli_source_read(Cli *cli, Error *err)
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
    if (options.manifest == NULL || options.config == NULL)
        return error_set(err, ERROR_JOB, "source read needs --manifest and --config");
    return source_read(&options, cli->env, err);
}
