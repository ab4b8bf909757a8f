#include "run/forget_rows.h"

#include "run/forget_note.h"
#include "run/lake.h"
#include "warehouse/sql.h"

enum {
    KEYS_A_STATEMENT = 400,
    FIRST_ITEMS = 64,
    CELL_BYTES_MAX = 1024 * 1024 * 1024, // as a page's: what was loaded must be erasable
    TABLES_MAX = 1000,
};

// One table in hand.
typedef struct Table {
    const ForgetRows *rows;
    const PlanStream *stream;
    const SqlDialect *dialect;
    Arena *arena;
    const PersonColumn *persons;
    size_t person_count;
    // Found.
    Key128 *keys;
    size_t key_count, key_room;
    Str *refused; // hashes of records of the quarantine
    size_t refused_count, refused_room;
    Error *err;
    bool failed;
} Table;

static void *longer(Arena *arena, void *items, size_t count, size_t *room, size_t size, Error *err)
{
    if (count < *room)
        return items;
    const size_t more = *room == 0 ? FIRST_ITEMS : 2 * *room;
    void *copy = arena_alloc_array(arena, more, size, err);
    if (copy == NULL)
        return NULL;
    if (count > 0)
        memcpy(copy, items, count * size);
    *room = more;
    return copy;
}

static bool add_key(Table *table, const Key128 *key, Error *err)
{
    Key128 *keys =
        longer(table->arena, table->keys, table->key_count, &table->key_room, sizeof(*keys), err);
    TRY(keys != NULL);
    table->keys = keys;
    table->keys[table->key_count++] = *key;
    return true;
}

static bool run_query(const Table *table, Buf *sql,
                      bool (*visit)(void *visitor, const Str *cells, size_t columns), Error *err)
{
    Warehouse *warehouse = &table->rows->parts->warehouse;
    Table *visitor = (Table *)(uintptr_t)table;
    visitor->err = err;
    visitor->failed = false;
    return warehouse->driver->query(warehouse->state, buf_str(sql), visit, visitor, err) &&
           !visitor->failed;
}

// --- conditions: more rows than are meant, never less

// Digits that any spelling of the number holds.
static Str loose_text(const ForgetRows *rows)
{
    enum { LOCAL_DIGITS = 7 };
    const Str text = rows->text;
    if (rows->kind != PERSON_PHONE)
        return text;
    return text.size > LOCAL_DIGITS ? str_slice(text, text.size - LOCAL_DIGITS, LOCAL_DIGITS)
                                    : str_slice(text, 1, text.size);
}

// CAST("column" AS VARCHAR)
static bool append_text(const Table *table, Str column, Buf *out, Error *err)
{
    return buf_append(out, STR("CAST("), err) && sql_own_name(table->dialect, out, column, err) &&
           buf_printf(out, err, " AS %s)", table->dialect->text_type);
}

// What JSON writes in another way, lower() folds otherwise than we do, or LIKE takes for a sign of
// its own stands for anything: each row that is found is looked at once more.
static bool append_pattern(Str needle, Buf *out, Error *err)
{
    TRY(buf_append_char(out, '%', err));
    for (size_t i = 0; i < needle.size; i++) {
        const char c = needle.data[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '@' || c == '.' || c == '-' || c == '+';
        if (plain || out->data[out->size - 1] != '%')
            TRY(buf_append_char(out, plain ? c : '%', err));
    }
    return out->data[out->size - 1] == '%' || buf_append_char(out, '%', err);
}

static bool append_like(const Table *table, Str column, Str needle, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    CLEANUP(buf_done) Buf pattern = {0};
    TRY(append_text(table, column, &name, err) && append_pattern(needle, &pattern, err));
    const char *form = table->rows->kind == PERSON_PHONE   ? table->dialect->only_digits
                       : table->rows->kind == PERSON_EMAIL ? "lower(%s)"
                                                           : "%s";
    return sql_expression(out, form, buf_str(&name), err) && buf_append(out, STR(" LIKE "), err) &&
           sql_literal(table->dialect, out, buf_str(&pattern), err);
}

// --- rows of the table

static bool overflow_matches(const Table *table, Str overflow, bool *ret_matches, Error *err)
{
    *ret_matches = false;
    if (overflow.size == 0)
        return true;
    CLEANUP(arena_freep) Arena *arena = arena_new(CELL_BYTES_MAX, err);
    TRY(arena != NULL);
    yyjson_doc *doc = NULL;
    TRY(json_parse_lenient(overflow, "_overflow", arena, &doc, err));
    *ret_matches = forgotten_matches(table->rows->forgotten, table->stream->contract,
                                     yyjson_doc_get_root(doc));
    return true;
}

static bool column_matches(const Table *table, const PersonColumn *person, Str cell)
{
    char text[PERSON_TEXT_BYTES];
    if (person->kind != table->rows->kind || person->hidden)
        return false;
    while (person_next(person->kind, &cell, person->phone, text)) {
        if (str_equal(str_from(text), table->rows->text))
            return true;
    }
    return false;
}

static bool take_row(Table *table, Str cell, Error *err)
{
    Key128 key;
    Str target = {0};
    if (sql_read_key(cell, &key))
        return add_key(table, &key, err);
    if (cell.data != NULL)
        return error_set(err, ERROR_DATA, "a _row_key of %zu characters", cell.size);
    return sql_target(table->arena, &table->stream->table, &target, err) &&
           error_set(err, ERROR_DATA,
                     "table " STR_FMT ": a row of this person has no _row_key (set to NULL by "
                     "hand?), and none was erased: `pawl audit JOB --table " STR_FMT
                     " --repair` over its days gives it back, then forget again",
                     STR_ARG(target), STR_ARG(target));
}

// Cells: _row_key, _overflow, then the person columns.
static bool visit_row(void *visitor, const Str *cells, size_t columns)
{
    Table *table = visitor;
    bool matches = false;
    if (!overflow_matches(table, cells[1], &matches, table->err)) {
        table->failed = true;
        return false;
    }
    for (size_t i = 0; i < table->person_count && i + 2 < columns; i++)
        matches = matches || column_matches(table, &table->persons[i], cells[i + 2]);
    if (!matches)
        return true;
    table->failed = !take_row(table, cells[0], table->err);
    return !table->failed;
}

static bool find_rows(Table *table, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SELECT _row_key, _overflow"), err));
    for (size_t i = 0; i < table->person_count; i++)
        TRY(buf_append(&sql, STR(", "), err) &&
            sql_own_name(table->dialect, &sql, table->persons[i].column, err));
    const Str needle = loose_text(table->rows);
    TRY(buf_append(&sql, STR(" FROM "), err) &&
        sql_own_table(table->dialect, &sql, &table->stream->table, "", err) &&
        buf_append(&sql, STR(" WHERE "), err) &&
        append_like(table, STR("_overflow"), needle, &sql, err));
    for (size_t i = 0; i < table->person_count; i++) {
        if (table->persons[i].kind == table->rows->kind)
            TRY(buf_append(&sql, STR(" OR "), err) &&
                append_like(table, table->persons[i].column, needle, &sql, err));
    }
    return run_query(table, &sql, visit_row, err);
}

// The same key may have been found twice: by its row and by its page.
static bool visit_key(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Table *table = visitor;
    Key128 key;
    table->failed = sql_read_key(cells[0], &key) && !add_key(table, &key, table->err);
    return !table->failed;
}

// Rows that purged records have made: their hash says that they are the very same.
static bool find_purged(Table *table, const PurgedRows *purged, Error *err)
{
    for (size_t first = 0; first < purged->count; first += KEYS_A_STATEMENT) {
        CLEANUP(buf_done) Buf sql = {0};
        TRY(buf_append(&sql, STR("SELECT _row_key FROM "), err) &&
            sql_own_table(table->dialect, &sql, &table->stream->table, "", err) &&
            buf_append(&sql, STR(" WHERE "), err));
        for (size_t i = first; i < purged->count && i < first + KEYS_A_STATEMENT; i++)
            TRY(buf_printf(&sql, err, "%s(_row_key = ", i > first ? " OR " : "") &&
                sql_key(table->dialect, &sql, &purged->items[i].key, err) &&
                buf_append(&sql, STR(" AND _row_hash = "), err) &&
                sql_key(table->dialect, &sql, &purged->items[i].hash, err) &&
                buf_append_char(&sql, ')', err));
        TRY(run_query(table, &sql, visit_key, err));
    }
    return true;
}

// --- quarantine

static bool visit_refused(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Table *table = visitor;
    bool matches = false;
    Str *refused = NULL;
    table->failed = !overflow_matches(table, cells[0], &matches, table->err);
    if (table->failed || !matches)
        return !table->failed;
    refused = longer(table->arena, table->refused, table->refused_count, &table->refused_room,
                     sizeof(*refused), table->err);
    table->failed = refused == NULL || !arena_copy_str(table->arena, cells[1],
                                                       &refused[table->refused_count], table->err);
    if (table->failed)
        return false;
    table->refused = refused;
    table->refused_count++;
    return true;
}

// Records are told apart by a hash: their text would be long, and stay in logs of statements.
static bool append_record_hash(const Table *table, Buf *out, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    return append_text(table, STR("record"), &text, err) &&
           sql_expression(out, table->dialect->text_hash, buf_str(&text), err);
}

static bool find_refused(Table *table, Error *err)
{
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SELECT record, "), err) && append_record_hash(table, &sql, err) &&
        buf_append(&sql, STR(" FROM "), err) &&
        sql_own_table(table->dialect, &sql, &table->stream->table, "__quarantine", err) &&
        buf_append(&sql, STR(" WHERE "), err) &&
        append_like(table, STR("record"), loose_text(table->rows), &sql, err));
    return run_query(table, &sql, visit_refused, err);
}

// --- erasing

typedef struct Statements {
    Arena *arena;
    Str *items;
    size_t count, room;
} Statements;

static bool add_statement(Statements *statements, const Buf *sql, Error *err)
{
    Str *items = longer(statements->arena, statements->items, statements->count, &statements->room,
                        sizeof(*items), err);
    TRY(items != NULL);
    statements->items = items;
    TRY(arena_copy_str(statements->arena, buf_str(sql), &items[statements->count], err));
    statements->count++;
    return true;
}

static bool erase_keys(const Table *table, Statements *statements, Error *err)
{
    for (size_t first = 0; first < table->key_count; first += KEYS_A_STATEMENT) {
        CLEANUP(buf_done) Buf sql = {0};
        TRY(buf_append(&sql, STR("DELETE FROM "), err) &&
            sql_own_table(table->dialect, &sql, &table->stream->table, "", err) &&
            buf_append(&sql, STR(" WHERE _row_key IN ("), err));
        for (size_t i = first; i < table->key_count && i < first + KEYS_A_STATEMENT; i++)
            TRY((i == first || buf_append(&sql, STR(", "), err)) &&
                sql_key(table->dialect, &sql, &table->keys[i], err));
        TRY(buf_append_char(&sql, ')', err) && add_statement(statements, &sql, err));
    }
    return true;
}

static bool erase_refused(const Table *table, Statements *statements, Error *err)
{
    for (size_t first = 0; first < table->refused_count; first += KEYS_A_STATEMENT) {
        CLEANUP(buf_done) Buf sql = {0};
        TRY(buf_append(&sql, STR("DELETE FROM "), err) &&
            sql_own_table(table->dialect, &sql, &table->stream->table, "__quarantine", err) &&
            buf_append(&sql, STR(" WHERE "), err) && append_record_hash(table, &sql, err) &&
            buf_append(&sql, STR(" IN ("), err));
        for (size_t i = first; i < table->refused_count && i < first + KEYS_A_STATEMENT; i++)
            TRY((i == first || buf_append(&sql, STR(", "), err)) &&
                sql_literal(table->dialect, &sql, table->refused[i], err));
        TRY(buf_append_char(&sql, ')', err) && add_statement(statements, &sql, err));
    }
    return true;
}

// --- what stays

static bool visit_count(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    Table *table = visitor;
    int64_t count = 0;
    if (str_to_int64(cells[0], &count))
        table->key_count = (size_t)count;
    return false;
}

static bool ask_count(Table *table, Buf *sql, int64_t *ret_count, Error *err)
{
    Table counter = *table;
    counter.key_count = 0;
    TRY(run_query(&counter, sql, visit_count, err));
    *ret_count = (int64_t)counter.key_count;
    return true;
}

// Rows that hold the value in any text, those that go included.
static bool count_mentions(Table *table, int64_t *ret_count, Error *err)
{
    enum { WHOLE_DIGITS = 10 };
    const TableSpec *spec = &table->stream->table;
    const Str text = table->rows->text;
    const Str needle = table->rows->kind != PERSON_PHONE ? text
                       : text.size > WHOLE_DIGITS
                           ? str_slice(text, text.size - WHOLE_DIGITS, WHOLE_DIGITS)
                           : str_slice(text, 1, text.size);
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_append(&sql, STR("SELECT count(*) FROM "), err) &&
        sql_own_table(table->dialect, &sql, spec, "", err) &&
        buf_append(&sql, STR(" WHERE 1 = 0"), err));
    for (size_t i = 0; i < spec->column_count; i++) {
        const ColumnType type = spec->columns[i].type;
        if (type == COLUMN_STRING || type == COLUMN_JSON)
            TRY(buf_append(&sql, STR(" OR "), err) &&
                append_like(table, spec->columns[i].name, needle, &sql, err));
    }
    return ask_count(table, &sql, ret_count, err);
}

static bool table_stands(Table *table, bool *ret_stands, Error *err)
{
    const TableSpec *spec = &table->stream->table;
    CLEANUP(buf_done) Buf sql = {0};
    int64_t count = 0;
    TRY(buf_append(&sql,
                   STR("SELECT count(*) FROM information_schema.tables WHERE lower(table_schema)"
                       " = lower("),
                   err) &&
        sql_literal(table->dialect, &sql, spec->schema, err) &&
        buf_append(&sql, STR(") AND lower(table_name) = lower("), err) &&
        sql_literal(table->dialect, &sql, spec->name, err) && buf_append_char(&sql, ')', err) &&
        ask_count(table, &sql, &count, err));
    *ret_stands = count > 0;
    return true;
}

// --- tables that were taken over: what stood before is not pawl's to change

typedef struct LeftTables {
    Arena *arena;
    Str *names;
    size_t count, room;
    Error *err;
    bool failed;
} LeftTables;

static bool visit_left(void *visitor, const Str *cells, size_t columns)
{
    (void)columns;
    LeftTables *left = visitor;
    if (left->count == TABLES_MAX)
        return false;
    Str *names =
        longer(left->arena, left->names, left->count, &left->room, sizeof(*names), left->err);
    left->failed =
        names == NULL || !arena_copy_str(left->arena, cells[0], &names[left->count], left->err);
    if (left->failed)
        return false;
    left->names = names;
    left->count++;
    return true;
}

bool forget_find_left(Warehouse *warehouse, Arena *arena, ForgetReport *report, Error *err)
{
    LeftTables left = {.arena = arena, .err = err};
    TRY(warehouse->driver->query(warehouse->state,
                                 STR("SELECT table_name FROM information_schema.tables"
                                     " WHERE lower(table_name) LIKE '%before@_pawl' ESCAPE '@'"),
                                 visit_left, &left, err) &&
        !left.failed);
    report->left_tables = left.names;
    report->left_count = left.count;
    return true;
}

// --- all tables

static bool take_table(const ForgetRows *rows, size_t index, Statements *statements,
                       ForgetReport *report, Error *err)
{
    Table table = {.rows = rows,
                   .stream = &rows->parts->streams[index],
                   .dialect = rows->parts->warehouse.driver->dialect,
                   .arena = rows->parts->arena};
    table.persons = contract_person_columns(table.stream->contract, &table.person_count);
    bool stands = false;
    if (!contract_knows_persons(table.stream->contract))
        return true;
    TRY(exclusive_renew(rows->exclusive, err) && table_stands(&table, &stands, err));
    if (!stands)
        return true;
    Warehouse *warehouse = &rows->parts->warehouse;
    if (!rows->dry_run && warehouse->driver->settle != NULL)
        TRY(warehouse->driver->settle(warehouse->state, &table.stream->table, 1, err));
    TRY(find_rows(&table, err) && find_purged(&table, &rows->purged[index], err) &&
        find_refused(&table, err));
    if (table.key_count > 0) // nobody found: there is no array to give to qsort()
        qsort(table.keys, table.key_count, sizeof(Key128), key128_compare);
    size_t distinct = 0;
    for (size_t i = 0; i < table.key_count; i++) {
        if (i == 0 || key128_compare(&table.keys[i], &table.keys[distinct - 1]) != 0)
            table.keys[distinct++] = table.keys[i];
    }
    table.key_count = distinct;
    // The lake first: as long as the warehouse has them, their keys are known.
    int64_t lake_rows = 0;
    if (rows->parts->lake != NULL && !rows->dry_run)
        TRY(lake_erase(rows->parts, table.stream, table.keys, distinct, &rows->purged[index],
                       &lake_rows, err));
    report->lake_rows += lake_rows;
    ForgetTable *told = &report->tables[report->table_count++];
    *told = (ForgetTable){.rows = (int64_t)distinct, .refused = (int64_t)table.refused_count};
    TRY(sql_target(table.arena, &table.stream->table, &told->target, err));
    return erase_keys(&table, statements, err) && erase_refused(&table, statements, err);
}

bool forget_rows(const ForgetRows *rows, ForgetReport *report, Error *err)
{
    JobParts *parts = rows->parts;
    const WarehouseDriver *driver = parts->warehouse.driver;
    Statements statements = {.arena = parts->arena};
    report->tables =
        arena_alloc_array(parts->arena, parts->stream_count + 1, sizeof(ForgetTable), err);
    TRY(report->tables != NULL);
    for (size_t i = 0; i < parts->stream_count; i++)
        TRY(env_check_stop(parts->env, err) && take_table(rows, i, &statements, report, err));
    if (!rows->dry_run) {
        forget_note_merge(rows->earlier, report);
        TRY(forget_note_put(rows->job, &parts->store, report, err));
    }
    if (!rows->dry_run && statements.count > 0)
        TRY(driver->execute(parts->warehouse.state, "forget rows", statements.items,
                            statements.count, NULL, err));
    size_t told = 0;
    for (size_t i = 0; i < parts->stream_count && told < report->table_count; i++) {
        Table table = {.rows = rows,
                       .stream = &parts->streams[i],
                       .dialect = driver->dialect,
                       .arena = parts->arena};
        Str target = {0};
        TRY(sql_target(parts->arena, &table.stream->table, &target, err));
        ForgetTable *of = &report->tables[told];
        if (!str_equal(target, of->target))
            continue;
        told++;
        TRY(count_mentions(&table, &of->mentions, err));
        of->mentions -= rows->dry_run ? of->rows : 0;
    }
    return forget_find_left(&parts->warehouse, parts->arena, report, err);
}
