#include "run/adopt.h"

#include "base/kill.h"
#include "lake/seal.h"
#include "run/adopt_parts.h"
#include "run/feed_state.h"
#include "run/partition.h"
#include "run/views.h"
#include "warehouse/sql.h"

#include <stdio.h>

enum {
    NOTE_BYTES_MAX = 256 * 1024 * 1024,
    STATEMENTS_MAX = 3,
    ROWS_A_LOAD = 20480, // rows of a slice are all held: less than a run's loads
};

#define NOTE_KIND "adopt"

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
    Str statements[STATEMENTS_MAX];
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
        TRY(foreign_check_times(&adoption->foreign, true, err) &&
            foreign_range(&adoption->foreign, NULL, &first_us, &last_us, &any, err));
        // Times to come are nobody's yet, and one row of the year 2999 would make days of all until
        // then.
        last_us = last_us < plan->created_us + US_PER_DAY ? last_us : plan->created_us + US_PER_DAY;
        any = any && first_us <= last_us;
        TRY(day_text(adoption, first_us, -1, &plan->asked.from, err) &&
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
                           foreign_holds_numbers(column);
        if (epoch)
            TRY(buf_append(sql, STR("CAST(extract(epoch FROM "), err));
        if (direct)
            TRY(sql_own_name(dialect, sql, spec->columns[column->column].name, err));
        else if (column == foreign->synced)
            TRY(buf_append(sql, STR("_fetched_at"), err));
        else
            TRY(buf_append(sql, STR("NULL"), err));
        // Seconds, unless the column held parts of them.
        if (epoch && column->unit_us > 0 && column->unit_us < US_PER_SECOND)
            TRY(buf_printf(sql, err, ") * %lld AS BIGINT)",
                           (long long)(US_PER_SECOND / column->unit_us)));
        else if (epoch)
            TRY(buf_append(sql, STR(") AS BIGINT)"), err));
        TRY(buf_append(sql, STR(" AS "), err) && sql_name(sql, column->name, err));
    }
    return buf_append(sql, STR(" FROM "), err) && sql_own_table(dialect, sql, spec, "", err) &&
           buf_append(sql, STR(" WHERE _deleted_at IS NULL"), err);
}

typedef struct Readers {
    Buf *sql; // "GRANT ... TO a, b"; empty = nobody
    const Adoption *adoption;
    Error *err;
    bool failed;
} Readers;

static bool append_grant(const Readers *readers, Str who)
{
    const Adoption *adoption = readers->adoption;
    Buf *sql = readers->sql;
    Error *err = readers->err;
    if (sql->size == 0)
        TRY(buf_append(sql, STR("GRANT SELECT ON "), err) &&
            foreign_name(sql, adoption->schema, adoption->name, err) &&
            buf_append(sql, STR(" TO "), err));
    else
        TRY(buf_append(sql, STR(", "), err));
    return str_equal(who, STR("PUBLIC")) ? buf_append(sql, who, err) : sql_name(sql, who, err);
}

static bool visit_reader(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Readers *readers = visitor;
    readers->failed = !append_grant(readers, cells[0]);
    return !readers->failed;
}

// Who may read the old table may read what stands under its name.
static bool append_readers(const Adoption *adoption, Buf *grant, Error *err)
{
    const Warehouse *warehouse = &adoption->parts.warehouse;
    const SqlDialect *dialect = warehouse->driver->dialect;
    CLEANUP(buf_done) Buf sql = {0};
    Readers readers = {.sql = grant, .adoption = adoption, .err = err};
    if (!dialect->tells_readers)
        return true;
    return buf_append(&sql,
                      STR("SELECT DISTINCT grantee FROM information_schema.table_privileges WHERE "
                          "privilege_type = 'SELECT' AND table_schema = "),
                      err) &&
           sql_literal(dialect, &sql, adoption->schema, err) &&
           buf_append(&sql, STR(" AND table_name = "), err) &&
           sql_literal(dialect, &sql, adoption->source_moved ? adoption->before : adoption->name,
                       err) &&
           warehouse->driver->query(warehouse->state, buf_str(&sql), visit_reader, &readers, err) &&
           !readers.failed;
}

static bool leave_view(Adoption *adoption, Error *err)
{
    CLEANUP(buf_done) Buf rename = {0};
    CLEANUP(buf_done) Buf view = {0};
    CLEANUP(buf_done) Buf grant = {0};
    // A raw table's record is not kept as it was: nothing could stand in for it.
    if (adoption->is_target || adoption->foreign.kind == FOREIGN_RECORDS)
        return true;
    ForeignPlace now = {0};
    TRY(foreign_find(&adoption->parts.warehouse, adoption->schema, adoption->name, adoption->arena,
                     &now, err));
    adoption->report->has_view = true;
    if (adoption->source_moved && now.type.size > 0)
        return true;
    TRY(foreign_know_units(&adoption->foreign, err) && append_rename(adoption, &rename, err) &&
        append_view(adoption, &view, err) && append_readers(adoption, &grant, err));
    Buf *const texts[STATEMENTS_MAX] = {&rename, &view, &grant};
    const size_t first = adoption->source_moved ? 1 : 0;
    const size_t end = grant.size > 0 ? 3 : 2;
    return run_statements(adoption, "adopt view", texts + first, end - first, err);
}

// --- the whole

static bool open_all(Adoption *adoption, Error *err)
{
    Findings *findings = findings_new(adoption->arena, err);
    TRY(findings != NULL);
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
        views_create(&adoption->parts, err) && adopt_make_loads(adoption, err) &&
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
