#include "run/check.h"

#include "base/file.h"
#include "base/hash.h"
#include "run/drivers.h"
#include "run/fetch.h"
#include "run/lake.h"
#include "store/lease.h"

#include <stdio.h>
#include <unistd.h>

#define SKEW_US_MAX (INT64_C(300) * US_PER_SECOND)

enum { AUTHS_MAX = 32, PAGE_ARENA_BYTES = 1024 * 1024 * 1024 };

typedef struct Checker {
    const Job *job;
    const CheckOptions *options;
    Env *env;
    Arena *arena;
    Findings *findings;
    CheckReport *report;
    Connector *connector;
    TableSpec *tables; // of the enabled streams whose contracts hold
    size_t table_count;
} Checker;

static bool add(Checker *checker, CheckStatus status, ErrorCode code, Str what, Str text,
                Error *err)
{
    CheckReport *report = checker->report;
    if (status == CHECK_FAULT && report->faults++ == 0)
        report->code = code;
    if (report->count == CHECK_ITEMS_MAX)
        return true;
    CheckItem *item = &report->items[report->count++];
    item->status = status;
    return arena_copy_str(checker->arena, what, &item->what, err) &&
           arena_copy_str(checker->arena, text, &item->text, err);
}

static bool good(Checker *checker, Str what, Str text, Error *err)
{
    return add(checker, CHECK_GOOD, ERROR_NONE, what, text, err);
}

static bool fault(Checker *checker, Str what, const Error *why, Error *err)
{
    return add(checker, CHECK_FAULT, why->code, what, str_from(why->message), err);
}

// --- files

// What may fail is told; what always does is a finding (job_check_columns()).
static bool note_columns(Checker *checker, Str stream, size_t columns, Error *err)
{
    enum { MIB = 1024 * 1024 };
    const WarehouseRoom room = job_warehouse_room(checker->job, columns);
    if (room.enough <= room.granted || room.least > room.granted)
        return true;
    Str text = {0};
    TRY(arena_printf(checker->arena, &text, err,
                     "stream '" STR_FMT "' has %zu columns: its loads may take %llu MiB in " STR_FMT
                     ", which gets %llu; limits.memory of %lluMiB is enough for short texts",
                     STR_ARG(stream), columns, (unsigned long long)(room.enough / MIB),
                     STR_ARG(checker->job->warehouse_driver),
                     (unsigned long long)(room.granted / MIB),
                     (unsigned long long)(room.limit_enough / MIB + 1)));
    return add(checker, CHECK_NOTE, ERROR_NONE, STR("memory"), text, err);
}

static bool binds(const ContractInfo *info, Str path, bool outermost)
{
    for (size_t i = 0; i < info->partition_count; i++) {
        const Str place = info->partition_fields[i];
        if (str_equal(place, path) ||
            (outermost && str_equal(place, str_slice(path, 1, path.size))))
            return true;
    }
    return false;
}

// Deletions are marked only where it is certain whose rows they are (slice_partition_values()).
static bool note_partition(Checker *checker, const Stream *stream, const Contract *contract,
                           Error *err)
{
    if (!checker->job->modes[MODE_REHYDRATION].given)
        return true;
    const Str name = stream_name(stream);
    Str prefix = STR("");
    for (const Stream *at = stream; stream_parent(at) != NULL; at = stream_parent(at)) {
        Str path = {0};
        Str text = {0};
        TRY(arena_printf(checker->arena, &path, err, STR_FMT "/" STR_FMT, STR_ARG(prefix),
                         STR_ARG(stream_partition_field(at))));
        if (!binds(contract_info(contract), path, at == stream)) {
            TRY(arena_printf(checker->arena, &text, err,
                             "stream '" STR_FMT "': no column of its contract says \"from_partition"
                             "\": \"" STR_FMT "\", so deleted rows are never marked",
                             STR_ARG(name), STR_ARG(path)));
            return add(checker, CHECK_NOTE, ERROR_NONE, STR("deletions"), text, err);
        }
        TRY(arena_printf(checker->arena, &prefix, err, STR_FMT "/parent_slice", STR_ARG(prefix)));
    }
    return true;
}

static bool is_same(const HttpRequest *a, const HttpRequest *b)
{
    bool same = str_equal(a->method, b->method) && str_equal(a->url, b->url) &&
                str_equal(a->body, b->body) && a->header_count == b->header_count;
    for (size_t i = 0; same && i < a->header_count; i++)
        same = str_equal(a->headers[i].name, b->headers[i].name) &&
               str_equal(a->headers[i].value, b->headers[i].value);
    return same;
}

// False where it is not known what would be asked, say because of a partition's template.
static bool first_request(const Stream *stream, int64_t day_us, Arena *arena,
                          HttpRequest *ret_request)
{
    const Window window = {.from_us = day_us, .to_us = day_us};
    Partition partition = {0};
    bool more = false;
    Error ignored = {0};
    CLEANUP(page_reader_freep) PageReader *reader = NULL;
    return stream_partition_from_key(stream, STR("{}"), arena, &partition, &ignored) &&
           page_reader_new(stream, &partition, &window, arena, &reader, &ignored) &&
           page_reader_request(reader, arena, ret_request, &more, &ignored) && more;
}

// Each window of a stream is a reading of its own. An API that is not told which one it is shows
// all that it has, each time: 500 days are 500 readings of everything. The CDK reads such a stream
// once, and drops what is older than its state (is_client_side_incremental) or stops there
// (is_data_feed). To drop here what lies outside of a window would make the readings no fewer, and
// rehydration would take rows for deleted that the contract's window_column puts into it and the
// manifest's cursor, mostly another field, does not.
static bool note_window(Checker *checker, const Stream *stream, Error *err)
{
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(arena != NULL);
    HttpRequest one = {0}, other = {0};
    if (!stream_cursor(stream).exists || !first_request(stream, 20000 * US_PER_DAY, arena, &one) ||
        !first_request(stream, 20100 * US_PER_DAY, arena, &other) || !is_same(&one, &other))
        return true;
    Str text = {0};
    TRY(arena_printf(checker->arena, &text, err,
                     "stream '" STR_FMT "' does not tell the API which window it asks for: each "
                     "window reads the whole collection; without incremental_sync in the manifest "
                     "it is read once a run",
                     STR_ARG(stream_name(stream))));
    return add(checker, CHECK_NOTE, ERROR_NONE, STR("windows"), text, err);
}

static bool check_stream(Checker *checker, const JobStream *target, Error *err)
{
    Str place = {0};
    TRY(arena_printf(checker->arena, &place, err, STR_FMT ": /streams/" STR_FMT,
                     STR_ARG(checker->job->path), STR_ARG(target->name)));
    const Stream *stream = NULL;
    Error why = {0};
    if (checker->connector != NULL &&
        (!connector_find_stream(checker->connector, target->name, &stream, &why) ||
         (target->enabled && !stream_check(stream, &why))))
        findings_add(checker->findings, place, str_from(why.message), STR(""));
    if (stream != NULL && target->enabled)
        TRY(note_window(checker, stream, err));
    Contract *contract = NULL;
    why = (Error){0};
    if (target->contract_path.size > 0 && !contract_open(target->contract_path.data, checker->arena,
                                                         checker->findings, &contract, &why))
        findings_add(checker->findings, place, str_from(why.message), STR(""));
    if (stream != NULL && contract != NULL)
        TRY(job_check_erasure(target, stream, contract, checker->arena, checker->findings, err));
    checker->report->streams += target->enabled ? 1 : 0;
    if (contract == NULL || !target->enabled)
        return true;
    size_t columns = 0;
    (void)contract_columns(contract, &columns);
    TRY(job_check_columns(checker->job, target->name, columns, checker->arena, checker->findings,
                          err) &&
        note_columns(checker, target->name, columns, err) &&
        (stream == NULL || note_partition(checker, stream, contract, err)));
    checker->tables[checker->table_count++] =
        (TableSpec){.schema = target->schema, .name = target->table};
    return true;
}

static bool check_files(Checker *checker, Error *err)
{
    const Job *job = checker->job;
    const size_t before = checker->findings->count;
    Error why = {0};
    if (job->connector_path.size > 0 &&
        !connector_open(job->connector_path.data, job->config, checker->env, checker->arena,
                        checker->findings, &checker->connector, &why))
        findings_add(checker->findings, job->connector_path, str_from(why.message),
                     STR("see \"connector\" in the job"));
    if (checker->findings->count > before)
        checker->connector = NULL;
    checker->tables =
        arena_alloc_array(checker->arena, job->stream_count + 1, sizeof(TableSpec), err);
    TRY(checker->tables != NULL);
    for (size_t i = 0; i < job->stream_count; i++)
        TRY(check_stream(checker, &job->streams[i], err));
    return true;
}

// --- stores

static bool found_probe(void *visitor, const StoreEntry *entry)
{
    (void)entry;
    *(bool *)visitor = true;
    return false;
}

// A lease is taken once on a file of its own: rights to write do not always hold for leases.
static bool probe_lease(Checker *checker, Store *store, Str probe, Error *err)
{
    Str path = {0};
    CLEANUP(lease_release) Lease lease = {0};
    TRY(arena_printf(checker->arena, &path, err, STR_FMT ".lease", STR_ARG(probe)));
    if (!lease_take(&lease, store, path, STR("check"), LEASE_TTL_US_MIN, err))
        return error_context(err, "lease");
    lease_release(&lease);
    return store_remove(store, path, err) || error_context(err, "delete");
}

// Every kind of request that a run makes, each by its name: an identity may have the right to some
// of them only.
static bool probe_store(Checker *checker, Store *store, bool leases, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(checker->env, id);
    Str path = {0};
    char byte = 0;
    size_t got = 0;
    bool listed = false;
    TRY(arena_printf(checker->arena, &path, err, STR_FMT "/check-%s", STR_ARG(checker->job->name),
                     id));
    if (!store_put(store, path, STR("a probe of pawl check; it may be removed"), 0, err))
        return error_context(err, "write");
    if (!store_read(store, path, 0, &byte, 1, &got, err))
        return error_context(err, "read");
    if (!store_list(store, checker->job->name, STORE_SHALLOW, found_probe, &listed, err))
        return error_context(err, "list");
    if (!store_remove(store, path, err))
        return error_context(err, "delete");
    // On a local disk a lease is a file like others, and one more would stay.
    const bool apart = (store->driver->features & STORE_REMOTE) != 0;
    return !leases || !apart || probe_lease(checker, store, path, err);
}

static bool check_landing(Checker *checker, Error *err)
{
    const Str what = STR("landing store");
    const size_t before = checker->findings->count;
    CLEANUP(store_close) Store store = {0};
    CLEANUP(landing_closep) Landing *landing = NULL;
    Error why = {0};
    const bool ok = job_open_landing(checker->job, checker->env, checker->arena, checker->findings,
                                     &store, &landing, &why);
    if (checker->findings->count > before)
        return true;
    if (!ok || !probe_store(checker, &store, true, &why))
        return fault(checker, what, &why, err);
    return good(checker, what, STR("is writable"), err);
}

static bool no_row(void *visitor, const Str *cells, size_t columns)
{
    (void)visitor;
    (void)cells;
    (void)columns;
    return true;
}

// One that is a file which no run has made yet: may it be made?
static bool check_new_file(Checker *checker, Str what, Error *err)
{
    Str path = {0};
    Error why = {0};
    const Str given = json_str(json_get(checker->job->warehouse_options, STR("path")));
    TRY(file_join(checker->arena, checker->job->folder, given, &path, err));
    Str folder = {0};
    TRY(arena_copy_str(checker->arena, file_folder(path), &folder, err));
    if (access(folder.data, W_OK) == 0)
        return good(checker, what, STR("is not there yet; the first run makes it"), err);
    (void)file_error(&why, "make the warehouse in", folder.data);
    return fault(checker, what, &why, err);
}

// Each right that the credential lacks, with the statement that gives it.
static bool check_rights(Checker *checker, Warehouse *warehouse, Str what, bool *ret_lacks,
                         Error *why, Error *err)
{
    *ret_lacks = false;
    if (warehouse->driver->check == NULL)
        return true;
    Findings *lacking = findings_new(checker->arena, err);
    TRY(lacking != NULL);
    if (!warehouse->driver->check(warehouse->state, checker->tables, checker->table_count, lacking,
                                  why))
        return true;
    for (size_t i = 0; i < lacking->count && i < FINDINGS_MAX; i++) {
        const Finding *finding = &lacking->items[i];
        Str text = {0};
        TRY(arena_printf(checker->arena, &text, err, STR_FMT ": " STR_FMT, STR_ARG(finding->what),
                         STR_ARG(finding->fix)));
        TRY(add(checker, CHECK_FAULT, ERROR_ACCESS, what, text, err));
    }
    *ret_lacks = lacking->count > 0;
    return true;
}

// The store that a warehouse's loads come from, where it has one.
static bool check_stage(Checker *checker, const StageFiles *files, Error *err)
{
    const Str what = STR("warehouse stage");
    char id[UUID_TEXT_BYTES + 1];
    Str path = {0};
    Str back = {0};
    Error why = {0};
    if (files->state == NULL)
        return true;
    uuid_new(checker->env, id);
    TRY(arena_printf(checker->arena, &path, err, "check-%s", id));
    const Str text = STR("a probe of pawl check; it may be removed");
    if (!files->put(files->state, path, text, &why) ||
        !files->read(files->state, path, text.size, checker->arena, &back, &why) ||
        !files->remove(files->state, path, &why))
        return fault(checker, what, &why, err);
    return good(checker, what, STR("is writable"), err);
}

static bool check_warehouse(Checker *checker, Error *err)
{
    const Str what = STR("warehouse");
    const size_t before = checker->findings->count;
    const Job *looking = NULL;
    TRY(job_to_look(checker->job, checker->arena, &looking, err));
    CLEANUP(warehouse_close) Warehouse warehouse = {0};
    Error why = {0};
    const bool ok = job_open_warehouse(looking, 0, checker->env, checker->arena, checker->findings,
                                       &warehouse, &why);
    if (checker->findings->count > before)
        return true;
    if (ok && !job_has_warehouse(checker->job))
        return check_new_file(checker, what, err);
    bool lacks = false;
    if (ok)
        TRY(check_stage(checker, &warehouse.stage, err));
    if (ok)
        TRY(check_rights(checker, &warehouse, what, &lacks, &why, err));
    if (lacks)
        return true;
    // Preparing no table still writes the ledger's own where they lack.
    if (ok && why.code == ERROR_NONE && warehouse.driver->prepare(warehouse.state, NULL, 0, &why) &&
        warehouse.driver->query(warehouse.state, STR("SELECT 1 AS one"), no_row, NULL, &why))
        return good(checker, what, STR("opens and is writable"), err);
    if (why.code == ERROR_BUSY)
        return add(checker, CHECK_NOTE, ERROR_NONE, what, str_from(why.message), err);
    return fault(checker, what, &why, err);
}

// --- the lake

// Whether the tables of the streams can take loads; those whose files have faults were told.
static bool check_lake(Checker *checker, Error *err)
{
    const Str what = STR("lake");
    const size_t before = checker->findings->count;
    CLEANUP(job_parts_close)
    JobParts parts = {.job = checker->job, .env = checker->env, .arena = checker->arena};
    Error why = {0};
    if (checker->job->lake_store.size == 0)
        return true;
    const bool ok = job_open_lake(checker->job, checker->env, checker->arena, checker->findings,
                                  &parts.lake_store, &parts.lake, &why);
    if (checker->findings->count > before)
        return true;
    if (!ok || !probe_store(checker, &parts.lake_store, false, &why))
        return fault(checker, what, &why, err);
    for (size_t i = 0; i < checker->job->stream_count; i++) {
        if (checker->job->streams[i].enabled &&
            !lake_check_stream(&parts, &checker->job->streams[i], &why))
            return fault(checker, what, &why, err);
    }
    return good(checker, what, STR("is writable, and its tables can take loads"), err);
}

// --- the API

static bool check_clock(Checker *checker, const HttpResponse *response, Error *err)
{
    int64_t there_us = 0;
    bool has_zone = false;
    const Str date = http_header(response, STR("date"));
    if (!time_parse(date, STR("%a, %d %b %Y %H:%M:%S %Z"), NULL, &there_us, &has_zone))
        return true;
    const int64_t skew_us = response->sent_at_us - there_us;
    if (skew_us < SKEW_US_MAX && skew_us > -SKEW_US_MAX)
        return good(checker, STR("clock"), STR("agrees with the server's"), err);
    Str text = {0};
    TRY(arena_printf(checker->arena, &text, err,
                     "is %lld minutes %s the server's: watermarks go by it, so set it right",
                     (long long)((skew_us < 0 ? -skew_us : skew_us) / (60 * US_PER_SECOND)),
                     skew_us < 0 ? "behind" : "ahead of"));
    return add(checker, CHECK_NOTE, ERROR_NONE, STR("clock"), text, err);
}

static bool judge(Checker *checker, Str what, const Stream *stream, const PageOutcome *outcome,
                  const HttpResponse *response, Error *err)
{
    Error why = {0};
    Str text = {0};
    switch (outcome->verdict) {
    case PAGE_RECORDS:
    case PAGE_IGNORED:
    case PAGE_REDIRECT:
        TRY(arena_printf(checker->arena, &text, err,
                         STR_FMT " answered with status %d and %zu rows",
                         STR_ARG(stream_name(stream)), response->status, outcome->record_count));
        return good(checker, what, text, err);
    case PAGE_LIMITED:
    case PAGE_RETRY:
        TRY(arena_printf(checker->arena, &text, err,
                         STR_FMT " answered with status %d: it may be passing",
                         STR_ARG(stream_name(stream)), response->status));
        return add(checker, CHECK_NOTE, ERROR_NONE, what, text, err);
    case PAGE_DENIED:
        (void)error_set(&why, ERROR_ACCESS, STR_FMT ": " STR_FMT " (status %d)",
                        STR_ARG(stream_name(stream)), STR_ARG(outcome->reason), response->status);
        return fault(checker, what, &why, err);
    case PAGE_FAILED:
        break;
    }
    (void)error_set(&why, ERROR_DATA, STR_FMT ": " STR_FMT " (status %d)",
                    STR_ARG(stream_name(stream)), STR_ARG(outcome->reason), response->status);
    return fault(checker, what, &why, err);
}

// The first page of a stream without a parent, with yesterday as its window where it has one.
static bool ask_stream(Checker *checker, Fetch *fetch, const Stream *stream, Error *err)
{
    const Str what = STR("credentials");
    const int64_t now_us = checker->env->now_us(checker->env->state);
    const int64_t day_us = (int64_t)(date_from_us(now_us) - 1) * US_PER_DAY;
    const Window window = {.from_us = day_us, .to_us = day_us};
    CLEANUP(arena_freep) Arena *arena = arena_new(PAGE_ARENA_BYTES, err);
    TRY(arena != NULL);
    Partition partition = {0};
    TRY(stream_partition_from_key(stream, STR("{}"), arena, &partition, err));
    CLEANUP(page_reader_freep) PageReader *reader = NULL;
    CLEANUP(http_exchange_freep) HttpExchange *exchange = NULL;
    HttpRequest request = {0};
    PageOutcome outcome = {0};
    bool more = false;
    Error why = {0};
    if (!page_reader_new(stream, &partition, stream_cursor(stream).exists ? &window : NULL, arena,
                         &reader, &why) ||
        !page_reader_request(reader, arena, &request, &more, &why) ||
        !fetch_exchange(fetch, stream, &request, &exchange, &why))
        return why.code == ERROR_STOPPED ? error_set(err, why.code, "%s", why.message)
                                         : fault(checker, what, &why, err);
    TRY(check_clock(checker, &exchange->response, err));
    if (!page_reader_answer(reader, &exchange->response, arena, &outcome, &why))
        return fault(checker, what, &why, err);
    return judge(checker, what, stream, &outcome, &exchange->response, err);
}

static bool check_api(Checker *checker, Error *err)
{
    const FetchOptions options = {.job = checker->job,
                                  .mode = MODE_INCREMENTAL,
                                  .connector = checker->connector,
                                  .env = checker->env,
                                  .connect_to = checker->options->connect_to,
                                  .arena = checker->arena};
    CLEANUP(fetch_closep) Fetch *fetch = NULL;
    TRY(fetch_open(&options, &fetch, err));
    size_t seen[AUTHS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < checker->job->stream_count; i++) {
        const Stream *stream = NULL;
        Error unknown = {0};
        if (!checker->job->streams[i].enabled ||
            !connector_find_stream(checker->connector, checker->job->streams[i].name, &stream,
                                   &unknown))
            continue;
        while (stream_parent(stream) != NULL)
            stream = stream_parent(stream);
        bool known = false;
        for (size_t k = 0; k < count; k++)
            known = known || seen[k] == stream_auth_id(stream);
        if (known || count == AUTHS_MAX)
            continue;
        seen[count++] = stream_auth_id(stream);
        TRY(env_check_stop(checker->env, err) && ask_stream(checker, fetch, stream, err));
    }
    return true;
}

bool check_job(const Job *job, const CheckOptions *options, Env *env, Arena *arena,
               Findings *findings, CheckReport *report, Error *err)
{
    *report = (CheckReport){0};
    Checker checker = {.job = job,
                       .options = options,
                       .env = env,
                       .arena = arena,
                       .findings = findings,
                       .report = report};
    const size_t before = findings->count;
    TRY(check_files(&checker, err));
    TRY(check_landing(&checker, err));
    TRY(check_warehouse(&checker, err));
    TRY(check_lake(&checker, err));
    if (options->offline)
        return add(&checker, CHECK_NOTE, ERROR_NONE, STR("API"),
                   STR("not asked, because of --offline"), err);
    // With a manifest or a credential that is wrong in itself a request would only say so again.
    if (before > 0 || checker.connector == NULL)
        return add(&checker, CHECK_NOTE, ERROR_NONE, STR("API"),
                   STR("not asked, because of the faults in the files"), err);
    return check_api(&checker, err);
}
