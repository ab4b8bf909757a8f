#include "fixture.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 512, FILE_BYTES_MAX = 64 * 1024, OPTIONS_ARENA_BYTES = 1024 * 1024 };

static const char *fixture_folder(void)
{
    return getenv("PAWL_SNOWFLAKE");
}

bool fixture_is_there(void)
{
    return fixture_folder() != NULL;
}

// --- the store behind its stage: a folder

static void stage_path(Str path, char full[PATH_BYTES])
{
    CHECK(snprintf(full, PATH_BYTES, "%s/stage/" STR_FMT, fixture_folder(), STR_ARG(path)) <
          PATH_BYTES);
}

static bool stage_put(void *state, Str path, Str bytes, Error *err)
{
    (void)state;
    char full[PATH_BYTES];
    char folder[PATH_BYTES];
    stage_path(path, full);
    (void)snprintf(folder, sizeof(folder), STR_FMT, STR_ARG(file_folder(str_from(full))));
    return file_make_folder(folder, err) && file_write(full, bytes, err);
}

static bool stage_create(void *state, Str path, Str bytes, Error *err)
{
    (void)state;
    char full[PATH_BYTES];
    char folder[PATH_BYTES];
    stage_path(path, full);
    (void)snprintf(folder, sizeof(folder), STR_FMT, STR_ARG(file_folder(str_from(full))));
    return file_make_folder(folder, err) && file_create(full, bytes, err);
}

static bool stage_read(void *state, Str path, size_t limit_bytes, Arena *arena, Str *ret_bytes,
                       Error *err)
{
    (void)state;
    char full[PATH_BYTES];
    stage_path(path, full);
    return file_read(full, limit_bytes, arena, ret_bytes, err);
}

static bool stage_remove(void *state, Str path, Error *err)
{
    (void)state;
    char full[PATH_BYTES];
    stage_path(path, full);
    return file_remove(full, err);
}

// Nobody lists in these tests: a database of each process's own has no leftovers.
static bool stage_list(void *state, Str folder, bool (*visit)(void *visitor, Str path),
                       void *visitor, Error *err)
{
    (void)state;
    (void)folder;
    (void)visit;
    (void)visitor;
    (void)err;
    return true;
}

// --- opening

static Str read_file(Arena *arena, const char *name)
{
    Error err = {0};
    char path[PATH_BYTES];
    Str bytes = {0};
    (void)snprintf(path, sizeof(path), "%s/%s", fixture_folder(), name);
    CHECK_OK(file_read(path, FILE_BYTES_MAX, arena, &bytes, &err), &err);
    return bytes;
}

static Str options_of(Arena *arena, const char *more)
{
    static int databases = 0;
    Error err = {0};
    Str text = {0};
    yyjson_doc *doc = NULL;
    CHECK_OK(json_parse(read_file(arena, "ready.json"), "ready", arena, &doc, &err), &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CLEANUP(buf_done) Buf pem = {0};
    CHECK_OK(json_write_str(read_file(arena, "key.pem"), &pem, &err), &err);
    CHECK_OK(arena_printf(arena, &text, &err,
                          "\"url\": \"" STR_FMT "\", \"account\": \"" STR_FMT "\","
                          " \"user\": \"loader_user\", \"private_key\": " STR_FMT ","
                          " \"passphrase\": \"" STR_FMT "\", \"database\": \"RIG_%d_%d\","
                          " \"schema\": \"main\", \"warehouse\": \"LOADING\","
                          " \"role\": \"LOADER\", \"ca_file\": \"%s/ca.pem\","
                          " \"stage\": {\"name\": \"SHOP.LAND\", \"files\": {}}%s",
                          STR_ARG(json_str(json_get(root, STR("url")))),
                          STR_ARG(json_str(json_get(root, STR("account")))), STR_ARG(buf_str(&pem)),
                          STR_ARG(json_str(json_get(root, STR("passphrase")))), (int)getpid(),
                          databases++, fixture_folder(), more),
             &err);
    return text;
}

void fixture_open(Rig *rig, const char *more)
{
    Error err = {0};
    CLEANUP(arena_freep) Arena *arena = arena_new(OPTIONS_ARENA_BYTES, &err);
    CHECK(arena != NULL);
    rig_open_with(rig, &warehouse_snowflake, options_of(arena, more).data);
    // Its tokens are judged by the clock on the wall.
    test_clock_us = (int64_t)time(NULL) * 1000000;
    static const StageFiles files = {.put = stage_put,
                                     .create = stage_create,
                                     .read = stage_read,
                                     .remove = stage_remove,
                                     .list = stage_list};
    CHECK_OK(warehouse_use_stage(&rig->warehouse, &files, &err), &err);
}
