// The files that a merge writes: one of new rows, and those that lose rows or get marks anew.
#include "duck/arrow.h"
#include "lake/delta_merge.h"

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
                                 " AND t._deleted_at IS NULL"
                                 " AND (t._fetched_at IS NULL OR t._fetched_at <= m.fetched)";

// Keys that go from the files that have them, and marks for those that vanished.
static bool make_tables(Merge *merge, Error *err)
{
    TRY(merge_run_with_keys(
        merge, KEYS_GONE,
        "CREATE OR REPLACE TEMP TABLE gone AS SELECT key::BLOB AS key FROM pawl_rows()", NULL, 0,
        err));
    if (!has_marks(merge))
        return true;
    const DuckValue values[] = {duck_text(merge->load->run), duck_text(merge->load_id),
                                duck_time(delta_now_ms(merge->delta) * 1000)};
    return merge_run_with_keys(merge, KEYS_MARKED,
                               "CREATE OR REPLACE TEMP TABLE marks AS SELECT key::BLOB AS key,"
                               " min(fetched) AS fetched, ?::VARCHAR AS run, ?::VARCHAR AS load,"
                               " ?::TIMESTAMPTZ AS now FROM pawl_rows() GROUP BY ALL",
                               values, 3, err);
}

// The rows of the load as the table has them, before marks. `values` gets what its ? stand for, in
// the order in which the schema has them, which need not be ours.
static bool select_new(const Merge *merge, Buf *sql, DuckValue values[DELTA_DRIVER_COLUMNS],
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
    DuckValue values[DELTA_DRIVER_COLUMNS];
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
    if (merge->load == NULL)
        delta_bound_as_before(&merge->schema, &merge->table->log, &index, 1, merge->delta->work);
    const DuckStatement select = {.sql = sql.data};
    DeltaAdd add = {0};
    TRY(write_file(merge, &select, &add, err));
    if (add.rows > 0)
        merge->adds[merge->add_count++] = add;
    merge->removes[merge->remove_count++] = index;
    return true;
}

bool merge_write_files(Merge *merge, Error *err)
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
