#include "run/forget_list.h"

#include "base/kill.h"
#include "lake/seal.h"

enum { LIST_BYTES_MAX = 1024 * 1024 * 1024, FIRST_HASHES = 16, HEX_BYTES = 2 * KEY_BYTES };

static const char list_kind[] = "forgotten";

static bool list_path(const Job *job, char path[STORE_PATH_BYTES_MAX + 1], Error *err)
{
    return store_path_printf(path, err, STR_FMT "/forgotten.json", STR_ARG(job->name));
}

// Tells a list whose key is another: its own hash of a fixed word.
static Key128 check_of(const Forgotten *forgotten)
{
    return forgotten_hash_key(forgotten, STR("pawl"), STR("check"));
}

bool forget_set_add(ForgetSet *set, const Key128 *hash, Arena *arena, Error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        if (key128_compare(&set->hashes[i], hash) == 0)
            return true;
    }
    if (set->count == set->room) {
        const size_t room = set->room == 0 ? FIRST_HASHES : 2 * set->room;
        Key128 *hashes = arena_alloc_array(arena, room, sizeof(Key128), err);
        TRY(hashes != NULL);
        if (set->count > 0)
            memcpy(hashes, set->hashes, set->count * sizeof(Key128));
        set->hashes = hashes;
        set->room = room;
    }
    set->hashes[set->count++] = *hash;
    return true;
}

bool forget_list_renew(const Job *job, Arena *arena, ForgetList *list, Error *err)
{
    const ForgottenSets sets = {.people = list->people.hashes,
                                .person_count = list->people.count,
                                .redacted = list->redacted.hashes,
                                .redacted_count = list->redacted.count};
    const Str salt = {(const char *)list->salt, sizeof(list->salt)};
    return forgotten_new(salt, job->forget_key, &sets, arena, &list->forgotten, err);
}

bool forget_list_begin(const Job *job, Env *env, Arena *arena, ForgetList *list, Error *err)
{
    if (list->there || list->forgotten != NULL)
        return true;
    for (size_t i = 0; i < sizeof(list->salt); i += sizeof(uint64_t)) {
        const uint64_t random = env->random(env->state);
        memcpy(list->salt + i, &random, sizeof(random));
    }
    return forget_list_renew(job, arena, list, err);
}

static bool read_set(yyjson_val *array, Arena *arena, ForgetSet *set, Error *err)
{
    const size_t count = yyjson_arr_size(array);
    set->hashes = arena_alloc_array(arena, count + 1, sizeof(Key128), err);
    TRY(set->hashes != NULL);
    set->room = count + 1;
    size_t i = 0;
    size_t items = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, i, items, item)
    {
        if (!hex_decode(json_str(item), set->hashes[set->count++].bytes, KEY_BYTES))
            return error_set(err, ERROR_DATA, "forgotten.json: entry %zu is no hash", i);
    }
    return true;
}

bool forget_list_read(const Job *job, Store *store, Arena *arena, ForgetList *ret_list, Error *err)
{
    *ret_list = (ForgetList){0};
    char path[STORE_PATH_BYTES_MAX + 1];
    TRY(list_path(job, path, err));
    CLEANUP(buf_done) Buf bytes = {.limit_bytes = LIST_BYTES_MAX};
    if (!store_read_into(store, str_from(path), LIST_BYTES_MAX, &bytes, err)) {
        const bool missing = err->code == ERROR_NOT_FOUND;
        if (missing)
            *err = (Error){0};
        return missing;
    }
    Str body = {0};
    yyjson_doc *doc = NULL;
    TRY(seal_read(list_kind, buf_str(&bytes), path, &body, err) &&
        json_parse(body, path, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    ForgetList list = {.there = true};
    Key128 check = {0};
    if (!hex_decode(json_str(json_get(root, STR("salt"))), list.salt, sizeof(list.salt)) ||
        !hex_decode(json_str(json_get(root, STR("check"))), check.bytes, KEY_BYTES))
        return error_set(err, ERROR_DATA, "%s: has no salt", path);
    TRY(read_set(json_get(root, STR("people")), arena, &list.people, err) &&
        read_set(json_get(root, STR("redacted")), arena, &list.redacted, err) &&
        forget_list_renew(job, arena, &list, err));
    const Key128 ours = check_of(list.forgotten);
    if (key128_compare(&ours, &check) != 0)
        return error_set(err, ERROR_ACCESS,
                         "%s: landing.forget_key is not the one that this list was made with",
                         path);
    *ret_list = list;
    return true;
}

static bool write_set(const char *name, const ForgetSet *set, Buf *out, Error *err)
{
    TRY(buf_printf(out, err, ",\"%s\":[", name));
    for (size_t i = 0; i < set->count; i++) {
        char hex[HEX_BYTES + 1];
        hex_encode(set->hashes[i].bytes, KEY_BYTES, hex);
        TRY(buf_printf(out, err, "%s\"%s\"", i > 0 ? "," : "", hex));
    }
    return buf_append_char(out, ']', err);
}

bool forget_list_put(const Job *job, Store *store, ForgetList *list, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    TRY(list_path(job, path, err));
    char salt[2 * FORGOTTEN_SALT_BYTES + 1];
    char hex[HEX_BYTES + 1];
    const Key128 check = check_of(list->forgotten);
    hex_encode(list->salt, sizeof(list->salt), salt);
    hex_encode(check.bytes, KEY_BYTES, hex);
    CLEANUP(buf_done) Buf body = {.limit_bytes = LIST_BYTES_MAX};
    CLEANUP(buf_done) Buf sealed = {.limit_bytes = LIST_BYTES_MAX};
    TRY(buf_printf(&body, err, "{\"version\":1,\"salt\":\"%s\",\"check\":\"%s\"", salt, hex) &&
        write_set("people", &list->people, &body, err) &&
        write_set("redacted", &list->redacted, &body, err) && buf_append_char(&body, '}', err) &&
        seal_write(list_kind, buf_str(&body), &sealed, err));
    kill_point("forget list put");
    TRY(store_put(store, str_from(path), buf_str(&sealed), 0, err));
    kill_point("forget list was put");
    list->there = true;
    return true;
}
