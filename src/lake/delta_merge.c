// The merge: which files may hold the keys of a load, what becomes of each row, which files are
// written anew, and one commit for all of it.
#include "duck/arrow.h"
#include "lake/delta_parts.h"

#include <assert.h>
#include <stdio.h>

enum {
    ATTEMPTS_MAX = 100, // each lost one is another writer's success
    DRIVER_COLUMNS = 4,
    CALL_BYTES = 16 * 1024 * 1024,
};

static const Column driver_columns[DRIVER_COLUMNS] = {
    {.name = {"_run_id", 7}, .type = COLUMN_STRING, .comment = {"run that wrote the row", 22}},
    {.name = {"_load_id", 8}, .type = COLUMN_STRING, .comment = {"load that wrote the row", 23}},
    {.name = {"_loaded_at", 10}, .type = COLUMN_TIMESTAMP, .comment = {"when it was written", 19}},
    {.name = {"_deleted_at", 11},
     .type = COLUMN_TIMESTAMP,
     .comment = {"when the source was found without it", 36}},
};

typedef enum Fate { FATE_LEFT, FATE_NEW, FATE_CHANGED } Fate;

// A key that is asked about: a row of the load, or one that vanished.
typedef struct Asked {
    const Key128 *key;
    int64_t fetched_us;  // of the row; of the reading that found it gone
    uint32_t block, row; // of a row
    unsigned char fate;  // of a row: Fate
    bool vanished;
    bool found, deleted; // stored; of several the freshest
    int64_t stored_us;
    Key128 hash;
    const Key128 *only_hash; // of a row to be erased; NULL = any
} Asked;

// Key `asked` stands in file `file`.
typedef struct Match {
    uint32_t asked, file;
    bool live;
    int64_t fetched_us;
} Match;

typedef struct Merge {
    Delta *delta;
    const DeltaLoad *load; // NULL: erase
    DeltaTable *table;
    DeltaReport report;
    Str label;
    Str app;
    Str load_id;
    Column *columns; // of the load, and the driver's
    size_t column_count;

    // of the attempt in hand
    bool *skipped;
    Asked *asked; // rows first, then the vanished
    size_t asked_count, row_count;
    Match *matches;
    size_t match_count, match_room;
    bool *looked; // of each file of the log: may hold one of our keys
    size_t looked_count;
    bool *touched; // of each file of the log: is written anew
    DeltaAdd *adds;
    size_t add_count;
    uint32_t *removes;
    size_t remove_count;
    DeltaBox *box;
    int64_t seen_version; // of the log that all this was made from
    Arena *call;          // what all attempts share
    Str schema_json;      // with our columns
    bool schema_changed;
    DeltaSchema schema;
} Merge;

// --- what is asked

static bool collect(Merge *merge, Error *err)
{
    const DeltaLoad *load = merge->load;
    size_t room = 0;
    for (size_t i = 0; i < load->rows_count; i++)
        room += load->rows[i].count;
    for (size_t i = 0; i < load->slice_count; i++)
        room += load->slices[i].vanished_count;
    merge->asked = arena_alloc_array(merge->delta->work, room + 1, sizeof(Asked), err);
    TRY(merge->asked != NULL);
    merge->asked_count = 0;
    for (size_t b = 0; b < load->rows_count; b++) {
        const DeltaRows *rows = &load->rows[b];
        for (size_t i = 0; i < rows->count && !merge->skipped[rows->slice]; i++) {
            const uint32_t row = rows->rows[i];
            merge->asked[merge->asked_count++] = (Asked){.key = &rows->keys[row],
                                                         .fetched_us = rows->fetched_us[row],
                                                         .block = (uint32_t)b,
                                                         .row = row};
        }
    }
    merge->row_count = merge->asked_count;
    for (size_t s = 0; s < load->slice_count; s++) {
        const DeltaSlice *slice = &load->slices[s];
        for (size_t i = 0; i < slice->vanished_count && !merge->skipped[s]; i++)
            merge->asked[merge->asked_count++] = (Asked){
                .key = &slice->vanished[i], .fetched_us = slice->fetched_us, .vanished = true};
    }
    return true;
}

static bool make_box(Merge *merge, Error *err)
{
    enum { KEY_COLUMNS_MAX = 8 };
    const DeltaTableSpec *spec = &merge->load->table;
    DeltaBoxColumn columns[KEY_COLUMNS_MAX];
    size_t count = 0;
    for (size_t k = 0; k < spec->key_count && count < KEY_COLUMNS_MAX; k++) {
        for (size_t i = 0; i < spec->column_count; i++) {
            if (!str_equal(spec->columns[i].name, spec->key_columns[k]))
                continue;
            columns[count++] = (DeltaBoxColumn){
                .name = spec->columns[i].name, .index = i, .type = spec->columns[i].type};
            break;
        }
    }
    DeltaBoxRow *rows =
        arena_alloc_array(merge->delta->work, merge->row_count + 1, sizeof(*rows), err);
    TRY(rows != NULL);
    for (size_t i = 0; i < merge->row_count; i++)
        rows[i] =
            (DeltaBoxRow){merge->load->rows[merge->asked[i].block].array, merge->asked[i].row};
    return delta_box_new(columns, count, rows, merge->row_count, merge->delta->work, &merge->box,
                         err);
}

static bool may_hold(const Merge *merge, yyjson_val *stats)
{
    if (merge->load == NULL || delta_box_may_meet(merge->box, stats))
        return true;
    for (size_t i = 0; i < merge->load->slice_count; i++) {
        const DeltaSlice *slice = &merge->load->slices[i];
        if (slice->vanished_count == 0 || merge->skipped[i])
            continue;
        if (merge->load->table.window_column.size == 0 ||
            (slice->vanished_from_us == 0 && slice->vanished_to_us == 0) ||
            delta_stats_may_hold_time(stats, merge->load->table.window_column,
                                      slice->vanished_from_us, slice->vanished_to_us))
            return true;
    }
    return false;
}

// Stats are a help: a file whose stats cannot be read may hold anything.
static bool file_may_hold(const Merge *merge, const DeltaFile *file, bool *ret_may, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(DELTA_COMMIT_BYTES_MAX, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    Error broken = {0};
    const bool told =
        file->stats.size > 0 && json_parse(file->stats, "stats", arena, &doc, &broken);
    *ret_may = may_hold(merge, told ? yyjson_doc_get_root(doc) : NULL);
    return true;
}

static bool choose_files(Merge *merge, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    merge->looked = arena_alloc(merge->delta->work, log->file_count + 1, err);
    merge->touched = arena_alloc(merge->delta->work, log->file_count + 1, err);
    TRY(merge->looked != NULL && merge->touched != NULL);
    merge->looked_count = log->file_count;
    for (size_t i = 0; i < log->file_count; i++) {
        if (log->files[i].live)
            TRY(file_may_hold(merge, &log->files[i], &merge->looked[i], err));
    }
    return true;
}

// --- matching

typedef enum KeyChoice { KEYS_ALL, KEYS_GONE, KEYS_MARKED } KeyChoice;

typedef struct KeyFeed {
    const Merge *merge;
    KeyChoice choice;
    size_t next;
} KeyFeed;

static const DuckColumn key_columns[] = {{.name = "position", .type = DUCKDB_TYPE_BIGINT},
                                         {.name = "key", .type = DUCKDB_TYPE_UUID},
                                         {.name = "fetched", .type = DUCKDB_TYPE_TIMESTAMP_TZ}};

static bool is_chosen(const KeyFeed *feed, const Asked *asked)
{
    switch (feed->choice) {
    case KEYS_ALL:
        return true;
    case KEYS_GONE:
        return feed->merge->load == NULL ? asked->found
                                         : !asked->vanished && asked->fate == FATE_CHANGED;
    case KEYS_MARKED:
        return asked->vanished;
    }
    return false;
}

static bool fill_keys(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    (void)err;
    KeyFeed *feed = state;
    int64_t *positions = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    duckdb_hugeint *keys = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    int64_t *times = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
    size_t rows = 0;
    for (; rows < DUCK_VECTOR_ROWS && feed->next < feed->merge->asked_count; feed->next++) {
        const Asked *asked = &feed->merge->asked[feed->next];
        if (!is_chosen(feed, asked))
            continue;
        positions[rows] = (int64_t)feed->next;
        keys[rows] = duck_uuid(asked->key->bytes);
        times[rows++] = asked->fetched_us;
    }
    *ret_rows = rows;
    return true;
}

static bool run_with_keys(Merge *merge, KeyChoice choice, const char *sql, const DuckValue *values,
                          size_t value_count, Error *err)
{
    KeyFeed feed = {.merge = merge, .choice = choice};
    const DuckRows rows = {.columns = key_columns,
                           .column_count = sizeof(key_columns) / sizeof(key_columns[0]),
                           .rows_total = merge->asked_count,
                           .fill = fill_keys,
                           .state = &feed};
    const DuckStatement statement = {
        .sql = sql, .values = values, .value_count = value_count, .rows = &rows};
    return duck_run(&merge->delta->duck, &statement, NULL, err);
}

typedef struct Visit {
    Merge *merge;
    uint32_t file;
} Visit;

static bool add_match(Merge *merge, const Match *match, Error *err)
{
    if (merge->match_count == merge->match_room) {
        const size_t room = merge->match_room == 0 ? 1024 : merge->match_room * 2;
        Match *matches = arena_alloc_array(merge->delta->work, room, sizeof(*matches), err);
        TRY(matches != NULL);
        if (merge->match_count > 0)
            memcpy(matches, merge->matches, merge->match_count * sizeof(*matches));
        merge->matches = matches;
        merge->match_room = room;
    }
    merge->matches[merge->match_count++] = *match;
    return true;
}

static bool take_matches(void *visitor, duckdb_data_chunk chunk, Error *err)
{
    Visit *visit = visitor;
    for (size_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        Asked *asked = &visit->merge->asked[duck_get_int64(chunk, 0, i)];
        Str hash = {0};
        if (!duck_is_null(chunk, 1, i))
            hash = duck_get_text(chunk, 1, i);
        // A row without a time was written by nobody we know: whatever we have is fresher.
        const int64_t fetched_us =
            duck_is_null(chunk, 2, i) ? INT64_MIN : duck_get_int64(chunk, 2, i);
        const Match match = {.asked = (uint32_t)(asked - visit->merge->asked),
                             .file = visit->file,
                             .live = !duck_get_bool(chunk, 3, i),
                             .fetched_us = fetched_us};
        if (asked->only_hash != NULL &&
            !str_equal(hash, (Str){(const char *)asked->only_hash->bytes, KEY_BYTES}))
            continue;
        TRY(add_match(visit->merge, &match, err));
        if (asked->found && fetched_us < asked->stored_us)
            continue;
        asked->found = true;
        asked->deleted = !match.live;
        asked->stored_us = fetched_us;
        asked->hash = (Key128){{0}};
        if (hash.size == KEY_BYTES)
            memcpy(asked->hash.bytes, hash.data, KEY_BYTES);
    }
    return true;
}

static bool match_file(Merge *merge, uint32_t index, Error *err)
{
    // What is in the file now; columns that it lacks are null.
    static const DeltaField wanted[] = {
        {.name = {"_row_key", 8}, .duck = "BLOB"},
        {.name = {"_row_hash", 9}, .duck = "BLOB"},
        {.name = {"_fetched_at", 11}, .duck = "TIMESTAMP WITH TIME ZONE"},
        {.name = {"_deleted_at", 11}, .duck = "TIMESTAMP WITH TIME ZONE"}};
    DeltaField fields[sizeof(wanted) / sizeof(wanted[0])];
    memcpy(fields, wanted, sizeof(wanted));
    const DeltaSchema schema = {.fields = fields, .count = sizeof(wanted) / sizeof(wanted[0])};
    const char *local = NULL;
    TRY(env_check_stop(merge->delta->env, err));
    TRY(delta_local_copy(merge->delta, merge->table, &merge->table->log.files[index], &local, err));
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql,
                   STR("SELECT r.position, t._row_hash, epoch_us(t._fetched_at),"
                       " t._deleted_at IS NOT NULL FROM ("),
                   err) &&
        delta_select_file(&schema, local, &sql, err) &&
        buf_append(&sql, STR(") AS t JOIN asked AS r ON t._row_key = r.key"), err) &&
        buf_append_char(&sql, '\0', err));
    Visit visit = {.merge = merge, .file = index};
    const DuckStatement query = {.sql = sql.data};
    return duck_query(&merge->delta->duck, &query, take_matches, &visit, err);
}

static bool match_all(Merge *merge, Error *err)
{
    merge->match_count = 0;
    if (merge->asked_count == 0)
        return true;
    TRY(run_with_keys(merge, KEYS_ALL,
                      "CREATE OR REPLACE TEMP TABLE asked AS SELECT position, key::BLOB AS key"
                      " FROM pawl_rows()",
                      NULL, 0, err));
    for (size_t i = 0; i < merge->looked_count; i++) {
        if (merge->looked[i])
            TRY(match_file(merge, (uint32_t)i, err));
    }
    return true;
}

// --- what becomes of them

static unsigned char fate_of(const Merge *merge, const Asked *asked)
{
    assert(merge->load != NULL); // an erasure has no rows
    if (!asked->found)
        return FATE_NEW;
    const Key128 *hash = &merge->load->rows[asked->block].hashes[asked->row];
    if (asked->fetched_us < asked->stored_us)
        return FATE_LEFT;
    if (!merge->load->rewrites && !asked->deleted && memcmp(hash, &asked->hash, sizeof(*hash)) == 0)
        return FATE_LEFT;
    return FATE_CHANGED;
}

static void decide(Merge *merge)
{
    DeltaReport *report = &merge->report;
    report->inserted = report->updated = report->unchanged = report->deleted = 0;
    for (size_t i = 0; i < merge->row_count; i++) {
        Asked *asked = &merge->asked[i];
        asked->fate = fate_of(merge, asked);
        report->inserted += asked->fate == FATE_NEW;
        report->updated += asked->fate == FATE_CHANGED;
        report->unchanged += asked->fate == FATE_LEFT;
    }
    for (size_t i = 0; i < merge->match_count; i++) {
        const Match *match = &merge->matches[i];
        const Asked *asked = &merge->asked[match->asked];
        const bool goes = merge->load == NULL || (asked->vanished && match->live &&
                                                  match->fetched_us <= asked->fetched_us);
        report->deleted += goes;
        if (goes || (!asked->vanished && asked->fate == FATE_CHANGED))
            merge->touched[match->file] = true;
    }
}

// --- new files

// The rows that go in, as chunks: some of each array, in order.
typedef struct RowFeed {
    const Merge *merge;
    size_t next; // in asked
} RowFeed;

static bool fill_rows(void *state, duckdb_data_chunk chunk, size_t *ret_rows, Error *err)
{
    RowFeed *feed = state;
    const Merge *merge = feed->merge;
    const DeltaTableSpec *spec = &merge->load->table;
    uint32_t rows[DUCK_VECTOR_ROWS];
    size_t filled = 0;
    TRY(env_check_stop(merge->delta->env, err));
    while (filled < DUCK_VECTOR_ROWS && feed->next < merge->row_count) {
        const uint32_t block = merge->asked[feed->next].block;
        size_t count = 0;
        for (; feed->next < merge->row_count && merge->asked[feed->next].block == block &&
               filled + count < DUCK_VECTOR_ROWS;
             feed->next++) {
            if (merge->asked[feed->next].fate != FATE_LEFT)
                rows[count++] = merge->asked[feed->next].row;
        }
        const DuckRange range = {merge->load->rows[block].array, rows, 0, count};
        if (count > 0)
            TRY(duck_fill(chunk, filled, spec->columns, spec->column_count, &range, err));
        filled += count;
    }
    *ret_rows = filled;
    return true;
}

// Nothing vanished most of the time: then nothing is joined.
static bool has_marks(const Merge *merge)
{
    return merge->load != NULL && merge->asked_count > merge->row_count;
}

// `t` with what vanished marked; t holds all of `schema`.
static bool select_marked(const Merge *merge, const DeltaSchema *schema, Buf *sql, Error *err)
{
    static const struct {
        Str name;
        const char *marked;
    } marks[] = {{{"_deleted_at", 11}, "m.fetched"},
                 {{"_fetched_at", 11}, "m.fetched"},
                 {{"_run_id", 7}, "m.run"},
                 {{"_load_id", 8}, "m.load"},
                 {{"_loaded_at", 10}, "m.now"}};
    for (size_t i = 0; i < schema->count; i++) {
        const char *marked = NULL;
        for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++) {
            if (str_equal(schema->fields[i].name, marks[k].name))
                marked = marks[k].marked;
        }
        TRY(i == 0 || buf_append(sql, STR(", "), err));
        if (marked != NULL && has_marks(merge))
            TRY(buf_printf(sql, err, "CASE WHEN m.key IS NOT NULL THEN %s ELSE t.", marked) &&
                delta_sql_name(schema->fields[i].name, sql, err) &&
                buf_append(sql, STR(" END AS "), err) &&
                delta_sql_name(schema->fields[i].name, sql, err));
        else
            TRY(buf_append(sql, STR("t."), err) &&
                delta_sql_name(schema->fields[i].name, sql, err));
    }
    return true;
}

static const char join_marks[] = " AS t LEFT JOIN marks AS m ON t._row_key = m.key"
                                 " AND t._deleted_at IS NULL AND t._fetched_at <= m.fetched";

// Keys that go from the files that have them, and marks for those that vanished.
static bool make_tables(Merge *merge, Error *err)
{
    TRY(run_with_keys(
        merge, KEYS_GONE,
        "CREATE OR REPLACE TEMP TABLE gone AS SELECT key::BLOB AS key FROM pawl_rows()", NULL, 0,
        err));
    if (!has_marks(merge))
        return true;
    const DuckValue values[] = {duck_text(merge->load->run), duck_text(merge->load_id),
                                duck_time(delta_now_ms(merge->delta) * 1000)};
    return run_with_keys(merge, KEYS_MARKED,
                         "CREATE OR REPLACE TEMP TABLE marks AS SELECT key::BLOB AS key,"
                         " min(fetched) AS fetched, ?::VARCHAR AS run, ?::VARCHAR AS load,"
                         " ?::TIMESTAMPTZ AS now FROM pawl_rows() GROUP BY ALL",
                         values, 3, err);
}

// The rows of the load as the table has them, before marks. `values` gets what its ? stand for, in
// the order in which the schema has them, which need not be ours.
static bool select_new(const Merge *merge, Buf *sql, DuckValue values[DRIVER_COLUMNS],
                       size_t *ret_count, Error *err)
{
    const DeltaTableSpec *spec = &merge->load->table;
    const struct {
        Str name;
        DuckValue value;
    } ours[] = {{STR("_run_id"), duck_text(merge->load->run)},
                {STR("_load_id"), duck_text(merge->load_id)},
                {STR("_loaded_at"), duck_time(delta_now_ms(merge->delta) * 1000)}};
    size_t count = 0;
    TRY(buf_append(sql, STR("SELECT "), err));
    for (size_t i = 0; i < merge->schema.count; i++) {
        const DeltaField *field = &merge->schema.fields[i];
        bool given = false;
        TRY(buf_append(sql, i == 0 ? STR("CAST(") : STR(", CAST("), err));
        for (size_t k = 0; k < spec->column_count && !given; k++)
            given = str_equal_ignoring_case(spec->columns[k].name, field->name);
        const size_t before = count;
        for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++) {
            if (str_equal(ours[k].name, field->name))
                values[count++] = ours[k].value;
        }
        if (given)
            TRY(buf_append(sql, STR("p."), err) && delta_sql_name(field->name, sql, err));
        else
            TRY(buf_append(sql, count > before ? STR("?") : STR("NULL"), err));
        TRY(buf_printf(sql, err, " AS %s) AS ", field->duck) &&
            delta_sql_name(field->name, sql, err));
    }
    *ret_count = count;
    return buf_append(sql, STR(" FROM pawl_rows() AS p"), err);
}

static bool write_file(Merge *merge, const DuckStatement *select, DeltaAdd *ret_add, Error *err)
{
    const DeltaWrite write = {.select = select,
                              .schema = &merge->schema,
                              .label = merge->label,
                              .number = merge->add_count};
    return delta_write_file(merge->delta, merge->table, &write, ret_add, err);
}

static bool write_new(Merge *merge, Error *err)
{
    if (merge->report.inserted + merge->report.updated == 0)
        return true;
    const DeltaTableSpec *spec = &merge->load->table;
    DuckColumn *columns = NULL;
    TRY(duck_columns(spec->columns, spec->column_count, merge->delta->work, &columns, err));
    RowFeed feed = {.merge = merge};
    const DuckRows rows = {.columns = columns,
                           .column_count = spec->column_count,
                           .rows_total = (size_t)(merge->report.inserted + merge->report.updated),
                           .fill = fill_rows,
                           .state = &feed};
    CLEANUP(buf_done) Buf sql = {0};
    DuckValue values[DRIVER_COLUMNS];
    size_t value_count = 0;
    TRY(buf_append(&sql, STR("SELECT "), err) && select_marked(merge, &merge->schema, &sql, err) &&
        buf_append(&sql, STR(" FROM ("), err) &&
        select_new(merge, &sql, values, &value_count, err) && buf_append_char(&sql, ')', err) &&
        buf_append(&sql, has_marks(merge) ? str_from(join_marks) : STR(" AS t"), err) &&
        buf_append_char(&sql, '\0', err));
    const DuckStatement select = {
        .sql = sql.data, .values = values, .value_count = value_count, .rows = &rows};
    DeltaAdd add = {0};
    TRY(write_file(merge, &select, &add, err));
    merge->adds[merge->add_count++] = add;
    return true;
}

static bool write_anew(Merge *merge, uint32_t index, Error *err)
{
    const char *local = NULL;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(env_check_stop(merge->delta->env, err));
    TRY(delta_local_copy(merge->delta, merge->table, &merge->table->log.files[index], &local, err));
    TRY(buf_append(&sql, STR("SELECT "), err) && select_marked(merge, &merge->schema, &sql, err) &&
        buf_append(&sql, STR(" FROM ("), err) &&
        delta_select_file(&merge->schema, local, &sql, err) && buf_append_char(&sql, ')', err) &&
        buf_append(&sql, has_marks(merge) ? str_from(join_marks) : STR(" AS t"), err) &&
        buf_append(&sql, STR(" ANTI JOIN gone AS g ON t._row_key = g.key"), err) &&
        buf_append_char(&sql, '\0', err));
    const DuckStatement select = {.sql = sql.data};
    DeltaAdd add = {0};
    TRY(write_file(merge, &select, &add, err));
    if (add.rows > 0)
        merge->adds[merge->add_count++] = add;
    merge->removes[merge->remove_count++] = index;
    return true;
}

static bool write_files(Merge *merge, Error *err)
{
    const size_t files = merge->looked_count;
    merge->adds = arena_alloc_array(merge->delta->work, files + 2, sizeof(DeltaAdd), err);
    merge->removes = arena_alloc_array(merge->delta->work, files + 1, sizeof(uint32_t), err);
    TRY(merge->adds != NULL && merge->removes != NULL);
    merge->add_count = merge->remove_count = 0;
    TRY(make_tables(merge, err));
    if (merge->load != NULL)
        TRY(write_new(merge, err));
    for (size_t i = 0; i < files; i++) {
        if (merge->touched[i])
            TRY(write_anew(merge, (uint32_t)i, err));
    }
    return true;
}

// --- one attempt

static bool fit_schema(Merge *merge, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    if (!delta_schema_extend(log->schema_json, merge->columns, merge->column_count,
                             merge->delta->work, &merge->schema_json, &merge->schema_changed, err))
        return error_context(err, "lake table " STR_FMT, STR_ARG(merge->table->folder));
    TRY(delta_schema_read(merge->schema_json, merge->delta->work, &merge->schema, err));
    if (merge->load != NULL)
        delta_bound_keys(&merge->schema, &merge->load->table);
    return true;
}

// Slices of which later readings are in, in the warehouse or only here yet.
static bool find_skipped(const Merge *merge, bool **ret_skipped, Error *err)
{
    const DeltaLoad *load = merge->load;
    bool *skipped = arena_alloc_array(merge->delta->work, load->slice_count + 1, sizeof(bool), err);
    TRY(skipped != NULL);
    for (size_t i = 0; i < load->slice_count; i++)
        skipped[i] = load->slices[i].skipped;
    TRY(delta_note_overtaken(merge->delta, merge->table, load, skipped, err));
    *ret_skipped = skipped;
    return true;
}

// Everything from the log as it is now to files that wait for their commit.
static bool make(Merge *merge, Error *err)
{
    arena_reset(merge->delta->work);
    merge->seen_version = merge->table->log.version;
    merge->matches = NULL;
    merge->match_room = 0;
    TRY(fit_schema(merge, err));
    if (merge->load != NULL)
        TRY(find_skipped(merge, &merge->skipped, err) && collect(merge, err) &&
            make_box(merge, err));
    TRY(choose_files(merge, err) && match_all(merge, err));
    decide(merge);
    return write_files(merge, err);
}

// What came between does not matter when it brought no other schema, took none of the files that we
// looked into, added none that may hold our keys, and was no later reading of our windows.
static bool still_holds(const Merge *merge, bool *ret_holds, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    bool holds = log->metadata_version <= merge->seen_version &&
                 log->protocol_version <= merge->seen_version;
    for (size_t i = 0; holds && i < log->file_count; i++) {
        const DeltaFile *file = &log->files[i];
        bool meets = i < merge->looked_count && merge->looked[i];
        if (file->version <= merge->seen_version)
            continue;
        if (i >= merge->looked_count && file->live)
            TRY(file_may_hold(merge, file, &meets, err));
        holds = !meets;
    }
    bool *skipped = NULL;
    if (holds && merge->load != NULL) {
        TRY(find_skipped(merge, &skipped, err));
        holds = memcmp(skipped, merge->skipped, merge->load->slice_count * sizeof(bool)) == 0;
    }
    *ret_holds = holds;
    return true;
}

static bool try_commit(Merge *merge, DeltaOutcome *ret_outcome, Error *err)
{
    DeltaCommit commit = {.table = merge->table,
                          .operation = merge->load != NULL ? "MERGE" : "DELETE",
                          .label = merge->label,
                          .note = merge->app,
                          .app = merge->app,
                          .data_change = true,
                          .adds = merge->adds,
                          .add_count = merge->add_count,
                          .removes = merge->removes,
                          .remove_count = merge->remove_count,
                          .rows_inserted = merge->report.inserted,
                          .rows_updated = merge->report.updated,
                          .rows_deleted = merge->report.deleted};
    if (merge->table->log.version < 0)
        commit.protocol = STR("{\"minReaderVersion\":1,\"minWriterVersion\":2}");
    if (merge->schema_changed)
        TRY(delta_metadata_text(merge->delta, &merge->table->log, merge->schema_json,
                                &commit.metadata, err));
    return delta_commit(merge->delta, &commit, ret_outcome, err);
}

// Makes and commits until it is in, or somebody else's commit says that it is.
static bool merge_until_in(Merge *merge, Error *err)
{
    bool made = false; // our files fit the log as it is
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        DeltaOutcome outcome = DELTA_OVERTAKEN;
        if (merge->app.size > 0 && delta_log_find_txn(&merge->table->log, merge->app) != NULL) {
            delta_remove_adds(merge->delta, merge->adds, merge->add_count);
            merge->report.found = true;
            return true;
        }
        if (made)
            TRY(still_holds(merge, &made, err));
        if (attempt > 0 && !made)
            delta_remove_adds(merge->delta, merge->adds, merge->add_count);
        if (!made)
            TRY(make(merge, err));
        made = true;
        if (merge->load == NULL && merge->remove_count == 0)
            return true; // nothing to erase
        TRY(env_check_stop(merge->delta->env, err) && try_commit(merge, &outcome, err));
        if (outcome == DELTA_COMMITTED) {
            merge->report.version = merge->table->log.version;
            merge->report.files_added = (int64_t)merge->add_count;
            merge->report.files_removed = (int64_t)merge->remove_count;
            return true;
        }
    }
    return error_set(err, ERROR_BUSY,
                     "lake table " STR_FMT ": other writers were first %d times in a row",
                     STR_ARG(merge->table->folder), ATTEMPTS_MAX);
}

static bool all_columns(Merge *merge, Error *err)
{
    const DeltaTableSpec *spec = &merge->load->table;
    merge->column_count = spec->column_count + DRIVER_COLUMNS;
    merge->columns = arena_alloc_array(merge->call, merge->column_count, sizeof(Column), err);
    TRY(merge->columns != NULL);
    memcpy(merge->columns, spec->columns, spec->column_count * sizeof(Column));
    memcpy(merge->columns + spec->column_count, driver_columns, sizeof(driver_columns));
    return true;
}

bool delta_check(Delta *delta, const DeltaTableSpec *table, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES, err);
    TRY(call != NULL);
    arena_reset(delta->work);
    const DeltaLoad load = {.table = *table};
    Merge merge = {.delta = delta, .load = &load, .call = call};
    return delta_open_table(delta, table->schema, table->name, &merge.table, err) &&
           all_columns(&merge, err) && fit_schema(&merge, err);
}

bool delta_load(Delta *delta, const DeltaLoad *load, DeltaReport *ret_report, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES, err);
    TRY(call != NULL);
    arena_reset(delta->work);
    Merge merge = {.delta = delta, .load = load, .call = call};
    TRY(arena_printf(call, &merge.label, err, STR_FMT " load %u", STR_ARG(load->stream),
                     load->ordinal));
    TRY(delta_load_name(load, call, &merge.app, err));
    TRY(arena_printf(call, &merge.load_id, err, STR_FMT "/" STR_FMT "/%u", STR_ARG(load->run),
                     STR_ARG(load->stream), load->ordinal));
    TRY(all_columns(&merge, err));
    TRY(delta_open_table(delta, load->table.schema, load->table.name, &merge.table, err));
    if (delta_log_find_txn(&merge.table->log, merge.app) == NULL)
        TRY(delta_note_put(delta, merge.table, load, err));
    TRY(merge_until_in(&merge, err));
    // The load is in: a checkpoint that fails is written by the next one.
    Error later = {0};
    if (!merge.report.found)
        (void)!delta_checkpoint(delta, merge.table, &later);
    *ret_report = merge.report;
    return true;
}

bool delta_erase(Delta *delta, Str schema, Str name, const DeltaErased *rows, size_t count,
                 int64_t *ret_rows, Error *err)
{
    CLEANUP(arena_freep) Arena *call = arena_new(CALL_BYTES + count * sizeof(Asked), err);
    TRY(call != NULL);
    arena_reset(delta->work);
    Merge merge = {.delta = delta, .call = call, .asked_count = count};
    merge.asked = arena_alloc_array(call, count + 1, sizeof(Asked), err);
    TRY(merge.asked != NULL);
    for (size_t i = 0; i < count; i++)
        merge.asked[i] = (Asked){.key = &rows[i].key, .only_hash = rows[i].hash, .vanished = true};
    TRY(arena_printf(call, &merge.label, err, STR_FMT " erasure", STR_ARG(name)));
    TRY(delta_open_table(delta, schema, name, &merge.table, err));
    if (merge.table->log.version >= 0)
        TRY(merge_until_in(&merge, err));
    *ret_rows = merge.report.deleted;
    return true;
}
