// Sql: the texts that drivers share: quoted names, the ledger's tables, the health view.
#pragma once

#include "base/buf.h"
#include "warehouse/warehouse.h"

// A name in double quotes, a quote in it doubled: never anything but a name.
bool sql_name(Buf *out, Str name, Error *err) MUST_USE;
bool sql_table(Buf *out, const TableSpec *table, const char *suffix, Error *err) MUST_USE;
// The same as the dialect's system keeps it.
bool sql_own_table(const SqlDialect *dialect, Buf *out, const TableSpec *table, const char *suffix,
                   Error *err) MUST_USE;

// "ctm.calls": how the ledger calls a table.
bool sql_target(Arena *arena, const TableSpec *table, Str *ret_target, Error *err) MUST_USE;

// `text` with each '@' become `"<schema>".`, NUL-terminated: the ledger's SQL for any schema.
bool sql_expand(Arena *arena, const char *text, Str schema, const char **ret_sql,
                Error *err) MUST_USE;

// The ledger's tables and ETL_LOG, to be expanded, and what the view PIPELINE_HEALTH shows, in
// their schema. The types are those that DuckDB and PostgreSQL share; "JSON" is as both call it.
extern const char sql_create_ledger[];
extern const char sql_select_health[];

// What a view's comment says of the text that it was made from: one that says the same is not made
// anew, which would take away what hangs on it.
enum { SQL_VIEW_MARK_BYTES = 24 };
void sql_mark_view(Str select, char mark[SQL_VIEW_MARK_BYTES]);

// The system columns that the driver fills: _run_id, _load_id, _loaded_at, _deleted_at.
enum { SQL_DRIVER_COLUMNS = 4 };
extern const Column sql_driver_columns[SQL_DRIVER_COLUMNS];
