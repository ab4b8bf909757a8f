#include "run/forget_note.h"

#include "base/json.h"
#include "base/kill.h"
#include "lake/seal.h"

enum { NOTE_BYTES_MAX = 16 * 1024 * 1024 };

#define NOTE_KIND "forgetting"

static bool note_path(const Job *job, Str person, char path[STORE_PATH_BYTES_MAX + 1], Error *err)
{
    return store_path_printf(path, err, STR_FMT "/forgetting/" STR_FMT ".json", STR_ARG(job->name),
                             STR_ARG(person));
}

static bool read_tables(yyjson_val *tables, Arena *arena, ForgetReport *earlier, Error *err)
{
    earlier->tables =
        arena_alloc_array(arena, yyjson_arr_size(tables) + 1, sizeof(ForgetTable), err);
    TRY(earlier->tables != NULL);
    size_t i = 0;
    size_t count = 0;
    yyjson_val *table = NULL;
    yyjson_arr_foreach(tables, i, count, table)
    {
        earlier->tables[earlier->table_count++] =
            (ForgetTable){.target = json_str(json_get(table, STR("table"))),
                          .rows = yyjson_get_sint(json_get(table, STR("rows"))),
                          .refused = yyjson_get_sint(json_get(table, STR("quarantined")))};
    }
    return true;
}

bool forget_note_read(const Job *job, Store *store, Str person, Arena *arena,
                      ForgetReport *ret_earlier, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    Str bytes = {0};
    Str body = {0};
    yyjson_doc *doc = NULL;
    *ret_earlier = (ForgetReport){0};
    TRY(note_path(job, person, path, err));
    if (!store_read_all(store, str_from(path), NOTE_BYTES_MAX, arena, &bytes, err)) {
        const bool missing = err->code == ERROR_NOT_FOUND;
        if (missing)
            *err = (Error){0};
        return missing;
    }
    TRY(seal_read(NOTE_KIND, bytes, path, &body, err) && json_parse(body, path, arena, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    ret_earlier->person = person;
    ret_earlier->known = yyjson_get_bool(json_get(root, STR("known")));
    ret_earlier->pages = yyjson_get_sint(json_get(root, STR("pages")));
    ret_earlier->records = yyjson_get_sint(json_get(root, STR("records")));
    ret_earlier->lake_rows = yyjson_get_sint(json_get(root, STR("lake_rows")));
    return read_tables(json_get(root, STR("tables")), arena, ret_earlier, err);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void forget_note_merge(const ForgetReport *earlier, ForgetReport *report)
{
    if (earlier->person.size == 0)
        return;
    report->known = earlier->known;
    report->pages = larger(report->pages, earlier->pages);
    report->records = larger(report->records, earlier->records);
    report->lake_rows = larger(report->lake_rows, earlier->lake_rows);
    for (size_t i = 0; i < report->table_count; i++) {
        ForgetTable *table = &report->tables[i];
        for (size_t k = 0; k < earlier->table_count; k++) {
            if (!str_equal(earlier->tables[k].target, table->target))
                continue;
            table->rows = larger(table->rows, earlier->tables[k].rows);
            table->refused = larger(table->refused, earlier->tables[k].refused);
        }
    }
}

bool forget_note_put(const Job *job, Store *store, const ForgetReport *report, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    CLEANUP(buf_done) Buf body = {0};
    CLEANUP(buf_done) Buf sealed = {0};
    TRY(note_path(job, report->person, path, err) &&
        buf_printf(&body, err,
                   "{\"version\":1,\"known\":%s,\"pages\":%lld,\"records\":%lld,\"lake_rows\":%lld,"
                   "\"tables\":[",
                   report->known ? "true" : "false", (long long)report->pages,
                   (long long)report->records, (long long)report->lake_rows));
    for (size_t i = 0; i < report->table_count; i++) {
        const ForgetTable *table = &report->tables[i];
        TRY(buf_append(&body, i > 0 ? STR(",{\"table\":") : STR("{\"table\":"), err) &&
            json_write_str(table->target, &body, err) &&
            buf_printf(&body, err, ",\"rows\":%lld,\"quarantined\":%lld}", (long long)table->rows,
                       (long long)table->refused));
    }
    TRY(buf_append(&body, STR("]}"), err) && seal_write(NOTE_KIND, buf_str(&body), &sealed, err));
    kill_point("forget note put");
    TRY(store_put(store, str_from(path), buf_str(&sealed), 0, err));
    kill_point("forget note was put");
    return true;
}

bool forget_note_remove(const Job *job, Store *store, Str person, Error *err)
{
    char path[STORE_PATH_BYTES_MAX + 1];
    kill_point("forget note goes");
    return note_path(job, person, path, err) && store_remove(store, str_from(path), err);
}
