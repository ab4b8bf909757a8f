#include "run/audit_repair.h"

#include "batch/cells.h"
#include "warehouse/sql.h"

#include <stdio.h>

// A portion is a multiple of three: the three statements of mend_doubled() stay together.
enum { FIRST_STATEMENTS = 16, KEYS_A_STATEMENT = 400, STATEMENTS_A_PORTION = 498 };

static bool add(AuditRepair *repair, const Buf *sql, Error *err)
{
    if (repair->count == repair->room) {
        const size_t room = repair->room == 0 ? FIRST_STATEMENTS : 2 * repair->room;
        Str *statements = arena_alloc_array(repair->arena, room, sizeof(Str), err);
        TRY(statements != NULL);
        if (repair->count > 0)
            memcpy(statements, repair->statements, repair->count * sizeof(Str));
        repair->statements = statements;
        repair->room = room;
    }
    TRY(arena_copy_str(repair->arena, buf_str(sql), &repair->statements[repair->count], err));
    repair->count++;
    return true;
}

static bool append_json(const SqlDialect *dialect, Str json, Buf *sql, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    return sql_literal(dialect, &text, json, err) &&
           sql_expression(sql, dialect->json_value == NULL ? "%s" : dialect->json_value,
                          buf_str(&text), err);
}

// JSON for a column that holds some, or lists or structs.
static bool append_values(const AuditRepair *repair, const ForeignColumn *column, Str json,
                          Buf *sql, Error *err)
{
    const Foreign *foreign = repair->foreign;
    const SqlDialect *dialect = foreign->warehouse->driver->dialect;
    CLEANUP(buf_done) Buf literal = {0};
    if (!foreign_is_nested(foreign, column))
        return append_json(dialect, json, sql, err);
    return sql_literal(dialect, &literal, json, err) &&
           dialect->nested_value(sql, foreign->from, column->name, buf_str(&literal), err);
}

// The API's value as the column takes it: a text, which every system casts; a time since 1970 in
// the unit that the column has.
static bool append_value(const AuditRepair *repair, const ForeignColumn *column,
                         const ShapedBatch *batch, size_t row, Buf *sql, Error *err)
{
    const Column *columns = repair->foreign->stream->table.columns;
    const struct ArrowArray *child = batch->array.children[column->column];
    const SqlDialect *dialect = repair->foreign->warehouse->driver->dialect;
    CLEANUP(buf_done) Buf text = {0};
    int64_t us = 0;
    if (cell_is_null(child, row))
        return buf_append(sql, STR("NULL"), err);
    const bool number = foreign_holds_numbers(column);
    if (columns[column->column].type == COLUMN_TIMESTAMP && (number || column->unit_us > 0)) {
        const int64_t unit_us = column->unit_us > 0 ? column->unit_us : US_PER_SECOND;
        (void)!cell_time(&columns[column->column], child, row, &us);
        return buf_printf(sql, err, number ? "%lld" : "'%lld'", (long long)(us / unit_us));
    }
    TRY(cell_write(&columns[column->column], child, row, &text, err));
    const Str value = text.size == 0 ? STR("") : buf_str(&text);
    if (!foreign_holds_json(column) && !foreign_is_nested(repair->foreign, column))
        return sql_literal(dialect, sql, value, err);
    if (columns[column->column].type == COLUMN_JSON)
        return append_values(repair, column, value, sql, err);
    CLEANUP(buf_done) Buf json = {0};
    return json_write_str(value, &json, err) &&
           append_values(repair, column, buf_str(&json), sql, err);
}

// Columns that hold one column of the contract; what lies inside a JSON column cannot be put there.
static bool is_writable(const Foreign *foreign, const ForeignColumn *column)
{
    return column->path.size > 0 && column->column < foreign->stream->table.column_count;
}

// Of a new row the object that a JSON column holds, as far as the contract's columns know it.
static bool append_object(const AuditRepair *repair, const ForeignColumn *column,
                          const ShapedBatch *batch, size_t row, Buf *sql, bool *ret_any, Error *err)
{
    const TableSpec *table = &repair->foreign->stream->table;
    CLEANUP(buf_done) Buf object = {0};
    *ret_any = false;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct ArrowArray *child = batch->array.children[i];
        Str path = {0};
        bool inside = false;
        for (size_t k = 0;
             !inside && contract_column_path(repair->foreign->stream->contract, i, k, &path); k++)
            inside = str_starts_with(path, column->path) && path.data[column->path.size] == '/';
        if (!inside || cell_is_null(child, row))
            continue;
        const Str name = str_slice(path, column->path.size + 1, path.size);
        if (str_find_char(name, '/') < name.size)
            continue;
        CLEANUP(buf_done) Buf text = {0};
        TRY(cell_write(&table->columns[i], child, row, &text, err) &&
            buf_append_char(&object, *ret_any ? ',' : '{', err) &&
            json_write_str(name, &object, err) && buf_append_char(&object, ':', err) &&
            json_write_str(buf_str(&text), &object, err));
        *ret_any = true;
    }
    return !*ret_any ||
           (buf_append_char(&object, '}', err) &&
            append_json(repair->foreign->warehouse->driver->dialect, buf_str(&object), sql, err));
}

// What a feed's own columns get in a row that the feed did not write.
static bool append_own(const AuditRepair *repair, const ForeignColumn *column, const Key128 *key,
                       Buf *sql, bool *ret_own, Error *err)
{
    enum { TIME, ID, OBJECT, NAME, NO };
    static const struct {
        const char *name;
        int kind;
    } known[] = {
        {"_airbyte_raw_id", ID},       {"_airbyte_ab_id", ID},      {"_airbyte_extracted_at", TIME},
        {"_airbyte_emitted_at", TIME}, {"_airbyte_meta", OBJECT},   {"_airbyte_generation_id", NO},
        {"_fivetran_synced", TIME},    {"_fivetran_id", ID},        {"_dlt_id", ID},
        {"_dlt_load_id", NAME},        {"_sdc_extracted_at", TIME}, {"_sdc_received_at", TIME},
        {"_sdc_batched_at", TIME},     {"_fivetran_deleted", NO}};
    char text[TIME_TEXT_BYTES + UUID_TEXT_BYTES] = "pawl";
    *ret_own = true;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!str_equal_ignoring_case(column->name, str_from(known[i].name)))
            continue;
        if (known[i].kind == TIME)
            time_format_iso(repair->env->now_us(repair->env->state), text);
        else if (known[i].kind == ID)
            uuid_format(key->bytes, text);
        else if (known[i].kind == OBJECT)
            memcpy(text, "{}", 3);
        else if (known[i].kind == NO)
            memcpy(text, "0", 2);
        const SqlDialect *dialect = repair->foreign->warehouse->driver->dialect;
        return foreign_holds_json(column) ? append_json(dialect, str_from(text), sql, err)
                                          : sql_literal(dialect, sql, str_from(text), err);
    }
    *ret_own = false;
    return true;
}

static bool is_foreign(const AuditRepair *repair)
{
    return repair->wanted && repair->foreign->kind == FOREIGN_COLUMNS;
}

bool audit_repair_insert(AuditRepair *repair, const ShapedBatch *batch, size_t row, Error *err)
{
    const Foreign *foreign = repair->foreign;
    if (!is_foreign(repair))
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(buf_done) Buf values = {0};
    TRY(buf_printf(&sql, err, "INSERT INTO " STR_FMT " (", STR_ARG(foreign->from)));
    bool comma = false;
    for (size_t i = 0; i < foreign->column_count; i++) {
        const ForeignColumn *column = &foreign->columns[i];
        bool given = is_writable(foreign, column);
        CLEANUP(buf_done) Buf value = {0};
        if (given)
            TRY(append_value(repair, column, batch, row, &value, err));
        else if (column->path.size > 0 && foreign_is_nested(foreign, column))
            continue; // a struct takes its own members only, and which those are nobody has asked
        else if (column->path.size > 0 && column->is_json)
            TRY(append_object(repair, column, batch, row, &value, &given, err));
        else
            TRY(append_own(repair, column, &batch->keys[row], &value, &given, err));
        if (!given)
            continue;
        TRY((!comma || (buf_append(&sql, STR(", "), err) && buf_append(&values, STR(", "), err))) &&
            sql_name(&sql, column->name, err) && buf_append(&values, buf_str(&value), err));
        comma = true;
    }
    repair->inserted++;
    // Not VALUES: Snowflake takes no functions there.
    return buf_append(&sql, STR(") SELECT "), err) && buf_append(&sql, buf_str(&values), err) &&
           add(repair, &sql, err);
}

static bool is_key(const Foreign *foreign, const ForeignColumn *column)
{
    const ContractInfo *info = contract_info(foreign->stream->contract);
    for (size_t i = 0; i < info->key_count; i++) {
        if (str_equal(foreign->stream->table.columns[column->column].name, info->key_columns[i]))
            return true;
    }
    return false;
}

// column = its value in that row.
static bool append_equal(const Foreign *foreign, const ForeignColumn *column,
                         const ShapedBatch *batch, size_t row, Buf *sql, Error *err)
{
    CLEANUP(buf_done) Buf text = {0};
    TRY(cell_write(&foreign->stream->table.columns[column->column],
                   batch->array.children[column->column], row, &text, err));
    const Str value = buf_str(&text);
    return foreign_append_in(foreign, column, &value, 1, sql, err);
}

static bool differs(const AuditRepair *repair, Str name)
{
    Str rest = buf_str(repair->differs);
    while (rest.data != NULL) {
        if (str_equal(str_split_next(&rest, ','), name))
            return true;
    }
    return false;
}

bool audit_repair_update(AuditRepair *repair, const ShapedBatch *batch, size_t row,
                         const ForeignRow *old, Error *err)
{
    const Foreign *foreign = repair->foreign;
    if (!is_foreign(repair))
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(buf_done) Buf where = {0};
    bool comma = false;
    bool bound = false;
    TRY(buf_printf(&sql, err, "UPDATE " STR_FMT " SET ", STR_ARG(foreign->from)));
    if (old->deleted && foreign->deleted != NULL) {
        TRY(sql_name(&sql, foreign->deleted->name, err) &&
            buf_append(&sql,
                       str_find(foreign->deleted->type, STR("BOOL")) < foreign->deleted->type.size
                           ? STR(" = false")
                           : STR(" = NULL"),
                       err));
        comma = true;
    }
    for (size_t i = 0; i < foreign->column_count; i++) {
        const ForeignColumn *column = &foreign->columns[i];
        if (!is_writable(foreign, column))
            continue;
        if (is_key(foreign, column)) {
            TRY(buf_append(&where, bound ? STR(" AND ") : STR(""), err) &&
                append_equal(foreign, column, batch, row, &where, err));
            bound = true;
        } else if (differs(repair, foreign->stream->table.columns[column->column].name)) {
            TRY((!comma || buf_append(&sql, STR(", "), err)) && sql_name(&sql, column->name, err) &&
                buf_append(&sql, STR(" = "), err) &&
                append_value(repair, column, batch, row, &sql, err));
            comma = true;
        }
    }
    // What differs lies inside a JSON column: not ours to compose.
    if (!comma || !bound)
        return true;
    repair->updated++;
    return buf_append(&sql, STR(" WHERE "), err) && buf_append(&sql, buf_str(&where), err) &&
           add(repair, &sql, err);
}

bool audit_repair_key(AuditRepair *repair, const ForeignRow *row, Error *err)
{
    const Foreign *foreign = repair->foreign;
    if (!repair->wanted || foreign->kind != FOREIGN_OWN)
        return true;
    CLEANUP(buf_done) Buf sql = {0};
    TRY(buf_printf(&sql, err, "UPDATE " STR_FMT " SET _row_key = ", STR_ARG(foreign->from)) &&
        sql_key(foreign->warehouse->driver->dialect, &sql, &row->key, err) &&
        buf_append(&sql, STR(" WHERE _row_key IS NULL"), err));
    for (size_t i = 0; i < foreign->column_count; i++) {
        const ForeignColumn *column = &foreign->columns[i];
        if (is_writable(foreign, column) && is_key(foreign, column))
            TRY(buf_append(&sql, STR(" AND "), err) &&
                append_equal(foreign, column, row->batch, row->row, &sql, err));
    }
    repair->updated++;
    return add(repair, &sql, err);
}

bool audit_repair_doubled(AuditRepair *repair, const Key128 *key, bool shown, Error *err)
{
    const Foreign *foreign = repair->foreign;
    AuditKeys *keys = &repair->doubled[shown ? 1 : 0];
    if (!repair->wanted || foreign->kind != FOREIGN_OWN)
        return true;
    if (foreign->column_count == FOREIGN_COLUMNS_MAX)
        return error_set(err, ERROR_LIMIT,
                         "table " STR_FMT ": doubled rows of %d columns or more are not mended",
                         STR_ARG(foreign->from), FOREIGN_COLUMNS_MAX);
    if (keys->count == keys->room) {
        const size_t room = keys->room == 0 ? FIRST_STATEMENTS : 2 * keys->room;
        Key128 *items = arena_alloc_array(repair->arena, room, sizeof(*items), err);
        TRY(items != NULL);
        if (keys->count > 0)
            memcpy(items, keys->items, keys->count * sizeof(*items));
        keys->items = items;
        keys->room = room;
    }
    keys->items[keys->count++] = *key;
    repair->removed++;
    return true;
}

// A key, or what stands for it while its copies go: no row has that.
static bool append_key(const AuditRepair *repair, const Key128 *key, bool other, Buf *sql,
                       Error *err)
{
    Key128 written = *key;
    for (size_t i = 0; other && i < KEY_BYTES; i++)
        written.bytes[i] ^= 0xff;
    return sql_key(repair->foreign->warehouse->driver->dialect, sql, &written, err);
}

static bool append_in(const AuditRepair *repair, const AuditKeys *keys, bool other, Buf *sql,
                      Error *err)
{
    TRY(buf_append(sql, STR(" WHERE _row_key IN ("), err));
    for (size_t i = 0; i < keys->count; i++)
        TRY((i == 0 || buf_append(sql, STR(", "), err)) &&
            append_key(repair, &keys->items[i], other, sql, err));
    return buf_append_char(sql, ')', err);
}

// Keys to what stands for them, or back.
static bool append_case(const AuditRepair *repair, const AuditKeys *keys, bool back, Buf *sql,
                        Error *err)
{
    TRY(buf_append(sql, STR("CASE _row_key"), err));
    for (size_t i = 0; i < keys->count; i++)
        TRY(buf_append(sql, STR(" WHEN "), err) &&
            append_key(repair, &keys->items[i], back, sql, err) &&
            buf_append(sql, STR(" THEN "), err) &&
            append_key(repair, &keys->items[i], !back, sql, err));
    return buf_append(sql, STR(" END"), err);
}

// One copy of each: one that counts as there is worth more than one that is marked. With the key
// for its hash, which is that of no row, a reading that shows the row writes all of it.
static bool copy_one(AuditRepair *repair, const AuditKeys *keys, bool shown, Error *err)
{
    const Foreign *foreign = repair->foreign;
    CLEANUP(buf_done) Buf sql = {0};
    CLEANUP(buf_done) Buf values = {0};
    TRY(buf_printf(&sql, err, "INSERT INTO " STR_FMT " (", STR_ARG(foreign->from)));
    for (size_t i = 0; i < foreign->column_count; i++) {
        const ForeignColumn *column = &foreign->columns[i];
        TRY((i == 0 || (buf_append(&sql, STR(", "), err) && buf_append(&values, STR(", "), err))) &&
            sql_name(&sql, column->name, err));
        if (column == foreign->key)
            TRY(append_case(repair, keys, false, &values, err));
        else if (shown && column == foreign->hash)
            TRY(buf_append(&values, STR("_row_key"), err));
        else
            TRY(sql_name(&values, column->name, err));
    }
    return buf_append(&sql, STR(") SELECT "), err) && buf_append(&sql, buf_str(&values), err) &&
           buf_printf(&sql, err,
                      " FROM (SELECT *, row_number() OVER (PARTITION BY _row_key ORDER BY"
                      " _deleted_at IS NULL DESC, _fetched_at DESC) AS pawl_copy FROM " STR_FMT,
                      STR_ARG(foreign->from)) &&
           append_in(repair, keys, false, &sql, err) &&
           buf_append(&sql, STR(") AS copies WHERE pawl_copy = 1"), err) && add(repair, &sql, err);
}

// Copies may be the same in every column, and not each system has names for rows of its own: one is
// written a second time under another key, all that have the key go, and it gets the key.
static bool mend_doubled(AuditRepair *repair, const AuditKeys *keys, bool shown, Error *err)
{
    const Str from = repair->foreign->from;
    CLEANUP(buf_done) Buf remove = {0};
    CLEANUP(buf_done) Buf rename = {0};
    return copy_one(repair, keys, shown, err) &&
           buf_printf(&remove, err, "DELETE FROM " STR_FMT, STR_ARG(from)) &&
           append_in(repair, keys, false, &remove, err) && add(repair, &remove, err) &&
           buf_printf(&rename, err, "UPDATE " STR_FMT " SET _row_key = ", STR_ARG(from)) &&
           append_case(repair, keys, true, &rename, err) &&
           append_in(repair, keys, true, &rename, err) && add(repair, &rename, err);
}

// A slice of somebody else's table may have a statement for each of its rows, and Snowflake takes
// some thousands in a request. Killed between two portions nothing is half done: each statement
// mends rows of its own, or three of them do, and what they left is found by the next audit like
// any other fault, as is a copy whose row has yet to be read again.
static bool execute_portions(const AuditRepair *repair, size_t from, size_t to, size_t *portion,
                             Error *err)
{
    enum { NAME_BYTES = 60 };
    const Warehouse *warehouse = repair->foreign->warehouse;
    char what[NAME_BYTES] = "audit repair";
    for (; from < to; from += STATEMENTS_A_PORTION) {
        const size_t left = to - from;
        if (++*portion > 1)
            (void)snprintf(what, sizeof(what), "audit repair, portion %zu", *portion);
        TRY(warehouse->driver->execute(warehouse->state, what, repair->statements + from,
                                       left < STATEMENTS_A_PORTION ? left : STATEMENTS_A_PORTION,
                                       NULL, err));
    }
    return true;
}

bool audit_repair_commit(AuditRepair *repair, Error *err)
{
    const size_t singles = repair->count;
    size_t portion = 0;
    // After the rows that get their keys back.
    for (int shown = 0; shown <= 1; shown++) {
        const AuditKeys *all = &repair->doubled[shown];
        for (size_t first = 0; first < all->count; first += KEYS_A_STATEMENT) {
            const size_t left = all->count - first;
            const AuditKeys keys = {.items = all->items + first,
                                    .count = left < KEYS_A_STATEMENT ? left : KEYS_A_STATEMENT};
            TRY(mend_doubled(repair, &keys, shown == 1, err));
        }
    }
    return execute_portions(repair, 0, singles, &portion, err) &&
           execute_portions(repair, singles, repair->count, &portion, err);
}
