#include "run/adopt.h"

#include "base/kill.h"
#include "lake/seal.h"
#include "run/drivers.h"
#include "run/exclusive.h"
#include "run/feed_state.h"
#include "run/forget_list.h"
#include "run/partition.h"
#include "run/views.h"
#include "warehouse/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NOTE_BYTES_MAX = 256 * 1024 * 1024,
    LOAD_ARENA_BYTES = 1024 * 1024 * 1024,
    ROWS_A_LOAD = 20480, // rows of a slice are all held: less than a run's loads
};

#define DAY_US    (INT64_C(86400) * 1000000)
#define NOTE_KIND "adopt"

typedef struct Adoption {
    const Job *job;
    const AdoptOptions *options;
    Env *env;
    Arena *arena;
    JobParts parts;
    Exclusive exclusive;
    PlanStream *stream;
    Plan plan;
    Fetch *fetch;
    ForgetList forget;
    Foreign foreign;
    ForeignOptions table;     // as it stands now
    Str schema, name, before; // as the system spells them
    bool is_target, source_moved, has_state;
    int64_t *state_us; // by partition
    size_t slices_a_load;
    Shaper *shaper;
    AdoptReport *report;
} Adoption;

static void adoption_done(Adoption *adoption)
{
    shaper_free(adoption->shaper);
    fetch_closep(&adoption->fetch);
    exclusive_release(&adoption->exclusive);
    job_parts_close(&adoption->parts);
}

// --- where the rows are

static bool append_rename(const Adoption *adoption, Buf *sql, Error *err)
{
    const SqlDialect *dialect = adoption->parts.warehouse.driver->dialect;
    TRY(buf_append(sql, STR("ALTER TABLE "), err) &&
        foreign_name(sql, adoption->schema, adoption->name, err) &&
        buf_append(sql, STR(" RENAME TO "), err));
    return dialect->renames_whole ? foreign_name(sql, adoption->schema, adoption->before, err)
                                  : sql_name(sql, adoption->before, err);
}

static bool run_statements(Adoption *adoption, const char *what, Buf *const *texts, size_t count,
                           Error *err)
{
    Warehouse *warehouse = &adoption->parts.warehouse;
    Str statements[2];
    for (size_t i = 0; i < count; i++)
        TRY(arena_copy_str(adoption->arena, buf_str(texts[i]), &statements[i], err));
    return warehouse->driver->execute(warehouse->state, what, statements, count, NULL, err);
}

// A table that bears the name of pawl's own makes room first.
static bool make_room(Adoption *adoption, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    Buf *const texts[] = {&sql};
    return append_rename(adoption, &sql, err) &&
           run_statements(adoption, "adopt rename", texts, 1, err);
}

static bool name_tables(Adoption *adoption, Error *err)
{
    const Str table = adoption->options->table.table;
    const TableSpec *spec = &adoption->stream->table;
    const size_t dot = str_find_char(table, '.');
    const bool has_schema = dot < table.size;
    adoption->schema = has_schema ? str_slice(table, 0, dot) : spec->schema;
    adoption->name = has_schema ? str_slice(table, dot + 1, table.size) : table;
    adoption->is_target = str_equal_ignoring_case(adoption->schema, spec->schema) &&
                          str_equal_ignoring_case(adoption->name, spec->name);
    return sql_target(adoption->arena, spec, &adoption->report->target, err);
}

#define BEFORE "__before_pawl"

// Takes the names as the system spells them, of the table as it stands or as it stood.
static bool spell_names(Adoption *adoption, const ForeignPlace *now, const ForeignPlace *before,
                        Error *err)
{
    if (now->type.size > 0) {
        adoption->schema = now->schema;
        adoption->name = now->name;
    } else if (before->type.size > 0) {
        adoption->schema = before->schema;
        adoption->name = str_slice(before->name, 0, before->name.size - (sizeof(BEFORE) - 1));
    }
    CLEANUP(buf_done) Buf name = {0};
    const SqlDialect *dialect = adoption->parts.warehouse.driver->dialect;
    if (before->type.size > 0)
        adoption->before = before->name;
    else
        TRY(sql_name_with_suffix(dialect, &name, adoption->name, STR(BEFORE), err) &&
            arena_copy_str(adoption->arena, buf_str(&name), &adoption->before, err));
    return arena_printf(adoption->arena, &adoption->report->before, err, STR_FMT "." STR_FMT,
                        STR_ARG(adoption->schema), STR_ARG(adoption->before));
}

// Finds the rows, wherever an earlier call has left them; *ret_done: it left nothing to do.
static bool find_source(Adoption *adoption, bool noted, bool *ret_done, Error *err)
{
    Warehouse *warehouse = &adoption->parts.warehouse;
    ForeignPlace now = {0};
    ForeignPlace before = {0};
    Str moved = {0};
    *ret_done = false;
    TRY(arena_printf(adoption->arena, &moved, err, STR_FMT BEFORE, STR_ARG(adoption->name)) &&
        foreign_find(warehouse, adoption->schema, adoption->name, adoption->arena, &now, err) &&
        foreign_find(warehouse, adoption->schema, moved, adoption->arena, &before, err) &&
        spell_names(adoption, &now, &before, err));
    adoption->source_moved = before.type.size > 0;
    adoption->table = adoption->options->table;
    if (adoption->source_moved) {
        *ret_done = !noted && now.type.size > 0;
        return arena_printf(adoption->arena, &adoption->table.table, err, STR_FMT "." STR_FMT,
                            STR_ARG(adoption->schema), STR_ARG(adoption->before));
    }
    if (now.type.size == 0)
        return error_set(err, ERROR_NOT_FOUND, "there is no table '" STR_FMT "." STR_FMT "'",
                         STR_ARG(adoption->schema), STR_ARG(adoption->name));
    if (str_find(now.type, STR("VIEW")) < now.type.size)
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is a view: name the table behind it",
                         STR_ARG(adoption->name));
    return true;
}

// --- what is decided once

static bool note_path(const Adoption *adoption, char path[STORE_PATH_BYTES_MAX + 1], Error *err)
{
    return store_path_printf(path, err, STR_FMT "/adopt/" STR_FMT ".json",
                             STR_ARG(adoption->job->name), STR_ARG(adoption->report->stream));
}

static bool read_note(Adoption *adoption, bool *ret_there, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    CLEANUP(buf_done) Buf bytes = {0};
    CLEANUP(buf_done) Buf plan_text = {0};
    TRY(note_path(adoption, path, err));
    *ret_there =
        store_read_into(&adoption->parts.store, str_from(path), NOTE_BYTES_MAX, &bytes, err);
    if (!*ret_there) {
        const bool missing = err->code == ERROR_NOT_FOUND;
        if (missing)
            *err = (Error){0};
        return missing;
    }
    Str body = {0};
    yyjson_doc *doc = NULL;
    yyjson_val *streams = NULL;
    TRY(seal_read(NOTE_KIND, buf_str(&bytes), path, &body, err) &&
        json_parse(body, path, adoption->arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    Plan *plan = &adoption->plan;
    adoption->slices_a_load = (size_t)yyjson_get_uint(json_get(root, STR("slices_a_load")));
    if (!str_equal(json_str(json_get(root, STR("table"))), adoption->options->table.table))
        return error_set(err, ERROR_JOB,
                         "stream '" STR_FMT "' is being taken over from another table, '" STR_FMT
                         "': finish that first",
                         STR_ARG(adoption->report->stream),
                         STR_ARG(json_str(json_get(root, STR("table")))));
    Str text = {0};
    TRY(json_write(json_get(root, STR("plan")), &plan_text, err) &&
        arena_copy_str(adoption->arena, buf_str(&plan_text), &text, err) &&
        plan_read_request(text, plan, adoption->arena, &streams, err) &&
        plan_read_streams(streams, adoption->job, plan, adoption->arena, err));
    (void)snprintf(plan->run, sizeof(plan->run), STR_FMT,
                   STR_ARG(json_str(json_get(root, STR("run")))));
    return adoption->slices_a_load > 0 ||
           error_set(err, ERROR_DATA, "%s: has no size of a load", path);
}

static bool write_note(Adoption *adoption, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    CLEANUP(buf_done) Buf body = {0};
    CLEANUP(buf_done) Buf sealed = {0};
    TRY(note_path(adoption, path, err) &&
        buf_printf(&body, err, "{\"version\":1,\"run\":\"%s\",\"slices_a_load\":%zu,\"table\":",
                   adoption->plan.run, adoption->slices_a_load) &&
        json_write_str(adoption->options->table.table, &body, err) &&
        buf_append(&body, STR(",\"plan\":"), err) && plan_write(&adoption->plan, &body, err) &&
        buf_append_char(&body, '}', err) && seal_write(NOTE_KIND, buf_str(&body), &sealed, err));
    kill_point("adopt note");
    TRY(store_put(&adoption->parts.store, str_from(path), buf_str(&sealed), 0, err));
    kill_point("adopt noted");
    return true;
}

static bool find_partitions(Adoption *adoption, Error *err)
{
    const DiscoverOptions discover = {.job = adoption->job,
                                      .plan = &adoption->plan,
                                      .fetch = adoption->fetch,
                                      .env = adoption->env,
                                      .arena = adoption->arena,
                                      .sink = &event_sink_none};
    return partition_discover(&discover, adoption->stream, err);
}

static bool day_text(Adoption *adoption, int64_t us, int32_t more, Str *ret_text, Error *err)
{
    char text[TIME_TEXT_BYTES];
    date_format(date_from_us(us) + more, text);
    return arena_copy_str(adoption->arena, str_from(text), ret_text, err);
}

// The same windows as any run would cut, over all that the table holds.
static bool cut_slices(Adoption *adoption, Error *err)
{
    const PlanKnowledge nothing = {0};
    Plan *plan = &adoption->plan;
    int64_t first_us = 0;
    int64_t last_us = 0;
    bool any = true;
    uuid_new(adoption->env, plan->run);
    plan->created_us = adoption->env->now_us(adoption->env->state);
    if (adoption->stream->cursor.exists) {
        TRY(foreign_range(&adoption->foreign, NULL, &first_us, &last_us, &any, err) &&
            day_text(adoption, first_us, -1, &plan->asked.from, err) &&
            day_text(adoption, last_us, 1, &plan->asked.to, err));
    }
    if (any)
        TRY(plan_slices(adoption->job, plan, adoption->stream, &nothing, plan->created_us,
                        adoption->arena, err));
    int64_t rows = 0;
    TRY(foreign_count(&adoption->foreign, &rows, err));
    const int64_t slices = (int64_t)adoption->stream->slice_count;
    const int64_t a_slice = slices > 0 ? rows / slices + 1 : 1;
    adoption->slices_a_load = (size_t)(ROWS_A_LOAD / a_slice + 1);
    return write_note(adoption, err);
}

// --- one load

typedef struct Feed {
    ShapedBatch **batches;
    uint32_t **selected;
    size_t *counts;
    size_t batch_count, next;
    bool *replaces; // all false
} Feed;

static bool next_rows(void *state, RowSelection *ret_selection, Error *err)
{
    Feed *feed = state;
    (void)err;
    *ret_selection = (RowSelection){0};
    while (feed->next < feed->batch_count) {
        const size_t i = feed->next++;
        if (feed->counts[i] == 0)
            continue;
        *ret_selection = (RowSelection){.array = &feed->batches[i]->array,
                                        .rows = feed->selected[i],
                                        .replaces = feed->replaces,
                                        .count = feed->counts[i]};
        return true;
    }
    return true;
}

// One load in hand.
typedef struct Load {
    Adoption *adoption;
    Arena *arena;
    uint32_t ordinal;
    size_t first, count; // slices
    LoadSlice *slices;
    ForeignRows *read; // of each slice
    ForeignRow *rows;  // those that count, in their batches' order
    size_t row_count;
    Watermark *marks;
    size_t mark_count;
    int64_t inserted;
} Load;

static int compare_freshness(const void *a, const void *b)
{
    const ForeignRow *left = a;
    const ForeignRow *right = b;
    const int by_key = key128_compare(&left->key, &right->key);
    return by_key != 0
               ? by_key
               : (left->synced_us > right->synced_us) - (left->synced_us < right->synced_us);
}

static int compare_places(const void *a, const void *b)
{
    const ForeignRow *left = a;
    const ForeignRow *right = b;
    if (left->batch != right->batch)
        return left->batch < right->batch ? -1 : 1;
    return (left->row > right->row) - (left->row < right->row);
}

// Of each key the latest row, if the feed believes it alive.
static size_t choose_rows(Adoption *adoption, ForeignRow *rows, size_t count)
{
    AdoptReport *report = adoption->report;
    size_t kept = 0;
    if (count > 0)
        qsort(rows, count, sizeof(*rows), compare_freshness);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && key128_compare(&rows[i].key, &rows[i + 1].key) == 0)
            report->doubled++;
        else if (rows[i].deleted)
            report->deleted++;
        else
            rows[kept++] = rows[i];
    }
    return kept;
}

static bool read_slice(Load *load, size_t i, Error *err)
{
    Adoption *adoption = load->adoption;
    const PlanSlice *slice = &adoption->stream->slices[load->first + i];
    ForeignRows *read = &load->read[i];
    ForeignWindow window = {.slice = slice};
    plan_slice_bounds(adoption->stream, slice, &window.from_us, &window.to_us);
    TRY(env_check_stop(adoption->env, err) && exclusive_renew(&adoption->exclusive, err) &&
        foreign_read(&adoption->foreign, &window, adoption->shaper, load->arena, read, err));
    size_t inside = 0;
    for (size_t r = 0; r < read->count; r++) {
        if (read->items[r].inside)
            read->items[inside++] = read->items[r];
    }
    read->count = choose_rows(adoption, read->items, inside);
    adoption->report->forgotten += read->forgotten;
    adoption->report->unreadable += read->unreadable;
    LoadSlice *told = &load->slices[i];
    *told =
        (LoadSlice){.partition_key = adoption->stream->partitions[slice->partition].partition.key,
                    .from_us = slice->from_us,
                    .to_us = slice->to_us,
                    .fetched_us = INT64_MAX,
                    .total = -1,
                    .rows = (int64_t)read->count};
    for (size_t r = 0; r < read->count; r++) {
        const int64_t synced_us =
            read->items[r].synced_us == INT64_MIN ? 0 : read->items[r].synced_us;
        told->fetched_us = synced_us < told->fetched_us ? synced_us : told->fetched_us;
    }
    told->fetched_us = told->fetched_us == INT64_MAX ? 0 : told->fetched_us;
    if (adoption->options->progress != NULL)
        adoption->options->progress(adoption->options->progress_state, load->first + i + 1,
                                    adoption->stream->slice_count);
    return true;
}

static bool gather_rows(Load *load, Error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++)
        count += load->read[i].count;
    load->rows = arena_alloc_array(load->arena, count + 1, sizeof(ForeignRow), err);
    TRY(load->rows != NULL);
    for (size_t i = 0; i < load->count; i++) {
        if (load->read[i].count > 0)
            memcpy(load->rows + load->row_count, load->read[i].items,
                   load->read[i].count * sizeof(ForeignRow));
        load->row_count += load->read[i].count;
    }
    return true;
}

// Rows whose key pawl has already stay as they are: what it read itself is better.
static bool drop_known(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    Key128 *keys = arena_alloc_array(load->arena, load->row_count + 1, sizeof(Key128), err);
    MatchedRow *matched =
        arena_alloc_array(load->arena, load->row_count + 1, sizeof(MatchedRow), err);
    TRY(keys != NULL && matched != NULL);
    for (size_t i = 0; i < load->row_count; i++)
        keys[i] = load->rows[i].key;
    TRY(warehouse->driver->load_match(warehouse->state, keys, load->row_count, matched, err));
    size_t kept = 0;
    for (size_t i = 0; i < load->row_count; i++) {
        if (!matched[i].found)
            load->rows[kept++] = load->rows[i];
    }
    load->adoption->report->known += (int64_t)(load->row_count - kept);
    load->row_count = kept;
    load->inserted = (int64_t)kept;
    return true;
}

static bool write_rows(Load *load, Error *err)
{
    const Warehouse *warehouse = &load->adoption->parts.warehouse;
    if (load->row_count == 0)
        return true;
    qsort(load->rows, load->row_count, sizeof(*load->rows), compare_places);
    Feed feed = {0};
    feed.batches = arena_alloc_array(load->arena, load->row_count, sizeof(ShapedBatch *), err);
    feed.selected = arena_alloc_array(load->arena, load->row_count, sizeof(uint32_t *), err);
    feed.counts = arena_alloc_array(load->arena, load->row_count, sizeof(size_t), err);
    feed.replaces = arena_alloc_array(load->arena, load->row_count, sizeof(bool), err);
    uint32_t *rows = arena_alloc_array(load->arena, load->row_count, sizeof(uint32_t), err);
    TRY(feed.batches != NULL && feed.selected != NULL && feed.counts != NULL &&
        feed.replaces != NULL && rows != NULL);
    for (size_t i = 0; i < load->row_count; i++) {
        if (i == 0 || load->rows[i].batch != load->rows[i - 1].batch) {
            feed.batches[feed.batch_count] = load->rows[i].batch;
            feed.selected[feed.batch_count++] = &rows[i];
        }
        rows[i] = (uint32_t)load->rows[i].row;
        feed.counts[feed.batch_count - 1]++;
    }
    RowSource source = {.next = next_rows, .state = &feed, .rows_total = load->row_count};
    return warehouse->driver->load_write(warehouse->state, &source, err);
}

// With the last load, in its transaction, each partition gets a watermark where none stands: the
// other tool's own state, or the latest time of its rows.
static bool find_marks(Load *load, Error *err)
{
    Adoption *adoption = load->adoption;
    PlanStream *stream = adoption->stream;
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const int64_t now_us = adoption->env->now_us(adoption->env->state);
    Watermark *standing = NULL;
    size_t count = 0;
    load->marks =
        arena_alloc_array(load->arena, stream->partition_count + 1, sizeof(Watermark), err);
    TRY(load->marks != NULL &&
        warehouse->driver->read_watermarks(warehouse->state, adoption->job->name, &stream->table,
                                           load->arena, &standing, &count, err));
    for (uint32_t i = 0; i < stream->partition_count; i++) {
        const Str key = stream->partitions[i].partition.key;
        bool stands = false;
        for (size_t k = 0; k < count && !stands; k++)
            stands = str_equal(standing[k].partition_key, key) &&
                     str_equal(standing[k].stream, stream_name(stream->stream));
        int64_t first_us = 0;
        int64_t us = adoption->has_state ? adoption->state_us[i] : INT64_MIN;
        bool any = us != INT64_MIN;
        const PlanSlice slice = {.partition = i};
        if (!stands && !any && stream->cursor.exists)
            TRY(foreign_range(&adoption->foreign, &slice, &first_us, &us, &any, err));
        if (!stands && any)
            load->marks[load->mark_count++] =
                (Watermark){stream_name(stream->stream), key, us < now_us ? us : now_us};
    }
    return true;
}

static bool commit_load(Load *load, Error *err)
{
    const Adoption *adoption = load->adoption;
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const LoadSpec spec = {.table = &adoption->stream->table,
                           .job = adoption->job->name,
                           .mode = STR("adopt"),
                           .run = str_from(adoption->plan.run),
                           .stream = stream_name(adoption->stream->stream),
                           .ordinal = load->ordinal,
                           .checksum = sha256(adoption->options->table.table),
                           .epoch = adoption->exclusive.leases[0].epoch,
                           .slices = load->slices,
                           .slice_count = load->count};
    bool loaded = false;
    TRY(warehouse->driver->load_begin(warehouse->state, &spec, &loaded, err));
    if (loaded)
        return true;
    const bool ok = drop_known(load, err) && write_rows(load, err);
    const LoadCommit commit = {
        .watermarks = load->marks, .watermark_count = load->mark_count, .inserted = load->inserted};
    if (ok && warehouse->driver->load_commit(warehouse->state, &commit, err))
        return true;
    warehouse->driver->load_abort(warehouse->state);
    return false;
}

static void done_reading(Load *load)
{
    for (size_t i = 0; load->read != NULL && i < load->count; i++)
        foreign_rows_done(&load->read[i]);
}

static bool make_load(Adoption *adoption, uint32_t ordinal, size_t first, size_t count, bool last,
                      Error *err)
{
    const Warehouse *warehouse = &adoption->parts.warehouse;
    bool has = false;
    TRY(warehouse->driver->has_load(warehouse->state, str_from(adoption->plan.run),
                                    stream_name(adoption->stream->stream), ordinal, &has, err));
    if (has)
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(LOAD_ARENA_BYTES, err);
    TRY(arena != NULL);
    CLEANUP(done_reading)
    Load load = {
        .adoption = adoption, .arena = arena, .ordinal = ordinal, .first = first, .count = count};
    load.slices = arena_alloc_array(arena, count + 1, sizeof(LoadSlice), err);
    load.read = arena_alloc_array(arena, count + 1, sizeof(ForeignRows), err);
    TRY(load.slices != NULL && load.read != NULL);
    for (size_t i = 0; i < count; i++)
        TRY(read_slice(&load, i, err));
    TRY(gather_rows(&load, err) && (!last || find_marks(&load, err)) && commit_load(&load, err));
    adoption->report->adopted += load.inserted;
    adoption->report->loads++;
    adoption->report->watermarks += (int64_t)load.mark_count;
    return true;
}

static bool make_loads(Adoption *adoption, Error *err)
{
    const size_t slices = adoption->stream->slice_count;
    uint32_t ordinal = 0;
    for (size_t first = 0; first < slices; first += adoption->slices_a_load, ordinal++) {
        const size_t left = slices - first;
        const size_t count = left < adoption->slices_a_load ? left : adoption->slices_a_load;
        TRY(make_load(adoption, ordinal, first, count, count == left, err));
    }
    return true;
}

// --- the old name

// What the old name's columns show: pawl's columns that hold the same; nothing for what only the
// feed knew.
static bool append_view(const Adoption *adoption, Buf *sql, Error *err)
{
    const Foreign *foreign = &adoption->foreign;
    const TableSpec *spec = &adoption->stream->table;
    const SqlDialect *dialect = adoption->parts.warehouse.driver->dialect;
    TRY(buf_append(sql, STR("CREATE VIEW "), err) &&
        foreign_name(sql, adoption->schema, adoption->name, err) &&
        buf_append(sql, STR(" AS SELECT "), err));
    for (size_t i = 0; i < foreign->column_count; i++) {
        const ForeignColumn *column = &foreign->columns[i];
        TRY(i == 0 || buf_append(sql, STR(", "), err));
        const bool direct = column->path.size > 0 && column->column < spec->column_count;
        const bool epoch = direct && spec->columns[column->column].type == COLUMN_TIMESTAMP &&
                           (str_find(column->type, STR("INT")) < column->type.size ||
                            str_find(column->type, STR("NUM")) < column->type.size);
        if (epoch)
            TRY(buf_append(sql, STR("CAST(extract(epoch FROM "), err));
        if (direct)
            TRY(sql_own_name(dialect, sql, spec->columns[column->column].name, err));
        else if (column == foreign->synced)
            TRY(buf_append(sql, STR("_fetched_at"), err));
        else
            TRY(buf_append(sql, STR("NULL"), err));
        TRY((!epoch || buf_append(sql, STR(") AS BIGINT)"), err)) &&
            buf_append(sql, STR(" AS "), err) && sql_name(sql, column->name, err));
    }
    return buf_append(sql, STR(" FROM "), err) && sql_own_table(dialect, sql, spec, "", err) &&
           buf_append(sql, STR(" WHERE _deleted_at IS NULL"), err);
}

static bool leave_view(Adoption *adoption, Error *err)
{
    CLEANUP(buf_done) Buf rename = {0};
    CLEANUP(buf_done) Buf view = {0};
    // A raw table's record is not kept as it was: nothing could stand in for it.
    if (adoption->is_target || adoption->foreign.kind == FOREIGN_RECORDS)
        return true;
    ForeignPlace now = {0};
    TRY(foreign_find(&adoption->parts.warehouse, adoption->schema, adoption->name, adoption->arena,
                     &now, err));
    adoption->report->has_view = true;
    if (adoption->source_moved && now.type.size > 0)
        return true;
    TRY(append_rename(adoption, &rename, err) && append_view(adoption, &view, err));
    Buf *const texts[] = {&rename, &view};
    return adoption->source_moved ? run_statements(adoption, "adopt view", texts + 1, 1, err)
                                  : run_statements(adoption, "adopt view", texts, 2, err);
}

// --- the whole

static bool open_all(Adoption *adoption, Error *err)
{
    Findings *findings = arena_alloc(adoption->arena, sizeof(*findings), err);
    TRY(findings != NULL);
    findings->arena = adoption->arena;
    TRY(job_parts_open(adoption->job, adoption->report->stream, adoption->env, adoption->arena,
                       findings, &adoption->parts, err) &&
        findings_check(findings, err));
    if (adoption->parts.warehouse.driver->execute == NULL)
        return error_set(err, ERROR_JOB, "warehouse %s cannot take tables over yet",
                         adoption->parts.warehouse.driver->name);
    adoption->stream = &adoption->parts.streams[0];
    adoption->plan =
        (Plan){.mode = MODE_HISTORIC, .streams = adoption->parts.streams, .stream_count = 1};
    const FetchOptions fetch = {.job = adoption->job,
                                .mode = MODE_HISTORIC,
                                .connector = adoption->parts.connector,
                                .env = adoption->env,
                                .connect_to = adoption->options->connect_to,
                                .arena = adoption->arena};
    return name_tables(adoption, err) &&
           exclusive_take(&adoption->exclusive, adoption->job, &adoption->parts.store,
                          adoption->env, MODE_COUNT, adoption->options->wait_us, err) &&
           forget_list_read(adoption->job, &adoption->parts.store, adoption->arena,
                            &adoption->forget, err) &&
           fetch_open(&fetch, &adoption->fetch, err);
}

static bool look_at_table(Adoption *adoption, Error *err)
{
    TRY(foreign_open(&adoption->table, &adoption->parts.warehouse, adoption->stream,
                     adoption->arena, &adoption->foreign, err));
    if (adoption->foreign.kind == FOREIGN_OWN)
        return error_set(err, ERROR_JOB, "'" STR_FMT "' is a table of pawl's already",
                         STR_ARG(adoption->name));
    adoption->foreign.forgotten = adoption->forget.forgotten;
    adoption->report->feed = adoption->foreign.feed;
    adoption->report->exact = adoption->foreign.kind == FOREIGN_RECORDS;
    TRY(shaper_new(adoption->stream->contract, NULL, &adoption->shaper, err));
    shaper_set_table(adoption->shaper, adoption->report->exact);
    if (adoption->options->state.size == 0)
        return true;
    adoption->has_state = true;
    return feed_state_read(adoption->options->state.data, adoption->stream, adoption->arena,
                           &adoption->state_us, err);
}

static bool adopt(Adoption *adoption, Error *err)
{
    AdoptReport *report = adoption->report;
    Warehouse *warehouse = &adoption->parts.warehouse;
    bool noted = false;
    TRY(open_all(adoption, err) && read_note(adoption, &noted, err) &&
        find_source(adoption, noted, &report->already, err));
    if (report->already)
        return true;
    TRY((noted || find_partitions(adoption, err)) && look_at_table(adoption, err));
    if (!noted)
        TRY(cut_slices(adoption, err));
    if (adoption->is_target && !adoption->source_moved) {
        TRY(make_room(adoption, err));
        adoption->source_moved = true;
        TRY(foreign_move(&adoption->foreign, adoption->before, adoption->arena, err));
    }
    TRY(warehouse->driver->prepare(warehouse->state, &adoption->stream->table, 1, err) &&
        views_create(&adoption->parts, err) && make_loads(adoption, err) &&
        foreign_count(&adoption->foreign, &report->table_rows, err) && leave_view(adoption, err));
    const int64_t seen = report->adopted + report->known + report->doubled + report->deleted +
                         report->unreadable + report->forgotten;
    report->left_out = report->table_rows > seen ? report->table_rows - seen : 0;
    char path[STORE_PATH_BYTES_MAX + 1];
    kill_point("adopt end");
    return note_path(adoption, path, err) &&
           store_remove(&adoption->parts.store, str_from(path), err);
}

bool adopt_execute(const Job *job, const AdoptOptions *options, Env *env, Arena *arena,
                   AdoptReport *ret_report, Error *err)
{
    *ret_report = (AdoptReport){.feed = ""};
    CLEANUP(adoption_done)
    Adoption adoption = {
        .job = job, .options = options, .env = env, .arena = arena, .report = ret_report};
    return foreign_choose_stream(job, options->table.table, options->stream, &ret_report->stream,
                                 err) &&
           adopt(&adoption, err);
}
