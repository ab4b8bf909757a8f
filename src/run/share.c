#include "run/share.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>

enum {
    NOTE_BYTES_MAX = 1000,
    LEARNT_BYTES_MAX = 16 * 1024,
    NOTE_ARENA_BYTES = 256 * 1024,
    API_HEX = 16
};

static const double part_of_high = 0.8; // while runs of low priority are there too

bool share_open(Share *share, Store *store, const ShareMember *member, Arena *arena, Error *err)
{
    char hex[2 * SHA256_BYTES + 1];
    const Sha256 hash = sha256(member->api);
    hex_encode(hash.bytes, SHA256_BYTES, hex);
    *share =
        (Share){.store = store, .priority = member->priority, .refreshed_us = INT64_MIN, .part = 1};
    TRY(arena_printf(arena, &share->folder, err, "rate/%.*s", API_HEX, hex));
    TRY(arena_printf(arena, &share->learnt_path, err, STR_FMT "/learnt.json",
                     STR_ARG(share->folder)));
    return arena_printf(arena, &share->path, err, STR_FMT "/" STR_FMT "-" STR_FMT ".json",
                        STR_ARG(share->folder), STR_ARG(member->job), STR_ARG(member->mode));
}

// How many runs of each priority are there, this one included.
typedef struct Census {
    Share *share;
    Arena *arena;
    int64_t now_us;
    int count[RATE_HIGH + 1];
    Error err;
} Census;

// A note that cannot be read counts as nobody: it will be written again, or time out.
static bool count_note(void *visitor, const StoreEntry *entry)
{
    Census *census = visitor;
    Error ignored = {0};
    Str text = {0};
    yyjson_doc *doc = NULL;
    if (str_equal(entry->path, census->share->path) ||
        !store_read_all(census->share->store, entry->path, NOTE_BYTES_MAX, census->arena, &text,
                        &ignored) ||
        !json_parse(text, "rate note", census->arena, &doc, &ignored))
        return true;
    yyjson_val *root = yyjson_doc_get_root(doc);
    const int64_t until_us = yyjson_get_sint(json_get(root, STR("until_us")));
    // Who dies while his clock is ahead would be there until it has come.
    if (until_us <= census->now_us || until_us - SHARE_TTL_US > census->now_us + SHARE_SKEW_US)
        return true;
    const bool high = str_equal(json_str(json_get(root, STR("priority"))), STR("high"));
    census->count[high ? RATE_HIGH : RATE_LOW]++;
    return true;
}

static double part_for(const Census *census, RatePriority priority)
{
    const int low = census->count[RATE_LOW];
    const int high = census->count[RATE_HIGH];
    if (priority == RATE_HIGH)
        return (low > 0 ? part_of_high : 1) / high;
    return (high > 0 ? 1 - part_of_high : 1) / low;
}

bool share_refresh(Share *share, Error *err)
{
    Env *env = share->store->env;
    const int64_t now_us = env->now_us(env->state);
    if (share->refreshed_us != INT64_MIN && now_us - share->refreshed_us < SHARE_REFRESH_US &&
        now_us >= share->refreshed_us)
        return true;
    share->refreshed_us = now_us;
    char note[160];
    (void)snprintf(note, sizeof(note), "{\"version\":1,\"priority\":\"%s\",\"until_us\":%lld}\n",
                   share->priority == RATE_HIGH ? "high" : "low", (long long)now_us + SHARE_TTL_US);
    TRY(store_put(share->store, share->path, str_from(note), STORE_LAZY, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(NOTE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Census census = {.share = share, .arena = arena, .now_us = now_us};
    census.count[share->priority] = 1;
    TRY(store_list(share->store, share->folder, 0, count_note, &census, err));
    share->part = part_for(&census, share->priority);
    return true;
}

// --- what was learnt

static bool is_believed(const RateLearnt *learnt, int64_t learnt_us, int64_t now_us)
{
    return learnt->per_second > 0 && isfinite(learnt->per_second) && learnt->burst_seen >= 0 &&
           learnt->burst_most >= 0 && learnt_us <= now_us && now_us - learnt_us < SHARE_LEARNT_US;
}

static void recall_one(Share *share, yyjson_val *note, int64_t now_us)
{
    RateLearnt learnt = {0};
    yyjson_val *id = json_get(note, STR("auth"));
    const int64_t learnt_us = yyjson_get_sint(json_get(note, STR("at_us")));
    if (!yyjson_is_uint(id) || yyjson_get_uint(id) >= FETCH_LANES_MAX ||
        !json_to_double(json_get(note, STR("per_second")), &learnt.per_second) ||
        !json_to_double(json_get(note, STR("burst_seen")), &learnt.burst_seen) ||
        !json_to_double(json_get(note, STR("burst_most")), &learnt.burst_most) ||
        !is_believed(&learnt, learnt_us, now_us))
        return;
    share->learnt[yyjson_get_uint(id)] = learnt;
    share->learnt_us[yyjson_get_uint(id)] = learnt_us;
}

bool share_recall_rates(Share *share, Error *err)
{
    Env *env = share->store->env;
    CLEANUP(arena_freep) Arena *arena = arena_new(NOTE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Str text = {0};
    yyjson_doc *doc = NULL;
    Error missing = {0};
    Error broken = {0};
    if (!store_read_all(share->store, share->learnt_path, LEARNT_BYTES_MAX, arena, &text,
                        &missing)) {
        if (missing.code == ERROR_NOT_FOUND)
            return true;
        *err = missing;
        return false;
    }
    if (!json_parse(text, "learnt rates", arena, &doc, &broken))
        return true; // it will be written again
    size_t i = 0;
    size_t count = 0;
    yyjson_val *note = NULL;
    yyjson_arr_foreach(json_get(yyjson_doc_get_root(doc), STR("lanes")), i, count, note)
    {
        recall_one(share, note, env->now_us(env->state));
    }
    return true;
}

static bool write_learnt(const Share *share, Buf *out, Error *err)
{
    TRY(buf_append(out, STR("{\"version\":1,\"lanes\":["), err));
    bool any = false;
    for (size_t i = 0; i < FETCH_LANES_MAX; i++) {
        const RateLearnt *learnt = &share->learnt[i];
        if (learnt->per_second == 0)
            continue;
        TRY(buf_printf(out, err,
                       "%s{\"auth\":%zu,\"at_us\":%lld,\"per_second\":%.6f,\"burst_seen\":%.6f,"
                       "\"burst_most\":%.6f}",
                       any ? "," : "", i, (long long)share->learnt_us[i], learnt->per_second,
                       learnt->burst_seen, learnt->burst_most));
        any = true;
    }
    return buf_append(out, STR("]}\n"), err);
}

bool share_note_rate(Share *share, size_t auth_id, const RateLearnt *learnt, Error *err)
{
    Env *env = share->store->env;
    // A thousandth is no news: it is what writing and reading it may change.
    if (auth_id >= FETCH_LANES_MAX ||
        fabs(learnt->per_second - share->learnt[auth_id].per_second) <= learnt->per_second / 1000)
        return true;
    share->learnt[auth_id] = *learnt;
    share->learnt_us[auth_id] = env->now_us(env->state);
    CLEANUP(buf_done) Buf note = {0};
    return write_learnt(share, &note, err) &&
           store_put(share->store, share->learnt_path, buf_str(&note), STORE_LAZY, err);
}

void share_close(Share *share)
{
    Error ignored = {0};
    if (share->store != NULL && share->path.size > 0)
        (void)!store_remove(share->store, share->path, &ignored);
    *share = (Share){0};
}
