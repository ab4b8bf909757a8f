// The Snowflake driver: statements over the SQL API, rows by way of an external stage.
#include "warehouse/snowflake_state.h"

#include "base/time.h"

#include <assert.h>
#include <stdio.h>

// clang-format off
static const char *const auths[] = {"keypair", "oauth", "pat", NULL};

static const Field stage_fields[] = {
    {"name",  FIELD_STR(SnowflakeStage, name),   .required = true, .help = "the external stage, as SQL names it: CTM.LAND"},
    {"files", FIELD_JSON(SnowflakeStage, files), .required = true, .help = "the store behind it, as landing names one: {\"store\": \"adls\", ...}"},
    {0},
};
static const Field snowflake_fields[] = {
    {"account",       FIELD_STR(SnowflakeWarehouse, options.account),      .required = true, .help = "account identifier: ORGANISATION-ACCOUNT"},
    {"url",           FIELD_STR(SnowflakeWarehouse, options.url),          .help = "where the account answers, if not at <account>.snowflakecomputing.com (private link)"},
    {"user",          FIELD_STR(SnowflakeWarehouse, options.user),         .required = true, .help = "user that pawl logs in as"},
    {"auth",          FIELD_CHOICE(SnowflakeWarehouse, auth, auths),       .fallback = "keypair", .help = "key pair, OAuth token or programmatic access token"},
    {"private_key",   FIELD_SECRET(SnowflakeWarehouse, private_key),       .help = "PEM (PKCS#8, encrypted or not): \"${file:...}\""},
    {"private_key_2", FIELD_SECRET(SnowflakeWarehouse, private_key_2),     .help = "the other key while they are being rotated"},
    {"passphrase",    FIELD_SECRET(SnowflakeWarehouse, options.passphrase), .help = "of encrypted keys"},
    {"token",         FIELD_SECRET(SnowflakeWarehouse, options.token),     .help = "for auth oauth and pat"},
    {"database",      FIELD_STR(SnowflakeWarehouse, options.database),     .required = true, .help = "database of all tables"},
    {"schema",        FIELD_STR(SnowflakeWarehouse, options.schema),       .fallback = "PAWL", .help = "where the ledger, ETL_LOG and PIPELINE_HEALTH live"},
    {"warehouse",     FIELD_STR(SnowflakeWarehouse, options.warehouse),    .required = true, .help = "virtual warehouse that runs the loads"},
    {"role",          FIELD_STR(SnowflakeWarehouse, options.role),         .required = true, .help = "role that pawl acts as"},
    {"stage",         FIELD_STRUCT(SnowflakeWarehouse, stage, stage_fields), .help = "external stage that loads come from"},
    {"statement_timeout", FIELD_DURATION(SnowflakeWarehouse, options.statement_timeout_us), .fallback = "PT1H", .help = "longest time one statement may take"},
    {"lock_timeout",  FIELD_DURATION(SnowflakeWarehouse, lock_timeout_us), .fallback = "PT10M", .help = "how long to wait for a table that another load holds"},
    {"daily_seconds", FIELD_INT(SnowflakeWarehouse, daily_seconds, 0, 86400), .fallback = "0", .help = "cap: seconds a UTC day that statements may keep the warehouse busy; then pages are landed only; 0 = none"},
    {"rest",          FIELD_DURATION(SnowflakeWarehouse, rest_us), .fallback = "PT6H", .help = "how long runs that find nothing new may leave the warehouse asleep, their watermarks where they were; PT0S = never"},
    {"ca_file",       FIELD_STR(SnowflakeWarehouse, options.ca_file),      .help = "certificates to trust instead of the system's"},
    {0},
};
// clang-format on

// --- texts

bool snowflake_name(Buf *out, Str name, Error *err)
{
    return sql_own_name(&sql_dialect_snowflake, out, name, err);
}

bool snowflake_table(Buf *out, const TableSpec *table, const char *suffix, Error *err)
{
    return sql_own_table(&sql_dialect_snowflake, out, table, suffix, err);
}

bool snowflake_literal(Buf *out, Str text, Error *err)
{
    return sql_literal(&sql_dialect_snowflake, out, text.data == NULL ? STR("") : text, err);
}

bool snowflake_time_text(Buf *out, int64_t us, Error *err)
{
    const Civil at = civil_from_us(us);
    return buf_printf(out, err, "'%04d-%02d-%02d %02d:%02d:%02d.%06d +00:00'", at.year, at.month,
                      at.day, at.hour, at.minute, at.second, (int)at.microsecond);
}

bool snowflake_literal_time(Buf *out, int64_t us, Error *err)
{
    return buf_append(out, STR("TO_TIMESTAMP_TZ("), err) && snowflake_time_text(out, us, err) &&
           buf_append(out, STR(", '" SNOWFLAKE_TIME_FORMAT "')"), err);
}

void snowflake_type_name(const Column *column, char *text, size_t room)
{
    const char *name = "";
    switch (column->type) {
    case COLUMN_STRING:
        name = "VARCHAR";
        break;
    case COLUMN_INT64:
        name = "NUMBER(19,0)";
        break;
    case COLUMN_DOUBLE:
        name = "FLOAT";
        break;
    case COLUMN_DECIMAL:
        (void)snprintf(text, room, "NUMBER(%d,%d)", column->precision, column->scale);
        return;
    case COLUMN_BOOLEAN:
        name = "BOOLEAN";
        break;
    case COLUMN_TIMESTAMP:
        name = "TIMESTAMP_TZ(6)";
        break;
    case COLUMN_DATE:
        name = "DATE";
        break;
    case COLUMN_JSON:
        name = "VARIANT";
        break;
    case COLUMN_KEY:
        name = "BINARY(16)";
        break;
    }
    (void)snprintf(text, room, "%s", name);
}

bool snowflake_own(SnowflakeWarehouse *db, Buf *out, const char *text, Error *err)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '@')
            TRY(snowflake_name(out, db->options.schema, err) && buf_append_char(out, '.', err));
        else if (*c == '^')
            TRY(snowflake_literal(out, db->load.id, err));
        else
            TRY(buf_append_char(out, *c, err));
    }
    return true;
}

// --- opening

// What a request names it is run in by that very name, unlike in SQL: "calls_db" is not CALLS_DB.
static bool fold_name(SnowflakeWarehouse *db, Str *name, Error *err)
{
    CLEANUP(buf_done) Buf quoted = {0};
    return snowflake_name(&quoted, *name, err) &&
           arena_copy_str(db->lasting, str_slice(buf_str(&quoted), 1, quoted.size - 2), name, err);
}

static bool open_texts(SnowflakeWarehouse *db, Str base_folder, Error *err)
{
    SnowflakeOptions *options = &db->options;
    options->auth = (SnowflakeAuth)db->auth;
    options->private_keys[0] = db->private_key;
    options->private_keys[1] = db->private_key_2;
    TRY(fold_name(db, &options->database, err) && fold_name(db, &options->schema, err) &&
        fold_name(db, &options->warehouse, err) && fold_name(db, &options->role, err));
    if (options->url.size == 0)
        TRY(arena_printf(db->lasting, &options->url, err,
                         "https://" STR_FMT ".snowflakecomputing.com", STR_ARG(options->account)));
    if (options->ca_file.size > 0 && options->ca_file.data[0] != '/')
        TRY(arena_printf(db->lasting, &options->ca_file, err, STR_FMT "/" STR_FMT,
                         STR_ARG(base_folder), STR_ARG(options->ca_file)));
    // A stage's name stands in SQL as it is.
    for (size_t i = 0; i < db->stage.name.size; i++) {
        const char c = db->stage.name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '$' || c == '.'))
            return error_set(err, ERROR_JOB, "stage: '" STR_FMT "' is no name such as CTM.LAND",
                             STR_ARG(db->stage.name));
    }
    return true;
}

static bool snowflake_open(void *state, Env *env, Str base_folder, uint64_t memory_bytes,
                           Error *err)
{
    SnowflakeWarehouse *db = state;
    db->env = env;
    db->memory_bytes = memory_bytes;
    db->lasting = arena_new(SNOWFLAKE_SCRATCH_BYTES_MAX, err);
    TRY(db->lasting != NULL);
    db->loading = arena_new(SNOWFLAKE_SCRATCH_BYTES_MAX, err);
    TRY(db->loading != NULL);
    db->scratch = arena_new(SNOWFLAKE_SCRATCH_BYTES_MAX, err);
    TRY(db->scratch != NULL);
    db->tag = STR("pawl");
    db->others_us = -1;
    return open_texts(db, base_folder, err);
}

static void snowflake_close(void *state)
{
    SnowflakeWarehouse *db = state;
    if (db->load.spec != NULL)
        snowflake_load_abort(db);
    snowflake_api_free(db->api);
    arena_free(db->scratch);
    arena_free(db->loading);
    arena_free(db->lasting);
    db->api = NULL;
    db->scratch = NULL;
    db->loading = NULL;
    db->lasting = NULL;
}

static bool snowflake_use_stage(void *state, const StageFiles *files, Error *err)
{
    (void)err;
    SnowflakeWarehouse *db = state;
    db->files = files;
    return true;
}

static void snowflake_use_secrets(void *state, const WarehouseSecrets *secrets)
{
    SnowflakeWarehouse *db = state;
    db->options.secrets = secrets;
}

// There is no connection: every statement stands for itself.
static bool snowflake_idle(void *state, Error *err)
{
    (void)state;
    (void)err;
    return true;
}

bool snowflake_begin_call(SnowflakeWarehouse *db, Error *err)
{
    arena_reset(db->scratch);
    return db->api != NULL || snowflake_api_new(&db->options, db->env, &db->api, err);
}

// --- statements

bool snowflake_query(SnowflakeWarehouse *db, const Buf *sql, SnowflakeVisit *visit, void *visitor,
                     Error *err)
{
    const SnowflakeStatement statement = {.sql = buf_str(sql), .count = 1, .tag = db->tag};
    CLEANUP(arena_freep) Arena *arena = arena_new(SNOWFLAKE_SCRATCH_BYTES_MAX, err);
    TRY(arena != NULL);
    SnowflakeResult result = {0};
    TRY(snowflake_run(db->api, &statement, arena, &result, err));
    return visit == NULL || snowflake_rows(db->api, &result, visit, visitor, err);
}

void snowflake_batch_done(SnowflakeBatch *batch)
{
    buf_done(&batch->sql);
    buf_done(&batch->ends);
}

bool snowflake_batch_end(SnowflakeBatch *batch, Error *err)
{
    const size_t end = batch->sql.size;
    batch->count++;
    return buf_append(&batch->ends, (Str){(const char *)&end, sizeof(end)}, err) &&
           buf_append(&batch->sql, STR(";\n"), err);
}

bool snowflake_lock_timeout(const SnowflakeWarehouse *db, SnowflakeBatch *batch, Error *err)
{
    return buf_printf(&batch->sql, err, "ALTER SESSION SET LOCK_TIMEOUT = %lld",
                      (long long)(db->lock_timeout_us / 1000000)) &&
           snowflake_batch_end(batch, err);
}

// One request each: a request of several needs a warehouse, whatever they are (Snowflake,
// "Submitting multiple SQL statements in a single request").
static bool run_one_by_one(SnowflakeWarehouse *db, const SnowflakeBatch *batch,
                           SnowflakeResult *ret_result, Error *err)
{
    Str *handles = arena_alloc_array(db->scratch, batch->count, sizeof(*handles), err);
    TRY(handles != NULL);
    size_t start = 0;
    for (size_t i = 0; i < batch->count; i++) {
        size_t end = 0;
        memcpy(&end, batch->ends.data + i * sizeof(end), sizeof(end));
        const SnowflakeStatement statement = {
            .sql = str_slice(buf_str(&batch->sql), start, end - start),
            .count = 1,
            .light = true,
            .tag = db->tag};
        SnowflakeResult result = {0};
        TRY(snowflake_run(db->api, &statement, db->scratch, &result, err));
        handles[i] = result.handle;
        start = end + 2; // behind ";\n"
    }
    *ret_result = (SnowflakeResult){.children = handles, .child_count = batch->count};
    return true;
}

bool snowflake_batch_run(SnowflakeWarehouse *db, const SnowflakeBatch *batch, bool light,
                         SnowflakeResult *ret_result, Error *err)
{
    if (batch->count == 0)
        return true;
    if (light && batch->count > 1)
        return run_one_by_one(db, batch, ret_result, err);
    const SnowflakeStatement statement = {
        .sql = buf_str(&batch->sql), .count = batch->count, .light = light, .tag = db->tag};
    return snowflake_run(db->api, &statement, db->scratch, ret_result, err);
}

// --- queries by hand, and of the reports

// A cell as the other warehouses write it.
static bool show_cell(SnowflakeType type, Str cell, Arena *arena, Str *ret_text, Error *err)
{
    int64_t us = 0;
    int64_t day = 0;
    char text[UUID_TEXT_BYTES + 1];
    unsigned char bytes[KEY_BYTES];
    *ret_text = cell;
    if (cell.data == NULL)
        return true;
    if (type == SNOWFLAKE_DATE && str_to_int64(cell, &day)) {
        char date[TIME_TEXT_BYTES];
        date_format((int32_t)day, date);
        return arena_copy_str(arena, str_from(date), ret_text, err);
    }
    // A key is the UUID that it is elsewhere.
    if (type == SNOWFLAKE_BINARY && hex_decode(cell, bytes, KEY_BYTES)) {
        uuid_format(bytes, text);
        return arena_copy_str(arena, str_from(text), ret_text, err);
    }
    if (type != SNOWFLAKE_TIMESTAMP || !snowflake_time_us(cell, &us))
        return true;
    const Civil at = civil_from_us(us);
    char fraction[16] = "";
    if (at.microsecond != 0) {
        int size = snprintf(fraction, sizeof(fraction), ".%06d", (int)at.microsecond);
        while (fraction[size - 1] == '0')
            fraction[--size] = '\0';
    }
    return arena_printf(arena, ret_text, err, "%04d-%02d-%02d %02d:%02d:%02d%s+00", at.year,
                        at.month, at.day, at.hour, at.minute, at.second, fraction);
}

typedef struct Showing {
    const SnowflakeResult *result;
    bool (*visit)(void *visitor, const Str *cells, size_t columns);
    void *visitor;
    Arena *arena;
} Showing;

static bool show_row(void *visitor, const Str *cells, size_t count, Error *err)
{
    Showing *showing = visitor;
    arena_reset(showing->arena);
    Str *shown = arena_alloc_array(showing->arena, count + 1, sizeof(*shown), err);
    TRY(shown != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(show_cell(showing->result->columns[i].type, cells[i], showing->arena, &shown[i], err));
    return showing->visit(showing->visitor, shown, count);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '$';
}

static bool has_word(Str sql, Str word)
{
    for (size_t i = 0; i + word.size <= sql.size; i++) {
        if (str_equal_ignoring_case(str_slice(sql, i, word.size), word) &&
            (i == 0 || !is_word(sql.data[i - 1])) &&
            (i + word.size == sql.size || !is_word(sql.data[i + word.size])))
            return true;
    }
    return false;
}

// Only what begins like a query, and lets nothing follow: one statement is run for a request
// (MULTI_STATEMENT_COUNT), but `->>` hands a result on to any other statement, and WITH ... AS
// PROCEDURE ... CALL runs whatever a procedure holds. Both are looked for in texts and comments
// too, so that no reading of quotes other than Snowflake's own opens a door.
static bool is_query(Str sql)
{
    static const char *const words[] = {"SELECT", "WITH",    "SHOW", "DESCRIBE",
                                        "DESC",   "EXPLAIN", "FROM"};
    sql = str_trim(sql);
    size_t size = 0;
    while (size < sql.size && is_word(sql.data[size]))
        size++;
    const Str first = str_slice(sql, 0, size);
    if (str_find(sql, STR("->>")) < sql.size ||
        (str_equal_ignoring_case(first, STR("WITH")) && has_word(sql, STR("PROCEDURE"))))
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_equal_ignoring_case(first, str_from(words[i])))
            return true;
    }
    return false;
}

static bool snowflake_query_text(void *state, Str sql,
                                 bool (*visit)(void *visitor, const Str *cells, size_t columns),
                                 void *visitor, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    if (!is_query(sql))
        return error_set(err, ERROR_JOB,
                         "only queries are run here: SELECT, WITH, SHOW, DESCRIBE; without ->> and "
                         "procedures");
    const SnowflakeStatement statement = {.sql = sql, .count = 1, .tag = db->tag};
    SnowflakeResult result = {0};
    TRY(snowflake_run(db->api, &statement, db->scratch, &result, err));
    CLEANUP(arena_freep) Arena *arena = arena_new(SNOWFLAKE_SCRATCH_BYTES_MAX, err);
    TRY(arena != NULL);
    Showing showing = {&result, visit, visitor, arena};
    return snowflake_rows(db->api, &result, show_row, &showing, err);
}

// Several statements as one transaction of one request. DDL among them commits what is before it.
static bool snowflake_execute(void *state, const char *what, const Str *statements, size_t count,
                              int64_t *ret_changed, Error *err)
{
    SnowflakeWarehouse *db = state;
    TRY(snowflake_begin_call(db, err));
    CLEANUP(snowflake_batch_done) SnowflakeBatch batch = {0};
    TRY(snowflake_lock_timeout(db, &batch, err) && buf_append(&batch.sql, STR("BEGIN"), err) &&
        snowflake_batch_end(&batch, err));
    const size_t first = batch.count;
    for (size_t i = 0; i < count; i++)
        TRY(buf_append(&batch.sql, statements[i], err) && snowflake_batch_end(&batch, err));
    TRY(buf_append(&batch.sql, STR("COMMIT"), err) && snowflake_batch_end(&batch, err));
    kill_point("execute, %s", what);
    SnowflakeResult result = {0};
    TRY(snowflake_batch_run(db, &batch, false, &result, err));
    kill_point("executed, %s", what);
    for (size_t i = 0; ret_changed != NULL && i < count; i++) {
        SnowflakeResult child = {0};
        TRY(snowflake_child(db->api, &result, first + i, db->scratch, &child, err) &&
            snowflake_changed(&child, &ret_changed[i], err));
    }
    return true;
}

const WarehouseDriver warehouse_snowflake = {
    .name = "snowflake",
    .summary = "Snowflake, over its SQL API and an external stage",
    .fields = snowflake_fields,
    .state_size = sizeof(SnowflakeWarehouse),
    .open = snowflake_open,
    .close = snowflake_close,
    .idle = snowflake_idle,
    .prepare = snowflake_prepare,
    .create_views = snowflake_create_views,
    .check = snowflake_check,
    .promote = snowflake_promote,
    .may_load = snowflake_may_load,
    .usage = snowflake_tell_usage,
    .mark = snowflake_mark,
    .is_shared = snowflake_is_shared,
    .logs_once_a_run = true,
    .load_begin = snowflake_load_begin,
    .load_match = snowflake_load_match,
    .load_write = snowflake_load_write,
    .load_write_quarantine = snowflake_load_write_quarantine,
    .load_mark_deleted = snowflake_load_mark_deleted,
    .load_commit = snowflake_load_commit,
    .load_abort = snowflake_load_abort,
    .window_keys = snowflake_window_keys,
    .read_watermarks = snowflake_read_watermarks,
    .read_slices = snowflake_read_slices,
    .has_load = snowflake_has_load,
    .set_watermark = snowflake_set_watermark,
    .use_stage = snowflake_use_stage,
    .use_secrets = snowflake_use_secrets,
    .name_run = snowflake_name_run,
    .append_log = snowflake_append_log,
    .query = snowflake_query_text,
    .dialect = &sql_dialect_snowflake,
    .execute = snowflake_execute,
    .settle = snowflake_settle,
};
