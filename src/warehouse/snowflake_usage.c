// What a day has cost: how long statements ran that keep a warehouse awake, as seen from here. Each
// process keeps a file of its own beside the stage's files, so that several may count at once.
#include "warehouse/snowflake_state.h"

#include "base/time.h"

enum { USAGE_BYTES_MAX = 1024, FOLDER_BYTES = 64, USAGE_PATH_BYTES = 128 };

static void usage_folder(int32_t day, char folder[FOLDER_BYTES])
{
    char date[TIME_TEXT_BYTES];
    date_format(day, date);
    (void)snprintf(folder, FOLDER_BYTES, "usage/%.10s", date);
}

static void usage_path(const SnowflakeWarehouse *db, char path[USAGE_PATH_BYTES])
{
    char folder[FOLDER_BYTES];
    usage_folder(db->usage_day, folder);
    (void)snprintf(path, USAGE_PATH_BYTES, "%s/%s.json", folder, db->process);
}

typedef struct UsageSum {
    SnowflakeWarehouse *db;
    Str own;
    int64_t sum_us;
    Error *err;
} UsageSum;

static bool add_usage(void *visitor, Str path)
{
    UsageSum *usage = visitor;
    SnowflakeWarehouse *db = usage->db;
    Str text = {0};
    yyjson_doc *doc = NULL;
    if (str_equal(path, usage->own))
        return true;
    if (!db->files->read(db->files->state, path, USAGE_BYTES_MAX, db->scratch, &text, usage->err) ||
        !json_parse(text, "usage", db->scratch, &doc, usage->err))
        return false;
    usage->sum_us += yyjson_get_sint(json_get(yyjson_doc_get_root(doc), STR("warehouse_us")));
    return true;
}

static int32_t today(const SnowflakeWarehouse *db)
{
    return date_from_us(db->env->now_us(db->env->state));
}

// What other processes have used since midnight UTC; asked once a day and process.
static bool read_others(SnowflakeWarehouse *db, Error *err)
{
    if (db->usage_day == today(db) && db->others_us >= 0)
        return true;
    char folder[FOLDER_BYTES];
    char own[USAGE_PATH_BYTES];
    if (db->process[0] == '\0')
        uuid_new(db->env, db->process);
    db->usage_day = today(db);
    usage_folder(db->usage_day, folder);
    usage_path(db, own);
    arena_reset(db->scratch);
    UsageSum usage = {.db = db, .own = str_from(own), .err = err};
    TRY(db->files->list(db->files->state, str_from(folder), add_usage, &usage, err) &&
        err->code == ERROR_NONE);
    db->others_us = usage.sum_us;
    return true;
}

static int64_t own_us(const SnowflakeWarehouse *db)
{
    return db->api == NULL ? 0 : snowflake_usage(db->api).warehouse_us;
}

void snowflake_tell_usage(const void *state, int64_t *ret_us, int64_t *ret_statements)
{
    const SnowflakeWarehouse *db = state;
    *ret_us = own_us(db);
    *ret_statements = db->api == NULL ? 0 : snowflake_usage(db->api).statements;
}

bool snowflake_may_load(void *state, Error *err)
{
    SnowflakeWarehouse *db = state;
    if (db->daily_seconds == 0 || db->files == NULL)
        return true;
    TRY(read_others(db, err));
    const int64_t used = (db->others_us + own_us(db)) / 1000000;
    if (used < db->daily_seconds)
        return true;
    return error_set(err, ERROR_LIMIT,
                     "warehouse: the day's cap of %lld seconds is used up (%lld): what is read is "
                     "landed and waits; run again after midnight UTC or raise daily_seconds",
                     (long long)db->daily_seconds, (long long)used);
}

void snowflake_note_usage(SnowflakeWarehouse *db)
{
    Error ignored = {0};
    char path[USAGE_PATH_BYTES];
    CLEANUP(buf_done) Buf text = {0};
    if (db->daily_seconds == 0 || db->files == NULL || !read_others(db, &ignored))
        return;
    usage_path(db, path);
    if (buf_printf(&text, &ignored, "{\"warehouse_us\":%lld,\"statements\":%lld}",
                   (long long)own_us(db), (long long)snowflake_usage(db->api).statements))
        (void)!db->files->put(db->files->state, str_from(path), buf_str(&text), &ignored);
}
