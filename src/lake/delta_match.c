// What a merge asks for, and where it stands: keys, the files that may hold them, matches.
#include "duck/arrow.h"
#include "lake/delta_merge.h"

// --- what is asked

bool merge_collect(Merge *merge, Error *err)
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
                .key = &slice->vanished[i], .fetched_us = slice->vanished_us, .vanished = true};
    }
    return true;
}

bool merge_make_box(Merge *merge, Error *err)
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

bool merge_file_may_hold(const Merge *merge, const DeltaFile *file, bool *ret_may, Error *err)
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

bool merge_choose_files(Merge *merge, Error *err)
{
    const DeltaLog *log = &merge->table->log;
    merge->looked = arena_alloc(merge->delta->work, log->file_count + 1, err);
    merge->touched = arena_alloc(merge->delta->work, log->file_count + 1, err);
    TRY(merge->looked != NULL && merge->touched != NULL);
    merge->looked_count = log->file_count;
    for (size_t i = 0; i < log->file_count; i++) {
        if (log->files[i].live)
            TRY(merge_file_may_hold(merge, &log->files[i], &merge->looked[i], err));
    }
    return true;
}

// --- matching

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

bool merge_run_with_keys(Merge *merge, KeyChoice choice, const char *sql, const DuckValue *values,
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

bool merge_match_all(Merge *merge, Error *err)
{
    merge->match_count = 0;
    if (merge->asked_count == 0)
        return true;
    TRY(merge_run_with_keys(
        merge, KEYS_ALL,
        "CREATE OR REPLACE TEMP TABLE asked AS SELECT position, key::BLOB AS key"
        " FROM pawl_rows()",
        NULL, 0, err));
    for (size_t i = 0; i < merge->looked_count; i++) {
        if (merge->looked[i])
            TRY(match_file(merge, (uint32_t)i, err));
    }
    return true;
}
