#include "run/audit.h"

#include "base/file.h"
#include "batch/cells.h"
#include "run/audit_repair.h"
#include "run/drivers.h"
#include "run/exclusive.h"
#include "run/forget_list.h"
#include "run/partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    AUDIT_ARENA_BYTES = 1024 * 1024 * 1024,
    REQUEST_ARENA_BYTES = 1024 * 1024,
    SCRATCH_BYTES = 1024,
};

const char *audit_problem_name(AuditProblem problem)
{
    static const char *const names[] = {"missing", "doubled", "stale", "vanished"};
    return names[problem];
}

typedef struct Audit {
    const Job *job;
    const AuditOptions *options;
    Env *env;
    Arena *arena;
    JobParts parts;
    Warehouse csv; // a scratch database with the file's rows
    Str csv_path;
    char csv_folder[SCRATCH_BYTES]; // its own
    Warehouse *warehouse;
    PlanStream *stream;
    Plan plan;
    Fetch *fetch;
    Lease repair; // --repair: nobody else's meanwhile
    ForgetList forget;
    Foreign foreign;
    SliceReader reader;
    Shaper *api_shaper, *table_shaper;
    AuditReport *report;
} Audit;

static void remove_csv(Audit *audit)
{
    static const char *const endings[] = {"", ".wal"};
    warehouse_close(&audit->csv);
    for (size_t i = 0; audit->csv_path.size > 0 && i < sizeof(endings) / sizeof(endings[0]); i++) {
        char path[SCRATCH_BYTES + 32];
        (void)snprintf(path, sizeof(path), "%s%s", audit->csv_path.data, endings[i]);
        (void)unlink(path);
    }
    if (audit->csv_folder[0] != '\0')
        (void)rmdir(audit->csv_folder);
}

// A folder that nobody else may look into: what is exported are people's calls.
static bool make_scratch(Audit *audit, Error *err)
{
    const char *base = audit->env->variable(audit->env->state, "TMPDIR");
    char folder[SCRATCH_BYTES];
    const int size = snprintf(folder, sizeof(folder), "%s/pawl-audit-XXXXXX",
                              base != NULL && base[0] != '\0' ? base : P_tmpdir);
    if (size < 0 || (size_t)size >= sizeof(folder))
        return error_set(err, ERROR_JOB, "TMPDIR is too long");
    if (mkdtemp(folder) == NULL)
        return file_error(err, "make folder", folder);
    memcpy(audit->csv_folder, folder, sizeof(folder));
    return arena_printf(audit->arena, &audit->csv_path, err, "%s/rows.duckdb", folder);
}

static void audit_done(Audit *audit)
{
    shaper_free(audit->api_shaper);
    shaper_free(audit->table_shaper);
    arena_free(audit->reader.page_arena);
    arena_free(audit->reader.request_arena);
    fetch_closep(&audit->fetch);
    remove_csv(audit);
    lease_release(&audit->repair);
    job_parts_close(&audit->parts);
}

// --- which stream, which table

// The file's rows as a table of texts, on disk: a file may be larger than the memory.
static bool open_csv(Audit *audit, ForeignOptions *table, Error *err)
{
    const Str file = table->table;
    const SqlDialect *dialect = warehouse_duckdb.dialect;
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(buf_done) Buf options = {0};
    Str path = {0};
    TRY(arena_copy_str(audit->arena, file, &path, err));
    if (!file_exists(path.data))
        return error_set(err, ERROR_NOT_FOUND, "there is no file '" STR_FMT "'", STR_ARG(file));
    TRY(make_scratch(audit, err) && buf_append(&options, STR("{\"path\":"), err) &&
        json_write_str(audit->csv_path, &options, err) && buf_append_char(&options, '}', err));
    yyjson_doc *doc = NULL;
    Findings findings = {.arena = audit->arena};
    TRY(json_parse(buf_str(&options), "csv", audit->arena, &doc, err) &&
        warehouse_open(&audit->csv, &warehouse_duckdb,
                       &(WarehouseOptions){.driver = {yyjson_doc_get_root(doc), STR("csv")},
                                           .base_folder = STR("."),
                                           .memory_bytes = audit->job->limits.memory_bytes / 4},
                       audit->env, audit->arena, &findings, err));
    TRY(buf_append(&sql, STR("CREATE TABLE main.rows AS SELECT * FROM read_csv("), err) &&
        sql_literal(dialect, &sql, file, err) &&
        buf_append(&sql, STR(", all_varchar = true, header = true)"), err));
    Str statement = {0};
    TRY(arena_copy_str(audit->arena, buf_str(&sql), &statement, err) &&
        warehouse_duckdb.execute(audit->csv.state, "csv", &statement, 1, NULL, err));
    table->table = STR("main.rows");
    audit->warehouse = &audit->csv;
    return true;
}

// --- comparing

// A row of the API, by key.
typedef struct ApiRow {
    Key128 key;
    ShapedBatch *batch;
    size_t row, order;
} ApiRow;

typedef struct ApiRows {
    ApiRow *items; // one of each key, sorted
    size_t count;
} ApiRows;

static int compare_api(const void *a, const void *b)
{
    const ApiRow *left = a;
    const ApiRow *right = b;
    const int by_key = key128_compare(&left->key, &right->key);
    return by_key != 0 ? by_key : (left->order > right->order) - (left->order < right->order);
}

// Sorted by key, of each key the last that came.
static bool sort_api(const SliceRows *rows, Arena *arena, ApiRows *ret_rows, Error *err)
{
    ApiRow *items = arena_alloc_array(arena, rows->rows + 1, sizeof(*items), err);
    TRY(items != NULL);
    size_t count = 0;
    for (size_t b = 0; b < rows->batch_count; b++) {
        for (size_t i = 0; i < rows->batches[b]->rows; i++, count++)
            items[count] = (ApiRow){rows->batches[b]->keys[i], rows->batches[b], i, count};
    }
    qsort(items, count, sizeof(*items), compare_api);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (distinct > 0 && key128_compare(&items[distinct - 1].key, &items[i].key) == 0)
            distinct--;
        items[distinct++] = items[i];
    }
    *ret_rows = (ApiRows){items, distinct};
    return true;
}

static void sort_table(ForeignRows *table)
{
    if (table->count > 0)
        qsort(table->items, table->count, sizeof(*table->items), foreign_compare_rows);
}

// One slice in hand.
typedef struct Comparison {
    Audit *audit;
    const PlanSlice *slice;
    const SliceRows *api;
    AuditSlice told;
    Arena *arena;
    Buf columns; // of a stale row
    AuditRepair repair;
} Comparison;

static bool tell(Comparison *comparison, AuditProblem problem, const ShapedBatch *batch, size_t row,
                 Error *err)
{
    const PlanStream *stream = comparison->audit->stream;
    const ContractInfo *info = contract_info(stream->contract);
    Str key[64];
    AuditFinding finding = {.problem = problem,
                            .stream = comparison->told.stream,
                            .partition = comparison->told.partition,
                            .day = comparison->told.day,
                            .key_names = info->key_columns,
                            .key = key,
                            .key_count = info->key_count,
                            .columns =
                                problem == AUDIT_STALE ? buf_str(&comparison->columns) : STR("")};
    for (size_t i = 0; i < info->key_count; i++) {
        size_t index = 0;
        while (!str_equal(stream->table.columns[index].name, info->key_columns[i]))
            index++;
        CLEANUP(buf_done) Buf text = {0};
        TRY(cell_write(&stream->table.columns[index], batch->array.children[index], row, &text,
                       err) &&
            arena_copy_str(comparison->arena, buf_str(&text), &key[i], err));
    }
    comparison->told.found[problem]++;
    const AuditOptions *options = comparison->audit->options;
    return options->finding == NULL || options->finding(options->state, &finding, err);
}

// Whether the table's row says what the API says; comparison->columns names what differs.
static bool is_same(Comparison *comparison, const ApiRow *api, const ForeignRow *row,
                    bool *ret_same, Error *err)
{
    const Foreign *foreign = &comparison->audit->foreign;
    const TableSpec *table = &comparison->audit->stream->table;
    Buf *columns = &comparison->columns;
    buf_clear(columns);
    if (row->deleted)
        TRY(buf_append(columns, foreign->deleted->name, err));
    if (row->keyless)
        TRY((columns->size == 0 || buf_append_char(columns, ',', err)) &&
            buf_append(columns, foreign->key->name, err));
    *ret_same = !row->deleted && !row->keyless;
    if (foreign->kind == FOREIGN_OWN) {
        *ret_same = *ret_same && key128_compare(&api->batch->hashes[api->row], &row->hash) == 0;
        return true;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (!foreign->compared[i] || cell_equal(&table->columns[i], api->batch->array.children[i],
                                                api->row, row->batch->array.children[i], row->row))
            continue;
        *ret_same = false;
        TRY((columns->size == 0 || buf_append_char(columns, ',', err)) &&
            buf_append(columns, table->columns[i].name, err));
    }
    return true;
}

// In a table of pawl's a key has one row, marked or not; others keep beside it what they deleted.
static bool is_doubled(const Comparison *comparison, size_t count, size_t live)
{
    return comparison->audit->foreign.kind == FOREIGN_OWN ? count > 1 : live > 1;
}

// Rows without a _row_key get it back, before anything else is done to them by it.
static bool give_keys(Comparison *comparison, const ForeignRow *rows, size_t count,
                      bool *ret_keyless, Error *err)
{
    *ret_keyless = false;
    for (size_t i = 0; i < count && !*ret_keyless; i++) {
        *ret_keyless = rows[i].keyless;
        if (rows[i].keyless)
            TRY(audit_repair_key(&comparison->repair, &rows[i], err));
    }
    return true;
}

// One key of the API and the table's rows that have it.
static bool compare_key(Comparison *comparison, const ApiRow *api, ForeignRow *rows, size_t count,
                        Error *err)
{
    if (count == 0)
        return tell(comparison, AUDIT_MISSING, api->batch, api->row, err) &&
               audit_repair_insert(&comparison->repair, api->batch, api->row, err);
    size_t live = 0;
    bool any = false;
    bool keyless = false;
    TRY(give_keys(comparison, rows, count, &keyless, err));
    for (size_t i = 0; i < count; i++) {
        bool same = false;
        TRY(is_same(comparison, api, &rows[i], &same, err));
        any = any || same;
        live += rows[i].deleted ? 0 : 1;
    }
    // is_same() looked at the latest one last: its differences are what stands in `columns`.
    if (!any)
        TRY(tell(comparison, AUDIT_STALE, api->batch, api->row, err) &&
            audit_repair_update(&comparison->repair, api->batch, api->row, &rows[count - 1], err));
    if (is_doubled(comparison, count, live))
        TRY(tell(comparison, AUDIT_DOUBLED, api->batch, api->row, err) &&
            audit_repair_doubled(&comparison->repair, &api->key, true, err));
    return true;
}

// Whether the API shows a record that may be of this row, though the contract refuses it.
static bool is_refused(const SliceRows *api, const Key128 *key)
{
    for (size_t b = 0; b < api->batch_count; b++) {
        const ShapedBatch *batch = api->batches[b];
        if (batch->refused_unknown > 0)
            return true;
        for (size_t i = 0; i < batch->refused_count; i++) {
            if (key128_compare(&batch->refused_keys[i], key) == 0)
                return true;
        }
    }
    return false;
}

// Keys that the table alone has.
static bool compare_rest(Comparison *comparison, ForeignRow *rows, size_t count, Error *err)
{
    size_t live = 0;
    size_t last = 0;
    size_t inside = 0;
    bool keyless = false;
    for (size_t i = 0; i < count; i++) {
        inside += rows[i].inside ? 1 : 0;
        if (rows[i].deleted || !rows[i].inside)
            continue;
        live++;
        last = i;
    }
    if (inside == 0)
        return true;
    TRY(give_keys(comparison, rows, count, &keyless, err));
    if (keyless && (live == 0 || comparison->told.moving)) {
        buf_clear(&comparison->columns);
        TRY(buf_append(&comparison->columns, comparison->audit->foreign.key->name, err) &&
            tell(comparison, AUDIT_STALE, rows[last].batch, rows[last].row, err));
    }
    if (live > 0 && !comparison->told.moving && !is_refused(comparison->api, &rows[last].key))
        TRY(tell(comparison, AUDIT_VANISHED, rows[last].batch, rows[last].row, err));
    return !is_doubled(comparison, count, live) ||
           (tell(comparison, AUDIT_DOUBLED, rows[last].batch, rows[last].row, err) &&
            audit_repair_doubled(&comparison->repair, &rows[last].key, false, err));
}

static bool compare_rows(Comparison *comparison, const ApiRows *api, ForeignRows *table, Error *err)
{
    const ApiRow *rows = api->items;
    const size_t count = api->count;
    sort_table(table);
    comparison->told.api_rows = (int64_t)count;
    for (size_t i = 0; i < table->count; i++)
        comparison->told.table_rows += table->items[i].inside && !table->items[i].deleted ? 1 : 0;
    size_t t = 0;
    for (size_t a = 0; a < count || t < table->count;) {
        size_t end = t;
        while (end < table->count &&
               key128_compare(&table->items[end].key, &table->items[t].key) == 0)
            end++;
        const int order = a == count          ? 1
                          : t == table->count ? -1
                                              : key128_compare(&rows[a].key, &table->items[t].key);
        if (order > 0)
            TRY(compare_rest(comparison, &table->items[t], end - t, err));
        else
            TRY(compare_key(comparison, &rows[a], &table->items[t], order == 0 ? end - t : 0, err));
        t = order >= 0 ? end : t;
        a += order <= 0 ? 1 : 0;
    }
    return true;
}

// --- slices

// What the API shows; once more where its total and its rows disagree.
static bool read_api(Audit *audit, const PlanSlice *slice, Arena *arena, SliceRows *ret_rows,
                     ApiRows *ret_sorted, bool *ret_moving, Error *err)
{
    const bool tells = contract_info(audit->stream->contract)->total_pointer.size > 0;
    for (int look = 0;; look++) {
        TRY(slice_read(&audit->reader, audit->stream, slice, audit->api_shaper, arena, ret_rows,
                       err));
        audit->report->requests += ret_rows->requests;
        if (!sort_api(ret_rows, arena, ret_sorted, err)) {
            slice_rows_done(ret_rows);
            return false;
        }
        const int64_t keys = (int64_t)ret_sorted->count + ret_rows->quarantined +
                             left_out_distinct(&ret_rows->left_out);
        *ret_moving = ret_rows->totals_moved || (tells && ret_rows->total != keys);
        if (!*ret_moving || look == 1)
            return true;
        slice_rows_done(ret_rows);
    }
}

// Rows that the window lacks may stand elsewhere in the table, with another time or none: they are
// not missing, and to insert them would double them.
static bool find_elsewhere(Audit *audit, const ForeignWindow *window, const ApiRows *api,
                           Arena *arena, ForeignRows *table, Error *err)
{
    if (window->from_us == window->to_us) // then all rows of the partition are at hand
        return true;
    ForeignKeys keys = {.items = arena_alloc_array(arena, api->count + 1, sizeof(ForeignKey), err)};
    TRY(keys.items != NULL);
    sort_table(table);
    for (size_t a = 0, t = 0; a < api->count; a++) {
        const ApiRow *row = &api->items[a];
        while (t < table->count && key128_compare(&table->items[t].key, &row->key) < 0)
            t++;
        if (t == table->count || key128_compare(&table->items[t].key, &row->key) != 0)
            keys.items[keys.count++] = (ForeignKey){row->key, row->batch, row->row};
    }
    return foreign_read_keys(&audit->foreign, window, &keys, audit->table_shaper, arena, table,
                             err);
}

static void note_day(AuditReport *report, Str day)
{
    if (day.size == 0)
        return;
    if (report->first_day.size == 0 || str_compare(day, report->first_day) < 0)
        report->first_day = day;
    if (report->last_day.size == 0 || str_compare(day, report->last_day) > 0)
        report->last_day = day;
}

static bool compare_slice(Audit *audit, size_t index, Error *err)
{
    const PlanStream *stream = audit->stream;
    const PlanSlice *slice = &stream->slices[index];
    AuditReport *report = audit->report;
    ForeignWindow window = {.slice = slice};
    char day[TIME_TEXT_BYTES] = "";
    int64_t from_us = 0;
    int64_t to_us = 0;
    plan_slice_bounds(stream, slice, &from_us, &to_us);
    plan_window_bounds(stream, slice, &window.from_us, &window.to_us);
    if (window.from_us == window.to_us) { // dates, and hours to look at: a day too much
        window.from_us = from_us;
        window.to_us = to_us;
    }
    if (stream->cursor.exists)
        date_format(zone_date_at(stream->partitions[slice->partition].zone, from_us), day);
    CLEANUP(arena_freep) Arena *arena = arena_new(AUDIT_ARENA_BYTES, err);
    TRY(arena != NULL);
    CLEANUP(slice_rows_done) SliceRows api = {0};
    CLEANUP(foreign_rows_done) ForeignRows table = {0};
    ApiRows rows = {0};
    Comparison comparison = {.audit = audit, .slice = slice, .api = &api, .arena = arena};
    comparison.told = (AuditSlice){.stream = stream_name(stream->stream),
                                   .partition = stream->partitions[slice->partition].value,
                                   .done = index + 1,
                                   .total = stream->slice_count};
    TRY(arena_copy_str(audit->arena, str_from(day), &comparison.told.day, err));
    comparison.repair = (AuditRepair){.foreign = &audit->foreign,
                                      .env = audit->env,
                                      .arena = arena,
                                      .wanted = audit->options->repair,
                                      .differs = &comparison.columns};
    bool ok = read_api(audit, slice, arena, &api, &rows, &comparison.told.moving, err) &&
              foreign_read(&audit->foreign, &window, audit->table_shaper, arena, &table, err) &&
              find_elsewhere(audit, &window, &rows, arena, &table, err) &&
              compare_rows(&comparison, &rows, &table, err) &&
              audit_repair_commit(&comparison.repair, err);
    buf_done(&comparison.columns);
    TRY(ok);
    int64_t differences = 0;
    for (size_t i = 0; i < AUDIT_PROBLEMS; i++) {
        report->found[i] += comparison.told.found[i];
        differences += comparison.told.found[i];
    }
    if (differences > 0)
        note_day(report, comparison.told.day);
    report->slices++;
    report->api_rows += comparison.told.api_rows;
    report->table_rows += comparison.told.table_rows;
    report->forgotten += left_out_distinct(&api.left_out);
    report->unreadable += table.unreadable;
    report->slices_moving += comparison.told.moving ? 1 : 0;
    report->inserted += comparison.repair.inserted;
    report->updated += comparison.repair.updated;
    report->removed += comparison.repair.removed;
    const AuditOptions *options = audit->options;
    return options->slice == NULL || options->slice(options->state, &comparison.told, err);
}

// A partition that is refused is passed over; the others go on.
static bool compare_all(Audit *audit, Error *err)
{
    PlanStream *stream = audit->stream;
    for (size_t i = 0; i < stream->slice_count; i++) {
        PlanPartition *partition = &stream->partitions[stream->slices[i].partition];
        if (partition->broken)
            continue;
        TRY(env_check_stop(audit->env, err) &&
            (!audit->options->repair || lease_renew(&audit->repair, err)));
        if (compare_slice(audit, i, err))
            continue;
        if (err->code != ERROR_ACCESS || stream->partition_count == 1)
            return false;
        partition->broken = true;
        audit->report->partitions_refused++;
        *err = (Error){0};
    }
    return true;
}

// --- beginning

static bool open_parts(Audit *audit, Str stream, Error *err)
{
    const AuditOptions *options = audit->options;
    Findings *findings = findings_new(audit->arena, err);
    TRY(findings != NULL);
    TRY(job_parts_open(audit->job, stream, audit->env, audit->arena, findings, &audit->parts,
                       err) &&
        findings_check(findings, err) &&
        (!options->repair ||
         exclusive_take_repair(&audit->repair, audit->job, &audit->parts.store, audit->env, err)));
    audit->stream = &audit->parts.streams[0];
    audit->warehouse = &audit->parts.warehouse;
    audit->plan = (Plan){.mode = MODE_HISTORIC,
                         .asked = {.from = options->from, .to = options->to},
                         .streams = audit->parts.streams,
                         .stream_count = 1};
    const FetchOptions fetch = {.job = audit->job,
                                .mode = MODE_HISTORIC,
                                .connector = audit->parts.connector,
                                .env = audit->env,
                                .connect_to = options->connect_to,
                                .arena = audit->arena};
    return forget_list_read(audit->job, &audit->parts.store, audit->arena, &audit->forget, err) &&
           fetch_open(&fetch, &audit->fetch, err);
}

static bool cut_slices(Audit *audit, Error *err)
{
    const DiscoverOptions discover = {.job = audit->job,
                                      .plan = &audit->plan,
                                      .fetch = audit->fetch,
                                      .env = audit->env,
                                      .arena = audit->arena,
                                      .only_value = audit->options->account,
                                      .sink = &event_sink_none};
    const PlanKnowledge nothing = {0};
    return partition_discover(&discover, audit->stream, err) &&
           partition_check_named(audit->stream, 1, audit->options->account, err) &&
           plan_slices(audit->job, &audit->plan, audit->stream, &nothing,
                       audit->env->now_us(audit->env->state), audit->arena, err);
}

static bool open_readers(Audit *audit, Error *err)
{
    audit->reader = (SliceReader){.job = audit->job,
                                  .env = audit->env,
                                  .fetch = audit->fetch,
                                  .forgotten = audit->forget.forgotten};
    audit->reader.page_arena = arena_new(AUDIT_ARENA_BYTES, err);
    audit->reader.request_arena = arena_new(REQUEST_ARENA_BYTES, err);
    TRY(audit->reader.page_arena != NULL && audit->reader.request_arena != NULL &&
        shaper_new(audit->stream->contract, NULL, &audit->api_shaper, err) &&
        shaper_new(audit->stream->contract, NULL, &audit->table_shaper, err));
    // Feeds' tables lack columns, and of our own only what tells rows apart is looked at.
    shaper_set_table(audit->table_shaper, true);
    shaper_set_lenient(audit->table_shaper);
    return true;
}

bool audit_execute(const Job *job, const AuditOptions *options, Env *env, Arena *arena,
                   AuditReport *ret_report, Error *err)
{
    *ret_report = (AuditReport){0};
    CLEANUP(audit_done)
    Audit audit = {
        .job = job, .options = options, .env = env, .arena = arena, .report = ret_report};
    ForeignOptions table = options->table;
    if (foreign_is_csv(table.table) && options->repair)
        return error_set(err, ERROR_JOB,
                         "a file cannot be repaired: take the .csv of the findings");
    TRY(foreign_choose_stream(job, table.table, options->stream, &ret_report->stream, err) &&
        open_parts(&audit, ret_report->stream, err) &&
        (!foreign_is_csv(table.table) || open_csv(&audit, &table, err)) &&
        cut_slices(&audit, err) &&
        foreign_open(&table, audit.warehouse, audit.stream, arena, &audit.foreign, err) &&
        foreign_check_times(&audit.foreign, false, err) &&
        (!options->repair || foreign_know_units(&audit.foreign, err)) && open_readers(&audit, err));
    ret_report->feed = audit.foreign.feed;
    ret_report->kind = audit.foreign.kind;
    ret_report->compared_columns = audit.foreign.compared_count;
    return compare_all(&audit, err);
}
