#include "warehouse/dialect.h"

#include "warehouse/sql.h"

static const char *const duckdb_remains[] = {
    "the disk's free blocks, snapshots and backups of the file", NULL};
static const char *const postgres_remains[] = {
    "dead rows until VACUUM (autovacuum does it, VACUUM FULL at once)",
    "archived WAL, replication slots and base backups until they expire", NULL};
static const char *const snowflake_remains[] = {
    "Time Travel for DATA_RETENTION_TIME_IN_DAYS of the table", "Fail-safe for 7 days after that",
    "clones, shares and copies of the external stage's files",
    "files in the external stage of killed loads: the first run two days later takes them", NULL};

static bool duckdb_json_text(Buf *out, Str expression, Str pointer, Error *err)
{
    return buf_printf(out, err, "json_extract_string(CAST(" STR_FMT " AS JSON), '" STR_FMT "')",
                      STR_ARG(expression), STR_ARG(pointer));
}

static bool postgres_json_text(Buf *out, Str expression, Str pointer, Error *err)
{
    TRY(buf_printf(out, err, "jsonb_extract_path_text(CAST(" STR_FMT " AS JSONB)",
                   STR_ARG(expression)));
    for (Str rest = str_slice(pointer, 1, pointer.size); rest.data != NULL;) {
        const Str step = str_split_next(&rest, '/'); // STR_ARG() looks at it twice
        TRY(buf_printf(out, err, ", '" STR_FMT "'", STR_ARG(step)));
    }
    return buf_append_char(out, ')', err);
}

static bool snowflake_json_text(Buf *out, Str expression, Str pointer, Error *err)
{
    TRY(buf_printf(out, err, "CAST(GET_PATH(" STR_FMT ", '", STR_ARG(expression)));
    Str rest = str_slice(pointer, 1, pointer.size);
    for (bool first = true; rest.data != NULL; first = false) {
        const Str step = str_split_next(&rest, '/');
        TRY(buf_printf(out, err, "%s" STR_FMT, first ? "" : ".", STR_ARG(step)));
    }
    return buf_append(out, STR("') AS VARCHAR)"), err);
}

static bool duckdb_nested_value(Buf *out, Str table, Str column, Str literal, Error *err)
{
    (void)table;
    (void)column;
    return buf_printf(out, err, "CAST(" STR_FMT " AS JSON)", STR_ARG(literal));
}

// A record of the table's own type knows what its elements are: text[] takes other ones than
// jsonb[].
static bool postgres_nested_value(Buf *out, Str table, Str column, Str literal, Error *err)
{
    CLEANUP(buf_done) Buf name = {0};
    return sql_name(&name, column, err) &&
           buf_printf(out, err,
                      "(json_populate_record(CAST(NULL AS " STR_FMT "), json_build_object(CAST(",
                      STR_ARG(table)) &&
           sql_literal(&sql_dialect_postgres, out, column, err) &&
           buf_printf(out, err, " AS TEXT), CAST(" STR_FMT " AS JSON))))." STR_FMT,
                      STR_ARG(literal), STR_ARG(buf_str(&name)));
}

const SqlDialect sql_dialect_duckdb = {
    .text_type = "VARCHAR",
    .key_before = "CAST('",
    .key_after = "' AS UUID)",
    .only_digits = "regexp_replace(%s, '[^0-9]', '', 'g')",
    .text_hash = "sha256(%s)",
    .nested_text = "to_json(%s)",
    .nested_value = duckdb_nested_value,
    .json_text = duckdb_json_text,
    .remains = duckdb_remains,
};
const SqlDialect sql_dialect_postgres = {
    .text_type = "TEXT",
    .key_before = "CAST('",
    .key_after = "' AS UUID)",
    .tells_readers = true,
    .only_digits = "regexp_replace(%s, '[^0-9]', '', 'g')",
    .text_hash = "encode(sha256(convert_to(%s, 'UTF8')), 'hex')",
    .nested_text = "to_json(%s)",
    .nested_value = postgres_nested_value,
    .json_text = postgres_json_text,
    .remains = postgres_remains,
};
const SqlDialect sql_dialect_snowflake = {
    .text_type = "VARCHAR",
    .key_before = "TO_BINARY('",
    .key_after = "', 'HEX')",
    .key_is_hex = true,
    .backslash_escapes = true,
    .renames_whole = true,
    .upper_names = true,
    .only_digits = "REGEXP_REPLACE(%s, '[^0-9]', '')",
    .text_hash = "SHA2(%s, 256)",
    .json_value = "PARSE_JSON(%s)",
    .json_text = snowflake_json_text,
    .remains = snowflake_remains,
    .remains_of_search = "QUERY_HISTORY for 365 days: the statements that looked for the person",
};

static char upper_of(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool sql_own_name(const SqlDialect *dialect, Buf *out, Str name, Error *err)
{
    const size_t start = out->size;
    TRY(sql_name(out, name, err));
    for (size_t i = start; dialect->upper_names && i < out->size; i++)
        out->data[i] = upper_of(out->data[i]);
    return true;
}

bool sql_name_with_suffix(const SqlDialect *dialect, Buf *out, Str name, Str suffix, Error *err)
{
    bool upper = dialect->upper_names;
    for (size_t i = 0; i < name.size; i++)
        upper = upper && name.data[i] == upper_of(name.data[i]);
    TRY(buf_append(out, name, err));
    for (size_t i = 0; i < suffix.size; i++)
        TRY(buf_append_char(out, upper ? upper_of(suffix.data[i]) : suffix.data[i], err));
    return true;
}

bool sql_expression(Buf *out, const char *form, Str text, Error *err)
{
    const Str whole = str_from(form);
    const size_t at = str_find(whole, STR("%s"));
    return buf_append(out, str_slice(whole, 0, at), err) && buf_append(out, text, err) &&
           buf_append(out, str_slice(whole, at + 2, whole.size), err);
}

bool sql_literal(const SqlDialect *dialect, Buf *out, Str text, Error *err)
{
    if (text.data == NULL)
        return buf_append(out, STR("NULL"), err);
    TRY(buf_append_char(out, '\'', err));
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c == '\'' || (c == '\\' && dialect->backslash_escapes))
            TRY(buf_append_char(out, c, err));
        TRY(buf_append_char(out, c, err));
    }
    return buf_append_char(out, '\'', err);
}

bool sql_key(const SqlDialect *dialect, Buf *out, const Key128 *key, Error *err)
{
    char text[UUID_TEXT_BYTES + 1];
    if (dialect->key_is_hex)
        hex_encode(key->bytes, KEY_BYTES, text);
    else
        uuid_format(key->bytes, text);
    return buf_printf(out, err, "%s%s%s", dialect->key_before, text, dialect->key_after);
}

bool sql_read_key(Str text, Key128 *ret_key)
{
    char digits[2 * KEY_BYTES + 1];
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '-')
            continue;
        if (count == (size_t)2 * KEY_BYTES)
            return false;
        const char c = text.data[i];
        digits[count++] = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    }
    return hex_decode((Str){digits, count}, ret_key->bytes, KEY_BYTES);
}
