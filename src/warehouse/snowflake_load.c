// A load: nothing is open in Snowflake between begin() and commit(), since a transaction lives
// within one request. What a load was decided on is checked again inside of it.
#include "warehouse/snowflake_state.h"

#include <assert.h>

// QUERY_TAG of all statements from now on: QUERY_HISTORY tells a run's from another's.
bool snowflake_name_run(void *state, Str run, Str job, Str mode, Error *err)
{
    SnowflakeWarehouse *db = state;
    Str tag = {0};
    if (str_equal(db->tagged_run, run))
        return true;
    TRY(arena_copy_str(db->lasting, run, &db->tagged_run, err));
    TRY(arena_printf(db->lasting, &tag, err, "pawl run=" STR_FMT " job=" STR_FMT " mode=" STR_FMT,
                     STR_ARG(run), STR_ARG(job), STR_ARG(mode)));
    db->tag = tag;
    return true;
}

static bool name_load(SnowflakeWarehouse *db, const LoadSpec *spec, SnowflakeLoad *load, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(db->env, id);
    TRY(arena_printf(db->loading, &load->id, err, STR_FMT "/" STR_FMT "/%u", STR_ARG(spec->run),
                     STR_ARG(spec->stream), spec->ordinal));
    // Streams may be called anything; a file of the stage may not. No folder of its own: where
    // folders are things (hierarchical namespace) an empty one would stay for each load.
    TRY(arena_copy_str(db->loading, str_from(id), &load->files, err));
    TRY(sql_target(db->loading, spec->table, &load->target, err));
    return snowflake_name_run(db, spec->run, spec->job, spec->mode, err);
}

static bool judge_standing(SnowflakeWarehouse *db, const LoadSpec *spec,
                           const SnowflakeStanding *standing, bool *ret_loaded, Error *err)
{
    if (standing->epoch > (int64_t)spec->epoch)
        return warehouse_turned_away(spec, standing->epoch, err);
    *ret_loaded = standing->checksum.data != NULL;
    if (!*ret_loaded)
        return true;
    char wanted[2 * SHA256_BYTES + 1];
    hex_encode(spec->checksum.bytes, SHA256_BYTES, wanted);
    return str_equal(standing->checksum, str_from(wanted)) ||
           error_set(err, ERROR_DATA,
                     "load " STR_FMT ": it is in the ledger with another content (checksum %.8s "
                     "there, %.8s here)",
                     STR_ARG(db->load.id), standing->checksum.data, wanted);
}

bool snowflake_load_begin(void *state, const LoadSpec *spec, bool *ret_loaded, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec == NULL);
    assert(spec->epoch <= INT64_MAX);
    TRY(snowflake_begin_call(db, err));
    arena_reset(db->loading);
    memset(&db->load, 0, sizeof(db->load));
    db->load.now_us = db->env->now_us(db->env->state);
    TRY(name_load(db, spec, &db->load, err));
    SnowflakeStanding standing = {0};
    bool loaded = false;
    TRY(snowflake_read_standing(db, spec, &standing, err) &&
        judge_standing(db, spec, &standing, &loaded, err));
    if (!loaded) {
        db->load.spec = spec;
        db->load.version = standing.version;
    } else if (standing.epoch < (int64_t)spec->epoch) {
        // The epoch stays, so that the run before this one is shut out from now on.
        TRY(snowflake_write_epoch(db, spec, err));
    }
    *ret_loaded = loaded;
    return true;
}

void snowflake_load_abort(void *state)
{
    SnowflakeWarehouse *db = state;
    if (db->load.spec == NULL)
        return;
    snowflake_remove_staged(db);
    duck_close(&db->duck);
    db->load.spec = NULL;
}

// (SELECT <columns> FROM @stage/path)
static bool append_staged_keys(SnowflakeWarehouse *db, Str path, Buf *sql, Error *err)
{
    return buf_printf(sql, err,
                      "(SELECT $1:\"POSITION\"::NUMBER(19,0) AS \"POSITION\","
                      " TO_BINARY($1:\"ROW_KEY\"::VARCHAR, 'HEX') AS \"ROW_KEY\" FROM @" STR_FMT
                      "/" STR_FMT ")",
                      STR_ARG(db->stage.name), STR_ARG(path));
}

typedef struct Matching {
    MatchedRow *rows;
    size_t count;
} Matching;

static bool take_match(void *visitor, const Str *cells, size_t count, Error *err)
{
    Matching *matching = visitor;
    int64_t position = 0;
    assert(count == 4);
    (void)count;
    if (!str_to_int64(cells[0], &position) || position < 0 || (size_t)position >= matching->count)
        return error_set(err, ERROR_DATA, "snowflake: a match without its position");
    MatchedRow row = {.found = true, .deleted = str_equal(cells[3], STR("true"))};
    if (cells[2].data == NULL)
        row.fetched_us = INT64_MIN;
    if ((cells[1].data != NULL && !hex_decode(cells[1], row.hash.bytes, KEY_BYTES)) ||
        (cells[2].data != NULL && !snowflake_time_us(cells[2], &row.fetched_us)))
        return error_set(err, ERROR_DATA, "snowflake: a row with an odd _row_hash or _fetched_at");
    matching->rows[position] = row;
    return true;
}

bool snowflake_load_match(void *state, const Key128 *keys, size_t count, MatchedRow *ret_rows,
                          Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.spec != NULL);
    TRY(snowflake_begin_call(db, err));
    memset(ret_rows, 0, count * sizeof(*ret_rows));
    if (count == 0)
        return true;
    TRY(env_check_stop(db->env, err));
    Str path = {0};
    TRY(snowflake_put_keys(db, keys, count, &path, err));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql,
                   STR("SELECT k.\"POSITION\", t.\"_ROW_HASH\", t.\"_FETCHED_AT\","
                       " t.\"_DELETED_AT\" IS NOT NULL AS \"DELETED\" FROM "),
                   err) &&
        snowflake_table(&sql, db->load.spec->table, "", err) &&
        buf_append(&sql, STR(" AS t JOIN "), err) && append_staged_keys(db, path, &sql, err) &&
        buf_append(&sql, STR(" AS k ON t.\"_ROW_KEY\" = k.\"ROW_KEY\""), err));
    Matching matching = {ret_rows, count};
    return snowflake_query(db, &sql, take_match, &matching, err);
}

bool snowflake_load_write(void *state, RowSource *source, Error *err)
{
    SnowflakeWarehouse *db = state;
    assert(db->load.rows.size == 0);
    TRY(snowflake_begin_call(db, err));
    int64_t rows = 0;
    TRY(snowflake_put_source(db, source, &db->load.rows, &rows, err));
    if (rows != (int64_t)source->rows_total)
        return error_set(err, ERROR_DATA, "load " STR_FMT ": %lld rows came, %zu were announced",
                         STR_ARG(db->load.id), (long long)rows, source->rows_total);
    db->load.row_count = rows;
    return true;
}

bool snowflake_load_write_quarantine(void *state, struct ArrowArray *array, Error *err)
{
    SnowflakeWarehouse *db = state;
    SnowflakeLoad *load = &db->load;
    TRY(snowflake_begin_call(db, err));
    int64_t rows = 0;
    if (load->quarantine_count == SNOWFLAKE_STAGED_MAX)
        return error_set(err, ERROR_LIMIT, "load " STR_FMT ": more than %d quarantine files",
                         STR_ARG(load->id), SNOWFLAKE_STAGED_MAX);
    TRY(snowflake_put_array(db, array, &load->quarantine[load->quarantine_count], &rows, err));
    load->quarantine_count++;
    load->quarantined += rows;
    return true;
}

static bool take_number(void *visitor, const Str *cells, size_t count, Error *err)
{
    assert(count == 1);
    (void)count;
    return str_to_int64(cells[0], visitor) ||
           error_set(err, ERROR_DATA, "snowflake: a count that is no number");
}

// Counted now, marked within the transaction.
bool snowflake_load_mark_deleted(void *state, const Key128 *keys, size_t count, int64_t fetched_us,
                                 int64_t *ret_marked, Error *err)
{
    SnowflakeWarehouse *db = state;
    SnowflakeLoad *load = &db->load;
    TRY(snowflake_begin_call(db, err));
    if (count == 0) {
        *ret_marked = 0;
        return true;
    }
    SnowflakeGone *gone = arena_alloc(db->loading, sizeof(*gone), err);
    Key128 *copy = arena_alloc_array(db->loading, count, sizeof(*copy), err);
    TRY(gone != NULL && copy != NULL);
    memcpy(copy, keys, count * sizeof(*copy));
    Str path = {0};
    TRY(snowflake_put_keys(db, keys, count, &path, err));
    CLEANUP(buf_done) Buf sql = {0};
    int64_t marked = 0;
    TRY(buf_append(&sql, STR("SELECT COUNT(*) AS \"N\" FROM "), err) &&
        snowflake_table(&sql, load->spec->table, "", err) &&
        buf_append(&sql, STR(" AS t JOIN "), err) && append_staged_keys(db, path, &sql, err) &&
        buf_append(&sql,
                   STR(" AS k ON t.\"_ROW_KEY\" = k.\"ROW_KEY\" WHERE t.\"_DELETED_AT\" IS NULL"
                       " AND (t.\"_FETCHED_AT\" IS NULL OR t.\"_FETCHED_AT\" <= "),
                   err) &&
        snowflake_literal_time(&sql, fetched_us, err) && buf_append_char(&sql, ')', err));
    TRY(snowflake_query(db, &sql, take_number, &marked, err));
    *gone =
        (SnowflakeGone){.keys = copy, .count = count, .fetched_us = fetched_us, .next = load->gone};
    load->gone = gone;
    load->gone_count += count;
    *ret_marked = marked;
    return true;
}

// --- the end

// Another load came between. Whether it touched what this one was decided on is asked; if not, this
// one may go on from the version that stands now.
static bool judge_other_loads(SnowflakeWarehouse *db, const SnowflakeStanding *standing, Error *err)
{
    const SnowflakeLoad *load = &db->load;
    for (size_t i = 0; i < load->key_count; i++) {
        CLEANUP(buf_done) Buf sql = {0};
        int64_t touched = 0;
        TRY(buf_append(&sql, STR("SELECT COUNT(*) AS \"N\" FROM "), err) &&
            snowflake_table(&sql, load->spec->table, "", err) &&
            buf_append(&sql, STR(" AS t JOIN "), err) &&
            append_staged_keys(db, load->keys[i], &sql, err) &&
            snowflake_own(db, &sql,
                          " AS k ON t.\"_ROW_KEY\" = k.\"ROW_KEY\" WHERE t.\"_LOAD_ID\" IN"
                          " (SELECT \"LOAD_ID\" FROM @\"PAWL_LOAD\" WHERE \"TARGET\" = ",
                          err) &&
            snowflake_literal(&sql, load->target, err) &&
            buf_printf(&sql, err, " AND \"TABLE_VERSION\" > %lld)", (long long)load->version));
        TRY(snowflake_query(db, &sql, take_number, &touched, err));
        if (touched > 0)
            return error_set(err, ERROR_CONFLICT,
                             "load " STR_FMT ": another load changed %lld of its rows meanwhile",
                             STR_ARG(load->id), (long long)touched);
    }
    db->load.version = standing->version;
    return true;
}

// Why the transaction did nothing: it had happened before (*ret_loaded), somebody took over, or the
// table has another version than when the load began.
static bool look_again(SnowflakeWarehouse *db, bool *ret_loaded, Error *err)
{
    const LoadSpec *spec = db->load.spec;
    bool *skipped = arena_alloc_array(db->scratch, spec->slice_count + 1, sizeof(bool), err);
    TRY(skipped != NULL);
    for (size_t i = 0; i < spec->slice_count; i++)
        skipped[i] = spec->slices[i].skipped;
    SnowflakeStanding standing = {0};
    TRY(snowflake_read_standing(db, spec, &standing, err) &&
        judge_standing(db, spec, &standing, ret_loaded, err));
    for (size_t i = 0; i < spec->slice_count; i++) {
        if (spec->slices[i].skipped != skipped[i] && !*ret_loaded)
            return error_set(err, ERROR_CONFLICT,
                             "load " STR_FMT ": a later reading of one of its windows came in",
                             STR_ARG(db->load.id));
        spec->slices[i].skipped = skipped[i];
    }
    return *ret_loaded || judge_other_loads(db, &standing, err);
}

bool snowflake_load_commit(void *state, const LoadCommit *commit, Error *err)
{
    enum { ATTEMPTS = 5 };
    SnowflakeWarehouse *db = state;
    const LoadSpec *spec = db->load.spec;
    TRY(snowflake_begin_call(db, err));
    TRY(env_check_stop(db->env, err));
    TRY(snowflake_stage_load(db, commit, err));
    bool done = false;
    for (int attempt = 1; !done; attempt++) {
        kill_point("commit, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
        if (!snowflake_run_transaction(db, commit, &done, err))
            return error_context(err, "load " STR_FMT, STR_ARG(db->load.id));
        if (done)
            break;
        TRY(look_again(db, &done, err));
        if (attempt == ATTEMPTS && !done)
            return error_set(err, ERROR_CONFLICT,
                             "load " STR_FMT ": other loads came between, %d"
                             " times",
                             STR_ARG(db->load.id), ATTEMPTS);
    }
    kill_point("committed, " STR_FMT " load %u", STR_ARG(spec->stream), spec->ordinal);
    snowflake_drop_staging(db);
    snowflake_shorten_state(db);
    snowflake_load_abort(db); // what is left of it
    snowflake_note_usage(db);
    return true;
}
