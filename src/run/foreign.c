// How a table is understood: its columns, whose feed it is, and where in a record each belongs.
#include "run/foreign.h"

#include "warehouse/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAMES_TOLD = 30 };

static bool holds_name(Str table, Str name)
{
    for (size_t at = 0; at + name.size <= table.size; at++) {
        if (str_equal_ignoring_case(str_slice(table, at, name.size), name))
            return true;
    }
    return false;
}

bool foreign_is_csv(Str table)
{
    const Str ending = STR(".csv");
    return table.size > ending.size &&
           str_equal_ignoring_case(str_slice(table, table.size - ending.size, ending.size), ending);
}

// "calls" of "leads.calls", "calls.csv" of "/exports/calls.csv".
static Str bare_name(Str table)
{
    const char separator = foreign_is_csv(table) ? '/' : '.';
    size_t start = table.size;
    while (start > 0 && table.data[start - 1] != separator)
        start--;
    return str_slice(table, start, table.size);
}

bool foreign_choose_stream(const Job *job, Str table, Str given, Str *ret_stream, Error *err)
{
    const Str bare = bare_name(table);
    *ret_stream = given;
    if (given.size > 0)
        return true;
    for (size_t i = 0; i < job->stream_count; i++) {
        const JobStream *stream = &job->streams[i];
        char target[512];
        (void)snprintf(target, sizeof(target), STR_FMT "." STR_FMT, STR_ARG(stream->schema),
                       STR_ARG(stream->table));
        if (str_equal_ignoring_case(table, str_from(target))) {
            *ret_stream = stream->name;
            return true;
        }
    }
    // Of two names that fit the longer one is meant: contact_lists, not contacts. The schema tells
    // something only where the table itself does not.
    for (int whole = 0; whole <= 1 && ret_stream->size == 0; whole++) {
        for (size_t i = 0; i < job->stream_count; i++) {
            const Str name = job->streams[i].name;
            if (holds_name(whole == 1 ? table : bare, name) && name.size > ret_stream->size)
                *ret_stream = name;
        }
    }
    if (ret_stream->size == 0 && job->stream_count == 1)
        *ret_stream = job->streams[0].name;
    return ret_stream->size > 0 ||
           error_set(err, ERROR_JOB, "which stream is in '" STR_FMT "'? give --stream",
                     STR_ARG(table));
}

bool foreign_name(Buf *out, Str schema, Str name, Error *err)
{
    return sql_name(out, schema, err) && buf_append_char(out, '.', err) && sql_name(out, name, err);
}

// --- columns

typedef struct Columns {
    Foreign *foreign;
    Arena *arena;
    Error *err;
    bool failed;
} Columns;

static bool note_column(void *visitor, const Str *cells, size_t count)
{
    Columns *columns = visitor;
    Foreign *foreign = columns->foreign;
    if (foreign->column_count == FOREIGN_COLUMNS_MAX || count < 2)
        return false;
    ForeignColumn *column = &foreign->columns[foreign->column_count];
    *column = (ForeignColumn){.column = SIZE_MAX, .cell = SIZE_MAX};
    columns->failed = !arena_copy_str(columns->arena, cells[0], &column->name, columns->err) ||
                      !arena_copy_str(columns->arena, cells[1], &column->type, columns->err);
    foreign->column_count += columns->failed ? 0 : 1;
    return !columns->failed;
}

static bool read_columns(Foreign *foreign, Arena *arena, Error *err)
{
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    foreign->columns =
        arena_alloc_array(arena, FOREIGN_COLUMNS_MAX, sizeof(*foreign->columns), err);
    TRY(foreign->columns != NULL);
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql,
                   STR("SELECT column_name, upper(data_type) FROM information_schema.columns"
                       " WHERE table_schema = "),
                   err) &&
        sql_literal(dialect, &sql, foreign->schema, err) &&
        buf_append(&sql, STR(" AND table_name = "), err) &&
        sql_literal(dialect, &sql, foreign->name, err) &&
        buf_append(&sql, STR(" ORDER BY ordinal_position"), err));
    Columns columns = {.foreign = foreign, .arena = arena, .err = err};
    TRY(foreign->warehouse->driver->query(foreign->warehouse->state, buf_str(&sql), note_column,
                                          &columns, err) &&
        !columns.failed);
    return true;
}

static ForeignColumn *find_column(const Foreign *foreign, Str name)
{
    for (size_t i = 0; i < foreign->column_count; i++) {
        if (str_equal_ignoring_case(foreign->columns[i].name, name))
            return &foreign->columns[i];
    }
    return NULL;
}

static ForeignColumn *find_any(const Foreign *foreign, const char *const *names)
{
    for (; *names != NULL; names++) {
        ForeignColumn *column = find_column(foreign, str_from(*names));
        if (column != NULL)
            return column;
    }
    return NULL;
}

// --- whose it is

static void know_feed(Foreign *foreign)
{
    static const struct {
        const char *prefix, *feed;
    } feeds[] = {{"_airbyte_", "Airbyte"},
                 {"_fivetran_", "Fivetran"},
                 {"_dlt_", "dlt"},
                 {"_sdc_", "Singer"}};
    static const char *const synced[] = {
        "_airbyte_extracted_at", "_airbyte_emitted_at", "_fivetran_synced", "_sdc_extracted_at",
        "_sdc_received_at",      "_sdc_batched_at",     "_fetched_at",      NULL};
    static const char *const deleted[] = {"_fivetran_deleted", "_sdc_deleted_at",
                                          "_ab_cdc_deleted_at", "_deleted_at", NULL};
    foreign->feed = "";
    for (size_t i = 0; i < foreign->column_count; i++) {
        for (size_t k = 0; k < sizeof(feeds) / sizeof(feeds[0]); k++) {
            const Str prefix = str_from(feeds[k].prefix);
            if (str_equal_ignoring_case(str_slice(foreign->columns[i].name, 0, prefix.size),
                                        prefix))
                foreign->feed = feeds[k].feed;
        }
    }
    foreign->synced = find_any(foreign, synced);
    foreign->deleted = find_any(foreign, deleted);
    foreign->key = find_column(foreign, STR("_row_key"));
    foreign->hash = find_column(foreign, STR("_row_hash"));
    foreign->record = find_column(foreign, STR("_airbyte_data"));
    foreign->kind = foreign->key != NULL && foreign->hash != NULL ? FOREIGN_OWN
                    : foreign->record != NULL                     ? FOREIGN_RECORDS
                                                                  : FOREIGN_COLUMNS;
    if (foreign->kind == FOREIGN_OWN)
        foreign->feed = "pawl";
}

// --- which column belongs where

bool foreign_holds_json(const ForeignColumn *column)
{
    static const char *const types[] = {"JSON", "JSONB", "VARIANT", "OBJECT", "ARRAY", "SUPER"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_equal(column->type, str_from(types[i])))
            return true;
    }
    return false;
}

static bool is_nested(Str type)
{
    return str_equal(type, STR("ARRAY")) || str_ends_with(type, STR("]")) ||
           str_starts_with(type, STR("STRUCT(")) || str_starts_with(type, STR("MAP("));
}

bool foreign_is_nested(const Foreign *foreign, const ForeignColumn *column)
{
    return foreign->warehouse->driver->dialect->nested_text != NULL && is_nested(column->type);
}

static bool holds_values(const Foreign *foreign, const ForeignColumn *column)
{
    return foreign_holds_json(column) || foreign_is_nested(foreign, column);
}

bool foreign_holds_numbers(const ForeignColumn *column)
{
    static const char *const types[] = {"INT",  "NUMERIC", "DECIMAL", "DOUBLE",
                                        "REAL", "FLOAT",   "NUMBER"};
    if (str_starts_with(column->type, STR("INTERVAL")) || is_nested(column->type))
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_find(column->type, str_from(types[i])) < column->type.size)
            return true;
    }
    return false;
}

// Of a column's paths one that is a single step, if there is any: that needs no object around it.
static bool best_path(const Contract *contract, size_t column, Str *ret_path)
{
    Str path = {0};
    bool found = false;
    for (size_t i = 0; contract_column_path(contract, column, i, &path); i++) {
        const bool flat = str_find_char(str_slice(path, 1, path.size), '/') == path.size - 1;
        if (!found || flat)
            *ret_path = path;
        found = true;
        if (flat)
            return true;
    }
    return found;
}

// "/agent/email" as feeds flatten it: steps joined by one or two underscores, or the last alone.
static bool is_flattened(Str name, Str path)
{
    for (int underscores = 1; underscores <= 2; underscores++) {
        char text[256];
        size_t size = 0;
        for (size_t i = 1; i < path.size && size + 2 < sizeof(text); i++) {
            if (path.data[i] == '/')
                for (int k = 0; k < underscores; k++)
                    text[size++] = '_';
            else
                text[size++] = path.data[i];
        }
        if (str_equal_ignoring_case(name, (Str){text, size}))
            return true;
    }
    return false;
}

static ForeignColumn *guess_column(const Foreign *foreign, const Column *column, size_t index)
{
    ForeignColumn *found = find_column(foreign, column->name);
    if (found != NULL && found->path.size == 0)
        return found;
    Str path = {0};
    for (size_t i = 0; contract_column_path(foreign->stream->contract, index, i, &path); i++) {
        for (size_t k = 0; k < foreign->column_count; k++) {
            if (foreign->columns[k].path.size == 0 && is_flattened(foreign->columns[k].name, path))
                return &foreign->columns[k];
        }
    }
    return NULL;
}

// A JSON column that holds what the path's first step names: `agent` for /agent/email.
static bool guess_inside(Foreign *foreign, size_t index, Arena *arena, Error *err)
{
    Str path = {0};
    for (size_t i = 0; contract_column_path(foreign->stream->contract, index, i, &path); i++) {
        Str rest = str_slice(path, 1, path.size);
        const Str first = str_split_next(&rest, '/');
        ForeignColumn *column = rest.data == NULL ? NULL : find_column(foreign, first);
        if (column == NULL || !holds_values(foreign, column) ||
            (column->path.size > 0 && !column->is_json))
            continue;
        // A struct's type names its members.
        if (foreign_is_nested(foreign, column) &&
            !holds_name(column->type, str_split_next(&rest, '/')))
            continue;
        column->is_json = true;
        foreign->compared[index] = true;
        return column->path.size > 0 ||
               arena_printf(arena, &column->path, err, "/" STR_FMT, STR_ARG(first));
    }
    return true;
}

static bool assign(Foreign *foreign, ForeignColumn *column, size_t index, Error *err)
{
    const Column *columns = foreign->stream->table.columns;
    Str path = {0};
    if (!best_path(foreign->stream->contract, index, &path))
        return error_set(err, ERROR_JOB,
                         "contract column '" STR_FMT "' is filled from the partition alone",
                         STR_ARG(columns[index].name));
    column->path = path;
    column->column = index;
    column->is_json = columns[index].type == COLUMN_JSON;
    foreign->compared[index] = true;
    return true;
}

static size_t own_columns(const Foreign *foreign)
{
    enum { SYSTEM_COLUMNS = 4 }; // contract_columns() ends with them
    return foreign->stream->table.column_count - SYSTEM_COLUMNS;
}

static size_t contract_index(const Foreign *foreign, Str name)
{
    size_t i = 0;
    while (i < own_columns(foreign) && !str_equal(foreign->stream->table.columns[i].name, name))
        i++;
    return i;
}

static bool need_column(const Foreign *foreign, Str name, const char *option,
                        ForeignColumn **ret_column, Error *err)
{
    Str names[FINDINGS_MAX];
    size_t count = 0;
    *ret_column = find_column(foreign, name);
    if (*ret_column != NULL)
        return true;
    for (; count < foreign->column_count && count < FINDINGS_MAX; count++)
        names[count] = foreign->columns[count].name;
    const Str nearest = findings_nearest(name, names, count);
    return error_set(err, ERROR_JOB, "%s: the table has no column '" STR_FMT "'%s" STR_FMT "%s",
                     option, STR_ARG(name), nearest.size > 0 ? "; did you mean '" : "",
                     STR_ARG(nearest), nearest.size > 0 ? "'?" : "");
}

// Where one column of the contract alone is read from the path, that is the column.
static void note_path(Foreign *foreign, ForeignColumn *column)
{
    size_t found = 0;
    for (size_t i = 0; i < own_columns(foreign); i++) {
        bool of_path = false;
        Str path = {0};
        for (size_t k = 0; contract_column_path(foreign->stream->contract, i, k, &path); k++)
            of_path = of_path || str_equal(path, column->path);
        foreign->compared[i] = foreign->compared[i] || of_path;
        found += of_path ? 1 : 0;
        column->column = !of_path ? column->column : found == 1 ? i : SIZE_MAX;
    }
}

// "caller=/caller_number,agent=agent_name".
static bool take_map(Foreign *foreign, Str map, Arena *arena, Error *err)
{
    Str rest = map;
    while (map.size > 0 && rest.data != NULL) {
        const Str pair = str_trim(str_split_next(&rest, ','));
        const size_t equals = str_find_char(pair, '=');
        ForeignColumn *column = NULL;
        if (equals == pair.size)
            return error_set(err, ERROR_JOB, "--map: '" STR_FMT "' is not COLUMN=TARGET",
                             STR_ARG(pair));
        const Str target = str_slice(pair, equals + 1, pair.size);
        TRY(need_column(foreign, str_slice(pair, 0, equals), "--map", &column, err));
        const size_t index = contract_index(foreign, target);
        if (index < own_columns(foreign)) {
            TRY(assign(foreign, column, index, err));
            continue;
        }
        if (target.size < 2 || target.data[0] != '/')
            return error_set(err, ERROR_JOB,
                             "--map: '" STR_FMT "' is neither a column of the contract nor a path",
                             STR_ARG(target));
        TRY(arena_copy_str(arena, target, &column->path, err));
        column->is_json = holds_values(foreign, column);
        note_path(foreign, column);
    }
    return true;
}

static bool is_partition(const ContractInfo *info, Str name)
{
    for (size_t i = 0; i < info->partition_count; i++) {
        if (str_equal(info->partition_columns[i], name))
            return true;
    }
    return false;
}

// As many as the key has, or as many as are not the partition's.
static bool take_key(Foreign *foreign, Str key, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    size_t given = key.size > 0 ? 1 : 0;
    size_t own = 0;
    for (size_t i = 0; i < key.size; i++)
        given += key.data[i] == ',' ? 1 : 0;
    for (size_t i = 0; i < info->key_count; i++)
        own += is_partition(info, info->key_columns[i]) ? 0 : 1;
    if (given != 0 && given != info->key_count && given != own)
        return error_set(err, ERROR_JOB, "--key names %zu columns, the contract's key has %zu",
                         given, info->key_count);
    Str rest = key;
    for (size_t i = 0; given > 0 && i < info->key_count; i++) {
        if (given != info->key_count && is_partition(info, info->key_columns[i]))
            continue;
        ForeignColumn *column = NULL;
        TRY(need_column(foreign, str_trim(str_split_next(&rest, ',')), "--key", &column, err) &&
            assign(foreign, column, contract_index(foreign, info->key_columns[i]), err));
    }
    return true;
}

static bool guess_all(Foreign *foreign, Arena *arena, Error *err)
{
    const Column *columns = foreign->stream->table.columns;
    const ContractInfo *info = contract_info(foreign->stream->contract);
    for (size_t i = 0; i < own_columns(foreign); i++) {
        Str path = {0};
        if (foreign->compared[i] || !best_path(foreign->stream->contract, i, &path))
            continue;
        ForeignColumn *column = guess_column(foreign, &columns[i], i);
        // Of a table of ours only what tells rows apart is looked at: its hash says the rest.
        bool wanted = foreign->kind != FOREIGN_OWN || is_partition(info, columns[i].name) ||
                      str_equal(columns[i].name, info->window_column);
        for (size_t k = 0; k < info->key_count; k++)
            wanted = wanted || str_equal(columns[i].name, info->key_columns[k]);
        if (!wanted)
            continue;
        TRY(column != NULL ? assign(foreign, column, i, err)
                           : guess_inside(foreign, i, arena, err));
    }
    return true;
}

static ForeignColumn *column_of(const Foreign *foreign, Str name)
{
    const size_t index = contract_index(foreign, name);
    for (size_t i = 0; i < foreign->column_count; i++) {
        if (foreign->columns[i].column == index && foreign->columns[i].path.size > 0)
            return &foreign->columns[i];
    }
    return NULL;
}

static bool missing(const Foreign *foreign, const char *what, Str name, Error *err)
{
    CLEANUP(buf_done) Buf names = {0};
    for (size_t i = 0; i < foreign->column_count && i < NAMES_TOLD; i++)
        TRY(buf_printf(&names, err, "%s" STR_FMT, i > 0 ? ", " : "",
                       STR_ARG(foreign->columns[i].name)));
    return error_set(err, ERROR_JOB,
                     "no column of " STR_FMT " looks like %s '" STR_FMT
                     "': name it with --map COLUMN=" STR_FMT " (it has " STR_FMT ")",
                     STR_ARG(foreign->name), what, STR_ARG(name), STR_ARG(name),
                     STR_ARG(str_slice(buf_str(&names), 0, 250)));
}

// What comparing cannot do without.
static bool check_columns(Foreign *foreign, Error *err)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    enum { PARTITIONS_MAX = sizeof(foreign->partition) / sizeof(foreign->partition[0]) };
    if (info->partition_count > PARTITIONS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d partition columns", PARTITIONS_MAX);
    if (foreign->kind == FOREIGN_RECORDS)
        return true;
    for (size_t i = 0; i < info->key_count; i++) {
        if (column_of(foreign, info->key_columns[i]) == NULL &&
            !is_partition(info, info->key_columns[i]))
            return missing(foreign, "the key column", info->key_columns[i], err);
    }
    for (size_t i = 0; i < info->partition_count; i++) {
        foreign->partition[i] = column_of(foreign, info->partition_columns[i]);
        if (foreign->partition[i] == NULL && foreign->stream->partition_count > 1)
            return missing(foreign, "the column", info->partition_columns[i], err);
    }
    if (info->window_column.size > 0 && foreign->stream->cursor.exists) {
        foreign->window = column_of(foreign, info->window_column);
        if (foreign->window == NULL)
            return missing(foreign, "the time", info->window_column, err);
    }
    return true;
}

static int compare_paths(const void *a, const void *b)
{
    const ForeignColumn *const *left = a;
    const ForeignColumn *const *right = b;
    return str_compare((*left)->path, (*right)->path);
}

static bool order_columns(Foreign *foreign, Arena *arena, Error *err)
{
    foreign->order = arena_alloc_array(arena, foreign->column_count, sizeof(*foreign->order), err);
    TRY(foreign->order != NULL);
    for (size_t i = 0; i < foreign->column_count; i++) {
        if (foreign->columns[i].path.size > 0)
            foreign->order[foreign->order_count++] = &foreign->columns[i];
    }
    qsort(foreign->order, foreign->order_count, sizeof(*foreign->order), compare_paths);
    for (size_t i = 0; i < own_columns(foreign); i++) {
        foreign->compared[i] = foreign->compared[i] || foreign->kind == FOREIGN_RECORDS;
        foreign->compared_count += foreign->compared[i] ? 1 : 0;
    }
    return true;
}

static bool find_table(Foreign *foreign, Str table, Arena *arena, Error *err)
{
    const size_t dot = str_find_char(table, '.');
    const bool has_schema = dot < table.size;
    const Str schema = has_schema ? str_slice(table, 0, dot) : foreign->stream->table.schema;
    const Str name = has_schema ? str_slice(table, dot + 1, table.size) : table;
    ForeignPlace place = {0};
    TRY(foreign_find(foreign->warehouse, schema, name, arena, &place, err));
    if (place.type.size == 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "there is no table '" STR_FMT "." STR_FMT "' in the warehouse",
                         STR_ARG(schema), STR_ARG(name));
    foreign->schema = place.schema;
    return foreign_move(foreign, place.name, arena, err);
}

bool foreign_open(const ForeignOptions *options, Warehouse *warehouse, const PlanStream *stream,
                  Arena *arena, Foreign *ret_foreign, Error *err)
{
    *ret_foreign = (Foreign){.warehouse = warehouse, .stream = stream};
    Foreign *foreign = ret_foreign;
    if (warehouse->driver->dialect == NULL)
        return error_set(err, ERROR_JOB, "warehouse %s cannot be looked into yet",
                         warehouse->driver->name);
    TRY(find_table(foreign, options->table, arena, err));
    foreign->compared = arena_alloc_array(arena, stream->table.column_count, sizeof(bool), err);
    TRY(foreign->compared != NULL && read_columns(foreign, arena, err));
    know_feed(foreign);
    if (foreign->kind != FOREIGN_RECORDS)
        TRY(take_map(foreign, options->map, arena, err) && take_key(foreign, options->key, err) &&
            guess_all(foreign, arena, err));
    return check_columns(foreign, err) && order_columns(foreign, arena, err);
}

bool foreign_move(Foreign *foreign, Str name, Arena *arena, Error *err)
{
    CLEANUP(buf_done) Buf from = {0};
    foreign->name = name;
    return foreign_name(&from, foreign->schema, name, err) &&
           arena_copy_str(arena, buf_str(&from), &foreign->from, err);
}
