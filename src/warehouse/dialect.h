// Dialect: what SQL that is written outside a driver (audit, adopt, forget) must know of it: how
// values are written and a few functions that systems call by different names.
#pragma once

#include "base/buf.h"
#include "base/hash.h"

typedef struct SqlDialect {
    const char *text_type;  // what anything can be cast to
    const char *key_before; // a _row_key as a literal: these two around it,
    const char *key_after;
    bool key_is_hex;         // and as plain digits, not as a UUID
    bool backslash_escapes;  // within '...'
    bool renames_whole;      // RENAME TO wants the schema, too
    bool upper_names;        // names without quotes mean upper-case ones, and pawl's own are such
    bool tells_readers;      // information_schema.table_privileges, of tables that one owns
    const char *only_digits; // an expression with %s in it: its digits
    const char *text_hash;   // likewise: a SHA-256 of a text, as hexadecimal digits
    const char *json_value;  // likewise: a JSON column's value of a text; NULL = the text itself
    // An expression with %s in it: the JSON of a column of lists or structs; NULL = a cast gives
    // it.
    const char *nested_text;
    // Appends what such a column takes, from the literal of its JSON. With nested_text.
    bool (*nested_value)(Buf *out, Str table, Str column, Str literal, Error *err);
    // Appends the text of what lies at a JSON pointer of steps without special characters in a JSON
    // expression.
    bool (*json_text)(Buf *out, Str expression, Str pointer, Error *err);
    const char *const *remains;    // what the system keeps of erased rows by itself; ends with NULL
    const char *remains_of_search; // likewise, of statements that looked for a value; or NULL
} SqlDialect;

extern const SqlDialect sql_dialect_duckdb;
extern const SqlDialect sql_dialect_postgres;
extern const SqlDialect sql_dialect_snowflake;

// A name that pawl gave (a table of a job, a column of a contract), in quotes, as the system keeps
// it. Names of others are looked up and written as they stand: sql_name().
bool sql_own_name(const SqlDialect *dialect, Buf *out, Str name, Error *err) MUST_USE;
// `name` with a suffix in the same letters: who needs no quotes for the one needs none for the
// other.
bool sql_name_with_suffix(const SqlDialect *dialect, Buf *out, Str name, Str suffix,
                          Error *err) MUST_USE;
// An expression with `%s` in it, of this text.
bool sql_expression(Buf *out, const char *form, Str text, Error *err) MUST_USE;

// 'text', with what is special in it doubled; NULL where `text.data` is.
bool sql_literal(const SqlDialect *dialect, Buf *out, Str text, Error *err) MUST_USE;
// A _row_key or _row_hash, and back from the text that query() gives.
bool sql_key(const SqlDialect *dialect, Buf *out, const Key128 *key, Error *err) MUST_USE;
bool sql_read_key(Str text, Key128 *ret_key);
