#include "run/stage.h"

static bool stage_put(void *state, Str path, Str bytes, Error *err)
{
    return store_put(state, path, bytes, 0, err);
}

static bool stage_create(void *state, Str path, Str bytes, Error *err)
{
    return store_create(state, path, bytes, 0, err);
}

static bool stage_read(void *state, Str path, size_t limit_bytes, Arena *arena, Str *ret_bytes,
                       Error *err)
{
    return store_read_all(state, path, limit_bytes, arena, ret_bytes, err);
}

typedef struct Listing {
    bool (*visit)(void *visitor, Str path);
    void *visitor;
} Listing;

static bool visit_entry(void *visitor, const StoreEntry *entry)
{
    Listing *listing = visitor;
    return entry->is_folder || listing->visit(listing->visitor, entry->path);
}

static bool stage_list(void *state, Str folder, bool (*visit)(void *visitor, Str path),
                       void *visitor, Error *err)
{
    Listing listing = {visit, visitor};
    return store_list(state, folder, 0, visit_entry, &listing, err);
}

static bool stage_remove(void *state, Str path, Error *err)
{
    return store_remove(state, path, err);
}

static void stage_close(void *state)
{
    store_close(state);
}

// The members that the store's own table describes.
static bool without_store(yyjson_val *files, Arena *arena, yyjson_val **ret_options, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_append_char(&text, '{', err));
    size_t i = 0;
    size_t count = 0;
    yyjson_val *name = NULL;
    yyjson_val *member = NULL;
    yyjson_obj_foreach(files, i, count, name, member)
    {
        if (str_equal(json_str(name), STR("store")))
            continue;
        TRY((text.size == 1 || buf_append_char(&text, ',', err)) &&
            json_write_str(json_str(name), &text, err) && buf_append_char(&text, ':', err) &&
            json_write(member, &text, err));
    }
    TRY(buf_append_char(&text, '}', err));
    yyjson_doc *doc = NULL;
    TRY(json_parse(buf_str(&text), "job", arena, &doc, err));
    *ret_options = yyjson_doc_get_root(doc);
    return true;
}

bool stage_open(const Job *job, const StoreDriver *const *stores, Env *env, Arena *arena,
                Findings *findings, Warehouse *warehouse, Error *err)
{
    yyjson_val *files = json_get(json_get(job->warehouse_options, STR("stage")), STR("files"));
    Str place = {0};
    TRY(arena_printf(arena, &place, err, STR_FMT ": /warehouse/stage/files", STR_ARG(job->path)));
    const Str name = json_str(json_get(files, STR("store")));
    while (*stores != NULL && !str_equal(name, str_from((*stores)->name)))
        stores++;
    if (*stores == NULL) {
        findings_addf(findings, place, STR("adls"), "there is no store '" STR_FMT "'",
                      STR_ARG(name));
        return findings_check(findings, err);
    }
    yyjson_val *options = NULL;
    TRY(without_store(files, arena, &options, err));
    Store *store = arena_alloc(arena, sizeof(*store), err);
    TRY(store != NULL);
    store->folder = job->folder;
    TRY(store_open(store, *stores, (DriverOptions){options, place}, env, arena, findings, err));
    const StageFiles handed = {.put = stage_put,
                               .create = stage_create,
                               .read = stage_read,
                               .list = stage_list,
                               .remove = stage_remove,
                               .close = stage_close,
                               .state = store};
    return warehouse_use_stage(warehouse, &handed, err);
}
