#include "run/redacted.h"

#include "base/kill.h"

#include <inttypes.h>

enum { FIRST_KEYS = 8 };

static bool add_key(RedactedKeys *keys, Str key, Arena *arena, Error *err)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (str_equal(keys->keys[i], key))
            return true;
    }
    if (keys->count == keys->room) {
        const size_t room = keys->room == 0 ? FIRST_KEYS : 2 * keys->room;
        Str *more = arena_alloc_array(arena, room, sizeof(Str), err);
        TRY(more != NULL);
        if (keys->count > 0)
            memcpy(more, keys->keys, keys->count * sizeof(Str));
        keys->keys = more;
        keys->room = room;
    }
    TRY(arena_copy_str(arena, key, &keys->keys[keys->count], err));
    keys->count++;
    return true;
}

bool redacted_note(RedactedKeys *keys, const Contract *contract, const Forgotten *forgotten,
                   const PageOutcome *outcome, yyjson_val *partition, Arena *arena, Error *err)
{
    CLEANUP(buf_done) Buf key = {0};
    for (size_t i = 0; i < outcome->record_count; i++) {
        if (!contract_is_redacted(contract, outcome->records[i]))
            continue;
        buf_clear(&key);
        TRY(contract_write_key(contract, outcome->records[i], partition, &key, err));
        if (forgotten != NULL) {
            const Key128 hash =
                forgotten_hash_key(forgotten, contract_info(contract)->stream, buf_str(&key));
            if (forgotten_has_redacted(forgotten, &hash))
                continue;
        }
        TRY(add_key(keys, buf_str(&key), arena, err));
    }
    return true;
}

bool redacted_keep(const RedactedKeys *keys, Store *store, Str job, const SliceName *name,
                   const SliceManifest *manifest, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    const Sha256 partition = sha256(name->partition_key);
    char tag[9];
    hex_encode(partition.bytes, 4, tag);
    TRY(store_path_printf(
        path, err, STR_FMT "/redacted/" STR_FMT "-" STR_FMT "-%s-%" PRIu32 "-%" PRIu32 ".json",
        STR_ARG(job), STR_ARG(name->run), STR_ARG(name->stream), tag, name->slice, name->reading));
    CLEANUP(buf_done) Buf text = {0};
    TRY(buf_printf(&text, err, "{\"version\":1,\"stream\":") &&
        json_write_str(name->stream, &text, err) && buf_printf(&text, err, ",\"partition\":") &&
        json_write_str(name->partition_key, &text, err) &&
        buf_printf(&text, err, ",\"from_us\":%lld,\"to_us\":%lld,\"keys\":[",
                   (long long)manifest->from_us, (long long)manifest->to_us));
    for (size_t i = 0; i < keys->count; i++)
        TRY((i == 0 || buf_append_char(&text, ',', err)) &&
            json_write_str(keys->keys[i], &text, err));
    TRY(buf_printf(&text, err, "]}"));
    kill_point("redacted put, slice %" PRIu32, name->slice);
    TRY(store_put(store, str_from(path), buf_str(&text), 0, err));
    kill_point("redacted was put, slice %" PRIu32, name->slice);
    return true;
}
