#include "api/handle.h"
#include "run/preview.h"
#include "run/reader.h"

// --- slices out

// The plan of a run that does not happen: it leaves with its stream.
typedef struct DryPlan {
    JobParts parts;
    Plan plan;
    Arena *arena;
    SliceCursor cursor;
} DryPlan;

static bool next_dry(void *state, struct ArrowArray *ret_array, Error *err)
{
    DryPlan *dry = state;
    return slice_cursor_next(&dry->cursor, &dry->plan, dry->arena, ret_array, err);
}

static void close_dry(void *state)
{
    DryPlan *dry = state;
    job_parts_close(&dry->parts);
}

static bool make_dry_plan(PawlJob *job, const RunOptions *options, DryPlan *dry, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new((size_t)1024 * 1024, err);
    TRY(arena != NULL);
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    TRY(job_parts_open(job->job, options->stream, &job->env, dry->arena, findings, &dry->parts,
                       err));
    TRY(findings_check(findings, err));
    dry->plan = (Plan){.mode = options->mode,
                       .asked = {.from = options->from, .to = options->to},
                       .created_us = job->env.now_us(job->env.state),
                       .streams = dry->parts.streams,
                       .stream_count = dry->parts.stream_count};
    return preview_plan(&dry->parts, options, &event_sink_none, &dry->plan, err);
}

bool pawl_plan(PawlJob *job, const PawlOptions *wanted, struct ArrowArrayStream *ret_slices,
               PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    DryPlan *dry = arena_alloc(arena, sizeof(*dry), err);
    RunOptions options = {0};
    if (dry != NULL) {
        dry->arena = arena;
        if (handle_run_options(wanted, arena, &options, err) &&
            make_dry_plan(job, &options, dry, err)) {
            const Table table = {.columns = slice_rows_columns,
                                 .column_count = SLICE_ROWS_COLUMNS,
                                 .next = next_dry,
                                 .close = close_dry,
                                 .state = dry,
                                 .arena = arena,
                                 .job = job};
            return table_export(&table, ret_slices, err);
        }
        close_dry(dry);
    }
    arena_free(arena);
    return false;
}

// --- slices in

static bool next_rows(void *state, struct ArrowArray *ret_array, Error *err)
{
    ShapedBatch *batch = NULL;
    do {
        shaped_batch_free(batch);
        TRY(reader_next_batch(state, &batch, err));
    } while (batch != NULL && batch->rows == 0); // all of its records are in quarantine
    if (batch == NULL)
        return true;
    *ret_array = batch->array;
    batch->array = (struct ArrowArray){0};
    shaped_batch_free(batch);
    return true;
}

static bool add_report(BatchBuilder *builder, const SliceReport *report, Error *err)
{
    size_t i = 0;
    return batch_row_begin(builder, err) && batch_set_str(builder, i++, report->stream, err) &&
           batch_set_int64(builder, i++, report->slice, err) &&
           batch_set_int64(builder, i++, report->reading, err) &&
           batch_set_str(builder, i++, report->value, err) &&
           batch_set_bool(builder, i++, report->whole, err) &&
           batch_set_bool(builder, i++, report->shows_all, err) &&
           batch_set_bool(builder, i++, report->in_one_go, err) &&
           batch_set_int64(builder, i++, report->records, err) &&
           batch_set_int64(builder, i++, report->keys, err) &&
           batch_set_int64(builder, i++, report->quarantined, err) &&
           batch_set_int64(builder, i++, report->total, err) &&
           batch_set_int64(builder, i++, report->pages, err) &&
           batch_set_int64(builder, i++, report->bytes, err) &&
           batch_set_int64(builder, i++, report->requests, err) &&
           batch_set_int64(builder, i++, report->retries, err) &&
           batch_set_int64(builder, i++, report->waited_us, err) &&
           batch_set_int64(builder, i++, report->fetched_us, err) &&
           batch_set_int64(builder, i++, report->started_us, err) &&
           batch_set_int64(builder, i++, report->ended_us, err) &&
           (report->error.size == 0 || batch_set_str(builder, i, report->error, err)) &&
           batch_row_end(builder, err);
}

#define LITERAL(text)          \
    {                          \
        text, sizeof(text) - 1 \
    } // STR() is no constant

// clang-format off
static const Column report_columns[] = {
    {.name = LITERAL("stream"),      .type = COLUMN_STRING,  .required = true},
    {.name = LITERAL("slice"),       .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("reading"),     .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("value"),       .type = COLUMN_STRING,  .required = true},
    {.name = LITERAL("whole"),       .type = COLUMN_BOOLEAN, .required = true},
    {.name = LITERAL("shows_all"),   .type = COLUMN_BOOLEAN, .required = true},
    {.name = LITERAL("in_one_go"),   .type = COLUMN_BOOLEAN, .required = true},
    {.name = LITERAL("records"),     .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("keys"),        .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("quarantined"), .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("total"),       .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("pages"),       .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("bytes"),       .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("requests"),    .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("retries"),     .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("waited_us"),   .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("fetched_us"),  .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("started_us"),  .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("ended_us"),    .type = COLUMN_INT64,   .required = true},
    {.name = LITERAL("error"),       .type = COLUMN_STRING},
};
// clang-format on
enum { REPORT_COLUMNS = sizeof(report_columns) / sizeof(report_columns[0]), REPORT_ROWS = 64 };

static bool next_reports(void *state, struct ArrowArray *ret_array, Error *err)
{
    CLEANUP(batch_builder_freep) BatchBuilder *builder = NULL;
    TRY(batch_builder_new(report_columns, REPORT_COLUMNS, &builder, err));
    bool more = true;
    while (more && batch_builder_rows(builder) < REPORT_ROWS) {
        SliceReport report = {0};
        TRY(reader_next_report(state, &report, &more, err));
        if (more)
            TRY(add_report(builder, &report, err));
    }
    return batch_builder_rows(builder) == 0 || batch_builder_finish(builder, ret_array, err);
}

static void close_reader(void *state)
{
    reader_close(state);
}

static void release_stream(struct ArrowArrayStream **stream)
{
    if ((*stream)->release != NULL)
        (*stream)->release(*stream);
}

static bool open_reader(PawlJob *job, struct ArrowArrayStream *slices,
                        const PawlReadOptions *wanted, ReaderWay way, Arena *arena,
                        Reader **ret_reader, Error *err)
{
    PawlReadOptions own = {0};
    if (wanted != NULL) {
        if (wanted->size < sizeof(own.size))
            return error_set(err, ERROR_JOB, "options without their size");
        memcpy(&own, wanted, wanted->size < sizeof(own) ? wanted->size : sizeof(own));
    }
    ReaderOptions options = {
        .job = job->job, .env = &job->env, .arena = arena, .way = way, .siblings = own.siblings};
    if (own.stream != NULL)
        TRY(arena_copy_str(arena, str_from(own.stream), &options.stream, err));
    SliceRow *rows = NULL;
    size_t count = 0;
    TRY(slice_rows_read(slices, arena, &rows, &count, err));
    return reader_open(&options, rows, count, ret_reader, err);
}

// Opens a reader of `slices`, which are released, and makes what it reads a stream.
static bool export_reader(PawlJob *job, struct ArrowArrayStream *slices,
                          const PawlReadOptions *options, ReaderWay way,
                          struct ArrowArrayStream *ret_stream, PawlError *error)
{
    Error *err = handle_error(error);
    *err = (Error){0};
    CLEANUP(release_stream) struct ArrowArrayStream *taken = slices;
    Arena *arena = arena_new(HANDLE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Reader *reader = NULL;
    if (!open_reader(job, taken, options, way, arena, &reader, err)) {
        arena_wipe(arena);
        return false;
    }
    Table table = {.columns = report_columns,
                   .column_count = REPORT_COLUMNS,
                   .next = next_reports,
                   .close = close_reader,
                   .state = reader,
                   .arena = arena,
                   .job = job};
    if (way != READER_LANDING) {
        table.columns = contract_columns(reader_stream(reader)->contract, &table.column_count);
        table.next = next_rows;
    }
    return table_export(&table, ret_stream, err);
}

bool pawl_read(PawlJob *job, struct ArrowArrayStream *slices, const PawlReadOptions *options,
               struct ArrowArrayStream *ret_rows, PawlError *err)
{
    return export_reader(job, slices, options, READER_PASSING, ret_rows, err);
}

bool pawl_land(PawlJob *job, struct ArrowArrayStream *slices, const PawlReadOptions *options,
               struct ArrowArrayStream *ret_reports, PawlError *err)
{
    return export_reader(job, slices, options, READER_LANDING, ret_reports, err);
}

bool pawl_read_landed(PawlJob *job, struct ArrowArrayStream *slices, const PawlReadOptions *options,
                      struct ArrowArrayStream *ret_rows, PawlError *err)
{
    return export_reader(job, slices, options, READER_LANDED, ret_rows, err);
}
