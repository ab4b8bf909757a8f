#include "run/forget.h"

#include "base/kill.h"
#include "run/drivers.h"
#include "run/forget_note.h"
#include "run/forget_rows.h"
#include "run/lake.h"
#include "run/log_book.h"
#include "run/redacted_purge.h"

enum { COUNTRIES_MAX = 32 };

typedef struct Forgetting {
    const Job *job;
    const ForgetOptions *options;
    Env *env;
    Arena *arena;
    JobParts parts;
    Exclusive exclusive;
    ForgetList list;
    char text[PERSON_TEXT_BYTES]; // the person, normalised
    ForgetReport earlier;         // what attempts that were killed have found
    PurgedRows *rows;
    PurgeSlices slices; // with pages that name the person
    const char *phase;  // for progress
} Forgetting;

static void forgetting_done(Forgetting *forgetting)
{
    exclusive_release(&forgetting->exclusive);
    job_parts_close(&forgetting->parts);
}

// --- who

// Countries of the job's telephone columns; the person's number may be written as there.
static size_t find_countries(const Forgetting *forgetting,
                             const PhoneCountry *countries[COUNTRIES_MAX], bool *ret_knows)
{
    size_t count = 0;
    *ret_knows = false;
    for (size_t s = 0; s < forgetting->parts.stream_count; s++) {
        size_t columns = 0;
        const PersonColumn *persons =
            contract_person_columns(forgetting->parts.streams[s].contract, &columns);
        *ret_knows = *ret_knows || contract_knows_persons(forgetting->parts.streams[s].contract);
        for (size_t i = 0; i < columns && count < COUNTRIES_MAX; i++) {
            if (persons[i].phone != NULL)
                countries[count++] = persons[i].phone;
        }
    }
    return count;
}

// A number without a country must mean the same everywhere.
static bool find_person(Forgetting *forgetting, Error *err)
{
    const PhoneCountry *countries[COUNTRIES_MAX + 1] = {NULL};
    const PersonKind kind = forgetting->options->kind;
    const Str value = forgetting->options->value;
    bool knows = false;
    const size_t count = find_countries(forgetting, countries + 1, &knows);
    if (!knows)
        return error_set(err, ERROR_JOB,
                         "no contract of this job says whom a record is about: give columns a "
                         "\"person\"");
    // Other people have that number, too: whoever erases them must say so.
    if (kind == PERSON_PHONE && person_has_extension(value))
        return error_set(err, ERROR_JOB,
                         "the number has an extension: without it everybody's records go who has "
                         "that number, whatever the extension");
    bool found = false;
    for (size_t i = 0; i <= (kind == PERSON_PHONE ? count : 0); i++) {
        char text[PERSON_TEXT_BYTES];
        if (!person_normalise(kind, value, countries[i], text))
            continue;
        if (found && !str_equal(str_from(text), str_from(forgetting->text)))
            return error_set(err, ERROR_JOB,
                             "the number means different ones in the countries of this job: write "
                             "it as +15551234567");
        memcpy(forgetting->text, text, sizeof(text));
        found = true;
    }
    return found || error_set(err, ERROR_JOB, "what was given is no %s", person_kind_name(kind));
}

// --- the list

static bool put_on_list(Forgetting *forgetting, ForgetReport *report, Error *err)
{
    ForgetList *list = &forgetting->list;
    Arena *arena = forgetting->arena;
    TRY(forget_list_read(forgetting->job, &forgetting->parts.store, arena, list, err) &&
        forget_list_begin(forgetting->job, forgetting->env, arena, list, err));
    const Key128 hash = forgotten_hash_person(list->forgotten, forgetting->options->kind,
                                              str_from(forgetting->text));
    char hex[2 * KEY_BYTES + 1];
    hex_encode(hash.bytes, KEY_BYTES, hex);
    TRY(arena_copy_str(arena, str_from(hex), &report->person, err));
    report->known = forgotten_has_person(list->forgotten, &hash);
    TRY(forget_set_add(&list->people, &hash, arena, err) &&
        forget_list_renew(forgetting->job, arena, list, err));
    return forgetting->options->dry_run || report->known ||
           forget_list_put(forgetting->job, &forgetting->parts.store, list, err);
}

// --- pages

static void tell(void *state, size_t done, size_t total)
{
    const Forgetting *forgetting = state;
    const ForgetOptions *options = forgetting->options;
    if (options->progress != NULL)
        options->progress(options->progress_state, forgetting->phase, done, total);
}

static Purge purge_begin(Forgetting *forgetting, const char *phase)
{
    forgetting->phase = phase;
    return (Purge){.parts = &forgetting->parts,
                   .exclusive = &forgetting->exclusive,
                   .forgotten = forgetting->list.forgotten,
                   .progress = tell,
                   .progress_state = forgetting};
}

static bool look_at_pages(Forgetting *forgetting, ForgetReport *report, Error *err)
{
    forgetting->rows = arena_alloc_array(forgetting->arena, forgetting->parts.stream_count + 1,
                                         sizeof(PurgedRows), err);
    TRY(forgetting->rows != NULL);
    Purge purge = purge_begin(forgetting, "landed runs");
    purge.rows = forgetting->rows;
    TRY(purge_look(&purge, &forgetting->slices, err));
    report->pages = purge.pages_written;
    report->pages_read = purge.pages_read;
    report->records = purge.records;
    report->pages_unreadable = purge.pages_unreadable;
    report->pages_of_others = purge.pages_of_others;
    return true;
}

// After the tables: of masked columns only the pages tell which rows are the person's, and a kill
// in between must not make them unfindable.
static bool clean_pages(Forgetting *forgetting, ForgetReport *report, Error *err)
{
    Purge purge = purge_begin(forgetting, "slices written anew");
    if (forgetting->options->dry_run)
        return true;
    TRY(purge_slices(&purge, &forgetting->slices, err));
    // Those that could be looked at, and not be done.
    if (purge.pages_unreadable > forgetting->slices.pages_unreadable)
        report->pages_unreadable += purge.pages_unreadable - forgetting->slices.pages_unreadable;
    return true;
}

// Redactions that waited. After the warehouse: its file is written anew by then.
static bool clean_redacted(Forgetting *forgetting, ForgetReport *report, Error *err)
{
    RedactedPurge purge = {.job = forgetting->job,
                           .parts = &forgetting->parts,
                           .warehouse = &forgetting->parts.warehouse,
                           .exclusive = &forgetting->exclusive,
                           .list = &forgetting->list};
    TRY(forgetting->options->dry_run || redacted_purge(&purge, err));
    // Of most of these pages the person's own look has told already.
    if (purge.pages_unreadable > report->pages_unreadable)
        report->pages_unreadable = purge.pages_unreadable;
    return true;
}

// --- the warehouse

static bool log_it(Forgetting *forgetting, const ForgetReport *report, Error *err)
{
    char id[UUID_TEXT_BYTES + 1];
    uuid_new(forgetting->env, id);
    EtlLogRow row = {ETL_LOG_NONE};
    row.run = str_from(id);
    row.job = forgetting->job->name;
    row.mode = STR("forget");
    row.stage = STR("forget");
    row.status = STR("ok");
    row.rows_deleted = 0;
    for (size_t i = 0; i < report->table_count; i++)
        row.rows_deleted += report->tables[i].rows + report->tables[i].refused;
    row.started_us = report->at_us;
    row.duration_us = forgetting->env->now_us(forgetting->env->state) - report->at_us;
    Warehouse *warehouse = &forgetting->parts.warehouse;
    return warehouse->driver->append_log(warehouse->state, &row, 1, err);
}

static bool clean_warehouse(Forgetting *forgetting, ForgetReport *report, Error *err)
{
    Warehouse *warehouse = &forgetting->parts.warehouse;
    const WarehouseDriver *driver = warehouse->driver;
    report->has_warehouse = job_has_warehouse(forgetting->job);
    if (!report->has_warehouse && forgetting->options->dry_run)
        return true;
    if (!report->has_warehouse) {
        forget_note_merge(&forgetting->earlier, report);
        return forget_note_put(forgetting->job, &forgetting->parts.store, report, err);
    }
    const ForgetRows rows = {.job = forgetting->job,
                             .earlier = &forgetting->earlier,
                             .parts = &forgetting->parts,
                             .exclusive = &forgetting->exclusive,
                             .forgotten = forgetting->list.forgotten,
                             .kind = forgetting->options->kind,
                             .text = str_from(forgetting->text),
                             .purged = forgetting->rows,
                             .dry_run = forgetting->options->dry_run};
    report->has_lake = forgetting->parts.lake != NULL;
    TRY(forget_rows(&rows, report, err));
    report->remains = driver->dialect->remains;
    report->remains_of_search = driver->dialect->remains_of_search;
    if (forgetting->options->dry_run)
        return true;
    // Also where nothing was found: an earlier attempt may have come as far as here.
    if (driver->compact != NULL)
        TRY(driver->compact(warehouse->state, err));
    report->compacted = driver->compact != NULL;
    return report->table_count == 0 || log_it(forgetting, report, err);
}

bool forget_execute(const Job *job, const ForgetOptions *options, Env *env, Arena *arena,
                    ForgetReport *ret_report, Error *err)
{
    CLEANUP(forgetting_done)
    Forgetting forgetting = {.job = job, .options = options, .env = env, .arena = arena};
    Findings *findings = findings_new(arena, err);
    TRY(findings != NULL);
    *ret_report = (ForgetReport){.at_us = env->now_us(env->state)};
    TRY(job_parts_open(job, STR(JOB_ALL_STREAMS), env, arena, findings, &forgetting.parts, err) &&
        findings_check(findings, err) && lake_open(&forgetting.parts, findings, err));
    const WarehouseDriver *driver = forgetting.parts.warehouse.driver;
    if (driver->execute == NULL)
        return error_set(err, ERROR_JOB, "warehouse %s cannot erase rows yet", driver->name);
    TRY(find_person(&forgetting, err));
    TRY(exclusive_take(&forgetting.exclusive, job, &forgetting.parts.store, env, MODE_COUNT,
                       options->wait_us, err));
    Store *store = &forgetting.parts.store;
    TRY(put_on_list(&forgetting, ret_report, err) &&
        forget_note_read(job, store, ret_report->person, arena, &forgetting.earlier, err) &&
        look_at_pages(&forgetting, ret_report, err) &&
        clean_warehouse(&forgetting, ret_report, err) &&
        clean_pages(&forgetting, ret_report, err) && clean_redacted(&forgetting, ret_report, err));
    TRY((options->receipt == NULL || options->receipt(options->receipt_state, ret_report, err)) &&
        (options->dry_run || forget_note_remove(job, store, ret_report->person, err)));
    return ret_report->pages_unreadable == 0 ||
           error_set(
               err, ERROR_DATA,
               "%lld landed pages cannot be read, so nobody knows whom they name: remove them "
               "or restore them, then run this again",
               (long long)ret_report->pages_unreadable);
}
