// What a day has cost: how long statements ran that keep a warehouse awake, as seen from here. Each
// process keeps a file of its own beside the stage's files, so that several may count at once.
#include "warehouse/snowflake_state.h"

#include "base/time.h"

enum { USAGE_BYTES_MAX = 1024, FOLDER_BYTES = 64, USAGE_PATH_BYTES = 128 };

// What others noted is read again after this long: within one day's run they use more.
static const int64_t others_again_us = INT64_C(5) * 60 * 1000000;

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

static int64_t own_us(const SnowflakeWarehouse *db)
{
    return db->api == NULL ? 0 : snowflake_usage(db->api).warehouse_us;
}

static void write_own(SnowflakeWarehouse *db)
{
    Error ignored = {0}; // the next load writes it
    char path[USAGE_PATH_BYTES];
    CLEANUP(buf_done) Buf text = {0};
    const int64_t statements = db->api == NULL ? 0 : snowflake_usage(db->api).statements;
    usage_path(db, path);
    if (buf_printf(&text, &ignored, "{\"warehouse_us\":%lld,\"statements\":%lld}",
                   (long long)(own_us(db) - db->own_before_us),
                   (long long)(statements - db->statements_before)))
        (void)!db->files->put(db->files->state, str_from(path), buf_str(&text), &ignored);
}

// A run over midnight begins the new day at nothing; what ran over midnight is the old day's.
static void turn_day(SnowflakeWarehouse *db)
{
    if (db->process[0] == '\0') {
        uuid_new(db->env, db->process);
    } else if (db->usage_day != today(db)) {
        write_own(db);
        db->own_before_us = own_us(db);
        db->statements_before = db->api == NULL ? 0 : snowflake_usage(db->api).statements;
        db->others_us = -1;
    }
    db->usage_day = today(db);
}

// What other processes have used since midnight UTC.
static bool read_others(SnowflakeWarehouse *db, Error *err)
{
    const int64_t now_us = db->env->monotonic_us(db->env->state);
    if (db->others_us >= 0 && now_us - db->others_read_us < others_again_us)
        return true;
    char folder[FOLDER_BYTES];
    char own[USAGE_PATH_BYTES];
    usage_folder(db->usage_day, folder);
    usage_path(db, own);
    arena_reset(db->scratch);
    UsageSum usage = {.db = db, .own = str_from(own), .err = err};
    TRY(db->files->list(db->files->state, str_from(folder), add_usage, &usage, err) &&
        err->code == ERROR_NONE);
    db->others_us = usage.sum_us;
    db->others_read_us = now_us;
    return true;
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
    turn_day(db);
    TRY(read_others(db, err));
    const int64_t used = (db->others_us + own_us(db) - db->own_before_us) / 1000000;
    if (used < db->daily_seconds)
        return true;
    return error_set(err, ERROR_LIMIT,
                     "warehouse: the day's cap of %lld seconds is used up (%lld): what is read is "
                     "landed and waits; run again after midnight UTC or raise daily_seconds",
                     (long long)db->daily_seconds, (long long)used);
}

void snowflake_note_usage(SnowflakeWarehouse *db)
{
    if (db->daily_seconds == 0 || db->files == NULL)
        return;
    turn_day(db);
    write_own(db);
}
