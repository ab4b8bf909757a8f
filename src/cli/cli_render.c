#include "base/file.h"
#include "cli/cli.h"
#include "cli/open.h"
#include "render/render.h"

#include <stdio.h>

// The file is there, and what render gives.
static bool is_same(const char *path, const RenderFile *file, Arena *arena)
{
    Str found = {0};
    Error missing = {0};
    return file_read(path, RENDER_FILE_BYTES_MAX, arena, &found, &missing) &&
           str_equal(found, file->text);
}

static bool put_file(Cli *cli, Str folder, const RenderFile *file, Arena *arena, size_t *stale,
                     Error *err)
{
    Str path = {0};
    Str parent = {0};
    TRY(file_join(arena, folder, str_from(file->path), &path, err));
    const bool same = is_same(path.data, file, arena);
    if (args_has(&cli->args, "check")) {
        *stale += !same;
        if (!same)
            (void)fprintf(stderr, "%s is not what render gives\n", path.data);
        return true;
    }
    TRY(arena_copy_str(arena, file_folder(path), &parent, err) &&
        file_make_folder(parent.data, err) && file_write(path.data, file->text, err));
    if (!cli->json)
        (void)printf("%s %s\n", same ? "as it was" : "wrote    ", path.data);
    return true;
}

static bool put_files(Cli *cli, Str fallback, const Rendered *rendered, Arena *arena, Error *err)
{
    const Str given = args_get(&cli->args, "out");
    size_t stale = 0;
    for (size_t i = 0; i < rendered->note_count; i++)
        (void)fprintf(stderr, "note: " STR_FMT "\n", STR_ARG(rendered->notes[i]));
    for (size_t i = 0; i < rendered->count; i++)
        TRY(put_file(cli, given.size > 0 ? given : fallback, &rendered->files[i], arena, &stale,
                     err));
    if (stale > 0)
        return error_set(err, ERROR_CONFLICT,
                         "%zu file%s to render again: the same command "
                         "without --check",
                         stale, stale == 1 ? "" : "s");
    if (cli->json)
        (void)printf("{\"files\":%zu,\"notes\":%zu}\n", rendered->count, rendered->note_count);
    return true;
}

static bool open_deployment(Cli *cli, Str fallback, Arena *arena, Deployment **ret_deployment,
                            Error *err)
{
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    const Str names = args_has(&cli->args, "env") ? args_get(&cli->args, "env") : fallback;
    TRY(deployment_open(cli->args.positional[0], names, cli->env, arena, findings, ret_deployment,
                        err));
    return cli_check_findings(findings, err);
}

#define PROMOTION STR("dev,staging,prod")

bool cli_render_databricks(Cli *cli, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Deployment *deployment = NULL;
    Rendered rendered = {0};
    TRY(open_deployment(cli, PROMOTION, arena, &deployment, err) &&
        render_databricks(deployment, arena, &rendered, err));
    return put_files(cli, STR("deploy/databricks"), &rendered, arena, err);
}

bool cli_render_azure(Cli *cli, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Deployment *deployment = NULL;
    Rendered rendered = {0};
    TRY(open_deployment(cli, PROMOTION, arena, &deployment, err) &&
        render_azure(deployment, arena, &rendered, err));
    return put_files(cli, STR("."), &rendered, arena, err);
}

bool cli_render_cron(Cli *cli, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(CLI_ARENA_BYTES, err);
    TRY(arena != NULL);
    Deployment *deployment = NULL;
    Rendered rendered = {0};
    const Str folder =
        args_has(&cli->args, "folder") ? args_get(&cli->args, "folder") : STR("/opt/pawl");
    TRY(open_deployment(cli, STR(""), arena, &deployment, err) &&
        render_cron(deployment, folder, arena, &rendered, err));
    return put_files(cli, STR("deploy/cron"), &rendered, arena, err);
}
